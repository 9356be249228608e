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
    executor::{Executor, Local, Placement, Task, TaskOutcome},
    forecast::{self, format_duration, Forecast},
    grid_progress::GridProgress,
    obstacles::{missing_files, obstacles},
    Grid, GridRun,
};
use crate::{
    device,
    folder::{self, OutputFolder},
    pack::{self, Pack},
    record::Split,
    report,
    runs::{self, GridRow, RunFolder, Status},
    train::{self, TrainConfig},
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
    pub report: report::ReportSummary,
}

/// What a call of [`Ablation::make`] came to.
#[derive(Clone, Debug, Default)]
pub struct Made {
    /// Runs that this call trained or tried to.
    pub trained_now: usize,
    /// Runs that failed or were not started, and why, in words; `None` when there are none.
    pub failed: Option<String>,
    /// Runs that cannot be made, by folder, and why.
    pub impossible: BTreeMap<String, String>,
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
        self.finish(self.make(jobs)?)
    }

    /// Trains what is missing, `jobs` runs at a time. What cannot be made (weights that are not
    /// there, inputs that the pack lacks) is not begun.
    ///
    /// # Errors
    /// When a folder is not ours or cannot be written, or the user stops it.
    pub fn make(&self, jobs: usize) -> Result<Made> {
        let out = self.claim()?;
        let runs = &self.grid.runs;
        let statuses = self.statuses();
        let (tasks, impossible) = self.begin(&out, &statuses, threads_each(jobs))?;
        let missing = open(runs, &statuses).map(|(run, _)| run);
        let can_be_made = missing.filter(|run| !impossible.contains_key(&run.folder));
        let placement = placement(runs);
        let progress = GridProgress::new(&self.out, can_be_made, runs.len(), machine(&placement));
        let outcomes = execute(&tasks, jobs, &progress, placement)?;
        write_status(&out, runs, &tasks, &outcomes, &impossible)?;
        if STOP.load(Ordering::SeqCst) {
            bail!("stopped; the same command goes on where it was");
        }
        Ok(Made { trained_now: tasks.len(), failed: failures(&tasks, &outcomes), impossible })
    }

    /// Writes the configuration of every run that is not complete; the commands of those that can
    /// be made, and why the others cannot.
    fn begin(
        &self,
        out: &OutputFolder,
        statuses: &[RunStatus],
        threads: u32,
    ) -> Result<(Vec<Task>, BTreeMap<String, String>)> {
        let (mut tasks, mut impossible) = (Vec::new(), BTreeMap::new());
        for (run, _) in open(&self.grid.runs, statuses) {
            let why = obstacles(&run.experiment);
            if why.is_empty() {
                tasks.push(task(run, out, threads)?);
            } else {
                configured(run, out, threads)?;
                impossible.insert(run.folder.clone(), why.join("; "));
            }
        }
        Ok((tasks, impossible))
    }

    /// Trains nothing: renders the report of what is finished.
    ///
    /// # Errors
    /// When something is missing, which is named, or the report cannot be written.
    pub fn report_only(&self) -> Result<Finished> {
        let out = self.claim()?;
        let made = self.stand(&out)?;
        drop(out);
        self.finish(made)
    }

    /// Writes how every run stands, training nothing.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn stand(&self, out: &OutputFolder) -> Result<Made> {
        let (tasks, impossible) = self.begin(out, &self.statuses(), 1)?;
        let outcomes = vec![TaskOutcome::NotStarted; tasks.len()];
        write_status(out, &self.grid.runs, &tasks, &outcomes, &impossible)?;
        Ok(Made { trained_now: 0, failed: failures(&tasks, &outcomes), impossible })
    }

    /// Every run, where it stands, and how long it is likely to take; changes nothing.
    pub fn listing(&self, jobs: usize) -> Listing {
        let why: Vec<Vec<String>> =
            self.grid.runs.iter().map(|run| obstacles(&run.experiment)).collect();
        listing(&self.grid.runs, &self.statuses(), &why, jobs, None)
    }

    /// The same before manifest and pack are made, for `samples` of training.
    pub fn planned(&self, jobs: usize, samples: usize) -> Listing {
        let why: Vec<Vec<String>> =
            self.grid.runs.iter().map(|run| missing_files(&run.experiment)).collect();
        listing(&self.grid.runs, &self.statuses(), &why, jobs, Some(samples))
    }

    /// The commands of every run, for a cluster whose tasks have `threads` cores.
    ///
    /// # Errors
    /// When the folder of the runs is not ours, or the grid names no manifest or pack.
    pub fn tasks(&self, threads: u32) -> Result<Vec<Task>> {
        let out = self.claim()?;
        let can = |run: &&GridRun| obstacles(&run.experiment).is_empty();
        self.grid.runs.iter().filter(can).map(|run| task(run, &out, threads)).collect()
    }

    /// Whether the run in `folder` (of all runs when it is none of them: the report) is done.
    pub fn is_done(&self, folder: &str) -> bool {
        let runs = &self.grid.runs;
        let is_complete =
            |run: &GridRun| matches!(status(&self.out, run), RunStatus::Complete { .. });
        let is_over = |run: &GridRun| is_complete(run) || !obstacles(&run.experiment).is_empty();
        match runs.iter().find(|run| run.folder == folder) {
            Some(run) => is_complete(run),
            None => runs.iter().all(is_over) && is_reported(&self.out, &self.report, runs.len()),
        }
    }

    /// The runs that cannot be made, by folder, with the reasons.
    pub fn impossible(&self) -> BTreeMap<String, String> {
        let why = |run: &GridRun| (run.folder.clone(), obstacles(&run.experiment).join("; "));
        self.grid.runs.iter().map(why).filter(|(_, why)| !why.is_empty()).collect()
    }

    /// Whether every run is complete or cannot be made.
    pub fn is_over(&self) -> bool {
        self.grid.runs.iter().all(|run| {
            matches!(status(&self.out, run), RunStatus::Complete { .. })
                || !obstacles(&run.experiment).is_empty()
        })
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
    fn finish(&self, made: Made) -> Result<Finished> {
        let total = self.grid.runs.len();
        let complete =
            self.statuses().iter().any(|status| matches!(status, RunStatus::Complete { .. }));
        if !complete {
            let why =
                made.impossible.values().next().map_or_else(String::new, |w| format!(": {w}"));
            bail!("no run of the grid is finished; see {}{why}", self.out.join("grid").display());
        }
        let notes = self.grid.note.iter().cloned().collect();
        let request =
            report::ReportRequest { notes, ..report::ReportRequest::new(&self.out, &self.report) };
        let summary = report::write(&request, &self.report)?;
        let lacking = made.impossible.iter().map(|(run, why)| format!("{run}: {why}"));
        let lacking: Vec<String> = lacking.collect();
        let impossible = (!lacking.is_empty())
            .then(|| format!("{} cannot be made ({})", lacking.len(), lacking.join("; ")));
        let missing: Vec<String> = made.failed.into_iter().chain(impossible).collect();
        if !missing.is_empty() {
            bail!(
                "of {total} runs {}; the report {} holds the others",
                missing.join(", "),
                self.report.display()
            );
        }
        Ok(Finished { runs: total, trained_now: made.trained_now, report: summary })
    }
}

/// `2 failed (a-1, b-1)`; `None` when every task is done.
fn failures(tasks: &[Task], outcomes: &[TaskOutcome]) -> Option<String> {
    let names = |wanted: fn(&TaskOutcome) -> bool| {
        let those = tasks.iter().zip(outcomes).filter(|(_, outcome)| wanted(outcome));
        those.map(|(task, _)| task.name.as_str()).collect::<Vec<_>>()
    };
    let failed = names(|outcome| matches!(outcome, TaskOutcome::Failed { .. }));
    let left = names(|outcome| matches!(outcome, TaskOutcome::NotStarted));
    let told = |names: &[&str], what: &str| {
        (!names.is_empty()).then(|| format!("{} {what} ({})", names.len(), names.join(", ")))
    };
    let parts = [told(&failed, "failed"), told(&left, "are not finished")];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Whether the report is younger than what it tells of, as `--report-only` leaves it.
fn is_reported(out: &Path, report: &Path, total: usize) -> bool {
    let time = |path: &Path| std::fs::metadata(path).and_then(|found| found.modified()).ok();
    let rows = runs::grid(out).unwrap_or_default();
    let is_over = |row: &GridRow| row.state.starts_with("done") || row.state == "cannot";
    let all = rows.len() == total && rows.iter().all(is_over);
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
    let predicted = splits_of(run).iter().all(|s| folder.predictions_path(*s).exists());
    match (record.status, predicted) {
        (Status::Finished, true) => RunStatus::Complete { seconds: record.seconds },
        (Status::Failed, _) => RunStatus::Open("failed"),
        _ => RunStatus::Open("begun"),
    }
}

/// The splits that a run is predicted on: validation only where there is any.
fn splits_of(run: &GridRun) -> Vec<Split> {
    let val = run.experiment.pack().and_then(|pack| Pack::open(&pack::path_of(pack, Split::Val)));
    match val {
        Ok(val) if val.is_empty() => vec![Split::Test],
        _ => vec![Split::Val, Split::Test],
    }
}

/// What `ncaers train` will call the run.
fn identity(run: &GridRun) -> Result<Value> {
    let pack = Pack::open(&pack::path_of(run.experiment.pack()?, Split::Train))?;
    run.experiment.identity(&pack.digest(), pack.manifest_digest())
}

/// `--dry-run`: every run, where it stands, and how long it is likely to take.
fn listing(
    runs: &[GridRun],
    statuses: &[RunStatus],
    why: &[Vec<String>],
    jobs: usize,
    samples: Option<usize>,
) -> Listing {
    let mut forecast = forecast(runs, statuses);
    let mut bytes_of: BTreeMap<&str, u64> = BTreeMap::new();
    let mut measured = false;
    let is_open = |i: &usize| !matches!(statuses[*i], RunStatus::Complete { .. });
    let to_do: Vec<usize> = (0..runs.len()).filter(|i| is_open(i) && why[*i].is_empty()).collect();
    for run in to_do.iter().map(|&i| &runs[i]) {
        if bytes_of.contains_key(run.label.as_str()) {
            continue;
        }
        if let Ok((seconds, bytes)) = measure(run, samples, threads_each(jobs)) {
            bytes_of.insert(&run.label, bytes);
            if !forecast.is_known(&run.label) {
                forecast.learn(&run.label, seconds);
                measured = true;
            }
        }
    }
    let (mut text, mut rows) = (String::new(), Vec::new());
    for ((run, status), why) in runs.iter().zip(statuses).zip(why) {
        let (state, seconds) = match status {
            RunStatus::Complete { seconds } => ("done".to_owned(), Some(*seconds)),
            _ if !why.is_empty() => {
                text += &format!("cannot {} (seed {}): {}\n", run.label, run.seed, why.join("; "));
                rows.push(json!({"run": run.folder, "label": run.label, "seed": run.seed, "state": "cannot", "why": why}));
                continue;
            }
            RunStatus::Open(state) => ((*state).to_owned(), forecast.seconds(&run.label)),
            RunStatus::Foreign(keys) => {
                (format!("another configuration ({})", keys.join(", ")), None)
            }
        };
        let time = seconds.map_or_else(String::new, |s| format!(", about {}", format_duration(s)));
        text += &format!("{state:6} {} (seed {}){time}\n", run.label, run.seed);
        rows.push(json!({"run": run.folder, "label": run.label, "seed": run.seed, "state": state, "seconds": seconds}));
    }
    let left = to_do.len();
    let labels = || to_do.iter().map(|&i| runs[i].label.as_str());
    let estimate = forecast.rest(labels(), jobs);
    let bytes: u64 = labels().filter_map(|label| bytes_of.get(label)).sum();
    let impossible = (0..runs.len()).filter(|i| is_open(i) && !why[*i].is_empty()).count();
    let source = if measured { "a few steps on this machine" } else { "the runs that are done" };
    text += &match estimate {
        Some(s) => format!(
            "{left} of {} runs to do, about {} with {jobs} at a time, judging by {source}; about {} of checkpoints",
            runs.len(),
            format_duration(s),
            forecast::format_bytes(bytes)
        ),
        None => {
            format!("{left} of {} runs to do; without the pack nothing tells the time", runs.len())
        }
    };
    if impossible > 0 {
        text += &format!("; {impossible} cannot be made, for the reasons above");
    }
    let json = json!({
        "runs": runs.len(), "to_do": left, "cannot": impossible,
        "estimated_seconds": estimate, "bytes": bytes, "list": rows,
    });
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

/// The cores of each of `jobs` runs at a time.
fn threads_each(jobs: usize) -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (cores / jobs).max(1) as u32
}

/// Seconds of a run with `threads` cores, judged by a few steps on noise, and bytes of its
/// checkpoints.
fn measure(run: &GridRun, samples: Option<usize>, threads: u32) -> Result<(f64, u64)> {
    let experiment = &run.experiment;
    let samples = match samples {
        Some(samples) => samples,
        None => Pack::open(&pack::path_of(experiment.pack()?, Split::Train))?.len(),
    };
    let (mut probe, steps) = probe(&experiment.train);
    if probe.threads == 0 {
        probe.threads = threads;
    }
    let speed = train::speed(&experiment.model, &probe, steps)?;
    let seconds = forecast::joint_epochs(&experiment.train) * samples as f64 / speed.images_per_s;
    Ok((seconds, forecast::checkpoint_bytes(&experiment.train, speed.parameters)))
}

/// What is tried, and how many steps of it. Smaller batches where only a processor trains: samples
/// per second hardly depend on them there, and a few steps of a published recipe (128 pictures of
/// 224 x 224) take minutes.
fn probe(train: &TrainConfig) -> (TrainConfig, u32) {
    const BATCH: u32 = 8;
    let on_gpu = train.device.starts_with("cuda")
        || (train.device == "auto" && device::gpus().is_ok_and(|names| !names.is_empty()));
    match on_gpu {
        true => (train.clone(), 5),
        false => (TrainConfig { batch_size: train.batch_size.min(BATCH), ..train.clone() }, 2),
    }
}

/// Writes the configuration of a run and returns where.
fn configured(run: &GridRun, out: &OutputFolder, threads: u32) -> Result<PathBuf> {
    let file = format!("grid/{}.toml", run.folder);
    let mut experiment = run.experiment.clone();
    if experiment.train.threads == 0 {
        experiment.train.threads = threads;
    }
    out.write(&file, experiment.to_toml()?.as_bytes())?;
    Ok(out.path().join(file))
}

/// The commands of one run: train (or go on), then predict the splits that there are.
fn task(run: &GridRun, out: &OutputFolder, threads: u32) -> Result<Task> {
    let folder = out.folder(&run.folder)?;
    let manifest = run.experiment.data.manifest.clone().context(
        "no manifest is named; set data.manifest in the grid or with --set data.manifest=DIR",
    )?;
    let pack = run.experiment.pack()?.to_owned();
    let file = configured(run, out, threads)?;
    let words = |words: &[&dyn AsRef<std::ffi::OsStr>]| -> Vec<OsString> {
        words.iter().map(|w| w.as_ref().to_owned()).collect()
    };
    let stage1 = out.folder("stage1")?;
    let train = words(&[&"train", &file, &"--out", &folder, &"--resume"]);
    let mut commands = vec![[train, words(&[&"--stage1-cache", &stage1])].concat()];
    for split in splits_of(run) {
        // Where the run was trained.
        let device = &run.experiment.train.device;
        let target = words(&[&"predict", &"--run", &folder, &"--manifest", &manifest]);
        let target = [target, words(&[&"--device", device])].concat();
        commands.push([target, words(&[&"--pack", &pack, &"--split", &split.name()])].concat());
    }
    let log = out.target(format!("grid/{}.log", run.folder))?;
    Ok(Task { name: run.folder.clone(), commands, log })
}

/// The GPUs that the runs are spread over: none where one asks for another device than any GPU.
fn placement(runs: &[GridRun]) -> Placement {
    let takes_any =
        |run: &GridRun| ["auto", "cuda"].contains(&run.experiment.train.device.as_str());
    match runs.iter().all(takes_any) {
        true => Placement::here(),
        false => Placement::default(),
    }
}

/// What the lines of a grid begin with.
fn machine(placement: &Placement) -> String {
    match (placement.gpus(), device::gpus()) {
        (1.., Ok(names)) => {
            let name = names.first().map_or("GPU", String::as_str);
            format!("{} x cuda ({name})", placement.gpus())
        }
        _ => format!("cpu ({})", device::processor()),
    }
}

fn execute(
    tasks: &[Task],
    jobs: usize,
    progress: &GridProgress,
    placement: Placement,
) -> Result<Vec<TaskOutcome>> {
    match ctrlc::set_handler(|| STOP.store(true, Ordering::SeqCst)) {
        // Of several grids the first has set it.
        Ok(()) | Err(ctrlc::Error::MultipleHandlers) => {}
        Err(error) => return Err(error).context("cannot watch Ctrl-C"),
    }
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let local = Local { program, jobs, stop: &STOP, placement };
    Ok(progress.during(|| local.run(tasks, &|task, outcome| progress.ended(task, outcome))))
}

/// `grid/status.json`: how every run of the grid stands.
fn write_status(
    out: &OutputFolder,
    runs: &[GridRun],
    tasks: &[Task],
    outcomes: &[TaskOutcome],
    impossible: &BTreeMap<String, String>,
) -> Result<()> {
    let ran: BTreeMap<_, _> = tasks.iter().map(|t| t.name.as_str()).zip(outcomes).collect();
    let row = |run: &GridRun| {
        let (state, error) = match ran.get(run.folder.as_str()) {
            None if impossible.contains_key(&run.folder) => {
                ("cannot", impossible.get(&run.folder).cloned())
            }
            None => ("done_before", None),
            Some(TaskOutcome::Done { .. }) => ("done", None),
            Some(TaskOutcome::Failed { error }) => ("failed", Some(error.clone())),
            Some(TaskOutcome::NotStarted) => ("not_started", None),
        };
        let (run, label, seed) = (run.folder.clone(), run.label.clone(), run.seed);
        GridRow { run, label, seed, state: state.into(), error }
    };
    runs::write_grid(out, &runs.iter().map(row).collect::<Vec<_>>())
}
