//! `ncaers ablation GRID.toml`
use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{bail, Context, Result};
use serde_json::{json, Value};

use super::Done;
use crate::{
    experiment::{
        executor::{Executor, Local, Outcome, Task},
        Grid, GridRun,
    },
    output,
    progress::Progress,
    record::Split,
    runs::{RunFolder, Status},
};

/// Train and predict a grid of runs, resumable, and end in its report
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
    /// Runs at a time; each gets an equal share of the cores unless the grid sets train.threads
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// Only list what would run
    #[arg(long)]
    dry_run: bool,
    /// Change a key of every run, such as data.pack=DIR or train.epochs=10
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Set by the first Ctrl-C: running runs save and end, no other starts.
static STOP: AtomicBool = AtomicBool::new(false);

pub(super) fn run(args: &Args) -> Result<Done> {
    let name = args.grid.file_stem().context("the grid has no file name")?;
    let out = args.out.clone().unwrap_or_else(|| Path::new("runs").join(name));
    let report = args.report.clone().unwrap_or_else(|| Path::new("reports").join(name));
    let runs = Grid::read(&args.grid, &args.set)?.runs;
    if args.dry_run {
        return Ok(listing(&runs, &out));
    }
    let _lock = output::FolderLock::acquire(&out)?;
    let mut tasks = Vec::new();
    for run in runs.iter().filter(|run| !is_complete(&out, run)) {
        tasks.push(task(run, &out, usize::from(args.jobs))?);
    }
    let outcomes = execute(&tasks, usize::from(args.jobs))?;
    write_status(&out, &runs, &tasks, &outcomes)?;
    finish(&out, &report, runs.len(), &tasks, &outcomes)
}

/// Whether a run is trained and has predictions on both splits.
fn is_complete(out: &Path, run: &GridRun) -> bool {
    let folder = RunFolder::new(&out.join(&run.folder));
    let finished = folder.record().is_ok_and(|record| record.status == Status::Finished);
    finished && [Split::Val, Split::Test].iter().all(|s| folder.predictions_path(*s).exists())
}

/// `--dry-run`: every run, where it stands, and the time that finished runs took.
fn listing(runs: &[GridRun], out: &Path) -> Done {
    let record = |run: &GridRun| RunFolder::new(&out.join(&run.folder)).record().ok();
    let seconds: Vec<f64> = runs
        .iter()
        .filter_map(record)
        .filter(|r| r.status == Status::Finished)
        .map(|r| r.seconds)
        .collect();
    let left = runs.iter().filter(|run| !is_complete(out, run)).count();
    let mut text = String::new();
    for run in runs {
        let state = match record(run) {
            _ if is_complete(out, run) => "done",
            Some(_) => "begun",
            None => "to do",
        };
        text += &format!("{state:6} {} (seed {})\n", run.label, run.seed);
    }
    let estimate = (!seconds.is_empty())
        .then(|| left as f64 * seconds.iter().sum::<f64>() / seconds.len() as f64);
    text += &match estimate {
        Some(s) => format!("{left} of {} runs to do, about {s:.0} s of training", runs.len()),
        None => format!("{left} of {} runs to do; no finished run tells the time yet", runs.len()),
    };
    let json = json!({"runs": runs.len(), "to_do": left, "estimated_seconds": estimate});
    Done { text, json, exit: 0 }
}

/// The commands of one run: train (or go on), then predict both splits.
fn task(run: &GridRun, out: &Path, jobs: usize) -> Result<Task> {
    let folder = out.join(&run.folder);
    let file = out.join("grid").join(format!("{}.toml", run.folder));
    let mut experiment = run.experiment.clone();
    if experiment.train.threads == 0 {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        experiment.train.threads = (cores / jobs).max(1) as u32;
    }
    let manifest = experiment.data.manifest.clone().context(
        "no manifest is named; set data.manifest in the grid or with --set data.manifest=DIR",
    )?;
    let pack = experiment.pack()?.to_owned();
    output::write(&file, experiment.to_toml()?.as_bytes())?;
    let words = |words: &[&dyn AsRef<std::ffi::OsStr>]| -> Vec<OsString> {
        words.iter().map(|w| w.as_ref().to_owned()).collect()
    };
    let stage1 = out.join("stage1");
    let train = words(&[&"train", &file, &"--out", &folder, &"--resume"]);
    let mut commands = vec![[train, words(&[&"--stage1-cache", &stage1])].concat()];
    for split in ["val", "test"] {
        let target = words(&[&"predict", &"--run", &folder, &"--manifest", &manifest]);
        commands.push([target, words(&[&"--pack", &pack, &"--split", &split])].concat());
    }
    let log = out.join("grid").join(format!("{}.log", run.folder));
    Ok(Task { name: run.folder.clone(), commands, log })
}

fn execute(tasks: &[Task], jobs: usize) -> Result<Vec<Outcome>> {
    ctrlc::set_handler(|| STOP.store(true, Ordering::SeqCst)).context("cannot watch Ctrl-C")?;
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let progress = Progress::new("grid", "runs", tasks.len() as u64);
    let outcomes = Local { program, jobs, stop: &STOP }.run(tasks, &|task, outcome| {
        progress.note(&match outcome {
            Outcome::Done { seconds } => format!("{}: done in {seconds:.0} s", task.name),
            Outcome::Failed { error } => format!("{}: failed: {error}", task.name),
            Outcome::NotStarted => format!("{}: not started", task.name),
        });
        progress.advance(1);
    });
    progress.finish();
    Ok(outcomes)
}

/// `grid/status.json`: how every run of the grid stands.
fn write_status(out: &Path, runs: &[GridRun], tasks: &[Task], outcomes: &[Outcome]) -> Result<()> {
    let ran: BTreeMap<_, _> = tasks.iter().map(|t| t.name.as_str()).zip(outcomes).collect();
    let rows: Vec<Value> = runs
        .iter()
        .map(|run| {
            let outcome = ran.get(run.folder.as_str());
            let state = outcome.map_or(json!({"state": "done_before"}), |o| json!(o));
            json!({"run": run.folder, "label": run.label, "seed": run.seed, "outcome": state})
        })
        .collect();
    output::write_json(&out.join("grid").join("status.json"), &rows)
}

/// Renders the report of whatever is there and sums up.
fn finish(
    out: &Path,
    report: &Path,
    total: usize,
    tasks: &[Task],
    outcomes: &[Outcome],
) -> Result<Done> {
    if STOP.load(Ordering::SeqCst) {
        bail!("stopped; the same command goes on where it was");
    }
    let failed: Vec<&str> = tasks
        .iter()
        .zip(outcomes)
        .filter(|(_, outcome)| !matches!(outcome, Outcome::Done { .. }))
        .map(|(task, _)| task.name.as_str())
        .collect();
    if failed.len() == total {
        bail!("every run failed; see {}", out.join("grid").display());
    }
    super::report::render(out, report)?;
    if !failed.is_empty() {
        bail!(
            "{} of {total} runs failed ({}); the report {} holds the others",
            failed.len(),
            failed.join(", "),
            report.display()
        );
    }
    let text = format!("{total} runs in {}, report in {}", out.display(), report.display());
    Ok(Done { text, json: json!({"runs": total, "trained_now": tasks.len()}), exit: 0 })
}
