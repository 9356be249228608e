//! Pictures and videos with every face's box, label and confidence drawn in, and the same as rows.
//!
//! The context of a picture is encoded once, with all found faces masked where the model was
//! trained on masked contexts; for a picture with one face that is what training saw.
mod draw;
mod files;
mod follow;

use std::path::{Path, PathBuf};

use anyhow::{anyhow, Context, Result};
use image::RgbImage;
use serde::Serialize;

use crate::{
    face::Detector,
    media::{
        image::{mask, resize_chw, whole, widen},
        redraw::Redrawing,
        video::{self, DecodedFrame, FrameSink},
    },
    progress::Progress,
    record::{Emotion, FaceBox, NUM_CLASSES},
    report::heat,
    train::{FaceAnswer, FacePixels, FaceReader},
};
use draw::Marked;
use follow::Followed;

pub use files::{annotate, AnnotateRequest, Annotated, DEMONSTRATION};

/// What can be chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AnnotateSettings {
    /// Faces are looked for in every n-th frame of a video and followed in between; at least 1.
    pub every: u32,
    /// Lays the attention, averaged over the faces, over the picture.
    pub attention: bool,
    /// Share of its size by which a face's box grows before it is cut out and masked, as the
    /// pack's was.
    pub margin: f64,
    /// The value of masked pixels, as the pack's was.
    pub mask_value: u8,
    /// What every picture and row says about the model, where its guesses mean nothing here.
    pub notice: Option<&'static str>,
}

/// One face in one picture or frame.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaceRow {
    /// The picture or video.
    pub file: String,
    /// Index of the frame; none for a picture.
    pub frame: Option<u64>,
    /// Its time in milliseconds.
    pub ms: Option<f64>,
    /// Number of the face in it, best first.
    pub face: usize,
    /// Left edge in pixels.
    pub x1: i32,
    /// Top edge.
    pub y1: i32,
    /// Right edge, not included.
    pub x2: i32,
    /// Bottom edge, not included.
    pub y2: i32,
    /// The detector's score; a followed face keeps that of its detection.
    pub score: f32,
    /// `detected` or `followed`.
    pub found: &'static str,
    /// The model's guess.
    pub label: &'static str,
    /// Softmax probability of the guess.
    pub confidence: f64,
    /// Probability of each class.
    pub p_anger: f64,
    /// See `p_anger`.
    pub p_disgust: f64,
    /// See `p_anger`.
    pub p_fear: f64,
    /// See `p_anger`.
    pub p_happy: f64,
    /// See `p_anger`.
    pub p_neutral: f64,
    /// See `p_anger`.
    pub p_sad: f64,
    /// See `p_anger`.
    pub p_surprise: f64,
    /// Weight of the face branch, where the model has one.
    pub w_face: Option<f32>,
    /// What one must know about the guess; empty where there is nothing.
    pub remark: &'static str,
}

/// Where a row goes.
pub type Sink<'a> = dyn FnMut(FaceRow) -> Result<()> + 'a;

/// What was made of a video.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reel {
    /// Frames.
    pub frames: u64,
    /// Rows.
    pub faces: u64,
    /// Whether the copy has sound.
    pub sound: bool,
}

/// A detector and a model at work.
pub struct Annotator {
    reader: FaceReader,
    detector: Box<dyn Detector>,
    settings: AnnotateSettings,
}

impl Annotator {
    /// Puts them together.
    pub fn new(
        reader: FaceReader,
        detector: Box<dyn Detector>,
        settings: AnnotateSettings,
    ) -> Self {
        Annotator { reader, detector, settings }
    }

    /// Finds, judges and draws the faces of a picture; returns how many there are.
    ///
    /// # Errors
    /// When the detector or the model fails, or `sink` does.
    pub fn picture(&mut self, file: &str, picture: &mut RgbImage, sink: &mut Sink) -> Result<u64> {
        let faces = self.detector.detect(picture)?;
        self.judge(file, None, picture, &faces, "detected", sink)
    }

    /// Goes through a video frame by frame, into `copy` where one is wanted.
    ///
    /// # Errors
    /// When nothing can be decoded, or anything fails on the way; the copy is whole or absent.
    pub fn video(
        &mut self,
        file: &str,
        original: &Path,
        copy: Option<PathBuf>,
        sink: &mut Sink,
    ) -> Result<Reel> {
        let mut work = VideoAnnotator {
            annotator: self,
            file,
            original,
            copy,
            sink,
            redrawn: None,
            followed: Followed::default(),
            progress: None,
            fps: 0.0,
            reel: Reel::default(),
        };
        video::decode(original, true, &mut work)
            .map_err(|failure| anyhow!(failure))
            .with_context(|| original.display().to_string())?;
        work.finish()
    }

    /// Judges the faces, writes their rows and draws them.
    fn judge(
        &self,
        file: &str,
        at: Option<(u64, f64)>,
        picture: &mut RgbImage,
        faces: &[FaceBox],
        found: &'static str,
        sink: &mut Sink,
    ) -> Result<u64> {
        let (masked, side) = (self.reader.masks_faces(), self.reader.face_side());
        let pixels = pixels(picture, faces, masked, side, &self.settings);
        let answers = self.reader.judge(&pixels)?;
        if self.settings.attention {
            if let Some((rows, columns, map)) = mean_attention(&answers) {
                *picture = heat(picture, &map, rows, columns);
            }
        }
        let mut marked = Vec::with_capacity(faces.len());
        for (i, (face, answer)) in faces.iter().zip(&answers).enumerate() {
            let p = softmax(&answer.logits);
            let confidence = p[usize::from(answer.predicted)];
            let text = draw::label_text(answer.predicted, confidence);
            marked.push(Marked { face: *face, label: answer.predicted, text });
            let remark = self.settings.notice.unwrap_or_default();
            sink(FaceRow { remark, ..row(file, at, i, face, found, answer, p) })?;
        }
        draw::faces(picture, &marked);
        if let Some(notice) = self.settings.notice {
            draw::notice(picture, notice);
        }
        Ok(faces.len() as u64)
    }
}

fn row(
    file: &str,
    at: Option<(u64, f64)>,
    number: usize,
    face: &FaceBox,
    found: &'static str,
    answer: &FaceAnswer,
    p: [f64; NUM_CLASSES],
) -> FaceRow {
    let [p_anger, p_disgust, p_fear, p_happy, p_neutral, p_sad, p_surprise] = p;
    FaceRow {
        file: file.to_owned(),
        frame: at.map(|(frame, _)| frame),
        ms: at.map(|(_, ms)| ms),
        face: number,
        x1: face.x1,
        y1: face.y1,
        x2: face.x2,
        y2: face.y2,
        score: face.score,
        found,
        label: Emotion::from_label(answer.predicted).map_or("?", Emotion::name),
        confidence: p[usize::from(answer.predicted)],
        p_anger,
        p_disgust,
        p_fear,
        p_happy,
        p_neutral,
        p_sad,
        p_surprise,
        w_face: answer.w_face,
        remark: "",
    }
}

/// What a model needs of a picture and its faces, prepared as the pack does it; face crops are
/// `side` pixels high and wide.
pub fn pixels(
    picture: &RgbImage,
    faces: &[FaceBox],
    masked: bool,
    side: usize,
    settings: &AnnotateSettings,
) -> FacePixels {
    let (w, h) = picture.dimensions();
    let grown = |face: &FaceBox| widen(*face, settings.margin, w, h).unwrap_or_else(|| whole(w, h));
    let cut = |picture: &RgbImage, from: FaceBox, width: usize, height: usize| {
        let mut out = vec![0; 3 * width * height];
        resize_chw(picture, from, width, height, &mut out);
        out
    };
    let crops = faces.iter().map(|face| cut(picture, grown(face), side, side)).collect();
    let mut around = picture.clone();
    if masked {
        faces.iter().for_each(|face| mask(&mut around, grown(face), settings.mask_value));
    }
    FacePixels {
        context: cut(&around, whole(w, h), 171, 128),
        faces: crops,
        whole: cut(picture, whole(w, h), 224, 224),
    }
}

fn softmax(logits: &[f32; NUM_CLASSES]) -> [f64; NUM_CLASSES] {
    let most = logits.iter().copied().fold(f32::MIN, f32::max);
    let each = logits.map(|z| f64::from(z - most).exp());
    let sum: f64 = each.iter().sum();
    each.map(|e| e / sum)
}

/// The mean of the faces' attention maps.
fn mean_attention(answers: &[FaceAnswer]) -> Option<(usize, usize, Vec<f32>)> {
    let (rows, columns, _) = answers.first()?.attention.as_ref()?;
    let mut mean = vec![0.0; rows * columns];
    for (_, _, map) in answers.iter().filter_map(|a| a.attention.as_ref()) {
        mean.iter_mut().zip(map).for_each(|(m, v)| *m += v / answers.len() as f32);
    }
    Some((*rows, *columns, mean))
}

/// A video on its way through.
struct VideoAnnotator<'a, 's> {
    annotator: &'a mut Annotator,
    file: &'a str,
    original: &'a Path,
    copy: Option<PathBuf>,
    sink: &'a mut Sink<'s>,
    redrawn: Option<Redrawing>,
    followed: Followed,
    progress: Option<Progress>,
    fps: f64,
    reel: Reel,
}

impl VideoAnnotator<'_, '_> {
    /// The faces of the next frame, and how they were found.
    fn faces(&mut self, frame: u64, picture: &RgbImage) -> Result<(Vec<FaceBox>, &'static str)> {
        if !frame.is_multiple_of(u64::from(self.annotator.settings.every)) {
            return Ok((self.followed.advance(picture), "followed"));
        }
        let faces = self.annotator.detector.detect(picture)?;
        self.followed = Followed::start(picture, &faces);
        Ok((faces, "detected"))
    }

    fn write(&mut self, picture: RgbImage, times: u64) -> Result<()> {
        let Some(copy) = &self.copy else { return Ok(()) };
        let redrawn = match &mut self.redrawn {
            Some(redrawn) => redrawn,
            None => {
                let begun = Redrawing::begin(copy, self.original, picture.dimensions(), self.fps)?;
                self.redrawn.insert(begun)
            }
        };
        redrawn.push(picture, times)
    }

    fn finish(mut self) -> Result<Reel> {
        if let Some(progress) = self.progress.take() {
            progress.finish();
        }
        if let Some(redrawn) = self.redrawn.take() {
            (_, self.reel.sound) = redrawn.finish()?;
        }
        Ok(self.reel)
    }
}

impl FrameSink for VideoAnnotator<'_, '_> {
    fn targets(&mut self, frames: u64, fps: f64) -> Vec<u64> {
        self.fps = fps;
        self.progress.get_or_insert_with(|| Progress::new("annotate", "frames", frames));
        (0..frames).collect()
    }

    fn keep(&mut self, frame: u64, shot: DecodedFrame<'_>) -> Result<()> {
        // A second pass brings the frames of the first again.
        let Some(missing) = frame.checked_sub(self.reel.frames) else { return Ok(()) };
        let mut picture = shot.into_rgb()?;
        let (faces, found) = self.faces(frame, &picture)?;
        let at = Some((frame, 1000.0 * frame as f64 / self.fps));
        let (annotator, sink) = (&*self.annotator, &mut *self.sink);
        self.reel.faces += annotator.judge(self.file, at, &mut picture, &faces, found, sink)?;
        // A frame that could not be decoded is shown as the one after it, so that sound fits.
        self.write(picture, missing + 1)?;
        self.reel.frames = frame + 1;
        self.progress.iter().for_each(|progress| progress.advance(1));
        Ok(())
    }

    fn lost(&mut self, _frame: u64, _reason: String) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    const SETTINGS: AnnotateSettings =
        AnnotateSettings { every: 1, attention: false, margin: 0.0, mask_value: 0, notice: None };

    #[test]
    fn all_faces_are_masked_in_the_one_context() {
        let picture = RgbImage::from_pixel(342, 256, Rgb([200, 200, 200]));
        let face = |x1| FaceBox { x1, y1: 100, x2: x1 + 40, y2: 140, score: 1.0 };
        let pixels = pixels(&picture, &[face(20), face(200)], true, 96, &SETTINGS);
        assert_eq!(pixels.faces.len(), 2);
        let at = |x: usize, y: usize| pixels.context[y * 171 + x];
        assert_eq!((at(20, 60), at(110, 60), at(70, 60)), (0, 0, 200));
        assert!(
            super::pixels(&picture, &[face(20)], false, 96, &SETTINGS).context[60 * 171 + 20]
                == 200
        );
    }

    #[test]
    fn attention_is_averaged_over_faces() {
        let answer = |hot: usize| FaceAnswer {
            predicted: 0,
            logits: [0.0; 7],
            w_face: None,
            attention: Some((1, 4, (0..4).map(|i| f32::from(u8::from(i == hot))).collect())),
        };
        let mean = mean_attention(&[answer(0), answer(3)]).expect("maps");
        assert_eq!(mean, (1, 4, vec![0.5, 0.0, 0.0, 0.5]));
        assert_eq!(mean_attention(&[]), None);
    }
}
