//! Rows to columns and back, with every range checked on the way in.
use std::{path::Path, str::FromStr};

use polars::prelude::Column;

use super::{
    table::{column, f32_list_column, u64_list_column, ParquetTable},
    Error,
};
use crate::record::{
    Clip, Damage, Emotion, FaceBox, HexDigest, LedgerEntry, Name, Prediction, Sample, Segment,
    NUM_CLASSES,
};
use crate::words::Words;

/// A string column, null where `None`.
pub(super) fn text<'a, T>(
    name: &str,
    rows: &'a [T],
    get: impl Fn(&'a T) -> Option<&'a str>,
) -> Column {
    let values: Vec<Option<&str>> = rows.iter().map(get).collect();
    column::<_, Vec<Option<&str>>>(name, values)
}

/// A column of numbers or flags, null where `None`.
macro_rules! values {
    ($name:expr, $rows:expr, $t:ty, $get:expr) => {
        $crate::manifest::table::column::<Option<$t>, Vec<Option<$t>>>(
            $name,
            $rows.iter().map($get).collect(),
        )
    };
}

pub(super) use values;

pub(super) fn sample_columns(rows: &[Sample]) -> Vec<Column> {
    let segment = |s: &Sample| s.segment;
    let face = |s: &Sample| s.face;
    vec![
        text("sample_id", rows, |s| Some(&s.sample_id)),
        text("split", rows, |s| Some(s.split.name())),
        text("emotion", rows, |s| Some(s.emotion.name())),
        values!("label", rows, i8, |s| Some(s.emotion.label() as i8)),
        text("clip_id", rows, |s| Some(&s.clip_id)),
        text("group_id", rows, |s| Some(&s.group_id)),
        values!("segment", rows, i32, |s| segment(s).map(|g| g.index as i32)),
        values!("segment_start_frame", rows, i64, |s| segment(s).map(|g| g.start_frame as i64)),
        values!("segment_end_frame", rows, i64, |s| segment(s).map(|g| g.end_frame as i64)),
        values!("frame_index", rows, i64, |s| s.frame_index.map(|f| f as i64)),
        values!("frame_ms", rows, f64, |s| s.frame_ms),
        text("image_path", rows, |s| Some(&s.image_path)),
        text("image_sha256", rows, |s| Some(&s.image_sha256)),
        values!("width", rows, i32, |s| Some(s.width as i32)),
        values!("height", rows, i32, |s| Some(s.height as i32)),
        values!("face_x1", rows, i32, |s| face(s).map(|b| b.x1)),
        values!("face_y1", rows, i32, |s| face(s).map(|b| b.y1)),
        values!("face_x2", rows, i32, |s| face(s).map(|b| b.x2)),
        values!("face_y2", rows, i32, |s| face(s).map(|b| b.y2)),
        values!("face_score", rows, f32, |s| face(s).map(|b| b.score)),
        values!("face_count", rows, i32, |s| s.face_count.map(|n| n as i32)),
        text("detector", rows, |s| Some(&s.detector)),
        text("damage", rows, |s| Some(s.damage.name())),
        values!("draw", rows, i32, |s| s.draw.map(|n| n as i32)),
    ]
}

pub(super) fn clip_columns(rows: &[Clip]) -> Vec<Column> {
    let signatures: Vec<_> = rows.iter().map(|c| c.signature.as_deref()).collect();
    let digests = rows.iter().map(|c| c.sha256.as_ref().map(HexDigest::to_string)).collect();
    // Views that lie in a file were read before.
    let views: Vec<_> = rows.iter().map(|c| c.views.as_ref().and_then(|v| v.get().ok())).collect();
    vec![
        text("clip_id", rows, |c| Some(&c.clip_id)),
        text("path", rows, |c| Some(&c.path)),
        column::<_, Vec<Option<String>>>("sha256", digests),
        text("split", rows, |c| Some(c.split.name())),
        text("emotion", rows, |c| Some(c.emotion.name())),
        text("codec", rows, |c| c.codec.as_deref()),
        text("pixel_format", rows, |c| c.pixel_format.as_deref()),
        values!("width", rows, i32, |c| c.width.map(|v| v as i32)),
        values!("height", rows, i32, |c| c.height.map(|v| v as i32)),
        text("sample_aspect_ratio", rows, |c| c.sample_aspect_ratio.as_deref()),
        values!("rotation", rows, i32, |c| c.rotation),
        text("color_matrix", rows, |c| c.color_matrix.as_deref()),
        text("color_range", rows, |c| c.color_range.as_deref()),
        values!("interlaced", rows, bool, |c| c.interlaced),
        values!("fps", rows, f64, |c| c.fps),
        values!("frames_decoded", rows, i64, |c| c.frames_decoded.map(|v| v as i64)),
        values!("frames_header", rows, i64, |c| c.frames_header.map(|v| v as i64)),
        values!("duration_ms", rows, f64, |c| c.duration_ms),
        values!("has_b_frames", rows, bool, |c| c.has_b_frames),
        text("status", rows, |c| Some(c.status.name())),
        text("reason", rows, |c| c.reason.as_deref()),
        text("group_id", rows, |c| Some(&c.group_id)),
        u64_list_column("signature", &signatures),
        values!("orientation", rows, i8, |c| c.orientation.map(|v| v as i8)),
        text("color_transfer", rows, |c| c.color_transfer.as_deref()),
        values!("default_stream", rows, bool, |c| c.default_stream),
        values!("first_frame", rows, i64, |c| c.first_frame.map(|v| v as i64)),
        values!("end_frame", rows, i64, |c| c.end_frame.map(|v| v as i64)),
        u64_list_column("views", &views.iter().map(|v| v.as_deref()).collect::<Vec<_>>()),
    ]
}

pub(super) fn ledger_columns(rows: &[LedgerEntry]) -> Vec<Column> {
    vec![
        text("kind", rows, |e| Some(e.kind.name())),
        text("id", rows, |e| Some(&e.id)),
        text("reason", rows, |e| Some(&e.reason)),
        text("detail", rows, |e| Some(&e.detail)),
        text("partner_id", rows, |e| e.partner_id.as_deref()),
    ]
}

pub(super) fn prediction_columns(rows: &[Prediction]) -> Vec<Column> {
    let logits: Vec<_> = rows.iter().map(|p| p.logits).collect();
    vec![
        text("sample_id", rows, |p| Some(&p.sample_id)),
        text("clip_id", rows, |p| Some(&p.clip_id)),
        text("group_id", rows, |p| Some(&p.group_id)),
        values!("target", rows, i8, |p| Some(p.target as i8)),
        values!("predicted", rows, i8, |p| Some(p.predicted as i8)),
        f32_list_column("logits", &logits),
        values!("w_face", rows, f32, |p| p.w_face),
        values!("w_context", rows, f32, |p| p.w_context),
    ]
}

/// Turns column values into row values, naming file, row and column when one is wrong.
pub(super) struct Checked<'a> {
    pub path: &'a Path,
    pub row: usize,
}

impl Checked<'_> {
    fn bad(&self, reason: String) -> Error {
        Error::BadValue { path: self.path.to_owned(), row: self.row, reason }
    }

    pub fn present<T>(&self, name: &str, value: Option<T>) -> Result<T, Error> {
        value.ok_or_else(|| self.bad(format!("`{name}` is null")))
    }

    pub fn word<T: FromStr>(&self, name: &str, value: Option<&String>) -> Result<T, Error>
    where
        T::Err: std::fmt::Display,
    {
        let word = self.present(name, value)?;
        word.parse().map_err(|e| self.bad(format!("`{name}`: {e}")))
    }

    /// The same of a word that may be absent.
    pub fn maybe_word<T: FromStr>(
        &self,
        name: &str,
        value: Option<&String>,
    ) -> Result<Option<T>, Error>
    where
        T::Err: std::fmt::Display,
    {
        value.map(|_| self.word(name, value)).transpose()
    }

    fn whole<T, U: TryFrom<T>>(&self, name: &str, value: T) -> Result<U, Error>
    where
        T: Copy + std::fmt::Display,
    {
        U::try_from(value).map_err(|_| self.bad(format!("`{name}` is {value}, out of range")))
    }

    pub fn maybe<T, U: TryFrom<T>>(&self, name: &str, value: Option<T>) -> Result<Option<U>, Error>
    where
        T: Copy + std::fmt::Display,
    {
        value.map(|v| self.whole(name, v)).transpose()
    }

    fn segment(
        &self,
        index: Option<i32>,
        start: Option<i64>,
        end: Option<i64>,
    ) -> Result<Option<Segment>, Error> {
        let (Some(index), Some(start), Some(end)) = (index, start, end) else {
            return match (index, start, end) {
                (None, None, None) => Ok(None),
                _ => Err(self.bad("the segment columns are half null".into())),
            };
        };
        if start >= end {
            return Err(self.bad(format!("segment {start}..{end} is empty")));
        }
        Ok(Some(Segment {
            index: self.whole("segment", index)?,
            start_frame: self.whole("segment_start_frame", start)?,
            end_frame: self.whole("segment_end_frame", end)?,
        }))
    }

    fn face(
        &self,
        corners: [Option<i32>; 4],
        score: Option<f32>,
    ) -> Result<Option<FaceBox>, Error> {
        match corners {
            [Some(x1), Some(y1), Some(x2), Some(y2)] if x1 < x2 && y1 < y2 => {
                Ok(Some(FaceBox { x1, y1, x2, y2, score: score.unwrap_or(0.0) }))
            }
            [None, None, None, None] => Ok(None),
            _ => Err(self.bad(format!("the face box {corners:?} is empty or half null"))),
        }
    }

    fn label(&self, name: &str, value: Option<i8>) -> Result<u8, Error> {
        let value = self.present(name, value)?;
        u8::try_from(value)
            .ok()
            .filter(|&v| usize::from(v) < NUM_CLASSES)
            .ok_or_else(|| self.bad(format!("`{name}` is {value}, not 0 to 6")))
    }
}

/// A value of a column that may be absent.
fn at<T: Clone>(column: &Option<Vec<Option<T>>>, row: usize) -> Option<T> {
    column.as_ref().and_then(|values| values[row].clone())
}

pub(super) fn samples(path: &Path, table: &ParquetTable) -> Result<Vec<Sample>, Error> {
    let texts = |name| table.strings(path, name);
    let i32s = |name| table.i32s(path, name);
    let i64s = |name| table.i64s(path, name);
    let (ids, splits, emotions) = (texts("sample_id")?, texts("split")?, texts("emotion")?);
    let labels = table.i8s(path, "label")?;
    let (clips, groups) = (texts("clip_id")?, texts("group_id")?);
    let (segments, starts) = (i32s("segment")?, i64s("segment_start_frame")?);
    let (ends, frames) = (i64s("segment_end_frame")?, i64s("frame_index")?);
    let times = table.f64s(path, "frame_ms")?;
    let (images, digests) = (texts("image_path")?, texts("image_sha256")?);
    let (widths, heights) = (i32s("width")?, i32s("height")?);
    let corners = [i32s("face_x1")?, i32s("face_y1")?, i32s("face_x2")?, i32s("face_y2")?];
    let scores = table.f32s(path, "face_score")?;
    let (counts, detectors) = (i32s("face_count")?, texts("detector")?);
    let damages = table.since_2(path, "damage", ParquetTable::strings)?;
    let draws = table.since_2(path, "draw", ParquetTable::i32s)?;
    let row = |row: usize| -> Result<Sample, Error> {
        let check = Checked { path, row };
        let word = |name, column: &[Option<String>]| check.present(name, column[row].clone());
        let emotion: Emotion = check.word("emotion", emotions[row].as_ref())?;
        let label = check.label("label", labels[row])?;
        if label != emotion.label() {
            return Err(check.bad(format!("label {label} is not that of {emotion}")));
        }
        let side =
            |name, column: &[Option<i32>]| check.whole(name, check.present(name, column[row])?);
        Ok(Sample {
            sample_id: word("sample_id", &ids)?,
            split: check.word("split", splits[row].as_ref())?,
            emotion,
            clip_id: word("clip_id", &clips)?,
            group_id: word("group_id", &groups)?,
            segment: check.segment(segments[row], starts[row], ends[row])?,
            frame_index: check.maybe("frame_index", frames[row])?,
            frame_ms: times[row],
            image_path: word("image_path", &images)?,
            image_sha256: word("image_sha256", &digests)?,
            width: side("width", &widths)?,
            height: side("height", &heights)?,
            face: check.face(corners.each_ref().map(|c| c[row]), scores[row])?,
            face_count: check.maybe("face_count", counts[row])?,
            detector: word("detector", &detectors)?,
            damage: match &damages {
                Some(damages) => check.word("damage", damages[row].as_ref())?,
                None => Damage::None,
            },
            draw: match &draws {
                Some(draws) => check.maybe("draw", draws[row])?,
                None => segments[row].map(|_| 0),
            },
        })
    };
    (0..ids.len()).map(row).collect()
}

pub(super) fn clips(path: &Path, table: &ParquetTable) -> Result<Vec<Clip>, Error> {
    let texts = |name| table.strings(path, name);
    let i32s = |name| table.i32s(path, name);
    let i64s = |name| table.i64s(path, name);
    let (ids, paths, digests) = (texts("clip_id")?, texts("path")?, texts("sha256")?);
    let (splits, emotions) = (texts("split")?, texts("emotion")?);
    let (codecs, formats) = (texts("codec")?, texts("pixel_format")?);
    let (widths, heights) = (i32s("width")?, i32s("height")?);
    let (aspects, rotations) = (texts("sample_aspect_ratio")?, i32s("rotation")?);
    let (matrices, ranges) = (texts("color_matrix")?, texts("color_range")?);
    let (interlaced, fps) = (table.bools(path, "interlaced")?, table.f64s(path, "fps")?);
    let (decoded, headers) = (i64s("frames_decoded")?, i64s("frames_header")?);
    let durations = table.f64s(path, "duration_ms")?;
    let reordered = table.bools(path, "has_b_frames")?;
    let (statuses, reasons) = (texts("status")?, texts("reason")?);
    let (groups, signatures) = (texts("group_id")?, table.u64_lists(path, "signature")?);
    let orientations = table.since_2(path, "orientation", ParquetTable::i8s)?;
    let transfers = table.since_2(path, "color_transfer", ParquetTable::strings)?;
    let defaults = table.since_2(path, "default_stream", ParquetTable::bools)?;
    let firsts = table.since_2(path, "first_frame", ParquetTable::i64s)?;
    let ends = table.since_2(path, "end_frame", ParquetTable::i64s)?;
    let views = table.since_2(path, "views", ParquetTable::u64_lists)?;
    let row = |row: usize| -> Result<Clip, Error> {
        let check = Checked { path, row };
        let word = |name, column: &[Option<String>]| check.present(name, column[row].clone());
        Ok(Clip {
            clip_id: word("clip_id", &ids)?,
            path: word("path", &paths)?,
            sha256: digests[row].as_deref().map(HexDigest::from),
            split: check.word("split", splits[row].as_ref())?,
            emotion: check.word("emotion", emotions[row].as_ref())?,
            codec: codecs[row].as_deref().map(Name::from),
            pixel_format: formats[row].as_deref().map(Name::from),
            width: check.maybe("width", widths[row])?,
            height: check.maybe("height", heights[row])?,
            sample_aspect_ratio: aspects[row].as_deref().map(Name::from),
            rotation: rotations[row],
            color_matrix: matrices[row].as_deref().map(Name::from),
            color_range: ranges[row].as_deref().map(Name::from),
            interlaced: interlaced[row],
            fps: fps[row],
            frames_decoded: check.maybe("frames_decoded", decoded[row])?,
            frames_header: check.maybe("frames_header", headers[row])?,
            duration_ms: durations[row],
            has_b_frames: reordered[row],
            status: check.word("status", statuses[row].as_ref())?,
            reason: reasons[row].clone(),
            group_id: word("group_id", &groups)?,
            signature: signatures[row].clone(),
            orientation: check.maybe("orientation", at(&orientations, row))?,
            color_transfer: at(&transfers, row).map(Name::from),
            default_stream: at(&defaults, row),
            first_frame: check.maybe("first_frame", at(&firsts, row))?,
            end_frame: check.maybe("end_frame", at(&ends, row))?,
            views: at(&views, row).map(Words::from),
        })
    };
    (0..ids.len()).map(row).collect()
}

pub(super) fn ledger(path: &Path, table: &ParquetTable) -> Result<Vec<LedgerEntry>, Error> {
    let texts = |name| table.strings(path, name);
    let (kinds, ids, reasons) = (texts("kind")?, texts("id")?, texts("reason")?);
    let (details, partners) = (texts("detail")?, texts("partner_id")?);
    let row = |row: usize| -> Result<LedgerEntry, Error> {
        let check = Checked { path, row };
        Ok(LedgerEntry {
            kind: check.word("kind", kinds[row].as_ref())?,
            id: check.present("id", ids[row].clone())?,
            reason: check.present("reason", reasons[row].clone())?,
            detail: check.present("detail", details[row].clone())?,
            partner_id: partners[row].clone(),
        })
    };
    (0..ids.len()).map(row).collect()
}

pub(super) fn predictions(path: &Path, table: &ParquetTable) -> Result<Vec<Prediction>, Error> {
    let texts = |name| table.strings(path, name);
    let (ids, clips, groups) = (texts("sample_id")?, texts("clip_id")?, texts("group_id")?);
    let (targets, predicted) = (table.i8s(path, "target")?, table.i8s(path, "predicted")?);
    let logits = table.f32_lists(path, "logits")?;
    let (faces, contexts) = (table.f32s(path, "w_face")?, table.f32s(path, "w_context")?);
    let row = |row: usize| -> Result<Prediction, Error> {
        let check = Checked { path, row };
        let scores = check.present("logits", logits[row].clone())?;
        let scores = scores.try_into().map_err(|found: Vec<f32>| {
            check.bad(format!("`logits` has {} values, not {NUM_CLASSES}", found.len()))
        })?;
        Ok(Prediction {
            sample_id: check.present("sample_id", ids[row].clone())?,
            clip_id: check.present("clip_id", clips[row].clone())?,
            group_id: check.present("group_id", groups[row].clone())?,
            target: check.label("target", targets[row])?,
            predicted: check.label("predicted", predicted[row])?,
            logits: scores,
            w_face: faces[row],
            w_context: contexts[row],
        })
    };
    (0..ids.len()).map(row).collect()
}
