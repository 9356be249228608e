//! What `ncaers build` says of its result: the card for people, Croissant for machines, the
//! record of how it ran.
use crate::common::builds;

use std::{fs, path::Path};

use builds::{build, corpus};
use ncaers::{
    internals::digest::sha256_file,
    manifest::Manifest,
    record::{Emotion, Split},
};
use serde_json::Value;

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("read")).expect("JSON")
}

#[test]
fn card_croissant_and_record_tell_what_is_in_the_tables() {
    let dir = tempfile::tempdir().expect("temp dir");
    let (root, out) = (dir.path().join("corpus"), dir.path().join("out"));
    corpus(&root);
    let run = build(&root, &out).assert().success();
    let said = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
    let manifest = Manifest::read(&out).expect("reads");
    card(&fs::read_to_string(out.join("README.md")).expect("card"), &manifest);
    croissant(&out, &manifest);
    let record = json(&out.join("build.json"));
    assert_eq!(record["configuration"]["seed"], 5);
    assert_eq!(record["summary"]["clips"], 10);
    for stage in ["decode", "encode", "hash", "write", "merge"] {
        let seconds = record["summary"]["stage_seconds"][stage].as_f64();
        assert!(seconds.is_some_and(|s| s > 0.0), "{stage}: {record}");
        assert!(said.contains(&format!("{stage} ")), "{said}");
    }
}

fn counts(manifest: &Manifest, emotion: Emotion) -> Vec<usize> {
    let of = |split| {
        manifest.samples.iter().filter(|s| s.split == split && s.emotion == emotion).count()
    };
    Split::ALL.map(of).into()
}

fn card(card: &str, manifest: &Manifest) {
    for emotion in Emotion::ALL {
        let n = counts(manifest, emotion);
        let total: usize = n.iter().sum();
        let row = format!("| {emotion} | {} | {} | {} | {total} |", n[0], n[1], n[2]);
        assert!(card.contains(&row), "{row} is missing in {card}");
    }
    let reason = |reason: &str| manifest.ledger.iter().filter(|e| e.reason == reason).count();
    for (kind, name) in [("clip", "unreadable"), ("clip", "leak"), ("sample", "balance")] {
        let count = match (kind, name) {
            ("clip", "leak") => 1,
            _ => reason(name),
        };
        let row = format!("| {kind} {name} | {count} |");
        assert!(count > 0 && card.contains(&row), "{row} is missing in {card}");
    }
    let digest = &manifest.meta["input_digest"];
    for words in ["seed 5", "How to cite", "ICCV 2019", "from 8 of 10 clips", digest] {
        assert!(card.contains(words), "`{words}` is missing in {card}");
    }
}

fn croissant(out: &Path, manifest: &Manifest) {
    let found = json(&out.join("croissant.json"));
    assert_eq!(found["conformsTo"], "http://mlcommons.org/croissant/1.1");
    let files = found["distribution"].as_array().expect("files");
    for table in ["samples", "clips", "ledger"] {
        let name = format!("{table}.parquet");
        let file = files.iter().find(|f| f["contentUrl"] == *name).expect("listed");
        assert_eq!(file["sha256"], sha256_file(&out.join(&name)).expect("hash").as_str());
    }
    let records = found["recordSet"].as_array().expect("record sets");
    let set = |id: &str| records.iter().find(|r| r["@id"] == id).expect("there");
    let roles: Vec<_> =
        set("splits")["data"].as_array().expect("data").iter().map(|r| &r["splits/url"]).collect();
    assert_eq!(roles, ["cr:TrainingSplit", "cr:ValidationSplit", "cr:TestSplit"]);
    let classes: Vec<_> = set("emotions")["data"].as_array().expect("data").iter().collect();
    assert_eq!(classes.len(), 7);
    let fields = set("samples")["field"].as_array().expect("fields");
    for column in ["sample_id", "split", "label", "image_path", "image_sha256", "face_x1"] {
        let own = |f: &&Value| f["source"]["extract"]["column"] == column;
        assert!(fields.iter().any(|f| own(&f)), "{column}");
    }
    let description = found["description"].as_str().expect("text");
    assert!(
        description.starts_with(&format!("{} frames", manifest.samples.len())),
        "{description}"
    );
}
