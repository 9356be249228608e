//! The one harness of the black-box tests: the program as a user types it.
use assert_cmd::Command;

/// The built program.
pub fn ncaers() -> Command {
    Command::new(env!("CARGO_BIN_EXE_ncaers"))
}
