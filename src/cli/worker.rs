//! `ncaers worker`: the process in which `build` decodes; not for people.

use super::Done;

/// Decode clips for a build (started by `build` itself)
#[derive(Debug, clap::Args)]
#[command(hide = true, after_help = "Example: ncaers build --corpus corpus --out out --seed 1")]
pub struct Args {}

pub(super) fn run(_: &Args) -> anyhow::Result<Done> {
    crate::build::serve(std::io::stdin().lock(), std::io::stdout().lock())?;
    Ok(Done::default())
}
