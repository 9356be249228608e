//! Time and memory of the audit by size, as table and figure.
//!
//! `cargo run --release --example audit_scale FOLDER [LARGEST]` writes `audit-scale.csv` and
//! `audit-scale.svg`.
//!
//! Pictures are drawn at 32 x 32 cells, which is all that the audit sees of any: scenes of
//! rectangles, eight pictures of each in which somebody moves. Clips are signatures of eight hashes
//! that differ in up to three bits from their neighbour, half of them skewed as pictures' are: what
//! all share fills some buckets of the index more than others. One size and kind per process, so
//! that peak memory is that of the size: the program starts itself.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what it prints is its result")]
use std::{ops::Range, path::Path, process::Command, time::Instant};

use ncaers::{
    internals::{
        report::figure::{growth, Growth},
        seed::Draws,
        similarity::{
            features::ThumbnailFeatures,
            groups,
            hash::{hash, Thumbnail},
            images::{self, ImageEntry, Rule, SetPart},
            near_duplicates::{altered, leak, videos},
            pairs::links,
            plane::Plane,
            runs::runs,
            view::{View, KEYPOINTS},
            Member,
        },
    },
    record::{Emotion, Split},
};
use rayon::prelude::*;

/// Pictures or hashes of one video.
const VIDEO: usize = 8;
/// Sizes: 70,000 is CAER-S.
const SIZES: [usize; 5] = [10_000, 70_000, 100_000, 300_000, 1_000_000];
/// Cells per side of a drawn picture, and pixels per side of a cell where corners are looked for.
const SIDE: usize = 32;
const PIXELS: usize = 8;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |text: &String| text.parse().expect("a number");
    match arguments.as_slice() {
        [kind, size] if kind == "hashes" => of_hashes(number(size)),
        [kind, size] if kind == "pictures" => of_pictures(number(size)),
        [folder, most @ ..] => {
            measure_all(Path::new(folder), most.first().map_or(usize::MAX, number))
        }
        [] => panic!("usage: audit_scale FOLDER [LARGEST]"),
    }
}

/// All sizes of hashes; pictures up to `largest`.
fn measure_all(folder: &Path, largest: usize) {
    let mut csv = String::from(
        "size,links,links_s,groups_s,hashes_mb,pairs,altered_s,copies_s,leaks_s,pictures_s,pictures_mb\n",
    );
    for size in SIZES {
        let measure = |kind: &str| {
            let own = std::env::current_exe().expect("a path");
            let done = Command::new(own).args([kind, &size.to_string()]).output().expect("starts");
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            String::from_utf8(done.stdout).expect("text").trim().to_owned()
        };
        let hashes = measure("hashes");
        let pictures = if size <= largest { measure("pictures") } else { ",,,,,".into() };
        csv += &format!("{size},{hashes},{pictures}\n");
        eprintln!("{size},{hashes},{pictures}");
    }
    print!("{csv}");
    std::fs::write(folder.join("audit-scale.csv"), &csv).expect("writable");
    std::fs::write(folder.join("audit-scale.svg"), figure(&csv)).expect("writable");
}

/// Seconds over size.
fn figure(csv: &str) -> String {
    let rows = || csv.lines().skip(1).map(|row| row.split(',').collect::<Vec<_>>());
    let line = |label: &str, column: usize| Growth {
        label: label.into(),
        points: rows()
            .filter_map(|cells| Some((cells[0].parse().ok()?, cells[column].parse().ok()?)))
            .collect(),
    };
    let lines = [
        line("pictures, all steps", 9),
        line("of these, altered copies", 6),
        line("groups of clips", 3),
        line("near hashes alone", 2),
    ];
    growth(&lines, "pictures or hashes", "seconds").svg().expect("draws")
}

/// Runs a step; how long it took.
fn timed<T>(step: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let done = step();
    (done, start.elapsed().as_secs_f64())
}

fn of_hashes(size: usize) {
    let hashes = hashes(size);
    let (links, links_s) = timed(|| links(&hashes, images::RADIUS, true).len());
    let ids: Vec<String> = (0..size.div_ceil(VIDEO)).map(|i| format!("train/{i:07}")).collect();
    let member = |(id, signature)| Member {
        clip_id: id,
        sha256: None,
        signature: Some(signature),
        views: None,
    };
    let members: Vec<Member> =
        ids.iter().map(String::as_str).zip(hashes.chunks(VIDEO)).map(member).collect();
    let (joined, groups_s) = timed(|| groups(&members, &|_| ()).expect("held").links.len());
    assert!(joined < size);
    println!("{links},{links_s:.3},{groups_s:.3},{}", peak_mb());
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

fn of_pictures(size: usize) {
    let scenes = 0..size.div_ceil(VIDEO);
    let mut stills: Vec<ImageEntry> = scenes.into_par_iter().flat_map_iter(scene).collect();
    stills.truncate(size);
    let rule = Rule::default();
    let run = |run: Range<usize>| run.clone().map(move |i| (run.start, i));
    let (mut sets, copies_s) =
        timed(|| videos(&stills, rule, runs(&stills).into_iter().flat_map(run)));
    let (altered, altered_s) = timed(|| altered(&stills, rule, &mut sets, &|_| ()));
    let part = |split| SetPart { set: 0, split };
    let parts = (part(Split::Test), part(Split::Train));
    let (found, leaks_s) = timed(|| leak(&stills, parts, (rule, &altered), &mut sets, 1));
    let all = altered_s + copies_s + leaks_s;
    println!("{},{altered_s:.3},{copies_s:.3},{leaks_s:.3},{all:.3},{}", found.pairs, peak_mb());
}

/// Eight pictures of a scene; of every third scene two are in test, others are in one part.
fn scene(number: usize) -> Vec<ImageEntry> {
    let mut draws = Draws::new(number as u64, "scene", "");
    let mut room = [120u8; SIDE * SIDE];
    for _ in 0..20 {
        let [x, y] = [0; 2].map(|_| draws.below(SIDE as u64 - 2) as usize);
        let [w, h] = [0; 2].map(|_| 2 + draws.below(13) as usize);
        fill(&mut room, (x, y), (w, h), draws.below(256) as u8);
    }
    let tone = draws.below(256) as u8;
    let picture = |i: usize| {
        let mut cells = room;
        fill(&mut cells, (8 + draws.below(12) as usize, 10), (6, SIDE), tone);
        cells.iter_mut().for_each(|cell| *cell = cell.saturating_add(draws.below(3) as u8));
        let thumbnail = Thumbnail::of_pixels(&cells, SIDE, SIDE).expect("fits");
        let test = if number.is_multiple_of(3) { i >= 6 } else { number % 6 == 2 };
        ImageEntry {
            id: format!("{number:06}/{i}"),
            set: 0,
            split: if test { Split::Test } else { Split::Train },
            emotion: Emotion::ALL[number % 7],
            video: None,
            // Of the length of a real one; no two are the same.
            sha256: format!("{number:060}{i:04}"),
            hash: hash(&thumbnail),
            look: Some(ThumbnailFeatures::new(&thumbnail)),
            view: Some(View::of(&enlarged(&cells), KEYPOINTS)),
        }
    };
    (0..VIDEO).map(picture).collect()
}

fn fill(cells: &mut [u8; SIDE * SIDE], (x, y): (usize, usize), (w, h): (usize, usize), level: u8) {
    for row in cells.chunks_exact_mut(SIDE).skip(y).take(h) {
        row[x..(x + w).min(SIDE)].fill(level);
    }
}

/// The cells as squares of pixels.
fn enlarged(cells: &[u8; SIDE * SIDE]) -> Plane {
    let at = |i: usize| cells[i / (SIDE * PIXELS) / PIXELS * SIDE + i % (SIDE * PIXELS) / PIXELS];
    let pixels = (0..SIDE * SIDE * PIXELS * PIXELS).map(at).collect();
    Plane::new(SIDE * PIXELS, SIDE * PIXELS, pixels).expect("fits")
}

/// Peak resident memory in MB, as Linux tells it.
fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM"));
    let kb = line.and_then(|l| l.split_whitespace().nth(1)?.parse::<u64>().ok());
    kb.map_or(0, |kb| kb / 1024)
}
