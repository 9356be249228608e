//! `ncaers worker`: the process in which `build` decodes; not for people.

use super::Done;

/// Decode clips for a build (started by `build` itself)
#[derive(Debug, clap::Args)]
#[command(hide = true, after_help = "Example: ncaers build --corpus corpus --out out --seed 1")]
pub struct Args {}

pub(super) fn run(_: &Args) -> anyhow::Result<Done> {
    take_name();
    keep_memory();
    crate::dataset::serve(std::io::stdin().lock(), std::io::stdout().lock())?;
    Ok(Done::default())
}

/// Tells workers from builds in the system's list of processes.
fn take_name() {
    #[cfg(target_os = "linux")]
    // SAFETY: the name is a C string of at most 15 bytes.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, c"ncaers worker".as_ptr());
    }
}

/// Makes `count` workers ready, before the program has a second thread. LibTorch's detector starts
/// as many threads as the environment said when the program was loaded, and is left out.
///
/// # Errors
/// When the system has no further process.
pub(super) fn ready(
    count: usize,
    detector: Option<&crate::face::DetectorRequest>,
) -> anyhow::Result<()> {
    if detector.is_some_and(crate::face::DetectorRequest::needs_torch) {
        return Ok(());
    }
    crate::dataset::ready_workers(count, || match run(&Args {}) {
        Ok(_) => 0,
        Err(error) => {
            crate::progress::error(&format!("error: {error:#}"));
            super::FAILED
        }
    })
}

/// Lets the allocator keep what one clip frees for the next: decoders take and give back some
/// 10 MB a clip, and fresh pages cost 5 % of the whole work.
fn keep_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: plain settings of the allocator, before any other thread starts.
    unsafe {
        const KEPT_BYTES: libc::c_int = 64 << 20;
        libc::mallopt(libc::M_MMAP_THRESHOLD, KEPT_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES);
    }
}
