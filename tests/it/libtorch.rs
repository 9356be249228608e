//! Commands that run no network never open LibTorch, and neither do the workers of a build.
use std::{fs, path::Path};

use image::{Rgb, RgbImage};
use ncaers::internals::media::encode::{write_clip, ClipFormat};

use crate::common::ncaers;

/// Runs a command; the names of all libraries that it and its workers opened.
fn opened(folder: &Path, words: &[&str]) -> String {
    let log = folder.join("opened");
    fs::create_dir(&log).expect("writable");
    let mut command = ncaers();
    command.args(words).current_dir(folder);
    // glibc's dynamic linker writes a file for each process.
    command.env("LD_DEBUG", "files").env("LD_DEBUG_OUTPUT", log.join("libraries"));
    command.assert().success();
    let files = fs::read_dir(&log).expect("a log");
    let text: String = files
        .map(|file| fs::read_to_string(file.expect("entry").path()).expect("readable"))
        .collect();
    fs::remove_dir_all(&log).expect("removable");
    text
}

#[test]
fn commands_without_a_network_do_not_open_libtorch() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let format = ClipFormat { width: 160, height: 96, ..ClipFormat::default() };
    let grey = RgbImage::from_pixel(160, 96, Rgb([90, 110, 100]));
    for clip in ["train/Anger/0001.avi", "test/Fear/0001.avi"] {
        let path = folder.path().join("corpus").join(clip);
        write_clip(&path, &format, (0..50).map(|_| grey.clone())).expect("clip is written");
    }
    let build =
        ["build", "--corpus", "corpus", "--out", "built", "--seed", "1", "--balance", "none"];
    for words in [&["--version"][..], &build, &["verify", "built"]] {
        let libraries = opened(folder.path(), words);
        if !cfg!(target_env = "gnu") {
            return;
        }
        assert!(libraries.contains("libc.so"), "{words:?} is not listened to");
        assert!(!libraries.contains("libtorch"), "{words:?} opens LibTorch");
    }
}
