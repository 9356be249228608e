//! A data set small enough to train on in a test: pictures whose colour is their class.
#![allow(dead_code, reason = "each test file uses its part")]
use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
};

use image::{Rgb, RgbImage};
use ncaers::{
    internals::{atomic, digest, media::image as picture},
    manifest::{Manifest, Meta},
    record::{Emotion, FaceBox, Sample, Split},
};

use super::ncaers;

/// Samples per class in the training split; validation and test have one.
pub const TRAIN: usize = 3;

/// A folder with a manifest `m`, its pack `p` and an experiment `x.toml`.
pub struct World {
    /// Everything below it is removed at the end.
    pub dir: tempfile::TempDir,
}

impl World {
    /// All classes.
    pub fn new() -> Self {
        Self::without(&[])
    }

    /// No training sample of some classes.
    pub fn without(missing: &[Emotion]) -> Self {
        let world = World { dir: tempfile::tempdir().unwrap() };
        let mut samples = Vec::new();
        for emotion in Emotion::ALL {
            for (split, n) in [(Split::Train, TRAIN), (Split::Val, 1), (Split::Test, 1)] {
                let n = if split == Split::Train && missing.contains(&emotion) { 0 } else { n };
                samples.extend((0..n).map(|i| sample(&world.path("m"), split, emotion, i)));
            }
        }
        let mut manifest = Manifest { samples, meta: Meta::new(), ..Manifest::default() };
        manifest.sort();
        manifest.write(&world.path("m")).unwrap();
        world.pack();
        let experiment = format!(
            "[data]\nmanifest = {:?}\npack = {:?}\n[model]\nwidths = [4, 4, 4, 4, 8]\ncls_hidden = 8\n\
             [train]\nstage1_epochs = 1\nepochs = 2\nbatch_size = 8\nlearning_rate = 0.05\nthreads = 1\ndevice = \"cpu\"\n",
            world.path("m"),
            world.path("p"),
        );
        std::fs::write(world.path("x.toml"), experiment).unwrap();
        world
    }

    /// A path inside.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes the pack of the manifest.
    pub fn pack(&self) {
        let mut pack = ncaers();
        pack.arg("pack").arg(self.path("m")).arg("--out").arg(self.path("p")).assert().success();
    }

    /// `ncaers train x.toml --out OUT EXTRA`
    pub fn train(&self, out: &str, extra: &[&str]) -> assert_cmd::Command {
        let mut train = ncaers();
        train.arg("train").arg(self.path("x.toml")).arg("--out").arg(self.path(out)).args(extra);
        train
    }

    /// The same as a process of its own, with its standard error.
    pub fn start(&self, out: &str, extra: &[&str]) -> (Child, BufReader<ChildStderr>) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ncaers"))
            .arg("train")
            .arg(self.path("x.toml"))
            .arg("--out")
            .arg(self.path(out))
            .args(extra)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        (child, lines)
    }

    /// `ncaers predict --run RUN --manifest m --split SPLIT`
    pub fn predict(&self, run: &str, split: &str) -> assert_cmd::Command {
        let mut predict = ncaers();
        predict.arg("predict").arg("--run").arg(self.path(run));
        predict.arg("--manifest").arg(self.path("m")).args(["--split", split]);
        predict
    }

    /// The bytes of a file.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }
}

/// Reads lines until one contains `mark`; false when the run ended before.
pub fn reaches(lines: &mut BufReader<ChildStderr>, mark: &str) -> bool {
    let mut line = String::new();
    loop {
        line.clear();
        if lines.read_line(&mut line).unwrap() == 0 {
            return false;
        }
        if line.contains(mark) {
            return true;
        }
    }
}

/// The last line of what a failing command says.
pub fn refusal(command: &mut assert_cmd::Command) -> String {
    let out = command.assert().code(1);
    let text = String::from_utf8_lossy(&out.get_output().stderr).into_owned();
    text.lines().last().unwrap_or_default().to_owned()
}

fn sample(manifest: &Path, split: Split, emotion: Emotion, i: usize) -> Sample {
    let id = format!("{split}/{emotion}/{i:04}/000");
    let label = u32::from(emotion.label());
    let image = RgbImage::from_fn(171, 128, |x, y| {
        let grain = (x * 31 + y * 17 + i as u32 * 7) % 40;
        Rgb([label * 30 + grain, 200 - label * 25 + grain, (label % 3) * 80 + grain]
            .map(|v| v.min(255) as u8))
    });
    let bytes = picture::encode_png(&image).unwrap();
    let image_path = format!("images/{split}-{emotion}-{i}.png");
    atomic::write(&manifest.join(&image_path), &bytes).unwrap();
    Sample {
        clip_id: format!("{split}/{emotion}/{i:04}"),
        group_id: format!("{split}/{emotion}/{i:04}"),
        sample_id: id,
        split,
        emotion,
        segment: None,
        frame_index: None,
        frame_ms: None,
        image_path,
        image_sha256: digest::sha256_hex(&bytes),
        width: image.width(),
        height: image.height(),
        face: Some(FaceBox { x1: 60, y1: 40, x2: 110, y2: 90, score: 1.0 }),
        face_count: Some(1),
        detector: "test".into(),
        damage: Default::default(),
        draw: None,
    }
}
