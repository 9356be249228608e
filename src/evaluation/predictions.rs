//! Prediction files as commands name them: a run folder and a split, or anybody's table.
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{ensure, Context, Result};

use super::{
    frame::Frame,
    imported::{self, Imported, Reading},
};
use crate::{
    digest, manifest,
    record::{Emotion, Split},
    runs::{self, RunFolder},
    stats::{
        answers::{Answers, ScoreKind},
        warning::Warning,
    },
};

/// One model and seed, read.
#[derive(Clone, Debug)]
pub struct Predictions {
    /// Name in tables, unique among those of a command.
    pub name: String,
    /// What it is a seed of: the run's label, the table's model; the name for a bare file.
    pub label: String,
    /// Seed of the run, where there is one.
    pub seed: Option<u64>,
    /// The rows.
    pub answers: Answers,
    /// SHA-256 of the file.
    pub digest: String,
    /// How often the run predicted the test split; 0 for other splits and bare files.
    pub test_looks: usize,
    /// What reading found.
    pub warnings: Vec<Warning>,
    /// Whether the rows have ids of their own; without them nothing can be paired.
    pub has_ids: bool,
    /// The file.
    pub file: PathBuf,
    /// Whether nothing but the file's name says what it is.
    bare: bool,
}

/// Reads every path: a run folder of which `split` is taken, a folder of them, a prediction file of
/// this program, or anybody's table, which may hold several models and seeds.
///
/// # Errors
/// When a path is none of them, or the tables' classes do not agree.
pub fn read_all(paths: &[PathBuf], split: Split, reading: &Reading) -> Result<Vec<Predictions>> {
    let mut found = Vec::new();
    for path in paths {
        for path in members(path, split)? {
            found.push(find(&path, split)?);
        }
    }
    let mut reading = reading.clone();
    let ours = |found: &PredictionFile| found.ours;
    if reading.classes.is_empty() && found.iter().any(ours) {
        reading.classes = Emotion::ALL.map(|e| e.name().to_owned()).to_vec();
    }
    let tables: Vec<&Path> =
        found.iter().filter(|f| f.own.is_none()).map(|f| f.file.as_path()).collect();
    let mut tables = imported::read_all(&tables, &reading)?.into_iter();
    let mut all = Vec::new();
    for found in found {
        match found.own.clone() {
            Some(answers) => {
                let part = own(&found.file, answers, &reading)?;
                all.push(found.predictions(part)?);
            }
            None => {
                for part in tables.next().unwrap_or_default() {
                    all.push(found.clone().predictions(part)?);
                }
            }
        }
    }
    for (i, name) in unique(&all).into_iter().enumerate() {
        // Two files of one name in two folders are no seeds of one configuration.
        if all[i].bare {
            all[i].label.clone_from(&name);
        }
        all[i].name = name;
    }
    Ok(all)
}

/// Reads one path that holds one model and seed; see [`read_all`].
///
/// # Errors
/// Also when it holds several.
pub fn read(path: &Path, split: Split, reading: &Reading) -> Result<Predictions> {
    let mut all = read_all(&[path.to_owned()], split, reading)?;
    ensure!(
        all.len() == 1,
        "{} holds {} models or seeds ({}, ...); give it to `ncaers compare`, or one of them alone",
        path.display(),
        all.len(),
        all.iter().take(2).map(|p| p.name.as_str()).collect::<Vec<_>>().join(", ")
    );
    Ok(all.remove(0))
}

/// A file and what is known of it before its rows are read as a table.
#[derive(Clone)]
struct PredictionFile {
    path: PathBuf,
    file: PathBuf,
    run: RunFolder,
    /// The rows, where the file is one of this program's and whole.
    own: Option<Answers>,
    /// Whether this program says that it wrote the file.
    ours: bool,
    split: Split,
}

/// The runs of a folder of runs in name order; anything else alone.
fn members(path: &Path, split: Split) -> Result<Vec<PathBuf>> {
    let run = RunFolder::new(path);
    if !path.is_dir() || run.exists() || run.predictions_path(split).exists() {
        return Ok(vec![path.to_owned()]);
    }
    let found = runs::find(path)
        .with_context(|| format!("no predictions-{split}.parquet in {}", path.display()))?;
    Ok(found.iter().map(|run| run.path().to_owned()).collect())
}

fn find(path: &Path, split: Split) -> Result<PredictionFile> {
    let (file, run) = if path.is_dir() {
        let run = RunFolder::new(path);
        let file = run.predictions_path(split);
        ensure!(
            file.exists(),
            "{path} has no predictions of {split}; run `ncaers predict --run {path} --split {split}`",
            path = path.display()
        );
        (file, run)
    } else {
        (path.to_owned(), RunFolder::new(path.parent().unwrap_or(Path::new("."))))
    };
    let frame = Frame::open(&file)?;
    let ours = frame.note("ncaers.table").is_some();
    // A file with our name on it that is not quite ours is read as a table.
    let own = ours.then(|| manifest::read_predictions(&file).ok()).flatten();
    let own = own.map(|(rows, _)| Answers::of_predictions(&rows));
    Ok(PredictionFile { path: path.to_owned(), file, run, own, ours, split })
}

/// Rows of this program, or with its name on them, as if they came from a table.
fn own(file: &Path, answers: Answers, reading: &Reading) -> Result<Imported> {
    let mut answers = match &reading.units {
        Some(units) => units.applied(&answers)?,
        None => answers,
    };
    let mut warnings = Vec::new();
    if let Some(scores) = answers.scores.as_mut().filter(|_| reading.scores.is_none()) {
        if imported::all_sum_to_one(&scores.values, answers.classes.len()) {
            scores.kind = ScoreKind::Probabilities;
            warnings.push(imported::taken_for_probabilities(&file.display().to_string()));
        }
    }
    Ok(Imported { model: None, seed: None, answers, warnings, has_ids: true })
}

impl PredictionFile {
    fn predictions(self, part: Imported) -> Result<Predictions> {
        let record = if self.run.exists() { Some(self.run.record()?) } else { None };
        let of_test = self.file.file_name() == self.run.predictions_path(Split::Test).file_name();
        let looks = record.is_some() || self.split == Split::Test && of_test;
        let test_looks = if looks && of_test { self.run.test_looks()?.len() } else { 0 };
        let bare =
            || name_of(&self.path).with_context(|| format!("{} has no name", self.path.display()));
        let is_bare = part.model.is_none() && record.is_none() && part.seed.is_none();
        let name = match (part.model, &record) {
            (Some(model), _) => model,
            (None, Some(record)) => record.label.clone(),
            (None, None) => bare()?,
        };
        Ok(Predictions {
            label: name.clone(),
            name,
            seed: part.seed.or(record.map(|r| r.seed)),
            answers: part.answers,
            digest: digest::sha256_file(&self.file)?,
            test_looks,
            warnings: part.warnings,
            has_ids: part.has_ids,
            file: self.file,
            bare: is_bare,
        })
    }
}

/// A file's stem, or a folder's name; `predictions-test.parquet` is called after its folder.
fn name_of(path: &Path) -> Option<String> {
    let text = |part: &std::ffi::OsStr| part.to_string_lossy().into_owned();
    if path.is_dir() {
        return path.canonicalize().ok()?.file_name().map(text);
    }
    let stem = path.file_stem().map(text)?;
    let folder = path.parent().and_then(Path::file_name).map(text);
    Some(if stem.starts_with("predictions-") { folder.unwrap_or(stem) } else { stem })
}

/// Names without repetition: the seed is added where labels repeat, then a number.
fn unique(all: &[Predictions]) -> Vec<String> {
    let count = |names: &[String]| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        names.iter().for_each(|name| *counts.entry(name.clone()).or_default() += 1);
        counts
    };
    let labels: Vec<String> = all.iter().map(|a| a.label.clone()).collect();
    let repeated = count(&labels);
    let with_seed = |a: &Predictions| match a.seed {
        Some(seed) if repeated[&a.label] > 1 => format!("{} seed {seed}", a.label),
        _ => a.label.clone(),
    };
    let names: Vec<String> = all.iter().map(with_seed).collect();
    let repeated = count(&names);
    let mut seen: BTreeMap<&String, usize> = BTreeMap::new();
    let numbered = |name| {
        let number = seen.entry(name).or_default();
        *number += 1;
        if repeated[name] > 1 {
            format!("{name} #{number}")
        } else {
            name.clone()
        }
    };
    names.iter().map(numbered).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{manifest::Meta, record::Prediction};

    fn predictions(label: &str, seed: Option<u64>) -> Predictions {
        let (name, label) = (label.to_owned(), label.to_owned());
        Predictions {
            name,
            label,
            seed,
            answers: Answers::of_predictions(&[]),
            digest: String::new(),
            test_looks: 0,
            warnings: Vec::new(),
            has_ids: true,
            file: PathBuf::new(),
            bare: false,
        }
    }

    #[test]
    fn names_do_not_repeat() {
        let all =
            [("a", Some(1)), ("a", Some(2)), ("b", None), ("c", None), ("c", None), ("a", Some(2))];
        let names = unique(&all.map(|(label, seed)| predictions(label, seed)));
        assert_eq!(names, ["a seed 1", "a seed 2 #1", "b", "c #1", "c #2", "a seed 2 #2"]);
    }

    #[test]
    fn beside_a_file_of_ours_another_has_our_classes() {
        let folder = tempfile::tempdir().expect("folder");
        let [ours, table] = ["ours.parquet", "other.csv"].map(|name| folder.path().join(name));
        let row = Prediction {
            sample_id: "x".into(),
            clip_id: "c".into(),
            group_id: "g".into(),
            target: 0,
            predicted: 5,
            logits: [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0],
            w_face: None,
            w_context: None,
        };
        manifest::write_predictions(&ours, &[row], &Meta::default()).expect("writable");
        std::fs::write(&table, "id,group,target,predicted\nx,g,0,1\n").expect("writable");
        let read = read_all(&[table, ours], Split::Test, &Reading::default()).expect("of one task");
        let classes = read.iter().map(|predictions| predictions.answers.classes.len());
        assert_eq!(classes.collect::<Vec<_>>(), [Emotion::ALL.len(); 2]);
        let predicted = read.iter().map(|predictions| predictions.answers.rows[0].predicted);
        assert_eq!(predicted.collect::<Vec<_>>(), [1, 5]);
    }
}
