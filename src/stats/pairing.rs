//! Bringing the rows of several models together by sample_id, never by position.
use std::collections::BTreeMap;

use super::clusters::Clusters;
use crate::record::Prediction;

/// Ids shown of those that only one side has.
const SHOWN: usize = 3;

/// Why rows cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairingError {
    /// Nothing was given.
    #[error("no predictions to compare")]
    Nothing,
    /// One file names a sample twice.
    #[error("{name} predicts sample `{sample}` twice")]
    Duplicate {
        /// The model.
        name: String,
        /// The sample.
        sample: String,
    },
    /// The models were scored on different samples.
    #[error(
        "{a} was scored on {rows_a} samples and {b} on {rows_b}, and they are not the same: {difference}"
    )]
    Samples {
        /// The first model.
        a: String,
        /// Its rows.
        rows_a: usize,
        /// The other model.
        b: String,
        /// Its rows.
        rows_b: usize,
        /// How many ids only one has, and the first of them.
        difference: String,
    },
    /// The models were told different truths (or clips) of a sample.
    #[error("{a} and {b} disagree on the {what} of sample `{sample}`: {found}")]
    Conflict {
        /// The first model.
        a: String,
        /// The other model.
        b: String,
        /// `target` or `group_id`.
        what: &'static str,
        /// The sample.
        sample: String,
        /// What the first and the other say.
        found: String,
    },
}

/// Several models on the same rows, in sample_id order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paired {
    /// Names of the models.
    pub names: Vec<String>,
    /// True labels, `[rows]`.
    pub truth: Vec<u8>,
    /// Predicted labels, `[models][rows]`.
    pub predicted: Vec<Vec<u8>>,
    /// The rows' groups.
    pub clusters: Clusters,
}

/// Pairs the rows of all `models` by sample_id.
///
/// # Errors
/// See [`PairingError`].
pub fn pair(models: &[(String, Vec<Prediction>)]) -> Result<Paired, PairingError> {
    let tables = models.iter().map(by_id).collect::<Result<Vec<_>, _>>()?;
    let (first, name) = match (tables.first(), models.first()) {
        (Some(table), Some((name, _))) => (table, name),
        _ => return Err(PairingError::Nothing),
    };
    for (table, (other, _)) in tables.iter().zip(models).skip(1) {
        same_samples(name, first, other, table)?;
        same_facts(name, first, other, table)?;
    }
    let labels = |table: &Rows| table.values().map(|row| row.predicted).collect();
    Ok(Paired {
        names: models.iter().map(|(name, _)| name.clone()).collect(),
        truth: first.values().map(|row| row.target).collect(),
        predicted: tables.iter().map(labels).collect(),
        clusters: Clusters::by_id(first.values().map(|row| row.group_id.as_str())),
    })
}

type Rows<'a> = BTreeMap<&'a str, &'a Prediction>;

fn by_id((name, rows): &(String, Vec<Prediction>)) -> Result<Rows<'_>, PairingError> {
    let mut table = BTreeMap::new();
    for row in rows {
        if table.insert(row.sample_id.as_str(), row).is_some() {
            let (name, sample) = (name.clone(), row.sample_id.clone());
            return Err(PairingError::Duplicate { name, sample });
        }
    }
    Ok(table)
}

fn same_samples(a: &str, rows_a: &Rows, b: &str, rows_b: &Rows) -> Result<(), PairingError> {
    let missing = |from: &Rows, of: &Rows| -> Vec<String> {
        from.keys().filter(|id| !of.contains_key(**id)).map(|id| id.to_string()).collect()
    };
    let (only_a, only_b) = (missing(rows_a, rows_b), missing(rows_b, rows_a));
    if only_a.is_empty() && only_b.is_empty() {
        return Ok(());
    }
    let told = |name: &str, ids: &[String]| {
        let first = ids[..ids.len().min(SHOWN)].join(", ");
        let dots = if ids.len() > SHOWN { ", ..." } else { "" };
        format!("{} only in {name} ({first}{dots})", ids.len())
    };
    let sides = [(a, &only_a), (b, &only_b)];
    let parts: Vec<String> =
        sides.iter().filter(|(_, ids)| !ids.is_empty()).map(|(n, ids)| told(n, ids)).collect();
    Err(PairingError::Samples {
        a: a.to_owned(),
        rows_a: rows_a.len(),
        b: b.to_owned(),
        rows_b: rows_b.len(),
        difference: parts.join(", "),
    })
}

fn same_facts(a: &str, rows_a: &Rows, b: &str, rows_b: &Rows) -> Result<(), PairingError> {
    for (x, y) in rows_a.values().zip(rows_b.values()) {
        let conflict = |what, found| PairingError::Conflict {
            a: a.to_owned(),
            b: b.to_owned(),
            what,
            sample: x.sample_id.clone(),
            found,
        };
        if x.target != y.target {
            return Err(conflict("target", format!("{} and {}", x.target, y.target)));
        }
        if x.group_id != y.group_id {
            return Err(conflict("group_id", format!("{} and {}", x.group_id, y.group_id)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(ids: &[&str]) -> Vec<Prediction> {
        let row = |id: &&str| Prediction {
            sample_id: id.to_string(),
            clip_id: "c".into(),
            group_id: "g".into(),
            target: 0,
            predicted: 1,
            logits: [0.0; 7],
            w_face: None,
            w_context: None,
        };
        ids.iter().map(row).collect()
    }

    fn refused(a: Vec<Prediction>, b: Vec<Prediction>) -> String {
        pair(&[("A".into(), a), ("B".into(), b)]).expect_err("must be refused").to_string()
    }

    #[test]
    fn order_of_rows_is_irrelevant() {
        let mut a = rows(&["x", "y"]);
        a[0].predicted = 5;
        let b = a.iter().rev().cloned().collect();
        let paired = pair(&[("A".into(), a), ("B".into(), b)]).expect("same samples");
        assert_eq!(paired.predicted, [[5, 1], [5, 1]]);
    }

    #[test]
    fn other_samples_are_refused_with_counts_and_ids() {
        let message = refused(rows(&["a", "b"]), rows(&["b", "c", "d", "e", "f"]));
        assert_eq!(
            message,
            "A was scored on 2 samples and B on 5, and they are not the same: \
             1 only in A (a), 4 only in B (c, d, e, ...)"
        );
    }

    #[test]
    fn contradictions_are_refused() {
        assert!(refused(rows(&["a", "a"]), rows(&["a"])).contains("`a` twice"));
        let mut other = rows(&["a"]);
        other[0].target = 3;
        assert!(refused(rows(&["a"]), other.clone()).contains("target of sample `a`: 0 and 3"));
        other[0].target = 0;
        other[0].group_id = "h".into();
        assert!(refused(rows(&["a"]), other).contains("group_id"));
        assert_eq!(pair(&[]), Err(PairingError::Nothing));
    }
}
