//! Two models on the same samples: who is right where the other is wrong.
use serde::{Deserialize, Serialize};

use super::{
    binomial,
    interval::Z95,
    tail::{self, PValue},
};

/// McNemar's test in its three forms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// Samples on which only the first is right.
    pub b: u64,
    /// Samples on which only the second is right.
    pub c: u64,
    /// Exact binomial p-value, two-sided.
    pub exact: PValue,
    /// Mid-p value: less conservative, near its nominal level.
    pub mid_p: PValue,
    /// `(b - c)^2 / (b + c)`, 0 without discordant samples.
    pub chi_square: f64,
    /// Upper tail of `chi_square` at one degree of freedom.
    pub chi_square_p: PValue,
    /// With Edwards' continuity correction, `max(|b - c| - 1, 0)^2 / (b + c)`.
    pub corrected: f64,
    /// Upper tail of `corrected`.
    pub corrected_p: PValue,
}

/// McNemar (1947), Psychometrika 12:153-157; the correction is Edwards' (1948), Psychometrika
/// 13:185-187; mid-p after Fagerland, Lydersen and Laake (2013), BMC Medical Research Methodology
/// 13:91. The mid-p is exactly 1 when `b = c`.
pub fn mcnemar(b: u64, c: u64) -> McNemar {
    let (less, n) = (b.min(c), b + c);
    let (lower, mass) = (binomial::ln_lower(less, n), binomial::ln_mass(less, n));
    let doubled = std::f64::consts::LN_2 + lower;
    let mid = if b == c { 0.0 } else { doubled + (-(mass - doubled).exp()).ln_1p() };
    let ratio = |x: f64| if n == 0 { 0.0 } else { x * x / n as f64 };
    let difference = b.abs_diff(c);
    let chi_square = ratio(difference as f64);
    let corrected = ratio(difference.saturating_sub(1) as f64);
    McNemar {
        b,
        c,
        exact: PValue::from_ln(doubled),
        mid_p: PValue::from_ln(mid),
        chi_square,
        chi_square_p: tail::chi_square(chi_square, 1),
        corrected,
        corrected_p: tail::chi_square(corrected, 1),
    }
}

/// z of 80 % power.
const Z80: f64 = 0.841_621_233_572_914_3;

/// The smallest difference of accuracies that a two-sided McNemar test at 5 % finds with 80 %
/// power, when a share `discordant` of `n` samples is discordant and samples are worth
/// `1 / design_effect` independent ones. `None` when no difference up to `discordant` would be
/// found. Connor (1987), Biometrics 43:207-211, solved for the difference.
pub fn minimum_detectable(n: usize, discordant: f64, design_effect: f64) -> Option<f64> {
    let m = n as f64 / design_effect.max(f64::MIN_POSITIVE);
    if !(m > 0.0 && discordant > 0.0) {
        return None;
    }
    let found = |d: f64| {
        d * m.sqrt() - Z95 * discordant.sqrt() - Z80 * (discordant - d * d).max(0.0).sqrt()
    };
    if found(discordant) < 0.0 {
        return None;
    }
    let (mut low, mut high) = (0.0, discordant);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if found(middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_discordant_sample_is_no_evidence() {
        let test = mcnemar(0, 0);
        assert_eq!((test.exact, test.mid_p, test.chi_square), (PValue::ONE, PValue::ONE, 0.0));
    }

    #[test]
    fn connor_1987_is_recovered() {
        // psi = .2, delta = .1: n = (1.96 sqrt(.2) + .8416 sqrt(.19))^2 / .01 = 154.7.
        let mdd = minimum_detectable(155, 0.2, 1.0).expect("reachable");
        assert!((mdd - 0.1).abs() < 2e-4, "{mdd}");
        let clustered = minimum_detectable(155 * 4, 0.2, 4.0).expect("reachable");
        assert!((clustered - mdd).abs() < 1e-12);
        assert_eq!(minimum_detectable(5, 0.2, 1.0), None);
        assert_eq!(minimum_detectable(0, 0.2, 1.0), None);
    }
}
