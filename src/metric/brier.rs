//! Brier score of all classes.
use super::{Metric, Tally, Unit};

/// Mean over rows of the squared distance between the probabilities and the true class, 0..=2. Brier (1950),
/// Monthly Weather Review 78:1-3. Undefined unless every row has finite logits.
pub(super) const METRIC: Metric =
    Metric { name: "brier", unit: Unit::Loss, higher_is_better: false, of: brier };

fn brier(tally: &Tally) -> Option<f64> {
    tally.mean(tally.brier)
}
