//! Pictures held against a folder of clips: which of them is a frame of which clip, as `locate` finds
//! it on pixels.
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{
    corpus::{self, Sought},
    dataset::locate::{self, LocateOptions},
    manifest::{self, LocatedRow, LocatedStatus},
    record::Split,
    similarity::images::SetPart,
};

/// Where the stills' frames are written down, below the audit's folder.
pub(super) const FOLDER: &str = "located";
/// Time that one try of one clip may take.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// What the clips of a folder show of the pictures.
#[derive(Debug)]
pub(super) struct Provenance {
    /// By still: the clip that it is a frame of, and the clip's part.
    pub of: Vec<Option<(String, SetPart)>>,
    /// Clips by part.
    pub clips: BTreeMap<SetPart, usize>,
    /// Clips that could not be searched.
    pub failed: u64,
}

impl Provenance {
    /// Stills that are a frame of a clip.
    pub fn found(&self) -> usize {
        self.of.iter().flatten().count()
    }
}

/// Whether a path is a folder of clips, and not of pictures nor a manifest.
///
/// # Errors
/// When it cannot be listed.
pub(super) fn is_of_clips(path: &Path) -> Result<bool> {
    if !path.is_dir() || manifest::folder_of(path).join("samples.parquet").exists() {
        return Ok(false);
    }
    let holds = |sought| corpus::below(path, sought).map(|found| !found.is_empty());
    Ok(!holds(Sought::Stills)? && holds(Sought::Clips)?)
}

/// The search for the pictures of a manifest or a folder in the clips at `corpus`.
pub(super) fn options(stills: &Path, corpus: &Path, workers: usize, out: PathBuf) -> LocateOptions {
    LocateOptions {
        stills: stills.to_owned(),
        corpus: corpus.to_owned(),
        out,
        workers,
        time_limit: TIME_LIMIT,
        shard: None,
    }
}

/// Searches the clips for the pictures at `paths`, or goes on with it.
///
/// # Errors
/// As `locate`.
pub(super) fn search(options: &LocateOptions, paths: &[PathBuf]) -> Result<Provenance> {
    locate::run(options)?;
    let listing = corpus::scan(&options.corpus)?;
    // What has no split is there to train on.
    let part = |split: Option<Split>| SetPart { set: 1, split: split.unwrap_or(Split::Train) };
    let parts: BTreeMap<&str, SetPart> =
        listing.clips.iter().map(|c| (&*c.clip_id, part(c.split))).collect();
    let mut clips: BTreeMap<SetPart, usize> = BTreeMap::new();
    parts.values().for_each(|part| *clips.entry(*part).or_default() += 1);
    let (rows, _) = manifest::read_located(&options.out.join("located.parquet"))?;
    let root = manifest::folder_of(&options.stills);
    let origin = |row: &LocatedRow| {
        let clip = row.clip_id.clone().filter(|_| row.status == LocatedStatus::Found)?;
        let part = *parts.get(&*clip)?;
        Some((root.join(&row.still), (clip, part)))
    };
    let by_path: BTreeMap<PathBuf, (String, SetPart)> = rows.iter().filter_map(origin).collect();
    let of = paths.iter().map(|path| by_path.get(path).cloned()).collect();
    Ok(Provenance { of, clips, failed: failed(&options.out)? })
}

/// Clips that the search had to leave out.
fn failed(folder: &Path) -> Result<u64> {
    let path = folder.join("summary.json");
    let damaged = || format!("{} is damaged; remove the folder", path.display());
    let summary: Value =
        serde_json::from_slice(&fs::read(&path).with_context(damaged)?).with_context(damaged)?;
    let counts = summary["failed_clips"].as_object().into_iter().flatten();
    Ok(counts.filter_map(|(_, count)| count.as_u64()).sum())
}
