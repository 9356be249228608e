//! Several models on the same samples: every test of every pair, and of every model against the
//! truth, as one value that a table or page only has to print.
use serde::{Deserialize, Serialize};

use super::{
    answers::Answers,
    effect::EffectSize,
    equivalence::Equivalence,
    interval::{Interval, PairedDifference},
    margins::ClusterForms,
    mcnemar::McNemar,
    mh::{Bowker, ChiSquare, Gap, StuartMaxwell},
    multiplicity::Adjusted,
    pairing::{self, PairingError},
    pooled::{Pool, PoolVerdict},
    signflip::{self, SignFlip},
    table::ContingencyTable,
    tail::PValue,
    warning::{self, Code, Warning},
};
use crate::record::Estimate;

mod assemble;

/// What the layout of the paper's Table 5 does not say; printed beside it.
pub const CAVEAT: &str = "The Stuart-Maxwell test compares how often two raters use each class \
    (the margins), not how often they are right: an accurate model that leans to one class \
    can have a tiny p against the truth, a useless one with balanced margins has p = 1. As the \
    paper's test it also takes frames of one clip for independent; the cluster sign-flip test \
    does not.";

/// Settings of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComparisonOptions {
    /// Seed of all draws.
    pub seed: u64,
    /// Random sign patterns of a sign-flip test.
    pub sign_flips: usize,
    /// Draws of the cluster bootstrap.
    pub bootstrap_draws: usize,
    /// Margin of equivalence, a share; `None` for no such tests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
}

/// Classes up to which the margins (how often each class is used) are tested: the statistics
/// invert matrices of that many rows.
pub const MARGIN_CLASSES: usize = 32;

/// What one file answers: a configuration's answers with one seed.
#[derive(Clone, Copy, Debug)]
pub struct Contestant<'a> {
    /// Name, unique among the files.
    pub name: &'a str,
    /// What it is a seed of; its name where it is none.
    pub configuration: &'a str,
    /// The answers.
    pub answers: &'a Answers,
}

impl Default for ComparisonOptions {
    fn default() -> Self {
        ComparisonOptions { seed: 1, sign_flips: 9_999, bootstrap_draws: 9_999, margin: None }
    }
}

/// The tests of marginal homogeneity of two raters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MarginTests {
    /// Rows: the first rater (for a model against the truth: the truth), columns: the second.
    pub table: ContingencyTable,
    /// The paper's test.
    pub stuart_maxwell: StuartMaxwell,
    /// Its p-value over all margin tests of this comparison.
    pub stuart_maxwell_adjusted: Adjusted,
    /// Bhapkar's form of it.
    pub bhapkar: ChiSquare,
    /// Bowker's test of symmetry.
    pub bowker: Bowker,
    /// Exact permutation p-value, where few enough pairs are discordant.
    pub exact: Option<PValue>,
    /// The class whose share differs most.
    pub largest_gap: Option<Gap>,
    /// The primary test, which respects clips.
    pub sign_flip: SignFlip,
    /// Its p-value over all margin tests of this comparison.
    pub sign_flip_adjusted: Adjusted,
    /// Other cluster-robust forms.
    pub clustered: ClusterForms,
}

/// One model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// What it is a seed of; its name where it is none.
    pub configuration: String,
    /// Accuracy with Wilson's interval, as if rows were independent; `None` without rows.
    pub accuracy: Option<Estimate>,
    /// Accuracy with the cluster-robust interval; `None` with fewer than two clusters.
    pub accuracy_clustered: Option<Estimate>,
    /// Percentile interval of the accuracy over the cluster bootstrap; `None` likewise.
    pub accuracy_bootstrap: Option<Interval>,
    /// How many times fewer independent rows there are than rows.
    pub design_effect: Option<f64>,
    /// The model's use of the classes against the truth's; `None` with more than
    /// [`MARGIN_CLASSES`] classes.
    pub versus_truth: Option<MarginTests>,
}

/// Accuracies of two models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccuracyTests {
    /// Difference first minus second, with intervals as if rows were independent; `None` without
    /// rows.
    pub difference: Option<PairedDifference>,
    /// Cluster-robust interval of the difference; `None` with fewer than two clusters.
    pub clustered: Option<Estimate>,
    /// Percentile interval over the cluster bootstrap; `None` likewise.
    pub bootstrap: Option<Interval>,
    /// Design effect of the difference.
    pub design_effect: Option<f64>,
    /// McNemar's test, rows taken as independent.
    pub mcnemar: McNemar,
    /// Exact McNemar p-value over all pairs of different configurations, likewise.
    pub mcnemar_adjusted: Adjusted,
    /// The primary test of a difference of accuracies, which respects clips.
    pub sign_flip: SignFlip,
    /// Its p-value over all pairs of different configurations; unadjusted between seeds of one.
    pub sign_flip_adjusted: Adjusted,
    /// Other cluster-robust forms of McNemar's test.
    pub cluster_forms: ClusterForms,
    /// Matched odds ratio and Cohen's g.
    pub effect: EffectSize,
    /// Tests against the margin, for these weights; `None` without a margin or where nothing
    /// varies.
    pub equivalence: Option<Equivalence>,
    /// Where the two never differ on any row: the largest share of groups that may differ all the
    /// same, at 95 %.
    pub unseen_share: Option<f64>,
    /// Smallest difference found with 80 % power at 5 %, given the share of discordant rows and
    /// the design effect; `None` when not even all discordant rows in one direction would do.
    pub minimum_detectable: Option<f64>,
}

/// Two models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelPair {
    /// Index of the first model.
    pub a: usize,
    /// Index of the second model.
    pub b: usize,
    /// How often each class is predicted; `None` with more than [`MARGIN_CLASSES`] classes.
    pub margins: Option<MarginTests>,
    /// How often each is right.
    pub accuracy: AccuracyTests,
    /// Cohen's kappa between the two models' labels.
    pub kappa: Option<f64>,
}

/// All tests of several models on the same samples. Tests of single files speak of these weights;
/// what may be said of a configuration stands in `pool`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Samples.
    pub n: usize,
    /// Independent clusters (groups of clips).
    pub clusters: usize,
    /// Settings.
    pub options: ComparisonOptions,
    /// The models, in the order given.
    pub models: Vec<Model>,
    /// All pairs, the first model's first.
    pub pairs: Vec<ModelPair>,
    /// The configurations over their seeds, and the differences between them.
    pub pool: Pool,
    /// What may be said of the best configuration; `None` with fewer than two.
    pub verdict: Option<PoolVerdict>,
    /// What the Stuart-Maxwell table does not say; see [`CAVEAT`].
    pub caveat: String,
    /// What a reader must know.
    pub warnings: Vec<Warning>,
}

impl Comparison {
    /// The pair of two models, in either order; `None` for one and the same.
    pub fn pair(&self, i: usize, j: usize) -> Option<&ModelPair> {
        self.pairs.iter().find(|pair| (pair.a, pair.b) == (i.min(j), i.max(j)))
    }

    /// The margin tests at row `i`, column `j` of Table 5's layout: the diagonal is the model
    /// against the truth.
    pub fn margins(&self, i: usize, j: usize) -> Option<&MarginTests> {
        if i == j {
            return self.models.get(i).and_then(|model| model.versus_truth.as_ref());
        }
        self.pair(i, j).and_then(|pair| pair.margins.as_ref())
    }
}

/// Compares `contestants` on the samples that all of them must share.
///
/// # Errors
/// When the rows cannot be paired; see `PairingError`.
pub fn compare(
    contestants: &[Contestant],
    options: &ComparisonOptions,
) -> Result<Comparison, PairingError> {
    let named: Vec<(String, &Answers)> =
        contestants.iter().map(|c| (c.name.to_owned(), c.answers)).collect();
    let paired = pairing::pair(&named)?;
    let labels: Vec<&str> = contestants.iter().map(|c| c.configuration).collect();
    let mut options = *options;
    let asked = options.sign_flips;
    let tests = labels.len() * (labels.len() + 1) / 2;
    options.sign_flips = signflip::enough_draws(asked, tests);
    let (models, pairs) = assemble::assemble(&paired, &labels, &options);
    let pool = assemble::pool(&paired, &labels, &options);
    let members: Vec<usize> = (0..pool.configurations.len()).collect();
    let verdict = pool.verdict(&members).filter(|_| members.len() > 1);
    let (n, clusters) = (paired.truth.len(), paired.clusters.len());
    let mut warnings: Vec<Warning> = warning::clusters(n, clusters).into_iter().collect();
    for model in &models {
        warnings.extend(discordance(&model.name, "the truth", model.versus_truth.as_ref()));
    }
    for pair in &pairs {
        let (a, b) = (&models[pair.a].name, &models[pair.b].name);
        warnings.extend(discordance(a, b, pair.margins.as_ref()));
    }
    warnings.extend(not_tested(paired.classes.len()));
    if options.sign_flips > asked {
        let message = format!(
            "{} random signs were drawn, not {asked}: with fewer none of {tests} tests could \
             survive Holm's correction",
            options.sign_flips
        );
        warnings.push(Warning::new(Code::MoreDraws, message));
    }
    let caveat = CAVEAT.to_owned();
    Ok(Comparison { n, clusters, options, models, pairs, pool, verdict, caveat, warnings })
}

fn discordance(a: &str, b: &str, tests: Option<&MarginTests>) -> Option<Warning> {
    let tests = tests?;
    warning::discordance(a, b, &tests.stuart_maxwell, tests.exact)
}

/// That the margins of so many classes are not tested.
fn not_tested(classes: usize) -> Option<Warning> {
    (classes > MARGIN_CLASSES).then(|| {
        let message = format!(
            "how often each class is used is not tested with {classes} classes (at most \
             {MARGIN_CLASSES})"
        );
        Warning::new(Code::NotComputed, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::answers::Answer;

    /// Answers of a two-class task, each row a group of its own.
    fn answers(rows: usize, is_right: impl Fn(usize) -> bool) -> Answers {
        let row = |i: usize| {
            let target = u16::from(i.is_multiple_of(3));
            Answer {
                sample_id: format!("s{i:03}"),
                clip_id: None,
                group_id: format!("g{i:03}"),
                target,
                predicted: if is_right(i) { target } else { 1 - target },
            }
        };
        let classes = vec!["a".to_owned(), "b".to_owned()];
        Answers { classes, rows: (0..rows).map(row).collect(), scores: None }
    }

    /// Three models on 60 rows: the first is right where the second is wrong on 15 rows and the other
    /// way round on 6; the third is right on the first 30.
    fn three() -> Comparison {
        let all = [
            answers(60, |i| !(15..21).contains(&i)),
            answers(60, |i| i >= 15),
            answers(60, |i| i < 30),
        ];
        let names = ["one", "two", "three"];
        let contestants: Vec<Contestant> = names
            .iter()
            .zip(&all)
            .map(|(name, answers)| Contestant { name, configuration: name, answers })
            .collect();
        compare(&contestants, &ComparisonOptions::default()).expect("they pair")
    }

    #[test]
    fn with_a_row_in_every_group_random_signs_find_mcnemars_p() {
        for pair in &three().pairs {
            let (mcnemar, signs) = (pair.accuracy.mcnemar.exact.p(), &pair.accuracy.sign_flip);
            assert!(!signs.exact && signs.active > 16, "{signs:?}");
            let draws = signs.patterns as f64;
            let error = (mcnemar * (1.0 - mcnemar) / draws).sqrt().max(1.0 / draws);
            assert!((signs.p.p() - mcnemar).abs() < 4.0 * error, "{signs:?}, not {mcnemar}");
        }
    }

    #[test]
    fn a_pair_is_found_in_either_order_and_no_model_pairs_with_itself() {
        let found = three();
        for (i, j) in [(0, 1), (0, 2), (1, 2)] {
            for pair in [found.pair(i, j), found.pair(j, i)] {
                assert_eq!(pair.map(|pair| (pair.a, pair.b)), Some((i, j)));
            }
            assert_eq!(found.margins(j, i), found.pairs[i + j - 1].margins.as_ref());
            assert!(found.pair(i, i).is_none() && found.pair(j, j).is_none());
        }
    }
}
