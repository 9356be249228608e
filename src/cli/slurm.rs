//! `--executor slurm` of `build` and `ablation`: flags, submission, following, and the table.
use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::{bail, Context, Result};
use clap::CommandFactory as _;
use serde_json::{json, Value};

use super::{Cli, Done, Usage};
use crate::experiment::executor::{
    slurm::{Batch, Resources, TaskStatus, TaskTable},
    Task,
};

/// Where the parts of the work run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum JobPlace {
    /// Here, in this process and its children
    Local,
    /// On a cluster, as tasks of a Slurm job array
    Slurm,
}

/// What `--executor slurm` asks of the cluster; a flag wins over the table `[slurm]`
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "On a cluster")]
pub(super) struct SlurmArgs {
    /// Where the parts run: local, or slurm (a job array, and one job behind it)
    #[arg(long, value_enum, default_value = "local", value_name = "WHERE")]
    executor: JobPlace,
    /// TOML file whose table [slurm] names the resources
    #[arg(long, value_name = "FILE")]
    slurm: Option<PathBuf>,
    /// Partition, or several separated by commas
    #[arg(long, value_name = "NAME")]
    partition: Option<String>,
    /// Account that is charged
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// GPUs of a task, such as 1 or a100:1
    #[arg(long, value_name = "N")]
    gpus: Option<String>,
    /// CPU cores of a task: worker processes of a build, threads of a run
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    cpus: Option<u32>,
    /// Memory of a task, such as 8G
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    /// Time limit of a task, such as 04:00:00; a task that meets it saves and is queued again
    #[arg(long, value_name = "TIME")]
    time: Option<String>,
    /// Module to load; may be given several times
    #[arg(long = "module", value_name = "NAME")]
    modules: Vec<String>,
    /// Tasks that may run at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    parallel: Option<u32>,
    /// Wait until the jobs have ended, and report every change
    #[arg(long)]
    wait: bool,
    /// Only show the state of every task
    #[arg(long, conflicts_with = "wait")]
    status: bool,
    /// Only write the scripts, to be looked at or submitted by hand
    #[arg(long, conflicts_with_all = ["wait", "status"])]
    scripts_only: bool,
}

impl SlurmArgs {
    /// Whether the work goes to a cluster.
    ///
    /// # Errors
    /// When a flag for the cluster is given without.
    pub fn is_asked(&self) -> Result<bool> {
        let flags = [
            ("--slurm", self.slurm.is_some()),
            ("--partition", self.partition.is_some()),
            ("--account", self.account.is_some()),
            ("--gpus", self.gpus.is_some()),
            ("--cpus", self.cpus.is_some()),
            ("--memory", self.memory.is_some()),
            ("--time", self.time.is_some()),
            ("--module", !self.modules.is_empty()),
            ("--parallel", self.parallel.is_some()),
            ("--wait", self.wait),
            ("--status", self.status),
            ("--scripts-only", self.scripts_only),
        ];
        match (self.executor, flags.iter().find(|(_, given)| *given)) {
            (JobPlace::Slurm, _) => Ok(true),
            (JobPlace::Local, None) => Ok(false),
            (JobPlace::Local, Some((flag, _))) => {
                Err(Usage(format!("{flag} is for --executor slurm")).into())
            }
        }
    }

    #[cfg(feature = "torch")]
    /// Whether nothing is to be begun: the flags only ask or write scripts.
    pub fn only_asks(&self) -> bool {
        self.status || self.scripts_only
    }

    /// Flags over the file of `--slurm` over `table`.
    ///
    /// # Errors
    /// When a key or value cannot be, or the file cannot be read.
    pub fn resources(&self, table: &Value) -> Result<Resources> {
        let table = match &self.slurm {
            Some(path) => Resources::table_of(path)?,
            None => table.clone(),
        };
        let mut resources = Resources::of(&table)?;
        let put = |place: &mut Option<String>, flag: &Option<String>| {
            if flag.is_some() {
                place.clone_from(flag);
            }
        };
        put(&mut resources.partition, &self.partition);
        put(&mut resources.account, &self.account);
        put(&mut resources.gpus, &self.gpus);
        put(&mut resources.memory, &self.memory);
        put(&mut resources.time, &self.time);
        resources.cpus = self.cpus.unwrap_or(resources.cpus);
        resources.parallel = self.parallel.or(resources.parallel);
        if !self.modules.is_empty() {
            resources.modules.clone_from(&self.modules);
        }
        resources.check()?;
        Ok(resources)
    }
}

/// Tasks, the job behind them, and how one knows that they are done.
pub(super) struct BatchWork<'a> {
    /// `build` or `ablation`.
    pub purpose: &'static str,
    /// The batch's folder.
    pub folder: PathBuf,
    /// The tasks.
    pub tasks: Vec<Task>,
    /// The job behind them.
    pub last: Task,
    /// Whether a task's results are there.
    pub is_done: &'a dyn Fn(&Task) -> bool,
    /// What the folder is for: another batch is refused there.
    pub record: Value,
    /// What the whole makes.
    pub result: &'a Path,
}

/// Writes, submits, follows or tells, as the flags ask.
pub(super) fn run(args: &SlurmArgs, resources: Resources, work: BatchWork<'_>) -> Result<Done> {
    let batch = Batch {
        folder: work.folder,
        purpose: work.purpose,
        record: work.record,
        program: std::env::current_exe().context("cannot find this program's own file")?,
        workplace: std::env::current_dir().context("cannot find the working folder")?,
        tasks: work.tasks,
        last: work.last,
        resources,
        is_done: work.is_done,
    };
    if args.status {
        return Ok(summary(&batch.table()?));
    }
    if args.scripts_only {
        return written(&batch);
    }
    let submission = batch.submit()?;
    let jobs: Vec<String> =
        [submission.array_job, submission.last_job].iter().flatten().map(u64::to_string).collect();
    let said = match submission.submitted {
        0 if jobs.is_empty() => "nothing to submit".to_owned(),
        n => format!("submitted {n} of {} tasks (jobs {})", batch.tasks.len(), jobs.join(", ")),
    };
    if !args.wait {
        let table = batch.table()?;
        let text = format!("{said}; ask with --status\n\n{}", table.text());
        return Ok(Done { text, json: json!({"submission": submission, "table": table}), exit: 0 });
    }
    crate::progress::message(&format!("{said}; Ctrl-C ends the watching, not the jobs"));
    let table = batch.follow(|row| {
        let detail = row.status.detail();
        let colon = if detail.is_empty() { "" } else { ": " };
        crate::progress::message(&format!("{}: {}{colon}{detail}", row.name, row.status.word()));
    })?;
    ended(&table, work.result)
}

fn summary(table: &TaskTable) -> Done {
    Done { text: table.text(), json: json!({"table": table}), exit: 0 }
}

fn written(batch: &Batch<'_>) -> Result<Done> {
    let files = batch.write_scripts()?;
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let text = format!(
        "{}\nnothing was submitted; bash {} does so",
        names.join("\n"),
        batch.folder.join("submit.sh").display()
    );
    Ok(Done { text, json: json!({"scripts": names}), exit: 0 })
}

/// The end of a `--wait`: what is there, or what failed.
fn ended(table: &TaskTable, result: &Path) -> Result<Done> {
    let failed: Vec<String> = table
        .tasks
        .iter()
        .chain([&table.last])
        .filter(|row| row.status != TaskStatus::Done)
        .map(|row| format!("{}: {} {}", row.name, row.status.word(), row.status.detail()))
        .collect();
    if !failed.is_empty() {
        crate::progress::message(&table.text());
        bail!("{}; the same command submits again what is missing", failed.join("; "));
    }
    let text = format!("{} tasks done: {}", table.tasks.len(), result.display());
    Ok(Done { text, json: json!({"table": table}), exit: 0 })
}

/// The words of this process's command line from the command on, without the flags that say where
/// it runs and without `also` (long names). So a task gets every other flag, known here or not.
pub(super) fn own_words(command: &str, also: &[&str]) -> Vec<OsString> {
    let all = Cli::command();
    let command = all.find_subcommand(command).expect("a command of this program");
    let cluster = <SlurmArgs as clap::Args>::augment_args(clap::Command::new("cluster"));
    let mut drop: BTreeSet<&str> = also.iter().copied().chain(["json"]).collect();
    drop.extend(cluster.get_arguments().filter_map(clap::Arg::get_long));
    let takes_value = |name: &str| {
        let known = command.get_arguments().find(|a| a.get_long() == Some(name));
        known.is_some_and(|a| a.get_action().takes_values())
    };
    without(std::env::args_os().skip(1), &drop, &takes_value)
}

fn without(
    words: impl Iterator<Item = OsString>,
    drop: &BTreeSet<&str>,
    takes_value: &dyn Fn(&str) -> bool,
) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut words = words.peekable();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy().into_owned();
        let flag = text.strip_prefix("--").map(|f| f.split_once('=').unwrap_or((f, "")));
        match flag {
            Some((name, _)) if drop.contains(name) => {
                if takes_value(name) && !text.contains('=') {
                    words.next();
                }
            }
            Some((name, _)) if takes_value(name) && !text.contains('=') => {
                kept.push(word);
                kept.extend(words.next());
            }
            _ => kept.push(word),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_dropped_with_their_values_and_values_are_no_flags() {
        let words =
            "build --wait --out=a --corpus --out --cpus 3 --seed 1 x --time=9 --fast --out b";
        let drop = BTreeSet::from(["wait", "out", "cpus", "time"]);
        let takes = |name: &str| !["wait", "fast"].contains(&name);
        let kept = without(words.split(' ').map(OsString::from), &drop, &takes);
        assert_eq!(kept, ["build", "--corpus", "--out", "--seed", "1", "x", "--fast"]);
    }
}
