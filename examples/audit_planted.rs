//! Recall and precision of the audit on planted copies of a corpus's clips.
//!
//! `cargo run --release --example audit_planted -- CORPUS MOST_CLIPS [CACHE]`
//!
//! CORPUS is a folder as `ncaers demo-corpus` writes it (`truth.csv` names show and person of every
//! clip). Half of the clips are swung as by a moving camera. People take turns between two halves;
//! thresholds are looked for on the first and recall and precision reported on the second. CACHE is
//! a JSON file that keeps what the encoded copies became.
use std::{collections::BTreeMap, path::Path};

use image::RgbImage;
use ncaers::{
    media::{encode::Codec, image::decode_rgb, image::encode_jpeg},
    record::{Emotion, Split},
    similarity::{
        align::{self, Phase},
        features::ThumbnailFeatures,
        hash,
        images::{self, Rule},
        windows::{self, window_difference, Sought, WINDOWS},
        Member,
    },
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

#[path = "../tests/it/common/planted.rs"]
mod planted;
use planted::{copy, encoded, hash_of, swung, take, Kind, Take, KINDS};

/// What is done to stills themselves: family, shares of width and height that are cut off, where
/// the rest lies (0 at the left and top, 1 at the right and bottom), JPEG quality.
const STILLS: [(&str, [f64; 2], [f64; 2], u8); 9] = [
    ("jpeg", [0.0, 0.0], [0.0, 0.0], 75),
    ("jpeg", [0.0, 0.0], [0.0, 0.0], 30),
    ("cropped anywhere", [0.037, 0.037], [0.3, 0.6], 85),
    ("cropped anywhere", [0.061, 0.061], [0.85, 0.2], 85),
    ("cropped anywhere", [0.088, 0.088], [0.45, 0.7], 85),
    ("cropped 15 %", [0.15, 0.15], [0.5, 0.5], 85),
    ("cropped one side", [0.06, 0.0], [0.5, 0.0], 85),
    ("cropped one side", [0.0, 0.06], [0.0, 0.5], 85),
    ("cropped one side", [0.0, 0.12], [0.0, 0.5], 85),
];
/// Kinds that come of the video; those of stills follow.
const VIDEO: usize = KINDS.len();

/// What a clip became.
#[derive(Serialize, Deserialize)]
struct Seen {
    signature: Vec<u64>,
    still: ImageEntry,
}

/// The picture in the middle of a clip.
#[derive(Serialize, Deserialize)]
struct ImageEntry {
    whole: u64,
    cells: Vec<u8>,
}

/// A clip with its copies, by kind.
#[derive(Serialize, Deserialize)]
struct Original {
    show: String,
    person: String,
    swung: bool,
    own: Seen,
    /// Hashes of the first picture and of those one and two seconds later.
    moments: Vec<u64>,
    copies: Vec<(usize, Seen)>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [corpus, most, cache @ ..] = arguments.as_slice() else {
        panic!("usage: audit_planted CORPUS MOST_CLIPS [CACHE]");
    };
    let cache = cache.first().map(Path::new);
    let all: Vec<Original> = match cache.filter(|c| c.exists()) {
        Some(cache) => {
            serde_json::from_slice(&std::fs::read(cache).expect("readable")).expect("a cache")
        }
        None => plant(Path::new(corpus), most.parse().expect("a number")),
    };
    if let Some(cache) = cache.filter(|c| !c.exists()) {
        std::fs::write(cache, serde_json::to_vec(&all).expect("JSON")).expect("writable");
    }
    let mut people: Vec<&str> = all.iter().map(|o| &*o.person).collect();
    people.dedup();
    let halves = [0, 1].map(|half| {
        let of =
            |o: &&Original| people.iter().position(|p| *p == o.person).expect("known") % 2 == half;
        all.iter().filter(of).collect::<Vec<_>>()
    });
    report::clips(&halves);
    report::stills(&halves);
}

/// Encodes and decodes all copies.
fn plant(corpus: &Path, most: usize) -> Vec<Original> {
    let folder = tempfile::tempdir().expect("temp dir");
    let rows = rows(corpus, most);
    rows.par_iter().enumerate().map(|(i, row)| original(corpus, folder.path(), i, row)).collect()
}

/// At most `most` clips, those of one person together, people with several clips first.
fn rows(corpus: &Path, most: usize) -> Vec<BTreeMap<String, String>> {
    let mut truth = csv::Reader::from_path(corpus.join("truth.csv")).expect("truth.csv");
    let rows: Vec<BTreeMap<String, String>> =
        truth.deserialize().collect::<Result<_, _>>().expect("rows");
    let mut by_person: BTreeMap<String, Vec<_>> = BTreeMap::new();
    rows.into_iter().for_each(|r| by_person.entry(r["person"].clone()).or_default().push(r));
    let mut people: Vec<Vec<_>> = by_person.into_values().collect();
    people.sort_by_key(|takes| std::cmp::Reverse(takes.len()));
    people.into_iter().flatten().take(most).collect()
}

fn original(corpus: &Path, folder: &Path, i: usize, row: &BTreeMap<String, String>) -> Original {
    let mut film = take(&corpus.join(&row["path"]), &format!("{i}"), &row["person"]);
    let swung_too = i % 4 >= 2;
    if swung_too {
        let frames = swung(&film.frames, film.fps);
        film = encoded(&film, frames, Codec::Mpeg4, 4, folder).expect("pictures");
    }
    let video = (0..VIDEO).filter_map(|kind| {
        let folder = folder.join(kind.to_string());
        Some((kind, seen(&copy(&film, KINDS[kind].1, &folder)?)))
    });
    let middle = &film.frames[film.frames.len() / 2];
    let stills = STILLS.iter().enumerate().map(|(k, &(_, removed, place, quality))| {
        let cut = cut(middle, removed, place);
        let picture = decode_rgb(&encode_jpeg(&cut, quality).expect("JPEG")).expect("JPEG");
        (VIDEO + k, Seen { signature: Vec::new(), still: still(&picture) })
    });
    let second = film.fps.round() as usize;
    Original {
        show: row["show"].clone(),
        person: row["person"].clone(),
        swung: swung_too,
        moments: film.frames.iter().step_by(second).take(3).map(hash_of).collect(),
        copies: video.chain(stills).collect(),
        own: seen(&film),
    }
}

fn seen(film: &Take) -> Seen {
    let still = still(&film.frames[film.frames.len() / 2]);
    Seen { signature: film.signature.clone(), still }
}

fn still(picture: &RgbImage) -> ImageEntry {
    let cells = planted::thumbnail(picture).cells().iter().map(|c| (c >> 8) as u8).collect();
    ImageEntry { whole: hash_of(picture), cells }
}

/// What remains of a picture.
fn cut(picture: &RgbImage, removed: [f64; 2], place: [f64; 2]) -> RgbImage {
    let sides = [picture.width(), picture.height()];
    let [w, h] = [0, 1].map(|i| (f64::from(sides[i]) * (1.0 - removed[i])).round() as u32);
    let [x, y] = [(0, w), (1, h)].map(|(i, left)| (f64::from(sides[i] - left) * place[i]) as u32);
    image::imageops::crop_imm(picture, x, y, w, h).to_image()
}

/// The name and family of a kind.
fn kind_of(kind: usize) -> (String, String) {
    match KINDS.get(kind) {
        Some((family, kind)) => ((*family).to_owned(), format!("{kind:?}")),
        None => {
            let (family, removed, _, quality) = STILLS[kind - VIDEO];
            (family.to_owned(), format!("{family} {removed:?} {quality}"))
        }
    }
}

mod report {
    //! Tables of what was found, by half.
    use super::*;

    /// How alike a copy and an original are that it was or was not made of.
    struct Pair {
        kind: usize,
        /// Made of it.
        copy: bool,
        /// Not made of it, but of the same set and actor.
        hard: bool,
        /// Of clips the mean with moments on each other, of stills the bits.
        on: f64,
        /// Of clips the mean with moments between each other, of stills the difference of looks.
        between: f64,
        /// Of stills the difference of the likest window.
        window: f64,
        found: bool,
    }

    /// As in [`Pair`]: on, between, window, found.
    type Measures = (f64, f64, f64, bool);

    pub fn clips(halves: &[Vec<&Original>; 2]) {
        println!("\n## Clips");
        let [chosen, reported] = halves.each_ref().map(|half| {
            pairs(
                half,
                |own, other| {
                    let mean = |phase| {
                        let found = align::best(&own.signature, &other.signature, phase);
                        found.map_or(f64::INFINITY, |a| a.mean_distance)
                    };
                    let linked = linked(&own.signature, &other.signature);
                    (mean(Phase::On), mean(Phase::Between), f64::INFINITY, linked)
                },
                VIDEO,
            )
        });
        let in_phase = |p: &&Pair| {
            let first_four = kind_of(p.kind).0;
            let whole = matches!(KINDS[p.kind].1, Kind::Trimmed(s, _) if s % 0.5 != 0.0);
            !whole && ["re-encoded", "trimmed", "brightness", "mirrored"].contains(&&*first_four)
        };
        let off_phase =
            |p: &&Pair| matches!(KINDS[p.kind].1, Kind::Trimmed(s, _) if s % 0.5 != 0.0);
        threshold("on", &chosen, in_phase, |p| p.on);
        threshold("between", &chosen, off_phase, |p| p.between);
        println!("in use: {} and {}", align::MOST_MEAN, align::MOST_MEAN_BETWEEN);
        table("first half", &chosen);
        table("second half", &reported);
        table("both halves", chosen.iter().chain(&reported));
        spread(&reported);
    }

    /// The still as the audit sees it.
    fn seen(still: &ImageEntry) -> images::ImageEntry {
        images::ImageEntry {
            id: String::new(),
            set: 0,
            split: Split::Test,
            emotion: Emotion::Neutral,
            video: None,
            sha256: String::new(),
            hash: still.whole,
            look: Some(ThumbnailFeatures::of_cells(still.cells.clone())),
        }
    }

    pub fn stills(halves: &[Vec<&Original>; 2]) {
        println!("\n## Stills");
        let [chosen, reported] = halves.each_ref().map(|half| {
            let all = pairs(
                half,
                |own, other| {
                    let (own, other) = (seen(&own.still), seen(&other.still));
                    let bits = nearest(own.hash, other.hash);
                    let looks = own.look.as_ref().zip(other.look.as_ref());
                    let difference = looks
                        .filter(|_| bits <= images::RADIUS)
                        .map(|(a, b)| a.difference(b, false).min(a.difference(b, true)));
                    let window = match difference {
                        Some(found) if found <= images::SAME_PICTURE => f64::INFINITY,
                        _ => likest_window(&own, &other).min(likest_window(&other, &own)),
                    };
                    let found = Rule::default().judge(&own, &other).is_some();
                    (f64::from(bits), difference.unwrap_or(f64::INFINITY), window, found)
                },
                VIDEO + STILLS.len(),
            );
            let still = |p: &Pair| p.kind >= VIDEO || !matches!(KINDS[p.kind].1, Kind::Trimmed(..));
            all.into_iter().filter(still).collect::<Vec<_>>()
        });
        let cropped = |p: &Pair| kind_of(p.kind).0.starts_with("cropped");
        let logo = |p: &Pair| kind_of(p.kind).0.starts_with("logo");
        threshold("difference", &chosen, |p| !p.copy || !cropped(p) && !logo(p), |p| p.between);
        threshold("window", &chosen, |p| !p.copy || cropped(p), |p| p.window);
        println!(
            "in use: {} bits, difference {}, window {}",
            images::RADIUS,
            images::SAME_PICTURE,
            images::SAME_WINDOW
        );
        table("first half", &chosen);
        table("second half", &reported);
        table("both halves", chosen.iter().chain(&reported));
        spread(&reported);
        println!("\nby hash alone, as `import` groups stills");
        let alone = |p: &Pair| Pair { found: p.on <= align::MOST_MEAN, ..*p };
        let alone: Vec<Pair> = chosen.iter().chain(&reported).map(alone).collect();
        table("both halves", &alone);
        for (name, swung) in [("still camera", false), ("swinging camera", true)] {
            let mut later: Vec<u32> = halves
                .iter()
                .flatten()
                .filter(|o| o.swung == swung)
                .flat_map(|o| o.moments[1..].iter().map(|h| hash::distance(o.moments[0], *h)))
                .collect();
            later.sort_unstable();
            let q = |q: f64| later[((later.len() - 1) as f64 * q) as usize];
            println!(
                "same shot 1 to 2 s later, {name}: median {} p95 {} of {}",
                q(0.5),
                q(0.95),
                later.len()
            );
        }
    }

    /// The smallest difference of a part and the windows whose hash is near to its own.
    fn likest_window(whole: &images::ImageEntry, part: &images::ImageEntry) -> f64 {
        let Some((look, other)) = whole.look.as_ref().zip(part.look.as_ref()) else {
            return f64::INFINITY;
        };
        let hashes = windows::hashes(look).into_iter().zip(WINDOWS.iter());
        let both = hashes.flat_map(|(h, w)| [(h, w, false), (hash::mirrored(h), w, true)]);
        let bits = |(h, window, turned)| {
            let bits = hash::distance(h, part.hash);
            (h != hash::UNINFORMATIVE && bits <= images::WINDOW_RADIUS)
                .then_some((bits, window, turned))
        };
        let mut near: Vec<(u32, &windows::Window, bool)> = both.filter_map(bits).collect();
        near.sort_by_key(|(bits, ..)| *bits);
        near.into_iter()
            .take(4)
            .map(|(_, window, turned)| {
                window_difference(look, *window, &Sought::new(other, turned), 0.0)
            })
            .fold(f64::INFINITY, f64::min)
    }

    fn nearest(a: u64, b: u64) -> u32 {
        hash::distance(a, b).min(hash::distance(a, hash::mirrored(b)))
    }

    fn pairs(
        half: &[&Original],
        measure: impl Fn(&Seen, &Seen) -> Measures + Sync,
        kinds: usize,
    ) -> Vec<Pair> {
        let of = |origin: usize| {
            let copies = half[origin].copies.iter().filter(|(kind, _)| *kind < kinds);
            copies
                .flat_map(|(kind, seen)| {
                    half.iter()
                        .enumerate()
                        .map(|(t, other)| {
                            let (on, between, window, found) = measure(&other.own, seen);
                            let hard = other.person == half[origin].person && t != origin;
                            Pair {
                                kind: *kind,
                                copy: t == origin,
                                hard,
                                on,
                                between,
                                window,
                                found,
                            }
                        })
                        .collect::<Vec<_>>()
                })
                .collect::<Vec<_>>()
        };
        (0..half.len()).into_par_iter().flat_map_iter(of).collect()
    }

    /// The middle of the widest gap among thresholds with the best F1.
    fn threshold<'a>(
        name: &str,
        pairs: &'a [Pair],
        of: impl Fn(&&'a Pair) -> bool,
        score: impl Fn(&Pair) -> f64,
    ) {
        let mut scores: Vec<(f64, bool)> =
            pairs.iter().filter(of).map(|p| (score(p), p.copy)).collect();
        scores.sort_by(|a, b| a.0.total_cmp(&b.0));
        let copies = scores.iter().filter(|s| s.1).count() as f64;
        let (mut hits, mut best) = (0.0, (0.0, 0.0, 0.0));
        for (i, (value, copy)) in scores.iter().enumerate() {
            hits += f64::from(u8::from(*copy));
            let next = scores.get(i + 1).map_or(*value, |n| n.0);
            let f1 = 2.0 * hits / (copies + i as f64 + 1.0);
            if next > *value && f1 > best.0 {
                best = (f1, *value, next);
            }
        }
        println!(
            "{name}: best F1 {:.4} from {:.3} up to {:.3}: {:.3}",
            best.0,
            best.1,
            best.2,
            (best.1 + best.2) / 2.0
        );
    }

    fn table<'a>(title: &str, pairs: impl IntoIterator<Item = &'a Pair>) {
        println!("\n{title}\n\n| kind | copies | found | recall | false, same set and actor | false, others | precision |");
        println!("| --- | --: | --: | --: | --: | --: | --: |");
        let mut families: Vec<(String, [usize; 6])> = Vec::new();
        for pair in pairs {
            let family = kind_of(pair.kind).0;
            let at = families.iter().position(|(f, _)| *f == family).unwrap_or_else(|| {
                families.push((family, [0; 6]));
                families.len() - 1
            });
            let counts = &mut families[at].1;
            let slot = if pair.copy {
                0
            } else if pair.hard {
                2
            } else {
                4
            };
            counts[slot] += 1;
            counts[slot + 1] += usize::from(pair.found);
        }
        for (family, [copies, found, hard, false_hard, easy, false_easy]) in families {
            let precision = found as f64 / (found + false_hard + false_easy).max(1) as f64;
            let recall = found as f64 / copies as f64;
            println!("| {family} | {copies} | {found} | {recall:.4} | {false_hard} of {hard} | {false_easy} of {easy} | {precision:.4} |");
        }
    }

    fn spread(pairs: &[Pair]) {
        println!("\n| kind | measure | median copy | p95 | p99 | max | min, same set and actor | p1 | min, others |\n| --- | --- | --: | --: | --: | --: | --: | --: | --: |");
        let kinds: std::collections::BTreeSet<usize> = pairs.iter().map(|p| p.kind).collect();
        for kind in kinds {
            for (name, score) in [
                ("first", (|p: &Pair| p.on) as fn(&Pair) -> f64),
                ("second", |p| p.between),
                ("window", |p| p.window),
            ] {
                let sorted = |of: fn(&Pair) -> bool| {
                    let mut v: Vec<f64> =
                        pairs.iter().filter(|p| p.kind == kind && of(p)).map(score).collect();
                    v.sort_by(f64::total_cmp);
                    move |q: f64| {
                        v.get(((v.len() as f64 - 1.0) * q).round() as usize)
                            .copied()
                            .unwrap_or(f64::NAN)
                    }
                };
                let (copies, hard) = (sorted(|p| p.copy), sorted(|p| p.hard));
                let easy = sorted(|p| !p.copy && !p.hard);
                println!(
                    "| {} | {name} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} |",
                    kind_of(kind).1,
                    copies(0.5),
                    copies(0.95),
                    copies(0.99),
                    copies(1.0),
                    hard(0.0),
                    hard(0.01),
                    easy(0.0)
                );
            }
        }
    }

    /// Whether grouping joins the two.
    fn linked(a: &[u64], b: &[u64]) -> bool {
        let member =
            |clip_id, signature| Member { clip_id, sha256: None, signature: Some(signature) };
        ncaers::similarity::groups(&[member("a", a), member("b", b)]).first[1] == 0
    }
}
