//! Experiment files: TOML becomes a checked, fully resolved [`Experiment`] or fails naming the
//! key; a grid file becomes a list of them.
//!
//! A file holds differences from the paper's protocol only. Unknown keys are errors, so that a
//! misspelt option never silently trains something else.
use std::path::{Component, Path, PathBuf};

use anyhow::{bail, ensure, Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};

use crate::{corpus, digest, manifest, model::ModelConfig, train::TrainConfig};

#[cfg(feature = "torch")]
pub mod ablation;
pub mod demo;
pub mod executor;
pub mod forecast;
mod grid;
#[cfg(feature = "torch")]
mod grid_progress;
mod keys;
pub mod obstacles;
#[cfg(feature = "torch")]
pub mod paper;
#[cfg(feature = "torch")]
pub mod predict_run;
pub mod shipped;
#[cfg(feature = "torch")]
pub mod start_weights;
#[cfg(feature = "torch")]
pub mod train_run;

use executor::slurm::Resources;
pub use grid::{Grid, GridRun};

/// Section `[data]`: what is trained on. Paths are relative to the working directory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Manifest folder that the pack was made from; a pack of another state of it is refused.
    pub manifest: Option<String>,
    /// Pack folder, with `train.safetensors` and `val.safetensors`.
    pub pack: Option<String>,
}

impl DataConfig {
    fn paths_mut(&mut self) -> [Option<&mut String>; 2] {
        [self.manifest.as_mut(), self.pack.as_mut()]
    }
}

/// The file of a run folder that keeps its configuration.
pub const RUN_CONFIG: &str = "config.toml";

/// `path` as seen from the folder `from`; `None` when either is not there.
fn relative(path: &Path, from: &Path) -> Option<PathBuf> {
    let (path, from) = (path.canonicalize().ok()?, from.canonicalize().ok()?);
    let shared = path.components().zip(from.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(shared).map(|_| Component::ParentDir);
    Some(up.chain(path.components().skip(shared)).collect())
}

/// One run, fully resolved: no default is left open.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Name of the run in tables; the model's name and variant where it is absent.
    pub label: Option<String>,
    /// Section `[data]`.
    pub data: DataConfig,
    /// Section `[model]`.
    pub model: ModelConfig,
    /// Section `[train]`.
    pub train: TrainConfig,
}

impl Experiment {
    /// Reads an experiment file and puts `settings` (`key=value`, dotted keys) over it.
    ///
    /// # Errors
    /// When the file cannot be read or is no TOML, or a key or value is wrong; names it.
    pub fn read(path: &Path, settings: &[String]) -> Result<Self> {
        let mut given = tree_of(path)?;
        let is_grid = given.get("run").is_some() || given.get("seeds").is_some();
        ensure!(
            !is_grid,
            "{0} is a grid of runs; name one with --run LABEL, or train all of it with \
             `ncaers ablation {0}`",
            path.display()
        );
        let slurm = take_slurm(&mut given);
        Resources::of(&slurm).with_context(|| path.display().to_string())?;
        override_with(&mut given, settings)?;
        Self::resolve(&given).with_context(|| path.display().to_string())
    }

    /// The run of a grid with this label, of its first seed, with `settings` over it.
    ///
    /// # Errors
    /// As `Grid::read`, and when no run has the label; names those that there are.
    pub fn of_grid(path: &Path, label: &str, settings: &[String]) -> Result<Self> {
        // The seed is the grid's own for the run; here a setting may change it.
        let (seeds, others): (Vec<String>, Vec<String>) =
            settings.iter().cloned().partition(|setting| setting.starts_with("train.seed="));
        let grid = Grid::read(path, &others)?;
        let Some(run) = grid.runs.iter().find(|run| run.label == label) else {
            let mut labels: Vec<_> = grid.runs.iter().map(|run| run.label.as_str()).collect();
            labels.dedup();
            bail!("{} has no run `{label}` (it has {})", path.display(), labels.join(", "));
        };
        let mut tree = serde_json::to_value(&run.experiment)?;
        override_with(&mut tree, &seeds)?;
        let mut experiment: Experiment = serde_json::from_value(tree)?;
        experiment.label = Some(run.label.clone());
        Ok(experiment)
    }

    /// Resolves a tree of differences from the defaults with `settings` over it.
    ///
    /// # Errors
    /// When a key or value is wrong; names it.
    pub fn of(mut given: Value, settings: &[String]) -> Result<Self> {
        override_with(&mut given, settings)?;
        Self::resolve(&given)
    }

    /// Resolves a tree of differences from the defaults.
    ///
    /// # Errors
    /// When a key or value is wrong; names it.
    pub fn resolve(given: &Value) -> Result<Self> {
        // Which keys of a model have a default depends on its name, so the model's own reader
        // fills them in.
        let mut defaults = serde_json::to_value(Experiment::default())?;
        keys::set(&mut defaults, "model", json!({}));
        let mut known = defaults.clone();
        for key in ModelConfig::KEYS {
            keys::set(&mut known, &format!("model.{key}"), Value::Null);
        }
        keys::refuse_unknown(&known, given)?;
        let experiment: Experiment = keys::typed(&defaults, given)?;
        experiment.train.check()?;
        Ok(experiment)
    }

    /// The configuration that a run folder keeps, its paths as this process can open them.
    ///
    /// # Errors
    /// When the folder keeps none or it is damaged.
    pub fn of_run(run: &Path) -> Result<Self> {
        let mut experiment = Self::read(&run.join(RUN_CONFIG), &[])?;
        for path in experiment.data.paths_mut().into_iter().flatten() {
            // Runs of earlier versions kept paths as they were typed. What is nowhere is named as
            // seen from here.
            let below = run.join(&*path);
            if below.exists() || !Path::new(&*path).exists() {
                *path = below.display().to_string();
            }
        }
        Ok(experiment)
    }

    /// With the paths of its data relative to the run folder, so that neither moves of the whole
    /// nor another working directory part them.
    pub fn seen_from(mut self, run: &Path) -> Self {
        for path in self.data.paths_mut().into_iter().flatten() {
            if let Some(relative) = relative(Path::new(&*path), run) {
                *path = relative.display().to_string();
            }
        }
        self
    }

    /// Whether the data set was made from the synthetic corpus, as far as it is at hand.
    pub fn is_synthetic(&self) -> bool {
        let folder = self.data.manifest.as_ref().map(|path| manifest::folder_of(Path::new(path)));
        folder.is_some_and(|folder| corpus::demo::is_source_of(&folder))
    }

    /// The resolved configuration as TOML, as kept in `config.toml`.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).context("cannot write the configuration as TOML")
    }

    /// The pack folder.
    ///
    /// # Errors
    /// When the experiment names none.
    pub fn pack(&self) -> Result<&Path> {
        let pack = self.data.pack.as_deref();
        pack.map(Path::new).context(
            "no pack is named; set data.pack in the experiment file or with --set data.pack=DIR",
        )
    }

    /// What makes two runs the same: the configuration with digests in place of paths and
    /// without device, threads and how steps are launched, which change bits but not the
    /// experiment.
    ///
    /// # Errors
    /// When a file that the configuration names cannot be read.
    pub fn identity(&self, pack_digest: &str, manifest_digest: &str) -> Result<Value> {
        let mut tree = serde_json::to_value(self)?;
        keys::set(&mut tree, "data", json!({"manifest": manifest_digest, "pack": pack_digest}));
        for key in ["model.weights.path", "train.teacher"] {
            let pointer = format!("/{}", key.replace('.', "/"));
            let named = tree.pointer(&pointer).and_then(Value::as_str).filter(|p| !p.is_empty());
            if let Some(path) = named.map(Path::new) {
                let digest = content_digest(path)?;
                keys::set(&mut tree, key, Value::String(digest));
            }
        }
        if let Some(train) = tree.pointer_mut("/train").and_then(Value::as_object_mut) {
            train.retain(|key, _| !["device", "threads", "graphs"].contains(&key.as_str()));
        }
        Ok(keys::canonical(&tree))
    }
}

/// The run id of an identity: the first 16 hex digits of the SHA-256 of its text.
pub fn run_id(identity: &Value) -> String {
    digest::sha256_hex(keys::canonical(identity).to_string().as_bytes())[..16].to_owned()
}

/// Digest of a weight file, or of the checkpoint of a run folder.
fn content_digest(path: &Path) -> Result<String> {
    let file = if path.is_dir() { path.join("best.safetensors") } else { path.to_owned() };
    digest::sha256_file(&file)
}

/// Reads a TOML file as a tree. Where there is no file `experiments/NAME`, as outside of a clone, it
/// is the one of that name that comes with the program.
fn tree_of(path: &Path) -> Result<Value> {
    let inside = || shipped::text(path.strip_prefix("experiments").ok()?.to_str()?);
    let text = match (std::fs::read_to_string(path), inside()) {
        (Err(e), Some(text)) if e.kind() == std::io::ErrorKind::NotFound => text.to_owned(),
        (read, _) => {
            read.with_context(|| format!("cannot read experiment file {}", path.display()))?
        }
    };
    let table: toml::Table =
        toml::from_str(&text).with_context(|| format!("{} is not TOML", path.display()))?;
    let tree = serde_json::to_value(table)?;
    ensure!(tree.is_object(), "{} is empty", path.display());
    Ok(tree)
}

/// Takes the table `[slurm]` out of a tree; where a run is made is no part of what it is.
fn take_slurm(tree: &mut Value) -> Value {
    tree.as_object_mut().and_then(|table| table.remove("slurm")).unwrap_or(Value::Null)
}

fn override_with(tree: &mut Value, settings: &[String]) -> Result<()> {
    for setting in settings {
        let (key, value) = keys::assignment(setting)?;
        let mut change = json!({});
        keys::set(&mut change, &key, value);
        keys::merge(tree, &change);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::{OptimizerKind, Schedule, StageEpochs};

    fn read(text: &str, settings: &[&str]) -> Result<Experiment> {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("x.toml");
        std::fs::write(&path, text).expect("write");
        let settings: Vec<String> = settings.iter().map(|&s| s.into()).collect();
        Experiment::read(&path, &settings)
    }

    fn refusal(text: &str, settings: &[&str]) -> String {
        format!("{:#}", read(text, settings).expect_err("refused"))
    }

    #[test]
    fn an_empty_file_is_the_papers_protocol() {
        assert_eq!(read("", &[]).expect("resolves"), Experiment::default());
    }

    #[test]
    fn what_is_resolved_reads_back_the_same() {
        let given = "[train]\nbatch_size = 16\nschedule = { kind = \"linear\", end = 0.05 }\n\
                     stage1_epochs = { face = 8, context = 20 }\n[train.augment]\nflip = \"both\"";
        let first = read(given, &["train.optimizer=adamw", "data.pack=some/pack"]).expect("reads");
        assert_eq!(first.train.optimizer, OptimizerKind::Adamw);
        assert_eq!(first.train.schedule, Schedule::Linear { end: 0.05 });
        assert_eq!(first.train.stage1_epochs, StageEpochs { face: 8, context: 20 });
        assert_eq!(read(&first.to_toml().expect("TOML"), &[]).expect("reads"), first);
    }

    #[test]
    fn settings_reach_into_tables() {
        let set = |s: &str| read("", &[s]).expect("resolves").train;
        assert_eq!(set("train.stage1_epochs=3").stage1_epochs, StageEpochs { face: 3, context: 3 });
        assert_eq!(set("train.stage1_epochs.face=3").stage1_epochs.context, 20);
        assert_eq!(set("train.augment.shift=4").augment.shift, 4);
        assert_eq!(set("train.schedule={kind=\"constant\"}").schedule, Schedule::Constant {});
    }

    #[test]
    fn wrong_keys_and_values_are_named() {
        let message = refusal("[train]\nepoch = 3", &[]);
        assert!(
            message.contains("unknown key `train.epoch`, did you mean `train.epochs`?"),
            "{message}"
        );
        let message = refusal("[train]\nepochs = \"many\"\nbatch_size = 8", &[]);
        assert!(message.contains("train.epochs = \"many\""), "{message}");
        let message = refusal("", &["train.optimizer=sdg"]);
        assert!(message.contains("train.optimizer") && message.contains("sgd"), "{message}");
        let message = refusal("[train]\nschedule = { kind = \"linear\", stop = 1 }", &[]);
        assert!(message.contains("train.schedule") && message.contains("stop"), "{message}");
        assert!(refusal("[train\n", &[]).contains("is not TOML"));
        // A key that fits the model that is named is not blamed for another's mistake.
        let message =
            refusal("[model]\nname = \"alexnet\"\npicture = \"face\"\n[train]\nepochs = -1", &[]);
        assert!(message.contains("train.epochs = -1"), "{message}");
        let message = refusal("[model]\nname = \"resnet18\"\nwidths = [1, 2, 3, 4, 5]", &[]);
        assert!(message.contains("model.widths") && message.contains("resnet18"), "{message}");
        let message = refusal("seeds = [1]\n[[run]]\nlabel = \"x\"", &[]);
        assert!(message.contains("is a grid of runs") && message.contains("ablation"), "{message}");
    }

    #[test]
    fn identity_ignores_where_but_not_what() {
        let id = |settings: &[&str]| {
            let experiment = read("", settings).expect("resolves");
            run_id(&experiment.identity("pack", "manifest").expect("identity"))
        };
        let base = id(&[]);
        assert_eq!(base, id(&["train.device=cpu", "train.threads=1", "data.pack=elsewhere"]));
        assert_eq!(base, id(&["train.graphs=false"]));
        for change in ["train.seed=2", "train.epochs=61", "label=x", "train.augment.flip=none"] {
            assert_ne!(base, id(&[change]), "{change}");
        }
    }
}
