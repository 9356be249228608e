//! The manifest that a command is about, named first.
use std::path::{Path, PathBuf};

/// A manifest folder as a positional argument; earlier versions had `--manifest`.
#[derive(Debug, clap::Args)]
pub(super) struct ManifestArg {
    /// The manifest folder
    #[arg(value_name = "MANIFEST", required_unless_present = "named_manifest")]
    manifest: Option<PathBuf>,
    /// The same, as earlier versions had it
    #[arg(long = "manifest", value_name = "DIR", hide = true, conflicts_with = "manifest")]
    named_manifest: Option<PathBuf>,
}

impl ManifestArg {
    /// The folder.
    pub fn path(&self) -> &Path {
        // The parser makes sure that one of them is there.
        self.manifest.as_deref().or(self.named_manifest.as_deref()).unwrap_or(Path::new(""))
    }
}
