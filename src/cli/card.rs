//! `ncaers card MANIFEST --card FILE`
use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use super::{manifest_arg::ManifestArg, Done};
use crate::dataset::Publication;

/// Add licence, creators and address to a data set's card and Croissant metadata
///
/// The file is TOML with the keys license, creators (a list), url, date_published and, if you
/// like, name and description. What the rows tell about responsible use (imbalance, missing faces
/// by class, what was left out) goes in with it. Run it again after a change of the file.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: ncaers card manifests/mine --card card.toml")]
pub struct Args {
    #[command(flatten)]
    manifest: ManifestArg,
    /// A TOML file with what only you know about the data set
    #[arg(long, value_name = "FILE")]
    card: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<Done> {
    let folder = args.manifest.path();
    let publication = Publication::read(&args.card)?;
    publication.apply(folder)?;
    let text = format!("README.md and croissant.json of {} name them", folder.display());
    Ok(Done { text, json: json!({"license": publication.license}), exit: 0 })
}
