//! Every promise of a manifest, checked against its files and against its own rules.
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Cursor,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rayon::prelude::*;

use super::{
    rebuild::{MISSING, REMARKS},
    rules::{Configuration, Rules},
    settings::IMAGES,
};
use crate::{
    digest, face, folder,
    manifest::{self, Manifest},
    progress::Progress,
    record::{
        Clip, ClipStatus, Damage, LedgerEntry, LedgerKind, Sample, Segment, Split, WITHDRAWN,
    },
    sampling,
    split::{Balance, OnLeak},
};

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Checks made.
    pub checks: usize,
    /// One line per broken promise, in the order of the tables.
    pub violations: Vec<String>,
    /// Rows of the samples table.
    pub samples: usize,
    /// Rows of the clips table.
    pub clips: usize,
    /// Rows of the ledger.
    pub ledger: usize,
}

impl Report {
    /// Counts a check; `words` say what is wrong when it fails.
    fn check(&mut self, holds: bool, words: impl FnOnce() -> String) {
        self.checks += 1;
        if !holds {
            self.violations.push(words());
        }
    }
}

/// Checks the manifest at `path`: schema, identities, files and hashes, disjointness, boxes,
/// draws, balance, and that everything left out is in the ledger.
///
/// # Errors
/// When the tables cannot be read at all; everything else is a violation.
pub fn verify(path: &Path) -> Result<Report> {
    let folder = manifest::folder_of(path);
    let manifest = Manifest::read(&folder)?;
    let mut report = Report {
        samples: manifest.samples.len(),
        clips: manifest.clips.len(),
        ledger: manifest.ledger.len(),
        ..Report::default()
    };
    let config = manifest::configuration(&manifest.meta)
        .ok()
        .and_then(|value| serde_json::from_value::<Configuration>(value).ok());
    let config = config.as_ref().map(Configuration::rules);
    let clips: BTreeMap<&str, &Clip> = manifest.clips.iter().map(|c| (&*c.clip_id, c)).collect();
    order(&manifest, &mut report);
    for sample in &manifest.samples {
        identity(sample, clips.get(&*sample.clip_id).copied(), &mut report);
        boxes(sample, &mut report);
    }
    clip_rows(&manifest, &clips, &mut report);
    moved(&manifest, &mut report);
    accounts(&manifest, &mut report);
    if let Some(config) = &config {
        draws(&manifest, config, &clips, &mut report);
        rules(&manifest, config, &mut report);
        input_digest(&manifest, &mut report);
    }
    disjoint(&manifest, config.as_ref(), &mut report);
    files(&folder, &manifest, &mut report)?;
    Ok(report)
}

/// Rows are unique and in id order.
fn order(manifest: &Manifest, report: &mut Report) {
    let samples: Vec<_> = manifest.samples.iter().map(|s| &*s.sample_id).collect();
    let clips: Vec<_> = manifest.clips.iter().map(|c| &*c.clip_id).collect();
    for (table, ids) in [("samples", samples), ("clips", clips)] {
        for pair in ids.windows(2) {
            report.check(pair[0] < pair[1], || {
                format!("{table}: {} does not come before {}", pair[0], pair[1])
            });
        }
    }
    let sorted = manifest.ledger.windows(2).all(|pair| pair[0] <= pair[1]);
    report.check(sorted, || "ledger: rows are not in order".into());
}

/// A sample is what its clip says.
fn identity(sample: &Sample, clip: Option<&Clip>, report: &mut Report) {
    let id = &sample.sample_id;
    let Some(clip) = clip else {
        report.check(false, || format!("{id}: its clip {} is in no row", sample.clip_id));
        return;
    };
    let expected = match &sample.segment {
        Some(segment) => sampling::sample_id(&clip.clip_id, segment.index),
        None => clip.clip_id.clone(),
    };
    report.check(*id == expected, || format!("{id}: by its clip and segment it is {expected}"));
    report.check(sample.split == clip.split, || {
        format!("{id}: is in {}, its clip in {}", sample.split, clip.split)
    });
    report.check(sample.emotion == clip.emotion, || {
        format!("{id}: is {}, its clip {}", sample.emotion, clip.emotion)
    });
    report.check(sample.group_id == clip.group_id, || {
        format!("{id}: is in group {}, its clip in {}", sample.group_id, clip.group_id)
    });
    report.check(clip.status != ClipStatus::Rejected, || format!("{id}: its clip is rejected"));
}

fn boxes(sample: &Sample, report: &mut Report) {
    let id = &sample.sample_id;
    if let Some(face) = sample.face {
        let inside = face.clipped(sample.width, sample.height) == Some(face);
        report.check(inside, || {
            format!("{id}: face box {face:?} leaves the {}x{} picture", sample.width, sample.height)
        });
        report.check(face.score.is_finite(), || format!("{id}: face score is no number"));
    }
    let counted = match (sample.face, sample.face_count) {
        (Some(_), count) => count.is_none_or(|n| n > 0),
        (None, count) => count.is_none_or(|n| n == 0),
    };
    report.check(counted, || format!("{id}: face and face count disagree"));
    let looked = sample.detector != face::NONE;
    report.check(looked || sample.face.is_none(), || format!("{id}: a face without a detector"));
}

/// Clips name their group by its smallest member, and say why when they are not sound.
fn clip_rows(manifest: &Manifest, clips: &BTreeMap<&str, &Clip>, report: &mut Report) {
    let withdrawn = withdrawn(manifest);
    for clip in &manifest.clips {
        let id = &clip.clip_id;
        let first = clips.get(&*clip.group_id);
        let named = first.is_some_and(|f| f.group_id == clip.group_id && f.clip_id <= clip.clip_id)
            || withdrawn.contains(&*clip.group_id);
        report.check(named, || format!("{id}: group {} is not its first clip", clip.group_id));
        report.check(clip.status == ClipStatus::Ok || clip.reason.is_some(), || {
            format!("{id}: is {} without a reason", clip.status.name())
        });
    }
}

/// Clips in = clips used + clips in the ledger, and nothing is in both.
fn accounts(manifest: &Manifest, report: &mut Report) {
    let used: BTreeSet<&str> = manifest.samples.iter().map(|s| &*s.clip_id).collect();
    let out: Vec<&str> = ids(manifest, LedgerKind::Clip);
    let out_set: BTreeSet<&str> = out.iter().copied().collect();
    report.check(out.len() == out_set.len(), || "ledger: a clip is left out twice".into());
    for clip in &manifest.clips {
        let id = &*clip.clip_id;
        match (used.contains(id), out_set.contains(id)) {
            (true, true) => report.check(false, || format!("{id}: is used and in the ledger")),
            (false, false) => {
                report.check(false, || format!("{id}: is neither used nor in the ledger"));
            }
            _ => report.check(true, String::new),
        }
    }
    let known: BTreeSet<&str> = manifest.clips.iter().map(|c| &*c.clip_id).collect();
    let withdrawn = withdrawn(manifest);
    for id in out {
        let named = known.contains(id) || withdrawn.contains(id);
        report.check(named, || format!("ledger: clip {id} is in no row"));
    }
}

/// Clips of which a tombstone is all that is left; groups keep their names.
fn withdrawn(manifest: &Manifest) -> BTreeSet<&str> {
    let tombs = manifest.ledger.iter().filter(|e| e.reason == WITHDRAWN);
    tombs.map(|e| &*e.id).collect()
}

fn ids(manifest: &Manifest, kind: LedgerKind) -> Vec<&str> {
    manifest.ledger.iter().filter(|e| e.kind == kind).map(|e| &*e.id).collect()
}

/// Segments and frames are those that seed and clip give, and each is a sample or in the ledger.
fn draws(
    manifest: &Manifest,
    config: &Rules<'_>,
    clips: &BTreeMap<&str, &Clip>,
    report: &mut Report,
) {
    let mut left_out = ids(manifest, LedgerKind::Sample);
    // What a rebuild remarks on samples that it has.
    let kept: BTreeSet<&str> = manifest.samples.iter().map(|s| &*s.sample_id).collect();
    let remarked: BTreeSet<&str> = manifest
        .ledger
        .iter()
        .filter(|e| e.kind == LedgerKind::Sample && REMARKS.contains(&&*e.reason))
        .map(|e| &*e.id)
        .filter(|id| kept.contains(id))
        .collect();
    left_out.retain(|id| !remarked.contains(id));
    left_out.extend(ids(manifest, LedgerKind::Segment));
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let kept = manifest.samples.iter().map(|s| &*s.sample_id);
    kept.chain(left_out).for_each(|id| *seen.entry(id).or_default() += 1);
    let mut expected = BTreeSet::new();
    for clip in clips.values().filter(|c| c.status != ClipStatus::Rejected) {
        let drawn = match (clip.frames_decoded, clip.fps, config.segment_seconds) {
            (Some(frames), Some(fps), Some(seconds)) => {
                sampling::segments_of(part(clip, frames), fps, seconds)
            }
            (_, _, Some(_)) => continue,
            (_, _, None) => Vec::new(),
        };
        let of_segment = |s: &Segment| sampling::sample_id(&clip.clip_id, s.index);
        let still = config.segment_seconds.is_none().then(|| clip.clip_id.clone());
        for id in drawn.iter().map(of_segment).chain(still) {
            let times = seen.get(&*id).copied().unwrap_or(0);
            report.check(times == 1, || format!("{id}: is {times} times kept or left out"));
            expected.insert(id);
        }
    }
    for id in seen.keys() {
        report.check(expected.contains(*id), || format!("{id}: no segment of a clip"));
    }
    for sample in &manifest.samples {
        drawn(sample, config, clips.get(&*sample.clip_id).copied(), report);
    }
}

/// The frames of a clip that is `frames` long, in its file.
fn part(clip: &Clip, frames: u64) -> std::ops::Range<u64> {
    clip.first_frame.zip(clip.end_frame).map_or(0..frames, |(first, end)| first..end)
}

fn drawn(sample: &Sample, config: &Rules<'_>, clip: Option<&Clip>, report: &mut Report) {
    let facts = clip.and_then(|c| Some((part(c, c.frames_decoded?), c.fps?)));
    let (Some(segment), Some((frames, fps)), Some(seconds)) =
        (sample.segment, facts, config.segment_seconds)
    else {
        return;
    };
    let id = &sample.sample_id;
    let cut = sampling::segments_of(frames, fps, seconds);
    report.check(cut.contains(&segment), || format!("{id}: {segment:?} is no cut of its clip"));
    if segment.end_frame > segment.start_frame {
        let frame = sampling::redrawn(config.seed, id, &segment, sample.draw.unwrap_or(0));
        report.check(sample.frame_index == Some(frame), || {
            format!("{id}: frame {:?} is not the drawn {frame}", sample.frame_index)
        });
        let ms = 1000.0 * frame as f64 / fps;
        report.check(sample.frame_ms == Some(ms), || {
            format!("{id}: frame_ms {:?} is not {ms}", sample.frame_ms)
        });
    }
}

/// What the configuration promises: faces, balance.
fn rules(manifest: &Manifest, config: &Rules<'_>, report: &mut Report) {
    for sample in &manifest.samples {
        report.check(sample.detector == config.detector, || {
            format!("{}: detector is not the configured one", sample.sample_id)
        });
        report.check(config.keep_damaged || sample.damage == Damage::None, || {
            format!("{}: is damaged, and such frames are not kept", sample.sample_id)
        });
        report.check(!config.require_face || sample.face.is_some(), || {
            format!("{}: has no face, and faces are required", sample.sample_id)
        });
    }
    // What left after balancing may have left more of one class than of another.
    let thinned = |e: &LedgerEntry| e.reason == MISSING || e.reason == WITHDRAWN;
    if manifest.ledger.iter().any(thinned) {
        return;
    }
    let Balance::Ratio(ratio) = config.balance else { return };
    let mut counts: BTreeMap<(Split, u8), usize> = BTreeMap::new();
    for sample in &manifest.samples {
        *counts.entry((sample.split, sample.emotion.label())).or_default() += 1;
    }
    for split in Split::ALL {
        let of = || counts.iter().filter(move |((s, _), _)| *s == split).map(|(_, n)| *n);
        let (least, most) = (of().min().unwrap_or(0), of().max().unwrap_or(0));
        report.check(most as f64 <= (least as f64 * ratio).floor(), || {
            format!("{split}: classes of {least} and {most} samples break {}", config.balance)
        });
    }
}

fn input_digest(manifest: &Manifest, report: &mut Report) {
    let found = super::tables::input_digest(&manifest.clips);
    let said = manifest.meta.get("input_digest");
    report.check(said == Some(&found), || "metadata: input digest is not that of the clips".into());
}

/// A clip is in the split that its corpus gives it, or the ledger says why it is not.
fn moved(manifest: &Manifest, report: &mut Report) {
    let told: BTreeSet<&str> = ids(manifest, LedgerKind::Split).into_iter().collect();
    for clip in &manifest.clips {
        // Corpora without a split of their own name none.
        let Ok(own) = clip.clip_id.split('/').next().unwrap_or_default().parse::<Split>() else {
            continue;
        };
        let moved = own != clip.split;
        report.check(moved == told.contains(&*clip.clip_id), || {
            format!(
                "{}: came in {own}, is in {}, and the ledger {}",
                clip.clip_id,
                clip.split,
                if moved { "says nothing" } else { "says that it was moved" }
            )
        });
    }
}

/// No clip and no group gives samples to two splits.
fn disjoint(manifest: &Manifest, config: Option<&Rules<'_>>, report: &mut Report) {
    let keep = config.is_some_and(|c| c.on_leak == OnLeak::Keep);
    let mut first: BTreeMap<&str, &Sample> = BTreeMap::new();
    for sample in &manifest.samples {
        let other = first.entry(&sample.group_id).or_insert(sample);
        report.check(keep || other.split == sample.split, || {
            format!(
                "{} in {} and {} in {} are of one group {}",
                other.sample_id, other.split, sample.sample_id, sample.split, sample.group_id
            )
        });
    }
}

/// Pictures are there, unchanged, of the stated size, and nothing else is.
fn files(folder: &Path, manifest: &Manifest, report: &mut Report) -> Result<()> {
    let progress = Progress::new("verify", "pictures", manifest.samples.len() as u64);
    let broken: Vec<Option<String>> = manifest
        .samples
        .par_iter()
        .map(|sample| {
            let broken = picture(folder, sample).err().map(|e| format!("{e:#}"));
            progress.advance(1);
            broken
        })
        .collect();
    progress.finish();
    for (sample, broken) in manifest.samples.iter().zip(broken) {
        report.check(broken.is_none(), || {
            format!("{}: {}", sample.sample_id, broken.unwrap_or_default())
        });
    }
    let named: BTreeSet<PathBuf> =
        manifest.samples.iter().map(|s| folder.join(&s.image_path)).collect();
    let total = named.len();
    report.check(total == manifest.samples.len(), || "samples: two rows name one picture".into());
    for path in pictures_in(&folder.join(IMAGES))? {
        report.check(named.contains(&path), || format!("{}: no sample names it", path.display()));
    }
    Ok(())
}

fn picture(folder: &Path, sample: &Sample) -> Result<()> {
    let path = folder::below(folder, &sample.image_path)?;
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let found = digest::sha256_hex(&bytes);
    anyhow::ensure!(
        found == sample.image_sha256,
        "{} has SHA-256 {found}, not {}",
        path.display(),
        sample.image_sha256
    );
    let size = image::ImageReader::new(Cursor::new(&bytes))
        .with_guessed_format()?
        .into_dimensions()
        .with_context(|| format!("{} is no picture", path.display()))?;
    anyhow::ensure!(
        size == (sample.width, sample.height),
        "{} is {}x{}, not {}x{}",
        path.display(),
        size.0,
        size.1,
        sample.width,
        sample.height
    );
    Ok(())
}

/// All files below a folder, in order; none when the folder is missing.
fn pictures_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return Ok(found) };
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(pictures_in(&entry.path())?);
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}
