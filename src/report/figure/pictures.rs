//! Grid of pictures: a column per class, a row per kind of picture, lines of text below each.
use image::RgbImage;

use super::{
    axes::series,
    canvas::{fitted, text_width, Anchor, Canvas, Text},
    EM,
};

/// What an answer was worth, told by the sign before it and by its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The true class.
    Right,
    /// Another one.
    Wrong,
}

/// A picture with what stands below it.
#[derive(Clone, Debug)]
pub struct CaptionedPicture {
    /// The picture; all of a grid have one size.
    pub picture: RgbImage,
    /// At most as many lines as the grid has for its row.
    pub lines: Vec<(Answer, String)>,
}

/// A row: its name, and the lines that every picture in it may have.
#[derive(Clone, Debug)]
pub struct RowHead {
    /// What stands left of it.
    pub name: String,
    /// Lines below each picture.
    pub lines: usize,
}

/// A column: its heading, and a picture for every row that has one.
#[derive(Clone, Debug)]
pub struct PictureColumn {
    /// Its heading.
    pub title: String,
    /// From top to bottom.
    pub shots: Vec<Option<CaptionedPicture>>,
}

const GAP: f64 = 14.0;
const LABEL_ROOM: f64 = 210.0;
/// Em of the lines below pictures.
const SMALL: f64 = 0.7 * EM;
/// The smallest share of it before a line is cut.
const SHRUNK: f64 = 0.8;

/// Draws the grid.
pub fn picture_grid(rows: &[RowHead], columns: &[PictureColumn]) -> Canvas {
    let first = columns.iter().flat_map(|c| c.shots.iter().flatten()).next();
    let (w, h) = first.map_or((1, 1), |shot| shot.picture.dimensions());
    let (pitch, h) = (f64::from(w) + GAP, f64::from(h));
    let mut tops = vec![1.8 * EM];
    for row in rows {
        let top = tops.last().copied().unwrap_or_default();
        tops.push(top + h + row.lines as f64 * 1.25 * SMALL + GAP);
    }
    let bottom = tops.last().copied().unwrap_or_default();
    let mut canvas = Canvas::new(LABEL_ROOM + columns.len() as f64 * pitch + GAP, bottom + 4.0);
    for (row, top) in rows.iter().zip(&tops) {
        let name = fitted(&row.name, 0.9 * EM, LABEL_ROOM - 30.0);
        let at = (LABEL_ROOM - 18.0, top + h / 2.0);
        canvas.text(Text::new(name, at).em(0.9 * EM).anchor(Anchor::End));
    }
    for (i, column) in columns.iter().enumerate() {
        let left = LABEL_ROOM + i as f64 * pitch;
        let middle = left + f64::from(w) / 2.0;
        canvas.text(Text::new(&column.title, (middle, 1.2 * EM)).anchor(Anchor::Middle).bold());
        for (shot, top) in column.shots.iter().zip(&tops) {
            let Some(shot) = shot else { continue };
            canvas.picture((left, *top), shot.picture.clone());
            lines(&mut canvas, shot, (middle, top + h), f64::from(w));
        }
    }
    canvas
}

fn lines(canvas: &mut Canvas, shot: &CaptionedPicture, (middle, top): (f64, f64), room: f64) {
    for (i, (answer, text)) in shot.lines.iter().enumerate() {
        let (color, text) = match answer {
            // Blue and vermilion: told apart without red and green, and by the sign.
            Answer::Right => (series(0).0, format!("= {text}")),
            Answer::Wrong => (series(4).0, format!("≠ {text}")),
        };
        let at = (middle, top + (i as f64 + 1.0) * 1.25 * SMALL - 0.2 * SMALL);
        // A long answer is set smaller rather than cut.
        let (width, room) = (text_width(&text, SMALL, false), room + GAP - 4.0);
        let em = SMALL * (room / width.max(1.0)).clamp(SHRUNK, 1.0);
        let text = Text::new(fitted(&text, em, room), at).em(em);
        canvas.text(text.anchor(Anchor::Middle).color(color));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_per_class_and_room_for_every_line() {
        let picture = |v: u8| RgbImage::from_pixel(160, 120, image::Rgb([v, 90, 120]));
        let column = |title: &str| PictureColumn {
            title: title.into(),
            shots: (0..4)
                .map(|i| {
                    let lines = vec![
                        (Answer::Wrong, "Surprise 100 %".into()),
                        (Answer::Right, "Disgust 100 %".into()),
                    ];
                    let lines = if i < 2 { Vec::new() } else { lines };
                    (i != 3 || title != "Fear")
                        .then(|| CaptionedPicture { picture: picture(60 * i), lines })
                })
                .collect(),
        };
        let columns =
            ["Anger", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise"].map(column);
        let heads = [("picture", 0), ("face masked", 0), ("both right", 2), ("one right", 2)]
            .map(|(name, lines)| RowHead { name: name.into(), lines });
        let canvas = picture_grid(&heads, &columns);
        super::super::tests::show("pictures", &canvas);
        let svg = canvas.svg().expect("svg");
        assert_eq!(svg.matches("data:image/jpeg").count(), 27);
        assert!(svg.contains("≠ Surprise 100 %"), "the longest line is cut");
    }
}
