//! Clips as people have them: endings that are on no list, folders below classes, edit lists, mirrored
//! and slanted pictures, high dynamic range, several streams, files that end early, broken frames.
//! Nothing vanishes, and what is wrong is said.
use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use ffmpeg_next::format::Pixel;
use image::{imageops, RgbImage};
use ncaers::{
    internals::media::{
        encode::{ClipFormat, Codec},
        orientation::Orientation,
        video::{decode, Facts},
    },
    manifest::Manifest,
    record::{ClipStatus, LedgerKind},
};

use crate::common::{
    builds::{build, small, stderr_of},
    clips::{burned_index, picture, write},
    ncaers,
    odd::Odd,
    pictures::{all, Every},
};

const FRAMES: u32 = 60;

fn scene(frames: u32) -> Vec<RgbImage> {
    (0..frames).map(|i| picture(160, 96, i, 3)).collect()
}

fn yuv(encoder: &'static str) -> Odd {
    Odd::new(encoder, Pixel::YUV420P)
}

fn indices(plan: &Every) -> Vec<u32> {
    plan.pictures.values().map(burned_index).collect()
}

/// Decoded without and with `fast`: the same number of frames, and the same pictures.
fn both_ways(path: &Path) -> (Facts, Every) {
    let (facts, slow) = all(path, 1);
    for step in [1, 7, 13] {
        let mut plan = Every { step, ..Every::default() };
        let fast = decode(path, true, &mut plan).expect("decodes");
        assert_eq!(fast.frames, facts.frames, "{path:?}");
        assert!(plan.pictures.iter().all(|(i, p)| *p == slow.pictures[i]), "{path:?} step {step}");
    }
    (facts, slow)
}

fn read(folder: &Path) -> Manifest {
    ncaers().arg("verify").arg(folder).assert().success();
    Manifest::read(folder).expect("reads")
}

/// Every container that clips come in, nested folders, a clip without an ending, and what is no clip.
#[test]
fn no_clip_vanishes_whatever_its_name_and_place() {
    let dir = tempfile::tempdir().expect("temp dir");
    let class = dir.path().join("corpus/train/Anger");
    let nested = class.join("actor 7/take2");
    fs::create_dir_all(&nested).expect("folder");
    let kinds = [
        ("a.m4v", "mpeg4"),
        ("b.mpg", "mpeg2video"),
        ("c.flv", "flv"),
        ("d.wmv", "wmv2"),
        ("e.vob", "mpeg2video"),
        ("f.mpeg", "mpeg1video"),
        ("g.m2ts", "mpeg2video"),
        ("i.3gp", "mpeg4"),
    ];
    for (name, encoder) in kinds {
        yuv(encoder).write(&class.join(name), &scene(30));
    }
    write(&class.join("0001.avi"), &small(), 30, 1);
    write(&nested.join("0001.avi"), &small(), 30, 2);
    write(&class.join("z.avi"), &small(), 30, 4);
    fs::rename(class.join("z.avi"), class.join("noending")).expect("renames");
    fs::write(class.join("notes.txt"), "a note").expect("write");
    fs::write(dir.path().join("corpus/LICENCE"), "words").expect("write");
    fs::create_dir_all(class.join("@eaDir")).expect("folder");
    fs::write(class.join("Thumbs.db"), "x").expect("write");
    let out = dir.path().join("out");
    build(&dir.path().join("corpus"), &out).args(["--on-leak", "keep"]).assert().success();
    let manifest = read(&out);
    assert_eq!(manifest.clips.len(), kinds.len() + 3);
    for clip in &manifest.clips {
        let told = (&clip.clip_id, clip.status, clip.frames_decoded, &clip.reason);
        assert_eq!((clip.status, clip.frames_decoded), (ClipStatus::Ok, Some(30)), "{told:?}");
    }
    let ids: Vec<_> = manifest.clips.iter().map(|c| &*c.clip_id).collect();
    assert!(ids.contains(&"train/Anger/actor 7__take2__0001"), "{ids:?}");
    let files = manifest.ledger.iter().filter(|e| e.kind == LedgerKind::File);
    let files: Vec<_> = files.map(|e| (&*e.id, &*e.reason)).collect();
    assert_eq!(files, [("LICENCE", "not_a_clip"), ("train/Anger/notes.txt", "not_a_clip")]);
    let card = fs::read_to_string(out.join("README.md")).expect("card");
    assert!(card.contains("| file not_a_clip | 2 |"), "{card}");
    assert!(
        card.contains("2 files and folders that systems leave behind were passed over"),
        "{card}"
    );
}

#[test]
fn folders_of_clips_that_are_no_split_are_refused_by_name() {
    let dir = tempfile::tempdir().expect("temp dir");
    let root = dir.path().join("corpus");
    write(&root.join("train/Anger/1.avi"), &small(), 10, 1);
    write(&root.join("dev/Anger/2.avi"), &small(), 10, 2);
    write(&root.join("holdout/Anger/3.avi"), &small(), 10, 3);
    let told = stderr_of(&mut build(&root, &dir.path().join("out")), 1);
    assert!(told.contains("holdout holds clips and is no split (train, val"), "{told}");
    fs::rename(root.join("holdout"), root.join("testing")).expect("renames");
    build(&root, &dir.path().join("out")).assert().success();
    let splits: Vec<_> =
        read(&dir.path().join("out")).clips.iter().map(|c| c.split.name()).collect();
    assert_eq!(splits, ["test", "train", "val"]);
}

/// Replaces the one entry of an MP4's edit list: milliseconds to show, and the time where to begin.
fn edit(path: &Path, shown_ms: u32, later_by: u32) {
    let mut bytes = fs::read(path).expect("read");
    let at = bytes.windows(4).position(|w| w == b"elst").expect("edit list") + 8;
    assert_eq!(bytes[at..at + 4], 1u32.to_be_bytes(), "not one entry");
    let begin = u32::from_be_bytes(bytes[at + 8..at + 12].try_into().expect("four"));
    bytes[at + 4..at + 8].copy_from_slice(&shown_ms.to_be_bytes());
    bytes[at + 8..at + 12].copy_from_slice(&(begin + later_by).to_be_bytes());
    fs::write(path, bytes).expect("write");
}

/// Frames before an edit list's start are not shown, and under `fast` no neighbour is taken for one.
#[test]
fn edit_lists_are_followed_with_and_without_fast() {
    let dir = tempfile::tempdir().expect("temp dir");
    for (name, odd) in [
        ("plain.mp4", yuv("mpeg4")),
        ("reordered.mp4", Odd { b_frames: 2, ..yuv("mpeg4") }),
        ("h264.mp4", Odd { b_frames: 3, ..yuv("libx264") }),
        ("plain.mov", yuv("mpeg4")),
    ] {
        let path = dir.path().join(name);
        odd.write(&path, &scene(FRAMES));
        let (facts, whole) = both_ways(&path);
        assert_eq!(facts.frames, u64::from(FRAMES), "{name}");
        assert_eq!(indices(&whole), (0..FRAMES).collect::<Vec<_>>(), "{name}");
        // Frames are 512 units long in these files.
        edit(&path, 40 * (FRAMES - 17), 17 * 512);
        let (facts, plan) = both_ways(&path);
        assert_eq!(indices(&plan), (17..FRAMES).collect::<Vec<_>>(), "{name}");
        assert_eq!(facts.frames, u64::from(FRAMES - 17), "{name}");
        assert_eq!(facts.damage, Vec::<String>::new(), "{name}");
        edit(&path, 40 * 20, 0);
        let (_, plan) = both_ways(&path);
        assert_eq!(indices(&plan), (17..37).collect::<Vec<_>>(), "{name}");
    }
}

/// Every container with late starts and frames out of order; VP8 and VP9 with pictures that are kept
/// for prediction only.
#[test]
fn fast_takes_no_neighbour_in_any_container() {
    let dir = tempfile::tempdir().expect("temp dir");
    let late: fn(u32) -> i64 = |n| i64::from(n) + 250;
    let hidden: &[(&str, &str)] = &[
        ("auto-alt-ref", "1"),
        ("lag-in-frames", "20"),
        ("arnr-maxframes", "7"),
        ("arnr-strength", "5"),
        ("deadline", "realtime"),
        ("cpu-used", "4"),
    ];
    let mut kinds = vec![
        ("late.mkv", Odd { time: late, b_frames: 2, ..yuv("mpeg4") }),
        ("late.mp4", Odd { time: late, b_frames: 2, ..yuv("mpeg4") }),
        ("late.ts", Odd { time: late, b_frames: 2, ..yuv("libx264") }),
        ("b.avi", Odd { b_frames: 2, ..yuv("mpeg4") }),
        ("b.mpg", Odd { b_frames: 2, ..yuv("mpeg2video") }),
        ("late.flv", Odd { time: late, ..yuv("flv") }),
        ("late.wmv", Odd { time: late, ..yuv("wmv2") }),
    ];
    for (name, encoder) in
        [("vp8.webm", "libvpx"), ("vp8.mkv", "libvpx"), ("vp9.webm", "libvpx-vp9")]
    {
        if ffmpeg_next::encoder::find_by_name(encoder).is_some() {
            kinds.push((name, Odd { options: hidden, ..yuv(encoder) }));
        }
    }
    for (name, odd) in kinds {
        let path = dir.path().join(name);
        odd.write(&path, &scene(FRAMES));
        let (facts, plan) = both_ways(&path);
        assert_eq!(indices(&plan), (0..FRAMES).collect::<Vec<_>>(), "{name}");
        assert_eq!((facts.damage.len(), facts.remarks.len()), (0, 0), "{name}: {facts:?}");
    }
}

/// The matrix of an MP4's track header: a b c d of its nine numbers, 16.16.
fn set_matrix(bytes: &mut [u8], [a, b, c, d]: [i32; 4]) {
    let at = bytes.windows(4).position(|w| w == b"tkhd").expect("track header") + 4 + 40;
    let numbers = [a, b, 0, c, d, 0, 0, 0, 1 << 30];
    for (i, value) in numbers.iter().enumerate() {
        bytes[at + 4 * i..at + 4 * i + 4].copy_from_slice(&value.to_be_bytes());
    }
}

#[test]
fn mirrored_clips_stand_as_they_are_meant_and_slanted_ones_are_told() {
    const ONE: i32 = 0x10000;
    let dir = tempfile::tempdir().expect("temp dir");
    let path = dir.path().join("turned.mp4");
    yuv("libx264").write(&path, &scene(5));
    let whole = fs::read(&path).expect("read");
    let (_, plain) = all(&path, 1);
    let with = |corners: [i32; 4]| {
        let mut bytes = whole.clone();
        set_matrix(&mut bytes, corners);
        fs::write(&path, bytes).expect("write");
        all(&path, 1)
    };
    type Way = fn(&RgbImage) -> RgbImage;
    let ways: [([i32; 4], Orientation, i32, Way); 4] = [
        ([-ONE, 0, 0, ONE], Orientation::FlipHorizontal, 0, |p| imageops::flip_horizontal(p)),
        ([ONE, 0, 0, -ONE], Orientation::FlipVertical, 180, |p| imageops::flip_vertical(p)),
        ([0, ONE, ONE, 0], Orientation::Rotate90FlipH, 90, |p| {
            imageops::flip_horizontal(&imageops::rotate90(p))
        }),
        ([0, -ONE, -ONE, 0], Orientation::Rotate270FlipH, 270, |p| {
            imageops::flip_horizontal(&imageops::rotate270(p))
        }),
    ];
    for (corners, orientation, degrees, way) in ways {
        let (facts, turned) = with(corners);
        assert_eq!((facts.orientation, facts.rotation), (orientation, degrees));
        let size = turned.pictures[&0].dimensions();
        assert_eq!((facts.width, facts.height), size, "{orientation:?}");
        assert!(facts.remarks.is_empty(), "{:?}", facts.remarks);
        for (i, got) in &turned.pictures {
            assert!(*got == way(&plain.pictures[i]), "{orientation:?} frame {i}");
        }
    }
    let half = (f64::from(ONE) / 2f64.sqrt()) as i32;
    let (facts, slanted) = with([half, half, -half, half]);
    assert!(slanted.pictures == plain.pictures && facts.rotation == 0);
    assert_eq!(
        facts.remarks,
        ["its display matrix asks for a turn of 45.0 degrees, which was not done"]
    );
}

#[test]
fn high_dynamic_range_is_told_and_recorded() {
    let dir = tempfile::tempdir().expect("temp dir");
    for (number, name) in [(16, "smpte2084"), (18, "arib-std-b67")] {
        let path = dir.path().join("hdr.mkv");
        let odd = Odd { transfer: number, ..Odd::new("libx264", Pixel::YUV420P10LE) };
        odd.write(&path, &scene(10));
        let (facts, _) = all(&path, 1);
        assert_eq!(facts.color_transfer.as_deref(), Some(name));
        let want = format!("high dynamic range ({name}), shown without tone mapping");
        assert_eq!(facts.remarks, [want]);
    }
    let path = dir.path().join("plain.mkv");
    yuv("libx264").write(&path, &scene(10));
    let (facts, _) = all(&path, 1);
    assert_eq!((facts.color_transfer, facts.remarks), (None, vec![]));
}

/// A stream that begins between two key frames: the first packets give no picture.
#[test]
fn packets_without_a_picture_are_told() {
    let dir = tempfile::tempdir().expect("temp dir");
    let path = dir.path().join("cut.ts");
    yuv("mpeg2video").write(&path, &scene(FRAMES));
    let bytes = fs::read(&path).expect("read");
    // Behind the tables, within the first group of pictures.
    let begin = 188 * 40;
    fs::write(&path, [&bytes[..188 * 3], &bytes[begin..]].concat()).expect("write");
    let (facts, plan) = all(&path, 1);
    let first = *indices(&plan).first().expect("a picture");
    assert!(first > 0, "nothing was cut off");
    let told = facts.remarks.iter().chain(&facts.damage).any(|words| {
        words.contains("packets gave no picture") || words.contains("frames are damaged")
    });
    assert!(told, "{facts:?}");
}

/// What demuxers take for the end of a file.
#[test]
fn files_that_end_early_are_never_whole() {
    let dir = tempfile::tempdir().expect("temp dir");
    let h264 = ClipFormat { codec: Codec::H264, b_frames: 2, quality: 20, ..small() };
    let sound = ClipFormat { tone_hz: Some(440.0), ..h264.clone() };
    for (name, format) in [
        ("a.mkv", &h264),
        ("b.mkv", &sound),
        ("c.ts", &h264),
        ("d.ts", &sound),
        ("e.avi", &small()),
    ] {
        let path = dir.path().join(name);
        write(&path, format, FRAMES, 4);
        check_cuts(&path);
    }
    for (name, encoder) in [
        // FLV tells no length either, and its tags may end anywhere.
        ("g.wmv", "wmv2"),
        ("h.mpg", "mpeg2video"),
        ("i.m2ts", "mpeg2video"),
        ("j.webm", "libvpx"),
    ] {
        if ffmpeg_next::encoder::find_by_name(encoder).is_some() {
            let path = dir.path().join(name);
            yuv(encoder).write(&path, &scene(FRAMES));
            check_cuts(&path);
        }
    }
}

fn check_cuts(path: &Path) {
    let whole = fs::read(path).expect("read");
    let (facts, _) = all(path, 9);
    assert_eq!(facts.damage, Vec::<String>::new(), "{path:?}");
    // A transport stream tells no length: what ends behind a whole picture is not known to be cut.
    let most = if path.extension().is_some_and(|e| e == "ts" || e == "m2ts") { 95 } else { 99 };
    for percent in [50, 70, 95, 99].into_iter().filter(|percent| *percent <= most) {
        fs::write(path, &whole[..whole.len() * percent / 100 - 1]).expect("write");
        let mut plan = Every { step: 9, ..Every::default() };
        if let Ok(facts) = decode(path, false, &mut plan) {
            assert!(!facts.damage.is_empty(), "{path:?} cut at {percent} %");
        }
    }
}

/// An MP4 whose header comes first, so that it opens when its end is missing.
#[test]
fn an_mp4_with_fewer_pictures_than_it_lists_is_not_whole() {
    let dir = tempfile::tempdir().expect("temp dir");
    let path = dir.path().join("a.mp4");
    write(&path, &ClipFormat { codec: Codec::H264, quality: 20, ..small() }, FRAMES, 4);
    let bytes = fs::read(&path).expect("read");
    let whole = header_first(&bytes);
    fs::write(&path, &whole).expect("write");
    let (facts, _) = all(&path, 1);
    assert_eq!((facts.frames, facts.damage.len()), (u64::from(FRAMES), 0), "{:?}", facts.damage);
    for percent in [50, 70, 95] {
        fs::write(&path, &whole[..whole.len() * percent / 100]).expect("write");
        let (facts, _) = all(&path, 1);
        assert!(
            facts.damage.iter().any(|w| w.contains("missing at the end")),
            "{:?}",
            facts.damage
        );
    }
    // The same with a box that says that it ends where the file does.
    let mut short = whole[..whole.len() * 7 / 10].to_vec();
    let data = short.windows(4).position(|w| w == b"mdat").expect("data") - 4;
    let length = (short.len() - data) as u32;
    short[data..data + 4].copy_from_slice(&length.to_be_bytes());
    fs::write(&path, &short).expect("write");
    let (facts, _) = all(&path, 1);
    assert!(facts.frames < u64::from(FRAMES) && !facts.damage.is_empty(), "{facts:?}");
}

/// Moves the header of an MP4 before its data, and the places of its chunks by as much.
fn header_first(bytes: &[u8]) -> Vec<u8> {
    let mut boxes = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let size = u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four")) as usize;
        boxes.push(&bytes[at..at + size]);
        at += size;
    }
    let mut header = boxes.iter().find(|b| &b[4..8] == b"moov").expect("header").to_vec();
    let by = header.len() as u32;
    let table = header.windows(4).position(|w| w == b"stco").expect("places") + 8;
    let count = u32::from_be_bytes(header[table..table + 4].try_into().expect("four")) as usize;
    for k in 0..count {
        let place = table + 4 + 4 * k;
        let old = u32::from_be_bytes(header[place..place + 4].try_into().expect("four"));
        header[place..place + 4].copy_from_slice(&(old + by).to_be_bytes());
    }
    let rest = boxes.iter().filter(|b| &b[4..8] != b"moov");
    let (first, others): (Vec<&[u8]>, Vec<&[u8]>) =
        rest.copied().partition(|b| &b[4..8] == b"ftyp");
    [first.concat(), header, others.concat()].concat()
}

#[test]
fn a_clip_without_a_sound_frame_gives_nothing_and_says_so() {
    let dir = tempfile::tempdir().expect("temp dir");
    let root = dir.path().join("corpus");
    write(&root.join("train/Fear/0001.avi"), &small(), 60, 2);
    fs::create_dir_all(root.join("train/Anger")).expect("folder");
    fs::write(root.join("train/Anger/page.avi"), "<html>gone</html>").expect("write");
    let out = dir.path().join("out");
    build(&root, &out).assert().success();
    let manifest = read(&out);
    let page = manifest.clips.iter().find(|c| c.clip_id.ends_with("page")).expect("a row");
    let words = page.reason.as_deref().unwrap_or_default();
    assert!(words.contains("Invalid data found when processing input"), "{words}");
    fs::remove_dir_all(root.join("train/Fear")).expect("removes");
    let told = stderr_of(&mut build(&root, &dir.path().join("none")), 1);
    assert!(told.contains("no sample is left of 1 clips (clip unreadable 1"), "{told}");
}

/// Two tracks of one file, the second marked as default.
fn two_tracks(path: &Path, default: usize) {
    use ffmpeg_next::{
        codec, encoder, format, frame, software::scaling, Dictionary, Packet, Rational,
    };
    ffmpeg_next::init().expect("ffmpeg");
    let mut output = format::output(path).expect("container");
    let global = output.format().flags().contains(format::Flags::GLOBAL_HEADER);
    let mut open = |width: u32, height: u32| {
        let found = encoder::find_by_name("mpeg4").expect("encoder");
        let mut context = codec::Context::new_with_codec(found);
        let mut flags = codec::Flags::BITEXACT;
        flags.set(codec::Flags::GLOBAL_HEADER, global);
        context.set_flags(flags);
        let mut video = context.encoder().video().expect("video");
        video.set_width(width);
        video.set_height(height);
        video.set_format(Pixel::YUV420P);
        video.set_time_base((1, 25));
        video.set_bit_rate(4_000_000);
        let video = video.open_with(Dictionary::new()).expect("opens");
        let mut track = output.add_stream_with(&video).expect("track");
        track.set_time_base((1, 25));
        (video, width, height)
    };
    let mut videos = [open(64, 48), open(160, 96)];
    for at in 0..2 {
        // SAFETY: a field of a stream of ours, set before the header is written.
        unsafe {
            let stream = output.stream_mut(at).expect("stream").as_mut_ptr();
            (*stream).disposition = i32::from(at == default);
        }
    }
    output.write_header().expect("header");
    for i in 0..30u32 {
        for (at, (video, width, height)) in videos.iter_mut().enumerate() {
            let image =
                imageops::resize(&picture(160, 96, i, 3), *width, *height, imageops::Nearest);
            let mut rgb = frame::Video::new(Pixel::RGB24, *width, *height);
            let (stride, row) = (rgb.stride(0), *width as usize * 3);
            for (to, from) in rgb.data_mut(0).chunks_mut(stride).zip(image.as_raw().chunks(row)) {
                to[..row].copy_from_slice(from);
            }
            let (w, h) = (*width, *height);
            let flags = scaling::Flags::BILINEAR;
            let mut scaler = scaling::Context::get(Pixel::RGB24, w, h, Pixel::YUV420P, w, h, flags)
                .expect("scaler");
            let mut converted = frame::Video::empty();
            scaler.run(&rgb, &mut converted).expect("converts");
            converted.set_pts(Some(i64::from(i)));
            video.send_frame(&converted).expect("encodes");
            let mut packet = Packet::empty();
            while video.receive_packet(&mut packet).is_ok() {
                packet.set_stream(at);
                let base = output.stream(at).expect("track").time_base();
                packet.rescale_ts(Rational(1, 25), base);
                packet.write_interleaved(&mut output).expect("writes");
            }
        }
    }
    output.write_trailer().expect("trailer");
}

#[test]
fn of_several_streams_the_default_one_is_read() {
    let dir = tempfile::tempdir().expect("temp dir");
    for name in ["two.mkv", "two.mp4"] {
        let path = dir.path().join(name);
        two_tracks(&path, 1);
        let (facts, plan) = all(&path, 1);
        assert_eq!((facts.width, facts.height, facts.default_stream), (160, 96, true), "{name}");
        assert_eq!(indices(&plan)[..20], (0..20).collect::<Vec<_>>(), "{name}");
        assert_eq!(facts.remarks, ["2 video streams, the first marked as default was read"]);
        two_tracks(&path, 0);
        assert_eq!(all(&path, 1).0.width, 64, "{name}");
    }
}

/// Nobody reads the messages: the work goes on to its end.
#[test]
fn a_closed_stream_ends_no_work() {
    let dir = tempfile::tempdir().expect("temp dir");
    let root = dir.path().join("corpus");
    for k in 0..3 {
        write(&root.join(format!("train/Anger/{k}.avi")), &small(), 60, k);
    }
    fs::write(root.join("train/Anger/9.avi"), "broken").expect("write");
    let run = |words: &[&str], stdout_too: bool| {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_ncaers"));
        let mut command = std::process::Command::new(program);
        command.args(words).stderr(Stdio::piped()).stdin(Stdio::null());
        command.stdout(if stdout_too { Stdio::piped() } else { Stdio::null() });
        let mut child = command.spawn().expect("starts");
        drop(child.stderr.take());
        drop(child.stdout.take());
        child.wait().expect("ends").code()
    };
    let (corpus, out) = (root.to_str().expect("text"), dir.path().join("out"));
    let out = out.to_str().expect("text");
    let build = ["build", "--corpus", corpus, "--out", out, "--seed", "1", "--detector", "none"];
    assert_eq!(run(&build, true), Some(0));
    fs::remove_dir_all(dir.path().join("out/images")).expect("removes");
    assert_eq!(run(&["verify", out], true), Some(1), "violations that nobody reads");
    assert_eq!(run(&["build", "--corpus", "nowhere", "--out", "x", "--seed", "1"], true), Some(1));
    assert_eq!(run(&["completions", "bash"], true), Some(0));
    assert_eq!(run(&["build", "--help"], true), Some(0));
}

/// What the library says goes through one writer, which never panics.
#[test]
fn nothing_but_the_writer_prints() {
    let mut folders = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("folder") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|ending| ending != "rs") {
                continue;
            }
            let text = fs::read_to_string(&path).expect("text");
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            for macro_name in ["println!(", "print!(", "dbg!("] {
                let found = code.clone().find(|line| line.contains(macro_name));
                assert_eq!(found, None, "{}: a closed stream would end the work", path.display());
            }
        }
    }
}
