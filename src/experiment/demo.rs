//! The demonstration: the whole main job without data of one's own, as commands of this program
//! that run one after the other. Each recognises what an earlier call finished.
use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use anyhow::{bail, Context, Result};

use super::{shipped, Grid};

/// What the demonstration is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoSettings {
    /// Folder below which everything is written.
    pub out: PathBuf,
    /// Seed of the corpus and of the draws of the build.
    pub seed: u64,
    /// Runs that train at a time.
    pub jobs: u16,
    /// A tenth of the clips and two epochs: it shows that every step works, and learns nothing.
    pub quick: bool,
}

/// One command of the demonstration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The words after the program's name.
    pub words: Vec<OsString>,
    /// Whether what it prints is for the reader; else it is dropped, since the report has it.
    pub is_told: bool,
}

impl Step {
    fn new(words: &[&dyn AsRef<OsStr>]) -> Self {
        let words = words.iter().map(|word| word.as_ref().to_owned()).collect();
        Step { words, is_told: false }
    }
}

/// Where the demonstration puts things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Its experiment files.
    pub experiments: PathBuf,
    /// The synthetic clips.
    pub corpus: PathBuf,
    /// The data set made from them.
    pub manifest: PathBuf,
    /// Its tensors.
    pub pack: PathBuf,
    /// The runs.
    pub runs: PathBuf,
    /// The page that it ends in, a folder.
    pub report: PathBuf,
    /// Stills that leak between train and test as CAER-S's do, and all that is made of them.
    pub twin: PathBuf,
}

impl Places {
    /// Places below the folder `out`.
    pub fn below(out: &Path) -> Self {
        let place = |name| out.join(name);
        Places {
            experiments: place("experiments"),
            corpus: place("corpus"),
            manifest: place("manifest"),
            pack: place("pack"),
            runs: place("runs"),
            report: place("report"),
            twin: place("twin"),
        }
    }
}

/// The grids that are trained, among the files that come with the program.
const GRID: &str = "demo.toml";
const TWIN_GRID: &str = "demo-twin.toml";

/// The grid's settings on top of its file.
fn overrides(settings: &DemoSettings, manifest: &Path, pack: &Path) -> Vec<String> {
    let mut all = vec![
        format!("data.manifest={}", manifest.display()),
        format!("data.pack={}", pack.display()),
    ];
    if settings.quick {
        all.extend(["train.epochs=2".into(), "train.stage1_epochs={face=1,context=1}".into()]);
    }
    all
}

/// Every command in order. The experiment files must be written: the grid's runs are read there.
///
/// # Errors
/// When the grid cannot be read.
pub fn steps(settings: &DemoSettings) -> Result<Vec<Step>> {
    let places = Places::below(&settings.out);
    let (seed, jobs) = (settings.seed.to_string(), settings.jobs.to_string());
    let Places { corpus, manifest, pack, runs, experiments, .. } = &places;
    let mut draw = Step::new(&[&"demo-corpus", &"--out", corpus, &"--seed", &seed]);
    if settings.quick {
        draw.words.extend(["--clips-per-class".into(), "5".into()]);
    }
    let grid = experiments.join(GRID);
    let overrides = overrides(settings, manifest, pack);
    let labelled = Grid::read(&grid, &overrides)?.runs;
    let own_report = settings.out.join("report-clean");
    let mut train = Step::new(&[&"ablation", &grid, &"--out", runs, &"--report", &own_report]);
    train.words.extend(["--jobs".into(), jobs.into()]);
    train.words.extend(overrides.iter().flat_map(|set| ["--set".into(), set.into()]));
    let mut steps = vec![
        draw,
        Step::new(&[&"build", &"--corpus", corpus, &"--out", manifest, &"--seed", &seed]),
        Step::new(&[&"verify", manifest]),
        Step::new(&[&"pack", manifest, &"--out", pack, &"--margin", &"0.1"]),
        train,
    ];
    let folders = labelled.iter().map(|run| runs.join(&run.folder));
    steps.extend(folders.clone().map(|folder| Step::new(&[&"evaluate", &folder])));
    let mut compare = Step::new(&[&"compare"]);
    compare.is_told = true;
    compare.words.extend(folders.map(|f| f.join("predictions-test.parquet").into_os_string()));
    compare.words.extend(["--out".into(), settings.out.join("comparison").into()]);
    steps.push(compare);
    steps.extend(twin_steps(settings, &places));
    Ok(steps)
}

/// The same on stills whose split was drawn one by one, and the report on both: what the leak adds.
fn twin_steps(settings: &DemoSettings, places: &Places) -> Vec<Step> {
    let (seed, jobs) = (settings.seed.to_string(), settings.jobs.to_string());
    let place = |name: &str| places.twin.join(name);
    let (stills, manifest, pack) = (place("stills"), place("manifest"), place("pack"));
    let (audit, runs) = (place("audit"), place("runs"));
    let mut draw = Step::new(&[&"demo-corpus", &"--stills", &"--out", &stills, &"--seed", &seed]);
    if settings.quick {
        draw.words.extend(["--clips-per-class".into(), "5".into()]);
    }
    // The twin keeps its leak: that is what it is for.
    let mut import = Step::new(&[&"import", &"--layout", &"csv", &"--root", &stills]);
    import.words.extend(Step::new(&[&"--out", &manifest, &"--on-leak", &"keep"]).words);
    import.words.extend(Step::new(&[&"--detector", &"seeta", &"--seed", &seed]).words);
    let grid = places.experiments.join(TWIN_GRID);
    let mut train = Step::new(&[&"ablation", &grid, &"--out", &runs]);
    train.words.extend(Step::new(&[&"--report", &place("report"), &"--jobs", &jobs]).words);
    let overrides = overrides(settings, &manifest, &pack);
    train.words.extend(overrides.iter().flat_map(|set| ["--set".into(), set.into()]));
    let named = |name: &str, folder: &Path| format!("{name}={}", folder.display());
    let mut report = Step::new(&[&"report"]);
    report.words.push(named("clean set", &places.runs).into());
    report.words.push(named("leaky twin", &runs).into());
    report.words.extend(["--audit".into(), named("leaky twin", &audit).into()]);
    report
        .words
        .extend(Step::new(&[&"--title", &"What a leak adds", &"--out", &places.report]).words);
    vec![
        draw,
        import,
        Step::new(&[&"pack", &manifest, &"--out", &pack, &"--margin", &"0.1"]),
        Step::new(&[&"audit", &manifest, &"--out", &audit]),
        train,
        report,
    ]
}

/// Runs every step with `program`; `begin` hears of each before it starts, with the seconds so far.
///
/// # Errors
/// When a step fails or `stop` is set; the same call goes on there.
pub fn run(
    settings: &DemoSettings,
    program: &Path,
    stop: &AtomicBool,
    begin: &dyn Fn(&Step, f64),
) -> Result<Places> {
    let places = Places::below(&settings.out);
    shipped::write(&places.experiments)?;
    let start = Instant::now();
    for step in steps(settings)? {
        begin(&step, start.elapsed().as_secs_f64());
        let status = command(program, &step)
            .status()
            .with_context(|| format!("cannot start {}", program.display()))?;
        if stop.load(Ordering::SeqCst) {
            bail!("stopped; the same command goes on where it was");
        }
        if !status.success() {
            let name = step.words.first().map(|word| word.to_string_lossy().into_owned());
            bail!("the step `{}` failed; the same command goes on there", name.unwrap_or_default());
        }
    }
    Ok(places)
}

fn command(program: &Path, step: &Step) -> Command {
    let mut command = crate::progress::own_command(program);
    command.args(&step.words).stdin(Stdio::null());
    if !step.is_told {
        command.stdout(Stdio::null());
    }
    // SAFETY: prctl is async-signal-safe and touches only the child itself.
    unsafe {
        std::os::unix::process::CommandExt::pre_exec(&mut command, || {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
            Ok(())
        });
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(out: &Path, quick: bool) -> DemoSettings {
        DemoSettings { out: out.to_owned(), seed: 1, jobs: 2, quick }
    }

    fn texts(settings: &DemoSettings) -> Vec<String> {
        shipped::write(&Places::below(&settings.out).experiments).expect("writes");
        let line = |step: &Step| step.words.join(OsStr::new(" ")).to_string_lossy().into_owned();
        steps(settings).expect("reads").iter().map(line).collect()
    }

    #[test]
    fn the_steps_lead_from_clips_to_a_comparison_and_then_to_what_leaks() {
        let dir = tempfile::tempdir().expect("temp dir");
        let all = texts(&settings(dir.path(), false));
        let names: Vec<&str> = all.iter().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(names[..5], ["demo-corpus", "build", "verify", "pack", "ablation"]);
        assert_eq!(
            names[names.len() - 6..],
            ["demo-corpus", "import", "pack", "audit", "ablation", "report"]
        );
        assert!(names.contains(&"compare"));
        assert!(!all[0].contains("--clips-per-class"), "{}", all[0]);
        assert!(all.iter().any(|line| line.contains("evaluate") && line.contains("GLA-1")));
    }

    #[test]
    fn quick_is_smaller_and_nothing_else() {
        let dir = tempfile::tempdir().expect("temp dir");
        let (quick, whole) =
            (texts(&settings(dir.path(), true)), texts(&settings(dir.path(), false)));
        assert_eq!(quick.len(), whole.len());
        assert!(quick[0].contains("--clips-per-class 5"), "{}", quick[0]);
        assert!(quick[4].contains("train.epochs=2"), "{}", quick[4]);
        assert_eq!(quick[1..4], whole[1..4]);
    }

    #[test]
    fn a_failed_step_ends_it_and_says_which() {
        let dir = tempfile::tempdir().expect("temp dir");
        let settings = settings(dir.path(), true);
        let stop = AtomicBool::new(false);
        let seen = std::sync::Mutex::new(0);
        let begin = |_: &Step, _: f64| *seen.lock().expect("lock") += 1;
        let error = run(&settings, Path::new("/bin/false"), &stop, &begin).expect_err("fails");
        assert!(error.to_string().contains("the step `demo-corpus` failed"), "{error}");
        assert_eq!(*seen.lock().expect("lock"), 1);
        run(&settings, Path::new("/bin/true"), &stop, &begin).expect("all steps succeed");
    }
}
