//! Accuracy with intervals, and the paper's tables with our numbers beside the cited ones.
use crate::{
    record::NUM_CLASSES,
    report::{
        figure::{self, AccuracyRow, Figure},
        page::{Block, Section},
        paper::{self, PaperRow, PaperTable},
        scores::{best, Score, Scores},
        study::{Group, Study},
        table::{Cell, Column, Table},
    },
};

/// All configurations, then the paper's tables that hold at least one of them.
pub fn section(study: &Study, scores: &Scores) -> Section {
    let mut section = Section::new("results", "Results");
    let first = &study.scored().next().expect("a study has answers").2.rows;
    section.text(format!(
        "Accuracy on the {} split: {} samples in {} independent videos. Intervals are 95 % and \
         treat videos, not frames, as units; of several seeds they are those of the mean over \
         seeds.",
        study.split,
        first.len(),
        scores.comparison.clusters
    ));
    section.blocks.push(Block::Table(overview(study, scores)));
    section.blocks.push(Block::Figure(accuracy_figure(study, scores)));
    for table in [paper::ABLATION, paper::MODELS, paper::FUSION, paper::BACKBONES] {
        if let Some(table) = layout(study, scores, &table) {
            section.blocks.push(Block::Table(table));
        }
    }
    section
}

/// `81.2 [75.1, 86.0]` in percent.
fn interval(score: &Score) -> String {
    let p = |share: f64| format!("{:.1}", 100.0 * share);
    format!("[{}, {}]", p(score.accuracy.lo), p(score.accuracy.hi))
}

/// Mean in percent, with the standard deviation over seeds where there are several.
fn mean(score: &Score) -> Cell {
    let value = 100.0 * score.accuracy.value;
    let text = match score.sd {
        Some(sd) => format!("{value:.2} ± {:.2}", 100.0 * sd),
        None => format!("{value:.2}"),
    };
    Cell { text, value: Some(value), runs: score.run_ids.clone(), ..Cell::default() }
}

fn overview(study: &Study, scores: &Scores) -> Table {
    let best = best(study, scores);
    let rows = study.groups.iter().zip(&scores.groups).enumerate().map(|(i, (group, score))| {
        let runs = || score.run_ids.clone();
        let optional = |v: Option<f64>, decimals| {
            v.map_or(Cell::none(), |v| Cell::number(v, decimals).of(runs()))
        };
        vec![
            Cell::words(&group.label),
            mean(score).strong(best.survives && best.index == i),
            Cell { value: Some(score.accuracy.lo), ..Cell::words(interval(score)) }.of(runs()),
            optional(score.metric("macro_f1"), 3),
            optional(score.metric("ece"), 3),
            Cell::count(score.accuracy.n as u64),
            Cell::count(score.accuracy.clusters as u64),
            Cell::count(group.runs.len() as u64),
        ]
    });
    let numbers =
        ["accuracy %", "95 % interval", "macro F1", "calibration error", "n", "videos", "seeds"];
    Table {
        name: "results".into(),
        caption: format!("Results on the {} split", study.split),
        rows: rows.collect(),
        columns: std::iter::once(Column::words("configuration"))
            .chain(numbers.map(Column::numbers))
            .collect(),
        notes: vec![
            best.note,
            "Macro F1 and calibration error are those of the first seed.".into(),
        ],
    }
}

fn layout(study: &Study, scores: &Scores, table: &PaperTable) -> Option<Table> {
    let place = |row: &PaperRow| study.groups.iter().position(|g| row.holds(&g.config));
    let twins = |row: &PaperRow| study.groups.iter().filter(|g| row.holds(&g.config)).count();
    let held = table.rows.iter().filter(|row| place(row).is_some()).count();
    if held < table.least {
        return None;
    }
    let cited = |value: Option<f64>| value.map_or(Cell::none(), |v| Cell::number(v, 2));
    let with_caer_s = table.rows.iter().any(|r| r.caer_s.is_some());
    let rows = table.rows.iter().map(|row| {
        let ours = place(row).map(|i| &scores.groups[i]);
        let mut cells = vec![
            Cell::words(row.setting),
            Cell::words(row.variant),
            ours.map_or(Cell::none(), mean),
            ours.map_or(Cell::none(), |s| Cell::words(interval(s)).of(s.run_ids.clone())),
        ];
        if with_caer_s {
            cells.push(cited(row.caer_s));
        }
        cells.push(cited(row.ncaer_s));
        cells
    });
    let mut columns: Vec<_> = table.heads.iter().copied().map(Column::words).collect();
    columns.extend(["ours: accuracy %", "ours: 95 % interval"].map(Column::numbers));
    if with_caer_s {
        columns.push(Column::cited("paper: CAER-S % (cited)"));
    }
    columns.push(Column::cited("paper: NCAER-S % (cited)"));
    let mut notes = vec![table.note.to_owned(), "The paper's numbers are cited from other data and other training; they are no baseline for ours.".into()];
    for row in table.rows.iter().filter(|row| twins(row) > 1) {
        notes.push(format!(
            "{} {}: {} configurations fit; the first is shown, all stand in the table of results.",
            row.setting,
            row.variant,
            twins(row)
        ));
    }
    Some(Table {
        name: format!("table-{}", table.number),
        caption: table.caption.into(),
        columns,
        rows: rows.collect(),
        notes,
    })
}

/// The paper's number for a configuration on NCAER-S.
fn cited(group: &Group) -> Option<f64> {
    let rows = [paper::ABLATION, paper::FUSION, paper::BACKBONES, paper::MODELS];
    let mut rows = rows.iter().flat_map(|t| t.rows);
    rows.find(|r| r.holds(&group.config)).and_then(|r| r.ncaer_s).map(|v| v / 100.0)
}

fn accuracy_figure(study: &Study, scores: &Scores) -> Figure {
    let rows: Vec<_> = study
        .groups
        .iter()
        .zip(&scores.groups)
        .map(|(group, score)| AccuracyRow {
            label: group.label.clone(),
            measured: Some(score.accuracy),
            runs: score.runs.clone(),
            cited: cited(group),
        })
        .collect();
    let alt = rows.iter().zip(&scores.groups).map(|(row, score)| {
        format!("{}: {:.1} % {}", row.label, 100.0 * score.accuracy.value, interval(score))
    });
    Figure {
        name: "accuracy".into(),
        caption: "Accuracy with 95 % intervals over videos; the paper's numbers are hollow, from \
                  other data; the dashed line is always naming the most frequent class"
            .into(),
        alt: alt.collect::<Vec<_>>().join("; "),
        canvas: figure::accuracy(&rows, majority(study)),
    }
}

fn majority(study: &Study) -> Option<f64> {
    let mut counts = [0u64; NUM_CLASSES];
    study.samples.iter().for_each(|(_, label)| counts[usize::from(*label)] += 1);
    let most = counts.iter().max()?;
    Some(*most as f64 / study.samples.len().max(1) as f64)
}
