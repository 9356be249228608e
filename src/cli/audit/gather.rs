//! From a manifest or a bare folder to stills: every picture read, hashed, or listed as unreadable.
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use anyhow::{bail, Context, Result};
use rayon::prelude::*;
use serde::Serialize;

use crate::{
    audit::{
        hash::{hash, luma, Thumbnail},
        stills::{Background, Part, Still},
        Member,
    },
    manifest::{self, Manifest},
    media::image as picture,
    output,
    progress::Progress,
    record::{Clip, Emotion, Split},
};

/// Extensions of pictures, in lower case.
const PICTURES: [&str; 3] = ["png", "jpg", "jpeg"];
/// Folders below the named one that are looked into for `train` and `test` (CAER-S/CAER-S/...).
const MOST_NESTING: usize = 3;

/// A picture that the audit could not look at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Unreadable {
    /// 0 for the audited data set, 1 for the one it is held against.
    pub set: u8,
    /// Its sample_id.
    pub id: String,
    /// Why.
    pub reason: String,
}

/// A data set as far as the audit needs it.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Readable pictures, in the order in which the data set stores them.
    pub stills: Vec<Still>,
    /// Where each still lies.
    pub paths: Vec<PathBuf>,
    /// Everything else.
    pub unreadable: Vec<Unreadable>,
    /// Rows of `clips.parquet`; none for a bare folder.
    pub clips: Vec<Clip>,
    /// The hash settings that the manifest records.
    pub hash_settings: Option<String>,
    /// Whether a second data set takes part.
    pub two_sets: bool,
}

impl Gathered {
    /// Both data sets in one, the audited first.
    pub fn joined(own: Gathered, other: Option<Gathered>) -> Self {
        let Some(other) = other else { return own };
        let mut all = Gathered { two_sets: true, ..own };
        all.stills.extend(other.stills);
        all.paths.extend(other.paths);
        all.unreadable.extend(other.unreadable);
        all
    }

    /// A part's name: `test`, or `own test` and `other train` when there are two data sets.
    pub fn name(&self, part: Part) -> String {
        match (self.two_sets, part.set) {
            (false, _) => part.split.to_string(),
            (true, 0) => format!("own {}", part.split),
            (true, _) => format!("other {}", part.split),
        }
    }
}

/// A manifest folder or, when there is no `samples.parquet`, a bare folder.
pub(super) fn any(path: &Path, set: u8) -> Result<Gathered> {
    if manifest::folder_of(path).join("samples.parquet").exists() {
        manifest(path, set)
    } else {
        root(path, set)
    }
}

/// A picture to read.
struct Item {
    id: String,
    split: Split,
    emotion: Emotion,
    video: Option<String>,
    path: PathBuf,
}

/// The pictures of a manifest.
pub(super) fn manifest(path: &Path, set: u8) -> Result<Gathered> {
    let folder = manifest::folder_of(path);
    let Manifest { samples, clips, meta, .. } = Manifest::read(&folder)?;
    let mut items = Vec::new();
    let mut outside = Vec::new();
    for sample in samples {
        let video = Some(sample.group_id).filter(|group| *group != sample.sample_id);
        match output::below(&folder, &sample.image_path) {
            Ok(path) => items.push(Item {
                id: sample.sample_id,
                split: sample.split,
                emotion: sample.emotion,
                video,
                path,
            }),
            Err(e) => outside.push(Unreadable { set, id: sample.sample_id, reason: e.to_string() }),
        }
    }
    let mut gathered = read_all(items, set);
    gathered.unreadable.extend(outside);
    Ok(Gathered { clips, hash_settings: meta.get("signature_settings").cloned(), ..gathered })
}

/// The pictures of a folder in CAER-S's layout, `{train,val,test}/Class/NNNN.png`.
pub(super) fn root(root: &Path, set: u8) -> Result<Gathered> {
    let splits = split_folders(root)?;
    let (mut items, mut unreadable) = (Vec::new(), Vec::new());
    let mut taken: BTreeMap<String, PathBuf> = BTreeMap::new();
    for (split, folder) in splits {
        for class in entries(&folder)? {
            let Ok(emotion) = text(class.file_name()).parse::<Emotion>() else { continue };
            if !class.is_dir() {
                continue;
            }
            for path in pictures(&class)? {
                let id = format!("{split}/{emotion}/{}", text(path.file_stem()));
                match taken.get(&id) {
                    None => {
                        taken.insert(id.clone(), path.clone());
                        items.push(Item { id, split, emotion, video: None, path });
                    }
                    Some(first) => unreadable.push(Unreadable {
                        set,
                        reason: format!(
                            "{} has the id of {}",
                            text(path.file_name()),
                            text(first.file_name())
                        ),
                        id,
                    }),
                }
            }
        }
    }
    if items.is_empty() {
        bail!("no pictures in {}: expected train/Class/NNNN.png and the like", root.display());
    }
    let mut gathered = read_all(items, set);
    gathered.unreadable.extend(unreadable);
    Ok(gathered)
}

/// The split folders in `root`, or in the only folder that is in it.
fn split_folders(root: &Path) -> Result<Vec<(Split, PathBuf)>> {
    let mut folder = root.to_owned();
    for _ in 0..=MOST_NESTING {
        let folders: Vec<PathBuf> = entries(&folder)?.into_iter().filter(|p| p.is_dir()).collect();
        let named =
            folders.iter().filter_map(|p| Some((text(p.file_name()).parse().ok()?, p.clone())));
        let splits: Vec<(Split, PathBuf)> = named.collect();
        match folders.as_slice() {
            _ if !splits.is_empty() => return Ok(splits),
            [only] => folder = only.clone(),
            _ => break,
        }
    }
    bail!("{} holds no train, val or test folder", root.display())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = || format!("cannot read folder {}", folder.display());
    let list = fs::read_dir(folder).with_context(unreadable)?;
    let mut paths: Vec<PathBuf> =
        list.map(|e| Ok(e?.path())).collect::<std::io::Result<_>>().with_context(unreadable)?;
    paths.sort();
    Ok(paths)
}

/// Picture files in the order of their numbers, others by name after them.
fn pictures(class: &Path) -> Result<Vec<PathBuf>> {
    let wanted =
        |p: &PathBuf| PICTURES.contains(&text(p.extension()).to_ascii_lowercase().as_str());
    let mut paths: Vec<PathBuf> = entries(class)?.into_iter().filter(wanted).collect();
    let number = |p: &PathBuf| text(p.file_stem()).parse::<u64>().unwrap_or(u64::MAX);
    paths.sort_by_cached_key(|p| (number(p), p.clone()));
    Ok(paths)
}

/// A name as text; bytes that are not UTF-8 become `\xHH`.
fn text(name: Option<&OsStr>) -> String {
    let chunks = name.map(OsStr::as_bytes).unwrap_or_default().utf8_chunks();
    let mut out = String::new();
    for chunk in chunks {
        out.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|b| out.push_str(&format!("\\x{b:02X}")));
    }
    out
}

fn read_all(items: Vec<Item>, set: u8) -> Gathered {
    let progress = Progress::new("hashing", "pictures", items.len() as u64);
    let read = |item: Item| {
        let seen = look(&item, set);
        progress.advance(1);
        seen.map(|still| (still, item.path.clone())).map_err(|e| Unreadable {
            set,
            id: item.id,
            reason: format!("{e:#}"),
        })
    };
    let all: Vec<_> = items.into_par_iter().map(read).collect();
    progress.finish();
    let mut gathered = Gathered::default();
    for result in all {
        match result {
            Ok((still, path)) => {
                gathered.stills.push(still);
                gathered.paths.push(path);
            }
            Err(unreadable) => gathered.unreadable.push(unreadable),
        }
    }
    gathered
}

fn look(item: &Item, set: u8) -> Result<Still> {
    // Opening a pipe would wait for ever.
    if !item.path.metadata().is_ok_and(|m| m.is_file()) {
        bail!("{} is not a file", item.path.display());
    }
    let bytes =
        fs::read(&item.path).with_context(|| format!("cannot read {}", item.path.display()))?;
    let rgb = picture::decode_rgb(&bytes)
        .with_context(|| format!("cannot decode {}", item.path.display()))?;
    let (width, height) = (rgb.width() as usize, rgb.height() as usize);
    let thumbnail = Thumbnail::of_pixels(&luma(rgb.as_raw()), width, height)
        .with_context(|| format!("{} has no pixels", item.path.display()))?;
    Ok(Still {
        id: item.id.clone(),
        set,
        split: item.split,
        emotion: item.emotion,
        video: item.video.clone(),
        sha256: output::sha256_hex(&bytes),
        hash: hash(&thumbnail),
        background: Background::new(&thumbnail),
    })
}

/// The clips of a data set as members of groups.
pub(super) fn members(clips: &[Clip]) -> Vec<Member<'_>> {
    clips
        .iter()
        .map(|clip| Member {
            clip_id: &clip.clip_id,
            sha256: clip.sha256.as_deref(),
            signature: clip.signature.as_deref(),
        })
        .collect()
}
