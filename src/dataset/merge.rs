//! The last stage: results of all clips to the finished folder, of one build or of its shards.
use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{bail, ensure, Context, Result};
use serde_json::Value;

use super::{
    card, croissant,
    journal::{Journal, Results},
    results::ClipResults,
    rows::{self, Parts},
    rules::Configuration,
    settings::IMAGES,
    tables::{self, Tables},
    BuildSummary, Config, Shard,
};
use crate::{
    corpus::Listing,
    folder::{self, below, Claim, OutputFolder},
    manifest::Meta,
    record::LedgerKind,
};

/// The tables of the data set: clips grouped, split where the corpus has no split, freed of leaks
/// and balanced. Pure.
///
/// # Errors
/// When a clip has no result, or the policy for leaks is to fail and there are any.
pub fn tables(parts: Parts<'_>) -> Result<Tables> {
    for clip in parts.listing.clips.iter().filter(|c| c.refused.is_none()) {
        ensure!(parts.results.get(&clip.clip_id).is_some(), "clip {} has no result", clip.clip_id);
    }
    let (config, listing) = (parts.config, parts.listing);
    let mut tables = rows::rows(parts)?;
    tables.meta = meta(config, listing, &tables)?;
    Ok(tables)
}

/// Writes the tables and the card, and removes pictures that no row names.
///
/// # Errors
/// When a clip has no result, or the folder cannot be written.
pub(super) fn write(
    parts: Parts<'_>,
    stage_seconds: BTreeMap<String, f64>,
    out: &OutputFolder,
) -> Result<BuildSummary> {
    let start = Instant::now();
    let (config, listing) = (parts.config, parts.listing);
    let tables = tables(parts)?;
    tables.write(out)?;
    let mut summary = BuildSummary { stage_seconds, ..tables.summary() };
    debug_assert_eq!(
        summary.clips_used + tables.ledger.iter().filter(|e| e.kind == LedgerKind::Clip).count(),
        summary.clips + listing.withdrawn.len()
    );
    card::write(out, config, listing, &tables, &summary)?;
    croissant::write(out, &tables)?;
    remove_orphans(out, &tables)?;
    summary.stage_seconds.insert("merge".into(), start.elapsed().as_secs_f64());
    Ok(summary)
}

/// What the tables carry beside their rows: part of the byte promise.
fn meta(config: &Configuration, listing: &Listing, tables: &Tables) -> Result<Meta> {
    Ok(Meta::from([
        ("configuration".into(), serde_json::to_string(config)?),
        ("corpus".into(), listing.corpus.clone()),
        ("input_digest".into(), tables::input_digest(&tables.clips)),
        ("seed".into(), config.rules().seed.to_string()),
        ("signature_settings".into(), crate::similarity::hash::SETTINGS.to_owned()),
    ]))
}

/// Removes the pictures of ours that no sample names: those that were balanced away. What others
/// put beside them stays.
fn remove_orphans(out: &OutputFolder, tables: &Tables) -> Result<()> {
    let named: HashSet<&Path> = tables.pictures().map(Path::new).collect();
    out.retain(|name| !name.starts_with(IMAGES) || named.contains(name))
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
        let path = self.path.join(super::settings::LISTING);
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))
    }
}

/// Merges the folders of all shards of a build into `out`, byte for byte what one build writes.
///
/// # Errors
/// When a folder is no finished shard, or shards are missing, doubled or of different builds.
pub fn merge_shards(folders: &[PathBuf], out: &Path) -> Result<super::BuildOutcome> {
    let start = Instant::now();
    let shards = complete_set(folders)?;
    let mut record = shards[0].record.clone();
    record["shard"] = Value::Null;
    let config: Config = serde_json::from_value(record["build"].clone())
        .with_context(|| format!("{} is of another version", shards[0].path.display()))?;
    let listing = shards[0].listing()?;
    let folder = match folder::claim(out, &record)? {
        Claim::Done => return Ok(super::BuildOutcome::AlreadyDone),
        Claim::Fresh(folder) | Claim::Resume(folder) => folder,
    };
    let mut all = Results::default();
    for shard in &shards {
        let part = Journal::read(&shard.path, folder.path())?;
        bring_pictures(&shard.path, &folder, &part.clips)?;
        all.add(part);
    }
    let configuration = Configuration::Build(config.clone());
    let parts = Parts {
        config: &configuration,
        listing: &listing,
        results: all.clips,
        same_video: Vec::new(),
    };
    let mut summary = write(parts, all.stage_seconds, &folder)?;
    summary.refuse_empty(&folder)?;
    summary.seconds = start.elapsed().as_secs_f64();
    card::write_merge_record(&folder, &config, shards.len(), &summary)?;
    folder.finish()?;
    Ok(super::BuildOutcome::Done(Box::new(summary)))
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
            folder::differing_keys(&without_shard(&first.record), &without_shard(&other.record));
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
    let record = folder::configuration(folder)?
        .with_context(|| format!("{} is no folder of a build", folder.display()))?;
    let shard = record["shard"]
        .as_str()
        .and_then(|s| s.parse().ok())
        .with_context(|| format!("{} is no shard of a build", folder.display()))?;
    let finished = folder::state(folder, &record)? == folder::FolderState::Finished;
    ensure!(finished, "the shard in {} is not finished; build it again", folder.display());
    Ok(ShardFolder { path: folder.to_owned(), record, shard })
}

/// Links or copies the pictures of a shard.
fn bring_pictures(from: &Path, to: &OutputFolder, results: &ClipResults) -> Result<()> {
    for taken in results.iter().flat_map(|r| &r.samples) {
        let source = below(from, &taken.image_path)?;
        let read =
            || fs::read(&source).with_context(|| format!("cannot read {}", source.display()));
        to.link_or_copy(&source, read, &taken.image_path)?;
    }
    Ok(())
}
