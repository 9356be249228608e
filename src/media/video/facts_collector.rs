//! What is noted of every decoded frame.
use ffmpeg_next::{frame, picture, Error, Rational};

use super::{
    convert::{Color, Converter},
    signature::Signature,
    Facts,
};

/// The facts so far.
pub(super) struct FactsCollector {
    rotation: i32,
    first: Option<First>,
    /// The last size and where it began.
    size: (u32, u32),
    changes: Vec<String>,
    interlaced: bool,
    b_frames: bool,
    errors: u64,
    first_error: Option<String>,
    concealed: u64,
    signature: Option<Signature>,
}

/// What the first frame looks like.
struct First {
    pixel_format: String,
    width: u32,
    height: u32,
    color: Color,
    /// As the codec's own header states it.
    sample_aspect_ratio: Option<String>,
}

/// Changes of size that are named; a clip with more is odd enough.
const NAMED_CHANGES: usize = 3;

impl FactsCollector {
    /// `fps` is the rate of the signature's grid; `None` for no signature.
    pub(super) fn new(rotation: i32, fps: Option<f64>) -> Self {
        FactsCollector {
            rotation,
            first: None,
            size: (0, 0),
            changes: Vec::new(),
            interlaced: false,
            b_frames: false,
            errors: 0,
            first_error: None,
            concealed: 0,
            signature: fps.map(Signature::new),
        }
    }

    /// The next frame whose pixels are looked at.
    pub(super) fn next_wanted(&self) -> Option<u64> {
        if self.first.is_none() {
            return Some(0);
        }
        self.signature.as_ref().map(Signature::next)
    }

    /// The frames of the signature in a clip of `frames` frames.
    pub(super) fn grid(&self, frames: u64) -> Vec<u64> {
        self.signature.as_ref().map(|signature| signature.grid(frames)).unwrap_or_default()
    }

    /// Notes that the stream reorders frames, which may all be left out.
    pub(super) fn has_b_frames(&mut self) {
        self.b_frames = true;
    }

    pub(super) fn damaged(&mut self, frame: u64, error: &Error) {
        self.errors += 1;
        self.first_error.get_or_insert_with(|| format!("{error} before frame {frame}"));
    }

    pub(super) fn first_damage(&self) -> String {
        self.first_error.as_ref().map(|e| format!(" ({e})")).unwrap_or_default()
    }

    pub(super) fn see(&mut self, index: u64, picture: &frame::Video, converter: &mut Converter) {
        let size = (picture.width(), picture.height());
        if self.first.is_none() {
            self.first = Some(First {
                pixel_format: pixel_format_name(picture),
                width: size.0,
                height: size.1,
                color: Color::of(picture),
                sample_aspect_ratio: aspect_words(picture.aspect_ratio()),
            });
        } else if size != self.size && self.changes.len() < NAMED_CHANGES {
            self.changes.push(format!("size becomes {}x{} at frame {index}", size.0, size.1));
        }
        self.size = size;
        self.interlaced |= picture.is_interlaced();
        self.b_frames |= picture.kind() == picture::Type::B;
        self.concealed += u64::from(is_damaged(picture));
        if let Some(signature) = self.signature.as_mut().filter(|s| s.wants(index)) {
            signature.push(converter.hash(picture));
        }
    }

    /// Everything but what the header tells.
    pub(super) fn facts(self, reading: &[String], shortfall: Option<u64>) -> Facts {
        let mut damage = reading.to_vec();
        if let Some(bytes) = shortfall {
            damage.push(format!("{bytes} bytes are missing at the end"));
        }
        if let Some(first) = self.first_error {
            damage.push(format!("{} packets do not decode (first: {first})", self.errors));
        }
        if self.concealed > 0 {
            damage.push(format!("{} frames are damaged", self.concealed));
        }
        let first = self.first.expect("there is a frame");
        let sideways = self.rotation % 180 != 0;
        let (width, height) =
            if sideways { (first.height, first.width) } else { (first.width, first.height) };
        Facts {
            codec: String::new(),
            pixel_format: first.pixel_format,
            width,
            height,
            sample_aspect_ratio: first.sample_aspect_ratio,
            rotation: self.rotation,
            color_matrix: first.color.matrix.name(),
            color_range: if first.color.full_range { "full" } else { "limited" },
            interlaced: self.interlaced,
            fps: 0.0,
            fps_assumed: false,
            frames: 0,
            frames_header: None,
            has_b_frames: self.b_frames,
            damage,
            remarks: self.changes,
            signature: self.signature.map(Signature::hashes),
        }
    }
}

/// Whether the decoder filled up parts of the frame.
pub(super) fn is_damaged(picture: &frame::Video) -> bool {
    picture.is_corrupt() || picture.has_decode_errors()
}

/// `n:d`, or nothing where none is stated.
pub(super) fn aspect_words(ratio: Rational) -> Option<String> {
    (ratio.numerator() > 0 && ratio.denominator() > 0)
        .then(|| format!("{}:{}", ratio.numerator(), ratio.denominator()))
}

fn pixel_format_name(picture: &frame::Video) -> String {
    picture.format().descriptor().map_or_else(|| "unknown".into(), |d| d.name().to_owned())
}
