//! Results of clips to rows of a manifest: identities, groups, splits, and who has to leave.
//!
//! Nothing is read or written here, and every loop runs in id order.
use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::{
    clip_result::{ClipResult, Lost, SavedFrame},
    results::ClipResults,
    rules::{Configuration, Rules},
    tables::{Drawn, Fate, Tables},
};
use crate::{
    allocator,
    corpus::{ClipSource, Listing},
    progress::watched,
    record::{Clip, ClipStatus, LedgerEntry, LedgerKind, Split},
    sampling,
    similarity::{
        self,
        groups::{Link, Reason},
        union_find::UnionFind,
    },
    split,
};

/// Everything that the finished folder is made from.
#[derive(Debug)]
pub struct Parts<'a> {
    /// What it was built or imported with.
    pub config: &'a Configuration,
    /// All clips of the corpus.
    pub listing: &'a Listing,
    /// What came of those that were opened.
    pub results: ClipResults,
    /// Clips that are one video though no group says so, by position in the listing: they stay
    /// together when a validation part is carved out of training.
    pub same_video: Vec<(usize, usize)>,
}

/// The data set without metadata.
///
/// # Errors
/// When the policy for leaks is to fail and there are any.
pub(super) fn rows(mut parts: Parts<'_>) -> Result<Tables> {
    let rules = parts.config.rules();
    let mut tables = Tables {
        detector: rules.detector.to_owned(),
        detected: rules.detected(),
        balance: rules.balance,
        ..gathered(parts.listing, std::mem::take(&mut parts.results))
    };
    // What the results leave lies in pieces that comparing clips has no use for.
    allocator::return_memory();
    group(parts.listing, &mut tables.clips)?;
    if !parts.listing.has_split {
        assign_splits(&rules, &mut tables.clips)?;
    }
    require_faces(&rules, &mut tables);
    remove_leaks(&rules, &mut tables)?;
    hold_out(&rules, &parts.same_video, &mut tables);
    balance(&rules, &mut tables)?;
    note_empty_clips(&mut tables);
    tables.ledger.sort_unstable();
    Ok(tables)
}

/// Turns the results into rows of clips and what their samples are made from, which is moved so that
/// never both are held; results of clips that are not listed are dropped.
fn gathered(listing: &Listing, mut results: ClipResults) -> Tables {
    let mut tables = Tables::default();
    tables.ledger.extend(listing.withdrawn.iter().map(|id| LedgerEntry::tombstone(id)));
    let mut first = 0;
    for source in &listing.clips {
        let mut result = results.take(&source.clip_id);
        tables.ledger.extend(rejection(source, result.as_ref()));
        tables.clips.push(clip_row(result.as_mut(), source));
        let mut drawn = Drawn { first, ..Drawn::default() };
        if let Some(result) = result {
            tables.ledger.extend(result.lost.into_iter().map(|lost| lost_segment(source, lost)));
            drawn.still = result.still.map(Box::new);
            drawn.taken = result.samples;
            sort_by_text(&mut drawn.taken);
        }
        first += drawn.samples() as u32;
        tables.drawn.push(drawn);
    }
    tables.ledger.extend(listing.strays.iter().map(|stray| LedgerEntry {
        kind: LedgerKind::File,
        id: stray.path.clone(),
        reason: stray.reason.clone(),
        detail: stray.detail.clone(),
        partner_id: None,
    }));
    tables.fates = vec![Fate::Kept; first as usize];
    tables.order = sample_order(&tables.clips, &tables.drawn);
    tables
}

/// Into the order of the samples' ids: as text, `1000` comes before `101`.
pub(super) fn sort_by_text(taken: &mut [SavedFrame]) {
    if taken.iter().any(|t| t.segment.index > 999) {
        taken.sort_by_cached_key(|t| format!("{:03}", t.segment.index));
    }
}

/// Positions of the clips in the order of their samples' ids: those of frames go on with a slash,
/// which some characters of names come before.
pub(super) fn sample_order(clips: &[Clip], drawn: &[Drawn]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..clips.len() as u32).collect();
    let key = |&c: &u32| {
        let slash = drawn[c as usize].still.is_none().then_some(b'/');
        clips[c as usize].clip_id.bytes().chain(slash)
    };
    order.sort_by(|a, b| key(a).cmp(key(b)));
    order
}

fn lost_segment(source: &ClipSource, (segment, lost): (u32, Lost)) -> LedgerEntry {
    LedgerEntry {
        kind: LedgerKind::Segment,
        id: sampling::sample_id(&source.clip_id, segment),
        reason: lost.code,
        detail: lost.detail,
        partner_id: None,
    }
}

/// Moves what the row needs out of the clip's result.
fn clip_row(mut result: Option<&mut ClipResult>, source: &ClipSource) -> Clip {
    let split = source.split.unwrap_or(Split::Train);
    let mut row = Clip::named(source.clip_id.clone(), source.shown.clone(), split, source.emotion);
    row.status = result.as_ref().map_or(ClipStatus::Rejected, |r| r.status);
    if let Some(facts) = result.as_mut().and_then(|r| r.facts.take()) {
        facts.fill(&mut row);
    }
    let refusal = source.refused.as_ref().map(|r| r.detail.clone());
    if let Some(still) = result.as_mut().and_then(|r| r.still.as_mut()) {
        row.codec = Some(still.codec.clone());
        (row.width, row.height) = (Some(still.width), Some(still.height));
        row.signature = Some(std::mem::take(&mut still.signature));
        row.orientation = Some(still.orientation);
        row.views = still.views.take();
    }
    row.sha256 = result.as_mut().and_then(|r| r.sha256.take());
    row.reason = refusal.or_else(|| result.and_then(|r| r.reason.take()));
    row
}

/// The ledger row of a clip that gives nothing.
fn rejection(source: &ClipSource, result: Option<&ClipResult>) -> Option<LedgerEntry> {
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

/// Gives every usable clip the smallest clip_id among the clips that are one video, by the
/// corpus's own list or, where that names no group, by content.
fn group(listing: &Listing, clips: &mut [Clip]) -> Result<()> {
    let usable: Vec<usize> =
        (0..clips.len()).filter(|&i| clips[i].status != ClipStatus::Rejected).collect();
    let members: Vec<similarity::Member<'_>> = usable
        .iter()
        .map(|&i| similarity::Member {
            clip_id: &clips[i].clip_id,
            sha256: clips[i].sha256.as_ref(),
            signature: clips[i].signature.as_deref(),
            views: clips[i].views.as_ref(),
        })
        .collect();
    let given: Vec<Option<&str>> =
        usable.iter().map(|&i| listing.clips[i].group.as_deref()).collect();
    let watch = watched("comparing", "pairs of pictures");
    let mut sets = joined(&similarity::groups(&members, &watch)?.links, &given);
    drop(watch);
    // Clips stand in the listing's order: the smaller position is the smaller id.
    let ids: Vec<String> =
        (0..members.len()).map(|k| members[sets.root(k)].clip_id.to_owned()).collect();
    for (i, id) in usable.into_iter().zip(ids) {
        clips[i].group_id = id;
    }
    // A still's picture is there to be looked at again.
    clips.iter_mut().filter(|clip| clip.fps.is_none()).for_each(|clip| clip.views = None);
    Ok(())
}

/// Joins what is the same by bytes or by the corpus's own list, and then what looks the same; but
/// never two groups that the list gives by their looks alone.
fn joined(links: &[Link], given: &[Option<&str>]) -> UnionFind {
    let mut sets = UnionFind::new(given.len());
    let mut listed: BTreeMap<&str, usize> = BTreeMap::new();
    for (k, group) in given.iter().enumerate() {
        let Some(group) = *group else { continue };
        sets.join(*listed.entry(group).or_insert(k), k);
    }
    let (bytes, looks): (Vec<&Link>, Vec<&Link>) =
        links.iter().partition(|link| link.reason == Reason::SameBytes);
    bytes.iter().for_each(|link| sets.join(link.a, link.b));
    let mut of: BTreeMap<usize, &str> = BTreeMap::new();
    for (k, group) in given.iter().enumerate() {
        let Some(group) = *group else { continue };
        of.insert(sets.root(k), group);
    }
    for link in looks {
        let (a, b) = (sets.root(link.a), sets.root(link.b));
        let groups = (of.get(&a).copied(), of.get(&b).copied());
        if a != b && !(groups.0.is_some() && groups.1.is_some()) {
            sets.join(a, b);
            if let Some(group) = groups.0.or(groups.1) {
                of.insert(sets.root(a), group);
            }
        }
    }
    sets
}

fn assign_splits(rules: &Rules<'_>, clips: &mut [Clip]) -> Result<()> {
    let shares = rules.split;
    let unsplit: Vec<_> = clips
        .iter()
        .map(|c| split::Unsplit { group_id: &c.group_id, emotion: c.emotion })
        .collect();
    let splits = split::assign(&unsplit, shares, rules.seed);
    clips.iter_mut().zip(splits).for_each(|(clip, split)| clip.split = split);
    Ok(())
}

/// Leaves out the samples without a face where one is required.
fn require_faces(rules: &Rules<'_>, tables: &mut Tables) {
    if !rules.require_face {
        return;
    }
    for drawn in &tables.drawn {
        for (k, at) in drawn.fates().enumerate() {
            if !drawn.has_face(k) {
                tables.fates[at] = Fate::NoFace;
            }
        }
    }
}

/// Applies the grouping rule to the clips that provide samples.
fn remove_leaks(rules: &Rules<'_>, tables: &mut Tables) -> Result<()> {
    let policy = rules.on_leak;
    let providing: Vec<usize> = (0..tables.clips.len()).filter(|&c| tables.provides(c)).collect();
    let members: Vec<split::Member<'_>> = providing
        .iter()
        .map(|&c| &tables.clips[c])
        .map(|c| split::Member { clip_id: &c.clip_id, group_id: &c.group_id, split: c.split })
        .collect();
    let removals = split::leaks(&members, policy)?;
    for removal in removals {
        let (c, p) = (providing[removal.clip], providing[removal.partner]);
        let (clip, partner) = (&tables.clips[c], &tables.clips[p]);
        tables.ledger.push(LedgerEntry {
            kind: LedgerKind::Clip,
            id: clip.clip_id.clone(),
            reason: "leak".into(),
            detail: format!("same video in {}, removed from {}", partner.split, clip.split),
            partner_id: Some(partner.clip_id.clone()),
        });
        tables.partners.insert(c as u32, p as u32);
        tables.reject(c, Fate::Leak);
    }
    Ok(())
}

/// Moves a share of training into validation, whole videos only; the test part is not touched.
fn hold_out(rules: &Rules<'_>, same_video: &[(usize, usize)], tables: &mut Tables) {
    let Some(share) = rules.val_share else { return };
    let mut videos = UnionFind::new(tables.clips.len());
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, clip) in tables.clips.iter().enumerate() {
        videos.join(*first.entry(&clip.group_id).or_insert(i), i);
    }
    same_video.iter().for_each(|&(a, b)| videos.join(a, b));
    let train: Vec<usize> = (0..tables.clips.len())
        .filter(|&c| tables.clips[c].split == Split::Train && tables.provides(c))
        .collect();
    let names: Vec<String> =
        train.iter().map(|&c| tables.clips[videos.root(c)].clip_id.clone()).collect();
    let members: Vec<split::Unsplit<'_>> = train
        .iter()
        .zip(&names)
        .map(|(&c, name)| split::Unsplit { group_id: name, emotion: tables.clips[c].emotion })
        .collect();
    for k in split::holdout::holdout(&members, share, rules.seed) {
        let clip = &mut tables.clips[train[k]];
        clip.split = Split::Val;
        tables.ledger.push(LedgerEntry {
            kind: LedgerKind::Split,
            id: clip.clip_id.clone(),
            reason: "validation".into(),
            detail: format!(
                "{} % of train became the validation part, which the corpus lacks",
                share.percent()
            ),
            partner_id: Some(names[k].clone()).filter(|name| *name != clip.clip_id),
        });
    }
}

/// Cuts the classes of every split; nothing but places and ids of what is left is looked at.
fn balance(rules: &Rules<'_>, tables: &mut Tables) -> Result<()> {
    let (mut rows, mut places) = (Vec::new(), Vec::new());
    for &c in &tables.order {
        let clip = &tables.clips[c as usize];
        let row =
            split::SplitRow { split: clip.split, emotion: clip.emotion, clip_id: &clip.clip_id };
        for at in tables.drawn[c as usize].fates() {
            if tables.fates[at] == Fate::Kept {
                rows.push(row);
                places.push(at as u32);
            }
        }
    }
    for dropped in split::balance(&rows, rules.balance) {
        tables.fates[places[dropped] as usize] = Fate::Balance;
    }
    Ok(())
}

/// Every clip is used or in the ledger: names those of which no sample is left.
fn note_empty_clips(tables: &mut Tables) {
    let told: BTreeSet<&str> =
        tables.ledger.iter().filter(|e| e.kind == LedgerKind::Clip).map(|e| &*e.id).collect();
    let silent = |c: &usize| !tables.provides(*c) && !told.contains(&*tables.clips[*c].clip_id);
    let entry = |c: usize| LedgerEntry {
        kind: LedgerKind::Clip,
        id: tables.clips[c].clip_id.clone(),
        reason: "no_samples".into(),
        detail: "every sample of this clip was left out".into(),
        partner_id: None,
    };
    let empty: Vec<_> = (0..tables.clips.len()).filter(silent).map(entry).collect();
    tables.ledger.extend(empty);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_a_list_gives_are_joined_by_bytes_but_not_by_looks() {
        let looks = |a, b| Link {
            a,
            b,
            reason: Reason::NearSignature { mean_distance: 1.0, mirrored: false },
        };
        let bytes = |a, b| Link { a, b, reason: Reason::SameBytes };
        let roots = |links: &[Link], given: &[Option<&str>]| {
            let mut sets = joined(links, given);
            (0..given.len()).map(|k| sets.root(k)).collect::<Vec<_>>()
        };
        let given = [Some("x"), Some("y"), None, None, Some("x"), None];
        // 2 looks like both groups: it comes to the first and does not bring the second along.
        let links = [looks(0, 2), looks(1, 2), looks(2, 3)];
        assert_eq!(roots(&links, &given), [0, 1, 0, 0, 0, 5]);
        assert_eq!(roots(&[looks(0, 1)], &given), [0, 1, 2, 3, 0, 5]);
        assert_eq!(roots(&[bytes(0, 1)], &given), [0, 0, 2, 3, 0, 5]);
        assert_eq!(roots(&[looks(2, 3), looks(3, 5)], &given), [0, 1, 2, 2, 0, 2]);
    }
}
