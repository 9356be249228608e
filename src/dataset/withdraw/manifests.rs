//! A manifest without some clips: rows and pictures go, all others keep their values.
use std::{collections::BTreeSet, path::PathBuf};

use anyhow::Result;

use super::Removed;
use crate::{
    dataset::{describe::describe, tables},
    folder::OutputFolder,
    manifest::{self, Manifest},
    record::LedgerEntry,
};

/// Takes the clips' rows and pictures away.
///
/// # Errors
/// When the tables cannot be read or written.
pub(super) fn clear(
    clips: &BTreeSet<String>,
    folder: &OutputFolder,
    removed: &mut Removed,
) -> Result<()> {
    let mut data = Manifest::read(folder.path())?;
    // Of a withdrawal that was interrupted some tables are as they were, and others done.
    let known = known(clips, &data);
    if known.is_empty() {
        return Ok(());
    }
    let mut pixels = manifest::read_pixels(folder.path())?;
    let gone: BTreeSet<PathBuf> = data
        .samples
        .iter()
        .filter(|s| clips.contains(&s.clip_id))
        .map(|s| PathBuf::from(&s.image_path))
        .collect();
    let tombs_before: BTreeSet<String> = data
        .ledger
        .iter()
        .filter(|e| **e == LedgerEntry::tombstone(&e.id))
        .map(|e| e.id.clone())
        .collect();
    let before = data.samples.len() + data.clips.len() + data.ledger.len();
    let samples: BTreeSet<String> = data
        .samples
        .iter()
        .filter(|s| !clips.contains(&s.clip_id))
        .map(|s| s.sample_id.clone())
        .collect();
    pixels.retain(|row| samples.contains(&row.sample_id));
    data.samples.retain(|s| !clips.contains(&s.clip_id));
    data.clips.retain(|c| !clips.contains(&c.clip_id));
    data.ledger.extend(known.iter().map(|clip| LedgerEntry::tombstone(clip)));
    let tombs: BTreeSet<LedgerEntry> = clips.iter().map(|c| LedgerEntry::tombstone(c)).collect();
    data.ledger.retain(|e| tombs.contains(e) || !is_of(clips, &e.id));
    data.ledger.iter_mut().for_each(|e| forget(clips, e));
    data.ledger.sort_unstable();
    data.ledger.dedup();
    removed.already = known.iter().all(|clip| tombs_before.contains(*clip));
    removed.rows +=
        before.saturating_sub(data.samples.len() + data.clips.len() + data.ledger.len());
    if data.meta.contains_key("input_digest") {
        data.meta.insert("input_digest".into(), tables::input_digest(&data.clips));
    }
    let is_ours = |name: &&PathBuf| folder.has(name).unwrap_or(false);
    removed.pictures += gone.iter().filter(is_ours).count();
    folder.retain(|name| !gone.contains(name))?;
    for name in ["clips", "ledger", "samples"] {
        folder.target(format!("{name}.parquet"))?;
    }
    if folder.path().join("pixels.parquet").is_file() {
        manifest::write_pixels(folder.path(), &pixels, &data.meta)?;
    }
    data.write(folder.path())?;
    describe(data.meta, data.clips, &data.samples, data.ledger, folder)
}

/// The clips that any table speaks of, be it by a tombstone.
fn known<'a>(clips: &'a BTreeSet<String>, data: &Manifest) -> BTreeSet<&'a str> {
    let ledger = data.ledger.iter().flat_map(|e| {
        [Some(&*e.id), e.id.rsplit_once('/').map(|(clip, _)| clip)].into_iter().flatten()
    });
    let rows = data.clips.iter().map(|c| &*c.clip_id);
    let samples = data.samples.iter().map(|s| &*s.clip_id);
    rows.chain(samples).chain(ledger).filter_map(|id| clips.get(id)).map(|id| &**id).collect()
}

/// Whether an id is a clip's or one of its samples'.
fn is_of(clips: &BTreeSet<String>, id: &str) -> bool {
    clips.contains(id) || id.rsplit_once('/').is_some_and(|(clip, _)| clips.contains(clip))
}

/// Other clips that left because of a withdrawn one stay left, without its name.
fn forget(clips: &BTreeSet<String>, entry: &mut LedgerEntry) {
    let named = entry.partner_id.as_ref().is_some_and(|p| is_of(clips, p));
    if named {
        entry.partner_id = None;
    }
    // Only a refusal by name tells the other's file.
    if entry.reason == "duplicate_name" && named {
        entry.detail = "same name as a clip that was taken back".into();
    }
}
