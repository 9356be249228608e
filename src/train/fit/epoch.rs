//! Epochs and steps: what is computed, counted, selected and written.
use std::time::Instant;

use anyhow::{anyhow, ensure, Result};
use tch::{Device, Kind, Tensor};

use super::{
    super::{
        checkpoint::Best,
        config::Selection,
        evaluate::{Answers, Views},
        network::{self, Stage},
        recording::Counts,
    },
    now, Run, StageRun,
};
use crate::{
    runs::{EpochRow, BEST, LAST},
    seed::Draws,
};

/// Mean fusion weight below which a branch counts as ignored.
const COLLAPSED: f64 = 0.02;
/// Steps between two looks at the losses on CUDA, where every look waits for the device.
const LOOK_EVERY: usize = 32;

/// What LibTorch and CUDA's libraries say where memory ran out; cuDNN, whose kernels want room beside
/// the tensors, says no more than that it finds none to use.
const MEMORY_WORDS: [&str; 5] = [
    "out of memory",
    "can't allocate memory",
    "bad_alloc",
    "STATUS_ALLOC_FAILED",
    "unable to find an engine to execute",
];

/// What a step leaves to be counted.
pub(super) struct Step {
    counts: Counts,
    samples: usize,
}

impl Run<'_> {
    pub(super) fn epoch(&mut self, work: &mut StageRun) -> Result<()> {
        let started = Instant::now();
        let train = &self.plan.train;
        let occasion = format!("{} {}", work.stepper.stage.name(), self.position.epoch);
        let batches = batches(self.train.len(), train.batch_size as usize, train.seed, &occasion);
        let (seed, mut pending) = (train.seed, Vec::new());
        let (mut rate, mut trained) = (0.0, 0);
        let look_every = if self.device == Device::Cpu { 1 } else { LOOK_EVERY };
        for at in self.position.step as usize..batches.len() {
            let rows = &batches[at];
            self.check_stop_with(work, &mut pending)?;
            rate = self.rate(work, batches.len());
            let step = self.step(work, rows, rate, &occasion);
            pending.push(step.map_err(|error| self.explain_memory(work, rows, error))?);
            if let Some(reason) = work.stepper.given_up() {
                self.note(&format!("steps are launched one by one, not recorded: {reason}"));
            }
            if let Some(next) = batches.get(at + 1) {
                self.train.prepare(next, &self.plan.train.augment, seed, &occasion);
            }
            self.position.step += 1;
            trained += rows.len();
            if pending.len() >= look_every {
                self.flush_losses(&mut pending)?;
            }
            self.progress.advance(rows.len() as u64);
        }
        self.flush_losses(&mut pending)?;
        let seconds = started.elapsed().as_secs_f64();
        self.end_epoch(work, rate, trained as f64 / seconds.max(1e-9), started)
    }

    /// One step: batch, forward, backward, update. Returns the batch's loss and number of correct
    /// answers, still on the device, and its size.
    fn step(&self, work: &mut StageRun, rows: &[usize], rate: f64, occasion: &str) -> Result<Step> {
        let train = &self.plan.train;
        network::seed_generator(
            train.seed,
            "dropout",
            &format!("{occasion} {}", self.position.step),
        );
        let batch = self.train.augmented(rows, &train.augment, train.seed, occasion)?;
        let counts = work.stepper.step(&self.network, &batch, rate)?;
        Ok(Step { counts, samples: rows.len() })
    }

    /// Whether a step of these rows fits into memory; it is not finished.
    fn is_possible(&self, work: &StageRun, rows: &[usize]) -> Result<()> {
        let train = &self.plan.train;
        let batch = self.train.augmented(rows, &train.augment, train.seed, "trial")?;
        work.stepper.passes(&self.network, &batch).map(drop)
    }

    /// Where memory ran out, finds the batch that fits by trying halves of this one; the run is
    /// over by then, so that what the trials change does not matter.
    fn explain_memory(
        &self,
        work: &mut StageRun,
        rows: &[usize],
        error: anyhow::Error,
    ) -> anyhow::Error {
        let is_memory = |error: &anyhow::Error| {
            let text = format!("{error:#}");
            MEMORY_WORDS.iter().any(|word| text.contains(word))
        };
        if !is_memory(&error) {
            return error;
        }
        work.stepper.forget_recording();
        let advice = largest_fitting_batch(rows.len(), |&size| {
            let cleared = work.stepper.clear();
            // LibTorch's compiled kernels need pages of their own.
            crate::allocator::return_memory();
            cleared.and_then(|()| self.is_possible(work, &rows[..size])).is_ok()
        });
        let given = self.plan.train.batch_size;
        // LibTorch's own words go on with the stack.
        let text = format!("{error:#}");
        let cause = text.split(" frame #").next().unwrap_or_default().trim_end();
        anyhow!("memory ran out at train.batch_size = {given}; {advice}: {cause}")
    }

    /// The learning rate of the next step.
    fn rate(&self, work: &StageRun, steps_per_epoch: usize) -> f64 {
        let train = &self.plan.train;
        let step =
            f64::from(self.position.epoch) * steps_per_epoch as f64 + f64::from(self.position.step);
        let done = step / (f64::from(work.epochs) * steps_per_epoch as f64);
        let warm = ((step + 1.0) / f64::from(train.warmup.max(1))).min(1.0);
        warm * train.schedule.rate(train.learning_rate, self.position.epoch, done)
    }

    /// Adds the pending steps to the epoch's sums.
    pub(super) fn flush_losses(&mut self, pending: &mut Vec<Step>) -> Result<()> {
        if pending.is_empty() {
            return Ok(());
        }
        let first = self.position.step as usize - pending.len();
        // One copy for all: every copy waits for the device.
        let all = |get: fn(&Step) -> &Tensor| {
            Tensor::f_stack(&pending.iter().map(get).collect::<Vec<_>>(), 0)
        };
        let losses = all(|step| &step.counts.loss)?.f_to_kind(Kind::Double)?;
        let losses = Vec::<f64>::try_from(losses)?;
        let correct = Vec::<i64>::try_from(all(|step| &step.counts.correct)?)?;
        for (i, step) in pending.drain(..).enumerate() {
            let loss = losses[i];
            ensure!(
                loss.is_finite(),
                "the loss is {loss} in {} epoch {}, step {}; the last good checkpoint is kept; lower train.learning_rate or set train.clip_grad",
                self.position.stage,
                self.position.epoch + 1,
                first + i + 1
            );
            self.position.loss_sum += loss * step.samples as f64;
            self.position.correct += correct[i] as u64;
            self.position.seen += step.samples as u64;
        }
        Ok(())
    }

    fn end_epoch(
        &mut self,
        work: &StageRun,
        rate: f64,
        images_per_s: f64,
        started: Instant,
    ) -> Result<()> {
        // Where averages of the weights are kept, they are what is validated and selected.
        work.stepper.optimizer.exchange_averages()?;
        let views = Views::of(self.plan.train.flip_at_test);
        let stage = &work.stepper.stage;
        let answers = self.val.as_ref().map(|val| Answers::of(&self.network, stage, val, views));
        let answers = answers.transpose()?;
        let fusion = answers.as_ref().and_then(Answers::mean_fusion);
        let position = &mut self.position;
        let seen = position.seen as f64;
        let row = EpochRow {
            stage: position.stage.clone(),
            epoch: position.epoch + 1,
            train_loss: position.loss_sum / seen,
            train_accuracy: position.correct as f64 / seen,
            val_loss: answers.as_ref().map(Answers::loss),
            val_accuracy: answers.as_ref().map(Answers::accuracy),
            learning_rate: rate,
            images_per_s,
            seconds: started.elapsed().as_secs_f64(),
            w_face: fusion.map(|w| w[0]),
            w_context: fusion.map(|w| w[1]),
        };
        (position.epoch, position.step, position.seen) = (row.epoch, 0, 0);
        (position.loss_sum, position.correct, position.optimizer_steps) =
            (0.0, 0, work.stepper.optimizer.steps());
        let (device, label) = (self.machine.short(), self.plan.label.as_str());
        self.progress.note(&fitted(&device, label, &line(&row, work.epochs)));
        for warning in collapses(std::slice::from_ref(&row)) {
            self.note(&format!("warning: {warning}"));
        }
        if let Some(events) = &self.events {
            events.add(&row, now())?;
        }
        self.rows.push(row.clone());
        if matches!(work.stepper.stage, Stage::Joint) {
            self.select(&row, work)?;
        }
        work.stepper.optimizer.exchange_averages()?;
        // In this order: rows ahead of the checkpoint are dropped when a killed run goes on.
        self.folder.write_epochs(&self.rows)?;
        self.save(LAST, Some(work))?;
        self.write_record()
    }

    /// Keeps the epoch when it is the best on validation so far, or the last where that is asked for.
    fn select(&mut self, row: &EpochRow, work: &StageRun) -> Result<()> {
        let [val_accuracy, val_loss] =
            [row.val_accuracy, row.val_loss].map(|figure| figure.unwrap_or(f64::NAN));
        let beats = |best: Best| best.is_beaten_by(val_accuracy, val_loss);
        let is_kept = match self.plan.train.selection {
            Selection::Validation => self.position.best.is_none_or(beats),
            Selection::Last => row.epoch == work.epochs,
        };
        if !is_kept {
            return Ok(());
        }
        let epoch = row.epoch;
        self.position.best = Some(Best { epoch, val_accuracy, val_loss });
        // Weights alone: nothing goes on from here, and what does stands in the newest checkpoint.
        self.save(BEST, None)
    }
}

/// The epoch's order cut into batches. A rest of one sample is left out: batch normalisation has
/// no variance of one.
fn batches(n: usize, size: usize, seed: u64, occasion: &str) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..n).collect();
    Draws::new(seed, "order", occasion).shuffle(&mut order);
    order.chunks(size).filter(|rows| rows.len() > 1).map(<[usize]>::to_vec).collect()
}

/// Advice after a batch of `rows` did not fit: the largest of its halves that does.
pub(super) fn largest_fitting_batch(rows: usize, fits: impl FnMut(&usize) -> bool) -> String {
    let halves = std::iter::successors(Some(rows / 2), |size| Some(size / 2));
    match halves.take_while(|&size| size >= 2).find(fits) {
        Some(size) => format!("{size} fits"),
        None => "not even 2 fit; choose a smaller model.widths or another model".to_owned(),
    }
}

/// One warning per branch whose mean fusion weight fell to nothing, naming the latest such epoch.
pub(super) fn collapses(rows: &[EpochRow]) -> Vec<String> {
    let of = |branch: &str, weight: fn(&EpochRow) -> Option<f64>| {
        let row = rows.iter().rfind(|row| weight(row).is_some_and(|w| w < COLLAPSED))?;
        let (weight, epoch) = (weight(row)?, row.epoch);
        Some(format!("the fusion ignores the {branch}: mean weight {weight:.3} in epoch {epoch}"))
    };
    [of("face", |row| row.w_face), of("context", |row| row.w_context)]
        .into_iter()
        .flatten()
        .collect()
}

/// Columns of a terminal.
const COLUMNS: usize = 80;

/// A line that begins with the device and the run's name, of which as much is left out as does not
/// fit a terminal.
fn fitted(device: &str, label: &str, line: &str) -> String {
    let taken = device.len() + " : ".len() + line.chars().count();
    let room = COLUMNS.saturating_sub(taken).max(1);
    let label = match label.chars().count() <= room {
        true => label.to_owned(),
        false => label.chars().take(room - 1).chain(['…']).collect(),
    };
    format!("{device} {label}: {line}")
}

/// An epoch with samples per second; the weight is the face's share of the fusion.
fn line(row: &EpochRow, epochs: u32) -> String {
    let face = row.w_face.map_or_else(String::new, |face| format!(" face {face:.2}"));
    let val = match (row.val_loss, row.val_accuracy) {
        (Some(loss), Some(accuracy)) => format!(" val {loss:.3} {:.1}%", 100.0 * accuracy),
        _ => String::new(),
    };
    format!(
        "{} {}/{epochs} train {:.3} {:.1}%{val}{face} {:.0}/s",
        row.stage,
        row.epoch,
        row.train_loss,
        100.0 * row.train_accuracy,
        row.images_per_s
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_fits_a_line_of_a_terminal() {
        let row = EpochRow {
            stage: "context".into(),
            epoch: 100,
            train_loss: 1.9459,
            train_accuracy: 1.0,
            val_loss: Some(12.3456),
            val_accuracy: Some(1.0),
            learning_rate: 0.1,
            images_per_s: 12_345.0,
            seconds: 1.0,
            w_face: Some(0.5),
            w_context: Some(0.5),
        };
        let text = line(&row, 100);
        assert_eq!(text, "context 100/100 train 1.946 100.0% val 12.346 100.0% face 0.50 12345/s");
        let row = EpochRow { stage: "joint".into(), epoch: 36, images_per_s: 1064.0, ..row };
        let text = fitted("cpu", "GLAMOR-Net (gla), 3 % of the data", &line(&row, 36));
        assert_eq!(
            text,
            "cpu GLAMOR-N…: joint 36/36 train 1.946 100.0% val 12.346 100.0% face 0.50 1064/s"
        );
        assert_eq!(text.chars().count(), 80);
        let text = fitted("cuda:0", "GLA", &line(&row, 36));
        assert!(text.starts_with("cuda:0 GLA: joint 36/36 train "), "{text}");
    }

    #[test]
    fn a_branch_that_is_ignored_is_named_once_with_its_latest_epoch() {
        let row = |epoch, w_face: Option<f64>| EpochRow {
            stage: "joint".into(),
            epoch,
            train_loss: 1.0,
            train_accuracy: 0.5,
            val_loss: Some(1.0),
            val_accuracy: Some(0.5),
            learning_rate: 0.1,
            images_per_s: 1.0,
            seconds: 1.0,
            w_face,
            w_context: w_face.map(|w| 1.0 - w),
        };
        assert!(collapses(&[row(1, None), row(2, Some(0.5))]).is_empty());
        let told = collapses(&[row(1, Some(0.001)), row(2, Some(0.015)), row(3, Some(0.5))]);
        assert_eq!(told, ["the fusion ignores the face: mean weight 0.015 in epoch 2"]);
        assert!(collapses(&[row(1, Some(0.99))])[0].contains("ignores the context"));
    }

    #[test]
    fn a_batch_that_does_not_fit_is_told_with_the_half_that_does() {
        let mut tried = Vec::new();
        let advice = largest_fitting_batch(64, |&size| {
            tried.push(size);
            size <= 16
        });
        assert_eq!((advice.as_str(), tried), ("16 fits", vec![32, 16]));
        assert!(largest_fitting_batch(64, |_| false).starts_with("not even 2 fit"));
        assert!(largest_fitting_batch(3, |_| true).starts_with("not even 2 fit"));
    }

    #[test]
    fn every_sample_once_and_no_batch_of_one() {
        for (n, size) in [(10, 4), (9, 4), (2, 4), (8, 4)] {
            let all = batches(n, size, 1, "joint 0");
            assert!(all.iter().all(|rows| (2..=size).contains(&rows.len())));
            let mut seen: Vec<usize> = all.concat();
            let left_out = usize::from(n % size == 1);
            assert_eq!(seen.len(), n - left_out);
            seen.sort();
            seen.dedup();
            assert_eq!(seen.len(), n - left_out);
        }
        assert_ne!(batches(50, 8, 1, "joint 0"), batches(50, 8, 1, "joint 1"));
        assert_eq!(batches(50, 8, 1, "joint 0"), batches(50, 8, 1, "joint 0"));
    }
}
