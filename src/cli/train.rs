//! `ncaers train EXPERIMENT.toml --out RUN_DIR`
use std::{
    fmt::Write,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{bail, ensure, Context, Result};
use serde_json::{json, Value};

use super::{environment, Done};
use crate::{
    atomic,
    experiment::{self, Experiment},
    folder, manifest,
    model::{entry, ModelName},
    pack::{self, Pack},
    record::Split,
    runs::{RunFolder, RunRecord, Status},
    train::{self, Plan},
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
    /// Seed of every draw, in place of the file's
    #[arg(long)]
    seed: Option<u64>,
    /// Go on where an interrupted run stopped; starts anew when there is no checkpoint
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
    let plan = plan(&experiment, args.stage1_cache.clone())?;
    if args.dry_run {
        return dry_run(&experiment, &plan);
    }
    let folder = RunFolder::new(&args.out);
    let out = folder::claim_standing(&args.out, RunFolder::PURPOSE)?;
    folder.claim_training(&out)?;
    if let Some(done) = earlier(&folder, &plan, args.resume)? {
        return Ok(summary(&done, &folder, "already done"));
    }
    let kept = experiment.clone().seen_from(&args.out).to_toml()?;
    atomic::write(&folder.file(experiment::RUN_CONFIG), kept.as_bytes())?;
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        crate::progress::message("finishing the step and saving; again to end at once");
    })
    .context("cannot watch Ctrl-C")?;
    Ok(summary(&train::fit(&plan, &folder, &STOP)?, &folder, "finished"))
}

/// What is to be done, with the pack's and the manifest's digests.
fn plan(experiment: &Experiment, stage1_cache: Option<PathBuf>) -> Result<Plan> {
    let folder = experiment.pack()?;
    let pack = Pack::open(&pack::path_of(folder, Split::Train))?;
    if let Some(manifest) = &experiment.data.manifest {
        refuse_stale(&pack, folder, Path::new(manifest))?;
    }
    let identity = experiment.identity(&pack.digest(), pack.manifest_digest())?;
    Ok(Plan {
        label: experiment.label.clone().unwrap_or_else(|| default_label(experiment)),
        model: experiment.model.clone(),
        train: experiment.train.clone(),
        run_id: experiment::run_id(&identity),
        identity,
        synthetic: experiment.is_synthetic(),
        pack: folder.to_owned(),
        stage1_cache,
        streams: false,
    })
}

/// Refuses a pack that was made from another manifest, or from another state of this one.
pub(super) fn refuse_stale(pack: &Pack, folder: &Path, manifest: &Path) -> Result<()> {
    ensure!(
        pack.manifest_digest() == manifest::digest(manifest)?,
        "pack {} was not made from the present state of {}; run `ncaers pack` again",
        folder.display(),
        manifest.display()
    );
    Ok(())
}

fn default_label(experiment: &Experiment) -> String {
    let title = entry(experiment.model.name).title;
    match experiment.model.name {
        ModelName::Glamor => {
            let attention = json!(experiment.model.attention);
            format!("{title} ({})", attention.as_str().unwrap_or_default())
        }
        _ => title.to_owned(),
    }
}

/// The record of a run that is already complete; `None` when there is something to do.
fn earlier(folder: &RunFolder, plan: &Plan, resume: bool) -> Result<Option<RunRecord>> {
    if !folder.exists() {
        return Ok(None);
    }
    let old = folder.record()?;
    let differing = folder::differing_keys(&old.config, &plan.identity);
    if !differing.is_empty() {
        bail!(
            "{} holds a run of another configuration ({}); choose another folder or remove it",
            folder.path().display(),
            differing.join(", ")
        );
    }
    match old.status {
        Status::Finished => Ok(Some(old)),
        _ if resume => Ok(None),
        _ => bail!(
            "{} holds an unfinished run of this configuration; add --resume to go on, or remove it",
            folder.path().display()
        ),
    }
}

fn summary(record: &RunRecord, folder: &RunFolder, what: &str) -> Done {
    let selected = record.selected.as_ref().map_or_else(String::new, |s| {
        let accuracy = s
            .val_accuracy
            .map_or_else(String::new, |v| format!(" with validation accuracy {v:.4}"));
        format!(", selected epoch {}{accuracy}: {}", s.epoch, s.reason)
    });
    let device = &record.device;
    let mut text = format!("{device}: {}: {what}{selected}\n", folder.path().display());
    for warning in &record.warnings {
        let _ = writeln!(text, "{device}: warning: {warning}");
    }
    Done { text, json: json!({"state": what, "run": record}), exit: 0 }
}

/// The resolved configuration, and what a few steps on this machine let expect.
fn dry_run(experiment: &Experiment, plan: &Plan) -> Result<Done> {
    const STEPS: u32 = 5;
    let speed = train::speed(&plan.model, &plan.train, STEPS)?;
    let samples = Pack::open(&pack::path_of(&plan.pack, Split::Train))?.len();
    let epochs = experiment::forecast::joint_epochs(&plan.train);
    let seconds = epochs * samples as f64 / speed.images_per_s;
    let toml = experiment.to_toml()?;
    let text = format!(
        "{toml}\n# run id {}\n# {} parameters, {samples} training samples\n# about {} MiB of memory on {}, {:.1} images/s, {:.1} minutes\n",
        plan.run_id,
        speed.parameters,
        speed.peak_memory_mib,
        speed.device,
        speed.images_per_s,
        seconds / 60.0
    );
    let json: Value = json!({
        "run_id": plan.run_id,
        "config": experiment,
        "parameters": speed.parameters,
        "samples": samples,
        "memory_mib": speed.peak_memory_mib,
        "images_per_s": speed.images_per_s,
        "estimated_seconds": seconds,
    });
    Ok(Done { text, json, exit: 0 })
}
