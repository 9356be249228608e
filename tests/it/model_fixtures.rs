//! Every network against known answers computed elsewhere; see `tests/fixtures/models/README.md`.
#![cfg(feature = "torch")]
use crate::common::rebuilt;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use ncaers::internals::{
    model::{self, Inputs, Model, ModelConfig, Outputs},
    train::{Optimizer, OptimizerKind, Rule},
};
use serde::Deserialize;
use serde_json::{json, Value};
use tch::{nn, Device, Kind, Tensor};

/// A fixture of one evaluation.
#[derive(Deserialize)]
struct Evaluated {
    model: String,
    config: BTreeMap<String, Value>,
    gain: f64,
    params: i64,
    bn_stats: i64,
    total: i64,
    inputs: BTreeMap<String, [i64; 4]>,
    input_first3_and_sum: BTreeMap<String, [f64; 4]>,
    weight_first3: BTreeMap<String, Vec<f64>>,
    tolerance: BTreeMap<String, f64>,
    outputs: BTreeMap<String, Vec<i64>>,
    tensors: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    shape: Vec<i64>,
}

/// A fixture of three training steps.
#[derive(Deserialize)]
struct Trained {
    model: String,
    gain: f64,
    lr: f64,
    momentum: f64,
    weight_decay: f64,
    labels: Vec<i64>,
    inputs: BTreeMap<String, [i64; 4]>,
    losses: [f64; 3],
    grad_l2: BTreeMap<String, f64>,
    grad_first3: BTreeMap<String, Vec<f64>>,
    running_after_1: BTreeMap<String, Vec<f64>>,
    param_sum_after_3: BTreeMap<String, f64>,
    tolerance: Tolerance,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tolerance {
    loss_rel: [f64; 3],
    grad_l2_rel: f64,
    grad_first3_abs_over_grad_l2: f64,
    #[serde(rename = "zero_grad_abs_when_l2_below_1e-6")]
    zero_grad_abs: f64,
    running_abs: f64,
    param_sum_abs_over_sum_abs: f64,
    logits_step1_abs: f64,
    eval_logits_after_3_abs: f64,
}

/// The configuration that a fixture's model name stands for, `more` on top of it.
fn configuration(fixture: &str, more: &BTreeMap<String, Value>) -> Result<ModelConfig, String> {
    let (name, epsilon) = strip(fixture, "_eps1e-3");
    let (name, narrow) = strip(name, "_cls128");
    let mut keys = serde_json::Map::new();
    match name.strip_prefix("glamor_") {
        Some("original") => {}
        Some(backbone @ ("mobilenet_v2" | "resnet18")) => {
            keys.insert("backbone".into(), json!(backbone));
        }
        Some("face_only") => {
            keys.insert("branches".into(), json!("face"));
        }
        Some(variant) => {
            let (part, value) = variant.split_once('_').ok_or(format!("variant {variant}"))?;
            let key = if part == "fusion" { "fusion" } else { "attention" };
            keys.insert(key.into(), json!(value));
            if part != "fusion" {
                keys.insert("branches".into(), json!(part));
            }
        }
        None => {
            keys.insert("name".into(), json!(name));
        }
    }
    if epsilon {
        keys.insert("bn_eps".into(), json!(1e-3));
    }
    if narrow {
        keys.insert("cls_hidden".into(), json!(128));
    }
    keys.extend(more.clone());
    serde_json::from_value(Value::Object(keys)).map_err(|error| error.to_string())
}

fn strip<'a>(name: &'a str, suffix: &str) -> (&'a str, bool) {
    name.strip_suffix(suffix).map_or((name, false), |rest| (rest, true))
}

/// A built network with the weights of the formula.
struct Rebuilt {
    store: nn::VarStore,
    model: Box<dyn Model>,
}

impl Rebuilt {
    fn new(config: &ModelConfig, gain: f64) -> Self {
        let store = nn::VarStore::new(Device::Cpu);
        let model = model::build(&store.root(), config).expect("builds");
        rebuilt::fill(&store, gain);
        Rebuilt { store, model }
    }

    fn run(&self, pictures: &BTreeMap<String, Tensor>, train: bool) -> Outputs {
        let of = |name| pictures.get(name);
        let inputs = Inputs { face: of("face"), context: of("context"), image: of("image") };
        self.model.forward(&inputs, train).expect("evaluates")
    }
}

/// What went wrong, and one line per comparison.
#[derive(Default)]
struct Ledger {
    failures: Vec<String>,
}

impl Ledger {
    fn check(&mut self, what: &str, error: f64, tolerance: f64) {
        println!("{what}: error {error:.3e}, {:.4} of the tolerance", error / tolerance);
        if error.is_nan() || error > tolerance {
            self.failures.push(format!("{what}: error {error:.3e} over {tolerance:.3e}"));
        }
    }

    fn ensure(&mut self, what: String, holds: bool) {
        if !holds {
            self.failures.push(what);
        }
    }
}

fn folder() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models");
    std::env::var_os("NCAERS_MODEL_FIXTURES").map_or(own, PathBuf::from)
}

/// Every fixture of the folder: its name, its JSON and its tensors.
fn fixtures() -> Vec<(String, Value, BTreeMap<String, Tensor>)> {
    let folder = folder();
    let mut names: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    names.sort();
    names.into_iter().map(read).collect()
}

fn read(path: PathBuf) -> (String, Value, BTreeMap<String, Tensor>) {
    let name = path.file_stem().expect("a stem").to_string_lossy().into_owned();
    let json = serde_json::from_slice(&std::fs::read(&path).expect("readable")).expect("JSON");
    let tensors = Tensor::read_safetensors(path.with_extension("safetensors")).expect("tensors");
    (name, json, tensors.into_iter().collect())
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a.to_kind(Kind::Double) - b.to_kind(Kind::Double)).abs().max().double_value(&[])
}

fn first(tensor: &Tensor, n: i64) -> Vec<f64> {
    let flat = tensor.detach().to_kind(Kind::Double).flatten(0, -1);
    (0..n.min(flat.size()[0])).map(|i| flat.double_value(&[i])).collect()
}

fn sum(tensor: &Tensor) -> f64 {
    tensor.detach().to_kind(Kind::Double).sum(Kind::Double).double_value(&[])
}

fn evaluated(name: &str, json: Value, expected: &BTreeMap<String, Tensor>, ledger: &mut Ledger) {
    let fixture: Evaluated = serde_json::from_value(json).expect("a fixture");
    let config = match configuration(&fixture.model, &fixture.config) {
        Ok(config) => config,
        Err(error) => return ledger.ensure(format!("{name}: no such model: {error}"), false),
    };
    let rebuilt = Rebuilt::new(&config, fixture.gain);
    structure(name, &fixture, &rebuilt, ledger);
    let pictures: BTreeMap<String, Tensor> = fixture
        .inputs
        .iter()
        .map(|(tag, &shape)| (tag.clone(), rebuilt::picture(tag, shape)))
        .collect();
    for (tag, values) in &fixture.input_first3_and_sum {
        let found = first(&pictures[tag], 3);
        ledger.ensure(format!("{name}: input {tag} is {found:?}"), found == values[..3]);
        ledger.check(
            &format!("{name} sum of {tag}"),
            (sum(&pictures[tag]) - values[3]).abs(),
            1e-6,
        );
    }
    let outputs = rebuilt.run(&pictures, false);
    let found: BTreeMap<_, _> = outputs.tensors().into_iter().collect();
    for (output, shape) in &fixture.outputs {
        let (Some(found), Some(wanted)) = (found.get(output.as_str()), expected.get(output)) else {
            ledger.ensure(format!("{name}: output {output} is missing"), false);
            continue;
        };
        assert_eq!(&found.size(), shape, "{name} {output}");
        ledger.check(
            &format!("{name} {output}"),
            largest_difference(found, wanted),
            fixture.tolerance[output],
        );
    }
}

fn structure(name: &str, fixture: &Evaluated, rebuilt: &Rebuilt, ledger: &mut Ledger) {
    let ours = rebuilt::shapes(&rebuilt.store);
    let theirs: BTreeMap<_, _> =
        fixture.tensors.iter().map(|tensor| (tensor.name.clone(), tensor.shape.clone())).collect();
    ledger.ensure(format!("{name}: tensors are {ours:?}, not {theirs:?}"), ours == theirs);
    let numel = |statistics: bool| -> i64 {
        let running = |name: &str| name.contains(".running_");
        ours.iter()
            .filter(|(name, _)| running(name) == statistics)
            .map(|(_, shape)| shape.iter().product::<i64>())
            .sum()
    };
    let counts = (numel(false), numel(true));
    ledger.ensure(
        format!("{name}: counts are {counts:?}"),
        counts == (fixture.params, fixture.bn_stats) && counts.0 + counts.1 == fixture.total,
    );
    let variables = rebuilt.store.variables();
    for (tensor, values) in &fixture.weight_first3 {
        let found = first(&variables[tensor], 3);
        // As f32: the JSON reader may be off by the last bit of an f64.
        let equal = found.iter().zip(values).all(|(a, b)| *a as f32 == *b as f32);
        ledger.ensure(format!("{name}: {tensor} is {found:?}, not {values:?}"), equal);
    }
}

/// The program's own rule, as the fixture wants it.
fn descent(fixture: &Trained, store: &nn::VarStore) -> Optimizer {
    let rule = Rule {
        kind: OptimizerKind::Sgd,
        momentum: fixture.momentum,
        nesterov: false,
        amsgrad: false,
        weight_decay: fixture.weight_decay,
        clip_grad: 0.0,
        average: 0.0,
    };
    let named = trainable(store).into_iter().collect();
    Optimizer::new(rule, vec![(1.0, named)]).expect("an optimizer")
}

/// A tensor of four dimensions in the layout that training uses: channels last.
fn channels_last(tensor: &Tensor) -> Tensor {
    tensor.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

fn trainable(store: &nn::VarStore) -> BTreeMap<String, Tensor> {
    store.variables().into_iter().filter(|(_, tensor)| tensor.requires_grad()).collect()
}

/// Three training steps, in LibTorch's plain layout (its own operations) and channels last (ours).
fn trained(name: &str, json: Value, expected: &BTreeMap<String, Tensor>, ledger: &mut Ledger) {
    let fixture: Trained = serde_json::from_value(json).expect("a training fixture");
    for (layout, last) in [("plain", false), ("channels last", true)] {
        trained_in_layout(&format!("{name} {layout}"), last, &fixture, expected, ledger);
    }
}

fn trained_in_layout(
    name: &str,
    last: bool,
    fixture: &Trained,
    expected: &BTreeMap<String, Tensor>,
    ledger: &mut Ledger,
) {
    let mut config = configuration(&fixture.model, &BTreeMap::new()).expect("a known model");
    config.dropout = 0.0;
    let rebuilt = Rebuilt::new(&config, fixture.gain);
    let weights = rebuilt.store.variables().into_values();
    for mut weight in weights.filter(|weight| last && weight.dim() == 4) {
        weight.set_data(&channels_last(&weight.detach()));
    }
    let picture = |(tag, &shape): (&String, &[i64; 4])| {
        let input = tag.strip_prefix("train:").unwrap_or(tag).to_owned();
        let plain = rebuilt::picture(tag, shape);
        (input, if last { channels_last(&plain) } else { plain })
    };
    let pictures: BTreeMap<String, Tensor> = fixture.inputs.iter().map(picture).collect();
    let labels = Tensor::from_slice(&fixture.labels);
    let mut optimizer = descent(fixture, &rebuilt.store);
    for step in 0..3 {
        let logits = rebuilt.run(&pictures, true).logits;
        let loss = logits.cross_entropy_for_logits(&labels);
        loss.backward();
        let (found, wanted) = (loss.double_value(&[]), fixture.losses[step]);
        ledger.check(
            &format!("{name} loss {step}"),
            (found - wanted).abs() / wanted,
            fixture.tolerance.loss_rel[step],
        );
        if step == 0 {
            let error = largest_difference(&logits.detach(), &expected["logits_step1"]);
            ledger.check(&format!("{name} logits"), error, fixture.tolerance.logits_step1_abs);
            first_step(name, fixture, &rebuilt.store, ledger);
        }
        optimizer.step(fixture.lr).expect("steps");
    }
    sums(name, fixture, &rebuilt.store, ledger);
    let after = rebuilt.run(&pictures, false).logits.detach();
    let error = largest_difference(&after, &expected["eval_logits_after_3"]);
    ledger.check(&format!("{name} at the end"), error, fixture.tolerance.eval_logits_after_3_abs);
}

fn first_step(name: &str, fixture: &Trained, store: &nn::VarStore, ledger: &mut Ledger) {
    let tolerance = &fixture.tolerance;
    let weights = trainable(store);
    assert!(weights.keys().eq(fixture.grad_l2.keys()), "{name}: trainable tensors");
    for (tensor, &wanted) in &fixture.grad_l2 {
        let gradient = weights[tensor].grad();
        assert!(gradient.defined(), "{name}: {tensor} has no gradient");
        let found = gradient.to_kind(Kind::Double).norm().double_value(&[]);
        if wanted < 1e-6 {
            ledger.check(&format!("{name} {tensor} zero"), found, tolerance.zero_grad_abs);
            continue;
        }
        let error = (found - wanted).abs() / wanted;
        ledger.check(&format!("{name} {tensor} norm"), error, tolerance.grad_l2_rel);
        let error = apart(&first(&gradient, 3), &fixture.grad_first3[tensor]);
        let allowed = tolerance.grad_first3_abs_over_grad_l2 * wanted;
        ledger.check(&format!("{name} {tensor} gradient"), error, allowed);
    }
    let all = store.variables();
    for (tensor, wanted) in &fixture.running_after_1 {
        let mut found = first(&all[tensor], 3);
        found.push(sum(&all[tensor]));
        let (found, wanted) = (&found[found.len() - wanted.len()..], &wanted[..]);
        ledger.check(&format!("{name} {tensor}"), apart(found, wanted), tolerance.running_abs);
    }
}

fn sums(name: &str, fixture: &Trained, store: &nn::VarStore, ledger: &mut Ledger) {
    let weights = trainable(store);
    for (tensor, wanted) in &fixture.param_sum_after_3 {
        let size = sum(&weights[tensor].abs());
        ledger.check(
            &format!("{name} sum of {tensor}"),
            (sum(&weights[tensor]) - wanted).abs(),
            fixture.tolerance.param_sum_abs_over_sum_abs * size,
        );
    }
}

fn apart(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn every_fixture_of_the_folder_is_met() {
    let _alone = crate::common::alone();
    // Threads that wait for each other are slow on a machine that does other work too.
    tch::set_num_threads(1);
    let mut ledger = Ledger::default();
    let fixtures = fixtures();
    assert!(!fixtures.is_empty(), "{} holds no fixture", folder().display());
    for (name, json, expected) in fixtures {
        match json.get("losses") {
            Some(_) => trained(&name, json, &expected, &mut ledger),
            None => evaluated(&name, json, &expected, &mut ledger),
        }
    }
    assert!(ledger.failures.is_empty(), "{}", ledger.failures.join("\n"));
}

#[test]
fn the_hash_is_the_published_one() {
    assert_eq!(rebuilt::crc32(b"123456789"), 0xCBF4_3926);
    let face = rebuilt::picture("face", [2, 3, 96, 96]);
    assert_eq!(first(&face, 2), [0.916_320_800_781_25, 0.583_997_726_440_429_7]);
}

#[test]
fn every_variant_of_the_paper_has_a_configuration() {
    let none = BTreeMap::new();
    let variants = ["original", "mobilenet_v2", "resnet18", "face_only", "context_none"]
        .into_iter()
        .chain(["context_ca", "context_gla", "both_none", "both_ca", "fusion_add", "fusion_max"])
        .chain(["fusion_dubey", "fusion_concat", "original_eps1e-3", "original_cls128_eps1e-3"]);
    for variant in variants {
        let name = format!("glamor_{variant}");
        configuration(&name, &none).unwrap_or_else(|e| panic!("{variant}: {e}"));
    }
    for name in model::ModelName::ALL {
        configuration(name.name(), &none).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    assert!(configuration("glamor_fusion_sum", &none).is_err());
    let unknown = BTreeMap::from([("heads".to_owned(), json!(2))]);
    assert!(configuration("glamor_original", &unknown).is_err());
}
