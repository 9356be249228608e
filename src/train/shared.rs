//! Encoders of stage 1, shared between the runs of a grid.
//!
//! Runs that differ only behind the encoders train the same encoders first. An encoder is kept
//! under the digest of everything that its bits depend on, its fresh weights included, so that a
//! run ends in the same bytes with and without sharing.
use std::{
    collections::BTreeMap,
    fs::{File, TryLockError},
    path::{Path, PathBuf},
};

use anyhow::{bail, Context, Result};
use serde_json::json;
use tch::Tensor;

use super::checkpoint::{read_tensors, write_tensors};
use crate::{
    digest, folder,
    runs::{self, EpochRow},
};

/// A trained encoder: its tensors by name and the rows of its epochs.
pub(super) type Encoder = (BTreeMap<String, Tensor>, Vec<EpochRow>);

/// One encoder's place in the folder.
#[derive(Debug)]
pub(super) struct EncoderPlace {
    file: PathBuf,
    lock: PathBuf,
}

/// The right to train an encoder; others wait until it is dropped.
#[derive(Debug)]
pub(super) struct Claim(#[expect(dead_code, reason = "held, never read")] File);

impl EncoderPlace {
    /// The place of an encoder that depends on `cause` and starts from the `fresh` tensors.
    pub fn of(
        folder: &Path,
        cause: &serde_json::Value,
        fresh: &BTreeMap<String, Tensor>,
    ) -> Result<Self> {
        let folder = folder::claim_shared(folder, "stage-1 encoders")?;
        let start = tempfile::NamedTempFile::new().context("cannot make a temporary file")?;
        write_tensors(start.path(), fresh.iter().map(|(n, t)| (n.clone(), t)), "{}")?;
        let start = digest::sha256_file(start.path())?;
        let key = digest::sha256_hex(json!([cause, start]).to_string().as_bytes());
        let place = |end: &str| folder.target(format!("{}.{end}", &key[..32]));
        Ok(EncoderPlace { file: place("safetensors")?, lock: place("lock")? })
    }

    /// The trained encoder, when somebody has finished it.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn load(&self) -> Result<Option<Encoder>> {
        if !self.file.exists() {
            return Ok(None);
        }
        let (tensors, rows) = read_tensors(&self.file)?;
        let rows = runs::epochs_from_csv(rows.as_bytes())
            .with_context(|| format!("{} is damaged; remove it", self.file.display()))?;
        Ok(Some((tensors.into_iter().collect(), rows)))
    }

    /// Keeps a trained encoder for others.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn store(&self, tensors: &BTreeMap<String, Tensor>, rows: &[EpochRow]) -> Result<()> {
        let named = tensors.iter().map(|(name, tensor)| (name.clone(), tensor));
        write_tensors(&self.file, named, &String::from_utf8(runs::epochs_to_csv(rows)?)?)
    }

    /// The right to train it, or `None` while another process does; ends with that process,
    /// however it dies.
    ///
    /// # Errors
    /// When the lock file cannot be made.
    pub fn claim(&self) -> Result<Option<Claim>> {
        let file = File::options().create(true).truncate(false).write(true).open(&self.lock);
        let file = file.with_context(|| format!("cannot write {}", self.lock.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Claim(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => bail!("cannot lock {}: {e}", self.lock.display()),
        }
    }
}
