//! Computing a comparison: draws once for all models, then pair by pair.
use rayon::prelude::*;

use super::{AccuracyTests, ComparisonOptions, MarginTests, Model, ModelPair, MARGIN_CLASSES};
use crate::{
    record::Estimate,
    stats::{
        clusters::{clustered_error, Clusters},
        effect::effect_size,
        equivalence::{equivalence, unseen_share},
        interval::{self, Interval},
        margins::Margins,
        mcnemar, mh,
        multiplicity::{self, Adjusted},
        pairing::Paired,
        pooled::{Pool, PoolEntry, PoolSettings},
        resample::{self, Sums},
        share::clustered_share,
        signflip::SignFlip,
        table::ContingencyTable,
        tail::PValue,
    },
};

/// Stands in until all p-values of a family are known.
const UNADJUSTED: Adjusted = Adjusted { holm: PValue::ONE, bh: PValue::ONE };

/// All models and all pairs of them; `labels` are their configurations.
pub(super) fn assemble(
    paired: &Paired,
    labels: &[&str],
    options: &ComparisonOptions,
) -> (Vec<Model>, Vec<ModelPair>) {
    let bench = Bench::new(paired, labels, options);
    let m = paired.names.len();
    let mut models: Vec<Model> = (0..m).into_par_iter().map(|i| bench.model(i)).collect();
    let couples: Vec<(usize, usize)> =
        (0..m).flat_map(|a| (a + 1..m).map(move |b| (a, b))).collect();
    let mut pairs: Vec<ModelPair> =
        couples.into_par_iter().map(|(a, b)| bench.pair(a, b)).collect();
    adjust(labels, &mut models, &mut pairs);
    (models, pairs)
}

/// The files brought together by configuration, in the order of their first file.
pub(super) fn pool(paired: &Paired, labels: &[&str], options: &ComparisonOptions) -> Pool {
    let mut entries: Vec<PoolEntry> = Vec::new();
    for (label, predicted) in labels.iter().zip(&paired.predicted) {
        let hits = paired.clusters.sums(|row| i64::from(predicted[row] == paired.truth[row]));
        match entries.iter_mut().find(|entry| entry.label == *label) {
            Some(entry) => entry.hits.push(hits),
            None => entries.push(PoolEntry { label: (*label).to_owned(), hits: vec![hits] }),
        }
    }
    let settings =
        PoolSettings { seed: options.seed, sign_flips: options.sign_flips, margin: options.margin };
    Pool::of(paired.clusters.sizes(), &entries, &settings)
}

/// The rows, and the draws that all tests share.
struct Bench<'a> {
    paired: &'a Paired,
    labels: &'a [&'a str],
    margin: Option<f64>,
    /// Classes whose margins are tested: all or none.
    tested: usize,
    right: Vec<Vec<u8>>,
    flips: Sums,
    resampled: Sums,
}

impl<'a> Bench<'a> {
    fn new(paired: &'a Paired, labels: &'a [&'a str], options: &ComparisonOptions) -> Self {
        let hit = |labels: &Vec<u16>| -> Vec<u8> {
            labels.iter().zip(&paired.truth).map(|(p, t)| u8::from(p == t)).collect()
        };
        let right: Vec<Vec<u8>> = paired.predicted.iter().map(hit).collect();
        let classes = paired.classes.len();
        let tested = if classes > MARGIN_CLASSES { 0 } else { classes };
        let (counts, width) = label_counts(paired, tested, &right);
        let flips = resample::flip_signs(&counts, width, options.sign_flips, options.seed);
        let (hits, width) = hit_counts(&paired.clusters, &right);
        let resampled = resample::bootstrap(&hits, width, options.bootstrap_draws, options.seed);
        Bench { paired, labels, margin: options.margin, tested, right, flips, resampled }
    }

    /// Labels of a model, or of the truth for the index after the last model.
    fn labels(&self, rater: usize) -> &[u16] {
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
        let robust = clustered_share(&sums, self.paired.clusters.sizes()).map(|s| s.interval);
        Model {
            name: self.paired.names[i].clone(),
            configuration: self.labels[i].to_owned(),
            accuracy: interval::wilson(hits, n as u64).map(estimate),
            accuracy_clustered: robust.map(estimate),
            accuracy_bootstrap: self.bootstrap(|row| row[1 + i]),
            design_effect: error.and_then(|e| e.design_effect),
            versus_truth: self.margins(self.paired.names.len(), i),
        }
    }

    fn pair(&self, a: usize, b: usize) -> ModelPair {
        let margins = self.margins(a, b);
        let rows = self.labels(a).iter().copied().zip(self.labels(b).iter().copied());
        let kappa = match &margins {
            Some(margins) => margins.table.kappa(),
            None => ContingencyTable::of_pairs(self.paired.classes.len(), rows).kappa(),
        };
        ModelPair { a, b, margins, accuracy: self.accuracy(a, b), kappa }
    }

    fn margins(&self, a: usize, b: usize) -> Option<MarginTests> {
        let classes = Some(self.tested).filter(|&tested| tested > 0)?;
        let (of_a, of_b) = (self.labels(a), self.labels(b));
        let rows = of_a.iter().copied().zip(of_b.iter().copied());
        let table = ContingencyTable::of_pairs(classes, rows);
        let margins = Margins::new(classes, of_a, of_b, &self.paired.clusters);
        let difference = |row: &[i32]| -> Vec<f64> {
            let (a, b) = (&row[classes * a..], &row[classes * b..]);
            (0..classes).map(|j| f64::from(a[j] - b[j])).collect()
        };
        Some(MarginTests {
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
        })
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
        let base = self.tested * (self.paired.names.len() + 1);
        let signed = |row: &[i32]| {
            let d = f64::from(row[base + a] - row[base + b]);
            vec![-d, d]
        };
        let discordant = (wins + losses) as f64 / n as f64;
        let only_by = |x: &[u8], y: &[u8]| -> Vec<u64> {
            let sums = clusters.sums(|row| i64::from(x[row] > y[row]));
            sums.into_iter().map(|n| n as u64).collect()
        };
        let tost = |margin: f64| {
            let e = error?;
            equivalence(e.mean, e.cr1, clusters.len() as f64 - 1.0, margin)
        };
        let alike = n > 0 && wins + losses == 0;
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
            effect: effect_size(&only_by(of_a, of_b), &only_by(of_b, of_a)),
            equivalence: self.margin.and_then(tost),
            unseen_share: alike.then(|| unseen_share(clusters.len())),
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
/// right; `[clusters, classes (models + 1) + models]` and the width. With `classes` 0 only the last.
fn label_counts(paired: &Paired, classes: usize, right: &[Vec<u8>]) -> (Vec<i32>, usize) {
    let raters: Vec<&Vec<u16>> = paired.predicted.iter().chain([&paired.truth]).collect();
    let base = classes * raters.len();
    let width = base + right.len();
    let mut counts = vec![0; paired.clusters.len() * width];
    for (row, &cluster) in paired.clusters.of_row().iter().enumerate() {
        let sums = &mut counts[cluster * width..][..width];
        for (rater, labels) in raters.iter().enumerate().filter(|_| classes > 0) {
            sums[classes * rater + usize::from(labels[row])] += 1;
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
/// accuracy tests over all pairs of different configurations.
fn adjust(labels: &[&str], models: &mut [Model], pairs: &mut [ModelPair]) {
    let mut margins: Vec<&mut MarginTests> =
        models.iter_mut().filter_map(|model| model.versus_truth.as_mut()).collect();
    let (mut accuracies, mut seeds) = (Vec::new(), Vec::new());
    for pair in pairs {
        margins.extend(pair.margins.as_mut());
        let same_label = labels[pair.a] == labels[pair.b];
        if same_label { &mut seeds } else { &mut accuracies }.push(&mut pair.accuracy);
    }
    for pair in seeds {
        let alone = |p: PValue| Adjusted { holm: p, bh: p };
        pair.mcnemar_adjusted = alone(pair.mcnemar.exact);
        pair.sign_flip_adjusted = alone(pair.sign_flip.p);
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
