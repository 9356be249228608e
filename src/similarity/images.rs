//! Stills as the audit sees them, and when two of them are the same picture.
use super::{
    features::ThumbnailFeatures,
    hash::{distance, mirrored, UNINFORMATIVE},
    view::{Change, View},
};
use crate::record::{Emotion, Split};

/// Bits in which hashes may differ for two pictures to be compared by their looks, which decide.
pub const RADIUS: u32 = 10;
/// Bits in which pictures may differ that cannot be compared by their looks, and neighbours in
/// stored order.
pub const HASH_ALONE: u32 = 3;
/// Difference of looks up to which two pictures are the same. On one half of a planted corpus
/// copies reach 0.11 and other takes of the same scene start at 0.56: the geometric mean; see
/// `docs/measurements/audit.md`.
pub const SAME_PICTURE: f64 = 0.25;

/// Difference of looks up to which they decide alone; beyond it pictures are laid over each other where
/// that can be done. Of talking heads in front of a camera that stands still, moments two seconds apart start
/// at 0.086, while nine of ten copies that hashes find stay below 0.06.
pub const CERTAIN: f64 = 0.06;

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
    /// What altered copies of it are recognised by; `None` when nobody asked for them.
    pub view: Option<View>,
}

/// A part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SetPart {
    /// As in [`ImageEntry::set`].
    pub set: u8,
    /// The split.
    pub split: Split,
}

impl ImageEntry {
    /// The part it is in.
    pub fn part(&self) -> SetPart {
        SetPart { set: self.set, split: self.split }
    }
}

/// What counts as the same picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Bits in which hashes of whole pictures may differ, 0..=64.
    pub radius: u32,
    /// Whether one may be an altered copy of the other: cropped, turned, with bars, a logo,
    /// subtitles or another picture on top.
    pub altered: bool,
}

impl Default for Rule {
    fn default() -> Self {
        Rule { radius: RADIUS, altered: true }
    }
}

/// How alike two stills are that are the same picture; nearer ones are smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Likeness {
    /// What was done to the first to make the second, beyond compression, scale and brightness;
    /// `None` when nothing was.
    pub change: Option<Change>,
    /// Differing bits of the hashes.
    pub distance: u32,
    /// Whether one is the mirror image of the other.
    pub mirrored: bool,
    /// Difference of the looks in 1/1000 standard deviations, of altered copies where nothing is
    /// hidden; `None` where a picture is missing, so that hashes alone were compared.
    pub difference: Option<u32>,
}

impl Likeness {
    /// Whether one shows a part of the other.
    pub fn cropped(&self) -> bool {
        self.change.is_some_and(|change| change.cropped())
    }

    /// The likeness of the second to the first.
    pub(super) fn reversed(self) -> Self {
        Likeness { change: self.change.map(Change::reversed), ..self }
    }
}

/// A difference of looks in 1/1000 standard deviations when it is at most `most` of them.
fn within(difference: f64, most: f64) -> Option<u32> {
    (difference <= most).then(|| (1000.0 * difference).round() as u32)
}

impl Rule {
    /// Whether two stills are the same picture, and how.
    pub fn judge(&self, a: &ImageEntry, b: &ImageEntry) -> Option<Likeness> {
        self.unaltered(a, b).or_else(|| self.altered(a, b))
    }

    /// The likeness of an altered copy.
    pub(super) fn altered(&self, a: &ImageEntry, b: &ImageEntry) -> Option<Likeness> {
        self.laid(a, b, View::copy)
    }

    fn laid(
        &self,
        a: &ImageEntry,
        b: &ImageEntry,
        copy: impl Fn(&View, &View) -> Option<(Change, f64)>,
    ) -> Option<Likeness> {
        let (own, other) = (a.view.as_ref()?, b.view.as_ref()?);
        if !self.altered {
            return None;
        }
        let (change, apart) = copy(own, other)?;
        let turned = if change.mirrored { mirrored(b.hash) } else { b.hash };
        let distance = bits(a.hash, turned).unwrap_or(u64::BITS);
        let (mirrored, difference) = (change.mirrored, Some((1000.0 * apart).round() as u32));
        Some(Likeness { change: Some(change), distance, mirrored, difference })
    }

    /// The same for whole pictures.
    pub(super) fn unaltered(&self, a: &ImageEntry, b: &ImageEntry) -> Option<Likeness> {
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
            (Some(look), Some(its)) => {
                let difference = look.difference(its, mirrored);
                let told = within(difference, SAME_PICTURE)?;
                if difference > CERTAIN && self.altered && a.view.is_some() && b.view.is_some() {
                    return self.laid(a, b, View::copy_as_it_lies);
                }
                Some(told)
            }
            _ if distance <= HASH_ALONE => None,
            _ => return None,
        };
        Some(Likeness { change: None, distance, mirrored, difference })
    }
}

/// Differing bits, when both say enough.
fn bits(a: u64, b: u64) -> Option<u32> {
    (a != UNINFORMATIVE && b != UNINFORMATIVE).then(|| distance(a, b))
}

#[cfg(test)]
pub(super) mod tests {
    use super::{
        super::{
            features::tests::room,
            hash::{self, Thumbnail},
            plane::Plane,
            view::KEYPOINTS,
        },
        *,
    };

    /// A still of drawn levels, 320 x 320 pixels.
    pub(in crate::similarity) fn drawn(
        id: &str,
        split: Split,
        levels: impl Fn(usize, usize) -> u8,
    ) -> ImageEntry {
        let pixels = (0..320 * 320).map(|i| levels(i % 320, i / 320)).collect();
        let plane = Plane::new(320, 320, pixels).expect("fits");
        let thumbnail = Thumbnail::of_pixels(&plane.pixels, 320, 320).expect("fits");
        ImageEntry {
            id: id.into(),
            set: 0,
            split,
            emotion: Emotion::Fear,
            video: None,
            sha256: id.into(),
            hash: hash::hash(&thumbnail),
            look: Some(ThumbnailFeatures::new(&thumbnail)),
            view: Some(View::of(&plane, KEYPOINTS)),
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
            (found.cropped(), found.mirrored, found.difference.is_some()),
            (false, false, true)
        );
        // The same bits, another look: not the same.
        let other = ImageEntry { hash: own.hash, ..drawn("c", Split::Test, place(2)) };
        assert_eq!(rule.judge(&own, &other), None);
        let hash = |hash: u64| ImageEntry { hash, look: None, view: None, ..own.clone() };
        let unseen = |flips: u64| hash(own.hash ^ flips);
        let alone =
            |distance| Likeness { change: None, distance, mirrored: false, difference: None };
        assert_eq!(rule.judge(&own, &unseen(0b111)), Some(alone(3)));
        assert_eq!(rule.judge(&unseen(0b1111), &own), None);
        let plain = ImageEntry { look: own.look.clone(), ..hash(UNINFORMATIVE) };
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
            assert!(found.cropped() && found.mirrored && found.difference.is_some(), "{found:?}");
            assert_eq!(Rule { altered: false, ..rule }.judge(a, b), None);
        }
    }
}
