//! Share of rows whose true class is among the two likeliest.
use super::{Metric, Spread, Tally, Unit};

/// Ties go to the lower label. Undefined unless every row has finite logits.
pub(super) const METRIC: Metric = Metric {
    name: "top2_accuracy",
    unit: Unit::Share,
    higher_is_better: true,
    spread: Spread::Jackknife,
    of: Tally::top2,
};
