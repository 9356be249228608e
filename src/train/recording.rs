//! A training step of one batch shape, recorded once and replayed as one launch (CUDA graphs).
//!
//! A recorded step reads and writes the same memory for ever, so its batch is copied into tensors
//! with a fixed place, and its results out of such. What the host decides anew in every step (the
//! draws of dropout, learning rate, order) is set before the replay. A batch of another size, and
//! every batch where recording fails, runs launch by launch with the same results.
use anyhow::Result;
use tch::{Kind, Tensor};

use super::batch::Batch;
use crate::device::Graph;

/// Steps that run launch by launch before one is recorded: cuDNN times its kernels, and libraries
/// reserve their work space.
const WARM_UP: u32 = 3;

/// Runs a step, launch by launch or recorded.
pub(super) type Body<'a> = dyn FnMut(&Batch) -> Result<Counts> + 'a;

/// What a step leaves to be counted: the batch's mean loss (f32) and the number of its correct
/// answers (i64), both 0-dim on the device.
#[derive(Debug)]
pub(super) struct Counts {
    pub loss: Tensor,
    pub correct: Tensor,
}

/// Records what a step launches, and launches it again.
pub(super) trait Recorder: std::fmt::Debug {
    /// Records what `step` launches; nothing of it runs.
    fn record(&mut self, step: &mut dyn FnMut() -> Result<()>) -> Result<()>;
    /// Runs what was recorded, which is what `step` does.
    fn replay(&mut self, step: &mut dyn FnMut() -> Result<()>) -> Result<()>;
}

/// CUDA's own.
#[derive(Debug, Default)]
pub(super) struct CudaRecorder {
    graph: Option<Graph>,
}

impl Recorder for CudaRecorder {
    fn record(&mut self, step: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        self.graph = Some(Graph::record(step)?);
        Ok(())
    }

    fn replay(&mut self, step: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        match &self.graph {
            Some(graph) => graph.replay(),
            None => step(),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum RecordingState {
    /// So many steps have run launch by launch.
    Warming(u32),
    Recorded,
    /// Why every step runs launch by launch.
    GivenUp(String),
}

/// A step with fixed places.
#[derive(Debug)]
pub(super) struct Recording {
    batch: Batch,
    counts: Counts,
    state: RecordingState,
    recorder: Box<dyn Recorder>,
}

impl Recording {
    /// A step for batches of the shape of this one.
    ///
    /// # Errors
    /// When the device lacks memory.
    pub fn of(batch: &Batch, recorder: Box<dyn Recorder>) -> Result<Self> {
        let device = batch.labels.device();
        let scalar = |kind| Tensor::f_zeros([] as [i64; 0], (kind, device));
        let counts = Counts { loss: scalar(Kind::Float)?, correct: scalar(Kind::Int64)? };
        Ok(Recording {
            batch: batch.copied()?,
            counts,
            state: RecordingState::Warming(0),
            recorder,
        })
    }

    /// Whether a batch has the shape of this step's.
    pub fn fits(&self, batch: &Batch) -> bool {
        self.batch.is_like(batch)
    }

    /// Whether the step is launched as one.
    pub fn is_recorded(&self) -> bool {
        self.state == RecordingState::Recorded
    }

    /// Why steps are not recorded, where that was tried in vain.
    pub fn given_up(&self) -> Option<&str> {
        match &self.state {
            RecordingState::GivenUp(reason) => Some(reason),
            _ => None,
        }
    }

    /// Runs the step on a batch that fits; `clear` takes away what a step leaves behind that could
    /// not be recorded.
    ///
    /// # Errors
    /// What the step says when it runs launch by launch, or CUDA when it is replayed.
    pub fn run(
        &mut self,
        batch: &Batch,
        body: &mut Body,
        clear: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Counts> {
        self.batch.copy_from(batch)?;
        let Recording { batch, counts, state, recorder } = self;
        let mut step = || -> Result<()> {
            let found = body(batch)?;
            tch::no_grad(|| -> Result<()> {
                counts.loss.shallow_clone().f_copy_(&found.loss)?;
                counts.correct.shallow_clone().f_copy_(&found.correct)?;
                Ok(())
            })
        };
        if *state == RecordingState::Warming(WARM_UP) {
            *state = match recorder.record(&mut step) {
                Ok(()) => RecordingState::Recorded,
                Err(error) => {
                    clear()?;
                    RecordingState::GivenUp(format!("{error:#}"))
                }
            };
        }
        match state {
            RecordingState::Recorded => recorder.replay(&mut step)?,
            RecordingState::Warming(steps) => {
                step()?;
                *steps += 1;
            }
            RecordingState::GivenUp(_) => step()?,
        }
        // The fixed places are written again before anybody reads.
        Ok(Counts { loss: self.counts.loss.copy(), correct: self.counts.correct.copy() })
    }
}

/// Recorders for tests without a GPU.
#[cfg(test)]
pub(super) mod stand_in {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        /// Steps that were replayed on this thread.
        pub static REPLAYS: Cell<u32> = const { Cell::new(0) };
    }

    /// Repeats the step itself.
    #[derive(Debug)]
    struct Repeats;

    /// Records nothing, having begun the step.
    #[derive(Debug)]
    struct Refuses;

    pub fn repeats() -> Box<dyn Recorder> {
        Box::new(Repeats)
    }

    pub fn refuses() -> Box<dyn Recorder> {
        Box::new(Refuses)
    }

    impl Recorder for Repeats {
        fn record(&mut self, _: &mut dyn FnMut() -> Result<()>) -> Result<()> {
            Ok(())
        }

        fn replay(&mut self, step: &mut dyn FnMut() -> Result<()>) -> Result<()> {
            REPLAYS.set(REPLAYS.get() + 1);
            step()
        }
    }

    impl Recorder for Refuses {
        fn record(&mut self, _: &mut dyn FnMut() -> Result<()>) -> Result<()> {
            anyhow::bail!("nothing is recorded here")
        }

        fn replay(&mut self, _: &mut dyn FnMut() -> Result<()>) -> Result<()> {
            anyhow::bail!("nothing was recorded")
        }
    }
}
