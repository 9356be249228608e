//! `ncaers locate STILLS --corpus DIR --out DIR`
use std::{fmt::Write as _, path::Path, path::PathBuf};

use serde_json::json;

use super::{
    rebuild::time_limit,
    shards::{self, ShardArgs, WORK},
    slurm::SlurmArgs,
    Done,
};
use crate::dataset::locate::{self, ClassLeak, LocateOptions, LocateOutcome, LocateSummary};

/// Find the clip and the frame that every still was taken from
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: ncaers locate data/CAER-S --corpus data/CAER --out located/caer-s"
)]
pub struct Args {
    /// A folder of pictures at any depth, or a manifest
    stills: PathBuf,
    /// The clips, laid out as `build` reads them
    #[arg(long)]
    corpus: PathBuf,
    /// The folder to fill with located.parquet, located.csv, leak.csv and summary.json
    #[arg(long)]
    out: PathBuf,
    /// Processes that decode at once; the number of cores when absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024), help_heading = WORK)]
    workers: Option<u32>,
    /// Seconds that one clip may take before it is retried, then given up
    #[arg(long, default_value_t = 300.0, value_name = "SECONDS", help_heading = WORK)]
    time_limit: f64,
    #[command(flatten)]
    shards: ShardArgs,
    #[command(flatten)]
    slurm: SlurmArgs,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Done> {
    let on_cluster = args.slurm.is_asked()?;
    args.shards.check(on_cluster)?;
    let options = LocateOptions {
        stills: args.stills.clone(),
        corpus: args.corpus.clone(),
        out: args.out.clone(),
        workers: super::workers(args.workers),
        time_limit: time_limit(args.time_limit)?,
        shard: args.shards.shard,
    };
    if on_cluster {
        let identity = locate::identity(&options)?;
        return shards::run("locate", &args.slurm, args.shards, &identity, &args.out);
    }
    super::worker::ready(options.workers, None)?;
    Ok(done(locate::run(&options)?, &args.out))
}

/// What a search or a merge of searches says at its end.
pub(super) fn done(outcome: LocateOutcome, out: &Path) -> Done {
    match outcome {
        LocateOutcome::AlreadyDone => Done {
            text: format!("already done: {}", out.display()),
            json: json!({"already_done": true}),
            exit: 0,
        },
        LocateOutcome::Shard { clips } => Done {
            text: format!(
                "{clips} clips of this shard are searched; merge {} with the others",
                out.display()
            ),
            json: json!({"shard_clips": clips}),
            exit: 0,
        },
        LocateOutcome::Done(summary) => {
            Done { text: text(&summary, out), json: json!(summary), exit: 0 }
        }
    }
}

fn text(summary: &LocateSummary, out: &Path) -> String {
    let mut text = format!(
        "{} of {} stills found in {} clips of {} frames, {} of them to the frame; rows in {} ({:.1} s)\n",
        summary.found,
        summary.stills,
        summary.clips,
        summary.frames,
        summary.exact,
        out.join("located.parquet").display(),
        summary.seconds
    );
    for (done, count) in &summary.transforms {
        let _ = writeln!(text, "{count:8}  {done}");
    }
    if summary.unreadable > 0 {
        let _ = writeln!(text, "{} stills could not be read", summary.unreadable);
    }
    for (code, count) in &summary.failed_clips {
        let _ = writeln!(text, "{count} clips could not be searched: {code}");
    }
    if !summary.leak.classes.is_empty() {
        text.push_str("\ntest stills whose clip also gives train stills:\n");
    }
    summary.leak.classes.iter().for_each(|class| text.push_str(&line(class)));
    if summary.leak.unknown > 0 {
        let _ = writeln!(text, "{} test stills were not found", summary.leak.unknown);
    }
    text
}

fn line(class: &ClassLeak) -> String {
    let share = class.share.map_or_else(|| "-".into(), |s| format!("{:.1} %", 100.0 * s));
    let interval = class
        .interval
        .map_or_else(String::new, |i| format!(" [{:.1}, {:.1}]", 100.0 * i.lo, 100.0 * i.hi));
    format!(
        "{:>10}  {} of {} ({share}{interval}) from {} clips\n",
        class.label, class.shared, class.test, class.clips
    )
}
