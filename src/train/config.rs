//! What a training run can be told. The defaults are the paper's protocol, or the released code's
//! where the paper is silent; each default gives its reason, here and nowhere else.
use anyhow::{ensure, Result};
use serde::{Deserialize, Serialize};

use super::schedule::Schedule;
pub use crate::device::Precision;

/// Section `[train]` of an experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Epochs of stage 1, per encoder.
    pub stage1_epochs: StageEpochs,
    /// Epochs of the joint stage.
    pub epochs: u32,
    /// Samples of one step; the last batch of an epoch may be smaller, but never a single sample.
    pub batch_size: u32,
    /// The rule that turns gradients into steps.
    pub optimizer: OptimizerKind,
    /// Learning rate at the start, in both stages.
    pub learning_rate: f64,
    /// Factor on the encoders' learning rate in the joint stage.
    pub encoder_lr_scale: f64,
    /// How the learning rate falls.
    pub schedule: Schedule,
    /// Momentum of SGD.
    pub momentum: f64,
    /// Nesterov's form of momentum.
    pub nesterov: bool,
    /// The variant of Adam that keeps the largest second moment.
    pub amsgrad: bool,
    /// L2 penalty added to the gradient (decoupled from it in AdamW), on every parameter.
    pub weight_decay: f64,
    /// Dropout before the last layer, in place of the model's own figure.
    pub dropout: Option<f64>,
    /// What is minimised.
    pub loss: LossKind,
    /// Run folder of the finished model whose answers are the targets of `label_distribution`.
    pub teacher: Option<String>,
    /// Probability mass spread evenly over the classes.
    pub label_smoothing: f64,
    /// How classes are weighted in the loss.
    pub class_weights: ClassWeights,
    /// Steps at the start of each stage over which the learning rate rises from 0.
    pub warmup: u32,
    /// Which epoch of the joint stage the run stands for.
    pub selection: Selection,
    /// Joint epochs without a better validation accuracy after which training ends; 0 = never.
    pub early_stop: u32,
    /// Largest L2 norm of all gradients together; 0 = no limit.
    pub clip_grad: f64,
    /// Share of the old value in a running average of the weights, kept from step to step in the
    /// joint stage, that is validated and selected in place of the weights themselves; 0 = none.
    pub weight_average: f64,
    /// Whether answers (validation, predictions) are the mean over a picture and its mirror image.
    pub flip_at_test: bool,
    /// What happens when the training split lacks a class.
    pub missing_classes: MissingClasses,
    /// Changes made to training pictures.
    pub augment: Augment,
    /// Number format of the network's arithmetic; weights stay fp32.
    pub precision: Precision,
    /// Refuse operations whose result depends on timing (CUDA; on the CPU all are repeatable).
    pub deterministic: bool,
    /// Record a step once and launch it as a whole (CUDA graphs), where the device can.
    pub graphs: bool,
    /// Threads of one operation; 0 = as many as there are cores. Bits depend on it.
    pub threads: u32,
    /// `auto`, `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// Seed of every draw: initial weights, order, augmentation, dropout.
    pub seed: u64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        TrainConfig {
            // Inferred: the paper trains the encoders "separately" first and names no length; one
            // third of the joint stage.
            stage1_epochs: StageEpochs { face: 20, context: 20 },
            // Released code: 60 epochs, batches of 4.
            epochs: 60,
            batch_size: 4,
            // Paper: SGD; released code: rate 5e-4, momentum 0.9, no Nesterov, no decay.
            optimizer: OptimizerKind::Sgd,
            learning_rate: 5e-4,
            // Paper: "jointly", so one rate for all.
            encoder_lr_scale: 1.0,
            // Released code: a tenth after epochs 25 and 40, never below 1e-5.
            schedule: Schedule::Steps { milestones: vec![25, 40], factor: 0.1, floor: 1e-5 },
            momentum: 0.9,
            nesterov: false,
            amsgrad: false,
            weight_decay: 0.0,
            // Paper: 0.5 before the last layer, which is also the model's own default.
            dropout: None,
            // Paper: cross-entropy, nothing smoothed or weighted.
            loss: LossKind::CrossEntropy,
            teacher: None,
            label_smoothing: 0.0,
            class_weights: ClassWeights::None,
            // None of these is mentioned by paper or code.
            warmup: 0,
            // Released code: the best epoch by validation accuracy.
            selection: Selection::Validation,
            early_stop: 0,
            clip_grad: 0.0,
            weight_average: 0.0,
            flip_at_test: false,
            // A model cannot learn a class that it never sees, and rarely is that meant.
            missing_classes: MissingClasses::Refuse,
            augment: Augment::default(),
            // What users of PyTorch have who say nothing: TF32 in CUDA's convolutions and nowhere
            // else. On the CPU that is fp32, in which the authors' framework computes.
            precision: Precision::Tf32,
            deterministic: false,
            // The same results with less waiting for the host.
            graphs: true,
            threads: 0,
            device: "auto".into(),
            seed: 1,
        }
    }
}

/// Epochs of stage 1 for each encoder; a plain number in the file means both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StageEpochsInFile")]
pub struct StageEpochs {
    /// Epochs of the face encoder.
    pub face: u32,
    /// Epochs of the context encoder.
    pub context: u32,
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields, expecting = "a number, or { face = N, context = N }")]
enum StageEpochsInFile {
    Both(u32),
    Each { face: u32, context: u32 },
}

impl From<StageEpochsInFile> for StageEpochs {
    fn from(given: StageEpochsInFile) -> Self {
        match given {
            StageEpochsInFile::Both(n) => StageEpochs { face: n, context: n },
            StageEpochsInFile::Each { face, context } => StageEpochs { face, context },
        }
    }
}

/// Rules that turn gradients into steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerKind {
    /// Stochastic gradient descent with momentum.
    Sgd,
    /// Adam (Kingma and Ba 2015), decay inside the gradient.
    Adam,
    /// AdamW (Loshchilov and Hutter 2019), decay outside the gradient.
    Adamw,
}

/// What is minimised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossKind {
    /// Mean cross-entropy with the true class.
    CrossEntropy,
    /// Mean cross-entropy with a teacher's distribution (EfficientFace).
    LabelDistribution,
    /// 0.6 of the local and 0.4 of the global head's cross-entropy (MA-Net).
    LocalGlobal,
}

/// Which epoch of the joint stage a run stands for. The test split is no choice: an epoch that was
/// picked on the samples that it is then scored on is scored too well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// The one with the highest validation accuracy.
    Validation,
    /// The last one, for protocols without a validation part.
    Last,
}

/// How classes are weighted in the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeights {
    /// All alike.
    None,
    /// By the inverse of their number of training samples, mean 1 over samples.
    Balanced,
}

/// What to do about an empty validation part.
pub const EMPTY_VALIDATION: &str = "the validation part is empty, so no epoch can be selected by it; carve one out of train with `ncaers import --val-share 10`, or set train.selection = \"last\"";

/// What happens when the training split lacks a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingClasses {
    /// Nothing is trained.
    Refuse,
    /// The others are trained; the run's warnings name the missing ones.
    Allow,
}

/// Which pictures a horizontal flip mirrors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flip {
    /// None.
    None,
    /// The face (or the whole picture, where that is the input).
    Face,
    /// The context.
    Context,
    /// Face and context, each by a coin of its own.
    Each,
    /// Face and context by one coin, as if the frame were mirrored.
    Both,
}

/// Changes made to training pictures; drawn per sample and seeded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// What is mirrored, with probability one half.
    pub flip: Flip,
    /// Pixels by which face and whole picture move at most; what moves in repeats the edge.
    pub shift: u32,
    /// Pixels by which the context's 112 x 112 window leaves the centre at most, within the
    /// 128 x 171 picture; 30 reaches every place.
    pub context_shift: u32,
    /// Smallest share of a window's area that a random resized crop keeps (sides 3:4 to 4:3, then
    /// brought to the network's size); 1 = the whole window always.
    pub crop_scale: f64,
    /// Brightness is multiplied by 1 +- this.
    pub brightness: f64,
    /// Contrast around the picture's mean is multiplied by 1 +- this.
    pub contrast: f64,
    /// Saturation around the grey picture is multiplied by 1 +- this.
    pub saturation: f64,
    /// Colours move around the colour circle by this share of it at most.
    pub hue: f64,
    /// Degrees by which face and whole picture turn at most.
    pub rotation: f64,
    /// Degrees by which the context turns at most.
    pub context_rotation: f64,
}

impl Default for Augment {
    fn default() -> Self {
        Augment {
            // Released code: only the face is mirrored.
            flip: Flip::Face,
            // Paper: the context's window is drawn anywhere, the face stays.
            shift: 0,
            context_shift: 30,
            // Mentioned by neither.
            crop_scale: 1.0,
            brightness: 0.0,
            contrast: 0.0,
            saturation: 0.0,
            hue: 0.0,
            // Released code: the face turns by up to 20 degrees, as recipes/glamor_released.toml
            // has it; the paper names its changes to pictures and does not name this one.
            rotation: 0.0,
            context_rotation: 0.0,
        }
    }
}

impl TrainConfig {
    /// Checks what types cannot express.
    ///
    /// # Errors
    /// Names the key and the value.
    pub fn check(&self) -> Result<()> {
        ensure!(
            self.batch_size >= 2,
            "train.batch_size is {}, must be at least 2 (batch normalisation needs two samples)",
            self.batch_size
        );
        ensure!(self.epochs >= 1, "train.epochs is 0, must be at least 1");
        let rate = self.learning_rate;
        ensure!(rate > 0.0 && rate.is_finite(), "train.learning_rate is {rate}, must be positive");
        let augment = &self.augment;
        for (key, value, lo, hi) in [
            ("encoder_lr_scale", self.encoder_lr_scale, 0.0, f64::MAX),
            ("momentum", self.momentum, 0.0, 0.999_999),
            ("weight_decay", self.weight_decay, 0.0, f64::MAX),
            ("dropout", self.dropout.unwrap_or(0.0), 0.0, 0.99),
            ("label_smoothing", self.label_smoothing, 0.0, 0.99),
            ("clip_grad", self.clip_grad, 0.0, f64::MAX),
            ("weight_average", self.weight_average, 0.0, 0.999_999),
            ("augment.crop_scale", augment.crop_scale, 0.01, 1.0),
            ("augment.brightness", augment.brightness, 0.0, 1.0),
            ("augment.contrast", augment.contrast, 0.0, 1.0),
            ("augment.saturation", augment.saturation, 0.0, 1.0),
            ("augment.hue", augment.hue, 0.0, 0.5),
            ("augment.rotation", augment.rotation, 0.0, 180.0),
            ("augment.context_rotation", augment.context_rotation, 0.0, 180.0),
        ] {
            ensure!((lo..=hi).contains(&value), "train.{key} is {value}, must be in {lo}..={hi}");
        }
        ensure!(!self.nesterov || self.momentum > 0.0, "train.nesterov needs train.momentum > 0");
        ensure!(
            self.early_stop == 0 || self.selection == Selection::Validation,
            "train.early_stop = {} judges by validation, which train.selection = \"last\" does not use; set one of the two",
            self.early_stop
        );
        let teaches = self.loss == LossKind::LabelDistribution;
        ensure!(
            teaches == self.teacher.is_some(),
            "train.teacher and train.loss = \"label_distribution\" need each other"
        );
        self.schedule.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        TrainConfig::default().check().expect("valid");
    }

    #[test]
    fn impossible_values_are_named() {
        type Change = fn(&mut TrainConfig);
        let cases: [(&str, Change); 7] = [
            ("train.early_stop = 3", |c| (c.selection, c.early_stop) = (Selection::Last, 3)),
            ("train.batch_size is 1", |c| c.batch_size = 1),
            ("train.learning_rate is NaN", |c| c.learning_rate = f64::NAN),
            ("train.momentum is 1", |c| c.momentum = 1.0),
            ("train.dropout is 1", |c| c.dropout = Some(1.0)),
            ("train.teacher", |c| c.loss = LossKind::LabelDistribution),
            ("train.schedule", |c| {
                c.schedule = Schedule::Steps { milestones: vec![3, 2], factor: 0.1, floor: 0.0 }
            }),
        ];
        for (expected, change) in cases {
            let mut config = TrainConfig::default();
            change(&mut config);
            let message = config.check().expect_err(expected).to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
