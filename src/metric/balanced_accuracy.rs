//! Mean recall of the classes.
use super::{tally::ratio, Metric, Tally, Unit};
use crate::record::NUM_CLASSES;

/// Mean recall over the classes that occur in the truth; undefined without rows. Brodersen, Ong,
/// Stephan and Buhmann (2010), International Conference on Pattern Recognition, 3121-3124.
pub(super) const METRIC: Metric = Metric {
    name: "balanced_accuracy",
    unit: Unit::Share,
    higher_is_better: true,
    of: balanced_accuracy,
};

fn balanced_accuracy(tally: &Tally) -> Option<f64> {
    let recalls: Vec<f64> =
        (0..NUM_CLASSES).filter_map(|c| ratio(tally.confusion()[c][c], tally.support(c))).collect();
    (!recalls.is_empty()).then(|| recalls.iter().sum::<f64>() / recalls.len() as f64)
}
