//! `ncaers ablation GRID.toml`
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::json;

use super::{
    report::note_problems,
    slurm::{self, BatchWork, SlurmArgs},
    Done,
};
use crate::{
    experiment::{
        ablation::{Ablation, Finished},
        executor::{slurm::folder_beside, Task},
        Grid,
    },
    progress,
};

/// Train a grid of runs, predict and write its report; resumable
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: ncaers ablation experiments/demo.toml --out data/demo/runs --jobs 2"
)]
pub struct Args {
    /// The grid: a base experiment, seeds, and a list of differences
    grid: PathBuf,
    /// Folder of the runs, one folder each [default: runs/NAME of the grid]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Folder of the report [default: reports/NAME of the grid]
    #[arg(long)]
    report: Option<PathBuf>,
    /// Runs at a time; each gets an equal share of the cores unless the grid sets train.threads, and
    /// one of the visible GPUs in turn
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// Only list what would run
    #[arg(long)]
    dry_run: bool,
    /// Change a key of every run, such as data.pack=DIR or train.epochs=10
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Train nothing: report what is finished and name what is missing
    #[arg(long)]
    report_only: bool,
    #[command(flatten)]
    slurm: SlurmArgs,
}

pub(super) fn run(args: &Args) -> Result<Done> {
    let name = args.grid.file_stem().context("the grid has no file name")?;
    let ablation = Ablation {
        grid: Grid::read(&args.grid, &args.set)?,
        out: args.out.clone().unwrap_or_else(|| Path::new("runs").join(name)),
        report: args.report.clone().unwrap_or_else(|| Path::new("reports").join(name)),
    };
    let jobs = usize::from(args.jobs);
    if args.dry_run {
        let listing = ablation.listing(jobs);
        return Ok(Done { text: listing.text, json: listing.json, exit: 0 });
    }
    if args.slurm.is_asked()? {
        return run_on_cluster(args, &ablation);
    }
    let finished = if args.report_only { ablation.report_only()? } else { ablation.run(jobs)? };
    Ok(done(&ablation, &finished))
}

fn done(ablation: &Ablation, finished: &Finished) -> Done {
    note_problems(&finished.report);
    let (out, report) = (ablation.out.display(), ablation.report.display());
    let text = format!("{} runs in {out}, report in {report}", finished.runs);
    let json = json!({"runs": finished.runs, "trained_now": finished.trained_now});
    Done { text, json, exit: 0 }
}

/// A run per task, and the report behind them.
fn run_on_cluster(args: &Args, ablation: &Ablation) -> Result<Done> {
    let resources = args.slurm.resources(&ablation.grid.slurm)?;
    let folder = folder_beside(&ablation.out)?;
    let mut words = slurm::own_words("ablation", &["report-only"]);
    words.push("--report-only".into());
    let last = Task { name: "report".into(), commands: vec![words], log: folder.join("logs") };
    let work = BatchWork {
        purpose: "ablation",
        folder,
        record: json!({"folder": "tasks of a grid"}),
        tasks: ablation.tasks(resources.cpus)?,
        last,
        is_done: &|task| ablation.is_done(&task.name),
        result: &ablation.report,
    };
    let done = slurm::run(&args.slurm, resources, work)?;
    let impossible = ablation.impossible();
    if impossible.is_empty() {
        return Ok(done);
    }
    progress::message(done.text.trim_end());
    let why: Vec<_> = impossible.iter().map(|(run, why)| format!("{run}: {why}")).collect();
    anyhow::bail!(
        "{} of {} runs cannot be made ({})",
        impossible.len(),
        ablation.grid.runs.len(),
        why.join("; ")
    );
}
