//! `ncaers verify`: every broken promise is named, and the exit status is 1.

use crate::common;
use crate::common::clips;
use std::{fs, path::Path};

use common::ncaers;
use ncaers::{
    internals::media::encode::ClipFormat,
    manifest::Manifest,
    record::{Clip, ClipStatus, Emotion, FaceBox, LedgerEntry, LedgerKind, Sample, Split},
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
    let first = ncaers::internals::media::image::load_rgb(&out.join(&sound.samples[0].image_path));
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

    // What a clip and its samples say of each other.
    check("by its clip and segment it is", &|m| m.samples[0].sample_id.push('0'));
    check("is Fear, its clip Anger", &|m| m.samples[0].emotion = Emotion::Fear);
    check("is in group", &|m| m.samples[0].group_id = "train/Fear/1".into());
    check("its clip is rejected", &|m| m.clips[0].status = ClipStatus::Rejected);
    check("is partial without a reason", &|m| m.clips[0].status = ClipStatus::Partial);
    // Faces.
    check("face score is no number", &|m| {
        m.samples[0].face = Some(FaceBox { x1: 1, y1: 0, x2: 16, y2: 9, score: f32::NAN });
    });
    check("face and face count disagree", &|m| m.samples[0].face_count = Some(2));
    check("detector is not the configured one", &|m| m.samples[0].detector = "eyes".into());
    // Splits.
    check("came in test, is in val, and the ledger says nothing", &|m| {
        m.clips[0].split = Split::Val;
    });
    check("and the ledger says that it was moved", &|m| {
        let id = m.clips[0].clip_id.clone();
        m.ledger.push(LedgerEntry {
            kind: LedgerKind::Split,
            id,
            reason: "x".into(),
            detail: "y".into(),
            partner_id: None,
        });
    });
    // The ledger against the tables.
    let entry = |kind, id: &str| LedgerEntry {
        kind,
        id: id.into(),
        reason: "x".into(),
        detail: "y".into(),
        partner_id: None,
    };
    check("is used and in the ledger", &|m| {
        let id = m.samples[0].clip_id.clone();
        m.ledger.push(entry(LedgerKind::Clip, &id));
    });
    check("ledger: clip train/Sad/9 is in no row", &|m| {
        m.ledger.push(entry(LedgerKind::Clip, "train/Sad/9"));
    });
    check("ledger: a clip is left out twice", &|m| {
        m.ledger.extend(
            ["a", "b"].map(|r| LedgerEntry {
                reason: r.into(),
                ..entry(LedgerKind::Clip, "train/Sad/9")
            }),
        );
    });
    check("ledger: rows are not in order", &|m| {
        m.ledger = ["b", "a"].map(|id| entry(LedgerKind::Clip, id)).into();
    });
    check("train/Sad/9/000: no segment of a clip", &|m| {
        m.ledger.push(entry(LedgerKind::Sample, "train/Sad/9/000"));
    });
    check("clips: train/Fear/1 does not come before train/Anger/1", &|m| {
        let order = |c: &Clip| (c.split, c.emotion != Emotion::Fear);
        m.clips.sort_by_key(order);
    });
    // Draws.
    check("is no cut of its clip", &|m| {
        m.samples[0].segment.as_mut().expect("a frame").end_frame += 1;
    });
    check("frame_ms", &|m| m.samples[0].frame_ms = Some(0.5));
    check("classes of 1 and 2 samples break ratio=1.7", &|m| {
        let double = Sample { sample_id: "test/Anger/1/001".into(), ..m.samples[0].clone() };
        m.samples.insert(1, double);
    });
    check("two rows name one picture", &|m| {
        m.samples[1].image_path = m.samples[0].image_path.clone();
    });
    check("is 160x96, not 160x97", &|m| m.samples[0].height = 97);

    sound.write(&out).expect("write");
    ncaers().arg("verify").arg(&out).assert().success();
    let picture = out.join(&sound.samples[0].image_path);
    let bytes = fs::read(&picture).expect("read");
    fs::write(picture.with_file_name("stray.jpg"), &bytes).expect("write");
    assert!(complaints(&out).contains("no sample names it"));
    fs::remove_file(picture.with_file_name("stray.jpg")).expect("remove");
    fs::remove_file(&picture).expect("remove");
    assert!(complaints(&out).contains("cannot read"));
    not_a_picture(&out, &sound, &picture);
}

/// Bytes that are as promised but no picture.
fn not_a_picture(out: &Path, sound: &Manifest, picture: &Path) {
    fs::write(picture, "text").expect("write");
    let mut renamed = sound.clone();
    renamed.samples[0].image_sha256 = ncaers::internals::digest::sha256_hex(b"text");
    renamed.write(out).expect("write");
    assert!(complaints(out).contains("is no picture"), "{}", complaints(out));
}

/// Where the configuration asks for a face, a sample without one is named.
#[test]
fn a_missing_face_is_named() {
    let dir = tempfile::tempdir().expect("temp dir");
    let out = finished(dir.path());
    let mut manifest = Manifest::read(&out).expect("reads");
    let configuration = manifest.meta.get_mut("configuration").expect("there");
    *configuration = configuration.replace("\"require_face\":false", "\"require_face\":true");
    manifest.write(&out).expect("write");
    assert!(complaints(&out).contains("has no face, and faces are required"));
}

#[test]
fn what_is_no_manifest_is_one_line() {
    let dir = tempfile::tempdir().expect("temp dir");
    assert!(complaints(dir.path()).contains("is not a manifest folder"));
    fs::write(dir.path().join("samples.parquet"), "not Parquet").expect("write");
    let text = complaints(dir.path());
    assert!(text.contains("not a readable Parquet file"), "{text}");
    assert_eq!(text.trim().lines().count(), 1, "{text}");
}

/// Ledgers with a few bytes changed (`just fuzz manifests` found them): on one polars' reader panics, of
/// the other it gives columns of two lengths.
#[test]
fn a_table_that_contradicts_itself_is_one_line() {
    let folder = tempfile::tempdir().expect("temp dir");
    for table in ["samples.parquet", "clips.parquet"] {
        fs::copy(Path::new("manifests/demo").join(table), folder.path().join(table)).expect("copy");
    }
    for name in ["contradicts-itself", "columns-of-two-lengths"] {
        let damaged = format!("tests/fixtures/parquet/{name}.parquet");
        fs::copy(&damaged, folder.path().join("ledger.parquet")).expect("copy");
        let said = complaints(folder.path());
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
        assert!(said.contains("ledger.parquet is not a readable Parquet file"), "{said}");
        // As a table of predictions it is no better.
        let out = ncaers().arg("evaluate").arg(&damaged).assert().code(1);
        let said = String::from_utf8_lossy(&out.get_output().stderr).into_owned();
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    }
}
