//! Grid of attention maps: a column per sample, a row per kind of picture.
use image::RgbImage;

use super::{
    canvas::{fitted, Anchor, Canvas, Text},
    EM, MUTED,
};

/// One sample: what stands above it, and its pictures from top to bottom.
#[derive(Clone, Debug)]
pub struct MapColumn {
    /// Its true class.
    pub title: String,
    /// Each model's answer.
    pub answers: Vec<String>,
    /// Picture, masked picture, then one per model, all of one size.
    pub pictures: Vec<RgbImage>,
}

const GAP: f64 = 14.0;
const LABEL_ROOM: f64 = 210.0;

/// Draws the grid; `models` names the rows after the first two.
pub fn attention_grid(models: &[String], columns: &[MapColumn]) -> Canvas {
    let (w, h) =
        columns.first().and_then(|c| c.pictures.first()).map_or((1, 1), |p| p.dimensions());
    let (w, h) = (f64::from(w) + GAP, f64::from(h) + GAP + 1.2 * EM);
    let rows = models.len() + 2;
    let top = 1.8 * EM;
    let mut canvas =
        Canvas::new(LABEL_ROOM + columns.len() as f64 * w + GAP, top + rows as f64 * h);
    let names = ["picture", "face masked"].into_iter().chain(models.iter().map(String::as_str));
    for (row, name) in names.enumerate() {
        let at = (LABEL_ROOM - 18.0, top + row as f64 * h + (h - 1.2 * EM) / 2.0);
        let name = fitted(name, 0.9 * EM, LABEL_ROOM - 30.0);
        canvas.text(Text::new(name, at).em(0.9 * EM).anchor(Anchor::End));
    }
    for (i, column) in columns.iter().enumerate() {
        let left = LABEL_ROOM + i as f64 * w;
        let middle = left + (w - GAP) / 2.0;
        canvas.text(Text::new(&column.title, (middle, 1.2 * EM)).anchor(Anchor::Middle).bold());
        for (row, picture) in column.pictures.iter().enumerate() {
            canvas.picture((left, top + row as f64 * h), picture.clone());
        }
        for (row, answer) in column.answers.iter().enumerate() {
            let below = top + (row + 3) as f64 * h - GAP - 0.35 * EM;
            let answer = Text::new(format!("→ {answer}"), (middle, below)).em(0.85 * EM);
            canvas.text(answer.anchor(Anchor::Middle).color(MUTED));
        }
    }
    canvas
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_per_sample() {
        let picture = |v: u8| RgbImage::from_pixel(180, 135, image::Rgb([v, 90, 120]));
        let column = |title: &str| MapColumn {
            title: title.into(),
            answers: vec!["Neutral".into(), "Surprise".into()],
            pictures: (0..4).map(|i| picture(60 * i)).collect(),
        };
        let columns =
            ["Anger", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise"].map(column);
        let canvas = attention_grid(&["CA".into(), "global-local attention".into()], &columns);
        super::super::tests::show("attention", &canvas);
        assert_eq!(canvas.svg().expect("svg").matches("data:image/jpeg").count(), 28);
    }
}
