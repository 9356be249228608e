//! Clips that are altered copies of each other by the views of their moments: one a second, what a
//! still is recognised by, packed into words; and the finer hashes of a clip behind them.
use std::{collections::BTreeMap, io, ops::Range};

use rayon::prelude::*;

use super::{
    candidates::{candidates, Pictures, Signs},
    cells::Cells,
    features::ThumbnailFeatures,
    images::{CERTAIN, SAME_PICTURE},
    keypoints::Keypoint,
    pdq::{Hashed, Pdq},
    plane::Plane,
    view::View,
    Watch,
};
use crate::words::Words;

/// Seconds from one view to the next.
pub const SECONDS: f64 = 1.0;
/// Keypoints of a moment.
pub const KEYPOINTS: usize = 48;
/// Cells along a side that are kept of a moment.
const SIDE: usize = 32;
/// Words of a view beside its keypoints: the head, the area, two hashes and the cells.
const FIXED: usize = 2 + 8 + SIDE * SIDE / 8;
/// Words of a keypoint.
const OF_KEYPOINT: usize = 5;
/// Largest side of a picture in which keypoints lie.
const MOST_PIXELS: usize = 4096;

/// Two clips of which one is an altered copy of the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AlteredClips {
    /// Position of one clip.
    pub a: usize,
    /// Position of the other, larger.
    pub b: usize,
    /// Moments of either that have their like in the other.
    pub moments: usize,
    /// Moments of the shorter.
    pub of: usize,
    /// Whether one is the mirror image of the other.
    pub mirrored: bool,
    /// Seconds by which the second starts later in the first.
    pub shift_s: f64,
}

/// The view of a moment as words, to be kept with those of others of its clip.
pub fn packed(picture: &Plane) -> Vec<u64> {
    let view = View::of(picture, KEYPOINTS);
    let [width, height] = view.cells.size().map(|side| side as u64);
    let count = view.keypoints.len() as u64;
    let quality = u64::from(view.hash.quality);
    let share = |v: f32| u64::from((v.clamp(0.0, 1.0) * 65_535.0).round() as u16);
    let area = view.area.iter().fold(0, |word, v| word << 16 | share(*v));
    let mut words = vec![count << 48 | width << 32 | height << 16 | quality, area];
    words.extend(view.hash.own.0);
    words.extend(view.hash.mirrored.0);
    words.extend(view.cells.smaller(SIDE).chunks_exact(8).map(word_of));
    for k in &view.keypoints {
        words.push(u64::from(k.x) << 16 | u64::from(k.y));
        words.extend(k.descriptor);
    }
    words
}

/// The views of a clip's moments; those in front of the first that makes no sense, so that strange
/// words are no more than fewer views.
#[cfg(test)]
pub fn unpacked(mut words: &[u64]) -> Vec<View> {
    let mut views = Vec::new();
    while let Some((view, rest)) = first(words) {
        views.push(view);
        words = rest;
    }
    views
}

/// Whether pictures whose hashes are near, and of which these are the views, are the same; `None` where words
/// make no sense. The rule is that of the audit ([`super::images::Rule`]) at the cells of views.
pub fn same_picture(own: &[u64], other: &[u64], mirrored: bool) -> Option<bool> {
    let look = |words: &[u64]| length(words).map(|_| ThumbnailFeatures::of_cells(levels(words)));
    let difference = look(own)?.difference(&look(other)?, mirrored);
    if difference <= CERTAIN || difference > SAME_PICTURE {
        return Some(difference <= CERTAIN);
    }
    let ((own, _), (other, _)) = (first(own)?, first(other)?);
    Some(own.copy_as_it_lies(&other).is_some())
}

/// The first word of finer hashes, with their number: as a view it would be without width.
const FINE_HEAD: u64 = 0xF1FE << 48;

/// Words of a clip's finer hashes, to be kept behind its views.
pub fn packed_hashes(hashes: &[u64]) -> impl Iterator<Item = u64> + '_ {
    std::iter::once(FINE_HEAD | hashes.len() as u64).chain(hashes.iter().copied())
}

/// The finer hashes behind a clip's views; none where there are none, or words that make no sense.
fn hashes_behind(words: &[u64]) -> &[u64] {
    let views: usize = Heads(words).map(|own| length(own).unwrap_or_default()).sum();
    match words[views..].split_first() {
        Some((head, hashes)) if *head == FINE_HEAD | hashes.len() as u64 => hashes,
        _ => &[],
    }
}

/// The finer hashes of many clips.
#[derive(Debug, Default)]
pub struct Fine {
    hashes: Vec<u64>,
    /// Where each clip's begin; one more than there are clips.
    starts: Vec<usize>,
}

impl Fine {
    /// Reads what stands behind the clips' views.
    ///
    /// # Errors
    /// When views lie in a file that cannot be read.
    pub fn of<'a>(clips: impl Iterator<Item = Option<&'a Words>>) -> io::Result<Self> {
        let mut fine = Fine { hashes: Vec::new(), starts: vec![0] };
        for words in clips {
            if let Some(words) = words {
                fine.hashes.extend_from_slice(hashes_behind(&words.get()?));
            }
            fine.starts.push(fine.hashes.len());
        }
        Ok(fine)
    }

    /// The hashes of a clip; none when they are not known.
    pub fn of_clip(&self, clip: usize) -> &[u64] {
        &self.hashes[self.starts[clip]..self.starts[clip + 1]]
    }

    /// The same, or its signature when they are not known.
    pub fn or<'a>(&'a self, clip: usize, signature: &'a [u64]) -> &'a [u64] {
        match self.of_clip(clip) {
            [] => signature,
            fine => fine,
        }
    }
}

/// A number of the head.
fn part(head: u64, shift: u32) -> usize {
    (head >> shift) as usize & 0xFFFF
}

/// Words of the first view; `None` where they make no sense.
fn length(words: &[u64]) -> Option<usize> {
    let head = *words.first()?;
    let (count, width, height) = (part(head, 48), part(head, 32), part(head, 16));
    let fits = (1..=MOST_PIXELS).contains(&width) && (1..=MOST_PIXELS).contains(&height);
    let length = FIXED + OF_KEYPOINT * count;
    (fits && words.len() >= length).then_some(length)
}

fn hashed(words: &[u64]) -> Hashed {
    let hash = |at: usize| Pdq([words[at], words[at + 1], words[at + 2], words[at + 3]]);
    Hashed { own: hash(2), mirrored: hash(6), quality: part(words[0], 0) as u32 }
}

/// The cells of the first view, `[32, 32]`.
fn levels(words: &[u64]) -> Vec<u8> {
    words[10..FIXED].iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn first(words: &[u64]) -> Option<(View, &[u64])> {
    let length = length(words)?;
    let (width, height) = (part(words[0], 32), part(words[0], 16));
    let share = |i: u32| (words[1] >> (48 - 16 * i) & 0xFFFF) as f32 / 65_535.0;
    let keypoint = |k: &[u64]| Keypoint {
        x: (k[0] >> 16) as u16,
        y: k[0] as u16,
        descriptor: [k[1], k[2], k[3], k[4]],
    };
    let view = View {
        area: [share(0), share(1), share(2), share(3)],
        hash: hashed(words),
        cells: Cells::of(&Plane::new(SIDE, SIDE, levels(words))?, (width, height)),
        keypoints: words[FIXED..length].chunks_exact(OF_KEYPOINT).map(keypoint).collect(),
    };
    Some((view, &words[length..]))
}

fn word_of(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Moments of clips in one row, read when they are looked at.
struct Moments<'a> {
    clips: &'a [Option<&'a Words>],
    /// Position of each clip's first moment, and that behind the last.
    starts: Vec<usize>,
}

impl<'a> Moments<'a> {
    fn of(clips: &'a [Option<&'a Words>]) -> io::Result<Self> {
        let count = |clip: &Option<&Words>| -> io::Result<usize> {
            let Some(words) = clip else { return Ok(0) };
            let words = words.get()?;
            Ok(Heads(&words).count())
        };
        let counts: Vec<usize> = clips.par_iter().map(count).collect::<io::Result<_>>()?;
        let starts = counts.iter().scan(0, |end, count| {
            *end += count;
            Some(*end)
        });
        Ok(Moments { clips, starts: std::iter::once(0).chain(starts).collect() })
    }

    fn of_clip(&self, clip: usize) -> usize {
        self.starts[clip + 1] - self.starts[clip]
    }

    /// Clip and number of a moment.
    fn place(&self, at: usize) -> (usize, usize) {
        let clip = self.starts.partition_point(|start| *start <= at) - 1;
        (clip, at - self.starts[clip])
    }

    fn view(&self, at: usize) -> io::Result<Option<View>> {
        let (clip, moment) = self.place(at);
        let Some(words) = self.clips[clip] else { return Ok(None) };
        let words = words.get()?;
        let view = Heads(&words).nth(moment);
        Ok(view.and_then(|words| first(words)).map(|(view, _)| view))
    }
}

impl Pictures for Moments<'_> {
    fn count(&self) -> usize {
        self.starts.last().copied().unwrap_or_default()
    }

    fn signs(&self, range: Range<usize>) -> io::Result<Vec<Signs>> {
        let mut found = Vec::with_capacity(range.len());
        let mut at = range.start;
        while at < range.end {
            let (clip, moment) = self.place(at);
            let words = self.clips[clip].map(Words::get).transpose()?.unwrap_or_default();
            let upto = self.starts[clip + 1].min(range.end);
            found.extend(Heads(&words).skip(moment).take(upto - at).map(signs));
            at = upto;
        }
        Ok(found)
    }
}

/// The views of a clip one after the other, as the words from each on.
struct Heads<'a>(&'a [u64]);

impl<'a> Iterator for Heads<'a> {
    type Item = &'a [u64];

    fn next(&mut self) -> Option<&'a [u64]> {
        let own = self.0;
        self.0 = &own[length(own)?..];
        Some(own)
    }
}

/// What a view is found by.
fn signs(words: &[u64]) -> Signs {
    let (hash, count) = (hashed(words), part(words[0], 48));
    let corners = words[FIXED..].chunks_exact(OF_KEYPOINT).take(count);
    Signs { hash: Some(hash), corners: corners.map(|k| [k[1], k[2], k[3], k[4]]).collect() }
}

/// The pairs of clips, out of those for which `asked(a, b)` says that anybody wants to know, of which
/// at least half of the moments of the shorter have their like in the other, all mirrored or none;
/// in order of position.
///
/// # Errors
/// When views lie in a file that cannot be read.
pub fn altered_clips(
    clips: &[Option<&Words>],
    asked: impl Fn(usize, usize) -> bool + Sync,
    watch: Watch<'_>,
) -> io::Result<Vec<AlteredClips>> {
    let moments = Moments::of(clips)?;
    let pairs = candidates(&moments, |i, j| {
        let (a, b) = (moments.place(i).0, moments.place(j).0);
        (a != b && asked(a, b)).then_some(())
    })?;
    let judged = |&(i, j): &(u32, u32)| {
        let (i, j) = (i as usize, j as usize);
        watch(pairs.len());
        let (Some(own), Some(other)) = (moments.view(i)?, moments.view(j)?) else {
            return Ok(None);
        };
        let copy = own.copy(&other);
        Ok(copy.map(|(change, _)| (moments.place(i), moments.place(j), change.mirrored)))
    };
    let judged = pairs.par_iter().map(judged).filter_map(io::Result::transpose);
    let found: Vec<_> = judged.collect::<io::Result<_>>()?;
    let mut by_clips: BTreeMap<(usize, usize, bool), Vec<(usize, usize)>> = BTreeMap::new();
    for ((a, i), (b, j), mirrored) in found {
        by_clips.entry((a, b, mirrored)).or_default().push((i, j));
    }
    let mut best: BTreeMap<(usize, usize), AlteredClips> = BTreeMap::new();
    for ((a, b, mirrored), alike) in by_clips {
        let of = moments.of_clip(a).min(moments.of_clip(b));
        let like = distinct(alike.iter().map(|m| m.0)).min(distinct(alike.iter().map(|m| m.1)));
        let shifts: f64 = alike.iter().map(|(i, j)| *i as f64 - *j as f64).sum();
        // Added, as what rounds to nothing from below has a sign.
        let shift_s = SECONDS * (shifts / alike.len() as f64).round() + 0.0;
        let pair = AlteredClips { a, b, moments: like, of, mirrored, shift_s };
        if 2 * like >= of && best.get(&(a, b)).is_none_or(|other| other.moments < like) {
            best.insert((a, b), pair);
        }
    }
    Ok(best.into_values().collect())
}

fn distinct(positions: impl Iterator<Item = usize>) -> usize {
    positions.collect::<std::collections::BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::{super::view::tests::scene, *};

    #[test]
    fn views_come_back_from_words_and_strange_words_are_no_views() {
        let pictures = [scene(1, 480, 270), scene(2, 480, 270)];
        let words: Vec<u64> = pictures.iter().flat_map(packed).collect();
        let views = unpacked(&words);
        assert_eq!(views.len(), 2);
        let whole = View::of(&pictures[1], KEYPOINTS);
        assert_eq!((views[1].hash, &views[1].keypoints), (whole.hash, &whole.keypoints));
        assert_eq!(views[1].area, [0.0, 0.0, 1.0, 1.0]);
        assert_eq!(unpacked(&words[..words.len() - 1]).len(), 1);
        for strange in [&[][..], &[0], &[u64::MAX; 300], &[1; 200]] {
            assert!(unpacked(strange).is_empty());
        }
    }

    #[test]
    fn finer_hashes_stand_behind_the_views() {
        let view = packed(&scene(1, 480, 270));
        let hashes = [7, u64::MAX, 0, 9];
        let behind = |views: &[u64], hashes: &[u64]| -> Words {
            views.iter().copied().chain(packed_hashes(hashes)).collect::<Vec<u64>>().into()
        };
        let none = Words::from(view.clone());
        let strange = Words::from(vec![FINE_HEAD | 5, 1, 2]);
        let clips = [
            behind(&[view.clone(), view.clone()].concat(), &hashes),
            none,
            behind(&[], &hashes[1..]),
            behind(&view, &[]),
            strange,
        ];
        assert_eq!(unpacked(&clips[0].get().expect("held")).len(), 2);
        let fine = Fine::of(clips.iter().map(Some).chain([None])).expect("held");
        let found: Vec<&[u64]> = (0..6).map(|clip| fine.of_clip(clip)).collect();
        assert_eq!(found, [&hashes[..], &[], &hashes[1..], &[], &[], &[]]);
        assert_eq!((fine.or(0, &[3]), fine.or(1, &[3])), (&hashes[..], &[3][..]));
    }

    #[test]
    fn a_clip_that_stands_still_is_no_copy_of_one_that_passes_its_picture() {
        let clip = |seeds: &[u64]| {
            let words = seeds.iter().flat_map(|s| packed(&scene(*s, 480, 270)));
            Words::from(words.collect::<Vec<_>>())
        };
        // Four moments of one are like one moment of the other.
        let clips = [clip(&[1, 1, 1, 1]), clip(&[1, 12, 13, 14])];
        let clips: Vec<_> = clips.iter().map(Some).collect();
        assert!(altered_clips(&clips, |_, _| true, &|_| ()).expect("held").is_empty());
    }

    #[test]
    fn clips_join_when_half_of_their_moments_do_and_not_by_one_frame_of_many() {
        let clip = |seeds: &[u64], mirror: bool| {
            let picture = |seed: &u64| {
                let own = scene(*seed, 480, 270);
                if mirror {
                    own.mirrored()
                } else {
                    own
                }
            };
            Words::from(seeds.iter().flat_map(|s| packed(&picture(s))).collect::<Vec<_>>())
        };
        let clips = [
            clip(&[1, 2, 3, 4], false),
            clip(&[2, 3, 4], true),
            clip(&[4, 11, 12], false),
            clip(&[], false),
        ];
        let clips: Vec<_> = clips.iter().map(Some).chain([None]).collect();
        let told = [AtomicUsize::new(0), AtomicUsize::new(0)];
        let watch = |all: usize| {
            told[0].fetch_add(1, Ordering::Relaxed);
            told[1].store(all, Ordering::Relaxed);
        };
        let found = altered_clips(&clips, |_, _| true, &watch).expect("held");
        let [told, all] = told.map(AtomicUsize::into_inner);
        assert!(told == all && told >= 3, "{told} of {all}");
        let facts: Vec<_> = found.iter().map(|p| (p.a, p.b, p.moments, p.of, p.mirrored)).collect();
        assert_eq!(facts, [(0, 1, 3, 3, true)]);
        assert_eq!(found[0].shift_s, 1.0);
        // The last moment is a second late: a third of one in the mean, from below, is nothing.
        let clips = [clip(&[1, 2, 3], false), clip(&[1, 2, 11, 3], false)];
        let clips: Vec<_> = clips.iter().map(Some).collect();
        let found = altered_clips(&clips, |_, _| true, &|_| ()).expect("held");
        assert_eq!(found[0].shift_s.to_bits(), 0.0f64.to_bits());
        assert!(altered_clips(&clips, |_, _| false, &|_| ()).expect("held").is_empty());
    }
}
