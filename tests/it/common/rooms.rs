//! Drawn rooms as pictures for the audit's tests, and what its outputs say.
use std::{fs, path::Path};

use image::{Rgb, RgbImage};
use ncaers::internals::{media::image as picture, seed::Draws};
use serde_json::Value;

/// A room of grey rectangles; its colours follow from its number alone.
pub fn room(number: u64) -> RgbImage {
    let mut draws = Draws::new(number, "room", "");
    let mut image = RgbImage::from_pixel(178, 100, Rgb([120; 3]));
    for _ in 0..20 {
        let (x, y) = (draws.below(160) as u32, draws.below(90) as u32);
        let (w, h) = (draws.between(12.0, 80.0) as u32, draws.between(8.0, 45.0) as u32);
        let color = Rgb([0; 3].map(|_| draws.below(256) as u8));
        for (px, py) in
            (x..(x + w).min(178)).flat_map(|px| (y..(y + h).min(100)).map(move |py| (px, py)))
        {
            image.put_pixel(px, py, color);
        }
    }
    image
}

/// Somebody in the room, at a moment.
pub fn shot(number: u64, moment: u64) -> RgbImage {
    let mut image = room(number);
    let mut draws = Draws::new(number * 1000 + moment, "actor", "");
    let (x, tone) = (40 + draws.below(70) as u32, 40 + draws.below(180) as u8);
    for (px, py) in (x..x + 40).flat_map(|px| (30..100).map(move |py| (px, py))) {
        image.put_pixel(px, py, Rgb([tone, tone / 2 + py as u8, 255 - tone]));
    }
    image
}

pub fn save(folder: &Path, name: &str, image: &RgbImage) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, picture::encode_png(image).unwrap()).unwrap();
}

pub fn json(assert: &assert_cmd::assert::Assert) -> Value {
    serde_json::from_slice(&assert.get_output().stdout).unwrap()
}

pub fn stderr(assert: &assert_cmd::assert::Assert) -> String {
    String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
}

pub fn column(out: &Path, table: &str, columns: &[usize]) -> Vec<String> {
    let mut reader = csv::Reader::from_path(out.join(table)).unwrap();
    let row = |r: csv::StringRecord| {
        columns.iter().map(|c| r[*c].to_owned()).collect::<Vec<_>>().join(" ")
    };
    reader.records().map(|r| row(r.unwrap())).collect()
}
