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
    let known = data.clips.iter().any(|c| clips.contains(&c.clip_id));
    if !known {
        return Ok(());
    }
    let mut pixels = manifest::read_pixels(folder.path())?;
    let gone: BTreeSet<PathBuf> = data
        .samples
        .iter()
        .filter(|s| clips.contains(&s.clip_id))
        .map(|s| PathBuf::from(&s.image_path))
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
    data.clips.retain(|c| {
        let withdrawn = clips.contains(&c.clip_id);
        if withdrawn {
            data.ledger.push(LedgerEntry::tombstone(&c.clip_id));
        }
        !withdrawn
    });
    let tombs: BTreeSet<LedgerEntry> = clips.iter().map(|c| LedgerEntry::tombstone(c)).collect();
    data.ledger.retain(|e| tombs.contains(e) || !is_of(clips, &e.id));
    data.ledger.iter_mut().for_each(|e| forget(clips, e));
    data.ledger.sort_unstable();
    data.ledger.dedup();
    removed.rows +=
        before.saturating_sub(data.samples.len() + data.clips.len() + data.ledger.len());
    if data.meta.contains_key("input_digest") {
        data.meta.insert("input_digest".into(), tables::input_digest(&data.clips));
    }
    removed.pictures += gone.len();
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
