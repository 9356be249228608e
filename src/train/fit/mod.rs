//! The training loop: stages, epochs, steps; what is written after each, and how a run goes on
//! where another process left it.
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{bail, ensure, Context, Result};
use serde_json::{json, Value};
use tch::{Device, Tensor};

use super::{
    batch::Pictures,
    checkpoint::{Checkpoint, Position},
    config::{MissingClasses, Selection, TrainConfig, EMPTY_VALIDATION},
    events::Events,
    loss::Loss,
    memory, native,
    network::{Network, Stage},
    optimizer::{Optimizer, Rule},
    predict, processor,
    step::Stepper,
};
use crate::{
    device::ComputeDevice,
    model::{published, Branch, ModelConfig},
    pack::{self, Pack},
    progress::Progress,
    record::{Emotion, Split},
    runs::{EpochRow, RunFolder, RunRecord, Selected, StartWeights, Status, LAST},
    weights::Loaded,
};

mod encoders;
mod epoch;
mod room;

use epoch::Step;
pub(super) use room::ensure_room;

/// Why an epoch is selected.
fn reason_of(selection: Selection) -> &'static str {
    match selection {
        Selection::Validation => {
            "highest validation accuracy; of equal ones the lowest validation loss, then the earliest"
        }
        Selection::Last => "the last epoch, as configured; no epoch was compared with another",
    }
}

/// Everything that a run depends on.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Name of the run in tables.
    pub label: String,
    /// Section `[model]`.
    pub model: ModelConfig,
    /// Section `[train]`.
    pub train: TrainConfig,
    /// The resolved configuration with digests instead of paths.
    pub identity: Value,
    /// Digest of `identity`.
    pub run_id: String,
    /// Whether the data set was made from the synthetic corpus.
    pub synthetic: bool,
    /// Folder of the pack.
    pub pack: PathBuf,
    /// Folder in which the runs of a grid share their stage-1 encoders.
    pub stage1_cache: Option<PathBuf>,
    /// Cut batches in a thread of its own even where the pictures are at hand.
    pub streams: bool,
}

/// The user stopped the run; it can go on.
#[derive(Debug, thiserror::Error)]
#[error("interrupted in {stage} epoch {epoch} after step {step}; the same command with --resume goes on from there")]
pub struct Interrupted {
    stage: String,
    epoch: u32,
    step: u32,
}

/// Trains a run into `folder`, from its last checkpoint where there is one, and returns the
/// finished record.
///
/// `stop` ends it after the current step with a checkpoint and [`Interrupted`].
///
/// # Errors
/// When the pack does not fit the model, a class is missing from it, the loss is not a number, or
/// memory or disk run out; `run.json` then says `failed` and the last good checkpoint stays.
pub fn fit(plan: &Plan, folder: &RunFolder, stop: &AtomicBool) -> Result<RunRecord> {
    let mut run = Run::prepare(plan, folder, stop)?;
    let ended = run.all_stages();
    run.progress.finish();
    match ended {
        Ok(()) => run.record.status = Status::Finished,
        Err(error) => {
            let interrupted = error.downcast_ref::<Interrupted>().is_some();
            run.record.status = if interrupted { Status::Interrupted } else { Status::Failed };
            run.record.error = (!interrupted).then(|| format!("{error:#}"));
            run.write_record()?;
            return Err(error);
        }
    }
    run.write_record()?;
    Ok(run.record)
}

/// A run at work.
struct Run<'a> {
    plan: &'a Plan,
    folder: &'a RunFolder,
    stop: &'a AtomicBool,
    /// Named at the beginning of every line.
    machine: ComputeDevice,
    device: Device,
    network: Network,
    encoders: BTreeMap<Branch, BTreeSet<String>>,
    train: Pictures,
    /// `None` where the validation part is empty and the last epoch is kept anyway.
    val: Option<Pictures>,
    position: Position,
    /// The checkpoint that was found, until its stage has taken it over.
    found: Option<Checkpoint>,
    rows: Vec<EpochRow>,
    record: RunRecord,
    progress: Progress,
    /// Made when the run begins to write.
    events: Option<Events>,
    started: Instant,
    seconds_before: f64,
}

/// A stage at work.
struct StageRun {
    stepper: Stepper,
    epochs: u32,
}

impl<'a> Run<'a> {
    fn prepare(plan: &'a Plan, folder: &'a RunFolder, stop: &'a AtomicBool) -> Result<Self> {
        let machine = set_up(&plan.train)?;
        let device = machine.device();
        let mut model = plan.model.clone();
        model.dropout = plan.train.dropout.unwrap_or(model.dropout);
        let network = Network::build(&model, device, plan.train.seed)?;
        let loaded = network.start_from(&model)?;
        let open = |split| Pack::open(&pack::path_of(&plan.pack, split)).map(Arc::new);
        let pictures = |pack: &Arc<Pack>, split| {
            let slots = network.model().slots();
            Pictures::of(Arc::clone(pack), &model, &slots, device, plan.streams)
                .with_context(|| pack::path_of(&plan.pack, split).display().to_string())
        };
        let (pack, val) = (open(Split::Train)?, open(Split::Val)?);
        refuse_empty_validation(plan, &val)?;
        let train = pictures(&pack, Split::Train)?;
        let val = (!val.is_empty()).then(|| pictures(&val, Split::Val)).transpose()?;
        let missing = missing_classes(&train);
        ensure!(
            missing.is_empty() || plan.train.missing_classes == MissingClasses::Allow,
            "the training split has no sample of {}; a model cannot learn a class that it never sees; where that is meant, set train.missing_classes = \"allow\"",
            missing.join(", ")
        );
        let rows = train.len().min(plan.train.batch_size as usize);
        ensure_room(&model, &plan.train, &train, rows, device)?;
        let mut encoders = BTreeMap::new();
        for branch in network.model().branches() {
            encoders.insert(branch, network.branch(branch)?);
        }
        let mut record = new_record(plan, &network, &pack, &machine);
        record.weights = loaded.and_then(|loaded| start_weights(plan, &loaded));
        let progress = Progress::new("train", "samples", 0);
        let mut run = Run {
            plan,
            folder,
            stop,
            machine,
            device,
            network,
            encoders,
            train,
            val,
            position: Position::default(),
            found: None,
            rows: Vec::new(),
            record,
            progress,
            events: None,
            started: Instant::now(),
            seconds_before: 0.0,
        };
        run.resume()?;
        let name = format!("{}: {}", run.machine, plan.label);
        run.progress = Progress::new(&name, "samples", run.samples_to_do());
        if let Some(why) = run.machine.why_not_cuda() {
            run.note(&format!("trains on the CPU: {why}"));
        } else {
            run.note("trains");
        }
        run.events = Some(Events::start(folder, &run.rows, now())?);
        run.write_record()?;
        Ok(run)
    }

    /// Takes over what an earlier process left.
    fn resume(&mut self) -> Result<()> {
        if let Ok(old) = self.folder.record() {
            self.seconds_before = old.seconds;
        }
        let path = self.folder.file(LAST);
        if !path.exists() {
            return Ok(());
        }
        let found = Checkpoint::read(&path)?;
        ensure!(
            found.run_id == self.plan.run_id,
            "{} belongs to another run ({}, this one is {}); remove it",
            path.display(),
            found.run_id,
            self.plan.run_id
        );
        self.network.load(&found.weights).with_context(|| path.display().to_string())?;
        self.position = found.position.clone();
        let (position, order) = (&self.position, ["face", "context", "joint"]);
        let is_done = |row: &EpochRow| {
            position.encoders_done.contains(&row.stage)
                || (row.stage == position.stage && row.epoch <= position.epoch)
        };
        self.rows = self.folder.epochs()?.into_iter().filter(is_done).collect();
        self.rows.sort_by_key(|row| (order.iter().position(|s| *s == row.stage), row.epoch));
        self.found = Some(found);
        Ok(())
    }

    fn all_stages(&mut self) -> Result<()> {
        if self.position.stage != Stage::Joint.name() {
            self.stage_one()?;
        }
        let joint = self.begin_joint()?;
        self.run_stage(joint)
    }

    fn begin_joint(&self) -> Result<StageRun> {
        let train = &self.plan.train;
        let inside: BTreeSet<String> = self.encoders.values().flatten().cloned().collect();
        let all: BTreeSet<String> = self.network.tensors().into_keys().collect();
        let outside = all.difference(&inside).cloned().collect();
        let groups = vec![
            (1.0, self.trainable(&outside)),
            (train.encoder_lr_scale, self.trainable(&inside)),
        ];
        let optimizer = Optimizer::new(Rule::from(train), groups)?;
        let teacher = train.teacher.as_deref().map(|folder| self.teacher(folder)).transpose()?;
        let loss = Loss::new(train, &self.train.class_counts(), teacher, self.device)?;
        self.work(Stage::Joint, optimizer, loss, train.epochs)
    }

    fn work(
        &self,
        stage: Stage,
        optimizer: Optimizer,
        loss: Loss,
        epochs: u32,
    ) -> Result<StageRun> {
        let (train, device) = (&self.plan.train, self.device);
        let stepper = Stepper::new(&self.network, stage, optimizer, loss, train, device)?;
        Ok(StageRun { stepper, epochs })
    }

    /// The finished run in `folder`, whose answers are the targets.
    fn teacher(&self, folder: &str) -> Result<Network> {
        let (network, config) = predict::selected(&RunFolder::new(folder.as_ref()), self.device)
            .with_context(|| format!("train.teacher = \"{folder}\""))?;
        // Both are given the same batch.
        let student = &self.plan.model;
        let sees = |config: &ModelConfig| {
            json!([config.picture, config.normalization, config.context]).to_string()
        };
        ensure!(
            network.model().slots() == self.network.model().slots() && sees(&config) == sees(student),
            "train.teacher = \"{folder}\" does not see its pictures as this model does; set the same model.picture, model.normalization and model.context in both"
        );
        Ok(network)
    }

    /// The trainable tensors among `names`, by name.
    fn trainable(&self, names: &BTreeSet<String>) -> Vec<(String, Tensor)> {
        let all = self.network.tensors().into_iter();
        all.filter(|(name, tensor)| names.contains(name) && tensor.requires_grad()).collect()
    }

    fn run_stage(&mut self, mut work: StageRun) -> Result<()> {
        let name = work.stepper.stage.name();
        match self.found.take().filter(|found| found.position.stage == name) {
            Some(found) => {
                let steps = found.position.optimizer_steps;
                work.stepper.optimizer.restore(&found.optimizer, steps)?;
                if let Stage::Encoder(_, head) = &work.stepper.stage {
                    for (name, mut tensor) in head.tensors() {
                        let saved =
                            found.head.get(&name).with_context(|| format!("no `{name}`"))?;
                        tch::no_grad(|| tensor.f_copy_(saved))?;
                    }
                }
            }
            None => self.position.stage = name.to_owned(),
        }
        while self.position.epoch < work.epochs && !self.is_stale(&work) {
            self.epoch(&mut work)?;
        }
        Ok(())
    }

    /// Whether early stopping ends the joint stage here.
    fn is_stale(&self, work: &StageRun) -> bool {
        let patience = self.plan.train.early_stop;
        let best = self.position.best.map_or(0, |best| best.epoch);
        patience > 0
            && matches!(work.stepper.stage, Stage::Joint)
            && self.position.epoch >= best + patience
    }

    /// Prints a line that begins with the device and the run's name.
    fn note(&self, text: &str) {
        self.progress.note(&format!("{}: {}: {text}", self.machine, self.plan.label));
    }

    fn check_stop(&self) -> Result<()> {
        let Position { stage, epoch, step, .. } = &self.position;
        if self.stop.load(Ordering::SeqCst) {
            bail!(Interrupted { stage: stage.clone(), epoch: epoch + 1, step: *step });
        }
        Ok(())
    }

    /// As [`Run::check_stop`], with a checkpoint in the middle of an epoch.
    fn check_stop_with(&mut self, work: &StageRun, pending: &mut Vec<Step>) -> Result<()> {
        if self.stop.load(Ordering::SeqCst) {
            self.flush_losses(pending)?;
            self.position.optimizer_steps = work.stepper.optimizer.steps();
            self.save(LAST, Some(work))?;
        }
        self.check_stop()
    }

    fn save(&self, name: &str, work: Option<&StageRun>) -> Result<()> {
        let head = match work.map(|work| &work.stepper.stage) {
            Some(Stage::Encoder(_, head)) => head.tensors().into_iter().collect(),
            _ => BTreeMap::new(),
        };
        let checkpoint = Checkpoint {
            run_id: self.plan.run_id.clone(),
            model: json!(self.plan.model),
            config: self.plan.identity.clone(),
            position: self.position.clone(),
            weights: self.network.tensors(),
            head,
            optimizer: work.map(|work| work.stepper.optimizer.state()).unwrap_or_default(),
        };
        checkpoint.write(&self.folder.file(name))
    }

    /// Writes `run.json`; what it says follows from checkpoint and rows alone, so that a kill
    /// between two writes leaves nothing stale.
    fn write_record(&mut self) -> Result<()> {
        self.record.warnings = epoch::collapses(&self.rows);
        let missing = missing_classes(&self.train);
        if !missing.is_empty() {
            let text = format!("the training split has no sample of {}", missing.join(", "));
            self.record.warnings.push(text);
        }
        self.record.selected = self.position.best.map(|best| Selected {
            epoch: best.epoch,
            val_accuracy: Some(best.val_accuracy).filter(|accuracy| !accuracy.is_nan()),
            reason: reason_of(self.plan.train.selection).to_owned(),
        });
        self.record.seconds = self.seconds_before + self.started.elapsed().as_secs_f64();
        self.folder.write_record(&self.record)
    }

    /// Samples that are still to be trained on, over all stages.
    fn samples_to_do(&self) -> u64 {
        let train = &self.plan.train;
        let mut epochs = u64::from(train.epochs);
        if self.position.stage == Stage::Joint.name() {
            epochs -= u64::from(self.position.epoch.min(train.epochs));
        } else {
            let left = self.encoders.keys().filter(|branch| !self.is_done(**branch));
            epochs += left.map(|branch| u64::from(self.epochs_of(*branch))).sum::<u64>();
        }
        epochs * self.train.len() as u64
    }
}

/// Seconds since 1970, for event files only: nothing else of a run knows the time of day.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// The variable, and a value of it, without which CUDA's products pick their work space by timing.
/// CUDA reads it when it starts, LibTorch refuses products without it where they must repeat.
pub const WORKSPACE: (&str, &str) = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8");

/// Threads, determinism, device and arithmetic as configured.
pub(super) fn set_up(train: &TrainConfig) -> Result<ComputeDevice> {
    memory::keep_memory()?;
    if train.threads > 0 {
        tch::set_num_threads(train.threads as i32);
    }
    let machine = ComputeDevice::open(&train.device, train.precision).context("train.device")?;
    if machine.device() != Device::Cpu {
        ensure!(
            !train.deterministic || std::env::var_os(WORKSPACE.0).is_some(),
            "train.deterministic = true on a GPU needs {}={} in the environment that this program is started with",
            WORKSPACE.0,
            WORKSPACE.1
        );
        // cuDNN times its convolutions once per shape and keeps the fastest.
        tch::Cuda::cudnn_set_benchmark(!train.deterministic);
    }
    native::set_deterministic(train.deterministic)?;
    Ok(machine)
}

fn refuse_empty_validation(plan: &Plan, val: &Pack) -> Result<()> {
    ensure!(
        !val.is_empty() || plan.train.selection == Selection::Last,
        "{}: {EMPTY_VALIDATION}",
        pack::path_of(&plan.pack, Split::Val).display()
    );
    Ok(())
}

/// The classes that the training split lacks.
fn missing_classes(train: &Pictures) -> Vec<&'static str> {
    let counts = train.class_counts();
    let missing = Emotion::ALL.iter().filter(|e| counts[usize::from(e.label())] == 0);
    missing.map(|emotion| emotion.name()).collect()
}

/// What the run started from, by the digest that its identity holds in place of the path.
fn start_weights(plan: &Plan, loaded: &Loaded) -> Option<StartWeights> {
    let path = Path::new(&plan.model.weights.as_ref()?.path);
    let sha256 = plan.identity.pointer("/model/weights/path")?.as_str()?.to_owned();
    let published = published::by_digest(&sha256).map(|file| file.origin);
    Some(StartWeights {
        file: path.file_name()?.to_string_lossy().into_owned(),
        origin: published.or(loaded.dialect).map(str::to_owned),
        sha256,
    })
}

fn new_record(plan: &Plan, network: &Network, pack: &Pack, machine: &ComputeDevice) -> RunRecord {
    let name = json!(plan.model.name);
    RunRecord {
        run_id: plan.run_id.clone(),
        label: plan.label.clone(),
        model: name.as_str().unwrap_or_default().to_owned(),
        config: plan.identity.clone(),
        seed: plan.train.seed,
        manifest_digest: pack.manifest_digest().to_owned(),
        pack_digest: pack.digest(),
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: option_env!("NCAERS_COMMIT").filter(|c| !c.is_empty()).map(str::to_owned),
        device: machine.to_string(),
        processor: processor::name(),
        weights: None,
        synthetic: plan.synthetic,
        threads: tch::get_num_threads() as u32,
        parameters: network.parameters(),
        selected: None,
        seconds: 0.0,
        status: Status::Running,
        error: None,
        warnings: Vec::new(),
    }
}
