//! `ncaers worker`: the process in which `build` decodes; not for people.

use super::Done;

/// Decode clips for a build (started by `build` itself)
#[derive(Debug, clap::Args)]
#[command(hide = true, after_help = "Example: ncaers build --corpus corpus --out out --seed 1")]
pub struct Args {}

pub(super) fn run(_: &Args) -> anyhow::Result<Done> {
    keep_memory();
    crate::dataset::serve(std::io::stdin().lock(), std::io::stdout().lock())?;
    Ok(Done::default())
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
