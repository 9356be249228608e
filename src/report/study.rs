//! What a report is about: the run folders, their answers, and the data set behind them.
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{ensure, Result};
use serde_json::Value;

use super::{imported::ImportedRun, paper, rules::Rules};
use crate::{
    corpus::demo,
    digest,
    manifest::{self, Manifest},
    record::{Prediction, Sample, Split},
    runs::{self, EpochRow, GridRow, RunFolder, RunRecord, Status},
};

/// What to report on.
#[derive(Clone, Debug)]
pub struct ReportRequest {
    /// A folder of run folders, or one of them.
    pub runs: PathBuf,
    /// Folder of the manifest; without it the one named by the runs, where it is still the same.
    pub manifest: Option<PathBuf>,
    /// The split whose answers are scored.
    pub split: Split,
    /// Title of the report.
    pub title: String,
    /// Most thumbnails to write.
    pub max_thumbs: usize,
    /// Folder of an audit of the manifest: how much of the scores is leak.
    pub audit: Option<PathBuf>,
    /// How the tests are made.
    pub rules: Rules,
    /// Answers of other programs, rows of their own.
    pub imported: Vec<ImportedRun>,
    /// What the reader must know before the results, a paragraph each.
    pub notes: Vec<String>,
}

/// Thumbnails of a report when nobody says how many.
pub const MAX_THUMBS: usize = 600;

impl ReportRequest {
    /// The report of `runs` into `out` with the defaults: the test split, named after the folder.
    pub fn new(runs: &Path, out: &Path) -> Self {
        let name = out.file_name().unwrap_or_default().to_string_lossy();
        ReportRequest {
            runs: runs.to_owned(),
            manifest: None,
            split: Split::Test,
            title: format!("Emotion recognition report: {name}"),
            max_thumbs: MAX_THUMBS,
            audit: None,
            rules: Rules::default(),
            imported: Vec::new(),
            notes: Vec::new(),
        }
    }
}

/// Predictions of a run on the reported split.
#[derive(Clone, Debug)]
pub struct Predictions {
    /// One row per sample, in sample_id order.
    pub rows: Vec<Prediction>,
    /// SHA-256 of the prediction file.
    pub digest: String,
}

/// A run folder as read.
#[derive(Clone, Debug)]
pub struct Run {
    /// The folder.
    pub folder: RunFolder,
    /// Its name.
    pub name: String,
    /// `run.json`.
    pub record: RunRecord,
    /// `metrics.csv`.
    pub epochs: Vec<EpochRow>,
    /// How often somebody predicted on the test split.
    pub looks: usize,
    /// Its answers; `None` when they are missing or refused, which a problem explains.
    pub answers: Option<Predictions>,
    /// Whether another program made them.
    pub imported: bool,
}

/// Runs that differ in nothing but the seed.
#[derive(Clone, Debug)]
pub struct Group {
    /// Name in tables.
    pub label: String,
    /// Indices of the scored runs, by seed.
    pub runs: Vec<usize>,
    /// Configuration without its seed.
    pub config: Value,
}

/// The data set behind the runs.
#[derive(Clone, Debug)]
pub struct DataSet {
    /// The manifest folder; pictures lie below it.
    pub folder: PathBuf,
    /// Its rows.
    pub manifest: Manifest,
    /// SHA-256 of `samples.parquet`.
    pub digest: String,
}

/// Everything that a report shows, read and checked.
#[derive(Clone, Debug)]
pub struct Study {
    /// Title as asked for.
    pub title: String,
    /// Made from the synthetic corpus, which says nothing about real data.
    pub demonstration: bool,
    /// The split that is scored.
    pub split: Split,
    /// The data set, when it is at hand.
    pub data: Option<DataSet>,
    /// All readable runs, in the order of the paper's tables, what is in none by label, then by
    /// seed.
    pub runs: Vec<Run>,
    /// Runs of the grid that failed before they left a run folder.
    pub failed: Vec<GridRow>,
    /// Runs of the grid that have no answers, with their resolved configurations.
    pub unmade: Vec<(GridRow, Value)>,
    /// The scored runs grouped over seeds, in the order of [`Study::runs`].
    pub groups: Vec<Group>,
    /// Ids and true labels of the scored samples, in id order.
    pub samples: Vec<(String, u8)>,
    /// What the reader must know before the results.
    pub notes: Vec<String>,
    /// What is missing or was refused, in words.
    pub problems: Vec<String>,
}

impl Study {
    /// Reads everything; what cannot be used is named in `problems`.
    ///
    /// # Errors
    /// When the folder holds no run, or no run has answers on the split.
    pub fn read(request: &ReportRequest) -> Result<Self> {
        let mut problems = Vec::new();
        let mut runs = Vec::new();
        for folder in runs::find(&request.runs)? {
            match read_run(&folder, request.split, &mut problems) {
                Ok(run) => runs.push(run),
                Err(e) => problems.push(format!("run folder {} is left out: {e:#}", name(&folder))),
            }
        }
        ensure!(
            !runs.is_empty(),
            "{}: no run can be read: {}",
            request.runs.display(),
            problems.join("; ")
        );
        let known = places(&runs);
        runs.extend(request.imported.iter().map(|run| imported(run, &known)));
        runs.sort_by_cached_key(|run| {
            let r = &run.record;
            (paper::position(&r.config), r.label.clone(), r.seed, run.name.clone())
        });
        let rows = runs::grid(&request.runs).unwrap_or_else(|e| {
            problems.push(format!("failed runs are not shown: {e:#}"));
            Vec::new()
        });
        let failed = failed(&rows, &runs, &mut problems);
        let unmade = unmade(&request.runs, rows, &runs);
        let samples = keep_one_test_set(&mut runs, &mut problems);
        ensure!(
            !samples.is_empty(),
            "no run in {} has predictions on {}; make them with `ncaers predict --run DIR --split {}`",
            request.runs.display(),
            request.split,
            request.split
        );
        let data = find_data(request, &runs, &mut problems);
        let demonstration = data.as_ref().is_some_and(|d| is_demonstration(&d.manifest.meta));
        let groups = groups(&runs);
        let (title, split) = (request.title.clone(), request.split);
        Ok(Study {
            title,
            demonstration,
            split,
            data,
            runs,
            failed,
            unmade,
            groups,
            samples,
            notes: request.notes.clone(),
            problems,
        })
    }

    /// The runs that have answers.
    pub fn scored(&self) -> impl Iterator<Item = (usize, &Run, &Predictions)> {
        self.runs.iter().enumerate().filter_map(|(i, r)| Some((i, r, r.answers.as_ref()?)))
    }

    /// The first run of a group.
    ///
    /// # Panics
    /// Never: a group has at least one run.
    pub fn first(&self, group: &Group) -> &Run {
        &self.runs[group.runs[0]]
    }

    /// The configurations that figures compare: CAER-Net-S (or its attention, in setting (iv) of
    /// Table 4) above GLAMOR-Net, as the paper's Figures 9 and 10; without both of them the
    /// first `most`.
    pub fn rivals(&self, most: usize) -> Vec<&Group> {
        let of = |row: &paper::PaperRow| self.groups.iter().find(|g| row.holds(&g.config));
        let [ca, gla] = [paper::SETTING_IV_CA, paper::SETTING_IV_GLA].map(|row| of(&row));
        match (of(&paper::CAER_NET_S_ROW).or(ca), gla) {
            (Some(caer), Some(gla)) => vec![caer, gla],
            _ => self.groups.iter().take(most).collect(),
        }
    }

    /// Why no configuration stands in a row of the paper's tables.
    pub fn why_not(&self, row: &paper::PaperRow) -> String {
        let lost = self.unmade.iter().find(|(_, config)| row.holds(config));
        if let Some((run, _)) = lost {
            let error = run.error.as_deref().unwrap_or("it was not started");
            return match run.state.as_str() {
                "cannot" => format!("cannot be made: {error}"),
                "failed" => format!("failed: {error}"),
                _ => format!("not finished: {error}"),
            };
        }
        match self.runs.iter().find(|run| row.holds(&run.record.config)) {
            Some(run) => format!("run {} has no predictions on {}", run.name, self.split),
            None => "no run of this row was asked for".into(),
        }
    }

    /// The manifest's samples by id.
    pub fn samples_by_id(&self) -> BTreeMap<&str, &Sample> {
        let samples = self.data.iter().flat_map(|d| &d.manifest.samples);
        samples.map(|s| (s.sample_id.as_str(), s)).collect()
    }
}

/// Another program's answers as a run.
fn imported(run: &ImportedRun, known: &BTreeMap<String, (String, String)>) -> Run {
    Run {
        folder: RunFolder::new(&run.file.with_extension("run")),
        name: run.file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        record: run.record(),
        epochs: Vec::new(),
        looks: 0,
        answers: Some(Predictions { rows: run.placed(known), digest: run.digest.clone() }),
        imported: true,
    }
}

/// Clip and group of every sample that a run answered.
fn places(runs: &[Run]) -> BTreeMap<String, (String, String)> {
    let rows = runs.iter().filter_map(|run| run.answers.as_ref()).flat_map(|a| &a.rows);
    rows.map(|r| (r.sample_id.clone(), (r.clip_id.clone(), r.group_id.clone()))).collect()
}

/// The runs that the grid lists as failed and that have no folder to speak for them.
fn failed(rows: &[GridRow], runs: &[Run], problems: &mut Vec<String>) -> Vec<GridRow> {
    let is_lost = |row: &&GridRow| {
        ["failed", "cannot"].contains(&row.state.as_str())
            && runs.iter().all(|run| run.name != row.run)
    };
    let lost: Vec<GridRow> = rows.iter().filter(is_lost).cloned().collect();
    for row in &lost {
        let error = row.error.as_deref().unwrap_or("no error was recorded");
        let what = if row.state == "cannot" { "cannot be made" } else { "failed" };
        problems.push(format!("run {} {what} and has no results: {error}", row.run));
    }
    lost
}

/// The runs of the grid in `folder` that have no answers, with what they were to be.
fn unmade(folder: &Path, rows: Vec<GridRow>, runs: &[Run]) -> Vec<(GridRow, Value)> {
    let answered =
        |row: &GridRow| runs.iter().any(|run| run.name == row.run && run.answers.is_some());
    let config = |row: &GridRow| {
        let text = std::fs::read_to_string(folder.join("grid").join(format!("{}.toml", row.run)));
        serde_json::to_value(text.ok()?.parse::<toml::Table>().ok()?).ok()
    };
    let with_config = |row: GridRow| Some((row.clone(), config(&row)?));
    rows.into_iter().filter(|row| !answered(row)).filter_map(with_config).collect()
}

fn name(folder: &RunFolder) -> String {
    folder.path().file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn read_run(folder: &RunFolder, split: Split, problems: &mut Vec<String>) -> Result<Run> {
    let name = name(folder);
    let record = folder.record()?;
    let mut note = |text: String| problems.push(format!("run {name}: {text}"));
    let epochs = folder.epochs().unwrap_or_else(|e| {
        note(format!("no learning curve: {e:#}"));
        Vec::new()
    });
    let looks = folder.test_looks().unwrap_or_else(|e| {
        note(format!("test looks are not counted: {e:#}"));
        Vec::new()
    });
    if record.status != Status::Finished {
        let error = record.error.as_deref().unwrap_or("no error was recorded");
        note(format!("not finished ({:?}): {error}", record.status).to_lowercase());
    }
    for warning in &record.warnings {
        note(warning.clone());
    }
    let answers = if folder.predictions_path(split).exists() {
        read_answers(folder, split).map_err(|e| note(format!("left out of the tables: {e:#}"))).ok()
    } else {
        note(format!("no predictions on {split}, so it is in no table of results"));
        None
    };
    Ok(Run {
        folder: folder.clone(),
        name,
        record,
        epochs,
        looks: looks.len(),
        answers,
        imported: false,
    })
}

fn read_answers(folder: &RunFolder, split: Split) -> Result<Predictions> {
    let (mut rows, _) = folder.predictions(split)?;
    ensure!(!rows.is_empty(), "its prediction file is empty");
    rows.sort_by(|a, b| a.sample_id.cmp(&b.sample_id));
    let digest = digest::sha256_file(&folder.predictions_path(split))?;
    Ok(Predictions { rows, digest })
}

/// Ids and labels of a prediction file.
fn test_set(answers: &Predictions) -> Vec<(String, u8)> {
    answers.rows.iter().map(|r| (r.sample_id.clone(), r.target)).collect()
}

/// Takes the answers from runs that were scored on other samples than most runs (of two equally
/// common sets, than the first run), because no table may compare them.
fn keep_one_test_set(runs: &mut [Run], problems: &mut Vec<String>) -> Vec<(String, u8)> {
    let mut sets: Vec<(Vec<(String, u8)>, usize)> = Vec::new();
    for answers in runs.iter().filter_map(|r| r.answers.as_ref()) {
        let set = test_set(answers);
        match sets.iter_mut().find(|(known, _)| *known == set) {
            Some((_, count)) => *count += 1,
            None => sets.push((set, 1)),
        }
    }
    let most = sets.iter().map(|(_, count)| *count).max().unwrap_or(0);
    let Some((kept, _)) = sets.into_iter().find(|(_, count)| *count == most) else {
        return Vec::new();
    };
    for run in runs.iter_mut() {
        let Some(answers) = &run.answers else { continue };
        if test_set(answers) != kept {
            problems.push(format!(
                "run {}: left out of the tables: it is scored on {} samples that are not the {} samples of the other runs",
                run.name,
                answers.rows.len(),
                kept.len()
            ));
            run.answers = None;
        }
    }
    kept
}

/// The manifest that was named, or the one that a run names and that is still what it was.
fn find_data(request: &ReportRequest, runs: &[Run], problems: &mut Vec<String>) -> Option<DataSet> {
    let own: Vec<&Run> = runs.iter().filter(|run| !run.imported).collect();
    let digests: Vec<&str> = own.iter().map(|r| r.record.manifest_digest.as_str()).collect();
    if digests.iter().any(|d| *d != digests[0]) {
        problems.push("the runs were trained on different states of the data set".into());
    }
    let named = request.manifest.clone().map(|m| vec![m]);
    let candidates = named.unwrap_or_else(|| own.iter().copied().filter_map(manifest_of).collect());
    let mut reasons = Vec::new();
    for folder in &candidates {
        match read_data(folder, &digests) {
            Ok(data) => return Some(data),
            Err(e) => reasons.push(format!("{e:#}")),
        }
    }
    reasons.dedup();
    let why =
        if reasons.is_empty() { "name it with --manifest".into() } else { reasons.join("; ") };
    problems.push(format!("no data set is shown and no picture: {why}"));
    None
}

fn read_data(folder: &Path, digests: &[&str]) -> Result<DataSet> {
    let folder = manifest::folder_of(folder);
    let digest = manifest::digest(&folder)?;
    ensure!(
        digests.contains(&digest.as_str()),
        "{} is not the manifest that the runs were trained on (its digest is {digest})",
        folder.display()
    );
    Ok(DataSet { manifest: Manifest::read(&folder)?, folder, digest })
}

/// The manifest folder that a run's configuration file names.
fn manifest_of(run: &Run) -> Option<PathBuf> {
    let text = std::fs::read_to_string(run.folder.file("config.toml")).ok()?;
    let table: toml::Table = text.parse().ok()?;
    let path = PathBuf::from(table.get("data")?.get("manifest")?.as_str()?);
    // Relative to the run; runs of earlier versions kept the path as it was typed.
    [run.folder.path().join(&path), path].into_iter().find(|p| p.exists())
}

/// Whether the data set says that it was made from the synthetic corpus.
fn is_demonstration(meta: &manifest::Meta) -> bool {
    meta.get("corpus").is_some_and(|name| name == demo::NAME)
}

/// A configuration without what differs between seeds.
fn without_seed(config: &Value) -> Value {
    let mut config = config.clone();
    for table in ["", "/train"] {
        if let Some(Value::Object(map)) = config.pointer_mut(table) {
            map.remove("seed");
        }
    }
    config
}

fn groups(runs: &[Run]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (i, run) in runs.iter().enumerate().filter(|(_, r)| r.answers.is_some()) {
        let config = without_seed(&run.record.config);
        let same = |g: &&mut Group| g.label == run.record.label && g.config == config;
        match groups.iter_mut().find(same) {
            Some(group) => group.runs.push(i),
            None => groups.push(Group { label: run.record.label.clone(), runs: vec![i], config }),
        }
    }
    for group in &mut groups {
        group.runs.sort_by_key(|&i| (runs[i].record.seed, i));
    }
    make_labels_distinct(&mut groups, runs);
    groups
}

/// Different configurations under one label get their run id behind it.
fn make_labels_distinct(groups: &mut [Group], runs: &[Run]) {
    let labels: Vec<_> = groups.iter().map(|g| g.label.clone()).collect();
    for group in groups {
        if labels.iter().filter(|l| **l == group.label).count() > 1 {
            let id = &runs[group.runs[0]].record.run_id;
            group.label = format!("{} ({})", group.label, id.get(..6).unwrap_or(id));
        }
    }
}
