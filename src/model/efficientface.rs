//! EfficientFace: "Robust lightweight facial expression recognition network with label distribution
//! training", Zhao, Liu, Zhou, AAAI 2021, laid out and named as `zengqunzhao/EfficientFace`.
//!
//! ShuffleNet V2 stages; after the first one a gate ("modulator") and four convolutions, one per
//! quarter of the picture, look at channels, space and face parts.
use anyhow::Result;
use tch::Tensor;

use super::{
    interface::{Inputs, Model, ModelEntry, Outputs, Slot, IMAGE},
    layers::{average, float, max_pool, relu, ConvNorm, ConvShape, Linear, Pass, Scope},
    layers::{BatchNorm, Conv},
    ModelConfig, ModelName,
};
use crate::record::NUM_CLASSES;

pub(super) const ENTRY: ModelEntry = ModelEntry {
    name: ModelName::Efficientface,
    title: "EfficientFace",
    source: "Zhao, Liu, Zhou, AAAI 2021; layout of zengqunzhao/EfficientFace",
    inferred: None,
    parameters: 1_275_293,
    statistics: 18_112,
    head: &["fc"],
    build,
};

/// Channels after the stem.
const STEM: i64 = 29;
/// Channels and units of the three stages.
const STAGES: [(i64, usize); 3] = [(116, 4), (232, 8), (464, 4)];
/// Channels after the last convolution.
const WIDTH: i64 = 1024;
/// Channels inside the gate: a sixteenth of the first stage.
const GATE: i64 = 7;
/// Corner (row, column) that the local convolutions 1 to 4 look at.
const QUARTERS: [(i64, i64); 4] = [(0, 0), (1, 0), (0, 1), (1, 1)];

#[derive(Debug)]
struct EfficientFace {
    stem: ConvNorm,
    stages: Vec<Vec<Unit>>,
    local: Vec<[ConvNorm; 2]>,
    gate: Gate,
    last: ConvNorm,
    fc: Linear,
}

fn each(channels: i64, stride: i64) -> ConvShape {
    ConvShape::new(3).stride(stride).groups(channels)
}

fn build(scope: &Scope, _config: &ModelConfig) -> Result<Box<dyn Model>> {
    let stem = scope.conv_norm(["conv1.0", "conv1.1"], 3, STEM, ConvShape::new(3).stride(2))?;
    let mut stages = Vec::new();
    let mut inputs = STEM;
    for (stage, (width, count)) in STAGES.into_iter().enumerate() {
        let unit = |k: usize| {
            let place = scope.sub(&format!("stage{}.{k}", stage + 2));
            let from = if k == 0 { inputs } else { width };
            Unit::new(&place, from, width, k == 0)
        };
        stages.push((0..count).map(unit).collect::<Result<_>>()?);
        inputs = width;
    }
    let width = STAGES[0].0;
    let quarter = |q: usize| -> Result<[ConvNorm; 2]> {
        let place = scope.sub("local");
        let names = |k: usize| [format!("conv{q}_{k}"), format!("bn{q}_{k}")];
        let (first, second) = (names(1), names(2));
        Ok([
            place.conv_norm([&first[0], &first[1]], STEM, width, each(STEM, 2))?,
            place.conv_norm([&second[0], &second[1]], width, width, each(width, 1))?,
        ])
    };
    Ok(Box::new(EfficientFace {
        stem,
        stages,
        local: (1..=4).map(quarter).collect::<Result<_>>()?,
        gate: Gate::new(&scope.sub("modulator"), width)?,
        last: scope.conv_norm(["conv5.0", "conv5.1"], inputs, WIDTH, ConvShape::new(1))?,
        fc: scope.sub("fc").linear(WIDTH, NUM_CLASSES as i64)?,
    }))
}

impl EfficientFace {
    /// The four quarters of `[N, 29, 56, 56]`, each through its own convolutions and back in its
    /// place: `[N, 116, 28, 28]`.
    fn look_locally(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let mut parts = Vec::new();
        for ([first, second], (row, column)) in self.local.iter().zip(QUARTERS) {
            let y = quarter(x, row, column)?;
            parts.push(second.relu(&first.relu(&y, pass)?, pass)?);
        }
        let left = Tensor::f_cat(&parts[..2], 2)?;
        Ok(Tensor::f_cat(&[left, Tensor::f_cat(&parts[2..], 2)?], 3)?)
    }
}

/// One quarter of a map with even sides; `row` and `column` are 0 or 1.
pub(super) fn quarter(x: &Tensor, row: i64, column: i64) -> Result<Tensor> {
    let size = x.size();
    let (height, width) = (size[2] / 2, size[3] / 2);
    Ok(x.f_narrow(2, row * height, height)?.f_narrow(3, column * width, width)?)
}

impl Model for EfficientFace {
    fn slots(&self) -> Vec<Slot> {
        vec![IMAGE]
    }

    fn run(&self, inputs: &Inputs, pass: &Pass) -> Result<Outputs> {
        let x = self.stem.forward(inputs.take(IMAGE)?, pass)?;
        // Maximum before ReLU: same values and gradients, less work (see `encoder`).
        let x = relu(max_pool(&x, 3, 2, 1)?)?;
        let [first, rest @ ..] = self.stages.as_slice() else { unreachable!("three stages") };
        let mut gated = self.gate.forward(&through(first, &x, pass)?, pass)?;
        let mut x = gated.f_add_(&self.look_locally(&x, pass)?)?;
        for stage in rest {
            x = through(stage, &x, pass)?;
        }
        let vector = average(self.last.relu(&x, pass)?)?;
        Ok(Outputs::plain(float(&self.fc.forward(&vector, pass)?)?))
    }
}

fn through(units: &[Unit], x: &Tensor, pass: &Pass) -> Result<Tensor> {
    units.iter().try_fold(x.shallow_clone(), |x, unit| unit.forward(&x, pass))
}

/// A ShuffleNet V2 unit (Ma et al., ECCV 2018, figure 3 c and d).
#[derive(Debug)]
struct Unit {
    /// Halving units only: what the other half passes through.
    shortcut: Option<[ConvNorm; 2]>,
    expand: ConvNorm,
    spread: ConvNorm,
    merge: ConvNorm,
}

impl Unit {
    fn new(scope: &Scope, inputs: i64, outputs: i64, halves: bool) -> Result<Self> {
        let half = outputs / 2;
        let from = if halves { inputs } else { half };
        let shortcut = match halves {
            true => {
                let place = scope.sub("branch1");
                Some([
                    place.conv_norm(["0", "1"], inputs, inputs, each(inputs, 2))?,
                    place.conv_norm(["2", "3"], inputs, half, ConvShape::new(1))?,
                ])
            }
            false => None,
        };
        let place = scope.sub("branch2");
        let stride = if halves { 2 } else { 1 };
        Ok(Unit {
            shortcut,
            expand: place.conv_norm(["0", "1"], from, half, ConvShape::new(1))?,
            spread: place.conv_norm(["3", "4"], half, half, each(half, stride))?,
            merge: place.conv_norm(["5", "6"], half, half, ConvShape::new(1))?,
        })
    }

    fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let (kept, changed) = match &self.shortcut {
            Some([spread, merge]) => {
                (merge.relu(&spread.forward(x, pass)?, pass)?, x.shallow_clone())
            }
            None => {
                let half = x.size()[1] / 2;
                (x.f_narrow(1, 0, half)?, x.f_narrow(1, half, half)?)
            }
        };
        let y = self.spread.forward(&self.expand.relu(&changed, pass)?, pass)?;
        let y = self.merge.relu(&y, pass)?;
        // Interleaving the halves is the channel shuffle of two groups.
        Ok(Tensor::f_stack(&[kept, y], 2)?.f_flatten(1, 2)?)
    }
}

/// The channel-spatial modulator: `sigmoid(channel * spatial) * x` (after BAM, Park et al. 2018).
#[derive(Debug)]
struct Gate {
    channel: (Linear, BatchNorm, Linear),
    spatial: Vec<ConvNorm>,
    last: Conv,
}

impl Gate {
    fn new(scope: &Scope, width: i64) -> Result<Self> {
        let channel = scope.sub("channel_att.gate_c");
        let spatial = scope.sub("spatial_att.gate_s");
        let reduce = ["gate_s_conv_reduce0", "gate_s_bn_reduce0"];
        let wide = ConvShape { padding: 4, dilation: 4, ..ConvShape::new(3).biased() };
        let dilated =
            [["gate_s_conv_di_0", "gate_s_bn_di_0"], ["gate_s_conv_di_1", "gate_s_bn_di_1"]];
        let mut steps = vec![spatial.conv_norm(reduce, width, GATE, ConvShape::new(1).biased())?];
        for names in dilated {
            steps.push(spatial.conv_norm(names, GATE, GATE, wide)?);
        }
        Ok(Gate {
            channel: (
                channel.sub("gate_c_fc_0").linear(width, GATE)?,
                channel.sub("gate_c_bn_1").batch_norm(GATE)?,
                channel.sub("gate_c_fc_final").linear(GATE, width)?,
            ),
            spatial: steps,
            last: spatial.sub("gate_s_conv_final").conv(GATE, 1, ConvShape::new(1).biased())?,
        })
    }

    fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let (first, norm, last) = &self.channel;
        let channel = relu(norm.forward(&float(&first.forward(&average(x)?, pass)?)?, pass)?)?;
        let channel = last.forward(&channel, pass)?.f_unsqueeze(-1)?.f_unsqueeze(-1)?;
        let mut spatial = x.shallow_clone();
        for step in &self.spatial {
            spatial = step.relu(&spatial, pass)?;
        }
        let gate = channel.f_mul(&self.last.forward(&spatial, pass)?)?.f_sigmoid()?;
        Ok(gate.f_mul(x)?)
    }
}
