//! The library as a program of yours would use it: from pictures to the comparison of two models.
//!
//! `cargo run --release --example library`
//!
//! Draws a few pictures, imports them as a data set, checks and audits it, scores the answers of two
//! made-up models on its test part and compares them. Everything lands below a temporary folder.
#![allow(clippy::print_stdout, reason = "what it prints is its result")]
use std::{fmt::Write, fs, path::Path};

use anyhow::Result;
use image::{Rgb, RgbImage};
use ncaers::{
    audit, import, read_all_predictions, verify, Asked, AuditRequest, AuditRule, AuditSource,
    AuditSummary, BuildOutcome, Choices, ComparisonOptions, Emotion, FaceRequest, Faces,
    ImportConfig, Manifest, ModelComparison, Reading, Scores, Split,
};

/// Pictures of every class.
const PER_CLASS: usize = 12;

/// What came out.
#[derive(Debug)]
#[allow(dead_code, reason = "main prints it with Debug")]
pub struct Findings {
    /// Samples of the data set.
    pub samples: usize,
    /// Share of test pictures with a near-duplicate in train; none without test pictures.
    pub leak: Option<f64>,
    /// Model and accuracy on the test part.
    pub accuracies: Vec<(String, f64)>,
    /// What a person reads of the comparison.
    pub comparison: String,
}

/// Goes the whole way below `folder`.
pub fn run(folder: &Path) -> Result<Findings> {
    let manifest = data_set(folder)?;
    let summary = audited(folder)?;
    let table = folder.join("answers.csv");
    fs::write(&table, answers(&manifest)?)?;
    let models = read_all_predictions(&[table], Split::Test, &Reading::default())?;
    let mut accuracies = Vec::new();
    for model in &models {
        let scores = Scores::of(model, None, None)?;
        let accuracy = scores.evaluation.metric("accuracy").and_then(|m| m.value);
        accuracies.extend(accuracy.map(|value| (model.name.clone(), value)));
    }
    let options =
        ComparisonOptions { seed: 1, sign_flips: 999, bootstrap_draws: 999, margin: None };
    let comparison = ModelComparison::of(&models, &options)?.text();
    Ok(Findings {
        samples: manifest.samples.len(),
        leak: summary.worst_leak,
        accuracies,
        comparison,
    })
}

/// Pictures in a list of our own, imported and checked.
pub fn data_set(folder: &Path) -> Result<Manifest> {
    let (stills, out) = (folder.join("stills"), folder.join("manifest"));
    fs::create_dir_all(&stills)?;
    let mut list = String::from("path,label,group\n");
    for (label, emotion) in (0u32..).zip(Emotion::ALL) {
        for n in 0..PER_CLASS as u32 {
            let name = format!("{emotion}-{n}.png");
            picture(label * 1000 + n).save(stills.join(&name))?;
            // Two pictures each show the same person: they stay in one split.
            writeln!(list, "{name},{emotion},person-{emotion}-{}", n / 2)?;
        }
    }
    fs::write(stills.join("samples.csv"), list)?;
    let faces = Faces::Detector(FaceRequest::named("none"));
    let (config, asked) = (ImportConfig::new(1, "csv"), Asked::default());
    match import(&config, asked, &stills, &Choices::default(), &faces, &out)? {
        BuildOutcome::Done(summary) => assert_eq!(summary.clips, 7 * PER_CLASS),
        other => println!("{other:?}"),
    }
    let report = verify(&out)?;
    anyhow::ensure!(report.violations.is_empty(), "{:?}", report.violations);
    Ok(Manifest::read(&out)?)
}

/// A picture that looks like no other: coarse cells of changing brightness.
fn picture(seed: u32) -> RgbImage {
    RgbImage::from_fn(96, 72, |x, y| {
        let cell = seed.wrapping_mul(2_654_435_761) ^ (x / 12 * 31 + y / 12 * 1009 + 1);
        let value = cell.wrapping_mul(2_246_822_519).rotate_left(13).wrapping_mul(3_266_489_917);
        Rgb([(value >> 8) as u8, (value >> 16) as u8, (value >> 24) as u8])
    })
}

/// What splits of the data set share.
fn audited(folder: &Path) -> Result<AuditSummary> {
    let request = AuditRequest {
        own: AuditSource::Manifest(folder.join("manifest")),
        against: None,
        rule: AuditRule { altered: false, ..AuditRule::default() },
        seed: 1,
        workers: 2,
    };
    Ok(audit(&request, &folder.join("audit"))?.1)
}

/// Answers of a model that errs on every fifth picture and of one that errs on every other.
fn answers(manifest: &Manifest) -> Result<String> {
    let mut table = String::from("id,group,model,target,predicted\n");
    let test = manifest.samples.iter().filter(|sample| sample.split == Split::Test);
    for (i, sample) in test.enumerate() {
        for (model, every) in [("careful", 5), ("careless", 2)] {
            let truth = usize::from(sample.emotion.label());
            let answer = Emotion::ALL[(truth + usize::from(i % every == 0)) % Emotion::ALL.len()];
            let (id, group) = (&sample.sample_id, &sample.group_id);
            writeln!(table, "{id},{group},{model},{},{answer}", sample.emotion)?;
        }
    }
    Ok(table)
}

fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let findings = run(folder.path())?;
    println!("{} samples, leak {:?}", findings.samples, findings.leak);
    println!("{:?}\n{}", findings.accuracies, findings.comparison);
    Ok(())
}
