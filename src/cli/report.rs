//! `ncaers report RUNS_DIR --out DIR`
use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use super::Done;
use crate::{
    progress,
    record::Split,
    report::{self, Request, Summary, MAX_THUMBS},
};

/// Write tables, figures and one page about finished runs
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: ncaers report data/demo/runs --manifest data/demo/manifest --out reports/demo"
)]
pub struct Args {
    /// Folder of run folders
    runs: PathBuf,
    /// Folder to write into: index.html, report.md, report.json, tables, figures, thumbs
    #[arg(long)]
    out: PathBuf,
    /// Folder of the manifest [default: the one the runs name, where it is unchanged]
    #[arg(long)]
    manifest: Option<PathBuf>,
    /// Title [default: name of the output folder]
    #[arg(long)]
    title: Option<String>,
    /// Split whose predictions are scored
    #[arg(long, default_value = "test")]
    split: Split,
    /// Most thumbnails to write; the page shows the other samples by name
    #[arg(long, default_value_t = MAX_THUMBS)]
    max_thumbs: usize,
}

pub(super) fn run(args: &Args) -> Result<Done> {
    let defaults = Request::new(&args.runs, &args.out);
    let request = Request {
        manifest: args.manifest.clone(),
        split: args.split,
        title: args.title.clone().unwrap_or(defaults.title),
        max_thumbs: args.max_thumbs,
        ..defaults
    };
    let summary = report::write(&request, &args.out)?;
    note_problems(&summary);
    let page = args.out.join("index.html");
    let text = format!(
        "report on {} runs, {} tables, {} figures, {} remarks: {}",
        summary.runs,
        summary.tables,
        summary.figures,
        summary.problems.len(),
        page.display()
    );
    let json = json!({
        "runs": summary.runs,
        "tables": summary.tables,
        "figures": summary.figures,
        "problems": summary.problems,
        "page": page,
    });
    Ok(Done { text, json, exit: 0 })
}

/// Says what a report lacks.
pub(super) fn note_problems(summary: &Summary) {
    for problem in &summary.problems {
        progress::message(&format!("note: {problem}"));
    }
}
