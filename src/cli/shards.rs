//! Work on clips that is cut into shards: a task each on a cluster, and a merge behind them.
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use serde_json::{json, Value};

use super::{
    slurm::{self, SlurmArgs, Work},
    Done, Usage,
};
use crate::{
    dataset::{shard_identity, Shard},
    experiment::executor::{slurm::folder_beside, Task},
    folder::{self, State},
};

/// Shards on a cluster when nobody says how many.
const SHARDS: u32 = 8;

/// Refuses flags that say both where the shards run and which is meant.
///
/// # Errors
/// Naming the flag.
pub(super) fn check(
    on_cluster: bool,
    shard: Option<Shard>,
    shards: Option<u32>,
) -> Result<(), Usage> {
    let misplaced = match (on_cluster, shard, shards) {
        (true, Some(_), _) => "--executor slurm makes the shards itself, with --shards N",
        (false, _, Some(_)) => "--shards is for --executor slurm; one part is --shard I/N",
        _ => return Ok(()),
    };
    Err(Usage(misplaced.into()))
}

/// A shard of `command` per task into a folder beside `out`, and a merge behind them. `identity` is
/// what the command records in the folder of the whole.
///
/// # Errors
/// When a folder holds something else, or the cluster refuses.
pub(super) fn run(
    command: &'static str,
    args: &SlurmArgs,
    shards: Option<u32>,
    identity: &Value,
    out: &Path,
) -> anyhow::Result<Done> {
    let resources = args.resources(&Value::Null)?;
    let is_merged = || matches!(folder::state(out, identity), Ok(State::Finished));
    folder::state(out, identity)?;
    let folder = folder_beside(out)?;
    let count = shards.unwrap_or(SHARDS) as usize;
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
            is_merged() || matches!(folder::state(&place(shard), &own), Ok(State::Finished))
        })
    };
    let mut merge: Vec<OsString> = vec!["merge".into()];
    merge.extend(shards.iter().map(|shard| place(shard).into_os_string()));
    merge.extend(["--out".into(), out.as_os_str().to_owned()]);
    let last = Task { name: "merge".into(), commands: vec![merge], log: folder.join("logs") };
    let work = Work {
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
