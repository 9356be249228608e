//! Correlation of truth and prediction.
use super::{Metric, Tally, Unit};
use crate::record::NUM_CLASSES;

/// Matthews' correlation for several classes. Gorodkin (2004), Computational Biology and
/// Chemistry 28:367-374. Undefined (0/0) when truth or prediction is a single class; other
/// programs say 0 there.
pub(super) const METRIC: Metric =
    Metric { name: "mcc", unit: Unit::Coefficient, higher_is_better: true, of: mcc };

fn mcc(tally: &Tally) -> Option<f64> {
    let n = i128::from(tally.n());
    let sum = |of: &dyn Fn(usize) -> i128| -> i128 { (0..NUM_CLASSES).map(of).sum() };
    let (truth, predicted) = (|c| i128::from(tally.support(c)), |c| i128::from(tally.predicted(c)));
    let covariance = n * i128::from(tally.hits()) - sum(&|c| truth(c) * predicted(c));
    let spread_truth = n * n - sum(&|c| truth(c) * truth(c));
    let spread_predicted = n * n - sum(&|c| predicted(c) * predicted(c));
    let scale = (spread_truth as f64).sqrt() * (spread_predicted as f64).sqrt();
    (scale > 0.0).then(|| (covariance as f64 / scale).clamp(-1.0, 1.0))
}
