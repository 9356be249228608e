//! Which column of somebody's table is what.
use std::{collections::BTreeMap, fmt, str::FromStr};

use anyhow::{bail, ensure, Context, Result};

use super::frame::{Frame, HOW_TO};
use crate::stats::answers::ScoreKind;

/// What a column can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The sample.
    Id,
    /// The true label.
    Target,
    /// The predicted label.
    Predicted,
    /// The unit of independence.
    Group,
    /// The clip that the sample is a frame of.
    Clip,
    /// Seed of the run.
    Seed,
    /// The model.
    Model,
    /// Unnormalised scores.
    Logits,
    /// Probabilities.
    Probabilities,
}

/// Every role, its name in `--columns`, and the names by which a column is recognised without
/// being mapped; the first two are preferred where several are there.
const ROLES: &[(Role, &str, &[&str])] = &[
    (
        Role::Id,
        "id",
        &[
            "id",
            "sample_id",
            "example_id",
            "image_id",
            "filename",
            "file_name",
            "file",
            "path",
            "image",
            "idx",
            "index",
        ],
    ),
    (
        Role::Target,
        "target",
        &[
            "target",
            "y_true",
            "label",
            "labels",
            "truth",
            "true",
            "gold",
            "ground_truth",
            "reference",
            "references",
        ],
    ),
    (
        Role::Predicted,
        "predicted",
        &["predicted", "y_pred", "prediction", "predictions", "pred", "preds", "y_hat"],
    ),
    (Role::Group, "group", &["group", "group_id", "video", "video_id", "cluster"]),
    (Role::Clip, "clip", &["clip", "clip_id"]),
    (Role::Seed, "seed", &["seed"]),
    (Role::Model, "model", &["model"]),
    (Role::Logits, "logits", &["logits"]),
    (Role::Probabilities, "probabilities", &["probabilities", "probs", "proba"]),
];

/// Beginnings of the names of one column per class.
const PREFIXES: &[(ScoreKind, &[&str])] = &[
    (ScoreKind::Logits, &["logits_", "logit_", "logits", "logit"]),
    (
        ScoreKind::Probabilities,
        &["probabilities_", "probability_", "proba_", "probs_", "prob_", "p_", "prob", "p"],
    ),
];

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = ROLES.iter().find(|(role, ..)| role == self).map_or("", |(_, name, _)| name);
        f.write_str(name)
    }
}

/// Names that the user gave to columns: `target=y_true,predicted=y_pred`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named(BTreeMap<Role, String>);

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut named = BTreeMap::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (role, column) =
                part.split_once('=').ok_or_else(|| format!("`{part}` is not role=column"))?;
            let known = ROLES.iter().find(|(_, name, _)| *name == role);
            let Some((role, ..)) = known else {
                let names: Vec<&str> = ROLES.iter().map(|(_, name, _)| *name).collect();
                return Err(format!("no role `{role}`; known: {}", names.join(", ")));
            };
            if named.insert(*role, column.to_owned()).is_some() {
                return Err(format!("`{role}` is named twice"));
            }
        }
        Ok(Named(named))
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> =
            self.0.iter().map(|(role, name)| format!("{role}={name}")).collect();
        f.write_str(&parts.join(","))
    }
}

/// Where the scores of a row stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScoreColumns {
    /// What they are.
    pub kind: ScoreKind,
    /// One column of lists, or one column per class.
    pub columns: Vec<String>,
    /// What follows the common beginning of the names, in the order of `columns`; empty for a
    /// column of lists. Numbers from 0 count as no names.
    pub classes: Vec<String>,
}

/// The columns of a table by role.
#[derive(Clone, Debug, Default)]
pub struct Roles {
    columns: BTreeMap<Role, String>,
    /// Scores, where there are some.
    pub scores: Option<ScoreColumns>,
}

impl Roles {
    /// Finds the columns of `frame`: those that were `named`, then those with a known name.
    ///
    /// # Errors
    /// When a named column is missing, or two columns could be the same thing.
    pub fn of(frame: &Frame, named: &Named) -> Result<Self> {
        let mut roles = Roles::default();
        for (role, _, synonyms) in ROLES {
            if let Some(column) = named.0.get(role) {
                let is_pattern = column.ends_with('*');
                ensure!(
                    is_pattern || frame.has(column),
                    "{} has no column `{column}` for {role}; it has {}",
                    frame.path().display(),
                    listed(frame)
                );
                roles.columns.insert(*role, column.clone());
            } else if let Some(column) = recognised(frame, *role, synonyms, named)? {
                roles.columns.insert(*role, column);
            }
        }
        roles.scores = roles.score_columns(frame)?;
        Ok(roles)
    }

    /// The column of a role; `None` where there is none.
    pub fn get(&self, role: Role) -> Option<&String> {
        self.columns.get(&role)
    }

    /// The column of a role that has to be there.
    ///
    /// # Errors
    /// When it is not; the message lists the columns and says how to name one.
    pub fn need(&self, role: Role, frame: &Frame) -> Result<String> {
        self.get(role).cloned().with_context(|| {
            format!(
                "{} has no column for {role} among {}; name it with --columns {role}=NAME, or {HOW_TO}",
                frame.path().display(),
                listed(frame)
            )
        })
    }

    fn score_columns(&self, frame: &Frame) -> Result<Option<ScoreColumns>> {
        let kinds =
            [(Role::Logits, ScoreKind::Logits), (Role::Probabilities, ScoreKind::Probabilities)];
        for (role, kind) in kinds {
            let Some(column) = self.get(role) else { continue };
            let Some(prefix) = column.strip_suffix('*') else {
                let columns = vec![column.clone()];
                return Ok(Some(ScoreColumns { kind, columns, classes: Vec::new() }));
            };
            let found = wide(frame, prefix, false);
            let (columns, classes) = found.with_context(|| {
                format!("{} has no two columns `{column}`", frame.path().display())
            })?;
            return Ok(Some(ScoreColumns { kind, columns, classes }));
        }
        for (kind, prefixes) in PREFIXES {
            for prefix in *prefixes {
                // A bare letter is a beginning only of numbered columns, lest `path` be a score.
                let found = wide(frame, prefix, !prefix.ends_with('_'));
                if let Some((columns, classes)) = found {
                    return Ok(Some(ScoreColumns { kind: *kind, columns, classes }));
                }
            }
        }
        Ok(None)
    }
}

/// The column that is known by its name, unless the user named it for something else.
fn recognised(
    frame: &Frame,
    role: Role,
    synonyms: &[&str],
    named: &Named,
) -> Result<Option<String>> {
    let is_free = |name: &&String| !named.0.values().any(|taken| taken == *name);
    let found: Vec<&String> = frame
        .names()
        .iter()
        .filter(is_free)
        .filter(|name| synonyms.contains(&name.to_lowercase().as_str()))
        .collect();
    let preferred = synonyms.iter().take(2).find_map(|synonym| {
        found.iter().find(|name| name.as_str() == *synonym).map(|name| (*name).clone())
    });
    match (preferred, found.as_slice()) {
        (Some(name), _) => Ok(Some(name)),
        (None, []) => Ok(None),
        (None, [one]) => Ok(Some((*one).clone())),
        (None, [one, two, ..]) => bail!(
            "{}: both `{one}` and `{two}` could be {role}; say which with --columns {role}=NAME",
            frame.path().display()
        ),
    }
}

/// Two or more columns that begin with `prefix` and go on with numbers from 0, or with names; the
/// first alone where they have to be `numbered`.
fn wide(frame: &Frame, prefix: &str, numbered: bool) -> Option<(Vec<String>, Vec<String>)> {
    let begin = |name: &&String| {
        let rest = name.strip_prefix(prefix).unwrap_or_default();
        !rest.is_empty() && (!numbered || rest.bytes().all(|b| b.is_ascii_digit()))
    };
    let columns: Vec<&String> = frame.names().iter().filter(begin).collect();
    let rest: Vec<&str> = columns.iter().map(|name| &name[prefix.len()..]).collect();
    let numbers: Option<Vec<usize>> = rest.iter().map(|r| r.parse().ok()).collect();
    if columns.len() < 2 {
        return None;
    }
    if let Some(numbers) = numbers {
        let mut order: Vec<usize> = (0..columns.len()).collect();
        order.sort_by_key(|&i| numbers[i]);
        let whole = order.iter().enumerate().all(|(label, &i)| numbers[i] == label);
        return whole.then(|| (order.iter().map(|&i| columns[i].clone()).collect(), Vec::new()));
    }
    let names = rest.into_iter().map(str::to_owned).collect();
    Some((columns.into_iter().cloned().collect(), names))
}

fn listed(frame: &Frame) -> String {
    const SHOWN: usize = 12;
    let names = frame.names();
    let shown: Vec<String> = names.iter().take(SHOWN).map(|n| format!("`{n}`")).collect();
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(header: &str) -> (tempfile::TempDir, Frame) {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("x.csv");
        let cells = header.split(',').count();
        std::fs::write(&path, format!("{header}\n{}\n", vec!["0"; cells].join(","))).expect("file");
        let frame = Frame::open(&path).expect("a table");
        (dir, frame)
    }

    #[test]
    fn common_names_are_recognised_and_doubt_is_an_error() {
        let (_dir, table) = frame("filename,y_true,y_pred,video");
        let roles = Roles::of(&table, &Named::default()).expect("known");
        let got = [Role::Id, Role::Target, Role::Predicted, Role::Group].map(|r| roles.get(r));
        assert_eq!(
            got.map(|c| c.expect("found").as_str()),
            ["filename", "y_true", "y_pred", "video"]
        );
        let (_dir, doubtful) = frame("filename,image,truth,gold,pred");
        let message = Roles::of(&doubtful, &Named::default()).expect_err("doubt").to_string();
        assert!(message.contains("`filename` and `image`") && message.contains("--columns id="));
        let named: Named = "id=image,target=gold,predicted=pred".parse().expect("roles");
        let roles = Roles::of(&doubtful, &named).expect("named");
        assert_eq!(roles.get(Role::Target).map(String::as_str), Some("gold"));
        let (_dir, bare) = frame("3 2");
        let message = Roles::default().need(Role::Target, &bare).expect_err("none").to_string();
        assert!(
            message.contains("`3 2`") && message.contains("--columns target=NAME"),
            "{message}"
        );
    }

    #[test]
    fn score_columns_are_numbered_or_named() {
        let scores = |header: &str| {
            let (_dir, table) = frame(header);
            Roles::of(&table, &Named::default()).expect("known").scores
        };
        let numbered = scores("id,target,p1,p0,path").expect("p0 and p1");
        assert_eq!((numbered.columns, numbered.classes.len()), (vec!["p0".into(), "p1".into()], 0));
        let named = scores("id,target,logit_cat,logit_dog").expect("two");
        assert_eq!(
            (named.kind, named.classes),
            (ScoreKind::Logits, vec!["cat".into(), "dog".into()])
        );
        assert_eq!(scores("id,target,predicted,path,p0,p2"), None, "a gap is no list");
        let list = scores("id,target,logits").expect("a list");
        assert_eq!((list.columns, list.classes.len()), (vec!["logits".into()], 0));
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for (text, words) in
            [("target", "role=column"), ("truth=x", "no role `truth`"), ("id=a,id=b", "twice")]
        {
            assert!(Named::from_str(text).expect_err("refused").contains(words));
        }
        assert_eq!(Named::from_str("id=a").map(|n| n.to_string()), Ok("id=a".into()));
    }
}
