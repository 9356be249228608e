//! CPU time and memory as the system counts them.

/// Which processes to ask about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Whose {
    /// This process.
    Own,
    /// Children that have ended, and theirs.
    Children,
}

/// CPU seconds, user and system together.
pub(super) fn seconds(whose: Whose) -> f64 {
    let usage = usage(whose);
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 * 1e-6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// The most memory that one process had resident, in MB.
pub(super) fn peak_mb(whose: Whose) -> f64 {
    usage(whose).ru_maxrss as f64 / 1024.0
}

fn usage(whose: Whose) -> libc::rusage {
    let who = match whose {
        Whose::Own => libc::RUSAGE_SELF,
        Whose::Children => libc::RUSAGE_CHILDREN,
    };
    // SAFETY: getrusage fills the whole struct; zeros are a valid one should it fail.
    unsafe {
        let mut usage = std::mem::zeroed();
        libc::getrusage(who, &mut usage);
        usage
    }
}
