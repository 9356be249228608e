//! Stills that stand side by side in a folder and are one video.
use std::{collections::BTreeMap, ops::Range};

use super::{
    hash::{distance, UNINFORMATIVE},
    images::{ImageEntry, Part, HASH_ALONE},
};
use crate::{record::Emotion, seed::Draws};

/// Consecutive stills, by position, that are one video: each matches its neighbour in background
/// or in hash. Only stills without a known video form runs; those are in the order in which the
/// data set stores them. Runs of one are told too.
pub fn runs(stills: &[ImageEntry]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    for run in stills.chunk_by(together) {
        found.push(start..start + run.len());
        start += run.len();
    }
    found
}

/// Whether two stills stand in one folder whose videos are not known.
pub fn neighbours(a: &ImageEntry, b: &ImageEntry) -> bool {
    a.part() == b.part() && a.emotion == b.emotion && a.video.is_none() && b.video.is_none()
}

/// Whether the second still carries on the video of the first.
fn together(a: &ImageEntry, b: &ImageEntry) -> bool {
    let informative = a.hash != UNINFORMATIVE && b.hash != UNINFORMATIVE;
    let near = informative && distance(a.hash, b.hash) <= HASH_ALONE;
    let place =
        |a: &ImageEntry, b: &ImageEntry| Some(a.look.as_ref()?.same_place(b.look.as_ref()?));
    neighbours(a, b) && (near || place(a, b).unwrap_or(false))
}

/// How often the rule of [`runs`] joins what stands at a random place of the same folder instead
/// of next door: (joined, tried). The control of the runs.
pub fn runs_by_chance(stills: &[ImageEntry], seed: u64) -> (usize, usize) {
    let mut folders: BTreeMap<(Part, Emotion), Vec<&ImageEntry>> = BTreeMap::new();
    for still in stills.iter().filter(|s| s.video.is_none()) {
        folders.entry((still.part(), still.emotion)).or_default().push(still);
    }
    let mut draws = Draws::new(seed, "audit-runs", "");
    let (mut joined, mut tried) = (0, 0);
    for folder in folders.values().filter(|f| f.len() > 1) {
        for (i, still) in folder.iter().enumerate() {
            let offset = 1 + draws.below(folder.len() as u64 - 1) as usize;
            let other = folder[(i + offset) % folder.len()];
            joined += usize::from(together(still, other));
            tried += 1;
        }
    }
    (joined, tried)
}

#[cfg(test)]
mod tests {
    use super::{
        super::images::tests::{drawn, place},
        *,
    };
    use crate::record::Split;

    #[test]
    fn neighbours_in_one_place_are_one_video() {
        let mut all =
            [1, 1, 1, 2, 2, 3].map(|p| drawn(&p.to_string(), Split::Train, place(p))).to_vec();
        all.push(drawn("x", Split::Test, place(3))); // another split
        let mut known = drawn("y", Split::Test, place(3));
        known.video = Some("clip".into());
        all.push(known);
        assert_eq!(runs(&all), [0..3, 3..5, 5..6, 6..7, 7..8]);
        let (joined, tried) = runs_by_chance(&all, 1);
        assert!(tried == 6 && joined < 6);
    }
}
