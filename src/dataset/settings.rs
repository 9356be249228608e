//! What is asked of a build or an import, and what it comes to.
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use anyhow::{ensure, Context, Result};
use serde::{Deserialize, Serialize};

use super::inputs::Clips;
use crate::{
    face::{self, Choice},
    folder::OutputFolder,
    record::{named, Emotion, Split},
    split::{holdout::ValShare, Balance, OnLeak, Shares},
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

named!(ImageFormat, "image format", Jpeg = "jpeg", Png = "png");

impl Config {
    /// The contract's defaults.
    ///
    /// # Errors
    /// When the detector is unknown or cannot start.
    pub fn new(seed: u64, detector: &face::DetectorRequest) -> Result<Self> {
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
pub struct BuildOptions {
    /// The clips.
    pub clips: Clips,
    /// The folder to fill.
    pub out: PathBuf,
    /// The detector that [`Config`] names, with what it needs.
    pub detector: face::DetectorRequest,
    /// Worker processes.
    pub workers: usize,
    /// Processor time, or time of waiting, that a clip may take without a further frame or byte.
    pub time_limit: Duration,
    /// Build a part only, to be merged later.
    pub shard: Option<Shard>,
}

/// What a build came to.
#[derive(Clone, Debug)]
pub enum BuildOutcome {
    /// The folder held the finished result of the same configuration.
    AlreadyDone,
    /// A part is done and waits for the others.
    Shard {
        /// Clips of this part.
        clips: usize,
    },
    /// The data set is complete.
    Done(Box<BuildSummary>),
}

/// The counts of a finished data set.
#[derive(Clone, Debug, Default, Serialize, PartialEq)]
pub struct BuildSummary {
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

impl BuildSummary {
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

/// Everything that the bytes of an imported data set depend on, beside the stills.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImportConfig {
    /// Seed of the split, where the corpus has none.
    pub seed: u64,
    /// Layout of the stills.
    pub layout: String,
    /// Detector's name with settings, or the kind of box files with the digest of their bytes.
    pub detector_settings: String,
    /// Which of several faces a sample gets.
    pub choose: Choice,
    /// What is added on every side of the chosen box, as a share of its size.
    pub margin: f64,
    /// Whether stills without a face are left out.
    pub require_face: bool,
    /// Balance of classes.
    pub balance: Balance,
    /// Shares of the splits for corpora without one.
    pub split: Shares,
    /// What happens to pictures in two splits.
    pub on_leak: OnLeak,
    /// Share of training that becomes validation, in percent; `None` where the stills come with a
    /// validation part or without any split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_share: Option<ValShare>,
}

impl ImportConfig {
    /// Stills as they are, by name of their layout: no faces, nothing cut for balance.
    pub fn new(seed: u64, layout: &str) -> Self {
        ImportConfig {
            seed,
            layout: layout.to_owned(),
            detector_settings: face::NONE.to_owned(),
            choose: Choice::Highest,
            margin: 0.0,
            require_face: false,
            balance: Balance::None,
            split: Shares::DEFAULT,
            on_leak: OnLeak::RemoveEval,
            val_share: None,
        }
    }
}

/// Where a shard keeps the list of all clips, so that merging needs no corpus.
pub(super) const LISTING: &str = "listing.json";

/// The folder of pictures inside a build's folder.
pub(super) const IMAGES: &str = "images";
