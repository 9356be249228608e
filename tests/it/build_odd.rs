//! `ncaers build` on clips that cameras, converters and accidents make: each ends as ok, partial or
//! rejected with its reason in `clips.parquet`, and every saved frame is the one that was drawn.
use crate::common;
use crate::common::builds;
use crate::common::clips;
use crate::common::flat;
use crate::common::odd;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};

use builds::{build, small};
use clips::{burned_index, picture, write};
use common::ncaers;
use ffmpeg_next::{codec::Flags, format::Pixel};
use image::RgbImage;
use ncaers::{
    internals::{
        folder::{self, Claim},
        media::{encode::ClipFormat, image::load_rgb},
        seed::Draws,
    },
    manifest::Manifest,
    record::{
        Clip,
        ClipStatus::{self, Ok, Partial, Rejected},
    },
};
use odd::Odd;

const FRAMES: u32 = 60;

fn scene(width: u32, height: u32, frames: u32, seed: u32) -> Vec<RgbImage> {
    (0..frames).map(|i| picture(width, height, i, seed)).collect()
}

/// A whole AVI clip with frames out of order and sound.
fn whole(dir: &Path, seed: u32) -> Vec<u8> {
    let path = dir.join(format!("whole-{seed}.avi"));
    write(&path, &ClipFormat { b_frames: 2, tone_hz: Some(440.0), ..small() }, FRAMES, seed);
    fs::read(path).expect("read")
}

fn at(bytes: &[u8], tag: &[u8]) -> usize {
    bytes.windows(tag.len()).position(|w| w == tag).expect("chunk")
}

/// The counts of the main and of the stream header say `claim`.
fn claiming(mut bytes: Vec<u8>, claim: u32) -> Vec<u8> {
    let (main, stream) = (at(&bytes, b"avih") + 8 + 16, at(&bytes, b"strh") + 8 + 32);
    bytes[main..main + 4].copy_from_slice(&claim.to_le_bytes());
    bytes[stream..stream + 4].copy_from_slice(&claim.to_le_bytes());
    bytes
}

/// Both headers say `rate` frames a second.
fn at_rate(mut bytes: Vec<u8>, rate: u32) -> Vec<u8> {
    let (main, scale) = (at(&bytes, b"avih") + 8, at(&bytes, b"strh") + 8 + 20);
    let microseconds = 1_000_000u32.checked_div(rate).unwrap_or(0);
    bytes[main..main + 4].copy_from_slice(&microseconds.to_le_bytes());
    bytes[scale..scale + 4].copy_from_slice(&1u32.to_le_bytes());
    bytes[scale + 4..scale + 8].copy_from_slice(&rate.to_le_bytes());
    bytes
}

fn without_index(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.windows(4).rposition(|w| w == b"idx1").expect("index"));
    let size = (bytes.len() as u32 - 8).to_le_bytes();
    bytes[4..8].copy_from_slice(&size);
    bytes
}

/// Random bytes in the pictures; headers and index stay.
fn overwritten(mut bytes: Vec<u8>) -> Vec<u8> {
    let first = at(&bytes, b"movi") + 12;
    let index = bytes.windows(4).rposition(|w| w == b"idx1").expect("index");
    let mut draws = Draws::new(1, "noise", "");
    for _ in 0..60 {
        let place = first + draws.below((index - first) as u64) as usize;
        bytes[place] = draws.below(256) as u8;
    }
    bytes
}

/// What must become of a clip: status, frames, and words of its reason.
type Fate = (ClipStatus, Option<u64>, &'static str);

const WHOLE: Fate = (Ok, Some(FRAMES as u64), "");

/// Clips that are made from the bytes of a sound one.
fn spoilt(dir: &Path, class: &Path) -> Vec<(&'static str, Fate)> {
    let cut = |bytes: Vec<u8>| bytes[..bytes.len() * 3 / 5].to_vec();
    let page = b"<!DOCTYPE html><html><body>404</body></html>";
    let made: [(&str, Vec<u8>, Fate); 12] = [
        ("zero.avi", Vec::new(), (Rejected, None, "empty")),
        ("page.avi", page.to_vec(), (Rejected, None, "")),
        ("song.avi", odd::song(&picture(160, 96, 1, 1)), (Rejected, None, "no video")),
        ("truncated.avi", cut(whole(dir, 1)), (Partial, None, "")),
        ("no-index.avi", without_index(whole(dir, 2)), WHOLE),
        ("count-0.avi", claiming(whole(dir, 3), 0), WHOLE),
        ("count-half.avi", claiming(whole(dir, 4), FRAMES / 2), WHOLE),
        ("count-ten.avi", claiming(whole(dir, 5), FRAMES * 10), WHOLE),
        ("fps-0.avi", at_rate(whole(dir, 6), 0), WHOLE),
        ("fps-1000.avi", at_rate(whole(dir, 7), 1000), (Ok, WHOLE.1, "implausible frame rate")),
        ("overwritten.avi", overwritten(whole(dir, 8)), (Partial, None, "")),
        ("noise.avi", vec![7; 5000], (Rejected, None, "")),
    ];
    made.map(|(name, bytes, fate)| {
        fs::write(class.join(name), bytes).expect("write");
        (name, fate)
    })
    .into()
}

/// Clips of kinds that are whole but unusual.
fn unusual(class: &Path) -> Vec<(&'static str, Fate)> {
    let bursts: fn(u32) -> i64 = |n| i64::from(n) * 2 + if n > 20 { 31 } else { 0 };
    let late: fn(u32) -> i64 = |n| i64::from(n) + 250;
    let yuv = |encoder| Odd::new(encoder, Pixel::YUV420P);
    let interlaced = Flags::INTERLACED_DCT | Flags::INTERLACED_ME;
    let kinds = [
        ("variable.mkv", Odd { time: bursts, ..yuv("mpeg4") }),
        ("later.mp4", Odd { time: late, ..yuv("mpeg4") }),
        ("late.ts", Odd { time: late, b_frames: 2, ..yuv("libx264") }),
        ("ten-bit.mkv", Odd::new("libx264", Pixel::YUV420P10LE)),
        ("raw.avi", yuv("rawvideo")),
        ("motion-jpeg.avi", Odd::new("mjpeg", Pixel::YUVJ420P)),
        ("interlaced.ts", Odd { flags: interlaced, ..yuv("mpeg2video") }),
        ("aspect.avi", Odd { aspect: (16, 11), ..yuv("mpeg4") }),
    ];
    let mut made = Vec::new();
    for (seed, (name, odd)) in (20..).zip(kinds) {
        odd.write(&class.join(name), &scene(160, 96, FRAMES, seed));
        made.push((name, WHOLE));
    }
    for (name, frames) in [("one.avi", 1), ("two.avi", 2), ("short.avi", 20)] {
        write(&class.join(name), &small(), frames, 40 + frames);
        made.push((name, (Ok, Some(u64::from(frames)), "")));
    }
    yuv("mpeg4").write(&class.join("odd-size.avi"), &scene(161, 97, FRAMES, 50));
    made.push(("odd-size.avi", WHOLE));
    change_of_size(class);
    // The seam of two streams is a jump in their counters: damage by the container's own word.
    made.push(("resized.ts", (Partial, Some(40), "size becomes 192x112 at frame 20")));
    made
}

fn change_of_size(class: &Path) {
    let mut both = Vec::new();
    for (width, height) in [(160, 96), (192, 112)] {
        let part = class.join("part");
        let named = part.with_extension("ts");
        Odd::new("libx264", Pixel::YUV420P).write(&named, &scene(width, height, 20, 51));
        both.extend(fs::read(&named).expect("read"));
        fs::remove_file(named).expect("remove");
    }
    fs::write(class.join("resized.ts"), both).expect("write");
}

fn rows(manifest: &Manifest) -> BTreeMap<String, &Clip> {
    let name = |c: &Clip| c.path.rsplit('/').next().unwrap_or_default().to_owned();
    manifest.clips.iter().map(|c| (name(c), c)).collect()
}

#[test]
fn every_odd_clip_ends_as_it_must_and_stops_nothing() {
    let dir = tempfile::tempdir().expect("temp dir");
    let class = dir.path().join("corpus/train/Anger");
    fs::create_dir_all(&class).expect("folder");
    let mut wanted = spoilt(dir.path(), &class);
    wanted.extend(unusual(&class));
    let out = dir.path().join("out");
    let corpus = dir.path().join("corpus");
    build(&corpus, &out).args(["--on-leak", "keep", "--balance", "none"]).assert().success();
    ncaers().arg("verify").arg(&out).assert().success();
    let manifest = Manifest::read(&out).expect("reads");
    let rows = rows(&manifest);
    assert_eq!(rows.len(), wanted.len());
    for (name, (status, frames, words)) in wanted {
        let row = rows[name];
        assert_eq!(row.status, status, "{name}: {:?}", row.reason);
        let reason = row.reason.as_deref().unwrap_or_default();
        assert!(reason.contains(words), "{name}: {reason}");
        assert!(status == Ok || !reason.is_empty(), "{name}");
        let drawn = manifest.samples.iter().filter(|s| s.clip_id == row.clip_id).count();
        assert_eq!(drawn > 0, status != Rejected, "{name}: {drawn} samples");
        if frames.is_some() {
            assert_eq!(row.frames_decoded, frames, "{name}");
        }
    }
    assert!(rows["overwritten.avi"].frames_decoded >= Some(40), "what decodes is kept");
    assert_eq!(rows["count-ten.avi"].frames_header, Some(u64::from(FRAMES) * 10));
    assert_eq!((rows["fps-0.avi"].fps, rows["fps-1000.avi"].fps), (Some(25.0), Some(25.0)));
    assert_eq!(rows["aspect.avi"].sample_aspect_ratio.as_deref(), Some("16:11"));
    assert_eq!((rows["odd-size.avi"].width, rows["odd-size.avi"].height), (Some(161), Some(97)));
    assert_eq!(rows["interlaced.ts"].interlaced, Some(true));
    burned(&out, &manifest);
}

/// Every frame of an undamaged clip is the one whose number is burned in.
fn burned(out: &Path, manifest: &Manifest) {
    let mut checked = 0;
    for sample in &manifest.samples {
        let clip = manifest.clips.iter().find(|c| c.clip_id == sample.clip_id).expect("row");
        let resized = clip.path.ends_with("resized.ts");
        if clip.status == Ok || resized {
            let picture = load_rgb(&out.join(&sample.image_path)).expect("loads");
            let number = u64::from(burned_index(&picture));
            let wanted = sample.frame_index.map(|n| if resized { n % 20 } else { n });
            assert_eq!(Some(number), wanted, "{}", sample.sample_id);
            checked += 1;
        }
    }
    assert!(checked >= 19, "only {checked} frames were looked at");
}

const ONE: i32 = 0x10000;

/// Turns an MP4 by the matrix of its track header, as big-endian 16.16 numbers.
fn turned(mut bytes: Vec<u8>, [a, b, c, d]: [i32; 4]) -> Vec<u8> {
    let place = at(&bytes, b"tkhd") + 4 + 40;
    for (i, value) in [a, b, 0, c, d, 0, 0, 0, 1 << 30].iter().enumerate() {
        bytes[place + 4 * i..place + 4 * i + 4].copy_from_slice(&value.to_be_bytes());
    }
    bytes
}

/// Turned clips stand upright in the pictures, and the table says by how much.
#[test]
fn rotation_is_applied_and_recorded() {
    let dir = tempfile::tempdir().expect("temp dir");
    let class = dir.path().join("corpus/Anger");
    fs::create_dir_all(&class).expect("folder");
    let source = dir.path().join("straight.mp4");
    Odd::new("libx264", Pixel::YUV420P).write(&source, &scene(160, 96, 40, 3));
    let bytes = fs::read(&source).expect("read");
    for (name, matrix) in
        [("0", [ONE, 0, 0, ONE]), ("90", [0, ONE, -ONE, 0]), ("180", [-ONE, 0, 0, -ONE])]
    {
        fs::write(class.join(format!("{name}.mp4")), turned(bytes.clone(), matrix)).expect("write");
    }
    let (corpus, out) = (dir.path().join("corpus"), dir.path().join("out"));
    let more = ["--image-format", "png", "--balance", "none", "--split", "1/0/0"];
    build(&corpus, &out).args(more).assert().success();
    ncaers().arg("verify").arg(&out).assert().success();
    let manifest = Manifest::read(&out).expect("reads");
    let rows = rows(&manifest);
    let turns: Vec<_> =
        ["0.mp4", "90.mp4", "180.mp4"].map(|n| (rows[n].rotation, rows[n].width)).into();
    assert_eq!(turns, [(Some(0), Some(160)), (Some(90), Some(96)), (Some(180), Some(160))]);
    for sample in &manifest.samples {
        let found = load_rgb(&out.join(&sample.image_path)).expect("loads");
        let straight = match &*sample.clip_id {
            id if id.ends_with("/90") => image::imageops::rotate270(&found),
            id if id.ends_with("/180") => image::imageops::rotate180(&found),
            _ => found,
        };
        let wanted = sample.frame_index.map(|n| n as u32);
        assert_eq!(Some(burned_index(&straight)), wanted, "{}", sample.sample_id);
    }
}

/// What ITU-R BT.601 or BT.709 make of a luma and two colour differences in eight bits.
fn by_the_book(matrix: &str, is_full: bool, [y, u, v]: [f64; 3]) -> [f64; 3] {
    let (kr, kb) = if matrix == "bt709" { (0.2126, 0.0722) } else { (0.299, 0.114) };
    let (y, swing) = if is_full { (y, 255.0) } else { ((y - 16.0) * 255.0 / 219.0, 224.0) };
    let (cb, cr) = ((u - 128.0) * 255.0 / swing, (v - 128.0) * 255.0 / swing);
    let (r, b) = (y + 2.0 * (1.0 - kr) * cr, y + 2.0 * (1.0 - kb) * cb);
    [r, (y - kr * r - kb * b) / (1.0 - kr - kb), b]
}

/// The same luma and colour differences are other colours under another matrix or range, red
/// first; which ones were used stands in the table.
#[test]
fn matrix_and_range_are_honoured_and_recorded() {
    let dir = tempfile::tempdir().expect("temp dir");
    let class = dir.path().join("corpus/Anger");
    let planes = [110.0, 100.0, 170.0];
    let kinds = [("bt601", false), ("bt709", false), ("bt601", true), ("bt709", true)];
    for (matrix, is_full) in kinds {
        let path = class.join(format!("{matrix}-{is_full}.mkv"));
        flat::write(&path, planes.map(|v| v as u8), matrix, is_full);
    }
    let (corpus, out) = (dir.path().join("corpus"), dir.path().join("out"));
    let more = ["--image-format", "png", "--balance", "none", "--split", "1/0/0"];
    build(&corpus, &out).args(more).args(["--on-leak", "keep"]).assert().success();
    let manifest = Manifest::read(&out).expect("reads");
    let rows = rows(&manifest);
    for (matrix, is_full) in kinds {
        let row = rows[&*format!("{matrix}-{is_full}.mkv")];
        let range = if is_full { "full" } else { "limited" };
        assert_eq!(row.color_matrix.as_deref(), Some(matrix));
        assert_eq!(row.color_range.as_deref(), Some(range), "{matrix}");
        let sample = manifest.samples.iter().find(|s| s.clip_id == row.clip_id).expect("a sample");
        let found = load_rgb(&out.join(&sample.image_path)).expect("loads");
        let wanted = by_the_book(matrix, is_full, planes);
        for (got, want) in found.get_pixel(80, 48).0.iter().zip(wanted) {
            assert!((f64::from(*got) - want).abs() <= 1.5, "{matrix} {range}: {got} for {want}");
        }
    }
}

/// The program with root's right to read and write everything taken from it.
fn without_privileges(words: &[&str], corpus: &Path, out: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ncaers"));
    command.args(words).arg("--corpus").arg(corpus).arg("--out").arg(out);
    // SAFETY: prctl is async-signal-safe. Where it fails the process had nothing to lose.
    unsafe {
        command.pre_exec(|| {
            const DAC_OVERRIDE: libc::c_ulong = 1;
            const DAC_READ_SEARCH: libc::c_ulong = 2;
            for capability in [DAC_OVERRIDE, DAC_READ_SEARCH] {
                libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
            }
            std::io::Result::Ok(())
        });
    }
    command
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("rights");
}

/// Also where the tests run as root: the child gives up the right to override permissions.
#[test]
fn clips_without_read_permission_are_rows_and_a_closed_output_is_one_line() {
    let dir = tempfile::tempdir().expect("temp dir");
    let corpus = dir.path().join("corpus");
    write(&corpus.join("train/Anger/open.avi"), &small(), 30, 1);
    write(&corpus.join("train/Anger/closed.avi"), &small(), 30, 2);
    set_mode(&corpus.join("train/Anger/closed.avi"), 0o000);
    let words = ["build", "--detector", "none", "--seed", "5"];
    let out: PathBuf = dir.path().join("out");
    let run = without_privileges(&words, &corpus, &out).output().expect("runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let manifest = Manifest::read(&out).expect("reads");
    let rows = rows(&manifest);
    assert_eq!(rows["closed.avi"].status, Rejected);
    assert!(rows["closed.avi"].reason.as_deref().is_some_and(|r| r.contains("ermission denied")));
    assert_eq!(rows["open.avi"].status, Ok);

    let closed = dir.path().join("closed");
    fs::create_dir(&closed).expect("folder");
    set_mode(&closed, 0o555);
    for out in [closed.clone(), closed.join("below")] {
        let run = without_privileges(&words, &corpus, &out).output().expect("runs");
        let text = String::from_utf8_lossy(&run.stderr);
        assert_eq!(run.status.code(), Some(1), "{text}");
        assert_eq!(text.trim().lines().count(), 1, "{text}");
        assert!(text.contains("Permission denied"), "{text}");
    }
    assert_eq!(fs::read_dir(&closed).expect("list").count(), 0);
}

/// The configuration that a build was begun with.
fn recorded(folder: &Path) -> serde_json::Value {
    ncaers::internals::folder::configuration(folder).expect("readable").expect("a record")
}

/// Rights that are lost in the middle: one line, and the build goes on when they are back.
#[test]
fn a_folder_that_becomes_read_only_is_one_line_and_the_build_goes_on() {
    let dir = tempfile::tempdir().expect("temp dir");
    let corpus = dir.path().join("corpus");
    builds::corpus(&corpus);
    let (whole, out) = (dir.path().join("whole"), dir.path().join("out"));
    build(&corpus, &whole).assert().success();
    // The folder of a class is there already and takes no picture.
    let words = ["build", "--detector", "none", "--seed", "5"];
    let Claim::Fresh(begun) = folder::claim(&out, &recorded(&whole)).expect("claimed") else {
        panic!("{} is not fresh", out.display())
    };
    let class = begun.folder("images/train/Fear").expect("folder");
    drop(begun);
    set_mode(&class, 0o555);
    let run = without_privileges(&words, &corpus, &out).output().expect("runs");
    let text = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{text}");
    assert_eq!(text.trim().lines().count(), 1, "{text}");
    set_mode(&class, 0o755);
    build(&corpus, &out).assert().success();
    builds::assert_same(&whole, &out);
}
