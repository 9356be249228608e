//! A clip of a recipe and the file that stands for it.
use std::ffi::OsString;

/// How a file was found to be a clip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Its bytes are the recipe's.
    Digest,
    /// It has the recipe's path and other bytes.
    Path,
    /// It shows the same, by its hashes.
    Content,
}

/// A clip's file.
#[derive(Clone, Debug)]
pub(super) struct Resolved {
    /// Below the corpus.
    pub path: OsString,
    /// SHA-256 of its bytes.
    pub sha256: String,
    pub known: Known,
}
