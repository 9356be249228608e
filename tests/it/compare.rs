//! `compare` as a user types it.
use crate::common;
use crate::common::answers;
use std::{fs, path::Path};

use ncaers::{
    record::Prediction,
    runs::{RunFolder, RunRecord, Status, TestLook},
};
use serde_json::{json, Value};

fn output(command: &mut assert_cmd::Command, code: i32) -> (String, String) {
    let output = command.assert().code(code).get_output().clone();
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (text(output.stdout), text(output.stderr))
}

fn compared(paths: &[std::path::PathBuf]) -> Value {
    let mut command = common::ncaers();
    command.args(["--json", "compare", "--sign-flips", "999", "--bootstrap-draws", "999"]);
    serde_json::from_str(&output(command.args(paths), 0).0).expect("one JSON object")
}

fn codes(value: &Value) -> Vec<String> {
    let warnings = value["warnings"].as_array().expect("a list");
    warnings.iter().map(|w| w["code"].as_str().expect("a code").to_owned()).collect()
}

/// A run folder with predictions on the test split, looked at `looks` times.
fn run_folder(folder: &Path, label: &str, seed: u64, looks: u64, rows: &[Prediction]) {
    fs::create_dir_all(folder).expect("folder");
    answers::save(folder, "predictions-test", rows);
    let run = RunFolder::new(folder);
    for time in 0..looks {
        run.add_test_look(TestLook { time, predictions: "00".into() }).expect("writable");
    }
    let record = RunRecord {
        run_id: "0".into(),
        label: label.into(),
        model: label.into(),
        config: json!({}),
        seed,
        manifest_digest: "0".into(),
        pack_digest: "0".into(),
        program_version: "0".into(),
        commit: None,
        device: "cpu".into(),
        processor: None,
        weights: None,
        synthetic: false,
        threads: 1,
        parameters: 1,
        selected: None,
        seconds: 1.0,
        status: Status::Finished,
        error: None,
        warnings: Vec::new(),
    };
    run.write_record(&record).expect("writable");
}

#[test]
fn table_5_has_its_layout_its_caveat_and_the_primary_test_beside_it() {
    let dir = tempfile::tempdir().expect("temp dir");
    let paths = ["gla", "ca", "none"].map(|name| {
        let skill = if name == "gla" { 0.8 } else { 0.3 };
        answers::save(dir.path(), name, &answers::rows(name, 60, skill))
    });
    let out = dir.path().join("out");
    let mut command = common::ncaers();
    let (text, _) = output(command.arg("compare").args(&paths).arg("--out").arg(&out), 0);
    for words in [
        "models: 3, rows: 300, groups: 60",
        "The paper's test (Stuart-Maxwell",
        "cluster sign-flip test of the same margins",
        "compares how often two raters use each class",
        "gla - none",
    ] {
        assert!(text.contains(words), "{words} in {text}");
    }
    let value: Value =
        serde_json::from_slice(&fs::read(out.join("comparison.json")).expect("file"))
            .expect("JSON");
    let pair = &value["pairs"][1]["accuracy"];
    assert!(pair["sign_flip_adjusted"]["holm"]["p"].as_f64().expect("p") < 0.05, "{pair}");
    let csv = fs::read_to_string(out.join("comparison.csv")).expect("file");
    assert_eq!(csv.lines().count(), 1 + 3 + 3, "{csv}");
    assert!(csv.lines().nth(1).expect("a row").starts_with("truth,gla,"), "{csv}");
    let mut again = common::ncaers();
    let (text, _) = output(again.arg("compare").args(&paths).arg("--out").arg(&out), 0);
    assert!(text.contains("already done"), "{text}");
}

#[test]
fn rows_are_paired_by_id_and_other_samples_refused() {
    let dir = tempfile::tempdir().expect("temp dir");
    let rows = answers::rows("a", 30, 0.5);
    let mut reversed = rows.clone();
    reversed.reverse();
    let a = answers::save(dir.path(), "a", &rows);
    let same = answers::save(dir.path(), "b", &reversed);
    let value = compared(&[a.clone(), same]);
    assert_eq!(value["pairs"][0]["margins"]["stuart_maxwell"]["outcome"], "vacuous");
    assert!(codes(&value).contains(&"vacuous-test".to_owned()));
    let fewer = answers::save(dir.path(), "fewer", &rows[7..]);
    let (_, message) = output(common::ncaers().arg("compare").args([a, fewer]), 1);
    for words in ["150 samples", "143", "7 only in a (test/Anger/0000/000, "] {
        assert!(message.contains(words), "{words} in {message}");
    }
    assert_eq!(message.trim_end().lines().count(), 1);
}

#[test]
fn seeds_of_one_label_are_summed_up_with_what_they_cannot_show() {
    let dir = tempfile::tempdir().expect("temp dir");
    let mut paths = Vec::new();
    for (label, skill) in [("glamor", 0.7), ("plain", 0.3)] {
        for seed in 0..3 {
            let folder = dir.path().join(format!("{label}-{seed}"));
            let rows = answers::rows(&format!("{label}{seed}"), 40, skill);
            run_folder(&folder, label, seed, 1 + seed, &rows);
            paths.push(folder);
        }
    }
    let value = compared(&paths);
    assert_eq!(value["models"][1]["name"], "glamor seed 1");
    assert_eq!(value["seeds"]["glamor"]["seeds"], 3);
    let (a, b) = (&value["seed_differences"][0][0], &value["seed_differences"][0][1]);
    assert_eq!((a, b), (&json!("glamor"), &json!("plain")));
    let contest = &value["pool"]["contests"][0];
    assert_eq!(contest["ahead"], json!([9, 9]), "seeds are no pairs: {contest}");
    assert!(contest["holm"]["p"].as_f64().expect("p") < 0.05, "{contest}");
    assert_eq!(value["verdict"]["beaten"], json!([1]));
    // Three seeds are no bootstrap sample: nothing is given between smallest and largest.
    assert!(value["seeds"]["glamor"]["iqm_interval"].is_null());
    assert!(value["seed_differences"][0][2]["probability_interval"].is_null());
    let looks = value["warnings"].as_array().expect("a list").iter();
    let looks: Vec<&str> = looks
        .filter(|w| w["code"] == "test-looks")
        .map(|w| w["message"].as_str().expect("words"))
        .collect();
    assert_eq!(looks.len(), 4, "{looks:?}");
    assert!(looks[0].contains("glamor seed 1") && looks[0].contains("2 times"), "{looks:?}");
    let (text, _) = output(common::ncaers().arg("compare").args(&paths), 0);
    assert!(text.contains("with 3 seeds the true standard deviation"), "{text}");
    assert!(text.contains("Verdict: glamor is the best"), "{text}");
}

#[test]
fn few_clips_and_few_discordant_pairs_are_said() {
    let dir = tempfile::tempdir().expect("temp dir");
    let a = answers::rows("a", 12, 0.5);
    let mut b = a.clone();
    b[0].predicted = (b[0].predicted + 1) % 7;
    let paths = [answers::save(dir.path(), "a", &a), answers::save(dir.path(), "b", &b)];
    let found = codes(&compared(&paths));
    for code in ["few-clips", "few-discordant-pairs"] {
        assert!(found.contains(&code.to_owned()), "{code} in {found:?}");
    }
    let one: Vec<_> = ["a", "b"]
        .map(|name| answers::save(dir.path(), &format!("one-{name}"), &answers::rows(name, 1, 0.0)))
        .to_vec();
    let value = compared(&one);
    assert!(codes(&value).contains(&"one-cluster".to_owned()));
    assert!(value["models"][0]["accuracy_clustered"].is_null());
    let none = ["x", "y"].map(|name| answers::save(dir.path(), name, &[]));
    let value = compared(&none);
    assert_eq!(codes(&value), ["no-data"]);
    assert!(value["pairs"][0]["accuracy"]["difference"].is_null());
}

#[test]
fn same_seed_same_result_whatever_the_threads() {
    let dir = tempfile::tempdir().expect("temp dir");
    let paths = ["a", "b"].map(|n| answers::save(dir.path(), n, &answers::rows(n, 50, 0.5)));
    let run = |threads: &str| {
        let mut command = common::ncaers();
        command.env("RAYON_NUM_THREADS", threads).args(["--json", "compare"]).args(&paths);
        output(&mut command, 0).0
    };
    assert_eq!(run("1"), run("3"));
}

#[test]
fn a_folder_of_runs_is_all_of_its_runs() {
    let dir = tempfile::tempdir().expect("temp dir");
    let runs = dir.path().join("runs");
    for label in ["a", "b", "c"] {
        run_folder(&runs.join(label), label, 1, 1, &answers::rows(label, 20, 0.5));
    }
    let each = ["a", "b", "c"].map(|label| runs.join(label));
    let both = [compared(std::slice::from_ref(&runs)), compared(&each)];
    assert_eq!(both[0], both[1]);
    fs::remove_file(runs.join("b/predictions-test.parquet")).expect("was there");
    let said = output(common::ncaers().arg("compare").arg(&runs), 1).1;
    let fix = format!("run `ncaers predict --run {} --split test`", runs.join("b").display());
    assert!(said.contains(&fix), "{said}");
    let said = output(common::ncaers().arg("compare").arg(dir.path()), 1).1;
    assert!(said.contains("holds no run folder"), "{said}");
}
