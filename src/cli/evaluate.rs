//! `ncaers evaluate PREDICTIONS [--clean AUDIT_DIR] [--out DIR]`
use std::path::PathBuf;

use anyhow::Result;

use super::{reading::ReadingArgs, Done};
use crate::{
    evaluation::{self, Predictions, Reading, Scores},
    record::Split,
};

/// Score one prediction file: metrics with intervals that respect groups
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
          ncaers evaluate runs/glamor --split test --out results/glamor\n  \
          ncaers evaluate predictions.csv --columns id=filename,target=y_true,predicted=y_pred\n\n\
        Reads run folders, and anybody's CSV, JSON lines or Parquet with id, target, predicted and optionally group, \
        clip, seed, model, logits or probabilities.\n\
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
    /// The same model's predictions on validation, to fit a temperature [default: those of the run folder, where it has some]
    #[arg(long, value_name = "PREDICTIONS")]
    validation: Option<PathBuf>,
    /// Folder to write metrics.json and the CSV files into
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    reading: ReadingArgs,
}

pub(super) fn run(args: &Args) -> Result<Done> {
    let reading = args.reading.read(args.split)?;
    let predictions = evaluation::read(&args.predictions, args.split, &reading)?;
    let validation = validation(args, &reading, &predictions)?;
    let scores = Scores::of(&predictions, args.clean.as_deref(), validation.as_ref())?;
    let mut text = scores.text(&predictions);
    if let Some(out) = &args.out {
        let saved = scores.save(out, &predictions, &args.reading.configuration()?)?;
        text.push_str(&saved.line("metrics.json and CSV", out));
    }
    Ok(Done { text, json: scores.json()?, exit: 0 })
}

/// The validation answers that were named, or that lie beside a run's test answers.
fn validation(
    args: &Args,
    reading: &Reading,
    predictions: &Predictions,
) -> Result<Option<Predictions>> {
    let beside = || {
        let file = args.predictions.join("predictions-val.parquet");
        (args.predictions.is_dir() && args.split == Split::Test && file.is_file()).then_some(file)
    };
    let Some(path) = args.validation.clone().or_else(beside) else { return Ok(None) };
    // Validation rows have truths of their own, and the classes of the test rows.
    let classes = predictions.answers.classes.clone();
    let reading = Reading { classes, targets: None, units: None, ..reading.clone() };
    evaluation::read(&path, Split::Val, &reading).map(Some)
}
