//! Any corpus of class folders without a split, `<root>/<Class>/...`; the split is then ours.
use std::path::Path;

use anyhow::Result;

use super::{walk, Choices, CorpusEntry, FoundClips, Sought, Walk};
use crate::record::Emotion;

pub(super) const ENTRY: CorpusEntry = CorpusEntry {
    name: "folders",
    about: "clips in class folders, without a split of their own",
    clips,
};

fn clips(root: &Path, _: &Choices) -> Result<Option<FoundClips>> {
    unsplit(root, Sought::Clips)
}

/// What lies in class folders; `None` when there is no class folder.
pub(super) fn unsplit(root: &Path, sought: Sought) -> Result<Option<FoundClips>> {
    let is_class = |entry: &walk::FolderEntry| {
        entry.is_folder && entry.name.to_string_lossy().parse::<Emotion>().is_ok()
    };
    if !walk::entries(root)?.iter().any(is_class) {
        return Ok(None);
    }
    let mut walk = Walk::new(root, sought);
    walk.classes(Path::new(""), None)?;
    Ok(Some(walk.into()))
}
