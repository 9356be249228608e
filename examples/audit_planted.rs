//! Recall and precision of the audit on planted copies of a corpus's clips.
//!
//! `cargo run --release --example audit_planted -- CORPUS [MOST_CLIPS]`
//!
//! CORPUS is a folder as `ncaers demo-corpus` writes it (`truth.csv` names show and person of every
//! clip). Thresholds are looked for on every other clip and reported on the rest.
use std::{collections::BTreeMap, path::Path};

use ncaers::audit::{align, hash, Member};
use rayon::prelude::*;

#[path = "../tests/common/planted.rs"]
mod planted;
use planted::{copy, hash_of, take, Kind, Take, KINDS};

/// A clip without its pictures.
struct Original {
    scene: String,
    signature: Vec<u64>,
    /// Hash of the picture in the middle.
    still: u64,
    /// Hashes of the first picture and of those one and two seconds later.
    moments: Vec<u64>,
}

/// A copy beside its original: which kind, and what it became.
struct Planted {
    origin: usize,
    kind: usize,
    signature: Vec<u64>,
    still: u64,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let corpus = arguments.next().expect("usage: planted CORPUS [MOST_CLIPS]");
    let most = arguments.next().map_or(usize::MAX, |n| n.parse().expect("a number"));
    let folder = tempfile::tempdir().expect("temp dir");
    let rows = rows(Path::new(&corpus), most);
    let plant = |(origin, row): (usize, &BTreeMap<String, String>)| {
        let take = take(&Path::new(&corpus).join(&row["path"]), &row["path"], &row["person"]);
        let copies: Vec<Planted> = (0..KINDS.len())
            .filter_map(|kind| {
                let copy = copy(&take, KINDS[kind].1, &folder.path().join(kind.to_string()))?;
                let still = middle(&copy);
                Some(Planted { origin, kind, signature: copy.signature, still })
            })
            .collect();
        let second = take.fps.round() as usize;
        let moments = take.frames.iter().step_by(second).take(3).map(hash_of).collect();
        let still = middle(&take);
        (Original { scene: take.scene, signature: take.signature, still, moments }, copies)
    };
    let (takes, planted): (Vec<Original>, Vec<Vec<Planted>>) =
        rows.par_iter().enumerate().map(plant).unzip();
    let planted: Vec<Planted> = planted.into_iter().flatten().collect();
    for half in 0..2 {
        println!("\n# clips, half {half}");
        clips(&takes, &planted, half);
        println!("\n# stills, half {half}");
        stills(&takes, &planted, half);
    }
}

fn middle(take: &Take) -> u64 {
    hash_of(&take.frames[take.frames.len() / 2])
}

/// At most `most` clips, evenly over the corpus.
fn rows(corpus: &Path, most: usize) -> Vec<BTreeMap<String, String>> {
    let mut truth = csv::Reader::from_path(corpus.join("truth.csv")).expect("truth.csv");
    let rows: Vec<BTreeMap<String, String>> =
        truth.deserialize().collect::<Result<_, _>>().expect("rows");
    let step = rows.len().div_ceil(most.min(rows.len()));
    rows.into_iter().step_by(step).collect()
}

/// Distances of positives and negatives of one kind.
#[derive(Default)]
struct Scores {
    copies: Vec<f64>,
    hard: Vec<f64>,
    easy: Vec<f64>,
}

impl Scores {
    fn line(&mut self, name: &str) -> String {
        let quantile = |values: &mut Vec<f64>, q: f64| {
            values.sort_by(f64::total_cmp);
            values
                .get(((values.len() as f64 - 1.0) * q).round() as usize)
                .copied()
                .unwrap_or(f64::NAN)
        };
        let [p50, p95, p99, max] = [0.5, 0.95, 0.99, 1.0].map(|q| quantile(&mut self.copies, q));
        let [h0, h1, h5] = [0.0, 0.01, 0.05].map(|q| quantile(&mut self.hard, q));
        let [e0, e1] = [0.0, 0.01].map(|q| quantile(&mut self.easy, q));
        format!(
            "{name:34} copies {:4} p50 {p50:5.2} p95 {p95:5.2} p99 {p99:5.2} max {max:5.2} | hard {:5} min {h0:5.2} p1 {h1:5.2} p5 {h5:5.2} | easy {:6} min {e0:5.2} p1 {e1:5.2}",
            self.copies.len(), self.hard.len(), self.easy.len()
        )
    }
}

fn clips(takes: &[Original], planted: &[Planted], half: usize) {
    let mut joined = BTreeMap::<&str, [usize; 4]>::new();
    for (k, (family, kind)) in KINDS.iter().enumerate() {
        let mut scores = Scores::default();
        let counts = joined.entry(family).or_default();
        for p in planted.iter().filter(|p| p.kind == k && p.origin % 2 == half) {
            for (t, take) in takes.iter().enumerate().filter(|(t, _)| t % 2 == half) {
                let Some(found) = align::best(&take.signature, &p.signature) else { continue };
                let linked = linked(&take.signature, &p.signature);
                if t == p.origin {
                    scores.copies.push(found.mean_distance);
                    counts[0] += 1;
                    counts[1] += usize::from(linked);
                } else if take.scene == takes[p.origin].scene {
                    scores.hard.push(found.mean_distance);
                    counts[2] += usize::from(linked);
                } else {
                    scores.easy.push(found.mean_distance);
                    counts[3] += usize::from(linked);
                }
            }
        }
        println!("{}", scores.line(&format!("{family} {kind:?}")));
    }
    println!("kind          copies  found  recall  false(hard)  false(other)  precision");
    for (family, [copies, found, hard, easy]) in joined {
        let precision = found as f64 / (found + hard + easy).max(1) as f64;
        let recall = found as f64 / copies as f64;
        println!(
            "{family:12} {copies:7} {found:6}  {recall:6.4} {hard:12} {easy:13}  {precision:9.4}"
        );
    }
}

/// Whether grouping joins the two.
fn linked(a: &[u64], b: &[u64]) -> bool {
    let member = |clip_id, signature| Member { clip_id, sha256: None, signature: Some(signature) };
    ncaers::audit::groups(&[member("a", a), member("b", b)]).first[1] == 0
}

fn stills(takes: &[Original], planted: &[Planted], half: usize) {
    for (k, (family, kind)) in KINDS.iter().enumerate() {
        if matches!(kind, Kind::Trimmed(..)) {
            continue;
        }
        let mut scores = Scores::default();
        for p in planted.iter().filter(|p| p.kind == k && p.origin % 2 == half) {
            for (t, take) in takes.iter().enumerate().filter(|(t, _)| t % 2 == half) {
                let d = hash::distance(take.still, p.still)
                    .min(hash::distance(take.still, hash::mirrored(p.still)));
                let list = if t == p.origin {
                    &mut scores.copies
                } else if take.scene == takes[p.origin].scene {
                    &mut scores.hard
                } else {
                    &mut scores.easy
                };
                list.push(f64::from(d));
            }
        }
        println!("{}", scores.line(&format!("{family} {kind:?}")));
    }
    let mut moments = Scores::default();
    for take in takes.iter().skip(half).step_by(2) {
        let later = take.moments[1..].iter();
        moments.hard.extend(later.map(|h| f64::from(hash::distance(take.moments[0], *h))));
    }
    println!("{}", moments.line("same shot, 1 to 2 s later"));
}
