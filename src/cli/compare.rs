//! `ncaers compare PREDICTIONS... [--out DIR]`
use std::path::PathBuf;

use anyhow::Result;

use super::{reading::ReadingArgs, Done};
use crate::{
    evaluation::{self, ModelComparison},
    record::Split,
    stats::comparison::ComparisonOptions,
};

/// Test models against each other and the truth on the same samples
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
          ncaers compare data/demo/runs --out results/compare\n  \
          ncaers compare runs/glamor runs/caer_net_s --split test\n  \
          ncaers compare all.csv --columns model=name --margin-points 2\n\n\
        Seeds of one label (or model) are one configuration: claims about configurations rest on seeds and groups \
        as crossed factors, claims about single files on groups alone.\n\
        Writes comparison.json (full precision), comparison.csv, leaderboard.html and leaderboard.json.")]
pub struct Args {
    /// Prediction files, run folders, or folders of runs
    #[arg(required = true)]
    predictions: Vec<PathBuf>,
    /// Which predictions of a run folder
    #[arg(long, default_value = "test")]
    split: Split,
    /// Folder to write the files into
    #[arg(long)]
    out: Option<PathBuf>,
    /// Seed of sign flips and bootstrap
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Random sign patterns where there are too many groups to try all; more are drawn where Holm's
    /// correction over very many tests needs them
    #[arg(long, default_value_t = 9_999, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    sign_flips: u32,
    /// Draws of the cluster bootstrap
    #[arg(long, default_value_t = 9_999, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    bootstrap_draws: u32,
    /// Also test whether models are equally good within this many points
    #[arg(long, value_name = "POINTS", value_parser = super::reading::points)]
    margin_points: Option<f64>,
    #[command(flatten)]
    reading: ReadingArgs,
}

pub(super) fn run(args: &Args) -> Result<Done> {
    let reading = args.reading.read(args.split)?;
    let predictions = evaluation::read_all(&args.predictions, args.split, &reading)?;
    let options = ComparisonOptions {
        seed: args.seed,
        sign_flips: args.sign_flips as usize,
        bootstrap_draws: args.bootstrap_draws as usize,
        margin: args.margin_points.map(|points| points / 100.0),
    };
    let outcome = ModelComparison::of(&predictions, &options)?;
    let mut text = outcome.text();
    if let Some(out) = &args.out {
        let saved = outcome.save(out, &predictions, &args.reading.configuration()?)?;
        text.push_str(&saved.line("comparison.json, comparison.csv and leaderboard.html", out));
    }
    Ok(Done { text, json: serde_json::to_value(&outcome)?, exit: 0 })
}
