//! Tables as a terminal shows them: columns in line, no wider than the window where that is possible.

/// Characters of a line that every terminal has.
pub const WIDTH: usize = 80;

/// Stands for a blank at which a cell is not cut.
const FIXED: char = '\u{a0}';

/// Rows of cells as aligned lines, two spaces apart: the first column to the left, the others to
/// the right.
pub fn align(rows: &[Vec<String>]) -> String {
    lines(rows, &widths(rows), 2)
}

/// Text with Markdown tables for a terminal: tables become columns in line whose cells go on below
/// where `width` is too small, paragraphs are cut into lines, marks of emphasis and escapes go.
pub fn of_markdown(markdown: &str, width: usize) -> String {
    let mut text = String::new();
    let mut rows: Vec<Vec<String>> = Vec::new();
    for line in markdown.lines() {
        if let Some(cells) = line.strip_prefix('|').map(|rest| rest.trim_end_matches('|')) {
            if !cells.chars().all(|c| "-:| ".contains(c)) {
                rows.push(split_cells(cells));
            }
            continue;
        }
        if !rows.is_empty() {
            text.push_str(&fitted(&std::mem::take(&mut rows), width));
        }
        text.push_str(&cut(&plain(line), width).join("\n"));
        text.push('\n');
    }
    if !rows.is_empty() {
        text.push_str(&fitted(&rows, width));
    }
    text
}

/// The cells of a row; an escaped bar parts none.
fn split_cells(row: &str) -> Vec<String> {
    row.replace("\\|", "\u{0}")
        .split('|')
        .map(|cell| keep_together(&plain(&cell.replace('\u{0}', "|"))))
        .collect()
}

/// Without marks of emphasis at its ends and without escapes.
fn plain(text: &str) -> String {
    let text = text.trim();
    let bare = ["**", "*"].iter().find_map(|mark| text.strip_prefix(mark)?.strip_suffix(mark));
    let mut out = String::new();
    let mut escaped = false;
    for c in bare.unwrap_or(text).chars() {
        escaped = c == '\\' && !escaped;
        if !escaped {
            out.push(c);
        }
    }
    out
}

/// What stands in brackets is read as one.
fn keep_together(cell: &str) -> String {
    let mut depth = 0i32;
    let part = |c: char| {
        depth += i32::from(c == '[' || c == '(') - i32::from(c == ']' || c == ')');
        if c == ' ' && depth > 0 {
            FIXED
        } else {
            c
        }
    };
    cell.chars().map(part).collect()
}

fn length(text: &str) -> usize {
    text.chars().count()
}

fn widths(rows: &[Vec<String>]) -> Vec<usize> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let of = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|c| length(c)).max();
    (0..columns).map(|column| of(column).unwrap_or(0)).collect()
}

/// The rows in lines, the widest columns made narrower, word by word, until they fit.
fn fitted(rows: &[Vec<String>], width: usize) -> String {
    let mut widths = widths(rows);
    let longest_word = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.flat_map(|cell| cell.split(' ')).map(length).max().unwrap_or(0)
    };
    let least: Vec<usize> = (0..widths.len()).map(longest_word).collect();
    let total =
        |widths: &[usize], gap| widths.iter().sum::<usize>() + gap * widths.len().saturating_sub(1);
    while total(&widths, 2) > width {
        let wide = (0..widths.len()).filter(|&i| widths[i] > least[i]).max_by_key(|&i| widths[i]);
        let Some(wide) = wide else { break };
        widths[wide] -= 1;
    }
    let gap = if total(&widths, 2) > width { 1 } else { 2 };
    let mut cut_rows = Vec::new();
    for row in rows {
        let cells: Vec<Vec<String>> =
            row.iter().zip(&widths).map(|(cell, width)| cut(cell, *width)).collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(1);
        for line in 0..height {
            let part = |cell: &Vec<String>| cell.get(line).cloned().unwrap_or_default();
            cut_rows.push(cells.iter().map(part).collect());
        }
    }
    lines(&cut_rows, &widths, gap) + "\n"
}

/// A text in lines of at most `width` characters, where its words allow.
fn cut(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match lines.last_mut() {
            Some(line) if length(line) + 1 + length(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn lines(rows: &[Vec<String>], widths: &[usize], gap: usize) -> String {
    let cell = |(column, cell): (usize, &String)| match column {
        0 => format!("{cell:<0$}", widths[0]),
        _ => format!("{cell:>0$}", widths[column]),
    };
    let line = |row: &Vec<String>| {
        let line = row.iter().enumerate().map(cell).collect::<Vec<_>>().join(&" ".repeat(gap));
        line.trim_end().replace(FIXED, " ")
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".to_owned(), "1.00".into(), "x".into()]];
        let rows = [&rows[..], &[vec!["été".to_owned(), "10.00".into()]]].concat();
        assert_eq!(align(&rows), "a     1.00  x\nété  10.00");
        assert_eq!(align(&[]), "");
    }

    #[test]
    fn a_markdown_table_becomes_columns_in_line() {
        let table = "| class | train | total |\n|---|---:|---:|\n| Anger | 5 | 17 |\n| total | 12 | 100 |\n";
        let wanted = "class  train  total\nAnger      5     17\ntotal     12    100\n";
        assert_eq!(of_markdown(table, WIDTH), wanted);
    }

    #[test]
    fn wide_cells_go_on_below_and_brackets_stay_whole() {
        let text = "**A table\\_of leaks**\n\n| model | videos in train (n = 5) |\n| --- | --: |\n\
            | **all of it** | 97.1 \\[92.6, 98.9\\] |\n\nA note that is longer than a line.\n";
        let shown = of_markdown(text, 22);
        assert_eq!(
            shown,
            "A table_of leaks\n\nmodel        videos in\n                 train\n               (n = 5)\nall of            97.1\nit        \
             [92.6, 98.9]\n\nA note that is longer\nthan a line.\n"
        );
        assert!(shown.lines().all(|line| line.chars().count() <= 22), "{shown}");
        // Nothing can be cut any further: the words stay whole.
        assert!(of_markdown(text, 3).contains("[92.6, 98.9]"));
    }

    #[test]
    fn an_escaped_bar_is_part_of_its_cell() {
        assert_eq!(of_markdown("| a\\|b | c |\n", WIDTH), "a|b  c\n");
    }
}
