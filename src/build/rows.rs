//! Results of clips to rows of a manifest: identities, groups, splits, and who has to leave.
//!
//! Nothing is read or written here, and every loop runs in id order.
use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::{
    clip::{ClipResult, Taken},
    merge::Parts,
};
use crate::{
    audit,
    corpus::Source,
    face,
    manifest::Manifest,
    record::{Clip, ClipStatus, LedgerEntry, LedgerKind, Sample, Split},
    sampling,
    split::{self, Balance, OnLeak, Shares},
};

/// The rows of the data set, in id order, without metadata.
///
/// # Errors
/// When the policy for leaks is to fail and there are any.
pub(super) fn rows(parts: &Parts<'_>) -> Result<Manifest> {
    let mut clips: Vec<Clip> = parts.listing.clips.iter().map(|c| clip_row(parts, c)).collect();
    let mut ledger: Vec<LedgerEntry> = parts
        .listing
        .clips
        .iter()
        .filter_map(|c| rejection(c, parts.results.get(&c.clip_id)))
        .collect();
    group(&mut clips);
    if !parts.listing.has_split {
        assign_splits(parts, &mut clips)?;
    }
    let samples = drawn(parts, &clips, &mut ledger);
    let samples = without_leaks(parts, &clips, samples, &mut ledger)?;
    let samples = balanced(parts, samples, &mut ledger)?;
    note_empty_clips(&clips, &samples, &mut ledger);
    let mut manifest = Manifest { samples, clips, ledger, ..Manifest::default() };
    manifest.sort();
    Ok(manifest)
}

fn clip_row(parts: &Parts<'_>, source: &Source) -> Clip {
    let result = parts.results.get(&source.clip_id);
    let facts = result.and_then(|r| r.facts.as_ref());
    let fps = facts.map(|f| f64::from_bits(f.fps_bits));
    let refusal = source.refused.as_ref().map(|r| r.detail.clone());
    Clip {
        clip_id: source.clip_id.clone(),
        path: source.shown.clone(),
        sha256: result.and_then(|r| r.sha256.clone()),
        split: source.split.unwrap_or(Split::Train),
        emotion: source.emotion,
        codec: facts.map(|f| f.codec.clone()),
        pixel_format: facts.map(|f| f.pixel_format.clone()),
        width: facts.map(|f| f.width),
        height: facts.map(|f| f.height),
        sample_aspect_ratio: facts.and_then(|f| f.sample_aspect_ratio.clone()),
        rotation: facts.map(|f| f.rotation),
        color_matrix: facts.map(|f| f.color_matrix.clone()),
        color_range: facts.map(|f| f.color_range.clone()),
        interlaced: facts.map(|f| f.interlaced),
        fps,
        frames_decoded: facts.map(|f| f.frames),
        frames_header: facts.and_then(|f| f.frames_header),
        duration_ms: facts.zip(fps).map(|(f, fps)| 1000.0 * f.frames as f64 / fps),
        has_b_frames: facts.map(|f| f.has_b_frames),
        status: result.map_or(ClipStatus::Rejected, |r| r.status),
        reason: refusal.or_else(|| result.and_then(|r| r.reason.clone())),
        group_id: source.clip_id.clone(),
        signature: facts.and_then(|f| f.signature.clone()),
    }
}

/// The ledger row of a clip that gives nothing.
fn rejection(source: &Source, result: Option<&ClipResult>) -> Option<LedgerEntry> {
    let entry = |reason: &str, detail: String, partner_id| LedgerEntry {
        kind: LedgerKind::Clip,
        id: source.clip_id.clone(),
        reason: reason.to_owned(),
        detail,
        partner_id,
    };
    if let Some(refusal) = &source.refused {
        return Some(entry(&refusal.code, refusal.detail.clone(), refusal.partner.clone()));
    }
    let result = result?;
    let code = result.code.as_deref()?;
    Some(entry(code, result.reason.clone().unwrap_or_default(), None))
}

/// Gives every usable clip the smallest clip_id among the clips that are one video by content.
fn group(clips: &mut [Clip]) {
    let usable: Vec<usize> =
        (0..clips.len()).filter(|&i| clips[i].status != ClipStatus::Rejected).collect();
    let members: Vec<audit::Member<'_>> = usable
        .iter()
        .map(|&i| audit::Member {
            clip_id: &clips[i].clip_id,
            sha256: clips[i].sha256.as_deref(),
            signature: clips[i].signature.as_deref(),
        })
        .collect();
    let grouping = audit::groups(&members);
    let ids: Vec<String> =
        (0..members.len()).map(|k| grouping.group_id(&members, k).to_owned()).collect();
    for (i, id) in usable.into_iter().zip(ids) {
        clips[i].group_id = id;
    }
}

fn assign_splits(parts: &Parts<'_>, clips: &mut [Clip]) -> Result<()> {
    let shares: Shares = parts.config.split.parse()?;
    let unsplit: Vec<_> = clips
        .iter()
        .map(|c| split::Unsplit { group_id: &c.group_id, emotion: c.emotion })
        .collect();
    let splits = split::assign(&unsplit, shares, parts.config.seed);
    clips.iter_mut().zip(splits).for_each(|(clip, split)| clip.split = split);
    Ok(())
}

/// Every drawn sample that has what it needs; the others go to the ledger.
fn drawn(parts: &Parts<'_>, clips: &[Clip], ledger: &mut Vec<LedgerEntry>) -> Vec<Sample> {
    let mut samples = Vec::new();
    for clip in clips {
        let Some(result) = parts.results.get(&clip.clip_id) else { continue };
        for (segment, reason) in &result.lost {
            ledger.push(LedgerEntry {
                kind: LedgerKind::Segment,
                id: sampling::sample_id(&clip.clip_id, *segment),
                reason: "not_convertible".into(),
                detail: reason.clone(),
                partner_id: None,
            });
        }
        for taken in &result.samples {
            let sample = sample(parts, clip, taken);
            if parts.config.require_face && sample.face.is_none() {
                ledger.push(left_out(&sample, "no_face", "no face was found".into(), None));
            } else {
                samples.push(sample);
            }
        }
    }
    samples
}

fn sample(parts: &Parts<'_>, clip: &Clip, taken: &Taken) -> Sample {
    let detected = parts.config.detector != face::NONE;
    Sample {
        sample_id: sampling::sample_id(&clip.clip_id, taken.segment.index),
        split: clip.split,
        emotion: clip.emotion,
        clip_id: clip.clip_id.clone(),
        group_id: clip.group_id.clone(),
        segment: Some(taken.segment),
        frame_index: Some(taken.frame),
        frame_ms: clip.fps.map(|fps| 1000.0 * taken.frame as f64 / fps),
        image_path: taken.image_path.clone(),
        image_sha256: taken.image_sha256.clone(),
        width: taken.width,
        height: taken.height,
        face: taken.face.filter(|_| detected),
        face_count: taken.face_count.filter(|_| detected),
        detector: parts.config.detector_settings.clone(),
    }
}

fn left_out(sample: &Sample, reason: &str, detail: String, partner: Option<&str>) -> LedgerEntry {
    LedgerEntry {
        kind: LedgerKind::Sample,
        id: sample.sample_id.clone(),
        reason: reason.to_owned(),
        detail,
        partner_id: partner.map(str::to_owned),
    }
}

/// Applies the grouping rule to the clips that provide samples.
fn without_leaks(
    parts: &Parts<'_>,
    clips: &[Clip],
    samples: Vec<Sample>,
    ledger: &mut Vec<LedgerEntry>,
) -> Result<Vec<Sample>> {
    let policy: OnLeak = parts.config.on_leak.parse()?;
    let providing: BTreeSet<&str> = samples.iter().map(|s| &*s.clip_id).collect();
    let members: Vec<split::Member<'_>> = clips
        .iter()
        .filter(|c| providing.contains(&*c.clip_id))
        .map(|c| split::Member { clip_id: &c.clip_id, group_id: &c.group_id, split: c.split })
        .collect();
    let mut partners: BTreeMap<&str, split::Member<'_>> = BTreeMap::new();
    for removal in split::leaks(&members, policy)? {
        let (clip, partner) = (members[removal.clip], members[removal.partner]);
        partners.insert(clip.clip_id, partner);
        ledger.push(LedgerEntry {
            kind: LedgerKind::Clip,
            id: clip.clip_id.to_owned(),
            reason: "leak".into(),
            detail: format!("same video in {}, removed from {}", partner.split, clip.split),
            partner_id: Some(partner.clip_id.to_owned()),
        });
    }
    let mut kept = Vec::new();
    for sample in samples {
        match partners.get(&*sample.clip_id) {
            None => kept.push(sample),
            Some(partner) => {
                let detail = format!("its video is also in {}", partner.split);
                ledger.push(left_out(&sample, "leak", detail, Some(partner.clip_id)));
            }
        }
    }
    Ok(kept)
}

fn balanced(
    parts: &Parts<'_>,
    mut samples: Vec<Sample>,
    ledger: &mut Vec<LedgerEntry>,
) -> Result<Vec<Sample>> {
    let policy: Balance = parts.config.balance.parse()?;
    samples.sort_by(|a, b| a.sample_id.cmp(&b.sample_id));
    let rows: Vec<split::Row<'_>> = samples
        .iter()
        .map(|s| split::Row { split: s.split, emotion: s.emotion, clip_id: &s.clip_id })
        .collect();
    let dropped = split::balance(&rows, policy);
    let mut dropped = dropped.into_iter().peekable();
    let mut kept = Vec::with_capacity(samples.len());
    for (i, sample) in samples.into_iter().enumerate() {
        if dropped.next_if_eq(&i).is_none() {
            kept.push(sample);
            continue;
        }
        let detail = format!("{} in {} is cut to {policy}", sample.emotion, sample.split);
        ledger.push(left_out(&sample, "balance", detail, None));
    }
    Ok(kept)
}

/// Every clip is used or in the ledger: names those of which no sample is left.
fn note_empty_clips(clips: &[Clip], samples: &[Sample], ledger: &mut Vec<LedgerEntry>) {
    let used: BTreeSet<&str> = samples.iter().map(|s| &*s.clip_id).collect();
    let told: BTreeSet<String> =
        ledger.iter().filter(|e| e.kind == LedgerKind::Clip).map(|e| e.id.clone()).collect();
    for clip in clips {
        if !used.contains(&*clip.clip_id) && !told.contains(&clip.clip_id) {
            ledger.push(LedgerEntry {
                kind: LedgerKind::Clip,
                id: clip.clip_id.clone(),
                reason: "no_samples".into(),
                detail: "every sample of this clip was left out".into(),
                partner_id: None,
            });
        }
    }
}
