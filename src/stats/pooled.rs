//! Configurations over their seeds: accuracies, differences and the verdict of a table, all from
//! the one model of uncertainty of [`crossed`].
//!
//! A claim about a configuration needs several seeds on both sides. What holds for the weights
//! that happen to be there (the cluster sign-flip test) is kept beside it and labelled so.
use serde::{Deserialize, Serialize};

use super::{
    crossed,
    equivalence::{self, Equivalence},
    interval::Interval,
    multiplicity, resample,
    seeds::standard_deviation,
    share::clustered_share,
    signflip::{enough_draws, SignFlip},
    tail::PValue,
};

/// Family-wise level of every verdict.
pub const LEVEL: f64 = 0.05;

/// One configuration's hits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolEntry {
    /// Its name.
    pub label: String,
    /// Rows that each seed has right in every cluster, `[seeds][clusters]`.
    pub hits: Vec<Vec<i64>>,
}

/// What an interval or a test speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// The configuration: other seeds and other videos.
    SeedsAndGroups,
    /// These weights: other videos, the seeds as given.
    TheseWeights,
}

/// A configuration's accuracy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// Its name.
    pub label: String,
    /// Mean accuracy over seeds, 0..=1.
    pub accuracy: f64,
    /// 95 % interval; `None` where nothing varies or there are fewer than two groups.
    pub interval: Option<Interval>,
    /// What the interval speaks of.
    pub scope: Scope,
    /// Accuracy of every seed.
    pub each: Vec<f64>,
    /// Standard deviation over seeds, divisor n - 1; `None` with one.
    pub sd: Option<f64>,
    /// The parts of the variance; `None` with one seed.
    pub crossed: Option<crossed::Mean>,
}

/// Two configurations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contest {
    /// Index of the first.
    pub a: usize,
    /// Index of the second.
    pub b: usize,
    /// Accuracy of the first minus that of the second.
    pub difference: f64,
    /// 95 % interval over seeds and groups; `None` with one seed on a side or where nothing varies.
    pub interval: Option<Interval>,
    /// Two-sided p-value over seeds and groups; `None` likewise.
    pub p: Option<PValue>,
    /// The same after Holm's correction over all contests that have one.
    pub holm: Option<PValue>,
    /// The parts of the variance.
    pub crossed: Option<crossed::Difference>,
    /// Cluster sign-flip test of these weights: every seed of both sides as given.
    pub weights: SignFlip,
    /// Its p-value after Holm's correction over all contests.
    pub weights_holm: PValue,
    /// Pairs of seeds, one of each side, in which the first is ahead, and all such pairs.
    pub ahead: (usize, usize),
    /// Pairs of seeds in which the second is ahead.
    pub behind: usize,
    /// Tests against the margin, where one was stated and something varies.
    pub equivalence: Option<Equivalence>,
    /// The larger of their p-values after Holm's correction over all contests that have one.
    pub equivalence_holm: Option<PValue>,
}

impl Contest {
    /// The sign of the difference as seen from `winner`: positive when it is ahead.
    fn seen_from(&self, winner: usize) -> f64 {
        if winner == self.a {
            self.difference
        } else {
            -self.difference
        }
    }

    /// Whether every seed of `winner` beats every seed of the other.
    fn is_consistent_for(&self, winner: usize) -> bool {
        let wins = if winner == self.a { self.ahead.0 } else { self.behind };
        wins == self.ahead.1
    }

    /// See [`crossed::Difference::detectable`]; `None` also with one seed on a side.
    pub fn detectable(&self) -> Option<f64> {
        self.crossed?.detectable()
    }
}

/// Settings of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PoolSettings {
    /// Seed of the sign flips.
    pub seed: u64,
    /// Random sign patterns at least.
    pub sign_flips: usize,
    /// Margin of equivalence, a share; `None` for no such tests.
    pub margin: Option<f64>,
}

/// Configurations on one test set and all pairs of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pool {
    /// Rows.
    pub rows: u64,
    /// Groups, the independent clusters.
    pub clusters: usize,
    /// Sign patterns that were drawn where there are too many to try all.
    pub sign_flips: usize,
    /// Margin of equivalence that was stated.
    pub margin: Option<f64>,
    /// The configurations, in the order given.
    pub configurations: Vec<Configuration>,
    /// All pairs, the first configuration's first.
    pub contests: Vec<Contest>,
}

impl Pool {
    /// Scores `entries` on clusters of `sizes` rows and compares all pairs.
    pub fn of(sizes: &[u64], entries: &[PoolEntry], settings: &PoolSettings) -> Self {
        let pairs = entries.len() * entries.len().saturating_sub(1) / 2;
        let draws = enough_draws(settings.sign_flips, pairs);
        let sums: Vec<Vec<i64>> = entries.iter().map(|e| over_seeds(sizes.len(), e)).collect();
        let flipped = flipped(&sums, sizes.len(), draws, settings.seed);
        let mut contests = Vec::with_capacity(pairs);
        for a in 0..entries.len() {
            for b in a + 1..entries.len() {
                let signed = |weights: (i64, i64)| {
                    let gap =
                        |row: &[i32]| weights.0 * i64::from(row[a]) - weights.1 * i64::from(row[b]);
                    flipped.rows().map(gap).collect()
                };
                contests.push(contest(sizes, entries, &sums, (a, b), settings.margin, signed));
            }
        }
        let mut pool = Pool {
            rows: sizes.iter().sum(),
            clusters: sizes.len(),
            sign_flips: draws,
            margin: settings.margin,
            configurations: entries.iter().map(|e| configuration(sizes, e)).collect(),
            contests,
        };
        let all: Vec<usize> = (0..entries.len()).collect();
        let family = pool.family(&all);
        for (i, corrected) in family {
            let contest = &mut pool.contests[i];
            contest.holm = corrected.holm;
            contest.weights_holm = corrected.weights;
            contest.equivalence_holm = corrected.equivalence;
        }
        pool
    }

    /// The contest of two configurations, in either order; `None` for one and the same.
    pub fn contest(&self, i: usize, j: usize) -> Option<&Contest> {
        self.contests.iter().find(|c| (c.a, c.b) == (i.min(j), i.max(j)))
    }

    /// Holm's corrections over the contests inside `members`, by their index.
    fn family(&self, members: &[usize]) -> Vec<(usize, Corrected)> {
        let inside: Vec<usize> = (0..self.contests.len())
            .filter(|&i| {
                let contest = &self.contests[i];
                members.contains(&contest.a) && members.contains(&contest.b)
            })
            .collect();
        let of = |p: &dyn Fn(&Contest) -> Option<PValue>| {
            holm_of(&inside.iter().map(|&i| p(&self.contests[i])).collect::<Vec<_>>())
        };
        let (holm, weights) = (of(&|c| c.p), of(&|c| Some(c.weights.p)));
        let equivalence = of(&|c| c.equivalence.map(|e| e.p_tost));
        let corrected = |at: usize| Corrected {
            holm: holm[at],
            weights: weights[at].unwrap_or(PValue::ONE),
            equivalence: equivalence[at],
        };
        inside.iter().enumerate().map(|(at, &i)| (i, corrected(at))).collect()
    }

    /// What may be said of the best of `members`; `None` without members. Every p-value is
    /// corrected over the pairs of members.
    pub fn verdict(&self, members: &[usize]) -> Option<PoolVerdict> {
        let value = |i: usize| self.configurations[i].accuracy;
        let best =
            members.iter().copied().reduce(|b, i| if value(i) > value(b) { i } else { b })?;
        let mut verdict = PoolVerdict {
            best,
            beaten: Vec::new(),
            equivalent: Vec::new(),
            undecided: Vec::new(),
            untested: Vec::new(),
            behind_these_weights: Vec::new(),
            largest_p: None,
            weights_only: members.len() > 1,
            largest_weights_p: None,
        };
        for (i, corrected) in self.family(members) {
            let contest = &self.contests[i];
            if contest.a == best || contest.b == best {
                verdict.add(contest, &corrected);
            }
        }
        Some(verdict)
    }
}

#[derive(Clone, Copy)]
struct Corrected {
    holm: Option<PValue>,
    weights: PValue,
    equivalence: Option<PValue>,
}

/// Holm's correction over the p-values that exist.
fn holm_of(p: &[Option<PValue>]) -> Vec<Option<PValue>> {
    let found: Vec<PValue> = p.iter().flatten().copied().collect();
    let mut corrected = multiplicity::holm(&found).into_iter();
    p.iter().map(|p| p.and_then(|_| corrected.next())).collect()
}

/// What the tests say of the configuration with the highest mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PoolVerdict {
    /// Its index.
    pub best: usize,
    /// Configurations that are shown to be worse: over seeds and groups, in the direction of the
    /// means, after Holm's correction.
    pub beaten: Vec<usize>,
    /// Configurations shown to be equally good within the margin.
    pub equivalent: Vec<usize>,
    /// Configurations that the tests do not tell from it.
    pub undecided: Vec<usize>,
    /// Configurations that cannot be compared with it, because one side has one seed or nothing
    /// varies.
    pub untested: Vec<usize>,
    /// Those of them that these weights of the best are ahead of: sign-flip test after Holm's
    /// correction, and every seed ahead of every seed. Of other seeds nothing follows.
    #[serde(default)]
    pub behind_these_weights: Vec<usize>,
    /// The largest corrected p-value of its tests.
    pub largest_p: Option<PValue>,
    /// Whether at least these weights are better than all other weights there are: sign-flip test
    /// after Holm's correction, and every seed ahead of every seed.
    pub weights_only: bool,
    /// The largest corrected p-value of the sign-flip tests.
    pub largest_weights_p: Option<PValue>,
}

impl PoolVerdict {
    fn add(&mut self, contest: &Contest, corrected: &Corrected) {
        let other = contest.a + contest.b - self.best;
        let leads = contest.seen_from(self.best) > 0.0;
        let below = |p: PValue| p.p() < LEVEL;
        let list = match corrected.holm {
            Some(p) if below(p) && leads => &mut self.beaten,
            _ if corrected.equivalence.is_some_and(|p| p.p() <= LEVEL) => &mut self.equivalent,
            Some(_) => &mut self.undecided,
            None => &mut self.untested,
        };
        list.push(other);
        let ahead = leads && below(corrected.weights) && contest.is_consistent_for(self.best);
        if ahead && self.untested.contains(&other) {
            self.behind_these_weights.push(other);
        }
        self.largest_p = larger(self.largest_p, corrected.holm);
        self.largest_weights_p = larger(self.largest_weights_p, Some(corrected.weights));
        self.weights_only &= ahead;
    }

    /// Whether the best is shown to be better than every other: what bold means.
    pub fn is_strong(&self) -> bool {
        let open = [&self.equivalent, &self.undecided, &self.untested];
        !self.beaten.is_empty() && open.iter().all(|list| list.is_empty())
    }

    /// What cannot be tested over seeds and is not even behind the weights at hand.
    pub fn open_untested(&self) -> Vec<usize> {
        let is_open = |i: &&usize| !self.behind_these_weights.contains(i);
        self.untested.iter().filter(is_open).copied().collect()
    }

    /// Whether only the weights at hand are shown to be the best.
    pub fn is_weights_only(&self) -> bool {
        !self.is_strong() && self.weights_only
    }
}

fn larger(a: Option<PValue>, b: Option<PValue>) -> Option<PValue> {
    a.into_iter().chain(b).max_by(|x, y| x.log10().total_cmp(&y.log10()))
}

/// Hits of every cluster over all seeds.
fn over_seeds(clusters: usize, entry: &PoolEntry) -> Vec<i64> {
    (0..clusters).map(|c| entry.hits.iter().map(|of_seed| of_seed[c]).sum()).collect()
}

/// Signed sums of all configurations under the same random signs, `[draws, configurations]`.
fn flipped(sums: &[Vec<i64>], clusters: usize, draws: usize, seed: u64) -> resample::Sums {
    let counts: Vec<i32> =
        (0..clusters).flat_map(|c| sums.iter().map(move |of| of[c] as i32)).collect();
    resample::flip_signs(&counts, sums.len(), draws, seed)
}

fn configuration(sizes: &[u64], entry: &PoolEntry) -> Configuration {
    let rows = sizes.iter().sum::<u64>() as f64;
    let share = |of_seed: &Vec<i64>| of_seed.iter().sum::<i64>() as f64 / rows;
    let each: Vec<f64> = entry.hits.iter().map(share).collect();
    let crossed = crossed::mean(sizes, &entry.hits);
    // One seed, or seeds and groups that do not differ at all, leave the model without a variance;
    // what is then known is known of these weights.
    let (interval, scope) = match crossed.and_then(|mean| mean.interval) {
        Some(interval) => (Some(interval), Scope::SeedsAndGroups),
        None => (weights_interval(sizes, entry), Scope::TheseWeights),
    };
    Configuration {
        label: entry.label.clone(),
        accuracy: accuracy(rows, entry),
        interval,
        scope,
        sd: standard_deviation(&each),
        each,
        crossed,
    }
}

fn accuracy(rows: f64, entry: &PoolEntry) -> f64 {
    let all: i64 = entry.hits.iter().flatten().sum();
    all as f64 / (rows * entry.hits.len() as f64)
}

fn weights_interval(sizes: &[u64], entry: &PoolEntry) -> Option<Interval> {
    clustered_share(entry.hits.first()?, sizes).map(|share| share.interval)
}

fn contest(
    sizes: &[u64],
    entries: &[PoolEntry],
    sums: &[Vec<i64>],
    (a, b): (usize, usize),
    margin: Option<f64>,
    signed: impl FnOnce((i64, i64)) -> Vec<i64>,
) -> Contest {
    let (of_a, of_b) = (&entries[a].hits, &entries[b].hits);
    let rows = sizes.iter().sum::<u64>() as f64;
    // Means of different numbers of seeds over a common denominator.
    let weights = (of_b.len() as i64, of_a.len() as i64);
    let gaps: Vec<i64> =
        sums[a].iter().zip(&sums[b]).map(|(x, y)| weights.0 * x - weights.1 * y).collect();
    let crossed = crossed::difference(sizes, of_a, of_b);
    let totals = |hits: &[Vec<i64>]| hits.iter().map(|h| h.iter().sum()).collect::<Vec<i64>>();
    let (totals_a, totals_b) = (totals(of_a), totals(of_b));
    let count = |wins: fn(&i64, &i64) -> bool| {
        totals_a.iter().map(|x| totals_b.iter().filter(|y| wins(x, y)).count()).sum()
    };
    Contest {
        a,
        b,
        difference: accuracy(rows, &entries[a]) - accuracy(rows, &entries[b]),
        interval: crossed.and_then(|d| d.interval),
        p: crossed.and_then(|d| d.p),
        holm: None,
        crossed,
        weights: SignFlip::of_differences(&gaps, || signed(weights)),
        weights_holm: PValue::ONE,
        ahead: (count(|x, y| x > y), of_a.len() * of_b.len()),
        behind: count(|x, y| x < y),
        equivalence: margin
            .zip(crossed)
            .and_then(|(margin, d)| equivalence::of_configurations(&d, margin)),
        equivalence_holm: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Draws;

    const SETTINGS: PoolSettings = PoolSettings { seed: 1, sign_flips: 999, margin: None };

    /// Seeds with these numbers of hits, spread evenly over clusters of `size` rows.
    fn entry(label: &str, clusters: usize, size: u64, totals: &[i64]) -> PoolEntry {
        let spread = |&total: &i64| {
            let (base, rest) = (total / clusters as i64, total % clusters as i64);
            let hits: Vec<i64> =
                (0..clusters).map(|c| base + i64::from((c as i64) < rest)).collect();
            assert!(hits.iter().all(|&h| h <= size as i64));
            hits
        };
        PoolEntry { label: label.into(), hits: totals.iter().map(spread).collect() }
    }

    /// Clusters are right or wrong together with `skill`, each seed with a shift of its own.
    fn drawn(draws: &mut Draws, skill: f64, sd: f64, seeds: usize, sizes: &[u64]) -> PoolEntry {
        let of_seed = |_| {
            let p = skill + sd * draws.normal();
            sizes.iter().map(|&n| (0..n).filter(|_| draws.chance(p)).count() as i64).collect()
        };
        PoolEntry { label: "x".into(), hits: (0..seeds).map(of_seed).collect() }
    }

    #[test]
    fn the_higher_mean_is_not_bold_on_the_strength_of_a_test_that_it_lost() {
        // Seeds .5036 .86 .865 against one seed at .6357 (280 rows in 140 clusters).
        let new = entry("New", 140, 2, &[141, 241, 242]);
        let old = entry("Old", 140, 2, &[178]);
        let pool = Pool::of(&[2; 140], &[new, old], &SETTINGS);
        let verdict = pool.verdict(&[0, 1]).expect("two");
        assert_eq!((verdict.best, verdict.untested.as_slice()), (0, &[1][..]));
        assert_eq!(verdict.open_untested(), [1]);
        assert!(!verdict.is_strong() && !verdict.is_weights_only(), "{verdict:?}");
        assert!(pool.contests[0].difference > 0.0 && pool.contests[0].p.is_none());
    }

    #[test]
    fn permuting_seeds_never_changes_a_verdict() {
        let mut draws = Draws::new(7, "pooled", "");
        let sizes = [2; 60];
        let a = drawn(&mut draws, 0.8, 0.03, 5, &sizes);
        let b = drawn(&mut draws, 0.7, 0.03, 5, &sizes);
        let of = |a: &PoolEntry| {
            let pool = Pool::of(&sizes, &[a.clone(), b.clone()], &SETTINGS);
            (pool.verdict(&[0, 1]), pool.contests[0].p, pool.contests[0].weights.p)
        };
        let mut permuted = a.clone();
        for _ in 0..5 {
            permuted.hits.rotate_left(1);
            assert_eq!(of(&permuted), of(&a));
        }
    }

    #[test]
    fn clear_winners_are_bold_and_single_weights_are_only_that() {
        let mut draws = Draws::new(3, "pooled", "");
        let sizes = [2; 140];
        let a = drawn(&mut draws, 0.9, 0.01, 3, &sizes);
        let b = drawn(&mut draws, 0.6, 0.01, 3, &sizes);
        let pool = Pool::of(&sizes, &[b.clone(), a.clone()], &SETTINGS);
        let verdict = pool.verdict(&[0, 1]).expect("two");
        assert!(verdict.is_strong() && verdict.best == 1 && !verdict.is_weights_only());
        let one = |entry: &PoolEntry| PoolEntry { hits: entry.hits[..1].to_vec(), ..entry.clone() };
        let pool = Pool::of(&sizes, &[one(&b), one(&a)], &SETTINGS);
        let verdict = pool.verdict(&[0, 1]).expect("two");
        assert!(!verdict.is_strong() && verdict.is_weights_only(), "{verdict:?}");
        assert_eq!(verdict.open_untested(), [] as [usize; 0], "{verdict:?}");
        assert_eq!(pool.configurations[1].scope, Scope::TheseWeights);
        assert_eq!(
            pool.verdict(&[1]).map(|v| (v.is_strong(), v.is_weights_only())),
            Some((false, false))
        );
        assert_eq!(pool.verdict(&[]), None);
    }

    #[test]
    fn a_single_seed_has_the_interval_of_its_weights() {
        let of = |hits: [i64; 2], seeds| {
            let entry = PoolEntry { label: "x".into(), hits: vec![hits.to_vec(); seeds] };
            let found = configuration(&[10, 10], &entry);
            (found.scope, found.interval.expect("two groups"))
        };
        // Score intervals with one degree of freedom (t = 12.706): nine and five hits of ten each
        // have a jackknife error of 0.2, which is that of 5.25 rows; eight and eight have none, so
        // that each group counts as one row.
        let cases = [([9, 5], 1, 0.015_48, 0.997_12), ([8, 8], 2, 0.007_84, 0.999_51)];
        for (hits, seeds, lo, hi) in cases {
            let (scope, interval) = of(hits, seeds);
            assert_eq!(scope, Scope::TheseWeights);
            assert!((interval.lo - lo).abs() < 2e-5, "{interval:?}");
            assert!((interval.hi - hi).abs() < 2e-5, "{interval:?}");
        }
        assert_eq!(of([9, 5], 2).0, Scope::SeedsAndGroups);
    }

    #[test]
    fn a_tie_is_shown_only_within_a_stated_margin() {
        let mut draws = Draws::new(11, "pooled", "");
        let sizes = [3; 400];
        let entries = [0, 1].map(|_| drawn(&mut draws, 0.8, 0.0, 4, &sizes));
        let with = |margin| {
            let pool = Pool::of(&sizes, &entries, &PoolSettings { margin, ..SETTINGS });
            let verdict = pool.verdict(&[0, 1]).expect("two");
            (verdict.equivalent.len(), verdict.undecided.len())
        };
        assert_eq!((with(None), with(Some(0.05)), with(Some(0.001))), ((0, 1), (1, 0), (0, 1)));
    }

    #[test]
    fn copies_of_a_model_are_no_proof_of_equality() {
        let same = entry("x", 20, 4, &[60]);
        let two = PoolEntry { hits: vec![same.hits[0].clone(); 2], ..same };
        let settings = PoolSettings { margin: Some(0.02), ..SETTINGS };
        let pool = Pool::of(&[4; 20], &[two.clone(), two], &settings);
        let contest = &pool.contests[0];
        assert_eq!((contest.interval, contest.p, contest.equivalence), (None, None, None));
        assert_eq!(contest.weights.p, PValue::ONE);
        assert_eq!(pool.verdict(&[0, 1]).map(|v| v.untested), Some(vec![1]));
    }

    #[test]
    fn holm_is_over_the_table_alone() {
        let mut draws = Draws::new(5, "pooled", "");
        let sizes = [2; 80];
        let skills = [0.8, 0.72, 0.7, 0.7, 0.7, 0.7];
        let entries = skills.map(|skill| drawn(&mut draws, skill, 0.01, 4, &sizes));
        let pool = Pool::of(&sizes, &entries, &SETTINGS);
        let (two, six) = (pool.verdict(&[0, 1]).expect("two"), pool.verdict(&[0, 1, 2, 3, 4, 5]));
        let six = six.expect("six");
        assert_eq!(two.largest_p, pool.contest(0, 1).expect("pair").p);
        assert!(six.largest_p.expect("tests").p() >= two.largest_p.expect("tests").p());
    }
}
