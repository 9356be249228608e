//! Training: a pack and an experiment become a run folder with a selected checkpoint.
//!
//! Two stages as in the paper: each encoder with a temporary head of its own, then everything
//! together. Every draw (order, augmentation, dropout) is a function of the seed and the position
//! in the run, so that a run that was stopped and resumed ends in the same bytes as one that was
//! not; nothing needs the state of a generator.
mod config;
#[cfg(feature = "torch")]
mod native;
#[cfg(feature = "torch")]
mod optimizer;
mod schedule;

#[cfg(feature = "torch")]
pub use optimizer::{Optimizer, Rule};

pub use config::{
    Augment, ClassWeights, Flip, LossKind, OptimizerKind, Precision, StageEpochs, TrainConfig,
};
pub use schedule::Schedule;
