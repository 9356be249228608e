//! A file of JSON lines that is appended to as results come, and read when work goes on.
//!
//! A line counts when it is whole, so a process killed while writing loses one result at most.
use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{de::DeserializeOwned, Serialize};

use crate::folder::OutputFolder;

/// A file of lines, open at its end.
#[derive(Debug)]
pub(super) struct Lines {
    path: PathBuf,
    file: File,
}

impl Lines {
    /// Opens or makes `name` in a folder, giving what its whole lines hold to `found`; half a line at
    /// its end is cut off, as is all from the first line on that is none of ours.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub(super) fn open<T: DeserializeOwned>(
        folder: &OutputFolder,
        name: &str,
        found: impl FnMut(T),
    ) -> Result<Self> {
        let path = folder.target(name)?;
        let failed = || format!("cannot write {}", path.display());
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .with_context(failed)?;
        let whole = parse(BufReader::new(&file), found).with_context(failed)?;
        file.set_len(whole).with_context(failed)?;
        file.seek(SeekFrom::End(0)).with_context(failed)?;
        Ok(Lines { path, file })
    }

    /// Gives what a file's whole lines hold to `found`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn read<T: DeserializeOwned>(path: &Path, found: impl FnMut(T)) -> Result<()> {
        let failed = || format!("cannot read {}", path.display());
        let file = File::open(path).with_context(failed)?;
        parse(BufReader::new(file), found).with_context(failed)?;
        Ok(())
    }

    /// Writes a result.
    ///
    /// # Errors
    /// When the disk is full or gone.
    pub(super) fn append(&mut self, result: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_string(result)?;
        line.push('\n');
        self.file
            .write_all(line.as_bytes())
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
}

/// How many bytes the whole lines of ours are.
fn parse<T: DeserializeOwned>(
    mut text: impl BufRead,
    mut found: impl FnMut(T),
) -> std::io::Result<u64> {
    let (mut whole, mut line) = (0, Vec::new());
    while text.read_until(b'\n', &mut line)? > 0 {
        let result = line.ends_with(b"\n").then(|| serde_json::from_slice::<T>(&line));
        let Some(Ok(result)) = result else { break };
        found(result);
        whole += line.len() as u64;
        line.clear();
    }
    Ok(whole)
}
