//! `ncaers paper`: both data sets in miniature, every row of the paper's tables, one report.
#![cfg(feature = "torch")]
use crate::common;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use common::ncaers;
use ncaers::{manifest::Manifest, record::Split};

/// A few drawn clips as CAER, and stills of such clips in CAER-S's layout.
struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = World { dir: tempfile::tempdir().expect("temp dir") };
        let corpus = |name: &str, more: &[&str]| {
            let mut command = ncaers();
            command.args(["demo-corpus", "--clips-per-class", "1", "--seed", "3", "--out"]);
            command.arg(world.path(name)).args(more).assert().success();
        };
        corpus("clips", &[]);
        corpus("stills", &["--stills"]);
        // CAER-S has no validation part: what the twin draws for it goes to train.
        for (from, to) in [("train", "train"), ("val", "train"), ("test", "test")] {
            for class in names(&world.path("stills").join(from)) {
                let folder = world.path("CAER-S").join(to).join(&class);
                fs::create_dir_all(&folder).expect("folder");
                for still in names(&world.path("stills").join(from).join(&class)) {
                    let source = world.path("stills").join(from).join(&class).join(&still);
                    fs::copy(source, folder.join(format!("{from}-{still}"))).expect("copies");
                }
            }
        }
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `ncaers paper` on what is named, as small as it gets.
    fn paper(&self, sources: &[&str], more: &[&str]) -> assert_cmd::Command {
        let own = self.path("grids");
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
        let mut command = ncaers();
        command.arg("paper").arg("--out").arg(self.path("out"));
        command.arg("--grids").arg(if own.is_dir() { own } else { shipped });
        for source in sources {
            let folder = if *source == "--caer" { "clips" } else { "CAER-S" };
            command.arg(source).arg(self.path(folder));
        }
        command.arg("--weights").arg(self.path("weights"));
        for setting in ["train.epochs=1", "train.stage1_epochs=0", "train.batch_size=4"] {
            command.args(["--set", setting]);
        }
        command.args(["--set", "train.device=cpu", "--seeds", "1", "--jobs", "2"]).args(more);
        command
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut names: Vec<String> =
        entries.map(|e| e.expect("entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn stdout(command: &mut assert_cmd::Command) -> String {
    String::from_utf8_lossy(&command.assert().success().get_output().stdout).into_owned()
}

/// The cells of a table of the report as a reader sees them, and its notes. The same table as CSV
/// must have as many rows: it holds nothing but numbers in a column of numbers, so no reasons.
fn table(report: &Path, number: u8) -> (Vec<Vec<String>>, String) {
    let read = |ending: &str| {
        let path = report.join(format!("tables/table-{number}.{ending}"));
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    };
    let markdown = read("md");
    let (lines, notes): (Vec<&str>, Vec<&str>) =
        markdown.lines().partition(|line| line.starts_with("| "));
    let cells =
        |line: &&str| line.trim_matches('|').split(" | ").map(|c| c.trim().into()).collect();
    // The heading and the line below it are no rows.
    let rows: Vec<Vec<String>> = lines[2..].iter().map(cells).collect();
    let csv = read("csv");
    let numbers = csv::Reader::from_reader(csv.as_bytes()).records().count();
    assert_eq!(numbers, rows.len(), "table {number}: {csv}");
    (rows, notes.join("\n"))
}

#[test]
fn both_data_sets_every_row_and_one_report() {
    let world = World::new();
    let both = ["--caer", "--caer-s"];

    let listed = stdout(&mut world.paper(&both, &["--dry-run"]));
    let cannot = listed.lines().filter(|line| line.starts_with("cannot ")).count();
    assert_eq!(cannot, 8, "rows that start from weights: {listed}");
    assert!(listed.contains("vgg_face.pth are missing (VGG-Face"), "{listed}");
    assert!(listed.contains("alexnet-owt-7be5be79.pth"), "{listed}");
    assert!(listed.contains("of training") && listed.contains("of disk"), "{listed}");
    assert!(!world.path("out").exists(), "a dry run wrote something");

    stdout(&mut world.paper(&both, &[]));
    let report = world.path("out/report");
    for number in 1..=7u8 {
        let (rows, notes) = table(&report, number);
        assert!(!rows.is_empty(), "table {number}");
        for cell in rows.iter().flatten() {
            assert!(!cell.is_empty(), "table {number} has an empty cell: {rows:?}");
            if let Some(mark) = cell.strip_prefix("– ") {
                let told = notes.lines().any(|note| note.starts_with(&format!("{mark} ")));
                assert!(told, "table {number}: {cell} has no reason in {notes}");
            }
        }
    }
    // Which cells are numbers: Table 2 lacks the six rows that start from ImageNet's weights,
    // Table 3 two.
    let ours = |number: u8, column: usize| {
        let (rows, _) = table(&report, number);
        rows.iter().filter(|row| !row[column].starts_with('–')).count()
    };
    assert_eq!([ours(2, 2), ours(3, 2), ours(4, 2), ours(6, 2)], [6, 2, 9, 4]);
    assert_eq!([ours(7, 2), ours(7, 6)], [3, 3], "Table 7 has both columns");
    for figure in 6..=10 {
        assert!(report.join(format!("figures/figure-{figure}.svg")).is_file(), "figure {figure}");
    }
    let page = fs::read_to_string(report.join("report.md")).expect("report.md");
    assert!(page.contains("Figure 11 is missing: no annotated pictures were given"), "{page}");
    assert!(
        report.join("caer-s/index.html").is_file() && report.join("ncaer-s/index.html").is_file()
    );

    // The validation part of CAER-S comes out of train, the test part is the folder's own.
    let manifest = Manifest::read(&world.path("out/caer-s/manifest")).expect("manifest");
    let mut counts: BTreeMap<Split, usize> = BTreeMap::new();
    manifest.samples.iter().for_each(|s| *counts.entry(s.split).or_default() += 1);
    let in_folder = |split: &str| -> usize {
        let root = world.path("CAER-S").join(split);
        names(&root).iter().map(|class| names(&root.join(class)).len()).sum()
    };
    assert_eq!(counts[&Split::Test], in_folder("test"));
    assert_eq!(counts[&Split::Train] + counts[&Split::Val], in_folder("train"));

    let again = stdout(&mut world.paper(&both, &["--json"]));
    assert!(again.contains("\"trained_now\":0"), "a finished study was trained again: {again}");
}

#[test]
fn what_is_not_named_is_said_before_anything_starts() {
    let world = World { dir: tempfile::tempdir().expect("temp dir") };
    let refused = world.paper(&[], &[]).assert().code(2);
    let message = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(message.contains("--caer"), "{message}");
    let refused = world.paper(&["--caer"], &["--dry-run"]).assert().code(1);
    let message = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(message.contains("no corpus at"), "{message}");
    assert!(!world.path("out").exists());
}

/// `--executor slurm` on a real Slurm, started here for the test (`just test-system`).
mod slurm {
    use super::*;
    use crate::common::cluster::Cluster;

    /// Grids of two small rows each, of which one lacks its weights.
    fn small_grids(world: &World) {
        let folder = world.path("grids");
        fs::create_dir(&folder).expect("folder");
        let text = "slurm.poll_seconds = 1\nseeds = [1]\n[data]\nmanifest = \"m\"\npack = \"p\"\n\
                    [[run]]\nlabel = \"GLA\"\nmodel.widths = [4, 4, 4, 4, 8]\n\
                    [[run]]\nlabel = \"AlexNet\"\nmodel.name = \"alexnet\"\n\
                    model.weights = { path = \"weights/absent.pth\" }\n";
        for name in ["ncaer-s.toml", "caer-s.toml"] {
            fs::write(folder.join(name), text).expect("grid");
        }
    }

    #[test]
    #[ignore = "needs Slurm and root; run by `just test-system`"]
    fn both_data_sets_as_one_array_with_one_report_behind_it() {
        let Some(cluster) = Cluster::start() else { return };
        let world = World::new();
        small_grids(&world);
        let (name, value) = cluster.environment();
        let words = ["--executor", "slurm", "--parallel", "2", "--time", "10", "--wait"];
        let mut far = world.paper(&["--caer", "--caer-s"], &words);
        let said = stdout(far.env(name, value));
        assert!(said.contains("2 tasks done"), "{said}");
        for set in ["ncaer-s", "caer-s"] {
            let run = world.path(&format!("out/{set}/runs/GLA-1/predictions-test.parquet"));
            assert!(run.is_file(), "{set}");
            assert!(world.path(&format!("out/report/{set}/index.html")).is_file(), "{set}");
        }
        let (rows, notes) = table(&world.path("out/report"), 7);
        assert!([2, 6].iter().all(|&at| !rows[0][at].starts_with('–')), "{rows:?}");
        assert!(notes.contains("no run"), "{notes}");
        // What the cluster made is finished here too.
        let here = stdout(&mut world.paper(&["--caer", "--caer-s"], &["--json"]));
        assert!(here.contains("\"trained_now\":0"), "{here}");
    }
}
