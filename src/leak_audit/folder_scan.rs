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

use crate::{
    corpus::{self, is_litter, Content, Sought},
    record::{Emotion, Split},
};

/// Extensions of pictures that are read, in lower case.
const PICTURES: [&str; 3] = ["png", "jpg", "jpeg"];
/// Extensions of pictures that are told but not read, unless they hold PNG or JPEG.
const OTHERS: [&str; 9] = ["bmp", "gif", "jfif", "jp2", "ppm", "tga", "tif", "tiff", "webp"];
/// Folders below the named one that are looked into for `train` and `test` (CAER-S/CAER-S/...).
const MOST_NESTING: usize = 3;
/// Folders below a class or split that are looked into.
const MOST_DEPTH: usize = 16;

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
                Ok(emotion) if entry.is_dir() => {
                    let class = Class { split, emotion, folder: &entry };
                    scan.class(&class, &entry, MOST_DEPTH)?;
                }
                _ => {
                    let reason = format!("{split}/{name} is no folder of a class");
                    scan.leave(split, &folder, &entry, &reason, MOST_DEPTH)?;
                }
            }
        }
    }
    if scan.items.is_empty() {
        if corpus::below(root, Sought::Clips).is_ok_and(|clips| !clips.is_empty()) {
            bail!(
                "no pictures in {}, but clips: `ncaers build` makes a manifest of them, and `ncaers \
                 locate STILLS --corpus {}` finds their frames among stills",
                root.display(),
                root.display()
            );
        }
        bail!("no pictures in {}: expected train/Class/NNNN.png and the like", root.display());
    }
    Ok(scan)
}

/// A class of a split.
struct Class<'a> {
    split: Split,
    emotion: Emotion,
    folder: &'a Path,
}

impl Class<'_> {
    /// `split/Class/stem`, folders below that of the class as a part of the stem.
    fn id(&self, path: &Path) -> String {
        let below = path.strip_prefix(self.folder).unwrap_or(path).with_extension("");
        let parts: Vec<String> = below.iter().map(|part| text(Some(part))).collect();
        format!("{}/{}/{}", self.split, self.emotion, parts.join("__"))
    }

    /// The folder of its split.
    fn base(&self) -> &Path {
        self.folder.parent().unwrap_or(self.folder)
    }
}

/// Whether a file is PNG or JPEG: by its name, or else by its first bytes.
fn is_read(path: &Path) -> bool {
    let by_content = || matches!(Content::of_file(path), Ok(Content::Picture("PNG" | "JPEG")));
    has_extension(path, &PICTURES) || by_content()
}

impl Scan {
    /// The pictures of a class, in the order of their numbers, others by name after them; folders in
    /// it behind those, their names a part of the identity.
    fn class(&mut self, class: &Class<'_>, folder: &Path, depth: usize) -> Result<()> {
        let (mut folders, mut paths): (Vec<_>, Vec<_>) =
            entries(folder)?.into_iter().partition(|path| path.is_dir());
        let number = |p: &PathBuf| text(p.file_stem()).parse::<u64>().unwrap_or(u64::MAX);
        paths.sort_by_cached_key(|p| (number(p), p.clone()));
        folders.sort_by_cached_key(|p| (number(p), p.clone()));
        for path in paths {
            if !is_read(&path) {
                self.leave(class.split, class.base(), &path, "", 0)?;
                continue;
            }
            let id = class.id(&path);
            if let Some(first) = self.taken.get(&id) {
                let [own, first] = [&path, first].map(|p| text(p.file_name()));
                self.note(class.split, id, format!("{own} has the id of {first}"));
                continue;
            }
            self.taken.insert(id.clone(), path.clone());
            let Class { split, emotion, .. } = *class;
            self.items.push(Item { id, split, emotion, video: None, path, known: None });
        }
        for inner in folders {
            // A link may lead round in a circle.
            if depth == 0 || inner.is_symlink() {
                self.note(class.split, class.id(&inner), "is a folder that lies too deep".into());
            } else {
                self.class(class, &inner, depth - 1)?;
            }
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
            _ if !splits.is_empty() => {
                folders.iter().try_for_each(|path| refuse_other(path, &splits))?;
                return Ok(splits);
            }
            [only] => folder = only.clone(),
            _ => break,
        }
    }
    bail!("{} holds no train, val or test folder", root.display())
}

/// Refuses a folder beside the splits that holds pictures, since nobody would look at them.
fn refuse_other(path: &Path, splits: &[(Split, PathBuf)]) -> Result<()> {
    let is_split = splits.iter().any(|(_, split)| split == path);
    if !is_split && holds_pictures(path, MOST_DEPTH)? {
        bail!(
            "{} holds pictures and is no split (train, val or validation or dev, test); rename it, \
             or move it away",
            path.display()
        );
    }
    Ok(())
}

fn holds_pictures(folder: &Path, depth: usize) -> Result<bool> {
    for path in entries(folder)? {
        let found = match path.is_dir() {
            true if depth == 0 || path.is_symlink() => false,
            true => holds_pictures(&path, depth - 1)?,
            false => is_read(&path),
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is in a folder but for what systems leave behind, by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = || format!("cannot read folder {}", folder.display());
    let list = fs::read_dir(folder).with_context(unreadable)?;
    let mut paths: Vec<PathBuf> =
        list.map(|e| Ok(e?.path())).collect::<std::io::Result<_>>().with_context(unreadable)?;
    paths.retain(|path| !path.file_name().is_some_and(is_litter));
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
