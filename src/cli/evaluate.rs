//! `ncaers evaluate PREDICTIONS [--clean AUDIT_DIR] [--out DIR]`
use std::path::PathBuf;

use anyhow::Result;

use super::Done;
use crate::{
    evaluation::{self, Scores},
    record::Split,
};

/// Score one prediction file: metrics with intervals that respect clips
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: ncaers evaluate runs/glamor --split test --out results/glamor\n\
                  Writes metrics.json (full precision), metrics.csv, classes.csv, confusion.csv, reliability.csv.")]
pub struct Args {
    /// A prediction file, or a run folder
    predictions: PathBuf,
    /// Which predictions of a run folder
    #[arg(long, default_value = "test")]
    split: Split,
    /// An audit of the predicted manifest: accuracy also without what its train part holds
    #[arg(long, value_name = "AUDIT_DIR")]
    clean: Option<PathBuf>,
    /// A folder for metrics.json and the CSV files
    #[arg(long)]
    out: Option<PathBuf>,
    /// Seed of the cluster bootstrap
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(super) fn run(args: &Args) -> Result<Done> {
    let answers = evaluation::read(&args.predictions, args.split)?;
    let scores = Scores::of(&answers, args.clean.as_deref(), args.seed)?;
    let mut text = scores.text(&answers);
    if let Some(out) = &args.out {
        text.push_str(&scores.save(out, &answers)?.line("metrics.json and CSV", out));
    }
    Ok(Done { text, json: scores.json()?, exit: 0 })
}
