//! Any pictures that a CSV list names: columns `path,label` and, if known, `split` and `group`.
//!
//! Paths are relative to the list's folder; labels are class names or 0 to 6. What lies outside
//! that folder is not read and becomes a row that says so.
use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use anyhow::{ensure, Context, Result};
use serde::Deserialize;

use super::{folder_of, Candidate, Entry, Refusal};
use crate::record::{Emotion, Split};

pub(super) const ENTRY: Entry = Entry {
    name: "csv",
    about: "a list samples.csv with the columns path,label[,split[,group]]",
    clips,
};

/// The list's name in a folder.
const LIST: &str = "samples.csv";

#[derive(Deserialize)]
struct Row {
    path: String,
    label: String,
    split: Option<String>,
    group: Option<String>,
}

fn clips(root: &Path) -> Result<Option<Vec<Candidate>>> {
    let list = if root.is_dir() { root.join(LIST) } else { root.to_owned() };
    let bytes = fs::read(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let found = listed(&folder_of(root), &bytes);
    found.map(Some).with_context(|| list.display().to_string())
}

fn listed(folder: &Path, bytes: &[u8]) -> Result<Vec<Candidate>> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let headers = reader.headers()?;
    for column in ["path", "label"] {
        ensure!(headers.iter().any(|h| h == column), "column `{column}` is missing");
    }
    let mut found: Vec<Candidate> = Vec::new();
    for (line, row) in (2..).zip(reader.deserialize()) {
        let row: Row = row.with_context(|| format!("line {line}"))?;
        found.push(candidate(folder, row).with_context(|| format!("line {line}"))?);
    }
    let with_split = found.iter().filter(|c| c.split.is_some()).count();
    ensure!(
        with_split == 0 || with_split == found.len(),
        "{with_split} of {} rows have a split; give one to all or to none",
        found.len()
    );
    Ok(found)
}

fn candidate(folder: &Path, row: Row) -> Result<Candidate> {
    let given = |text: Option<String>| text.filter(|t| !t.trim().is_empty());
    let number = row.label.trim().parse().ok().and_then(Emotion::from_label);
    let emotion = number.map_or_else(|| row.label.trim().parse(), Ok)?;
    let split = given(row.split).map(|s| s.trim().parse::<Split>()).transpose()?;
    let (path, refused) = match inside(folder, &row.path) {
        Some(path) => (path, None),
        None => {
            let detail = format!("`{}` is not inside the list's folder", row.path.escape_debug());
            let refusal = Refusal { code: "outside_root".into(), detail, partner: None };
            (PathBuf::new(), Some(refusal))
        }
    };
    let stem = Some(stem(&row.path));
    Ok(Candidate { stem, group: given(row.group), refused, ..Candidate::new(split, emotion, path) })
}

/// The path below the folder; backslashes part folders where no file has them in its name.
fn inside(folder: &Path, given: &str) -> Option<PathBuf> {
    let as_is = Path::new(given);
    let as_is = as_is.strip_prefix(folder).unwrap_or(as_is);
    let plain = |path: &Path| {
        let normal = |c: Component<'_>| matches!(c, Component::Normal(_) | Component::CurDir);
        (path.components().next().is_some() && path.components().all(normal))
            .then(|| path.components().filter(|c| *c != Component::CurDir).collect::<PathBuf>())
    };
    let turned = given.replace('\\', "/");
    match plain(as_is) {
        Some(path) if !given.contains('\\') || folder.join(&path).exists() => Some(path),
        _ => plain(Path::new(&turned)),
    }
}

/// What the identity ends in: the path without split, class and ending, in one part.
fn stem(path: &str) -> String {
    let path = path.replace('\\', "/");
    let mut parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
    if parts.first() == Some(&"images") && parts.len() > 3 {
        parts.remove(0);
    }
    if parts.len() > 1 && parts[0].parse::<Split>().is_ok() {
        parts.remove(0);
    }
    if parts.len() > 1 && parts[0].parse::<Emotion>().is_ok() {
        parts.remove(0);
    }
    let joined = parts.join("__");
    let stem = Path::new(&joined).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    super::shown(stem.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_candidates_and_escapes_are_refused() {
        let text = b"path,label,split,group\na\\b.png,Angry,val,g1\n../x.png,3,train,\n/etc/passwd,sad,test,\ntrain/Fear/./7.jpg,2,train,\n";
        let found = listed(Path::new("/nowhere"), text).expect("reads");
        let told: Vec<_> = found
            .iter()
            .map(|c| (c.path.to_str().expect("text"), c.stem.as_deref(), c.refused.is_some()))
            .collect();
        assert_eq!(
            told,
            [
                ("a/b.png", Some("a__b"), false),
                ("", Some("..__x"), true),
                ("", Some("etc__passwd"), true),
                ("train/Fear/7.jpg", Some("7"), false)
            ]
        );
        assert_eq!((found[0].emotion, found[0].split), (Emotion::Anger, Some(Split::Val)));
        assert_eq!(found[0].group.as_deref(), Some("g1"));
    }

    #[test]
    fn bad_rows_are_named() {
        let refusal = |text: &str| {
            format!("{:#}", listed(Path::new("/"), text.as_bytes()).err().expect("refused"))
        };
        assert_eq!(refusal("path,split\n"), "column `label` is missing");
        assert!(refusal("path,label\na.png,Joy\n").starts_with("line 2: unknown emotion `Joy`"));
        assert!(refusal("path,label\na.png,7\n").starts_with("line 2: unknown emotion `7`"));
        assert!(refusal("path,label,split\na.png,1,train\nb.png,1,\n").contains("1 of 2 rows"));
    }
}
