//! The leak audit of a data set: reads a manifest or a bare folder of pictures, finds what several
//! splits share, and writes findings and their page.
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{json, Value};

use crate::{
    dataset::locate,
    digest,
    folder::{self, Claim},
    similarity::{hash, images::Rule},
};

mod findings;
mod folder_scan;
mod gather;
mod page;
mod provenance;
mod summary;
mod tables;

use findings::Findings;
use gather::{Depth, Gathered};
pub use summary::AuditSummary;

/// What a machine reads.
const SUMMARY: &str = "audit.json";

/// The data set that is audited.
#[derive(Clone, Debug)]
pub enum AuditSource {
    /// A manifest folder.
    Manifest(PathBuf),
    /// A bare folder of pictures: {train,val,test}/Class/NNNN.png
    Folder(PathBuf),
}

/// What to audit, and how.
#[derive(Clone, Debug)]
pub struct AuditRequest {
    /// The audited data set.
    pub own: AuditSource,
    /// A second one, manifest or folder of pictures, to compare with; or a folder of clips, in which the
    /// pictures are sought.
    pub against: Option<PathBuf>,
    /// What counts as a near-duplicate.
    pub rule: Rule,
    /// Seed of the random pairs that serve as control.
    pub seed: u64,
    /// Processes that decode clips at once, where there are any.
    pub workers: usize,
}

impl AuditRequest {
    /// The folder of clips in which the pictures are sought, where it is one.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub fn clips(&self) -> Result<Option<&Path>> {
        match &self.against {
            Some(path) if provenance::is_of_clips(path)? => Ok(Some(path)),
            _ => Ok(None),
        }
    }
}

/// Whether findings were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// They are there now.
    Now,
    /// The folder held those of the same data and settings.
    Before,
}

/// Audits what `request` names and writes tables, page and summary into `out`.
///
/// # Errors
/// When a data set or a folder of clips cannot be read, two were hashed with different settings, or `out`
/// is not ours or cannot be written.
pub fn run(request: &AuditRequest, out: &Path) -> Result<(Saved, AuditSummary)> {
    let clips = request.clips()?;
    let (AuditSource::Manifest(stills) | AuditSource::Folder(stills)) = &request.own;
    let other = request.against.as_deref().filter(|_| clips.is_none());
    let search = clips.map(|clips| {
        provenance::options(stills, clips, request.workers, out.join(provenance::FOLDER))
    });
    let sought = search.as_ref().map(locate::identity).transpose()?;
    let record = |all: &Gathered| {
        let mut record = configuration(request, all);
        if let Some(sought) = &sought {
            record["against"] = sought.clone();
        }
        record
    };
    // Reading the pixels takes most of the time, and what is finished does not need them.
    if folder::is_finished(out) {
        let all = gathered(request, other, Depth::Digests)?;
        if let Claim::Done = folder::claim(out, &record(&all))? {
            return Ok((Saved::Before, AuditSummary::read(&out.join(SUMMARY))?));
        }
    }
    let mut all = gathered(request, other, Depth::Pixels { altered: request.rule.altered })?;
    let folder = match folder::claim(out, &record(&all))? {
        Claim::Done => return Ok((Saved::Before, AuditSummary::read(&out.join(SUMMARY))?)),
        Claim::Fresh(folder) | Claim::Resume(folder) => folder,
    };
    if let Some(options) = &search {
        folder.folder(provenance::FOLDER)?;
        all.two_sets = true;
        all.provenance = Some(provenance::search(options, &all.paths)?);
    }
    let findings = Findings::of(&all, request.rule, request.seed)?;
    tables::write(&folder, &all, &findings)?;
    page::write(&folder, &all, &findings)?;
    folder.write_json(SUMMARY, &findings.summary)?;
    folder.finish()?;
    Ok((Saved::Now, findings.summary))
}

/// The data set, with the one that it is held against.
fn gathered(request: &AuditRequest, other: Option<&Path>, depth: Depth) -> Result<Gathered> {
    let own = match &request.own {
        AuditSource::Manifest(path) => gather::manifest(path, 0, depth)?,
        AuditSource::Folder(path) => gather::root(path, 0, depth)?,
    };
    let other = other.map(|path| gather::any(path, 1, depth)).transpose()?;
    if let Some(other) = &other {
        same_settings(&own, other)?;
    }
    Ok(Gathered::joined(own, other))
}

/// Refuses to compare hashes that mean different things.
fn same_settings(own: &Gathered, other: &Gathered) -> anyhow::Result<()> {
    if let (Some(a), Some(b)) = (&own.hash_settings, &other.hash_settings) {
        anyhow::ensure!(
            a == b,
            "the manifests were hashed with different settings, `{a}` and `{b}`; rebuild one of them"
        );
    }
    Ok(())
}

/// Raised with every change of the rules or their thresholds, so that findings of earlier rules are not
/// taken for finished ones.
const RULES: u32 = 5;

/// What the findings depend on: pictures and clips by content, the settings, no path.
fn configuration(request: &AuditRequest, all: &Gathered) -> Value {
    let clips = all.clips.iter().map(|(set, clip)| {
        let place = (set, clip.split.to_string(), clip.emotion.name(), &clip.group_id);
        format!(
            "{place:?} {} {:?} {:?}\n",
            clip.clip_id,
            clip.sha256,
            (&clip.signature, &clip.views)
        )
    });
    let digest = |rows: String| digest::sha256_hex(rows.as_bytes());
    json!({
        "pictures": digest(all.digests.concat()),
        "clips": digest(clips.collect()),
        "radius": request.rule.radius,
        "altered": request.rule.altered,
        "seed": request.seed,
        "hash": hash::SETTINGS,
        "rules": RULES,
    })
}
