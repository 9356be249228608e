//! What the audit says in numbers.
use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::gather::Gathered;
use crate::{
    audit::{
        groups,
        hash::{self, UNINFORMATIVE},
        stills::{leak, runs, runs_by_chance, videos, Leak, Part},
    },
    record::{Emotion, Estimate, Split},
    stats::interval::wilson,
};

/// A cluster that holds more than this share of all pictures is pointed out: perhaps pictures
/// that are alike without being copies have chained.
const SUSPICIOUS: f64 = 0.05;

/// The numbers, as in `audit.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Summary {
    /// Settings of the hash.
    pub hash: String,
    /// Bits in which near-duplicates may differ.
    pub radius: u32,
    /// Readable pictures by part.
    pub pictures: BTreeMap<String, usize>,
    /// Pictures that could not be read.
    pub unreadable: usize,
    /// Readable pictures too plain for a hash; they are compared by bytes only.
    pub plain: usize,
    /// The largest share of a test part with a near-duplicate in a train part.
    pub worst_leak: Option<f64>,
    /// Part against part.
    pub leaks: Vec<LeakRow>,
    /// Sets of near-duplicates, runs and clips.
    pub clusters: Clusters,
    /// Neighbours that are one video.
    pub runs: Runs,
    /// Clips by signature, when there are clips.
    pub clips: Option<Clips>,
    /// What the reader must know.
    pub notes: Vec<String>,
}

/// One part looked up in another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct LeakRow {
    /// The part whose pictures are looked up.
    pub part: String,
    /// The part that they are looked up in.
    pub within: String,
    /// Pairs in all.
    pub pairs: usize,
    /// Share with a near-duplicate.
    pub near: Option<Estimate>,
    /// Share whose video also gives pictures to the other part.
    pub same_video: Option<Estimate>,
    /// Share of random pairs that count as near: the control.
    pub random_pairs: Option<Estimate>,
    /// Shares by class.
    pub classes: BTreeMap<String, ClassRow>,
}

/// A class in a [`LeakRow`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ClassRow {
    /// Share with a near-duplicate.
    pub near: Option<Estimate>,
    /// Share whose video also gives pictures to the other part.
    pub same_video: Option<Estimate>,
}

/// Sets of pictures that are one video.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Clusters {
    /// Of two pictures and more.
    pub clusters: usize,
    /// Of these, with pictures in more than one part.
    pub across_parts: usize,
    /// Pictures in the largest.
    pub largest: usize,
}

/// Runs of neighbours that are one video.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Runs {
    /// Of two pictures and more.
    pub runs: usize,
    /// Pictures in them.
    pub pictures: usize,
    /// Pictures in the longest.
    pub longest: usize,
    /// Share of neighbours that the rule joins.
    pub joined: Option<Estimate>,
    /// The same at a random offset within the folder: the control.
    pub joined_at_random: Option<Estimate>,
}

/// Clips that are one video.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Clips {
    /// Clips with a signature.
    pub signed: usize,
    /// Groups of two clips and more.
    pub groups: usize,
    /// Groups with clips in more than one split, before anything was removed.
    pub across_splits: usize,
}

/// The numbers and what they are made of.
pub(super) struct Findings {
    pub summary: Summary,
    /// Parts that were compared, `(looked up, within)`, and what came out.
    pub leaks: Vec<((Part, Part), Leak)>,
    /// By still: the smallest position in its cluster.
    pub cluster: Vec<usize>,
    pub runs: Vec<std::ops::Range<usize>>,
}

impl Findings {
    /// Audits what was gathered.
    pub fn of(all: &Gathered, radius: u32, seed: u64) -> Self {
        let runs = runs(&all.stills, radius);
        let mut sets = videos(&all.stills, &runs, radius);
        let leaks: Vec<_> = comparisons(all)
            .into_iter()
            .map(|parts| (parts, leak(&all.stills, parts, &mut sets, radius, seed)))
            .collect();
        let cluster: Vec<usize> = (0..all.stills.len()).map(|i| sets.root(i)).collect();
        let mut summary = Summary {
            hash: hash::SETTINGS.into(),
            radius,
            pictures: parts(all).into_iter().map(|(p, n)| (all.name(p), n)).collect(),
            unreadable: all.unreadable.len(),
            plain: all.stills.iter().filter(|s| s.hash == UNINFORMATIVE).count(),
            worst_leak: None,
            leaks: leaks.iter().map(|(parts, leak)| row(all, *parts, leak)).collect(),
            clusters: clusters(all, &cluster),
            runs: run_counts(all, &runs, radius, seed),
            clips: clips(all),
            notes: Vec::new(),
        };
        let tests = leaks.iter().filter(|((a, b), _)| is_test_in_train(*a, *b));
        let shares = tests.filter_map(|(_, leak)| {
            let count = leak.count(None);
            (count.of > 0).then(|| count.near as f64 / count.of as f64)
        });
        summary.worst_leak = shares.reduce(f64::max);
        summary.notes = notes(all, &summary);
        Findings { summary, leaks, cluster, runs }
    }
}

fn is_test_in_train(part: Part, within: Part) -> bool {
    part.split == Split::Test && within.split == Split::Train
}

/// Parts of the audited set first, then those of the other; empty ones too.
fn parts(all: &Gathered) -> Vec<(Part, usize)> {
    let sets = 0..=u8::from(all.two_sets);
    let each = sets.flat_map(|set| Split::ALL.map(|split| Part { set, split }));
    each.map(|p| (p, all.stills.iter().filter(|s| s.part() == p).count())).collect()
}

/// What is looked up in what. One set: each later split in the earlier ones. Two sets: every part
/// of the first in every part of the second, and the second's test in the first's train.
fn comparisons(all: &Gathered) -> Vec<(Part, Part)> {
    let part = |set, split| Part { set, split };
    let (train, val, test) = (Split::Train, Split::Val, Split::Test);
    let mut wanted = Vec::new();
    if all.two_sets {
        for split in [test, val, train] {
            wanted.extend(Split::ALL.map(|within| (part(0, split), part(1, within))));
        }
        wanted.push((part(1, test), part(0, train)));
    } else {
        wanted.extend(
            [(test, train), (val, train), (test, val)].map(|(a, b)| (part(0, a), part(0, b))),
        );
    }
    let present: BTreeMap<Part, usize> = parts(all).into_iter().collect();
    wanted.retain(|(a, b)| present[a] > 0 && present[b] > 0);
    wanted
}

fn estimate(hits: usize, n: usize, clusters: usize) -> Option<Estimate> {
    let interval = wilson(hits as u64, n as u64)?;
    let value = hits as f64 / n as f64;
    Some(Estimate { value, lo: interval.lo, hi: interval.hi, n, clusters })
}

fn row(all: &Gathered, (part, within): (Part, Part), leak: &Leak) -> LeakRow {
    let shares = |class: Option<Emotion>| {
        let count = leak.count(class);
        (estimate(count.near, count.of, count.of), estimate(count.same_video, count.of, count.of))
    };
    let (near, same_video) = shares(None);
    let classes = Emotion::ALL.map(|class| {
        let (near, same_video) = shares(Some(class));
        (class.name().to_owned(), ClassRow { near, same_video })
    });
    LeakRow {
        part: all.name(part),
        within: all.name(within),
        pairs: leak.pairs,
        near,
        same_video,
        random_pairs: estimate(leak.chance.0, leak.chance.1, leak.chance.1),
        classes: classes.into(),
    }
}

fn clusters(all: &Gathered, cluster: &[usize]) -> Clusters {
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    cluster.iter().enumerate().for_each(|(i, root)| members.entry(*root).or_default().push(i));
    let many: Vec<&Vec<usize>> = members.values().filter(|m| m.len() > 1).collect();
    let across =
        |m: &&&Vec<usize>| m.iter().any(|&i| all.stills[i].part() != all.stills[m[0]].part());
    Clusters {
        clusters: many.len(),
        across_parts: many.iter().filter(across).count(),
        largest: many.iter().map(|m| m.len()).max().unwrap_or(0),
    }
}

fn run_counts(all: &Gathered, runs: &[std::ops::Range<usize>], radius: u32, seed: u64) -> Runs {
    let long: Vec<usize> = runs.iter().map(|r| r.len()).filter(|n| *n > 1).collect();
    let joined: usize = long.iter().map(|n| n - 1).sum();
    let still = |s: &&[crate::audit::stills::Still]| {
        let (a, b) = (&s[0], &s[1]);
        a.video.is_none() && b.video.is_none() && a.part() == b.part() && a.emotion == b.emotion
    };
    let neighbours = all.stills.windows(2).filter(still).count();
    let (at_random, tried) = runs_by_chance(&all.stills, radius, seed);
    Runs {
        runs: long.len(),
        pictures: long.iter().sum(),
        longest: long.iter().copied().max().unwrap_or(0),
        joined: estimate(joined, neighbours, neighbours),
        joined_at_random: estimate(at_random, tried, tried),
    }
}

fn clips(all: &Gathered) -> Option<Clips> {
    let signed = all.clips.iter().filter(|c| c.signature.is_some()).count();
    if signed == 0 {
        return None;
    }
    let members = super::gather::members(&all.clips);
    let found = groups(&members);
    let mut splits: BTreeMap<usize, Vec<Split>> = BTreeMap::new();
    for (clip, first) in all.clips.iter().zip(&found.first) {
        splits.entry(*first).or_default().push(clip.split);
    }
    let many: Vec<&Vec<Split>> = splits.values().filter(|s| s.len() > 1).collect();
    let across = many.iter().filter(|s| s.iter().any(|split| *split != s[0])).count();
    Some(Clips { signed, groups: many.len(), across_splits: across })
}

fn notes(all: &Gathered, summary: &Summary) -> Vec<String> {
    let mut notes = Vec::new();
    for (part, n) in parts(all) {
        if n == 0 {
            notes.push(format!("{} is empty", all.name(part)));
        }
    }
    if summary.unreadable > 0 {
        notes.push(format!("{} pictures cannot be read, see unreadable.csv", summary.unreadable));
    }
    if summary.plain > 0 {
        notes.push(format!("{} pictures are too plain to be compared but by bytes", summary.plain));
    }
    let share = summary.clusters.largest as f64 / all.stills.len().max(1) as f64;
    if share > SUSPICIOUS && summary.clusters.largest > 50 {
        let percent = 100.0 * share;
        notes.push(format!("the largest cluster holds {percent:.1} % of all pictures: look at it"));
    }
    notes
}

impl Summary {
    /// Reads an `audit.json`.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is damaged; remove the folder", path.display()))
    }

    /// For a person.
    pub fn text(&self) -> String {
        let counts: Vec<String> = self
            .pictures
            .iter()
            .filter(|(_, n)| **n > 0)
            .map(|(p, n)| format!("{n} {p}"))
            .collect();
        let mut lines = vec![format!("pictures: {}", counts.join(", "))];
        for leak in &self.leaks {
            lines.push(format!(
                "{} in {}: near-duplicates {}, same video {}, random pairs {} ({} pairs)",
                leak.part,
                leak.within,
                percent(leak.near),
                percent(leak.same_video),
                percent(leak.random_pairs),
                leak.pairs
            ));
        }
        let Clusters { clusters, across_parts, largest } = &self.clusters;
        lines.push(format!("clusters: {clusters}, {across_parts} across parts, largest {largest}"));
        if self.runs.joined.is_some() {
            lines.push(format!(
                "runs: {} of {} pictures; neighbours joined {}, at random {}",
                self.runs.runs,
                self.runs.pictures,
                percent(self.runs.joined),
                percent(self.runs.joined_at_random)
            ));
        }
        if let Some(Clips { signed, groups, across_splits }) = &self.clips {
            lines.push(format!("clips: {signed}, {groups} groups, {across_splits} across splits"));
        }
        lines.extend(self.notes.iter().map(|note| format!("note: {note}")));
        lines.join("\n")
    }
}

/// `12.3 % [11.9, 12.8]`.
pub(super) fn percent(estimate: Option<Estimate>) -> String {
    estimate.map_or("none".into(), |e| {
        format!("{:.2} % [{:.2}, {:.2}]", 100.0 * e.value, 100.0 * e.lo, 100.0 * e.hi)
    })
}
