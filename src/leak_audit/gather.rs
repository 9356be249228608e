//! From a manifest or a bare folder to stills: every picture read, hashed, or listed as unreadable.
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{bail, Context, Result};
use rayon::prelude::*;

pub(super) use super::folder_scan::Unreadable;
use super::{
    folder_scan::{scan, Item, Scan},
    provenance::Provenance,
};
use crate::{
    digest, folder,
    manifest::{self, Manifest},
    media::image as picture,
    progress::Progress,
    record::{Clip, Sample},
    similarity::{
        clips::ClipEntry,
        features::ThumbnailFeatures,
        hash::{self, hash, luma, Thumbnail},
        images::{ImageEntry, SetPart},
        plane::Plane,
        view::{View, KEYPOINTS},
    },
};

/// How far into its pictures a data set is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// Their bytes alone, which say whether the findings of earlier are still those of these data.
    Digests,
    /// Their pixels; with the details that tell altered copies, if so.
    Pixels { altered: bool },
}

/// A data set as far as the audit needs it.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// A line for every picture, with its place in the data set and its SHA-256, in the order of the
    /// listing: what the findings depend on. Without pixels nothing else is known of them.
    pub digests: Vec<String>,
    /// Pictures whose hash is known, in the order in which the data set stores them.
    pub stills: Vec<ImageEntry>,
    /// Where each still lies.
    pub paths: Vec<PathBuf>,
    /// Pictures that could not be read, also those whose hash the manifest knows.
    pub unreadable: Vec<Unreadable>,
    /// Clips that give pictures; none for stills.
    pub clip_entries: Vec<ClipEntry>,
    /// Rows of the `clips.parquet` of both data sets, also of those that were left out, with the
    /// data set that they are of.
    pub clips: Vec<(u8, Clip)>,
    /// The hash settings of the clips, as the manifest records them; of a bare folder the
    /// program's own.
    pub hash_settings: Option<String>,
    /// Whether these are not the program's own, so that hashes of clips must not be held against
    /// those of pictures, which are always made anew.
    pub foreign: bool,
    /// Whether a second data set takes part.
    pub two_sets: bool,
    /// What a folder of clips shows of the pictures, where they are held against one.
    pub provenance: Option<Provenance>,
}

impl Gathered {
    /// Adds what is not even read.
    fn leave(&mut self, pictures: Vec<Unreadable>) {
        let line = |left: &Unreadable| format!("{} {} is left out\n", left.set, left.id);
        self.digests.extend(pictures.iter().map(line));
        self.unreadable.extend(pictures);
    }

    /// Both data sets in one, the audited first.
    pub fn joined(own: Gathered, other: Option<Gathered>) -> Self {
        let Some(other) = other else { return own };
        let foreign = own.foreign || other.foreign;
        let mut all = Gathered { two_sets: true, foreign, ..own };
        all.digests.extend(other.digests);
        all.stills.extend(other.stills);
        all.paths.extend(other.paths);
        all.unreadable.extend(other.unreadable);
        all.clip_entries.extend(other.clip_entries);
        all.clips.extend(other.clips);
        all
    }

    /// A part's name: `test`, or `own test` and `other train` when there are two data sets.
    pub fn name(&self, part: SetPart) -> String {
        match (self.two_sets, part.set) {
            (false, _) => part.split.to_string(),
            (true, 0) => format!("own {}", part.split),
            (true, _) => format!("other {}", part.split),
        }
    }
}

/// A manifest folder or, when there is no `samples.parquet`, a bare folder.
pub(super) fn any(path: &Path, set: u8, depth: Depth) -> Result<Gathered> {
    if manifest::folder_of(path).join("samples.parquet").exists() {
        manifest(path, set, depth)
    } else {
        root(path, set, depth)
    }
}

/// The pictures and clips of a manifest.
pub(super) fn manifest(path: &Path, set: u8, depth: Depth) -> Result<Gathered> {
    let folder = manifest::folder_of(path);
    let Manifest { samples, clips, meta, .. } = Manifest::read(&folder)?;
    let hash_settings = meta.get("signature_settings").cloned();
    let foreign = hash_settings.as_ref().is_some_and(|own| own != hash::SETTINGS);
    let clip_entries = clip_entries(&samples, &clips, set);
    let mut items = Vec::new();
    let mut outside = Vec::new();
    for sample in samples {
        match folder::below(&folder, &sample.image_path) {
            // A hash of another kind cannot stand in for a picture.
            Ok(path) if foreign => items.push(item(sample, path, &[])),
            Ok(path) => items.push(item(sample, path, &clips)),
            Err(e) => outside.push(Unreadable {
                set,
                id: sample.sample_id,
                reason: e.to_string(),
                split: sample.split,
            }),
        }
    }
    let mut gathered = read_all(items, set, depth);
    gathered.leave(outside);
    let clips = clips.into_iter().map(|clip| (set, clip)).collect();
    Ok(Gathered { clip_entries, clips, hash_settings, foreign, ..gathered })
}

/// Clips with a time axis of which a sample was taken.
fn clip_entries(samples: &[Sample], clips: &[Clip], set: u8) -> Vec<ClipEntry> {
    let used: BTreeSet<&str> = samples.iter().map(|s| s.clip_id.as_str()).collect();
    let clip_entries =
        clips.iter().filter(|c| c.fps.is_some() && used.contains(c.clip_id.as_str()));
    let entry = |clip: &Clip| ClipEntry {
        id: clip.clip_id.clone(),
        set,
        split: clip.split,
        emotion: clip.emotion,
        video: clip.group_id.clone(),
        sha256: clip.sha256.clone(),
        signature: clip.signature.clone().unwrap_or_default(),
        views: clip.views.clone(),
    };
    clip_entries.map(entry).collect()
}

/// A manifest's sample as a picture to read; `clips` are in order of id.
fn item(sample: Sample, path: PathBuf, clips: &[Clip]) -> Item {
    let place = clips.binary_search_by(|clip| clip.clip_id.cmp(&sample.clip_id));
    let still = place.ok().map(|place| &clips[place]).filter(|clip| clip.fps.is_none());
    let known = still.and_then(|clip| {
        Some((clip.sha256.as_ref()?.to_string(), *clip.signature.as_ref()?.first()?))
    });
    Item {
        video: Some(sample.group_id).filter(|group| *group != sample.sample_id),
        id: sample.sample_id,
        split: sample.split,
        emotion: sample.emotion,
        path,
        known,
    }
}

/// The pictures of a folder in CAER-S's layout, `{train,val,test}/Class/NNNN.png`.
pub(super) fn root(root: &Path, set: u8, depth: Depth) -> Result<Gathered> {
    let Scan { items, left_out, .. } = scan(root, set)?;
    let mut gathered = read_all(items, set, depth);
    gathered.leave(left_out);
    gathered.hash_settings = Some(hash::SETTINGS.to_owned());
    Ok(gathered)
}

fn read_all(items: Vec<Item>, set: u8, depth: Depth) -> Gathered {
    let what = if depth == Depth::Digests { "checking" } else { "hashing" };
    let progress = Progress::new(what, "pictures", items.len() as u64);
    let read = |item: &Item| {
        let bytes = read_bytes(item);
        let digest = bytes.as_ref().map(|bytes| digest::sha256_hex(bytes)).ok();
        let still = match depth {
            Depth::Digests => None,
            Depth::Pixels { altered } => {
                let sha256 = digest.clone().unwrap_or_default();
                Some(bytes.and_then(|bytes| read_pixels(item, &bytes, set, sha256, altered)))
            }
        };
        progress.advance(1);
        (place(item, set, digest), still)
    };
    let seen: Vec<(String, Option<Result<ImageEntry>>)> = items.par_iter().map(read).collect();
    progress.finish();
    let mut gathered = Gathered::default();
    for (item, (digest, seen)) in items.into_iter().zip(seen) {
        gathered.digests.push(digest);
        let Some(seen) = seen else { continue };
        let Item { id, split, emotion, video, path, known } = item;
        let still = seen.or_else(|e| {
            let reason = format!("{e:#}");
            gathered.unreadable.push(Unreadable { set, id: id.clone(), reason, split });
            known.ok_or(()).map(|(sha256, hash)| ImageEntry {
                id,
                set,
                split,
                emotion,
                video,
                sha256,
                hash,
                look: None,
                view: None,
            })
        });
        if let Ok(still) = still {
            gathered.stills.push(still);
            gathered.paths.push(path);
        }
    }
    gathered
}

/// What the findings depend on of a picture: its place in the data set and its bytes, or what the
/// manifest knows when there are none.
fn place(item: &Item, set: u8, sha256: Option<String>) -> String {
    let place = (set, item.split.to_string(), item.emotion.name(), &item.video);
    format!("{place:?} {} {sha256:?} {:?}\n", item.id, item.known)
}

fn read_bytes(item: &Item) -> Result<Vec<u8>> {
    // Opening a pipe would wait for ever.
    if !item.path.metadata().is_ok_and(|m| m.is_file()) {
        bail!("{} is not a file", item.path.display());
    }
    fs::read(&item.path).with_context(|| format!("cannot read {}", item.path.display()))
}

fn read_pixels(
    item: &Item,
    bytes: &[u8],
    set: u8,
    sha256: String,
    altered: bool,
) -> Result<ImageEntry> {
    let ((width, height), levels) = match picture::stored_grey(bytes) {
        Some(grey) => (grey.dimensions(), grey.into_raw()),
        None => {
            let rgb = picture::decode_rgb(bytes)
                .with_context(|| format!("cannot decode {}", item.path.display()))?;
            (rgb.dimensions(), luma(rgb.as_raw()))
        }
    };
    let grey = Plane::new(width as usize, height as usize, levels)
        .with_context(|| format!("{} has no pixels", item.path.display()))?;
    let thumbnail = Thumbnail::of_pixels(&grey.pixels, grey.width, grey.height)
        .with_context(|| format!("{} has no pixels", item.path.display()))?;
    Ok(ImageEntry {
        id: item.id.clone(),
        set,
        split: item.split,
        emotion: item.emotion,
        video: item.video.clone(),
        sha256,
        hash: hash(&thumbnail),
        look: Some(ThumbnailFeatures::new(&thumbnail)),
        view: altered.then(|| View::of(&grey, KEYPOINTS)),
    })
}
