//! Which clip and which frame every still was taken from.
//!
//! ```text
//! stills -> hashes, cells -> index
//! clips  -> [worker processes: decode once, hash every frame, settle candidates on pixels] -> journal
//!        -> [best clip, runner-up, leak by provenance] -> located.parquet, summary
//! ```
//!
//! Workers, journal, shards and resuming are those of a build.
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{bail, ensure, Context, Result};
use serde_json::{json, Value};

use super::{
    build,
    inputs::listing_digest,
    job::{Begin, JobKind},
    lines::Lines,
    pool::Pool,
    Shard,
};
use crate::{
    corpus::{self, Listing},
    folder::{self, Claim, OutputFolder},
    progress::Progress,
};

mod frame;
mod index;
mod laying;
mod leak;
mod origin;
mod patch;
mod placement;
mod plane;
mod result;
mod search;
mod still;
mod stills;
mod words;
mod worker;

pub use index::StillIndex;
pub use leak::{ClassLeak, Leak};
pub(super) use result::to_csv;
pub use result::LocateSummary;
pub(super) use worker::{Setup, Worker};

use stills::Stills;
use worker::{Job, Searched};

/// The journal's name.
const JOURNAL: &str = "searched.jsonl";
/// Where a shard keeps what a merge needs of the stills.
const STILLS: &str = "stills.jsonl";
/// Where workers find the stills' cells.
const CELLS: &str = "stills.cells";

/// How to locate: nothing here but stills and corpus changes a byte of the result.
#[derive(Clone, Debug)]
pub struct LocateOptions {
    /// A folder of pictures, or a manifest.
    pub stills: PathBuf,
    /// The corpus folder.
    pub corpus: PathBuf,
    /// The folder to fill.
    pub out: PathBuf,
    /// Worker processes.
    pub workers: usize,
    /// Time that one try of one clip may take.
    pub time_limit: Duration,
    /// Search a part of the clips only, to be merged later.
    pub shard: Option<Shard>,
}

/// What it came to.
#[derive(Clone, Debug)]
pub enum LocateOutcome {
    /// The folder held the finished result.
    AlreadyDone,
    /// A part is done and waits for the others.
    Shard {
        /// Clips of this part.
        clips: usize,
    },
    /// All clips were searched.
    Done(Box<LocateSummary>),
}

/// What a folder's record says.
fn record(stills: &str, listing: &str, shard: Option<Shard>) -> Value {
    let shard = shard.map(|s| s.to_string());
    json!({"locate": {"stills": stills, "clips": listing}, "shard": shard})
}

/// What [`run`] records in a folder before it fills it.
///
/// # Errors
/// When stills or corpus are unusable.
pub fn identity(options: &LocateOptions) -> Result<Value> {
    let listing = corpus::scan(&options.corpus)?;
    let stills = stills::list(&options.stills)?;
    let digest = listing_digest(&options.corpus, &listing);
    Ok(record(&stills.digest(), &digest, options.shard))
}

/// Locates the stills, or searches a shard of the clips for them, continuing where an interrupted run
/// left off.
///
/// # Errors
/// When stills or corpus are unusable, when the folder holds something else or is in use, or when it
/// cannot be written. Bad stills and bad clips are rows, not errors.
pub fn run(options: &LocateOptions) -> Result<LocateOutcome> {
    let start = Instant::now();
    let listing = corpus::scan(&options.corpus)?;
    let listed = stills::list(&options.stills)?;
    let digest = listing_digest(&options.corpus, &listing);
    let record = record(&listed.digest(), &digest, options.shard);
    let out = match folder::claim(&options.out, &record)? {
        Claim::Done => return Ok(LocateOutcome::AlreadyDone),
        Claim::Fresh(out) | Claim::Resume(out) => out,
    };
    let stills = Stills::read(&listed, &out)?;
    let mut searched: BTreeMap<String, Searched> = BTreeMap::new();
    search_all(options, &listing, &stills, &out, &mut searched)?;
    if options.shard.is_some() {
        out.retain(|name| name != Path::new(CELLS))?;
        out.finish()?;
        return Ok(LocateOutcome::Shard { clips: searched.len() });
    }
    let mut summary = finish(&stills, &searched, &record, &out)?;
    summary.seconds = start.elapsed().as_secs_f64();
    out.write_json("summary.json", &summary)?;
    out.retain(|name| ![CELLS, STILLS, JOURNAL].map(Path::new).contains(&name))?;
    out.finish()?;
    Ok(LocateOutcome::Done(Box::new(summary)))
}

/// Searches the clips that the journal lacks.
fn search_all(
    options: &LocateOptions,
    listing: &Listing,
    stills: &Stills,
    out: &OutputFolder,
    searched: &mut BTreeMap<String, Searched>,
) -> Result<()> {
    let mut journal = Lines::open(out, JOURNAL, |s: Searched| {
        searched.insert(s.clip_id.clone(), s);
    })?;
    let own: Vec<Job> = build::share(listing, options.shard)
        .filter(|clip| clip.refused.is_none())
        .map(Job::new)
        .collect();
    let todo: Vec<Job> =
        own.iter().filter(|job| !searched.contains_key(&job.clip_id)).cloned().collect();
    let progress = Progress::new("locate", "clips", own.len() as u64);
    progress.skip((own.len() - todo.len()) as u64);
    let pool = Pool {
        setup: Begin { kind: JobKind::Locate, setup: Setup::new(options, stills)? },
        workers: options.workers.clamp(1, todo.len().max(1)),
        time_limit: options.time_limit,
    };
    pool.run(&todo, &progress, |result| {
        journal.append(&result)?;
        searched.insert(result.clip_id.clone(), result);
        Ok(())
    })?;
    progress.finish();
    Ok(())
}

/// Writes the rows and the summary.
fn finish(
    stills: &Stills,
    searched: &BTreeMap<String, Searched>,
    record: &Value,
    out: &OutputFolder,
) -> Result<LocateSummary> {
    let rows = result::rows(&stills.all, searched);
    let meta = crate::manifest::Meta::from([(
        "locate".to_owned(),
        serde_json::to_string(&record["locate"])?,
    )]);
    crate::manifest::write_located(&out.target("located.parquet")?, &rows, &meta)?;
    out.write("located.csv", &result::to_csv(&rows)?)?;
    let mut summary = LocateSummary::of(&rows, searched);
    summary.leak = leak::of(&rows);
    out.write("leak.csv", &leak::to_csv(&summary.leak)?)?;
    Ok(summary)
}

/// Whether a folder is a shard of this command.
pub fn is_shard(folder: &Path) -> bool {
    let record = folder::configuration(folder).ok().flatten();
    record.is_some_and(|r| r.get("locate").is_some() && r["shard"].is_string())
}

/// Merges the folders of all shards into `out`: what one run writes.
///
/// # Errors
/// When a folder is no finished shard, or shards are missing, doubled or of different stills or clips.
pub fn merge_shards(folders: &[PathBuf], out: &Path) -> Result<LocateOutcome> {
    let start = Instant::now();
    let mut records = Vec::new();
    for folder in folders {
        let record = folder::configuration(folder)?.filter(|_| is_shard(folder));
        let record = record.with_context(|| format!("{} is no shard", folder.display()))?;
        let finished = folder::state(folder, &record)? == folder::FolderState::Finished;
        ensure!(finished, "the shard in {} is not finished; run it again", folder.display());
        let shard: Shard = record["shard"].as_str().unwrap_or_default().parse()?;
        records.push((shard, record["locate"].clone()));
    }
    let (first, locate) = records.first().cloned().context("no shard folder is named")?;
    for (k, (shard, other)) in records.iter().enumerate() {
        let same = *other == locate && shard.count == first.count;
        ensure!(same, "{} is a shard of another run", folders[k].display());
    }
    let mut found: Vec<usize> = records.iter().map(|(shard, _)| shard.index).collect();
    found.sort_unstable();
    if let Some(missing) = (1..=first.count).find(|i| !found.contains(i)) {
        bail!("shard {missing}/{} is missing", first.count);
    }
    ensure!(found.len() == first.count, "a shard is named twice");
    let record = json!({"locate": locate, "shard": null});
    let out = match folder::claim(out, &record)? {
        Claim::Done => return Ok(LocateOutcome::AlreadyDone),
        Claim::Fresh(out) | Claim::Resume(out) => out,
    };
    let stills = Stills { all: stills::kept(&folders[0].join(STILLS))? };
    let mut searched: BTreeMap<String, Searched> = BTreeMap::new();
    for folder in folders {
        Lines::read(&folder.join(JOURNAL), |s: Searched| {
            searched.insert(s.clip_id.clone(), s);
        })?;
    }
    let mut summary = finish(&stills, &searched, &record, &out)?;
    summary.seconds = start.elapsed().as_secs_f64();
    out.write_json("summary.json", &summary)?;
    out.finish()?;
    Ok(LocateOutcome::Done(Box::new(summary)))
}
