//! `ncaers annotate`: faces of pictures, folders and videos, and what is refused.
#![cfg(feature = "torch")]

use crate::common;
use crate::common::runs;
use std::{fs, path::Path, sync::OnceLock};

use common::ncaers;
use image::{imageops, Rgb, RgbImage};
use ncaers::{
    internals::{
        annotate::{pixels, AnnotateSettings},
        media::{
            encode::{write_clip, ClipFormat},
            image::load_rgb,
            video,
        },
        train::FaceReader,
    },
    manifest::Manifest,
    record::{FaceBox, Split},
    runs::RunFolder,
};
use runs::{refusal, World};
use serde_json::Value;

/// A world with a finished run, trained once for all tests.
fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let world = World::new();
        world.train("run", &[]).assert().success();
        world
    })
}

fn portrait() -> RgbImage {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mmod/astronaut.png");
    load_rgb(&path).expect("fixture")
}

fn annotate(input: &Path, out: &Path, extra: &[&str]) -> assert_cmd::Command {
    let mut command = ncaers();
    command.args(["--json", "annotate"]).arg(input).arg("--run").arg(world().path("run"));
    command.arg("--out").arg(out).args(extra);
    command
}

fn summary(command: &mut assert_cmd::Command) -> Value {
    let out = command.assert().success();
    serde_json::from_slice(&out.get_output().stdout).expect("one JSON object")
}

fn rows(out: &Path) -> Vec<std::collections::BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_path(out.join("faces.csv")).expect("faces.csv");
    reader.deserialize().collect::<Result<_, _>>().expect("rows")
}

#[test]
fn a_face_is_judged_as_predict_judges_it() {
    let _alone = crate::common::alone();
    let world = world();
    world.predict("run", "test").assert().success();
    let folder = RunFolder::new(&world.path("run"));
    let (answers, _) = folder.predictions(Split::Test).expect("predictions");
    let manifest = Manifest::read(&world.path("m")).expect("manifest");
    let reader = FaceReader::open(&folder, tch::Device::Cpu).expect("reader");
    let settings =
        AnnotateSettings { every: 1, attention: false, margin: 0.0, mask_value: 0, notice: None };
    for answer in answers {
        let sample = manifest.samples.iter().find(|s| s.sample_id == answer.sample_id);
        let sample = sample.expect("known");
        let picture = load_rgb(&world.path("m").join(&sample.image_path)).expect("picture");
        let face = [sample.face.expect("a face")];
        let pixels = pixels(&picture, &face, reader.masks_faces(), reader.face_side(), &settings);
        let looked = &reader.judge(&pixels).expect("answer")[0];
        assert_eq!(looked.predicted, answer.predicted, "{}", answer.sample_id);
        for (got, want) in looked.logits.iter().zip(answer.logits) {
            assert!((got - want).abs() < 1e-4, "{}: {got} {want}", answer.sample_id);
        }
    }
}

#[test]
fn a_picture_gets_box_and_label() {
    let dir = tempfile::tempdir().expect("temp dir");
    let (input, out) = (dir.path().join("face.png"), dir.path().join("out"));
    portrait().save(&input).expect("save");
    let told = summary(&mut annotate(&input, &out, &["--attention"]));
    assert_eq!((&told["pictures"], &told["faces"]), (&1.into(), &1.into()));
    let row = &rows(&out)[0];
    assert_eq!((row["found"].as_str(), row["frame"].as_str()), ("detected", ""));
    let p = ["anger", "disgust", "fear", "happy", "neutral", "sad", "surprise"];
    let sum: f64 = p.iter().map(|c| row[&format!("p_{c}")].parse::<f64>().expect("p")).sum();
    assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    let drawn = load_rgb(&out.join("face.png")).expect("drawn");
    assert_eq!(drawn.dimensions(), portrait().dimensions());
    assert_ne!(drawn, portrait());
    // Another seed of nothing: the same input gives the same bytes.
    let again = dir.path().join("again");
    summary(&mut annotate(&input, &again, &["--attention"]));
    for name in ["face.png", "faces.csv"] {
        assert_eq!(fs::read(out.join(name)).expect("a"), fs::read(again.join(name)).expect("b"));
    }
}

#[test]
fn a_hundred_faces_are_a_hundred_rows() {
    let _alone = crate::common::alone();
    let head = imageops::crop_imm(&portrait(), 35, 15, 160, 160).to_image();
    let head = imageops::resize(&head, 120, 120, imageops::FilterType::Triangle);
    let mut crowd = RgbImage::from_pixel(1200, 1200, Rgb([90, 90, 90]));
    for i in 0..100 {
        imageops::replace(&mut crowd, &head, i % 10 * 120, i / 10 * 120);
    }
    let dir = tempfile::tempdir().expect("temp dir");
    let (input, out) = (dir.path().join("crowd.png"), dir.path().join("out"));
    crowd.save(&input).expect("save");
    let told = summary(&mut annotate(&input, &out, &[]));
    assert_eq!(told["faces"], 100);
    assert_eq!(rows(&out).len(), 100);
    let folder = RunFolder::new(&world().path("run"));
    let reader = FaceReader::open(&folder, tch::Device::Cpu).expect("reader");
    let face =
        |i: i32| FaceBox { x1: i % 40 * 20, y1: 0, x2: i % 40 * 20 + 60, y2: 60, score: 1.0 };
    let faces: Vec<_> = (0..130).map(face).collect();
    let settings =
        AnnotateSettings { every: 1, attention: false, margin: 0.1, mask_value: 0, notice: None };
    let pixels = pixels(&crowd, &faces, true, reader.face_side(), &settings);
    assert_eq!(reader.judge(&pixels).expect("answers").len(), 130, "more than one batch");
}

/// Two seconds of a face that moves to the right, with a tone.
fn film(path: &Path) {
    let face = imageops::resize(&portrait(), 300, 300, imageops::FilterType::Triangle);
    let frame = |i: u32| {
        let mut picture = RgbImage::from_pixel(640, 360, Rgb([70, 80, 90]));
        imageops::replace(&mut picture, &face, i64::from(40 + 4 * i), 30);
        picture
    };
    let format = ClipFormat {
        width: 640,
        height: 360,
        tone_hz: Some(330.0),
        b_frames: 2,
        ..ClipFormat::default()
    };
    write_clip(path, &format, (0..50).map(frame)).expect("clip");
}

#[test]
fn a_video_comes_out_as_a_video_with_its_sound() {
    let dir = tempfile::tempdir().expect("temp dir");
    let (input, out) = (dir.path().join("film.avi"), dir.path().join("out"));
    film(&input);
    let told = summary(&mut annotate(&input, &out, &["--every", "5"]));
    assert_eq!((&told["videos"], &told["frames"]), (&1.into(), &50.into()), "{told}");
    let rows = rows(&out);
    let of = |found: &str| rows.iter().filter(|r| r["found"] == found).count();
    assert_eq!(of("detected"), 10, "every fifth of 50 frames");
    assert_eq!(of("followed"), 40);
    let left = |frame: &str| -> i32 {
        let row = rows.iter().find(|r| r["frame"] == frame).expect("a row");
        row["x1"].parse().expect("x1")
    };
    // Four pixels a frame, detected at 20 and followed to 24.
    assert!((left("24") - left("20") - 16).abs() <= 4, "{} {}", left("20"), left("24"));
    let copy = out.join("film.mp4");
    struct Count(u64);
    impl video::FrameSink for Count {
        fn targets(&mut self, frames: u64, _: f64) -> Vec<u64> {
            (0..frames).collect()
        }
        fn keep(&mut self, frame: u64, shot: video::DecodedFrame<'_>) -> anyhow::Result<()> {
            assert_eq!(shot.dimensions(), (640, 360));
            self.0 = self.0.max(frame + 1);
            Ok(())
        }
        fn lost(&mut self, _: u64, reason: String) {
            panic!("{reason}");
        }
    }
    let mut count = Count(0);
    let facts = video::decode(&copy, false, &mut count).expect("decodes");
    assert_eq!((count.0, facts.fps, facts.damage.len()), (50, 25.0, 0));
    let input = ffmpeg_next::format::input(&copy).expect("opens");
    assert_eq!(input.streams().count(), 2, "pictures and sound");
    // The table alone, from the same video.
    let table = dir.path().join("table");
    summary(&mut annotate(&dir.path().join("film.avi"), &table, &["--only-csv", "--every", "5"]));
    assert_eq!(
        fs::read(table.join("faces.csv")).expect("a"),
        fs::read(out.join("faces.csv")).expect("b")
    );
    assert!(!table.join("film.mp4").exists());
}

#[test]
fn a_folder_goes_on_after_what_cannot_be_read() {
    let dir = tempfile::tempdir().expect("temp dir");
    let (input, out) = (dir.path().join("in"), dir.path().join("out"));
    fs::create_dir_all(input.join("deep")).expect("folder");
    portrait().save(input.join("deep/face.png")).expect("save");
    let empty = RgbImage::from_pixel(320, 240, Rgb([30, 90, 30]));
    empty.save(input.join("wall.png")).expect("save");
    fs::write(input.join("broken.jpg"), b"no picture").expect("write");
    fs::write(input.join("broken.avi"), [7; 500]).expect("write");
    fs::write(input.join("notes.txt"), b"ignored").expect("write");
    let told = summary(&mut annotate(&input, &out, &[]));
    assert_eq!((&told["pictures"], &told["without_face"]), (&2.into(), &1.into()), "{told}");
    let problems = told["problems"].to_string();
    assert!(problems.contains("broken.jpg") && problems.contains("broken.avi"), "{problems}");
    assert_eq!(load_rgb(&out.join("wall.png")).expect("copy"), empty, "no face, nothing drawn");
    assert!(out.join("deep/face.png").is_file());
    assert!(!out.join("broken.mp4").exists() && !out.join("broken.jpg").exists());
    assert_eq!(rows(&out).len(), 1);
    let refused = refusal(&mut annotate(&input, &input, &[]));
    assert!(refused.contains("is the folder of the originals"), "{refused}");
}

/// The sound of a clip without its pictures.
fn sound_alone(path: &Path, clip: &Path) {
    let mut input = ffmpeg_next::format::input(clip).expect("opens");
    let mut output = ffmpeg_next::format::output(path).expect("output");
    let source = input.streams().best(ffmpeg_next::media::Type::Audio).expect("sound");
    let (index, parameters) = (source.index(), source.parameters());
    let mut track = output.add_stream(ffmpeg_next::encoder::find(ffmpeg_next::codec::Id::None));
    track.as_mut().expect("track").set_parameters(parameters);
    // SAFETY: the track is not yet written.
    unsafe { (*track.expect("track").parameters().as_mut_ptr()).codec_tag = 0 };
    output.write_header().expect("header");
    let packets: Vec<_> =
        input.packets().filter(|(s, _)| s.index() == index).map(|p| p.1).collect();
    for mut packet in packets {
        packet.set_stream(0);
        packet.write_interleaved(&mut output).expect("packet");
    }
    output.write_trailer().expect("trailer");
}

#[test]
fn what_cannot_be_annotated_is_one_line() {
    let dir = tempfile::tempdir().expect("temp dir");
    let out = dir.path().join("out");
    let path = |name: &str| dir.path().join(name);
    film(&path("film.avi"));
    sound_alone(&path("sound.mp4"), &path("film.avi"));
    let message = refusal(&mut annotate(&path("sound.mp4"), &out, &[]));
    assert!(message.contains("sound.mp4: there is no video stream"), "{message}");
    let message = refusal(&mut annotate(&path("absent.png"), &out, &[]));
    assert!(message.contains("absent.png"), "{message}");
    fs::write(path("page.png"), b"<html>").expect("write");
    let message = refusal(&mut annotate(&path("page.png"), &out, &[]));
    assert!(message.contains("cannot decode") && message.contains("page.png"), "{message}");
    fs::create_dir(path("empty")).expect("folder");
    let message = refusal(&mut annotate(&path("empty"), &out, &[]));
    assert!(message.contains("holds no picture and no video"), "{message}");
    let message = refusal(&mut annotate(&path("film.avi"), &out, &["--detector", "none"]));
    assert!(message.contains("without a detector"), "{message}");
    portrait().save(path("face.png")).expect("save");
    let bare = path("bare");
    fs::create_dir(&bare).expect("folder");
    fs::copy(world().path("run/run.json"), bare.join("run.json")).expect("copy");
    let mut command = ncaers();
    command.arg("annotate").arg(path("face.png")).arg("--run").arg(&bare).arg("--out").arg(&out);
    let message = refusal(&mut command);
    assert!(message.contains("has no best.safetensors"), "{message}");
}
