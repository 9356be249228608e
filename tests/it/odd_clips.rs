//! Clips that cameras, converters and accidents make: decoded to their end, every frame the one
//! that was drawn, what is odd recorded, nothing stopped.

use crate::common::clips;
use crate::common::odd;
use crate::common::pictures;
use std::fs;

use clips::{burned_index, picture, write};
use ffmpeg_next::{codec::Flags, format::Pixel};
use image::RgbImage;
use ncaers::internals::media::{
    encode::ClipFormat,
    video::{Facts, Rejected},
};
use odd::Odd;
use pictures::{all, rejected, Every};

const FRAMES: u32 = 40;

fn scene(width: u32, height: u32, frames: u32) -> Vec<RgbImage> {
    (0..frames).map(|i| picture(width, height, i, 3)).collect()
}

/// Encodes `FRAMES` pictures, decodes them all and checks each.
fn exact(name: &str, odd: &Odd, width: u32, height: u32) -> (Facts, Every) {
    let dir = tempfile::tempdir().expect("temp dir");
    let path = dir.path().join(name);
    odd.write(&path, &scene(width, height, FRAMES));
    let (facts, plan) = all(&path, 1);
    assert_eq!(indices(&plan), (0..FRAMES).collect::<Vec<_>>(), "{name}");
    assert_eq!(facts.damage, Vec::<String>::new(), "{name}");
    assert_eq!((facts.width, facts.height), (width, height), "{name}");
    (facts, plan)
}

fn indices(plan: &Every) -> Vec<u32> {
    plan.pictures.values().map(burned_index).collect()
}

#[test]
fn variable_frame_rates_and_late_starts_count_frames_not_time() {
    let bursts: fn(u32) -> i64 = |n| i64::from(n) * 2 + if n > 20 { 31 } else { 0 };
    let late: fn(u32) -> i64 = |n| i64::from(n) + 250;
    for (name, time) in [("v.mkv", bursts), ("v.mp4", bursts), ("l.mkv", late), ("l.mp4", late)] {
        let odd = Odd { time, tick: (1, 25), ..Odd::new("mpeg4", Pixel::YUV420P) };
        exact(name, &odd, 160, 96);
    }
    // In transport streams H.264 with frames out of order, beginning at ten seconds.
    let odd = Odd { time: late, b_frames: 2, ..Odd::new("libx264", Pixel::YUV420P) };
    exact("l.ts", &odd, 160, 96);
}

/// AVI has no time stamps: a gap becomes empty chunks, which are no frames.
#[test]
fn empty_chunks_of_avi_are_no_frames() {
    let delayed: fn(u32) -> i64 = |n| i64::from(n) + 1;
    let stuttering: fn(u32) -> i64 = |n| i64::from(n) + i64::from(n / 7);
    let dir = tempfile::tempdir().expect("temp dir");
    let path = dir.path().join("e.avi");
    Odd { time: stuttering, ..Odd::new("mpeg4", Pixel::YUV420P) }.write(&path, &scene(160, 96, 40));
    let bytes = fs::read(&path).expect("read");
    let empty = bytes.windows(8).filter(|w| w == b"00dc\0\0\0\0").count();
    assert!(empty >= 5, "only {empty} empty chunks: the case is not tested");
    for time in [delayed, stuttering] {
        for b_frames in [0, 2] {
            let odd = Odd { time, b_frames, ..Odd::new("mpeg4", Pixel::YUV420P) };
            let (_, plan) = exact("e.avi", &odd, 160, 96);
            assert_eq!(plan.asked, [u64::from(FRAMES)]);
        }
    }
}

#[test]
fn raw_jpeg_and_ten_bit_video() {
    let (facts, _) = exact("raw.avi", &Odd::new("rawvideo", Pixel::BGR24), 162, 98);
    assert_eq!((&*facts.codec, facts.color_matrix), ("rawvideo", "rgb"));
    let (facts, _) = exact("raw.avi", &Odd::new("rawvideo", Pixel::YUV420P), 160, 96);
    assert_eq!((&*facts.pixel_format, facts.color_range), ("yuv420p", "limited"));
    let (facts, _) = exact("m.avi", &Odd::new("mjpeg", Pixel::YUVJ420P), 160, 96);
    assert_eq!((&*facts.codec, facts.color_range), ("mjpeg", "full"));
    let (facts, plan) = exact("ten.mkv", &Odd::new("libx264", Pixel::YUV420P10LE), 160, 96);
    assert_eq!(&*facts.pixel_format, "yuv420p10le");
    assert_close(&plan.pictures[&7], &picture(160, 96, 7, 3), 4.0);
}

/// The mean difference of two pictures' bytes.
fn assert_close(got: &RgbImage, want: &RgbImage, limit: f64) {
    assert_eq!(got.dimensions(), want.dimensions());
    let sum: u32 =
        got.as_raw().iter().zip(want.as_raw()).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
    let mean = f64::from(sum) / got.as_raw().len() as f64;
    assert!(mean <= limit, "pictures differ by {mean} levels");
}

#[test]
fn interlacing_and_sample_aspect_are_recorded_and_not_applied() {
    let flags = Flags::INTERLACED_DCT | Flags::INTERLACED_ME;
    let odd = Odd { flags, ..Odd::new("mpeg2video", Pixel::YUV420P) };
    let (facts, _) = exact("i.ts", &odd, 160, 96);
    assert!(facts.interlaced);
    let odd = Odd { aspect: (16, 11), ..Odd::new("mpeg4", Pixel::YUV420P) };
    for name in ["a.avi", "a.mp4", "a.mkv"] {
        let (facts, _) = exact(name, &odd, 160, 96);
        assert_eq!(facts.sample_aspect_ratio.as_deref(), Some("16:11"), "{name}");
    }
    let (facts, _) = exact("p.ts", &Odd::new("mpeg2video", Pixel::YUV420P), 160, 96);
    assert!(!facts.interlaced);
}

/// Odd sizes survive to the last row and column.
#[test]
fn odd_sizes_are_exact() {
    for (width, height) in [(161, 97), (129, 33), (203, 50)] {
        let (_, plan) = exact("o.mkv", &Odd::new("ffv1", Pixel::BGRZ), width, height);
        for (i, got) in &plan.pictures {
            assert!(*got == picture(width, height, *i as u32, 3), "{width}x{height} frame {i}");
        }
        exact("o.avi", &Odd::new("mpeg4", Pixel::YUV420P), width, height);
    }
}

/// The matrix of an MP4's track header, as big-endian 16.16 numbers.
fn set_matrix(bytes: &mut [u8], matrix: [i32; 9]) {
    let at = bytes.windows(4).position(|w| w == b"tkhd").expect("track header") + 4 + 40;
    assert_eq!(bytes[at..at + 4], 0x10000i32.to_be_bytes(), "not the matrix");
    for (i, value) in matrix.iter().enumerate() {
        bytes[at + 4 * i..at + 4 * i + 4].copy_from_slice(&value.to_be_bytes());
    }
}

#[test]
fn rotated_clips_stand_upright() {
    const ONE: i32 = 0x10000;
    let dir = tempfile::tempdir().expect("temp dir");
    let path = dir.path().join("turned.mp4");
    Odd::new("libx264", Pixel::YUV420P).write(&path, &scene(160, 96, 5));
    let whole = fs::read(&path).expect("read");
    let (_, straight) = all(&path, 1);
    for (degrees, [a, b, c, d]) in
        [(90, [0, ONE, -ONE, 0]), (180, [-ONE, 0, 0, -ONE]), (270, [0, -ONE, ONE, 0])]
    {
        let mut bytes = whole.clone();
        set_matrix(&mut bytes, [a, b, 0, c, d, 0, 0, 0, 1 << 30]);
        fs::write(&path, &bytes).expect("write");
        let (facts, turned) = all(&path, 1);
        let (width, height) = if degrees == 180 { (160, 96) } else { (96, 160) };
        assert_eq!((facts.rotation, facts.width, facts.height), (degrees, width, height));
        for (i, got) in &turned.pictures {
            let image = &straight.pictures[i];
            let want = match degrees {
                90 => image::imageops::rotate90(image),
                180 => image::imageops::rotate180(image),
                _ => image::imageops::rotate270(image),
            };
            assert!(*got == want, "{degrees} degrees, frame {i}");
        }
    }
}

/// Two streams of different size, one behind the other: every frame of both.
#[test]
fn a_change_of_size_is_a_remark() {
    let dir = tempfile::tempdir().expect("temp dir");
    let mut both = Vec::new();
    for (width, height) in [(160, 96), (192, 112)] {
        let path = dir.path().join("part.ts");
        Odd::new("libx264", Pixel::YUV420P).write(&path, &scene(width, height, 20));
        both.extend(fs::read(&path).expect("read"));
    }
    let path = dir.path().join("both.ts");
    fs::write(&path, both).expect("write");
    let (facts, plan) = all(&path, 1);
    assert_eq!(indices(&plan), (0..20).chain(0..20).collect::<Vec<_>>());
    assert_eq!(plan.pictures[&19].dimensions(), (160, 96));
    assert_eq!(plan.pictures[&20].dimensions(), (192, 112));
    assert_eq!((facts.width, facts.height), (160, 96));
    assert_eq!(facts.remarks, ["size becomes 192x112 at frame 20"]);
}

#[test]
fn a_lost_or_spoilt_index_changes_nothing() {
    let dir = tempfile::tempdir().expect("temp dir");
    let path = dir.path().join("a.avi");
    let format = ClipFormat { width: 160, height: 96, b_frames: 2, ..ClipFormat::default() };
    write(&path, &ClipFormat { tone_hz: Some(440.0), ..format }, FRAMES, 3);
    let whole = fs::read(&path).expect("read");
    let index = whole.windows(4).rposition(|w| w == b"idx1").expect("index");
    let mut without = whole[..index].to_vec();
    let size = (index as u32 - 8).to_le_bytes();
    without[4..8].copy_from_slice(&size);
    let mut spoilt = whole.clone();
    let mut draws = ncaers::internals::seed::Draws::new(1, "noise", "");
    spoilt[index + 8..].iter_mut().for_each(|b| *b = draws.below(256) as u8);
    for (kind, bytes) in [("without", without), ("spoilt", spoilt)] {
        fs::write(&path, bytes).expect("write");
        let (facts, plan) = all(&path, 1);
        assert_eq!(indices(&plan), (0..FRAMES).collect::<Vec<_>>(), "{kind}");
        assert_eq!(facts.damage, Vec::<String>::new(), "{kind}");
    }
}

/// A song with its cover picture is no clip, whatever it is called.
#[test]
fn cover_art_is_no_video() {
    let dir = tempfile::tempdir().expect("temp dir");
    let path = dir.path().join("song.avi");
    fs::write(&path, odd::song(&picture(160, 96, 1, 1))).expect("write");
    assert_eq!(rejected(&path), Rejected::NoVideo);
}

#[test]
fn h264_and_xvid_in_avi_with_and_without_a_delay() {
    let delayed: fn(u32) -> i64 = |n| i64::from(n) + 1;
    for time in [i64::from as fn(u32) -> i64, delayed] {
        for b_frames in [0, 3] {
            let odd = Odd { time, b_frames, ..Odd::new("libx264", Pixel::YUV420P) };
            let (facts, _) = exact("h.avi", &odd, 160, 96);
            assert_eq!(facts.has_b_frames, b_frames > 0);
        }
    }
    // XviD's own encoder loses its last frames when it holds any back.
    let xvid = Odd::new("libxvid", Pixel::YUV420P);
    if ffmpeg_next::encoder::find_by_name("libxvid").is_some() {
        exact("x.avi", &xvid, 160, 96);
    }
}
