//! Arguments of the commands that read anybody's predictions.
use std::path::PathBuf;

use anyhow::Result;
use serde_json::{json, Value};

use crate::{
    digest,
    evaluation::{Named, Reading, Targets, Units},
    record::Split,
    stats::answers::ScoreKind,
};

/// How tables that other programs wrote are to be read.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Tables of other programs (CSV, JSON lines, Parquet)")]
pub(super) struct ReadingArgs {
    /// Which column is what, such as id=filename,target=y_true,predicted=y_pred; roles: id, target,
    /// predicted, group, clip, seed, model, logits, probabilities (the last two also as PREFIX*)
    #[arg(long, value_name = "ROLE=COLUMN,...")]
    columns: Option<Named>,
    /// Names of the classes in the order of their numbers and scores
    #[arg(long, value_name = "A,B,...", value_delimiter = ',')]
    classes: Vec<String>,
    /// A table `group,unit` (or `clip,unit`, `id,unit`) of units above the groups, such as shows
    #[arg(long, value_name = "FILE")]
    groups: Option<PathBuf>,
    /// True labels and groups from a manifest folder, or from a table with id and target
    #[arg(long, value_name = "MANIFEST")]
    targets: Option<PathBuf>,
    /// What the scores are, whatever their columns are called
    #[arg(long, value_name = "KIND", value_parser = kind)]
    scores: Option<ScoreKind>,
}

fn kind(text: &str) -> Result<ScoreKind, String> {
    match text {
        "logits" => Ok(ScoreKind::Logits),
        "probabilities" => Ok(ScoreKind::Probabilities),
        _ => Err(format!("no kind of scores `{text}`; known: logits, probabilities")),
    }
}

/// A margin in points, above 0 and below 100.
pub(super) fn points(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().map_err(|e| e.to_string())?;
    (value > 0.0 && value < 100.0).then_some(value).ok_or("not between 0 and 100 points".into())
}

impl ReadingArgs {
    /// Reads what they point to.
    pub fn read(&self, split: Split) -> Result<Reading> {
        Ok(Reading {
            named: self.columns.clone().unwrap_or_default(),
            classes: self.classes.clone(),
            units: self.groups.as_deref().map(Units::read).transpose()?,
            targets: self.targets.as_deref().map(|p| Targets::read(p, split)).transpose()?,
            scores: self.scores,
        })
    }

    /// For the record of a results folder: what was said, files by their digests.
    pub fn configuration(&self) -> Result<Value> {
        let digest = |path: &Option<PathBuf>| -> Result<Option<String>> {
            let Some(path) = path else { return Ok(None) };
            if path.is_dir() {
                return crate::manifest::digest(&crate::manifest::folder_of(path)).map(Some);
            }
            digest::sha256_file(path).map(Some)
        };
        Ok(json!({
            "columns": self.columns.as_ref().map(|named| named.to_string()),
            "classes": self.classes,
            "groups": digest(&self.groups)?,
            "targets": digest(&self.targets)?,
            "scores": self.scores,
        }))
    }
}
