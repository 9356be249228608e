//! A recipe and one's own copy of the clips to the same manifest and pictures.
//!
//! ```text
//! recipe + corpus -> a file for every clip: by digest, by path, by content
//!                 -> [worker processes: decode, compare, save] -> journal -> tables + pictures
//! ```
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    job::{Begin, JobKind},
    lines::Lines,
    pool::Pool,
    recipe,
};
use crate::{
    digest,
    folder::{self, Claim, OutputFolder},
    manifest::Recipe,
    progress::Progress,
};

mod assemble;
mod files;
mod resolved;
mod worker;

pub(super) use worker::{Job, Rebuilt, Setup, Worker};

use assemble::assemble;
use files::resolve;
use resolved::Resolved;

/// What the ledger says of samples that are there but not byte for byte.
pub const REMARKS: [&str; 3] = ["same_pixels", "other_pixels", "substitute"];

/// What it says of samples and clips that are not there.
pub const MISSING: &str = "missing_clip";

/// The journal's name.
const JOURNAL: &str = "rebuilt.jsonl";
/// What came of it, for a second look.
const SUMMARY: &str = "rebuild.json";

/// How to rebuild.
#[derive(Clone, Debug)]
pub struct RebuildOptions {
    /// The recipe, Parquet or text.
    pub recipe: PathBuf,
    /// One's own copy of the clips.
    pub corpus: PathBuf,
    /// The folder to fill.
    pub out: PathBuf,
    /// Whether frames of other files with the same content are taken, and other pixels let pass.
    pub allow_substitutes: bool,
    /// Whether samples without a clip are let pass.
    pub allow_missing: bool,
    /// Worker processes.
    pub workers: usize,
    /// Time that one try of one clip may take.
    pub time_limit: Duration,
}

/// How the samples of a recipe ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RebuildSummary {
    /// Samples of the recipe.
    pub samples: usize,
    /// Pictures with the recipe's bytes.
    pub identical: usize,
    /// Pictures of the recipe's pixels, saved in other bytes.
    pub same_pixels: usize,
    /// Pictures of the same frame of the same file, decoded to other pixels.
    pub other_pixels: usize,
    /// Pictures from another file of the same content.
    pub substitutes: usize,
    /// Samples without a picture.
    pub missing: usize,
    /// Clips of the recipe that are there under another path.
    pub moved_clips: usize,
    /// Other files of the same content, which `--allow-substitutes` would take.
    pub substitutes_refused: usize,
    /// Whether the folder held the result already.
    #[serde(skip)]
    pub already_done: bool,
}

impl RebuildSummary {
    /// Whether nothing is left that `options` does not allow.
    pub fn is_allowed(&self, options: &RebuildOptions) -> bool {
        let others = self.other_pixels + self.substitutes;
        (others == 0 || options.allow_substitutes) && (self.missing == 0 || options.allow_missing)
    }
}

/// Rebuilds the data set, continuing where an interrupted rebuild left off.
///
/// # Errors
/// When the recipe is none or is refused, the corpus is missing, or the folder holds something else
/// or cannot be written. Samples that end otherwise than the recipe says are rows, not errors.
pub fn rebuild(options: &RebuildOptions) -> Result<RebuildSummary> {
    let recipe = recipe::read(&options.recipe)?;
    let found = files::list(&options.corpus)?;
    let record = json!({"rebuild": {
        "recipe": digest::sha256_file(&options.recipe)?,
        "files": found.digest(),
        "allow_substitutes": options.allow_substitutes,
    }});
    let out = match folder::claim(&options.out, &record)? {
        Claim::Done => return done(&options.out),
        Claim::Fresh(out) | Claim::Resume(out) => out,
    };
    let pool = Pool {
        setup: Begin { kind: JobKind::Rebuild, setup: Setup::new(options, &recipe)? },
        workers: options.workers.max(1),
        time_limit: options.time_limit,
    };
    let resolved = resolve(&recipe, &options.corpus, &found, &pool)?;
    let results = decode_all(&recipe, &resolved, options, &pool, &out)?;
    let summary = assemble(recipe, &resolved, &results, &out)?;
    out.write_json(SUMMARY, &summary)?;
    out.retain(|name| name != Path::new(JOURNAL))?;
    out.finish()?;
    Ok(summary)
}

fn done(out: &Path) -> Result<RebuildSummary> {
    let text = std::fs::read(out.join(SUMMARY))?;
    Ok(RebuildSummary { already_done: true, ..serde_json::from_slice(&text)? })
}

/// What came of every clip that has a file, by clip_id.
fn decode_all(
    recipe: &Recipe,
    resolved: &BTreeMap<String, Resolved>,
    options: &RebuildOptions,
    pool: &Pool<Begin<Setup>>,
    out: &OutputFolder,
) -> Result<BTreeMap<String, Rebuilt>> {
    let jobs = worker::jobs(recipe, resolved, options.allow_substitutes);
    let mut results: BTreeMap<String, Rebuilt> = BTreeMap::new();
    let mut journal = Lines::open(out, JOURNAL, |r: Rebuilt| {
        results.insert(r.clip_id.clone(), r);
    })?;
    results.retain(|_, r| r.is_complete(&options.out));
    let progress = Progress::new("rebuild", "clips", jobs.len() as u64);
    let todo: Vec<Job> =
        jobs.into_iter().filter(|job| !results.contains_key(&job.clip_id)).collect();
    progress.skip(results.len() as u64);
    pool.run(&todo, &progress, |result| {
        journal.append(&result)?;
        results.insert(result.clip_id.clone(), result);
        Ok(())
    })?;
    progress.finish();
    Ok(results)
}
