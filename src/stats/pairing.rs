//! Bringing the rows of several models together by sample_id, never by position.
use std::collections::BTreeMap;

use super::{
    answers::{Answer, Answers},
    clusters::Clusters,
};

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
    /// The models know different classes.
    #[error("{a} and {b} do not have the same classes: {found}")]
    Classes {
        /// The first model.
        a: String,
        /// The other model.
        b: String,
        /// What the first and the other have.
        found: String,
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
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Ids of the samples.
    pub samples: Vec<String>,
    /// True labels, `[rows]`.
    pub truth: Vec<u16>,
    /// Predicted labels, `[models][rows]`.
    pub predicted: Vec<Vec<u16>>,
    /// The rows' groups.
    pub clusters: Clusters,
}

/// Pairs the rows of all `models` by sample_id.
///
/// # Errors
/// See [`PairingError`].
pub fn pair(models: &[(String, &Answers)]) -> Result<Paired, PairingError> {
    let tables = models.iter().map(by_id).collect::<Result<Vec<_>, _>>()?;
    let (first, (name, answers)) = match (tables.first(), models.first()) {
        (Some(table), Some(model)) => (table, model),
        _ => return Err(PairingError::Nothing),
    };
    for (table, (other, of_other)) in tables.iter().zip(models).skip(1) {
        same_classes((name, &answers.classes), (other, &of_other.classes))?;
        same_samples(name, first, other, table)?;
        same_facts(name, first, other, table)?;
    }
    let labels = |table: &Rows| table.values().map(|row| row.predicted).collect();
    Ok(Paired {
        names: models.iter().map(|(name, _)| name.clone()).collect(),
        classes: answers.classes.clone(),
        samples: first.keys().map(|id| (*id).to_owned()).collect(),
        truth: first.values().map(|row| row.target).collect(),
        predicted: tables.iter().map(labels).collect(),
        clusters: Clusters::by_id(first.values().map(|row| row.group_id.as_str())),
    })
}

type Rows<'a> = BTreeMap<&'a str, &'a Answer>;

fn by_id<'a>((name, answers): &(String, &'a Answers)) -> Result<Rows<'a>, PairingError> {
    let mut table = BTreeMap::new();
    for row in &answers.rows {
        if table.insert(row.sample_id.as_str(), row).is_some() {
            let (name, sample) = (name.clone(), row.sample_id.clone());
            return Err(PairingError::Duplicate { name, sample });
        }
    }
    Ok(table)
}

fn same_classes(
    (a, of_a): (&str, &[String]),
    (b, of_b): (&str, &[String]),
) -> Result<(), PairingError> {
    if of_a == of_b {
        return Ok(());
    }
    let differing = of_a.iter().zip(of_b).position(|(x, y)| x != y);
    let found = match differing {
        _ if of_a.len() != of_b.len() => format!("{} and {} of them", of_a.len(), of_b.len()),
        Some(label) => format!("class {label} is {} and {}", of_a[label], of_b[label]),
        None => String::new(),
    };
    Err(PairingError::Classes { a: a.to_owned(), b: b.to_owned(), found })
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

    fn rows(ids: &[&str]) -> Answers {
        let row = |id: &&str| Answer {
            sample_id: id.to_string(),
            clip_id: None,
            group_id: "g".into(),
            target: 0,
            predicted: 1,
        };
        let classes = (0..7).map(|c| c.to_string()).collect();
        Answers { classes, rows: ids.iter().map(row).collect(), scores: None }
    }

    fn refused(a: &Answers, b: &Answers) -> String {
        pair(&[("A".into(), a), ("B".into(), b)]).expect_err("must be refused").to_string()
    }

    #[test]
    fn order_of_rows_is_irrelevant() {
        let mut a = rows(&["x", "y"]);
        a.rows[0].predicted = 5;
        let mut b = a.clone();
        b.rows.reverse();
        let paired = pair(&[("A".into(), &a), ("B".into(), &b)]).expect("same samples");
        assert_eq!(paired.predicted, [[5, 1], [5, 1]]);
    }

    #[test]
    fn other_samples_are_refused_with_counts_and_ids() {
        let message = refused(&rows(&["a", "b"]), &rows(&["b", "c", "d", "e", "f"]));
        assert_eq!(
            message,
            "A was scored on 2 samples and B on 5, and they are not the same: \
             1 only in A (a), 4 only in B (c, d, e, ...)"
        );
    }

    #[test]
    fn contradictions_are_refused() {
        assert!(refused(&rows(&["a", "a"]), &rows(&["a"])).contains("`a` twice"));
        let mut other = rows(&["a"]);
        other.rows[0].target = 3;
        assert!(refused(&rows(&["a"]), &other).contains("target of sample `a`: 0 and 3"));
        other.rows[0].target = 0;
        other.rows[0].group_id = "h".into();
        assert!(refused(&rows(&["a"]), &other).contains("group_id"));
        other.classes[2] = "x".into();
        assert!(refused(&rows(&["a"]), &other).contains("class 2 is 2 and x"));
        other.classes.pop();
        assert!(refused(&rows(&["a"]), &other).contains("7 and 6 of them"));
        assert_eq!(pair(&[]), Err(PairingError::Nothing));
    }
}
