//! Grids: one base experiment, a list of differences, a list of seeds, and other grids.
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context, Result};
use serde_json::{json, Map, Value};

use super::{executor::slurm::Resources, keys, tree_of, Experiment};
use crate::folder;

/// A grid of runs, in the order in which they are to be made: every difference for its first
/// seed, then for its second, so that an unfinished grid already compares.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// The runs; no two resolve to the same configuration and seed.
    pub runs: Vec<GridRun>,
    /// The table `[slurm]`, this file's over the base's over those of included grids; `Null` where
    /// there is none.
    pub slurm: Value,
    /// What the reader of the report must know before the results; this file's own.
    pub note: Option<String>,
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
    /// Reads a grid file: `base` (an experiment file, relative to the grid), `include` (other
    /// grids, whose runs come first), `seeds`, `note` (a sentence for the head of the report), sections `[data]`, `[model]`, `[train]` for all
    /// runs, and `[[run]]` entries with a `label`, the sections in which they differ and, where
    /// they have their own, `seeds` and a `recipe` (an experiment file that stands between the
    /// sections for all runs and the entry's own). What the file says goes over what it includes; an entry with
    /// the label of an included run changes that run. Runs that resolve to the same configuration
    /// are one run, under the first label. `settings` go over all of it.
    ///
    /// # Errors
    /// When a file cannot be read, or a key or value is wrong; names the run and the key.
    pub fn read(path: &Path, settings: &[String]) -> Result<Self> {
        Self::read_with(path, settings, None)
    }

    /// The same with `seeds`, where some are given, in place of every run's own.
    ///
    /// # Errors
    /// As [`Grid::read`], and when no seed is given.
    pub fn read_with(path: &Path, settings: &[String], seeds: Option<&[u64]>) -> Result<Self> {
        let mut slurm = Value::Null;
        let mut rows = rows_of(path, &mut Vec::new(), &mut slurm)?;
        let note = match tree_of(path)?.get("note") {
            Some(Value::String(note)) => Some(note.clone()),
            Some(other) => bail!("{}: note is {other}, must be a text", path.display()),
            None => None,
        };
        if let Some(seeds) = seeds {
            ensure!(!seeds.is_empty(), "no seed is given");
            rows.iter_mut().for_each(|row| row.seeds = seeds.to_vec());
        }
        Resources::of(&slurm).with_context(|| path.display().to_string())?;
        let most = rows.iter().map(|row| row.seeds.len()).max().unwrap_or(0);
        let mut runs: Vec<GridRun> = Vec::new();
        for position in 0..most {
            for row in &rows {
                let Some(&seed) = row.seeds.get(position) else { continue };
                let run = row.run(seed, settings).with_context(|| path.display().to_string())?;
                if !runs.iter().any(|known| known.is_same(&run)) {
                    runs.push(run);
                }
            }
        }
        refuse_duplicates(&runs)?;
        Ok(Grid { runs, slurm, note })
    }
}

impl GridRun {
    /// Whether both resolve to the same configuration, whatever they are called.
    fn is_same(&self, other: &GridRun) -> bool {
        let unnamed = |run: &GridRun| Experiment { label: None, ..run.experiment.clone() };
        self.seed == other.seed && unnamed(self) == unnamed(other)
    }
}

/// A `[[run]]` entry with what it stands on, not yet resolved.
#[derive(Clone, Debug)]
struct RunEntry {
    label: String,
    seeds: Vec<u64>,
    /// Base and sections.
    common: Value,
    /// The entry itself.
    difference: Value,
}

impl RunEntry {
    fn run(&self, seed: u64, settings: &[String]) -> Result<GridRun> {
        let label = self.label.clone();
        let mut tree = self.common.clone();
        keys::merge(&mut tree, &self.difference);
        super::override_with(&mut tree, settings)?;
        keys::set(&mut tree, "train.seed", json!(seed));
        let experiment = Experiment::resolve(&tree).with_context(|| format!("run `{label}`"))?;
        Ok(GridRun { folder: format!("{}-{seed}", slug(&label)), label, seed, experiment })
    }
}

/// A label as part of a folder name: `F + mC, GLA` becomes `F-mC-GLA`.
fn slug(label: &str) -> String {
    let words = label.split(|c: char| !c.is_ascii_alphanumeric() && !"._".contains(c));
    folder::safe_component(&words.filter(|w| !w.is_empty()).collect::<Vec<_>>().join("-"))
}

/// The rows of a grid file, those of the grids that it includes first; `open` names the files
/// that are being read, and `slurm` collects the tables of that name, this file's over the others.
fn rows_of(path: &Path, open: &mut Vec<PathBuf>, slurm: &mut Value) -> Result<Vec<RunEntry>> {
    ensure!(!open.iter().any(|p| p == path), "{} includes itself", path.display());
    let Value::Object(mut top) = tree_of(path)? else { bail!("{} is not a table", path.display()) };
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut common = match top.remove("base") {
        Some(Value::String(name)) => tree_of(&folder.join(name))?,
        Some(other) => bail!("base is {other}, must be the name of an experiment file"),
        None => json!({}),
    };
    let own = [super::take_slurm(&mut common), top.remove("slurm").unwrap_or(Value::Null)];
    top.remove("note");
    open.push(path.to_owned());
    let mut rows = Vec::new();
    for name in included(top.remove("include"))? {
        rows.append(&mut rows_of(&folder.join(name), open, slurm)?);
    }
    open.pop();
    own.iter().filter(|table| !table.is_null()).for_each(|table| keys::merge(slurm, table));
    let own_seeds = top.remove("seeds").map(seeds).transpose()?;
    let entries = entries(top.remove("run"))?;
    keys::merge(&mut common, &Value::Object(top));
    for row in &mut rows {
        keys::merge(&mut row.common, &common);
        row.seeds = own_seeds.clone().unwrap_or(std::mem::take(&mut row.seeds));
    }
    let before = rows.len();
    for mut entry in entries {
        let recipe = recipe(entry.remove("recipe"), folder);
        let recipe = recipe.with_context(|| path.display().to_string())?;
        place(&mut rows, before, (entry, recipe), &common, own_seeds.as_deref().unwrap_or(&[1]))
            .with_context(|| path.display().to_string())?;
    }
    ensure!(!rows.is_empty(), "{}: a grid needs at least one [[run]] with a label", path.display());
    Ok(rows)
}

/// The experiment file that an entry names as its `recipe`, without its own name and data.
fn recipe(given: Option<Value>, folder: &Path) -> Result<Value> {
    let mut recipe = match given {
        Some(Value::String(name)) => tree_of(&folder.join(name))?,
        Some(other) => bail!("recipe is {other}, must be the name of an experiment file"),
        None => return Ok(json!({})),
    };
    if let Some(table) = recipe.as_object_mut() {
        table.retain(|key, _| !["label", "data", "slurm"].contains(&key.as_str()));
    }
    Ok(recipe)
}

/// Adds an entry on top of its recipe, or changes those of the first `included` rows that have its
/// label.
fn place(
    rows: &mut Vec<RunEntry>,
    included: usize,
    (mut entry, recipe): (Map<String, Value>, Value),
    common: &Value,
    grid_seeds: &[u64],
) -> Result<()> {
    let label = entry.get("label").and_then(Value::as_str);
    let label = label.context("a [[run]] has no label")?.to_owned();
    let own_seeds = entry.remove("seeds").map(seeds).transpose();
    let own_seeds = own_seeds.with_context(|| format!("run `{label}`"))?;
    let difference = Value::Object(entry);
    let (theirs, own) = rows.split_at_mut(included);
    ensure!(own.iter().all(|row| row.label != label), "two runs of the grid are called `{label}`");
    let mut known = theirs.iter_mut().filter(|row| row.label == label).peekable();
    let is_new = known.peek().is_none();
    for row in known {
        keys::merge(&mut row.common, &recipe);
        keys::merge(&mut row.difference, &difference);
        row.seeds = own_seeds.clone().unwrap_or(std::mem::take(&mut row.seeds));
    }
    if is_new {
        let seeds = own_seeds.unwrap_or_else(|| grid_seeds.to_vec());
        let mut common = common.clone();
        keys::merge(&mut common, &recipe);
        rows.push(RunEntry { label, seeds, common, difference });
    }
    Ok(())
}

fn included(given: Option<Value>) -> Result<Vec<String>> {
    let Some(given) = given else { return Ok(Vec::new()) };
    serde_json::from_value(given.clone())
        .with_context(|| format!("include is {given}, must be a list of grid files"))
}

fn seeds(given: Value) -> Result<Vec<u64>> {
    let seeds: Vec<u64> = serde_json::from_value(given.clone())
        .with_context(|| format!("seeds is {given}, must be a list of whole numbers"))?;
    ensure!(!seeds.is_empty(), "seeds is empty");
    Ok(seeds)
}

fn entries(given: Option<Value>) -> Result<Vec<Map<String, Value>>> {
    let Some(given) = given else { return Ok(Vec::new()) };
    serde_json::from_value(given).context("run must be a list: [[run]]")
}

fn refuse_duplicates(runs: &[GridRun]) -> Result<()> {
    for (i, run) in runs.iter().enumerate() {
        if let Some(duplicate) = runs[..i].iter().find(|other| other.folder == run.folder) {
            bail!("two runs of the grid are called `{}` with seed {}", duplicate.label, run.seed);
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
        let recipe =
            "label = \"other\"\n[data]\npack = \"elsewhere\"\n[model]\nname = \"alexnet\"\n\
             [train]\nepochs = 50\noptimizer = \"adam\"";
        std::fs::write(dir.path().join("recipe.toml"), recipe).expect("write");
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

    /// `two.toml` beside a grid that includes it.
    fn including(text: &str) -> Result<Grid> {
        let dir = tempfile::tempdir().expect("temp dir");
        let write = |name: &str, text: &str| {
            std::fs::write(dir.path().join(name), text).expect("write");
        };
        write("base.toml", "[train]\nepochs = 9");
        write("two.toml", TWO);
        write("grid.toml", text);
        Grid::read(&dir.path().join("grid.toml"), &[])
    }

    fn summary(grid: &Grid) -> Vec<(&str, u32, u32)> {
        let changes = |r: &'_ GridRun| (r.experiment.train.epochs, r.experiment.train.batch_size);
        grid.runs.iter().map(|r| (r.folder.as_str(), changes(r).0, changes(r).1)).collect()
    }

    #[test]
    fn an_included_grid_is_changed_by_sections_seeds_and_label() {
        let grid = including(
            "include = [\"two.toml\"]\nseeds = [1]\n[train]\nbatch_size = 32\n\
             [[run]]\nlabel = \"a\"\nseeds = [1, 2]\ntrain.epochs = 5\n\
             [[run]]\nlabel = \"c + d, e\"\n",
        );
        let expected = [("a-1", 5, 32), ("b-1", 3, 32), ("c-d-e-1", 60, 32), ("a-2", 5, 32)];
        assert_eq!(summary(&grid.expect("reads")), expected);
    }

    #[test]
    fn what_resolves_to_the_same_is_one_run() {
        // `same` differs from `b` in its name alone, and `two.toml` is there twice.
        let grid = including(
            "include = [\"two.toml\", \"two.toml\"]\n\
             [[run]]\nlabel = \"same\"\nseeds = [4]\ntrain.epochs = 3\ntrain.batch_size = 16\n",
        );
        let expected = [("a-4", 9, 16), ("b-4", 3, 16), ("a-5", 9, 16), ("b-5", 3, 16)];
        assert_eq!(summary(&grid.expect("reads")), expected);
    }

    #[test]
    fn an_entry_stands_on_its_recipe() {
        let text = "base = \"base.toml\"\n[train]\nepochs = 7\n\
            [[run]]\nlabel = \"a\"\nrecipe = \"recipe.toml\"\ntrain.optimizer = \"adamw\"\n\
            [[run]]\nlabel = \"b\"\n";
        let runs = grid(text).expect("reads").runs;
        let [a, b] = [&runs[0].experiment, &runs[1].experiment];
        assert_eq!(
            (a.label.as_deref(), &a.data.pack),
            (Some("a"), &None),
            "its name and data stay"
        );
        assert_eq!((a.train.epochs, a.train.batch_size), (50, 8));
        assert_eq!(a.train.optimizer, crate::train::OptimizerKind::Adamw);
        assert_eq!(a.model.name, crate::model::ModelName::Alexnet);
        assert_eq!((b.train.epochs, b.model.name), (7, crate::model::ModelName::Glamor));
        let message = format!(
            "{:#}",
            grid("[[run]]\nlabel = \"a\"\nrecipe = \"no.toml\"").expect_err("not there")
        );
        assert!(message.contains("no.toml"), "{message}");
    }

    #[test]
    fn the_papers_file_spells_out_the_defaults_and_recipes_are_what_they_say() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
        let read = |name: &str| {
            Experiment::read(&folder.join(name), &[]).unwrap_or_else(|e| panic!("{name}: {e:#}"))
        };
        let paper = read("paper.toml");
        let plain = Experiment { label: None, data: Default::default(), ..paper };
        assert_eq!(plain, Experiment::default());
        let released = read("recipes/glamor_released.toml").train;
        assert_eq!((released.stage1_epochs.face, released.stage1_epochs.context), (0, 0));
        assert_eq!((released.augment.rotation, released.augment.context_rotation), (20.0, 0.0));
        let caer = read("recipes/caer_net_s.toml").train;
        assert_eq!(caer.augment.flip, crate::train::Flip::None);
        assert_eq!((caer.batch_size, caer.nesterov, caer.early_stop), (128, true, 20));
    }

    #[test]
    fn every_baseline_of_tables_2_and_3_has_its_own_recipe() {
        let own = crate::train::TrainConfig::default();
        for run in shipped("table2.toml").runs.iter().chain(&shipped("table3.toml").runs) {
            let train = &run.experiment.train;
            let is_glamor = run.experiment.model.name == crate::model::ModelName::Glamor;
            let as_the_paper = (train.batch_size, train.learning_rate, train.epochs)
                == (own.batch_size, own.learning_rate, own.epochs);
            assert_eq!(as_the_paper, is_glamor, "{}", run.label);
        }
    }

    #[test]
    fn grids_that_include_themselves_are_refused() {
        let message = format!("{:#}", including("include = [\"grid.toml\"]").expect_err("refused"));
        assert!(message.contains("includes itself"), "{message}");
    }

    /// The files of `experiments/`.
    fn shipped(name: &str) -> Grid {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
        Grid::read(&folder.join(name), &[]).unwrap_or_else(|e| panic!("{name}: {e:#}"))
    }

    #[test]
    fn tables_4_6_and_7_are_fourteen_configurations() {
        let distinct = |name: &str| {
            let runs = shipped(name).runs;
            let labels: std::collections::BTreeSet<_> = runs.iter().map(|r| &r.label).collect();
            let first = runs.iter().filter(|r| r.seed == runs[0].seed).count();
            assert_eq!(labels.len(), first, "{name}: a label for every configuration");
            first
        };
        let counts = ["table4.toml", "table6.toml", "table7.toml", "ablation.toml"].map(distinct);
        assert_eq!(counts, [9, 4, 3, 14]);
        assert_eq!(["table2.toml", "table3.toml"].map(distinct), [12, 4]);
        // Shared rows once: CAER-Net-S and GLAMOR-Net, and of Table 7 all but MobileNetV2.
        assert_eq!(["ncaer-s.toml", "caer-s.toml"].map(distinct), [17, 13]);
    }

    #[test]
    fn seeds_from_outside_replace_every_runs_own() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/ablation-demo.toml");
        let seeds = |given: Option<&[u64]>| {
            let runs = Grid::read_with(&path, &[], given).expect("reads").runs;
            runs.iter().map(|run| run.seed).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(seeds(None), [1, 2, 3].into());
        assert_eq!(seeds(Some(&[7, 9])), [7, 9].into());
        assert!(Grid::read_with(&path, &[], Some(&[])).is_err());
    }

    #[test]
    fn the_demo_ablation_has_three_seeds_of_setting_iv() {
        let runs = shipped("ablation-demo.toml").runs;
        for label in ["F + mC, none", "F + mC, CA", "F + mC, GLA"] {
            assert_eq!(runs.iter().filter(|r| r.label == label).count(), 3, "{label}");
        }
        let paper: std::collections::BTreeSet<_> = ["table4.toml", "table6.toml"]
            .iter()
            .flat_map(|n| shipped(n).runs)
            .map(|r| r.label)
            .collect();
        assert!(paper.iter().all(|label| runs.iter().any(|r| r.label == *label)));
    }

    #[test]
    fn a_note_is_for_the_report_and_no_part_of_a_run() {
        let noted = grid(&format!("note = \"left out: B\"\n{TWO}")).expect("reads");
        assert_eq!(noted.note.as_deref(), Some("left out: B"));
        assert_eq!(noted.runs, grid(TWO).expect("reads").runs);
        assert_eq!(
            shipped("ablation.toml").note,
            None,
            "of the grid itself, not of what it includes"
        );
        let message = format!("{:#}", grid(&format!("note = 3\n{TWO}")).expect_err("no text"));
        assert!(message.contains("note is 3, must be a text"), "{message}");
    }

    #[test]
    fn the_clusters_table_is_no_part_of_a_run() {
        let text = format!("{TWO}[slurm]\ncpus = 3\ntime = \"01:00:00\"\n");
        let slurm = grid(&text).expect("reads").slurm;
        assert_eq!(slurm, json!({"cpus": 3, "time": "01:00:00"}));
        assert_eq!(grid(&text).expect("reads").runs, grid(TWO).expect("reads").runs);
        let message = format!("{:#}", grid(&format!("{TWO}[slurm]\ncpu = 3\n")).expect_err("no"));
        assert!(message.contains("did you mean `slurm.cpus`?"), "{message}");
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
        let duplicates = "[[run]]\nlabel = \"a\"\n[[run]]\nlabel = \"a\"";
        assert!(refusal(duplicates).contains("two runs of the grid are called `a`"));
    }
}
