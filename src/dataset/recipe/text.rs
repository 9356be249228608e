//! A recipe as text: metadata as JSON behind `#` in the first line, then CSV.
//!
//! Digests are cut to their first 128 bits, and what follows from something else is left empty: a
//! sample_id that is the clip's and the part's, a group_id that is the clip_id, no damage, the first draw.
use std::io::Write;

use anyhow::{bail, ensure, Context, Result};
use serde_json::Value;

use super::LEAST_DIGITS;
use crate::{
    dataset::{clip::image_path, Configuration, ImageFormat},
    manifest::{Meta, Recipe, RecipeRow},
    record::{Damage, Emotion, FaceBox, Sample, Segment},
    sampling,
};

const HEADER: [&str; 21] = [
    "sample_id",
    "clip_id",
    "segment",
    "segment_start_frame",
    "segment_end_frame",
    "frame_index",
    "split",
    "label",
    "group_id",
    "face_x1",
    "face_y1",
    "face_x2",
    "face_y2",
    "face_score",
    "face_count",
    "clip_path",
    "clip_sha256",
    "pixel_sha256",
    "image_sha256",
    "damage",
    "draw",
];

/// The recipe's samples as text.
///
/// # Errors
/// When memory is short; a recipe that was checked has no other way to fail.
pub(super) fn to_csv(recipe: &Recipe) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    writeln!(out, "# {}", serde_json::to_string(&recipe.meta)?)?;
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(HEADER)?;
    for row in &recipe.rows {
        writer.write_record(record(row))?;
    }
    writer.into_inner().map_err(|e| e.into_error()).context("cannot write a recipe as text")
}

fn record(row: &RecipeRow) -> Vec<String> {
    let s = &row.sample;
    let part =
        |get: fn(&Segment) -> u64| s.segment.as_ref().map(get).map_or_else(String::new, shown);
    let face = |get: fn(&FaceBox) -> i32| s.face.as_ref().map(get).map_or_else(String::new, shown);
    let derived = s.segment.map(|g| sampling::sample_id(&s.clip_id, g.index));
    let unless = |same: bool, text: &str| if same { String::new() } else { text.to_owned() };
    let short = |digest: &str| digest[..digest.len().min(LEAST_DIGITS)].to_owned();
    vec![
        unless(derived.as_ref() == Some(&s.sample_id), &s.sample_id),
        s.clip_id.clone(),
        part(|g| u64::from(g.index)),
        part(|g| g.start_frame),
        part(|g| g.end_frame),
        s.frame_index.map_or_else(String::new, shown),
        s.split.to_string(),
        s.emotion.label().to_string(),
        unless(s.group_id == s.clip_id, &s.group_id),
        face(|f| f.x1),
        face(|f| f.y1),
        face(|f| f.x2),
        face(|f| f.y2),
        s.face.map_or_else(String::new, |f| f.score.to_string()),
        s.face_count.map_or_else(String::new, shown),
        row.clip_path.clone(),
        short(&row.clip_sha256),
        row.pixel_sha256.as_deref().map_or_else(String::new, short),
        short(&s.image_sha256),
        unless(s.damage == Damage::None, s.damage.name()),
        unless(s.draw.unwrap_or_default() == 0, &s.draw.unwrap_or_default().to_string()),
    ]
}

fn shown(value: impl std::fmt::Display) -> String {
    value.to_string()
}

/// The recipe that [`to_csv`] wrote. Sizes of pictures, times and the tables of clips are not in the
/// text; a rebuild finds them out.
///
/// # Errors
/// Naming the line and the column.
pub(super) fn from_csv(text: &[u8]) -> Result<Recipe> {
    let (first, _) = text.split_at(text.iter().position(|b| *b == b'\n').unwrap_or(text.len()));
    let meta = first.strip_prefix(b"# ").context("its first line is not # and metadata")?;
    let meta: Meta = serde_json::from_slice(meta).context("its metadata is not JSON")?;
    let format = image_format(&meta)?;
    let detector = detector(&meta);
    let rest = text.get(first.len() + 1..).unwrap_or_default();
    let mut reader = csv::Reader::from_reader(rest);
    let header = reader.headers()?.clone();
    ensure!(header.iter().eq(HEADER), "its columns are not {}", HEADER.join(","));
    let mut rows = Vec::new();
    for (line, record) in (3..).zip(reader.records()) {
        let record = record.with_context(|| format!("line {line}"))?;
        let row = row(&record, format, &detector).with_context(|| format!("line {line}"))?;
        rows.push(row);
    }
    Ok(Recipe { rows, meta, ..Recipe::default() })
}

fn configuration(meta: &Meta) -> Option<Configuration> {
    serde_json::from_str(meta.get("configuration")?).ok()
}

pub(super) fn image_format(meta: &Meta) -> Result<ImageFormat> {
    let Some(text) = meta.get("configuration") else { return Ok(ImageFormat::Jpeg) };
    let value: Value = serde_json::from_str(text).context("its configuration is not JSON")?;
    match value.get("image_format").and_then(Value::as_str) {
        Some(name) => Ok(name.parse()?),
        None => bail!("its configuration names no image format"),
    }
}

fn detector(meta: &Meta) -> String {
    let configuration = configuration(meta);
    let rules = configuration.as_ref().map(Configuration::rules);
    rules.map_or(crate::face::NONE, |r| r.detector).to_owned()
}

fn row(record: &csv::StringRecord, format: ImageFormat, detector: &str) -> Result<RecipeRow> {
    let text = |k: usize| record.get(k).unwrap_or_default();
    let clip_id = text(1).to_owned();
    let segment = match (number(record, 2)?, number(record, 3)?, number(record, 4)?) {
        (Some(index), Some(start_frame), Some(end_frame)) => {
            Some(Segment { index, start_frame, end_frame })
        }
        (None::<u32>, None::<u64>, None::<u64>) => None,
        _ => bail!("segment columns are half empty"),
    };
    let derived = segment.map(|g: Segment| sampling::sample_id(&clip_id, g.index));
    let sample_id = match (text(0), derived) {
        ("", Some(derived)) => derived,
        ("", None) => bail!("sample_id is empty"),
        (given, _) => given.to_owned(),
    };
    let label: u8 = number(record, 7)?.context("label is empty")?;
    let group_id = match text(8) {
        "" => clip_id.clone(),
        given => given.to_owned(),
    };
    let image_path = match segment {
        Some(part) => image_path(&clip_id, part.index, format),
        None => image_path(&sample_id, 0, format),
    };
    let sample = Sample {
        sample_id,
        split: text(6).parse().context("split")?,
        emotion: Emotion::from_label(label).with_context(|| format!("label {label}"))?,
        clip_id,
        group_id,
        segment,
        frame_index: number(record, 5)?,
        frame_ms: None,
        image_path,
        image_sha256: text(18).to_owned(),
        width: 0,
        height: 0,
        face: face(record)?,
        face_count: number(record, 14)?,
        detector: detector.to_owned(),
        damage: match text(19) {
            "" => Damage::None,
            name => name.parse().context("damage")?,
        },
        draw: match segment {
            Some(_) => Some(number(record, 20)?.unwrap_or_default()),
            None => None,
        },
    };
    let pixel_sha256 = Some(text(17)).filter(|t| !t.is_empty()).map(str::to_owned);
    Ok(RecipeRow {
        sample,
        clip_path: text(15).to_owned(),
        clip_sha256: text(16).to_owned(),
        pixel_sha256,
    })
}

fn face(record: &csv::StringRecord) -> Result<Option<FaceBox>> {
    let corners = [9, 10, 11, 12].map(|k| number::<i32>(record, k));
    let [x1, y1, x2, y2] = corners;
    match (x1?, y1?, x2?, y2?) {
        (Some(x1), Some(y1), Some(x2), Some(y2)) if x1 < x2 && y1 < y2 => {
            let score = number(record, 13)?.unwrap_or_default();
            Ok(Some(FaceBox { x1, y1, x2, y2, score }))
        }
        (None, None, None, None) => Ok(None),
        _ => bail!("the face box is empty or half empty"),
    }
}

/// The number in a column; `None` where it is empty.
fn number<T: std::str::FromStr>(record: &csv::StringRecord, k: usize) -> Result<Option<T>> {
    let text = record.get(k).unwrap_or_default();
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = text.parse().ok();
    parsed.map(Some).with_context(|| format!("{} is `{text}`, out of range", HEADER[k]))
}
