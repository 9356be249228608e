//! GLAMOR-Net: "Global-local attention for emotion recognition", Le, Nguyen, Nguyen, Le, Neural
//! Computing and Applications 2021, with every variant of its Tables 4, 6 and 7. Released code:
//! `minhnhatvt/glamor-net`.
use anyhow::Result;
use tch::{Kind, Tensor};

use super::{
    attention::{weighted_sum, ContextPool},
    encoder::encoder,
    interface::Encoder,
    interface::{Branch, Inputs, Model, ModelEntry, Outputs, Slot, CONTEXT, FACE},
    layers::{average, relu, Linear, Mlp, Pass, Scope, Start},
    Attention, Branches, Fusion, InputError, ModelConfig, ModelName,
};
use crate::record::NUM_CLASSES;

pub(super) const ENTRY: ModelEntry = ModelEntry {
    name: ModelName::Glamor,
    title: "GLAMOR-Net",
    source: "Le et al., Neural Computing and Applications 2021",
    inferred: None,
    parameters: 2_225_162,
    statistics: 3_200,
    head: &["attention", "fusion", "classifier"],
    build,
};

/// Hidden units of the fusion network's two scores.
const FUSION_HIDDEN: i64 = 128;

#[derive(Debug)]
struct Glamor {
    branches: Branches,
    face: Option<Box<dyn Encoder>>,
    context: Option<(Box<dyn Encoder>, ContextPool)>,
    fusion: Option<Fuse>,
    classifier: Mlp,
}

fn build(scope: &Scope, config: &ModelConfig) -> Result<Box<dyn Model>> {
    let scope = scope.clone().with_start(Start::Glorot);
    let guided = config.attention == Attention::Gla;
    let face = match config.branches != Branches::Context || guided {
        true => Some(encoder(&scope.sub("face_encoder"), config)?),
        false => None,
    };
    let context = match config.branches {
        Branches::Face => None,
        _ => {
            let encoder = encoder(&scope.sub("context_encoder"), config)?;
            let width = encoder.width();
            Some((encoder, ContextPool::new(&scope.sub("attention"), config.attention, width)?))
        }
    };
    let width = match (&face, &context) {
        (Some(encoder), _) | (None, Some((encoder, _))) => encoder.width(),
        (None, None) => unreachable!("every variant has an encoder"),
    };
    let fusion = match config.branches {
        Branches::Both => Some(Fuse::new(&scope.sub("fusion"), config.fusion, width)?),
        _ => None,
    };
    let fused = width * fusion.as_ref().map_or(1, Fuse::widening);
    let shape = [fused, config.cls_hidden, NUM_CLASSES as i64];
    let classifier = Mlp::new(&scope.sub("classifier"), shape, config.dropout)?;
    Ok(Box::new(Glamor { branches: config.branches, face, context, fusion, classifier }))
}

impl Glamor {
    fn face_vector(&self, inputs: &Inputs, pass: &Pass) -> Result<Option<Tensor>> {
        let Some(encoder) = &self.face else { return Ok(None) };
        Ok(Some(average(encoder.forward(inputs.take(FACE)?, pass)?)?))
    }

    fn context_map(&self, inputs: &Inputs, pass: &Pass) -> Result<Option<Tensor>> {
        let Some((encoder, _)) = &self.context else { return Ok(None) };
        Ok(Some(encoder.forward(inputs.take(CONTEXT)?, pass)?))
    }

    /// The context map `[N, D, H, W]` as a vector `[N, D]`, and the attention `[N, H, W]`.
    fn pool(
        &self,
        face: Option<&Tensor>,
        map: &Tensor,
        pass: &Pass,
    ) -> Result<(Tensor, Option<Tensor>)> {
        let weights = match (&self.context, face) {
            (Some((_, ContextPool::Context(attention))), _) => attention.forward(map, pass)?,
            (Some((_, ContextPool::GlobalLocal(attention))), Some(face)) => {
                attention.forward(face, map, pass)?
            }
            _ => return Ok((average(map)?, None)),
        };
        Ok((weighted_sum(map, &weights)?, Some(weights)))
    }

    /// Everything after the encoders.
    fn decide(&self, face: Option<Tensor>, map: Option<Tensor>, pass: &Pass) -> Result<Outputs> {
        let (context, attention) = match &map {
            Some(map) => {
                let (vector, attention) = self.pool(face.as_ref(), map, pass)?;
                (Some(vector), attention)
            }
            None => (None, None),
        };
        let (fused, fusion_weights) = match (&self.fusion, &face, &context) {
            (Some(fusion), Some(face), Some(context)) => fusion.forward(face, context, pass)?,
            (_, Some(face), _) if self.branches == Branches::Face => (face.shallow_clone(), None),
            (_, _, Some(context)) => (context.shallow_clone(), None),
            _ => unreachable!("every variant has a vector for its classifier"),
        };
        let logits = self.classifier.forward(&fused, pass)?;
        let named = [("v_f", face), ("v_c", context)];
        let named = named.into_iter().filter_map(|(name, vector)| Some((name, vector?))).collect();
        Ok(Outputs { logits, attention, fusion_weights, named })
    }
}

impl Model for Glamor {
    fn slots(&self) -> Vec<Slot> {
        let face = self.face.as_ref().map(|_| FACE);
        face.into_iter().chain(self.context.as_ref().map(|_| CONTEXT)).collect()
    }

    fn run(&self, inputs: &Inputs, pass: &Pass) -> Result<Outputs> {
        self.decide(self.face_vector(inputs, pass)?, self.context_map(inputs, pass)?, pass)
    }

    fn branches(&self) -> Vec<Branch> {
        let all = [Branch::Face, Branch::Context];
        all.into_iter().filter(|&branch| self.branch_width(branch).is_some()).collect()
    }

    fn branch_width(&self, branch: Branch) -> Option<i64> {
        match branch {
            Branch::Face => self.face.as_ref().map(|encoder| encoder.width()),
            Branch::Context => self.context.as_ref().map(|(encoder, _)| encoder.width()),
        }
    }

    fn run_branch(&self, branch: Branch, inputs: &Inputs, pass: &Pass) -> Result<Tensor> {
        let vector = match branch {
            Branch::Face => self.face_vector(inputs, pass)?,
            Branch::Context => self.context_map(inputs, pass)?.map(average).transpose()?,
        };
        Ok(vector.ok_or(InputError::NoBranch(branch.name()))?)
    }

    fn forward_faces(&self, context: &Tensor, faces: &Tensor) -> Result<Outputs> {
        let pass = Pass::new(false);
        let inputs = Inputs { face: Some(faces), context: Some(context), image: None };
        let map = self.context_map(&inputs, &pass)?;
        let map = map.map(|map| map.f_expand([faces.size()[0], -1, -1, -1], false)).transpose()?;
        self.decide(self.face_vector(&inputs, &pass)?, map, &pass)
    }
}

/// How `v_f` and `v_c` become what the classifier sees.
#[derive(Debug)]
enum Fuse {
    Net { face: Mlp, context: Mlp },
    Add,
    Max,
    Dubey { face: Linear, context: Linear },
    Concat,
}

impl Fuse {
    fn new(scope: &Scope, kind: Fusion, width: i64) -> Result<Self> {
        let score = |name| Mlp::new(&scope.sub(name), [width, FUSION_HIDDEN, 1], 0.0);
        let one = |name| scope.sub(name).linear(width, width);
        Ok(match kind {
            Fusion::Net => Fuse::Net { face: score("face")?, context: score("context")? },
            Fusion::Add => Fuse::Add,
            Fusion::Max => Fuse::Max,
            Fusion::Dubey => Fuse::Dubey { face: one("face.fc1")?, context: one("context.fc1")? },
            Fusion::Concat => Fuse::Concat,
        })
    }

    /// Length of the fused vector over that of one branch.
    fn widening(&self) -> i64 {
        if matches!(self, Fuse::Net { .. } | Fuse::Concat) {
            2
        } else {
            1
        }
    }

    /// Two vectors `[N, D]` to the fused one and, for the fusion network, the weights `[N, 2]`.
    fn forward(&self, f: &Tensor, c: &Tensor, pass: &Pass) -> Result<(Tensor, Option<Tensor>)> {
        Ok(match self {
            Fuse::Net { face, context } => {
                let scores = [face.forward(f, pass)?, context.forward(c, pass)?];
                let (fused, weights) = weigh(f, c, &scores)?;
                (fused, Some(weights))
            }
            Fuse::Add => (f.f_add(c)?, None),
            Fuse::Max => (f.f_maximum(c)?, None),
            Fuse::Dubey { face, context } => {
                let (f, c) = (relu(face.forward(f, pass)?)?, relu(context.forward(c, pass)?)?);
                (f.f_maximum(&c)?, None)
            }
            Fuse::Concat => (Tensor::f_cat(&[f, c], 1)?, None),
        })
    }
}

/// Weighs two vectors `[N, D]` by the softmax of two scores `[N, 1]`: the concatenation
/// `[N, 2 D]` and the weights `[N, 2]`.
pub(super) fn weigh(
    face: &Tensor,
    context: &Tensor,
    scores: &[Tensor; 2],
) -> Result<(Tensor, Tensor)> {
    let weights = Tensor::f_cat(scores, 1)?.f_softmax(1, Kind::Float)?;
    let each = weights.f_split(1, 1)?;
    let (face, context) = (face.f_mul(&each[0])?, context.f_mul(&each[1])?);
    Ok((Tensor::f_cat(&[face, context], 1)?, weights))
}
