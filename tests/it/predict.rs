//! `ncaers predict`: the answers of the selected checkpoint, counted on the test split.
#![cfg(feature = "torch")]

use crate::common::runs;
use ncaers::{
    manifest::{self, Manifest},
    record::Split,
    runs::RunFolder,
};
use runs::{refusal, World};

#[test]
fn answers_agree_with_what_was_selected() {
    let world = World::new();
    world.train("r", &[]).assert().success();
    world.predict("r", "val").assert().success();
    let folder = RunFolder::new(&world.path("r"));
    let (rows, meta) = folder.predictions(Split::Val).unwrap();
    let record = folder.record().unwrap();
    let right = rows.iter().filter(|row| row.target == row.predicted).count();
    let accuracy = right as f64 / rows.len() as f64;
    assert_eq!(record.selected.unwrap().val_accuracy, Some(accuracy));
    assert_eq!((meta["run_id"].as_str(), rows.len()), (record.run_id.as_str(), 7));
    assert!(rows.windows(2).all(|pair| pair[0].sample_id < pair[1].sample_id));
    for row in &rows {
        assert!((row.w_face.unwrap() + row.w_context.unwrap() - 1.0).abs() < 1e-5);
    }
    let bytes = world.bytes("r/attention-val.safetensors");
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let maps = file.tensor("attention").unwrap();
    assert_eq!(maps.shape(), [7, 7, 7]);
    let values: Vec<f32> =
        maps.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    for map in values.chunks_exact(49) {
        assert!((map.iter().sum::<f32>() - 1.0).abs() < 1e-4);
    }
}

#[test]
fn what_was_predicted_elsewhere_is_predicted_anew() {
    let world = World::new();
    world.train("r", &["--set", "train.epochs=1"]).assert().success();
    world.predict("r", "val").assert().success();
    let folder = RunFolder::new(&world.path("r"));
    let (rows, meta) = folder.predictions(Split::Val).unwrap();
    let here = world.bytes("r/predictions-val.parquet");
    for (key, value) in [("device", "NVIDIA H100 80GB HBM3"), ("precision", "bf16")] {
        let mut elsewhere = meta.clone();
        assert!(elsewhere.insert(key.into(), value.into()).is_some(), "{key} is recorded");
        let path = folder.predictions_path(Split::Val);
        manifest::write_predictions(&path, &rows, &elsewhere).unwrap();
        let again = world.predict("r", "val").assert().success();
        let said = String::from_utf8_lossy(&again.get_output().stdout).into_owned();
        assert!(said.contains("written"), "{said}");
        assert!(world.bytes("r/predictions-val.parquet") == here, "{key}");
    }
}

#[test]
fn every_look_at_the_test_split_is_counted_once() {
    let world = World::new();
    world.train("r", &["--set", "train.epochs=1"]).assert().success();
    let looks = || RunFolder::new(&world.path("r")).test_looks().unwrap().len();
    world.predict("r", "val").assert().success();
    assert_eq!(looks(), 0);
    world.predict("r", "test").assert().success();
    assert_eq!(looks(), 1);
    let before = world.bytes("r/predictions-test.parquet");
    let again = world.predict("r", "test").assert().success();
    assert!(String::from_utf8_lossy(&again.get_output().stdout).contains("already done"));
    assert_eq!(looks(), 1);
    std::fs::remove_file(world.path("r/predictions-test.parquet")).unwrap();
    world.predict("r", "test").assert().success();
    assert_eq!(looks(), 2);
    assert!(before == world.bytes("r/predictions-test.parquet"), "same checkpoint, other bytes");
}

#[test]
fn models_without_attention_leave_no_maps() {
    let world = World::new();
    let face = ["--set", "model.branches=face", "--set", "train.epochs=1"];
    world.train("r", &face).assert().success();
    world.predict("r", "test").assert().success();
    assert!(!world.path("r/attention-test.safetensors").exists());
    let (rows, _) = RunFolder::new(&world.path("r")).predictions(Split::Test).unwrap();
    assert!(rows.iter().all(|row| row.w_face.is_none() && row.w_context.is_none()));
}

#[test]
fn what_cannot_answer_is_refused_in_one_line() {
    let world = World::new();
    let message = refusal(&mut world.predict("nothing", "val"));
    assert!(message.contains("is not a run folder"), "{message}");
    let short = ["--set", "train.epochs=1", "--set", "train.stage1_epochs=0"];
    world.train("a", &short).assert().success();
    let other = [&short[..], &["--set", "model.attention=ca"]].concat();
    world.train("b", &other).assert().success();
    std::fs::copy(world.path("b/best.safetensors"), world.path("a/best.safetensors")).unwrap();
    let message = refusal(&mut world.predict("a", "val"));
    assert!(message.contains("checkpoint of another run"), "{message}");
    std::fs::write(world.path("a/best.safetensors"), b"half").unwrap();
    let message = refusal(&mut world.predict("a", "val"));
    assert!(message.contains("damaged or not a safetensors"), "{message}");
    std::fs::remove_file(world.path("a/best.safetensors")).unwrap();
    let message = refusal(&mut world.predict("a", "val"));
    assert!(message.contains("has no best.safetensors"), "{message}");
    assert!(!world.path("a/predictions-val.parquet").exists());
}

#[test]
fn the_selected_checkpoint_holds_weights_alone_and_older_ones_with_more_are_read() {
    let world = World::new();
    world.train("r", &["--set", "train.epochs=1"]).assert().success();
    let names = |file: &str| {
        let bytes = world.bytes(&format!("r/{file}"));
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        file.names().iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()
    };
    let is_aside = |name: &&String| name.starts_with("optimizer.") || name.contains("head");
    assert_eq!(names("best.safetensors").iter().find(is_aside), None);
    assert!(names("last.safetensors").iter().any(|name| name.starts_with("optimizer.")));
    world.predict("r", "val").assert().success();
    let answers = || RunFolder::new(&world.path("r")).predictions(Split::Val).unwrap().0;
    let before = answers();
    // Programs before wrote the optimizer's tensors into the selected checkpoint as well.
    std::fs::copy(world.path("r/last.safetensors"), world.path("r/best.safetensors")).unwrap();
    std::fs::remove_file(world.path("r/predictions-val.parquet")).unwrap();
    world.predict("r", "val").assert().success();
    assert_eq!(answers(), before);
}

#[test]
fn a_network_that_knows_drawn_faces_says_so_of_other_pictures() {
    let world = World::new();
    let mut drawn = Manifest::read(&world.path("m")).unwrap();
    drawn.meta.insert("corpus".into(), "demo".into());
    std::fs::rename(world.path("m"), world.path("other")).unwrap();
    std::fs::rename(world.path("p"), world.path("other-pack")).unwrap();
    std::fs::create_dir(world.path("m")).unwrap();
    drawn.write(&world.path("m")).unwrap();
    std::fs::rename(world.path("other/images"), world.path("m/images")).unwrap();
    world.pack();
    let short = ["--set", "train.epochs=1", "--set", "train.stage1_epochs=0"];
    world.train("r", &short).assert().success();
    assert!(RunFolder::new(&world.path("r")).record().unwrap().synthetic);
    let said = |command: &mut assert_cmd::Command| {
        let out = command.assert().success();
        String::from_utf8_lossy(&out.get_output().stderr).into_owned()
    };
    assert!(!said(&mut world.predict("r", "val")).contains("demonstration"));
    // The data set need not be at hand any more.
    std::fs::rename(world.path("m"), world.path("gone")).unwrap();
    let mut other = crate::common::ncaers();
    other.arg("predict").arg(world.path("other")).args(["--split", "test", "--pack"]);
    other.arg(world.path("other-pack")).arg("--run").arg(world.path("r"));
    let said = said(&mut other);
    assert!(said.contains("note: demonstration network"), "{said}");
}
