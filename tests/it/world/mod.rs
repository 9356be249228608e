//! A small data set and made-up runs on it, for tests of what stands on finished runs.
use std::path::{Path, PathBuf};

use ncaers::{
    internals::{atomic, digest, seed::Draws},
    manifest::{self, Manifest, Meta},
    record::{Clip, Emotion, FaceBox, LedgerEntry, LedgerKind, Prediction, Sample, Split},
    runs::{EpochRow, RunFolder, RunRecord, Selected, Status, TestLook},
};
use serde_json::json;

/// Test samples: two of each of ten clips of every class.
pub const SAMPLES: usize = 140;

/// Manifest, pictures and run folders in a temporary folder.
pub struct World {
    dir: tempfile::TempDir,
    digest: String,
}

#[allow(dead_code, reason = "every test program uses a part of it")]
impl World {
    /// A data set that claims to be real.
    pub fn new() -> Self {
        Self::with("caer")
    }

    /// A data set made from the synthetic corpus.
    pub fn synthetic() -> Self {
        Self::with("demo")
    }

    fn with(corpus: &str) -> Self {
        // For looking at what a test saw.
        let keep = std::env::var_os("KEEP_WORLD").is_some();
        let dir = tempfile::Builder::new().disable_cleanup(keep).tempdir().expect("temp dir");
        let folder = dir.path().join("manifest");
        let mut data = Manifest {
            samples: (0..SAMPLES).map(sample).collect(),
            clips: (0..SAMPLES).step_by(2).map(clip).collect(),
            ledger: vec![LedgerEntry {
                kind: LedgerKind::Sample,
                id: "train/Anger/0000/000".into(),
                reason: "balance".into(),
                detail: "cut".into(),
                partner_id: None,
            }],
            meta: Meta::from([("corpus".into(), corpus.into())]),
        };
        let train = Sample { split: Split::Train, ..sample(0) };
        data.samples.push(Sample { sample_id: "train/Anger/0001/000".into(), ..train });
        data.sort();
        data.write(&folder).expect("manifest");
        for i in 0..SAMPLES {
            atomic::write(&folder.join(Self::picture(i)), &jpeg(i)).expect("picture");
        }
        std::fs::create_dir_all(dir.path().join("runs")).expect("runs");
        let digest = manifest::digest(&folder).expect("digest");
        World { dir, digest }
    }

    /// The manifest folder.
    pub fn manifest(&self) -> PathBuf {
        self.dir.path().join("manifest")
    }

    /// The folder of runs.
    pub fn runs(&self) -> PathBuf {
        self.dir.path().join("runs")
    }

    /// Where reports go.
    pub fn out(&self) -> PathBuf {
        self.dir.path().join("report")
    }

    /// Path of the n-th picture below the manifest.
    pub fn picture(i: usize) -> String {
        format!("images/{i:03}.jpg")
    }

    /// A finished run of setting (iv) with this attention, right where `right` says.
    pub fn run(&self, attention: &str, seed: u64, right: impl Fn(usize) -> bool) {
        self.run_on(attention, seed, SAMPLES, right);
    }

    /// The same, scored on the first `samples` samples.
    pub fn run_on(
        &self,
        attention: &str,
        seed: u64,
        samples: usize,
        right: impl Fn(usize) -> bool,
    ) {
        let folder = RunFolder::new(&self.runs().join(format!("{attention}-{seed}")));
        folder.write_record(&self.record(attention, seed)).expect("run.json");
        folder.write_epochs(&epochs()).expect("metrics.csv");
        let mut rows: Vec<_> = (0..samples).map(|i| answer(i, seed, right(i))).collect();
        rows.sort_by(|a, b| a.sample_id.cmp(&b.sample_id));
        let path = folder.predictions_path(Split::Test);
        manifest::write_predictions(&path, &rows, &Meta::new()).expect("predictions");
        let predictions = digest::sha256_file(&path).expect("digest");
        folder.add_test_look(TestLook { time: 7, predictions }).expect("look");
        if attention != "none" {
            write_attention(&folder.attention_path(Split::Test), samples);
        }
    }

    /// A page whose script reads `n` samples instead of its own.
    pub fn enlarged(page: &str, n: usize) -> String {
        let (head, rest) = page.split_once("id=\"page-data\">").expect("data");
        let (data, tail) = rest.split_once("</script>").expect("closed");
        let mut data: serde_json::Value = serde_json::from_str(data).expect("JSON");
        let ids: Vec<_> = (0..n).map(|i| format!("test/Anger/{i:05}/000")).collect();
        let repeated =
            |text: &str, width: usize| text.repeat(n.div_ceil(SAMPLES))[..n * width].to_owned();
        data["ids"] = json!(ids);
        for (key, width) in [("target", 1), ("thumbs", 1)] {
            data[key] = json!(repeated(data[key].as_str().expect("text"), width));
        }
        for model in data["models"].as_array_mut().expect("models") {
            for (key, width) in [("predicted", 1), ("confidence", 2), ("probabilities", 14)] {
                model[key] = json!(repeated(model[key].as_str().expect("text"), width));
            }
        }
        format!("{head}id=\"page-data\">{data}</script>{tail}")
    }

    fn record(&self, attention: &str, seed: u64) -> RunRecord {
        RunRecord {
            run_id: digest::sha256_hex(format!("{attention} {seed}").as_bytes())[..16].into(),
            label: attention.into(),
            model: "glamor".into(),
            config: json!({
                "model": {
                    "name": "glamor", "backbone": "original", "branches": "both",
                    "context": "masked", "attention": attention, "fusion": "net",
                },
                "train": {"seed": seed, "epochs": 5},
            }),
            seed,
            manifest_digest: self.digest.clone(),
            pack_digest: "pack".into(),
            program_version: "0.1.0".into(),
            commit: Some("0123456789abcdef".into()),
            device: "cpu".into(),
            processor: None,
            weights: None,
            synthetic: false,
            threads: 1,
            parameters: 2_228_362,
            selected: Some(Selected { epoch: 4, val_accuracy: Some(0.55), reason: "best".into() }),
            seconds: 12.5,
            status: Status::Finished,
            error: None,
            warnings: Vec::new(),
        }
    }
}

fn emotion(i: usize) -> Emotion {
    Emotion::ALL[i / 20]
}

fn clip_id(i: usize) -> String {
    format!("test/{}/{:04}", emotion(i), i / 2 % 10)
}

fn sample(i: usize) -> Sample {
    Sample {
        sample_id: format!("{}/{:03}", clip_id(i), i % 2),
        split: Split::Test,
        emotion: emotion(i),
        clip_id: clip_id(i),
        group_id: clip_id(i),
        segment: None,
        frame_index: None,
        frame_ms: None,
        image_path: World::picture(i),
        image_sha256: "00".into(),
        width: 96,
        height: 72,
        face: Some(FaceBox { x1: 36, y1: 20, x2: 60, y2: 44, score: 9.0 }),
        face_count: Some(1),
        detector: "seeta".into(),
        damage: Default::default(),
        draw: None,
    }
}

fn clip(i: usize) -> Clip {
    let split = if i.is_multiple_of(4) { Split::Train } else { Split::Test };
    Clip::named(clip_id(i), format!("{}.avi", clip_id(i)), split, emotion(i))
}

/// A coloured gradient, so that pictures can be told apart.
fn jpeg(i: usize) -> Vec<u8> {
    let picture = image::RgbImage::from_fn(96, 72, |x, y| {
        image::Rgb([(i * 37 % 256) as u8, (2 * x) as u8, (3 * y) as u8])
    });
    ncaers::internals::media::image::encode_jpeg(&picture, 90).expect("jpeg")
}

fn answer(i: usize, seed: u64, right: bool) -> Prediction {
    let sample = sample(i);
    let target = sample.emotion.label();
    let mut draws = Draws::new(seed, "answer", &sample.sample_id);
    let wrong = (u64::from(target) + 1 + draws.below(6)) % 7;
    let predicted = if right { target } else { wrong as u8 };
    let mut logits = [0.0; 7];
    logits[usize::from(predicted)] = draws.between(0.5, 4.0) as f32;
    let w_face = draws.uniform() as f32;
    Prediction {
        sample_id: sample.sample_id,
        clip_id: sample.clip_id,
        group_id: sample.group_id,
        target,
        predicted,
        logits,
        w_face: Some(w_face),
        w_context: Some(1.0 - w_face),
    }
}

fn epochs() -> Vec<EpochRow> {
    let row = |epoch: u32| EpochRow {
        stage: "joint".into(),
        epoch,
        train_loss: 2.0 / f64::from(epoch),
        train_accuracy: 0.15 * f64::from(epoch),
        val_loss: Some(1.0 + 1.0 / f64::from(epoch)),
        val_accuracy: Some(0.11 * f64::from(epoch)),
        learning_rate: 5e-4,
        images_per_s: 60.0,
        seconds: 2.5,
        w_face: None,
        w_context: None,
    };
    (1..=5).map(row).collect()
}

/// Maps of 7 x 7 cells with one hot cell each.
fn write_attention(path: &Path, samples: usize) {
    let mut values = vec![0.01f32; samples * 49];
    (0..samples).for_each(|i| values[i * 49 + i % 49] = 0.5);
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let view =
        safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![samples, 7, 7], &bytes);
    let tensors = [("attention", view.expect("view"))];
    let file = safetensors::serialize(tensors, None).expect("serialize");
    atomic::write(path, &file).expect("write");
}
