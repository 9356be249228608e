//! What comes of a clip: a line of the journal.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    media::video::Facts,
    record::{Clip, ClipStatus, Damage, FaceBox, HexDigest, Name, Segment},
    words::{Store, Words},
};

/// What came of a clip; a line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClipResult {
    /// The clip.
    pub clip_id: String,
    /// SHA-256 of its file, when it could be read.
    pub sha256: Option<HexDigest>,
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
    pub codec: Name,
    /// Pixel format as FFmpeg calls it.
    pub pixel_format: Name,
    /// Width in pixels, after rotation.
    pub width: u32,
    /// Height in pixels, after rotation.
    pub height: u32,
    /// Sample aspect ratio as `n:d`.
    pub sample_aspect_ratio: Option<Name>,
    /// Clockwise degrees that were applied.
    pub rotation: i32,
    /// YUV matrix used for RGB.
    pub color_matrix: Name,
    /// `limited` or `full`.
    pub color_range: Name,
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
    pub color_transfer: Option<Name>,
    /// Whether the stream is one that the file marks as default.
    pub default_stream: bool,
    /// The frames that are the clip, where it is a part of the file.
    pub part: Option<(u64, u64)>,
    /// Views of a frame every second, packed.
    #[serde(default, with = "words")]
    pub views: Option<Words>,
}

/// Words as text: a third of what they take as numbers.
mod words {
    use base64::prelude::{Engine as _, BASE64_STANDARD};
    use serde::{
        de::Error as _, ser::Error as _, Deserialize, Deserializer, Serialize, Serializer,
    };

    use crate::words::Words;

    pub(super) fn serialize<S: Serializer>(
        words: &Option<Words>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let words = words.as_ref().map(|w| w.get().map_err(S::Error::custom)).transpose()?;
        let bytes = words.map(|w| w.iter().flat_map(|w| w.to_be_bytes()).collect());
        bytes.map(|bytes: Vec<u8>| BASE64_STANDARD.encode(bytes)).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Words>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
        let bytes = BASE64_STANDARD.decode(text).map_err(D::Error::custom)?;
        let word = |b: &[u8]| b.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        Ok(Some(bytes.chunks_exact(8).map(word).collect::<Vec<u64>>().into()))
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

impl DecodedFacts {
    /// Takes the facts over into a clip's row.
    pub(super) fn fill(self, row: &mut Clip) {
        let fps = f64::from_bits(self.fps_bits);
        row.codec = Some(self.codec);
        row.pixel_format = Some(self.pixel_format);
        (row.width, row.height) = (Some(self.width), Some(self.height));
        row.sample_aspect_ratio = self.sample_aspect_ratio;
        row.rotation = Some(self.rotation);
        row.color_matrix = Some(self.color_matrix);
        row.color_range = Some(self.color_range);
        row.interlaced = Some(self.interlaced);
        row.fps = Some(fps);
        row.frames_decoded = Some(self.frames);
        row.frames_header = self.frames_header;
        let own = self.part.map_or(self.frames, |(first, end)| end - first);
        row.duration_ms = Some(1000.0 * own as f64 / fps);
        row.has_b_frames = Some(self.has_b_frames);
        row.signature = self.signature;
        row.orientation = Some(self.orientation);
        row.color_transfer = self.color_transfer;
        row.default_stream = Some(self.default_stream);
        if let Some((first, end)) = self.part {
            (row.first_frame, row.end_frame) = (Some(first), Some(end));
        }
        row.views = self.views;
    }
}

impl From<Facts> for DecodedFacts {
    fn from(facts: Facts) -> Self {
        DecodedFacts {
            codec: facts.codec.into(),
            pixel_format: facts.pixel_format.into(),
            width: facts.width,
            height: facts.height,
            sample_aspect_ratio: facts.sample_aspect_ratio.map(Name::from),
            rotation: facts.rotation,
            color_matrix: facts.color_matrix.into(),
            color_range: facts.color_range.into(),
            interlaced: facts.interlaced,
            fps_bits: facts.fps.to_bits(),
            frames: facts.frames,
            frames_header: facts.frames_header,
            has_b_frames: facts.has_b_frames,
            signature: facts.signature,
            orientation: facts.orientation.to_exif(),
            color_transfer: facts.color_transfer.map(Name::from),
            default_stream: facts.default_stream,
            part: None,
            views: facts.views.map(Words::from),
        }
    }
}

/// A still that stands for a clip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Still {
    /// `png` or `jpeg`.
    pub codec: Name,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// One perceptual hash.
    pub signature: Vec<u64>,
    /// The view of the picture, packed.
    #[serde(default, with = "words")]
    pub views: Option<Words>,
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
    pub image_sha256: Option<HexDigest>,
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
    pub image_sha256: HexDigest,
    /// SHA-256 of the decoded pixels.
    #[serde(default)]
    pub pixel_sha256: HexDigest,
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
    /// Puts aside what only grouping and the finished tables need.
    pub fn put_aside(&mut self, store: &mut Store) {
        let moments = self.facts.as_mut().and_then(|facts| facts.views.as_mut());
        let still = self.still.as_mut().and_then(|still| still.views.as_mut());
        moments.into_iter().chain(still).for_each(|words| store.keep(words));
        // Lists that were read grew by doubling.
        self.samples.shrink_to_fit();
        let moments = self.facts.as_mut().and_then(|facts| facts.signature.as_mut());
        moments.into_iter().for_each(Vec::shrink_to_fit);
    }

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
