//! Any corpus of class folders without a split, `<root>/<Class>/...`; the split is then ours.
use std::path::Path;

use anyhow::Result;

use super::{class_folders, subfolders, Candidate, Entry};
use crate::record::Emotion;

pub(super) const ENTRY: Entry =
    Entry { name: "folders", about: "clips in class folders, without a split of their own", clips };

fn clips(root: &Path) -> Result<Option<Vec<Candidate>>> {
    let classes = subfolders(root, Path::new(""))?;
    let known = |name: &std::ffi::OsString| name.to_string_lossy().parse::<Emotion>().is_ok();
    if !classes.iter().any(known) {
        return Ok(None);
    }
    class_folders(root, Path::new(""), None).map(Some)
}
