use std::path::PathBuf;

use serde_json::Value;

use super::*;
use crate::{
    record::{Split, NUM_CLASSES},
    report::{
        imported::ImportedRun,
        study::{Predictions, Run},
    },
    runs::RunFolder,
};

/// A verdict over the configurations 0 to 3, of which 1 has the highest mean.
fn found(
    beaten: &[usize],
    equivalent: &[usize],
    undecided: &[usize],
    untested: &[usize],
) -> pooled::PoolVerdict {
    pooled::PoolVerdict {
        best: 1,
        beaten: beaten.to_vec(),
        equivalent: equivalent.to_vec(),
        undecided: undecided.to_vec(),
        untested: untested.to_vec(),
        behind_these_weights: Vec::new(),
        largest_p: None,
        weights_only: false,
        largest_weights_p: None,
    }
}

fn marks_of(found: &pooled::PoolVerdict) -> ([&'static str; 4], bool, String) {
    let label = |i: usize| ["a", "best", "c", "d"][i];
    let note = note(label, Some(0.02), found);
    let verdict = BestVerdict { found: found.clone(), note };
    let strong = (0..4).filter(|&i| verdict.is_strong(i)).collect::<Vec<_>>();
    assert!(strong.is_empty() || strong == [1], "{strong:?}");
    ([0, 1, 2, 3].map(|i| verdict.mark(i)), strong == [1], verdict.note)
}

#[test]
fn bold_is_the_best_that_beats_all_others() {
    let (marks, strong, note) = marks_of(&found(&[0, 2, 3], &[], &[], &[]));
    assert_eq!((marks, strong), ([""; 4], true));
    assert!(note.starts_with("Bold: the best; it is ahead of every other"), "{note}");
}

#[test]
fn one_that_is_not_told_apart_takes_the_bold_away_and_both_are_marked() {
    let (marks, strong, note) = marks_of(&found(&[0, 3], &[], &[2], &[]));
    assert_eq!((marks, strong), (["", " ≈", " ≈", ""], false));
    assert!(note.contains("not shown to be ahead of c ("), "{note}");
    assert!(!note.contains("cannot be tested"), "{note}");
}

#[test]
fn one_that_cannot_be_tested_is_a_tie_and_says_why() {
    let (marks, strong, note) = marks_of(&found(&[0], &[], &[], &[2, 3]));
    assert_eq!((marks, strong), (["", " ≈", " ≈", " ≈"], false));
    assert!(note.contains("its weights are not shown to be ahead of c; d, and"), "{note}");
    // What is behind these weights is no tie, though of other seeds nothing is known.
    let some =
        pooled::PoolVerdict { behind_these_weights: vec![3], ..found(&[0], &[], &[], &[2, 3]) };
    let (at, strong, note) = marks_of(&some);
    assert_eq!((at, strong), (["", " ≈", " ≈", ""], false));
    assert!(note.contains("not shown to be ahead of c, and"), "{note}");
    assert!(note.contains("These weights of best are ahead of d on other videos"), "{note}");
}

#[test]
fn as_good_within_the_margin_is_another_mark_than_a_tie() {
    let (at, strong, note) = marks_of(&found(&[0], &[2, 3], &[], &[]));
    assert_eq!((at, strong), (["", " ≡", " ≡", " ≡"], false));
    assert!(note.contains("as good as best within 2 points: c; d"), "{note}");
    // With a tie beside it the best leads a tie.
    let (at, ..) = marks_of(&found(&[], &[0], &[2], &[3]));
    assert_eq!(at, [" ≡", " ≈", " ≈", " ≈"]);
}

#[test]
fn these_weights_only_marks_the_best_alone() {
    let weights = pooled::PoolVerdict { weights_only: true, ..found(&[0], &[], &[2], &[3]) };
    let (at, strong, note) = marks_of(&weights);
    assert_eq!((at, strong), (["", " †", "", ""], false));
    assert!(note.starts_with("† these weights only: best is ahead"), "{note}");
    // A bound has a sign of its own.
    let bound = pooled::PoolVerdict { largest_weights_p: Some(PValue::at_most(3e-4)), ..weights };
    assert!(marks_of(&bound).2.contains("largest p: <= 3.00e-4)"), "{}", marks_of(&bound).2);
    // What is strong needs no such mark.
    let all = pooled::PoolVerdict { weights_only: true, ..found(&[0, 2, 3], &[], &[], &[]) };
    assert_eq!(marks_of(&all).0, [""; 4]);
}

#[test]
fn alone_there_is_nothing_to_compare() {
    let (at, strong, note) = marks_of(&found(&[], &[], &[], &[]));
    assert_eq!((at, strong), ([""; 4], false));
    assert_eq!(note, "One configuration: there is nothing to compare it with.");
}

const FOUR: [&str; 4] = ["a", "b", "c", "d"];

/// Configurations by whether their seeds are right about four pictures of anger in these videos.
fn scored(videos: [&str; 4], configurations: &[(&str, &[[bool; 4]])]) -> Scores {
    let mut study = Study {
        title: String::new(),
        demonstration: false,
        split: Split::Test,
        data: None,
        runs: Vec::new(),
        failed: Vec::new(),
        unmade: Vec::new(),
        groups: Vec::new(),
        samples: (0..4).map(|row| (row.to_string(), 0)).collect(),
        notes: Vec::new(),
        problems: Vec::new(),
    };
    for &(label, seeds) in configurations {
        let first = study.runs.len();
        for (seed, right) in seeds.iter().enumerate() {
            study.runs.push(run(label, seed as u64, &videos, right));
        }
        let runs = (first..study.runs.len()).collect();
        study.groups.push(Group { label: label.to_owned(), runs, config: Value::Null });
    }
    Scores::of(&study, &Rules::default()).expect("scores")
}

fn run(label: &str, seed: u64, videos: &[&str], right: &[bool]) -> Run {
    let answer = |(row, &right): (usize, &bool)| {
        let predicted = u8::from(!right);
        let mut logits = [0.0; NUM_CLASSES];
        logits[usize::from(predicted)] = 1.0;
        let id = row.to_string();
        Prediction {
            sample_id: id.clone(),
            clip_id: id,
            group_id: videos[row].to_owned(),
            target: 0,
            predicted,
            logits,
            w_face: None,
            w_context: None,
        }
    };
    let rows: Vec<Prediction> = right.iter().enumerate().map(answer).collect();
    let (label, file, digest) = (label.to_owned(), PathBuf::new(), String::new());
    let answers = Predictions { rows: rows.clone(), digest: digest.clone() };
    Run {
        folder: RunFolder::new(&file),
        name: format!("{label}-{seed}"),
        record: ImportedRun { label, seed, file, digest, rows }.record(),
        epochs: Vec::new(),
        looks: 0,
        answers: Some(answers),
        imported: true,
    }
}

#[test]
fn two_configurations_are_compared_on_the_seeds_that_both_have() {
    let (right, half) = ([true; 4], [true, true, false, false]);
    let scores =
        scored(FOUR, &[("two", &[half, right]), ("one", &[half]), ("also two", &[right, half])]);
    let seeds = |i, j| {
        let pair = scores.pair(i, j).expect("two configurations");
        assert_eq!((pair.contest.a, pair.contest.b), (i.min(j), i.max(j)));
        assert_eq!(pair.mcnemar.len(), pair.margins.stuart_maxwell.len());
        pair.mcnemar.len()
    };
    assert_eq!([seeds(0, 1), seeds(1, 0), seeds(1, 2), seeds(0, 2), seeds(2, 0)], [1, 1, 1, 2, 2]);
    assert!((0..3).all(|i| scores.pair(i, i).is_none()));
    // McNemar's exact test of two discordant pictures, both for one side: 2 / 2^2.
    let p = &scores.pair(0, 2).expect("two configurations").mcnemar;
    assert!(p.iter().all(|p| (p.p() - 0.5).abs() < 1e-12), "{p:?}");
}

#[test]
fn a_configuration_is_the_mean_of_its_seeds() {
    let scores =
        scored(FOUR, &[("x", &[[true; 4], [true, true, false, false]]), ("y", &[[true; 4]])]);
    let [x, y] = &scores.groups[..] else { panic!("{:?}", scores.groups) };
    assert_eq!((x.metric("accuracy"), &*x.runs), (Some(0.75), &[1.0, 0.5][..]));
    assert_eq!((y.metric("accuracy"), y.sd()), (Some(1.0), None));
    assert!((x.sd().expect("two seeds") - 0.125_f64.sqrt()).abs() < 1e-12);
    assert_eq!(x.metric("no such metric"), None);
}

#[test]
fn in_one_video_the_interval_is_wilsons() {
    let seeds = [[true; 4], [false; 4], [true, true, false, false]].map(|right| [right]);
    let [right, wrong, half] = &seeds;
    let scores = scored(["a"; 4], &[("right", right), ("wrong", wrong), ("half", half)]);
    let [right, wrong, half] = [0, 1, 2].map(|i| scores.groups[i].accuracy);
    // Of n pictures all right: n / (n + z^2) to 1; half of them: z / sqrt(n + z^2) wide.
    let z = 1.959_963_984_540_054_f64;
    let low = 4.0 / (4.0 + z * z);
    assert!((right.lo - low).abs() < 1e-12 && right.hi == 1.0, "{right:?}");
    assert!((wrong.hi - (1.0 - low)).abs() < 1e-12 && wrong.lo == 0.0, "{wrong:?}");
    assert!((half.hi - half.lo - z / (4.0 + z * z).sqrt()).abs() < 1e-12, "{half:?}");
    assert_eq!((half.n, half.clusters), (4, 1));
}
