//! SeetaFace (Wu, Kan, He, Shan, Chen: "Funnel-structured cascade for multi-view face detection
//! with alignment-awareness", Neurocomputing 221, 2017), evaluated with wide instructions.
//!
//! The model is that of the rustface crate, and so are the answers: the same boxes and the same
//! scores to the last bit for every grey picture, at about a seventh of the time (`docs/measurements/engine.md`).
//! rustface is a port of the SeetaFace engine (copyright 2016, Visual Information Processing and
//! Learning group, Institute of Computing Technology, Chinese Academy of Sciences; BSD 2-Clause),
//! and whatever in here looks odd (what is cut off, added up or left out) is so there.
//!
//! The cascade's window is 40 x 40 pixels. A smallest face above that means: shrink the picture
//! first, which is also what makes it faster (the cost falls with the square).
use anyhow::{ensure, Context, Result};
use image::RgbImage;

use super::{best_first, Detector, Luma, LumaDetector};
use crate::record::FaceBox;

mod boosted;
mod cascade;
#[cfg(target_arch = "x86_64")]
mod filter;
mod gray;
mod lab;
mod lanes;
mod merge;
mod model;
mod network;
#[cfg(test)]
mod oracle_tests;
#[cfg(target_arch = "x86_64")]
mod phases;
mod resize;
mod surf;

use cascade::{Cascade, Search};
use gray::Gray;
use lanes::Lanes;
use merge::FaceWindow;
use resize::View;

/// The cascade and its weights, 1.2 MB, under the BSD 2-Clause licence of the crate.
const MODEL: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/seeta.bin"));

/// Edge of the cascade's window, the smallest face that it sees, in pixels.
const WINDOW: u32 = 40;

/// Everything that changes what the detector finds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeetaSettings {
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

impl Default for SeetaSettings {
    /// All that the cascade can see, at the authors' step and pyramid (`docs/measurements/engine.md` has the
    /// recall and the cost of others).
    fn default() -> Self {
        SeetaSettings { min_face: WINDOW, step: 4, pyramid: 0.8, threshold: 2.0 }
    }
}

/// The detector; keeps its buffers between pictures.
pub struct Seeta {
    cascade: Cascade,
    settings: SeetaSettings,
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
    pub fn new(settings: SeetaSettings) -> Result<Self> {
        let SeetaSettings { min_face, step, pyramid, threshold } = settings;
        ensure!(min_face >= WINDOW, "smallest face is {min_face} pixels, at least {WINDOW} needed");
        ensure!(step >= 1, "window step is 0, at least 1 needed");
        ensure!((0.5..=0.95).contains(&pyramid), "pyramid ratio {pyramid} is outside 0.5..=0.95");
        ensure!(threshold > 0.0, "score threshold {threshold} is not above 0");
        let cascade = Cascade::new(MODEL, Lanes::widest());
        let cascade = cascade.context("embedded face model is damaged")?;
        Ok(Seeta { cascade, settings })
    }

    fn faces(&mut self, picture: Gray) -> Vec<FaceBox> {
        let (width, height) = (picture.width, picture.height);
        let SeetaSettings { min_face, step, pyramid, threshold } = self.settings;
        let shrunk = picture.shrunk(WINDOW, min_face);
        let view = View::whole(&shrunk.pixels, shrunk.width as usize, shrunk.height as usize);
        let search = Search { step: step as usize, pyramid, threshold };
        let scale_x = f64::from(width) / f64::from(shrunk.width);
        let scale_y = f64::from(height) / f64::from(shrunk.height);
        let found = self.cascade.detect(view, search).into_iter();
        let mut boxes: Vec<FaceBox> = found
            .map(|face| scaled(face, scale_x, scale_y))
            .filter_map(|face| face.clipped(width, height))
            .collect();
        best_first(&mut boxes);
        boxes
    }
}

impl Detector for Seeta {
    fn detect(&mut self, image: &RgbImage) -> Result<Vec<FaceBox>> {
        Ok(self.faces(Gray::of(image)))
    }

    fn by_luma(&mut self) -> Option<&mut dyn LumaDetector> {
        Some(self)
    }

    fn name(&self) -> String {
        let SeetaSettings { min_face, step, pyramid, threshold } = self.settings;
        format!("seeta(frontal 1.0, min_face {min_face}, step {step}, pyramid {pyramid}, threshold {threshold})")
    }
}

impl LumaDetector for Seeta {
    fn detect_luma(&mut self, luma: Luma) -> Vec<FaceBox> {
        let Luma { pixels, width, height } = luma;
        self.faces(Gray { pixels: pixels.into(), width, height })
    }
}

/// A box of the shrunk picture in pixels of the whole one, edges rounded half up.
fn scaled(face: FaceWindow, scale_x: f64, scale_y: f64) -> FaceBox {
    let edge = |at: f64, scale: f64| (at * scale + 0.5).floor() as i32;
    let (left, top, size) = (f64::from(face.x), f64::from(face.y), f64::from(face.size));
    FaceBox {
        x1: edge(left, scale_x),
        y1: edge(top, scale_y),
        x2: edge(left + size, scale_x),
        y2: edge(top + size, scale_y),
        score: face.score as f32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(image: &RgbImage) -> Vec<FaceBox> {
        Seeta::new(SeetaSettings::default()).expect("settings").detect(image).expect("detect")
    }

    #[test]
    fn pictures_without_a_face_and_tiny_ones_are_empty() {
        for (width, height) in [(1, 1), (39, 200), (48, 48), (50, 50), (320, 240)] {
            assert_eq!(detect(&RgbImage::from_pixel(width, height, image::Rgb([90; 3]))), []);
        }
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let base = SeetaSettings::default();
        for bad in [
            SeetaSettings { min_face: 39, ..base },
            SeetaSettings { step: 0, ..base },
            SeetaSettings { pyramid: 1.0, ..base },
            SeetaSettings { threshold: 0.0, ..base },
        ] {
            assert!(Seeta::new(bad).is_err(), "{bad:?}");
        }
    }
}
