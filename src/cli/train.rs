//! `ncaers train EXPERIMENT.toml --out RUN_DIR`
use std::{
    fmt::Write,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Context, Result};
use serde_json::json;

use super::{environment, Done};
use crate::{
    experiment::{
        train_run::{self, TrainForecast, TrainOptions},
        Experiment,
    },
    runs::RunRecord,
};

/// Train one run of an experiment
///
/// Ctrl-C (or SIGTERM) finishes the step, saves and ends with exit status 1; the same command
/// with --resume goes on from there and ends in the same bytes as a run that was never stopped.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example, after `ncaers demo`: ncaers train data/demo/experiments/demo.toml --run GLA --seed 2 --out runs/gla-2"
)]
pub struct Args {
    /// The experiment file: differences from the paper's protocol
    experiment: PathBuf,
    /// The run of this label, where the file is a grid of runs
    #[arg(long, value_name = "LABEL")]
    run: Option<String>,
    /// The run folder to fill
    #[arg(long)]
    out: PathBuf,
    /// Random seed, in place of the file's
    #[arg(long)]
    seed: Option<u64>,
    /// Resume an interrupted run; starts from the beginning when there is no checkpoint
    #[arg(long)]
    resume: bool,
    /// Print the resolved configuration with estimates of size, memory and time, and train nothing
    #[arg(long)]
    dry_run: bool,
    /// Change a key, such as train.epochs=10
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Folder in which the runs of a grid share their stage-1 encoders
    #[arg(long, value_name = "DIR")]
    stage1_cache: Option<PathBuf>,
}

/// Set by the first Ctrl-C.
static STOP: AtomicBool = AtomicBool::new(false);

pub(super) fn run(args: &Args) -> Result<Done> {
    let mut settings = args.set.clone();
    settings.extend(args.seed.map(|seed| format!("train.seed={seed}")));
    let experiment = match &args.run {
        Some(label) => Experiment::of_grid(&args.experiment, label, &settings)?,
        None => Experiment::read(&args.experiment, &settings)?,
    };
    environment::prepare(&experiment.train)?;
    if args.dry_run {
        return dry_run(&experiment);
    }
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        crate::progress::message("finishing the step and saving; again to end at once");
    })
    .context("cannot watch Ctrl-C")?;
    let options = TrainOptions {
        out: args.out.clone(),
        resume: args.resume,
        stage1_cache: args.stage1_cache.clone(),
    };
    let trained = train_run::train(&experiment, &options, &STOP)?;
    let what = if trained.already_done { "already done" } else { "finished" };
    Ok(summary(&trained.record, &args.out, what))
}

fn summary(record: &RunRecord, folder: &Path, what: &str) -> Done {
    let selected = record.selected.as_ref().map_or_else(String::new, |s| {
        let accuracy = s
            .val_accuracy
            .map_or_else(String::new, |v| format!(" with validation accuracy {v:.4}"));
        format!(", selected epoch {}{accuracy}: {}", s.epoch, s.reason)
    });
    let device = &record.device;
    let mut text = format!("{device}: {}: {what}{selected}\n", folder.display());
    for warning in &record.warnings {
        let _ = writeln!(text, "{device}: warning: {warning}");
    }
    Done { text, json: json!({"state": what, "run": record}), exit: 0 }
}

/// The resolved configuration, and what a few steps on this machine let expect.
fn dry_run(experiment: &Experiment) -> Result<Done> {
    let TrainForecast { run_id, parameters, samples, speed, estimated_seconds } =
        train_run::forecast(experiment)?;
    let toml = experiment.to_toml()?;
    let text = format!(
        "{toml}\n# run id {run_id}\n# {parameters} parameters, {samples} training samples\n# about {} MiB of memory on {}, {:.1} images/s, {:.1} minutes\n",
        speed.peak_memory_mib,
        speed.device,
        speed.images_per_s,
        estimated_seconds / 60.0
    );
    let json = json!({
        "run_id": run_id,
        "config": experiment,
        "parameters": parameters,
        "samples": samples,
        "memory_mib": speed.peak_memory_mib,
        "images_per_s": speed.images_per_s,
        "estimated_seconds": estimated_seconds,
    });
    Ok(Done { text, json, exit: 0 })
}
