//! The numbers of a report: every configuration evaluated over its seeds, and all pairs compared
//! on the seeds that both have.
use anyhow::Result;
use serde::Serialize;

use super::study::{Group, Study};
use crate::{
    metric::Evaluation,
    record::{Estimate, Prediction},
    stats::{
        clusters::{clustered_error, Clusters},
        comparison::{compare, Comparison, MarginTests, Options},
        interval, multiplicity,
        seeds::{self, SeedSummary},
        tail::PValue,
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
    /// Accuracy of every seed, 0..=1.
    pub runs: Vec<f64>,
    /// What the seeds show; the mean's interval here treats seeds as units.
    pub seeds: Option<SeedSummary>,
    /// Run ids, as `runs`.
    pub run_ids: Vec<String>,
    /// Its use of the classes against the truth's.
    pub truth: MarginScore,
    /// All metrics of the first seed.
    pub first: Evaluation,
}

impl Score {
    /// A metric of the first seed, where it is defined.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.first.metric(name).and_then(|m| m.value)
    }

    /// Standard deviation over seeds; `None` with one.
    pub fn sd(&self) -> Option<f64> {
        self.seeds.as_ref().and_then(|s| s.sd)
    }
}

/// How two raters use the classes.
#[derive(Clone, Debug, Serialize)]
pub struct MarginScore {
    /// The paper's test for every seed: p-value and degrees of freedom.
    pub stuart_maxwell: Vec<(PValue, u32)>,
    /// Cluster sign-flip test over all seeds, everything about one video as one unit.
    pub sign_flip: PValue,
}

/// Two configurations on the seeds that both have, the n-th seed of one with the n-th of the
/// other.
#[derive(Clone, Debug, Serialize)]
pub struct PairScore {
    /// Index of the first configuration.
    pub a: usize,
    /// Index of the second one.
    pub b: usize,
    /// Difference of the mean accuracies; the interval treats videos as units and seeds as given.
    pub difference: Option<Estimate>,
    /// The difference seed by seed.
    pub each: Vec<f64>,
    /// Cluster sign-flip test of the difference over all seeds, everything about one video as
    /// one unit.
    pub sign_flip: PValue,
    /// The same after Holm's correction over all pairs of the report.
    pub holm: PValue,
    /// McNemar's exact test for every seed, frames taken as independent.
    pub mcnemar: Vec<PValue>,
    /// Smallest difference found with 80 % power at 5 %.
    pub minimum_detectable: Option<f64>,
    /// How the two use the classes.
    pub margins: MarginScore,
}

impl PairScore {
    /// Whether every seed shows a difference of the same sign.
    fn is_consistent(&self) -> bool {
        self.each.iter().all(|d| *d > 0.0) || self.each.iter().all(|d| *d < 0.0)
    }
}

/// Some configurations compared.
#[derive(Clone, Debug)]
pub struct Level {
    /// The configurations, as the comparison numbers them.
    pub members: Vec<usize>,
    /// Their tests.
    pub comparison: Comparison,
}

impl Level {
    /// Compares the configurations that have seeds at all of `positions`; the answers of several
    /// seeds are stacked, those on one video in one cluster.
    fn of(study: &Study, positions: std::ops::Range<usize>) -> Result<Self> {
        let long = |i: &usize| study.groups[*i].runs.len() >= positions.end;
        let members: Vec<usize> = (0..study.groups.len()).filter(long).collect();
        let stack = |&i: &usize| {
            let group = &study.groups[i];
            let runs = group.runs[positions.clone()].iter().enumerate();
            let rows = runs.flat_map(|(at, &run)| {
                let answers = study.runs[run].answers.iter().flat_map(|a| &a.rows);
                answers.map(move |row| {
                    let sample_id = format!("{at}/{}", row.sample_id);
                    Prediction { sample_id, ..row.clone() }
                })
            });
            (group.label.clone(), rows.collect())
        };
        let models: Vec<(String, Vec<Prediction>)> = members.iter().map(stack).collect();
        let comparison = compare(&models, &Options { seed: SEED, ..Options::default() })?;
        Ok(Level { members, comparison })
    }

    /// Where a configuration stands in the comparison.
    fn at(&self, group: usize) -> usize {
        self.members.iter().position(|&m| m == group).expect("asked only for members")
    }
}

/// All configurations, in the order of [`Study::groups`].
#[derive(Clone, Debug, Serialize)]
pub struct Scores {
    /// One per group.
    pub groups: Vec<Score>,
    /// All pairs, the first configuration's first.
    pub pairs: Vec<PairScore>,
    /// The n-th seeds alone; the first level holds every configuration.
    #[serde(skip)]
    pub single: Vec<Level>,
}

impl Scores {
    /// Evaluates and compares.
    ///
    /// # Errors
    /// When the answers cannot be paired, such as two truths for one sample.
    pub fn of(study: &Study) -> Result<Self> {
        let counts: Vec<usize> = study.groups.iter().map(|g| g.runs.len()).collect();
        let most = counts.iter().copied().max().unwrap_or(0);
        let single = (0..most).map(|k| Level::of(study, k..k + 1)).collect::<Result<Vec<_>>>()?;
        let stack = |m: usize| match m {
            1 => Ok(single[0].clone()),
            m => Level::of(study, 0..m),
        };
        let stacked = (1..=most)
            .map(|m| counts.contains(&m).then(|| stack(m)).transpose())
            .collect::<Result<Vec<_>>>()?;
        let tests = Tests { single: &single, stacked: &stacked };
        let groups: Vec<Score> = study
            .groups
            .iter()
            .enumerate()
            .map(|(i, g)| score(study, g, tests.truth(i, counts[i])))
            .collect();
        let mut pairs = Vec::new();
        for a in 0..counts.len() {
            for b in a + 1..counts.len() {
                pairs.push(tests.pair(a, b, counts[a].min(counts[b]), &groups));
            }
        }
        let found: Vec<PValue> = pairs.iter().map(|p| p.sign_flip).collect();
        for (pair, holm) in pairs.iter_mut().zip(multiplicity::holm(&found)) {
            pair.holm = holm;
        }
        Ok(Scores { groups, pairs, single })
    }

    /// The pair of two configurations, in either order; `None` for one and the same.
    pub fn pair(&self, i: usize, j: usize) -> Option<&PairScore> {
        self.pairs.iter().find(|pair| (pair.a, pair.b) == (i.min(j), i.max(j)))
    }

    /// The margin tests at row `i`, column `j` of Table 5's layout.
    pub fn margins(&self, i: usize, j: usize) -> Option<&MarginScore> {
        if i == j {
            return self.groups.get(i).map(|score| &score.truth);
        }
        self.pair(i, j).map(|pair| &pair.margins)
    }
}

/// The levels from which scores are put together.
struct Tests<'a> {
    single: &'a [Level],
    /// The first m seeds stacked, at m - 1; absent where no configuration has exactly m.
    stacked: &'a [Option<Level>],
}

impl Tests<'_> {
    fn level(&self, seeds: usize) -> &Level {
        self.stacked[seeds - 1].as_ref().expect("a configuration has this many seeds")
    }

    fn truth(&self, i: usize, seeds: usize) -> MarginScore {
        let of = |level: &Level| {
            let test = &level.comparison.models[level.at(i)].versus_truth;
            (test.stuart_maxwell.p, test.stuart_maxwell.df)
        };
        let level = self.level(seeds);
        MarginScore {
            stuart_maxwell: self.single[..seeds].iter().map(of).collect(),
            sign_flip: level.comparison.models[level.at(i)].versus_truth.sign_flip.p,
        }
    }

    fn pair(&self, a: usize, b: usize, seeds: usize, groups: &[Score]) -> PairScore {
        let found = |level: &Level| {
            let pair = level.comparison.pair(level.at(a), level.at(b));
            pair.expect("both are members").clone()
        };
        let (all, singles) =
            (found(self.level(seeds)), self.single[..seeds].iter().map(found).collect::<Vec<_>>());
        let margin = |tests: &MarginTests| (tests.stuart_maxwell.p, tests.stuart_maxwell.df);
        let each = groups[a].runs.iter().zip(&groups[b].runs).map(|(x, y)| x - y);
        PairScore {
            a,
            b,
            difference: all.accuracy.clustered,
            each: each.collect(),
            sign_flip: all.accuracy.sign_flip.p,
            holm: PValue::ONE,
            mcnemar: singles.iter().map(|p| p.accuracy.mcnemar.exact).collect(),
            minimum_detectable: all.accuracy.minimum_detectable,
            margins: MarginScore {
                stuart_maxwell: singles.iter().map(|p| margin(&p.margins)).collect(),
                sign_flip: all.margins.sign_flip.p,
            },
        }
    }
}

fn score(study: &Study, group: &Group, truth: MarginScore) -> Score {
    const DRAWS: usize = 9_999;
    let runs: Vec<_> = group.runs.iter().map(|&i| &study.runs[i]).collect();
    let answers: Vec<&[Prediction]> =
        runs.iter().filter_map(|r| Some(r.answers.as_ref()?.rows.as_slice())).collect();
    let accuracy = |rows: &&[Prediction]| {
        rows.iter().filter(|r| r.predicted == r.target).count() as f64 / rows.len() as f64
    };
    let each: Vec<f64> = answers.iter().map(accuracy).collect();
    Score {
        accuracy: mean_accuracy(&answers),
        seeds: seeds::summarize(&each, DRAWS, SEED),
        runs: each,
        run_ids: runs.iter().map(|r| r.record.run_id.clone()).collect(),
        truth,
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

/// Which of some configurations is the best, and whether one may say so.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Its index.
    pub best: usize,
    /// The configurations that cannot be told from it, itself left out.
    pub tied: Vec<usize>,
    /// The verdict in words.
    pub note: String,
}

impl Verdict {
    /// Whether `group` is the best and its difference to every other survives.
    pub fn is_strong(&self, group: usize) -> bool {
        group == self.best && self.tied.is_empty()
    }

    /// Whether `group` is one of several best that cannot be told apart.
    pub fn is_tie(&self, group: usize) -> bool {
        !self.tied.is_empty() && (group == self.best || self.tied.contains(&group))
    }
}

/// The best of `members` (at least one): the highest mean, and the tests that support it or not,
/// corrected over the pairs of members.
pub fn verdict(study: &Study, scores: &Scores, members: &[usize]) -> Verdict {
    let value = |i: usize| scores.groups[i].accuracy.value;
    let best = members.iter().copied().reduce(|b, i| if value(i) > value(b) { i } else { b });
    let best = best.unwrap_or(0);
    let inside = |pair: &&PairScore| members.contains(&pair.a) && members.contains(&pair.b);
    let pairs: Vec<&PairScore> = scores.pairs.iter().filter(inside).collect();
    let found: Vec<PValue> = pairs.iter().map(|p| p.sign_flip).collect();
    let adjusted = multiplicity::holm(&found);
    let mine = pairs.iter().zip(&adjusted).filter(|(p, _)| p.a == best || p.b == best);
    let mine: Vec<_> =
        mine.map(|(p, holm)| (if p.a == best { p.b } else { p.a }, *p, *holm)).collect();
    let survives =
        |(_, pair, holm): &&(usize, &PairScore, PValue)| holm.p() < LEVEL && pair.is_consistent();
    let tied: Vec<usize> = mine.iter().filter(|m| !survives(m)).map(|m| m.0).collect();
    let largest = mine.iter().map(|m| m.2).max_by(|a, b| a.p().total_cmp(&b.p()));
    let tested = "cluster sign-flip test over all seeds, Holm's correction over the pairs of this \
                  table, and every seed on the same side";
    let label = |i: usize| study.groups[i].label.as_str();
    let note = match (largest, tied.as_slice()) {
        (None, _) => "One configuration: there is nothing to compare it with.".into(),
        (Some(p), []) => format!(
            "Bold: the best; its difference to every other survives (largest p = {p}; {tested})."
        ),
        (_, tied) => format!(
            "≈ marks a tie, and nothing is bold: {} has the highest mean, but its difference to {} \
             does not survive ({tested}).",
            label(best),
            tied.iter().map(|&i| label(i)).collect::<Vec<_>>().join("; ")
        ),
    };
    Verdict { best, tied, note }
}
