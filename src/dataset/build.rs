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
use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{bail, ensure, Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};

use crate::{
    corpus::{self, Listing},
    face::{self, boxes::Boxes, Choice},
    folder::{self, Claim, OutputFolder},
    progress::Progress,
    record::{Emotion, Split},
    split::{Balance, OnLeak, Shares},
};

use super::{
    card, clip,
    inputs::{self, listing_digest, Clips},
    journal, merge, pool,
    rules::Configuration,
};

/// Everything that the bytes of a data set depend on, beside the clips.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Seed of every draw.
    pub seed: u64,
    /// Length of a segment in seconds.
    pub segment_seconds: f64,
    /// Detector as asked for: `seeta`, `mmod`, `none`.
    pub detector: String,
    /// The detector's name with version and settings.
    pub detector_settings: String,
    /// Which of several faces a sample gets.
    #[serde(default)]
    pub choose: Choice,
    /// What is added on every side of the chosen box, as a share of its size.
    #[serde(default)]
    pub margin: f64,
    /// Whether samples without a face are left out.
    pub require_face: bool,
    /// Balance of classes.
    pub balance: Balance,
    /// Format of the saved frames.
    pub image_format: ImageFormat,
    /// JPEG quality of the saved frames, chroma not subsampled.
    pub jpeg_quality: u8,
    /// Shares of the splits for corpora without one.
    pub split: Shares,
    /// What happens to videos in two splits.
    pub on_leak: OnLeak,
    /// Whether clips are decoded only as far as frames are needed.
    pub fast: bool,
    /// Whether frames that the decoder calls damaged are kept as samples.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_damaged: bool,
}

/// Format of the saved frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageFormat {
    /// JPEG, chroma not subsampled.
    Jpeg,
    /// PNG, lossless.
    Png,
}

impl std::str::FromStr for ImageFormat {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "jpeg" => Ok(ImageFormat::Jpeg),
            "png" => Ok(ImageFormat::Png),
            _ => bail!("image format `{text}` is neither jpeg nor png"),
        }
    }
}

impl Config {
    /// The contract's defaults.
    ///
    /// # Errors
    /// When the detector is unknown or cannot start.
    pub fn new(seed: u64, detector: &face::Request) -> Result<Self> {
        Ok(Config {
            seed,
            segment_seconds: 2.0,
            detector: detector.detector.clone(),
            detector_settings: face::full_name(detector)?,
            choose: Choice::Highest,
            margin: 0.0,
            require_face: false,
            balance: Balance::default(),
            image_format: ImageFormat::Jpeg,
            jpeg_quality: 95,
            split: Shares([70, 10, 20]),
            on_leak: OnLeak::RemoveEval,
            fast: false,
            keep_damaged: false,
        })
    }

    /// Refuses values that no build can honour.
    ///
    /// # Errors
    /// Naming the value.
    pub fn check(&self) -> Result<()> {
        let seconds = self.segment_seconds;
        ensure!(seconds.is_finite() && seconds > 0.0, "segment length {seconds} s is not above 0");
        ensure!(
            !(self.require_face && self.detector == face::NONE),
            "--require-face needs a detector, and --detector is none"
        );
        ensure!(
            (0.0..=4.0).contains(&self.margin),
            "--margin {} is not between 0 and 4",
            self.margin
        );
        Ok(())
    }
}

/// A part of the clips: every `count`-th, starting with the `index`-th, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Which part, 1..=count.
    pub index: usize,
    /// How many parts.
    pub count: usize,
}

impl std::str::FromStr for Shard {
    type Err = anyhow::Error;

    /// `2/7`.
    fn from_str(text: &str) -> Result<Self> {
        let parts =
            text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        let (index, count) =
            parts.with_context(|| format!("shard `{text}` is not of the form 2/7"))?;
        ensure!(index >= 1 && index <= count, "shard `{text}`: the first number is 1 to {count}");
        Ok(Shard { index, count })
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

/// How to build: nothing here changes a byte of the result.
#[derive(Clone, Debug)]
pub struct Options {
    /// The clips.
    pub clips: Clips,
    /// The folder to fill.
    pub out: PathBuf,
    /// The detector that [`Config`] names, with what it needs.
    pub detector: face::Request,
    /// Worker processes.
    pub workers: usize,
    /// Processor time, or time of waiting, that a clip may take without a further frame or byte.
    pub time_limit: Duration,
    /// Build a part only, to be merged later.
    pub shard: Option<Shard>,
}

/// What a build came to.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The folder held the finished result of the same configuration.
    AlreadyDone,
    /// A part is done and waits for the others.
    Shard {
        /// Clips of this part.
        clips: usize,
    },
    /// The data set is complete.
    Done(Box<Summary>),
}

/// The counts of a finished data set.
#[derive(Clone, Debug, Default, Serialize, PartialEq)]
pub struct Summary {
    /// Clips found.
    pub clips: usize,
    /// Clips that give at least one sample.
    pub clips_used: usize,
    /// Samples kept, by split and class.
    pub samples: BTreeMap<String, BTreeMap<String, usize>>,
    /// Things left out, by kind and reason code.
    pub left_out: BTreeMap<String, usize>,
    /// Seconds in all workers together, by stage; waiting for the machine included.
    pub stage_seconds: BTreeMap<String, f64>,
    /// Seconds from start to end of this run.
    pub seconds: f64,
}

impl Summary {
    /// Samples kept in total.
    pub fn total(&self) -> usize {
        self.samples.values().flat_map(BTreeMap::values).sum()
    }

    /// Refuses a data set without a sample; the tables in `out` are there and tell why.
    ///
    /// # Errors
    /// Naming the commonest reasons.
    pub(super) fn refuse_empty(&self, out: &OutputFolder) -> Result<()> {
        let mut reasons: Vec<_> = self.left_out.iter().collect();
        reasons.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let reasons: Vec<_> =
            reasons.iter().take(3).map(|(reason, count)| format!("{reason} {count}")).collect();
        ensure!(
            self.total() > 0,
            "no sample is left of {} clips ({}); {} tells of each",
            self.clips,
            reasons.join(", "),
            out.path().join("ledger.parquet").display()
        );
        Ok(())
    }

    /// Samples per class and split, as a Markdown table.
    pub fn class_table(&self) -> String {
        let count = |split: Split, class: &str| {
            self.samples.get(split.name()).and_then(|s| s.get(class)).copied().unwrap_or(0)
        };
        let mut text =
            String::from("| class | train | val | test | total |\n|---|---:|---:|---:|---:|\n");
        let mut row = |name: &str, n: [usize; 3]| {
            let total: usize = n.iter().sum();
            text += &format!("| {name} | {} | {} | {} | {total} |\n", n[0], n[1], n[2]);
        };
        for emotion in Emotion::ALL {
            row(emotion.name(), Split::ALL.map(|split| count(split, emotion.name())));
        }
        row("total", Split::ALL.map(|s| Emotion::ALL.iter().map(|e| count(s, e.name())).sum()));
        text
    }
}

/// Where a shard keeps the list of all clips, so that merging needs no corpus.
pub(super) const LISTING: &str = "listing.json";

/// What a folder's configuration record says; compared before anything is written.
fn record(config: &Config, listing_digest: &str, corpus: &str, shard: Option<Shard>) -> Value {
    let shard = shard.map(|s| s.to_string());
    json!({"build": config, "corpus": corpus, "clips": listing_digest, "shard": shard})
}

/// What [`run`] records in a folder before it fills it: two builds with the same are the same.
///
/// # Errors
/// When corpus or configuration are unusable.
pub fn identity(config: &Config, options: &Options) -> Result<Value> {
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
pub fn plan(config: &Config, options: &Options) -> Result<(String, Value)> {
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
            folder::State::Empty => "to be made",
            folder::State::Interrupted => "to be gone on with",
            folder::State::Finished => "finished already",
        },
        toml::to_string(config).context("cannot write the configuration as TOML")?
    );
    let json = json!({"corpus": listing.corpus, "clips": listing.clips.len(), "refused": refused,
        "strays": strays, "own": own, "state": format!("{state:?}"), "configuration": config});
    Ok((text, json))
}

/// The clips of a shard, or all.
fn share(listing: &Listing, shard: Option<Shard>) -> impl Iterator<Item = &corpus::Source> {
    let (first, step) = shard.map_or((0, 1), |s| (s.index - 1, s.count));
    listing.clips.iter().skip(first).step_by(step)
}

/// Builds the data set, or a shard of it, continuing where an interrupted build left off.
///
/// # Errors
/// When the corpus or the configuration is unusable, when the folder holds something else or is
/// in use, or when it cannot be written. Bad clips are rows, not errors.
pub fn run(config: &Config, options: &Options) -> Result<Outcome> {
    config.check()?;
    let start = Instant::now();
    let listing = options.clips.listing()?;
    let digest = listing_digest(&options.clips.corpus, &listing);
    let record = record(config, &digest, &listing.corpus, options.shard);
    inputs::tell(&listing);
    check_boxes(options, &listing)?;
    let out = match folder::claim(&options.out, &record)? {
        Claim::Done => return Ok(Outcome::AlreadyDone),
        Claim::Fresh(out) | Claim::Resume(out) => out,
    };
    if options.shard.is_some() {
        out.write_json(LISTING, &listing)?;
    }
    let mut journal = journal::Journal::open(&out)?;
    decode_all(config, options, &listing, &mut journal)?;
    if options.shard.is_some() {
        out.finish()?;
        return Ok(Outcome::Shard { clips: journal.len() });
    }
    let configuration = Configuration::Build(config.clone());
    let found = journal.take_results();
    let parts = merge::Parts {
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
    Ok(Outcome::Done(Box::new(summary)))
}

/// Looks whether the list of boxes, where there is one, speaks of the clips.
fn check_boxes(options: &Options, listing: &Listing) -> Result<()> {
    let Some(list) = options.detector.boxes() else { return Ok(()) };
    let boxes = Boxes::read(face::boxes::Format::Ncaers, list)?;
    let shown: Vec<&str> = listing.clips.iter().map(|clip| &*clip.shown).collect();
    inputs::check_boxes(&boxes, &shown, true)
}

/// Decodes what the journal lacks.
fn decode_all(
    config: &Config,
    options: &Options,
    listing: &Listing,
    journal: &mut journal::Journal,
) -> Result<()> {
    let own: Vec<_> = share(listing, options.shard).filter(|c| c.refused.is_none()).collect();
    journal.forget_incomplete(&options.out);
    let todo: Vec<_> = own.iter().copied().filter(|c| !journal.has(&c.clip_id)).collect();
    let progress = Progress::new("build", "clips", own.len() as u64);
    progress.skip((own.len() - todo.len()) as u64);
    let pool = pool::Pool {
        setup: clip::Setup::new(config, options)?,
        workers: options.workers.clamp(1, todo.len().max(1)),
        time_limit: options.time_limit,
    };
    pool.run(&todo, &progress, |line| journal.append(line))?;
    progress.finish();
    Ok(())
}
