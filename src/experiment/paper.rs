//! All that the paper measures, on one or both of its data sets: prepared, trained, reported.
//!
//! A data set is prepared by this program's own commands (build or import, audit, pack), each of
//! which recognises what it has already made; then the rows of its tables are trained as a grid;
//! then one report tells of both. What cannot be made is a cell with a reason.
use std::{
    ffi::OsString,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{bail, ensure, Context, Result};
use serde_json::{json, Value};

use super::{
    ablation::{Ablation, Listing},
    executor::Task,
    forecast, start_weights, Grid,
};
use crate::{
    corpus::{self, Choices},
    folder::{self, OutputFolder},
    manifest::{self, Manifest},
    pack::PackInput,
    record::Split,
    report::{
        self,
        paper::Role,
        several::{self, Several},
        ReportRequest,
    },
    runs,
    split::holdout::ValShare,
    train::pack_inputs,
};

/// Samples that a build draws per clip, as in the paper: 18,555 from 9,240 training clips.
const SAMPLES_PER_CLIP: f64 = 2.0;
/// Bytes of a saved frame, for the forecast: a JPEG of a TV picture at quality 95.
const FRAME_BYTES: u64 = 120_000;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// CAER's clips, for NCAER-S.
    pub caer: Option<PathBuf>,
    /// CAER-S's stills.
    pub caer_s: Option<PathBuf>,
    /// Folder of published weights.
    pub weights: Option<PathBuf>,
    /// Pictures of faces in the wild, for Figure 11.
    pub wild: Option<PathBuf>,
    /// Folder of everything that is made.
    pub out: PathBuf,
    /// Folder of the grids `ncaer-s.toml` and `caer-s.toml`.
    pub grids: PathBuf,
    /// Seeds of every run, in place of the grids'.
    pub seeds: Option<Vec<u64>>,
    /// Seed of the data sets.
    pub seed: u64,
    /// Detector of the faces.
    pub detector: String,
    /// Share of CAER-S's training part that becomes its validation part.
    pub val_share: ValShare,
    /// Keys of every run, `key=value`.
    pub settings: Vec<String>,
}

/// The study, its grids read.
#[derive(Debug)]
pub struct Paper {
    wanted: Wanted,
    parts: Vec<StudySet>,
    absent: Vec<(Role, String)>,
}

/// A data set of the study.
#[derive(Debug)]
struct StudySet {
    role: Role,
    /// Clips or stills.
    source: PathBuf,
    folder: PathBuf,
    ablation: Ablation,
}

impl StudySet {
    fn manifest(&self) -> PathBuf {
        self.folder.join("manifest")
    }

    fn pack(&self) -> PathBuf {
        self.folder.join("pack")
    }

    fn audit(&self) -> PathBuf {
        self.folder.join("audit")
    }

    fn task_name(&self, run: &str) -> String {
        format!("{}-{run}", self.role.name().to_ascii_lowercase())
    }

    /// Tensors that some row needs.
    fn inputs(&self) -> Vec<PackInput> {
        let runs = self.ablation.grid.runs.iter();
        let mut inputs: Vec<PackInput> =
            runs.flat_map(|run| pack_inputs(&run.experiment.model)).collect();
        inputs.sort_unstable();
        inputs.dedup();
        inputs
    }

    /// The commands that prepare it, in order.
    fn preparation(&self, wanted: &Wanted) -> Vec<Vec<OsString>> {
        let (manifest, pack, audit) = (self.manifest(), self.pack(), self.audit());
        let seed = wanted.seed.to_string();
        let share = wanted.val_share.percent().to_string();
        let inputs: Vec<&str> = self.inputs().into_iter().map(PackInput::name).collect();
        let inputs = inputs.join(",");
        let mut first: Vec<OsString> = match self.role {
            Role::NcaerS => words(&[&"build", &"--corpus", &self.source]),
            // The test part stays as it is: what leaks is what Table 2 measures, and the audit
            // says how much.
            Role::CaerS => words(&[
                &"import",
                &"--layout",
                &"caer-s",
                &"--root",
                &self.source,
                &"--on-leak",
                &"keep",
            ]),
        };
        first.extend(words(&[&"--out", &manifest, &"--seed", &seed]));
        first.extend(words(&[&"--detector", &wanted.detector]));
        if self.role == Role::CaerS && !has_validation(&self.source) {
            first.extend(words(&[&"--val-share", &share]));
        }
        let mut steps = vec![first];
        if self.role == Role::CaerS {
            steps.push(words(&[&"audit", &manifest, &"--out", &audit]));
        }
        steps.push(words(&[&"pack", &manifest, &"--out", &pack, &"--inputs", &inputs]));
        steps
    }

    /// Training samples and all samples: counted where the manifest is made, else judged by the
    /// source.
    fn samples(&self) -> Result<(usize, usize)> {
        if let Ok(found) = Manifest::read(&manifest::folder_of(&self.manifest())) {
            let train = found.samples.iter().filter(|s| s.split == Split::Train).count();
            return Ok((train, found.samples.len()));
        }
        let (listing, each) = match self.role {
            Role::NcaerS => (corpus::scan(&self.source)?, SAMPLES_PER_CLIP),
            Role::CaerS => (corpus::scan_stills("caer-s", &self.source, &Choices::default())?, 1.0),
        };
        let count = |n: usize| (n as f64 * each).round() as usize;
        let train = listing.clips.iter().filter(|c| c.split == Some(Split::Train)).count();
        // A corpus without a split gives about 70 % to training.
        let train = if listing.has_split { train } else { listing.clips.len() * 7 / 10 };
        Ok((count(train), count(listing.clips.len())))
    }

    /// Bytes of pictures and pack.
    fn bytes(&self, samples: usize) -> u64 {
        let strides: usize = self.inputs().into_iter().map(PackInput::stride).sum();
        // Stills are linked, not copied, where the file system allows.
        let frames = if self.role == Role::NcaerS { FRAME_BYTES } else { 0 };
        samples as u64 * (strides as u64 + frames)
    }
}

/// Whether stills come with a validation part of their own (or without any split).
fn has_validation(root: &Path) -> bool {
    corpus::scan_stills("caer-s", root, &Choices::default())
        .is_ok_and(|l| !l.has_split || l.clips.iter().any(|c| c.split == Some(Split::Val)))
}

fn words(words: &[&dyn AsRef<std::ffi::OsStr>]) -> Vec<OsString> {
    words.iter().map(|w| w.as_ref().to_owned()).collect()
}

impl Paper {
    /// Reads the grids of the data sets that are named.
    ///
    /// # Errors
    /// When none is named, a grid cannot be read, or a key or value is wrong.
    pub fn new(wanted: Wanted) -> Result<Self> {
        let mut absent = Vec::new();
        let mut parts = Vec::new();
        let sources = [
            (Role::NcaerS, &wanted.caer, "CAER=folder of the clips"),
            (Role::CaerS, &wanted.caer_s, "CAERS=folder of the stills"),
        ];
        for (role, source, how) in sources {
            match source {
                Some(source) => parts.push(part(role, source, &wanted)?),
                None => absent.push((role, format!("no {} was given ({how})", role.name()))),
            }
        }
        ensure!(!parts.is_empty(), "no data set is named; give CAER=folder, CAERS=folder or both");
        Ok(Paper { wanted, parts, absent })
    }

    /// Prepares, trains and reports; what is finished stays, and the same call goes on from there.
    /// Returns what the report holds and what could not be made.
    ///
    /// # Errors
    /// When nothing at all could be made, or the report cannot be written.
    pub fn run(&self, jobs: usize) -> Result<Study> {
        let mut failed = self.prepare()?;
        let _claim = self.claim()?;
        let mut trained_now = 0;
        for part in &self.parts {
            if failed.iter().all(|(role, _)| *role != part.role) {
                let made = part.ablation.make(jobs)?;
                trained_now += made.trained_now;
                failed.extend(made.failed.map(|why| (part.role, why)));
            }
        }
        Ok(Study { trained_now, ..self.report(failed)? })
    }

    /// The report of what is finished.
    ///
    /// # Errors
    /// As [`Paper::report`].
    pub fn report_only(&self) -> Result<Study> {
        let _claim = self.claim()?;
        let mut failed = Vec::new();
        for part in &self.parts {
            let out = folder::claim_standing(&part.ablation.out, "grid")?;
            let made = part.ablation.stand(&out)?;
            failed.extend(made.failed.map(|why| (part.role, why)));
        }
        self.report(failed)
    }

    /// Makes the data sets and packs; says which could not be made, and why.
    ///
    /// # Errors
    /// When this program cannot be started.
    pub fn prepare(&self) -> Result<Vec<(Role, String)>> {
        let claim = self.claim()?;
        for part in &self.parts {
            claim.folder(part.role.name().to_ascii_lowercase())?;
        }
        drop(claim);
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let mut failed = Vec::new();
        for part in &self.parts {
            for step in part.preparation(&self.wanted) {
                let shown = shown(&step);
                crate::progress::message(&format!("== ncaers {shown}"));
                let status = crate::progress::own_command(&program).args(&step).status();
                let status = status.with_context(|| format!("cannot start ncaers {shown}"))?;
                if !status.success() {
                    failed.push((part.role, format!("`ncaers {shown}` ended with {status}")));
                    break;
                }
            }
        }
        Ok(failed)
    }

    /// The report of what there is.
    ///
    /// # Errors
    /// When there is nothing, or it cannot be written.
    fn report(&self, failed: Vec<(Role, String)>) -> Result<Study> {
        let out = self.wanted.out.join("report");
        let mut absent = self.absent.clone();
        absent.extend(failed.iter().cloned());
        let parts = self.parts.iter().map(|part| several::ReportPart {
            name: part.role.name().to_owned(),
            request: ReportRequest {
                manifest: Some(part.manifest()),
                title: part.role.name().to_owned(),
                audit: Some(part.audit()).filter(|audit| audit.join("clean.csv").is_file()),
                ..ReportRequest::new(&part.ablation.out, &out)
            },
        });
        let request = Several {
            title: "The paper's tables and figures".into(),
            notes: Vec::new(),
            parts: parts.collect(),
            absent,
            wild: self.wild()?,
        };
        let summary = several::write(&request, &out)?;
        Ok(Study { report: out, summary, trained_now: 0, failed })
    }

    /// Annotates the pictures for Figure 11 with GLAMOR-Net of the first seed, where both are there.
    fn wild(&self) -> Result<Option<PathBuf>> {
        let Some(pictures) = &self.wanted.wild else { return Ok(None) };
        let folder = self.wanted.out.join("wild");
        let of = |part: &StudySet| {
            let mut runs = part.ablation.grid.runs.iter();
            let run =
                runs.find(|run| report::paper::SETTING_IV_GLA.is_model(&run.experiment.model));
            let run = part.ablation.out.join(&run?.folder);
            runs::RunFolder::new(&run).file("best.safetensors").is_file().then_some(run)
        };
        let Some(run) = self.parts.iter().find_map(of) else { return Ok(None) };
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let step = words(&[&"annotate", pictures, &"--run", &run, &"--out", &folder]);
        crate::progress::message(&format!("== ncaers {}", shown(&step)));
        let status = crate::progress::own_command(&program).args(step).status();
        let status = status.context("cannot start ncaers")?;
        Ok(status.success().then_some(folder))
    }

    /// Which rows would run, which cannot and why, for how long and on how much disk; changes
    /// nothing.
    ///
    /// # Errors
    /// When a source cannot be read.
    pub fn listing(&self, jobs: usize) -> Result<Listing> {
        let (mut text, mut parts, mut seconds, mut bytes) = (String::new(), Vec::new(), 0.0, 0);
        for part in &self.parts {
            let (train, all) = part.samples()?;
            let _ = writeln!(text, "{}: about {train} training samples of {all}", part.role.name());
            for step in part.preparation(&self.wanted) {
                let _ = writeln!(text, "  ncaers {}", shown(&step));
            }
            let listing = part.ablation.planned(jobs, train);
            text += &listing.text;
            text.push_str("\n\n");
            seconds += listing.json["estimated_seconds"].as_f64().unwrap_or(0.0);
            bytes += part.bytes(all) + listing.json["bytes"].as_u64().unwrap_or(0);
            parts.push(json!({
                "data_set": part.role.name(), "train_samples": train, "samples": all,
                "grid": listing.json,
            }));
        }
        for (role, why) in &self.absent {
            let _ = writeln!(text, "{}: {why}; its columns will say so", role.name());
        }
        let free = forecast::free_bytes(&self.wanted.out);
        let enough = free.is_none_or(|free| bytes < free);
        let _ = writeln!(
            text,
            "in all about {} of training, preparing the data not counted, and {} of disk{}",
            forecast::format_duration(seconds),
            forecast::format_bytes(bytes),
            match free {
                Some(free) if enough => format!(" of {} free", forecast::format_bytes(free)),
                Some(free) => format!(", of which only {} are free", forecast::format_bytes(free)),
                None => String::new(),
            }
        );
        let json = json!({
            "data_sets": parts,
            "absent": self.absent.iter().map(|(role, why)| json!([role.name(), why])).collect::<Vec<_>>(),
            "estimated_seconds": seconds,
            "bytes": bytes,
            "free_bytes": free,
        });
        Ok(Listing { text, json })
    }

    /// The rows of all data sets as tasks of a cluster with `threads` cores each, named after data
    /// set and run.
    ///
    /// # Errors
    /// When a folder is not ours.
    pub fn tasks(&self, threads: u32) -> Result<Vec<Task>> {
        let mut tasks = Vec::new();
        for part in &self.parts {
            let own = part.ablation.tasks(threads)?;
            tasks.extend(
                own.into_iter().map(|task| Task { name: part.task_name(&task.name), ..task }),
            );
        }
        Ok(tasks)
    }

    /// Whether a task of [`Paper::tasks`], or the report behind them, is done.
    pub fn is_done(&self, task: &str) -> bool {
        let runs = |part: &StudySet| -> Vec<(String, String)> {
            let runs = part.ablation.grid.runs.iter();
            runs.map(|run| (part.task_name(&run.folder), run.folder.clone())).collect()
        };
        for part in &self.parts {
            if let Some((_, run)) = runs(part).iter().find(|(name, _)| name == task) {
                return part.ablation.is_done(run);
            }
        }
        self.wanted.out.join("report/index.html").is_file()
            && self.parts.iter().all(|part| part.ablation.is_over())
    }

    /// What the grids ask of a cluster, the later over the earlier.
    pub fn slurm(&self) -> Value {
        let mut asked = self.parts.iter().map(|part| &part.ablation.grid.slurm);
        asked.rfind(|table| !table.is_null()).cloned().unwrap_or(Value::Null)
    }

    fn claim(&self) -> Result<OutputFolder> {
        folder::claim_standing(&self.wanted.out, "paper")
    }
}

/// What a study came to.
#[derive(Clone, Debug)]
pub struct Study {
    /// Folder of the report.
    pub report: PathBuf,
    /// What it holds.
    pub summary: report::ReportSummary,
    /// Runs trained by this call.
    pub trained_now: usize,
    /// Data sets of which something failed, and what.
    pub failed: Vec<(Role, String)>,
}

fn part(role: Role, source: &Path, wanted: &Wanted) -> Result<StudySet> {
    let key = role.name().to_ascii_lowercase();
    let folder = wanted.out.join(&key);
    let mut settings = wanted.settings.clone();
    for (name, path) in
        [("data.manifest", folder.join("manifest")), ("data.pack", folder.join("pack"))]
    {
        let path = path.to_str().with_context(|| format!("{path:?} is not UTF-8"))?;
        settings.push(format!("{name}={}", serde_json::to_string(path)?));
    }
    let path = wanted.grids.join(format!("{key}.toml"));
    let mut grid = Grid::read_with(&path, &settings, wanted.seeds.as_deref())?;
    for run in &mut grid.runs {
        if let Some(weights) = &mut run.experiment.model.weights {
            let found = start_weights::resolve(Path::new(&weights.path), wanted.weights.as_deref());
            match found.to_str() {
                Some(found) => weights.path = found.to_owned(),
                None => bail!("weights path {found:?} is not UTF-8"),
            }
        }
    }
    let ablation = Ablation { grid, out: folder.join("runs"), report: folder.join("report") };
    Ok(StudySet { role, source: source.to_owned(), folder, ablation })
}

/// A command line for people.
fn shown(words: &[OsString]) -> String {
    words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
