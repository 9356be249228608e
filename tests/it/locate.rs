//! `ncaers locate`: the clip and the frame of every still, whatever was done to it; nothing of clips
//! that are not there; the same bytes from any shards and after any interruption.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::common::{
    builds::stderr_of,
    clips::{burned_index, picture, write},
    ncaers,
};
use image::{imageops, RgbImage};
use ncaers::{
    internals::media::{
        encode::{ClipFormat, Codec},
        image::{encode_jpeg, encode_png},
    },
    manifest::{read_located, LocatedRow, LocatedStatus},
};

struct Place {
    _dir: tempfile::TempDir,
    root: PathBuf,
}

const FRAMES: u32 = 40;

impl Place {
    /// Four clips, and stills of their frames and of a clip that is not there.
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("temp dir");
        let place = Place { root: dir.path().to_owned(), _dir: dir };
        let format = ClipFormat { width: 320, height: 192, ..ClipFormat::default() };
        let b = ClipFormat { b_frames: 2, ..format.clone() };
        let h264 = ClipFormat { codec: Codec::H264, b_frames: 2, quality: 20, ..format.clone() };
        for (name, format, scene) in [
            ("train/Anger/0001.avi", &b, 1),
            ("train/Fear/0001.avi", &format, 2),
            ("test/Anger/0001.mp4", &h264, 3),
            ("test/Fear/0001.avi", &format, 4),
        ] {
            write(&place.at("corpus").join(name), format, FRAMES, scene);
        }
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn still(&self, name: &str, picture: &RgbImage, quality: Option<u8>) {
        let path = self.at("stills").join(name);
        fs::create_dir_all(path.parent().expect("folder")).expect("folder");
        let bytes = match quality {
            Some(quality) => encode_jpeg(picture, quality),
            None => encode_png(picture),
        };
        fs::write(path, bytes.expect("encodes")).expect("write");
    }

    fn locate(&self, out: &str) -> assert_cmd::Command {
        let mut command = ncaers();
        command.arg("locate").arg(self.at("stills")).arg("--corpus").arg(self.at("corpus"));
        command.arg("--out").arg(self.at(out));
        command
    }

    fn rows(&self, out: &str) -> Vec<LocatedRow> {
        read_located(&self.at(out).join("located.parquet")).expect("reads").0
    }
}

fn frame(index: u32, scene: u32) -> RgbImage {
    picture(320, 192, index, scene)
}

#[test]
fn stills_are_found_whatever_was_done_to_them() {
    let place = Place::new();
    let half = |p: RgbImage| imageops::resize(&p, 160, 96, imageops::FilterType::Triangle);
    let cut = |p: RgbImage| imageops::crop_imm(&p, 16, 6, 304, 180).to_image();
    let bright = |p: RgbImage| {
        let mut p = p;
        p.iter_mut().for_each(|v| *v = (f64::from(*v) * 1.1 + 8.0).min(255.0) as u8);
        p
    };
    place.still("train/Anger/png.png", &frame(7, 1), None);
    place.still("train/Anger/jpeg.jpg", &frame(31, 1), Some(75));
    place.still("test/Fear/half.png", &half(frame(12, 2)), None);
    place.still("test/Fear/mirror.jpg", &imageops::flip_horizontal(&frame(20, 3)), Some(90));
    place.still("test/Fear/cut.png", &cut(frame(33, 4)), None);
    place.still("test/Fear/bright.jpg", &bright(frame(3, 4)), Some(90));
    place.still("test/Sad/absent.png", &frame(9, 5), None);
    fs::write(place.at("stills/test/Sad/broken.jpg"), "no picture").expect("write");
    let done = place.locate("out").assert().success();
    let said = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
    let rows = place.rows("out");
    for (name, clip, index, transform) in [
        ("test/Fear/bright.jpg", "test/Fear/0001", 3, "brightened"),
        ("test/Fear/cut.png", "test/Fear/0001", 33, "cropped"),
        ("test/Fear/half.png", "train/Fear/0001", 12, "scaled"),
        ("test/Fear/mirror.jpg", "test/Anger/0001", 20, "mirrored"),
        ("train/Anger/jpeg.jpg", "train/Anger/0001", 31, "recompressed"),
        ("train/Anger/png.png", "train/Anger/0001", 7, "none"),
    ] {
        let row = rows.iter().find(|r| r.still == name).expect("a row");
        assert_eq!(row.status, LocatedStatus::Found, "{row:?}");
        assert_eq!((row.clip_id.as_deref(), row.frame_index), (Some(clip), Some(index)), "{row:?}");
        assert!(row.transform.as_deref().unwrap_or_default().contains(transform), "{row:?}");
        let run = (row.run_first.expect("run"), row.run_last.expect("run"));
        assert!(run.0 <= index && index <= run.1, "{row:?}");
    }
    for name in ["test/Sad/absent.png", "test/Sad/broken.jpg"] {
        let row = rows.iter().find(|r| r.still == name).expect("a row");
        assert_eq!(row.status, LocatedStatus::NotFound, "{row:?}");
    }
    let broken = rows.iter().find(|r| r.still.ends_with("broken.jpg")).expect("a row");
    assert!(broken.reason.is_some());
    // Four test stills were found; one of their clips, train/Fear's, gives no train still.
    assert!(said.contains("0 of 4 (0.0 %"), "{said}");

    // What was located is a recipe, and the recipe is those frames.
    let mut recipe = ncaers();
    recipe.arg("recipe").arg(place.at("out")).arg("--out").arg(place.at("r"));
    recipe.assert().success();
    let mut rebuild = ncaers();
    rebuild.arg("rebuild").arg(place.at("r.parquet")).arg("--corpus").arg(place.at("corpus"));
    rebuild.arg("--out").arg(place.at("rebuilt")).assert().success();
    let samples = ncaers::manifest::read_samples(&place.at("rebuilt/samples.parquet"));
    let (samples, _) = samples.expect("reads");
    assert_eq!(samples.len(), 6);
    for sample in samples {
        let path = place.at("rebuilt").join(&sample.image_path);
        let picture = ncaers::internals::media::image::load_rgb(&path).expect("loads");
        assert_eq!(Some(u64::from(burned_index(&picture))), sample.frame_index);
    }
}

fn many(place: &Place) {
    for index in (0..FRAMES).step_by(13) {
        for scene in 1..=4 {
            let split = if scene % 2 == 0 { "test" } else { "train" };
            place.still(
                &format!("{split}/Sad/{scene}-{index}.jpg"),
                &frame(index, scene),
                Some(85),
            );
        }
    }
}

#[test]
fn shards_and_interruptions_change_no_byte() {
    let place = Place::new();
    many(&place);
    place.locate("whole").args(["--workers", "2"]).assert().success();
    let tables = |out: &Path| {
        ["located.parquet", "located.csv", "leak.csv"].map(|n| fs::read(out.join(n)).expect("read"))
    };
    let shards: Vec<PathBuf> = (1..=3).map(|i| place.at(&format!("shard-{i}"))).collect();
    for (i, _) in shards.iter().enumerate() {
        let shard = format!("{}/3", i + 1);
        place.locate(&format!("shard-{}", i + 1)).args(["--shard", &shard]).assert().success();
    }
    let refused = {
        let mut merge = ncaers();
        merge.arg("merge").args(&shards[..2]).arg("--out").arg(place.at("refused"));
        stderr_of(&mut merge, 1)
    };
    assert!(refused.contains("shard 3/3 is missing"), "{refused}");
    let mut merge = ncaers();
    merge.arg("merge").args(&shards).arg("--out").arg(place.at("merged")).assert().success();
    assert!(tables(&place.at("whole")) == tables(&place.at("merged")));

    let out = place.at("killed");
    let mut child = Command::new(env!("CARGO_BIN_EXE_ncaers"))
        .arg("locate")
        .arg(place.at("stills"))
        .arg("--corpus")
        .arg(place.at("corpus"))
        .args(["--workers", "1", "--out"])
        .arg(&out)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let lines = || fs::read_to_string(out.join("searched.jsonl")).map_or(0, |t| t.lines().count());
    while child.try_wait().expect("asked").is_none() && lines() < 1 {
        std::thread::yield_now();
    }
    let _ = child.kill();
    child.wait().expect("ended");
    place.locate("killed").assert().success();
    assert!(tables(&place.at("whole")) == tables(&out));
    let again = place.locate("killed").assert().success();
    let said = String::from_utf8_lossy(&again.get_output().stdout).into_owned();
    assert!(said.contains("already done"), "{said}");
}

/// `audit --against FOLDER_OF_CLIPS`: the stills of a data set held against somebody's clips.
#[test]
fn an_audit_against_clips_seeks_the_frames_of_all_pictures() {
    let place = Place::new();
    // Scenes 1 and 2 are clips to train on, 3 and 4 to test on, 5 is nobody's.
    let cut = imageops::crop_imm(&frame(20, 2), 16, 6, 304, 180).to_image();
    place.still("train/Sad/0001.jpg", &frame(5, 1), Some(90));
    place.still("test/Sad/0001.jpg", &frame(30, 1), Some(80));
    place.still("test/Fear/0002.png", &cut, None);
    place.still("test/Fear/0003.jpg", &frame(11, 4), Some(90));
    place.still("test/Fear/0004.jpg", &frame(11, 5), Some(90));
    let audit = || {
        let mut command = ncaers();
        command.args(["--json", "audit", "--max-leak", "0.4", "--root"]).arg(place.at("stills"));
        command.arg("--against").arg(place.at("corpus")).arg("--out").arg(place.at("audit"));
        let said = command.assert().code(3);
        serde_json::from_slice::<serde_json::Value>(&said.get_output().stdout).expect("JSON")
    };
    let summary = audit();
    let share = |part: &str, within: &str| {
        let leaks = summary["leaks"].as_array().expect("leaks");
        let row = leaks.iter().find(|l| l["part"] == part && l["within"] == within);
        row.map(|row| row["near"]["value"].clone())
    };
    let half = Some(serde_json::Value::from(0.5));
    assert_eq!(share("own test", "clips of other train"), half, "{summary}");
    assert_eq!(share("own test", "clips of other test"), Some(0.25.into()));
    assert_eq!(share("own train", "clips of other train"), Some(1.0.into()));
    assert_eq!(summary["worst_leak"], 0.5);
    assert!(summary["notes"].to_string().contains("4 pictures are frames of the 4 clips"));
    let clean = fs::read_to_string(place.at("audit/clean.csv")).expect("clean.csv");
    for row in [
        "test/Sad/0001,test,true,true,train/Anger/0001,",
        "test/Fear/0002,test,true,true,train/Fear/0001,",
        "test/Fear/0003,test,false,false,,",
        "test/Fear/0004,test,false,false,,",
    ] {
        assert!(clean.lines().any(|line| line == row), "{row} in {clean}");
    }
    let page = fs::read_to_string(place.at("audit/index.html")).expect("page");
    assert!(page.contains("2 of 4 pictures of own test have a near-duplicate in clips of other"));
    let rows = read_located(&place.at("audit/located/located.parquet")).expect("reads").0;
    assert_eq!(rows.len(), 5);
    assert_eq!(audit(), summary, "the finished folder says the same");

    // A clip that is taken back goes from the audit and from the search below it.
    let mut withdraw = ncaers();
    withdraw.args(["withdraw", "train/Fear/0001", "--from"]).arg(place.at("audit"));
    withdraw.assert().success();
    let rows = read_located(&place.at("audit/located/located.parquet")).expect("reads").0;
    assert!(rows.len() >= 3 && !format!("{rows:?}").contains("train/Fear/0001"), "{rows:?}");
    for name in ["audit/clean.csv", "audit/located/located.csv"] {
        let text = fs::read_to_string(place.at(name)).expect("text");
        assert!(!text.contains("train/Fear/0001") && text.contains("train/Anger/0001"), "{text}");
    }
}

#[test]
fn bad_input_is_one_line() {
    let place = Place::new();
    let said = stderr_of(&mut place.locate("out"), 1);
    assert!(said.contains("no stills at"), "{said}");
    fs::create_dir_all(place.at("stills")).expect("folder");
    let said = stderr_of(&mut place.locate("out"), 1);
    assert!(said.contains("no picture below") && said.trim().lines().count() == 1, "{said}");
}
