//! `--executor slurm` on a real Slurm, started here for the test (`just test-system`).
use crate::common::builds;
use crate::common::cluster;
#[cfg(feature = "torch")]
use crate::common::runs;

use std::{
    fs,
    path::{Path, PathBuf},
};

#[cfg(feature = "torch")]
use crate::common::ncaers;
use assert_cmd::Command;
use builds::{assert_same, build, corpus};
use cluster::{wait_until, Cluster};
use serde_json::Value;

/// A corpus whose build holds one of its tasks on the first attempt until it is ended.
struct Held {
    cluster: Cluster,
    dir: tempfile::TempDir,
    shards: usize,
}

impl Held {
    fn new(cluster: Cluster, held: usize, shards: usize) -> Self {
        let dir = tempfile::Builder::new().prefix("it's shared ").tempdir().expect("temp dir");
        corpus(&dir.path().join("corpus"));
        build(&dir.path().join("corpus"), &dir.path().join("whole")).assert().success();
        let hold = format!(
            "if [ \"$task\" = {held} ] && [ ! -e held ]; then touch held; sleep 900 & wait $!; fi"
        );
        let table = format!("[slurm]\npoll_seconds = 1\nsetup = [{hold:?}]\n");
        fs::write(dir.path().join("x.toml"), table).expect("write");
        Held { cluster, dir, shards }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn build(&self, extra: &[&str]) -> Command {
        let mut command = build(Path::new("corpus"), Path::new("out"));
        let (name, value) = self.cluster.environment();
        command.current_dir(self.dir.path()).env(name, value);
        command.args(["--executor", "slurm", "--slurm", "x.toml", "--shards"]);
        command.arg(self.shards.to_string()).args(extra);
        command
    }

    /// State of every task and, last, of the merge.
    fn states(&self) -> Vec<String> {
        let table = self.table();
        let rows = table["tasks"].as_array().expect("tasks").iter().chain([&table["last"]]);
        rows.map(|row| row["state"].as_str().expect("a state").to_owned()).collect()
    }

    fn table(&self) -> Value {
        let done = self.build(&["--status", "--json"]).assert().success();
        let said: Value = serde_json::from_slice(&done.get_output().stdout).expect("JSON");
        said["table"].clone()
    }

    fn finish(&self) {
        let done = self.build(&["--wait"]).assert().success();
        let said = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
        assert!(said.contains(&format!("{} tasks done", self.shards)), "{said}");
        assert_same(&self.path("whole"), &self.path("out"));
    }
}

#[test]
#[ignore = "needs Slurm and root; run by `just test-system`"]
fn an_array_of_four_shards_of_which_one_is_killed_and_submitted_again() {
    let Some(cluster) = Cluster::start() else { return };
    let held = Held::new(cluster, 3, 4);
    held.build(&[]).assert().success();
    let expected = ["done", "done", "running", "done", "pending"];
    wait_until("all but the held task are done", 120, || held.states() == expected);
    // A second call while they are at work submits nothing.
    let done = held.build(&[]).assert().success();
    let said = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
    assert!(said.contains("nothing to submit"), "{said}");
    let job = held.table()["tasks"][2]["job"].as_u64().expect("a job");
    held.cluster.says("scancel", &["--signal=KILL", "--full", &format!("{job}_3")]);
    wait_until("the merge has refused", 60, || held.states()[4] == "failed");
    let table = held.table();
    let error = table["tasks"][2]["error"].as_str().expect("an error");
    assert!(error.contains("cancelled"), "{error}");
    let refused = table["last"]["error"].as_str().expect("an error");
    assert!(refused.contains("shards/3"), "{refused}");
    assert!(!held.path("out/samples.parquet").exists());
    held.finish();
    let script = fs::read_to_string(held.path("out.slurm/array.sbatch")).expect("script");
    assert!(script.contains("#SBATCH --array=3\n"), "{script}");
}

#[test]
#[ignore = "needs Slurm and root; run by `just test-system`"]
fn a_node_that_vanishes_loses_nothing() {
    let Some(cluster) = Cluster::start() else { return };
    let held = Held::new(cluster, 1, 2);
    held.build(&[]).assert().success();
    wait_until("the other task is done", 120, || held.states() == ["running", "done", "pending"]);
    let node = format!("nodename={}", held.cluster.node());
    held.cluster.says("scontrol", &["update", &node, "state=down", "reason=test"]);
    wait_until("the task is queued again", 60, || held.states()[0] == "pending");
    held.cluster.says("scontrol", &["update", &node, "state=resume"]);
    held.finish();
    let log = fs::read_to_string(held.path("out.slurm/logs/1.log")).expect("log");
    assert!(log.contains("attempt 1") && log.contains("attempt 2"), "{log}");
}

#[cfg(feature = "torch")]
mod grid {
    use std::fs;

    use ::ncaers::runs::RunFolder;

    use super::{
        cluster::{wait_until, Cluster},
        ncaers,
        runs::World,
        Command,
    };

    const FILES: [&str; 4] = [
        "last.safetensors",
        "best.safetensors",
        "predictions-val.parquet",
        "predictions-test.parquet",
    ];

    fn ablation(world: &World, cluster: Option<&Cluster>, extra: &[&str]) -> Command {
        let out = if cluster.is_some() { "far" } else { "near" };
        let mut command = ncaers();
        command.arg("ablation").arg(world.path("grid.toml")).arg("--out").arg(world.path(out));
        command.arg("--report").arg(world.path(&format!("{out}-report"))).args(extra);
        if let Some(cluster) = cluster {
            let (name, value) = cluster.environment();
            command.env(name, value).args(["--executor", "slurm"]);
        }
        command
    }

    fn grid(world: &World, top: &str, runs: &[&str]) {
        let runs = runs
            .iter()
            .map(|run| format!("[[run]]\nlabel = \"{run}\"\nmodel.attention = \"{run}\"\n"));
        let text = format!(
            "base = \"x.toml\"\nslurm.poll_seconds = 1\n{top}\n{}",
            runs.collect::<String>()
        );
        fs::write(world.path("grid.toml"), text).unwrap();
    }

    fn assert_same_runs(world: &World, runs: &[&str]) {
        for file in runs.iter().flat_map(|run| FILES.map(|file| format!("{run}-1/{file}"))) {
            let of = |place: &str| world.bytes(&format!("{place}/{file}"));
            assert!(of("near") == of("far"), "{file} differs");
        }
    }

    #[test]
    #[ignore = "needs Slurm and root; run by `just test-system`"]
    fn a_grid_of_three_runs_with_the_report_behind_it() {
        let Some(cluster) = Cluster::start() else { return };
        let (world, runs) = (World::new(), ["gla", "ca", "none"]);
        grid(&world, "", &runs);
        let extra = ["--wait", "--parallel", "2", "--time", "10"];
        let done = ablation(&world, Some(&cluster), &extra).assert().success();
        let said = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
        assert!(said.contains("3 tasks done"), "{said}");
        assert!(world.path("far-report/index.html").is_file());
        ablation(&world, None, &[]).assert().success();
        assert_same_runs(&world, &runs);
    }

    /// Epochs that take a minute here, so that the notice comes while they are at work.
    fn enough_epochs(world: &World) -> u32 {
        const FEW: u32 = 40;
        const SECONDS: f64 = 60.0;
        grid(world, &format!("train.epochs = {FEW}"), &["gla"]);
        ablation(world, None, &[]).assert().success();
        let trained = RunFolder::new(&world.path("near/gla-1")).record().unwrap().seconds;
        fs::remove_dir_all(world.path("near")).unwrap();
        (f64::from(FEW) * SECONDS / trained) as u32
    }

    #[test]
    #[ignore = "needs Slurm and root; run by `just test-system`"]
    fn a_run_that_meets_its_time_limit_saves_is_queued_again_and_ends_in_the_same_bytes() {
        let Some(cluster) = Cluster::start() else { return };
        let world = World::new();
        let epochs = enough_epochs(&world);
        // Slurm looks at time limits twice a minute: the notice comes 10 to 40 s after the start.
        let limits = "slurm.time = 1\nslurm.notice_seconds = 50";
        grid(&world, &format!("train.epochs = {epochs}\n{limits}"), &["gla"]);
        ablation(&world, Some(&cluster), &[]).assert().success();
        let log = || fs::read_to_string(world.path("far.slurm/logs/1.log")).unwrap_or_default();
        wait_until("the task is at work again", 240, || log().contains("attempt 2"));
        ablation(&world, Some(&cluster), &["--wait"]).assert().success();
        assert!(log().contains("finishing the step and saving"), "{}", log());
        ablation(&world, None, &[]).assert().success();
        assert_same_runs(&world, &["gla"]);
    }
}
