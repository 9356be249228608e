//! A small corpus and the builds of it.
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use ncaers::internals::media::encode::{ClipFormat, Codec};

use crate::common::{clips::write, ncaers};

/// The least that the codecs like.
pub fn small() -> ClipFormat {
    ClipFormat { width: 160, height: 96, ..ClipFormat::default() }
}

/// A corpus of ten clips in all splits, of several kinds and lengths; one re-encoded copy of a
/// training clip in the test split, and one broken clip.
pub fn corpus(root: &Path) {
    let b = ClipFormat { b_frames: 2, tone_hz: Some(300.0), ..small() };
    let h264 = ClipFormat { codec: Codec::H264, b_frames: 3, quality: 20, ..small() };
    for (name, format, frames, scene) in [
        ("train/Anger/0001.avi", &b, 120, 1),
        ("train/Anger/0002.avi", &small(), 60, 2),
        ("train/Fear/0001.avi", &h264, 110, 3),
        ("train/Fear/0002.avi", &b, 52, 4),
        ("validation/Anger/0001.avi", &small(), 100, 5),
        ("validation/Fear/0001.mp4", &h264, 55, 6),
        ("test/Angry/0001.avi", &b, 103, 7),
        ("test/Fear/0001.avi", &small(), 60, 8),
    ] {
        write(&root.join(name), format, frames, scene);
    }
    let worse = ClipFormat { quality: 7, ..small() };
    write(&root.join("test/Fear/copy.avi"), &worse, 120, 1);
    fs::write(root.join("train/Fear/broken.avi"), "<html>not found</html>").expect("write");
}

/// The program's `build` on a corpus, without faces.
pub fn build(corpus: &Path, out: &Path) -> assert_cmd::Command {
    let mut command = ncaers();
    command.args(["build", "--detector", "none", "--seed", "5", "--corpus"]).arg(corpus);
    command.arg("--out").arg(out);
    command
}

/// Every file of a finished folder that is part of the byte promise.
pub fn promised(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(&at).expect("folder") {
            let path = entry.expect("entry").path();
            let name = path.file_name().expect("name").to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if !["build.json", ".lock"].contains(&&*name) {
                let relative = path.strip_prefix(folder).expect("below").to_owned();
                files.insert(relative, fs::read(&path).expect("read"));
            }
        }
    }
    files
}

/// Both folders hold the same promised files.
pub fn assert_same(a: &Path, b: &Path) {
    let (a, b) = (promised(a), promised(b));
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&a), names(&b));
    for (name, bytes) in &a {
        assert!(*bytes == b[name], "{} differs", name.display());
    }
}

/// What a command that must exit with `code` says.
pub fn stderr_of(command: &mut assert_cmd::Command, code: i32) -> String {
    let out = command.assert().code(code);
    String::from_utf8_lossy(&out.get_output().stderr).into_owned()
}
