//! Sums over rows of answers, from which every metric follows.

/// What one row adds to a [`Tally`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TallyRow {
    target: u16,
    predicted: u16,
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
pub(super) const NLL_FLOOR: f64 = 1e-12;

impl TallyRow {
    /// A row with its labels and class probabilities `[C]`, `None` where the model gave none.
    pub fn new(target: u16, predicted: u16, probabilities: Option<&[f64]>) -> Self {
        let scores = probabilities.map(|p| Scores::new(usize::from(target), p));
        TallyRow { target, predicted, scores }
    }

    /// Whether the row has class probabilities.
    pub fn is_scored(&self) -> bool {
        self.scores.is_some()
    }

    pub(super) fn target(&self) -> usize {
        usize::from(self.target)
    }

    pub(super) fn predicted(&self) -> usize {
        usize::from(self.predicted)
    }
}

impl Scores {
    fn new(target: usize, p: &[f64]) -> Self {
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

/// Sums of scores over rows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct ScoreSums {
    scored: u64,
    nll: f64,
    brier: f64,
    top2: u64,
    bins: [BinSums; BINS],
}

/// Sums over rows of a task with some number of classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Tally {
    n: u64,
    hits: Vec<u64>,
    support: Vec<u64>,
    predicted: Vec<u64>,
    scores: ScoreSums,
}

impl Tally {
    /// No rows of a task of `classes` classes.
    pub fn new(classes: usize) -> Self {
        let none = || vec![0; classes];
        let scores = ScoreSums::default();
        Tally { n: 0, hits: none(), support: none(), predicted: none(), scores }
    }

    /// The sums over `rows`, added in their order.
    pub fn of(classes: usize, rows: &[TallyRow]) -> Self {
        let mut tally = Tally::new(classes);
        rows.iter().for_each(|row| tally.add(row));
        tally
    }

    /// Adds a row.
    ///
    /// # Panics
    /// When a label is not below the number of classes; labels are checked where files are read.
    pub fn add(&mut self, row: &TallyRow) {
        self.n += 1;
        self.support[row.target()] += 1;
        self.predicted[row.predicted()] += 1;
        self.hits[row.target()] += u64::from(row.target == row.predicted);
        let Some(scores) = &row.scores else { return };
        let sums = &mut self.scores;
        sums.scored += 1;
        sums.nll += scores.nll;
        sums.brier += scores.brier;
        sums.top2 += u64::from(scores.top2);
        let bin = &mut sums.bins[scores.bin];
        bin.n += 1;
        bin.hits += u64::from(row.target == row.predicted);
        bin.confidence += scores.confidence;
    }

    /// What `of` says of the rows without `left_out`, which must be among them; the sums are
    /// afterwards what they were, to the last bit.
    pub(super) fn without<T>(&mut self, left_out: &[TallyRow], of: impl FnOnce(&Tally) -> T) -> T {
        let whole = self.scores;
        left_out.iter().for_each(|row| self.remove(row));
        let found = of(self);
        self.scores = ScoreSums::default();
        left_out.iter().for_each(|row| self.add(row));
        self.scores = whole;
        found
    }

    fn remove(&mut self, row: &TallyRow) {
        self.n -= 1;
        self.support[row.target()] -= 1;
        self.predicted[row.predicted()] -= 1;
        self.hits[row.target()] -= u64::from(row.target == row.predicted);
        let Some(scores) = &row.scores else { return };
        let sums = &mut self.scores;
        sums.scored -= 1;
        sums.nll -= scores.nll;
        sums.brier -= scores.brier;
        sums.top2 -= u64::from(scores.top2);
        let bin = &mut sums.bins[scores.bin];
        bin.n -= 1;
        bin.hits -= u64::from(row.target == row.predicted);
        bin.confidence -= scores.confidence;
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.support.len()
    }

    /// Number of rows.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Rows predicted right.
    pub fn hits(&self) -> u64 {
        self.hits.iter().sum()
    }

    /// Rows of `class` predicted right.
    pub fn hits_of(&self, class: usize) -> u64 {
        self.hits[class]
    }

    /// Rows whose true class is `class`.
    pub fn support(&self, class: usize) -> u64 {
        self.support[class]
    }

    /// Rows predicted as `class`.
    pub fn predicted(&self, class: usize) -> u64 {
        self.predicted[class]
    }

    /// Sum over classes of support times predicted: n^2 times the agreement by chance.
    pub(super) fn chance(&self) -> i128 {
        let product = |(a, b): (&u64, &u64)| i128::from(*a) * i128::from(*b);
        self.support.iter().zip(&self.predicted).map(product).sum()
    }

    /// Sums of squares of the support and of the predicted rows.
    pub(super) fn squares(&self) -> (i128, i128) {
        let of = |counts: &[u64]| counts.iter().map(|&c| i128::from(c) * i128::from(c)).sum();
        (of(&self.support), of(&self.predicted))
    }

    pub(super) fn bins(&self) -> &[BinSums] {
        &self.scores.bins
    }

    pub(super) fn nll(&self) -> Option<f64> {
        self.mean(self.scores.nll)
    }

    pub(super) fn brier(&self) -> Option<f64> {
        self.mean(self.scores.brier)
    }

    pub(super) fn top2(&self) -> Option<f64> {
        self.mean(self.scores.top2 as f64)
    }

    /// A sum over scored rows as their mean; `None` unless every row is scored.
    pub(super) fn mean(&self, sum: f64) -> Option<f64> {
        let scored = self.scores.scored;
        (scored > 0 && scored == self.n).then(|| sum / scored as f64)
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
    fn ties_in_the_top_two_go_to_the_lower_label() {
        let seven = [1.0 / 7.0; 7];
        let hit = |target| TallyRow::new(target, 0, Some(&seven)).scores.expect("scored").top2;
        assert!(hit(0) && hit(1) && !hit(2));
    }

    #[test]
    fn leaving_rows_out_is_undone() {
        let p = [0.3, 0.6, 0.1];
        let rows: Vec<TallyRow> =
            (0..9).map(|i| TallyRow::new(i % 3, (i * 2) % 3, (i != 4).then_some(&p[..]))).collect();
        let whole = Tally::of(3, &rows);
        let mut tally = whole.clone();
        let rest = tally.without(&rows[3..6], Tally::clone);
        assert_eq!((rest.n(), rest.support(0)), (6, 2));
        assert_eq!((rest.scores.scored, whole.scores.scored), (6, 8));
        assert_eq!(tally, whole);
    }
}
