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

use super::{class_folders, subfolders, Candidate, Entry};
use crate::record::Split;

pub(super) const ENTRY: Entry = Entry {
    name: "caer",
    about: "CAER (Lee et al. 2019), clips in split and class folders",
    clips,
};

/// How deep copies nest `CAER/CAER/...`.
const NESTING: usize = 4;

fn clips(root: &Path) -> Result<Option<Vec<Candidate>>> {
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
                found.extend(class_folders(root, &base.join(name), Some(split))?);
            }
            return Ok(Some(found));
        }
        let nested = folders.iter().find(|name| name.as_bytes().eq_ignore_ascii_case(b"caer"));
        match nested {
            Some(name) => base.push(name),
            None => return Ok(None),
        }
    }
    Ok(None)
}
