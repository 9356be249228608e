//! Which samples may stay: the grouping rule of the paper, the balance of classes, and a split for
//! corpora that have none.
//!
//! Pure: rows in, positions of rows out, in an order that depends on the ids alone. Whoever
//! removes something writes it into the ledger.
use std::{collections::BTreeMap, fmt, str::FromStr};

use anyhow::{bail, ensure, Context, Result};
use serde::{Deserialize, Serialize};

use crate::{
    record::{named, Emotion, Split},
    seed::Draws,
};

pub mod holdout;

/// How far the classes of a split may differ in size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Balance {
    /// A class is cut to at most this many times the smallest class that is present; at least 1.
    Ratio(f64),
    /// Nothing is cut.
    None,
}

impl Default for Balance {
    /// The contract's.
    fn default() -> Self {
        Balance::Ratio(1.7)
    }
}

impl FromStr for Balance {
    type Err = anyhow::Error;

    /// `ratio=1.7`, `equal` or `none`.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "equal" => Ok(Balance::Ratio(1.0)),
            "none" => Ok(Balance::None),
            _ => {
                let number = text.strip_prefix("ratio=").and_then(|n| n.parse::<f64>().ok());
                let ratio = number.filter(|r| r.is_finite() && *r >= 1.0);
                let ratio = ratio.with_context(|| {
                    format!("balance `{text}` is none of ratio=R (R at least 1), equal, none")
                })?;
                Ok(Balance::Ratio(ratio))
            }
        }
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Balance::Ratio(ratio) => write!(f, "ratio={ratio}"),
            Balance::None => f.write_str("none"),
        }
    }
}

/// Written to files as it is typed on the command line.
macro_rules! as_text {
    ($($name:ident),*) => {$(
        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = anyhow::Error;

            fn try_from(text: String) -> Result<Self> {
                text.parse::<$name>().map_err(Into::into)
            }
        }
    )*};
}

as_text!(Balance, OnLeak, Shares);

/// What balancing needs to know of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitRow<'a> {
    /// The split it is in.
    pub split: Split,
    /// Its class.
    pub emotion: Emotion,
    /// Its clip.
    pub clip_id: &'a str,
}

/// Positions of the rows to drop, ascending. `rows` are in sample_id order.
///
/// In every split a class keeps at most floor(ratio x smallest class present), with as equal a
/// number per clip as can be; inside a clip the kept samples are spread over its length.
pub fn balance(rows: &[SplitRow<'_>], balance: Balance) -> Vec<usize> {
    let Balance::Ratio(ratio) = balance else { return Vec::new() };
    let mut classes: BTreeMap<(Split, Emotion), Vec<usize>> = BTreeMap::new();
    for (i, row) in rows.iter().enumerate() {
        classes.entry((row.split, row.emotion)).or_default().push(i);
    }
    let mut smallest: BTreeMap<Split, usize> = BTreeMap::new();
    for ((split, _), members) in &classes {
        let least = smallest.entry(*split).or_insert(members.len());
        *least = members.len().min(*least);
    }
    let mut dropped: Vec<usize> = Vec::new();
    for ((split, _), members) in &classes {
        let cap = (smallest[split] as f64 * ratio).floor() as usize;
        dropped.extend(cut(rows, members, cap));
    }
    dropped.sort_unstable();
    dropped
}

/// The members that must go so that `cap` stay.
fn cut(rows: &[SplitRow<'_>], members: &[usize], cap: usize) -> Vec<usize> {
    if members.len() <= cap {
        return Vec::new();
    }
    // In id order the samples of a clip are neighbours; clips stand by their own ids.
    let mut clips: Vec<&[usize]> =
        members.chunk_by(|&a, &b| rows[a].clip_id == rows[b].clip_id).collect();
    clips.sort_by_key(|samples| rows[samples[0]].clip_id);
    let sizes: Vec<usize> = clips.iter().map(|samples| samples.len()).collect();
    let keeps = allot(&sizes, cap);
    let mut dropped = Vec::new();
    for (samples, keep) in clips.into_iter().zip(keeps) {
        let mut kept = spread(keep, samples.len()).peekable();
        for (place, &i) in samples.iter().enumerate() {
            if kept.next_if_eq(&place).is_none() {
                dropped.push(i);
            }
        }
    }
    dropped
}

/// How many each clip keeps so that `cap` stay in total: everybody up to a common level, and the
/// rest one each, spread over those who have more.
fn allot(sizes: &[usize], cap: usize) -> Vec<usize> {
    let total_at = |level: usize| sizes.iter().map(|&n| n.min(level)).sum::<usize>();
    let mut level = 0;
    while total_at(level + 1) <= cap && total_at(level + 1) > total_at(level) {
        level += 1;
    }
    let mut keeps: Vec<usize> = sizes.iter().map(|&n| n.min(level)).collect();
    let more: Vec<usize> = (0..sizes.len()).filter(|&i| sizes[i] > level).collect();
    for k in spread(cap - total_at(level), more.len()) {
        keeps[more[k]] += 1;
    }
    keeps
}

/// `keep` of `0..n` (all when `keep` is more), evenly spaced, ascending.
fn spread(keep: usize, n: usize) -> impl Iterator<Item = usize> {
    let keep = keep.min(n);
    (0..keep).map(move |i| (2 * i + 1) * n / (2 * keep))
}

/// What to do with a video that is in more than one split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum OnLeak {
    /// The paper's rule: what provides training frames leaves validation and test.
    RemoveEval,
    /// What is in validation or test leaves training.
    RemoveTrain,
    /// Nothing is removed.
    Keep,
    /// The build fails.
    Fail,
}

named!(
    OnLeak,
    "policy for leaks",
    RemoveEval = "remove-eval",
    RemoveTrain = "remove-train",
    Keep = "keep",
    Fail = "fail",
);

/// What the grouping rule needs to know of a clip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// The clip.
    pub clip_id: &'a str,
    /// Its group: clips that are one video by content.
    pub group_id: &'a str,
    /// The split it is in.
    pub split: Split,
}

/// A clip that has to go, and one of its group that stays in another split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Removal {
    /// Position of the clip.
    pub clip: usize,
    /// Position of the clip that it collides with.
    pub partner: usize,
}

/// The clips that leave so that no group is in two splits, ascending. A group that is in
/// validation and test (and not decided by training) leaves validation.
///
/// # Errors
/// Under [`OnLeak::Fail`], when any group is in two splits.
pub fn leaks(clips: &[Member<'_>], policy: OnLeak) -> Result<Vec<Removal>> {
    if policy == OnLeak::Keep {
        return Ok(Vec::new());
    }
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, clip) in clips.iter().enumerate() {
        groups.entry(clip.group_id).or_default().push(i);
    }
    let mut removals: Vec<Removal> =
        groups.values().flat_map(|members| leaving(clips, members, policy)).collect();
    removals.sort_unstable();
    if policy == OnLeak::Fail {
        if let Some(first) = removals.first() {
            bail!(
                "{} clips are in more than one split by content, the first {} and {}; choose \
                 another --on-leak or mend the corpus",
                removals.len(),
                clips[first.clip].clip_id,
                clips[first.partner].clip_id
            );
        }
    }
    Ok(removals)
}

/// The members of one group that leave: all but those of the split that wins.
fn leaving(clips: &[Member<'_>], members: &[usize], policy: OnLeak) -> Vec<Removal> {
    let order = match policy {
        OnLeak::RemoveTrain => [Split::Test, Split::Val, Split::Train],
        _ => [Split::Train, Split::Test, Split::Val],
    };
    let partner = order
        .into_iter()
        .find_map(|split| members.iter().copied().find(|&i| clips[i].split == split));
    let Some(partner) = partner else { return Vec::new() };
    let others = members.iter().filter(|&&i| clips[i].split != clips[partner].split);
    others.map(|&clip| Removal { clip, partner }).collect()
}

/// Shares of training, validation and test, in any unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Shares(pub [u32; 3]);

impl Shares {
    /// What is taken where nobody says otherwise.
    pub const DEFAULT: Shares = Shares([70, 10, 20]);
}

impl FromStr for Shares {
    type Err = anyhow::Error;

    /// `70/10/20`.
    fn from_str(text: &str) -> Result<Self> {
        let parts: Option<Vec<u32>> = text.split('/').map(|p| p.trim().parse().ok()).collect();
        let shares = parts.and_then(|p| <[u32; 3]>::try_from(p).ok());
        let shares =
            shares.with_context(|| format!("split `{text}` is not of the form 70/10/20"))?;
        ensure!(shares[0] > 0, "split `{text}` leaves nothing for training");
        let sum = shares.iter().fold(0, |sum: u32, share| sum.saturating_add(*share));
        ensure!(sum == 100 || sum == 1, "split `{text}` adds up to {sum}, not 100");
        Ok(Shares(shares))
    }
}

impl fmt::Display for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.0[0], self.0[1], self.0[2])
    }
}

/// What splitting needs to know of a clip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsplit<'a> {
    /// Its group; a group is never torn.
    pub group_id: &'a str,
    /// Its class.
    pub emotion: Emotion,
}

/// A split for every clip: whole groups, class by class, in seeded order, each to the split that
/// is furthest below its share. Larger groups go first, so that small ones can even out.
pub fn assign(clips: &[Unsplit<'_>], shares: Shares, seed: u64) -> Vec<Split> {
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, clip) in clips.iter().enumerate() {
        groups.entry(clip.group_id).or_default().push(i);
    }
    let mut classes: BTreeMap<Emotion, Vec<(usize, u64, &str)>> = BTreeMap::new();
    for (id, members) in &groups {
        let order = Draws::new(seed, "split", id).bits();
        classes.entry(class_of(clips, members)).or_default().push((members.len(), order, id));
    }
    let mut splits = vec![Split::Train; clips.len()];
    for queue in classes.values_mut() {
        queue.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(b.2)));
        let mut filled = [0u64; 3];
        for &(size, _, id) in &*queue {
            let place = neediest(filled, shares);
            filled[place] += size as u64;
            groups[id].iter().for_each(|&i| splits[i] = Split::ALL[place]);
        }
    }
    splits
}

/// The commonest class of a group, the smaller label when two are equally common.
fn class_of(clips: &[Unsplit<'_>], members: &[usize]) -> Emotion {
    let mut counts = [0usize; Emotion::ALL.len()];
    members.iter().for_each(|&i| counts[usize::from(clips[i].emotion.label())] += 1);
    let most = Emotion::ALL.into_iter().rev().max_by_key(|e| counts[usize::from(e.label())]);
    most.expect("there are classes")
}

/// The split whose share is filled least; a share of 0 is never filled, the first wins a tie.
fn neediest(filled: [u64; 3], Shares(shares): Shares) -> usize {
    let emptier = |a: usize, b: usize| {
        // (filled + 1) / share, compared without a division.
        let left = (filled[a] + 1) * u64::from(shares[b]);
        let right = (filled[b] + 1) * u64::from(shares[a]);
        left.cmp(&right)
    };
    let open = (0..3).filter(|&k| shares[k] > 0);
    open.min_by(|&a, &b| emptier(a, b)).expect("training has a share")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows<'a>(spec: &[(Split, Emotion, &'a str, usize)]) -> Vec<SplitRow<'a>> {
        let one = |&(split, emotion, clip_id, n): &_| {
            std::iter::repeat_n(SplitRow { split, emotion, clip_id }, n)
        };
        spec.iter().flat_map(one).collect()
    }

    #[test]
    fn a_class_is_cut_to_the_ratio_evenly_over_clips() {
        use Emotion::{Fear, Happy};
        let all = rows(&[
            (Split::Train, Fear, "a", 4),
            (Split::Train, Happy, "b", 6),
            (Split::Train, Happy, "c", 1),
            (Split::Train, Happy, "d", 6),
            (Split::Val, Happy, "e", 9), // alone in its split: the smallest class itself
        ]);
        let kept_of = |dropped: &[usize], clip: &str| {
            (0..all.len()).filter(|i| all[*i].clip_id == clip && !dropped.contains(i)).count()
        };
        let dropped = balance(&all, "ratio=1.7".parse().expect("valid"));
        // floor(4 x 1.7) = 6 of 13: c keeps its only one, b and d 2 each and one of them a third
        let kept: Vec<_> = ["a", "b", "c", "d", "e"].map(|c| kept_of(&dropped, c)).into();
        assert_eq!(kept, [4, 2, 1, 3, 9]);
        let equal = balance(&all, Balance::Ratio(1.0));
        assert_eq!(["b", "c", "d"].map(|c| kept_of(&equal, c)), [1, 1, 2]);
        assert!(balance(&all, Balance::None).is_empty());
    }

    #[test]
    fn kept_samples_are_spread() {
        assert_eq!(spread(2, 8).collect::<Vec<_>>(), [2, 6]);
        assert_eq!(spread(1, 3).collect::<Vec<_>>(), [1]);
        assert_eq!(spread(5, 3).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(spread(0, 3).count(), 0);
    }

    #[test]
    fn policies_parse_print_and_refuse() {
        for text in ["ratio=1.7", "none"] {
            assert_eq!(text.parse::<Balance>().expect("valid").to_string(), text);
        }
        assert_eq!("equal".parse::<Balance>().expect("valid"), Balance::Ratio(1.0));
        assert_eq!("ratio=1".parse::<Balance>().expect("valid"), Balance::Ratio(1.0));
        for bad in ["ratio=0.9", "ratio=", "ratio=nan", "even"] {
            assert!(bad.parse::<Balance>().is_err(), "{bad}");
        }
        for text in ["remove-eval", "remove-train", "keep", "fail"] {
            assert_eq!(text.parse::<OnLeak>().expect("valid").to_string(), text);
        }
        assert!("".parse::<OnLeak>().is_err());
        assert_eq!("70/10/20".parse::<Shares>().expect("valid"), Shares([70, 10, 20]));
        for bad in
            ["70/30", "0/50/50", "a/b/c", "70/10/20/0", "70/20/20", "4294967295/4294967295/1"]
        {
            assert!(bad.parse::<Shares>().is_err(), "{bad}");
        }
    }

    const LEAKY: [Member<'_>; 6] = [
        Member { clip_id: "test/a", group_id: "g", split: Split::Test },
        Member { clip_id: "train/a", group_id: "g", split: Split::Train },
        Member { clip_id: "val/a", group_id: "g", split: Split::Val },
        Member { clip_id: "test/b", group_id: "h", split: Split::Test },
        Member { clip_id: "val/b", group_id: "h", split: Split::Val },
        Member { clip_id: "val/c", group_id: "i", split: Split::Val },
    ];

    #[test]
    fn the_grouping_rule_of_the_paper() {
        let removed = |policy| {
            let all = leaks(&LEAKY, policy).expect("no failure asked for");
            all.into_iter().map(|r| (r.clip, r.partner)).collect::<Vec<_>>()
        };
        assert_eq!(removed(OnLeak::RemoveEval), [(0, 1), (2, 1), (4, 3)]);
        assert_eq!(removed(OnLeak::RemoveTrain), [(1, 0), (2, 0), (4, 3)]);
        assert_eq!(removed(OnLeak::Keep), []);
        let error = leaks(&LEAKY, OnLeak::Fail).expect_err("leaks").to_string();
        assert!(error.contains("3 clips") && error.contains("test/a and train/a"), "{error}");
        assert!(leaks(&LEAKY[5..], OnLeak::Fail).is_ok());
    }

    #[test]
    fn shares_are_met_in_every_class_and_groups_stay_whole() {
        let ids: Vec<String> = (0..700).map(|i| format!("g{i}")).collect();
        let clips: Vec<_> = (0..1400)
            .map(|i| Unsplit {
                group_id: &ids[i / 2],
                emotion: Emotion::ALL[(i / 2) % Emotion::ALL.len()],
            })
            .collect();
        let splits = assign(&clips, Shares([70, 10, 20]), 5);
        for pair in splits.chunks(2) {
            assert_eq!(pair[0], pair[1]);
        }
        for emotion in Emotion::ALL {
            let of = |split| {
                (0..clips.len())
                    .filter(|&i| clips[i].emotion == emotion && splits[i] == split)
                    .count()
            };
            assert_eq!(Split::ALL.map(of), [140, 20, 40], "{emotion}");
        }
        assert_ne!(splits, assign(&clips, Shares([70, 10, 20]), 6));
        assert!(assign(&clips, Shares([1, 0, 0]), 5).iter().all(|s| *s == Split::Train));
    }

    proptest! {
        #[test]
        fn balance_keeps_exactly_the_cap(
            sizes in prop::collection::vec((0usize..7, 0usize..20), 1..40), ratio in 1.0f64..4.0,
        ) {
            let names: Vec<String> = (0..sizes.len()).map(|i| format!("c{i:02}")).collect();
            let spec: Vec<_> = sizes.iter().zip(&names)
                .map(|(&(class, n), name)| (Split::Train, Emotion::ALL[class], &**name, n))
                .collect();
            let all = rows(&spec);
            let dropped = balance(&all, Balance::Ratio(ratio));
            let count = |e: Emotion, kept: bool| (0..all.len())
                .filter(|i| all[*i].emotion == e && !(kept && dropped.contains(i))).count();
            let smallest = Emotion::ALL.into_iter().map(|e| count(e, false)).filter(|n| *n > 0).min();
            for e in Emotion::ALL {
                let cap = (smallest.unwrap_or(0) as f64 * ratio).floor() as usize;
                prop_assert_eq!(count(e, true), count(e, false).min(cap));
            }
        }

        #[test]
        fn after_removal_no_group_is_in_two_splits(
            spec in prop::collection::vec((0usize..6, 0usize..3), 0..40), train_wins: bool,
        ) {
            let names: Vec<String> = (0..spec.len().max(6)).map(|i| format!("c{i:02}")).collect();
            let clips: Vec<_> = spec.iter().zip(&names)
                .map(|(&(group, split), name)| Member {
                    clip_id: name, group_id: &names[group], split: Split::ALL[split],
                })
                .collect();
            let policy = if train_wins { OnLeak::RemoveEval } else { OnLeak::RemoveTrain };
            let removed = leaks(&clips, policy).expect("no failure asked for");
            let gone: Vec<usize> = removed.iter().map(|r| r.clip).collect();
            let mut seen: BTreeMap<&str, Split> = BTreeMap::new();
            for (i, clip) in clips.iter().enumerate().filter(|(i, _)| !gone.contains(i)) {
                prop_assert_eq!(*seen.entry(clip.group_id).or_insert(clip.split), clip.split, "{}", i);
            }
            for r in removed {
                prop_assert!(!gone.contains(&r.partner));
                prop_assert_eq!(clips[r.clip].group_id, clips[r.partner].group_id);
            }
        }
    }
}
