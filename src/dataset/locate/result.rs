//! From what every clip offers to one row per still: the best clip, the runner-up, what was done.
use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Serialize;

use super::{leak::Leak, origin::Origin, stills::Still, words, worker::Searched};
use crate::manifest::{LocatedRow, LocatedStatus};

/// One row per still, in their order.
pub(super) fn rows(stills: &[Still], searched: &BTreeMap<String, Searched>) -> Vec<LocatedRow> {
    let mut offers: Vec<Vec<(&Searched, &Origin)>> = vec![Vec::new(); stills.len()];
    // Clips come in the order of their ids: of equal ones the first wins.
    for clip in searched.values() {
        for origin in &clip.origins {
            if let Some(own) = offers.get_mut(origin.still as usize) {
                own.push((clip, origin));
            }
        }
    }
    stills.iter().zip(offers).map(|(still, offers)| row(still, offers)).collect()
}

fn row(still: &Still, mut offers: Vec<(&Searched, &Origin)>) -> LocatedRow {
    offers.sort_by(|(_, a), (_, b)| b.sure.cmp(&a.sure).then(a.score().total_cmp(&b.score())));
    let best = offers.first();
    let second = offers.get(1);
    let sure = best.is_some_and(|(_, origin)| origin.sure);
    let origin = best.map(|(_, origin)| *origin);
    LocatedRow {
        still: still.shown.clone(),
        split: still.split,
        label: still.label,
        clip_id: best.map(|(clip, _)| clip.clip_id.clone()),
        frame_index: origin.map(|o| o.frame),
        run_first: origin.map(|o| o.run.0),
        run_last: origin.map(|o| o.run.1),
        score: origin.map(Origin::score),
        runner_up_clip_id: second.map(|(clip, _)| clip.clip_id.clone()),
        runner_up_score: second.map(|(_, origin)| origin.score()),
        transform: origin.map(|o| words::transform(still, o)),
        status: if sure { LocatedStatus::Found } else { LocatedStatus::NotFound },
        reason: still.fault.clone(),
        part: origin.map(|o| {
            let p = o.placement();
            [p.x, p.y, p.right(), p.lower()]
        }),
        clip_path: best.map(|(clip, _)| clip.path.clone()),
        clip_sha256: best.and_then(|(clip, _)| clip.sha256.clone()),
        pixel_sha256: origin.map(|o| o.pixel_sha256.clone()),
        width: origin.map(|o| o.size.0 as u32),
        height: origin.map(|o| o.size.1 as u32),
    }
}

/// The rows as text.
///
/// # Errors
/// When memory is short.
pub(in crate::dataset) fn to_csv(rows: &[LocatedRow]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "still",
        "split",
        "label",
        "clip_id",
        "frame_index",
        "run_first",
        "run_last",
        "score",
        "runner_up_clip_id",
        "runner_up_score",
        "transform",
        "status",
        "reason",
    ])?;
    let number = |v: Option<u64>| v.map_or_else(String::new, |v| v.to_string());
    let score = |v: Option<f64>| v.map_or_else(String::new, |v| format!("{v:.3}"));
    let text = |v: &Option<String>| v.clone().unwrap_or_default();
    for r in rows {
        writer.write_record([
            r.still.clone(),
            r.split.map_or_else(String::new, |s| s.to_string()),
            r.label.map_or_else(String::new, |l| l.to_string()),
            text(&r.clip_id),
            number(r.frame_index),
            number(r.run_first),
            number(r.run_last),
            score(r.score),
            text(&r.runner_up_clip_id),
            score(r.runner_up_score),
            text(&r.transform),
            r.status.name().to_owned(),
            text(&r.reason),
        ])?;
    }
    writer.into_inner().map_err(|e| e.into_error()).context("cannot write the list")
}

/// What a search came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LocateSummary {
    /// Stills.
    pub stills: usize,
    /// Those that were found.
    pub found: usize,
    /// Those that were not.
    pub not_found: usize,
    /// Those of the latter that could not be read.
    pub unreadable: usize,
    /// Stills that were found, by what was done to them.
    pub transforms: BTreeMap<String, usize>,
    /// Stills that were found whose frame no other frame can be mistaken for.
    pub exact: usize,
    /// Clips that were searched.
    pub clips: usize,
    /// Frames that were hashed.
    pub frames: u64,
    /// Clips that could not be searched, by reason code.
    pub failed_clips: BTreeMap<String, usize>,
    /// Stills of one split whose clip gives stills to another.
    pub leak: Leak,
    /// Seconds from start to end of this run.
    pub seconds: f64,
}

impl LocateSummary {
    pub(super) fn of(rows: &[LocatedRow], searched: &BTreeMap<String, Searched>) -> Self {
        let mut summary = LocateSummary {
            stills: rows.len(),
            unreadable: rows.iter().filter(|r| r.reason.is_some()).count(),
            clips: searched.len(),
            frames: searched.values().map(|s| s.frames).sum(),
            ..LocateSummary::default()
        };
        for row in rows {
            if row.status == LocatedStatus::NotFound {
                summary.not_found += 1;
                continue;
            }
            summary.found += 1;
            summary.exact += usize::from(row.run_first == row.run_last);
            let done = row.transform.clone().unwrap_or_default();
            let kinds: Vec<&str> =
                done.split("; ").filter_map(|word| word.split(' ').next()).collect();
            *summary.transforms.entry(kinds.join(", ")).or_default() += 1;
        }
        for (code, _) in searched.values().filter_map(|s| s.failure.as_ref()) {
            *summary.failed_clips.entry(code.clone()).or_default() += 1;
        }
        summary
    }
}
