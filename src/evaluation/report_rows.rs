//! Predictions of other programs as rows of a report.
use std::path::PathBuf;

use anyhow::Result;

use super::{read_all, Predictions, Reading};
use crate::{
    record::{Emotion, Prediction, Split, NUM_CLASSES},
    report::ImportedRun,
    stats::answers::Answer,
};

/// Probability whose logarithm stands for nothing at all.
const LEAST: f64 = 1e-30;

/// Reads files as [`read_all`] does, in the terms of a report: seven emotions.
///
/// # Errors
/// As [`read_all`], or when the files have other classes.
pub fn read_for_report(
    files: &[PathBuf],
    split: Split,
    reading: &Reading,
) -> Result<Vec<ImportedRun>> {
    let classes = Emotion::ALL.map(|emotion| emotion.name().to_owned()).to_vec();
    let reading = Reading { classes, ..reading.clone() };
    Ok(read_all(files, split, &reading)?.iter().map(run_of).collect())
}

fn run_of(predictions: &Predictions) -> ImportedRun {
    let answers = &predictions.answers;
    let row = |(i, answer): (usize, &Answer)| {
        let p = answers.probabilities_of(i).unwrap_or_default();
        Prediction {
            sample_id: answer.sample_id.clone(),
            clip_id: answer.clip_id.clone().unwrap_or_else(|| answer.sample_id.clone()),
            group_id: answer.group_id.clone(),
            target: answer.target as u8,
            predicted: answer.predicted as u8,
            // Logarithms of probabilities are logits of the same softmax.
            logits: std::array::from_fn::<f32, NUM_CLASSES, _>(|class| {
                p.get(class).map_or(f32::NAN, |p| p.max(LEAST).ln() as f32)
            }),
            w_face: None,
            w_context: None,
        }
    };
    ImportedRun {
        label: predictions.label.clone(),
        seed: predictions.seed.unwrap_or(0),
        file: predictions.file.clone(),
        digest: predictions.digest.clone(),
        rows: answers.rows.iter().enumerate().map(row).collect(),
    }
}
