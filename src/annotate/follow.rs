//! Following faces from frame to frame without a detector: each box moves to where its pixels
//! match best.
//!
//! Plain template matching: the box keeps its size, moves by at most a third of its width a
//! frame, and is given up where nothing matches. It does not know faces, so it drifts on fast
//! turns and on changes of size; the next detection puts that right.
use image::RgbImage;

use crate::record::FaceBox;

/// Side of a template in samples.
const SIDE: usize = 20;
/// Largest mean difference of a match in grey levels; above it the face is given up.
const WORST: f64 = 28.0;

/// Faces that are being followed.
#[derive(Clone, Debug, Default)]
pub struct Followed {
    faces: Vec<(FaceBox, Vec<f32>)>,
}

impl Followed {
    /// Starts from detected faces.
    pub fn start(picture: &RgbImage, faces: &[FaceBox]) -> Self {
        let template = |&face: &FaceBox| (face, samples(picture, face));
        Followed { faces: faces.iter().map(template).collect() }
    }

    /// Moves every face to its best place in the next picture and returns those still seen.
    pub fn advance(&mut self, picture: &RgbImage) -> Vec<FaceBox> {
        let faces = std::mem::take(&mut self.faces);
        let moved = faces.into_iter().filter_map(|(face, template)| {
            let (place, found) = best(picture, face, &template)?;
            // A slow mixture: light changes are followed, a wrong step does not take over.
            let template =
                template.iter().zip(&found).map(|(old, new)| 0.9 * old + 0.1 * new).collect();
            Some((place, template))
        });
        self.faces = moved.collect();
        self.faces.iter().map(|(face, _)| *face).collect()
    }
}

/// The place near `face` whose pixels differ least from the template, with these pixels.
fn best(picture: &RgbImage, face: FaceBox, template: &[f32]) -> Option<(FaceBox, Vec<f32>)> {
    let (width, height) = (picture.width() as i32, picture.height() as i32);
    let inside = |f: &FaceBox| {
        let (x, y) = ((f.x1 + f.x2) / 2, (f.y1 + f.y2) / 2);
        (0..width).contains(&x) && (0..height).contains(&y)
    };
    let reach = ((face.x2 - face.x1) / 3).max(4);
    let mut at = (0, 0);
    let mut step = (reach / 3).max(1);
    let mut least = f64::INFINITY;
    // Coarse to fine around the best place so far.
    loop {
        let middle = at;
        for dy in -3..=3 {
            for dx in -3..=3 {
                let to = (middle.0 + dx * step, middle.1 + dy * step);
                let moved = shifted(face, to);
                if to.0.abs() > reach || to.1.abs() > reach || !inside(&moved) {
                    continue;
                }
                let difference = difference(&samples(picture, moved), template);
                if difference < least {
                    (least, at) = (difference, to);
                }
            }
        }
        if step == 1 {
            break;
        }
        step = (step / 3).max(1);
    }
    let moved = shifted(face, at);
    (least <= WORST).then(|| (moved, samples(picture, moved)))
}

fn shifted(face: FaceBox, (dx, dy): (i32, i32)) -> FaceBox {
    FaceBox { x1: face.x1 + dx, y1: face.y1 + dy, x2: face.x2 + dx, y2: face.y2 + dy, ..face }
}

/// Grey levels on a grid over the box, its mean taken off; outside the picture the edge repeats.
fn samples(picture: &RgbImage, face: FaceBox) -> Vec<f32> {
    let place = |from: i32, to: i32, i: usize, size: u32| {
        let at = f64::from(from) + (i as f64 + 0.5) / SIDE as f64 * f64::from(to - from);
        (at as i32).clamp(0, size as i32 - 1) as u32
    };
    let columns: [usize; SIDE] =
        std::array::from_fn(|i| 3 * place(face.x1, face.x2, i, picture.width()) as usize);
    let stride = 3 * picture.width() as usize;
    let mut grey = Vec::with_capacity(SIDE * SIDE);
    for row in 0..SIDE {
        let y = place(face.y1, face.y2, row, picture.height()) as usize;
        let line = &picture.as_raw()[y * stride..][..stride];
        grey.extend(columns.iter().map(|&x| {
            let [r, g, b] = [line[x], line[x + 1], line[x + 2]];
            (f32::from(r) + 2.0 * f32::from(g) + f32::from(b)) / 4.0
        }));
    }
    let mean = grey.iter().sum::<f32>() / grey.len() as f32;
    grey.iter_mut().for_each(|v| *v -= mean);
    grey
}

fn difference(a: &[f32], b: &[f32]) -> f64 {
    let sum: f32 = a.iter().zip(b).map(|(x, y)| (x - y).abs()).sum();
    f64::from(sum) / a.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    /// A checkered patch at `(x, y)` on a gradient.
    fn scene(x: i32, y: i32) -> RgbImage {
        RgbImage::from_fn(200, 150, |px, py| {
            let (dx, dy) = (px as i32 - x, py as i32 - y);
            if (0..40).contains(&dx) && (0..40).contains(&dy) {
                Rgb([if (dx / 8 + dy / 10) % 2 == 0 { 220 } else { 30 }; 3])
            } else {
                Rgb([(px / 2) as u8, (py / 2) as u8, 90])
            }
        })
    }

    #[test]
    fn a_moving_face_is_followed_to_the_pixel() {
        let face = FaceBox { x1: 60, y1: 50, x2: 100, y2: 90, score: 3.0 };
        let mut followed = Followed::start(&scene(60, 50), &[face]);
        for step in 1..=10 {
            let (x, y) = (60 + 5 * step, 50 - 3 * step);
            let found = followed.advance(&scene(x, y));
            assert_eq!(found.len(), 1, "step {step}");
            let near = (found[0].x1 - x).abs() <= 1 && (found[0].y1 - y).abs() <= 1;
            assert!(near, "step {step}: {:?}, not {x} {y}", found[0]);
        }
    }

    #[test]
    fn a_face_that_is_gone_is_given_up() {
        let face = FaceBox { x1: 60, y1: 50, x2: 100, y2: 90, score: 3.0 };
        let mut followed = Followed::start(&scene(60, 50), &[face]);
        assert!(followed.advance(&scene(-100, -100)).is_empty());
        assert!(followed.advance(&scene(60, 50)).is_empty(), "only a detection brings it back");
    }
}
