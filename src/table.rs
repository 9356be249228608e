//! One table, filled once, written as Markdown, LaTeX (booktabs), CSV and HTML. Own code: the forms
//! share their cells and notes, which a crate for one form each would not.
pub mod terminal;

use std::fmt::Write;

use anyhow::Result;
use maud::{html, Markup};
use serde::Serialize;

use crate::escape::{csv_cell, visible};

/// A table with its caption and notes.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Table {
    /// File name without extension, and label.
    pub name: String,
    /// What stands above it.
    pub caption: String,
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows; each has as many cells as there are columns.
    pub rows: Vec<Vec<Cell>>,
    /// What the reader must know: footnotes, limits, refused cells.
    pub notes: Vec<String>,
}

/// A column.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Column {
    /// Its heading.
    pub title: String,
    /// Aligned to the right and sorted by value.
    pub numeric: bool,
    /// Holds numbers quoted from elsewhere: set apart in every format.
    pub cited: bool,
    /// Holds the ends of the numbers in the column before it, below which a page sets them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ends: bool,
}

impl Column {
    /// A column of words.
    pub fn words(title: &str) -> Self {
        Column { title: title.into(), ..Column::default() }
    }

    /// A column of numbers measured here.
    pub fn numbers(title: &str) -> Self {
        Column { numeric: true, ..Column::words(title) }
    }

    /// A column of the ends of the numbers before it.
    pub fn ends(title: &str) -> Self {
        Column { ends: true, ..Column::numbers(title) }
    }

    /// A column of quoted numbers.
    pub fn cited(title: &str) -> Self {
        Column { cited: true, ..Column::numbers(title) }
    }
}

/// A cell.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// Value to sort by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Set in bold.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub strong: bool,
    /// Run ids behind it; empty where no run is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<String>,
}

impl Cell {
    /// A cell of words.
    pub fn words(text: impl Into<String>) -> Self {
        Cell { text: text.into(), ..Cell::default() }
    }

    /// A whole number.
    pub fn count(n: u64) -> Self {
        Cell { text: n.to_string(), value: Some(n as f64), ..Cell::default() }
    }

    /// A number with a fixed number of decimals.
    pub fn number(value: f64, decimals: usize) -> Self {
        Cell { text: format!("{value:.decimals$}"), value: Some(value), ..Cell::default() }
    }

    /// Nothing to say.
    pub fn none() -> Self {
        Cell::words("–")
    }

    /// With the runs it comes from.
    pub fn of(self, runs: Vec<String>) -> Self {
        Cell { runs, ..self }
    }

    /// In bold when `yes`.
    pub fn strong(self, yes: bool) -> Self {
        Cell { strong: yes, ..self }
    }
}

impl Table {
    /// GitHub-flavoured Markdown with the caption above and the notes below.
    pub fn markdown(&self) -> String {
        let mut out = format!("**{}**\n\n", escape_markdown(&self.caption));
        let titles = self.columns.iter().map(|c| escape_markdown(&c.title));
        out += &markdown_row(titles);
        out += &markdown_row(
            self.columns.iter().map(|c| if c.numeric { "--:" } else { "---" }.into()),
        );
        for row in &self.rows {
            out += &markdown_row(row.iter().zip(&self.columns).map(|(cell, column)| {
                let text = escape_markdown(&cell.text);
                match (cell.strong, column.cited && cell.value.is_some()) {
                    (true, _) => format!("**{text}**"),
                    (_, true) => format!("*{text}*"),
                    _ => text,
                }
            }));
        }
        for note in &self.notes {
            let _ = write!(out, "\n{}\n", escape_markdown(note));
        }
        out
    }

    /// A LaTeX `table` in booktabs style.
    pub fn latex(&self) -> String {
        let columns: String =
            self.columns.iter().map(|c| if c.numeric { 'r' } else { 'l' }).collect();
        let titles: Vec<_> = self.columns.iter().map(|c| escape_latex(&c.title)).collect();
        let mut out = String::from("\\begin{table}\n\\centering\n");
        let _ = writeln!(out, "\\caption{{{}}}", escape_latex(&self.caption));
        let _ = writeln!(out, "\\label{{tab:{}}}", self.name);
        let _ = writeln!(out, "\\begin{{tabular}}{{@{{}}{columns}@{{}}}}\n\\toprule");
        let _ = writeln!(out, "{} \\\\\n\\midrule", titles.join(" & "));
        for row in &self.rows {
            let cells = row.iter().zip(&self.columns).map(|(cell, column)| {
                let text = escape_latex(&cell.text);
                match (cell.strong, column.cited && cell.value.is_some()) {
                    (true, _) => format!("\\textbf{{{text}}}"),
                    (_, true) => format!("\\textit{{{text}}}"),
                    _ => text,
                }
            });
            let _ = writeln!(out, "{} \\\\", cells.collect::<Vec<_>>().join(" & "));
        }
        out += "\\bottomrule\n\\end{tabular}\n";
        for note in &self.notes {
            let _ = writeln!(out, "\\par\\smallskip\\footnotesize {}", escape_latex(note));
        }
        out + "\\end{table}\n"
    }

    /// Comma-separated values: the heading, then the rows; no notes.
    ///
    /// # Errors
    /// When a row has another number of cells than there are columns.
    pub fn csv(&self) -> Result<String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let ragged = self.rows.iter().find(|row| row.len() != self.columns.len());
        anyhow::ensure!(ragged.is_none(), "a row of the table {} has another length", self.name);
        let columns: Vec<_> = (0..self.columns.len()).map(|i| self.csv_column(i)).collect();
        writer.write_record(
            columns.iter().flatten().map(|(title, _)| csv_cell(title).into_owned()),
        )?;
        for (i, _) in self.rows.iter().enumerate() {
            writer.write_record(columns.iter().flatten().map(|(_, cells)| &cells[i]))?;
        }
        Ok(String::from_utf8(writer.into_inner()?)?)
    }

    /// A column as CSV has it: words as they are; numbers without their decoration, an interval's
    /// ends and a deviation in columns of their own, nothing where there is no number.
    fn csv_column(&self, at: usize) -> Vec<(String, Vec<String>)> {
        let title = &self.columns[at].title;
        let texts = self.rows.iter().map(|row| row[at].text.as_str());
        if !self.columns[at].numeric {
            return vec![(title.clone(), texts.map(|text| csv_cell(text).into_owned()).collect())];
        }
        let parts: Vec<[Option<&str>; 4]> = texts.map(number_parts).collect();
        let names = ["", " lo", " hi", " sd"].map(|name| format!("{title}{name}"));
        let has = |k: usize| parts.iter().any(|parts| parts[k].is_some());
        let only_ends = has(1) && !has(0);
        names
            .into_iter()
            .enumerate()
            .filter(|(k, _)| has(*k) || (*k == 0 && !only_ends))
            .map(|(k, name)| {
                let cell = |parts: &[Option<&str>; 4]| {
                    csv_cell(&parts[k].unwrap_or_default().replace('−', "-")).into_owned()
                };
                (name, parts.iter().map(cell).collect())
            })
            .collect()
    }

    /// An HTML table whose columns the page's script can sort, but for a matrix, whose rows and
    /// columns stand for the same things in the same order. Sums, rows that begin in bold, stay
    /// below. Intervals stand below their numbers, which keeps the table narrow.
    pub fn html(&self) -> Markup {
        let is_matrix = self.columns.first().is_some_and(|column| column.title.is_empty());
        let kind = if is_matrix { "matrix" } else { "sortable" };
        let is_sum = |row: &&Vec<Cell>| row.first().is_some_and(|cell| cell.strong);
        let sums = self.rows.iter().rev().take_while(is_sum).count();
        let (rows, sums) = self.rows.split_at(self.rows.len() - sums);
        html! {
            table class=(kind) id={ "table-" (self.name) } {
                caption { span { (self.caption) } }
                thead { tr { @for column in &self.columns { @if !column.ends { (html_title(column)) } } } } "\n"
                tbody { "\n" @for row in rows { (self.html_row(row)) } }
                @if !sums.is_empty() {
                    tfoot { "\n" @for row in sums { (self.html_row(row)) } }
                }
            } "\n"
            @for note in &self.notes { p class="note" { (note) } "\n" }
        }
    }

    fn html_row(&self, row: &[Cell]) -> Markup {
        let ends = |i: usize| {
            let next = self.columns.get(i + 1).filter(|next| next.ends);
            next.and(row.get(i + 1)).map(|cell| cell.text.as_str())
        };
        let cells = row.iter().zip(&self.columns).enumerate();
        let cells = cells.filter(|(_, (_, column))| !column.ends);
        html! {
            tr { @for (i, (cell, column)) in cells { (html_cell(cell, ends(i), column, i == 0)) } } "\n"
        }
    }
}

/// Value, ends of the interval and deviation in `57.31 ± 4.69 [51.1, 63.3] ≈`, where they are; the
/// value of `3 of 9` and other words is the whole text.
fn number_parts(text: &str) -> [Option<&str>; 4] {
    let is_number = |word: &&str| word.replace('−', "-").parse::<f64>().is_ok();
    let ends = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    let ends = ends.and_then(|(inside, _)| inside.split_once(','));
    let (lo, hi) = ends.map_or((None, None), |(lo, hi)| (Some(lo.trim()), Some(hi.trim())));
    let before = text.split(['[', '(']).next().unwrap_or_default();
    if let Some(bound) = before.trim().strip_prefix("<= ").filter(is_number) {
        // No value is known, only that it is no larger.
        return [None, None, Some(bound), None];
    }
    let sd = before.split_once('±').and_then(|(_, rest)| rest.split_whitespace().next());
    let [mut value, lo, hi, sd] =
        [before.split_whitespace().next(), lo, hi, sd].map(|part| part.filter(is_number));
    let is_word = |word: &str| word.contains(char::is_alphabetic);
    if before.split_whitespace().any(|word| is_word(word) && !is_number(&word)) {
        value = Some(text);
    }
    [value, lo, hi, sd]
}

fn class(column: &Column) -> Option<&'static str> {
    match (column.numeric, column.cited) {
        (_, true) => Some("num cited"),
        (true, false) => Some("num"),
        _ => None,
    }
}

/// A heading without words is none.
fn html_title(column: &Column) -> Markup {
    let class = class(column);
    html! {
        @if column.title.is_empty() {
            td class=[class] {}
        } @else {
            // A count is not torn in two lines.
            th scope="col" class=[class] { (column.title.replace("n = ", "n\u{a0}=\u{a0}")) }
        }
    }
}

/// A cell with its interval on a line of its own, whether it is a part of the text or the cell of
/// the next column.
fn html_cell(cell: &Cell, ends: Option<&str>, column: &Column, first: bool) -> Markup {
    let class = class(column);
    let value = cell.value.filter(|v| v.is_finite());
    let runs = (!cell.runs.is_empty()).then(|| format!("runs: {}", cell.runs.join(", ")));
    let inside = cell.text.find(" [").filter(|_| column.numeric && cell.text.contains(','));
    let (number, own) = cell.text.split_at(inside.unwrap_or(cell.text.len()));
    let apart = ends.filter(|ends| *ends != cell.text && *ends != "–").unwrap_or(own.trim_start());
    let text = html! {
        @if cell.strong { b { (number) } } @else { (number) }
        @if !apart.is_empty() { " " span class="ends" { (apart) } }
    };
    html! {
        @if first {
            th scope="row" class=[class] data-value=[value] title=[runs] { (text) }
        } @else {
            td class=[class] data-value=[value] title=[runs] { (text) }
        }
    }
}

fn markdown_row(cells: impl Iterator<Item = String>) -> String {
    format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
}

/// Text as Markdown shows it.
pub fn escape_markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '\n' => out.push(' '),
            '|' | '*' | '_' | '<' | '>' | '`' | '[' | ']' | '\\' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

fn escape_latex(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => out.extend(['\\', c]),
            '\\' => out += "\\textbackslash{}",
            '~' => out += "\\textasciitilde{}",
            '^' => out += "\\textasciicircum{}",
            '<' => out += "$<$",
            '>' => out += "$>$",
            '±' => out += "$\\pm$",
            '–' => out += "--",
            'χ' => out += "$\\chi$",
            '²' => out += "$^2$",
            '≤' => out += "$\\le$",
            '≈' => out += "$\\approx$",
            '≡' => out += "$\\equiv$",
            '†' => out += "$\\dagger$",
            '∘' => out += "$\\circ$",
            '−' => out += "$-$",
            '→' => out += "$\\to$",
            '·' => out += "$\\cdot$",
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    fn table() -> Table {
        let cited = Cell { value: Some(46.91), ..Cell::words("46.91") };
        Table {
            name: "demo".into(),
            caption: "Accuracy & 50 % of <all>".into(),
            columns: vec![
                Column::words("attention"),
                Column::numbers("accuracy %"),
                Column::cited("paper (cited)"),
            ],
            rows: vec![
                vec![
                    Cell::words("GLA_1|x"),
                    Cell::number(81.0, 2).strong(true).of(vec!["ab12".into()]),
                    cited,
                ],
                vec![Cell::words("none, \"quoted\""), Cell::number(1.69, 1), Cell::none()],
            ],
            notes: vec!["n = 308 in 154 clips".into()],
        }
    }

    #[test]
    fn markdown() {
        assert_snapshot!(table().markdown(), @r#"
        **Accuracy & 50 % of \<all\>**

        | attention | accuracy % | paper (cited) |
        | --- | --: | --: |
        | GLA\_1\|x | **81.00** | *46.91* |
        | none, "quoted" | 1.7 | – |

        n = 308 in 154 clips
        "#);
    }

    #[test]
    fn latex() {
        assert_snapshot!(table().latex(), @r#"
        \begin{table}
        \centering
        \caption{Accuracy \& 50 \% of $<$all$>$}
        \label{tab:demo}
        \begin{tabular}{@{}lrr@{}}
        \toprule
        attention & accuracy \% & paper (cited) \\
        \midrule
        GLA\_1|x & \textbf{81.00} & \textit{46.91} \\
        none, "quoted" & 1.7 & -- \\
        \bottomrule
        \end{tabular}
        \par\smallskip\footnotesize n = 308 in 154 clips
        \end{table}
        "#);
    }

    #[test]
    fn csv() {
        assert_snapshot!(table().csv().expect("csv"), @r#"
        attention,accuracy %,paper (cited)
        GLA_1|x,81.00,46.91
        "none, ""quoted""",1.7,
        "#);
    }

    #[test]
    fn csv_has_numbers_apart_and_no_formulas() {
        let cells = |texts: [&str; 3]| texts.map(Cell::words).to_vec();
        let table = Table {
            columns: vec![
                Column::words("model"),
                Column::numbers("accuracy %"),
                Column::numbers("95 % interval"),
            ],
            rows: vec![
                cells(["=GLA", "57.31 ± 4.69 ≈", "[51.1, 63.3]"]),
                cells(["CA\u{202e}", "−3.20", "–"]),
                cells(["none", "3.00e-4", "–"]),
                cells(["all", "0 of 9", "–"]),
            ],
            ..Table::default()
        };
        assert_snapshot!(table.csv().expect("csv"), @r"
        model,accuracy %,accuracy % sd,95 % interval lo,95 % interval hi
        '=GLA,57.31,4.69,51.1,63.3
        CA\u{202e},-3.20,,,
        none,3.00e-4,,,
        all,0 of 9,,,
        ");
    }

    #[test]
    fn html() {
        assert_snapshot!(table().html().into_string(), @r#"
        <table class="sortable" id="table-demo"><caption><span>Accuracy &amp; 50 % of &lt;all&gt;</span></caption><thead><tr><th scope="col">attention</th><th scope="col" class="num">accuracy %</th><th scope="col" class="num cited">paper (cited)</th></tr></thead>
        <tbody>
        <tr><th scope="row">GLA_1|x</th><td class="num" data-value="81" title="runs: ab12"><b>81.00</b></td><td class="num cited" data-value="46.91">46.91</td></tr>
        <tr><th scope="row">none, &quot;quoted&quot;</th><td class="num" data-value="1.69">1.7</td><td class="num cited">–</td></tr>
        </tbody></table>
        <p class="note">n = 308 in 154 clips</p>
        "#);
    }

    #[test]
    fn a_page_sets_intervals_below_their_numbers() {
        let table = Table {
            columns: vec![
                Column::words("model"),
                Column::numbers("accuracy %"),
                Column::ends("95 % interval"),
                Column::numbers("p"),
            ],
            rows: vec![
                ["GLA", "57.31 ± 4.69 ≈", "[51.1, 63.3]", "0.2 [0.1, 0.3] (df 6)"]
                    .map(Cell::words)
                    .to_vec(),
                ["none [a, b]", "–", "–", "– [1]"].map(Cell::words).to_vec(),
            ],
            ..Table::default()
        };
        let html = table.html().into_string();
        let rows: Vec<&str> = html.lines().filter(|line| line.starts_with("<tr>")).collect();
        assert_eq!(
            rows,
            [
                "<tr><th scope=\"row\">GLA</th><td class=\"num\">57.31 ± 4.69 ≈ \
                 <span class=\"ends\">[51.1, 63.3]</span></td><td class=\"num\">0.2 \
                 <span class=\"ends\">[0.1, 0.3] (df 6)</span></td></tr>",
                "<tr><th scope=\"row\">none [a, b]</th><td class=\"num\">–</td>\
                 <td class=\"num\">– [1]</td></tr>",
            ]
        );
        assert_eq!(html.matches("scope=\"col\"").count(), 3, "{html}");
        let csv = table.csv().expect("csv");
        assert!(csv.starts_with("model,accuracy %,accuracy % sd,95 % interval lo,"), "{csv}");
    }

    #[test]
    fn what_sorting_would_make_nonsense_of_is_not_sorted() {
        let mut summed = table();
        let sum = ["all", "3", "4"].map(|text| Cell::words(text).strong(true));
        summed.rows.push(sum.to_vec());
        let html = summed.html().into_string();
        assert!(html.contains("</tbody><tfoot>\n<tr><th scope=\"row\"><b>all</b></th>"), "{html}");
        let mut matrix = table();
        matrix.columns[0].title.clear();
        assert!(matrix.html().into_string().starts_with("<table class=\"matrix\""));
    }

    #[test]
    fn a_ragged_table_is_no_csv() {
        let mut ragged = table();
        ragged.rows[0].pop();
        assert!(ragged.csv().is_err());
    }
}
