use std::os::unix::{ffi::OsStringExt, fs::symlink};

use super::*;

/// A folder with empty files of these names.
fn tree(files: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("temp dir");
    for file in files {
        put(dir.path(), Path::new(file));
    }
    dir
}

fn put(root: &Path, file: &Path) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().expect("has a folder")).expect("folder");
    fs::write(path, "").expect("file");
}

fn ids(dir: &tempfile::TempDir) -> Vec<String> {
    scan(dir.path()).expect("scans").clips.into_iter().map(|c| c.clip_id).collect()
}

fn error(dir: &tempfile::TempDir) -> String {
    format!("{:#}", scan(dir.path()).expect_err("must be refused"))
}

#[test]
fn every_variant_of_the_layout_gives_the_same_names() {
    let want = ["test/Happy/0002", "train/Anger/0001", "val/Sad/0001"];
    for files in [
        ["train/Anger/0001.avi", "validation/Sad/0001.avi", "test/Happy/0002.avi"],
        ["Train/angry/0001.AVI", "val/Sadness/0001.mp4", "TEST/Happiness/0002.mkv"],
        [
            "CAER/CAER/train/Anger/0001.avi",
            "CAER/CAER/validation/Sad/0001.mov",
            "CAER/CAER/test/Happy/0002.webm",
        ],
    ] {
        let dir = tree(&files);
        put(dir.path(), Path::new("train.txt"));
        put(dir.path(), Path::new(".DS_Store"));
        assert_eq!(ids(&dir), want, "{files:?}");
    }
}

#[test]
fn class_folders_alone_have_no_split() {
    let dir = tree(&["Anger/0001.avi", "surprise/0001.avi", "Anger/notes.txt"]);
    let listing = scan(dir.path()).expect("scans");
    assert!(!listing.has_split);
    assert_eq!(ids(&dir), ["all/Anger/0001", "all/Surprise/0001"]);
}

#[test]
fn the_same_stem_twice_keeps_the_first_by_name() {
    let dir = tree(&[
        "train/Anger/0001.mp4",
        "train/Anger/0001.avi",
        "train/Angry/0001.avi",
        "train/Fear/0001.avi",
    ]);
    let listing = scan(dir.path()).expect("scans");
    let refused: Vec<_> = listing
        .clips
        .iter()
        .filter_map(|c| Some((&*c.clip_id, &*c.shown, c.refused.as_ref()?.partner.as_deref()?)))
        .collect();
    assert_eq!(
        refused,
        [
            ("train/Anger/0001.avi", "train/Angry/0001.avi", "train/Anger/0001"),
            ("train/Anger/0001.mp4", "train/Anger/0001.mp4", "train/Anger/0001"),
        ]
    );
}

#[test]
fn odd_names_stay_apart_and_readable() {
    let dir =
        tree(&["train/Anger/-rf %d 'x\".avi", "train/Anger/a\nb.avi", "train/Anger/\\xFF.avi"]);
    put(dir.path(), &Path::new("train/Anger").join(OsString::from_vec(b"\xff.avi".to_vec())));
    assert_eq!(
        ids(&dir),
        [
            "train/Anger/-rf %d 'x\"",
            "train/Anger/\\x5CxFF",
            "train/Anger/\\xFF",
            "train/Anger/a\\x0Ab"
        ]
    );
}

#[test]
fn what_is_no_file_is_refused_with_the_reason() {
    let dir = tree(&["train/Anger/ok.avi", "train/Anger/folder.avi/x.txt"]);
    let class = dir.path().join("train/Anger");
    symlink("nowhere", class.join("dangling.avi")).expect("link");
    symlink("loop.avi", class.join("loop.avi")).expect("link");
    symlink("ok.avi", class.join("good-link.avi")).expect("link");
    let fifo = std::process::Command::new("mkfifo").arg(class.join("pipe.avi")).status();
    assert!(fifo.expect("mkfifo runs").success());
    let listing = scan(dir.path()).expect("scans");
    let codes: Vec<_> = listing
        .clips
        .iter()
        .map(|c| (c.clip_id.rsplit('/').next().unwrap_or(""), c.refused.as_ref().map(|r| &*r.code)))
        .collect();
    assert_eq!(
        codes,
        [
            ("dangling", Some("unreadable")),
            ("folder", Some("not_a_file")),
            ("good-link", None),
            ("loop", Some("unreadable")),
            ("ok", None),
            ("pipe", Some("not_a_file")),
        ]
    );
}

#[test]
fn what_is_no_corpus_is_refused_in_one_line() {
    let empty = tree(&[]);
    assert!(error(&empty).contains("is empty"), "{}", error(&empty));
    let missing = scan(&empty.path().join("nothing")).expect_err("missing");
    assert!(format!("{missing:#}").starts_with("no corpus at"), "{missing:#}");
    let file = tree(&["file"]);
    let not_folder = scan(&file.path().join("file")).expect_err("a file");
    assert!(not_folder.to_string().contains("is not a folder"));
    let photos = tree(&["2019/a.jpg", "2020/b.jpg"]);
    assert!(error(&photos).contains("not laid out like CAER"), "{}", error(&photos));
    let unknown = tree(&["train/Anger/1.avi", "train/Contempt/1.avi"]);
    assert!(error(&unknown).contains("unknown emotion `Contempt`"), "{}", error(&unknown));
    let bare = tree(&["train/Anger/readme.txt"]);
    assert!(error(&bare).contains("no clip"), "{}", error(&bare));
}
