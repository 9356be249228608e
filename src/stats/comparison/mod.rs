//! Several models on the same samples: every test of every pair, and of every model against the
//! truth, as one value that a table or page only has to print.
use serde::{Deserialize, Serialize};

use super::{
    interval::{Interval, PairedDifference},
    margins::ClusterForms,
    mcnemar::McNemar,
    mh::{Bowker, ChiSquare, Gap, StuartMaxwell},
    multiplicity::Adjusted,
    pairing::{self, PairingError},
    signflip::SignFlip,
    table::Table,
    tail::PValue,
    warning::{self, Warning},
};
use crate::record::{Estimate, Prediction};

mod assemble;

/// What the layout of the paper's Table 5 does not say; printed beside it.
pub const CAVEAT: &str = "The Stuart-Maxwell test compares how often two raters use each class \
    (the margins), not how often they are right: an accurate model that leans to one class \
    can have a tiny p against the truth, a useless one with balanced margins has p = 1. As the \
    paper's test it also takes frames of one clip for independent; the cluster sign-flip test \
    does not.";

/// Settings of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Seed of all draws.
    pub seed: u64,
    /// Random sign patterns of a sign-flip test.
    pub sign_flips: usize,
    /// Draws of the cluster bootstrap.
    pub bootstrap_draws: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { seed: 1, sign_flips: 9_999, bootstrap_draws: 9_999 }
    }
}

/// The tests of marginal homogeneity of two raters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MarginTests {
    /// Rows: the first rater (for a model against the truth: the truth), columns: the second.
    pub table: Table,
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
    /// Accuracy with Wilson's interval, as if rows were independent; `None` without rows.
    pub accuracy: Option<Estimate>,
    /// Accuracy with the cluster-robust interval; `None` with fewer than two clusters.
    pub accuracy_clustered: Option<Estimate>,
    /// Percentile interval of the accuracy over the cluster bootstrap; `None` likewise.
    pub accuracy_bootstrap: Option<Interval>,
    /// How many times fewer independent rows there are than rows.
    pub design_effect: Option<f64>,
    /// The model's use of the classes against the truth's.
    pub versus_truth: MarginTests,
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
    /// Exact McNemar p-value over all pairs of this comparison.
    pub mcnemar_adjusted: Adjusted,
    /// The primary test of a difference of accuracies, which respects clips.
    pub sign_flip: SignFlip,
    /// Its p-value over all pairs of this comparison.
    pub sign_flip_adjusted: Adjusted,
    /// Other cluster-robust forms of McNemar's test.
    pub cluster_forms: ClusterForms,
    /// Smallest difference found with 80 % power at 5 %, given the share of discordant rows and
    /// the design effect; `None` when not even all discordant rows in one direction would do.
    pub minimum_detectable: Option<f64>,
}

/// Two models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// Index of the first model.
    pub a: usize,
    /// Index of the second model.
    pub b: usize,
    /// How often each class is predicted.
    pub margins: MarginTests,
    /// How often each is right.
    pub accuracy: AccuracyTests,
    /// Cohen's kappa between the two models' labels.
    pub kappa: Option<f64>,
}

/// All tests of several models on the same samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Samples.
    pub n: usize,
    /// Independent clusters (groups of clips).
    pub clusters: usize,
    /// Settings.
    pub options: Options,
    /// The models, in the order given.
    pub models: Vec<Model>,
    /// All pairs, the first model's first.
    pub pairs: Vec<Pair>,
    /// What the Stuart-Maxwell table does not say; see [`CAVEAT`].
    pub caveat: String,
    /// What a reader must know.
    pub warnings: Vec<Warning>,
}

impl Comparison {
    /// The pair of two models, in either order; `None` for one and the same.
    pub fn pair(&self, i: usize, j: usize) -> Option<&Pair> {
        self.pairs.iter().find(|pair| (pair.a, pair.b) == (i.min(j), i.max(j)))
    }

    /// The margin tests at row `i`, column `j` of Table 5's layout: the diagonal is the model
    /// against the truth.
    pub fn margins(&self, i: usize, j: usize) -> Option<&MarginTests> {
        if i == j {
            return self.models.get(i).map(|model| &model.versus_truth);
        }
        self.pair(i, j).map(|pair| &pair.margins)
    }
}

/// Compares `models`, each a name and its rows, on the samples that all of them must share.
///
/// # Errors
/// When the rows cannot be paired; see [`PairingError`].
pub fn compare(
    models: &[(String, Vec<Prediction>)],
    options: &Options,
) -> Result<Comparison, PairingError> {
    let paired = pairing::pair(models)?;
    let (models, pairs) = assemble::assemble(&paired, options);
    let (n, clusters) = (paired.truth.len(), paired.clusters.len());
    let mut warnings: Vec<Warning> = warning::clusters(n, clusters).into_iter().collect();
    for model in &models {
        let test = &model.versus_truth.stuart_maxwell;
        warnings.extend(warning::discordance(&model.name, "the truth", test));
    }
    for pair in &pairs {
        let (a, b) = (&models[pair.a].name, &models[pair.b].name);
        warnings.extend(warning::discordance(a, b, &pair.margins.stuart_maxwell));
    }
    let caveat = CAVEAT.to_owned();
    Ok(Comparison { n, clusters, options: *options, models, pairs, caveat, warnings })
}
