//! From a folder of clips to a manifest.
//!
//! ```text
//! corpus -> clips -> [worker processes: decode, draw, detect, encode] -> journal
//!        -> [merge: group, split, leaks, balance] -> Parquet + pictures + card
//! ```
//!
//! Workers are processes of the same binary, so that a crash or a hang in a C decoder costs one
//! try of one clip. Every finished clip is a line in a journal, so that a killed build continues.
//! What is written depends on clips, seed and configuration alone, never on workers, shards, order
//! or interruptions.
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{json, Value};

use crate::{
    corpus::{self, Listing},
    face::{self, boxes::Boxes},
    folder::{self, Claim},
    progress::Progress,
};

use super::{
    card, clip,
    inputs::{self, listing_digest},
    job::{Begin, JobKind},
    journal, merge, pool,
    rows::Parts,
    rules::Configuration,
    settings::{BuildOptions, BuildOutcome, Config, Shard, LISTING},
};

/// What a folder's configuration record says; compared before anything is written.
fn record(config: &Config, listing_digest: &str, corpus: &str, shard: Option<Shard>) -> Value {
    let shard = shard.map(|s| s.to_string());
    json!({"build": config, "corpus": corpus, "clips": listing_digest, "shard": shard})
}

/// What [`run`] records in a folder before it fills it: two builds with the same are the same.
///
/// # Errors
/// When corpus or configuration are unusable.
pub fn identity(config: &Config, options: &BuildOptions) -> Result<Value> {
    config.check()?;
    let listing = options.clips.listing()?;
    let digest = listing_digest(&options.clips.corpus, &listing);
    Ok(record(config, &digest, &listing.corpus, options.shard))
}

/// The same for one shard of the build.
pub fn shard_identity(identity: &Value, shard: Shard) -> Value {
    let mut identity = identity.clone();
    identity["shard"] = json!(shard.to_string());
    identity
}

/// What [`run`] would do, as text and JSON, without writing anything.
///
/// # Errors
/// As [`run`] before its first write.
pub fn plan(config: &Config, options: &BuildOptions) -> Result<(String, Value)> {
    config.check()?;
    let listing = options.clips.listing()?;
    let record = record(
        config,
        &listing_digest(&options.clips.corpus, &listing),
        &listing.corpus,
        options.shard,
    );
    let state = folder::state(&options.out, &record)?;
    let own = share(&listing, options.shard).count();
    let refused = listing.clips.iter().filter(|c| c.refused.is_some()).count();
    let strays = listing.strays.len();
    let strays_too = match strays {
        0 => String::new(),
        n => format!("; {n} files are no clips"),
    };
    let text = format!(
        "{} corpus with {} clips ({refused} refused by name or kind), {own} of them in this \
         build{strays_too}\noutput folder {}: {}\n{}",
        listing.corpus,
        listing.clips.len(),
        options.out.display(),
        match state {
            folder::FolderState::Empty => "to be made",
            folder::FolderState::Interrupted => "to be gone on with",
            folder::FolderState::Finished => "finished already",
        },
        toml::to_string(config).context("cannot write the configuration as TOML")?
    );
    let json = json!({"corpus": listing.corpus, "clips": listing.clips.len(), "refused": refused,
        "strays": strays, "own": own, "state": format!("{state:?}"), "configuration": config});
    Ok((text, json))
}

/// The clips of a shard, or all.
pub(super) fn share(
    listing: &Listing,
    shard: Option<Shard>,
) -> impl Iterator<Item = &corpus::ClipSource> {
    let (first, step) = shard.map_or((0, 1), |s| (s.index - 1, s.count));
    listing.clips.iter().skip(first).step_by(step)
}

/// Builds the data set, or a shard of it, continuing where an interrupted build left off.
///
/// # Errors
/// When the corpus or the configuration is unusable, when the folder holds something else or is
/// in use, or when it cannot be written. Bad clips are rows, not errors.
pub fn run(config: &Config, options: &BuildOptions) -> Result<BuildOutcome> {
    config.check()?;
    let start = Instant::now();
    let listing = options.clips.listing()?;
    let digest = listing_digest(&options.clips.corpus, &listing);
    let record = record(config, &digest, &listing.corpus, options.shard);
    inputs::tell(&listing);
    check_boxes(options, &listing)?;
    let out = match folder::claim(&options.out, &record)? {
        Claim::Done => return Ok(BuildOutcome::AlreadyDone),
        Claim::Fresh(out) | Claim::Resume(out) => out,
    };
    if options.shard.is_some() {
        out.write_json(LISTING, &listing)?;
    }
    let mut journal = journal::Journal::open(&out)?;
    decode_all(config, options, &listing, &mut journal)?;
    if options.shard.is_some() {
        out.finish()?;
        return Ok(BuildOutcome::Shard { clips: journal.len() });
    }
    let configuration = Configuration::Build(config.clone());
    let found = journal.take_results();
    let parts = Parts {
        config: &configuration,
        listing: &listing,
        results: found.clips,
        same_video: Vec::new(),
    };
    let mut summary = merge::write(parts, found.stage_seconds, &out)?;
    summary.refuse_empty(&out)?;
    summary.seconds = start.elapsed().as_secs_f64();
    card::write_build_record(&out, config, options, &summary)?;
    journal.remove(&out)?;
    out.finish()?;
    Ok(BuildOutcome::Done(Box::new(summary)))
}

/// Looks whether the list of boxes, where there is one, speaks of the clips.
fn check_boxes(options: &BuildOptions, listing: &Listing) -> Result<()> {
    let Some(list) = options.detector.boxes() else { return Ok(()) };
    let boxes = Boxes::read(face::boxes::Format::Ncaers, list)?;
    let shown: Vec<&str> = listing.clips.iter().map(|clip| &*clip.shown).collect();
    inputs::check_boxes(&boxes, &shown, true)
}

/// Decodes what the journal lacks.
fn decode_all(
    config: &Config,
    options: &BuildOptions,
    listing: &Listing,
    journal: &mut journal::Journal,
) -> Result<()> {
    let own: Vec<_> = share(listing, options.shard).filter(|c| c.refused.is_none()).collect();
    journal.forget_incomplete(&options.out);
    let job = |c: &corpus::ClipSource| clip::Job {
        clip_id: c.clip_id.clone(),
        path: c.path.clone(),
        span: c.span,
    };
    let todo: Vec<_> = own.iter().filter(|c| !journal.has(&c.clip_id)).map(|c| job(c)).collect();
    let progress = Progress::new("build", "clips", own.len() as u64);
    progress.skip((own.len() - todo.len()) as u64);
    let pool = pool::Pool {
        setup: Begin { kind: JobKind::Build, setup: clip::Setup::new(config, options)? },
        workers: options.workers.clamp(1, todo.len().max(1)),
        time_limit: options.time_limit,
    };
    pool.run(&todo, &progress, |line| journal.append(line))?;
    progress.finish();
    Ok(())
}
