//! All pairs of 64-bit hashes within a Hamming distance, without comparing all pairs.
//!
//! Multi-index hashing (Norouzi, Punjani and Fleet, "Fast exact search in Hamming space with
//! multi-index hashing", 2014): a hash is cut into up to five bands. When two hashes differ in at
//! most r bits and the bands' own radii t satisfy `sum(t + 1) = r + 1`, some band differs in at
//! most its own t bits (pigeonhole), so looking up every band's neighbourhood misses nothing.
//! Below four bits there are r + 1 bands, longer ones, each of which has to be equal: a million
//! hashes then share a value with a few others instead of with dozens.
use rayon::prelude::*;

use super::hash::{distance, mirrored, UNINFORMATIVE};

/// Bands per hash at most, but for few hashes and a wide radius.
const BANDS: u32 = 4;
/// Radius from which few hashes are cut into a band more.
const WIDE: u32 = 8;
/// How many hashes are few: with more, what the longer lists cost outweighs what fewer keys save.
const FEW: usize = 1 << 17;
/// Bits of a band that are looked up where others differ in some of them.
const NEAR_KEY_BITS: u32 = 16;
/// Bits of a band that are looked up where all must be equal, at most: 16 MB of starts.
const EQUAL_KEY_BITS: u32 = 22;
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

/// Hashes that can be searched for those within a radius.
#[derive(Debug)]
pub struct Index {
    bits: u32,
    bands: Vec<Band>,
}

/// The positions of the hashes in the order of one band's key.
#[derive(Debug)]
struct Band {
    cut: Cut,
    /// What a key is changed by to reach its neighbourhood.
    flips: Vec<usize>,
    starts: Vec<u32>,
    positions: Vec<u32>,
    /// The hashes at these positions: what a key holds lies together.
    hashes: Vec<u64>,
}

/// Where a band lies in a hash, and in how many bits of its key two hashes may differ.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub low: u32,
    pub key_bits: u32,
    pub own: u32,
}

impl Index {
    /// Indexes `hashes` by position for searches within `bits` differing bits, 0..=64;
    /// uninformative ones are left out. At most 2^32 - 1 hashes; work grows steeply beyond 12 bits.
    pub fn new(hashes: Vec<u64>, bits: u32) -> Self {
        // A third of the keys then, each with more hashes, which lie together and cost little.
        let is_wide = bits >= WIDE && hashes.len() <= FEW;
        let cuts = cut_into(BANDS + u32::from(is_wide), bits, hashes.len());
        let bands = cuts.into_par_iter().map(|cut| Band::new(&hashes, cut));
        Index { bits, bands: bands.collect() }
    }

    /// Calls `found(position, distance)` once for every hash at `from` or behind that is within
    /// the radius of `hash`, in no order that means anything. Nothing is near to
    /// [`UNINFORMATIVE`].
    pub fn near(&self, hash: u64, from: usize, found: impl FnMut(u32, u32)) {
        if hash == UNINFORMATIVE {
            return;
        }
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("popcnt") {
            // SAFETY: the machine has the instruction.
            return unsafe { self.near_by_instruction(hash, from, found) };
        }
        self.near_as_it_is(hash, from, found);
    }

    /// The same where one instruction counts bits.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "popcnt")]
    fn near_by_instruction(&self, hash: u64, from: usize, found: impl FnMut(u32, u32)) {
        self.near_as_it_is(hash, from, found);
    }

    #[inline(always)]
    fn near_as_it_is(&self, hash: u64, from: usize, mut found: impl FnMut(u32, u32)) {
        for (b, band) in self.bands.iter().enumerate() {
            for flip in &band.flips {
                let (positions, hashes) = band.at(band.cut.key(hash) ^ flip);
                for (&position, &other) in positions.iter().zip(hashes).rev() {
                    if from > 0 && (position as usize) < from {
                        break;
                    }
                    let bits = distance(hash, other);
                    if bits <= self.bits && self.first_band(hash ^ other) == b {
                        found(position, bits);
                    }
                }
            }
        }
    }

    /// The first band in which a difference stays within the band's own radius, so that a pair
    /// that several bands find is told once.
    #[inline]
    fn first_band(&self, difference: u64) -> usize {
        let fits = |b: &Band| b.cut.key(difference).count_ones() <= b.cut.own;
        self.bands.iter().position(fits).unwrap_or(self.bands.len())
    }
}

/// The bands for a radius of `bits`, and for `n` hashes to tell apart.
pub(super) fn cuts(bits: u32, n: usize) -> Vec<Cut> {
    cut_into(BANDS, bits, n)
}

fn cut_into(most_bands: u32, bits: u32, n: usize) -> Vec<Cut> {
    let bands = most_bands.min(bits + 1);
    let enough = (usize::BITS - n.leading_zeros()).clamp(8, EQUAL_KEY_BITS);
    let cut = |b: u32| {
        let own = (bits + 1) / bands + u32::from(b < (bits + 1) % bands) - 1;
        let (low, high) = (b * u64::BITS / bands, (b + 1) * u64::BITS / bands);
        let most = if own == 0 { enough } else { NEAR_KEY_BITS };
        Cut { low, key_bits: most.min(high - low), own }
    };
    (0..bands).map(cut).collect()
}

impl Cut {
    #[inline]
    pub(super) fn key(self, hash: u64) -> usize {
        (hash >> self.low) as usize & ((1 << self.key_bits) - 1)
    }
}

impl Band {
    fn new(hashes: &[u64], cut: Cut) -> Self {
        let keys = 1usize << cut.key_bits;
        let mut starts = vec![0u32; keys + 1];
        let informative = || hashes.iter().enumerate().filter(|(_, h)| **h != UNINFORMATIVE);
        informative().for_each(|(_, h)| starts[cut.key(*h) + 1] += 1);
        (0..keys).for_each(|k| starts[k + 1] += starts[k]);
        let mut next = starts.clone();
        let mut positions = vec![0; starts[keys] as usize];
        for (position, &hash) in informative() {
            let slot = &mut next[cut.key(hash)];
            positions[*slot as usize] = position as u32;
            *slot += 1;
        }
        let in_order = positions.iter().map(|&position| hashes[position as usize]).collect();
        let flips = match cut.own {
            0 => vec![0],
            own => (0..keys).filter(|flip| flip.count_ones() <= own).collect(),
        };
        Band { cut, flips, starts, positions, hashes: in_order }
    }

    #[inline]
    fn at(&self, key: usize) -> (&[u32], &[u64]) {
        let range = self.starts[key] as usize..self.starts[key + 1] as usize;
        (&self.positions[range.clone()], &self.hashes[range])
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
    let index = Index::new(distinct.to_vec(), radius);
    let search = |i: usize, found: &mut Vec<Pair>| {
        let mut note = |mirrored: bool, j: u32, distance: u32| {
            let (x, y) = (firsts[i], firsts[j as usize]);
            found.push(Pair { a: x.min(y), b: x.max(y), distance, mirrored });
        };
        index.near(distinct[i], i + 1, |j, d| note(false, j, d));
        if mirror {
            index.near(mirrored(distinct[i]), i + 1, |j, d| note(true, j, d));
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
            Index::new(hashes.clone(), radius).near(hash, 0, |i, d| found.push((i as usize, d)));
            found.sort_unstable();
            let want: Vec<_> = hashes.iter().enumerate()
                .filter(|(_, h)| **h != UNINFORMATIVE)
                .map(|(i, h)| (i, distance(hash, *h))).filter(|(_, d)| *d <= radius).collect();
            prop_assert_eq!(found, want);
        }
    }

    #[test]
    fn the_radii_of_the_bands_fill_the_pigeonhole_sum() {
        let cases = (0..=16).flat_map(|bits| [(bits, 0), (bits, 5_000_000)]);
        for (bits, n, bands) in cases.flat_map(|(bits, n)| [(bits, n, BANDS), (bits, n, BANDS + 1)])
        {
            let cuts = cut_into(bands, bits, n);
            assert_eq!(cuts.iter().map(|cut| cut.own + 1).sum::<u32>(), bits + 1);
            let ends = cuts.iter().skip(1).map(|cut| cut.low).chain([u64::BITS]);
            for (cut, end) in cuts.iter().zip(ends) {
                assert!(cut.low + cut.key_bits <= end, "{cut:?} runs into the next band");
            }
        }
    }

    #[test]
    fn a_crowd_of_one_picture_is_linear() {
        assert_eq!(links(&vec![5; 100_000], 4, false).len(), 99_999);
        assert!(links(&vec![UNINFORMATIVE; 1000], 4, true).is_empty());
    }
}
