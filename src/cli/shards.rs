//! Work on clips that is cut into shards: a task each on a cluster, and a merge behind them.
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde_json::{json, Value};

use super::{
    slurm::{self, BatchWork, SlurmArgs},
    Done, Usage,
};
use crate::{
    dataset::{shard_identity, Shard},
    experiment::executor::{
        array::{self, ArrayPart},
        slurm::folder_beside,
        Task,
    },
    folder::{self, FolderState},
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

/// `I/N`, or what the environment of a job array says.
fn shard(text: &str) -> anyhow::Result<Shard> {
    let Some(rest) = text.strip_prefix("auto") else { return text.parse() };
    let count = match rest {
        "" => None,
        _ => {
            let count = rest.strip_prefix('/').and_then(|n| n.parse().ok()).filter(|n| *n > 0);
            Some(count.context("it is none of I/N, auto, auto/N")?)
        }
    };
    let ArrayPart { index, count } = array::part(&|name| std::env::var(name).ok(), count)?;
    Ok(Shard { index, count })
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
    let is_merged = || matches!(folder::state(out, identity), Ok(FolderState::Finished));
    folder::state(out, identity)?;
    let folder = folder_beside(out)?;
    let count = parts.shards.unwrap_or(SHARDS) as usize;
    let record = json!({command: identity, "shards": count});
    folder::state(&folder, &record)?;
    let shards: Vec<Shard> = (1..=count).map(|index| Shard { index, count }).collect();
    let place = |shard: &Shard| folder.join("shards").join(shard.index.to_string());
    let task = |shard| task(command, shard, place(shard), resources.cpus, &folder);
    let tasks: Vec<Task> = shards.iter().map(task).collect();
    let is_done = |task: &Task| {
        let shard = shards.iter().find(|shard| name(shard) == task.name);
        shard.map_or_else(is_merged, |shard| {
            let own = shard_identity(identity, *shard);
            is_merged() || matches!(folder::state(&place(shard), &own), Ok(FolderState::Finished))
        })
    };
    let mut merge: Vec<OsString> = vec!["merge".into()];
    merge.extend(shards.iter().map(|shard| place(shard).into_os_string()));
    merge.extend(["--out".into(), out.as_os_str().to_owned()]);
    let last = Task { name: "merge".into(), commands: vec![merge], log: folder.join("logs") };
    let work = BatchWork {
        purpose: command,
        folder: folder.clone(),
        record,
        tasks,
        last,
        is_done: &is_done,
        result: out,
    };
    slurm::run(args, resources, work)
}

fn name(shard: &Shard) -> String {
    format!("shard {shard}")
}

/// The command once more, for one shard.
fn task(command: &str, shard: &Shard, out: PathBuf, cpus: u32, folder: &Path) -> Task {
    let mut words = slurm::own_words(command, &["out", "shards", "workers"]);
    words.extend(["--shard".into(), shard.to_string().into(), "--out".into(), out.into()]);
    words.extend(["--workers".into(), cpus.to_string().into()]);
    Task { name: name(shard), commands: vec![words], log: folder.join("logs") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_named_or_read_from_the_array() {
        assert_eq!(shard("2/7").expect("a part").to_string(), "2/7");
        for wrong in ["auto/0", "auto/x", "autobahn", "8/7", ""] {
            assert!(shard(wrong).is_err(), "{wrong}");
        }
    }
}
