//! The numbers of a report: every configuration evaluated over its seeds, and all pairs compared
//! by the one model of uncertainty of [`pooled`].
use std::collections::BTreeMap;

use anyhow::{ensure, Result};
use serde::Serialize;

use super::{
    rules::Rules,
    study::{Group, Study},
};
use crate::{
    metric::{Evaluation, METRICS},
    record::{Estimate, Prediction},
    stats::{
        answers::Answers,
        clusters::Clusters,
        comparison::{compare, Comparison, ComparisonOptions, Contestant, MarginTests},
        interval::{self, Interval},
        pooled::{self, Contest, Pool, PoolEntry, PoolSettings, Scope},
        seeds::{self, SeedSummary},
        tail::PValue,
    },
};

/// Seed of every resampling in a report.
const SEED: u64 = 1;

/// One configuration over its seeds.
#[derive(Clone, Debug, Serialize)]
pub struct Score {
    /// Mean accuracy over seeds with its interval.
    pub accuracy: Estimate,
    /// What the interval speaks of.
    pub scope: Scope,
    /// Accuracy of every seed, 0..=1.
    pub runs: Vec<f64>,
    /// How far the seeds scatter.
    pub seeds: Option<SeedSummary>,
    /// Run ids, as `runs`.
    pub run_ids: Vec<String>,
    /// Its use of the classes against the truth's.
    pub truth: MarginScore,
    /// Every metric as its mean over seeds; absent where a seed has none.
    pub metrics: BTreeMap<String, f64>,
    /// Accuracy over clips, by the mean probability over a clip's frames, mean over seeds.
    pub clip_accuracy: Option<f64>,
    /// All metrics of the first seed, with intervals of these weights.
    pub first: Evaluation,
}

impl Score {
    /// A metric's mean over seeds, where every seed has it.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.get(name).copied()
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

/// Two configurations.
#[derive(Clone, Debug, Serialize)]
pub struct PairScore {
    /// Difference of accuracies with its tests; every seed of both sides counts.
    #[serde(flatten)]
    pub contest: Contest,
    /// McNemar's exact test of the n-th seed of one against the n-th of the other: two given sets
    /// of weights each time, frames taken as independent.
    pub mcnemar: Vec<PValue>,
    /// How the two use the classes, on the seeds that both have.
    pub margins: MarginScore,
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
    fn of(study: &Study, positions: std::ops::Range<usize>, rules: &Rules) -> Result<Self> {
        let long = |i: &usize| study.groups[*i].runs.len() >= positions.end;
        let members: Vec<usize> = (0..study.groups.len()).filter(long).collect();
        let stack = |&i: &usize| {
            let runs = study.groups[i].runs[positions.clone()].iter().enumerate();
            let rows: Vec<Prediction> = runs
                .flat_map(|(at, &run)| {
                    let answers = study.runs[run].answers.iter().flat_map(|a| &a.rows);
                    answers.map(move |row| {
                        let sample_id = format!("{at}/{}", row.sample_id);
                        Prediction { sample_id, ..row.clone() }
                    })
                })
                .collect();
            Answers { scores: None, ..Answers::of_predictions(&rows) }
        };
        let stacked: Vec<Answers> = members.iter().map(stack).collect();
        let labels = members.iter().map(|&i| study.groups[i].label.as_str());
        let contestants: Vec<Contestant> = labels
            .zip(&stacked)
            .map(|(label, answers)| Contestant { name: label, configuration: label, answers })
            .collect();
        let options = ComparisonOptions {
            seed: SEED,
            sign_flips: rules.sign_flips,
            ..ComparisonOptions::default()
        };
        let comparison = compare(&contestants, &options)?;
        Ok(Level { members, comparison })
    }

    /// How a configuration uses the classes against the truth.
    fn truth(&self, group: usize) -> Option<&MarginTests> {
        self.comparison.models[self.at(group)].versus_truth.as_ref()
    }

    /// Where a configuration stands in the comparison.
    fn at(&self, group: usize) -> usize {
        self.members.iter().position(|&m| m == group).expect("asked only for members")
    }
}

/// All configurations, in the order of [`Study::groups`].
#[derive(Clone, Debug, Serialize)]
pub struct Scores {
    /// How the tests were made.
    pub rules: Rules,
    /// One per group.
    pub groups: Vec<Score>,
    /// All pairs, the first configuration's first.
    pub pairs: Vec<PairScore>,
    /// The pool that accuracies, differences and verdicts come from.
    #[serde(skip)]
    pub pool: Pool,
    /// The n-th seeds alone; the first level holds every configuration.
    #[serde(skip)]
    pub single: Vec<Level>,
}

impl Scores {
    /// Evaluates and compares.
    ///
    /// # Errors
    /// When the answers cannot be paired, such as two truths for one sample.
    pub fn of(study: &Study, rules: &Rules) -> Result<Self> {
        let counts: Vec<usize> = study.groups.iter().map(|g| g.runs.len()).collect();
        let most = counts.iter().copied().max().unwrap_or(0);
        let level = |k: usize| Level::of(study, k..k + 1, rules);
        let single = (0..most).map(level).collect::<Result<Vec<_>>>()?;
        let stack = |m: usize| match m {
            1 => Ok(single[0].clone()),
            m => Level::of(study, 0..m, rules),
        };
        let stacked = (1..=most)
            .map(|m| counts.contains(&m).then(|| stack(m)).transpose())
            .collect::<Result<Vec<_>>>()?;
        let tests = Tests { single: &single, stacked: &stacked };
        let pool = pool(study, rules)?;
        let groups: Vec<Score> = study
            .groups
            .iter()
            .enumerate()
            .map(|(i, g)| score(study, g, &pool, i, tests.truth(i, counts[i])))
            .collect();
        let pair = |contest: &Contest| {
            let seeds = counts[contest.a].min(counts[contest.b]);
            tests.pair(contest.clone(), seeds)
        };
        let pairs = pool.contests.iter().map(pair).collect();
        Ok(Scores { rules: *rules, groups, pairs, pool, single })
    }

    /// The pair of two configurations, in either order; `None` for one and the same.
    pub fn pair(&self, i: usize, j: usize) -> Option<&PairScore> {
        let pair = (i.min(j), i.max(j));
        self.pairs.iter().find(|p| (p.contest.a, p.contest.b) == pair)
    }

    /// The margin tests at row `i`, column `j` of Table 5's layout.
    pub fn margins(&self, i: usize, j: usize) -> Option<&MarginScore> {
        if i == j {
            return self.groups.get(i).map(|score| &score.truth);
        }
        self.pair(i, j).map(|pair| &pair.margins)
    }
}

/// The levels from which tests of margins are put together.
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
        margin_score(
            self.single[..seeds].iter().filter_map(|level| level.truth(i)),
            self.level(seeds).truth(i),
        )
    }

    fn pair(&self, contest: Contest, seeds: usize) -> PairScore {
        let found = |level: &Level| {
            let pair = level.comparison.pair(level.at(contest.a), level.at(contest.b));
            pair.expect("both are members").clone()
        };
        let singles: Vec<_> = self.single[..seeds].iter().map(found).collect();
        let all = found(self.level(seeds));
        PairScore {
            mcnemar: singles.iter().map(|p| p.accuracy.mcnemar.exact).collect(),
            margins: margin_score(
                singles.iter().filter_map(|p| p.margins.as_ref()),
                all.margins.as_ref(),
            ),
            contest,
        }
    }
}

fn margin_score<'a>(
    singles: impl Iterator<Item = &'a MarginTests>,
    all: Option<&MarginTests>,
) -> MarginScore {
    MarginScore {
        stuart_maxwell: singles.map(|t| (t.stuart_maxwell.p, t.stuart_maxwell.df)).collect(),
        sign_flip: all.map_or(PValue::ONE, |t| t.sign_flip.p),
    }
}

/// The answers of every run of a group, rows in one order.
fn answers<'a>(study: &'a Study, group: &'a Group) -> impl Iterator<Item = &'a [Prediction]> {
    let of = |&run: &usize| study.runs[run].answers.as_ref().map(|a| a.rows.as_slice());
    group.runs.iter().filter_map(of)
}

/// Hits of every group, seed and video.
fn pool(study: &Study, rules: &Rules) -> Result<Pool> {
    let first = study.groups.iter().find_map(|group| answers(study, group).next());
    let rows = first.unwrap_or(&[]);
    let clusters = Clusters::by_id(rows.iter().map(|r| r.group_id.as_str()));
    let mut entries = Vec::new();
    for group in &study.groups {
        let mut hits = Vec::new();
        for answers in answers(study, group) {
            let same = |(a, b): (&Prediction, &Prediction)| a.group_id == b.group_id;
            ensure!(
                answers.len() == rows.len() && answers.iter().zip(rows).all(same),
                "the runs of {} put the samples into other groups than the first run",
                group.label
            );
            hits.push(clusters.sums(|i| i64::from(answers[i].predicted == answers[i].target)));
        }
        entries.push(PoolEntry { label: group.label.clone(), hits });
    }
    let settings = PoolSettings { seed: SEED, sign_flips: rules.sign_flips, margin: rules.margin };
    Ok(Pool::of(clusters.sizes(), &entries, &settings))
}

fn score(study: &Study, group: &Group, pool: &Pool, index: usize, truth: MarginScore) -> Score {
    const DRAWS: usize = 9_999;
    let found = &pool.configurations[index];
    let evaluations: Vec<Evaluation> =
        answers(study, group).map(|rows| Evaluation::of(&Answers::of_predictions(rows))).collect();
    let (n, clusters) = (pool.rows as usize, pool.clusters);
    let wilson = || interval::wilson((found.accuracy * n as f64).round() as u64, n as u64);
    let at = found.interval.or_else(wilson).unwrap_or(Interval { lo: 0.0, hi: 1.0 });
    let clip = |e: &Evaluation| Some(e.clips?.mean_probability?.value);
    Score {
        accuracy: Estimate { value: found.accuracy, lo: at.lo, hi: at.hi, n, clusters },
        scope: found.scope,
        seeds: seeds::summarize(&found.each, DRAWS, SEED),
        runs: found.each.clone(),
        run_ids: group.runs.iter().map(|&i| study.runs[i].record.run_id.clone()).collect(),
        truth,
        metrics: METRICS
            .iter()
            .filter_map(|m| {
                Some((m.name.to_owned(), mean(&evaluations, |e| e.metric(m.name)?.value)?))
            })
            .collect(),
        clip_accuracy: mean(&evaluations, clip),
        first: evaluations.into_iter().next().expect("a group has answers"),
    }
}

/// Mean over seeds of what every seed has.
fn mean(seeds: &[Evaluation], of: impl Fn(&Evaluation) -> Option<f64>) -> Option<f64> {
    let values: Vec<f64> = seeds.iter().map(of).collect::<Option<_>>()?;
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Which of some configurations is the best, and what may be said of it.
#[derive(Clone, Debug)]
pub struct BestVerdict {
    found: pooled::PoolVerdict,
    /// The verdict in words.
    pub note: String,
}

impl BestVerdict {
    /// Whether `group` is the best and shown to be better than every other.
    pub fn is_strong(&self, group: usize) -> bool {
        group == self.found.best && self.found.is_strong()
    }

    /// What stands behind the number of `group`: nothing, or how it stands to the highest mean.
    pub fn mark(&self, group: usize) -> &'static str {
        let found = &self.found;
        let open = [&found.undecided, &found.open_untested()];
        if found.is_weights_only() {
            return if group == found.best { " †" } else { "" };
        }
        if found.equivalent.contains(&group) {
            return " ≡";
        }
        let is_tied = open.iter().any(|list| list.contains(&group));
        let leads_a_tie = group == found.best && open.iter().any(|list| !list.is_empty());
        match (is_tied || leads_a_tie, group == found.best && !found.equivalent.is_empty()) {
            (true, _) => " ≈",
            (false, true) => " ≡",
            _ => "",
        }
    }
}

/// The best of `members` (at least one), corrected over the pairs of members.
pub fn verdict(study: &Study, scores: &Scores, members: &[usize]) -> BestVerdict {
    let found = scores.pool.verdict(members).expect("a table has members");
    let label = |group: usize| study.groups[group].label.as_str();
    let note = note(label, scores.rules.margin, &found);
    BestVerdict { found, note }
}

fn note<'a>(
    label: impl Fn(usize) -> &'a str,
    margin: Option<f64>,
    found: &pooled::PoolVerdict,
) -> String {
    let list = |groups: &[usize]| groups.iter().map(|&i| label(i)).collect::<Vec<_>>().join("; ");
    let best = label(found.best);
    let tested = "test over seeds and videos as crossed factors, every seed of both sides, Holm's \
                  correction over the pairs of this table";
    let p = |p: Option<PValue>| p.map_or("–".to_owned(), |p| p.to_string());
    if found.is_strong() {
        let largest = p(found.largest_p);
        return format!(
            "Bold: the best; it is ahead of every other (largest p: {largest}; {tested})."
        );
    }
    let mut parts = Vec::new();
    if found.is_weights_only() {
        parts.push(format!(
            "† these weights only: {best} is ahead of every other on other videos too (cluster \
             sign-flip test of these weights, Holm: largest p: {}), with every seed ahead of \
             every seed, but another training run of it may not be. Nothing is bold.",
            p(found.largest_weights_p)
        ));
    }
    if !found.undecided.is_empty() {
        parts.push(format!(
            "≈ not told apart, and nothing is bold: {best} has the highest mean, but it is not shown \
             to be ahead of {} ({tested}).",
            list(&found.undecided)
        ));
    }
    let untested = found.open_untested();
    if !untested.is_empty() {
        parts.push(format!(
            "≈ not told apart, and nothing is bold: {best} has the highest mean, but its weights are \
             not shown to be ahead of {}, and other seeds cannot be tested (one side has one, or \
             nothing varies; cluster sign-flip test of these weights, Holm).",
            list(&untested)
        ));
    }
    if !found.behind_these_weights.is_empty() && !found.is_weights_only() {
        parts.push(format!(
            "These weights of {best} are ahead of {} on other videos too (the cluster sign-flip test, \
             Holm); whether other seeds would be cannot be tested.",
            list(&found.behind_these_weights)
        ));
    }
    if let Some(margin) = margin.filter(|_| !found.equivalent.is_empty()) {
        parts.push(format!(
            "≡ shown to be as good as {best} within {} points: {} (two one-sided tests, Holm).",
            100.0 * margin,
            list(&found.equivalent)
        ));
    }
    if parts.is_empty() {
        parts.push("One configuration: there is nothing to compare it with.".to_owned());
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests;
