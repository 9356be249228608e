//! How the tests of a report are made.
use serde::Serialize;

use crate::stats::comparison::ComparisonOptions;

/// How the tests of a report are made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rules {
    /// Random sign patterns at least.
    pub sign_flips: usize,
    /// Margin of equivalence, a share; `None` for no such tests.
    pub margin: Option<f64>,
}

impl Default for Rules {
    fn default() -> Self {
        Rules { sign_flips: ComparisonOptions::default().sign_flips, margin: None }
    }
}
