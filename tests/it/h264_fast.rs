//! H.264 under `--fast`: whatever an encoder does, the frames are those of decoding to the end, and what
//! headers prove to be unneeded is not looked at.
use std::{collections::BTreeMap, fs, path::Path};

use crate::common::{
    clips::{chunks, picture},
    odd::Odd,
};
use ffmpeg_next::format::Pixel;
use image::RgbImage;
use ncaers::internals::{
    media::video::{decode, DecodedFrame, Facts, FrameSink},
    seed::Draws,
};

const FRAMES: u64 = 49;

/// What `--fast` is expected to do with a clip.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// Packets are left out.
    Short,
    /// Its headers leave something open: it is decoded to its end.
    Whole,
}
use Way::{Short, Whole};

/// Name and container, x264's parameters, pixels, and the way.
const KINDS: &[(&str, &str, Pixel, Way)] = &[
    ("plain.avi", "keyint=12:open-gop=0:bframes=0", Pixel::YUV420P, Short),
    ("b.avi", "keyint=12:open-gop=0:bframes=2:b-pyramid=none:b-adapt=0", Pixel::YUV420P, Short),
    ("pyramid.avi", "keyint=24:open-gop=0:bframes=7:b-pyramid=normal:b-adapt=0:ref=4", Pixel::YUV420P, Short),
    ("strict.avi", "keyint=24:open-gop=0:bframes=3:b-pyramid=strict:b-adapt=0", Pixel::YUV420P, Short),
    ("most.avi", "keyint=40:open-gop=0:bframes=16:b-adapt=0:ref=16", Pixel::YUV420P, Short),
    ("one.avi", "keyint=infinite:bframes=3:b-adapt=0", Pixel::YUV420P, Short),
    ("keys.avi", "keyint=1", Pixel::YUV420P, Short),
    ("cuts.avi", "keyint=250:min-keyint=1:scenecut=100:open-gop=0:bframes=3", Pixel::YUV420P, Short),
    ("open.avi", "keyint=12:open-gop=1:bframes=3:b-adapt=0", Pixel::YUV420P, Short),
    ("refresh.avi", "keyint=12:intra-refresh=1:bframes=0", Pixel::YUV420P, Short),
    ("slices.avi", "keyint=12:open-gop=0:slices=4:bframes=2:b-adapt=0", Pixel::YUV420P, Short),
    ("weights.avi", "keyint=16:open-gop=0:bframes=3:weightp=2:weightb=1:direct=temporal:b-adapt=0", Pixel::YUV420P, Short),
    ("cavlc.avi", "keyint=12:open-gop=0:cabac=0:8x8dct=0:bframes=2:direct=spatial:constrained-intra=1:b-adapt=0", Pixel::YUV420P, Short),
    ("sets.avi", "keyint=12:open-gop=0:repeat-headers=1:aud=1:bframes=2:b-adapt=0", Pixel::YUV420P, Short),
    ("ten.avi", "keyint=12:open-gop=0:bframes=2:b-adapt=0", Pixel::YUV420P10LE, Short),
    ("422.avi", "keyint=12:open-gop=0:bframes=2:b-adapt=0", Pixel::YUV422P, Short),
    ("444.avi", "keyint=12:open-gop=0:bframes=2:b-adapt=0", Pixel::YUV444P, Whole),
    ("lossless.avi", "keyint=12:open-gop=0:qp=0", Pixel::YUV420P, Whole),
    ("fields.avi", "keyint=12:open-gop=0:interlaced=1:bframes=2", Pixel::YUV420P, Whole),
    ("pretended.avi", "keyint=12:open-gop=0:fake-interlaced=1:bframes=2", Pixel::YUV420P, Whole),
    ("times.avi", "keyint=12:open-gop=0:pic-struct=1:nal-hrd=vbr:vbv-maxrate=4000:vbv-bufsize=4000", Pixel::YUV420P, Whole),
    ("b.ts", "keyint=12:open-gop=0:bframes=3:b-adapt=0", Pixel::YUV420P, Short),
    ("open.ts", "keyint=12:open-gop=1:bframes=3:b-pyramid=normal:b-adapt=0", Pixel::YUV420P, Short),
    ("b.mp4", "keyint=12:open-gop=0:bframes=3:b-adapt=0", Pixel::YUV420P, Whole),
    ("b.mkv", "keyint=12:open-gop=0:bframes=3:b-adapt=0", Pixel::YUV420P, Whole),
];

/// Remembers the pictures of some frames; all of them where none are named.
#[derive(Default)]
struct Chosen {
    frames: Vec<u64>,
    pictures: BTreeMap<u64, RgbImage>,
}

impl FrameSink for Chosen {
    fn targets(&mut self, frames: u64, _: f64) -> Vec<u64> {
        match self.frames.as_slice() {
            [] => (0..frames).collect(),
            some => some.iter().copied().filter(|frame| *frame < frames).collect(),
        }
    }

    fn keep(&mut self, frame: u64, shot: DecodedFrame<'_>) -> anyhow::Result<()> {
        self.pictures.insert(frame, shot.into_rgb()?);
        Ok(())
    }

    fn lost(&mut self, frame: u64, reason: String) {
        panic!("frame {frame} is lost: {reason}");
    }
}

fn decoded(path: &Path, fast: bool, frames: &[u64]) -> (Facts, BTreeMap<u64, RgbImage>) {
    let mut some = Chosen { frames: frames.to_vec(), ..Chosen::default() };
    let facts = decode(path, fast, &mut some).unwrap_or_else(|e| panic!("{path:?}: {e}"));
    (facts, some.pictures)
}

/// Two scenes, one after the other.
fn pictures() -> Vec<RgbImage> {
    (0..FRAMES as u32).map(|i| picture(160, 96, i, 2 + i / 21)).collect()
}

fn write(
    dir: &Path,
    pictures: &[RgbImage],
    (name, options, pixel, _): &'static (&str, &str, Pixel, Way),
) -> std::path::PathBuf {
    let path = dir.join(name);
    let options: &'static [(&str, &str)] =
        Box::leak(Box::new([("preset", "veryfast"), ("x264-params", *options)]));
    Odd { b_frames: 2, options, ..Odd::new("libx264", *pixel) }.write(&path, pictures);
    path
}

#[test]
fn every_kind_of_clip_gives_the_same_frames() {
    let (dir, pictures) = (tempfile::tempdir().expect("temp dir"), pictures());
    for kind in KINDS {
        let (path, name) = (write(dir.path(), &pictures, kind), kind.0);
        let (facts, slow) = decoded(&path, false, &[]);
        assert_eq!(
            (facts.frames, slow.len() as u64, &facts.damage),
            (FRAMES, FRAMES, &vec![]),
            "{name}"
        );
        let some: [&[u64]; 5] =
            [&[0, 7, 14, 21, 28, 35, 42], &[FRAMES - 1], &[26], &[3, 30, 31, 44], &[0, 99]];
        for wanted in some {
            let (fast, found) = decoded(&path, true, wanted);
            let facts_of =
                |f: &Facts| (f.frames, f.damage.clone(), f.remarks.clone(), f.interlaced, f.width);
            assert_eq!(facts_of(&fast), facts_of(&facts), "{name} {wanted:?}");
            let wanted: Vec<u64> = wanted.iter().copied().filter(|f| *f < FRAMES).collect();
            assert_eq!(found.keys().copied().collect::<Vec<_>>(), wanted, "{name}");
            assert!(found.iter().all(|(f, p)| *p == slow[f]), "{name} {wanted:?}");
        }
    }
}

/// A packet's pictures by the headers of their slices: whether it begins anew (IDR), whether no other is
/// predicted from it, and where the last slice begins.
fn slices(packet: &[u8]) -> (bool, bool, usize) {
    let starts = packet.windows(4).enumerate().filter(|(_, w)| w[..3] == [0, 0, 1]);
    let mut slices = starts.map(|(at, w)| (at, w[3])).filter(|(_, h)| matches!(h & 31, 1 | 5));
    let (at, header) = slices.next_back().expect("a slice");
    (header & 31 == 5, header >> 5 == 0, at)
}

/// Spoils what the last frame is not predicted from, behind the headers; false where there is nothing.
fn spoil(path: &Path) -> bool {
    let mut bytes = fs::read(path).expect("read");
    let chunks = chunks(&bytes);
    let kinds: Vec<_> = chunks.iter().map(|chunk| slices(&bytes[chunk.clone()])).collect();
    let last = kinds.iter().rposition(|kind| kind.0).expect("a key picture");
    let mut any = false;
    for (k, (chunk, (_, disposable, at))) in chunks.iter().zip(&kinds).enumerate().skip(1) {
        let from = chunk.start + at + 24;
        if (k < last || *disposable) && from < chunk.end {
            bytes[from..chunk.end].fill(0xa5);
            any = true;
        }
    }
    fs::write(path, &bytes).expect("write");
    any
}

#[test]
fn what_the_last_frame_does_not_need_is_left_out() {
    let (dir, pictures) = (tempfile::tempdir().expect("temp dir"), pictures());
    for kind in KINDS.iter().filter(|kind| kind.0.ends_with(".avi") && kind.0 != "refresh.avi") {
        let (path, name) = (write(dir.path(), &pictures, kind), kind.0);
        let last = FRAMES - 1;
        let (_, sound) = decoded(&path, false, &[last]);
        assert!(spoil(&path), "{name}: nothing to spoil");
        let (slow, _) = decoded(&path, false, &[last]);
        assert!(!slow.damage.is_empty(), "{name}: the damage is not noticed by anybody");
        let (fast, found) = decoded(&path, true, &[last]);
        assert_eq!(fast.damage.is_empty(), kind.3 == Short, "{name}: {:?}", fast.damage);
        assert!(kind.3 == Whole || found == sound, "{name}");
    }
}

/// A damaged clip's frames under `--fast` are its own or those of the sound one.
#[test]
fn damage_makes_no_other_frames() {
    let (dir, pictures) = (tempfile::tempdir().expect("temp dir"), pictures());
    let mut draws = Draws::new(1, "h264 damage", "");
    let kinds = ["b.avi", "pyramid.avi", "one.avi", "open.avi", "slices.avi", "b.ts"];
    for kind in KINDS.iter().filter(|kind| kinds.contains(&kind.0)) {
        let (path, name) = (write(dir.path(), &pictures, kind), kind.0);
        let (_, sound) = decoded(&path, false, &[]);
        let whole = fs::read(&path).expect("read");
        for round in 0..12 {
            let mut bytes = whole.clone();
            let length = bytes.len() as u64;
            let mut place = || (length / 8 + draws.below(length - length / 8)) as usize;
            match round {
                0..=2 => {
                    let end = place();
                    bytes.truncate(end);
                }
                3..=6 => {
                    let at = place();
                    let end = (at + 300).min(bytes.len());
                    bytes[at..end].fill(0);
                }
                _ => (0..4).for_each(|_| {
                    let at = place();
                    bytes[at] ^= 0x55;
                }),
            }
            fs::write(&path, &bytes).expect("write");
            let (facts, slow) = decoded(&path, false, &[]);
            for wanted in [&[FRAMES - 9][..], &[5, 16, 40], &[0, 27]] {
                let (fast, found) = decoded(&path, true, wanted);
                assert!(fast.frames == facts.frames || fast.frames <= FRAMES, "{name} {round}");
                for (frame, picture) in &found {
                    let is = |of: &BTreeMap<u64, RgbImage>| of.get(frame) == Some(picture);
                    assert!(is(&slow) || is(&sound), "{name} {round} {wanted:?}: frame {frame}");
                }
            }
        }
    }
}
