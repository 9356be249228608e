//! Many models on one test set, on one page.
use std::collections::BTreeMap;

use anyhow::Result;
use maud::{html, Markup};
use serde::Serialize;

use super::{columns, predictions::Predictions};
use crate::{
    html::document,
    metric::Unit,
    stats::{
        answers::Answers,
        comparison::{Comparison, ComparisonOptions},
        interval::Interval,
        pairing::{self, Paired},
        pooled::{PoolEntry, Scope},
        ranking::{ranks, tie_groups, Rank},
    },
};

/// Resamplings at most: ranks are whole numbers and need no more.
const DRAWS: usize = 999;
/// Groups up to which the accuracy of each is shown.
const GROUPS: usize = 60;
/// Samples named in a list of the page; the JSON has all.
const SHOWN: usize = 60;
/// Models up to which agreement is shown as a matrix.
const MATRIX: usize = 20;

/// A page's worth of results.
#[derive(Clone, Debug, Serialize)]
pub struct Leaderboard {
    /// Rows of the test set.
    pub rows: usize,
    /// Groups.
    pub groups: usize,
    /// Configurations, the highest mean first.
    pub standings: Vec<Standing>,
    /// Sets of configurations that are not told apart, best first.
    pub tie_groups: Vec<Vec<String>>,
    /// Samples that every file has right.
    pub everybody: Vec<String>,
    /// Samples that no file has right.
    pub nobody: Vec<String>,
    /// Names of the files, in the order of `agreement`.
    pub files: Vec<String>,
    /// Share of rows on which two files give the same answer, `[files][files]`.
    pub agreement: Vec<Vec<f64>>,
    /// Accuracy of every configuration in every group, where there are few.
    pub per_group: Vec<GroupAccuracy>,
}

/// One configuration's place.
#[derive(Clone, Debug, Serialize)]
pub struct Standing {
    /// Its name.
    pub label: String,
    /// Its rank.
    pub rank: Rank,
    /// Its tie group, from 1.
    pub tie_group: usize,
    /// Number of seeds.
    pub seeds: usize,
    /// Mean accuracy.
    pub accuracy: f64,
    /// 95 % interval.
    pub interval: Option<Interval>,
    /// What the interval speaks of.
    pub scope: Scope,
}

/// The accuracies in one group.
#[derive(Clone, Debug, Serialize)]
pub struct GroupAccuracy {
    /// The group.
    pub group: String,
    /// Its rows.
    pub rows: u64,
    /// Mean accuracy over seeds by configuration, in the order of the standings.
    pub accuracy: Vec<f64>,
}

/// The leaderboard of what was compared; `None` with fewer than two configurations or no rows.
///
/// # Errors
/// When the rows cannot be paired.
pub fn of(
    predictions: &[Predictions],
    comparison: &Comparison,
    options: &ComparisonOptions,
) -> Result<Option<Leaderboard>> {
    let pool = &comparison.pool;
    if pool.configurations.len() < 2 || comparison.n == 0 {
        return Ok(None);
    }
    let named: Vec<(String, &Answers)> =
        predictions.iter().map(|p| (p.name.clone(), &p.answers)).collect();
    let paired = pairing::pair(&named)?;
    let entries = entries(predictions, comparison, &paired);
    let draws = options.bootstrap_draws.min(DRAWS);
    let ranks = ranks(paired.clusters.sizes(), &entries, draws, options.seed);
    let ties = tie_groups(pool);
    let mut order: Vec<usize> = (0..entries.len()).collect();
    let accuracy = |i: usize| pool.configurations[i].accuracy;
    order.sort_by(|&a, &b| accuracy(b).total_cmp(&accuracy(a)).then(a.cmp(&b)));
    let standing = |&i: &usize| {
        let of = &pool.configurations[i];
        Standing {
            label: of.label.clone(),
            rank: ranks[i],
            tie_group: 1 + ties.iter().position(|group| group.contains(&i)).unwrap_or(0),
            seeds: of.each.len(),
            accuracy: of.accuracy,
            interval: of.interval,
            scope: of.scope,
        }
    };
    let label = |&i: &usize| pool.configurations[i].label.clone();
    let [everybody, nobody] = extremes(&paired);
    Ok(Some(Leaderboard {
        rows: comparison.n,
        groups: comparison.clusters,
        standings: order.iter().map(standing).collect(),
        tie_groups: ties.iter().map(|group| group.iter().map(label).collect()).collect(),
        everybody,
        nobody,
        agreement: agreement(&paired),
        per_group: per_group(predictions, &paired, &entries, &order),
        files: paired.names,
    }))
}

/// Hits by configuration, seed and group, in the order of the pool.
fn entries(
    predictions: &[Predictions],
    comparison: &Comparison,
    paired: &Paired,
) -> Vec<PoolEntry> {
    let hits = |of: &Vec<u16>| paired.clusters.sums(|row| i64::from(of[row] == paired.truth[row]));
    let entry = |label: &String| {
        let mine = predictions.iter().zip(&paired.predicted).filter(|(p, _)| p.label == *label);
        PoolEntry { label: label.clone(), hits: mine.map(|(_, of)| hits(of)).collect() }
    };
    comparison.pool.configurations.iter().map(|c| entry(&c.label)).collect()
}

/// Samples that every file has right, and that none has.
fn extremes(paired: &Paired) -> [Vec<String>; 2] {
    let mut found = [Vec::new(), Vec::new()];
    for (row, sample) in paired.samples.iter().enumerate() {
        let right = paired.predicted.iter().filter(|of| of[row] == paired.truth[row]).count();
        if right == paired.predicted.len() {
            found[0].push(sample.clone());
        } else if right == 0 {
            found[1].push(sample.clone());
        }
    }
    found
}

fn agreement(paired: &Paired) -> Vec<Vec<f64>> {
    let share = |a: &Vec<u16>, b: &Vec<u16>| {
        a.iter().zip(b).filter(|(x, y)| x == y).count() as f64 / a.len().max(1) as f64
    };
    let row = |a| paired.predicted.iter().map(|b| share(a, b)).collect();
    paired.predicted.iter().map(row).collect()
}

fn per_group(
    predictions: &[Predictions],
    paired: &Paired,
    entries: &[PoolEntry],
    order: &[usize],
) -> Vec<GroupAccuracy> {
    if paired.clusters.len() > GROUPS {
        return Vec::new();
    }
    // Clusters are numbered in the order of their ids.
    let ids: BTreeMap<&str, ()> = predictions
        .first()
        .map(|p| p.answers.rows.iter().map(|r| (r.group_id.as_str(), ())).collect())
        .unwrap_or_default();
    let of = |(cluster, (group, rows)): (usize, (&&str, &u64))| {
        let share = |&i: &usize| {
            let hits = &entries[i].hits;
            let sum: i64 = hits.iter().map(|of| of[cluster]).sum();
            sum as f64 / (*rows as f64 * hits.len() as f64)
        };
        GroupAccuracy {
            group: (*group).to_owned(),
            rows: *rows,
            accuracy: order.iter().map(share).collect(),
        }
    };
    ids.keys().zip(paired.clusters.sizes()).enumerate().map(of).collect()
}

impl Leaderboard {
    /// A page that needs nothing beside it.
    pub fn html(&self) -> String {
        let body = html! {
            main { "\n"
                h1 { "Leaderboard" } "\n"
                p {
                    (self.rows) " rows in " (self.groups) " groups. Intervals are 95 %: of several seeds \
                     with seeds and groups as crossed factors, of one seed for these weights on other \
                     groups. The interval of a rank comes from resampling groups and seeds. Within a \
                     tie group nothing is shown to be worse than its first (Holm over all pairs)."
                } "\n"
                (self.standings_html())
                (self.extremes_html())
                @if self.files.len() <= MATRIX { (self.agreement_html()) }
                @if !self.per_group.is_empty() { (self.groups_html()) }
            } "\n"
        };
        document("Leaderboard", CSS, &body)
    }

    fn standings_html(&self) -> Markup {
        let titles =
            ["rank", "95 % of rank", "tie group", "model", "seeds", "accuracy %", "95 %", "for"];
        let row = |s: &Standing| {
            let scope = match s.scope {
                Scope::SeedsAndGroups => "other seeds and groups",
                Scope::TheseWeights => "these weights",
            };
            let Rank { observed, lo, hi } = s.rank;
            html! {
                tr {
                    td { (observed) }
                    td { (lo) " to " (hi) }
                    td { (s.tie_group) }
                    th scope="row" { (s.label) }
                    td { (s.seeds) }
                    td { (columns::percent(s.accuracy)) }
                    td { (columns::interval(s.interval, Unit::Share)) " " (interval_svg(s.accuracy, s.interval)) }
                    td { (scope) }
                } "\n"
            }
        };
        scrolling(&titles, &html! { @for s in &self.standings { (row(s)) } })
    }

    fn extremes_html(&self) -> Markup {
        let share = |n: usize| columns::percent(n as f64 / self.rows.max(1) as f64);
        let lists =
            [("Nobody gets right", &self.nobody), ("Everybody gets right", &self.everybody)];
        html! {
            @for (title, samples) in lists {
                h2 {
                    (title) ": " (samples.len()) " of " (self.rows) " samples (" (share(samples.len())) " %)"
                } "\n"
                details {
                    summary { "Samples" }
                    ul {
                        @for sample in samples.iter().take(SHOWN) { li { (sample) } "\n" }
                        @if samples.len() > SHOWN {
                            li { (samples.len() - SHOWN) " more in leaderboard.json" } "\n"
                        }
                    }
                } "\n"
            }
        }
    }

    fn agreement_html(&self) -> Markup {
        let names: Vec<String> = (1..=self.files.len()).map(|n| n.to_string()).collect();
        let titles: Vec<&str> =
            ["", "file"].into_iter().chain(names.iter().map(String::as_str)).collect();
        let rows = html! {
            @for (i, (file, row)) in self.files.iter().zip(&self.agreement).enumerate() {
                tr {
                    td { (i + 1) }
                    th scope="row" { (file) }
                    (shaded(row))
                } "\n"
            }
        };
        html! {
            h2 { "Agreement: share of rows with the same answer, %" } "\n"
            (scrolling(&titles, &rows))
        }
    }

    fn groups_html(&self) -> Markup {
        let labels = self.standings.iter().map(|s| s.label.as_str());
        let titles: Vec<&str> = ["group", "rows"].into_iter().chain(labels).collect();
        let rows = html! {
            @for group in &self.per_group {
                tr {
                    th scope="row" { (group.group) }
                    td { (group.rows) }
                    (shaded(&group.accuracy))
                } "\n"
            }
        };
        html! {
            h2 { "Accuracy per group, %" } "\n"
            (scrolling(&titles, &rows))
        }
    }
}

const CSS: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:0;color:#1a1a1a;background:#fff}\
main{max-width:72rem;margin:2rem auto;padding:0 1rem}table{border-collapse:collapse}\
th,td{padding:.3rem .6rem;text-align:right;border-bottom:1px solid #ddd;font-weight:400;\
font-variant-numeric:tabular-nums;white-space:nowrap}thead th{font-weight:600}\
th[scope=row]{text-align:left}.scroll{overflow-x:auto}svg{vertical-align:middle}\
@media (prefers-color-scheme:dark){body{color:#eee;background:#161616}th,td{border-color:#444}}";

fn scrolling(titles: &[&str], rows: &Markup) -> Markup {
    html! {
        div class="scroll" {
            table {
                thead { tr { @for title in titles { th scope="col" { (title) } } } }
                tbody { "\n" (rows) }
            }
        } "\n"
    }
}

/// The interval as a line from 0 to 1 with a dot.
fn interval_svg(value: f64, interval: Option<Interval>) -> Markup {
    let x = |share: f64| format!("{:.1}", 4.0 + 112.0 * share);
    html! {
        svg width="120" height="14" aria-hidden="true" {
            line x1="4" x2="116" y1="7" y2="7" stroke="currentColor" stroke-opacity=".2" {}
            @if let Some(i) = interval {
                line x1=(x(i.lo)) x2=(x(i.hi)) y1="7" y2="7" stroke="currentColor" stroke-width="2" {}
            }
            circle cx=(x(value)) cy="7" r="4" fill="#0b62c4" {}
        }
    }
}

/// Cells with a tint that grows with the share; the number stays readable on it in both colour
/// schemes.
fn shaded(shares: &[f64]) -> Markup {
    let style = |share: f64| format!("background:rgba(11,98,196,{:.2})", 0.35 * share);
    html! {
        @for share in shares { td style=(style(*share)) { (columns::percent(*share)) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_become_markup() {
        let rank = Rank { observed: 1, lo: 1, hi: 2 };
        let mut board = Leaderboard {
            rows: 2,
            groups: 2,
            standings: vec![Standing {
                label: "<b>a</b>".into(),
                rank,
                tie_group: 1,
                seeds: 1,
                accuracy: 0.5,
                interval: None,
                scope: Scope::TheseWeights,
            }],
            tie_groups: vec![vec!["<b>a</b>".into()]],
            everybody: Vec::new(),
            nobody: vec!["<script>".into()],
            files: vec!["x".into()],
            agreement: vec![vec![1.0]],
            per_group: Vec::new(),
        };
        let html = board.html();
        assert!(!html.contains("<b>") && !html.contains("<script>"), "{html}");
        assert!(html.contains("1 of 2 samples (50.00 %)") && !html.contains("http"), "{html}");
        assert!(!html.contains("Accuracy per group"), "there are no groups: {html}");
        board.per_group =
            vec![GroupAccuracy { group: "<i>show".into(), rows: 2, accuracy: vec![0.25] }];
        let html = board.html();
        assert!(html.contains("Accuracy per group") && html.contains("25.00"), "{html}");
        assert!(html.contains("&lt;i&gt;show") && !html.contains("<i>"), "{html}");
    }

    #[test]
    fn the_tint_of_a_cell_grows_with_its_share() {
        let cells = shaded(&[0.0, 0.2, 1.0]).into_string();
        let tints: Vec<&str> = cells
            .split("rgba(11,98,196,")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
            .collect();
        assert_eq!(tints, ["0.00", "0.07", "0.35"]);
    }
}
