//! Clips that are one video: equal bytes, equal or aligned signatures, or moments that are altered
//! copies of each other, joined transitively.
use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    io,
};

use rayon::prelude::*;

use super::{
    align::{same_video, Hashes, MOST_MEAN},
    clip_views::{altered_clips, same_picture, AlteredClips, Fine},
    crowds::{join_near, NearPair},
    frames::CANDIDATE_RADIUS,
    hash::UNINFORMATIVE,
    images::RADIUS,
    owners::owner_pairs,
    union_find::UnionFind,
    Watch,
};
use crate::{record::HexDigest, words::Words};

/// What grouping needs to know of a clip or still.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Member<'a> {
    /// The clip.
    pub clip_id: &'a str,
    /// SHA-256 of its file, when it could be read.
    pub sha256: Option<&'a HexDigest>,
    /// Its hashes on the 0.5 s grid (one hash for a still), when computed.
    pub signature: Option<&'a [u64]>,
    /// Views of its moments and finer hashes as `clip_views` packs them, when computed.
    pub views: Option<&'a Words>,
}

impl<'a> Member<'a> {
    /// The hash and the view of a still, or of a clip with one hash, of which both are known: pictures
    /// that are near by hash are looked at, signatures of several hashes are compared by hash alone.
    fn picture(&self) -> Option<(u64, &'a Words)> {
        match self.signature {
            Some([hash]) => self.views.map(|views| (*hash, views)),
            _ => None,
        }
    }

    /// The signature of what is known by that alone, when it says anything.
    fn sequence(&self) -> Option<&'a [u64]> {
        self.signature.filter(|s| informative(s) && self.picture().is_none())
    }
}

/// Why two clips are one video.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reason {
    /// The files are byte for byte the same.
    SameBytes,
    /// The signatures align with this mean number of differing bits.
    NearSignature {
        /// Mean differing bits per grid position, 0..=64.
        mean_distance: f64,
        /// Whether one is the mirror image of the other.
        mirrored: bool,
    },
    /// Moments are altered copies of each other: cropped, with a logo, bars and so on.
    Altered {
        /// Moments that are.
        moments: usize,
        /// Moments of the shorter.
        of: usize,
        /// Whether one is the mirror image of the other.
        mirrored: bool,
    },
}

/// Two clips that were found to be one video.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// Position of one clip.
    pub a: usize,
    /// Position of the other.
    pub b: usize,
    /// What joins them.
    pub reason: Reason,
}

/// The groups of a set of clips.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grouping {
    /// For every clip the position of the member of its group with the smallest clip_id, which
    /// names the group; itself when it stands alone.
    pub first: Vec<usize>,
    /// The pairs that made the groups, in order of position; no more per group than it takes
    /// when bytes or signatures are equal.
    pub links: Vec<Link>,
}

impl Grouping {
    /// The group_id of the clip at `position`.
    pub fn group_id<'a>(&self, members: &[Member<'a>], position: usize) -> &'a str {
        members[self.first[position]].clip_id
    }
}

/// Joins clips that are the same video by content. The result does not depend on the order of
/// `members` but for the positions themselves.
///
/// # Errors
/// When views lie in a file that cannot be read.
pub fn groups(members: &[Member<'_>], watch: Watch<'_>) -> io::Result<Grouping> {
    let mut links = equal(members, |m| m.sha256, Reason::SameBytes);
    let same = Reason::NearSignature { mean_distance: 0.0, mirrored: false };
    links.extend(equal(members, Member::sequence, same));
    let mut sets = UnionFind::new(members.len());
    links.iter().for_each(|l| sets.join(l.a, l.b));
    links.extend(near(members, &distinct(members, &mut sets))?);
    links.iter().for_each(|l| sets.join(l.a, l.b));
    links.extend(same_pictures(members, &mut sets)?);
    links.extend(altered(members, &mut sets, watch)?);
    links.iter().for_each(|l| sets.join(l.a, l.b));
    links.sort_by_key(|l| (l.a, l.b));
    let mut smallest: BTreeMap<usize, usize> = BTreeMap::new();
    for i in 0..members.len() {
        let first = smallest.entry(sets.root(i)).or_insert(i);
        if members[i].clip_id < members[*first].clip_id {
            *first = i;
        }
    }
    let first = (0..members.len()).map(|i| smallest[&sets.root(i)]).collect();
    Ok(Grouping { first, links })
}

fn informative(signature: &[u64]) -> bool {
    signature.iter().any(|h| *h != UNINFORMATIVE)
}

/// Links every further holder of a key to the first.
fn equal<'a, K: Ord>(
    members: &[Member<'a>],
    key: impl Fn(&Member<'a>) -> Option<K>,
    reason: Reason,
) -> Vec<Link> {
    let mut first: BTreeMap<K, usize> = BTreeMap::new();
    let mut links = Vec::new();
    for (b, member) in members.iter().enumerate() {
        let Some(key) = key(member) else { continue };
        let a = *first.entry(key).or_insert(b);
        if a != b {
            links.push(Link { a, b, reason });
        }
    }
    links
}

/// One position for every different informative signature among the members of a set so far;
/// members of one set that differ in signature all stay.
fn distinct(members: &[Member<'_>], sets: &mut UnionFind) -> Vec<usize> {
    let mut seen = BTreeSet::new();
    let mut keep = Vec::new();
    for (i, member) in members.iter().enumerate() {
        let Some(signature) = member.signature.filter(|s| informative(s)) else { continue };
        if seen.insert((sets.root(i), signature)) {
            keep.push(i);
        }
    }
    keep
}

/// Links between the members at `kept` whose hashes align.
fn near(members: &[Member<'_>], kept: &[usize]) -> io::Result<Vec<Link>> {
    let picture = |k: u32| members[kept[k as usize]].picture().is_some();
    if (0..kept.len() as u32).all(picture) {
        return Ok(Vec::new());
    }
    let fine = Fine::of(kept.iter().map(|&i| members[i].views))?;
    let known = |k: u32| {
        let signature = members[kept[k as usize]].signature.unwrap_or_default();
        Hashes { signature, fine: fine.of_clip(k as usize) }
    };
    let (mut hashes, mut owners) = (Vec::new(), Vec::new());
    for k in 0..kept.len() as u32 {
        // Of the finer ones every other is near enough to find pairs by.
        match known(k) {
            Hashes { signature, fine: [] } => hashes.extend_from_slice(signature),
            Hashes { fine, .. } => hashes.extend(fine.iter().step_by(2)),
        }
        owners.resize(hashes.len(), k);
    }
    let aligned = |(k, p): (u32, u32)| {
        if picture(k) && picture(p) {
            return None;
        }
        let found = same_video(known(k), known(p))?;
        let reason =
            Reason::NearSignature { mean_distance: found.mean_distance, mirrored: found.mirrored };
        Some(Link { a: kept[k as usize], b: kept[p as usize], reason })
    };
    let pairs = owner_pairs(&hashes, &owners, CANDIDATE_RADIUS);
    drop((hashes, owners));
    Ok(pairs.into_par_iter().filter_map(aligned).collect())
}

/// Links between pictures that are the same: what the audit calls so, in whichever parts they are. Hashes
/// alone would join moments of one film and other takes of one scene.
fn same_pictures(members: &[Member<'_>], sets: &mut UnionFind) -> io::Result<Vec<Link>> {
    let hash = |i: usize| members[i].picture().map_or(UNINFORMATIVE, |(hash, _)| hash);
    let pictures: Vec<usize> = (0..members.len()).filter(|&i| hash(i) != UNINFORMATIVE).collect();
    let same = |pair: &NearPair| -> io::Result<bool> {
        let of = |i: usize| members[i].picture().map(|(_, views)| views.get()).transpose();
        let (Some(own), Some(other)) = (of(pair.a)?, of(pair.b)?) else { return Ok(false) };
        let seen = same_picture(&own, &other, pair.mirrored);
        Ok(seen.unwrap_or(f64::from(pair.bits) <= MOST_MEAN))
    };
    let found = join_near(&pictures, hash, RADIUS, sets, same)?;
    let link = |NearPair { a, b, bits, mirrored }: NearPair| {
        let reason = Reason::NearSignature { mean_distance: f64::from(bits), mirrored };
        Link { a, b, reason }
    };
    Ok(found.into_iter().map(link).collect())
}

/// Links between members that are not in one set and whose moments are altered copies.
fn altered(
    members: &[Member<'_>],
    sets: &mut UnionFind,
    watch: Watch<'_>,
) -> io::Result<Vec<Link>> {
    let roots: Vec<usize> = (0..members.len()).map(|i| sets.root(i)).collect();
    let views = one_of_each(members, &roots)?;
    let link = |AlteredClips { a, b, moments, of, mirrored, .. }: AlteredClips| {
        let reason = Reason::Altered { moments, of, mirrored };
        Link { a, b, reason }
    };
    let found = altered_clips(&views, |a, b| roots[a] != roots[b], watch)?;
    Ok(found.into_iter().map(link).collect())
}

/// The views of the members, but `None` for those whose set has a member in front with the same views.
fn one_of_each<'a>(members: &[Member<'a>], roots: &[usize]) -> io::Result<Vec<Option<&'a Words>>> {
    let mut sizes = vec![0u32; members.len()];
    roots.iter().for_each(|root| sizes[*root] += 1);
    let digest = |i: usize| -> io::Result<Option<u64>> {
        let Some(views) = members[i].views.filter(|_| sizes[roots[i]] > 1) else { return Ok(None) };
        let mut hasher = DefaultHasher::new();
        views.get()?.hash(&mut hasher);
        Ok(Some(hasher.finish()))
    };
    let digests: Vec<Option<u64>> =
        (0..members.len()).into_par_iter().map(digest).collect::<io::Result<_>>()?;
    let mut seen = BTreeSet::new();
    let is_first = |i: usize| digests[i].is_none_or(|digest| seen.insert((roots[i], digest)));
    let firsts: Vec<bool> = (0..members.len()).map(is_first).collect();
    Ok(members.iter().zip(firsts).map(|(m, first)| m.views.filter(|_| first)).collect())
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            clip_views::packed,
            hash::{mirrored, Thumbnail},
            plane::Plane,
            view::tests::scene,
        },
        *,
    };
    use crate::seed::Draws;
    use proptest::prelude::*;

    fn signature(seed: u64) -> Vec<u64> {
        let mut draws = Draws::new(seed, "signature", "");
        (0..6).map(|_| draws.bits()).collect()
    }

    #[test]
    fn bytes_and_signatures_join_transitively_and_the_smallest_id_names() {
        let (a, c) = (signature(1), signature(2));
        let b: Vec<u64> = a[1..].iter().map(|h| mirrored(*h) ^ 1).collect();
        let digests: Vec<HexDigest> = (0..6).map(|n: u8| n.to_string().into()).collect();
        let member = |clip_id, sha256: Option<usize>, signature| Member {
            clip_id,
            sha256: sha256.map(|n| &digests[n]),
            signature,
            views: None,
        };
        let members = [
            member("train/b", Some(1), Some(&a[..])),
            member("test/z", Some(2), Some(&b[..])),
            member("test/a", Some(2), None),
            member("val/c", Some(3), Some(&c[..])),
            member("val/black", Some(4), Some(&[UNINFORMATIVE; 3][..])),
            member("train/black", Some(5), Some(&[UNINFORMATIVE; 3][..])),
            member("train/gone", None, None),
            member("val/gone", None, None),
        ];
        let found = groups(&members, &|_| ()).expect("held");
        assert_eq!(found.first, [2, 2, 2, 3, 4, 5, 6, 7]);
        assert_eq!(found.group_id(&members, 0), "test/a");
        let near = Reason::NearSignature { mean_distance: 1.0, mirrored: true };
        let links =
            [Link { a: 0, b: 1, reason: near }, Link { a: 1, b: 2, reason: Reason::SameBytes }];
        assert_eq!(found.links, links);
        assert_eq!(groups(&[], &|_| ()).expect("nothing"), Grouping::default());
    }

    #[test]
    fn a_thousand_equal_signatures_are_one_group() {
        let a = signature(1);
        let ids: Vec<String> = (0..1000).map(|i| format!("train/{i:04}")).collect();
        let members: Vec<_> = ids
            .iter()
            .map(|id| Member { clip_id: id, sha256: None, signature: Some(&a), views: None })
            .collect();
        let found = groups(&members, &|_| ()).expect("held");
        assert!(found.first.iter().all(|f| *f == 0));
        assert_eq!(found.links.len(), 999);
    }

    /// A still: its hash, or `hash` in its place, and its view.
    fn still(picture: &Plane, hash: Option<u64>) -> (Vec<u64>, Words) {
        let Plane { width, height, pixels } = picture;
        let thumbnail = Thumbnail::of_pixels(pixels, *width, *height).expect("fits");
        let hash = hash.unwrap_or_else(|| super::super::hash::hash(&thumbnail));
        (vec![hash], packed(picture).into())
    }

    fn firsts(stills: &[(Vec<u64>, Words)]) -> Vec<usize> {
        let ids: Vec<String> = (0..stills.len()).map(|i| format!("train/{i:04}")).collect();
        let mut members = Vec::new();
        for (clip_id, (signature, views)) in ids.iter().zip(stills) {
            let (signature, views) = (Some(&signature[..]), Some(views));
            members.push(Member { clip_id, sha256: None, signature, views });
        }
        groups(&members, &|_| ()).expect("held").first
    }

    #[test]
    fn stills_of_one_hash_are_one_only_when_they_look_alike() {
        let picture = scene(1, 480, 270);
        let dark =
            Plane { pixels: picture.pixels.iter().map(|v| v / 2).collect(), ..picture.clone() };
        let (original, hash) = (still(&picture, None), still(&picture, None).0[0]);
        let other = still(&scene(2, 480, 270), Some(hash));
        let near = still(&scene(3, 480, 270), Some(hash ^ 1));
        let all =
            [original, still(&dark, None), other.clone(), near, still(&picture.mirrored(), None)];
        assert_eq!(firsts(&all), [0, 0, 2, 3, 0]);
        // Where there is no view, the hash alone tells, as of manifests that have none.
        let unseen = |(signature, _): (Vec<u64>, Words)| (signature, Words::from(vec![0]));
        assert_eq!(firsts(&[unseen(other), still(&picture, Some(hash))]), [0, 0]);
    }

    #[test]
    fn a_crowd_of_one_picture_is_one_group() {
        let picture = scene(1, 480, 270);
        let grain = |i: usize| {
            let mut own = picture.clone();
            own.pixels[i] ^= 1;
            still(&own, None)
        };
        let all: Vec<_> = (0..200).map(grain).collect();
        assert!(firsts(&all).iter().all(|first| *first == 0));
    }

    proptest! {
        #[test]
        fn the_order_of_the_clips_does_not_matter(
            spec in prop::collection::vec((0u64..4, 0u64..64, 0usize..3), 1..25), seed: u64,
        ) {
            let signatures: Vec<Vec<u64>> = spec.iter()
                .map(|&(s, flip, trim)| signature(s)[trim..].iter().map(|h| h ^ 1 << flip).collect())
                .collect();
            let ids: Vec<String> = (0..spec.len()).map(|i| format!("train/{i:02}")).collect();
            let named = |order: &[usize]| {
                let members: Vec<_> = order.iter()
                    .map(|&i| Member { clip_id: &ids[i], sha256: None, signature: Some(&signatures[i]), views: None })
                    .collect();
                let found = groups(&members, &|_| ()).expect("held");
                (0..order.len())
                    .map(|p| (members[p].clip_id.to_owned(), found.group_id(&members, p).to_owned()))
                    .collect::<BTreeMap<_, _>>()
            };
            let mut order: Vec<usize> = (0..spec.len()).collect();
            let straight = named(&order);
            Draws::new(seed, "order", "").shuffle(&mut order);
            prop_assert_eq!(&straight, &named(&order));
            for (clip, group) in &straight {
                prop_assert!(group <= clip);
            }
        }
    }
}
