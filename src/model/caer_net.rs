//! CAER-Net-S: "Context-aware emotion recognition networks", Lee, Kim, Kim, Park, Sohn, ICCV 2019,
//! laid out and named as the public PyTorch code `ndkhanh360/CAER`, whose checkpoints load.
use anyhow::Result;
use tch::Tensor;

use super::{
    attention::{weighted_sum, ContextAttention, WINDOW},
    encoder::Original,
    glamor::weigh,
    interface::Encoder,
    interface::{Branch, Inputs, Model, ModelEntry, Outputs, Slot, CONTEXT, FACE},
    layers::{average, dropout, float, relu, BatchNorm, Linear, Pass, Scope},
    ModelConfig, ModelName,
};
use crate::record::NUM_CLASSES;

pub(super) const ENTRY: ModelEntry = ModelEntry {
    name: ModelName::CaerNetS,
    title: "CAER-Net-S",
    source: "Lee et al., ICCV 2019; layout of ndkhanh360/CAER",
    inferred: None,
    parameters: 2_390_028,
    statistics: 4_226,
    head: &["two_stream_net.attention_inference_module", "fusion_net"],
    build,
};

/// Hidden units of the attention and of the two fusion scores.
const HIDDEN: i64 = 128;

#[derive(Debug)]
struct CaerNet {
    face: Stream,
    context: Stream,
    attention: ContextAttention,
    fc1: Linear,
    fc2: Linear,
    dropout: f64,
}

/// One encoder, the normalisation of its vector and the two layers that score it.
#[derive(Debug)]
struct Stream {
    encoder: Original,
    norm: BatchNorm,
    fc1: Linear,
    fc2: Linear,
}

impl Stream {
    fn new(scope: &Scope, name: &str, config: &ModelConfig) -> Result<Self> {
        let width = config.widths[4];
        let encoder = scope.sub(&format!("two_stream_net.{name}_encoding_module"));
        let place = |k: usize, part: &str| format!("{part}.{k}");
        let fusion = scope.sub("fusion_net");
        Ok(Stream {
            encoder: Original::new(&encoder, config.widths, ["convs", "bn"], place)?,
            norm: fusion.sub(&format!("{name}_bn")).batch_norm(width)?,
            fc1: fusion.sub(&format!("{name}_1")).linear(width, HIDDEN)?,
            fc2: fusion.sub(&format!("{name}_2")).linear(HIDDEN, 1)?,
        })
    }

    /// A normalised vector `[N, D]` to its score `[N, 1]`.
    fn score(&self, vector: &Tensor, pass: &Pass) -> Result<Tensor> {
        float(&self.fc2.forward(&relu(self.fc1.forward(vector, pass)?)?, pass)?)
    }
}

fn build(scope: &Scope, config: &ModelConfig) -> Result<Box<dyn Model>> {
    let width = config.widths[4];
    let attention = scope.sub("two_stream_net.attention_inference_module");
    let fusion = scope.sub("fusion_net");
    Ok(Box::new(CaerNet {
        face: Stream::new(scope, "face", config)?,
        context: Stream::new(scope, "context", config)?,
        attention: ContextAttention {
            first: attention.conv_norm(["convs.0", "bn.0"], width, HIDDEN, WINDOW)?,
            second: attention.conv_norm(["convs.1", "bn.1"], HIDDEN, 1, WINDOW)?,
        },
        fc1: fusion.sub("fc1").linear(2 * width, config.cls_hidden)?,
        fc2: fusion.sub("fc2").linear(config.cls_hidden, NUM_CLASSES as i64)?,
        dropout: config.dropout,
    }))
}

impl CaerNet {
    /// Everything after the encoders: face and context maps `[N, D, H, W]`.
    fn decide(&self, face: &Tensor, context: &Tensor, pass: &Pass) -> Result<Outputs> {
        let attention = self.attention.forward(context, pass)?;
        let cells = (context.size()[2] * context.size()[3]) as f64;
        let v_f = self.face.norm.forward(&average(face)?, pass)?;
        // The public code averages the weighted map where the paper sums it.
        let v_c = weighted_sum(context, &attention)?.f_div_scalar(cells)?;
        let v_c = self.context.norm.forward(&v_c, pass)?;
        let scores = [self.face.score(&v_f, pass)?, self.context.score(&v_c, pass)?];
        let (fused, weights) = weigh(&v_f, &v_c, &scores)?;
        let hidden = dropout(relu(self.fc1.forward(&fused, pass)?)?, self.dropout, pass)?;
        Ok(Outputs {
            logits: float(&self.fc2.forward(&hidden, pass)?)?,
            attention: Some(attention),
            fusion_weights: Some(weights),
            named: vec![("v_f", v_f), ("v_c", v_c)],
        })
    }

    fn map(&self, branch: Branch, inputs: &Inputs, pass: &Pass) -> Result<Tensor> {
        match branch {
            Branch::Face => self.face.encoder.forward(inputs.take(FACE)?, pass),
            Branch::Context => self.context.encoder.forward(inputs.take(CONTEXT)?, pass),
        }
    }
}

impl Model for CaerNet {
    fn slots(&self) -> Vec<Slot> {
        vec![FACE, CONTEXT]
    }

    fn run(&self, inputs: &Inputs, pass: &Pass) -> Result<Outputs> {
        let face = self.map(Branch::Face, inputs, pass)?;
        self.decide(&face, &self.map(Branch::Context, inputs, pass)?, pass)
    }

    fn branches(&self) -> Vec<Branch> {
        vec![Branch::Face, Branch::Context]
    }

    fn branch_width(&self, _branch: Branch) -> Option<i64> {
        Some(self.face.encoder.width())
    }

    fn run_branch(&self, branch: Branch, inputs: &Inputs, pass: &Pass) -> Result<Tensor> {
        average(self.map(branch, inputs, pass)?)
    }

    fn forward_faces(&self, context: &Tensor, faces: &Tensor) -> Result<Outputs> {
        let pass = Pass::new(false);
        let inputs = Inputs { face: Some(faces), context: Some(context), image: None };
        let map = self.map(Branch::Context, &inputs, &pass)?;
        let map = map.f_expand([faces.size()[0], -1, -1, -1], false)?;
        self.decide(&self.map(Branch::Face, &inputs, &pass)?, &map, &pass)
    }
}
