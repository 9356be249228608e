//! `ncaers audit`: planted leaks are found, what only looks like one is not, and bad input is told.

use crate::common;
use crate::common::planted;
use crate::common::rooms;
use std::{fs, path::Path};

use common::ncaers;
use image::{imageops, Rgb, RgbImage};
use ncaers::internals::{
    media::{
        encode::{write_clip, ClipFormat},
        image as picture,
    },
    similarity::{groups, hash, Member},
};
use planted::{changed, copy, hash_of, take, Kind, Take, KINDS};
use rooms::{column, json, room, save, shot, stderr};
use serde_json::Value;

fn audit(root: &Path, out: &Path, extra: &[&str]) -> assert_cmd::assert::Assert {
    ncaers()
        .args(["--json", "audit", "--root"])
        .args([root, Path::new("--out"), out])
        .args(extra)
        .assert()
}

/// Ten rooms in train; in test a copy of some, two unseen rooms and black.
fn corpus(root: &Path) {
    for n in 0..10 {
        save(root, &format!("CAER-S/train/Angry/{n:04}.png"), &shot(n, 0));
    }
    let copies = [
        ("0001", shot(0, 0)),
        ("0002", changed(&[shot(1, 0)], Kind::Brightness(0.9), 25.0).remove(0)),
        ("0003", changed(&[shot(2, 0)], Kind::Mirrored, 25.0).remove(0)),
        ("0004", imageops::resize(&shot(3, 0), 356, 200, imageops::FilterType::Triangle)),
        ("0005", picture::decode_rgb(&picture::encode_jpeg(&shot(4, 0), 40).unwrap()).unwrap()),
        ("0006", shot(20, 0)),
        ("0007", shot(21, 0)),
        ("0008", RgbImage::new(178, 100)),
    ];
    for (name, image) in copies {
        save(root, &format!("CAER-S/test/Anger/{name}.png"), &image);
    }
    save(root, "CAER-S/train/Fear/0001.png", &RgbImage::new(178, 100));
    fs::write(root.join("CAER-S/test/Anger/0009.png"), "no picture").unwrap();
    let same_stem = picture::encode_jpeg(&shot(20, 0), 95).unwrap();
    fs::write(root.join("CAER-S/test/Anger/0006.jpeg"), same_stem).unwrap();
    fs::write(root.join("CAER-S/test/Anger/list.txt"), "ignored").unwrap();
}

#[test]
fn planted_stills_are_found_and_unreadable_ones_listed() {
    let dir = tempfile::tempdir().unwrap();
    let (root, out) = (dir.path().join("root"), dir.path().join("out"));
    corpus(&root);
    let done = audit(&root, &out, &[]).success();
    let summary = json(&done);
    assert_eq!(summary["pictures"], serde_json::json!({"train": 11, "val": 0, "test": 8}));
    assert_eq!((&summary["unreadable"], &summary["plain"]), (&Value::from(2), &Value::from(1 + 1)));
    assert!(summary["notes"].to_string().contains("val is empty"), "{}", summary["notes"]);
    // Two black pictures are byte for byte the same, which is told even of plain ones.
    let leak = &summary["leaks"][0];
    assert_eq!((&leak["part"], &leak["within"]), (&Value::from("test"), &Value::from("train")));
    assert_eq!(leak["near"]["value"], 6.0 / 8.0);
    // Wilson's interval of 6 of 8, computed by hand: centre (6 + z^2/2) / (8 + z^2)
    assert!((leak["near"]["lo"].as_f64().unwrap() - 0.4093).abs() < 1e-4);
    assert!((leak["near"]["hi"].as_f64().unwrap() - 0.9285).abs() < 1e-4);
    assert_eq!(leak["classes"]["Fear"]["near"], Value::Null);
    let found = column(&out, "pairs.csv", &[1, 3, 5, 6]);
    let want = [
        "test/Anger/0001 train/Anger/0000 false true",
        "test/Anger/0002 train/Anger/0001 false false",
        "test/Anger/0003 train/Anger/0002 true false",
        "test/Anger/0004 train/Anger/0003 false false",
        "test/Anger/0005 train/Anger/0004 false false",
        "test/Anger/0008 train/Fear/0001 false true",
    ];
    let mut sorted = found.clone();
    sorted.sort();
    assert_eq!(sorted, want);
    let clean = column(&out, "clean.csv", &[0, 2]);
    assert_eq!(
        clean[5..8],
        ["test/Anger/0006 false", "test/Anger/0007 false", "test/Anger/0008 true"]
    );
    let listed = column(&out, "unreadable.csv", &[1, 2]).join("\n");
    assert!(listed.contains("test/Anger/0009 cannot decode"), "{listed}");
    assert!(listed.contains("test/Anger/0006 0006.png has the id of 0006.jpeg"), "{listed}");
    let page = fs::read_to_string(out.join("index.html")).unwrap();
    assert_eq!(page.matches("data:image/jpeg;base64,/9j/").count(), 12);
    assert!(!page.contains("http"));
}

#[test]
fn crops_are_found_unless_they_are_not_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (root, out) = (dir.path().join("root"), dir.path().join("out"));
    for n in 0..4 {
        save(&root, &format!("train/Sad/{n}.png"), &shot(n, 0));
    }
    for (n, share) in [(0, 0.05), (1, 0.1)] {
        let kind = if n == 0 { Kind::Cropped(share) } else { Kind::CroppedCorner(share) };
        let cropped = changed(&[shot(n, 0)], kind, 25.0).remove(0);
        save(&root, &format!("test/Sad/{n}.png"), &imageops::flip_horizontal(&cropped));
    }
    save(&root, "test/Sad/2.png", &shot(2, 7)); // somebody else in the room of train/Sad/2
    let summary = json(&audit(&root, &out, &["--max-leak", "0.5"]).code(3));
    assert_eq!(summary["leaks"][0]["near"]["value"], 2.0 / 3.0);
    let found = column(&out, "pairs.csv", &[1, 3, 5, 6, 7, 8]);
    let want = [0, 1].map(|n| format!("test/Sad/{n} train/Sad/{n} true false true true"));
    assert_eq!(
        {
            let mut sorted = found.clone();
            sorted.sort();
            sorted
        },
        want,
        "{found:?}"
    );
    // Outlines of either picture in the other, and what was done in words.
    let page = fs::read_to_string(out.join("index.html")).unwrap();
    assert_eq!(page.matches("background:none\"><polygon").count(), 4);
    assert!(page.contains("mirrored, scale 0.") && page.contains("% of the first in "));
    let plain = out.with_extension("plain");
    audit(&root, &plain, &["--max-leak", "0.1", "--no-crops"]).success();
    let page = fs::read_to_string(plain.join("index.html")).unwrap();
    assert!(page.contains("Altered copies (cropped and so on) were not looked for"));
}

#[test]
fn a_threshold_makes_the_exit_status() {
    let dir = tempfile::tempdir().unwrap();
    let (root, out) = (dir.path().join("root"), dir.path().join("out"));
    corpus(&root);
    let over = audit(&root, &out, &["--max-leak", "0.5"]).code(3);
    let first = fs::read(out.join("audit.json")).unwrap();
    // Again: the same answer from what is there, and another radius is another configuration.
    assert_eq!(json(&over), json(&audit(&root, &out, &["--max-leak", "0.5"]).code(3)));
    assert_eq!(json(&over), json(&audit(&root, &out, &["--max-leak", "0.8"]).success()));
    let again = audit(&root, &out, &["--max-leak", "0.8"]);
    assert!(!stderr(&again).contains("hashing"), "no pixel is read again: {}", stderr(&again));
    // Other bytes in one picture are another data set, also where they are no picture.
    let changed = root.join("CAER-S/test/Anger/0001.png");
    let before = fs::read(&changed).unwrap();
    for bytes in [&b"no picture"[..], &fs::read(root.join("CAER-S/test/Anger/0002.png")).unwrap()] {
        fs::write(&changed, bytes).unwrap();
        let refused = stderr(&audit(&root, &out, &[]).code(1));
        assert!(refused.contains("another configuration (pictures: "), "{refused}");
    }
    fs::write(&changed, before).unwrap();
    let refused = stderr(&audit(&root, &out, &["--radius", "2"]).code(1));
    assert!(refused.contains("radius: 10 -> 2"), "{refused}");
    fs::remove_dir_all(&out).unwrap();
    audit(&root, &out, &[]).success();
    assert_eq!(first, fs::read(out.join("audit.json")).unwrap());
    for wrong in [&["--max-leak", "1.5"][..], &["--radius", "13"], &["--manifest"]] {
        audit(&root, &out, wrong).code(2);
    }
    ncaers().args(["audit", "--out"]).arg(&out).assert().code(2);
}

#[test]
fn empty_and_strange_folders_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let (root, out) = (dir.path().join("root"), dir.path().join("out"));
    fs::create_dir_all(root.join("a")).unwrap();
    fs::create_dir_all(root.join("b")).unwrap();
    assert!(stderr(&audit(&root, &out, &[]).code(1)).contains("holds no train, val or test folder"));
    assert!(stderr(&audit(&root.join("none"), &out, &[]).code(1)).contains("cannot read folder"));
    fs::create_dir_all(root.join("train/Happy")).unwrap();
    assert!(stderr(&audit(&root, &out, &[]).code(1)).contains("no pictures in"));
    save(&root, "train/Happy/1.png", &shot(1, 1));
    let only = audit(&root, &out, &["--max-leak", "0"]).code(1);
    assert!(
        stderr(&only).contains("nothing to check: val is empty; test is empty"),
        "{}",
        stderr(&only)
    );
}

#[test]
fn pictures_that_nobody_looks_at_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    let (root, out) = (dir.path().join("root"), dir.path().join("out"));
    save(&root, "train/Sad/1.png", &shot(1, 1));
    for stray in ["train/Contempt/1.png", "train/2.png"] {
        save(&root, stray, &shot(2, 1));
    }
    // What lies deeper, has another ending or none is looked at.
    for (name, k) in [("take 2/3.png", 3), ("4.jfif", 4), ("5", 5)] {
        save(&root, "train/Sad/any.png", &shot(k, 1));
        let target = root.join("train/Sad").join(name);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::rename(root.join("train/Sad/any.png"), target).unwrap();
    }
    fs::create_dir_all(root.join("train/Sad/@eaDir")).unwrap();
    save(&root, "train/Sad/@eaDir/6.png", &shot(6, 1));
    fs::create_dir_all(root.join("test/Sad")).unwrap();
    fs::write(root.join("test/Sad/4.webp"), "of another format").unwrap();
    fs::write(root.join("test/Sad/5.png"), "broken").unwrap();
    fs::write(root.join("test/Sad/notes.txt"), "no picture").unwrap();
    let summary = json(&audit(&root, &out, &[]).success());
    assert_eq!(summary["unreadable"], 4);
    assert_eq!(summary["pictures"]["train"], 4, "{summary}");
    let mut listed = column(&out, "unreadable.csv", &[1, 2]);
    listed.sort();
    let want = [
        "test/Sad/4.webp is neither PNG nor JPEG; convert it",
        "test/Sad/5 cannot decode ",
        "train/2.png train/2.png is no folder of a class",
        "train/Contempt/1.png train/Contempt is no folder of a class",
    ];
    assert!(listed.iter().zip(want).all(|(got, want)| got.starts_with(want)), "{listed:?}");
    let notes = summary["notes"].to_string();
    assert!(notes.contains("test is empty: none of its 2 pictures can be read"), "{notes}");
    save(&root, "holdout/Sad/7.png", &shot(7, 1));
    let other = dir.path().join("other");
    assert!(stderr(&audit(&root, &other, &[]).code(1))
        .contains("holdout holds pictures and is no split"));
}

#[test]
fn neighbours_of_one_place_are_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let (root, out) = (dir.path().join("root"), dir.path().join("out"));
    // Numbers, not names, are the order: 1 2 3 | 9 10 11 12
    for (name, place) in [("1", 5), ("2", 5), ("3", 5), ("9", 6), ("10", 6), ("11", 6), ("12", 6)] {
        let moment = name.parse().unwrap();
        save(&root, &format!("train/Sad/{name}.png"), &shot(place, moment));
    }
    save(&root, "test/Sad/1.png", &shot(5, 2)); // the very picture of train/Sad/2
    save(&root, "test/Sad/2.png", &shot(5, 90)); // the same place at a moment that train lacks
    save(&root, "test/Sad/3.png", &shot(7, 0));
    let summary = json(&audit(&root, &out, &[]).success());
    let runs = column(&out, "runs.csv", &[2, 3, 4]);
    let want =
        ["test/Sad/1 test/Sad/2 2", "train/Sad/1 train/Sad/3 3", "train/Sad/9 train/Sad/12 4"];
    assert_eq!(runs, want);
    let leak = &summary["leaks"][0];
    assert_eq!(
        (&leak["near"]["value"], &leak["same_video"]["value"]),
        (&Value::from(1.0 / 3.0), &Value::from(2.0 / 3.0))
    );
    assert!(
        summary["runs"]["joined_at_random"]["value"].as_f64()
            < summary["runs"]["joined"]["value"].as_f64()
    );
}

/// Two seconds of somebody walking through a room, by less than their width in a quarter of a
/// second; the second walk is further back.
fn walking(folder: &Path, number: u64, walk: u64) -> Take {
    let frames = (0..24).map(|t| {
        let mut image = room(number);
        let phase = (walk * 5) as f64 + t as f64 * (0.04 + 0.02 * walk as f64);
        let x = (70.0 + 55.0 * phase.sin()) as u32;
        let (wide, top) = if walk == 0 { (44, 20) } else { (26, 55) };
        for (px, py) in (x..x + wide).flat_map(|px| (top..100).map(move |py| (px, py))) {
            image.put_pixel(px, py, Rgb([230, 200 - py as u8, 40]));
        }
        image
    });
    let name = format!("{number}-{walk}");
    let path = folder.join(format!("{name}.avi"));
    let format = ClipFormat { width: 178, height: 100, fps: (12, 1), ..ClipFormat::default() };
    write_clip(&path, &format, frames).unwrap();
    take(&path, &name, &number.to_string())
}

#[test]
fn copies_of_clips_join_and_other_takes_of_the_scene_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let takes: Vec<Take> = (0..3)
        .flat_map(|room| [0, 1].map(|walk| (room, walk)))
        .map(|(room, walk)| walking(dir.path(), room, walk))
        .collect();
    let mut clips: Vec<(String, Vec<u64>)> =
        takes.iter().map(|f| (format!("{} original", f.name), f.signature.clone())).collect();
    let exact = KINDS.iter().filter(|(f, _)| !f.starts_with("cropped") && !f.starts_with("logo"));
    for (n, (_, kind)) in exact.enumerate() {
        for take in &takes {
            let made = copy(take, *kind, &dir.path().join("copies")).unwrap();
            clips.push((format!("{} {n:02}", take.name), made.signature));
        }
    }
    let members: Vec<Member> = clips
        .iter()
        .map(|(id, signature)| Member {
            clip_id: id,
            sha256: None,
            signature: Some(signature),
            views: None,
        })
        .collect();
    let found = groups(&members, &|_| ()).expect("no views");
    for (i, (id, _)) in clips.iter().enumerate() {
        let group = found.group_id(&members, i);
        assert_eq!(group, format!("{} 00", &id[..3]), "{id}");
    }
    // A frame's hash is that of the same picture as a still: luma of the codec or of RGB.
    let still = hash_of(&takes[0].frames[12]);
    assert!(hash::distance(still, takes[0].signature[2]) <= 2);
    assert!(takes.iter().all(|f| f.frames.len() == 24 && f.fps == 12.0 && !f.scene.is_empty()));
}
