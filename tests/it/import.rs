//! `ncaers import` and `ncaers export`: stills in, other tools' layouts out, and back.

use crate::common;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use common::ncaers;
use image::{Rgb, RgbImage};
use ncaers::{
    internals::{
        media::image::{encode_jpeg, encode_png},
        seed::Draws,
    },
    manifest::Manifest,
    record::{FaceBox, LedgerKind, Sample, Split},
};

/// A picture of rectangles that no other seed's resembles.
fn picture(seed: u64) -> RgbImage {
    let mut draws = Draws::new(seed, "picture", "");
    let mut image = RgbImage::from_pixel(120, 90, Rgb([90; 3]));
    for _ in 0..30 {
        let (x, y) = (draws.below(100) as u32, draws.below(70) as u32);
        let colour = Rgb([draws.below(256) as u8, draws.below(256) as u8, draws.below(256) as u8]);
        let (w, h) = (10 + draws.below(30) as u32, 10 + draws.below(30) as u32);
        for (dx, dy) in (0..w * h).map(|i| (i % w, i / w)) {
            if x + dx < 120 && y + dy < 90 {
                image.put_pixel(x + dx, y + dy, colour);
            }
        }
    }
    image
}

fn put(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
    fs::write(path, bytes).expect("writable");
}

/// A small CAER-S with a list of boxes.
fn caer_s(root: &Path) {
    let mut list = String::new();
    let classes = ["Anger", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise"];
    for (i, class) in (0..).zip(classes) {
        let class = if i == 0 { "Angry" } else { class };
        for (k, split) in (0..).zip(["train", "train", "test"]) {
            let image = picture(10 * i + k);
            let (bytes, ending) = match k {
                1 => (encode_jpeg(&image, 90).expect("encodes"), "jpg"),
                _ => (encode_png(&image).expect("encodes"), "png"),
            };
            let path = format!("{split}/{class}/{k:04}.{ending}");
            put(&root.join(&path), &bytes);
            if k < 2 {
                list.push_str(&format!("{path},{i},{},10,{},60\n", 5 + i, 55 + k));
            }
        }
    }
    fs::write(root.join("annotations.txt"), list).expect("writable");
}

fn import(layout: &str, root: &Path, more: &[&str], out: &Path) -> assert_cmd::assert::Assert {
    let mut command = ncaers();
    command.args(["import", "--layout", layout]).args(more).arg("--root").arg(root);
    command.arg("--out").arg(out).assert()
}

fn read(folder: &Path) -> Manifest {
    ncaers().arg("verify").arg(folder).assert().success();
    Manifest::read(folder).expect("reads")
}

fn told(error: assert_cmd::assert::Assert) -> String {
    String::from_utf8_lossy(&error.get_output().stderr).into_owned()
}

/// What a round trip keeps.
fn kept(sample: &Sample) -> impl PartialEq + std::fmt::Debug {
    let face = sample.face.map(|f| (f.x1, f.y1, f.x2, f.y2));
    let id = (sample.sample_id.clone(), sample.group_id.clone(), sample.image_sha256.clone());
    (id, sample.split, sample.emotion, face, sample.width, sample.height)
}

#[test]
fn every_layout_and_box_format_comes_back_as_it_went() {
    let dir = tempfile::tempdir().expect("temp dir");
    let (root, first) = (dir.path().join("CAER-S"), dir.path().join("m"));
    caer_s(&root);
    let boxes = format!("caers-annotation={}", root.join("annotations.txt").display());
    // What a carved validation part does to a round trip is another test's matter.
    import("caer-s", &root, &["--boxes", &boxes, "--val-share", "0"], &first).success();
    let m = read(&first);
    assert_eq!(m.samples.len(), 21);
    assert!(m.samples.iter().all(|s| s.segment.is_none() && s.frame_ms.is_none()));
    let anger = m.samples.iter().find(|s| s.sample_id == "train/Anger/0000").expect("there");
    let face = FaceBox { x1: 5, y1: 10, x2: 56, y2: 61, score: 1.0 };
    assert_eq!((anger.face, anger.face_count), (Some(face), Some(1)), "inclusive to half-open");
    assert_eq!(m.samples.iter().filter(|s| s.face.is_none()).count(), 7);
    let wanted: Vec<_> = m.samples.iter().map(kept).collect();
    for (layout, back, boxes) in [
        ("ncaer-s", "ncaer-s", ""),
        ("caer-s", "caer-s", "caers-annotation=E/annotations.txt"),
        ("caer-s", "caer-s", "caer-net-s=E"),
        ("coco", "csv", "coco=E/all.json"),
        ("imagefolder", "caer-s", ""),
    ] {
        let name = format!("{layout}-{}", boxes.split('=').next().unwrap_or_default());
        let (export, again) = (dir.path().join(&name), dir.path().join(format!("{name}-m")));
        let mut command = ncaers();
        command
            .args(["export", "--layout", layout, "--manifest"])
            .arg(&first)
            .arg("--out")
            .arg(&export);
        command.assert().success();
        if boxes == "caer-net-s=E" {
            fs::remove_file(export.join("annotations.txt")).expect("there");
        }
        let boxes = boxes.replace('E', &export.to_string_lossy());
        let mut more = if boxes.is_empty() { vec![] } else { vec!["--boxes", boxes.as_str()] };
        more.extend(["--val-share", "0"]);
        import(back, &export, &more, &again).success();
        let found: Vec<_> = read(&again).samples.iter().map(kept).collect();
        if layout == "imagefolder" {
            let ids =
                |m: &Manifest| m.samples.iter().map(|s| s.sample_id.clone()).collect::<Vec<_>>();
            assert_eq!(ids(&read(&again)), ids(&m));
        } else {
            assert_eq!(found, wanted, "{name}");
        }
    }
    let again = ["--boxes", &boxes, "--val-share", "0"];
    let again = import("caer-s", &root, &again, &first).success();
    assert!(String::from_utf8_lossy(&again.get_output().stdout).contains("already done"));
}

#[test]
fn pictures_without_a_split_get_a_seeded_one_that_keeps_groups() {
    let dir = tempfile::tempdir().expect("temp dir");
    let root = dir.path().join("pictures");
    let mut list = "path,label,group\n".to_owned();
    for i in 0..40u64 {
        let path = format!("{i}.png");
        put(&root.join(&path), &encode_png(&picture(1000 + i)).expect("encodes"));
        list.push_str(&format!("{path},{},g{}\n", i % 2, i / 2 % 10 * 2 + i % 2));
    }
    fs::write(root.join("samples.csv"), list).expect("writable");
    let made = |seed: &str, name: &str| {
        let out = dir.path().join(name);
        import("csv", &root, &["--seed", seed, "--split", "50/25/25"], &out).success();
        (read(&out), fs::read(out.join("samples.parquet")).expect("there"))
    };
    let ((m, bytes), (_, same), (_, other)) = (made("1", "a"), made("1", "b"), made("2", "c"));
    assert!(bytes == same && bytes != other);
    assert_eq!(m.samples.len(), 40);
    let mut splits = std::collections::BTreeMap::new();
    for s in &m.samples {
        assert_eq!(*splits.entry(&s.group_id).or_insert(s.split), s.split);
    }
    assert_eq!(splits.len(), 20, "twenty groups of two");
    for class in 0..2 {
        let train =
            m.samples.iter().filter(|s| s.emotion.label() == class && s.split.name() == "train");
        assert_eq!(train.count(), 10, "half of each class");
    }
}

/// A picture whose border is that of one scene and whose middle is another's.
fn scene(border: u64, middle: u64) -> RgbImage {
    let (mut image, other) = (picture(border), picture(middle));
    for (x, y) in (26..94).flat_map(|x| (28..90).map(move |y| (x, y))) {
        image.put_pixel(x, y, *other.get_pixel(x, y));
    }
    image
}

#[test]
fn a_validation_part_is_carved_out_of_train_without_tearing_a_run() {
    let dir = tempfile::tempdir().expect("temp dir");
    let root = dir.path().join("CAER-S");
    // Of each of two classes five scenes of four neighbouring stills, and three test stills.
    for (label, class) in (0..).zip(["Anger", "Sad"]) {
        for i in 0..20u64 {
            let image = scene(9000 + 100 * label + i / 4, 20_000 + 100 * label + i);
            let bytes = encode_png(&image).expect("encodes");
            put(&root.join(format!("train/{class}/{i:04}.png")), &bytes);
        }
        for i in 0..3u64 {
            let bytes = encode_png(&picture(30_000 + 10 * label + i)).expect("encodes");
            put(&root.join(format!("test/{class}/{i:04}.png")), &bytes);
        }
    }
    let made = |name: &str, more: &[&str]| {
        let out = dir.path().join(name);
        import("caer-s", &root, more, &out).success();
        (read(&out), out)
    };
    let (m, out) = made("m", &["--val-share", "20"]);
    let split_of = |id: &str| {
        m.samples.iter().find(|s| s.sample_id == id).unwrap_or_else(|| panic!("{id}")).split
    };
    let mut val = 0;
    for class in ["Anger", "Sad"] {
        for run in 0..5 {
            let splits: std::collections::BTreeSet<_> =
                (0..4).map(|k| split_of(&format!("train/{class}/{:04}", 4 * run + k))).collect();
            assert_eq!(splits.len(), 1, "{class}: run {run} is torn apart");
            val += usize::from(splits.contains(&Split::Val));
        }
    }
    assert_eq!(val, 2, "a fifth of each class: one run of five");
    let of = |m: &Manifest, split| m.samples.iter().filter(|s| s.split == split).count();
    assert_eq!([Split::Train, Split::Val, Split::Test].map(|s| of(&m, s)), [32, 8, 6]);
    let moved = m.ledger.iter().filter(|e| e.kind == LedgerKind::Split && e.reason == "validation");
    assert_eq!(moved.count(), 8);
    let card = fs::read_to_string(out.join("README.md")).expect("card");
    assert!(card.contains("validation part: 20 % of train"), "{card}");
    assert!(m.meta["configuration"].contains("\"val_share\":20"), "{}", m.meta["configuration"]);

    // The default, the seed, and nothing at all.
    let (default, _) = made("default", &[]);
    assert_eq!(of(&default, Split::Val), 8, "a tenth of 20 is 2, and the smallest run has 4");
    let (other, _) = made("other", &["--seed", "9"]);
    let ids = |m: &Manifest| -> Vec<String> {
        let val = m.samples.iter().filter(|s| s.split == Split::Val);
        val.map(|s| s.sample_id.clone()).collect()
    };
    assert_ne!(ids(&default), ids(&other));
    let (none, _) = made("none", &["--val-share", "0"]);
    assert_eq!((of(&none, Split::Train), of(&none, Split::Val)), (40, 0));
    assert_eq!(of(&none, Split::Test), of(&m, Split::Test));

    // What would be ignored is refused, and nothing is written.
    let refused = |more: &[&str]| {
        let out = dir.path().join("refused");
        let text = told(import("caer-s", &root, more, &out).code(1));
        assert!(!out.exists());
        text
    };
    assert!(refused(&["--split", "80/20/0"]).contains("--split would not be used"));
    put(&root.join("val/Sad/0000.png"), &encode_png(&picture(40_000)).expect("encodes"));
    assert!(refused(&["--val-share", "10"]).contains("--val-share would not be used"));
    let wrong = told(import("caer-s", &root, &["--val-share", "60"], &out).code(2));
    assert!(wrong.contains("0..=50"), "{wrong}");
}

#[test]
fn a_given_group_is_the_truth_whatever_pictures_look_like() {
    let dir = tempfile::tempdir().expect("temp dir");
    let root = dir.path().join("in");
    // One room, two clips: a picture and its like, in two splits.
    put(&root.join("a.png"), &encode_png(&picture(77)).expect("encodes"));
    put(&root.join("b.jpg"), &encode_jpeg(&picture(77), 90).expect("encodes"));
    put(&root.join("c.png"), &encode_png(&picture(78)).expect("encodes"));
    let made = |list: &str, name: &str| {
        put(&root.join("samples.csv"), list.as_bytes());
        let out = dir.path().join(name);
        import("csv", &root, &[], &out).success();
        read(&out)
    };
    let without = "path,label,split\na.png,0,train\nb.jpg,0,test\nc.png,0,test\n";
    let m = made(without, "without");
    assert_eq!(m.samples.len(), 2, "by likeness b is in train, so it leaves test");
    let given = "path,label,split,group\na.png,0,train,one\nb.jpg,0,test,two\nc.png,0,test,two\n";
    let m = made(given, "given");
    let groups: Vec<_> = m.samples.iter().map(|s| s.group_id.as_str()).collect();
    assert_eq!(groups, ["test/Anger/b", "test/Anger/b", "train/Anger/a"]);
}

#[test]
fn bad_pictures_are_rows_and_hostile_names_stay_inside() {
    let dir = tempfile::tempdir().expect("temp dir");
    let root = dir.path().join("in/root");
    let good = encode_png(&picture(1)).expect("encodes");
    put(&dir.path().join("in/secret.png"), &encode_png(&picture(2)).expect("encodes"));
    for name in ["ok.png", "-rf %d 'x\".png", "..png.png", "a,b.png"] {
        put(&root.join(name), &good);
    }
    put(&root.join("half.png"), &good[..good.len() / 2]);
    put(&root.join("empty.png"), b"");
    put(&root.join("page.jpg"), b"<html>");
    let rows =
        "ok.png,0,train\n-rf %d 'x\"\".png,0,train\n..png.png,0,train\n\"a,b.png\",0,train\n\
                half.png,0,train\nempty.png,0,train\npage.jpg,0,train\nmissing.png,0,train\n\
                ../secret.png,0,train\n/etc/passwd,0,train\nx/../../secret.png,0,train\n";
    let rows = rows.replace("\"\"", "\"");
    put(&root.join("samples.csv"), format!("path,label,split\n{rows}").as_bytes());
    let out = dir.path().join("out");
    import("csv", &root, &[], &out).success();
    let m = read(&out);
    assert_eq!(m.samples.len(), 4);
    let mut codes: Vec<_> = m.ledger.iter().map(|e| &*e.reason).collect();
    codes.sort_unstable();
    let wanted = [
        "empty_file",
        "not_a_picture",
        "outside_root",
        "outside_root",
        "outside_root",
        "undecodable",
        "unreadable",
    ];
    assert_eq!(codes, wanted);
    for layout in ["ncaer-s", "caer-s", "coco", "imagefolder", "boxes"] {
        let export = dir.path().join("exports").join(layout);
        let mut command = ncaers();
        command
            .args(["export", "--layout", layout, "--manifest"])
            .arg(&out)
            .arg("--out")
            .arg(&export);
        command.assert().success();
    }
    let mut hostile = m.clone();
    hostile.samples[0].sample_id = "train/Anger/../../../evil".into();
    hostile.samples[0].clip_id = "train/Anger/../../../evil".into();
    hostile.write(&out).expect("writable");
    let export = dir.path().join("exports/hostile");
    let mut command = ncaers();
    command
        .args(["export", "--layout", "ncaer-s", "--manifest"])
        .arg(&out)
        .arg("--out")
        .arg(&export);
    command.assert().success();
    hostile.samples[0].image_path = "../in/secret.png".into();
    hostile.write(&out).expect("writable");
    let mut command = ncaers();
    command.args(["export", "--layout", "caer-s", "--manifest"]).arg(&out);
    let refused = command.arg("--out").arg(dir.path().join("exports/second")).assert().code(1);
    assert!(told(refused).contains("leaves the folder"));
    let mut names: Vec<_> =
        fs::read_dir(dir.path()).expect("list").map(|e| e.expect("entry").file_name()).collect();
    names.sort();
    assert_eq!(names, ["exports", "in", "out"], "nothing beside the output folders");
}

#[test]
fn bad_box_lines_are_named_and_nothing_is_written() {
    let dir = tempfile::tempdir().expect("temp dir");
    let root = dir.path().join("CAER-S");
    caer_s(&root);
    let list = dir.path().join("list.txt");
    fs::write(&list, "train/Sad/0000.png,5,1,2,3,4\ntrain/Sad/0001.jpg,5,1,2\n").expect("writable");
    let out = dir.path().join("out");
    let boxes = format!("caers-annotation={}", list.display());
    let text = told(import("caer-s", &root, &["--boxes", &boxes], &out).code(1));
    assert!(text.contains("list.txt: line 2: "), "{text}");
    assert!(!out.exists());
    assert!(
        told(import("caer-s", &root, &["--boxes", "x=y"], &out).code(2)).contains("none of ncaers")
    );
    assert!(told(import("caer", &root, &[], &out).code(1)).contains("layout `caer` is none of"));
}

/// Stills that take a while to read.
fn many(root: &Path) {
    let (class, large) = (["Anger", "Fear"], 3);
    for i in 0..120u64 {
        let image = image::imageops::resize(
            &picture(500 + i),
            120 * large,
            90 * large,
            image::imageops::FilterType::Nearest,
        );
        let split = if i % 3 == 0 { "test" } else { "train" };
        let path = root.join(format!("{split}/{}/{i:04}.jpg", class[i as usize % 2]));
        put(&path, &encode_jpeg(&image, 90).expect("encodes"));
    }
}

/// Every file of a finished import but the record of how it ran.
fn promised(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(&at).expect("folder") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("build.json") && !path.ends_with(".lock") {
                let name = path.strip_prefix(folder).expect("below").to_owned();
                files.insert(name, fs::read(&path).expect("read"));
            }
        }
    }
    files
}

/// Starts an import on one thread and kills it when its journal has `after` lines.
fn killed(root: &Path, out: &Path, after: usize) {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_ncaers"))
        .args(["import", "--layout", "caer-s", "--root"])
        .arg(root)
        .arg("--out")
        .arg(out)
        .env("RAYON_NUM_THREADS", "1")
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("starts");
    let lines = || {
        fs::read(out.join("clips.jsonl"))
            .map_or(0, |text| text.iter().filter(|b| **b == b'\n').count())
    };
    let start = Instant::now();
    while !out.join("clips.jsonl").exists() || lines() < after {
        assert!(start.elapsed() < Duration::from_secs(120), "waited in vain");
        std::thread::yield_now();
    }
    child.kill().expect("SIGKILL");
    child.wait().expect("ended");
}

#[test]
fn killed_imports_continue_to_the_same_bytes() {
    let dir = tempfile::tempdir().expect("temp dir");
    let root = dir.path().join("CAER-S");
    many(&root);
    let whole = dir.path().join("whole");
    import("caer-s", &root, &[], &whole).success();
    assert_eq!(read(&whole).samples.len(), 120);
    let wanted = promised(&whole);
    for after in [0, 1, 40] {
        let out = dir.path().join(format!("killed-{after}"));
        killed(&root, &out, after);
        assert!(!out.join("finished").exists(), "killed too late");
        let journal = out.join("clips.jsonl");
        let mut text = fs::read(&journal).expect("journal");
        let done = text.iter().filter(|b| **b == b'\n').count();
        assert!(done >= after && done < 120, "{done} of 120");
        // Half a line, as a kill in the middle of a write leaves it.
        text.extend_from_slice(b"{\"clip_id\":\"train/A");
        fs::write(&journal, text).expect("write");
        import("caer-s", &root, &[], &out).success();
        assert!(promised(&out) == wanted, "killed after {after}");
    }
}

/// Our own list of boxes, whose paths are those of the stills.
#[test]
fn our_own_list_of_boxes_comes_back_with_its_scores() {
    let dir = tempfile::tempdir().expect("temp dir");
    let (root, first, second) =
        (dir.path().join("CAER-S"), dir.path().join("m"), dir.path().join("again"));
    caer_s(&root);
    let list = dir.path().join("boxes.csv");
    let rows = "path,x1,y1,x2,y2,score\ntrain/Sad/0000.png,3,4,50,60,1.25\n\
                train/Sad/0000.png,1,1,20,20,7.5\n../../etc/passwd,1,1,20,20,9\n\
                test/Fear/0002.png,100,70,140,95,2\n";
    fs::write(&list, rows).expect("writable");
    let boxes = format!("ncaers={}", list.display());
    import("caer-s", &root, &["--boxes", &boxes], &first).success();
    let face =
        |m: &Manifest, id: &str| m.samples.iter().find(|s| s.sample_id == id).expect(id).face;
    let m = read(&first);
    let best = FaceBox { x1: 1, y1: 1, x2: 20, y2: 20, score: 7.5 };
    let clipped = FaceBox { x1: 100, y1: 70, x2: 120, y2: 90, score: 2.0 };
    assert_eq!(face(&m, "train/Sad/0000"), Some(best));
    assert_eq!(face(&m, "test/Fear/0002"), Some(clipped));
    assert_eq!(m.samples.iter().filter(|s| s.face.is_some()).count(), 2);
    let export = dir.path().join("export");
    let mut command = ncaers();
    command.args(["export", "--layout", "boxes", "--manifest"]).arg(&first);
    command.arg("--out").arg(&export).assert().success();
    let boxes = format!("ncaers={}", export.join("boxes.csv").display());
    import("caer-s", &root, &["--boxes", &boxes], &second).success();
    let faces = |m: &Manifest| m.samples.iter().map(|s| s.face).collect::<Vec<_>>();
    assert_eq!(faces(&read(&second)), faces(&m));
}
