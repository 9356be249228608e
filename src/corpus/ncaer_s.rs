//! NCAER-S as its authors hand it out (Le, Nguyen, Nguyen, Le: "Global-local attention for emotion
//! recognition", Neural Computing and Applications, 2021): `images/{train,val,test}/<Class>/*` and
//! a text file with dlib's box per picture below `crop/`. On request from the authors.
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{Choices, CorpusEntry, FoundClips, Sought, Walk};

pub(super) const ENTRY: CorpusEntry = CorpusEntry {
    name: "ncaer-s",
    about: "images/ with train, val and test folders, class folders in them",
    clips,
};

/// Where the release keeps its boxes, below the root.
const CROPS: &str = "crop";

fn clips(root: &Path, _: &Choices) -> Result<Option<FoundClips>> {
    let mut walk = Walk::new(root, Sought::Stills);
    Ok(walk.splits(&["images", "ncaer-s", "ncaers"], &[CROPS])?.then(|| walk.into()))
}

/// The release's own boxes, when they are there.
pub fn crops(root: &Path) -> Option<PathBuf> {
    Some(root.join(CROPS)).filter(|folder| folder.is_dir())
}
