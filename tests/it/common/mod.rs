//! The one harness of the black-box tests: the program as a user types it.
use assert_cmd::Command;

pub mod allocations;
pub mod answers;
pub mod builds;
pub mod clips;
pub mod cluster;
pub mod drawn;
pub mod flat;
#[cfg(feature = "torch")]
pub mod mmod;
pub mod odd;
pub mod pictures;
pub mod planted;
#[cfg(feature = "torch")]
pub mod rebuilt;
pub mod rooms;
#[cfg(feature = "torch")]
pub mod runs;

/// The built program.
pub fn ncaers() -> Command {
    Command::new(env!("CARGO_BIN_EXE_ncaers"))
}

/// LibTorch's generator and its threads serve the whole process: one test at a time.
#[cfg(feature = "torch")]
pub fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let guard = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // Threads that wait for each other are slow on a machine that does other work too.
    tch::set_num_threads(1);
    guard
}
