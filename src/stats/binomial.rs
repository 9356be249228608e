//! Lower tails of the binomial distribution with p = 1/2, accurate to a few units in the last
//! place for counts into the billions.
use std::f64::consts::{LN_2, PI};

/// ln P(X = k) for X ~ Bin(n, 1/2), by the saddle-point expansion of Loader (2000), "Fast and
/// accurate computation of binomial probabilities".
pub(super) fn ln_mass(k: u64, n: u64) -> f64 {
    let rest = n - k;
    if k == 0 || rest == 0 {
        return -(n as f64) * LN_2;
    }
    let (x, y, m) = (k as f64, rest as f64, n as f64);
    let correction = stirling_error(m) - stirling_error(x) - stirling_error(y);
    let deviance = deviance(x, m / 2.0) + deviance(y, m / 2.0);
    correction - deviance + 0.5 * (m / (2.0 * PI * x * y)).ln()
}

/// ln P(X <= k) for `k <= n / 2`: the mass at `k` times a sum of falling positive terms.
pub(super) fn ln_lower(k: u64, n: u64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for i in (1..=k).rev() {
        term *= i as f64 / (n - i + 1) as f64;
        sum += term;
        if term < sum * 1e-18 {
            break;
        }
    }
    ln_mass(k, n) + f64::ln(sum)
}

/// ln(n!) minus Stirling's formula.
fn stirling_error(n: f64) -> f64 {
    if n < 16.0 {
        let factorial: f64 = (2..=n as u64).map(|i| i as f64).product();
        return factorial.ln() - (n + 0.5) * n.ln() + n - 0.5 * (2.0 * PI).ln();
    }
    let square = n * n;
    let series =
        [1.0 / 12.0, 1.0 / 360.0, 1.0 / 1260.0, 1.0 / 1680.0, 1.0 / 1188.0, 691.0 / 360360.0];
    series.into_iter().rev().fold(0.0, |tail, term| term - tail / square) / n
}

/// `x ln(x / m) + m - x`, without cancellation near `x = m`.
fn deviance(x: f64, m: f64) -> f64 {
    let difference = x - m;
    if difference.abs() >= 0.1 * (x + m) {
        return x * (x / m).ln() - difference;
    }
    let v = difference / (x + m);
    let (mut sum, mut power) = (difference * v, 2.0 * x * v);
    for j in 1..1000 {
        power *= v * v;
        let next = sum + power / f64::from(2 * j + 1);
        if next == sum {
            break;
        }
        sum = next;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masses_of_small_n_are_exact() {
        for n in 1..=40u64 {
            let mut choose = 1u64;
            for k in 0..=n {
                let want = (choose as f64).ln() - n as f64 * LN_2;
                assert!((ln_mass(k, n) - want).abs() < 2e-14 * n as f64, "{k} of {n}");
                choose = (u128::from(choose) * u128::from(n - k) / u128::from(k + 1)) as u64;
            }
        }
    }

    #[test]
    fn half_of_the_mass_is_below_the_middle() {
        for n in [101, 100_001, 1_000_001] {
            assert!((ln_lower(n / 2, n) - 0.5f64.ln()).abs() < 1e-12, "{n}");
        }
    }
}
