//! `ncaers pack MANIFEST --out DIR`
use std::path::PathBuf;

use serde_json::json;

use super::{Done, Usage};
use crate::{
    folder::{self, Claim},
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
    let folder = manifest::folder_of(&args.manifest);
    let (samples, _) = manifest::read_samples(&folder.join("samples.parquet"))?;
    let digest = manifest::digest(&folder)?;
    let mut inputs = args.inputs.clone();
    inputs.sort();
    inputs.dedup();
    let choices = Preprocessing {
        inputs,
        mask_value: args.mask_value,
        jpeg_round_trip: args.jpeg_round_trip,
        margin: args.margin,
    };
    let configuration = json!({"manifest_digest": digest, "preprocessing": choices});
    let out = match folder::claim(&args.out, &configuration)? {
        Claim::Done => {
            let text = format!("already done: {}", args.out.display());
            return Ok(Done { text, json: json!({"already_done": true}), exit: 0 });
        }
        Claim::Fresh(out) | Claim::Resume(out) => out,
    };
    let counts = pack::write(&samples, &folder, &digest, &choices, &out)?;
    out.finish()?;
    let words: Vec<_> = counts.iter().map(|(split, n)| format!("{n} {split}")).collect();
    let text = format!("packed {} samples into {}", words.join(", "), args.out.display());
    let faceless = samples.iter().filter(|s| s.face.is_none()).count();
    Ok(Done { text, json: json!({"samples": counts, "without_face": faceless}), exit: 0 })
}
