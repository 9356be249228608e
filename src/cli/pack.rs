//! `ncaers pack MANIFEST --out DIR`
use std::path::PathBuf;

use serde_json::json;

use super::{Done, Usage};
use crate::{
    manifest,
    pack::{self, PackInput, Preprocessing},
};

/// Turn a manifest's pictures into fixed-size u8 tensors for training
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: ncaers pack data/demo/manifest --out data/demo/pack")]
pub struct Args {
    /// The manifest folder
    manifest: PathBuf,
    /// The folder to fill with train, val and test.safetensors
    #[arg(long)]
    out: PathBuf,
    /// Which tensors to write: face, context_masked, context_visible, image
    #[arg(long, value_delimiter = ',', default_value = "face,context_masked")]
    inputs: Vec<PackInput>,
    /// Value of the masked pixels
    #[arg(long, default_value_t = 0)]
    mask_value: u8,
    /// Encode the masked context as JPEG of this quality and decode it again (the released code: 95)
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=100))]
    jpeg_round_trip: Option<u8>,
    /// Widen the face box by this share of its size on every side
    #[arg(long, default_value_t = 0.0)]
    margin: f64,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Done> {
    if !(0.0..=4.0).contains(&args.margin) {
        return Err(Usage(format!("--margin {} is not between 0 and 4", args.margin)).into());
    }
    let choices = Preprocessing {
        inputs: args.inputs.clone(),
        mask_value: args.mask_value,
        jpeg_round_trip: args.jpeg_round_trip,
        margin: args.margin,
    };
    let packed = pack::pack(&manifest::folder_of(&args.manifest), &choices, &args.out)?;
    if packed.already_done {
        let text = format!("already done: {}", args.out.display());
        return Ok(Done { text, json: json!({"already_done": true}), exit: 0 });
    }
    let words: Vec<_> = packed.samples.iter().map(|(split, n)| format!("{n} {split}")).collect();
    let text = format!("packed {} samples into {}", words.join(", "), args.out.display());
    let json = json!({"samples": packed.samples, "without_face": packed.without_face});
    Ok(Done { text, json, exit: 0 })
}
