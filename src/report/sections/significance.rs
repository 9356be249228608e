//! Tests between configurations: the paper's Table 5, what it does not say, and tests that
//! respect videos.
use crate::{
    report::{
        page::{Block, Section},
        paper,
        scores::Scores,
        study::Study,
        table::{Cell, Column, Table},
    },
    stats::{
        comparison::{Comparison, MarginTests, Pair},
        tail::PValue,
    },
};

/// Configurations in one matrix; more would not fit a page.
const MATRIX: usize = 8;

/// Table 5's layout, the same with videos as units, and differences of accuracy.
pub fn section(study: &Study, scores: &Scores) -> Section {
    let mut section = Section::new("significance", "Significance");
    let comparison = &scores.comparison;
    let shown = shown(study);
    section.text(comparison.caveat.clone());
    if shown.len() < study.groups.len() {
        section.text(format!(
            "The matrices hold {} of {} configurations; all pairs stand in the table of \
             differences.",
            shown.len(),
            study.groups.len()
        ));
    }
    section.blocks.push(Block::Table(paper_test(study, comparison, &shown)));
    section.blocks.push(Block::Table(robust_test(study, comparison, &shown)));
    if setting_iv(study).len() > 1 {
        section.blocks.push(Block::Table(cited()));
    }
    if !comparison.pairs.is_empty() {
        section.blocks.push(Block::Table(differences(study, comparison)));
    }
    let warnings: Vec<_> = comparison.warnings.iter().map(|w| w.message.clone()).collect();
    if !warnings.is_empty() {
        section.blocks.push(Block::List(warnings));
    }
    section
}

/// Groups in setting (iv) of Table 4, best attention first as in the paper's Table 5.
fn setting_iv(study: &Study) -> Vec<usize> {
    let rows = paper::ABLATION.rows.iter().rev().take(3);
    rows.filter_map(|row| study.groups.iter().position(|g| row.holds(&g.config))).collect()
}

fn shown(study: &Study) -> Vec<usize> {
    let three = setting_iv(study);
    if three.len() > 1 {
        return three;
    }
    (0..study.groups.len().min(MATRIX)).collect()
}

/// Run ids of the first seeds of two groups.
fn runs_of(study: &Study, i: usize, j: usize) -> Vec<String> {
    let mut ids: Vec<_> =
        [i, j].map(|g| study.first(&study.groups[g]).record.run_id.clone()).to_vec();
    ids.dedup();
    ids
}

fn p_cell(p: PValue, more: &str) -> Cell {
    Cell { text: format!("{p}{more}"), value: Some(p.log10()), ..Cell::default() }
}

fn matrix(
    study: &Study,
    comparison: &Comparison,
    shown: &[usize],
    cell: impl Fn(&MarginTests) -> Cell,
) -> (Vec<Column>, Vec<Vec<Cell>>) {
    let label = |&i: &usize| study.groups[i].label.clone();
    let heads = shown.iter().map(|i| Column::numbers(&label(i)));
    let columns = std::iter::once(Column::words("")).chain(heads).collect();
    let rows = shown.iter().enumerate().map(|(row, i)| {
        let cells = shown.iter().enumerate().map(|(column, j)| {
            let tests = (column >= row).then(|| comparison.margins(*i, *j)).flatten();
            tests.map_or(Cell::words(""), |t| cell(t).of(runs_of(study, *i, *j)))
        });
        std::iter::once(Cell::words(label(i))).chain(cells).collect()
    });
    (columns, rows.collect())
}

fn paper_test(study: &Study, comparison: &Comparison, shown: &[usize]) -> Table {
    let cell =
        |t: &MarginTests| p_cell(t.stuart_maxwell.p, &format!(" (df {})", t.stuart_maxwell.df));
    let (columns, rows) = matrix(study, comparison, shown, cell);
    Table {
        name: "table-5".into(),
        caption: "Stuart-Maxwell p-values between models, in the layout of Table 5".into(),
        columns,
        rows,
        notes: vec![format!(
            "The main diagonal tests a model's predictions against the truth. Frames are taken as \
             independent ({} frames in {} videos), first seeds, not corrected for the number of \
             tests.",
            comparison.n, comparison.clusters
        )],
    }
}

fn robust_test(study: &Study, comparison: &Comparison, shown: &[usize]) -> Table {
    let cell = |t: &MarginTests| p_cell(t.sign_flip.p, "");
    let (columns, rows) = matrix(study, comparison, shown, cell);
    Table {
        name: "table-5-clusters".into(),
        caption: "The same question with videos as units: cluster sign-flip p-values".into(),
        columns,
        rows,
        notes: vec![format!(
            "All signs where few videos differ, else {} random ones; seed {}.",
            comparison.options.sign_flips, comparison.options.seed
        )],
    }
}

/// The paper's Table 5.
fn cited() -> Table {
    let rows = paper::TABLE_5.iter().map(|(name, cells)| {
        let cells = cells.iter().map(|p| match p {
            Some(p) => Cell { text: (*p).into(), value: p.parse().ok(), ..Cell::default() },
            None => Cell::words(""),
        });
        std::iter::once(Cell::words(*name)).chain(cells).collect()
    });
    Table {
        name: "table-5-paper".into(),
        caption: "Cited: the paper's Table 5, on NCAER-S".into(),
        columns: std::iter::once(Column::words(""))
            .chain(paper::TABLE_5.iter().map(|(name, _)| Column::cited(name)))
            .collect(),
        rows: rows.collect(),
        notes: vec!["Other data and other predictions; quoted for the layout only.".into()],
    }
}

fn differences(study: &Study, comparison: &Comparison) -> Table {
    let rows = comparison.pairs.iter().map(|pair| {
        let runs = runs_of(study, pair.a, pair.b);
        let label = |i: usize| Cell::words(&study.groups[i].label);
        let tests = &pair.accuracy;
        vec![
            label(pair.a),
            label(pair.b),
            difference(pair).of(runs.clone()),
            p_cell(tests.sign_flip.p, "").of(runs.clone()),
            p_cell(tests.sign_flip_adjusted.holm, "").of(runs.clone()),
            p_cell(tests.mcnemar.exact, "").of(runs.clone()),
            minimum(pair).of(runs),
        ]
    });
    let numbers = [
        "A − B in points",
        "p, videos",
        "p, videos, Holm",
        "p, McNemar exact, frames",
        "smallest difference found",
    ];
    Table {
        name: "differences".into(),
        caption: "Differences of accuracy between first seeds".into(),
        rows: rows.collect(),
        columns: ["A", "B"]
            .map(Column::words)
            .into_iter()
            .chain(numbers.map(Column::numbers))
            .collect(),
        notes: vec![
            "Intervals are 95 % with videos as units. The smallest difference found is the one \
             that a test on this many videos would detect with 80 % power at 5 %."
                .into(),
        ],
    }
}

/// The difference of accuracies in points with its interval.
fn difference(pair: &Pair) -> Cell {
    let points = |v: f64| 100.0 * v;
    if let Some(e) = pair.accuracy.clustered {
        let (value, lo, hi) = (points(e.value), points(e.lo), points(e.hi));
        let text = format!("{value:+.2} [{lo:+.2}, {hi:+.2}]");
        return Cell { text, value: Some(value), ..Cell::default() };
    }
    let naive = pair.accuracy.difference.as_ref().map(|d| points(d.value));
    naive.map_or(Cell::none(), |v| Cell {
        text: format!("{v:+.2}"),
        value: Some(v),
        ..Cell::default()
    })
}

fn minimum(pair: &Pair) -> Cell {
    pair.accuracy.minimum_detectable.map_or(Cell::none(), |v| Cell::number(100.0 * v, 2))
}

/// What the page says about a pair when two models are chosen from the lists: name and text, and
/// the same with the models exchanged; `exchanged` when the page lists `b` before `a`.
pub fn pair_rows(pair: &Pair, exchanged: bool) -> serde_json::Value {
    let rows = |sign: f64| {
        let ends = |lo: f64, hi: f64| if sign > 0.0 { (lo, hi) } else { (-hi, -lo) };
        let difference = pair.accuracy.clustered.map_or("–".into(), |e| {
            let (lo, hi) = ends(e.lo, e.hi);
            let points = [sign * e.value, lo, hi].map(|v| 100.0 * v);
            format!("{:+.2} [{:+.2}, {:+.2}]", points[0], points[1], points[2])
        });
        let tests = &pair.accuracy;
        let margins = &pair.margins.stuart_maxwell;
        serde_json::json!([
            ["A − B in points, 95 %", difference],
            ["p, cluster sign-flip", tests.sign_flip.p.to_string()],
            ["p, the same, Holm over all pairs", tests.sign_flip_adjusted.holm.to_string()],
            ["p, McNemar exact (frames)", tests.mcnemar.exact.to_string()],
            ["p, Stuart-Maxwell (frames)", format!("{} (df {})", margins.p, margins.df)],
        ])
    };
    let sign = if exchanged { -1.0 } else { 1.0 };
    serde_json::json!({"forward": rows(sign), "backward": rows(-sign)})
}
