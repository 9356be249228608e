//! What the workers of a command are asked, and what they answer.
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{de::DeserializeOwned, Deserialize, Serialize};

/// What a worker is asked to do: something about one clip.
pub(super) trait Job: Serialize + Sync {
    /// What came of it.
    type Outcome: Serialize + DeserializeOwned + Send;

    /// The clip.
    fn clip_id(&self) -> &str;

    /// What stands for an answer where no worker survives the clip: reason code and words.
    fn given_up(&self, code: &str, reason: String) -> Self::Outcome;
}

/// The first line that a worker is given.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Begin<S> {
    /// The work.
    pub kind: JobKind,
    /// What it needs to begin.
    pub setup: S,
}

/// The kinds of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum JobKind {
    /// Frames drawn, faces found, pictures saved.
    Build,
    /// Stills sought among all frames.
    Locate,
    /// Listed frames saved.
    Rebuild,
}

/// What a worker answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer<T> {
    /// The job is done, well or badly.
    Done(Box<T>),
    /// Nothing more can be written; the command stops.
    Fatal(String),
    /// The job is not done, and work goes on.
    Alive,
}

/// A kind of work on clips.
pub(super) trait Work: Sized {
    /// What it needs to begin.
    type Setup: DeserializeOwned;
    /// What it is asked.
    type Job: Job + DeserializeOwned;

    /// # Errors
    /// When the work cannot begin at all.
    fn start(setup: Self::Setup) -> Result<Self>;

    /// Does a job, calling `alive` now and then.
    ///
    /// # Errors
    /// When the output folder cannot be written; whatever is wrong with the clip is a result.
    fn answer(
        &mut self,
        job: &Self::Job,
        alive: &mut dyn FnMut(),
    ) -> Result<<Self::Job as Job>::Outcome>;
}

/// A path as workers are told it: they may have another working folder.
///
/// # Errors
/// When there is no working folder.
pub(super) fn absolute(path: &Path) -> Result<OsString> {
    std::path::absolute(path)
        .map(PathBuf::into_os_string)
        .with_context(|| format!("cannot resolve {}", path.display()))
}
