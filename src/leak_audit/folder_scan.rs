//! The pictures of a bare folder in CAER-S's layout, `{train,val,test}/Class/NNNN.png`.
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use anyhow::{bail, Context, Result};
use serde::Serialize;

use crate::record::{Emotion, Split};

/// Extensions of pictures that are read, in lower case.
const PICTURES: [&str; 3] = ["png", "jpg", "jpeg"];
/// Extensions of pictures that are told but not read.
const OTHERS: [&str; 9] = ["bmp", "gif", "jfif", "jp2", "ppm", "tga", "tif", "tiff", "webp"];
/// Folders below the named one that are looked into for `train` and `test` (CAER-S/CAER-S/...).
const MOST_NESTING: usize = 3;
/// Folders below a class or split that are looked into for pictures that lie too deep.
const MOST_DEPTH: usize = 4;

/// A picture that the audit could not look at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Unreadable {
    /// 0 for the audited data set, 1 for the one it is held against.
    pub set: u8,
    /// Its sample_id.
    pub id: String,
    /// Why.
    pub reason: String,
    /// The split that it would be of.
    pub split: Split,
}

/// A picture to read.
pub(super) struct Item {
    /// sample_id.
    pub id: String,
    /// The split.
    pub split: Split,
    /// The class.
    pub emotion: Emotion,
    /// What is known to be one video beforehand.
    pub video: Option<String>,
    /// Where it lies.
    pub path: PathBuf,
    /// SHA-256 and hash as the manifest has them of a still, for when the picture is missing.
    pub known: Option<(String, u64)>,
}

/// What a folder holds.
#[derive(Default)]
pub(super) struct Scan {
    /// Pictures to read, in the order in which the data set stores them.
    pub items: Vec<Item>,
    /// Pictures that are not, with the reason.
    pub left_out: Vec<Unreadable>,
    /// First picture of an id.
    taken: BTreeMap<String, PathBuf>,
    set: u8,
}

/// Lists the pictures below `root`.
///
/// # Errors
/// When a folder cannot be read, or there is no split folder or no picture.
pub(super) fn scan(root: &Path, set: u8) -> Result<Scan> {
    let mut scan = Scan { set, ..Scan::default() };
    for (split, folder) in split_folders(root)? {
        for entry in entries(&folder)? {
            let name = text(entry.file_name());
            match name.parse::<Emotion>() {
                Ok(emotion) if entry.is_dir() => scan.class(split, emotion, &entry)?,
                _ => {
                    let reason = format!("{split}/{name} is no folder of a class");
                    scan.leave(split, &folder, &entry, &reason, MOST_DEPTH)?;
                }
            }
        }
    }
    if scan.items.is_empty() {
        bail!("no pictures in {}: expected train/Class/NNNN.png and the like", root.display());
    }
    Ok(scan)
}

impl Scan {
    /// The pictures of a class, in the order of their numbers, others by name after them.
    fn class(&mut self, split: Split, emotion: Emotion, class: &Path) -> Result<()> {
        let mut paths = entries(class)?;
        let number = |p: &PathBuf| text(p.file_stem()).parse::<u64>().unwrap_or(u64::MAX);
        paths.sort_by_cached_key(|p| (number(p), p.clone()));
        for path in paths {
            if path.is_dir() || !has_extension(&path, &PICTURES) {
                self.leave(split, class.parent().unwrap_or(class), &path, "", MOST_DEPTH)?;
                continue;
            }
            let id = format!("{split}/{emotion}/{}", text(path.file_stem()));
            if let Some(first) = self.taken.get(&id) {
                let [own, first] = [&path, first].map(|p| text(p.file_name()));
                self.note(split, id, format!("{own} has the id of {first}"));
                continue;
            }
            self.taken.insert(id.clone(), path.clone());
            self.items.push(Item { id, split, emotion, video: None, path, known: None });
        }
        Ok(())
    }

    /// Lists a picture, or those of a folder, that nobody looks at; why is told by `reason` or,
    /// when that is empty, by where they lie.
    fn leave(
        &mut self,
        split: Split,
        base: &Path,
        path: &Path,
        reason: &str,
        depth: usize,
    ) -> Result<()> {
        let below = path.strip_prefix(base).unwrap_or(path);
        let id = format!("{split}/{}", text(Some(below.as_os_str())));
        if path.is_dir() {
            if depth == 0 {
                self.note(split, id, "is a folder that lies too deep".into());
                return Ok(());
            }
            let below =
                if reason.is_empty() { "lies below the folder of its class" } else { reason };
            let inside = entries(path)?;
            return inside.iter().try_for_each(|p| self.leave(split, base, p, below, depth - 1));
        }
        if has_extension(path, &OTHERS) || has_extension(path, &PICTURES) {
            let here = "is neither PNG nor JPEG; convert it";
            self.note(split, id, if reason.is_empty() { here } else { reason }.into());
        }
        Ok(())
    }

    fn note(&mut self, split: Split, id: String, reason: String) {
        self.left_out.push(Unreadable { set: self.set, id, reason, split });
    }
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

fn has_extension(path: &Path, known: &[&str]) -> bool {
    known.contains(&text(path.extension()).to_ascii_lowercase().as_str())
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
