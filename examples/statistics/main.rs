//! The figures of `docs/measurements/statistics.md`: how often each test rejects a true null
//! hypothesis, how often a table's best row is bold, and how long a comparison takes.
//!
//! `cargo run --release --example statistics -- errors`, `-- verdicts` or `-- speed`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what it prints is its result")]
use std::time::Instant;

use ncaers::{
    internals::{
        metric::Evaluation,
        seed::Draws,
        stats::{
            answers::Answers,
            clusters::{clustered_error, Clusters},
            comparison::{compare, ComparisonOptions, Contestant},
            interval,
            margins::Margins,
            mcnemar, mh,
            signflip::SignFlip,
            table::ContingencyTable,
            tail::PValue,
        },
    },
    record::{Prediction, NUM_CLASSES},
};

mod verdicts;

/// Frames per clip.
const FRAMES: usize = 5;
/// Simulated data sets per line.
const ROUNDS: usize = 4_000;
/// Sign flips per simulated test.
const FLIPS: usize = 399;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("errors") => errors(),
        Some("speed") => speed(),
        Some("verdicts") => verdicts::verdicts(),
        _ => eprintln!("usage: statistics errors|speed|verdicts"),
    }
}

/// Labels of two models that are exchangeable inside every clip: a frame repeats its clip's pair
/// of labels with probability `rho`, else it has a pair of its own.
fn exchangeable(draws: &mut Draws, clips: usize, rho: f64) -> (Vec<u8>, Vec<u8>) {
    let mut of_clip = (0, 0);
    let frame = |i: usize| {
        let own = (draws.below(7) as u8, draws.below(7) as u8);
        if i.is_multiple_of(FRAMES) {
            of_clip = own;
        }
        if draws.chance(rho) {
            of_clip
        } else {
            own
        }
    };
    (0..clips * FRAMES).map(frame).unzip()
}

fn clusters(clips: usize) -> Clusters {
    let ids: Vec<String> = (0..clips * FRAMES).map(|i| format!("{:04}", i / FRAMES)).collect();
    Clusters::by_id(ids.iter().map(String::as_str))
}

/// Percentages of false rejections at 5 % of every test of margins and of accuracies, and how
/// often the clustered interval of the difference misses the true difference, 0.
fn errors() {
    println!("| clips | rho | Stuart-Maxwell | sign flip | raw | Obuchowski | Yang | Durkalski | McNemar mid-p | sign flip | interval |");
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for (clips, rho) in [(12, 0.8), (60, 0.0), (60, 0.5), (60, 0.8), (200, 0.8)] {
        let groups = clusters(clips);
        let mut draws = Draws::new(1, "errors", &format!("{clips} {rho}"));
        let mut hits = [0usize; 9];
        for round in 0..ROUNDS {
            let (a, b) = exchangeable(&mut draws, clips, rho);
            let rejected = rejections(&a, &b, &groups, round as u64, &mut draws);
            hits.iter_mut().zip(rejected).for_each(|(n, r)| *n += usize::from(r));
        }
        let rates: Vec<String> =
            hits.iter().map(|&n| format!("{:.1}", 100.0 * n as f64 / ROUNDS as f64)).collect();
        println!("| {clips} | {rho} | {} |", rates.join(" | "));
    }
}

fn rejections(a: &[u8], b: &[u8], groups: &Clusters, seed: u64, draws: &mut Draws) -> [bool; 9] {
    let rejects = |p: PValue| p.p() <= 0.05;
    let table = ContingencyTable::of_pairs(NUM_CLASSES, a.iter().copied().zip(b.iter().copied()));
    let margins = Margins::new(NUM_CLASSES, a, b, groups);
    let forms = margins.forms();
    let form = |f: Option<mh::ChiSquare>| f.is_some_and(|f| rejects(f.p));
    // The truth is a label per clip.
    let truth: Vec<u8> = groups.sizes().iter().map(|_| draws.below(7) as u8).collect();
    let right = |labels: &[u8]| -> Vec<u8> {
        let hit = |(&label, &c): (&u8, &usize)| u8::from(label == truth[c]);
        labels.iter().zip(groups.of_row()).map(hit).collect()
    };
    let (of_a, of_b) = (right(a), right(b));
    let only = |x: &[u8], y: &[u8]| x.iter().zip(y).filter(|(x, y)| x > y).count() as u64;
    let (wins, losses) = (only(&of_a, &of_b), only(&of_b, &of_a));
    let sums = groups.sums(|row| i64::from(of_a[row]) - i64::from(of_b[row]));
    let missed = clustered_error(&sums, groups.sizes(), wins + losses)
        .and_then(|e| interval::clustered_difference(e.mean, e.cr1, groups.len()))
        .is_some_and(|i| i.lo > 0.0 || i.hi < 0.0);
    [
        rejects(mh::stuart_maxwell(&table).p),
        rejects(SignFlip::of(&margins, FLIPS, seed).p),
        form(forms.raw),
        form(forms.obuchowski),
        form(forms.yang),
        form(forms.durkalski),
        rejects(mcnemar::mcnemar(wins, losses).mid_p),
        rejects(SignFlip::of(&Margins::new(2, &of_a, &of_b, groups), FLIPS, seed).p),
        missed,
    ]
}

/// Seconds of a comparison with 9,999 sign flips and 9,999 bootstrap draws.
fn speed() {
    println!("| models | rows | rows per clip | seconds |");
    println!("|---|---|---|---|");
    for (models, rows, per_clip) in [
        (15, 5_000, 5),
        (15, 10_000, 5),
        (15, 20_000, 5),
        (15, 40_000, 5),
        (15, 80_000, 5),
        (15, 20_000, 1),
        (4, 20_000, 5),
    ] {
        let all: Vec<(String, Answers)> = (0..models)
            .map(|m| (m.to_string(), Answers::of_predictions(&made_up(m, rows, per_clip))))
            .collect();
        let start = Instant::now();
        let contestants: Vec<Contestant> = all
            .iter()
            .map(|(name, answers)| Contestant { name, configuration: name, answers })
            .collect();
        let comparison =
            compare(&contestants, &ComparisonOptions::default()).expect("same samples");
        let seconds = start.elapsed().as_secs_f64();
        assert_eq!(comparison.pairs.len(), models * (models - 1) / 2);
        println!("| {models} | {rows} | {per_clip} | {seconds:.2} |");
    }
    for rows in [5_000, 20_000, 80_000] {
        let answers = Answers::of_predictions(&made_up(0, rows, 5));
        let start = Instant::now();
        let evaluation = Evaluation::of(&answers);
        let seconds = start.elapsed().as_secs_f64();
        println!("evaluate {} rows: {seconds:.2} s", evaluation.n);
    }
}

fn made_up(model: usize, rows: usize, per_clip: usize) -> Vec<Prediction> {
    let mut draws = Draws::new(1, "speed", &model.to_string());
    let row = |i: usize| {
        let clip_id = format!("test/Anger/{:06}", i / per_clip);
        let target = (i / per_clip % 7) as u8;
        let predicted = if draws.chance(0.45) { target } else { draws.below(7) as u8 };
        Prediction {
            sample_id: format!("{clip_id}/{:03}", i % per_clip),
            group_id: clip_id.clone(),
            clip_id,
            target,
            predicted,
            logits: [0.0; NUM_CLASSES],
            w_face: None,
            w_context: None,
        }
    };
    (0..rows).map(row).collect()
}
