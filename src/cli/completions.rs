//! `ncaers completions SHELL`
use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Done};

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: ncaers completions bash > ~/.local/share/bash-completion/completions/ncaers"
)]
pub struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Done> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "ncaers", &mut script);
    Ok(Done { text: String::from_utf8(script)?, ..Done::default() })
}
