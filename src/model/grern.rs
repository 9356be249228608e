//! GRERN after the abstract of "Graph reasoning-based emotion recognition network", Gao et al., IEEE
//! Access 2021: regions are nodes, their affinities a graph, residual graph convolutions reason over
//! it, a GRU reads the nodes, a linear layer classifies.
//!
//! **Inferred**: only the abstract is public. Regions here are the 7 x 7 cells of a ResNet-18 map, not
//! detected objects; every size below is ours. Its accuracy is not the cited 81.31 %.
use anyhow::Result;
use tch::{nn, Kind, Tensor};

use super::{
    interface::Encoder,
    interface::{Inputs, Model, ModelEntry, Outputs, Slot, IMAGE},
    layers::{float, relu, BatchNorm, Layer, Linear, Pass, Scope, Start},
    resnet::Trunk,
    ModelConfig, ModelName,
};
use crate::record::NUM_CLASSES;

pub(super) const ENTRY: ModelEntry = ModelEntry {
    name: ModelName::Grern,
    title: "GRERN (after the abstract)",
    source: "Gao et al., IEEE Access 2021, abstract only",
    inferred: Some(
        "only the abstract is public: regions are cells of a ResNet-18 map, all sizes are ours",
    ),
    parameters: 11_968_583,
    statistics: 10_624,
    head: &["embed", "affinity", "graph", "gru", "fc"],
    build,
};

/// Length of a node's vector.
const NODE: i64 = 256;
/// Residual graph convolutions.
const GRAPH_LAYERS: usize = 2;
/// State of the GRU.
const STATE: i64 = 256;

#[derive(Debug)]
struct Grern {
    trunk: Trunk,
    embed: Linear,
    affinity: [Linear; 2],
    graph: Vec<(Linear, BatchNorm)>,
    gru: Vec<Tensor>,
    fc: Linear,
}

fn build(scope: &Scope, _config: &ModelConfig) -> Result<Box<dyn Model>> {
    let trunk = Trunk::resnet18(&scope.sub("backbone").with_start(Start::FanOut))?;
    let affinity = scope.sub("affinity");
    let graph = |k: usize| -> Result<(Linear, BatchNorm)> {
        let place = scope.sub(&format!("graph.{k}"));
        Ok((place.sub("fc").linear(NODE, NODE)?, place.sub("bn").batch_norm(NODE)?))
    };
    Ok(Box::new(Grern {
        embed: scope.sub("embed").linear(trunk.width(), NODE)?,
        affinity: [
            affinity.sub("query").linear(NODE, NODE)?,
            affinity.sub("key").linear(NODE, NODE)?,
        ],
        graph: (0..GRAPH_LAYERS).map(graph).collect::<Result<_>>()?,
        gru: gru(&scope.sub("gru"))?,
        fc: scope.sub("fc").linear(STATE, NUM_CLASSES as i64)?,
        trunk,
    }))
}

/// The four tensors of a one-layer GRU, in PyTorch's order and names.
fn gru(scope: &Scope) -> Result<Vec<Tensor>> {
    let bound = 1.0 / (STATE as f64).sqrt();
    let init = nn::Init::Uniform { lo: -bound, up: bound };
    [
        ("weight_ih_l0", vec![3 * STATE, NODE]),
        ("weight_hh_l0", vec![3 * STATE, STATE]),
        ("bias_ih_l0", vec![3 * STATE]),
        ("bias_hh_l0", vec![3 * STATE]),
    ]
    .into_iter()
    .map(|(name, shape)| scope.weight(name, &shape, init))
    .collect()
}

impl Grern {
    /// Row-normalised affinities of nodes `[N, R, NODE]`: `[N, R, R]`.
    fn affinities(&self, nodes: &Tensor, pass: &Pass) -> Result<Tensor> {
        let [query, key] = &self.affinity;
        let query = float(&query.forward(nodes, pass)?)?;
        let key = float(&key.forward(nodes, pass)?)?;
        let scores = query.f_bmm(&key.f_transpose(1, 2)?)?;
        Ok(scores.f_div_scalar((NODE as f64).sqrt())?.f_softmax(-1, Kind::Float)?)
    }

    /// The GRU's last state over nodes `[N, R, NODE]`: `[N, STATE]`.
    fn read(&self, nodes: &Tensor, pass: &Pass) -> Result<Tensor> {
        let start = Tensor::f_zeros([1, nodes.size()[0], STATE], (Kind::Float, nodes.device()))?;
        let (_, last) = nodes.f_gru(&start, &self.gru, true, 1, 0.0, false, false, true)?;
        pass.record(|| Layer {
            name: "gru".to_owned(),
            kind: "gru",
            input: nodes.size(),
            output: last.size(),
            parameters: self.gru.iter().map(|tensor| tensor.numel() as u64).sum(),
            multiply_adds: (nodes.size()[0] * nodes.size()[1] * 3 * STATE * (NODE + STATE)) as u64,
        });
        Ok(last.f_squeeze_dim(0)?)
    }
}

impl Model for Grern {
    fn slots(&self) -> Vec<Slot> {
        vec![IMAGE]
    }

    fn run(&self, inputs: &Inputs, pass: &Pass) -> Result<Outputs> {
        let map = float(&self.trunk.forward(inputs.take(IMAGE)?, pass)?)?;
        let regions = map.f_flatten(2, -1)?.f_transpose(1, 2)?;
        let mut nodes = float(&relu(self.embed.forward(&regions, pass)?)?)?;
        let graph = self.affinities(&nodes, pass)?;
        for (linear, norm) in &self.graph {
            let message = float(&linear.forward(&graph.f_bmm(&nodes)?, pass)?)?;
            let message = norm.forward(&message.f_transpose(1, 2)?, pass)?.f_transpose(1, 2)?;
            nodes = relu(nodes.f_add(&message)?)?;
        }
        let state = self.read(&nodes, pass)?;
        Ok(Outputs::plain(float(&self.fc.forward(&state, pass)?)?))
    }
}
