//! The selected checkpoint's answers on a split.
use std::{path::Path, sync::Arc};

use anyhow::{ensure, Context, Result};
use tch::{Device, Tensor};

use super::{
    batch::Pictures,
    checkpoint::{write_tensors, Checkpoint},
    evaluate::{first_maximum, Answers},
    network::{Network, Stage},
};
use crate::{
    model::ModelConfig,
    pack::{self, Pack},
    record::{Prediction, Split},
    runs::{RunFolder, RunRecord, BEST},
};

/// Computes with as many threads per operation as the run did: their number decides the last bits
/// of a sum, and predictions should not depend on the machine that makes them.
pub fn use_threads_of(record: &RunRecord) {
    if record.threads > 0 {
        tch::set_num_threads(record.threads as i32);
    }
}

/// Builds the network of a run's selected checkpoint.
///
/// # Errors
/// When there is none, it is damaged, or it is not this run's.
pub fn selected(run: &RunFolder, device: Device) -> Result<(Network, ModelConfig)> {
    let record = run.record()?;
    let path = run.file(BEST);
    ensure!(
        path.exists(),
        "{} has no {BEST}; train it to the end of its first joint epoch",
        run.path().display()
    );
    let checkpoint = Checkpoint::read(&path)?;
    let config: ModelConfig = serde_json::from_value(checkpoint.model)
        .with_context(|| format!("{} names no known model", path.display()))?;
    ensure!(
        checkpoint.run_id == record.run_id,
        "{} is a checkpoint of another run ({}, {}), not of {} ({})",
        path.display(),
        config.name,
        checkpoint.run_id,
        record.model,
        record.run_id
    );
    let network = Network::build(&config, device, 0)?;
    let lacking: Vec<String> = network
        .tensors()
        .into_keys()
        .filter(|name| !checkpoint.weights.contains_key(name))
        .collect();
    ensure!(lacking.is_empty(), "{} lacks {}", path.display(), lacking.join(", "));
    network.load(&checkpoint.weights).with_context(|| path.display().to_string())?;
    Ok((network, config))
}

/// Answers for every sample of a split of the pack in `folder`, rows in sample_id order, and the attention maps
/// `[N, H, W]` in the same order where the model has attention.
///
/// # Errors
/// As [`selected`], and when the pack does not fit the model.
pub fn predict(
    run: &RunFolder,
    folder: &Path,
    split: Split,
    device: Device,
) -> Result<(Vec<Prediction>, Option<Tensor>)> {
    let (network, config) = selected(run, device)?;
    let slots = network.model().slots();
    let path = pack::path_of(folder, split);
    let pack = Arc::new(Pack::open(&path)?);
    let pictures = Pictures::of(Arc::clone(&pack), &config, &slots, device, false)
        .with_context(|| path.display().to_string())?;
    let answers = Answers::of(&network, &Stage::Joint, &pictures)?;
    let mut order: Vec<usize> = (0..pack.len()).collect();
    order.sort_by(|&a, &b| pack.sample_ids()[a].cmp(&pack.sample_ids()[b]));
    let rows = order.iter().map(|&i| {
        let fusion = answers.fusion.get(i);
        Prediction {
            sample_id: pack.sample_ids()[i].clone(),
            clip_id: pack.clip_ids()[i].clone(),
            group_id: pack.group_ids()[i].clone(),
            target: pack.labels()[i],
            predicted: first_maximum(&answers.logits[i]),
            logits: answers.logits[i],
            w_face: fusion.map(|w| w[0]),
            w_context: fusion.map(|w| w[1]),
        }
    });
    let attention = match answers.attention.is_empty() {
        true => None,
        false => {
            let index: Vec<i64> = order.iter().map(|&i| i as i64).collect();
            let maps = Tensor::f_cat(&answers.attention, 0)?;
            Some(maps.f_index_select(0, &Tensor::f_from_slice(&index)?)?)
        }
    };
    Ok((rows.collect(), attention))
}

/// Writes attention maps as the tensor `attention`, rows as in the prediction file.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_attention(run: &RunFolder, split: Split, maps: &Tensor) -> Result<()> {
    let named = [("attention".to_owned(), maps)];
    write_tensors(&run.attention_path(split), named.into_iter(), "{}")
}
