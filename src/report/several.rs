//! One report on several data sets, in the paper's layout: Tables 1 to 7 and Figures 6 to 11, every
//! number beside the paper's, every cell that has none with its reason.
//!
//! Each data set is a study of its own, with a report of its own below this one. A table's column
//! belongs to one of them; verdicts and tests never leave it.
use std::path::{Path, PathBuf};

use anyhow::{bail, Result};
use maud::html;
use serde_json::{json, Value};

use super::{
    attention, figure, gallery,
    gallery::Thumbs,
    leak::{self, Leak},
    neighbours::Neighbours,
    page::{Block, Page, Section},
    paper::{self, PaperTable, Role, Set},
    paper_tables::{self, Column},
    scores::Scores,
    sections,
    study::{ReportRequest, Study},
    ReportSummary,
};
use crate::folder::{self, OutputFolder};

/// Columns of the picture of faces in the wild.
const WILD: usize = 4;
/// Size of a picture there, in pixels.
const WILD_SIZE: (u32, u32) = (240, 180);

/// One data set of a report.
#[derive(Clone, Debug)]
pub struct ReportPart {
    /// Its name, as headings call it.
    pub name: String,
    /// Its runs and how they are scored.
    pub request: ReportRequest,
}

/// A report on several data sets.
#[derive(Clone, Debug)]
pub struct Several {
    /// Title.
    pub title: String,
    /// What the reader must know first, a paragraph each.
    pub notes: Vec<String>,
    /// The data sets, in the order in which they are shown.
    pub parts: Vec<ReportPart>,
    /// Data sets of the paper that are not there, and why.
    pub absent: Vec<(Role, String)>,
    /// A folder that `ncaers annotate` wrote, for Figure 11.
    pub wild: Option<PathBuf>,
}

/// A part with everything that is known about it.
struct Chapter {
    name: String,
    role: Option<Role>,
    /// Name of its folder below the report.
    folder: String,
    study: Study,
    scores: Scores,
    thumbs: Thumbs,
    maps: Option<Section>,
    leak: Option<Leak>,
}

/// Writes the report of every data set below `out`, and the one in the paper's layout into it.
///
/// # Errors
/// When no data set has anything to report, an audit cannot be read, or `out` cannot be written.
pub fn write(request: &Several, out: &Path) -> Result<ReportSummary> {
    let folder = folder::claim_standing(out, super::PURPOSE)?;
    let mut absent = request.absent.clone();
    let mut problems = Vec::new();
    let mut chapters = Vec::new();
    for part in &request.parts {
        match chapter(part, &folder) {
            Ok(chapter) => chapters.push(chapter),
            Err(error) => {
                problems.push(format!("{} is not shown: {error:#}", part.name));
                absent.extend(Role::of(&part.name).map(|role| (role, format!("{error:#}"))));
            }
        }
    }
    if chapters.is_empty() {
        bail!("there is nothing to report: {}", problems.join("; "));
    }
    for chapter in &chapters {
        let about = chapter.study.problems.iter();
        problems.extend(about.map(|problem| format!("{}: {problem}", chapter.name)));
    }
    let page = page(request, &chapters, &absent, &problems);
    let trace = trace(&chapters, &page, &problems);
    super::write_page(&folder, &page, &[], &no_data(), &trace)?;
    let sum = |get: fn(&Chapter) -> usize| chapters.iter().map(get).sum();
    Ok(ReportSummary {
        runs: sum(|c| c.study.runs.len()),
        tables: page.tables().count(),
        figures: page.figures().count(),
        problems,
    })
}

fn chapter(part: &ReportPart, out: &OutputFolder) -> Result<Chapter> {
    let mut study = Study::read(&part.request)?;
    let scores = Scores::of(&study, &part.request.rules)?;
    let mut problems = std::mem::take(&mut study.problems);
    let thumbs = Thumbs::make(&study, part.request.max_thumbs, &mut problems);
    let neighbours = Neighbours::of(&study, &part.request)?;
    let maps = attention::figure(&study, &mut problems);
    study.problems = problems;
    let leak = Leak::of(&study, part.request.audit.as_deref())?;
    let folder = folder::safe_component(&part.name.to_ascii_lowercase().replace(' ', "-"));
    let told = leak.as_ref().map(|leak| leak::section(&part.name, &study, leak, None));
    let page = super::page(&study, &scores, &thumbs, maps.clone(), told);
    let own = folder::claim_standing(&out.folder(&folder)?, super::PURPOSE)?;
    super::write_study(&own, &study, &scores, (&thumbs, &neighbours), &page)?;
    let role = Role::of(&part.name);
    Ok(Chapter { name: part.name.clone(), role, folder, study, scores, thumbs, maps, leak })
}

fn of_role(chapters: &[Chapter], role: Role) -> Option<&Chapter> {
    chapters.iter().find(|chapter| chapter.role == Some(role))
}

fn page(
    request: &Several,
    chapters: &[Chapter],
    absent: &[(Role, String)],
    problems: &[String],
) -> Page {
    let mut sections: Vec<Section> = leak_section(chapters).into_iter().collect();
    sections.push(overview(&request.notes, chapters, absent));
    if chapters.iter().any(|c| c.role.is_some()) || !absent.is_empty() {
        sections.push(data_section(chapters, absent));
        sections.push(systems(chapters, absent));
        sections.push(matrices(chapters, absent));
        sections.push(ablation(chapters, absent));
        sections.push(pictures(request, chapters));
    }
    let mut remarks = Section::new("remarks", "Remarks");
    if problems.is_empty() {
        remarks.text("Nothing is missing.");
    } else {
        remarks.blocks.push(Block::List(problems.to_vec()));
    }
    sections.push(remarks);
    if let Some(first) = chapters.first() {
        sections.push(sections::provenance::limits(&first.study));
    }
    let synthetic = chapters.iter().any(|chapter| chapter.study.demonstration);
    Page {
        title: match synthetic {
            true => format!("{} ({})", request.title, super::DEMONSTRATION),
            false => request.title.clone(),
        },
        banner: synthetic.then(|| super::BANNER.into()),
        colophon: format!(
            "Made by ncaers {} from {} run folders without running a model.",
            env!("CARGO_PKG_VERSION"),
            chapters.iter().map(|c| c.study.runs.len()).sum::<usize>()
        ),
        sections,
    }
}

/// What leakage adds, for the first data set in which something leaks, beside the first without.
fn leak_section(chapters: &[Chapter]) -> Option<Section> {
    let (chapter, leak) = chapters.iter().find_map(|c| Some((c, c.leak.as_ref()?)))?;
    let clean = chapters.iter().find(|c| c.leak.is_none());
    let clean = clean.map(|c| (c.name.as_str(), &c.study));
    Some(leak::section(&chapter.name, &chapter.study, leak, clean))
}

fn overview(notes: &[String], chapters: &[Chapter], absent: &[(Role, String)]) -> Section {
    let mut section = Section::new("data-sets", "Data sets");
    notes.iter().for_each(|note| section.text(note.clone()));
    section.text(
        "Every data set is a study of its own: its runs are scored on its own test samples and \
         compared with each other only. Nothing is compared or tested across data sets; numbers of \
         the paper stand in columns of their own.",
    );
    section.blocks.push(Block::Table(paper_tables::data_sets(
        chapters.iter().map(|c| (c.name.as_str(), &c.study)),
    )));
    section.blocks.push(Block::Html(html! {
        ul { "\n"
            @for c in chapters {
                li { a href={ (c.folder) "/index.html" } { (c.name) ": every table, test and figure" } } "\n"
            }
        } "\n"
    }));
    if !absent.is_empty() {
        let list = absent.iter().map(|(role, why)| format!("{} is missing: {why}", role.name()));
        section.blocks.push(Block::List(list.collect()));
    }
    section
}

/// Table 1 and Figure 6.
fn data_section(chapters: &[Chapter], absent: &[(Role, String)]) -> Section {
    let mut section = Section::new("classes", "Classes: Table 1 and Figure 6");
    let ours = of_role(chapters, Role::NcaerS).and_then(|c| c.study.data.as_ref());
    let why = reason(absent, Role::NcaerS);
    section.blocks.push(Block::Table(paper_tables::table_1(ours, &why)));
    match ours {
        Some(data) => section.blocks.push(Block::Figure(figure::Figure {
            name: "figure-6".into(),
            caption:
                "Class shares of the corpus's training clips beside those of the data set made \
                      from them, as Fig. 6; the paper's own counts are cited and hatched"
                    .into(),
            ..sections::data::share_figure(data)
        })),
        None => section.text(format!("Figure 6 is missing: {why}.")),
    }
    section
}

/// Why a data set of the paper is not there.
fn reason(absent: &[(Role, String)], role: Role) -> String {
    let known = absent.iter().find(|(found, _)| *found == role).map(|(_, why)| why.clone());
    known.unwrap_or_else(|| format!("{} is no part of this report", role.name()))
}

/// A table of the paper over the data sets that it is about.
fn paper_table(chapters: &[Chapter], absent: &[(Role, String)], table: &PaperTable) -> Block {
    let roles: &[Role] = match table.set {
        Set::CaerS => &[Role::CaerS],
        Set::NcaerS => &[Role::NcaerS],
        Set::Both => &[Role::CaerS, Role::NcaerS],
    };
    let columns = roles.iter().map(|&role| match of_role(chapters, role) {
        Some(c) => Column { role, study: Some((&c.study, &c.scores)), why: String::new() },
        None => Column { role, study: None, why: reason(absent, role) },
    });
    Block::Table(paper_tables::layout(table, &columns.collect::<Vec<_>>()))
}

/// Tables 2 and 3.
fn systems(chapters: &[Chapter], absent: &[(Role, String)]) -> Section {
    let mut section = Section::new("systems", "Systems: Tables 2 and 3");
    for table in [&paper::SYSTEMS_CAER_S, &paper::SYSTEMS] {
        section.blocks.push(paper_table(chapters, absent, table));
    }
    section
}

/// Figures 7 and 8, side by side.
fn matrices(chapters: &[Chapter], absent: &[(Role, String)]) -> Section {
    let mut section = Section::new("confusion", "Confusion matrices: Figures 7 and 8");
    section.text(
        "GLAMOR-Net's answers of the first seed; rows are true classes and sum to one. Two data \
         sets stand side by side; they are different samples.",
    );
    let mut shown = Vec::new();
    for (number, role) in [(7, Role::CaerS), (8, Role::NcaerS)] {
        let drawn = of_role(chapters, role)
            .map(|c| sections::confusion::of_row(&c.study, &paper::SETTING_IV_GLA, &c.name));
        match drawn {
            Some(Some(figure)) => {
                shown.push(figure::Figure { name: format!("figure-{number}"), ..figure });
            }
            Some(None) => section.text(format!(
                "Figure {number} is missing: no run of GLAMOR-Net on {} has predictions.",
                role.name()
            )),
            None => section.text(format!("Figure {number} is missing: {}.", reason(absent, role))),
        }
    }
    if !shown.is_empty() {
        section.blocks.push(Block::Row(shown));
    }
    section
}

/// Tables 4 to 7.
fn ablation(chapters: &[Chapter], absent: &[(Role, String)]) -> Section {
    let mut section = Section::new("ablation", "Ablation and backbones: Tables 4 to 7");
    section.blocks.push(paper_table(chapters, absent, &paper::ABLATION));
    match of_role(chapters, Role::NcaerS) {
        Some(c) => {
            let tables = sections::significance::table_5(&c.study, &c.scores);
            section.blocks.extend(tables.into_iter().map(Block::Table));
        }
        None => {
            let why = reason(absent, Role::NcaerS);
            section.text(format!("Our side of Table 5 is missing: {why}."));
            section.blocks.push(Block::Table(sections::significance::cited()));
        }
    }
    for table in [&paper::FUSION, &paper::BACKBONES] {
        section.blocks.push(paper_table(chapters, absent, table));
    }
    section
}

/// Figures 9, 10 and 11.
fn pictures(request: &Several, chapters: &[Chapter]) -> Section {
    let mut section = Section::new("pictures", "Pictures: Figures 9, 10 and 11");
    let chapter = of_role(chapters, Role::NcaerS).or(chapters.first());
    let maps = chapter.and_then(|c| c.maps.as_ref()).and_then(|maps| {
        maps.blocks.iter().find_map(|block| match block {
            Block::FileFigure(figure) => Some(figure.clone()),
            _ => None,
        })
    });
    let grid = chapter.and_then(|c| gallery::figure(&c.study, &c.thumbs));
    let wild = request.wild.as_deref().map(wild).transpose();
    let wild = match wild {
        Ok(found) => found.flatten(),
        Err(error) => {
            section.text(format!("Figure 11 is missing: {error:#}."));
            None
        }
    };
    let on = chapter.map_or("", |c| c.name.as_str());
    for (number, found, why) in [
        (9, maps, "no run with attention maps has its pictures at hand"),
        (10, grid, "no picture of the data set is at hand"),
        (11, wild, "no annotated pictures were given; name some with WILD=folder"),
    ] {
        match found {
            Some(figure) => {
                let caption = format!("As Fig. {number} ({on}). {}", figure.caption);
                let name = format!("figure-{number}");
                // As a picture: drawn into the page, its photographs would make it heavy.
                let shown = html! {
                    figure {
                        img src={ "figures/" (name) ".png" } alt=(figure.alt) loading="lazy"
                            style="width:100%;height:auto";
                        figcaption { (caption) }
                    } "\n"
                };
                section.blocks.push(Block::FileFigure(figure::Figure { name, caption, ..figure }));
                section.blocks.push(Block::Html(shown));
            }
            None => section.text(format!("Figure {number} is missing: {why}.")),
        }
    }
    section
}

/// The first annotated pictures of a folder that `ncaers annotate` wrote.
fn wild(folder: &Path) -> Result<Option<figure::Figure>> {
    let mut names: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(|e| anyhow::anyhow!("cannot list {}: {e}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
            ["png", "jpg", "jpeg"].contains(&ending)
        })
        .collect();
    names.sort();
    let mut columns = Vec::new();
    for path in names.into_iter().take(WILD) {
        let picture = crate::media::image::load_rgb(&path)?;
        let picture = image::imageops::thumbnail(&picture, WILD_SIZE.0, WILD_SIZE.1);
        let title = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let shots = vec![Some(figure::CaptionedPicture { picture, lines: Vec::new() })];
        columns.push(figure::PictureColumn { title, shots });
    }
    if columns.is_empty() {
        return Ok(None);
    }
    let heads = [figure::RowHead { name: "in the wild".into(), lines: 0 }];
    Ok(Some(figure::Figure {
        name: "figure-11".into(),
        caption: "Faces with box, label and confidence; a label is a model's guess about a picture"
            .into(),
        alt: format!("{} annotated pictures", columns.len()),
        canvas: figure::picture_grid(&heads, &columns),
    }))
}

/// The page's script has no samples to show here; those are in the reports below.
fn no_data() -> Value {
    json!({
        "classes": crate::record::Emotion::ALL.map(|e| e.name()),
        "ids": [], "target": "", "thumbs": "", "models": [], "pairs": {},
    })
}

fn trace(chapters: &[Chapter], page: &Page, problems: &[String]) -> Value {
    let parts = chapters.iter().map(|c| {
        json!({
            "name": c.name,
            "role": c.role.map(Role::name),
            "report": format!("{}/report.json", c.folder),
            "manifest_digest": c.study.data.as_ref().map(|d| &d.digest),
            "runs": c.study.runs.iter().map(|r| &r.record.run_id).collect::<Vec<_>>(),
        })
    });
    json!({
        "title": page.title,
        "program_version": env!("CARGO_PKG_VERSION"),
        "data_sets": parts.collect::<Vec<_>>(),
        "tables": page.tables().collect::<Vec<_>>(),
        "problems": problems,
    })
}
