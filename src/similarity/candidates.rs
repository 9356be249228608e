//! Which of many pictures may be altered copies of each other, so that comparing them pays.
use std::{cmp::Reverse, collections::BTreeMap, io, ops::Range};

use rayon::prelude::*;

use super::{
    keypoints::Descriptor,
    pdq::{Hashed, Pdq, LEAST_QUALITY},
    view::{View, WIDE_RADIUS},
    words::{Ballot, Filling, KeyCounts, Words, MOST_PICTURES},
};

/// Pictures of each kind that one is compared with at most, those that are likest: by hash, and by
/// corners. Among 13,575 pictures 10 of 763 copies that no hash finds have 12 better ones.
const TRIED_BY_HASH: usize = 24;
const TRIED_BY_CORNERS: usize = 12;
/// Bits of a band of the hash that are looked up; neighbouring keys, one bit apart, too.
const BAND_BITS: u32 = 16;
const BANDS: usize = 16;

/// Pictures that are indexed at once: what is held beside them does not grow with their number.
const BLOCK: usize = MOST_PICTURES;
/// Pictures that are read at once.
const CHUNK: usize = 256;

/// What a picture is found by.
#[derive(Debug, Default)]
pub struct Signs {
    /// Its hash; `None` where it cannot be looked at.
    pub hash: Option<Hashed>,
    /// Its corners.
    pub corners: Vec<Descriptor>,
}

/// Pictures by position, in memory or not; fewer than 2^32.
pub trait Pictures: Sync {
    /// How many there are.
    fn count(&self) -> usize;

    /// What those of a range are found by, in order.
    ///
    /// # Errors
    /// When they lie in a file that cannot be read.
    fn signs(&self, range: Range<usize>) -> io::Result<Vec<Signs>>;
}

impl Pictures for [Option<&View>] {
    fn count(&self) -> usize {
        self.len()
    }

    fn signs(&self, range: Range<usize>) -> io::Result<Vec<Signs>> {
        let signs = |view: &Option<&View>| Signs {
            hash: view.map(|v| v.hash),
            corners: view
                .map_or_else(Vec::new, |v| v.keypoints.iter().map(|k| k.descriptor).collect()),
        };
        Ok(self[range].iter().map(signs).collect())
    }
}

/// The likest pictures of one so far: weights of votes or bits, positions and kinds.
struct Likest<K> {
    corners: Ranked<Reverse<u32>, K>,
    hashes: Ranked<u32, K>,
}

/// Positions by rank, with their kinds. There is one for every picture and most are empty, so that a pointer
/// more would be felt.
type Ranked<T, K> = Box<[(T, u32, K)]>;

impl<K> Default for Likest<K> {
    fn default() -> Self {
        Likest { corners: Box::default(), hashes: Box::default() }
    }
}

/// Pairs of positions, the smaller first, of pictures whose hashes are near or that have corners in
/// common, out of those for which `asked(a, b)` says that anybody wants to know, and of which kind they are;
/// ascending and without doubles. Kinds do not crowd each other out: a picture with a hundred of its scene in its
/// own part is still compared with its like in another.
///
/// # Errors
/// As [`Pictures::signs`].
pub fn candidates<P: Pictures + ?Sized, K: Ord + Copy + Send>(
    pictures: &P,
    asked: impl Fn(usize, usize) -> Option<K> + Sync,
) -> io::Result<Vec<(u32, u32)>> {
    in_blocks(pictures, BLOCK, asked)
}

fn in_blocks<P: Pictures + ?Sized, K: Ord + Copy + Send>(
    pictures: &P,
    size: usize,
    asked: impl Fn(usize, usize) -> Option<K> + Sync,
) -> io::Result<Vec<(u32, u32)>> {
    let n = pictures.count();
    let mut counts = KeyCounts::default();
    for range in ranges(0..n) {
        pictures.signs(range)?.iter().for_each(|signs| counts.add(&signs.corners));
    }
    let mut likest: Vec<Likest<K>> = std::iter::repeat_with(Likest::default).take(n).collect();
    for start in (0..n).step_by(size) {
        let block = Block::new(pictures, start..(start + size).min(n), &counts)?;
        let learn = |ballot: &mut Ballot, (k, likest): (usize, &mut [Likest<K>])| {
            let first = CHUNK * k;
            let signs = pictures.signs(first..first + likest.len())?;
            for (i, (signs, likest)) in signs.iter().zip(likest).enumerate() {
                let own = first + i;
                let kind = |j: u32| asked(own, j as usize).filter(|_| j as usize != own);
                block.like((signs, &counts), ballot, kind, likest);
            }
            Ok(())
        };
        let chunks = likest.par_chunks_mut(CHUNK).enumerate();
        chunks.map_init(Ballot::default, learn).collect::<io::Result<()>>()?;
    }
    let of_one = |(i, likest): (usize, Likest<K>)| {
        let both = likest.corners.into_vec().into_iter().map(|(_, j, _)| j);
        let both = both.chain(likest.hashes.into_vec().into_iter().map(|(_, j, _)| j));
        both.map(move |j| (j.min(i as u32), j.max(i as u32)))
    };
    let mut pairs: Vec<(u32, u32)> = likest.into_iter().enumerate().flat_map(of_one).collect();
    pairs.par_sort_unstable();
    pairs.dedup();
    Ok(pairs)
}

fn ranges(all: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    all.clone().step_by(CHUNK).map(move |start| start..(start + CHUNK).min(all.end))
}

/// Pictures from `start` on that can be looked up.
struct Block {
    start: u32,
    words: Words,
    hashes: Hashes,
}

impl Block {
    fn new<P: Pictures + ?Sized>(
        pictures: &P,
        range: Range<usize>,
        counts: &KeyCounts,
    ) -> io::Result<Self> {
        let (mut words, mut hashes) = (Filling::default(), Vec::with_capacity(range.len()));
        for range in ranges(range.clone()) {
            for signs in pictures.signs(range)? {
                words.count(&signs.corners, counts);
                hashes.push(signs.hash);
            }
        }
        words.make_room();
        for chunk in ranges(range.clone()) {
            for (i, signs) in pictures.signs(chunk.clone())?.iter().enumerate() {
                words.put((chunk.start + i - range.start) as u16, &signs.corners, counts);
            }
        }
        let words = words.done(range.len());
        Ok(Block { start: range.start as u32, words, hashes: Hashes::new(hashes) })
    }

    fn like<K: Ord + Copy>(
        &self,
        (signs, counts): (&Signs, &KeyCounts),
        ballot: &mut Ballot,
        kind: impl Fn(u32) -> Option<K>,
        likest: &mut Likest<K>,
    ) {
        let Some(hash) = signs.hash else { return };
        let like = self.words.like(signs.corners.iter(), counts, ballot).into_iter();
        let like = like.map(|(weight, j)| (Reverse(weight), self.start + j));
        add(&mut likest.corners, like, TRIED_BY_CORNERS, &kind);
        let near = self.hashes.near(&hash).into_iter().map(|(bits, j)| (bits, self.start + j));
        add(&mut likest.hashes, near, TRIED_BY_HASH, &kind);
    }
}

/// Adds to those that are likest, of which no more than `most` of a kind stay; those of none are left out.
/// Nobody is found twice.
fn add<T: Ord + Copy, K: Ord + Copy>(
    likest: &mut Ranked<T, K>,
    found: impl Iterator<Item = (T, u32)>,
    most: usize,
    kind: impl Fn(u32) -> Option<K>,
) {
    let mut found = found.filter_map(|(rank, j)| Some((rank, j, kind(j)?))).peekable();
    if found.peek().is_none() {
        return;
    }
    // Found are thousands, and few of them stay: they are not sorted.
    let mut kept: BTreeMap<K, Vec<(T, u32)>> = BTreeMap::new();
    for (rank, j, kind) in std::mem::take(likest).into_vec().into_iter().chain(found) {
        let (own, kept) = ((rank, j), kept.entry(kind).or_default());
        if kept.len() == most && kept.last().is_some_and(|last| *last < own) {
            continue;
        }
        kept.insert(kept.partition_point(|other| *other < own), own);
        kept.truncate(most);
    }
    let of_kind =
        |(kind, kept): (K, Vec<(T, u32)>)| kept.into_iter().map(move |(rank, j)| (rank, j, kind));
    *likest = kept.into_iter().flat_map(of_kind).collect();
}

/// Hashes by the values of their bands.
struct Hashes {
    hashes: Vec<Option<Hashed>>,
    /// Where the positions of each band and value begin.
    starts: Vec<u32>,
    positions: Vec<u32>,
}

fn band(hash: Pdq, band: usize) -> u32 {
    (hash.0[band / 4] >> (BAND_BITS as usize * (band % 4))) as u32 & ((1 << BAND_BITS) - 1)
}

/// Band and value in one number.
fn slot(at: usize, value: u32) -> usize {
    at << BAND_BITS | value as usize
}

impl Hashes {
    fn new(hashes: Vec<Option<Hashed>>) -> Self {
        let slots = || {
            let hashes = hashes.iter().enumerate();
            let telling = hashes.filter_map(|(i, h)| Some((i, (*h)?)));
            let telling = telling.filter(|(_, h)| h.quality >= LEAST_QUALITY);
            telling
                .flat_map(|(i, h)| (0..BANDS).map(move |at| (i as u32, slot(at, band(h.own, at)))))
        };
        let mut starts = vec![0u32; (BANDS << BAND_BITS) + 1];
        slots().for_each(|(_, slot)| starts[slot + 1] += 1);
        (0..BANDS << BAND_BITS).for_each(|slot| starts[slot + 1] += starts[slot]);
        let mut next = starts.clone();
        let mut positions = vec![0; starts[BANDS << BAND_BITS] as usize];
        for (i, slot) in slots() {
            positions[next[slot] as usize] = i;
            next[slot] += 1;
        }
        Hashes { hashes, starts, positions }
    }

    /// (bits, position) of hashes that share a band with this or its mirror image, up to a bit.
    fn near(&self, own: &Hashed) -> Vec<(u32, u32)> {
        let mut found = Vec::new();
        if own.quality < LEAST_QUALITY {
            return found;
        }
        for hash in [own.own, own.mirrored] {
            for at in 0..BANDS {
                let value = band(hash, at);
                for flip in std::iter::once(0).chain((0..BAND_BITS).map(|bit| 1 << bit)) {
                    let slot = slot(at, value ^ flip);
                    let held = self.starts[slot] as usize..self.starts[slot + 1] as usize;
                    let bits = |j: u32| Some(hash.distance(self.hashes[j as usize]?.own));
                    let near = self.positions[held].iter().filter_map(|&j| Some((bits(j)?, j)));
                    found.extend(near.filter(|(bits, _)| *bits <= WIDE_RADIUS));
                }
            }
        }
        found.sort_unstable_by_key(|(bits, j)| (*j, *bits));
        found.dedup_by_key(|(_, j)| *j);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            plane::Area,
            view::{tests::scene, KEYPOINTS},
        },
        *,
    };

    #[test]
    fn sisters_in_its_own_part_do_not_crowd_out_the_like_of_a_picture() {
        // Forty pictures of one part that are all but the same, and of another one a crop of them.
        let picture = scene(3, 320, 180);
        let crop =
            View::of(&picture.cut(Area { x: 32, y: 18, width: 256, height: 144 }), KEYPOINTS);
        let whole = View::of(&picture, KEYPOINTS);
        let mut views = vec![Some(&whole); 40];
        views.push(Some(&crop));
        let across = |a: usize, b: usize| (a == 40) != (b == 40);
        let found = candidates(views.as_slice(), |a, b| Some(across(a, b))).unwrap();
        let reached = found.iter().filter(|(_, b)| *b == 40).count();
        assert_eq!(reached, 40, "each of the crowd sees the crop");
        assert!(found.len() < 40 + 40 * (TRIED_BY_HASH + TRIED_BY_CORNERS));
        let only = candidates(views.as_slice(), |a, b| across(a, b).then_some(())).unwrap();
        assert_eq!(only.len(), 40);
        for size in [1, 7, 40] {
            let in_small = in_blocks(views.as_slice(), size, |a, b| Some(across(a, b))).unwrap();
            assert_eq!(in_small, found, "indexed {size} at a time");
        }
    }
}
