//! `ncaers bench detect`
use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{ensure, Context, Result};
use image::RgbImage;
use serde_json::json;

use super::cpu::{self, Whose};
use crate::{
    cli::{face::DetectorArgs, Done, Usage},
    face::{self, mmod::ChannelOrder, Detector},
    media::image::{load_rgb, resize_bilinear},
    record::FaceBox,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Pictures, or folders of pictures
    #[arg(required = true)]
    pictures: Vec<PathBuf>,
    #[command(flatten)]
    detector: DetectorArgs,
    /// Passes over the pictures
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Pictures per call, of one size; mmod takes them through its network together
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: u32,
    /// Also write the boxes to this new file (CSV: picture, x1, y1, x2, y2, score), so that two
    /// devices can be compared box for box
    #[arg(long, value_name = "FILE")]
    boxes: Option<PathBuf>,
    /// Resize every picture to this size first
    #[arg(long, value_name = "WxH", value_parser = size)]
    size: Option<(u32, u32)>,
}

/// What the detector did so far.
#[derive(Default)]
struct Measured {
    /// Pictures that were searched while the clocks ran.
    searches: usize,
    pixels: f64,
    faces: usize,
    /// Of every picture.
    boxes: Vec<Vec<FaceBox>>,
    cpu_s: f64,
    wall_s: f64,
}

pub(super) fn run(args: &Args) -> Result<Done> {
    let request = args.detector.request("seeta", ChannelOrder::Rgb)?;
    let mut detector = face::open(&request)?
        .ok_or_else(|| Usage("--detector none finds nothing to measure".into()))?;
    let mut files = Vec::new();
    for path in &args.pictures {
        collect(path, &mut files)?;
    }
    files.sort();
    ensure!(!files.is_empty(), "no .jpg or .png below {}", args.pictures[0].display());
    let mut measured = Measured::default();
    let mut waiting: Vec<RgbImage> = Vec::new();
    // Nothing is measured for a file that cannot be written.
    let boxes = args.boxes.as_ref().map(|path| {
        File::create_new(path).with_context(|| format!("cannot make {}", path.display()))
    });
    let boxes = boxes.transpose()?;
    for file in &files {
        let picture = load_rgb(file)?;
        let picture = args.size.map_or(picture.clone(), |(w, h)| resize_bilinear(&picture, w, h));
        let other = waiting.first().is_some_and(|p| p.dimensions() != picture.dimensions());
        if other || waiting.len() == args.batch as usize {
            measured.search(&mut *detector, &mut waiting, args)?;
        }
        waiting.push(picture);
    }
    measured.search(&mut *detector, &mut waiting, args)?;
    if let Some(file) = boxes {
        write_boxes(file, &files, &measured.boxes)?;
    }
    Ok(measured.summary(&detector.name(), files.len(), args))
}

impl Measured {
    /// Searches pictures of one size once to warm up, then in every round; too few for a batch are
    /// repeated in it.
    fn search(
        &mut self,
        detector: &mut dyn Detector,
        pictures: &mut Vec<RgbImage>,
        args: &Args,
    ) -> Result<()> {
        self.pixels += pictures.iter().map(|p| f64::from(p.width() * p.height())).sum::<f64>();
        let distinct = pictures.len();
        let batch: Vec<_> = pictures.iter().cycle().take(args.batch as usize).cloned().collect();
        pictures.clear();
        let found = detector.detect_batch(&batch)?;
        self.faces += found[..distinct].iter().map(Vec::len).sum::<usize>();
        self.boxes.extend(found.into_iter().take(distinct));
        let (start, before) = (Instant::now(), cpu::seconds(Whose::Own));
        for _ in 0..args.rounds {
            detector.detect_batch(&batch)?;
        }
        self.cpu_s += cpu::seconds(Whose::Own) - before;
        self.wall_s += start.elapsed().as_secs_f64();
        self.searches += batch.len() * args.rounds as usize;
        Ok(())
    }

    fn summary(&self, name: &str, pictures: usize, args: &Args) -> Done {
        let searches = self.searches as f64;
        let (ms, per_s) = (1e3 * self.cpu_s / searches, searches / self.wall_s);
        let megapixels = self.pixels / pictures as f64 / 1e6;
        let text = format!(
            "{name}: {ms:.1} ms CPU per picture of {megapixels:.2} megapixels, {per_s:.1} images/s \
             in batches of {}, {} faces in {pictures} pictures",
            args.batch, self.faces
        );
        let json = json!({"detector": name, "cpu_ms_per_picture": ms, "images_per_s": per_s,
            "batch": args.batch, "pictures": pictures, "megapixels": megapixels,
            "faces": self.faces, "rounds": args.rounds});
        Done { text, json, exit: 0 }
    }
}

/// A line per box, pictures by name.
fn write_boxes(file: File, pictures: &[PathBuf], boxes: &[Vec<FaceBox>]) -> Result<()> {
    let mut writer = csv::Writer::from_writer(file);
    writer.write_record(["picture", "x1", "y1", "x2", "y2", "score"])?;
    for (picture, boxes) in pictures.iter().zip(boxes) {
        let name = picture.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for face in boxes {
            let places = [face.x1, face.y1, face.x2, face.y2].map(|place| place.to_string());
            let line =
                [std::slice::from_ref(&name), &places[..], &[face.score.to_string()]].concat();
            writer.write_record(line)?;
        }
    }
    Ok(writer.flush()?)
}

/// `712x400`.
fn size(text: &str) -> Result<(u32, u32), String> {
    let edge = |text: &str| text.parse().ok().filter(|edge| (1..=16_384).contains(edge));
    text.split_once('x')
        .and_then(|(w, h)| Some((edge(w)?, edge(h)?)))
        .ok_or_else(|| format!("`{text}` is not of the form 712x400"))
}

/// Pictures by their names' endings; a file that is named itself is taken whatever it is called.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let entries =
        std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
    for entry in entries {
        let path = entry?.path();
        let ending = path.extension().map(|e| e.to_ascii_lowercase());
        let picture = ending.is_some_and(|e| e == "jpg" || e == "jpeg" || e == "png");
        if picture || path.is_dir() {
            collect(&path, files)?;
        }
    }
    Ok(())
}
