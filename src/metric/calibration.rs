//! Whether a confidence of 80 % is right 80 % of the time.
use serde::{Deserialize, Serialize};

use super::{
    tally::{BinSums, BINS},
    Metric, Spread, Tally, Unit,
};

/// Expected calibration error of the likeliest class over 15 bins, closed on the right. Guo,
/// Pleiss, Sun and Weinberger (2017), International Conference on Machine Learning, 1321-1330.
/// Undefined unless every row has finite logits. Without an interval: the error is a sum of absolute
/// values, which a calibrated model never has below 0, so that no resampling is centred on it.
pub(super) const METRIC: Metric = Metric {
    name: "ece",
    unit: Unit::Share,
    higher_is_better: false,
    spread: Spread::None,
    of: ece,
};

/// One bin of the reliability curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Confidence above which it begins (0 belongs to the first bin).
    pub lo: f64,
    /// Confidence up to which it reaches.
    pub hi: f64,
    /// Rows in it.
    pub n: u64,
    /// Their mean confidence; `None` without rows.
    pub confidence: Option<f64>,
    /// Their accuracy; `None` without rows.
    pub accuracy: Option<f64>,
}

/// The reliability curve, all bins.
pub fn reliability(tally: &Tally) -> Vec<Bin> {
    let edge = |b: usize| b as f64 / BINS as f64;
    let mean = |sum: f64, n: u64| (n > 0).then(|| sum / n as f64);
    let bin = |(b, sums): (usize, &BinSums)| Bin {
        lo: edge(b),
        hi: edge(b + 1),
        n: sums.n,
        confidence: mean(sums.confidence, sums.n),
        accuracy: mean(sums.hits as f64, sums.n),
    };
    tally.bins().iter().enumerate().map(bin).collect()
}

fn ece(tally: &Tally) -> Option<f64> {
    let gaps =
        tally.bins().iter().filter(|b| b.n > 0).map(|b| (b.hits as f64 - b.confidence).abs());
    tally.mean(gaps.sum())
}
