//! The `[slurm]` table: what a task asks of the cluster.
use std::path::Path;

use anyhow::{ensure, Context, Result};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{json, Value};

use super::super::super::{keys, tree_of};

/// What every task asks for. Nothing is asked for where the cluster has a default of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Partition, or several with commas between.
    pub partition: Option<String>,
    /// Account that is charged.
    pub account: Option<String>,
    /// GPUs of a task: `1`, or with their kind: `a100:1`.
    #[serde(deserialize_with = "number_or_text")]
    pub gpus: Option<String>,
    /// CPU cores of a task: worker processes of a build, threads of a run.
    pub cpus: u32,
    /// Memory of a task, such as `8G`.
    #[serde(deserialize_with = "number_or_text")]
    pub memory: Option<String>,
    /// Time limit of a task: minutes, `HH:MM:SS` or `D-HH:MM:SS`. A task that meets it saves and
    /// is queued again.
    #[serde(deserialize_with = "number_or_text")]
    pub time: Option<String>,
    /// Modules to load.
    pub modules: Vec<String>,
    /// Shell lines to run before the program.
    pub setup: Vec<String>,
    /// Further options of sbatch, such as `--qos=long`.
    pub options: Vec<String>,
    /// Tasks that may run at once; as many as the cluster lets when absent.
    pub parallel: Option<u32>,
    /// Seconds before the time limit at which a task is told to save.
    pub notice_seconds: u32,
    /// How often a task may be queued again before it counts as failed.
    pub requeues: u32,
    /// Seconds between two looks at the queue under `--wait`.
    pub poll_seconds: u32,
}

impl Default for Resources {
    fn default() -> Self {
        Resources {
            partition: None,
            account: None,
            gpus: None,
            cpus: 1,
            memory: None,
            time: None,
            modules: Vec::new(),
            setup: Vec::new(),
            options: Vec::new(),
            parallel: None,
            // One step and a checkpoint on a slow file system.
            notice_seconds: 60,
            // Ends what never gets past its start-up.
            requeues: 100,
            poll_seconds: 10,
        }
    }
}

/// Options of sbatch that the scripts set themselves.
const OWN_OPTIONS: &[&str] = &[
    "--array",
    "--chdir",
    "--dependency",
    "--job-name",
    "--open-mode",
    "--output",
    "--parsable",
    "--requeue",
    "--signal",
    "--wrap",
];

impl Resources {
    /// The table's content over the defaults; `Null` is an empty table.
    ///
    /// # Errors
    /// Names the key that is unknown or whose value cannot be.
    pub fn of(table: &Value) -> Result<Self> {
        let given = if table.is_null() { json!({}) } else { table.clone() };
        let known = json!(Resources::default());
        keys::refuse_unknown(&json!({"slurm": known}), &json!({"slurm": given}))?;
        let resources: Resources = keys::typed(&known, &given).context("section [slurm]")?;
        resources.check()?;
        Ok(resources)
    }

    /// The table `[slurm]` of a TOML file, whatever else the file holds.
    ///
    /// # Errors
    /// When the file cannot be read or has no such table.
    pub fn table_of(path: &Path) -> Result<Value> {
        let table = tree_of(path)?.get("slurm").cloned();
        table.with_context(|| format!("{} has no table [slurm]", path.display()))
    }

    /// Refuses values that would mean something else in a script.
    ///
    /// # Errors
    /// Naming key and value.
    pub fn check(&self) -> Result<()> {
        let word = |key: &str, value: &Option<String>, more: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
            let ok = value.as_deref().is_none_or(|v| !v.is_empty() && v.chars().all(fits));
            ensure!(ok, "slurm.{key} = {value:?} is no value for sbatch");
            Ok(())
        };
        word("partition", &self.partition, "_-.,")?;
        word("account", &self.account, "_-.@")?;
        word("gpus", &self.gpus, "_-.:")?;
        word("memory", &self.memory, "")?;
        word("time", &self.time, ":-")?;
        ensure!(self.cpus > 0, "slurm.cpus is 0");
        ensure!(self.parallel != Some(0), "slurm.parallel is 0");
        ensure!(self.poll_seconds > 0, "slurm.poll_seconds is 0");
        for line in self.options.iter().chain(&self.setup).chain(&self.modules) {
            ensure!(!line.chars().any(char::is_control), "slurm: `{}`", line.escape_debug());
        }
        for option in &self.options {
            let name = option.split(['=', ' ']).next().unwrap_or_default();
            ensure!(
                name.starts_with("--") && !OWN_OPTIONS.contains(&name),
                "slurm.options: `{option}` must be a long option of sbatch other than {}",
                OWN_OPTIONS.join(", ")
            );
        }
        Ok(())
    }

    /// The lines that ask for the resources; the job behind the array needs no GPU.
    pub(super) fn directives(&self, with_gpus: bool) -> Vec<String> {
        let mut lines = vec!["--ntasks=1".to_owned(), format!("--cpus-per-task={}", self.cpus)];
        let gpus = self.gpus.as_ref().filter(|_| with_gpus);
        for (name, value) in [
            ("partition", self.partition.as_ref()),
            ("account", self.account.as_ref()),
            ("gpus", gpus),
            ("mem", self.memory.as_ref()),
            ("time", self.time.as_ref()),
        ] {
            lines.extend(value.map(|value| format!("--{name}={value}")));
        }
        lines.extend(self.options.iter().cloned());
        lines
    }
}

/// `gpus = 1` is as good as `gpus = "1"`.
fn number_or_text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a number or a text")]
    enum Either {
        Number(u32),
        Text(String),
    }
    let given = Option::<Either>::deserialize(from)?;
    Ok(given.map(|given| match given {
        Either::Number(n) => n.to_string(),
        Either::Text(text) => text,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_over_the_defaults() {
        assert_eq!(Resources::of(&Value::Null).expect("empty"), Resources::default());
        let given = json!({"gpus": 1, "time": "1-00:00:00", "modules": ["cuda/13"], "cpus": 4});
        let read = Resources::of(&given).expect("reads");
        assert_eq!((read.gpus.as_deref(), read.cpus), (Some("1"), 4));
        assert_eq!(
            read.directives(true),
            ["--ntasks=1", "--cpus-per-task=4", "--gpus=1", "--time=1-00:00:00"]
        );
        assert!(!read.directives(false).iter().any(|line| line.contains("gpus")));
    }

    #[test]
    fn mistakes_are_named() {
        let refusal = |given: Value| format!("{:#}", Resources::of(&given).expect_err("refused"));
        let message = refusal(json!({"partiton": "gpu"}));
        assert!(message.contains("`slurm.partiton`, did you mean `slurm.partition`?"), "{message}");
        assert!(refusal(json!({"cpus": "four"})).contains("cpus"));
        assert!(refusal(json!({"cpus": 0})).contains("slurm.cpus is 0"));
        assert!(refusal(json!({"partition": "gpu --wrap=x"})).contains("slurm.partition"));
        assert!(refusal(json!({"memory": "8G\nrm"})).contains("slurm.memory"));
        assert!(refusal(json!({"options": ["--array=1-9"]})).contains("--array=1-9"));
        assert!(refusal(json!({"options": ["qos"]})).contains("must be a long option"));
    }
}
