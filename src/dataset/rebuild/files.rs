//! Which of one's own files is which clip of a recipe: by digest, then by path, then by content.
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{ensure, Context, Result};
use rayon::prelude::*;

use super::{
    resolved::{Known, Resolved},
    worker::{Job, Rebuilt, Setup},
};
use crate::{
    corpus,
    dataset::{job::Begin, pool::Pool, recipe},
    digest,
    manifest::Recipe,
    progress::Progress,
    record::{Clip, HexDigest},
    similarity::align::{same_video, Hashes},
};

/// The clips of a corpus folder.
pub(super) struct Files {
    /// Below the folder, in order, with their sizes.
    paths: Vec<(OsString, u64)>,
}

impl Files {
    /// Of their names and sizes.
    pub fn digest(&self) -> String {
        let text: Vec<String> =
            self.paths.iter().map(|(path, size)| format!("{path:?}\t{size}\n")).collect();
        digest::sha256_hex(text.concat().as_bytes())
    }
}

/// Lists the clips below `root`, wherever and whatever their names.
///
/// # Errors
/// When `root` is no folder or holds no clip.
pub(super) fn list(root: &Path) -> Result<Files> {
    let failed = || format!("no corpus at {}", root.display());
    let size = |path: PathBuf| {
        let regular = fs::metadata(root.join(&path)).ok().filter(|m| m.is_file())?;
        Some((path.into_os_string(), regular.len()))
    };
    let found = corpus::below(root, corpus::Sought::Clips).with_context(failed)?;
    let paths: Vec<_> = found.into_iter().filter_map(size).collect();
    ensure!(!paths.is_empty(), "no clip below {}", root.display());
    Ok(Files { paths })
}

/// A file for every clip of the recipe that has one.
///
/// # Errors
/// When files cannot be read or workers cannot start.
pub(super) fn resolve(
    recipe: &Recipe,
    root: &Path,
    files: &Files,
    pool: &Pool<Begin<Setup>>,
) -> Result<BTreeMap<String, Resolved>> {
    let rows = recipe.rows.iter();
    let mut wanted: BTreeMap<&str, (&str, HexDigest)> = rows
        .map(|r| (&*r.sample.clip_id, (&*r.clip_path, r.clip_sha256.as_str().into())))
        .collect();
    let with_samples: BTreeSet<&str> = wanted.keys().copied().collect();
    for clip in &recipe.clips {
        let sha256 = clip.sha256.clone().unwrap_or_default();
        wanted.entry(&clip.clip_id).or_insert((&clip.path, sha256));
    }
    let digests = hashed(root, files)?;
    let mut resolved = BTreeMap::new();
    for (clip_id, (path, sha256)) in &wanted {
        let sha256 = sha256.to_string();
        let same = |d: &String| recipe::is_same(d, &sha256);
        let mut equal = (0..digests.len()).filter(|k| digests[*k].as_ref().is_some_and(same));
        // The recipe's own path first, where several files are equal.
        let first =
            equal.clone().find(|k| corpus::shown_path(Path::new(&files.paths[*k].0)) == *path);
        if let Some(k) = first.or_else(|| equal.next()) {
            let path = files.paths[k].0.clone();
            let sha256 = digests[k].clone().unwrap_or_default();
            resolved.insert((*clip_id).to_owned(), Resolved { path, sha256, known: Known::Digest });
        }
    }
    let lost: Vec<&str> = wanted
        .keys()
        .copied()
        .filter(|id| with_samples.contains(id) && !resolved.contains_key(*id))
        .collect();
    if !lost.is_empty() {
        let taken: BTreeSet<OsString> = resolved.values().map(|r| r.path.clone()).collect();
        let free: Vec<usize> = (0..files.paths.len())
            .filter(|k| digests[*k].is_some() && !taken.contains(&files.paths[*k].0))
            .collect();
        let others = Others::look(&free, files, &digests, pool)?;
        let clips: BTreeMap<&str, &Clip> = recipe.clips.iter().map(|c| (&*c.clip_id, c)).collect();
        for id in lost {
            let found = others.of(wanted[id].0, clips.get(id).copied());
            resolved.extend(found.map(|r| (id.to_owned(), r)));
        }
    }
    Ok(resolved)
}

/// The digest of every file; `None` where it cannot be read.
fn hashed(root: &Path, files: &Files) -> Result<Vec<Option<String>>> {
    let progress = Progress::new("rebuild", "files hashed", files.paths.len() as u64);
    let digests = files
        .paths
        .par_iter()
        .map(|(path, _)| {
            let digest = digest::sha256_file(&root.join(path)).ok();
            progress.advance(1);
            digest
        })
        .collect();
    progress.finish();
    Ok(digests)
}

/// Files that are no clip of the recipe by their bytes, with their hashes.
struct Others {
    files: Vec<Other>,
}

struct Other {
    shown: String,
    path: OsString,
    sha256: String,
    signature: Vec<u64>,
}

impl Others {
    fn look(
        free: &[usize],
        files: &Files,
        digests: &[Option<String>],
        pool: &Pool<Begin<Setup>>,
    ) -> Result<Self> {
        let progress = Progress::new("rebuild", "other files", free.len() as u64);
        let jobs: Vec<Job> =
            free.iter().map(|k| Job::look(&k.to_string(), files.paths[*k].0.clone())).collect();
        let mut signatures: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        pool.run(&jobs, &progress, |result: Rebuilt| {
            let signature = result.facts.and_then(|f| f.signature);
            let at = result.clip_id.parse().ok();
            signatures.extend(at.zip(signature));
            Ok(())
        })?;
        progress.finish();
        let other = |(k, signature): (usize, Vec<u64>)| Other {
            shown: corpus::shown_path(Path::new(&files.paths[k].0)),
            path: files.paths[k].0.clone(),
            sha256: digests[k].clone().unwrap_or_default(),
            signature,
        };
        Ok(Others { files: signatures.into_iter().map(other).collect() })
    }

    /// The file at the clip's path if it shows the same, else the one that shows most nearly the same.
    fn of(&self, path: &str, clip: Option<&Clip>) -> Option<Resolved> {
        let resolved = |other: &Other, known| Resolved {
            path: other.path.clone(),
            sha256: other.sha256.clone(),
            known,
        };
        let there = self.files.iter().find(|other| other.shown == path);
        let Some(signature) = clip.and_then(|c| c.signature.as_deref()) else {
            // Without hashes the path is all there is to go by.
            return there.map(|other| resolved(other, Known::Path));
        };
        let distance = |other: &Other| {
            let [own, other] =
                [signature, &other.signature].map(|h| Hashes { signature: h, fine: &[] });
            same_video(own, other).map(|found| found.mean_distance)
        };
        if let Some(other) = there.filter(|other| distance(other).is_some()) {
            return Some(resolved(other, Known::Path));
        }
        let near = self.files.iter().filter_map(|other| Some((distance(other)?, other)));
        let best = near.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.shown.cmp(&b.1.shown)));
        best.map(|(_, other)| resolved(other, Known::Content))
    }
}
