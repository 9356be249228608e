//! `ncaers import --layout caer-s|ncaer-s|csv --root DIR --out DIR`
use std::path::PathBuf;

use super::{build::done, Done, Usage};
use crate::{
    corpus::{self, Choices},
    dataset::{self, Asked, Faces, ImportConfig},
    face::{self, boxes::Format, Choice},
    split::{holdout::ValShare, Balance, OnLeak, Shares},
};

/// Turn existing stills into a manifest, with given face boxes or a detector's
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: ncaers import --layout caer-s --root data/CAER-S --boxes caers-annotation=train.txt --out manifests/caer-s"
)]
pub struct Args {
    /// Layout of the stills: caer-s, ncaer-s, or csv (samples.csv with path,label[,split[,group]])
    #[arg(long)]
    layout: String,
    /// The folder of the stills, or the CSV list itself
    #[arg(long)]
    root: PathBuf,
    /// The folder to fill with tables, pictures and card
    #[arg(long)]
    out: PathBuf,
    /// Box files: glamor (a folder), caer-net-s, caers-annotation, coco or ncaers
    #[arg(long, value_name = "FORMAT=PATH")]
    boxes: Option<String>,
    /// Find faces instead: seeta or mmod
    #[arg(long, value_name = "NAME", conflicts_with = "boxes", default_value = "none")]
    detector: String,
    /// Where mmod runs: cpu (the default), auto, cuda or cuda:N
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// Which of several faces is the sample's: highest (score), largest or central
    #[arg(long, value_name = "WHICH", default_value = "highest")]
    choose: Choice,
    /// Widen the chosen box by this share of its size on every side
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    margin: f64,
    /// Leave out stills without a face
    #[arg(long)]
    require_face: bool,
    /// Largest class at most R times the smallest: ratio=R, equal or none
    #[arg(long, default_value = "none")]
    balance: Balance,
    /// Shares of train, validation and test, where the stills have no split of their own
    /// [default: 70/10/20]
    #[arg(long, value_name = "SHARES")]
    split: Option<Shares>,
    /// Percent of train that become the validation part, where the stills have train and test only
    /// [default: 10]
    #[arg(long, value_name = "PERCENT")]
    val_share: Option<ValShare>,
    /// What to do with near-duplicates in two splits: remove-eval, remove-train, keep or fail
    #[arg(long, default_value = "remove-eval", value_name = "POLICY")]
    on_leak: OnLeak,
    /// What the labels of a csv list mean: a file of lines such as `4 Sad`, `-` for left out
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Seed of the split
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Done> {
    let usage = |error: anyhow::Error| Usage(format!("{error:#}"));
    if args.device.is_some() && args.detector != "mmod" {
        let what = "--device is for --detector mmod, and --detector is";
        return Err(Usage(format!("{what} {}", args.detector)).into());
    }
    if !(0.0..=4.0).contains(&args.margin) {
        return Err(Usage(format!("--margin {} is not between 0 and 4", args.margin)).into());
    }
    let config = ImportConfig {
        choose: args.choose,
        margin: args.margin,
        require_face: args.require_face,
        balance: args.balance,
        split: args.split.unwrap_or(Shares::DEFAULT),
        on_leak: args.on_leak,
        ..ImportConfig::new(args.seed, &args.layout)
    };
    if args.labels.is_some() && args.layout != "csv" {
        return Err(Usage("--labels is for --layout csv: folders are named by class".into()).into());
    }
    let labels = args.labels.as_deref().map(corpus::labels::read).transpose()?.unwrap_or_default();
    let (choices, faces) = (Choices { labels }, faces(args).map_err(usage)?);
    let asked = Asked { split: args.split.is_some(), val_share: args.val_share };
    let outcome = dataset::import(&config, asked, &args.root, &choices, &faces, &args.out)?;
    Ok(done(outcome, &args.out))
}

fn faces(args: &Args) -> anyhow::Result<Faces> {
    if let Some(boxes) = &args.boxes {
        let (format, path) = boxes
            .split_once('=')
            .ok_or_else(|| anyhow::anyhow!("--boxes `{boxes}` is not of the form FORMAT=PATH"))?;
        return Ok(Faces::Boxes(format.parse()?, PathBuf::from(path)));
    }
    let release = corpus::ncaer_s::crops(&args.root);
    match release.filter(|_| args.layout == "ncaer-s" && args.detector == face::NONE) {
        Some(crops) => Ok(Faces::Boxes(Format::Glamor, crops)),
        None => {
            let device = args.device.clone();
            Ok(Faces::Detector(face::DetectorRequest {
                device,
                ..face::DetectorRequest::named(&args.detector)
            }))
        }
    }
}
