//! `ncaers compare PREDICTIONS... [--out DIR]`
use std::path::PathBuf;

use anyhow::Result;

use super::Done;
use crate::{
    evaluation::{self, ModelComparison},
    record::Split,
    stats::comparison::Options,
};

/// Test models against each other and the truth on the same samples
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: ncaers compare runs/glamor runs/caer_net_s --split test --out results/compare\n\
                  Writes comparison.json (full precision) and comparison.csv."
)]
pub struct Args {
    /// Prediction files or run folders
    #[arg(required = true)]
    predictions: Vec<PathBuf>,
    /// Which predictions of a run folder
    #[arg(long, default_value = "test")]
    split: Split,
    /// A folder for comparison.json and comparison.csv
    #[arg(long)]
    out: Option<PathBuf>,
    /// Seed of sign flips and bootstrap
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Random sign patterns where there are too many clips to try all
    #[arg(long, default_value_t = 9_999, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    sign_flips: u32,
    /// Draws of the cluster bootstrap
    #[arg(long, default_value_t = 9_999, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    bootstrap_draws: u32,
}

pub(super) fn run(args: &Args) -> Result<Done> {
    let answers = evaluation::read_all(&args.predictions, args.split)?;
    let options = Options {
        seed: args.seed,
        sign_flips: args.sign_flips as usize,
        bootstrap_draws: args.bootstrap_draws as usize,
    };
    let outcome = ModelComparison::of(&answers, &options)?;
    let mut text = outcome.text();
    if let Some(out) = &args.out {
        let saved = outcome.save(out, &answers)?;
        text.push_str(&saved.line("comparison.json and comparison.csv", out));
    }
    Ok(Done { text, json: serde_json::to_value(&outcome)?, exit: 0 })
}
