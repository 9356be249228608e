//! Mean negative log-likelihood of the true class.
use super::{Metric, Spread, Tally, Unit};

/// In nats; probabilities below 1e-12 count as 1e-12. Undefined unless every row has finite logits.
pub(super) const METRIC: Metric = Metric {
    name: "nll",
    unit: Unit::Loss,
    higher_is_better: false,
    spread: Spread::Jackknife,
    of: Tally::nll,
};
