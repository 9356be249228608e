use std::os::unix::{ffi::OsStringExt, fs::symlink};

use super::*;

/// A folder with empty files of these names.
pub(super) fn tree(files: &[&str]) -> tempfile::TempDir {
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

fn strays(listing: &Listing) -> Vec<(&str, &str)> {
    listing.strays.iter().map(|s| (&*s.path, &*s.reason)).collect()
}

/// Folders below a class are read; a file of the same stem elsewhere is another clip, the same name
/// in another container in one folder is not.
#[test]
fn folders_below_a_class_are_part_of_the_identity() {
    let dir = tree(&[
        "train/Sad/0001.avi",
        "train/Sad/actor02/0001.avi",
        "train/Sad/actor02/0001.mp4",
        "train/Sad/actor02/take 3/0001.avi",
        "train/Sad/actor03/0001.avi",
        "train/Sad/actor03__0001.avi",
        "train/Sad/empty/notes.txt",
    ]);
    let listing = scan(dir.path()).expect("scans");
    let told: Vec<_> = listing.clips.iter().map(|c| (&*c.clip_id, c.refused.is_some())).collect();
    assert_eq!(
        told,
        [
            ("train/Sad/0001", false),
            ("train/Sad/actor02__0001", false),
            ("train/Sad/actor02__0001.mp4", true),
            ("train/Sad/actor02__take 3__0001", false),
            ("train/Sad/actor03__0001", false),
            ("train/Sad/actor03__0001+", false),
        ]
    );
    assert_eq!(strays(&listing), [("train/Sad/empty/notes.txt", "not_a_clip")]);
}

#[test]
fn containers_are_known_by_content_whatever_their_names() {
    let dir = tree(&["Fear/a.FLV", "Fear/b.m2ts", "Fear/page.txt", "Fear/none.xyz"]);
    let put = |name: &str, head: &[u8]| {
        fs::write(dir.path().join("Fear").join(name), head).expect("write");
    };
    put("noext", b"RIFF\0\0\0\0AVI LIST");
    put("clip.dat", b"\0\0\x01\xba\x44");
    put("clip.txt", b"\x1a\x45\xdf\xa3");
    put("poster.jpg", b"\xff\xd8\xff\xe0");
    put("moving", b"GIF89a");
    let listing = scan(dir.path()).expect("scans");
    let shown: Vec<_> = listing.clips.iter().map(|c| &*c.shown).collect();
    let found = ["Fear/a.FLV", "Fear/b.m2ts", "Fear/clip.dat", "Fear/clip.txt", "Fear/noext"];
    assert_eq!(shown, found);
    assert!(listing.clips[3].refused.is_some(), "of two with one stem the later is told");
    let told: Vec<_> = listing.strays.iter().map(|s| (&*s.path, &*s.detail)).collect();
    let other = |name: &'static str, detail: &'static str| (name, detail);
    assert_eq!(
        told,
        [
            other("Fear/moving", "a GIF picture"),
            other("Fear/none.xyz", "an empty file"),
            other("Fear/page.txt", "an empty file"),
            other("Fear/poster.jpg", "a JPEG picture"),
        ]
    );
}

/// Every file is a clip, a stray or litter.
#[test]
fn nothing_vanishes() {
    let files = [
        "README",
        "train/list.txt",
        "train/0009.avi",
        "train/Anger/0001.avi",
        "train/Anger/.DS_Store",
        "train/Anger/._0001.avi",
        "train/Anger/.hidden.avi",
        "train/Anger/a/b/c/0002.mkv",
        "train/Anger/@eaDir/0001.avi/thumb.jpg",
        "notes/one.txt",
        "notes/two/three.txt",
        "lost+found/x",
        "Thumbs.db",
        "test/Sad/0001.ogv",
        "train/notes/x.txt",
    ];
    let dir = tree(&files);
    let listing = scan(dir.path()).expect("scans");
    assert_eq!(ids(&dir), ["test/Sad/0001", "train/Anger/0001", "train/Anger/a__b__c__0002"]);
    assert_eq!(
        strays(&listing),
        [
            ("README", "not_a_clip"),
            ("notes", "not_a_clip"),
            ("train/0009.avi", "misplaced"),
            ("train/Anger/.hidden.avi", "not_a_clip"),
            ("train/list.txt", "not_a_clip"),
            ("train/notes", "not_a_clip"),
        ]
    );
    assert_eq!(listing.strays[1].detail, "a folder of 2 files, none of them a clip");
    assert_eq!(listing.litter, 5, "two in the class, its folder, one more folder, one file");
}

#[test]
fn folders_with_clips_that_nobody_reads_are_refused_by_name() {
    for (files, name) in [
        (["train/Anger/1.avi", "holdout/Anger/2.avi"], "holdout holds clips and is no split"),
        (["train/Anger/1.avi", "train/Anger2/deep/2.avi"], "unknown emotion `Anger2`"),
        (["Anger/1.avi", "rest/deep/2.avi"], "unknown emotion `rest`"),
        (["CAER/train/Anger/1.avi", "more/2.avi"], "more holds clips beside `CAER`"),
    ] {
        let dir = tree(&files);
        assert!(error(&dir).contains(name), "{}", error(&dir));
    }
    let dir = tree(&["train/Anger/1.avi", "dev/Anger/2.avi", "testing/Anger/3.avi"]);
    assert_eq!(ids(&dir), ["test/Anger/3", "train/Anger/1", "val/Anger/2"]);
}

#[test]
fn links_that_lead_round_in_a_circle_end() {
    let dir = tree(&["train/Anger/a/1.avi", "elsewhere/2.txt"]);
    symlink("..", dir.path().join("train/Anger/a/up")).expect("link");
    let other = tree(&["3.avi"]);
    symlink(other.path(), dir.path().join("train/Anger/b")).expect("link");
    let listing = scan(dir.path()).expect("scans");
    assert_eq!(ids(&dir), ["train/Anger/a__1", "train/Anger/b__3"]);
    assert_eq!(
        strays(&listing),
        [("elsewhere", "not_a_clip"), ("train/Anger/a/up", "not_entered")]
    );
}

#[test]
fn stills_are_found_like_clips() {
    let dir = tree(&[
        "train/Anger/clip7/0001.png",
        "train/Anger/0001.JFIF",
        "train/Anger/0002.tga",
        "train/Anger/list.txt",
        "test/Anger/0001.ppm",
        "@eaDir/x",
    ]);
    fs::write(dir.path().join("test/Anger/0002"), b"\x89PNG\r\n\x1a\n").expect("write");
    fs::write(dir.path().join("test/Anger/0003"), b"FLV\x01").expect("write");
    let listing = scan_stills("caer-s", dir.path(), &Choices::default()).expect("scans");
    let ids: Vec<_> = listing.clips.iter().map(|c| &*c.clip_id).collect();
    let found = ["0001", "0002"].map(|stem| format!("test/Anger/{stem}"));
    assert_eq!(ids[..2], found.each_ref().map(|id| &**id));
    assert_eq!(ids[2..], ["train/Anger/0001", "train/Anger/0002", "train/Anger/clip7__0001"]);
    let strange = [("test/Anger/0003", "not_a_picture"), ("train/Anger/list.txt", "not_a_picture")];
    assert_eq!((strays(&listing), listing.litter), (strange.to_vec(), 1));
}
