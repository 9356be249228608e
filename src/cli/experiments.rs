//! `ncaers experiments [NAME] [--out DIR]`
use std::{fmt::Write as _, path::PathBuf};

use anyhow::{Context as _, Result};
use serde_json::json;

use super::Done;
use crate::experiment::shipped;

/// List, print or write the experiment files that come with the program
///
/// Grids such as table4.toml include others by their path, so they are written all together.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples: ncaers experiments\n          \
    ncaers experiments demo\n          ncaers experiments --out experiments")]
pub struct Args {
    /// Print this one, such as demo or recipes/ma_net
    #[arg(conflicts_with = "out")]
    name: Option<String>,
    /// Folder to write all of them into; a folder that holds anything else is refused
    #[arg(long)]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<Done> {
    if let Some(name) = &args.name {
        let text = shipped::text(name).with_context(|| {
            format!(
                "no experiment `{name}` comes with the program; `ncaers experiments` lists them"
            )
        })?;
        return Ok(Done { text: text.into(), json: json!({"name": name, "text": text}), exit: 0 });
    }
    if let Some(out) = &args.out {
        let paths = shipped::write(out)?;
        let text = format!("{} experiment files in {}", paths.len(), out.display());
        return Ok(Done { text, json: json!({ "files": paths }), exit: 0 });
    }
    let mut text = String::new();
    for (name, file) in shipped::FILES {
        let _ = writeln!(text, "{name}\n    {}", shipped::about(file));
    }
    let list: Vec<_> = shipped::FILES
        .iter()
        .map(|(name, file)| json!({"name": name, "about": shipped::about(file)}))
        .collect();
    Ok(Done { text, json: json!({ "experiments": list }), exit: 0 })
}
