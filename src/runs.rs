//! The run folder: the files that one training run leaves behind, as typed readers and writers.
//!
//! `run.json` says what ran and what was selected, `metrics.csv` holds one row per epoch,
//! `test-looks.csv` one row per prediction on the test split, `predictions-<split>.parquet` the
//! answers. Whoever reports on runs reads them through here and needs no LibTorch.
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{bail, Context, Result};
use serde::{de::DeserializeOwned, Deserialize, Serialize};
use serde_json::Value;

use crate::{
    atomic,
    folder::OutputFolder,
    manifest,
    record::{Prediction, Split},
};

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// A process works on it, or died without a word.
    Running,
    /// Stopped by the user; `--resume` goes on.
    Interrupted,
    /// Stopped by an error, such as a loss that is not a number.
    Failed,
    /// Complete.
    Finished,
}

/// The checkpoint that a run stands for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Selected {
    /// Epoch of the joint stage, from 1.
    pub epoch: u32,
    /// Accuracy on the validation split after that epoch, 0..=1; `None` without such a split.
    pub val_accuracy: Option<f64>,
    /// Why this epoch, in words.
    pub reason: String,
}

/// The weights file that a run started from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartWeights {
    /// Its name, without its folder.
    pub file: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// Whose it is, such as `ImageNet`, where digest or tensor names tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// `run.json`: what ran, on what, with which outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Digest of configuration, pack and seed.
    pub run_id: String,
    /// Name of the run in tables: the grid's, or the model's.
    pub label: String,
    /// Model name as in the experiment file.
    pub model: String,
    /// Resolved configuration with digests instead of paths.
    pub config: Value,
    /// Seed of every draw.
    pub seed: u64,
    /// Digest of `samples.parquet`.
    pub manifest_digest: String,
    /// Digest of the training pack.
    pub pack_digest: String,
    /// Version of this program.
    pub program_version: String,
    /// Git commit that the program was built from, when known.
    pub commit: Option<String>,
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// The processor as the system calls it, with what decides the bits of bf16 sums; `None` in
    /// records of before it was written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processor: Option<String>,
    /// The weights file that the run started from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<StartWeights>,
    /// Whether it was trained on the synthetic corpus, as far as its data set told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub synthetic: bool,
    /// Threads of one operation.
    pub threads: u32,
    /// Parameters of the model, BatchNorm statistics counted.
    pub parameters: u64,
    /// What was selected; `None` before the first joint epoch.
    pub selected: Option<Selected>,
    /// Wall seconds of training, all sessions together.
    pub seconds: f64,
    /// Where the run stands.
    pub status: Status,
    /// What stopped it, when `status` is `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What a reader of the results should know, such as a collapsed fusion.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// One row of `metrics.csv`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRow {
    /// `face`, `context` (stage 1: one encoder with a head of its own) or `joint`.
    pub stage: String,
    /// Epoch of that stage, from 1.
    pub epoch: u32,
    /// Mean training loss of the epoch.
    pub train_loss: f64,
    /// Accuracy on the training batches as they were trained, 0..=1.
    pub train_accuracy: f64,
    /// Mean loss on the validation split; `None` when it is empty.
    pub val_loss: Option<f64>,
    /// Accuracy on the validation split, 0..=1; `None` when it is empty.
    pub val_accuracy: Option<f64>,
    /// Learning rate of the last step (of the heads, where encoders have another).
    pub learning_rate: f64,
    /// Training samples per second of wall time, validation left out.
    pub images_per_s: f64,
    /// Wall seconds of the epoch with its validation.
    pub seconds: f64,
    /// Mean fusion weight of the face branch on validation; `None` without fusion weights.
    pub w_face: Option<f64>,
    /// Mean fusion weight of the context branch on validation; `None` without fusion weights.
    pub w_context: Option<f64>,
}

/// One row of `test-looks.csv`: somebody predicted on the test split.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestLook {
    /// When, seconds since 1970-01-01 UTC.
    pub time: u64,
    /// SHA-256 of the prediction file that was written.
    pub predictions: String,
}

/// One row of `grid/status.json`: how a run of a grid stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GridRow {
    /// Name of its folder.
    pub run: String,
    /// Its label.
    pub label: String,
    /// Its seed.
    pub seed: u64,
    /// `done`, `done_before`, `failed`, `not_started`, or `cannot` where something that it needs
    /// is missing.
    #[serde(default)]
    pub state: String,
    /// What stopped it, or is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Writes how the runs of the grid in `folder` stand.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_grid(folder: &OutputFolder, rows: &[GridRow]) -> Result<()> {
    folder.write_json("grid/status.json", &rows)
}

/// How the runs of the grid in `folder` stand; no rows where no grid was run.
///
/// # Errors
/// When the file is damaged.
pub fn grid(folder: &Path) -> Result<Vec<GridRow>> {
    let path = folder.join("grid/status.json");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
}

/// Who looked at the test split, and when.
const LOOKS: &str = "test-looks.csv";

/// A run folder on disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunFolder {
    path: PathBuf,
}

/// The checkpoint that `--resume` goes on from.
pub const LAST: &str = "last.safetensors";
/// The checkpoint that the run stands for.
pub const BEST: &str = "best.safetensors";

/// The files that training writes into a run folder.
const TRAINING_FILES: [&str; 6] =
    ["config.toml", "metrics.csv", EVENTS, "last.safetensors", "best.safetensors", "run.json"];

/// The TensorBoard file of a run; TensorBoard looks for `tfevents` in the name.
pub const EVENTS: &str = "events.out.tfevents.ncaers";

impl RunFolder {
    /// What [`crate::folder::claim_standing`] is told of run folders.
    pub const PURPOSE: &str = "run";

    /// Claims every file that training is going to write.
    ///
    /// # Errors
    /// When one of them is not ours.
    pub fn claim_training(&self, out: &OutputFolder) -> Result<()> {
        TRAINING_FILES.iter().try_for_each(|name| out.target(name).map(drop))
    }

    /// Claims every file that prediction on `split` is going to write.
    ///
    /// # Errors
    /// When one of them is not ours.
    pub fn claim_predictions(&self, out: &OutputFolder, split: Split) -> Result<()> {
        let paths = [self.predictions_path(split), self.attention_path(split), self.file(LOOKS)];
        paths
            .iter()
            .filter_map(|path| path.file_name())
            .try_for_each(|name| out.target(name).map(drop))
    }

    /// The folder at `path`; nothing is read yet.
    pub fn new(path: &Path) -> Self {
        RunFolder { path: path.to_owned() }
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of one file of the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Path of the prediction file of a split.
    pub fn predictions_path(&self, split: Split) -> PathBuf {
        self.file(&format!("predictions-{split}.parquet"))
    }

    /// Path of the attention maps of a split; the file exists only for models with attention.
    pub fn attention_path(&self, split: Split) -> PathBuf {
        self.file(&format!("attention-{split}.safetensors"))
    }

    /// Whether `run.json` is there.
    pub fn exists(&self) -> bool {
        self.file("run.json").is_file()
    }

    /// Reads `run.json`.
    ///
    /// # Errors
    /// When it is missing or not a run record.
    pub fn record(&self) -> Result<RunRecord> {
        let path = self.file("run.json");
        let text = fs::read_to_string(&path)
            .with_context(|| format!("{} is not a run folder: no run.json", self.path.display()))?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} is not a run record", path.display()))
    }

    /// Writes `run.json`.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write_record(&self, record: &RunRecord) -> Result<()> {
        atomic::write_json(&self.file("run.json"), record)
    }

    /// Reads `metrics.csv`; no rows when it is missing.
    ///
    /// # Errors
    /// When a row is damaged.
    pub fn epochs(&self) -> Result<Vec<EpochRow>> {
        read_rows(&self.file("metrics.csv"))
    }

    /// Writes `metrics.csv` whole.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write_epochs(&self, rows: &[EpochRow]) -> Result<()> {
        write_rows(&self.file("metrics.csv"), rows)
    }

    /// Reads `test-looks.csv`; its length is how often the test split was looked at.
    ///
    /// # Errors
    /// When a row is damaged.
    pub fn test_looks(&self) -> Result<Vec<TestLook>> {
        read_rows(&self.file(LOOKS))
    }

    /// Adds a row to `test-looks.csv`.
    ///
    /// # Errors
    /// When the folder cannot be written or the file is damaged.
    pub fn add_test_look(&self, look: TestLook) -> Result<()> {
        let mut rows = self.test_looks()?;
        rows.push(look);
        write_rows(&self.file(LOOKS), &rows)
    }

    /// Reads the predictions of a split with their metadata.
    ///
    /// # Errors
    /// See [`manifest::Error`].
    pub fn predictions(
        &self,
        split: Split,
    ) -> Result<(Vec<Prediction>, BTreeMap<String, String>), manifest::Error> {
        manifest::read_predictions(&self.predictions_path(split))
    }
}

/// Every run folder directly below `folder`, or `folder` itself when it is one, in name order.
///
/// # Errors
/// When `folder` cannot be listed or holds no run.
pub fn find(folder: &Path) -> Result<Vec<RunFolder>> {
    if RunFolder::new(folder).exists() {
        return Ok(vec![RunFolder::new(folder)]);
    }
    let runs = below(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    if runs.is_empty() {
        let elsewhere = folder.join("runs");
        let hint = match below(&elsewhere).is_ok_and(|runs| !runs.is_empty()) {
            true => format!("did you mean {}?", elsewhere.display()),
            false => "none has a run.json".into(),
        };
        bail!("{} holds no run folder; {hint}", folder.display());
    }
    Ok(runs)
}

/// The run folders directly below a folder, in name order.
fn below(folder: &Path) -> std::io::Result<Vec<RunFolder>> {
    let entries = fs::read_dir(folder)?;
    let mut runs: Vec<_> = entries
        .filter_map(|entry| Some(RunFolder::new(&entry.ok()?.path())))
        .filter(RunFolder::exists)
        .collect();
    runs.sort();
    Ok(runs)
}

/// Epoch rows as CSV, the content of `metrics.csv`.
///
/// # Errors
/// When memory runs out.
pub fn epochs_to_csv(rows: &[EpochRow]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    rows.iter().try_for_each(|row| writer.serialize(row))?;
    writer.into_inner().context("cannot write rows")
}

/// Epoch rows out of CSV; every number comes back bit for bit.
///
/// # Errors
/// When a row is damaged.
pub fn epochs_from_csv(text: &[u8]) -> Result<Vec<EpochRow>> {
    Ok(csv::Reader::from_reader(text).deserialize().collect::<Result<_, _>>()?)
}

fn read_rows<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let mut reader =
        csv::Reader::from_path(path).with_context(|| format!("cannot read {}", path.display()))?;
    let rows = reader.deserialize().collect::<Result<_, _>>();
    rows.with_context(|| format!("{} has a damaged row", path.display()))
}

fn write_rows<T: Serialize>(path: &Path, rows: &[T]) -> Result<()> {
    atomic::write_with(path, |file| {
        let mut writer = csv::Writer::from_writer(file);
        rows.iter().try_for_each(|row| writer.serialize(row))?;
        Ok(writer.flush()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(epoch: u32, w_face: Option<f64>) -> EpochRow {
        EpochRow {
            stage: "joint".into(),
            epoch,
            train_loss: 1.25,
            train_accuracy: 0.5,
            val_loss: Some(1.0 / 3.0),
            val_accuracy: Some(0.1 + 0.2),
            learning_rate: 5e-4,
            images_per_s: 63.0,
            seconds: 2.5,
            w_face,
            w_context: w_face.map(|w| 1.0 - w),
        }
    }

    #[test]
    fn epoch_rows_come_back_bit_for_bit() {
        let dir = tempfile::tempdir().expect("temp dir");
        let folder = RunFolder::new(dir.path());
        assert_eq!(folder.epochs().expect("none yet"), []);
        let rows = vec![row(1, None), row(2, Some(0.25))];
        folder.write_epochs(&rows).expect("write");
        assert_eq!(folder.epochs().expect("read"), rows);
    }

    #[test]
    fn a_damaged_row_is_named() {
        let dir = tempfile::tempdir().expect("temp dir");
        let folder = RunFolder::new(dir.path());
        folder.write_epochs(&[row(1, None)]).expect("write");
        let text = fs::read_to_string(folder.file("metrics.csv")).expect("read");
        fs::write(folder.file("metrics.csv"), text.replace("0.5", "half")).expect("write");
        let message = format!("{:#}", folder.epochs().expect_err("damaged"));
        assert!(message.contains("metrics.csv has a damaged row"), "{message}");
    }

    #[test]
    fn every_look_at_the_test_split_is_counted() {
        let dir = tempfile::tempdir().expect("temp dir");
        let folder = RunFolder::new(dir.path());
        for n in 0..3 {
            let look = TestLook { time: n, predictions: "ab".into() };
            folder.add_test_look(look).expect("write");
            assert_eq!(folder.test_looks().expect("read").len() as u64, n + 1);
        }
    }

    #[test]
    fn folders_without_runs_are_refused() {
        let dir = tempfile::tempdir().expect("temp dir");
        let message = find(dir.path()).expect_err("empty").to_string();
        assert!(message.contains("holds no run folder"), "{message}");
        atomic::write(&dir.path().join("runs/x/run.json"), b"{}").expect("write");
        let message = find(dir.path()).expect_err("one further down").to_string();
        let meant = format!("did you mean {}?", dir.path().join("runs").display());
        assert!(message.ends_with(&meant), "{message}");
        for name in ["b", "a"] {
            atomic::write(&dir.path().join(name).join("run.json"), b"{}").expect("write");
        }
        let found = find(dir.path()).expect("two");
        assert_eq!(found.iter().map(|r| r.path().file_name()).collect::<Vec<_>>().len(), 2);
        assert!(found[0].path().ends_with("a"));
        assert!(found[0].record().is_err());
    }
}
