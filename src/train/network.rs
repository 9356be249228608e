//! A network with its named tensors, laid out for speed, and the heads of stage 1.
use std::collections::{BTreeMap, BTreeSet};

use anyhow::{ensure, Result};
use tch::{nn, Device, Kind, Tensor};

use crate::{
    model::{self, Branch, Inputs, Model, ModelConfig, Outputs, Pass, Slot},
    record::NUM_CLASSES,
    seed::Draws,
    weights,
};

/// A network and the store that owns its tensors.
#[derive(Debug)]
pub struct Network {
    store: nn::VarStore,
    model: Box<dyn Model>,
}

impl Network {
    /// Builds a network with fresh weights drawn from `seed`.
    ///
    /// # Errors
    /// When the device lacks memory.
    pub fn build(config: &ModelConfig, device: Device, seed: u64) -> Result<Self> {
        seed_generator(seed, "weights", "");
        let store = nn::VarStore::new(device);
        let model = model::build(&store.root(), config)?;
        store.variables().into_values().try_for_each(channels_last)?;
        Ok(Network { store, model })
    }

    /// Puts the weights that the configuration names over the fresh ones, or nothing when it names
    /// none; says what was loaded.
    ///
    /// # Errors
    /// See [`weights::Error`]; nothing is changed then.
    pub fn start_from(&self, config: &ModelConfig) -> Result<Option<weights::Loaded>> {
        let load = |wanted| weights::load(&self.store, config.name, wanted);
        Ok(config.weights.as_ref().map(load).transpose()?)
    }

    /// The network itself.
    pub fn model(&self) -> &dyn Model {
        &*self.model
    }

    /// Every tensor by name: weights, biases and batch normalisation statistics.
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        self.store.variables().into_iter().collect()
    }

    /// Number of values in [`Network::tensors`].
    pub fn parameters(&self) -> u64 {
        self.tensors().values().map(|tensor| tensor.numel() as u64).sum()
    }

    /// Overwrites the tensors named in `saved`.
    ///
    /// # Errors
    /// When a name is unknown or a shape differs; nothing is changed then.
    pub fn load(&self, saved: &BTreeMap<String, Tensor>) -> Result<()> {
        let own = self.tensors();
        for (name, tensor) in saved {
            let shape = own.get(name).map(Tensor::size);
            ensure!(
                shape == Some(tensor.size()),
                "tensor `{name}` is {:?} in the checkpoint and {shape:?} in the model",
                tensor.size()
            );
        }
        tch::no_grad(|| {
            own.into_iter()
                .filter_map(|(name, t)| Some((t, saved.get(&name)?)))
                .try_for_each(|(mut tensor, saved)| -> Result<()> { Ok(tensor.f_copy_(saved)?) })
        })
    }

    /// Names of an encoder's tensors, its statistics too: those that the encoder's vector depends
    /// on, found by following a gradient.
    ///
    /// # Errors
    /// When the model has no such encoder.
    pub fn branch(&self, branch: Branch) -> Result<BTreeSet<String>> {
        let all = self.tensors();
        let zeros = zero_pictures(&self.model.slots(), self.store.device())?;
        let inputs = inputs_of(&zeros);
        let vector = self.model.branch_features(branch, &inputs, false)?;
        if vector.requires_grad() {
            vector.f_sum(Kind::Float)?.f_backward()?;
        }
        let reached = |tensor: &Tensor| tensor.requires_grad() && tensor.grad().defined();
        let layers: BTreeSet<&str> =
            all.iter().filter(|(_, t)| reached(t)).map(|(name, _)| layer(name)).collect();
        let names = all.keys().filter(|name| layers.contains(layer(name))).cloned().collect();
        let trainable: Vec<Tensor> = all.into_values().filter(Tensor::requires_grad).collect();
        super::native::clear_gradients(&trainable)?;
        Ok(names)
    }
}

/// A name without its last part: `a.conv` of `a.conv.weight`.
fn layer(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(layer, _)| layer)
}

/// Black pictures, `[2, 3, H, W]` for every slot.
pub(super) fn zero_pictures(slots: &[Slot], device: Device) -> Result<Vec<(Slot, Tensor)>> {
    let zeros = |slot: &Slot| -> Result<_> {
        Ok((*slot, Tensor::f_zeros([2, 3, slot.height, slot.width], (Kind::Float, device))?))
    };
    slots.iter().map(zeros).collect()
}

/// Such pictures as a network takes them.
pub(super) fn inputs_of(pictures: &[(Slot, Tensor)]) -> Inputs<'_> {
    let get = |wanted| pictures.iter().find(|(slot, _)| slot.input == wanted).map(|(_, t)| t);
    Inputs {
        face: get(model::Input::Face),
        context: get(model::Input::Context),
        image: get(model::Input::Image),
    }
}

/// Lays a convolution's weights out as the pictures are, which LibTorch computes faster.
fn channels_last(mut tensor: Tensor) -> Result<()> {
    if tensor.dim() == 4 {
        let turned = tensor.f_detach()?.f_permute([0, 2, 3, 1])?.f_contiguous()?;
        tensor.f_set_data(&turned.f_permute([0, 3, 1, 2])?)?;
    }
    Ok(())
}

/// Makes LibTorch's own draws (fresh weights, dropout) a function of the seed and the occasion.
pub(crate) fn seed_generator(seed: u64, purpose: &str, occasion: &str) {
    tch::manual_seed((Draws::new(seed, purpose, occasion).bits() >> 1) as i64);
}

/// What a stage trains.
#[derive(Debug)]
pub(crate) enum Stage {
    /// One encoder under a head of its own (stage 1).
    Encoder(Branch, Head),
    /// The whole network.
    Joint,
}

/// A linear layer on an encoder's vector, thrown away after stage 1.
#[derive(Debug)]
pub(crate) struct Head {
    weight: Tensor,
    bias: Tensor,
}

impl Head {
    /// PyTorch's default start: uniform within one over the root of the vector's length.
    pub fn new(width: i64, device: Device, seed: u64, branch: Branch) -> Result<Self> {
        seed_generator(seed, "head", branch.name());
        let bound = 1.0 / (width as f64).sqrt();
        let start = |shape: &[i64]| -> Result<Tensor> {
            let drawn = nn::f_init(
                nn::Init::Uniform { lo: -bound, up: bound },
                shape,
                Device::Cpu,
                Kind::Float,
            )?;
            Ok(drawn.f_detach()?.f_to_device(device)?.f_set_requires_grad(true)?)
        };
        let classes = NUM_CLASSES as i64;
        Ok(Head { weight: start(&[classes, width])?, bias: start(&[classes])? })
    }

    /// The head's tensors by name.
    pub fn tensors(&self) -> [(String, Tensor); 2] {
        let named = |name: &str, tensor: &Tensor| (name.to_owned(), tensor.shallow_clone());
        [named("head.weight", &self.weight), named("head.bias", &self.bias)]
    }
}

impl Stage {
    /// `face`, `context` or `joint`.
    pub fn name(&self) -> &'static str {
        match self {
            Stage::Encoder(branch, _) => branch.name(),
            Stage::Joint => "joint",
        }
    }

    /// Evaluates a batch.
    pub fn forward(&self, network: &Network, inputs: &Inputs, pass: &Pass) -> Result<Outputs> {
        let Stage::Encoder(branch, head) = self else { return network.model.run(inputs, pass) };
        let vector = network.model.run_branch(*branch, inputs, pass)?;
        let logits = vector.f_linear(&head.weight, Some(&head.bias))?;
        Ok(Outputs { logits, attention: None, fusion_weights: None, named: Vec::new() })
    }
}
