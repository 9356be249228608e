//! What the labels of a list mean: names of classes, our numbers 0 to 6, or what a file says.
use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{bail, ensure, Context, Result};

use crate::record::Emotion;

/// The word for a label whose rows are left out.
const LEFT_OUT: [&str; 2] = ["-", "none"];

/// A list's own labels and the classes that they stand for; `None` where its rows are left out.
pub type Labels = BTreeMap<String, Option<Emotion>>;

/// Reads a file with a line `label class` for each label: a blank, tab, comma, semicolon, colon or
/// `=` between them, `-` for a class that is left out, `#` before a remark.
///
/// # Errors
/// When it cannot be read, or a line is of another form, names no class or a label once more.
pub fn read(path: &Path) -> Result<Labels> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).with_context(|| path.display().to_string())
}

fn parse(text: &str) -> Result<Labels> {
    let mut labels = Labels::new();
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let (label, class) = pair(line).with_context(|| format!("line {number}: `{line}`"))?;
        let again = labels.insert(label.clone(), class).is_some();
        ensure!(!again, "line {number}: label `{label}` for the second time");
    }
    ensure!(!labels.is_empty(), "no label in it; write lines such as `4 Sad`");
    Ok(labels)
}

fn pair(line: &str) -> Result<(String, Option<Emotion>)> {
    let form = "not of the form `label class`, such as `4 Sad`";
    let at = line.rfind(|c: char| c.is_whitespace() || ",;:=".contains(c)).context(form)?;
    let (label, class) = (&line[..at], &line[at + 1..]);
    let between = |c: char| c.is_whitespace() || ",;:=".contains(c);
    let label = key(label.trim_end_matches(between));
    ensure!(!label.is_empty(), "{form}");
    let class = match class {
        word if LEFT_OUT.contains(&word) => None,
        word => Some(word.parse()?),
    };
    Ok((label, class))
}

/// A label as it is looked up: without blanks around, in lower case, `4.0` as `4`.
fn key(label: &str) -> String {
    let label = label.trim().to_lowercase();
    match label.parse::<f64>() {
        Ok(number) if number.fract() == 0.0 && number.abs() < 1e9 => format!("{number:.0}"),
        _ => label,
    }
}

/// What a label of a list means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A class, by its name or by the file.
    Class(Emotion),
    /// A class, by our own order of numbers.
    Number(Emotion),
    /// No class, by the file.
    LeftOut,
}

/// Looks a label up, in the file's own meanings where there are any.
///
/// # Errors
/// When it means nothing.
pub(super) fn meaning(label: &str, labels: &Labels) -> Result<Meaning> {
    let key = key(label);
    if let Some(class) = labels.get(&key) {
        return Ok(class.map_or(Meaning::LeftOut, Meaning::Class));
    }
    let number = key.parse::<u8>().ok();
    match number.and_then(Emotion::from_label) {
        Some(class) if labels.is_empty() => return Ok(Meaning::Number(class)),
        None if number.is_none() => {}
        _ if labels.is_empty() => {
            bail!("label {key} is not 0 to 6; `--labels FILE` says what a list's own numbers mean")
        }
        _ => bail!("label {key} is not in the file of --labels"),
    }
    label.trim().parse().map(Meaning::Class).map_err(Into::into)
}

/// Our own order, for people.
pub(super) fn own_order() -> String {
    let each = Emotion::ALL.iter().map(|class| format!("{} = {class}", class.label()));
    each.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_numbers_another_meaning() {
        let text = "# FER2013\n0 Angry\n3,happy\n4=Sad\n5 : Surprise\n6\tNeutral\nso so; -\n\n";
        let labels = parse(text).expect("reads");
        assert_eq!(meaning("4", &labels).expect("known"), Meaning::Class(Emotion::Sad));
        assert_eq!(meaning(" 6.0", &labels).expect("known"), Meaning::Class(Emotion::Neutral));
        assert_eq!(meaning("So so", &labels).expect("known"), Meaning::LeftOut);
        assert_eq!(meaning("fear", &labels).expect("a name"), Meaning::Class(Emotion::Fear));
        assert!(meaning("1", &labels)
            .expect_err("unknown")
            .to_string()
            .contains("not in the file"));
    }

    #[test]
    fn without_a_file_numbers_are_ours() {
        let none = Labels::new();
        assert_eq!(meaning("4", &none).expect("ours"), Meaning::Number(Emotion::Neutral));
        assert_eq!(meaning("0.0", &none).expect("ours"), Meaning::Number(Emotion::Anger));
        assert_eq!(meaning("Sadness", &none).expect("a name"), Meaning::Class(Emotion::Sad));
        for (label, words) in
            [("7", "label 7 is not 0 to 6"), ("Joy", "unknown emotion"), ("-1", "unknown")]
        {
            let told = meaning(label, &none).expect_err("unknown").to_string();
            assert!(told.contains(words), "{told}");
        }
        assert!(own_order().starts_with("0 = Anger, 1 = Disgust"));
    }

    #[test]
    fn bad_lines_are_named() {
        for (text, words) in [
            ("4\n", "line 1: `4`: not of the form"),
            ("0 Angry\n4 Joy\n", "line 2: `4 Joy`: unknown emotion `Joy`"),
            ("4 Sad\n4.0 Fear\n", "line 2: label `4` for the second time"),
            ("\n# nothing\n", "no label in it"),
        ] {
            let told = format!("{:#}", parse(text).expect_err("refused"));
            assert!(told.contains(words), "{told}");
        }
    }
}
