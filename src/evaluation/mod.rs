//! Predictions of anyone to metrics and comparisons: what `evaluate` and `compare` compute and
//! write.
use std::path::Path;

mod clean;
mod columns;
mod comparison;
mod predictions;
mod scores;

pub use clean::CleanAccuracy;
pub use comparison::ModelComparison;
pub use predictions::{read, read_all, Predictions};
pub use scores::Scores;

/// Whether results were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// They are there now.
    Now,
    /// The folder held the results of the same input and options.
    Before,
}

impl Saved {
    /// A line for a person: what was written where.
    pub fn line(self, what: &str, out: &Path) -> String {
        match self {
            Saved::Now => format!("\nwrote {what} into {}\n", out.display()),
            Saved::Before => format!("\nalready done: {}\n", out.display()),
        }
    }
}
