//! `ncaers verify`: every broken promise is named, and the exit status is 1.
#[path = "common/clips.rs"]
mod clips;
mod common;

use std::{fs, path::Path};

use common::ncaers;
use ncaers::{
    manifest::Manifest,
    media::encode::ClipFormat,
    record::{FaceBox, Split},
};

/// A finished data set of four clips.
fn finished(root: &Path) -> std::path::PathBuf {
    let format = ClipFormat { width: 160, height: 96, ..ClipFormat::default() };
    for (i, name) in
        ["train/Anger/1", "train/Fear/1", "test/Anger/1", "test/Fear/1"].iter().enumerate()
    {
        clips::write(&root.join(format!("corpus/{name}.avi")), &format, 40, i as u32);
    }
    let out = root.join("out");
    let corpus = root.join("corpus");
    let mut build = ncaers();
    build.args(["build", "--seed", "1", "--detector", "none", "--corpus"]).arg(corpus);
    build.arg("--out").arg(&out).assert().success();
    out
}

fn complaints(folder: &Path) -> String {
    let out = ncaers().arg("verify").arg(folder).assert().code(1);
    String::from_utf8_lossy(&out.get_output().stderr).into_owned()
}

#[test]
fn every_broken_promise_is_named() {
    let dir = tempfile::tempdir().expect("temp dir");
    let out = finished(dir.path());
    ncaers().arg("verify").arg(&out).assert().success();
    let sound = Manifest::read(&out).expect("reads");
    let first = ncaers::media::image::load_rgb(&out.join(&sound.samples[0].image_path));
    let burned = clips::burned_index(&first.expect("loads"));
    assert_eq!(Some(u64::from(burned)), sound.samples[0].frame_index);
    let check = |said: &str, spoil: &dyn Fn(&mut Manifest)| {
        let mut broken = sound.clone();
        spoil(&mut broken);
        broken.write(&out).expect("write");
        let text = complaints(&out);
        assert!(text.contains(said), "wanted `{said}` in: {text}");
    };
    check("is in train, its clip in test", &|m| m.samples[0].split = Split::Train);
    check("are of one group", &|m| {
        let train = m.clips[2].group_id.clone();
        m.samples[0].group_id = train;
    });
    check("is not the drawn", &|m| {
        m.samples[0].frame_index =
            Some(0).filter(|_| m.samples[0].frame_index != Some(0)).or(Some(1))
    });
    check("leaves the 160x96 picture", &|m| {
        m.samples[0].face = Some(FaceBox { x1: 100, y1: 0, x2: 161, y2: 9, score: 1.0 });
    });
    check("a face without a detector", &|m| {
        m.samples[0].face = Some(FaceBox { x1: 1, y1: 0, x2: 16, y2: 9, score: 1.0 });
    });
    check("is neither used nor in the ledger", &|m| drop(m.samples.remove(0)));
    check("times kept or left out", &|m| drop(m.samples.remove(0)));
    check("does not come before", &|m| m.samples.swap(0, 1));
    check("has SHA-256", &|m| m.samples[0].image_sha256 = "00".into());
    check("leaves the folder", &|m| m.samples[0].image_path = "../x.jpg".into());
    check("input digest", &|m| m.clips[0].sha256 = Some("00".into()));
    check("group nobody is not its first clip", &|m| m.clips[0].group_id = "nobody".into());
    check("is in no row", &|m| m.samples[0].clip_id = "train/Anger/9".into());

    sound.write(&out).expect("write");
    ncaers().arg("verify").arg(&out).assert().success();
    let picture = out.join(&sound.samples[0].image_path);
    let bytes = fs::read(&picture).expect("read");
    fs::write(picture.with_file_name("stray.jpg"), &bytes).expect("write");
    assert!(complaints(&out).contains("no sample names it"));
    fs::remove_file(picture.with_file_name("stray.jpg")).expect("remove");
    fs::remove_file(&picture).expect("remove");
    assert!(complaints(&out).contains("cannot read"));
}

#[test]
fn what_is_no_manifest_is_one_line() {
    let dir = tempfile::tempdir().expect("temp dir");
    assert!(complaints(dir.path()).contains("cannot read"));
    fs::write(dir.path().join("samples.parquet"), "not Parquet").expect("write");
    let text = complaints(dir.path());
    assert!(text.contains("not a readable Parquet file"), "{text}");
    assert_eq!(text.trim().lines().count(), 1, "{text}");
}
