//! What a model's answers are worth: metrics with intervals, pure over rows of any classification
//! task.
//!
//! Every metric is a function of a [`Tally`], the sums over rows, so that the order of the rows
//! cannot matter and the jackknife only takes rows away. A new metric is one file and one line in
//! [`METRICS`]; intervals, tables and the invariants' tests pick it up from there.
use serde::{Deserialize, Serialize};

mod accuracy;
mod balanced_accuracy;
mod brier;
mod calibration;
mod clips;
mod confusion;
mod evaluation;
mod kappa;
mod macro_f1;
mod mcc;
mod nll;
mod per_class;
mod tally;
pub mod temperature;
mod top2;

pub use calibration::{reliability, Bin};
pub use clips::{by_clip, ClipScore, ClipScores};
pub use confusion::Confusion;
pub use evaluation::{Evaluation, Measured};
pub use macro_f1::{macro_f1, Absent};
pub use per_class::{class_ratios, per_class, ClassMetrics};
pub use tally::{Tally, TallyRow};

/// A metric: its name, how to read it, and its definition.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Name in tables and files.
    pub name: &'static str,
    /// Unit of the value.
    pub unit: Unit,
    /// Whether more is better.
    pub higher_is_better: bool,
    /// How its interval is made.
    pub spread: Spread,
    /// The value; `None` where it is undefined (0/0), shown as `-`.
    pub of: fn(&Tally) -> Option<f64>,
}

/// How the 95 % interval of a metric is made; groups are the units in all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// The score interval of a share, as [`crate::stats::share::clustered_share`] has it.
    Score,
    /// Value plus and minus t times the delete-one-group jackknife error.
    Jackknife,
    /// The same around the value less the jackknife's estimate of its bias, widened to hold the
    /// value: for means over classes, which few rows bias.
    BiasCorrected,
    /// No interval is known to hold its level.
    None,
}

/// Unit of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// A share, 0..=1, shown in percent.
    Share,
    /// A coefficient, -1..=1.
    Coefficient,
    /// A loss, from 0.
    Loss,
}

/// All metrics, in the order of tables.
pub const METRICS: &[Metric] = &[
    accuracy::METRIC,
    macro_f1::METRIC,
    balanced_accuracy::METRIC,
    mcc::METRIC,
    kappa::METRIC,
    top2::METRIC,
    nll::METRIC,
    brier::METRIC,
    calibration::METRIC,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// `right` of seven rows right and sure, the rest wrong and sure.
    fn rows(right: usize) -> Vec<TallyRow> {
        (0..7u16)
            .map(|target| {
                let predicted = if usize::from(target) < right { target } else { (target + 1) % 7 };
                let mut p = [0.0; 7];
                p[usize::from(predicted)] = 1.0;
                TallyRow::new(target, predicted, Some(&p))
            })
            .collect()
    }

    #[test]
    fn a_perfect_model_is_best_in_every_metric() {
        let (best, worse) = (Tally::of(7, &rows(7)), Tally::of(7, &rows(3)));
        for metric in METRICS {
            let value = |tally| (metric.of)(tally).unwrap_or_else(|| panic!("{}", metric.name));
            let gain = value(&best) - value(&worse);
            assert_eq!(gain > 0.0, metric.higher_is_better, "{}: {gain}", metric.name);
            let ideal = if metric.higher_is_better { 1.0 } else { 0.0 };
            assert_eq!(value(&best), ideal, "{}", metric.name);
        }
    }

    #[test]
    fn the_order_of_rows_is_irrelevant_and_names_are_unique() {
        let mut reversed = rows(4);
        reversed.reverse();
        for (i, metric) in METRICS.iter().enumerate() {
            let of = |rows: &[TallyRow]| (metric.of)(&Tally::of(7, rows));
            assert_eq!(of(&rows(4)), of(&reversed), "{}", metric.name);
            assert!(METRICS[..i].iter().all(|other| other.name != metric.name));
        }
    }

    #[test]
    fn nothing_is_undefined_not_zero() {
        for metric in METRICS {
            assert_eq!((metric.of)(&Tally::new(7)), None, "{}", metric.name);
        }
    }

    #[test]
    fn broken_logits_spare_what_needs_only_labels() {
        let tally = Tally::of(7, &[TallyRow::new(1, 1, None)]);
        assert_eq!((accuracy::METRIC.of)(&tally), Some(1.0));
        for metric in [top2::METRIC, nll::METRIC, brier::METRIC, calibration::METRIC] {
            assert_eq!((metric.of)(&tally), None, "{}", metric.name);
        }
    }
}
