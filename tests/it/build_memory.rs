//! A worker's own memory does not grow with the number of clips that it has done.
#![cfg(target_os = "linux")]
use crate::common::clips;

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use ncaers::internals::media::encode::ClipFormat;

const CLIPS: usize = 240;

/// One clip under many names.
fn corpus(root: &Path) {
    let format = ClipFormat { width: 320, height: 192, b_frames: 2, ..ClipFormat::default() };
    let first = root.join("train/Anger/0000.avi");
    clips::write(&first, &format, 50, 1);
    for n in 1..CLIPS {
        fs::hard_link(&first, root.join(format!("train/Anger/{n:04}.avi"))).expect("link");
    }
}

/// The pages of a process that it shares with nobody, in kB; `None` once it has ended.
fn private_kb(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let of = |line: &str| line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok());
    Some(text.lines().filter(|l| l.starts_with("Private_")).filter_map(of).sum())
}

/// The build's worker, once it runs the worker's program.
fn worker(build: &Child) -> Option<u32> {
    let tasks = fs::read_dir(format!("/proc/{}/task", build.id())).ok()?;
    let lists = tasks.flatten().filter_map(|t| fs::read_to_string(t.path().join("children")).ok());
    let name = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    lists
        .flat_map(|l| l.split_whitespace().filter_map(|p| p.parse().ok()).collect::<Vec<u32>>())
        .find(|pid| name(pid) == "ncaers worker\n")
}

#[test]
fn private_memory_is_flat_in_the_number_of_clips() {
    let dir = tempfile::tempdir().expect("temp dir");
    let (root, out) = (dir.path().join("corpus"), dir.path().join("out"));
    corpus(&root);
    let mut build = Command::new(env!("CARGO_BIN_EXE_ncaers"))
        .args(["build", "--detector", "seeta", "--seed", "5", "--workers", "1"])
        .args(["--on-leak", "keep", "--balance", "none", "--corpus"])
        .arg(&root)
        .arg("--out")
        .arg(&out)
        .stdout(Stdio::null())
        .spawn()
        .expect("starts");
    let journal = out.join("clips.jsonl");
    let done = || fs::read(&journal).map_or(0, |text| text.iter().filter(|b| **b == b'\n').count());
    // The most in the first and in the last third of the clips.
    let (mut early, mut late) = (0, 0);
    while build.try_wait().expect("waits").is_none() {
        let (count, memory) = (done(), worker(&build).and_then(private_kb).unwrap_or(0));
        match count {
            10..80 => early = early.max(memory),
            160..CLIPS => late = late.max(memory),
            _ => {}
        }
    }
    assert!(build.wait().expect("ended").success());
    assert!(early > 0 && late > 0, "no sample was taken: {early} and {late} kB");
    assert!(late <= early + 4096, "{early} kB early, {late} kB late");
    assert!(late <= 150 * 1024, "a worker holds {late} kB");
}
