//! What a data set is made from: a corpus in folders or a list, groups beside it, lists of boxes; and
//! what is wrong with them as a whole.
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{bail, Result};
use sha2::{Digest, Sha256};

use crate::{
    corpus::{self, groups, Choices, Listing},
    digest,
    face::boxes::Boxes,
    progress,
};

/// Where the clips of a build are and what is known of them.
#[derive(Clone, Debug, Default)]
pub struct Clips {
    /// The corpus folder, that paths of a list are below.
    pub corpus: PathBuf,
    /// A list that names the clips; without it the folder's layout does.
    pub list: Option<PathBuf>,
    /// A list of what must not cross splits.
    pub groups: Option<PathBuf>,
    /// How a list is to be read.
    pub choices: Choices,
}

impl Clips {
    /// Lists the clips.
    ///
    /// # Errors
    /// When folder or lists cannot be read or are not what they should be.
    pub fn listing(&self) -> Result<Listing> {
        let mut listing = match &self.list {
            Some(list) => corpus::scan_list(list, &self.corpus, &self.choices)?,
            None => corpus::scan(&self.corpus)?,
        };
        if let Some(path) = &self.groups {
            groups::assign(&mut listing, path)?;
        }
        Ok(listing)
    }
}

/// SHA-256 over the names and sizes of all clips and over what a list says of them: another list of
/// clips is another build.
pub(super) fn listing_digest(root: &Path, listing: &Listing) -> String {
    let mut digest = Sha256::new();
    for clip in &listing.clips {
        let size = std::fs::metadata(root.join(&clip.path)).map_or(0, |m| m.len());
        digest.update(format!("{}\t{}\t{size}\n", clip.clip_id, clip.shown));
        if let Some(group) = &clip.group {
            digest.update(format!("\tgroup {group}\n"));
        }
        if let Some(span) = &clip.span {
            digest.update(format!("\tfrom {span}\n"));
        }
    }
    for stray in &listing.strays {
        digest.update(format!("{}\t{}\n", stray.reason, stray.path));
    }
    digest::hex(&digest.finalize())
}

/// Says on the console how a list was understood.
pub(super) fn tell(listing: &Listing) {
    for remark in &listing.remarks {
        progress::message(&format!("note: {remark}"));
    }
}

/// Looks whether a list of boxes speaks of what is there.
///
/// # Errors
/// When it speaks of none of the pictures or clips, whose paths below the root are `shown`.
pub(super) fn check_boxes(boxes: &Boxes, shown: &[&str], of_clips: bool) -> Result<()> {
    let named = boxes.names();
    if named.is_empty() || shown.is_empty() {
        return Ok(());
    }
    let name = |path: &&str| match of_clips {
        true => boxes.name_of_clip(path),
        false => boxes.name_of_still(path),
    };
    let met: BTreeSet<String> = shown.iter().filter_map(name).collect();
    let what = if of_clips { "clips" } else { "pictures" };
    if met.is_empty() {
        let (theirs, ours) = (named.iter().next().map_or("", |name| name), shown[0]);
        bail!(
            "the boxes speak of none of the {} {what}: they name `{theirs}`, and there is `{ours}`",
            shown.len()
        );
    }
    if 2 * met.len() < named.len() {
        progress::message(&format!(
            "note: the boxes speak of {} {what}, of which only {} are there",
            named.len(),
            met.len()
        ));
    }
    Ok(())
}
