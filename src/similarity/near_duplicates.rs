//! Stills that have their like in another part of a data set, and stills that are one video.
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
};

use rayon::prelude::*;

use super::{
    candidates::candidates,
    crowds::{join_near, NearPair},
    features::ThumbnailFeatures,
    hash::{mirrored, UNINFORMATIVE},
    images::{ImageEntry, Likeness, Rule, SetPart},
    leak::{Leak, MemberVerdict, PARTNERS},
    pairs::Index,
    union_find::UnionFind,
    Watch,
};
use crate::seed::Draws;

/// Two stills of different parts that show the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NearDuplicate {
    /// How alike they are.
    pub likeness: Likeness,
    /// Position of the one that was looked up.
    pub still: usize,
    /// Position of its like.
    pub partner: usize,
    /// Whether the files are byte for byte the same.
    pub same_bytes: bool,
}

/// Two stills of which one is an altered copy of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Altered {
    /// The smaller position.
    pub a: usize,
    /// The larger.
    pub b: usize,
    /// How the second is like the first.
    pub likeness: Likeness,
}

/// Altered copies among the stills, in order of position; copies of the whole are none. Of the pairs
/// inside one part only those are looked for that are not one video by `sets`, which learns all
/// that are found: a crowd of pictures of one scene costs little, and sets do not depend on the order.
pub fn altered(
    stills: &[ImageEntry],
    rule: Rule,
    sets: &mut UnionFind,
    watch: Watch<'_>,
) -> Vec<Altered> {
    if !rule.altered {
        return Vec::new();
    }
    let roots: Vec<usize> = (0..stills.len()).map(|i| sets.root(i)).collect();
    let views: Vec<_> = stills.iter().map(|s| s.view.as_ref()).collect();
    let pairs = candidates(views.as_slice(), |a, b| {
        let across = stills[a].part() != stills[b].part();
        let asked = (roots[a] != roots[b] || across) && stills[a].sha256 != stills[b].sha256;
        asked.then_some(across)
    })
    .expect("views in memory are read");
    let judged = |&(a, b): &(u32, u32)| {
        let (a, b) = (a as usize, b as usize);
        let (own, other) = (&stills[a], &stills[b]);
        watch(pairs.len());
        if rule.unaltered(own, other).is_some() {
            return None;
        }
        rule.altered(own, other).map(|likeness| Altered { a, b, likeness })
    };
    let found: Vec<Altered> = pairs.par_iter().filter_map(judged).collect();
    found.iter().for_each(|pair| sets.join(pair.a, pair.b));
    found
}

/// Sets of stills that are one video: near-duplicates, and what is known beforehand, which `known`
/// adds to (pairs of positions). [`altered`] adds more.
pub fn videos(
    stills: &[ImageEntry],
    rule: Rule,
    known: impl IntoIterator<Item = (usize, usize)>,
) -> UnionFind {
    let mut sets = UnionFind::new(stills.len());
    known.into_iter().for_each(|(a, b)| sets.join(a, b));
    let mut first: BTreeMap<(u8, &str), usize> = BTreeMap::new();
    let mut bytes: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, still) in stills.iter().enumerate() {
        if let Some(video) = &still.video {
            sets.join(*first.entry((still.set, video)).or_insert(i), i);
        }
        sets.join(*bytes.entry(&still.sha256).or_insert(i), i);
    }
    join_copies(stills, rule, &mut sets);
    sets
}

/// Joins the sets of near-duplicates.
fn join_copies(stills: &[ImageEntry], rule: Rule, sets: &mut UnionFind) {
    let kept = distinct(stills, rule, sets);
    let same = |pair: &NearPair| -> Result<bool, Infallible> {
        let (own, other) = (&stills[pair.a], &stills[pair.b]);
        Ok(rule.whole(own, other, pair.bits, pair.mirrored).is_some())
    };
    let Ok(_) = join_near(&kept, |i| stills[i].hash, rule.radius, sets, same);
}

/// Positions of stills that stand for all: of those that are the same to every cell, which are
/// joined, the first.
fn distinct(stills: &[ImageEntry], rule: Rule, sets: &mut UnionFind) -> Vec<usize> {
    let mut firsts: BTreeMap<(u64, Option<&[u8]>), usize> = BTreeMap::new();
    let mut kept = Vec::new();
    for (i, still) in stills.iter().enumerate().filter(|(_, s)| s.hash != UNINFORMATIVE) {
        let first = *firsts
            .entry((still.hash, still.look.as_ref().map(ThumbnailFeatures::cells)))
            .or_insert(i);
        if first != i && rule.whole(&stills[first], still, 0, false).is_some() {
            sets.join(first, i);
        } else {
            kept.push(i);
        }
    }
    kept
}

/// Looks up every still of `eval` among those of `reference`.
pub fn leak(
    stills: &[ImageEntry],
    (eval, reference): (SetPart, SetPart),
    (rule, altered): (Rule, &[Altered]),
    videos: &mut UnionFind,
    seed: u64,
) -> Leak<NearDuplicate> {
    let lookup = Lookup::new(stills, (eval, reference), rule, altered);
    let of = |part| (0..stills.len()).filter(|&i| stills[i].part() == part).collect::<Vec<_>>();
    let eval = of(eval);
    let found: Vec<(usize, Vec<NearDuplicate>)> =
        eval.par_iter().map(|&i| lookup.near_duplicates(i)).collect();
    let roots: BTreeSet<usize> = lookup.positions.iter().map(|&i| videos.root(i)).collect();
    let chance = by_chance(stills, &eval, &lookup.positions, rule, seed);
    let pairs = found.iter().map(|(pairs, _)| pairs).sum();
    let verdict =
        |(&member, (_, near_duplicates)): (&usize, (usize, Vec<NearDuplicate>))| MemberVerdict {
            member,
            emotion: stills[member].emotion,
            same_video: !near_duplicates.is_empty() || roots.contains(&videos.root(member)),
            near_duplicates,
        };
    Leak { pairs, chance, verdicts: eval.iter().zip(found).map(verdict).collect() }
}

/// One random partner for every still: how many pairs are near.
fn by_chance(
    stills: &[ImageEntry],
    eval: &[usize],
    reference: &[usize],
    rule: Rule,
    seed: u64,
) -> (usize, usize) {
    if reference.is_empty() {
        return (0, 0);
    }
    let mut draws = Draws::new(seed, "audit-chance", "");
    let drawn = |&i: &usize| (i, reference[draws.below(reference.len() as u64) as usize]);
    let pairs: Vec<(usize, usize)> = eval.iter().map(drawn).collect();
    let near = pairs.par_iter().filter(|(a, b)| rule.judge(&stills[*a], &stills[*b]).is_some());
    (near.count(), eval.len())
}

/// One part, ready to be searched by hash and by bytes for those of another.
struct Lookup<'a> {
    stills: &'a [ImageEntry],
    rule: Rule,
    positions: Vec<usize>,
    index: Index,
    bytes: BTreeMap<&'a str, Vec<usize>>,
    /// By still of the other part: those of this one of which one is an altered copy of the other.
    altered: BTreeMap<usize, Vec<(usize, Likeness)>>,
}

impl<'a> Lookup<'a> {
    fn new(
        stills: &'a [ImageEntry],
        (eval, within): (SetPart, SetPart),
        rule: Rule,
        all: &[Altered],
    ) -> Self {
        let positions: Vec<usize> =
            (0..stills.len()).filter(|&i| stills[i].part() == within).collect();
        let hashes: Vec<u64> = positions.iter().map(|&i| stills[i].hash).collect();
        let mut bytes: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for &i in &positions {
            bytes.entry(&stills[i].sha256).or_default().push(i);
        }
        let mut altered: BTreeMap<usize, Vec<(usize, Likeness)>> = BTreeMap::new();
        for &Altered { a, b, likeness } in all {
            for (own, partner, likeness) in [(a, b, likeness), (b, a, likeness.reversed())] {
                if stills[own].part() == eval && stills[partner].part() == within {
                    altered.entry(own).or_default().push((partner, likeness));
                }
            }
        }
        let index = Index::new(hashes, rule.radius);
        Lookup { stills, rule, positions, index, bytes, altered }
    }

    /// The number of partners of a still, and the nearest of them.
    fn near_duplicates(&self, still: usize) -> (usize, Vec<NearDuplicate>) {
        let own = &self.stills[still];
        let mut found: BTreeMap<usize, NearDuplicate> = BTreeMap::new();
        let mut note = |partner: usize, likeness: Likeness, same_bytes: bool| {
            let duplicate = NearDuplicate { likeness, still, partner, same_bytes };
            let best = found.entry(partner).or_insert(duplicate);
            if !best.same_bytes && duplicate < *best {
                *best = duplicate;
            }
        };
        let equal = Likeness { change: None, distance: 0, mirrored: false, difference: Some(0) };
        let same = self.bytes.get(&*own.sha256).into_iter().flatten();
        same.for_each(|&partner| note(partner, equal, true));
        for (query, mirrored) in [(own.hash, false), (mirrored(own.hash), true)] {
            self.index.near(query, 0, |at, bits| {
                let partner = self.positions[at as usize];
                let other = &self.stills[partner];
                if other.hash == UNINFORMATIVE {
                    return;
                }
                if let Some(likeness) = self.rule.whole(own, other, bits, mirrored) {
                    note(partner, likeness, false);
                }
            });
        }
        let altered = self.altered.get(&still).into_iter().flatten();
        altered.for_each(|(partner, likeness)| note(*partner, *likeness, false));
        let mut near_duplicates: Vec<NearDuplicate> = found.into_values().collect();
        near_duplicates.sort_unstable();
        let pairs = near_duplicates.len();
        near_duplicates.truncate(PARTNERS);
        (pairs, near_duplicates)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            images::tests::{drawn, place},
            leak::Count,
            runs::runs,
        },
        *,
    };
    use crate::record::{Emotion, Split};

    fn room(id: &str, split: Split, n: usize) -> ImageEntry {
        drawn(id, split, place(n))
    }

    #[test]
    fn a_crowd_is_one_set_and_what_only_shares_a_hash_is_not() {
        let crowd = |n: usize| {
            drawn(&n.to_string(), Split::Train, move |x, y| place(1)(x, y) / 2 + (n % 50) as u8)
        };
        let mut all: Vec<ImageEntry> = (0..300).map(crowd).collect();
        // The same bits, other looks: neither the crowd's nor each other's.
        let stranger = |(id, n)| ImageEntry { hash: all[7].hash, ..room(id, Split::Test, n) };
        let strangers = [("a", 2), ("b", 3)].map(stranger);
        all.extend(strangers);
        let mut sets = videos(&all, Rule::default(), []);
        let roots: Vec<usize> = (0..all.len()).map(|i| sets.root(i)).collect();
        assert!(roots[..300].iter().all(|root| *root == 0));
        assert_eq!(roots[300..], [300, 301]);
    }

    #[test]
    fn leaks_are_counted_by_picture_and_by_video() {
        let black = |id, split| drawn(id, split, |_, _| 0);
        let cut = |x: usize, y: usize| place(1)(16 + x * 19 / 20, y * 19 / 20);
        let all = [
            room("train/1", Split::Train, 1),
            drawn("train/2", Split::Train, |x, y| if y > 240 { 250 } else { place(1)(x, y) }),
            drawn("test/1", Split::Test, |x, y| place(1)(x, y) / 2),
            drawn("test/2", Split::Test, |x, y| if y > 240 { 0 } else { place(1)(x, y) / 2 }),
            room("test/3", Split::Test, 7),
            ImageEntry { sha256: "black".into(), ..black("train/3", Split::Train) },
            ImageEntry { sha256: "black".into(), ..black("test/4", Split::Test) },
            black("test/5", Split::Test),
            drawn("test/6", Split::Test, cut),
        ];
        let rule = Rule::default();
        let joined = runs(&all).into_iter().flat_map(|r| r.clone().map(move |i| (r.start, i)));
        let mut sets = videos(&all, rule, joined);
        let cuts = altered(&all, rule, &mut sets, &|_| ());
        let part = |split| SetPart { set: 0, split };
        let parts = (part(Split::Test), part(Split::Train));
        let found = leak(&all, parts, (rule, &cuts), &mut sets, 1);
        // test/2 is of test/1's place, which is a copy; black is told by bytes alone.
        assert_eq!(found.count(None), Count { of: 6, near: 3, same_video: 4 });
        assert_eq!(found.count(Some(Emotion::Fear)), found.count(None));
        let nearest: Vec<_> = found
            .verdicts
            .iter()
            .filter_map(|v| v.near_duplicates.first())
            .map(|t| (t.still, t.partner, t.likeness.cropped(), t.same_bytes))
            .collect();
        assert_eq!(nearest, [(2, 0, false, false), (6, 5, false, true), (8, 0, true, false)]);
        assert_eq!((found.pairs, found.chance.1), (3, 6));
        let none = leak(&all, (part(Split::Val), part(Split::Train)), (rule, &cuts), &mut sets, 1);
        assert_eq!(none.count(None), Count::default());
    }
}
