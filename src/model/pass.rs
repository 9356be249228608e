//! One evaluation of a network: how it is done, what is noted on the way, and what was made ready
//! for it.
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use anyhow::Result;
use tch::{Kind, Tensor};

/// One evaluation of a network: training or not, the number format of convolutions and matrix
/// products, and optionally a record of the layers that were passed.
#[derive(Debug, Default)]
pub struct Pass {
    train: bool,
    kind: Option<Kind>,
    layers: Option<RefCell<Vec<Layer>>>,
    trace: Option<RefCell<Trace>>,
    prepared: Option<Rc<Prepared>>,
    separate: bool,
}

/// A layer as it was evaluated.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Layer {
    /// Its name in the weights file.
    pub name: String,
    /// `conv`, `linear`, `batch norm` and so on.
    pub kind: &'static str,
    /// Shape of what went in.
    pub input: Vec<i64>,
    /// Shape of what came out.
    pub output: Vec<i64>,
    /// Weights, biases and running statistics.
    pub parameters: u64,
    /// Multiply-adds of the whole batch; 0 for layers that only pass or normalise.
    pub multiply_adds: u64,
}

/// What the layers of a pass do with their weights that a training step can do ahead, for all
/// layers at once.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// Trainable tensors that were rounded to the format of products, each once.
    pub rounded: Vec<Tensor>,
    /// Biases in front of a normalisation that takes them away again.
    pub shifts: Vec<Shift>,
}

/// A bias in front of a normalisation by the batch's own statistics: it reaches the running mean
/// and nothing else, and its gradient is zero.
#[derive(Debug)]
pub(crate) struct Shift {
    /// The running mean.
    pub mean: Tensor,
    /// The bias.
    pub bias: Tensor,
    /// Share of the new value in the running mean.
    pub momentum: f64,
}

/// What a step has done ahead of its passes; tensors are known by where their values lie.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    copies: BTreeMap<usize, Tensor>,
    moved: BTreeSet<usize>,
}

/// Where the values of a tensor lie.
fn place(tensor: &Tensor) -> usize {
    tensor.data_ptr() as usize
}

impl Prepared {
    /// `copies`: rounded copies beside their originals; `moved`: running means that have got the
    /// biases in front of them.
    pub fn new<'a>(
        copies: impl IntoIterator<Item = (&'a Tensor, Tensor)>,
        moved: impl IntoIterator<Item = &'a Tensor>,
    ) -> Self {
        let copies = copies.into_iter().map(|(original, copy)| (place(original), copy));
        Prepared { copies: copies.collect(), moved: moved.into_iter().map(place).collect() }
    }
}

impl Pass {
    /// Training (batch statistics, dropout) or evaluation, in f32.
    pub fn new(train: bool) -> Self {
        Pass { train, ..Pass::default() }
    }

    /// The same with convolutions and matrix products in `kind`, such as `Kind::BFloat16`; weights,
    /// batch statistics, softmaxes and logits stay f32.
    pub fn in_kind(self, kind: Kind) -> Self {
        Pass { kind: (kind != Kind::Float).then_some(kind), ..self }
    }

    /// The same, keeping a record of the layers; see [`Pass::layers`].
    pub fn recorded(self) -> Self {
        Pass { layers: Some(RefCell::default()), ..self }
    }

    /// The same, noting what [`Pass::trace`] tells.
    pub(crate) fn traced(self) -> Self {
        Pass { trace: Some(RefCell::default()), ..self }
    }

    /// The same on what was done ahead.
    pub(crate) fn on(self, prepared: Rc<Prepared>) -> Self {
        Pass { prepared: Some(prepared), ..self }
    }

    /// The same by LibTorch's own operations alone, as CUDA runs them.
    pub(crate) fn separately(self) -> Self {
        Pass { separate: true, ..self }
    }

    /// The layers passed so far, in order; empty without [`Pass::recorded`].
    pub fn layers(&self) -> Vec<Layer> {
        self.layers.as_ref().map(|layers| layers.borrow().clone()).unwrap_or_default()
    }

    /// What the layers passed so far do with their weights; nothing without [`Pass::traced`].
    pub(crate) fn trace(self) -> Trace {
        self.trace.map(RefCell::into_inner).unwrap_or_default()
    }

    /// Whether this is training.
    pub fn is_train(&self) -> bool {
        self.train
    }

    /// Whether only LibTorch's own operations are wanted.
    pub(super) fn is_separate(&self) -> bool {
        self.separate
    }

    /// `tensor` in the format of products.
    pub(super) fn cast(&self, tensor: &Tensor) -> Result<Tensor> {
        let Some(kind) = self.kind.filter(|&kind| tensor.kind() != kind) else {
            return Ok(tensor.shallow_clone());
        };
        if let Some(copy) = self.copy_of(tensor) {
            return Ok(copy);
        }
        if let Some(trace) = &self.trace {
            let known = &mut trace.borrow_mut().rounded;
            let is_new = known.iter().all(|other| place(other) != place(tensor));
            if tensor.requires_grad() && tensor.is_leaf() && is_new {
                known.push(tensor.shallow_clone());
            }
        }
        Ok(tensor.f_to_kind(kind)?)
    }

    fn copy_of(&self, tensor: &Tensor) -> Option<Tensor> {
        let copy = self.prepared.as_ref()?.copies.get(&place(tensor))?;
        // A part of a tensor may begin where the whole does.
        (copy.size() == tensor.size()).then(|| copy.shallow_clone())
    }

    /// Whether the running mean has got the bias in front of its normalisation already.
    pub(super) fn has_moved(&self, mean: &Tensor) -> bool {
        self.prepared.as_ref().is_some_and(|prepared| prepared.moved.contains(&place(mean)))
    }

    /// Notes a layer if this pass keeps a record.
    pub(super) fn record(&self, layer: impl FnOnce() -> Layer) {
        if let Some(layers) = &self.layers {
            layers.borrow_mut().push(layer());
        }
    }

    /// Notes a bias if this pass is traced.
    pub(super) fn note_shift(&self, shift: impl FnOnce() -> Shift) {
        if let Some(trace) = &self.trace {
            trace.borrow_mut().shifts.push(shift());
        }
    }
}
