//! dlib's face detector against dlib itself: the same boxes on the same pictures.
//!
//! Needs the published weights (`ncaers fetch-mmod`); without them every test here says that it is
//! skipped. Golden boxes: `tests/tools/mmod_boxes.py`.
#![cfg(feature = "torch")]

use crate::common;
use crate::common::drawn;
use crate::common::mmod as published;
use std::{
    env,
    path::{Path, PathBuf},
};

use common::ncaers;
use drawn::drawn;
use image::{imageops, Rgb, RgbImage};
use ncaers::{
    internals::{
        digest::sha256_hex,
        face::{
            mmod::{ChannelOrder, Mmod, MmodSettings},
            seeta::Seeta,
            Detector,
        },
        media::{
            encode::{write_clip, ClipFormat},
            image::{load_rgb, resize_bilinear},
        },
    },
    manifest::{configuration, read_samples},
    record::FaceBox,
};
use published::weights;
use serde::{Deserialize, Serialize};

/// What dlib finds on one picture.
#[derive(Serialize, Deserialize)]
struct Case {
    /// How the picture is made, see [`picture`].
    picture: String,
    /// SHA-256 of its RGB bytes.
    sha256: String,
    upsample: u32,
    channels: String,
    /// Left, top, right and bottom, all inclusive, and the score; best first.
    #[serde(default)]
    boxes: Vec<(i32, i32, i32, i32, f64)>,
}

/// The cases: every picture with the settings it is searched with.
const CASES: &[(&str, &[u32], &str)] = &[
    ("astronaut", &[0, 1, 2], "rgb"),
    ("astronaut", &[0, 1], "bgr"),
    ("astronaut flip", &[0, 1], "rgb"),
    ("astronaut scale 97 131", &[0, 1, 2], "rgb"),
    ("astronaut scale 131 97 flip", &[0, 1, 2], "rgb"),
    ("astronaut scale 61 59", &[1, 2], "rgb"),
    ("astronaut scale 60 60", &[1, 2], "bgr"),
    ("astronaut scale 317 283", &[0, 1], "rgb"),
    ("astronaut scale 401 399", &[0], "rgb"),
    ("astronaut scale 640 360 flip", &[0], "bgr"),
    ("astronaut crop 40 30 100 120", &[0, 1], "rgb"),
    ("rustface crop 0 0 833 340", &[1], "rgb"),
    ("rustface crop 833 0 833 340 flip", &[1], "rgb"),
    ("rustface crop 417 20 800 310", &[1], "bgr"),
    ("rustface crop 833 80 833 250 scale 1250 375", &[0], "rgb"),
    ("rustface crop 0 80 833 250 scale 1400 420 flip", &[0], "bgr"),
    ("rustface crop 0 80 800 250 scale 400 125", &[2], "rgb"),
    ("rustface crop 866 80 800 250 scale 400 125 flip", &[2], "bgr"),
    ("drawn 200 160", &[0, 1], "rgb"),
    ("drawn 333 217", &[0, 1], "rgb"),
    ("drawn 333 217 flip", &[0], "bgr"),
    ("drawn 100 8", &[0, 1], "rgb"),
    ("drawn 11 7", &[0, 1, 2], "rgb"),
    ("drawn 13 300", &[0, 1], "rgb"),
];

/// A picture from its description: where it starts from, then what is done to it.
fn picture(description: &str) -> RgbImage {
    let mut words = description.split_whitespace();
    let mut image = match words.next().expect("a source") {
        "astronaut" => load_rgb(&fixtures().join("astronaut.png")).expect("fixture"),
        "rustface" => load_rgb(&rustface_picture()).expect("picture of the rustface crate"),
        "drawn" => drawn(number(&mut words), number(&mut words)),
        other => panic!("unknown source {other}"),
    };
    while let Some(step) = words.next() {
        let mut next = || number(&mut words);
        image = match step {
            "flip" => imageops::flip_horizontal(&image),
            "scale" => resize_bilinear(&image, next(), next()),
            "crop" => imageops::crop_imm(&image, next(), next(), next(), next()).to_image(),
            other => panic!("unknown step {other}"),
        };
    }
    image
}

fn number<'a>(words: &mut impl Iterator<Item = &'a str>) -> u32 {
    words.next().and_then(|w| w.parse().ok()).expect("a number")
}

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mmod")
}

/// The picture of a team that the rustface crate ships for its own tests.
fn rustface_picture() -> PathBuf {
    PathBuf::from(env!("RUSTFACE_FOLDER")).join("test.png")
}

fn open(upsample: u32, channels: &str) -> Option<Mmod> {
    let channels: ChannelOrder = channels.parse().expect("known");
    let settings = MmodSettings { upsample, channels, ..Default::default() };
    Some(Mmod::open(&weights()?, settings, tch::Device::Cpu).expect("published weights"))
}

/// A box as dlib writes it.
fn inclusive(face: &FaceBox) -> (i32, i32, i32, i32) {
    (face.x1, face.y1, face.x2 - 1, face.y2 - 1)
}

#[test]
fn every_box_is_dlibs_box() {
    if weights().is_none() {
        return;
    }
    let golden = std::fs::read(fixtures().join("boxes.json")).expect("fixture");
    let golden: Vec<Case> = serde_json::from_slice(&golden).expect("well-formed");
    assert_eq!(golden.len(), CASES.iter().map(|(_, upsample, _)| upsample.len()).sum::<usize>());
    let (mut boxes, mut worst) = (0, [0f64; 3]);
    for case in &golden {
        let image = picture(&case.picture);
        assert_eq!(sha256_hex(image.as_raw()), case.sha256, "{}", case.picture);
        let mut mmod = open(case.upsample, &case.channels).expect("has weights");
        let faces = mmod.detect_unclipped(&image).expect("runs");
        let found: Vec<_> = faces.iter().map(inclusive).collect();
        let right: Vec<_> = case.boxes.iter().map(|&(l, t, r, b, _)| (l, t, r, b)).collect();
        let what = format!("{} upsample {} {}", case.picture, case.upsample, case.channels);
        assert_eq!(found, right, "{what}");
        for (face, right) in faces.iter().zip(&case.boxes) {
            let off = (f64::from(face.score) - right.4).abs();
            let worst = &mut worst[case.upsample as usize];
            *worst = worst.max(off);
        }
        boxes += found.len();
    }
    eprintln!("{boxes} boxes; largest score difference by upsample {worst:?}");
    assert!(boxes >= 60, "only {boxes} boxes compared");
    // 3e-6 was seen; only the order of the sums in the convolutions differs.
    assert!(worst.iter().all(|&w| w < 2e-5), "{worst:?}");
}

/// Not a test: writes the pictures for `tests/tools/mmod_boxes.py` into `$MMOD_PICTURES`.
#[test]
#[ignore = "writes the pictures that golden boxes are made from"]
fn write_pictures() {
    let folder = PathBuf::from(env::var_os("MMOD_PICTURES").expect("MMOD_PICTURES is set"));
    let mut cases = Vec::new();
    for (description, upsamples, channels) in CASES {
        let image = picture(description);
        image.save(folder.join(format!("{description}.png"))).expect("writable");
        cases.extend(upsamples.iter().map(|&upsample| Case {
            picture: (*description).to_owned(),
            sha256: sha256_hex(image.as_raw()),
            upsample,
            channels: (*channels).to_owned(),
            boxes: Vec::new(),
        }));
    }
    let text = serde_json::to_vec(&cases).expect("serialises");
    std::fs::write(folder.join("cases.json"), text).expect("writable");
}

#[test]
fn boxes_are_clipped_and_the_name_tells_every_setting() {
    let Some(mut mmod) = open(1, "bgr") else { return };
    // The face fills the crop, so that dlib's box overhangs it.
    let image = picture("astronaut crop 50 50 110 110");
    let raw = mmod.detect_unclipped(&image).expect("runs");
    let clipped = mmod.detect(&image).expect("runs");
    assert_eq!(clipped.len(), raw.len());
    for face in &clipped {
        assert!(face.x1 >= 0 && face.y1 >= 0 && face.x2 <= 110 && face.y2 <= 110, "{face:?}");
    }
    assert_eq!(mmod.name(), "mmod(dlib cnn, weights 4cb19393, upsample 1, channels bgr)");
}

#[test]
fn pictures_too_small_for_the_network_have_no_face() {
    for upsample in [0, 1, 2] {
        let Some(mut mmod) = open(upsample, "rgb") else { return };
        for (width, height) in [(1, 1), (2, 300), (300, 2), (0, 0), (4, 4), (9, 9)] {
            let image = RgbImage::from_pixel(width, height, Rgb([90, 80, 70]));
            assert_eq!(mmod.detect(&image).expect("no failure"), [], "{width}x{height}");
        }
    }
}

#[test]
fn wrong_weights_and_settings_are_refused_in_one_line() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("weights.dat");
    std::fs::write(&path, b"\x01\x01\x01\x04nope").expect("writable");
    let open = |path: &Path, upsample| {
        let settings = MmodSettings { upsample, ..Default::default() };
        let error = Mmod::open(path, settings, tch::Device::Cpu).expect_err("must be refused");
        format!("{error:#}").replace(&*folder.path().to_string_lossy(), "F")
    };
    assert_eq!(
        open(&path, 0),
        "F/weights.dat is not dlib's face detector: byte 2: kind of the loss layer is 4, expected 10"
    );
    assert_eq!(open(&path, 3), "upsample is 3, at most 2 possible");
    assert!(open(&folder.path().join("none"), 0)
        .starts_with("cannot read F/none (`ncaers fetch-mmod` fetches it): "));
}

/// Not a test: processor seconds per picture of one thread, the same picture as
/// `tests/tools/mmod_speed.py`, which measures dlib too.
#[test]
#[ignore = "measures speed"]
fn speed() {
    tch::set_num_threads(1);
    let Some(mut mmod) = open(1, "rgb") else { return };
    let image = picture("rustface crop 833 0 712 400");
    let mut seconds = [0.0; 6].map(|_: f64| {
        let start = cpu_seconds();
        let faces = mmod.detect_unclipped(&image).expect("runs");
        assert_eq!(faces.len(), 15);
        cpu_seconds() - start
    });
    seconds.sort_by(f64::total_cmp);
    println!("{seconds:.3?} s per picture");
}

fn cpu_seconds() -> f64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is a valid place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut t) };
    t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9
}

/// A corpus of one clip with drawn faces.
fn corpus(root: &Path) {
    let format = ClipFormat { width: 208, height: 160, ..ClipFormat::default() };
    let frame = drawn(208, 160);
    let frames = (0..50).map(|_| frame.clone());
    write_clip(&root.join("train/Anger/0001.avi"), &format, frames).expect("clip is written");
}

#[test]
fn a_build_records_the_detector_and_the_choice() {
    if weights().is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("temporary folder");
    let (from, out) = (folder.path().join("corpus"), folder.path().join("out"));
    corpus(&from);
    let build = |more: &[&str]| {
        let mut command = ncaers();
        command.args(["build", "--seed", "1", "--preset", "glamor-compat"]).args(more);
        command.arg("--corpus").arg(&from).arg("--out").arg(&out).assert()
    };
    let planned = build(&["--dry-run", "--min-face", "64"]).success();
    let planned = String::from_utf8_lossy(&planned.get_output().stdout).into_owned();
    assert!(planned.contains("upsample 1, channels bgr, min_face 64)"), "{planned}");
    build(&["--choose", "largest", "--margin", "0.25"]).success();
    let (samples, meta) = read_samples(&out.join("samples.parquet")).expect("a manifest");
    assert_eq!(samples.len(), 1);
    let name = "mmod(dlib cnn, weights 4cb19393, upsample 1, channels bgr)";
    assert_eq!(samples[0].detector, name);
    let face = samples[0].face.expect("dlib finds the drawn face too");
    // Of a face 100 pixels wide; the next is 64.
    assert!(face.x1 < 30 && face.x2 > 90 && face.score > 0.0, "{face:?}");
    let configuration = configuration(&meta).expect("JSON");
    assert_eq!(configuration["choose"], "largest");
    assert_eq!(configuration["margin"], 0.25);
    assert!(!configuration.to_string().contains(".dat"), "no path of the user's");
    let refused = build(&["--choose", "largest", "--upsample", "0"]).failure().code(1);
    let message = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(message.contains("upsample 1") && message.contains("upsample 0"), "{message}");
}

/// The most that a machine without a GPU can show: the figure that a GPU is asked for, on the
/// processor.
#[test]
fn batches_are_timed_with_the_settings_named() {
    if weights().is_none() {
        return;
    }
    let batch = ["--detector", "mmod", "--batch", "3", "--device", "cpu", "--min-face", "50"];
    let mut command = ncaers();
    command.args(["--json", "bench", "detect", "--rounds", "1", "--size", "150x160"]).args(batch);
    let run = command.arg(fixtures().join("astronaut.png")).assert().success();
    let json: serde_json::Value =
        serde_json::from_slice(&run.get_output().stdout).expect("one JSON object");
    let name = "mmod(dlib cnn, weights 4cb19393, upsample 1, channels rgb, min_face 50)";
    assert_eq!(json["detector"], name);
    assert_eq!((json["batch"].as_u64(), json["faces"].as_u64()), (Some(3), Some(1)));
    assert!(json["images_per_s"].as_f64().is_some_and(|rate| rate > 0.0), "{json}");
}

#[test]
fn face_options_that_make_no_sense_are_wrong_usage() {
    let folder = tempfile::tempdir().expect("temporary folder");
    corpus(&folder.path().join("corpus"));
    let refusal = |more: &[&str]| {
        let mut command = ncaers();
        command.args(["build", "--seed", "1", "--corpus", "corpus", "--out", "out"]).args(more);
        let refused = command.current_dir(folder.path()).assert().code(2);
        String::from_utf8_lossy(&refused.get_output().stderr).into_owned()
    };
    assert_eq!(
        refusal(&["--upsample", "1"]),
        "error: --upsample, --channel-order, --mmod-weights and --device are for --detector mmod, \
         and --detector is seeta\n"
    );
    let device = refusal(&["--device", "cuda", "--detector", "none"]);
    assert!(device.contains("for --detector mmod, and --detector is none"), "{device}");
    let smallest = refusal(&["--min-face", "80", "--detector", "none"]);
    assert_eq!(
        smallest,
        "error: --min-face is for --detector seeta and mmod, and --detector is none\n"
    );
    assert_eq!(
        refusal(&["--min-face", "39"]),
        "error: smallest face is 39 pixels, at least 40 needed\n"
    );
    assert!(refusal(&["--min-face", "0"]).contains("0 is not in 1..=100000"));
    let device = refusal(&["--detector", "mmod", "--device", "gpu"]);
    assert!(device.contains("`gpu` must be auto, cpu, cuda or cuda:N"), "{device}");
    assert!(refusal(&["--detector", "mmod", "--upsample", "3"]).contains("3 is not in 0..=2"));
    assert!(refusal(&["--channel-order", "gbr"]).contains("`gbr` (known: rgb, bgr)"));
    assert!(refusal(&["--choose", "best"]).contains("`best` (known: highest"));
    assert!(refusal(&["--margin", "5"]).contains("--margin 5 is not between 0 and 4"));
    let missing = refusal(&["--detector", "mmod", "--mmod-weights", "none.dat"]);
    assert!(missing.starts_with("error: cannot read none.dat (`ncaers fetch-mmod` fetches it)"));
    assert!(!folder.path().join("out").exists());
}

/// Not a test: what the two detectors find on the photographs, and in how many processor seconds.
#[test]
#[ignore = "compares detectors"]
fn against_seeta() {
    tch::set_num_threads(1);
    let Some(mmod) = open(1, "rgb") else { return };
    let seeta = Seeta::new(Default::default()).expect("default settings");
    let mut detectors: [Box<dyn Detector>; 2] = [Box::new(mmod), Box::new(seeta)];
    for picture in ["rustface", "rustface crop 833 0 712 400", "astronaut"].map(picture) {
        let found = detectors.each_mut().map(|detector| {
            let start = cpu_seconds();
            let faces = detector.detect(&picture).expect("runs");
            println!("{} faces, {:.2} s: {}", faces.len(), cpu_seconds() - start, detector.name());
            faces
        });
        let nearest = found[0]
            .iter()
            .map(|face| found[1].iter().map(|other| face.iou(*other)).fold(0.0, f64::max));
        let mut nearest: Vec<f64> = nearest.collect();
        nearest.sort_by(f64::total_cmp);
        println!("largest IoU of every face of mmod with one of seeta: {nearest:.2?}");
    }
}
