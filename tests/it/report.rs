//! `ncaers report`: tables, figures and the page from run folders alone.

use crate::common;
use crate::world;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use common::ncaers;
use ncaers::runs::{GridRow, RunFolder, RunRecord};
use serde_json::Value;
use world::World;

fn report(world: &World) -> Value {
    let out = ncaers()
        .args(["--json", "report"])
        .arg(world.runs())
        .args(["--title", "A test", "--manifest"])
        .arg(world.manifest())
        .arg("--out")
        .arg(world.out())
        .assert()
        .success();
    serde_json::from_slice(&out.get_output().stdout).expect("one JSON object")
}

fn read(world: &World, name: &str) -> String {
    fs::read_to_string(world.out().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn problems(summary: &Value) -> String {
    summary["problems"].to_string()
}

/// Every file below `folder` with its bytes.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            found.append(&mut tree(&path));
        } else {
            found.insert(path.display().to_string(), fs::read(&path).expect("file"));
        }
    }
    found
}

#[test]
fn numbers_come_from_the_predictions() {
    let world = World::new();
    // 140 samples: 12 of every 20 right.
    world.run("gla", 1, |i| i % 20 < 12);
    world.run("none", 1, |i| i % 20 < 5);
    let summary = report(&world);
    assert_eq!(summary["runs"], 2);
    let csv = read(&world, "tables/results.csv");
    assert!(csv.contains("gla,60.00,") && csv.contains("none,25.00,"), "{csv}");
    assert!(csv.contains(",140,70,1,R2\n"), "n, videos, seeds, key: {csv}");
    let layout = read(&world, "tables/table-4.csv");
    assert!(layout.contains("(iv) F + mC,GLA,60.00,") && layout.contains(",46.91"), "{layout}");
    assert!(layout.contains("(i) F,–,,,,,42.58"), "rows without a run stay: {layout}");
}

#[test]
fn every_number_is_traced_to_its_run() {
    let world = World::new();
    world.run("gla", 1, |i| i % 20 < 12);
    report(&world);
    let json: Value = serde_json::from_str(&read(&world, "report.json")).expect("JSON");
    let table = json["tables"].as_array().expect("tables").iter().find(|t| t["name"] == "results");
    let runs = &table.expect("results")["rows"][0][1]["runs"];
    let run = &json["runs"][0];
    assert_eq!(runs[0], run["record"]["run_id"]);
    assert_eq!(run["record"]["manifest_digest"], json["manifest_digest"]);
    let file = world.runs().join("gla-1/predictions-test.parquet");
    let digest = ncaers::internals::digest::sha256_file(&file).expect("digest");
    assert_eq!(run["predictions_sha256"], digest.as_str());
    assert_eq!(run["test_looks"], 1);
}

#[test]
fn seeds_are_averaged_and_shown() {
    let world = World::new();
    world.run("gla", 1, |i| i % 20 < 12);
    world.run("gla", 2, |i| i % 20 < 14);
    report(&world);
    let csv = read(&world, "tables/results.csv");
    // Mean of 60 and 70, standard deviation with divisor n - 1.
    assert!(csv.contains("gla,65.00,7.07,") && csv.contains(",70,2,R1 R2\n"), "{csv}");
}

#[test]
fn tests_use_all_seeds() {
    let world = World::new();
    // The first seeds are alike; the others are not.
    for (seed, gla) in [(1, 8), (2, 14), (3, 15)] {
        world.run("gla", seed, |i| i % 20 < gla);
        world.run("none", seed, |i| i % 20 < 8);
    }
    report(&world);
    let csv = read(&world, "tables/differences.csv");
    // Means of 40, 70, 75 and of 40: none is first in the paper's order.
    assert!(csv.contains("none,gla,-21.67,"), "{csv}");
    assert!(csv.contains(",0 of 9,"), "{csv}");
    let layout = read(&world, "tables/table-4.csv");
    assert!(layout.contains("GLA,61.67,18.93,"), "one seed shows no lead: {layout}");
    assert!(read(&world, "tables/table-4.md").contains("not told apart, and nothing is bold"));
    let five = read(&world, "tables/table-5.md");
    assert!(five.contains("\\[") && five.contains("\\] (df"), "smallest and largest p: {five}");
    assert!(read(&world, "tables/seeds.md").contains("with 3 seeds the true standard deviation"));
}

#[test]
fn rows_stand_in_the_papers_order_and_a_lead_is_bold() {
    let world = World::new();
    for seed in [1, 2] {
        world.run("gla", seed, |i| i % 20 < 18);
        world.run("none", seed, |i| i % 20 < 5);
        world.run("ca", seed, |i| i % 20 < 9);
    }
    report(&world);
    let csv = read(&world, "tables/results.csv");
    let labels: Vec<_> = csv.lines().skip(1).filter_map(|l| l.split(',').next()).collect();
    assert_eq!(labels, ["none", "ca", "gla"]);
    assert!(read(&world, "tables/table-4.md").contains("**90.00 ± 0.00**"));
    assert!(read(&world, "tables/table-4.tex").contains("\\textbf{90.00 $\\pm$ 0.00}"));
    for name in ["confusion-none", "confusion-ca", "confusion-gla", "attention", "predictions"] {
        for kind in ["svg", "png", "pdf"] {
            assert!(world.out().join(format!("figures/{name}.{kind}")).is_file(), "{name}.{kind}");
        }
    }
}

#[test]
fn a_run_that_failed_without_a_folder_is_a_row_with_its_error() {
    let world = World::new();
    world.run("gla", 1, |i| i % 20 < 12);
    let row = |run: &str, state: &str, error: Option<&str>| GridRow {
        run: run.into(),
        label: run.split('-').next().unwrap_or_default().into(),
        seed: 1,
        state: state.into(),
        error: error.map(str::to_owned),
    };
    let rows = [row("gla-1", "done", None), row("ca-1", "failed", Some("no such pack"))];
    let status = serde_json::to_vec(&rows).expect("JSON");
    ncaers::internals::atomic::write(&world.runs().join("grid/status.json"), &status)
        .expect("status");
    let text = problems(&report(&world));
    assert!(text.contains("run ca-1 failed and has no results: no such pack"), "{text}");
    assert!(read(&world, "tables/runs.csv").contains("failed: no such pack"));
}

#[test]
fn runs_on_different_states_of_the_data_set_are_named() {
    let world = World::new();
    world.run("gla", 1, |i| i % 20 < 12);
    world.run("ca", 1, |i| i % 20 < 9);
    let folder = RunFolder::new(&world.runs().join("ca-1"));
    let record = folder.record().expect("record");
    let other = RunRecord { manifest_digest: "another".into(), ..record };
    folder.write_record(&other).expect("write");
    let text = problems(&report(&world));
    assert!(text.contains("trained on different states of the data set"), "{text}");
    assert!(read(&world, "tables/results.csv").contains("gla,60.00"));
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let world = World::new();
    world.run("gla", 1, |i| i % 20 < 12);
    world.run("ca", 1, |i| i % 20 < 9);
    report(&world);
    let first = tree(&world.out());
    world.run("none", 1, |i| i % 20 < 7);
    report(&world);
    let stale = world.out().join("figures/confusion-none.svg");
    assert!(stale.exists());
    fs::write(world.out().join("figures/mine.svg"), "mine").expect("write");
    fs::remove_dir_all(world.runs().join("none-1")).expect("removed");
    report(&world);
    assert!(!stale.exists(), "figures of an earlier report are removed");
    fs::remove_file(world.out().join("figures/mine.svg")).expect("what others put there stays");
    let second = tree(&world.out());
    assert_eq!(first.keys().collect::<Vec<_>>(), second.keys().collect::<Vec<_>>());
    for (name, bytes) in &first {
        assert!(second[name] == *bytes, "{name} differs");
    }
}

#[test]
fn the_page_stands_alone() {
    let world = World::new();
    world.run("gla", 1, |i| i % 20 < 12);
    report(&world);
    let page = read(&world, "index.html");
    assert!(!page.contains("http://") && !page.contains("https://"), "no network");
    assert!(!page.contains(">NaN") && !page.contains("NaN %"), "undefined is said in words");
    for link in page.split("src=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(world.out().join(link).exists(), "{link} is missing");
    }
    let mut ids: Vec<_> =
        page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    ids.sort_unstable();
    let count = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), count, "an id stands twice");
    let markdown = read(&world, "report.md");
    for link in markdown.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(world.out().join(link).exists(), "{link} is missing");
    }
}

#[test]
fn a_demonstration_says_so_in_its_title() {
    let world = World::synthetic();
    world.run("gla", 1, |i| i % 20 < 12);
    report(&world);
    for file in ["index.html", "report.md", "report.json"] {
        assert!(read(&world, file).contains("says nothing about real data"), "{file}");
    }
    let real = World::new();
    real.run("gla", 1, |i| i % 20 < 12);
    report(&real);
    assert!(!read(&real, "index.html").contains("says nothing about real data"));
}

#[test]
fn an_empty_folder_is_an_error() {
    let world = World::new();
    let refused = ncaers().arg("report").arg(world.runs()).arg("--out").arg(world.out()).assert();
    let text = String::from_utf8_lossy(&refused.code(1).get_output().stderr).into_owned();
    assert!(text.contains("no run folder") && text.lines().count() == 1, "{text}");
}

#[test]
fn a_run_without_predictions_is_named_and_the_rest_rendered() {
    let world = World::new();
    world.run("gla", 1, |i| i % 20 < 12);
    world.run("ca", 1, |i| i % 20 < 9);
    fs::remove_file(world.runs().join("ca-1/predictions-test.parquet")).expect("remove");
    let summary = report(&world);
    assert!(problems(&summary).contains("run ca-1: no predictions on test"), "{summary}");
    assert!(read(&world, "report.md").contains("run ca-1: no predictions"));
    assert!(read(&world, "tables/runs.csv").contains("ca-1") || summary["runs"] == 2);
    fs::remove_file(world.runs().join("gla-1/predictions-test.parquet")).expect("remove");
    let refused = ncaers().arg("report").arg(world.runs()).arg("--out").arg(world.out()).assert();
    let text = String::from_utf8_lossy(&refused.code(1).get_output().stderr).into_owned();
    assert!(text.contains("has predictions on test; make them with `ncaers predict"), "{text}");
}

#[test]
fn a_run_on_other_samples_is_refused() {
    let world = World::new();
    world.run("gla", 1, |i| i % 20 < 12);
    world.run("ca", 1, |i| i % 20 < 9);
    world.run_on("none", 1, 100, |i| i % 20 < 9);
    let summary = report(&world);
    let text = problems(&summary);
    assert!(
        text.contains("run none-1: left out of the tables: it is scored on 100 samples"),
        "{text}"
    );
    assert!(!read(&world, "tables/results.csv").contains("none"));
}

#[test]
fn a_damaged_run_and_a_missing_picture_are_named() {
    let world = World::new();
    world.run("gla", 1, |i| i % 20 < 12);
    world.run("ca", 1, |i| i % 20 < 9);
    fs::write(world.runs().join("ca-1/run.json"), "{").expect("write");
    fs::remove_file(world.manifest().join(World::picture(3))).expect("remove");
    let text = problems(&report(&world));
    assert!(
        text.contains("run folder ca-1 is left out") && text.contains("not a run record"),
        "{text}"
    );
    assert!(text.contains("1 pictures are not shown") && text.contains("cannot read"), "{text}");
    assert_eq!(fs::read_dir(world.out().join("thumbs")).expect("thumbs").count(), 139);
}

#[test]
fn a_foreign_manifest_is_refused_but_the_results_stay() {
    let world = World::new();
    world.run("gla", 1, |i| i % 20 < 12);
    let other = World::synthetic();
    let out = ncaers()
        .args(["--json", "report"])
        .arg(world.runs())
        .arg("--manifest")
        .arg(other.manifest())
        .arg("--out")
        .arg(world.out())
        .assert()
        .success();
    let text = String::from_utf8_lossy(&out.get_output().stdout).into_owned();
    assert!(text.contains("is not the manifest that the runs were trained on"), "{text}");
    assert!(read(&world, "tables/results.csv").contains("gla,60.00"));
}

#[test]
fn two_data_sets_stand_in_one_report_and_are_never_compared() {
    let (ours, theirs) = (World::new(), World::new());
    ours.run("gla", 1, |i| i % 3 != 0);
    ours.run("none", 1, |i| i % 2 == 0);
    theirs.run("gla", 1, |i| i % 8 == 0);
    let dir = tempfile::tempdir().expect("temp dir");
    let out = dir.path().join("both");
    let sets = |more: &[&str]| {
        let mut command = ncaers();
        command.arg("report").arg(format!("NCAER-S={}", ours.runs().display()));
        command.arg(format!("CAER-S={}", theirs.runs().display()));
        command.arg("--manifest").arg(format!("NCAER-S={}", ours.manifest().display()));
        command.arg("--manifest").arg(format!("CAER-S={}", theirs.manifest().display()));
        command.args(more).arg("--out").arg(&out);
        command
    };
    sets(&[]).assert().success();
    let table = |number: u8| {
        let path = out.join(format!("tables/table-{number}.md"));
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    };
    for number in 1..=7 {
        assert!(!table(number).is_empty());
    }
    let original = table(7).lines().find(|l| l.starts_with("| original")).expect("row").to_owned();
    assert!(original.contains("| 66.43 |") && original.contains("| 12.86 ∘ |"), "{original}");
    assert!(original.contains("*77.90*") && original.contains("*46.91*"), "{original}");
    let second = table(2);
    let row = second.lines().find(|l| l.starts_with("| GLAMOR-Net (original)")).expect("row");
    assert!(row.contains("12.86 ∘"), "a row at chance is marked: {row}");
    assert!(second.contains("∘ marks a row"), "{second}");
    assert!(
        second.contains("– \\[1\\]") && second.contains("\\[1\\] no run of this row"),
        "{second}"
    );
    for name in ["figures/figure-6.svg", "figures/figure-7.png", "figures/figure-8.png"] {
        assert!(out.join(name).is_file(), "{name}");
    }
    for set in ["ncaer-s", "caer-s"] {
        assert!(out.join(set).join("index.html").is_file(), "{set}");
    }
    let page = fs::read_to_string(out.join("index.html")).expect("page");
    assert!(page.contains("href=\"caer-s/index.html\"") && page.contains("class=\"row\""));
    let first = fs::read(out.join("report.json")).expect("report.json");
    sets(&[]).assert().success();
    assert_eq!(fs::read(out.join("report.json")).expect("again"), first);

    let usage = |command: &mut assert_cmd::Command| {
        String::from_utf8_lossy(&command.assert().code(2).get_output().stderr).into_owned()
    };
    assert!(usage(&mut sets(&["--audit", "CAER=x"])).contains("is not NAME=FOLDER"));
    assert!(usage(&mut sets(&["--manifest", "x"])).contains("is not NAME=FOLDER"));
    let mut unnamed = ncaers();
    unnamed.arg("report").arg(ours.runs()).arg(theirs.runs()).arg("--out").arg(&out);
    assert!(usage(&mut unnamed).contains("NAME=FOLDER"));
}

/// The addresses on a page that name neither a place on it nor data.
fn addresses(page: &str) -> BTreeSet<String> {
    let after = |mark: &str| -> Vec<String> {
        let rests = page.split(mark).skip(1);
        rests.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
    };
    let all = after("href=\"").into_iter().chain(after("src=\""));
    all.filter(|a| !a.starts_with('#') && !a.starts_with("data:")).collect()
}

#[test]
fn every_address_on_the_pages_leads_to_a_file() {
    let world = World::new();
    world.run("gla", 1, |i| i % 20 < 12);
    let audit = world.out().with_file_name("audit");
    ncaers().arg("audit").arg(world.manifest()).arg("--out").arg(&audit).assert().success();
    let mut report = ncaers();
    report.arg("report").arg(world.runs()).arg("--manifest").arg(world.manifest());
    report.arg("--audit").arg(&audit).arg("--out").arg(world.out()).assert().success();
    for folder in [audit, world.out()] {
        let page = fs::read_to_string(folder.join("index.html")).expect("page");
        let named = addresses(&page);
        assert!(named.len() >= 3, "{named:?}");
        for address in named {
            assert!(folder.join(&address).is_file(), "{} lacks {address}", folder.display());
        }
    }
}
