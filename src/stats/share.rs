//! Shares of clustered rows: an accuracy of one set of weights, and the ratios of a class.
//!
//! Both end in the score interval at an effective number of rows that never exceeds the rows there
//! are (Korn and Graubard 1998, Survey Methodology 24:193-201).
use serde::{Deserialize, Serialize};

use super::{
    interval::{self, Interval},
    student,
};

/// A share over all rows of several clusters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusteredShare {
    /// Hits over rows.
    pub value: f64,
    /// Delete-one-cluster jackknife standard error.
    pub error: f64,
    /// Kish's effective number of clusters less one, at least 1.
    pub df: f64,
    /// 97.5 % point of Student's t at `df`.
    pub t: f64,
    /// How many independent rows would give this error, at most the rows there are.
    pub n_eff: f64,
    /// 95 % score interval.
    pub interval: Interval,
}

/// The share of hits among rows in clusters; `None` with fewer than two clusters or a cluster
/// that holds all rows.
///
/// The jackknife (CV3 of MacKinnon, Nielsen and Webb 2023, Journal of Econometrics 232:272-299)
/// and the effective number of clusters (Carter, Schnepel and Steigerwald 2017, Review of
/// Economics and Statistics 99:698-709) keep the coverage where clusters differ in size. Where no
/// error can be estimated, every cluster counts as one row.
pub fn clustered_share(hits: &[i64], sizes: &[u64]) -> Option<ClusteredShare> {
    let rows: u64 = sizes.iter().sum();
    let all: i64 = hits.iter().sum();
    if sizes.len() < 2 || sizes.len() != hits.len() || sizes.contains(&rows) {
        return None;
    }
    let (g, n) = (sizes.len() as f64, rows as f64);
    let value = all as f64 / n;
    let error =
        if is_constant(hits, sizes, all, rows) { 0.0 } else { jackknife(hits, sizes, all, rows) };
    let squares: f64 = sizes.iter().map(|&size| (size as f64).powi(2)).sum();
    let df = (n * n / squares - 1.0).max(1.0);
    let t = student::quantile(0.975, df)?;
    let n_eff = effective_rows(value, error, n, g);
    Some(ClusteredShare { value, error, df, t, n_eff, interval: interval::score(value, n_eff, t) })
}

/// Whether every cluster has the share of the whole, in integers: rounding must not pass for
/// spread.
fn is_constant(hits: &[i64], sizes: &[u64], all: i64, rows: u64) -> bool {
    let of = |(&h, &size): (&i64, &u64)| {
        i128::from(h) * i128::from(rows) == i128::from(all) * i128::from(size)
    };
    hits.iter().zip(sizes).all(of)
}

fn jackknife(hits: &[i64], sizes: &[u64], all: i64, rows: u64) -> f64 {
    let without = |(&h, &size): (&i64, &u64)| (all - h) as f64 / (rows - size) as f64;
    let shares: Vec<f64> = hits.iter().zip(sizes).map(without).collect();
    error_of(&shares)
}

/// The jackknife standard error of values with one cluster left out each:
/// `sqrt((G - 1) / G sum (v - mean)^2)`.
pub fn error_of(left_out: &[f64]) -> f64 {
    let g = left_out.len() as f64;
    let mean = left_out.iter().sum::<f64>() / g;
    let squares: f64 = left_out.iter().map(|v| (v - mean).powi(2)).sum();
    ((g - 1.0) / g * squares).sqrt()
}

/// `p (1 - p) / se^2`, at most `rows`; `clusters` where that is no number.
fn effective_rows(p: f64, error: f64, rows: f64, clusters: f64) -> f64 {
    let effective = p * (1.0 - p) / (error * error);
    if error > 0.0 && effective > 0.0 {
        effective.min(rows)
    } else {
        clusters
    }
}

/// A ratio of sums over clusters, such as the recall of a class.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusteredRatio {
    /// Sum over sum, 0..=1.
    pub value: f64,
    /// Clusters that say something of it.
    pub clusters: usize,
    /// Cluster-robust standard error; `None` with fewer than two such clusters.
    pub error: Option<f64>,
    /// How many independent rows would give this error, at most the denominator.
    pub n_eff: Option<f64>,
    /// 95 % score interval; `None` likewise.
    pub interval: Option<Interval>,
}

/// The ratio of `parts`, numerators and denominators by cluster; `None` when the denominators
/// are all 0. Linearised: Woodruff (1971), Journal of the American Statistical Association
/// 66:411-414; for F1, Takahashi et al. (2022), Applied Intelligence 52:4961-4972.
pub fn clustered_ratio(parts: impl Iterator<Item = (u64, u64)>) -> Option<ClusteredRatio> {
    let parts: Vec<(u64, u64)> = parts.filter(|&(_, whole)| whole > 0).collect();
    let (above, below) = parts.iter().fold((0, 0), |(a, b), (x, y)| (a + x, b + y));
    if below == 0 {
        return None;
    }
    let (value, g) = (above as f64 / below as f64, parts.len() as f64);
    let mut found =
        ClusteredRatio { value, clusters: parts.len(), error: None, n_eff: None, interval: None };
    if parts.len() < 2 {
        return Some(found);
    }
    // `A_c - R B_c` in integers over the denominator, so that no spread is exactly no spread.
    let residual = |&(a, b): &(u64, u64)| {
        (i128::from(a) * i128::from(below) - i128::from(above) * i128::from(b)) as f64
    };
    let squares: f64 = parts.iter().map(|part| (residual(part) / below as f64).powi(2)).sum();
    let error = (g / (g - 1.0) * squares).sqrt() / below as f64;
    let n_eff = effective_rows(value, error, below as f64, g);
    let t = student::quantile(0.975, g - 1.0)?;
    found.error = Some(error);
    found.n_eff = Some(n_eff);
    found.interval = Some(interval::score(value, n_eff, t));
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_rows_than_there_are_is_no_information() {
        let found = clustered_share(&[4, 4, 4, 4, 4, 4, 4, 4, 4, 3], &[5; 10]).expect("ten");
        assert_eq!(found.n_eff, 50.0);
        let third = clustered_share(&[1; 30], &[3; 30]).expect("thirty");
        assert_eq!((third.error, third.n_eff), (0.0, 30.0), "rounding is no spread");
    }

    #[test]
    fn what_cannot_vary_has_no_interval() {
        assert_eq!(clustered_share(&[3], &[4]), None);
        assert_eq!(clustered_share(&[3, 0], &[4, 0]), None);
        assert_eq!(clustered_ratio([(0, 0), (0, 0)].into_iter()), None);
        let one = clustered_ratio([(1, 2), (0, 0)].into_iter()).expect("one");
        assert_eq!((one.value, one.clusters, one.interval), (0.5, 1, None));
        let ends = clustered_ratio([(2, 2), (3, 3)].into_iter()).expect("two");
        assert_eq!((ends.n_eff, ends.interval.map(|i| i.hi)), (Some(2.0), Some(1.0)));
    }
}
