//! Reading Parquet files that may be damaged. The reader of polars panics on some whose parts
//! contradict each other; a panic in it is an answer here, and the program goes on.
use std::{
    cell::Cell,
    panic::{self, AssertUnwindSafe},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use polars::prelude::DataFrame;

/// What is said of a file on which the reader panicked.
pub(super) const DAMAGED: &str = "it is damaged, its parts contradict each other";

/// Reads that go on in this process.
static READS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Whether this thread waits for one of them.
    static IS_READING: Cell<bool> = const { Cell::new(false) };
}

/// What `read` gives; `None` where it panicked. It changes nothing outside, so nothing is left half
/// done.
pub(super) fn guarded<T>(read: impl FnOnce() -> T) -> Option<T> {
    let outer = IS_READING.replace(true);
    READS.fetch_add(1, Ordering::SeqCst);
    let found = panic::catch_unwind(AssertUnwindSafe(read));
    READS.fetch_sub(1, Ordering::SeqCst);
    IS_READING.set(outer);
    found.ok()
}

/// Whether all columns have as many rows: the reader does not look at that, and rows are put together from
/// columns by their number.
pub(super) fn is_even(frame: &DataFrame) -> bool {
    frame.columns().iter().all(|column| column.len() == frame.height())
}

/// Whether a panic of this thread is one that becomes an error, so that its message is not for the
/// user: on the thread that reads, or on one of polars' own meanwhile.
pub fn panic_is_answered() -> bool {
    let is_of_polars = || thread::current().name().is_some_and(|name| name.starts_with("polars"));
    IS_READING.get() || READS.load(Ordering::SeqCst) > 0 && is_of_polars()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_answer_and_only_that_of_a_reader() {
        assert_eq!(guarded(|| 3), Some(3));
        assert!(!panic_is_answered());
        let inside = guarded(|| {
            assert!(panic_is_answered());
            assert_eq!(guarded(panic_is_answered), Some(true));
            // The inner one's end is not the outer one's.
            assert!(panic_is_answered());
            panic!("as polars does");
        });
        assert_eq!((inside, panic_is_answered()), (None::<()>, false));
    }
}
