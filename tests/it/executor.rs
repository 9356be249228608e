//! `--executor slurm` without Slurm: stand-ins on the PATH run the very scripts that a cluster
//! would get, so that everything but Slurm itself is tested everywhere.
use crate::common::builds;
#[cfg(feature = "torch")]
use crate::common::runs;

use std::{
    fs,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
};

#[cfg(feature = "torch")]
use crate::common::ncaers;
use assert_cmd::Command;
use builds::{assert_same, build, corpus, stderr_of};

/// Runs what it is given at once, one number after the other; refuses the scripts whose names
/// are in `refused`; runs nothing while `hold` is there.
const SBATCH: &str = r#"#!/bin/bash
here=$(dirname "$0")
[ "$1" = --version ] && exit
script="${!#}"
if grep -qx -- "$script" "$here/refused" 2> /dev/null; then
  echo 'sbatch: error: Batch job submission failed: Invalid partition name specified' >&2
  exit 1
fi
id=$(($(cat "$here/last" 2> /dev/null || echo 100) + 1))
echo $id > "$here/last"
echo "$id $*" >> "$here/calls"
output=$(sed -n 's/^#SBATCH --output=//p' "$script")
array=$(sed -n 's/^#SBATCH --array=\([^%]*\).*/\1/p' "$script")
if [ -e "$here/hold" ]; then :
elif [ -z "$array" ]; then SLURM_JOB_ID=$id bash "$script" >> "$output" 2>&1
else
  for part in ${array//,/ }; do
    for n in $(seq ${part%-*} ${part#*-}); do
      SLURM_JOB_ID=$id$n SLURM_ARRAY_TASK_ID=$n bash "$script" >> "${output/\%a/$n}" 2>&1
    done
  done
fi
echo $id
"#;

/// The file `queue` with the names that were asked for in place of ARRAY and LAST.
const SQUEUE: &str = r#"#!/bin/bash
here=$(dirname "$0")
[ ! -e "$here/silent" ] || { echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1; }
for word; do case $word in --name=*) names=${word#--name=} ;; esac; done
sed "s/ARRAY/${names%,*}/; s/LAST/${names#*,}/" "$here/queue" 2> /dev/null
exit 0
"#;

const NOTED: &str = "#!/bin/bash\necho \"$(basename \"$0\") $*\" >> \"$(dirname \"$0\")/calls\"\n";

/// A corpus and a folder of stand-ins, below a path that shells dislike.
struct Fake {
    dir: tempfile::TempDir,
}

impl Fake {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("it's a $place `").tempdir().expect("temp dir");
        let fake = Fake { dir };
        corpus(&fake.path("corpus"));
        fs::create_dir(fake.path("bin")).expect("bin");
        let programs =
            [("sbatch", SBATCH), ("squeue", SQUEUE), ("scancel", NOTED), ("scontrol", NOTED)];
        for (name, text) in programs {
            fake.put(name, text);
            let executable = fs::Permissions::from_mode(0o755);
            fs::set_permissions(fake.path("bin").join(name), executable).expect("mode");
        }
        fake
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file beside the stand-ins.
    fn put(&self, name: &str, text: &str) {
        fs::write(self.path("bin").join(name), text).expect("write");
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path("bin").join(name)).expect("remove");
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.path("bin/calls")).unwrap_or_default()
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// `ncaers build` on the stand-in cluster, with paths relative to the folder.
    fn build(&self, out: &str, extra: &[&str]) -> Command {
        let mut command = build(Path::new("corpus"), Path::new(out));
        command.current_dir(self.dir.path()).args(["--executor", "slurm"]).args(extra);
        let path = std::env::var("PATH").expect("a PATH");
        command.env("PATH", format!("{}:{path}", self.path("bin").display()));
        command
    }

    fn said(&self, out: &str, extra: &[&str]) -> String {
        let done = self.build(out, extra).assert().success();
        String::from_utf8_lossy(&done.get_output().stdout).into_owned()
    }
}

#[test]
fn the_same_bytes_from_one_two_and_seven_shards() {
    let fake = Fake::new();
    let whole = fake.path("whole");
    build(&fake.path("corpus"), &whole).assert().success();
    for shards in ["1", "2", "7"] {
        let out = format!("out {shards}");
        let said = fake.said(&out, &["--shards", shards, "--wait", "--cpus", "2"]);
        assert!(said.contains(&format!("{shards} tasks done")), "{said}");
        assert_same(&whole, &fake.path(&out));
    }
    let calls = fake.calls();
    assert!(calls.contains("\n104 --parsable --dependency=afterany:103 merge.sbatch\n"), "{calls}");
    let again = fake.said("out 7", &["--shards", "7"]);
    assert!(again.contains("nothing to submit") && again.contains("7 done of 7"), "{again}");
    assert_eq!(fake.calls(), calls);
    let refused = stderr_of(&mut fake.build("out 7", &["--shards", "3"]), 1);
    assert!(refused.contains("shards: 7 -> 3"), "{refused}");
}

#[test]
fn a_task_that_failed_is_named_and_submitted_alone() {
    let fake = Fake::new();
    // The second shard's folder cannot be made as long as a file is in its place.
    fake.said("out", &["--shards", "3", "--scripts-only"]);
    assert_eq!(fake.calls(), "");
    fs::create_dir_all(fake.path("out.slurm/shards")).expect("folder");
    fs::write(fake.path("out.slurm/shards/2"), "in the way").expect("write");
    let message = stderr_of(&mut fake.build("out", &["--shards", "3", "--wait"]), 1);
    assert!(message.contains("shard 2/3: failed") && message.contains("shards/2"), "{message}");
    assert!(message.contains("merge: failed"), "{message}");
    assert!(!fake.path("out/samples.parquet").exists());
    let status = fake.said("out", &["--shards", "3", "--status"]);
    assert!(status.contains("2 done, 1 failed of 3 tasks"), "{status}");
    fs::remove_file(fake.path("out.slurm/shards/2")).expect("remove");
    let said = fake.said("out", &["--shards", "3", "--wait"]);
    assert!(said.contains("3 tasks done"), "{said}");
    assert!(fake.file("out.slurm/array.sbatch").contains("#SBATCH --array=2\n"));
    build(&fake.path("corpus"), &fake.path("whole")).assert().success();
    assert_same(&fake.path("whole"), &fake.path("out"));
}

#[test]
fn what_the_queue_says_is_told_and_nothing_is_submitted_twice() {
    let fake = Fake::new();
    fake.put("hold", "");
    fake.said("out", &["--shards", "4"]);
    fake.put(
        "queue",
        "101_1|ARRAY|RUNNING|None\n101_2|ARRAY|NODE_FAIL|NodeDown\n\
         101_3|ARRAY|OUT_OF_MEMORY|OutOfMemory\n101_4|ARRAY|PENDING|Priority\n102|LAST|PENDING|Dependency\n",
    );
    fs::write(fake.path("out.slurm/state/1"), "running 101 node7\n").expect("write");
    fs::write(fake.path("out.slurm/state/2"), "running 101 node8\n").expect("write");
    fs::write(
        fake.path("out.slurm/logs/3.log"),
        "--- task 3\nslurmstepd: error: Detected 1 oom_kill event in StepId=3.batch.\n",
    )
    .expect("write");
    let status = fake.said("out", &["--shards", "4", "--status"]);
    for line in [
        "shard 1/4  running       101  node7",
        "shard 2/4  failed        101  the node failed",
        "out of memory; ask for more with --memory: slurmstepd: error: Detected 1 oom_kill",
        "shard 4/4  pending       101  Priority",
        "1 running, 1 pending, 2 failed of 4 tasks",
    ] {
        assert!(status.contains(line), "{line} is not in\n{status}");
    }
    let said = fake.said("out", &["--shards", "4"]);
    assert!(said.contains("submitted 2 of 4 tasks"), "{said}");
    assert!(fake.file("out.slurm/array.sbatch").contains("#SBATCH --array=2-3\n"));
    let calls = fake.calls();
    // The old merge would only refuse; the new one waits for both arrays.
    assert!(calls.contains("scancel 102"), "{calls}");
    assert!(
        calls.ends_with("104 --parsable --dependency=afterany:101:103 merge.sbatch\n"),
        "{calls}"
    );
}

#[test]
fn a_silent_queue_is_no_proof_that_nothing_runs() {
    let fake = Fake::new();
    fake.put("silent", "");
    let message = stderr_of(&mut fake.build("out", &["--shards", "2"]), 1);
    assert!(message.contains("what still runs is not known"), "{message}");
    assert!(message.contains("Unable to contact slurm controller"), "{message}");
    assert_eq!(fake.calls(), "");
    let status = fake.said("out", &["--shards", "2", "--status"]);
    assert!(status.contains("2 unknown of 2 tasks\nfrom files alone"), "{status}");
}

#[test]
fn refusals_are_one_line_and_the_same_command_goes_on() {
    let fake = Fake::new();
    fake.put("hold", "");
    fake.put("refused", "array.sbatch\n");
    let message = stderr_of(&mut fake.build("out", &["--partition", "nowhere"]), 1);
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(message.contains("Invalid partition name specified"), "{message}");
    assert_eq!(fake.calls(), "");
    fake.put("refused", "merge.sbatch\n");
    let message = stderr_of(&mut fake.build("out", &[]), 1);
    assert!(message.contains("the tasks are submitted (array job 101)"), "{message}");
    fake.remove("refused");
    fake.put("queue", "101_[1-8]|ARRAY|PENDING|Priority\n");
    let said = fake.said("out", &[]);
    assert!(said.contains("submitted 0 of 8 tasks (jobs 102)"), "{said}");
    assert!(fake.calls().ends_with("102 --parsable --dependency=afterany:101 merge.sbatch\n"));
}

#[test]
fn no_slurm_is_told_and_the_scripts_are_there_to_look_at() {
    let fake = Fake::new();
    let mut command = fake.build("out", &[]);
    let message = stderr_of(command.env("PATH", "/nowhere"), 1);
    assert!(
        message.contains("sbatch is not on the PATH") && message.contains("login node"),
        "{message}"
    );
    let said = fake.said("out", &["--scripts-only", "--time", "90", "--parallel", "3"]);
    assert!(said.contains("nothing was submitted"), "{said}");
    let script = fake.file("out.slurm/array.sbatch");
    for line in ["#SBATCH --array=1-8%3\n", "#SBATCH --time=90\n", "--shard 8/8"] {
        assert!(script.contains(line), "{line}");
    }
    // By hand is the same.
    let by_hand = std::process::Command::new("bash")
        .arg(fake.path("out.slurm/submit.sh"))
        .env("PATH", format!("{}:{}", fake.path("bin").display(), std::env::var("PATH").unwrap()))
        .status();
    assert!(by_hand.expect("bash").success());
    build(&fake.path("corpus"), &fake.path("whole")).assert().success();
    assert_same(&fake.path("whole"), &fake.path("out"));
}

#[test]
fn resources_come_from_a_table_and_flags_win() {
    let fake = Fake::new();
    let table = "[slurm]\npartition = \"long\"\ncpus = 4\nmodules = [\"ffmpeg/7\"]\noptions = [\"--qos=high\"]\n";
    fs::write(fake.path("x.toml"), table).expect("write");
    let extra = ["--slurm", "x.toml", "--partition", "short", "--memory", "8G", "--scripts-only"];
    fake.said("out", &extra);
    let script = fake.file("out.slurm/array.sbatch");
    for line in [
        "#SBATCH --partition=short\n",
        "#SBATCH --cpus-per-task=4\n",
        "#SBATCH --mem=8G\n",
        "#SBATCH --qos=high\n",
        "module load ffmpeg/7 || give_up 'cannot load module 'ffmpeg/7\n",
        "--workers 4",
    ] {
        assert!(script.contains(line), "{line} is not in\n{script}");
    }
    let refused = |extra: &[&str], code| stderr_of(&mut fake.build("out", extra), code);
    fs::write(fake.path("x.toml"), "[slurm]\npartiton = \"long\"\n").expect("write");
    let message = refused(&["--slurm", "x.toml"], 1);
    assert!(message.contains("did you mean `slurm.partition`?"), "{message}");
    assert!(refused(&["--memory", "8G --wrap=x"], 1).contains("slurm.memory"));
    assert!(refused(&["--shard", "1/2"], 2).contains("--shards"));
    let local = build(&fake.path("corpus"), &fake.path("out")).args(["--wait"]).assert().code(2);
    let message = String::from_utf8_lossy(&local.get_output().stderr).into_owned();
    assert!(message.contains("--wait is for --executor slurm"), "{message}");
    let foreign = std::ffi::OsStr::from_bytes(b"out\xff");
    let mut command = build(Path::new("corpus"), Path::new(foreign));
    command.current_dir(fake.dir.path()).args(["--executor", "slurm", "--scripts-only"]);
    assert!(stderr_of(&mut command, 1).contains("is not UTF-8"));
}

#[cfg(feature = "torch")]
mod grid {
    use std::{
        fs,
        io::Read,
        process::{Child, Command as Process, Stdio},
    };

    use super::{ncaers, runs::World, stderr_of, Command, Fake};

    /// A grid of two runs; the second one's weights exist only when `good`.
    fn grid(world: &World, good: bool, epochs: u32) {
        let weights = if good { "" } else { "model.weights = \"no/such/file.safetensors\"\n" };
        let text = format!(
            "base = \"x.toml\"\ntrain.epochs = {epochs}\n[slurm]\ncpus = 1\n\
             [[run]]\nlabel = \"GLA\"\nmodel.attention = \"gla\"\n\
             [[run]]\nlabel = \"none\"\nmodel.attention = \"none\"\n{weights}"
        );
        fs::write(world.path("grid.toml"), text).unwrap();
    }

    fn ablation(world: &World, out: &str, fake: Option<&Fake>, extra: &[&str]) -> Command {
        let mut command = ncaers();
        command.arg("ablation").arg(world.path("grid.toml")).arg("--out").arg(world.path(out));
        command.arg("--report").arg(world.path(&format!("{out}-report"))).args(extra);
        if let Some(fake) = fake {
            let path = std::env::var("PATH").expect("a PATH");
            command.env("PATH", format!("{}:{path}", fake.path("bin").display()));
            command.args(["--executor", "slurm"]);
        }
        command
    }

    const FILES: [&str; 4] = [
        "last.safetensors",
        "best.safetensors",
        "predictions-val.parquet",
        "predictions-test.parquet",
    ];

    #[test]
    fn a_grid_ends_in_the_same_checkpoints_and_a_missing_run_is_named() {
        let (world, fake) = (World::new(), Fake::new());
        grid(&world, false, 2);
        let message = stderr_of(&mut ablation(&world, "far", Some(&fake), &["--wait"]), 1);
        assert!(message.contains("no/such/file.safetensors"), "{message}");
        assert!(message.contains("1 of 2 runs cannot be made (none-1: "), "{message}");
        assert!(world.path("far-report/index.html").is_file());
        grid(&world, true, 2);
        let done = ablation(&world, "far", Some(&fake), &["--wait"]).assert().success();
        let said = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
        assert!(said.contains("2 tasks done"), "{said}");
        ablation(&world, "near", None, &[]).assert().success();
        for file in ["GLA-1", "none-1"].iter().flat_map(|run| FILES.map(|f| format!("{run}/{f}"))) {
            let of = |place: &str| world.bytes(&format!("{place}/{file}"));
            assert!(of("near") == of("far"), "{file} differs");
        }
        let again = ablation(&world, "far", Some(&fake), &[]).assert().success();
        let said = String::from_utf8_lossy(&again.get_output().stdout).into_owned();
        assert!(said.contains("nothing to submit"), "{said}");
    }

    /// A script at work, as Slurm starts it.
    fn start(world: &World, fake: &Fake, restarts: &str) -> Child {
        let path = std::env::var("PATH").expect("a PATH");
        let log = world.path("runs.slurm/logs/1.log");
        let log = fs::File::options().append(true).create(true).open(log).unwrap();
        Process::new("bash")
            .arg(world.path("runs.slurm/array.sbatch"))
            .env("PATH", format!("{}:{path}", fake.path("bin").display()))
            .env("SLURM_JOB_ID", "7")
            .env("SLURM_ARRAY_TASK_ID", "1")
            .env("SLURM_RESTART_COUNT", restarts)
            .stdout(log.try_clone().unwrap())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    #[test]
    fn a_task_whose_time_is_up_saves_and_is_queued_again() {
        let (world, fake) = (World::new(), Fake::new());
        grid(&world, true, 4);
        ablation(&world, "near", None, &[]).assert().success();
        ablation(&world, "runs", Some(&fake), &["--scripts-only"]).assert().success();
        let mut child = start(&world, &fake, "0");
        let mut said = child.stderr.take().unwrap();
        let (mut text, mut piece) = (String::new(), [0; 256]);
        while !text.contains("joint 1/4") {
            let n = said.read(&mut piece).unwrap();
            assert!(n > 0, "the run ended before its time: {text}");
            text += &String::from_utf8_lossy(&piece[..n]);
        }
        // SAFETY: the child is ours and not yet waited for.
        unsafe { libc::kill(child.id() as i32, libc::SIGUSR1) };
        said.read_to_string(&mut text).unwrap();
        assert!(child.wait().unwrap().success(), "{text}");
        assert!(text.contains("finishing the step and saving"), "{text}");
        assert_eq!(fake.calls(), "scontrol requeue 7\n");
        assert_eq!(fs::read_to_string(world.path("runs.slurm/state/1")).unwrap(), "requeued\n");
        let mut child = start(&world, &fake, "1");
        child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        assert!(child.wait().unwrap().success(), "{text}");
        assert_eq!(fs::read_to_string(world.path("runs.slurm/state/1")).unwrap(), "done\n");
        for file in FILES {
            let of = |place: &str| world.bytes(&format!("{place}/GLA-1/{file}"));
            assert!(of("near") == of("runs"), "{file} differs");
        }
    }
}
