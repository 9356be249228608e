//! Clips that are one video, clusters and runs.
use std::{cmp::Reverse, collections::BTreeMap, ops::Range};

use super::percent;
use crate::table::{Cell, Column, Table};
use crate::{
    leak_audit::{findings::Findings, gather::Gathered},
    report::page::{Block, Section},
    similarity::{clips::NearDuplicateClip, warp::TemporalAlignment},
};

/// Rows of a table at most; all are in the CSV files.
const LISTED: usize = 20;

/// The nearest pairs of clips; `None` without clips.
pub(super) fn clips(all: &Gathered, findings: &Findings) -> Option<Section> {
    let clips = findings.summary.clips.as_ref()?;
    let mut section = Section::new("clips", "Clips that are one video");
    section.text(format!(
        "Before anything was removed there were {} groups of two clips and more, {} of them across \
         parts.",
        clips.groups, clips.across_parts
    ));
    let verdicts = findings.clip_leaks.iter().flat_map(|(_, leak)| &leak.verdicts);
    let mut near_duplicates: Vec<&NearDuplicateClip> =
        verdicts.filter_map(|v| v.near_duplicates.first()).collect();
    near_duplicates.sort_by(|a, b| a.alignment.mean_distance.total_cmp(&b.alignment.mean_distance));
    if near_duplicates.is_empty() {
        section.text("Of the clips that give pictures, none is in two parts.");
    } else {
        section.blocks.push(Block::Table(clip_table(all, &near_duplicates)));
    }
    if clips.stills_from_clips > 0 {
        section.text(format!(
            "{} stills are within 3 bits of a moment of a clip, by hash alone; they count as the \
             same video. See moments.csv.",
            clips.stills_from_clips
        ));
    }
    Some(section)
}

fn clip_table(all: &Gathered, near_duplicates: &[&NearDuplicateClip]) -> Table {
    let row = |duplicate: &&NearDuplicateClip| {
        let name = |i: usize| {
            let clip = &all.clip_entries[i];
            Cell::words(format!("{}: {}", all.name(clip.part()), clip.id))
        };
        let how = match (duplicate.same_bytes, duplicate.alignment.mirrored) {
            (true, _) => "the same bytes".into(),
            (_, true) if duplicate.altered => "altered, mirrored".into(),
            (_, true) => format!("mirrored{}", speed(duplicate.alignment)),
            _ if duplicate.altered => "altered".into(),
            _ => speed(duplicate.alignment).trim_start_matches(", ").to_owned(),
        };
        vec![
            name(duplicate.clip),
            name(duplicate.partner),
            Cell::number(duplicate.alignment.mean_distance, 2),
            Cell::number(duplicate.alignment.shift_s, 2),
            Cell::words(how),
        ]
    };
    Table {
        name: "clip-pairs".into(),
        caption: "Nearest clip of another part; all are in clip-pairs.csv".into(),
        columns: vec![
            Column::words("clip"),
            Column::words("its like"),
            Column::numbers("differing bits"),
            Column::numbers("starts later by s"),
            Column::words("how"),
        ],
        rows: near_duplicates.iter().take(LISTED).map(row).collect(),
        notes: Vec::new(),
    }
}

/// The speed at which a copy runs, where it is another.
fn speed(alignment: TemporalAlignment) -> String {
    if alignment.speed == 1.0 {
        String::new()
    } else {
        format!(", speed × {:.2}", alignment.speed)
    }
}

/// Clusters and runs.
pub(super) fn clusters(all: &Gathered, findings: &Findings) -> Section {
    let mut section = Section::new("clusters", "Clusters and runs");
    let summary = &findings.summary;
    section.text(format!(
        "{} clusters of two pictures and more, {} of them across parts; the largest holds {}.",
        summary.clusters.clusters, summary.clusters.across_parts, summary.clusters.largest
    ));
    if summary.clusters.clusters > 0 {
        section.blocks.push(Block::Table(cluster_table(all, findings)));
    }
    if summary.runs.joined.is_some() {
        section.text(format!(
            "Runs are neighbours in stored order with one background or nearly one hash: {} runs \
             of {} pictures. The rule joins {} of the neighbours and, as control, {} of pictures with \
             random ones of their part that are in no run with them. {}",
            summary.runs.runs,
            summary.runs.pictures,
            percent(summary.runs.joined),
            percent(summary.runs.joined_at_random),
            if summary.runs.trusted {
                "So runs count as one video."
            } else {
                "So they say something about places, not about videos: they cannot be trusted here, \
                 and do not count as one video."
            }
        ));
    }
    if summary.runs.runs > 0 {
        section.blocks.push(Block::Table(run_table(all, findings)));
    }
    section
}

fn cluster_table(all: &Gathered, findings: &Findings) -> Table {
    let mut members: BTreeMap<usize, BTreeMap<String, u64>> = BTreeMap::new();
    for (i, root) in findings.cluster.iter().enumerate() {
        let parts = members.entry(*root).or_default();
        *parts.entry(all.name(all.stills[i].part())).or_default() += 1;
    }
    let mut many: Vec<(u64, usize, &BTreeMap<String, u64>)> =
        members.iter().map(|(root, parts)| (parts.values().sum(), *root, parts)).collect();
    // Those across parts first, then by size.
    many.retain(|(n, ..)| *n > 1);
    many.sort_by_key(|(n, root, parts)| (Reverse((parts.len(), *n)), *root));
    let line = |(n, root, parts): &(u64, usize, &BTreeMap<String, u64>)| {
        let parts: Vec<String> = parts.iter().map(|(part, n)| format!("{n} {part}")).collect();
        vec![Cell::words(&all.stills[*root].id), Cell::count(*n), Cell::words(parts.join(", "))]
    };
    Table {
        name: "clusters".into(),
        caption: "Clusters, those across parts first; all are in clusters.csv".into(),
        columns: vec![
            Column::words("first picture"),
            Column::numbers("pictures"),
            Column::words("parts"),
        ],
        rows: many.iter().take(LISTED).map(line).collect(),
        notes: Vec::new(),
    }
}

fn run_table(all: &Gathered, findings: &Findings) -> Table {
    let mut runs: Vec<&Range<usize>> = findings.runs.iter().filter(|r| r.len() > 1).collect();
    runs.sort_by_key(|r| (Reverse(r.len()), r.start));
    let line = |run: &&Range<usize>| {
        let id = |i: usize| Cell::words(&all.stills[i].id);
        vec![id(run.start), id(run.end - 1), Cell::count(run.len() as u64)]
    };
    Table {
        name: "runs".into(),
        caption: "Longest runs; all are in runs.csv".into(),
        columns: vec![Column::words("first"), Column::words("last"), Column::numbers("pictures")],
        rows: runs.iter().take(LISTED).map(line).collect(),
        notes: Vec::new(),
    }
}
