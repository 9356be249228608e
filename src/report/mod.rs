//! From run folders to tables, figures and one page; reads files and never runs a model.
//!
//! [`Study::read`] reads and checks, `scores` evaluates and compares, `sections` says what is
//! shown, [`page`] sets it as HTML and Markdown. Every number of every table carries the ids of
//! the runs behind it into `report.json`.
mod attention;
pub mod figure;
mod gallery;
mod imported;
mod leak;
mod neighbours;
pub mod page;
pub mod paper;
mod paper_tables;
mod rules;
mod scores;
mod sections;
pub mod several;
mod study;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::Result;
use serde_json::{json, Map, Value};

pub use attention::overlay as heat;
pub use imported::ImportedRun;
pub use rules::Rules;
pub use study::{ReportRequest, Study, MAX_THUMBS};

use crate::{
    folder::{self, OutputFolder},
    progress::Progress,
    record::Prediction,
};
use gallery::Thumbs;
use neighbours::Neighbours;
use page::{Block, Page, Section};
use scores::Scores;

/// Most answers whose seven probabilities all go into the page; of more it shows the largest.
const MOST_PROBABILITIES: usize = 100_000;

/// What report folders are for.
const PURPOSE: &str = "report";

/// Refuses a folder that [`write`] would refuse, without touching it.
///
/// # Errors
/// When it holds what is not a report of ours.
pub fn check_folder(out: &Path) -> Result<()> {
    folder::check_standing(out, PURPOSE)
}

/// What a demonstration's title and banner say.
const DEMONSTRATION: &str = "demonstration on synthetic clips; says nothing about real data";

/// What every reader of a demonstration must know first.
const BANNER: &str =
    "This is a demonstration on synthetic clips that were drawn so that attention \
                      matters. It shows that the chain works and says nothing about real data.";

/// What was written.
#[derive(Clone, Debug)]
pub struct ReportSummary {
    /// Runs read.
    pub runs: usize,
    /// Tables written, each in three formats.
    pub tables: usize,
    /// Figures written, each in three formats.
    pub figures: usize,
    /// What is missing or was refused, in words.
    pub problems: Vec<String>,
}

/// Reads `request`, and writes `index.html`, `report.md`, `report.json`, `tables/`, `figures/`
/// and `thumbs/` into `out`. The same input gives the same bytes.
///
/// # Errors
/// When nothing can be reported on, or `out` cannot be written.
pub fn write(request: &ReportRequest, out: &Path) -> Result<ReportSummary> {
    let out_folder = folder::claim_standing(out, PURPOSE)?;
    let mut study = Study::read(request)?;
    let scores = Scores::of(&study, &request.rules)?;
    let mut problems = std::mem::take(&mut study.problems);
    let thumbs = Thumbs::make(&study, request.max_thumbs, &mut problems);
    let neighbours = Neighbours::of(&study, request)?;
    let maps = attention::figure(&study, &mut problems);
    study.problems = problems;
    let leak = leak::Leak::of(&study, request.audit.as_deref())?;
    let leak = leak.map(|leak| leak::section("this data set", &study, &leak, None));
    let page = page(&study, &scores, &thumbs, maps, leak);
    write_study(&out_folder, &study, &scores, (&thumbs, &neighbours), &page)?;
    Ok(ReportSummary {
        runs: study.runs.len(),
        tables: page.tables().count(),
        figures: page.figures().count(),
        problems: study.problems,
    })
}

/// Writes the page of one study with everything beside it.
fn write_study(
    out: &OutputFolder,
    study: &Study,
    scores: &Scores,
    (thumbs, neighbours): (&Thumbs, &Neighbours),
    page: &Page,
) -> Result<()> {
    let pictures: Vec<_> = thumbs.files().chain(neighbours.files()).collect();
    let mut data = page_data(study, scores, thumbs);
    data["neighbours"] = neighbours.data();
    write_page(out, page, &pictures, &data, &trace(study, scores, page))
}

/// Writes a page, its tables, figures and `pictures`, and removes what an earlier report left.
fn write_page(
    out: &OutputFolder,
    page: &Page,
    pictures: &[(String, &[u8])],
    data: &Value,
    trace: &Value,
) -> Result<()> {
    let mut kept = write_files(out, page, pictures)?;
    out.write("report.md", page.markdown().as_bytes())?;
    out.write_json("report.json", trace)?;
    out.write("index.html", page.html(data)?.as_bytes())?;
    kept.extend(["report.md", "report.json", "index.html"].map(PathBuf::from));
    out.retain(|name| kept.contains(name))
}

fn page(
    study: &Study,
    scores: &Scores,
    thumbs: &Thumbs,
    maps: Option<Section>,
    leak: Option<Section>,
) -> Page {
    let mut sections: Vec<Section> = leak.into_iter().collect();
    sections.extend([
        sections::results::section(study, scores),
        sections::significance::section(study, scores),
        sections::confusion::section(study),
        sections::data::section(study),
        pictures(study, thumbs),
        sections::samples::section(study),
    ]);
    sections.extend(maps);
    sections.push(sections::training::curves(study));
    sections.extend(sections::training::fusion(study));
    sections.push(sections::reliability::section(study, scores));
    sections.push(two_models(study));
    sections.push(sections::provenance::runs(study));
    sections.push(sections::provenance::limits(study));
    let title = &study.title;
    Page {
        title: if study.demonstration {
            format!("{title} ({DEMONSTRATION})")
        } else {
            title.clone()
        },
        banner: study.demonstration.then(|| BANNER.into()),
        colophon: format!(
            "Made by ncaers {} from {} run folders without running a model.",
            env!("CARGO_PKG_VERSION"),
            study.runs.len()
        ),
        sections,
    }
}

fn pictures(study: &Study, thumbs: &Thumbs) -> Section {
    let mut section = Section::new("predictions", "Predictions");
    if thumbs.files.is_empty() {
        section.text("No picture of the data set is at hand; samples are named.");
    }
    section.text(
        "For every true class a sample that all of these models get right, one that some get \
         right, and one that none does, each drawn at random among all of its kind.",
    );
    section.blocks.push(Block::Html(gallery::grid_html(study, thumbs)));
    section.blocks.extend(gallery::figure(study, thumbs).map(Block::FileFigure));
    section
}

/// The comparison of two models chosen from lists.
fn two_models(study: &Study) -> Section {
    let mut section = Section::new("two-models", "Two models side by side");
    section.blocks.push(Block::Html(sections::two_models_html(study)));
    section
}

/// Writes tables, figures and pictures; returns their names.
fn write_files(
    out: &OutputFolder,
    page: &Page,
    pictures: &[(String, &[u8])],
) -> Result<BTreeSet<PathBuf>> {
    let mut kept = BTreeSet::new();
    let mut put = |name: String, bytes: &[u8]| {
        out.write(&name, bytes)?;
        kept.insert(PathBuf::from(name));
        anyhow::Ok(())
    };
    for table in page.tables() {
        let name = &table.name;
        put(format!("tables/{name}.md"), table.markdown().as_bytes())?;
        put(format!("tables/{name}.tex"), table.latex().as_bytes())?;
        put(format!("tables/{name}.csv"), table.csv()?.as_bytes())?;
    }
    let figures: Vec<_> = page.figures().collect();
    let progress = Progress::new("figures", "figures", figures.len() as u64);
    for figure in figures {
        put(format!("figures/{}.svg", figure.name), figure.canvas.svg()?.as_bytes())?;
        put(format!("figures/{}.png", figure.name), &figure.canvas.png()?)?;
        put(format!("figures/{}.pdf", figure.name), &figure.canvas.pdf()?)?;
        progress.advance(1);
    }
    progress.finish();
    for (name, bytes) in pictures {
        put(name.clone(), bytes)?;
    }
    Ok(kept)
}

/// What the page's script reads.
fn page_data(study: &Study, scores: &Scores, thumbs: &Thumbs) -> Value {
    let digit = |label: u8| char::from(b'0' + label.min(9));
    let mut models = vec![Value::Null; study.runs.len()];
    for (i, run, answers) in study.scored() {
        let predicted: String = answers.rows.iter().map(|r| digit(r.predicted)).collect();
        let confidence: String = answers
            .rows
            .iter()
            .map(|r| base36((gallery::confidence(r) * 1000.0).round()))
            .collect();
        models[i] = json!({
            "name": sections::run_label(run), "predicted": predicted, "confidence": confidence,
        });
        if study.samples.len() * study.runs.len() <= MOST_PROBABILITIES {
            models[i]["probabilities"] =
                answers.rows.iter().map(probabilities).collect::<String>().into();
        }
    }
    let mut pairs = Map::new();
    for (position, level) in scores.single.iter().enumerate() {
        for pair in &level.comparison.pairs {
            let [a, b] = [pair.a, pair.b].map(|m| study.groups[level.members[m]].runs[position]);
            let rows = sections::significance::pair_rows(pair, a > b);
            pairs.insert(format!("{}-{}", a.min(b), a.max(b)), rows);
        }
    }
    json!({
        "classes": crate::record::Emotion::ALL.map(|e| e.name()),
        "ids": study.samples.iter().map(|(id, _)| id).collect::<Vec<_>>(),
        "target": study.samples.iter().map(|(_, t)| digit(*t)).collect::<String>(),
        "thumbs": thumbs.flags(study.samples.len()),
        "boxes": boxes(study, thumbs),
        "groups": groups(study),
        "models": models,
        "pairs": pairs,
    })
}

/// A number per sample, the same for those of one video.
fn groups(study: &Study) -> Vec<usize> {
    let Some((_, _, answers)) = study.scored().next() else { return Vec::new() };
    let mut numbers = BTreeMap::new();
    let of = |row: &Prediction| {
        let next = numbers.len();
        *numbers.entry(row.group_id.clone()).or_insert(next)
    };
    answers.rows.iter().map(of).collect()
}

/// The probabilities of a sample's classes, as [`base36`] writes them.
fn probabilities(row: &Prediction) -> String {
    gallery::softmax(row).iter().map(|share| base36((share * 1000.0).round())).collect()
}

/// The face of every sample that has a picture here, left, top, right and bottom in thousandths of
/// the picture's sides; null where there is none.
fn boxes(study: &Study, thumbs: &Thumbs) -> Vec<Option<[i64; 4]>> {
    let samples = study.samples_by_id();
    let place = |at: i32, side: u32| 1000 * i64::from(at) / i64::from(side.max(1));
    let of = |(index, (id, _)): (usize, &(String, u8))| {
        let sample = thumbs.files.get(&index).and_then(|_| samples.get(id.as_str()))?;
        let (face, w, h) = (sample.face?, sample.width, sample.height);
        Some([place(face.x1, w), place(face.y1, h), place(face.x2, w), place(face.y2, h)])
    };
    study.samples.iter().enumerate().map(of).collect()
}

/// A share in thousandths as two digits of base 36.
fn base36(thousandths: f64) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let value = thousandths.clamp(0.0, 1000.0) as usize;
    [value / 36, value % 36].map(|d| char::from(DIGITS[d])).iter().collect()
}

/// Every number with its origin.
fn trace(study: &Study, scores: &Scores, page: &Page) -> Value {
    let runs = study.runs.iter().map(|run| {
        json!({
            "folder": run.name,
            "record": run.record,
            "test_looks": run.looks,
            "predictions_sha256": run.answers.as_ref().map(|a| &a.digest),
        })
    });
    let groups = study
        .groups
        .iter()
        .zip(&scores.groups)
        .map(|(group, score)| json!({"label": group.label, "score": score}));
    json!({
        "title": page.title,
        "demonstration": study.demonstration,
        "program_version": env!("CARGO_PKG_VERSION"),
        "split": study.split,
        "samples": study.samples.len(),
        "manifest_digest": study.data.as_ref().map(|d| &d.digest),
        "runs": runs.collect::<Vec<_>>(),
        "configurations": groups.collect::<Vec<_>>(),
        "pairs": scores.pairs,
        "failed": study.failed,
        "tables": page.tables().collect::<Vec<_>>(),
        "problems": study.problems,
    })
}
