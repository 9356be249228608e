//! What differs between two data sets, each a manifest or a recipe.
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{ensure, Result};
use serde::Serialize;

use super::recipe;
use crate::{
    manifest::{self, DifferenceRow, Recipe, RecipeRow},
    record::FaceBox,
};

/// Two data sets compared.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Samples of the first.
    pub before: usize,
    /// Samples of the second.
    pub after: usize,
    /// Samples of both that are alike in everything.
    pub same: usize,
    /// Samples by what differs; a sample may differ in several ways.
    pub differences: BTreeMap<&'static str, usize>,
    /// The rows.
    #[serde(skip)]
    pub rows: Vec<DifferenceRow>,
}

/// Kinds of differences in the order in which they are told, with the words for them.
pub const KINDS: [(&str, &str); 9] = [
    ("added", "samples added"),
    ("removed", "samples removed"),
    ("split", "moved between splits"),
    ("label", "relabelled"),
    ("group", "of another group"),
    ("frame", "another frame"),
    ("box", "another box"),
    ("pixels", "other pixels"),
    ("bytes", "other bytes of the picture, same pixels"),
];

/// Compares `a` with `b` and writes the rows to `out`, when it is named, as Parquet.
///
/// # Errors
/// When either is neither a manifest nor a recipe, or `out` is there already or cannot be written.
pub fn diff(a: &Path, b: &Path, out: Option<&PathBuf>) -> Result<Comparison> {
    if let Some(out) = out {
        ensure!(
            !out.exists(),
            "{} is there already and is not replaced; choose another name",
            out.display()
        );
    }
    let comparison = compare(&side(a)?.rows, &side(b)?.rows);
    if let Some(out) = out {
        manifest::write_differences(out, &comparison.rows)?;
    }
    Ok(comparison)
}

fn side(path: &Path) -> Result<Recipe> {
    let folder = manifest::folder_of(path);
    let is_manifest = path.is_dir() || path.file_name().is_some_and(|n| n == "samples.parquet");
    if is_manifest {
        recipe::rows_of_manifest(&folder)
    } else {
        recipe::read(path)
    }
}

/// Pure.
pub fn compare(a: &[RecipeRow], b: &[RecipeRow]) -> Comparison {
    let by_id = |rows: &[RecipeRow]| -> BTreeMap<String, RecipeRow> {
        rows.iter().map(|r| (r.sample.sample_id.clone(), r.clone())).collect()
    };
    let (old, new) = (by_id(a), by_id(b));
    let mut rows = Vec::new();
    let mut same = 0;
    for (id, row) in &old {
        match new.get(id) {
            None => rows.push(difference(id, "removed", Some(words(row)), None)),
            Some(other) => {
                let found = between(id, row, other);
                same += usize::from(found.is_empty());
                rows.extend(found);
            }
        }
    }
    let added = new.iter().filter(|(id, _)| !old.contains_key(*id));
    rows.extend(added.map(|(id, row)| difference(id, "added", None, Some(words(row)))));
    rows.sort();
    let mut differences = BTreeMap::new();
    rows.iter().for_each(|r| *differences.entry(r.difference).or_default() += 1);
    Comparison { before: a.len(), after: b.len(), same, differences, rows }
}

fn difference(
    id: &str,
    kind: &'static str,
    before: Option<String>,
    after: Option<String>,
) -> DifferenceRow {
    DifferenceRow { sample_id: id.to_owned(), difference: kind, before, after }
}

fn words(row: &RecipeRow) -> String {
    format!("{} {}", row.sample.split, row.sample.emotion)
}

/// In what a sample of both differs.
fn between(id: &str, a: &RecipeRow, b: &RecipeRow) -> Vec<DifferenceRow> {
    let mut found = Vec::new();
    let mut note = |kind, before: String, after: String| {
        if before != after {
            found.push(difference(id, kind, Some(before), Some(after)));
        }
    };
    let (x, y) = (&a.sample, &b.sample);
    note("split", x.split.to_string(), y.split.to_string());
    note("label", x.emotion.to_string(), y.emotion.to_string());
    note("group", x.group_id.clone(), y.group_id.clone());
    note("frame", frame(a), frame(b));
    note("box", corners(x.face), corners(y.face));
    let same = |p: &str, q: &str| p == q || recipe::is_same(p, q);
    let bytes = same(&x.image_sha256, &y.image_sha256);
    let unknown = x.image_sha256.is_empty() || y.image_sha256.is_empty();
    match (&a.pixel_sha256, &b.pixel_sha256) {
        (Some(p), Some(q)) if !same(p, q) => note("pixels", p.clone(), q.clone()),
        (Some(_), Some(_)) if !bytes && !unknown => {
            note("bytes", x.image_sha256.clone(), y.image_sha256.clone());
        }
        (Some(_), Some(_)) => {}
        _ if !bytes && !unknown => note("pixels", x.image_sha256.clone(), y.image_sha256.clone()),
        _ => {}
    }
    found
}

fn frame(row: &RecipeRow) -> String {
    match row.sample.frame_index {
        Some(frame) => format!("{} of {}", frame, row.sample.clip_id),
        None => row.sample.clip_id.clone(),
    }
}

fn corners(face: Option<FaceBox>) -> String {
    face.map_or_else(|| "none".into(), |f| format!("{},{},{},{}", f.x1, f.y1, f.x2, f.y2))
}
