//! Mean F1 of the classes.
use super::{Metric, Spread, Tally, Unit};

/// Mean F1 over the classes that occur in truth or prediction: a class that occurs in neither has
/// no F1 and is left out, one that is only predicted counts as 0. Undefined without rows.
pub(super) const METRIC: Metric = Metric {
    name: "macro_f1",
    unit: Unit::Share,
    higher_is_better: true,
    spread: Spread::BiasCorrected,
    of: |tally| macro_f1(tally, Absent::LeftOut),
};

/// How a class without truth counts in the mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// 0 when it was predicted, left out when it was not: the definition used here.
    LeftOut,
    /// Always 0, so that all classes count.
    Zero,
    /// Always left out, whatever was predicted.
    Ignored,
}

/// Mean F1 under a rule for absent classes; `None` when no class counts. Which of the two means
/// this is (mean of F1, not F1 of means): Opitz and Burst (2019), arXiv 1911.03347.
pub fn macro_f1(tally: &Tally, absent: Absent) -> Option<f64> {
    if tally.n() == 0 {
        return None;
    }
    let counted = |&c: &usize| match absent {
        Absent::LeftOut => tally.support(c) + tally.predicted(c) > 0,
        Absent::Zero => true,
        Absent::Ignored => tally.support(c) > 0,
    };
    let values: Vec<f64> =
        (0..tally.classes()).filter(counted).map(|c| f1(tally, c).unwrap_or(0.0)).collect();
    Some(values.iter().sum::<f64>() / values.len() as f64)
}

/// `2 TP / (support + predicted)` of a class; `None` (0/0) when it occurs in neither.
pub(super) fn f1(tally: &Tally, class: usize) -> Option<f64> {
    let all = tally.support(class) + tally.predicted(class);
    (all > 0).then(|| 2.0 * tally.hits_of(class) as f64 / all as f64)
}
