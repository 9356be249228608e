//! One number that makes confidences honest: the temperature of the softmax.
use serde::{Deserialize, Serialize};

use super::{Tally, TallyRow, METRICS};
use crate::stats::answers::{softmax, Answers, ScoreKind};

/// Inverse temperatures that are searched.
const RANGE: (f64, f64) = (1e-6, 1e6);

/// A temperature fitted on one set, and what it does on another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The temperature, fitted on validation rows.
    pub temperature: f64,
    /// Validation rows it was fitted on.
    pub rows: usize,
    /// Negative log-likelihood of the scored rows before; `None` where it is undefined.
    pub nll_before: Option<f64>,
    /// The same with the logits divided by the temperature.
    pub nll_after: Option<f64>,
    /// Expected calibration error before.
    pub ece_before: Option<f64>,
    /// Expected calibration error after.
    pub ece_after: Option<f64>,
}

/// The temperature that minimises the mean negative log-likelihood of `softmax(logits / T)` on
/// these rows; `None` without logits on every row, or where no finite temperature is best (every
/// row is right, or the logits say no more than chance).
///
/// Guo, Pleiss, Sun and Weinberger (2017), International Conference on Machine Learning, 1321-1330.
/// The likelihood is convex in 1 / T, so its derivative has one root: bisection in log T.
pub fn fit(answers: &Answers) -> Option<f64> {
    if answers.scores.as_ref()?.kind != ScoreKind::Logits || answers.rows.is_empty() {
        return None;
    }
    let logits: Vec<&[f64]> =
        (0..answers.rows.len()).map(|i| answers.scores_of(i)).collect::<Option<_>>()?;
    if logits.iter().any(|row| row.iter().any(|z| !z.is_finite())) {
        return None;
    }
    // The derivative of the summed likelihood by the inverse temperature.
    let slope = |inverse: f64| -> f64 {
        let of = |(row, answer): (&&[f64], &crate::stats::answers::Answer)| {
            let scaled: Vec<f64> = row.iter().map(|z| z * inverse).collect();
            let q = softmax(&scaled).unwrap_or_default();
            let expected: f64 = q.iter().zip(*row).map(|(q, z)| q * z).sum();
            expected - row[usize::from(answer.target)]
        };
        logits.iter().zip(&answers.rows).map(of).sum()
    };
    let (mut low, mut high) = (RANGE.0.ln(), RANGE.1.ln());
    if slope(RANGE.0) >= 0.0 || slope(RANGE.1) <= 0.0 {
        return None;
    }
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if slope(middle.exp()) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some((-0.5 * (low + high)).exp())
}

/// The same answers with their logits divided by `temperature`; labels stay.
pub fn scaled(answers: &Answers, temperature: f64) -> Answers {
    let mut answers = answers.clone();
    if let Some(scores) = &mut answers.scores {
        scores.values.iter_mut().for_each(|z| *z /= temperature);
    }
    answers
}

/// Fits on `validation` and applies to `answers`; `None` where no temperature can be fitted or
/// `answers` has no logits.
pub fn calibration(validation: &Answers, answers: &Answers) -> Option<Calibration> {
    if answers.scores.as_ref()?.kind != ScoreKind::Logits {
        return None;
    }
    let temperature = fit(validation)?;
    let [nll_before, ece_before] = scores(answers);
    let [nll_after, ece_after] = scores(&scaled(answers, temperature));
    let rows = validation.rows.len();
    Some(Calibration { temperature, rows, nll_before, nll_after, ece_before, ece_after })
}

/// Negative log-likelihood and expected calibration error.
fn scores(answers: &Answers) -> [Option<f64>; 2] {
    let mut tally = Tally::new(answers.classes.len());
    for (i, answer) in answers.rows.iter().enumerate() {
        let p = answers.probabilities_of(i);
        tally.add(&TallyRow::new(answer.target, answer.predicted, p.as_deref()));
    }
    ["nll", "ece"].map(|name| METRICS.iter().find(|m| m.name == name).and_then(|m| (m.of)(&tally)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        seed::Draws,
        stats::answers::{Answer, ClassScores},
    };

    /// Rows whose truth is drawn from softmax(logits / temperature).
    fn drawn(rows: usize, temperature: f64) -> Answers {
        let mut draws = Draws::new(1, "temperature", "");
        let (mut values, mut answers) = (Vec::new(), Vec::new());
        for i in 0..rows {
            let logits: Vec<f64> = (0..4).map(|_| 3.0 * draws.normal()).collect();
            let soft: Vec<f64> = logits.iter().map(|z| z / temperature).collect();
            let q = softmax(&soft).expect("finite");
            let u = draws.uniform();
            let mut below = 0.0;
            let target = q.iter().position(|p| {
                below += p;
                u < below
            });
            answers.push(Answer {
                sample_id: format!("{i:05}"),
                clip_id: None,
                group_id: format!("{i:05}"),
                target: target.unwrap_or(3) as u16,
                predicted: crate::stats::answers::first_maximum(&logits).expect("finite"),
            });
            values.extend(logits);
        }
        let scores = Some(ClassScores { kind: ScoreKind::Logits, values });
        Answers { classes: ["a", "b", "c", "d"].map(String::from).to_vec(), rows: answers, scores }
    }

    #[test]
    fn the_temperature_of_the_simulation_is_found_and_heals() {
        let answers = drawn(4_000, 2.5);
        let found = calibration(&answers, &answers).expect("logits");
        assert!((found.temperature / 2.5 - 1.0).abs() < 0.1, "{found:?}");
        assert!(found.ece_after < Some(0.03) && found.ece_before > Some(0.1), "{found:?}");
        let again = fit(&scaled(&answers, found.temperature)).expect("logits");
        assert!((again - 1.0).abs() < 1e-9, "{again}");
    }

    #[test]
    fn without_a_best_temperature_there_is_none() {
        let mut all_right = drawn(50, 1.0);
        for (i, row) in all_right.rows.clone().iter().enumerate() {
            all_right.rows[i].target = row.predicted;
        }
        assert_eq!(fit(&all_right), None);
        let mut none = drawn(50, 1.0);
        none.scores = None;
        assert_eq!((fit(&none), calibration(&drawn(50, 1.0), &none)), (None, None));
        let mut broken = drawn(50, 1.0);
        broken.scores.as_mut().expect("logits").values[3] = f64::NAN;
        assert_eq!(fit(&broken), None);
    }
}
