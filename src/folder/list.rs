//! The list of the files that a folder's commands wrote.
use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Mutex,
};

use anyhow::{ensure, Context, Result};

use crate::atomic;

/// The list of the files that we wrote, a line each; folders end in `/`.
pub const FILES: &str = ".ncaers-files";
/// The first line of the list.
pub(super) const HEADER: &str = "ncaers-files 1";

/// The list in memory, and its file, to which names are added before they are written.
#[derive(Debug)]
pub(super) struct FileList {
    names: BTreeSet<Vec<u8>>,
}

impl FileList {
    pub(super) fn create(folder: &Path) -> Result<Mutex<Self>> {
        atomic::write(&folder.join(FILES), format!("{HEADER}\n").as_bytes())?;
        Ok(Mutex::new(FileList { names: BTreeSet::new() }))
    }

    pub(super) fn open(folder: &Path) -> Result<Mutex<Self>> {
        Ok(Mutex::new(FileList { names: FileList::read(folder)? }))
    }

    fn read(folder: &Path) -> Result<BTreeSet<Vec<u8>>> {
        let path = folder.join(FILES);
        let mut bytes = Vec::new();
        File::open(&path)
            .and_then(|mut file| file.read_to_end(&mut bytes))
            .with_context(|| format!("cannot read {}", path.display()))?;
        let mut lines = bytes.split_inclusive(|b| *b == b'\n');
        let header = lines.next().and_then(|line| line.strip_suffix(b"\n"));
        ensure!(header == Some(HEADER.as_bytes()), "{} is damaged", path.display());
        // A last line without its end was cut off before its file was made.
        let whole = lines.filter_map(|line| line.strip_suffix(b"\n"));
        Ok(whole.filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect())
    }

    pub(super) fn add(&mut self, folder: &Path, name: Vec<u8>) -> Result<()> {
        if self.names.contains(&name) {
            return Ok(());
        }
        let path = folder.join(FILES);
        // One write of one line: lines of several workers do not mix.
        let line = [name.as_slice(), b"\n"].concat();
        OpenOptions::new()
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(&line))
            .with_context(|| format!("cannot write {}", path.display()))?;
        self.names.insert(name);
        Ok(())
    }

    /// Takes in what others have added to the file.
    pub(super) fn learn(&mut self, folder: &Path) -> Result<()> {
        self.names.extend(FileList::read(folder)?);
        Ok(())
    }

    /// Files, not folders.
    pub(super) fn iter(&self) -> impl Iterator<Item = PathBuf> + '_ {
        self.names.iter().filter(|name| !name.ends_with(b"/")).map(|name| decode(name))
    }

    pub(super) fn has_file(&self, file: &Path) -> bool {
        self.names.contains(&encode(file, false))
    }

    pub(super) fn has_folder(&self, folder: &Path) -> bool {
        self.names.contains(&encode(folder, true))
    }

    pub(super) fn remove(&mut self, name: &Path) {
        self.names.remove(&encode(name, false));
    }

    pub(super) fn remove_folder(&mut self, folder: &Path) {
        self.names.remove(&encode(folder, true));
    }

    pub(super) fn text(&self) -> Vec<u8> {
        let mut text = format!("{HEADER}\n").into_bytes();
        for name in &self.names {
            text.extend_from_slice(name);
            text.push(b'\n');
        }
        text
    }
}

/// A path as a line: line breaks and backslashes escaped, a `/` behind folders.
pub(super) fn encode(path: &Path, is_folder: bool) -> Vec<u8> {
    let mut line = Vec::new();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\\' => line.extend_from_slice(b"\\\\"),
            byte => line.push(*byte),
        }
    }
    if is_folder {
        line.push(b'/');
    }
    line
}

pub(super) fn decode(line: &[u8]) -> PathBuf {
    let (mut bytes, mut rest) = (Vec::new(), line.iter());
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next() {
                Some(b'n') => b'\n',
                _ => b'\\',
            },
            byte => *byte,
        });
    }
    PathBuf::from(OsStr::from_bytes(&bytes))
}
