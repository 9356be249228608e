//! Whether a worker process still gets on: judged by what it does, never by the clock alone, so that a
//! busy machine gives the same data set as an idle one.
//!
//! A clip is given up when its worker has used up a limit of processor time without a further frame
//! or byte, or has been waiting for as long for something that does not come (a stopped process, a file
//! server that is gone). Time in which it could run and others do does not count.
use std::{
    fs,
    time::{Duration, Instant},
};

/// What the system tells of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Vitals {
    /// Processor time so far.
    cpu: Duration,
    /// Bytes read and written so far.
    bytes: u64,
    /// Whether it could run, or does.
    is_runnable: bool,
}

impl Vitals {
    /// Of the process with this number; on systems that do not tell, of one that only waits.
    pub(super) fn of(process: u32) -> Self {
        let read = |file: &str| fs::read_to_string(format!("/proc/{process}/{file}"));
        let stat = read("stat").ok().and_then(|text| stat(&text)).unwrap_or_default();
        let bytes = read("io").map_or(0, |text| bytes(&text));
        Vitals { bytes, ..stat }
    }
}

/// State and processor time out of `/proc/PID/stat` (proc(5)); the name in it may hold anything.
fn stat(text: &str) -> Option<Vitals> {
    let (_, behind) = text.rsplit_once(')')?;
    let fields: Vec<&str> = behind.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    // SAFETY: a plain question to the C library.
    let each = unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1) as f64;
    let cpu = Duration::from_secs_f64(ticks as f64 / each);
    Some(Vitals { cpu, bytes: 0, is_runnable: *fields.first()? == "R" })
}

/// Bytes read and written out of `/proc/PID/io`.
fn bytes(text: &str) -> u64 {
    let of = |line: &str| {
        let value = line.strip_prefix("rchar: ").or_else(|| line.strip_prefix("wchar: "))?;
        value.trim().parse::<u64>().ok()
    };
    text.lines().filter_map(of).sum()
}

/// What is left of it for one clip.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    /// When the clip last got on.
    mark: Vitals,
    looked: Instant,
    waited: Duration,
}

impl Patience {
    pub(super) fn new(limit: Duration, vitals: Vitals) -> Self {
        Patience { limit, mark: vitals, looked: Instant::now(), waited: Duration::ZERO }
    }

    /// The clip got on.
    pub(super) fn renew(&mut self, vitals: Vitals) {
        *self = Patience::new(self.limit, vitals);
    }

    /// Looks at a process that said nothing since the last look, and whether that is enough.
    pub(super) fn ends(&mut self, vitals: Vitals) -> bool {
        let since = self.looked.elapsed();
        self.looked = Instant::now();
        self.judge(vitals, since)
    }

    fn judge(&mut self, vitals: Vitals, since: Duration) -> bool {
        if vitals.bytes > self.mark.bytes {
            self.renew(vitals);
            return false;
        }
        if !vitals.is_runnable {
            self.waited += since;
        }
        let worked = vitals.cpu.saturating_sub(self.mark.cpu);
        worked >= self.limit || self.waited >= self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn vitals(cpu: u32, bytes: u64, is_runnable: bool) -> Vitals {
        Vitals { cpu: cpu * SECOND, bytes, is_runnable }
    }

    fn patience() -> Patience {
        Patience::new(5 * SECOND, vitals(100, 1000, true))
    }

    #[test]
    fn a_busy_machine_ends_no_ones_patience() {
        let mut patience = patience();
        for _ in 0..1000 {
            assert!(!patience.judge(vitals(101, 1000, true), SECOND), "it could run, others do");
        }
    }

    #[test]
    fn work_without_progress_and_waiting_do() {
        let mut working = patience();
        assert!(!working.judge(vitals(104, 1000, true), SECOND));
        assert!(working.judge(vitals(105, 1000, true), SECOND));
        let mut waiting = patience();
        assert!((0..4).all(|_| !waiting.judge(vitals(100, 1000, false), SECOND)));
        assert!(waiting.judge(vitals(100, 1000, false), SECOND));
    }

    #[test]
    fn every_byte_renews_it() {
        let mut patience = patience();
        for step in 1..100 {
            assert!(!patience.judge(vitals(100 + 4 * step, 1000 + u64::from(step), false), SECOND));
        }
        patience.renew(vitals(900, 5000, true));
        assert!(!patience.judge(vitals(904, 5000, false), 4 * SECOND));
    }

    #[test]
    fn the_systems_words_are_understood() {
        let text = "42 (a) b (c)) R 1 2 3 4 5 6 7 8 9 10 300 50 0 0";
        let found = stat(text).expect("reads");
        assert!(found.is_runnable && found.cpu > Duration::ZERO);
        assert!(!stat("42 (x) T 1 2 3 4 5 6 7 8 9 10 1 1").expect("reads").is_runnable);
        assert_eq!(stat("42 (x) T 1"), None);
        assert_eq!(bytes("rchar: 10\nwchar: 5\nsyscr: 9\n"), 15);
        assert!(Vitals::of(std::process::id()).cpu >= Duration::ZERO);
    }
}
