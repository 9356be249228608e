//! Confusion matrices: as pictures on file, and as tables whose cells show their samples.
use maud::{html, Markup};

use crate::{
    record::{Emotion, NUM_CLASSES},
    report::{
        figure::{self, Figure},
        page::{files, scrolling, Block, Section},
        paper::PaperRow,
        study::{Predictions, Study},
    },
};

/// Configurations with a picture on file.
const FIGURES: usize = 5;

/// `counts[target][predicted]`.
pub type Counts = [[u64; NUM_CLASSES]; NUM_CLASSES];

/// Counts of a run's answers.
pub fn counts(answers: &Predictions) -> Counts {
    let mut counts = [[0; NUM_CLASSES]; NUM_CLASSES];
    for row in &answers.rows {
        counts[usize::from(row.target)][usize::from(row.predicted)] += 1;
    }
    counts
}

/// One matrix per configuration, of its first seed.
pub fn section(study: &Study) -> Section {
    let mut section = Section::new("confusion", "Confusion matrices");
    section.text(
        "Rows are true classes and sum to one; the small number is the count. Of configurations \
         with several seeds the first is shown.",
    );
    section.blocks.push(Block::Html(html! {
        p class="screen" { "Choose a cell to see the samples behind it." } "\n"
    }));
    let drawn = drawn(study);
    for (i, group) in study.groups.iter().enumerate() {
        let run = study.first(group);
        let Some(answers) = &run.answers else { continue };
        let (counts, label) = (counts(answers), super::run_label(run));
        let name = drawn.contains(&i).then(|| file_name(study, i));
        section.blocks.push(Block::Heading(label.clone()));
        section.blocks.push(Block::Html(matrix(
            &counts,
            i,
            group.runs[0],
            &label,
            name.as_deref(),
        )));
        section.blocks.extend(name.map(|name| {
            Block::FileFigure(Figure {
                name,
                caption: format!("Confusion matrix of {label}"),
                alt: alt(&counts),
                canvas: figure::confusion(&label, &counts),
            })
        }));
    }
    section
}

/// The matrix of the first run of a row of the paper's tables on the data set `name`.
pub(in crate::report) fn of_row(study: &Study, row: &PaperRow, name: &str) -> Option<Figure> {
    let group = study.groups.iter().find(|group| row.holds(&group.config))?;
    let run = study.first(group);
    let counts = counts(run.answers.as_ref()?);
    let label = format!("{name}: {}", super::run_label(run));
    Some(Figure {
        name: file_name(study, study.groups.iter().position(|g| std::ptr::eq(g, group))?),
        caption: format!("Confusion matrix of {label}"),
        alt: alt(&counts),
        canvas: figure::confusion(&label, &counts),
    })
}

/// The configurations that also get a picture on file: all, or of many those that figures
/// compare and the first ones.
fn drawn(study: &Study) -> Vec<usize> {
    let rivals = study.rivals(0);
    let is_rival = |i: &usize| rivals.iter().any(|r| std::ptr::eq(*r, &study.groups[*i]));
    let all = 0..study.groups.len();
    let mut order: Vec<usize> = all.clone().filter(is_rival).collect();
    order.extend(all.filter(|i| !is_rival(i)));
    order.truncate(FIGURES);
    order
}

/// `confusion-` and the configuration's label, with its number where another has the same.
fn file_name(study: &Study, index: usize) -> String {
    let slug = |i: usize| {
        let words = study.groups[i].label.split(|c: char| !c.is_ascii_alphanumeric());
        words.filter(|w| !w.is_empty()).collect::<Vec<_>>().join("-")
    };
    let same_name = (0..study.groups.len()).filter(|&i| slug(i) == slug(index)).count();
    match same_name {
        1 => format!("confusion-{}", slug(index)),
        _ => format!("confusion-{}-{}", slug(index), index + 1),
    }
}

fn share(counts: &Counts, target: usize, predicted: usize) -> f64 {
    let total: u64 = counts[target].iter().sum();
    if total == 0 {
        0.0
    } else {
        counts[target][predicted] as f64 / total as f64
    }
}

fn alt(counts: &Counts) -> String {
    let recall = |e: &Emotion| {
        let class = usize::from(e.label());
        format!("{e} {:.2}", share(counts, class, class))
    };
    let recalls: Vec<_> = Emotion::ALL.iter().map(recall).collect();
    format!("Share of each class that is recognised: {}", recalls.join(", "))
}

fn matrix(counts: &Counts, index: usize, run: usize, label: &str, file: Option<&str>) -> Markup {
    let table = html! {
        table class="confusion" id={ "confusion-" (index) } data-model=(run) {
            caption {
                "true class by predicted class"
                @if let Some(name) = file { " (" (files(name)) ")" }
            }
            thead {
                tr { td {} @for emotion in Emotion::ALL { th scope="col" { (emotion.name()) } } }
            }
            tbody { "\n"
                @for (t, emotion) in Emotion::ALL.into_iter().enumerate() {
                    tr {
                        th scope="row" {
                            (emotion.name()) small { "n = " (counts[t].iter().sum::<u64>()) }
                        }
                        @for p in 0..NUM_CLASSES { (cell(counts, t, p)) }
                    } "\n"
                }
            }
        } "\n"
    };
    html! {
        (scrolling(&format!("Confusion matrix of {label}"), &table))
        div id={ "confusion-" (index) "-samples" } aria-live="polite" {} "\n"
    }
}

fn cell(counts: &Counts, target: usize, predicted: usize) -> Markup {
    let (count, share) = (counts[target][predicted], share(counts, target, predicted));
    let (background, ink) = figure::shade(share);
    let name = |class: usize| Emotion::ALL[class].name();
    let label = format!("{} predicted as {}: {count}", name(target), name(predicted));
    html! {
        td {
            button type="button" class="cell" style={ "background:" (background) ";color:" (ink) }
                data-target=(target) data-predicted=(predicted) aria-pressed="false" aria-label=(label) {
                (format!("{share:.2}")) small { (count) }
            }
        }
    }
}
