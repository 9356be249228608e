//! `ncaers export M --layout ncaer-s|caer-s|coco|imagefolder|boxes --out DIR`
use std::path::PathBuf;

use serde_json::json;

use super::{manifest_arg::ManifestArg, Done};
use crate::dataset;

/// Write a manifest's pictures and boxes as other tools read them
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: ncaers export manifests/ncaers --layout imagefolder --out export/ncaers"
)]
pub struct Args {
    #[command(flatten)]
    manifest: ManifestArg,
    /// The layout; boxes is the list that `build --detector boxes=` reads
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(dataset::LAYOUTS))]
    layout: String,
    /// The folder to fill
    #[arg(long)]
    out: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Done> {
    let done = dataset::export(args.manifest.path(), &args.layout, &args.out)?;
    let text = if done.already_done {
        format!("already done: {}", args.out.display())
    } else {
        format!(
            "{} samples in {} as {}, {} pictures; {} samples have no face",
            done.samples,
            args.out.display(),
            args.layout,
            done.pictures,
            done.without_face
        )
    };
    Ok(Done { text, json: json!(done), exit: 0 })
}
