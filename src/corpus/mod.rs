//! Where clips come from: folders on disk turned into named clips, one file per kind of corpus.
//!
//! A new corpus is one file with an [`Entry`] and one line in [`CORPORA`].
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use anyhow::{bail, ensure, Context, Result};
use serde::{Deserialize, Serialize};

use crate::record::{Emotion, Split};

mod caer;
mod caer_s;
mod csv_list;
pub mod demo;
mod folders;
pub mod ncaer_s;

/// A kind of corpus that `build` or `import` can read.
#[derive(Debug)]
pub struct Entry {
    /// Its name in messages and metadata.
    pub name: &'static str,
    /// What it is, who made it and how one gets it.
    pub about: &'static str,
    /// The clips below a root; `None` when the root is laid out in another way.
    clips: fn(&Path) -> Result<Option<Vec<Candidate>>>,
}

/// The layouts that are recognised, tried in this order.
pub const CORPORA: &[&Entry] = &[&demo::ENTRY, &caer::ENTRY, &folders::ENTRY];

/// The layouts of stills that `import` knows by name.
pub const STILLS: &[&Entry] = &[&caer_s::ENTRY, &ncaer_s::ENTRY, &csv_list::ENTRY];

/// Endings of pictures in any case; those that cannot be decoded become rows that say so.
const PICTURES: &[&str] = &["png", "jpg", "jpeg", "bmp", "gif", "webp", "tif", "tiff"];

/// Containers that clips come in, by the name's ending in any case.
pub const EXTENSIONS: &[&str] = &["avi", "mp4", "mkv", "mov", "ts", "webm"];

/// A file that is named like a clip and lies where clips lie.
struct Candidate {
    split: Option<Split>,
    emotion: Emotion,
    /// Below the root.
    path: PathBuf,
    /// What the identity ends in, where that is not the file's own stem.
    stem: Option<String>,
    /// What the list says must not be torn apart.
    group: Option<String>,
    /// Set when the file must not be touched.
    refused: Option<Refusal>,
}

impl Candidate {
    fn new(split: Option<Split>, emotion: Emotion, path: PathBuf) -> Self {
        Candidate { split, emotion, path, stem: None, group: None, refused: None }
    }
}

/// One clip of a corpus, not yet opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// `split/Class/stem`, the first part `all` where the corpus has no split.
    pub clip_id: String,
    /// The corpus's own split.
    pub split: Option<Split>,
    /// The class.
    pub emotion: Emotion,
    /// Where the file lies below the corpus folder.
    pub path: OsString,
    /// The same for people and tables: `/` between parts, foreign bytes as `\xHH`.
    pub shown: String,
    /// Set when the clip is out before it is opened: reason code, words, partner.
    pub refused: Option<Refusal>,
    /// What the corpus's own list says belongs together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// Why a clip is not even opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Reason code of the ledger.
    pub code: String,
    /// The reason in words.
    pub detail: String,
    /// The clip that it collides with.
    pub partner: Option<String>,
}

/// What a corpus folder holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The kind of corpus.
    pub corpus: String,
    /// Whether the corpus has a split of its own.
    pub has_split: bool,
    /// The clips in clip_id order.
    pub clips: Vec<Source>,
    /// Clips that were taken back, of which nothing but the id may be told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withdrawn: Vec<String>,
}

impl Listing {
    /// Takes the clips away that `list` names by clip_id or path.
    pub fn without(mut self, list: &[String]) -> Self {
        let named = |clip: &Source| list.contains(&clip.clip_id) || list.contains(&clip.shown);
        self.withdrawn =
            self.clips.iter().filter(|c| named(c)).map(|c| c.clip_id.clone()).collect();
        self.clips.retain(|clip| !named(clip));
        self
    }
}

/// Lists the clips below `root`.
///
/// # Errors
/// When `root` is missing, is no folder, is empty or is laid out in no known way, or when it
/// holds a class folder that nobody knows.
pub fn scan(root: &Path) -> Result<Listing> {
    let found = fs::metadata(root).with_context(|| format!("no corpus at {}", root.display()))?;
    ensure!(found.is_dir(), "corpus {} is not a folder", root.display());
    ensure!(!entries(root)?.is_empty(), "corpus folder {} is empty", root.display());
    for entry in CORPORA {
        let Some(candidates) = (entry.clips)(root)? else { continue };
        if candidates.is_empty() {
            bail!("no clip ({}) in the class folders of {}", EXTENSIONS.join(", "), root.display());
        }
        let has_split = candidates.iter().all(|c| c.split.is_some());
        return Ok(Listing {
            corpus: entry.name.to_owned(),
            has_split,
            clips: name(root, candidates),
            withdrawn: Vec::new(),
        });
    }
    bail!(
        "{} is not laid out like CAER: expected train, validation and test folders with class \
         folders such as Anger in them, or class folders alone",
        root.display()
    )
}

/// Lists the stills below `root`, laid out as `layout` says.
///
/// # Errors
/// When nobody knows the layout, when `root` is missing or laid out in another way, or when it
/// names a class that nobody knows.
pub fn scan_stills(layout: &str, root: &Path) -> Result<Listing> {
    let known = || STILLS.iter().map(|e| e.name).collect::<Vec<_>>().join(", ");
    let entry = STILLS.iter().find(|e| e.name == layout);
    let entry = entry.with_context(|| format!("layout `{layout}` is none of {}", known()))?;
    fs::metadata(root).with_context(|| format!("no pictures at {}", root.display()))?;
    let candidates = (entry.clips)(root)?;
    let candidates = candidates.with_context(|| {
        format!("{} is not laid out as {layout}: {}", root.display(), entry.about)
    })?;
    ensure!(!candidates.is_empty(), "no picture in {}", root.display());
    let has_split = candidates.iter().all(|c| c.split.is_some());
    let clips = name(&folder_of(root), candidates);
    Ok(Listing { corpus: layout.to_owned(), has_split, clips, withdrawn: Vec::new() })
}

/// The folder that paths of a layout are relative to: `root`, or the folder of a list.
pub fn folder_of(root: &Path) -> PathBuf {
    if root.is_dir() {
        return root.to_owned();
    }
    let folder = root.parent().filter(|p| !p.as_os_str().is_empty());
    folder.unwrap_or(Path::new(".")).to_owned()
}

/// Gives every candidate its identity; of two with the same stem the later by name is refused.
fn name(root: &Path, mut candidates: Vec<Candidate>) -> Vec<Source> {
    candidates.sort_by(|a, b| {
        let key = |c: &Candidate| c.path.file_name().map(|n| n.as_bytes().to_vec());
        key(a).cmp(&key(b)).then_with(|| a.path.cmp(&b.path))
    });
    let mut named: BTreeMap<String, Source> = BTreeMap::new();
    for candidate in candidates {
        let part = |name: Option<&std::ffi::OsStr>| shown(name.unwrap_or_default().as_bytes());
        let folder =
            format!("{}/{}", candidate.split.map_or("all", Split::name), candidate.emotion.name());
        let stem = candidate.stem.unwrap_or_else(|| part(candidate.path.file_stem()));
        let first = format!("{folder}/{stem}");
        let mut refused = candidate.refused.or_else(|| irregular(&root.join(&candidate.path)));
        let mut clip_id = first.clone();
        if let Some(earlier) = named.get(&first) {
            refused = Some(Refusal {
                code: "duplicate_name".into(),
                detail: format!("same name as {}", earlier.shown),
                partner: Some(first.clone()),
            });
            clip_id = format!("{folder}/{}", part(candidate.path.file_name()));
            while named.contains_key(&clip_id) {
                clip_id.push('+');
            }
        }
        let source = Source {
            clip_id: clip_id.clone(),
            split: candidate.split,
            emotion: candidate.emotion,
            shown: shown_path(&candidate.path),
            path: candidate.path.into_os_string(),
            refused,
            group: candidate.group,
        };
        named.insert(clip_id, source);
    }
    named.into_values().collect()
}

/// Refuses what could hang or mislead a reader: anything but a regular file.
fn irregular(path: &Path) -> Option<Refusal> {
    let refusal =
        |code: &str, detail: String| Some(Refusal { code: code.to_owned(), detail, partner: None });
    match fs::metadata(path) {
        Ok(found) if found.is_file() => None,
        Ok(found) if found.is_dir() => refusal("not_a_file", "a folder named like a clip".into()),
        Ok(_) => refusal("not_a_file", "neither a file nor a folder".into()),
        Err(error) => refusal("unreadable", format!("cannot be read: {error}")),
    }
}

/// A path for people and tables: `/` between parts, what is not UTF-8 as `\xHH`.
pub fn shown_path(path: &Path) -> String {
    let parts: Vec<_> = path.components().map(|c| shown(c.as_os_str().as_bytes())).collect();
    parts.join("/")
}

/// Bytes of a name as text, one to one: what is not UTF-8, a control character or the backslash
/// itself becomes `\xHH`.
fn shown(name: &[u8]) -> String {
    let mut out = String::new();
    let escape = |out: &mut String, bytes: &[u8]| {
        bytes.iter().for_each(|b| out.push_str(&format!("\\x{b:02X}")));
    };
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || c == '\\' {
                escape(&mut out, c.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                out.push(c);
            }
        }
        escape(&mut out, chunk.invalid());
    }
    out
}

/// The names in a folder, sorted by bytes.
fn entries(folder: &Path) -> Result<Vec<OsString>> {
    let failed = || format!("cannot list {}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(failed)? {
        names.push(entry.with_context(failed)?.file_name());
    }
    names.sort();
    Ok(names)
}

/// The folders in `root/below` that are not hidden and not an archiver's.
fn subfolders(root: &Path, below: &Path) -> Result<Vec<OsString>> {
    let mut names = entries(&root.join(below))?;
    names.retain(|name| {
        let own = !name.as_bytes().starts_with(b".") && name != "__MACOSX";
        own && root.join(below).join(name).is_dir()
    });
    Ok(names)
}

/// Tells files that belong to a corpus by their names.
type Wanted = fn(&OsString) -> bool;

/// Whether a file is named like a clip.
pub fn is_clip(path: &Path) -> bool {
    path.file_name().is_some_and(|name| is_clip_name(&name.to_owned()))
}

/// Whether a file is named like a picture.
pub fn is_picture(path: &Path) -> bool {
    path.file_name().is_some_and(|name| is_picture_name(&name.to_owned()))
}

/// Whether a name has one of the endings of clips.
fn is_clip_name(name: &OsString) -> bool {
    let hidden = name.as_bytes().starts_with(b".");
    !hidden && ends_in(name, EXTENSIONS)
}

/// Whether a name has one of the endings of pictures.
fn is_picture_name(name: &OsString) -> bool {
    !name.as_bytes().starts_with(b".") && ends_in(name, PICTURES)
}

fn ends_in(name: &OsString, endings: &[&str]) -> bool {
    let ending = Path::new(name).extension().and_then(|e| e.to_str());
    ending.is_some_and(|e| endings.iter().any(|known| known.eq_ignore_ascii_case(e)))
}

/// The files with a wanted name in the class folders of `root/below`.
///
/// # Errors
/// When a class folder has a name that nobody knows.
fn class_folders(
    root: &Path,
    below: &Path,
    split: Option<Split>,
    wanted: Wanted,
) -> Result<Vec<Candidate>> {
    let mut found = Vec::new();
    for class in subfolders(root, below)? {
        let folder = below.join(&class);
        let emotion: Emotion = class
            .to_string_lossy()
            .parse()
            .with_context(|| format!("class folder {}", root.join(&folder).display()))?;
        let names = entries(&root.join(&folder))?.into_iter().filter(wanted);
        found.extend(names.map(|n| Candidate::new(split, emotion, folder.join(n))));
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
