//! Stills as the audit sees them, and when two of them are the same picture.
use std::cell::LazyCell;

use super::{
    features::ThumbnailFeatures,
    hash::{distance, mirrored, UNINFORMATIVE},
    windows::{self, window_difference, Sought, WINDOWS},
};
use crate::record::{Emotion, Split};

/// Bits in which hashes may differ for two pictures to be compared by their looks, which decide.
pub const RADIUS: u32 = 10;
/// Bits in which the hash of a window may differ from that of a picture for the two to be compared.
pub const WINDOW_RADIUS: u32 = 6;
/// Windows of a pair whose cells are compared, those with the nearest hashes.
const TRIED: usize = 4;
/// Bits in which pictures may differ that cannot be compared by their looks, and neighbours in
/// stored order.
pub const HASH_ALONE: u32 = 3;
/// Difference of looks up to which two pictures are the same. On one half of a planted corpus
/// copies reach 0.11 and other takes of the same scene start at 0.56: the geometric mean; see
/// `docs/measurements/audit.md`.
pub const SAME_PICTURE: f64 = 0.25;
/// The same for a window, whose edges were moved to where they fit best, and a picture.
pub const SAME_WINDOW: f64 = 0.12;

/// A picture as the audit sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageEntry {
    /// sample_id.
    pub id: String,
    /// 0 for the audited data set, 1 for the one it is held against.
    pub set: u8,
    /// The split.
    pub split: Split,
    /// The class.
    pub emotion: Emotion,
    /// What is known to be one video beforehand (clip or group), if anything is.
    pub video: Option<String>,
    /// SHA-256 of the file.
    pub sha256: String,
    /// The perceptual hash.
    pub hash: u64,
    /// What it looks like; `None` when only its hash is known.
    pub look: Option<ThumbnailFeatures>,
}

/// A part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// As in [`ImageEntry::set`].
    pub set: u8,
    /// The split.
    pub split: Split,
}

impl ImageEntry {
    /// The part it is in.
    pub fn part(&self) -> Part {
        Part { set: self.set, split: self.split }
    }
}

/// What counts as the same picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Bits in which hashes of whole pictures may differ, 0..=64.
    pub radius: u32,
    /// Whether one may be a crop of the other.
    pub crops: bool,
}

impl Default for Rule {
    fn default() -> Self {
        Rule { radius: RADIUS, crops: true }
    }
}

/// How alike two stills are that are the same picture; nearer ones are smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Likeness {
    /// Whether one shows a part of the other.
    pub cropped: bool,
    /// Differing bits of the hashes that are nearest.
    pub distance: u32,
    /// Whether one is the mirror image of the other.
    pub mirrored: bool,
    /// Difference of the looks in 1/1000 standard deviations; `None` where a picture is missing,
    /// so that hashes alone were compared.
    pub difference: Option<u32>,
}

/// A difference of looks in 1/1000 standard deviations when it is at most `most` of them.
fn within(difference: f64, most: f64) -> Option<u32> {
    (difference <= most).then(|| (1000.0 * difference).round() as u32)
}

impl Rule {
    /// Whether two stills are the same picture, and how.
    pub fn judge(&self, a: &ImageEntry, b: &ImageEntry) -> Option<Likeness> {
        self.uncropped(a, b).or_else(|| {
            let cut = |whole: &ImageEntry, part: &ImageEntry| {
                let windows = self.windows(whole).into_iter();
                let mut near: Vec<(u32, Query)> = windows
                    .filter_map(|query| Some((bits(query.hash, part.hash)?, query)))
                    .filter(|(bits, _)| *bits <= WINDOW_RADIUS)
                    .collect();
                near.sort_by_key(|(bits, _)| *bits);
                shown(whole, part, near.into_iter())
            };
            cut(a, b).into_iter().chain(cut(b, a)).min()
        })
    }

    /// The same for whole pictures.
    pub(super) fn uncropped(&self, a: &ImageEntry, b: &ImageEntry) -> Option<Likeness> {
        let queries = [(a.hash, false), (mirrored(a.hash), true)].into_iter();
        queries.filter_map(|(hash, flip)| self.whole(a, b, bits(hash, b.hash)?, flip)).min()
    }

    /// The likeness of whole pictures whose hashes differ in `distance` bits.
    pub(super) fn whole(
        &self,
        a: &ImageEntry,
        b: &ImageEntry,
        distance: u32,
        mirrored: bool,
    ) -> Option<Likeness> {
        let difference = match (&a.look, &b.look) {
            _ if distance > self.radius => return None,
            (Some(a), Some(b)) => Some(within(a.difference(b, mirrored), SAME_PICTURE)?),
            _ if distance <= HASH_ALONE => None,
            _ => return None,
        };
        Some(Likeness { cropped: false, distance, mirrored, difference })
    }

    /// The windows of a still, and what to search for to find pictures that show them.
    pub(super) fn windows(&self, whole: &ImageEntry) -> Vec<Query> {
        let look = whole.look.as_ref().filter(|_| self.crops && whole.hash != UNINFORMATIVE);
        let hashes = look.map(windows::hashes).unwrap_or_default();
        let both = |(window, &hash): (usize, &u64)| {
            [(hash, false), (mirrored(hash), true)].map(|(hash, mirrored)| Query {
                hash,
                window,
                mirrored,
            })
        };
        hashes.iter().enumerate().flat_map(both).collect()
    }
}

/// A window of a still as something to search for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query {
    pub hash: u64,
    window: usize,
    mirrored: bool,
}

/// The likeness of `part` and the first window of `whole` that shows it, out of the first few of
/// `near`: windows with the bits in which their hashes differ from the part's, nearest first.
pub(super) fn shown(
    whole: &ImageEntry,
    part: &ImageEntry,
    near: impl Iterator<Item = (u32, Query)>,
) -> Option<Likeness> {
    let (whole, part) = (whole.look.as_ref()?, part.look.as_ref()?);
    let sought = [false, true].map(|mirrored| LazyCell::new(move || Sought::new(part, mirrored)));
    near.take(TRIED).find_map(|(distance, Query { window, mirrored, .. })| {
        let sought = &sought[usize::from(mirrored)];
        let difference = window_difference(whole, WINDOWS[window], sought, SAME_WINDOW);
        let difference = Some(within(difference, SAME_WINDOW)?);
        Some(Likeness { cropped: true, distance, mirrored, difference })
    })
}

/// Differing bits, when both say enough.
fn bits(a: u64, b: u64) -> Option<u32> {
    (a != UNINFORMATIVE && b != UNINFORMATIVE).then(|| distance(a, b))
}

#[cfg(test)]
pub(super) mod tests {
    use super::{
        super::{
            features::tests::{room, thumbnail},
            hash,
        },
        *,
    };

    /// A still of drawn levels, 320 x 320 pixels.
    pub(in crate::similarity) fn drawn(
        id: &str,
        split: Split,
        levels: impl Fn(usize, usize) -> u8,
    ) -> ImageEntry {
        let thumbnail = thumbnail(levels);
        ImageEntry {
            id: id.into(),
            set: 0,
            split,
            emotion: Emotion::Fear,
            video: None,
            sha256: id.into(),
            hash: hash::hash(&thumbnail),
            look: Some(ThumbnailFeatures::new(&thumbnail)),
        }
    }

    /// Room number `n`.
    pub(in crate::similarity) fn place(n: usize) -> impl Fn(usize, usize) -> u8 {
        move |x, y| {
            let (u, v) = (x as f64 / 50.0, y as f64 / 50.0);
            let n = n as f64;
            let bend = (u * (1.0 + 0.37 * n) + v * (2.0 - 0.23 * n)).sin()
                + (u * v * (0.4 + 0.11 * n)).cos();
            (120.0 + 50.0 * bend) as u8
        }
    }

    #[test]
    fn looks_decide_among_near_hashes_and_hashes_alone_without_them() {
        let own = drawn("a", Split::Train, place(1));
        let rule = Rule::default();
        let copy = drawn("b", Split::Test, |x, y| place(1)(x, y) / 2 + 40);
        let found = rule.judge(&own, &copy).expect("a copy");
        assert_eq!(
            (found.cropped, found.mirrored, found.difference.is_some()),
            (false, false, true)
        );
        // The same bits, another look: not the same.
        let other = ImageEntry { hash: own.hash, ..drawn("c", Split::Test, place(2)) };
        assert_eq!(rule.judge(&own, &other), None);
        let unseen = |flips: u64| ImageEntry { hash: own.hash ^ flips, look: None, ..own.clone() };
        let alone =
            |distance| Likeness { cropped: false, distance, mirrored: false, difference: None };
        assert_eq!(rule.judge(&own, &unseen(0b111)), Some(alone(3)));
        assert_eq!(rule.judge(&unseen(0b1111), &own), None);
        let plain = ImageEntry { hash: UNINFORMATIVE, ..own.clone() };
        assert_eq!(rule.judge(&plain, &plain), None);
    }

    #[test]
    fn crops_are_told_whichever_comes_first() {
        let level = |x: f64, y: f64| room(x, y);
        let whole = drawn("a", Split::Train, |x, y| level(x as f64, y as f64));
        let part = drawn("b", Split::Test, |x, y| {
            level(25.0 + 0.9 * (319 - x) as f64, 15.0 + 0.9 * y as f64)
        });
        let rule = Rule::default();
        for (a, b) in [(&whole, &part), (&part, &whole)] {
            let found = rule.judge(a, b).expect("a crop");
            assert!(found.cropped && found.mirrored && found.difference.is_some(), "{found:?}");
            assert_eq!(Rule { crops: false, ..rule }.judge(a, b), None);
        }
    }
}
