//! Accuracy with intervals, and the paper's tables with our numbers beside the cited ones.
use crate::table::{Cell, Column, Table};
use crate::{
    model::{Freeze, ModelConfig},
    record::NUM_CLASSES,
    report::{
        figure::{self, AccuracyRow, Figure},
        page::{Block, Section},
        paper::{self, PaperRow, PaperTable, Set},
        scores::{verdict, BestVerdict, Score, Scores},
        study::{Group, Study},
    },
};

/// All configurations, then the paper's tables that hold at least one of them.
pub fn section(study: &Study, scores: &Scores) -> Section {
    let mut section = Section::new("results", "Results");
    study.notes.iter().for_each(|note| section.text(note.clone()));
    section.text(format!(
        "Accuracy on the {} split: {}. Every number in a row and in a table comes from these same \
         samples; a run on others is refused and named below. Intervals are 95 %: of several \
         seeds they are those of the mean over seeds, with seeds and videos as crossed factors, \
         and ± is the standard deviation over seeds; of one seed they speak of these weights on \
         other videos. Every other metric is the mean over seeds.",
        study.split,
        test_set(study, scores),
    ));
    section.blocks.push(Block::Table(overview(study, scores)));
    section.blocks.push(Block::Figure(accuracy_figure(study, scores)));
    for table in paper::TABLES {
        if let Some(table) = layout(study, scores, table) {
            section.blocks.push(Block::Table(table));
        }
    }
    if scores.groups.iter().any(|s| s.runs.len() > 1) {
        section.blocks.push(Block::Table(seeds(study, scores)));
    }
    section
}

/// `228 samples from 140 clips, 138 independent videos`
fn test_set(study: &Study, scores: &Scores) -> String {
    let rows = &study.scored().next().expect("a study has answers").2.rows;
    let clips: std::collections::BTreeSet<&str> = rows.iter().map(|r| r.clip_id.as_str()).collect();
    let videos = scores.groups.first().map_or(0, |s| s.accuracy.clusters);
    format!("{} samples from {} clips, {videos} independent videos", rows.len(), clips.len())
}

/// `[75.1, 86.0]` in percent.
pub(in crate::report) fn interval(score: &Score) -> String {
    let p = |share: f64| format!("{:.1}", 100.0 * share);
    format!("[{}, {}]", p(score.accuracy.lo), p(score.accuracy.hi))
}

/// The mean accuracy in percent as every table prints it.
pub fn printed(score: &Score) -> String {
    format!("{:.2}", 100.0 * score.accuracy.value)
}

/// The mean with the standard deviation over seeds where there are several; bold where it is shown
/// to be the best, marked by how it stands to the highest mean, and where it is at chance.
pub(in crate::report) fn mean(
    study: &Study,
    score: &Score,
    group: usize,
    verdict: &BestVerdict,
) -> Cell {
    let value = 100.0 * score.accuracy.value;
    let sd = score.sd().map_or(String::new(), |sd| format!(" ± {:.2}", 100.0 * sd));
    let chance = if is_chance(study, score) { " ∘" } else { "" };
    let text = format!("{}{sd}{}{chance}", printed(score), verdict.mark(group));
    Cell { text, value: Some(value), runs: score.run_ids.clone(), ..Cell::default() }
        .strong(verdict.is_strong(group))
}

/// What ∘ means.
pub(in crate::report) const CHANCE_NOTE: &str =
    "∘ marks a row whose interval holds the accuracy of always naming the most frequent class: \
     nothing shows that it has learned anything.";

/// Whether a configuration cannot be told from one that always names the most frequent class.
pub(in crate::report) fn is_chance(study: &Study, score: &Score) -> bool {
    majority(study).is_some_and(|share| score.accuracy.lo <= share)
}

/// What the runs of a configuration started from, where that is weights: `ImageNet, frozen`.
pub(in crate::report) fn loaded(study: &Study, group: &Group) -> Option<String> {
    let record = &study.first(group).record;
    let weights = record.weights.as_ref()?;
    let digest = weights.sha256.get(..8).unwrap_or(&weights.sha256);
    let origin = weights.origin.clone().unwrap_or_else(|| format!("{} ({digest})", weights.file));
    let frozen = ModelConfig::of_run(&record.config).is_some_and(|m| m.freeze == Freeze::Backbone);
    Some(format!("{origin}, {}", if frozen { "frozen" } else { "fine-tuned" }))
}

fn overview(study: &Study, scores: &Scores) -> Table {
    let all: Vec<usize> = (0..study.groups.len()).collect();
    let verdict = verdict(study, scores, &all);
    let with_clips = scores.groups.iter().any(|score| score.clip_accuracy.is_some());
    let rows = study.groups.iter().zip(&scores.groups).enumerate().map(|(i, (group, score))| {
        let runs = || score.run_ids.clone();
        let optional = |v: Option<f64>, decimals| {
            v.map_or(Cell::none(), |v| Cell::number(v, decimals).of(runs()))
        };
        let clips = score.clip_accuracy.map(|share| 100.0 * share);
        let clips = with_clips.then(|| optional(clips, 2));
        let mut cells = vec![
            Cell::words(&group.label),
            mean(study, score, i, &verdict),
            Cell { value: Some(score.accuracy.lo), ..Cell::words(interval(score)) }.of(runs()),
        ];
        cells.extend(clips);
        cells.extend([
            optional(score.metric("macro_f1"), 3),
            optional(score.metric("ece"), 3),
            Cell::count(score.accuracy.n as u64),
            Cell::count(score.accuracy.clusters as u64),
            Cell::count(group.runs.len() as u64),
            key(study, group),
        ]);
        cells
    });
    let numbers = ["accuracy %", "95 % interval", "accuracy over clips %", "macro F1"];
    let more = ["calibration error", "n", "videos", "seeds"];
    let numbers = numbers.into_iter().chain(more);
    let numbers = numbers.filter(|title| with_clips || *title != "accuracy over clips %");
    Table {
        name: "results".into(),
        caption: format!("Results on the {} split", study.split),
        rows: rows.collect(),
        columns: std::iter::once(Column::words("configuration"))
            .chain(numbers.map(|title| match title {
                "95 % interval" => Column::ends(title),
                _ => Column::numbers(title),
            }))
            .chain([Column::words("runs")])
            .collect(),
        notes: [
            Some(verdict.note),
            scores.groups.iter().any(|s| is_chance(study, s)).then(|| CHANCE_NOTE.to_owned()),
            Some(
                "Macro F1, calibration error and accuracy over clips (the class with the highest mean \
                 probability over a clip's frames) are means over seeds. The keys under \"runs\" are \
                 those of the table of runs."
                    .into(),
            ),
        ]
        .into_iter()
        .flatten()
        .collect(),
    }
}

/// The runs of a configuration by their keys in the table of runs.
fn key(study: &Study, group: &Group) -> Cell {
    let keys: Vec<_> = group.runs.iter().map(|&run| super::run_key(run)).collect();
    let ids = group.runs.iter().map(|&run| study.runs[run].record.run_id.clone());
    Cell::words(keys.join(" ")).of(ids.collect())
}

fn layout(study: &Study, scores: &Scores, table: &PaperTable) -> Option<Table> {
    let place = |row: &PaperRow| study.groups.iter().position(|g| row.holds(&g.config));
    let members: Vec<usize> = table.rows.iter().filter_map(place).collect();
    if members.len() < table.least {
        return None;
    }
    let verdict = verdict(study, scores, &members);
    let with_parameters = table.number == paper::BACKBONES.number;
    let cited = |value: Option<f64>| value.map_or(Cell::none(), |v| Cell::number(v, 2));
    let rows = table.rows.iter().map(|row| {
        let ours = place(row);
        let score = |show: &dyn Fn(usize, &Score) -> Cell| {
            ours.map_or(Cell::none(), |i| show(i, &scores.groups[i]))
        };
        let mut cells = vec![
            Cell::words(row.setting),
            Cell::words(
                ours.and_then(|i| loaded(study, &study.groups[i]))
                    .unwrap_or_else(|| row.variant.to_owned()),
            ),
            score(&|i, s| mean(study, s, i, &verdict)),
            score(&|_, s| Cell::words(interval(s)).of(s.run_ids.clone())),
            score(&|_, s| Cell::count(s.runs.len() as u64).of(s.run_ids.clone())),
        ];
        if with_parameters {
            cells.push(score(&|i, s| parameters(study, i).of(s.run_ids.clone())));
        }
        if table.set != Set::NcaerS {
            cells.push(cited(row.caer_s));
        }
        if table.set != Set::CaerS {
            cells.push(cited(row.ncaer_s));
        }
        cells.push(ours.map_or(Cell::words(""), |i| key(study, &study.groups[i])));
        cells
    });
    let rows = rows.collect();
    Some(Table {
        name: format!("table-{}", table.number),
        caption: table.caption.into(),
        columns: columns(table, with_parameters),
        rows,
        notes: notes(study, scores, table, &verdict),
    })
}

fn columns(table: &PaperTable, with_parameters: bool) -> Vec<Column> {
    let mut columns: Vec<_> = table.heads.iter().copied().map(Column::words).collect();
    columns.extend([
        Column::numbers("ours: accuracy %"),
        Column::ends("ours: 95 % interval"),
        Column::numbers("seeds"),
    ]);
    if with_parameters {
        columns.push(Column::numbers("ours: parameters"));
    }
    if table.set != Set::NcaerS {
        columns.push(Column::cited("paper: CAER-S % (cited)"));
    }
    if table.set != Set::CaerS {
        columns.push(Column::cited("paper: NCAER-S % (cited)"));
    }
    columns.push(Column::words("runs"));
    columns
}

fn parameters(study: &Study, group: usize) -> Cell {
    Cell::count(study.first(&study.groups[group]).record.parameters)
}

fn notes(study: &Study, scores: &Scores, table: &PaperTable, verdict: &BestVerdict) -> Vec<String> {
    let fits = |row: &PaperRow| -> Vec<&Group> {
        study.groups.iter().filter(|g| row.holds(&g.config)).collect()
    };
    let mut notes = vec![
        format!("Ours: {}. {}", test_set(study, scores), verdict.note),
        table.note.to_owned(),
        "The paper's numbers are cited from other data and other training; they are no baseline \
         for ours."
            .into(),
    ];
    let at_chance = |group: &&Group| {
        let place = study.groups.iter().position(|g| std::ptr::eq(g, *group));
        place.is_some_and(|i| is_chance(study, &scores.groups[i]))
    };
    if table.rows.iter().filter_map(|row| fits(row).first().copied()).any(|g| at_chance(&g)) {
        notes.push(CHANCE_NOTE.to_owned());
    }
    for row in table.rows.iter().filter(|row| fits(row).len() > 1) {
        notes.push(format!(
            "{} {}: {} configurations fit; the first is shown, all stand in the table of results.",
            row.setting,
            row.variant,
            fits(row).len()
        ));
    }
    let held = table.rows.iter().filter_map(|row| fits(row).first().copied());
    let runs: Vec<usize> = held.flat_map(|g| g.runs.iter().copied()).collect();
    let name = |&run: &usize| {
        let record = &study.runs[run].record;
        let id = record.run_id.get(..10).unwrap_or(&record.run_id);
        format!("{} {id} (seed {})", super::run_key(run), record.seed)
    };
    notes.push(format!("Runs: {}.", runs.iter().map(name).collect::<Vec<_>>().join(", ")));
    notes
}

/// What the seeds of every configuration with several of them show.
fn seeds(study: &Study, scores: &Scores) -> Table {
    let several = study.groups.iter().zip(&scores.groups).filter(|(_, s)| s.runs.len() > 1);
    let percent = |v: f64| Cell::number(100.0 * v, 2);
    let rows = several.clone().filter_map(|(group, score)| {
        let summary = score.seeds.as_ref()?;
        let each: Vec<_> = score.runs.iter().map(|a| format!("{:.2}", 100.0 * a)).collect();
        let across = summary.mean_interval.map_or("–".into(), |i| {
            format!("[{:.1}, {:.1}]", 100.0 * i.lo.max(0.0), 100.0 * i.hi.min(1.0))
        });
        let cells = [
            Cell::words(each.join(", ")),
            percent(summary.mean),
            summary.sd.map_or(Cell::none(), percent),
            Cell::words(across),
        ];
        let cells = cells.map(|cell| cell.of(score.run_ids.clone()));
        Some(std::iter::once(Cell::words(&group.label)).chain(cells).collect())
    });
    let rows = rows.collect();
    let mut notes: Vec<String> = several
        .filter_map(|(_, s)| Some(s.seeds.as_ref()?.cannot_show.clone()))
        .map(|text| format!("What the seeds cannot show: {text}."))
        .collect();
    notes.dedup();
    notes.insert(
        0,
        "The interval here is Student's and treats seeds as units and the samples as given: it \
         says where the mean over other seeds would be on these very videos. The one in the \
         tables above is for other videos as well."
            .into(),
    );
    let numbers = ["accuracy % of every seed", "mean", "sd", "95 % over seeds"];
    Table {
        name: "seeds".into(),
        caption: "Accuracy over seeds".into(),
        columns: std::iter::once(Column::words("configuration"))
            .chain(numbers.map(Column::numbers))
            .collect(),
        rows,
        notes,
    }
}

/// The paper's number for a configuration on NCAER-S.
fn cited(group: &Group) -> Option<f64> {
    let mut rows = paper::TABLES.iter().flat_map(|t| t.rows);
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
        caption: "Accuracy with 95 % intervals over seeds and videos; the paper's numbers are hollow, from \
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
