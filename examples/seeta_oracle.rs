//! Our evaluation of SeetaFace against rustface's: every picture of folders, whole, cut and mirrored
//! at three scales, and random noise; each face must have the same box and the same score.
//!
//! `cargo run --release --example seeta_oracle -- [--whole] FOLDER...`; with `--whole` neither cut nor mirrored.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what it prints is its result")]
mod common;

use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};
use common::cpu_seconds;
use image::{imageops, GrayImage};
use ncaers::{
    internals::{
        face::{
            best_first,
            seeta::{Seeta, SeetaSettings},
            Luma, LumaDetector,
        },
        media::image::load_rgb,
        seed::Draws,
    },
    record::FaceBox,
};
use rustface::{Detector, ImageData};

const SCALES: [f64; 3] = [1.0, 0.6, 0.35];
/// Pictures above this width are shrunk to it first.
const WIDEST: u32 = 1280;
/// Pictures of noise.
const NOISE: u64 = 60;
/// So low that weak finds are compared too.
const THRESHOLD: f64 = 0.01;

struct Both {
    reference: Box<dyn Detector>,
    ours: Seeta,
    pictures: usize,
    faces: usize,
    /// CPU seconds of rustface and of ours.
    seconds: [f64; 2],
}

impl Both {
    fn new() -> Result<Self> {
        let model = concat!(env!("RUSTFACE_FOLDER"), "/model/seeta_fd_frontal_v1.0.bin");
        let mut reference = rustface::create_detector(model)?;
        let settings = SeetaSettings { threshold: THRESHOLD, ..SeetaSettings::default() };
        reference.set_slide_window_step(settings.step, settings.step);
        reference.set_pyramid_scale_factor(settings.pyramid);
        reference.set_score_thresh(settings.threshold);
        let ours = Seeta::new(settings)?;
        Ok(Both { reference, ours, pictures: 0, faces: 0, seconds: [0.0; 2] })
    }

    fn compare(&mut self, name: &str, picture: &GrayImage) -> Result<()> {
        let (width, height) = picture.dimensions();
        let start = cpu_seconds();
        let found = self.reference.detect(&ImageData::new(picture.as_raw(), width, height));
        let between = cpu_seconds();
        let ours = self.ours.detect_luma(Luma { pixels: picture.as_raw(), width, height });
        self.seconds[0] += between - start;
        self.seconds[1] += cpu_seconds() - between;
        let mut wanted: Vec<FaceBox> = found.iter().filter_map(|f| boxed(f, picture)).collect();
        best_first(&mut wanted);
        ensure!(ours == wanted, "{name} {width} x {height}: {ours:?} instead of {wanted:?}");
        self.pictures += 1;
        self.faces += ours.len();
        Ok(())
    }
}

fn boxed(face: &rustface::FaceInfo, picture: &GrayImage) -> Option<FaceBox> {
    let b = face.bbox();
    let (x2, y2) = (b.x() + b.width() as i32, b.y() + b.height() as i32);
    let whole = FaceBox { x1: b.x(), y1: b.y(), x2, y2, score: face.score() as f32 };
    whole.clipped(picture.width(), picture.height())
}

fn main() -> Result<()> {
    let mut folders: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let whole = folders.first().is_some_and(|word| word.as_os_str() == "--whole");
    folders.drain(..usize::from(whole));
    ensure!(!folders.is_empty(), "no folder of pictures");
    let mut both = Both::new()?;
    for folder in &folders {
        for path in pictures(folder)? {
            photograph(&mut both, &path, whole)?;
        }
    }
    let photographs = both.pictures;
    noise(&mut both)?;
    let [reference, ours] = both.seconds;
    println!(
        "{photographs} pictures of photographs and {} of noise, {} faces: the same boxes and scores; rustface {reference:.1} CPU s, ours {ours:.1}",
        both.pictures - photographs,
        both.faces
    );
    Ok(())
}

fn pictures(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut paths: Vec<PathBuf> = entries.map(|e| Ok(e?.path())).collect::<Result<_>>()?;
    paths.retain(|p| p.extension().is_some_and(|e| ["jpg", "jpeg", "png"].iter().any(|k| e == *k)));
    paths.sort();
    Ok(paths)
}

/// The picture and, unless only the whole is asked for, its four overlapping quarters, straight and mirrored, at every scale.
fn photograph(both: &mut Both, path: &Path, whole: bool) -> Result<()> {
    let picture = image::DynamicImage::from(load_rgb(path)?).to_luma8();
    let shrink = f64::from(WIDEST.min(picture.width())) / f64::from(picture.width());
    let name = path.display().to_string();
    for scale in SCALES {
        let size = |n: u32| ((f64::from(n) * scale * shrink) as u32).max(40);
        let (width, height) = (size(picture.width()), size(picture.height()));
        let small = imageops::resize(&picture, width, height, imageops::FilterType::Triangle);
        if whole {
            both.compare(&name, &small)?;
            continue;
        }
        let part = |n: u32| (n * 5 / 8).max(40);
        let (w, h) = (part(width), part(height));
        let cuts = [(0, 0), (width - w, 0), (0, height - h), (width - w, height - h)];
        let cuts = cuts.map(|(x, y)| imageops::crop_imm(&small, x, y, w, h).to_image());
        for cut in cuts.iter().chain([&small]) {
            both.compare(&name, cut)?;
            both.compare(&name, &imageops::flip_horizontal(cut))?;
        }
    }
    Ok(())
}

/// Noise as it is and smoothed.
fn noise(both: &mut Both) -> Result<()> {
    for at in 0..NOISE {
        let mut draws = Draws::new(at, "seeta noise", "");
        let (width, height) = (40 + draws.below(400) as u32, 40 + draws.below(300) as u32);
        let plain = GrayImage::from_fn(width, height, |_, _| image::Luma([draws.below(256) as u8]));
        both.compare("noise", &plain)?;
        let mut soft = imageops::blur(&plain, 1.0 + at as f32 / 10.0);
        let (low, high) = soft.pixels().fold((255, 0), |(l, h), p| (p.0[0].min(l), p.0[0].max(h)));
        let range = u32::from(high - low).max(1);
        soft.pixels_mut().for_each(|p| p.0[0] = (u32::from(p.0[0] - low) * 255 / range) as u8);
        both.compare("smooth noise", &soft)?;
    }
    Ok(())
}
