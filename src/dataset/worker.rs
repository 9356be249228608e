//! The life of a worker process: a setup, then jobs, a line each way.
use std::io::{BufRead, Write};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{
    clip,
    job::{Answer, Work},
    locate, rebuild,
};

/// The first line that a worker is given: for which command, and what that needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Setup {
    /// Frames drawn, faces found, pictures saved.
    Build(clip::Setup),
    /// Stills sought among all frames.
    Locate(locate::Setup),
    /// Listed frames saved.
    Rebuild(rebuild::Setup),
}

/// Answers jobs from `input` on `answers` until the input ends.
///
/// # Errors
/// When the lines are not those of a command, or nobody listens any more.
pub fn serve(input: impl BufRead, answers: impl Write) -> Result<()> {
    let mut lines = input.lines();
    let Some(first) = lines.next() else { return Ok(()) };
    match serde_json::from_str(&first?).context("not the setup of a worker")? {
        Setup::Build(setup) => work::<clip::Worker>(setup, lines, answers),
        Setup::Locate(setup) => work::<locate::Worker>(setup, lines, answers),
        Setup::Rebuild(setup) => work::<rebuild::Worker>(setup, lines, answers),
    }
}

fn work<W: Work>(
    setup: W::Setup,
    jobs: impl Iterator<Item = std::io::Result<String>>,
    mut answers: impl Write,
) -> Result<()> {
    let mut worker = W::start(setup)?;
    for line in jobs {
        let job: W::Job = serde_json::from_str(&line?).context("not a job")?;
        let answer = match worker.answer(&job) {
            Ok(outcome) => Answer::Done(Box::new(outcome)),
            Err(error) => Answer::Fatal(format!("{error:#}")),
        };
        serde_json::to_writer(&mut answers, &answer)?;
        answers.write_all(b"\n")?;
        answers.flush()?;
    }
    Ok(())
}
