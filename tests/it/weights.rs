//! Weight files of every format, whole, foreign, broken and hostile.
#![cfg(feature = "torch")]
use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
};

use ncaers::internals::{
    model::{self, Backbone, ModelConfig, ModelName, Preset, Weights},
    weights::{self, Error},
};
use tch::{nn::VarStore, Device, Kind, Tensor};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/weights").join(name)
}

fn values(tensor: &Tensor) -> Vec<f64> {
    Vec::<f64>::try_from(tensor.to_kind(Kind::Double).flatten(0, -1).contiguous()).expect("values")
}

fn wanted(path: &Path) -> Weights {
    let path = path.to_str().expect("UTF-8").to_owned();
    Weights { path, new_head: false, into: Vec::new(), key: None }
}

/// A CAER-Net-S of a few thousand weights.
fn narrow() -> (ModelConfig, VarStore) {
    let widths = [2, 2, 2, 2, 4];
    let config = ModelConfig { widths, ..ModelConfig::of(ModelName::CaerNetS, Preset::Paper) };
    let store = fresh(&config, 1);
    (config, store)
}

fn fresh(config: &ModelConfig, seed: i64) -> VarStore {
    tch::manual_seed(seed);
    let store = VarStore::new(Device::Cpu);
    model::build(&store.root(), config).expect("builds");
    store
}

fn snapshot(store: &VarStore) -> BTreeMap<String, Vec<f64>> {
    store.variables().into_iter().map(|(name, tensor)| (name, values(&tensor))).collect()
}

fn write(folder: &Path, tensors: &BTreeMap<String, Tensor>) -> PathBuf {
    let path = folder.join("weights.safetensors");
    weights::write(&path, tensors, &serde_json::json!({})).expect("writes");
    path
}

#[test]
fn both_formats_of_pytorch_read_alike() {
    for name in ["zip.pth", "stream.pth"] {
        let tensors = weights::read(&fixture(name)).expect(name);
        let of = |key: &str| (tensors[key].size(), values(&tensors[key]));
        assert_eq!(of("turned.weight"), (vec![3, 2], vec![0., 3., 1., 4., 2., 5.]), "{name}");
        let part = (8..16).map(f64::from).collect();
        assert_eq!(of("part.weight"), (vec![2, 2, 2], part), "{name}");
        assert_eq!(of("half.bias"), (vec![3], vec![0.5, -2.0, 1024.0]), "{name}");
        assert_eq!(of("brain.bias"), (vec![2], vec![1.0, -0.25]), "{name}");
        assert_eq!(of("double.weight"), (vec![1, 2], vec![f64::from(1e-3f32), 2.5]), "{name}");
        assert_eq!(of("bn.num_batches_tracked"), (vec![], vec![7.0]), "{name}");
        assert_eq!(of("empty"), (vec![0, 3], vec![]), "{name}");
        assert_eq!(tensors.len(), 7);
    }
}

#[test]
fn a_training_script_s_checkpoint_gives_its_state_dict() {
    for name in ["checkpoint.pth.tar", "checkpoint_stream.pth.tar"] {
        let tensors = weights::read(&fixture(name)).expect(name);
        assert_eq!(tensors.keys().collect::<Vec<_>>(), ["bias", "weight"], "{name}");
        assert_eq!(values(&tensors["weight"]), [0., 1., 2., 3., 4., 5.]);
        assert_eq!(values(&tensors["bias"]), [6., 7.]);
    }
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("cut");
    let (_, store) = narrow();
    let own = write(folder.path(), &weights::tensors_of(&store));
    for whole in [fixture("zip.pth"), fixture("stream.pth"), own] {
        let bytes = std::fs::read(&whole).expect("readable");
        // The last storage of the older format may lack nothing but a few bytes.
        for end in (0..bytes.len()).step_by(bytes.len().div_ceil(97)).chain([bytes.len() - 1]) {
            std::fs::write(&path, &bytes[..end]).expect("written");
            let error = weights::read(&path).expect_err("refused");
            assert!(matches!(error, Error::Damaged { .. }), "{whole:?} {end}: {error}");
        }
    }
}

/// A PyTorch zip with the given pickle and one storage of two floats.
fn zipped(path: &Path, pickle: &[u8]) {
    let mut archive = zip::ZipWriter::new(std::fs::File::create(path).expect("created"));
    let stored =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in [("archive/data.pkl", pickle), ("archive/data/0", &[0u8; 8])] {
        archive.start_file(name, stored).expect("started");
        archive.write_all(bytes).expect("written");
    }
    archive.finish().expect("finished");
}

/// A state dict `{"w": tensor of `size`}` whose storage claims `numel` elements, in protocol 2.
fn state_dict(size: u8, numel: u8, offset: u8) -> Vec<u8> {
    let mut pickle = b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((".to_vec();
    pickle.extend(b"X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000");
    pickle.extend(b"X\x03\x00\x00\x00cpu");
    pickle.extend([b'K', numel, b't', b'Q', b'K', offset, b'K', size, 0x85, b'K', 1, 0x85]);
    pickle.extend(b"\x89ccollections\nOrderedDict\n)RtRs.");
    pickle
}

#[test]
fn a_hostile_pickle_is_named_and_not_run() {
    let folder = tempfile::tempdir().expect("folder");
    let (path, touched) = (folder.path().join("evil.pth"), folder.path().join("touched"));
    let call = format!("cposix\nsystem\n(X\x20\x00\x00\x00touch {:<26}tR", touched.display());
    // A good state dict, and a call whose result is thrown away.
    let mut pickle = b"\x80\x02".to_vec();
    pickle.extend(call.as_bytes());
    pickle.push(b'0');
    pickle.extend(&state_dict(2, 2, 0)[2..]);
    zipped(&path, &pickle);
    let error = weights::read(&path).expect_err("refused");
    assert!(matches!(&error, Error::Hostile { global, .. } if global == "posix.system"), "{error}");
    assert!(!touched.exists());
    zipped(&path, &state_dict(2, 2, 0));
    assert_eq!(values(&weights::read(&path).expect("reads")["w"]), [0.0, 0.0]);
}

#[test]
fn a_tensor_outside_its_storage_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("w.pth");
    for (size, numel, offset) in [(3, 2, 0), (3, 3, 0), (2, 2, 1), (1, 200, 200)] {
        zipped(&path, &state_dict(size, numel, offset));
        let error = weights::read(&path).expect_err("refused").to_string();
        assert!(error.contains("tensor `w`") && error.contains("storage of 2"), "{error}");
    }
}

#[test]
fn what_is_no_weights_file_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("w.pth");
    for bytes in [&b""[..], b"hello", b"PK\x03\x04 no zip", &[0xff; 64], b"\x80\x02N."] {
        std::fs::write(&path, bytes).expect("written");
        assert!(matches!(weights::read(&path), Err(Error::Damaged { .. })), "{bytes:?}");
    }
    zipped(&path, b"\x80\x02N.");
    let error = weights::read(&path).expect_err("refused").to_string();
    assert!(error.contains("no state dict"), "{error}");
    let missing = weights::read(&folder.path().join("none")).expect_err("refused");
    assert!(matches!(missing, Error::Unreadable { .. }));
}

#[test]
fn what_is_written_loads_into_a_fresh_network() {
    let _alone = crate::common::alone();
    let folder = tempfile::tempdir().expect("folder");
    let (config, store) = narrow();
    let path = write(folder.path(), &weights::tensors_of(&store));
    let other = fresh(&config, 2);
    assert_ne!(snapshot(&other), snapshot(&store));
    let loaded = weights::load(&other, config.name, &wanted(&path)).expect("loads");
    assert_eq!(snapshot(&other), snapshot(&store));
    assert_eq!((loaded.loaded, loaded.fresh.len()), (store.len(), 0));
}

#[test]
fn a_checkpoint_of_ours_is_a_weight_file() {
    let _alone = crate::common::alone();
    let folder = tempfile::tempdir().expect("folder");
    let (config, store) = narrow();
    let mut tensors = weights::tensors_of(&store);
    for aside in ["optimizer.fusion_net.fc1.bias.momentum", "stage1_head.head.bias"] {
        tensors.insert(aside.into(), Tensor::ones([7], (Kind::Float, Device::Cpu)));
    }
    let path = write(folder.path(), &tensors);
    let other = fresh(&config, 2);
    let loaded = weights::load(&other, config.name, &wanted(&path)).expect("loads");
    assert_eq!(snapshot(&other), snapshot(&store));
    assert_eq!(loaded.ignored.len(), 2);
}

#[test]
fn wrapped_names_load() {
    let _alone = crate::common::alone();
    let folder = tempfile::tempdir().expect("folder");
    let (config, store) = narrow();
    let wrapped = store.variables().into_iter().map(|(name, t)| (format!("module.{name}"), t));
    let path = write(folder.path(), &wrapped.collect());
    let other = fresh(&config, 2);
    weights::load(&other, config.name, &wanted(&path)).expect("loads");
    assert_eq!(snapshot(&other), snapshot(&store));
}

#[test]
fn a_mismatch_names_everything_and_changes_nothing() {
    let _alone = crate::common::alone();
    let folder = tempfile::tempdir().expect("folder");
    let (config, store) = narrow();
    let mut tensors = weights::tensors_of(&store);
    let bias = "two_stream_net.face_encoding_module.convs.0.bias";
    tensors.remove(bias);
    let norm = "fusion_net.face_bn.running_var";
    tensors.insert(norm.into(), Tensor::ones([9], (Kind::Float, Device::Cpu)));
    tensors.insert("stray".into(), Tensor::ones([1, 2], (Kind::Float, Device::Cpu)));
    let path = write(folder.path(), &tensors);
    let other = fresh(&config, 2);
    let before = snapshot(&other);
    let error = weights::load(&other, config.name, &wanted(&path)).expect_err("refused");
    assert_eq!(snapshot(&other), before);
    let Error::Mismatch { mismatch, .. } = &error else { panic!("{error}") };
    assert_eq!(mismatch.missing, [(bias.to_owned(), vec![2])]);
    assert_eq!(mismatch.unexpected, [("stray".to_owned(), vec![1, 2])]);
    assert_eq!(mismatch.misshapen, [(norm.to_owned(), vec![4], vec![9])]);
    assert!(!mismatch.head_only);
    let message = error.to_string();
    for part in [bias, "stray [1, 2]", "needs [4] but is [9]", "nothing was loaded"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_head_of_other_classes_needs_to_be_allowed() {
    let _alone = crate::common::alone();
    let folder = tempfile::tempdir().expect("folder");
    let config = ModelConfig::of(ModelName::Efficientface, Preset::Paper);
    let store = fresh(&config, 1);
    let mut tensors = weights::tensors_of(&store);
    tensors.insert("fc.weight".into(), Tensor::ones([9, 1024], (Kind::Float, Device::Cpu)));
    tensors.insert("fc.bias".into(), Tensor::ones([9], (Kind::Float, Device::Cpu)));
    let path = write(folder.path(), &tensors);
    let other = fresh(&config, 2);
    let before = snapshot(&other);
    let error = weights::load(&other, config.name, &wanted(&path)).expect_err("refused");
    assert!(error.to_string().contains("new_head"), "{error}");
    assert_eq!(snapshot(&other), before);
    let allowed = Weights { new_head: true, ..wanted(&path) };
    let loaded = weights::load(&other, config.name, &allowed).expect("loads");
    assert_eq!(loaded.fresh, ["fc.bias", "fc.weight"]);
    let (after, source) = (snapshot(&other), snapshot(&store));
    for (name, values) in &after {
        let from = if name.starts_with("fc.") { &before } else { &source };
        assert_eq!(values, &from[name], "{name}");
    }
}

#[test]
fn a_backbone_fills_both_encoders() {
    let _alone = crate::common::alone();
    let folder = tempfile::tempdir().expect("folder");
    let source = fresh(&ModelConfig::of(ModelName::Resnet18, Preset::Paper), 1);
    let path = write(folder.path(), &weights::tensors_of(&source));
    let config = ModelConfig { backbone: Backbone::Resnet18, ..ModelConfig::default() };
    let store = fresh(&config, 2);
    let into = vec!["face_encoder".to_owned(), "context_encoder".to_owned()];
    let strict = Weights { into: into.clone(), ..wanted(&path) };
    let error = weights::load(&store, config.name, &strict).expect_err("a head is left over");
    assert!(error.to_string().contains("fc.weight [7, 512]"), "{error}");
    let allowed = Weights { new_head: true, ..strict };
    weights::load(&store, config.name, &allowed).expect("loads");
    let (ours, theirs) = (snapshot(&store), snapshot(&source));
    for part in into {
        assert_eq!(ours[&format!("{part}.layer4.1.bn2.bias")], theirs["layer4.1.bn2.bias"]);
        assert_eq!(ours[&format!("{part}.conv1.weight")], theirs["conv1.weight"]);
    }
}

#[test]
fn values_that_are_not_finite_are_named() {
    let folder = tempfile::tempdir().expect("folder");
    let (config, store) = narrow();
    let mut tensors = weights::tensors_of(&store);
    tensors.insert("fusion_net.fc2.bias".into(), Tensor::from_slice(&[f32::NAN; 7]));
    let path = write(folder.path(), &tensors);
    let error = weights::load(&store, config.name, &wanted(&path)).expect_err("refused");
    let Error::NotFinite { name, shape, count, .. } = error else { panic!("{error}") };
    assert_eq!((name.as_str(), shape, count), ("fusion_net.fc2.bias", vec![7], 7));
}

/// `keys` in a dictionary, each with the state dict of one tensor.
fn wrapped_pickle(keys: &[&str]) -> Vec<u8> {
    let mut pickle = b"\x80\x02}".to_vec();
    for key in keys {
        pickle.extend([b'X', key.len() as u8, 0, 0, 0]);
        pickle.extend(key.as_bytes());
        let inner = state_dict(2, 2, 0);
        pickle.extend(&inner[2..inner.len() - 1]);
        pickle.push(b's');
    }
    pickle.push(b'.');
    pickle
}

#[test]
fn every_wrapper_s_prefix_comes_off_and_is_said() {
    let folder = tempfile::tempdir().expect("folder");
    let (config, store) = narrow();
    for prefix in ["_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model.", "net."] {
        let all = store.variables().into_iter().map(|(name, t)| (format!("{prefix}{name}"), t));
        let path = write(folder.path(), &all.collect());
        let other = fresh(&config, 2);
        let loaded = weights::load(&other, config.name, &wanted(&path)).expect(prefix);
        assert_eq!(snapshot(&other), snapshot(&store), "{prefix}");
        assert_eq!(loaded.stripped, prefix);
        assert_eq!(loaded.summary(), format!("names without `{prefix}`"));
    }
    // Beside something else, a prefix is named and can be asked for.
    let mut all: BTreeMap<_, _> =
        store.variables().into_iter().map(|(name, t)| (format!("student.{name}"), t)).collect();
    all.insert("criterion.weight".into(), Tensor::ones([7], (Kind::Float, Device::Cpu)));
    let path = write(folder.path(), &all);
    let other = fresh(&config, 2);
    let error =
        weights::load(&other, config.name, &wanted(&path)).expect_err("refused").to_string();
    assert!(error.contains("`--key student` takes those"), "{error}");
    assert!(error.len() < 1500, "{} characters: {error}", error.len());
    let chosen = Weights { key: Some("student".into()), ..wanted(&path) };
    weights::load(&other, config.name, &chosen).expect("loads");
    assert_eq!(snapshot(&other), snapshot(&store));
}

#[test]
fn of_several_state_dicts_one_has_to_be_chosen() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("w.pth");
    zipped(&path, &wrapped_pickle(&["model", "model_ema"]));
    let error = weights::read(&path).expect_err("refused");
    assert!(matches!(error, Error::Several { .. }));
    let error = error.to_string();
    assert!(error.contains("`model` (1 tensors), `model_ema` (1 tensors)"), "{error}");
    for key in ["model", "model_ema"] {
        let found = weights::read_key(&path, Some(key)).expect("reads");
        assert_eq!((found.key.as_str(), found.tensors.len()), (key, 1));
    }
    let error = weights::read_key(&path, Some("ema")).expect_err("refused").to_string();
    assert!(error.contains("2 state dicts") || error.contains("none of"), "{error}");
    zipped(&path, &wrapped_pickle(&["state_dict_ema"]));
    assert_eq!(weights::read_key(&path, None).expect("the only one").key, "state_dict_ema");
}

#[test]
fn what_holds_no_state_dict_is_said_and_not_called_damaged() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("w.pth");
    let whole = b"\x80\x02cmodels.glamor\nGLAMOR\n)\x81}X\x08\x00\x00\x00training\x88sb.";
    zipped(&path, whole);
    let told = || {
        let error = weights::read(&path).expect_err("refused");
        assert!(matches!(error, Error::NoStateDict { .. }), "{error}");
        error.to_string()
    };
    assert!(
        told().contains("a whole pickled object of class `models.glamor.GLAMOR`"),
        "{}",
        told()
    );
    let inside = [b"\x80\x02}X\x05\x00\x00\x00model", &whole[2..whole.len() - 1], b"s."].concat();
    zipped(&path, &inside);
    assert!(told().contains("`model` is a whole pickled object"), "{}", told());
    zipped(&path, b"\x80\x02}X\x05\x00\x00\x00epochK\x03s.");
    assert!(told().contains("a dictionary of `epoch` without tensors"), "{}", told());
    zipped(&path, b"\x80\x02]N\x61.");
    assert!(told().contains("a list of 1 values"), "{}", told());
}
