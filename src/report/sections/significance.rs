//! Tests between configurations: the paper's Table 5, what it does not say, and tests that
//! respect videos.
use crate::table::{Cell, Column, Table};
use crate::{
    report::{
        page::{Block, Section},
        paper,
        scores::{MarginScore, Scores},
        sections::results::printed,
        study::Study,
    },
    stats::{
        comparison::{ComparisonOptions, ModelPair, CAVEAT},
        pooled::Contest,
        tail::PValue,
    },
};

/// Configurations in one matrix; more would not fit a page.
const MATRIX: usize = 8;
/// Warnings in the page.
const WARNINGS: usize = 12;

/// Table 5's layout, the same with videos as units, and differences of accuracy.
pub fn section(study: &Study, scores: &Scores) -> Section {
    let mut section = Section::new("significance", "Significance");
    let shown = shown(study);
    section.text(CAVEAT);
    if scores.groups.iter().any(|s| s.runs.len() > 1) {
        section.text(
            "The paper's test compares two single models. Where both configurations have several \
             seeds it is made for every seed, the n-th of one with the n-th of the other: the table \
             shows the median p-value, with the smallest and the largest in brackets. The same \
             question with videos as units takes the answers of all these seeds on one video as \
             one unit. Differences of accuracy use every seed of both sides, unpaired: seeds of \
             different networks have nothing in common but their number.",
        );
    }
    if shown.len() < study.groups.len() {
        section.text(format!(
            "The matrices hold {} of {} configurations; all pairs stand in the table of \
             differences.",
            shown.len(),
            study.groups.len()
        ));
    }
    section.blocks.push(Block::Table(paper_test(study, scores, &shown)));
    section.blocks.push(Block::Table(robust_test(study, scores, &shown)));
    if setting_iv(study).len() > 1 {
        section.blocks.push(Block::Table(cited()));
    }
    if !scores.pairs.is_empty() {
        section.blocks.push(Block::Table(differences(study, scores)));
    }
    let warnings = warnings(scores);
    if !warnings.is_empty() {
        section.blocks.push(Block::List(warnings));
    }
    section
}

/// Our side of Table 5, the same with videos as units, and the paper's own.
pub(in crate::report) fn table_5(study: &Study, scores: &Scores) -> Vec<Table> {
    let shown = shown(study);
    vec![paper_test(study, scores, &shown), robust_test(study, scores, &shown), cited()]
}

/// What the tests warn of, the first few.
fn warnings(scores: &Scores) -> Vec<String> {
    let all = scores.single.first().map_or(&[][..], |level| &level.comparison.warnings);
    let mut shown: Vec<String> = all.iter().take(WARNINGS).map(|w| w.message.clone()).collect();
    if all.len() > WARNINGS {
        shown.push(format!("{} more of the kind", all.len() - WARNINGS));
    }
    shown
}

/// Groups in setting (iv) of Table 4, best attention first as in the paper's Table 5.
fn setting_iv(study: &Study) -> Vec<usize> {
    let rows = paper::ABLATION.rows.iter().rev().take(3);
    rows.filter_map(|row| study.groups.iter().position(|g| row.holds(&g.config))).collect()
}

fn shown(study: &Study) -> Vec<usize> {
    let three = setting_iv(study);
    if three.len() > 1 {
        return three;
    }
    (0..study.groups.len().min(MATRIX)).collect()
}

/// Run ids of the seeds of two groups that are compared.
fn runs_of(study: &Study, i: usize, j: usize) -> Vec<String> {
    let seeds = study.groups[i].runs.len().min(study.groups[j].runs.len());
    let ids = |g: usize| {
        let runs = study.groups[g].runs[..seeds].iter();
        runs.map(|&run| study.runs[run].record.run_id.clone()).collect::<Vec<_>>()
    };
    if i == j {
        ids(i)
    } else {
        [ids(i), ids(j)].concat()
    }
}

fn p_cell(p: PValue) -> Cell {
    Cell { text: p.to_string(), value: Some(p.log10()), ..Cell::default() }
}

/// The median p-value with the smallest and the largest, where there are several.
fn p_range(found: &[PValue]) -> Cell {
    let mut sorted = found.to_vec();
    sorted.sort_by(|a, b| a.log10().total_cmp(&b.log10()));
    let (Some(low), Some(high)) = (sorted.first(), sorted.last()) else { return Cell::none() };
    // Of an even number the larger of the two in the middle: the cautious one.
    let median = sorted[sorted.len() / 2];
    let range = if sorted.len() > 1 { format!(" [{low}, {high}]") } else { String::new() };
    Cell { text: format!("{median}{range}"), ..p_cell(median) }
}

fn matrix(
    study: &Study,
    scores: &Scores,
    shown: &[usize],
    cell: impl Fn(&MarginScore) -> Cell,
) -> (Vec<Column>, Vec<Vec<Cell>>) {
    let label = |&i: &usize| study.groups[i].label.clone();
    let heads = shown.iter().map(|i| Column::numbers(&label(i)));
    let columns = std::iter::once(Column::words("")).chain(heads).collect();
    let rows = shown.iter().enumerate().map(|(row, i)| {
        let cells = shown.iter().enumerate().map(|(column, j)| {
            let tests = (column >= row).then(|| scores.margins(*i, *j)).flatten();
            tests.map_or(Cell::words(""), |t| cell(t).of(runs_of(study, *i, *j)))
        });
        std::iter::once(Cell::words(label(i))).chain(cells).collect()
    });
    (columns, rows.collect())
}

fn paper_test(study: &Study, scores: &Scores, shown: &[usize]) -> Table {
    let cell = |t: &MarginScore| {
        let p: Vec<PValue> = t.stuart_maxwell.iter().map(|(p, _)| *p).collect();
        let mut freedoms: Vec<u32> = t.stuart_maxwell.iter().map(|(_, df)| *df).collect();
        freedoms.sort_unstable();
        freedoms.dedup();
        let freedoms: Vec<_> = freedoms.iter().map(u32::to_string).collect();
        let range = p_range(&p);
        Cell { text: format!("{} (df {})", range.text, freedoms.join(", ")), ..range }
    };
    let (columns, rows) = matrix(study, scores, shown, cell);
    let accuracy = scores.groups.first().map(|s| s.accuracy);
    let (n, videos) = accuracy.map_or((0, 0), |a| (a.n, a.clusters));
    Table {
        name: "table-5".into(),
        caption: "Stuart-Maxwell p-values between models, in the layout of Table 5".into(),
        columns,
        rows,
        notes: vec![format!(
            "The main diagonal tests a model's predictions against the truth. Frames are taken as \
             independent ({n} frames in {videos} videos); not corrected for the number of tests."
        )],
    }
}

fn robust_test(study: &Study, scores: &Scores, shown: &[usize]) -> Table {
    let (columns, rows) = matrix(study, scores, shown, |t| p_cell(t.sign_flip));
    let options =
        scores.single.first().map_or_else(ComparisonOptions::default, |l| l.comparison.options);
    Table {
        name: "table-5-clusters".into(),
        caption: "The same question with videos as units: cluster sign-flip p-values".into(),
        columns,
        rows,
        notes: vec![format!(
            "All signs where few videos differ, else {} random ones; seed {}. A value after \
             <= is a bound: no random draw reached the observed statistic.",
            options.sign_flips, options.seed
        )],
    }
}

/// The paper's Table 5.
pub(in crate::report) fn cited() -> Table {
    let rows = paper::TABLE_5.iter().map(|(name, cells)| {
        let cells = cells.iter().map(|p| match p {
            Some(p) => Cell { text: (*p).into(), value: p.parse().ok(), ..Cell::default() },
            None => Cell::words(""),
        });
        std::iter::once(Cell::words(*name)).chain(cells).collect()
    });
    Table {
        name: "table-5-paper".into(),
        caption: "Cited: the paper's Table 5, on NCAER-S".into(),
        columns: std::iter::once(Column::words(""))
            .chain(paper::TABLE_5.iter().map(|(name, _)| Column::cited(name)))
            .collect(),
        rows: rows.collect(),
        notes: vec!["Other data and other predictions; quoted for the layout only.".into()],
    }
}

fn differences(study: &Study, scores: &Scores) -> Table {
    let margin = scores.rules.margin;
    let rows = scores.pairs.iter().map(|pair| {
        let contest = &pair.contest;
        let runs = all_runs_of(study, contest.a, contest.b);
        let label = |i: usize| Cell::words(&study.groups[i].label);
        let p = |p: Option<PValue>| p.map_or(Cell::none(), p_cell);
        let mut cells = vec![
            difference(scores, contest),
            on_the_side(contest),
            p(contest.p),
            p(contest.holm),
            p_cell(contest.weights.p),
            p_cell(contest.weights_holm),
            p_range(&pair.mcnemar),
            contest.detectable().map_or(Cell::none(), |v| Cell::number(100.0 * v, 2)),
        ];
        cells.extend(margin.map(|_| p(contest.equivalence_holm)));
        let cells = cells.into_iter().map(|cell| cell.of(runs.clone()));
        [label(contest.a), label(contest.b)].into_iter().chain(cells).collect()
    });
    let numbers = [
        "A − B in points",
        "pairs of seeds with A ahead",
        "p, seeds and videos",
        "the same, Holm",
        "p, these weights",
        "the same, Holm",
        "p, McNemar exact, frames",
        "smallest difference found",
    ];
    let equivalence = margin.map(|m| format!("p, equal within {} points, Holm", 100.0 * m));
    let numbers = numbers.into_iter().map(str::to_owned).chain(equivalence);
    Table {
        name: "differences".into(),
        caption: "Differences of accuracy, over all seeds".into(),
        rows: rows.collect(),
        columns: ["A", "B"]
            .map(Column::words)
            .into_iter()
            .chain(numbers.map(|title| Column::numbers(&title)))
            .collect(),
        notes: vec![
            "The difference is that of the accuracies as printed in the table of results. Its 95 % \
             interval and the first p-value treat seeds and videos as crossed factors and need two \
             seeds on both sides; where there are fewer, or where nothing varies, they are not \
             given. \"These weights\" is the cluster sign-flip test with the seeds as given: it says \
             nothing about other seeds. McNemar's test takes the n-th seed of one with the n-th of \
             the other and frames as independent. Holm's corrections are over all pairs of this \
             table. The smallest difference found is the one that as many seeds and videos would \
             show with 80 % power at 5 %."
                .into(),
        ],
    }
}

/// Run ids of all seeds of two groups.
fn all_runs_of(study: &Study, i: usize, j: usize) -> Vec<String> {
    let runs = [i, j].into_iter().flat_map(|g| &study.groups[g].runs);
    runs.map(|&run| study.runs[run].record.run_id.clone()).collect()
}

/// The difference of the printed accuracies in points, with its interval.
fn difference(scores: &Scores, contest: &Contest) -> Cell {
    let hundredths = |i: usize| {
        let text = printed(&scores.groups[i]).replace('.', "");
        text.parse::<i64>().unwrap_or_default()
    };
    let value = (hundredths(contest.a) - hundredths(contest.b)) as f64 / 100.0;
    let interval = contest
        .interval
        .map(|i| format!(" [{:+.2}, {:+.2}]", 100.0 * i.lo, 100.0 * i.hi))
        .unwrap_or_default();
    Cell { text: format!("{value:+.2}{interval}"), value: Some(value), ..Cell::default() }
}

fn on_the_side(contest: &Contest) -> Cell {
    let (ahead, all) = contest.ahead;
    let share = ahead as f64 / all.max(1) as f64;
    Cell { text: format!("{ahead} of {all}"), value: Some(share), ..Cell::default() }
}

/// What the page says about a pair when two models are chosen from the lists: name and text, and
/// the same with the models exchanged; `exchanged` when the page lists `b` before `a`.
pub fn pair_rows(pair: &ModelPair, exchanged: bool) -> serde_json::Value {
    let rows = |sign: f64| {
        let ends = |lo: f64, hi: f64| if sign > 0.0 { (lo, hi) } else { (-hi, -lo) };
        let difference = pair.accuracy.clustered.map_or("–".into(), |e| {
            let (lo, hi) = ends(e.lo, e.hi);
            let points = [sign * e.value, lo, hi].map(|v| 100.0 * v);
            format!("{:+.2} [{:+.2}, {:+.2}]", points[0], points[1], points[2])
        });
        let tests = &pair.accuracy;
        let margins = pair.margins.as_ref().map_or("–".to_owned(), |margins| {
            let test = &margins.stuart_maxwell;
            format!("{} (df {})", test.p, test.df)
        });
        serde_json::json!([
            ["A − B in points, 95 %, these weights", difference],
            ["p, cluster sign-flip", tests.sign_flip.p.to_string()],
            ["p, the same, Holm over all pairs", tests.sign_flip_adjusted.holm.to_string()],
            ["p, McNemar exact (frames)", tests.mcnemar.exact.to_string()],
            ["p, Stuart-Maxwell (frames)", margins],
        ])
    };
    let sign = if exchanged { -1.0 } else { 1.0 };
    serde_json::json!({"forward": rows(sign), "backward": rows(-sign)})
}
