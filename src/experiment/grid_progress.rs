//! How far a grid is, in epochs: runs train in processes of their own, and their `metrics.csv`
//! tells how far each has come.
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc, Mutex, PoisonError,
    },
    time::Duration,
};

use super::{
    executor::{Task, TaskOutcome},
    forecast::format_duration,
    GridRun,
};
use crate::{
    progress::Progress,
    runs::{EpochRow, RunFolder},
    train::TrainConfig,
};

/// How often the runs' files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The progress of the runs that are not complete.
pub(super) struct GridProgress {
    /// The devices of the runs, named at the beginning of every line.
    machine: String,
    progress: Progress,
    /// Folder and epochs of every run that has not ended.
    open: Mutex<BTreeMap<String, (PathBuf, TrainConfig)>>,
    /// Runs that ended before and now, and of how many.
    ended: AtomicU64,
    total: u64,
    /// Epochs that were counted.
    counted: AtomicU64,
    /// Epochs of runs that ended.
    of_ended: AtomicU64,
}

impl GridProgress {
    /// Begins with `open`, the runs of `total` that are not complete, in folders below `out`.
    pub fn new<'a>(
        out: &Path,
        open: impl Iterator<Item = &'a GridRun>,
        total: usize,
        machine: String,
    ) -> Self {
        let open: BTreeMap<_, _> = open
            .map(|run| {
                let train = run.experiment.train.clone();
                (run.folder.clone(), (out.join(&run.folder), train))
            })
            .collect();
        let epochs = open.values().map(|(_, train)| epochs(train)).sum();
        let grid = GridProgress {
            progress: Progress::new(&format!("{machine}: grid"), "epochs", epochs),
            machine,
            ended: AtomicU64::new((total - open.len()) as u64),
            open: Mutex::new(open),
            total: total as u64,
            counted: AtomicU64::new(0),
            of_ended: AtomicU64::new(0),
        };
        // What an earlier call trained tells nothing about the speed of this one.
        let before = grid.seen();
        grid.progress.skip(before);
        grid.counted.store(before, Ordering::Relaxed);
        grid
    }

    /// Looks at the runs until `work` is done, and returns what it returns.
    pub fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        let (done, is_done) = mpsc::channel::<()>();
        let result = std::thread::scope(|scope| {
            scope.spawn(move || {
                while let Err(mpsc::RecvTimeoutError::Timeout) = is_done.recv_timeout(LOOK_EVERY) {
                    self.look();
                }
            });
            let result = work();
            drop(done);
            result
        });
        self.progress.finish();
        result
    }

    /// Says how a run ended.
    pub fn ended(&self, task: &Task, outcome: &TaskOutcome) {
        let run = self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&task.name);
        if let Some((_, train)) = run {
            self.of_ended.fetch_add(epochs(&train), Ordering::Relaxed);
        }
        let what = match outcome {
            TaskOutcome::Done { seconds } => format!("done in {}", format_duration(*seconds)),
            TaskOutcome::Failed { error } => format!("failed: {error}"),
            TaskOutcome::NotStarted => "not started".into(),
        };
        let ended = self.ended.fetch_add(1, Ordering::Relaxed) + 1;
        let (machine, name) = (&self.machine, &task.name);
        self.progress.note(&format!("{machine}: {name}: {what} ({ended} of {} runs)", self.total));
        self.look();
    }

    fn look(&self) {
        let now = self.seen();
        let before = self.counted.fetch_max(now, Ordering::Relaxed);
        self.progress.advance(now.saturating_sub(before));
    }

    /// Epochs of all runs so far.
    fn seen(&self) -> u64 {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let of_run = |(folder, train): &(PathBuf, TrainConfig)| {
            // A file that is being replaced is read at the next look.
            let rows = RunFolder::new(folder).epochs().unwrap_or_default();
            epochs_of(&rows, train)
        };
        self.of_ended.load(Ordering::Relaxed) + open.values().map(of_run).sum::<u64>()
    }
}

/// Epochs of a run, both stages.
fn epochs(train: &TrainConfig) -> u64 {
    stage1(train) + u64::from(train.epochs)
}

fn stage1(train: &TrainConfig) -> u64 {
    u64::from(train.stage1_epochs.face) + u64::from(train.stage1_epochs.context)
}

/// How far a run is. Encoders may come from another run or not exist: once the joint stage has
/// begun, their epochs count as done.
fn epochs_of(rows: &[EpochRow], train: &TrainConfig) -> u64 {
    let joint = rows.iter().filter(|row| row.stage == "joint").count() as u64;
    let encoders = rows.len() as u64 - joint;
    let encoders = if joint > 0 { stage1(train) } else { encoders.min(stage1(train)) };
    (encoders + joint).min(epochs(train))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(stage: &str, epoch: u32) -> EpochRow {
        EpochRow {
            stage: stage.into(),
            epoch,
            train_loss: 1.0,
            train_accuracy: 0.5,
            val_loss: Some(1.0),
            val_accuracy: Some(0.5),
            learning_rate: 0.1,
            images_per_s: 10.0,
            seconds: 1.0,
            w_face: None,
            w_context: None,
        }
    }

    fn train() -> TrainConfig {
        let mut train = TrainConfig { epochs: 4, ..TrainConfig::default() };
        (train.stage1_epochs.face, train.stage1_epochs.context) = (2, 3);
        train
    }

    #[test]
    fn epochs_of_both_stages_count_and_shared_encoders_count_as_done() {
        let train = train();
        assert_eq!(epochs(&train), 9);
        assert_eq!(epochs_of(&[], &train), 0);
        assert_eq!(epochs_of(&[row("face", 1), row("face", 2)], &train), 2);
        assert_eq!(epochs_of(&[row("joint", 1)], &train), 6);
        let all: Vec<_> = (1..=4).map(|epoch| row("joint", epoch)).collect();
        assert_eq!(epochs_of(&all, &train), 9);
    }

    #[test]
    fn a_grid_counts_what_its_runs_write_and_ends_whole() {
        let dir = tempfile::tempdir().expect("temp dir");
        let run = GridRun {
            label: "a".into(),
            seed: 1,
            folder: "a-1".into(),
            experiment: crate::experiment::Experiment { train: train(), ..Default::default() },
        };
        RunFolder::new(&dir.path().join("a-1")).write_epochs(&[row("face", 1)]).expect("rows");
        let grid = GridProgress::new(dir.path(), std::iter::once(&run), 3, "cpu".into());
        assert_eq!(grid.counted.load(Ordering::Relaxed), 1);
        let task = Task { name: "a-1".into(), commands: Vec::new(), log: PathBuf::new() };
        let answer = grid.during(|| {
            grid.ended(&task, &TaskOutcome::Done { seconds: 2.0 });
            7
        });
        assert_eq!(answer, 7);
        assert_eq!(grid.counted.load(Ordering::Relaxed), 9);
        assert_eq!(grid.ended.load(Ordering::Relaxed), 3);
    }
}
