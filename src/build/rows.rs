//! Results of clips to rows of a manifest: identities, groups, splits, and who has to leave.
//!
//! Nothing is read or written here, and every loop runs in id order.
use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::{
    clip::{ClipResult, Still, Taken},
    merge::Parts,
    rules::Rules,
};
use crate::{
    audit,
    corpus::{Listing, Source},
    manifest::Manifest,
    record::{Clip, ClipStatus, LedgerEntry, LedgerKind, Sample, Split},
    sampling,
    split::{self, Balance, OnLeak, Shares},
};

/// The rows of the data set, in id order, without metadata.
///
/// # Errors
/// When the policy for leaks is to fail and there are any.
pub(super) fn rows(mut parts: Parts<'_>) -> Result<Manifest> {
    let mut ledger: Vec<LedgerEntry> = parts
        .listing
        .clips
        .iter()
        .filter_map(|c| rejection(c, parts.results.get(&c.clip_id)))
        .collect();
    let mut clips: Vec<Clip> =
        parts.listing.clips.iter().map(|c| clip_row(&mut parts.results, c)).collect();
    group(parts.listing, &mut clips);
    let rules = parts.config.rules();
    if !parts.listing.has_split {
        assign_splits(&rules, &mut clips)?;
    }
    let mut samples = drawn(&rules, parts.results, &clips, &mut ledger);
    remove_leaks(&rules, &clips, &mut samples, &mut ledger)?;
    balance(&rules, &mut samples, &mut ledger)?;
    note_empty_clips(&clips, &samples, &mut ledger);
    let mut manifest = Manifest { samples, clips, ledger, ..Manifest::default() };
    manifest.sort();
    Ok(manifest)
}

/// Moves what the row needs out of the clip's result.
fn clip_row(results: &mut BTreeMap<String, ClipResult>, source: &Source) -> Clip {
    let mut result = results.get_mut(&source.clip_id);
    let facts = result.as_mut().and_then(|r| r.facts.take());
    let fps = facts.as_ref().map(|f| f64::from_bits(f.fps_bits));
    let frames = facts.as_ref().map(|f| f.frames);
    let refusal = source.refused.as_ref().map(|r| r.detail.clone());
    let mut row = Clip {
        clip_id: source.clip_id.clone(),
        path: source.shown.clone(),
        sha256: None,
        split: source.split.unwrap_or(Split::Train),
        emotion: source.emotion,
        codec: None,
        pixel_format: None,
        width: facts.as_ref().map(|f| f.width),
        height: facts.as_ref().map(|f| f.height),
        sample_aspect_ratio: None,
        rotation: facts.as_ref().map(|f| f.rotation),
        color_matrix: None,
        color_range: None,
        interlaced: facts.as_ref().map(|f| f.interlaced),
        fps,
        frames_decoded: frames,
        frames_header: facts.as_ref().and_then(|f| f.frames_header),
        duration_ms: frames.zip(fps).map(|(frames, fps)| 1000.0 * frames as f64 / fps),
        has_b_frames: facts.as_ref().map(|f| f.has_b_frames),
        status: result.as_ref().map_or(ClipStatus::Rejected, |r| r.status),
        reason: None,
        group_id: source.clip_id.clone(),
        signature: None,
    };
    if let Some(facts) = facts {
        row.codec = Some(facts.codec);
        row.pixel_format = Some(facts.pixel_format);
        row.sample_aspect_ratio = facts.sample_aspect_ratio;
        row.color_matrix = Some(facts.color_matrix);
        row.color_range = Some(facts.color_range);
        row.signature = facts.signature;
    }
    if let Some(still) = result.as_ref().and_then(|r| r.still.as_ref()) {
        row.codec = Some(still.codec.clone());
        (row.width, row.height) = (Some(still.width), Some(still.height));
        row.signature = Some(still.signature.clone());
    }
    row.sha256 = result.as_mut().and_then(|r| r.sha256.take());
    row.reason = refusal.or_else(|| result.and_then(|r| r.reason.take()));
    row
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

/// Gives every usable clip the smallest clip_id among the clips that are one video, by content or
/// by the corpus's own list.
fn group(listing: &Listing, clips: &mut [Clip]) {
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
    let mut sets = audit::groups::Sets::new(members.len());
    grouping.first.iter().enumerate().for_each(|(k, &first)| sets.join(k, first));
    let mut listed: BTreeMap<&str, usize> = BTreeMap::new();
    for (k, &i) in usable.iter().enumerate() {
        let Some(group) = listing.clips[i].group.as_deref() else { continue };
        sets.join(*listed.entry(group).or_insert(k), k);
    }
    // Clips stand in the listing's order: the smaller position is the smaller id.
    let ids: Vec<String> =
        (0..members.len()).map(|k| members[sets.root(k)].clip_id.to_owned()).collect();
    for (i, id) in usable.into_iter().zip(ids) {
        clips[i].group_id = id;
    }
}

fn assign_splits(rules: &Rules<'_>, clips: &mut [Clip]) -> Result<()> {
    let shares: Shares = rules.split.parse()?;
    let unsplit: Vec<_> = clips
        .iter()
        .map(|c| split::Unsplit { group_id: &c.group_id, emotion: c.emotion })
        .collect();
    let splits = split::assign(&unsplit, shares, rules.seed);
    clips.iter_mut().zip(splits).for_each(|(clip, split)| clip.split = split);
    Ok(())
}

/// Every drawn sample that has what it needs; the others go to the ledger.
fn drawn(
    rules: &Rules<'_>,
    results: BTreeMap<String, ClipResult>,
    clips: &[Clip],
    ledger: &mut Vec<LedgerEntry>,
) -> Vec<Sample> {
    let mut samples = Vec::with_capacity(results.values().map(|r| r.samples.len()).sum());
    for (clip_id, result) in results {
        // Clips are in id order, as they were listed.
        let place = clips.binary_search_by(|clip| clip.clip_id.cmp(&clip_id));
        let Ok(clip) = place.map(|place| &clips[place]) else { continue };
        for (segment, reason) in result.lost {
            ledger.push(LedgerEntry {
                kind: LedgerKind::Segment,
                id: sampling::sample_id(&clip.clip_id, segment),
                reason: "not_convertible".into(),
                detail: reason,
                partner_id: None,
            });
        }
        let still = result.still.map(|still| still_sample(rules, clip, still));
        let taken = result.samples.into_iter().map(|taken| sample(rules, clip, taken));
        for sample in still.into_iter().chain(taken) {
            if rules.require_face && sample.face.is_none() {
                ledger.push(left_out(&sample, "no_face", "no face was found".into(), None));
            } else {
                samples.push(sample);
            }
        }
    }
    samples
}

fn sample(rules: &Rules<'_>, clip: &Clip, taken: Taken) -> Sample {
    let detected = rules.detected();
    Sample {
        sample_id: sampling::sample_id(&clip.clip_id, taken.segment.index),
        split: clip.split,
        emotion: clip.emotion,
        clip_id: clip.clip_id.clone(),
        group_id: clip.group_id.clone(),
        segment: Some(taken.segment),
        frame_index: Some(taken.frame),
        frame_ms: clip.fps.map(|fps| 1000.0 * taken.frame as f64 / fps),
        image_path: taken.image_path,
        image_sha256: taken.image_sha256,
        width: taken.width,
        height: taken.height,
        face: taken.face.filter(|_| detected),
        face_count: taken.face_count.filter(|_| detected),
        detector: rules.detector.to_owned(),
    }
}

fn still_sample(rules: &Rules<'_>, clip: &Clip, still: Still) -> Sample {
    Sample {
        sample_id: clip.clip_id.clone(),
        split: clip.split,
        emotion: clip.emotion,
        clip_id: clip.clip_id.clone(),
        group_id: clip.group_id.clone(),
        segment: None,
        frame_index: None,
        frame_ms: None,
        image_path: still.image_path,
        image_sha256: clip.sha256.clone().unwrap_or_default(),
        width: still.width,
        height: still.height,
        face: still.face,
        face_count: still.face_count,
        detector: rules.detector.to_owned(),
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
fn remove_leaks(
    rules: &Rules<'_>,
    clips: &[Clip],
    samples: &mut Vec<Sample>,
    ledger: &mut Vec<LedgerEntry>,
) -> Result<()> {
    let policy: OnLeak = rules.on_leak.parse()?;
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
    samples.retain(|sample| {
        let Some(partner) = partners.get(&*sample.clip_id) else { return true };
        let detail = format!("its video is also in {}", partner.split);
        ledger.push(left_out(sample, "leak", detail, Some(partner.clip_id)));
        false
    });
    Ok(())
}

fn balance(
    rules: &Rules<'_>,
    samples: &mut Vec<Sample>,
    ledger: &mut Vec<LedgerEntry>,
) -> Result<()> {
    let policy: Balance = rules.balance.parse()?;
    samples.sort_unstable_by(|a, b| a.sample_id.cmp(&b.sample_id));
    let rows: Vec<split::Row<'_>> = samples
        .iter()
        .map(|s| split::Row { split: s.split, emotion: s.emotion, clip_id: &s.clip_id })
        .collect();
    let dropped = split::balance(&rows, policy);
    let mut dropped = dropped.into_iter().peekable();
    let mut positions = 0..;
    samples.retain(|sample| {
        let position = positions.next().expect("positions do not end");
        if dropped.next_if_eq(&position).is_none() {
            return true;
        }
        let detail = format!("{} in {} is cut to {policy}", sample.emotion, sample.split);
        ledger.push(left_out(sample, "balance", detail, None));
        false
    });
    Ok(())
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
