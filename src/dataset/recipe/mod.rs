//! A data set as a recipe: which frame of which clip every sample is, and nothing that anybody owns.
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{bail, ensure, Context, Result};
use serde::Serialize;
use serde_json::json;

use super::clip::image_path;
use crate::{
    atomic, digest, folder,
    manifest::{self, LocatedRow, LocatedStatus, Manifest, Meta, Recipe, RecipeRow},
    media::video,
    record::{Clip, Damage, HexDigest, Sample, Split},
};

mod text;

/// Metadata under which the decoder's version travels.
pub const DECODER: &str = "decoder";
/// Frames beyond this are no frames of a clip.
const MOST_FRAMES: u64 = 1 << 31;
/// Hex digits of a digest that are enough to tell clips and pictures apart: 128 bits.
pub(super) const LEAST_DIGITS: usize = 32;

/// What a recipe holds and where it was put.
#[derive(Clone, Debug, Serialize)]
pub struct Written {
    /// The recipe in Parquet.
    pub parquet: PathBuf,
    /// The same as text.
    pub csv: PathBuf,
    /// The description for machines.
    pub croissant: PathBuf,
    /// Samples.
    pub samples: usize,
    /// Clips that they come from.
    pub clips: usize,
    /// Stills without an origin, which a recipe cannot hold.
    pub left_out: usize,
    /// Whether the files were there already.
    pub already_done: bool,
}

/// Makes the recipe of a manifest, or of stills that were located, and writes it beside `out`:
/// `.parquet`, `.csv` and `.croissant.json`.
///
/// # Errors
/// When `from` is neither, is a manifest of stills that nobody located, or when a file is already
/// there that is not this recipe.
pub fn write(from: &Path, out: &Path) -> Result<Written> {
    let (recipe, left_out) = of(from)?;
    check(&recipe).with_context(|| format!("{} cannot become a recipe", from.display()))?;
    let base = base_of(out);
    let clips: BTreeSet<&str> = recipe.rows.iter().map(|r| &*r.clip_path).collect();
    let mut written = Written {
        parquet: named(&base, ".parquet"),
        csv: named(&base, ".csv"),
        croissant: named(&base, ".croissant.json"),
        samples: recipe.rows.len(),
        clips: clips.len(),
        left_out,
        already_done: false,
    };
    let (table, text) = (slim(&recipe), text::to_csv(&recipe)?);
    let has_table =
        there(&written.parquet, |path| Recipe::read(path).is_ok_and(|old| old == table))?;
    let has_text = there(&written.csv, |path| fs::read(path).is_ok_and(|old| old == text))?;
    // It is written last, and says what the other two are.
    let has_all = there(&written.croissant, |_| has_table && has_text)?;
    written.already_done = has_all;
    if !has_table {
        table.write(&written.parquet)?;
    }
    if !has_text {
        atomic::write(&written.csv, &text)?;
    }
    if !has_all {
        atomic::write_json(&written.croissant, &croissant(&recipe, &written)?)?;
    }
    Ok(written)
}

/// Whether a file is there and, as `is_it` says, this recipe's: one that was killed goes on.
///
/// # Errors
/// When it is another.
fn there(path: &Path, is_it: impl Fn(&Path) -> bool) -> Result<bool> {
    let exists = path.symlink_metadata().is_ok();
    ensure!(
        !exists || is_it(path),
        "{} is there already and is not replaced; choose another name",
        path.display()
    );
    Ok(exists)
}

/// `out` without an ending of ours.
fn base_of(out: &Path) -> PathBuf {
    match out.extension().and_then(|e| e.to_str()) {
        Some("parquet" | "csv") => out.with_extension(""),
        _ => out.to_owned(),
    }
}

/// A dot in the name is no ending that goes.
fn named(base: &Path, ending: &str) -> PathBuf {
    let mut name = base.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// The recipe of a manifest folder, a folder of located stills, or one of their tables.
fn of(from: &Path) -> Result<(Recipe, usize)> {
    let located = if from.is_dir() { from.join("located.parquet") } else { from.to_owned() };
    if located.is_file() && manifest::read_located(&located).is_ok() {
        let (rows, meta) = manifest::read_located(&located)?;
        return of_located(&rows, meta);
    }
    of_manifest(&manifest::folder_of(from)).map(|recipe| (recipe, 0))
}

/// The recipe of a manifest that was built from clips.
///
/// # Errors
/// When the manifest cannot be read or has samples without a frame.
pub fn of_manifest(folder: &Path) -> Result<Recipe> {
    let recipe = rows_of_manifest(folder)?;
    if let Some(still) = recipe.rows.iter().find(|r| r.sample.frame_index.is_none()) {
        bail!("{} is a still; `ncaers locate` finds the clips of stills", still.sample.sample_id);
    }
    Ok(recipe)
}

/// The same of any manifest, stills among them.
///
/// # Errors
/// When the manifest cannot be read.
pub fn rows_of_manifest(folder: &Path) -> Result<Recipe> {
    let data = Manifest::read(folder)?;
    let pixels: BTreeMap<String, String> = manifest::read_pixels(folder)?
        .into_iter()
        .map(|row| (row.sample_id, row.pixel_sha256))
        .collect();
    let clips: BTreeMap<&str, _> = data.clips.iter().map(|c| (&*c.clip_id, c)).collect();
    let row = |sample: &Sample| {
        let clip = clips.get(&*sample.clip_id);
        let clip = clip.with_context(|| format!("{}: its clip is in no row", sample.sample_id))?;
        Ok(RecipeRow {
            sample: sample.clone(),
            clip_path: clip.path.clone(),
            clip_sha256: clip.sha256.as_ref().map_or_else(String::new, HexDigest::to_string),
            pixel_sha256: pixels.get(&sample.sample_id).cloned(),
        })
    };
    let rows = data.samples.iter().map(row).collect::<Result<_>>()?;
    let mut meta = data.meta;
    meta.insert(DECODER.into(), decoder());
    // Views are made of small pictures; a rebuild makes them again.
    let clips = data.clips.iter().cloned().map(|clip| Clip { views: None, ..clip }).collect();
    Ok(Recipe { rows, clips, ledger: data.ledger, meta })
}

/// The decoder of this program, as recipes name it.
pub fn decoder() -> String {
    let version = video::decoder_version();
    format!("libavcodec {}.{}.{}", version >> 16, version >> 8 & 0xff, version & 0xff)
}

/// The recipe of the stills that were found and have a split and a class, and how many have not.
fn of_located(all: &[LocatedRow], mut meta: Meta) -> Result<(Recipe, usize)> {
    let mut rows: Vec<RecipeRow> = all.iter().filter_map(located_row).collect();
    rows.sort_by(|a, b| a.sample.sample_id.cmp(&b.sample.sample_id));
    ensure!(!rows.is_empty(), "no still was found in a clip; there is nothing to write down");
    let left_out = all.len() - rows.len();
    meta.insert(DECODER.into(), decoder());
    Ok((Recipe { rows, meta, ..Recipe::default() }, left_out))
}

fn located_row(row: &LocatedRow) -> Option<RecipeRow> {
    let found = row.status == LocatedStatus::Found;
    let (clip_id, emotion) = (row.clip_id.clone().filter(|_| found)?, row.label?);
    let stem = row.still.rsplit_once('.').map_or(&*row.still, |(stem, _)| stem);
    let split = row.split.unwrap_or(Split::Train);
    let name = folder::safe_component(stem.rsplit('/').next().unwrap_or(stem));
    let hash = &digest::sha256_hex(row.still.as_bytes())[..8];
    let sample = Sample {
        sample_id: row.still.clone(),
        split,
        emotion,
        clip_id: clip_id.clone(),
        group_id: clip_id,
        segment: None,
        frame_index: row.frame_index,
        frame_ms: None,
        image_path: format!("images/{split}/{emotion}/{name}_{hash}.jpg"),
        image_sha256: String::new(),
        width: row.width?,
        height: row.height?,
        face: None,
        face_count: None,
        detector: crate::face::NONE.to_owned(),
        damage: Damage::None,
        draw: None,
    };
    Some(RecipeRow {
        sample,
        clip_path: row.clip_path.clone()?,
        clip_sha256: row.clip_sha256.clone()?,
        pixel_sha256: row.pixel_sha256.clone(),
    })
}

/// Reads a recipe, Parquet or text, and checks everything that a rebuild relies on.
///
/// # Errors
/// When it is neither, or says what cannot be: the sample and the value are named.
pub fn read(path: &Path) -> Result<Recipe> {
    let mut start = [0; 4];
    let failed = || format!("cannot read {}", path.display());
    let mut file = fs::File::open(path).with_context(failed)?;
    let length = file.read(&mut start).with_context(failed)?;
    let recipe = if &start[..length] == b"PAR1" {
        filled(Recipe::read(path)?)
    } else {
        let all = fs::read(path).with_context(failed)?;
        text::from_csv(&all).with_context(|| format!("{} is no recipe", path.display()))?
    };
    check(&recipe).with_context(|| format!("{} is refused", path.display()))?;
    Ok(recipe)
}

/// Without what follows from something else: a picture's name from its clip and part, a group's from its
/// only clip.
fn slim(recipe: &Recipe) -> Recipe {
    let mut recipe = recipe.clone();
    let format = text::image_format(&recipe.meta).ok();
    for Sample { clip_id, group_id, segment, image_path: path, .. } in
        recipe.rows.iter_mut().map(|row| &mut row.sample)
    {
        let derived =
            segment.zip(format).map(|(part, format)| image_path(clip_id, part.index, format));
        if derived.as_ref() == Some(path) {
            path.clear();
        }
        if group_id == clip_id {
            group_id.clear();
        }
    }
    recipe
}

/// The opposite; a name that nothing tells stays empty, and is refused.
fn filled(mut recipe: Recipe) -> Recipe {
    let format = text::image_format(&recipe.meta).ok();
    for sample in recipe.rows.iter_mut().map(|row| &mut row.sample) {
        let missing = sample.segment.zip(format).filter(|_| sample.image_path.is_empty());
        if let Some((part, format)) = missing {
            sample.image_path = image_path(&sample.clip_id, part.index, format);
        }
        if sample.group_id.is_empty() {
            sample.group_id.clone_from(&sample.clip_id);
        }
    }
    recipe
}

/// Refuses what no build writes.
fn check(recipe: &Recipe) -> Result<()> {
    let frames: BTreeMap<&str, Option<u64>> =
        recipe.clips.iter().map(|c| (&*c.clip_id, c.frames_decoded)).collect();
    let mut clips: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    let mut before: Option<&str> = None;
    let mut pictures = BTreeSet::new();
    for row in &recipe.rows {
        let id = &*row.sample.sample_id;
        ensure!(before.is_none_or(|b| b < id), "sample {id} is there twice or out of order");
        before = Some(id);
        one(row).with_context(|| format!("sample {id}"))?;
        ensure!(
            pictures.insert(&*row.sample.image_path),
            "sample {id}: another has its picture's name"
        );
        let origin = (&*row.clip_path, &*row.clip_sha256);
        let first = *clips.entry(&row.sample.clip_id).or_insert(origin);
        ensure!(first == origin, "sample {id}: its clip has two paths or digests");
        let frame = row.sample.frame_index.unwrap_or_default();
        match frames.get(&*row.sample.clip_id) {
            None => ensure!(frames.is_empty(), "sample {id}: its clip is in no row"),
            Some(Some(n)) => ensure!(frame < *n, "sample {id}: frame {frame} of a clip of {n}"),
            Some(None) => {}
        }
    }
    Ok(())
}

fn one(row: &RecipeRow) -> Result<()> {
    let sample = &row.sample;
    inside(&row.clip_path).with_context(|| format!("clip path `{}`", row.clip_path))?;
    inside(&sample.image_path).with_context(|| format!("picture `{}`", sample.image_path))?;
    let Some(frame) = sample.frame_index else { bail!("it has no frame") };
    ensure!(frame < MOST_FRAMES, "frame {frame} is beyond the end of any clip");
    if let Some(part) = sample.segment {
        let holds = (part.start_frame..part.end_frame).contains(&frame);
        ensure!(holds, "frame {frame} is outside its part {part:?}");
    }
    is_digest(&row.clip_sha256).context("clip_sha256")?;
    if !sample.image_sha256.is_empty() {
        is_digest(&sample.image_sha256).context("image_sha256")?;
    }
    row.pixel_sha256.as_deref().map_or(Ok(()), is_digest).context("pixel_sha256")
}

/// A path that stays below the folder that it is put into.
fn inside(path: &str) -> Result<()> {
    ensure!(!path.contains('\0'), "it holds a zero byte");
    folder::below(Path::new(""), path).map(drop).context("it leaves its folder")
}

fn is_digest(text: &str) -> Result<()> {
    let hex = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let length = (LEAST_DIGITS..=64).contains(&text.len());
    ensure!(hex && length, "`{text}` is no SHA-256 in lower-case hex");
    Ok(())
}

/// Whether a digest is the one that a recipe means, which may be cut to 128 bits.
pub(super) fn is_same(digest: &str, meant: &str) -> bool {
    meant.len() >= LEAST_DIGITS && digest.len() >= LEAST_DIGITS && {
        let length = digest.len().min(meant.len());
        digest[..length] == meant[..length]
    }
}

/// The recipe for machines, in MLCommons' Croissant vocabulary.
fn croissant(recipe: &Recipe, written: &Written) -> Result<serde_json::Value> {
    let file = |path: &Path, format: &str| -> Result<serde_json::Value> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(json!({"@type": "cr:FileObject", "@id": name, "name": name, "contentUrl": name,
            "encodingFormat": format, "sha256": digest::sha256_file(path)?}))
    };
    let files =
        vec![file(&written.parquet, "application/x-parquet")?, file(&written.csv, "text/csv")?];
    Ok(super::croissant::recipe(recipe, files))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Emotion, Segment};

    pub(super) fn row(id: u32) -> RecipeRow {
        RecipeRow {
            sample: Sample {
                sample_id: format!("train/Anger/0001/{id:03}"),
                split: Split::Train,
                emotion: Emotion::Anger,
                clip_id: "train/Anger/0001".into(),
                group_id: "train/Anger/0001".into(),
                segment: Some(Segment { index: id, start_frame: 0, end_frame: 40 }),
                frame_index: Some(7),
                frame_ms: None,
                image_path: super::super::clip::image_path(
                    "train/Anger/0001",
                    id,
                    crate::dataset::ImageFormat::Jpeg,
                ),
                image_sha256: "ab".repeat(32),
                width: 0,
                height: 0,
                face: None,
                face_count: None,
                detector: "none".into(),
                damage: Damage::None,
                draw: Some(0),
            },
            clip_path: "train/Anger/0001.avi".into(),
            clip_sha256: "cd".repeat(32),
            pixel_sha256: Some("ef".repeat(32)),
        }
    }

    fn refused(change: impl Fn(&mut RecipeRow)) -> String {
        let mut recipe = Recipe { rows: vec![row(0), row(1)], ..Recipe::default() };
        check(&recipe).expect("sound");
        change(&mut recipe.rows[1]);
        format!("{:#}", check(&recipe).expect_err("refused"))
    }

    #[test]
    fn hostile_rows_are_refused_by_name() {
        for (path, words) in
            [("../../etc/passwd", "leaves"), ("/etc/passwd", "leaves"), ("", "leaves")]
        {
            let said = refused(|r| r.clip_path = path.into());
            assert!(said.contains(words) && said.contains("train/Anger/0001/001"), "{said}");
        }
        assert!(refused(|r| r.sample.image_path = "images/../../x".into()).contains("leaves"));
        assert!(refused(|r| r.sample.frame_index = Some(1 << 40)).contains("beyond"));
        assert!(refused(|r| r.sample.frame_index = Some(41)).contains("outside"));
        assert!(refused(|r| r.sample.frame_index = None).contains("no frame"));
        assert!(refused(|r| r.clip_sha256 = "xyz".into()).contains("clip_sha256"));
        assert!(refused(|r| r.pixel_sha256 = Some("AB".repeat(32))).contains("pixel_sha256"));
        assert!(refused(|r| r.sample.sample_id = "train/Anger/0001/000".into()).contains("twice"));
        assert!(refused(|r| r.clip_path = "b.avi".into()).contains("two paths"));
    }

    #[test]
    fn names_keep_their_dots() {
        let base = base_of(Path::new("a/ncaer-s.v1.parquet"));
        assert_eq!(named(&base, ".csv"), Path::new("a/ncaer-s.v1.csv"));
        let base = base_of(Path::new("a/ncaer.v1"));
        assert_eq!(named(&base, ".parquet"), Path::new("a/ncaer.v1.parquet"));
    }

    #[test]
    fn text_and_parquet_come_back() {
        let recipe = Recipe { rows: vec![row(0), row(1)], ..Recipe::default() };
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("r.parquet");
        recipe.write(&path).expect("write");
        assert_eq!(read(&path).expect("read"), recipe);
        let csv = dir.path().join("r.csv");
        fs::write(&csv, text::to_csv(&recipe).expect("text")).expect("write");
        let back = read(&csv).expect("read");
        assert!(is_same(&recipe.rows[0].clip_sha256, &back.rows[0].clip_sha256));
        assert_eq!(back.rows[1].sample.sample_id, recipe.rows[1].sample.sample_id);
        assert_eq!(back.rows[1].sample.image_path, recipe.rows[1].sample.image_path);
        fs::write(&csv, "a,b\n1,2\n").expect("write");
        assert!(read(&csv).is_err());
    }
}
