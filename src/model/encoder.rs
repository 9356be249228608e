//! The encoders that turn a picture into a map of features.
use anyhow::Result;
use tch::Tensor;

use super::{
    interface::Encoder,
    layers::{ConvNorm, ConvShape, Norm, Pass, Scope, Start},
    mobilenet::MobileNetV2,
    resnet::Trunk,
    Backbone, ModelConfig,
};

/// The encoder that a GLAMOR-Net configuration asks for.
pub(super) fn encoder(scope: &Scope, config: &ModelConfig) -> Result<Box<dyn Encoder>> {
    let torchvision = scope.clone().with_norm(Norm::TORCH).with_start(Start::FanOut);
    Ok(match config.backbone {
        Backbone::Original => {
            let place = |k: usize, part: &str| format!("block{}.{part}", k + 1);
            Box::new(Original::new(scope, config.widths, ["conv", "bn"], place)?)
        }
        Backbone::Resnet18 => Box::new(Trunk::resnet18(&torchvision)?),
        Backbone::MobilenetV2 => Box::new(MobileNetV2::new(&torchvision)?),
    })
}

/// Five blocks of convolution 3x3 with bias, batch normalisation, ReLU and, but for the last,
/// halving by maximum.
#[derive(Debug)]
pub(super) struct Original {
    blocks: Vec<ConvNorm>,
    width: i64,
}

impl Original {
    /// `place(k, part)` names the `part` (convolution or normalisation, as in `parts`) of block k.
    pub fn new(
        scope: &Scope,
        widths: [i64; 5],
        parts: [&str; 2],
        place: impl Fn(usize, &str) -> String,
    ) -> Result<Self> {
        let mut inputs = 3;
        let mut blocks = Vec::new();
        for (k, &width) in widths.iter().enumerate() {
            let shape = ConvShape::new(3).biased();
            let names = parts.map(|part| place(k, part));
            blocks.push(scope.conv_norm([&names[0], &names[1]], inputs, width, shape)?);
            inputs = width;
        }
        Ok(Original { blocks, width: widths[4] })
    }
}

impl Encoder for Original {
    fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let last = self.blocks.len() - 1;
        let mut x = x.shallow_clone();
        for (k, block) in self.blocks.iter().enumerate() {
            x = if k < last { block.relu_pool(&x, pass)? } else { block.relu(&x, pass)? };
        }
        Ok(x)
    }

    fn width(&self) -> i64 {
        self.width
    }
}
