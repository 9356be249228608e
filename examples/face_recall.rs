//! The figures of `docs/measurements/engine.md` on faces: how many of the faces in photographs SeetaFace finds
//! under which settings, in frames of the field's size, and what a frame costs.
//!
//! `cargo run --release --example face_recall -- PHOTOS TRUTH.csv`: every photograph that the list
//! names (`picture,x1,y1,x2,y2`, marked by eye) is scaled and cut to 712 x 400 in several ways,
//! each also mirrored; a table of settings. Without a list: everything that any setting finds in
//! the photographs, as a list to be judged by eye.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what it prints is its result")]
mod common;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use common::cpu_seconds;
use image::{imageops, RgbImage};
use ncaers::{
    internals::{
        face::{
            seeta::{Seeta, SeetaSettings},
            Detector,
        },
        media::image::load_rgb,
    },
    record::FaceBox,
};

/// The field's frame: CAER's clips have about this size.
const FRAME: (u32, u32) = (712, 400);
/// Widths of a photograph in frames' widths.
const ZOOMS: [f64; 3] = [1.0, 1.5, 2.2];
/// Least overlap for a box to be that of a face.
const LEAST_IOU: f64 = 0.4;
/// Sizes of faces that are counted apart, in pixels: from the first on, to below the second.
const SIZES: [(f64, f64); 3] = [(40.0, 56.0), (56.0, 80.0), (80.0, 400.0)];

/// A cut of a photograph and the faces that lie wholly in it.
struct Frame {
    image: RgbImage,
    faces: Vec<FaceBox>,
}

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let photos = arguments.first().context("no folder of photographs")?;
    match arguments.get(1) {
        Some(truth) => recall(photos, truth),
        None => pool(photos),
    }
}

/// The settings that are compared: as it comes, the default, and ways between and beyond.
fn candidates() -> Vec<SeetaSettings> {
    let of = |min_face, step, pyramid| SeetaSettings { min_face, step, pyramid, threshold: 2.0 };
    let mut all = vec![of(40, 4, 0.8), SeetaSettings::default()];
    for min_face in [40, 44, 48, 52, 56, 60, 64] {
        for (step, pyramid) in [(4, 0.8), (4, 0.7), (5, 0.8), (6, 0.8), (6, 0.7), (8, 0.8)] {
            all.push(of(min_face, step, pyramid));
        }
    }
    all
}

fn recall(photos: &Path, truth: &Path) -> Result<()> {
    let frames = frames(photos, truth)?;
    let faces: usize = frames.iter().map(|f| f.faces.len()).sum();
    println!("{} frames of {}x{}, {faces} faces in them", frames.len(), FRAME.0, FRAME.1);
    println!("| smallest face | step | pyramid | CPU ms per frame | recall % | 40-56 | 56-80 | 80- | false |");
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for settings in candidates() {
        let mut detector = Seeta::new(settings)?;
        let mut counts = [(0usize, 0usize); SIZES.len()];
        let mut wrong = 0;
        let start = cpu_seconds();
        let found: Vec<Vec<FaceBox>> =
            frames.iter().map(|f| detector.detect(&f.image)).collect::<Result<_>>()?;
        let ms = 1e3 * (cpu_seconds() - start) / frames.len() as f64;
        for (frame, found) in frames.iter().zip(&found) {
            for face in &frame.faces {
                let size = f64::from(face.x2 - face.x1);
                let band = SIZES.iter().position(|(from, to)| size >= *from && size < *to);
                let Some(band) = band else { continue };
                counts[band].0 += 1;
                counts[band].1 += usize::from(found.iter().any(|b| b.iou(*face) >= LEAST_IOU));
            }
            let stray = |b: &&FaceBox| frame.faces.iter().all(|f| b.iou(*f) < 0.1);
            wrong += found.iter().filter(stray).count();
        }
        let share = |(all, found): (usize, usize)| 100.0 * found as f64 / all.max(1) as f64;
        let total = counts.iter().fold((0, 0), |sum, c| (sum.0 + c.0, sum.1 + c.1));
        let bands: Vec<_> =
            counts.iter().map(|c| format!("{:.1} ({}/{})", share(*c), c.1, c.0)).collect();
        let SeetaSettings { min_face, step, pyramid, .. } = settings;
        println!(
            "| {min_face} | {step} | {pyramid} | {ms:.1} | {:.2} ({}/{}) | {} | {wrong} |",
            share(total),
            total.1,
            total.0,
            bands.join(" | ")
        );
    }
    Ok(())
}

/// Every photograph of the list at every zoom, cut at its top, middle and bottom, left and right.
fn frames(photos: &Path, truth: &Path) -> Result<Vec<Frame>> {
    let mut frames = Vec::new();
    for (name, faces) in marked(truth)? {
        let photo = load_rgb(&photos.join(&name))?;
        for zoom in ZOOMS {
            let scale = zoom * f64::from(FRAME.0) / f64::from(photo.width());
            if scale > 1.0 {
                continue;
            }
            let size = |n: u32| (f64::from(n) * scale).round() as u32;
            let small = imageops::resize(
                &photo,
                size(photo.width()),
                size(photo.height()),
                imageops::FilterType::Triangle,
            );
            let scaled: Vec<FaceBox> = faces.iter().map(|f| moved(*f, scale, 0, 0)).collect();
            for (left, top) in corners(small.dimensions()) {
                frames.extend(cut(&small, &scaled, left, top));
            }
        }
    }
    Ok(frames)
}

/// Faces by photograph.
fn marked(truth: &Path) -> Result<BTreeMap<String, Vec<FaceBox>>> {
    let mut faces: BTreeMap<String, Vec<FaceBox>> = BTreeMap::new();
    let mut reader = csv::Reader::from_path(truth)?;
    for row in reader.deserialize() {
        let (name, x1, y1, x2, y2): (String, i32, i32, i32, i32) = row?;
        faces.entry(name).or_default().push(FaceBox { x1, y1, x2, y2, score: 1.0 });
    }
    Ok(faces)
}

fn moved(face: FaceBox, scale: f64, left: u32, top: u32) -> FaceBox {
    let at = |v: i32, less: u32| (f64::from(v) * scale).round() as i32 - less as i32;
    FaceBox {
        x1: at(face.x1, left),
        y1: at(face.y1, top),
        x2: at(face.x2, left),
        y2: at(face.y2, top),
        ..face
    }
}

/// Where windows of the frame's size begin so that they cover a picture.
fn corners((width, height): (u32, u32)) -> Vec<(u32, u32)> {
    let along = |length: u32, window: u32| -> Vec<u32> {
        let room = length.saturating_sub(window);
        let steps = room.div_ceil(window).max(1);
        if room == 0 {
            vec![0]
        } else {
            (0..=steps).map(|i| room * i / steps).collect()
        }
    };
    let tops = along(height, FRAME.1);
    along(width, FRAME.0).iter().flat_map(|l| tops.iter().map(move |t| (*l, *t))).collect()
}

/// A window of the frame's size, grey where the picture ends, straight and mirrored; none when no
/// face lies wholly in it.
fn cut(photo: &RgbImage, faces: &[FaceBox], left: u32, top: u32) -> Vec<Frame> {
    let mut image = RgbImage::from_pixel(FRAME.0, FRAME.1, image::Rgb([90; 3]));
    imageops::replace(&mut image, photo, -i64::from(left), -i64::from(top));
    let inside = |f: &FaceBox| f.clipped(FRAME.0, FRAME.1) == Some(*f);
    let faces: Vec<FaceBox> =
        faces.iter().map(|f| moved(*f, 1.0, left, top)).filter(inside).collect();
    if faces.is_empty() {
        return Vec::new();
    }
    let width = FRAME.0 as i32;
    let turned = |f: &FaceBox| FaceBox { x1: width - f.x2, x2: width - f.x1, ..*f };
    let mirrored = Frame {
        image: imageops::flip_horizontal(&image),
        faces: faces.iter().map(turned).collect(),
    };
    vec![Frame { image, faces }, mirrored]
}

/// Prints what plain settings find in whole photographs at several sizes.
fn pool(photos: &Path) -> Result<()> {
    let mut detector =
        Seeta::new(SeetaSettings { min_face: 40, step: 3, pyramid: 0.85, threshold: 1.0 })?;
    println!("picture,x1,y1,x2,y2,score");
    let mut names: Vec<_> =
        std::fs::read_dir(photos)?.map(|e| Ok(e?.file_name())).collect::<Result<_>>()?;
    names.sort();
    for name in names {
        let photo = load_rgb(&photos.join(&name))?;
        let mut all: Vec<FaceBox> = Vec::new();
        for scale in [1.0, 0.7, 0.5] {
            let size = |n: u32| (f64::from(n) * scale) as u32;
            let filter = imageops::FilterType::Triangle;
            let small = imageops::resize(&photo, size(photo.width()), size(photo.height()), filter);
            for face in detector.detect(&small)? {
                let face = moved(face, 1.0 / scale, 0, 0);
                if all.iter().all(|other| other.iou(face) < 0.3) {
                    all.push(face);
                }
            }
        }
        for f in all {
            println!("{},{},{},{},{},{:.1}", name.display(), f.x1, f.y1, f.x2, f.y2, f.score);
        }
    }
    Ok(())
}
