//! What goes wrong around a build: bad clips are rows, a full or closed disk is one line, and
//! nothing is written anywhere else.

use crate::common;
use crate::common::builds;
use crate::common::clips;
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{CString, OsStr},
    fs,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
};

use builds::{assert_same, build, corpus, small, stderr_of};
use clips::{burned_index, write};
use common::ncaers;
use ncaers::{
    internals::media::{encode::ClipFormat, image::load_rgb},
    manifest::Manifest,
    record::ClipStatus,
};

/// Every kind of bad clip is a row with its reason; the good one is used.
#[test]
fn bad_clips_are_rows() {
    let dir = tempfile::tempdir().expect("temp dir");
    let root = dir.path().join("corpus");
    let class = root.join("train/Anger");
    write(&class.join("good.avi"), &ClipFormat { tone_hz: Some(440.0), ..small() }, 30, 1);
    let good = fs::read(class.join("good.avi")).expect("read");
    fs::write(class.join("good.mp4"), &good).expect("write");
    fs::write(class.join("cut.avi"), &good[..good.len() * 2 / 3]).expect("write");
    fs::write(class.join("empty.avi"), "").expect("write");
    fs::write(class.join("page.avi"), "<html></html>").expect("write");
    fs::write(class.join("sound.avi"), silence()).expect("write");
    fs::create_dir(class.join("folder.avi")).expect("folder");
    std::os::unix::fs::symlink("nowhere", class.join("gone.avi")).expect("link");
    std::os::unix::fs::symlink("round.avi", class.join("round.avi")).expect("link");
    make_fifo(&class.join("pipe.avi"));
    write(&class.join("-%d it's \"odd\".avi"), &small(), 30, 2);
    write(&class.join(OsStr::from_bytes(b"caf\xe9.avi")), &small(), 30, 3);
    write(&class.join("closed.avi"), &small(), 30, 4);
    fs::set_permissions(class.join("closed.avi"), fs::Permissions::from_mode(0o000))
        .expect("rights");
    // Root reads whatever it likes.
    let rights_bind = fs::read(class.join("closed.avi")).is_err();
    let before = below(dir.path());
    let out = dir.path().join("out");
    build(&root, &out).args(["--on-leak", "keep"]).assert().success();
    ncaers().arg("verify").arg(&out).assert().success();
    let manifest = Manifest::read(&out).expect("reads");
    let reasons: BTreeMap<_, _> = manifest
        .ledger
        .iter()
        .map(|e| (e.id.rsplit('/').next().unwrap_or(""), &*e.reason))
        .collect();
    let mut want = BTreeMap::from([
        ("empty", "empty_file"),
        ("folder", "not_a_file"),
        ("gone", "unreadable"),
        ("good.mp4", "duplicate_name"),
        ("page", "unreadable"),
        ("pipe", "not_a_file"),
        ("round", "unreadable"),
        ("sound", "no_video"),
    ]);
    if rights_bind {
        want.insert("closed", "unreadable");
    }
    assert_eq!(reasons, want);
    let status: BTreeMap<_, _> = manifest
        .clips
        .iter()
        .map(|c| (c.clip_id.rsplit('/').next().unwrap_or(""), c.status))
        .collect();
    assert_eq!(status["cut"], ClipStatus::Partial);
    assert_eq!(status["-%d it's \"odd\""], ClipStatus::Ok);
    assert_eq!(status["caf\\xE9"], ClipStatus::Ok);
    assert_eq!(manifest.samples.len(), if rights_bind { 4 } else { 5 });
    for sample in &manifest.samples {
        let picture = load_rgb(&out.join(&sample.image_path)).expect("picture");
        assert_eq!(Some(u64::from(burned_index(&picture))), sample.frame_index, "{sample:?}");
    }
    let new: Vec<_> = below(dir.path()).difference(&before).cloned().collect();
    assert!(new.iter().all(|path| path.starts_with(&out)), "{new:?}");
}

/// Every path below `folder`, links not followed.
fn below(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).expect("list") {
        let path = entry.expect("entry").path();
        if !path.is_symlink() && path.is_dir() {
            found.extend(below(&path));
        }
        found.insert(path);
    }
    found
}

fn make_fifo(path: &Path) {
    let name = CString::new(path.as_os_str().as_bytes()).expect("no zero byte");
    // SAFETY: a path that ends in zero and a mode.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0, "{path:?}");
}

/// On a file system of a few hundred kilobytes of its own, which needs user or mount namespaces.
#[test]
fn a_full_disk_is_one_line_and_the_build_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().expect("temp dir");
    let root = dir.path().join("corpus");
    corpus(&root);
    let disk = dir.path().join("disk");
    fs::create_dir(&disk).expect("folder");
    let whole = dir.path().join("whole");
    build(&root, &whole).assert().success();
    let script = r#"
        mount -t tmpfs -o size=96k none "$1" || exit 77
        "$2" build --corpus "$3" --out "$1/out" --seed 5 --detector none --workers 1; echo "first $?" >&2
        find "$1" -name '*.parquet' >&2
        mount -o remount,size=64m "$1"
        "$2" build --corpus "$3" --out "$1/out" --seed 5 --detector none --workers 1 || exit 1
        cp -r "$1/out" "$4"
    "#;
    let copy = dir.path().join("copy");
    let output = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .args([disk.as_path(), Path::new(env!("CARGO_BIN_EXE_ncaers")), &root, &copy])
        .output();
    let skipped = match &output {
        Ok(output) => !output.stderr.windows(6).any(|w| w == b"first "),
        Err(_) => true,
    };
    if skipped {
        eprintln!("SKIPPED: this machine lets nobody mount a small disk: {output:?}");
        return;
    }
    let output = output.expect("ran");
    let text = String::from_utf8_lossy(&output.stderr);
    let first: Vec<_> = text.lines().take_while(|l| !l.starts_with("first ")).collect();
    assert!(text.contains("first 1"), "{text}");
    let errors: Vec<_> = first.iter().filter(|l| l.starts_with("error:")).collect();
    assert!(matches!(errors[..], [line] if line.contains("No space left")), "{text}");
    assert!(!text.contains(".parquet"), "half a manifest: {text}");
    assert!(output.status.success(), "{text}");
    assert_same(&whole, &copy);
}

/// A second of silence as a WAV file.
fn silence() -> Vec<u8> {
    let (rate, bytes) = (8000u32, 16000u32);
    let mut wav = b"RIFF".to_vec();
    wav.extend((36 + bytes).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    wav.extend(rate.to_le_bytes());
    wav.extend((2 * rate).to_le_bytes());
    wav.extend(b"\x02\0\x10\0data");
    wav.extend(bytes.to_le_bytes());
    wav.resize(wav.len() + bytes as usize, 0);
    wav
}

#[test]
fn a_read_only_output_folder_is_one_line() {
    let dir = tempfile::tempdir().expect("temp dir");
    let root = dir.path().join("corpus");
    write(&root.join("train/Anger/a.avi"), &small(), 10, 1);
    let file = dir.path().join("file");
    fs::write(&file, "x").expect("write");
    let text = stderr_of(&mut build(&root, &file.join("out")), 1);
    assert!(text.contains("cannot make folder"), "{text}");
    assert_eq!(text.trim().lines().count(), 1, "{text}");
    // Where rights bind (not for root), a folder without them is refused the same way.
    let closed = dir.path().join("closed");
    fs::create_dir(&closed).expect("folder");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).expect("rights");
    if fs::write(closed.join("probe"), "x").is_err() {
        let text = stderr_of(&mut build(&root, &closed), 1);
        assert!(text.contains("cannot write into"), "{text}");
    }
}
