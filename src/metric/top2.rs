//! Share of rows whose true class is among the two likeliest.
use super::{Metric, Tally, Unit};

/// Ties go to the lower label. Undefined unless every row has finite logits.
pub(super) const METRIC: Metric =
    Metric { name: "top2_accuracy", unit: Unit::Share, higher_is_better: true, of: top2 };

fn top2(tally: &Tally) -> Option<f64> {
    tally.mean(tally.top2 as f64)
}
