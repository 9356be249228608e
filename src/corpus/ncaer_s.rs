//! NCAER-S as its authors hand it out (Le, Nguyen, Nguyen, Le: "Global-local attention for emotion
//! recognition", Neural Computing and Applications, 2021): `images/{train,val,test}/<Class>/*` and
//! a text file with dlib's box per picture below `crop/`. On request from the authors.
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{caer::split_folders, is_picture_name, Candidate, Entry};

pub(super) const ENTRY: Entry = Entry {
    name: "ncaer-s",
    about: "images/ with train, val and test folders, class folders in them",
    clips,
};

/// Where the release keeps its boxes, below the root.
const CROPS: &str = "crop";

fn clips(root: &Path) -> Result<Option<Vec<Candidate>>> {
    split_folders(root, &["images", "ncaer-s", "ncaers"], is_picture_name)
}

/// The release's own boxes, when they are there.
pub fn crops(root: &Path) -> Option<PathBuf> {
    Some(root.join(CROPS)).filter(|folder| folder.is_dir())
}
