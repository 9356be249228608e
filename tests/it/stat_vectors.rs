//! Known answers from exact arithmetic and other programs: every vector file of a folder
//! (`NCAERS_STATS_VECTORS`, default `tests/fixtures/stats`), at the tolerances stated there.
//! Unknown fields are skipped; a family of vectors that is not checked here fails.
use std::{collections::BTreeMap, fs, path::PathBuf};

use ncaers::internals::{
    metric::{self, Absent, Confusion, Tally, TallyRow, METRICS},
    stats::{
        clusters::{clustered_error, Clusters},
        interval,
        margins::Margins,
        mcnemar::mcnemar,
        mh::{self, ChiSquare, Homogeneity},
        multiplicity, seeds,
        signflip::SignFlip,
        table::ContingencyTable,
        tail::{self, PValue},
    },
};
use serde_json::Value;

#[path = "common/inference.rs"]
mod inference;

/// Collects what differs, so that one run tells everything.
#[derive(Default)]
struct Report {
    checked: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

impl Report {
    fn check(&mut self, family: &str, name: &str, right: bool, message: impl FnOnce() -> String) {
        *self.checked.entry(family.to_owned()).or_default() += 1;
        if !right {
            self.wrong.push(format!("{family} {name}: {}", message()));
        }
    }

    /// Absolute tolerance; equal infinities are equal.
    fn near(&mut self, family: &str, name: &str, got: f64, want: f64, tolerance: f64) {
        let right = got == want || (got - want).abs() <= tolerance;
        self.check(family, name, right, || format!("{got:e}, not {want:e}"));
    }

    fn relative(&mut self, family: &str, name: &str, got: f64, want: f64, tolerance: f64) {
        let right = got == want || (got - want).abs() <= tolerance * want.abs();
        self.check(family, name, right, || format!("{got:e}, not {want:e}"));
    }

    /// A number that may be absent on both sides: `None` is "nan" in the vectors.
    fn option(&mut self, family: &str, name: &str, got: Option<f64>, want: &Value, tolerance: f64) {
        let want = number(want);
        match got {
            Some(got) => self.near(family, name, got, want, tolerance),
            None => self.check(family, name, want.is_nan(), || format!("nothing, not {want}")),
        }
    }

    fn unknown(&mut self, what: &str, name: &str) {
        self.wrong.push(format!("{what} `{name}` is not checked by this test"));
    }
}

fn number(value: &Value) -> f64 {
    match value {
        Value::String(text) => text.parse().unwrap_or_else(|_| panic!("{text} is no number")),
        other => other.as_f64().unwrap_or_else(|| panic!("{other} is no number")),
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    list(value).iter().map(number).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}

fn integer(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

fn labels(value: &Value) -> Vec<u8> {
    list(value).iter().map(|x| integer(x) as u8).collect()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or("unnamed")
}

fn clusters(value: &Value) -> Clusters {
    let ids: Vec<String> = list(value).iter().map(|id| format!("{:>9}", id.to_string())).collect();
    Clusters::by_id(ids.iter().map(String::as_str))
}

fn table(value: &Value) -> ContingencyTable {
    let rows: Vec<Vec<u64>> =
        list(value).iter().map(|row| list(row).iter().map(integer).collect()).collect();
    ContingencyTable::new(&rows).expect("square")
}

#[test]
fn all_vectors() {
    let folder = std::env::var_os("NCAERS_STATS_VECTORS")
        .map_or_else(|| PathBuf::from("tests/fixtures/stats"), PathBuf::from);
    let mut report = Report::default();
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("cannot read {}: {e}", folder.display()))
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no vectors in {}", folder.display());
    for path in &files {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let json: Value = serde_json::from_slice(&fs::read(path).expect("file")).expect("JSON");
        if inference::check(&mut report, &name, &json) {
            continue;
        }
        match () {
            _ if name.starts_with("stuart_maxwell") => {
                list(&json).iter().for_each(|v| homogeneity(&mut report, v))
            }
            _ if name.starts_with("clustered") => {
                list(&json).iter().for_each(|v| clustered(&mut report, v))
            }
            _ if name.starts_with("evaluation") => evaluation(&mut report, &json),
            _ => report.unknown("file", &name),
        }
    }
    println!("checked: {:?}", report.checked);
    assert!(report.wrong.is_empty(), "{} wrong:\n{}", report.wrong.len(), report.wrong.join("\n"));
    assert!(!report.checked.is_empty());
}

// ---- stuart_maxwell*.json: T rel 1e-10, df exact, log10 p abs 1e-9 ----

fn homogeneity(report: &mut Report, v: &Value) {
    let (name, table) = (text(v, "name"), table(&v["table"]));
    let test = mh::stuart_maxwell(&table);
    chi_square(report, "stuart_maxwell", name, (test.stat, test.df, test.p), v);
    let outcome = match (table.total(), table.discordant()) {
        (0, _) => Homogeneity::NoData,
        (_, 0) => Homogeneity::Vacuous,
        _ => Homogeneity::Tested,
    };
    report.check("outcome", name, test.outcome == outcome, || format!("{:?}", test.outcome));
    if let Some(want) = v.get("bhapkar") {
        let got = mh::bhapkar(&table);
        chi_square(report, "bhapkar", name, (got.stat, got.df, got.p), want);
    }
    if let Some(want) = v.get("bowker") {
        bowker(report, name, &mh::bowker(&table), want);
    }
    if let Some(want) = v.get("exact_signflip_p") {
        let got = mh::exact(&table).map(PValue::p);
        report.option("exact_signflip_p", name, got, want, 1e-12);
    }
    if let Some(want) = v.get("n_off") {
        let right = test.discordant == integer(want);
        report.check("n_off", name, right, || test.discordant.to_string());
    }
}

fn chi_square(report: &mut Report, family: &str, name: &str, got: (f64, u32, PValue), v: &Value) {
    let (stat, df, p) = got;
    report.relative(family, name, stat, number(&v["stat"]), 1e-10);
    report.check(family, name, u64::from(df) == integer(&v["df"]), || format!("df {df}"));
    report.near(family, name, p.log10(), number(&v["log10_p"]), 1e-9);
    report.relative(family, name, p.p(), number(&v["p"]), 1e-9);
    let shown = p.to_string();
    let zero = shown == "0" && stat.is_finite();
    report.check(family, name, !zero, || "p is shown as 0".to_owned());
}

fn bowker(report: &mut Report, name: &str, got: &mh::Bowker, want: &Value) {
    report.relative("bowker", name, got.stat, number(&want["stat"]), 1e-10);
    let df = (u64::from(got.df), u64::from(got.df_full));
    let wanted = (integer(&want["df_nonzero"]), integer(&want["df_full"]));
    report.check("bowker", name, df == wanted, || format!("df {df:?}, not {wanted:?}"));
    report.near("bowker", name, got.p.log10(), number(&want["log10_p_nonzero"]), 1e-9);
    report.near("bowker", name, got.p_full.log10(), number(&want["log10_p_full"]), 1e-9);
}

// ---- clustered*.json: T rel 1e-9 ----

fn clustered(report: &mut Report, v: &Value) {
    let name = text(v, "name");
    let (x, y, groups) = (labels(&v["x"]), labels(&v["y"]), clusters(&v["cluster"]));
    let k = integer(&v["k"]) as usize;
    let margins = Margins::new(k, &x, &y, &groups);
    let plain = mh::stuart_maxwell(&ContingencyTable::of_pairs(k, x.into_iter().zip(y)));
    let plain = Some(ChiSquare { stat: plain.stat, df: plain.df, p: plain.p });
    for (family, got) in [
        ("naive_stuart_maxwell", plain),
        ("cluster_raw_signflip_form", margins.raw()),
        ("obuchowski", margins.obuchowski()),
        ("yang", margins.yang()),
        ("durkalski", margins.durkalski()),
        ("wald_centred", margins.wald_centred()),
    ] {
        if let Some(want) = v.get(family) {
            form(report, family, name, got, want);
        }
    }
    if let Some(want) = v.get("signflip_exact") {
        let got = SignFlip::of(&margins, 9_999, 1);
        report.near("signflip_exact", name, got.p.p(), number(&want["p"]), 1e-12);
        let right = got.exact && got.patterns == integer(&want["patterns"]);
        report.check("signflip_exact", name, right, || format!("{} patterns", got.patterns));
    }
    if let Some(want) = v.get("signflip_mc") {
        let (draws, p) = (integer(&want["B"]) as usize, number(&want["p"]));
        let got = SignFlip::of(&margins, draws, 1).p.p();
        // Two independent Monte Carlo runs: five standard errors of their difference.
        let tolerance = 5.0 * 2f64.sqrt() * number(&want["mc_se"]);
        report.near("signflip_mc", name, got, p, tolerance);
    }
    let known = ["naive_", "cluster_raw_", "obuchowski", "yang", "durkalski", "wald_", "signflip_"];
    let data = ["clust_bin_pair_R", "abcd"];
    for (key, value) in v.as_object().expect("an object") {
        let recognised = known.iter().any(|k| key.starts_with(k)) || data.contains(&key.as_str());
        if value.is_object() && !recognised {
            report.unknown("statistic", key);
        }
    }
}

fn form(report: &mut Report, family: &str, name: &str, got: Option<ChiSquare>, want: &Value) {
    let Some(got) = got else {
        return report.check(family, name, want["stat"].is_null(), || "nothing".to_owned());
    };
    report.relative(family, name, got.stat, number(&want["stat"]), 1e-9);
    if let Some(df) = want["df"].as_u64() {
        report.check(family, name, u64::from(got.df) == df, || format!("df {}", got.df));
    }
    if let Some(log10) = want.get("log10_p") {
        report.near(family, name, got.p.log10(), number(log10), 1e-9);
    }
    report.relative(family, name, got.p.p(), number(&want["p"]), 1e-8);
}

// ---- evaluation*.json: 1e-12, float32 references 1e-6 ----

const EXACT: f64 = 1e-12;
const FLOAT32: f64 = 1e-6;

fn evaluation(report: &mut Report, json: &Value) {
    for (family, body) in json.as_object().expect("an object") {
        let vectors = |key: &str| list(&body[key]).to_vec();
        match family.as_str() {
            "wilson" => vectors("vectors").iter().for_each(|v| wilson(report, v)),
            "mcnemar" => vectors("vectors").iter().for_each(|v| mcnemars(report, v)),
            "classification" => vectors("datasets").iter().for_each(|v| classification(report, v)),
            "ece_direct" => vectors("vectors").iter().for_each(|v| ece_direct(report, v)),
            "multiple_testing" => vectors("vectors").iter().for_each(|v| multiple(report, v)),
            "multi_seed" => vectors("vectors").iter().for_each(|v| multi_seed(report, v)),
            "bootstrap" => bootstrap(report, body),
            "clustered_accuracy_se" => {
                vectors("vectors").iter().for_each(|v| clustered_se(report, v))
            }
            "paired_accuracy_diff" => {
                vectors("vectors").iter().for_each(|v| paired_difference(report, v))
            }
            other => report.unknown("family", other),
        }
    }
}

fn wilson(report: &mut Report, v: &Value) {
    let (k, n) = (integer(&v["k"]), integer(&v["n"]));
    let name = format!("{k}/{n}");
    match interval::wilson(k, n) {
        Some(got) => {
            report.near("wilson", &name, got.lo, number(&v["wilson_lo"]), EXACT);
            report.near("wilson", &name, got.hi, number(&v["wilson_hi"]), EXACT);
        }
        None => report.check("wilson", &name, n == 0, || "nothing".to_owned()),
    }
}

fn mcnemars(report: &mut Report, v: &Value) {
    let (b, c) = (integer(&v["b"]), integer(&v["c"]));
    let (name, got) = (format!("{b}, {c}"), mcnemar(b, c));
    for (key, value) in [
        ("exact_p", got.exact.p()),
        ("midp", got.mid_p.p()),
        ("chi2", got.chi_square),
        ("chi2_p", got.chi_square_p.p()),
        ("edwards_cc", got.corrected),
    ] {
        report.relative("mcnemar", &format!("{name} {key}"), value, number(&v[key]), EXACT);
    }
    for (key, value) in [("exact_log10_p", got.exact), ("midp_log10", got.mid_p)] {
        report.near("mcnemar", &format!("{name} {key}"), value.log10(), number(&v[key]), EXACT);
    }
}

fn classification(report: &mut Report, v: &Value) {
    let name = text(v, "name");
    let wide = |key: &str| labels(&v[key]).into_iter().map(u16::from).collect::<Vec<_>>();
    let (truth, predicted) = (wide("y_true"), wide("y_pred"));
    let scores: Option<Vec<Vec<f64>>> = v.get("probs").filter(|p| !p.is_null()).map(|p| {
        let rows: Vec<Vec<f64>> = list(p).iter().map(numbers).collect();
        fifteenths(rows)
    });
    let rows: Vec<TallyRow> = (0..truth.len())
        .map(|i| TallyRow::new(truth[i], predicted[i], scores.as_ref().map(|s| s[i].as_slice())))
        .collect();
    let tally = Tally::of(7, &rows);
    let confusion = Confusion::of(7, &rows);
    report.check("confusion", name, serde_json::json!(confusion) == v["confusion"], || {
        format!("{confusion:?}")
    });
    let of = |metric: &str| {
        let metric = METRICS.iter().find(|m| m.name == metric).expect("registered");
        (metric.of)(&tally)
    };
    for (metric, key) in [
        ("accuracy", "accuracy"),
        ("macro_f1", "macro_f1_union_present_sklearn_default"),
        ("balanced_accuracy", "balanced_accuracy_sklearn_supported_only"),
        ("kappa", "cohen_kappa"),
        ("top2_accuracy", "top2_accuracy_strict"),
        ("nll", "nll"),
        ("brier", "brier_multiclass_sum"),
        ("ece", "ece15_right_closed"),
    ] {
        if let Some(want) = v.get(key) {
            report.option(metric, name, of(metric), want, EXACT);
        }
    }
    correlation(report, name, of("mcc"), v);
    for (rule, key) in
        [(Absent::Zero, "macro_f1_all7_zd0"), (Absent::Ignored, "macro_f1_supported_only")]
    {
        report.option(key, name, metric::macro_f1(&tally, rule), &v[key], EXACT);
    }
    single_classes(report, name, &tally, &v["per_class_zdnan"]);
    float32(report, name, &of, v);
    if let Some(bins) = v.get("reliability_bins15") {
        reliability(report, name, &rows, bins);
    }
}

/// Probabilities on bin edges are pairs (k / 15, 1 - k / 15), written with six digits while the
/// expected values belong to the exact ones: a set that consists of nothing else is restored.
fn fifteenths(mut rows: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let exact = |p: f64| (p * 15.0).round() / 15.0;
    if rows.iter().all(|r| (r[0] - exact(r[0])).abs() < 5e-7 && (r[0] + r[1] - 1.0).abs() < 1e-9) {
        rows.iter_mut().for_each(|row| {
            row[0] = exact(row[0]);
            row[1] = 1.0 - row[0];
        });
    }
    rows
}

/// scikit-learn says 0 where the correlation is 0/0; here that is undefined.
fn correlation(report: &mut Report, name: &str, got: Option<f64>, v: &Value) {
    let want = number(&v["mcc"]);
    match got {
        Some(got) => report.near("mcc", name, got, want, EXACT),
        None => {
            let used = |margin: &dyn Fn(usize, usize) -> usize| {
                let count = |i| {
                    (0..7).any(|j| {
                        let at = margin(i, j);
                        integer(&v["confusion"][at / 7][at % 7]) > 0
                    })
                };
                (0..7).filter(|&i| count(i)).count()
            };
            let single = used(&|i, j| 7 * i + j) == 1 || used(&|i, j| 7 * j + i) == 1;
            report.check("mcc", name, want == 0.0 && single, || format!("nothing, not {want}"));
        }
    }
}

fn single_classes(report: &mut Report, name: &str, tally: &Tally, want: &Value) {
    let Some(want) = want.as_object() else { return };
    let names: Vec<String> = (0..7).map(|class| class.to_string()).collect();
    for (class, got) in metric::per_class(tally, &names).iter().enumerate() {
        let name = format!("{name} class {class}");
        for (key, value) in [("precision", got.precision), ("recall", got.recall), ("f1", got.f1)] {
            report.option(key, &name, value, &want[key][class], EXACT);
        }
        report.near("support", &name, got.support as f64, number(&want["support"][class]), 0.0);
    }
}

/// torchmetrics computes in float32; its macro averages leave out classes that occur nowhere.
fn float32(report: &mut Report, name: &str, of: &dyn Fn(&str) -> Option<f64>, v: &Value) {
    for (metric, key) in [("macro_f1", "f1_macro"), ("kappa", "kappa"), ("mcc", "mcc")] {
        let Some(got) = of(metric) else { continue };
        report.near("torchmetrics", name, got, number(&v["torchmetrics"][key]), FLOAT32);
    }
}

fn reliability(report: &mut Report, name: &str, rows: &[TallyRow], want: &Value) {
    let curve: Vec<metric::Bin> = metric::reliability(&Tally::of(7, rows));
    let filled: Vec<(usize, &metric::Bin)> =
        curve.iter().enumerate().filter(|(_, bin)| bin.n > 0).collect();
    let want = list(want);
    report.check("reliability", name, filled.len() == want.len(), || {
        format!("{} bins, not {}", filled.len(), want.len())
    });
    for ((index, bin), want) in filled.into_iter().zip(want) {
        let place = (index as u64, bin.n) == (integer(&want[0]), integer(&want[1]));
        report.check("reliability", name, place, || format!("bin {index} of {} rows", bin.n));
        report.option("reliability", name, bin.accuracy, &want[2], EXACT);
        report.option("reliability", name, bin.confidence, &want[3], EXACT);
    }
}

/// Confidences alone: six classes share the rest, so that the confidence is the largest.
fn ece_direct(report: &mut Report, v: &Value) {
    let (name, conf) = (text(v, "name"), numbers(&v["conf"]));
    let rows: Vec<TallyRow> = conf
        .iter()
        .zip(labels(&v["correct"]))
        .map(|(&confidence, correct)| {
            let mut p = [(1.0 - confidence) / 6.0; 7];
            p[0] = confidence;
            TallyRow::new(1 - u16::from(correct), 0, Some(&p))
        })
        .collect();
    let tally = Tally::of(7, &rows);
    let ece = METRICS.iter().find(|m| m.name == "ece").expect("registered");
    report.option("ece_direct", name, (ece.of)(&tally), &v["ece15_right_closed"], EXACT);
    reliability(report, name, &rows, &v["bins"]);
}

fn multiple(report: &mut Report, v: &Value) {
    let name = text(v, "name");
    let known: Vec<(usize, PValue)> = numbers(&v["p"])
        .into_iter()
        .enumerate()
        .filter(|(_, p)| !p.is_nan())
        .map(|(i, p)| (i, PValue::new(p)))
        .collect();
    let p: Vec<PValue> = known.iter().map(|(_, p)| *p).collect();
    for (key, got) in
        [("holm", multiplicity::holm(&p)), ("fdr_bh", multiplicity::benjamini_hochberg(&p))]
    {
        for ((i, _), got) in known.iter().zip(got) {
            report.relative(key, &format!("{name} {i}"), got.p(), number(&v[key][i]), EXACT);
        }
    }
}

fn multi_seed(report: &mut Report, v: &Value) {
    let name = text(v, "name");
    let (a, b) = (numbers(&v["a"]), numbers(&v["b"]));
    for (i, scores) in [&a, &b].into_iter().enumerate() {
        let got = seeds::summarize(scores, 99, 1).expect("scores");
        report.near("multi_seed mean", name, got.mean, number(&v["mean"][i]), EXACT);
        report.option("multi_seed sd", name, got.sd, &v["sd_ddof1"][i], EXACT);
        report.near("multi_seed iqm", name, got.iqm, number(&v["iqm"][i]), EXACT);
        if i == 0 {
            let mean = got.mean_interval.expect("several seeds");
            // statrs finds the t quantile by bisection.
            report.near("multi_seed t95", name, mean.lo, number(&v["t95_mean_ci_a"][0]), 1e-9);
            report.near("multi_seed t95", name, mean.hi, number(&v["t95_mean_ci_a"][1]), 1e-9);
        }
    }
    let got = seeds::compare(&a, &b, 99, 1).expect("scores");
    let improvement = got.probability_of_improvement;
    report.near("multi_seed A12", name, improvement, number(&v["A12"]), EXACT);
    let paired: Vec<f64> = a.iter().zip(&b).map(|(x, y)| x - y).collect();
    let p = (a.len() == b.len()).then(|| seeds::exact_sign_flip(&paired));
    report.option("multi_seed sign flip", name, p, &v["sign_flip_exact_p"], EXACT);
}

fn bootstrap(report: &mut Report, v: &Value) {
    let difference: Vec<i64> = labels(&v["correct_a"])
        .iter()
        .zip(labels(&v["correct_b"]))
        .map(|(&a, b)| i64::from(a) - i64::from(b))
        .collect();
    let share = |sum: i64, n: u64| sum as f64 / n as f64;
    let groups = clusters(&v["cluster"]);
    let items: Vec<u64> = vec![1; difference.len()];
    let sums = groups.sums(|row| difference[row]);
    for (kind, sums, sizes) in
        [("item", &difference, items.as_slice()), ("cluster", &sums, groups.sizes())]
    {
        let family = format!("bootstrap {kind}");
        let values: Vec<f64> = list(&v[format!("{kind}_resamples")])
            .iter()
            .map(|drawn| {
                let drawn: Vec<usize> = list(drawn).iter().map(|i| integer(i) as usize).collect();
                let rows = drawn.iter().map(|&i| sizes[i]).sum();
                share(drawn.iter().map(|&i| sums[i]).sum(), rows)
            })
            .collect();
        for (i, (got, want)) in values.iter().zip(&numbers(&v[format!("{kind}_diffs")])).enumerate()
        {
            report.near(&family, &i.to_string(), *got, *want, EXACT);
        }
        let got = interval::percentile(&values).expect("values");
        let want = numbers(&v[format!("{kind}_ci95")]);
        report.near(&family, "lo", got.lo, want[0], EXACT);
        report.near(&family, "hi", got.hi, want[1], EXACT);
    }
}

fn clustered_se(report: &mut Report, v: &Value) {
    let (name, groups) = (text(v, "name"), clusters(&v["cluster"]));
    let correct = labels(&v["correct"]);
    let hits = correct.iter().map(|&c| u64::from(c)).sum();
    let sums = groups.sums(|row| i64::from(correct[row]));
    let Some(got) = clustered_error(&sums, groups.sizes(), hits) else {
        return report.check("clustered_se", name, groups.len() < 2, || "nothing".to_owned());
    };
    report.near("clustered_se", name, got.mean, number(&v["acc"]), EXACT);
    report.near("clustered_se", name, got.naive, number(&v["se_naive_pop"]), EXACT);
    report.near("clustered_se", name, got.cr0, number(&v["se_cluster_cr0"]), EXACT);
    report.near("clustered_se", name, got.cr1, number(&v["se_cluster_G_over_Gm1"]), EXACT);
    report.option("clustered_se", name, got.design_effect, &v["deff_cr0"], EXACT);
}

fn paired_difference(report: &mut Report, v: &Value) {
    let (b, c, n) = (integer(&v["b"]), integer(&v["c"]), integer(&v["n"]));
    let name = format!("{b}, {c} of {n}");
    let got = interval::paired_difference(b, c, n).expect("rows");
    report.near("paired_difference", &name, got.value, number(&v["diff"]), EXACT);
    report.near("paired_difference", &name, got.error, number(&v["wald_se"]), EXACT);
    for (key, got) in [("wald", got.wald), ("bonett_price", got.bonett_price)] {
        report.near(key, &name, got.lo, number(&v[key][0]), EXACT);
        report.near(key, &name, got.hi, number(&v[key][1]), EXACT);
    }
}

#[test]
fn tails_far_below_the_smallest_number() {
    // df 2: p = exp(-x / 2) exactly; df 4: (1 + x / 2) exp(-x / 2).
    for x in [100.0, 4144.6, 1e5] {
        let half = x / 2.0;
        let got = (tail::chi_square(x, 2).log10(), tail::chi_square(x, 4).log10());
        let want =
            (-half / std::f64::consts::LN_10, (half.ln_1p() - half) / std::f64::consts::LN_10);
        assert!((got.0 - want.0).abs() < 1e-9 && (got.1 - want.1).abs() < 1e-9, "{x}");
    }
    // 10^-900 = exp(-900 ln 10).
    assert_eq!(tail::chi_square(1800.0 * std::f64::consts::LN_10, 2).to_string(), "1.00e-900");
}
