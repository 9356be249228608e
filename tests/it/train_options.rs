//! What `[train]` can be told, and what it does when the machine runs out of something.
#![cfg(feature = "torch")]

use crate::common::runs;
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
};

use ncaers::{
    internals::weights,
    manifest::Manifest,
    record::{Emotion, Split},
    runs::{EpochRow, RunFolder, Status},
    Experiment,
};
use runs::{refusal, World};
use tch::Tensor;

/// `--set` before every setting.
fn set<'a>(settings: &[&'a str]) -> Vec<&'a str> {
    settings.iter().flat_map(|&setting| ["--set", setting]).collect()
}

#[test]
fn the_last_epoch_can_be_kept_and_then_no_validation_is_needed() {
    let world = World::new();
    let last = ["--set", "train.selection=last"];
    world.train("last", &last).assert().success();
    let selected = RunFolder::new(&world.path("last")).record().unwrap().selected.unwrap();
    assert_eq!(selected.epoch, 2);
    assert!(selected.val_accuracy.is_some() && selected.reason.starts_with("the last epoch"));

    let mut manifest = Manifest::read(&world.path("m")).unwrap();
    manifest.samples.retain(|s| s.split != Split::Val);
    manifest.write(&world.path("m")).unwrap();
    std::fs::remove_dir_all(world.path("p")).unwrap();
    world.pack();
    let message = refusal(&mut world.train("none", &[]));
    assert!(message.contains("the validation part is empty"), "{message}");
    assert!(message.contains("--val-share 10") && message.contains("selection"), "{message}");
    world.train("none", &[&last[..], &["--resume"]].concat()).assert().success();
    let folder = RunFolder::new(&world.path("none"));
    let record = folder.record().unwrap();
    let selected = record.selected.unwrap();
    assert_eq!((selected.epoch, selected.val_accuracy), (2, None));
    assert!(folder.epochs().unwrap().iter().all(|row| row.val_loss.is_none()));
    assert!(record.processor.is_some(), "this machine names its processor");
    world.predict("none", "test").assert().success();
    let message =
        refusal(&mut world.train("x", &[&last[..], &["--set", "train.early_stop=2"]].concat()));
    assert!(message.contains("train.early_stop = 2"), "{message}");
}

fn joint(world: &World, run: &str) -> Vec<EpochRow> {
    let rows = RunFolder::new(&world.path(run)).epochs().unwrap();
    rows.into_iter().filter(|row| row.stage == "joint").collect()
}

fn tensors(world: &World, file: &str) -> BTreeMap<String, Tensor> {
    weights::read(&world.path(file)).unwrap()
}

#[test]
fn warm_up_raises_the_rate_step_by_step() {
    let world = World::new();
    // 21 samples in batches of 8 are three steps.
    let more =
        set(&["train.warmup=4", "train.stage1_epochs=0", "train.schedule={kind=\"constant\"}"]);
    world.train("r", &more).assert().success();
    let rates: Vec<f64> = joint(&world, "r").iter().map(|row| row.learning_rate).collect();
    assert_eq!(rates, [0.05 * 3.0 / 4.0, 0.05]);
}

#[test]
fn early_stopping_ends_a_run_that_does_not_get_better() {
    let world = World::new();
    let more = set(&["train.early_stop=2", "train.epochs=60", "train.learning_rate=1e-9"]);
    world.train("r", &more).assert().success();
    let (rows, record) = (joint(&world, "r"), RunFolder::new(&world.path("r")).record().unwrap());
    assert_eq!(record.status, Status::Finished);
    assert!(rows.len() < 60, "{} epochs", rows.len());
    assert_eq!(rows.len() as u32, record.selected.unwrap().epoch + 2);
}

#[test]
fn a_frozen_backbone_keeps_its_bits_and_the_head_learns() {
    let world = World::new();
    world.train("first", &[]).assert().success();
    let start = format!("model.weights={:?}", world.path("first/best.safetensors"));
    let more = set(&[&start, "model.freeze=backbone"]);
    world.train("second", &more).assert().success();
    let before = tensors(&world, "first/best.safetensors");
    let after = tensors(&world, "second/best.safetensors");
    for name in after.keys() {
        let head = ["attention", "fusion", "classifier"].iter().any(|part| name.starts_with(part));
        let is_weight = name.ends_with("weight");
        if !head {
            assert_eq!(before[name], after[name], "{name}");
        } else if is_weight {
            assert_ne!(before[name], after[name], "{name}");
        }
    }
    // Nothing of the encoders is left to train ahead.
    let stages = RunFolder::new(&world.path("second")).epochs().unwrap();
    assert!(stages.iter().all(|row| row.stage == "joint"));
}

#[test]
fn a_teacher_gives_the_targets() {
    let world = World::new();
    world.train("teacher", &[]).assert().success();
    let teacher = format!("train.teacher={:?}", world.path("teacher"));
    let student = set(&["train.loss=label_distribution", &teacher]);
    world.train("student", &student).assert().success();
    // Minus the mean over classes of p log q lies between log(7) / 7 and somewhat above.
    let loss = joint(&world, "student")[0].train_loss;
    assert!((0.05..1.0).contains(&loss), "{loss}");
    let lonely = refusal(&mut world.train("x", &set(&["train.loss=label_distribution"])));
    assert!(lonely.contains("train.teacher") && lonely.contains("need each other"), "{lonely}");
    let other = [&student[..], &set(&["model.normalization=imagenet"])].concat();
    let message = refusal(&mut world.train("y", &other));
    assert!(message.contains("does not see its pictures as this model does"), "{message}");
    let heads = refusal(&mut world.train("z", &set(&["train.loss=local_global"])));
    assert!(heads.contains("logits_local") && heads.contains("ma_net"), "{heads}");
}

#[test]
fn every_option_at_once_is_repeatable() {
    let world = World::new();
    let more = set(&[
        "train.optimizer=adam",
        "train.amsgrad=true",
        "train.learning_rate=0.01",
        "train.precision=bf16",
        "train.deterministic=true",
        "train.label_smoothing=0.1",
        "train.class_weights=balanced",
        "train.clip_grad=1.0",
        "train.weight_decay=1e-3",
        "train.augment.flip=each",
        "train.augment.shift=3",
        "train.augment.crop_scale=0.5",
        "train.augment.rotation=15",
        "train.augment.brightness=0.2",
        "train.augment.contrast=0.2",
        "train.augment.saturation=0.3",
        "train.augment.hue=0.1",
    ]);
    for run in ["a", "b"] {
        world.train(run, &more).assert().success();
    }
    assert!(world.bytes("a/last.safetensors") == world.bytes("b/last.safetensors"));
    assert_eq!(joint(&world, "a").len(), 2);
    let plain: Vec<&str> = more.into_iter().filter(|w| *w != "train.augment.hue=0.1").collect();
    let plain: Vec<&str> = plain[..plain.len() - 1].to_vec();
    world.train("c", &plain).assert().success();
    assert!(world.bytes("a/last.safetensors") != world.bytes("c/last.safetensors"));
}

#[test]
fn a_random_crop_changes_the_run_and_the_whole_window_does_not() {
    let world = World::new();
    let trained = |run: &str, scale: &'static str| {
        world.train(run, &set(&["train.epochs=1", scale])).assert().success();
        world.bytes(&format!("{run}/last.safetensors"))
    };
    let weights = |run: &str| -> Vec<Tensor> {
        tensors(&world, &format!("{run}/last.safetensors")).into_values().collect()
    };
    let none = trained("none", "train.augment.flip=face");
    assert!(none == trained("whole", "train.augment.crop_scale=1"));
    trained("half", "train.augment.crop_scale=0.5");
    assert_ne!(weights("none"), weights("half"));
    let message = refusal(&mut world.train("x", &set(&["train.augment.crop_scale=0"])));
    assert!(message.contains("train.augment.crop_scale is 0"), "{message}");
}

#[test]
fn a_class_without_a_training_sample_is_allowed_where_that_is_meant() {
    let world = World::without(&[Emotion::Fear, Emotion::Sad]);
    let allow = set(&[
        "train.missing_classes=allow",
        "train.class_weights=balanced",
        "train.label_smoothing=0.1",
    ]);
    // A grid says before it starts what cannot run.
    let base = std::fs::read_to_string(world.path("x.toml")).unwrap();
    std::fs::write(world.path("grid.toml"), base + "[[run]]\nlabel = \"a\"\n").unwrap();
    for (more, is_told) in [(&[][..], true), (&allow[..], false)] {
        let mut grid = crate::common::ncaers();
        grid.arg("ablation").arg(world.path("grid.toml")).arg("--out").arg(world.path("runs"));
        grid.arg("--report").arg(world.path("report")).arg("--dry-run").args(more);
        let out = grid.output().unwrap();
        let text = String::from_utf8([out.stdout, out.stderr].concat()).unwrap();
        assert_eq!(text.contains("no sample of Fear, Sad; where that is meant"), is_told, "{text}");
    }
    world.train("r", &allow).assert().success();
    let record = RunFolder::new(&world.path("r")).record().unwrap();
    let told = |warning: &String| warning.contains("no sample of Fear, Sad");
    assert!(record.warnings.iter().any(told), "{:?}", record.warnings);
    for row in joint(&world, "r") {
        assert!(row.train_loss > 0.0 && row.train_loss < 5.0, "{}", row.train_loss);
    }
}

#[test]
fn averaged_weights_and_mirrored_views_are_validated_and_training_stays_as_it_is() {
    let world = World::new();
    let ways = [
        ("plain", set(&[])),
        ("averaged", set(&["train.weight_average=0.9"])),
        ("mirrored", set(&["train.flip_at_test=true"])),
    ];
    let rows = ways.map(|(run, more)| {
        world.train(run, &more).assert().success();
        world.predict(run, "val").assert().success();
        joint(&world, run).into_iter().map(|r| (r.train_loss, r.val_loss)).unzip()
    });
    let [plain, averaged, mirrored]: [(Vec<f64>, Vec<Option<f64>>); 3] = rows;
    for (trained, validated) in [averaged, mirrored] {
        assert_eq!(trained, plain.0);
        assert!(validated.iter().zip(&plain.1).all(|(a, b)| a != b && a.is_some()));
    }
    let predictions = |run: &str| world.bytes(&format!("{run}/predictions-val.parquet"));
    assert!(predictions("plain") != predictions("averaged"));
    assert!(predictions("plain") != predictions("mirrored"));

    let (mut child, mut lines) = world.start("killed", &set(&["train.weight_average=0.9"]));
    assert!(runs::reaches(&mut lines, "joint 1/2"), "the run ended before its second epoch");
    child.kill().unwrap();
    child.wait().unwrap();
    let again = [&set(&["train.weight_average=0.9"])[..], &["--resume"]].concat();
    world.train("killed", &again).assert().success();
    for file in ["last.safetensors", "best.safetensors"] {
        let same =
            world.bytes(&format!("averaged/{file}")) == world.bytes(&format!("killed/{file}"));
        assert!(same, "{file} differs after a kill");
    }
}

#[test]
fn a_fusion_that_ignores_a_branch_is_told() {
    let world = World::new();
    world.train("first", &set(&["train.epochs=1", "train.stage1_epochs=0"])).assert().success();
    let mut start = tensors(&world, "first/best.safetensors");
    start.insert("fusion.face.fc2.bias".into(), Tensor::from_slice(&[-50.0f32]));
    weights::write(&world.path("deaf.safetensors"), &start, &serde_json::json!({})).unwrap();
    let deaf = format!("model.weights={:?}", world.path("deaf.safetensors"));
    let more = set(&[&deaf, "train.epochs=1", "train.stage1_epochs=0", "train.learning_rate=1e-6"]);
    let out = world.train("r", &more).assert().success();
    let text = String::from_utf8_lossy(&out.get_output().stdout).into_owned();
    assert!(text.contains("warning: the fusion ignores the face"), "{text}");
    let record = RunFolder::new(&world.path("r")).record().unwrap();
    assert!(record.warnings[0].contains("mean weight 0.000 in epoch 1"), "{:?}", record.warnings);
}

/// The program on its experiment where no file may grow beyond `limit` bytes.
fn limited(world: &World, out: &str, limit: u64, more: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ncaers"));
    command.arg("train").arg(world.path("x.toml")).arg("--out").arg(world.path(out)).args(more);
    // SAFETY: both calls may stand between fork and exec.
    unsafe {
        command.pre_exec(move || {
            let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
            libc::setrlimit(libc::RLIMIT_FSIZE, &limit);
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            Ok(())
        });
    }
    let done = command.output().unwrap();
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    (done.status.code().unwrap_or(-1), told.lines().last().unwrap_or_default().to_owned())
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_full_disk_keeps_what_was_whole() {
    let world = World::new();
    // Larger than the bindings that are unpacked before, so that the checkpoint alone is cut.
    let wide = "model.widths=[32,64,128,256,256]";
    let joint_only = set(&["train.stage1_epochs=0", "train.epochs=1", wide]);
    world.train("whole", &joint_only).assert().success();
    let size = world.bytes("whole/last.safetensors").len() as u64;
    let (code, told) = limited(&world, "r", size / 2, &joint_only);
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("safetensors") && told.contains("too large"), "{told}");
    let left = names(&world.path("r"));
    assert!(!left.iter().any(|name| name.contains("safetensors")), "{left:?}");
    // With room again, the same command goes on.
    world.train("r", &[&joint_only[..], &["--resume"]].concat()).assert().success();
    assert!(world.bytes("r/last.safetensors") == world.bytes("whole/last.safetensors"));
}

#[test]
fn one_folder_is_one_process() {
    let world = World::new();
    let mut first = Command::new(env!("CARGO_BIN_EXE_ncaers"))
        .args(["train".as_ref(), world.path("x.toml").as_os_str(), "--out".as_ref()])
        .arg(world.path("r"))
        .args(set(&["train.epochs=2000"]))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(first.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("face 1/1")), "it has begun");
    let message = refusal(&mut world.train("r", &set(&["train.epochs=2000"])));
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(message.contains("in use by another ncaers process"), "{message}");
}

#[test]
fn every_recipe_resolves() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/recipes");
    let found = names(&folder);
    assert!(found.len() >= 5, "{found:?}");
    for name in found {
        let recipe = Experiment::read(&folder.join(&name), &[]).unwrap();
        assert!(recipe.label.is_some() && recipe.data.pack.is_some(), "{name}");
    }
}
