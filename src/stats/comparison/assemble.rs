//! Computing a comparison: draws once for all models, then pair by pair.
use rayon::prelude::*;

use super::{AccuracyTests, MarginTests, Model, Options, Pair};
use crate::{
    record::{Estimate, NUM_CLASSES},
    stats::{
        clusters::{clustered_error, Clusters},
        interval::{self, Interval},
        margins::Margins,
        mcnemar, mh,
        multiplicity::{self, Adjusted},
        pairing::Paired,
        resample::{self, Sums},
        signflip::SignFlip,
        table::Table,
        tail::PValue,
    },
};

/// Stands in until all p-values of a family are known.
const UNADJUSTED: Adjusted = Adjusted { holm: PValue::ONE, bh: PValue::ONE };

/// All models and all pairs of them.
pub(super) fn assemble(paired: &Paired, options: &Options) -> (Vec<Model>, Vec<Pair>) {
    let bench = Bench::new(paired, options);
    let m = paired.names.len();
    let mut models: Vec<Model> = (0..m).into_par_iter().map(|i| bench.model(i)).collect();
    let couples: Vec<(usize, usize)> =
        (0..m).flat_map(|a| (a + 1..m).map(move |b| (a, b))).collect();
    let mut pairs: Vec<Pair> = couples.into_par_iter().map(|(a, b)| bench.pair(a, b)).collect();
    adjust(&mut models, &mut pairs);
    (models, pairs)
}

/// The rows, and the draws that all tests share.
struct Bench<'a> {
    paired: &'a Paired,
    right: Vec<Vec<u8>>,
    flips: Sums,
    resampled: Sums,
}

impl<'a> Bench<'a> {
    fn new(paired: &'a Paired, options: &Options) -> Self {
        let hit = |labels: &Vec<u8>| -> Vec<u8> {
            labels.iter().zip(&paired.truth).map(|(p, t)| u8::from(p == t)).collect()
        };
        let right: Vec<Vec<u8>> = paired.predicted.iter().map(hit).collect();
        let (labels, width) = label_counts(paired, &right);
        let flips = resample::flip_signs(&labels, width, options.sign_flips, options.seed);
        let (hits, width) = hit_counts(&paired.clusters, &right);
        let resampled = resample::bootstrap(&hits, width, options.bootstrap_draws, options.seed);
        Bench { paired, right, flips, resampled }
    }

    /// Labels of a model, or of the truth for the index after the last model.
    fn labels(&self, rater: usize) -> &[u8] {
        self.paired.predicted.get(rater).unwrap_or(&self.paired.truth)
    }

    fn model(&self, i: usize) -> Model {
        let hits: u64 = self.right[i].iter().map(|&r| u64::from(r)).sum();
        let n = self.right[i].len();
        let clusters = self.paired.clusters.len();
        let value = hits as f64 / n as f64;
        let estimate = |at: Interval| Estimate { value, lo: at.lo, hi: at.hi, n, clusters };
        let sums = self.paired.clusters.sums(|row| i64::from(self.right[i][row]));
        let error = clustered_error(&sums, self.paired.clusters.sizes(), hits);
        let robust = error.and_then(|e| interval::clustered_share(value, e.cr1, clusters));
        Model {
            name: self.paired.names[i].clone(),
            accuracy: interval::wilson(hits, n as u64).map(estimate),
            accuracy_clustered: robust.map(estimate),
            accuracy_bootstrap: self.bootstrap(|row| row[1 + i]),
            design_effect: error.and_then(|e| e.design_effect),
            versus_truth: self.margins(self.paired.names.len(), i),
        }
    }

    fn pair(&self, a: usize, b: usize) -> Pair {
        let margins = self.margins(a, b);
        let kappa = margins.table.kappa();
        Pair { a, b, margins, accuracy: self.accuracy(a, b), kappa }
    }

    fn margins(&self, a: usize, b: usize) -> MarginTests {
        let (of_a, of_b) = (self.labels(a), self.labels(b));
        let rows = of_a.iter().copied().zip(of_b.iter().copied());
        let table = Table::of_pairs(NUM_CLASSES, rows);
        let margins = Margins::new(NUM_CLASSES, of_a, of_b, &self.paired.clusters);
        let difference = |row: &[i32]| -> Vec<f64> {
            let (a, b) = (&row[NUM_CLASSES * a..], &row[NUM_CLASSES * b..]);
            (0..NUM_CLASSES).map(|j| f64::from(a[j] - b[j])).collect()
        };
        MarginTests {
            stuart_maxwell: mh::stuart_maxwell(&table),
            stuart_maxwell_adjusted: UNADJUSTED,
            bhapkar: mh::bhapkar(&table),
            bowker: mh::bowker(&table),
            exact: mh::exact(&table),
            largest_gap: mh::largest_gap(&table),
            sign_flip: SignFlip::with(&margins, || self.flips.rows().map(difference).collect()),
            sign_flip_adjusted: UNADJUSTED,
            clustered: margins.forms(),
            table,
        }
    }

    fn accuracy(&self, a: usize, b: usize) -> AccuracyTests {
        let (of_a, of_b) = (&self.right[a], &self.right[b]);
        let (n, clusters) = (of_a.len(), &self.paired.clusters);
        let only = |x: &[u8], y: &[u8]| x.iter().zip(y).filter(|(x, y)| x > y).count() as u64;
        let (wins, losses) = (only(of_a, of_b), only(of_b, of_a));
        let sums = clusters.sums(|row| i64::from(of_a[row]) - i64::from(of_b[row]));
        let error = clustered_error(&sums, clusters.sizes(), wins + losses);
        let robust = error.and_then(|e| {
            let at = interval::clustered_difference(e.mean, e.cr1, clusters.len())?;
            Some(Estimate { value: e.mean, lo: at.lo, hi: at.hi, n, clusters: clusters.len() })
        });
        let design_effect = error.and_then(|e| e.design_effect);
        let margins = Margins::new(2, of_a, of_b, clusters);
        let base = NUM_CLASSES * (self.paired.names.len() + 1);
        let signed = |row: &[i32]| {
            let d = f64::from(row[base + a] - row[base + b]);
            vec![-d, d]
        };
        let discordant = (wins + losses) as f64 / n as f64;
        AccuracyTests {
            difference: interval::paired_difference(wins, losses, n as u64),
            clustered: robust,
            bootstrap: self.bootstrap(|row| row[1 + a] - row[1 + b]),
            design_effect,
            mcnemar: mcnemar::mcnemar(wins, losses),
            mcnemar_adjusted: UNADJUSTED,
            sign_flip: SignFlip::with(&margins, || self.flips.rows().map(signed).collect()),
            sign_flip_adjusted: UNADJUSTED,
            cluster_forms: margins.forms(),
            minimum_detectable: design_effect
                .and_then(|effect| mcnemar::minimum_detectable(n, discordant, effect)),
        }
    }

    /// Percentile interval of a count's share over the resampled clusters; `None` with fewer than
    /// two clusters, which resampling cannot vary.
    fn bootstrap(&self, count: impl Fn(&[i32]) -> i32) -> Option<Interval> {
        if self.paired.clusters.len() < 2 {
            return None;
        }
        let share = |row: &[i32]| f64::from(count(row)) / f64::from(row[0]);
        interval::percentile(&self.resampled.rows().map(share).collect::<Vec<_>>())
    }
}

/// Per cluster: how often each model and the truth have each class, then how often each model is
/// right; `[clusters, 7 (models + 1) + models]` and the width.
fn label_counts(paired: &Paired, right: &[Vec<u8>]) -> (Vec<i32>, usize) {
    let raters: Vec<&Vec<u8>> = paired.predicted.iter().chain([&paired.truth]).collect();
    let base = NUM_CLASSES * raters.len();
    let width = base + right.len();
    let mut counts = vec![0; paired.clusters.len() * width];
    for (row, &cluster) in paired.clusters.of_row().iter().enumerate() {
        let sums = &mut counts[cluster * width..][..width];
        for (rater, labels) in raters.iter().enumerate() {
            sums[NUM_CLASSES * rater + usize::from(labels[row])] += 1;
        }
        for (model, hits) in right.iter().enumerate() {
            sums[base + model] += i32::from(hits[row]);
        }
    }
    (counts, width)
}

/// Per cluster: its size, then how often each model is right; `[clusters, 1 + models]` and the
/// width.
fn hit_counts(clusters: &Clusters, right: &[Vec<u8>]) -> (Vec<i32>, usize) {
    let width = 1 + right.len();
    let mut counts = vec![0; clusters.len() * width];
    for (row, &cluster) in clusters.of_row().iter().enumerate() {
        let sums = &mut counts[cluster * width..][..width];
        sums[0] += 1;
        for (model, hits) in right.iter().enumerate() {
            sums[1 + model] += i32::from(hits[row]);
        }
    }
    (counts, width)
}

/// Adjusts each kind of p-value over its family: margin tests over the whole of Table 5's layout,
/// accuracy tests over all pairs.
fn adjust(models: &mut [Model], pairs: &mut [Pair]) {
    let mut margins: Vec<&mut MarginTests> =
        models.iter_mut().map(|model| &mut model.versus_truth).collect();
    let mut accuracies = Vec::new();
    for pair in pairs {
        margins.push(&mut pair.margins);
        accuracies.push(&mut pair.accuracy);
    }
    family(&mut margins, |t| t.stuart_maxwell.p, |t, p| t.stuart_maxwell_adjusted = p);
    family(&mut margins, |t| t.sign_flip.p, |t, p| t.sign_flip_adjusted = p);
    family(&mut accuracies, |t| t.mcnemar.exact, |t, p| t.mcnemar_adjusted = p);
    family(&mut accuracies, |t| t.sign_flip.p, |t, p| t.sign_flip_adjusted = p);
}

fn family<T>(tests: &mut [&mut T], p: impl Fn(&T) -> PValue, set: impl Fn(&mut T, Adjusted)) {
    let found: Vec<PValue> = tests.iter().map(|test| p(test)).collect();
    for (test, adjusted) in tests.iter_mut().zip(multiplicity::adjust(&found)) {
        set(test, adjusted);
    }
}
