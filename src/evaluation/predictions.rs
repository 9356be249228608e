//! Prediction files as commands name them: a Parquet file, or a run folder and a split.
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    digest, manifest,
    record::{Prediction, Split},
    runs::RunFolder,
};

/// One prediction file, read.
#[derive(Debug)]
pub struct Predictions {
    /// Name in tables, unique among the files of a command.
    pub name: String,
    /// What the run is a seed of: its label; the name for a file without a run.
    pub label: String,
    /// Seed of the run, where there is one.
    pub seed: Option<u64>,
    /// The rows.
    pub rows: Vec<Prediction>,
    /// SHA-256 of the file.
    pub digest: String,
    /// How often the run predicted the test split; 0 for other splits and bare files.
    pub test_looks: usize,
}

/// Reads every path: a prediction file, or a run folder of which `split` is taken.
///
/// # Errors
/// When a path is neither, or its file is no prediction table.
pub fn read_all(paths: &[PathBuf], split: Split) -> Result<Vec<Predictions>> {
    let mut all = paths.iter().map(|path| read(path, split)).collect::<Result<Vec<_>>>()?;
    for (i, name) in unique(&all).into_iter().enumerate() {
        all[i].name = name;
    }
    Ok(all)
}

/// Reads one path; see [`read_all`].
pub fn read(path: &Path, split: Split) -> Result<Predictions> {
    let (file, run) = if path.is_dir() {
        let run = RunFolder::new(path);
        (run.predictions_path(split), run)
    } else {
        (path.to_owned(), RunFolder::new(path.parent().unwrap_or(Path::new("."))))
    };
    let (rows, _) = manifest::read_predictions(&file)?;
    let record = if run.exists() { Some(run.record()?) } else { None };
    let of_test = file.file_name() == run.predictions_path(Split::Test).file_name();
    let test_looks = if of_test { run.test_looks()?.len() } else { 0 };
    let name = match &record {
        Some(record) => record.label.clone(),
        None => name_of(path).with_context(|| format!("{} has no name", path.display()))?,
    };
    let digest = digest::sha256_file(&file)?;
    Ok(Predictions {
        label: name.clone(),
        name,
        seed: record.map(|r| r.seed),
        rows,
        digest,
        test_looks,
    })
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

    fn answers(label: &str, seed: Option<u64>) -> Predictions {
        let (name, label) = (label.to_owned(), label.to_owned());
        Predictions { name, label, seed, rows: Vec::new(), digest: String::new(), test_looks: 0 }
    }

    #[test]
    fn names_do_not_repeat() {
        let all =
            [("a", Some(1)), ("a", Some(2)), ("b", None), ("c", None), ("c", None), ("a", Some(2))];
        let names = unique(&all.map(|(label, seed)| answers(label, seed)));
        assert_eq!(names, ["a seed 1", "a seed 2 #1", "b", "c #1", "c #2", "a seed 2 #2"]);
    }
}
