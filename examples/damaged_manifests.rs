//! Damaged copies of a sound data set for the readers of its tables, for some time: `just fuzz manifests`.
//!
//! `cargo run --release --example damaged_manifests [SECONDS [SEED]]`
//!
//! Every copy has a few bytes changed, removed, repeated or added, or ends early. A reader must answer
//! or refuse; a panic leaves the copy in `fuzz/artifacts/manifests` and ends with status 1. Without
//! coverage: what reads Parquet is too large to be compiled for a fuzzer each time.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what it prints is its result")]
use std::{
    fs, panic,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use ncaers::{
    internals::seed::Draws,
    manifest::{self, Manifest, Meta},
    record::{FaceBox, LedgerEntry, LedgerKind, Prediction, Sample},
};

#[path = "library.rs"]
#[allow(dead_code, reason = "its pictures and its data set are wanted, not its comparison")]
mod library;

/// Whether a file can be read.
type Reader = fn(&Path) -> bool;

/// The tables and how each is read.
const TABLES: [(&str, Reader); 4] = [
    ("samples.parquet", |file| manifest::read_samples(file).is_ok()),
    ("clips.parquet", |file| Manifest::read(file).is_ok()),
    ("ledger.parquet", |file| Manifest::read(file).is_ok()),
    ("predictions.parquet", |file| manifest::read_predictions(file).is_ok()),
];

fn main() -> ExitCode {
    let number = |k: usize, otherwise: u64| {
        std::env::args().nth(k).map_or(otherwise, |text| text.parse().expect("a number"))
    };
    let (seconds, seed) = (number(1, 300), number(2, 1));
    let folder = tempfile::tempdir().expect("a folder");
    let sound = sound(folder.path());
    let mut draws = Draws::new(seed, "damaged manifests", "");
    let (mut tries, mut read) = (0_u64, 0_u64);
    let start = Instant::now();
    // A panic is this program's result, not a message for each.
    panic::set_hook(Box::new(|_| {}));
    while start.elapsed() < Duration::from_secs(seconds) {
        let at = draws.below(TABLES.len() as u64) as usize;
        let (name, reads) = TABLES[at];
        let copy = damaged(&sound[at], &mut draws);
        let file = folder.path().join(name);
        fs::write(&file, &copy).expect("writes");
        match panic::catch_unwind(|| reads(&file)) {
            Ok(sound) => read += u64::from(sound),
            Err(_) => {
                println!("a panic on {}", kept(name, &copy, tries).display());
                return ExitCode::FAILURE;
            }
        }
        fs::write(&file, &sound[at]).expect("writes");
        tries += 1;
    }
    println!("{tries} damaged tables in {seconds} s (seed {seed}): {read} read, the rest refused");
    ExitCode::SUCCESS
}

fn kept(name: &str, bytes: &[u8], tries: u64) -> PathBuf {
    let folder = Path::new("fuzz/artifacts/manifests");
    fs::create_dir_all(folder).expect("a folder");
    let file = folder.join(format!("{tries}-{name}"));
    fs::write(&file, bytes).expect("writes");
    file
}

/// The bytes of all tables, written into `folder`: a small data set of the other example, with values
/// in columns that stills leave empty.
fn sound(folder: &Path) -> Vec<Vec<u8>> {
    let mut data = library::data_set(folder).expect("imports");
    for (clip, n) in data.clips.iter_mut().zip(0_u64..) {
        clip.codec = Some("mpeg4".into());
        clip.fps = Some(25.0);
        clip.frames_decoded = Some(n);
        clip.signature = Some(vec![n, u64::MAX, 0]);
    }
    for (sample, n) in data.samples.iter_mut().zip(0_i32..) {
        sample.face = Some(FaceBox { x1: n, y1: 2, x2: n + 9, y2: 20, score: 0.5 });
        sample.frame_index = Some(7);
        sample.frame_ms = Some(280.0);
    }
    data.ledger = data.samples.iter().map(entry).collect();
    data.sort();
    data.write(folder).expect("writes");
    let answers: Vec<Prediction> = data.samples.iter().map(answer).collect();
    manifest::write_predictions(&folder.join(TABLES[3].0), &answers, &Meta::new()).expect("writes");
    TABLES.iter().map(|(name, _)| fs::read(folder.join(name)).expect("reads")).collect()
}

fn entry(sample: &Sample) -> LedgerEntry {
    LedgerEntry {
        kind: LedgerKind::Sample,
        id: sample.sample_id.clone(),
        reason: "balance".into(),
        detail: "cut".into(),
        partner_id: None,
    }
}

fn answer(sample: &Sample) -> Prediction {
    let target = sample.emotion.label();
    Prediction {
        sample_id: sample.sample_id.clone(),
        clip_id: sample.clip_id.clone(),
        group_id: sample.group_id.clone(),
        target,
        predicted: target,
        logits: [0.5; 7],
        w_face: Some(0.25),
        w_context: None,
    }
}

/// A copy with one to eight changes.
fn damaged(sound: &[u8], draws: &mut Draws) -> Vec<u8> {
    let mut copy = sound.to_vec();
    for _ in 0..=draws.below(8) {
        if copy.is_empty() {
            break;
        }
        // The footer says where everything is, so half of the changes go there.
        let from = if draws.chance(0.5) { copy.len().saturating_sub(2048) } else { 0 };
        let at = from + draws.below((copy.len() - from) as u64) as usize;
        let end = (at + 1 + draws.below(16) as usize).min(copy.len());
        match draws.below(6) {
            0 => copy[at] ^= 1 << draws.below(8),
            1 => copy[at] = [0, 0x7f, 0x80, 0xff][draws.below(4) as usize],
            2 => copy[at..end].fill(draws.bits() as u8),
            3 => drop(copy.drain(at..end)),
            4 => {
                let piece = copy[at..end].to_vec();
                copy.splice(at..at, piece);
            }
            _ if draws.chance(0.1) => copy.truncate(at),
            _ => copy[at] = draws.bits() as u8,
        }
    }
    copy
}
