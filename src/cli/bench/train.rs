//! `ncaers bench train`
use anyhow::Result;
use serde_json::json;

use crate::{cli::Done, experiment::Experiment, train};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The network, as in `ncaers model list`
    #[arg(long, default_value = "glamor")]
    model: String,
    /// Samples per step
    #[arg(long, default_value_t = 32)]
    batch: u32,
    /// fp32 or bf16
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
