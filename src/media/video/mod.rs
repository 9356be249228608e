//! Exact decoding: the n-th frame out of the decoder is frame n, whatever headers, indexes and
//! time stamps claim.
//!
//! A clip is demuxed once and decoded in order to its end, on one thread, with bit-exact flags.
//! Which frames are wanted depends on how many there are, and that is known only at the end; so
//! the packets are counted first, the frames are chosen as if every packet held one, and when the
//! decoder disagrees (packed B-frames, damage) the clip is decoded again with the true count.
use std::path::Path;

use crate::sampling;

mod container;
mod convert;
mod decoded_frame;
mod decoding;
mod facts_collector;
mod mpeg4;
mod planes;
mod raw_frame;
mod route;
mod signature;
mod skip_mode;

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
    /// Clockwise degrees that were applied: 0, 90, 180 or 270.
    pub rotation: i32,
    /// The YUV matrix that was used.
    pub color_matrix: &'static str,
    /// `limited` or `full`.
    pub color_range: &'static str,
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
}

/// Decodes `path`, giving every wanted frame to `plan`.
///
/// With `fast` decoding stops after the last wanted frame, and where the headers of an MPEG-4 clip
/// tell which packets the wanted frames need, no others are decoded: packets are counted instead of
/// frames, damage is noticed only in what is decoded, and there is no signature.
///
/// # Errors
/// [`Failure::Rejected`] when the clip gives nothing, [`Failure::Keep`] when `plan` fails.
pub fn decode(path: &Path, fast: bool, plan: &mut dyn FrameSink) -> Result<Facts, Failure> {
    // What FFmpeg would print is damage that the facts name.
    ffmpeg_next::log::set_level(ffmpeg_next::log::Level::Quiet);
    container::check_file(path)?;
    let container = Container::open(path)?;
    let header = container.header();
    let (fps, fps_assumed) = sampling::usable_fps(header.fps);
    let mut packets = Packets::read(container);
    let all = plan.sees_all();
    let (frames, gather) = [true, false]
        .into_iter()
        .filter(|thrifty| !(all && *thrifty))
        .find_map(|thrifty| {
            let gather = FactsCollector::new(header.rotation, (!fast).then_some(fps));
            run(&mut packets, gather, fps, Effort { fast, thrifty }, plan).transpose()
        })
        .expect("without thrift nothing is misjudged")?;
    let seen = gather.facts(&packets.damage, container::shortfall(path));
    let facts = Facts {
        codec: header.codec,
        // Without FFmpeg's probing only the frames tell what an AVI's MPEG-4 states.
        sample_aspect_ratio: header.sample_aspect_ratio.or(seen.sample_aspect_ratio.clone()),
        fps,
        fps_assumed,
        frames,
        frames_header: header.frames,
        ..seen
    };
    Ok(facts)
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
    if frames != counted {
        let true_targets = plan.targets(frames, fps);
        if true_targets != targets {
            let thorough = Effort { fast: true, thrifty: false };
            pass(packets, &true_targets, thorough, plan, None)?;
        }
    }
    Ok(Some((frames, gather)))
}

/// The version of the decoding library, `major << 16 | minor << 8 | micro`.
pub fn decoder_version() -> u32 {
    ffmpeg_next::codec::version()
}
