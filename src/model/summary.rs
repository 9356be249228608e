//! A network's layers and sizes, as `ncaers model show` lists them.
use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;
use tch::{nn::VarStore, Device, Kind, Tensor};

use super::{build, Inputs, Layer, Model, ModelConfig, Pass};

/// What one sample passes through.
#[derive(Clone, Debug, Serialize)]
pub struct ModelSummary {
    /// The configuration.
    pub config: ModelConfig,
    /// Every layer, in the order of the pass.
    pub layers: Vec<Layer>,
    /// Weights and biases.
    pub parameters: u64,
    /// Running means and variances.
    pub statistics: u64,
    /// Both together.
    pub total: u64,
    /// Multiplications with an addition, of one sample.
    pub multiply_adds: u64,
}

impl ModelSummary {
    /// Builds the network and passes a sample of zeros through it, on the CPU.
    ///
    /// # Errors
    /// When LibTorch cannot allocate the weights or the layers do not fit each other.
    pub fn of(config: &ModelConfig) -> Result<Self> {
        let (store, model) = fresh(config)?;
        let pictures: BTreeMap<_, _> = model
            .slots()
            .into_iter()
            .map(|slot| {
                let shape = [1, 3, slot.height, slot.width];
                (slot.input.name().to_owned(), Tensor::zeros(shape, (Kind::Float, Device::Cpu)))
            })
            .collect();
        let pass = Pass::new(false).recorded();
        tch::no_grad(|| model.run(&Inputs::named(&pictures), &pass))?;
        let (layers, parameters, statistics) =
            (pass.layers(), count(&store, false), count(&store, true));
        Ok(ModelSummary {
            config: config.clone(),
            multiply_adds: layers.iter().map(|layer| layer.multiply_adds).sum(),
            layers,
            parameters,
            statistics,
            total: parameters + statistics,
        })
    }
}

/// A network with the fresh weights of seed 0, on the CPU.
///
/// # Errors
/// As [`build`].
pub fn fresh(config: &ModelConfig) -> Result<(VarStore, Box<dyn Model>)> {
    tch::manual_seed(0);
    let store = VarStore::new(Device::Cpu);
    let model = build(&store.root(), config)?;
    Ok((store, model))
}

/// Values of the running statistics, or of all else.
fn count(store: &VarStore, running: bool) -> u64 {
    let all = store.variables();
    let part = all.iter().filter(|(name, _)| name.contains(".running_") == running);
    part.map(|(_, tensor)| tensor.numel() as u64).sum()
}
