//! Output folders: the only way in which a command writes more than one file.
//!
//! [`claim`] takes a folder that is missing, empty or ours and refuses any other by the name of
//! its first foreign entry. A claimed folder holds a record of the configuration, a list of every
//! file that was written into it ([`FILES`]), and, once it is complete, a mark. Only files of that
//! list are ever replaced or removed, and no link below the folder is followed.
use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, File, TryLockError},
    io::{BufWriter, ErrorKind},
    path::{Component, Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::{bail, ensure, Context, Result};
use serde_json::Value;

use crate::atomic;
use list::{encode, FileList, HEADER};

mod list;

pub use list::FILES;

/// The record of the configuration.
const CONFIGURATION: &str = "configuration.json";
/// The mark that says the folder is complete.
const FINISHED: &str = "finished";
/// Held by the one process that writes.
const LOCK: &str = ".lock";

/// What a folder is to the command that wants it.
#[derive(Debug)]
pub enum Claim {
    /// It holds the finished result of the same configuration.
    Done,
    /// It was missing or empty and is now ours.
    Fresh(OutputFolder),
    /// It holds an interrupted run of the same configuration.
    Resume(OutputFolder),
}

/// What an output folder already holds, looked up without touching it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FolderState {
    /// Nothing.
    Empty,
    /// An interrupted run of the same configuration.
    Interrupted,
    /// A finished run of the same configuration.
    Finished,
}

/// Takes `out` for a run of `configuration`. The right to write ends with the value, or with the
/// process however it dies.
///
/// # Errors
/// When `out` is no folder, holds entries that are not ours (the first is named), was made with
/// another configuration (the differing keys are shown), is in use, or cannot be written. Nothing
/// is changed then.
pub fn claim(out: &Path, configuration: &Value) -> Result<Claim> {
    if state(out, configuration)? == FolderState::Finished {
        return Ok(Claim::Done);
    }
    fs::create_dir_all(out).with_context(|| format!("cannot make folder {}", out.display()))?;
    let lock = Lock::acquire(out)?;
    // Another process may have finished between the look and the lock.
    match state(out, configuration)? {
        FolderState::Finished => Ok(Claim::Done),
        FolderState::Empty => OutputFolder::begin(out, lock, configuration).map(Claim::Fresh),
        FolderState::Interrupted => OutputFolder::resume(out, Some(lock)).map(Claim::Resume),
    }
}

/// Takes a folder that is never finished: each time the command runs, it goes on there. `purpose`
/// says what the folder is for (`run`, `report`, ...).
///
/// # Errors
/// As [`claim`].
pub fn claim_standing(out: &Path, purpose: &str) -> Result<OutputFolder> {
    match claim(out, &serde_json::json!({ "folder": purpose }))? {
        Claim::Fresh(folder) | Claim::Resume(folder) => Ok(folder),
        Claim::Done => bail!("{} is marked as finished; choose another folder", out.display()),
    }
}

/// Refuses what [`claim_standing`] would refuse, without touching the folder: for work that ends
/// there hours later.
///
/// # Errors
/// As [`claim`], but for the folder being in use.
pub fn check_standing(out: &Path, purpose: &str) -> Result<()> {
    state(out, &serde_json::json!({ "folder": purpose })).map(drop)
}

/// Joins a folder into which several processes write at once, each its own files, making it when
/// it is missing.
///
/// # Errors
/// As [`claim`], but for the folder being in use.
pub fn claim_shared(out: &Path, purpose: &str) -> Result<OutputFolder> {
    let configuration = serde_json::json!({ "folder": purpose });
    if state(out, &configuration)? == FolderState::Empty {
        fs::create_dir_all(out).with_context(|| format!("cannot make folder {}", out.display()))?;
        let lock = Lock::wait(out)?;
        if state(out, &configuration)? == FolderState::Empty {
            drop(OutputFolder::begin(out, lock, &configuration)?);
        }
    }
    OutputFolder::join(out)
}

/// Whether `out` is marked as finished, with whatever configuration: only then is it worth finding
/// out cheaply whether [`claim`] will say [`Claim::Done`].
pub fn is_finished(out: &Path) -> bool {
    is_file(&out.join(FINISHED))
}

/// What `out` holds, compared with the configuration that is about to be written into it.
///
/// # Errors
/// When [`claim`] would refuse the folder.
pub fn state(out: &Path, configuration: &Value) -> Result<FolderState> {
    if let Some(foreign) = first_foreign(out)? {
        bail!(
            "{} already holds other files ({}); choose another folder",
            out.display(),
            foreign.display()
        );
    }
    let Some(found) = self::configuration(out)? else { return Ok(FolderState::Empty) };
    let differing = differing_keys(&found, configuration);
    ensure!(
        differing.is_empty(),
        "{} was made with another configuration ({}); choose another folder or remove it",
        out.display(),
        differing.join(", ")
    );
    let finished = is_file(&out.join(FINISHED));
    ensure!(
        finished || is_file(&out.join(FILES)),
        "{} was begun by an earlier version; choose another folder",
        out.display()
    );
    Ok(if finished { FolderState::Finished } else { FolderState::Interrupted })
}

/// The configuration that `folder` was begun with; `None` when it is nothing of ours.
///
/// # Errors
/// When the record is damaged.
pub fn configuration(folder: &Path) -> Result<Option<Value>> {
    let path = folder.join(CONFIGURATION);
    let Ok(text) = fs::read_to_string(&path) else { return Ok(None) };
    serde_json::from_str(&text)
        .map(Some)
        .with_context(|| format!("{} is no record of this program", path.display()))
}

/// The first entry, in name order, of a folder that has no record of ours.
fn first_foreign(out: &Path) -> Result<Option<PathBuf>> {
    let failed = || format!("cannot read folder {}", out.display());
    match fs::metadata(out) {
        Ok(found) if !found.is_dir() => bail!("{} is a file; name a folder", out.display()),
        Ok(_) => {}
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            // Anything else has been made since by another process.
            let dangling = fs::symlink_metadata(out).is_ok_and(|found| found.is_symlink());
            ensure!(!dangling, "{} is a link to nothing", out.display());
            return Ok(None);
        }
        Err(error) => return Err(error).with_context(failed),
    }
    if is_file(&out.join(CONFIGURATION)) {
        return Ok(None);
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(out).with_context(failed)? {
        names.push(entry.with_context(failed)?.file_name());
    }
    // A claim leaves these before its record is written, be it interrupted or just being made by
    // another process; what that one renames between the listing and the look is gone.
    let is_part_of = |name: &OsStr, target: &str| {
        let part = atomic::part_path(&out.join(target));
        part.file_name() == Some(name) && is_file(&part)
    };
    let is_gone = |name: &OsStr| {
        fs::symlink_metadata(out.join(name)).is_err_and(|e| e.kind() == ErrorKind::NotFound)
    };
    let ours = |name: &OsStr| match name.to_str() {
        Some(LOCK) => is_file(&out.join(LOCK)),
        Some(FILES) => fs::read_to_string(out.join(FILES)).is_ok_and(|t| t.starts_with(HEADER)),
        Some(CONFIGURATION) => is_file(&out.join(CONFIGURATION)),
        _ => is_part_of(name, CONFIGURATION) || is_part_of(name, FILES) || is_gone(name),
    };
    names.retain(|name| !ours(name));
    // Since the first look another process may have made it and written files of its own.
    if is_file(&out.join(CONFIGURATION)) {
        return Ok(None);
    }
    Ok(names.into_iter().min().map(PathBuf::from))
}

/// A regular file, not a link to one.
fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file())
}

/// The exclusive right to write into a folder; ends with the value or the process.
#[derive(Debug)]
struct Lock {
    _file: File,
}

impl Lock {
    fn open(folder: &Path) -> Result<File> {
        File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join(LOCK))
            .with_context(|| format!("cannot write into {}", folder.display()))
    }

    /// Waits for whoever holds it.
    fn wait(folder: &Path) -> Result<Self> {
        let file = Lock::open(folder)?;
        file.lock().with_context(|| format!("cannot lock {}", folder.display()))?;
        Ok(Lock { _file: file })
    }

    fn acquire(folder: &Path) -> Result<Self> {
        let file = Lock::open(folder)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => {
                bail!("{} is in use by another ncaers process; wait for it", folder.display())
            }
            Err(TryLockError::Error(e)) => {
                Err(e).with_context(|| format!("cannot lock {}", folder.display()))
            }
        }
    }
}

/// A folder that this process may write into.
#[derive(Debug)]
pub struct OutputFolder {
    path: PathBuf,
    /// `None` in a helper process of the one that holds it.
    _lock: Option<Lock>,
    files: Mutex<FileList>,
}

impl OutputFolder {
    fn begin(out: &Path, lock: Lock, configuration: &Value) -> Result<Self> {
        let folder =
            OutputFolder { path: out.to_owned(), _lock: Some(lock), files: FileList::create(out)? };
        atomic::write_json(&out.join(CONFIGURATION), configuration)?;
        Ok(folder)
    }

    fn resume(out: &Path, lock: Option<Lock>) -> Result<Self> {
        let is_owner = lock.is_some();
        let folder =
            OutputFolder { path: out.to_owned(), _lock: lock, files: FileList::open(out)? };
        if is_owner {
            folder.remove_parts()?;
        }
        Ok(folder)
    }

    /// Reopens a folder of ours to add to it, whatever its configuration.
    ///
    /// # Errors
    /// When it is not ours, is in use or cannot be written.
    pub fn reopen(out: &Path) -> Result<Self> {
        ensure_ours(out)?;
        OutputFolder::resume(out, Some(Lock::acquire(out)?))
    }

    /// Joins the process that holds the folder, as a worker of it; takes no lock.
    ///
    /// # Errors
    /// When the folder is not ours.
    pub fn join(out: &Path) -> Result<Self> {
        ensure_ours(out)?;
        OutputFolder::resume(out, None)
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file that is about to be written: its folders are made, and the list names
    /// it from now on. Write it with [`atomic`], so that no link is followed.
    ///
    /// # Errors
    /// When `relative` leaves the folder, passes through a link, or names something that this
    /// program did not write.
    pub fn target(&self, relative: impl AsRef<Path>) -> Result<PathBuf> {
        let relative = relative.as_ref();
        let path = below(&self.path, relative)?;
        self.make_folders(relative.parent().unwrap_or(Path::new("")))?;
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => self.list(relative, false)?,
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()))
            }
            Ok(found) => ensure!(
                found.is_file() && self.has(relative)?,
                "{} was not written by this program and is not replaced; move it away",
                path.display()
            ),
        }
        Ok(path)
    }

    /// A folder below this one, made where it is missing.
    ///
    /// # Errors
    /// When it leaves the folder, is or passes through a link, or cannot be made.
    pub fn folder(&self, relative: impl AsRef<Path>) -> Result<PathBuf> {
        let relative = relative.as_ref();
        let path = below(&self.path, relative)?;
        self.make_folders(relative)?;
        Ok(path)
    }

    /// Writes a file below the folder, atomically.
    ///
    /// # Errors
    /// As [`OutputFolder::target`], and when it cannot be written.
    pub fn write(&self, relative: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
        atomic::write(&self.target(relative)?, bytes)
    }

    /// Writes `value` as indented JSON, atomically.
    ///
    /// # Errors
    /// As [`OutputFolder::write`].
    pub fn write_json<T: serde::Serialize>(
        &self,
        relative: impl AsRef<Path>,
        value: &T,
    ) -> Result<()> {
        atomic::write_json(&self.target(relative)?, value)
    }

    /// Writes a file through `fill`, atomically.
    ///
    /// # Errors
    /// As [`OutputFolder::write`], and when `fill` fails.
    pub fn write_with<F>(&self, relative: impl AsRef<Path>, fill: F) -> Result<()>
    where
        F: FnOnce(&mut BufWriter<&mut File>) -> Result<()>,
    {
        atomic::write_with(&self.target(relative)?, fill)
    }

    /// Puts the file `source` at `relative`: a hard link where the file system allows, since
    /// finished files are never written in place, and a copy of `bytes` otherwise.
    ///
    /// # Errors
    /// As [`OutputFolder::write`].
    pub fn link_or_copy(
        &self,
        source: &Path,
        bytes: impl FnOnce() -> Result<Vec<u8>>,
        relative: impl AsRef<Path>,
    ) -> Result<()> {
        let target = self.target(relative)?;
        match fs::remove_file(&target) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot replace {}", target.display()))
            }
            _ => {}
        }
        let linked = fs::canonicalize(source).and_then(|real| fs::hard_link(real, &target));
        linked.or_else(|_| atomic::write(&target, &bytes()?))
    }

    /// Removes the files of the list that `keep` does not want, and the folders that get empty by
    /// it. Names are relative, with `/` between the parts.
    ///
    /// # Errors
    /// When a file cannot be removed or lies behind a link.
    pub fn retain(&self, keep: impl Fn(&Path) -> bool) -> Result<()> {
        self.learn_of_others()?;
        let names: Vec<PathBuf> = self.files().iter().collect();
        let mut emptied = BTreeSet::new();
        for name in names.iter().filter(|name| !keep(name)) {
            self.refuse_links(name.parent().unwrap_or(Path::new("")))?;
            let path = self.path.join(name);
            match fs::symlink_metadata(&path) {
                // What took its place is not ours.
                Ok(found) if !found.is_file() => continue,
                Ok(_) => fs::remove_file(&path)
                    .with_context(|| format!("cannot remove {}", path.display()))?,
                Err(_) => {}
            }
            self.files().remove(name);
            emptied.extend(name.ancestors().skip(1).map(Path::to_owned));
        }
        // Deepest first; a folder that holds anything stays.
        for folder in emptied.iter().rev().filter(|f| !f.as_os_str().is_empty()) {
            if !self.files().has_folder(folder) {
                continue;
            }
            match fs::remove_dir(self.path.join(folder)) {
                // Whoever was killed before writing the list has removed it already.
                Err(error) if error.kind() != ErrorKind::NotFound => {}
                _ => self.files().remove_folder(folder),
            }
        }
        let list = self.files().text();
        atomic::write(&self.path.join(FILES), &list)
    }

    /// The files that this program wrote here, in order.
    pub fn names(&self) -> Vec<PathBuf> {
        self.files().iter().collect()
    }

    /// Whether `relative` is a file that this program wrote here.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub fn has(&self, relative: &Path) -> Result<bool> {
        if self.files().has_file(relative) {
            return Ok(true);
        }
        self.learn_of_others()?;
        Ok(self.files().has_file(relative))
    }

    /// Workers beside this process add to the list, too.
    fn learn_of_others(&self) -> Result<()> {
        self.files().learn(&self.path)
    }

    /// Marks the folder as complete.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(&self) -> Result<()> {
        self.learn_of_others()?;
        let list = self.files().text();
        // In order, whoever wrote first, so that the same result has the same list.
        atomic::write(&self.path.join(FILES), &list)?;
        atomic::write(&self.path.join(FINISHED), b"")
    }

    fn files(&self) -> MutexGuard<'_, FileList> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn list(&self, relative: &Path, is_folder: bool) -> Result<()> {
        self.files().add(&self.path, encode(relative, is_folder))
    }

    fn make_folders(&self, relative: &Path) -> Result<()> {
        let mut so_far = PathBuf::new();
        for part in relative.components() {
            so_far.push(part);
            let path = self.path.join(&so_far);
            match fs::symlink_metadata(&path) {
                Ok(found) => ensure_folder(&path, &found)?,
                Err(_) => {
                    self.list(&so_far, true)?;
                    match fs::create_dir(&path) {
                        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                            return Err(error)
                                .with_context(|| format!("cannot make folder {}", path.display()))
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    }

    fn refuse_links(&self, relative: &Path) -> Result<()> {
        let mut path = self.path.clone();
        for part in relative.components() {
            path.push(part);
            if let Ok(found) = fs::symlink_metadata(&path) {
                ensure_folder(&path, &found)?;
            }
        }
        Ok(())
    }

    /// Removes what a killed writer of a listed file left beside it.
    fn remove_parts(&self) -> Result<()> {
        let names: Vec<PathBuf> = self.files().iter().collect();
        for name in names {
            let part = atomic::part_path(&self.path.join(&name));
            let folder = name.parent().unwrap_or(Path::new(""));
            if is_file(&part) && self.refuse_links(folder).is_ok() {
                fs::remove_file(&part)
                    .with_context(|| format!("cannot remove {}", part.display()))?;
            }
        }
        Ok(())
    }
}

fn ensure_folder(path: &Path, found: &fs::Metadata) -> Result<()> {
    ensure!(
        !found.is_symlink(),
        "{} is a link; nothing is written or removed through it",
        path.display()
    );
    ensure!(found.is_dir(), "{} is a file where a folder has to be", path.display());
    Ok(())
}

fn ensure_ours(out: &Path) -> Result<()> {
    ensure!(
        is_file(&out.join(FILES)),
        "{} was not made by this version of ncaers; nothing is added to it",
        out.display()
    );
    Ok(())
}

/// Every leaf in which two JSON objects differ, as `key: old -> new`, in key order.
pub fn differing_keys(old: &Value, new: &Value) -> Vec<String> {
    fn walk(prefix: &str, old: &Value, new: &Value, out: &mut Vec<String>) {
        match (old, new) {
            (Value::Object(a), Value::Object(b)) => {
                let keys: BTreeSet<_> = a.keys().chain(b.keys()).collect();
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

/// `relative` below `root`, refused when it would leave it.
///
/// # Errors
/// When `relative` is empty, absolute or contains `..`.
pub fn below(root: &Path, relative: impl AsRef<Path>) -> Result<PathBuf> {
    let relative = relative.as_ref();
    let inside = relative.components().all(|c| matches!(c, Component::Normal(_)));
    ensure!(
        inside && !relative.as_os_str().is_empty(),
        "path `{}` leaves the folder {}",
        relative.display(),
        root.display()
    );
    Ok(root.join(relative))
}

#[cfg(test)]
mod tests;
