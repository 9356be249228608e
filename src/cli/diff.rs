//! `ncaers diff A B [--out FILE]`
use std::{fmt::Write as _, path::PathBuf};

use serde_json::json;

use super::Done;
use crate::dataset;

/// Show the differences between two manifests or recipes; exit 0 when there are none, 3 otherwise
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: ncaers diff manifests/ncaers rebuilt --out differences.parquet")]
pub struct Args {
    /// A manifest folder or a recipe
    a: PathBuf,
    /// Another
    b: PathBuf,
    /// File for the rows, one per sample and difference
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Exit status where the two differ.
const DIFFERENT: u8 = 3;

pub(super) fn run(args: &Args) -> anyhow::Result<Done> {
    let found = dataset::diff(&args.a, &args.b, args.out.as_ref())?;
    let mut text = format!(
        "{} and {} samples, {} alike in everything\n",
        found.before, found.after, found.same
    );
    for (kind, words) in dataset::DIFFERENCES {
        if let Some(count) = found.differences.get(kind) {
            let _ = writeln!(text, "{count:8}  {words}");
        }
    }
    let exit = if found.differences.is_empty() { 0 } else { DIFFERENT };
    Ok(Done { text, json: json!(found), exit })
}
