//! What squeue says, and how sbatch and scancel are called.
use std::{collections::BTreeMap, path::Path, process::Command};

use anyhow::{bail, ensure, Context, Result};

/// Fields that are asked for: job (array job and number), name, state, reason.
const FORMAT: &str = "%i|%j|%T|%r";

/// Where a job stands for Slurm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waits, with Slurm's reason.
    Pending(String),
    /// Runs, or is about to begin or end.
    Running,
    /// Is over, with Slurm's word for how.
    Ended(String),
}

/// A job or a task of an array as squeue lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct QueueEntry {
    /// The job, or the array that the task belongs to.
    pub job: u64,
    pub phase: Phase,
}

/// The latest job of every task: by job name and number in the array.
pub(super) type Listing = BTreeMap<(String, Option<usize>), QueueEntry>;

/// Reads lines of [`FORMAT`]; of two jobs for one task the later counts.
///
/// # Errors
/// When a line is of another form.
pub(super) fn parse(text: &str) -> Result<Listing> {
    let mut listing = Listing::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.trim().splitn(4, '|').collect();
        let [id, name, state, reason] = fields[..] else { bail!("squeue says `{line}`") };
        let (job, numbers) = numbers(id).with_context(|| format!("squeue says `{line}`"))?;
        for number in numbers {
            let entry = QueueEntry { job, phase: phase(state, reason) };
            let slot = listing.entry((name.to_owned(), number)).or_insert_with(|| entry.clone());
            if slot.job <= job {
                *slot = entry;
            }
        }
    }
    Ok(listing)
}

/// `12`, `12_3` or `12_[3-5,7%2]`.
fn numbers(id: &str) -> Option<(u64, Vec<Option<usize>>)> {
    let Some((job, rest)) = id.split_once('_') else {
        return Some((id.parse().ok()?, vec![None]));
    };
    let inner = rest.trim_start_matches('[').trim_end_matches(']');
    let inner = inner.split('%').next()?;
    let mut all = Vec::new();
    for part in inner.split(',') {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        all.extend((low.parse().ok()?..=high.parse().ok()?).map(Some));
    }
    Some((job.parse().ok()?, all))
}

fn phase(state: &str, reason: &str) -> Phase {
    match state {
        "PENDING" | "REQUEUED" | "REQUEUE_HOLD" | "REQUEUE_FED" | "SPECIAL_EXIT"
        | "RESV_DEL_HOLD" => Phase::Pending(reason.to_owned()),
        "COMPLETED" | "FAILED" | "CANCELLED" | "TIMEOUT" | "NODE_FAIL" | "PREEMPTED"
        | "OUT_OF_MEMORY" | "BOOT_FAIL" | "DEADLINE" | "REVOKED" | "LAUNCH_FAILED" => {
            Phase::Ended(state.to_owned())
        }
        // A word that we do not know is no proof that nothing runs.
        _ => Phase::Running,
    }
}

/// Asks for the jobs with these names, those that ended lately included.
///
/// # Errors
/// When there is no squeue, or it does not answer: then nothing is known about any job.
pub(super) fn ask(names: [&str; 2]) -> Result<Listing> {
    let mut command = Command::new("squeue");
    // SAFETY: getuid cannot fail and touches nothing.
    let user = unsafe { libc::getuid() };
    command.args(["--noheader", "--array", "--states=all", "--format", FORMAT]);
    command.args([format!("--user={user}"), format!("--name={}", names.join(","))]);
    parse(&said(command, "squeue")?)
}

/// Submits a script of `folder` behind the jobs `after` and returns the new job.
///
/// # Errors
/// When Slurm refuses; says why.
pub(super) fn submit(folder: &Path, script: &str, after: &[u64]) -> Result<u64> {
    let mut command = Command::new("sbatch");
    command.current_dir(folder).arg("--parsable");
    if !after.is_empty() {
        let jobs: Vec<String> = after.iter().map(u64::to_string).collect();
        command.arg(format!("--dependency=afterany:{}", jobs.join(":")));
    }
    command.arg(script);
    let said = said(command, "sbatch")?;
    let job = said.lines().last().unwrap_or_default().split(';').next().unwrap_or_default();
    job.trim().parse().with_context(|| format!("sbatch says `{}`", said.trim()))
}

/// Takes a job out of the queue; one that is gone already is no failure.
pub(super) fn cancel(job: u64) {
    let mut command = Command::new("scancel");
    command.arg(job.to_string());
    if let Err(error) = said(command, "scancel") {
        crate::progress::message(&format!("note: job {job} stays in the queue: {error:#}"));
    }
}

/// Whether the programs of Slurm are here.
///
/// # Errors
/// When they are not.
pub(super) fn ensure_installed() -> Result<()> {
    let mut command = Command::new("sbatch");
    command.arg("--version");
    said(command, "sbatch").map(|_| ())
}

fn said(mut command: Command, name: &str) -> Result<String> {
    let out = match command.output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => bail!(
            "{name} is not on the PATH, so this is no machine of a Slurm cluster; go to its login \
             node (--scripts-only writes the scripts to look at)"
        ),
        other => other.with_context(|| format!("cannot run {name}"))?,
    };
    let errors = String::from_utf8_lossy(&out.stderr).into_owned();
    let words: Vec<&str> = errors.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    ensure!(out.status.success(), "{name} refused: {}", words.join("; "));
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_line_is_read_and_the_later_job_counts() {
        let text = "7_1|a|FAILED|NonZeroExitCode\n12_1|a|RUNNING|None\n9_2|a|NODE_FAIL|NodeDown\n\
                    12_[3-4,6%2]|a|PENDING|JobArrayTaskLimit\n13|b|PENDING|Dependency\n\n\
                    14|c|SOMETHING_NEW|None\n";
        let listing = parse(text).expect("parses");
        let of = |name: &str, number| listing[&(name.to_owned(), number)].clone();
        assert_eq!(of("a", Some(1)), QueueEntry { job: 12, phase: Phase::Running });
        assert_eq!(
            of("a", Some(2)),
            QueueEntry { job: 9, phase: Phase::Ended("NODE_FAIL".into()) }
        );
        for number in [3, 4, 6] {
            assert_eq!(of("a", Some(number)).phase, Phase::Pending("JobArrayTaskLimit".into()));
        }
        assert_eq!(of("b", None).phase, Phase::Pending("Dependency".into()));
        assert_eq!(of("c", None).phase, Phase::Running);
        assert_eq!(listing.len(), 7);
        let reversed: Vec<&str> = text.lines().rev().collect();
        assert_eq!(parse(&reversed.join("\n")).expect("parses"), listing);
    }

    #[test]
    fn other_lines_are_refused() {
        for line in ["slurm_load_jobs error", "x|a|RUNNING|None", "1_[a]|a|RUNNING|None"] {
            assert!(parse(line).expect_err("refused").to_string().contains(line));
        }
    }
}
