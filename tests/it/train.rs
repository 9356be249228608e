//! `ncaers train`: the run folder, resumption to the bit, and everything that it must refuse.
#![cfg(feature = "torch")]

use crate::common;
use crate::common::runs;
use std::io::BufRead;

use common::ncaers;
use ncaers::{
    record::Emotion,
    runs::{RunFolder, Status},
};
use runs::{reaches, refusal, World};

#[test]
fn a_run_fills_its_folder_and_says_what_it_selected() {
    let world = World::new();
    let out = world.train("r", &[]).assert().success();
    let text = String::from_utf8_lossy(&out.get_output().stdout).into_owned();
    assert!(
        text.contains("selected epoch") && text.contains("highest validation accuracy"),
        "{text}"
    );
    let folder = RunFolder::new(&world.path("r"));
    let record = folder.record().unwrap();
    assert_eq!(record.status, Status::Finished);
    let stages: Vec<_> =
        folder.epochs().unwrap().into_iter().map(|row| (row.stage, row.epoch)).collect();
    let expected = [("face", 1), ("context", 1), ("joint", 1), ("joint", 2)];
    assert_eq!(stages, expected.map(|(stage, epoch)| (stage.to_owned(), epoch)));
    let best = folder.epochs().unwrap().into_iter().filter(|row| row.stage == "joint");
    let best = best.map(|row| row.val_accuracy.unwrap()).fold(0.0, f64::max);
    assert_eq!(record.selected.unwrap().val_accuracy, Some(best));
    for row in folder.epochs().unwrap().iter().filter(|row| row.stage == "joint") {
        assert!((row.w_face.unwrap() + row.w_context.unwrap() - 1.0).abs() < 1e-5);
    }
    let again = world.train("r", &[]).assert().success();
    assert!(String::from_utf8_lossy(&again.get_output().stdout).contains("already done"));
}

#[test]
fn a_network_learns_the_colour_of_its_pictures() {
    let world = World::new();
    let more = [
        "train.epochs=80",
        "train.learning_rate=0.05",
        "train.dropout=0",
        "train.schedule={kind=\"linear\", end=0.05}",
        "model.widths=[8, 8, 8, 8, 16]",
    ];
    let more: Vec<&str> = more.iter().flat_map(|&setting| ["--set", setting]).collect();
    world.train("r", &more).assert().success();
    let rows = RunFolder::new(&world.path("r")).epochs().unwrap();
    let joint: Vec<_> = rows.iter().filter(|row| row.stage == "joint").collect();
    let (first, last) = (joint[0].train_loss, joint[joint.len() - 1].train_loss);
    assert!(last < 0.6 * first, "training loss {first} -> {last}");
    let best = joint.iter().map(|row| row.val_accuracy.unwrap()).fold(0.0, f64::max);
    assert!(best > 0.5, "validation accuracy {best}, chance is 0.14");
}

const LONGER: [&str; 4] = ["--set", "train.epochs=4", "--set", "train.stage1_epochs=2"];
const FILES: [&str; 2] = ["last.safetensors", "best.safetensors"];

#[test]
fn killed_anywhere_and_resumed_ends_in_the_same_bytes() {
    let world = World::new();
    world.train("whole", &LONGER).assert().success();
    for (i, mark) in ["face 1/2", "context 1/2", "joint 1/4", "joint 3/4"].into_iter().enumerate() {
        let out = format!("killed{i}");
        let (mut child, mut lines) = world.start(&out, &LONGER);
        assert!(reaches(&mut lines, mark), "the run ended before `{mark}`");
        child.kill().unwrap();
        child.wait().unwrap();
        let extra = [&LONGER[..], &["--resume"]].concat();
        world.train(&out, &extra).assert().success();
        for file in FILES {
            let (a, b) =
                (world.bytes(&format!("whole/{file}")), world.bytes(&format!("{out}/{file}")));
            assert!(a == b, "{file} differs after a kill at {mark}");
        }
        let epochs = |name: &str| {
            let rows = RunFolder::new(&world.path(name)).epochs().unwrap();
            rows.into_iter()
                .map(|r| (r.stage, r.epoch, r.train_loss, r.val_loss))
                .collect::<Vec<_>>()
        };
        assert_eq!(epochs("whole"), epochs(&out), "{mark}");
    }
}

/// Whoever reads the messages goes away, as behind `| head -2` or a terminal that is closed.
#[test]
fn training_goes_on_when_nobody_reads_its_messages() {
    let world = World::new();
    world.train("whole", &LONGER).assert().success();
    let (mut child, mut lines) = world.start("alone", &LONGER);
    assert!(reaches(&mut lines, "face 1/2"));
    drop(lines);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    for file in FILES {
        assert!(
            world.bytes(&format!("whole/{file}")) == world.bytes(&format!("alone/{file}")),
            "{file}"
        );
    }
}

#[test]
fn an_interrupt_saves_in_the_middle_of_an_epoch_and_says_how_to_go_on() {
    let world = World::new();
    world.train("whole", &LONGER).assert().success();
    let (mut child, mut lines) = world.start("stopped", &LONGER);
    assert!(reaches(&mut lines, "joint 1/4"));
    // SAFETY: the child is ours and not yet waited for.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    let told: Vec<String> = lines.lines().map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{told:?}");
    assert!(told.last().unwrap().contains("--resume"), "{told:?}");
    let status = RunFolder::new(&world.path("stopped")).record().unwrap().status;
    assert_eq!(status, Status::Interrupted);
    let message = refusal(&mut world.train("stopped", &LONGER));
    assert!(message.contains("unfinished run") && message.contains("--resume"), "{message}");
    world.train("stopped", &[&LONGER[..], &["--resume"]].concat()).assert().success();
    for file in FILES {
        assert!(
            world.bytes(&format!("whole/{file}")) == world.bytes(&format!("stopped/{file}")),
            "{file}"
        );
    }
}

#[test]
fn sharing_stage_one_changes_no_byte() {
    let world = World::new();
    let cache = world.path("cache");
    let share = ["--stage1-cache", cache.to_str().unwrap()];
    world.train("alone", &[]).assert().success();
    world.train("first", &share).assert().success();
    let second = world.train("second", &share).assert().success();
    let told = String::from_utf8_lossy(&second.get_output().stderr).into_owned();
    assert_eq!(told.matches("taken from the shared folder").count(), 2, "{told}");
    let other = [&share[..], &["--set", "model.attention=none"]].concat();
    let told = world.train("other", &other).assert().success();
    assert!(String::from_utf8_lossy(&told.get_output().stderr).contains("taken from"));
    let reseeded = [&share[..], &["--seed", "2"]].concat();
    let told = world.train("reseeded", &reseeded).assert().success();
    assert!(!String::from_utf8_lossy(&told.get_output().stderr).contains("taken from"));
    for out in ["first", "second"] {
        for file in FILES {
            assert!(
                world.bytes(&format!("alone/{file}")) == world.bytes(&format!("{out}/{file}")),
                "{out}/{file}"
            );
        }
    }
}

#[test]
fn another_seed_is_another_run() {
    let world = World::new();
    world.train("a", &["--seed", "1"]).assert().success();
    world.train("b", &["--seed", "2"]).assert().success();
    assert!(world.bytes("a/last.safetensors") != world.bytes("b/last.safetensors"));
}

#[test]
fn what_cannot_be_trained_is_refused_in_one_line() {
    let world = World::without(&[Emotion::Fear, Emotion::Sad]);
    let message = refusal(&mut world.train("r", &[]));
    assert!(message.contains("no sample of Fear, Sad"), "{message}");
    let world = World::new();
    let refuse = |extra: &[&str]| refusal(&mut world.train("r", extra));
    let message = refuse(&["--set", "model.context=visible"]);
    assert!(message.contains("context_visible") && message.contains("--inputs"), "{message}");
    let message = refuse(&["--set", "data.pack=/nowhere"]);
    assert!(message.contains("/nowhere") && message.contains("ncaers pack"), "{message}");
    assert!(refuse(&["--set", "train.epoch=3"]).contains("did you mean `train.epochs`"));
    assert!(refuse(&["--set", "train.device=cuda:9"]).contains("cuda:9"));
    assert!(refuse(&["--set", "train.device=gpu"]).contains("must be auto, cpu, cuda"));
    world.train("r", &[]).assert().success();
    let message = refuse(&["--set", "train.epochs=3"]);
    assert!(message.contains("train.epochs: 2 -> 3"), "{message}");
}

#[test]
fn a_loss_that_is_no_number_names_the_step_and_keeps_the_last_good_checkpoint() {
    let world = World::new();
    let wild = ["--set", "train.learning_rate=1e30", "--set", "train.stage1_epochs=0"];
    let message = refusal(&mut world.train("r", &wild));
    assert!(
        message.contains("the loss is") && message.contains("joint epoch 1, step"),
        "{message}"
    );
    let record = RunFolder::new(&world.path("r")).record().unwrap();
    assert_eq!(record.status, Status::Failed);
    assert!(record.error.unwrap().contains("the loss is"));
    assert!(!world.path("r/last.safetensors").exists());
}

#[test]
fn a_pack_of_an_older_manifest_is_refused() {
    let world = World::new();
    let path = world.path("m/samples.parquet");
    let (mut rows, meta) = ncaers::manifest::read_samples(&path).unwrap();
    rows[0].detector = "other".into();
    let changed = ncaers::manifest::Manifest { samples: rows, meta, ..Default::default() };
    changed.write(&world.path("m")).unwrap();
    let message = refusal(&mut world.train("r", &[]));
    assert!(message.contains("run `ncaers pack` again"), "{message}");
}

#[test]
fn a_dry_run_writes_nothing_and_tells_everything() {
    let world = World::new();
    let out = world.train("r", &["--dry-run", "--json"]).assert().success();
    let told: serde_json::Value = serde_json::from_slice(&out.get_output().stdout).unwrap();
    assert_eq!(told["samples"], 21);
    assert_eq!(told["config"]["train"]["batch_size"], 8);
    assert!(told["parameters"].as_u64().unwrap() > 1000);
    assert!(told["estimated_seconds"].as_f64().unwrap() > 0.0);
    assert!(!world.path("r").exists());
}

#[test]
fn speed_is_measured_as_json() {
    let words =
        ["bench", "train", "--batch", "2", "--steps", "1", "--precision", "bf16", "--threads", "1"];
    let small = ["--set", "model.widths=[4, 4, 4, 4, 8]", "--device", "cpu", "--json"];
    let out = ncaers().args(words).args(small).assert().success();
    let told: serde_json::Value = serde_json::from_slice(&out.get_output().stdout).unwrap();
    assert!(told["images_per_s"].as_f64().unwrap() > 0.0);
    assert!(told["cpu_s_per_step"].as_f64().unwrap() > 0.0);
    assert_eq!(told["precision"], "bf16");
}

#[test]
fn epochs_of_a_pack_are_measured_beside_the_resident_rate() {
    let world = World::new();
    let pack = world.path("p");
    for stream in [&[][..], &["--stream"]] {
        let words = ["bench", "train", "--batch", "8", "--steps", "1", "--rounds", "1", "--json"];
        let small = ["--set", "model.widths=[4, 4, 4, 4, 8]", "--device", "cpu", "--threads", "1"];
        let mut bench = ncaers();
        bench.args(words).args(small).args(stream).arg("--pack").arg(&pack);
        let out = bench.assert().success();
        let told: serde_json::Value = serde_json::from_slice(&out.get_output().stdout).unwrap();
        let number = |key: &str| told[key].as_f64().unwrap_or_else(|| panic!("{key}: {told}"));
        let (epoch, resident) = (number("epoch_images_per_s"), number("resident_images_per_s"));
        assert!(epoch > 0.0 && resident > 0.0);
        assert!((number("share") - epoch / resident).abs() < 1e-9);
        assert!((0.0..1.0).contains(&number("rest")), "{told}");
        assert_eq!(told["samples"], 21);
        assert_eq!(told["streams"], !stream.is_empty());
    }
    let message = refusal(ncaers().args(["bench", "train", "--pack", "/nowhere"]));
    assert!(message.contains("/nowhere"), "{message}");
}
