//! Stills that stand side by side in a folder and are one video.
use std::{collections::BTreeMap, ops::Range};

use super::{
    hash::{distance, UNINFORMATIVE},
    images::{ImageEntry, SetPart, HASH_ALONE},
};
use crate::seed::Draws;

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
    neighbours(a, b) && alike(a, b)
}

/// Whether two stills have one background or nearly one hash.
fn alike(a: &ImageEntry, b: &ImageEntry) -> bool {
    let informative = a.hash != UNINFORMATIVE && b.hash != UNINFORMATIVE;
    let near = informative && distance(a.hash, b.hash) <= HASH_ALONE;
    let place =
        |a: &ImageEntry, b: &ImageEntry| Some(a.look.as_ref()?.same_place(b.look.as_ref()?));
    near || place(a, b).unwrap_or(false)
}

/// How often the rule of [`runs`] joins what stands elsewhere in the same part instead of next
/// door, in no run with it: (joined, tried). If `runs` are videos, none of these pairs is one, so
/// this is the control of the runs. Stills whose run is all that the part has cannot be tried.
pub fn runs_by_chance(stills: &[ImageEntry], runs: &[Range<usize>], seed: u64) -> (usize, usize) {
    let mut parts: BTreeMap<SetPart, Vec<usize>> = BTreeMap::new();
    for (i, still) in stills.iter().enumerate().filter(|(_, s)| s.video.is_none()) {
        parts.entry(still.part()).or_default().push(i);
    }
    let mut draws = Draws::new(seed, "audit-runs", "");
    let (mut joined, mut tried) = (0, 0);
    for run in runs.iter().filter(|run| stills[run.start].video.is_none()) {
        let part = &parts[&stills[run.start].part()];
        let before = part.partition_point(|i| *i < run.start);
        let others = part.len() - run.len();
        for i in run.clone().filter(|_| others > 0) {
            let drawn = draws.below(others as u64) as usize;
            let other = part[if drawn < before { drawn } else { drawn + run.len() }];
            joined += usize::from(alike(&stills[i], &stills[other]));
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
    use crate::record::{Emotion, Split};

    #[test]
    fn neighbours_in_one_place_are_one_video() {
        let mut all =
            [1, 1, 1, 2, 2, 3].map(|p| drawn(&p.to_string(), Split::Train, place(p))).to_vec();
        all.push(drawn("x", Split::Test, place(3))); // another split
        let mut known = drawn("y", Split::Test, place(3));
        known.video = Some("clip".into());
        all.push(known);
        let found = runs(&all);
        assert_eq!(found, [0..3, 3..5, 5..6, 6..7, 7..8]);
        // Six of train have others outside of their runs; that of test and the known one do not.
        assert_eq!(runs_by_chance(&all, &found, 1), (0, 6));
    }

    #[test]
    fn stills_without_a_background_are_joined_by_hashes_that_say_something() {
        let still = |hash| ImageEntry { look: None, hash, ..drawn("a", Split::Train, place(1)) };
        assert!(together(&still(0xF0F0), &still(0xF0F1)));
        assert!(!together(&still(0xF0F0), &still(!0xF0F0)));
        assert!(!together(&still(UNINFORMATIVE), &still(UNINFORMATIVE)));
        assert!(!together(&still(UNINFORMATIVE), &still(1)));
    }

    #[test]
    fn the_control_tells_few_long_videos_from_many_videos_of_few_places() {
        let still = |i: usize, at: usize| drawn(&i.to_string(), Split::Train, place(at));
        // Four videos of thirty pictures, each of its own place.
        let videos: Vec<ImageEntry> = (0..120).map(|i| still(i, i / 30)).collect();
        assert_eq!(runs_by_chance(&videos, &runs(&videos), 1), (0, 120));
        // Sixty videos of two pictures in four places.
        let few: Vec<ImageEntry> = (0..120).map(|i| still(i, i / 2 % 4)).collect();
        let (joined, tried) = runs_by_chance(&few, &runs(&few), 1);
        assert!(tried == 120 && (15..=45).contains(&joined), "{joined}");
        // One place that all videos of one class show, and another class beside it.
        let one = |i: usize| {
            let emotion = if i < 60 { Emotion::Fear } else { Emotion::Sad };
            ImageEntry { emotion, ..still(i, 1) }
        };
        let same: Vec<ImageEntry> = (0..120).map(one).collect();
        assert_eq!(runs_by_chance(&same, &runs(&same), 1), (120, 120));
        assert_eq!(runs_by_chance(&same[..60], &runs(&same[..60]), 1), (0, 0));
    }
}
