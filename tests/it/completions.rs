//! `ncaers completions` and the behaviour common to all commands.
use crate::common;
use common::ncaers;

#[test]
fn prints_a_script_for_bash() {
    let out = ncaers().args(["completions", "bash"]).assert().success();
    let text = String::from_utf8_lossy(&out.get_output().stdout).into_owned();
    assert!(text.contains("complete -F _ncaers"), "{text}");
}

#[test]
fn unknown_commands_are_wrong_usage() {
    ncaers().arg("no-such-command").assert().code(2);
}
