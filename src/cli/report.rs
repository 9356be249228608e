//! `ncaers report RUNS_DIR --out DIR`
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Result;
use serde_json::json;

use super::{reading::ReadingArgs, Done, Usage};
use crate::{
    evaluation, progress,
    record::Split,
    report::{
        self,
        several::{ReportPart, Several},
        ImportedRun, ReportRequest, ReportSummary, Rules, MAX_THUMBS,
    },
};

/// Write tables, figures and one page about finished runs
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples: ncaers report data/demo/runs --manifest data/demo/manifest --out reports/demo\n          \
        ncaers report NCAER-S=runs/ours CAER-S=runs/theirs --audit CAER-S=audits/caer-s --out reports/both"
)]
pub struct Args {
    /// Folder of run folders; several data sets as NAME=FOLDER, of which CAER-S and NCAER-S stand for
    /// the paper's
    #[arg(required = true)]
    runs: Vec<String>,
    /// Folder to write into: index.html, report.md, report.json, tables, figures, thumbs
    #[arg(long)]
    out: PathBuf,
    /// Folder of the manifest [default: the one the runs name, where it is unchanged]; with several
    /// data sets NAME=FOLDER
    #[arg(long, value_name = "DIR")]
    manifest: Vec<String>,
    /// Folder of an audit of the manifest, to say how much of the scores is leak; with several data
    /// sets NAME=FOLDER
    #[arg(long, value_name = "AUDIT_DIR")]
    audit: Vec<String>,
    /// Folder that `ncaers annotate` wrote, for Figure 11 of a report on several data sets
    #[arg(long, value_name = "DIR")]
    wild: Option<PathBuf>,
    /// A paragraph that heads the report: what the reader must know before the results
    #[arg(long, value_name = "TEXT")]
    note: Vec<String>,
    /// Title [default: name of the output folder]
    #[arg(long)]
    title: Option<String>,
    /// Split whose predictions are scored
    #[arg(long, default_value = "test")]
    split: Split,
    /// Maximum number of thumbnails; the page shows the other samples by name
    #[arg(long, default_value_t = MAX_THUMBS)]
    max_thumbs: usize,
    /// Random sign patterns where there are too many videos to try all; more are drawn where
    /// Holm's correction over very many pairs needs them
    #[arg(long, default_value_t = 9_999, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    sign_flips: u32,
    /// Predictions of other programs on the same samples (CSV, JSON lines, Parquet), rows of their
    /// own, marked imported
    #[arg(long, value_name = "FILE")]
    predictions: Vec<PathBuf>,
    /// Also test whether models are equally good within this many points, and mark those that are
    #[arg(long, value_name = "POINTS", value_parser = super::reading::points)]
    margin_points: Option<f64>,
    #[command(flatten)]
    reading: ReadingArgs,
}

pub(super) fn run(args: &Args) -> Result<Done> {
    let named: Option<Vec<(&str, &str)>> = args.runs.iter().map(|r| r.split_once('=')).collect();
    let summary = match (named, args.runs.as_slice()) {
        (Some(sets), _) => report::several::write(&several(args, &sets)?, &args.out)?,
        (None, [runs]) => report::write(&one(args, runs)?, &args.out)?,
        _ => return Err(Usage("several data sets need names: NAME=FOLDER each".into()).into()),
    };
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

/// How the tests are made.
fn rules(args: &Args) -> Rules {
    Rules {
        sign_flips: args.sign_flips as usize,
        margin: args.margin_points.map(|points| points / 100.0),
    }
}

/// The report of one data set.
fn one(args: &Args, runs: &str) -> Result<ReportRequest> {
    if args.wild.is_some() || args.audit.len() > 1 || args.manifest.len() > 1 {
        let text =
            "--wild and several --audit or --manifest are for data sets given as NAME=FOLDER";
        return Err(Usage(text.into()).into());
    }
    let defaults = ReportRequest::new(runs.as_ref(), &args.out);
    Ok(ReportRequest {
        manifest: args.manifest.first().map(PathBuf::from),
        split: args.split,
        title: args.title.clone().unwrap_or(defaults.title),
        max_thumbs: args.max_thumbs,
        audit: args.audit.first().map(PathBuf::from),
        imported: imported(args)?,
        rules: rules(args),
        notes: args.note.clone(),
        ..defaults
    })
}

/// Folders by the names of data sets.
fn by_name<'a>(
    flag: &str,
    given: &'a [String],
    sets: &[(&str, &str)],
) -> Result<BTreeMap<&'a str, PathBuf>> {
    let mut folders = BTreeMap::new();
    for text in given {
        let known = text.split_once('=').filter(|(name, _)| sets.iter().any(|(n, _)| n == name));
        let (name, folder) = known.ok_or_else(|| {
            Usage(format!("{flag} `{text}` is not NAME=FOLDER with the name of a data set"))
        })?;
        folders.insert(name, PathBuf::from(folder));
    }
    Ok(folders)
}

/// The report of several data sets.
fn several(args: &Args, sets: &[(&str, &str)]) -> Result<Several> {
    let audits = by_name("--audit", &args.audit, sets)?;
    let manifests = by_name("--manifest", &args.manifest, sets)?;
    let title =
        args.title.clone().unwrap_or_else(|| ReportRequest::new(Path::new(""), &args.out).title);
    let part = |&(name, runs): &(&str, &str)| ReportPart {
        name: name.to_owned(),
        request: ReportRequest {
            title: name.to_owned(),
            split: args.split,
            max_thumbs: args.max_thumbs,
            audit: audits.get(name).cloned(),
            rules: rules(args),
            manifest: manifests.get(name).cloned(),
            ..ReportRequest::new(runs.as_ref(), &args.out)
        },
    };
    let parts = sets.iter().map(part).collect();
    let (notes, wild) = (args.note.clone(), args.wild.clone());
    Ok(Several { title, notes, parts, absent: Vec::new(), wild })
}

/// Says what a report lacks.
pub(super) fn note_problems(summary: &ReportSummary) {
    for problem in &summary.problems {
        progress::message(&format!("note: {problem}"));
    }
}

/// The answers of other programs.
fn imported(args: &Args) -> Result<Vec<ImportedRun>> {
    if args.predictions.is_empty() {
        return Ok(Vec::new());
    }
    evaluation::read_for_report(&args.predictions, args.split, &args.reading.read(args.split)?)
}
