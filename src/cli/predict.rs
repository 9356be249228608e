//! `ncaers predict --run DIR --manifest M --split val|test`
use std::{
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use serde_json::json;

use super::{manifest_arg::ManifestArg, train::refuse_stale, Done};
use crate::{
    digest,
    experiment::Experiment,
    folder::OutputFolder,
    manifest::{self, Meta},
    model,
    pack::{self, Pack},
    record::Split,
    runs::{self, RunFolder, RunRecord, TestLook},
    train,
};

/// Write the selected checkpoint's answers (and attention maps) on a split into its run folder
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example, after `ncaers demo`: ncaers predict data/demo/manifest --run data/demo/runs/GLA-1 --split test"
)]
pub struct Args {
    /// The run folder
    #[arg(long)]
    run: PathBuf,
    /// The pack must have been made from the manifest's present state
    #[command(flatten)]
    manifest: ManifestArg,
    /// train, val or test; every prediction on test is counted in test-looks.csv
    #[arg(long)]
    split: Split,
    /// The pack folder [default: the one that the run was trained on]
    #[arg(long)]
    pack: Option<PathBuf>,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: String,
}

pub(super) fn run(args: &Args) -> Result<Done> {
    let folder = RunFolder::new(&args.run);
    let record = folder.record()?;
    let out = OutputFolder::reopen(&args.run)?;
    let pack_folder = match &args.pack {
        Some(given) => given.clone(),
        None => trained_on(&folder)?,
    };
    let pack = Pack::open(&pack::path_of(&pack_folder, args.split))?;
    refuse_stale(&pack, &pack_folder, args.manifest.path())?;
    let meta = meta(&folder, &record, &pack, args.split)?;
    if let Some(rows) = earlier(&folder, args.split, &meta) {
        return Ok(summary(&folder, args.split, rows, "already done"));
    }
    let device = model::device(&args.device)?;
    train::use_threads_of(&record);
    folder.claim_predictions(&out, args.split)?;
    let (rows, attention) = train::predict(&folder, &pack_folder, args.split, device)?;
    if let Some(maps) = &attention {
        train::write_attention(&folder, args.split, maps)?;
    }
    let path = folder.predictions_path(args.split);
    manifest::write_predictions(&path, &rows, &meta)?;
    if args.split == Split::Test {
        folder
            .add_test_look(TestLook { time: now()?, predictions: digest::sha256_file(&path)? })?;
    }
    Ok(summary(&folder, args.split, rows.len(), "written"))
}

/// The pack that the run's own configuration names.
fn trained_on(folder: &RunFolder) -> Result<PathBuf> {
    let experiment = Experiment::of_run(folder.path())?;
    Ok(experiment.pack()?.to_owned())
}

/// What the predictions depend on.
fn meta(folder: &RunFolder, record: &RunRecord, pack: &Pack, split: Split) -> Result<Meta> {
    let checkpoint = folder.file(runs::BEST);
    let checkpoint = match checkpoint.exists() {
        true => digest::sha256_file(&checkpoint)?,
        // The prediction itself says what is missing.
        false => String::new(),
    };
    Ok(Meta::from([
        ("checkpoint".to_owned(), checkpoint),
        ("label".to_owned(), record.label.clone()),
        ("manifest_digest".to_owned(), pack.manifest_digest().to_owned()),
        ("model".to_owned(), record.model.clone()),
        ("pack_digest".to_owned(), pack.digest()),
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

fn summary(folder: &RunFolder, split: Split, rows: usize, what: &str) -> Done {
    let path: &Path = &folder.predictions_path(split);
    Done {
        text: format!("{}: {what}, {rows} samples", path.display()),
        json: json!({"state": what, "predictions": path, "samples": rows, "split": split}),
        exit: 0,
    }
}
