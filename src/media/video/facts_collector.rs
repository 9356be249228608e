//! What is noted of every decoded frame.
use std::{collections::BTreeMap, ffi::CStr};

use ffmpeg_next::{codec, ffi, frame, picture, Error, Rational};

use super::{
    complaints,
    convert::{Color, Converter},
    damage::DamageLog,
    signature::Signature,
    Facts,
};
use crate::{
    media::orientation::{self, Orientation},
    record::Damage,
    similarity::clip_views,
};

/// The facts so far.
pub(super) struct FactsCollector {
    orientation: Orientation,
    first: Option<First>,
    /// The last size and where it began.
    size: (u32, u32),
    changes: Vec<String>,
    interlaced: bool,
    b_frames: bool,
    errors: u64,
    first_error: Option<String>,
    log: DamageLog,
    codec: codec::Id,
    damaged: BTreeMap<u64, Damage>,
    signature: Option<Signature>,
    /// Views of a frame every second, packed.
    views: Vec<u64>,
}

/// What the first frame looks like.
struct First {
    pixel_format: String,
    width: u32,
    height: u32,
    color: Color,
    /// As the codec's own header states it.
    sample_aspect_ratio: Option<String>,
    transfer: Option<String>,
}

/// Transfer characteristics that an ordinary screen does not show as they are meant.
const HIGH_DYNAMIC_RANGE: [&str; 2] = ["smpte2084", "arib-std-b67"];

/// Changes of size that are named; a clip with more is odd enough.
const NAMED_CHANGES: usize = 3;

impl FactsCollector {
    /// `fps` is the rate of the signature's grid; `None` for no signature.
    pub(super) fn new(codec: codec::Id, orientation: Orientation, fps: Option<f64>) -> Self {
        FactsCollector {
            orientation,
            first: None,
            size: (0, 0),
            changes: Vec::new(),
            interlaced: false,
            b_frames: false,
            errors: 0,
            first_error: None,
            log: DamageLog::default(),
            codec,
            damaged: BTreeMap::new(),
            signature: fps.map(Signature::new),
            views: Vec::new(),
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
        let words = || format!("{} before frame {frame}", complaints::words(*error));
        self.first_error.get_or_insert_with(words);
    }

    /// Notes that the decoder complained about a packet, by its arrival.
    pub(super) fn complained(&mut self, arrival: i64, is_disposable: bool) {
        self.log.complained(arrival, is_disposable);
    }

    /// Notes that all frames came out.
    pub(super) fn ended(&mut self) {
        self.damaged = self.log.damaged(self.codec);
    }

    /// What is damaged, by frame.
    pub(super) fn damaged_frames(&self) -> &BTreeMap<u64, Damage> {
        &self.damaged
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
                transfer: transfer_name(picture),
            });
        } else if size != self.size && self.changes.len() < NAMED_CHANGES {
            self.changes.push(format!("size becomes {}x{} at frame {index}", size.0, size.1));
        }
        self.size = size;
        self.interlaced |= picture.is_interlaced();
        self.b_frames |= picture.kind() == picture::Type::B;
        self.log.see(picture);
        if let Some(signature) = self.signature.as_mut().filter(|s| s.wants(index)) {
            if signature.on_the_second() {
                let grey = converter.grey(picture);
                self.views.extend(grey.iter().flat_map(clip_views::packed));
            }
            signature.push(index, converter.hash(picture));
        }
    }

    /// Everything but what the header tells.
    pub(super) fn facts(self, reading: &[String], shortfall: Option<String>) -> Facts {
        let mut damage = reading.to_vec();
        damage.extend(shortfall);
        if let Some(first) = self.first_error {
            damage.push(format!("{} packets do not decode (first: {first})", self.errors));
        }
        if !self.damaged.is_empty() {
            damage.push(format!("{} frames are damaged", self.damaged.len()));
        }
        let (signature, views) = match self.signature.map(Signature::hashes) {
            Some((signature, fine)) => {
                let words = self.views.into_iter().chain(clip_views::packed_hashes(&fine));
                (Some(signature), Some(words.collect()))
            }
            None => (None, None),
        };
        let first = self.first.expect("there is a frame");
        let sideways = orientation::is_sideways(self.orientation);
        let mut remarks = self.changes;
        remarks.extend(first.transfer.as_deref().filter(|t| HIGH_DYNAMIC_RANGE.contains(t)).map(
            |transfer| format!("high dynamic range ({transfer}), shown without tone mapping"),
        ));
        let (width, height) =
            if sideways { (first.height, first.width) } else { (first.width, first.height) };
        Facts {
            codec: String::new(),
            pixel_format: first.pixel_format,
            width,
            height,
            sample_aspect_ratio: first.sample_aspect_ratio,
            rotation: 0,
            orientation: self.orientation,
            color_matrix: first.color.matrix.name(),
            color_range: if first.color.full_range { "full" } else { "limited" },
            color_transfer: first.transfer,
            default_stream: false,
            interlaced: self.interlaced,
            fps: 0.0,
            fps_assumed: false,
            frames: 0,
            frames_header: None,
            has_b_frames: self.b_frames,
            damage,
            remarks,
            views,
            signature,
        }
    }
}

/// The transfer characteristics that the frame states.
fn transfer_name(picture: &frame::Video) -> Option<String> {
    // SAFETY: reading a field of a live frame; names are static, null for what has none.
    let name = unsafe {
        let transfer = (*picture.as_ptr()).color_trc;
        if transfer == ffi::AVColorTransferCharacteristic::AVCOL_TRC_UNSPECIFIED {
            return None;
        }
        let name = ffi::av_color_transfer_name(transfer);
        if name.is_null() {
            return None;
        }
        CStr::from_ptr(name)
    };
    Some(name.to_string_lossy().into_owned())
}

/// `n:d`, or nothing where none is stated.
pub(super) fn aspect_words(ratio: Rational) -> Option<String> {
    (ratio.numerator() > 0 && ratio.denominator() > 0)
        .then(|| format!("{}:{}", ratio.numerator(), ratio.denominator()))
}

fn pixel_format_name(picture: &frame::Video) -> String {
    picture.format().descriptor().map_or_else(|| "unknown".into(), |d| d.name().to_owned())
}
