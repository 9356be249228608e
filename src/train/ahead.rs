//! What every layer would do with its own weights in every step, done for all layers at once: on a
//! GPU, where a launch costs more than the work of a small layer, two launches instead of a hundred.
//!
//! Biases in front of a normalisation by the batch's statistics are added to its running mean
//! before the pass, outside autograd, since their gradient is zero. Weights that are multiplied in
//! bfloat16 have rounded copies, which get the gradients. Both give the values that the layers
//! give by themselves, the running mean but for the rounding of its last bit.
use std::rc::Rc;

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use super::{
    native,
    network::{self, Network, Stage},
};
use crate::{
    device::Precision,
    model::{Pass, Prepared, Shift},
};

/// What one stage of a network does ahead.
#[derive(Debug)]
pub(super) struct Ahead {
    prepared: Rc<Prepared>,
    means: Vec<Tensor>,
    biases: Vec<Tensor>,
    /// What a bias is multiplied by before it is added: the update of the mean keeps 1 - momentum of
    /// it and should add momentum times the bias.
    factor: f64,
    originals: Vec<Tensor>,
    copies: Vec<Tensor>,
}

impl Ahead {
    /// Finds out, by a pass on black pictures, what the layers of a stage do.
    ///
    /// # Errors
    /// When the device lacks memory.
    pub fn of(
        network: &Network,
        stage: &Stage,
        precision: Precision,
        device: Device,
    ) -> Result<Self> {
        let zeros = network::zero_pictures(&network.model().slots(), device)?;
        let pass = in_precision(Pass::new(false), precision).traced();
        tch::no_grad(|| stage.forward(network, &network::inputs_of(&zeros), &pass))?;
        let mut trace = pass.trace();
        let shifts = std::mem::take(&mut trace.shifts);
        let shifts = if is_uniform(&shifts) { shifts } else { Vec::new() };
        let momentum = shifts.first().map_or(0.0, |shift| shift.momentum);
        let (means, biases): (Vec<_>, Vec<_>) =
            shifts.into_iter().map(|shift| (shift.mean, shift.bias)).unzip();
        // Evaluation adds those biases, training does not.
        let is_added = |t: &Tensor| biases.iter().all(|b: &Tensor| b.data_ptr() != t.data_ptr());
        trace.rounded.retain(is_added);
        let copy = |original: &Tensor| -> Result<Tensor> {
            Ok(original.f_detach()?.f_to_kind(Kind::BFloat16)?.f_set_requires_grad(true)?)
        };
        let copies = trace.rounded.iter().map(copy).collect::<Result<Vec<_>>>()?;
        let known = trace.rounded.iter().zip(copies.iter().map(Tensor::shallow_clone));
        let prepared = Rc::new(Prepared::new(known, &means));
        let factor = momentum / (1.0 - momentum);
        let ahead = Ahead { prepared, means, biases, factor, originals: trace.rounded, copies };
        native::zero_gradients(&ahead.kept())?;
        Ok(ahead)
    }

    /// The parameters whose gradients stay where they are between steps.
    pub fn kept(&self) -> Vec<Tensor> {
        let trained = self.biases.iter().filter(|bias| bias.requires_grad());
        self.originals.iter().chain(trained).map(Tensor::shallow_clone).collect()
    }

    /// The pass that builds on this.
    pub fn pass(&self, precision: Precision) -> Pass {
        in_precision(Pass::new(true), precision).separately().on(Rc::clone(&self.prepared))
    }

    /// Before the way forward.
    pub fn before_pass(&self) -> Result<()> {
        match self.means.is_empty() {
            true => Ok(()),
            false => tch::no_grad(|| native::add_all(&self.means, &self.biases, self.factor)),
        }
    }

    /// Behind the way back: the weights get the gradients of their copies.
    pub fn after_pass(&self) -> Result<()> {
        match self.copies.is_empty() {
            true => Ok(()),
            false => tch::no_grad(|| native::take_gradients(&self.originals, &self.copies)),
        }
    }

    /// Behind every change of the weights.
    pub fn refresh(&self) -> Result<()> {
        match self.copies.is_empty() {
            true => Ok(()),
            false => tch::no_grad(|| native::copy_all(&self.copies, &self.originals)),
        }
    }

    /// Forgets gradients that a step left behind which did not end.
    pub fn clear(&self) -> Result<()> {
        native::clear_gradients(&self.copies)
    }
}

/// The pass with products in the format of a precision.
pub(super) fn in_precision(pass: Pass, precision: Precision) -> Pass {
    match precision {
        Precision::Fp32 | Precision::Tf32 => pass,
        Precision::Bf16 => pass.in_kind(Kind::BFloat16),
    }
}

/// Whether one factor serves all, and no layer was passed twice.
fn is_uniform(shifts: &[Shift]) -> bool {
    let places: std::collections::BTreeSet<usize> =
        shifts.iter().map(|shift| shift.mean.data_ptr() as usize).collect();
    places.len() == shifts.len()
        && shifts.windows(2).all(|pair| pair[0].momentum == pair[1].momentum)
}
