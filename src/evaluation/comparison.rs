//! Models against each other and the truth on the same samples: what `ncaers compare` writes.
use std::{collections::BTreeMap, path::Path};

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use super::{
    columns::{self, row},
    predictions::Predictions,
    Saved,
};
use crate::{
    folder::{self, Claim},
    metric::Unit,
    record::{Emotion, Prediction},
    stats::{
        comparison::{compare, Comparison, MarginTests, Model, Options, Pair},
        seeds::{self, SeedDifference, SeedSummary},
        tail::PValue,
        warning,
    },
};

/// Models against each other and the truth, and over seeds; what is written and printed as JSON.
#[derive(Debug, Serialize)]
pub struct ModelComparison {
    /// Every model against the truth, and every pair of models.
    #[serde(flatten)]
    pub comparison: Comparison,
    /// Labels that occur with several seeds: accuracy over seeds.
    pub seeds: BTreeMap<String, SeedSummary>,
    /// Pairs of such labels.
    pub seed_differences: Vec<(String, String, SeedDifference)>,
}

impl ModelComparison {
    /// Compares every model with the truth and with every other.
    ///
    /// # Errors
    /// When the files do not predict the same samples with the same targets.
    pub fn of(answers: &[Predictions], options: &Options) -> Result<Self> {
        outcome(answers, options)
    }

    /// Writes comparison.json and comparison.csv into `out`, unless they are there.
    ///
    /// # Errors
    /// When the folder is not ours or cannot be written.
    pub fn save(&self, out: &Path, answers: &[Predictions]) -> Result<Saved> {
        save(out, answers, self)
    }

    /// Tables for a terminal.
    pub fn text(&self) -> String {
        text(self)
    }
}

fn outcome(answers: &[Predictions], options: &Options) -> Result<ModelComparison> {
    let models: Vec<(String, Vec<Prediction>)> =
        answers.iter().map(|a| (a.name.clone(), a.rows.clone())).collect();
    let mut comparison = compare(&models, options)?;
    let looks = answers.iter().filter_map(|a| warning::test_looks(&a.name, a.test_looks));
    comparison.warnings.extend(looks);
    let mut scores: BTreeMap<String, Vec<(Option<u64>, f64)>> = BTreeMap::new();
    for (model, answer) in comparison.models.iter().zip(answers) {
        if let Some(accuracy) = model.accuracy {
            scores.entry(answer.label.clone()).or_default().push((answer.seed, accuracy.value));
        }
    }
    scores.retain(|_, of| of.len() > 1);
    // Same seed, same position: how pairs are taken.
    scores.values_mut().for_each(|of| of.sort_by_key(|&(seed, _)| seed));
    let values = |of: &[(Option<u64>, f64)]| of.iter().map(|&(_, x)| x).collect::<Vec<f64>>();
    let (draws, seed) = (options.bootstrap_draws, options.seed);
    let summary = |(label, of): (&String, &Vec<_>)| {
        Some((label.clone(), seeds::summarize(&values(of), draws, seed)?))
    };
    let mut differences = Vec::new();
    for (i, (a, of_a)) in scores.iter().enumerate() {
        for (b, of_b) in scores.iter().skip(i + 1) {
            let found = seeds::compare(&values(of_a), &values(of_b), draws, seed);
            differences.extend(found.map(|d| (a.clone(), b.clone(), d)));
        }
    }
    let seeds = scores.iter().filter_map(summary).collect();
    Ok(ModelComparison { comparison, seeds, seed_differences: differences })
}

fn save(out: &Path, answers: &[Predictions], outcome: &ModelComparison) -> Result<Saved> {
    let files: BTreeMap<&str, &str> =
        answers.iter().map(|a| (a.name.as_str(), a.digest.as_str())).collect();
    let configuration = json!({
        "command": "compare", "predictions": files, "options": outcome.comparison.options,
    });
    let folder = match folder::claim(out, &configuration)? {
        Claim::Done => return Ok(Saved::Before),
        Claim::Fresh(folder) | Claim::Resume(folder) => folder,
    };
    folder.write_json("comparison.json", outcome)?;
    columns::write_csv(&folder, "comparison.csv", &csv_rows(&outcome.comparison))?;
    folder.finish()?;
    Ok(Saved::Now)
}

fn text(outcome: &ModelComparison) -> String {
    let c = &outcome.comparison;
    let name = |i: usize| c.models[i].name.as_str();
    let mut parts = vec![
        format!("models: {}, rows: {}, clips: {}\n", c.models.len(), c.n, c.clusters),
        format!("{}\n", columns::align(&model_lines(&c.models))),
        layout(c, "The paper's test (Stuart-Maxwell, rows as independent): p, against the truth on the diagonal", |t| {
            t.stuart_maxwell.p
        }),
        layout(c, "Primary: cluster sign-flip test of the same margins, Holm over the table", |t| {
            t.sign_flip_adjusted.holm
        }),
        format!("{}\n", c.caveat),
    ];
    if !c.pairs.is_empty() {
        parts.push(format!(
            "Differences of accuracy (first minus second, points)\n{}\n",
            columns::align(&pair_lines(&c.pairs, name))
        ));
    }
    if !outcome.seeds.is_empty() {
        parts.push(format!("Over seeds, accuracy %\n{}", seed_text(outcome)));
    }
    parts.push(columns::warnings(&c.warnings));
    parts.join("\n")
}

fn model_lines(models: &[Model]) -> Vec<Vec<String>> {
    let head = row([
        "model",
        "accuracy %",
        "95 % (clips)",
        "95 % (Wilson)",
        "design effect",
        "largest gap to truth",
    ]);
    let line = |m: &Model| {
        let gap = m.versus_truth.largest_gap.map(|g| {
            let class =
                Emotion::from_label(g.class as u8).map_or(columns::UNDEFINED, Emotion::name);
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

/// Table 5's layout: models by models, the upper triangle and the diagonal.
fn layout(c: &Comparison, title: &str, p: impl Fn(&MarginTests) -> PValue) -> String {
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
    format!("{title}\n{}\n", columns::align(&rows))
}

fn pair_lines<'a>(pairs: &[Pair], name: impl Fn(usize) -> &'a str) -> Vec<Vec<String>> {
    let head = row([
        "pair",
        "points",
        "95 % (clips)",
        "sign-flip p",
        "Holm",
        "McNemar mid-p",
        "kappa",
        "smallest detectable",
    ]);
    let line = |pair: &Pair| {
        let a = &pair.accuracy;
        vec![
            format!("{} - {}", name(pair.a), name(pair.b)),
            columns::value(a.difference.map(|d| d.value), Unit::Share),
            columns::ends(a.clustered),
            a.sign_flip.p.to_string(),
            a.sign_flip_adjusted.holm.to_string(),
            a.mcnemar.mid_p.to_string(),
            columns::value(pair.kappa, Unit::Coefficient),
            columns::value(a.minimum_detectable, Unit::Share),
        ]
    };
    std::iter::once(head).chain(pairs.iter().map(line)).collect()
}

fn seed_text(outcome: &ModelComparison) -> String {
    let mut rows = vec![row(["model", "seeds", "mean", "sd", "min", "max", "IQM", "95 % of IQM"])];
    for (label, s) in &outcome.seeds {
        rows.push(vec![
            label.clone(),
            s.seeds.to_string(),
            columns::percent(s.mean),
            columns::value(s.sd, Unit::Share),
            columns::percent(s.min),
            columns::percent(s.max),
            columns::percent(s.iqm),
            columns::interval(s.iqm_interval, Unit::Share),
        ]);
    }
    let mut text = format!("{}\n", columns::align(&rows));
    for (a, b, d) in &outcome.seed_differences {
        let interval = columns::interval(d.probability_interval, Unit::Share);
        let p = columns::or_undefined(d.sign_flip_p.map(|p| PValue::new(p).to_string()));
        text.push_str(&format!(
            "{a} better than {b} with probability {} % {interval}, exact sign-flip p over seeds {p}\n",
            columns::percent(d.probability_of_improvement)
        ));
    }
    for (label, s) in &outcome.seeds {
        text.push_str(&format!("{label}: {}\n", s.cannot_show));
    }
    text
}

/// One row per cell of Table 5's layout: models against the truth, then pairs.
fn csv_rows(c: &Comparison) -> Vec<Vec<String>> {
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
        let mut cells = margin_cells("truth", &m.name, &m.versus_truth);
        cells.extend(vec![columns::UNDEFINED.to_owned(); 7]);
        cells
    });
    let pairs = c.pairs.iter().map(|pair| {
        let (a, b) = (&c.models[pair.a].name, &c.models[pair.b].name);
        let mut cells = margin_cells(a, b, &pair.margins);
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

fn margin_cells(a: &str, b: &str, t: &MarginTests) -> Vec<String> {
    let class = t.largest_gap.and_then(|g| Emotion::from_label(g.class as u8));
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
