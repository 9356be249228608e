//! Steps with few launches give what layer by layer gives, recorded or not, and stay few.
use std::collections::BTreeMap;

use super::*;
use crate::{
    model::{Branch, ModelConfig, ModelName, Preset},
    record::NUM_CLASSES,
    train::{
        batch::Pictures,
        calls::{self, Calls},
        config::OptimizerKind,
        network::Head,
        optimizer::Rule,
        recording::stand_in::{refuses, repeats, REPLAYS},
    },
};

/// How steps are made.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// Layer by layer with LibTorch's own operations, as CUDA once ran them.
    Layers,
    /// As on a GPU, launch by launch.
    Few,
    /// As on a GPU, recorded by a stand-in.
    Recorded,
    /// As on a GPU whose recorder refuses.
    Refused,
}

/// What trials begin with, drawn once: tests beside this one draw from LibTorch's generator too.
struct Start {
    model: ModelConfig,
    tensors: BTreeMap<String, tch::Tensor>,
    head: BTreeMap<String, tch::Tensor>,
    branch: Option<Branch>,
    pictures: Pictures,
}

impl Start {
    fn of(model: &ModelConfig, branch: Option<Branch>) -> Self {
        let model = model.clone();
        let network = Network::build(&model, Device::Cpu, 3).expect("builds");
        let slots = network.model().slots();
        let pictures = Pictures::of_noise(12, &model, &slots, Device::Cpu).expect("noise");
        let head = branch.map(|branch| head_of(&network, branch).tensors());
        let head = head.into_iter().flatten().collect();
        Start { model, tensors: network.tensors(), head, branch, pictures }
    }

    fn trial(&self, train: &TrainConfig, way: Way) -> Trial<'_> {
        let network = Network::build(&self.model, Device::Cpu, 3).expect("builds");
        network.load(&self.tensors).expect("loads");
        let mut members: Vec<_> =
            network.tensors().into_iter().filter(|(_, t)| t.requires_grad()).collect();
        let stage = match self.branch {
            None => Stage::Joint,
            Some(branch) => {
                let names = network.branch(branch).expect("a branch");
                members.retain(|(name, _)| names.contains(name));
                let head = head_of(&network, branch);
                for (name, mut tensor) in head.tensors() {
                    tch::no_grad(|| tensor.copy_(&self.head[&name]));
                    members.push((name, tensor));
                }
                Stage::Encoder(branch, head)
            }
        };
        let optimizer =
            Optimizer::new(Rule::from(train), vec![(1.0, members)]).expect("an optimizer");
        let loss = Loss::new(train, &[1; NUM_CLASSES], None, Device::Cpu).expect("a loss");
        let stepper = Stepper::new(&network, stage, optimizer, loss, train, Device::Cpu);
        let stepper = stepper.expect("steps");
        let few = |stepper: Stepper, recorder| {
            stepper.with_few_launches(&network, Device::Cpu, recorder).expect("few launches")
        };
        let stepper = match way {
            Way::Layers => Stepper { separately: true, ..stepper },
            Way::Few => few(stepper, None),
            Way::Recorded => few(stepper, Some(repeats as MakeRecorder)),
            Way::Refused => few(stepper, Some(refuses as MakeRecorder)),
        };
        Trial { network, pictures: &self.pictures, stepper, train: train.clone() }
    }
}

fn head_of(network: &Network, branch: Branch) -> Head {
    let width = network.model().branch_width(branch).expect("a width");
    Head::new(width, Device::Cpu, 3, branch).expect("a head")
}

/// A network and its steps.
struct Trial<'a> {
    network: Network,
    pictures: &'a Pictures,
    stepper: Stepper,
    train: TrainConfig,
}

impl Trial<'_> {
    /// The losses of steps on batches that differ, the fifth smaller, with falling rates.
    fn losses(&mut self, steps: usize) -> Vec<f64> {
        (0..steps).map(|i| self.step(i)).collect()
    }

    fn step(&mut self, i: usize) -> f64 {
        let rows: Vec<usize> = (0..if i == 4 { 3 } else { 4 }).map(|k| (5 * i + k) % 12).collect();
        let occasion = format!("trial {i}");
        let batch = self.pictures.augmented(&rows, &self.train.augment, 3, &occasion);
        let rate = self.train.learning_rate / (1.0 + i as f64);
        let counts = self.stepper.step(&self.network, &batch.expect("cuts"), rate).expect("steps");
        counts.loss.double_value(&[])
    }
}

fn small() -> ModelConfig {
    // Dropout draws from LibTorch's generator in every step, as tests beside this one do.
    ModelConfig { widths: [4, 4, 8, 8, 8], dropout: 0.0, ..ModelConfig::default() }
}

fn train(precision: Precision) -> TrainConfig {
    TrainConfig { batch_size: 4, learning_rate: 0.01, precision, ..TrainConfig::default() }
}

/// The largest difference between two networks' tensors.
fn apart(a: &Network, b: &Network) -> f64 {
    let b = b.tensors();
    let apart = |(name, t): (String, tch::Tensor)| (t - &b[&name]).abs().max().double_value(&[]);
    a.tensors().into_iter().map(apart).fold(0.0, f64::max)
}

#[test]
fn few_launches_give_what_every_layer_by_itself_gives() {
    let clipped = |precision| TrainConfig { clip_grad: 0.5, ..train(precision) };
    let adam = TrainConfig { optimizer: OptimizerKind::Adam, ..train(Precision::Fp32) };
    let cases = [
        (train(Precision::Fp32), None),
        (train(Precision::Bf16), None),
        (clipped(Precision::Bf16), None),
        (adam, None),
        (train(Precision::Fp32), Some(Branch::Face)),
        (train(Precision::Bf16), Some(Branch::Context)),
    ];
    for (train, branch) in cases {
        let start = Start::of(&small(), branch);
        let [mut layers, mut few] = [Way::Layers, Way::Few].map(|way| start.trial(&train, way));
        for (a, b) in layers.losses(7).into_iter().zip(few.losses(7)) {
            // The rate is rounded to f32 and the running means to another last bit.
            assert!((a - b).abs() < 1e-5 * a.abs(), "{train:?} {branch:?}: {a} is not {b}");
        }
        compare(&layers, &few, 7);
    }
}

/// Below this a gradient counts as zero but for rounding.
const ROUNDING: f64 = 1e-5;

/// Holds two networks' tensors to each other after `steps` steps. Adam divides by the size of the
/// gradients: where they are zero but for rounding (biases that a normalisation or a softmax takes
/// away again; few launches do not even add them), it makes steps of the size of the rate out of
/// the last bits, and running means take such biases in. Everything else agrees as with SGD.
fn compare(layers: &Trial, few: &Trial, steps: i32) {
    let train = &layers.train;
    let is_adam = train.optimizer == OptimizerKind::Adam;
    let rates: f64 = (0..steps).map(|i| train.learning_rate / (1.0 + f64::from(i))).sum();
    let (others, state) = (few.network.tensors(), layers.stepper.optimizer.state());
    let (mut held, mut all) = (0.0, 0.0);
    for (name, tensor) in layers.network.tensors() {
        let gap = (tensor - &others[&name]).abs();
        let rounded = match state.get(&format!("{name}.second_moment")) {
            // The mean of the squares times 1 - 0.999^steps.
            Some(moment) => moment.lt(ROUNDING.powi(2) * (1.0 - 0.999f64.powi(steps))),
            None if is_adam && name.ends_with("running_mean") => gap.ge(0.0),
            None => gap.lt(0.0),
        };
        held += rounded.logical_not().sum(tch::Kind::Double).double_value(&[]);
        all += gap.numel() as f64;
        let most = gap.max().double_value(&[]);
        assert!(most < if is_adam { 2.0 * rates } else { 1e-5 }, "{train:?}: {name} by {most}");
        let most = gap.masked_fill(&rounded, 0.0).max().double_value(&[]);
        assert!(most < 1e-5, "{train:?}: {name} by {most}");
    }
    assert!(held > 0.1 * all, "of {all} numbers {held} were compared");
}

#[test]
fn a_recorded_step_is_the_step() {
    for (precision, optimizer) in [
        (Precision::Fp32, OptimizerKind::Sgd),
        (Precision::Bf16, OptimizerKind::Adam),
        (Precision::Bf16, OptimizerKind::Adamw),
    ] {
        let train = TrainConfig { optimizer, weight_average: 0.9, ..train(precision) };
        let start = Start::of(&small(), None);
        let trial = |way| start.trial(&train, way);
        let mut eager = trial(Way::Few);
        let expected = eager.losses(9);
        REPLAYS.set(0);
        let mut recorded = trial(Way::Recorded);
        assert_eq!(recorded.losses(9), expected, "{precision} {optimizer:?}");
        // Three steps warm up, and the small batch is launched by itself.
        assert_eq!(REPLAYS.get(), 5);
        assert!(recorded.stepper.is_recorded() && !eager.stepper.is_recorded());
        assert_eq!(apart(&eager.network, &recorded.network), 0.0);
        let [a, b] = [&eager, &recorded].map(|trial| trial.stepper.optimizer.state());
        assert!(a.iter().all(|(name, tensor)| *tensor == b[name]));
        assert_eq!(recorded.stepper.given_up(), None);
    }
}

#[test]
fn where_nothing_is_recorded_the_steps_go_on_and_the_reason_is_told_once() {
    let start = Start::of(&small(), None);
    let trial = |way| start.trial(&train(Precision::Bf16), way);
    let (mut eager, mut refused) = (trial(Way::Few), trial(Way::Refused));
    assert_eq!(eager.losses(4), refused.losses(4));
    assert_eq!(refused.stepper.given_up().as_deref(), Some("nothing is recorded here"));
    assert_eq!(refused.stepper.given_up(), None);
    assert_eq!(
        (4..9).map(|i| eager.step(i)).collect::<Vec<_>>(),
        (4..9).map(|i| refused.step(i)).collect::<Vec<_>>()
    );
    assert_eq!(apart(&eager.network, &refused.network), 0.0);
}

#[test]
fn recording_goes_on_after_a_stop_where_it_was() {
    let train = TrainConfig { optimizer: OptimizerKind::Adam, ..train(Precision::Bf16) };
    let start = Start::of(&small(), None);
    let trial = |way| start.trial(&train, way);
    let mut whole = trial(Way::Recorded);
    let expected = whole.losses(9);
    let mut first = trial(Way::Recorded);
    first.losses(5);
    let mut second = trial(Way::Recorded);
    second.network.load(&first.network.tensors()).expect("loads");
    let (state, steps) = (first.stepper.optimizer.state(), first.stepper.optimizer.steps());
    second.stepper.optimizer.restore(&state, steps).expect("restores");
    let rest: Vec<f64> = (5..9).map(|i| second.step(i)).collect();
    assert_eq!(rest, expected[5..]);
    assert_eq!(apart(&whole.network, &second.network), 0.0);
}

/// What a joint step of the paper's network calls, its batch left out.
fn calls_of(precision: Precision, way: Way) -> Calls {
    let start = Start::of(&ModelConfig::default(), None);
    let mut trial = start.trial(&train(precision), way);
    let batch = trial.pictures.augmented(&[0, 1], &trial.train.augment, 3, "calls");
    let batch = batch.expect("cuts");
    trial.stepper.step(&trial.network, &batch, 0.01).expect("steps");
    let step = || trial.stepper.step(&trial.network, &batch, 0.01);
    let (_, calls) = calls::counted(step).expect("counts");
    assert_eq!(calls.unknown(), Vec::<&str>::new(), "to be sorted in calls.rs");
    calls
}

#[test]
fn a_step_launches_no_more_than_it_may() {
    for (precision, most) in [(Precision::Fp32, 170), (Precision::Bf16, 195)] {
        let (layers, few) = (calls_of(precision, Way::Layers), calls_of(precision, Way::Few));
        let launching = few.launching();
        assert!(launching <= most, "{precision}: {launching} launching operations: {few:?}");
        assert!(launching < layers.launching());
    }
}

#[test]
fn every_network_steps_with_few_launches() {
    for name in [ModelName::CaerNetS, ModelName::Efficientface, ModelName::Grern] {
        let model = ModelConfig { dropout: 0.0, ..ModelConfig::of(name, Preset::Paper) };
        let start = Start::of(&model, None);
        let trial = |way| start.trial(&train(Precision::Fp32), way);
        let (mut layers, mut few) = (trial(Way::Layers), trial(Way::Few));
        let (a, b) = (layers.losses(2), few.losses(2));
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-4 * a), "{name}: {a:?} {b:?}");
    }
}
