//! `ncaers bench detect`
use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};
use serde_json::json;

use super::cpu::{self, Whose};
use crate::{
    cli::{Done, Usage},
    face,
    media::image::load_rgb,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Pictures, or folders of pictures
    #[arg(required = true)]
    pictures: Vec<PathBuf>,
    /// Face detector: seeta or mmod
    #[arg(long, default_value = "seeta")]
    detector: String,
    /// How often mmod doubles a picture first
    #[arg(long)]
    upsample: Option<u32>,
    /// How often to go over the pictures
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

pub(super) fn run(args: &Args) -> Result<Done> {
    let mut request = face::Request::named(&args.detector);
    request.mmod.upsample = args.upsample.unwrap_or(request.mmod.upsample);
    let mut detector = face::open(&request)?
        .ok_or_else(|| Usage("--detector none finds nothing to measure".into()))?;
    let mut files = Vec::new();
    for path in &args.pictures {
        collect(path, &mut files)?;
    }
    files.sort();
    ensure!(!files.is_empty(), "no .jpg or .png below {}", args.pictures[0].display());
    let (mut seconds, mut faces, mut pixels) = (0.0, 0, 0.0);
    for file in &files {
        let picture = load_rgb(file)?;
        pixels += f64::from(picture.width() * picture.height());
        faces += detector.detect(&picture)?.len();
        let before = cpu::seconds(Whose::Own);
        for _ in 0..args.rounds {
            detector.detect(&picture)?;
        }
        seconds += cpu::seconds(Whose::Own) - before;
    }
    let count = files.len() as f64;
    let ms = 1e3 * seconds / (count * f64::from(args.rounds));
    let megapixels = pixels / count / 1e6;
    let name = detector.name();
    let text = format!(
        "{name}: {ms:.1} ms CPU per picture of {megapixels:.2} megapixels, {faces} faces in {} pictures",
        files.len()
    );
    let json = json!({"detector": name, "cpu_ms_per_picture": ms, "pictures": files.len(),
        "megapixels": megapixels, "faces": faces, "rounds": args.rounds});
    Ok(Done { text, json, exit: 0 })
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
