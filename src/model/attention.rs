//! How the context map becomes one vector: plain average, CAER-Net-S's attention, or GLAMOR-Net's
//! global-local attention (sections 3.3 of both papers).
use anyhow::Result;
use tch::{Kind, Tensor};

use super::{
    layers::{float, relu, BatchNorm, ConvNorm, ConvShape, Linear, Pass, Scope},
    Attention,
};

/// Hidden units of both attentions.
const HIDDEN: i64 = 128;

/// The convolutions of CAER-Net-S's attention.
pub(super) const WINDOW: ConvShape = ConvShape::new(3).biased();

/// The attention of a GLAMOR-Net variant.
#[derive(Debug)]
pub(super) enum ContextPool {
    /// Average over cells.
    Average,
    /// CAER-Net-S's.
    Context(ContextAttention),
    /// Guided by the face.
    GlobalLocal(GlobalLocal),
}

impl ContextPool {
    pub fn new(scope: &Scope, kind: Attention, width: i64) -> Result<Self> {
        Ok(match kind {
            Attention::None => ContextPool::Average,
            Attention::Ca => ContextPool::Context(ContextAttention {
                first: scope.conv_norm(["conv1", "bn1"], width, HIDDEN, WINDOW)?,
                second: scope.conv_norm(["conv2", "bn2"], HIDDEN, 1, WINDOW)?,
            }),
            Attention::Gla => ContextPool::GlobalLocal(GlobalLocal {
                fc1: scope.sub("fc1").linear(2 * width, HIDDEN)?,
                norm: scope.sub("bn").batch_norm(HIDDEN)?,
                fc2: scope.sub("fc2").linear(HIDDEN, 1)?,
            }),
        })
    }
}

/// Scores from the context map alone: twice convolution 3x3, batch normalisation, ReLU.
#[derive(Debug)]
pub(super) struct ContextAttention {
    pub first: ConvNorm,
    pub second: ConvNorm,
}

impl ContextAttention {
    /// Map `[N, D, H, W]` to weights `[N, H, W]`.
    pub fn forward(&self, map: &Tensor, pass: &Pass) -> Result<Tensor> {
        over_cells(&self.second.relu(&self.first.relu(map, pass)?, pass)?)
    }
}

/// Scores of every cell given the face vector: fc1 on `[v_f ; v_ij]`, ReLU, batch normalisation,
/// ReLU, fc2.
#[derive(Debug)]
pub(super) struct GlobalLocal {
    fc1: Linear,
    norm: BatchNorm,
    fc2: Linear,
}

impl GlobalLocal {
    /// Face vector `[N, D]` and map `[N, D, H, W]` to weights `[N, H, W]`.
    ///
    /// fc1 is linear, so its face half is applied once per sample and added to every cell.
    pub fn forward(&self, face: &Tensor, map: &Tensor, pass: &Pass) -> Result<Tensor> {
        let (from_face, from_cells) = self.fc1.halves(face, map, pass)?;
        let from_face = from_face.f_unsqueeze(-1)?.f_unsqueeze(-1)?;
        let hidden = relu(from_cells.f_add(&from_face)?)?;
        let hidden = self.norm.relu(&hidden, pass)?;
        over_cells(&self.fc2.on_map(&hidden, pass)?)
    }
}

/// Softmax of scores `[N, 1, H, W]` over the cells: `[N, H, W]`, f32.
fn over_cells(scores: &Tensor) -> Result<Tensor> {
    let scores = float(scores)?;
    Ok(scores.f_flatten(1, -1)?.f_softmax(1, Kind::Float)?.f_view_as(&scores.f_squeeze_dim(1)?)?)
}

/// Sum of the cells of `[N, D, H, W]` weighted by `[N, H, W]`: `[N, D]`, f32.
pub(super) fn weighted_sum(map: &Tensor, weights: &Tensor) -> Result<Tensor> {
    let cells = float(map)?.f_flatten(2, -1)?;
    Ok(cells.f_bmm(&weights.f_flatten(1, -1)?.f_unsqueeze(2)?)?.f_squeeze_dim(2)?)
}
