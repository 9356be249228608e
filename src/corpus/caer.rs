//! CAER: 13,201 clips of 79 TV shows in seven classes, with a split by its authors (Lee, Kim,
//! Kim, Park, Sohn: "Context-aware emotion recognition networks", ICCV 2019). For research, on
//! request from its authors at <https://caer-dataset.github.io>.
//!
//! `{train,validation,test}/<Class>/NNNN.avi`; copies differ in case, say `val`, spell classes in
//! two ways, or nest the whole as `CAER/CAER/...`.
use std::path::Path;

use anyhow::Result;

use super::{Choices, CorpusEntry, FoundClips, Sought, Walk};

pub(super) const ENTRY: CorpusEntry = CorpusEntry {
    name: "caer",
    about: "CAER (Lee et al. 2019), clips in split and class folders",
    clips,
};

fn clips(root: &Path, _: &Choices) -> Result<Option<FoundClips>> {
    let mut walk = Walk::new(root, Sought::Clips);
    Ok(walk.splits(&["caer"], &[])?.then(|| walk.into()))
}
