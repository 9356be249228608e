//! Where tasks stand: results first, then the queue, then what the scripts wrote.
use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use serde::Serialize;

use super::{meaning, queue::Phase};

/// Bytes of a log's end in which its last words are looked for.
const TAIL: u64 = 1 << 16;
/// What begins the log of every attempt.
const ATTEMPT: &str = "--- task ";

/// Where a task stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum TaskStatus {
    /// Its results are there.
    Done,
    /// In the queue.
    Pending {
        /// Slurm's reason, such as `Resources` or `Dependency`.
        reason: String,
    },
    /// At work.
    Running {
        /// Where, as far as its script has said so.
        node: Option<String>,
    },
    /// Over without a result.
    Failed {
        /// Why: what Slurm says and the last line of its log.
        error: String,
    },
    /// Never submitted.
    ToDo,
    /// The queue does not answer, and there is no result.
    Unknown,
}

impl TaskStatus {
    /// One word for tables.
    pub fn word(&self) -> &'static str {
        match self {
            TaskStatus::Done => "done",
            TaskStatus::Pending { .. } => "pending",
            TaskStatus::Running { .. } => "running",
            TaskStatus::Failed { .. } => "failed",
            TaskStatus::ToDo => "to do",
            TaskStatus::Unknown => "unknown",
        }
    }

    /// Why it stands so; empty when there is nothing to say.
    pub fn detail(&self) -> &str {
        match self {
            TaskStatus::Pending { reason } => reason,
            TaskStatus::Running { node } => node.as_deref().unwrap_or_default(),
            TaskStatus::Failed { error } => error,
            TaskStatus::Done | TaskStatus::ToDo | TaskStatus::Unknown => "",
        }
    }

    pub(super) fn is_active(&self) -> bool {
        matches!(self, TaskStatus::Pending { .. } | TaskStatus::Running { .. })
    }

    pub(super) fn is_to_do(&self) -> bool {
        matches!(self, TaskStatus::ToDo | TaskStatus::Failed { .. })
    }
}

/// A line of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaskRow {
    /// The task.
    pub name: String,
    /// Its latest job, when Slurm still knows it.
    pub job: Option<u64>,
    /// Where it stands.
    #[serde(flatten)]
    pub status: TaskStatus,
}

impl TaskRow {
    /// The job, when it waits or runs.
    pub(super) fn active_job(&self) -> Option<u64> {
        self.job.filter(|_| self.status.is_active())
    }
}

/// Where all tasks of a batch stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaskTable {
    /// The tasks.
    pub tasks: Vec<TaskRow>,
    /// The job behind them.
    pub last: TaskRow,
    /// Why the queue could not be asked.
    pub silence: Option<String>,
}

impl TaskTable {
    /// Whether anything waits or runs.
    pub fn is_active(&self) -> bool {
        self.tasks.iter().chain([&self.last]).any(|row| row.status.is_active())
    }

    /// Tasks in a state, by its word.
    pub fn count(&self, word: &str) -> usize {
        self.tasks.iter().filter(|row| row.status.word() == word).count()
    }

    /// The table as text, with the counts below.
    pub fn text(&self) -> String {
        let rows = || self.tasks.iter().chain([&self.last]);
        let width = rows().map(|row| row.name.chars().count()).max().unwrap_or(0).max(4);
        let mut text = format!("{:width$}  {:7}  {:>8}  why or where\n", "task", "state", "job");
        for row in rows() {
            let job = row.job.map_or_else(String::new, |job| job.to_string());
            let (word, detail) = (row.status.word(), row.status.detail());
            let line = format!("{:width$}  {word:7}  {job:>8}  {detail}", row.name);
            text += line.trim_end();
            text.push('\n');
        }
        let words = ["done", "running", "pending", "failed", "to do", "unknown"];
        let counts = words.map(|word| (self.count(word), word));
        let told = counts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}"));
        text += &format!("{} of {} tasks", told.collect::<Vec<_>>().join(", "), self.tasks.len());
        if let Some(silence) = &self.silence {
            text += &format!("\nfrom files alone: {silence}");
        }
        text
    }
}

/// Where a task stands. `entry` is `None` when the queue could not be asked, `Some(None)` when it
/// knows nothing of the task; `state` is the line of its script; `words` reads its log.
pub(super) fn of(
    is_done: bool,
    entry: Option<Option<&Phase>>,
    state: Option<&str>,
    words: impl Fn() -> Option<String>,
) -> TaskStatus {
    if is_done {
        return TaskStatus::Done;
    }
    let said: Vec<&str> = state.unwrap_or_default().split_whitespace().collect();
    let failed = |why: &str| {
        let error = match words() {
            Some(words) if why.is_empty() => words,
            Some(words) => format!("{why}: {words}"),
            None if why.is_empty() => "ended without a word".to_owned(),
            None => why.to_owned(),
        };
        TaskStatus::Failed { error }
    };
    match (entry, &said[..]) {
        (None, _) => TaskStatus::Unknown,
        (Some(Some(Phase::Pending(reason))), _) => TaskStatus::Pending { reason: reason.clone() },
        (Some(Some(Phase::Running)), ["running", _, node]) => {
            TaskStatus::Running { node: Some((*node).to_owned()) }
        }
        (Some(Some(Phase::Running)), _) => TaskStatus::Running { node: None },
        // Its own word for a plain failure says less than the program's.
        (Some(Some(Phase::Ended(word))), _) if !["FAILED", "COMPLETED"].contains(&&**word) => {
            failed(meaning(word))
        }
        (_, ["failed", "137"]) => failed("killed, perhaps for want of memory"),
        (_, ["failed", _]) => failed(""),
        (_, ["running", job, node]) => failed(&format!(
            "job {job} vanished from {node}: the node failed, or the job was killed"
        )),
        (_, ["requeued"]) => failed("vanished when it was to be queued again"),
        (_, ["done"]) => failed("has ended well, but its result is not there"),
        (Some(Some(Phase::Ended(_))), _) => failed(""),
        (Some(None), _) => TaskStatus::ToDo,
    }
}

/// The line that a task's script last wrote.
pub(super) fn state_of(folder: &Path, key: &str) -> Option<String> {
    fs::read_to_string(folder.join("state").join(key)).ok().map(|line| line.trim().to_owned())
}

/// What the last attempt in a log ends with: the program's last error, else Slurm's, else the last
/// line.
pub(super) fn last_words(log: &Path) -> Option<String> {
    let mut file = File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL))).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let attempt = text.rfind(ATTEMPT).map_or(0, |at| at + text[at..].find('\n').unwrap_or(0));
    let lines = || text[attempt..].lines().rev().map(str::trim).filter(|line| !line.is_empty());
    let error = lines().find_map(|line| line.strip_prefix("error: "));
    let slurm = || lines().find(|line| line.starts_with("slurmstepd") || line.starts_with("srun"));
    error.or_else(slurm).or_else(|| lines().next()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending() -> Phase {
        Phase::Pending("Priority".into())
    }

    fn ended(word: &str) -> Phase {
        Phase::Ended(word.into())
    }

    fn failed(entry: Option<&Phase>, state: Option<&str>, log: Option<&str>) -> String {
        match of(false, Some(entry), state, || log.map(str::to_owned)) {
            TaskStatus::Failed { error } => error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn results_win_over_the_queue_and_the_queue_over_files() {
        let of = |done, entry, state| of(done, entry, state, || None);
        let waiting = pending();
        assert_eq!(of(true, Some(Some(&waiting)), Some("failed 1")), TaskStatus::Done);
        assert_eq!(of(true, None, None), TaskStatus::Done);
        let waits = of(false, Some(Some(&waiting)), Some("failed 1"));
        assert_eq!(waits, TaskStatus::Pending { reason: "Priority".into() });
        let runs = of(false, Some(Some(&Phase::Running)), Some("running 7 n3"));
        assert_eq!(runs, TaskStatus::Running { node: Some("n3".into()) });
        assert_eq!(of(false, Some(None), None), TaskStatus::ToDo);
        assert_eq!(of(false, None, Some("running 7 n3")), TaskStatus::Unknown);
    }

    #[test]
    fn every_way_to_fail_is_named() {
        let log = Some("loss is not a number");
        assert_eq!(failed(Some(&ended("FAILED")), Some("failed 1"), log), "loss is not a number");
        let oom = failed(Some(&ended("OUT_OF_MEMORY")), Some("failed 137"), None);
        assert!(oom.contains("out of memory") && oom.contains("--memory"), "{oom}");
        let node = failed(Some(&ended("NODE_FAIL")), Some("running 7 n3"), None);
        assert_eq!(node, "the node failed");
        let gone = failed(None, Some("running 7 n3"), Some("epoch 3"));
        assert!(gone.contains("job 7 vanished from n3") && gone.ends_with("epoch 3"), "{gone}");
        assert!(failed(None, Some("failed 137"), None).contains("want of memory"));
        assert!(failed(Some(&ended("COMPLETED")), Some("done"), None).contains("not there"));
        assert!(failed(Some(&ended("TIMEOUT")), None, None).contains("--time"));
        assert_eq!(failed(Some(&ended("FAILED")), None, None), "ended without a word");
        assert!(failed(None, Some("requeued"), None).contains("queued again"));
    }

    #[test]
    fn the_last_words_are_those_of_the_last_attempt() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("1.log");
        let words = |text: &str| {
            fs::write(&path, text).expect("write");
            last_words(&path)
        };
        let old = "--- task 1, attempt 1\nerror: old\n--- task 1, attempt 2\n";
        assert_eq!(words(&format!("{old}build: 3/9\nerror: new\nbye\n")).as_deref(), Some("new"));
        let slurm = format!("{old}slurmstepd: error: *** CANCELLED ***\nbye\n");
        assert!(words(&slurm).expect("words").contains("CANCELLED"));
        assert_eq!(words(&format!("{old}build: 3/9\n")).as_deref(), Some("build: 3/9"));
        assert_eq!(words(old), None);
        assert_eq!(last_words(&dir.path().join("none")), None);
        let long = format!("{old}{}\nerror: end\n", "x".repeat(200_000));
        assert_eq!(words(&long).as_deref(), Some("end"));
    }

    #[test]
    fn the_table_tells_and_counts() {
        let row = |name: &str, job, status| TaskRow { name: name.into(), job, status };
        let table = TaskTable {
            tasks: vec![
                row("shard 1/3", None, TaskStatus::Done),
                row("shard 2/3", Some(12), TaskStatus::Running { node: Some("n1".into()) }),
                row("shard 3/3", Some(12), TaskStatus::Failed { error: "no space left".into() }),
            ],
            last: row("merge", Some(13), TaskStatus::Pending { reason: "Dependency".into() }),
            silence: None,
        };
        insta::assert_snapshot!(table.text(), @r"
        task       state         job  why or where
        shard 1/3  done
        shard 2/3  running        12  n1
        shard 3/3  failed         12  no space left
        merge      pending        13  Dependency
        1 done, 1 running, 1 failed of 3 tasks
        ");
    }
}
