//! `ncaers predict --run DIR --manifest M --split val|test`
use std::{
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use serde_json::json;

use super::{manifest_arg::ManifestArg, train::refuse_stale, Done};
use crate::{
    corpus,
    device::ComputeDevice,
    digest,
    experiment::Experiment,
    folder::OutputFolder,
    manifest::{self, Meta},
    pack::{self, Pack},
    progress,
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
    /// auto, cpu, cuda or cuda:N; the number format is the run's own
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
    let machine = ComputeDevice::open(&args.device, train::precision_of(&record)?)?;
    let notice = notice(&folder, &record, args.manifest.path());
    if let Some(notice) = notice {
        progress::message(&format!("note: {notice}"));
    }
    let meta = meta(&folder, &record, &pack, args.split, &machine)?;
    if let Some(rows) = earlier(&folder, args.split, &meta) {
        return Ok(summary(&folder, args.split, rows, "already done", &machine));
    }
    let device = machine.device();
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
    Ok(summary(&folder, args.split, rows.len(), "written", &machine))
}

/// What must be said of a network that knows drawn faces only and is asked about others.
fn notice(folder: &RunFolder, record: &RunRecord, manifest: &Path) -> Option<&'static str> {
    // Records of before it was written down leave it to the data set.
    let knows_drawn = || Experiment::of_run(folder.path()).is_ok_and(|e| e.is_synthetic());
    let is_other = !corpus::demo::is_source_of(&manifest::folder_of(manifest));
    (is_other && (record.synthetic || knows_drawn())).then_some(super::DEMONSTRATION)
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

fn summary(
    folder: &RunFolder,
    split: Split,
    rows: usize,
    what: &str,
    machine: &ComputeDevice,
) -> Done {
    let path: &Path = &folder.predictions_path(split);
    Done {
        text: format!("{machine}: {}: {what}, {rows} samples", path.display()),
        json: json!({
            "state": what,
            "predictions": path,
            "samples": rows,
            "split": split,
            "device": machine.to_string(),
            "precision": machine.precision(),
        }),
        exit: 0,
    }
}
