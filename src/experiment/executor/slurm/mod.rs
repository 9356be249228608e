//! Tasks as a Slurm job array, and one job behind it that joins or reports what they made.
//!
//! There is no engine of our own: every task is a list of command lines that may be run again at
//! any time, and Slurm decides where and when. A [`Batch`] has a folder of its own with
//!
//! ```text
//! array.sbatch  LAST.sbatch  submit.sh     what is submitted, and how to do so by hand
//! tasks.json                               name of every number of the array
//! logs/N.log    logs/LAST.log              all attempts of a task
//! state/N       state/LAST                 what the script itself last wrote: one line
//! ```
//!
//! Whether a task is done is read from its results, never from these. Who runs and who waits is
//! asked of squeue by the jobs' names, which follow from the folder's path, so that jobs are found
//! again even when this program died between submitting and noting. No accounting is needed.
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{bail, ensure, Context, Result};
use serde::Serialize;

use super::Task;
use crate::{
    digest,
    folder::{self, Claim, OutputFolder},
};

mod queue;
mod quote;
mod resources;
mod script;
mod task_status;

pub use resources::Resources;
pub use task_status::{TaskStatus, TaskTable};

use script::{Script, ScriptCommand};

/// Asks in vain for the queue before following ends; the jobs themselves go on.
const PATIENCE: usize = 30;

/// Tasks that are to be done somewhere on a cluster, and the job behind them.
pub struct Batch<'a> {
    /// The folder of scripts, logs and states, absolute, on a file system that all nodes see.
    pub folder: PathBuf,
    /// What the batch is for: `build` or `ablation`; a part of the jobs' names.
    pub purpose: &'static str,
    /// What the folder is for: another batch is refused there.
    pub record: serde_json::Value,
    /// The program, absolute.
    pub program: PathBuf,
    /// What relative paths in the commands are relative to, absolute.
    pub workplace: PathBuf,
    /// The tasks; the same name is the same task in every call.
    pub tasks: Vec<Task>,
    /// What comes behind them, whatever became of them.
    pub last: Task,
    /// What a task asks of the cluster.
    pub resources: Resources,
    /// Whether the results of a task (or of `last`) are there.
    pub is_done: &'a dyn Fn(&Task) -> bool,
}

/// What a submission did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Submission {
    /// Tasks that were submitted now.
    pub submitted: usize,
    /// Their array.
    pub array_job: Option<u64>,
    /// The job behind it, when it was submitted now.
    pub last_job: Option<u64>,
}

impl Batch<'_> {
    /// Where every task stands, by results, queue and state files.
    ///
    /// # Errors
    /// When the folder is damaged. A queue that does not answer is told in the table.
    pub fn table(&self) -> Result<TaskTable> {
        let asked = self.ask();
        let (listing, silence) = match asked {
            Ok(listing) => (Some(listing), None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        let numbers = self.numbers()?;
        let row = |task: &Task, name: &str, number: Option<usize>| {
            let key = number.map_or_else(|| task.name.clone(), |n| n.to_string());
            let entry = listing.as_ref().map(|l| l.get(&(name.to_owned(), number)));
            task_status::TaskRow {
                name: task.name.clone(),
                job: entry.flatten().map(|e| e.job),
                status: task_status::of(
                    (self.is_done)(task),
                    entry.map(|found| found.map(|e| &e.phase)),
                    task_status::state_of(&self.folder, &key).as_deref(),
                    || task_status::last_words(&self.folder.join(format!("logs/{key}.log"))),
                ),
            }
        };
        let array = self.job_name(self.purpose);
        let tasks = self.tasks.iter().map(|t| row(t, &array, numbers.get(&t.name).copied()));
        let tasks = tasks.collect();
        let last = row(&self.last, &self.job_name(&self.last.name), None);
        Ok(TaskTable { tasks, last, silence })
    }

    /// Writes the scripts for what is to be done and submits nothing. Returns the folder's files.
    ///
    /// # Errors
    /// When a path is not UTF-8 or the folder cannot be written.
    pub fn write_scripts(&self) -> Result<Vec<PathBuf>> {
        let todo: Vec<&Task> = self.tasks.iter().filter(|t| !(self.is_done)(t)).collect();
        self.write(&self.claim()?, &todo)
    }

    /// Submits the tasks that are neither done nor in the queue, and the job behind them.
    ///
    /// # Errors
    /// When there is no Slurm, when it does not answer or refuses; what was submitted before the
    /// refusal stays, and the same call goes on from there.
    pub fn submit(&self) -> Result<Submission> {
        queue::ensure_installed()?;
        let folder = self.claim()?;
        let table = self.table()?;
        if let Some(silence) = &table.silence {
            bail!("what still runs is not known, so nothing is submitted: {silence}");
        }
        let standings = self.tasks.iter().zip(&table.tasks);
        let todo: Vec<&Task> =
            standings.filter(|(_, row)| row.status.is_to_do()).map(|(task, _)| task).collect();
        if todo.is_empty() && (table.last.status.is_active() || (self.is_done)(&self.last)) {
            return Ok(Submission::default());
        }
        self.write(&folder, &todo)?;
        let mut after: Vec<u64> = table.tasks.iter().filter_map(|row| row.active_job()).collect();
        let mut submission = Submission { submitted: todo.len(), ..Submission::default() };
        if !todo.is_empty() {
            self.forget(&folder, &todo)?;
            let job = queue::submit(&self.folder, "array.sbatch", &[])?;
            submission.array_job = Some(job);
            after.push(job);
        }
        match (&table.last.status, table.last.active_job()) {
            // It would only find the new tasks missing.
            (TaskStatus::Pending { .. }, Some(old)) => queue::cancel(old),
            (_, Some(running)) => after.push(running),
            _ => {}
        }
        after.sort_unstable();
        after.dedup();
        self.forget(&folder, &[&self.last])?;
        let job = queue::submit(&self.folder, &self.last_script(), &after).with_context(|| {
            let tasks = submission.array_job.map_or(String::new(), |a| format!(" (array job {a})"));
            format!(
                "the tasks are submitted{tasks}, the job `{}` behind them is not; the same command \
                 submits it",
                self.last.name
            )
        })?;
        submission.last_job = Some(job);
        Ok(submission)
    }

    /// Watches until nothing of the batch is in the queue any more, telling every change.
    ///
    /// # Errors
    /// When the queue does not answer for long; the jobs go on.
    pub fn follow(&self, mut changed: impl FnMut(&task_status::TaskRow)) -> Result<TaskTable> {
        let mut before: BTreeMap<String, TaskStatus> = BTreeMap::new();
        let mut in_vain = 0;
        loop {
            let table = self.table()?;
            in_vain = if table.silence.is_some() { in_vain + 1 } else { 0 };
            if let Some(silence) = table.silence.as_ref().filter(|_| in_vain >= PATIENCE) {
                bail!("the jobs go on, but nobody tells where they stand: {silence}");
            }
            if in_vain == 0 {
                for row in table.tasks.iter().chain([&table.last]) {
                    if before.insert(row.name.clone(), row.status.clone())
                        != Some(row.status.clone())
                    {
                        changed(row);
                    }
                }
                if !table.is_active() {
                    return Ok(table);
                }
            }
            std::thread::sleep(Duration::from_secs(self.resources.poll_seconds.into()));
        }
    }

    fn ask(&self) -> Result<queue::Listing> {
        queue::ask([&self.job_name(self.purpose), &self.job_name(&self.last.name)])
    }

    /// The same for the same folder, and of no other.
    fn job_name(&self, purpose: &str) -> String {
        let digest = digest::sha256_hex(self.folder.as_os_str().as_encoded_bytes());
        format!("ncaers-{purpose}-{}", &digest[..8])
    }

    fn last_script(&self) -> String {
        format!("{}.sbatch", self.last.name)
    }

    /// The number in the array of every task that ever had one.
    fn numbers(&self) -> Result<BTreeMap<String, usize>> {
        let path = self.folder.join("tasks.json");
        let Ok(text) = fs::read(&path) else { return Ok(BTreeMap::new()) };
        let names: Vec<String> = serde_json::from_slice(&text)
            .with_context(|| format!("{} is damaged; remove the folder", path.display()))?;
        Ok(names.into_iter().zip(1..).collect())
    }

    /// Gives new tasks the next numbers; a task keeps its number for good, since jobs in the queue
    /// and logs know it by that.
    fn number(&self, folder: &OutputFolder) -> Result<BTreeMap<String, usize>> {
        let mut numbers = self.numbers()?;
        for task in &self.tasks {
            let next = numbers.len() + 1;
            numbers.entry(task.name.clone()).or_insert(next);
        }
        let mut names: Vec<(usize, &String)> = numbers.iter().map(|(n, i)| (*i, n)).collect();
        names.sort_unstable();
        let names: Vec<&String> = names.into_iter().map(|(_, name)| name).collect();
        folder.write_json("tasks.json", &names)?;
        Ok(numbers)
    }

    fn claim(&self) -> Result<OutputFolder> {
        match folder::claim(&self.folder, &self.record)? {
            Claim::Fresh(folder) | Claim::Resume(folder) => Ok(folder),
            Claim::Done => bail!("{} is no folder of a batch", self.folder.display()),
        }
    }

    fn write(&self, folder: &OutputFolder, todo: &[&Task]) -> Result<Vec<PathBuf>> {
        let numbers = self.number(folder)?;
        // The scripts write these themselves.
        let keys = numbers.values().map(usize::to_string).chain([self.last.name.clone()]);
        for key in keys {
            folder.target(format!("logs/{key}.log"))?;
            folder.target(format!("state/{key}"))?;
        }
        let mut array: Vec<(usize, &Task)> = todo.iter().map(|t| (numbers[&t.name], *t)).collect();
        array.sort_unstable_by_key(|(number, _)| *number);
        let last = ScriptCommand::Single(&self.last.name, &self.last);
        let mut files = Vec::new();
        let mut put = |name: &str, text: String| {
            files.push(self.folder.join(name));
            folder.write(name, text.as_bytes())
        };
        if !array.is_empty() {
            put("array.sbatch", self.script(self.purpose, ScriptCommand::Array(array))?)?;
        }
        put(&self.last_script(), self.script(&self.last.name, last)?)?;
        put("submit.sh", script::by_hand(&self.folder, "array.sbatch", &self.last_script())?)?;
        Ok(files)
    }

    fn script(&self, purpose: &str, work: ScriptCommand<'_>) -> Result<String> {
        let paths = [&self.program, &self.workplace, &self.folder];
        ensure!(paths.iter().all(|path| path.is_absolute()), "a path of the batch is not absolute");
        Script {
            name: &self.job_name(purpose),
            program: &self.program,
            workplace: &self.workplace,
            folder: &self.folder,
            resources: &self.resources,
            work,
        }
        .text()
    }

    /// Removes what earlier attempts said of tasks that are about to be submitted.
    fn forget(&self, folder: &OutputFolder, tasks: &[&Task]) -> Result<()> {
        let numbers = self.numbers()?;
        let key = |task: &&Task| {
            let key = numbers.get(&task.name).map_or(task.name.clone(), usize::to_string);
            Path::new("state").join(key)
        };
        let said: BTreeSet<PathBuf> = tasks.iter().map(key).collect();
        folder.retain(|name| !said.contains(name))?;
        // The scripts are going to write them again.
        said.iter().try_for_each(|name| folder.target(name).map(drop))
    }
}

/// The folder of a batch that fills `out`: beside it, so that `out` holds results alone.
///
/// # Errors
/// When the path cannot be made absolute or has no name.
pub fn folder_beside(out: &Path) -> Result<PathBuf> {
    let out =
        std::path::absolute(out).with_context(|| format!("cannot resolve {}", out.display()))?;
    let mut name =
        out.file_name().with_context(|| format!("{} has no name", out.display()))?.to_owned();
    name.push(".slurm");
    Ok(out.with_file_name(name))
}

/// What Slurm's word for a job's end means and what to do about it.
fn meaning(word: &str) -> &str {
    match word {
        "OUT_OF_MEMORY" => "out of memory; ask for more with --memory",
        "NODE_FAIL" => "the node failed",
        "BOOT_FAIL" => "the node did not start",
        "TIMEOUT" => "met its time limit before it had saved; ask for more with --time",
        "CANCELLED" => "cancelled",
        "PREEMPTED" => "preempted",
        "DEADLINE" => "met its deadline",
        other => other,
    }
}
