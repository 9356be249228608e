//! Memory: what a step gives back is kept for the next one, and how much there is.
use std::sync::OnceLock;

use anyhow::{anyhow, Result};

use super::native;
use crate::libtorch;

/// Disables malloc trimming, and lets LibTorch ask for huge pages.
///
/// Every step allocates and frees the same few hundred megabytes. By default the C library returns
/// the large pieces to the kernel, which hands them out again zeroed, 4 KiB at a time: a fifth of
/// the CPU time of a step. Call it before the first large tensor is made; later calls do nothing.
///
/// # Errors
/// When LibTorch cannot be opened.
pub fn keep_memory() -> Result<()> {
    static DONE: OnceLock<Result<(), String>> = OnceLock::new();
    let done = DONE.get_or_init(|| keep().map_err(|error| format!("{error:#}")));
    done.as_ref().copied().map_err(|reason| anyhow!("{reason}"))
}

fn keep() -> Result<()> {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: sets two numbers of the C library's allocator: no piece is mapped by itself, and
    // the end of the heap is never returned.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, -1);
    }
    libtorch::load()?;
    // LibTorch's own switch; whoever set it, wins.
    if std::env::var_os("THP_MEM_ALLOC_ENABLE").is_none() {
        native::huge_pages()?;
    }
    Ok(())
}

/// Bytes that this process can still take: the least of what the system, the process's own limit
/// and its control group leave; `None` where the system does not say.
pub(super) fn free_memory() -> Option<u64> {
    let system = number(&read("/proc/meminfo")?, "MemAvailable:")?;
    let limits = [own_limit(), group_limit()];
    Some(limits.into_iter().flatten().fold(system, u64::min))
}

/// What `limit on address space` leaves.
fn own_limit() -> Option<u64> {
    // SAFETY: rlimit is plain numbers, which the call fills.
    let limit = unsafe {
        let mut limit = std::mem::zeroed::<libc::rlimit>();
        (libc::getrlimit(libc::RLIMIT_AS, &mut limit) == 0).then_some(limit.rlim_cur)?
    };
    let taken = number(&read("/proc/self/status")?, "VmSize:")?;
    (limit != libc::RLIM_INFINITY).then(|| limit.saturating_sub(taken))
}

/// What the control group leaves, version 2 or 1; pages of files that it holds can be dropped.
fn group_limit() -> Option<u64> {
    let groups = read("/proc/self/cgroup")?;
    let all = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (kinds, path) = (parts.next()?, parts.next()?);
        let (root, limit, taken, cached) = match kinds {
            "" => ("/sys/fs/cgroup", "memory.max", "memory.current", "file"),
            _ if kinds.split(',').any(|kind| kind == "memory") => (
                "/sys/fs/cgroup/memory",
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                "total_cache",
            ),
            _ => return None,
        };
        // In a container the group's own folder is often the root of what one sees.
        let folder = [format!("{root}{path}"), root.to_owned()];
        folder.iter().find_map(|folder| {
            let value = |name: &str| read(&format!("{folder}/{name}"));
            let limit: u64 = value(limit)?.trim().parse().ok()?;
            let taken: u64 = value(taken)?.trim().parse().ok()?;
            let cached = value("memory.stat").and_then(|text| number(&text, cached)).unwrap_or(0);
            Some(limit.saturating_sub(taken.saturating_sub(cached)))
        })
    });
    all.min()
}

/// The most memory that this process had resident while `work` ran, above what it had before;
/// `None` where the system does not say.
pub(super) fn peak_of(work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Option<u64>> {
    crate::allocator::return_memory();
    let resident = |key| read("/proc/self/status").and_then(|text| number(&text, key));
    let before = resident("VmRSS:");
    // 5 sets the mark of the most memory back to what is resident now.
    let is_reset = std::fs::write("/proc/self/clear_refs", "5").is_ok();
    work()?;
    let peak = resident("VmHWM:").zip(before).map(|(peak, before)| peak.saturating_sub(before));
    Ok(peak.filter(|_| is_reset))
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// The number behind `key` at the start of a line, in bytes.
fn number(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(key))?;
    let mut words = line.split_whitespace().skip(1);
    let value: u64 = words.next()?.parse().ok()?;
    Some(if words.next() == Some("kB") { value * 1024 } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_behind_their_key() {
        let text = "MemFree:  7 kB\nMemAvailable:    12 kB\nfile 300\n";
        assert_eq!(number(text, "MemAvailable:"), Some(12 * 1024));
        assert_eq!(number(text, "file"), Some(300));
        assert_eq!(number(text, "Mem"), None);
    }

    #[test]
    fn the_system_says_what_is_free() {
        let free = free_memory().expect("Linux says");
        assert!(free > 16 << 20 && free < 1 << 50, "{free}");
        // How much is measured shows in `tests/train_memory.rs`: here other tests take and give too.
        assert!(peak_of(|| Ok(())).expect("runs").is_some());
        assert!(peak_of(|| anyhow::bail!("it failed")).is_err());
    }
}
