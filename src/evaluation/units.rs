//! Facts about samples that stand in another file: truths, and units above the groups.
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{ensure, Context, Result};

use super::{
    frame::Frame,
    roles::{Named, Role, Roles},
};
use crate::{
    manifest::{self, columns::Values},
    record::Split,
    stats::answers::Answers,
};

/// By what a unit is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Sample,
    Clip,
    Group,
}

/// Units above the groups, such as the shows that videos are from.
#[derive(Clone, Debug)]
pub struct Units {
    path: String,
    key: Key,
    of: BTreeMap<String, String>,
}

impl Units {
    /// Reads a table of two columns: `group` (or `clip`, or `id`) and what it belongs to.
    ///
    /// # Errors
    /// When the table has no such columns, or gives one thing two units.
    pub fn read(path: &Path) -> Result<Self> {
        let frame = Frame::open(path)?;
        let first = frame.names().first().cloned().unwrap_or_default();
        let key = match first.as_str() {
            "id" | "sample_id" => Key::Sample,
            "clip" | "clip_id" => Key::Clip,
            "group" | "group_id" | "video" | "video_id" => Key::Group,
            other => anyhow::bail!(
                "{}: the first column is `{other}`, not id, clip or group; the second is what it \
                 belongs to",
                path.display()
            ),
        };
        let second = frame.names().get(1).with_context(|| {
            format!("{} needs a second column: what each {first} belongs to", path.display())
        })?;
        let (keys, units) = (words(&frame, &first)?, words(&frame, second)?);
        let mut of = BTreeMap::new();
        for (i, (key, unit)) in keys.into_iter().zip(units).enumerate() {
            let (Some(key), Some(unit)) = (key, unit) else {
                anyhow::bail!("{}: row {} is not whole", path.display(), i + 1);
            };
            let known = of.insert(key.clone(), unit.clone());
            ensure!(
                known.as_ref().is_none_or(|known| *known == unit),
                "{}: `{key}` belongs to `{unit}` and to `{}`",
                path.display(),
                known.unwrap_or_default()
            );
        }
        Ok(Units { path: path.display().to_string(), key, of })
    }

    /// The unit of a row.
    ///
    /// # Errors
    /// When the file does not name it.
    pub fn of(&self, id: &str, clip: Option<&str>, group: &str) -> Result<String> {
        let (what, key) = match self.key {
            Key::Sample => ("sample", Some(id)),
            Key::Clip => ("clip", clip),
            Key::Group => ("group", Some(group)),
        };
        let key = key
            .with_context(|| format!("{} names clips, and sample `{id}` has no clip", self.path))?;
        let unit = self.of.get(key);
        unit.cloned().with_context(|| format!("{} does not know {what} `{key}`", self.path))
    }

    /// Answers with their groups replaced by the units.
    ///
    /// # Errors
    /// When the file does not name one.
    pub fn applied(&self, answers: &Answers) -> Result<Answers> {
        let mut answers = answers.clone();
        for row in &mut answers.rows {
            row.group_id = self.of(&row.sample_id, row.clip_id.as_deref(), &row.group_id)?;
        }
        Ok(answers)
    }
}

/// What is known of a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Its true label, as a name or a number.
    pub target: String,
    /// Its group, where the file has one.
    pub group: Option<String>,
    /// Its clip, where the file has one.
    pub clip: Option<String>,
}

/// Truths from a manifest or a table.
#[derive(Clone, Debug)]
pub struct Targets {
    path: String,
    of: BTreeMap<String, Fact>,
}

impl Targets {
    /// Reads a manifest folder (its samples of `split`) or a table with `id` and `target`.
    ///
    /// # Errors
    /// When it is neither, or names a sample twice.
    pub fn read(path: &Path, split: Split) -> Result<Self> {
        let facts = if path.is_dir() { of_manifest(path, split)? } else { of_table(path)? };
        let mut of = BTreeMap::new();
        for (id, fact) in facts {
            ensure!(
                of.insert(id.clone(), fact).is_none(),
                "{} names sample `{id}` twice",
                path.display()
            );
        }
        Ok(Targets { path: path.display().to_string(), of })
    }

    /// What is known of a sample.
    ///
    /// # Errors
    /// When nothing is.
    pub fn of(&self, id: &str) -> Result<&Fact> {
        self.of.get(id).with_context(|| format!("{} does not know sample `{id}`", self.path))
    }

    /// Refuses answers that leave samples out: an easy part is no test set.
    ///
    /// # Errors
    /// When a known sample has no answer; the message has their number and the first.
    pub fn all_predicted(&self, file: &str, answers: &Answers) -> Result<()> {
        let known: BTreeSet<&str> = answers.rows.iter().map(|r| r.sample_id.as_str()).collect();
        let missing: Vec<&String> =
            self.of.keys().filter(|id| !known.contains(id.as_str())).collect();
        ensure!(
            missing.is_empty(),
            "{file} answers {} of the {} samples of {}; the first without an answer is `{}`",
            known.len(),
            self.of.len(),
            self.path,
            missing[0]
        );
        Ok(())
    }
}

fn of_manifest(path: &Path, split: Split) -> Result<Vec<(String, Fact)>> {
    let (samples, _) = manifest::read_samples(&manifest::folder_of(path).join("samples.parquet"))?;
    let fact = |s: crate::record::Sample| {
        let target = s.emotion.name().to_owned();
        (s.sample_id, Fact { target, group: Some(s.group_id), clip: Some(s.clip_id) })
    };
    Ok(samples.into_iter().filter(|s| s.split == split).map(fact).collect())
}

fn of_table(path: &Path) -> Result<Vec<(String, Fact)>> {
    let frame = Frame::open(path)?;
    let roles = Roles::of(&frame, &Named::default())?;
    let ids = words(&frame, &roles.need(Role::Id, &frame)?)?;
    let targets = words(&frame, &roles.need(Role::Target, &frame)?)?;
    let optional = |role| roles.get(role).map(|column| words(&frame, column)).transpose();
    let (groups, clips) = (optional(Role::Group)?, optional(Role::Clip)?);
    let mut facts = Vec::with_capacity(ids.len());
    for (i, (id, target)) in ids.into_iter().zip(targets).enumerate() {
        let (Some(id), Some(target)) = (id, target) else {
            anyhow::bail!("{}: row {} is not whole", path.display(), i + 1);
        };
        let cell =
            |column: &Option<Vec<Option<String>>>| column.as_ref().and_then(|c| c[i].clone());
        facts.push((id, Fact { target, group: cell(&groups), clip: cell(&clips) }));
    }
    Ok(facts)
}

fn words(frame: &Frame, column: &str) -> Result<Vec<Option<String>>> {
    match frame.columns(&[column.to_owned()])?.remove(0) {
        Values::Text(text) => Ok(text),
        Values::Integer(numbers) => Ok(numbers.iter().map(|n| n.map(|n| n.to_string())).collect()),
        Values::Number(_) | Values::Lists(_) => {
            anyhow::bail!("{}: column `{column}` holds no names", frame.path().display())
        }
    }
}
