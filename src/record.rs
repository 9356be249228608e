//! The words of the field as types: emotions, splits, clips, segments, samples, predictions.
//!
//! No behaviour beyond naming and validation; everything else in the crate is written in these
//! words. Frames are counted from 0 in decoder output order, ranges are half-open, boxes are
//! half-open pixels of the decoded frame.
use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

pub use crate::text::{HexDigest, Name};
use crate::words::Words;

/// Number of emotion classes, `C` in every shape of this crate.
pub const NUM_CLASSES: usize = 7;

/// The seven classes of CAER in the order of the paper's released code; the discriminant is the
/// label (0..=6) of every table and tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Emotion {
    /// Label 0; also found as "Angry".
    Anger = 0,
    /// Label 1.
    Disgust = 1,
    /// Label 2.
    Fear = 2,
    /// Label 3; also found as "Happiness".
    Happy = 3,
    /// Label 4.
    Neutral = 4,
    /// Label 5; also found as "Sadness".
    Sad = 5,
    /// Label 6.
    Surprise = 6,
}

impl Emotion {
    /// All classes in label order.
    pub const ALL: [Emotion; NUM_CLASSES] = [
        Emotion::Anger,
        Emotion::Disgust,
        Emotion::Fear,
        Emotion::Happy,
        Emotion::Neutral,
        Emotion::Sad,
        Emotion::Surprise,
    ];

    /// The label, 0..=6.
    pub fn label(self) -> u8 {
        self as u8
    }

    /// The class of a label; `None` outside 0..=6.
    pub fn from_label(label: u8) -> Option<Self> {
        Self::ALL.get(usize::from(label)).copied()
    }

    /// The canonical English name, as in CAER's folder names.
    pub fn name(self) -> &'static str {
        match self {
            Emotion::Anger => "Anger",
            Emotion::Disgust => "Disgust",
            Emotion::Fear => "Fear",
            Emotion::Happy => "Happy",
            Emotion::Neutral => "Neutral",
            Emotion::Sad => "Sad",
            Emotion::Surprise => "Surprise",
        }
    }
}

impl fmt::Display for Emotion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A folder or list name that is not one of the known class names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {kind} `{name}` (known: {known})")]
pub struct UnknownName {
    /// What was being named: "emotion" or "split".
    pub kind: &'static str,
    /// The name as found.
    pub name: String,
    /// The names that would have been accepted.
    pub known: &'static str,
}

/// One table for the names of an enum's values: `name`, `Display` and `FromStr`, which refuses any
/// other name by those that are known.
macro_rules! named {
    ($type:ident, $kind:literal, $first:ident = $first_name:literal $(, $value:ident = $name:literal)* $(,)?) => {
        impl $type {
            /// Its name in tables, files and on the command line.
            pub fn name(self) -> &'static str {
                match self {
                    $type::$first => $first_name,
                    $($type::$value => $name,)*
                }
            }
        }

        impl ::std::fmt::Display for $type {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.name())
            }
        }

        impl ::std::str::FromStr for $type {
            type Err = $crate::record::UnknownName;

            fn from_str(name: &str) -> ::std::result::Result<Self, Self::Err> {
                match name {
                    $first_name => Ok($type::$first),
                    $($name => Ok($type::$value),)*
                    _ => Err($crate::record::UnknownName {
                        kind: $kind,
                        name: name.to_owned(),
                        known: concat!($first_name $(, ", ", $name)*),
                    }),
                }
            }
        }
    };
}
pub(crate) use named;

impl FromStr for Emotion {
    type Err = UnknownName;

    /// Accepts every spelling found in copies of CAER, in any case.
    fn from_str(name: &str) -> Result<Self, UnknownName> {
        match name.to_ascii_lowercase().as_str() {
            "anger" | "angry" => Ok(Emotion::Anger),
            "disgust" => Ok(Emotion::Disgust),
            "fear" => Ok(Emotion::Fear),
            "happy" | "happiness" => Ok(Emotion::Happy),
            "neutral" => Ok(Emotion::Neutral),
            "sad" | "sadness" => Ok(Emotion::Sad),
            "surprise" => Ok(Emotion::Surprise),
            _ => Err(UnknownName {
                kind: "emotion",
                name: name.to_owned(),
                known: "Anger, Disgust, Fear, Happy, Neutral, Sad, Surprise",
            }),
        }
    }
}

/// Which part of a data set a clip or sample belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Weights are fitted here.
    Train,
    /// Checkpoints are selected here.
    Val,
    /// Locked until the end.
    Test,
}

impl Split {
    /// All splits, train first.
    pub const ALL: [Split; 3] = [Split::Train, Split::Val, Split::Test];

    /// `train`, `val` or `test`.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Val => "val",
            Split::Test => "test",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Split {
    type Err = UnknownName;

    /// Accepts `validation`, `valid`, `val` and `dev` alike, in any case.
    fn from_str(name: &str) -> Result<Self, UnknownName> {
        match name.to_ascii_lowercase().as_str() {
            "train" | "training" => Ok(Split::Train),
            "val" | "valid" | "validation" | "dev" | "development" => Ok(Split::Val),
            "test" | "testing" => Ok(Split::Test),
            _ => Err(UnknownName {
                kind: "split",
                name: name.to_owned(),
                known: "train, validation or val or dev, test",
            }),
        }
    }
}

/// A part of a clip: frames `start_frame..end_frame` of the decoder's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Segment {
    /// Position in the clip, from 0.
    pub index: u32,
    /// First frame, from 0.
    pub start_frame: u64,
    /// One past the last frame; always greater than `start_frame`.
    pub end_frame: u64,
}

/// A face in pixels of the decoded frame, half-open: columns `x1..x2`, rows `y1..y2`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaceBox {
    /// Left column, inclusive.
    pub x1: i32,
    /// Top row, inclusive.
    pub y1: i32,
    /// Right column, exclusive.
    pub x2: i32,
    /// Bottom row, exclusive.
    pub y2: i32,
    /// The detector's confidence; higher is surer, the scale is the detector's own.
    pub score: f32,
}

impl FaceBox {
    /// The part inside a `width` x `height` picture; `None` when nothing is left.
    pub fn clipped(self, width: u32, height: u32) -> Option<FaceBox> {
        let (w, h) = (width.min(i32::MAX as u32) as i32, height.min(i32::MAX as u32) as i32);
        let b = FaceBox {
            x1: self.x1.clamp(0, w),
            y1: self.y1.clamp(0, h),
            x2: self.x2.clamp(0, w),
            y2: self.y2.clamp(0, h),
            ..self
        };
        (b.x1 < b.x2 && b.y1 < b.y2).then_some(b)
    }

    /// Area in pixels, 0 for an empty or inverted box.
    pub fn area(self) -> i64 {
        let edge = |from: i32, to: i32| (i64::from(to) - i64::from(from)).max(0);
        // A box that nobody clipped may be as large as the numbers of a list.
        edge(self.x1, self.x2).saturating_mul(edge(self.y1, self.y2))
    }

    /// Intersection over union with another box, 0..=1.
    pub fn iou(self, other: FaceBox) -> f64 {
        let inter = FaceBox {
            x1: self.x1.max(other.x1),
            y1: self.y1.max(other.y1),
            x2: self.x2.min(other.x2),
            y2: self.y2.min(other.y2),
            score: 0.0,
        };
        let inter = inter.area() as f64;
        let union = self.area() as f64 + other.area() as f64 - inter;
        if union > 0.0 {
            inter / union
        } else {
            0.0
        }
    }
}

/// How decoding of a clip ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClipStatus {
    /// Every packet decoded.
    Ok,
    /// Some frames decoded; the reason says what was damaged.
    Partial,
    /// Nothing usable; the reason says why.
    Rejected,
}

named!(ClipStatus, "clip status", Ok = "ok", Partial = "partial", Rejected = "rejected");

/// What the decoder says of a frame, or of one that it is predicted from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Damage {
    /// Nothing: the frame is as it was encoded.
    #[default]
    None,
    /// Parts are filled up from elsewhere.
    Concealed,
    /// Parts are wrong: the data are broken, or what the frame is predicted from is missing.
    Corrupt,
}

named!(Damage, "damage", None = "none", Concealed = "concealed", Corrupt = "corrupt");

/// One video (or one still that stands for a clip): a row of `clips.parquet`.
///
/// Facts that only decoding can tell are `None` for stills and for clips that did not open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Clip {
    /// `split/Class/stem`, with the canonical split and class names.
    pub clip_id: String,
    /// Path relative to the corpus folder, `/` between parts, foreign bytes as `\xHH`.
    pub path: String,
    /// SHA-256 of the file, lower-case hex; `None` when it could not be read.
    pub sha256: Option<HexDigest>,
    /// The split the corpus (or our own splitting) gives.
    pub split: Split,
    /// The class.
    pub emotion: Emotion,
    /// Codec name as FFmpeg calls it.
    pub codec: Option<Name>,
    /// Pixel format as FFmpeg calls it.
    pub pixel_format: Option<Name>,
    /// Width of the saved frames in pixels, after rotation.
    pub width: Option<u32>,
    /// Height of the saved frames in pixels, after rotation.
    pub height: Option<u32>,
    /// Sample aspect ratio as `n:d`; recorded, not applied.
    pub sample_aspect_ratio: Option<Name>,
    /// Clockwise degrees that were applied: 0, 90, 180 or 270; where `orientation` is 2, 4, 5 or 7
    /// the picture was mirrored left to right after that.
    pub rotation: Option<i32>,
    /// YUV matrix used for RGB: `bt601` or `bt709` and so on.
    pub color_matrix: Option<Name>,
    /// `limited` or `full`.
    pub color_range: Option<Name>,
    /// Whether any frame was marked interlaced.
    pub interlaced: Option<bool>,
    /// Average frames per second of the stream (25 and flagged when outside 1..=240).
    pub fps: Option<f64>,
    /// Frames that came out of the decoder.
    pub frames_decoded: Option<u64>,
    /// What the header claims; never used for anything.
    pub frames_header: Option<u64>,
    /// `1000 * frames_decoded / fps`.
    pub duration_ms: Option<f64>,
    /// Whether the stream reorders frames.
    pub has_b_frames: Option<bool>,
    /// How decoding ended.
    pub status: ClipStatus,
    /// Why it is not `ok`, or a remark such as an implausible frame rate.
    pub reason: Option<String>,
    /// Smallest clip_id of the clips that are the same video by content.
    pub group_id: String,
    /// Perceptual hashes on a fixed grid, one every 0.5 s; `None` when not computed.
    pub signature: Option<Vec<u64>>,
    /// How the stored pictures were turned to stand upright, by EXIF's numbers 1 to 8.
    pub orientation: Option<u8>,
    /// Transfer characteristics that the stream states, as FFmpeg calls them, such as `smpte2084`.
    pub color_transfer: Option<Name>,
    /// Whether the stream that was decoded is one that the file marks as default.
    pub default_stream: Option<bool>,
    /// First frame of the part of the file that is the clip; `None` for the whole file.
    pub first_frame: Option<u64>,
    /// One past the last frame of that part.
    pub end_frame: Option<u64>,
    /// What altered and retimed copies are recognised by, packed: views of a frame every second, hashes every
    /// 0.125 s; `None` of stills, when
    /// not computed, and in manifests of schema version 1.
    pub views: Option<Words>,
}

impl Clip {
    /// A clip of which nothing is known but its name, place and class; a group of its own.
    pub fn named(clip_id: String, path: String, split: Split, emotion: Emotion) -> Self {
        Clip {
            group_id: clip_id.clone(),
            clip_id,
            path,
            sha256: None,
            split,
            emotion,
            codec: None,
            pixel_format: None,
            width: None,
            height: None,
            sample_aspect_ratio: None,
            rotation: None,
            color_matrix: None,
            color_range: None,
            interlaced: None,
            fps: None,
            frames_decoded: None,
            frames_header: None,
            duration_ms: None,
            has_b_frames: None,
            status: ClipStatus::Ok,
            reason: None,
            signature: None,
            orientation: None,
            color_transfer: None,
            default_stream: None,
            first_frame: None,
            end_frame: None,
            views: None,
        }
    }
}

/// One row of `samples.parquet`: a frame, its label and its face.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// `clip_id/NNN`, NNN the segment with three digits; for stills the clip_id itself.
    pub sample_id: String,
    /// The split.
    pub split: Split,
    /// The class.
    pub emotion: Emotion,
    /// The clip it comes from.
    pub clip_id: String,
    /// What must not cross splits.
    pub group_id: String,
    /// The part of the clip; `None` for stills.
    pub segment: Option<Segment>,
    /// The n-th frame out of the decoder, from 0; `None` for stills.
    pub frame_index: Option<u64>,
    /// `1000 * frame_index / fps`; `None` for stills.
    pub frame_ms: Option<f64>,
    /// Path of the picture, relative to the manifest folder.
    pub image_path: String,
    /// SHA-256 of the picture file, lower-case hex.
    pub image_sha256: String,
    /// Width of the picture in pixels.
    pub width: u32,
    /// Height of the picture in pixels.
    pub height: u32,
    /// The chosen face, clipped to the picture; `None` when none was found or looked for.
    pub face: Option<FaceBox>,
    /// How many faces the detector found; `None` when it was not asked.
    pub face_count: Option<u32>,
    /// Name and settings of the detector, `none` when there was none.
    pub detector: String,
    /// What the decoder says of the frame.
    pub damage: Damage,
    /// Which draw of the segment it is: 0 for the first, above when damaged frames were drawn before
    /// it; `None` for stills.
    pub draw: Option<u32>,
}

/// Of what kind a thing left out was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LedgerKind {
    /// A file or folder of the corpus that is no clip.
    File,
    /// A whole clip.
    Clip,
    /// A segment of a clip.
    Segment,
    /// A drawn sample.
    Sample,
    /// The split of a clip that stays: it is in another one than its corpus gives it.
    Split,
}

named!(
    LedgerKind,
    "ledger kind",
    Clip = "clip",
    Segment = "segment",
    Sample = "sample",
    File = "file",
    Split = "split"
);

/// One thing that was left out or moved to another split, and why: a row of `ledger.parquet`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// Kind of the thing.
    pub kind: LedgerKind,
    /// Its clip_id or sample_id; of a file its path below the corpus folder.
    pub id: String,
    /// Short reason code, such as `unreadable` or `balance`.
    pub reason: String,
    /// The reason in words.
    pub detail: String,
    /// The clip or sample it collided with, when there is one.
    pub partner_id: Option<String>,
}

/// The ledger's reason for a clip that was taken back.
pub const WITHDRAWN: &str = "withdrawn";

impl LedgerEntry {
    /// What is left of a clip that was taken back: its id.
    pub fn tombstone(clip_id: &str) -> Self {
        LedgerEntry {
            kind: LedgerKind::Clip,
            id: clip_id.to_owned(),
            reason: WITHDRAWN.to_owned(),
            detail: "taken back".to_owned(),
            partner_id: None,
        }
    }
}

/// A model's answer for one sample: a row of `predictions-<split>.parquet`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The sample.
    pub sample_id: String,
    /// Its clip.
    pub clip_id: String,
    /// Its group, the unit of independence of every clustered statistic.
    pub group_id: String,
    /// True label, 0..=6.
    pub target: u8,
    /// Predicted label, 0..=6: the first maximum of `logits`.
    pub predicted: u8,
    /// Unnormalised scores, `[C]`.
    pub logits: [f32; NUM_CLASSES],
    /// Fusion weight of the face branch; `None` where the model has none.
    pub w_face: Option<f32>,
    /// Fusion weight of the context branch; `None` where the model has none.
    pub w_context: Option<f32>,
}

/// A number with its uncertainty.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The point estimate.
    pub value: f64,
    /// Lower end of the interval.
    pub lo: f64,
    /// Upper end of the interval.
    pub hi: f64,
    /// Number of samples behind it.
    pub n: usize,
    /// Number of independent clusters behind it.
    pub clusters: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_of_any_numbers_have_an_area() {
        let (lo, hi) = (i32::MIN, i32::MAX);
        let all = FaceBox { x1: lo, y1: lo, x2: hi, y2: hi, score: 1.0 };
        assert_eq!(all.area(), i64::MAX);
        assert_eq!(all.iou(all), 1.0);
        assert_eq!(FaceBox { x1: hi, y1: hi, x2: lo, y2: lo, score: 1.0 }.area(), 0);
        let small = FaceBox { x1: -3, y1: 2, x2: 4, y2: 5, score: 1.0 };
        assert_eq!(small.area(), 21);
        assert!(all.iou(small) < 1e-17);
    }

    #[test]
    fn labels_follow_the_released_order() {
        let names: Vec<_> = Emotion::ALL.iter().map(|e| e.name()).collect();
        assert_eq!(names, ["Anger", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise"]);
        for (i, e) in Emotion::ALL.into_iter().enumerate() {
            assert_eq!((usize::from(e.label()), Emotion::from_label(i as u8)), (i, Some(e)));
        }
        assert_eq!(Emotion::from_label(7), None);
    }

    #[test]
    fn every_spelling_in_the_field_parses() {
        for (spelling, want) in [
            ("Angry", Emotion::Anger),
            ("ANGER", Emotion::Anger),
            ("happiness", Emotion::Happy),
            ("Sadness", Emotion::Sad),
        ] {
            assert_eq!(spelling.parse(), Ok(want));
        }
        assert!("Joy".parse::<Emotion>().is_err());
        assert_eq!("Validation".parse(), Ok(Split::Val));
    }

    #[test]
    fn boxes_clip_and_overlap() {
        let b = FaceBox { x1: -5, y1: 2, x2: 5, y2: 12, score: 1.0 };
        let clipped = b.clipped(10, 10).expect("half of it is inside");
        assert_eq!((clipped.x1, clipped.y1, clipped.x2, clipped.y2), (0, 2, 5, 10));
        assert_eq!(b.clipped(10, 2), None);
        assert_eq!(b.iou(b), 1.0);
        let right = FaceBox { x1: 5, x2: 15, ..b };
        assert_eq!(b.iou(right), 0.0);
    }
}
