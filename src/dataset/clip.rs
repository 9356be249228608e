//! One clip in a worker process: hash the file, decode it, find the faces, save the frames.
use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::{BufRead, Write},
    ops::Range,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{Config, ImageFormat, Options};
use crate::{
    corpus::Span,
    digest,
    face::{self, Detector, Luma},
    folder::{self, OutputFolder},
    media::{
        image as still,
        video::{self, DecodedFrame, Facts, Failure, FrameSink},
    },
    record::{ClipStatus, Damage, FaceBox, Segment},
    sampling,
};

/// The first line that a worker is given.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Setup {
    config: Config,
    detector: face::Request,
    corpus: OsString,
    out: OsString,
}

impl Setup {
    /// Paths are made absolute: a worker may have another working folder.
    pub(super) fn new(config: &Config, options: &Options) -> Result<Self> {
        let absolute = |path: &Path| {
            std::path::absolute(path)
                .map(PathBuf::into_os_string)
                .with_context(|| format!("cannot resolve {}", path.display()))
        };
        let mut detector = options.detector.clone();
        if let Some(file) = &mut detector.file {
            *file = absolute(file)?.into();
        }
        let (corpus, out) = (absolute(&options.clips.corpus)?, absolute(&options.out)?);
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

/// What a worker answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// The clip is done, well or badly.
    Clip(Box<ClipResult>),
    /// Nothing more can be written; the build stops.
    Fatal(String),
    /// The clip is not done, and work goes on.
    Alive,
}

/// What came of a clip; a line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClipResult {
    /// The clip.
    pub clip_id: String,
    /// SHA-256 of its file, when it could be read.
    pub sha256: Option<String>,
    /// How decoding ended.
    pub status: ClipStatus,
    /// Reason code of a rejected clip.
    pub code: Option<String>,
    /// What was wrong with it, in words.
    pub reason: Option<String>,
    /// What decoding told; `None` for a rejected clip.
    pub facts: Option<DecodedFacts>,
    /// The saved frames, in order.
    pub samples: Vec<SavedFrame>,
    /// Segments that give no sample, by their numbers.
    pub lost: BTreeMap<u32, Lost>,
    /// Seconds per stage.
    pub seconds: BTreeMap<String, f64>,
    /// The picture, where the clip is a still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub still: Option<Still>,
}

/// [`Facts`] without what the status says; the rate as bits, since JSON may round it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecodedFacts {
    /// Codec as FFmpeg calls it.
    pub codec: String,
    /// Pixel format as FFmpeg calls it.
    pub pixel_format: String,
    /// Width in pixels, after rotation.
    pub width: u32,
    /// Height in pixels, after rotation.
    pub height: u32,
    /// Sample aspect ratio as `n:d`.
    pub sample_aspect_ratio: Option<String>,
    /// Clockwise degrees that were applied.
    pub rotation: i32,
    /// YUV matrix used for RGB.
    pub color_matrix: String,
    /// `limited` or `full`.
    pub color_range: String,
    /// Whether any frame was marked interlaced.
    pub interlaced: bool,
    /// Frames per second, the bits of an f64.
    pub fps_bits: u64,
    /// Frames that came out of the decoder.
    pub frames: u64,
    /// What the header claims.
    pub frames_header: Option<u64>,
    /// Whether the stream reorders frames.
    pub has_b_frames: bool,
    /// Perceptual hashes, one every 0.5 s.
    pub signature: Option<Vec<u64>>,
    /// How pictures were turned, by EXIF's numbers.
    pub orientation: u8,
    /// Transfer characteristics that the stream states.
    pub color_transfer: Option<String>,
    /// Whether the stream is one that the file marks as default.
    pub default_stream: bool,
    /// The frames that are the clip, where it is a part of the file.
    pub part: Option<(u64, u64)>,
    /// Views of a frame every second, packed.
    #[serde(default, with = "words")]
    pub views: Option<Vec<u64>>,
}

/// Words as text: a third of what they take as numbers.
mod words {
    use base64::prelude::{Engine as _, BASE64_STANDARD};
    use serde::{de::Error, Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        words: &Option<Vec<u64>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let bytes = words.as_ref().map(|w| w.iter().flat_map(|w| w.to_be_bytes()).collect());
        bytes.map(|bytes: Vec<u8>| BASE64_STANDARD.encode(bytes)).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Vec<u64>>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
        let bytes = BASE64_STANDARD.decode(text).map_err(D::Error::custom)?;
        let word = |b: &[u8]| b.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        Ok(Some(bytes.chunks_exact(8).map(word).collect()))
    }
}

/// Why a segment gives no sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lost {
    /// Reason code of the ledger.
    pub code: String,
    /// The reason in words.
    pub detail: String,
}

/// A still that stands for a clip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Still {
    /// `png` or `jpeg`.
    pub codec: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// One perceptual hash.
    pub signature: Vec<u64>,
    /// The view of the picture, packed.
    #[serde(default, with = "words")]
    pub views: Option<Vec<u64>>,
    /// Relative to the output folder.
    pub image_path: String,
    /// The chosen face, clipped to the picture.
    pub face: Option<FaceBox>,
    /// Faces found; `None` when nobody looked.
    pub face_count: Option<u32>,
    /// How the stored picture had to be turned, by EXIF's numbers.
    #[serde(default = "upright")]
    pub orientation: u8,
    /// SHA-256 of the picture file where it is not the still's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_sha256: Option<String>,
}

fn upright() -> u8 {
    1
}

/// A saved frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedFrame {
    /// The part of the clip.
    pub segment: Segment,
    /// The n-th frame out of the decoder, from 0.
    pub frame: u64,
    /// The picture, relative to the build's folder.
    pub image_path: String,
    /// SHA-256 of the picture file.
    pub image_sha256: String,
    /// Width of the picture in pixels.
    pub width: u32,
    /// Height of the picture in pixels.
    pub height: u32,
    /// The chosen face.
    pub face: Option<FaceBox>,
    /// Faces found; `None` when nobody looked.
    pub face_count: Option<u32>,
    /// What the decoder says of the frame.
    #[serde(default)]
    pub damage: Damage,
    /// Which draw of the segment it is, from 0.
    #[serde(default)]
    pub draw: u32,
}

impl ClipResult {
    /// A clip of which nothing can be used.
    pub(super) fn rejected(clip_id: &str, code: &str, reason: String) -> Self {
        ClipResult {
            clip_id: clip_id.to_owned(),
            sha256: None,
            status: ClipStatus::Rejected,
            code: Some(code.to_owned()),
            reason: Some(reason),
            facts: None,
            samples: Vec::new(),
            lost: BTreeMap::new(),
            seconds: BTreeMap::new(),
            still: None,
        }
    }
}

/// Answers jobs from `input` on `output` until the input ends: the life of a worker process.
///
/// # Errors
/// When the lines are not those of a build, or nobody listens any more.
pub fn serve(input: impl BufRead, mut answers: impl Write) -> Result<()> {
    let mut lines = input.lines();
    let Some(first) = lines.next() else { return Ok(()) };
    let setup: Setup = serde_json::from_str(&first?).context("not the setup of a worker")?;
    let detector = face::open(&setup.detector)?;
    let out = OutputFolder::join(Path::new(&setup.out))?;
    let mut worker = Worker { setup, detector, out };
    for line in lines {
        let job: Job = serde_json::from_str(&line?).context("not a job")?;
        let mut beat = Beat { answers: &mut answers, last: Instant::now() };
        let answer = match worker.clip(&job, &mut beat) {
            Ok(result) => Answer::Clip(Box::new(result)),
            Err(error) => Answer::Fatal(format!("{error:#}")),
        };
        say(&mut answers, &answer)?;
    }
    Ok(())
}

fn say(answers: &mut impl Write, answer: &Answer) -> Result<()> {
    serde_json::to_writer(&mut *answers, answer)?;
    answers.write_all(b"\n")?;
    Ok(answers.flush()?)
}

/// Says now and then that a clip is still worked on.
struct Beat<'a, W: Write> {
    answers: &'a mut W,
    last: Instant,
}

impl<W: Write> Beat<'_, W> {
    fn strike(&mut self) {
        if self.last.elapsed() >= BEAT {
            self.last = Instant::now();
            // A build that no longer listens is noticed at the next answer.
            let _ = say(self.answers, &Answer::Alive);
        }
    }
}

/// Time between two signs of life.
const BEAT: Duration = Duration::from_millis(500);

struct Worker {
    setup: Setup,
    detector: Option<Box<dyn Detector>>,
    out: OutputFolder,
}

impl Worker {
    /// # Errors
    /// When the output folder cannot be written; whatever is wrong with the clip is a result.
    fn clip(&mut self, job: &Job, beat: &mut Beat<'_, impl Write>) -> Result<ClipResult> {
        let path = Path::new(&self.setup.corpus).join(&job.path);
        let start = Instant::now();
        let sha256 = digest::sha256_file(&path).ok();
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
            lost: BTreeMap::new(),
            seconds: BTreeMap::from([("hash".to_owned(), hashed)]),
            alive: &mut || beat.strike(),
        };
        let decoded = video::decode(&path, self.setup.config.fast, &mut taking);
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
        self.lost.clear();
        drawn
    }

    fn redraw(&mut self, damaged: &BTreeMap<u64, Damage>) -> Vec<u64> {
        if self.config.keep_damaged {
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
        let detect = |detector: &mut &mut (dyn Detector + 'static)| {
            detector.next_is(self.clip_path, frame);
            faces_in(*detector, &mut shot)
        };
        let faces = self.detector.as_mut().map(detect).transpose()?;
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
            image_sha256: digest::sha256_hex(&bytes),
            width,
            height,
            face: faces.as_ref().and_then(|faces| self.chosen(faces, width, height)),
            face_count: faces.map(|f| f.len() as u32),
            damage: shot.damage(),
            draw,
        };
        self.taken.insert(segment.index, taken);
        self.spent("write", start.elapsed().as_secs_f64());
        Ok(())
    }

    fn lost(&mut self, frame: u64, reason: String) {
        if let Some(target) = self.target_of(frame) {
            let lost = Lost { code: "not_convertible".into(), detail: reason };
            self.lost.insert(target.segment.index, lost);
        }
    }
}

impl FrameSaver<'_> {
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

    fn result(self, sha256: Option<String>, mut facts: Facts) -> ClipResult {
        let part = self.span.map(|_| (self.part.start, self.part.end));
        if part.is_some() {
            facts.keep_part(&self.part);
        }
        let mut words = facts.damage.clone();
        words.extend(facts.remarks);
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
            facts: Some(DecodedFacts {
                codec: facts.codec,
                pixel_format: facts.pixel_format,
                width: facts.width,
                height: facts.height,
                sample_aspect_ratio: facts.sample_aspect_ratio,
                rotation: facts.rotation,
                color_matrix: facts.color_matrix.to_owned(),
                color_range: facts.color_range.to_owned(),
                interlaced: facts.interlaced,
                fps_bits: facts.fps.to_bits(),
                frames: facts.frames,
                frames_header: facts.frames_header,
                has_b_frames: facts.has_b_frames,
                signature: facts.signature,
                orientation: facts.orientation.to_exif(),
                color_transfer: facts.color_transfer,
                default_stream: facts.default_stream,
                part,
                views: facts.views,
            }),
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
fn image_path(clip_id: &str, segment: u32, format: ImageFormat) -> String {
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

    #[test]
    fn results_survive_the_journal_to_the_last_bit() {
        let fps = 24000.0f64 / 1001.0;
        let mut result = ClipResult::rejected("a", "x", "y".into());
        result.samples = vec![SavedFrame {
            segment: Segment { index: 0, start_frame: 0, end_frame: 9 },
            frame: 3,
            image_path: "p".into(),
            image_sha256: "h".into(),
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
            views: Some(vec![1, u64::MAX]),
        });
        let line = serde_json::to_string(&result).expect("writes");
        assert_eq!(serde_json::from_str::<ClipResult>(&line).expect("reads"), result);
    }
}
