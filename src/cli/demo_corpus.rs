//! `ncaers demo-corpus --out DIR`
use std::path::PathBuf;

use serde_json::{json, Value};

use super::{Done, Usage};
use crate::{
    corpus::demo::{self, stills::StillsSummary, DemoCorpusSettings, DemoCorpusSummary},
    folder::{self, Claim},
};

/// Most clips of a class that four digits can number.
const MOST_CLIPS: u64 = 9999;

/// The record of what was written, beside the clips.
const SUMMARY: &str = "summary.json";

/// Draw and encode a synthetic corpus in CAER's layout
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples: ncaers demo-corpus --out corpus --clips-per-class 10\n          \
    ncaers demo-corpus --stills --out stills\n\n\
    The corpus is built so that attention matters; results on it prove nothing about real data."
)]
pub struct Args {
    /// Folder to fill: {train,validation,test}/<Class>/NNNN.{avi,mkv,mp4} and the truth beside them
    #[arg(long)]
    out: PathBuf,
    /// Random seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Training clips of each class; validation gets 22 % and test 44 % as many
    #[arg(long, value_name = "N", default_value_t = 50)]
    clips_per_class: u64,
    /// Write stills of the clips instead of the clips, each with a split of its own as in CAER-S, so
    /// that most test stills share their clip with a training still
    #[arg(long)]
    stills: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Done> {
    if !(1..=MOST_CLIPS).contains(&args.clips_per_class) {
        let wrong =
            format!("--clips-per-class {} is not in 1..={MOST_CLIPS}", args.clips_per_class);
        return Err(Usage(wrong).into());
    }
    let mut configuration = json!({
        "command": "demo-corpus",
        "design": demo::DESIGN,
        "seed": args.seed,
        "clips_per_class": args.clips_per_class,
    });
    if args.stills {
        configuration["stills"] = json!(true);
        return stills(args, &configuration);
    }
    let folder = &args.out;
    let out = match folder::claim(folder, &configuration)? {
        Claim::Done => {
            let text = std::fs::read_to_string(folder.join(SUMMARY))?;
            return Ok(done(args, "already done: ", serde_json::from_str(&text)?));
        }
        Claim::Fresh(out) | Claim::Resume(out) => out,
    };
    let settings = DemoCorpusSettings { seed: args.seed, clips_per_class: args.clips_per_class };
    let summary = demo::write(&out, &settings)?;
    out.write_json(SUMMARY, &summary)?;
    out.finish()?;
    Ok(done(args, "", summary))
}

/// `--stills`: the twin of CAER-S.
fn stills(args: &Args, configuration: &Value) -> anyhow::Result<Done> {
    let told = |summary: StillsSummary, prefix: &str| {
        let StillsSummary { clips, stills, test, leaky, .. } = summary;
        let mut json = serde_json::to_value(summary)?;
        json["already_done"] = json!(!prefix.is_empty());
        let text = format!(
            "{prefix}{stills} synthetic stills of {clips} clips in {}; {leaky} of {test} test stills \
             share their clip with a training still\nMade so that leakage shows: nothing measured on them holds for \
             real data.",
            args.out.display()
        );
        Ok(Done { text, json, exit: 0 })
    };
    let out = match folder::claim(&args.out, configuration)? {
        Claim::Done => {
            let text = std::fs::read_to_string(args.out.join(SUMMARY))?;
            return told(serde_json::from_str(&text)?, "already done: ");
        }
        Claim::Fresh(out) | Claim::Resume(out) => out,
    };
    let settings = DemoCorpusSettings { seed: args.seed, clips_per_class: args.clips_per_class };
    let summary = demo::stills::write(&out, &settings)?;
    out.write_json(SUMMARY, &summary)?;
    out.finish()?;
    told(summary, "")
}

fn done(args: &Args, prefix: &str, summary: DemoCorpusSummary) -> Done {
    let DemoCorpusSummary { clips, frames, bytes } = summary;
    let folder = args.out.display().to_string();
    Done {
        text: format!(
            "{prefix}{clips} synthetic clips, {frames} frames, {} MB in {folder}\n\
             Made so that attention matters: nothing measured on them holds for real data.",
            bytes.div_ceil(1_000_000)
        ),
        json: json!({
            "out": folder,
            "seed": args.seed,
            "clips_per_class": args.clips_per_class,
            "clips": clips,
            "frames": frames,
            "bytes": bytes,
            "already_done": !prefix.is_empty(),
        }),
        exit: 0,
    }
}
