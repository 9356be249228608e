//! Joins pictures whose hashes are near and that are found to be the same, however many there are of one.
use rayon::prelude::*;

use super::{hash::mirrored, pairs::Index, union_find::UnionFind};

/// Pictures that are looked up before what was found is joined: few at first, as a crowd that is
/// joined early need not be compared later.
const FIRST_BLOCK: usize = 64;
/// The same, at most.
const LARGEST_BLOCK: usize = 8192;

/// Two pictures whose hashes are near.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NearPair {
    /// Position of one.
    pub a: usize,
    /// Position of the other.
    pub b: usize,
    /// Differing bits of the hashes.
    pub bits: u32,
    /// Whether one of them is mirrored for that.
    pub mirrored: bool,
}

/// Joins in `sets` those of `positions` whose `hash` is within `radius` bits of the other's, mirrored or not,
/// and that are the `same`; gives the pairs that were found. Pairs that are in one set already are not
/// compared, so that a crowd of like pictures costs little; the sets do not depend on the order.
///
/// # Errors
/// As `same`.
pub fn join_near<E: Send>(
    positions: &[usize],
    hash: impl Fn(usize) -> u64 + Sync,
    radius: u32,
    sets: &mut UnionFind,
    same: impl Fn(&NearPair) -> Result<bool, E> + Sync,
) -> Result<Vec<NearPair>, E> {
    let index = Index::new(positions.iter().map(|&i| hash(i)).collect(), radius);
    let mut all = Vec::new();
    let mut block = 0..FIRST_BLOCK.min(positions.len());
    while !block.is_empty() {
        let roots: Vec<usize> = positions.iter().map(|&i| sets.root(i)).collect();
        let of_one = |k: usize| {
            let (own, mut found) = (hash(positions[k]), Vec::new());
            for (query, mirrored) in [(own, false), (mirrored(own), true)] {
                index.near(query, k + 1, |other, bits| {
                    let other = other as usize;
                    if roots[k] == roots[other] {
                        return;
                    }
                    let pair = NearPair { a: positions[k], b: positions[other], bits, mirrored };
                    match same(&pair) {
                        Ok(false) => {}
                        Ok(true) => found.push(Ok(pair)),
                        Err(error) => found.push(Err(error)),
                    }
                });
            }
            found
        };
        let found: Result<Vec<NearPair>, E> =
            block.clone().into_par_iter().flat_map_iter(of_one).collect();
        let found = found?;
        found.iter().for_each(|pair| sets.join(pair.a, pair.b));
        all.extend(found);
        let next = (2 * block.len()).min(LARGEST_BLOCK);
        block = block.end..(block.end + next).min(positions.len());
    }
    Ok(all)
}
