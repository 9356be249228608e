//! How fast this machine trains a network: the loop's own step on pictures of noise, and whole
//! epochs of a run on a pack beside it.
use std::{path::Path, sync::atomic::AtomicBool, time::Instant};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::json;
use tch::Device;

use super::{
    batch::Pictures,
    calls,
    config::{StageEpochs, TrainConfig},
    fit::{self, Plan},
    loss::Loss,
    network::{Network, Stage},
    optimizer::{Optimizer, Rule},
    step::Stepper,
};
use crate::{
    model::ModelConfig,
    pack::{self, Pack},
    record::{Split, NUM_CLASSES},
    runs::{EpochRow, RunFolder},
    seed::Draws,
};

/// Resident pictures, as in the comparison with PyTorch.
const RESIDENT: usize = 256;
/// Steps before the clock starts, at most as many as are measured.
const WARM_UP: u32 = 5;
/// Windows over which the median is taken, at most one per step.
const WINDOWS: u32 = 5;

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Speed {
    /// Training samples per second of wall time, median of the windows.
    pub images_per_s: f64,
    /// The fastest window.
    pub images_per_s_best: f64,
    /// CPU seconds of this process per step, all threads together.
    pub cpu_s_per_step: f64,
    /// Wall milliseconds per step, of them for making the batch.
    pub ms_per_step: f64,
    /// Wall milliseconds of making one batch.
    pub input_ms_per_step: f64,
    /// Parameters, BatchNorm statistics counted.
    pub parameters: u64,
    /// Threads of one operation.
    pub threads: u32,
    /// `cpu` or `cuda:N`, with the model of the processor or GPU.
    pub device: String,
    /// Operations of a step, its batch left out, that launch work on a GPU; each recorded step is
    /// one launch whatever this says.
    pub launches_per_step: u64,
    /// All calls of LibTorch's operations in a step.
    pub calls_per_step: u64,
    /// Whether the steps were recorded ones at the end.
    pub recorded: bool,
    /// Why they were not, where that was tried in vain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_recorded: Option<String>,
    /// Largest resident memory of the process in MiB.
    pub peak_memory_mib: u64,
}

/// Trains `steps` steps of the joint stage and measures them.
///
/// # Errors
/// When memory does not hold a step.
pub fn speed(model: &ModelConfig, train: &TrainConfig, steps: u32) -> Result<Speed> {
    let machine = fit::set_up(train)?;
    let device = machine.device();
    let network = Network::build(model, device, train.seed)?;
    let pictures = Pictures::of_noise(RESIDENT, model, &network.model().slots(), device)?;
    fit::ensure_room(model, train, &pictures, train.batch_size as usize, device)?;
    let trainable = network.tensors().into_iter().filter(|(_, t)| t.requires_grad()).collect();
    let optimizer = Optimizer::new(Rule::from(train), vec![(1.0, trainable)])?;
    let loss = Loss::new(train, &[1; NUM_CLASSES], None, device)?;
    let stepper = Stepper::new(&network, Stage::Joint, optimizer, loss, train, device)?;
    let mut bench = Bench { stepper, network, pictures, train, done: 0 };
    // The first step of all: it is never recorded.
    let batch = bench.batch()?;
    let step = || bench.stepper.step(&bench.network, &batch, train.learning_rate);
    let (_, calls) = calls::counted(step)?;
    (0..WARM_UP.min(steps)).try_for_each(|_| bench.step())?;
    let windows = WINDOWS.min(steps.max(1));
    let per_window = steps.max(1).div_ceil(windows);
    let batch = f64::from(train.batch_size);
    let (cpu, mut rates) = (cpu_seconds(), Vec::new());
    for _ in 0..windows {
        let start = Instant::now();
        (0..per_window).try_for_each(|_| bench.step())?;
        wait_for(device);
        rates.push(f64::from(per_window) * batch / start.elapsed().as_secs_f64());
    }
    let cpu_s_per_step = (cpu_seconds() - cpu) / f64::from(windows * per_window);
    let start = Instant::now();
    (0..per_window).try_for_each(|_| bench.batch().map(drop))?;
    wait_for(device);
    let input_ms_per_step = start.elapsed().as_secs_f64() * 1e3 / f64::from(per_window);
    let images_per_s = median(rates.clone());
    Ok(Speed {
        images_per_s,
        images_per_s_best: rates.into_iter().fold(0.0, f64::max),
        cpu_s_per_step,
        ms_per_step: batch / images_per_s * 1e3,
        input_ms_per_step,
        parameters: bench.network.parameters(),
        threads: tch::get_num_threads() as u32,
        device: machine.to_string(),
        launches_per_step: calls.launching(),
        calls_per_step: calls.all(),
        recorded: bench.stepper.is_recorded(),
        not_recorded: bench.stepper.given_up(),
        peak_memory_mib: peak_memory_mib(),
    })
}

/// Epochs of a real run beside the resident rate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EpochSpeed {
    /// Training samples per second of wall time on resident pictures, median of the rounds.
    pub resident_images_per_s: f64,
    /// The same over an epoch of the pack, validation and files left out.
    pub epoch_images_per_s: f64,
    /// Epoch over resident, median of the rounds.
    pub share: f64,
    /// Epoch over resident in every round.
    pub rounds: Vec<f64>,
    /// Share of an epoch's wall time that goes into validation and files.
    pub rest: f64,
    /// Training samples of an epoch.
    pub samples: usize,
}

/// In turn, `rounds` times: `steps` steps on resident pictures, then two epochs of a run on the
/// training split of the pack in `folder` as [`fit`](fit::fit) does it, into a temporary folder; the second epoch
/// counts. With `streams` a thread cuts the batches.
///
/// # Errors
/// As [`speed`] and [`fit`](fit::fit).
pub fn epoch_speed(
    model: &ModelConfig,
    train: &TrainConfig,
    folder: &Path,
    streams: bool,
    steps: u32,
    rounds: u32,
) -> Result<EpochSpeed> {
    let samples = Pack::open(&pack::path_of(folder, Split::Train))?.len();
    let none = StageEpochs { face: 0, context: 0 };
    let plan = Plan {
        label: "bench".into(),
        model: model.clone(),
        train: TrainConfig { stage1_epochs: none, epochs: 2, ..train.clone() },
        identity: json!({}),
        run_id: "bench".into(),
        synthetic: false,
        pack: folder.to_owned(),
        stage1_cache: None,
        streams,
    };
    let (mut resident, mut rows) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        resident.push(speed(model, train, steps)?.images_per_s);
        rows.push(second_epoch(&plan)?);
    }
    let training = |row: &EpochRow| samples as f64 / row.images_per_s;
    let share = |(row, rate): (&EpochRow, &f64)| row.images_per_s / rate;
    let shares: Vec<f64> = rows.iter().zip(&resident).map(share).collect();
    Ok(EpochSpeed {
        epoch_images_per_s: median(rows.iter().map(|row| row.images_per_s).collect()),
        resident_images_per_s: median(resident),
        share: median(shares.clone()),
        rounds: shares,
        rest: median(rows.iter().map(|row| 1.0 - training(row) / row.seconds).collect()),
        samples,
    })
}

/// The last epoch of a run into a folder that is thrown away.
fn second_epoch(plan: &Plan) -> Result<EpochRow> {
    let place = tempfile::tempdir().context("no temporary folder")?;
    let folder = RunFolder::new(place.path());
    fit::fit(plan, &folder, &AtomicBool::new(false))?;
    folder.epochs()?.pop().context("the run left no epoch")
}

/// The middle of the values, the mean of two middle ones.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (upper, lower) = (values.len() / 2, (values.len() - 1) / 2);
    (values[lower] + values[upper]) / 2.0
}

struct Bench<'a> {
    network: Network,
    pictures: Pictures,
    stepper: Stepper,
    train: &'a TrainConfig,
    done: u64,
}

impl Bench<'_> {
    fn batch(&mut self) -> Result<super::batch::Batch> {
        self.done += 1;
        let mut draws = Draws::new(self.train.seed, "bench", &self.done.to_string());
        let rows: Vec<usize> =
            (0..self.train.batch_size).map(|_| draws.below(RESIDENT as u64) as usize).collect();
        let occasion = format!("bench {}", self.done);
        self.pictures.augmented(&rows, &self.train.augment, self.train.seed, &occasion)
    }

    fn step(&mut self) -> Result<()> {
        let batch = self.batch()?;
        self.stepper.step(&self.network, &batch, self.train.learning_rate).map(drop)
    }
}

/// Waits until the device has done what it was given.
fn wait_for(device: Device) {
    if let Device::Cuda(number) = device {
        tch::Cuda::synchronize(number as i64);
    }
}

fn usage() -> libc::rusage {
    // SAFETY: rusage is plain numbers, for which zero is a value; the call fills it.
    unsafe {
        let mut usage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    }
}

/// CPU seconds of this process so far.
fn cpu_seconds() -> f64 {
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 * 1e-6;
    let usage = usage();
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// Largest resident memory of this process so far.
fn peak_memory_mib() -> u64 {
    usage().ru_maxrss as u64 / 1024
}
