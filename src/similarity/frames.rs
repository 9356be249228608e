//! The moments of many signatures, searchable by hash.
use super::{
    hash::{mirrored, UNINFORMATIVE},
    pairs::Index,
};

/// Bits in which the nearest frames of two clips may differ for the clips to be compared at all.
/// No mean is below its smallest part, so nothing is missed whose moments lie on each other; of
/// copies with moments between each other those whose every moment is in quick motion are.
pub const CANDIDATE_RADIUS: u32 = 6;

/// Signatures by the hashes of their moments.
#[derive(Debug)]
pub struct Frames {
    index: Index,
    owner: Vec<u32>,
    /// Where a signature's hashes start; one more than there are signatures.
    starts: Vec<u32>,
}

impl Frames {
    /// Indexes signatures by position for searches within `bits` differing bits.
    pub fn new<'a>(signatures: impl IntoIterator<Item = &'a [u64]>, bits: u32) -> Self {
        let (mut hashes, mut owner, mut starts) = (Vec::new(), Vec::new(), vec![0]);
        for (i, signature) in signatures.into_iter().enumerate() {
            hashes.extend_from_slice(signature);
            owner.resize(hashes.len(), i as u32);
            starts.push(hashes.len() as u32);
        }
        Frames { index: Index::new(hashes, bits), owner, starts }
    }

    /// Calls `found(signature, moment, differing bits)` for every moment within the radius of
    /// `hash`, among the signatures at `from` and behind.
    pub fn near(&self, hash: u64, from: usize, mut found: impl FnMut(usize, usize, u32)) {
        let Some(&start) = self.starts.get(from) else { return };
        self.index.near(hash, start as usize, |frame, bits| {
            let owner = self.owner[frame as usize] as usize;
            found(owner, (frame - self.starts[owner]) as usize, bits);
        });
    }

    /// The signatures at `from` and behind that have a moment near to one of `signature`,
    /// mirrored or not, ascending.
    pub fn partners(&self, signature: &[u64], from: usize) -> Vec<usize> {
        let mut partners: Vec<usize> = Vec::new();
        let informative = signature.iter().filter(|h| **h != UNINFORMATIVE);
        for query in informative.flat_map(|h| [*h, mirrored(*h)]) {
            self.near(query, from, |owner, _, _| {
                if partners.last() != Some(&owner) {
                    partners.push(owner);
                }
            });
        }
        partners.sort_unstable();
        partners.dedup();
        partners
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_with_their_place() {
        let signatures: [&[u64]; 3] = [&[0xFF00, UNINFORMATIVE], &[], &[0xF0F0F0, 0xFF01]];
        let frames = Frames::new(signatures, 2);
        let mut found = Vec::new();
        frames.near(0xFF00, 0, |owner, moment, bits| found.push((owner, moment, bits)));
        found.sort_unstable();
        assert_eq!(found, [(0, 0, 0), (2, 1, 1)]);
        assert_eq!(frames.partners(&[0xFF00, UNINFORMATIVE], 1), [2]);
        assert_eq!(frames.partners(&[mirrored(0xF0F0F0)], 0), [2]);
        assert_eq!(frames.partners(&[0xFF00], 3), [0usize; 0]);
    }
}
