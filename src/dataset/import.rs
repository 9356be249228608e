//! Stills that exist to a manifest: the same rows, rules and files as a build, without a decoder.
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Instant,
};

use anyhow::{anyhow, ensure, Result};
use rayon::prelude::*;
use serde_json::json;

use super::{
    card,
    clip_result::{ClipResult, Still},
    inputs::{self, listing_digest},
    journal::Journal,
    merge,
    results::ClipResults,
    rows::Parts,
    rules::Configuration,
    settings::{ImportConfig, IMAGES},
    BuildOutcome,
};
use crate::{
    corpus::{self, Choices, ClipSource, Listing},
    digest,
    face::{
        self,
        boxes::{Boxes, Format},
        Detector,
    },
    folder::{self, Claim, OutputFolder},
    media::{image as picture, orientation},
    progress::Progress,
    record::{ClipStatus, FaceBox, HexDigest, Split},
    similarity::{
        self, clip_views,
        hash::{self, Thumbnail},
        plane::Plane,
    },
    split::holdout::ValShare,
};

/// What somebody asked for by name, so that what would be ignored is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Shares of the splits.
    pub split: bool,
    /// Share of training that becomes validation.
    pub val_share: Option<ValShare>,
}

impl Asked {
    /// The share of training that becomes validation.
    ///
    /// # Errors
    /// When something that was asked for has no meaning for these stills.
    fn val_share(self, listing: &Listing) -> Result<Option<ValShare>> {
        ensure!(
            !(self.split && listing.has_split),
            "the stills have a split of their own, so --split would not be used; leave it out{}",
            if listing.lacks_validation() {
                " (--val-share makes the validation part)"
            } else {
                ""
            }
        );
        if listing.lacks_validation() {
            let share = self.val_share.unwrap_or(ValShare::DEFAULT);
            return Ok(Some(share).filter(|share| share.percent() > 0));
        }
        let nothing = self.val_share.is_none_or(|share| share.percent() == 0);
        ensure!(
            nothing || !listing.has_split,
            "the stills have a validation part of their own, so --val-share would not be used; leave it out"
        );
        ensure!(nothing, "the stills have no split of their own, so --val-share would not be used; --split makes all three parts");
        Ok(None)
    }
}

/// Where the faces of stills come from.
#[derive(Debug)]
pub enum Faces {
    /// Nowhere, or from a detector.
    Detector(face::DetectorRequest),
    /// From box files.
    Boxes(Format, PathBuf),
}

/// Imports the stills below `root` into `out`, continuing where an interrupted import left off.
///
/// # Errors
/// When stills, boxes or configuration are unusable, when the folder holds something else or is
/// in use, or when it cannot be written. Bad pictures are rows, not errors.
pub fn import(
    config: &ImportConfig,
    asked: Asked,
    root: &Path,
    choices: &Choices,
    faces: &Faces,
    out: &Path,
) -> Result<BuildOutcome> {
    let start = Instant::now();
    let mut config = config.clone();
    let listing = corpus::scan_stills(&config.layout, root, choices)?;
    config.val_share = asked.val_share(&listing)?;
    let root = corpus::folder_of(root);
    let finder = Finder::open(&mut config, faces)?;
    inputs::tell(&listing);
    if let Finder::Boxes(boxes) = &finder {
        let shown: Vec<&str> = listing.clips.iter().map(|clip| &*clip.shown).collect();
        inputs::check_boxes(boxes, &shown, false)?;
    }
    ensure!(
        !config.require_face || config.detector_settings != face::NONE,
        "--require-face needs --boxes or --detector"
    );
    let digest = listing_digest(&root, &listing);
    let record = json!({"import": config, "corpus": listing.corpus, "clips": digest});
    let out = match folder::claim(out, &record)? {
        Claim::Done => return Ok(BuildOutcome::AlreadyDone),
        Claim::Fresh(out) | Claim::Resume(out) => out,
    };
    let mut journal = Journal::open(&out)?;
    let task = Task { config: &config, root: &root, out: &out, finder: &finder };
    task.read_all(&listing, &mut journal)?;
    let found = journal.take_results();
    let same_video = match config.val_share {
        Some(_) => runs_of_frames(&listing, &found.clips, &out)?,
        None => Vec::new(),
    };
    let configuration = Configuration::Import(config);
    let parts =
        Parts { config: &configuration, listing: &listing, results: found.clips, same_video };
    let mut summary = merge::write(parts, found.stage_seconds, &out)?;
    summary.refuse_empty(&out)?;
    summary.seconds = start.elapsed().as_secs_f64();
    card::write_import_record(&out, &configuration, &summary)?;
    journal.remove(&out)?;
    out.finish()?;
    Ok(BuildOutcome::Done(Box::new(summary)))
}

/// What tells the faces of a still.
enum Finder {
    Detector(face::DetectorRequest),
    Boxes(Boxes),
}

impl Finder {
    /// Opens it and writes its full name into the configuration.
    fn open(config: &mut ImportConfig, faces: &Faces) -> Result<Self> {
        match faces {
            Faces::Detector(request) => {
                config.detector_settings = face::full_name(request)?;
                Ok(Finder::Detector(request.clone()))
            }
            Faces::Boxes(format, path) => {
                let boxes = Boxes::read(*format, path)?;
                let name =
                    Format::ALL.iter().find(|(_, f)| f == format).map_or("", |(name, _)| name);
                config.detector_settings =
                    format!("boxes({name}, sha256 {})", &boxes.digest()[..8]);
                Ok(Finder::Boxes(boxes))
            }
        }
    }

    /// A thread's own detector.
    fn detector(&self) -> Result<Option<Box<dyn Detector>>> {
        match self {
            Finder::Detector(request) => face::open(request),
            Finder::Boxes(_) => Ok(None),
        }
    }
}

/// Runs of stills of training that stand side by side in their folder and show one video, as an
/// audit finds them: pairs of positions in the listing. Stills whose group the list names are in
/// none.
fn runs_of_frames(
    listing: &Listing,
    results: &ClipResults,
    out: &OutputFolder,
) -> Result<Vec<(usize, usize)>> {
    let in_train = |c: &ClipSource| c.split == Some(Split::Train) && c.group.is_none();
    let places: Vec<usize> = (0..listing.clips.len())
        .filter(|&i| in_train(&listing.clips[i]))
        .filter(|&i| results.get(&listing.clips[i].clip_id).is_some_and(|r| r.still.is_some()))
        .collect();
    let progress = Progress::new("runs of frames", "stills", places.len() as u64);
    let seen = |&i: &usize| -> Result<similarity::images::ImageEntry> {
        let source = &listing.clips[i];
        let no_picture = || anyhow!("{} has no picture", source.clip_id);
        let result = results.get(&source.clip_id).ok_or_else(no_picture)?;
        let still = result.still.as_ref().ok_or_else(no_picture)?;
        let rgb = picture::load_rgb(&folder::below(out.path(), &still.image_path)?)?;
        let luma = hash::luma(rgb.as_raw());
        let thumbnail = Thumbnail::of_pixels(&luma, rgb.width() as usize, rgb.height() as usize);
        progress.advance(1);
        Ok(similarity::images::ImageEntry {
            id: source.clip_id.clone(),
            set: 0,
            split: Split::Train,
            emotion: source.emotion,
            video: None,
            sha256: result.sha256.as_ref().map_or_else(String::new, HexDigest::to_string),
            hash: still.signature.first().copied().unwrap_or(hash::UNINFORMATIVE),
            look: thumbnail.map(|t| similarity::features::ThumbnailFeatures::new(&t)),
            view: None,
        })
    };
    let stills: Vec<similarity::images::ImageEntry> =
        places.par_iter().map(seen).collect::<Result<_>>()?;
    progress.finish();
    let runs = similarity::runs::runs(&stills).into_iter();
    Ok(runs
        .flat_map(|run| run.clone().skip(1).map(move |i| (run.start, i)))
        .map(|(a, b)| (places[a], places[b]))
        .collect())
}

/// Why a still is no sample: reason code and words.
struct Unusable(&'static str, String);

struct Task<'a> {
    config: &'a ImportConfig,
    root: &'a Path,
    out: &'a OutputFolder,
    finder: &'a Finder,
}

impl Task<'_> {
    /// Reads what the journal lacks, many stills at once.
    fn read_all(&self, listing: &Listing, journal: &mut Journal) -> Result<()> {
        journal.forget_incomplete(self.out.path());
        let own = || listing.clips.iter().filter(|c| c.refused.is_none());
        let todo: Vec<&ClipSource> = own().filter(|c| !journal.has(&c.clip_id)).collect();
        let progress = Progress::new("import", "stills", own().count() as u64);
        progress.skip((own().count() - todo.len()) as u64);
        let journal = Mutex::new(journal);
        todo.par_iter().try_for_each_init(
            || self.finder.detector(),
            |detector, source| {
                let detector = detector.as_mut().map_err(|e| anyhow!("{e:#}"))?;
                let result = self.still(source, detector.as_deref_mut())?;
                journal.lock().map_err(|_| anyhow!("another thread failed"))?.append(result)?;
                progress.advance(1);
                Ok::<(), anyhow::Error>(())
            },
        )?;
        progress.finish();
        Ok(())
    }

    /// # Errors
    /// When the output folder cannot be written or the detector fails.
    fn still(
        &self,
        source: &ClipSource,
        detector: Option<&mut (dyn Detector + 'static)>,
    ) -> Result<ClipResult> {
        let path = self.root.join(&source.path);
        let rejected =
            |code: &str, words: String| ClipResult::rejected(&source.clip_id, code, words);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) => return Ok(rejected("unreadable", format!("cannot be read: {error}"))),
        };
        let sha256 = Some(digest::sha256_hex(&bytes).into());
        let (rgb, codec) = match decoded(&bytes) {
            Ok(decoded) => decoded,
            Err(Unusable(code, words)) => {
                return Ok(ClipResult { sha256, ..rejected(code, words) });
            }
        };
        let (width, height) = rgb.dimensions();
        let grey = Plane::new(width as usize, height as usize, hash::luma(rgb.as_raw()));
        let thumbnail =
            grey.as_ref().and_then(|g| Thumbnail::of_pixels(&g.pixels, g.width, g.height));
        let (faces, reason) = self.faces(source, &rgb, detector)?;
        let chosen = faces.as_deref().and_then(|f| self.config.choose.of(f, width, height));
        let turn = orientation::of_file(&bytes);
        let turned = turn != orientation::UPRIGHT;
        let image_path = image_path(&source.clip_id, if turned { "png" } else { codec });
        let image_sha256 = if turned {
            // Readers that know nothing of EXIF would find the face box on a picture on its side.
            let upright = picture::encode_png(&rgb)?;
            self.out.write(&image_path, &upright)?;
            Some(digest::sha256_hex(&upright).into())
        } else {
            self.out.link_or_copy(&path, || Ok(bytes.clone()), &image_path)?;
            None
        };
        let remark = turned.then(|| {
            format!("turned upright by its EXIF orientation {}, stored as PNG", turn.to_exif())
        });
        let reason = [remark, reason].into_iter().flatten().collect::<Vec<_>>().join("; ");
        let reason = Some(reason).filter(|words| !words.is_empty());
        let still = Still {
            codec: codec.into(),
            width,
            height,
            signature: vec![thumbnail.map_or(hash::UNINFORMATIVE, |t| hash::hash(&t))],
            views: grey.as_ref().map(|grey| clip_views::packed(grey).into()),
            image_path,
            face: chosen.and_then(|f| picture::widen(f, self.config.margin, width, height)),
            face_count: faces.map(|f| f.len() as u32),
            orientation: turn.to_exif(),
            image_sha256,
        };
        let status = ClipStatus::Ok;
        Ok(ClipResult {
            sha256,
            status,
            code: None,
            reason,
            still: Some(still),
            ..rejected("", String::new())
        })
    }

    /// The faces inside the picture, `None` when nobody looked; and a remark.
    fn faces(
        &self,
        source: &ClipSource,
        rgb: &image::RgbImage,
        detector: Option<&mut (dyn Detector + 'static)>,
    ) -> Result<(Option<Vec<FaceBox>>, Option<String>)> {
        match (self.finder, detector) {
            (Finder::Detector(_), None) => Ok((None, None)),
            (Finder::Detector(_), Some(detector)) => Ok((Some(detector.detect(rgb)?), None)),
            (Finder::Boxes(boxes), _) => {
                let (width, height) = rgb.dimensions();
                let Some(named) = boxes.of_still(&source.shown) else {
                    return Ok((Some(Vec::new()), Some("no box file speaks of it".into())));
                };
                let inside: Vec<_> =
                    named.iter().filter_map(|f| f.clipped(width, height)).collect();
                let remark = if inside.len() < named.len() {
                    Some("a box lies outside the picture".to_owned())
                } else if inside.as_slice() != named {
                    Some("a box overhangs the picture and was clipped".to_owned())
                } else {
                    None
                };
                Ok((Some(inside), remark))
            }
        }
    }
}

/// The pixels and the format of a picture file.
fn decoded(bytes: &[u8]) -> Result<(image::RgbImage, &'static str), Unusable> {
    let codec = match image::guess_format(bytes) {
        Ok(image::ImageFormat::Png) => "png",
        Ok(image::ImageFormat::Jpeg) => "jpeg",
        Ok(other) => {
            return Err(Unusable("unsupported", format!("{other:?} is neither PNG nor JPEG")))
        }
        Err(_) if bytes.is_empty() => {
            return Err(Unusable("empty_file", "the file is empty".into()))
        }
        Err(_) => return Err(Unusable("not_a_picture", "neither PNG nor JPEG".into())),
    };
    let rgb = picture::decode_rgb(bytes).map_err(|e| Unusable("undecodable", format!("{e:#}")))?;
    Ok((rgb, codec))
}

/// `images/split/Class/stem_xxxxxxxx.png`, as [`super::clip`] names frames.
fn image_path(clip_id: &str, codec: &str) -> String {
    let mut parts = clip_id.splitn(3, '/').map(folder::safe_component);
    let mut part = || parts.next().unwrap_or_else(|| "_".into());
    let (split, class, stem) = (part(), part(), part());
    let hash = &digest::sha256_hex(clip_id.as_bytes())[..8];
    let ending = if codec == "png" { "png" } else { "jpg" };
    format!("{}/{split}/{class}/{stem}_{hash}.{ending}", IMAGES)
}
