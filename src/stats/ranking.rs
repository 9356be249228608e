//! How sure the ranks of several configurations are.
use serde::{Deserialize, Serialize};

use super::pooled::{Pool, PoolEntry};
use crate::seed::Draws;

/// The rank of a configuration, 1 for the highest accuracy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rank {
    /// As observed; equal accuracies share the better rank.
    pub observed: usize,
    /// 2.5 % quantile over resampled groups and seeds.
    pub lo: usize,
    /// 97.5 % quantile.
    pub hi: usize,
}

/// Ranks of `entries` with intervals from `draws` resamplings of groups and, within every
/// configuration, of seeds: the pigeonhole bootstrap of Owen (2007), Annals of Applied Statistics
/// 1:386-411, which is conservative. With one seed a configuration's seeds are as given.
pub fn ranks(sizes: &[u64], entries: &[PoolEntry], draws: usize, seed: u64) -> Vec<Rank> {
    let observed = ranked(&accuracies(sizes, entries, None));
    let mut seen: Vec<Vec<usize>> = vec![Vec::with_capacity(draws); entries.len()];
    for draw in 0..draws {
        let mut stream = Draws::new(seed, "rank", &draw.to_string());
        let ranks = ranked(&accuracies(sizes, entries, Some(&mut stream)));
        seen.iter_mut().zip(ranks).for_each(|(seen, rank)| seen.push(rank));
    }
    let rank = |(observed, mut seen): (usize, Vec<usize>)| {
        seen.sort_unstable();
        let at = |share: f64| {
            let last = seen.len().saturating_sub(1);
            seen.get((share * last as f64).round() as usize).copied().unwrap_or(observed)
        };
        Rank { observed, lo: at(0.025).min(observed), hi: at(0.975).max(observed) }
    };
    observed.into_iter().zip(seen).map(rank).collect()
}

/// Accuracies as observed, or of one resampling.
fn accuracies(sizes: &[u64], entries: &[PoolEntry], draws: Option<&mut Draws>) -> Vec<f64> {
    let Some(draws) = draws else {
        let weights = vec![1; sizes.len()];
        return entries.iter().map(|e| accuracy(sizes, &e.hits, &weights)).collect();
    };
    let mut weights = vec![0u64; sizes.len()];
    for _ in 0..sizes.len() {
        weights[draws.below(sizes.len() as u64) as usize] += 1;
    }
    let resampled = |entry: &PoolEntry| {
        let n = entry.hits.len() as u64;
        let hits: Vec<Vec<i64>> =
            (0..n).map(|_| entry.hits[draws.below(n) as usize].clone()).collect();
        accuracy(sizes, &hits, &weights)
    };
    entries.iter().map(resampled).collect()
}

fn accuracy(sizes: &[u64], hits: &[Vec<i64>], weights: &[u64]) -> f64 {
    let rows: u64 = sizes.iter().zip(weights).map(|(n, w)| n * w).sum();
    let weighted = |of_seed: &Vec<i64>| -> i64 {
        of_seed.iter().zip(weights).map(|(h, &w)| h * w as i64).sum()
    };
    let right: i64 = hits.iter().map(weighted).sum();
    right as f64 / (rows as f64 * hits.len() as f64)
}

fn ranked(accuracies: &[f64]) -> Vec<usize> {
    accuracies.iter().map(|a| 1 + accuracies.iter().filter(|b| *b > a).count()).collect()
}

/// Groups of configurations that are not told apart, best first: the best of those left with all
/// that it is not shown to beat.
pub fn tie_groups(pool: &Pool) -> Vec<Vec<usize>> {
    let mut left: Vec<usize> = (0..pool.configurations.len()).collect();
    let accuracy = |i: usize| pool.configurations[i].accuracy;
    left.sort_by(|&a, &b| accuracy(b).total_cmp(&accuracy(a)).then(a.cmp(&b)));
    let mut groups = Vec::new();
    while let Some(&best) = left.first() {
        let beaten = |&i: &usize| {
            i != best
                && pool.contest(best, i).is_some_and(|c| {
                    c.holm.is_some_and(|p| p.p() < super::pooled::LEVEL)
                        && accuracy(best) > accuracy(i)
                })
        };
        let (rest, group): (Vec<usize>, Vec<usize>) = left.iter().partition(|i| beaten(i));
        groups.push(group);
        left = rest;
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::{super::pooled::PoolSettings, *};

    fn entry(draws: &mut Draws, skill: f64, seeds: usize, groups: usize) -> PoolEntry {
        let of = |_| (0..groups).map(|_| i64::from(draws.chance(skill))).collect();
        PoolEntry { label: format!("{skill}"), hits: (0..seeds).map(of).collect() }
    }

    #[test]
    fn far_apart_models_have_sure_ranks_and_twins_do_not() {
        let mut draws = Draws::new(1, "ranking", "");
        let sizes = vec![1; 200];
        let mut entries: Vec<PoolEntry> =
            [0.95, 0.6, 0.2].iter().map(|&s| entry(&mut draws, s, 3, 200)).collect();
        entries.push(PoolEntry { label: "twin".into(), hits: entry(&mut draws, 0.6, 3, 200).hits });
        let found = ranks(&sizes, &entries, 400, 1);
        assert_eq!((found[0].lo, found[0].hi, found[2].lo, found[2].hi), (1, 1, 4, 4));
        assert_eq!((found[1].lo, found[1].hi, found[3].lo, found[3].hi), (2, 3, 2, 3));
        assert_eq!(found, ranks(&sizes, &entries, 400, 1));
        let settings = PoolSettings { seed: 1, sign_flips: 99, margin: None };
        let groups = tie_groups(&Pool::of(&sizes, &entries, &settings));
        assert_eq!(groups.len(), 3, "{groups:?}");
        assert_eq!(
            (groups[0].as_slice(), groups[1].len(), groups[2].as_slice()),
            (&[0][..], 2, &[2][..])
        );
    }

    #[test]
    fn equal_accuracies_share_the_better_rank() {
        assert_eq!(ranked(&[0.5, 0.9, 0.5, 0.1]), [2, 1, 2, 4]);
    }
}
