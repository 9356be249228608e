//! `ncaers verify MANIFEST`
use std::path::PathBuf;

use anyhow::bail;
use serde_json::json;

use super::Done;
use crate::dataset::verify::verify;

/// Check a manifest against its files
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: ncaers verify manifests/ncaers")]
pub struct Args {
    /// The manifest folder
    manifest: PathBuf,
}

/// Violations that are printed; the rest is counted.
const SHOWN: usize = 50;

pub(super) fn run(args: &Args) -> anyhow::Result<Done> {
    let report = verify(&args.manifest)?;
    for violation in report.violations.iter().take(SHOWN) {
        crate::progress::message(&violation.to_string());
    }
    if !report.violations.is_empty() {
        bail!(
            "{} of {} checks failed in {}",
            report.violations.len(),
            report.checks,
            args.manifest.display()
        );
    }
    let text = format!(
        "{} checks passed: {} samples, {} clips, {} ledger rows",
        report.checks, report.samples, report.clips, report.ledger
    );
    let json = json!({"checks": report.checks, "samples": report.samples,
        "clips": report.clips, "ledger": report.ledger});
    Ok(Done { text, json, exit: 0 })
}
