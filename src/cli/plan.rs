//! `ncaers plan --difference POINTS [...]`
use std::path::PathBuf;

use anyhow::Result;

use super::{reading::ReadingArgs, Done};
use crate::{
    evaluation::{self, plan},
    record::Split,
    stats::planning::Plan,
};

/// Compute how many videos, frames and seeds a comparison needs (power analysis), or what a test set could have shown
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: ncaers plan --difference 2 --discordance 20 --icc 0.3 --rows-per-group 1.6 --seed-sd 1\n         ncaers plan --difference 2 --from runs/glamor --from runs/caer_net_s"
)]
pub struct Args {
    /// Difference of accuracies to be found, in points
    #[arg(long, value_name = "POINTS")]
    difference: f64,
    /// Percent of rows on which exactly one of the two models is right [default: that of --from, else 20]
    #[arg(long, value_name = "PERCENT")]
    discordance: Option<f64>,
    /// Intraclass correlation of that within a group (a video) [default: that of --from, else 0.3]
    #[arg(long)]
    icc: Option<f64>,
    /// Rows (frames) per group [default: that of --from, else 1]
    #[arg(long)]
    rows_per_group: Option<f64>,
    /// Standard deviation of accuracy over seeds, in points [default: that of --from]
    #[arg(long, value_name = "POINTS")]
    seed_sd: Option<f64>,
    /// Two-sided significance level of the whole family of comparisons
    #[arg(long, default_value_t = 0.05)]
    alpha: f64,
    /// Power: probability of finding the difference when it is there
    #[arg(long, default_value_t = 0.8)]
    power: f64,
    /// Comparisons in the family; of k models k (k - 1) / 2
    #[arg(long, default_value_t = 1)]
    comparisons: u32,
    /// Predictions of two models on a test set like the one planned: prediction files or run folders
    #[arg(long, value_name = "PREDICTIONS")]
    from: Vec<PathBuf>,
    /// Which predictions of a run folder
    #[arg(long, default_value = "test")]
    split: Split,
    #[command(flatten)]
    reading: ReadingArgs,
}

pub(super) fn run(args: &Args) -> Result<Done> {
    let observed = if args.from.is_empty() {
        None
    } else {
        let reading = args.reading.read(args.split)?;
        Some(plan::observed(&evaluation::read_all(&args.from, args.split, &reading)?)?)
    };
    let seen = observed.as_ref();
    let percent = |x: f64| x / 100.0;
    let planned = Plan {
        difference: percent(args.difference),
        discordance: args.discordance.map(percent).or(seen.map(|o| o.discordance)).unwrap_or(0.2),
        icc: args.icc.or(seen.map(|o| o.icc)).unwrap_or(0.3),
        rows_per_cluster: args.rows_per_group.or(seen.map(|o| o.rows_per_group)).unwrap_or(1.0),
        alpha: args.alpha,
        power: args.power,
        comparisons: args.comparisons,
    };
    let seed_sd = args.seed_sd.map(percent).or(seen.and_then(|o| o.seed_sd));
    let outcome = plan::plan(planned, seed_sd, observed)?;
    Ok(Done { text: outcome.text(), json: serde_json::to_value(&outcome)?, exit: 0 })
}
