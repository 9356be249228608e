//! `ncaers paper --caer DIR --caer-s DIR --out DIR`
use std::path::PathBuf;

use anyhow::{bail, Result};
use serde_json::json;

use super::{
    report::note_problems,
    slurm::{self, BatchWork, SlurmArgs},
    Done, Usage,
};
use crate::{
    experiment::{
        executor::{slurm::folder_beside, Task},
        paper::{Paper, Study, Wanted},
    },
    split::holdout::ValShare,
};

/// Build both data sets, train every row of the paper's tables, and write one report
///
/// What is finished is recognised, so the same command goes on where it was stopped. What cannot be
/// made (a data set or weights that are not there) is a cell with its reason.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: ncaers paper --caer /data/CAER --caer-s /data/CAER-S --weights weights --out data/paper --dry-run"
)]
pub struct Args {
    /// CAER's clips, from which NCAER-S is built
    #[arg(long, value_name = "DIR")]
    caer: Option<PathBuf>,
    /// CAER-S's stills
    #[arg(long, value_name = "DIR")]
    caer_s: Option<PathBuf>,
    /// Folder of published weights (`ncaers model weights` lists them)
    #[arg(long, value_name = "DIR")]
    weights: Option<PathBuf>,
    /// Pictures of faces in the wild, for Figure 11
    #[arg(long, value_name = "DIR")]
    wild: Option<PathBuf>,
    /// Folder of all output; the report is in its subfolder report
    #[arg(long)]
    out: PathBuf,
    /// Folder of the grids ncaer-s.toml and caer-s.toml
    #[arg(long, value_name = "DIR", default_value = "experiments")]
    grids: PathBuf,
    /// Seeds of every row [default: those of the grids]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    seeds: Vec<u64>,
    /// Seed of the data sets
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Face detector: seeta or mmod
    #[arg(long, default_value = "seeta", value_name = "NAME")]
    detector: String,
    /// Percent of CAER-S's train that become its validation part
    #[arg(long, default_value = "10", value_name = "PERCENT")]
    val_share: ValShare,
    /// Runs at a time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// Only print what would run, what cannot and why, with the time and disk space it needs
    #[arg(long)]
    dry_run: bool,
    /// Train nothing: report what is finished
    #[arg(long)]
    report_only: bool,
    /// Change a key of every run, such as train.epochs=10
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    slurm: SlurmArgs,
}

pub(super) fn run(args: &Args) -> Result<Done> {
    if args.caer.is_none() && args.caer_s.is_none() {
        return Err(Usage("name a data set: --caer, --caer-s or both".into()).into());
    }
    let paper = Paper::new(Wanted {
        caer: args.caer.clone(),
        caer_s: args.caer_s.clone(),
        weights: args.weights.clone(),
        wild: args.wild.clone(),
        out: args.out.clone(),
        grids: args.grids.clone(),
        seeds: Some(args.seeds.clone()).filter(|seeds| !seeds.is_empty()),
        seed: args.seed,
        detector: args.detector.clone(),
        val_share: args.val_share,
        settings: args.set.clone(),
    })?;
    if args.dry_run {
        let listing = paper.listing(usize::from(args.jobs))?;
        return Ok(Done { text: listing.text, json: listing.json, exit: 0 });
    }
    if args.slurm.is_asked()? {
        return run_on_cluster(args, &paper);
    }
    let study = match args.report_only {
        true => paper.report_only()?,
        false => paper.run(usize::from(args.jobs))?,
    };
    done(&study)
}

fn done(study: &Study) -> Result<Done> {
    note_problems(&study.summary);
    let page = study.report.join("index.html");
    if !study.failed.is_empty() {
        let why = study.failed.iter().map(|(role, why)| format!("{}: {why}", role.name()));
        bail!(
            "{}; the report {} holds the rest",
            why.collect::<Vec<_>>().join("; "),
            page.display()
        );
    }
    let text = format!("report on {} runs: {}", study.summary.runs, page.display());
    let json = json!({
        "runs": study.summary.runs, "trained_now": study.trained_now,
        "problems": study.summary.problems, "page": page,
    });
    Ok(Done { text, json, exit: 0 })
}

/// The data here, the rows of both data sets as one array, the report behind them.
fn run_on_cluster(args: &Args, paper: &Paper) -> Result<Done> {
    let resources = args.slurm.resources(&paper.slurm())?;
    let folder = folder_beside(&args.out)?;
    if !args.slurm.only_asks() {
        let failed = paper.prepare()?;
        if let Some((role, why)) = failed.first() {
            bail!("{}: {why}", role.name());
        }
    }
    let mut words = slurm::own_words("paper", &["report-only", "dry-run"]);
    words.push("--report-only".into());
    let last = Task { name: "report".into(), commands: vec![words], log: folder.join("logs") };
    let report = args.out.join("report");
    let work = BatchWork {
        purpose: "paper",
        folder,
        record: json!({"folder": "tasks of the paper"}),
        tasks: paper.tasks(resources.cpus)?,
        last,
        is_done: &|task| paper.is_done(&task.name),
        result: &report,
    };
    slurm::run(&args.slurm, resources, work)
}
