//! Thumbnails of the scored samples and the prediction grid (as Fig. 10).
use std::collections::BTreeMap;

use anyhow::{Context, Result};
use image::{imageops, RgbImage};
use maud::{html, Markup};
use rayon::prelude::*;

use super::{
    figure::{self, Answer, CaptionedPicture, Figure, PictureColumn, RowHead},
    page::scrolling,
    study::{Run, Study},
};
use crate::{
    folder,
    media::image::{decode_rgb, encode_thumbnail, load_rgb},
    record::{Emotion, Prediction, Sample, NUM_CLASSES},
    seed::Draws,
};

/// Width of a thumbnail in pixels.
const THUMB_WIDTH: u32 = 128;
/// JPEG quality of a thumbnail.
const THUMB_QUALITY: u8 = 70;
/// Seed of what is drawn at random for show.
const SHOW_SEED: u64 = 1;
/// Models named under a picture of the grid.
const GRID_MODELS: usize = 4;

/// Small pictures of samples, by their position in [`Study::samples`].
#[derive(Clone, Debug, Default)]
pub struct Thumbs {
    /// JPEG bytes.
    pub files: BTreeMap<usize, Vec<u8>>,
    /// Position of every sample of the prediction grid: by outcome, then by true class.
    pub grid: Vec<(&'static str, [Option<usize>; NUM_CLASSES])>,
}

impl Thumbs {
    /// Makes at most `most` thumbnails, those of the grid first; pictures that cannot be read are
    /// named in `problems` and left out.
    pub fn make(study: &Study, most: usize, problems: &mut Vec<String>) -> Self {
        let grid = grid(study);
        let samples = study.samples_by_id();
        let mut wanted: Vec<usize> =
            grid.iter().flat_map(|(_, row)| row.iter().flatten().copied()).collect();
        wanted.extend(shuffled(study));
        let mut seen = std::collections::BTreeSet::new();
        wanted.retain(|i| seen.insert(*i));
        wanted.truncate(if study.data.is_some() { most } else { 0 });
        let made: Vec<_> =
            wanted.par_iter().map(|&i| (i, thumb(study, &samples, &study.samples[i].0))).collect();
        let mut files = BTreeMap::new();
        let mut missing = Vec::new();
        for (i, made) in made {
            match made {
                Ok(bytes) => drop(files.insert(i, bytes)),
                Err(e) => missing.push((i, format!("{e:#}"))),
            }
        }
        missing.sort();
        if let Some((_, first)) = missing.first() {
            problems.push(format!("{} pictures are not shown; the first: {first}", missing.len()));
        }
        Thumbs { files, grid }
    }

    /// Names and bytes of the files.
    pub fn files(&self) -> impl Iterator<Item = (String, &[u8])> {
        self.files.iter().map(|(&index, bytes)| (Self::path(index), bytes.as_slice()))
    }

    /// File name of a thumbnail below the report.
    pub fn path(index: usize) -> String {
        format!("thumbs/{index:05}.jpg")
    }

    /// One character per sample, `1` where there is a thumbnail.
    pub fn flags(&self, samples: usize) -> String {
        (0..samples).map(|i| if self.files.contains_key(&i) { '1' } else { '0' }).collect()
    }
}

/// Positions of all samples in a random order that does not depend on which others there are.
fn shuffled(study: &Study) -> Vec<usize> {
    let mut keyed: Vec<_> = study
        .samples
        .iter()
        .enumerate()
        .map(|(i, (id, _))| (Draws::new(SHOW_SEED, "thumbnail", id).bits(), i))
        .collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, i)| i).collect()
}

/// The picture of a sample.
///
/// # Errors
/// When the manifest does not know it or its file cannot be read.
pub fn picture(study: &Study, samples: &BTreeMap<&str, &Sample>, id: &str) -> Result<RgbImage> {
    let data = study.data.as_ref().context("no manifest")?;
    let sample = samples.get(id).with_context(|| format!("the manifest has no sample {id}"))?;
    load_rgb(&folder::below(&data.folder, &sample.image_path)?)
}

/// The thumbnail of a sample as JPEG.
///
/// # Errors
/// As [`picture`].
pub fn thumb(study: &Study, samples: &BTreeMap<&str, &Sample>, id: &str) -> Result<Vec<u8>> {
    let picture = picture(study, samples, id)?;
    let (w, h) = picture.dimensions();
    let height = (u64::from(THUMB_WIDTH) * u64::from(h) / u64::from(w.max(1))).clamp(1, 400);
    encode_thumbnail(&imageops::thumbnail(&picture, THUMB_WIDTH, height as u32), THUMB_QUALITY)
}

/// The first runs of the models that the grid compares.
fn models(study: &Study) -> Vec<(&str, &Run)> {
    let groups = study.rivals(GRID_MODELS).into_iter();
    groups.map(|g| (g.label.as_str(), study.first(g))).collect()
}

/// For every outcome and class one sample, drawn at random: nothing is picked by eye.
fn grid(study: &Study) -> Vec<(&'static str, [Option<usize>; NUM_CLASSES])> {
    let models = models(study);
    let rights: Vec<usize> = (0..study.samples.len())
        .map(|i| models.iter().filter(|(_, run)| is_right(run, i)).count())
        .collect();
    let order = shuffled(study);
    let outcomes: [(&str, &dyn Fn(usize) -> bool); 3] = [
        ("all right", &|n| n == models.len()),
        ("some right", &|n| n > 0 && n < models.len()),
        ("all wrong", &|n| n == 0),
    ];
    let rows = outcomes.into_iter().map(|(name, matches)| {
        let mut row = [None; NUM_CLASSES];
        for (class, slot) in row.iter_mut().enumerate() {
            let of_class = |i: &&usize| usize::from(study.samples[**i].1) == class;
            *slot = order.iter().filter(of_class).find(|&&i| matches(rights[i])).copied();
        }
        (name, row)
    });
    rows.filter(|(_, row)| row.iter().any(Option::is_some)).collect()
}

fn row_of(run: &Run, index: usize) -> Option<&Prediction> {
    run.answers.as_ref()?.rows.get(index)
}

fn is_right(run: &Run, index: usize) -> bool {
    row_of(run, index).is_some_and(|r| r.predicted == r.target)
}

/// A run's answer on a sample: whether it is right, the class, its confidence.
pub fn answer(run: &Run, index: usize) -> Option<(Answer, &'static str, f64)> {
    let row = row_of(run, index)?;
    let answer = if row.predicted == row.target { Answer::Right } else { Answer::Wrong };
    let name = Emotion::from_label(row.predicted).map_or("?", Emotion::name);
    Some((answer, name, confidence(row)))
}

/// The grid as a figure for print, as Fig. 10; `None` without pictures.
pub fn figure(study: &Study, thumbs: &Thumbs) -> Option<Figure> {
    let models = models(study);
    let shot = |index: usize| {
        let picture = decode_rgb(thumbs.files.get(&index)?).ok()?;
        // The models' names would not fit below; the caption gives their order.
        let lines = models.iter().filter_map(|(_, run)| {
            let (answer, name, share) = answer(run, index)?;
            Some((answer, format!("{name} {:.0} %", 100.0 * share)))
        });
        let picture = imageops::resize(&picture, 160, 120, imageops::FilterType::Triangle);
        Some(CaptionedPicture { picture, lines: lines.collect() })
    };
    let columns: Vec<PictureColumn> = Emotion::ALL
        .into_iter()
        .map(|emotion| {
            let class = usize::from(emotion.label());
            let shots = thumbs.grid.iter().map(|(_, row)| row[class].and_then(shot));
            PictureColumn { title: emotion.name().into(), shots: shots.collect() }
        })
        .collect();
    columns.iter().flat_map(|c| &c.shots).flatten().next()?;
    let heads: Vec<RowHead> = thumbs
        .grid
        .iter()
        .map(|(name, _)| RowHead { name: (*name).into(), lines: models.len() })
        .collect();
    let names: Vec<_> = models.iter().map(|(label, _)| *label).collect();
    let order = names.join(" above ");
    Some(Figure {
        name: "predictions".into(),
        caption: format!(
            "Samples drawn at random for each true class and outcome, with the answers and \
             confidences of {order}; = right, ≠ wrong"
        ),
        alt: format!("Columns: true classes; rows: outcomes; below each picture {order}"),
        canvas: figure::picture_grid(&heads, &columns),
    })
}

/// Softmax probabilities of the classes.
pub fn softmax(row: &Prediction) -> [f64; NUM_CLASSES] {
    let most = row.logits.iter().copied().fold(f32::MIN, f32::max);
    let powers = row.logits.map(|z| f64::from(z - most).exp());
    let sum: f64 = powers.iter().sum();
    powers.map(|power| power / sum)
}

/// Softmax probability of the predicted class.
pub fn confidence(row: &Prediction) -> f64 {
    softmax(row).get(usize::from(row.predicted)).copied().unwrap_or_default()
}

/// The prediction grid as HTML: a column per true class, every model's answer under a picture.
pub fn grid_html(study: &Study, thumbs: &Thumbs) -> Markup {
    let grid = html! {
        table class="grid" {
            caption { "Samples drawn at random for each true class and outcome" }
            thead {
                tr { td {} @for emotion in Emotion::ALL { th scope="col" { (emotion.name()) } } }
            }
            tbody { "\n"
                @for (name, row) in &thumbs.grid {
                    tr {
                        th scope="row" { (name) }
                        @for index in row {
                            td { @if let Some(i) = index { (shot_html(study, thumbs, *i)) } }
                        }
                    } "\n"
                }
            }
        } "\n"
    };
    scrolling("Prediction grid", &grid)
}

fn shot_html(study: &Study, thumbs: &Thumbs, index: usize) -> Markup {
    let id = &study.samples[index].0;
    html! {
        div class="shot" data-sample=(id) {
            @if thumbs.files.contains_key(&index) {
                img src=(Thumbs::path(index)) alt=(id) title=(id) loading="lazy";
            } @else { (id) }
            @for (label, run) in models(study) {
                @if let Some((answer, name, share)) = answer(run, index) {
                    @let (class, sign) = if answer == Answer::Right { ("right", "✓") } else { ("wrong", "✗") };
                    div class=(class) {
                        (sign) " " (label) ": " (name) " " (format!("{:.0}", 100.0 * share)) " %"
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confidence_is_the_softmax_of_the_answer() {
        let mut row = Prediction {
            sample_id: "a".into(),
            clip_id: "a".into(),
            group_id: "a".into(),
            target: 0,
            predicted: 1,
            logits: [0.0, 2f32.ln(), 0.0, 0.0, 0.0, 0.0, 0.0],
            w_face: None,
            w_context: None,
        };
        // exp(ln 2) / (6 + 2) = 2 / 8
        assert!((confidence(&row) - 0.25).abs() < 1e-6);
        row.logits = [-500.0, 500.0, -500.0, -500.0, -500.0, -500.0, -500.0];
        assert_eq!(confidence(&row), 1.0);
    }
}
