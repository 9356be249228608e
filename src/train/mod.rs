//! Training: a pack and an experiment become a run folder with a selected checkpoint.
//!
//! Two stages as in the paper: each encoder with a temporary head of its own, then everything
//! together. Every draw (order, augmentation, dropout) is a function of the seed and the position
//! in the run, so that a run that was stopped and resumed ends in the same bytes as one that was
//! not; nothing needs the state of a generator.
mod config;
mod inputs;
mod schedule;

#[cfg(feature = "torch")]
mod ahead;
#[cfg(feature = "torch")]
mod batch;
#[cfg(feature = "torch")]
mod calls;
#[cfg(feature = "torch")]
mod checkpoint;
#[cfg(feature = "torch")]
mod colour;
#[cfg(feature = "torch")]
mod evaluate;
#[cfg(feature = "torch")]
mod events;
#[cfg(feature = "torch")]
mod faces;
#[cfg(feature = "torch")]
mod fit;
#[cfg(feature = "torch")]
mod loss;
#[cfg(feature = "torch")]
mod memory;
#[cfg(feature = "torch")]
mod native;
#[cfg(feature = "torch")]
mod network;
#[cfg(feature = "torch")]
mod optimizer;
#[cfg(feature = "torch")]
mod predict;
#[cfg(feature = "torch")]
mod processor;
#[cfg(feature = "torch")]
mod recording;
#[cfg(feature = "torch")]
mod shared;
#[cfg(feature = "torch")]
mod speed;
#[cfg(feature = "torch")]
mod step;
#[cfg(feature = "torch")]
mod warp;

pub use config::{
    Augment, ClassWeights, Flip, LossKind, MissingClasses, OptimizerKind, Precision, Selection,
    StageEpochs, TrainConfig, EMPTY_VALIDATION,
};
pub use inputs::pack_inputs;
pub use schedule::Schedule;

#[cfg(feature = "torch")]
pub use self::{
    faces::{FaceAnswer, FacePixels, FaceReader},
    fit::{fit, Interrupted, Plan, WORKSPACE},
    memory::keep_memory,
    network::Network,
    optimizer::{Optimizer, Rule},
    predict::{precision_of, predict, use_threads_of, write_attention},
    speed::{epoch_speed, speed, Speed},
};
