//! Weight files checked against a network, and a network run on tensors of a file.
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::json;
use tch::Tensor;

use super::{load, read, tensors_of, write, Loaded};
use crate::{
    digest,
    model::{fresh, Inputs, ModelConfig, Weights},
};

/// A weights file that was checked and converted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConvertedWeights {
    /// The safetensors file.
    pub out: PathBuf,
    /// SHA-256 of the file that it was made from.
    pub source_sha256: String,
    /// What was taken.
    pub loaded: Loaded,
}

/// Checks `wanted.path` against a network and writes what fits to `out` as safetensors. Below
/// `wanted.into` the names stay the file's own: what goes into several parts is written once.
///
/// # Errors
/// When the file does not fit (see [`load`]) or `out` cannot be written.
pub fn convert(config: &ModelConfig, wanted: &Weights, out: &Path) -> Result<ConvertedWeights> {
    let (store, _) = fresh(config)?;
    let loaded = load(&store, config.name, wanted)?;
    let prefix = wanted.into.first().map_or_else(String::new, |part| format!("{part}."));
    let own = |(name, tensor): (String, Tensor)| {
        let kept = !loaded.fresh.contains(&name);
        let name = name.strip_prefix(&prefix).filter(|_| kept)?;
        Some((name.to_owned(), tensor))
    };
    let tensors = tensors_of(&store).into_iter().filter_map(own).collect();
    let source_sha256 = digest::sha256_file(Path::new(&wanted.path))?;
    write(out, &tensors, &json!({"model": config, "source_sha256": source_sha256}))?;
    Ok(ConvertedWeights { out: out.to_owned(), source_sha256, loaded })
}

/// Runs a network on the tensors `face`, `context` or `image` (f32 `[N, 3, H, W]`, already
/// normalised) of the file `inputs`, writes what it answers to `out` as safetensors, and returns the
/// shapes of that by name.
///
/// # Errors
/// When the weights or the inputs do not fit the network, or `out` cannot be written.
pub fn forward(
    config: &ModelConfig,
    wanted: &Weights,
    inputs: &Path,
    out: &Path,
) -> Result<BTreeMap<String, Vec<i64>>> {
    let (store, model) = fresh(config)?;
    load(&store, config.name, wanted)?;
    let tensors = read(inputs)?;
    let pictures = Inputs::named(&tensors);
    let named = || format!("inputs {}", inputs.display());
    pictures.check(&model.slots()).with_context(named)?;
    let outputs = tch::no_grad(|| model.forward(&pictures, false))?;
    let tensors: BTreeMap<String, Tensor> = outputs
        .tensors()
        .into_iter()
        .map(|(name, tensor)| (name.to_owned(), tensor.shallow_clone()))
        .collect();
    write(out, &tensors, &json!({"model": config}))?;
    Ok(tensors.iter().map(|(name, tensor)| (name.clone(), tensor.size())).collect())
}
