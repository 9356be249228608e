//! Models against each other and the truth on the same samples: what `ncaers compare` writes.
use std::{collections::BTreeMap, path::Path};

use anyhow::{ensure, Result};
use serde::Serialize;
use serde_json::{json, Value};

use super::{
    columns::{self, row},
    leaderboard::{self, Leaderboard},
    predictions::Predictions,
    Saved,
};
use crate::{
    folder::{self, Claim},
    metric::Unit,
    stats::{
        comparison::{
            compare, Comparison, ComparisonOptions, Contestant, MarginTests, Model, ModelPair,
        },
        pooled::{Contest, PoolVerdict, Scope},
        seeds::{self, SeedDifference, SeedSummary},
        tail::PValue,
        warning,
    },
};

/// Models against each other and the truth, and over seeds; what is written and printed as JSON.
#[derive(Debug, Serialize)]
pub struct ModelComparison {
    /// Every model against the truth, every pair of models, and the configurations.
    #[serde(flatten)]
    pub comparison: Comparison,
    /// Names of the classes by label.
    pub classes: Vec<String>,
    /// Labels that occur with several seeds: accuracy over seeds.
    pub seeds: BTreeMap<String, SeedSummary>,
    /// Pairs of such labels.
    pub seed_differences: Vec<(String, String, SeedDifference)>,
    /// All configurations on one page; `None` with fewer than two.
    #[serde(skip)]
    pub leaderboard: Option<Leaderboard>,
}

impl ModelComparison {
    /// Compares every model with the truth and with every other.
    ///
    /// # Errors
    /// When the files do not predict the same samples with the same targets.
    pub fn of(predictions: &[Predictions], options: &ComparisonOptions) -> Result<Self> {
        for p in predictions.iter().filter(|_| predictions.len() > 1) {
            ensure!(
                p.has_ids,
                "{} has no ids, and rows of several models are never paired by position; name \
                 them with --columns id=NAME",
                p.file.display()
            );
        }
        fn contestant(p: &Predictions) -> Contestant<'_> {
            Contestant { name: &p.name, configuration: &p.label, answers: &p.answers }
        }
        let contestants: Vec<Contestant> = predictions.iter().map(contestant).collect();
        let mut comparison = compare(&contestants, options)?;
        let mut told =
            predictions.iter().flat_map(|p| p.warnings.iter().cloned()).collect::<Vec<_>>();
        told.sort();
        told.dedup();
        comparison.warnings.extend(told);
        let looks = predictions.iter().filter_map(|p| warning::test_looks(&p.name, p.test_looks));
        comparison.warnings.extend(looks);
        let (seeds, seed_differences) = over_seeds(&comparison, options);
        let leaderboard = leaderboard::of(predictions, &comparison, options)?;
        let classes = predictions.first().map(|p| p.answers.classes.clone()).unwrap_or_default();
        Ok(ModelComparison { comparison, classes, seeds, seed_differences, leaderboard })
    }

    /// Writes comparison.json, comparison.csv and the leaderboard into `out`, unless they are there.
    ///
    /// # Errors
    /// When the folder is not ours or cannot be written.
    pub fn save(&self, out: &Path, predictions: &[Predictions], reading: &Value) -> Result<Saved> {
        let files: BTreeMap<&str, &str> =
            predictions.iter().map(|p| (p.name.as_str(), p.digest.as_str())).collect();
        let configuration = json!({
            "command": "compare", "predictions": files, "options": self.comparison.options,
            "reading": reading,
        });
        let folder = match folder::claim(out, &configuration)? {
            Claim::Done => return Ok(Saved::Before),
            Claim::Fresh(folder) | Claim::Resume(folder) => folder,
        };
        folder.write_json("comparison.json", self)?;
        columns::write_csv(&folder, "comparison.csv", &csv_rows(&self.comparison, &self.classes))?;
        if let Some(board) = &self.leaderboard {
            folder.write_json("leaderboard.json", board)?;
            folder.write("leaderboard.html", board.html().as_bytes())?;
        }
        folder.finish()?;
        Ok(Saved::Now)
    }

    /// Tables for a terminal.
    pub fn text(&self) -> String {
        let c = &self.comparison;
        let name = |i: usize| c.models[i].name.as_str();
        let mut parts = vec![
            format!("models: {}, rows: {}, groups: {}\n", c.models.len(), c.n, c.clusters),
            format!("{}\n", columns::align(&model_lines(&c.models, &self.classes))),
        ];
        if c.pool.configurations.len() > 1 {
            parts.push(self.configurations());
        }
        parts.extend(layout(c, "The paper's test (Stuart-Maxwell, rows as independent): p, against the truth on the diagonal", |t| {
            t.stuart_maxwell.p
        }));
        parts.extend(layout(
            c,
            "Primary: cluster sign-flip test of the same margins, Holm over the table",
            |t| t.sign_flip_adjusted.holm,
        ));
        parts.push(format!("{}\n", c.caveat));
        if !c.pairs.is_empty() {
            parts.push(format!(
                "These weights: differences of accuracy between files (first minus second, points)\n{}\n",
                columns::align(&pair_lines(&c.pairs, name))
            ));
        }
        if !self.seeds.is_empty() {
            parts.push(format!("Over seeds, accuracy %\n{}", self.seed_text()));
        }
        parts.push(columns::warnings(&c.warnings));
        parts.join("\n")
    }

    /// Configurations over their seeds, their differences and the verdict.
    fn configurations(&self) -> String {
        let pool = &self.comparison.pool;
        let head = row(["configuration", "seeds", "accuracy %", "95 %", "for", "sd"]);
        let line = |c: &crate::stats::pooled::Configuration| {
            let scope = match c.scope {
                Scope::SeedsAndGroups => "other seeds and groups",
                Scope::TheseWeights => "these weights",
            };
            vec![
                c.label.clone(),
                c.each.len().to_string(),
                columns::percent(c.accuracy),
                columns::interval(c.interval, Unit::Share),
                scope.to_owned(),
                columns::value(c.sd, Unit::Share),
            ]
        };
        let rows: Vec<_> =
            std::iter::once(head).chain(pool.configurations.iter().map(line)).collect();
        let mut text = format!("Configurations\n{}\n\n", columns::align(&rows));
        text.push_str(&format!(
            "Differences of configurations (points; seeds and groups as crossed factors, all seeds of \
             both sides)\n{}\n",
            columns::align(&self.contest_lines())
        ));
        if let Some(verdict) = &self.comparison.verdict {
            text.push_str(&format!("{}\n", self.verdict(verdict)));
        }
        text
    }

    fn contest_lines(&self) -> Vec<Vec<String>> {
        let pool = &self.comparison.pool;
        let mut head =
            row(["pair", "points", "95 %", "p", "Holm", "these weights, Holm", "detectable"]);
        head.extend(pool.margin.map(|m| format!("equal within {}, Holm", 100.0 * m)));
        let p = |p: Option<PValue>| columns::or_undefined(p);
        let line = |c: &Contest| {
            let [a, b] = [c.a, c.b].map(|i| &pool.configurations[i]);
            // The difference of the printed accuracies, so that a reader who subtracts agrees.
            let shown = |x: f64| columns::percent(x).parse::<f64>().unwrap_or(f64::NAN);
            let mut cells = vec![
                format!("{} - {}", a.label, b.label),
                columns::percent((shown(a.accuracy) - shown(b.accuracy)) / 100.0),
                columns::interval(c.interval, Unit::Share),
                p(c.p),
                p(c.holm),
                c.weights_holm.to_string(),
                columns::value(c.detectable(), Unit::Share),
            ];
            cells.extend(pool.margin.map(|_| p(c.equivalence_holm)));
            cells
        };
        std::iter::once(head).chain(pool.contests.iter().map(line)).collect()
    }

    fn verdict(&self, verdict: &PoolVerdict) -> String {
        let pool = &self.comparison.pool;
        let names = |of: &[usize]| {
            of.iter().map(|&i| pool.configurations[i].label.as_str()).collect::<Vec<_>>().join(", ")
        };
        let best = &pool.configurations[verdict.best].label;
        if verdict.is_strong() {
            return format!(
                "Verdict: {best} is the best (over seeds and groups, Holm: largest p: {})",
                columns::or_undefined(verdict.largest_p)
            );
        }
        let mut parts =
            vec![format!("Verdict: {best} has the highest mean and is not shown to be the best")];
        let lists = [
            ("not told apart from", &verdict.undecided),
            ("not testable (one seed, or nothing varies) against", &verdict.untested),
            ("shown to be equal within the margin to", &verdict.equivalent),
            ("shown to be better than", &verdict.beaten),
        ];
        let lists = lists.into_iter().filter(|(_, of)| !of.is_empty());
        parts.extend(lists.map(|(what, of)| format!("{what} {}", names(of))));
        if verdict.is_weights_only() {
            let p = columns::or_undefined(verdict.largest_weights_p);
            parts.push(format!("these weights alone are the best on such groups (largest p: {p})"));
        }
        parts.join("; ")
    }

    fn seed_text(&self) -> String {
        let mut rows = vec![row(["model", "seeds", "mean", "sd", "min", "max", "IQM"])];
        for (label, s) in &self.seeds {
            rows.push(vec![
                label.clone(),
                s.seeds.to_string(),
                columns::percent(s.mean),
                columns::value(s.sd, Unit::Share),
                columns::percent(s.min),
                columns::percent(s.max),
                columns::percent(s.iqm),
            ]);
        }
        let mut text = format!("{}\n", columns::align(&rows));
        for (a, b, d) in &self.seed_differences {
            let interval =
                d.probability_interval.map_or("(too few seeds for an interval)".to_owned(), |i| {
                    columns::interval(Some(i), Unit::Share)
                });
            text.push_str(&format!(
                "a seed of {a} beats one of {b} in {} % of these pairs {interval}\n",
                columns::percent(d.probability_of_improvement)
            ));
        }
        for (label, s) in &self.seeds {
            text.push_str(&format!("{label}: {}\n", s.cannot_show));
        }
        text
    }
}

type OverSeeds = (BTreeMap<String, SeedSummary>, Vec<(String, String, SeedDifference)>);

/// What the seeds of every label with several of them show.
fn over_seeds(comparison: &Comparison, options: &ComparisonOptions) -> OverSeeds {
    let (draws, seed) = (options.bootstrap_draws, options.seed);
    let several: BTreeMap<&String, &Vec<f64>> = comparison
        .pool
        .configurations
        .iter()
        .filter(|c| c.each.len() > 1)
        .map(|c| (&c.label, &c.each))
        .collect();
    let mut differences = Vec::new();
    for (i, (a, of_a)) in several.iter().enumerate() {
        for (b, of_b) in several.iter().skip(i + 1) {
            let found = seeds::compare(of_a, of_b, draws, seed);
            differences.extend(found.map(|d| ((*a).clone(), (*b).clone(), d)));
        }
    }
    let summary = |(label, each): (&&String, &&Vec<f64>)| {
        Some(((*label).clone(), seeds::summarize(each, draws, seed)?))
    };
    (several.iter().filter_map(summary).collect(), differences)
}

fn model_lines(models: &[Model], classes: &[String]) -> Vec<Vec<String>> {
    let head = row([
        "model",
        "accuracy %",
        "95 % (groups)",
        "95 % (Wilson)",
        "design effect",
        "largest gap to truth",
    ]);
    let line = |m: &Model| {
        let gap = m.versus_truth.as_ref().and_then(|t| t.largest_gap).map(|g| {
            let class = classes.get(g.class).map_or(columns::UNDEFINED, String::as_str);
            // The table's rows are the truth: what the truth has more, the model has less.
            format!("{class} {:+.2}", 0.0 - g.points)
        });
        vec![
            m.name.clone(),
            columns::value(m.accuracy.map(|a| a.value), Unit::Share),
            columns::ends(m.accuracy_clustered),
            columns::ends(m.accuracy),
            columns::or_undefined(m.design_effect.map(|d| format!("{d:.2}"))),
            columns::or_undefined(gap),
        ]
    };
    std::iter::once(head).chain(models.iter().map(line)).collect()
}

/// Table 5's layout: models by models, the upper triangle and the diagonal; `None` where margins
/// are not tested.
fn layout(c: &Comparison, title: &str, p: impl Fn(&MarginTests) -> PValue) -> Option<String> {
    c.margins(0, 0)?;
    let names = c.models.iter().map(|m| m.name.clone());
    let mut rows = vec![std::iter::once(String::new()).chain(names).collect::<Vec<_>>()];
    for (i, model) in c.models.iter().enumerate() {
        let cell = |j: usize| {
            let test = if j < i { None } else { c.margins(i, j) };
            test.map_or(String::new(), |t| p(t).to_string())
        };
        rows.push(
            std::iter::once(model.name.clone()).chain((0..c.models.len()).map(cell)).collect(),
        );
    }
    Some(format!("{title}\n{}\n", columns::align(&rows)))
}

fn pair_lines<'a>(pairs: &[ModelPair], name: impl Fn(usize) -> &'a str) -> Vec<Vec<String>> {
    let mut head = row([
        "pair",
        "points",
        "95 % (groups)",
        "sign-flip p",
        "Holm",
        "McNemar mid-p",
        "kappa",
        "odds ratio",
        "95 %",
        "Cohen's g",
        "detectable",
    ]);
    let margin = pairs.iter().find_map(|pair| pair.accuracy.equivalence).map(|e| e.margin);
    head.extend(margin.map(|m| format!("equal within {}", 100.0 * m)));
    let line = |pair: &ModelPair| {
        let a = &pair.accuracy;
        let ratio = |x: f64| format!("{x:.2}");
        let ends = a.effect.interval.map(|i| format!("[{}, {}]", ratio(i.lo), ratio(i.hi)));
        let interval = match (a.clustered, a.unseen_share) {
            (_, Some(share)) => {
                format!("never differ; in up to {} % of groups?", columns::percent(share))
            }
            (clustered, None) => columns::ends(clustered),
        };
        let mut cells = vec![
            format!("{} - {}", name(pair.a), name(pair.b)),
            columns::value(a.difference.map(|d| d.value), Unit::Share),
            interval,
            a.sign_flip.p.to_string(),
            a.sign_flip_adjusted.holm.to_string(),
            a.mcnemar.mid_p.to_string(),
            columns::value(pair.kappa, Unit::Coefficient),
            columns::or_undefined(a.effect.odds_ratio.map(ratio)),
            columns::or_undefined(ends),
            columns::or_undefined(a.effect.cohens_g.map(|g| format!("{g:+.3}"))),
            columns::value(a.minimum_detectable, Unit::Share),
        ];
        cells.extend(margin.map(|_| columns::or_undefined(a.equivalence.map(|e| e.p_tost))));
        cells
    };
    std::iter::once(head).chain(pairs.iter().map(line)).collect()
}

/// One row per cell of Table 5's layout: models against the truth, then pairs.
fn csv_rows(c: &Comparison, classes: &[String]) -> Vec<Vec<String>> {
    let head = row([
        "a",
        "b",
        "stuart_maxwell",
        "df",
        "log10_p",
        "log10_p_holm",
        "bhapkar",
        "bowker",
        "exact_p",
        "gap_class",
        "gap_points",
        "sign_flip_p",
        "sign_flip_p_holm",
        "difference",
        "lo",
        "hi",
        "mcnemar_exact_p",
        "mcnemar_mid_p",
        "accuracy_sign_flip_p",
        "accuracy_sign_flip_p_holm",
    ]);
    let truth = c.models.iter().map(|m| {
        let mut cells = margin_cells("truth", &m.name, m.versus_truth.as_ref(), classes);
        cells.extend(vec![columns::UNDEFINED.to_owned(); 7]);
        cells
    });
    let pairs = c.pairs.iter().map(|pair| {
        let (a, b) = (&c.models[pair.a].name, &c.models[pair.b].name);
        let mut cells = margin_cells(a, b, pair.margins.as_ref(), classes);
        let t = &pair.accuracy;
        cells.extend([
            columns::or_undefined(t.difference.map(|d| d.value)),
            columns::or_undefined(t.clustered.map(|e| e.lo)),
            columns::or_undefined(t.clustered.map(|e| e.hi)),
            t.mcnemar.exact.p().to_string(),
            t.mcnemar.mid_p.p().to_string(),
            t.sign_flip.p.p().to_string(),
            t.sign_flip_adjusted.holm.p().to_string(),
        ]);
        cells
    });
    std::iter::once(head).chain(truth).chain(pairs).collect()
}

fn margin_cells(a: &str, b: &str, t: Option<&MarginTests>, classes: &[String]) -> Vec<String> {
    let Some(t) = t else {
        let mut cells = vec![columns::UNDEFINED.to_owned(); 13];
        (cells[0], cells[1]) = (a.to_owned(), b.to_owned());
        return cells;
    };
    let class = t.largest_gap.and_then(|g| classes.get(g.class));
    vec![
        a.to_owned(),
        b.to_owned(),
        t.stuart_maxwell.stat.to_string(),
        t.stuart_maxwell.df.to_string(),
        t.stuart_maxwell.p.log10().to_string(),
        t.stuart_maxwell_adjusted.holm.log10().to_string(),
        t.bhapkar.stat.to_string(),
        t.bowker.stat.to_string(),
        columns::or_undefined(t.exact.map(PValue::p)),
        columns::or_undefined(class),
        columns::or_undefined(t.largest_gap.map(|g| g.points)),
        t.sign_flip.p.p().to_string(),
        t.sign_flip_adjusted.holm.p().to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        evaluation::{read_all, Reading},
        record::Split,
    };

    #[test]
    fn one_file_has_no_differences_and_two_have() {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("table.csv");
        let text = |models: &[&str]| {
            let mut table = "id,group,target,predicted,model\n".to_owned();
            for (model, i) in models.iter().flat_map(|model| (0..8).map(move |i| (model, i))) {
                table += &format!("{i},{i},{},{},{model}\n", i % 2, i % model.len().max(2) % 2);
            }
            std::fs::write(&file, table).expect("file");
            let reading = Reading { classes: vec!["a".into(), "b".into()], ..Reading::default() };
            let read = read_all(std::slice::from_ref(&file), Split::Test, &reading).expect("reads");
            ModelComparison::of(&read, &ComparisonOptions::default()).expect("compares").text()
        };
        let title = "differences of accuracy between files";
        let (one, two) = (text(&["a"]), text(&["a", "abc"]));
        assert!(!one.contains(title), "{one}");
        assert!(two.contains(title), "{two}");
    }
}
