//! `evaluate --clean AUDIT_DIR`: how much of a score is leak.
use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::columns;
use crate::{
    digest,
    leak_audit::CLEAN,
    metric::Unit,
    record::Estimate,
    stats::{
        answers::Answer,
        clusters::Clusters,
        subset::{subset_accuracy, SubsetAccuracy},
    },
};

/// What `clean.csv` says of a sample.
#[derive(Deserialize)]
struct Row {
    sample_id: String,
    near_duplicate: bool,
    same_video: bool,
}

/// Accuracy with and without what the audit found in train.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CleanAccuracy {
    /// SHA-256 of the audit's `clean.csv`.
    pub audit: String,
    /// Kept: rows without a near-duplicate in train.
    pub without_near_duplicates: SubsetAccuracy,
    /// Kept: rows whose video gives no picture to train.
    pub without_same_video: SubsetAccuracy,
}

impl CleanAccuracy {
    /// Joins predictions with the audit of their manifest.
    ///
    /// # Errors
    /// When the audit cannot be read or does not know a predicted sample.
    pub fn of(rows: &[Answer], audit: &Path) -> Result<Self> {
        let path = audit.join(CLEAN);
        let verdicts = read(&path)?;
        let known = rows.iter().map(|row| {
            verdicts.get(&row.sample_id).with_context(|| {
                format!(
                    "{} does not know sample `{}`; audit the manifest that was predicted",
                    path.display(),
                    row.sample_id
                )
            })
        });
        let known: Vec<&Row> = known.collect::<Result<_>>()?;
        let right: Vec<bool> = rows.iter().map(|r| r.target == r.predicted).collect();
        let clusters = Clusters::by_id(rows.iter().map(|r| r.group_id.as_str()));
        let keep = |f: fn(&Row) -> bool| {
            let keep: Vec<bool> = known.iter().map(|row| !f(row)).collect();
            subset_accuracy(&right, &keep, &clusters)
        };
        Ok(CleanAccuracy {
            audit: digest::sha256_file(&path)?,
            without_near_duplicates: keep(|row| row.near_duplicate),
            without_same_video: keep(|row| row.same_video),
        })
    }

    /// A table for a person.
    pub fn text(&self) -> String {
        let head =
            columns::row(["accuracy %", "rows", "value", "95 % interval", "all minus these"]);
        let line = |name: &str, e: Option<Estimate>, difference: Option<Estimate>| {
            vec![
                name.to_owned(),
                e.map_or(0, |e| e.n).to_string(),
                columns::value(e.map(|e| e.value), Unit::Share),
                columns::ends(e),
                difference.map_or(String::new(), |d| {
                    format!(
                        "{} {}",
                        columns::value(Some(d.value), Unit::Share),
                        columns::ends(Some(d))
                    )
                }),
            ]
        };
        let (near, video) = (&self.without_near_duplicates, &self.without_same_video);
        let rows = vec![
            head,
            line("all", near.all, None),
            line("without near-duplicates in train", near.kept, near.difference),
            line("without videos of train", video.kept, video.difference),
        ];
        columns::align(&rows)
    }
}

fn read(path: &Path) -> Result<BTreeMap<String, Row>> {
    let broken =
        || format!("cannot read {}: is it a folder that `ncaers audit` wrote?", path.display());
    let mut reader = csv::Reader::from_path(path).with_context(broken)?;
    let rows: Vec<Row> = reader.deserialize().collect::<Result<_, _>>().with_context(broken)?;
    Ok(rows.into_iter().map(|row| (row.sample_id.clone(), row)).collect())
}
