//! `ncaers merge SHARD_DIR... --out DIR`
use std::path::PathBuf;

use super::{build::done, locate, Done};
use crate::dataset;

/// Join the shards of a build or a search into one result, the same bytes as one run
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: ncaers merge shards/1 shards/2 --out manifests/ncaers")]
pub struct Args {
    /// The folders that `build --shard I/N` or `locate --shard I/N` filled, all N of them
    #[arg(required = true, value_name = "SHARD_DIR")]
    shards: Vec<PathBuf>,
    /// The folder to fill
    #[arg(long)]
    out: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Done> {
    if args.shards.iter().any(|folder| dataset::locate::is_shard(folder)) {
        return Ok(locate::done(
            dataset::locate::merge_shards(&args.shards, &args.out)?,
            &args.out,
        ));
    }
    Ok(done(dataset::merge_shards(&args.shards, &args.out)?, &args.out))
}
