//! CAER-S: 69,999 stills of CAER's clips in seven classes (Lee, Kim, Kim, Park, Sohn:
//! "Context-aware emotion recognition networks", ICCV 2019). For research, on request from its
//! authors at <https://caer-dataset.github.io>.
//!
//! `{train,test}/<Class>/NNNN.png`, without validation and without boxes; stills of one clip are
//! in both splits. Class folders alone are taken too and get a split of ours.
use std::path::Path;

use anyhow::Result;

use super::{caer::split_folders, folders::unsplit, is_picture_name, Candidate, Entry};

pub(super) const ENTRY: Entry = Entry {
    name: "caer-s",
    about: "train and test folders with class folders of pictures, or class folders alone",
    clips,
};

fn clips(root: &Path) -> Result<Option<Vec<Candidate>>> {
    let found = split_folders(root, &["caer-s", "caer_s", "caer"], is_picture_name)?;
    match found {
        Some(found) => Ok(Some(found)),
        None => unsplit(root, is_picture_name),
    }
}
