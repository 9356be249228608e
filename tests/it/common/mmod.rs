//! The published weights of dlib's detector.
use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use ncaers::internals::face::mmod;

/// The weights, or a loud word.
pub fn weights() -> Option<PathBuf> {
    let path = mmod::default_weights()?;
    if !path.exists() {
        // Not eprintln, which the test harness swallows.
        let _ = writeln!(
            io::stderr(),
            "SKIPPED: {} is missing, run `just fetch-mmod`; not tested: dlib's detector",
            path.display()
        );
        return None;
    }
    Some(path)
}
