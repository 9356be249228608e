//! The figures of `docs/measurements/scaling.md`: what the steps of a build cost that touch every row but no
//! video (segments, grouping by content, split, leaks, balance, Parquet), on made-up clips.
//!
//! `cargo run --release --example scale -- ROWS [native|split] [views]`: CPU seconds of every step, those
//! of making the clips up apart, and the most memory that the process held. `split` leaves the
//! corpus without a split of its own, so that `ncaers` makes one; with `views` clips are of 3 to 6 s and have
//! what altered copies are recognised by, five kilobytes for every two seconds, in a temporary file as in a
//! build. Without LibTorch's libraries,
//! which no step needs: `--no-default-features`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what it prints is its result")]
mod common;

use std::collections::BTreeMap;

use common::cpu_seconds;
use ncaers::{
    internals::{
        corpus::{ClipSource, Listing},
        dataset::{
            self, ClipResult, ClipResults, Config, Configuration, DecodedFacts, Parts, SavedFrame,
        },
        face, sampling,
        seed::Draws,
        words::Store,
    },
    record::{ClipStatus, Damage, Emotion, FaceBox, HexDigest, Segment, Split},
};

/// Frames per second of every clip.
const FPS: f64 = 25.0;
/// Every so many clips, one is a copy of an earlier one, as sets in the field have.
const COPY_EVERY: usize = 25;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let rows: usize = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(10_000);
    let has_split = arguments.next().is_none_or(|kind| kind == "native");
    let folder = tempfile::tempdir_in(".")?;
    let mut aside = arguments.next().map(|_| Store::within(folder.path()));
    let config = Config::new(1, &face::DetectorRequest::named("none"))?;
    let (bare, begun) = (peak_megabytes(), cpu_seconds());
    let mut segmenting = 0.0;
    let (listing, results) = corpus(&config, (rows, has_split), &mut aside, &mut segmenting);
    let made = cpu_seconds() - begun - segmenting;
    let held = peak_megabytes();
    let drawn: usize = results.iter().map(|r| r.samples.len()).sum();
    let config = Configuration::Build(config);
    let begun = cpu_seconds();
    let tables = dataset::tables(Parts {
        config: &config,
        listing: &listing,
        results,
        same_video: Vec::new(),
    })?;
    let assembled = cpu_seconds() - begun;
    let begun = cpu_seconds();
    tables.write(&ncaers::internals::folder::claim_standing(folder.path(), "scale")?)?;
    let written = cpu_seconds() - begun;
    println!(
        "{drawn} rows of {} clips, {} kept\nCPU s: segment and draw {segmenting:.2}, group to \
         balance {assembled:.2}, write {written:.2}: {:.2} in all; making the clips up {made:.2} \
         beside\nmost memory, MB: {:.0}; {held:.0} with the clips made up, {bare:.0} at the start",
        listing.clips.len(),
        tables.kept(),
        segmenting + assembled + written,
        peak_megabytes(),
    );
    Ok(())
}

/// Made-up clips with about `rows` segments in total, CAER's length of some ten seconds each.
fn corpus(
    config: &Config,
    (rows, has_split): (usize, bool),
    aside: &mut Option<Store>,
    segmenting: &mut f64,
) -> (Listing, ClipResults) {
    let mut draws = Draws::new(config.seed, "scale", "clips");
    let (mut clips, mut results) = (Vec::new(), ClipResults::default());
    let mut drawn = 0;
    let mut earlier: Option<Vec<u64>> = None;
    while drawn < rows {
        let source = source(clips.len(), has_split, &mut draws);
        let frames = 75 + draws.below(if aside.is_some() { 75 } else { 350 });
        let mut signature = signature(frames, &mut draws);
        if clips.len() % COPY_EVERY == COPY_EVERY - 1 {
            signature = earlier.take().unwrap_or(signature);
        } else if draws.chance(0.1) {
            earlier = Some(signature.clone());
        }
        let begun = thread_seconds();
        let segments = sampling::segments(frames, FPS, config.segment_seconds);
        let targets = sampling::targets(config.seed, &source.clip_id, &segments);
        *segmenting += thread_seconds() - begun;
        let drawn_here = segments.into_iter().zip(targets).collect();
        let mut result = result(&source.clip_id, frames, drawn_here, signature, &mut draws);
        if let (Some(store), Some(facts)) = (aside.as_mut(), result.facts.as_mut()) {
            facts.views = Some(views(frames, &mut draws).into());
            result.put_aside(store);
        }
        drawn += result.samples.len();
        results.insert(result);
        clips.push(source);
    }
    clips.sort_by(|a, b| a.clip_id.cmp(&b.clip_id));
    (Listing { corpus: "made up".into(), has_split, clips, ..Listing::default() }, results)
}

fn source(number: usize, has_split: bool, draws: &mut Draws) -> ClipSource {
    let split = match draws.below(10) {
        0..=6 => Split::Train,
        7 => Split::Val,
        _ => Split::Test,
    };
    let split = has_split.then_some(split);
    // The first classes are larger, so that balancing has something to do.
    let emotion = Emotion::ALL[draws.below(7).min(draws.below(9)) as usize];
    let folder = split.map_or("all", Split::name);
    let shown = format!("{folder}/{emotion}/{number:07}.avi");
    ClipSource {
        clip_id: format!("{folder}/{emotion}/{number:07}"),
        split,
        emotion,
        path: shown.clone().into(),
        shown,
        refused: None,
        group: None,
        span: None,
    }
}

/// Hashes every half second; from one to the next a third of the bits changes.
fn signature(frames: u64, draws: &mut Draws) -> Vec<u64> {
    let mut hash = draws.bits();
    let steps = (frames as f64 / FPS / 0.5).ceil() as usize;
    let mut next = || {
        hash ^= draws.bits() & draws.bits() | draws.bits() & draws.bits() & draws.bits();
        hash
    };
    (0..steps).map(|_| next()).collect()
}

/// A view every second, of noise.
fn views(frames: u64, draws: &mut Draws) -> Vec<u64> {
    let view = |_| {
        let head = 48 << 48 | 480 << 32 | 270 << 16 | 100;
        let rest = 1 + 8 + 128 + 5 * 48;
        std::iter::once(head).chain((0..rest).map(|_| draws.bits()).collect::<Vec<_>>())
    };
    (0..frames.div_ceil(FPS as u64)).flat_map(view).collect()
}

fn result(
    clip_id: &str,
    frames: u64,
    drawn: Vec<(Segment, u64)>,
    signature: Vec<u64>,
    draws: &mut Draws,
) -> ClipResult {
    let taken = |(segment, frame): (_, u64)| SavedFrame {
        segment,
        frame,
        // As from a journal: no string holds more than its text.
        image_path: format!("images/{clip_id}_{frame:03}_0123abcd.jpg").into_boxed_str().into(),
        image_sha256: digest(draws),
        pixel_sha256: HexDigest::default(),
        width: 720,
        height: 400,
        face: draws.chance(0.9).then_some(FaceBox { x1: 10, y1: 20, x2: 110, y2: 140, score: 9.0 }),
        face_count: Some(1),
        damage: Damage::None,
        draw: 0,
    };
    let samples = drawn.into_iter().map(taken).collect();
    ClipResult {
        clip_id: clip_id.to_owned(),
        sha256: Some(digest(draws)),
        status: ClipStatus::Ok,
        code: None,
        reason: None,
        facts: Some(facts(frames, signature)),
        samples,
        lost: BTreeMap::new(),
        seconds: BTreeMap::new(),
        still: None,
    }
}

fn digest(draws: &mut Draws) -> HexDigest {
    (0..4).map(|_| format!("{:016x}", draws.bits())).collect::<String>().into()
}

fn facts(frames: u64, signature: Vec<u64>) -> DecodedFacts {
    DecodedFacts {
        codec: "mpeg4".into(),
        pixel_format: "yuv420p".into(),
        width: 720,
        height: 400,
        sample_aspect_ratio: None,
        rotation: 0,
        color_matrix: "bt601".into(),
        color_range: "limited".into(),
        interlaced: false,
        fps_bits: FPS.to_bits(),
        frames,
        frames_header: Some(frames),
        has_b_frames: true,
        signature: Some(signature),
        orientation: 1,
        color_transfer: None,
        default_stream: true,
        part: None,
        views: None,
    }
}

/// User and system time of this thread.
fn thread_seconds() -> f64 {
    // SAFETY: clock_gettime fills the whole struct.
    let time = unsafe {
        let mut time: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time);
        time
    };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// `VmHWM` of this process.
fn peak_megabytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or_default();
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().unwrap_or(f64::NAN);
    kilobytes / 1000.0
}
