//! Precision, recall and F1 of every class.
use serde::{Deserialize, Serialize};

use super::{macro_f1::f1, tally::ratio, Tally};
use crate::record::Emotion;

/// How well one class is found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassMetrics {
    /// The class.
    pub emotion: Emotion,
    /// Rows of it.
    pub support: u64,
    /// Rows predicted as it.
    pub predicted: u64,
    /// Share of the predicted that are right; `None` when none is predicted.
    pub precision: Option<f64>,
    /// Share of the rows that are found; `None` when there are none.
    pub recall: Option<f64>,
    /// Harmonic mean of both; `None` when the class occurs in neither truth nor prediction.
    pub f1: Option<f64>,
}

/// All classes in label order.
pub fn per_class(tally: &Tally) -> Vec<ClassMetrics> {
    let of = |(class, emotion): (usize, Emotion)| {
        let hits = tally.confusion()[class][class];
        let (support, predicted) = (tally.support(class), tally.predicted(class));
        ClassMetrics {
            emotion,
            support,
            predicted,
            precision: ratio(hits, predicted),
            recall: ratio(hits, support),
            f1: f1(tally, class),
        }
    };
    Emotion::ALL.into_iter().enumerate().map(of).collect()
}
