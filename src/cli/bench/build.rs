//! `ncaers bench build`
use std::{path::PathBuf, time::Duration, time::Instant};

use anyhow::{bail, Context, Result};
use serde_json::json;

use super::cpu::{self, Whose};
use crate::{
    cli::{worker, Done},
    dataset::{self, BuildOptions, BuildOutcome, Clips, Config},
    face,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The clips to build from
    #[arg(long)]
    corpus: PathBuf,
    /// Face detector: seeta, mmod or none
    #[arg(long, default_value = "none")]
    detector: String,
    /// Processes that decode at once
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    workers: u32,
    /// Decode no more than the wanted frames need, where that is certain
    #[arg(long)]
    fast: bool,
}

/// Builds once; what the workers took, their start included, is the children's CPU time.
pub(super) fn run(args: &Args) -> Result<Done> {
    let out = tempfile::tempdir().context("no temporary folder")?;
    let detector = face::DetectorRequest::named(&args.detector);
    let config = Config { fast: args.fast, ..Config::new(1, &detector)? };
    let options = BuildOptions {
        clips: Clips { corpus: args.corpus.clone(), ..Clips::default() },
        out: out.path().join("out"),
        detector,
        workers: args.workers as usize,
        time_limit: Duration::from_secs(120),
        shard: None,
    };
    worker::ready(options.workers, Some(&options.detector))?;
    let (start, own) = (Instant::now(), cpu::seconds(Whose::Own));
    let BuildOutcome::Done(summary) = dataset::run(&config, &options)? else {
        bail!("a fresh folder gave no fresh build");
    };
    let seconds = start.elapsed().as_secs_f64();
    let (own, workers) = (cpu::seconds(Whose::Own) - own, cpu::seconds(Whose::Children));
    let ms_per_clip = 1e3 * workers / summary.clips.max(1) as f64;
    let peak = cpu::peak_mb(Whose::Children);
    let text = format!(
        "{} clips, {} frames kept, {} workers: {seconds:.1} s, CPU {workers:.2} s in the workers \
         ({ms_per_clip:.1} ms per clip) and {own:.2} s beside; most memory of one worker {peak:.0} MB",
        summary.clips,
        summary.total(),
        args.workers,
    );
    let json = json!({
        "clips": summary.clips,
        "frames": summary.total(),
        "workers": args.workers,
        "fast": args.fast,
        "detector": config.detector_settings,
        "seconds": seconds,
        "worker_cpu_s": workers,
        "own_cpu_s": own,
        "cpu_ms_per_clip": ms_per_clip,
        "worker_peak_mb": peak,
        "stage_seconds": summary.stage_seconds,
    });
    Ok(Done { text, json, exit: 0 })
}
