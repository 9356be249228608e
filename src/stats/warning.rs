//! What a reader of a result must know, as data.
use serde::{Deserialize, Serialize};

use super::{mh::Homogeneity, mh::StuartMaxwell, tail::PValue};

/// Clusters below which asymptotic clustered statistics are poor.
pub const FEW_CLUSTERS: usize = 30;
/// Discordant pairs below which a chi-square approximation is poor.
pub const FEW_DISCORDANT: u64 = 25;

/// What a warning is about, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// There is no row at all.
    NoData,
    /// All rows are one cluster: no clustered statistic exists.
    OneCluster,
    /// Fewer than [`FEW_CLUSTERS`] clusters.
    FewClips,
    /// Two raters agree on every row: a test of their difference is empty.
    VacuousTest,
    /// Fewer than [`FEW_DISCORDANT`] rows on which two raters differ.
    FewDiscordantPairs,
    /// The test split was predicted more than once with this run.
    TestLooks,
    /// Some logits are infinite or not numbers.
    NonFiniteLogits,
    /// The stored label is not the first maximum of the logits on some rows.
    NotArgmax,
    /// A class never occurs in the truth.
    AbsentClass,
    /// No groups were given: every row was taken as independent.
    NoGroups,
    /// Scores that were called logits are probabilities.
    Probabilities,
    /// Something was not computed because the file does not have what it needs.
    NotComputed,
    /// More random draws were made than asked for, so that a correction for many tests can be
    /// survived at all.
    MoreDraws,
}

/// A warning: a code for programs, words for people.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Warning {
    /// The kind.
    pub code: Code,
    /// What was found and what follows.
    pub message: String,
}

impl Warning {
    /// A warning of `code`.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Warning { code, message: message.into() }
    }
}

/// What the number of rows and clusters calls for.
pub fn clusters(rows: usize, clusters: usize) -> Option<Warning> {
    let (code, message) = match (rows, clusters) {
        (0, _) => (Code::NoData, "no rows: nothing is estimated or tested".to_owned()),
        (_, 1) => {
            (Code::OneCluster, "all rows are one group: no clustered interval exists".to_owned())
        }
        (_, c) if c < FEW_CLUSTERS => (
            Code::FewClips,
            format!("only {c} independent groups: trust the sign-flip test, not chi-square forms"),
        ),
        _ => return None,
    };
    Some(Warning::new(code, message))
}

/// What the discordant pairs of a test between `a` and `b` call for; `exact` is its p-value by
/// enumeration, where that was made.
pub fn discordance(
    a: &str,
    b: &str,
    test: &StuartMaxwell,
    exact: Option<PValue>,
) -> Option<Warning> {
    match test.outcome {
        Homogeneity::NoData => None,
        Homogeneity::Vacuous => Some(Warning::new(
            Code::VacuousTest,
            format!("{a} and {b} agree on every row: p = 1 is no evidence of anything"),
        )),
        Homogeneity::Tested if test.discordant < FEW_DISCORDANT => Some(Warning::new(
            Code::FewDiscordantPairs,
            match exact {
                Some(p) => format!(
                    "{a} and {b} differ on {} rows only: the chi-square p-value {} is an \
                     approximation, the exact one is {p}",
                    test.discordant, test.p
                ),
                None => format!(
                    "{a} and {b} differ on {} rows only: the chi-square p-value {} is a poor \
                     approximation",
                    test.discordant, test.p
                ),
            },
        )),
        Homogeneity::Tested => None,
    }
}

/// That the test split was looked at more than once.
pub fn test_looks(name: &str, looks: usize) -> Option<Warning> {
    (looks > 1).then(|| {
        let message = format!(
            "{name}: the test split was predicted {looks} times; its figures are optimistic \
             if anything was chosen by them"
        );
        Warning::new(Code::TestLooks, message)
    })
}

#[cfg(test)]
mod tests {
    use super::super::{mh, table::ContingencyTable};
    use super::*;

    fn code(warning: Option<Warning>) -> Option<Code> {
        warning.map(|w| w.code)
    }

    #[test]
    fn few_clusters() {
        assert_eq!(code(clusters(0, 0)), Some(Code::NoData));
        assert_eq!(code(clusters(9, 1)), Some(Code::OneCluster));
        assert_eq!(code(clusters(99, 29)), Some(Code::FewClips));
        assert_eq!(code(clusters(99, 30)), None);
    }

    #[test]
    fn few_discordant_pairs() {
        let of = |b, c| {
            let table = ContingencyTable::new(&[vec![50, b], vec![c, 50]]).expect("square");
            code(discordance("a", "b", &mh::stuart_maxwell(&table), None))
        };
        assert_eq!(of(0, 0), Some(Code::VacuousTest));
        assert_eq!(of(12, 12), Some(Code::FewDiscordantPairs));
        assert_eq!(of(12, 13), None);
    }

    #[test]
    fn looks_at_the_test_split() {
        assert_eq!(test_looks("a", 1), None);
        let warning = test_looks("glamor", 3).expect("three");
        assert_eq!(warning.code, Code::TestLooks);
        assert!(warning.message.contains("glamor") && warning.message.contains("3 times"));
        let json = serde_json::to_value(&warning).expect("json");
        assert_eq!(json["code"], "test-looks");
    }
}
