//! What workers brought to the finished folder: tables, ledger, card.
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::Result;

use super::{
    resolved::{Known, Resolved},
    worker::{Picture, Rebuilt},
    RebuildSummary, MISSING,
};
use crate::{
    corpus,
    dataset::{describe::describe, recipe, tables},
    folder::OutputFolder,
    manifest::{self, PixelDigest, Recipe},
    record::{Clip, HexDigest, LedgerEntry, LedgerKind, Sample},
};

/// Writes the folder's files beside the pictures.
pub(super) fn assemble(
    recipe: Recipe,
    resolved: &BTreeMap<String, Resolved>,
    results: &BTreeMap<String, Rebuilt>,
    out: &OutputFolder,
) -> Result<RebuildSummary> {
    let pictures: BTreeMap<&str, &Picture> =
        results.values().flat_map(|r| &r.pictures).map(|p| (&*p.sample_id, p)).collect();
    let mut summary = RebuildSummary { samples: recipe.rows.len(), ..RebuildSummary::default() };
    let mut clips = clips(&recipe, resolved, results, &mut summary);
    let by_id: BTreeMap<&str, &Clip> = clips.iter().map(|c| (&*c.clip_id, c)).collect();
    let (mut samples, mut pixels, mut ledger) = (Vec::new(), Vec::new(), recipe.ledger.clone());
    for row in &recipe.rows {
        let id = &row.sample.sample_id;
        let picture = pictures.get(&**id).copied();
        let file = resolved.get(&row.sample.clip_id);
        let (kept, entry) = judged(&row.sample, picture, file, results, &mut summary);
        ledger.extend(entry);
        let Some(picture) = picture.filter(|_| kept) else { continue };
        let fps = by_id.get(&*row.sample.clip_id).and_then(|c| c.fps);
        samples.push(sample(&row.sample, picture, fps));
        let digest = row.pixel_sha256.clone().filter(|_| picture.same_pixels);
        pixels.extend(digest.map(|d| PixelDigest { sample_id: id.clone(), pixel_sha256: d }));
    }
    without_samples(&recipe, &samples, &mut ledger);
    ledger.sort_unstable();
    let mut meta = recipe.meta;
    meta.remove(recipe::DECODER);
    if meta.contains_key("input_digest") {
        meta.insert("input_digest".into(), tables::input_digest(&clips));
    }
    clips.sort_unstable_by(|a, b| a.clip_id.cmp(&b.clip_id));
    for name in ["clips", "ledger", "samples", "pixels"] {
        out.target(format!("{name}.parquet"))?;
    }
    if pixels.len() == samples.len() {
        manifest::write_pixels(out.path(), &pixels, &meta)?;
    }
    let rows = samples.iter().cloned();
    manifest::write_tables(out.path(), &meta, &clips, ledger.iter().cloned(), rows)?;
    describe(meta, clips, &samples, ledger, out)?;
    let named: BTreeSet<&Path> = samples.iter().map(|s| Path::new(&s.image_path)).collect();
    out.retain(|name| !name.starts_with("images") || named.contains(name))?;
    Ok(summary)
}

/// Whether a sample stays, and what the ledger says of it.
fn judged(
    sample: &Sample,
    picture: Option<&Picture>,
    file: Option<&Resolved>,
    results: &BTreeMap<String, Rebuilt>,
    summary: &mut RebuildSummary,
) -> (bool, Option<LedgerEntry>) {
    let entry = |reason: &str, detail: String| {
        Some(LedgerEntry {
            kind: LedgerKind::Sample,
            id: sample.sample_id.clone(),
            reason: reason.to_owned(),
            detail,
            partner_id: None,
        })
    };
    let shown = file.map(|f| corpus::shown_path(Path::new(&f.path))).unwrap_or_default();
    let Some((picture, file)) = picture.zip(file) else {
        summary.missing += 1;
        let failure = results.get(&sample.clip_id).and_then(|r| r.failure.as_ref());
        let why = match (file, failure) {
            (None, _) => "no file of the corpus is this clip".to_owned(),
            (Some(_), Some((_, words))) => format!("{shown}: {words}"),
            (Some(_), None) => format!("{shown} has no such frame"),
        };
        return (false, entry(MISSING, why));
    };
    if picture.same_bytes {
        summary.identical += 1;
        return (true, None);
    }
    if picture.same_pixels {
        summary.same_pixels += 1;
        return (true, entry("same_pixels", "the picture was saved in other bytes".into()));
    }
    if file.known == Known::Digest {
        summary.other_pixels += 1;
        return (true, entry("other_pixels", "this decoder gives other pixels".into()));
    }
    let from = format!("frame {} of {shown}", picture.frame);
    if picture.image_path.is_some() {
        summary.substitutes += 1;
        return (true, entry("substitute", from));
    }
    summary.missing += 1;
    summary.substitutes_refused += 1;
    (false, entry(MISSING, format!("{from} shows it; --allow-substitutes takes it")))
}

/// Clips that had samples and have none now.
fn without_samples(recipe: &Recipe, samples: &[Sample], ledger: &mut Vec<LedgerEntry>) {
    let now: BTreeSet<&str> = samples.iter().map(|s| &*s.clip_id).collect();
    let before: BTreeSet<&str> = recipe.rows.iter().map(|r| &*r.sample.clip_id).collect();
    ledger.extend(before.difference(&now).map(|id| LedgerEntry {
        kind: LedgerKind::Clip,
        id: (*id).to_owned(),
        reason: MISSING.into(),
        detail: "no sample of this clip could be rebuilt".into(),
        partner_id: None,
    }));
}

/// The sample as it is now.
fn sample(meant: &Sample, picture: &Picture, fps: Option<f64>) -> Sample {
    let frame = meant.frame_index.unwrap_or_default() as f64;
    Sample {
        image_sha256: picture.image_sha256.clone(),
        width: picture.width,
        height: picture.height,
        frame_ms: meant.frame_ms.or(fps.map(|fps| 1000.0 * frame / fps)),
        face: meant.face.and_then(|f| f.clipped(picture.width, picture.height)),
        ..meant.clone()
    }
}

/// The rows of the clips: the recipe's where the file is the recipe's, else what was found.
fn clips(
    recipe: &Recipe,
    resolved: &BTreeMap<String, Resolved>,
    results: &BTreeMap<String, Rebuilt>,
    summary: &mut RebuildSummary,
) -> Vec<Clip> {
    let mut clips: BTreeMap<String, Clip> =
        recipe.clips.iter().map(|c| (c.clip_id.clone(), c.clone())).collect();
    for row in &recipe.rows {
        clips.entry(row.sample.clip_id.clone()).or_insert_with(|| unknown(row));
    }
    for (id, file) in resolved {
        let Some(clip) = clips.get_mut(id) else { continue };
        let path = corpus::shown_path(Path::new(&file.path));
        summary.moved_clips += usize::from(file.known == Known::Digest && clip.path != path);
        let facts = results.get(id).and_then(|r| r.facts.as_ref());
        // Another file is told of only where frames of it are used.
        let used =
            results.get(id).is_some_and(|r| r.pictures.iter().any(|p| p.image_path.is_some()));
        if file.known == Known::Digest || used {
            clip.path = path;
            clip.sha256 = Some(file.sha256.as_str().into());
            match facts {
                // What the recipe says of the same bytes holds; views are not in it.
                Some(facts) if file.known == Known::Digest && clip.fps.is_some() => {
                    clip.views = facts.views.clone().filter(|_| clip.first_frame.is_none());
                }
                Some(facts) => facts.clone().fill(clip),
                None => {}
            }
        }
    }
    clips.into_values().collect()
}

/// A clip of which the recipe gives nothing but its name.
fn unknown(row: &manifest::RecipeRow) -> Clip {
    let sample = &row.sample;
    let (id, path) = (sample.clip_id.clone(), row.clip_path.clone());
    Clip {
        sha256: Some(row.clip_sha256.as_str()).filter(|d| d.len() == 64).map(HexDigest::from),
        group_id: sample.group_id.clone(),
        ..Clip::named(id, path, sample.split, sample.emotion)
    }
}
