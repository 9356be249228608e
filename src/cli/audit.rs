//! `ncaers audit MANIFEST|--root DIR`
use std::path::PathBuf;

use super::{reading::ReadingArgs, Done, Usage};
use crate::{
    evaluation::{self, LabelNoise, Pictures},
    leak_audit::{self, AuditRequest, AuditSource, AuditSummary, Saved},
    manifest,
    record::Split,
    similarity::images::{self, Rule},
};

/// Exit status when more leaks than `--max-leak` allows.
const EXCEEDED: u8 = 3;

/// Find pictures and clips that are in more than one split of a data set
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
          ncaers audit --root CAER-S --max-leak 0.01 --out audits/caer-s\n  \
          ncaers audit manifests/ours --out audits/ours\n  \
          ncaers audit manifests/ours --against manifests/theirs --out audits/both\n  \
          ncaers audit --root CAER-S --against CAER --out audits/caer-s-in-caer\n  \
          ncaers evaluate runs/glamor --clean audits/ours\n  \
          ncaers audit manifests/ours --labels fold1.parquet --labels fold2.parquet --out audits/labels\n\n\
        Exit status 3 when the share of test pictures, or of test clips, with a near-duplicate in train exceeds --max-leak.")]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["manifest", "root", "labels"]))]
pub struct Args {
    /// The manifest folder
    #[arg(conflicts_with = "root")]
    manifest: Option<PathBuf>,
    /// A bare folder of pictures instead: {train,val,test}/Class/NNNN.png
    #[arg(long)]
    root: Option<PathBuf>,
    /// A second manifest (or bare folder) to compare with: its train against our test and so on; or a
    /// folder of clips, of which every picture's frame is sought as `locate` does
    #[arg(long)]
    against: Option<PathBuf>,
    /// Exit with status 3 when a larger share of test has a near-duplicate in train
    #[arg(long, value_parser = share)]
    max_leak: Option<f64>,
    /// Bits of 64 in which pictures may differ to be compared cell by cell
    #[arg(long, default_value_t = images::RADIUS, value_parser = clap::value_parser!(u32).range(0..=12))]
    radius: u32,
    /// Do not look for altered copies (cropped, turned, with bars, logos or subtitles), which takes
    /// most of the time
    #[arg(long)]
    no_crops: bool,
    /// Look for wrong labels instead: held-out predictions with probabilities, a file per fold, no
    /// group in two folds; with a manifest its pictures are shown
    #[arg(long, value_name = "PREDICTIONS", conflicts_with_all = ["root", "against", "max_leak"])]
    labels: Vec<PathBuf>,
    /// Seed of the random pairs that serve as control
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The folder to fill with audit.json, pairs.csv, clean.csv, index.html and more
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    reading: ReadingArgs,
}

fn share(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().map_err(|e| e.to_string())?;
    (0.0..=1.0).contains(&value).then_some(value).ok_or("not between 0 and 1".into())
}

pub(super) fn run(args: &Args) -> anyhow::Result<Done> {
    if !args.labels.is_empty() {
        return labels(args);
    }
    let own = match (&args.manifest, &args.root) {
        (Some(path), _) => AuditSource::Manifest(path.clone()),
        (None, Some(path)) => AuditSource::Folder(path.clone()),
        (None, None) => return Err(Usage("name a manifest or --root".into()).into()),
    };
    let request = AuditRequest {
        own,
        against: args.against.clone(),
        rule: Rule { radius: args.radius, altered: !args.no_crops },
        seed: args.seed,
        workers: super::workers(None),
    };
    if request.clips()?.is_some() {
        super::worker::ready(request.workers, None)?;
    }
    let (saved, summary) = leak_audit::run(&request, &args.out)?;
    let out = args.out.display();
    let text = match saved {
        Saved::Before => format!("already done: {out}"),
        Saved::Now => format!("{}\nwritten to {out}", summary.text()),
    };
    verdict(args, &summary, text)
}

/// `--labels`: which labels are contradicted.
fn labels(args: &Args) -> anyhow::Result<Done> {
    let reading = args.reading.read(Split::Val)?;
    let folds = evaluation::read_all(&args.labels, Split::Val, &reading)?;
    let found = LabelNoise::of(&folds)?;
    let pictures = match &args.manifest {
        Some(path) => {
            let folder = manifest::folder_of(path);
            let (samples, _) = manifest::read_samples(&folder.join("samples.parquet"))?;
            Some(Pictures::new(&folder, manifest::digest(&folder)?, &samples))
        }
        None => None,
    };
    let saved = found.save(&args.out, pictures.as_ref())?;
    let line = saved.line("labels.json, labels.csv and labels.html", &args.out);
    Ok(Done {
        text: format!("{}{line}", found.text()),
        json: serde_json::to_value(&found)?,
        exit: 0,
    })
}

/// The exit status, and why.
fn verdict(args: &Args, summary: &AuditSummary, mut text: String) -> anyhow::Result<Done> {
    let mut exit = 0;
    if let Some(most) = args.max_leak {
        let Some(leak) = summary.worst_leak else {
            anyhow::bail!("--max-leak has nothing to check: {}", summary.notes.join("; "));
        };
        if leak > most {
            exit = EXCEEDED;
            text.push_str(&format!("\nleak {leak:.4} exceeds --max-leak {most}"));
        }
    }
    Ok(Done { text, json: serde_json::to_value(summary)?, exit })
}
