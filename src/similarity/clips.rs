//! Clips across data sets: which of one part are also in another, and which stills come from them.
use std::{collections::BTreeMap, io};

use rayon::prelude::*;

use super::{
    align::{best, same_video, Hashes, Phase},
    clip_views::{altered_clips, AlteredClips, Fine},
    frames::{Frames, CANDIDATE_RADIUS},
    hash::mirrored,
    images::{ImageEntry, SetPart, HASH_ALONE},
    leak::{Leak, MemberVerdict, PARTNERS},
    warp::TemporalAlignment,
    Watch,
};
use crate::{
    record::{Emotion, HexDigest, Split},
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
    pub sha256: Option<HexDigest>,
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
    pub clip: usize,
    /// Position of its like.
    pub partner: usize,
    /// How its like lies in it: of equal bytes without any differing bits.
    pub alignment: TemporalAlignment,
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
pub fn clip_leak(
    clips: &[ClipEntry],
    (eval, reference): (SetPart, SetPart),
    seed: u64,
    watch: Watch<'_>,
) -> io::Result<Leak<NearDuplicateClip>> {
    let of = |part| (0..clips.len()).filter(|&i| clips[i].part() == part).collect::<Vec<_>>();
    let (eval, reference) = (of(eval), of(reference));
    let (fine, there) = (fine_hashes(clips, &eval)?, fine_hashes(clips, &reference)?);
    let all = |(k, &i): (usize, &usize)| there.or(k, &clips[i].signature);
    let frames = Frames::new(reference.iter().enumerate().map(all), CANDIDATE_RADIUS);
    let mut bytes: BTreeMap<&HexDigest, Vec<usize>> = BTreeMap::new();
    for (k, &i) in reference.iter().enumerate() {
        clips[i].sha256.iter().for_each(|sha256| bytes.entry(sha256).or_default().push(k));
    }
    let altered = altered(clips, &eval, &reference, watch)?;
    let fine_of = |e: usize, k: usize| (fine.of_clip(e), there.of_clip(k));
    let verdict = |(e, &member): (usize, &usize)| {
        let own = &clips[member];
        let mut near = frames.partners(fine.or(e, &own.signature), 0);
        near.extend(own.sha256.as_ref().and_then(|sha256| bytes.get(sha256)).into_iter().flatten());
        near.sort_unstable();
        near.dedup();
        let mut near_duplicates: Vec<NearDuplicateClip> = near
            .into_iter()
            .filter_map(|k| near_duplicate(clips, (member, reference[k]), fine_of(e, k)))
            .collect();
        for duplicate in altered.get(&member).into_iter().flatten() {
            if near_duplicates.iter().all(|known| known.partner != duplicate.partner) {
                near_duplicates.push(*duplicate);
            }
        }
        near_duplicates.sort_by(|a, b| {
            let order = (!a.same_bytes).cmp(&!b.same_bytes);
            order
                .then(a.alignment.mean_distance.total_cmp(&b.alignment.mean_distance))
                .then(a.partner.cmp(&b.partner))
        });
        let pairs = near_duplicates.len();
        near_duplicates.truncate(PARTNERS);
        let same_video = pairs > 0;
        (pairs, MemberVerdict { member, emotion: own.emotion, near_duplicates, same_video })
    };
    let (pairs, verdicts): (Vec<usize>, Vec<_>) = eval.par_iter().enumerate().map(verdict).unzip();
    let mut draws = Draws::new(seed, "audit-chance-clips", "");
    let tried = if reference.is_empty() { 0 } else { eval.len() };
    let random = eval.iter().enumerate().take(tried).filter(|&(e, &i)| {
        let k = draws.below(reference.len() as u64) as usize;
        near_duplicate(clips, (i, reference[k]), fine_of(e, k)).is_some()
    });
    let chance = (random.count(), tried);
    Ok(Leak { pairs: pairs.into_iter().sum(), verdicts, chance })
}

/// The finer hashes of the clips at `positions`.
fn fine_hashes(clips: &[ClipEntry], positions: &[usize]) -> io::Result<Fine> {
    Fine::of(positions.iter().map(|&i| clips[i].views.as_ref()))
}

/// By clip of the one part: those of the other of which one is an altered copy of the other.
fn altered(
    clips: &[ClipEntry],
    eval: &[usize],
    reference: &[usize],
    watch: Watch<'_>,
) -> io::Result<BTreeMap<usize, Vec<NearDuplicateClip>>> {
    let positions: Vec<usize> = eval.iter().chain(reference).copied().collect();
    let views: Vec<Option<&Words>> = positions.iter().map(|&i| clips[i].views.as_ref()).collect();
    let across = |a: usize, b: usize| (a < eval.len()) != (b < eval.len());
    let mut found: BTreeMap<usize, Vec<NearDuplicateClip>> = BTreeMap::new();
    for pair in altered_clips(&views, across, watch)? {
        // Positions of the first part come first, and so does the smaller of a pair.
        let (clip, partner) = (positions[pair.a], positions[pair.b]);
        let both = (&clips[clip].signature, &clips[partner].signature);
        let mean_distance =
            best(both.0, both.1, Phase::On).map_or(f64::from(u64::BITS), |laid| laid.mean_distance);
        let AlteredClips { mirrored, shift_s, .. } = pair;
        let alignment = TemporalAlignment { mean_distance, mirrored, speed: 1.0, shift_s };
        found.entry(clip).or_default().push(NearDuplicateClip {
            clip,
            partner,
            alignment,
            same_bytes: false,
            altered: true,
        });
    }
    Ok(found)
}

fn same_bytes(a: &ClipEntry, b: &ClipEntry) -> bool {
    a.sha256.is_some() && a.sha256 == b.sha256
}

/// How the one clip is the same video as the other; `fine` are the finer hashes of both.
fn near_duplicate(
    clips: &[ClipEntry],
    (clip, partner): (usize, usize),
    fine: (&[u64], &[u64]),
) -> Option<NearDuplicateClip> {
    let (own, other) = (&clips[clip], &clips[partner]);
    let same_bytes = same_bytes(own, other);
    let alignment = if same_bytes {
        TemporalAlignment { mean_distance: 0.0, mirrored: false, speed: 1.0, shift_s: 0.0 }
    } else {
        let own = Hashes { signature: &own.signature, fine: fine.0 };
        same_video(own, Hashes { signature: &other.signature, fine: fine.1 })?
    };
    Some(NearDuplicateClip { clip, partner, alignment, same_bytes, altered: false })
}

/// A still that is near to a moment of a clip of the other data set, by hash alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Position of the still.
    pub still: usize,
    /// Differing bits.
    pub distance: u32,
    /// Position of the clip.
    pub clip: usize,
    /// Which hash of its signature, from 0.
    pub step: usize,
    /// Whether one is the mirror image of the other.
    pub mirrored: bool,
}

/// The nearest moment of every clip of the one data set for every still of the other, where that
/// other has stills only; in order of still and distance.
pub fn moments(stills: &[ImageEntry], clips: &[ClipEntry]) -> Vec<Moment> {
    let has_clips = |set: u8| clips.iter().any(|f| f.set == set);
    let frames = Frames::new(clips.iter().map(|f| f.signature.as_slice()), HASH_ALONE);
    let of_stills_alone: Vec<usize> =
        (0..stills.len()).filter(|&i| !has_clips(stills[i].set)).collect();
    let of_one = |&still: &usize| {
        let own = stills[still].hash;
        let mut near = Vec::new();
        for (query, mirrored) in [(own, false), (mirrored(own), true)] {
            frames.near(query, 0, |clip, step, distance| {
                near.push(Moment { still, distance, clip, step, mirrored });
            });
        }
        near.sort_unstable_by_key(|m| (m.clip, m.distance, m.step, m.mirrored));
        near.dedup_by_key(|m| m.clip);
        near.sort_unstable();
        near
    };
    of_stills_alone.par_iter().flat_map_iter(of_one).collect()
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

    fn clip(
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
            sha256: sha256.map(HexDigest::from),
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
        let clips = [
            clip("trimmed", test, None, &trimmed),
            clip("unsigned", test, Some("7"), &[]),
            clip("other", test, Some("8"), &c),
            clip("source", train, Some("9"), &a),
            clip("bytes", train, Some("7"), &b),
            clip("elsewhere", (1, Split::Val), Some("8"), &c),
        ];
        let part = |(set, split)| SetPart { set, split };
        let found = clip_leak(&clips, (part(test), part(train)), 1, &|_| ()).expect("held");
        let nearest: Vec<_> =
            found.verdicts.iter().map(|v| v.near_duplicates.first().copied()).collect();
        let same =
            TemporalAlignment { mean_distance: 0.0, mirrored: false, speed: 1.0, shift_s: 0.0 };
        let duplicate = |clip, partner| NearDuplicateClip {
            clip,
            partner,
            alignment: same,
            same_bytes: true,
            altered: false,
        };
        let mirror = NearDuplicateClip {
            alignment: TemporalAlignment {
                mean_distance: 1.0,
                mirrored: true,
                shift_s: -0.5,
                ..same
            },
            same_bytes: false,
            ..duplicate(0, 3)
        };
        assert_eq!(nearest, [Some(mirror), Some(duplicate(1, 4)), None]);
        let count = found.count(None);
        assert_eq!((found.pairs, count.of, count.near, found.chance.1), (2, 3, 2, 3));
        let nothing =
            clip_leak(&clips, (part(test), part((0, Split::Train))), 1, &|_| ()).expect("held");
        assert_eq!((nothing.pairs, nothing.chance), (0, (0, 0)));
    }

    #[test]
    fn stills_meet_the_moments_of_the_other_set_only() {
        let still = |set| ImageEntry { set, ..drawn("s", Split::Test, place(1)) };
        let own = still(0).hash;
        let clips = [
            clip("near", (1, Split::Train), None, &[7, own ^ 0b111, own ^ 1, UNINFORMATIVE]),
            clip("turned", (1, Split::Train), None, &[mirrored(own)]),
            clip("far", (1, Split::Train), None, &[own ^ 0b1111]),
        ];
        let moment =
            |distance, clip, step, mirrored| Moment { still: 0, distance, clip, step, mirrored };
        let found = moments(&[still(0), still(1)], &clips);
        assert_eq!(found, [moment(0, 1, 0, true), moment(1, 0, 2, false)]);
    }
}
