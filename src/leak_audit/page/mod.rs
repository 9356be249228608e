//! The audit's page: shares with intervals, distances, pairs side by side, clusters and runs. One
//! file that shows everything; the figures are also written as files of their own.
use anyhow::Result;
use serde_json::json;

use super::{
    findings::Findings,
    gather::Gathered,
    summary::{percent, AuditSummary},
};
use crate::table::Cell;
use crate::{
    folder::OutputFolder,
    record::Estimate,
    report::page::{Block, Page, Section},
};

mod gallery;
mod shares;
mod videos;

/// Writes `index.html` and `figures/`.
pub(super) fn write(out: &OutputFolder, all: &Gathered, findings: &Findings) -> Result<()> {
    let summary = &findings.summary;
    let mut sections = vec![shares::leaks(summary)];
    sections.extend(shares::by_class(summary));
    sections.extend(shares::distance_section(summary));
    sections.extend(gallery::sections(all, findings));
    sections.extend(videos::clips(all, findings));
    sections.push(videos::clusters(all, findings));
    sections.push(method(summary));
    let page = Page {
        title: "Leak audit".into(),
        banner: None,
        colophon: format!(
            "Made by ncaers {} from {} pictures and {} clips.",
            env!("CARGO_PKG_VERSION"),
            all.stills.len(),
            all.clip_entries.len()
        ),
        sections,
    };
    for figure in page.figures() {
        let path = format!("figures/{}", figure.name);
        out.write(format!("{path}.svg"), figure.canvas.svg()?.as_bytes())?;
        out.write(format!("{path}.png"), &figure.canvas.png()?)?;
        out.write(format!("{path}.pdf"), &figure.canvas.pdf()?)?;
    }
    // The script looks for a report's predictions.
    let none = json!({"ids": [], "target": "", "models": [], "classes": []});
    out.write("index.html", page.html(&none)?.as_bytes())
}

/// `12.30 [11.90, 12.80]` in percent.
fn share(estimate: Option<Estimate>) -> Cell {
    estimate.map_or_else(Cell::none, |e| {
        let [value, lo, hi] = [e.value, e.lo, e.hi].map(|v| 100.0 * v);
        Cell { value: Some(value), ..Cell::words(format!("{value:.2} [{lo:.2}, {hi:.2}]")) }
    })
}

/// What was measured.
fn members(estimate: Option<Estimate>) -> Cell {
    Cell::count(estimate.map_or(0, |e| e.n as u64))
}

fn method(summary: &AuditSummary) -> Section {
    let mut section = Section::new("method", "How it was found, and what is missed");
    let mut items = vec![format!(
        "Pictures whose 64-bit hashes differ in at most {} bits, mirrored or not, are compared at \
         32 x 32 cells after brightness and contrast are made the same; they count when all but \
         the 8 worst of 64 blocks agree.",
        summary.radius
    )];
    items.push(if summary.altered {
        "Altered copies (cropped, turned, mirrored, with bars, a logo, subtitles or a smaller picture on \
         top) are looked for by PDQ hashes of what is not bars and by corners that lie alike; they \
         count when the pictures agree cell by cell where they were laid over each other."
            .into()
    } else {
        "Altered copies (cropped and so on) were not looked for (--no-crops).".into()
    });
    if summary.clips.is_some() {
        items.push(
            "Clips are compared by hashes every 0.5 s, laid over each other at every shift; by hashes every \
             0.125 s at speeds from 0.8 to 1.25, where the best place must be far better than the rest; and \
             as altered copies by a frame every second, half of which must have its like."
                .into(),
        );
    }
    items.push(
        "Pictures shown small, strong crops and much on top are missed; another take \
         of a scene in which little moved may be taken for a copy. Look at the pairs."
            .into(),
    );
    items.push(
        "Intervals are Wilson's at 95 % and take pictures for independent; many come from one \
         video, so that the true uncertainty is larger."
            .into(),
    );
    items.push(format!("Hash settings: {}.", summary.hash));
    section.blocks.push(Block::List(items));
    section
}
