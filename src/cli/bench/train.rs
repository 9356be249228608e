//! `ncaers bench train`
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;

use crate::{
    cli::{environment, Done},
    experiment::Experiment,
    train,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The network, as in `ncaers model list`
    #[arg(long, default_value = "glamor")]
    model: String,
    /// Samples per step
    #[arg(long, default_value_t = 32)]
    batch: u32,
    /// fp32, tf32 (the same on the CPU) or bf16
    #[arg(long, default_value = "fp32")]
    precision: String,
    /// Steps to measure, in five windows
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// Threads of one operation; 0 = as many as there are cores
    #[arg(long, default_value_t = 0)]
    threads: u32,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: String,
    /// Measure whole epochs of a run on this pack folder too, beside the resident rate
    #[arg(long, value_name = "DIR")]
    pack: Option<PathBuf>,
    /// Let a thread cut the batches of the pack, as where the device cannot hold it
    #[arg(long, requires = "pack")]
    stream: bool,
    /// Resident steps and an epoch in turn, this often
    #[arg(long, default_value_t = 3, requires = "pack", value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Change any other key of an experiment, such as model.backbone=resnet18
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

pub(super) fn run(args: &Args) -> Result<Done> {
    let given = json!({
        "model": {"name": args.model},
        "train": {
            "batch_size": args.batch,
            "precision": args.precision,
            "threads": args.threads,
            "device": args.device,
        },
    });
    let experiment = Experiment::of(given, &args.set)?;
    environment::prepare(&experiment.train)?;
    if let Some(pack) = &args.pack {
        return epochs(args, &experiment, pack);
    }
    let speed = train::speed(&experiment.model, &experiment.train, args.steps)?;
    let text = format!(
        "{}: {:.1} images/s (best window {:.1}), {:.1} ms per step of {} ({:.1} ms of it input), {} threads, {}",
        args.model,
        speed.images_per_s,
        speed.images_per_s_best,
        speed.ms_per_step,
        args.batch,
        speed.input_ms_per_step,
        speed.threads,
        speed.device
    );
    let mut json = json!(speed);
    json["model"] = json!(args.model);
    json["batch"] = json!(args.batch);
    json["precision"] = json!(args.precision);
    json["steps"] = json!(args.steps);
    Ok(Done { text, json, exit: 0 })
}

/// Epochs of a real run beside the resident rate.
fn epochs(args: &Args, experiment: &Experiment, pack: &Path) -> Result<Done> {
    let Experiment { model, train: config, .. } = experiment;
    let speed = train::epoch_speed(model, config, pack, args.stream, args.steps, args.rounds)?;
    let text = format!(
        "{}: {:.1} images/s over epochs of {} samples from the pack, {:.1} on resident pictures: {:.1} % (rounds {}); validation and files take {:.1} % of an epoch",
        args.model,
        speed.epoch_images_per_s,
        speed.samples,
        speed.resident_images_per_s,
        100.0 * speed.share,
        speed.rounds.iter().map(|share| format!("{:.1}", 100.0 * share)).collect::<Vec<_>>().join(", "),
        100.0 * speed.rest,
    );
    let mut json = json!(speed);
    json["model"] = json!(args.model);
    json["batch"] = json!(args.batch);
    json["precision"] = json!(args.precision);
    json["streams"] = json!(args.stream);
    Ok(Done { text, json, exit: 0 })
}
