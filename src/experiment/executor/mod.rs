//! Who runs the tasks of a grid or a build. A task is a list of command lines of this program,
//! each resumable by being run again; an executor only decides where and when they run.
//! [`Local`] runs them here and waits; [`slurm::Batch`] hands them to a cluster, which goes on
//! when this process has ended.
use std::{
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        Mutex,
    },
    time::Instant,
};

use anyhow::{bail, Context, Result};
use serde::{Deserialize, Serialize};

pub mod array;
mod placement;
pub mod shards;
pub mod slurm;

pub use placement::Placement;

/// One cell of a grid as command lines, run one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Name of the run's folder.
    pub name: String,
    /// Arguments of this program, one list per command.
    pub commands: Vec<Vec<OsString>>,
    /// Where their output goes.
    pub log: PathBuf,
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum TaskOutcome {
    /// All commands succeeded.
    Done {
        /// Wall seconds.
        seconds: f64,
    },
    /// A command failed; the grid goes on.
    Failed {
        /// Its last error line.
        error: String,
    },
    /// The grid was stopped before.
    NotStarted,
}

/// Runs tasks somewhere.
pub trait Executor {
    /// Runs every task and returns their outcomes in the tasks' order; `ended` is told of each as
    /// it ends, from any thread.
    fn run(&self, tasks: &[Task], ended: &(dyn Fn(&Task, &TaskOutcome) + Sync))
        -> Vec<TaskOutcome>;
}

/// Child processes on this machine.
pub struct Local<'a> {
    /// The program to start: this one.
    pub program: PathBuf,
    /// Tasks at a time, at least 1.
    pub jobs: usize,
    /// Set to start no further task.
    pub stop: &'a AtomicBool,
    /// The GPUs that the tasks are spread over.
    pub placement: Placement,
}

impl Executor for Local<'_> {
    fn run(
        &self,
        tasks: &[Task],
        ended: &(dyn Fn(&Task, &TaskOutcome) + Sync),
    ) -> Vec<TaskOutcome> {
        let next = AtomicUsize::new(0);
        let outcomes = Mutex::new(vec![TaskOutcome::NotStarted; tasks.len()]);
        let worker = |number: usize| loop {
            let at = next.fetch_add(1, Ordering::SeqCst);
            let Some(task) = tasks.get(at) else { return };
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            let outcome = self.run_task(task, number);
            ended(task, &outcome);
            outcomes.lock().expect("no worker panics while it holds the lock")[at] = outcome;
        };
        std::thread::scope(|scope| {
            for number in 0..self.jobs.clamp(1, tasks.len().max(1)) {
                let worker = &worker;
                scope.spawn(move || worker(number));
            }
        });
        outcomes.into_inner().expect("all workers have ended")
    }
}

impl Local<'_> {
    fn run_task(&self, task: &Task, worker: usize) -> TaskOutcome {
        let start = Instant::now();
        match self.run_commands(task, worker) {
            Ok(()) => TaskOutcome::Done { seconds: start.elapsed().as_secs_f64() },
            Err(error) => TaskOutcome::Failed { error: format!("{error:#}") },
        }
    }

    fn run_commands(&self, task: &Task, worker: usize) -> Result<()> {
        if let Some(folder) = task.log.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make folder {}", folder.display()))?;
        }
        let log = File::create(&task.log)
            .with_context(|| format!("cannot write {}", task.log.display()))?;
        for arguments in &task.commands {
            let mut child = self.spawn(arguments, &log, worker)?;
            let status = child.wait().context("cannot wait for a run")?;
            if !status.success() {
                bail!(last_error(&task.log).unwrap_or_else(|| format!("ended with {status}")));
            }
        }
        Ok(())
    }

    fn spawn(&self, arguments: &[OsString], log: &File, worker: usize) -> Result<Child> {
        let mut command = Command::new(&self.program);
        command.envs(self.placement.variable(worker));
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log.try_clone()?);
        // A run must not outlive the grid that waits for it: it would hold its folder's lock.
        // SAFETY: prctl is async-signal-safe and touches only the child itself.
        unsafe {
            std::os::unix::process::CommandExt::pre_exec(&mut command, || {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
                Ok(())
            });
        }
        command.spawn().with_context(|| format!("cannot start {}", self.program.display()))
    }
}

/// The last `error:` line of a log, without the word.
fn last_error(log: &Path) -> Option<String> {
    let text = fs::read_to_string(log).ok()?;
    text.lines().rev().find_map(|line| line.strip_prefix("error: ").map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shell stands in for the program, so that scheduling is tested without training.
    fn shell<'a>(jobs: usize, stop: &'a AtomicBool) -> Local<'a> {
        Local { program: "/bin/sh".into(), jobs, stop, placement: Placement::default() }
    }

    fn task(folder: &Path, name: &str, scripts: &[&str]) -> Task {
        let commands = scripts.iter().map(|s| vec!["-c".into(), (*s).into()]).collect();
        Task { name: name.into(), commands, log: folder.join(format!("{name}.log")) }
    }

    #[test]
    fn a_failed_task_is_a_row_and_the_others_go_on() {
        let dir = tempfile::tempdir().expect("temp dir");
        let tasks = [
            task(dir.path(), "good", &["true", "echo fine"]),
            task(dir.path(), "bad", &["echo 'error: no pack' >&2; exit 1", "touch never"]),
            task(dir.path(), "killed", &["kill -9 $$"]),
            task(dir.path(), "last", &["true"]),
        ];
        let stop = AtomicBool::new(false);
        let seen = Mutex::new(Vec::new());
        let outcomes = shell(2, &stop).run(&tasks, &|task, _| {
            seen.lock().expect("lock").push(task.name.clone());
        });
        assert!(matches!(outcomes[0], TaskOutcome::Done { .. }));
        assert_eq!(outcomes[1], TaskOutcome::Failed { error: "no pack".into() });
        assert!(
            matches!(&outcomes[2], TaskOutcome::Failed { error } if error.contains("signal: 9"))
        );
        assert!(matches!(outcomes[3], TaskOutcome::Done { .. }));
        assert_eq!(seen.lock().expect("lock").len(), 4);
        assert_eq!(fs::read_to_string(&tasks[0].log).expect("log"), "fine\n");
    }

    #[test]
    fn every_worker_has_a_gpu_of_its_own() {
        let dir = tempfile::tempdir().expect("temp dir");
        // Each waits for the other, so that two workers are at it.
        let wait = "touch $0; for i in $(seq 500); do [ -e $1 ] && break; sleep 0.01; done";
        let script = |own: &str, other: &str| {
            let path = |name: &str| dir.path().join(name).display().to_string();
            let wait = wait.replace("$0", &path(own)).replace("$1", &path(other));
            format!("{wait}; echo $CUDA_VISIBLE_DEVICES")
        };
        let tasks = [
            task(dir.path(), "a", &[&script("a", "b")]),
            task(dir.path(), "b", &[&script("b", "a")]),
        ];
        let stop = AtomicBool::new(false);
        let local = Local { placement: Placement::of(Some("3,5"), 2), ..shell(2, &stop) };
        local.run(&tasks, &|_, _| ());
        let mut seen: Vec<String> = tasks
            .iter()
            .map(|task| fs::read_to_string(&task.log).expect("log").trim().to_owned())
            .collect();
        seen.sort();
        assert_eq!(seen, ["3", "5"]);
    }

    #[test]
    fn nothing_starts_after_a_stop() {
        let dir = tempfile::tempdir().expect("temp dir");
        let tasks = [task(dir.path(), "a", &["true"]), task(dir.path(), "b", &["true"])];
        let stop = AtomicBool::new(false);
        let outcomes = shell(1, &stop).run(&tasks, &|_, _| stop.store(true, Ordering::SeqCst));
        assert!(matches!(outcomes[0], TaskOutcome::Done { .. }));
        assert_eq!(outcomes[1], TaskOutcome::NotStarted);
    }
}
