//! What was made of a manifest: packs, predictions, attention, lists, pages, pictures.
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{ensure, Context, Result};
use serde_json::{Map, Value};

use super::{is_manifest, lists, mention::Mention, Removed};
use crate::{
    dataset::locate,
    folder::OutputFolder,
    manifest::{self, LocatedRow, LocatedStatus},
};

/// Lists that are read by lines; a line that names a clip goes.
const LISTS: [&str; 4] = ["csv", "tsv", "jsonl", "txt"];
/// Endings of pictures and videos, which are removed by their names.
const PICTURES: [&str; 6] = ["jpg", "jpeg", "png", "webp", "mp4", "mkv"];
/// Endings of files whose bytes say nothing to who looks for words.
const BINARY: [&str; 3] = ["parquet", "safetensors", "pdf"];
/// Endings of what a page shows: numbered pictures and drawings, whose names tell nothing.
const SHOWN: [&str; 6] = ["jpg", "jpeg", "png", "webp", "svg", "pdf"];

/// Goes through the files that the folder's list names.
///
/// # Errors
/// When one of them cannot be read or written.
pub(super) fn clear(
    clips: &BTreeSet<String>,
    mention: &Mention,
    folder: &OutputFolder,
    removed: &mut Removed,
) -> Result<()> {
    let names: Vec<PathBuf> = folder.names();
    let own_tables = is_manifest(folder.path());
    // Attention maps have the rows of the predictions beside them, as they were.
    let mut rows: BTreeMap<String, Vec<bool>> = BTreeMap::new();
    let mut gone: BTreeSet<PathBuf> = BTreeSet::new();
    let mut tensors = Vec::new();
    for name in &names {
        let path = folder.path().join(name);
        let shown = name.to_string_lossy().into_owned();
        match ending(name) {
            _ if !path.is_file() => {}
            "parquet" if own_tables => {}
            "parquet" => table(clips, mention, &path, &shown, &mut rows, removed)?,
            "safetensors" => tensors.push(name.clone()),
            ending if PICTURES.contains(&ending) => {
                if mention.names(&shown) {
                    gone.insert(name.clone());
                    removed.pictures += 1;
                }
            }
            // Written from the table.
            "csv" if shown.ends_with("located.csv") && path.with_extension("parquet").is_file() => {
            }
            ending if LISTS.contains(&ending) => list(mention, &path, name, removed)?,
            _ if own_tables => {}
            "json" => document(mention, &path, removed)?,
            _ => {
                let bytes =
                    fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                if mention.is_in(&String::from_utf8_lossy(&bytes)) {
                    gone.insert(name.clone());
                    removed.files.push(name.clone());
                }
            }
        }
    }
    for name in tensors {
        tensor_file(clips, &folder.path().join(&name), &name, &rows, removed)?;
    }
    if gone.iter().any(|name| ending(name) == "html") {
        // What the page showed may show the clip, and cannot be told from what does not.
        let all = names.into_iter().filter(|name| SHOWN.contains(&ending(name)));
        let more: Vec<PathBuf> = all.filter(|name| gone.insert(name.clone())).collect();
        removed.pictures += more.len();
    }
    folder.retain(|name| !gone.contains(name))?;
    removed.left = left(mention, folder.path())?;
    Ok(())
}

/// The files below a folder that still name a clip, whoever put them there; folders with a list of their
/// own are told of for themselves.
fn left(mention: &Mention, root: &Path) -> Result<Vec<PathBuf>> {
    let (mut left, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(at) = folders.pop() {
        let failed = || format!("cannot read folder {}", root.join(&at).display());
        for entry in fs::read_dir(root.join(&at)).with_context(failed)? {
            let entry = entry.with_context(failed)?;
            let (name, kind) = (at.join(entry.file_name()), entry.file_type()?);
            if kind.is_dir() && !entry.path().join(crate::folder::FILES).is_file() {
                folders.push(name);
            } else if kind.is_file() && still_names(mention, &entry.path(), &name) {
                left.push(name);
            }
        }
    }
    left.sort();
    Ok(left)
}

/// By its name or, where it is text, by what it says.
fn still_names(mention: &Mention, path: &Path, name: &Path) -> bool {
    let is_text = !BINARY.contains(&ending(name)) && !PICTURES.contains(&ending(name));
    let says = || mention.is_in(&String::from_utf8_lossy(&fs::read(path).unwrap_or_default()));
    mention.names(&name.to_string_lossy()) || is_text && says()
}

fn ending(name: &Path) -> &str {
    name.extension().and_then(|e| e.to_str()).unwrap_or_default()
}

/// A table of ours beside a manifest: predictions, or stills that were located.
fn table(
    clips: &BTreeSet<String>,
    mention: &Mention,
    path: &Path,
    shown: &str,
    kept: &mut BTreeMap<String, Vec<bool>>,
    removed: &mut Removed,
) -> Result<()> {
    if let Ok((mut rows, meta)) = manifest::read_predictions(path) {
        let stays: Vec<bool> = rows.iter().map(|r| !clips.contains(&r.clip_id)).collect();
        let before = rows.len();
        rows.retain(|r| !clips.contains(&r.clip_id));
        kept.insert(shown.replace("predictions-", "attention-").replace(".parquet", ""), stays);
        if rows.len() < before {
            removed.rows += before - rows.len();
            manifest::write_predictions(path, &rows, &meta)?;
        }
    } else if let Ok((rows, meta)) = manifest::read_located(path) {
        let (rows, changed) = unlocated(clips, rows);
        if changed > 0 {
            removed.rows += changed;
            manifest::write_located(path, &rows, &meta)?;
        }
        // The same as text, also when the one was written and the other not.
        let beside = path.with_extension("csv");
        if fs::read(&beside).is_ok_and(|text| mention.is_in(&String::from_utf8_lossy(&text))) {
            crate::atomic::write(&beside, &locate::to_csv(&rows)?)?;
        }
    }
    Ok(())
}

/// Stills without those that are frames of a clip; one that is not, but named it as the best candidate or
/// the runner-up, stays without it. And how many went or were changed.
fn unlocated(clips: &BTreeSet<String>, mut rows: Vec<LocatedRow>) -> (Vec<LocatedRow>, usize) {
    let is_gone = |id: &Option<String>| id.as_ref().is_some_and(|id| clips.contains(id));
    let before = rows.len();
    rows.retain(|row| row.status == LocatedStatus::NotFound || !is_gone(&row.clip_id));
    let mut changed = before - rows.len();
    for row in &mut rows {
        let (candidate, second) = (is_gone(&row.clip_id), is_gone(&row.runner_up_clip_id));
        if candidate {
            *row = LocatedRow {
                still: std::mem::take(&mut row.still),
                split: row.split,
                label: row.label,
                reason: row.reason.take(),
                ..LocatedRow::default()
            };
        } else if second {
            (row.runner_up_clip_id, row.runner_up_score) = (None, None);
        }
        changed += usize::from(candidate || second);
    }
    (rows, changed)
}

/// Lines without those that name a clip.
fn list(mention: &Mention, path: &Path, name: &Path, removed: &mut Removed) -> Result<()> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let (left, changed) = lists::without(mention, name, &text);
    if changed > 0 {
        removed.rows += changed;
        crate::atomic::write(path, left.as_bytes())?;
    }
    Ok(())
}

/// JSON without the elements that name a clip.
fn document(mention: &Mention, path: &Path, removed: &mut Removed) -> Result<()> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let Ok(mut value) = serde_json::from_slice::<Value>(&bytes) else { return Ok(()) };
    let before = removed.rows;
    prune(mention, &mut value, removed);
    if removed.rows > before {
        crate::atomic::write_json(path, &value)?;
    }
    Ok(())
}

fn names(mention: &Mention, value: &Value) -> bool {
    match value {
        Value::String(text) => mention.is_in(text),
        Value::Array(all) => all.iter().any(|v| names(mention, v)),
        Value::Object(all) => all.iter().any(|(k, v)| mention.is_in(k) || names(mention, v)),
        _ => false,
    }
}

/// Removes the smallest elements and entries that name a clip: a record that names it in one of its
/// fields goes as a whole.
fn prune(mention: &Mention, value: &mut Value, removed: &mut Removed) {
    match value {
        Value::Array(all) => {
            let before = all.len();
            all.retain(|v| !is_record(v) || !names(mention, v));
            removed.rows += before - all.len();
            all.iter_mut().for_each(|v| prune(mention, v, removed));
        }
        Value::Object(all) => prune_entries(mention, all, removed),
        _ => {}
    }
}

fn prune_entries(mention: &Mention, all: &mut Map<String, Value>, removed: &mut Removed) {
    let before = all.len();
    all.retain(|key, v| !(mention.is_in(key) || v.is_string() && names(mention, v)));
    removed.rows += before - all.len();
    all.values_mut().for_each(|v| prune(mention, v, removed));
}

/// A value without lists of its own in which to look further.
fn is_record(value: &Value) -> bool {
    match value {
        Value::Array(all) => all.iter().all(|v| !v.is_object() && !v.is_array()),
        Value::Object(all) => !all.values().any(Value::is_array),
        _ => true,
    }
}

/// A safetensors file whose rows are samples: by its own ids, or by the predictions beside it.
fn tensor_file(
    clips: &BTreeSet<String>,
    path: &Path,
    name: &Path,
    rows: &BTreeMap<String, Vec<bool>>,
    removed: &mut Removed,
) -> Result<()> {
    let damaged = || format!("{} is no safetensors file", path.display());
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let length = bytes.get(..8).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
    let length = length.and_then(|n| usize::try_from(n).ok()).with_context(damaged)?;
    let header = bytes.get(8..).and_then(|rest| rest.get(..length)).with_context(damaged)?;
    let data = &bytes[8 + length..];
    let mut header: Map<String, Value> = serde_json::from_slice(header).with_context(damaged)?;
    let ids = header.get("__metadata__").and_then(|m| m.get("clip_ids")).and_then(Value::as_str);
    let stays: Vec<bool> = match ids {
        Some(text) => {
            let ids: Vec<String> = serde_json::from_str(text).with_context(damaged)?;
            ids.iter().map(|id| !clips.contains(id)).collect()
        }
        None => {
            let stem = name.with_extension("").to_string_lossy().into_owned();
            let Some(stays) = rows.get(&stem) else { return Ok(()) };
            stays.clone()
        }
    };
    let gone = stays.iter().filter(|s| !**s).count();
    if gone == 0 {
        return Ok(());
    }
    removed.rows += gone;
    if let Some(Value::Object(meta)) = header.get_mut("__metadata__") {
        for key in ["sample_ids", "clip_ids", "group_ids"] {
            let Some(text) = meta.get(key).and_then(Value::as_str) else { continue };
            let ids: Vec<Value> = serde_json::from_str(text).with_context(damaged)?;
            let left: Vec<Value> =
                ids.into_iter().zip(&stays).filter(|(_, s)| **s).map(|(id, _)| id).collect();
            meta.insert(key.into(), serde_json::to_string(&left)?.into());
        }
    }
    let data = cut(&mut header, data, &stays).with_context(damaged)?;
    let mut text = serde_json::to_vec(&header)?;
    text.resize(text.len().next_multiple_of(8), b' ');
    crate::atomic::write_with(path, |out| {
        use std::io::Write;
        out.write_all(&(text.len() as u64).to_le_bytes())?;
        out.write_all(&text)?;
        Ok(out.write_all(&data)?)
    })
}

/// The data of the rows that stay; the header gets their shapes and places.
fn cut(header: &mut Map<String, Value>, data: &[u8], stays: &[bool]) -> Result<Vec<u8>> {
    let mut places: Vec<(usize, usize, String)> = Vec::new();
    for (name, info) in header.iter().filter(|(name, _)| *name != "__metadata__") {
        let offset =
            |k: usize| info["data_offsets"][k].as_u64().and_then(|v| usize::try_from(v).ok());
        let (start, end) = offset(0).zip(offset(1)).context("a tensor without place")?;
        ensure!(start <= end && end <= data.len(), "tensor {name} leaves the file");
        places.push((start, end, name.clone()));
    }
    places.sort();
    let mut out = Vec::new();
    for (start, end, name) in places {
        let info = &mut header[&name];
        let rows = info["shape"][0].as_u64().and_then(|n| usize::try_from(n).ok());
        ensure!(rows == Some(stays.len()), "tensor {name} has other rows");
        let from = out.len();
        let length = (end - start) / stays.len().max(1);
        for (k, _) in stays.iter().enumerate().filter(|(_, s)| **s) {
            out.extend_from_slice(&data[start + k * length..start + (k + 1) * length]);
        }
        info["shape"][0] = stays.iter().filter(|s| **s).count().into();
        info["data_offsets"] = serde_json::json!([from, out.len()]);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cut_out_of_tensors() {
        let mut header: Map<String, Value> = serde_json::from_value(serde_json::json!({
            "a": {"dtype": "U8", "shape": [3, 2], "data_offsets": [0, 6]},
            "label": {"dtype": "U8", "shape": [3], "data_offsets": [6, 9]},
        }))
        .expect("a header");
        let data = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        let left = cut(&mut header, &data, &[true, false, true]).expect("cut");
        assert_eq!(left, [1, 2, 5, 6, 7, 9]);
        assert_eq!(header["a"]["shape"], serde_json::json!([2, 2]));
        assert_eq!(header["label"]["data_offsets"], serde_json::json!([4, 6]));
        assert!(cut(&mut header, &left, &[true]).is_err());
    }

    #[test]
    fn stills_of_other_clips_stay() {
        let clips = BTreeSet::from(["train/Sad/1".to_owned()]);
        let row = |still: &str, clip: &str, second: Option<&str>, status| LocatedRow {
            still: still.into(),
            clip_id: Some(clip.into()),
            frame_index: Some(3),
            runner_up_clip_id: second.map(str::to_owned),
            runner_up_score: second.map(|_| 4.0),
            status,
            ..LocatedRow::default()
        };
        let (found, not_found) = (LocatedStatus::Found, LocatedStatus::NotFound);
        let (rows, changed) = unlocated(
            &clips,
            vec![
                row("a", "train/Sad/1", None, found),
                row("b", "train/Sad/12", Some("train/Sad/1"), found),
                row("c", "train/Sad/1", Some("train/Sad/12"), not_found),
                row("d", "train/Sad/12", Some("x"), not_found),
            ],
        );
        let wanted = vec![
            row("b", "train/Sad/12", None, found),
            LocatedRow { still: "c".into(), ..LocatedRow::default() },
            row("d", "train/Sad/12", Some("x"), not_found),
        ];
        assert_eq!((rows, changed), (wanted, 3));
    }

    #[test]
    fn a_page_that_names_a_clip_takes_its_pictures_along() {
        let clips = BTreeSet::from(["train/Sad/1".to_owned()]);
        let left = |page: &str| -> Vec<String> {
            let dir = tempfile::tempdir().expect("temp dir");
            let out = crate::folder::claim_standing(&dir.path().join("o"), "test").expect("claims");
            for (name, text) in [
                ("index.html", page),
                ("thumbs/00001.jpg", "x"),
                ("figures/faces.svg", "<svg/>"),
                ("video/train/Sad/1.mp4", "x"),
                ("video/train/Sad/12.mp4", "x"),
                ("tables/t.csv", "a,b\ntrain/Sad/1/000,2\n"),
            ] {
                out.write(name, text.as_bytes()).expect("writes");
            }
            clear(&clips, &Mention::of(&clips), &out, &mut Removed::default()).expect("clears");
            let names = out.names().into_iter().filter(|name| out.path().join(name).is_file());
            names.map(|name| name.to_string_lossy().into_owned()).collect()
        };
        let said = left("<p>train/Sad/1</p>");
        assert!(
            said.contains(&"tables/t.csv".into())
                && said.contains(&"video/train/Sad/12.mp4".into())
        );
        assert!(
            !said.iter().any(|n| ["html", "jpg", "svg"].contains(&ending(Path::new(n)))),
            "{said:?}"
        );
        let said = left("<p>train/Sad/12</p>");
        assert!(said.contains(&"thumbs/00001.jpg".into()), "{said:?}");
        assert!(!said.contains(&"video/train/Sad/1.mp4".into()), "{said:?}");
    }

    #[test]
    fn records_that_name_a_clip_go_and_others_stay() {
        let mention = Mention::of(&BTreeSet::from(["train/Sad/1".to_owned()]));
        let mut value = serde_json::json!({
            "pairs": [{"a": "train/Sad/1", "b": "x"}, {"a": "y", "b": "z"}],
            "train/Sad/1": 4, "n": 2, "deep": {"list": ["train/Sad/1/000", "train/Sad/12/000"]},
        });
        let mut removed = Removed::default();
        prune(&mention, &mut value, &mut removed);
        let left = serde_json::json!({
            "pairs": [{"a": "y", "b": "z"}], "n": 2, "deep": {"list": ["train/Sad/12/000"]},
        });
        assert_eq!((value, removed.rows), (left, 3));
    }
}
