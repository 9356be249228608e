//! No command destroys what it did not write: every command is pointed at a folder with foreign
//! files, at one whose subfolders are links, and at a file, and must leave everything as it was.
#![cfg(feature = "torch")]
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use crate::common::{
    builds::{build, small},
    clips, ncaers,
    runs::World,
};

/// What is at every path below `root`, links not followed.
fn listing(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut paths = vec![root.to_owned()];
    while let Some(path) = paths.pop() {
        let kind = fs::symlink_metadata(&path).expect("metadata").file_type();
        let what = if kind.is_symlink() {
            format!("link to {}", fs::read_link(&path).expect("link").display())
        } else if kind.is_dir() {
            paths.extend(fs::read_dir(&path).expect("list").map(|e| e.expect("entry").path()));
            "folder".into()
        } else {
            String::from_utf8_lossy(&fs::read(&path).expect("read")).into_owned()
        };
        found.insert(path, what);
    }
    found
}

/// Inputs on which every command would succeed.
struct Inputs {
    world: World,
}

impl Inputs {
    fn new() -> Self {
        let world = World::new();
        for (i, name) in ["train/Anger/0001.avi", "test/Fear/0001.avi"].iter().enumerate() {
            clips::write(&world.path("corpus").join(name), &small(), 60, i as u32);
        }
        build(&world.path("corpus"), &world.path("shard"))
            .args(["--shard", "1/1"])
            .assert()
            .success();
        world.train("runs/a", &[]).assert().success();
        for split in ["val", "test"] {
            world.predict("runs/a", split).assert().success();
        }
        for class in ["Anger", "Fear"] {
            for split in ["train", "test"] {
                let folder = world.path("stills").join(split).join(class);
                fs::create_dir_all(&folder).expect("folder");
                fs::copy(world.path("m/images/test-Anger-0.png"), folder.join("0001.png"))
                    .expect("still");
            }
        }
        let grid = "[data]\nmanifest = \"M\"\npack = \"P\"\n[model]\nwidths = [4, 4, 4, 4, 8]\n\
                    cls_hidden = 8\n[train]\nepochs = 1\ndevice = \"cpu\"\n[[run]]\nlabel = \"a\"\n";
        let quoted = |name: &str| format!("{:?}", world.path(name));
        let grid = grid.replace("\"M\"", &quoted("m")).replace("\"P\"", &quoted("p"));
        fs::write(world.path("grid.toml"), grid).expect("grid");
        Inputs { world }
    }

    /// Every command that fills a folder, without the folder.
    fn commands(&self) -> Vec<(&'static str, Vec<OsString>)> {
        let p = |name: &str| self.world.path(name).into_os_string();
        let w = |words: &str| words.split(' ').map(OsString::from).collect::<Vec<_>>();
        vec![
            ("build", [w("build --detector none --seed 1 --corpus"), vec![p("corpus")]].concat()),
            ("merge", vec!["merge".into(), p("shard")]),
            ("import", [w("import --layout caer-s --root"), vec![p("stills")]].concat()),
            ("export", [w("export --layout imagefolder --manifest"), vec![p("m")]].concat()),
            ("pack", vec!["pack".into(), p("m")]),
            ("train", vec!["train".into(), p("x.toml")]),
            ("evaluate", vec!["evaluate".into(), p("runs/a")]),
            ("compare", vec!["compare".into(), p("runs/a")]),
            ("audit", [w("audit --root"), vec![p("stills")]].concat()),
            ("report", vec!["report".into(), p("runs")]),
            ("ablation", vec!["ablation".into(), p("grid.toml")]),
            (
                "annotate",
                [vec!["annotate".into(), p("stills"), "--run".into(), p("runs/a")]].concat(),
            ),
            ("demo-corpus", w("demo-corpus --clips-per-class 1")),
            (
                "locate",
                [vec!["locate".into(), p("stills"), "--corpus".into(), p("corpus")]].concat(),
            ),
            (
                "rebuild",
                [vec!["rebuild".into(), p("recipe.parquet"), "--corpus".into(), p("corpus")]]
                    .concat(),
            ),
            ("paper", vec!["paper".into(), "--caer".into(), p("corpus")]),
            ("experiments", w("experiments")),
        ]
    }
}

/// Runs the command into `out` and says what it answered; it must fail.
fn refusal(words: &[OsString], out: &Path) -> String {
    let mut command = ncaers();
    command.args(words).arg("--out").arg(out);
    let output = command.output().expect("starts");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{words:?} into {}: {text}", out.display());
    text
}

#[test]
fn every_command_leaves_the_files_of_others_alone() {
    let inputs = Inputs::new();
    let at = |name: &str| inputs.world.path(name);
    build(&at("corpus"), &at("whole")).assert().success();
    let mut recipe = ncaers();
    recipe.arg("recipe").arg(at("whole")).arg("--out").arg(at("recipe.parquet"));
    recipe.assert().success();
    let place = tempfile::tempdir().expect("temp dir");
    let real = place.path().join("real");
    fs::create_dir_all(real.join("train")).expect("folder");
    fs::write(real.join("train/precious.jpg"), "precious").expect("file");
    for (name, words) in inputs.commands() {
        let foreign = place.path().join(format!("{name}-foreign"));
        fs::create_dir_all(foreign.join("images/holiday")).expect("folder");
        for file in ["images/mine.jpg", "images/holiday/beach.jpg", "README.md", "index.html"] {
            fs::write(foreign.join(file), file).expect("file");
        }
        let linked = place.path().join(format!("{name}-linked"));
        fs::create_dir(&linked).expect("folder");
        for link in ["images", "figures", "tables", "thumbs", "train", "grid", "a"] {
            symlink(&real, linked.join(link)).expect("link");
        }
        let file = place.path().join(format!("{name}-file"));
        fs::write(&file, "a file").expect("file");
        let before = listing(place.path());
        let said = refusal(&words, &foreign);
        assert!(said.contains("README.md"), "{name} does not name the foreign entry: {said}");
        let said = refusal(&words, &linked);
        assert!(said.contains("(a)"), "{name} does not name the link: {said}");
        let said = refusal(&words, &file);
        assert!(said.contains("is a file"), "{name}: {said}");
        assert!(listing(place.path()) == before, "{name} changed what it did not write");
    }
}

#[test]
fn links_that_others_put_into_a_folder_of_ours_are_not_followed() {
    let inputs = Inputs::new();
    let out = inputs.world.path("out");
    let real = inputs.world.path("real");
    build(&inputs.world.path("corpus"), &out).assert().success();
    // Interrupted, and the pictures moved elsewhere behind a link.
    fs::remove_file(out.join("finished")).expect("mark");
    fs::rename(out.join("images"), &real).expect("moved");
    fs::write(real.join("precious.jpg"), "precious").expect("file");
    symlink(&real, out.join("images")).expect("link");
    let before = listing(&real);
    let said = build(&inputs.world.path("corpus"), &out).assert().code(1);
    let said = String::from_utf8_lossy(&said.get_output().stderr).into_owned();
    assert!(said.contains("is a link"), "{said}");
    assert!(listing(&real) == before);
}

#[test]
fn what_others_put_into_a_folder_of_ours_stays() {
    let inputs = Inputs::new();
    let out = inputs.world.path("out");
    let mut report = ncaers();
    report.arg("report").arg(inputs.world.path("runs")).arg("--out").arg(&out);
    report.assert().success();
    fs::write(out.join("figures/mine.svg"), "mine").expect("file");
    fs::write(out.join("notes.txt"), "notes").expect("file");
    report.assert().success();
    assert_eq!(fs::read_to_string(out.join("figures/mine.svg")).expect("there"), "mine");
    assert_eq!(fs::read_to_string(out.join("notes.txt")).expect("there"), "notes");
}

#[test]
fn copies_never_go_among_the_originals() {
    let inputs = Inputs::new();
    let photos = inputs.world.path("stills");
    for out in [photos.clone(), photos.join("sub"), photos.join("train")] {
        let words: Vec<OsString> = vec![
            "annotate".into(),
            photos.clone().into(),
            "--run".into(),
            inputs.world.path("runs/a").into(),
        ];
        let before = listing(&photos);
        let said = refusal(&words, &out);
        assert!(said.contains("originals"), "{said}");
        assert!(listing(&photos) == before);
    }
}

#[test]
fn the_folder_of_a_batch_and_of_a_report_are_refused_too() {
    let inputs = Inputs::new();
    let foreign = inputs.world.path("foreign");
    fs::create_dir(&foreign).expect("folder");
    fs::write(foreign.join("index.html"), "mine").expect("file");
    let mut grid = ncaers();
    grid.arg("ablation").arg(inputs.world.path("grid.toml")).arg("--report-only");
    grid.arg("--out").arg(inputs.world.path("runs2")).arg("--report").arg(&foreign);
    grid.assert().code(1);
    // The folder beside --out in which scripts, logs and states lie.
    let beside = inputs.world.path("m2.slurm");
    fs::create_dir(&beside).expect("folder");
    fs::write(beside.join("array.sbatch"), "mine").expect("file");
    let mut build = build(&inputs.world.path("corpus"), &inputs.world.path("m2"));
    let said = build.args(["--executor", "slurm", "--scripts-only"]).assert().code(1);
    let said = String::from_utf8_lossy(&said.get_output().stderr).into_owned();
    assert!(said.contains("array.sbatch"), "{said}");
    assert_eq!(fs::read_to_string(beside.join("array.sbatch")).expect("there"), "mine");
    assert_eq!(fs::read_to_string(foreign.join("index.html")).expect("there"), "mine");
}
