//! ResNet: "Deep residual learning for image recognition", He, Zhang, Ren, Sun, CVPR 2016, laid out
//! and named as in torchvision.
use anyhow::Result;
use tch::Tensor;

use super::{
    interface::Encoder,
    interface::{Inputs, Model, ModelEntry, Outputs, Slot, IMAGE},
    layers::{average, float, max_pool, relu, ConvNorm, ConvShape, Linear, Pass, Scope, Start},
    ModelConfig, ModelName,
};
use crate::record::NUM_CLASSES;

pub(super) const ENTRY_18: ModelEntry = ModelEntry {
    name: ModelName::Resnet18,
    title: "ResNet-18",
    source: "He et al., CVPR 2016; layout of torchvision",
    inferred: None,
    parameters: 11_180_103,
    statistics: 9_600,
    head: &["fc"],
    build: |scope, _| ResNet::boxed(scope, Trunk::resnet18),
};

pub(super) const ENTRY_50: ModelEntry = ModelEntry {
    name: ModelName::Resnet50,
    title: "ResNet-50",
    source: "He et al., CVPR 2016; layout of torchvision",
    inferred: None,
    parameters: 23_522_375,
    statistics: 53_120,
    head: &["fc"],
    build: |scope, _: &ModelConfig| ResNet::boxed(scope, Trunk::resnet50),
};

#[derive(Debug)]
struct ResNet {
    trunk: Trunk,
    fc: Linear,
}

impl ResNet {
    fn boxed(scope: &Scope, trunk: fn(&Scope) -> Result<Trunk>) -> Result<Box<dyn Model>> {
        let scope = scope.clone().with_start(Start::FanOut);
        let trunk = trunk(&scope)?;
        let fc = scope.sub("fc").linear(trunk.width, NUM_CLASSES as i64)?;
        Ok(Box::new(ResNet { trunk, fc }))
    }
}

impl Model for ResNet {
    fn slots(&self) -> Vec<Slot> {
        vec![IMAGE]
    }

    fn run(&self, inputs: &Inputs, pass: &Pass) -> Result<Outputs> {
        let vector = average(self.trunk.forward(inputs.take(IMAGE)?, pass)?)?;
        Ok(Outputs::plain(float(&self.fc.forward(&vector, pass)?)?))
    }
}

/// Everything before pooling and the head: `[N, 3, H, W]` to `[N, D, H / 32, W / 32]`.
#[derive(Debug)]
pub(super) struct Trunk {
    stem: ConvNorm,
    blocks: Vec<Block>,
    width: i64,
}

/// Two or three convolutions and what is added to their result.
#[derive(Debug)]
struct Block {
    steps: Vec<ConvNorm>,
    shortcut: Option<ConvNorm>,
}

impl Trunk {
    /// Two blocks of two 3x3 convolutions per stage, D = 512.
    pub fn resnet18(scope: &Scope) -> Result<Self> {
        Trunk::new(scope, [2, 2, 2, 2], false)
    }

    /// 3, 4, 6, 3 bottleneck blocks, D = 2048.
    pub fn resnet50(scope: &Scope) -> Result<Self> {
        Trunk::new(scope, [3, 4, 6, 3], true)
    }

    fn new(scope: &Scope, depths: [usize; 4], bottleneck: bool) -> Result<Self> {
        let stem = scope.conv_norm(["conv1", "bn1"], 3, 64, ConvShape::new(7).stride(2))?;
        let mut blocks = Vec::new();
        let mut inputs = 64;
        for (stage, &depth) in depths.iter().enumerate() {
            let width = 64 << stage;
            for k in 0..depth {
                let scope = scope.sub(&format!("layer{}.{k}", stage + 1));
                let stride = if k == 0 && stage > 0 { 2 } else { 1 };
                let block = Block::new(&scope, inputs, width, stride, bottleneck)?;
                blocks.push(block);
                inputs = if bottleneck { 4 * width } else { width };
            }
        }
        Ok(Trunk { stem, blocks, width: inputs })
    }
}

impl Block {
    fn new(scope: &Scope, inputs: i64, width: i64, stride: i64, bottleneck: bool) -> Result<Self> {
        let wide = ConvShape::new(3).stride(stride);
        let (outputs, shapes) = match bottleneck {
            // The stride sits in the 3x3 convolution, as in torchvision, not in the first 1x1.
            true => (4 * width, vec![ConvShape::new(1), wide, ConvShape::new(1)]),
            false => (width, vec![wide, ConvShape::new(3)]),
        };
        let last = shapes.len() - 1;
        let mut steps = Vec::new();
        let mut from = inputs;
        for (k, shape) in shapes.into_iter().enumerate() {
            let to = if k == last { outputs } else { width };
            let names = [format!("conv{}", k + 1), format!("bn{}", k + 1)];
            steps.push(scope.conv_norm([&names[0], &names[1]], from, to, shape)?);
            from = to;
        }
        let shortcut = match stride != 1 || inputs != outputs {
            true => {
                let shape = ConvShape::new(1).stride(stride);
                let names = ["downsample.0", "downsample.1"];
                Some(scope.conv_norm(names, inputs, outputs, shape)?)
            }
            false => None,
        };
        Ok(Block { steps, shortcut })
    }

    fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let (last, first) = self.steps.split_last().expect("a block has steps");
        let mut y = x.shallow_clone();
        for step in first {
            y = step.relu(&y, pass)?;
        }
        let mut y = last.forward(&y, pass)?;
        let y = match &self.shortcut {
            Some(shortcut) => y.f_add_(&shortcut.forward(x, pass)?)?,
            None => y.f_add_(x)?,
        };
        relu(y)
    }
}

impl Encoder for Trunk {
    fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        // Maximum before ReLU: the same values and gradients, less work (see `encoder`). Padding
        // counts as minus infinity, and every window holds a real cell.
        let mut x = relu(max_pool(&self.stem.forward(x, pass)?, 3, 2, 1)?)?;
        for block in &self.blocks {
            x = block.forward(&x, pass)?;
        }
        Ok(x)
    }

    fn width(&self) -> i64 {
        self.width
    }
}
