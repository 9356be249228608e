//! How far pictures are from their nearest and from random ones of another part, by hash.
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    hash::{distance, mirrored, UNINFORMATIVE},
    images::{ImageEntry, SetPart},
};
use crate::seed::Draws;

/// Pictures that are looked at; more are drawn from at random.
const MOST: usize = 2000;
/// Distances that are counted one by one; larger ones with the last.
pub const FARTHEST: usize = 32;

/// Numbers of pictures by differing bits, 0..=32, mirrored or not; the last are 32 and more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distances {
    /// To the nearest picture of the other part.
    pub nearest: Vec<usize>,
    /// To a random one.
    pub random: Vec<usize>,
}

/// Distances of the pictures of `eval` (of 2000 random ones when there are more) to those of
/// `reference`; those too plain for a hash are left out.
pub fn distances(
    stills: &[ImageEntry],
    (eval, reference): (SetPart, SetPart),
    seed: u64,
) -> Distances {
    let hashes = |part: SetPart| {
        let of = stills.iter().filter(|s| s.part() == part && s.hash != UNINFORMATIVE);
        of.map(|s| s.hash).collect::<Vec<_>>()
    };
    let (mut eval, reference) = (hashes(eval), hashes(reference));
    let mut draws = Draws::new(seed, "audit-distances", "");
    draws.shuffle(&mut eval);
    eval.truncate(MOST);
    let bits = |a: u64, b: u64| distance(a, b).min(distance(mirrored(a), b)) as usize;
    let nearest = eval.par_iter().filter_map(|&a| reference.iter().map(|&b| bits(a, b)).min());
    let nearest: Vec<usize> = nearest.collect();
    let random = eval
        .iter()
        .filter(|_| !reference.is_empty())
        .map(|&a| bits(a, reference[draws.below(reference.len() as u64) as usize]));
    let random: Vec<usize> = random.collect();
    let counted = |found: Vec<usize>| {
        let mut counts = vec![0; FARTHEST + 1];
        found.into_iter().for_each(|bits| counts[bits.min(FARTHEST)] += 1);
        counts
    };
    Distances { nearest: counted(nearest), random: counted(random) }
}

#[cfg(test)]
mod tests {
    use super::{
        super::images::tests::{drawn, place},
        *,
    };
    use crate::record::Split;

    #[test]
    fn every_picture_is_counted_once_and_plain_ones_are_not() {
        let still = |split, hash| ImageEntry { hash, ..drawn("s", split, place(1)) };
        let all = [
            still(Split::Test, 0b1111),
            still(Split::Test, mirrored(0b11)),
            still(Split::Test, UNINFORMATIVE),
            still(Split::Train, 0b0011),
            still(Split::Train, !0b1111),
        ];
        let part = |split| SetPart { set: 0, split };
        let found = distances(&all, (part(Split::Test), part(Split::Train)), 1);
        assert_eq!(
            (found.nearest[0], found.nearest[2], found.nearest.iter().sum::<usize>()),
            (1, 1, 2)
        );
        assert_eq!(found.random.iter().sum::<usize>(), 2);
        let none = distances(&all, (part(Split::Test), part(Split::Val)), 1);
        assert_eq!(none.nearest.iter().chain(&none.random).sum::<usize>(), 0);
    }
}
