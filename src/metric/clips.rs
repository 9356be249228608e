//! Frames brought together: one answer per clip.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{macro_f1, Absent, Tally, TallyRow};
use crate::{
    record::Estimate,
    stats::{
        answers::{first_maximum, Answers},
        clusters::Clusters,
        share::clustered_share,
    },
};

/// A score over clips.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClipScore {
    /// Share of clips that are right, with its interval over groups; `None` with fewer than two
    /// groups.
    pub accuracy: Option<Estimate>,
    /// The share alone.
    pub value: f64,
    /// Mean F1 of the classes over clips.
    pub macro_f1: Option<f64>,
}

/// The frames of every clip as one answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClipScores {
    /// Clips.
    pub clips: usize,
    /// The class with the highest mean probability over the frames; `None` unless every frame has
    /// probabilities.
    pub mean_probability: Option<ClipScore>,
    /// The class that most frames are given; of several the one with the higher mean probability,
    /// else the lower label.
    pub majority: ClipScore,
}

/// One clip's frames.
struct Clip<'a> {
    group: &'a str,
    target: u16,
    votes: Vec<u64>,
    probabilities: Option<Vec<f64>>,
}

/// Scores per clip; `None` when no clip has several rows, a row names no clip, or the rows of a
/// clip have two truths or two groups.
pub fn by_clip(answers: &Answers) -> Option<ClipScores> {
    let clips = collect(answers)?;
    if clips.is_empty() || clips.len() == answers.rows.len() {
        return None;
    }
    let mean = |clip: &Clip| first_maximum(clip.probabilities.as_deref()?);
    let means: Option<Vec<u16>> = clips.iter().map(mean).collect();
    let votes: Vec<u16> = clips.iter().map(majority).collect();
    let score = |answers_of: &[u16]| score(&clips, answers_of, answers.classes.len());
    Some(ClipScores {
        clips: clips.len(),
        mean_probability: means.map(|means| score(&means)),
        majority: score(&votes),
    })
}

fn collect(answers: &Answers) -> Option<Vec<Clip<'_>>> {
    let classes = answers.classes.len();
    let mut clips: BTreeMap<&str, Clip> = BTreeMap::new();
    // In the order of the samples, so that the order of the rows cannot change a sum.
    let mut order: Vec<usize> = (0..answers.rows.len()).collect();
    order.sort_by(|&a, &b| answers.rows[a].sample_id.cmp(&answers.rows[b].sample_id));
    for i in order {
        let row = &answers.rows[i];
        let clip = clips.entry(row.clip_id.as_deref()?).or_insert_with(|| Clip {
            group: &row.group_id,
            target: row.target,
            votes: vec![0; classes],
            probabilities: Some(vec![0.0; classes]),
        });
        if clip.target != row.target || clip.group != row.group_id {
            return None;
        }
        clip.votes[usize::from(row.predicted)] += 1;
        let sums = clip.probabilities.take().zip(answers.probabilities_of(i));
        clip.probabilities =
            sums.map(|(sums, p)| sums.iter().zip(p).map(|(sum, p)| sum + p).collect());
    }
    Some(clips.into_values().collect())
}

fn majority(clip: &Clip) -> u16 {
    let most = clip.votes.iter().copied().max().unwrap_or(0);
    let score = |label: usize| match (&clip.probabilities, clip.votes[label] == most) {
        (_, false) => f64::NEG_INFINITY,
        (Some(p), true) => p[label],
        (None, true) => 0.0,
    };
    let scores: Vec<f64> = (0..clip.votes.len()).map(score).collect();
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    scores.iter().position(|&s| s == largest).unwrap_or(0) as u16
}

fn score(clips: &[Clip], predicted: &[u16], classes: usize) -> ClipScore {
    let rows: Vec<TallyRow> =
        clips.iter().zip(predicted).map(|(clip, &p)| TallyRow::new(clip.target, p, None)).collect();
    let tally = Tally::of(classes, &rows);
    let clusters = Clusters::by_id(clips.iter().map(|clip| clip.group));
    let sums = clusters.sums(|i| i64::from(clips[i].target == predicted[i]));
    let share = clustered_share(&sums, clusters.sizes());
    ClipScore {
        accuracy: share.map(|s| Estimate {
            value: s.value,
            lo: s.interval.lo,
            hi: s.interval.hi,
            n: clips.len(),
            clusters: clusters.len(),
        }),
        value: tally.hits() as f64 / clips.len() as f64,
        macro_f1: macro_f1(&tally, Absent::LeftOut),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::answers::{Answer, ClassScores, ScoreKind};

    fn answers(rows: &[(&str, u16, [f64; 2])]) -> Answers {
        let answer = |(i, (clip, target, p)): (usize, &(&str, u16, [f64; 2]))| Answer {
            sample_id: format!("{clip}/{i}"),
            clip_id: Some((*clip).into()),
            group_id: (*clip).into(),
            target: *target,
            predicted: u16::from(p[1] > p[0]),
        };
        let values = rows.iter().flat_map(|row| row.2).collect();
        Answers {
            classes: vec!["no".into(), "yes".into()],
            rows: rows.iter().enumerate().map(answer).collect(),
            scores: Some(ClassScores { kind: ScoreKind::Probabilities, values }),
        }
    }

    #[test]
    fn one_sure_frame_can_outweigh_two_unsure_ones_but_has_one_vote() {
        let rows = [
            ("a", 1, [0.55, 0.45]),
            ("a", 1, [0.55, 0.45]),
            ("a", 1, [0.0, 1.0]),
            ("b", 0, [0.9, 0.1]),
        ];
        let found = by_clip(&answers(&rows)).expect("clips");
        assert_eq!(found.clips, 2);
        assert_eq!(found.mean_probability.map(|s| s.value), Some(1.0));
        assert_eq!(found.majority.value, 0.5);
        let mut labels_only = answers(&rows);
        labels_only.scores = None;
        let found = by_clip(&labels_only).expect("clips");
        assert_eq!((found.mean_probability, found.majority.value), (None, 0.5));
    }

    #[test]
    fn of_as_many_votes_the_likelier_class_wins_and_without_probabilities_the_lower_label() {
        let mut rows = answers(&[
            ("a", 1, [0.6, 0.4]),
            ("a", 1, [0.1, 0.9]),
            ("b", 0, [0.9, 0.1]),
            ("c", 1, [0.2, 0.8]),
            ("c", 1, [0.6, 0.4]),
            ("c", 1, [0.3, 0.7]),
        ]);
        assert_eq!(by_clip(&rows).map(|found| found.majority.value), Some(1.0));
        rows.scores = None;
        assert_eq!(by_clip(&rows).map(|found| found.majority.value), Some(2.0 / 3.0));
    }

    #[test]
    fn stills_and_torn_clips_have_no_clip_scores() {
        assert_eq!(by_clip(&answers(&[("a", 0, [1.0, 0.0]), ("b", 1, [1.0, 0.0])])), None);
        assert_eq!(by_clip(&answers(&[("a", 0, [1.0, 0.0]), ("a", 1, [1.0, 0.0])])), None);
        let mut no_clip = answers(&[("a", 0, [1.0, 0.0]), ("a", 0, [1.0, 0.0])]);
        no_clip.rows[0].clip_id = None;
        assert_eq!(by_clip(&no_clip), None);
    }
}
