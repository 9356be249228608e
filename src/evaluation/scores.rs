//! Metrics of one prediction file with intervals that respect groups: what `ncaers evaluate`
//! writes.
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
    metric::{
        temperature::{calibration, Calibration},
        ClassMetrics, ClipScore, Confusion, Evaluation, Measured, Unit,
    },
    stats::{
        interval::Interval,
        pairing,
        warning::{self, Code, Warning},
    },
};

/// Classes up to which the terminal shows every class and the confusion matrix.
const SHOWN_CLASSES: usize = 20;

/// The scores of one prediction file.
#[derive(Debug)]
pub struct Scores {
    /// Metrics with intervals.
    pub evaluation: Evaluation,
    /// Accuracy without what an audit found in train.
    pub clean: Option<CleanAccuracy>,
    /// The temperature fitted on validation answers, and what it does here.
    pub temperature: Option<Calibration>,
    /// SHA-256 of the validation answers.
    validation: Option<String>,
}

impl Scores {
    /// Scores `predictions`; with the folder of an audit also without what its train part holds,
    /// with the same model's validation answers also after temperature scaling.
    ///
    /// # Errors
    /// When a sample is named twice, or the audit does not know one.
    pub fn of(
        predictions: &Predictions,
        audit: Option<&Path>,
        validation: Option<&Predictions>,
    ) -> Result<Self> {
        let answers = &predictions.answers;
        // Refuses a file that names a sample twice.
        pairing::pair(&[(predictions.name.clone(), answers)])?;
        let mut evaluation = Evaluation::of(answers);
        evaluation.warnings.extend(predictions.warnings.iter().cloned());
        evaluation.warnings.extend(warning::test_looks(&predictions.name, predictions.test_looks));
        let clean = audit.map(|audit| CleanAccuracy::of(&answers.rows, audit)).transpose()?;
        let temperature = validation.and_then(|v| calibration(&v.answers, answers));
        if validation.is_some() && temperature.is_none() {
            let message = "no temperature: it needs finite logits on every row of both files, and \
                           validation answers that are neither all right nor no better than chance";
            evaluation.warnings.push(Warning::new(Code::NotComputed, message));
        }
        let validation = validation.map(|v| v.digest.clone());
        Ok(Scores { evaluation, clean, temperature, validation })
    }

    /// Tables for a terminal.
    pub fn text(&self, predictions: &Predictions) -> String {
        let e = &self.evaluation;
        let mut parts =
            vec![head(&predictions.name, e), format!("{}\n", columns::align(&metrics(e)))];
        parts.extend(e.clips.map(|clips| {
            format!("One answer per clip\n{}\n", columns::align(&clip_lines(&clips)))
        }));
        parts.extend(self.temperature.map(|t| temperature_text(&t)));
        if e.classes.len() <= SHOWN_CLASSES {
            parts.push(format!("{}\n", columns::align(&classes(e))));
            let confusion = columns::align(&confusion_rows(e));
            parts.push(format!("confusion (rows: truth)\n{confusion}\n"));
        } else {
            parts.push(format!(
                "{} classes: see classes.csv and confusion.csv (--out)\n",
                e.classes.len()
            ));
        }
        parts.push(columns::warnings(&e.warnings));
        parts.extend(self.clean.as_ref().map(|clean| format!("{}\n", clean.text())));
        parts.join("\n")
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
        if let Some(temperature) = &self.temperature {
            json["temperature"] = serde_json::to_value(temperature)?;
        }
        Ok(json)
    }

    /// Writes metrics.json and the CSV files into `out`, unless they are there.
    ///
    /// # Errors
    /// When the folder is not ours or cannot be written.
    pub fn save(&self, out: &Path, predictions: &Predictions, reading: &Value) -> Result<Saved> {
        let evaluation = &self.evaluation;
        let mut configuration = json!({
            "command": "evaluate", "predictions": predictions.digest, "reading": reading,
        });
        if let Some(clean) = &self.clean {
            configuration["clean"] = json!(clean.audit);
        }
        if let Some(validation) = &self.validation {
            configuration["validation"] = json!(validation);
        }
        let folder = match folder::claim(out, &configuration)? {
            Claim::Done => return Ok(Saved::Before),
            Claim::Fresh(folder) | Claim::Resume(folder) => folder,
        };
        let mut metrics = serde_json::to_value(evaluation)?;
        if let Some(temperature) = &self.temperature {
            metrics["temperature"] = serde_json::to_value(temperature)?;
        }
        folder.write_json("metrics.json", &metrics)?;
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

fn head(name: &str, e: &Evaluation) -> String {
    let wilson = columns::ends(e.accuracy);
    let robust = columns::ends(e.accuracy_clustered);
    let effect = columns::or_undefined(e.design_effect.map(|d| format!("{d:.2}")));
    let worth = columns::or_undefined(e.n_eff.map(|n| format!("{n:.0}")));
    format!(
        "{name}: {} rows in {} groups\naccuracy {} %, 95 % interval {robust} with groups as \
         clusters (design effect {effect}, worth {worth} independent rows), {wilson} if rows were \
         independent (Wilson)\n",
        e.n,
        e.clusters,
        columns::value(e.accuracy.map(|a| a.value), Unit::Share),
    )
}

fn metrics(e: &Evaluation) -> Vec<Vec<String>> {
    let head = row(["metric", "value", "95 % interval (groups as units)"]);
    let line = |m: &Measured| {
        let unit = if m.unit == Unit::Share { " %" } else { "" };
        let interval = columns::interval(m.interval, m.unit);
        vec![format!("{}{unit}", m.name), columns::value(m.value, m.unit), interval]
    };
    std::iter::once(head).chain(e.metrics.iter().map(line)).collect()
}

fn clip_lines(clips: &crate::metric::ClipScores) -> Vec<Vec<String>> {
    let head = row(["clips' answer", "clips", "accuracy %", "95 % interval", "macro F1 %"]);
    let line = |name: &str, score: &ClipScore| {
        vec![
            name.to_owned(),
            clips.clips.to_string(),
            columns::percent(score.value),
            columns::ends(score.accuracy),
            columns::value(score.macro_f1, Unit::Share),
        ]
    };
    let mean = clips.mean_probability.as_ref().map(|s| line("highest mean probability", s));
    let majority = line("majority of frames", &clips.majority);
    std::iter::once(head).chain(mean).chain([majority]).collect()
}

fn temperature_text(t: &Calibration) -> String {
    let loss = |x| columns::value(x, Unit::Loss);
    let share = |x| columns::value(x, Unit::Share);
    format!(
        "temperature {:.3} (fitted on {} validation rows): nll {} -> {}, ece {} % -> {} %\n",
        t.temperature,
        t.rows,
        loss(t.nll_before),
        loss(t.nll_after),
        share(t.ece_before),
        share(t.ece_after)
    )
}

fn classes(e: &Evaluation) -> Vec<Vec<String>> {
    let head = row([
        "class",
        "rows",
        "predicted",
        "precision %",
        "95 %",
        "recall %",
        "95 %",
        "F1 %",
        "95 %",
    ]);
    let share = |x| columns::value(x, Unit::Share);
    let interval = |x| columns::interval(x, Unit::Share);
    let line = |c: &ClassMetrics| {
        vec![
            c.class.clone(),
            c.support.to_string(),
            c.predicted.to_string(),
            share(c.precision),
            interval(c.precision_interval),
            share(c.recall),
            interval(c.recall_interval),
            share(c.f1),
            interval(c.f1_interval),
        ]
    };
    std::iter::once(head).chain(e.per_class.iter().map(line)).collect()
}

fn metric_rows(e: &Evaluation) -> Vec<Vec<String>> {
    let head = row(["metric", "value", "lo", "hi"]);
    let line = |m: &Measured| {
        let [lo, hi] = ends(m.interval);
        vec![m.name.clone(), columns::or_undefined(m.value), lo, hi]
    };
    std::iter::once(head).chain(e.metrics.iter().map(line)).collect()
}

fn ends(interval: Option<Interval>) -> [String; 2] {
    [interval.map(|i| i.lo), interval.map(|i| i.hi)].map(columns::or_undefined)
}

fn class_rows(e: &Evaluation) -> Vec<Vec<String>> {
    let head = row([
        "class",
        "support",
        "predicted",
        "precision",
        "recall",
        "f1",
        "precision_lo",
        "precision_hi",
        "recall_lo",
        "recall_hi",
        "f1_lo",
        "f1_hi",
    ]);
    let number = columns::or_undefined::<f64>;
    let line = |c: &ClassMetrics| {
        let mut cells = vec![
            c.class.clone(),
            c.support.to_string(),
            c.predicted.to_string(),
            number(c.precision),
            number(c.recall),
            number(c.f1),
        ];
        let intervals = [c.precision_interval, c.recall_interval, c.f1_interval];
        cells.extend(intervals.into_iter().flat_map(ends));
        cells
    };
    std::iter::once(head).chain(e.per_class.iter().map(line)).collect()
}

/// The matrix, or with very many classes one row per pair that occurs.
fn confusion_rows(e: &Evaluation) -> Vec<Vec<String>> {
    let Confusion::Matrix(matrix) = &e.confusion else {
        let line = |(truth, predicted, n): (u16, u16, u64)| {
            let name = |label: u16| e.classes[usize::from(label)].clone();
            vec![name(truth), name(predicted), n.to_string()]
        };
        let head = row(["truth", "predicted", "rows"]);
        return std::iter::once(head).chain(e.confusion.pairs().into_iter().map(line)).collect();
    };
    let head = std::iter::once("truth".to_owned()).chain(e.classes.iter().cloned()).collect();
    let line = |(name, counts): (&String, &Vec<u64>)| {
        std::iter::once(name.clone()).chain(counts.iter().map(|c| c.to_string())).collect()
    };
    std::iter::once(head).chain(e.classes.iter().zip(matrix).map(line)).collect()
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
