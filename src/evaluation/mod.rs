//! Predictions of anyone to metrics, comparisons and plans: what `evaluate`, `compare`, `plan` and
//! `audit --labels` compute and write. Nothing here needs CAER or LibTorch.
use std::path::Path;

mod classes;
mod clean;
mod columns;
mod comparison;
mod frame;
mod imported;
mod label_noise;
mod leaderboard;
pub mod plan;
mod predictions;
mod report_rows;
mod roles;
mod scores;
mod units;

pub use clean::CleanAccuracy;
pub use comparison::ModelComparison;
pub use imported::Reading;
pub use label_noise::{LabelNoise, Pictures};
pub use leaderboard::Leaderboard;
pub use predictions::{read, read_all, Predictions};
pub use report_rows::read_for_report;
pub use roles::Named;
pub use scores::Scores;
pub use units::{Targets, Units};

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
