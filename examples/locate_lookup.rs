//! What `ncaers locate` pays for looking up: CAER-S's 70,000 stills among CAER's 1.2 million frames.
//!
//! `cargo run --release --example locate_lookup [STILLS [CLIPS [FRAMES]]]`
//!
//! Hashes stand for pictures. A clip's hash drifts by up to two bits from frame to frame, as in a shot
//! with one camera; half of all clips share three quarters of their bits with others, as scenes of one set
//! do; stills are frames with up to four bits changed. Every frame is looked up with its mirror image,
//! and 50 windows of every clip's last frame and of every frame that is seven bits from the last of which
//! windows were looked up.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what it prints is its result")]
use ncaers::internals::{dataset::locate::StillIndex, seed::Draws};

mod common;

/// Bits by which the picture changes before windows are looked up anew.
const CHANGE: u32 = 6;
/// Windows of a frame.
const WINDOWS: usize = 50;

fn main() {
    let size = |k: usize, otherwise: usize| {
        std::env::args().nth(k).map_or(otherwise, |text| text.parse().expect("a number"))
    };
    let (stills, clips, frames) = (size(1, 70_000), size(2, 13_201), size(3, 90));
    let mut draws = Draws::new(1, "lookup", "");
    let sets: Vec<u64> = (0..200).map(|_| draws.bits()).collect();
    let flip = |draws: &mut Draws, hash: u64, bits: u64| {
        (0..bits).fold(hash, |hash, _| hash ^ 1 << draws.below(64))
    };
    let all: Vec<Vec<u64>> = (0..clips)
        .map(|clip| {
            let mut hash = draws.bits();
            if clip % 2 == 0 {
                let set = sets[draws.below(sets.len() as u64) as usize];
                hash = flip(&mut draws, set, 16);
            }
            (0..frames)
                .map(|_| {
                    let bits = draws.below(3);
                    hash = flip(&mut draws, hash, bits);
                    hash
                })
                .collect()
        })
        .collect();
    let sought: Vec<u64> = (0..stills)
        .map(|still| {
            let clip = &all[still % clips];
            let frame = clip[draws.below(clip.len() as u64) as usize];
            let bits = draws.below(5);
            flip(&mut draws, frame, bits)
        })
        .collect();
    let start = common::cpu_seconds();
    let index = StillIndex::new(sought, vec![0; stills * 1024]).expect("cells of all");
    let built = common::cpu_seconds();
    let (mut lookups, mut found) = (0u64, 0u64);
    for clip in &all {
        let mut last: Option<u64> = None;
        for (at, &hash) in clip.iter().enumerate() {
            lookups += 1;
            index.near(hash, |_, _| found += 1);
            let least = if at + 1 == clip.len() { 0 } else { CHANGE };
            if last.is_none_or(|last| (last ^ hash).count_ones() > least) {
                last = Some(hash);
                for _ in 0..WINDOWS {
                    let bits = 4 + draws.below(16);
                    lookups += 1;
                    index.near(flip(&mut draws, hash, bits), |_, _| found += 1);
                }
            }
        }
    }
    let end = common::cpu_seconds();
    println!(
        "{stills} stills, {clips} clips of {frames} frames: index {:.1} CPU s, {lookups} look-ups \
         {:.1} CPU s, {found} candidates, peak {} MB",
        built - start,
        end - built,
        peak_megabytes()
    );
}

/// The most memory that the process had, drawn clips included.
fn peak_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|l| l.trim().split(' ').next()?.parse::<u64>().ok());
    kilobytes.unwrap_or_default() / 1024
}
