//! From what was gathered to what leaks.
use std::{collections::BTreeMap, io, ops::Range};

use super::{
    gather::{Gathered, Unreadable},
    summary::{percent, AuditSummary, ClassRow, Clips, Clusters, LeakRow, Runs},
};
use crate::{
    progress::watched,
    record::{Emotion, Estimate, Split},
    similarity::{
        clips::{clip_leak, moments, Moment, NearDuplicateClip},
        distances::distances,
        groups,
        hash::{self, UNINFORMATIVE},
        images::{Rule, SetPart},
        leak::Leak,
        near_duplicates::{altered, leak, videos, NearDuplicate},
        runs::{neighbours, runs, runs_by_chance},
        Member,
    },
    stats::interval::wilson,
};

/// A cluster that holds more than this share of all pictures is pointed out: perhaps pictures
/// that are alike without being copies have chained.
const SUSPICIOUS: f64 = 0.05;
/// And more than this number.
const SUSPICIOUS_PICTURES: usize = 50;

/// Share of pictures from elsewhere in their part, in no run with them, that the rule of runs joins
/// nevertheless; beyond it (with 95 % confidence) runs say nothing about videos: the data set shows
/// few places, or many videos of one place.
const MOST_AT_RANDOM: f64 = 0.01;

/// `(looked up, within)`.
type Parts = (SetPart, SetPart);

/// The numbers and what they are made of.
pub(super) struct Findings {
    pub summary: AuditSummary,
    /// Parts whose pictures were compared, and what came out.
    pub leaks: Vec<(Parts, Leak<NearDuplicate>)>,
    /// The same of clips.
    pub clip_leaks: Vec<(Parts, Leak<NearDuplicateClip>)>,
    /// Stills that are near to a moment of a clip of the other data set.
    pub moments: Vec<Moment>,
    /// By still: the smallest position in its cluster.
    pub cluster: Vec<usize>,
    pub runs: Vec<Range<usize>>,
}

impl Findings {
    /// Audits what was gathered.
    ///
    /// # Errors
    /// When views lie in a file that cannot be read.
    pub fn of(all: &Gathered, rule: Rule, seed: u64) -> io::Result<Self> {
        let runs = runs(&all.stills);
        let run_summary = run_counts(all, &runs, seed);
        let clip_parts = parts(all.two_sets, all.clip_entries.iter().map(|f| f.part()));
        let clip_leaks: Vec<_> = comparisons(all.two_sets, &clip_parts)
            .into_iter()
            .map(|parts| Ok((parts, clip_leak(&all.clip_entries, parts, seed, &comparing())?)))
            .collect::<io::Result<_>>()?;
        let moments =
            if all.foreign { Vec::new() } else { moments(&all.stills, &all.clip_entries) };
        let trusted = if run_summary.trusted { runs.as_slice() } else { &[] };
        let known = known(all, trusted, &clip_leaks, &moments);
        let mut sets = videos(&all.stills, rule, known);
        let altered = altered(&all.stills, rule, &mut sets, &comparing());
        let still_parts = parts(all.two_sets, all.stills.iter().map(|s| s.part()));
        let leaks: Vec<_> = comparisons(all.two_sets, &still_parts)
            .into_iter()
            .map(|parts| (parts, leak(&all.stills, parts, (rule, &altered), &mut sets, seed)))
            .collect();
        let cluster: Vec<usize> = (0..all.stills.len()).map(|i| sets.root(i)).collect();
        let rows = leaks.iter().map(|(parts, leak)| {
            let distances = Some(distances(&all.stills, *parts, seed));
            LeakRow { distances, ..row(all, *parts, leak) }
        });
        let (shown, worst_shown) = shown(all, &still_parts);
        let worst_leak = worst(&leaks).into_iter().chain(worst(&clip_leaks)).chain(worst_shown);
        let summary = AuditSummary {
            hash: hash::SETTINGS.into(),
            radius: rule.radius,
            altered: rule.altered,
            pictures: named(all, &still_parts),
            unreadable: all.unreadable.len(),
            by_hash_alone: all.stills.iter().filter(|s| s.look.is_none()).count(),
            plain: all.stills.iter().filter(|s| s.hash == UNINFORMATIVE).count(),
            worst_leak: worst_leak.reduce(f64::max),
            leaks: rows.chain(shown).collect(),
            clusters: clusters(all, &cluster),
            runs: run_summary,
            clips: clips(all, &clip_parts, &clip_leaks, &moments)?,
            notes: Vec::new(),
        };
        let notes = notes(all, &still_parts, &summary);
        let summary = AuditSummary { notes, ..summary };
        Ok(Findings { summary, leaks, clip_leaks, moments, cluster, runs })
    }
}

/// Says how far the laying of pictures over each other is.
fn comparing() -> impl Fn(usize) + Sync {
    watched("comparing", "pairs of pictures")
}

/// Pairs of stills that are one video though the pictures differ: neighbours of a run, those of
/// clips that are one video, and those of a clip and a still that shows one of its moments.
fn known(
    all: &Gathered,
    runs: &[Range<usize>],
    clip_leaks: &[(Parts, Leak<NearDuplicateClip>)],
    moments: &[Moment],
) -> Vec<(usize, usize)> {
    let mut first: BTreeMap<(u8, &str), usize> = BTreeMap::new();
    for (i, still) in all.stills.iter().enumerate() {
        if let Some(video) = &still.video {
            first.entry((still.set, video)).or_insert(i);
        }
    }
    let of = |position: usize| {
        let clip = &all.clip_entries[position];
        first.get(&(clip.set, clip.video.as_str())).copied()
    };
    let near_duplicates = clip_leaks
        .iter()
        .flat_map(|(_, leak)| leak.verdicts.iter().flat_map(|v| &v.near_duplicates));
    let near_duplicates =
        near_duplicates.filter_map(|duplicate| Some((of(duplicate.clip)?, of(duplicate.partner)?)));
    let shown = moments.iter().filter_map(|m| Some((m.still, of(m.clip)?)));
    let joined = runs.iter().flat_map(|run| run.clone().map(|i| (run.start, i)));
    joined.chain(near_duplicates).chain(shown).collect()
}

/// The largest share of a test part with a near-duplicate in a train part.
fn worst<T>(leaks: &[(Parts, Leak<T>)]) -> Option<f64> {
    let of =
        |part: SetPart, within: SetPart| part.split == Split::Test && within.split == Split::Train;
    let tests = leaks.iter().filter(|((part, within), _)| of(*part, *within));
    let counts = tests.map(|(_, leak)| leak.count(None)).filter(|count| count.of > 0);
    counts.map(|count| count.near as f64 / count.of as f64).reduce(f64::max)
}

/// Parts of the audited set first, then those of the other; empty ones too.
fn parts(two_sets: bool, members: impl Iterator<Item = SetPart>) -> BTreeMap<SetPart, usize> {
    let sets = 0..=u8::from(two_sets);
    let each = sets.flat_map(|set| Split::ALL.map(|split| SetPart { set, split }));
    let mut counts: BTreeMap<SetPart, usize> = each.map(|part| (part, 0)).collect();
    members.for_each(|part| *counts.entry(part).or_default() += 1);
    counts
}

fn named(all: &Gathered, parts: &BTreeMap<SetPart, usize>) -> BTreeMap<String, usize> {
    parts.iter().map(|(part, n)| (all.name(*part), *n)).collect()
}

/// What is looked up in what. One set: each later split in the earlier ones. Two sets: every part
/// of the first in every part of the second, and the second's test in the first's train.
fn comparisons(two_sets: bool, present: &BTreeMap<SetPart, usize>) -> Vec<Parts> {
    let part = |set, split| SetPart { set, split };
    let (train, val, test) = (Split::Train, Split::Val, Split::Test);
    let mut wanted = Vec::new();
    if two_sets {
        for split in [test, val, train] {
            wanted.extend([train, val, test].map(|within| (part(0, split), part(1, within))));
        }
        wanted.push((part(1, test), part(0, train)));
    } else {
        wanted.extend(
            [(test, train), (val, train), (test, val)].map(|(a, b)| (part(0, a), part(0, b))),
        );
    }
    wanted.retain(|(a, b)| present[a] > 0 && present[b] > 0);
    wanted
}

fn estimate(hits: usize, n: usize) -> Option<Estimate> {
    let interval = wilson(hits as u64, n as u64)?;
    let value = hits as f64 / n as f64;
    Some(Estimate { value, lo: interval.lo, hi: interval.hi, n, clusters: n })
}

fn row<T>(all: &Gathered, (part, within): Parts, leak: &Leak<T>) -> LeakRow {
    let shares = |class: Option<Emotion>| {
        let count = leak.count(class);
        (estimate(count.near, count.of), estimate(count.same_video, count.of))
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
        random_pairs: estimate(leak.chance.0, leak.chance.1),
        classes: classes.into(),
        distances: None,
    }
}

/// Pictures of every part that are frames of clips of the other data set, and the largest share of a
/// test part in clips to train on.
fn shown(all: &Gathered, by_part: &BTreeMap<SetPart, usize>) -> (Vec<LeakRow>, Option<f64>) {
    let Some(provenance) = &all.provenance else { return (Vec::new(), None) };
    let mut rows = Vec::new();
    let mut worst = None;
    let own = [Split::Test, Split::Val, Split::Train].map(|split| SetPart { set: 0, split });
    for part in own.into_iter().filter(|part| by_part[part] > 0) {
        for within in provenance.clips.keys().copied() {
            let share = |class: Option<Emotion>| {
                let stills = all.stills.iter().zip(&provenance.of);
                let stills = stills
                    .filter(|(s, _)| s.part() == part && class.is_none_or(|c| c == s.emotion));
                let (mut hits, mut n) = (0, 0);
                for (_, origin) in stills {
                    n += 1;
                    hits += usize::from(origin.as_ref().is_some_and(|(_, clip)| *clip == within));
                }
                (hits, estimate(hits, n))
            };
            let (pairs, near) = share(None);
            if part.split == Split::Test && within.split == Split::Train {
                worst = near.map(|e| e.value);
            }
            let classes = Emotion::ALL.map(|class| {
                let (_, near) = share(Some(class));
                (class.name().to_owned(), ClassRow { near, same_video: near })
            });
            rows.push(LeakRow {
                part: all.name(part),
                within: format!("clips of {}", all.name(within)),
                pairs,
                near,
                same_video: near,
                random_pairs: None,
                classes: classes.into(),
                distances: None,
            });
        }
    }
    (rows, worst)
}

/// Of clips the near-duplicates are the common videos.
fn clip_row(all: &Gathered, parts: Parts, leak: &Leak<NearDuplicateClip>) -> LeakRow {
    let mut row = row(all, parts, leak);
    row.classes.values_mut().for_each(|class| class.same_video = None);
    LeakRow { same_video: None, ..row }
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

fn run_counts(all: &Gathered, runs: &[Range<usize>], seed: u64) -> Runs {
    let long: Vec<usize> = runs.iter().map(|r| r.len()).filter(|n| *n > 1).collect();
    let joined: usize = long.iter().map(|n| n - 1).sum();
    let tries = all.stills.windows(2).filter(|pair| neighbours(&pair[0], &pair[1])).count();
    let (at_random, tried) = runs_by_chance(&all.stills, runs, seed);
    let joined_at_random = estimate(at_random, tried);
    // A rule that joins what stands anywhere in the part knows the place, not the video; and what
    // joins without anything to try it on may do so as well.
    let proven = match &joined_at_random {
        Some(control) => control.lo <= MOST_AT_RANDOM,
        None => joined == 0,
    };
    Runs {
        trusted: proven,
        runs: long.len(),
        pictures: long.iter().sum(),
        longest: long.iter().copied().max().unwrap_or(0),
        joined: estimate(joined, tries),
        joined_at_random,
    }
}

/// `None` where no data set is made of clips.
fn clips(
    all: &Gathered,
    by_part: &BTreeMap<SetPart, usize>,
    leaks: &[(Parts, Leak<NearDuplicateClip>)],
    moments: &[Moment],
) -> io::Result<Option<Clips>> {
    let timed: Vec<_> = all.clips.iter().filter(|(_, clip)| clip.fps.is_some()).collect();
    if timed.is_empty() {
        return Ok(None);
    }
    let members = timed.iter().map(|(_, clip)| Member {
        clip_id: &clip.clip_id,
        sha256: clip.sha256.as_ref(),
        signature: clip.signature.as_deref(),
        views: clip.views.as_ref(),
    });
    let found = groups(&members.collect::<Vec<_>>(), &comparing())?;
    let mut by_group: BTreeMap<usize, Vec<SetPart>> = BTreeMap::new();
    for ((set, clip), first) in timed.iter().zip(&found.first) {
        by_group.entry(*first).or_default().push(SetPart { set: *set, split: clip.split });
    }
    let many: Vec<&Vec<SetPart>> = by_group.values().filter(|parts| parts.len() > 1).collect();
    Ok(Some(Clips {
        clips: named(all, by_part),
        unsigned: all.clip_entries.iter().filter(|f| f.signature.is_empty()).count(),
        groups: many.len(),
        across_parts: many.iter().filter(|m| m.iter().any(|part| *part != m[0])).count(),
        leaks: leaks.iter().map(|(parts, leak)| clip_row(all, *parts, leak)).collect(),
        stills_from_clips: moments.chunk_by(|a, b| a.still == b.still).count(),
    }))
}

fn notes(
    all: &Gathered,
    by_part: &BTreeMap<SetPart, usize>,
    summary: &AuditSummary,
) -> Vec<String> {
    let mut notes: Vec<String> = by_part
        .iter()
        .filter(|(part, n)| **n == 0 && (part.set == 0 || all.provenance.is_none()))
        .map(|(part, _)| {
            let unread = |u: &&Unreadable| u.set == part.set && u.split == part.split;
            let name = all.name(*part);
            let has_clips = all.clip_entries.iter().any(|clip| clip.part() == *part);
            match (all.unreadable.iter().filter(unread).count(), has_clips) {
                (_, true) => format!("no picture of {name} can be read; its clips are compared"),
                (0, false) => format!("{name} is empty"),
                (n, false) => format!("{name} is empty: none of its {n} pictures can be read"),
            }
        })
        .collect();
    if let Some(provenance) = &all.provenance {
        let clips: usize = provenance.clips.values().sum();
        notes.push(format!(
            "{} pictures are frames of the {clips} clips, found on pixels (located/located.csv); those \
             that are not found may still show a clip, cut or covered too much",
            provenance.found()
        ));
        if provenance.failed > 0 {
            notes.push(format!("clips that could not be searched: {}", provenance.failed));
        }
    }
    if let Some(settings) = all.hash_settings.as_ref().filter(|_| all.foreign) {
        notes.push(format!(
            "clips were hashed with `{settings}`, not with the settings for which the thresholds \
             were chosen; they are not held against pictures"
        ));
    }
    if summary.unreadable > 0 {
        notes.push(format!(
            "pictures that cannot be read: {}, see unreadable.csv",
            summary.unreadable
        ));
    }
    if summary.by_hash_alone > 0 {
        notes.push(format!(
            "{} of them are compared by the hash that the manifest has: pairs with them are not verified",
            summary.by_hash_alone
        ));
    }
    if summary.plain > 0 {
        notes.push(format!("{} pictures are too plain to be compared but by bytes", summary.plain));
    }
    if let Some(clips) = summary.clips.as_ref().filter(|clips| clips.unsigned > 0) {
        let n = clips.unsigned;
        notes.push(format!("{n} clips have no signature (--fast) and are compared by bytes only"));
    }
    if !summary.runs.trusted {
        notes.push(match summary.runs.joined_at_random {
            Some(control) => format!(
                "runs cannot be trusted here: their rule also joins {} of pictures with random ones \
                 of their part, so they do not count as the same video",
                percent(Some(control))
            ),
            None => "runs cannot be trusted here: every part is one run, so that nothing is left to \
                     try their rule on; they do not count as the same video"
                .into(),
        });
    }
    let share = summary.clusters.largest as f64 / all.stills.len().max(1) as f64;
    if share > SUSPICIOUS && summary.clusters.largest > SUSPICIOUS_PICTURES {
        let percent = 100.0 * share;
        notes.push(format!("the largest cluster holds {percent:.1} % of all pictures: look at it"));
    }
    notes
}
