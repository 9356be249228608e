//! Where clips come from: folders on disk turned into named clips, one file per kind of corpus.
//!
//! A new corpus is one file with an [`CorpusEntry`] and one line in [`CORPORA`].
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

mod below;
mod caer;
mod caer_s;
mod columns;
mod content;
mod csv_list;
pub mod demo;
mod folders;
pub mod groups;
pub mod labels;
pub mod ncaer_s;
mod span;
mod walk;

pub use below::below;
pub use content::{is_litter, Content};
pub use span::Span;
pub use walk::Sought;
use walk::Walk;

/// A kind of corpus that `build` or `import` can read.
#[derive(Debug)]
pub struct CorpusEntry {
    /// Its name in messages and metadata.
    pub name: &'static str,
    /// What it is, who made it and how one gets it.
    pub about: &'static str,
    /// What lies below a root; `None` when the root is laid out in another way.
    clips: fn(&Path, &Choices) -> Result<Option<FoundClips>>,
}

/// The layouts that are recognised, tried in this order.
pub const CORPORA: &[&CorpusEntry] = &[&demo::ENTRY, &caer::ENTRY, &folders::ENTRY];

/// The layouts of stills that `import` knows by name.
pub const STILLS: &[&CorpusEntry] = &[&caer_s::ENTRY, &ncaer_s::ENTRY, &csv_list::ENTRY];

/// Containers that clips come in, by the name's ending in any case; others are known by content.
pub const EXTENSIONS: &[&str] = walk::CLIPS;

/// How a list is to be read.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// What its labels mean, where they are neither names of classes nor our numbers.
    pub labels: labels::Labels,
}

/// What a layout finds below a root.
#[derive(Default)]
struct FoundClips {
    candidates: Vec<Candidate>,
    strays: Vec<Stray>,
    litter: usize,
    remarks: Vec<String>,
}

impl From<Walk<'_>> for FoundClips {
    fn from(walk: Walk<'_>) -> Self {
        let Walk { candidates, strays, litter, .. } = walk;
        FoundClips { candidates, strays, litter, remarks: Vec::new() }
    }
}

/// A file that is named like a clip and lies where clips lie.
struct Candidate {
    split: Option<Split>,
    emotion: Emotion,
    /// Below the root.
    path: PathBuf,
    /// What the identity ends in, where that is not the file's own stem.
    stem: Option<String>,
    /// The folders below its class's, as they are in the stem.
    nest: String,
    /// What the list says must not be torn apart.
    group: Option<String>,
    /// The part of the file that is meant.
    span: Option<Span>,
    /// Set when the file must not be touched.
    refused: Option<Refusal>,
}

impl Candidate {
    fn new(split: Option<Split>, emotion: Emotion, path: PathBuf) -> Self {
        Candidate {
            split,
            emotion,
            path,
            stem: None,
            nest: String::new(),
            group: None,
            span: None,
            refused: None,
        }
    }
}

/// One clip of a corpus, not yet opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClipSource {
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
    /// The part of the file that is the clip; `None` for the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<Span>,
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The kind of corpus.
    pub corpus: String,
    /// Whether the corpus has a split of its own.
    pub has_split: bool,
    /// The clips in clip_id order.
    pub clips: Vec<ClipSource>,
    /// Clips that were taken back, of which nothing but the id may be told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withdrawn: Vec<String>,
    /// What else lies there, in the order of its paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strays: Vec<Stray>,
    /// Files and folders that operating systems leave behind, which nobody misses.
    #[serde(default)]
    pub litter: usize,
    /// What a reader of the data set should know of how a list was understood.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

impl Listing {
    /// Takes the clips away that `list` names by clip_id or path.
    pub fn without(mut self, list: &[String]) -> Self {
        let named = |clip: &ClipSource| list.contains(&clip.clip_id) || list.contains(&clip.shown);
        self.withdrawn =
            self.clips.iter().filter(|c| named(c)).map(|c| c.clip_id.clone()).collect();
        self.clips.retain(|clip| !named(clip));
        self
    }
}

/// A file or folder in a corpus that is no clip and cannot become one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stray {
    /// Below the root, as [`ClipSource::shown`].
    pub path: String,
    /// Reason code of the ledger.
    pub reason: String,
    /// The reason in words.
    pub detail: String,
}

impl Listing {
    /// Whether the corpus comes with a train and a test part and nothing to select on.
    pub fn lacks_validation(&self) -> bool {
        let has = |split| self.clips.iter().any(|clip| clip.split == Some(split));
        self.has_split && has(Split::Train) && !has(Split::Val)
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
    ensure!(!walk::entries(root)?.is_empty(), "corpus folder {} is empty", root.display());
    for entry in CORPORA {
        let Some(found) = (entry.clips)(root, &Choices::default())? else { continue };
        if found.candidates.is_empty() {
            bail!("no clip ({}) in the class folders of {}", EXTENSIONS.join(", "), root.display());
        }
        return Ok(listing(entry.name, root, found));
    }
    bail!(
        "{} is not laid out like CAER: expected train, validation and test folders with class \
         folders such as Anger in them, or class folders alone; other corpora need a list",
        root.display()
    )
}

/// Lists the stills below `root`, laid out as `layout` says.
///
/// # Errors
/// When nobody knows the layout, when `root` is missing or laid out in another way, or when it
/// names a class that nobody knows.
pub fn scan_stills(layout: &str, root: &Path, choices: &Choices) -> Result<Listing> {
    let known = || STILLS.iter().map(|e| e.name).collect::<Vec<_>>().join(", ");
    let entry = STILLS.iter().find(|e| e.name == layout);
    let entry = entry.with_context(|| format!("layout `{layout}` is none of {}", known()))?;
    fs::metadata(root).with_context(|| format!("no pictures at {}", root.display()))?;
    let found = (entry.clips)(root, choices)?;
    let found = found.with_context(|| {
        format!("{} is not laid out as {layout}: {}", root.display(), entry.about)
    })?;
    ensure!(!found.candidates.is_empty(), "no picture in {}", root.display());
    Ok(listing(layout, &folder_of(root), found))
}

/// Lists the clips that the list at `list` names below `root`: columns `path,label` and, if known,
/// `split`, `group`, `start_s` and `end_s`.
///
/// # Errors
/// When the list cannot be read or one of its lines is none of such a list.
pub fn scan_list(list: &Path, root: &Path, choices: &Choices) -> Result<Listing> {
    let found = csv_list::read(list, root, choices)?;
    ensure!(!found.candidates.is_empty(), "{} names no clip", list.display());
    Ok(listing("list", root, found))
}

fn listing(corpus: &str, root: &Path, found: FoundClips) -> Listing {
    let FoundClips { candidates, mut strays, litter, remarks } = found;
    strays.sort();
    let has_split = candidates.iter().all(|c| c.split.is_some());
    // Whatever is made from the synthetic stills has to say so.
    let corpus = if demo::is_of_stills(root) { demo::NAME } else { corpus };
    let (corpus, clips) = (corpus.to_owned(), name(root, candidates));
    Listing { corpus, has_split, clips, withdrawn: Vec::new(), strays, litter, remarks }
}

/// The folder that paths of a layout are relative to: `root`, or the folder of a list.
pub fn folder_of(root: &Path) -> PathBuf {
    if root.is_dir() {
        return root.to_owned();
    }
    let folder = root.parent().filter(|p| !p.as_os_str().is_empty());
    folder.unwrap_or(Path::new(".")).to_owned()
}

/// Gives every candidate its identity; of two in one folder with the same stem the later by name
/// is refused.
fn name(root: &Path, mut candidates: Vec<Candidate>) -> Vec<ClipSource> {
    candidates.sort_by(|a, b| {
        let key = |c: &Candidate| c.path.file_name().map(|n| n.as_bytes().to_vec());
        key(a).cmp(&key(b)).then_with(|| a.path.cmp(&b.path))
    });
    let mut named: BTreeMap<String, (String, ClipSource)> = BTreeMap::new();
    for candidate in candidates {
        let part = |name: Option<&std::ffi::OsStr>| shown(name.unwrap_or_default().as_bytes());
        let folder =
            format!("{}/{}", candidate.split.map_or("all", Split::name), candidate.emotion.name());
        let stem = candidate.stem.unwrap_or_else(|| part(candidate.path.file_stem()));
        let first = format!("{folder}/{stem}");
        let mut clip_id = first.clone();
        let mut doubled = None;
        if let Some((nest, earlier)) = named.get(&first) {
            // `a/b.avi` and `a__b.avi` have one stem without being one clip in two containers.
            if *nest == candidate.nest {
                doubled = Some(Refusal {
                    code: "duplicate_name".into(),
                    detail: format!("same name as {}", earlier.shown),
                    partner: Some(first),
                });
                let nest = if nest.is_empty() { String::new() } else { format!("{nest}__") };
                clip_id = format!("{folder}/{nest}{}", part(candidate.path.file_name()));
            }
            while named.contains_key(&clip_id) {
                clip_id.push('+');
            }
        }
        let refused = candidate.refused.or(doubled);
        let refused = refused.or_else(|| irregular(&root.join(&candidate.path)));
        let source = ClipSource {
            clip_id: clip_id.clone(),
            split: candidate.split,
            emotion: candidate.emotion,
            shown: shown_path(&candidate.path),
            path: candidate.path.into_os_string(),
            refused,
            group: candidate.group,
            span: candidate.span,
        };
        named.insert(clip_id, (candidate.nest, source));
    }
    named.into_values().map(|(_, source)| source).collect()
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

#[cfg(test)]
mod tests;
