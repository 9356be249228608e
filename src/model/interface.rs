//! What every network has in common: what goes in, what comes out, how it is built.
use std::collections::BTreeMap;

use anyhow::Result;
use tch::{nn, Tensor};

use super::{
    layers::{Norm, Pass, Scope},
    Freeze, InputError, ModelConfig, ModelName, MODELS,
};

/// A picture that a network looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Input {
    /// The face crop.
    Face,
    /// The frame around the face, masked or not.
    Context,
    /// The one picture of a baseline.
    Image,
}

impl Input {
    /// `face`, `context` or `image`: the name of its tensor.
    pub fn name(self) -> &'static str {
        match self {
            Input::Face => "face",
            Input::Context => "context",
            Input::Image => "image",
        }
    }
}

/// A picture `[N, 3, H, W]` to a map `[N, D, H', W']`.
pub(super) trait Encoder: std::fmt::Debug {
    /// Evaluates a batch.
    fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor>;
    /// D.
    fn width(&self) -> i64;
}

/// The size in which a network wants a picture: `[N, 3, height, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Which picture.
    pub input: Input,
    /// Rows.
    pub height: i64,
    /// Columns.
    pub width: i64,
}

impl Slot {
    /// A square picture.
    pub(super) const fn square(input: Input, side: i64) -> Self {
        Slot { input, height: side, width: side }
    }
}

/// The face crop of the two-picture networks.
pub(super) const FACE: Slot = Slot::square(Input::Face, 96);
/// The context crop of the two-picture networks.
pub(super) const CONTEXT: Slot = Slot::square(Input::Context, 112);
/// The picture of the baselines.
pub(super) const IMAGE: Slot = Slot::square(Input::Image, 224);

/// A batch: f32 tensors `[N, 3, H, W]`, already normalised; what a network does not need may be
/// absent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inputs<'a> {
    /// The face crop, 96 x 96.
    pub face: Option<&'a Tensor>,
    /// The context, 112 x 112.
    pub context: Option<&'a Tensor>,
    /// The one picture of a baseline, 224 x 224.
    pub image: Option<&'a Tensor>,
}

impl<'a> Inputs<'a> {
    /// The pictures `face`, `context` and `image` out of tensors by name.
    pub fn named(tensors: &'a BTreeMap<String, Tensor>) -> Self {
        let of = |input: Input| tensors.get(input.name());
        Inputs { face: of(Input::Face), context: of(Input::Context), image: of(Input::Image) }
    }

    /// The tensor of a picture.
    pub fn get(&self, input: Input) -> Option<&'a Tensor> {
        match input {
            Input::Face => self.face,
            Input::Context => self.context,
            Input::Image => self.image,
        }
    }

    /// The tensor for `slot`.
    ///
    /// # Errors
    /// [`InputError`] when it is missing or of another shape or element type.
    pub(super) fn take(&self, slot: Slot) -> Result<&'a Tensor, InputError> {
        let name = slot.input.name();
        let expected = || vec![3, slot.height, slot.width];
        let tensor = self
            .get(slot.input)
            .ok_or_else(|| InputError::Missing { name, expected: expected() })?;
        let shape = tensor.size();
        if shape.len() != 4 || shape[1..] != [3, slot.height, slot.width] {
            return Err(InputError::Shape { name, expected: expected(), found: shape });
        }
        if tensor.kind() != tch::Kind::Float {
            return Err(InputError::Kind { name, found: format!("{:?}", tensor.kind()), shape });
        }
        Ok(tensor)
    }

    /// Checks everything that can be wrong with a batch from outside: pictures present, their
    /// shapes and element types, equal N, and every value finite.
    ///
    /// # Errors
    /// The first [`InputError`] in the order of `slots`.
    pub fn check(&self, slots: &[Slot]) -> Result<(), InputError> {
        let mut batch = None;
        for &slot in slots {
            let (tensor, name) = (self.take(slot)?, slot.input.name());
            let shape = tensor.size();
            let first = *batch.get_or_insert(shape[0]);
            if shape[0] != first {
                return Err(InputError::Batch { name, found: shape, batch: first });
            }
            let odd = tensor.isfinite().logical_not().sum(tch::Kind::Int64).int64_value(&[]);
            if odd > 0 {
                return Err(InputError::NotFinite { name, shape, count: odd });
            }
        }
        Ok(())
    }
}

/// What a network says about a batch.
#[derive(Debug)]
pub struct Outputs {
    /// Class scores `[N, C]`, f32.
    pub logits: Tensor,
    /// Attention over the cells of the context map, `[N, H, W]`, summing to 1 per sample.
    pub attention: Option<Tensor>,
    /// Weights of face and context, `[N, 2]`, summing to 1 per sample.
    pub fusion_weights: Option<Tensor>,
    /// Further tensors by name: `v_f`, `v_c` `[N, D]` before weighting, or `logits_local`,
    /// `logits_global` `[N, C]`.
    pub named: Vec<(&'static str, Tensor)>,
}

impl Outputs {
    /// Logits and nothing else.
    pub(super) fn plain(logits: Tensor) -> Self {
        Outputs { logits, attention: None, fusion_weights: None, named: Vec::new() }
    }

    /// Every tensor with its name: `logits`, `attention`, `fusion_weights` and the named ones.
    pub fn tensors(&self) -> Vec<(&'static str, &Tensor)> {
        let mut all = vec![("logits", &self.logits)];
        all.extend(self.attention.as_ref().map(|tensor| ("attention", tensor)));
        all.extend(self.fusion_weights.as_ref().map(|tensor| ("fusion_weights", tensor)));
        all.extend(self.named.iter().map(|(name, tensor)| (*name, tensor)));
        all
    }
}

/// An encoder that the first training stage trains on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Branch {
    /// The face encoder.
    Face,
    /// The context encoder.
    Context,
}

impl Branch {
    /// `face` or `context`.
    pub fn name(self) -> &'static str {
        match self {
            Branch::Face => "face",
            Branch::Context => "context",
        }
    }
}

/// A network whose weights live in the variable store that it was built in.
pub trait Model: std::fmt::Debug {
    /// The pictures it needs.
    fn slots(&self) -> Vec<Slot>;

    /// Evaluates a batch; dropout draws from LibTorch's generator (`tch::manual_seed`).
    ///
    /// # Errors
    /// [`InputError`] when a picture is missing or of another shape.
    fn run(&self, inputs: &Inputs, pass: &Pass) -> Result<Outputs>;

    /// [`Model::run`] in f32.
    ///
    /// # Errors
    /// As [`Model::run`].
    fn forward(&self, inputs: &Inputs, train: bool) -> Result<Outputs> {
        self.run(inputs, &Pass::new(train))
    }

    /// The class scores that training compares with the labels, and their weights in the loss.
    fn losses<'a>(&self, outputs: &'a Outputs) -> Vec<(f64, &'a Tensor)> {
        vec![(1.0, &outputs.logits)]
    }

    /// The encoders that can be trained on their own; empty for one-picture networks.
    fn branches(&self) -> Vec<Branch> {
        Vec::new()
    }

    /// Length D of a branch's vector; `None` where the network lacks the branch.
    fn branch_width(&self, _branch: Branch) -> Option<i64> {
        None
    }

    /// The averaged map of one encoder, `[N, D]`, before attention and weighting.
    ///
    /// # Errors
    /// As [`Model::run`], and [`InputError::NoBranch`].
    fn run_branch(&self, branch: Branch, _inputs: &Inputs, _pass: &Pass) -> Result<Tensor> {
        Err(InputError::NoBranch(branch.name()).into())
    }

    /// [`Model::run_branch`] in f32.
    ///
    /// # Errors
    /// As [`Model::run_branch`].
    fn branch_features(&self, branch: Branch, inputs: &Inputs, train: bool) -> Result<Tensor> {
        self.run_branch(branch, inputs, &Pass::new(train))
    }

    /// Evaluates every face `[N, 3, 96, 96]` of one picture `[1, 3, 112, 112]`; two-picture
    /// networks encode the picture once.
    ///
    /// # Errors
    /// As [`Model::run`].
    fn forward_faces(&self, context: &Tensor, faces: &Tensor) -> Result<Outputs> {
        let context = context.f_expand([faces.size()[0], -1, -1, -1], false)?;
        self.forward(&Inputs { face: Some(faces), context: Some(&context), image: None }, false)
    }
}

/// A line of the registry.
#[derive(Debug)]
pub struct ModelEntry {
    /// The name in experiments and on the command line.
    pub name: ModelName,
    /// The name for people.
    pub title: &'static str,
    /// Where the design comes from.
    pub source: &'static str,
    /// What no source states and we had to decide; shown wherever the model is.
    pub inferred: Option<&'static str>,
    /// Weights and biases of the default configuration with seven classes.
    pub parameters: u64,
    /// Batch normalisation means and variances of the default configuration.
    pub statistics: u64,
    /// Names of the layers that depend on the number of classes.
    pub head: &'static [&'static str],
    pub(super) build: fn(&Scope, &ModelConfig) -> Result<Box<dyn Model>>,
}

/// The registry's line of a network.
pub fn entry(name: ModelName) -> &'static ModelEntry {
    MODELS.iter().find(|entry| entry.name == name).expect("every name has an entry (tested)")
}

/// Builds a network with fresh weights under `path`.
///
/// Fresh weights draw from LibTorch's generator in a fixed order: `tch::manual_seed` before this
/// call makes them repeatable. With `freeze = "backbone"` all but the head is not trainable.
///
/// # Errors
/// When LibTorch cannot allocate the weights.
pub fn build(path: &nn::Path, config: &ModelConfig) -> Result<Box<dyn Model>> {
    let entry = entry(config.name);
    let norm = Norm { eps: config.bn_eps, momentum: config.bn_momentum };
    let head = if config.freeze == Freeze::Backbone { Some(entry.head) } else { None };
    (entry.build)(&Scope::new(path, norm, head), config)
}
