//! `ncaers bench PART`: one part of the toolkit timed on this machine, as JSON with `--json`.
use anyhow::Result;

use super::Done;

mod build;
mod cpu;
mod detect;
#[cfg(feature = "torch")]
mod train;

/// Measure the speed of one component on this machine
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: ncaers bench build --corpus data/demo/corpus --workers 1")]
pub struct Args {
    #[command(subcommand)]
    part: Benchmark,
}

#[derive(Debug, clap::Subcommand)]
enum Benchmark {
    /// A data set built into a temporary folder: CPU milliseconds per clip
    #[command(after_help = "Example: ncaers bench build --corpus data/demo/corpus --workers 1")]
    Build(build::Args),
    /// A face detector over pictures: CPU milliseconds per picture
    #[command(after_help = "Example: ncaers bench detect manifests/demo/images --detector seeta")]
    Detect(detect::Args),
    /// Joint training steps on random pictures held in memory: images per second
    #[cfg(feature = "torch")]
    #[command(after_help = "Example: ncaers bench train --model glamor --batch 32 --steps 40")]
    Train(train::Args),
}

pub(super) fn run(args: &Args) -> Result<Done> {
    match &args.part {
        Benchmark::Build(args) => build::run(args),
        Benchmark::Detect(args) => detect::run(args),
        #[cfg(feature = "torch")]
        Benchmark::Train(args) => train::run(args),
    }
}
