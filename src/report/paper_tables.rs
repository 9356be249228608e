//! The paper's tables over one or two data sets: our number beside the paper's, and where there is
//! none, why.
use super::{
    paper::{self, PaperRow, PaperTable, Role},
    scores::{verdict, BestVerdict, Score, Scores},
    sections,
    study::{DataSet, Study},
};
use crate::{
    record::{Emotion, Split, NUM_CLASSES},
    table::{self, Cell, Table},
};

/// A data set's columns in a table.
pub(super) struct Column<'a> {
    /// Which data set of the paper it stands for.
    pub role: Role,
    /// What is known of it.
    pub study: Option<(&'a Study, &'a Scores)>,
    /// Why nothing is, where nothing is.
    pub why: String,
}

/// Lays out a table of the paper; every empty cell refers to its reason below.
pub(super) fn layout(paper: &PaperTable, sets: &[Column]) -> Table {
    let mut reasons = Reasons::default();
    let with_parameters = paper.number == paper::BACKBONES.number;
    let places: Vec<Placed> = sets.iter().map(|set| Placed::of(paper, set)).collect();
    let rows = paper.rows.iter().enumerate().map(|(at, row)| {
        let loaded = places.iter().find_map(|placed| placed.loaded(at));
        let variant = loaded.unwrap_or_else(|| row.variant.to_owned());
        let mut cells = vec![Cell::words(row.setting), Cell::words(variant)];
        for placed in &places {
            cells.extend(placed.cells(at, &mut reasons));
            cells.push(cited(placed.set.role, row));
        }
        if with_parameters {
            cells.push(places.iter().find_map(|p| p.parameters(at)).unwrap_or_else(Cell::none));
        }
        cells
    });
    let rows: Vec<Vec<Cell>> = rows.collect();
    let mut columns: Vec<table::Column> =
        paper.heads.iter().copied().map(table::Column::words).collect();
    for set in sets {
        let name = set.role.name();
        columns.push(table::Column::numbers(&format!("{name}: accuracy %")));
        columns.push(table::Column::ends(&format!("{name}: 95 % interval")));
        columns.push(table::Column::numbers("seeds"));
        columns.push(table::Column::cited(&format!("paper: {name} % (cited)")));
    }
    if with_parameters {
        columns.push(table::Column::numbers("ours: parameters"));
    }
    let mut notes: Vec<String> = places.iter().filter_map(Placed::note).collect();
    notes.push(paper.note.to_owned());
    notes.extend(reasons.notes());
    Table {
        name: format!("table-{}", paper.number),
        caption: paper.caption.into(),
        columns,
        rows,
        notes,
    }
}

fn cited(role: Role, row: &PaperRow) -> Cell {
    let value = match role {
        Role::CaerS => row.caer_s,
        Role::NcaerS => row.ncaer_s,
    };
    value.map_or_else(Cell::none, |v| Cell::number(v, 2))
}

/// The rows of a table as far as a data set has runs for them.
struct Placed<'a> {
    set: &'a Column<'a>,
    /// Group of every row of the paper's table.
    groups: Vec<Option<usize>>,
    /// Why a row has none.
    missing: Vec<String>,
    verdict: Option<BestVerdict>,
}

impl<'a> Placed<'a> {
    fn of(paper: &PaperTable, set: &'a Column<'a>) -> Self {
        let Some((study, scores)) = set.study else {
            let missing = vec![set.why.clone(); paper.rows.len()];
            return Placed { set, groups: vec![None; missing.len()], missing, verdict: None };
        };
        let group = |row: &PaperRow| study.groups.iter().position(|g| row.holds(&g.config));
        let groups: Vec<Option<usize>> = paper.rows.iter().map(group).collect();
        let missing = paper.rows.iter().map(|row| study.why_not(row)).collect();
        let members: Vec<usize> = groups.iter().flatten().copied().collect();
        let verdict = (!members.is_empty()).then(|| verdict(study, scores, &members));
        Placed { set, groups, missing, verdict }
    }

    fn score(&self, row: usize) -> Option<(usize, &'a Study, &'a Score)> {
        let (study, scores) = self.set.study?;
        let group = self.groups[row]?;
        Some((group, study, &scores.groups[group]))
    }

    /// Accuracy, interval, seeds.
    fn cells(&self, row: usize, reasons: &mut Reasons) -> [Cell; 3] {
        let (Some((group, study, score)), Some(verdict)) = (self.score(row), &self.verdict) else {
            return [reasons.cell(&self.missing[row]), Cell::none(), Cell::none()];
        };
        let mean = sections::results::mean(study, score, group, verdict);
        // Where there is nothing to be better than, nothing is the best.
        let alone = self.groups.iter().flatten().count() < 2;
        let lead = mean.strong && !alone && !sections::results::is_chance(study, score);
        let mean = mean.strong(lead);
        let interval = Cell {
            value: Some(score.accuracy.lo),
            ..Cell::words(sections::results::interval(score))
        };
        let seeds = Cell::count(study.groups[group].runs.len() as u64);
        [mean, interval.of(score.run_ids.clone()), seeds.of(score.run_ids.clone())]
    }

    fn parameters(&self, row: usize) -> Option<Cell> {
        let (group, study, score) = self.score(row)?;
        let parameters = study.first(&study.groups[group]).record.parameters;
        Some(Cell::count(parameters).of(score.run_ids.clone()))
    }

    /// What the row's runs started from, where that is weights: a row is named after what was
    /// loaded, not after what the paper loaded.
    fn loaded(&self, row: usize) -> Option<String> {
        let (group, study, _) = self.score(row)?;
        sections::results::loaded(study, &study.groups[group])
    }

    fn note(&self) -> Option<String> {
        let (study, scores) = self.set.study?;
        let verdict = self.verdict.as_ref()?;
        let marked = self
            .groups
            .iter()
            .flatten()
            .any(|&group| sections::results::is_chance(study, &scores.groups[group]));
        let chance = match marked {
            true => format!(" {}", sections::results::CHANCE_NOTE),
            false => String::new(),
        };
        Some(format!("{}: {}{chance}", self.set.role.name(), verdict.note))
    }
}

/// Reasons of empty cells, each told once.
#[derive(Default)]
struct Reasons(Vec<String>);

impl Reasons {
    /// A cell that refers to the reason.
    fn cell(&mut self, why: &str) -> Cell {
        let known = self.0.iter().position(|reason| reason == why);
        let number = known.unwrap_or_else(|| {
            self.0.push(why.to_owned());
            self.0.len() - 1
        });
        Cell::words(format!("– [{}]", number + 1))
    }

    fn notes(self) -> impl Iterator<Item = String> {
        self.0.into_iter().enumerate().map(|(i, why)| format!("[{}] {why}.", i + 1))
    }
}

/// The data sets of a report, a row each.
pub(super) fn data_sets<'a>(studies: impl Iterator<Item = (&'a str, &'a Study)>) -> Table {
    let of = |study: &Study, split| {
        let samples = study.data.iter().flat_map(|data| &data.manifest.samples);
        samples.filter(|s| s.split == split).count() as u64
    };
    let rows = studies.map(|(name, study)| {
        let seeds: std::collections::BTreeSet<u64> =
            study.runs.iter().map(|run| run.record.seed).collect();
        let mut cells = vec![Cell::words(name)];
        match &study.data {
            Some(_) => cells.extend(Split::ALL.map(|split| Cell::count(of(study, split)))),
            None => cells.extend([Cell::none(), Cell::none(), Cell::none()]),
        }
        cells.push(Cell::count(study.groups.len() as u64));
        cells.push(Cell::count(study.runs.len() as u64));
        cells.push(Cell::count(seeds.len() as u64));
        let digest = study.data.as_ref().and_then(|data| data.digest.get(..10));
        cells.push(digest.map_or_else(Cell::none, Cell::words));
        cells
    });
    let numbers = ["train", "validation", "test", "configurations", "runs", "seeds"];
    Table {
        name: "data-sets".into(),
        caption: "The data sets of this report, in samples".into(),
        rows: rows.collect(),
        columns: std::iter::once(table::Column::words("data set"))
            .chain(numbers.map(table::Column::numbers))
            .chain([table::Column::words("manifest")])
            .collect(),
        notes: Vec::new(),
    }
}

/// Table 1: samples per class of the training part, beside the corpus's clips and the paper's.
pub(super) fn table_1(data: Option<&DataSet>, why: &str) -> Table {
    let mut reasons = Reasons::default();
    let count = |set: [u64; NUM_CLASSES], class: usize| {
        let total: u64 = set.iter().sum();
        let share = 100.0 * set[class] as f64 / total.max(1) as f64;
        Cell { text: format!("{} ({share:.1} %)", set[class]), ..Cell::count(set[class]) }
    };
    let ours = data.map(|data| {
        let train = |split: Split| split == Split::Train;
        let clips = data.manifest.clips.iter().filter(|c| train(c.split)).map(|c| c.emotion);
        let samples = data.manifest.samples.iter().filter(|s| train(s.split)).map(|s| s.emotion);
        [sections::data::per_class(clips), sections::data::per_class(samples)]
    });
    let mut rows: Vec<Vec<Cell>> = Emotion::ALL
        .into_iter()
        .map(|emotion| {
            let class = usize::from(emotion.label());
            let mut cells = vec![Cell::words(emotion.name())];
            match ours {
                Some(sets) => cells.extend(sets.map(|set| count(set, class))),
                None => cells.extend([reasons.cell(why), reasons.cell(why)]),
            }
            cells.push(count(paper::TABLE_1, class));
            cells
        })
        .collect();
    let total = |set: [u64; NUM_CLASSES]| Cell::count(set.iter().sum()).strong(true);
    let mut all = vec![Cell::words("all").strong(true)];
    match ours {
        Some(sets) => all.extend(sets.map(total)),
        None => all.extend([reasons.cell(why), reasons.cell(why)]),
    }
    all.push(total(paper::TABLE_1));
    rows.push(all);
    Table {
        name: "table-1".into(),
        caption: "Training part per class, in the layout of Table 1: the corpus's clips, the data \
                  set made from them, the paper's"
            .into(),
        columns: vec![
            table::Column::words("class"),
            table::Column::numbers("clips of the corpus"),
            table::Column::numbers("ours: samples"),
            table::Column::cited("paper: NCAER-S (cited)"),
        ],
        rows,
        notes: reasons.notes().collect(),
    }
}
