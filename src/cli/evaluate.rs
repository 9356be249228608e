//! `ncaers evaluate PREDICTIONS [--clean AUDIT_DIR] [--out DIR]`
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;

use super::{
    clean::CleanAccuracy,
    columns::{self, row},
    predictions::{self, Answers},
    Done,
};
use crate::{
    metric::{Evaluation, Unit},
    output,
    record::{Emotion, Split},
    stats::{pairing, warning},
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
    let answers = predictions::read(&args.predictions, args.split)?;
    // Refuses a file that names a sample twice.
    pairing::pair(&[(answers.name.clone(), answers.rows.clone())])?;
    let mut evaluation = Evaluation::of(&answers.rows, args.seed);
    evaluation.warnings.extend(warning::test_looks(&answers.name, answers.test_looks));
    let clean = args.clean.as_ref().map(|audit| CleanAccuracy::of(&answers.rows, audit));
    let clean = clean.transpose()?;
    let mut text = text(&answers, &evaluation);
    if let Some(clean) = &clean {
        text.push_str(&format!("\n{}\n", clean.text()));
    }
    if let Some(out) = &args.out {
        text.push_str(&save(out, &answers, &evaluation, clean.as_ref())?);
    }
    let mut json = serde_json::to_value(&evaluation)?;
    if let Some(clean) = &clean {
        json["clean"] = serde_json::to_value(clean)?;
    }
    Ok(Done { text, json, exit: 0 })
}

/// Writes the files unless they are there; says which.
fn save(
    out: &Path,
    answers: &Answers,
    evaluation: &Evaluation,
    clean: Option<&CleanAccuracy>,
) -> Result<String> {
    let mut configuration = json!({
        "command": "evaluate", "predictions": answers.digest, "seed": evaluation.seed,
        "draws": evaluation.draws,
    });
    if let Some(clean) = clean {
        configuration["clean"] = json!(clean.audit);
    }
    let _lock = output::FolderLock::acquire(out)?;
    if output::state(out, &configuration)? == output::State::Finished {
        return Ok(format!("\nalready done: {}\n", out.display()));
    }
    output::begin(out, &configuration)?;
    output::write_json(&out.join("metrics.json"), evaluation)?;
    if let Some(clean) = clean {
        output::write_json(&out.join("clean.json"), clean)?;
    }
    columns::write_csv(&out.join("metrics.csv"), &metric_rows(evaluation))?;
    columns::write_csv(&out.join("classes.csv"), &class_rows(evaluation))?;
    columns::write_csv(&out.join("confusion.csv"), &confusion_rows(evaluation))?;
    columns::write_csv(&out.join("reliability.csv"), &reliability_rows(evaluation))?;
    output::finish(out)?;
    Ok(format!("\nwrote metrics.json and CSV into {}\n", out.display()))
}

fn text(answers: &Answers, e: &Evaluation) -> String {
    let wilson = columns::ends(e.accuracy);
    let robust = columns::ends(e.accuracy_clustered);
    let effect = columns::or_undefined(e.design_effect.map(|d| format!("{d:.2}")));
    let head = format!(
        "{}: {} rows in {} clips\naccuracy {} %, 95 % interval {robust} with clips as clusters \
         (design effect {effect}), {wilson} if rows were independent (Wilson)\n",
        answers.name,
        e.n,
        e.clusters,
        columns::value(e.accuracy.map(|a| a.value), Unit::Share),
    );
    let parts = [
        head,
        format!("{}\n", columns::align(&metrics(e))),
        format!("{}\n", columns::align(&classes(e))),
        format!("confusion (rows: truth)\n{}\n", columns::align(&confusion_rows(e))),
        columns::warnings(&e.warnings),
    ];
    parts.join("\n")
}

fn metrics(e: &Evaluation) -> Vec<Vec<String>> {
    let head = row(["metric", "value", "95 % interval (cluster bootstrap)"]);
    let line = |m: &crate::metric::Measured| {
        let unit = if m.unit == Unit::Share { " %" } else { "" };
        let interval = columns::interval(m.interval, m.unit);
        vec![format!("{}{unit}", m.name), columns::value(m.value, m.unit), interval]
    };
    std::iter::once(head).chain(e.metrics.iter().map(line)).collect()
}

fn classes(e: &Evaluation) -> Vec<Vec<String>> {
    let head = row(["class", "rows", "predicted", "precision %", "recall %", "F1 %"]);
    let share = |x| columns::value(x, Unit::Share);
    let line = |c: &crate::metric::ClassMetrics| {
        vec![
            c.emotion.to_string(),
            c.support.to_string(),
            c.predicted.to_string(),
            share(c.precision),
            share(c.recall),
            share(c.f1),
        ]
    };
    std::iter::once(head).chain(e.per_class.iter().map(line)).collect()
}

fn metric_rows(e: &Evaluation) -> Vec<Vec<String>> {
    let head = row(["metric", "value", "lo", "hi"]);
    let line = |m: &crate::metric::Measured| {
        let (lo, hi) = (m.interval.map(|i| i.lo), m.interval.map(|i| i.hi));
        let number = columns::or_undefined::<f64>;
        vec![m.name.clone(), number(m.value), number(lo), number(hi)]
    };
    std::iter::once(head).chain(e.metrics.iter().map(line)).collect()
}

fn class_rows(e: &Evaluation) -> Vec<Vec<String>> {
    let head = row(["class", "support", "predicted", "precision", "recall", "f1"]);
    let number = columns::or_undefined::<f64>;
    let line = |c: &crate::metric::ClassMetrics| {
        let (support, predicted) = (c.support.to_string(), c.predicted.to_string());
        let name = c.emotion.to_string();
        vec![name, support, predicted, number(c.precision), number(c.recall), number(c.f1)]
    };
    std::iter::once(head).chain(e.per_class.iter().map(line)).collect()
}

fn confusion_rows(e: &Evaluation) -> Vec<Vec<String>> {
    let names = Emotion::ALL.iter().map(|e| e.to_string());
    let head = std::iter::once("truth".to_owned()).chain(names).collect();
    let line = |(emotion, counts): (&Emotion, &[u64; 7])| {
        std::iter::once(emotion.to_string()).chain(counts.map(|c| c.to_string())).collect()
    };
    std::iter::once(head).chain(Emotion::ALL.iter().zip(&e.confusion).map(line)).collect()
}

fn reliability_rows(e: &Evaluation) -> Vec<Vec<String>> {
    let head = row(["above", "up_to", "rows", "confidence", "accuracy"]);
    let number = columns::or_undefined::<f64>;
    let line = |b: &crate::metric::Bin| {
        let (lo, hi) = (b.lo.to_string(), b.hi.to_string());
        vec![lo, hi, b.n.to_string(), number(b.confidence), number(b.accuracy)]
    };
    std::iter::once(head).chain(e.calibration.iter().map(line)).collect()
}
