//! Files that are either the old one or the whole new one: written beside and renamed.
use std::{
    fs::{self, File, OpenOptions},
    io::{BufWriter, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::digest::sha256_hex;

/// Removes the unfinished file when the write fails.
struct PartFile(PathBuf);

impl Drop for PartFile {
    fn drop(&mut self) {
        // After the rename there is nothing to remove.
        let _ = fs::remove_file(&self.0);
    }
}

/// The name under which `path` is written until it is whole: derived from its own name, so that
/// what a killed process leaves behind can be told from other people's files.
pub fn part_path(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default();
    path.with_file_name(format!(".part-{}", &sha256_hex(name.as_encoded_bytes())[..16]))
}

/// Writes `path` through `fill` so that it is either the old file or the whole new one. One
/// writer per path at a time.
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
    let part = PartFile(part_path(path));
    let mut file =
        create(&part.0).with_context(|| format!("cannot write into {}", folder.display()))?;
    let mut writer = BufWriter::new(&mut file);
    fill(&mut writer)
        .and_then(|()| writer.flush().map_err(Into::into))
        .with_context(|| format!("cannot write {}", path.display()))?;
    drop(writer);
    fs::rename(&part.0, path).with_context(|| format!("cannot write {}", path.display()))
}

/// A new file, readable too since packs are mapped, in place of what a killed process left there; a link is not followed.
fn create(part: &Path) -> std::io::Result<File> {
    let open = || OpenOptions::new().read(true).write(true).create_new(true).mode(0o644).open(part);
    match open() {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            fs::remove_file(part)?;
            open()
        }
        opened => opened,
    }
}

/// Writes `bytes` to `path` atomically; see `write_with`.
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

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

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
    fn what_a_killed_writer_left_is_replaced() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("a.txt");
        fs::write(part_path(&path), "half").expect("part");
        write(&path, b"whole").expect("write");
        assert_eq!(fs::read(&path).expect("there"), b"whole");
        assert!(!part_path(&path).exists());
    }
}
