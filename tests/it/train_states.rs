//! Checkpoints to the bit: whatever optimizer, wherever it is killed, on one thread and on two; and
//! which stages a variant goes through.
#![cfg(feature = "torch")]

use crate::common::runs;
use std::time::Duration;

use ncaers::{
    internals::weights,
    runs::{EpochRow, RunFolder, Status},
};
use runs::{reaches, refusal, World};

/// `--set` before every setting.
fn set<'a>(settings: &[&'a str]) -> Vec<&'a str> {
    settings.iter().flat_map(|&setting| ["--set", setting]).collect()
}

fn assert_same_files(world: &World, a: &str, b: &str) {
    for file in ["last.safetensors", "best.safetensors"] {
        let same = world.bytes(&format!("{a}/{file}")) == world.bytes(&format!("{b}/{file}"));
        assert!(same, "{file} of {a} and {b}");
    }
}

fn resumed<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [more, &["--resume"]].concat()
}

const LONGER: [&str; 2] = ["train.epochs=4", "train.stage1_epochs=2"];

#[test]
fn every_optimizer_keeps_its_state_over_an_interrupt_in_the_middle_of_an_epoch() {
    let world = World::new();
    let cases: [&[&str]; 4] = [
        &["train.nesterov=true", "train.weight_decay=1e-3"],
        &["train.optimizer=adam", "train.learning_rate=0.01"],
        &["train.optimizer=adam", "train.amsgrad=true", "train.learning_rate=0.01"],
        &["train.optimizer=adamw", "train.learning_rate=0.01", "train.weight_decay=1e-2"],
    ];
    for (i, case) in cases.into_iter().enumerate() {
        let threads = ["train.threads=1", "train.threads=2"][i % 2];
        let more = set(&[&LONGER[..], case, &[threads]].concat());
        let (whole, cut) = (format!("whole{i}"), format!("cut{i}"));
        world.train(&whole, &more).assert().success();
        let (mut child, mut lines) = world.start(&cut, &more);
        assert!(reaches(&mut lines, "joint 1/4"));
        // SAFETY: the child is ours and not yet waited for.
        unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
        while reaches(&mut lines, "\n") {}
        assert_eq!(child.wait().unwrap().code(), Some(1));
        let status = RunFolder::new(&world.path(&cut)).record().unwrap().status;
        assert_eq!(status, Status::Interrupted);
        world.train(&cut, &resumed(&more)).assert().success();
        assert_same_files(&world, &whole, &cut);
    }
}

#[test]
fn a_kill_at_any_moment_on_two_threads_changes_no_byte() {
    let world = World::new();
    let more = set(&[&LONGER[..], &["train.threads=2"]].concat());
    world.train("whole", &more).assert().success();
    world.train("again", &more).assert().success();
    assert_same_files(&world, "whole", "again");
    // One run is killed in every second epoch, until nothing is left to do. An epoch is told before
    // it is saved, so that only the one before is certain.
    loop {
        let (mut child, mut lines) = world.start("hunted", &resumed(&more));
        let goes_on = reaches(&mut lines, " train ") && reaches(&mut lines, " train ");
        child.kill().unwrap();
        let ended = child.wait().unwrap();
        if !goes_on {
            assert!(ended.success());
            break;
        }
    }
    assert_same_files(&world, "whole", "hunted");
    // Others at moments that nobody chose: what is claimed holds for all of them.
    for moment in 0..4 {
        let out = format!("killed{moment}");
        let (mut child, _lines) = world.start(&out, &more);
        std::thread::sleep(Duration::from_millis(200 + 97 * moment));
        child.kill().unwrap();
        child.wait().unwrap();
        world.train(&out, &resumed(&more)).assert().success();
        assert_same_files(&world, "whole", &out);
    }
}

#[test]
fn stage_one_trains_the_encoders_that_a_variant_has() {
    let world = World::new();
    let cases: [(&[&str], &[&str]); 6] = [
        (&["model.branches=face"], &["face", "joint"]),
        (&["model.branches=context", "model.attention=none"], &["context", "joint"]),
        (&["model.branches=context", "model.attention=ca"], &["context", "joint"]),
        // The face guides the attention and does not reach the classifier: a head of its own.
        (&["model.branches=context", "model.attention=gla"], &["face", "context", "joint"]),
        (&["model.fusion=max"], &["face", "context", "joint"]),
        (&["model.name=caer_net_s", "model.cls_hidden=8"], &["face", "context", "joint"]),
    ];
    for (i, (case, wanted)) in cases.into_iter().enumerate() {
        let out = format!("r{i}");
        world.train(&out, &set(&[case, &["train.epochs=1"]].concat())).assert().success();
        let rows = RunFolder::new(&world.path(&out)).epochs().unwrap();
        let stages: Vec<&str> = rows.iter().map(|row| row.stage.as_str()).collect();
        assert_eq!(stages, wanted, "{case:?}");
        world.predict(&out, "val").assert().success();
    }
}

/// Training loss of every epoch.
fn losses(world: &World, run: &str) -> Vec<f64> {
    let rows: Vec<EpochRow> = RunFolder::new(&world.path(run)).epochs().unwrap();
    rows.into_iter().filter(|row| row.stage == "joint").map(|row| row.train_loss).collect()
}

#[test]
fn bf16_learns_along_the_curve_of_fp32() {
    let world = World::new();
    let more = |precision: &'static str| {
        set(&[
            precision,
            "train.epochs=25",
            "train.stage1_epochs=0",
            "train.dropout=0",
            "train.learning_rate=0.02",
            "model.widths=[8, 8, 8, 8, 16]",
        ])
    };
    world.train("fp32", &more("train.precision=fp32")).assert().success();
    world.train("bf16", &more("train.precision=bf16")).assert().success();
    let (exact, rounded) = (losses(&world, "fp32"), losses(&world, "bf16"));
    assert!(exact[24] < 0.9 * exact[0], "it learns: {exact:?}");
    let apart: Vec<f64> = exact.iter().zip(&rounded).map(|(a, b)| (a - b).abs()).collect();
    let mean = apart.iter().sum::<f64>() / 25.0;
    // bfloat16 keeps 8 bits; what it changes is far below what is learned.
    assert!(mean < 0.1 * (exact[0] - exact[24]), "{mean}: {exact:?} {rounded:?}");
    assert_ne!(exact, rounded, "another format, other numbers");
}

#[test]
fn a_loss_that_bursts_later_leaves_the_checkpoint_of_the_epoch_before() {
    let world = World::new();
    // The rate rises step by step until the weights overflow; which rise does so after the first of
    // these epochs of three steps depends on the machine's arithmetic.
    let burst = ["1e13", "3e12", "1e12", "3e11", "1e11"].into_iter().find_map(|rate| {
        let rise = format!("train.learning_rate={rate}");
        let more = set(&[&rise, "train.warmup=100000", "train.epochs=8", "train.stage1_epochs=0"]);
        let run = world.train(rate, &more).output().unwrap();
        let told = String::from_utf8_lossy(&run.stderr).into_owned();
        (!run.status.success() && !told.contains("epoch 1, step")).then_some((rate, told))
    });
    let (run, told) = burst.expect("one of them bursts in a later epoch");
    let told = told.lines().last().unwrap();
    assert!(
        told.contains("the loss is") && told.contains("last good checkpoint is kept"),
        "{told}"
    );
    let record = RunFolder::new(&world.path(run)).record().unwrap();
    assert_eq!(record.status, Status::Failed);
    let kept = weights::read(&world.path(&format!("{run}/last.safetensors"))).unwrap();
    for (name, tensor) in kept.iter().filter(|(name, _)| !name.contains("running_")) {
        assert!(bool::try_from(tensor.isfinite().all()).unwrap(), "{name}");
    }
    // Going on from there meets the same end.
    let rise = format!("train.learning_rate={run}");
    let more = set(&[&rise, "train.warmup=100000", "train.epochs=8", "train.stage1_epochs=0"]);
    assert_eq!(refusal(&mut world.train(run, &resumed(&more))), told);
}
