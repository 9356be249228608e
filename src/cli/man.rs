//! `ncaers man --out DIR`
use std::path::PathBuf;

use anyhow::Result;
use clap::CommandFactory as _;
use serde_json::json;

use super::{Cli, Done};
use crate::atomic;

/// Write the manual pages, one for the program and one for each command
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: ncaers man --out ~/.local/share/man/man1")]
pub struct Args {
    /// Folder of the pages; a page of the same name is replaced
    #[arg(long)]
    out: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<Done> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    write(&command, "ncaers", &args.out, &mut pages)?;
    let text = format!("{} manual pages in {}", pages.len(), args.out.display());
    Ok(Done { text, json: json!({ "pages": pages }), exit: 0 })
}

/// The page of `command`, called `name`, and those of its own commands.
fn write(
    command: &clap::Command,
    name: &str,
    out: &std::path::Path,
    pages: &mut Vec<PathBuf>,
) -> Result<()> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone()).title(name.to_uppercase()).render(&mut text)?;
    let path = out.join(format!("{name}.1"));
    atomic::write(&path, &text)?;
    pages.push(path);
    for below in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        write(below, &format!("{name}-{}", below.get_name()), out, pages)?;
    }
    Ok(())
}
