//! The listed frames of one clip in a worker process: decoded, compared with the recipe, saved.
use std::{collections::BTreeMap, ffi::OsString, path::Path};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{
    resolved::{Known, Resolved},
    RebuildOptions,
};
use crate::{
    dataset::{
        job::{self, Work},
        recipe::is_same,
        Configuration, DecodedFacts, ImageFormat,
    },
    digest,
    folder::OutputFolder,
    manifest::Recipe,
    media::{
        image as still,
        video::{self, DecodedFrame, Failure, FrameSink, RawFrame},
    },
    record::{Clip, ClipStatus},
    similarity::hash::{self, distance, Thumbnail, UNINFORMATIVE},
};

/// Bits of 64 in which the hashes of a copy differ on average at most, laid rightly.
const NEAR: f64 = 12.0;
/// JPEG quality where a recipe does not say.
const QUALITY: u8 = 95;
/// Bits per moment by which another offset has to fit better than none.
const CLEARLY: f64 = 0.5;

/// What a worker needs to begin.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::dataset) struct Setup {
    corpus: OsString,
    out: OsString,
    format: ImageFormat,
    quality: u8,
}

impl Setup {
    pub(super) fn new(options: &RebuildOptions, recipe: &Recipe) -> Result<Self> {
        let (corpus, out) = (job::absolute(&options.corpus)?, job::absolute(&options.out)?);
        let text = recipe.meta.get("configuration");
        let configuration = text.and_then(|t| serde_json::from_str::<Configuration>(t).ok());
        let (format, quality) = match configuration {
            Some(Configuration::Build(config)) => (config.image_format, config.jpeg_quality),
            _ => (ImageFormat::Jpeg, QUALITY),
        };
        Ok(Setup { corpus, out, format, quality })
    }
}

/// A frame that a recipe asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Wanted {
    sample_id: String,
    frame: u64,
    image_path: String,
    pixel_sha256: Option<String>,
    image_sha256: String,
}

/// A clip and what is wanted of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::dataset) struct Job {
    pub clip_id: String,
    path: OsString,
    wanted: Vec<Wanted>,
    /// Whether the file has the recipe's bytes, so that the recipe's facts hold for it.
    is_same_file: bool,
    /// Whether no more is decoded than what is wanted.
    fast: bool,
    /// Whether frames with other pixels than the recipe's are saved.
    takes_others: bool,
    /// Hashes of the recipe's clip every half second at this rate (bits of an f64), where frames have
    /// to be found in another file.
    reference: Option<(Vec<u64>, u64)>,
}

impl Job {
    /// Nothing but the facts of a file.
    pub(super) fn look(clip_id: &str, path: OsString) -> Self {
        Job {
            clip_id: clip_id.to_owned(),
            path,
            wanted: Vec::new(),
            is_same_file: false,
            fast: false,
            takes_others: false,
            reference: None,
        }
    }
}

impl job::Job for Job {
    type Outcome = Rebuilt;

    fn clip_id(&self) -> &str {
        &self.clip_id
    }

    fn given_up(&self, code: &str, reason: String) -> Rebuilt {
        Rebuilt::failed(&self.clip_id, code, reason)
    }
}

/// One job for every clip that has a file.
pub(super) fn jobs(
    recipe: &Recipe,
    resolved: &BTreeMap<String, Resolved>,
    allow_substitutes: bool,
) -> Vec<Job> {
    let clips: BTreeMap<&str, &Clip> = recipe.clips.iter().map(|c| (&*c.clip_id, c)).collect();
    let mut wanted: BTreeMap<&str, Vec<Wanted>> = BTreeMap::new();
    for row in &recipe.rows {
        wanted.entry(&row.sample.clip_id).or_default().push(Wanted {
            sample_id: row.sample.sample_id.clone(),
            frame: row.sample.frame_index.unwrap_or_default(),
            image_path: row.sample.image_path.clone(),
            pixel_sha256: row.pixel_sha256.clone(),
            image_sha256: row.sample.image_sha256.clone(),
        });
    }
    // Of clips that give no sample the file is looked at as well, for what the tables say of it.
    for clip in recipe.clips.iter().filter(|c| c.status != ClipStatus::Rejected) {
        wanted.entry(&clip.clip_id).or_default();
    }
    let job = |(clip_id, wanted): (&str, Vec<Wanted>)| {
        let file = resolved.get(clip_id)?;
        let clip = clips.get(clip_id);
        let is_same_file = file.known == Known::Digest;
        let reference = clip
            .filter(|_| !is_same_file)
            .and_then(|c| Some((c.signature.clone()?, c.fps?.to_bits())));
        Some(Job {
            clip_id: clip_id.to_owned(),
            path: file.path.clone(),
            wanted,
            is_same_file,
            fast: false,
            takes_others: is_same_file || allow_substitutes,
            reference,
        })
    };
    wanted.into_iter().filter_map(job).collect()
}

/// A frame that was decoded for a sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::dataset) struct Picture {
    pub sample_id: String,
    /// The frame of the file, which is another than the recipe's where the file begins elsewhere.
    pub frame: u64,
    /// The picture, where it was saved.
    pub image_path: Option<String>,
    pub image_sha256: String,
    pub width: u32,
    pub height: u32,
    pub same_bytes: bool,
    pub same_pixels: bool,
}

/// What came of a clip; a line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::dataset) struct Rebuilt {
    pub clip_id: String,
    pub facts: Option<DecodedFacts>,
    pub pictures: Vec<Picture>,
    /// Why there is nothing: reason code and words.
    pub failure: Option<(String, String)>,
}

impl Rebuilt {
    fn failed(clip_id: &str, code: &str, reason: String) -> Self {
        Rebuilt {
            clip_id: clip_id.to_owned(),
            facts: None,
            pictures: Vec::new(),
            failure: Some((code.to_owned(), reason)),
        }
    }

    /// Whether its pictures are all there.
    pub(super) fn is_complete(&self, out: &Path) -> bool {
        self.pictures.iter().filter_map(|p| p.image_path.as_ref()).all(|p| out.join(p).is_file())
    }
}

pub(in crate::dataset) struct Worker {
    setup: Setup,
    out: OutputFolder,
}

impl Work for Worker {
    type Setup = Setup;
    type Job = Job;

    fn start(setup: Setup) -> Result<Self> {
        let out = OutputFolder::join(Path::new(&setup.out))?;
        Ok(Worker { setup, out })
    }

    fn answer(&mut self, job: &Job, alive: &mut dyn FnMut()) -> Result<Rebuilt> {
        let path = Path::new(&self.setup.corpus).join(&job.path);
        let offset = match &job.reference {
            Some((signature, fps)) => offset(&path, signature, f64::from_bits(*fps), alive),
            None => 0,
        };
        let mut saver = Saver {
            setup: &self.setup,
            out: &self.out,
            job,
            offset,
            pictures: BTreeMap::new(),
            alive,
        };
        match video::decode(&path, job.fast, &mut saver) {
            Ok(facts) => Ok(Rebuilt {
                clip_id: job.clip_id.clone(),
                pictures: saver.pictures.into_values().flatten().collect(),
                facts: (!job.fast).then(|| DecodedFacts::from(facts)),
                failure: None,
            }),
            Err(Failure::Rejected(why)) => {
                Ok(Rebuilt::failed(&job.clip_id, why.code(), why.to_string()))
            }
            Err(Failure::Keep(error)) => Err(error),
        }
    }
}

/// Saves the wanted frames.
struct Saver<'a> {
    setup: &'a Setup,
    out: &'a OutputFolder,
    job: &'a Job,
    offset: i64,
    /// By frame of the file.
    pictures: BTreeMap<u64, Vec<Picture>>,
    alive: &'a mut dyn FnMut(),
}

impl Saver<'_> {
    /// Where a frame of the recipe is in the file; `None` where that is before its beginning.
    fn place(&self, frame: u64) -> Option<u64> {
        frame.checked_add_signed(self.offset)
    }
}

impl FrameSink for Saver<'_> {
    fn targets(&mut self, frames: u64, _: f64) -> Vec<u64> {
        self.pictures.clear();
        let all = self.job.wanted.iter().filter_map(|w| self.place(w.frame));
        let mut all: Vec<u64> = all.filter(|frame| *frame < frames).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn keep(&mut self, frame: u64, mut shot: DecodedFrame<'_>) -> Result<()> {
        let pixels = shot.pixel_digest();
        let (width, height) = shot.dimensions();
        let mut pictures = Vec::new();
        for wanted in self.job.wanted.iter().filter(|w| self.place(w.frame) == Some(frame)) {
            let bytes = match self.setup.format {
                ImageFormat::Jpeg => shot.jpeg(self.setup.quality)?,
                ImageFormat::Png => still::encode_png(shot.rgb()?)?,
            };
            let image_sha256 = digest::sha256_hex(&bytes);
            let same_bytes = is_same(&image_sha256, &wanted.image_sha256);
            // Where nobody wrote the pixels down, equal bytes mean equal pixels.
            let same_pixels = match &wanted.pixel_sha256 {
                Some(meant) => is_same(&pixels, meant),
                None => same_bytes,
            };
            let taken = same_pixels || same_bytes || self.job.takes_others;
            if taken {
                self.out.write(&wanted.image_path, &bytes)?;
            }
            pictures.push(Picture {
                sample_id: wanted.sample_id.clone(),
                frame,
                image_path: taken.then(|| wanted.image_path.clone()),
                image_sha256,
                width,
                height,
                same_bytes: same_bytes || wanted.image_sha256.is_empty() && same_pixels,
                same_pixels,
            });
        }
        self.pictures.insert(frame, pictures);
        Ok(())
    }

    fn lost(&mut self, _: u64, _: String) {}

    fn alive(&mut self) {
        (self.alive)();
    }
}

/// How many frames later the recipe's clip begins in the file at `path`: the offset at which the
/// hashes of the recipe's moments are nearest, and none where that fits about as well.
fn offset(path: &Path, signature: &[u64], fps: f64, alive: &mut dyn FnMut()) -> i64 {
    let mut hashes = Hashes { all: Vec::new(), alive };
    if video::decode(path, false, &mut hashes).is_err() {
        return 0;
    }
    best_offset(signature, fps, &hashes.all)
}

fn best_offset(signature: &[u64], fps: f64, frames: &[u64]) -> i64 {
    let moments: Vec<(i64, u64)> = signature
        .iter()
        .enumerate()
        .map(|(k, hash)| ((k as f64 * 0.5 * fps + 0.5).floor() as i64, *hash))
        .filter(|(_, hash)| *hash != UNINFORMATIVE)
        .collect();
    let mean = |offset: i64| {
        let (mut n, mut bits) = (0u32, 0u32);
        for (at, hash) in &moments {
            let there = usize::try_from(at + offset).ok().and_then(|at| frames.get(at));
            if let Some(own) = there.filter(|own| **own != UNINFORMATIVE) {
                n += 1;
                bits += distance(*hash, *own);
            }
        }
        let enough = n as usize * 4 >= moments.len().max(1) * 3 || n >= 8;
        (n > 0 && enough).then(|| f64::from(bits) / f64::from(n))
    };
    let last = moments.last().map_or(0, |(at, _)| *at);
    let all = (-last..=frames.len() as i64).filter_map(|o| Some((mean(o)?, o.abs(), o)));
    let best = all.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
    match (best, mean(0)) {
        (Some((least, _, _)), Some(none)) if none <= least + CLEARLY => 0,
        (Some((least, _, offset)), _) if least <= NEAR => offset,
        // Nothing looks like the clip, laid in whatever way.
        _ => 0,
    }
}

/// The hash of every frame.
struct Hashes<'a> {
    all: Vec<u64>,
    alive: &'a mut dyn FnMut(),
}

impl FrameSink for Hashes<'_> {
    fn targets(&mut self, _: u64, _: f64) -> Vec<u64> {
        Vec::new()
    }

    fn sees_all(&self) -> bool {
        true
    }

    fn see(&mut self, frame: u64, picture: RawFrame<'_>) -> Result<()> {
        if frame == 0 {
            self.all.clear();
        }
        let kept = picture.keep()?;
        let (width, height) = kept.size();
        let thumbnail = Thumbnail::new(width, height, |y| kept.row(y));
        self.all.push(thumbnail.map_or(UNINFORMATIVE, |t| hash::hash(&t)));
        Ok(())
    }

    fn keep(&mut self, _: u64, _: DecodedFrame<'_>) -> Result<()> {
        Ok(())
    }

    fn lost(&mut self, _: u64, _: String) {}

    fn alive(&mut self) {
        (self.alive)();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Draws;

    #[test]
    fn a_trimmed_copy_is_laid_frame_by_frame() {
        // A hash that changes by two bits from frame to frame.
        let mut draws = Draws::new(1, "hashes", "");
        let mut now = draws.bits();
        let all: Vec<u64> = (0..200)
            .map(|_| {
                now ^= 1 << draws.below(64) | 1 << draws.below(64);
                now
            })
            .collect();
        let signature: Vec<u64> = all.iter().step_by(12).copied().collect();
        assert_eq!(best_offset(&signature, 24.0, &all), 0);
        assert_eq!(best_offset(&signature, 24.0, &all[7..]), -7);
        let mut later = all[..5].to_vec();
        later.extend(&all);
        assert_eq!(best_offset(&signature, 24.0, &later), 5);
        assert_eq!(best_offset(&signature, 24.0, &[all[0]; 200]), 0, "nothing to go by");
        assert_eq!(best_offset(&[], 24.0, &all), 0);
    }
}
