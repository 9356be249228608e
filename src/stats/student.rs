//! Student's t distribution with any positive number of degrees of freedom, whole or not.
use std::f64::consts::PI;

use statrs::function::gamma::ln_gamma;

/// Terms of the continued fraction at most; its length grows with the root of the larger argument.
const TERMS: usize = 20_000;

/// `P(T > t)` for `t >= 0` and by symmetry for `t < 0`; NaN when `df` is not positive.
pub fn upper_tail(t: f64, df: f64) -> f64 {
    if t.is_nan() || df.is_nan() || df <= 0.0 {
        return f64::NAN;
    }
    let half = 0.5 * two_sided(t, df);
    if t < 0.0 {
        1.0 - half
    } else {
        half
    }
}

/// `P(|T| > |t|)`, the p-value of a two-sided test.
pub fn two_sided(t: f64, df: f64) -> f64 {
    if t.is_infinite() {
        return 0.0;
    }
    incomplete_beta(t * t / df, 0.5 * df)
}

/// The point below which a share `p` of the distribution lies; `None` unless `0 < p < 1` and `df`
/// is positive. By bisection, so that it inverts [`upper_tail`] to the last digits.
pub fn quantile(p: f64, df: f64) -> Option<f64> {
    if !(p > 0.0 && p < 1.0 && df > 0.0) {
        return None;
    }
    if p < 0.5 {
        return quantile(1.0 - p, df).map(|t| -t);
    }
    let above = |t: f64| upper_tail(t, df) > 1.0 - p;
    let mut high = 1.0;
    while above(high) && high < 1e300 {
        high *= 2.0;
    }
    let mut low = 0.0;
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if above(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(0.5 * (low + high))
}

/// The quantile of the standard normal distribution; NaN unless `0 < p < 1`. The inverse of
/// statrs, then one Newton step on its own tail.
pub fn normal_quantile(p: f64) -> f64 {
    if !(p > 0.0 && p < 1.0) {
        return f64::NAN;
    }
    let start = -std::f64::consts::SQRT_2 * statrs::function::erf::erfc_inv(2.0 * p);
    let below = 0.5 * statrs::function::erf::erfc(-start / std::f64::consts::SQRT_2);
    let density = (-0.5 * start * start).exp() / (2.0 * PI).sqrt();
    start - (below - p) / density
}

/// The regularised incomplete beta function `I_x(a, 1/2)` with `x = 1 / (1 + odds)`, by Lentz's form
/// of the continued fraction (DLMF 8.17.22), on the side where it converges.
fn incomplete_beta(odds: f64, a: f64) -> f64 {
    if odds <= 0.0 {
        return 1.0;
    }
    let (x, y) = (1.0 / (1.0 + odds), odds / (1.0 + odds));
    let (ln_x, ln_y) = (-odds.ln_1p(), odds.ln() - odds.ln_1p());
    let front = (a * ln_x + 0.5 * ln_y + ln_gamma_ratio(a) - 0.5 * PI.ln()).exp();
    if x < (a + 1.0) / (a + 2.5) {
        front * fraction(x, a, 0.5) / a
    } else {
        1.0 - front * fraction(y, 0.5, a) / 0.5
    }
}

/// `ln(gamma(a + 1/2) / gamma(a))`; for large `a` by its series, since the difference of two
/// logarithms would cancel (DLMF 5.11.13).
fn ln_gamma_ratio(a: f64) -> f64 {
    if a < 60.0 {
        return ln_gamma(a + 0.5) - ln_gamma(a);
    }
    let square = 1.0 / (a * a);
    let series =
        -1.0 / 8.0 + square * (1.0 / 192.0 - square * (1.0 / 640.0 - square * 17.0 / 14336.0));
    0.5 * a.ln() + series / a
}

fn fraction(x: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away = |v: f64| if v.abs() < TINY { TINY } else { v };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    for m in 1..TERMS {
        let m = m as f64;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away(1.0 + even * d);
        c = away(1.0 + even / c);
        value *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away(1.0 + odd * d);
        c = away(1.0 + odd / c);
        value *= d * c;
        if (d * c - 1.0).abs() < 1e-16 {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_and_two_degrees_of_freedom_have_closed_forms() {
        for t in [0.0f64, 1e-3, 0.7, 3.0, 50.0, 1e6] {
            let cauchy = 0.5 - t.atan() / PI;
            assert!((upper_tail(t, 1.0) - cauchy).abs() < 1e-14, "{t}");
            let two = 0.5 - 0.5 * t / (2.0 + t * t).sqrt();
            assert!((upper_tail(t, 2.0) - two).abs() < 1e-14, "{t}");
            assert!((upper_tail(t, 5.0) + upper_tail(-t, 5.0) - 1.0).abs() < 1e-15);
        }
    }

    #[test]
    fn quantiles_invert_tails() {
        for df in [0.7, 1.0, 1.363_120_030_291_556_3, 4.0, 59.0, 1e3, 1e6] {
            for p in [0.6, 0.9, 0.975, 0.999] {
                let t = quantile(p, df).expect("inside");
                // Many degrees of freedom cancel digits in the continued fraction.
                let slack = if df < 1e4 { 1e-13 } else { 1e-11 };
                assert!((upper_tail(t, df) - (1.0 - p)).abs() < slack, "{df} {p}");
                assert_eq!(quantile(1.0 - p, df).map(|q| (q + t).abs() < 1e-9 * t), Some(true));
            }
        }
        let normal = quantile(0.975, 1e9).expect("inside");
        assert!((normal - 1.959_963_984_540_054).abs() < 1e-8, "{normal}");
        assert_eq!(
            (quantile(0.5, 0.0), quantile(1.0, 3.0), quantile(0.0, 3.0)),
            (None, None, None)
        );
    }

    #[test]
    fn the_two_forms_of_the_gamma_ratio_meet() {
        let direct = ln_gamma(60.5) - ln_gamma(60.0);
        assert!((ln_gamma_ratio(60.0) - direct).abs() < 1e-12);
    }
}
