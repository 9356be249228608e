//! Frames whose data are broken, and those that are predicted from them: what is told is held against
//! the sound clip, frame by frame.
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use ffmpeg_next::{
    format::{self, Pixel},
    media,
};
use image::RgbImage;
use ncaers::{
    internals::{
        media::{
            image::load_rgb,
            video::{decode, DecodedFrame, FrameSink},
        },
        seed::Draws,
    },
    manifest::Manifest,
    record::{Damage, LedgerKind},
};

use crate::common::{
    builds::{build, small},
    clips::{picture, write},
    ncaers,
    odd::Odd,
    pictures::all,
};

const FRAMES: u32 = 60;
/// Frames from one key picture to the next.
const GOP: u64 = 12;

/// Every frame, and which of them are told to be damaged.
#[derive(Default)]
struct Told {
    pictures: BTreeMap<u64, RgbImage>,
    damaged: BTreeMap<u64, Damage>,
}

impl FrameSink for Told {
    fn targets(&mut self, frames: u64, _: f64) -> Vec<u64> {
        (0..frames).collect()
    }

    fn keep(&mut self, frame: u64, shot: DecodedFrame<'_>) -> anyhow::Result<()> {
        self.pictures.insert(frame, shot.into_rgb()?);
        Ok(())
    }

    fn lost(&mut self, frame: u64, reason: String) {
        panic!("frame {frame} is lost: {reason}");
    }

    fn redraw(&mut self, damaged: &BTreeMap<u64, Damage>) -> Vec<u64> {
        self.damaged.clone_from(damaged);
        Vec::new()
    }
}

/// Where the packets of the video lie in the file.
fn packets(path: &Path) -> Vec<(usize, usize)> {
    let mut input = format::input(path).expect("opens");
    let video = input.streams().best(media::Type::Video).expect("video").index();
    let all = input.packets().filter(|(stream, _)| stream.index() == video);
    all.map(|(_, packet)| (packet.position() as usize, packet.size())).collect()
}

/// Writes noise over the later half of every packet that `hit` names.
fn spoil(path: &Path, hit: impl Fn(usize) -> bool) {
    let mut bytes = fs::read(path).expect("read");
    let mut draws = Draws::new(3, "noise", "");
    for (at, size) in packets(path).into_iter().enumerate().filter(|(k, _)| hit(*k)).map(|p| p.1) {
        for byte in &mut bytes[at + size / 2..at + size] {
            if draws.below(8) == 0 {
                *byte = draws.below(256) as u8;
            }
        }
    }
    fs::write(path, bytes).expect("write");
}

/// The largest mean difference of a block of 16 x 16 pixels, in levels.
fn worst_block(a: &RgbImage, b: &RgbImage) -> u32 {
    let mut sums: BTreeMap<(u32, u32), u32> = BTreeMap::new();
    for ((x, y, a), b) in a.enumerate_pixels().zip(b.pixels()) {
        let apart: u32 = a.0.iter().zip(b.0).map(|(a, b)| u32::from(a.abs_diff(b))).sum();
        *sums.entry((x / 16, y / 16)).or_default() += apart;
    }
    sums.into_values().max().unwrap_or_default() / (16 * 16 * 3)
}

/// Every frame that is another than in the sound clip is told, by every decoder that can notice: those
/// that mark their frames, those that only log, and those that have to be asked to.
#[test]
fn whatever_shows_damage_is_told() {
    let dir = tempfile::tempdir().expect("temp dir");
    for (name, encoder, b_frames) in [
        ("plain.avi", "mpeg4", 0),
        ("b.avi", "mpeg4", 2),
        ("plain.mp4", "mpeg4", 0),
        ("h264.avi", "libx264", 0),
        ("ms.avi", "msmpeg4", 0),
        ("sorenson.flv", "flv", 0),
    ] {
        let path = dir.path().join(name);
        let scene: Vec<_> = (0..FRAMES).map(|i| picture(160, 96, i, 3)).collect();
        Odd { b_frames, ..Odd::new(encoder, Pixel::YUV420P) }.write(&path, &scene);
        let sound = all(&path, 1).1.pictures;
        spoil(&path, |packet| (15..40).contains(&packet) && packet % 9 == 0);
        let mut told = Told::default();
        let facts = decode(&path, false, &mut told).expect("decodes");
        assert_eq!(facts.frames, u64::from(FRAMES), "{name}");
        let apart = |frame: &u64| worst_block(&sound[frame], &told.pictures[frame]);
        let wrong: Vec<u64> = (0..facts.frames).filter(|frame| apart(frame) > 4).collect();
        assert!(wrong.len() > 2, "{name}: nothing was spoilt");
        let is_told = |frame: &u64| told.damaged.contains_key(frame);
        let missed: Vec<_> = wrong.iter().filter(|frame| !is_told(frame)).collect();
        if encoder == "libx264" {
            // An arithmetic decoder reads most noise as pictures; what it notices goes on to the next
            // key picture all the same.
            let noticed = |frame: &&&u64| {
                let at = ***frame;
                (at / GOP * GOP..at).any(|before| is_told(&before))
            };
            let after: Vec<_> = missed.iter().filter(noticed).collect();
            assert!(after.is_empty() && 2 * missed.len() <= wrong.len(), "{name}: {missed:?}");
        } else {
            assert!(missed.is_empty(), "{name}: {missed:?} of {wrong:?}");
        }
        // No frame before the first broken packet or behind the next key picture is suspected.
        let last = wrong.last().expect("some");
        let span = 12..(last / GOP + 2) * GOP;
        let strays: Vec<_> = told.damaged.keys().filter(|f| !span.contains(f)).collect();
        assert!(strays.is_empty(), "{name}: {strays:?}");
        assert!(facts.damage.iter().any(|w| w.ends_with("frames are damaged")), "{name}");
    }
}

fn read(folder: &Path) -> Manifest {
    ncaers().arg("verify").arg(folder).assert().success();
    Manifest::read(folder).expect("reads")
}

/// Ten seconds, of which the second to fourth, sixth and seventh hold broken frames. Key pictures
/// come every half second, so that some segments keep sound frames and one has none.
fn broken(path: &Path) {
    write(path, &small(), 250, 6);
    spoil(path, |packet| (80..160).contains(&packet) || packet == 200);
}

#[test]
fn damaged_draws_are_drawn_anew_and_never_pass_for_sound() {
    let dir = tempfile::tempdir().expect("temp dir");
    let root = dir.path().join("corpus");
    let clips: Vec<PathBuf> =
        (1..4).map(|k| root.join(format!("train/Anger/000{k}.avi"))).collect();
    clips.iter().for_each(|clip| broken(clip));
    write(&root.join("train/Fear/0001.avi"), &small(), 60, 2);
    let (kept, out) = (dir.path().join("kept"), dir.path().join("out"));
    let with = |out: &Path, more: &[&str]| {
        build(&root, out)
            .args(["--balance", "none", "--on-leak", "keep", "--segment-seconds", "1"])
            .args(more)
            .assert()
            .success();
        read(out)
    };
    let all = with(&kept, &["--keep-damaged"]);
    let bad: Vec<_> = all.samples.iter().filter(|s| s.damage != Damage::None).collect();
    assert!(bad.len() > 6, "the case is not tested");
    assert!(all.samples.iter().all(|s| s.draw == Some(0)));
    let sound = with(&out, &[]);
    assert!(sound.samples.iter().all(|s| s.damage == Damage::None));
    let lost: Vec<_> = sound.ledger.iter().filter(|e| e.reason == "damaged").collect();
    assert!(!lost.is_empty() && lost.len() < bad.len(), "{} of {}", lost.len(), bad.len());
    assert_eq!(sound.samples.len() + lost.len(), all.samples.len());
    assert!(lost.iter().all(|e| e.kind == LedgerKind::Segment && e.detail.starts_with("all ")));
    for sample in &all.samples {
        match sound.samples.iter().find(|s| s.sample_id == sample.sample_id) {
            Some(same) if sample.damage == Damage::None => assert_eq!(same, sample),
            Some(other) => {
                assert!(other.draw > Some(0), "{}", other.sample_id);
                assert_ne!(other.frame_index, sample.frame_index);
                let shown = load_rgb(&out.join(&other.image_path)).expect("loads");
                assert_eq!((shown.width(), shown.height()), (160, 96));
            }
            None => assert!(lost.iter().any(|e| e.id == sample.sample_id), "{}", sample.sample_id),
        }
    }
    let card = fs::read_to_string(out.join("README.md")).expect("card");
    assert!(card.contains("drawn anew because of them"), "{card}");
    // The same again with the bytes of the first, and by the short way.
    let again = with(&dir.path().join("again"), &["--workers", "1"]);
    assert_eq!(again, sound);
    let fast = with(&dir.path().join("fast"), &["--fast"]);
    assert_eq!(fast.samples.len(), sound.samples.len());
}
