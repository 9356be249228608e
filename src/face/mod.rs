//! Finding faces in pictures: one trait, one file per detector.
//!
//! Boxes are half-open pixels of the picture, clipped to it, best first. A detector's settings are
//! part of its name, since the name is what the manifest records.
use anyhow::{bail, Result};
use image::RgbImage;

use crate::record::FaceBox;

pub mod mmod;
pub mod seeta;

/// Something that finds faces.
pub trait Detector {
    /// The faces of an RGB picture, best first; empty when there is none.
    ///
    /// # Errors
    /// When the detector itself fails; a picture without a face is no error.
    fn detect(&mut self, image: &RgbImage) -> Result<Vec<FaceBox>>;

    /// Name, version and every setting that changes its answers.
    fn name(&self) -> String;
}

/// Makes a detector.
type Open = fn() -> Result<Box<dyn Detector>>;

/// The detectors that `--detector` knows by name, beside `none`.
const DETECTORS: &[(&str, Open)] =
    &[("seeta", || Ok(Box::new(seeta::Seeta::new(Default::default())?)))];

/// The name of having no detector.
pub const NONE: &str = "none";

/// The detector called `spec`, `None` for `none`.
///
/// # Errors
/// When nobody knows the name, or when the detector cannot start.
pub fn open(spec: &str) -> Result<Option<Box<dyn Detector>>> {
    if spec == NONE {
        return Ok(None);
    }
    match DETECTORS.iter().find(|(name, _)| *name == spec) {
        Some((_, open)) => open().map(Some),
        None => {
            let known: Vec<_> = DETECTORS.iter().map(|(name, _)| *name).collect();
            bail!("unknown detector `{spec}` (known: {}, {NONE})", known.join(", "))
        }
    }
}

/// What the manifest says of `spec`: the detector's full name, or `none`.
///
/// # Errors
/// As [`open`].
pub fn full_name(spec: &str) -> Result<String> {
    Ok(open(spec)?.map_or_else(|| NONE.to_owned(), |d| d.name()))
}

/// Sorts boxes best first; equal scores by position, so that the order never depends on chance.
pub fn best_first(boxes: &mut [FaceBox]) {
    boxes.sort_by(|a, b| {
        let place = |f: &FaceBox| (f.y1, f.x1, f.y2, f.x2);
        b.score.total_cmp(&a.score).then_with(|| place(a).cmp(&place(b)))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_detectors_are_named_with_the_known_ones() {
        let Err(error) = open("setta") else { panic!("must be refused") };
        assert_eq!(error.to_string(), "unknown detector `setta` (known: seeta, none)");
        assert!(open("none").expect("known").is_none());
        assert!(full_name("seeta").expect("opens").starts_with("seeta("));
    }

    #[test]
    fn equal_scores_are_ordered_by_place() {
        let face = |x1, score| FaceBox { x1, y1: 0, x2: x1 + 5, y2: 5, score };
        let mut boxes = vec![face(9, 1.0), face(3, 1.0), face(7, 2.0)];
        best_first(&mut boxes);
        assert_eq!(boxes, [face(7, 2.0), face(3, 1.0), face(9, 1.0)]);
    }
}
