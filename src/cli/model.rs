//! `ncaers model list|show|forward|import`
use std::{
    collections::BTreeMap,
    fmt::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::json;
use tch::{nn::VarStore, Device, Kind, Tensor};

use super::{Done, Usage};
use crate::{
    experiment::start_weights,
    model::{self, entry, Inputs, Layer, Model, ModelConfig, ModelEntry, ModelName, Pass, MODELS},
    weights::{self, Loaded},
};

/// List the networks, show their layers, run them on tensors, check and convert weights
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: ncaers model show glamor --set attention=ca")]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List the networks with their parameter counts
    #[command(after_help = "Example: ncaers model list")]
    List,
    /// Print every layer with shapes, parameters and multiply-adds
    #[command(after_help = "Example: ncaers model show glamor --set backbone=resnet18")]
    Show(Show),
    /// Run a network on the tensors of a safetensors file
    #[command(
        after_help = "Example: ncaers model forward glamor --weights best.safetensors --inputs faces.safetensors --out answers.safetensors"
    )]
    Forward(Forward),
    /// List the weight files that grids start from: source, whether present, whether they fit
    #[command(after_help = "Example: ncaers model weights --weights weights")]
    Weights(WeightsArgs),
    /// Check a weights file against a network and convert it to safetensors
    #[command(
        after_help = "Example: ncaers model import resnet50-0676ba61.pth --model resnet50 --new-head --out resnet50.safetensors"
    )]
    Import(Import),
}

/// Which network.
#[derive(Debug, clap::Args)]
struct Choice {
    /// A key of the experiment's [model] table; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct Show {
    /// The network, as in `ncaers model list`
    name: String,
    #[command(flatten)]
    choice: Choice,
}

#[derive(Debug, clap::Args)]
struct Forward {
    /// The network, as in `ncaers model list`
    name: String,
    #[command(flatten)]
    choice: Choice,
    /// Weights: safetensors or PyTorch
    #[arg(long)]
    weights: PathBuf,
    /// Safetensors with `face`, `context` or `image`: f32 [N, 3, H, W], already normalised
    #[arg(long)]
    inputs: PathBuf,
    /// Where in the weights file the state dict lies, such as model_ema
    #[arg(long)]
    key: Option<String>,
    /// The safetensors file to write
    #[arg(long)]
    out: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Import {
    /// The file: PyTorch state dict or safetensors
    file: PathBuf,
    /// The network, as in `ncaers model list`
    #[arg(long = "model")]
    name: String,
    #[command(flatten)]
    choice: Choice,
    /// Leave the head out when its number of classes differs
    #[arg(long)]
    new_head: bool,
    /// Part of the network that the file's names belong to, such as face_encoder; may be repeated
    #[arg(long)]
    into: Vec<String>,
    /// Where in the file the state dict lies, such as model_ema, or what its names begin with
    #[arg(long)]
    key: Option<String>,
    /// The safetensors file to write
    #[arg(long)]
    out: PathBuf,
}

#[derive(Debug, clap::Args)]
struct WeightsArgs {
    /// A folder to look in, in place of the grids' own
    #[arg(long, value_name = "DIR")]
    weights: Option<PathBuf>,
    /// The grids; may be repeated
    #[arg(long = "grid", value_name = "FILE", default_values = ["experiments/caer-s.toml", "experiments/ncaer-s.toml"])]
    grids: Vec<PathBuf>,
}

fn wanted_weights(args: &WeightsArgs) -> Result<Done> {
    let wanted = start_weights::wanted(&args.grids, args.weights.as_deref())?;
    Ok(Done { text: start_weights::text(&wanted), json: json!({"weights": wanted}), exit: 0 })
}

pub(super) fn run(args: &Args) -> Result<Done> {
    match &args.verb {
        Verb::List => Ok(list()),
        Verb::Weights(args) => wanted_weights(args),
        Verb::Show(args) => show(args),
        Verb::Forward(args) => forward(args),
        Verb::Import(args) => import(args),
    }
}

fn list() -> Done {
    let mut text = String::new();
    for entry in MODELS {
        let total = entry.parameters + entry.statistics;
        let (name, title) = (entry.name, entry.title);
        let _ = writeln!(text, "{name:14} {total:>11}  {title:26} {}", entry.source);
        text += &inferred(entry);
    }
    let json = MODELS.iter().map(facts).collect();
    Done { text, json, exit: 0 }
}

fn facts(entry: &ModelEntry) -> serde_json::Value {
    json!({
        "name": entry.name, "title": entry.title, "source": entry.source,
        "inferred": entry.inferred, "parameters": entry.parameters,
        "statistics": entry.statistics,
    })
}

/// The warning that belongs wherever an inferred design is shown.
fn inferred(entry: &ModelEntry) -> String {
    entry.inferred.map_or_else(String::new, |why| format!("{:14} inferred: {why}\n", ""))
}

/// The configuration of `name` with the given settings.
fn configuration(name: &str, choice: &Choice) -> Result<ModelConfig> {
    let mut table = toml::Table::new();
    table.insert("name".into(), name.into());
    for setting in &choice.settings {
        let (key, value) = setting
            .split_once('=')
            .ok_or_else(|| Usage(format!("`{setting}` is not KEY=VALUE; see --set")))?;
        if !ModelConfig::KEYS.contains(&key) {
            return Err(Usage(unknown(key, &ModelConfig::KEYS)).into());
        }
        let parsed = toml::from_str::<toml::Table>(&format!("v = {value}"));
        let value = parsed.ok().and_then(|mut table| table.remove("v"));
        table.insert(key.into(), value.unwrap_or_else(|| setting[key.len() + 1..].into()));
    }
    let names = ModelName::ALL.map(ModelName::name);
    if !names.contains(&name) {
        return Err(Usage(format!("model {}", unknown(name, &names))).into());
    }
    table.try_into().map_err(|error: toml::de::Error| Usage(error.message().to_owned()).into())
}

/// `unknown `x`; did you mean `y`?` with the nearest known name.
fn unknown(name: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .max_by(|a, b| strsim::jaro(name, a).total_cmp(&strsim::jaro(name, b)))
        .expect("something is known");
    format!("`{name}` is unknown; did you mean `{near}`?")
}

/// A network with fresh weights.
fn built(config: &ModelConfig) -> Result<(VarStore, Box<dyn Model>)> {
    tch::manual_seed(0);
    let store = VarStore::new(Device::Cpu);
    let model = model::build(&store.root(), config)?;
    Ok((store, model))
}

fn show(args: &Show) -> Result<Done> {
    let config = configuration(&args.name, &args.choice)?;
    let (store, model) = built(&config)?;
    let pictures: BTreeMap<_, _> = model
        .slots()
        .into_iter()
        .map(|slot| {
            let shape = [1, 3, slot.height, slot.width];
            (slot.input.name(), Tensor::zeros(shape, (Kind::Float, Device::Cpu)))
        })
        .collect();
    let pass = Pass::new(false).recorded();
    tch::no_grad(|| model.run(&inputs_of(&pictures), &pass))?;
    let layers = pass.layers();
    let counts = counts(&store);
    let entry = entry(config.name);
    let text = format!("{}\n{}{}", entry.title, inferred(entry), table(&layers, counts));
    let json = json!({
        "model": facts(entry), "config": config, "layers": layers,
        "parameters": counts.0, "statistics": counts.1, "total": counts.0 + counts.1,
        "multiply_adds": layers.iter().map(|layer| layer.multiply_adds).sum::<u64>(),
    });
    Ok(Done { text, json, exit: 0 })
}

/// Weights with biases, and running statistics.
fn counts(store: &VarStore) -> (u64, u64) {
    let of = |running: bool| {
        let all = store.variables();
        let part = all.iter().filter(|(name, _)| name.contains(".running_") == running);
        part.map(|(_, tensor)| tensor.numel() as u64).sum()
    };
    (of(false), of(true))
}

fn table(layers: &[Layer], (weights, statistics): (u64, u64)) -> String {
    let shape = |shape: &[i64]| shape.iter().map(i64::to_string).collect::<Vec<_>>().join("x");
    let width = layers.iter().map(|layer| layer.name.len()).max().unwrap_or(0);
    let mut text = format!(
        "{:width$}  {:10} {:>14} {:>14} {:>11} {:>13}\n",
        "layer", "kind", "in", "out", "parameters", "multiply-adds"
    );
    for layer in layers {
        let _ = writeln!(
            text,
            "{:width$}  {:10} {:>14} {:>14} {:>11} {:>13}",
            layer.name,
            layer.kind,
            shape(&layer.input),
            shape(&layer.output),
            layer.parameters,
            layer.multiply_adds
        );
    }
    let multiply_adds: u64 = layers.iter().map(|layer| layer.multiply_adds).sum();
    let activations: i64 = layers.iter().map(|layer| layer.output.iter().product::<i64>()).sum();
    let _ = writeln!(
        text,
        "{weights} parameters + {statistics} running statistics = {}; {multiply_adds} multiply-adds and {activations} activations per sample",
        weights + statistics
    );
    text
}

fn inputs_of<'a>(pictures: &'a BTreeMap<&str, Tensor>) -> Inputs<'a> {
    let of = |name| pictures.get(name);
    Inputs { face: of("face"), context: of("context"), image: of("image") }
}

fn forward(args: &Forward) -> Result<Done> {
    let config = configuration(&args.name, &args.choice)?;
    let (store, model) = built(&config)?;
    load(&store, &config, &wanted(&args.weights, &args.key)?)?;
    let tensors = weights::read(&args.inputs)?;
    let pictures: BTreeMap<&str, Tensor> =
        tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.shallow_clone())).collect();
    let inputs = inputs_of(&pictures);
    let named = || format!("inputs {}", args.inputs.display());
    inputs.check(&model.slots()).with_context(named)?;
    let outputs = tch::no_grad(|| model.forward(&inputs, false))?;
    let tensors: BTreeMap<String, Tensor> = outputs
        .tensors()
        .into_iter()
        .map(|(name, tensor)| (name.to_owned(), tensor.shallow_clone()))
        .collect();
    weights::write(&args.out, &tensors, &json!({"model": config}))?;
    let shapes: BTreeMap<_, _> =
        tensors.iter().map(|(name, tensor)| (name.clone(), tensor.size())).collect();
    let text = format!("{}\n{}", args.out.display(), listed(&shapes));
    let text = format!("{text}{}", inferred(entry(config.name)));
    Ok(Done { text, json: json!({"out": args.out, "tensors": shapes}), exit: 0 })
}

fn listed(shapes: &BTreeMap<String, Vec<i64>>) -> String {
    shapes.iter().map(|(name, shape)| format!("{name:16} {shape:?}\n")).collect()
}

fn load(store: &VarStore, config: &ModelConfig, wanted: &model::Weights) -> Result<Loaded> {
    Ok(weights::load(store, config.name, wanted)?)
}

/// A weights file as an experiment names it.
fn wanted(path: &Path, key: &Option<String>) -> Result<model::Weights> {
    let path = path.to_str().with_context(|| format!("path {path:?} is not UTF-8"))?.to_owned();
    Ok(model::Weights { path, new_head: false, into: Vec::new(), key: key.clone() })
}

fn import(args: &Import) -> Result<Done> {
    let config = configuration(&args.name, &args.choice)?;
    let (store, _) = built(&config)?;
    let wanted = wanted(&args.file, &args.key)?;
    let wanted = model::Weights { new_head: args.new_head, into: args.into.clone(), ..wanted };
    let loaded = load(&store, &config, &wanted)?;
    // What goes below several parts is the same tensors: one copy, under the file's own names.
    let prefix = args.into.first().map_or_else(String::new, |part| format!("{part}."));
    let own = |(name, tensor): (String, Tensor)| {
        let kept = !loaded.fresh.contains(&name);
        let name = name.strip_prefix(&prefix).filter(|_| kept)?;
        Some((name.to_owned(), tensor))
    };
    let tensors = weights::tensors_of(&store).into_iter().filter_map(own).collect();
    let digest = crate::digest::sha256_file(&args.file)?;
    weights::write(&args.out, &tensors, &json!({"model": config, "source_sha256": digest}))?;
    let text = format!(
        "{}: {} tensors checked and written; {} of the head left out, {} of the file not needed",
        args.out.display(),
        loaded.loaded,
        loaded.fresh.len(),
        loaded.ignored.len()
    );
    let how = loaded.summary();
    let text = if how.is_empty() { text } else { format!("{text}; taken: {how}") };
    let json = json!({"out": args.out, "source_sha256": digest, "loaded": loaded});
    Ok(Done { text, json, exit: 0 })
}
