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
/// Pictures that an index holds at most.
pub const MOST_PICTURES: usize = 1 << 16;
/// Corners that two pictures must have in common.
const LEAST_VOTES: u16 = 3;

/// Pictures by the keys of their corners; at most [`MOST_PICTURES`].
#[derive(Debug)]
pub struct Words {
    /// Where the pictures of each key end.
    ends: Vec<u32>,
    held: Vec<u16>,
    pictures: usize,
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

/// How many corners have each key, over all pictures.
#[derive(Debug)]
pub struct KeyCounts(Vec<u16>);

impl Default for KeyCounts {
    fn default() -> Self {
        KeyCounts(vec![0; TABLES << KEY_BITS])
    }
}

impl KeyCounts {
    /// Counts the corners of a picture.
    pub fn add(&mut self, corners: &[Descriptor]) {
        for slot in corners.iter().flat_map(slots) {
            // Of more than enough it does not matter how many.
            self.0[slot] = self.0[slot].saturating_add(1);
        }
    }

    fn tells(&self, slot: &usize) -> bool {
        self.0[*slot] as usize <= MOST_OF_A_KEY
    }
}

/// Table and key in one number, for each table.
fn slots(descriptor: &Descriptor) -> impl Iterator<Item = usize> {
    let keys: [usize; TABLES] = std::array::from_fn(|t| t << KEY_BITS | key(descriptor, t));
    keys.into_iter()
}

/// An index in the making: corners are counted, room is made, corners are put in.
#[derive(Debug)]
pub struct Filling {
    /// How many have each key and the smaller ones, and later where its next one goes.
    ends: Vec<u32>,
    pictures: Vec<u16>,
}

impl Default for Filling {
    fn default() -> Self {
        Filling { ends: vec![0; (TABLES << KEY_BITS) + 1], pictures: Vec::new() }
    }
}

impl Filling {
    /// Counts the corners of a picture with keys that tell something.
    pub fn count(&mut self, corners: &[Descriptor], counts: &KeyCounts) {
        for slot in corners.iter().flat_map(slots).filter(|slot| counts.tells(slot)) {
            self.ends[slot + 1] += 1;
        }
    }

    /// Makes room when all are counted.
    pub fn make_room(&mut self) {
        (0..TABLES << KEY_BITS).for_each(|slot| self.ends[slot + 1] += self.ends[slot]);
        self.pictures = vec![0; self.ends[TABLES << KEY_BITS] as usize];
    }

    /// Puts the corners of a picture in, which were counted.
    pub fn put(&mut self, picture: u16, corners: &[Descriptor], counts: &KeyCounts) {
        for slot in corners.iter().flat_map(slots).filter(|slot| counts.tells(slot)) {
            self.pictures[self.ends[slot] as usize] = picture;
            self.ends[slot] += 1;
        }
    }

    /// The index of pictures 0 to `pictures`, all of which were put in.
    pub fn done(self, pictures: usize) -> Words {
        // Every key's next place is where it ends.
        Words { ends: self.ends, held: self.pictures, pictures }
    }
}

impl Words {
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
            for slot in slots(&corner) {
                let start = slot.checked_sub(1).map_or(0, |before| self.ends[before]);
                for &picture in &self.held[start as usize..self.ends[slot] as usize] {
                    let at = usize::from(picture);
                    if ballot.last[at] == voter {
                        continue;
                    }
                    if ballot.votes[at] == 0 {
                        ballot.seen.push(u32::from(picture));
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

    fn index(pictures: &[Vec<Descriptor>]) -> Words {
        let (mut counts, mut filling) = (KeyCounts::default(), Filling::default());
        pictures.iter().for_each(|corners| counts.add(corners));
        pictures.iter().for_each(|corners| filling.count(corners, &counts));
        filling.make_room();
        for (i, corners) in pictures.iter().enumerate() {
            filling.put(i as u16, corners, &counts);
        }
        filling.done(pictures.len())
    }

    #[test]
    fn keys_of_too_many_corners_tell_nothing() {
        let crowd = vec![vec![[1, 2, 3, 4]; 4]; MOST_OF_A_KEY / 4 + 1];
        let like = |pictures: &[Vec<Descriptor>]| {
            index(pictures).like(pictures[0].iter(), &mut Ballot::default()).len()
        };
        // The mirrored corner shares keys with the plain one, so that every picture is told twice.
        assert_eq!((like(&crowd), like(&crowd[1..])), (0, 2 * (MOST_OF_A_KEY / 4)));
    }

    #[test]
    fn pictures_with_common_corners_get_votes_mirrored_or_not() {
        let mut draws = Draws::new(1, "words", "");
        let mut corners: Vec<Vec<Descriptor>> =
            (0..30).map(|_| (0..50).map(|_| [0; 4].map(|_: u64| draws.bits())).collect()).collect();
        // The last picture has every second corner of the third, a bit changed; the one before it
        // those of the mirror image of the fifth.
        corners[29] = corners[2].iter().step_by(2).map(|d| [d[0] ^ 1, d[1], d[2], d[3]]).collect();
        corners[28] = corners[4].iter().map(|d| mirrored(*d)).collect();
        let words = index(&corners);
        let mut ballot = Ballot::default();
        let mut like = |i: usize| {
            let mut found = words.like(corners[i].iter(), &mut ballot);
            found.sort_unstable();
            found
        };
        assert_eq!(like(29), [(25, 2), (25, 29)]);
        assert_eq!(like(4), [(50, 4), (50, 28)]);
        assert_eq!(like(7), [(50, 7)]);
        let nobody = index(&[]);
        assert!(nobody.like(corners[0].iter(), &mut Ballot::default()).is_empty());
    }
}
