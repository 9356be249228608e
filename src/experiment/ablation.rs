//! A grid of runs, trained and predicted one after the other or several at a time, resumable, and
//! its report.
use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{bail, Context, Result};
use serde_json::{json, Value};

use super::{
    executor::{Executor, Local, Outcome, Task},
    forecast::{self, format_duration, Forecast},
    grid_progress::GridProgress,
    Grid, GridRun,
};
use crate::{
    folder::{self, OutputFolder},
    pack::{self, Pack},
    record::Split,
    report,
    runs::{self, GridRow, RunFolder, Status},
    train,
};

/// Set by the first Ctrl-C: running runs save and end, no other starts.
static STOP: AtomicBool = AtomicBool::new(false);

/// A grid and where its runs and its report go.
#[derive(Debug)]
pub struct Ablation {
    /// The runs.
    pub grid: Grid,
    /// Folder of the runs, one folder each.
    pub out: PathBuf,
    /// Folder of the report.
    pub report: PathBuf,
}

/// What a finished grid came to.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Runs of the grid.
    pub runs: usize,
    /// Of these, trained by this call.
    pub trained_now: usize,
    /// The report.
    pub report: report::Summary,
}

/// What a grid would do.
#[derive(Clone, Debug)]
pub struct Listing {
    /// For a person.
    pub text: String,
    /// For a program.
    pub json: Value,
}

impl Ablation {
    /// Trains what is missing, `jobs` runs at a time, and renders the report.
    ///
    /// # Errors
    /// When a folder is not ours, a run fails or the report cannot be written; what is finished
    /// stays and the same call goes on from there.
    pub fn run(&self, jobs: usize) -> Result<Finished> {
        let out = self.claim()?;
        let runs = &self.grid.runs;
        let statuses = self.statuses();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = (cores / jobs).max(1) as u32;
        let mut tasks = Vec::new();
        for (run, _) in open(runs, &statuses) {
            tasks.push(task(run, &out, threads)?);
        }
        let missing = open(runs, &statuses).map(|(run, _)| run);
        let progress = GridProgress::new(&self.out, missing, runs.len());
        let outcomes = execute(&tasks, jobs, &progress)?;
        write_status(&out, runs, &tasks, &outcomes)?;
        self.finish(&tasks, &outcomes)
    }

    /// Trains nothing: renders the report of what is finished.
    ///
    /// # Errors
    /// When something is missing, which is named, or the report cannot be written.
    pub fn report_only(&self) -> Result<Finished> {
        let out = self.claim()?;
        let (runs, statuses) = (&self.grid.runs, self.statuses());
        let missing: Vec<Task> = open(runs, &statuses)
            .map(|(run, _)| Task {
                name: run.folder.clone(),
                commands: Vec::new(),
                log: PathBuf::new(),
            })
            .collect();
        let outcomes = vec![Outcome::NotStarted; missing.len()];
        write_status(&out, runs, &missing, &outcomes)?;
        self.finish(&missing, &outcomes)
    }

    /// Every run, where it stands, and how long it is likely to take; changes nothing.
    pub fn listing(&self, jobs: usize) -> Listing {
        listing(&self.grid.runs, &self.statuses(), jobs)
    }

    /// The commands of every run, for a cluster whose tasks have `threads` cores.
    ///
    /// # Errors
    /// When the folder of the runs is not ours, or the grid names no manifest or pack.
    pub fn tasks(&self, threads: u32) -> Result<Vec<Task>> {
        let out = self.claim()?;
        self.grid.runs.iter().map(|run| task(run, &out, threads)).collect()
    }

    /// Whether the run in `folder` (of all runs when it is none of them: the report) is done.
    pub fn is_done(&self, folder: &str) -> bool {
        let runs = &self.grid.runs;
        let is_complete =
            |run: &GridRun| matches!(status(&self.out, run), RunStatus::Complete { .. });
        match runs.iter().find(|run| run.folder == folder) {
            Some(run) => is_complete(run),
            None => {
                runs.iter().all(is_complete) && is_reported(&self.out, &self.report, runs.len())
            }
        }
    }

    fn claim(&self) -> Result<OutputFolder> {
        // Before hours of training, not after.
        report::check_folder(&self.report)?;
        folder::claim_standing(&self.out, "grid")
    }

    fn statuses(&self) -> Vec<RunStatus> {
        self.grid.runs.iter().map(|run| status(&self.out, run)).collect()
    }

    /// Renders the report of whatever is there and sums up.
    fn finish(&self, tasks: &[Task], outcomes: &[Outcome]) -> Result<Finished> {
        finish(&self.out, &self.report, self.grid.runs.len(), tasks, outcomes)
    }
}

/// Whether the report is younger than what it tells of, as `--report-only` leaves it.
fn is_reported(out: &Path, report: &Path, total: usize) -> bool {
    let time = |path: &Path| std::fs::metadata(path).and_then(|found| found.modified()).ok();
    let rows = runs::grid(out).unwrap_or_default();
    let all = rows.len() == total && rows.iter().all(|row| row.state.starts_with("done"));
    let page = time(&report.join("index.html"));
    all && page.is_some() && page >= time(&out.join("grid/status.json"))
}

/// Where a run of the grid stands before anything is started.
#[derive(Clone, Debug, PartialEq)]
enum RunStatus {
    /// Trained and predicted on both splits.
    Complete { seconds: f64 },
    /// Begun or not: there is something to do.
    Open(&'static str),
    /// Its folder holds a run of another configuration, which differs in these keys.
    Foreign(Vec<String>),
}

/// Compares a run's folder with what the grid asks for.
fn status(out: &Path, run: &GridRun) -> RunStatus {
    let folder = RunFolder::new(&out.join(&run.folder));
    let Ok(record) = folder.record() else { return RunStatus::Open("to do") };
    // Without its pack or weights a run cannot be told from another; training names what lacks.
    let Ok(identity) = identity(run) else { return RunStatus::Open("begun") };
    let differing = folder::differing_keys(&record.config, &identity);
    if !differing.is_empty() {
        return RunStatus::Foreign(differing);
    }
    let predicted = [Split::Val, Split::Test].iter().all(|s| folder.predictions_path(*s).exists());
    match (record.status, predicted) {
        (Status::Finished, true) => RunStatus::Complete { seconds: record.seconds },
        (Status::Failed, _) => RunStatus::Open("failed"),
        _ => RunStatus::Open("begun"),
    }
}

/// What `ncaers train` will call the run.
fn identity(run: &GridRun) -> Result<Value> {
    let pack = Pack::open(&pack::path_of(run.experiment.pack()?, Split::Train))?;
    run.experiment.identity(&pack.digest(), pack.manifest_digest())
}

/// `--dry-run`: every run, where it stands, and how long it is likely to take.
fn listing(runs: &[GridRun], statuses: &[RunStatus], jobs: usize) -> Listing {
    let mut forecast = forecast(runs, statuses);
    let mut measured = false;
    for (run, _) in open(runs, statuses) {
        if forecast.is_known(&run.label) {
            continue;
        }
        if let Ok(seconds) = measure(run) {
            forecast.learn(&run.label, seconds);
            measured = true;
        }
    }
    let (mut text, mut rows) = (String::new(), Vec::new());
    for (run, status) in runs.iter().zip(statuses) {
        let (state, seconds) = match status {
            RunStatus::Complete { seconds } => ("done".to_owned(), Some(*seconds)),
            RunStatus::Open(state) => ((*state).to_owned(), forecast.seconds(&run.label)),
            RunStatus::Foreign(keys) => {
                (format!("another configuration ({})", keys.join(", ")), None)
            }
        };
        let time = seconds.map_or_else(String::new, |s| format!(", about {}", format_duration(s)));
        text += &format!("{state:6} {} (seed {}){time}\n", run.label, run.seed);
        rows.push(json!({"run": run.folder, "label": run.label, "seed": run.seed, "state": state, "seconds": seconds}));
    }
    let left = open(runs, statuses).count();
    let estimate = forecast.rest(open(runs, statuses).map(|(run, _)| run.label.as_str()), jobs);
    let source = if measured { "a few steps on this machine" } else { "the runs that are done" };
    text += &match estimate {
        Some(s) => format!(
            "{left} of {} runs to do, about {} with {jobs} at a time, judging by {source}",
            runs.len(),
            format_duration(s)
        ),
        None => {
            format!("{left} of {} runs to do; without the pack nothing tells the time", runs.len())
        }
    };
    let json =
        json!({"runs": runs.len(), "to_do": left, "estimated_seconds": estimate, "list": rows});
    Listing { text, json }
}

/// The runs that are not complete.
fn open<'a>(
    runs: &'a [GridRun],
    statuses: &'a [RunStatus],
) -> impl Iterator<Item = (&'a GridRun, &'a RunStatus)> {
    runs.iter().zip(statuses).filter(|(_, s)| !matches!(s, RunStatus::Complete { .. }))
}

/// What the complete runs took.
fn forecast(runs: &[GridRun], statuses: &[RunStatus]) -> Forecast {
    let mut forecast = Forecast::default();
    for (run, status) in runs.iter().zip(statuses) {
        if let RunStatus::Complete { seconds } = status {
            forecast.learn(&run.label, *seconds);
        }
    }
    forecast
}

/// Seconds of a run, judged by a few steps on noise.
fn measure(run: &GridRun) -> Result<f64> {
    const STEPS: u32 = 5;
    let experiment = &run.experiment;
    let samples = Pack::open(&pack::path_of(experiment.pack()?, Split::Train))?.len();
    let speed = train::speed(&experiment.model, &experiment.train, STEPS)?;
    Ok(forecast::joint_epochs(&experiment.train) * samples as f64 / speed.images_per_s)
}

/// The commands of one run: train (or go on), then predict both splits.
fn task(run: &GridRun, out: &OutputFolder, threads: u32) -> Result<Task> {
    let folder = out.folder(&run.folder)?;
    let file = format!("grid/{}.toml", run.folder);
    let mut experiment = run.experiment.clone();
    if experiment.train.threads == 0 {
        experiment.train.threads = threads;
    }
    let manifest = experiment.data.manifest.clone().context(
        "no manifest is named; set data.manifest in the grid or with --set data.manifest=DIR",
    )?;
    let pack = experiment.pack()?.to_owned();
    out.write(&file, experiment.to_toml()?.as_bytes())?;
    let file = out.path().join(file);
    let words = |words: &[&dyn AsRef<std::ffi::OsStr>]| -> Vec<OsString> {
        words.iter().map(|w| w.as_ref().to_owned()).collect()
    };
    let stage1 = out.folder("stage1")?;
    let train = words(&[&"train", &file, &"--out", &folder, &"--resume"]);
    let mut commands = vec![[train, words(&[&"--stage1-cache", &stage1])].concat()];
    for split in ["val", "test"] {
        let target = words(&[&"predict", &"--run", &folder, &"--manifest", &manifest]);
        commands.push([target, words(&[&"--pack", &pack, &"--split", &split])].concat());
    }
    let log = out.target(format!("grid/{}.log", run.folder))?;
    Ok(Task { name: run.folder.clone(), commands, log })
}

fn execute(tasks: &[Task], jobs: usize, progress: &GridProgress) -> Result<Vec<Outcome>> {
    ctrlc::set_handler(|| STOP.store(true, Ordering::SeqCst)).context("cannot watch Ctrl-C")?;
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let local = Local { program, jobs, stop: &STOP };
    Ok(progress.during(|| local.run(tasks, &|task, outcome| progress.ended(task, outcome))))
}

/// `grid/status.json`: how every run of the grid stands.
fn write_status(
    out: &OutputFolder,
    runs: &[GridRun],
    tasks: &[Task],
    outcomes: &[Outcome],
) -> Result<()> {
    let ran: BTreeMap<_, _> = tasks.iter().map(|t| t.name.as_str()).zip(outcomes).collect();
    let row = |run: &GridRun| {
        let (state, error) = match ran.get(run.folder.as_str()) {
            None => ("done_before", None),
            Some(Outcome::Done { .. }) => ("done", None),
            Some(Outcome::Failed { error }) => ("failed", Some(error.clone())),
            Some(Outcome::NotStarted) => ("not_started", None),
        };
        let (run, label, seed) = (run.folder.clone(), run.label.clone(), run.seed);
        GridRow { run, label, seed, state: state.into(), error }
    };
    runs::write_grid(out, &runs.iter().map(row).collect::<Vec<_>>())
}

/// Renders the report of whatever is there and sums up.
fn finish(
    out: &Path,
    report: &Path,
    total: usize,
    tasks: &[Task],
    outcomes: &[Outcome],
) -> Result<Finished> {
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
        bail!("no run of the grid is finished; see {}", out.join("grid").display());
    }
    let request = report::Request::new(out, report);
    let summary = report::write(&request, report)?;
    if !failed.is_empty() {
        let tried = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Failed { .. }));
        bail!(
            "{} of {total} runs {} ({}); the report {} holds the others",
            failed.len(),
            if tried { "failed" } else { "are not finished" },
            failed.join(", "),
            report.display()
        );
    }
    Ok(Finished { runs: total, trained_now: tasks.len(), report: summary })
}
