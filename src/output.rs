//! How results reach the disk: written beside and renamed, one writer per folder, and a record of
//! the configuration so that a finished folder is recognised and a foreign one refused.
use std::{
    fs::{self, File, TryLockError},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::{bail, Context, Result};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Writes `path` through `fill` so that it is either the old file or the whole new one.
///
/// # Errors
/// When the folder cannot be made or written, or when `fill` fails; `path` is then untouched.
pub fn write_with<F>(path: &Path, fill: F) -> Result<()>
where
    F: FnOnce(&mut BufWriter<&mut File>) -> Result<()>,
{
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot make folder {}", folder.display()))?;
    let mut beside = tempfile::Builder::new()
        .prefix(".part-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(folder)
        .with_context(|| format!("cannot write into {}", folder.display()))?;
    let mut writer = BufWriter::new(beside.as_file_mut());
    fill(&mut writer)
        .and_then(|()| writer.flush().map_err(Into::into))
        .with_context(|| format!("cannot write {}", path.display()))?;
    drop(writer);
    beside.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}

/// Writes `bytes` to `path` atomically; see [`write_with`].
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, |w| Ok(w.write_all(bytes)?))
}

/// Writes `value` as indented JSON with a final newline, atomically.
pub fn write_json<T: serde::Serialize>(path: &Path, value: &T) -> Result<()> {
    write_with(path, |w| {
        serde_json::to_writer_pretty(&mut *w, value)?;
        Ok(w.write_all(b"\n")?)
    })
}

/// Lower-case hex SHA-256 of `bytes`.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case hex SHA-256 of a file's bytes.
///
/// # Errors
/// When the file cannot be read.
pub fn sha256_file(path: &Path) -> Result<String> {
    let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = std::io::Read::read(&mut file, &mut buffer)
            .with_context(|| format!("cannot read {}", path.display()))?;
        if n == 0 {
            return Ok(hex(&digest.finalize()));
        }
        digest.update(&buffer[..n]);
    }
}

/// Lower-case hex of bytes.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The exclusive right to write into a folder; ends with the value, or with the process however
/// it dies.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes the lock of `folder`, making the folder when it is missing.
    ///
    /// # Errors
    /// When another process holds it or the folder cannot be written.
    pub fn acquire(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make folder {}", folder.display()))?;
        let path = folder.join(".lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(|| format!("cannot write into {}", folder.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(FolderLock { _file: file }),
            Err(TryLockError::WouldBlock) => {
                bail!("{} is in use by another ncaers process; wait for it", folder.display())
            }
            Err(TryLockError::Error(e)) => Err(e).with_context(|| format!("cannot lock {path:?}")),
        }
    }
}

/// What an output folder already holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing of ours.
    Empty,
    /// An interrupted run of the same configuration.
    Interrupted,
    /// A finished run of the same configuration.
    Finished,
}

/// The name of the configuration record inside an output folder.
const CONFIGURATION: &str = "configuration.json";
/// The name of the mark that says the folder is complete.
const FINISHED: &str = "finished";

/// The configuration that `folder` was begun with; `None` when it is nothing of ours.
///
/// # Errors
/// When the record is damaged.
pub fn configuration(folder: &Path) -> Result<Option<Value>> {
    let path = folder.join(CONFIGURATION);
    let Ok(text) = fs::read_to_string(&path) else { return Ok(None) };
    serde_json::from_str(&text)
        .map(Some)
        .with_context(|| format!("{} is damaged; remove the folder", path.display()))
}

/// Compares `folder` with the configuration that is about to be written into it.
///
/// # Errors
/// When the folder holds another configuration; the message lists every differing key with both
/// values.
pub fn state(folder: &Path, configuration: &Value) -> Result<State> {
    let Some(found) = self::configuration(folder)? else { return Ok(State::Empty) };
    let differing = differing_keys(&found, configuration);
    if !differing.is_empty() {
        bail!(
            "{} was made with another configuration ({}); choose another folder or remove it",
            folder.display(),
            differing.join(", ")
        );
    }
    let finished = folder.join(FINISHED).exists();
    Ok(if finished { State::Finished } else { State::Interrupted })
}

/// Checks that `folder` is missing, empty or made by this program, before anything is put into it.
///
/// # Errors
/// When it is no folder or holds files but no record of a configuration.
pub fn ensure_ours(folder: &Path) -> Result<()> {
    if !folder.exists() || folder.join(CONFIGURATION).exists() {
        return Ok(());
    }
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read folder {}", folder.display()))?;
    let foreign = entries.flatten().map(|e| e.file_name()).find(|name| name != ".lock");
    match foreign {
        Some(name) => bail!(
            "{} already holds other files ({}); choose another folder",
            folder.display(),
            name.to_string_lossy()
        ),
        None => Ok(()),
    }
}

/// Records the configuration of the run that is about to fill `folder`.
pub fn begin(folder: &Path, configuration: &Value) -> Result<()> {
    write_json(&folder.join(CONFIGURATION), configuration)
}

/// Marks `folder` as complete.
pub fn finish(folder: &Path) -> Result<()> {
    write(&folder.join(FINISHED), b"")
}

/// Every leaf in which two JSON objects differ, as `key: old -> new`, in key order.
pub fn differing_keys(old: &Value, new: &Value) -> Vec<String> {
    fn walk(prefix: &str, old: &Value, new: &Value, out: &mut Vec<String>) {
        match (old, new) {
            (Value::Object(a), Value::Object(b)) => {
                let keys: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
                for key in keys {
                    let name =
                        if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                    let of = |m: &serde_json::Map<_, _>| m.get(key).cloned().unwrap_or_default();
                    walk(&name, &of(a), &of(b), out);
                }
            }
            (a, b) if a != b => out.push(format!("{prefix}: {a} -> {b}")),
            _ => {}
        }
    }
    let mut out = Vec::new();
    walk("", old, new, &mut out);
    out
}

/// A name from outside made safe as one path component: letters, digits, `.`, `_` and `-` stay,
/// anything else becomes `_`, and a leading dot or dash is replaced.
pub fn safe_component(name: &str) -> String {
    let mut safe: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' })
        .take(80)
        .collect();
    if safe.is_empty() || safe.starts_with(['.', '-']) {
        safe.insert(0, '_');
    }
    safe
}

/// `path` below `root`, refused when it would leave it.
///
/// # Errors
/// When `relative` is absolute or contains `..`.
pub fn below(root: &Path, relative: &str) -> Result<PathBuf> {
    let path = Path::new(relative);
    let inside = path.components().all(|c| matches!(c, std::path::Component::Normal(_)));
    if !inside || relative.is_empty() {
        bail!("path `{relative}` leaves the folder {}", root.display());
    }
    Ok(root.join(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_part() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("a.txt");
        write(&path, b"old").expect("first write");
        let failed = write_with(&path, |w| {
            w.write_all(b"half")?;
            bail!("boom")
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&path).expect("still there"), b"old");
        assert_eq!(fs::read_dir(dir.path()).expect("list").count(), 1);
    }

    #[test]
    fn a_second_writer_is_refused() {
        let dir = tempfile::tempdir().expect("temp dir");
        let held = FolderLock::acquire(dir.path()).expect("free");
        let second = FolderLock::acquire(dir.path()).expect_err("held");
        assert!(second.to_string().contains("in use"), "{second}");
        drop(held);
        FolderLock::acquire(dir.path()).expect("free again");
    }

    #[test]
    fn states_of_a_folder() {
        let dir = tempfile::tempdir().expect("temp dir");
        let config = json!({"seed": 1, "split": {"train": 70}});
        assert_eq!(state(dir.path(), &config).expect("empty"), State::Empty);
        begin(dir.path(), &config).expect("begin");
        assert_eq!(state(dir.path(), &config).expect("same"), State::Interrupted);
        finish(dir.path()).expect("finish");
        assert_eq!(state(dir.path(), &config).expect("same"), State::Finished);
        let other = json!({"seed": 1, "split": {"train": 60}});
        let refused = state(dir.path(), &other).expect_err("other").to_string();
        assert!(refused.contains("split.train: 70 -> 60"), "{refused}");
    }

    #[test]
    fn foreign_folders_are_left_alone() {
        let dir = tempfile::tempdir().expect("temp dir");
        ensure_ours(&dir.path().join("missing")).expect("missing");
        drop(FolderLock::acquire(dir.path()).expect("free"));
        ensure_ours(dir.path()).expect("empty but for the lock");
        write(&dir.path().join("thesis.txt"), b"x").expect("write");
        let refused = ensure_ours(dir.path()).expect_err("foreign").to_string();
        assert!(refused.contains("thesis.txt"), "{refused}");
        begin(dir.path(), &json!({})).expect("begin");
        ensure_ours(dir.path()).expect("ours");
    }

    #[test]
    fn names_cannot_escape() {
        assert_eq!(safe_component("../a b"), "_.._a_b");
        assert_eq!(safe_component("-rf"), "_-rf");
        let root = Path::new("/data");
        assert!(below(root, "../x").is_err());
        assert!(below(root, "/x").is_err());
        assert_eq!(below(root, "a/b").expect("inside"), Path::new("/data/a/b"));
    }
}
