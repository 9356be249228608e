//! How the search for near-duplicates grows.
//!
//! `cargo run --release --example audit_scale FOLDER` writes `audit-scale.csv` and `audit-scale.svg`.
//!
//! Hashes come in videos of eight that differ in up to three bits from their neighbour, half of the
//! videos with skewed bits, as pictures have: what all pictures share fills some buckets of the
//! index more than others. One size per process, so that peak memory is that of the size: the
//! program starts itself.
use std::{path::Path, process::Command, time::Instant};

use ncaers::{
    audit::{groups, pairs::links, stills, Member},
    report::figure::{growth, Growth},
    seed::Draws,
};

/// Hashes in one video.
const VIDEO: usize = 8;
/// Sizes: 70,000 is CAER-S.
const SIZES: [usize; 5] = [10_000, 70_000, 100_000, 300_000, 1_000_000];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = match arguments.as_slice() {
        [radius, size] => {
            return measure(radius.parse().expect("bits"), size.parse().expect("a number"))
        }
        [folder] => Path::new(folder),
        _ => panic!("usage: audit_scale FOLDER"),
    };
    let mut csv = String::from("hashes,radius,links,links_s,groups_s,peak_mb\n");
    for size in SIZES {
        let own = std::env::current_exe().expect("a path");
        let words = [stills::RADIUS.to_string(), size.to_string()];
        let done = Command::new(own).args(words).output().expect("starts");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        csv += &String::from_utf8(done.stdout).expect("text");
    }
    print!("{csv}");
    std::fs::write(folder.join("audit-scale.csv"), &csv).expect("writable");
    std::fs::write(folder.join("audit-scale.svg"), figure(&csv)).expect("writable");
}

/// Seconds over size.
fn figure(csv: &str) -> String {
    let rows = || csv.lines().skip(1).map(|row| row.split(',').collect::<Vec<_>>());
    let number = |cell: &str| cell.parse::<f64>().expect("our own numbers");
    let line = |label: &str, column: usize| Growth {
        label: label.into(),
        points: rows().map(|cells| (number(cells[0]), number(cells[column]))).collect(),
    };
    let lines = [line("all near pairs of hashes", 3), line("groups of clips", 4)];
    growth(&lines, "hashes", "seconds").svg().expect("draws")
}

fn measure(radius: u32, size: usize) {
    let hashes = hashes(size);
    let start = Instant::now();
    let links = links(&hashes, radius, true).len();
    let links_s = start.elapsed().as_secs_f64();
    let ids: Vec<String> = (0..size.div_ceil(VIDEO)).map(|i| format!("train/{i:07}")).collect();
    let member = |(id, signature): (&'static str, &'static [u64])| Member {
        clip_id: id,
        sha256: None,
        signature: Some(signature),
    };
    let (ids, hashes): (&'static [String], &'static [u64]) = (ids.leak(), hashes.leak());
    let members: Vec<Member> =
        ids.iter().map(String::as_str).zip(hashes.chunks(VIDEO)).map(member).collect();
    let start = Instant::now();
    let joined = groups(&members).links.len();
    assert!(joined < size);
    let groups_s = start.elapsed().as_secs_f64();
    println!("{size},{radius},{links},{links_s:.3},{groups_s:.3},{}", peak_mb());
}

fn hashes(size: usize) -> Vec<u64> {
    let mut draws = Draws::new(1, "scale", "");
    let mut all = Vec::with_capacity(size);
    while all.len() < size {
        // Every fourth bit of every other video is set three times of four.
        let skew = draws.bits() | draws.bits() & 0x1111_1111_1111_1111;
        let mut hash = if (all.len() / VIDEO).is_multiple_of(2) { skew } else { draws.bits() };
        for _ in 0..VIDEO {
            all.push(hash);
            (0..draws.below(4)).for_each(|_| hash ^= 1 << draws.below(64));
        }
    }
    all.truncate(size);
    all
}

/// Peak resident memory in MB, as Linux tells it.
fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM"));
    let kb = line.and_then(|l| l.split_whitespace().nth(1)?.parse::<u64>().ok());
    kb.map_or(0, |kb| kb / 1024)
}
