//! Weight files: read without executing anything, compared name by name with a network, and
//! loaded all or not at all.
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use safetensors::{tensor::TensorView, Dtype};
use tch::{nn::VarStore, Kind, Tensor};

use crate::{
    atomic,
    model::{entry, ModelName, Weights},
};

mod convert;
mod error;
mod file;
mod names;
mod pickle;
mod state_dicts;

pub use convert::{convert, forward, ConvertedWeights};
pub use error::{Error, Mismatch};
pub use file::{read, read_key, FileTensors};

/// What [`load`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Loaded {
    /// Tensors of the network that now hold the file's values.
    pub loaded: usize,
    /// Tensors of the network's head that keep their fresh values.
    pub fresh: Vec<String>,
    /// Tensors of the file that the network has no use for: batch counters, foreign heads,
    /// and the optimizer's part of a checkpoint of ours.
    pub ignored: Vec<String>,
    /// Where in the file the tensors lay, such as `state_dict`; empty for all of it.
    pub key: String,
    /// What was taken off the front of every name, such as `module.`.
    pub stripped: String,
    /// Whose names the file's tensors had, where they are not the network's own.
    pub dialect: Option<&'static str>,
}

impl Loaded {
    /// Which part of the file was taken and what its names lost, in words; empty for neither.
    pub fn summary(&self) -> String {
        let mut words = Vec::new();
        if !self.key.is_empty() {
            words.push(format!("`{}` of the file", self.key));
        }
        if !self.stripped.is_empty() {
            words.push(format!("names without `{}`", self.stripped));
        }
        words.join(", ")
    }
}

/// Heads of torchvision's networks, which a backbone inside another network lacks.
const BACKBONE_HEADS: [&str; 2] = ["fc", "classifier"];

/// Reads `wanted.path` into the tensors of `network` in `store`.
///
/// Nothing is changed unless everything fits: every name on both sides, every shape, every value
/// finite. With `wanted.new_head` the head may differ; then it keeps its fresh values.
///
/// # Errors
/// Every variant of [`Error`].
pub fn load(store: &VarStore, network: ModelName, wanted: &Weights) -> Result<Loaded, Error> {
    let path = Path::new(&wanted.path);
    let FileTensors { tensors, key, stripped } = read_key(path, wanted.key.as_deref())?;
    let dialect = names::dialect(network, &tensors);
    let mut theirs = names::ours(network, tensors);
    let mut ignored: Vec<String> = theirs.keys().filter(|name| is_aside(name)).cloned().collect();
    theirs.retain(|name, _| !is_aside(name));
    check_finite(path, &theirs)?;
    let head: &[&str] = if wanted.into.is_empty() { entry(network).head } else { &BACKBONE_HEADS };
    let mut copies = Vec::new();
    let mut mismatch = Mismatch { head_only: true, ..Mismatch::default() };
    let mut fresh = Vec::new();
    for part in parts(&wanted.into) {
        let ours = below(store, part);
        let found = Comparison { ours: &ours, theirs: &theirs, head, new_head: wanted.new_head };
        found.run(part, &mut copies, &mut mismatch, &mut fresh);
        ignored.extend(found.foreign_head());
    }
    if !mismatch.is_empty() {
        return Err(Error::Mismatch {
            path: path.to_owned(),
            network: network.to_string(),
            mismatch: Box::new(mismatch),
        });
    }
    ignored.sort();
    ignored.dedup();
    copy(path, &copies)?;
    Ok(Loaded { loaded: copies.len(), fresh, ignored, key, stripped, dialect })
}

/// Whether a tensor is no part of a network: PyTorch's batch counters, and what our own checkpoints
/// keep beside the weights.
fn is_aside(name: &str) -> bool {
    name.ends_with("num_batches_tracked")
        || name.starts_with("optimizer.")
        || name.starts_with("stage1_head.")
}

/// The prefixes that the file's names go below: the given ones, or none.
fn parts(into: &[String]) -> Vec<&str> {
    match into.is_empty() {
        true => vec![""],
        false => into.iter().map(String::as_str).collect(),
    }
}

/// The tensors of `store` below `part`, by their names there.
fn below(store: &VarStore, part: &str) -> BTreeMap<String, Tensor> {
    let prefix = if part.is_empty() { String::new() } else { format!("{part}.") };
    let own =
        |(name, tensor): (String, Tensor)| Some((name.strip_prefix(&prefix)?.to_owned(), tensor));
    store.variables().into_iter().filter_map(own).collect()
}

/// One part of a network beside a file.
struct Comparison<'a> {
    ours: &'a BTreeMap<String, Tensor>,
    theirs: &'a BTreeMap<String, Tensor>,
    head: &'a [&'a str],
    new_head: bool,
}

impl Comparison<'_> {
    fn in_head(&self, name: &str) -> bool {
        let layer = name.rsplit_once('.').map_or(name, |(layer, _)| layer);
        self.head.iter().any(|head| layer == *head || layer.starts_with(&format!("{head}.")))
    }

    /// Notes what to copy and everything that differs.
    fn run(
        &self,
        part: &str,
        copies: &mut Vec<(Tensor, Tensor)>,
        mismatch: &mut Mismatch,
        fresh: &mut Vec<String>,
    ) {
        let whole = |name: &str| {
            if part.is_empty() {
                name.to_owned()
            } else {
                format!("{part}.{name}")
            }
        };
        let mut differs = |name: &str| -> bool {
            mismatch.head_only &= self.in_head(name);
            !(self.new_head && self.in_head(name))
        };
        for (name, ours) in self.ours {
            match self.theirs.get(name) {
                Some(theirs) if theirs.size() == ours.size() => {
                    copies.push((ours.shallow_clone(), theirs.shallow_clone()));
                }
                Some(theirs) if differs(name) => {
                    mismatch.misshapen.push((whole(name), ours.size(), theirs.size()));
                }
                None if differs(name) => mismatch.missing.push((whole(name), ours.size())),
                _ => fresh.push(whole(name)),
            }
        }
        for (name, theirs) in self.theirs.iter().filter(|(name, _)| !self.ours.contains_key(*name))
        {
            if differs(name) {
                mismatch.unexpected.push((name.clone(), theirs.size()));
            }
        }
    }

    /// Tensors of the file's head that the network lacks.
    fn foreign_head(&self) -> Vec<String> {
        let foreign = |name: &&String| !self.ours.contains_key(*name) && self.in_head(name);
        self.theirs.keys().filter(foreign).cloned().collect()
    }
}

fn check_finite(path: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<(), Error> {
    for (name, tensor) in tensors {
        let count = tensor.isfinite().logical_not().sum(Kind::Int64).int64_value(&[]);
        if count > 0 {
            let (path, name, shape) = (path.to_owned(), name.clone(), tensor.size());
            return Err(Error::NotFinite { path, name, shape, count });
        }
    }
    Ok(())
}

fn copy(path: &Path, copies: &[(Tensor, Tensor)]) -> Result<(), Error> {
    for (ours, theirs) in copies {
        let mut ours = ours.shallow_clone();
        tch::no_grad(|| ours.f_copy_(theirs)).map_err(|error| Error::Torch {
            path: path.to_owned(),
            reason: file::first_line(&error.to_string()),
        })?;
    }
    Ok(())
}

/// Writes tensors as safetensors, atomically, in name order; `note` becomes the one entry `ncaers`
/// of the metadata. Tensors are written as contiguous f32.
///
/// # Errors
/// When the file cannot be written.
pub fn write(
    path: &Path,
    tensors: &BTreeMap<String, Tensor>,
    note: &serde_json::Value,
) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    for (name, tensor) in tensors {
        let shape: Vec<usize> = tensor.size().iter().map(|&side| side as usize).collect();
        let flat = tensor.detach().f_to_kind(Kind::Float)?.f_contiguous()?.f_view([-1])?;
        let values = Vec::<f32>::try_from(flat)?;
        let little: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        bytes.push((name.as_str(), shape, little));
    }
    let views = bytes
        .iter()
        .map(|(name, shape, bytes)| Ok((*name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    let note = HashMap::from([("ncaers".to_owned(), note.to_string())]);
    atomic::write(path, &safetensors::serialize(views, Some(note))?)
}

/// Every tensor of a store by name.
pub fn tensors_of(store: &VarStore) -> BTreeMap<String, Tensor> {
    store.variables().into_iter().collect()
}
