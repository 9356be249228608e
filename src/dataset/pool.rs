//! Worker processes: long-lived, one clip at a time each, replaced when they die or hang.
use std::{
    io::{BufRead, BufReader, Write},
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use anyhow::{anyhow, Context, Result};

use serde::Serialize;

use super::{
    job::{Answer, Job},
    patience::{Patience, Vitals},
    process::{is_worker, take_ready, Process},
};
use crate::progress::Progress;

/// Tries of a clip before it is given up: a worker may die for a reason that is not the clip's.
const TRIES: usize = 2;

/// Time between two looks at a worker that says nothing.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How to work off a list of clips.
pub(super) struct Pool<S> {
    pub setup: S,
    pub workers: usize,
    pub time_limit: Duration,
}

/// Why a worker did not answer.
enum Trouble {
    Died(String),
    Hung,
}

impl<S: Serialize + Sync> Pool<S> {
    /// Does every job of `todo` and gives each result to `done` as it comes, in any order.
    ///
    /// # Errors
    /// When workers cannot start or write, or when `done` fails; no further job is begun.
    pub(super) fn run<J: Job>(
        &self,
        todo: &[J],
        progress: &Progress,
        mut done: impl FnMut(J::Outcome) -> Result<()>,
    ) -> Result<()> {
        anyhow::ensure!(
            !is_worker(),
            "this process was started to be a worker; call ncaers::become_worker first in main"
        );
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (sender, results) = mpsc::channel();
        let mut ready = take_ready();
        ready.truncate(self.workers);
        thread::scope(|scope| {
            for _ in 0..self.workers {
                let (sender, next, stop) = (sender.clone(), &next, &stop);
                let mut worker = ready.pop().map(|process| Worker::begin(process, &self.setup));
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(job) = todo.get(at) else { break };
                        if sender.send(self.job(&mut worker, job, progress)).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            let mut first_error = Ok(());
            for result in results {
                let kept = result.and_then(&mut done);
                progress.advance(1);
                if let (Err(error), true) = (kept, first_error.is_ok()) {
                    stop.store(true, Ordering::Relaxed);
                    first_error = Err(error);
                }
            }
            first_error
        })
    }

    /// One job, by this worker or, when that fails it, by a fresh one.
    fn job<J: Job>(
        &self,
        worker: &mut Option<Worker>,
        job: &J,
        progress: &Progress,
    ) -> Result<J::Outcome> {
        let mut last = Trouble::Hung;
        for _ in 0..TRIES {
            let mut at_work = match worker.take() {
                Some(alive) => alive,
                None => Worker::start(&self.setup)?,
            };
            match at_work.ask(job, self.time_limit) {
                Ok(Answer::Done(result)) => {
                    *worker = Some(at_work);
                    return Ok(*result);
                }
                Ok(Answer::Fatal(message)) => return Err(anyhow!(message)),
                Ok(Answer::Alive) => unreachable!("a sign of life is no end of a clip"),
                Err(trouble) => {
                    let what = self.words(&trouble);
                    progress.note(&format!("{}: {what}", job.clip_id()));
                    last = trouble;
                }
            }
        }
        let code = match last {
            Trouble::Died(_) => "decoder_crashed",
            Trouble::Hung => "decoder_hung",
        };
        Ok(job.given_up(code, self.words(&last)))
    }

    fn words(&self, trouble: &Trouble) -> String {
        match trouble {
            Trouble::Died(how) => format!("the decoding process died ({how})"),
            Trouble::Hung => {
                let limit = self.time_limit.as_secs_f64();
                format!("decoding came no further within {limit} s")
            }
        }
    }
}

/// A worker process at work; killed when dropped.
struct Worker {
    process: Process,
    answers: Receiver<String>,
}

impl Worker {
    fn start(setup: &impl Serialize) -> Result<Self> {
        Ok(Self::begin(Process::start()?, setup))
    }

    fn begin(mut process: Process, setup: &impl Serialize) -> Self {
        let output = process.output.take();
        let (sender, answers) = mpsc::channel();
        thread::spawn(move || {
            let lines = output.into_iter().flat_map(|output| BufReader::new(output).lines());
            for line in lines.map_while(std::io::Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut worker = Worker { process, answers };
        // A worker that dies at once is noticed when it is asked.
        let _ = worker.tell(setup);
        worker
    }

    fn tell(&mut self, line: &impl serde::Serialize) -> Result<()> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        let input = self.process.input.as_mut().context("a worker has no input")?;
        Ok(input.write_all(text.as_bytes())?)
    }

    fn ask<J: Job>(&mut self, job: &J, limit: Duration) -> Result<Answer<J::Outcome>, Trouble> {
        if self.tell(job).is_err() {
            return Err(Trouble::Died(self.end()));
        }
        let mut patience = Patience::new(limit, Vitals::of(self.process.id()));
        loop {
            match self.answers.recv_timeout(LOOK_EVERY) {
                Ok(line) => match serde_json::from_str(&line) {
                    Ok(Answer::Alive) => patience.renew(Vitals::of(self.process.id())),
                    Ok(answer) => return Ok(answer),
                    // A line that is no answer was cut off by the end of the process.
                    Err(_) => return Err(Trouble::Died(self.end())),
                },
                Err(RecvTimeoutError::Timeout) => {
                    if patience.ends(Vitals::of(self.process.id())) {
                        return Err(Trouble::Hung);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Err(Trouble::Died(self.end())),
            }
        }
    }

    /// How the process ended, in words.
    fn end(&mut self) -> String {
        match self.process.wait() {
            Ok(status) => end_words(status),
            Err(error) => error.to_string(),
        }
    }
}

fn end_words(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(code)) => format!("exit status {code}"),
        (None, None) => "unknown end".into(),
    }
}
