//! Work on clips cut into shards: a task each, and a merge behind them.
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::{json, Value};

use super::{
    array::{self, ArrayPart},
    slurm::folder_beside,
    Task,
};
use crate::{
    dataset::{shard_identity, Shard},
    folder::{self, FolderState},
};

/// `I/N`, or with `auto` and `auto/N` what the environment of a job array says.
///
/// # Errors
/// When it is none of them, or the environment names no part.
pub fn shard(text: &str) -> Result<Shard> {
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

/// The shards of `build` or `locate`, in a folder beside that of the whole.
#[derive(Clone, Debug)]
pub struct ShardedWork {
    /// What the command records in the folder of the whole.
    identity: Value,
    out: PathBuf,
    folder: PathBuf,
    shards: Vec<Shard>,
}

impl ShardedWork {
    /// `count` shards of a command whose whole goes to `out` with the record `identity`.
    ///
    /// # Errors
    /// When `out` or the folder beside it holds something else.
    pub fn new(identity: &Value, out: &Path, count: usize) -> Result<Self> {
        folder::state(out, identity)?;
        let shards = (1..=count).map(|index| Shard { index, count }).collect();
        let work = ShardedWork {
            identity: identity.clone(),
            out: out.to_owned(),
            folder: folder_beside(out)?,
            shards,
        };
        folder::state(&work.folder, &work.record())?;
        Ok(work)
    }

    /// The folder of the shards, their scripts and their logs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What that folder is for: another batch is refused there.
    pub fn record(&self) -> Value {
        json!({"command": self.identity, "shards": self.shards.len()})
    }

    /// A task per shard: `words` (the command with its flags) for one part with `cpus` workers.
    pub fn tasks(&self, words: &[OsString], cpus: u32) -> Vec<Task> {
        let task = |shard: &Shard| {
            let mut words = words.to_vec();
            words.extend(["--shard".into(), shard.to_string().into()]);
            words.extend(["--out".into(), self.place(*shard).into()]);
            words.extend(["--workers".into(), cpus.to_string().into()]);
            Task { name: name(*shard), commands: vec![words], log: self.folder.join("logs") }
        };
        self.shards.iter().map(task).collect()
    }

    /// The merge of all shards.
    pub fn merge(&self) -> Task {
        let mut words: Vec<OsString> = vec!["merge".into()];
        words.extend(self.shards.iter().map(|shard| self.place(*shard).into_os_string()));
        words.extend(["--out".into(), self.out.as_os_str().to_owned()]);
        Task { name: "merge".into(), commands: vec![words], log: self.folder.join("logs") }
    }

    /// Whether the results of a task of [`ShardedWork::tasks`] or of the merge are there.
    pub fn is_done(&self, task: &Task) -> bool {
        let is_finished = |folder: &Path, identity: &Value| {
            matches!(folder::state(folder, identity), Ok(FolderState::Finished))
        };
        is_finished(&self.out, &self.identity)
            || self.shards.iter().find(|shard| name(**shard) == task.name).is_some_and(|shard| {
                is_finished(&self.place(*shard), &shard_identity(&self.identity, *shard))
            })
    }

    fn place(&self, shard: Shard) -> PathBuf {
        self.folder.join("shards").join(shard.index.to_string())
    }
}

fn name(shard: Shard) -> String {
    format!("shard {shard}")
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

    #[test]
    fn every_part_is_a_task_and_the_merge_names_them_in_order() {
        let folder = tempfile::tempdir().expect("folder");
        let out = folder.path().join("out");
        let work = ShardedWork::new(&json!({"seed": 1}), &out, 2).expect("free");
        let tasks = work.tasks(&["build".into(), "--fast".into()], 3);
        let text = |task: &Task| {
            let words: Vec<_> =
                task.commands[0].iter().map(|word| word.to_string_lossy()).collect();
            words.join(" ").replace(&*folder.path().to_string_lossy(), "F")
        };
        assert_eq!(
            tasks.iter().map(text).collect::<Vec<_>>(),
            [
                "build --fast --shard 1/2 --out F/out.slurm/shards/1 --workers 3",
                "build --fast --shard 2/2 --out F/out.slurm/shards/2 --workers 3"
            ]
        );
        let merge = "merge F/out.slurm/shards/1 F/out.slurm/shards/2 --out F/out";
        assert_eq!(text(&work.merge()), merge);
        assert!(!tasks.iter().chain([&work.merge()]).any(|task| work.is_done(task)));
        std::fs::create_dir(&out).expect("folder");
        std::fs::write(out.join("mine.txt"), "mine").expect("file");
        assert!(ShardedWork::new(&json!({"seed": 1}), &out, 2).is_err(), "not ours");
    }
}
