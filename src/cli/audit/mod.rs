//! `ncaers audit MANIFEST|--root DIR`
use std::path::PathBuf;

use serde_json::{json, Value};

use super::{Done, Usage};
use crate::{
    audit::{
        hash,
        stills::{self, Rule},
    },
    output::{self, FolderLock, State},
};

mod findings;
mod folder;
mod gather;
mod page;
mod summary;
mod tables;

use findings::Findings;
use gather::Gathered;
use summary::Summary;
pub(super) use tables::CLEAN;

/// Exit status when more leaks than `--max-leak` allows.
const EXCEEDED: u8 = 3;
/// What a machine reads.
const SUMMARY: &str = "audit.json";

/// Find pictures and clips that are in more than one split of a data set
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
          ncaers audit --root CAER-S --max-leak 0.01 --out audits/caer-s\n  \
          ncaers audit manifests/ours --out audits/ours\n  \
          ncaers audit manifests/ours --against manifests/theirs --out audits/both\n  \
          ncaers evaluate runs/glamor --clean audits/ours\n\n\
        Exit status 3 when the share of test pictures, or of test clips, with a near-duplicate in train exceeds --max-leak.")]
#[command(group = clap::ArgGroup::new("what").required(true).args(["manifest", "root"]))]
pub struct Args {
    /// The manifest folder
    manifest: Option<PathBuf>,
    /// A bare folder of pictures instead: {train,val,test}/Class/NNNN.png
    #[arg(long)]
    root: Option<PathBuf>,
    /// A second manifest (or bare folder) to compare with: its train against our test and so on
    #[arg(long)]
    against: Option<PathBuf>,
    /// Exit with status 3 when a larger share of test has a near-duplicate in train
    #[arg(long, value_parser = share)]
    max_leak: Option<f64>,
    /// Bits of 64 in which pictures may differ to be compared cell by cell
    #[arg(long, default_value_t = stills::RADIUS, value_parser = clap::value_parser!(u32).range(0..=12))]
    radius: u32,
    /// Do not look for cropped copies, which takes most of the time above 100,000 pictures
    #[arg(long)]
    no_crops: bool,
    /// Seed of the random pairs that serve as control
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The folder to fill with audit.json, pairs.csv, clean.csv, index.html and more
    #[arg(long)]
    out: PathBuf,
}

fn share(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().map_err(|e| e.to_string())?;
    (0.0..=1.0).contains(&value).then_some(value).ok_or("not between 0 and 1".into())
}

pub(super) fn run(args: &Args) -> anyhow::Result<Done> {
    let own = match (&args.manifest, &args.root) {
        (Some(path), _) => gather::manifest(path, 0)?,
        (None, Some(path)) => gather::root(path, 0)?,
        (None, None) => return Err(Usage("name a manifest or --root".into()).into()),
    };
    let other = args.against.as_ref().map(|path| gather::any(path, 1)).transpose()?;
    if let Some(other) = &other {
        same_settings(&own, other)?;
    }
    let all = Gathered::joined(own, other);
    let configuration = configuration(args, &all);
    let _lock = FolderLock::acquire(&args.out)?;
    let path = args.out.join(SUMMARY);
    if output::state(&args.out, &configuration)? == State::Finished {
        let done = Summary::read(&path)?;
        return verdict(args, &done, format!("already done: {}", args.out.display()));
    }
    output::begin(&args.out, &configuration)?;
    let rule = Rule { radius: args.radius, crops: !args.no_crops };
    let findings = Findings::of(&all, rule, args.seed);
    tables::write(&args.out, &all, &findings)?;
    page::write(&args.out, &all, &findings)?;
    output::write_json(&path, &findings.summary)?;
    output::finish(&args.out)?;
    let text = format!("{}\nwritten to {}", findings.summary.text(), args.out.display());
    verdict(args, &findings.summary, text)
}

/// Refuses to compare hashes that mean different things.
fn same_settings(own: &Gathered, other: &Gathered) -> anyhow::Result<()> {
    if let (Some(a), Some(b)) = (&own.hash_settings, &other.hash_settings) {
        anyhow::ensure!(
            a == b,
            "the manifests were hashed with different settings, `{a}` and `{b}`; rebuild one of them"
        );
    }
    Ok(())
}

/// What the findings depend on: pictures and clips by content, the settings, no path.
fn configuration(args: &Args, all: &Gathered) -> Value {
    let rows = all.stills.iter().map(|s| {
        let place = (s.set, s.split.to_string(), s.emotion.name(), &s.video);
        format!("{place:?} {} {} {:x} {}\n", s.id, s.sha256, s.hash, s.look.is_some())
    });
    let missing = all.unreadable.iter().map(|u| format!("{} {}\n", u.id, u.set));
    let clips = all.clips.iter().map(|(set, clip)| {
        let place = (set, clip.split.to_string(), clip.emotion.name(), &clip.group_id);
        format!("{place:?} {} {:?} {:?}\n", clip.clip_id, clip.sha256, clip.signature)
    });
    let digest = |rows: String| output::sha256_hex(rows.as_bytes());
    json!({
        "pictures": digest(rows.chain(missing).collect()),
        "clips": digest(clips.collect()),
        "radius": args.radius,
        "crops": !args.no_crops,
        "seed": args.seed,
        "hash": hash::SETTINGS,
    })
}

/// The exit status, and why.
fn verdict(args: &Args, summary: &Summary, mut text: String) -> anyhow::Result<Done> {
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
