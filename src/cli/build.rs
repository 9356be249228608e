//! `ncaers build --corpus DIR --out DIR --seed N`
use std::{fmt::Write as _, path::PathBuf, time::Duration};

use anyhow::Context as _;
use serde_json::json;

use super::{
    face::DetectorArgs,
    shards::{self, ShardArgs, WORK},
    slurm::SlurmArgs,
    worker, Done, Usage,
};
use crate::{
    corpus::{self, Choices},
    dataset::{
        self, withdraw::read_list, BuildOptions, BuildOutcome, BuildSummary, Clips, Config,
        ImageFormat,
    },
    face::{self, mmod::ChannelOrder, Choice},
    progress,
    split::{Balance, OnLeak, Shares},
    table::terminal,
};

/// Headings of `build --help`.
const CLIPS: &str = "Which clips";
const FRAMES: &str = "Frames";
const SPLITS: &str = "Splits and classes";

/// Draw frames from clips, find faces, split, balance: clips to a manifest
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: ncaers build --corpus data/CAER --out manifests/ncaers --seed 1")]
pub struct Args {
    /// The corpus: train, validation and test folders with class folders of clips, or class folders alone
    #[arg(long, required_unless_present = "list")]
    corpus: Option<PathBuf>,
    /// The clips by a list instead: path,label[,split[,group[,start_s,end_s]]], paths below --corpus or the list's folder
    #[arg(long, value_name = "FILE", help_heading = CLIPS)]
    list: Option<PathBuf>,
    /// What the labels of --list mean: a file of lines such as `4 Sad`, `-` for left out
    #[arg(long, value_name = "FILE", requires = "list", help_heading = CLIPS)]
    labels: Option<PathBuf>,
    /// What must not cross splits (show, film, person): a list path,group
    #[arg(long, value_name = "FILE", help_heading = CLIPS)]
    groups: Option<PathBuf>,
    /// The folder to fill with tables, pictures and card
    #[arg(long)]
    out: PathBuf,
    /// Random seed
    #[arg(long)]
    seed: u64,
    /// Length of the parts that give one frame each, in seconds
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS", help_heading = FRAMES)]
    segment_seconds: f64,
    /// Largest class at most R times the smallest: ratio=R, equal or none
    #[arg(long, default_value = "ratio=1.7", help_heading = SPLITS)]
    balance: Balance,
    /// Format of the saved frames: jpeg (quality 95, no chroma subsampling) or png
    #[arg(long, default_value = "jpeg", help_heading = FRAMES)]
    image_format: ImageFormat,
    /// Shares of train, validation and test in percent, for a corpus without a split of its own
    /// [default: 70/10/20]
    #[arg(long, value_name = "SHARES", help_heading = SPLITS)]
    split: Option<Shares>,
    /// What to do with a video found in two splits: remove-eval, remove-train, keep or fail
    #[arg(long, default_value = "remove-eval", value_name = "POLICY", help_heading = SPLITS)]
    on_leak: OnLeak,
    /// Decode no more than the wanted frames need, where that is certain (no grouping by content)
    #[arg(long, help_heading = FRAMES)]
    fast: bool,
    /// Leave out the clips of a list, one clip_id or path per line, as `withdraw` would
    #[arg(long, value_name = "LIST", help_heading = CLIPS)]
    without: Option<PathBuf>,
    /// Keep frames that the decoder calls damaged, instead of drawing others
    #[arg(long, help_heading = FRAMES)]
    keep_damaged: bool,
    /// Processes that decode at once; the number of cores when absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024), help_heading = WORK)]
    workers: Option<u32>,
    /// Seconds without a further frame or byte, at work or waiting, after which a clip is retried, then given up
    #[arg(long, default_value_t = 120.0, value_name = "SECONDS", help_heading = WORK)]
    time_limit: f64,
    /// Print what would be done, and stop
    #[arg(long, help_heading = WORK)]
    dry_run: bool,
    #[command(flatten)]
    shards: ShardArgs,
    // Groups come last: their headings would go on over what follows.
    #[command(flatten)]
    face: FaceArgs,
    #[command(flatten)]
    slurm: SlurmArgs,
}

/// Exit status of a process that Ctrl-C ended, as shells have it.
const INTERRUPTED: i32 = 130;

/// How faces are found and which one is taken
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Faces")]
struct FaceArgs {
    #[command(flatten)]
    detector: DetectorArgs,
    /// Face settings of a published program
    #[arg(long, value_enum)]
    preset: Option<Preset>,
    /// Which of several faces is the sample's: highest (score), largest or central
    #[arg(long, value_name = "WHICH", default_value = "highest")]
    choose: Choice,
    /// Widen the chosen box by this share of its size on every side
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    margin: f64,
    /// Leave out frames in which no face is found
    #[arg(long)]
    require_face: bool,
}

/// Settings that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Preset {
    /// The paper's released code: mmod on BGR, upsample 1 (then `pack --jpeg-round-trip 95`)
    GlamorCompat,
}

impl FaceArgs {
    /// The detector with its settings; what is said alone wins over the preset.
    fn request(&self) -> Result<face::DetectorRequest, Usage> {
        match self.preset {
            Some(Preset::GlamorCompat) => self.detector.request("mmod", ChannelOrder::Bgr),
            None => self.detector.request("seeta", ChannelOrder::Rgb),
        }
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<Done> {
    let (config, options) = choices(args)?;
    refuse_unused_split(args)?;
    let on_cluster = args.slurm.is_asked()?;
    args.shards.check(on_cluster)?;
    if args.dry_run {
        let (text, json) = dataset::plan(&config, &options)?;
        return Ok(Done { text, json, exit: 0 });
    }
    if on_cluster {
        let identity = dataset::identity(&config, &options)?;
        return shards::run("build", &args.slurm, args.shards, &identity, &args.out);
    }
    worker::ready(options.workers, Some(&options.detector))?;
    ctrlc::set_handler(|| {
        progress::error("stopped; the same command goes on where it was");
        std::process::exit(INTERRUPTED);
    })
    .context("cannot watch Ctrl-C")?;
    Ok(done(dataset::run(&config, &options)?, &args.out))
}

fn choices(args: &Args) -> anyhow::Result<(Config, BuildOptions)> {
    let usage = |error: anyhow::Error| Usage(format!("{error:#}"));
    let detector = args.face.request()?;
    let mut config = Config::new(args.seed, &detector).map_err(usage)?;
    config.choose = args.face.choose;
    config.margin = args.face.margin;
    config.segment_seconds = args.segment_seconds;
    config.require_face = args.face.require_face;
    config.balance = args.balance;
    config.image_format = args.image_format;
    config.split = args.split.unwrap_or(config.split);
    config.on_leak = args.on_leak;
    config.fast = args.fast;
    config.keep_damaged = args.keep_damaged;
    config.check().map_err(usage)?;
    let time_limit = Duration::try_from_secs_f64(args.time_limit)
        .ok()
        .filter(|limit| !limit.is_zero())
        .ok_or_else(|| Usage(format!("--time-limit {} is not above 0", args.time_limit)))?;
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let workers = args.workers.map_or_else(cores, |n| n as usize);
    let (clips, out) = (clips(args)?, args.out.clone());
    Ok((
        config,
        BuildOptions { clips, out, detector, workers, time_limit, shard: args.shards.shard },
    ))
}

/// Where the clips are; a list's own folder is the corpus unless another is named.
fn clips(args: &Args) -> anyhow::Result<Clips> {
    let beside = |list: &PathBuf| corpus::folder_of(list);
    let corpus = args.corpus.clone().or_else(|| args.list.as_ref().map(beside));
    let labels = args.labels.as_deref().map(corpus::labels::read).transpose()?.unwrap_or_default();
    Ok(Clips {
        corpus: corpus.unwrap_or_default(),
        list: args.list.clone(),
        groups: args.groups.clone(),
        choices: Choices { labels },
        without: args.without.as_deref().map(read_list).transpose()?.unwrap_or_default(),
    })
}

/// Shares that nothing would come of are a mistake of whoever names them.
fn refuse_unused_split(args: &Args) -> anyhow::Result<()> {
    let clips = clips(args)?;
    if args.split.is_some() && clips.listing()?.has_split {
        let named = clips.list.as_ref().unwrap_or(&clips.corpus).display();
        let words = format!("--split has no use: {named} has a split of its own");
        return Err(Usage(words).into());
    }
    Ok(())
}

/// What a build or a merge says at its end.
pub(super) fn done(outcome: BuildOutcome, out: &std::path::Path) -> Done {
    match outcome {
        BuildOutcome::AlreadyDone => Done {
            text: format!("already done: {}", out.display()),
            json: json!({"already_done": true}),
            exit: 0,
        },
        BuildOutcome::Shard { clips } => Done {
            text: format!(
                "{clips} clips of this shard are in {}; merge it with the others",
                out.display()
            ),
            json: json!({"shard_clips": clips}),
            exit: 0,
        },
        BuildOutcome::Done(summary) => {
            Done { text: words(&summary, out), json: json!(summary), exit: 0 }
        }
    }
}

fn words(summary: &BuildSummary, out: &std::path::Path) -> String {
    let mut text = format!(
        "{} samples from {} of {} clips in {} ({:.1} s)\n\n",
        summary.total(),
        summary.clips_used,
        summary.clips,
        out.display(),
        summary.seconds
    );
    text.push_str(&terminal::of_markdown(&summary.class_table(), terminal::WIDTH));
    if !summary.left_out.is_empty() {
        text.push_str("\nleft out (each a row of ledger.parquet):\n");
    }
    for (reason, count) in &summary.left_out {
        let _ = writeln!(text, "{count:8}  {reason}");
    }
    let stages: Vec<_> =
        summary.stage_seconds.iter().map(|(stage, s)| format!("{stage} {s:.1} s")).collect();
    let _ = writeln!(text, "\nin all workers together: {}", stages.join(", "));
    text
}
