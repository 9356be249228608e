//! Which pictures have like corners: an inverted index of descriptors.
//!
//! Four times 20 bits of a descriptor are keys; two corners that are the same have one of them in
//! common more often than not (at 10 % of bits that flip, 0.4 of them have), and others hardly ever.
//! A vote is a corner with a common key. It counts by how few have that key (inverse document
//! frequency, Sivic and Zisserman, "Video Google", 2003): corners of straight edges are everywhere, and of
//! 13,575 pictures two that have nothing in common share nine corners in the mean.
use super::keypoints::{mirrored, Descriptor};

/// Keys of a descriptor and their bits.
const TABLES: usize = 4;
const KEY_BITS: usize = 20;
/// The bits of each key, out of the first half of a descriptor: reflections of these are the other
/// half. Chosen one after the other for every key in turn, on half 0 of the planted pictures, to correlate
/// least with those that the key has, and to be set about as often as not.
const KEYS: [[u8; KEY_BITS]; TABLES] = [
    [15, 18, 32, 42, 43, 45, 76, 78, 80, 83, 86, 89, 103, 110, 119, 120, 122, 124, 125, 127],
    [7, 10, 12, 20, 31, 33, 38, 40, 49, 58, 59, 62, 63, 64, 66, 71, 74, 77, 85, 108],
    [0, 4, 8, 9, 24, 27, 46, 48, 53, 61, 68, 70, 79, 88, 96, 101, 105, 118, 121, 126],
    [11, 14, 22, 23, 26, 28, 36, 37, 44, 54, 60, 65, 69, 73, 94, 99, 107, 111, 115, 123],
];
/// Corners of one key, over all pictures, beyond which the key tells nothing.
const MOST_OF_A_KEY: u16 = 1000;
/// Pictures that an index holds at most.
pub const MOST_PICTURES: usize = 1 << 16;
/// Corners that two pictures must have in common.
const LEAST_VOTES: u32 = 3;
/// Bits of a tally that hold the sum of weights; the number of votes is above them.
const WEIGHT_BITS: u32 = 20;

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
    /// Votes and the sum of their weights.
    tallies: Vec<u32>,
    /// Position of the last corner that voted, plus one, so that each votes once.
    last: Vec<u16>,
    seen: Vec<u32>,
    /// The larger weight of the picture and its mirror image; 0 for those that are not told.
    best: Vec<u32>,
    told: Vec<u32>,
}

fn key(descriptor: &Descriptor, table: usize) -> usize {
    let bit = |at: u8| (descriptor[usize::from(at / 64)] >> (at % 64)) as usize & 1;
    KEYS[table].iter().fold(0, |key, at| key << 1 | bit(*at))
}

/// How many corners have each key, over all pictures, and how many pictures these are.
#[derive(Debug)]
pub struct KeyCounts {
    corners: Vec<u16>,
    pictures: u32,
}

impl Default for KeyCounts {
    fn default() -> Self {
        KeyCounts { corners: vec![0; TABLES << KEY_BITS], pictures: 0 }
    }
}

impl KeyCounts {
    /// Counts the corners of a picture.
    pub fn add(&mut self, corners: &[Descriptor]) {
        self.pictures += 1;
        for slot in corners.iter().flat_map(slots) {
            // Of more than enough it does not matter how many.
            self.corners[slot] = self.corners[slot].saturating_add(1);
        }
    }

    fn tells(&self, slot: &usize) -> bool {
        self.corners[*slot] <= MOST_OF_A_KEY
    }

    /// What a vote by this key counts.
    fn weight(&self, slot: usize) -> u32 {
        let held = u32::from(self.corners[slot]);
        let rare = quarter_bits(self.pictures).saturating_sub(quarter_bits(held));
        rare + 1
    }
}

/// Four times the binary logarithm, rounded down; in whole numbers, so that ranks are the same everywhere.
fn quarter_bits(n: u32) -> u32 {
    u128::from(n.max(1)).pow(4).ilog2()
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
    /// Pictures with enough corners like these, mirrored or not, with the weights of their votes; in no
    /// order that means anything. `counts` are those that the index was filled by.
    pub fn like<'a>(
        &self,
        corners: impl Iterator<Item = &'a Descriptor> + Clone,
        counts: &KeyCounts,
        ballot: &mut Ballot,
    ) -> Vec<(u32, u32)> {
        ballot.tallies.resize(self.pictures, 0);
        ballot.last.resize(self.pictures, 0);
        ballot.best.resize(self.pictures, 0);
        self.vote(corners.clone().copied(), counts, ballot);
        self.vote(corners.map(|d| mirrored(*d)), counts, ballot);
        let told = ballot.told.drain(..);
        told.map(|picture| (std::mem::take(&mut ballot.best[picture as usize]), picture)).collect()
    }

    fn vote(
        &self,
        corners: impl Iterator<Item = Descriptor>,
        counts: &KeyCounts,
        ballot: &mut Ballot,
    ) {
        for (i, corner) in corners.enumerate() {
            let voter = i as u16 + 1;
            for slot in slots(&corner) {
                let start = slot.checked_sub(1).map_or(0, |before| self.ends[before]);
                let held = &self.held[start as usize..self.ends[slot] as usize];
                if held.is_empty() {
                    continue;
                }
                let vote = 1 << WEIGHT_BITS | counts.weight(slot);
                for &picture in held {
                    let at = usize::from(picture);
                    if ballot.last[at] == voter {
                        continue;
                    }
                    if ballot.tallies[at] == 0 {
                        ballot.seen.push(u32::from(picture));
                    }
                    ballot.last[at] = voter;
                    ballot.tallies[at] += vote;
                }
            }
        }
        for picture in ballot.seen.drain(..) {
            let tally = std::mem::take(&mut ballot.tallies[picture as usize]);
            ballot.last[picture as usize] = 0;
            if tally >> WEIGHT_BITS >= LEAST_VOTES {
                let best = &mut ballot.best[picture as usize];
                if *best == 0 {
                    ballot.told.push(picture);
                }
                *best = (*best).max(tally & ((1 << WEIGHT_BITS) - 1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Draws;

    fn index(pictures: &[Vec<Descriptor>]) -> (KeyCounts, Words) {
        let (mut counts, mut filling) = (KeyCounts::default(), Filling::default());
        pictures.iter().for_each(|corners| counts.add(corners));
        pictures.iter().for_each(|corners| filling.count(corners, &counts));
        filling.make_room();
        for (i, corners) in pictures.iter().enumerate() {
            filling.put(i as u16, corners, &counts);
        }
        let words = filling.done(pictures.len());
        (counts, words)
    }

    #[test]
    fn keys_are_bits_of_the_first_half_none_of_them_twice() {
        let mut bits: Vec<u8> = KEYS.concat();
        bits.sort_unstable();
        bits.dedup();
        assert_eq!((bits.len(), bits.last()), (TABLES * KEY_BITS, Some(&127)));
        assert_eq!(key(&[1 << 15 | 1 << 32, 0, 9, 9], 0), 1 << 19 | 1 << 17);
        assert_eq!(key(&[0, 1 << (127 - 64), 9, 9], 0), 1);
        assert_eq!([0, 1, 2, 3, 1000, u32::MAX].map(quarter_bits), [0, 0, 4, 6, 39, 127]);
    }

    #[test]
    fn keys_of_too_many_corners_tell_nothing() {
        let crowd = vec![vec![[1, 2, 3, 4]; 4]; usize::from(MOST_OF_A_KEY) / 4 + 1];
        let like = |pictures: &[Vec<Descriptor>]| {
            let (counts, words) = index(pictures);
            words.like(pictures[0].iter(), &counts, &mut Ballot::default()).len()
        };
        // The mirrored corner shares keys with the plain one; every picture is told once all the same.
        assert_eq!((like(&crowd), like(&crowd[1..])), (0, usize::from(MOST_OF_A_KEY) / 4));
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
        let (counts, words) = index(&corners);
        let mut ballot = Ballot::default();
        let mut like = |i: usize| {
            let mut found = words.like(corners[i].iter(), &counts, &mut ballot);
            found.sort_unstable();
            found
        };
        // Thirty pictures are 19 quarters of a bit, what two have counts 15 and one more.
        assert_eq!(like(29), [(25 * 16, 2), (25 * 16, 29)]);
        // The mirror image has keys of its own.
        assert_eq!(like(4), [(50 * 20, 4), (50 * 20, 28)]);
        assert_eq!(like(7), [(50 * 20, 7)]);
        let (counts, nobody) = index(&[]);
        assert!(nobody.like(corners[0].iter(), &counts, &mut Ballot::default()).is_empty());
    }

    #[test]
    fn what_few_have_counts_more_than_what_many_have() {
        let mut draws = Draws::new(2, "words", "");
        let mut corner = || [0; 4].map(|_: u64| draws.bits());
        let (common, rare): (Vec<Descriptor>, Vec<Descriptor>) =
            (0..12).map(|_| (corner(), corner())).unzip();
        // Sixty pictures share twelve corners; the last one has ten of these, and another, seven rare ones.
        let mut pictures = vec![common.clone(); 60];
        pictures.push(rare[..7].to_vec());
        pictures.push([&common[..10], &rare[..7]].concat());
        let (counts, words) = index(&pictures);
        let found = words.like(pictures[61].iter(), &counts, &mut Ballot::default());
        let weight = |of: u32| found.iter().find(|(_, p)| *p == of).expect("found").0;
        assert!(weight(60) > weight(0), "{} {}", weight(60), weight(0));
    }
}
