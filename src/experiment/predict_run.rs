//! The answers of a run on a split, written into its folder.
use std::{
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};

use super::{train_run::refuse_stale, Experiment};
use crate::{
    corpus,
    device::{ComputeDevice, Precision},
    digest,
    folder::OutputFolder,
    manifest::{self, Meta},
    pack::{self, Pack},
    progress,
    record::Split,
    runs::{self, RunFolder, RunRecord, TestLook},
    train,
};

/// Which run answers, and on what.
#[derive(Clone, Debug)]
pub struct PredictRequest {
    /// The run folder.
    pub run: PathBuf,
    /// The manifest folder; the pack must have been made from its present state.
    pub manifest: PathBuf,
    /// The split; every prediction on test is counted in the run folder.
    pub split: Split,
    /// The pack folder; without it the one that the run was trained on.
    pub pack: Option<PathBuf>,
    /// `auto`, `cpu`, `cuda` or `cuda:N`; the number format is the run's own.
    pub device: String,
}

/// Answers that are in the run folder.
#[derive(Clone, Debug)]
pub struct Predicted {
    /// The file of the answers.
    pub path: PathBuf,
    /// Their number.
    pub samples: usize,
    /// Where they were computed, in words.
    pub device: String,
    /// In which number format.
    pub precision: Precision,
    /// Whether the network was trained on the synthetic corpus and was asked about other pictures.
    pub knows_drawn_faces_only: bool,
    /// Whether the same answers were there before.
    pub already_done: bool,
}

/// Predicts with the selected checkpoint and writes answers (and attention maps) into the run
/// folder.
///
/// # Errors
/// When the run is not finished, the pack is missing or stale, or the folder cannot be written.
pub fn predict(request: &PredictRequest) -> Result<Predicted> {
    let split = request.split;
    let folder = RunFolder::new(&request.run);
    let record = folder.record()?;
    let out = OutputFolder::reopen(&request.run)?;
    let pack_folder = match &request.pack {
        Some(given) => given.clone(),
        None => trained_on(&folder)?,
    };
    let pack = Pack::open(&pack::path_of(&pack_folder, split))?;
    refuse_stale(&pack, &pack_folder, &request.manifest)?;
    let machine = ComputeDevice::open(&request.device, train::precision_of(&record)?)?;
    machine.warning().iter().for_each(|warning| progress::message(warning));
    let meta = meta(&folder, &record, &pack, split, &machine)?;
    let knows_drawn_faces_only = is_demonstration(&folder, &record, &request.manifest);
    let predicted = |samples, already_done| Predicted {
        path: folder.predictions_path(split),
        samples,
        device: machine.to_string(),
        precision: machine.precision(),
        knows_drawn_faces_only,
        already_done,
    };
    if let Some(rows) = earlier(&folder, split, &meta) {
        return Ok(predicted(rows, true));
    }
    train::use_threads_of(&record);
    folder.claim_predictions(&out, split)?;
    let (rows, attention) = train::predict(&folder, &pack_folder, split, machine.device())?;
    if let Some(maps) = &attention {
        train::write_attention(&folder, split, maps)?;
    }
    let path = folder.predictions_path(split);
    manifest::write_predictions(&path, &rows, &meta)?;
    if split == Split::Test {
        folder
            .add_test_look(TestLook { time: now()?, predictions: digest::sha256_file(&path)? })?;
    }
    Ok(predicted(rows.len(), false))
}

/// Whether a network that knows drawn faces only is asked about others.
fn is_demonstration(folder: &RunFolder, record: &RunRecord, manifest: &Path) -> bool {
    // Records of before it was written down leave it to the data set.
    let knows_drawn = || Experiment::of_run(folder.path()).is_ok_and(|e| e.is_synthetic());
    let is_other = !corpus::demo::is_source_of(&manifest::folder_of(manifest));
    is_other && (record.synthetic || knows_drawn())
}

/// The pack that the run's own configuration names.
fn trained_on(folder: &RunFolder) -> Result<PathBuf> {
    let experiment = Experiment::of_run(folder.path())?;
    Ok(experiment.pack()?.to_owned())
}

/// What the predictions depend on.
fn meta(
    folder: &RunFolder,
    record: &RunRecord,
    pack: &Pack,
    split: Split,
    machine: &ComputeDevice,
) -> Result<Meta> {
    let checkpoint = folder.file(runs::BEST);
    let checkpoint = match checkpoint.exists() {
        true => digest::sha256_file(&checkpoint)?,
        // The prediction itself says what is missing.
        false => String::new(),
    };
    Ok(Meta::from([
        ("checkpoint".to_owned(), checkpoint),
        ("device".to_owned(), machine.kind().to_owned()),
        ("label".to_owned(), record.label.clone()),
        ("manifest_digest".to_owned(), pack.manifest_digest().to_owned()),
        ("model".to_owned(), record.model.clone()),
        ("pack_digest".to_owned(), pack.digest()),
        ("precision".to_owned(), machine.precision().to_string()),
        ("run_id".to_owned(), record.run_id.clone()),
        ("seed".to_owned(), record.seed.to_string()),
        ("split".to_owned(), split.to_string()),
    ]))
}

/// Number of rows of a prediction file that is already what would be written.
fn earlier(folder: &RunFolder, split: Split, meta: &Meta) -> Option<usize> {
    let (rows, found) = folder.predictions(split).ok()?;
    (found == *meta).then_some(rows.len())
}

fn now() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?.as_secs())
}
