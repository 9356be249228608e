//! `ncaers report RUNS_DIR --out DIR`
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;

use super::Done;
use crate::{
    record::Split,
    report::{self, Request},
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
    #[arg(long, default_value_t = 600)]
    max_thumbs: usize,
}

pub(super) fn run(args: &Args) -> Result<Done> {
    let name = args.out.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let title = args.title.clone().unwrap_or_else(|| format!("Emotion recognition report: {name}"));
    write(
        &Request {
            runs: args.runs.clone(),
            manifest: args.manifest.clone(),
            split: args.split,
            title,
            max_thumbs: args.max_thumbs,
        },
        &args.out,
    )
}

/// Renders the report of `runs` with the defaults, for commands that end in one.
#[cfg(feature = "torch")]
pub(super) fn render(runs: &Path, out: &Path) -> Result<Done> {
    let [runs, out_text] = [runs, out].map(|p| p.as_os_str().to_owned());
    run(&Args {
        runs: runs.into(),
        out: out_text.into(),
        manifest: None,
        title: None,
        split: Split::Test,
        max_thumbs: 600,
    })
}

fn write(request: &Request, out: &Path) -> Result<Done> {
    let summary = report::write(request, out)?;
    for problem in &summary.problems {
        eprintln!("note: {problem}");
    }
    let page = out.join("index.html");
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
