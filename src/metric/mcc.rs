//! Correlation of truth and prediction.
use super::{Metric, Spread, Tally, Unit};

/// Matthews' correlation for several classes. Gorodkin (2004), Computational Biology and
/// Chemistry 28:367-374. Undefined (0/0) when truth or prediction is a single class; other
/// programs say 0 there.
pub(super) const METRIC: Metric = Metric {
    name: "mcc",
    unit: Unit::Coefficient,
    higher_is_better: true,
    spread: Spread::Jackknife,
    of: mcc,
};

fn mcc(tally: &Tally) -> Option<f64> {
    let n = i128::from(tally.n());
    let covariance = n * i128::from(tally.hits()) - tally.chance();
    let (truth, predicted) = tally.squares();
    let (spread_truth, spread_predicted) = (n * n - truth, n * n - predicted);
    let scale = (spread_truth as f64).sqrt() * (spread_predicted as f64).sqrt();
    (scale > 0.0).then(|| (covariance as f64 / scale).clamp(-1.0, 1.0))
}
