//! Metrics of one prediction file with intervals that respect clips: what `ncaers evaluate` writes.
use std::path::Path;

use anyhow::Result;
use serde_json::{json, Value};

use super::{
    clean::CleanAccuracy,
    columns::{self, row},
    predictions::Predictions,
    Saved,
};
use crate::{
    folder::{self, Claim},
    metric::{Evaluation, Unit},
    record::Emotion,
    stats::{pairing, warning},
};

/// The scores of one prediction file.
#[derive(Debug)]
pub struct Scores {
    /// Metrics with intervals.
    pub evaluation: Evaluation,
    /// Accuracy without what an audit found in train.
    pub clean: Option<CleanAccuracy>,
}

impl Scores {
    /// Scores `answers`; with the folder of an audit also without what its train part holds.
    ///
    /// # Errors
    /// When a sample is named twice, or the audit does not know one.
    pub fn of(answers: &Predictions, audit: Option<&Path>, seed: u64) -> Result<Self> {
        // Refuses a file that names a sample twice.
        pairing::pair(&[(answers.name.clone(), answers.rows.clone())])?;
        let mut evaluation = Evaluation::of(&answers.rows, seed);
        evaluation.warnings.extend(warning::test_looks(&answers.name, answers.test_looks));
        let clean = audit.map(|audit| CleanAccuracy::of(&answers.rows, audit)).transpose()?;
        Ok(Scores { evaluation, clean })
    }

    /// Tables for a terminal.
    pub fn text(&self, answers: &Predictions) -> String {
        let mut text = text(answers, &self.evaluation);
        if let Some(clean) = &self.clean {
            text.push_str(&format!("\n{}\n", clean.text()));
        }
        text
    }

    /// Everything, in full precision.
    ///
    /// # Errors
    /// When a number cannot be written as JSON.
    pub fn json(&self) -> Result<Value> {
        let mut json = serde_json::to_value(&self.evaluation)?;
        if let Some(clean) = &self.clean {
            json["clean"] = serde_json::to_value(clean)?;
        }
        Ok(json)
    }

    /// Writes metrics.json and the CSV files into `out`, unless they are there.
    ///
    /// # Errors
    /// When the folder is not ours or cannot be written.
    pub fn save(&self, out: &Path, answers: &Predictions) -> Result<Saved> {
        let evaluation = &self.evaluation;
        let mut configuration = json!({
            "command": "evaluate", "predictions": answers.digest, "seed": evaluation.seed,
            "draws": evaluation.draws,
        });
        if let Some(clean) = &self.clean {
            configuration["clean"] = json!(clean.audit);
        }
        let folder = match folder::claim(out, &configuration)? {
            Claim::Done => return Ok(Saved::Before),
            Claim::Fresh(folder) | Claim::Resume(folder) => folder,
        };
        folder.write_json("metrics.json", evaluation)?;
        if let Some(clean) = &self.clean {
            folder.write_json("clean.json", clean)?;
        }
        columns::write_csv(&folder, "metrics.csv", &metric_rows(evaluation))?;
        columns::write_csv(&folder, "classes.csv", &class_rows(evaluation))?;
        columns::write_csv(&folder, "confusion.csv", &confusion_rows(evaluation))?;
        columns::write_csv(&folder, "reliability.csv", &reliability_rows(evaluation))?;
        folder.finish()?;
        Ok(Saved::Now)
    }
}

fn text(answers: &Predictions, e: &Evaluation) -> String {
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
