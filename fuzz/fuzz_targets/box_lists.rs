//! The reader of other people's box files on whatever text, in every format: boxes that have pixels,
//! or a refusal.
//!
//! The reader's file is compiled in by itself, with what it uses of the room around it.
#![no_main]
#[path = "../../src/digest.rs"]
#[allow(dead_code)]
mod digest;
#[path = "../../src/record.rs"]
#[allow(dead_code)]
mod record;
#[path = "../../src/text.rs"]
#[allow(dead_code)]
mod text;
#[path = "../../src/words.rs"]
#[allow(dead_code)]
mod words;

#[path = "../../src/face/boxes.rs"]
#[allow(dead_code)]
mod boxes;

use std::{fs, path::PathBuf, sync::OnceLock};

use anyhow::Result;
use boxes::{Boxes, Format};
use image::RgbImage;
use libfuzzer_sys::fuzz_target;
use record::FaceBox;

/// As in the room around the reader.
#[allow(dead_code)]
pub trait Detector {
    fn detect(&mut self, image: &RgbImage) -> Result<Vec<FaceBox>>;
    fn next_is(&mut self, clip_path: &str, frame: u64);
    fn name(&self) -> String;
}

fn best_first(boxes: &mut [FaceBox]) {
    boxes.sort_by(|a, b| b.score.total_cmp(&a.score));
}

/// A file of this process in memory; its name tells a split, as one of the formats wants it.
fn file() -> &'static PathBuf {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let folder = PathBuf::from(format!("/dev/shm/ncaers-fuzz-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder in memory");
        folder.join("train.txt")
    })
}

fuzz_target!(|bytes: &[u8]| {
    let Some((which, text)) = bytes.split_first() else { return };
    let formats = [Format::Ncaers, Format::CaerNetS, Format::CaersAnnotation, Format::Coco];
    let format = formats[usize::from(*which) % formats.len()];
    fs::write(file(), text).expect("writes");
    match Boxes::read(format, file()) {
        Ok(boxes) => {
            assert!(boxes.pictures() <= boxes.names().len() || format == Format::Ncaers);
            for name in boxes.names() {
                for face in boxes.of_still(name).unwrap_or_default() {
                    assert!(face.x1 < face.x2 && face.y1 < face.y2, "{face:?}");
                    assert!(face.score.is_finite());
                    let clipped = face.clipped(1920, 1080);
                    assert!(clipped.is_none_or(|f| f.x1 >= 0 && f.x2 <= 1920 && f.x1 < f.x2));
                }
            }
        }
        Err(error) => assert!(!format!("{error:#}").is_empty()),
    }
});
