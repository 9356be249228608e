//! `ncaers rebuild RECIPE --corpus DIR --out DIR`
use std::{path::PathBuf, time::Duration};

use serde_json::json;

use super::{Done, Usage};
use crate::dataset::rebuild::{rebuild, RebuildOptions, RebuildSummary};

/// Recreate a recipe's pictures and tables from your own copy of the clips
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: ncaers rebuild ncaers-recipe.parquet --corpus data/CAER --out manifests/rebuilt"
)]
pub struct Args {
    /// The recipe, .parquet or .csv
    recipe: PathBuf,
    /// Your copy of the clips, in any layout
    #[arg(long)]
    corpus: PathBuf,
    /// The folder to fill with tables and pictures
    #[arg(long)]
    out: PathBuf,
    /// Accept frames of other files that show the same, and pixels that differ
    #[arg(long)]
    allow_substitutes: bool,
    /// Accept that clips are missing; their samples are left out
    #[arg(long)]
    allow_missing: bool,
    /// Processes that decode at once; the number of cores when absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    workers: Option<u32>,
    /// Seconds that decoding one clip may take before it is retried, then given up
    #[arg(long, default_value_t = 120.0, value_name = "SECONDS")]
    time_limit: f64,
}

/// Exit status where something is left that the caller did not allow.
const NOT_ALL: u8 = 1;

pub(super) fn run(args: &Args) -> anyhow::Result<Done> {
    let options = RebuildOptions {
        recipe: args.recipe.clone(),
        corpus: args.corpus.clone(),
        out: args.out.clone(),
        allow_substitutes: args.allow_substitutes,
        allow_missing: args.allow_missing,
        workers: super::workers(args.workers),
        time_limit: time_limit(args.time_limit)?,
    };
    super::worker::ready(options.workers, None)?;
    let summary = rebuild(&options)?;
    let allowed = summary.is_allowed(&options);
    let exit = if allowed { 0 } else { NOT_ALL };
    Ok(Done { text: text(&summary, &options, allowed), json: json!(summary), exit })
}

/// A limit from the command line.
pub(super) fn time_limit(seconds: f64) -> anyhow::Result<Duration> {
    let limit = Duration::try_from_secs_f64(seconds).ok().filter(|limit| !limit.is_zero());
    Ok(limit.ok_or_else(|| Usage(format!("--time-limit {seconds} is not above 0")))?)
}

fn text(summary: &RebuildSummary, options: &RebuildOptions, allowed: bool) -> String {
    let already = if summary.already_done { "already done: " } else { "" };
    let mut text = format!(
        "{already}{} of {} samples in {}\n",
        summary.samples - summary.missing,
        summary.samples,
        options.out.display()
    );
    for (count, words) in [
        (summary.identical, "byte for byte the recipe's"),
        (summary.same_pixels, "of the same pixels, saved in other bytes"),
        (summary.other_pixels, "of the same frame of the same file, decoded to other pixels"),
        (summary.substitutes, "from another file that shows the same"),
        (summary.missing, "missing"),
    ] {
        if count > 0 {
            text.push_str(&format!("{count:8}  {words}\n"));
        }
    }
    if summary.moved_clips > 0 {
        text.push_str(&format!("{} clips are under another name\n", summary.moved_clips));
    }
    if !allowed {
        text.push_str("every sample that is not the recipe's is a row of ledger.parquet");
        if summary.substitutes_refused > 0 {
            text.push_str(&format!(
                "; --allow-substitutes would take {} of them from other files",
                summary.substitutes_refused
            ));
        }
    }
    text
}
