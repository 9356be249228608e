//! Attention maps over their pictures, as Fig. 9: picture, masked picture, one map per model.
use std::collections::BTreeMap;

use anyhow::{ensure, Context, Result};
use image::{imageops, Rgb, RgbImage};
use maud::html;
use safetensors::{Dtype, SafeTensors};

use super::{
    figure::{picture_grid, Answer, CaptionedPicture, Figure, PictureColumn, RowHead},
    gallery,
    page::{scrolling, Block, Section},
    study::{Group, Run, Study},
};
use crate::{
    media::image::mask,
    record::{Emotion, Sample, NUM_CLASSES},
    seed::Draws,
};

/// Models shown.
const MODELS: usize = 4;
/// Rows and columns that the models see of a context picture of 128 x 171: the centre crop.
const CROP: [f64; 4] = [29.0 / 171.0, 8.0 / 128.0, 141.0 / 171.0, 120.0 / 128.0];
/// Full heat is at least this many times an even share, so that a flat map looks flat.
const EVEN_SHARES: f32 = 4.0;
/// Size of a shown picture in pixels.
const SIZE: (u32, u32) = (160, 120);

/// Attention of one model on the scored samples.
struct Maps<'a> {
    label: &'a str,
    run: &'a Run,
    /// `[n, rows, columns]`, row-major.
    values: Vec<f32>,
    rows: usize,
    columns: usize,
}

impl Maps<'_> {
    fn of(&self, index: usize) -> &[f32] {
        let size = self.rows * self.columns;
        &self.values[index * size..][..size]
    }

    /// What the model says of a sample.
    fn answer(&self, index: usize) -> Option<(Answer, String)> {
        gallery::answer(self.run, index).map(|(answer, name, _)| (answer, name.to_owned()))
    }
}

/// The section with the figure; `None` when no run has maps or no picture is at hand.
pub fn figure(study: &Study, problems: &mut Vec<String>) -> Option<Section> {
    let mut models = Vec::new();
    let has_maps = |group: &&Group| study.first(group).folder.attention_path(study.split).exists();
    let mut groups: Vec<&Group> = study.rivals(0).into_iter().filter(has_maps).collect();
    if groups.len() < 2 {
        groups = study.groups.iter().filter(has_maps).take(MODELS).collect();
    }
    for group in groups {
        let run = study.first(group);
        match read(&group.label, run, study) {
            Ok(maps) => models.push(maps),
            Err(e) => problems.push(format!("run {}: attention is not shown: {e:#}", run.name)),
        }
    }
    let first = models.first()?;
    let resolution = format!("{} x {} cells", first.rows, first.columns);
    let samples = study.samples_by_id();
    let shots: Vec<_> =
        (0..NUM_CLASSES).filter_map(|class| column(study, &samples, &models, class)).collect();
    if shots.is_empty() {
        return None;
    }
    let mut section = Section::new("attention", "Attention maps");
    section.text(format!(
        "One sample of every class, drawn at random. The maps have {resolution} over the centre \
         crop of the context picture; what the models did not see is dim. Nothing finer was \
         computed, and nothing is smoothed. The heat of a square is its weight relative to the \
         largest of its map, but at least to four times an even share, so that a flat map looks \
         flat. The mask is the detector's box, without the margin that the \
         pack may add."
    ));
    let names: Vec<_> = models.iter().map(|m| m.label.to_owned()).collect();
    let standings: Vec<_> = models.iter().map(|m| standing(study, m)).collect();
    section.text(format!("Right on the samples shown: {}.", standings.join(", ")));
    section.blocks.push(Block::FileFigure(Figure {
        name: "attention".into(),
        caption: format!(
            "Attention of {}; {resolution}; right: {}",
            names.join(", "),
            standings.join(", ")
        ),
        alt: "Rows: picture, picture with masked face, then one attention map per model".into(),
        canvas: picture_grid(&heads(&names), &shots),
    }));
    let picture = html! {
        img src="figures/attention.png" alt="Attention maps, one column per sample" loading="lazy"
            style="width:100%;min-width:700px;height:auto"; "\n"
    };
    section.blocks.push(Block::Html(html! {
        figure { (scrolling("One column of maps per sample", &picture)) } "\n"
    }));
    Some(section)
}

/// The rows: picture, masked picture, one per model with its answer below.
fn heads(models: &[String]) -> Vec<RowHead> {
    let plain = ["picture", "face masked"].map(|name| RowHead { name: name.into(), lines: 0 });
    let models = models.iter().map(|name| RowHead { name: name.clone(), lines: 1 });
    plain.into_iter().chain(models).collect()
}

fn read<'a>(label: &'a str, run: &'a Run, study: &Study) -> Result<Maps<'a>> {
    let path = run.folder.attention_path(study.split);
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let file = SafeTensors::deserialize(&bytes)
        .with_context(|| format!("{} is not a safetensors file", path.display()))?;
    let tensor = file.tensor("attention").context("it holds no tensor `attention`")?;
    let shape = tensor.shape();
    ensure!(
        tensor.dtype() == Dtype::F32 && shape.len() == 3 && shape[0] == study.samples.len(),
        "its tensor `attention` is {:?} {shape:?}, not F32 [{}, rows, columns]",
        tensor.dtype(),
        study.samples.len()
    );
    let values =
        tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    Ok(Maps { label, run, values: values.collect(), rows: shape[1], columns: shape[2] })
}

/// The sample that stands for a class, drawn at random.
fn drawn(study: &Study, class: usize) -> Option<usize> {
    let of_class = study.samples.iter().enumerate().filter(|(_, (_, t))| usize::from(*t) == class);
    let first = of_class.min_by_key(|(_, (id, _))| Draws::new(1, "attention", id).bits());
    first.map(|(index, _)| index)
}

/// How often a model is right on the drawn samples and on all: seven may mislead.
fn standing(study: &Study, maps: &Maps) -> String {
    let is_right = |i: usize| matches!(maps.answer(i), Some((Answer::Right, _)));
    let shown: Vec<usize> = (0..NUM_CLASSES).filter_map(|class| drawn(study, class)).collect();
    let right = shown.iter().filter(|&&i| is_right(i)).count();
    let all = (0..study.samples.len()).filter(|&i| is_right(i)).count();
    let share = 100.0 * all as f64 / study.samples.len().max(1) as f64;
    format!("{} {right} of these {} ({share:.1} % of all)", maps.label, shown.len())
}

/// One sample with its maps; `None` when its picture cannot be read.
fn column(
    study: &Study,
    samples: &BTreeMap<&str, &Sample>,
    models: &[Maps],
    class: usize,
) -> Option<PictureColumn> {
    let index = drawn(study, class)?;
    let (id, _) = &study.samples[index];
    let picture = gallery::picture(study, samples, id).ok()?;
    let mut masked = picture.clone();
    if let Some(face) = samples.get(id.as_str()).and_then(|s| s.face) {
        mask(&mut masked, face, 0);
    }
    let small = |p: &RgbImage| imageops::thumbnail(p, SIZE.0, SIZE.1);
    let plain = |picture| Some(CaptionedPicture { picture, lines: Vec::new() });
    let masked = small(&masked);
    let maps = models.iter().map(|m| {
        let picture = overlay(&masked, m.of(index), m.rows, m.columns);
        Some(CaptionedPicture { picture, lines: m.answer(index).into_iter().collect() })
    });
    Some(PictureColumn {
        title: Emotion::ALL[class].name().to_owned(),
        shots: [plain(small(&picture)), plain(masked.clone())].into_iter().chain(maps).collect(),
    })
}

/// The map as squares of heat over the part of the picture that the model saw.
pub fn overlay(picture: &RgbImage, map: &[f32], rows: usize, columns: usize) -> RgbImage {
    let (w, h) = (f64::from(picture.width()), f64::from(picture.height()));
    let [left, top, right, bottom] = [CROP[0] * w, CROP[1] * h, CROP[2] * w, CROP[3] * h];
    let least = EVEN_SHARES / map.len().max(1) as f32;
    let most = map.iter().copied().filter(|v| v.is_finite()).fold(least, f32::max);
    let mut out = picture.clone();
    for (x, y, pixel) in out.enumerate_pixels_mut() {
        let across = (f64::from(x) + 0.5 - left) / (right - left);
        let down = (f64::from(y) + 0.5 - top) / (bottom - top);
        if !(0.0..1.0).contains(&across) || !(0.0..1.0).contains(&down) {
            *pixel = Rgb(pixel.0.map(|v| v / 3));
            continue;
        }
        let cell = (down * rows as f64) as usize * columns + (across * columns as f64) as usize;
        let heat = f64::from((map[cell] / most).clamp(0.0, 1.0));
        *pixel = blend(*pixel, heat);
    }
    out
}

/// A spotlight: what is looked at keeps its colours under a wash of amber, the rest is dark and
/// grey. The thing that is looked at stays visible, and lightness alone tells it in grey print.
fn blend(Rgb(rgb): Rgb<u8>, heat: f64) -> Rgb<u8> {
    const AMBER: [f64; 3] = [255.0, 176.0, 0.0];
    let [r, g, b] = rgb.map(f64::from);
    let grey = 0.299 * r + 0.587 * g + 0.114 * b;
    let (dark, wash) = (DARK * grey * (1.0 - heat), WASH * heat);
    let mixed = |(own, amber): (f64, f64)| (dark + own * heat) * (1.0 - wash) + amber * wash;
    let pairs = [(r, AMBER[0]), (g, AMBER[1]), (b, AMBER[2])];
    Rgb(pairs.map(|pair| mixed(pair).round().clamp(0.0, 255.0) as u8))
}

/// Lightness that remains where nothing is looked at.
const DARK: f64 = 0.45;
/// Share of amber where the most is looked at.
const WASH: f64 = 0.35;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heat_lands_on_its_cell_and_nowhere_else() {
        let picture = RgbImage::from_pixel(171, 128, Rgb([90, 90, 90]));
        let mut map = vec![0.0; 49];
        map[3 * 7 + 5] = 0.5;
        let out = overlay(&picture, &map, 7, 7);
        // Cell (3, 5) of the crop at rows 8..120, columns 29..141: 16 pixels a cell.
        let at = |row: u32, column: u32| out.get_pixel(29 + column * 16 + 8, 8 + row * 16 + 8).0;
        assert!(at(3, 5)[0] > 140 && at(3, 4)[0] < 60 && at(4, 5)[0] < 60);
        assert_eq!(out.get_pixel(28, 60).0, [30, 30, 30]);
        let flat = overlay(&picture, &[1.0 / 49.0; 49], 7, 7);
        assert!(flat.get_pixel(80, 60).0[0] < 150, "a flat map is not hot");
        let hotter = |heat| blend(Rgb([90, 90, 90]), heat).0.map(u32::from).iter().sum::<u32>();
        assert!(hotter(0.2) < hotter(0.6) && hotter(0.6) < hotter(1.0));
    }
}
