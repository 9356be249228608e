//! What several examples measure with.

/// CPU seconds of all threads of this process so far, user and system together.
pub fn cpu_seconds() -> f64 {
    // SAFETY: getrusage fills the whole struct; zeros are a valid one should it fail.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 * 1e-6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}
