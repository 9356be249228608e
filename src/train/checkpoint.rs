//! Checkpoints: weights, position and configuration in one safetensors file, and in the newest, from
//! which a run goes on, the optimizer.
//!
//! No clock, path or thread count goes in, so that the same run gives the same bytes however often
//! it was interrupted. Everything random is a function of seed and position, which is why there is
//! no generator's state.
use std::{
    collections::{BTreeMap, HashMap},
    io::Write,
    path::Path,
};

use anyhow::{ensure, Context, Result};
use safetensors::{tensor::TensorView, Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tch::{Kind, Tensor};

use crate::atomic;

/// Version of the layout.
const LAYOUT: u32 = 1;
/// The one metadata key: with a single key the file's bytes are the same every time.
const KEY: &str = "ncaers.checkpoint";
/// Before the names of the optimizer's tensors; the network's stand without prefix, so that the
/// file is a weight file too.
const OPTIMIZER: &str = "optimizer.";
/// Before the names of the stage-1 head's tensors.
const HEAD: &str = "stage1_head.";

/// Where a run stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// The stage: `face`, `context` or `joint`; empty before the first.
    pub stage: String,
    /// Epochs of the stage that are complete.
    pub epoch: u32,
    /// Steps of the epoch that are complete.
    pub step: u32,
    /// Steps of the optimizer, that is of the stage.
    pub optimizer_steps: u64,
    /// Sum of the losses of the epoch's samples so far.
    #[serde(with = "exact")]
    pub loss_sum: f64,
    /// Samples of the epoch so far that were answered correctly.
    pub correct: u64,
    /// Samples of the epoch so far.
    pub seen: u64,
    /// Encoders whose stage 1 is complete, in name order.
    pub encoders_done: Vec<String>,
    /// The selected joint epoch so far.
    pub best: Option<Best>,
}

/// The best joint epoch so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// The epoch, from 1.
    pub epoch: u32,
    /// Its accuracy on validation; not a number without a validation part.
    #[serde(with = "exact")]
    pub val_accuracy: f64,
    /// Its loss on validation; not a number without a validation part.
    #[serde(with = "exact")]
    pub val_loss: f64,
}

/// f64 as text: the JSON reader may miss a number by its last bit, which a resumed run would then
/// write again.
mod exact {
    use serde::{de::Error, Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

impl Best {
    /// Whether an epoch with these figures is better: higher accuracy, or the same and a lower
    /// loss. An equal later epoch is not.
    pub fn is_beaten_by(&self, val_accuracy: f64, val_loss: f64) -> bool {
        val_accuracy > self.val_accuracy
            || (val_accuracy == self.val_accuracy && val_loss < self.val_loss)
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    layout: u32,
    run_id: String,
    model: Value,
    config: Value,
    position: Position,
}

/// The content of a checkpoint file.
#[derive(Debug)]
pub struct Checkpoint {
    /// Digest of configuration, pack and seed.
    pub run_id: String,
    /// The `[model]` section, from which the network is built again.
    pub model: Value,
    /// The resolved configuration with digests instead of paths.
    pub config: Value,
    /// Where the run stands.
    pub position: Position,
    /// The network's tensors by name.
    pub weights: BTreeMap<String, Tensor>,
    /// The stage-1 head, by name; empty in the joint stage.
    pub head: BTreeMap<String, Tensor>,
    /// The optimizer's tensors by name; none in the selected checkpoint (older programs wrote them
    /// there too, and they are passed over).
    pub optimizer: BTreeMap<String, Tensor>,
}

impl Checkpoint {
    /// Writes the file atomically.
    ///
    /// # Errors
    /// When the folder cannot be written, such as on a full disk; the old file stays then.
    pub fn write(&self, path: &Path) -> Result<()> {
        let header = Header {
            layout: LAYOUT,
            run_id: self.run_id.clone(),
            model: self.model.clone(),
            config: self.config.clone(),
            position: self.position.clone(),
        };
        let parts = [("", &self.weights), (HEAD, &self.head), (OPTIMIZER, &self.optimizer)];
        let named = parts.into_iter().flat_map(|(part, tensors)| {
            tensors.iter().map(move |(name, tensor)| (format!("{part}{name}"), tensor))
        });
        write_tensors(path, named, &serde_json::to_string(&header)?)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it is missing, damaged or not a checkpoint of this program.
    pub fn read(path: &Path) -> Result<Self> {
        let (tensors, header) = read_tensors(path)?;
        let header: Header = serde_json::from_str(&header)
            .with_context(|| format!("{} is not a checkpoint of ncaers", path.display()))?;
        ensure!(
            header.layout == LAYOUT,
            "{} has checkpoint layout {}, this program reads {LAYOUT}",
            path.display(),
            header.layout
        );
        let (mut weights, mut head, mut optimizer) =
            <(BTreeMap<_, _>, BTreeMap<_, _>, BTreeMap<_, _>)>::default();
        for (name, tensor) in tensors {
            if let Some(name) = name.strip_prefix(OPTIMIZER) {
                optimizer.insert(name.to_owned(), tensor);
            } else if let Some(name) = name.strip_prefix(HEAD) {
                head.insert(name.to_owned(), tensor);
            } else {
                weights.insert(name, tensor);
            }
        }
        let Header { run_id, model, config, position, .. } = header;
        Ok(Checkpoint { run_id, model, config, position, weights, head, optimizer })
    }
}

/// Writes f32 tensors with a text beside them.
pub(crate) fn write_tensors<'a>(
    path: &Path,
    named: impl Iterator<Item = (String, &'a Tensor)>,
    text: &str,
) -> Result<()> {
    let mut stored = Vec::new();
    for (name, tensor) in named {
        let shape: Vec<usize> = tensor.size().iter().map(|&side| side as usize).collect();
        stored.push((name, shape, bytes_of(tensor)?));
    }
    let views = stored
        .iter()
        .map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>>>()?;
    let metadata = HashMap::from([(KEY.to_owned(), text.to_owned())]);
    let bytes = safetensors::serialize(views, Some(metadata))?;
    atomic::write_with(path, |file| Ok(file.write_all(&bytes)?))
}

fn bytes_of(tensor: &Tensor) -> Result<Vec<u8>> {
    let flat = tensor.f_detach()?.f_to_kind(Kind::Float)?.f_to_device(tch::Device::Cpu)?;
    let mut values = vec![0f32; tensor.numel()];
    flat.f_contiguous()?.f_view([-1])?.f_copy_data(&mut values, tensor.numel())?;
    Ok(values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

/// Reads what [`write_tensors`] wrote, tensors in name order.
pub(crate) fn read_tensors(path: &Path) -> Result<(Vec<(String, Tensor)>, String)> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let damaged = || format!("{} is damaged or not a safetensors file", path.display());
    let (_, metadata) = SafeTensors::read_metadata(&bytes).with_context(damaged)?;
    let text = metadata.metadata().as_ref().and_then(|meta| meta.get(KEY)).cloned();
    let text = text.with_context(|| format!("{} is not a checkpoint of ncaers", path.display()))?;
    let views = SafeTensors::deserialize(&bytes).with_context(damaged)?;
    let mut tensors = Vec::new();
    for (name, view) in views.tensors() {
        ensure!(view.dtype() == Dtype::F32, "tensor `{name}` of {} is not f32", path.display());
        let shape: Vec<i64> = view.shape().iter().map(|&side| side as i64).collect();
        let tensor = Tensor::f_from_data_size(view.data(), &shape, Kind::Float)?;
        tensors.push((name, tensor));
    }
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    Ok((tensors, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn checkpoint() -> Checkpoint {
        let named = |name: &str, values: &[f32]| {
            BTreeMap::from([(name.to_owned(), Tensor::from_slice(values))])
        };
        Checkpoint {
            run_id: "abc".into(),
            model: json!({"name": "glamor"}),
            config: json!({"train": {"seed": 1}}),
            position: Position {
                stage: "joint".into(),
                epoch: 2,
                loss_sum: 0.1 + 0.2,
                ..Position::default()
            },
            weights: named("a.weight", &[1.0, f32::MIN_POSITIVE, -0.0]),
            head: BTreeMap::new(),
            optimizer: named("a.weight.momentum", &[3.0]),
        }
    }

    #[test]
    fn checkpoints_come_back_and_repeat_their_bytes() {
        let dir = tempfile::tempdir().expect("temp dir");
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        checkpoint().write(&a).expect("write");
        let back = Checkpoint::read(&a).expect("read");
        assert_eq!(back.position, checkpoint().position);
        assert_eq!(back.weights["a.weight"], checkpoint().weights["a.weight"]);
        back.write(&b).expect("write");
        assert_eq!(std::fs::read(a).expect("a"), std::fs::read(b).expect("b"));
    }

    #[test]
    fn every_bit_of_a_position_comes_back() {
        let mut draws = crate::seed::Draws::new(1, "test", "");
        for _ in 0..500 {
            let mut value = || draws.between(0.0, 3.0);
            let best = Some(Best { epoch: 1, val_accuracy: value(), val_loss: value() });
            let position = Position { loss_sum: value(), best, ..Position::default() };
            let text = serde_json::to_string(&position).expect("text");
            assert_eq!(serde_json::from_str::<Position>(&text).expect("reads"), position);
        }
    }

    #[test]
    fn channels_last_tensors_are_stored_in_order() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("t");
        let plain = Tensor::arange(24, (Kind::Float, tch::Device::Cpu)).view([2, 3, 2, 2]);
        let turned = plain.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
        write_tensors(&path, [("x".to_owned(), &turned)].into_iter(), "{}").expect("write");
        assert_eq!(read_tensors(&path).expect("read").0[0].1, plain);
    }

    #[test]
    fn damage_and_foreign_files_are_told_apart() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("c.safetensors");
        let refusal = || format!("{:#}", Checkpoint::read(&path).expect_err("refused"));
        assert!(refusal().contains("cannot read"));
        std::fs::write(&path, b"nonsense").expect("write");
        assert!(refusal().contains("damaged or not a safetensors"));
        checkpoint().write(&path).expect("write");
        let bytes = std::fs::read(&path).expect("read");
        std::fs::write(&path, &bytes[..bytes.len() - 1]).expect("write");
        assert!(refusal().contains("damaged"));
        let none: Vec<(&str, TensorView)> = Vec::new();
        std::fs::write(&path, safetensors::serialize(none, None).expect("bytes")).expect("write");
        assert!(refusal().contains("not a checkpoint of ncaers"));
    }

    #[test]
    fn the_earliest_of_equal_epochs_is_kept() {
        let best = Best { epoch: 3, val_accuracy: 0.5, val_loss: 1.0 };
        assert!(best.is_beaten_by(0.51, 9.0));
        assert!(best.is_beaten_by(0.5, 0.9));
        assert!(!best.is_beaten_by(0.5, 1.0));
        assert!(!best.is_beaten_by(0.49, 0.1));
    }
}
