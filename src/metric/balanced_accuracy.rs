//! Mean recall of the classes.
use super::{tally::ratio, Metric, Spread, Tally, Unit};

/// Mean recall over the classes that occur in the truth; undefined without rows. Brodersen, Ong,
/// Stephan and Buhmann (2010), International Conference on Pattern Recognition, 3121-3124.
pub(super) const METRIC: Metric = Metric {
    name: "balanced_accuracy",
    unit: Unit::Share,
    higher_is_better: true,
    spread: Spread::Jackknife,
    of: balanced_accuracy,
};

fn balanced_accuracy(tally: &Tally) -> Option<f64> {
    let recall = |c| ratio(tally.hits_of(c), tally.support(c));
    let recalls: Vec<f64> = (0..tally.classes()).filter_map(recall).collect();
    (!recalls.is_empty()).then(|| recalls.iter().sum::<f64>() / recalls.len() as f64)
}
