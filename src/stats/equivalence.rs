//! Whether two models are shown to be equally good, within a margin that somebody has to state.
//! That no difference was found shows nothing of the kind.
use serde::{Deserialize, Serialize};

use super::{crossed, student, tail::PValue};

/// Level of the two one-sided tests.
pub const LEVEL: f64 = 0.05;

/// Two one-sided tests of a difference against a margin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Equivalence {
    /// The margin, a share: 0.02 for two points.
    pub margin: f64,
    /// Against "the first is worse by the margin or more"; small: it is not inferior.
    pub p_lower: PValue,
    /// Against "the first is better by the margin or more".
    pub p_upper: PValue,
    /// The larger of both.
    pub p_tost: PValue,
    /// Whether both are rejected at 5 %: the 90 % interval lies inside the margins.
    pub equivalent: bool,
    /// Whether "worse by the margin or more" is rejected at 5 %.
    pub noninferior: bool,
}

/// The tests of a `difference` with standard error `error` on `df` degrees of freedom; `None`
/// where nothing varies, which proves nothing: see [`unseen_share`].
///
/// Schuirmann (1987), Journal of Pharmacokinetics and Biopharmaceutics 15:657-680; for paired
/// binary outcomes Liu et al. (2002), Statistics in Medicine 21:231-245.
pub fn equivalence(difference: f64, error: f64, df: f64, margin: f64) -> Option<Equivalence> {
    if !(error > 0.0 && df > 0.0 && margin > 0.0) {
        return None;
    }
    let p_lower = PValue::new(student::upper_tail((difference + margin) / error, df));
    let p_upper = PValue::new(student::upper_tail((margin - difference) / error, df));
    let p_tost = if p_lower.p() > p_upper.p() { p_lower } else { p_upper };
    Some(Equivalence {
        margin,
        p_lower,
        p_upper,
        p_tost,
        equivalent: p_tost.p() <= LEVEL,
        noninferior: p_lower.p() <= LEVEL,
    })
}

/// The same of two configurations over their seeds.
pub fn of_configurations(found: &crossed::Difference, margin: f64) -> Option<Equivalence> {
    equivalence(found.difference, found.error(), found.df?, margin)
}

/// Where none of `clusters` independent clusters shows a difference: the largest share of clusters
/// that may differ all the same, at 95 % (about 3 / G, the rule of three). Hanley and Lippman-Hand
/// (1983), Journal of the American Medical Association 249:1743-1745.
pub fn unseen_share(clusters: usize) -> f64 {
    if clusters == 0 {
        return 1.0;
    }
    1.0 - LEVEL.powf(1.0 / clusters as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_are_the_ninety_percent_interval() {
        for (difference, error, df) in [(0.004, 0.006, 40.0), (-0.012, 0.01, 7.0), (0.0, 0.02, 3.0)]
        {
            let half = student::quantile(0.95, df).expect("inside") * error;
            for margin in [0.005, 0.01, 0.02, 0.05, 0.2] {
                let inside = difference - half > -margin && difference + half < margin;
                let found = equivalence(difference, error, df, margin).expect("varies");
                assert_eq!(found.equivalent, inside, "{difference} {margin}");
                assert_eq!(found.noninferior, difference - half > -margin);
            }
        }
    }

    #[test]
    fn no_spread_proves_nothing() {
        assert_eq!(equivalence(0.0, 0.0, 19.0, 0.02), None);
        assert!((unseen_share(20) - 0.139_108).abs() < 1e-6);
        assert_eq!(unseen_share(0), 1.0);
    }
}
