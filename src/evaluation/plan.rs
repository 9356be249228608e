//! What a comparison needs before it is made, and what a test set could have shown after: what
//! `ncaers plan` prints.
use anyhow::{ensure, Result};
use serde::Serialize;

use super::{columns, predictions::Predictions};
use crate::{
    metric::Unit,
    stats::{
        answers::Answers,
        crossed,
        mcnemar::minimum_detectable,
        pairing,
        planning::{intraclass_correlation, Plan, SeededSize, Size},
        seeds::standard_deviation,
    },
};

/// Numbers of seeds for which a plan is shown.
const SEEDS: [u32; 6] = [2, 3, 5, 10, 20, 50];

/// A plan and what it comes to.
#[derive(Clone, Debug, Serialize)]
pub struct PlanOutcome {
    /// What was planned for.
    pub plan: Plan,
    /// What two given sets of weights need.
    pub weights: Size,
    /// What two configurations need, by seeds; empty without a standard deviation.
    pub configurations: Vec<SeededSize>,
    /// Standard deviation of the accuracy over seeds that was assumed.
    pub seed_sd: Option<f64>,
    /// What an existing test set says; `None` without one.
    pub observed: Option<Observed>,
}

/// What two models' answers on one test set say about planning.
#[derive(Clone, Debug, Serialize)]
pub struct Observed {
    /// The two configurations.
    pub names: [String; 2],
    /// Rows.
    pub rows: usize,
    /// Groups.
    pub groups: usize,
    /// Rows per group as a design effect counts them, `sum n^2 / sum n`.
    pub rows_per_group: f64,
    /// Share of rows on which exactly one is right (mean over pairs of seeds).
    pub discordance: f64,
    /// Correlation of the discordance within groups.
    pub icc: f64,
    /// Standard deviation of the accuracy over seeds, pooled; `None` with one seed on both sides.
    pub seed_sd: Option<f64>,
    /// Smallest difference that these weights would have shown with 80 % power at 5 %.
    pub detectable_weights: Option<f64>,
    /// Smallest difference that these configurations would have shown; `None` with one seed.
    pub detectable_configurations: Option<f64>,
}

/// Plans; `seed_sd` is a share.
///
/// # Errors
/// When a number is out of its range.
pub fn plan(plan: Plan, seed_sd: Option<f64>, observed: Option<Observed>) -> Result<PlanOutcome> {
    let weights = plan.size()?;
    let sized = |sd: f64| SEEDS.map(|seeds| plan.seeded_size(sd, seeds));
    let configurations = match seed_sd {
        Some(sd) => sized(sd).into_iter().collect::<Result<_, _>>()?,
        None => Vec::new(),
    };
    Ok(PlanOutcome { plan, weights, configurations, seed_sd, observed })
}

/// What two configurations' answers say; every seed of both counts.
///
/// # Errors
/// When there are not two configurations or their rows cannot be paired.
pub fn observed(predictions: &[Predictions]) -> Result<Observed> {
    let mut labels: Vec<&String> = predictions.iter().map(|p| &p.label).collect();
    labels.sort();
    labels.dedup();
    ensure!(labels.len() == 2, "planning needs the answers of two models, not of {}", labels.len());
    let named: Vec<(String, &Answers)> =
        predictions.iter().map(|p| (p.name.clone(), &p.answers)).collect();
    let paired = pairing::pair(&named)?;
    let (clusters, rows) = (&paired.clusters, paired.truth.len());
    ensure!(rows > 0, "there are no rows to plan from");
    let of = |label: &String| -> Vec<Vec<i64>> {
        let mine = predictions.iter().zip(&paired.predicted).filter(|(p, _)| p.label == *label);
        mine.map(|(_, of)| of.iter().zip(&paired.truth).map(|(p, t)| i64::from(p == t)).collect())
            .collect()
    };
    let sides = [of(labels[0]), of(labels[1])];
    let (mut discordance, mut icc, mut pairs) = (0.0, 0.0, 0.0);
    for a in &sides[0] {
        for b in &sides[1] {
            let squares = a.iter().zip(b).filter(|(x, y)| x != y).count() as u64;
            let sums = clusters.sums(|row| a[row] - b[row]);
            discordance += squares as f64 / rows as f64;
            icc += intraclass_correlation(&sums, clusters.sizes(), squares).unwrap_or(0.0);
            pairs += 1.0;
        }
    }
    let squares: f64 = clusters.sizes().iter().map(|&n| (n as f64).powi(2)).sum();
    let (discordance, icc) = (discordance / pairs, icc / pairs);
    let rows_per_group = squares / rows as f64;
    let hits = |side: &Vec<Vec<i64>>| -> Vec<Vec<i64>> {
        side.iter().map(|of| clusters.sums(|row| of[row])).collect()
    };
    let found = crossed::difference(clusters.sizes(), &hits(&sides[0]), &hits(&sides[1]));
    let effect = 1.0 + (rows_per_group - 1.0) * icc;
    Ok(Observed {
        names: [labels[0].clone(), labels[1].clone()],
        rows,
        groups: clusters.len(),
        rows_per_group,
        discordance,
        icc,
        seed_sd: pooled_sd(&sides, rows),
        detectable_weights: minimum_detectable(rows, discordance, effect),
        detectable_configurations: found.and_then(|d| d.detectable()),
    })
}

/// The standard deviation over seeds of both sides together.
fn pooled_sd(sides: &[Vec<Vec<i64>>; 2], rows: usize) -> Option<f64> {
    let (mut squares, mut df) = (0.0, 0.0);
    for side in sides {
        let each: Vec<f64> =
            side.iter().map(|of| of.iter().sum::<i64>() as f64 / rows as f64).collect();
        if let Some(sd) = standard_deviation(&each) {
            let n = each.len() as f64 - 1.0;
            squares += n * sd * sd;
            df += n;
        }
    }
    (df > 0.0).then(|| (squares / df).sqrt())
}

impl PlanOutcome {
    /// For a terminal.
    pub fn text(&self) -> String {
        let plan = &self.plan;
        let mut text = format!(
            "to find a difference of {} points with {:.0} % power at {} (two-sided, {} comparisons: \
             {:.4} each), when the models differ in being right on {} % of rows, with {} rows per \
             group and a correlation of {:.2} within groups (design effect {:.2}):\n\n",
            columns::percent(plan.difference),
            100.0 * plan.power,
            plan.alpha,
            plan.comparisons,
            plan.alpha / f64::from(plan.comparisons),
            columns::percent(plan.discordance),
            plan.rows_per_cluster,
            plan.icc,
            plan.design_effect(),
        );
        text.push_str(&format!("{}\n", columns::align(&self.lines())));
        if self.configurations.is_empty() {
            text.push_str(
                "\na claim about configurations needs seeds too: give the standard deviation of \
                 accuracy over seeds with --seed-sd POINTS\n",
            );
        }
        if let Some(observed) = &self.observed {
            text.push_str(&observed.text());
        }
        text
    }

    fn lines(&self) -> Vec<Vec<String>> {
        let head = columns::row(["for", "seeds each", "rows", "groups"]);
        let line = |what: &str, seeds: String, size: Option<Size>| {
            let cells = size
                .map_or(["out of reach".to_owned(), "on any test set".to_owned()], |s| {
                    [s.rows.to_string(), s.clusters.to_string()]
                });
            let [rows, groups] = cells;
            vec![what.to_owned(), seeds, rows, groups]
        };
        let weights = line("two given sets of weights", "-".to_owned(), Some(self.weights));
        let configurations = self
            .configurations
            .iter()
            .map(|c| line("two configurations", c.seeds.to_string(), c.size));
        std::iter::once(head).chain([weights]).chain(configurations).collect()
    }
}

impl Observed {
    fn text(&self) -> String {
        let points = |x: Option<f64>| columns::value(x, Unit::Share);
        format!(
            "\n{} and {} on {} rows in {} groups: discordance {} %, correlation within groups {:.2}, \
             {:.2} rows per group, sd over seeds {}\nwith 80 % power at 5 % this test set shows a \
             difference of {} points between given weights, and of {} points between these \
             configurations\n",
            self.names[0],
            self.names[1],
            self.rows,
            self.groups,
            columns::percent(self.discordance),
            self.icc,
            self.rows_per_group,
            points(self.seed_sd),
            points(self.detectable_weights),
            points(self.detectable_configurations),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        evaluation::{predictions::read_all, Reading},
        record::Split,
    };

    /// The answers of a table of 40 rows, two in each of 20 groups: `is_right` of the model, the
    /// seed, the group and the row in it.
    fn answers(
        runs: &[(&str, u32)],
        is_right: impl Fn(&str, u32, usize, usize) -> bool,
    ) -> Vec<Predictions> {
        let mut table = "id,group,target,predicted,model,seed\n".to_owned();
        for (model, seed) in runs {
            for (group, row) in (0..20).flat_map(|group| [(group, 0), (group, 1)]) {
                let said = u8::from(!is_right(model, *seed, group, row));
                table += &format!("{group}/{row},{group},0,{said},{model},{seed}\n");
            }
        }
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("table.csv");
        std::fs::write(&file, table).expect("file");
        let reading = Reading { classes: vec!["a".into(), "b".into()], ..Reading::default() };
        read_all(&[file], Split::Test, &reading).expect("reads")
    }

    #[test]
    fn a_test_set_says_what_it_could_have_shown() {
        // One model is always right, the other wrong on both rows of four groups and on one of four
        // others.
        let read = answers(&[("right", 1), ("other", 1)], |model, _, group, row| {
            model == "right" || group >= 8 || group >= 4 && row == 1
        });
        let found = observed(&read).expect("two models");
        assert_eq!((found.rows, found.groups, found.rows_per_group), (40, 20, 2.0));
        assert!((found.discordance - 0.3).abs() < 1e-12);
        // Analysis of variance: between groups 6.4 / 19, within them 0.1.
        let between = 6.4 / 19.0;
        let icc = (between - 0.1) / (between + 0.1);
        assert!((found.icc - icc).abs() < 1e-12, "{found:?}");
        // Connor's equation at 40 rows over the design effect.
        let d = found.detectable_weights.expect("within reach");
        let (left, right) = (
            d * (40.0 / (1.0 + icc)).sqrt(),
            1.959_964 * 0.3_f64.sqrt() + 0.841_621 * (0.3 - d * d).sqrt(),
        );
        assert!((left - right).abs() < 1e-5, "{left} {right}");
        assert_eq!((found.seed_sd, found.detectable_configurations), (None, None));
    }

    #[test]
    fn the_spread_over_seeds_is_pooled_over_both_models() {
        // Accuracies 1 and 0.9 of one model, 0.5 and 0.3 of the other: variances 0.005 and 0.02.
        let runs = [("x", 1), ("x", 2), ("y", 1), ("y", 2)];
        let read = answers(&runs, |model, seed, group, _| match (model, seed) {
            ("x", 1) => true,
            ("x", _) => group >= 2,
            (_, 1) => group >= 10,
            _ => group >= 14,
        });
        let found = observed(&read).expect("two models");
        assert!((found.seed_sd.expect("two seeds") - 0.0125_f64.sqrt()).abs() < 1e-12, "{found:?}");
        assert!(found.detectable_configurations.is_some());
    }
}
