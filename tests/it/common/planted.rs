//! Copies planted among clips: what a leak looks like after re-encoding, scaling, trimming and so
//! on, and what only looks like one. Used by the audit's tests and by `examples/audit_runs.rs`.
#![allow(dead_code, reason = "each test and example uses its part")]
use std::path::Path;

use image::{imageops, Rgb, RgbImage};
use ncaers::internals::{
    media::{
        encode::{write_clip, ClipFormat, Codec},
        video::{self, DecodedFrame, FrameSink},
    },
    similarity::{
        hash::{hash, luma, Thumbnail},
        plane::Plane,
    },
};

/// What was done to a copy. Every copy is encoded anew.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only encoded anew: codec and quality.
    Encoded(Codec, u32),
    /// Scaled by this factor.
    Scaled(f64),
    /// This many seconds removed at the start and at the end.
    Trimmed(f64, f64),
    /// Luma and chroma times this factor.
    Brightness(f64),
    /// Left becomes right.
    Mirrored,
    /// This share of width and height removed, half on each side.
    Cropped(f64),
    /// This share of width and height removed, all at the left and the top.
    CroppedCorner(f64),
    /// A logo of this share of the width in the upper right corner.
    Logo(f64),
}

/// Every kind with its family, in the order of the report.
pub const KINDS: [(&str, Kind); 19] = [
    ("re-encoded", Kind::Encoded(Codec::Mpeg4, 12)),
    ("re-encoded", Kind::Encoded(Codec::H264, 34)),
    ("re-encoded", Kind::Scaled(0.5)),
    ("re-encoded", Kind::Scaled(1.3)),
    ("trimmed", Kind::Trimmed(0.1, 0.0)),
    ("trimmed", Kind::Trimmed(0.25, 0.0)),
    ("trimmed", Kind::Trimmed(0.4, 0.0)),
    ("trimmed", Kind::Trimmed(0.5, 0.0)),
    ("trimmed", Kind::Trimmed(0.0, 0.5)),
    ("trimmed", Kind::Trimmed(0.2, 0.3)),
    ("brightness", Kind::Brightness(0.9)),
    ("brightness", Kind::Brightness(1.1)),
    ("mirrored", Kind::Mirrored),
    ("cropped 5 %", Kind::Cropped(0.05)),
    ("cropped 5 %", Kind::CroppedCorner(0.05)),
    ("cropped 10 %", Kind::Cropped(0.1)),
    ("cropped 10 %", Kind::CroppedCorner(0.1)),
    ("logo 12 %", Kind::Logo(0.12)),
    ("logo 20 %", Kind::Logo(0.2)),
];

/// All pictures of a clip.
#[derive(Clone, Debug)]
pub struct Take {
    /// The clip.
    pub name: String,
    /// Set and actor; takes of one scene are the hard negatives of each other.
    pub scene: String,
    /// Pictures in order.
    pub frames: Vec<RgbImage>,
    /// Frames per second.
    pub fps: f64,
    /// Hashes on the 0.5 s grid.
    pub signature: Vec<u64>,
}

/// Keeps every picture.
#[derive(Default)]
struct All(Vec<RgbImage>);

impl FrameSink for All {
    fn targets(&mut self, frames: u64, _: f64) -> Vec<u64> {
        self.0.clear();
        (0..frames).collect()
    }
    fn keep(&mut self, _: u64, shot: DecodedFrame<'_>) -> anyhow::Result<()> {
        self.0.push(shot.into_rgb()?);
        Ok(())
    }
    fn lost(&mut self, frame: u64, reason: String) {
        panic!("frame {frame}: {reason}");
    }
}

/// Decodes a clip.
pub fn take(path: &Path, name: &str, scene: &str) -> Take {
    let mut all = All::default();
    let facts = video::decode(path, false, &mut all).expect("a sound clip");
    Take {
        name: name.into(),
        scene: scene.into(),
        frames: all.0,
        fps: facts.fps,
        signature: facts.signature.expect("decoded to the end"),
    }
}

/// The hash of one picture.
pub fn hash_of(picture: &RgbImage) -> u64 {
    hash(&thumbnail(picture))
}

/// What the hash sees of a picture.
pub fn thumbnail(picture: &RgbImage) -> Thumbnail {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    Thumbnail::of_pixels(&luma(picture.as_raw()), width, height).expect("not empty")
}

/// The brightness of a picture.
pub fn grey(picture: &RgbImage) -> Plane {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    Plane::new(width, height, luma(picture.as_raw())).expect("not empty")
}

/// Encodes and decodes the copy of a take; what has no frame left is `None`.
pub fn copy(original: &Take, kind: Kind, folder: &Path) -> Option<Take> {
    let (codec, quality) = match kind {
        Kind::Encoded(codec, quality) => (codec, quality),
        _ => (Codec::H264, 26),
    };
    encoded(original, changed(&original.frames, kind, original.fps), codec, quality, folder)
}

/// What becomes of pictures as a clip like `original`; `None` when there are none.
pub fn encoded(
    original: &Take,
    frames: Vec<RgbImage>,
    codec: Codec,
    quality: u32,
    folder: &Path,
) -> Option<Take> {
    let first = frames.first()?;
    let format = ClipFormat {
        codec,
        width: first.width(),
        height: first.height(),
        fps: ((original.fps * 1000.0).round() as i32, 1000),
        gop: 50,
        b_frames: 2,
        quality,
        tone_hz: None,
    };
    let path = folder.join(format!("{}.avi", original.name.replace('/', "_")));
    write_clip(&path, &format, frames).expect("encodes");
    let copy = take(&path, &original.name, &original.scene);
    std::fs::remove_file(path).expect("was written");
    Some(copy)
}

/// The pictures of a copy.
pub fn changed(frames: &[RgbImage], kind: Kind, fps: f64) -> Vec<RgbImage> {
    let count = |seconds: f64| (seconds * fps).round() as usize;
    match kind {
        Kind::Encoded(..) => frames.to_vec(),
        Kind::Trimmed(start, end) => {
            let end = frames.len().saturating_sub(count(end));
            frames.get(count(start)..end).unwrap_or_default().to_vec()
        }
        _ => frames.iter().map(|frame| picture(frame, kind)).collect(),
    }
}

fn picture(frame: &RgbImage, kind: Kind) -> RgbImage {
    let (width, height) = frame.dimensions();
    let even = |v: f64| (v / 2.0).round() as u32 * 2;
    let scaled = |f: f64| (even(f64::from(width) * f), even(f64::from(height) * f));
    match kind {
        Kind::Scaled(factor) => {
            let (w, h) = scaled(factor);
            imageops::resize(frame, w, h, imageops::FilterType::CatmullRom)
        }
        Kind::Brightness(factor) => {
            let mut out = frame.clone();
            out.iter_mut().for_each(|v| *v = (f64::from(*v) * factor).round() as u8);
            out
        }
        Kind::Mirrored => imageops::flip_horizontal(frame),
        Kind::Cropped(share) => {
            let (w, h) = scaled(1.0 - share);
            imageops::crop_imm(frame, (width - w) / 2, (height - h) / 2, w, h).to_image()
        }
        Kind::CroppedCorner(share) => {
            let (w, h) = scaled(1.0 - share);
            imageops::crop_imm(frame, width - w, height - h, w, h).to_image()
        }
        Kind::Logo(share) => logo(frame, (f64::from(width) * share) as u32),
        Kind::Encoded(..) | Kind::Trimmed(..) => frame.clone(),
    }
}

/// A white disc with a dark bar on a half-transparent plate.
fn logo(frame: &RgbImage, side: u32) -> RgbImage {
    let mut out = frame.clone();
    let (left, top) = (frame.width() - side - side / 5, side / 5);
    for y in 0..side {
        for x in 0..side {
            let pixel = out.get_pixel_mut(left + x, top + y);
            let (dx, dy) =
                (f64::from(x) / f64::from(side) - 0.5, f64::from(y) / f64::from(side) - 0.5);
            let disc = dx.hypot(dy) < 0.4;
            let bar = disc && dy.abs() < 0.1;
            *pixel = match (disc, bar) {
                (_, true) => Rgb([30, 30, 60]),
                (true, _) => Rgb([245, 245, 245]),
                _ => Rgb(pixel.0.map(|v| v / 2 + 60)),
            };
        }
    }
    out
}

/// The same take by a swinging camera: a window of 80 % that goes to and fro in four seconds, at
/// most 16 % of the width per second.
pub fn swung(frames: &[RgbImage], fps: f64) -> Vec<RgbImage> {
    let window = |(t, frame): (usize, &RgbImage)| {
        let (width, height) = frame.dimensions();
        let (w, h) = (width * 2 / 5 * 2, height * 2 / 5 * 2);
        let swing = 0.5 + 0.5 * (t as f64 / fps * std::f64::consts::FRAC_PI_2).sin();
        let x = (f64::from(width - w) * swing).round() as u32;
        image::imageops::crop_imm(frame, x, (height - h) / 2, w, h).to_image()
    };
    frames.iter().enumerate().map(window).collect()
}
