//! `ncaers model list|show|forward|import`
use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::json;

use super::{Done, Usage};
use crate::{
    experiment::start_weights,
    model::{entry, ModelConfig, ModelEntry, ModelName, ModelSummary, Weights, MODELS},
    weights,
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

fn show(args: &Show) -> Result<Done> {
    let config = configuration(&args.name, &args.choice)?;
    let summary = ModelSummary::of(&config)?;
    let entry = entry(config.name);
    let text = format!("{}\n{}{}", entry.title, inferred(entry), table(&summary));
    let mut json = json!(summary);
    json["model"] = facts(entry);
    Ok(Done { text, json, exit: 0 })
}

fn table(summary: &ModelSummary) -> String {
    let ModelSummary { layers, parameters, statistics, total, multiply_adds, .. } = summary;
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
    let activations: i64 = layers.iter().map(|layer| layer.output.iter().product::<i64>()).sum();
    let _ = writeln!(
        text,
        "{parameters} parameters + {statistics} running statistics = {total}; {multiply_adds} multiply-adds and {activations} activations per sample",
    );
    text
}

fn forward(args: &Forward) -> Result<Done> {
    let config = configuration(&args.name, &args.choice)?;
    let wanted = wanted(&args.weights, &args.key)?;
    let shapes = weights::forward(&config, &wanted, &args.inputs, &args.out)?;
    let mut text = format!("{}\n", args.out.display());
    for (name, shape) in &shapes {
        let _ = writeln!(text, "{name:16} {shape:?}");
    }
    text += &inferred(entry(config.name));
    Ok(Done { text, json: json!({"out": args.out, "tensors": shapes}), exit: 0 })
}

/// A weights file as an experiment names it.
fn wanted(path: &Path, key: &Option<String>) -> Result<Weights> {
    let path = path.to_str().with_context(|| format!("path {path:?} is not UTF-8"))?.to_owned();
    Ok(Weights { path, new_head: false, into: Vec::new(), key: key.clone() })
}

fn import(args: &Import) -> Result<Done> {
    let config = configuration(&args.name, &args.choice)?;
    let wanted = wanted(&args.file, &args.key)?;
    let wanted = Weights { new_head: args.new_head, into: args.into.clone(), ..wanted };
    let converted = weights::convert(&config, &wanted, &args.out)?;
    let loaded = &converted.loaded;
    let text = format!(
        "{}: {} tensors checked and written; {} of the head left out, {} of the file not needed",
        args.out.display(),
        loaded.loaded,
        loaded.fresh.len(),
        loaded.ignored.len()
    );
    let how = loaded.summary();
    let text = if how.is_empty() { text } else { format!("{text}; taken: {how}") };
    Ok(Done { text, json: json!(converted), exit: 0 })
}
