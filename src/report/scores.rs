//! The numbers of a report: every configuration evaluated over its seeds, all first seeds
//! compared with each other.
use anyhow::Result;
use serde::Serialize;

use super::study::{Group, Study};
use crate::{
    metric::Evaluation,
    record::{Estimate, Prediction},
    stats::{
        clusters::{clustered_error, Clusters},
        comparison::{compare, Comparison, Options},
        interval, seeds,
    },
};

/// Seed of every resampling in a report.
const SEED: u64 = 1;
/// What counts as surviving after Holm's correction.
const LEVEL: f64 = 0.05;

/// One configuration over its seeds.
#[derive(Clone, Debug, Serialize)]
pub struct Score {
    /// Mean accuracy over seeds; the interval treats videos as units and seeds as given.
    pub accuracy: Estimate,
    /// Standard deviation over seeds; `None` with one.
    pub sd: Option<f64>,
    /// Accuracy of every seed.
    pub runs: Vec<f64>,
    /// Run ids, as `runs`.
    pub run_ids: Vec<String>,
    /// All metrics of the first seed.
    pub first: Evaluation,
}

impl Score {
    /// A metric of the first seed, where it is defined.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.first.metric(name).and_then(|m| m.value)
    }
}

/// All configurations, in the order of [`Study::groups`].
#[derive(Clone, Debug, Serialize)]
pub struct Scores {
    /// One per group.
    pub groups: Vec<Score>,
    /// First seeds against each other and the truth.
    pub comparison: Comparison,
}

impl Scores {
    /// Evaluates and compares.
    ///
    /// # Errors
    /// When the answers cannot be paired, such as two truths for one sample.
    pub fn of(study: &Study) -> Result<Self> {
        let first = |g: &Group| {
            let answers = study.first(g).answers.as_ref().expect("a group's runs are scored");
            (g.label.clone(), answers.rows.clone())
        };
        let models: Vec<_> = study.groups.iter().map(first).collect();
        let comparison = compare(&models, &Options { seed: SEED, ..Options::default() })?;
        let groups = study.groups.iter().map(|g| score(study, g)).collect();
        Ok(Scores { groups, comparison })
    }
}

fn score(study: &Study, group: &Group) -> Score {
    let runs: Vec<_> = group.runs.iter().map(|&i| &study.runs[i]).collect();
    let answers: Vec<&[Prediction]> =
        runs.iter().filter_map(|r| Some(r.answers.as_ref()?.rows.as_slice())).collect();
    let accuracy = |rows: &&[Prediction]| {
        rows.iter().filter(|r| r.predicted == r.target).count() as f64 / rows.len() as f64
    };
    let each: Vec<f64> = answers.iter().map(accuracy).collect();
    Score {
        accuracy: mean_accuracy(&answers),
        sd: seeds::standard_deviation(&each),
        runs: each,
        run_ids: runs.iter().map(|r| r.record.run_id.clone()).collect(),
        first: Evaluation::of(answers[0], SEED),
    }
}

/// Mean accuracy over runs on the same samples in the same order, with the cluster-robust score
/// interval; Wilson's where there are fewer than two clusters.
fn mean_accuracy(runs: &[&[Prediction]]) -> Estimate {
    let rows = runs[0];
    let hits: Vec<u64> = (0..rows.len())
        .map(|i| runs.iter().filter(|r| r[i].predicted == r[i].target).count() as u64)
        .collect();
    let (n, seeds) = (rows.len(), runs.len() as f64);
    let total: u64 = hits.iter().sum();
    let value = total as f64 / (n as f64 * seeds);
    let clusters = Clusters::by_id(rows.iter().map(|r| r.group_id.as_str()));
    let sums = clusters.sums(|row| hits[row] as i64);
    let squares = hits.iter().map(|h| h * h).sum();
    let robust = clustered_error(&sums, clusters.sizes(), squares)
        .and_then(|e| interval::clustered_share(value, e.cr1 / seeds, clusters.len()));
    let wilson = || interval::wilson((value * n as f64).round() as u64, n as u64);
    let (lo, hi) = robust.or_else(wilson).map_or((0.0, 1.0), |i| (i.lo, i.hi));
    Estimate { value, lo, hi, n, clusters: clusters.len() }
}

/// Which configuration is the best, and whether one may say so.
#[derive(Clone, Debug)]
pub struct Best {
    /// Its index.
    pub index: usize,
    /// Whether its difference to every other survives correction.
    pub survives: bool,
    /// The verdict in words.
    pub note: String,
}

/// The configuration with the highest mean, and the test that supports it or not.
pub fn best(study: &Study, scores: &Scores) -> Best {
    let value = |i: usize| scores.groups[i].accuracy.value;
    let index = (0..scores.groups.len()).fold(0, |b, i| if value(i) > value(b) { i } else { b });
    let label = |i: usize| &study.groups[i].label;
    let others = (0..scores.groups.len()).filter(|&i| i != index);
    let tests = others.filter_map(|i| {
        let pair = scores.comparison.pair(index, i)?;
        Some((i, pair.accuracy.sign_flip_adjusted.holm))
    });
    let worst = tests.max_by(|a, b| a.1.p().total_cmp(&b.1.p()));
    let tested = "cluster sign-flip test between first seeds, Holm's correction over all pairs";
    let (survives, note) = match worst {
        None => (false, "One configuration: there is nothing to compare it with.".into()),
        Some((_, p)) if p.p() < LEVEL => (
            true,
            format!("Bold: the best; its difference to every other survives (largest p = {p}; {tested})."),
        ),
        Some((i, p)) => (
            false,
            format!(
                "A tie, so nothing is bold: {} has the highest mean, but its difference to {} does not survive (p = {p}; {tested}).",
                label(index), label(i)
            ),
        ),
    };
    Best { index, survives, note }
}
