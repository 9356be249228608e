//! One model on one split: every metric with its interval, and what to be careful about.
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{calibration, per_class, Bin, ClassMetrics, Row, Tally, Unit, METRICS};
use crate::{
    record::{Emotion, Estimate, Prediction, NUM_CLASSES},
    seed::Draws,
    stats::{
        clusters::{clustered_error, Clusters},
        interval::{self, Interval},
        warning::{self, Code, Warning},
    },
};

/// Draws of the cluster bootstrap.
pub const DRAWS: usize = 9_999;
/// Draws that share one random stream (and one thread).
const CHUNK: usize = 256;

/// A metric's value on one split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Name, as in [`METRICS`].
    pub name: String,
    /// Unit of value and interval.
    pub unit: Unit,
    /// Whether more is better.
    pub higher_is_better: bool,
    /// The value; `None` where it is undefined (0/0).
    pub value: Option<f64>,
    /// 95 % percentile interval of the cluster bootstrap; `None` without a value or with fewer
    /// than two clusters.
    pub interval: Option<Interval>,
}

/// One model on one split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Rows.
    pub n: usize,
    /// Independent clusters (groups of clips).
    pub clusters: usize,
    /// Seed of the bootstrap.
    pub seed: u64,
    /// Draws of the bootstrap.
    pub draws: usize,
    /// Accuracy with Wilson's interval, as if rows were independent; `None` without rows.
    pub accuracy: Option<Estimate>,
    /// Accuracy with the cluster-robust interval; `None` with fewer than two clusters.
    pub accuracy_clustered: Option<Estimate>,
    /// How many times fewer independent rows there are than rows; `None` when undefined.
    pub design_effect: Option<f64>,
    /// All metrics.
    pub metrics: Vec<Measured>,
    /// Rows: truth, columns: prediction, `[C, C]`.
    pub confusion: [[u64; NUM_CLASSES]; NUM_CLASSES],
    /// Every class.
    pub per_class: Vec<ClassMetrics>,
    /// The reliability curve.
    pub calibration: Vec<Bin>,
    /// What a reader must know.
    pub warnings: Vec<Warning>,
}

impl Evaluation {
    /// Evaluates `predictions`, in any order, with a cluster bootstrap over their groups.
    pub fn of(predictions: &[Prediction], seed: u64) -> Self {
        let mut sorted: Vec<&Prediction> = predictions.iter().collect();
        sorted.sort_by(|a, b| a.sample_id.cmp(&b.sample_id));
        let rows: Vec<Row> = sorted.iter().map(|p| Row::of(p)).collect();
        let clusters = Clusters::by_id(sorted.iter().map(|p| p.group_id.as_str()));
        let tally = Tally::of(&rows);
        let (n, hits) = (rows.len(), tally.hits());
        let estimate = |at: Interval| Estimate {
            value: hits as f64 / n as f64,
            lo: at.lo,
            hi: at.hi,
            n,
            clusters: clusters.len(),
        };
        let sums = clusters.sums(|row| i64::from(sorted[row].target == sorted[row].predicted));
        let error = clustered_error(&sums, clusters.sizes(), hits);
        let robust = error.and_then(|e| interval::clustered_share(e.mean, e.cr1, clusters.len()));
        Evaluation {
            n,
            clusters: clusters.len(),
            seed,
            draws: DRAWS,
            accuracy: interval::wilson(hits, n as u64).map(estimate),
            accuracy_clustered: robust.map(estimate),
            design_effect: error.and_then(|e| e.design_effect),
            metrics: measured(&tally, &rows, &clusters, seed),
            confusion: *tally.confusion(),
            per_class: per_class(&tally),
            calibration: calibration::reliability(&tally),
            warnings: warnings(&sorted, &rows, &clusters, &tally),
        }
    }

    /// The metric of that name.
    pub fn metric(&self, name: &str) -> Option<&Measured> {
        self.metrics.iter().find(|metric| metric.name == name)
    }
}

fn measured(tally: &Tally, rows: &[Row], clusters: &Clusters, seed: u64) -> Vec<Measured> {
    let draws = if clusters.len() < 2 { Vec::new() } else { resampled(rows, clusters, seed) };
    let one = |(i, metric): (usize, &super::Metric)| {
        let value = (metric.of)(tally);
        let values: Vec<f64> = draws.iter().filter_map(|draw| draw[i]).collect();
        Measured {
            name: metric.name.to_owned(),
            unit: metric.unit,
            higher_is_better: metric.higher_is_better,
            value,
            interval: value.and_then(|_| interval::percentile(&values)),
        }
    };
    METRICS.iter().enumerate().map(one).collect()
}

/// Every metric on every draw of as many clusters as there are, with replacement; chunks have a
/// stream of their own, so that threads change nothing.
fn resampled(rows: &[Row], clusters: &Clusters, seed: u64) -> Vec<Vec<Option<f64>>> {
    let mut members: Vec<Vec<Row>> = vec![Vec::new(); clusters.len()];
    for (row, &cluster) in rows.iter().zip(clusters.of_row()) {
        members[cluster].push(*row);
    }
    let chunk = |number: usize| {
        let mut stream = Draws::new(seed, "metric-bootstrap", &number.to_string());
        let size = CHUNK.min(DRAWS - number * CHUNK);
        let draw = |_| {
            let mut tally = Tally::default();
            for _ in 0..members.len() {
                let drawn = stream.below(members.len() as u64) as usize;
                members[drawn].iter().for_each(|row| tally.add(row));
            }
            METRICS.iter().map(|metric| (metric.of)(&tally)).collect()
        };
        (0..size).map(draw).collect::<Vec<_>>()
    };
    (0..DRAWS.div_ceil(CHUNK)).into_par_iter().flat_map_iter(chunk).collect()
}

fn warnings(
    predictions: &[&Prediction],
    rows: &[Row],
    clusters: &Clusters,
    tally: &Tally,
) -> Vec<Warning> {
    let mut found: Vec<Warning> =
        warning::clusters(rows.len(), clusters.len()).into_iter().collect();
    let broken = rows.iter().filter(|row| !row.is_scored()).count();
    if broken > 0 {
        let message =
            format!("{broken} rows have logits that are not finite: no scores of probabilities");
        found.push(Warning::new(Code::NonFiniteLogits, message));
    }
    let odd = predictions.iter().filter(|p| first_maximum(&p.logits) != Some(p.predicted)).count();
    if odd > broken {
        let message =
            format!("on {odd} rows the predicted label is not the first maximum of the logits");
        found.push(Warning::new(Code::NotArgmax, message));
    }
    let absent: Vec<&str> = Emotion::ALL
        .iter()
        .filter(|e| !rows.is_empty() && tally.support(usize::from(e.label())) == 0)
        .map(|e| e.name())
        .collect();
    if !absent.is_empty() {
        let message = format!(
            "no true row of {}: balanced accuracy leaves it out, macro-F1 counts it only when \
             predicted",
            absent.join(", ")
        );
        found.push(Warning::new(Code::AbsentClass, message));
    }
    found
}

/// The first label with the largest logit; `None` when a logit is not finite.
fn first_maximum(logits: &[f32; NUM_CLASSES]) -> Option<u8> {
    if logits.iter().any(|x| !x.is_finite()) {
        return None;
    }
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    logits.iter().position(|&x| x == largest).map(|label| label as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prediction(i: usize, target: u8, predicted: u8) -> Prediction {
        let mut logits = [0.0; NUM_CLASSES];
        logits[usize::from(predicted)] = 2.0;
        Prediction {
            sample_id: format!("{i:04}"),
            clip_id: format!("{:03}", i / 4),
            group_id: format!("{:03}", i / 4),
            target,
            predicted,
            logits,
            w_face: None,
            w_context: None,
        }
    }

    fn codes(evaluation: &Evaluation) -> Vec<Code> {
        evaluation.warnings.iter().map(|w| w.code).collect()
    }

    #[test]
    fn clustered_rows_get_wider_intervals_than_wilson() {
        // Whole clips are right or wrong: 4 rows count as one.
        let rows: Vec<Prediction> =
            (0..280).map(|i| prediction(i, (i % 7) as u8, ((i + (i / 4) % 2) % 7) as u8)).collect();
        let e = Evaluation::of(&rows, 1);
        let (plain, robust) = (e.accuracy.expect("rows"), e.accuracy_clustered.expect("clusters"));
        assert!((e.design_effect.expect("varied") - 4.0).abs() < 1e-9);
        let width = |x: &Estimate| x.hi - x.lo;
        assert!((width(&robust) / width(&plain) - 2.0).abs() < 0.1);
        let boot = e.metric("accuracy").and_then(|m| m.interval).expect("70 clusters");
        assert!((boot.lo - robust.lo).abs() < 0.02 && (boot.hi - robust.hi).abs() < 0.02);
        assert!(e.warnings.is_empty(), "{:?}", e.warnings);
    }

    #[test]
    fn order_of_rows_and_repetition_change_nothing() {
        let rows: Vec<Prediction> =
            (0..140).map(|i| prediction(i, (i % 7) as u8, (i % 5) as u8)).collect();
        let reversed: Vec<Prediction> = rows.iter().rev().cloned().collect();
        assert_eq!(Evaluation::of(&rows, 1), Evaluation::of(&reversed, 1));
        assert_ne!(Evaluation::of(&rows, 1).metrics, Evaluation::of(&rows, 2).metrics);
    }

    #[test]
    fn tiny_and_empty_sets_degrade_gracefully() {
        let none = Evaluation::of(&[], 1);
        assert_eq!((none.accuracy, codes(&none)), (None, vec![Code::NoData]));
        assert!(none.metrics.iter().all(|m| m.value.is_none() && m.interval.is_none()));
        let one = Evaluation::of(&[prediction(0, 2, 2)], 1);
        assert_eq!(codes(&one), [Code::OneCluster, Code::AbsentClass]);
        assert_eq!(one.metric("mcc").expect("registered").value, None);
        assert_eq!(one.accuracy_clustered, None);
        let text = serde_json::to_string(&one).expect("json");
        assert!(!text.contains("NaN"), "{text}");
        let back = serde_json::from_str::<Evaluation>(&text).expect("json");
        assert_eq!((back.metrics, back.warnings), (one.metrics, one.warnings));
    }

    #[test]
    fn bad_scores_are_said() {
        let mut rows: Vec<Prediction> = (0..280).map(|i| prediction(i, (i % 7) as u8, 0)).collect();
        rows[3].logits[1] = f32::NAN;
        assert_eq!(codes(&Evaluation::of(&rows, 1)), [Code::NonFiniteLogits]);
        rows[5].logits[6] = 9.0;
        assert_eq!(codes(&Evaluation::of(&rows, 1)), [Code::NonFiniteLogits, Code::NotArgmax]);
    }
}
