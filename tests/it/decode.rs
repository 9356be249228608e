//! Decoding is exact: frame n is the n-th frame out of the decoder, for every container, codec and
//! order of packets, and damage is named and never stops anything.

use crate::common::clips;
use crate::common::pictures;
use std::{fs, path::Path};

use clips::{burned_index, chunks, write};
use image::RgbImage;
use ncaers::internals::media::{
    encode::{ClipFormat, Codec},
    image::{decode_rgb, encode_jpeg},
    video::{decode, DecodedFrame, FrameSink, Rejected},
};
use pictures::{all, rejected, Every};

const FRAMES: u32 = 61;

fn kinds() -> Vec<(&'static str, ClipFormat)> {
    let base = ClipFormat { width: 160, height: 96, ..ClipFormat::default() };
    let b = |codec, b_frames, gop| ClipFormat { codec, b_frames, gop, ..base.clone() };
    let tone = |format: ClipFormat| ClipFormat { tone_hz: Some(440.0), ..format };
    let h264 = |b_frames, gop| ClipFormat { quality: 18, ..b(Codec::H264, b_frames, gop) };
    vec![
        ("plain.avi", base.clone()),
        ("sound.avi", tone(base.clone())),
        ("b.avi", b(Codec::Mpeg4, 2, 12)),
        ("b-sound.avi", tone(b(Codec::Mpeg4, 2, 250))),
        ("ntsc.avi", tone(ClipFormat { fps: (24000, 1001), ..base.clone() })),
        ("h264.avi", tone(h264(0, 250))),
        ("h264-b.avi", tone(h264(3, 12))),
        ("h264.mp4", tone(h264(3, 30))),
        ("h264.mkv", h264(2, 250)),
        ("h264.ts", tone(h264(3, 12))),
        ("mpeg4.mov", b(Codec::Mpeg4, 2, 12)),
        ("lossless.mkv", b(Codec::Ffv1, 0, 12)),
    ]
}

#[test]
fn every_frame_is_the_one_whose_index_is_burned_in() {
    let dir = tempfile::tempdir().expect("temp dir");
    for (name, format) in kinds() {
        let path = dir.path().join(name);
        write(&path, &format, FRAMES, 1);
        let (facts, plan) = all(&path, 1);
        // Frames that nobody wants may be decoded coarsely; the others know nothing of it.
        for step in [5, 13] {
            let (same, some) = all(&path, step);
            assert_eq!(same, facts, "{name}");
            assert!(some.pictures.iter().all(|(i, p)| *p == plan.pictures[i]), "{name} {step}");
        }
        assert_eq!(facts.frames, u64::from(FRAMES), "{name}");
        let seen: Vec<u32> = plan.pictures.values().map(burned_index).collect();
        assert_eq!(seen, (0..FRAMES).collect::<Vec<_>>(), "{name}");
        assert_eq!(facts.damage, Vec::<String>::new(), "{name}");
        assert_eq!(facts.has_b_frames, format.b_frames > 0, "{name}");
        assert_eq!((facts.width, facts.height), (160, 96), "{name}");
        let fps = f64::from(format.fps.0) / f64::from(format.fps.1);
        assert!((facts.fps - fps).abs() < 1e-3, "{name}: {} is not {fps}", facts.fps);
        assert!(!facts.fps_assumed, "{name}");
        assert_eq!(
            facts.signature.map(|s| s.len()),
            Some(if fps < 25.0 { 6 } else { 5 }),
            "{name}"
        );
    }
}

/// Fast decoding stops early but returns the same pictures.
#[test]
fn fast_returns_the_same_frames() {
    let dir = tempfile::tempdir().expect("temp dir");
    for (name, format) in kinds() {
        let path = dir.path().join(name);
        write(&path, &format, FRAMES, 2);
        for step in [3, 7, 17] {
            let (_, slow) = all(&path, step);
            let mut fast = Every { step, ..Every::default() };
            let facts = decode(&path, true, &mut fast).expect("decodes");
            assert_eq!(facts.frames, u64::from(FRAMES), "{name}");
            assert_eq!(facts.signature, None);
            assert!(fast.pictures == slow.pictures, "{name} {step}");
        }
    }
}

/// What no wanted frame is predicted from is not even looked at: spoilt there, nobody notices.
#[test]
fn fast_leaves_out_what_no_wanted_frame_needs() {
    let dir = tempfile::tempdir().expect("temp dir");
    let path = dir.path().join("a.avi");
    let format =
        ClipFormat { width: 160, height: 96, gop: 12, b_frames: 2, ..ClipFormat::default() };
    write(&path, &format, FRAMES, 2);
    let (_, sound) = all(&path, 50);
    let mut bytes = fs::read(&path).expect("read");
    let chunks = chunks(&bytes);
    assert_eq!(chunks.len(), FRAMES as usize);
    // Packets 20 to 30 lie between the groups of the frames 0 and 50; their headers stay whole.
    for chunk in &chunks[20..30] {
        bytes[chunk.start + chunk.len() / 2..chunk.end].fill(0xa5);
    }
    fs::write(&path, &bytes).expect("write");
    let (slow, _) = all(&path, 50);
    assert!(!slow.damage.is_empty(), "the damage is not noticed by anybody");
    let mut fast = Every { step: 50, ..Every::default() };
    let facts = decode(&path, true, &mut fast).expect("decodes");
    assert_eq!((facts.damage, facts.frames), (vec![], u64::from(FRAMES)));
    assert!(facts.has_b_frames);
    assert_eq!(fast.pictures.len(), 2);
    assert!(fast.pictures == sound.pictures);
}

/// A frame as it is saved, and as detectors see it.
#[derive(Default)]
struct Both(Vec<(Vec<u8>, RgbImage)>);

impl FrameSink for Both {
    fn targets(&mut self, frames: u64, _: f64) -> Vec<u64> {
        (0..frames).step_by(20).collect()
    }

    fn keep(&mut self, _: u64, mut shot: DecodedFrame<'_>) -> anyhow::Result<()> {
        let jpeg = shot.jpeg(95)?;
        let rgb = shot.rgb()?.clone();
        assert_eq!((shot.jpeg(95)?, shot.dimensions()), (jpeg.clone(), rgb.dimensions()));
        self.0.push((jpeg, rgb));
        Ok(())
    }

    fn lost(&mut self, frame: u64, reason: String) {
        panic!("frame {frame} is lost: {reason}");
    }
}

/// JPEG made of a frame's own planes shows what JPEG made of its RGB picture would.
#[test]
fn saved_pictures_are_the_decoded_ones() {
    let dir = tempfile::tempdir().expect("temp dir");
    for (name, format) in kinds() {
        for (width, height) in [(160, 96), (162, 98)] {
            let path = dir.path().join(name);
            write(&path, &ClipFormat { width, height, ..format.clone() }, FRAMES, 6);
            let mut both = Both::default();
            decode(&path, false, &mut both).expect("decodes");
            assert_eq!(both.0.len(), 4, "{name}");
            for (jpeg, rgb) in &both.0 {
                let saved = decode_rgb(jpeg).expect("a JPEG");
                let detour = decode_rgb(&encode_jpeg(rgb, 95).expect("fits")).expect("a JPEG");
                let (ours, theirs) = (mean_difference(&saved, rgb), mean_difference(&detour, rgb));
                assert!(ours <= theirs + 0.1, "{name}: {ours} levels, by way of RGB {theirs}");
            }
        }
    }
}

/// In levels, over all channels.
fn mean_difference(a: &RgbImage, b: &RgbImage) -> f64 {
    assert_eq!(a.dimensions(), b.dimensions());
    let sum: u64 = a.iter().zip(b.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.as_raw().len() as f64
}

/// The only order-sensitive thing that all codecs share: red is the first byte.
#[test]
fn pixels_are_rgb_and_lossless_ones_exact() {
    let dir = tempfile::tempdir().expect("temp dir");
    let path = dir.path().join("a.mkv");
    let format = ClipFormat { codec: Codec::Ffv1, width: 162, height: 98, ..ClipFormat::default() };
    write(&path, &format, 3, 4);
    let (facts, plan) = all(&path, 1);
    assert_eq!((facts.color_matrix, facts.color_range), ("rgb", "full"));
    for (i, picture) in &plan.pictures {
        assert!(*picture == clips::picture(162, 98, *i as u32, 4), "frame {i}");
    }
    let lossy = dir.path().join("b.avi");
    let red = std::iter::repeat_n(RgbImage::from_pixel(160, 96, image::Rgb([220, 30, 40])), 3);
    let format = ClipFormat { width: 160, height: 96, ..ClipFormat::default() };
    ncaers::internals::media::encode::write_clip(&lossy, &format, red).expect("clip is written");
    let (facts, plan) = all(&lossy, 1);
    assert_eq!((facts.color_matrix, facts.color_range), ("bt601", "limited"));
    for (got, want) in plan.pictures[&1].get_pixel(80, 48).0.iter().zip([220i32, 30, 40]) {
        assert!((i32::from(*got) - want).abs() <= 4, "{:?}", plan.pictures[&1].get_pixel(80, 48));
    }
}

#[test]
fn files_without_video_are_rejected_with_the_reason() {
    let dir = tempfile::tempdir().expect("temp dir");
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).expect("write");
        path
    };
    assert_eq!(rejected(&file("empty.avi", b"")), Rejected::Empty);
    let html = file("page.avi", b"<!DOCTYPE html><html><body>404 not found</body></html>");
    assert!(matches!(rejected(&html), Rejected::Unreadable(_)));
    assert!(matches!(rejected(&file("noise.avi", &[7; 5000])), Rejected::Unreadable(_)));
    assert!(matches!(rejected(&dir.path().join("absent.avi")), Rejected::Unreadable(_)));
    let playlist = file("list.avi", b"ffconcat version 1.0\nfile empty.avi\n");
    assert!(matches!(rejected(&playlist), Rejected::Unreadable(_)));
}

/// A clip of 61 frames in the default format.
fn sound_clip(dir: &Path) -> Vec<u8> {
    let path = dir.join("sound.avi");
    let format = ClipFormat { width: 160, height: 96, b_frames: 2, ..ClipFormat::default() };
    write(&path, &format, FRAMES, 3);
    fs::read(path).expect("read")
}

#[test]
fn truncated_clips_keep_what_decodes_and_say_so() {
    let dir = tempfile::tempdir().expect("temp dir");
    let whole = sound_clip(dir.path());
    let path = dir.path().join("cut.avi");
    for share in [0.4, 0.6, 0.9] {
        fs::write(&path, &whole[..(whole.len() as f64 * share) as usize]).expect("write");
        let (facts, plan) = all(&path, 1);
        assert!(!facts.damage.is_empty(), "{share}");
        assert!((10..61).contains(&facts.frames), "{share}: {} frames", facts.frames);
        for (i, picture) in plan.pictures.iter().take(facts.frames as usize - 3) {
            assert_eq!(u64::from(burned_index(picture)), *i, "{share}");
        }
    }
}

#[test]
fn lying_header_counts_change_nothing() {
    let dir = tempfile::tempdir().expect("temp dir");
    let whole = sound_clip(dir.path());
    let at = |tag: &[u8]| whole.windows(4).position(|w| w == tag).expect("chunk");
    // dwTotalFrames of the main header, dwLength of the stream header.
    let (main, stream) = (at(b"avih") + 8 + 16, at(b"strh") + 8 + 32);
    for claim in [0u32, FRAMES / 2, FRAMES * 10] {
        let mut bytes = whole.clone();
        bytes[main..main + 4].copy_from_slice(&claim.to_le_bytes());
        bytes[stream..stream + 4].copy_from_slice(&claim.to_le_bytes());
        let path = dir.path().join("lies.avi");
        fs::write(&path, &bytes).expect("write");
        let (facts, plan) = all(&path, 1);
        assert_eq!(facts.frames, u64::from(FRAMES), "{claim}");
        assert_eq!(facts.damage, Vec::<String>::new(), "{claim}");
        assert_eq!(plan.asked, [u64::from(FRAMES)]);
        assert_eq!(burned_index(&plan.pictures[&60]), 60);
    }
}

/// Rates that no camera has become 25; the rate lies in the stream header as scale and rate.
#[test]
fn implausible_rates_are_flagged() {
    let dir = tempfile::tempdir().expect("temp dir");
    let mut bytes = sound_clip(dir.path());
    let scale = bytes.windows(4).position(|w| w == b"strh").expect("chunk") + 8 + 20;
    // Without a rate of its own the stream has the main header's, 25.
    for (rate, assumed) in [(1000u32, true), (241, true), (0, false), (30, false)] {
        bytes[scale..scale + 4].copy_from_slice(&1u32.to_le_bytes());
        bytes[scale + 4..scale + 8].copy_from_slice(&rate.to_le_bytes());
        let path = dir.path().join("rate.avi");
        fs::write(&path, &bytes).expect("write");
        let (facts, _) = all(&path, 1);
        assert_eq!((facts.fps_assumed, facts.frames), (assumed, u64::from(FRAMES)), "{rate}");
        assert_eq!(facts.fps, if assumed || rate == 0 { 25.0 } else { f64::from(rate) });
    }
}

/// Noise over the picture data, many times: never a crash, the damage named, the rest kept.
#[test]
fn overwritten_bytes_leave_a_partial_clip() {
    let dir = tempfile::tempdir().expect("temp dir");
    let whole = sound_clip(dir.path());
    let first = whole.windows(4).position(|w| w == b"movi").expect("chunk") + 12;
    let mut damaged = 0;
    for round in 0..25 {
        let mut bytes = whole.clone();
        let mut draws = ncaers::internals::seed::Draws::new(round, "noise", "");
        for _ in 0..40 {
            let at = first + draws.below((bytes.len() - first) as u64) as usize;
            bytes[at] = draws.below(256) as u8;
        }
        let path = dir.path().join("noise.avi");
        fs::write(&path, &bytes).expect("write");
        let (facts, every) = all(&path, 1);
        assert!(facts.frames >= 40, "{} frames", facts.frames);
        // Little care for what nobody sees hides no damage.
        for step in [7, 1000] {
            let (same, some) = all(&path, step);
            assert_eq!(same, facts, "round {round}");
            assert!(some.pictures.iter().all(|(i, p)| *p == every.pictures[i]), "round {round}");
        }
        damaged += u32::from(!facts.damage.is_empty());
    }
    assert!(damaged >= 20, "only {damaged} of 25 were noticed");
}

#[test]
fn one_and_two_frames() {
    let dir = tempfile::tempdir().expect("temp dir");
    for frames in [1, 2] {
        for b_frames in [0, 2] {
            let path = dir.path().join("short.avi");
            let format = ClipFormat { width: 160, height: 96, b_frames, ..ClipFormat::default() };
            write(&path, &format, frames, 5);
            let (facts, plan) = all(&path, 1);
            assert_eq!((facts.frames, plan.pictures.len()), (u64::from(frames), frames as usize));
        }
    }
}
