//! Any pictures or clips that a list names: columns `path,label` and, if known, `split` and
//! `group`, for clips also `start_s` and `end_s`.
//!
//! Paths are relative to the list's folder, or lie in it; labels are class names, 0 to 6, or what a
//! file says. What lies outside that folder is not read and becomes a row that says so, and so does
//! what the list names twice in ways that contradict each other.
use std::{
    collections::BTreeMap,
    fs,
    path::{Component, Path, PathBuf},
};

use anyhow::{ensure, Context, Result};

use super::{
    columns::{Columns, Line},
    folder_of,
    labels::{self, Meaning},
    Candidate, Choices, CorpusEntry, FoundClips, Refusal, Span, Stray,
};
use crate::record::{Emotion, Split};

pub(super) const ENTRY: CorpusEntry = CorpusEntry {
    name: "csv",
    about: "a list samples.csv with the columns path,label[,split[,group]]",
    clips,
};

/// The list's name in a folder.
const LIST: &str = "samples.csv";

/// Columns by which lists tell several persons in one picture apart.
const PERSONS: [&str; 4] = ["person", "person_id", "face", "face_id"];

fn clips(root: &Path, choices: &Choices) -> Result<Option<FoundClips>> {
    let list = if root.is_dir() { root.join(LIST) } else { root.to_owned() };
    read(&list, &folder_of(root), choices).map(Some)
}

/// What the list at `list` names below `folder`.
///
/// # Errors
/// When it cannot be read, or a line is none of such a list; file and line are named.
pub(super) fn read(list: &Path, folder: &Path, choices: &Choices) -> Result<FoundClips> {
    let bytes = fs::read(list).with_context(|| format!("cannot read {}", list.display()))?;
    listed(folder, &bytes, choices).with_context(|| list.display().to_string())
}

/// A line as it was understood.
struct ListRow {
    line: u64,
    person: Option<String>,
    candidate: Candidate,
}

fn listed(folder: &Path, bytes: &[u8], choices: &Choices) -> Result<FoundClips> {
    let list = Columns::read(bytes, &["path", "label"])?;
    let places = Places::new(folder);
    let mut found = FoundClips::default();
    let (mut rows, mut numbers) = (Vec::new(), 0usize);
    for line in list.lines() {
        let at = || format!("line {}", line.number);
        match labels::meaning(line.get("label").unwrap_or_default(), &choices.labels) {
            Ok(Meaning::LeftOut) => found.strays.push(unwanted(&line)),
            Ok(Meaning::Class(class)) => rows.push(row(&places, &line, class).with_context(at)?),
            Ok(Meaning::Number(class)) => {
                numbers += 1;
                rows.push(row(&places, &line, class).with_context(at)?);
            }
            Err(error) => return Err(error).with_context(at),
        }
    }
    let with_split = rows.iter().filter(|row| row.candidate.split.is_some()).count();
    ensure!(
        with_split == 0 || with_split == rows.len(),
        "{with_split} of {} rows have a split; give one to all or to none",
        rows.len()
    );
    if numbers > 0 {
        let order = labels::own_order();
        found.remarks.push(format!("{numbers} labels of the list are numbers, read as {order}"));
    }
    for (label, class) in &choices.labels {
        let class = class.map_or_else(|| "left out".to_owned(), |class| class.to_string());
        found.remarks.push(format!("label `{}` was read as {class}", label.escape_debug()));
    }
    refuse_contradictions(&mut rows);
    found.candidates = rows.into_iter().map(|row| row.candidate).collect();
    Ok(found)
}

fn unwanted(line: &Line<'_>) -> Stray {
    let label = line.get("label").unwrap_or_default();
    Stray {
        path: super::shown_path(Path::new(line.raw("path"))),
        reason: "label_left_out".into(),
        detail: format!("label `{}` is left out, line {}", label.escape_debug(), line.number),
    }
}

fn row(places: &Places, line: &Line<'_>, emotion: Emotion) -> Result<ListRow> {
    let split = line.get("split").map(str::parse::<Split>).transpose()?;
    let (given, place) = places.of(line.raw("path"));
    let (path, refused) = match place {
        Some(path) => (path, None),
        None => {
            let detail = format!("`{}` is not inside the list's folder", given.escape_debug());
            let refusal = Refusal { code: "outside_root".into(), detail, partner: None };
            (PathBuf::new(), Some(refusal))
        }
    };
    let span = Span::parse(line.get("start_s"), line.get("end_s"))?;
    let mut stem = stem(places.below(given));
    if let Some(span) = span {
        stem.push_str(&format!("@{span}"));
    }
    let group = line.get("group").map(str::to_owned);
    let candidate = Candidate::new(split, emotion, path);
    let candidate = Candidate { stem: Some(stem), group, refused, span, ..candidate };
    let person = PERSONS.iter().find_map(|column| line.get(column)).map(str::to_owned);
    Ok(ListRow { line: line.number, person, candidate })
}

/// Refuses every row of a picture (or part of a clip) that the list gives two labels or to two
/// persons, since one sample has one label and one face; and of rows that say the same all but the
/// first.
fn refuse_contradictions(rows: &mut [ListRow]) {
    let mut same: BTreeMap<(PathBuf, Option<Span>), Vec<usize>> = BTreeMap::new();
    for (at, row) in rows.iter().enumerate().filter(|(_, row)| row.candidate.refused.is_none()) {
        same.entry((row.candidate.path.clone(), row.candidate.span)).or_default().push(at);
    }
    for places in same.into_values().filter(|places| places.len() > 1) {
        let lines: Vec<_> = places.iter().map(|&at| rows[at].line.to_string()).collect();
        let lines = lines.join(", ");
        let differ = |of: fn(&ListRow) -> Option<String>| {
            places.windows(2).any(|pair| of(&rows[pair[0]]) != of(&rows[pair[1]]))
        };
        let refusal =
            |code: &str, detail: String| Refusal { code: code.into(), detail, partner: None };
        let (first_kept, refusal) = if differ(|row| row.person.clone()) {
            let words =
                format!("lines {lines} name it for several persons, and a sample has one face");
            (false, refusal("several_persons", words))
        } else if differ(|row| Some(row.candidate.emotion.to_string())) {
            (false, refusal("two_labels", format!("lines {lines} give it different labels")))
        } else if differ(|row| row.candidate.split.map(|split| split.to_string())) {
            // Two splits are a leak, and the policy for those decides.
            continue;
        } else {
            (true, refusal("listed_twice", format!("lines {lines} say the same")))
        };
        for at in places.into_iter().skip(usize::from(first_kept)) {
            rows[at].candidate.refused = Some(refusal.clone());
        }
    }
}

/// The folder that paths are below, under all its names.
struct Places {
    folder: PathBuf,
    names: Vec<PathBuf>,
}

impl Places {
    fn new(folder: &Path) -> Self {
        let absolute = std::path::absolute(folder).ok();
        let real = folder.canonicalize().ok();
        let names = [Some(folder.to_owned()), absolute, real].into_iter().flatten().collect();
        Places { folder: folder.to_owned(), names }
    }

    /// A path as it was given, without blanks around unless a file has them in its name, and the
    /// same below the folder, or `None`.
    fn of<'a>(&self, given: &'a str) -> (&'a str, Option<PathBuf>) {
        let as_is = inside(&self.folder, self.below(given));
        let exists = |path: &PathBuf| self.folder.join(path).exists();
        if given.trim() == given || as_is.as_ref().is_some_and(exists) {
            return (given, as_is);
        }
        (given.trim(), inside(&self.folder, self.below(given.trim())))
    }

    /// Without the folder in front, by whatever name.
    fn below<'a>(&self, given: &'a str) -> &'a str {
        let path = Path::new(given);
        let below = self.names.iter().find_map(|name| path.strip_prefix(name).ok());
        below.and_then(Path::to_str).unwrap_or(given)
    }
}

/// The path below the folder; backslashes part folders where no file has them in its name.
fn inside(folder: &Path, given: &str) -> Option<PathBuf> {
    let plain = |path: &Path| {
        let normal = |c: Component<'_>| matches!(c, Component::Normal(_) | Component::CurDir);
        (path.components().next().is_some() && path.components().all(normal))
            .then(|| path.components().filter(|c| *c != Component::CurDir).collect::<PathBuf>())
    };
    let turned = given.replace('\\', "/");
    match plain(Path::new(given)) {
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

    fn plain(text: &str) -> Result<FoundClips> {
        listed(Path::new("/nowhere"), text.as_bytes(), &Choices::default())
    }

    #[test]
    fn rows_become_candidates_and_escapes_are_refused() {
        let text = "path,label,split,group\na\\b.png,Angry,val,g1\n../x.png,3,train,\n/etc/passwd,sad,test,\ntrain/Fear/./7.jpg,2,train,\n";
        let found = plain(text).expect("reads").candidates;
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
        let refusal = |text: &str| format!("{:#}", plain(text).err().expect("refused"));
        assert!(refusal("path,split\n").starts_with("column `label` is missing"));
        assert!(refusal("path,label\na.png,Joy\n").starts_with("line 2: unknown emotion `Joy`"));
        assert!(refusal("path,label\n\n\na.png,7\n").starts_with("line 4: label 7 is not 0 to 6"));
        assert!(refusal("path,label,split\na.png,1,train\nb.png,1,\n").contains("1 of 2 rows"));
        assert!(
            refusal("path,label,start_s,end_s\na.mp4,1,3,2\n").contains("line 2: a part from 3")
        );
    }

    /// A relative root and absolute paths, and the other way round.
    #[test]
    fn the_folder_is_known_by_all_its_names() {
        let dir = tempfile::tempdir().expect("temp dir");
        let real = dir.path().canonicalize().expect("there");
        std::os::unix::fs::symlink(&real, real.join("link")).expect("link");
        let text = format!("path,label\n{}/a.png,Sad\nb.png,Sad\n", real.display());
        let found = listed(&real.join("link"), text.as_bytes(), &Choices::default());
        let found = found.expect("reads").candidates;
        assert!(found.iter().all(|c| c.refused.is_none()));
        assert_eq!(found[0].stem.as_deref(), Some("a"), "not the folder's name");
        let here = std::env::current_dir().expect("a folder");
        let text = format!("path,label\n{}/src/x.png,Sad\n", here.display());
        let found = listed(Path::new("."), text.as_bytes(), &Choices::default()).expect("reads");
        assert_eq!(found.candidates[0].path, Path::new("src/x.png"));
    }

    #[test]
    fn blanks_around_a_path_belong_to_it_only_where_a_file_has_them() {
        let dir = tempfile::tempdir().expect("temp dir");
        fs::write(dir.path().join(" a.png"), "").expect("write");
        let text = b"path, label\n a.png, Sad\n b.png , Fear\n";
        let found = listed(dir.path(), text, &Choices::default()).expect("reads").candidates;
        let paths: Vec<_> = found.iter().map(|c| c.path.to_str().expect("text")).collect();
        assert_eq!(paths, [" a.png", "b.png"]);
    }

    #[test]
    fn what_contradicts_itself_is_refused_as_a_whole() {
        let codes = |text: &str| -> Vec<Option<String>> {
            let found = plain(text).expect("reads").candidates;
            found.into_iter().map(|c| c.refused.map(|r| r.code)).collect()
        };
        let text = "path,label\na.png,Sad\nb.png,Fear\n./a.png,Happy\n";
        let two = || Some("two_labels".to_owned());
        assert_eq!(codes(text), [two(), None, two()]);
        let text = "path,label,person\na.png,Sad,0\na.png,Sad,1\nb.png,Sad,0\n";
        let several = || Some("several_persons".to_owned());
        assert_eq!(codes(text), [several(), several(), None]);
        let text = "path,label\na.png,Sad\na.png,sadness\na.png,5\n";
        let twice = || Some("listed_twice".to_owned());
        assert_eq!(codes(text), [None, twice(), twice()]);
        let text = "path,label,split\na.png,Sad,train\na.png,Sad,test\n";
        assert_eq!(codes(text), [None, None], "that is a leak");
        let text = "path,label,start_s,end_s\na.mp4,Sad,0,2\na.mp4,Fear,2,4\n";
        assert_eq!(codes(text), [None, None], "two parts of one file");
    }

    #[test]
    fn the_identity_ends_in_what_split_and_class_do_not_say() {
        for (path, expected) in [
            ("7.png", "7"),
            ("train/7.png", "7"),
            ("Sad/7.png", "7"),
            ("validation/Happiness/x/7.v2.png", "x__7.v2"),
            ("images/train/Sad/7.png", "7"),
            ("images/Sad/7.png", "images__Sad__7"),
            ("a/train/7.png", "a__train__7"),
            ("train", "train"),
            ("train/Sad", "Sad"),
            (".\\a//b.png", "a__b"),
        ] {
            assert_eq!(stem(path), expected, "{path}");
        }
    }

    #[test]
    fn persons_are_known_by_any_of_their_columns() {
        for column in PERSONS {
            let text = format!("path,label,{column}\na.png,Sad,0\na.png,Sad,1\n");
            let found = plain(&text).expect("reads").candidates;
            let refusal = found[0].refused.as_ref().expect("refused");
            assert_eq!(refusal.code, "several_persons");
            assert_eq!(
                refusal.detail,
                "lines 2, 3 name it for several persons, and a sample has one face"
            );
        }
    }

    #[test]
    fn names_of_classes_need_no_remark() {
        let found = plain("path,label\na.png,Sad\nb.png,Fear\n").expect("reads");
        assert!(found.remarks.is_empty() && found.strays.is_empty(), "{:?}", found.remarks);
        assert_eq!(found.candidates.len(), 2);
    }

    #[test]
    fn how_labels_were_read_is_said() {
        let text = "path,label\na.png,4\nb.png,Sad\n";
        let found = plain(text).expect("reads");
        assert!(found.remarks[0].starts_with("1 labels of the list are numbers, read as 0 = Anger"));
        let labels = labels::Labels::from([("4".into(), Some(Emotion::Sad)), ("9".into(), None)]);
        let text = "path,label\na.png,4\nb.png,9\n";
        let found = listed(Path::new("/"), text.as_bytes(), &Choices { labels }).expect("reads");
        assert_eq!(found.candidates[0].emotion, Emotion::Sad);
        assert_eq!((&*found.strays[0].path, &*found.strays[0].reason), ("b.png", "label_left_out"));
        assert_eq!(found.remarks, ["label `4` was read as Sad", "label `9` was read as left out"]);
    }
}
