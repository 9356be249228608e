//! `ncaers predict --run DIR --manifest M --split val|test`
use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use super::{manifest_arg::ManifestArg, Done};
use crate::{
    experiment::predict_run::{predict, PredictRequest},
    progress,
    record::Split,
};

/// Write the selected checkpoint's predictions (and attention maps) on a split into its run folder
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
    let predicted = predict(&PredictRequest {
        run: args.run.clone(),
        manifest: args.manifest.path().to_owned(),
        split: args.split,
        pack: args.pack.clone(),
        device: args.device.clone(),
    })?;
    if predicted.knows_drawn_faces_only {
        progress::message(&format!("note: {}", crate::annotate::DEMONSTRATION));
    }
    let what = if predicted.already_done { "already done" } else { "written" };
    let (device, path) = (&predicted.device, predicted.path.display());
    Ok(Done {
        text: format!("{device}: {path}: {what}, {} samples", predicted.samples),
        json: json!({
            "state": what,
            "predictions": predicted.path,
            "samples": predicted.samples,
            "split": args.split,
            "device": predicted.device,
            "precision": predicted.precision,
        }),
        exit: 0,
    })
}
