//! `ncaers ablation`: a grid is trained once, a failed run is a row, and it ends in a report.
#![cfg(feature = "torch")]

use crate::common;
use crate::common::runs;
use std::{fs, path::Path};

use common::ncaers;
use ncaers::{internals::digest, runs::RunFolder};
use runs::World;

/// A grid of two runs; the second one's weights exist only when `good`.
fn grid(world: &World, good: bool) {
    let weights = if good { "" } else { "model.weights = \"no/such/file.safetensors\"\n" };
    let text = format!(
        "base = \"x.toml\"\nseeds = [1]\n\
         [[run]]\nlabel = \"GLA\"\nmodel.attention = \"gla\"\n\
         [[run]]\nlabel = \"none\"\nmodel.attention = \"none\"\n{weights}"
    );
    fs::write(world.path("grid.toml"), text).unwrap();
}

fn ablation(world: &World, extra: &[&str]) -> assert_cmd::Command {
    let mut command = ncaers();
    command.arg("ablation").arg(world.path("grid.toml"));
    command.arg("--out").arg(world.path("runs")).arg("--report").arg(world.path("report"));
    command.args(extra);
    command
}

fn stdout(command: &mut assert_cmd::Command) -> String {
    String::from_utf8_lossy(&command.assert().success().get_output().stdout).into_owned()
}

fn predictions(world: &World) -> Vec<String> {
    ["GLA-1", "none-1"]
        .map(|run| {
            let folder = RunFolder::new(&world.path("runs").join(run));
            digest::sha256_file(&folder.predictions_path(ncaers::record::Split::Test)).unwrap()
        })
        .into()
}

#[test]
fn a_grid_is_trained_once_and_ends_in_a_report() {
    let world = World::new();
    grid(&world, true);
    let listed = stdout(&mut ablation(&world, &["--dry-run"]));
    assert!(listed.contains("2 of 2 runs to do, about"), "{listed}");
    assert!(listed.contains("judging by a few steps on this machine"), "{listed}");
    assert!(!world.path("runs").exists(), "a dry run wrote something");
    stdout(&mut ablation(&world, &["--jobs", "2"]));
    assert!(world.path("report/index.html").is_file());
    let first = predictions(&world);
    let looks = |run: &str| RunFolder::new(&world.path("runs").join(run)).test_looks().unwrap();
    assert_eq!(looks("GLA-1").len(), 1);
    let again = stdout(&mut ablation(&world, &["--json"]));
    assert!(again.contains("\"trained_now\":0"), "{again}");
    let listed = stdout(&mut ablation(&world, &["--dry-run", "--set", "train.epochs=3"]));
    assert!(listed.contains("another configuration (train.epochs: 2 -> 3)"), "{listed}");
    assert!(listed.contains("2 of 2 runs to do"), "what the folder holds is not what is asked for");
    assert_eq!((predictions(&world), looks("GLA-1").len()), (first.clone(), 1));
    // One at a time, from nothing, gives the same answers: the runs share only what is the same.
    fs::remove_dir_all(world.path("runs")).unwrap();
    stdout(&mut ablation(&world, &["--jobs", "1"]));
    assert_eq!(predictions(&world), first);
}

#[test]
fn a_run_that_cannot_be_made_is_a_row_and_the_others_are_reported() {
    let world = World::new();
    grid(&world, false);
    let failed = ablation(&world, &[]).assert().code(1);
    let message = String::from_utf8_lossy(&failed.get_output().stderr).into_owned();
    assert!(message.contains("of 2 runs 1 cannot be made (none-1: weights"), "{message}");
    assert!(message.contains("no/such/file.safetensors"), "{message}");
    let status = fs::read_to_string(world.path("runs/grid/status.json")).unwrap();
    assert!(status.contains("\"cannot\"") && status.contains("\"done\""), "{status}");
    assert!(world.path("report/index.html").is_file());
}

#[test]
fn a_dry_run_says_what_cannot_be_made_and_why() {
    let world = World::new();
    // Without the widths of `x.toml`, which are no key of EfficientFace.
    let small = "[model]\nwidths = [4, 4, 4, 4, 8]\ncls_hidden = 8\n";
    let base = fs::read_to_string(world.path("x.toml")).unwrap();
    assert!(base.contains(small));
    fs::write(world.path("y.toml"), base.replace(small, "")).unwrap();
    let text = "base = \"y.toml\"\n[[run]]\nlabel = \"GLA\"\n\
        [[run]]\nlabel = \"faces\"\nmodel.name = \"efficientface\"\n";
    fs::write(world.path("grid.toml"), text).unwrap();
    let listed = stdout(&mut ablation(&world, &["--dry-run"]));
    assert!(
        listed.contains("cannot faces (seed 1): the pack has no `face_224`; run `ncaers pack` with --inputs face,context_masked,face_224"),
        "{listed}"
    );
    assert!(
        listed.contains("1 of 2 runs to do") && listed.contains("1 cannot be made"),
        "{listed}"
    );
    grid(&world, false);
    let listed = stdout(&mut ablation(&world, &["--dry-run"]));
    assert!(
        listed.contains("cannot none (seed 1): weights no/such/file.safetensors are missing"),
        "{listed}"
    );
    let refused = ablation(&world, &["--set", "data.pack=nowhere"]).assert().code(1);
    let message = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(message.contains("no run of the grid is finished"), "{message}");
    assert!(message.contains("make it with `ncaers pack`"), "{message}");
}

#[test]
fn an_interrupted_grid_goes_on_with_what_is_left() {
    let world = World::new();
    grid(&world, true);
    stdout(&mut ablation(&world, &[]));
    let first = predictions(&world);
    // As if the second run had been killed between training and prediction.
    fs::remove_file(world.path("runs/none-1/predictions-test.parquet")).unwrap();
    let listed = stdout(&mut ablation(&world, &["--dry-run"]));
    assert!(listed.contains("done   GLA (seed 1)") && listed.contains("begun  none"), "{listed}");
    assert!(listed.contains("1 of 2 runs to do"), "{listed}");
    let went_on = ablation(&world, &["--json"]).assert().success();
    let told = String::from_utf8_lossy(&went_on.get_output().stderr).into_owned();
    assert!(told.contains("none-1: done in") && told.contains("2 of 2 runs"), "{told}");
    assert!(!told.contains("GLA-1: done"), "a finished run was repeated: {told}");
    assert_eq!(predictions(&world), first);
}

#[test]
fn wrong_grids_are_one_line() {
    let world = World::new();
    let refused = |text: &str| {
        fs::write(world.path("grid.toml"), text).unwrap();
        let out = ablation(&world, &[]).assert().code(1);
        let message = String::from_utf8_lossy(&out.get_output().stderr).into_owned();
        assert_eq!(message.lines().count(), 1, "{message}");
        message
    };
    assert!(refused("base = \"x.toml\"\n").contains("at least one [[run]]"));
    let message = refused("base = \"x.toml\"\n[[run]]\nlabel = \"a\"\ntrain.epoch = 1\n");
    assert!(message.contains("train.epochs"), "{message}");
    assert!(refused("base = \"missing.toml\"\n[[run]]\nlabel = \"a\"\n").contains("missing.toml"));
    assert!(!Path::new(&world.path("runs")).exists(), "a refused grid wrote something");
}
