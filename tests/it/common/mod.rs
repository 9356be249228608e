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
