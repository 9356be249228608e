//! `ncaers merge SHARD_DIR... --out DIR`
use std::path::PathBuf;

use super::{build::done, Done};
use crate::dataset;

/// Join the shards of a build into one data set, the same bytes as one build
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: ncaers merge shards/1 shards/2 --out manifests/ncaers")]
pub struct Args {
    /// The folders that `build --shard I/N` filled, all N of them
    #[arg(required = true, value_name = "SHARD_DIR")]
    shards: Vec<PathBuf>,
    /// The folder to fill
    #[arg(long)]
    out: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Done> {
    Ok(done(dataset::merge_shards(&args.shards, &args.out)?, &args.out))
}
