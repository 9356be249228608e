//! Brier score of all classes.
use super::{Metric, Spread, Tally, Unit};

/// Mean over rows of the squared distance between the probabilities and the true class, 0..=2. Brier (1950),
/// Monthly Weather Review 78:1-3. Undefined unless every row has finite logits.
pub(super) const METRIC: Metric = Metric {
    name: "brier",
    unit: Unit::Loss,
    higher_is_better: false,
    spread: Spread::Jackknife,
    of: Tally::brier,
};
