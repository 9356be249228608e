//! `ncaers model …`
#![cfg(feature = "torch")]
use crate::common;
use crate::common::rebuilt;
use std::collections::BTreeMap;

use common::ncaers;
use ncaers::internals::weights;
use serde_json::Value;
use tch::{Kind, Tensor};

fn json(args: &[&str]) -> Value {
    let out = ncaers().arg("--json").args(args).assert().success();
    serde_json::from_slice(&out.get_output().stdout).expect("one JSON object")
}

fn message(args: &[&str], code: i32) -> String {
    let out = ncaers().args(args).assert().code(code);
    String::from_utf8(out.get_output().stderr.clone()).expect("UTF-8")
}

#[test]
fn lists_every_network_and_what_is_inferred() {
    let out = ncaers().args(["model", "list"]).assert().success();
    let text = String::from_utf8(out.get_output().stdout.clone()).expect("UTF-8");
    assert!(text.contains("glamor             2228362  GLAMOR-Net"), "{text}");
    assert!(text.contains("inferred: only the abstract is public"), "{text}");
    assert_eq!(json(&["model", "list"]).as_array().expect("a list").len(), 9);
}

#[test]
fn shows_layers_that_add_up() {
    let shown = json(&["model", "show", "glamor", "--set", "backbone=resnet18"]);
    assert_eq!(shown["total"], 22_899_850);
    let layers = shown["layers"].as_array().expect("layers");
    let first = &layers[0];
    assert_eq!(first["name"], "face_encoder.conv1");
    // 64 outputs of 48 x 48 cells, each 3 x 7 x 7 products.
    assert_eq!(first["multiply_adds"], 64 * 48 * 48 * 147);
    let sum: u64 = layers.iter().map(|layer| layer["parameters"].as_u64().expect("a count")).sum();
    assert_eq!(sum, 22_899_850);
    let text = ncaers().args(["model", "show", "grern"]).assert().success();
    let text = String::from_utf8(text.get_output().stdout.clone()).expect("UTF-8");
    assert!(text.contains("inferred:"), "{text}");
}

#[test]
fn wrong_names_and_keys_are_told_the_nearest() {
    let wrong = message(&["model", "show", "glamour"], 2);
    assert!(wrong.contains("did you mean `glamor`?"), "{wrong}");
    let wrong = message(&["model", "show", "glamor", "--set", "atention=ca"], 2);
    assert!(wrong.contains("did you mean `attention`?"), "{wrong}");
    let wrong = message(&["model", "show", "vgg16", "--set", "fusion=add"], 2);
    assert!(wrong.contains("does not apply to model vgg16"), "{wrong}");
    let wrong = message(&["model", "show", "glamor", "--set", "widths"], 2);
    assert!(wrong.contains("not KEY=VALUE"), "{wrong}");
}

/// Rebuilt weights of CAER-Net-S in a file, and its pictures in another.
fn prepared(folder: &std::path::Path) -> [String; 3] {
    let config: ncaers::internals::model::ModelConfig =
        serde_json::from_value(serde_json::json!({"name": "caer_net_s"})).expect("valid");
    let store = tch::nn::VarStore::new(tch::Device::Cpu);
    ncaers::internals::model::build(&store.root(), &config).expect("builds");
    rebuilt::fill(&store, 1.0);
    let path = |name: &str| folder.join(name).to_str().expect("UTF-8").to_owned();
    let none = serde_json::json!({});
    let names = [path("w.safetensors"), path("in.safetensors"), path("out.safetensors")];
    weights::write(names[0].as_ref(), &weights::tensors_of(&store), &none).expect("writes");
    let pictures = BTreeMap::from([
        ("face".to_owned(), rebuilt::picture("face", [2, 3, 96, 96])),
        ("context".to_owned(), rebuilt::picture("context", [2, 3, 112, 112])),
    ]);
    weights::write(names[1].as_ref(), &pictures, &none).expect("writes");
    names
}

#[test]
fn runs_on_tensors_of_a_file() {
    let folder = tempfile::tempdir().expect("folder");
    let [w, inputs, out] = prepared(folder.path());
    let args =
        ["model", "forward", "caer_net_s", "--weights", &w, "--inputs", &inputs, "--out", &out];
    let told = json(&args);
    assert_eq!(told["tensors"]["attention"], serde_json::json!([2, 7, 7]));
    let found = weights::read(out.as_ref()).expect("reads");
    let known =
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/models/caer_net_s.safetensors");
    let known = weights::read(known.as_ref()).expect("reads");
    for (name, wanted) in known {
        let error = (&found[&name] - wanted).abs().max().double_value(&[]);
        assert!(error < 1e-4, "{name}: {error}");
    }
    let first = std::fs::read(&out).expect("bytes");
    json(&args);
    assert_eq!(first, std::fs::read(&out).expect("bytes"), "same input, same bytes");
}

#[test]
fn bad_pictures_are_named_and_leave_no_file() {
    let folder = tempfile::tempdir().expect("folder");
    let [w, inputs, out] = prepared(folder.path());
    let args =
        ["model", "forward", "caer_net_s", "--weights", &w, "--inputs", &inputs, "--out", &out];
    let face = rebuilt::picture("face", [2, 3, 96, 96]);
    let odd = face.copy();
    let _ = odd.narrow(0, 0, 1).fill_(f64::INFINITY);
    for (name, tensor, part) in [
        ("context", face, "missing"),
        ("face", Tensor::zeros([2, 3, 9, 9], (Kind::Float, tch::Device::Cpu)), "[2, 3, 9, 9]"),
        ("face", odd, "not finite"),
    ] {
        let only = BTreeMap::from([(name.to_owned(), tensor)]);
        weights::write(inputs.as_ref(), &only, &serde_json::json!({})).expect("writes");
        let told = message(&args, 1);
        assert!(told.contains("tensor `face`") && told.contains(part), "{told}");
        assert!(!std::path::Path::new(&out).exists());
    }
}

#[test]
fn imports_what_fits_and_refuses_the_rest() {
    let folder = tempfile::tempdir().expect("folder");
    let [w, _, out] = prepared(folder.path());
    let told = json(&["model", "import", &w, "--model", "caer_net_s", "--out", &out]);
    assert_eq!(told["loaded"]["ignored"], serde_json::json!([]));
    let bytes = |tensors: BTreeMap<String, Tensor>| -> Vec<(String, Vec<f32>)> {
        let flat = |t: Tensor| Vec::try_from(t.flatten(0, -1)).expect("f32");
        tensors.into_iter().map(|(name, tensor)| (name, flat(tensor))).collect()
    };
    let read = |path: &str| bytes(weights::read(path.as_ref()).expect("reads"));
    assert_eq!(read(&w), read(&out));
    std::fs::remove_file(&out).expect("removed");
    let told = message(&["model", "import", &w, "--model", "efficientface", "--out", &out], 1);
    assert!(told.contains("do not fit efficientface") && told.contains("missing"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(!std::path::Path::new(&out).exists());
}

#[test]
fn the_weights_that_the_grids_want_are_listed_without_a_clone() {
    let dir = tempfile::tempdir().unwrap();
    let listed = ncaers().current_dir(dir.path()).args(["model", "weights"]).assert().success();
    let text = String::from_utf8(listed.get_output().stdout.clone()).unwrap();
    assert!(text.contains("weights/resnet50.pth: resnet50") && text.contains("missing"), "{text}");
    let other = ["model", "weights", "--grid", "experiments/none.toml"];
    let refused = ncaers().current_dir(dir.path()).args(other).assert().failure();
    let error = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(error.contains("cannot read experiment file experiments/none.toml"), "{error}");
}
