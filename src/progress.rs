//! Progress of long work on stderr: a bar with ETA on a terminal, plain lines now and then
//! otherwise, so that logs stay readable.
use std::{
    io::{IsTerminal, Write as _},
    path::Path,
    process::Command,
    sync::{
        atomic::{AtomicU64, AtomicU8, Ordering},
        Mutex, OnceLock,
    },
    time::{Duration, Instant},
};

use crate::escape::visible;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// How much the program says while it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Errors only.
    Quiet,
    /// Progress and what is worth knowing.
    Normal,
    /// Also versions and times.
    Verbose,
}

/// The process's level, as a number; set once, before the work.
static LEVEL: AtomicU8 = AtomicU8::new(Level::Normal as u8);

/// Sets how much is said from now on.
pub fn set_level(level: Level) {
    LEVEL.store(level as u8, Ordering::Relaxed);
}

fn is_at_least(level: Level) -> bool {
    LEVEL.load(Ordering::Relaxed) >= level as u8
}

/// A command of this program, whose file is `program`, that says as much as this process does.
pub fn own_command(program: &Path) -> Command {
    let mut command = Command::new(program);
    if !is_at_least(Level::Normal) {
        command.arg("--quiet");
    } else if is_at_least(Level::Verbose) {
        command.arg("--verbose");
    }
    command
}

/// Writes a line to stderr, the only way in which the program speaks while it works. A closed or
/// full stream is no reason to stop the work: nobody is there to be told.
pub fn message(line: &str) {
    if is_at_least(Level::Normal) {
        error(line);
    }
}

/// Writes a line that says what went wrong, however quiet the program is.
pub fn error(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", visible(line));
}

/// Writes a line for those who asked for more.
pub fn detail(line: &str) {
    if is_at_least(Level::Verbose) {
        error(line);
    }
}

/// Seconds between two plain lines when stderr is not a terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// A counter of `total` steps that anybody may advance.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    name: String,
    unit: &'static str,
    lines: Option<Mutex<Instant>>,
    start: Instant,
    /// Steps that were done before: no rate follows from them.
    before: AtomicU64,
}

impl Progress {
    /// Starts counting `total` steps of `unit` (such as `clips`) under `name`.
    pub fn new(name: &str, unit: &'static str, total: u64) -> Self {
        let tty = std::io::stderr().is_terminal() && is_at_least(Level::Normal);
        let target = if tty { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        let style = format!("{{msg}} [{{bar:30}}] {{pos}}/{{len}} {unit} {{rate}} ETA {{eta}}");
        let style =
            ProgressStyle::with_template(&style).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.with_key(
            "rate",
            |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                // A bar that cannot be written has nobody to tell.
                let _ = out.write_str(&per_time(state.per_sec()));
            },
        ));
        bar.set_message(name.to_owned());
        let start = Instant::now();
        Progress {
            bar,
            name: name.to_owned(),
            unit,
            lines: (!tty).then(|| Mutex::new(start)),
            start,
            before: AtomicU64::new(0),
        }
    }

    /// Counts `n` steps that an earlier run did.
    pub fn skip(&self, n: u64) {
        self.before.fetch_add(n, Ordering::Relaxed);
        self.bar.inc(n);
        self.bar.reset_eta();
    }

    /// Counts `n` more steps.
    pub fn advance(&self, n: u64) {
        self.bar.inc(n);
        let Some(last) = &self.lines else { return };
        let Ok(mut last) = last.try_lock() else { return };
        if last.elapsed() >= LINE_EVERY {
            *last = Instant::now();
            message(&self.line());
        }
    }

    /// Prints a line without breaking the bar.
    pub fn note(&self, line: &str) {
        if self.lines.is_some() {
            message(line);
        } else {
            self.bar.suspend(|| message(line));
        }
    }

    /// Removes the bar; what was done is told by the command's own summary.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn line(&self) -> String {
        let (done, total) = (self.bar.position(), self.bar.length().unwrap_or(0));
        let seconds = self.start.elapsed().as_secs_f64();
        let own = done.saturating_sub(self.before.load(Ordering::Relaxed));
        let rate = own as f64 / seconds.max(1e-9);
        let begun = format!("{}: {done}/{total} {}", self.name, self.unit);
        // Nothing can be told of what has not begun.
        if own == 0 {
            return begun;
        }
        let eta = Duration::from_secs_f64((total.saturating_sub(done) as f64 / rate).min(1e9));
        format!("{begun} {} ETA {}", per_time(rate), indicatif::HumanDuration(eta))
    }
}

/// Counts one more step of `unit` with every call, which says how many there are in all; as of no step nothing
/// is known, the first begins. What was shown goes with it.
pub fn watched(name: &'static str, unit: &'static str) -> impl Fn(usize) + Sync {
    let progress = OnceLock::new();
    move |total| progress.get_or_init(|| Progress::new(name, unit, total as u64)).advance(1)
}

/// Steps a second, or a minute where they take longer.
fn per_time(rate: f64) -> String {
    if rate < 1.0 {
        format!("{:.1}/min", 60.0 * rate)
    } else {
        format!("{rate:.1}/s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_run_did_makes_no_rate() {
        let progress = Progress::new("build", "clips", 1000);
        progress.skip(900);
        assert_eq!(progress.line(), "build: 900/1000 clips");
    }

    #[test]
    fn slow_work_is_told_in_steps_a_minute() {
        assert_eq!(per_time(0.05), "3.0/min");
        assert_eq!(per_time(12.34), "12.3/s");
    }
}
