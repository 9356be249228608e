//! `ncaers build` and `ncaers merge`: the same bytes whatever the workers, shards, interruptions
//! and crashes; the drawn frame is the burned one; bad input is one line or one row.

use crate::common;
use crate::common::builds;
use crate::common::clips;
use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use builds::{assert_same, build, corpus, promised, small, stderr_of};
use clips::{burned_index, write};
use common::ncaers;
use ncaers::{
    internals::media::image::load_rgb,
    manifest::Manifest,
    record::{ClipStatus, LedgerKind, Split},
};

#[test]
fn the_same_bytes_from_one_and_two_workers_and_again() {
    let dir = tempfile::tempdir().expect("temp dir");
    let root = dir.path().join("corpus");
    corpus(&root);
    let [one, two] = ["one", "two"].map(|name| dir.path().join(name));
    build(&root, &one).args(["--workers", "1"]).assert().success();
    build(&root, &two).args(["--workers", "2"]).assert().success();
    assert_same(&one, &two);
    ncaers().arg("verify").arg(&one).assert().success();
    check_rows(&one);

    let before = promised(&one);
    let again = build(&root, &one).assert().success();
    let said = String::from_utf8_lossy(&again.get_output().stdout).into_owned();
    assert!(said.contains("already done"), "{said}");
    assert!(promised(&one) == before);

    let refused = stderr_of(build(&root, &one).args(["--segment-seconds", "3"]), 1);
    assert!(refused.contains("build.segment_seconds: 2.0 -> 3.0"), "{refused}");
    write(&root.join("train/Fear/new.avi"), &small(), 30, 9);
    let refused = stderr_of(&mut build(&root, &one), 1);
    assert!(refused.contains("another configuration (clips: "), "{refused}");
}

/// Frames are the burned ones, the planted copy has left the test split, all is accounted for.
fn check_rows(folder: &Path) {
    let manifest = Manifest::read(folder).expect("reads");
    for sample in &manifest.samples {
        let picture = load_rgb(&folder.join(&sample.image_path)).expect("loads");
        let burned = u64::from(burned_index(&picture));
        assert_eq!(Some(burned), sample.frame_index, "{}", sample.sample_id);
    }
    assert!(manifest.samples.iter().all(|s| s.face.is_none() && s.face_count.is_none()));
    let splits: Vec<_> = Split::ALL
        .iter()
        .map(|split| manifest.samples.iter().filter(|s| s.split == *split).count())
        .collect();
    // train: 2 + 1 and 2 + 1; val: 2 and 1, cut to 1 x 1.7; test: 2 and 1, cut likewise.
    assert_eq!(splits, [6, 2, 2]);
    let row = |id: &str| manifest.clips.iter().find(|c| c.clip_id == id).expect("row");
    assert_eq!(row("test/Fear/copy").group_id, row("train/Anger/0001").group_id);
    assert_eq!(row("train/Fear/broken").status, ClipStatus::Rejected);
    let out: BTreeMap<_, _> = manifest
        .ledger
        .iter()
        .filter(|e| e.kind == LedgerKind::Clip)
        .map(|e| (&*e.id, (&*e.reason, e.partner_id.as_deref())))
        .collect();
    let want = BTreeMap::from([
        ("test/Fear/copy", ("leak", Some("train/Anger/0001"))),
        ("train/Fear/broken", ("unreadable", None)),
    ]);
    assert_eq!(out, want);
}

#[test]
fn shards_merge_to_the_bytes_of_one_build() {
    let dir = tempfile::tempdir().expect("temp dir");
    let root = dir.path().join("corpus");
    corpus(&root);
    let whole = dir.path().join("whole");
    build(&root, &whole).assert().success();
    for count in [1, 2, 7] {
        let folders: Vec<_> =
            (1..=count).map(|i| dir.path().join(format!("shard-{i}-of-{count}"))).collect();
        for (i, folder) in folders.iter().enumerate().rev() {
            let shard = format!("{}/{count}", i + 1);
            build(&root, folder).args(["--shard", &shard]).assert().success();
        }
        let merged = dir.path().join(format!("merged-{count}"));
        ncaers().arg("merge").args(&folders).arg("--out").arg(&merged).assert().success();
        assert_same(&whole, &merged);
    }
    let shard = |i, n| dir.path().join(format!("shard-{i}-of-{n}"));
    let refused = |folders: &[PathBuf]| {
        let out = dir.path().join("refused");
        let text = stderr_of(ncaers().arg("merge").args(folders).arg("--out").arg(&out), 1);
        assert!(!out.exists(), "nothing is written");
        text
    };
    assert!(refused(&[shard(1, 2)]).contains("shard 2/2 is missing"));
    assert!(refused(&[shard(1, 2), shard(1, 2), shard(2, 2)]).contains("named twice"));
    assert!(refused(&[shard(1, 2), shard(2, 7)]).contains("different builds"));
    assert!(refused(&[whole]).contains("no shard"));
    assert!(refused(&[root]).contains("no folder of a build"));
}

/// Who leaves under every policy, with the partner that stays; every sample of a clip that left
/// names it too.
#[test]
fn a_video_in_two_splits_is_dealt_with_as_asked() {
    let dir = tempfile::tempdir().expect("temp dir");
    let root = dir.path().join("corpus");
    corpus(&root);
    let (original, copy) = ("train/Anger/0001", "test/Fear/copy");
    for (policy, leaves) in [
        ("remove-eval", Some((copy, original))),
        ("remove-train", Some((original, copy))),
        ("keep", None),
    ] {
        let out = dir.path().join(policy);
        build(&root, &out).args(["--on-leak", policy]).assert().success();
        ncaers().arg("verify").arg(&out).assert().success();
        let manifest = Manifest::read(&out).expect("reads");
        let left: Vec<_> = manifest.ledger.iter().filter(|e| e.reason == "leak").collect();
        let Some((gone, partner)) = leaves else {
            assert!(left.is_empty(), "{left:?}");
            for clip in [original, copy] {
                assert!(manifest.samples.iter().any(|s| s.clip_id == clip), "{clip}");
            }
            continue;
        };
        assert!(left.iter().all(|e| e.partner_id.as_deref() == Some(partner)), "{left:?}");
        let clips: Vec<_> =
            left.iter().filter(|e| e.kind == LedgerKind::Clip).map(|e| &*e.id).collect();
        assert_eq!(clips, [gone], "{policy}");
        assert!(left.len() > 1, "samples are told as well");
        assert!(manifest.samples.iter().all(|s| s.clip_id != gone));
        assert!(manifest.samples.iter().any(|s| s.clip_id == partner));
    }
    let out = dir.path().join("fail");
    let text = stderr_of(build(&root, &out).args(["--on-leak", "fail"]), 1);
    assert!(text.contains(original) && text.contains(copy), "{text}");
    assert!(text.contains("--on-leak") && text.trim().lines().count() == 1, "{text}");
    assert!(!out.join("samples.parquet").exists());
}

/// Starts a build with one worker and nobody waiting for it.
fn start(corpus: &Path, out: &Path, more: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_ncaers"))
        .args(["build", "--detector", "none", "--seed", "5", "--workers", "1", "--corpus"])
        .arg(corpus)
        .arg("--out")
        .arg(out)
        .args(more)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts")
}

/// Waits until `ready` gives something; the time limit is only for a build that never gets there.
fn until<T>(mut ready: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(start.elapsed() < Duration::from_secs(120), "waited in vain");
        std::thread::yield_now();
    }
}

fn lines(out: &Path) -> usize {
    fs::read_to_string(out.join("clips.jsonl")).map_or(0, |text| text.lines().count())
}

fn signal(pid: u32, name: &str) {
    let number = if name == "KILL" { libc::SIGKILL } else { libc::SIGSTOP };
    // SAFETY: sends a signal to a process of this test's own. One that has ended is no error.
    unsafe { libc::kill(pid as libc::pid_t, number) };
}

#[test]
fn killed_builds_continue_to_the_same_bytes() {
    let dir = tempfile::tempdir().expect("temp dir");
    let root = dir.path().join("corpus");
    corpus(&root);
    let whole = dir.path().join("whole");
    build(&root, &whole).assert().success();
    for after in [0, 1, 4] {
        let out = dir.path().join(format!("killed-{after}"));
        let mut child = start(&root, &out, &[]);
        until(|| (out.join("clips.jsonl").exists() && lines(&out) >= after).then_some(()));
        signal(child.id(), "KILL");
        child.wait().expect("ended");
        assert!(!out.join("finished").exists());
        // Half a line, as a kill in the middle of a write leaves it.
        let mut journal = fs::read(out.join("clips.jsonl")).expect("journal");
        journal.extend_from_slice(b"{\"clip_id\":\"train/A");
        fs::write(out.join("clips.jsonl"), journal).expect("write");
        build(&root, &out).assert().success();
        assert_same(&whole, &out);
    }
}

/// Whether a process is called a worker already: a child that is stopped between its fork and its
/// exec would stop its parent too.
fn is_worker(pid: u32) -> bool {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    name == "ncaers worker\n" && !words.is_empty()
}

/// The worker process of a build, once it is there.
fn worker_of(build: &Child) -> u32 {
    let children = format!("/proc/{0}/task", build.id());
    until(|| {
        let tasks = fs::read_dir(&children).ok()?;
        let listed =
            tasks.flatten().filter_map(|t| fs::read_to_string(t.path().join("children")).ok());
        listed
            .flat_map(|l| l.split_whitespace().filter_map(|p| p.parse().ok()).collect::<Vec<_>>())
            .find(|&pid| is_worker(pid))
    })
}

#[test]
fn a_killed_and_a_stopped_worker_cost_nothing_but_a_note() {
    let dir = tempfile::tempdir().expect("temp dir");
    let root = dir.path().join("corpus");
    corpus(&root);
    let whole = dir.path().join("whole");
    build(&root, &whole).assert().success();
    for (name, more, said) in [
        ("KILL", vec![], "signal 9"),
        ("STOP", vec!["--time-limit", "4"], "came no further within 4 s"),
    ] {
        // A signal that comes after the last clip costs nothing at all; then the build is made
        // again until one comes in time.
        let in_time = (0..20).any(|attempt| {
            let out = dir.path().join(format!("{name}-{attempt}"));
            let text = disturbed(&root, &out, &more, name);
            assert_same(&whole, &out);
            assert!(text.is_empty() || text.contains(said), "{name}: {text}");
            !text.is_empty()
        });
        assert!(in_time, "{name}: twenty builds ended before their worker could be hit");
    }
}

/// What a build says whose worker gets a signal as soon as it is there.
fn disturbed(corpus: &Path, out: &Path, more: &[&str], name: &str) -> String {
    let mut child = start(corpus, out, more);
    signal(worker_of(&child), name);
    let mut text = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut text).expect("reads");
    assert!(child.wait().expect("ended").success(), "{text}");
    text
}

#[test]
fn a_second_build_into_a_folder_is_refused() {
    let dir = tempfile::tempdir().expect("temp dir");
    let root = dir.path().join("corpus");
    corpus(&root);
    let out = dir.path().join("out");
    let mut child = start(&root, &out, &[]);
    signal(worker_of(&child), "STOP");
    let refused = stderr_of(&mut build(&root, &out), 1);
    assert!(refused.contains("is in use by another ncaers process"), "{refused}");
    signal(child.id(), "KILL");
    child.wait().expect("ended");
}

#[test]
fn unusable_corpora_are_one_line_and_nothing_is_written() {
    let dir = tempfile::tempdir().expect("temp dir");
    let out = dir.path().join("out");
    let folder = |name: &str, files: &[&str]| {
        let root = dir.path().join(name);
        fs::create_dir_all(&root).expect("folder");
        for file in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().expect("folder")).expect("folder");
            fs::write(path, "x").expect("file");
        }
        root
    };
    for (root, said) in [
        (dir.path().join("missing"), "no corpus at"),
        (folder("empty", &[]), "is empty"),
        (folder("photos", &["2020/a.jpg"]), "is not laid out like CAER"),
        (folder("unknown", &["train/Contempt/1.avi"]), "unknown emotion `Contempt`"),
    ] {
        let text = stderr_of(&mut build(&root, &out), 1);
        assert!(text.contains(said), "{text}");
        assert_eq!(text.trim().lines().count(), 1, "{text}");
        assert!(!out.exists());
    }
    for (key, value) in [("--balance", "even"), ("--segment-seconds", "0"), ("--shard", "3/2")] {
        stderr_of(build(&folder("empty", &[]), &out).args([key, value]), 2);
    }
    let text = stderr_of(
        ncaers().args(["build", "--seed", "1", "--detector", "x", "--corpus", ".", "--out", "."]),
        2,
    );
    assert!(text.contains("unknown detector `x`"), "{text}");
}

#[test]
fn class_folders_alone_are_split_by_us() {
    let dir = tempfile::tempdir().expect("temp dir");
    let root = dir.path().join("corpus");
    for scene in 0..6 {
        write(&root.join(format!("Anger/{scene}.avi")), &small(), 20, scene);
        write(&root.join(format!("Happiness/{scene}.avi")), &small(), 20, scene + 6);
    }
    let out = dir.path().join("out");
    build(&root, &out).args(["--split", "50/25/25", "--balance", "none"]).assert().success();
    ncaers().arg("verify").arg(&out).assert().success();
    let manifest = Manifest::read(&out).expect("reads");
    let of = |split| manifest.samples.iter().filter(|s| s.split == split).count();
    let counts = Split::ALL.map(of);
    assert_eq!(counts.iter().sum::<usize>(), 12);
    assert!(counts.iter().all(|n| *n >= 2), "{counts:?}");
}

#[test]
fn a_dry_run_says_what_would_be_done() {
    let dir = tempfile::tempdir().expect("temp dir");
    let root = dir.path().join("corpus");
    write(&root.join("train/Anger/a.avi"), &small(), 10, 1);
    let out = dir.path().join("out");
    let said = build(&root, &out).args(["--dry-run", "--json"]).assert().success();
    let json: serde_json::Value =
        serde_json::from_slice(&said.get_output().stdout).expect("one JSON object");
    assert_eq!((&json["clips"], &json["state"]), (&1.into(), &"Empty".into()));
    assert!(!out.exists());
}
