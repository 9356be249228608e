//! Memory that a step gives back is kept for the next one.
use std::sync::Once;

/// Tells the allocator to keep what is freed, and LibTorch to ask for huge pages.
///
/// Every step allocates and frees the same few hundred megabytes. By default the C library returns
/// the large pieces to the kernel, which hands them out again zeroed, 4 KiB at a time: a fifth of
/// the CPU time of a step. Call it before the first tensor is made; later calls do nothing.
pub fn keep_memory() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // LibTorch's own switch, read when it first allocates; whoever set it, wins.
        if std::env::var_os("THP_MEM_ALLOC_ENABLE").is_none() {
            std::env::set_var("THP_MEM_ALLOC_ENABLE", "1");
        }
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        // SAFETY: sets two numbers of the C library's allocator: no piece is mapped by itself, and
        // the end of the heap is never returned.
        unsafe {
            libc::mallopt(libc::M_MMAP_MAX, 0);
            libc::mallopt(libc::M_TRIM_THRESHOLD, -1);
        }
    });
}

/// Gives what is free back to the system after all, for whoever else needs it.
pub(super) fn return_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: touches free memory only.
    unsafe {
        libc::malloc_trim(0);
    }
}
