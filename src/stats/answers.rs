//! What a model answered on a test set, of any classification task: labels, groups, and scores
//! where there are some. Where the rows came from is no concern of the statistics.
use serde::{Deserialize, Serialize};

use crate::record::{Emotion, Prediction};

/// Classes at most.
pub const MOST_CLASSES: usize = 1_000;

/// One row: a sample, its truth and the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The sample, unique among the rows of a model.
    pub sample_id: String,
    /// The clip it is a frame of; `None` where the rows are no frames.
    pub clip_id: Option<String>,
    /// The unit of independence: rows of one group may resemble each other.
    pub group_id: String,
    /// True label, below the number of classes.
    pub target: u16,
    /// Predicted label, likewise.
    pub predicted: u16,
}

/// What the scores of a row are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScoreKind {
    /// Unnormalised: the softmax makes probabilities of them.
    Logits,
    /// Probabilities.
    Probabilities,
}

/// Scores of every class for every row.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassScores {
    /// What they are.
    pub kind: ScoreKind,
    /// `[rows, classes]`; NaN where a row has none.
    pub values: Vec<f64>,
}

/// The answers of one model.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    /// Names of the classes by label.
    pub classes: Vec<String>,
    /// The rows, in any order.
    pub rows: Vec<Answer>,
    /// Scores in the order of the rows; `None` where the file has labels only.
    pub scores: Option<ClassScores>,
}

impl Answers {
    /// The answers of a model of this crate.
    pub fn of_predictions(rows: &[Prediction]) -> Self {
        let answer = |p: &Prediction| Answer {
            sample_id: p.sample_id.clone(),
            clip_id: Some(p.clip_id.clone()),
            group_id: p.group_id.clone(),
            target: p.target.into(),
            predicted: p.predicted.into(),
        };
        let values = rows.iter().flat_map(|p| p.logits.map(f64::from)).collect();
        Answers {
            classes: Emotion::ALL.map(|e| e.name().to_owned()).to_vec(),
            rows: rows.iter().map(answer).collect(),
            scores: Some(ClassScores { kind: ScoreKind::Logits, values }),
        }
    }

    /// The scores of a row, `[classes]`; `None` where there are none.
    pub fn scores_of(&self, row: usize) -> Option<&[f64]> {
        let width = self.classes.len();
        self.scores.as_ref()?.values.get(row * width..(row + 1) * width)
    }

    /// The probabilities of a row, `[classes]`; `None` where a score is missing or not finite.
    pub fn probabilities_of(&self, row: usize) -> Option<Vec<f64>> {
        let scores = self.scores_of(row)?;
        match self.scores.as_ref()?.kind {
            ScoreKind::Logits => softmax(scores),
            ScoreKind::Probabilities => {
                scores.iter().all(|p| p.is_finite()).then(|| scores.to_vec())
            }
        }
    }

    /// The same rows ordered by sample_id.
    pub fn sorted(&self) -> Self {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_by(|&a, &b| self.rows[a].sample_id.cmp(&self.rows[b].sample_id));
        let scores = self.scores.as_ref().map(|scores| ClassScores {
            kind: scores.kind,
            values: order.iter().filter_map(|&i| self.scores_of(i)).flatten().copied().collect(),
        });
        let rows = order.iter().map(|&i| self.rows[i].clone()).collect();
        Answers { classes: self.classes.clone(), rows, scores }
    }
}

/// Softmax in `f64`; `None` when a logit is infinite or not a number.
pub fn softmax(logits: &[f64]) -> Option<Vec<f64>> {
    if logits.is_empty() || logits.iter().any(|x| !x.is_finite()) {
        return None;
    }
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let scaled: Vec<f64> = logits.iter().map(|x| (x - largest).exp()).collect();
    let total: f64 = scaled.iter().sum();
    Some(scaled.into_iter().map(|x| x / total).collect())
}

/// The first label with the largest score; `None` when a score is not finite.
pub fn first_maximum(scores: &[f64]) -> Option<u16> {
    if scores.iter().any(|x| !x.is_finite()) {
        return None;
    }
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    scores.iter().position(|&x| x == largest).map(|label| label as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_logits_do_not_overflow() {
        assert_eq!(softmax(&[1e38, -1e38]), Some(vec![1.0, 0.0]));
        assert_eq!(softmax(&[f64::NAN, 0.0]), None);
        assert_eq!(softmax(&[f64::INFINITY, 0.0]), None);
        assert_eq!((first_maximum(&[1.0, 2.0, 2.0]), first_maximum(&[f64::NAN])), (Some(1), None));
    }

    #[test]
    fn sorting_takes_the_scores_along() {
        let row = |id: &str, target| Answer {
            sample_id: id.into(),
            clip_id: None,
            group_id: id.into(),
            target,
            predicted: 0,
        };
        let values = vec![0.9, 0.1, 0.2, 0.8];
        let answers = Answers {
            classes: vec!["x".into(), "y".into()],
            rows: vec![row("b", 0), row("a", 1)],
            scores: Some(ClassScores { kind: ScoreKind::Probabilities, values }),
        };
        let sorted = answers.sorted();
        assert_eq!(sorted.probabilities_of(0), Some(vec![0.2, 0.8]));
        assert_eq!(sorted.rows[1].sample_id, "b");
    }
}
