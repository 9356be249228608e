//! Intervals for shares and differences, all at 95 %.
use serde::{Deserialize, Serialize};

use super::student;

/// 97.5 % point of the standard normal distribution.
pub const Z95: f64 = 1.959_963_984_540_054;

/// Lower and upper end of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
}

impl Interval {
    /// `centre` plus and minus `half`, cut to `low..=high`.
    fn around(centre: f64, half: f64, low: f64, high: f64) -> Self {
        Interval { lo: (centre - half).clamp(low, high), hi: (centre + half).clamp(low, high) }
    }
}

/// The score interval of `successes` of `n`; `None` when `n` is 0. Exactly 0 and 1 at the ends.
/// Wilson (1927), Journal of the American Statistical Association 22:209-212.
pub fn wilson(successes: u64, n: u64) -> Option<Interval> {
    if n == 0 {
        return None;
    }
    Some(score(successes as f64 / n as f64, n as f64, Z95))
}

/// Wilson's interval of the share `p` at a possibly fractional number of samples `n` and quantile
/// `z`; no rounding at its ends.
pub(crate) fn score(p: f64, n: f64, z: f64) -> Interval {
    let square = z * z / n;
    let centre = (p + square / 2.0) / (1.0 + square);
    let half = z * (p * (1.0 - p) / n + square / (4.0 * n)).sqrt() / (1.0 + square);
    let interval = Interval::around(centre, half, 0.0, 1.0);
    Interval {
        lo: if p == 0.0 { 0.0 } else { interval.lo },
        hi: if p == 1.0 { 1.0 } else { interval.hi },
    }
}

/// `mean` plus and minus the t quantile of `clusters - 1` degrees of freedom times `error`, cut
/// to -1..=1; `None` with fewer than two clusters, or where nothing varies: that no difference was
/// seen does not make it known exactly.
pub fn clustered_difference(mean: f64, error: f64, clusters: usize) -> Option<Interval> {
    let t = t_quantile(clusters.checked_sub(1)?)?;
    (error > 0.0).then(|| Interval::around(mean, t * error, -1.0, 1.0))
}

/// The 97.5 % point of Student's t distribution; `None` for 0 degrees of freedom.
pub fn t_quantile(df: usize) -> Option<f64> {
    student::quantile(0.975, df as f64)
}

/// A difference of two paired shares, `(b - c) / n`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairedDifference {
    /// `(b - c) / n`.
    pub value: f64,
    /// Its standard error as if samples were independent.
    pub error: f64,
    /// Wald's interval; degenerate with few discordant samples.
    pub wald: Interval,
    /// Bonett and Price's interval, which is not.
    pub bonett_price: Interval,
}

/// The difference of accuracies of two models of which only the first is right on `b` samples and
/// only the second on `c`, of `n`; `None` when `n` is 0. The interval adds one to `b` and `c` and
/// two to `n`: Bonett and Price (2012), Journal of Educational and Behavioral Statistics
/// 37:479-488.
pub fn paired_difference(b: u64, c: u64, n: u64) -> Option<PairedDifference> {
    if n == 0 {
        return None;
    }
    let wald = |b: f64, c: f64, n: f64| {
        let d = (b - c) / n;
        (d, (((b + c) / n - d * d) / n).max(0.0).sqrt())
    };
    let (b, c, n) = (b as f64, c as f64, n as f64);
    let (value, error) = wald(b, c, n);
    let (centre, spread) = wald(b + 1.0, c + 1.0, n + 2.0);
    Some(PairedDifference {
        value,
        error,
        wald: Interval::around(value, Z95 * error, -1.0, 1.0),
        bonett_price: Interval::around(centre, Z95 * spread, -1.0, 1.0),
    })
}

/// The 2.5 % and 97.5 % quantiles of bootstrap values, in any order; `None` without values.
/// Linear interpolation, type 7 of Hyndman and Fan (1996), The American Statistician 50:361-365.
pub fn percentile(values: &[f64]) -> Option<Interval> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|x| x.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    Some(Interval { lo: quantile(&sorted, 0.025)?, hi: quantile(&sorted, 0.975)? })
}

/// The type 7 quantile of `sorted` values.
fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let position = q * (sorted.len().checked_sub(1)?) as f64;
    let (below, share) = (position.floor() as usize, position.fract());
    let low = sorted[below];
    let high = sorted[(below + 1).min(sorted.len() - 1)];
    Some(low + (high - low) * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_exact_and_nothing_is_undefined() {
        assert_eq!(wilson(0, 0), None);
        assert_eq!(wilson(0, 9).expect("nine").lo, 0.0);
        assert_eq!(wilson(9, 9).expect("nine").hi, 1.0);
        assert_eq!(paired_difference(0, 0, 0), None);
        assert_eq!(percentile(&[]), None);
    }

    #[test]
    fn a_difference_that_never_varied_has_no_interval() {
        assert_eq!(clustered_difference(0.0, 0.0, 143), None);
        assert_eq!(clustered_difference(0.1, 0.01, 1), None);
        let at = clustered_difference(0.1, 0.01, 143).expect("varies");
        assert!(at.lo > 0.08 && at.hi < 0.12, "{at:?}");
    }

    #[test]
    fn quantiles_interpolate() {
        let interval = percentile(&[4.0, 1.0, 3.0, 2.0, 5.0]).expect("five");
        assert!((interval.lo - 1.1).abs() < 1e-12 && (interval.hi - 4.9).abs() < 1e-12);
    }

    #[test]
    fn t_quantiles_of_the_tables() {
        // Fisher and Yates (1963), table III.
        for (df, want) in [(1, 12.7062), (4, 2.7764), (30, 2.0423)] {
            assert!((t_quantile(df).expect("df > 0") - want).abs() < 1e-4, "df {df}");
        }
    }
}
