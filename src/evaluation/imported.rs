//! Predictions of anybody: a table of ids, truths and answers becomes [`Answers`].
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{bail, ensure, Context, Result};

use super::{
    classes::{self, whole, Labels},
    frame::Frame,
    roles::{Named, Role, Roles, ScoreColumns},
    units::{Targets, Units},
};
use crate::{
    manifest::columns::Values,
    stats::{
        answers::{first_maximum, Answer, Answers, ClassScores, ScoreKind},
        warning::{Code, Warning},
    },
};

/// How far a row of probabilities may be from 1 in sum.
const SUM: f64 = 1e-3;

/// Whether the rows of `values`, `[rows, width]`, that are finite are probabilities, and there is one.
pub(super) fn all_sum_to_one(values: &[f64], width: usize) -> bool {
    let finite = |row: &&[f64]| row.iter().all(|p| p.is_finite());
    let mut rows = values.chunks_exact(width.max(1)).filter(finite).peekable();
    rows.peek().is_some() && rows.all(sums_to_one)
}

fn sums_to_one(row: &[f64]) -> bool {
    row.iter().all(|&p| (-SUM..=1.0 + SUM).contains(&p))
        && (row.iter().sum::<f64>() - 1.0).abs() <= SUM
}

/// What is said of logits that are none.
pub(super) fn taken_for_probabilities(path: &str) -> Warning {
    let message = format!(
        "{path}: every row of the logits is between 0 and 1 and adds up to 1, so they are taken \
         for probabilities; --scores logits takes them as they are called"
    );
    Warning::new(Code::Probabilities, message)
}

/// What the user says about the tables.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Names of columns.
    pub named: Named,
    /// Names of the classes in label order; empty to take them from the tables.
    pub classes: Vec<String>,
    /// Units above the groups, such as shows.
    pub units: Option<Units>,
    /// Truths (and groups) from elsewhere.
    pub targets: Option<Targets>,
    /// What the scores are, where the columns' names say something else.
    pub scores: Option<ScoreKind>,
}

/// The answers of one model and seed.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The model, where the table names it.
    pub model: Option<String>,
    /// The seed, where the table names it.
    pub seed: Option<u64>,
    /// The rows.
    pub answers: Answers,
    /// What a reader must know.
    pub warnings: Vec<Warning>,
    /// Whether every sample has an id of its own in the table.
    pub has_ids: bool,
}

/// A table as read, with labels in its own words.
#[derive(Debug)]
pub struct Raw {
    has_ids: bool,
    rows: Vec<RawRow>,
    /// `[rows][classes]`, where the table has scores.
    scores: Option<RawScores>,
    warnings: Vec<Warning>,
    path: String,
}

#[derive(Debug)]
struct RawRow {
    id: String,
    clip: Option<String>,
    group: Option<String>,
    model: Option<String>,
    seed: Option<u64>,
    target: String,
    predicted: Option<String>,
}

#[derive(Debug)]
struct RawScores {
    kind: ScoreKind,
    width: usize,
    names: Vec<String>,
    values: Vec<f64>,
}

/// Reads tables that are to be compared: their classes are brought together.
///
/// # Errors
/// When a table lacks what it needs, a value makes no sense (with file, row and value), or the
/// tables' classes do not agree.
pub fn read_all(paths: &[&Path], reading: &Reading) -> Result<Vec<Vec<Imported>>> {
    let raws = paths.iter().map(|path| read_raw(path, reading)).collect::<Result<Vec<_>>>()?;
    let labels: Vec<Labels> = raws.iter().map(Raw::labels).collect();
    let names = classes::resolve(&labels, &reading.classes)?;
    raws.into_iter().map(|raw| raw.resolved(&names, reading)).collect()
}

/// Reads one table; see [`read_all`].
fn read_raw(path: &Path, reading: &Reading) -> Result<Raw> {
    let frame = Frame::open(path)?;
    let roles = Roles::of(&frame, &reading.named)?;
    let id = match roles.get(Role::Id) {
        Some(id) => Some(words(&frame, id)?),
        None => None,
    };
    ensure!(
        id.is_some() || reading.targets.is_none(),
        "{} has no ids, so that no truth from elsewhere can be found; name them with --columns id=NAME",
        path.display()
    );
    let optional = |role| roles.get(role).map(|column| words(&frame, column)).transpose();
    let target = match &reading.targets {
        Some(_) => None,
        None => Some(words(&frame, &roles.need(Role::Target, &frame)?)?),
    };
    let scores = match &roles.scores {
        Some(columns) => Some(read_scores(&frame, columns, reading.scores)?),
        None => None,
    };
    let predicted = match roles.get(Role::Predicted) {
        Some(column) => Some(words(&frame, column)?),
        None if scores.is_some() => None,
        None => Some(words(&frame, &roles.need(Role::Predicted, &frame)?)?),
    };
    let cells = Cells {
        path,
        id,
        clip: optional(Role::Clip)?,
        group: optional(Role::Group)?,
        model: optional(Role::Model)?,
        seed: optional(Role::Seed)?,
        target,
        predicted,
    };
    let rows = cells.rows(reading)?;
    let mut raw = Raw {
        has_ids: cells.id.is_some(),
        rows,
        scores,
        warnings: Vec::new(),
        path: path.display().to_string(),
    };
    raw.check_scores(reading)?;
    Ok(raw)
}

/// Columns of words, as read.
struct Cells<'a> {
    path: &'a Path,
    id: Option<Vec<Option<String>>>,
    clip: Option<Vec<Option<String>>>,
    group: Option<Vec<Option<String>>>,
    model: Option<Vec<Option<String>>>,
    seed: Option<Vec<Option<String>>>,
    target: Option<Vec<Option<String>>>,
    predicted: Option<Vec<Option<String>>>,
}

impl Cells<'_> {
    fn rows(&self, reading: &Reading) -> Result<Vec<RawRow>> {
        let columns = [&self.id, &self.predicted, &self.target];
        let n = columns.into_iter().flatten().map(Vec::len).next().unwrap_or(0);
        (0..n).map(|i| self.row(i, reading)).collect()
    }

    fn row(&self, i: usize, reading: &Reading) -> Result<RawRow> {
        let at = |what: &str| format!("{}: row {} has no {what}", self.path.display(), i + 1);
        let cell =
            |column: &Option<Vec<Option<String>>>| column.as_ref().and_then(|c| c[i].clone());
        let id = match &self.id {
            Some(ids) => ids[i].clone().with_context(|| at("id"))?,
            None => format!("row {:09}", i + 1),
        };
        let mut row = RawRow {
            clip: cell(&self.clip),
            group: cell(&self.group),
            model: cell(&self.model),
            seed: None,
            target: String::new(),
            predicted: cell(&self.predicted),
            id,
        };
        if let Some(text) = cell(&self.seed) {
            let seed = whole(&text).and_then(|s| u64::try_from(s).ok());
            row.seed = Some(seed.with_context(|| {
                format!("{}: row {}: `{text}` is no seed", self.path.display(), i + 1)
            })?);
        }
        match &reading.targets {
            Some(targets) => {
                let fact = targets.of(&row.id)?;
                row.target.clone_from(&fact.target);
                row.group = fact.group.clone().or(row.group);
                row.clip = fact.clip.clone().or(row.clip);
            }
            None => row.target = cell(&self.target).with_context(|| at("true label"))?,
        }
        ensure!(self.predicted.is_none() || row.predicted.is_some(), at("predicted label"));
        Ok(row)
    }
}

/// Values as words; whole numbers without a fraction.
fn words(frame: &Frame, column: &str) -> Result<Vec<Option<String>>> {
    let values = frame.columns(&[column.to_owned()])?.remove(0);
    Ok(match values {
        Values::Text(text) => text,
        Values::Integer(numbers) => numbers.iter().map(|n| n.map(|n| n.to_string())).collect(),
        Values::Number(numbers) => numbers.iter().map(|n| n.map(|n| n.to_string())).collect(),
        Values::Lists(_) => {
            bail!("{}: column `{column}` holds lists, not labels", frame.path().display())
        }
    })
}

fn read_scores(
    frame: &Frame,
    columns: &ScoreColumns,
    stated: Option<ScoreKind>,
) -> Result<RawScores> {
    let read = frame.columns(&columns.columns)?;
    let kind = stated.unwrap_or(columns.kind);
    if let [Values::Lists(lists)] = read.as_slice() {
        let width = lists.iter().flatten().map(Vec::len).next().unwrap_or(0);
        let mut values = Vec::with_capacity(lists.len() * width);
        for (i, list) in lists.iter().enumerate() {
            match list {
                None => values.extend(std::iter::repeat_n(f64::NAN, width)),
                Some(list) if list.len() == width => values.extend(list),
                Some(list) => bail!(
                    "{}: row {} has {} scores and others have {width}",
                    frame.path().display(),
                    i + 1,
                    list.len()
                ),
            }
        }
        return Ok(RawScores { kind, width, names: Vec::new(), values });
    }
    let numbers = read.iter().zip(&columns.columns).map(|(v, name)| numbers(frame, name, v));
    let numbers = numbers.collect::<Result<Vec<_>>>()?;
    let rows = numbers.first().map_or(0, Vec::len);
    let values = (0..rows).flat_map(|i| numbers.iter().map(move |column| column[i])).collect();
    Ok(RawScores { kind, width: numbers.len(), names: columns.classes.clone(), values })
}

/// A column as numbers, NaN where nothing is.
fn numbers(frame: &Frame, name: &str, values: &Values) -> Result<Vec<f64>> {
    let broken = |i: usize, text: &str| {
        format!(
            "{}: row {}: `{text}` in column `{name}` is no number",
            frame.path().display(),
            i + 1
        )
    };
    Ok(match values {
        Values::Number(numbers) => numbers.iter().map(|x| x.unwrap_or(f64::NAN)).collect(),
        Values::Integer(numbers) => {
            numbers.iter().map(|x| x.map_or(f64::NAN, |x| x as f64)).collect()
        }
        Values::Text(text) => {
            let parse = |(i, cell): (usize, &Option<String>)| match cell {
                None => Ok(f64::NAN),
                Some(cell) => cell.trim().parse().ok().with_context(|| broken(i, cell)),
            };
            text.iter().enumerate().map(parse).collect::<Result<_>>()?
        }
        Values::Lists(_) => {
            bail!("{}: column `{name}` holds lists among numbers", frame.path().display())
        }
    })
}

impl Raw {
    /// What the table knows of its classes.
    fn labels(&self) -> Labels {
        let mut used = BTreeSet::new();
        for row in &self.rows {
            used.insert(row.target.clone());
            used.extend(row.predicted.clone());
        }
        let (width, names) =
            self.scores.as_ref().map_or((0, Vec::new()), |s| (s.width, s.names.clone()));
        Labels { path: self.path.clone(), used, width, names }
    }

    /// Probabilities must be some; logits that all are some were misnamed.
    fn check_scores(&mut self, reading: &Reading) -> Result<()> {
        let Some(scores) = &mut self.scores else { return Ok(()) };
        let width = scores.width.max(1);
        let finite = |row: &&[f64]| row.iter().all(|p| p.is_finite());
        if scores.kind == ScoreKind::Probabilities {
            for (i, row) in scores.values.chunks_exact(width).enumerate() {
                ensure!(
                    !finite(&row) || sums_to_one(row),
                    "{}: row {}: its probabilities are not shares that add up to 1; if they are \
                     scores before a softmax, say so with --scores logits",
                    self.path,
                    i + 1
                );
            }
            return Ok(());
        }
        if reading.scores.is_none() && all_sum_to_one(&scores.values, width) {
            scores.kind = ScoreKind::Probabilities;
            self.warnings.push(taken_for_probabilities(&self.path));
        }
        Ok(())
    }

    /// The rows in the words of `names`, a part for every model and seed.
    fn resolved(self, names: &[String], reading: &Reading) -> Result<Vec<Imported>> {
        if let Some(scores) = &self.scores {
            ensure!(
                scores.width == names.len(),
                "{}: {} scores per row and {} classes ({}); name the classes with --classes",
                self.path,
                scores.width,
                names.len(),
                names[..names.len().min(10)].join(", ")
            );
        }
        let order = self.score_order(names)?;
        let mut parts: BTreeMap<(Option<String>, Option<u64>), Vec<usize>> = BTreeMap::new();
        for (i, row) in self.rows.iter().enumerate() {
            parts.entry((row.model.clone(), row.seed)).or_default().push(i);
        }
        if parts.is_empty() {
            parts.insert((None, None), Vec::new());
        }
        let label_of = classes::index(names);
        let mut imported = Vec::new();
        for ((model, seed), members) in parts {
            let scores = self.scores.as_ref().map(|scores| ClassScores {
                kind: scores.kind,
                values: members.iter().flat_map(|&i| scores.row(i, &order)).collect(),
            });
            let answer = |(at, &i): (usize, &usize)| {
                let own = scores.as_ref().map(|s| &s.values[at * names.len()..][..names.len()]);
                self.answer(i, own, &label_of, reading)
            };
            let rows = members.iter().enumerate().map(answer).collect::<Result<Vec<_>>>()?;
            let mut warnings = self.warnings.clone();
            warnings.extend(self.grouping(&members, reading));
            warnings.extend(self.missing());
            let answers = Answers { classes: names.to_vec(), rows, scores };
            if let Some(targets) = &reading.targets {
                targets.all_predicted(&self.path, &answers)?;
            }
            imported.push(Imported { model, seed, answers, warnings, has_ids: self.has_ids });
        }
        Ok(imported)
    }

    /// For every class its place among the score columns.
    fn score_order(&self, names: &[String]) -> Result<Vec<usize>> {
        let Some(scores) = self.scores.as_ref().filter(|s| !s.names.is_empty()) else {
            return Ok((0..names.len()).collect());
        };
        let place = |name: &String| {
            let same = |other: &String| classes::same(name, other);
            scores.names.iter().position(same).with_context(|| {
                format!("{}: no column has the scores of class `{name}`", self.path)
            })
        };
        names.iter().map(place).collect()
    }

    fn answer(
        &self,
        i: usize,
        scores: Option<&[f64]>,
        label_of: &classes::Index,
        reading: &Reading,
    ) -> Result<Answer> {
        let row = &self.rows[i];
        let label = |text: &str| {
            label_of
                .get(text)
                .with_context(|| format!("{}: row {}: `{text}` is no class", self.path, i + 1))
        };
        let target = label(&row.target)?;
        let predicted = match (&row.predicted, scores) {
            (Some(text), _) => label(text)?,
            (None, Some(scores)) => first_maximum(scores).with_context(|| {
                format!("{}: row {} has no predicted label and no finite scores", self.path, i + 1)
            })?,
            (None, None) => bail!("{}: row {} has no predicted label", self.path, i + 1),
        };
        let group = row.group.as_ref().or(row.clip.as_ref()).unwrap_or(&row.id);
        let group_id = match &reading.units {
            Some(units) => units.of(&row.id, row.clip.as_deref(), group)?,
            None => group.clone(),
        };
        Ok(Answer {
            sample_id: row.id.clone(),
            clip_id: row.clip.clone(),
            group_id,
            target,
            predicted,
        })
    }

    fn grouping(&self, members: &[usize], reading: &Reading) -> Option<Warning> {
        let ungrouped = |&&i: &&usize| self.rows[i].group.is_none() && self.rows[i].clip.is_none();
        let n = members.iter().filter(ungrouped).count();
        (n > 0 && reading.units.is_none()).then(|| {
            let message = format!(
                "{n} rows have no group: each is taken as independent of all others, and intervals \
                 are too narrow if several show one thing (a video, a person); add a column `group`"
            );
            Warning::new(Code::NoGroups, message)
        })
    }

    /// What cannot be computed from this table.
    fn missing(&self) -> Option<Warning> {
        self.scores.is_none().then(|| {
            Warning::new(
                Code::NotComputed,
                "no probabilities and no logits: no log-likelihood, calibration or top-2 accuracy",
            )
        })
    }
}

impl RawScores {
    fn row<'a>(&'a self, i: usize, order: &'a [usize]) -> impl Iterator<Item = f64> + 'a {
        order.iter().map(move |&place| self.values[i * self.width + place])
    }
}

#[cfg(test)]
mod tests {
    use super::all_sum_to_one;

    #[test]
    fn probabilities_are_rows_that_all_add_up_to_one() {
        assert!(all_sum_to_one(&[0.5, 0.5, 1.0, 0.0], 2));
        assert!(!all_sum_to_one(&[0.5, 0.5, 2.0, -1.0], 2), "one row of two");
        assert!(!all_sum_to_one(&[0.5, 0.5, 0.9, 0.9], 2), "one row of two");
        // Of rows that are not finite nothing is known.
        assert!(all_sum_to_one(&[0.5, 0.5, f64::NAN, 3.0], 2));
        assert!(!all_sum_to_one(&[f64::NAN, 1.0], 2) && !all_sum_to_one(&[], 2));
    }
}
