//! Boxes and labels on pictures.
use image::{Rgb, RgbImage};

use crate::{
    record::{Emotion, FaceBox},
    report::figure::{stamp, text_width},
};

/// A face with what is written at it.
#[derive(Clone, Debug, PartialEq)]
pub struct Marked {
    /// Its place.
    pub face: FaceBox,
    /// Class 0..=6, which sets the colour.
    pub label: u8,
    /// What is written.
    pub text: String,
}

/// Colours told apart by people with any kind of colour vision (Okabe and Ito, 2008), in label
/// order; the label is written as well.
const COLORS: [[u8; 3]; 7] = [
    [213, 94, 0],
    [0, 158, 115],
    [204, 121, 167],
    [240, 228, 66],
    [190, 190, 190],
    [0, 114, 178],
    [86, 180, 233],
];

/// Draws every face's box and label; labels keep off each other and inside the picture where
/// there is room.
pub fn faces(picture: &mut RgbImage, marked: &[Marked]) {
    let (width, height) = picture.dimensions();
    let em = (f64::from(width.min(height)) / 26.0).clamp(11.0, 40.0);
    let thick = (em / 8.0).round().max(2.0) as i32;
    for mark in marked {
        frame(picture, mark.face, thick, color(mark.label));
    }
    let mut taken: Vec<[f64; 4]> = Vec::new();
    for mark in marked {
        // A crowd of small faces gets small labels.
        let em = em.min(f64::from(mark.face.x2 - mark.face.x1) * 0.24).max(9.0);
        let room = place(mark, em, (f64::from(width), f64::from(height)), &taken);
        taken.push(room);
        stamp(picture, &mark.text, (room[0], room[1]), em, color(mark.label).0);
    }
}

/// Writes a notice along the bottom, as large as its length allows.
pub fn notice(picture: &mut RgbImage, text: &str) {
    let (width, height) = (f64::from(picture.width()), f64::from(picture.height()));
    let em = (width / (text_width(text, 1.0, false) + 0.6)).min(height / 12.0);
    stamp(picture, text, (0.0, height - 1.3 * em), em, [255, 244, 214]);
}

fn color(label: u8) -> Rgb<u8> {
    Rgb(COLORS.get(usize::from(label)).copied().unwrap_or([255; 3]))
}

/// `Happy 87 %`
pub fn label_text(label: u8, confidence: f64) -> String {
    let name = Emotion::from_label(label).map_or("?", Emotion::name);
    format!("{name} {:.0} %", 100.0 * confidence)
}

/// Where a label goes: above the box, below it, or inside at its top; the first that is free.
fn place(mark: &Marked, em: f64, (width, height): (f64, f64), taken: &[[f64; 4]]) -> [f64; 4] {
    let size = (text_width(&mark.text, em, false) + 0.6 * em, 1.3 * em);
    let left = f64::from(mark.face.x1).min(width - size.0).max(0.0);
    let tops = [
        f64::from(mark.face.y1) - size.1,
        f64::from(mark.face.y2),
        f64::from(mark.face.y1),
        f64::from(mark.face.y2) - size.1,
    ];
    let rooms = tops.map(|top| {
        let top = top.min(height - size.1).max(0.0);
        [left, top, left + size.0, top + size.1]
    });
    let is_free = |room: &&[f64; 4]| {
        taken.iter().all(|other| {
            room[2] <= other[0] || other[2] <= room[0] || room[3] <= other[1] || other[3] <= room[1]
        })
    };
    *rooms.iter().find(is_free).unwrap_or(&rooms[0])
}

/// The outline of a box, `thick` pixels inwards.
fn frame(picture: &mut RgbImage, face: FaceBox, thick: i32, color: Rgb<u8>) {
    let Some(b) = face.clipped(picture.width(), picture.height()) else { return };
    for y in b.y1..b.y2 {
        for x in b.x1..b.x2 {
            let edge = (x - b.x1).min(b.x2 - 1 - x).min(y - b.y1).min(b.y2 - 1 - y);
            if edge < thick {
                picture.put_pixel(x as u32, y as u32, color);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(x: i32, y: i32, side: i32) -> Marked {
        let face = FaceBox { x1: x, y1: y, x2: x + side, y2: y + side, score: 1.0 };
        Marked { face, label: 3, text: label_text(3, 0.874) }
    }

    #[test]
    fn boxes_are_outlines_and_labels_are_written() {
        let mut picture = RgbImage::from_pixel(640, 360, Rgb([10, 10, 10]));
        faces(&mut picture, &[mark(100, 100, 80)]);
        assert_eq!(picture.get_pixel(100, 140).0, COLORS[3]);
        assert_eq!(picture.get_pixel(140, 140).0, [10, 10, 10], "the face stays visible");
        let changed = (70..99).flat_map(|y| (100..200).map(move |x| (x, y)));
        let ink = changed.filter(|&(x, y)| picture.get_pixel(x, y).0 != [10, 10, 10]).count();
        assert!(ink > 200, "{ink} pixels of a label above the box");
    }

    #[test]
    fn labels_stay_inside_and_apart() {
        let size = (640.0, 360.0);
        let mut taken: Vec<[f64; 4]> = Vec::new();
        for mark in [mark(600, 2, 38), mark(0, 330, 30), mark(100, 100, 60), mark(105, 101, 60)] {
            let room = place(&mark, 13.0, size, &taken);
            assert!(room[0] >= 0.0 && room[1] >= 0.0 && room[2] <= 640.0 && room[3] <= 360.0);
            let apart = |o: &[f64; 4]| {
                room[2] <= o[0] || o[2] <= room[0] || room[3] <= o[1] || o[3] <= room[1]
            };
            assert!(taken.iter().all(apart), "{room:?} lies on {taken:?}");
            taken.push(room);
        }
    }

    #[test]
    fn a_box_beyond_the_picture_is_no_panic() {
        let mut picture = RgbImage::from_pixel(40, 30, Rgb([0; 3]));
        faces(&mut picture, &[mark(-20, -20, 300), mark(500, 500, 10)]);
    }
}
