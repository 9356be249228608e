//! The cluster sign-flip test, the primary test of this crate.
//!
//! Under the null hypothesis swapping the two raters in all rows of a cluster is as likely as not
//! swapping, independently between clusters, so the statistic is compared with its values under
//! random signs. No assumption on the correlation within clusters, valid for few clusters.
//! Romano (1990), Journal of the American Statistical Association 85:686-692.
use serde::{Deserialize, Serialize};

use super::{linear::Form, margins::Margins, resample, tail::PValue};

/// Clusters with a difference up to which all sign patterns are enumerated.
pub const EXACT_CLUSTERS: usize = 16;
/// Relative margin within which a statistic counts as tied with the observed one; ties are exact
/// in rational arithmetic and rounding must not break them.
const TIE: f64 = 1e-9;

/// The result of a sign-flip test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignFlip {
    /// The observed statistic.
    pub stat: f64,
    /// `#{U* >= U} / patterns` when exact, else `(1 + #{U* >= U}) / (draws + 1)`.
    pub p: PValue,
    /// Whether all sign patterns were enumerated.
    pub exact: bool,
    /// Sign patterns enumerated or drawn.
    pub patterns: u64,
    /// Clusters that carry information (whose two raters differ).
    pub active: usize,
}

impl SignFlip {
    /// The test of `margins`: all sign patterns when at most 16 clusters differ, else `draws`
    /// random ones of `seed`.
    pub fn of(margins: &Margins, draws: usize, seed: u64) -> Self {
        Self::with(margins, || {
            let k = margins.k();
            let counts: Vec<i32> = margins.rows().flatten().map(|&x| x as i32).collect();
            let sums = resample::flip_signs(&counts, k, draws, seed);
            sums.rows().map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect()
        })
    }

    /// The same with signed sums `[draws][k]` that come from elsewhere when enumeration is out of
    /// reach.
    pub(super) fn with(margins: &Margins, signed: impl FnOnce() -> Vec<Vec<f64>>) -> Self {
        let form = margins.form();
        let total: Vec<f64> = margins.total().iter().map(|&x| x as f64).collect();
        let stat = form.at(&total);
        let active = margins.active();
        let least = stat * (1.0 - TIE);
        if active <= EXACT_CLUSTERS {
            let (hits, patterns) = enumerate(margins, &form, least);
            let p = PValue::new(hits as f64 / patterns as f64);
            return SignFlip { stat, p, exact: true, patterns, active };
        }
        let sums = signed();
        let hits = sums.iter().filter(|sum| form.at(sum) >= least).count();
        SignFlip {
            stat,
            p: drawn(hits, sums.len()),
            exact: false,
            patterns: sums.len() as u64,
            active,
        }
    }

    /// The test of one integer difference per cluster against 0: the statistic is
    /// `(sum d)^2 / sum d^2`. All sign patterns when at most 16 differ from 0, else the signed sums
    /// `flipped`.
    pub fn of_differences(d: &[i64], flipped: impl FnOnce() -> Vec<i64>) -> Self {
        let active: Vec<i64> = d.iter().copied().filter(|&x| x != 0).collect();
        let observed = d.iter().sum::<i64>().abs();
        let squares: f64 = active.iter().map(|&x| (x as f64).powi(2)).sum();
        let stat = if squares > 0.0 { (observed as f64).powi(2) / squares } else { 0.0 };
        if active.len() <= EXACT_CLUSTERS {
            let (hits, patterns) = enumerate_sums(&active, observed);
            let p = PValue::new(hits as f64 / patterns as f64);
            return SignFlip { stat, p, exact: true, patterns, active: active.len() };
        }
        let sums = flipped();
        let hits = sums.iter().filter(|sum| sum.abs() >= observed).count();
        let (p, patterns) = (drawn(hits, sums.len()), sums.len() as u64);
        SignFlip { stat, p, exact: false, patterns, active: active.len() }
    }
}

/// `(1 + hits) / (draws + 1)`, a bound where no draw was a hit: more draws could make it smaller.
fn drawn(hits: usize, draws: usize) -> PValue {
    let p = (1 + hits) as f64 / (1 + draws) as f64;
    if hits == 0 {
        PValue::at_most(p)
    } else {
        PValue::new(p)
    }
}

/// How many random signs are needed so that the smallest possible p-value of `tests` tests, times
/// their number, is half of 5 %; at least `asked`.
pub fn enough_draws(asked: usize, tests: usize) -> usize {
    asked.max((40 * tests).saturating_sub(1))
}

/// Counts the sign patterns of `d` whose sum is at least `observed` in size, in Gray code order.
fn enumerate_sums(d: &[i64], observed: i64) -> (u64, u64) {
    let mut sum: i64 = d.iter().sum();
    let mut signs = vec![1; d.len()];
    let patterns = 1u64 << d.len();
    let mut hits = u64::from(sum.abs() >= observed);
    for pattern in 1..patterns {
        let flipped = pattern.trailing_zeros() as usize;
        signs[flipped] = -signs[flipped];
        sum += 2 * signs[flipped] * d[flipped];
        hits += u64::from(sum.abs() >= observed);
    }
    (hits, patterns)
}

/// Counts the sign patterns with a statistic of at least `least`, in Gray code order so that each
/// differs from the last in one cluster.
fn enumerate(margins: &Margins, form: &Form, least: f64) -> (u64, u64) {
    let rows: Vec<Vec<f64>> = margins
        .rows()
        .filter(|row| row.iter().any(|&x| x != 0))
        .map(|row| row.iter().map(|&x| x as f64).collect())
        .collect();
    let mut sum: Vec<f64> = margins.total().iter().map(|&x| x as f64).collect();
    let mut signs = vec![1.0; rows.len()];
    let patterns = 1u64 << rows.len();
    let mut hits = u64::from(form.at(&sum) >= least);
    for pattern in 1..patterns {
        let flipped = pattern.trailing_zeros() as usize;
        signs[flipped] = -signs[flipped];
        let change = 2.0 * signs[flipped];
        sum.iter_mut().zip(&rows[flipped]).for_each(|(s, x)| *s += change * x);
        hits += u64::from(form.at(&sum) >= least);
    }
    (hits, patterns)
}

#[cfg(test)]
mod tests {
    use super::super::clusters::Clusters;
    use super::*;

    fn margins(a: &[u8], b: &[u8], ids: &[String]) -> Margins {
        Margins::new(2, a, b, &Clusters::by_id(ids.iter().map(String::as_str)))
    }

    #[test]
    fn five_clusters_cannot_reach_one_in_twenty() {
        let ids: Vec<String> = (0..5).map(|i| i.to_string()).collect();
        let test = SignFlip::of(&margins(&[0; 5], &[1; 5], &ids), 99, 1);
        assert!(test.exact);
        assert_eq!((test.p.p(), test.patterns, test.active), (0.0625, 32, 5));
    }

    #[test]
    fn monte_carlo_is_close_to_the_binomial_truth() {
        // 20 clusters, 15 one way: 2 P(X >= 15) = 0.04138946533203125 for X ~ Bin(20, 1/2).
        let ids: Vec<String> = (0..20).map(|i| format!("{i:02}")).collect();
        let a: Vec<u8> = (0..20).map(|i| u8::from(i < 15)).collect();
        let b: Vec<u8> = a.iter().map(|x| 1 - x).collect();
        let test = SignFlip::of(&margins(&a, &b, &ids), 20_000, 1);
        assert!(!test.exact);
        assert!((test.p.p() - 0.041389).abs() < 0.006, "{}", test.p);
        assert_eq!(test, SignFlip::of(&margins(&a, &b, &ids), 20_000, 1));
    }

    #[test]
    fn a_monte_carlo_floor_is_a_bound() {
        let d = vec![1; 40];
        let test = SignFlip::of_differences(&d, || vec![0; 999]);
        assert_eq!((test.p.to_string().as_str(), test.exact), ("<= 0.00100", false));
        let hit = SignFlip::of_differences(&d, || vec![40; 999]);
        assert_eq!(hit.p, PValue::ONE);
        assert_eq!((enough_draws(9_999, 6), enough_draws(9_999, 990)), (9_999, 39_599));
    }

    #[test]
    fn the_test_of_differences_is_that_of_margins() {
        let ids: Vec<String> = (0..12).map(|i| format!("{i:02}")).collect();
        let a: Vec<u8> = (0..12).map(|i| u8::from(i < 9)).collect();
        let b: Vec<u8> = (0..12).map(|i| u8::from(i > 6)).collect();
        let test = SignFlip::of(&margins(&a, &b, &ids), 99, 1);
        let d: Vec<i64> = a.iter().zip(&b).map(|(x, y)| i64::from(*x) - i64::from(*y)).collect();
        let same = SignFlip::of_differences(&d, Vec::new);
        assert_eq!((test.p, test.active, test.patterns), (same.p, same.active, same.patterns));
    }

    #[test]
    fn without_a_difference_p_is_one() {
        let ids = ["a".to_owned(), "b".to_owned()];
        assert_eq!(SignFlip::of(&margins(&[0, 1], &[0, 1], &ids), 99, 1).p, PValue::ONE);
    }
}
