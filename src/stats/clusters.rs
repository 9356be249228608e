//! Rows in clusters: the frames of one clip (one group) are not independent of each other.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Which cluster every row belongs to, and how large the clusters are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clusters {
    of_row: Vec<usize>,
    sizes: Vec<u64>,
}

impl Clusters {
    /// Clusters by id, numbered in the order of their ids, so that the order of the rows does not
    /// matter.
    pub fn by_id<'a>(ids: impl Iterator<Item = &'a str> + Clone) -> Self {
        let mut numbers: BTreeMap<&str, usize> = ids.clone().map(|id| (id, 0)).collect();
        numbers.values_mut().enumerate().for_each(|(i, number)| *number = i);
        let of_row: Vec<usize> = ids.map(|id| numbers[id]).collect();
        let mut sizes = vec![0; numbers.len()];
        of_row.iter().for_each(|&c| sizes[c] += 1);
        Clusters { of_row, sizes }
    }

    /// Number of clusters.
    pub fn len(&self) -> usize {
        self.sizes.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.sizes.is_empty()
    }

    /// The cluster of every row.
    pub fn of_row(&self) -> &[usize] {
        &self.of_row
    }

    /// Rows per cluster.
    pub fn sizes(&self) -> &[u64] {
        &self.sizes
    }

    /// Sums of an integer score over the rows of every cluster.
    pub fn sums(&self, score: impl Fn(usize) -> i64) -> Vec<i64> {
        let mut sums = vec![0; self.len()];
        for (row, &cluster) in self.of_row.iter().enumerate() {
            sums[cluster] += score(row);
        }
        sums
    }
}

/// Standard errors of a mean over clustered rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusteredError {
    /// The mean.
    pub mean: f64,
    /// As if all rows were independent, divisor n.
    pub naive: f64,
    /// Cluster-robust without small-sample factor (CR0).
    pub cr0: f64,
    /// CR0 times sqrt(G / (G - 1)), G the number of clusters: the one to use.
    pub cr1: f64,
    /// `(cr0 / naive)^2`: how many times fewer independent rows there are than rows. `None` when
    /// every row scores alike.
    pub design_effect: Option<f64>,
}

/// The cluster-robust standard error of the mean of integer scores, given as sums per cluster and
/// the sum of squares over rows; `None` with fewer than two clusters, where it would be 0 and
/// mean nothing.
///
/// Liang and Zeger (1986), Biometrika 73:13-22; for evaluations, Miller (2024), "Adding error
/// bars to evals", equation 4.
pub fn clustered_error(sums: &[i64], sizes: &[u64], squares: u64) -> Option<ClusteredError> {
    let (g, n) = (sums.len() as f64, sizes.iter().sum::<u64>() as f64);
    if sums.len() < 2 {
        return None;
    }
    let mean = sums.iter().sum::<i64>() as f64 / n;
    let naive = ((squares as f64 / n - mean * mean) / n).max(0.0).sqrt();
    let residual = |(&s, &m): (&i64, &u64)| (s as f64 - m as f64 * mean).powi(2);
    let cr0 = sums.iter().zip(sizes).map(residual).sum::<f64>().sqrt() / n;
    let design_effect = (naive > 0.0).then(|| (cr0 / naive).powi(2));
    Some(ClusteredError { mean, naive, cr0, cr1: cr0 * (g / (g - 1.0)).sqrt(), design_effect })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_are_numbered_by_id() {
        let c = Clusters::by_id(["b", "a", "b", "c"].into_iter());
        assert_eq!((c.of_row(), c.sizes()), (&[1, 0, 1, 2][..], &[1, 2, 1][..]));
        assert_eq!(c.sums(|row| row as i64), [1, 2, 3]);
    }

    #[test]
    fn copies_of_rows_inflate_the_naive_error_only() {
        // Every row five times: the design effect is 5.
        let once: Vec<i64> = (0..40).map(|i| i64::from(i % 3 == 0)).collect();
        let sums: Vec<i64> = once.iter().map(|s| 5 * s).collect();
        let error = clustered_error(&sums, &[5; 40], 5 * 14).expect("40 clusters");
        assert!((error.design_effect.expect("varied") - 5.0).abs() < 1e-12);
        assert_eq!(clustered_error(&[3], &[5], 3), None);
        let all_right = clustered_error(&[2, 2], &[2, 2], 4).expect("two clusters");
        assert_eq!((all_right.naive, all_right.design_effect), (0.0, None));
    }
}
