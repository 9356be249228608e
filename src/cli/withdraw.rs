//! `ncaers withdraw CLIP... --from DIR...`
use std::{fmt::Write as _, path::PathBuf};

use serde_json::json;

use super::{Done, Usage};
use crate::dataset::withdraw;

/// Withdraw a clip and everything made from it: rows, pictures, pack entries, predictions, pages
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: ncaers withdraw train/Anger/0001 --from manifests/ncaers packs/ncaers runs/*\n\nA row without content stays in the ledger. Pages and figures that name the clip are removed; make them again."
)]
pub struct Args {
    /// Clips by clip_id or path, or with --groups the names of groups
    #[arg(value_name = "CLIP")]
    clips: Vec<String>,
    /// A file with a clip or group per line
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// CSV file with a clip and its group per line
    #[arg(long, value_name = "FILE")]
    groups: Option<PathBuf>,
    /// Folders of manifests, packs, runs, audits, reports and pictures
    #[arg(long, required = true, num_args = 1.., value_name = "DIR")]
    from: Vec<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Done> {
    let mut words = args.clips.clone();
    if let Some(list) = &args.list {
        words.extend(withdraw::read_list(list)?);
    }
    if words.is_empty() {
        return Err(Usage("name a clip, or a file of clips by --list".into()).into());
    }
    let clips = withdraw::meant(&words, args.groups.as_deref(), &args.from)?;
    let removed = withdraw::withdraw(&clips, &args.from)?;
    let mut text = format!("{} clips withdrawn\n", clips.len());
    for (folder, removed) in &removed {
        let _ = writeln!(
            text,
            "{}: {} rows, {} pictures, {} other files",
            folder.display(),
            removed.rows,
            removed.pictures,
            removed.files.len()
        );
        for name in &removed.files {
            let _ = writeln!(text, "  removed {}", name.display());
        }
        for name in &removed.left {
            let _ = writeln!(
                text,
                "  still named in {}, which this command may not change",
                name.display()
            );
        }
    }
    Ok(Done { text, json: json!({"clips": clips, "folders": removed}), exit: 0 })
}
