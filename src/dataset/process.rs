//! A worker as the system has it: a process, a pipe to it and one back.
//!
//! Starting the program anew costs 30 ms, nearly all of it the dynamic linker's, which binds FFmpeg and
//! some 130 libraries that Debian's FFmpeg needs. A copy of a program that is loaded already costs a
//! millisecond and shares all that memory; but only a program with one thread may be copied. So a
//! command makes [`ready`] what it will want before it does anything else, and only what is wanted
//! beyond that, such as the successor of a worker that died, is a program started anew.
use std::{
    fs::File,
    io::{self, PipeReader, PipeWriter},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::process::{CommandExt, ExitStatusExt},
    },
    panic,
    process::{Command, ExitStatus, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        Mutex, PoisonError,
    },
};

use anyhow::{Context, Result};

/// The hidden command that makes a process a worker.
const WORKER_COMMAND: &str = "worker";

/// Set for every worker process that is started, so that none starts workers of its own.
const IS_WORKER: &str = "NCAERS_IS_WORKER";

/// The same in a copy, whose environment stays its parent's.
static IS_COPY: AtomicBool = AtomicBool::new(false);

/// What a worker that is started finds in its environment. One thread per clip, clips in parallel: no detector may
/// start its own.
const ENVIRONMENT: [(&str, &str); 3] =
    [("RAYON_NUM_THREADS", "1"), ("OMP_NUM_THREADS", "1"), (IS_WORKER, "1")];

/// Whether this process was started to be a worker.
pub(super) fn is_worker() -> bool {
    IS_COPY.load(Ordering::Relaxed) || std::env::var_os(IS_WORKER).is_some()
}

/// Copies that are made in advance, at most.
const MOST_READY: usize = 32;

/// A process and the ends of its pipes; killed when dropped.
#[derive(Debug)]
pub(super) struct Process {
    id: libc::pid_t,
    ended: Option<ExitStatus>,
    /// What it reads; dropped to let it end.
    pub input: Option<File>,
    /// What it writes, until somebody takes it.
    pub output: Option<File>,
}

static READY: Mutex<Vec<Process>> = Mutex::new(Vec::new());

/// Makes copies of this process that wait for work, `serve`, whose exit status they end with. Does
/// nothing when the process has more than one thread, or on other systems than Linux.
///
/// # Errors
/// When the system has no further pipe or process.
pub fn ready(count: usize, serve: fn() -> u8) -> Result<()> {
    if !has_one_thread() {
        return Ok(());
    }
    let mut ready = READY.lock().unwrap_or_else(PoisonError::into_inner);
    while ready.len() < count.min(MOST_READY) {
        let copy = copy(serve, &ready).context("cannot start a worker process")?;
        ready.push(copy);
    }
    Ok(())
}

/// The copies that are ready.
pub(super) fn take_ready() -> Vec<Process> {
    std::mem::take(&mut *READY.lock().unwrap_or_else(PoisonError::into_inner))
}

fn has_one_thread() -> bool {
    let threads = std::fs::read_dir("/proc/self/task");
    cfg!(target_os = "linux") && threads.is_ok_and(|threads| threads.count() == 1)
}

/// A copy of this process that works; `others` are copies that were made before.
fn copy(serve: fn() -> u8, others: &[Process]) -> io::Result<Process> {
    let (its_input, input) = io::pipe()?;
    let (output, its_output) = io::pipe()?;
    // SAFETY: plain questions, and a copy of a process that has one thread: no lock of another
    // thread stays closed in it for ever.
    let (parent, id) = unsafe { (libc::getpid(), libc::fork()) };
    match id {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            for end in others.iter().flat_map(|o| [o.input.as_ref(), o.output.as_ref()]).flatten() {
                // SAFETY: the ends belong to the parent; a copy that held them would keep the
                // others from seeing that it has ended. Nobody here uses them again.
                unsafe { libc::close(end.as_raw_fd()) };
            }
            drop((input, output));
            be_worker(its_input, its_output, parent, serve)
        }
        id => Ok(Process::new(id, input.into(), output.into())),
    }
}

/// The life of a copy, which never goes back to what its parent was about.
fn be_worker(input: PipeReader, output: PipeWriter, parent: libc::pid_t, serve: fn() -> u8) -> ! {
    IS_COPY.store(true, Ordering::Relaxed);
    let serve = move || {
        // SAFETY: both are open; the process has one thread, so nobody else uses 0 and 1.
        let redirected = unsafe {
            libc::dup2(input.as_raw_fd(), libc::STDIN_FILENO) >= 0
                && libc::dup2(output.as_raw_fd(), libc::STDOUT_FILENO) >= 0
        };
        drop((input, output));
        die_with_parent();
        // SAFETY: a plain question. A parent that ended before that line is not waited for.
        let is_orphan = unsafe { libc::getppid() != parent };
        // As [`ENVIRONMENT`] does; it fails where a pool exists, which no copy inherits.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(1).build_global();
        if redirected && !is_orphan {
            serve()
        } else {
            1
        }
    };
    let code = panic::catch_unwind(serve).unwrap_or(101);
    // SAFETY: ends the process without what its parent wanted done at its own end.
    unsafe { libc::_exit(code.into()) }
}

/// A worker never outlives the build, however that ends.
fn die_with_parent() {
    #[cfg(target_os = "linux")]
    // SAFETY: the call is async-signal-safe and touches nothing but this process.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
    }
}

impl Process {
    fn new(id: libc::pid_t, input: OwnedFd, output: OwnedFd) -> Self {
        Process { id, ended: None, input: Some(input.into()), output: Some(output.into()) }
    }

    /// This program, started anew as a worker.
    ///
    /// # Errors
    /// When it cannot be found or started.
    pub(super) fn start() -> Result<Self> {
        let program = std::env::current_exe().context("cannot find the own program")?;
        let mut command = Command::new(program);
        command.arg(WORKER_COMMAND).envs(ENVIRONMENT).stdin(Stdio::piped()).stdout(Stdio::piped());
        // SAFETY: the function is async-signal-safe.
        unsafe {
            command.pre_exec(|| {
                die_with_parent();
                Ok(())
            });
        }
        let mut child = command.spawn().context("cannot start a worker process")?;
        let input = child.stdin.take().context("a worker has no input")?;
        let output = child.stdout.take().context("a worker has no output")?;
        // Who drops a child without waiting leaves it to us.
        Ok(Process::new(child.id() as libc::pid_t, input.into(), output.into()))
    }

    /// Its number in the system.
    pub(super) fn id(&self) -> u32 {
        self.id as u32
    }

    /// Waits until it ends, and says how.
    ///
    /// # Errors
    /// When the system does not tell.
    pub(super) fn wait(&mut self) -> io::Result<ExitStatus> {
        if let Some(ended) = self.ended {
            return Ok(ended);
        }
        let mut status = 0;
        loop {
            // SAFETY: the number is that of our own child, which nobody else waits for.
            if unsafe { libc::waitpid(self.id, &mut status, 0) } == self.id {
                break;
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        Ok(*self.ended.insert(ExitStatus::from_raw(status)))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An idle worker ends with its input; one that hangs or is stopped has to be killed.
        self.input = None;
        if self.ended.is_none() {
            // SAFETY: our own child, which keeps its number until it is waited for.
            unsafe { libc::kill(self.id, libc::SIGKILL) };
            let _ = self.wait();
        }
    }
}
