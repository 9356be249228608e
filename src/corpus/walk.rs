//! Everything below a corpus folder, each entry accounted for: a clip or still, a stray file that
//! the ledger names, or litter that is counted.
use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use anyhow::{bail, ensure, Context, Result};

use super::{
    content::{is_litter, Content},
    shown, shown_path, Candidate, Stray,
};
use crate::record::{Emotion, Split};

/// What a corpus is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sought {
    /// Video.
    Clips,
    /// Pictures.
    Stills,
}

/// Endings of containers, in any case; files of other names are known by their first bytes.
pub(super) const CLIPS: &[&str] = &[
    "avi", "mp4", "mkv", "mov", "ts", "webm", "m4v", "mpg", "mpeg", "vob", "m2ts", "mts", "wmv",
    "asf", "flv", "3gp", "3g2", "ogv",
];

/// Endings of pictures in any case; those that cannot be decoded become rows that say so.
const PICTURES: &[&str] = &[
    "png", "jpg", "jpeg", "jpe", "jfif", "bmp", "gif", "webp", "tif", "tiff", "tga", "ppm", "pgm",
    "pbm", "pnm", "jp2", "jxl", "heic", "heif", "avif",
];

/// How deep copies nest `CAER/CAER/...`.
const NESTING: usize = 4;

/// How deep folders are read; what lies deeper is told.
const DEPTH: usize = 16;

impl Sought {
    fn endings(self) -> &'static [&'static str] {
        match self {
            Sought::Clips => CLIPS,
            Sought::Stills => PICTURES,
        }
    }

    /// Whether a file is what is sought: by its name, or else by its first bytes; never a hidden one.
    pub(super) fn is(self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default();
        if name.as_bytes().starts_with(b".") {
            return false;
        }
        // What cannot be read is told as a stray.
        has_ending(name, self.endings())
            || match Content::of_file(path).unwrap_or(Content::Other) {
                Content::Container(_) => self == Sought::Clips,
                Content::Picture(_) => self == Sought::Stills,
                Content::Empty | Content::Other => false,
            }
    }

    /// One of them, for people.
    pub(super) fn one(self) -> &'static str {
        match self {
            Sought::Clips => "clip",
            Sought::Stills => "picture",
        }
    }
}

/// An entry of a folder.
pub(super) struct FolderEntry {
    pub name: OsString,
    pub is_folder: bool,
    pub is_link: bool,
}

/// The entries of a folder, sorted by the bytes of their names.
///
/// # Errors
/// When the folder cannot be read.
pub(super) fn entries(folder: &Path) -> Result<Vec<FolderEntry>> {
    let failed = || format!("cannot list {}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let kind = entry.file_type().with_context(failed)?;
        let is_link = kind.is_symlink();
        let is_folder = if is_link { entry.path().is_dir() } else { kind.is_dir() };
        found.push(FolderEntry { name: entry.file_name(), is_folder, is_link });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// What lies below a corpus folder.
pub(super) struct Walk<'a> {
    root: &'a Path,
    sought: Sought,
    pub candidates: Vec<Candidate>,
    pub strays: Vec<Stray>,
    /// Entries that systems leave behind.
    pub litter: usize,
}

/// Where in a class a file lies.
struct Place<'a> {
    split: Option<Split>,
    emotion: Emotion,
    /// Folders below that of the class.
    nest: &'a [OsString],
}

impl<'a> Walk<'a> {
    pub(super) fn new(root: &'a Path, sought: Sought) -> Self {
        Walk { root, sought, candidates: Vec::new(), strays: Vec::new(), litter: 0 }
    }

    /// The entries of a folder that are not litter, which is counted.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(super) fn entries(&mut self, below: &Path) -> Result<Vec<FolderEntry>> {
        let mut found = entries(&self.root.join(below))?;
        let all = found.len();
        found.retain(|entry| !is_litter(&entry.name));
        self.litter += all - found.len();
        Ok(found)
    }

    /// Class folders of a split, or of a corpus without one.
    ///
    /// # Errors
    /// When a folder with clips has a name that is no class.
    pub(super) fn classes(&mut self, below: &Path, split: Option<Split>) -> Result<()> {
        for entry in self.entries(below)? {
            let path = below.join(&entry.name);
            if !entry.is_folder {
                self.stray_file(&path, "lies outside the class folders")?;
                continue;
            }
            match entry.name.to_string_lossy().parse::<Emotion>() {
                Ok(emotion) => self.class(&path, &Place { split, emotion, nest: &[] })?,
                Err(unknown) => {
                    if self.stray_folder(&path)? {
                        let folder = self.root.join(&path);
                        return Err(unknown)
                            .with_context(|| format!("class folder {}", folder.display()));
                    }
                }
            }
        }
        Ok(())
    }

    /// Everything in a class folder, and in the folders in it.
    fn class(&mut self, below: &Path, place: &Place<'_>) -> Result<()> {
        for entry in self.entries(below)? {
            let path = below.join(&entry.name);
            if entry.is_folder {
                self.nested(&path, entry, place)?;
            } else if self.is_sought(&path) {
                self.candidates.push(candidate(place, path, &entry.name));
            } else {
                self.stray_file(&path, "")?;
            }
        }
        Ok(())
    }

    fn nested(&mut self, path: &Path, entry: FolderEntry, place: &Place<'_>) -> Result<()> {
        let before = self.candidates.len();
        let is_named = has_ending(&entry.name, self.sought.endings());
        if let Some(why) = self.not_entered(path, &entry, place.nest.len()) {
            self.note(path, "not_entered", why);
            return Ok(());
        }
        let nest = [place.nest, std::slice::from_ref(&entry.name)].concat();
        self.class(path, &Place { nest: &nest, ..*place })?;
        if is_named && self.candidates.len() == before {
            // What is named like a clip is told as one.
            self.candidates.push(candidate(place, path.to_owned(), &entry.name));
        }
        Ok(())
    }

    /// Why a folder is not read.
    fn not_entered(&self, path: &Path, entry: &FolderEntry, depth: usize) -> Option<String> {
        if entry.name.as_bytes().starts_with(b".") {
            return Some("a hidden folder".into());
        }
        if depth >= DEPTH {
            return Some(format!("a folder that lies more than {DEPTH} folders deep"));
        }
        if entry.is_link {
            let whole = self.root.join(path);
            let (target, own) = (whole.canonicalize().ok()?, whole.parent()?.canonicalize().ok()?);
            return own.starts_with(target).then(|| "a link to a folder that it lies in".into());
        }
        None
    }

    fn is_sought(&self, path: &Path) -> bool {
        self.sought.is(&self.root.join(path))
    }

    /// Notes a file that gives nothing; `place` says what is wrong with where it lies, if anything.
    ///
    /// # Errors
    /// Never at present; as its callers.
    pub(super) fn stray_file(&mut self, path: &Path, place: &str) -> Result<()> {
        let name = path.file_name().unwrap_or_default();
        let one = self.sought.one();
        if self.is_sought(path) {
            ensure!(!place.is_empty(), "{} is a {one} without a place", path.display());
            self.note(path, "misplaced", format!("a {one} that {place}"));
            return Ok(());
        }
        let content = match Content::of_file(&self.root.join(path)) {
            Ok(Content::Container(kind)) => format!("{kind} video"),
            Ok(Content::Picture(kind)) => format!("a {kind} picture"),
            Ok(Content::Empty) => "an empty file".into(),
            Ok(Content::Other) => "another kind of file".into(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => "a link to nothing".into(),
            Err(error) => format!("cannot be read: {error}"),
        };
        let hidden = if name.as_bytes().starts_with(b".") { ", and hidden" } else { "" };
        self.note(path, &format!("not_a_{one}"), format!("{content}{hidden}"));
        Ok(())
    }

    /// Notes a folder that is no part of the layout, in one row, unless what is sought lies in it:
    /// then says so.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(super) fn stray_folder(&mut self, path: &Path) -> Result<bool> {
        let mut files = 0usize;
        let mut folders = vec![(path.to_owned(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            for entry in self.entries(&folder)? {
                let inside = folder.join(&entry.name);
                if !entry.is_folder {
                    files += 1;
                    if self.is_sought(&inside) {
                        return Ok(true);
                    }
                } else if self.not_entered(&inside, &entry, depth).is_none() {
                    folders.push((inside, depth + 1));
                }
            }
        }
        let one = self.sought.one();
        let detail = format!("a folder of {files} files, none of them a {one}");
        self.note(path, &format!("not_a_{one}"), detail);
        Ok(false)
    }

    fn note(&mut self, path: &Path, reason: &str, detail: String) {
        self.strays.push(Stray { path: shown_path(path), reason: reason.into(), detail });
    }

    /// The wanted files in split and class folders, which may lie in folders of the names `nested`;
    /// false when there are no split folders. Folders named in `beside` belong to the layout.
    ///
    /// # Errors
    /// When a folder cannot be read, or clips lie where nobody looks for them.
    pub(super) fn splits(&mut self, nested: &[&str], beside: &[&str]) -> Result<bool> {
        let Some(base) = split_base(self.root, nested)? else { return Ok(false) };
        // From the root down, so that what lies beside the nested folders is seen too.
        let ancestors: Vec<&Path> = base.ancestors().collect();
        for folder in ancestors.into_iter().rev() {
            let inner = base.strip_prefix(folder).ok().and_then(|rest| rest.iter().next());
            for entry in self.entries(folder)? {
                if Some(&*entry.name) != inner {
                    self.split(folder, &entry, inner, beside)?;
                }
            }
        }
        Ok(true)
    }

    /// An entry of a folder in which splits are looked for, or (`inner`) another folder.
    fn split(
        &mut self,
        folder: &Path,
        entry: &FolderEntry,
        inner: Option<&OsStr>,
        beside: &[&str],
    ) -> Result<()> {
        let path = folder.join(&entry.name);
        let name = entry.name.to_string_lossy();
        if !entry.is_folder {
            return self.stray_file(&path, "lies outside the class folders");
        }
        match name.parse::<Split>() {
            Ok(split) if inner.is_none() => self.classes(&path, Some(split)),
            _ if beside.iter().any(|known| name.eq_ignore_ascii_case(known)) => Ok(()),
            _ if self.stray_folder(&path)? => {
                let (one, at) = (self.sought.one(), self.root.join(&path));
                match inner {
                    None => bail!(
                        "{} holds {one}s and is no split (train, val or validation or dev, test); \
                         rename it, or move it away",
                        at.display()
                    ),
                    Some(inner) => bail!(
                        "{} holds {one}s beside `{}`; name the one folder that is meant",
                        at.display(),
                        shown(inner.as_bytes())
                    ),
                }
            }
            _ => Ok(()),
        }
    }
}

/// The folder below `root` with the split folders in it; `None` when there is none.
fn split_base(root: &Path, nested: &[&str]) -> Result<Option<PathBuf>> {
    let mut base = PathBuf::new();
    for _ in 0..=NESTING {
        let mut folders = entries(&root.join(&base))?;
        folders.retain(|entry| entry.is_folder && !is_litter(&entry.name));
        let is_split = |entry: &FolderEntry| entry.name.to_string_lossy().parse::<Split>().is_ok();
        if folders.iter().any(is_split) {
            return Ok(Some(base));
        }
        let is_nested = |entry: &&FolderEntry| {
            nested.iter().any(|known| entry.name.as_bytes().eq_ignore_ascii_case(known.as_bytes()))
        };
        match folders.iter().find(is_nested) {
            Some(entry) => base.push(&entry.name),
            None => return Ok(None),
        }
    }
    Ok(None)
}

/// A file of a class; the folders that it lies in are a part of its identity.
fn candidate(place: &Place<'_>, path: PathBuf, name: &OsStr) -> Candidate {
    let nest = place.nest.iter().map(|part| shown(part.as_bytes())).collect::<Vec<_>>().join("__");
    let own = shown(Path::new(name).file_stem().unwrap_or_default().as_bytes());
    let stem = (!nest.is_empty()).then(|| format!("{nest}__{own}"));
    Candidate { stem, nest, ..Candidate::new(place.split, place.emotion, path) }
}

pub(super) fn has_ending(name: &OsStr, endings: &[&str]) -> bool {
    let ending = Path::new(name).extension().and_then(OsStr::to_str);
    ending.is_some_and(|e| endings.iter().any(|known| known.eq_ignore_ascii_case(e)))
}
