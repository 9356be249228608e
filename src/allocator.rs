//! What the C library's allocator keeps of what was freed.

/// Gives what is free back to the system, for whoever else needs it.
pub fn return_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: touches free memory only.
    unsafe {
        libc::malloc_trim(0);
    }
}
