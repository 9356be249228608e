//! Finding faces in pictures: one trait, one file per detector.
//!
//! Boxes are half-open pixels of the picture, clipped to it, best first. A detector's settings are
//! part of its name, since the name is what the manifest records.
use std::path::PathBuf;

use anyhow::{bail, Result};
use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::record::{named, FaceBox};

pub mod boxes;
pub mod mmod;
pub mod seeta;

/// The brightness of a picture, rows from the top without anything between them.
#[derive(Clone, Copy, Debug)]
pub struct Luma<'a> {
    /// `width * height` levels, black 0 and white 255.
    pub pixels: &'a [u8],
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
}

/// Something that finds faces.
pub trait Detector {
    /// The faces of an RGB picture, best first; empty when there is none.
    ///
    /// # Errors
    /// When the detector itself fails; a picture without a face is no error.
    fn detect(&mut self, image: &RgbImage) -> Result<Vec<FaceBox>>;

    /// The faces of several pictures, as [`Detector::detect`] finds them one after the other.
    ///
    /// # Errors
    /// As [`Detector::detect`].
    fn detect_batch(&mut self, images: &[RgbImage]) -> Result<Vec<Vec<FaceBox>>> {
        images.iter().map(|image| self.detect(image)).collect()
    }

    /// Pictures of one size that it is best given together; 1 where it gains nothing from more.
    fn batch(&self) -> usize {
        1
    }

    /// The detector as one that needs no colours, when it is one.
    fn by_luma(&mut self) -> Option<&mut dyn LumaDetector> {
        None
    }

    /// Tells which picture comes next: the clip's path in the corpus, `/` between its parts, and
    /// the frame from 0. Only lists of boxes need to know.
    fn next_is(&mut self, _clip_path: &str, _frame: u64) {}

    /// Name, version and every setting that changes its answers.
    fn name(&self) -> String;
}

/// Something that finds faces without colours.
pub trait LumaDetector {
    /// The faces of a picture, best first.
    fn detect_luma(&mut self, luma: Luma) -> Vec<FaceBox>;
}

/// A detector by name, and the settings of those that have some.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DetectorRequest {
    /// `seeta`, `mmod`, `boxes` or `none`.
    pub detector: String,
    /// Edge in pixels of the smallest face that `seeta` or `mmod` looks for; each has a default of
    /// its own.
    pub min_face: Option<u32>,
    /// What else `mmod` searches for, and how; its smallest face is the one above.
    pub mmod: mmod::MmodSettings,
    /// Where `mmod` runs: `cpu` (when `None`), `cuda` or `cuda:N`.
    pub device: Option<String>,
    /// The weights of `mmod` (where `ncaers fetch-mmod` puts them when `None`) or the list of
    /// `boxes`.
    pub file: Option<PathBuf>,
}

impl DetectorRequest {
    /// The detector of that name with its own settings.
    pub fn named(detector: &str) -> Self {
        DetectorRequest {
            detector: detector.to_owned(),
            min_face: None,
            mmod: Default::default(),
            device: None,
            file: None,
        }
    }

    /// Whether the detector runs on LibTorch.
    pub fn needs_torch(&self) -> bool {
        self.detector == "mmod"
    }

    /// The list of boxes, where that is the detector.
    pub fn boxes(&self) -> Option<&std::path::Path> {
        self.file.as_deref().filter(|_| self.detector == "boxes")
    }
}

/// Makes a detector.
type Open = fn(&DetectorRequest) -> Result<Box<dyn Detector>>;

/// The detectors that `--detector` knows by name, beside `none`.
const DETECTORS: &[(&str, Open)] = &[
    ("seeta", |request| {
        let default = seeta::SeetaSettings::default();
        let min_face = request.min_face.unwrap_or(default.min_face);
        Ok(Box::new(seeta::Seeta::new(seeta::SeetaSettings { min_face, ..default })?))
    }),
    ("mmod", |request| {
        let min_face = request.min_face.unwrap_or(request.mmod.min_face);
        let settings = mmod::MmodSettings { min_face, ..request.mmod };
        mmod::open(settings, request.file.as_deref(), request.device.as_deref())
    }),
    ("boxes", |request| match &request.file {
        Some(list) => boxes::open(list),
        None => bail!("boxes need a file, as in boxes=FILE"),
    }),
];

/// The name of having no detector.
pub const NONE: &str = "none";

/// The detector that is asked for, `None` for `none`.
///
/// # Errors
/// When nobody knows the name, or when the detector cannot start.
pub fn open(request: &DetectorRequest) -> Result<Option<Box<dyn Detector>>> {
    let name = request.detector.as_str();
    if name == NONE {
        return Ok(None);
    }
    match DETECTORS.iter().find(|(known, _)| *known == name) {
        Some((_, open)) => open(request).map(Some),
        None => {
            let known: Vec<_> = DETECTORS.iter().map(|(name, _)| *name).collect();
            bail!("unknown detector `{name}` (known: {}, {NONE})", known.join(", "))
        }
    }
}

/// What the manifest says of a detector: its full name, or `none`.
///
/// # Errors
/// As [`open`].
pub fn full_name(request: &DetectorRequest) -> Result<String> {
    Ok(open(request)?.map_or_else(|| NONE.to_owned(), |d| d.name()))
}

/// Which of several faces is the sample's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// The one that the detector is surest of.
    #[default]
    Highest,
    /// The one with the largest area.
    Largest,
    /// The one whose centre is nearest to the picture's.
    Central,
}

impl Choice {
    /// The chosen one of the faces in a picture of `width` x `height`, which stand best first; of
    /// equals the better one.
    pub fn of(self, faces: &[FaceBox], width: u32, height: u32) -> Option<FaceBox> {
        // Twice the distance, squared; of a box that nobody clipped it may be beyond 64 bits.
        let off_centre = |face: &FaceBox| {
            let dx = i128::from(face.x1) + i128::from(face.x2) - i128::from(width);
            let dy = i128::from(face.y1) + i128::from(face.y2) - i128::from(height);
            dx * dx + dy * dy
        };
        match self {
            Choice::Highest => faces.first(),
            Choice::Largest => faces.iter().min_by_key(|face| -face.area()),
            Choice::Central => faces.iter().min_by_key(|face| off_centre(face)),
        }
        .copied()
    }
}

named!(Choice, "choice of face", Highest = "highest", Largest = "largest", Central = "central");

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
        let open = |name| open(&DetectorRequest::named(name));
        let Err(error) = open("setta") else { panic!("must be refused") };
        assert_eq!(error.to_string(), "unknown detector `setta` (known: seeta, mmod, boxes, none)");
        assert!(open("none").expect("known").is_none());
        assert!(full_name(&DetectorRequest::named("seeta")).expect("opens").starts_with("seeta("));
    }

    #[test]
    fn the_smallest_face_is_part_of_the_name() {
        let seeta =
            |min_face| full_name(&DetectorRequest { min_face, ..DetectorRequest::named("seeta") });
        assert!(seeta(None).expect("opens").contains("min_face 40"));
        assert!(seeta(Some(80)).expect("opens").contains("min_face 80"));
        let error = seeta(Some(39)).expect_err("below the window").to_string();
        assert_eq!(error, "smallest face is 39 pixels, at least 40 needed");
    }

    #[test]
    fn missing_weights_are_named_with_the_way_to_get_them() {
        let weights = Some(PathBuf::from("/nowhere/weights.dat"));
        let request = DetectorRequest { file: weights, ..DetectorRequest::named("mmod") };
        let Err(error) = open(&request) else { panic!("must be refused") };
        let message = format!("{error:#}");
        if cfg!(feature = "torch") {
            assert!(message.starts_with("cannot read /nowhere/weights.dat"), "{message}");
            assert!(message.contains("ncaers fetch-mmod"), "{message}");
        } else {
            assert!(message.contains("without LibTorch"), "{message}");
        }
    }

    #[test]
    fn every_choice_takes_its_own_face() {
        let face = |x1, y1, x2, y2, score| FaceBox { x1, y1, x2, y2, score };
        let sure = face(0, 0, 10, 10, 0.9);
        let large = face(60, 0, 100, 40, 0.8);
        let central = face(45, 45, 56, 56, 0.7);
        let double = face(44, 44, 55, 55, 0.6);
        let faces = [sure, large, central, double];
        let of = |name: &str| name.parse::<Choice>().expect("known").of(&faces, 100, 100);
        assert_eq!(of("highest"), Some(sure));
        assert_eq!(of("largest"), Some(large));
        assert_eq!(of("central"), Some(central));
        assert_eq!(Choice::Central.of(&[], 100, 100), None);
        let error = "biggest".parse::<Choice>().expect_err("unknown").to_string();
        assert_eq!(error, "unknown choice of face `biggest` (known: highest, largest, central)");
    }

    #[test]
    fn equal_scores_are_ordered_by_place() {
        let face = |x1, score| FaceBox { x1, y1: 0, x2: x1 + 5, y2: 5, score };
        let mut boxes = vec![face(9, 1.0), face(3, 1.0), face(7, 2.0)];
        best_first(&mut boxes);
        assert_eq!(boxes, [face(7, 2.0), face(3, 1.0), face(9, 1.0)]);
    }
}
