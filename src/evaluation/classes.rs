//! Names and numbers of classes, brought together over several tables.
use std::collections::{BTreeMap, BTreeSet};

use anyhow::{bail, ensure, Result};

use crate::{record::Emotion, stats::answers::MOST_CLASSES};

/// What one table says of its classes.
#[derive(Clone, Debug)]
pub struct Labels {
    /// The table, for messages.
    pub path: String,
    /// Every label that occurs.
    pub used: BTreeSet<String>,
    /// Scores per row; 0 without any.
    pub width: usize,
    /// Names that the score columns give to the classes, in their order.
    pub names: Vec<String>,
}

/// A whole number, also one that a table with gaps wrote as `3.0`.
pub fn whole(text: &str) -> Option<i64> {
    let text = text.trim();
    text.parse().ok().or_else(|| text.strip_suffix(".0")?.parse().ok())
}

/// Whether two words name one class: the same, or two spellings of one emotion.
pub fn same(a: &str, b: &str) -> bool {
    a == b || emotion(a).is_some_and(|e| emotion(b) == Some(e))
}

fn emotion(name: &str) -> Option<Emotion> {
    name.parse().ok()
}

/// The names of the classes in label order: those `stated`, else those of score columns, else the
/// seven emotions where all labels are some, else the labels in alphabetical order; numbers name
/// themselves.
///
/// # Errors
/// When there are fewer than 2 or more than [`MOST_CLASSES`], or the tables cannot mean the same.
pub fn resolve(tables: &[Labels], stated: &[String]) -> Result<Vec<String>> {
    let names = if stated.is_empty() { found(tables)? } else { stated.to_vec() };
    let distinct: BTreeSet<&String> = names.iter().collect();
    ensure!(distinct.len() == names.len(), "two classes have one name: {}", names.join(", "));
    ensure!(
        (2..=MOST_CLASSES).contains(&names.len()),
        "{} classes; 2 to {MOST_CLASSES} can be evaluated (name them with --classes)",
        names.len()
    );
    Ok(names)
}

fn found(tables: &[Labels]) -> Result<Vec<String>> {
    let used: BTreeSet<&String> = tables.iter().flat_map(|t| &t.used).collect();
    let is_number = |label: &&&String| whole(label).is_some();
    let (numbers, words): (Vec<&String>, Vec<&String>) =
        used.iter().copied().partition(|label| is_number(&label));
    let columns = tables.iter().find(|t| !t.names.is_empty()).map(|t| t.names.clone());
    if words.is_empty() {
        let most = count(tables, &numbers)?;
        return Ok(match columns {
            Some(names) if names.len() >= most => canonical(names),
            _ => (0..most).map(|label| label.to_string()).collect(),
        });
    }
    if let Some(names) = columns {
        return Ok(canonical(names));
    }
    if words.iter().all(|word| emotion(word).is_some()) {
        return Ok(Emotion::ALL.map(|e| e.name().to_owned()).to_vec());
    }
    ensure!(
        numbers.is_empty(),
        "some labels are names (`{}`) and some are numbers (`{}`); name the classes in the order \
         of their numbers with --classes",
        words[0],
        numbers[0]
    );
    if let Some(table) = tables.iter().find(|t| t.width > 0) {
        bail!(
            "{}: {} scores per row without names, and labels that are names (`{}`): say with \
             --classes A,B,... in which order the scores are",
            table.path,
            table.width,
            words[0]
        );
    }
    Ok(words.into_iter().cloned().collect())
}

/// How many classes numbers speak of: the largest label, or the scores of a row; at least two.
fn count(tables: &[Labels], numbers: &[&String]) -> Result<usize> {
    let mut most = 2;
    for number in numbers {
        let label = whole(number).unwrap_or(-1);
        let path = tables.iter().find(|t| t.used.contains(*number)).map_or("", |t| t.path.as_str());
        ensure!(
            (0..MOST_CLASSES as i64).contains(&label),
            "{path}: label `{number}` is not in 0..{MOST_CLASSES}"
        );
        most = most.max(label as usize + 1);
    }
    Ok(tables.iter().map(|t| t.width).fold(most, usize::max))
}

/// Emotions under their usual names, where all are some.
fn canonical(names: Vec<String>) -> Vec<String> {
    let emotions: Option<Vec<Emotion>> = names.iter().map(|name| emotion(name)).collect();
    match emotions {
        Some(emotions) => emotions.iter().map(|e| e.name().to_owned()).collect(),
        None => names,
    }
}

/// Finds the label of a name or number.
#[derive(Debug)]
pub struct Index {
    labels: BTreeMap<String, u16>,
    emotions: BTreeMap<u8, u16>,
    classes: usize,
}

/// An index of `names`.
pub fn index(names: &[String]) -> Index {
    let labelled = || names.iter().zip(0u16..);
    Index {
        labels: labelled().map(|(name, label)| (name.clone(), label)).collect(),
        emotions: labelled().filter_map(|(n, label)| Some((emotion(n)?.label(), label))).collect(),
        classes: names.len(),
    }
}

impl Index {
    /// The label of a name (of any spelling for emotions), or of a number below the number of
    /// classes.
    pub fn get(&self, text: &str) -> Option<u16> {
        let by_name = self.labels.get(text).copied();
        let by_emotion = || self.emotions.get(&emotion(text)?.label()).copied();
        let by_number = || {
            let label = u16::try_from(whole(text)?).ok()?;
            (usize::from(label) < self.classes).then_some(label)
        };
        by_name.or_else(by_emotion).or_else(by_number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(labels: &[&str], width: usize, names: &[&str]) -> Labels {
        Labels {
            path: "x.csv".into(),
            used: labels.iter().map(|s| (*s).to_owned()).collect(),
            width,
            names: names.iter().map(|s| (*s).to_owned()).collect(),
        }
    }

    fn resolved(tables: &[Labels]) -> Vec<String> {
        resolve(tables, &[]).expect("classes")
    }

    #[test]
    fn numbers_names_and_emotions() {
        assert_eq!(resolved(&[table(&["0", "2.0"], 0, &[])]), ["0", "1", "2"]);
        assert_eq!(resolved(&[table(&["0", "1"], 4, &[])]).len(), 4);
        assert_eq!(
            resolved(&[table(&["dog", "cat"], 0, &[]), table(&["eel"], 0, &[])]),
            ["cat", "dog", "eel"]
        );
        let emotions = resolved(&[table(&["happy", "Sadness"], 7, &[])]);
        assert_eq!((emotions.len(), emotions[3].as_str()), (7, "Happy"));
        assert_eq!(resolved(&[table(&["1"], 2, &["no", "yes"])]), ["no", "yes"]);
        let mixed = resolved(&[table(&["0", "6"], 0, &[]), table(&["Anger"], 0, &[])]);
        let index = index(&mixed);
        assert_eq!(
            (index.get("6"), index.get("angry"), index.get("7"), index.get("x")),
            (Some(6), Some(0), None, None)
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let message = |tables: &[Labels], stated: &[&str]| {
            let stated: Vec<String> = stated.iter().map(|s| (*s).to_owned()).collect();
            resolve(tables, &stated).expect_err("refused").to_string()
        };
        assert!(message(&[table(&["-1"], 0, &[])], &[]).contains("label `-1`"));
        assert!(message(&[table(&["1000"], 0, &[])], &[]).contains("0..1000"));
        assert!(message(&[table(&["a", "0"], 0, &[])], &[]).contains("--classes"));
        assert!(message(&[table(&["a", "b"], 2, &[])], &[]).contains("in which order"));
        assert!(message(&[table(&["a"], 0, &[])], &[]).contains("1 classes"));
        assert!(message(&[], &["a", "a"]).contains("one name"));
    }
}
