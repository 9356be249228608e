//! One clip in a worker process: hash the file, decode it, find the faces, save the frames.
use std::{collections::BTreeMap, ffi::OsString, ops::Range, path::Path, time::Instant};

use anyhow::Result;
use image::RgbImage;
use serde::{Deserialize, Serialize};

use super::{
    clip_result::{ClipResult, DecodedFacts, Lost, SavedFrame},
    job::{self, Work},
    BuildOptions, Config, ImageFormat,
};
use crate::{
    corpus::Span,
    digest,
    face::{self, Detector, Luma},
    folder::{self, OutputFolder},
    media::{
        image as still,
        video::{self, DecodedFrame, Facts, Failure, FrameSink},
    },
    record::{ClipStatus, Damage, FaceBox, HexDigest, Segment},
    sampling,
};

/// The first line that a worker is given.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Setup {
    config: Config,
    detector: face::DetectorRequest,
    corpus: OsString,
    out: OsString,
}

impl Setup {
    pub(super) fn new(config: &Config, options: &BuildOptions) -> Result<Self> {
        let mut detector = options.detector.clone();
        if let Some(file) = &mut detector.file {
            *file = job::absolute(file)?.into();
        }
        let (corpus, out) = (job::absolute(&options.clips.corpus)?, job::absolute(&options.out)?);
        Ok(Setup { config: config.clone(), detector, corpus, out })
    }
}

/// Every further line: a clip to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Job {
    pub clip_id: String,
    pub path: OsString,
    pub span: Option<Span>,
}

impl job::Job for Job {
    type Outcome = ClipResult;

    fn clip_id(&self) -> &str {
        &self.clip_id
    }

    fn given_up(&self, code: &str, reason: String) -> ClipResult {
        ClipResult::rejected(&self.clip_id, code, reason)
    }
}

pub(super) struct Worker {
    setup: Setup,
    detector: Option<Box<dyn Detector>>,
    out: OutputFolder,
}

impl Work for Worker {
    type Setup = Setup;
    type Job = Job;

    fn start(setup: Setup) -> Result<Self> {
        let detector = face::open(&setup.detector)?;
        let out = OutputFolder::join(Path::new(&setup.out))?;
        Ok(Worker { setup, detector, out })
    }

    fn answer(&mut self, job: &Job, alive: &mut dyn FnMut()) -> Result<ClipResult> {
        self.clip(job, alive)
    }
}

impl Worker {
    /// # Errors
    /// When the output folder cannot be written; whatever is wrong with the clip is a result.
    fn clip(&mut self, job: &Job, alive: &mut dyn FnMut()) -> Result<ClipResult> {
        let path = Path::new(&self.setup.corpus).join(&job.path);
        let start = Instant::now();
        let sha256 = digest::sha256_file(&path).ok().map(HexDigest::from);
        let hashed = start.elapsed().as_secs_f64();
        let mut taking = FrameSaver {
            config: &self.setup.config,
            out: &self.out,
            clip_id: &job.clip_id,
            clip_path: &job.path.to_string_lossy(),
            detector: self.detector.as_deref_mut(),
            span: job.span,
            part: 0..0,
            targets: Vec::new(),
            taken: BTreeMap::new(),
            waiting: Vec::new(),
            lost: BTreeMap::new(),
            seconds: BTreeMap::from([("hash".to_owned(), hashed)]),
            alive,
        };
        let decoded = video::decode(&path, self.setup.config.fast, &mut taking);
        if decoded.is_ok() {
            taking.search_waiting()?;
        }
        let beside: f64 = taking.seconds.values().sum();
        taking.spent("decode", start.elapsed().as_secs_f64() - beside);
        match decoded {
            Ok(_) if taking.part.is_empty() => {
                let words = "its part lies behind the end of the file".to_owned();
                let seconds = taking.seconds;
                let rejected = ClipResult::rejected(&job.clip_id, "no_frames", words);
                Ok(ClipResult { sha256, seconds, ..rejected })
            }
            Ok(facts) => Ok(taking.result(sha256, facts)),
            Err(Failure::Rejected(why)) => Ok(ClipResult {
                sha256,
                seconds: taking.seconds,
                ..ClipResult::rejected(&job.clip_id, why.code(), why.to_string())
            }),
            Err(Failure::Keep(error)) => Err(error),
        }
    }
}

/// Draws the frames of a clip and keeps them.
struct FrameSaver<'a> {
    config: &'a Config,
    out: &'a OutputFolder,
    clip_id: &'a str,
    /// In the corpus.
    clip_path: &'a str,
    detector: Option<&'a mut (dyn Detector + 'static)>,
    /// The part of the file that is the clip, and its frames.
    span: Option<Span>,
    part: Range<u64>,
    targets: Vec<Target>,
    /// By segment.
    taken: BTreeMap<u32, SavedFrame>,
    lost: BTreeMap<u32, Lost>,
    /// Frames that the detector is given together, with their segments.
    waiting: Vec<(u32, RgbImage)>,
    seconds: BTreeMap<String, f64>,
    /// Says that work goes on.
    alive: &'a mut dyn FnMut(),
}

/// A segment and the frame that is drawn from it.
#[derive(Clone, Copy)]
struct Target {
    segment: Segment,
    frame: u64,
    draw: u32,
}

impl FrameSink for FrameSaver<'_> {
    fn targets(&mut self, frames: u64, fps: f64) -> Vec<u64> {
        self.part = self.span.map_or(0..frames, |span| span.frames(frames, fps));
        let segments = sampling::segments_of(self.part.clone(), fps, self.config.segment_seconds);
        let drawn = sampling::targets(self.config.seed, self.clip_id, &segments);
        let target = |(segment, &frame)| Target { segment, frame, draw: 0 };
        self.targets = segments.into_iter().zip(&drawn).map(target).collect();
        self.taken.clear();
        self.waiting.clear();
        self.lost.clear();
        drawn
    }

    fn redraw(&mut self, damaged: &BTreeMap<u64, Damage>) -> Vec<u64> {
        if self.config.keep_damaged {
            for taken in self.taken.values_mut() {
                taken.damage = damaged.get(&taken.frame).copied().unwrap_or_default();
            }
            return Vec::new();
        }
        let mut again = Vec::new();
        for target in &mut self.targets {
            if !damaged.contains_key(&target.frame) {
                continue;
            }
            let Segment { index, start_frame, end_frame } = target.segment;
            self.taken.remove(&index);
            self.lost.remove(&index);
            self.waiting.retain(|(segment, _)| *segment != index);
            let broken = damaged.range(start_frame..end_frame).count() as u64;
            if broken == end_frame - start_frame {
                let detail = format!("all {broken} frames of it are damaged");
                self.lost.insert(index, Lost { code: "damaged".into(), detail });
                continue;
            }
            let id = sampling::sample_id(self.clip_id, index);
            while damaged.contains_key(&target.frame) {
                target.draw += 1;
                target.frame =
                    sampling::redrawn(self.config.seed, &id, &target.segment, target.draw);
            }
            again.push(target.frame);
        }
        again
    }

    fn alive(&mut self) {
        (self.alive)();
    }

    fn keep(&mut self, frame: u64, mut shot: DecodedFrame<'_>) -> Result<()> {
        let Some(Target { segment, draw, .. }) = self.target_of(frame) else { return Ok(()) };
        let start = Instant::now();
        let faces = match &mut self.detector {
            Some(detector) if detector.batch() > 1 => {
                self.waiting.push((segment.index, shot.rgb()?.clone()));
                None
            }
            Some(detector) => {
                detector.next_is(self.clip_path, frame);
                Some(faces_in(&mut **detector, &mut shot)?)
            }
            None => None,
        };
        self.spent("face", start.elapsed().as_secs_f64());
        let start = Instant::now();
        let bytes = match self.config.image_format {
            ImageFormat::Jpeg => shot.jpeg(self.config.jpeg_quality)?,
            ImageFormat::Png => still::encode_png(shot.rgb()?)?,
        };
        self.spent("encode", start.elapsed().as_secs_f64());
        let start = Instant::now();
        let image_path = image_path(self.clip_id, segment.index, self.config.image_format);
        self.out.write(&image_path, &bytes)?;
        let (width, height) = shot.dimensions();
        let taken = SavedFrame {
            segment,
            frame,
            image_path,
            image_sha256: digest::sha256_hex(&bytes).into(),
            pixel_sha256: shot.pixel_digest().into(),
            width,
            height,
            face: faces.as_ref().and_then(|faces| self.chosen(faces, width, height)),
            face_count: faces.map(|f| f.len() as u32),
            damage: Damage::None,
            draw,
        };
        self.taken.insert(segment.index, taken);
        self.spent("write", start.elapsed().as_secs_f64());
        let batch = self.detector.as_ref().map_or(usize::MAX, |detector| detector.batch());
        match self.waiting.len() >= batch {
            true => self.search_waiting(),
            false => Ok(()),
        }
    }

    fn lost(&mut self, frame: u64, reason: String) {
        if let Some(target) = self.target_of(frame) {
            let lost = Lost { code: "not_convertible".into(), detail: reason };
            self.lost.insert(target.segment.index, lost);
        }
    }
}

impl FrameSaver<'_> {
    /// Looks for the faces of the frames that wait, all of one clip and so of one size.
    fn search_waiting(&mut self) -> Result<()> {
        let Some(detector) = self.detector.as_mut().filter(|_| !self.waiting.is_empty()) else {
            return Ok(());
        };
        let start = Instant::now();
        let (segments, pictures): (Vec<u32>, Vec<RgbImage>) =
            std::mem::take(&mut self.waiting).into_iter().unzip();
        let found = detector.detect_batch(&pictures)?;
        for ((segment, picture), faces) in segments.iter().zip(&pictures).zip(found) {
            let face = self.chosen(&faces, picture.width(), picture.height());
            if let Some(saved) = self.taken.get_mut(segment) {
                (saved.face, saved.face_count) = (face, Some(faces.len() as u32));
            }
        }
        self.spent("face", start.elapsed().as_secs_f64());
        Ok(())
    }

    fn target_of(&self, frame: u64) -> Option<Target> {
        self.targets.iter().find(|target| target.frame == frame).copied()
    }

    /// The face that the sample gets, of those that were found.
    fn chosen(&self, faces: &[FaceBox], width: u32, height: u32) -> Option<FaceBox> {
        let face = self.config.choose.of(faces, width, height)?;
        still::widen(face, self.config.margin, width, height)
    }

    fn spent(&mut self, stage: &str, seconds: f64) {
        *self.seconds.entry(stage.to_owned()).or_default() += seconds;
    }

    fn result(self, sha256: Option<HexDigest>, mut facts: Facts) -> ClipResult {
        let part = self.span.map(|_| (self.part.start, self.part.end));
        if part.is_some() {
            facts.keep_part(&self.part);
        }
        let mut words = facts.damage.clone();
        words.extend(facts.remarks.iter().cloned());
        if facts.fps_assumed {
            words.push(format!("implausible frame rate, {} assumed", facts.fps));
        }
        let sound = facts.damage.is_empty();
        ClipResult {
            clip_id: self.clip_id.to_owned(),
            sha256,
            status: if sound { ClipStatus::Ok } else { ClipStatus::Partial },
            code: None,
            reason: (!words.is_empty()).then(|| words.join("; ")),
            facts: Some(DecodedFacts { part, ..facts.into() }),
            samples: self.taken.into_values().collect(),
            lost: self.lost,
            seconds: self.seconds,
            still: None,
        }
    }
}

/// The faces of a frame, without colours where both the frame and the detector can.
fn faces_in(detector: &mut dyn Detector, shot: &mut DecodedFrame) -> Result<Vec<FaceBox>> {
    if let Some(detector) = detector.by_luma() {
        let (width, height) = shot.dimensions();
        if let Some(pixels) = shot.luma() {
            return Ok(detector.detect_luma(Luma { pixels: &pixels, width, height }));
        }
    }
    detector.detect(shot.rgb()?)
}

/// `images/split/Class/stem_NNN_xxxxxxxx.jpg`: the stem made safe, the segment, and eight hex
/// digits of the sample_id's SHA-256, so that nothing collides or leaves the folder.
pub(super) fn image_path(clip_id: &str, segment: u32, format: ImageFormat) -> String {
    let sample_id = sampling::sample_id(clip_id, segment);
    let mut parts = clip_id.splitn(3, '/').map(folder::safe_component);
    let mut part = || parts.next().unwrap_or_else(|| "_".into());
    let (split, class, stem) = (part(), part(), part());
    let hash = &digest::sha256_hex(sample_id.as_bytes())[..8];
    let ending = match format {
        ImageFormat::Jpeg => "jpg",
        ImageFormat::Png => "png",
    };
    format!("images/{split}/{class}/{stem}_{segment:03}_{hash}.{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picture_names_never_leave_the_folder_nor_collide() {
        let path = |id, segment| image_path(id, segment, ImageFormat::Jpeg);
        let plain = path("train/Anger/0001", 12);
        assert!(plain.starts_with("images/train/Anger/0001_012_"), "{plain}");
        assert_ne!(path("train/Anger/a b", 0), path("train/Anger/a_b", 0));
        for evil in ["train/Anger/../../../etc", "train/Anger/\\xFF", "a", "", "x/y/-rf"] {
            let path = path(evil, 0);
            assert!(folder::below(Path::new("/out"), &path).is_ok(), "{path}");
            assert_eq!(path.split('/').count(), 4, "{path}");
        }
    }

    /// Finds a face as wide as the picture is dark, two pictures at a time.
    #[derive(Default)]
    struct Pairs {
        calls: Vec<usize>,
    }

    impl Detector for Pairs {
        fn detect(&mut self, image: &RgbImage) -> Result<Vec<FaceBox>> {
            let x2 = i32::from(image.get_pixel(0, 0)[0]);
            Ok(vec![FaceBox { x1: 0, y1: 0, x2, y2: 5, score: 1.0 }])
        }

        fn detect_batch(&mut self, images: &[RgbImage]) -> Result<Vec<Vec<FaceBox>>> {
            self.calls.push(images.len());
            images.iter().map(|image| self.detect(image)).collect()
        }

        fn batch(&self) -> usize {
            2
        }

        fn name(&self) -> String {
            "pairs".into()
        }
    }

    #[test]
    fn frames_that_wait_get_their_own_faces() {
        let dir = tempfile::tempdir().expect("temp dir");
        let out = folder::claim_standing(&dir.path().join("out"), "test").expect("a folder");
        let config =
            Config::new(1, &face::DetectorRequest::named("none")).expect("a configuration");
        let mut detector = Pairs::default();
        let saved = |index| SavedFrame {
            segment: Segment { index, start_frame: 0, end_frame: 9 },
            frame: 3,
            image_path: String::new(),
            image_sha256: HexDigest::default(),
            pixel_sha256: HexDigest::default(),
            width: 20,
            height: 10,
            face: None,
            face_count: None,
            damage: Damage::None,
            draw: 0,
        };
        let picture = |dark: u8| RgbImage::from_pixel(20, 10, image::Rgb([dark; 3]));
        let mut saver = FrameSaver {
            config: &config,
            out: &out,
            clip_id: "train/Anger/1",
            clip_path: "1.avi",
            detector: Some(&mut detector),
            span: None,
            part: 0..0,
            targets: Vec::new(),
            taken: [4, 7, 9].map(|index| (index, saved(index))).into(),
            waiting: vec![(9, picture(11)), (4, picture(7))],
            lost: BTreeMap::new(),
            seconds: BTreeMap::new(),
            alive: &mut || (),
        };
        saver.search_waiting().expect("searches");
        saver.search_waiting().expect("nothing waits");
        let wide = |segment| saver.taken[&segment].face.map(|face| face.x2);
        assert_eq!([wide(4), wide(7), wide(9)], [Some(7), None, Some(11)]);
        assert_eq!(saver.taken[&4].face_count, Some(1));
        assert_eq!(detector.calls, [2]);
    }

    #[test]
    fn results_survive_the_journal_to_the_last_bit() {
        let fps = 24000.0f64 / 1001.0;
        let mut result = ClipResult::rejected("a", "x", "y".into());
        result.samples = vec![SavedFrame {
            segment: Segment { index: 0, start_frame: 0, end_frame: 9 },
            frame: 3,
            image_path: "p".into(),
            image_sha256: "h".into(),
            pixel_sha256: "p".into(),
            width: 1,
            height: 2,
            face: Some(FaceBox { x1: 0, y1: 0, x2: 1, y2: 1, score: 12.345_679 }),
            face_count: Some(1),
            damage: Damage::Concealed,
            draw: 2,
        }];
        result.facts = Some(DecodedFacts {
            codec: "mpeg4".into(),
            pixel_format: "yuv420p".into(),
            width: 1,
            height: 2,
            sample_aspect_ratio: None,
            rotation: 0,
            color_matrix: "bt601".into(),
            color_range: "limited".into(),
            interlaced: false,
            fps_bits: fps.to_bits(),
            frames: 9,
            frames_header: None,
            has_b_frames: false,
            signature: Some(vec![u64::MAX]),
            orientation: 5,
            color_transfer: Some("bt709".into()),
            default_stream: true,
            part: Some((5, 90)),
            views: Some(vec![1, u64::MAX].into()),
        });
        let line = serde_json::to_string(&result).expect("writes");
        assert_eq!(serde_json::from_str::<ClipResult>(&line).expect("reads"), result);
    }
}
