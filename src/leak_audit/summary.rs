//! What the audit says in numbers.
use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{record::Estimate, similarity::distances::Distances};

/// The numbers, as in `audit.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AuditSummary {
    /// Settings of the hash.
    pub hash: String,
    /// Bits in which pictures may differ to be compared cell by cell.
    pub radius: u32,
    /// Whether altered copies were looked for: cropped, turned, with bars or something on top.
    pub altered: bool,
    /// Pictures by part.
    pub pictures: BTreeMap<String, usize>,
    /// Pictures that could not be read.
    pub unreadable: usize,
    /// Of these, such that are compared by the hash that the manifest has of them.
    pub by_hash_alone: usize,
    /// Pictures too plain for a hash; they are compared by bytes only.
    pub plain: usize,
    /// The largest share of a test part, of pictures or of clips, with a near-duplicate in a
    /// train part.
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

/// One part looked up in another: pictures in pictures, or clips in clips.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeakRow {
    /// The part whose members are looked up.
    pub part: String,
    /// The part that they are looked up in.
    pub within: String,
    /// Pairs in all.
    pub pairs: usize,
    /// Share with a near-duplicate.
    pub near: Option<Estimate>,
    /// Share whose video is also in the other part.
    pub same_video: Option<Estimate>,
    /// Share of random pairs that count as near: the control.
    pub random_pairs: Option<Estimate>,
    /// Shares by class.
    pub classes: BTreeMap<String, ClassRow>,
    /// How far pictures are from the nearest and from a random one of the other part.
    pub distances: Option<Distances>,
}

/// A class in a [`LeakRow`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassRow {
    /// Share with a near-duplicate.
    pub near: Option<Estimate>,
    /// Share whose video is also in the other part.
    pub same_video: Option<Estimate>,
}

/// Sets of pictures that are one video.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Clusters {
    /// Of two pictures and more.
    pub clusters: usize,
    /// Of these, with pictures in more than one part.
    pub across_parts: usize,
    /// Pictures in the largest.
    pub largest: usize,
}

/// Runs of neighbours that are one video.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Runs {
    /// Whether they count as one video: not where the control joins as well.
    #[serde(default)]
    pub trusted: bool,
    /// Of two pictures and more.
    pub runs: usize,
    /// Pictures in them.
    pub pictures: usize,
    /// Pictures in the longest.
    pub longest: usize,
    /// Share of neighbours that the rule joins.
    pub joined: Option<Estimate>,
    /// The same for random pictures of the part that are in no run with it: the control.
    pub joined_at_random: Option<Estimate>,
}

/// Clips, by signature and bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Clips {
    /// Clips that give pictures, by part.
    pub clips: BTreeMap<String, usize>,
    /// Of these, such without a signature; they are compared by bytes only.
    pub unsigned: usize,
    /// Groups of two clips and more, before anything was removed.
    pub groups: usize,
    /// Groups with clips in more than one part, before anything was removed.
    pub across_parts: usize,
    /// Part against part, of the clips that give pictures.
    pub leaks: Vec<LeakRow>,
    /// Stills of one data set that are near to a moment of a clip of the other.
    pub stills_from_clips: usize,
}

impl AuditSummary {
    /// Reads an `audit.json`.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is damaged; remove the folder", path.display()))
    }

    /// For a person.
    pub fn text(&self) -> String {
        let mut lines = vec![format!("pictures: {}", counts(&self.pictures))];
        lines.extend(self.leaks.iter().map(|leak| {
            format!(
                "{} in {}: near-duplicates {}, same video {}, random pairs {} ({} pairs)",
                leak.part,
                leak.within,
                percent(leak.near),
                percent(leak.same_video),
                percent(leak.random_pairs),
                leak.pairs
            )
        }));
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
        lines.extend(self.clips.iter().flat_map(Clips::lines));
        lines.extend(self.notes.iter().map(|note| format!("note: {note}")));
        lines.join("\n")
    }
}

impl Clips {
    fn lines(&self) -> Vec<String> {
        let Clips { groups, across_parts, .. } = self;
        let mut lines = vec![format!(
            "clips: {}; {groups} groups, {across_parts} across parts before anything was removed",
            counts(&self.clips)
        )];
        lines.extend(self.leaks.iter().map(|leak| {
            format!(
                "clips of {} in {}: near-duplicates {}, random pairs {} ({} pairs)",
                leak.part,
                leak.within,
                percent(leak.near),
                percent(leak.random_pairs),
                leak.pairs
            )
        }));
        if self.stills_from_clips > 0 {
            let n = self.stills_from_clips;
            lines.push(format!("{n} stills are near to a moment of a clip, see moments.csv"));
        }
        lines
    }
}

/// `12 train, 3 test`, without what is empty.
fn counts(by_part: &BTreeMap<String, usize>) -> String {
    let some = by_part.iter().filter(|(_, n)| **n > 0);
    some.map(|(part, n)| format!("{n} {part}")).collect::<Vec<_>>().join(", ")
}

/// `12.3 % [11.9, 12.8]`.
pub(super) fn percent(estimate: Option<Estimate>) -> String {
    estimate.map_or("none".into(), |e| {
        format!("{:.2} % [{:.2}, {:.2}]", 100.0 * e.value, 100.0 * e.lo, 100.0 * e.hi)
    })
}
