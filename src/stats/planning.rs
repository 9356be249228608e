//! How large a test set has to be, and how many seeds, before a difference can be found.
use serde::{Deserialize, Serialize};

use super::student;

/// What is planned for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Difference of accuracies to be found, a share above 0.
    pub difference: f64,
    /// Share of rows on which exactly one of the two models is right.
    pub discordance: f64,
    /// Correlation of the discordance between rows of one cluster, 0..=1.
    pub icc: f64,
    /// Rows per cluster: their mean, or `sum n_c^2 / sum n_c` where sizes differ.
    pub rows_per_cluster: f64,
    /// Two-sided level of the test, before `comparisons`.
    pub alpha: f64,
    /// Power, 0..1.
    pub power: f64,
    /// Comparisons of the family: each is planned at `alpha / comparisons`.
    pub comparisons: u32,
}

/// Why there is no plan.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// A number is outside its range.
    #[error("{what} is {found}, not {wanted}")]
    Range {
        /// Which number.
        what: &'static str,
        /// Its value.
        found: f64,
        /// What it must be.
        wanted: &'static str,
    },
    /// A difference cannot exceed the share of rows that differ.
    #[error(
        "a difference of {difference} needs a discordance of at least that, and it is {discordance}"
    )]
    Impossible {
        /// The difference.
        difference: f64,
        /// The discordance.
        discordance: f64,
    },
}

/// The size that is needed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Size {
    /// Rows if they were independent.
    pub rows_if_independent: f64,
    /// How many clustered rows are worth one independent row.
    pub design_effect: f64,
    /// Rows.
    pub rows: u64,
    /// Clusters.
    pub clusters: u64,
}

/// The size for some number of seeds per configuration.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeededSize {
    /// Seeds of each configuration.
    pub seeds: u32,
    /// The size; `None` where the spread of so few seeds hides the difference on any test set.
    pub size: Option<Size>,
}

impl Plan {
    fn level(&self) -> f64 {
        self.alpha / f64::from(self.comparisons)
    }

    /// `1 + (m - 1) icc`. Kish (1965), Survey Sampling, section 5.4.
    pub fn design_effect(&self) -> f64 {
        1.0 + (self.rows_per_cluster - 1.0) * self.icc
    }

    /// Checks every number.
    ///
    /// # Errors
    /// The first that is out of its range.
    pub fn check(&self) -> Result<(), PlanError> {
        let share = "above 0 and at most 1";
        let inside = "above 0 and below 1";
        let checks = [
            (
                "the difference",
                self.difference,
                self.difference > 0.0 && self.difference <= 1.0,
                share,
            ),
            (
                "the discordance",
                self.discordance,
                self.discordance > 0.0 && self.discordance <= 1.0,
                share,
            ),
            ("the ICC", self.icc, (0.0..=1.0).contains(&self.icc), "in 0 to 1"),
            ("rows per cluster", self.rows_per_cluster, self.rows_per_cluster >= 1.0, "1 or more"),
            ("alpha", self.alpha, self.alpha > 0.0 && self.alpha < 1.0, inside),
            ("the power", self.power, self.power > 0.0 && self.power < 1.0, inside),
            (
                "the number of comparisons",
                self.comparisons.into(),
                self.comparisons > 0,
                "1 or more",
            ),
        ];
        for (what, found, fits, wanted) in checks {
            if !fits || !found.is_finite() {
                return Err(PlanError::Range { what, found, wanted });
            }
        }
        if self.difference > self.discordance {
            let (difference, discordance) = (self.difference, self.discordance);
            return Err(PlanError::Impossible { difference, discordance });
        }
        Ok(())
    }

    /// The test set that two given sets of weights need. Connor (1987), Biometrics 43:207-211,
    /// for independent rows; for clustered ones times the design effect.
    ///
    /// # Errors
    /// See [`Plan::check`].
    pub fn size(&self) -> Result<Size, PlanError> {
        self.check()?;
        let rest = (self.discordance - self.difference.powi(2)).max(0.0);
        let z = |p: f64| student::normal_quantile(p);
        let root =
            z(1.0 - 0.5 * self.level()) * self.discordance.sqrt() + z(self.power) * rest.sqrt();
        Ok(self.clustered((root / self.difference).powi(2)))
    }

    fn clustered(&self, independent: f64) -> Size {
        let rows = (independent * self.design_effect()).ceil();
        Size {
            rows_if_independent: independent,
            design_effect: self.design_effect(),
            rows: rows as u64,
            clusters: (rows / self.rows_per_cluster).ceil() as u64,
        }
    }

    /// The test set that two configurations of `seeds` seeds each need, when the accuracy of a
    /// seed has the standard deviation `sd` over seeds: the variance that the t test on
    /// `2 (seeds - 1)` degrees of freedom allows, less `2 sd^2 / seeds`, is left for the rows.
    ///
    /// # Errors
    /// See [`Plan::check`]; also when `sd` is negative or there are fewer than 2 seeds.
    pub fn seeded_size(&self, sd: f64, seeds: u32) -> Result<SeededSize, PlanError> {
        self.check()?;
        if !(sd >= 0.0 && sd.is_finite()) {
            let (what, wanted) = ("the standard deviation over seeds", "0 or more");
            return Err(PlanError::Range { what, found: sd, wanted });
        }
        if seeds < 2 {
            let (what, wanted) = ("the number of seeds", "2 or more");
            return Err(PlanError::Range { what, found: seeds.into(), wanted });
        }
        let df = 2.0 * (f64::from(seeds) - 1.0);
        let t = |p: f64| student::quantile(p, df).unwrap_or(f64::INFINITY);
        let error = self.difference / (t(1.0 - 0.5 * self.level()) + t(self.power));
        let left = error * error - 2.0 * sd * sd / f64::from(seeds);
        let rest = (self.discordance - self.difference.powi(2)).max(f64::MIN_POSITIVE);
        let size = (left > 0.0).then(|| self.clustered(rest / left));
        Ok(SeededSize { seeds, size })
    }
}

/// Intraclass correlation of integer scores in clusters, from the sums and sizes of the clusters
/// and the sum of squares over rows, by analysis of variance; `None` without two clusters, with
/// single rows only, or where nothing varies. Negative estimates are 0. Donner (1986),
/// International Statistical Review 54:67-82.
pub fn intraclass_correlation(sums: &[i64], sizes: &[u64], squares: u64) -> Option<f64> {
    let (g, n) = (sizes.len() as f64, sizes.iter().sum::<u64>() as f64);
    if sizes.len() < 2 || n <= g {
        return None;
    }
    let mean = sums.iter().sum::<i64>() as f64 / n;
    let of = |(&s, &m): (&i64, &u64)| (s as f64).powi(2) / m as f64;
    let within_means: f64 = sums.iter().zip(sizes).filter(|(_, &m)| m > 0).map(of).sum();
    let between = (within_means - n * mean * mean) / (g - 1.0);
    let within = (squares as f64 - within_means) / (n - g);
    let m0 = (n - sizes.iter().map(|&m| (m as f64).powi(2)).sum::<f64>() / n) / (g - 1.0);
    let whole = between + (m0 - 1.0) * within;
    (whole > 0.0).then(|| ((between - within) / whole).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan = Plan {
        difference: 0.05,
        discordance: 0.2,
        icc: 0.3,
        rows_per_cluster: 1.6,
        alpha: 0.05,
        power: 0.8,
        comparisons: 1,
    };

    #[test]
    fn what_makes_no_sense_is_named() {
        let message = |plan: Plan| plan.size().expect_err("refused").to_string();
        assert!(message(Plan { difference: 0.0, ..PLAN }).contains("the difference is 0"));
        assert!(message(Plan { icc: f64::NAN, ..PLAN }).contains("ICC"));
        assert!(message(Plan { difference: 0.3, ..PLAN }).contains("discordance of at least"));
        assert!(PLAN.seeded_size(0.04, 1).is_err() && PLAN.seeded_size(-1.0, 3).is_err());
    }

    #[test]
    fn seeds_that_scatter_hide_a_difference_on_any_test_set() {
        let few = PLAN.seeded_size(0.04, 3).expect("valid");
        assert_eq!(few.size, None);
        let many = PLAN.seeded_size(0.04, 40).expect("valid").size.expect("within reach");
        let weights = PLAN.size().expect("valid");
        assert!(many.rows > weights.rows, "{many:?} {weights:?}");
        let quiet = PLAN.seeded_size(0.0, 1000).expect("valid").size.expect("within reach");
        assert!(quiet.rows.abs_diff(weights.rows) * 20 < weights.rows, "{quiet:?} {weights:?}");
    }

    #[test]
    fn a_family_costs_rows() {
        let family = Plan { comparisons: 10, ..PLAN }.size().expect("valid");
        assert!(family.rows > PLAN.size().expect("valid").rows);
    }

    #[test]
    fn whole_clusters_alike_have_correlation_one() {
        assert_eq!(intraclass_correlation(&[4, 0, 4, 0], &[4; 4], 8), Some(1.0));
        assert_eq!(intraclass_correlation(&[2, 2, 2, 2], &[4; 4], 8), Some(0.0));
        assert_eq!(intraclass_correlation(&[1, 0], &[1, 1], 1), None);
        assert_eq!(intraclass_correlation(&[4, 4], &[4, 4], 8), None);
    }
}
