//! CAER: 13,201 clips of 79 TV shows in seven classes, with a split by its authors (Lee, Kim,
//! Kim, Park, Sohn: "Context-aware emotion recognition networks", ICCV 2019). For research, on
//! request from its authors at <https://caer-dataset.github.io>.
//!
//! `{train,validation,test}/<Class>/NNNN.avi`; copies differ in case, say `val`, spell classes in
//! two ways, or nest the whole as `CAER/CAER/...`.
use std::{
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use anyhow::Result;

use super::{class_folders, is_clip_name, subfolders, Candidate, Entry, Wanted};
use crate::record::Split;

pub(super) const ENTRY: Entry = Entry {
    name: "caer",
    about: "CAER (Lee et al. 2019), clips in split and class folders",
    clips,
};

/// How deep copies nest `CAER/CAER/...`.
const NESTING: usize = 4;

fn clips(root: &Path) -> Result<Option<Vec<Candidate>>> {
    split_folders(root, &["caer"], is_clip_name)
}

/// The wanted files in split and class folders, which may lie in folders of the names `nested`;
/// `None` when there are no split folders.
pub(super) fn split_folders(
    root: &Path,
    nested: &[&str],
    wanted: Wanted,
) -> Result<Option<Vec<Candidate>>> {
    let mut base = PathBuf::new();
    for _ in 0..=NESTING {
        let folders = subfolders(root, &base)?;
        let splits: Vec<_> = folders
            .iter()
            .filter_map(|name| Some((name, name.to_str()?.parse::<Split>().ok()?)))
            .collect();
        if !splits.is_empty() {
            let mut found = Vec::new();
            for (name, split) in splits {
                found.extend(class_folders(root, &base.join(name), Some(split), wanted)?);
            }
            return Ok(Some(found));
        }
        let inner = folders.iter().find(|name| {
            nested.iter().any(|known| name.as_bytes().eq_ignore_ascii_case(known.as_bytes()))
        });
        match inner {
            Some(name) => base.push(name),
            None => return Ok(None),
        }
    }
    Ok(None)
}
