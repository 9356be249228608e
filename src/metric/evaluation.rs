//! One model on one split: every metric with its interval, and what to be careful about.
use serde::{Deserialize, Serialize};

use super::{
    by_clip, calibration, class_ratios, per_class, per_class::with_intervals, Bin, ClassMetrics,
    ClipScores, Confusion, Metric, Spread, Tally, TallyRow, Unit, METRICS,
};
use crate::{
    record::Estimate,
    stats::{
        answers::{first_maximum, Answers},
        clusters::{clustered_error, Clusters},
        interval::{self, Interval},
        share::{self, clustered_share, ClusteredShare},
        warning::{self, Code, Warning},
    },
};

/// A metric's value on one split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Name, as in [`METRICS`].
    pub name: String,
    /// Unit of value and interval.
    pub unit: Unit,
    /// Whether more is better.
    pub higher_is_better: bool,
    /// The value; `None` where it is undefined (0/0).
    pub value: Option<f64>,
    /// 95 % interval with groups as units; `None` without a value, with fewer than two groups, or
    /// where none is known to hold its level.
    pub interval: Option<Interval>,
}

/// One model on one split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Rows.
    pub n: usize,
    /// Groups, the independent clusters.
    pub clusters: usize,
    /// Names of the classes by label.
    pub classes: Vec<String>,
    /// Accuracy with Wilson's interval, as if rows were independent; `None` without rows.
    pub accuracy: Option<Estimate>,
    /// Accuracy with the cluster-robust interval; `None` with fewer than two groups.
    pub accuracy_clustered: Option<Estimate>,
    /// How many independent rows the rows are worth, at most as many as there are.
    pub n_eff: Option<f64>,
    /// How many times fewer independent rows there are than rows; `None` when undefined.
    pub design_effect: Option<f64>,
    /// All metrics.
    pub metrics: Vec<Measured>,
    /// Which class is taken for which.
    pub confusion: Confusion,
    /// Every class.
    pub per_class: Vec<ClassMetrics>,
    /// The reliability curve.
    pub calibration: Vec<Bin>,
    /// One answer per clip, where clips have several rows.
    pub clips: Option<ClipScores>,
    /// What a reader must know.
    pub warnings: Vec<Warning>,
}

impl Evaluation {
    /// Evaluates answers, in any order, with their groups as the units of every interval.
    pub fn of(answers: &Answers) -> Self {
        let answers = answers.sorted();
        let row = |i: usize| {
            let answer = &answers.rows[i];
            TallyRow::new(answer.target, answer.predicted, answers.probabilities_of(i).as_deref())
        };
        let rows: Vec<TallyRow> = (0..answers.rows.len()).map(row).collect();
        let clusters = Clusters::by_id(answers.rows.iter().map(|r| r.group_id.as_str()));
        let classes = answers.classes.len();
        let tally = Tally::of(classes, &rows);
        let (n, hits) = (rows.len(), tally.hits());
        let estimate = |at: Interval| Estimate {
            value: hits as f64 / n as f64,
            lo: at.lo,
            hi: at.hi,
            n,
            clusters: clusters.len(),
        };
        let sums = clusters.sums(|row| i64::from(rows[row].target() == rows[row].predicted()));
        let error = clustered_error(&sums, clusters.sizes(), hits);
        let robust = clustered_share(&sums, clusters.sizes());
        let ratios = class_ratios(classes, &rows, &clusters);
        Evaluation {
            n,
            clusters: clusters.len(),
            accuracy: interval::wilson(hits, n as u64).map(estimate),
            accuracy_clustered: robust.map(|share| estimate(share.interval)),
            n_eff: robust.map(|share| share.n_eff),
            design_effect: error.and_then(|e| e.design_effect),
            metrics: measured(&tally, &rows, &clusters, robust.as_ref()),
            confusion: Confusion::of(classes, &rows),
            per_class: with_intervals(per_class(&tally, &answers.classes), &ratios),
            calibration: calibration::reliability(&tally),
            clips: by_clip(&answers),
            warnings: warnings(&answers, &rows, &clusters, &tally),
            classes: answers.classes,
        }
    }

    /// The metric of that name.
    pub fn metric(&self, name: &str) -> Option<&Measured> {
        self.metrics.iter().find(|metric| metric.name == name)
    }
}

fn measured(
    tally: &Tally,
    rows: &[TallyRow],
    clusters: &Clusters,
    share: Option<&ClusteredShare>,
) -> Vec<Measured> {
    let left_out = left_out(tally, rows, clusters);
    let one = |(i, metric): (usize, &Metric)| {
        let value = (metric.of)(tally);
        let interval = value.zip(share).and_then(|(value, share)| match metric.spread {
            Spread::Score => Some(share.interval),
            Spread::None => None,
            spread => jackknifed(metric, value, &left_out[i], share, spread),
        });
        Measured {
            name: metric.name.to_owned(),
            unit: metric.unit,
            higher_is_better: metric.higher_is_better,
            value,
            interval,
        }
    };
    METRICS.iter().enumerate().map(one).collect()
}

/// Every metric without each of the groups, `[metrics][groups]`.
fn left_out(tally: &Tally, rows: &[TallyRow], clusters: &Clusters) -> Vec<Vec<Option<f64>>> {
    let mut members: Vec<Vec<TallyRow>> = vec![Vec::new(); clusters.len()];
    for (row, &cluster) in rows.iter().zip(clusters.of_row()) {
        members[cluster].push(*row);
    }
    let mut tally = tally.clone();
    let mut values = vec![Vec::with_capacity(members.len()); METRICS.len()];
    for group in &members {
        tally.without(group, |rest| {
            for (values, metric) in values.iter_mut().zip(METRICS) {
                values.push((metric.of)(rest));
            }
        });
    }
    values
}

/// The jackknife interval; `None` where the metric is undefined without some group, or does not
/// vary at all.
fn jackknifed(
    metric: &Metric,
    value: f64,
    left_out: &[Option<f64>],
    share: &ClusteredShare,
    spread: Spread,
) -> Option<Interval> {
    let values: Vec<f64> = left_out.iter().copied().collect::<Option<_>>()?;
    let half = share.t * share::error_of(&values);
    if half.is_nan() || half <= 0.0 {
        return None;
    }
    let g = values.len() as f64;
    let bias = (g - 1.0) * (values.iter().sum::<f64>() / g - value);
    let centre = if spread == Spread::BiasCorrected { value - bias } else { value };
    let (low, high) = match metric.unit {
        Unit::Share => (0.0, 1.0),
        Unit::Coefficient => (-1.0, 1.0),
        Unit::Loss => (0.0, f64::INFINITY),
    };
    let end = |x: f64| x.clamp(low, high);
    Some(Interval { lo: end((centre - half).min(value)), hi: end((centre + half).max(value)) })
}

fn warnings(
    answers: &Answers,
    rows: &[TallyRow],
    clusters: &Clusters,
    tally: &Tally,
) -> Vec<Warning> {
    let mut found: Vec<Warning> =
        warning::clusters(rows.len(), clusters.len()).into_iter().collect();
    if answers.scores.is_some() {
        found.extend(score_warnings(answers, rows));
    }
    let absent = |class: &usize| !rows.is_empty() && tally.support(*class) == 0;
    let absent: Vec<&str> = (0..answers.classes.len())
        .filter(absent)
        .map(|class| answers.classes[class].as_str())
        .collect();
    if !absent.is_empty() {
        let message = format!(
            "no true row of {}: balanced accuracy leaves it out, macro-F1 counts it only when \
             predicted",
            some(&absent)
        );
        found.push(Warning::new(Code::AbsentClass, message));
    }
    found
}

fn score_warnings(answers: &Answers, rows: &[TallyRow]) -> Vec<Warning> {
    let mut found = Vec::new();
    let broken = rows.iter().filter(|row| !row.is_scored()).count();
    if broken > 0 {
        let message =
            format!("{broken} rows have scores that are not finite: no scores of probabilities");
        found.push(Warning::new(Code::NonFiniteLogits, message));
    }
    let is_odd = |(i, answer): &(usize, &crate::stats::answers::Answer)| {
        answers.scores_of(*i).and_then(first_maximum) != Some(answer.predicted)
    };
    let odd = answers.rows.iter().enumerate().filter(is_odd).count();
    if odd > broken {
        let message =
            format!("on {odd} rows the predicted label is not the first maximum of the scores");
        found.push(Warning::new(Code::NotArgmax, message));
    }
    found
}

/// The first few of some names.
fn some(names: &[&str]) -> String {
    const SHOWN: usize = 10;
    let first = names[..names.len().min(SHOWN)].join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{record::Prediction, seed::Draws};

    const NUM_CLASSES: usize = crate::record::NUM_CLASSES;

    fn prediction(i: usize, target: u8, predicted: u8) -> Prediction {
        let mut logits = [0.0; NUM_CLASSES];
        logits[usize::from(predicted)] = 2.0;
        Prediction {
            sample_id: format!("{i:04}"),
            clip_id: format!("{:03}", i / 4),
            group_id: format!("{:03}", i / 4),
            target,
            predicted,
            logits,
            w_face: None,
            w_context: None,
        }
    }

    fn evaluated(rows: &[Prediction]) -> Evaluation {
        Evaluation::of(&Answers::of_predictions(rows))
    }

    fn codes(evaluation: &Evaluation) -> Vec<Code> {
        evaluation.warnings.iter().map(|w| w.code).collect()
    }

    #[test]
    fn clustered_rows_get_wider_intervals_than_wilson() {
        // Whole clips are right or wrong: 4 rows count as one.
        let rows: Vec<Prediction> =
            (0..280).map(|i| prediction(i, (i % 7) as u8, ((i + (i / 4) % 2) % 7) as u8)).collect();
        let e = evaluated(&rows);
        let (plain, robust) = (e.accuracy.expect("rows"), e.accuracy_clustered.expect("clusters"));
        assert!((e.design_effect.expect("varied") - 4.0).abs() < 1e-9);
        let width = |x: &Estimate| x.hi - x.lo;
        assert!((width(&robust) / width(&plain) - 2.0).abs() < 0.1);
        // Half of the clips are right; of 60 clips with 45 right it is the share of right ones again.
        let mostly: Vec<Prediction> =
            (0..240).map(|i| prediction(i, 0, u8::from(i / 4 % 4 == 0))).collect();
        let robust_of_mostly = evaluated(&mostly).accuracy_clustered.expect("60 clusters");
        assert!(robust_of_mostly.lo > 0.6 && robust_of_mostly.hi < 0.86, "{robust_of_mostly:?}");
        let shown = e.metric("accuracy").and_then(|m| m.interval).expect("70 clusters");
        assert_eq!((shown.lo, shown.hi), (robust.lo, robust.hi), "one interval for one number");
        assert!(e.warnings.is_empty(), "{:?}", e.warnings);
    }

    #[test]
    fn the_order_of_rows_changes_nothing() {
        let rows: Vec<Prediction> =
            (0..140).map(|i| prediction(i, (i / 4 % 7) as u8, (i % 5) as u8)).collect();
        let reversed: Vec<Prediction> = rows.iter().rev().cloned().collect();
        assert_eq!(evaluated(&rows), evaluated(&reversed));
        assert!(evaluated(&rows).clips.is_some());
    }

    #[test]
    fn tiny_and_empty_sets_degrade_gracefully() {
        let none = evaluated(&[]);
        assert_eq!((none.accuracy, codes(&none)), (None, vec![Code::NoData]));
        assert!(none.metrics.iter().all(|m| m.value.is_none() && m.interval.is_none()));
        let one = evaluated(&[prediction(0, 2, 2)]);
        assert_eq!(codes(&one), [Code::OneCluster, Code::AbsentClass]);
        assert_eq!(one.metric("mcc").expect("registered").value, None);
        assert_eq!(one.accuracy_clustered, None);
        let text = serde_json::to_string(&one).expect("json");
        assert!(!text.contains("NaN"), "{text}");
        let back = serde_json::from_str::<Evaluation>(&text).expect("json");
        assert_eq!((back.metrics, back.warnings), (one.metrics, one.warnings));
    }

    #[test]
    fn bad_scores_are_said() {
        let mut rows: Vec<Prediction> = (0..280).map(|i| prediction(i, (i % 7) as u8, 0)).collect();
        rows[3].logits[1] = f32::NAN;
        assert_eq!(codes(&evaluated(&rows)), [Code::NonFiniteLogits]);
        rows[5].logits[6] = 9.0;
        assert_eq!(codes(&evaluated(&rows)), [Code::NonFiniteLogits, Code::NotArgmax]);
    }

    #[test]
    fn a_calibrated_model_gets_no_interval_that_misses_it() {
        let rows: Vec<Prediction> = (0..280).map(|i| prediction(i, (i % 7) as u8, 0)).collect();
        let e = evaluated(&rows);
        let ece = e.metric("ece").expect("registered");
        assert!(ece.value.is_some() && ece.interval.is_none());
    }

    #[test]
    fn intervals_of_macro_f1_cover_it_with_unequal_videos() {
        // 60 videos of 1 to 9 frames; the truth is the value over many.
        let set = |seed: u64, videos: usize| {
            let mut draws = Draws::new(seed, "macro-f1", "");
            let mut rows = Vec::new();
            for video in 0..videos {
                let (target, skill) = ((video % 7) as u8, 0.25 + 0.7 * draws.uniform());
                for _ in 0..1 + draws.below(9) {
                    let wrong = ((u64::from(target) + 1 + draws.below(6)) % 7) as u8;
                    let predicted = if draws.chance(skill) { target } else { wrong };
                    let group = format!("{video:05}");
                    let mut row = prediction(rows.len(), target, predicted);
                    row.group_id.clone_from(&group);
                    row.clip_id = group;
                    row.sample_id = format!("{:06}", rows.len());
                    rows.push(row);
                }
            }
            rows
        };
        let of = |rows: &[Prediction]| evaluated(rows).metric("macro_f1").expect("there").clone();
        let truth = of(&set(999_999, 7_000)).value.expect("defined");
        let covers = |seed: u64| {
            let at = of(&set(seed, 60)).interval.expect("60 videos");
            at.lo <= truth && truth <= at.hi
        };
        let covered = (0..300).filter(|&seed| covers(seed)).count();
        // 95 % less three Monte Carlo errors of 1.26 %.
        assert!(covered >= 274, "{covered} of 300");
    }
}
