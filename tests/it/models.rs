//! What must hold for every network of the registry; a new entry is tested without a new line here.
#![cfg(feature = "torch")]
use crate::common::{alone, rebuilt};
use std::collections::BTreeMap;

use ncaers::internals::model::{
    self, Attention, Backbone, Branch, Branches, Freeze, Fusion, Input, InputError, Inputs, Model,
    ModelConfig, ModelEntry, ModelName, Outputs, Pass, Preset, Weights, MODELS,
};
use tch::{
    nn::{self, OptimizerConfig},
    Device, Kind, Tensor,
};

/// A fresh network and its pictures.
struct Subject {
    store: nn::VarStore,
    model: Box<dyn Model>,
    pictures: BTreeMap<Input, Tensor>,
}

impl Subject {
    fn new(config: &ModelConfig, batch: i64) -> Self {
        tch::manual_seed(11);
        let store = nn::VarStore::new(Device::Cpu);
        let model = model::build(&store.root(), config).expect("builds");
        let picture = |slot: model::Slot| {
            let shape = [batch, 3, slot.height, slot.width];
            (slot.input, rebuilt::picture(slot.input.name(), shape))
        };
        let pictures = model.slots().into_iter().map(picture).collect();
        Subject { store, model, pictures }
    }

    fn of(name: ModelName, batch: i64) -> Self {
        Subject::new(&ModelConfig::of(name, Preset::Paper), batch)
    }

    fn inputs(&self) -> Inputs<'_> {
        let of = |input| self.pictures.get(&input);
        Inputs { face: of(Input::Face), context: of(Input::Context), image: of(Input::Image) }
    }

    fn evaluate(&self) -> Outputs {
        tch::no_grad(|| self.model.forward(&self.inputs(), false).expect("evaluates"))
    }

    fn loss(&self, labels: &Tensor) -> Tensor {
        let outputs = self.model.forward(&self.inputs(), true).expect("evaluates");
        let parts = self.model.losses(&outputs);
        let loss =
            |(weight, scores): &(f64, &Tensor)| scores.cross_entropy_for_logits(labels) * *weight;
        parts.iter().map(loss).reduce(|a, b| a + b).expect("a loss")
    }

    fn trainable(&self) -> BTreeMap<String, Tensor> {
        self.store.variables().into_iter().filter(|(_, tensor)| tensor.requires_grad()).collect()
    }

    /// Weights with biases, and running statistics.
    fn counts(&self) -> (u64, u64) {
        let of = |running: bool| {
            rebuilt::shapes(&self.store)
                .into_iter()
                .filter(|(name, _)| name.contains(".running_") == running)
                .map(|(_, shape)| shape.iter().product::<i64>() as u64)
                .sum()
        };
        (of(false), of(true))
    }
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    let flat = tensor.detach().flatten(0, -1).contiguous();
    Vec::<f32>::try_from(flat).expect("f32").into_iter().map(f32::to_bits).collect()
}

fn apart(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a - b).abs().max().double_value(&[])
}

fn is_finite(tensor: &Tensor) -> bool {
    bool::try_from(tensor.isfinite().all()).expect("a truth")
}

fn is_small(entry: &ModelEntry) -> bool {
    entry.parameters < 3_000_000
}

#[test]
fn the_registry_holds_every_name_once() {
    let names: Vec<_> = MODELS.iter().map(|entry| entry.name).collect();
    assert_eq!(names, ModelName::ALL);
    let inferred: Vec<_> = MODELS.iter().filter(|entry| entry.inferred.is_some()).collect();
    assert!(inferred.iter().all(|entry| entry.title.contains("after")), "{inferred:?}");
}

#[test]
fn every_network_keeps_its_promises() {
    let _alone = alone();
    for entry in MODELS {
        let subject = Subject::of(entry.name, 2);
        has_its_exact_count(entry, &subject);
        speaks_of_seven_classes(entry, &subject);
        accounts_for_every_weight(entry, &subject);
        stays_near_in_bfloat16(entry, &subject);
        has_every_gradient(entry, &subject);
        is_repeatable_and_sees_samples_alone(entry, subject);
    }
}

fn has_its_exact_count(entry: &ModelEntry, subject: &Subject) {
    assert_eq!(subject.counts(), (entry.parameters, entry.statistics), "{}", entry.name);
}

fn speaks_of_seven_classes(entry: &ModelEntry, subject: &Subject) {
    let outputs = subject.evaluate();
    assert_eq!(outputs.logits.size(), [2, 7], "{}", entry.name);
    for (name, tensor) in outputs.tensors() {
        assert_eq!(tensor.kind(), Kind::Float, "{} {name}", entry.name);
        assert!(is_finite(tensor), "{} {name}", entry.name);
    }
    let weights: f64 = subject.model.losses(&outputs).iter().map(|(weight, _)| weight).sum();
    assert!((weights - 1.0).abs() < 1e-12, "{}", entry.name);
    for shares in [outputs.attention, outputs.fusion_weights].into_iter().flatten() {
        let sums = shares.flatten(1, -1).sum_dim_intlist(1, false, Kind::Float);
        assert!(apart(&sums, &Tensor::ones([2], tch::kind::FLOAT_CPU)) < 1e-5);
    }
}

fn accounts_for_every_weight(entry: &ModelEntry, subject: &Subject) {
    let pass = Pass::new(false).recorded();
    tch::no_grad(|| subject.model.run(&subject.inputs(), &pass)).expect("evaluates");
    let by_name: BTreeMap<_, _> =
        pass.layers().into_iter().map(|layer| (layer.name, layer.parameters)).collect();
    let found: u64 = by_name.values().sum();
    assert_eq!(found, entry.parameters + entry.statistics, "{}: {by_name:?}", entry.name);
}

fn stays_near_in_bfloat16(entry: &ModelEntry, subject: &Subject) {
    let pass = Pass::new(false).in_kind(Kind::BFloat16);
    let near = tch::no_grad(|| subject.model.run(&subject.inputs(), &pass)).expect("evaluates");
    let exact = subject.evaluate().logits;
    let scale = exact.abs().max().double_value(&[]).max(0.1);
    let error = apart(&near.logits, &exact) / scale;
    assert!(error > 0.0 && error < 0.1, "{}: {error}", entry.name);
}

fn has_every_gradient(entry: &ModelEntry, subject: &Subject) {
    subject.loss(&Tensor::from_slice(&[0i64, 4])).backward();
    for (name, weight) in subject.trainable() {
        let gradient = weight.grad();
        assert!(gradient.defined(), "{} {name}", entry.name);
        assert!(is_finite(&gradient), "{} {name}", entry.name);
    }
}

fn is_repeatable_and_sees_samples_alone(entry: &ModelEntry, subject: Subject) {
    let (once, again) = (subject.evaluate().logits, subject.evaluate().logits);
    assert_eq!(bits(&once), bits(&again), "{}", entry.name);
    let first = |tensor: &Tensor| tensor.narrow(0, 0, 1);
    let pictures = subject.pictures.iter().map(|(input, x)| (*input, first(x))).collect();
    let alone = Subject { pictures, ..subject }.evaluate().logits;
    assert!(apart(&first(&once), &alone) < 1e-4, "{}", entry.name);
}

#[test]
fn small_networks_overfit_one_batch() {
    let _alone = alone();
    for entry in MODELS.iter().filter(|entry| is_small(entry)) {
        let mut config = ModelConfig::of(entry.name, Preset::Paper);
        (config.dropout, config.widths) = (0.0, [8, 16, 32, 64, 64]);
        let subject = Subject::new(&config, 4);
        let labels = Tensor::from_slice(&[0i64, 3, 6, 2]);
        let mut optimizer = nn::Adam::default().build(&subject.store, 3e-3).expect("optimizer");
        let before = subject.loss(&labels).double_value(&[]);
        assert!(before > 1.0, "{}: {before}", entry.name);
        for _ in 0..25 {
            optimizer.backward_step(&subject.loss(&labels));
        }
        let after = subject.loss(&labels).double_value(&[]);
        assert!(after < 0.2, "{}: {before} to {after}", entry.name);
    }
}

/// The totals of Tables 4, 6 and 7.
#[test]
fn every_variant_of_glamor_net_has_its_exact_total() {
    let _alone = alone();
    let base = ModelConfig::default;
    let backbone = |backbone| ModelConfig { backbone, ..base() };
    let variant = |branches, attention| ModelConfig { branches, attention, ..base() };
    let fusion = |fusion| ModelConfig { fusion, ..base() };
    for (config, total) in [
        (base(), 2_228_362),
        (backbone(Backbone::MobilenetV2), 5_830_026),
        (backbone(Backbone::Resnet18), 22_899_850),
        (ModelConfig::of(ModelName::Glamor, Preset::Released), 2_161_802),
        (variant(Branches::Face, Attention::Gla), 1_049_031),
        (variant(Branches::Context, Attention::None), 1_049_031),
        (variant(Branches::Context, Attention::Ca), 1_345_740),
        (variant(Branches::Context, Attention::Gla), 2_096_776),
        (variant(Branches::Both, Attention::None), 2_162_057),
        (variant(Branches::Both, Attention::Ca), 2_458_766),
        (fusion(Fusion::Add), 2_096_776),
        (fusion(Fusion::Max), 2_096_776),
        (fusion(Fusion::Dubey), 2_228_360),
        (fusion(Fusion::Concat), 2_162_312),
    ] {
        let subject = Subject::new(&config, 1);
        let (weights, statistics) = subject.counts();
        assert_eq!(weights + statistics, total, "{config:?}");
        assert_eq!(subject.evaluate().logits.size(), [1, 7]);
    }
}

#[test]
fn narrow_encoders_work() {
    let _alone = alone();
    let widths = [8, 16, 32, 64, 128];
    for name in [ModelName::Glamor, ModelName::CaerNetS] {
        let config = ModelConfig { widths, ..ModelConfig::of(name, Preset::Paper) };
        let subject = Subject::new(&config, 1);
        assert_eq!(subject.model.branch_width(Branch::Face), Some(128));
        assert_eq!(subject.evaluate().logits.size(), [1, 7]);
    }
}

#[test]
fn dropout_follows_the_seed() {
    let _alone = alone();
    let subject = Subject::of(ModelName::Glamor, 4);
    let run = |seed| {
        tch::manual_seed(seed);
        subject.model.forward(&subject.inputs(), true).expect("evaluates").logits
    };
    let (a, b, c) = (run(1), run(1), run(2));
    assert_eq!(bits(&a), bits(&b));
    assert_ne!(bits(&a), bits(&c));
}

#[test]
fn faces_of_one_picture_share_its_context() {
    let _alone = alone();
    let mut glamor = vec![ModelConfig::of(ModelName::CaerNetS, Preset::Paper)];
    for attention in [Attention::None, Attention::Ca, Attention::Gla] {
        glamor.push(ModelConfig { attention, ..ModelConfig::default() });
    }
    for config in glamor {
        let subject = Subject::new(&config, 3);
        let faces = &subject.pictures[&Input::Face];
        let context = subject.pictures[&Input::Context].narrow(0, 0, 1);
        let shared = tch::no_grad(|| subject.model.forward_faces(&context, faces)).expect("runs");
        let repeated = context.repeat([3, 1, 1, 1]);
        let inputs = Inputs { face: Some(faces), context: Some(&repeated), image: None };
        let each = tch::no_grad(|| subject.model.forward(&inputs, false)).expect("runs");
        let each: BTreeMap<_, _> = each.tensors().into_iter().collect();
        for (name, tensor) in shared.tensors() {
            assert!(apart(tensor, each[name]) < 1e-5, "{name} {config:?}");
        }
    }
}

#[test]
fn branch_features_are_the_averaged_maps() {
    let _alone = alone();
    let subject = Subject::of(ModelName::Glamor, 2);
    assert_eq!(subject.model.branches(), [Branch::Face, Branch::Context]);
    let features =
        |branch| subject.model.branch_features(branch, &subject.inputs(), false).expect("features");
    let outputs = subject.evaluate();
    let v_f = &outputs.named.iter().find(|(name, _)| *name == "v_f").expect("v_f").1;
    assert_eq!(bits(&features(Branch::Face)), bits(v_f));
    assert_eq!(features(Branch::Context).size(), [2, 256]);
    let plain = Subject::of(ModelName::Resnet18, 1);
    let error = plain.model.branch_features(Branch::Face, &plain.inputs(), false).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&InputError::NoBranch("face")));
}

#[test]
fn a_frozen_backbone_stays_as_it_is() {
    let _alone = alone();
    for entry in MODELS {
        let mut config = ModelConfig::of(entry.name, Preset::Paper);
        config.freeze = Freeze::Backbone;
        config.weights =
            Some(Weights { path: "any".into(), new_head: true, into: Vec::new(), key: None });
        let subject = Subject::new(&config, 2);
        let trainable = subject.trainable();
        assert!(!trainable.is_empty(), "{}", entry.name);
        let in_head = |name: &str| entry.head.iter().any(|head| name.starts_with(head));
        assert!(trainable.keys().all(|name| in_head(name)), "{}: {trainable:?}", entry.name);
        let frozen = || -> BTreeMap<String, Vec<u32>> {
            let all = subject.store.variables().into_iter();
            let statistics = all.filter(|(name, _)| name.contains(".running_") && !in_head(name));
            statistics.map(|(name, tensor)| (name, bits(&tensor))).collect()
        };
        let before = frozen();
        subject.loss(&Tensor::from_slice(&[0i64, 1])).backward();
        assert_eq!(before, frozen(), "{}", entry.name);
    }
}

/// The same training pass with our fused normalisation (channels last) and LibTorch's own
/// operations (plain layout): outputs, gradients and running statistics.
#[test]
fn fused_layers_train_as_separate_ones() {
    let _alone = alone();
    let last = |x: &Tensor| x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
    for entry in MODELS.iter().filter(|entry| is_small(entry)) {
        let mut config = ModelConfig::of(entry.name, Preset::Paper);
        (config.dropout, config.widths) = (0.0, [8, 16, 12, 20, 32]);
        let pass = |fused: bool| {
            let mut subject = Subject::new(&config, 3);
            if fused {
                let pictures = subject.pictures.iter().map(|(input, x)| (*input, last(x)));
                subject.pictures = pictures.collect();
                let weights = subject.store.variables().into_values();
                weights.filter(|w| w.dim() == 4).for_each(|mut w| w.set_data(&last(&w.detach())));
            }
            subject.loss(&Tensor::from_slice(&[0i64, 4, 2])).backward();
            let gradients: BTreeMap<_, _> = subject.trainable().into_iter().collect();
            let statistics = subject.store.variables().into_iter();
            (gradients, statistics.filter(|(name, _)| name.contains(".running_")).collect())
        };
        type Tensors = BTreeMap<String, Tensor>;
        let (ours, our_statistics): (Tensors, Tensors) = pass(true);
        let (theirs, their_statistics): (Tensors, Tensors) = pass(false);
        // Over all tensors together: a ReLU that rounding flips moves single gradients.
        let squares = |tensor: &Tensor| tensor.square().sum(Kind::Double).double_value(&[]);
        let (mut apart_by, mut size) = (0.0, 0.0);
        for (name, weight) in &ours {
            apart_by += squares(&(weight.grad() - theirs[name].grad()));
            size += squares(&theirs[name].grad());
        }
        let error = (apart_by / size).sqrt();
        assert!(error < 1e-2, "{}: gradients differ by {error}", entry.name);
        for (name, statistic) in &our_statistics {
            let error = apart(statistic, &their_statistics[name]);
            assert!(error < 1e-4, "{} {name}: {error}", entry.name);
        }
    }
}

#[test]
fn channels_last_changes_nothing_but_rounding() {
    let _alone = alone();
    for name in [ModelName::Glamor, ModelName::CaerNetS, ModelName::Efficientface] {
        let subject = Subject::of(name, 2);
        let expected = subject.evaluate().logits;
        let last = |x: &Tensor| x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
        let pictures = subject.pictures.iter().map(|(input, x)| (*input, last(x))).collect();
        let found = Subject { pictures, ..subject }.evaluate().logits;
        assert!(apart(&found, &expected) < 1e-4, "{name}");
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let _alone = alone();
    let subject = Subject::of(ModelName::Glamor, 2);
    let (face, context) = (&subject.pictures[&Input::Face], &subject.pictures[&Input::Context]);
    let refused = |face: Option<&Tensor>, context: Option<&Tensor>| {
        let inputs = Inputs { face, context, image: None };
        inputs.check(&subject.model.slots()).expect_err("refused")
    };
    let missing = InputError::Missing { name: "context", expected: vec![3, 112, 112] };
    assert_eq!(refused(Some(face), None), missing);
    let inputs = Inputs { face: Some(face), context: None, image: None };
    let error = subject.model.forward(&inputs, false).expect_err("refused");
    assert_eq!(error.downcast_ref(), Some(&missing));
    let small = face.narrow(2, 0, 95);
    let message = refused(Some(&small), Some(context)).to_string();
    assert_eq!(message, "tensor `face` has shape [2, 3, 95, 96]; the model needs [N, 3, 96, 96]");
    let one = context.narrow(0, 0, 1);
    assert!(matches!(
        refused(Some(face), Some(&one)),
        InputError::Batch { name: "context", batch: 2, .. }
    ));
    let double = face.to_kind(Kind::Double);
    assert!(matches!(refused(Some(&double), Some(context)), InputError::Kind { .. }));
    let odd = face.copy();
    let _ = odd.narrow(0, 0, 1).narrow(3, 0, 1).fill_(f64::NAN);
    let not_finite = refused(Some(&odd), Some(context));
    assert!(matches!(not_finite, InputError::NotFinite { name: "face", count: 288, .. }));
}
