//! What leakage adds to a score: every configuration on the test samples whose video also gives
//! training samples, on those whose video does not, and on what an audit lets pass.
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::Result;

use super::{
    figure::{self, Figure, PartsRow},
    page::{Block, Section},
    paper,
    study::{Group, Study},
};
use crate::{
    leak_verdicts,
    record::{Estimate, Prediction, Split},
    stats::{clusters::Clusters, subset},
    table::{Cell, Column, Table},
};

/// Videos below which a share says too little to be shown without a warning.
const FEW: usize = 30;

/// What is known of every scored sample of a study, in the order of [`Study::samples`].
#[derive(Clone, Debug)]
pub struct Leak {
    /// Whether its group also gives training samples.
    in_train: Vec<bool>,
    /// Whether the audit found a near-duplicate of it in train; `None` without an audit.
    found: Option<Vec<bool>>,
}

/// Some of the test samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TestPart {
    /// All of them.
    All,
    /// Those whose video also gives training samples.
    Leaky,
    /// The others.
    Fresh,
    /// Those without a near-duplicate in train, as the audit judges.
    Clean,
}

impl Leak {
    /// What the manifest's groups and, where one is at hand, the audit in `audit` say; `None`
    /// when neither a group is shared with train nor an audit was made.
    ///
    /// # Errors
    /// When the audit cannot be read or does not know a sample.
    pub fn of(study: &Study, audit: Option<&Path>) -> Result<Option<Self>> {
        let Some(data) = &study.data else { return Ok(None) };
        let samples = &data.manifest.samples;
        let train: BTreeSet<&str> = samples
            .iter()
            .filter(|s| s.split == Split::Train)
            .map(|s| s.group_id.as_str())
            .collect();
        let group: BTreeMap<&str, &str> =
            samples.iter().map(|s| (s.sample_id.as_str(), s.group_id.as_str())).collect();
        let ids = study.samples.iter().map(|(id, _)| id.as_str());
        let in_train: Vec<bool> =
            ids.clone().map(|id| group.get(id).is_some_and(|g| train.contains(g))).collect();
        let found = audit.map(|folder| leak_verdicts::near_duplicates(folder, ids)).transpose()?;
        let is_told = found.is_some() || in_train.iter().any(|leaks| *leaks);
        Ok(is_told.then_some(Leak { in_train, found }))
    }

    /// Whether each sample belongs to the part; `None` when nothing tells.
    fn members(&self, part: TestPart) -> Option<Vec<bool>> {
        match part {
            TestPart::All => Some(vec![true; self.in_train.len()]),
            TestPart::Leaky => Some(self.in_train.clone()),
            TestPart::Fresh => Some(self.in_train.iter().map(|leaks| !leaks).collect()),
            TestPart::Clean => {
                self.found.as_ref().map(|found| found.iter().map(|near| !near).collect())
            }
        }
    }

    /// Share of the samples in a part, in percent.
    fn share(&self, part: TestPart) -> Option<f64> {
        let members = self.members(part)?;
        let inside = members.iter().filter(|m| **m).count();
        Some(100.0 * inside as f64 / members.len().max(1) as f64)
    }
}

/// The section about one study; `clean` is one of the same world without a leak, whose
/// configurations of the same kind stand beside it.
pub fn section(name: &str, study: &Study, leak: &Leak, clean: Option<(&str, &Study)>) -> Section {
    let mut section = Section::new("leak", "What leakage adds");
    section.text(
        "The same runs are scored on the test samples whose video also gives training samples, on \
         the others, and on what the audit lets pass: what a model gains on the leaky samples alone \
         it has remembered, not learned.",
    );
    let rows = rows(study, leak, clean.map(|(_, study)| study));
    section.blocks.push(Block::Table(table(&rows, name, leak, clean.map(|(name, _)| name))));
    section.blocks.push(Block::Figure(figure(&rows, name, clean.map(|(name, _)| name))));
    section
}

/// How much leaks, and how much of it the audit found.
fn shares(name: &str, leak: &Leak) -> String {
    let truth = leak.share(TestPart::Leaky).unwrap_or_default();
    let found = match leak.share(TestPart::Clean) {
        Some(clean) => {
            format!("; the audit, which sees pictures alone, found {:.1} %", 100.0 - clean)
        }
        None => String::new(),
    };
    format!(
        "Of the {} test samples of {name}, {truth:.1} % come from a video that also gives training \
         samples{found}.",
        leak.in_train.len()
    )
}

/// One configuration on all parts.
struct AccuracyByLeak {
    label: String,
    runs: Vec<String>,
    all: Option<Estimate>,
    leaky: Option<Estimate>,
    fresh: Option<Estimate>,
    kept: Option<Estimate>,
    /// The same configuration on the other study.
    elsewhere: Option<Estimate>,
}

fn rows(study: &Study, leak: &Leak, clean: Option<&Study>) -> Vec<AccuracyByLeak> {
    let row = |group: &Group| {
        let on = |part| leak.members(part).and_then(|keep| accuracy(study, group, &keep));
        let counterpart = clean.and_then(|other| Some((other, counterpart(other, group)?)));
        AccuracyByLeak {
            label: group.label.clone(),
            runs: group.runs.iter().map(|&r| study.runs[r].record.run_id.clone()).collect(),
            all: on(TestPart::All),
            leaky: on(TestPart::Leaky),
            fresh: on(TestPart::Fresh),
            kept: on(TestPart::Clean),
            elsewhere: counterpart.and_then(|(other, group)| {
                accuracy(other, group, &vec![true; other.samples.len()])
            }),
        }
    };
    study.groups.iter().map(row).collect()
}

/// The configuration of another study that stands in the same row of the paper's Table 4, else the
/// one with the same label.
fn counterpart<'a>(other: &'a Study, group: &Group) -> Option<&'a Group> {
    let row = paper::ABLATION.rows.iter().find(|row| row.holds(&group.config));
    let same_row = row.and_then(|row| other.groups.iter().find(|g| row.holds(&g.config)));
    same_row.or_else(|| other.groups.iter().find(|g| g.label == group.label))
}

/// Mean accuracy over the seeds on the kept samples, with the interval of one stacked sample in
/// which everything about one video is one unit; `n` counts samples, not answers.
fn accuracy(study: &Study, group: &Group, keep: &[bool]) -> Option<Estimate> {
    let runs: Vec<&[Prediction]> = group
        .runs
        .iter()
        .filter_map(|&run| Some(study.runs[run].answers.as_ref()?.rows.as_slice()))
        .collect();
    let stacked = || runs.iter().flat_map(|rows| rows.iter());
    let right: Vec<bool> = stacked().map(|row| row.target == row.predicted).collect();
    let keep: Vec<bool> = runs.iter().flat_map(|_| keep.iter().copied()).collect();
    let clusters = Clusters::by_id(stacked().map(|row| row.group_id.as_str()));
    let kept = subset::subset_accuracy(&right, &keep, &clusters).kept?;
    Some(Estimate { n: kept.n / runs.len().max(1), ..kept })
}

fn table(rows: &[AccuracyByLeak], name: &str, leak: &Leak, clean: Option<&str>) -> Table {
    let count = |part| leak.members(part).map_or(0, |m| m.iter().filter(|m| **m).count());
    let column = |text: &str, part| Column::numbers(&format!("{text} (n = {})", count(part)));
    let mut columns = vec![
        Column::words("configuration"),
        column("in train", TestPart::Leaky),
        column("all", TestPart::All),
    ];
    if leak.found.is_some() {
        columns.push(column("--clean", TestPart::Clean));
    }
    columns.push(column("not in train", TestPart::Fresh));
    columns.extend(clean.map(|clean| {
        let n = rows.iter().find_map(|row| row.elsewhere).map_or(0, |e| e.n);
        Column::numbers(&format!("{clean} (n = {n})"))
    }));
    let shown = |row: &AccuracyByLeak| -> Vec<Option<Estimate>> {
        let mut all = vec![row.leaky, row.all];
        all.extend(leak.found.is_some().then_some(row.kept));
        all.push(row.fresh);
        all.extend(clean.is_some().then_some(row.elsewhere));
        all
    };
    let cells = |row: &AccuracyByLeak| {
        let numbers = shown(row).into_iter().map(|e| cell(e).of(row.runs.clone()));
        std::iter::once(Cell::words(&row.label)).chain(numbers).collect()
    };
    let mut body: Vec<Vec<Cell>> = rows.iter().map(cells).collect();
    body.extend(gain(rows, &shown));
    Table {
        name: "leak".into(),
        caption: format!(
            "Accuracy of the same runs on parts of the test set of {name}, in percent"
        ),
        columns,
        rows: body,
        notes: notes(rows, name, leak),
    }
}

/// What the best-guided attention gains over none, in points, on every part.
fn gain(
    rows: &[AccuracyByLeak],
    shown: &dyn Fn(&AccuracyByLeak) -> Vec<Option<Estimate>>,
) -> Option<Vec<Cell>> {
    let named = |name: &str| {
        rows.iter().find(|row| row.label == name || row.label.ends_with(&format!(", {name}")))
    };
    let (with, without) = (named("GLA")?, named("none")?);
    let points = shown(with).into_iter().zip(shown(without)).map(|(a, b)| match (a, b) {
        (Some(a), Some(b)) => {
            let value = 100.0 * (a.value - b.value);
            Cell { text: format!("{value:+.1}"), value: Some(value), ..Cell::default() }
        }
        _ => Cell::none(),
    });
    Some(
        std::iter::once(Cell::words("GLA minus none, points").strong(true)).chain(points).collect(),
    )
}

/// `96.1 [92.8, 97.9]`
fn cell(estimate: Option<Estimate>) -> Cell {
    estimate.map_or_else(Cell::none, |e| {
        let [value, lo, hi] = [e.value, e.lo, e.hi].map(|share| 100.0 * share);
        Cell {
            text: format!("{value:.1} [{lo:.1}, {hi:.1}]"),
            value: Some(value),
            ..Cell::default()
        }
    })
}

fn notes(rows: &[AccuracyByLeak], name: &str, leak: &Leak) -> Vec<String> {
    let mut notes = vec![
        shares(name, leak),
        "In train: samples whose video also gives training samples; not in train: the others; \
         --clean: what the audit lets pass. In brackets: 95 % intervals with videos as units. The \
         columns are parts of one test set (and, in the last, another data set), not competitors: \
         nothing is tested across them."
            .to_owned(),
    ];
    let few = |name: &str, e: Option<Estimate>| {
        let e = e.filter(|e| e.clusters < FEW)?;
        Some(format!(
            "{name}: only {} samples of {} videos are left, too few to say anything.",
            e.n, e.clusters
        ))
    };
    if let Some(first) = rows.first() {
        notes.extend(few("Kept by --clean", first.kept.filter(|_| leak.found.is_some())));
        notes.extend(few("Videos not in train", first.fresh));
    }
    notes
}

fn figure(rows: &[AccuracyByLeak], name: &str, clean: Option<&str>) -> Figure {
    let on = |row: &AccuracyByLeak| [row.leaky, row.kept, row.fresh, row.elsewhere];
    let names = ["video also in train", "kept by --clean", "video not in train"];
    let names: Vec<&str> = names.into_iter().chain([clean.unwrap_or_default()]).collect();
    let shown: Vec<usize> =
        (0..names.len()).filter(|&k| rows.iter().any(|row| on(row)[k].is_some())).collect();
    let told = |row: &AccuracyByLeak| {
        let parts = shown.iter().filter_map(|&k| {
            on(row)[k].map(|e| format!("{}: {} {:.1} %", row.label, names[k], 100.0 * e.value))
        });
        parts.collect::<Vec<_>>().join("; ")
    };
    let drawn = rows.iter().map(|row| PartsRow {
        label: row.label.clone(),
        accuracy: shown.iter().map(|&k| on(row)[k]).collect(),
    });
    let names_shown: Vec<String> = shown.iter().map(|&k| names[k].to_owned()).collect();
    Figure {
        name: "leak".into(),
        caption: format!(
            "The same runs on test samples of {name} whose video is in train, on those that the \
             audit keeps, on those whose video is not{}",
            clean.map_or_else(String::new, |clean| format!(", and the recipe on {clean}"))
        ),
        alt: rows.iter().map(told).collect::<Vec<_>>().join("; "),
        canvas: figure::parts(&names_shown, &drawn.collect::<Vec<_>>()),
    }
}
