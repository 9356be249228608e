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
    card,
    clip::ClipResult,
    croissant,
    journal::{Journal, Results},
    rows,
    rules::Configuration,
    tables::{self, Tables},
    Config, Shard, Summary,
};
use crate::{corpus::Listing, manifest::Meta, output, record::LedgerKind};

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
    /// Clips that are one video though no group says so, by position in the listing: they stay
    /// together when a validation part is carved out of training.
    pub same_video: Vec<(usize, usize)>,
}

/// The tables of the data set: clips grouped, split where the corpus has no split, freed of leaks
/// and balanced. Pure.
///
/// # Errors
/// When a clip has no result, or the policy for leaks is to fail and there are any.
pub fn tables(parts: Parts<'_>) -> Result<Tables> {
    for clip in parts.listing.clips.iter().filter(|c| c.refused.is_none()) {
        ensure!(parts.results.contains_key(&clip.clip_id), "clip {} has no result", clip.clip_id);
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
    out: &Path,
) -> Result<Summary> {
    let start = Instant::now();
    let (config, listing) = (parts.config, parts.listing);
    let tables = tables(parts)?;
    tables.write(out)?;
    let mut summary = Summary { stage_seconds, ..tables.summary() };
    debug_assert_eq!(
        summary.clips_used + tables.ledger.iter().filter(|e| e.kind == LedgerKind::Clip).count(),
        summary.clips
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
        ("signature_settings".into(), crate::audit::hash::SETTINGS.to_owned()),
    ]))
}

/// Removes what lies below `images/` and no sample names: pictures that were balanced away, and
/// what a killed worker left behind.
fn remove_orphans(out: &Path, tables: &Tables) -> Result<()> {
    let named: HashSet<&str> = tables.pictures().collect();
    let mut folders = vec![IMAGES.to_owned()];
    while let Some(folder) = folders.pop() {
        let at = out.join(&folder);
        let Ok(entries) = fs::read_dir(&at) else { continue };
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot list {}", at.display()))?;
            let path = entry.path();
            let kind =
                entry.file_type().with_context(|| format!("cannot read {}", path.display()))?;
            // A name that is not UTF-8 is none of ours.
            let name = entry.file_name().to_str().map(|name| format!("{folder}/{name}"));
            match name {
                Some(name) if kind.is_dir() => folders.push(name),
                Some(name) if named.contains(&*name) => {}
                _ => remove(&path, kind.is_dir())?,
            }
        }
    }
    Ok(())
}

fn remove(path: &Path, is_folder: bool) -> Result<()> {
    let gone = if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    gone.with_context(|| format!("cannot remove {}", path.display()))
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
    let mut all = Results::default();
    for shard in &shards {
        let part = Journal::read(&shard.path)?;
        bring_pictures(&shard.path, out, &part.clips)?;
        all.add(part);
    }
    let configuration = Configuration::Build(config.clone());
    let parts = Parts {
        config: &configuration,
        listing: &listing,
        results: all.clips,
        same_video: Vec::new(),
    };
    let mut summary = write(parts, all.stage_seconds, out)?;
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
