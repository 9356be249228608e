//! The weight files that grids start from: whose they are, whether they are there, and whether they
//! fit the networks that want them.
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::Serialize;
use tch::{nn::VarStore, Device};

use super::Grid;
use crate::{
    digest,
    model::{
        self,
        published::{self, Published},
        ModelConfig, ModelName, Weights,
    },
    weights,
};

/// A weights file that some rows start from.
#[derive(Clone, Debug, Serialize)]
pub struct WantedWeights {
    /// Where it is looked for.
    pub path: PathBuf,
    /// The network that reads it.
    pub network: ModelName,
    /// The rows that start from it.
    pub rows: Vec<String>,
    /// What may stand behind the name.
    pub published: Vec<Published>,
    /// The network's tensors with their shapes, the head included.
    pub tensors: BTreeMap<String, Vec<i64>>,
    /// What was found.
    pub found: StartFile,
}

/// What stands at the path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum StartFile {
    /// Nothing.
    Missing,
    /// A file that the network can read.
    Fits {
        /// SHA-256 of its bytes.
        sha256: String,
        /// Whose it is, where digest or tensor names tell.
        origin: Option<String>,
        /// Tensors that it gives to the network.
        tensors: usize,
    },
    /// A file that the network cannot read.
    Refused {
        /// Why.
        reason: String,
    },
}

/// Every weights file that the grids want, in the order in which they want it; `folder` stands in
/// place of the grids' own folders.
///
/// # Errors
/// When a grid cannot be read.
pub fn wanted(grids: &[PathBuf], folder: Option<&Path>) -> Result<Vec<WantedWeights>> {
    let mut wanted: Vec<WantedWeights> = Vec::new();
    for grid in grids {
        for run in Grid::read(grid, &[])?.runs {
            let config = &run.experiment.model;
            let Some(given) = &config.weights else { continue };
            let path = resolve(Path::new(&given.path), folder);
            match wanted.iter_mut().find(|w| w.path == path && w.network == config.name) {
                Some(known) if known.rows.contains(&run.label) => {}
                Some(known) => known.rows.push(run.label),
                None => wanted.push(look(path, config, given, run.label)?),
            }
        }
    }
    Ok(wanted)
}

fn look(
    path: PathBuf,
    config: &ModelConfig,
    given: &Weights,
    row: String,
) -> Result<WantedWeights> {
    tch::manual_seed(0);
    let store = VarStore::new(Device::Cpu);
    model::build(&store.root(), config)?;
    let shapes = store.variables().into_iter().map(|(name, tensor)| (name, tensor.size()));
    let tensors = shapes.collect();
    let found = match path.is_file() {
        true => fits(&store, &path, config.name, given)?,
        false => StartFile::Missing,
    };
    let published = published::by_name(&path).map_or_else(Vec::new, |known| known.files.to_vec());
    Ok(WantedWeights { path, network: config.name, rows: vec![row], published, tensors, found })
}

fn fits(store: &VarStore, path: &Path, network: ModelName, given: &Weights) -> Result<StartFile> {
    let text = path.to_str().with_context(|| format!("path {path:?} is not UTF-8"))?;
    let wanted = Weights { path: text.to_owned(), ..given.clone() };
    Ok(match weights::load(store, network, &wanted) {
        Err(error) => StartFile::Refused { reason: format!("{error:#}") },
        Ok(loaded) => {
            let sha256 = digest::sha256_file(path)?;
            let origin = published::by_digest(&sha256).map(|file| file.origin);
            let origin = origin.or(loaded.dialect).map(str::to_owned);
            StartFile::Fits { sha256, origin, tensors: loaded.loaded }
        }
    })
}

/// A line for every file, for a person.
pub fn text(wanted: &[WantedWeights]) -> String {
    let mut text = String::new();
    for file in wanted {
        let values: i64 = file.tensors.values().map(|shape| shape.iter().product::<i64>()).sum();
        let _ = writeln!(
            text,
            "{}: {} ({} tensors, {:.1} M values)\n  {}",
            file.path.display(),
            file.network,
            file.tensors.len(),
            values as f64 / 1e6,
            state(file)
        );
        for known in &file.published {
            let digest = known.sha256_prefix.map_or_else(
                || "digest not published".to_owned(),
                |prefix| format!("SHA-256 {prefix}..."),
            );
            let _ = writeln!(text, "  published as {} by {}, {digest}", known.file, known.source);
        }
        let _ = writeln!(text, "  wanted by {}", file.rows.join("; "));
    }
    if text.is_empty() {
        text.push_str("no row of these grids starts from weights\n");
    }
    text
}

fn state(file: &WantedWeights) -> String {
    match &file.found {
        StartFile::Missing => "missing".into(),
        StartFile::Refused { reason } => format!("there, but {reason}"),
        StartFile::Fits { sha256, origin, tensors } => format!(
            "there and fits: {tensors} tensors, {}, SHA-256 {}",
            origin.as_deref().unwrap_or("of unknown origin"),
            sha256.get(..16).unwrap_or(sha256)
        ),
    }
}

/// Where the weights are that an experiment calls `named`: `folder`, where one is given, in place
/// of its own folder; and the publisher's file name where the experiment's is not there.
pub fn resolve(named: &Path, folder: Option<&Path>) -> PathBuf {
    let here = match (folder, named.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => named.to_owned(),
    };
    if here.exists() {
        return here;
    }
    let others = published::by_name(&here).map_or(&[][..], |known| known.files);
    let other = others.iter().map(|file| here.with_file_name(file.file)).find(|p| p.exists());
    other.unwrap_or(here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_publishers_name_does_where_the_experiments_is_not_there() {
        let dir = tempfile::tempdir().expect("temp dir");
        let named = Path::new("weights/resnet50.pth");
        assert_eq!(resolve(named, Some(dir.path())), dir.path().join("resnet50.pth"));
        assert_eq!(resolve(named, None), named);
        std::fs::write(dir.path().join("resnet50-19c8e357.pth"), b"x").expect("writes");
        assert_eq!(resolve(named, Some(dir.path())), dir.path().join("resnet50-19c8e357.pth"));
        std::fs::write(dir.path().join("resnet50.pth"), b"x").expect("writes");
        assert_eq!(resolve(named, Some(dir.path())), dir.path().join("resnet50.pth"));
        assert_eq!(resolve(Path::new("own.pth"), Some(dir.path())), dir.path().join("own.pth"));
    }
}
