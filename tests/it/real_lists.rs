//! Lists and stills as people have them: other separators and orders of labels, one picture twice,
//! pictures that stand on their side or end early, boxes of another data set, clips by a list.
use std::{fs, path::Path};

use image::{Rgb, RgbImage};
use ncaers::{
    internals::{
        media::image::{encode_jpeg, encode_png, load_rgb},
        seed::Draws,
    },
    manifest::Manifest,
    record::{Emotion, LedgerKind},
};

use crate::common::{
    builds::{small, stderr_of},
    clips::{burned_index, write},
    ncaers,
};

/// A picture of rectangles that no other seed's resembles, its top left corner red.
fn picture(seed: u64) -> RgbImage {
    let mut draws = Draws::new(seed, "picture", "");
    let mut image = RgbImage::from_pixel(120, 88, Rgb([90; 3]));
    for _ in 0..30 {
        let (x, y) = (draws.below(100) as u32, draws.below(70) as u32);
        let colour = Rgb([draws.below(120) as u8, draws.below(256) as u8, draws.below(256) as u8]);
        let (w, h) = (10 + draws.below(30) as u32, 10 + draws.below(30) as u32);
        for (dx, dy) in (0..w * h).map(|i| (i % w, i / w)) {
            if x + dx < 120 && y + dy < 88 {
                image.put_pixel(x + dx, y + dy, colour);
            }
        }
    }
    for (x, y) in (0..24 * 16).map(|i| (i % 24, i / 24)) {
        image.put_pixel(x, y, Rgb([235, 10, 10]));
    }
    image
}

fn put(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
    fs::write(path, bytes).expect("writable");
}

fn import(layout: &str, root: &Path, out: &Path) -> assert_cmd::Command {
    let mut command = ncaers();
    command.args(["import", "--layout", layout, "--on-leak", "keep", "--root"]).arg(root);
    command.arg("--out").arg(out);
    command
}

fn read(folder: &Path) -> Manifest {
    ncaers().arg("verify").arg(folder).assert().success();
    Manifest::read(folder).expect("reads")
}

/// A folder with seven pictures and this list.
fn listed(list: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("temp dir");
    for k in 0..7 {
        put(&dir.path().join(format!("p{k}.png")), &encode_png(&picture(k)).expect("encodes"));
    }
    put(&dir.path().join("list.csv"), list.as_bytes());
    dir
}

fn rows(of: impl Fn(usize) -> String) -> String {
    (0..7).map(|k| format!("p{k}.png,{},train\n", of(k))).collect()
}

#[test]
fn numbers_are_read_in_our_order_only_aloud_or_as_a_file_says() {
    let dir = listed(&format!("Path,Label,Split\n{}", rows(|k| k.to_string())));
    let (list, out) = (dir.path().join("list.csv"), dir.path().join("out"));
    let said = stderr_of(&mut import("csv", &list, &out), 0);
    assert!(said.contains("7 labels of the list are numbers, read as 0 = Anger"), "{said}");
    let labels = |folder: &Path| -> Vec<Emotion> {
        let manifest = read(folder);
        (0..7)
            .map(|k| {
                let clip = format!("p{k}");
                let own = manifest.clips.iter().find(|c| c.path.starts_with(&clip));
                own.expect("a row").emotion
            })
            .collect()
    };
    assert_eq!(labels(&out), Emotion::ALL);
    put(
        &dir.path().join("fer.txt"),
        b"0 Angry\n1 Disgust\n2 Fear\n3 Happy\n4 Sad\n5 Surprise\n6 -\n",
    );
    let other = dir.path().join("other");
    let mut command = import("csv", &list, &other);
    let said = stderr_of(command.arg("--labels").arg(dir.path().join("fer.txt")), 0);
    assert!(said.contains("label `4` was read as Sad"), "{said}");
    let manifest = read(&other);
    let of = |path: &str| manifest.clips.iter().find(|c| c.path == path).map(|c| c.emotion);
    assert_eq!((of("p4.png"), of("p5.png")), (Some(Emotion::Sad), Some(Emotion::Surprise)));
    let left: Vec<_> = manifest.ledger.iter().map(|e| (e.kind, &*e.id, &*e.reason)).collect();
    assert_eq!(left, [(LedgerKind::File, "p6.png", "label_left_out")]);
    let card = fs::read_to_string(other.join("README.md")).expect("card");
    assert!(card.contains("label `4` was read as Sad"), "{card}");
}

#[test]
fn a_picture_with_two_labels_or_two_persons_is_no_sample() {
    let names = |k: usize| Emotion::ALL[k].name().to_owned();
    let text =
        format!("path,label,split\n{}p0.png,Happy,train\n./p1.png,Disgust,train\n", rows(names));
    let dir = listed(&text);
    let out = dir.path().join("out");
    import("csv", &dir.path().join("list.csv"), &out).assert().success();
    let manifest = read(&out);
    assert_eq!(manifest.samples.len(), 6);
    let left: Vec<_> = manifest.ledger.iter().map(|e| &*e.reason).collect();
    assert_eq!(left, ["two_labels", "listed_twice", "two_labels"]);
    let text = "path;label;person\np0.png;Anger;0\np0.png;Happy;1\np1.png;Sad;0\n";
    put(&dir.path().join("persons.csv"), text.as_bytes());
    let other = dir.path().join("other");
    import("csv", &dir.path().join("persons.csv"), &other).assert().success();
    let reasons: Vec<_> = read(&other).ledger.iter().map(|e| e.reason.clone()).collect();
    assert_eq!(reasons, ["several_persons", "several_persons"]);
}

/// Absolute paths below a relative root are there; a list of which nothing is there is an error.
#[test]
fn a_list_that_gives_nothing_is_an_error() {
    let dir = listed("");
    let absolute: String =
        (0..7).map(|k| format!("{}/p{k}.png,Sad\n", dir.path().display())).collect();
    put(&dir.path().join("list.csv"), format!("path,label\n{absolute}").as_bytes());
    let mut command = ncaers();
    command.current_dir(dir.path()).args(["import", "--layout", "csv", "--on-leak", "keep"]);
    command.args(["--root", "list.csv", "--out", "out"]).assert().success();
    assert_eq!(read(&dir.path().join("out")).samples.len(), 7);
    put(&dir.path().join("gone.csv"), b"path,label\nx.png,Sad\n../y.png,Sad\n");
    let said =
        stderr_of(&mut import("csv", &dir.path().join("gone.csv"), &dir.path().join("none")), 1);
    assert!(said.contains("no sample is left of 2 clips"), "{said}");
    assert!(said.contains("outside_root 1") && said.contains("unreadable 1"), "{said}");
    assert!(dir.path().join("none/ledger.parquet").exists(), "it tells of each");
    put(&dir.path().join("semi.csv"), b"file;class\np0.png;Sad\n");
    let said =
        stderr_of(&mut import("csv", &dir.path().join("semi.csv"), &dir.path().join("semi")), 1);
    assert!(said.contains("begin the list with a line `path,label`"), "{said}");
}

#[test]
fn boxes_of_another_data_set_are_noticed() {
    let dir = listed(&format!("path,label,split\n{}", rows(|_| "Sad".into())));
    let list = dir.path().join("list.csv");
    let run = |boxes: &str, out: &str, code| {
        put(&dir.path().join("boxes.csv"), boxes.as_bytes());
        let mut command = import("csv", &list, &dir.path().join(out));
        stderr_of(
            command.args(["--boxes", &format!("ncaers={}/boxes.csv", dir.path().display())]),
            code,
        )
    };
    let said = run("path,x1,y1,x2,y2\nq1.png,1,2,30,40\n", "none", 1);
    assert!(said.contains("the boxes speak of none of the 7 pictures: they name `q1`"), "{said}");
    let said =
        run("path,x1,y1,x2,y2\nq1.png,1,2,30,40\nq2.png,1,2,30,40\np1.png,1,2,30,40\n", "few", 0);
    assert!(said.contains("the boxes speak of 3 pictures, of which only 1 are there"), "{said}");
    let said = run("path,x1,y1,x2,y2\np0.png,1,2,30,40\np1.png,1,2,30,40\n", "fit", 0);
    assert!(!said.contains("the boxes speak"), "{said}");
}

/// A JPEG or PNG with an EXIF block that states an orientation.
fn with_exif(bytes: &[u8], orientation: u8) -> Vec<u8> {
    let block = [
        b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".as_slice(),
        &[orientation, 0, 0],
        &[0; 4],
    ]
    .concat();
    if bytes.starts_with(b"\xff\xd8") {
        let content = [b"Exif\0\0", &*block].concat();
        let length = (content.len() as u16 + 2).to_be_bytes();
        return [&bytes[..2], b"\xff\xe1", &length, &content, &bytes[2..]].concat();
    }
    // Readers do not look at the check sum of this chunk.
    let chunk = [&(block.len() as u32).to_be_bytes()[..], b"eXIf", &block].concat();
    let sum = crc(&chunk[4..]).to_be_bytes();
    [&bytes[..33], &chunk, &sum, &bytes[33..]].concat()
}

/// PNG's check sum.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            if sum & 1 == 1 {
                0xedb8_8320 ^ (sum >> 1)
            } else {
                sum >> 1
            }
        })
    })
}

/// The stored picture that an orientation turns upright.
fn stored(upright: &RgbImage, orientation: u8) -> RgbImage {
    use image::imageops::{flip_horizontal, flip_vertical, rotate180, rotate270, rotate90};
    match orientation {
        2 => flip_horizontal(upright),
        3 => rotate180(upright),
        4 => flip_vertical(upright),
        5 => flip_horizontal(&rotate90(upright)),
        6 => rotate270(upright),
        7 => flip_horizontal(&rotate270(upright)),
        8 => rotate90(upright),
        _ => upright.clone(),
    }
}

#[test]
fn stills_stand_upright_for_everybody() {
    let dir = tempfile::tempdir().expect("temp dir");
    let root = dir.path().join("stills");
    let upright = picture(1);
    for orientation in 1..=8 {
        let image = stored(&upright, orientation);
        let png = with_exif(&encode_png(&image).expect("encodes"), orientation);
        let jpeg = with_exif(&encode_jpeg(&image, 95).expect("encodes"), orientation);
        put(&root.join(format!("train/Anger/{orientation}.png")), &png);
        put(&root.join(format!("test/Anger/{orientation}.jpg")), &jpeg);
    }
    let out = dir.path().join("out");
    import("caer-s", &root, &out).assert().success();
    let manifest = read(&out);
    assert_eq!(manifest.samples.len(), 16);
    for (sample, clip) in manifest.samples.iter().zip(&manifest.clips) {
        let id = &sample.sample_id;
        let orientation: u8 = id.rsplit('/').next().and_then(|s| s.parse().ok()).expect("a number");
        assert_eq!((sample.width, sample.height), (120, 88), "{id}");
        assert_eq!(clip.orientation, Some(orientation), "{id}");
        assert_eq!(clip.reason.is_some(), orientation > 1, "{id}: {:?}", clip.reason);
        // Also for readers that know nothing of EXIF.
        let bytes = fs::read(out.join(&sample.image_path)).expect("reads");
        let bare = image::load_from_memory(&bytes).expect("decodes").to_rgb8();
        assert_eq!(bare.dimensions(), (120, 88), "{id}");
        let far = bare.pixels().zip(upright.pixels()).filter(|(a, b)| a[0].abs_diff(b[0]) > 90);
        assert!(far.count() < 120 * 88 / 20, "{id} does not stand upright");
        assert_eq!(load_rgb(&out.join(&sample.image_path)).expect("loads"), bare, "{id}");
    }
    ncaers().arg("pack").arg(&out).arg("--out").arg(dir.path().join("pack")).assert().success();
}

#[test]
fn stills_that_end_early_are_no_samples() {
    let dir = tempfile::tempdir().expect("temp dir");
    let root = dir.path().join("stills");
    let jpeg = encode_jpeg(&picture(2), 92).expect("encodes");
    let png = encode_png(&picture(2)).expect("encodes");
    for percent in [30, 60, 90, 99] {
        put(&root.join(format!("train/Anger/j{percent}.jpg")), &jpeg[..jpeg.len() * percent / 100]);
        put(&root.join(format!("train/Anger/p{percent}.png")), &png[..png.len() * percent / 100]);
    }
    put(&root.join("train/Anger/whole.jpg"), &jpeg);
    put(&root.join("train/Anger/unmarked.jpg"), &jpeg[..jpeg.len() - 2]);
    let out = dir.path().join("out");
    import("caer-s", &root, &out).assert().success();
    let manifest = read(&out);
    let kept: Vec<_> = manifest.samples.iter().map(|s| &*s.sample_id).collect();
    assert_eq!(kept, ["train/Anger/unmarked", "train/Anger/whole"]);
    let cut = manifest.ledger.iter().find(|e| e.id == "train/Anger/j60").expect("a row");
    assert_eq!(cut.reason, "undecodable");
    assert!(cut.detail.contains("the picture is not whole"), "{}", cut.detail);
}

/// A list of clips, parts of one file among them, with what must not cross splits.
#[test]
fn a_build_takes_its_clips_from_a_list() {
    let dir = tempfile::tempdir().expect("temp dir");
    for (name, frames, scene) in
        [("shows/a/1.avi", 100, 1), ("shows/a/2.avi", 50, 2), ("b.avi", 200, 3)]
    {
        write(&dir.path().join(name), &small(), frames, scene);
    }
    let text = "path;label;group;start_s;end_s\n\
                shows/a/1.avi;Angry;show a;;\n\
                shows/a/2.avi;Fear;show a;;\n\
                b.avi;Happy;show b;1;3\n\
                b.avi;Sad;show b;4;\n\
                b.avi;Fear;show b;90;91\n";
    put(&dir.path().join("clips.csv"), text.as_bytes());
    let out = dir.path().join("out");
    let mut command = ncaers();
    command.args([
        "build",
        "--detector",
        "none",
        "--seed",
        "5",
        "--balance",
        "none",
        "--image-format",
        "png",
    ]);
    command.arg("--list").arg(dir.path().join("clips.csv")).arg("--out").arg(&out);
    command.assert().success();
    let manifest = read(&out);
    let ids: Vec<_> = manifest.clips.iter().map(|c| &*c.clip_id).collect();
    let want = [
        "all/Anger/shows__a__1",
        "all/Fear/b@90-91",
        "all/Fear/shows__a__2",
        "all/Happy/b@1-3",
        "all/Sad/b@4-end",
    ];
    assert_eq!(ids, want);
    let part = |k: usize| (manifest.clips[k].first_frame, manifest.clips[k].end_frame);
    assert_eq!(
        [part(0), part(3), part(4)],
        [(None, None), (Some(25), Some(75)), (Some(100), Some(200))]
    );
    let behind = manifest.ledger.iter().find(|e| e.id == want[1]).expect("a row");
    assert!(behind.detail.contains("behind the end"), "{}", behind.detail);
    let of = |id: &str| manifest.samples.iter().filter(|s| s.clip_id == id).count();
    assert_eq!((of(want[3]), of(want[4])), (1, 2));
    for sample in &manifest.samples {
        let shown = load_rgb(&out.join(&sample.image_path)).expect("loads");
        assert_eq!(
            Some(u64::from(burned_index(&shown))),
            sample.frame_index,
            "{}",
            sample.sample_id
        );
    }
    let group = |k: usize| &*manifest.clips[k].group_id;
    assert_eq!((group(2), group(4)), (want[0], want[3]));
    let split = |id: &str| manifest.samples.iter().find(|s| s.clip_id == id).map(|s| s.split);
    assert_eq!((split(want[0]), split(want[3])), (split(want[2]), split(want[4])));
}

#[test]
fn groups_beside_a_corpus_keep_shows_in_one_split() {
    let dir = tempfile::tempdir().expect("temp dir");
    let root = dir.path().join("corpus");
    for (k, name) in ["train/Fear/1.avi", "test/Fear/1.avi", "test/Fear/2.avi"].iter().enumerate() {
        write(&root.join(name), &small(), 50, 1 + k as u32);
    }
    put(&dir.path().join("groups.csv"), b"path,group\ntrain/Fear/1.avi,x\ntest/Fear/1.avi,x\n");
    let out = dir.path().join("out");
    let run = |groups: &str, out: &Path, code| {
        let mut command = ncaers();
        command.args(["build", "--detector", "none", "--seed", "1", "--corpus"]).arg(&root);
        stderr_of(command.arg("--out").arg(out).arg("--groups").arg(dir.path().join(groups)), code)
    };
    let said = run("groups.csv", &out, 0);
    assert!(said.contains("1 of 3 clips have no group"), "{said}");
    let manifest = read(&out);
    let left: Vec<_> = manifest.ledger.iter().map(|e| (&*e.id, &*e.reason)).collect();
    assert!(left.contains(&("test/Fear/1", "leak")), "{left:?}");
    put(&dir.path().join("other.csv"), b"path,group\nnowhere,x\n");
    let said = run("other.csv", &dir.path().join("other"), 1);
    assert!(said.contains("none of its 1 lines speaks of a clip"), "{said}");
}
