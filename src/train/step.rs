//! One training step: forward, backward, update; by our fused layer on the CPU, and on CUDA with as
//! few launches as can be, recorded where a batch shape comes again.
use anyhow::Result;
use tch::{Device, Kind};

use super::{
    ahead::{in_precision, Ahead},
    batch::Batch,
    config::TrainConfig,
    loss::Loss,
    network::{Network, Stage},
    optimizer::Optimizer,
    recording::{Counts, CudaRecorder, Recorder, Recording},
};
use crate::{device::Precision, model::Pass};

/// Makes recorders: one for every batch shape that is recorded.
type MakeRecorder = fn() -> Box<dyn Recorder>;

/// A stage's steps.
#[derive(Debug)]
pub(super) struct Stepper {
    pub stage: Stage,
    pub optimizer: Optimizer,
    loss: Loss,
    precision: Precision,
    /// `None` where every layer works by itself.
    ahead: Option<Ahead>,
    /// Whether the copies of the weights are those of the present weights.
    is_fresh: bool,
    recorder: Option<MakeRecorder>,
    recording: Option<Recording>,
    /// Samples of the batches that are recorded; smaller ones come once in an epoch.
    rows: i64,
    /// Whether only LibTorch's own operations are used, for comparison.
    separately: bool,
}

impl Stepper {
    /// The steps of a stage on `device`.
    ///
    /// # Errors
    /// When the device lacks memory.
    pub fn new(
        network: &Network,
        stage: Stage,
        optimizer: Optimizer,
        loss: Loss,
        train: &TrainConfig,
        device: Device,
    ) -> Result<Self> {
        let stepper = Stepper {
            stage,
            optimizer,
            loss,
            precision: train.precision,
            ahead: None,
            is_fresh: false,
            recorder: None,
            recording: None,
            rows: i64::from(train.batch_size),
            separately: false,
        };
        let recorder = || -> Box<dyn Recorder> { Box::new(CudaRecorder::default()) };
        match device {
            Device::Cpu => Ok(stepper),
            _ => stepper.with_few_launches(network, device, train.graphs.then_some(recorder)),
        }
    }

    /// The same as on a GPU; without a recorder launch by launch.
    pub(super) fn with_few_launches(
        mut self,
        network: &Network,
        device: Device,
        recorder: Option<MakeRecorder>,
    ) -> Result<Self> {
        let ahead = Ahead::of(network, &self.stage, self.precision, device)?;
        self.optimizer.keep_rates_on_device()?;
        self.optimizer.keep_gradients(&ahead.kept());
        Ok(Stepper { ahead: Some(ahead), recorder, ..self })
    }

    /// One step on a batch.
    ///
    /// # Errors
    /// When memory runs out or a parameter has no gradient.
    pub fn step(&mut self, network: &Network, batch: &Batch, rate: f64) -> Result<Counts> {
        if let Some(ahead) = self.ahead.as_ref().filter(|_| !self.is_fresh) {
            ahead.refresh()?;
            self.is_fresh = true;
        }
        self.optimizer.begin(rate)?;
        let Some(mut recording) = self.recording_for(batch)? else {
            return self.whole(network, batch);
        };
        let ran =
            recording.run(batch, &mut |batch| self.whole(network, batch), &mut || self.clear());
        self.recording = Some(recording);
        ran
    }

    /// The recording that a batch can run in.
    fn recording_for(&mut self, batch: &Batch) -> Result<Option<Recording>> {
        let Some(make) = self.recorder.filter(|_| batch.len() == self.rows) else {
            return Ok(None);
        };
        Ok(match self.recording.take() {
            Some(recording) if recording.fits(batch) => Some(recording),
            _ => Some(Recording::of(batch, make())?),
        })
    }

    /// Whether the last step was a recorded one, but for a batch of another size.
    pub fn is_recorded(&self) -> bool {
        self.recording.as_ref().is_some_and(Recording::is_recorded)
    }

    /// Why steps are not recorded, where that was tried in vain; told once.
    pub fn given_up(&mut self) -> Option<String> {
        let reason = self.recording.as_ref()?.given_up()?.to_owned();
        (self.recorder, self.recording) = (None, None);
        Some(reason)
    }

    /// Everything that is launched.
    fn whole(&self, network: &Network, batch: &Batch) -> Result<Counts> {
        let counts = self.passes(network, batch)?;
        if let Some(ahead) = &self.ahead {
            ahead.after_pass()?;
        }
        self.optimizer.apply()?;
        if let Some(ahead) = &self.ahead {
            ahead.refresh()?;
        }
        Ok(counts)
    }

    /// A step without its update: the gradients are left where they are.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn passes(&self, network: &Network, batch: &Batch) -> Result<Counts> {
        if let Some(ahead) = &self.ahead {
            ahead.before_pass()?;
        }
        let inputs = batch.inputs();
        let outputs = self.stage.forward(network, &inputs, &self.pass())?;
        let loss = self.loss.of(&outputs, &inputs, &batch.labels)?;
        loss.f_backward()?;
        let answers = outputs.logits.f_argmax(1, false)?;
        let correct = answers.f_eq_tensor(&batch.labels)?.f_sum(Kind::Int64)?;
        Ok(Counts { loss: loss.f_detach()?, correct })
    }

    fn pass(&self) -> Pass {
        match &self.ahead {
            Some(ahead) => ahead.pass(self.precision),
            None if self.separately => in_precision(Pass::new(true), self.precision).separately(),
            None => in_precision(Pass::new(true), self.precision),
        }
    }

    /// Forgets what an unfinished step left: its gradients.
    ///
    /// # Errors
    /// When LibTorch refuses.
    pub fn clear(&self) -> Result<()> {
        self.optimizer.clear_gradients()?;
        self.ahead.as_ref().map_or(Ok(()), Ahead::clear)
    }

    /// Gives the recorded step and its memory up.
    pub fn forget_recording(&mut self) {
        self.recording = None;
    }
}

#[cfg(test)]
#[path = "step_tests.rs"]
mod tests;
