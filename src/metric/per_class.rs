//! Precision, recall and F1 of every class.
use serde::{Deserialize, Serialize};

use super::{macro_f1::f1, tally::ratio, Tally, TallyRow};
use crate::stats::{
    clusters::Clusters,
    interval::Interval,
    share::{clustered_ratio, ClusteredRatio},
};

/// How well one class is found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassMetrics {
    /// The class.
    pub class: String,
    /// Rows of it.
    pub support: u64,
    /// Rows predicted as it.
    pub predicted: u64,
    /// Share of the predicted that are right; `None` when none is predicted.
    pub precision: Option<f64>,
    /// Its 95 % interval; `None` with fewer than two groups that say something of it.
    pub precision_interval: Option<Interval>,
    /// Share of the rows that are found; `None` when there are none.
    pub recall: Option<f64>,
    /// Its 95 % interval, likewise.
    pub recall_interval: Option<Interval>,
    /// Harmonic mean of both; `None` when the class occurs in neither truth nor prediction.
    pub f1: Option<f64>,
    /// Its 95 % interval, likewise.
    pub f1_interval: Option<Interval>,
}

/// All classes in label order, without intervals; `names` by label.
pub fn per_class(tally: &Tally, names: &[String]) -> Vec<ClassMetrics> {
    let of = |(class, name): (usize, &String)| {
        let hits = tally.hits_of(class);
        let (support, predicted) = (tally.support(class), tally.predicted(class));
        ClassMetrics {
            class: name.clone(),
            support,
            predicted,
            precision: ratio(hits, predicted),
            precision_interval: None,
            recall: ratio(hits, support),
            recall_interval: None,
            f1: f1(tally, class),
            f1_interval: None,
        }
    };
    names.iter().enumerate().map(of).collect()
}

/// Recall, precision and F1 of one class as ratios of sums over groups.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassRatios {
    /// Hits over rows of the class.
    pub recall: Option<ClusteredRatio>,
    /// Hits over rows predicted as the class.
    pub precision: Option<ClusteredRatio>,
    /// Twice the hits over the sum of both.
    pub f1: Option<ClusteredRatio>,
}

/// The ratios of every class of `classes`, rows of `clusters`.
pub fn class_ratios(classes: usize, rows: &[TallyRow], clusters: &Clusters) -> Vec<ClassRatios> {
    // Per class the clusters in which it occurs: hits, truth and prediction.
    let mut counts: Vec<std::collections::BTreeMap<usize, [u64; 3]>> =
        vec![Default::default(); classes];
    for (row, &cluster) in rows.iter().zip(clusters.of_row()) {
        let (target, predicted) = (row.target(), row.predicted());
        let of_target = counts[target].entry(cluster).or_default();
        of_target[0] += u64::from(target == predicted);
        of_target[1] += 1;
        counts[predicted].entry(cluster).or_default()[2] += 1;
    }
    let ratios = |of: &std::collections::BTreeMap<usize, [u64; 3]>| {
        let ratio = |part: fn(&[u64; 3]) -> (u64, u64)| clustered_ratio(of.values().map(part));
        ClassRatios {
            recall: ratio(|[hits, truth, _]| (*hits, *truth)),
            precision: ratio(|[hits, _, predicted]| (*hits, *predicted)),
            f1: ratio(|[hits, truth, predicted]| (2 * hits, truth + predicted)),
        }
    };
    counts.iter().map(ratios).collect()
}

/// Adds the intervals of `ratios` to the classes.
pub(super) fn with_intervals(
    mut classes: Vec<ClassMetrics>,
    ratios: &[ClassRatios],
) -> Vec<ClassMetrics> {
    let interval = |ratio: Option<ClusteredRatio>| ratio.and_then(|r| r.interval);
    for (class, ratio) in classes.iter_mut().zip(ratios) {
        class.recall_interval = interval(ratio.recall);
        class.precision_interval = interval(ratio.precision);
        class.f1_interval = interval(ratio.f1);
    }
    classes
}
