//! The last stage: results of all clips to the finished folder, of one build or of its shards.
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{bail, ensure, Context, Result};
use serde_json::Value;

use super::{
    card, clip::ClipResult, croissant, journal::Journal, rows, rules::Configuration, Config, Shard,
    Summary,
};
use crate::{
    corpus::Listing,
    manifest::{Manifest, Meta},
    output,
    record::{Clip, LedgerKind},
};

/// The folder of pictures inside a build's folder.
pub(super) const IMAGES: &str = "images";

/// Everything that the finished folder is made from.
#[derive(Debug)]
pub struct Parts<'a> {
    /// What it was built or imported with.
    pub config: &'a Configuration,
    /// All clips of the corpus.
    pub listing: &'a Listing,
    /// What came of those that were opened, by clip_id.
    pub results: BTreeMap<String, ClipResult>,
}

/// The tables of the data set: clips grouped, split where the corpus has no split, freed of leaks
/// and balanced. Pure.
///
/// # Errors
/// When a clip has no result, or the policy for leaks is to fail and there are any.
pub fn tables(parts: Parts<'_>) -> Result<Manifest> {
    for clip in parts.listing.clips.iter().filter(|c| c.refused.is_none()) {
        ensure!(parts.results.contains_key(&clip.clip_id), "clip {} has no result", clip.clip_id);
    }
    let (config, listing) = (parts.config, parts.listing);
    let mut manifest = rows::rows(parts)?;
    manifest.meta = meta(config, listing, &manifest)?;
    Ok(manifest)
}

/// Writes the tables and the card, and removes pictures that no row names.
///
/// # Errors
/// When a clip has no result, or the folder cannot be written.
pub(super) fn write(parts: Parts<'_>, out: &Path) -> Result<Summary> {
    let start = Instant::now();
    let (config, listing) = (parts.config, parts.listing);
    let mut stage_seconds: BTreeMap<String, f64> = BTreeMap::new();
    for (stage, seconds) in parts.results.values().flat_map(|result| &result.seconds) {
        *stage_seconds.entry(stage.clone()).or_default() += seconds;
    }
    let manifest = tables(parts)?;
    manifest.write(out)?;
    let mut summary = Summary { stage_seconds, ..summarise(&manifest) };
    card::write(out, config, listing, &manifest, &summary)?;
    croissant::write(out, &manifest)?;
    remove_orphans(out, &manifest)?;
    summary.stage_seconds.insert("merge".into(), start.elapsed().as_secs_f64());
    Ok(summary)
}

/// What the tables carry beside their rows: part of the byte promise.
fn meta(config: &Configuration, listing: &Listing, manifest: &Manifest) -> Result<Meta> {
    Ok(Meta::from([
        ("configuration".into(), serde_json::to_string(config)?),
        ("corpus".into(), listing.corpus.clone()),
        ("input_digest".into(), input_digest(manifest)),
        ("seed".into(), config.rules().seed.to_string()),
        ("signature_settings".into(), crate::audit::hash::SETTINGS.to_owned()),
    ]))
}

/// SHA-256 over the identity, place and content of every clip.
pub(super) fn input_digest(manifest: &Manifest) -> String {
    let line =
        |c: &Clip| format!("{}\t{}\t{}\n", c.clip_id, c.path, c.sha256.as_deref().unwrap_or("-"));
    let inputs: String = manifest.clips.iter().map(line).collect();
    output::sha256_hex(inputs.as_bytes())
}

fn summarise(manifest: &Manifest) -> Summary {
    let mut summary = Summary { clips: manifest.clips.len(), ..Summary::default() };
    let used: BTreeSet<&str> = manifest.samples.iter().map(|s| &*s.clip_id).collect();
    summary.clips_used = used.len();
    for sample in &manifest.samples {
        let split = summary.samples.entry(sample.split.name().into()).or_default();
        *split.entry(sample.emotion.name().into()).or_default() += 1;
    }
    for entry in &manifest.ledger {
        let key = format!("{} {}", entry.kind.name(), entry.reason);
        *summary.left_out.entry(key).or_default() += 1;
    }
    debug_assert_eq!(
        summary.clips_used + manifest.ledger.iter().filter(|e| e.kind == LedgerKind::Clip).count(),
        summary.clips
    );
    summary
}

/// Removes what lies below `images/` and no sample names: pictures that were balanced away, and
/// what a killed worker left behind.
fn remove_orphans(out: &Path, manifest: &Manifest) -> Result<()> {
    let named: BTreeSet<PathBuf> =
        manifest.samples.iter().map(|s| out.join(&s.image_path)).collect();
    let mut folders = vec![out.join(IMAGES)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
            let path = entry.path();
            let kind =
                entry.file_type().with_context(|| format!("cannot read {}", path.display()))?;
            if kind.is_dir() {
                folders.push(path);
            } else if !named.contains(&path) {
                fs::remove_file(&path)
                    .with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
    }
    Ok(())
}

/// A finished shard as its folder tells it.
struct ShardFolder {
    path: PathBuf,
    record: Value,
    shard: Shard,
}

impl ShardFolder {
    /// All clips of the corpus, this shard's and the others'.
    fn listing(&self) -> Result<Listing> {
        let path = self.path.join(super::LISTING);
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))
    }
}

/// Merges the folders of all shards of a build into `out`, byte for byte what one build writes.
///
/// # Errors
/// When a folder is no finished shard, or shards are missing, doubled or of different builds.
pub fn merge_shards(folders: &[PathBuf], out: &Path) -> Result<super::Outcome> {
    let start = Instant::now();
    let shards = complete_set(folders)?;
    let mut record = shards[0].record.clone();
    record["shard"] = Value::Null;
    let config: Config = serde_json::from_value(record["build"].clone())
        .with_context(|| format!("{} is of another version", shards[0].path.display()))?;
    let listing = shards[0].listing()?;
    output::state(out, &record)?;
    let _lock = output::FolderLock::acquire(out)?;
    if output::state(out, &record)? == output::State::Finished {
        return Ok(super::Outcome::AlreadyDone);
    }
    output::begin(out, &record)?;
    let mut results = BTreeMap::new();
    for shard in &shards {
        let part = Journal::read(&shard.path)?;
        bring_pictures(&shard.path, out, &part)?;
        results.extend(part);
    }
    let configuration = Configuration::Build(config.clone());
    let parts = Parts { config: &configuration, listing: &listing, results };
    let mut summary = write(parts, out)?;
    summary.seconds = start.elapsed().as_secs_f64();
    card::write_merge_record(out, &config, shards.len(), &summary)?;
    output::finish(out)?;
    Ok(super::Outcome::Done(Box::new(summary)))
}

/// Reads and checks the shards, in order.
fn complete_set(folders: &[PathBuf]) -> Result<Vec<ShardFolder>> {
    let mut shards = folders.iter().map(|f| open_shard(f)).collect::<Result<Vec<_>>>()?;
    shards.sort_by_key(|s| s.shard.index);
    let first = shards.first().context("no shard folder is named")?;
    let without_shard = |record: &Value| {
        let mut record = record.clone();
        record["shard"] = Value::Null;
        record
    };
    for other in &shards {
        let differing =
            output::differing_keys(&without_shard(&first.record), &without_shard(&other.record));
        ensure!(
            differing.is_empty() && other.shard.count == first.shard.count,
            "{} and {} are shards of different builds ({})",
            first.path.display(),
            other.path.display(),
            if differing.is_empty() { "number of shards".into() } else { differing.join(", ") }
        );
    }
    let found: Vec<usize> = shards.iter().map(|s| s.shard.index).collect();
    let wanted: Vec<usize> = (1..=first.shard.count).collect();
    if let Some(missing) = wanted.iter().find(|i| !found.contains(i)) {
        bail!("shard {missing}/{} is missing", first.shard.count);
    }
    ensure!(found == wanted, "a shard is named twice");
    Ok(shards)
}

fn open_shard(folder: &Path) -> Result<ShardFolder> {
    let record = output::configuration(folder)?
        .with_context(|| format!("{} is no folder of a build", folder.display()))?;
    let shard = record["shard"]
        .as_str()
        .and_then(|s| s.parse().ok())
        .with_context(|| format!("{} is no shard of a build", folder.display()))?;
    let finished = output::state(folder, &record)? == output::State::Finished;
    ensure!(finished, "the shard in {} is not finished; build it again", folder.display());
    Ok(ShardFolder { path: folder.to_owned(), record, shard })
}

/// Links or copies the pictures of a shard.
fn bring_pictures(from: &Path, to: &Path, results: &BTreeMap<String, ClipResult>) -> Result<()> {
    for taken in results.values().flat_map(|r| &r.samples) {
        let source = output::below(from, &taken.image_path)?;
        let target = output::below(to, &taken.image_path)?;
        if target.is_file() {
            continue;
        }
        let folder = target.parent().context("a picture has a folder")?;
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make folder {}", folder.display()))?;
        if fs::hard_link(&source, &target).is_err() {
            let bytes =
                fs::read(&source).with_context(|| format!("cannot read {}", source.display()))?;
            output::write(&target, &bytes)?;
        }
    }
    Ok(())
}
