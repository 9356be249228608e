//! Stills across splits: near-duplicates, runs of neighbours that are one video, and how many
//! pictures of one part of a data set have their like in another.
use std::collections::BTreeMap;

use rayon::prelude::*;

use super::{
    groups::Sets,
    hash::{distance, mirrored, Thumbnail, UNINFORMATIVE},
    pairs::{links, Index},
};
use crate::{
    record::{Emotion, Split},
    seed::Draws,
};

/// Bits in which a still may differ from its copy: between the worst copy (2) and the nearest
/// other take (4) on one half of a planted corpus; see `docs/audit.md`.
pub const RADIUS: u32 = 3;

/// Partners that are told of one picture, nearest first; all are counted.
pub const PARTNERS: usize = 5;

/// Cells per side of a thumbnail.
const EDGE: usize = 32;
/// Rows at the top and columns at either side of a thumbnail that make its background: where
/// actors rarely are. The lowest rows are left to bodies and tables.
const TOP: usize = 9;
const SIDE: usize = 6;
const BOTTOM: usize = 24;
/// Correlation of two backgrounds from which on they are one place seen by one camera.
const SAME_PLACE: f64 = 0.98;
/// Standard deviation, in luma levels, below which a background is too plain to tell.
const PLAIN: f64 = 4.0;

/// The border of a picture, for telling a place whoever stands in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Background {
    cells: Vec<u8>,
    mean: f64,
    deviation: f64,
}

impl Background {
    /// The background of a picture.
    pub fn new(thumbnail: &Thumbnail) -> Self {
        let border = |i: usize| {
            let (y, x) = (i / EDGE, i % EDGE);
            y < TOP || y < BOTTOM && !(SIDE..EDGE - SIDE).contains(&x)
        };
        let levels = thumbnail.cells().iter().enumerate().filter(|(i, _)| border(*i));
        let cells: Vec<u8> = levels.map(|(_, level)| (level >> 8) as u8).collect();
        let n = cells.len() as f64;
        let mean = cells.iter().map(|&c| f64::from(c)).sum::<f64>() / n;
        let square = cells.iter().map(|&c| (f64::from(c) - mean).powi(2)).sum::<f64>();
        Background { cells, mean, deviation: (square / n).sqrt() }
    }

    /// Pearson's correlation of the cells, -1..=1; 0 when either is too plain.
    pub fn correlation(&self, other: &Background) -> f64 {
        if self.deviation < PLAIN || other.deviation < PLAIN {
            return 0.0;
        }
        let product =
            |(a, b): (&u8, &u8)| (f64::from(*a) - self.mean) * (f64::from(*b) - other.mean);
        let sum: f64 = self.cells.iter().zip(&other.cells).map(product).sum();
        sum / self.cells.len() as f64 / (self.deviation * other.deviation)
    }

    /// Whether both show one place from one camera.
    pub fn matches(&self, other: &Background) -> bool {
        self.correlation(other) >= SAME_PLACE
    }
}

/// A picture as the audit sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Still {
    /// sample_id.
    pub id: String,
    /// 0 for the audited data set, 1 for the one it is held against.
    pub set: u8,
    /// The split.
    pub split: Split,
    /// The class.
    pub emotion: Emotion,
    /// What is known to be one video beforehand (clip or group), if anything is.
    pub video: Option<String>,
    /// SHA-256 of the file.
    pub sha256: String,
    /// The perceptual hash.
    pub hash: u64,
    /// The border of the picture.
    pub background: Background,
}

/// A part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// As in [`Still::set`].
    pub set: u8,
    /// The split.
    pub split: Split,
}

impl Still {
    /// The part it is in.
    pub fn part(&self) -> Part {
        Part { set: self.set, split: self.split }
    }
}

/// Consecutive stills, by position, that are one video: each matches its neighbour in background
/// or in hash. Only stills without a known video form runs; those are in the order in which the
/// data set stores them. Runs of one are told too.
pub fn runs(stills: &[Still], radius: u32) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    for run in stills.chunk_by(|a, b| together(a, b, radius)) {
        found.push(start..start + run.len());
        start += run.len();
    }
    found
}

/// Whether the second still carries on the video of the first.
fn together(a: &Still, b: &Still, radius: u32) -> bool {
    let sequel = a.part() == b.part() && a.emotion == b.emotion;
    let unknown = a.video.is_none() && b.video.is_none();
    let informative = a.hash != UNINFORMATIVE && b.hash != UNINFORMATIVE;
    let near = informative && distance(a.hash, b.hash) <= radius;
    sequel && unknown && (near || a.background.matches(&b.background))
}

/// How often the rule of [`runs`] joins what stands at a random place of the same folder instead
/// of next door: (joined, tried). The control of the runs.
pub fn runs_by_chance(stills: &[Still], radius: u32, seed: u64) -> (usize, usize) {
    let mut folders: BTreeMap<(Part, Emotion), Vec<&Still>> = BTreeMap::new();
    for still in stills.iter().filter(|s| s.video.is_none()) {
        folders.entry((still.part(), still.emotion)).or_default().push(still);
    }
    let mut draws = Draws::new(seed, "audit-runs", "");
    let (mut joined, mut tried) = (0, 0);
    for folder in folders.values().filter(|f| f.len() > 1) {
        for (i, still) in folder.iter().enumerate() {
            let offset = 1 + draws.below(folder.len() as u64 - 1) as usize;
            let other = folder[(i + offset) % folder.len()];
            joined += usize::from(together(still, other, radius));
            tried += 1;
        }
    }
    (joined, tried)
}

/// Sets of stills that are one video: near-duplicates, runs and what is known beforehand.
pub fn videos(stills: &[Still], runs: &[std::ops::Range<usize>], radius: u32) -> Sets {
    let mut sets = Sets::new(stills.len());
    for run in runs {
        run.clone().for_each(|i| sets.join(run.start, i));
    }
    let mut first: BTreeMap<(u8, &str), usize> = BTreeMap::new();
    let mut bytes: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, still) in stills.iter().enumerate() {
        if let Some(video) = &still.video {
            sets.join(*first.entry((still.set, video)).or_insert(i), i);
        }
        sets.join(*bytes.entry(&still.sha256).or_insert(i), i);
    }
    let hashes: Vec<u64> = stills.iter().map(|s| s.hash).collect();
    links(&hashes, radius, true).iter().for_each(|p| sets.join(p.a as usize, p.b as usize));
    sets
}

/// Two stills of different parts that show the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Twin {
    /// Differing bits; 0 for equal bytes.
    pub distance: u32,
    /// Whether one is the mirror image of the other.
    pub mirrored: bool,
    /// Position of the one that was looked up.
    pub still: usize,
    /// Position of its like.
    pub partner: usize,
    /// Whether the files are byte for byte the same.
    pub same_bytes: bool,
}

/// How much of one part has its like in another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Leak {
    /// Pairs in all.
    pub pairs: usize,
    /// Every still of the part that was looked up, in order of position.
    pub verdicts: Vec<Verdict>,
    /// Random pairs of the two parts that count as near: (near, tried).
    pub chance: (usize, usize),
}

/// What was found about one still.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Its position.
    pub still: usize,
    /// Its class.
    pub emotion: Emotion,
    /// The [`PARTNERS`] nearest of its near-duplicates, nearest first.
    pub twins: Vec<Twin>,
    /// Whether its video also gives stills to the other part.
    pub same_video: bool,
}

/// A share in whole numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Stills.
    pub of: usize,
    /// Those with a near-duplicate in the other part.
    pub near: usize,
    /// Those whose video also gives stills to the other part.
    pub same_video: usize,
}

impl Leak {
    /// The counts of one class, or of all together.
    pub fn count(&self, class: Option<Emotion>) -> Count {
        let mut count = Count::default();
        for verdict in self.verdicts.iter().filter(|v| class.is_none_or(|c| c == v.emotion)) {
            count.of += 1;
            count.near += usize::from(!verdict.twins.is_empty());
            count.same_video += usize::from(verdict.same_video);
        }
        count
    }
}

/// Looks up every still of `eval` among those of `reference`.
pub fn leak(
    stills: &[Still],
    (eval, reference): (Part, Part),
    videos: &mut Sets,
    radius: u32,
    seed: u64,
) -> Leak {
    let of = |part| (0..stills.len()).filter(|&i| stills[i].part() == part).collect::<Vec<_>>();
    let (eval, reference) = (of(eval), of(reference));
    let lookup = Lookup::new(stills, &reference, radius);
    let found: Vec<(usize, Vec<Twin>)> = eval.par_iter().map(|&i| lookup.twins(i)).collect();
    let roots: std::collections::BTreeSet<usize> =
        reference.iter().map(|&i| videos.root(i)).collect();
    let chance = by_chance(stills, &eval, &reference, radius, seed);
    let pairs = found.iter().map(|(pairs, _)| pairs).sum();
    let verdict = |(&still, (_, twins)): (&usize, (usize, Vec<Twin>))| Verdict {
        still,
        emotion: stills[still].emotion,
        twins,
        same_video: roots.contains(&videos.root(still)),
    };
    Leak { pairs, chance, verdicts: eval.iter().zip(found).map(verdict).collect() }
}

/// One random partner for every still: how many pairs are near.
fn by_chance(
    stills: &[Still],
    eval: &[usize],
    reference: &[usize],
    radius: u32,
    seed: u64,
) -> (usize, usize) {
    if reference.is_empty() {
        return (0, 0);
    }
    let mut draws = Draws::new(seed, "audit-chance", "");
    let near = |&&i: &&usize| {
        let partner = reference[draws.below(reference.len() as u64) as usize];
        nearness(&stills[i], &stills[partner]).is_some_and(|(d, _)| d <= radius)
    };
    (eval.iter().filter(near).count(), eval.len())
}

/// Differing bits and whether mirrored; `None` when either says too little.
fn nearness(a: &Still, b: &Still) -> Option<(u32, bool)> {
    if a.hash == UNINFORMATIVE || b.hash == UNINFORMATIVE {
        return None;
    }
    let (straight, flipped) = (distance(a.hash, b.hash), distance(mirrored(a.hash), b.hash));
    Some(if straight <= flipped { (straight, false) } else { (flipped, true) })
}

/// One part, ready to be searched by hash and by bytes.
struct Lookup<'a> {
    stills: &'a [Still],
    positions: &'a [usize],
    index: Index,
    bytes: BTreeMap<&'a str, Vec<usize>>,
}

impl<'a> Lookup<'a> {
    fn new(stills: &'a [Still], positions: &'a [usize], radius: u32) -> Self {
        let hashes: Vec<u64> = positions.iter().map(|&i| stills[i].hash).collect();
        let mut bytes: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for &i in positions {
            bytes.entry(&stills[i].sha256).or_default().push(i);
        }
        Lookup { stills, positions, index: Index::new(hashes, radius), bytes }
    }

    /// The number of partners of a still, and the nearest of them.
    fn twins(&self, still: usize) -> (usize, Vec<Twin>) {
        let own = &self.stills[still];
        let mut found: BTreeMap<usize, Twin> = BTreeMap::new();
        let same = self.bytes.get(&*own.sha256).into_iter().flatten();
        for &partner in same {
            let twin = Twin { distance: 0, mirrored: false, still, partner, same_bytes: true };
            found.insert(partner, twin);
        }
        for (query, mirrored) in [(own.hash, false), (mirrored(own.hash), true)] {
            self.index.near(query, 0, |at, distance| {
                let partner = self.positions[at as usize];
                let twin = Twin { distance, mirrored, still, partner, same_bytes: false };
                let best = found.entry(partner).or_insert(twin);
                if twin.distance < best.distance {
                    *best = twin;
                }
            });
        }
        let mut twins: Vec<Twin> = found.into_values().collect();
        twins.sort_unstable();
        let pairs = twins.len();
        twins.truncate(PARTNERS);
        (pairs, twins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn background(levels: impl Fn(usize, usize) -> u8) -> Background {
        let pixels: Vec<u8> = (0..64 * 64).map(|i| levels(i % 64, i / 64)).collect();
        Background::new(&Thumbnail::of_pixels(&pixels, 64, 64).expect("fits"))
    }

    fn place(n: usize) -> Background {
        background(move |x, y| ((x * (n + 3) + y * (7 * n + 1)) % 200) as u8)
    }

    fn still(id: &str, split: Split, hash: u64, place_of: usize) -> Still {
        Still {
            id: id.into(),
            set: 0,
            split,
            emotion: Emotion::Fear,
            video: None,
            sha256: id.into(),
            hash,
            background: place(place_of),
        }
    }

    #[test]
    fn a_place_is_known_whoever_stands_in_it() {
        let room = |x: usize, y: usize| ((x * 5 + y * 3) % 180) as u8;
        let person =
            background(|x, y| if (20..44).contains(&x) && y > 20 { 250 } else { room(x, y) });
        let brighter = background(|x, y| room(x, y) + 20);
        assert!(background(room).matches(&person) && background(room).matches(&brighter));
        assert!(!background(room).matches(&place(2)));
        assert!(!background(|_, _| 90).matches(&background(|_, _| 90)), "plain walls tell nothing");
    }

    #[test]
    fn neighbours_in_one_place_are_one_video() {
        let mut all = [1, 1, 1, 2, 2, 3]
            .map(|p| still(&p.to_string(), Split::Train, p as u64 * 0x1234_5678_9abc, p))
            .to_vec();
        all.push(still("x", Split::Test, 3 * 0x1234_5678_9abc, 3)); // another split
        let mut known = still("y", Split::Test, 1, 3);
        known.video = Some("clip".into());
        all.push(known);
        assert_eq!(runs(&all, RADIUS), [0..3, 3..5, 5..6, 6..7, 7..8]);
        let (joined, tried) = runs_by_chance(&all, RADIUS, 1);
        assert!(tried == 6 && joined < 6);
    }

    #[test]
    fn leaks_are_counted_by_picture_and_by_video() {
        let far = |n: u64| Draws::new(n, "hash", "").bits();
        let all = [
            still("train/1", Split::Train, far(1), 1),
            still("train/2", Split::Train, far(2), 1), // the same place as train/1
            still("test/1", Split::Test, far(1) ^ 3, 2),
            still("test/2", Split::Test, far(3), 2), // the same place as test/1
            still("test/3", Split::Test, mirrored(far(2)), 4),
            still("test/4", Split::Test, far(5), 5),
            Still { sha256: "train/2".into(), ..still("test/5", Split::Test, UNINFORMATIVE, 6) },
        ];
        let mut sets = videos(&all, &runs(&all, RADIUS), RADIUS);
        let part = |split| Part { set: 0, split };
        let found = leak(&all, (part(Split::Test), part(Split::Train)), &mut sets, RADIUS, 1);
        assert_eq!(found.count(None), Count { of: 5, near: 3, same_video: 4 });
        assert_eq!(found.count(Some(Emotion::Fear)), found.count(None));
        let nearest: Vec<_> =
            found.verdicts.iter().filter_map(|v| v.twins.first().copied()).collect();
        let twin = |still, partner, distance, mirrored, same_bytes| Twin {
            distance,
            mirrored,
            still,
            partner,
            same_bytes,
        };
        assert_eq!(
            nearest,
            [twin(2, 0, 2, false, false), twin(4, 1, 0, true, false), twin(6, 1, 0, false, true)]
        );
        assert_eq!((found.pairs, found.chance.1), (3, 5));
        let none = leak(&all, (part(Split::Val), part(Split::Train)), &mut sets, RADIUS, 1);
        assert_eq!(none.count(None), Count::default());
    }
}
