//! `ncaers demo-corpus --out DIR`
use std::path::PathBuf;

use serde_json::json;

use super::{Done, Usage};
use crate::corpus::demo::{self, DemoCorpusSettings, DemoCorpusSummary, Drawn, StillsSummary};

/// Most clips of a class that four digits can number.
const MOST_CLIPS: u64 = 9999;

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
    let settings = DemoCorpusSettings { seed: args.seed, clips_per_class: args.clips_per_class };
    if args.stills {
        return Ok(stills(args, &demo::draw_stills(&args.out, &settings)?));
    }
    Ok(clips(args, demo::draw(&args.out, &settings)?))
}

/// Said before what a folder held already.
fn prefix(already_done: bool) -> &'static str {
    if already_done {
        "already done: "
    } else {
        ""
    }
}

/// `--stills`: the twin of CAER-S.
fn stills(args: &Args, drawn: &Drawn<StillsSummary>) -> Done {
    let StillsSummary { clips, stills, test, leaky, .. } = drawn.summary;
    let mut json = json!(drawn.summary);
    json["already_done"] = json!(drawn.already_done);
    let text = format!(
        "{}{stills} synthetic stills of {clips} clips in {}; {leaky} of {test} test stills \
         share their clip with a training still\nMade so that leakage shows: nothing measured on them holds for \
         real data.",
        prefix(drawn.already_done),
        args.out.display()
    );
    Done { text, json, exit: 0 }
}

fn clips(args: &Args, drawn: Drawn<DemoCorpusSummary>) -> Done {
    let DemoCorpusSummary { clips, frames, bytes } = drawn.summary;
    let folder = args.out.display().to_string();
    Done {
        text: format!(
            "{}{clips} synthetic clips, {frames} frames, {} MB in {folder}\n\
             Made so that attention matters: nothing measured on them holds for real data.",
            prefix(drawn.already_done),
            bytes.div_ceil(1_000_000)
        ),
        json: json!({
            "out": folder,
            "seed": args.seed,
            "clips_per_class": args.clips_per_class,
            "clips": clips,
            "frames": frames,
            "bytes": bytes,
            "already_done": drawn.already_done,
        }),
        exit: 0,
    }
}
