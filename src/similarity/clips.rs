//! Clips across data sets: which of one part are also in another, and which stills come from them.
use std::{collections::BTreeMap, io};

use rayon::prelude::*;

use super::{
    align::{best, same_video, Hashes, Phase, SameVideo},
    clip_views::{altered_clips, AlteredClips, Fine},
    frames::{Frames, CANDIDATE_RADIUS},
    hash::mirrored,
    images::{ImageEntry, SetPart, HASH_ALONE},
    leak::{Leak, MemberVerdict, PARTNERS},
    Watch,
};
use crate::{
    record::{Emotion, Split},
    seed::Draws,
    words::Words,
};

/// A clip that gives pictures to a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct ClipEntry {
    /// clip_id.
    pub id: String,
    /// 0 for the audited data set, 1 for the one it is held against.
    pub set: u8,
    /// The split.
    pub split: Split,
    /// The class.
    pub emotion: Emotion,
    /// group_id, which its stills have as their known video.
    pub video: String,
    /// SHA-256 of its file, when it could be read.
    pub sha256: Option<String>,
    /// Hashes on the 0.5 s grid; empty when they were not computed.
    pub signature: Vec<u64>,
    /// Views of its moments, one a second; empty when they were not computed.
    pub views: Option<Words>,
}

impl ClipEntry {
    /// The part it is in.
    pub fn part(&self) -> SetPart {
        SetPart { set: self.set, split: self.split }
    }
}

/// Two clips of different parts that are one video.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NearDuplicateClip {
    /// Position of the one that was looked up.
    pub film: usize,
    /// Position of its like.
    pub partner: usize,
    /// Mean differing bits per moment; 0 for equal bytes.
    pub mean_distance: f64,
    /// Whether one is the mirror image of the other.
    pub mirrored: bool,
    /// Seconds by which the partner starts later in the film; negative the other way round.
    pub shift_s: f64,
    /// Seconds of the clip that was looked up that pass in one of its like.
    pub speed: f64,
    /// Whether the files are byte for byte the same.
    pub same_bytes: bool,
    /// Whether it is an altered copy: cropped, with bars, a logo and so on.
    pub altered: bool,
}

/// Looks up every clip of one part among those of another; of clips that are not signed only
/// bytes are compared.
///
/// # Errors
/// When views lie in a file that cannot be read.
pub fn film_leak(
    films: &[ClipEntry],
    (eval, reference): (SetPart, SetPart),
    seed: u64,
    watch: Watch<'_>,
) -> io::Result<Leak<NearDuplicateClip>> {
    let of = |part| (0..films.len()).filter(|&i| films[i].part() == part).collect::<Vec<_>>();
    let (eval, reference) = (of(eval), of(reference));
    let (fine, there) = (fine_hashes(films, &eval)?, fine_hashes(films, &reference)?);
    let all = |(k, &i): (usize, &usize)| there.or(k, &films[i].signature);
    let frames = Frames::new(reference.iter().enumerate().map(all), CANDIDATE_RADIUS);
    let mut bytes: BTreeMap<&String, Vec<usize>> = BTreeMap::new();
    for (k, &i) in reference.iter().enumerate() {
        films[i].sha256.iter().for_each(|sha256| bytes.entry(sha256).or_default().push(k));
    }
    let altered = altered(films, &eval, &reference, watch)?;
    let fine_of = |e: usize, k: usize| (fine.of_clip(e), there.of_clip(k));
    let verdict = |(e, &member): (usize, &usize)| {
        let own = &films[member];
        let mut near = frames.partners(fine.or(e, &own.signature), 0);
        near.extend(own.sha256.as_ref().and_then(|sha256| bytes.get(sha256)).into_iter().flatten());
        near.sort_unstable();
        near.dedup();
        let mut twins: Vec<NearDuplicateClip> = near
            .into_iter()
            .filter_map(|k| twin(films, (member, reference[k]), fine_of(e, k)))
            .collect();
        for twin in altered.get(&member).into_iter().flatten() {
            if twins.iter().all(|known| known.partner != twin.partner) {
                twins.push(*twin);
            }
        }
        twins.sort_by(|a, b| {
            let order = (!a.same_bytes).cmp(&!b.same_bytes);
            order.then(a.mean_distance.total_cmp(&b.mean_distance)).then(a.partner.cmp(&b.partner))
        });
        let pairs = twins.len();
        twins.truncate(PARTNERS);
        let same_video = pairs > 0;
        (pairs, MemberVerdict { member, emotion: own.emotion, twins, same_video })
    };
    let (pairs, verdicts): (Vec<usize>, Vec<_>) = eval.par_iter().enumerate().map(verdict).unzip();
    let mut draws = Draws::new(seed, "audit-chance-clips", "");
    let tried = if reference.is_empty() { 0 } else { eval.len() };
    let random = eval.iter().enumerate().take(tried).filter(|&(e, &i)| {
        let k = draws.below(reference.len() as u64) as usize;
        twin(films, (i, reference[k]), fine_of(e, k)).is_some()
    });
    let chance = (random.count(), tried);
    Ok(Leak { pairs: pairs.into_iter().sum(), verdicts, chance })
}

/// The finer hashes of the clips at `positions`.
fn fine_hashes(films: &[ClipEntry], positions: &[usize]) -> io::Result<Fine> {
    Fine::of(positions.iter().map(|&i| films[i].views.as_ref()))
}

/// By clip of the one part: those of the other of which one is an altered copy of the other.
fn altered(
    films: &[ClipEntry],
    eval: &[usize],
    reference: &[usize],
    watch: Watch<'_>,
) -> io::Result<BTreeMap<usize, Vec<NearDuplicateClip>>> {
    let positions: Vec<usize> = eval.iter().chain(reference).copied().collect();
    let views: Vec<Option<&Words>> = positions.iter().map(|&i| films[i].views.as_ref()).collect();
    let across = |a: usize, b: usize| (a < eval.len()) != (b < eval.len());
    let mut found: BTreeMap<usize, Vec<NearDuplicateClip>> = BTreeMap::new();
    for pair in altered_clips(&views, across, watch)? {
        // Positions of the first part come first, and so does the smaller of a pair.
        let (film, partner) = (positions[pair.a], positions[pair.b]);
        let both = (&films[film].signature, &films[partner].signature);
        let mean_distance =
            best(both.0, both.1, Phase::On).map_or(f64::from(u64::BITS), |laid| laid.mean_distance);
        let AlteredClips { mirrored, shift_s, .. } = pair;
        let (same_bytes, altered) = (false, true);
        found.entry(film).or_default().push(NearDuplicateClip {
            film,
            partner,
            mean_distance,
            mirrored,
            shift_s,
            speed: 1.0,
            same_bytes,
            altered,
        });
    }
    Ok(found)
}

fn same_bytes(a: &ClipEntry, b: &ClipEntry) -> bool {
    a.sha256.is_some() && a.sha256 == b.sha256
}

/// How the one clip is the same video as the other; `fine` are the finer hashes of both.
fn twin(
    films: &[ClipEntry],
    (film, partner): (usize, usize),
    fine: (&[u64], &[u64]),
) -> Option<NearDuplicateClip> {
    let (own, other) = (&films[film], &films[partner]);
    let same_bytes = same_bytes(own, other);
    let found = if same_bytes {
        SameVideo { mean_distance: 0.0, mirrored: false, speed: 1.0, shift_s: 0.0 }
    } else {
        let own = Hashes { signature: &own.signature, fine: fine.0 };
        same_video(own, Hashes { signature: &other.signature, fine: fine.1 })?
    };
    let SameVideo { mean_distance, mirrored, speed, shift_s } = found;
    Some(NearDuplicateClip {
        film,
        partner,
        mean_distance,
        mirrored,
        shift_s,
        speed,
        same_bytes,
        altered: false,
    })
}

/// A still that is near to a moment of a clip of the other data set, by hash alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Position of the still.
    pub still: usize,
    /// Differing bits.
    pub distance: u32,
    /// Position of the clip.
    pub film: usize,
    /// Which hash of its signature, from 0.
    pub step: usize,
    /// Whether one is the mirror image of the other.
    pub mirrored: bool,
}

/// The nearest moment of every clip of the one data set for every still of the other, where that
/// other has stills only; in order of still and distance.
pub fn moments(stills: &[ImageEntry], films: &[ClipEntry]) -> Vec<Moment> {
    let filmed = |set: u8| films.iter().any(|f| f.set == set);
    let frames = Frames::new(films.iter().map(|f| f.signature.as_slice()), HASH_ALONE);
    let unfilmed: Vec<usize> = (0..stills.len()).filter(|&i| !filmed(stills[i].set)).collect();
    let of_one = |&still: &usize| {
        let own = stills[still].hash;
        let mut near = Vec::new();
        for (query, mirrored) in [(own, false), (mirrored(own), true)] {
            frames.near(query, 0, |film, step, distance| {
                near.push(Moment { still, distance, film, step, mirrored });
            });
        }
        near.sort_unstable_by_key(|m| (m.film, m.distance, m.step, m.mirrored));
        near.dedup_by_key(|m| m.film);
        near.sort_unstable();
        near
    };
    unfilmed.par_iter().flat_map_iter(of_one).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            hash::UNINFORMATIVE,
            images::tests::{drawn, place},
        },
        *,
    };

    fn film(
        id: &str,
        (set, split): (u8, Split),
        sha256: Option<&str>,
        signature: &[u64],
    ) -> ClipEntry {
        ClipEntry {
            id: id.into(),
            set,
            split,
            emotion: Emotion::Sad,
            video: id.into(),
            sha256: sha256.map(str::to_owned),
            signature: signature.to_vec(),
            views: None,
        }
    }

    fn signature(seed: u64) -> Vec<u64> {
        let mut draws = Draws::new(seed, "signature", "");
        (0..8).map(|_| draws.bits()).collect()
    }

    #[test]
    fn clips_are_found_by_signature_and_by_bytes_in_the_part_that_is_asked() {
        let [a, b, c] = [1, 2, 3].map(signature);
        let trimmed: Vec<u64> = a[1..].iter().map(|h| mirrored(*h) ^ 1).collect();
        let (test, train) = ((0, Split::Test), (1, Split::Train));
        let films = [
            film("trimmed", test, None, &trimmed),
            film("unsigned", test, Some("7"), &[]),
            film("other", test, Some("8"), &c),
            film("source", train, Some("9"), &a),
            film("bytes", train, Some("7"), &b),
            film("elsewhere", (1, Split::Val), Some("8"), &c),
        ];
        let part = |(set, split)| SetPart { set, split };
        let found = film_leak(&films, (part(test), part(train)), 1, &|_| ()).expect("held");
        let nearest: Vec<_> = found.verdicts.iter().map(|v| v.twins.first().copied()).collect();
        let twin = |film, partner| NearDuplicateClip {
            film,
            partner,
            mean_distance: 0.0,
            mirrored: false,
            shift_s: 0.0,
            speed: 1.0,
            same_bytes: true,
            altered: false,
        };
        let mirror = NearDuplicateClip {
            mean_distance: 1.0,
            mirrored: true,
            shift_s: -0.5,
            same_bytes: false,
            ..twin(0, 3)
        };
        assert_eq!(nearest, [Some(mirror), Some(twin(1, 4)), None]);
        let count = found.count(None);
        assert_eq!((found.pairs, count.of, count.near, found.chance.1), (2, 3, 2, 3));
        let nothing =
            film_leak(&films, (part(test), part((0, Split::Train))), 1, &|_| ()).expect("held");
        assert_eq!((nothing.pairs, nothing.chance), (0, (0, 0)));
    }

    #[test]
    fn stills_meet_the_moments_of_the_other_set_only() {
        let still = |set| ImageEntry { set, ..drawn("s", Split::Test, place(1)) };
        let own = still(0).hash;
        let films = [
            film("near", (1, Split::Train), None, &[7, own ^ 0b111, own ^ 1, UNINFORMATIVE]),
            film("turned", (1, Split::Train), None, &[mirrored(own)]),
            film("far", (1, Split::Train), None, &[own ^ 0b1111]),
        ];
        let moment =
            |distance, film, step, mirrored| Moment { still: 0, distance, film, step, mirrored };
        let found = moments(&[still(0), still(1)], &films);
        assert_eq!(found, [moment(0, 1, 0, true), moment(1, 0, 2, false)]);
    }
}
