//! Work on clips that is cut into shards: a part of it here, or a task each on a cluster.
use std::path::Path;

use serde_json::Value;

use super::{
    slurm::{self, BatchWork, SlurmArgs},
    Done, Usage,
};
use crate::{
    dataset::Shard,
    experiment::executor::shards::{shard, ShardedWork},
};

/// Heading of what says how the work is done, in `--help`.
pub(super) const WORK: &str = "How the work is done";

/// Shards on a cluster when nobody says how many.
const SHARDS: u32 = 8;

/// Which part of the clips is done, or into how many a cluster cuts them.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct ShardArgs {
    /// Do a part of the clips only, such as 2/7; `merge` joins the parts. `auto` reads the part from the
    /// job array of Slurm, PBS, LSF, SGE, Kubernetes or AWS Batch, `auto/N` its index alone
    #[arg(long, value_name = "I/N", value_parser = shard, help_heading = WORK)]
    pub shard: Option<Shard>,
    /// Parts into which --executor slurm cuts the clips, a task each [default: 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000), help_heading = WORK)]
    shards: Option<u32>,
}

impl ShardArgs {
    /// Refuses flags that say both where the shards run and which is meant.
    ///
    /// # Errors
    /// Naming the flag.
    pub(super) fn check(self, on_cluster: bool) -> Result<(), Usage> {
        let misplaced = match (on_cluster, self.shard, self.shards) {
            (true, Some(_), _) => "--executor slurm makes the shards itself, with --shards N",
            (false, _, Some(_)) => "--shards is for --executor slurm; one part is --shard I/N",
            _ => return Ok(()),
        };
        Err(Usage(misplaced.into()))
    }
}

/// A shard of `command` per task into a folder beside `out`, and a merge behind them. `identity` is
/// what the command records in the folder of the whole.
///
/// # Errors
/// When a folder holds something else, or the cluster refuses.
pub(super) fn run(
    command: &'static str,
    args: &SlurmArgs,
    parts: ShardArgs,
    identity: &Value,
    out: &Path,
) -> anyhow::Result<Done> {
    let resources = args.resources(&Value::Null)?;
    let count = parts.shards.unwrap_or(SHARDS) as usize;
    let sharded = ShardedWork::new(identity, out, count)?;
    // The command once more, with every flag but those that say where it runs.
    let words = slurm::own_words(command, &["out", "shards", "workers"]);
    let work = BatchWork {
        purpose: command,
        folder: sharded.folder().to_owned(),
        record: sharded.record(),
        tasks: sharded.tasks(&words, resources.cpus),
        last: sharded.merge(),
        is_done: &|task| sharded.is_done(task),
        result: out,
    };
    slurm::run(args, resources, work)
}
