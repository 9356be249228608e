//! Recall and precision of the recognition of runs on a folder as CAER-S stores its pictures.
//!
//! `cargo run --release --example audit_runs -- CORPUS`
//!
//! CORPUS is a folder as `ncaers demo-corpus` writes it. Two pictures per second of every clip are
//! stored as JPEG in the order of show, person and clip in one class, so that the clip next door is
//! mostly one of the same set and actor. Of six clips two go to train, two to test, and two are
//! split by position: their first two thirds to train, the rest to test. Every other clip is first
//! filmed through a window that swings, as by a moving camera. What is found is held against what
//! is known, for shows of odd and even numbers apart.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what it prints is its result")]
use std::{collections::BTreeMap, path::Path};

use image::RgbImage;
use ncaers::{
    internals::{
        digest,
        media::image::{decode_rgb, encode_jpeg},
        similarity::{
            features::ThumbnailFeatures,
            images::{ImageEntry, Rule, SetPart},
            near_duplicates::{altered, leak, videos},
            runs::{neighbours, runs, runs_by_chance},
            view::{View, KEYPOINTS},
        },
    },
    record::{Emotion, Split},
};
use rayon::prelude::*;

#[path = "../tests/it/common/planted.rs"]
mod planted;
use planted::{hash_of, swung, take, thumbnail};

/// Pictures per second.
const RATE: f64 = 2.0;
/// JPEG quality.
const QUALITY: u8 = 90;

/// A picture and what is known of it.
struct Known {
    still: ImageEntry,
    clip: usize,
    show: String,
    person: String,
    swung: bool,
}

fn main() {
    let corpus = std::env::args().nth(1).expect("usage: audit_runs CORPUS");
    let known = folder(Path::new(&corpus));
    let mut shows: Vec<&str> = known.iter().map(|k| &*k.show).collect();
    shows.sort_unstable();
    shows.dedup();
    for half in 0..2 {
        let own = |k: &&Known| shows.binary_search(&&*k.show).is_ok_and(|at| at % 2 == half);
        println!("\n## Half {}", half + 1);
        report(&known.iter().filter(own).collect::<Vec<_>>());
    }
}

fn report(known: &[&Known]) {
    let stills: Vec<ImageEntry> = known.iter().map(|k| k.still.clone()).collect();
    println!("{} pictures", stills.len());
    let found = runs(&stills);
    neighbourhood(known, &found.iter().map(|run| run.start).collect::<Vec<_>>());
    let (joined, tried) = runs_by_chance(&stills, &found, 1);
    println!("joined with random ones of the part, in no run with them: {joined} of {tried}");
    let rule = Rule::default();
    let joined = found.into_iter().flat_map(|run| run.clone().map(move |i| (run.start, i)));
    let mut sets = videos(&stills, rule, joined);
    let altered = altered(&stills, rule, &mut sets, &|_| ());
    let part = |split| SetPart { set: 0, split };
    let parts = (part(Split::Test), part(Split::Train));
    verdicts(known, &leak(&stills, parts, (rule, &altered), &mut sets, 1).verdicts);
}

/// The pictures in stored order.
fn folder(corpus: &Path) -> Vec<Known> {
    let mut truth = csv::Reader::from_path(corpus.join("truth.csv")).expect("truth.csv");
    let mut rows: Vec<BTreeMap<String, String>> =
        truth.deserialize().collect::<Result<_, _>>().expect("rows");
    rows.sort_by_key(|r| (r["show"].clone(), r["person"].clone(), r["path"].clone()));
    let takes = rows.par_iter().enumerate().map(|(clip, row)| {
        let taken = take(&corpus.join(&row["path"]), &row["path"], &row["person"]);
        let moved = clip % 2 == 1;
        let frames = if moved { swung(&taken.frames, taken.fps) } else { taken.frames };
        let step = (taken.fps / RATE).round().max(1.0) as usize;
        let shots: Vec<&RgbImage> = frames.iter().step_by(step).collect();
        let n = shots.len();
        let known = shots.into_iter().enumerate().map(|(i, shot)| Known {
            still: still(shot, &format!("{clip:05}/{i:03}"), split(clip, i, n)),
            clip,
            show: row["show"].clone(),
            person: row["person"].clone(),
            swung: moved,
        });
        known.collect::<Vec<_>>()
    });
    let mut all: Vec<Known> = takes.collect::<Vec<_>>().into_iter().flatten().collect();
    all.sort_by(|a, b| {
        let key = |k: &Known| (k.still.split, k.still.emotion, k.still.id.clone());
        key(a).cmp(&key(b))
    });
    all
}

/// One clip to train, one to test, one by position.
fn split(clip: usize, picture: usize, of: usize) -> Split {
    match clip / 2 % 3 {
        0 => Split::Train,
        1 => Split::Test,
        _ if 3 * picture < 2 * of => Split::Train,
        _ => Split::Test,
    }
}

fn still(shot: &RgbImage, id: &str, split: Split) -> ImageEntry {
    let bytes = encode_jpeg(shot, QUALITY).expect("JPEG");
    let shot = decode_rgb(&bytes).expect("JPEG");
    ImageEntry {
        id: id.into(),
        set: 0,
        split,
        emotion: Emotion::Neutral,
        video: None,
        sha256: digest::sha256_hex(&bytes),
        hash: hash_of(&shot),
        look: Some(ThumbnailFeatures::new(&thumbnail(&shot))),
        view: Some(View::of(&planted::grey(&shot), KEYPOINTS)),
    }
}

/// How many neighbours are joined: those of one clip, and those of two.
fn neighbourhood(known: &[&Known], starts: &[usize]) {
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut scores: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for (i, pair) in known.windows(2).enumerate() {
        let [a, b] = pair else { continue };
        if !neighbours(&a.still, &b.still) {
            continue;
        }
        let kind = match () {
            () if a.clip == b.clip && a.swung => "1 one clip, swinging camera",
            () if a.clip == b.clip => "0 one clip, still camera",
            () if a.person == b.person => "2 two clips, same set and actor",
            () if a.show == b.show => "3 two clips, same set",
            () => "4 two clips, other sets",
        };
        let count = counts.entry(kind).or_default();
        count.0 += usize::from(starts.binary_search(&(i + 1)).is_err());
        count.1 += 1;
        let looks = a.still.look.as_ref().zip(b.still.look.as_ref());
        let score = looks.map(|(a, b)| (a.background(b), a.panned(b)));
        scores.entry(kind).or_default().extend(score);
    }
    quantiles(&scores);
    println!("\n| neighbours | joined | of | share |\n| --- | --: | --: | --: |");
    for (kind, (joined, of)) in &counts {
        println!("| {} | {joined} | {of} | {:.4} |", &kind[2..], *joined as f64 / *of as f64);
    }
    let sum = |digits: &str| {
        let of = counts.iter().filter(|(kind, _)| digits.contains(&kind[..1]));
        of.map(|(_, (joined, _))| joined).sum::<usize>() as f64
    };
    println!("precision of joins: {:.4}", sum("01") / sum("01234"));
}

/// How the backgrounds of neighbours correlate, as they lie and with the best shift.
fn quantiles(scores: &BTreeMap<&str, Vec<(f64, f64)>>) {
    println!("\n| neighbours | measure | least | 5 % | median | 95 % | most |\n| --- | --- | --: | --: | --: | --: | --: |");
    for (kind, scores) in scores {
        for (name, of) in [("as they lie", 0), ("shifted", 1)] {
            let mut sorted: Vec<f64> =
                scores.iter().map(|s| if of == 0 { s.0 } else { s.1 }).collect();
            sorted.sort_by(f64::total_cmp);
            let at = |q: f64| sorted[((sorted.len() - 1) as f64 * q).round() as usize];
            let cells = [0.0, 0.05, 0.5, 0.95, 1.0].map(|q| format!("{:.4}", at(q)));
            println!("| {} | {name} | {} |", &kind[2..], cells.join(" | "));
        }
    }
}

/// How many test pictures whose clip is in train are told, and how many others.
fn verdicts<T>(
    known: &[&Known],
    verdicts: &[ncaers::internals::similarity::leak::MemberVerdict<T>],
) {
    let in_train: std::collections::BTreeSet<usize> =
        known.iter().filter(|k| k.still.split == Split::Train).map(|k| k.clip).collect();
    println!("\n| test pictures | of | near-duplicate | same video |\n| --- | --: | --: | --: |");
    for (name, leaked, swung) in [
        ("clip is in train, still camera", true, false),
        ("clip is in train, swinging camera", true, true),
        ("clip is not in train, still camera", false, false),
        ("clip is not in train, swinging camera", false, true),
    ] {
        let own = |v: &&ncaers::internals::similarity::leak::MemberVerdict<T>| {
            let k = &known[v.member];
            in_train.contains(&k.clip) == leaked && k.swung == swung
        };
        let of: Vec<_> = verdicts.iter().filter(own).collect();
        let near = of.iter().filter(|v| !v.near_duplicates.is_empty()).count();
        let video = of.iter().filter(|v| v.same_video).count();
        println!("| {name} | {} | {near} | {video} |", of.len());
    }
}
