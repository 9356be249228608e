//! Parse, dispatch, print what went wrong in one line.
use std::process::ExitCode;

fn main() -> ExitCode {
    ncaers::command_line()
}
