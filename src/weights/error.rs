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
    /// The file is sound and holds no weights by name.
    #[error("weights {path} hold no state dict: {holds}")]
    NoStateDict {
        /// The file.
        path: PathBuf,
        /// What it holds instead, and what to do.
        holds: String,
    },
    /// The file holds several state dicts, and which one is meant is the caller's to say.
    #[error("weights {path} hold {}; choose one with `--key {}`", several(found), found[0].0)]
    Several {
        /// The file.
        path: PathBuf,
        /// Where each lies, and its number of tensors.
        found: Vec<(String, usize)>,
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
    /// A part of the names that the network lacks that most of them begin with: what they lie
    /// below, beside something else.
    fn prefix(&self) -> Option<&str> {
        let of = |name: &'_ String| name.split_once('.').map(|(first, _)| first.to_owned());
        let first = self.unexpected.iter().find_map(|(name, _)| {
            let prefix = of(name)?;
            let same = |(name, _): &&(String, _)| of(name).as_ref() == Some(&prefix);
            let count = self.unexpected.iter().filter(same).count();
            (count >= 2 && 2 * count > self.unexpected.len()).then_some(&name[..prefix.len()])
        })?;
        let fits = |name: &String| {
            let below = self.unexpected.iter().filter_map(|(n, _)| n.strip_prefix(first));
            below.filter_map(|n| n.strip_prefix('.')).any(|n| n == name)
        };
        self.missing.iter().any(|(name, _)| fits(name)).then_some(first)
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.misshapen.is_empty()
    }
}

/// Things that are named before the others are only counted.
const NAMED: usize = 5;

/// The first few, and how many more there are.
pub(super) fn first_few<T>(all: &[T], words: impl Fn(&T) -> String) -> String {
    let mut few = all.iter().take(NAMED).map(words).collect::<Vec<_>>().join(", ");
    if all.len() > NAMED {
        few.push_str(&format!(" and {} more", all.len() - NAMED));
    }
    few
}

fn several(found: &[(String, usize)]) -> String {
    let each = first_few(found, |(key, tensors)| format!("`{key}` ({tensors} tensors)"));
    format!("{} state dicts: {each}", found.len())
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |tensors: &[(String, Vec<i64>)]| {
            first_few(tensors, |(name, shape)| format!("{name} {shape:?}"))
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
            let all = first_few(&self.misshapen, each);
            parts.push(format!("wrong shape {}: {all}", self.misshapen.len()));
        }
        f.write_str(&parts.join("; "))?;
        if self.head_only {
            f.write_str("; only the head differs, so a new head (new_head) would do")?;
        }
        if let Some(prefix) = self.prefix() {
            write!(f, "; most names begin with `{prefix}`, and `--key {prefix}` takes those")?;
        }
        Ok(())
    }
}
