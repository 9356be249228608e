//! Faces that were found once go out as a list and come back: `export --layout boxes`, then
//! `build --detector boxes=FILE`.

use crate::common;
use std::{collections::BTreeSet, fs, path::Path};

use common::ncaers;
use ncaers::{
    manifest::Manifest,
    record::{FaceBox, Sample},
};

fn build(corpus: &Path, out: &Path, detector: &str) -> assert_cmd::assert::Assert {
    let mut command = ncaers();
    command.args(["build", "--seed", "3", "--balance", "none", "--detector", detector]);
    command.arg("--corpus").arg(corpus).arg("--out").arg(out).assert()
}

/// A sample but for the detector's name.
fn found(sample: &Sample) -> (String, Option<u64>, String, Option<FaceBox>) {
    (sample.sample_id.clone(), sample.frame_index, sample.image_sha256.clone(), sample.face)
}

fn read(folder: &Path) -> Manifest {
    ncaers().arg("verify").arg(folder).assert().success();
    Manifest::read(folder).expect("reads")
}

#[test]
fn boxes_of_a_build_make_the_same_build_again() {
    let dir = tempfile::tempdir().expect("temp dir");
    let [corpus, first, second, export] =
        ["corpus", "first", "second", "export"].map(|name| dir.path().join(name));
    let mut demo = ncaers();
    demo.args(["demo-corpus", "--clips-per-class", "1", "--seed", "4", "--out"]).arg(&corpus);
    demo.assert().success();
    build(&corpus, &first, "seeta").success();
    let mut command = ncaers();
    command.args(["export", "--layout", "boxes", "--manifest"]).arg(&first);
    command.arg("--out").arg(&export).assert().success();
    let list = export.join("boxes.csv");
    // What a list says of files elsewhere is never looked up.
    let mut text = fs::read_to_string(&list).expect("list");
    text.push_str("../../../etc/passwd,0,1,1,9,9,5\n/dev/zero,0,1,1,9,9,5\n");
    fs::write(&list, text).expect("write");
    let before: BTreeSet<_> = names(dir.path());
    build(&corpus, &second, &format!("boxes={}", list.display())).success();
    let (seeta, boxes) = (read(&first), read(&second));
    let with_face = seeta.samples.iter().filter(|s| s.face.is_some()).count();
    assert!(with_face >= 5, "{with_face} faces are no test");
    assert_eq!(
        seeta.samples.iter().map(found).collect::<Vec<_>>(),
        boxes.samples.iter().map(found).collect::<Vec<_>>()
    );
    assert!(
        boxes.samples.iter().all(|s| s.detector.starts_with("boxes(")),
        "{:?}",
        boxes.samples[0]
    );
    let new: Vec<_> = names(dir.path()).difference(&before).cloned().collect();
    assert_eq!(new, ["second"], "nothing but the output folder");
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).expect("list");
    entries.map(|e| e.expect("entry").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_list_that_is_none_stops_the_build_in_one_line() {
    let dir = tempfile::tempdir().expect("temp dir");
    let corpus = dir.path().join("corpus/Anger");
    fs::create_dir_all(&corpus).expect("folder");
    fs::write(corpus.join("a.avi"), "x").expect("write");
    let list = dir.path().join("boxes.csv");
    fs::write(&list, "path,frame,x1,y1,x2,y2\nAnger/a.avi,0,9,1,3,4\n").expect("write");
    let (root, out) = (dir.path().join("corpus"), dir.path().join("out"));
    for (list, says) in [(list, "line 2"), (dir.path().join("absent.csv"), "cannot read")] {
        let run = build(&root, &out, &format!("boxes={}", list.display())).failure();
        let text = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
        assert!(text.contains(says) && text.trim().lines().count() == 1, "{text}");
        assert!(!out.exists());
    }
}
