//! One run of an experiment, trained in its folder.
use std::{
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use anyhow::{bail, ensure, Result};
use serde_json::json;

use super::{forecast::joint_epochs, run_id, Experiment, RUN_CONFIG};
use crate::{
    atomic, folder, manifest,
    model::{entry, ModelName},
    pack::{self, Pack},
    record::Split,
    runs::{RunFolder, RunRecord, Status},
    train::{self, Plan, Speed},
};

/// Where and how an experiment is trained.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// The run folder to fill.
    pub out: PathBuf,
    /// Go on where an interrupted run stopped; without it a folder with such a run is refused.
    pub resume: bool,
    /// Folder in which the runs of a grid share their stage-1 encoders.
    pub stage1_cache: Option<PathBuf>,
}

/// A run that is complete.
#[derive(Clone, Debug)]
pub struct Trained {
    /// What the run folder records.
    pub record: RunRecord,
    /// Whether the folder held the same run before.
    pub already_done: bool,
}

/// Trains `experiment` into its run folder, from its last checkpoint where there is one.
///
/// `stop` ends it after the current step with a checkpoint and the error [`train::Interrupted`].
///
/// # Errors
/// When the pack is missing, stale or does not fit, the folder holds something else, or training
/// fails.
pub fn train(
    experiment: &Experiment,
    options: &TrainOptions,
    stop: &AtomicBool,
) -> Result<Trained> {
    let plan = plan(experiment, options.stage1_cache.clone())?;
    let folder = RunFolder::new(&options.out);
    let out = folder::claim_standing(&options.out, RunFolder::PURPOSE)?;
    folder.claim_training(&out)?;
    if let Some(record) = earlier(&folder, &plan, options.resume)? {
        return Ok(Trained { record, already_done: true });
    }
    let kept = experiment.clone().seen_from(&options.out).to_toml()?;
    atomic::write(&folder.file(RUN_CONFIG), kept.as_bytes())?;
    Ok(Trained { record: train::fit(&plan, &folder, stop)?, already_done: false })
}

/// What training would take on this machine.
#[derive(Clone, Debug)]
pub struct TrainForecast {
    /// Name of the run, of its configuration and data.
    pub run_id: String,
    /// Parameters of the network, BatchNorm statistics counted.
    pub parameters: u64,
    /// Training samples.
    pub samples: usize,
    /// What a few steps of the joint stage took.
    pub speed: Speed,
    /// Seconds of all epochs, validation and files left out.
    pub estimated_seconds: f64,
}

/// Takes a few steps and estimates from them what the whole run takes; writes nothing.
///
/// # Errors
/// When the pack is missing or stale, or memory does not hold a step.
pub fn forecast(experiment: &Experiment) -> Result<TrainForecast> {
    const STEPS: u32 = 5;
    let plan = plan(experiment, None)?;
    let speed = train::speed(&plan.model, &plan.train, STEPS)?;
    let samples = Pack::open(&pack::path_of(&plan.pack, Split::Train))?.len();
    let epochs = joint_epochs(&plan.train);
    Ok(TrainForecast {
        run_id: plan.run_id,
        parameters: speed.parameters,
        samples,
        estimated_seconds: epochs * samples as f64 / speed.images_per_s,
        speed,
    })
}

/// What is to be done, with the pack's and the manifest's digests.
///
/// # Errors
/// When the pack is missing, or was made from another state of the manifest.
pub fn plan(experiment: &Experiment, stage1_cache: Option<PathBuf>) -> Result<Plan> {
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
        run_id: run_id(&identity),
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
