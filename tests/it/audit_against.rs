//! `ncaers audit` on manifests, of stills and of clips, alone and against each other.

use crate::common;
use crate::common::rooms;
use std::{fs, path::Path};

use common::ncaers;
use image::{imageops, RgbImage};
use ncaers::{
    internals::{
        seed::Draws,
        similarity::hash::{hash, luma, Thumbnail, SETTINGS},
    },
    manifest::{Manifest, Meta},
    record::{Clip, Sample},
};
use rooms::{column, json, room, save, shot, stderr};
use serde_json::Value;

/// A data set of one picture per clip.
#[derive(Default)]
struct Set {
    manifest: Manifest,
}

impl Set {
    fn hashed(settings: &str) -> Self {
        let meta = Meta::from([("signature_settings".into(), settings.into())]);
        Set { manifest: Manifest { meta, ..Manifest::default() } }
    }

    /// A still `id` (`split/Class/stem`).
    fn still(self, folder: &Path, id: &str, image: &RgbImage) -> Self {
        self.sample(folder, (id, id), image)
    }

    /// A sample of a clip.
    fn sample(mut self, folder: &Path, (id, clip_id): (&str, &str), image: &RgbImage) -> Self {
        save(folder, &format!("images/{id}.png"), image);
        let parts: Vec<&str> = id.split('/').collect();
        self.manifest.samples.push(Sample {
            sample_id: id.to_string(),
            split: parts[0].parse().unwrap(),
            emotion: parts[1].parse().unwrap(),
            clip_id: clip_id.to_string(),
            group_id: clip_id.to_string(),
            segment: None,
            frame_index: None,
            frame_ms: None,
            image_path: format!("images/{id}.png"),
            image_sha256: String::new(),
            width: image.width(),
            height: image.height(),
            face: None,
            face_count: None,
            detector: "none".into(),
            damage: Default::default(),
            draw: None,
        });
        self
    }

    /// A row of `clips.parquet`; stills have no `fps`.
    fn clip(mut self, id: &str, fps: Option<f64>, signature: &[u64]) -> Self {
        let parts: Vec<&str> = id.split('/').collect();
        self.manifest.clips.push(Clip {
            sha256: Some(format!("of {id}").into()),
            fps,
            signature: Some(signature.to_vec()),
            ..Clip::named(
                id.into(),
                format!("{id}.avi"),
                parts[0].parse().unwrap(),
                parts[1].parse().unwrap(),
            )
        });
        self
    }

    fn write(mut self, folder: &Path) {
        self.manifest.sort();
        self.manifest.write(folder).unwrap();
    }
}

/// A clip with a picture of room `n`.
fn with_clip(set: Set, folder: &Path, id: &str, n: u64, signature: &[u64]) -> Set {
    set.sample(folder, (&format!("{id}/000"), id), &room(n)).clip(id, Some(25.0), signature)
}

fn hash_of(image: &RgbImage) -> u64 {
    let (width, height) = (image.width() as usize, image.height() as usize);
    hash(&Thumbnail::of_pixels(&luma(image.as_raw()), width, height).unwrap())
}

fn signature(seed: u64) -> Vec<u64> {
    let mut draws = Draws::new(seed, "signature", "");
    (0..8).map(|_| draws.bits()).collect()
}

/// The copy of a clip that lost its first half second, with a bit turned everywhere.
fn trimmed(signature: &[u64]) -> Vec<u64> {
    signature[1..].iter().map(|hash| hash ^ 4).collect()
}

fn run(own: &Path, against: Option<&Path>, out: &Path) -> assert_cmd::assert::Assert {
    let mut command = ncaers();
    command.args(["--json", "audit", "--max-leak", "0.1", "--out"]).args([out, own]);
    if let Some(path) = against {
        command.arg("--against").arg(path);
    }
    command.assert()
}

#[test]
fn two_manifests_of_stills_are_held_against_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let [ours, theirs, old, out] = ["ours", "theirs", "old", "out"].map(|n| dir.path().join(n));
    let own = Set::hashed("a").still(&ours, "train/Fear/1", &shot(1, 0));
    own.still(&ours, "test/Fear/1", &shot(2, 0)).write(&ours);
    let flipped = imageops::flip_horizontal(&shot(2, 0));
    let other = Set::hashed("a").still(&theirs, "train/Happy/9", &flipped);
    other.still(&theirs, "test/Happy/9", &shot(3, 0)).write(&theirs);
    Set::hashed("b").still(&old, "train/Happy/9", &shot(2, 0)).write(&old);
    let refused = stderr(&run(&ours, Some(&old), &out).code(1));
    assert!(refused.contains("`a` and `b`") && refused.lines().count() == 1, "{refused}");
    assert!(!out.join("audit.json").exists());
    let summary = json(&run(&ours, Some(&theirs), &out).code(3));
    assert_eq!((&summary["worst_leak"], &summary["clips"]), (&Value::from(1.0), &Value::Null));
    let pairs = column(&out, "pairs.csv", &[0, 1, 2, 3, 5, 7, 8]);
    assert_eq!(pairs, ["own test test/Fear/1 other train train/Happy/9 true false true"]);
    assert_eq!(column(&out, "clean.csv", &[0, 2]), ["test/Fear/1 true"]);
}

#[test]
fn clips_of_two_manifests_are_aligned_even_where_no_picture_is_alike() {
    let dir = tempfile::tempdir().unwrap();
    let [ours, theirs, out] = ["ours", "theirs", "out"].map(|n| dir.path().join(n));
    let [a, b, c] = [1, 2, 3].map(signature);
    let own = with_clip(Set::hashed(SETTINGS), &ours, "train/Sad/a", 1, &a);
    let own = with_clip(own, &ours, "test/Sad/b", 2, &b);
    with_clip(own, &ours, "test/Fear/c", 3, &c).write(&ours);
    let other = with_clip(Set::hashed(SETTINGS), &theirs, "train/Happy/x", 4, &trimmed(&b));
    with_clip(other, &theirs, "test/Happy/y", 5, &trimmed(&a)).write(&theirs);
    let summary = json(&run(&ours, Some(&theirs), &out).code(3));
    assert_eq!(summary["worst_leak"], 1.0, "of the other test in the own train");
    let leaks = summary["clips"]["leaks"].as_array().unwrap();
    let share = |part: &str, within: &str| {
        let row = leaks.iter().find(|l| l["part"] == part && l["within"] == within);
        row.map(|row| row["near"]["value"].clone())
    };
    assert_eq!(share("own test", "other train"), Some(Value::from(0.5)));
    assert_eq!(share("own train", "other test"), Some(Value::from(1.0)));
    assert_eq!(share("other test", "own train"), Some(Value::from(1.0)));
    assert_eq!(share("own test", "other test"), Some(Value::from(0.0)));
    assert_eq!(share("own test", "own train"), None, "one manifest is another audit");
    let pairs = column(&out, "clip-pairs.csv", &[0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(
        pairs[0], "own test test/Sad/b other train train/Happy/x 1.0 false 0.5",
        "{pairs:?}"
    );
    // No picture is alike, but that of the copied clip is of a video in train.
    assert_eq!(summary["leaks"][0]["near"]["value"], 0.0);
    let clean = column(&out, "clean.csv", &[0, 2, 3]);
    assert_eq!(clean, ["test/Fear/c/000 false false", "test/Sad/b/000 false true"]);
    let page = fs::read_to_string(out.join("index.html")).unwrap();
    assert!(page.contains("1 of 2 clips of own test have a near-duplicate in other train"));
}

#[test]
fn clips_of_one_manifest_count_when_they_give_pictures() {
    let dir = tempfile::tempdir().unwrap();
    let [ours, out] = ["ours", "out"].map(|n| dir.path().join(n));
    let [a, b] = [1, 2].map(signature);
    let set = with_clip(Set::hashed(SETTINGS), &ours, "train/Sad/a", 1, &a);
    let set = with_clip(set, &ours, "train/Sad/b", 2, &b);
    let set = with_clip(set, &ours, "test/Sad/copy", 3, &trimmed(&a));
    // Left out by the build, as the ledger of a real one says.
    set.clip("test/Sad/removed", Some(25.0), &trimmed(&b)).write(&ours);
    let summary = json(&run(&ours, None, &out).code(3));
    let clips = &summary["clips"];
    assert_eq!((&clips["groups"], &clips["across_parts"]), (&Value::from(2), &Value::from(2)));
    assert_eq!(clips["clips"], serde_json::json!({"train": 2, "val": 0, "test": 1}));
    assert_eq!(
        (&clips["leaks"][0]["pairs"], &summary["worst_leak"]),
        (&Value::from(1), &Value::from(1.0))
    );
    assert_eq!(column(&out, "clip-pairs.csv", &[1, 3]), ["test/Sad/copy train/Sad/a"]);
    // Without a single picture the clips can still be compared.
    fs::remove_dir_all(ours.join("images")).unwrap();
    fs::remove_dir_all(&out).unwrap();
    let blind = json(&run(&ours, None, &out).code(3));
    assert_eq!((&blind["unreadable"], &blind["worst_leak"]), (&Value::from(3), &Value::from(1.0)));
    assert!(blind["notes"].to_string().contains("no picture of test can be read"));
}

#[test]
fn a_still_of_a_moment_of_a_clip_is_of_its_video() {
    let dir = tempfile::tempdir().unwrap();
    let [ours, bare, out] = ["ours", "bare", "out"].map(|n| dir.path().join(n));
    let mut moments = signature(1);
    moments[3] = hash_of(&shot(8, 4));
    with_clip(Set::hashed(SETTINGS), &ours, "train/Sad/a", 1, &moments).write(&ours);
    save(&bare, "test/Sad/0001.png", &imageops::flip_horizontal(&shot(8, 4)));
    save(&bare, "test/Sad/0002.png", &shot(9, 0));
    let mut command = ncaers();
    let audit = command.args(["--json", "audit", "--root"]).arg(&bare).arg("--against").arg(&ours);
    let summary = json(&audit.arg("--out").arg(&out).assert().success());
    let moments = column(&out, "moments.csv", &[0, 1, 2, 3, 4, 6]);
    assert_eq!(moments, ["own test test/Sad/0001 other train train/Sad/a 1.5 true"]);
    let leak = &summary["leaks"][0];
    assert_eq!(
        (&leak["near"]["value"], &leak["same_video"]["value"]),
        (&Value::from(0.0), &Value::from(0.5))
    );
    // Hashes of another kind cannot be held against pictures.
    Set::hashed("old").write(&ours);
    let refused = stderr(&run(&ours, Some(&bare), &out.join("2")).code(1));
    assert!(refused.contains("`old`") && refused.contains(SETTINGS), "{refused}");
}

#[test]
fn stills_whose_pictures_are_missing_are_compared_by_the_hash_that_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let [ours, out] = ["ours", "out"].map(|n| dir.path().join(n));
    let (train, test) = (shot(1, 0), shot(2, 0));
    let set = Set::hashed(SETTINGS).still(&ours, "train/Sad/1", &train);
    let set = set.clip("train/Sad/1", None, &[hash_of(&train)]);
    let set =
        set.still(&ours, "test/Sad/2", &train).clip("test/Sad/2", None, &[hash_of(&train) ^ 1]);
    let set = set.still(&ours, "test/Sad/3", &test).clip("test/Sad/3", None, &[hash_of(&test)]);
    set.write(&ours);
    fs::remove_file(ours.join("images/train/Sad/1.png")).unwrap();
    let summary = json(&run(&ours, None, &out).code(3));
    assert_eq!(
        (&summary["unreadable"], &summary["by_hash_alone"]),
        (&Value::from(1), &Value::from(1))
    );
    assert!(summary["notes"].to_string().contains("not verified"), "{}", summary["notes"]);
    assert_eq!(column(&out, "pairs.csv", &[1, 3, 8]), ["test/Sad/2 train/Sad/1 false"]);
    let page = fs::read_to_string(out.join("index.html")).unwrap();
    assert!(page.contains("by hash alone") && page.contains("The picture cannot be read."));
}

#[test]
fn hashes_of_another_kind_are_not_taken_for_our_own() {
    let dir = tempfile::tempdir().unwrap();
    let [ours, out] = ["ours", "out"].map(|n| dir.path().join(n));
    let picture = shot(1, 0);
    let set = Set::hashed("old").still(&ours, "train/Sad/1", &picture);
    let set = set.clip("train/Sad/1", None, &[hash_of(&picture)]);
    let set = set.still(&ours, "test/Sad/2", &picture).still(&ours, "test/Sad/3", &shot(2, 0));
    set.still(&ours, "train/Sad/4", &picture).write(&ours);
    fs::remove_file(ours.join("images/train/Sad/1.png")).unwrap();
    let summary = json(&run(&ours, None, &out).code(3));
    assert_eq!(
        (&summary["unreadable"], &summary["by_hash_alone"]),
        (&Value::from(1), &Value::from(0))
    );
    assert_eq!(column(&out, "pairs.csv", &[1, 3, 8]), ["test/Sad/2 train/Sad/4 true"]);
    let notes = summary["notes"].to_string();
    assert!(notes.contains("`old`") && notes.contains("not held against pictures"), "{notes}");
}
