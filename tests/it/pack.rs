//! `ncaers pack`: known pixels in, known tensors out, bad pictures refused.

use crate::common;
use std::path::Path;

use common::ncaers;
use image::{Rgb, RgbImage};
use ncaers::{
    internals::{
        atomic, digest,
        media::image as picture,
        pack::{Pack, PackInput},
    },
    manifest::{self, Manifest, Meta},
    record::{Emotion, FaceBox, Sample, Split},
};

/// A manifest of two pictures: a grey one with a white face, and a flat one without a face.
fn manifest(folder: &Path) {
    let mut white_face = RgbImage::from_pixel(342, 256, Rgb([100, 110, 120]));
    let face = FaceBox { x1: 40, y1: 20, x2: 136, y2: 116, score: 1.0 };
    picture::mask(&mut white_face, face, 255);
    let flat = RgbImage::from_pixel(342, 256, Rgb([10, 20, 30]));
    let row = |id: &str, emotion, image: &RgbImage, face| {
        let bytes = picture::encode_png(image).unwrap();
        atomic::write(&folder.join(format!("images/{id}.png")), &bytes).unwrap();
        Sample {
            sample_id: id.into(),
            split: Split::Train,
            emotion,
            clip_id: id.into(),
            group_id: id.into(),
            segment: None,
            frame_index: None,
            frame_ms: None,
            image_path: format!("images/{id}.png"),
            image_sha256: digest::sha256_hex(&bytes),
            width: image.width(),
            height: image.height(),
            face,
            face_count: Some(u32::from(face.is_some())),
            detector: "test".into(),
            damage: Default::default(),
            draw: None,
        }
    };
    let samples = vec![
        row("a", Emotion::Fear, &white_face, Some(face)),
        row("b", Emotion::Surprise, &flat, None),
    ];
    Manifest { samples, meta: Meta::new(), ..Manifest::default() }.write(folder).unwrap();
}

#[test]
fn pixels_masks_and_labels_are_exact() {
    let dir = tempfile::tempdir().unwrap();
    manifest(dir.path());
    let out = dir.path().join("pack");
    let all = "face,context_masked,context_visible,image,face_224";
    ncaers().args(["pack", "--inputs", all, "--out"]).args([&out, dir.path()]).assert().success();
    let pack = Pack::open(&out.join("train.safetensors")).unwrap();
    assert_eq!((pack.len(), pack.labels()), (2, &[2u8, 6][..]));
    assert_eq!(pack.manifest_digest(), manifest::digest(dir.path()).unwrap());
    let (face, rest) = pack.view(PackInput::Face).unwrap().split_at(3 * 96 * 96);
    assert!(face.iter().all(|&v| v == 255) && rest.iter().all(|&v| v == 0));
    // The frame is exactly twice the context: columns 20..68 and rows 10..58 are the face.
    let at = |input: PackInput, n: usize, y: usize, x: usize| {
        let [_, _, height, width] = pack.shape(input);
        let plane = |c| pack.view(input).unwrap()[((n * 3 + c) * height + y) * width + x];
        [plane(0), plane(1), plane(2)]
    };
    for (y, x) in [(10, 20), (57, 67)] {
        assert_eq!(at(PackInput::ContextMasked, 0, y, x), [0; 3]);
        assert_eq!(at(PackInput::ContextVisible, 0, y, x), [255; 3]);
    }
    for (y, x) in [(9, 20), (10, 19), (58, 67), (57, 68), (127, 170)] {
        assert_eq!(at(PackInput::ContextMasked, 0, y, x), [100, 110, 120]);
    }
    assert_eq!(at(PackInput::ContextMasked, 1, 64, 85), [10, 20, 30]);
    assert_eq!(at(PackInput::Image, 1, 223, 223), [10, 20, 30]);
    // The face at its own size, from the picture and not from the small crop; none is black.
    let (face, rest) = pack.view(PackInput::Face224).unwrap().split_at(3 * 224 * 224);
    assert!(face.iter().all(|&v| v == 255) && rest.iter().all(|&v| v == 0));
    assert!(Pack::open(&out.join("val.safetensors")).unwrap().is_empty());
}

#[test]
fn a_second_time_costs_nothing_and_another_choice_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    manifest(dir.path());
    let out = dir.path().join("pack");
    let pack = |extra: &[&str]| {
        ncaers().arg("pack").args([dir.path(), Path::new("--out"), &out]).args(extra).assert()
    };
    pack(&[]).success();
    let first = digest::sha256_file(&out.join("train.safetensors")).unwrap();
    let again = pack(&[]).success();
    assert!(String::from_utf8_lossy(&again.get_output().stdout).contains("already done"));
    let refused = pack(&["--mask-value", "127"]).code(1);
    let message = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(message.contains("preprocessing.mask_value: 0 -> 127"), "{message}");
    std::fs::remove_dir_all(&out).unwrap();
    pack(&[]).success();
    assert_eq!(first, digest::sha256_file(&out.join("train.safetensors")).unwrap());
}

#[test]
fn a_changed_picture_and_a_damaged_pack_are_named() {
    let dir = tempfile::tempdir().unwrap();
    manifest(dir.path());
    let out = dir.path().join("pack");
    let flat = picture::encode_png(&RgbImage::new(342, 256)).unwrap();
    std::fs::write(dir.path().join("images/b.png"), flat).unwrap();
    let refused =
        ncaers().arg("pack").args([dir.path(), Path::new("--out"), &out]).assert().code(1);
    let message = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(message.contains("b.png is not the picture"), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    let file = out.join("train.safetensors");
    assert!(!file.exists());
    std::fs::write(&file, b"\x10\0\0\0\0\0\0\0{}").unwrap();
    let error = format!("{:#}", Pack::open(&file).unwrap_err());
    assert!(error.contains("not a readable pack"), "{error}");
}
