//! `evaluate` as a user types it.
use crate::common;
use crate::common::answers;
use std::{fs, path::Path};

use serde_json::Value;

fn stdout(command: &mut assert_cmd::Command) -> String {
    let output = command.assert().success().get_output().stdout.clone();
    String::from_utf8(output).expect("UTF-8")
}

fn json(command: &mut assert_cmd::Command) -> Value {
    serde_json::from_str(&stdout(command)).expect("one JSON object")
}

fn refused(command: &mut assert_cmd::Command) -> String {
    let output = command.assert().code(1).get_output().clone();
    assert!(output.stdout.is_empty());
    let message = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(message.trim_end().lines().count(), 1, "{message}");
    message
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn a_person_sees_a_table_and_a_program_gets_full_precision() {
    let dir = tempfile::tempdir().expect("temp dir");
    let rows = answers::rows("a", 40, 0.4);
    let right = rows.iter().filter(|r| r.target == r.predicted).count();
    let file = answers::save(dir.path(), "a", &rows);
    let out = dir.path().join("out");
    let text = stdout(common::ncaers().arg("evaluate").arg(&file).arg("--out").arg(&out));
    let percent = format!("accuracy {:.2} %", 100.0 * right as f64 / 200.0);
    assert!(text.contains("a: 200 rows in 40 groups") && text.contains(&percent), "{text}");
    for word in ["macro_f1", "Surprise", "confusion (rows: truth)", "design effect", "Wilson"] {
        assert!(text.contains(word), "{word} in {text}");
    }
    let written: Value = serde_json::from_str(&read(&out, "metrics.json")).expect("JSON");
    assert_eq!(written["accuracy"]["value"], right as f64 / 200.0);
    let shown = json(common::ncaers().args(["--json", "evaluate"]).arg(&file));
    assert_eq!(shown, written);
    let metrics = read(&out, "metrics.csv");
    assert!(metrics.starts_with("metric,value,lo,hi\naccuracy,0."), "{metrics}");
    assert_eq!(read(&out, "confusion.csv").lines().count(), 8);
    assert_eq!(read(&out, "classes.csv").lines().count(), 8);
    assert_eq!(read(&out, "reliability.csv").lines().count(), 16);
}

#[test]
fn finished_folders_are_recognised_and_others_refused() {
    let dir = tempfile::tempdir().expect("temp dir");
    let file = answers::save(dir.path(), "a", &answers::rows("a", 8, 0.5));
    let groups = dir.path().join("shows.csv");
    let shows: String = (0..8).map(|c| format!("test/Anger/{c:04},show {}\n", c % 3)).collect();
    fs::write(&groups, format!("group,show\n{shows}")).expect("writable");
    let out = dir.path().join("out");
    let run = |more: &[&std::ffi::OsStr]| {
        let mut command = common::ncaers();
        command.arg("evaluate").arg(&file).arg("--out").arg(&out).args(more);
        command
    };
    stdout(&mut run(&[]));
    assert!(stdout(&mut run(&[])).contains("already done"));
    let message = refused(&mut run(&["--groups".as_ref(), groups.as_os_str()]));
    assert!(message.contains("groups"), "{message}");
}

#[test]
fn one_row_and_no_row_are_answers_not_errors() {
    let dir = tempfile::tempdir().expect("temp dir");
    let one = answers::save(dir.path(), "one", &answers::rows("a", 1, 1.0)[..1]);
    let text = stdout(common::ncaers().arg("evaluate").arg(one));
    assert!(text.contains("warning: one-cluster") && !text.contains("NaN"), "{text}");
    let none = answers::save(dir.path(), "none", &[]);
    let value = json(common::ncaers().args(["--json", "evaluate"]).arg(none));
    assert_eq!(value["warnings"][0]["code"], "no-data");
    assert!(value["accuracy"].is_null());
}

#[test]
fn what_is_no_prediction_file_is_named() {
    let dir = tempfile::tempdir().expect("temp dir");
    let missing = refused(common::ncaers().arg("evaluate").arg(dir.path().join("no.parquet")));
    assert!(missing.contains("no.parquet"), "{missing}");
    let empty = refused(common::ncaers().arg("evaluate").arg(dir.path()));
    assert!(empty.contains("predictions-test.parquet"), "{empty}");
    let text = dir.path().join("text.parquet");
    fs::write(&text, "sample_id,target\n").expect("writable");
    assert!(refused(common::ncaers().arg("evaluate").arg(&text)).contains("text.parquet"));
    let mut twice = answers::rows("a", 2, 1.0);
    twice.push(twice[0].clone());
    let twice = answers::save(dir.path(), "twice", &twice);
    assert!(refused(common::ncaers().arg("evaluate").arg(twice)).contains("twice"));
}

#[test]
fn an_audit_tells_how_much_of_the_score_is_leak() {
    let dir = tempfile::tempdir().expect("temp dir");
    let rows = answers::rows("a", 40, 0.4);
    let file = answers::save(dir.path(), "a", &rows);
    // Everything that the model has right and half of the rest leaks.
    let leaks = |i: usize| rows[i].target == rows[i].predicted || i.is_multiple_of(2);
    let verdicts = |known: usize| {
        let mut table =
            "sample_id,split,near_duplicate,same_video,partner_id,distance\n".to_owned();
        for (i, row) in rows.iter().enumerate().take(known) {
            table.push_str(&format!("{},test,{},false,,\n", row.sample_id, leaks(i)));
        }
        fs::write(dir.path().join("clean.csv"), table).expect("writable");
    };
    let run = |json: bool| {
        let mut command = common::ncaers();
        command.args(json.then_some("--json")).arg("evaluate").arg(&file);
        command.arg("--clean").arg(dir.path());
        command
    };
    verdicts(rows.len());
    let right = rows.iter().filter(|r| r.target == r.predicted).count() as f64 / 200.0;
    let found = json(&mut run(true))["clean"].clone();
    let near = &found["without_near_duplicates"];
    assert_eq!(
        (&near["all"]["value"], &near["kept"]["value"]),
        (&Value::from(right), &Value::from(0.0))
    );
    assert_eq!(near["difference"]["value"], right);
    assert!(near["difference"]["lo"].as_f64() > Some(0.0) && near["all"]["clusters"] == 40);
    assert_eq!(found["without_same_video"]["difference"]["value"], 0.0);
    let text = stdout(&mut run(false));
    assert!(text.contains("without near-duplicates in train") && text.contains("0.00"), "{text}");
    let out = dir.path().join("out");
    stdout(run(false).arg("--out").arg(&out));
    assert!(read(&out, "clean.json").contains("without_same_video"));
    assert!(refused(common::ncaers().arg("evaluate").arg(&file).arg("--out").arg(&out))
        .contains("clean"));
    verdicts(199);
    let message = refused(&mut run(false));
    assert!(
        message.contains(&rows[199].sample_id) && message.contains("audit the manifest"),
        "{message}"
    );
    fs::remove_file(dir.path().join("clean.csv")).expect("was there");
    assert!(refused(&mut run(false)).contains("clean.csv"));
}
