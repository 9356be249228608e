//! The life of a worker process: a setup, then jobs, a line each way.
use std::{
    io::{BufRead, Write},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;

use super::{
    clip,
    job::{Answer, Begin, JobKind, Work},
    locate, process, rebuild,
};

/// Makes a worker of a process that a build started, and ends it with its work; in any other
/// process it does nothing.
///
/// [`build`](crate::build) decodes in processes of the calling program, so that a crash or a hang in
/// a decoder costs one try of one clip. A program that calls it calls this first in its `main`.
pub fn become_worker() {
    if !process::is_worker() {
        return;
    }
    let status = match serve(std::io::stdin().lock(), std::io::stdout().lock()) {
        Ok(()) => 0,
        Err(error) => {
            crate::progress::error(&format!("{error:#}"));
            1
        }
    };
    std::process::exit(status);
}

/// Answers jobs from `input` on `answers` until the input ends.
///
/// # Errors
/// When the lines are not those of a command, or nobody listens any more.
pub fn serve(input: impl BufRead, answers: impl Write) -> Result<()> {
    let mut lines = input.lines();
    let Some(first) = lines.next() else { return Ok(()) };
    let begin: Begin<Value> = serde_json::from_str(&first?).context(NO_SETUP)?;
    match begin.kind {
        JobKind::Build => work::<clip::Worker>(begin.setup, lines, answers),
        JobKind::Locate => work::<locate::Worker>(begin.setup, lines, answers),
        JobKind::Rebuild => work::<rebuild::Worker>(begin.setup, lines, answers),
    }
}

const NO_SETUP: &str = "not the setup of a worker";

fn work<W: Work>(
    setup: Value,
    jobs: impl Iterator<Item = std::io::Result<String>>,
    mut answers: impl Write,
) -> Result<()> {
    let mut worker = W::start(serde_json::from_value(setup).context(NO_SETUP)?)?;
    for line in jobs {
        let job: W::Job = serde_json::from_str(&line?).context("not a job")?;
        let mut beat = Beat { answers: &mut answers, last: Instant::now() };
        let outcome = worker.answer(&job, &mut || beat.strike());
        let answer = match outcome {
            Ok(outcome) => Answer::Done(Box::new(outcome)),
            Err(error) => Answer::Fatal(format!("{error:#}")),
        };
        say(&mut answers, &answer)?;
    }
    Ok(())
}

fn say<T: Serialize>(answers: &mut impl Write, answer: &Answer<T>) -> Result<()> {
    serde_json::to_writer(&mut *answers, answer)?;
    answers.write_all(b"\n")?;
    Ok(answers.flush()?)
}

/// Says now and then that a job is still worked on.
struct Beat<'a, W: Write> {
    answers: &'a mut W,
    last: Instant,
}

impl<W: Write> Beat<'_, W> {
    fn strike(&mut self) {
        if self.last.elapsed() >= BEAT {
            self.last = Instant::now();
            // A command that no longer listens is noticed at the next answer.
            let _ = say(self.answers, &Answer::<()>::Alive);
        }
    }
}

/// Time between two signs of life.
const BEAT: Duration = Duration::from_millis(500);
