//! A variable that CUDA's library reads when it starts: it has to stand in the environment before
//! the process does anything, and the environment of a process with threads must not be changed. So
//! a program that lacks it starts itself again with it.
use std::{ffi::OsStr, os::unix::process::CommandExt, process::Command};

use anyhow::{Context, Result};

use crate::train::{TrainConfig, WORKSPACE};

/// Starts this program again, as it was started, where a run needs the variable and it is missing;
/// the process stays the same one. To be called before anything is written or opened for good.
///
/// # Errors
/// When it does not start.
pub(super) fn prepare(train: &TrainConfig) -> Result<()> {
    if !lacks_variable(train, std::env::var_os(WORKSPACE.0).as_deref()) {
        return Ok(());
    }
    let mut words = std::env::args_os();
    let mut again = Command::new("/proc/self/exe");
    again.arg0(words.next().unwrap_or_default()).args(words).env(WORKSPACE.0, WORKSPACE.1);
    // Comes back only where it failed.
    Err(again.exec()).with_context(|| {
        format!("cannot start again with {}={} set; set it yourself", WORKSPACE.0, WORKSPACE.1)
    })
}

fn lacks_variable(train: &TrainConfig, found: Option<&OsStr>) -> bool {
    train.deterministic && train.device != "cpu" && found.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_run_on_a_gpu_and_must_repeat_needs_it() {
        let train = |device: &str, deterministic| TrainConfig {
            device: device.to_owned(),
            deterministic,
            ..TrainConfig::default()
        };
        for device in ["auto", "cuda", "cuda:3"] {
            assert!(lacks_variable(&train(device, true), None));
            assert!(!lacks_variable(&train(device, true), Some(OsStr::new(":16:8"))));
            assert!(!lacks_variable(&train(device, false), None));
        }
        assert!(!lacks_variable(&train("cpu", true), None));
    }
}
