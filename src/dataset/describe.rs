//! The card and the metadata of rows that are there, whoever made them.
use std::collections::BTreeMap;

use anyhow::Result;

use super::{
    card,
    clip_result::{SavedFrame, Still},
    croissant,
    rows::{sample_order, sort_by_text},
    tables::{Drawn, Fate, Tables},
    Configuration,
};
use crate::{
    corpus::Listing,
    folder::OutputFolder,
    manifest::Meta,
    record::{Clip, HexDigest, LedgerEntry, Sample},
};

/// Writes the card and the description for machines, as a build of the same rows writes them; neither
/// where the metadata holds no configuration.
///
/// # Errors
/// When the folder cannot be written.
pub(super) fn describe(
    meta: Meta,
    clips: Vec<Clip>,
    samples: &[Sample],
    ledger: Vec<LedgerEntry>,
    out: &OutputFolder,
) -> Result<()> {
    let text = meta.get("configuration").cloned().unwrap_or_default();
    let Ok(configuration) = serde_json::from_str::<Configuration>(&text) else { return Ok(()) };
    let rules = configuration.rules();
    let mut tables = Tables {
        detector: rules.detector.to_owned(),
        detected: rules.detected(),
        balance: rules.balance,
        ledger,
        ..Tables::default()
    };
    let corpus = meta.get("corpus").cloned().unwrap_or_default();
    tables.meta = meta;
    let mut taken: BTreeMap<&str, Vec<SavedFrame>> = BTreeMap::new();
    let mut stills: BTreeMap<&str, &Sample> = BTreeMap::new();
    for sample in samples {
        match saved(sample) {
            Some(frame) => taken.entry(&sample.clip_id).or_default().push(frame),
            None => {
                stills.insert(&sample.clip_id, sample);
            }
        }
    }
    let mut first = 0;
    for clip in &clips {
        let mut own = taken.remove(&*clip.clip_id).unwrap_or_default();
        sort_by_text(&mut own);
        let still = stills.remove(&*clip.clip_id).map(|s| Box::new(still(s, clip)));
        let drawn = Drawn { taken: own, still, first };
        first += drawn.samples() as u32;
        tables.drawn.push(drawn);
    }
    tables.fates = vec![Fate::Kept; first as usize];
    tables.order = sample_order(&clips, &tables.drawn);
    tables.clips = clips;
    let listing = Listing { corpus, has_split: true, ..Listing::default() };
    let summary = tables.summary();
    card::write(out, &configuration, &listing, &tables, &summary)?;
    croissant::write(out, &tables)
}

fn saved(sample: &Sample) -> Option<SavedFrame> {
    Some(SavedFrame {
        segment: sample.segment?,
        frame: sample.frame_index?,
        image_path: sample.image_path.clone(),
        image_sha256: sample.image_sha256.as_str().into(),
        pixel_sha256: HexDigest::default(),
        width: sample.width,
        height: sample.height,
        face: sample.face,
        face_count: sample.face_count,
        damage: sample.damage,
        draw: sample.draw.unwrap_or_default(),
    })
}

fn still(sample: &Sample, clip: &Clip) -> Still {
    Still {
        codec: clip.codec.clone().unwrap_or_default(),
        width: sample.width,
        height: sample.height,
        signature: clip.signature.clone().unwrap_or_default(),
        image_path: sample.image_path.clone(),
        face: sample.face,
        face_count: sample.face_count,
        orientation: clip.orientation.unwrap_or(1),
        image_sha256: Some(sample.image_sha256.as_str().into()),
        views: None,
    }
}
