//! Which of many pictures may be altered copies of each other, so that comparing them pays.
use std::collections::BTreeMap;

use rayon::prelude::*;

use super::{
    pdq::{Pdq, LEAST_QUALITY},
    view::{View, WIDE_RADIUS},
    words::{Ballot, Words},
};

/// Pictures of each kind that one is compared with at most, by hash and by corners each: those that are
/// likest.
const TRIED: usize = 24;
/// Bits of a band of the hash that are looked up; neighbouring keys, one bit apart, too.
const BAND_BITS: u32 = 16;
const BANDS: usize = 16;

/// Pairs of positions, the smaller first, of pictures whose hashes are near or that have corners in
/// common, out of those for which `asked(a, b)` says that anybody wants to know, and of which kind they are;
/// ascending and without doubles. Kinds do not crowd each other out: a picture with a hundred sisters in its
/// own part is still compared with its like in another. `None` is a picture that cannot be looked at.
pub fn candidates<K: Ord>(
    views: &[Option<&View>],
    asked: impl Fn(usize, usize) -> Option<K> + Sync,
) -> Vec<(usize, usize)> {
    let corners =
        |i: usize| views[i].into_iter().flat_map(|v| v.keypoints.iter().map(|k| &k.descriptor));
    let words = Words::new(corners, views.len());
    let hashes = Hashes::new(views);
    let of_one = |ballot: &mut Ballot, i: usize| {
        let Some(view) = views[i] else { return Vec::new() };
        let kind = |j: u32| asked(i, j as usize).filter(|_| j as usize != i);
        let mut like: Vec<(u16, u32)> = words.like(corners(i), ballot);
        like.sort_unstable_by_key(|(votes, j)| (std::cmp::Reverse(*votes), *j));
        let mut near = hashes.near(view);
        near.sort_unstable();
        let like = first_of_each(like.into_iter().map(|(_, j)| j), kind);
        let near = first_of_each(near.into_iter().map(|(_, j)| j), kind);
        like.into_iter().chain(near).map(|j| (i.min(j as usize), i.max(j as usize))).collect()
    };
    let found = (0..views.len()).into_par_iter().map_init(Ballot::default, of_one);
    let mut pairs: Vec<(usize, usize)> = found.flatten_iter().collect();
    pairs.par_sort_unstable();
    pairs.dedup();
    pairs
}

/// The first so many of each kind; those of none are left out.
fn first_of_each<K: Ord>(
    all: impl Iterator<Item = u32>,
    kind: impl Fn(u32) -> Option<K>,
) -> Vec<u32> {
    let mut counts: BTreeMap<K, usize> = BTreeMap::new();
    let fits = |j: &u32| {
        kind(*j).is_some_and(|kind| {
            let count = counts.entry(kind).or_default();
            *count += 1;
            *count <= TRIED
        })
    };
    all.filter(fits).collect()
}

/// Hashes by the values of their bands.
struct Hashes<'a> {
    views: &'a [Option<&'a View>],
    bands: BTreeMap<u32, Vec<u32>>,
}

fn band(hash: Pdq, band: usize) -> u32 {
    (hash.0[band / 4] >> (BAND_BITS as usize * (band % 4))) as u32 & ((1 << BAND_BITS) - 1)
}

/// Band and value in one number.
fn slot(at: usize, value: u32) -> u32 {
    (at as u32) << BAND_BITS | value
}

impl<'a> Hashes<'a> {
    fn new(views: &'a [Option<&'a View>]) -> Self {
        let mut bands: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (i, view) in views.iter().enumerate() {
            let telling = view.filter(|v| v.hash.quality >= LEAST_QUALITY);
            for (at, view) in telling.into_iter().flat_map(|v| (0..BANDS).map(move |at| (at, v))) {
                bands.entry(slot(at, band(view.hash.own, at))).or_default().push(i as u32);
            }
        }
        Hashes { views, bands }
    }

    /// (bits, position) of hashes that share a band with this or its mirror image, up to a bit.
    fn near(&self, view: &View) -> Vec<(u32, u32)> {
        let mut found = Vec::new();
        if view.hash.quality < LEAST_QUALITY {
            return found;
        }
        for hash in [view.hash.own, view.hash.mirrored] {
            for at in 0..BANDS {
                let value = band(hash, at);
                let flips = std::iter::once(0).chain((0..BAND_BITS).map(|bit| 1 << bit));
                for held in flips.filter_map(|flip| self.bands.get(&slot(at, value ^ flip))) {
                    let bits = |j: &u32| self.views[*j as usize].map(|v| hash.distance(v.hash.own));
                    let near = held.iter().filter_map(|j| Some((bits(j)?, *j)));
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
        let found = candidates(&views, |a, b| Some(across(a, b)));
        let reached = found.iter().filter(|(_, b)| *b == 40).count();
        assert_eq!(reached, 40, "each of the crowd sees the crop");
        assert!(found.len() < 40 + 40 * 2 * TRIED);
        let only = candidates(&views, |a, b| across(a, b).then_some(()));
        assert_eq!(only.len(), 40);
    }
}
