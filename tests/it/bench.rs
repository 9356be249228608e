//! `ncaers bench`: figures that are numbers of what was asked for.

use crate::common;
use crate::common::clips;
use clips::{burned_index, picture, write};
use common::ncaers;
use ncaers::internals::media::encode::ClipFormat;
use serde_json::Value;

fn json_of(args: &[&str], folder: &std::path::Path) -> Value {
    let run = ncaers().arg("--json").arg("bench").args(args).current_dir(folder).assert().success();
    serde_json::from_slice(&run.get_output().stdout).expect("one JSON object")
}

#[test]
fn a_build_is_timed_per_clip_and_leaves_nothing() {
    let dir = tempfile::tempdir().expect("temp dir");
    let format = ClipFormat { width: 160, height: 96, ..ClipFormat::default() };
    for (n, class) in ["Anger", "Fear"].into_iter().enumerate() {
        write(&dir.path().join(format!("corpus/{class}/{n}.avi")), &format, 60, n as u32);
    }
    let full = json_of(&["build", "--corpus", "corpus"], dir.path());
    assert_eq!((full["clips"].as_u64(), full["workers"].as_u64()), (Some(2), Some(1)));
    assert!(full["cpu_ms_per_clip"].as_f64().is_some_and(|ms| ms > 0.0), "{full}");
    assert!(full["worker_peak_mb"].as_f64().is_some_and(|mb| mb > 5.0), "{full}");
    assert!(full["stage_seconds"]["decode"].is_f64(), "{full}");
    let fast = json_of(&["build", "--corpus", "corpus", "--fast"], dir.path());
    assert_eq!(fast["fast"], true);
    let left: Vec<_> = std::fs::read_dir(dir.path()).expect("list").collect();
    assert_eq!(left.len(), 1, "only the corpus");
}

#[test]
fn a_detector_is_timed_per_picture() {
    let dir = tempfile::tempdir().expect("temp dir");
    let scene = picture(160, 120, 5, 1);
    assert_eq!(burned_index(&scene), 5);
    for name in ["a.png", "b.PNG"] {
        scene.save_with_format(dir.path().join(name), image::ImageFormat::Png).expect("saved");
    }
    std::fs::write(dir.path().join("notes.txt"), "no picture").expect("write");
    let seeta = json_of(&["detect", ".", "--rounds", "1"], dir.path());
    assert_eq!((seeta["pictures"].as_u64(), seeta["rounds"].as_u64()), (Some(2), Some(1)));
    assert!(seeta["cpu_ms_per_picture"].as_f64().is_some_and(|ms| ms > 0.0), "{seeta}");
    assert!(seeta["images_per_s"].as_f64().is_some_and(|rate| rate > 0.0), "{seeta}");
    let sized = ["detect", ".", "--size", "320x200", "--batch", "3", "--min-face", "80"];
    let seeta = json_of(&sized, dir.path());
    assert_eq!((seeta["batch"].as_u64(), seeta["megapixels"].as_f64()), (Some(3), Some(0.064)));
    assert!(seeta["detector"].as_str().is_some_and(|name| name.contains("min_face 80")), "{seeta}");
}

#[test]
fn nothing_to_measure_is_one_line() {
    let dir = tempfile::tempdir().expect("temp dir");
    let refused = |args: &[&str], code: i32, says: &str| {
        let run = ncaers().arg("bench").args(args).current_dir(dir.path()).assert().code(code);
        let text = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
        assert!(text.contains(says) && text.trim().lines().count() == 1, "{text}");
    };
    refused(&["detect", "."], 1, "no .jpg or .png below .");
    refused(&["detect", ".", "--detector", "none"], 2, "finds nothing to measure");
    refused(&["detect", ".", "--detector", "seeta", "--upsample", "1"], 2, "for --detector mmod");
    refused(&["detect", "absent.png"], 1, "absent.png");
    refused(&["build", "--corpus", "absent"], 1, "absent");
    let size = ncaers().args(["bench", "detect", ".", "--size", "12"]).assert().code(2);
    let text = String::from_utf8_lossy(&size.get_output().stderr).into_owned();
    assert!(text.contains("`12` is not of the form 712x400"), "{text}");
}
