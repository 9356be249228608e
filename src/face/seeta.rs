//! SeetaFace (Wu, Kan, He, Shan, Chen: "Funnel-structured cascade for multi-view face detection
//! with alignment-awareness", Neurocomputing 221, 2017) as ported by the rustface crate, whose
//! model is embedded here.
//!
//! The cascade's window is 40 x 40 pixels and rustface never looks below that, whatever its own
//! smallest face says. A smallest face above 40 therefore means: shrink the picture first, which
//! is also what makes it fast (the cost falls with the square).
use anyhow::{ensure, Context, Result};
use image::RgbImage;
use rustface::ImageData;

use super::{best_first, Detector};
use crate::record::FaceBox;

/// The cascade and its weights, 1.2 MB, under the BSD 2-Clause licence of the crate.
const MODEL: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/seeta.bin"));

/// Edge of the cascade's window, the smallest face that it sees, in pixels.
const WINDOW: u32 = 40;

/// Everything that changes what the detector finds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Smallest face edge in pixels of the picture; at least 40. Larger is faster.
    pub min_face: u32,
    /// Step of the sliding window in pixels of the shrunk picture.
    pub step: u32,
    /// Ratio between neighbouring levels of the pyramid, 0.5..=0.95.
    pub pyramid: f32,
    /// Smallest score that counts as a face; the scale is the cascade's own (summed over merged
    /// windows, so that 2 is permissive and 5 strict).
    pub threshold: f64,
}

impl Default for Settings {
    /// 56 pixels: on the demo corpus and on photographs no face from that size on is lost, at 60 %
    /// of the time that 40 pixels take (`docs/measurements/engine.md`).
    fn default() -> Self {
        Settings { min_face: 56, step: 4, pyramid: 0.8, threshold: 2.0 }
    }
}

/// The detector; keeps its buffers between pictures.
pub struct Seeta {
    cascade: Box<dyn rustface::Detector>,
    settings: Settings,
}

impl std::fmt::Debug for Seeta {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

impl Seeta {
    /// Loads the embedded model.
    ///
    /// # Errors
    /// When a setting is out of its range.
    pub fn new(settings: Settings) -> Result<Self> {
        let Settings { min_face, step, pyramid, threshold } = settings;
        ensure!(min_face >= WINDOW, "smallest face is {min_face} pixels, at least {WINDOW} needed");
        ensure!(step >= 1, "window step is 0, at least 1 needed");
        ensure!((0.5..=0.95).contains(&pyramid), "pyramid ratio {pyramid} is outside 0.5..=0.95");
        ensure!(threshold > 0.0, "score threshold {threshold} is not above 0");
        let model = rustface::read_model(MODEL).context("embedded face model is damaged")?;
        let mut cascade = rustface::create_detector_with_model(model);
        cascade.set_slide_window_step(step, step);
        cascade.set_pyramid_scale_factor(pyramid);
        cascade.set_score_thresh(threshold);
        Ok(Seeta { cascade, settings })
    }
}

impl Detector for Seeta {
    fn detect(&mut self, image: &RgbImage) -> Result<Vec<FaceBox>> {
        let (width, height) = image.dimensions();
        let shrunk = Gray::of(image).shrunk(WINDOW, self.settings.min_face);
        if shrunk.width.min(shrunk.height) < WINDOW {
            return Ok(Vec::new());
        }
        let found =
            self.cascade.detect(&ImageData::new(&shrunk.pixels, shrunk.width, shrunk.height));
        let scale_x = f64::from(width) / f64::from(shrunk.width);
        let scale_y = f64::from(height) / f64::from(shrunk.height);
        let mut boxes: Vec<FaceBox> = found
            .iter()
            .map(|face| scaled(face, scale_x, scale_y))
            .filter_map(|face| face.clipped(width, height))
            .collect();
        best_first(&mut boxes);
        Ok(boxes)
    }

    fn name(&self) -> String {
        let Settings { min_face, step, pyramid, threshold } = self.settings;
        format!(
            "seeta(rustface 0.1.7, min_face {min_face}, step {step}, pyramid {pyramid}, threshold {threshold})"
        )
    }
}

/// A box of the shrunk picture in pixels of the whole one, edges rounded half up.
fn scaled(face: &rustface::FaceInfo, scale_x: f64, scale_y: f64) -> FaceBox {
    let b = face.bbox();
    let edge = |at: f64, scale: f64| (at * scale + 0.5).floor() as i32;
    let (left, top) = (f64::from(b.x()), f64::from(b.y()));
    FaceBox {
        x1: edge(left, scale_x),
        y1: edge(top, scale_y),
        x2: edge(left + f64::from(b.width()), scale_x),
        y2: edge(top + f64::from(b.height()), scale_y),
        score: face.score() as f32,
    }
}

/// A grey picture, rows from the top.
struct Gray {
    pixels: Vec<u8>,
    width: u32,
    height: u32,
}

impl Gray {
    /// Luma of ITU-R BT.601 in 16-bit fixed point, rounded half up.
    fn of(image: &RgbImage) -> Self {
        let luma = |p: &[u8]| {
            let sum = 19595 * u32::from(p[0]) + 38470 * u32::from(p[1]) + 7471 * u32::from(p[2]);
            ((sum + 32768) >> 16) as u8
        };
        let pixels = image.as_raw().chunks_exact(3).map(luma).collect();
        Gray { pixels, width: image.width(), height: image.height() }
    }

    /// Shrunk by `to / from` (at most 1) with the mean over each pixel's footprint, so that fine
    /// texture does not alias into the cascade.
    fn shrunk(self, to: u32, from: u32) -> Gray {
        if to >= from {
            return self;
        }
        let size = |n: u32| (u64::from(n) * u64::from(to) / u64::from(from)) as u32;
        let (width, height) = (size(self.width), size(self.height));
        if width == 0 || height == 0 {
            return Gray { pixels: Vec::new(), width, height };
        }
        let columns = footprints(self.width, width);
        let rows = footprints(self.height, height);
        let mut pixels = Vec::with_capacity((width * height) as usize);
        let mut sums = vec![0u32; self.width as usize];
        for row in &rows {
            self.sum_rows(row, &mut sums);
            pixels.extend(columns.iter().map(|column| mean(column, &sums)));
        }
        Gray { pixels, width, height }
    }

    /// Weighted sum of the rows under one row of the shrunk picture, in 1/256.
    fn sum_rows(&self, row: &Footprint, sums: &mut [u32]) {
        sums.fill(0);
        let width = self.width as usize;
        for (k, &weight) in row.weights.iter().enumerate() {
            let line = &self.pixels[(row.start + k) * width..][..width];
            for (sum, &pixel) in sums.iter_mut().zip(line) {
                *sum += weight * u32::from(pixel);
            }
        }
    }
}

/// The source pixels under one pixel of the shrunk picture, with weights that sum to 256.
struct Footprint {
    start: usize,
    weights: Vec<u32>,
}

/// Footprints of `to` pixels over `from` pixels, in whole 1/256 of a footprint.
fn footprints(from: u32, to: u32) -> Vec<Footprint> {
    let (from, to) = (u64::from(from), u64::from(to));
    // One source pixel is `to` units wide, one target pixel `from` units.
    let footprint = |i: u64| {
        let (begin, end) = (i * from, (i + 1) * from);
        let start = begin / to;
        let stop = end.div_ceil(to);
        let upto = |edge: u64| ((edge.clamp(begin, end) - begin) * 256 + from / 2) / from;
        let weights = (start..stop).map(|p| (upto((p + 1) * to) - upto(p * to)) as u32).collect();
        Footprint { start: start as usize, weights }
    };
    (0..to).map(footprint).collect()
}

fn mean(column: &Footprint, sums: &[u32]) -> u8 {
    let under = &sums[column.start..][..column.weights.len()];
    let total: u32 = under.iter().zip(&column.weights).map(|(s, w)| s * w).sum();
    ((total + 32768) >> 16) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(image: &RgbImage) -> Vec<FaceBox> {
        Seeta::new(Settings::default()).expect("settings").detect(image).expect("detect")
    }

    #[test]
    fn pictures_without_a_face_and_tiny_ones_are_empty() {
        for (width, height) in [(1, 1), (39, 200), (48, 48), (50, 50), (320, 240)] {
            assert_eq!(detect(&RgbImage::from_pixel(width, height, image::Rgb([90; 3]))), []);
        }
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let base = Settings::default();
        for bad in [
            Settings { min_face: 39, ..base },
            Settings { step: 0, ..base },
            Settings { pyramid: 1.0, ..base },
            Settings { threshold: 0.0, ..base },
        ] {
            assert!(Seeta::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn shrinking_keeps_the_mean_and_flat_areas_exactly() {
        let gray = |pixels: Vec<u8>, width, height| Gray { pixels, width, height };
        let flat = gray(vec![201; 70 * 30], 70, 30).shrunk(4, 7);
        assert_eq!((flat.width, flat.height), (40, 17));
        assert!(flat.pixels.iter().all(|&p| p == 201));
        // Four source pixels per target pixel: the plain mean, 1/2 rounded up.
        let half = gray(vec![0, 10, 20, 40, 1, 11, 21, 40], 4, 2).shrunk(1, 2);
        assert_eq!((half.width, half.height, half.pixels), (2, 1, vec![6, 30]));
    }

    #[test]
    fn every_footprint_weighs_the_same() {
        for (from, to) in [(712, 593), (400, 333), (7, 4), (5, 5), (9, 1)] {
            let all = footprints(from, to);
            assert_eq!(all.len(), to as usize);
            for f in &all {
                assert_eq!(f.weights.iter().sum::<u32>(), 256, "{from} to {to}");
                assert!(f.start + f.weights.len() <= from as usize);
            }
        }
    }
}
