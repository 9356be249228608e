//! The training loop: stages, epochs, steps; what is written after each, and how a run goes on
//! where another process left it.
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    time::{Duration, Instant},
};

use anyhow::{bail, ensure, Context, Result};
use serde_json::{json, Value};
use tch::{Device, Kind, Tensor};

use super::{
    batch::Pictures,
    checkpoint::{Best, Checkpoint, Position},
    config::{LossKind, Precision, TrainConfig},
    evaluate::Answers,
    loss::Loss,
    native,
    network::{self, Head, Network, Stage},
    optimizer::{Optimizer, Rule},
    predict, shared,
};
use crate::{
    model::{Branch, ModelConfig, Pass},
    pack::{self, Pack},
    progress::Progress,
    record::{Emotion, Split},
    runs::{EpochRow, RunFolder, RunRecord, Selected, Status},
    seed::Draws,
};

/// The checkpoint that `--resume` goes on from.
pub const LAST: &str = "last.safetensors";
/// The checkpoint that the run stands for.
pub const BEST: &str = "best.safetensors";
/// Mean fusion weight below which a branch counts as ignored.
const COLLAPSED: f64 = 0.02;
/// Steps between two looks at the losses on CUDA, where every look waits for the device.
const LOOK_EVERY: usize = 32;

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
    /// Folder of the pack.
    pub pack: PathBuf,
    /// Folder in which the runs of a grid share their stage-1 encoders.
    pub stage1_cache: Option<PathBuf>,
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
    device: Device,
    network: Network,
    encoders: BTreeMap<Branch, BTreeSet<String>>,
    train: Pictures,
    val: Pictures,
    position: Position,
    /// The checkpoint that was found, until its stage has taken it over.
    found: Option<Checkpoint>,
    rows: Vec<EpochRow>,
    record: RunRecord,
    progress: Progress,
    started: Instant,
    seconds_before: f64,
}

/// A stage at work.
struct Work {
    stage: Stage,
    optimizer: Optimizer,
    loss: Loss,
    epochs: u32,
}

impl<'a> Run<'a> {
    fn prepare(plan: &'a Plan, folder: &'a RunFolder, stop: &'a AtomicBool) -> Result<Self> {
        let device = set_up(&plan.train)?;
        let mut model = plan.model.clone();
        model.dropout = plan.train.dropout.unwrap_or(model.dropout);
        let network = Network::build(&model, device, plan.train.seed)?;
        network.start_from(&model)?;
        let open = |split| -> Result<_> {
            let path = pack::path_of(&plan.pack, split);
            let pack = Arc::new(Pack::open(&path)?);
            let slots = network.model().slots();
            let pictures = Pictures::of(Arc::clone(&pack), &model, &slots, device);
            Ok((pack, pictures.with_context(|| path.display().to_string())?))
        };
        let ((pack, train), (_, val)) = (open(Split::Train)?, open(Split::Val)?);
        refuse_missing_classes(&train)?;
        let mut encoders = BTreeMap::new();
        for branch in network.model().branches() {
            encoders.insert(branch, network.branch(branch)?);
        }
        let record = new_record(plan, &network, &pack, device);
        let progress = Progress::new("train", "samples", 0);
        let mut run = Run {
            plan,
            folder,
            stop,
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
            started: Instant::now(),
            seconds_before: 0.0,
        };
        run.go_on()?;
        run.progress = Progress::new(&plan.label, "samples", run.samples_to_do());
        run.write_record()?;
        Ok(run)
    }

    /// Takes over what an earlier process left.
    fn go_on(&mut self) -> Result<()> {
        if let Ok(old) = self.folder.record() {
            self.seconds_before = old.seconds;
            self.record.warnings = old.warnings;
            self.record.selected = old.selected;
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

    /// Trains every encoder that has not been trained, sharing where the plan says so. What
    /// another process is training comes last, and is waited for.
    fn stage_one(&mut self) -> Result<()> {
        let mut waiting: Vec<Branch> =
            self.encoders.keys().copied().filter(|b| !self.is_done(*b)).collect();
        // The one that was begun goes first; the sort keeps the others' order.
        waiting.sort_by_key(|branch| branch.name() != self.position.stage);
        while !waiting.is_empty() {
            let before = waiting.len();
            let mut left = Vec::new();
            for branch in waiting {
                if !self.try_encoder(branch)? {
                    left.push(branch);
                }
            }
            if left.len() == before {
                self.check_stop()?;
                std::thread::sleep(Duration::from_millis(100));
            }
            waiting = left;
        }
        Ok(())
    }

    fn is_done(&self, branch: Branch) -> bool {
        self.epochs_of(branch) == 0
            || self.position.encoders_done.iter().any(|name| name == branch.name())
    }

    fn epochs_of(&self, branch: Branch) -> u32 {
        let frozen = self.trainable(&self.encoders[&branch]).is_empty();
        match branch {
            _ if frozen => 0,
            Branch::Face => self.plan.train.stage1_epochs.face,
            Branch::Context => self.plan.train.stage1_epochs.context,
        }
    }

    /// Trains an encoder or takes it from the shared folder; false when another process has it.
    fn try_encoder(&mut self, branch: Branch) -> Result<bool> {
        let Some(folder) = &self.plan.stage1_cache else {
            self.train_encoder(branch)?;
            return Ok(true);
        };
        let start = Network::build(&self.plan.model, self.device, self.plan.train.seed)?;
        start.start_from(&self.plan.model)?;
        let fresh = start.tensors();
        let names = &self.encoders[&branch];
        let fresh = fresh.into_iter().filter(|(name, _)| names.contains(name)).collect();
        let place = shared::Place::of(folder, &self.cause(branch), &fresh)?;
        if let Some(encoder) = place.load()? {
            self.adopt(branch, encoder)?;
            return Ok(true);
        }
        let Some(_claim) = place.claim()? else { return Ok(false) };
        if let Some(encoder) = place.load()? {
            self.adopt(branch, encoder)?;
            return Ok(true);
        }
        self.train_encoder(branch)?;
        let rows: Vec<EpochRow> =
            self.rows.iter().filter(|row| row.stage == branch.name()).cloned().collect();
        place.store(&self.encoder_tensors(branch), &rows)?;
        Ok(true)
    }

    /// Everything that an encoder's stage 1 depends on, beside its fresh weights.
    fn cause(&self, branch: Branch) -> Value {
        let mut train = json!(self.plan.train);
        let mut model = json!(self.plan.model);
        let drop_keys = |tree: &mut Value, keys: &[&str]| {
            let table = tree.as_object_mut().expect("a section is a table");
            table.retain(|key, _| !keys.contains(&key.as_str()));
        };
        let joint = [
            "epochs",
            "encoder_lr_scale",
            "dropout",
            "early_stop",
            "stage1_epochs",
            "loss",
            "teacher",
        ];
        drop_keys(&mut train, &joint);
        drop_keys(&mut model, &["attention", "fusion", "branches", "cls_hidden", "dropout"]);
        let device = network::device_name(self.device);
        json!([
            branch.name(),
            self.epochs_of(branch),
            train,
            model,
            self.record.pack_digest,
            device
        ])
    }

    fn adopt(&mut self, branch: Branch, (tensors, rows): shared::Encoder) -> Result<()> {
        self.network.load(&tensors)?;
        self.rows.retain(|row| row.stage != branch.name());
        self.rows.extend(rows);
        self.found = None;
        self.progress.advance(u64::from(self.epochs_of(branch)) * self.train.len() as u64);
        self.progress.note(&format!(
            "{}: {} encoder taken from the shared folder",
            self.plan.label,
            branch.name()
        ));
        self.encoder_done(branch)
    }

    fn encoder_tensors(&self, branch: Branch) -> BTreeMap<String, Tensor> {
        let names = &self.encoders[&branch];
        self.network.tensors().into_iter().filter(|(name, _)| names.contains(name)).collect()
    }

    fn encoder_done(&mut self, branch: Branch) -> Result<()> {
        let mut done = std::mem::take(&mut self.position.encoders_done);
        done.push(branch.name().to_owned());
        done.sort();
        self.position = Position { encoders_done: done, ..Position::default() };
        self.save(LAST, None)?;
        self.folder.write_epochs(&self.rows)
    }

    fn train_encoder(&mut self, branch: Branch) -> Result<()> {
        let width =
            self.network.model().branch_width(branch).context("the encoder has no width")?;
        let head = Head::new(width, self.device, self.plan.train.seed, branch)?;
        let mut members = self.trainable(&self.encoders[&branch]);
        members.extend(head.tensors());
        let optimizer = Optimizer::new(Rule::from(&self.plan.train), vec![(1.0, members)])?;
        let plain = TrainConfig { loss: LossKind::CrossEntropy, ..self.plan.train.clone() };
        let loss = Loss::new(&plain, &self.train.class_counts(), None, self.device)?;
        let epochs = self.epochs_of(branch);
        let work = Work { stage: Stage::Encoder(branch, head), optimizer, loss, epochs };
        self.run_stage(work)?;
        self.encoder_done(branch)
    }

    fn begin_joint(&self) -> Result<Work> {
        let train = &self.plan.train;
        let inside: BTreeSet<String> = self.encoders.values().flatten().cloned().collect();
        let all: BTreeSet<String> = self.network.tensors().into_keys().collect();
        let outside = all.difference(&inside).cloned().collect();
        let groups = vec![
            (1.0, self.trainable(&outside)),
            (train.encoder_lr_scale, self.trainable(&inside)),
        ];
        let optimizer = Optimizer::new(Rule::from(train), groups)?;
        let teacher = train.teacher.as_deref().map(|folder| {
            predict::selected(&RunFolder::new(folder.as_ref()), self.device)
                .map(|(network, _)| network)
        });
        let counts = self.train.class_counts();
        let loss = Loss::new(train, &counts, teacher.transpose()?, self.device)?;
        Ok(Work { stage: Stage::Joint, optimizer, loss, epochs: train.epochs })
    }

    /// The trainable tensors among `names`, by name.
    fn trainable(&self, names: &BTreeSet<String>) -> Vec<(String, Tensor)> {
        let all = self.network.tensors().into_iter();
        all.filter(|(name, tensor)| names.contains(name) && tensor.requires_grad()).collect()
    }

    fn run_stage(&mut self, mut work: Work) -> Result<()> {
        let name = work.stage.name();
        match self.found.take().filter(|found| found.position.stage == name) {
            Some(found) => {
                work.optimizer.restore(&found.optimizer, found.position.optimizer_steps)?;
                if let Stage::Encoder(_, head) = &work.stage {
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
    fn is_stale(&self, work: &Work) -> bool {
        let patience = self.plan.train.early_stop;
        let best = self.position.best.map_or(0, |best| best.epoch);
        patience > 0 && matches!(work.stage, Stage::Joint) && self.position.epoch >= best + patience
    }

    fn epoch(&mut self, work: &mut Work) -> Result<()> {
        let started = Instant::now();
        let train = &self.plan.train;
        let occasion = format!("{} {}", work.stage.name(), self.position.epoch);
        let batches = batches(self.train.len(), train.batch_size as usize, train.seed, &occasion);
        let mut pending = Vec::new();
        let (mut rate, mut trained) = (0.0, 0);
        let look_every = if self.device == Device::Cpu { 1 } else { LOOK_EVERY };
        for rows in &batches[self.position.step as usize..] {
            self.check_stop_with(work, &mut pending)?;
            rate = self.rate(work, batches.len());
            let step = self.step(work, rows, rate, &occasion);
            pending.push(step.map_err(|e| explain_memory(e, train.batch_size))?);
            self.position.step += 1;
            trained += rows.len();
            if pending.len() >= look_every {
                self.look(&mut pending)?;
            }
            self.progress.advance(rows.len() as u64);
        }
        self.look(&mut pending)?;
        let seconds = started.elapsed().as_secs_f64();
        self.end_epoch(work, rate, trained as f64 / seconds.max(1e-9), started)
    }

    /// One step: batch, forward, backward, update. Returns the batch's loss and number of correct
    /// answers, still on the device, and its size.
    fn step(&self, work: &mut Work, rows: &[usize], rate: f64, occasion: &str) -> Result<Step> {
        let train = &self.plan.train;
        network::seed_generator(
            train.seed,
            "dropout",
            &format!("{occasion} {}", self.position.step),
        );
        let batch = self.train.augmented(rows, &train.augment, train.seed, occasion)?;
        let inputs = batch.inputs();
        let pass = pass_of(train.precision);
        let outputs = work.stage.forward(&self.network, &inputs, &pass)?;
        let loss = work.loss.of(&outputs, &inputs, &batch.labels)?;
        loss.f_backward()?;
        work.optimizer.step(rate)?;
        let answers = outputs.logits.f_argmax(1, false)?;
        let correct = answers.f_eq_tensor(&batch.labels)?.f_sum(Kind::Int64)?;
        Ok(Step { loss: loss.detach(), correct, samples: rows.len() })
    }

    /// The learning rate of the next step.
    fn rate(&self, work: &Work, steps_per_epoch: usize) -> f64 {
        let train = &self.plan.train;
        let step =
            f64::from(self.position.epoch) * steps_per_epoch as f64 + f64::from(self.position.step);
        let done = step / (f64::from(work.epochs) * steps_per_epoch as f64);
        let warm = ((step + 1.0) / f64::from(train.warmup.max(1))).min(1.0);
        warm * train.schedule.rate(train.learning_rate, self.position.epoch, done)
    }

    /// Adds the pending steps to the epoch's sums.
    fn look(&mut self, pending: &mut Vec<Step>) -> Result<()> {
        let first = self.position.step as usize - pending.len();
        for (i, step) in pending.drain(..).enumerate() {
            let loss = step.loss.f_double_value(&[])?;
            ensure!(
                loss.is_finite(),
                "the loss is {loss} in {} epoch {}, step {}; the last good checkpoint is kept; lower train.learning_rate or set train.clip_grad",
                self.position.stage,
                self.position.epoch + 1,
                first + i + 1
            );
            self.position.loss_sum += loss * step.samples as f64;
            self.position.correct += step.correct.f_int64_value(&[])? as u64;
            self.position.seen += step.samples as u64;
        }
        Ok(())
    }

    fn end_epoch(
        &mut self,
        work: &Work,
        rate: f64,
        images_per_s: f64,
        started: Instant,
    ) -> Result<()> {
        let answers = Answers::of(&self.network, &work.stage, &self.val)?;
        let fusion = answers.mean_fusion();
        let position = &mut self.position;
        let seen = position.seen as f64;
        let row = EpochRow {
            stage: position.stage.clone(),
            epoch: position.epoch + 1,
            train_loss: position.loss_sum / seen,
            train_accuracy: position.correct as f64 / seen,
            val_loss: answers.loss(),
            val_accuracy: answers.accuracy(),
            learning_rate: rate,
            images_per_s,
            seconds: started.elapsed().as_secs_f64(),
            w_face: fusion.map(|w| w[0]),
            w_context: fusion.map(|w| w[1]),
        };
        (position.epoch, position.step, position.seen) = (row.epoch, 0, 0);
        (position.loss_sum, position.correct, position.optimizer_steps) =
            (0.0, 0, work.optimizer.steps());
        self.progress.note(&line(&self.plan.label, &row, work.epochs));
        self.warn_of_collapse(&row);
        self.rows.push(row.clone());
        if matches!(work.stage, Stage::Joint) {
            self.select(&row, work)?;
        }
        self.save(LAST, Some(work))?;
        self.folder.write_epochs(&self.rows)?;
        self.write_record()
    }

    /// Keeps the epoch when it is the best on validation so far.
    fn select(&mut self, row: &EpochRow, work: &Work) -> Result<()> {
        let is_better =
            self.position.best.is_none_or(|best| best.is_beaten_by(row.val_accuracy, row.val_loss));
        if !is_better {
            return Ok(());
        }
        let EpochRow { epoch, val_accuracy, val_loss, .. } = *row;
        self.position.best = Some(Best { epoch, val_accuracy, val_loss });
        self.record.selected = Some(Selected {
            epoch,
            val_accuracy,
            reason: "highest validation accuracy; of equal ones the lowest validation loss, then the earliest".into(),
        });
        self.save(BEST, Some(work))
    }

    fn warn_of_collapse(&mut self, row: &EpochRow) {
        let branches = [("face", row.w_face), ("context", row.w_context)];
        for (branch, weight) in branches {
            let Some(weight) = weight.filter(|&w| w < COLLAPSED) else { continue };
            let warning = format!(
                "the fusion ignores the {branch}: mean weight {weight:.3} in epoch {}",
                row.epoch
            );
            self.progress.note(&format!("warning: {warning}"));
            // One warning per branch is enough for the record: the latest.
            let start = format!("the fusion ignores the {branch}");
            self.record.warnings.retain(|old| !old.starts_with(&start));
            self.record.warnings.push(warning);
        }
    }

    fn check_stop(&self) -> Result<()> {
        let Position { stage, epoch, step, .. } = &self.position;
        if self.stop.load(Ordering::SeqCst) {
            bail!(Interrupted { stage: stage.clone(), epoch: epoch + 1, step: *step });
        }
        Ok(())
    }

    /// As [`Run::check_stop`], with a checkpoint in the middle of an epoch.
    fn check_stop_with(&mut self, work: &Work, pending: &mut Vec<Step>) -> Result<()> {
        if self.stop.load(Ordering::SeqCst) {
            self.look(pending)?;
            self.position.optimizer_steps = work.optimizer.steps();
            self.save(LAST, Some(work))?;
            self.folder.write_epochs(&self.rows)?;
        }
        self.check_stop()
    }

    fn save(&self, name: &str, work: Option<&Work>) -> Result<()> {
        let head = match work.map(|work| &work.stage) {
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
            optimizer: work.map(|work| work.optimizer.state()).unwrap_or_default(),
        };
        checkpoint.write(&self.folder.file(name))
    }

    fn write_record(&mut self) -> Result<()> {
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

/// What a step leaves to be counted.
struct Step {
    loss: Tensor,
    correct: Tensor,
    samples: usize,
}

/// Threads, determinism and device as configured.
pub(super) fn set_up(train: &TrainConfig) -> Result<Device> {
    if train.threads > 0 {
        tch::set_num_threads(train.threads as i32);
    }
    let device = network::device(&train.device)?;
    native::set_deterministic(train.deterministic)?;
    native::allow_tf32(train.precision == Precision::Bf16)?;
    Ok(device)
}

/// A training pass in the configured precision.
pub(super) fn pass_of(precision: Precision) -> Pass {
    match precision {
        Precision::Fp32 => Pass::new(true),
        Precision::Bf16 => Pass::new(true).in_kind(Kind::BFloat16),
    }
}

/// The epoch's order cut into batches. A rest of one sample is left out: batch normalisation has
/// no variance of one.
fn batches(n: usize, size: usize, seed: u64, occasion: &str) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..n).collect();
    Draws::new(seed, "order", occasion).shuffle(&mut order);
    order.chunks(size).filter(|rows| rows.len() > 1).map(<[usize]>::to_vec).collect()
}

fn refuse_missing_classes(train: &Pictures) -> Result<()> {
    let counts = train.class_counts();
    let missing: Vec<&str> = Emotion::ALL
        .iter()
        .filter(|emotion| counts[usize::from(emotion.label())] == 0)
        .map(|emotion| emotion.name())
        .collect();
    ensure!(
        missing.is_empty(),
        "the training split has no sample of {}; a model cannot learn a class that it never sees",
        missing.join(", ")
    );
    Ok(())
}

fn new_record(plan: &Plan, network: &Network, pack: &Pack, device: Device) -> RunRecord {
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
        commit: option_env!("NCAERS_COMMIT").map(str::to_owned),
        device: network::device_name(device),
        threads: tch::get_num_threads() as u32,
        parameters: network.parameters(),
        selected: None,
        seconds: 0.0,
        status: Status::Running,
        error: None,
        warnings: Vec::new(),
    }
}

/// Says which batch size to try when memory ran out.
fn explain_memory(error: anyhow::Error, batch_size: u32) -> anyhow::Error {
    let text = format!("{error:#}");
    if text.contains("out of memory") || text.contains("can't allocate memory") {
        let smaller = (batch_size / 2).max(2);
        return error
            .context(format!("memory ran out at train.batch_size = {batch_size}; try {smaller}"));
    }
    error
}

/// An epoch in one line.
fn line(label: &str, row: &EpochRow, epochs: u32) -> String {
    let weights = match (row.w_face, row.w_context) {
        (Some(face), Some(context)) => format!(", weights face {face:.2} context {context:.2}"),
        _ => String::new(),
    };
    format!(
        "{label}: {} {}/{epochs} loss {:.3} accuracy {:.3}, validation loss {:.3} accuracy {:.3}{weights}, {:.0} images/s",
        row.stage,
        row.epoch,
        row.train_loss,
        row.train_accuracy,
        row.val_loss,
        row.val_accuracy,
        row.images_per_s
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_once_and_no_batch_of_one() {
        for (n, size) in [(10, 4), (9, 4), (2, 4), (8, 4)] {
            let all = batches(n, size, 1, "joint 0");
            assert!(all.iter().all(|rows| (2..=size).contains(&rows.len())));
            let mut seen: Vec<usize> = all.concat();
            let left_out = usize::from(n % size == 1);
            assert_eq!(seen.len(), n - left_out);
            seen.sort();
            seen.dedup();
            assert_eq!(seen.len(), n - left_out);
        }
        assert_ne!(batches(50, 8, 1, "joint 0"), batches(50, 8, 1, "joint 1"));
        assert_eq!(batches(50, 8, 1, "joint 0"), batches(50, 8, 1, "joint 0"));
    }
}
