//! `ncaers doctor`
use std::fmt::Write as _;

use anyhow::Result;
use serde_json::json;

use super::{version, Done};
use crate::machine::{check_machine, CheckState, MachineCheck};

/// Check what this machine has and lacks, with a fix for everything that is missing
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: ncaers doctor")]
pub struct Args {}

pub(super) fn run(_: &Args) -> Result<Done> {
    let mut checks = vec![MachineCheck::ok("ncaers", version::long())];
    checks.extend(check_machine());
    let mut text = String::new();
    for check in &checks {
        let mark = if check.state == CheckState::Ok { "ok" } else { "--" };
        let _ = writeln!(text, "{mark}  {:<16} {}", check.what, check.found);
        if let Some(fix) = &check.fix {
            let _ = writeln!(text, "{:21}fix: {fix}", "");
        }
    }
    Ok(Done { text, json: json!({ "findings": checks }), exit: 0 })
}
