//! Text from file names and labels as people may safely see it: nothing in it moves a terminal's
//! cursor, turns the reading direction, or is a formula to a spreadsheet.
use std::borrow::Cow;

/// Whether a character acts instead of being seen: control characters, and those that turn the
/// reading direction (Unicode's bidirectional formatting characters).
pub fn acts(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (c.is_control() && c != '\n' && c != '\t') || turns
}

/// The text with characters that act written as `\u{202e}`; line ends and tabs stay.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(acts) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if acts(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out.into()
}

/// The text as a cell of a CSV file: visible, and with an apostrophe before what a spreadsheet
/// would take for a formula. Numbers stay numbers.
pub fn csv_cell(text: &str) -> Cow<'_, str> {
    let text = visible(text);
    let begins = text.starts_with(['=', '+', '-', '@', '\t']);
    // A lone dash stands for what is not defined.
    let is_formula = begins && &*text != "-" && text.parse::<f64>().is_err();
    if is_formula {
        format!("'{text}").into()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_shown() {
        assert_eq!(visible("Happy\tété\n"), "Happy\tété\n");
        assert_eq!(visible("\u{1b}[2Ja"), "\\u{1b}[2Ja");
        assert_eq!(visible("gnp\u{202e}fdp.jpg"), "gnp\\u{202e}fdp.jpg");
        assert!(matches!(visible("plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn formulas_are_text_and_numbers_are_numbers() {
        for formula in ["=1+1", "+cmd|' /C calc'!A0", "-x", "@SUM(A1)", "\t=1"] {
            assert_eq!(csv_cell(formula), format!("'{formula}"));
        }
        for kept in ["-1.5", "+3", "3e-4", "-inf", "-", "", "a=b", "–"] {
            assert_eq!(csv_cell(kept), kept);
        }
    }
}
