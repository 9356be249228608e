//! Predictions that other programs wrote, as their users type it.
use std::{fs, path::Path};

use ncaers::{Sample, Split};
use serde_json::Value;

use crate::{
    common,
    world::{World, SAMPLES},
};

/// Tables of 60 rows in 20 groups and 3 classes, written by pandas, polars and pyarrow; expected
/// values are scikit-learn's.
const FIXTURES: &str = "tests/fixtures/predictions";
const ACCURACY: f64 = 0.683_333_333_333_333_3;
const MACRO_F1: f64 = 0.686_507_936_507_936_4;
const NLL: f64 = 0.778_266_402_618_901_7;
const MCC: f64 = 0.532_466_789_230_482_5;
const KAPPA: f64 = 0.525_593_009_038_776_1;

fn succeeded(command: &mut assert_cmd::Command) -> String {
    let output = command.assert().success().get_output().stdout.clone();
    String::from_utf8(output).expect("UTF-8")
}

fn json(args: &[&str]) -> Value {
    let text = succeeded(common::ncaers().arg("--json").args(args));
    serde_json::from_str(&text).expect("one JSON object")
}

fn refused(args: &[&str]) -> String {
    let output = common::ncaers().args(args).assert().code(1).get_output().clone();
    let message = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(message.trim_end().lines().count(), 1, "{message}");
    message
}

fn fixture(name: &str) -> String {
    format!("{FIXTURES}/{name}")
}

fn metric(value: &Value, name: &str) -> Option<f64> {
    let metrics = value["metrics"].as_array().expect("a list");
    metrics.iter().find(|m| m["name"] == name).expect("registered")["value"].as_f64()
}

fn codes(value: &Value) -> Vec<&str> {
    let warnings = value["warnings"].as_array().expect("a list");
    warnings.iter().filter_map(|w| w["code"].as_str()).collect()
}

fn written(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).expect("writable");
    path.display().to_string()
}

#[test]
fn tables_of_three_programs_give_the_same_numbers() {
    for name in ["pandas.parquet", "polars.parquet", "pyarrow.parquet"] {
        let value = json(&["evaluate", &fixture(name)]);
        let near = |metric_name: &str, want: f64| {
            let got = metric(&value, metric_name).expect("defined");
            assert!((got - want).abs() < 1e-6, "{name} {metric_name}: {got}, not {want}");
        };
        near("accuracy", ACCURACY);
        near("macro_f1", MACRO_F1);
        near("nll", NLL);
        near("mcc", MCC);
        near("kappa", KAPPA);
        assert_eq!((&value["n"], &value["clusters"]), (&60.into(), &20.into()));
        assert_eq!(value["classes"].as_array().map(Vec::len), Some(3), "{name}");
    }
    let message = refused(&["evaluate", &fixture("uint8.parquet")]);
    assert!(message.contains("`target`") && message.contains("int64"), "{message}");
}

#[test]
fn models_of_different_programs_are_compared_by_id() {
    let paths = ["pandas.parquet", "polars.parquet"].map(fixture);
    // One names the classes, the other numbers them.
    let value = json(&["compare", &paths[0], &paths[1], "--classes", "cat,dog,eel"]);
    let pair = &value["pairs"][0]["accuracy"];
    assert_eq!(pair["difference"]["value"], 0.0);
    assert!(pair["clustered"].is_null(), "nothing varied, so nothing is known: {pair}");
    assert!(pair["unseen_share"].as_f64().is_some_and(|s| (s - 0.1391).abs() < 1e-3), "{pair}");
    assert_eq!(pair["sign_flip"]["p"]["p"], 1.0);
}

#[test]
fn files_of_one_name_are_two_models_and_no_seeds() {
    let dir = tempfile::tempdir().expect("temp dir");
    let table = |folder: &str, off: usize| {
        let folder = dir.path().join(folder);
        fs::create_dir_all(&folder).expect("folder");
        let rows: String = (0..40)
            .map(|i| format!("{i},{},{}\n", i % 2, usize::from((i + off) % 5 < 2)))
            .collect();
        written(&folder, "predictions.csv", &format!("id,target,predicted\n{rows}"))
    };
    let value = json(&["compare", &table("mine", 0), &table("theirs", 1)]);
    let configurations = value["pool"]["configurations"].as_array().expect("a list");
    let labels: Vec<&str> = configurations.iter().filter_map(|c| c["label"].as_str()).collect();
    assert_eq!(labels, ["predictions #1", "predictions #2"]);
    assert!(value["seeds"].as_object().is_some_and(|seeds| seeds.is_empty()), "{value}");
}

#[test]
fn csv_needs_three_columns_and_says_what_it_cannot_compute() {
    let dir = tempfile::tempdir().expect("temp dir");
    let rows: String = (0..40).map(|i| format!("f{i},{},{}\n", i % 2, (i / 3) % 2)).collect();
    let path = written(dir.path(), "x.csv", &format!("filename,y_true,y_pred\n{rows}"));
    let value = json(&["evaluate", &path]);
    assert_eq!((metric(&value, "nll"), metric(&value, "top2_accuracy")), (None, None));
    assert!(metric(&value, "accuracy").is_some());
    let found = codes(&value);
    assert!(found.contains(&"no-groups") && found.contains(&"not-computed"), "{found:?}");
    let shuffled: Vec<&str> = rows.lines().rev().collect();
    let text = format!(
        "y_pred;filename;y_true\n{}\n",
        shuffled
            .iter()
            .map(|line| {
                let cells: Vec<&str> = line.split(',').collect();
                format!("{};{};{}", cells[2], cells[0], cells[1])
            })
            .collect::<Vec<_>>()
            .join("\n")
    );
    let other = written(dir.path(), "y.csv", &text);
    let same = json(&["evaluate", &other]);
    assert_eq!(value["metrics"], same["metrics"], "the order of rows and columns is irrelevant");
}

#[test]
fn one_table_may_hold_models_and_seeds() {
    let dir = tempfile::tempdir().expect("temp dir");
    let mut text = String::new();
    for (model, wrong) in [("good", 7), ("bad", 2)] {
        for seed in 1..=3 {
            for i in 0..120 {
                let (target, off) = (i % 3, usize::from((i + seed) % wrong == 0));
                text += &format!(
                    "{{\"id\":\"{i}\",\"group\":\"g{}\",\"model\":\"{model}\",\"seed\":{seed},\"target\":{target},\"predicted\":{}}}\n",
                    i / 3,
                    (target + off) % 3
                );
            }
        }
    }
    let path = written(dir.path(), "all.jsonl", &text);
    let out = dir.path().join("out").display().to_string();
    let value = json(&["compare", &path, "--margin-points", "5", "--out", &out]);
    assert_eq!(value["pool"]["configurations"].as_array().map(Vec::len), Some(2));
    let contest = &value["pool"]["contests"][0];
    assert_eq!((&contest["crossed"]["seeds_a"], &contest["ahead"][1]), (&3.into(), &9.into()));
    assert!(contest["equivalence"]["p_tost"]["p"].as_f64().is_some(), "{contest}");
    let board: Value =
        serde_json::from_slice(&fs::read(format!("{out}/leaderboard.json")).expect("file"))
            .expect("JSON");
    assert_eq!(board["standings"][0]["label"], "good");
    assert_eq!(board["per_group"].as_array().map(Vec::len), Some(40));
    let page = fs::read_to_string(format!("{out}/leaderboard.html")).expect("file");
    assert!(page.contains("Nobody gets right") && !page.contains("http"), "{page}");
    let message = refused(&["evaluate", &path]);
    assert!(message.contains("6 models or seeds") && message.contains("compare"), "{message}");
}

#[test]
fn shows_stand_above_videos_and_truths_come_from_elsewhere() {
    let dir = tempfile::tempdir().expect("temp dir");
    let rows: String =
        (0..24).map(|i| format!("{i},v{},{}\n", i / 2, usize::from(i % 5 == 0))).collect();
    let answers = written(dir.path(), "a.csv", &format!("id,group,predicted\n{rows}"));
    let truths: String = (0..24).map(|i| format!("{i},{}\n", i % 2)).collect();
    let targets = written(dir.path(), "t.csv", &format!("id,target\n{truths}"));
    let shows: String = (0..12).map(|v| format!("v{v},show{}\n", v % 4)).collect();
    let groups = written(dir.path(), "g.csv", &format!("group,show\n{shows}"));
    let value = json(&["evaluate", &answers, "--targets", &targets, "--groups", &groups]);
    assert_eq!((&value["n"], &value["clusters"]), (&24.into(), &4.into()));
    let short = written(dir.path(), "s.csv", "id,target\n0,0\n");
    assert!(refused(&["evaluate", &answers, "--targets", &short]).contains("does not know sample"));
    let more = written(dir.path(), "m.csv", &format!("id,target\n{truths}zz,1\n"));
    let message = refused(&["evaluate", &answers, "--targets", &more]);
    assert!(message.contains("24 of the 25") && message.contains("`zz`"), "{message}");
    let partly = written(dir.path(), "p.csv", "group,show\nv0,a\n");
    let message = refused(&["evaluate", &answers, "--targets", &targets, "--groups", &partly]);
    assert!(message.contains("does not know group `v1`"), "{message}");
}

#[test]
fn truths_of_a_manifest_are_those_of_the_split() {
    let world = World::new();
    let (samples, _) =
        ncaers::manifest::read_samples(&world.manifest().join("samples.parquet")).expect("samples");
    let test: Vec<&Sample> = samples.iter().filter(|s| s.split == Split::Test).collect();
    assert_eq!((samples.len(), test.len()), (SAMPLES + 1, SAMPLES));
    let rows: String = test.iter().map(|s| format!("{},Happy\n", s.sample_id)).collect();
    let folder = tempfile::tempdir().expect("temp dir");
    let answers = written(folder.path(), "a.csv", &format!("id,predicted\n{rows}"));
    let manifest = world.manifest().display().to_string();
    let value = json(&["evaluate", &answers, "--targets", &manifest]);
    // 20 of 140 are happy; two frames of each of 70 clips.
    assert_eq!((&value["n"], &value["clusters"]), (&140.into(), &70.into()));
    assert_eq!(metric(&value, "accuracy"), Some(1.0 / 7.0));
    // The one train sample is no test sample.
    let message = refused(&["evaluate", &answers, "--targets", &manifest, "--split", "train"]);
    assert!(message.contains("does not know sample"), "{message}");
}

#[test]
fn what_makes_no_sense_is_one_line_with_file_row_and_value() {
    let dir = tempfile::tempdir().expect("temp dir");
    let cases = [
        ("id,target,predicted\na,0,1\nb,,1\n", "row 2 has no true label"),
        ("id,target,predicted\na,0,-1\n", "label `-1`"),
        ("id,target,predicted\na,0,1\na,1,1\n", "twice"),
        ("id,target,predicted,p0,p1\na,0,1,0.5,0.9\n", "add up to 1"),
        ("id,target,predicted,p0,p1\na,0,1,x,0.9\n", "`x` in column `p0`"),
        ("id,target,predicted,seed\na,0,1,one\n", "`one` is no seed"),
        ("id,label,truth,predicted\na,0,1,1\n", "--columns target=NAME"),
        ("3 2\n1 1\n", "no column for target"),
        ("", "to_csv"),
    ];
    for (text, words) in cases {
        let path = written(dir.path(), "broken.csv", text);
        let message = refused(&["evaluate", &path]);
        assert!(
            message.contains(words) && message.contains("broken.csv") || message.contains("twice"),
            "{words}: {message}"
        );
    }
    let numbered = written(dir.path(), "n.csv", "target,predicted\n0,1\n1,1\n");
    assert!(json(&["evaluate", &numbered])["n"] == 2);
    let message = refused(&["compare", &numbered, &numbered]);
    assert!(message.contains("no ids") && message.contains("--columns id=NAME"), "{message}");
}

#[test]
fn probabilities_called_logits_are_recognised() {
    let dir = tempfile::tempdir().expect("temp dir");
    let rows: String = (0..30)
        .map(|i| {
            let p = 0.2 + 0.02 * f64::from(i);
            format!("{i},{},{},{}\n", i % 2, p, 1.0 - p)
        })
        .collect();
    let path = written(dir.path(), "x.csv", &format!("id,target,logit_0,logit_1\n{rows}"));
    let value = json(&["evaluate", &path]);
    assert!(codes(&value).contains(&"probabilities"), "{value}");
    let stated = json(&["evaluate", &path, "--scores", "logits"]);
    assert_ne!(metric(&value, "nll"), metric(&stated, "nll"));
}

#[test]
fn a_thousand_classes_are_scored_and_what_takes_too_long_is_said() {
    let dir = tempfile::tempdir().expect("temp dir");
    let rows = |shift: usize| -> String {
        (0..2_000)
            .map(|i| format!("{i},v{},{},{}\n", i / 4, i % 1_000, (i + (i % shift)) % 1_000))
            .collect()
    };
    let a = written(dir.path(), "a.csv", &format!("id,group,target,predicted\n{}", rows(2)));
    let b = written(dir.path(), "b.csv", &format!("id,group,target,predicted\n{}", rows(3)));
    let value = json(&["evaluate", &a]);
    assert_eq!(value["per_class"].as_array().map(Vec::len), Some(1_000));
    assert!(value["confusion"]["pairs"].is_array());
    let value = json(&["compare", &a, &b, "--sign-flips", "999", "--bootstrap-draws", "99"]);
    assert!(value["pairs"][0]["margins"].is_null() && codes(&value).contains(&"not-computed"));
    assert!(value["pairs"][0]["accuracy"]["sign_flip"]["p"]["p"].as_f64().is_some());
}

#[test]
fn a_temperature_is_fitted_on_validation_and_applied_to_test() {
    let dir = tempfile::tempdir().expect("temp dir");
    let table = |name: &str, salt: usize| {
        let rows: String = (0..200)
            .map(|i| {
                let (target, hit) = (i % 3, (i * 7 + salt) % 10 < 7);
                let shown = if hit { target } else { (target + 1) % 3 };
                let z: Vec<String> =
                    (0..3).map(|c| if c == shown { "9" } else { "0.5" }.into()).collect();
                format!("{i},{target},{}\n", z.join(","))
            })
            .collect();
        written(dir.path(), name, &format!("id,target,logit_0,logit_1,logit_2\n{rows}"))
    };
    let (test, validation) = (table("test.csv", 1), table("val.csv", 4));
    let value = json(&["evaluate", &test, "--validation", &validation]);
    let found = &value["temperature"];
    let number = |key: &str| found[key].as_f64().expect("a number");
    assert!(number("temperature") > 2.0, "{found}");
    assert!(number("nll_after") < number("nll_before") && number("ece_after") < 0.05, "{found}");
}

#[test]
fn a_plan_says_what_a_comparison_needs() {
    let value = json(&[
        "plan",
        "--difference",
        "5",
        "--discordance",
        "20",
        "--icc",
        "0.3",
        "--rows-per-group",
        "1.6",
        "--seed-sd",
        "4",
    ]);
    assert_eq!(
        (&value["weights"]["rows"], &value["weights"]["clusters"]),
        (&739.into(), &462.into())
    );
    assert!(value["configurations"][1]["size"].is_null(), "3 seeds of sd 4 hide 5 points: {value}");
    let after = json(&[
        "plan",
        "--difference",
        "5",
        "--from",
        &fixture("pandas.parquet"),
        "--from",
        &fixture("polars.parquet"),
        "--classes",
        "cat,dog,eel",
        "--discordance",
        "20",
    ]);
    assert_eq!(after["observed"]["discordance"], 0.0);
    assert!(refused(&["plan", "--difference", "30", "--discordance", "20"]).contains("discordance"));
    let text = succeeded(common::ncaers().args(["plan", "--difference", "2"]));
    assert!(text.contains("two given sets of weights") && text.contains("--seed-sd"), "{text}");
}

#[test]
fn denied_labels_are_ranked_and_torn_groups_refused() {
    let dir = tempfile::tempdir().expect("temp dir");
    let fold = |name: &str, groups: std::ops::Range<usize>| {
        let rows: String = groups
            .flat_map(|g| (0..2).map(move |k| (g, k)))
            .map(|(g, k)| {
                let truth = g % 3;
                let given = if g == 4 { (truth + 1) % 3 } else { truth };
                let p: Vec<String> =
                    (0..3).map(|c| if c == truth { "0.8" } else { "0.1" }.into()).collect();
                format!("{g}-{k},g{g},{given},{}\n", p.join(","))
            })
            .collect();
        written(dir.path(), name, &format!("id,group,target,p0,p1,p2\n{rows}"))
    };
    let (a, b) = (fold("a.csv", 0..6), fold("b.csv", 6..12));
    let out = dir.path().join("out").display().to_string();
    let value = json(&["audit", "--labels", &a, "--labels", &b, "--out", &out]);
    let top: Vec<&str> = (0..2).filter_map(|i| value["ranked"][i]["sample_id"].as_str()).collect();
    assert_eq!(top, ["4-0", "4-1"]);
    assert_eq!(value["flagged"], 2);
    assert!(fs::read_to_string(format!("{out}/labels.html")).expect("page").contains("Doubtful"));
    assert_eq!(fs::read_to_string(format!("{out}/labels.csv")).expect("csv").lines().count(), 25);
    let torn = written(dir.path(), "c.csv", "id,group,target,p0,p1,p2\nx,g1,0,0.8,0.1,0.1\n");
    let other = dir.path().join("other").display().to_string();
    let message = refused(&["audit", "--labels", &a, "--labels", &torn, "--out", &other]);
    assert!(message.contains("group `g1`") && message.contains("folds by group"), "{message}");
}

#[test]
fn doubtful_labels_of_a_manifest_are_shown_with_their_pictures() {
    let world = World::new();
    let (samples, _) =
        ncaers::manifest::read_samples(&world.manifest().join("samples.parquet")).expect("samples");
    let rows: String = samples
        .iter()
        .filter(|s| s.split == Split::Test)
        .map(|s| {
            // One clip's pictures look happy and are called something else.
            let denied = s.clip_id == "test/Anger/0003";
            let (likely, p, rest) =
                if denied { (3, "0.88", "0.02") } else { (s.emotion.label(), "0.7", "0.05") };
            let p: Vec<&str> = (0..7).map(|c| if c == likely { p } else { rest }).collect();
            format!("{},{},{},{}\n", s.sample_id, s.group_id, s.emotion.name(), p.join(","))
        })
        .collect();
    let dir = tempfile::tempdir().expect("temp dir");
    let head = "id,group,target,p0,p1,p2,p3,p4,p5,p6\n";
    let fold = written(dir.path(), "a.csv", &format!("{head}{rows}"));
    let out = dir.path().join("out").display().to_string();
    let manifest = world.manifest().display().to_string();
    let value = json(&["audit", &manifest, "--labels", &fold, "--out", &out]);
    assert_eq!(value["flagged"], 2, "{value}");
    let page = fs::read_to_string(format!("{out}/labels.html")).expect("page");
    assert!(page.contains("test/Anger/0003/000") && page.contains("<img"), "{page}");
    assert_eq!(page.matches("<li>").count(), 2, "what is not contradicted is not shown: {page}");
}
