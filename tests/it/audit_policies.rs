//! Stills in two splits: `import` groups them by content, and what `--on-leak` says is done.

use crate::common;
use crate::common::planted;
use crate::common::rooms;
use std::{fs, path::Path};

use common::ncaers;
use image::imageops;
use ncaers::{
    manifest::Manifest,
    record::{LedgerEntry, LedgerKind, Split},
};
use planted::{changed, Kind};
use rooms::{column, json, save, shot, stderr};

/// Three pictures in train; in test a darker, a mirrored and an unchanged copy, and a fourth.
fn corpus(root: &Path) {
    for n in 0..3 {
        save(root, &format!("train/Sad/{n:04}.png"), &shot(n, 0));
    }
    let darker = changed(&[shot(0, 0)], Kind::Brightness(0.9), 25.0).remove(0);
    save(root, "test/Fear/0000.png", &darker);
    save(root, "test/Fear/0001.png", &imageops::flip_horizontal(&shot(1, 0)));
    save(root, "test/Fear/0002.png", &shot(2, 0));
    save(root, "test/Fear/0003.png", &shot(9, 0));
}

fn import(root: &Path, out: &Path, policy: &str) -> assert_cmd::assert::Assert {
    let mut command = ncaers();
    command.args(["import", "--layout", "caer-s", "--on-leak", policy, "--val-share", "0"]);
    command.arg("--root").arg(root);
    command.arg("--out").arg(out).assert()
}

/// `gone because of partner` of every clip that a leak removed.
fn removed(ledger: &[LedgerEntry]) -> Vec<String> {
    let left = ledger.iter().filter(|e| e.reason == "leak" && e.kind == LedgerKind::Clip);
    left.map(|e| format!("{} because of {}", e.id, e.partner_id.as_deref().unwrap_or("nobody")))
        .collect()
}

#[test]
fn every_policy_does_what_it_says_and_every_removal_names_its_partner() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    corpus(&root);
    let pairs = [0, 1, 2].map(|n| (format!("train/Sad/{n:04}"), format!("test/Fear/{n:04}")));
    for policy in ["remove-eval", "remove-train", "keep"] {
        let out = dir.path().join(policy);
        import(&root, &out, policy).success();
        ncaers().arg("verify").arg(&out).assert().success();
        let Manifest { samples, clips, ledger, .. } = Manifest::read(&out).unwrap();
        for (train, test) in &pairs {
            let group =
                |id: &String| clips.iter().find(|c| c.clip_id == *id).map(|c| c.group_id.clone());
            assert_eq!((group(train), group(test)), (Some(test.clone()), Some(test.clone())));
        }
        let want: Vec<String> = match policy {
            "remove-eval" => pairs.iter().map(|(a, b)| format!("{b} because of {a}")).collect(),
            "remove-train" => pairs.iter().map(|(a, b)| format!("{a} because of {b}")).collect(),
            _ => Vec::new(),
        };
        assert_eq!(removed(&ledger), want, "{policy}");
        let count = |split| samples.iter().filter(|s| s.split == split).count();
        let left = match policy {
            "remove-eval" => (3, 1),
            "remove-train" => (0, 4),
            _ => (3, 4),
        };
        assert_eq!((count(Split::Train), count(Split::Test)), left, "{policy}");
        // What is left is what the audit sees.
        let mut audit = ncaers();
        audit.args(["--json", "audit", "--max-leak", "0"]).arg(&out).arg("--out");
        let audit = audit.arg(dir.path().join(format!("audit-{policy}"))).assert();
        match policy {
            "remove-eval" => drop(audit.code(0)),
            "remove-train" => {
                assert!(stderr(&audit.code(1)).contains("train is empty"));
            }
            _ => {
                assert_eq!(json(&audit.code(3))["worst_leak"], 0.75);
                let found = column(&dir.path().join("audit-keep"), "pairs.csv", &[1, 3]);
                let mut want: Vec<_> = pairs.iter().map(|(a, b)| format!("{b} {a}")).collect();
                want.sort();
                assert!(want.iter().all(|pair| found.contains(pair)) && found.len() == 3);
            }
        }
    }
    let out = dir.path().join("fail");
    let text = stderr(&import(&root, &out, "fail").code(1));
    assert!(
        text.contains("3 clips are in more than one split") && text.lines().count() == 1,
        "{text}"
    );
    assert!(text.contains("train/Sad/0000") && text.contains("test/Fear/0000"), "{text}");
    assert!(!out.join("samples.parquet").exists());
    let unknown = stderr(&import(&root, &dir.path().join("x"), "perhaps").code(2));
    assert!(unknown.contains("`perhaps` (known: remove-eval, remove-train, keep, fail)"));
}

#[test]
fn a_group_that_was_joined_anew_is_audited_anew() {
    let dir = tempfile::tempdir().unwrap();
    let [root, out, audit] = ["root", "out", "audit"].map(|n| dir.path().join(n));
    corpus(&root);
    import(&root, &out, "keep").success();
    let run = || {
        let mut command = ncaers();
        command.args(["--json", "audit"]).arg(&out).arg("--out").arg(&audit).assert()
    };
    run().success();
    let mut manifest = Manifest::read(&out).unwrap();
    let other = manifest.samples.iter_mut().find(|s| s.sample_id == "test/Fear/0003").unwrap();
    other.group_id = "train/Sad/0000".into();
    manifest.write(&out).unwrap();
    let refused = stderr(&run().code(1));
    assert!(refused.contains("pictures"), "the groups belong to the configuration: {refused}");
    fs::remove_dir_all(&audit).unwrap();
    run().success();
}
