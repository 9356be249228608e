//! The text of the batch scripts. Pure.
use std::{fmt::Write as _, path::Path};

use anyhow::Result;

use super::{super::Task, quote, Resources};

/// One batch script: an array of tasks, or the single job behind it.
pub(super) struct Script<'a> {
    /// Name of the job.
    pub name: &'a str,
    /// The program, absolute.
    pub program: &'a Path,
    /// Where the commands run, absolute: their relative paths are the user's.
    pub workplace: &'a Path,
    /// The folder of scripts, logs and states, absolute.
    pub folder: &'a Path,
    /// What a task asks for.
    pub resources: &'a Resources,
    /// What is to be run.
    pub work: ScriptCommand<'a>,
}

/// What a script runs.
pub(super) enum ScriptCommand<'a> {
    /// Tasks with their numbers in the array; only these are submitted.
    Array(Vec<(usize, &'a Task)>),
    /// One job with the name of its log and state.
    Single(&'a str, &'a Task),
}

impl Script<'_> {
    /// The text.
    ///
    /// # Errors
    /// When a path is not UTF-8.
    pub fn text(&self) -> Result<String> {
        let mut text = String::from("#!/bin/bash\n");
        for directive in self.directives() {
            let _ = writeln!(text, "#SBATCH {directive}");
        }
        let (program, folder) = (quote::path(self.program)?, quote::path(self.folder)?);
        let workplace = quote::path(self.workplace)?;
        let task = match &self.work {
            ScriptCommand::Array(_) => "$SLURM_ARRAY_TASK_ID",
            ScriptCommand::Single(name, _) => name,
        };
        let requeues = self.resources.requeues;
        let _ = write!(
            text,
            "\nprogram={program}\nfolder={folder}\ntask={task}\nrequeues={requeues}\n{START}"
        );
        let _ = writeln!(text, "cd {workplace} || give_up 'cannot enter the working folder'");
        self.write_setup(&mut text)?;
        self.write_commands(&mut text)?;
        text.push_str(END);
        Ok(text)
    }

    fn directives(&self) -> Vec<String> {
        let mut lines = vec![format!("--job-name={}", self.name)];
        // Relative to the folder in which sbatch is called, so that no path needs sbatch's quotes.
        match &self.work {
            ScriptCommand::Array(tasks) => {
                let numbers: Vec<usize> = tasks.iter().map(|(number, _)| *number).collect();
                let limit = self.resources.parallel.map_or(String::new(), |n| format!("%{n}"));
                lines.push(format!("--array={}{limit}", ranges(&numbers)));
                lines.push("--output=logs/%a.log".into());
            }
            ScriptCommand::Single(name, _) => lines.push(format!("--output=logs/{name}.log")),
        }
        lines.extend(["--open-mode=append".into(), "--requeue".into()]);
        lines.push(format!("--signal=B:USR1@{}", self.resources.notice_seconds));
        lines.extend(self.resources.directives(matches!(self.work, ScriptCommand::Array(_))));
        lines
    }

    fn write_setup(&self, text: &mut String) -> Result<()> {
        let cpus = self.resources.cpus;
        let _ = writeln!(text, "export OMP_NUM_THREADS={cpus} RAYON_NUM_THREADS={cpus}");
        if !self.resources.modules.is_empty() {
            text.push_str(FIND_MODULE);
        }
        for module in &self.resources.modules {
            let module = quote::word(module.as_ref())?;
            let _ = writeln!(text, "module load {module} || give_up 'cannot load module '{module}");
        }
        for line in &self.resources.setup {
            let _ = writeln!(text, "{line}");
        }
        Ok(())
    }

    fn write_commands(&self, text: &mut String) -> Result<()> {
        match &self.work {
            ScriptCommand::Single(_, task) => {
                let _ = writeln!(text, "{}", commands(task)?);
            }
            ScriptCommand::Array(tasks) => {
                text.push_str("case $task in\n");
                for (number, task) in tasks {
                    let _ = writeln!(text, "{number}) {} ;;", commands(task)?);
                }
                text.push_str("*) echo \"error: no task has the number $task\"; false ;;\nesac\n");
            }
        }
        Ok(())
    }
}

/// The commands of a task, each only when the one before it succeeded.
fn commands(task: &Task) -> Result<String> {
    let mut lines = Vec::new();
    for arguments in &task.commands {
        let words = arguments.iter().map(|word| quote::word(word)).collect::<Result<Vec<_>>>()?;
        lines.push(format!("run {}", words.join(" ")));
    }
    Ok(lines.join(" &&\n  "))
}

/// Ascending numbers as sbatch takes them: `1-4,7`.
pub(super) fn ranges(numbers: &[usize]) -> String {
    let runs = numbers.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [one] => one.to_string(),
        _ => format!("{}-{}", run[0], run[run.len() - 1]),
    });
    runs.collect::<Vec<_>>().join(",")
}

/// How to submit scripts by hand: the same as the program does.
///
/// # Errors
/// When the folder is not UTF-8.
pub(super) fn by_hand(folder: &Path, array: &str, last: &str) -> Result<String> {
    Ok(format!(
        "#!/bin/bash\n# Submits the array and the job behind it.\nset -e\ncd {}\n\
         array=$(sbatch --parsable {array})\n\
         sbatch --dependency=\"afterany:${{array%%;*}}\" {last}\n",
        quote::path(folder)?
    ))
}

const FIND_MODULE: &str = r#"if ! type module > /dev/null 2>&1; then
  for file in /etc/profile.d/*mod*.sh; do [ -r "$file" ] && . "$file"; done
fi
"#;

const START: &str = r#"
# The state is written beside and renamed: whoever reads sees all of it or the one before.
mark() {
  printf '%s\n' "$*" > "$folder/state/.$task.$SLURM_JOB_ID" &&
    mv -f "$folder/state/.$task.$SLURM_JOB_ID" "$folder/state/$task"
}

give_up() {
  echo "error: $1"
  mark failed 1
  exit 1
}

stopped= child=
# Time is nearly up: the program saves and ends, and the task is queued again.
trap 'stopped=time; [ -z "$child" ] || kill -TERM "$child" 2> /dev/null' USR1
# Slurm has told the program too.
trap 'stopped=ended' TERM

run() {
  [ -z "$stopped" ] || return 1
  "$program" "$@" &
  child=$!
  wait "$child"
  local status=$?
  # A signal ends the wait, not the program.
  while kill -0 "$child" 2> /dev/null; do
    wait "$child"
    status=$?
  done
  child=
  return "$status"
}

# The log of a task that is queued again holds all its attempts.
echo "--- task $task, job $SLURM_JOB_ID on ${SLURMD_NODENAME:-?}, attempt $((${SLURM_RESTART_COUNT:-0} + 1))"
mark running "$SLURM_JOB_ID" "${SLURMD_NODENAME:-?}"
# A task sees the GPUs that Slurm gave it, and none where it was given none.
export CUDA_VISIBLE_DEVICES="${CUDA_VISIBLE_DEVICES:-${SLURM_JOB_GPUS:-}}"
"#;

const END: &str = r#"status=$?
if [ "$status" = 0 ]; then
  mark done
elif [ "$stopped" = time ] && [ "${SLURM_RESTART_COUNT:-0}" -lt "$requeues" ]; then
  mark requeued
  scontrol requeue "$SLURM_JOB_ID" && exit 0
  mark failed "$status"
else
  mark failed "$status"
fi
exit "$status"
"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn task(name: &str, words: &[&[&str]]) -> Task {
        let commands = words.iter().map(|w| w.iter().map(|w| (*w).into()).collect()).collect();
        Task { name: name.into(), commands, log: Path::new("unused").into() }
    }

    fn script<'a>(resources: &'a Resources, work: ScriptCommand<'a>) -> Script<'a> {
        Script {
            name: "ncaers-build-0123abcd",
            program: Path::new("/opt/it's here/ncaers"),
            workplace: Path::new("/home/me/my work"),
            folder: Path::new("/data/out.slurm"),
            resources,
            work,
        }
    }

    fn shards() -> [Task; 2] {
        [
            task("1/2", &[&["build", "--corpus", "a b", "--shard", "1/2"]]),
            task("2/2", &[&["train", "x.toml"], &["predict", "--run", "$(rm -rf /)"]]),
        ]
    }

    #[test]
    fn an_array_script() {
        let resources = Resources {
            partition: Some("long".into()),
            gpus: Some("a100:1".into()),
            time: Some("04:00:00".into()),
            modules: vec!["cuda/13.0".into()],
            setup: vec!["ulimit -n 4096".into()],
            options: vec!["--qos=high".into()],
            parallel: Some(5),
            ..Resources::default()
        };
        let [a, b] = shards();
        let text =
            script(&resources, ScriptCommand::Array(vec![(1, &a), (3, &b)])).text().expect("text");
        insta::assert_snapshot!(text);
        parses(&text);
    }

    #[test]
    fn the_script_of_the_job_behind_it() {
        let resources = Resources { gpus: Some("1".into()), ..Resources::default() };
        let last = task("merge", &[&["merge", "s/1", "--out", "o"]]);
        let text = script(&resources, ScriptCommand::Single("merge", &last)).text().expect("text");
        insta::assert_snapshot!(text);
        parses(&text);
    }

    /// bash finds no mistake in it.
    fn parses(text: &str) {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("x.sbatch");
        std::fs::write(&path, text).expect("write");
        assert!(std::process::Command::new("bash")
            .arg("-n")
            .arg(&path)
            .status()
            .unwrap()
            .success());
    }

    #[test]
    fn numbers_are_told_as_ranges() {
        assert_eq!(ranges(&[1, 2, 3, 5, 7, 8]), "1-3,5,7-8");
        assert_eq!(ranges(&[4]), "4");
    }
}
