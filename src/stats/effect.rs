//! How large a paired difference is, beside whether there is one.
use serde::{Deserialize, Serialize};

use super::{interval::Interval, student};

/// Effect sizes of two models on the same rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EffectSize {
    /// Rows that only the first has right.
    pub b: u64,
    /// Rows that only the second has right.
    pub c: u64,
    /// Cohen's g, `b / (b + c) - 1/2`: 0.05 is small, 0.15 medium, 0.25 large; `None` without
    /// discordant rows.
    pub cohens_g: Option<f64>,
    /// Matched odds ratio `b / c`; `None` when either is 0.
    pub odds_ratio: Option<f64>,
    /// Cluster-robust standard error of its logarithm; `None` likewise, or with one cluster.
    pub log_error: Option<f64>,
    /// 95 % interval of the odds ratio; `None` likewise.
    pub interval: Option<Interval>,
}

/// The effect sizes of rows that only the first (`only_a`) or only the second model (`only_b`) has
/// right, by cluster. Cohen (1988), Statistical Power Analysis for the Behavioral Sciences, ch. 5;
/// Agresti (2013), Categorical Data Analysis, section 11.1; the clusters as Liang and Zeger (1986),
/// Biometrika 73:13-22.
pub fn effect_size(only_a: &[u64], only_b: &[u64]) -> EffectSize {
    let (b, c): (u64, u64) = (only_a.iter().sum(), only_b.iter().sum());
    let cohens_g = (b + c > 0).then(|| b as f64 / (b + c) as f64 - 0.5);
    let mut size = EffectSize { b, c, cohens_g, odds_ratio: None, log_error: None, interval: None };
    if b == 0 || c == 0 {
        return size;
    }
    let ratio = b as f64 / c as f64;
    size.odds_ratio = Some(ratio);
    let g = only_a.len() as f64;
    if only_a.len() < 2 {
        return size;
    }
    let score = |(x, y): (&u64, &u64)| (*x as f64 / b as f64 - *y as f64 / c as f64).powi(2);
    let error = (g / (g - 1.0) * only_a.iter().zip(only_b).map(score).sum::<f64>()).sqrt();
    size.log_error = Some(error);
    size.interval = student::quantile(0.975, g - 1.0)
        .map(|t| Interval { lo: ratio * (-t * error).exp(), hi: ratio * (t * error).exp() });
    size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_claimed_where_one_side_is_empty() {
        let none = effect_size(&[0, 0], &[0, 0]);
        assert_eq!((none.cohens_g, none.odds_ratio, none.interval), (None, None, None));
        let one_sided = effect_size(&[2, 2], &[0, 0]);
        assert_eq!((one_sided.cohens_g, one_sided.odds_ratio), (Some(0.5), None));
        let one_cluster = effect_size(&[2], &[1]);
        assert_eq!((one_cluster.odds_ratio, one_cluster.interval), (Some(2.0), None));
    }

    #[test]
    fn swapping_the_models_inverts_the_ratio() {
        let (a, b) = ([1, 0, 2, 0, 1], [0, 1, 0, 1, 0]);
        let (there, back) = (effect_size(&a, &b), effect_size(&b, &a));
        assert_eq!(there.log_error, back.log_error);
        let (x, y) = (there.interval.expect("five"), back.interval.expect("five"));
        assert!((x.lo * y.hi - 1.0).abs() < 1e-12 && (x.hi * y.lo - 1.0).abs() < 1e-12);
    }
}
