//! A synthetic corpus: drawn people in drawn rooms, encoded as real clips in CAER's layout.
//!
//! It exists so that the whole chain can be tried, tested and watched without access to CAER, and
//! it is built so that attention matters: the face carries little of the emotion, four framed
//! pictures tell four emotions, and the colour in which the face glows says which picture to
//! believe. A model that looks where the face points wins; results on it say that the chain
//! works and nothing about real data.
//!
//! Shows and people are private to a split. Everything follows from the seed, clip by clip: more
//! clips per class leave the others as they were.
use std::{fs, path::Path};

use anyhow::{Context, Result};
use rayon::prelude::*;
use serde::{de::DeserializeOwned, Serialize};
use serde_json::{json, Value};

use super::{caer, Choices, CorpusEntry, FoundClips};
use crate::{
    folder::{self, Claim, OutputFolder},
    manifest,
    media::encode::{self, ClipFormat},
    progress::Progress,
    record::{Emotion, Split},
};

mod canvas;
mod face;
mod plan;
mod renderer;
mod scene;
mod stills;
mod truth;

use plan::ClipPlan;
use renderer::ClipRenderer;
pub use stills::StillsSummary;

/// Changes with every change of what is drawn, so that an old folder is not taken for a new one.
pub const DESIGN: u32 = 2;

/// Per-clip truth, beside the clips.
pub const TRUTH: &str = "truth.csv";
/// Per-frame face boxes, beside the clips.
pub const FACES: &str = "truth-faces.csv";

/// Named apart from CAER, whose layout it has, so that whatever is made from it can say so.
pub(super) const ENTRY: CorpusEntry = CorpusEntry {
    name: NAME,
    about: "the synthetic corpus of `ncaers demo-corpus`, in CAER's layout",
    clips,
};

/// What manifests made from it say under `corpus`.
pub const NAME: &str = "demo";

/// Whether a folder holds the stills of `ncaers demo-corpus --stills`.
pub fn is_of_stills(root: &Path) -> bool {
    root.join(stills::TRUTH).is_file()
}

/// Whether a manifest was made from the synthetic corpus; one that cannot be read was not.
pub fn is_source_of(manifest: &Path) -> bool {
    let read = manifest::read_samples(&manifest.join("samples.parquet"));
    read.is_ok_and(|(_, meta)| meta.get("corpus").is_some_and(|name| name == NAME))
}

/// Whether a folder is the root of a synthetic corpus.
pub fn is_root(folder: &Path) -> bool {
    [TRUTH, FACES].iter().all(|name| folder.join(name).is_file())
}

fn clips(root: &Path, choices: &Choices) -> Result<Option<FoundClips>> {
    if !is_root(root) {
        return Ok(None);
    }
    let mut found = (caer::ENTRY.clips)(root, choices)?;
    if let Some(found) = &mut found {
        // What lies beside the split folders is the corpus's own truth and record.
        found.strays.retain(|stray| stray.path.contains('/'));
    }
    Ok(found)
}

/// What to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DemoCorpusSettings {
    /// Seed of every draw.
    pub seed: u64,
    /// Training clips of each class; validation gets 22 % of it and test 44 %, at least one.
    pub clips_per_class: u64,
}

impl DemoCorpusSettings {
    /// Clips of each class in a split.
    pub fn clips_in(&self, split: Split) -> u64 {
        let percent = match split {
            Split::Train => 100,
            Split::Val => 22,
            Split::Test => 44,
        };
        ((self.clips_per_class * percent + 50) / 100).max(1)
    }

    /// What a folder records of it.
    fn configuration(&self) -> Value {
        json!({
            "command": "demo-corpus",
            "design": DESIGN,
            "seed": self.seed,
            "clips_per_class": self.clips_per_class,
        })
    }

    /// Every clip in the order of its path.
    fn plans(&self) -> Vec<ClipPlan> {
        let mut plans = Vec::new();
        for split in Split::ALL {
            for emotion in Emotion::ALL {
                let class = 0..self.clips_in(split);
                plans.extend(class.map(|n| ClipPlan::draw(self.seed, split, emotion, n)));
            }
        }
        plans
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DemoCorpusSummary {
    /// Clips in the folder.
    pub clips: u64,
    /// Their frames.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The record of what was written, beside the clips.
const SUMMARY: &str = "summary.json";

/// What a folder was filled with, and whether it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawn<T> {
    /// What was written.
    pub summary: T,
    /// Whether the folder held it before.
    pub already_done: bool,
}

/// Draws the corpus into a folder of its own; goes on in one that was begun.
///
/// # Errors
/// When the folder holds something else or cannot be written, or FFmpeg lacks an encoder.
pub fn draw(out: &Path, settings: &DemoCorpusSettings) -> Result<Drawn<DemoCorpusSummary>> {
    let configuration = settings.configuration();
    into_folder(out, &configuration, |folder| write(folder, settings))
}

/// Draws the stills of the corpus into a folder of its own; goes on in one that was begun.
///
/// # Errors
/// When the folder holds something else or cannot be written.
pub fn draw_stills(out: &Path, settings: &DemoCorpusSettings) -> Result<Drawn<StillsSummary>> {
    let mut configuration = settings.configuration();
    configuration["stills"] = json!(true);
    into_folder(out, &configuration, |folder| stills::write(folder, settings))
}

fn into_folder<T: Serialize + DeserializeOwned>(
    out: &Path,
    configuration: &Value,
    write: impl FnOnce(&OutputFolder) -> Result<T>,
) -> Result<Drawn<T>> {
    let folder = match folder::claim(out, configuration)? {
        Claim::Done => {
            let text = fs::read_to_string(out.join(SUMMARY))?;
            return Ok(Drawn { summary: serde_json::from_str(&text)?, already_done: true });
        }
        Claim::Fresh(folder) | Claim::Resume(folder) => folder,
    };
    let summary = write(&folder)?;
    folder.write_json(SUMMARY, &summary)?;
    folder.finish()?;
    Ok(Drawn { summary, already_done: false })
}

/// Draws and encodes the corpus into `folder`; clips that are there already, whole because they
/// are written in one go, are kept.
///
/// # Errors
/// When FFmpeg lacks an encoder or the folder cannot be written.
fn write(folder: &OutputFolder, settings: &DemoCorpusSettings) -> Result<DemoCorpusSummary> {
    let plans = settings.plans();
    let progress = Progress::new("demo corpus", "clips", plans.len() as u64);
    let bytes: Vec<u64> = plans
        .par_iter()
        .map(|plan| {
            let bytes = write_clip(folder, settings.seed, plan)?;
            progress.advance(1);
            Ok(bytes)
        })
        .collect::<Result<_>>()?;
    progress.finish();
    truth::write(folder, settings.seed, &plans)?;
    Ok(DemoCorpusSummary {
        clips: plans.len() as u64,
        frames: plans.iter().map(|p| p.frames).sum(),
        bytes: bytes.iter().sum(),
    })
}

fn write_clip(folder: &OutputFolder, seed: u64, plan: &ClipPlan) -> Result<u64> {
    let name = path_of(plan);
    let path = folder.target(&name)?;
    if !path.exists() {
        let renderer = ClipRenderer::new(seed, plan);
        let frames = (0..plan.frames).map(|number| renderer.frame(number));
        encode::write_clip(&path, &format_of(plan), frames)?;
    }
    let facts = path.metadata().with_context(|| format!("cannot read {}", path.display()))?;
    Ok(facts.len())
}

/// Path below the corpus folder; CAER calls its validation folder `validation`.
fn path_of(plan: &ClipPlan) -> String {
    let split = if plan.split == Split::Val { "validation" } else { plan.split.name() };
    format!("{split}/{}/{}.{}", plan.emotion, plan.stem, plan.show.container)
}

fn format_of(plan: &ClipPlan) -> ClipFormat {
    let show = &plan.show;
    ClipFormat {
        codec: show.codec,
        width: show.size.0,
        height: show.size.1,
        fps: show.fps,
        gop: 50,
        b_frames: show.b_frames,
        quality: 0,
        tone_hz: Some(180.0 + 20.0 * f64::from(plan.emotion.label())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_clips_per_class_leave_the_others_as_they_were() {
        let plans = |clips_per_class| DemoCorpusSettings { seed: 3, clips_per_class }.plans();
        let (few, many) = (plans(4), plans(9));
        assert!(few.iter().all(|plan| many.contains(plan)));
        let pixels = |plan: &ClipPlan| ClipRenderer::new(3, plan).frame(5);
        let again = many.iter().find(|plan| **plan == few[2]).expect("kept");
        assert_eq!(pixels(&few[2]), pixels(again));
        assert_ne!(pixels(&few[2]), pixels(&few[3]));
    }

    #[test]
    fn splits_share_neither_shows_nor_people() {
        let plans = DemoCorpusSettings { seed: 8, clips_per_class: 40 }.plans();
        for plan in &plans {
            assert!(plan.show.id.starts_with(plan.split.name()));
            assert!(plan.person.starts_with(&plan.show.id));
        }
        let containers: std::collections::BTreeSet<_> =
            plans.iter().map(|p| p.show.container).collect();
        assert_eq!(containers.into_iter().collect::<Vec<_>>(), ["avi", "mkv", "mp4"]);
        let n = |split| plans.iter().filter(|p| p.split == split).count();
        assert_eq!(Split::ALL.map(n), [7 * 40, 7 * 9, 7 * 18]);
    }
}
