//! What is minimised.
use anyhow::{Context, Result};
use tch::{Device, Kind, Reduction, Tensor};

use super::{
    config::{ClassWeights, LossKind, TrainConfig},
    network::Network,
};
use crate::{
    model::{Inputs, Outputs, Pass, LOCAL_SHARE},
    record::NUM_CLASSES,
};

/// A loss with everything that it needs beside the batch.
#[derive(Debug)]
pub(crate) struct Loss {
    kind: LossKind,
    smoothing: f64,
    /// `[C]`
    weights: Option<Tensor>,
    teacher: Option<Network>,
}

impl Loss {
    /// The configured loss for training data with `counts` samples per class.
    pub fn new(
        config: &TrainConfig,
        counts: &[usize; NUM_CLASSES],
        teacher: Option<Network>,
        device: Device,
    ) -> Result<Self> {
        let weights = match config.class_weights {
            ClassWeights::None => None,
            ClassWeights::Balanced => {
                Some(Tensor::f_from_slice(&balanced(counts))?.f_to_device(device)?)
            }
        };
        Ok(Loss { kind: config.loss, smoothing: config.label_smoothing, weights, teacher })
    }

    /// Plain cross-entropy, as in stage 1 and in validation.
    pub fn plain() -> Self {
        Loss { kind: LossKind::CrossEntropy, smoothing: 0.0, weights: None, teacher: None }
    }

    /// The mean loss of a batch, a scalar with a gradient.
    pub fn of(&self, outputs: &Outputs, inputs: &Inputs, labels: &Tensor) -> Result<Tensor> {
        let named = |wanted: &str| {
            let found = outputs.named.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, tensor)| tensor).with_context(|| {
                format!("loss `local_global` needs a model with {wanted}, such as ma_net")
            })
        };
        match self.kind {
            LossKind::CrossEntropy => self.cross_entropy(&outputs.logits, labels),
            LossKind::LocalGlobal => {
                let local = self.cross_entropy(named("logits_local")?, labels)?;
                let global = self.cross_entropy(named("logits_global")?, labels)?;
                Ok(local
                    .f_mul_scalar(LOCAL_SHARE)?
                    .f_add(&global.f_mul_scalar(1.0 - LOCAL_SHARE)?)?)
            }
            LossKind::LabelDistribution => self.distribution(&outputs.logits, inputs),
        }
    }

    fn cross_entropy(&self, logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
        let weights = self.weights.as_ref();
        Ok(logits.f_cross_entropy_loss(labels, weights, Reduction::Mean, -100, self.smoothing)?)
    }

    /// Minus the mean over samples and classes of teacher times log of student, as the public
    /// code of EfficientFace has it.
    fn distribution(&self, logits: &Tensor, inputs: &Inputs) -> Result<Tensor> {
        let teacher = self.teacher.as_ref().context("no teacher was loaded")?;
        let target = tch::no_grad(|| teacher.model().run(inputs, &Pass::new(false)))?;
        let target = target.logits.f_softmax(1, Kind::Float)?;
        let log = logits.f_log_softmax(1, Kind::Float)?;
        Ok(target.f_mul(&log)?.f_mean(Kind::Float)?.f_neg()?)
    }
}

/// Inverse class frequencies, scaled so that their mean over the samples is 1.
fn balanced(counts: &[usize; NUM_CLASSES]) -> [f32; NUM_CLASSES] {
    let total: usize = counts.iter().sum();
    let present = counts.iter().filter(|n| **n > 0).count();
    counts.map(|n| if n == 0 { 0.0 } else { total as f32 / (present * n) as f32 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: [f64; 7] = [2.0, 0.5, -1.0, 0.0, 0.3, 0.0, 1.0];
    const GLOBAL: [f64; 7] = [0.0, 1.0, 0.0, -2.0, 0.0, 0.7, 0.1];

    fn tensor(values: &[f64]) -> Tensor {
        Tensor::from_slice(values).to_kind(Kind::Float).view([-1, 7])
    }

    fn outputs(logits: &[f64]) -> Outputs {
        let named = vec![("logits_local", tensor(&LOCAL)), ("logits_global", tensor(&GLOBAL))];
        Outputs { logits: tensor(logits), attention: None, fusion_weights: None, named }
    }

    /// Logarithms of the softmax, in f64.
    fn log_softmax(logits: &[f64]) -> Vec<f64> {
        let sum: f64 = logits.iter().map(|v| v.exp()).sum();
        logits.iter().map(|v| v - sum.ln()).collect()
    }

    fn loss_of(config: &TrainConfig, counts: [usize; 7], logits: &[f64], labels: &[i64]) -> f64 {
        let loss = Loss::new(config, &counts, None, Device::Cpu).expect("a loss");
        let labels = Tensor::from_slice(labels);
        loss.of(&outputs(logits), &Inputs::default(), &labels).expect("a value").double_value(&[])
    }

    #[test]
    fn smoothing_spreads_its_share_over_all_classes() {
        let config = TrainConfig { label_smoothing: 0.1, ..TrainConfig::default() };
        let log = log_softmax(&LOCAL);
        let expected = -(0.9 * log[2] + 0.1 / 7.0 * log.iter().sum::<f64>());
        assert!((loss_of(&config, [1; 7], &LOCAL, &[2]) - expected).abs() < 1e-6);
    }

    #[test]
    fn rare_classes_weigh_more() {
        let config =
            TrainConfig { class_weights: ClassWeights::Balanced, ..TrainConfig::default() };
        let counts = [10, 20, 10, 10, 10, 10, 10];
        let log = log_softmax(&LOCAL);
        // Class 0 is half as frequent as class 1 and weighs twice as much.
        let expected = -(2.0 * log[0] + log[1]) / 3.0;
        let both = [LOCAL, LOCAL].concat();
        assert!((loss_of(&config, counts, &both, &[0, 1]) - expected).abs() < 1e-6);
    }

    #[test]
    fn two_heads_share_six_to_four() {
        let config = TrainConfig { loss: LossKind::LocalGlobal, ..TrainConfig::default() };
        let expected = -(0.6 * log_softmax(&LOCAL)[1] + 0.4 * log_softmax(&GLOBAL)[1]);
        assert!((loss_of(&config, [1; 7], &[0.0; 7], &[1]) - expected).abs() < 1e-6);
    }

    #[test]
    fn balanced_weights_average_to_one_over_samples() {
        let counts = [10, 20, 30, 40, 50, 60, 70];
        let weights = balanced(&counts);
        let mean: f32 = counts.iter().zip(weights).map(|(&n, w)| n as f32 * w).sum::<f32>() / 280.0;
        assert!((mean - 1.0).abs() < 1e-6);
        assert!((weights[0] / weights[1] - 2.0).abs() < 1e-6);
        // Label smoothing would weigh a class by its weight though it has no sample.
        assert_eq!(balanced(&[0, 4, 4, 0, 4, 4, 4]), [0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0]);
    }
}
