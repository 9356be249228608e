//! All pairs of 64-bit hashes within a Hamming distance, without comparing all pairs.
//!
//! Multi-index hashing (Norouzi, Punjani and Fleet, "Fast exact search in Hamming space with
//! multi-index hashing", 2014): a hash is cut into four bands of 16 bits. When two hashes differ
//! in at most r bits and the bands' own radii t satisfy `sum(t + 1) = r + 1`, some band differs in
//! at most its own t bits (pigeonhole), so looking up every band's neighbourhood misses nothing.
use rayon::prelude::*;

use super::hash::{distance, mirrored, UNINFORMATIVE};

/// Bands per hash.
const BANDS: usize = 4;
/// Values of a band.
const KEYS: usize = 1 << 16;
/// Hashes per unit of parallel work.
const CHUNK: usize = 1024;

/// Two positions whose hashes are near.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// The smaller position.
    pub a: u32,
    /// The larger position.
    pub b: u32,
    /// Differing bits.
    pub distance: u32,
    /// Whether one was mirrored to be that near.
    pub mirrored: bool,
}

/// Hashes that can be searched by nearness.
#[derive(Debug)]
pub struct Index {
    bands: Vec<Band>,
}

/// The hashes in the order of one band's value.
#[derive(Debug)]
struct Band {
    starts: Vec<u32>,
    entries: Vec<(u64, u32)>,
}

impl Index {
    /// Indexes `hashes` by position; uninformative ones are left out. At most 2^32 - 1 of them.
    pub fn new(hashes: &[u64]) -> Self {
        let band = |b| Band::new(hashes, b);
        Index { bands: (0..BANDS).into_par_iter().map(band).collect() }
    }

    /// Calls `found(position, distance)` once for every hash within `radius` of `hash`, in no
    /// order that means anything. Nothing is near to [`UNINFORMATIVE`].
    pub fn near(&self, hash: u64, radius: &Radius, mut found: impl FnMut(u32, u32)) {
        if hash == UNINFORMATIVE {
            return;
        }
        for (b, band) in self.bands.iter().enumerate() {
            let key = key(hash, b);
            for flip in &radius.flips[b] {
                for &(other, position) in band.at(key ^ flip) {
                    let bits = distance(hash, other);
                    if bits <= radius.bits && radius.first_band(hash ^ other) == b {
                        found(position, bits);
                    }
                }
            }
        }
    }
}

impl Band {
    fn new(hashes: &[u64], b: usize) -> Self {
        let mut starts = vec![0u32; KEYS + 1];
        let informative = || hashes.iter().enumerate().filter(|(_, h)| **h != UNINFORMATIVE);
        informative().for_each(|(_, h)| starts[usize::from(key(*h, b)) + 1] += 1);
        (0..KEYS).for_each(|k| starts[k + 1] += starts[k]);
        let mut next = starts.clone();
        let mut entries = vec![(0, 0); starts[KEYS] as usize];
        for (position, &hash) in informative() {
            let slot = &mut next[usize::from(key(hash, b))];
            entries[*slot as usize] = (hash, position as u32);
            *slot += 1;
        }
        Band { starts, entries }
    }

    fn at(&self, key: u16) -> &[(u64, u32)] {
        let key = usize::from(key);
        &self.entries[self.starts[key] as usize..self.starts[key + 1] as usize]
    }
}

fn key(hash: u64, band: usize) -> u16 {
    (hash >> (16 * band)) as u16
}

/// A search radius with the neighbourhoods that it asks for in every band.
#[derive(Debug)]
pub struct Radius {
    bits: u32,
    /// `None`: the band is not looked at (its share of the pigeonhole sum is nothing).
    own: [Option<u32>; BANDS],
    flips: Vec<Vec<u16>>,
}

impl Radius {
    /// The radius of `bits` differing bits, 0..=64; work grows steeply beyond 12.
    pub fn new(bits: u32) -> Self {
        let own: [Option<u32>; BANDS] = std::array::from_fn(|b| {
            let share =
                (bits + 1) / BANDS as u32 + u32::from((b as u32) < (bits + 1) % BANDS as u32);
            share.checked_sub(1)
        });
        let within = |most: Option<u32>| match most {
            None => Vec::new(),
            Some(most) => (0..=u16::MAX).filter(|flip| flip.count_ones() <= most).collect(),
        };
        Radius { bits, own, flips: own.into_iter().map(within).collect() }
    }

    /// The first band in which a difference stays within the band's own radius, so that a pair
    /// that several bands find is told once.
    fn first_band(&self, difference: u64) -> usize {
        let fits =
            |b: &usize| self.own[*b].is_some_and(|most| key(difference, *b).count_ones() <= most);
        (0..BANDS).find(fits).unwrap_or(BANDS)
    }
}

/// Enough pairs within `radius` bits to connect everything that near pairs connect, ascending:
/// all pairs between the first holders of different hashes, and every further holder of a hash
/// with its first. (All pairs would be quadratic in the size of a cluster of identical pictures.)
/// With `mirror` also the pairs that are near when one of them is mirrored.
pub fn links(hashes: &[u64], radius: u32, mirror: bool) -> Vec<Pair> {
    let mut order: Vec<u32> = (0..hashes.len() as u32).collect();
    order.par_sort_unstable_by_key(|&i| (hashes[i as usize], i));
    order.retain(|&i| hashes[i as usize] != UNINFORMATIVE);
    let holders: Vec<&[u32]> =
        order.chunk_by(|&i, &j| hashes[i as usize] == hashes[j as usize]).collect();
    let same = holders.iter().flat_map(|all| {
        all[1..].iter().map(|&b| Pair { a: all[0], b, distance: 0, mirrored: false })
    });
    let mut pairs: Vec<Pair> = same.collect();
    let distinct: Vec<u64> = holders.iter().map(|all| hashes[all[0] as usize]).collect();
    let firsts: Vec<u32> = holders.iter().map(|all| all[0]).collect();
    pairs.extend(between_distinct(&distinct, &firsts, radius, mirror));
    pairs.par_sort_unstable();
    pairs
}

fn between_distinct(distinct: &[u64], firsts: &[u32], radius: u32, mirror: bool) -> Vec<Pair> {
    let index = Index::new(distinct);
    let radius = Radius::new(radius);
    let search = |i: usize, found: &mut Vec<Pair>| {
        let mut note = |mirrored: bool, j: u32, distance: u32| {
            if (j as usize) > i {
                let (x, y) = (firsts[i], firsts[j as usize]);
                found.push(Pair { a: x.min(y), b: x.max(y), distance, mirrored });
            }
        };
        index.near(distinct[i], &radius, |j, d| note(false, j, d));
        if mirror {
            index.near(mirrored(distinct[i]), &radius, |j, d| note(true, j, d));
        }
    };
    let starts: Vec<usize> = (0..distinct.len()).step_by(CHUNK).collect();
    let chunks = starts.into_par_iter().map(|start| {
        let mut found = Vec::new();
        (start..(start + CHUNK).min(distinct.len())).for_each(|i| search(i, &mut found));
        found
    });
    chunks.collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The plain double loop, with connections instead of pairs.
    fn connected(n: usize, pairs: impl Iterator<Item = (usize, usize)>) -> Vec<usize> {
        let mut root: Vec<usize> = (0..n).collect();
        for (a, b) in pairs {
            let (from, to) = (root[a].max(root[b]), root[a].min(root[b]));
            root.iter_mut().filter(|r| **r == from).for_each(|r| *r = to);
        }
        root
    }

    fn brute(hashes: &[u64], radius: u32, mirror: bool) -> Vec<usize> {
        let all = (0..hashes.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
        let near = all.filter(|&(i, j)| {
            let (a, b) = (hashes[i], hashes[j]);
            let informative = a != UNINFORMATIVE && b != UNINFORMATIVE;
            informative
                && (distance(a, b) <= radius || mirror && distance(mirrored(a), b) <= radius)
        });
        connected(hashes.len(), near)
    }

    proptest! {
        /// Few hashes far apart and their copies with up to 12 flipped bits.
        #[test]
        fn nothing_is_missed_and_nothing_is_added(
            centres in prop::collection::vec(any::<u64>(), 1..6),
            copies in prop::collection::vec((0usize..6, prop::collection::vec(0u32..64, 0..13), any::<bool>()), 0..40),
            radius in 0u32..13, mirror: bool,
        ) {
            let copy = |(c, flips, flip): &(usize, Vec<u32>, bool)| {
                let hash = flips.iter().fold(centres[c % centres.len()], |h, f| h ^ 1 << f);
                if *flip { mirrored(hash) } else { hash }
            };
            let mut hashes: Vec<u64> = centres.iter().copied().chain(copies.iter().map(copy)).collect();
            hashes.extend([UNINFORMATIVE, UNINFORMATIVE]);
            let found = links(&hashes, radius, mirror);
            for p in &found {
                let (a, b) = (hashes[p.a as usize], hashes[p.b as usize]);
                let d = if p.mirrored { distance(mirrored(a), b) } else { distance(a, b) };
                prop_assert!(p.a < p.b && d == p.distance && d <= radius);
            }
            let pairs = found.iter().map(|p| (p.a as usize, p.b as usize));
            prop_assert_eq!(connected(hashes.len(), pairs), brute(&hashes, radius, mirror));
        }

        #[test]
        fn a_query_finds_each_near_hash_once(
            hash in 1u64.., flips in prop::collection::vec(prop::collection::vec(0u32..64, 0..11), 0..50), radius in 0u32..=10,
        ) {
            let hashes: Vec<u64> =
                flips.iter().map(|f| f.iter().fold(hash, |h, bit| h ^ 1 << bit)).collect();
            let mut found = Vec::new();
            Index::new(&hashes).near(hash, &Radius::new(radius), |i, d| found.push((i as usize, d)));
            found.sort_unstable();
            let want: Vec<_> = hashes.iter().enumerate()
                .filter(|(_, h)| **h != UNINFORMATIVE)
                .map(|(i, h)| (i, distance(hash, *h))).filter(|(_, d)| *d <= radius).collect();
            prop_assert_eq!(found, want);
        }
    }

    #[test]
    fn the_radii_of_the_bands_fill_the_pigeonhole_sum() {
        for bits in 0..=16 {
            let radius = Radius::new(bits);
            let sum: u32 = radius.own.iter().flatten().map(|t| t + 1).sum();
            assert_eq!(sum, bits + 1);
        }
    }

    #[test]
    fn a_crowd_of_one_picture_is_linear() {
        assert_eq!(links(&vec![5; 100_000], 4, false).len(), 99_999);
        assert!(links(&vec![UNINFORMATIVE; 1000], 4, true).is_empty());
    }
}
