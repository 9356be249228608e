//! Exact decoding: the n-th frame out of the decoder is frame n, whatever headers, indexes and
//! time stamps claim.
//!
//! A clip is demuxed once and decoded in order to its end, on one thread, with bit-exact flags.
//! Which frames are wanted depends on how many there are, and that is known only at the end; so
//! the packets are counted first, the frames are chosen as if every packet held one, and when the
//! decoder disagrees (packed B-frames, damage) the clip is decoded again with the true count.
use std::{collections::BTreeMap, path::Path};

use crate::{
    media::orientation::{self, Orientation},
    record::Damage,
    sampling,
};

mod bits;
mod complaints;
mod container;
mod convert;
mod damage;
mod decoded_frame;
mod decoding;
mod ending;
mod facts_collector;
mod h264;
mod hidden;
mod mpeg4;
mod planes;
mod raw_frame;
mod route;
mod signature;
mod skip_mode;
mod start_codes;
mod timing;

use container::{Container, Packets};
pub use decoded_frame::DecodedFrame;
use decoding::{pass, Effort};
use facts_collector::FactsCollector;
pub use raw_frame::{KeptFrame, RawFrame};

/// Why a clip gives no frames at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Zero bytes.
    #[error("the file is empty")]
    Empty,
    /// No known container, or one that is damaged beyond opening.
    #[error("not a readable video file: {0}")]
    Unreadable(String),
    /// Sound, subtitles or a cover picture only.
    #[error("there is no video stream")]
    NoVideo,
    /// A codec that this FFmpeg cannot decode.
    #[error("no decoder for codec {0}")]
    NoDecoder(String),
    /// The decoder returned nothing.
    #[error("no frame could be decoded{0}")]
    NoFrames(String),
}

impl Rejected {
    /// The reason code of the ledger.
    pub fn code(&self) -> &'static str {
        match self {
            Rejected::Empty => "empty_file",
            Rejected::Unreadable(_) => "unreadable",
            Rejected::NoVideo => "no_video",
            Rejected::NoDecoder(_) => "no_decoder",
            Rejected::NoFrames(_) => "no_frames",
        }
    }
}

/// How a decode ended early.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The clip is at fault.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// Keeping a frame failed: the disk or the caller is at fault, not the clip.
    #[error(transparent)]
    Keep(anyhow::Error),
}

/// What to do with a clip's frames.
pub trait FrameSink {
    /// The wanted frames, ascending, of a clip of `frames` frames at `fps`. May be asked twice.
    fn targets(&mut self, frames: u64, fps: f64) -> Vec<u64>;

    /// Takes a wanted frame, upright. A frame may come twice, with the same pixels.
    ///
    /// # Errors
    /// Whatever keeps the frame from being kept; decoding stops.
    fn keep(&mut self, frame: u64, shot: DecodedFrame<'_>) -> anyhow::Result<()>;

    /// Whether [`Self::see`] is to be given every frame, wanted or not.
    fn sees_all(&self) -> bool {
        false
    }

    /// Whether the clip's signature and views are to be made of its frames.
    fn wants_signature(&self) -> bool {
        true
    }

    /// Takes every frame in order, before [`Self::keep`]. When frames come again from 0, all that came
    /// before was in vain.
    ///
    /// # Errors
    /// Whatever ends the work; decoding stops.
    fn see(&mut self, _frame: u64, _picture: RawFrame<'_>) -> anyhow::Result<()> {
        Ok(())
    }

    /// Is told of a wanted frame that was decoded but cannot be turned into a picture.
    fn lost(&mut self, frame: u64, reason: String);

    /// Is told which frames are damaged when all are known (those that the decoder says so of, and those
    /// that are predicted from them), and says which others it wants now, ascending; they are given to
    /// [`FrameSink::keep`] like the first.
    fn redraw(&mut self, damaged: &BTreeMap<u64, Damage>) -> Vec<u64> {
        let _ = damaged;
        Vec::new()
    }

    /// Is told now and then, at every packet, that work goes on.
    fn alive(&mut self) {}
}

/// What only decoding can tell of a clip.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Codec name as FFmpeg calls it.
    pub codec: String,
    /// Pixel format of the first frame.
    pub pixel_format: String,
    /// Width of the first frame after rotation, in pixels.
    pub width: u32,
    /// Height of the first frame after rotation, in pixels.
    pub height: u32,
    /// Sample aspect ratio as `n:d` when the stream states one; never applied.
    pub sample_aspect_ratio: Option<String>,
    /// Clockwise degrees that were applied: 0, 90, 180 or 270; the picture was mirrored after that
    /// where `orientation` says so.
    pub rotation: i32,
    /// How pictures were turned to stand upright.
    pub orientation: Orientation,
    /// The YUV matrix that was used.
    pub color_matrix: &'static str,
    /// `limited` or `full`.
    pub color_range: &'static str,
    /// Transfer characteristics that the first frame states, as FFmpeg calls them.
    pub color_transfer: Option<String>,
    /// Whether the decoded stream is one that the file marks as default.
    pub default_stream: bool,
    /// Whether any frame was marked interlaced.
    pub interlaced: bool,
    /// Frames per second to reckon with.
    pub fps: f64,
    /// Whether `fps` is assumed because the stream's own is implausible or absent.
    pub fps_assumed: bool,
    /// Frames out of the decoder; under `fast` packets when the end was not decoded.
    pub frames: u64,
    /// What the header claims, when it claims anything.
    pub frames_header: Option<u64>,
    /// Whether any frame is predicted from both sides.
    pub has_b_frames: bool,
    /// What was damaged; empty for a sound clip.
    pub damage: Vec<String>,
    /// What is odd but not damaged, such as a change of size.
    pub remarks: Vec<String>,
    /// Perceptual hashes, one every 0.5 s; `None` under `fast`.
    pub signature: Option<Vec<u64>>,
    /// Views of a frame every second and hashes every 0.125 s, packed as `similarity::clip_views` says; `None` without
    /// a signature.
    pub views: Option<Vec<u64>>,
}

/// Decodes `path`, giving every wanted frame to `plan`.
///
/// There is no signature where `plan` wants none, nor with `fast`; and then, where the headers of a clip of MPEG-4 or H.264 prove that
/// every packet is one frame and tell which packets the wanted frames need, no others are decoded: packets are
/// counted instead of frames, and damage is noticed only in what is decoded. Every other clip is
/// decoded to its end, since nothing else is certain to give the same frames.
///
/// # Errors
/// [`Failure::Rejected`] when the clip gives nothing, [`Failure::Keep`] when `plan` fails.
pub fn decode(path: &Path, fast: bool, plan: &mut dyn FrameSink) -> Result<Facts, Failure> {
    // What FFmpeg would print is damage that the facts name.
    complaints::listen();
    container::check_file(path)?;
    let container = Container::open(path)?;
    let header = container.header();
    let all = plan.sees_all();
    let mut packets = Packets::read(container, plan);
    packets.damage.extend(complaints::heard().iter().map(|words| (*words).to_owned()));
    let rate = Rate::of(header.fps, packets.rate());
    let codec = packets.parameters().id();
    let (frames, gather) = [true, false]
        .into_iter()
        .filter(|thrifty| !(all && *thrifty))
        .find_map(|thrifty| {
            let grid = (!fast && plan.wants_signature()).then_some(rate.fps);
            let gather = FactsCollector::new(codec, header.orientation, grid);
            run(&mut packets, gather, rate.fps, Effort { fast, thrifty }, plan).transpose()
        })
        .expect("without thrift nothing is misjudged")?;
    let seen = gather.facts(&packets.damage, ending::shortfall(path));
    let mut remarks = seen.remarks;
    remarks.extend(rate.remark());
    remarks.extend(header.remarks());
    remarks.extend(without_picture(&packets, frames, seen.interlaced));
    Ok(Facts {
        codec: header.codec,
        // Without FFmpeg's probing only the frames tell what an AVI's MPEG-4 states.
        sample_aspect_ratio: header.sample_aspect_ratio.or(seen.sample_aspect_ratio),
        rotation: orientation::degrees(header.orientation),
        default_stream: header.is_default,
        fps: rate.fps,
        fps_assumed: rate.is_assumed,
        frames,
        frames_header: header.frames,
        remarks,
        ..seen
    })
}

/// The rate to reckon with and where it comes from.
struct Rate {
    fps: f64,
    is_assumed: bool,
    /// Whether nothing plausible was stated, and the time stamps told.
    is_measured: bool,
}

impl Rate {
    fn of(stated: Option<f64>, measured: Option<f64>) -> Self {
        let (fps, is_assumed) = sampling::usable_fps(stated);
        match sampling::usable_fps(measured) {
            (measured, false) if is_assumed => {
                Rate { fps: measured, is_assumed: false, is_measured: true }
            }
            _ => Rate { fps, is_assumed, is_measured: false },
        }
    }

    fn remark(&self) -> Option<String> {
        let words = || format!("frame rate {:.3} read from time stamps", self.fps);
        self.is_measured.then(words)
    }
}

/// Says how many packets gave no picture, where that is not explained.
fn without_picture(packets: &Packets, frames: u64, interlaced: bool) -> Option<String> {
    let explained = frames + packets.discarded + packets.hidden;
    let missing = packets.frames.checked_sub(explained).filter(|&missing| missing > 0)?;
    // Two fields make a picture and may come in packets of their own.
    let are_fields = interlaced && 2 * frames >= packets.frames;
    let words = || format!("{missing} of {} packets gave no picture", packets.frames);
    (!are_fields).then(words)
}

/// The clip's frames and what was seen of them; `None` when thrift took a wrong turn and the clip
/// has to be decoded without.
fn run(
    packets: &mut Packets,
    mut gather: FactsCollector,
    fps: f64,
    effort: Effort,
    plan: &mut dyn FrameSink,
) -> Result<Option<(u64, FactsCollector)>, Failure> {
    let counted = packets.frames;
    let targets = plan.targets(counted, fps);
    let decoded = pass(packets, &targets, effort, plan, Some(&mut gather))?;
    if decoded.misjudged {
        return Ok(None);
    }
    let frames = if decoded.at_end { decoded.frames } else { counted };
    if frames == 0 {
        return Err(Rejected::NoFrames(gather.first_damage()).into());
    }
    let thorough = Effort { fast: true, thrifty: false };
    if frames != counted {
        let true_targets = plan.targets(frames, fps);
        if true_targets != targets {
            pass(packets, &true_targets, thorough, plan, None)?;
        }
    }
    gather.ended();
    let others = plan.redraw(gather.damaged_frames());
    if !others.is_empty() {
        pass(packets, &others, thorough, plan, None)?;
    }
    Ok(Some((frames, gather)))
}

impl Facts {
    /// The facts of a part of the file: its own hashes; frames are counted as in the file.
    pub fn keep_part(&mut self, part: &std::ops::Range<u64>) {
        if let Some(hashes) = &mut self.signature {
            *hashes = signature::of_part(hashes, self.fps, part);
        }
    }
}

/// The version of the decoding library, `major << 16 | minor << 8 | micro`.
pub fn decoder_version() -> u32 {
    ffmpeg_next::codec::version()
}
