//! P-values from upper tails in closed form, kept as logarithms so that 1e-900 is a number.
//! Own code: statrs's tails are `f64` and end at 1e-308.
use std::{f64::consts::PI, fmt};

use serde::{Deserialize, Serialize};

/// A p-value: as a number (which underflows to 0 below 5e-324) and as its logarithm (which does
/// not). One from random draws, none of which reached the observed statistic, is only known to be
/// at most what it says, and prints with `<=` through every correction.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(from = "Wire", into = "Wire")]
pub struct PValue {
    p: f64,
    log10: f64,
    at_most: bool,
}

/// How a [`PValue`] looks in JSON; `log10_p` is `null` when p is exactly 0.
#[derive(Serialize, Deserialize)]
struct Wire {
    p: f64,
    log10_p: Option<f64>,
    #[serde(default)]
    text: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    at_most: bool,
}

impl From<PValue> for Wire {
    fn from(p: PValue) -> Wire {
        let log10_p = p.log10.is_finite().then_some(p.log10);
        Wire { p: p.p, log10_p, text: p.to_string(), at_most: p.at_most }
    }
}

impl From<Wire> for PValue {
    fn from(wire: Wire) -> PValue {
        let log10 = wire.log10_p.unwrap_or(f64::NEG_INFINITY);
        PValue { p: wire.p, log10, at_most: wire.at_most }
    }
}

impl PValue {
    /// Certainty: nothing speaks against the null hypothesis.
    pub const ONE: PValue = PValue { p: 1.0, log10: 0.0, at_most: false };
    /// Exactly 0, the limit of an infinite statistic.
    pub const ZERO: PValue = PValue { p: 0.0, log10: f64::NEG_INFINITY, at_most: false };

    /// A probability that is an ordinary number; clamped to 0..=1.
    pub fn new(p: f64) -> Self {
        let p = p.clamp(0.0, 1.0);
        PValue { p, log10: p.log10(), at_most: false }
    }

    /// A bound: all that is known is that the p-value is not above `p`.
    pub fn at_most(p: f64) -> Self {
        PValue { at_most: true, ..PValue::new(p) }
    }

    /// From a natural logarithm; above 0 counts as 0.
    pub fn from_ln(ln: f64) -> Self {
        let ln = ln.min(0.0);
        PValue { p: ln.exp(), log10: ln / std::f64::consts::LN_10, at_most: false }
    }

    /// The p-value, 0 when it is below the smallest `f64`.
    pub fn p(self) -> f64 {
        self.p
    }

    /// log10 of the p-value.
    pub fn log10(self) -> f64 {
        self.log10
    }

    /// `self` times `m`, at most 1: one step of Bonferroni, Holm or Benjamini-Hochberg.
    pub fn times(self, m: f64) -> Self {
        if self.p * m >= 1.0 {
            return PValue::ONE;
        }
        PValue { p: self.p * m, log10: self.log10 + m.log10(), at_most: self.at_most }
    }
}

impl fmt::Display for PValue {
    /// Three significant digits: `1`, `0.327`, `0.0300`, `1.38e-53`, `4.20e-900`; never 0 unless
    /// the statistic is infinite. A bound is `<= 1.00e-4`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bound = if self.at_most { "<= " } else { "" };
        f.pad(&format!("{bound}{}", digits(self.log10)))
    }
}

fn digits(log10: f64) -> String {
    if log10 == f64::NEG_INFINITY {
        return "0".to_owned();
    }
    let mut exponent = log10.floor();
    let mut mantissa = 10f64.powf(log10 - exponent);
    if mantissa >= 9.995 {
        (mantissa, exponent) = (1.0, exponent + 1.0);
    }
    match exponent as i64 {
        0.. => "1".to_owned(),
        -1 => format!("{:.3}", mantissa / 10.0),
        -2 => format!("{:.4}", mantissa / 100.0),
        -3 => format!("{:.5}", mantissa / 1000.0),
        exponent => format!("{mantissa:.2}e{exponent}"),
    }
}

/// ln erfc(sqrt(y)) for `y >= 0`, to about 15 digits: below 1 by the series of erf, whose terms
/// are positive (Abramowitz and Stegun 7.1.6), else by the continued fraction (7.1.14), which
/// needs the fewer terms the larger `y` is.
pub fn ln_erfc_sqrt(y: f64) -> f64 {
    let z = y.sqrt();
    if y < 1.0 {
        let (mut term, mut sum) = (1.0, 1.0);
        for n in 1..40 {
            term *= 2.0 * y / (2.0 * f64::from(n) + 1.0);
            sum += term;
        }
        return (-(2.0 / PI.sqrt() * z * (-y).exp() * sum)).ln_1p();
    }
    // The error after n terms is about exp(-2 sqrt(2 n y)); 171 / y would give 1e-16.
    let terms = 20 + (250.0 / y) as u32;
    let fraction = (1..=terms).rev().fold(z, |tail, n| z + f64::from(n) / 2.0 / tail);
    -y - fraction.ln() - 0.5 * PI.ln()
}

/// P(X >= x) of a chi-square variable with `df` degrees of freedom, by the finite sums that hold
/// for integer `df` (Abramowitz and Stegun 26.4.4 and 26.4.5), never as 1 minus something. One
/// when `df` is 0 or `x` is not positive.
pub fn chi_square(x: f64, df: u32) -> PValue {
    if x == f64::INFINITY {
        return PValue::ZERO;
    }
    if df == 0 || x <= 0.0 {
        return PValue::ONE;
    }
    let y = x / 2.0;
    if df.is_multiple_of(2) {
        return PValue::from_ln(ln_power_sum(y, 0.0, df / 2 - 1) - y);
    }
    let erfc = ln_erfc_sqrt(y);
    if df == 1 {
        return PValue::from_ln(erfc);
    }
    let first = 0.5 * y.ln() + (2.0 / PI.sqrt()).ln();
    let rest = first + ln_power_sum(y, 0.5, (df - 3) / 2) - y;
    let (high, low) = if erfc > rest { (erfc, rest) } else { (rest, erfc) };
    PValue::from_ln(high + (low - high).exp().ln_1p())
}

/// ln of sum_{j=0..=m} prod_{i=1..=j} y / (a + i), scaled by its largest term so that nothing
/// overflows; all terms are positive.
fn ln_power_sum(y: f64, a: f64, m: u32) -> f64 {
    let peak = (y - a).clamp(0.0, f64::from(m)) as u32;
    let factor = |i: u32| y / (a + f64::from(i));
    let (mut sum, mut term) = (1.0, 1.0);
    for i in (1..=peak).rev() {
        term /= factor(i);
        sum += term;
    }
    term = 1.0;
    for i in peak + 1..=m {
        term *= factor(i);
        sum += term;
    }
    (1..=peak).map(|i| factor(i).ln()).sum::<f64>() + f64::ln(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_values_print_and_never_as_zero() {
        for (log10, want) in [
            (0.0, "1"),
            (-1e-9, "1"),
            (0.327f64.log10(), "0.327"),
            (0.03f64.log10(), "0.0300"),
            (0.00999999f64.log10(), "0.0100"),
            (1.38f64.log10() - 53.0, "1.38e-53"),
            (4.2f64.log10() - 900.0, "4.20e-900"),
            (-1e6, "1.00e-1000000"),
        ] {
            assert_eq!(digits(log10), want);
        }
        assert_eq!(PValue::ZERO.to_string(), "0");
        let bound = PValue::at_most(1e-4);
        assert_eq!(
            (bound.to_string(), bound.times(6.0).to_string()),
            ("<= 1.00e-4".into(), "<= 6.00e-4".into())
        );
    }

    #[test]
    fn json_keeps_what_a_number_cannot() {
        let p = chi_square(5000.0, 6);
        let text = serde_json::to_string(&p).expect("json");
        assert!(text.starts_with(r#"{"p":0.0,"log10_p":-10"#), "{text}");
        assert_eq!(serde_json::from_str::<PValue>(&text).expect("json"), p);
        let bound = serde_json::to_string(&PValue::at_most(0.01)).expect("json");
        assert_eq!(serde_json::from_str::<PValue>(&bound).expect("json"), PValue::at_most(0.01));
        let zero = serde_json::to_string(&PValue::ZERO).expect("json");
        assert_eq!(serde_json::from_str::<PValue>(&zero).expect("json"), PValue::ZERO);
    }

    #[test]
    fn erfc_of_published_tables() {
        // Abramowitz and Stegun, table 7.1 (erf 0.5, 1, 2) and DLMF table 7.23 (erfc 5, 10).
        for (z, want) in [
            (0.5, 1.0 - 0.520_499_877_813_046_5),
            (1.0, 1.0 - 0.842_700_792_949_714_9),
            (2.0, 4.677_734_981_047_266e-3),
            (5.0, 1.537_459_794_428_035e-12),
            (10.0, 2.088_487_583_762_545e-45),
        ] {
            let got = ln_erfc_sqrt(z * z);
            assert!((got.exp() / want - 1.0).abs() < 4e-14, "{z}: {got}");
        }
        let (below, above) = (ln_erfc_sqrt(1.0 - 1e-15), ln_erfc_sqrt(1.0));
        assert!((below - above).abs() < 5e-15, "{below} {above}");
    }

    #[test]
    fn tails_of_tables_of_chi_square() {
        // 5 % points, Fisher and Yates (1963), table IV.
        for (df, x) in [(1, 3.841459), (2, 5.991465), (6, 12.591587), (30, 43.772972)] {
            assert!((chi_square(x, df).p() - 0.05).abs() < 1e-7, "df {df}");
        }
        assert_eq!(chi_square(3.0, 0), PValue::ONE);
        assert_eq!(chi_square(f64::INFINITY, 3), PValue::ZERO);
    }
}
