//! AlexNet in its one-tower form, "One weird trick for parallelizing convolutional neural
//! networks", Krizhevsky 2014, laid out and named as in torchvision.
use anyhow::Result;
use tch::Tensor;

use super::{
    interface::{Inputs, Model, ModelEntry, Outputs, Slot, IMAGE},
    layers::{dropout, float, max_pool, relu, Conv, ConvShape, Linear, Pass, Scope},
    ModelConfig, ModelName,
};
use crate::record::NUM_CLASSES;

pub(super) const ENTRY: ModelEntry = ModelEntry {
    name: ModelName::Alexnet,
    title: "AlexNet",
    source: "Krizhevsky 2014; layout of torchvision",
    inferred: None,
    parameters: 57_032_519,
    statistics: 0,
    head: &["classifier.6"],
    build,
};

/// Place in `features`, channels, kernel, stride, padding.
const CONVS: [(usize, i64, i64, i64, i64); 5] = [
    (0, 64, 11, 4, 2),
    (3, 192, 5, 1, 2),
    (6, 384, 3, 1, 1),
    (8, 256, 3, 1, 1),
    (10, 256, 3, 1, 1),
];
/// Convolutions that a 3x3 maximum of stride 2 follows.
const POOLED: [usize; 3] = [0, 3, 10];
/// Places of the layers in `classifier` and their inputs and outputs.
const LINEARS: [(usize, i64, i64); 3] =
    [(1, 256 * 6 * 6, 4096), (4, 4096, 4096), (6, 4096, NUM_CLASSES as i64)];

#[derive(Debug)]
struct AlexNet {
    convs: Vec<(Conv, bool)>,
    classifier: Stack,
}

fn build(scope: &Scope, config: &ModelConfig) -> Result<Box<dyn Model>> {
    let mut convs = Vec::new();
    let mut inputs = 3;
    for (place, outputs, kernel, stride, padding) in CONVS {
        let shape = ConvShape { padding, ..ConvShape::new(kernel).stride(stride).biased() };
        let conv = scope.sub(&format!("features.{place}")).conv(inputs, outputs, shape)?;
        convs.push((conv, POOLED.contains(&place)));
        inputs = outputs;
    }
    let classifier = Stack::new(scope, LINEARS, config.dropout, true)?;
    Ok(Box::new(AlexNet { convs, classifier }))
}

impl Model for AlexNet {
    fn slots(&self) -> Vec<Slot> {
        vec![IMAGE]
    }

    fn run(&self, inputs: &Inputs, pass: &Pass) -> Result<Outputs> {
        let mut x = inputs.take(IMAGE)?.shallow_clone();
        for (conv, pooled) in &self.convs {
            let y = conv.forward(&x, pass)?;
            x = relu(if *pooled { max_pool(&y, 3, 2, 0)? } else { y })?;
        }
        self.classifier.forward(&x, pass)
    }
}

/// The three fully connected layers of AlexNet and VGG16, under `classifier`.
#[derive(Debug)]
pub(super) struct Stack {
    layers: [Linear; 3],
    dropout: f64,
    /// AlexNet drops out before a layer, VGG16 after its ReLU; they differ at the first layer.
    drop_input: bool,
}

impl Stack {
    pub fn new(
        scope: &Scope,
        layers: [(usize, i64, i64); 3],
        dropout: f64,
        drop_input: bool,
    ) -> Result<Self> {
        let linear = |(place, from, to)| scope.sub(&format!("classifier.{place}")).linear(from, to);
        let [first, second, third] = layers;
        Ok(Stack { layers: [linear(first)?, linear(second)?, linear(third)?], dropout, drop_input })
    }

    /// A map `[N, D, H, W]` to logits.
    pub fn forward(&self, map: &Tensor, pass: &Pass) -> Result<Outputs> {
        let [first, second, third] = &self.layers;
        let mut x = map.f_flatten(1, -1)?;
        if self.drop_input {
            x = dropout(x, self.dropout, pass)?;
        }
        x = dropout(relu(first.forward(&x, pass)?)?, self.dropout, pass)?;
        x = relu(second.forward(&x, pass)?)?;
        if !self.drop_input {
            x = dropout(x, self.dropout, pass)?;
        }
        Ok(Outputs::plain(float(&third.forward(&x, pass)?)?))
    }
}
