//! A network's answers on a whole split, in fp32 and in the order of the pack.
use anyhow::Result;
use tch::{Kind, Tensor};

use super::{
    batch::{Batch, Pictures},
    loss::Loss,
    network::{Network, Stage},
};
use crate::{
    model::{Outputs, Pass},
    record::NUM_CLASSES,
};

/// Samples evaluated at a time.
const BATCH: usize = 64;

/// How often a sample is shown for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Views {
    /// Once, as it is.
    Plain,
    /// As it is and mirrored: the mean of the two scores. Attention and weights are those of the
    /// picture as it is.
    Mirrored,
}

impl Views {
    /// What `train.flip_at_test` asks for.
    pub fn of(flip_at_test: bool) -> Self {
        if flip_at_test {
            Views::Mirrored
        } else {
            Views::Plain
        }
    }
}

/// What a network says about a split of N samples.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// `[N][C]`
    pub logits: Vec<[f32; NUM_CLASSES]>,
    /// Weights of face and context, `[N][2]`; empty for networks without fusion weights.
    pub fusion: Vec<[f32; 2]>,
    /// Attention maps `[n, H, W]`, batch after batch; empty for networks without attention.
    pub attention: Vec<Tensor>,
    loss_sum: f64,
    correct: u64,
}

impl Answers {
    /// Evaluates every sample of a split.
    ///
    /// # Errors
    /// When the network cannot take the pictures or memory is short.
    pub fn of(network: &Network, stage: &Stage, pictures: &Pictures, views: Views) -> Result<Self> {
        let _guard = tch::no_grad_guard();
        let rows: Vec<usize> = (0..pictures.len()).collect();
        let mut answers = Answers::default();
        for rows in rows.chunks(BATCH) {
            let batch = pictures.plain(rows)?;
            let mut outputs = stage.forward(network, &batch.inputs(), &Pass::new(false))?;
            if views == Views::Mirrored {
                let other = batch.mirrored()?;
                let other = stage.forward(network, &other.inputs(), &Pass::new(false))?;
                outputs.logits = outputs.logits.f_add(&other.logits)?.f_mul_scalar(0.5)?;
            }
            answers.add(&outputs, &batch, pictures, rows)?;
        }
        Ok(answers)
    }

    fn add(
        &mut self,
        outputs: &Outputs,
        batch: &Batch,
        pictures: &Pictures,
        rows: &[usize],
    ) -> Result<()> {
        let loss = Loss::plain().of(outputs, &batch.inputs(), &batch.labels)?;
        self.loss_sum += loss.f_double_value(&[])? * rows.len() as f64;
        let labels = &pictures.labels()[rows[0]..];
        for (logits, &label) in rows_of::<NUM_CLASSES>(&outputs.logits)?.into_iter().zip(labels) {
            self.correct += u64::from(first_maximum(&logits) == label);
            self.logits.push(logits);
        }
        if let Some(weights) = &outputs.fusion_weights {
            self.fusion.extend(rows_of::<2>(weights)?);
        }
        self.attention
            .extend(outputs.attention.as_ref().map(|map| map.to_device(tch::Device::Cpu)));
        Ok(())
    }

    /// Mean cross-entropy.
    pub fn loss(&self) -> f64 {
        self.loss_sum / self.logits.len() as f64
    }

    /// Share of samples answered correctly.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.logits.len() as f64
    }

    /// Mean weights of face and context; `None` for networks without fusion weights.
    pub fn mean_fusion(&self) -> Option<[f64; 2]> {
        let n = self.fusion.len();
        let mean =
            |side: usize| self.fusion.iter().map(|w| f64::from(w[side])).sum::<f64>() / n as f64;
        (n > 0).then(|| [mean(0), mean(1)])
    }
}

/// The place of the first largest value.
pub(crate) fn first_maximum(values: &[f32]) -> u8 {
    let mut best = 0;
    for (i, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = i;
        }
    }
    best as u8
}

/// The rows of a `[N, W]` tensor.
fn rows_of<const W: usize>(tensor: &Tensor) -> Result<Vec<[f32; W]>> {
    let flat = tensor.f_to_kind(Kind::Float)?.f_contiguous()?.f_view([-1])?;
    let values: Vec<f32> = Vec::try_from(flat.to_device(tch::Device::Cpu))?;
    let row = |row: &[f32]| std::array::from_fn(|i| row[i]);
    Ok(values.chunks_exact(W).map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_first_class() {
        assert_eq!(first_maximum(&[0.0, 2.0, 2.0, 1.0]), 1);
        assert_eq!(first_maximum(&[0.0; 7]), 0);
    }

    #[test]
    fn rows_keep_their_order() {
        let tensor = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0]).view([2, 2]);
        assert_eq!(rows_of::<2>(&tensor).expect("rows"), [[1.0, 2.0], [3.0, 4.0]]);
    }
}
