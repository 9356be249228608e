//! Samples whose label is contradicted by models that never saw them: what `ncaers audit --labels`
//! writes.
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{ensure, Context, Result};
use maud::{html, Markup};
use serde::Serialize;
use serde_json::json;

use super::{columns, predictions::Predictions, Saved};
use crate::{
    folder::{self, Claim, OutputFolder},
    html::document,
    record::Sample,
    stats::confident::{doubts, Doubt, Doubts},
};

/// Samples shown with their pictures.
const SHOWN: usize = 120;
/// Width and height of a picture in the gallery at most.
const THUMB: u32 = 160;

/// What was found about the labels.
#[derive(Debug, Serialize)]
pub struct LabelNoise {
    /// Rows.
    pub rows: usize,
    /// Files, each the held-out answers of one fold.
    pub folds: usize,
    /// Estimated share of wrong labels.
    pub noise: Option<f64>,
    /// Rows off the diagonal of the confident joint.
    pub flagged: usize,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Estimated rows by given and true label.
    pub joint: Vec<Vec<f64>>,
    /// All rows, the most doubtful first.
    pub ranked: Vec<RankedLabel>,
    #[serde(skip)]
    digests: BTreeMap<String, String>,
}

/// One row's label.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RankedLabel {
    /// The sample.
    pub sample_id: String,
    /// Its group.
    pub group_id: String,
    /// The label it has.
    pub given: String,
    /// The likeliest other one.
    pub suggested: String,
    /// Probability of the label it has.
    pub self_confidence: f64,
    /// That less the largest other probability.
    pub margin: f64,
    /// Whether it is flagged.
    pub flagged: bool,
}

impl LabelNoise {
    /// Ranks the rows of `folds`: held-out answers, a file per fold.
    ///
    /// # Errors
    /// When a row has no probabilities, a sample is in two folds, or a group is torn between folds:
    /// a model that saw one frame of a video has seen the label of the others.
    pub fn of(folds: &[Predictions]) -> Result<Self> {
        let mut group_of: BTreeMap<&str, &str> = BTreeMap::new();
        let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
        let (mut rows, mut labels, mut probabilities) = (Vec::new(), Vec::new(), Vec::new());
        for fold in folds {
            for (i, row) in fold.answers.rows.iter().enumerate() {
                let first = seen.insert(&row.sample_id, &fold.name);
                ensure!(
                    first.is_none(),
                    "sample `{}` is held out in {} and in {}; give the held-out answers of each \
                     fold once",
                    row.sample_id,
                    first.unwrap_or_default(),
                    fold.name
                );
                let home = group_of.entry(&row.group_id).or_insert(&fold.name);
                ensure!(
                    *home == fold.name,
                    "group `{}` is in the folds {home} and {}: a model that saw one of its samples \
                     knows the label of the others; make folds by group",
                    row.group_id,
                    fold.name
                );
                let p = fold.answers.probabilities_of(i);
                probabilities.push(p.with_context(|| {
                    format!("{}: sample `{}` has no probabilities", fold.name, row.sample_id)
                })?);
                labels.push(row.target);
                rows.push(row);
            }
        }
        let classes = folds.first().map(|f| f.answers.classes.clone()).unwrap_or_default();
        let found = doubts(classes.len(), &labels, &probabilities);
        let ranked = |d: &Doubt| RankedLabel {
            sample_id: rows[d.row].sample_id.clone(),
            group_id: rows[d.row].group_id.clone(),
            given: classes[usize::from(d.given)].clone(),
            suggested: classes[usize::from(d.suggested)].clone(),
            self_confidence: d.self_confidence,
            margin: d.margin,
            flagged: d.flagged,
        };
        let Doubts { rows: ref doubtful, ref joint, .. } = found;
        Ok(LabelNoise {
            rows: labels.len(),
            folds: folds.len(),
            noise: found.noise(),
            flagged: doubtful.iter().filter(|d| d.flagged).count(),
            ranked: doubtful.iter().map(ranked).collect(),
            joint: joint.clone(),
            digests: folds.iter().map(|f| (f.name.clone(), f.digest.clone())).collect(),
            classes,
        })
    }

    /// For a terminal.
    pub fn text(&self) -> String {
        let noise = columns::or_undefined(self.noise.map(columns::percent));
        let head = columns::row(["sample", "label", "models say", "p of the label", "margin"]);
        let line = |r: &RankedLabel| {
            vec![
                r.sample_id.clone(),
                r.given.clone(),
                r.suggested.clone(),
                format!("{:.3}", r.self_confidence),
                format!("{:+.3}", r.margin),
            ]
        };
        let top = self.contradicted().take(20).map(line);
        let rows: Vec<Vec<String>> = std::iter::once(head).chain(top).collect();
        format!(
            "{} labels in {} folds: about {noise} % are wrong by confident learning, {} are contradicted\n\
             these are doubts of a model, not errors: look before anything is changed\n{}\n",
            self.rows,
            self.folds,
            self.flagged,
            columns::align(&rows)
        )
    }

    /// Writes labels.json, labels.csv and, where the pictures are at hand, a gallery into `out`,
    /// unless they are there.
    ///
    /// # Errors
    /// When the folder is not ours or cannot be written.
    pub fn save(&self, out: &Path, pictures: Option<&Pictures>) -> Result<Saved> {
        let configuration = json!({
            "command": "audit labels", "predictions": self.digests,
            "manifest": pictures.map(|p| &p.digest),
        });
        let folder = match folder::claim(out, &configuration)? {
            Claim::Done => return Ok(Saved::Before),
            Claim::Fresh(folder) | Claim::Resume(folder) => folder,
        };
        folder.write_json("labels.json", self)?;
        columns::write_csv(&folder, "labels.csv", &self.csv())?;
        folder.write("labels.html", self.gallery(&folder, pictures)?.as_bytes())?;
        folder.finish()?;
        Ok(Saved::Now)
    }

    /// The flagged rows, the most doubtful first.
    fn contradicted(&self) -> impl Iterator<Item = &RankedLabel> {
        self.ranked.iter().filter(|row| row.flagged)
    }

    fn csv(&self) -> Vec<Vec<String>> {
        let head = columns::row([
            "rank",
            "sample_id",
            "group_id",
            "label",
            "suggested",
            "self_confidence",
            "margin",
            "flagged",
        ]);
        let line = |(i, r): (usize, &RankedLabel)| {
            vec![
                (i + 1).to_string(),
                r.sample_id.clone(),
                r.group_id.clone(),
                r.given.clone(),
                r.suggested.clone(),
                r.self_confidence.to_string(),
                r.margin.to_string(),
                r.flagged.to_string(),
            ]
        };
        std::iter::once(head).chain(self.ranked.iter().enumerate().map(line)).collect()
    }

    /// The flagged samples with their pictures; those that cannot be read are named.
    fn gallery(&self, folder: &OutputFolder, pictures: Option<&Pictures>) -> Result<String> {
        let rows = self.contradicted().take(SHOWN).enumerate();
        let items = rows.map(|(i, row)| doubtful(folder, pictures, i, row));
        let items = items.collect::<Result<Vec<_>>>()?;
        let more = if self.flagged > SHOWN {
            format!("; the {SHOWN} most doubtful are shown, labels.csv has all")
        } else {
            String::new()
        };
        let body = html! {
            main { "\n"
                h1 { "Doubtful labels" } "\n"
                p {
                    (self.flagged) " of " (self.rows) " labels are contradicted by models that were trained \
                     without their group" (more) ". These are doubts, not errors: hard samples are \
                     contradicted as well. p is the probability of the label; the margin is p less the \
                     largest other probability."
                } "\n"
                ol { "\n" @for item in items { (item) } } "\n"
            } "\n"
        };
        Ok(document("Doubtful labels", CSS, &body))
    }
}

/// One of them with its picture, which is written to `folder`.
fn doubtful(
    folder: &OutputFolder,
    pictures: Option<&Pictures>,
    i: usize,
    row: &RankedLabel,
) -> Result<Markup> {
    let name = format!("labels/{:03}.jpg", i + 1);
    let picture = pictures.and_then(|p| p.thumbnail(&row.sample_id));
    if let Some(jpeg) = &picture {
        folder.write(&name, jpeg)?;
    }
    let confidence = format!("p {:.3}, margin {:+.3}", row.self_confidence, row.margin);
    Ok(html! {
        li {
            @if picture.is_some() { img src=(name) alt="" loading="lazy"; }
            @else { span class="none" { "no picture" } }
            b { (row.given) } " or " (row.suggested) "?" br; (confidence) br;
            small { (row.sample_id) }
        } "\n"
    })
}

const CSS: &str = "body{font:15px/1.4 system-ui,sans-serif;margin:0;color:#1a1a1a;background:#fff}\
main{max-width:72rem;margin:2rem auto;padding:0 1rem}ol{display:grid;gap:1rem;padding:0;\
grid-template-columns:repeat(auto-fill,minmax(10rem,1fr));list-style:none}li{overflow-wrap:anywhere}\
img{display:block;max-width:100%;height:auto}.none{display:grid;place-items:center;height:6rem;\
border:1px dashed #888}@media (prefers-color-scheme:dark){body{color:#eee;background:#161616}}";

/// The pictures of a manifest by sample.
#[derive(Debug)]
pub struct Pictures {
    folder: PathBuf,
    digest: String,
    paths: BTreeMap<String, String>,
}

impl Pictures {
    /// The pictures of `samples` below the manifest's `folder`.
    pub fn new(folder: &Path, digest: String, samples: &[Sample]) -> Self {
        let paths = samples.iter().map(|s| (s.sample_id.clone(), s.image_path.clone())).collect();
        Pictures { folder: folder.to_owned(), digest, paths }
    }

    /// A small JPEG; `None` where the sample is unknown or its picture cannot be read.
    fn thumbnail(&self, sample: &str) -> Option<Vec<u8>> {
        let path = folder::below(&self.folder, self.paths.get(sample)?).ok()?;
        let small = image::open(path).ok()?.thumbnail(THUMB, THUMB).to_rgb8();
        let mut jpeg = std::io::Cursor::new(Vec::new());
        small.write_to(&mut jpeg, image::ImageFormat::Jpeg).ok()?;
        Some(jpeg.into_inner())
    }
}
