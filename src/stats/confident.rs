//! Which labels a model that never saw them denies: confident learning.
//!
//! Northcutt, Jiang and Chuang (2021), Journal of Artificial Intelligence Research 70:1373-1411. The
//! probabilities must be out of sample: every row predicted by a model that was not trained on it,
//! nor on anything of its group, or the model has learnt the wrong label too.
use serde::{Deserialize, Serialize};

/// What is thought of one row's label.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Doubt {
    /// Place of the row in the input.
    pub row: usize,
    /// The label it has.
    pub given: u16,
    /// The likeliest other label.
    pub suggested: u16,
    /// Probability of the label it has.
    pub self_confidence: f64,
    /// That less the largest other probability, -1..=1: the lower, the more it is contradicted.
    pub margin: f64,
    /// Whether it lies off the diagonal of the confident joint: another class is at least as likely
    /// as it is on average where it is the label.
    pub flagged: bool,
}

/// Doubts about all rows, the most doubtful first, and what they say of the classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Doubts {
    /// All rows: flagged ones first, by rising margin.
    pub rows: Vec<Doubt>,
    /// Estimated number of rows by given label and true label, `[C][C]`; rows sum to the number of
    /// rows with that label.
    pub joint: Vec<Vec<f64>>,
    /// Mean probability of every class where it is the label; `None` for classes without rows.
    pub thresholds: Vec<Option<f64>>,
}

impl Doubts {
    /// Estimated share of rows whose label is wrong; `None` without rows.
    pub fn noise(&self) -> Option<f64> {
        let all: f64 = self.joint.iter().flatten().sum();
        let right: f64 = self.joint.iter().enumerate().map(|(c, row)| row[c]).sum();
        (all > 0.0).then(|| 1.0 - right / all)
    }
}

/// Doubts about `labels` given `probabilities` `[rows][classes]` of models that did not see them.
pub fn doubts(classes: usize, labels: &[u16], probabilities: &[Vec<f64>]) -> Doubts {
    let thresholds = thresholds(classes, labels, probabilities);
    let mut counts = vec![vec![0u64; classes]; classes];
    let mut rows = Vec::with_capacity(labels.len());
    for (row, (&given, p)) in labels.iter().zip(probabilities).enumerate() {
        let label = usize::from(given);
        let confident = confident_class(p, &thresholds);
        if let Some(class) = confident {
            counts[label][class] += 1;
        }
        let other =
            (0..classes).filter(|&c| c != label).reduce(|b, c| if p[c] > p[b] { c } else { b });
        let other = other.unwrap_or(label);
        rows.push(Doubt {
            row,
            given,
            suggested: other as u16,
            self_confidence: p[label],
            margin: p[label] - p[other],
            flagged: confident.is_some_and(|class| class != label),
        });
    }
    rows.sort_by(|a, b| {
        let flag = b.flagged.cmp(&a.flagged);
        flag.then(a.margin.total_cmp(&b.margin)).then(a.row.cmp(&b.row))
    });
    Doubts { rows, joint: calibrated(&counts, labels), thresholds }
}

fn thresholds(classes: usize, labels: &[u16], probabilities: &[Vec<f64>]) -> Vec<Option<f64>> {
    let mut sums = vec![(0.0, 0u64); classes];
    for (&label, p) in labels.iter().zip(probabilities) {
        let (sum, n) = &mut sums[usize::from(label)];
        *sum += p[usize::from(label)];
        *n += 1;
    }
    sums.into_iter().map(|(sum, n)| (n > 0).then(|| sum / n as f64)).collect()
}

/// How far below its threshold a probability still counts as being there: rounding.
const SLACK: f64 = 1e-6;

/// The likeliest of the classes that are at least as likely as their threshold.
fn confident_class(p: &[f64], thresholds: &[Option<f64>]) -> Option<usize> {
    let above = |c: &usize| thresholds[*c].is_some_and(|t| p[*c] >= t - SLACK);
    (0..p.len()).filter(above).reduce(|best, c| if p[c] > p[best] { c } else { best })
}

/// The counts scaled so that every row of them has as many as there are rows with that label; rows
/// without a confident class take all to be right.
fn calibrated(counts: &[Vec<u64>], labels: &[u16]) -> Vec<Vec<f64>> {
    let mut support = vec![0u64; counts.len()];
    labels.iter().for_each(|&label| support[usize::from(label)] += 1);
    let row = |(c, counts): (usize, &Vec<u64>)| {
        let all: u64 = counts.iter().sum();
        let mut row = vec![0.0; counts.len()];
        match all {
            0 => row[c] = support[c] as f64,
            all => {
                let scale = support[c] as f64 / all as f64;
                row.iter_mut().zip(counts).for_each(|(x, &n)| *x = n as f64 * scale);
            }
        }
        row
    };
    counts.iter().enumerate().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Draws;

    #[test]
    fn planted_flips_are_found_and_counted() {
        let mut draws = Draws::new(1, "confident", "");
        let (mut labels, mut probabilities, mut planted) = (Vec::new(), Vec::new(), Vec::new());
        for row in 0..2_000u64 {
            let truth = (row % 4) as usize;
            let mut p: Vec<f64> = (0..4).map(|_| 0.05 + 0.05 * draws.uniform()).collect();
            p[truth] += 0.5 + 0.3 * draws.uniform();
            let total: f64 = p.iter().sum();
            probabilities.push(p.iter().map(|x| x / total).collect::<Vec<f64>>());
            let flip = draws.chance(0.1);
            planted.push(flip);
            let shift = if flip { 1 + draws.below(3) as usize } else { 0 };
            labels.push(((truth + shift) % 4) as u16);
        }
        let found = doubts(4, &labels, &probabilities);
        let n = planted.iter().filter(|&&flip| flip).count();
        let hits = found.rows[..n].iter().filter(|d| planted[d.row]).count();
        assert!(hits as f64 >= 0.99 * n as f64, "{hits} of {n}");
        assert!((found.noise().expect("rows") - 0.1).abs() < 0.02, "{:?}", found.noise());
        let top = &found.rows[0];
        assert_eq!(top.suggested, (top.row % 4) as u16);
    }

    #[test]
    fn a_class_without_rows_and_no_rows_at_all() {
        let found = doubts(3, &[0, 1], &[vec![0.6, 0.3, 0.1], vec![0.2, 0.7, 0.1]]);
        assert_eq!(found.thresholds, [Some(0.6), Some(0.7), None]);
        assert!(found.rows.iter().all(|d| !d.flagged));
        assert_eq!(doubts(3, &[], &[]).noise(), None);
    }
}
