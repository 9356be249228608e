//! `ncaers report RUNS_DIR --out DIR`
use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use super::{reading::ReadingArgs, Done};
use crate::{
    evaluation::{self, Predictions},
    progress,
    record::{Emotion, Prediction, Split, NUM_CLASSES},
    report::{self, ImportedRun, Request, Rules, Summary, MAX_THUMBS},
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
    /// Random sign patterns where there are too many videos to try all; more are drawn where
    /// Holm's correction over very many pairs needs them
    #[arg(long, default_value_t = 9_999, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    sign_flips: u32,
    /// Predictions of other programs on the same samples (CSV, JSON lines, Parquet), rows of their
    /// own, marked imported
    #[arg(long, value_name = "FILE")]
    predictions: Vec<PathBuf>,
    #[command(flatten)]
    reading: ReadingArgs,
    /// Also test whether models are equally good within this many points, and mark those that are
    #[arg(long, value_name = "POINTS", value_parser = super::reading::points)]
    margin_points: Option<f64>,
}

pub(super) fn run(args: &Args) -> Result<Done> {
    let defaults = Request::new(&args.runs, &args.out);
    let request = Request {
        manifest: args.manifest.clone(),
        split: args.split,
        title: args.title.clone().unwrap_or(defaults.title),
        max_thumbs: args.max_thumbs,
        imported: imported(args)?,
        rules: Rules {
            sign_flips: args.sign_flips as usize,
            margin: args.margin_points.map(|points| points / 100.0),
        },
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

/// The answers of other programs, in the terms of a report: seven emotions.
fn imported(args: &Args) -> Result<Vec<ImportedRun>> {
    if args.predictions.is_empty() {
        return Ok(Vec::new());
    }
    let mut reading = args.reading.read(args.split)?;
    reading.classes = Emotion::ALL.map(|e| e.name().to_owned()).to_vec();
    let all = evaluation::read_all(&args.predictions, args.split, &reading)?;
    Ok(all.into_iter().map(imported_run).collect())
}

fn imported_run(predictions: Predictions) -> ImportedRun {
    let answers = &predictions.answers;
    let row = |(i, answer): (usize, &crate::stats::answers::Answer)| {
        let p = answers.probabilities_of(i).unwrap_or_default();
        Prediction {
            sample_id: answer.sample_id.clone(),
            clip_id: answer.clip_id.clone().unwrap_or_else(|| answer.sample_id.clone()),
            group_id: answer.group_id.clone(),
            target: answer.target as u8,
            predicted: answer.predicted as u8,
            // Logarithms of probabilities are logits of the same softmax.
            logits: std::array::from_fn::<f32, NUM_CLASSES, _>(|class| {
                p.get(class).map_or(f32::NAN, |p| p.max(1e-30).ln() as f32)
            }),
            w_face: None,
            w_context: None,
        }
    };
    ImportedRun {
        label: predictions.label.clone(),
        seed: predictions.seed.unwrap_or(0),
        file: predictions.file.clone(),
        digest: predictions.digest.clone(),
        rows: answers.rows.iter().enumerate().map(row).collect(),
    }
}
