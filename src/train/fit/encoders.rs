//! Stage 1: every encoder under a head of its own, or taken from another run of the grid.
use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};
use serde_json::{json, Value};
use tch::Tensor;

use super::{
    super::{
        checkpoint::Position,
        config::{LossKind, TrainConfig},
        loss::Loss,
        network::{Head, Network, Stage},
        optimizer::{Optimizer, Rule},
        shared,
    },
    now, Run,
};
use crate::{
    model::Branch,
    runs::{EpochRow, LAST},
};

impl Run<'_> {
    /// Trains every encoder that has not been trained, sharing where the plan says so. What
    /// another process is training comes last, and is waited for.
    pub(super) fn stage_one(&mut self) -> Result<()> {
        let mut waiting: Vec<Branch> =
            self.encoders.keys().copied().filter(|b| !self.is_done(*b)).collect();
        // The one that was begun goes first; the sort keeps the others' order.
        waiting.sort_by_key(|branch| branch.name() != self.position.stage);
        while !waiting.is_empty() {
            let before = waiting.len();
            let mut left = Vec::new();
            for branch in waiting {
                if !self.try_encoder(branch)? {
                    left.push(branch);
                }
            }
            if left.len() == before {
                self.check_stop()?;
                std::thread::sleep(Duration::from_millis(100));
            }
            waiting = left;
        }
        Ok(())
    }

    pub(super) fn is_done(&self, branch: Branch) -> bool {
        self.epochs_of(branch) == 0
            || self.position.encoders_done.iter().any(|name| name == branch.name())
    }

    pub(super) fn epochs_of(&self, branch: Branch) -> u32 {
        let frozen = self.trainable(&self.encoders[&branch]).is_empty();
        match branch {
            _ if frozen => 0,
            Branch::Face => self.plan.train.stage1_epochs.face,
            Branch::Context => self.plan.train.stage1_epochs.context,
        }
    }

    /// Trains an encoder or takes it from the shared folder; false when another process has it.
    fn try_encoder(&mut self, branch: Branch) -> Result<bool> {
        let Some(folder) = &self.plan.stage1_cache else {
            self.train_encoder(branch)?;
            return Ok(true);
        };
        let start = Network::build(&self.plan.model, self.device, self.plan.train.seed)?;
        start.start_from(&self.plan.model)?;
        let fresh = start.tensors();
        let names = &self.encoders[&branch];
        let fresh = fresh.into_iter().filter(|(name, _)| names.contains(name)).collect();
        let place = shared::EncoderPlace::of(folder, &self.cause(branch), &fresh)?;
        if let Some(encoder) = place.load()? {
            self.adopt(branch, encoder)?;
            return Ok(true);
        }
        let Some(_claim) = place.claim()? else { return Ok(false) };
        if let Some(encoder) = place.load()? {
            self.adopt(branch, encoder)?;
            return Ok(true);
        }
        self.train_encoder(branch)?;
        let rows: Vec<EpochRow> =
            self.rows.iter().filter(|row| row.stage == branch.name()).cloned().collect();
        place.store(&self.encoder_tensors(branch), &rows)?;
        Ok(true)
    }

    /// Everything that an encoder's stage 1 depends on, beside its fresh weights.
    fn cause(&self, branch: Branch) -> Value {
        let mut train = json!(self.plan.train);
        let mut model = json!(self.plan.model);
        let drop_keys = |tree: &mut Value, keys: &[&str]| {
            let table = tree.as_object_mut().expect("a section is a table");
            table.retain(|key, _| !keys.contains(&key.as_str()));
        };
        let joint = [
            "epochs",
            "encoder_lr_scale",
            "dropout",
            "early_stop",
            "graphs",
            "weight_average",
            "selection",
            "stage1_epochs",
            "loss",
            "teacher",
        ];
        drop_keys(&mut train, &joint);
        drop_keys(&mut model, &["attention", "fusion", "branches", "cls_hidden", "dropout"]);
        let device = self.machine.kind();
        json!([
            branch.name(),
            self.epochs_of(branch),
            train,
            model,
            self.record.pack_digest,
            device
        ])
    }

    fn adopt(&mut self, branch: Branch, (tensors, rows): shared::Encoder) -> Result<()> {
        self.network.load(&tensors)?;
        self.rows.retain(|row| row.stage != branch.name());
        if let Some(events) = &self.events {
            rows.iter().try_for_each(|row| events.add(row, now()))?;
        }
        self.rows.extend(rows);
        self.found = None;
        self.progress.advance(u64::from(self.epochs_of(branch)) * self.train.len() as u64);
        self.note(&format!("{} encoder taken from the shared folder", branch.name()));
        self.encoder_done(branch)
    }

    fn encoder_tensors(&self, branch: Branch) -> BTreeMap<String, Tensor> {
        let names = &self.encoders[&branch];
        self.network.tensors().into_iter().filter(|(name, _)| names.contains(name)).collect()
    }

    fn encoder_done(&mut self, branch: Branch) -> Result<()> {
        let mut done = std::mem::take(&mut self.position.encoders_done);
        done.push(branch.name().to_owned());
        done.sort();
        self.position = Position { encoders_done: done, ..Position::default() };
        self.folder.write_epochs(&self.rows)?;
        self.save(LAST, None)
    }

    fn train_encoder(&mut self, branch: Branch) -> Result<()> {
        let width =
            self.network.model().branch_width(branch).context("the encoder has no width")?;
        let head = Head::new(width, self.device, self.plan.train.seed, branch)?;
        let mut members = self.trainable(&self.encoders[&branch]);
        members.extend(head.tensors());
        // Averages of the weights belong to the joint stage.
        let rule = Rule { average: 0.0, ..Rule::from(&self.plan.train) };
        let optimizer = Optimizer::new(rule, vec![(1.0, members)])?;
        let plain = TrainConfig { loss: LossKind::CrossEntropy, ..self.plan.train.clone() };
        let loss = Loss::new(&plain, &self.train.class_counts(), None, self.device)?;
        let epochs = self.epochs_of(branch);
        let work = self.work(Stage::Encoder(branch, head), optimizer, loss, epochs)?;
        self.run_stage(work)?;
        self.encoder_done(branch)
    }
}
