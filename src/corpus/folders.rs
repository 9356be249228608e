//! Any corpus of class folders without a split, `<root>/<Class>/...`; the split is then ours.
use std::path::Path;

use anyhow::Result;

use super::{class_folders, is_clip_name, subfolders, Candidate, Entry, Wanted};
use crate::record::Emotion;

pub(super) const ENTRY: Entry =
    Entry { name: "folders", about: "clips in class folders, without a split of their own", clips };

fn clips(root: &Path) -> Result<Option<Vec<Candidate>>> {
    unsplit(root, is_clip_name)
}

/// The wanted files in class folders; `None` when there is no class folder.
pub(super) fn unsplit(root: &Path, wanted: Wanted) -> Result<Option<Vec<Candidate>>> {
    let classes = subfolders(root, Path::new(""))?;
    let known = |name: &std::ffi::OsString| name.to_string_lossy().parse::<Emotion>().is_ok();
    if !classes.iter().any(known) {
        return Ok(None);
    }
    class_folders(root, Path::new(""), None, wanted).map(Some)
}
