//! CAER-S: 69,999 stills of CAER's clips in seven classes (Lee, Kim, Kim, Park, Sohn:
//! "Context-aware emotion recognition networks", ICCV 2019). For research, on request from its
//! authors at <https://caer-dataset.github.io>.
//!
//! `{train,test}/<Class>/NNNN.png`, without validation and without boxes; stills of one clip are
//! in both splits. Class folders alone are taken too and get a split of ours.
use std::path::Path;

use anyhow::Result;

use super::{folders::unsplit, Choices, CorpusEntry, FoundClips, Sought, Walk};

pub(super) const ENTRY: CorpusEntry = CorpusEntry {
    name: "caer-s",
    about: "train and test folders with class folders of pictures, or class folders alone",
    clips,
};

fn clips(root: &Path, _: &Choices) -> Result<Option<FoundClips>> {
    let mut walk = Walk::new(root, Sought::Stills);
    if walk.splits(&["caer-s", "caer_s", "caer"], &[])? {
        return Ok(Some(walk.into()));
    }
    unsplit(root, Sought::Stills)
}
