//! Grids: one base experiment, a list of differences, a list of seeds.
use std::path::Path;

use anyhow::{bail, ensure, Context, Result};
use serde_json::{json, Map, Value};

use super::{keys, tree_of, Experiment};
use crate::output;

/// A grid of runs, in the order in which they are to be made: every difference for the first
/// seed, then for the second, so that an unfinished grid already compares.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// The runs.
    pub runs: Vec<GridRun>,
}

/// One cell of a grid.
#[derive(Clone, Debug, PartialEq)]
pub struct GridRun {
    /// The difference's name, alike over seeds.
    pub label: String,
    /// The seed.
    pub seed: u64,
    /// Name of the run's folder: label and seed, safe as a path component.
    pub folder: String,
    /// The resolved experiment.
    pub experiment: Experiment,
}

impl Grid {
    /// Reads a grid file: `base` (an experiment file, relative to the grid), `seeds`, sections
    /// `[data]`, `[model]`, `[train]` for all runs, and `[[run]]` entries with a `label` and the
    /// sections in which they differ. `settings` go over all of it.
    ///
    /// # Errors
    /// When a file cannot be read, or a key or value is wrong; names the run and the key.
    pub fn read(path: &Path, settings: &[String]) -> Result<Self> {
        let tree = tree_of(path)?;
        let Value::Object(mut top) = tree else { bail!("{} is not a table", path.display()) };
        let mut base = match top.remove("base") {
            Some(Value::String(name)) => {
                tree_of(&path.parent().unwrap_or(Path::new("")).join(name))?
            }
            Some(other) => bail!("base is {other}, must be the name of an experiment file"),
            None => json!({}),
        };
        let seeds = seeds(top.remove("seeds"))?;
        let entries = entries(top.remove("run"))?;
        keys::merge(&mut base, &Value::Object(top));
        let mut runs = Vec::new();
        for seed in seeds {
            for entry in &entries {
                let run = cell(&base, entry, seed, settings);
                runs.push(run.with_context(|| path.display().to_string())?);
            }
        }
        refuse_twins(&runs)?;
        Ok(Grid { runs })
    }
}

fn cell(base: &Value, entry: &Value, seed: u64, settings: &[String]) -> Result<GridRun> {
    let label = entry.get("label").and_then(Value::as_str);
    let label = label.context("a [[run]] has no label")?.to_owned();
    let mut tree = base.clone();
    keys::merge(&mut tree, entry);
    super::override_with(&mut tree, settings)?;
    keys::set(&mut tree, "train.seed", json!(seed));
    let experiment = Experiment::resolve(&tree).with_context(|| format!("run `{label}`"))?;
    let folder = format!("{}-{seed}", output::safe_component(&label));
    Ok(GridRun { label, seed, folder, experiment })
}

fn seeds(given: Option<Value>) -> Result<Vec<u64>> {
    let Some(given) = given else { return Ok(vec![1]) };
    let seeds: Vec<u64> = serde_json::from_value(given.clone())
        .with_context(|| format!("seeds is {given}, must be a list of whole numbers"))?;
    ensure!(!seeds.is_empty(), "seeds is empty");
    Ok(seeds)
}

fn entries(given: Option<Value>) -> Result<Vec<Value>> {
    let entries: Vec<Map<String, Value>> = match given {
        Some(given) => serde_json::from_value(given).context("run must be a list: [[run]]")?,
        None => Vec::new(),
    };
    ensure!(!entries.is_empty(), "a grid needs at least one [[run]] with a label");
    Ok(entries.into_iter().map(Value::Object).collect())
}

fn refuse_twins(runs: &[GridRun]) -> Result<()> {
    for (i, run) in runs.iter().enumerate() {
        if let Some(twin) = runs[..i].iter().find(|other| other.folder == run.folder) {
            bail!("two runs of the grid are called `{}` with seed {}", twin.label, run.seed);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(text: &str) -> Result<Grid> {
        let dir = tempfile::tempdir().expect("temp dir");
        std::fs::write(dir.path().join("base.toml"), "[train]\nepochs = 9\nbatch_size = 8")
            .expect("write");
        std::fs::write(dir.path().join("grid.toml"), text).expect("write");
        Grid::read(&dir.path().join("grid.toml"), &["train.threads=1".into()])
    }

    const TWO: &str = "base = \"base.toml\"\nseeds = [4, 5]\n[train]\nbatch_size = 16\n\
        [[run]]\nlabel = \"a\"\n[[run]]\nlabel = \"b\"\ntrain.epochs = 3\n";

    #[test]
    fn every_difference_for_every_seed() {
        let runs = grid(TWO).expect("reads").runs;
        let told: Vec<_> = runs
            .iter()
            .map(|r| (r.folder.as_str(), r.experiment.train.epochs, r.experiment.train.seed))
            .collect();
        assert_eq!(told, [("a-4", 9, 4), ("b-4", 3, 4), ("a-5", 9, 5), ("b-5", 3, 5)]);
        assert!(runs.iter().all(|r| r.experiment.train.batch_size == 16));
        assert!(runs.iter().all(|r| r.experiment.train.threads == 1));
        assert_eq!(runs[1].experiment.label.as_deref(), Some("b"));
    }

    #[test]
    fn mistakes_are_named() {
        let refusal = |text: &str| format!("{:#}", grid(text).expect_err("refused"));
        assert!(refusal("seeds = [1]").contains("at least one [[run]]"));
        assert!(refusal("seeds = []\n[[run]]\nlabel = \"a\"").contains("seeds is empty"));
        assert!(refusal("[[run]]\ntrain.epochs = 3").contains("has no label"));
        let message = refusal("[[run]]\nlabel = \"x\"\ntrain.epoch = 3");
        assert!(message.contains("run `x`: unknown key `train.epoch`"), "{message}");
        assert!(refusal("seds = [1]\n[[run]]\nlabel = \"a\"").contains("unknown key `seds`"));
        let twins = "[[run]]\nlabel = \"a\"\n[[run]]\nlabel = \"a\"";
        assert!(refusal(twins).contains("two runs of the grid are called `a`"));
    }
}
