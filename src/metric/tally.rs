//! Sums over prediction rows, from which every metric follows.
use crate::record::{Prediction, NUM_CLASSES};

/// What one row adds to a [`Tally`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    target: u8,
    predicted: u8,
    scores: Option<Scores>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Scores {
    nll: f64,
    brier: f64,
    top2: bool,
    confidence: f64,
    bin: usize,
}

/// Probabilities below this count as this in the log-likelihood.
const NLL_FLOOR: f64 = 1e-12;

impl Row {
    /// A row with labels below 7 and class probabilities `[C]`, `None` where the model gave none.
    pub fn new(target: u8, predicted: u8, probabilities: Option<[f64; NUM_CLASSES]>) -> Self {
        Row {
            target,
            predicted,
            scores: probabilities.map(|p| Scores::new(usize::from(target), &p)),
        }
    }

    /// The row of a prediction.
    pub fn of(prediction: &Prediction) -> Self {
        let p = probabilities(&prediction.logits);
        Row::new(prediction.target, prediction.predicted, p)
    }

    /// Whether the row has class probabilities.
    pub fn is_scored(&self) -> bool {
        self.scores.is_some()
    }
}

impl Scores {
    fn new(target: usize, p: &[f64; NUM_CLASSES]) -> Self {
        let squares = |(j, p): (usize, &f64)| (p - f64::from(u8::from(j == target))).powi(2);
        // A class ranks before the target when it scores more, or as much and comes earlier.
        let before = |(j, q): (usize, &f64)| *q > p[target] || (*q == p[target] && j < target);
        let confidence = p.iter().copied().fold(0.0, f64::max);
        Scores {
            nll: 0.0 - p[target].max(NLL_FLOOR).ln(),
            brier: p.iter().enumerate().map(squares).sum(),
            top2: p.iter().enumerate().filter(|&x| before(x)).count() < 2,
            confidence,
            bin: bin_of(confidence),
        }
    }
}

/// Softmax of logits in `f64`; `None` when one of them is infinite or not a number.
pub fn probabilities(logits: &[f32; NUM_CLASSES]) -> Option<[f64; NUM_CLASSES]> {
    if logits.iter().any(|x| !x.is_finite()) {
        return None;
    }
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let scaled = logits.map(|x| (f64::from(x) - f64::from(largest)).exp());
    let total: f64 = scaled.iter().sum();
    Some(scaled.map(|x| x / total))
}

/// Number of confidence bins of equal width.
pub const BINS: usize = 15;

/// The bin of a confidence: `(b / 15, (b + 1) / 15]`, 0 in the first.
fn bin_of(confidence: f64) -> usize {
    let upper = (confidence * BINS as f64).ceil() as usize;
    upper.saturating_sub(1).min(BINS - 1)
}

/// Rows of one confidence bin.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct BinSums {
    pub(super) n: u64,
    pub(super) hits: u64,
    pub(super) confidence: f64,
}

/// Sums over rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    pub(super) confusion: [[u64; NUM_CLASSES]; NUM_CLASSES],
    pub(super) scored: u64,
    pub(super) nll: f64,
    pub(super) brier: f64,
    pub(super) top2: u64,
    pub(super) bins: [BinSums; BINS],
}

impl Tally {
    /// The sums over `rows`, added in their order.
    pub fn of(rows: &[Row]) -> Self {
        let mut tally = Tally::default();
        rows.iter().for_each(|row| tally.add(row));
        tally
    }

    /// Adds a row.
    pub fn add(&mut self, row: &Row) {
        self.confusion[usize::from(row.target)][usize::from(row.predicted)] += 1;
        let Some(scores) = &row.scores else { return };
        self.scored += 1;
        self.nll += scores.nll;
        self.brier += scores.brier;
        self.top2 += u64::from(scores.top2);
        let bin = &mut self.bins[scores.bin];
        bin.n += 1;
        bin.hits += u64::from(row.target == row.predicted);
        bin.confidence += scores.confidence;
    }

    /// Rows: truth, columns: prediction, `[C, C]`.
    pub fn confusion(&self) -> &[[u64; NUM_CLASSES]; NUM_CLASSES] {
        &self.confusion
    }

    /// Number of rows.
    pub fn n(&self) -> u64 {
        self.confusion.iter().flatten().sum()
    }

    /// Rows predicted right.
    pub fn hits(&self) -> u64 {
        (0..NUM_CLASSES).map(|c| self.confusion[c][c]).sum()
    }

    /// Rows whose true class is `class`.
    pub fn support(&self, class: usize) -> u64 {
        self.confusion[class].iter().sum()
    }

    /// Rows predicted as `class`.
    pub fn predicted(&self, class: usize) -> u64 {
        self.confusion.iter().map(|row| row[class]).sum()
    }

    /// A sum over scored rows as their mean; `None` unless every row is scored.
    pub(super) fn mean(&self, sum: f64) -> Option<f64> {
        (self.scored > 0 && self.scored == self.n()).then(|| sum / self.scored as f64)
    }
}

/// `a / b`, `None` for 0/0 and anything else over 0.
pub(super) fn ratio(a: u64, b: u64) -> Option<f64> {
    (b > 0).then(|| a as f64 / b as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_logits_do_not_overflow() {
        let p = probabilities(&[1e38, -1e38, 0.0, 0.0, 0.0, 0.0, 0.0]).expect("finite");
        assert_eq!((p[0], p[1]), (1.0, 0.0));
        assert_eq!(probabilities(&[f32::NAN; 7]), None);
        assert_eq!(probabilities(&[f32::INFINITY, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]), None);
    }

    #[test]
    fn ties_in_the_top_two_go_to_the_lower_label() {
        let hit = |target| Row::new(target, 0, Some([1.0 / 7.0; 7])).scores.expect("scored").top2;
        assert!(hit(0) && hit(1) && !hit(2));
    }
}
