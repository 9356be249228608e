//! `evaluate --clean AUDIT_DIR`: how much of a score is leak.
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use super::columns;
use crate::{
    digest,
    leak_verdicts::{self, SampleVerdict},
    metric::Unit,
    record::Estimate,
    stats::{
        answers::Answer,
        clusters::Clusters,
        subset::{subset_accuracy, SubsetAccuracy},
    },
};

/// Videos below which what is kept says too little.
const FEW: usize = 30;

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
        let known = leak_verdicts::of(audit, rows.iter().map(|row| row.sample_id.as_str()))?;
        let right: Vec<bool> = rows.iter().map(|r| r.target == r.predicted).collect();
        let clusters = Clusters::by_id(rows.iter().map(|r| r.group_id.as_str()));
        let keep = |f: fn(&SampleVerdict) -> bool| {
            let keep: Vec<bool> = known.iter().map(|row| !f(row)).collect();
            subset_accuracy(&right, &keep, &clusters)
        };
        Ok(CleanAccuracy {
            audit: digest::sha256_file(&audit.join(leak_verdicts::FILE))?,
            without_near_duplicates: keep(|row| row.near_duplicate),
            without_same_video: keep(|row| row.same_video),
        })
    }

    /// What the reader must know where too little is left.
    pub fn warnings(&self) -> Vec<String> {
        let parts = [
            ("without near-duplicates in train", &self.without_near_duplicates),
            ("without videos of train", &self.without_same_video),
        ];
        let few = |(name, part): (&str, &SubsetAccuracy)| {
            match part.kept {
            None => Some(format!("{name}: no row is left, so there is no clean score")),
            Some(kept) if kept.clusters < FEW => Some(format!(
                "{name}: only {} of {} rows, of {} videos, are left; that is too few to say anything (at least {FEW} videos)",
                kept.n,
                part.all.map_or(0, |all| all.n),
                kept.clusters
            )),
            Some(_) => None,
        }
        };
        parts.into_iter().filter_map(few).collect()
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
        let mut text = columns::align(&rows);
        for warning in self.warnings() {
            text.push_str(&format!("warning: {warning}\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_clean_rows_are_said_to_be_too_few() {
        let e = |n: usize, clusters: usize| {
            Some(Estimate { value: 0.5, lo: 0.4, hi: 0.6, n, clusters })
        };
        let part = |kept| SubsetAccuracy { all: e(228, 140), kept, difference: None };
        let warnings = |near, video| {
            let clean = CleanAccuracy {
                audit: String::new(),
                without_near_duplicates: part(near),
                without_same_video: part(video),
            };
            (clean.warnings(), clean.text())
        };
        let (told, text) = warnings(e(7, 7), None);
        assert!(told[0].contains("only 7 of 228 rows, of 7 videos"), "{told:?}");
        assert!(told[1].contains("without videos of train: no row is left"), "{told:?}");
        assert_eq!(text.matches("warning: ").count(), 2);
        assert!(warnings(e(120, 30), e(200, 90)).0.is_empty());
    }
}
