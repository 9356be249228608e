//! How long the rest of a grid takes, judged by the runs that are finished.
use std::{collections::BTreeMap, os::unix::ffi::OsStrExt, path::Path};

use crate::train::{OptimizerKind, TrainConfig};

/// Seconds of finished runs by label.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Forecast {
    known: BTreeMap<String, Vec<f64>>,
}

impl Forecast {
    /// Learns that a run of `label` took `seconds`.
    pub fn learn(&mut self, label: &str, seconds: f64) {
        self.known.entry(label.to_owned()).or_default().push(seconds);
    }

    /// Whether a run of `label` is finished.
    pub fn is_known(&self, label: &str) -> bool {
        self.known.contains_key(label)
    }

    /// Seconds of a run: the mean over runs of the same label (other seeds), else over the means
    /// of all labels; `None` when nothing is known.
    pub fn seconds(&self, label: &str) -> Option<f64> {
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        if let Some(known) = self.known.get(label) {
            return Some(mean(known));
        }
        let means: Vec<f64> = self.known.values().map(|v| mean(v)).collect();
        (!means.is_empty()).then(|| mean(&means))
    }

    /// Wall seconds of the runs with these labels, `jobs` at a time.
    pub fn rest<'a>(&self, labels: impl Iterator<Item = &'a str>, jobs: usize) -> Option<f64> {
        let seconds: Option<Vec<f64>> = labels.map(|label| self.seconds(label)).collect();
        let seconds = seconds?;
        let longest = seconds.iter().copied().fold(0.0, f64::max);
        // Not `sum`: that of nothing is -0.
        let total = seconds.iter().fold(0.0, |sum, s| sum + s);
        Some((total / jobs.max(1) as f64).max(longest))
    }
}

/// Epochs of both stages in units of a joint epoch: an encoder alone is about half of the network.
pub fn joint_epochs(train: &TrainConfig) -> f64 {
    let stage1 = train.stage1_epochs;
    f64::from(train.epochs) + f64::from(stage1.face + stage1.context) / 2.0
}

/// A duration as people say it: `40 s`, `12 min`, `3.5 h`.
pub fn format_duration(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// Bytes of a run's two checkpoints: weights and the optimizer's tensors in f32.
pub fn checkpoint_bytes(train: &TrainConfig, parameters: u64) -> u64 {
    let moments = match train.optimizer {
        OptimizerKind::Sgd => u64::from(train.momentum > 0.0),
        OptimizerKind::Adam | OptimizerKind::Adamw => 2 + u64::from(train.amsgrad),
    };
    2 * 4 * parameters * (1 + moments)
}

/// Bytes that are free where `path` will lie; `None` where the system does not tell.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let there = path.ancestors().find(|p| p.exists())?;
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    let name = std::ffi::CString::new(there.as_os_str().as_bytes()).ok()?;
    // SAFETY: the name is a C string, and the call fills the numbers that it is given.
    let found = unsafe {
        let mut found: libc::statvfs = std::mem::zeroed();
        (libc::statvfs(name.as_ptr(), &mut found) == 0).then_some(found)
    }?;
    Some(found.f_bavail as u64 * found.f_frsize as u64)
}

/// A size as people say it: `900 MB`, `12 GB`.
pub fn format_bytes(bytes: u64) -> String {
    match bytes {
        b if b < 10_000_000_000 => format!("{} MB", b.div_ceil(1_000_000)),
        b => format!("{} GB", b.div_ceil(1_000_000_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_label_tells_more_than_the_others() {
        let mut forecast = Forecast::default();
        assert_eq!(forecast.rest(["a"].into_iter(), 2), None);
        assert_eq!(forecast.rest(std::iter::empty(), 2), Some(0.0));
        forecast.learn("a", 10.0);
        forecast.learn("a", 20.0);
        forecast.learn("b", 45.0);
        assert_eq!(forecast.seconds("a"), Some(15.0));
        assert_eq!(forecast.seconds("new"), Some(30.0));
        // 15 + 45 + 30 on two: at least the longest of them.
        assert_eq!(forecast.rest(["a", "b", "new"].into_iter(), 2), Some(45.0));
        assert_eq!(forecast.rest(["b"].into_iter(), 8), Some(45.0));
    }

    #[test]
    fn checkpoints_hold_weights_and_moments_twice() {
        let bytes = |optimizer, momentum, amsgrad| {
            let train = TrainConfig { optimizer, momentum, amsgrad, ..TrainConfig::default() };
            checkpoint_bytes(&train, 1000)
        };
        assert_eq!(bytes(OptimizerKind::Sgd, 0.9, false), 16_000);
        assert_eq!(bytes(OptimizerKind::Sgd, 0.0, false), 8_000);
        assert_eq!(bytes(OptimizerKind::Adam, 0.9, true), 32_000);
        assert_eq!(
            [1, 999_999_999, 12_000_000_001].map(format_bytes),
            ["1 MB", "1000 MB", "13 GB"]
        );
        assert!(free_bytes(Path::new("/tmp/not/there/yet")).is_some_and(|free| free > 0));
    }

    #[test]
    fn durations_are_formatted() {
        assert_eq!([40.0, 750.0, 12_600.0].map(format_duration), ["40 s", "12 min", "3.5 h"]);
    }
}
