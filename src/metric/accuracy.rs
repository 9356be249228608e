//! Share of rows predicted right.
use super::{tally::ratio, Metric, Spread, Tally, Unit};

/// Hits over rows; undefined without rows.
pub(super) const METRIC: Metric = Metric {
    name: "accuracy",
    unit: Unit::Share,
    higher_is_better: true,
    spread: Spread::Score,
    of: accuracy,
};

fn accuracy(tally: &Tally) -> Option<f64> {
    ratio(tally.hits(), tally.n())
}
