//! MobileNetV2: "Inverted residuals and linear bottlenecks", Sandler et al., CVPR 2018, without its
//! head, laid out and named as in torchvision.
use anyhow::Result;
use tch::Tensor;

use super::{
    interface::Encoder,
    layers::{ConvNorm, ConvShape, Pass, Scope},
};

/// Expansion, channels, repeats and first stride of the seven stages (Table 2 of its paper).
const STAGES: [[i64; 4]; 7] = [
    [1, 16, 1, 1],
    [6, 24, 2, 2],
    [6, 32, 3, 2],
    [6, 64, 4, 2],
    [6, 96, 3, 1],
    [6, 160, 3, 2],
    [6, 320, 1, 1],
];

/// Channels of the last convolution, D.
const WIDTH: i64 = 1280;

/// `[N, 3, H, W]` to `[N, 1280, H / 32, W / 32]`, rounded up.
#[derive(Debug)]
pub(super) struct MobileNetV2 {
    first: ConvNorm,
    blocks: Vec<Block>,
    last: ConvNorm,
}

/// Expand, convolve each channel, project; the input is added where shapes allow.
#[derive(Debug)]
struct Block {
    clipped: Vec<ConvNorm>,
    project: ConvNorm,
    adds: bool,
}

impl MobileNetV2 {
    pub fn new(scope: &Scope) -> Result<Self> {
        let scope = scope.sub("features");
        let first = scope.sub("0").conv_norm(["0", "1"], 3, 32, ConvShape::new(3).stride(2))?;
        let mut blocks = Vec::new();
        let mut inputs = 32;
        for [expansion, width, repeats, stride] in STAGES {
            for k in 0..repeats {
                let place = scope.sub(&format!("{}.conv", blocks.len() + 1));
                let stride = if k == 0 { stride } else { 1 };
                blocks.push(Block::new(&place, inputs, width, stride, expansion)?);
                inputs = width;
            }
        }
        let place = scope.sub(&(blocks.len() + 1).to_string());
        let last = place.conv_norm(["0", "1"], inputs, WIDTH, ConvShape::new(1))?;
        Ok(MobileNetV2 { first, blocks, last })
    }
}

impl Block {
    fn new(scope: &Scope, inputs: i64, outputs: i64, stride: i64, expansion: i64) -> Result<Self> {
        let hidden = inputs * expansion;
        let each = ConvShape::new(3).stride(stride).groups(hidden);
        let mut clipped = Vec::new();
        if expansion != 1 {
            clipped.push(scope.sub("0").conv_norm(
                ["0", "1"],
                inputs,
                hidden,
                ConvShape::new(1),
            )?);
        }
        let place = scope.sub(&clipped.len().to_string());
        clipped.push(place.conv_norm(["0", "1"], hidden, hidden, each)?);
        let names = [clipped.len().to_string(), (clipped.len() + 1).to_string()];
        let names = [names[0].as_str(), names[1].as_str()];
        let project = scope.conv_norm(names, hidden, outputs, ConvShape::new(1))?;
        Ok(Block { clipped, project, adds: stride == 1 && inputs == outputs })
    }

    fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let mut y = x.shallow_clone();
        for step in &self.clipped {
            y = relu6(step.forward(&y, pass)?)?;
        }
        let mut y = self.project.forward(&y, pass)?;
        Ok(if self.adds { y.f_add_(x)? } else { y })
    }
}

fn relu6(mut x: Tensor) -> Result<Tensor> {
    Ok(x.f_relu6_()?)
}

impl Encoder for MobileNetV2 {
    fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let mut x = relu6(self.first.forward(x, pass)?)?;
        for block in &self.blocks {
            x = block.forward(&x, pass)?;
        }
        relu6(self.last.forward(&x, pass)?)
    }

    fn width(&self) -> i64 {
        WIDTH
    }
}
