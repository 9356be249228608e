//! Which pictures have like corners: an inverted index of descriptors.
//!
//! Four times 20 bits of a descriptor are keys; two corners that are the same have one of them in
//! common more often than not (at 10 % of bits that flip, 0.4 of them have), and others hardly ever.
//! A vote is a corner with a common key.
use super::keypoints::{mirrored, Descriptor};

/// Keys of a descriptor and their bits.
const TABLES: usize = 4;
const KEY_BITS: u32 = 20;
/// Corners of one key, over all pictures, beyond which the key tells nothing.
const MOST_OF_A_KEY: usize = 2000;
/// Corners that two pictures must have in common.
const LEAST_VOTES: u16 = 3;

/// Pictures by the keys of their corners.
#[derive(Debug)]
pub struct Words {
    tables: Vec<Table>,
    pictures: usize,
}

#[derive(Debug)]
struct Table {
    starts: Vec<u32>,
    pictures: Vec<u32>,
}

/// Room for counting votes, used again for every query.
#[derive(Debug, Default)]
pub struct Ballot {
    votes: Vec<u16>,
    /// Position of the last corner that voted, plus one, so that each votes once.
    last: Vec<u16>,
    seen: Vec<u32>,
}

fn key(descriptor: &Descriptor, table: usize) -> usize {
    // Two keys of each of the first two words: reflections of these are the other two words.
    let word = descriptor[table / 2];
    (word >> (32 * (table % 2))) as usize & ((1 << KEY_BITS) - 1)
}

impl Words {
    /// Indexes the descriptors of pictures by position; fewer than 2^32 descriptors in all.
    pub fn new<'a, I>(pictures: impl Fn(usize) -> I + Sync, n: usize) -> Self
    where
        I: Iterator<Item = &'a Descriptor>,
    {
        let table = |t: usize| {
            let mut starts = vec![0u32; (1 << KEY_BITS) + 1];
            (0..n).for_each(|i| pictures(i).for_each(|d| starts[key(d, t) + 1] += 1));
            (0..1 << KEY_BITS).for_each(|k| starts[k + 1] += starts[k]);
            let mut next = starts.clone();
            let mut held = vec![0; starts[1 << KEY_BITS] as usize];
            for i in 0..n {
                for d in pictures(i) {
                    let slot = &mut next[key(d, t)];
                    held[*slot as usize] = i as u32;
                    *slot += 1;
                }
            }
            Table { starts, pictures: held }
        };
        Words { tables: (0..TABLES).map(table).collect(), pictures: n }
    }

    /// Pictures with enough corners like these, mirrored or not, with their votes; in no order
    /// that means anything.
    pub fn like<'a>(
        &self,
        corners: impl Iterator<Item = &'a Descriptor> + Clone,
        ballot: &mut Ballot,
    ) -> Vec<(u16, u32)> {
        let mut found = self.voted(corners.clone().copied(), ballot);
        found.extend(self.voted(corners.map(|d| mirrored(*d)), ballot));
        found
    }

    fn voted(
        &self,
        corners: impl Iterator<Item = Descriptor>,
        ballot: &mut Ballot,
    ) -> Vec<(u16, u32)> {
        ballot.votes.resize(self.pictures, 0);
        ballot.last.resize(self.pictures, 0);
        for (i, corner) in corners.enumerate() {
            let voter = i as u16 + 1;
            for (t, table) in self.tables.iter().enumerate() {
                let key = key(&corner, t);
                let held = table.starts[key] as usize..table.starts[key + 1] as usize;
                if held.len() > MOST_OF_A_KEY {
                    continue;
                }
                for &picture in &table.pictures[held] {
                    let at = picture as usize;
                    if ballot.last[at] == voter {
                        continue;
                    }
                    if ballot.votes[at] == 0 {
                        ballot.seen.push(picture);
                    }
                    ballot.last[at] = voter;
                    ballot.votes[at] += 1;
                }
            }
        }
        let mut found = Vec::new();
        for picture in ballot.seen.drain(..) {
            let votes = std::mem::take(&mut ballot.votes[picture as usize]);
            ballot.last[picture as usize] = 0;
            if votes >= LEAST_VOTES {
                found.push((votes, picture));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Draws;

    #[test]
    fn pictures_with_common_corners_get_votes_mirrored_or_not() {
        let mut draws = Draws::new(1, "words", "");
        let mut corners: Vec<Vec<Descriptor>> =
            (0..30).map(|_| (0..50).map(|_| [0; 4].map(|_: u64| draws.bits())).collect()).collect();
        // The last picture has every second corner of the third, a bit changed; the one before it
        // those of the mirror image of the fifth.
        corners[29] = corners[2].iter().step_by(2).map(|d| [d[0] ^ 1, d[1], d[2], d[3]]).collect();
        corners[28] = corners[4].iter().map(|d| mirrored(*d)).collect();
        let words = Words::new(|i| corners[i].iter(), corners.len());
        let mut ballot = Ballot::default();
        let mut like = |i: usize| {
            let mut found = words.like(corners[i].iter(), &mut ballot);
            found.sort_unstable();
            found
        };
        assert_eq!(like(29), [(25, 2), (25, 29)]);
        assert_eq!(like(4), [(50, 4), (50, 28)]);
        assert_eq!(like(7), [(50, 7)]);
        let nobody = Words::new(|_| [].iter(), 0);
        assert!(nobody.like(corners[0].iter(), &mut Ballot::default()).is_empty());
    }
}
