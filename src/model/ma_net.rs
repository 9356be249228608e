//! MA-Net: "Learning deep global multi-scale and local attention features for facial expression
//! recognition in the wild", Zhao, Liu, Wang, TIP 2021, laid out and named as `zengqunzhao/MA-Net`.
//!
//! A ResNet-18 stem feeds two paths: four quarters through residual blocks with CBAM attention, and
//! the whole map through multi-scale blocks. Each path has its own head.
use anyhow::Result;
use tch::Tensor;

use super::{
    efficientface::quarter,
    interface::{Inputs, Model, ModelEntry, Outputs, Slot, IMAGE},
    layers::Start,
    layers::{average, float, max_pool, relu, ConvNorm, ConvShape, Linear, Norm, Pass, Scope},
    ModelConfig, ModelName,
};
use crate::record::NUM_CLASSES;

pub(super) const ENTRY: ModelEntry = ModelEntry {
    name: ModelName::MaNet,
    title: "MA-Net",
    source: "Zhao, Liu, Wang, TIP 2021; layout of zengqunzhao/MA-Net",
    inferred: None,
    parameters: 50_547_214,
    statistics: 43_424,
    head: &["fc_1", "fc_2"],
    build,
};

/// Share of the local path in loss and logits.
pub(crate) const LOCAL_SHARE: f64 = 0.6;
/// Corner (row, column) of the patches 1 to 4.
const PATCHES: [(i64, i64); 4] = [(0, 0), (0, 1), (1, 0), (1, 1)];
/// Reduction inside CBAM's channel gate.
const REDUCTION: i64 = 16;

#[derive(Debug)]
struct MaNet {
    stem: ConvNorm,
    shared: Vec<Block>,
    patches: Vec<Vec<Block>>,
    whole: Vec<Block>,
    local_head: Linear,
    global_head: Linear,
}

fn build(scope: &Scope, _config: &ModelConfig) -> Result<Box<dyn Model>> {
    let scope = &scope.clone().with_start(Start::FanOut);
    let pair = |places: &str, kind, from, to, stride| -> Result<Vec<Block>> {
        let place = scope.sub(places);
        Ok(vec![
            Block::new(&place.sub("0"), kind, [from, to], stride)?,
            Block::new(&place.sub("1"), kind, [to, to], 1)?,
        ])
    };
    let joined = |first: Result<Vec<Block>>, second: Result<Vec<Block>>| -> Result<Vec<Block>> {
        Ok(first?.into_iter().chain(second?).collect())
    };
    let patch = |k: usize| {
        joined(
            pair(&format!("layer3_1_p{k}"), BlockKind::Attentive, 128, 256, 2),
            pair(&format!("layer4_1_p{k}"), BlockKind::Attentive, 256, 512, 1),
        )
    };
    Ok(Box::new(MaNet {
        stem: scope.conv_norm(["conv1", "bn1"], 3, 64, ConvShape::new(7).stride(2))?,
        shared: joined(
            pair("layer1", BlockKind::Basic, 64, 64, 1),
            pair("layer2", BlockKind::Basic, 64, 128, 2),
        )?,
        patches: (1..=4).map(patch).collect::<Result<_>>()?,
        whole: joined(
            pair("layer3_2", BlockKind::MultiScale, 128, 256, 2),
            pair("layer4_2", BlockKind::MultiScale, 256, 512, 2),
        )?,
        local_head: scope.sub("fc_1").linear(512, NUM_CLASSES as i64)?,
        global_head: scope.sub("fc_2").linear(512, NUM_CLASSES as i64)?,
    }))
}

fn through(blocks: &[Block], x: &Tensor, pass: &Pass) -> Result<Tensor> {
    blocks.iter().try_fold(x.shallow_clone(), |x, block| block.forward(&x, pass))
}

impl Model for MaNet {
    fn slots(&self) -> Vec<Slot> {
        vec![IMAGE]
    }

    fn run(&self, inputs: &Inputs, pass: &Pass) -> Result<Outputs> {
        let x = relu(max_pool(&self.stem.forward(inputs.take(IMAGE)?, pass)?, 3, 2, 1)?)?;
        let x = through(&self.shared, &x, pass)?;
        // The average of the four patches put together is the average of their averages.
        let mut sum: Option<Tensor> = None;
        for (blocks, (row, column)) in self.patches.iter().zip(PATCHES) {
            let vector = average(through(blocks, &quarter(&x, row, column)?, pass)?)?;
            sum = Some(match sum {
                Some(sum) => sum.f_add(&vector)?,
                None => vector,
            });
        }
        let local = sum.expect("four patches").f_div_scalar(PATCHES.len() as f64)?;
        let whole = average(through(&self.whole, &x, pass)?)?;
        let local = float(&self.local_head.forward(&local, pass)?)?;
        let global = float(&self.global_head.forward(&whole, pass)?)?;
        let logits =
            local.f_mul_scalar(LOCAL_SHARE)?.f_add(&global.f_mul_scalar(1.0 - LOCAL_SHARE)?)?;
        let named = vec![("logits_local", local), ("logits_global", global)];
        Ok(Outputs { named, ..Outputs::plain(logits) })
    }

    fn losses<'a>(&self, outputs: &'a Outputs) -> Vec<(f64, &'a Tensor)> {
        [LOCAL_SHARE, 1.0 - LOCAL_SHARE]
            .into_iter()
            .zip(outputs.named.iter().map(|(_, head)| head))
            .collect()
    }
}

/// What stands in place of a residual block's second convolution.
#[derive(Clone, Copy, Debug, PartialEq)]
enum BlockKind {
    Basic,
    Attentive,
    MultiScale,
}

#[derive(Debug)]
struct Block {
    first: ConvNorm,
    second: Second,
    attention: Option<Cbam>,
    shortcut: Option<ConvNorm>,
}

#[derive(Debug)]
enum Second {
    Plain(ConvNorm),
    /// Four channel groups passed upwards and downwards.
    Scales {
        up: Vec<ConvNorm>,
        down: Vec<ConvNorm>,
    },
}

impl Block {
    fn new(scope: &Scope, kind: BlockKind, [inputs, width]: [i64; 2], stride: i64) -> Result<Self> {
        let second = match kind {
            BlockKind::MultiScale => {
                let chain = |d: usize| -> Result<Vec<ConvNorm>> {
                    let step = |k: usize| {
                        let names = [format!("conv{d}_2_{k}"), format!("bn{d}_2_{k}")];
                        let group = width / 4;
                        scope.conv_norm([&names[0], &names[1]], group, group, ConvShape::new(3))
                    };
                    (1..=4).map(step).collect()
                };
                Second::Scales { up: chain(1)?, down: chain(2)? }
            }
            _ => {
                Second::Plain(scope.conv_norm(["conv2", "bn2"], width, width, ConvShape::new(3))?)
            }
        };
        let shape = ConvShape::new(1).stride(stride);
        let downsample = ["downsample.0", "downsample.1"];
        Ok(Block {
            first: scope.conv_norm(
                ["conv1", "bn1"],
                inputs,
                width,
                ConvShape::new(3).stride(stride),
            )?,
            second,
            attention: match kind {
                BlockKind::Attentive => Some(Cbam::new(&scope.sub("cbam"), width)?),
                _ => None,
            },
            shortcut: match stride != 1 || inputs != width {
                true => Some(scope.conv_norm(downsample, inputs, width, shape)?),
                false => None,
            },
        })
    }

    fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let y = self.first.relu(x, pass)?;
        let y = match &self.second {
            Second::Plain(step) => step.forward(&y, pass)?,
            Second::Scales { up, down } => scales(up, down, &y, pass)?,
        };
        let y = match &self.attention {
            Some(attention) => attention.forward(&y, pass)?,
            None => y,
        };
        relu(match &self.shortcut {
            Some(shortcut) => y.f_add(&shortcut.forward(x, pass)?)?,
            None => y.f_add(x)?,
        })
    }
}

/// Two passes over four channel groups, each group seeing the ReLU of the one before it; the sum of
/// both passes.
fn scales(up: &[ConvNorm], down: &[ConvNorm], y: &Tensor, pass: &Pass) -> Result<Tensor> {
    let groups = y.f_chunk(4, 1)?;
    let chain = |order: [usize; 4], steps: &[ConvNorm]| -> Result<Vec<Tensor>> {
        let mut out: Vec<Tensor> = Vec::new();
        for k in order {
            let x = match out.last() {
                Some(last) => last.f_relu()?.f_add(&groups[k])?,
                None => groups[k].shallow_clone(),
            };
            out.push(steps[k].forward(&x, pass)?);
        }
        Ok(out)
    };
    let upwards = chain([0, 1, 2, 3], up)?;
    let mut downwards = chain([3, 2, 1, 0], down)?;
    downwards.reverse();
    Ok(Tensor::f_cat(&upwards, 1)?.f_add(&Tensor::f_cat(&downwards, 1)?)?)
}

/// "CBAM: convolutional block attention module", Woo et al., ECCV 2018.
#[derive(Debug)]
struct Cbam {
    squeeze: Linear,
    excite: Linear,
    spatial: ConvNorm,
}

impl Cbam {
    fn new(scope: &Scope, width: i64) -> Result<Self> {
        let mlp = scope.sub("ChannelGate.mlp");
        // This normalisation alone has another momentum in CBAM's code.
        let norm = Norm { momentum: 0.01, ..Norm::TORCH };
        let spatial = scope.sub("SpatialGate.spatial").with_norm(norm);
        Ok(Cbam {
            squeeze: mlp.sub("1").linear(width, width / REDUCTION)?,
            excite: mlp.sub("3").linear(width / REDUCTION, width)?,
            spatial: spatial.conv_norm(["conv", "bn"], 2, 1, ConvShape::new(7))?,
        })
    }

    fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let mlp = |vector: &Tensor| {
            self.excite.forward(&relu(self.squeeze.forward(vector, pass)?)?, pass)
        };
        let largest = x.f_amax([2, 3].as_slice(), false)?;
        let gate = mlp(&average(x)?)?.f_add(&mlp(&largest)?)?.f_sigmoid()?;
        let x = x.f_mul(&gate.f_unsqueeze(-1)?.f_unsqueeze(-1)?)?;
        let (largest, mean) =
            (x.f_amax([1].as_slice(), true)?, x.f_mean_dim([1].as_slice(), true, x.kind())?);
        let gate = self.spatial.forward(&Tensor::f_cat(&[largest, mean], 1)?, pass)?;
        Ok(x.f_mul(&gate.f_sigmoid()?)?)
    }
}
