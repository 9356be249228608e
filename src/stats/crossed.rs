//! Seeds and clusters as crossed factors: the one model of uncertainty behind accuracies,
//! differences and verdicts.
//!
//! Every seed of a configuration is scored on the same clusters (videos), so a hit varies with its
//! seed, with its cluster, and with their interaction. The variance over clusters and the variance
//! over seeds both contain the interaction, which is taken off once (Cameron, Gelbach and Miller
//! 2011, Journal of Business and Economic Statistics 29:238-249; Owen 2007, Annals of Applied
//! Statistics 1:386-411, for the conservative sum). Seeds of different configurations are no
//! pairs: they enter as two samples. Degrees of freedom after Satterthwaite (1946), Biometrics
//! Bulletin 2:110-114.
use serde::{Deserialize, Serialize};

use super::{interval::Interval, student, tail::PValue};

/// Confidence of the intervals.
const CONFIDENCE: f64 = 0.95;

/// Hits of one configuration, `[seeds][clusters]`: how many rows of a cluster each seed has right.
pub type Hits<'a> = &'a [Vec<i64>];

/// Mean accuracy of a configuration over its seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    /// Mean over seeds and rows, 0..=1.
    pub value: f64,
    /// Seeds.
    pub seeds: usize,
    /// Clusters.
    pub clusters: usize,
    /// Variance of the mean over clusters, the seeds as given.
    pub var_clusters: f64,
    /// Variance of the mean over seeds, the clusters as given.
    pub var_seeds: f64,
    /// What both contain.
    pub var_interaction: f64,
    /// Variance of the mean over both.
    pub var: f64,
    /// Degrees of freedom of `var`; `None` where it is 0.
    pub df: Option<f64>,
    /// 95 % interval; `None` where nothing varies.
    pub interval: Option<Interval>,
}

/// Difference of the mean accuracies of two configurations, first minus second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Mean of the first minus mean of the second, -1..=1.
    pub difference: f64,
    /// Seeds of the first.
    pub seeds_a: usize,
    /// Seeds of the second.
    pub seeds_b: usize,
    /// Clusters.
    pub clusters: usize,
    /// Variance over clusters, the seeds as given.
    pub var_clusters: f64,
    /// Variance of the first mean over its seeds.
    pub var_seeds_a: f64,
    /// Variance of the second mean over its seeds.
    pub var_seeds_b: f64,
    /// What the variances over clusters and over seeds both contain.
    pub var_interaction: f64,
    /// Variance of the difference.
    pub var: f64,
    /// Degrees of freedom of `var`; `None` where it is 0.
    pub df: Option<f64>,
    /// 95 % interval; `None` where nothing varies.
    pub interval: Option<Interval>,
    /// Two-sided p-value of no difference; `None` where nothing varies.
    pub p: Option<PValue>,
}

impl Difference {
    /// The smallest difference that this many seeds and clusters would have shown with 80 % power
    /// at 5 %, from the standard error found; `None` where nothing varies.
    pub fn detectable(&self) -> Option<f64> {
        let t = |p: f64| student::quantile(p, self.df?);
        Some((t(0.975)? + t(0.8)?) * self.error())
    }

    /// Standard error.
    pub fn error(&self) -> f64 {
        self.var.sqrt()
    }
}

/// The mean over `hits` of clusters of `sizes` rows; `None` with fewer than two seeds or two
/// clusters, where one of the variances does not exist.
pub fn mean(sizes: &[u64], hits: Hits) -> Option<Mean> {
    let side = Side::of(sizes, hits)?;
    let var_clusters = cluster_variance(&side.means, sizes, side.value);
    let var = combined(var_clusters, side.var_seeds, side.var_interaction);
    let parts = [(var_clusters, side.clusters), (side.var_seeds, side.seeds)];
    let df = satterthwaite(var, &parts);
    Some(Mean {
        value: side.value,
        seeds: side.seeds,
        clusters: side.clusters,
        var_clusters,
        var_seeds: side.var_seeds,
        var_interaction: side.var_interaction,
        var,
        df,
        interval: df.and_then(|df| around(side.value, var, df, CONFIDENCE, (0.0, 1.0))),
    })
}

/// The difference of the means of `a` and `b`, which need not have equally many seeds; `None`
/// with fewer than two seeds on a side or fewer than two clusters.
pub fn difference(sizes: &[u64], a: Hits, b: Hits) -> Option<Difference> {
    let (a, b) = (Side::of(sizes, a)?, Side::of(sizes, b)?);
    let gaps: Vec<f64> = a.means.iter().zip(&b.means).map(|(x, y)| x - y).collect();
    let difference = a.value - b.value;
    let var_clusters = cluster_variance(&gaps, sizes, difference);
    let var_interaction = a.var_interaction + b.var_interaction;
    let var = combined(var_clusters, a.var_seeds + b.var_seeds, var_interaction);
    let parts = [(var_clusters, a.clusters), (a.var_seeds, a.seeds), (b.var_seeds, b.seeds)];
    let df = satterthwaite(var, &parts);
    Some(Difference {
        difference,
        seeds_a: a.seeds,
        seeds_b: b.seeds,
        clusters: a.clusters,
        var_clusters,
        var_seeds_a: a.var_seeds,
        var_seeds_b: b.var_seeds,
        var_interaction,
        var,
        df,
        interval: df.and_then(|df| around(difference, var, df, CONFIDENCE, (-1.0, 1.0))),
        p: df.map(|df| PValue::new(student::two_sided(difference / var.sqrt(), df))),
    })
}

/// What one configuration contributes.
struct Side {
    value: f64,
    seeds: usize,
    clusters: usize,
    /// Hits of a cluster, mean over seeds.
    means: Vec<f64>,
    var_seeds: f64,
    var_interaction: f64,
}

impl Side {
    fn of(sizes: &[u64], hits: Hits) -> Option<Side> {
        let (seeds, clusters) = (hits.len(), sizes.len());
        let fits = hits.iter().all(|of_seed| of_seed.len() == clusters);
        let rows: u64 = sizes.iter().sum();
        if seeds < 2 || clusters < 2 || rows == 0 || !fits {
            return None;
        }
        let (n, s) = (rows as f64, seeds as f64);
        let totals: Vec<i64> = hits.iter().map(|of_seed| of_seed.iter().sum()).collect();
        let all: i64 = totals.iter().sum();
        let value = all as f64 / (n * s);
        let sums: Vec<i64> = (0..clusters).map(|c| hits.iter().map(|of| of[c]).sum()).collect();
        // In integers, so that seeds that agree leave exactly nothing.
        let seed_square = |t: &i64| ((seeds as i64 * t - all) as f64).powi(2);
        let var_seeds =
            totals.iter().map(seed_square).sum::<f64>() / (s * n).powi(2) / (s * (s - 1.0));
        let mut squares = 0.0;
        for (of_seed, total) in hits.iter().zip(&totals) {
            let off = (seeds as i64 * total - all) as f64;
            for ((hit, sum), size) in of_seed.iter().zip(&sums).zip(sizes) {
                let own = (seeds as i64 * hit - sum) as f64;
                squares += (own - *size as f64 * off / n).powi(2);
            }
        }
        let g = clusters as f64;
        let var_interaction = g / (g - 1.0) * s / (s - 1.0) * squares / (s * s) / (n * s).powi(2);
        let means = sums.iter().map(|&sum| sum as f64 / s).collect();
        Some(Side { value, seeds, clusters, means, var_seeds, var_interaction })
    }
}

/// Cluster-robust variance of `sum(means) / sum(sizes)`, with the factor G / (G - 1).
fn cluster_variance(means: &[f64], sizes: &[u64], value: f64) -> f64 {
    let (g, n) = (sizes.len() as f64, sizes.iter().sum::<u64>() as f64);
    let residual = |(m, &size): (&f64, &u64)| (m - size as f64 * value).powi(2);
    g / (g - 1.0) * means.iter().zip(sizes).map(residual).sum::<f64>() / (n * n)
}

/// The sum less what both contain, never below either.
fn combined(clusters: f64, seeds: f64, interaction: f64) -> f64 {
    clusters.max(seeds).max(clusters + seeds - interaction)
}

/// Degrees of freedom of a variance of `parts`, each with its number of units; never fewer than
/// the smallest part's, `None` without variance.
fn satterthwaite(var: f64, parts: &[(f64, usize)]) -> Option<f64> {
    let share = |&(part, units): &(f64, usize)| part * part / (units as f64 - 1.0);
    let least = parts.iter().map(|&(_, units)| units as f64 - 1.0).fold(f64::INFINITY, f64::min);
    let all: f64 = parts.iter().map(share).sum();
    (var > 0.0 && all > 0.0).then(|| (var * var / all).max(least))
}

fn around(
    centre: f64,
    var: f64,
    df: f64,
    confidence: f64,
    (low, high): (f64, f64),
) -> Option<Interval> {
    let half = student::quantile(0.5 + 0.5 * confidence, df)? * var.sqrt();
    Some(Interval { lo: (centre - half).clamp(low, high), hi: (centre + half).clamp(low, high) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Draws;

    /// Hits of `seeds` seeds on clusters of `sizes`, each right with its own chance.
    fn drawn(sizes: &[u64], seeds: usize, draws: &mut Draws) -> Vec<Vec<i64>> {
        let one = |_| {
            let skill = 0.7 + 0.05 * draws.normal();
            sizes.iter().map(|&n| (0..n).filter(|_| draws.chance(skill)).count() as i64).collect()
        };
        (0..seeds).map(one).collect()
    }

    #[test]
    fn the_order_of_seeds_and_of_clusters_changes_nothing() {
        let mut draws = Draws::new(1, "crossed", "");
        let sizes = [3, 1, 2, 5, 4, 2, 2];
        let (a, b) = (drawn(&sizes, 4, &mut draws), drawn(&sizes, 3, &mut draws));
        let found = difference(&sizes, &a, &b).expect("enough");
        let mut permuted = a.clone();
        permuted.rotate_left(1);
        assert_eq!(difference(&sizes, &permuted, &b).map(|d| d.interval), Some(found.interval));
        let back = difference(&sizes, &b, &a).expect("enough");
        assert_eq!((back.difference, back.var), (-found.difference, found.var));
        assert_eq!(back.p, found.p);
    }

    #[test]
    fn the_difference_is_that_of_the_means() {
        let mut draws = Draws::new(2, "crossed", "");
        let sizes = [3, 1, 2, 5, 4, 2, 2];
        let (a, b) = (drawn(&sizes, 5, &mut draws), drawn(&sizes, 2, &mut draws));
        let means = [&a, &b].map(|hits| mean(&sizes, hits).expect("enough").value);
        let found = difference(&sizes, &a, &b).expect("enough");
        assert_eq!(found.difference, means[0] - means[1]);
    }

    #[test]
    fn one_seed_or_one_cluster_is_undefined_and_no_spread_has_no_interval() {
        assert_eq!(mean(&[2, 2], &[vec![1, 2]]), None);
        assert_eq!(mean(&[2], &[vec![1], vec![2]]), None);
        assert_eq!(difference(&[2, 2], &[vec![1, 2]], &[vec![1, 2], vec![2, 2]]), None);
        assert_eq!(mean(&[2, 2], &[vec![1], vec![2]]), None, "ragged");
        let same = vec![vec![1, 2], vec![1, 2]];
        let nothing = difference(&[2, 2], &same, &same).expect("enough");
        assert_eq!((nothing.var, nothing.df, nothing.interval, nothing.p), (0.0, None, None, None));
    }
}
