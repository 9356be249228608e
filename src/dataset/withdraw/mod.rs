//! A clip taken back: it and all that was made of it go, and a tombstone without content stays.
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{ensure, Context, Result};
use serde::Serialize;

use super::{clip::image_path, ImageFormat};
use crate::{
    folder::{self, OutputFolder},
    manifest::{self, Manifest},
    record::{LedgerEntry, LedgerKind, WITHDRAWN},
};

mod lists;
mod manifests;
mod mention;
mod others;

use mention::Mention;

/// Parts of a clip whose pictures are known by name without their rows: three minutes.
const GUESSED: u32 = 64;

/// What went from a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// Rows of tables, lists and tensors that went, or that named it beside their own and do no more.
    pub rows: usize,
    /// Pictures.
    pub pictures: usize,
    /// Pages and other files that named the clip and can be made anew.
    pub files: Vec<PathBuf>,
    /// Files that still name it, which this command cannot change.
    pub left: Vec<PathBuf>,
    /// Whether the ledger had tombstones of all of them before.
    pub already: bool,
}

/// Takes the clips away from every folder; a clip that a folder does not hold is no error there.
///
/// # Errors
/// When a folder was not made by this program, is in use or cannot be written, or when no folder holds
/// anything of any of the clips.
pub fn withdraw(clips: &[String], from: &[PathBuf]) -> Result<BTreeMap<PathBuf, Removed>> {
    let clips: BTreeSet<String> = clips.iter().cloned().collect();
    ensure!(!clips.is_empty(), "no clip is named");
    let from = &with_inner(from)?;
    // What pictures of them are called is known where their rows are.
    let mut mention = Mention::of(&clips);
    let mut there: BTreeSet<String> = BTreeSet::new();
    for folder in from.iter().filter(|f| f.join("samples.parquet").is_file()) {
        for sample in Manifest::read(folder)?.samples {
            if clips.contains(&sample.clip_id) {
                mention.add_picture(&sample.image_path);
                there.insert(sample.clip_id);
            }
        }
    }
    // Elsewhere it follows from the clip's id, as after a withdrawal that was interrupted.
    for clip in clips.difference(&there) {
        (0..GUESSED).for_each(|part| {
            mention.add_picture(&image_path(clip, part, ImageFormat::Jpeg));
        });
    }
    let mut removed = BTreeMap::new();
    for path in from {
        let folder = OutputFolder::reopen(path)?;
        removed.insert(path.clone(), one(&clips, &mention, &folder)?);
    }
    let none = |r: &Removed| r.rows + r.pictures + r.files.len() == 0 && !r.already;
    ensure!(
        !removed.values().all(none),
        "no folder holds anything of {}",
        clips.iter().cloned().collect::<Vec<_>>().join(", ")
    );
    Ok(removed)
}

/// The folders, and those below them that have lists of their own: an audit's search, an experiment's
/// runs. Links are not followed.
///
/// # Errors
/// When a folder cannot be listed.
fn with_inner(from: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut all: Vec<PathBuf> = Vec::new();
    for top in from {
        let mut open = vec![top.clone()];
        while let Some(folder) = open.pop() {
            if folder == *top || folder.join(folder::FILES).is_file() {
                all.push(folder.clone());
            }
            let failed = || format!("cannot read folder {}", folder.display());
            for entry in fs::read_dir(&folder).with_context(failed)? {
                let entry = entry.with_context(failed)?;
                if entry.file_type().with_context(failed)?.is_dir() {
                    open.push(entry.path());
                }
            }
        }
    }
    all.sort();
    all.dedup();
    Ok(all)
}

/// One folder.
fn one(clips: &BTreeSet<String>, mention: &Mention, folder: &OutputFolder) -> Result<Removed> {
    let mut removed = Removed::default();
    if folder.path().join("samples.parquet").is_file() {
        manifests::clear(clips, folder, &mut removed)?;
    }
    others::clear(clips, mention, folder, &mut removed)?;
    Ok(removed)
}

/// The clips that `words` mean in the manifests among `from`: a clip_id, a path in the corpus, or (with
/// a groups file) the name of a group.
///
/// # Errors
/// When a word means nothing.
pub fn meant(words: &[String], groups: Option<&Path>, from: &[PathBuf]) -> Result<Vec<String>> {
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for folder in from.iter().filter(|f| f.join("samples.parquet").is_file()) {
        let data = Manifest::read(folder)?;
        let gone = |e: &LedgerEntry| e.kind == LedgerKind::Clip && e.reason == WITHDRAWN;
        for entry in data.ledger.into_iter().filter(gone) {
            known.entry(entry.id.clone()).or_default().insert(entry.id);
        }
        for clip in data.clips {
            known.entry(clip.path.clone()).or_default().insert(clip.clip_id.clone());
            known.entry(clip.clip_id.clone()).or_default().insert(clip.clip_id);
        }
        // Of a withdrawal that was interrupted the clips' rows may be gone, and no tombstone there yet.
        for sample in data.samples {
            known.entry(sample.clip_id.clone()).or_default().insert(sample.clip_id);
        }
    }
    // A path without a clip's row is known by the clip_id that it gave.
    let called = |word: &str| {
        let stem = || word.rsplit_once('.').and_then(|(stem, _)| known.get(stem));
        known.get(word).or_else(stem)
    };
    let groups = groups.map(read_groups).transpose()?.unwrap_or_default();
    let mut clips = BTreeSet::new();
    for word in words {
        if let Some(members) = groups.get(word) {
            for member in members {
                let found = called(member).cloned();
                clips.extend(found.unwrap_or_else(|| BTreeSet::from([member.clone()])));
            }
        } else if let Some(found) = called(word) {
            clips.extend(found.iter().cloned());
        } else {
            // Folders without clips' rows, such as packs and runs, hold clips by their ids.
            ensure!(
                known.is_empty(),
                "`{word}` is no clip of these manifests (a clip_id such as train/Anger/0001, a path, \
                 or with --groups a group)"
            );
            clips.insert(word.clone());
        }
    }
    Ok(clips.into_iter().collect())
}

/// Members by group of a CSV file whose first column is a clip and whose column `group` (or second)
/// names its group.
fn read_groups(path: &Path) -> Result<BTreeMap<String, Vec<String>>> {
    let failed = || format!("cannot read {}", path.display());
    let mut reader = csv::Reader::from_path(path).with_context(failed)?;
    let at = reader.headers().with_context(failed)?.iter().position(|h| h == "group").unwrap_or(1);
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (line, record) in (2..).zip(reader.records()) {
        let record = record.with_context(failed)?;
        let row = record.get(0).zip(record.get(at));
        let (clip, group) =
            row.with_context(|| format!("{}: line {line} names no group", path.display()))?;
        groups.entry(group.to_owned()).or_default().push(clip.to_owned());
    }
    Ok(groups)
}

/// The lines of a list of clips; empty ones and those behind `#` do not count.
///
/// # Errors
/// When it cannot be read.
pub fn read_list(path: &Path) -> Result<Vec<String>> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    Ok(lines.map(str::to_owned).collect())
}

/// Whether a folder is a manifest's.
pub(super) fn is_manifest(folder: &Path) -> bool {
    manifest::folder_of(folder).join("samples.parquet").is_file()
}
