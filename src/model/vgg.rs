//! VGG16 without batch normalisation: "Very deep convolutional networks for large-scale image
//! recognition", Simonyan and Zisserman, ICLR 2015 (configuration D), laid out and named as in
//! torchvision. VGG-Face (Parkhi, Vedaldi, Zisserman, BMVC 2015) is the same network.
use anyhow::Result;

use super::{
    alexnet::Stack,
    interface::{Inputs, Model, ModelEntry, Outputs, Slot, IMAGE},
    layers::{max_pool, relu, Conv, ConvShape, Pass, Scope, Start},
    ModelConfig, ModelName,
};
use crate::record::NUM_CLASSES;

pub(super) const ENTRY: ModelEntry = ModelEntry {
    name: ModelName::Vgg16,
    title: "VGG16",
    source: "Simonyan and Zisserman, ICLR 2015; layout of torchvision",
    inferred: None,
    parameters: 134_289_223,
    statistics: 0,
    head: &["classifier.6"],
    build,
};

/// Channels and number of convolutions of the five stages; a halving maximum ends each.
const STAGES: [(i64, usize); 5] = [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)];
/// Places of the layers in `classifier` and their inputs and outputs.
const LINEARS: [(usize, i64, i64); 3] =
    [(0, 512 * 7 * 7, 4096), (3, 4096, 4096), (6, 4096, NUM_CLASSES as i64)];

#[derive(Debug)]
struct Vgg {
    convs: Vec<(Conv, bool)>,
    classifier: Stack,
}

fn build(scope: &Scope, config: &ModelConfig) -> Result<Box<dyn Model>> {
    let scope = scope.clone().with_start(Start::Vgg);
    let (mut place, mut inputs) = (0, 3);
    let mut convs = Vec::new();
    for (width, count) in STAGES {
        for k in 1..=count {
            let shape = ConvShape::new(3).biased();
            let conv = scope.sub(&format!("features.{place}")).conv(inputs, width, shape)?;
            convs.push((conv, k == count));
            // A ReLU takes a place too, and so does the maximum.
            place += if k == count { 3 } else { 2 };
            inputs = width;
        }
    }
    let classifier = Stack::new(&scope, LINEARS, config.dropout, false)?;
    Ok(Box::new(Vgg { convs, classifier }))
}

impl Model for Vgg {
    fn slots(&self) -> Vec<Slot> {
        vec![IMAGE]
    }

    fn run(&self, inputs: &Inputs, pass: &Pass) -> Result<Outputs> {
        let mut x = inputs.take(IMAGE)?.shallow_clone();
        for (conv, ends_stage) in &self.convs {
            let y = conv.forward(&x, pass)?;
            x = relu(if *ends_stage { max_pool(&y, 2, 2, 0)? } else { y })?;
        }
        self.classifier.forward(&x, pass)
    }
}
