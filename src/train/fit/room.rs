//! Whether a step has the memory that it needs, asked before the first one.
//!
//! Where the system runs out of memory it tells nobody: it kills the process. So a run whose
//! batches may be too large is tried on small ones first.
use anyhow::{ensure, Result};
use tch::{Device, Kind, Tensor};

use super::{
    super::{
        batch::Pictures,
        config::TrainConfig,
        loss::Loss,
        memory,
        network::{Network, Stage},
    },
    epoch::largest_fitting_batch,
    pass_of,
};
use crate::model::{Input, Inputs, ModelConfig, Pass, Slot};

/// Samples of the two trials.
const TRIALS: [usize; 2] = [2, 8];
/// Times the outputs of all layers that a step never needs: those are kept for the way back, once
/// as they are and once rounded, and have gradients.
const NEVER: u64 = 6;

/// Refuses steps of `rows` samples that memory does not hold, naming the batch that it does.
///
/// # Errors
/// As said; or when not even the trial fits.
pub(in crate::train) fn ensure_room(
    model: &ModelConfig,
    train: &TrainConfig,
    pictures: &Pictures,
    rows: usize,
    device: Device,
) -> Result<()> {
    // CUDA's allocator says itself when it has no more; a step that fails is explained then.
    if device != Device::Cpu {
        return Ok(());
    }
    let Some(free) = memory::free_memory() else { return Ok(()) };
    let network = Network::build(model, device, train.seed)?;
    let bound = NEVER * outputs(&network)? * rows as u64 + 16 * network.parameters();
    if rows < 2 * TRIALS[1] || pictures.len() < TRIALS[1] || bound < free {
        return Ok(());
    }
    let step = |n: usize| trial(&network, train, pictures, n);
    step(TRIALS[0])?;
    let [few, more] = TRIALS.map(|n| memory::peak_of(|| step(n)));
    let (Some(few), Some(more)) = (few?, more?) else { return Ok(()) };
    let each = more.saturating_sub(few) / (TRIALS[1] - TRIALS[0]) as u64;
    // The optimizer's own tensors, at most three per parameter, come later.
    let base = few.saturating_sub(TRIALS[0] as u64 * each) + 12 * network.parameters();
    // A quarter more: what is freed comes back in pieces that the next one does not fit into.
    let need = |rows: usize| (base + each * rows as u64) / 4 * 5;
    ensure!(
        need(rows) <= free,
        "a step of {rows} samples needs about {} of memory and {} are free; as train.batch_size {}",
        format_bytes(need(rows)),
        format_bytes(free),
        largest_fitting_batch(rows, |&rows| need(rows) <= free)
    );
    Ok(())
}

/// Bytes of the outputs of all layers for one sample, in f32.
fn outputs(network: &Network) -> Result<u64> {
    let picture = |slot: &Slot| -> Result<_> {
        let zeros = Tensor::f_zeros([1, 3, slot.height, slot.width], (Kind::Float, Device::Cpu))?;
        Ok((slot.input, zeros))
    };
    let pictures = network.model().slots().iter().map(picture).collect::<Result<Vec<_>>>()?;
    let of = |input| pictures.iter().find(|(found, _)| *found == input).map(|(_, zeros)| zeros);
    let inputs =
        Inputs { face: of(Input::Face), context: of(Input::Context), image: of(Input::Image) };
    let pass = Pass::new(false).recorded();
    tch::no_grad(|| network.model().run(&inputs, &pass))?;
    let bytes = |shape: &[i64]| 4 * shape.iter().product::<i64>() as u64;
    Ok(pass.layers().iter().map(|layer| bytes(&layer.output)).sum())
}

/// Forward and backward of the joint stage on the first `n` pictures.
fn trial(network: &Network, train: &TrainConfig, pictures: &Pictures, n: usize) -> Result<()> {
    let rows: Vec<usize> = (0..n).collect();
    let batch = pictures.augmented(&rows, &train.augment, train.seed, "trial")?;
    let inputs = batch.inputs();
    let outputs = Stage::Joint.forward(network, &inputs, &pass_of(train.precision))?;
    Ok(Loss::plain().of(&outputs, &inputs, &batch.labels)?.f_backward()?)
}

fn format_bytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1u32 << 30))
}
