//! `build --detector`: every detector through whole commands, the choice of a face, and the preset
//! of the paper's released code down to the packed pixels.

use crate::common;
use crate::common::drawn;
use std::path::{Path, PathBuf};

use common::ncaers;
use drawn::drawn;
use image::{Rgb, RgbImage};
use ncaers::{
    internals::{
        media::{
            encode::{write_clip, ClipFormat},
            image as picture,
        },
        pack::{Pack, PackInput},
    },
    manifest::{configuration, read_samples},
    record::{Emotion, FaceBox, Sample},
};
use serde_json::Value;

/// A folder with a clip of drawn faces (anger) and one without a face (fear), and builds of it.
struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = World { folder: tempfile::tempdir().expect("temporary folder") };
        let format = ClipFormat { width: 208, height: 160, ..ClipFormat::default() };
        let flat = RgbImage::from_pixel(208, 160, Rgb([90, 110, 100]));
        for (class, frame) in [("Anger", drawn(208, 160)), ("Fear", flat)] {
            let path = world.at(&format!("corpus/train/{class}/0001.avi"));
            write_clip(&path, &format, (0..50).map(|_| frame.clone())).expect("clip is written");
        }
        world
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Builds into `out`; the sample with drawn faces, the one without, and the configuration.
    fn build(&self, out: &str, words: &[&str]) -> ([Sample; 2], Value) {
        let mut command = ncaers();
        command.args(["build", "--seed", "1", "--balance", "none", "--corpus", "corpus", "--out"]);
        command.arg(out).args(words).current_dir(self.folder.path()).assert().success();
        let (samples, meta) = read_samples(&self.at(out).join("samples.parquet")).expect("rows");
        let mut samples: [Sample; 2] = samples.try_into().expect("a sample per clip");
        samples.sort_by_key(|sample| sample.emotion == Emotion::Fear);
        (samples, configuration(&meta).expect("JSON"))
    }
}

/// Whether dlib's detector is compiled in and its weights are here.
fn mmod_can_run() -> bool {
    #[cfg(feature = "torch")]
    return crate::common::mmod::weights().is_some();
    #[cfg(not(feature = "torch"))]
    return false;
}

#[test]
fn every_detector_goes_through_a_build_under_its_name() {
    let world = World::new();
    let header = "path,frame,x1,y1,x2,y2\n";
    let list = (0..50).map(|frame| format!("train/Anger/0001.avi,{frame},5,6,47,58\n"));
    std::fs::write(world.at("list.csv"), header.to_owned() + &list.collect::<String>())
        .expect("writable");
    let mut detectors = vec!["seeta", "boxes=list.csv", "none"];
    if mmod_can_run() {
        detectors.push("mmod");
    }
    for detector in detectors {
        let kind = detector.split('=').next().expect("a name");
        let ([drawn, flat], configuration) = world.build(kind, &["--detector", detector]);
        assert_eq!(configuration["detector"], kind);
        let name = configuration["detector_settings"].as_str().expect("its full name");
        assert!(name.starts_with(kind) && (kind == "none") == (name == "none"), "{name}");
        assert_eq!((&*drawn.detector, &*flat.detector), (name, name));
        let searched = kind != "none";
        assert_eq!(drawn.face_count.is_some_and(|n| n > 0), searched, "{kind}: {drawn:?}");
        assert_eq!((flat.face, flat.face_count), (None, searched.then_some(0)), "{kind}");
        match kind {
            "none" => assert_eq!(drawn.face, None),
            "boxes" => {
                let face = FaceBox { x1: 5, y1: 6, x2: 47, y2: 58, score: 1.0 };
                assert_eq!(drawn.face, Some(face));
            }
            // Drawn from 10, 12 to 110, 112, the largest of them.
            _ => {
                let largest = FaceBox { x1: 10, y1: 12, x2: 110, y2: 112, score: 1.0 };
                let face = drawn.face.expect("a face");
                assert!(face.iou(largest) > 0.4, "{kind}: {face:?}");
            }
        }
    }
}

#[test]
fn the_choice_and_the_margin_are_applied_and_recorded() {
    let world = World::new();
    let mut list = "path,frame,x1,y1,x2,y2,score\n".to_owned();
    for frame in 0..50 {
        for face in ["0,0,20,40,0.9", "120,40,200,140,0.5", "90,70,120,90,0.7"] {
            list.push_str(&format!("train/Anger/0001.avi,{frame},{face}\n"));
        }
    }
    std::fs::write(world.at("list.csv"), list).expect("writable");
    // 10 % of 20 x 40, of 80 x 100 and of 30 x 20, inside 208 x 160.
    for (choice, margin, edges) in [
        ("highest", "0", [0, 0, 20, 40]),
        ("highest", "0.1", [0, 0, 22, 44]),
        ("largest", "0.1", [112, 30, 208, 150]),
        ("central", "0.1", [87, 68, 123, 92]),
    ] {
        let words = ["--detector", "boxes=list.csv", "--choose", choice, "--margin", margin];
        let out = format!("{choice}-{margin}");
        let ([sample, none], configuration) = world.build(&out, &words);
        let face = sample.face.expect("listed");
        assert_eq!([face.x1, face.y1, face.x2, face.y2], edges, "{choice} {margin}");
        assert_eq!((sample.face_count, none.face), (Some(3), None));
        assert_eq!(configuration["choose"], choice);
        assert_eq!(configuration["margin"], margin.parse::<f64>().expect("a number"));
        let card = std::fs::read_to_string(world.at(&out).join("README.md")).expect("card");
        assert!(card.contains(&format!("choice of face: {choice}, its box widened by {margin}")));
    }
}

/// The pixels of one sample in a pack, `[3, height, width]`.
fn packed(pack: &Pack, input: PackInput, sample: &Sample) -> Vec<u8> {
    let at = pack.sample_ids().iter().position(|id| *id == sample.sample_id).expect("is packed");
    let [_, channels, height, width] = pack.shape(input);
    let size = channels * height * width;
    pack.view(input).expect("is packed")[at * size..][..size].to_vec()
}

/// What pack should make of a whole picture.
fn context(frame: &RgbImage) -> Vec<u8> {
    let (height, width) = PackInput::ContextMasked.size();
    let mut pixels = vec![0; 3 * height * width];
    let whole = picture::whole(frame.width(), frame.height());
    picture::resize_chw(frame, whole, width, height, &mut pixels);
    pixels
}

fn frame_of(manifest: &Path, sample: &Sample) -> RgbImage {
    picture::load_rgb(&manifest.join(&sample.image_path)).expect("saved frame")
}

#[test]
fn the_preset_of_the_released_code_reaches_the_packed_pixels() {
    if !mmod_can_run() {
        return;
    }
    let world = World::new();
    let ([drawn, flat], configuration) = world.build("glamor", &["--preset", "glamor-compat"]);
    let settings = "mmod(dlib cnn, weights 4cb19393, upsample 1, channels bgr)";
    assert_eq!(configuration["detector"], "mmod");
    assert_eq!(configuration["detector_settings"], settings);
    assert_eq!(configuration["choose"], "highest");
    assert_eq!(configuration["margin"], 0.0);
    assert_eq!(flat.face, None);
    let face = drawn.face.expect("dlib finds the drawn face too");

    let mut pack = ncaers();
    pack.args(["pack", "glamor", "--out", "pack", "--jpeg-round-trip", "95"]);
    pack.current_dir(world.folder.path()).assert().success();
    let pack = Pack::open(&world.at("pack/train.safetensors")).expect("a pack");
    assert_eq!(pack.preprocessing().jpeg_round_trip, Some(95));
    assert_eq!((pack.preprocessing().mask_value, pack.preprocessing().margin), (0, 0.0));
    assert!(packed(&pack, PackInput::Face, &flat).iter().all(|&v| v == 0), "a zero face");
    assert!(packed(&pack, PackInput::Face, &drawn).iter().any(|&v| v > 100), "a face");

    let manifest = world.at("glamor");
    let mut masked = frame_of(&manifest, &drawn);
    picture::mask(&mut masked, face, 0);
    let found = packed(&pack, PackInput::ContextMasked, &drawn);
    assert_ne!(found, context(&masked), "JPEG changes pixels around the mask");
    let jpeg = picture::encode_jpeg(&masked, 95).expect("encodes");
    assert_eq!(found, context(&picture::decode_rgb(&jpeg).expect("decodes")));
    // Nothing is masked without a face, and nothing is encoded again.
    let found = packed(&pack, PackInput::ContextMasked, &flat);
    assert_eq!(found, context(&frame_of(&manifest, &flat)));
}
