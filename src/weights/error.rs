//! The ways in which a weights file can be wrong.
use std::path::PathBuf;

/// A weights file that cannot be used; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read weights {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is none of the known formats, is cut off or contradicts itself.
    #[error("weights {path} are damaged: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not hold.
        reason: String,
    },
    /// The pickle names a function that no state dict needs; it was not called.
    #[error("weights {path} name `{global}`, which would run code; do not use this file")]
    Hostile {
        /// The file.
        path: PathBuf,
        /// `module.function`.
        global: String,
    },
    /// A tensor holds NaN or infinity.
    #[error("tensor `{name}` {shape:?} of {path} holds {count} values that are not finite")]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<i64>,
        /// How many values.
        count: i64,
    },
    /// Names or shapes differ from the network's.
    #[error("weights {path} do not fit {network}: {mismatch}; nothing was loaded")]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// The network's name.
        network: String,
        /// Everything that differs.
        mismatch: Box<Mismatch>,
    },
    /// LibTorch refused.
    #[error("weights {path}: {reason}")]
    Torch {
        /// The file.
        path: PathBuf,
        /// LibTorch's reason, first line.
        reason: String,
    },
}

/// Every difference between the tensors of a file and those of a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Mismatch {
    /// Tensors of the network that the file lacks, with the network's shape.
    pub missing: Vec<(String, Vec<i64>)>,
    /// Tensors of the file that the network lacks, with the file's shape.
    pub unexpected: Vec<(String, Vec<i64>)>,
    /// Tensors of both whose shapes differ: name, the network's, the file's.
    pub misshapen: Vec<(String, Vec<i64>, Vec<i64>)>,
    /// Whether all differences lie in the head, so that `new_head` would help.
    pub head_only: bool,
}

impl Mismatch {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.misshapen.is_empty()
    }
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |tensors: &[(String, Vec<i64>)]| {
            tensors
                .iter()
                .map(|(name, shape)| format!("{name} {shape:?}"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let mut parts = Vec::new();
        if !self.missing.is_empty() {
            parts.push(format!("missing {}: {}", self.missing.len(), list(&self.missing)));
        }
        if !self.unexpected.is_empty() {
            parts.push(format!("unexpected {}: {}", self.unexpected.len(), list(&self.unexpected)));
        }
        if !self.misshapen.is_empty() {
            let each = |(name, ours, theirs): &(String, Vec<i64>, Vec<i64>)| {
                format!("{name} needs {ours:?} but is {theirs:?}")
            };
            let all: Vec<_> = self.misshapen.iter().map(each).collect();
            parts.push(format!("wrong shape {}: {}", self.misshapen.len(), all.join(", ")));
        }
        f.write_str(&parts.join("; "))?;
        if self.head_only {
            f.write_str("; only the head differs, so a new head (new_head) would do")?;
        }
        Ok(())
    }
}
