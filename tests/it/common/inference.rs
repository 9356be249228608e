//! Vectors of the second round: seeds and clusters, equivalence, intervals of classes and shares,
//! temperature, planning, effect sizes, verdicts. Each file states its definition and tolerance.
use ncaers::internals::{
    metric::{self, temperature, TallyRow},
    stats::{
        answers::{Answer, Answers, ClassScores, ScoreKind},
        clusters::{clustered_error, Clusters},
        crossed,
        effect::effect_size,
        equivalence::equivalence,
        interval::Interval,
        planning::Plan,
        pooled::{Configuration, Contest, Pool, Scope},
        share::{clustered_share, ClusteredRatio},
        signflip::SignFlip,
        student,
        tail::PValue,
    },
};
use serde_json::Value;

use super::{integer, list, number, numbers, text, Report};

type Check = fn(&mut Report, &Value, f64);

/// Beginnings of file names, and what checks their cases.
const FILES: &[(&str, Check)] = &[
    ("seeds_and_clusters", seeds_and_clusters),
    ("equivalence", equivalences),
    ("class_intervals", class_intervals),
    ("clustered_share", shares),
    ("temperature", temperatures),
    ("planning", plans),
    ("effect_size", effects),
    ("verdict_sign", verdicts),
];

/// Checks a file of this kind; `false` when it is none.
pub fn check(report: &mut Report, name: &str, json: &Value) -> bool {
    let Some((_, check)) = FILES.iter().find(|(start, _)| name.starts_with(start)) else {
        return false;
    };
    let tolerance = json["tolerance"].as_f64().unwrap_or(1e-10);
    list(&json["cases"]).iter().for_each(|case| check(report, case, tolerance));
    true
}

/// A number that is `null` where it is undefined.
fn option(report: &mut Report, name: &str, got: Option<f64>, want: &Value, tolerance: f64) {
    let family = name.split(' ').next().unwrap_or(name).to_owned();
    match (got, want.is_null()) {
        (None, true) => report.check(&family, name, true, String::new),
        (Some(got), false) => report.near(&family, name, got, number(want), tolerance),
        (got, _) => report.check(&family, name, false, || format!("{got:?}, not {want}")),
    }
}

fn ends(report: &mut Report, name: &str, got: Option<Interval>, want: &Value, tolerance: f64) {
    option(report, &format!("{name} lo"), got.map(|i| i.lo), &want["lo"], tolerance);
    option(report, &format!("{name} hi"), got.map(|i| i.hi), &want["hi"], tolerance);
}

fn counts(value: &Value) -> Vec<u64> {
    list(value).iter().map(integer).collect()
}

fn integers(value: &Value) -> Vec<i64> {
    list(value).iter().map(|x| x.as_i64().unwrap_or_else(|| panic!("{x} is no integer"))).collect()
}

fn seeds_and_clusters(report: &mut Report, v: &Value, tolerance: f64) {
    let name = format!("seeds_and_clusters {}", text(v, "name"));
    let sizes = counts(&v["sizes"]);
    let hits = |key: &str| list(&v[key]).iter().map(integers).collect::<Vec<_>>();
    let (a, b) = (hits("hits_a"), hits("hits_b"));
    for (key, hits) in [("mean_a", &a), ("mean_b", &b)] {
        let (name, want) = (format!("{name} {key}"), &v[key]);
        if want.is_null() {
            let right = crossed::mean(&sizes, hits).is_none();
            report.check("seeds_and_clusters", &name, right, || "defined".to_owned());
            continue;
        }
        let got = crossed::mean(&sizes, hits).expect("several seeds");
        for (key, value) in [
            ("value", Some(got.value)),
            ("var_clusters", Some(got.var_clusters)),
            ("var_seeds", Some(got.var_seeds)),
            ("var_interaction", Some(got.var_interaction)),
            ("var", Some(got.var)),
            ("df", got.df),
            ("t", got.df.and_then(|df| student::quantile(0.975, df))),
        ] {
            option(report, &format!("{name} {key}"), value, &want[key], tolerance);
        }
        ends(report, &name, got.interval, want, tolerance);
    }
    let (name, want) = (format!("{name} difference"), &v["difference"]);
    let Some(got) = crossed::difference(&sizes, &a, &b) else {
        let right = want.is_null() || want["var"].is_null();
        return report.check("seeds_and_clusters", &name, right, || "undefined".to_owned());
    };
    for (key, value) in [
        ("difference", Some(got.difference)),
        ("var_clusters", Some(got.var_clusters)),
        ("var_seeds_a", Some(got.var_seeds_a)),
        ("var_seeds_b", Some(got.var_seeds_b)),
        ("var_interaction", Some(got.var_interaction)),
        ("var", Some(got.var)),
        ("df", got.df),
        ("t", got.df.and_then(|df| student::quantile(0.975, df))),
        ("p", got.p.map(PValue::p)),
    ] {
        option(report, &format!("{name} {key}"), value, &want[key], tolerance);
    }
    ends(report, &name, got.interval, want, tolerance);
}

fn equivalences(report: &mut Report, v: &Value, tolerance: f64) {
    let name = format!("equivalence {}", text(v, "name"));
    let (sizes, d) = (counts(&v["sizes"]), integers(&v["differences"]));
    let n: u64 = sizes.iter().sum();
    let g = sizes.len() as f64;
    let found = clustered_error(&d, &sizes, n).expect("clusters");
    option(report, &format!("{name} difference"), Some(found.mean), &v["difference"], tolerance);
    option(report, &format!("{name} se"), Some(found.cr1), &v["se"], tolerance);
    let df = g - 1.0;
    option(report, &format!("{name} df"), Some(df), &v["df"], tolerance);
    let half = student::quantile(0.95, df).expect("clusters") * found.cr1;
    for (key, end) in [("lo90", found.mean - half), ("hi90", found.mean + half)] {
        option(report, &format!("{name} {key}"), Some(end), &v[key], tolerance);
    }
    for want in list(&v["margins"]) {
        let margin = number(&want["margin"]);
        let got = equivalence(found.mean, found.cr1, df, margin);
        let name = format!("{name} at {margin}");
        for (key, value) in [
            ("p_lower", got.map(|e| e.p_lower)),
            ("p_upper", got.map(|e| e.p_upper)),
            ("p_tost", got.map(|e| e.p_tost)),
            ("p_noninferior", got.map(|e| e.p_lower)),
        ] {
            option(report, &format!("{name} {key}"), value.map(PValue::p), &want[key], tolerance);
        }
        let right = got.map(|e| e.equivalent) == want["equivalent"].as_bool();
        report.check("equivalence", &name, right, || format!("{got:?}"));
    }
}

fn class_intervals(report: &mut Report, v: &Value, tolerance: f64) {
    let labels = |key: &str| counts(&v[key]).into_iter().map(|x| x as u16).collect::<Vec<_>>();
    let (target, predicted) = (labels("target"), labels("predicted"));
    let ids: Vec<String> = list(&v["cluster"]).iter().map(Value::to_string).collect();
    let clusters = Clusters::by_id(ids.iter().map(String::as_str));
    let rows: Vec<TallyRow> =
        target.iter().zip(&predicted).map(|(&t, &p)| TallyRow::new(t, p, None)).collect();
    let wanted = list(&v["classes"]);
    let most = target.iter().chain(&predicted).map(|&l| usize::from(l) + 1).max().unwrap_or(0);
    let asked = wanted.iter().map(|w| integer(&w["label"]) as usize + 1).max().unwrap_or(0);
    let found = metric::class_ratios(most.max(asked), &rows, &clusters);
    for want in wanted {
        let label = integer(&want["label"]) as usize;
        let name = format!("class_intervals {} class {label}", text(v, "name"));
        let of = &found[label];
        for (key, got) in [("recall", of.recall), ("precision", of.precision), ("f1", of.f1)] {
            ratio(report, &format!("{name} {key}"), got, &want[key], tolerance);
        }
    }
}

fn ratio(
    report: &mut Report,
    name: &str,
    got: Option<ClusteredRatio>,
    want: &Value,
    tolerance: f64,
) {
    option(report, &format!("{name} value"), got.map(|r| r.value), &want["value"], tolerance);
    if let (Some(got), Some(clusters)) = (got, want.get("clusters").and_then(Value::as_u64)) {
        let right = got.clusters as u64 == clusters;
        report.check("class_intervals", name, right, || format!("{} clusters", got.clusters));
    }
    option(report, &format!("{name} se"), got.and_then(|r| r.error), &want["se"], tolerance);
    option(
        report,
        &format!("{name} n_eff"),
        got.and_then(|r| r.n_eff),
        &want["n_eff"],
        1e3 * tolerance,
    );
    ends(report, name, got.and_then(|r| r.interval), want, tolerance);
}

fn shares(report: &mut Report, v: &Value, tolerance: f64) {
    let (hits, sizes) = (integers(&v["hits"]), counts(&v["sizes"]));
    let name = format!("clustered_share {} clusters", sizes.len());
    let got = clustered_share(&hits, &sizes);
    for (key, value) in [
        ("value", got.map(|s| s.value)),
        ("jackknife_se", got.map(|s| s.error)),
        ("df", got.map(|s| s.df)),
        ("t", got.map(|s| s.t)),
        ("n_eff", got.map(|s| s.n_eff)),
    ] {
        option(report, &format!("{name} {key}"), value, &v[key], tolerance);
    }
    ends(report, &name, got.map(|s| s.interval), v, tolerance);
}

fn temperatures(report: &mut Report, v: &Value, tolerance: f64) {
    let name = format!("temperature {}", text(v, "name"));
    let rows: Vec<Vec<f64>> = list(&v["logits"]).iter().map(numbers).collect();
    let classes = rows.first().map_or(0, Vec::len);
    let answer = |(i, target): (usize, u64)| Answer {
        sample_id: format!("{i:06}"),
        clip_id: None,
        group_id: format!("{i:06}"),
        target: target as u16,
        predicted: ncaers::internals::stats::answers::first_maximum(&rows[i]).expect("finite"),
    };
    let answers = Answers {
        classes: (0..classes).map(|c| c.to_string()).collect(),
        rows: counts(&v["target"]).into_iter().enumerate().map(answer).collect(),
        scores: Some(ClassScores { kind: ScoreKind::Logits, values: rows.concat() }),
    };
    let found = temperature::calibration(&answers, &answers);
    if v["temperature"].is_null() {
        return report.check("temperature", &name, found.is_none(), || format!("{found:?}"));
    }
    let Some(found) = found else {
        return report.check("temperature", &name, false, || "nothing".to_owned());
    };
    report.relative("temperature", &name, found.temperature, number(&v["temperature"]), 1e-8);
    for (key, value) in [
        ("nll_before", found.nll_before),
        ("nll_after", found.nll_after),
        ("ece_before", found.ece_before),
        ("ece_after", found.ece_after),
    ] {
        option(report, &format!("{name} {key}"), value, &v[key], tolerance);
    }
}

fn plans(report: &mut Report, v: &Value, tolerance: f64) {
    let plan = Plan {
        difference: number(&v["difference"]),
        discordance: number(&v["discordance"]),
        icc: number(&v["icc"]),
        rows_per_cluster: number(&v["rows_per_cluster"]),
        alpha: number(&v["alpha"]),
        power: number(&v["power"]),
        comparisons: v.get("comparisons").and_then(Value::as_u64).unwrap_or(1) as u32,
    };
    let name = format!("planning {plan:?}");
    let got = plan.size();
    let (rows, clusters) =
        (got.as_ref().ok().map(|s| s.rows), got.as_ref().ok().map(|s| s.clusters));
    let got = got.ok();
    let wanted = v["rows_if_independent"].as_f64().unwrap_or(0.0).max(1.0);
    option(
        report,
        &name,
        got.map(|s| s.rows_if_independent),
        &v["rows_if_independent"],
        tolerance * wanted,
    );
    option(report, &name, got.map(|s| s.design_effect), &v["design_effect"], tolerance);
    let whole = (rows, clusters) == (v["rows"].as_u64(), v["clusters"].as_u64());
    report.check("planning", &name, whole, || format!("{rows:?} rows, {clusters:?} clusters"));
}

fn effects(report: &mut Report, v: &Value, tolerance: f64) {
    let (only_a, only_b) = (counts(&v["only_a"]), counts(&v["only_b"]));
    let got = effect_size(&only_a, &only_b);
    let name = format!("effect_size {} to {}", got.b, got.c);
    let whole = (got.b, got.c) == (integer(&v["b"]), integer(&v["c"]));
    report.check("effect_size", &name, whole, || format!("{} and {}", got.b, got.c));
    for (key, value) in
        [("cohens_g", got.cohens_g), ("odds_ratio", got.odds_ratio), ("log_se", got.log_error)]
    {
        option(report, &format!("{name} {key}"), value, &v[key], tolerance);
    }
    ends(report, &name, got.interval, v, tolerance);
}

/// A table of two configurations with given means, and a test of the seeds that were compared:
/// it speaks of the means only when it was made on their difference, with several seeds.
fn verdicts(report: &mut Report, v: &Value, _: f64) {
    let means: Vec<(&String, f64)> =
        v["means"].as_object().expect("means").iter().map(|(k, x)| (k, number(x))).collect();
    let each = numbers(&v["each_difference"]);
    let tested = each.iter().sum::<f64>() / each.len().max(1) as f64;
    let difference = means[0].1 - means[1].1;
    let speaks = each.len() > 1 && (tested - difference).abs() < 1e-3;
    let configuration = |(label, accuracy): &(&String, f64)| Configuration {
        label: (*label).clone(),
        accuracy: *accuracy,
        interval: None,
        scope: Scope::SeedsAndGroups,
        each: vec![*accuracy],
        sd: None,
        crossed: None,
    };
    let contest = Contest {
        a: 0,
        b: 1,
        difference,
        interval: None,
        p: speaks.then(|| PValue::new(number(&v["p"]))),
        holm: None,
        crossed: None,
        weights: SignFlip::of_differences(&[], Vec::new),
        weights_holm: PValue::ONE,
        ahead: (0, 1),
        behind: 0,
        equivalence: None,
        equivalence_holm: None,
    };
    let pool = Pool {
        rows: 280,
        clusters: 140,
        sign_flips: 0,
        margin: None,
        configurations: means.iter().map(configuration).collect(),
        contests: vec![contest],
    };
    let verdict = pool.verdict(&[0, 1]).expect("two");
    let bold = verdict.is_strong().then(|| means[verdict.best].0.as_str());
    let right = bold == v["bold"].as_str();
    report.check("verdict_sign", "bold", right, || format!("{bold:?} is bold"));
}
