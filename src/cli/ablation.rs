//! `ncaers ablation GRID.toml`
use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicBool, Ordering},
        Mutex,
    },
};

use anyhow::{bail, Context, Result};
use serde_json::{json, Value};

use super::{
    slurm::{self, SlurmArgs, Work},
    Done,
};
use crate::{
    experiment::{
        executor::{slurm::folder_beside, Executor, Local, Outcome, Task},
        forecast::{self, spoken, Forecast},
        Grid, GridRun,
    },
    output,
    pack::{self, Pack},
    progress::Progress,
    record::Split,
    runs::{self, GridRow, RunFolder, Status},
    train,
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
    /// Train nothing: report what is finished and name what is missing
    #[arg(long)]
    report_only: bool,
    #[command(flatten)]
    slurm: SlurmArgs,
}

/// Set by the first Ctrl-C: running runs save and end, no other starts.
static STOP: AtomicBool = AtomicBool::new(false);

pub(super) fn run(args: &Args) -> Result<Done> {
    let name = args.grid.file_stem().context("the grid has no file name")?;
    let out = args.out.clone().unwrap_or_else(|| Path::new("runs").join(name));
    let report = args.report.clone().unwrap_or_else(|| Path::new("reports").join(name));
    let Grid { runs, slurm } = Grid::read(&args.grid, &args.set)?;
    let jobs = usize::from(args.jobs);
    let standings: Vec<Standing> = runs.iter().map(|run| standing(&out, run)).collect();
    if args.dry_run {
        return Ok(listing(&runs, &standings, jobs));
    }
    if args.slurm.is_asked()? {
        return run_on_cluster(args, &slurm, &runs, &out, &report);
    }
    if args.report_only {
        return report_only(&runs, &standings, &out, &report);
    }
    let _lock = output::FolderLock::acquire(&out)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = (cores / jobs).max(1) as u32;
    let mut tasks = Vec::new();
    for (run, _) in open(&runs, &standings) {
        tasks.push(task(run, &out, threads)?);
    }
    let course = Course::new(&runs, &standings, jobs);
    let outcomes = execute(&tasks, jobs, &course)?;
    write_status(&out, &runs, &tasks, &outcomes)?;
    finish(&out, &report, runs.len(), &tasks, &outcomes)
}

/// A run per task, and the report behind them.
fn run_on_cluster(
    args: &Args,
    slurm: &Value,
    runs: &[GridRun],
    out: &Path,
    report: &Path,
) -> Result<Done> {
    let resources = args.slurm.resources(slurm)?;
    let folder = folder_beside(out)?;
    let tasks = runs.iter().map(|run| task(run, out, resources.cpus));
    let tasks = tasks.collect::<Result<Vec<_>>>()?;
    let mut words = slurm::own_words("ablation", &["report-only"]);
    words.push("--report-only".into());
    let last = Task { name: "report".into(), commands: vec![words], log: folder.join("logs") };
    let is_complete = |run: &GridRun| matches!(standing(out, run), Standing::Complete { .. });
    let is_done = |task: &Task| match runs.iter().find(|run| run.folder == task.name) {
        Some(run) => is_complete(run),
        None => runs.iter().all(is_complete) && is_reported(out, report, runs.len()),
    };
    let work = Work { purpose: "ablation", folder, tasks, last, is_done: &is_done, result: report };
    slurm::run(&args.slurm, resources, work)
}

/// Whether the report is younger than what it tells of, as `--report-only` leaves it.
fn is_reported(out: &Path, report: &Path, total: usize) -> bool {
    let time = |path: &Path| std::fs::metadata(path).and_then(|found| found.modified()).ok();
    let rows = runs::grid(out).unwrap_or_default();
    let all = rows.len() == total && rows.iter().all(|row| row.state.starts_with("done"));
    let page = time(&report.join("index.html"));
    all && page.is_some() && page >= time(&out.join("grid/status.json"))
}

/// `--report-only`: the report of what is finished, and an error that names what is not.
fn report_only(
    runs: &[GridRun],
    standings: &[Standing],
    out: &Path,
    report: &Path,
) -> Result<Done> {
    let missing: Vec<Task> = open(runs, standings)
        .map(|(run, _)| Task {
            name: run.folder.clone(),
            commands: Vec::new(),
            log: PathBuf::new(),
        })
        .collect();
    let outcomes = vec![Outcome::NotStarted; missing.len()];
    write_status(out, runs, &missing, &outcomes)?;
    finish(out, report, runs.len(), &missing, &outcomes)
}

/// Where a run of the grid stands before anything is started.
#[derive(Clone, Debug, PartialEq)]
enum Standing {
    /// Trained and predicted on both splits.
    Complete { seconds: f64 },
    /// Begun or not: there is something to do.
    Open(&'static str),
    /// Its folder holds a run of another configuration, which differs in these keys.
    Foreign(Vec<String>),
}

/// Compares a run's folder with what the grid asks for.
fn standing(out: &Path, run: &GridRun) -> Standing {
    let folder = RunFolder::new(&out.join(&run.folder));
    let Ok(record) = folder.record() else { return Standing::Open("to do") };
    // Without its pack or weights a run cannot be told from another; training names what lacks.
    let Ok(identity) = identity(run) else { return Standing::Open("begun") };
    let differing = output::differing_keys(&record.config, &identity);
    if !differing.is_empty() {
        return Standing::Foreign(differing);
    }
    let predicted = [Split::Val, Split::Test].iter().all(|s| folder.predictions_path(*s).exists());
    match (record.status, predicted) {
        (Status::Finished, true) => Standing::Complete { seconds: record.seconds },
        (Status::Failed, _) => Standing::Open("failed"),
        _ => Standing::Open("begun"),
    }
}

/// What `ncaers train` will call the run.
fn identity(run: &GridRun) -> Result<Value> {
    let pack = Pack::open(&pack::path_of(run.experiment.pack()?, Split::Train))?;
    run.experiment.identity(&pack.digest(), pack.manifest_digest())
}

/// `--dry-run`: every run, where it stands, and how long it is likely to take.
fn listing(runs: &[GridRun], standings: &[Standing], jobs: usize) -> Done {
    let mut forecast = forecast(runs, standings);
    let mut measured = false;
    for (run, _) in open(runs, standings) {
        if forecast.is_known(&run.label) {
            continue;
        }
        if let Ok(seconds) = measure(run) {
            forecast.learn(&run.label, seconds);
            measured = true;
        }
    }
    let (mut text, mut rows) = (String::new(), Vec::new());
    for (run, standing) in runs.iter().zip(standings) {
        let (state, seconds) = match standing {
            Standing::Complete { seconds } => ("done".to_owned(), Some(*seconds)),
            Standing::Open(state) => ((*state).to_owned(), forecast.seconds(&run.label)),
            Standing::Foreign(keys) => {
                (format!("another configuration ({})", keys.join(", ")), None)
            }
        };
        let time = seconds.map_or_else(String::new, |s| format!(", about {}", spoken(s)));
        text += &format!("{state:6} {} (seed {}){time}\n", run.label, run.seed);
        rows.push(json!({"run": run.folder, "label": run.label, "seed": run.seed, "state": state, "seconds": seconds}));
    }
    let left = open(runs, standings).count();
    let estimate = forecast.rest(open(runs, standings).map(|(run, _)| run.label.as_str()), jobs);
    let source = if measured { "a few steps on this machine" } else { "the runs that are done" };
    text += &match estimate {
        Some(s) => format!(
            "{left} of {} runs to do, about {} with {jobs} at a time, judging by {source}",
            runs.len(),
            spoken(s)
        ),
        None => {
            format!("{left} of {} runs to do; without the pack nothing tells the time", runs.len())
        }
    };
    let json =
        json!({"runs": runs.len(), "to_do": left, "estimated_seconds": estimate, "list": rows});
    Done { text, json, exit: 0 }
}

/// The runs that are not complete.
fn open<'a>(
    runs: &'a [GridRun],
    standings: &'a [Standing],
) -> impl Iterator<Item = (&'a GridRun, &'a Standing)> {
    runs.iter().zip(standings).filter(|(_, s)| !matches!(s, Standing::Complete { .. }))
}

/// What the complete runs took.
fn forecast(runs: &[GridRun], standings: &[Standing]) -> Forecast {
    let mut forecast = Forecast::default();
    for (run, standing) in runs.iter().zip(standings) {
        if let Standing::Complete { seconds } = standing {
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
fn task(run: &GridRun, out: &Path, threads: u32) -> Result<Task> {
    let folder = out.join(&run.folder);
    let file = out.join("grid").join(format!("{}.toml", run.folder));
    let mut experiment = run.experiment.clone();
    if experiment.train.threads == 0 {
        experiment.train.threads = threads;
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

/// The grid's progress: what is left, and for how long.
struct Course<'a> {
    progress: Progress,
    jobs: usize,
    total: usize,
    /// Labels of the runs that have not ended, by folder, and what the others took.
    left: Mutex<(BTreeMap<&'a str, &'a str>, Forecast)>,
}

impl<'a> Course<'a> {
    fn new(runs: &'a [GridRun], standings: &'a [Standing], jobs: usize) -> Self {
        let left: BTreeMap<_, _> =
            open(runs, standings).map(|(r, _)| (r.folder.as_str(), r.label.as_str())).collect();
        let progress = Progress::new("grid", "runs", left.len() as u64);
        let forecast = forecast(runs, standings);
        Course { progress, jobs, total: runs.len(), left: Mutex::new((left, forecast)) }
    }

    fn ended(&self, task: &Task, outcome: &Outcome) {
        let mut guard = self.left.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (left, forecast) = &mut *guard;
        let label = left.remove(task.name.as_str());
        let what = match outcome {
            Outcome::Done { seconds } => {
                label.into_iter().for_each(|label| forecast.learn(label, *seconds));
                format!("done in {}", spoken(*seconds))
            }
            Outcome::Failed { error } => format!("failed: {error}"),
            Outcome::NotStarted => "not started".into(),
        };
        let done = self.total - left.len();
        let rest = match forecast.rest(left.values().copied(), self.jobs) {
            Some(seconds) if !left.is_empty() => format!(", about {} left", spoken(seconds)),
            _ => String::new(),
        };
        self.progress.note(&format!("{}: {what}; {done} of {} runs{rest}", task.name, self.total));
        self.progress.advance(1);
    }
}

fn execute(tasks: &[Task], jobs: usize, course: &Course) -> Result<Vec<Outcome>> {
    ctrlc::set_handler(|| STOP.store(true, Ordering::SeqCst)).context("cannot watch Ctrl-C")?;
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let local = Local { program, jobs, stop: &STOP, placement: Default::default() };
    let outcomes = local.run(tasks, &|task, outcome| course.ended(task, outcome));
    course.progress.finish();
    Ok(outcomes)
}

/// `grid/status.json`: how every run of the grid stands.
fn write_status(out: &Path, runs: &[GridRun], tasks: &[Task], outcomes: &[Outcome]) -> Result<()> {
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
        bail!("no run of the grid is finished; see {}", out.join("grid").display());
    }
    super::report::render(out, report)?;
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
    let text = format!("{total} runs in {}, report in {}", out.display(), report.display());
    Ok(Done { text, json: json!({"runs": total, "trained_now": tasks.len()}), exit: 0 })
}
