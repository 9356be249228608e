//! Rows of a report that no run of this program made: somebody's predictions on the same samples.
use std::{collections::BTreeMap, path::PathBuf};

use serde_json::json;

use crate::{
    record::Prediction,
    runs::{RunRecord, Status},
};

/// Digits of a digest that stand for a run id.
const ID: usize = 16;

/// Answers of one model and seed from a file of another program.
#[derive(Clone, Debug)]
pub struct ImportedRun {
    /// The model.
    pub label: String,
    /// Its seed; 0 where the file names none.
    pub seed: u64,
    /// The file.
    pub file: PathBuf,
    /// SHA-256 of the file.
    pub digest: String,
    /// The answers; logits are not a number where the file has no scores.
    pub rows: Vec<Prediction>,
}

impl ImportedRun {
    /// The rows by sample; `known` has clip and group of every sample that the report's own runs
    /// were scored on, which the file need not repeat.
    pub(super) fn placed(&self, known: &BTreeMap<String, (String, String)>) -> Vec<Prediction> {
        let mut rows = self.rows.clone();
        for row in &mut rows {
            if let Some((clip, group)) = known.get(&row.sample_id) {
                row.clip_id.clone_from(clip);
                row.group_id.clone_from(group);
            }
        }
        rows.sort_by(|a, b| a.sample_id.cmp(&b.sample_id));
        rows
    }

    /// What is known of the run behind it: next to nothing.
    pub(super) fn record(&self) -> RunRecord {
        let short = self.digest.get(..ID).unwrap_or(&self.digest);
        RunRecord {
            run_id: format!("{short}-{}", self.seed),
            config: json!({ "imported": self.label }),
            label: format!("{} (imported)", self.label),
            model: "imported".into(),
            seed: self.seed,
            manifest_digest: String::new(),
            pack_digest: String::new(),
            program_version: String::new(),
            commit: None,
            device: String::new(),
            processor: None,
            weights: None,
            synthetic: false,
            threads: 0,
            parameters: 0,
            selected: None,
            seconds: 0.0,
            status: Status::Finished,
            error: None,
            warnings: Vec::new(),
        }
    }
}
