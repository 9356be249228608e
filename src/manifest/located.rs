//! `located.parquet`: which frame of which clip every still is.
use std::path::Path;

use super::{
    open,
    rows::{text, values, Checked},
    table, tagged, untagged, Error, Meta,
};
use crate::record::{named, Emotion, Split};

/// Whether a still was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LocatedStatus {
    /// It is this frame.
    Found,
    /// It is no frame of these clips; the best candidate is named.
    #[default]
    NotFound,
}

named!(LocatedStatus, "status", Found = "found", NotFound = "not_found");

/// One still and where it comes from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LocatedRow {
    /// The picture, below the folder of stills.
    pub still: String,
    /// The split that its folder names.
    pub split: Option<Split>,
    /// The class that its folder names.
    pub label: Option<Emotion>,
    /// The clip; the best candidate's where it was not found.
    pub clip_id: Option<String>,
    /// The n-th frame out of the decoder.
    pub frame_index: Option<u64>,
    /// First frame that cannot be told from it.
    pub run_first: Option<u64>,
    /// Last frame that cannot be told from it.
    pub run_last: Option<u64>,
    /// Root mean square difference in luma levels, once contrast and brightness are the same.
    pub score: Option<f64>,
    /// The best other clip.
    pub runner_up_clip_id: Option<String>,
    /// Its score.
    pub runner_up_score: Option<f64>,
    /// What was done to the picture, in words; `none` where nothing was.
    pub transform: Option<String>,
    /// Whether it was found.
    pub status: LocatedStatus,
    /// Why not, where the picture itself is at fault.
    pub reason: Option<String>,
    /// The part of the frame that the still shows: left, top, right, lower edge in pixels.
    pub part: Option<[f64; 4]>,
    /// The clip's file, below the corpus.
    pub clip_path: Option<String>,
    /// SHA-256 of the clip's file.
    pub clip_sha256: Option<String>,
    /// SHA-256 of the decoded pixels of the frame.
    pub pixel_sha256: Option<String>,
    /// Size of the frame in pixels.
    pub width: Option<u32>,
    /// See `width`.
    pub height: Option<u32>,
}

/// Writes the rows to `path`.
///
/// # Errors
/// When the file cannot be written.
pub fn write_located(path: &Path, rows: &[LocatedRow], meta: &Meta) -> anyhow::Result<()> {
    table::write(path, rows, columns, &tagged("located", meta))
}

pub(super) fn columns(rows: &[LocatedRow]) -> Vec<polars::prelude::Column> {
    let edge = |k: usize| move |r: &LocatedRow| r.part.map(|part| part[k]);
    vec![
        text("still", rows, |r| Some(&r.still)),
        text("split", rows, |r| r.split.map(Split::name)),
        text("label", rows, |r| r.label.map(Emotion::name)),
        text("clip_id", rows, |r| r.clip_id.as_deref()),
        values!("frame_index", rows, i64, |r| r.frame_index.map(|f| f as i64)),
        values!("run_first", rows, i64, |r| r.run_first.map(|f| f as i64)),
        values!("run_last", rows, i64, |r| r.run_last.map(|f| f as i64)),
        values!("score", rows, f64, |r| r.score),
        text("runner_up_clip_id", rows, |r| r.runner_up_clip_id.as_deref()),
        values!("runner_up_score", rows, f64, |r| r.runner_up_score),
        text("transform", rows, |r| r.transform.as_deref()),
        text("status", rows, |r| Some(r.status.name())),
        text("reason", rows, |r| r.reason.as_deref()),
        values!("part_x1", rows, f64, edge(0)),
        values!("part_y1", rows, f64, edge(1)),
        values!("part_x2", rows, f64, edge(2)),
        values!("part_y2", rows, f64, edge(3)),
        text("clip_path", rows, |r| r.clip_path.as_deref()),
        text("clip_sha256", rows, |r| r.clip_sha256.as_deref()),
        text("pixel_sha256", rows, |r| r.pixel_sha256.as_deref()),
        values!("width", rows, i32, |r| r.width.map(|v| v as i32)),
        values!("height", rows, i32, |r| r.height.map(|v| v as i32)),
    ]
}

/// Reads the rows of `path` with their metadata.
///
/// # Errors
/// See [`Error`].
pub fn read_located(path: &Path) -> Result<(Vec<LocatedRow>, Meta), Error> {
    let table = open(path, "located")?;
    let texts = |name| table.strings(path, name);
    let (i64s, f64s) = (|name| table.i64s(path, name), |name| table.f64s(path, name));
    let (stills, splits, labels) = (texts("still")?, texts("split")?, texts("label")?);
    let (clips, frames) = (texts("clip_id")?, i64s("frame_index")?);
    let (firsts, lasts, scores) = (i64s("run_first")?, i64s("run_last")?, f64s("score")?);
    let (others, other_scores) = (texts("runner_up_clip_id")?, f64s("runner_up_score")?);
    let (transforms, statuses, reasons) = (texts("transform")?, texts("status")?, texts("reason")?);
    let edges = [f64s("part_x1")?, f64s("part_y1")?, f64s("part_x2")?, f64s("part_y2")?];
    let (paths, digests) = (texts("clip_path")?, texts("clip_sha256")?);
    let pixels = texts("pixel_sha256")?;
    let (widths, heights) = (table.i32s(path, "width")?, table.i32s(path, "height")?);
    let row = |row: usize| -> Result<LocatedRow, Error> {
        let check = Checked { path, row };
        let part = match edges.each_ref().map(|e| e[row]) {
            [Some(a), Some(b), Some(c), Some(d)] => Some([a, b, c, d]),
            _ => None,
        };
        Ok(LocatedRow {
            still: check.present("still", stills[row].clone())?,
            split: check.maybe_word("split", splits[row].as_ref())?,
            label: check.maybe_word("label", labels[row].as_ref())?,
            clip_id: clips[row].clone(),
            frame_index: check.maybe("frame_index", frames[row])?,
            run_first: check.maybe("run_first", firsts[row])?,
            run_last: check.maybe("run_last", lasts[row])?,
            score: scores[row],
            runner_up_clip_id: others[row].clone(),
            runner_up_score: other_scores[row],
            transform: transforms[row].clone(),
            status: check.word("status", statuses[row].as_ref())?,
            reason: reasons[row].clone(),
            part,
            clip_path: paths[row].clone(),
            clip_sha256: digests[row].clone(),
            pixel_sha256: pixels[row].clone(),
            width: check.maybe("width", widths[row])?,
            height: check.maybe("height", heights[row])?,
        })
    };
    let rows = (0..stills.len()).map(row).collect::<Result<_, _>>()?;
    Ok((rows, untagged(table.meta)))
}
