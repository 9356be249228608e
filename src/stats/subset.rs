//! Accuracy on all rows and on a part of them: how much of a score rests on the rest.
use serde::{Deserialize, Serialize};

use super::{clusters::Clusters, interval::clustered_difference, share::clustered_share};
use crate::record::Estimate;

/// Accuracy on all rows beside that on the kept ones. Intervals respect clusters; they are absent
/// with fewer than two.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubsetAccuracy {
    /// On all rows.
    pub all: Option<Estimate>,
    /// On the kept rows; `None` when none is kept.
    pub kept: Option<Estimate>,
    /// All minus kept: positive where the score rests on the rows left out.
    pub difference: Option<Estimate>,
}

/// `right` and `keep` by row, `clusters` of the same rows.
///
/// The two accuracies share rows, so the difference of the two ratios is linearised: a row
/// contributes `(right - a) / n - keep (right - k) / m` with the accuracies a of n rows and k of
/// m kept rows; sums over clusters give its cluster-robust error (Woodruff 1971, Journal of the
/// American Statistical Association 66:411-414), with the factor sqrt(G / (G - 1)) and Student's
/// t on G - 1 degrees of freedom.
///
/// # Panics
/// When the lengths differ.
pub fn subset_accuracy(right: &[bool], keep: &[bool], clusters: &Clusters) -> SubsetAccuracy {
    assert!(right.len() == keep.len() && right.len() == clusters.of_row().len());
    let rows: Vec<usize> = (0..right.len()).collect();
    let kept: Vec<usize> = rows.iter().copied().filter(|&i| keep[i]).collect();
    SubsetAccuracy {
        all: accuracy(right, &rows, clusters),
        kept: accuracy(right, &kept, clusters),
        difference: difference(right, &kept, clusters),
    }
}

/// Accuracy over some rows; without an interval of its own it spans everything.
fn accuracy(right: &[bool], rows: &[usize], clusters: &Clusters) -> Option<Estimate> {
    let mut sums = vec![(0i64, 0u64); clusters.len()];
    for &row in rows {
        let (hits, size) = &mut sums[clusters.of_row()[row]];
        *hits += i64::from(right[row]);
        *size += 1;
    }
    sums.retain(|(_, size)| *size > 0);
    let (hits, sizes): (Vec<i64>, Vec<u64>) = sums.into_iter().unzip();
    let total: i64 = hits.iter().sum();
    let value = (!rows.is_empty()).then(|| total as f64 / rows.len() as f64)?;
    let interval = clustered_share(&hits, &sizes).map(|share| share.interval);
    let (lo, hi) = interval.map_or((0.0, 1.0), |i| (i.lo, i.hi));
    Some(Estimate { value, lo, hi, n: rows.len(), clusters: sizes.len() })
}

fn difference(right: &[bool], kept: &[usize], clusters: &Clusters) -> Option<Estimate> {
    if kept.is_empty() {
        return None;
    }
    let share = |hits: usize, n: usize| hits as f64 / n as f64;
    let all = share(right.iter().filter(|r| **r).count(), right.len());
    let part = share(kept.iter().filter(|&&i| right[i]).count(), kept.len());
    let mut sums = vec![0.0; clusters.len()];
    for (row, &hit) in right.iter().enumerate() {
        sums[clusters.of_row()[row]] += (f64::from(u8::from(hit)) - all) / right.len() as f64;
    }
    for &row in kept {
        let hit = f64::from(u8::from(right[row]));
        sums[clusters.of_row()[row]] -= (hit - part) / kept.len() as f64;
    }
    let g = clusters.len() as f64;
    let value = all - part;
    let error = (sums.iter().map(|s| s * s).sum::<f64>() * g / (g - 1.0)).sqrt();
    let interval = (clusters.len() > 1).then(|| clustered_difference(value, error, clusters.len()));
    // Where everything is kept the two are one number, and 0 is known exactly.
    let unknown = if kept.len() == right.len() { (0.0, 0.0) } else { (-1.0, 1.0) };
    let (lo, hi) = interval.flatten().map_or(unknown, |i| (i.lo, i.hi));
    Some(Estimate { value, lo, hi, n: right.len(), clusters: clusters.len() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Draws;

    fn clusters_of(rows: usize, size: usize) -> Clusters {
        let ids: Vec<String> = (0..rows).map(|i| format!("{:05}", i / size)).collect();
        Clusters::by_id(ids.iter().map(String::as_str))
    }

    #[test]
    fn the_difference_is_that_of_the_accuracies() {
        // 8 of 10 right; of the kept six, four.
        let right = [1, 1, 1, 1, 1, 1, 0, 1, 1, 0].map(|r| r == 1);
        let keep = [0, 0, 0, 0, 1, 1, 1, 1, 1, 1].map(|k| k == 1);
        let found = subset_accuracy(&right, &keep, &clusters_of(10, 1));
        let value = |e: Option<Estimate>| e.expect("defined").value;
        assert_eq!((value(found.all), value(found.kept)), (0.8, 4.0 / 6.0));
        assert!((value(found.difference) - (0.8 - 4.0 / 6.0)).abs() < 1e-15);
        // By hand: the six kept rows contribute 0.2/10 - (1/3)/6 when right and -0.8/10 + (2/3)/6
        // when wrong, the four others 0.2/10; sum of squares 4 (-0.0355..)^2 + 2 (0.0311..)^2 +
        // 4 (0.02)^2 = 0.0085926; times 10/9, root: 0.0977098; t of 9 degrees 2.2621572.
        let difference = found.difference.expect("defined");
        assert!((difference.hi - difference.value - 2.262_157_2 * 0.097_709_8).abs() < 1e-4);
    }

    #[test]
    fn keeping_all_or_none_and_single_clusters() {
        let right = [true, false, true];
        let all = subset_accuracy(&right, &[true; 3], &clusters_of(3, 1));
        let difference = all.difference.expect("defined");
        assert_eq!((difference.value, difference.lo, difference.hi), (0.0, 0.0, 0.0));
        let none = subset_accuracy(&right, &[false; 3], &clusters_of(3, 1));
        assert!(none.kept.is_none() && none.difference.is_none() && none.all.is_some());
        let one = subset_accuracy(&right, &[true, true, false], &clusters_of(3, 3));
        let difference = one.difference.expect("defined");
        assert_eq!((difference.lo, difference.hi), (-1.0, 1.0));
        let nothing = subset_accuracy(&[], &[], &clusters_of(0, 1));
        assert_eq!(nothing, SubsetAccuracy { all: None, kept: None, difference: None });
    }

    #[test]
    fn the_interval_covers_what_it_says() {
        // Clusters of three rows that are right or wrong together; half of the clusters leak and
        // are right with 0.9, the others with 0.6: the true difference is 0.15.
        let covered = |trial: u64| {
            let mut draws = Draws::new(trial, "coverage", "");
            let (mut right, mut keep) = (Vec::new(), Vec::new());
            for cluster in 0..200 {
                let leaks = cluster % 2 == 0;
                let hit = draws.chance(if leaks { 0.9 } else { 0.6 });
                right.extend([hit; 3]);
                keep.extend([!leaks; 3]);
            }
            let found = subset_accuracy(&right, &keep, &clusters_of(600, 3));
            let difference = found.difference.expect("defined");
            difference.lo <= 0.15 && 0.15 <= difference.hi
        };
        let share = (0..1000).filter(|t| covered(*t)).count();
        assert!((925..=975).contains(&share), "{share} of 1000");
    }
}
