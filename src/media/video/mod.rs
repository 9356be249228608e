//! Exact decoding: the n-th frame out of the decoder is frame n, whatever headers, indexes and
//! time stamps claim.
//!
//! A clip is demuxed once and decoded in order to its end, on one thread, with bit-exact flags.
//! Which frames are wanted depends on how many there are, and that is known only at the end; so
//! the packets are counted first, the frames are chosen as if every packet held one, and when the
//! decoder disagrees (packed B-frames, damage) the clip is decoded again with the true count.
use std::path::Path;

use ffmpeg_next::{
    codec::{self, decoder},
    ffi, frame, Error, Packet,
};
use image::RgbImage;

use crate::sampling;

mod container;
mod convert;
mod gather;
mod signature;
mod thrift;

use container::{Container, Packets};
use convert::Converter;
use gather::Gather;
use thrift::Thrift;

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
pub trait Plan {
    /// The wanted frames, ascending, of a clip of `frames` frames at `fps`. May be asked twice.
    fn targets(&mut self, frames: u64, fps: f64) -> Vec<u64>;

    /// Takes a wanted frame, upright, RGB. A frame may come twice, with the same pixels.
    ///
    /// # Errors
    /// Whatever keeps the frame from being kept; decoding stops.
    fn keep(&mut self, frame: u64, picture: RgbImage) -> anyhow::Result<()>;

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
/// With `fast` decoding stops after the last wanted frame: packets are counted instead of frames,
/// and there is no signature.
///
/// # Errors
/// [`Failure::Rejected`] when the clip gives nothing, [`Failure::Keep`] when `plan` fails.
pub fn decode(path: &Path, fast: bool, plan: &mut dyn Plan) -> Result<Facts, Failure> {
    // What FFmpeg would print is damage that the facts name.
    ffmpeg_next::log::set_level(ffmpeg_next::log::Level::Quiet);
    container::check_file(path)?;
    let container = Container::open(path)?;
    let header = container.header();
    let (fps, fps_assumed) = sampling::usable_fps(header.fps);
    let mut packets = Packets::read(container);
    let (frames, gather) = [true, false]
        .into_iter()
        .find_map(|thrifty| {
            let gather = Gather::new(header.rotation, (!fast).then_some(fps));
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

/// How much of a clip to decode.
#[derive(Clone, Copy)]
struct Effort {
    /// Stop after the last target.
    fast: bool,
    /// Do less for frames that nobody sees; nothing at all where it is fast.
    thrifty: bool,
}

/// The clip's frames and what was seen of them; `None` when thrift took a wrong turn and the clip
/// has to be decoded without.
fn run(
    packets: &mut Packets,
    mut gather: Gather,
    fps: f64,
    effort: Effort,
    plan: &mut dyn Plan,
) -> Result<Option<(u64, Gather)>, Failure> {
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

/// How far a pass came.
struct Reached {
    frames: u64,
    at_end: bool,
    /// Whether thrift touched a wanted frame.
    misjudged: bool,
}

/// Decodes from the first packet, to the end or (`fast`) to the last target.
fn pass(
    packets: &mut Packets,
    targets: &[u64],
    effort: Effort,
    plan: &mut dyn Plan,
    mut gather: Option<&mut Gather>,
) -> Result<Reached, Failure> {
    let decoder = open_decoder(packets.parameters())?;
    let disposable = (effort.fast && effort.thrifty).then(|| packets.disposable()).flatten();
    let mut decoding = Decoding {
        codec: decoder.id(),
        decoder,
        frames: 0,
        targets,
        converter: Converter::new(packets.rotation()),
        plan,
        thrift: disposable.as_deref().map_or_else(Thrift::default, Thrift::with_order),
        thrifty: effort.thrifty,
        leaves_out: disposable.is_some(),
    };
    let mut failed = None;
    packets.each(|packet| {
        let step = decoding.send(packet, gather.as_deref_mut());
        let done = effort.fast && decoding.targets.is_empty() || decoding.thrift.misjudged;
        failed = step.err();
        failed.is_none() && !done
    })?;
    if let Some(error) = failed {
        return Err(Failure::Keep(error));
    }
    let at_end = !(effort.fast && decoding.targets.is_empty());
    if at_end && !decoding.thrift.misjudged {
        decoding.drain(gather).map_err(Failure::Keep)?;
    }
    let misjudged = decoding.thrift.misjudged;
    Ok(Reached { frames: decoding.frames, at_end, misjudged })
}

/// A bit-exact decoder on one thread.
fn open_decoder(parameters: codec::Parameters) -> Result<decoder::Video, Rejected> {
    let name = parameters.id().name();
    let missing = |_| Rejected::NoDecoder(name.to_owned());
    let mut context = codec::Context::from_parameters(parameters).map_err(missing)?;
    // SAFETY: the context is ours and not yet open, when these fields may be set.
    unsafe {
        let raw = context.as_mut_ptr();
        (*raw).flags |= ffi::AV_CODEC_FLAG_BITEXACT as i32;
        (*raw).thread_count = 1;
        // Frames of H.264 come out in order although nothing was probed.
        (*raw).strict_std_compliance = ffi::FF_COMPLIANCE_STRICT;
    }
    context.decoder().video().map_err(missing)
}

/// A decoder at work: counts its frames and passes on the wanted ones.
struct Decoding<'a> {
    codec: codec::Id,
    decoder: decoder::Video,
    /// Frames that came out so far, thus the index of the next.
    frames: u64,
    /// Wanted frames that have not come yet, ascending.
    targets: &'a [u64],
    converter: Converter,
    plan: &'a mut dyn Plan,
    thrift: Thrift,
    thrifty: bool,
    /// Whether unseen frames are left out altogether.
    leaves_out: bool,
}

impl Decoding<'_> {
    fn send(&mut self, packet: &Packet, mut gather: Option<&mut Gather>) -> anyhow::Result<()> {
        let coarse = self.thrifty && self.is_unseen(packet, gather.as_deref());
        if coarse && self.leaves_out {
            self.frames += 1;
            return Ok(());
        }
        if let (true, Some(arrival)) = (coarse, packet.pts()) {
            self.thrift.finish_coarsely(arrival);
        }
        self.set_care(coarse);
        if let Err(error) = self.decoder.send_packet(packet) {
            if let Some(gather) = gather.as_deref_mut() {
                gather.damaged(self.frames, &error);
            }
        }
        self.receive(gather)
    }

    /// Whether nothing depends on the packet's frame and nobody wants it.
    fn is_unseen(&self, packet: &Packet, gather: Option<&Gather>) -> bool {
        // SAFETY: reading a field of our open context.
        let waiting = unsafe { (*self.decoder.as_ptr()).has_b_frames };
        // MPEG-4 gives such a frame at once; H.264 may hold it back behind as many as it reorders.
        let latest = match self.codec {
            codec::Id::MPEG4 => self.frames,
            _ => self.frames + waiting.max(0) as u64 + 1,
        };
        self.next_wanted(gather).is_none_or(|next| next > latest)
            && packet.data().is_some_and(|bytes| thrift::is_disposable(self.codec, bytes))
    }

    /// The next frame that anybody looks at.
    fn next_wanted(&self, gather: Option<&Gather>) -> Option<u64> {
        let wanted = [self.targets.first().copied(), gather.and_then(Gather::next_wanted)];
        wanted.into_iter().flatten().min()
    }

    /// Coarse frames go without residuals or smoothing where nothing depends on them.
    fn set_care(&mut self, coarse: bool) {
        use ffi::AVDiscard::{AVDISCARD_DEFAULT, AVDISCARD_NONREF};
        let skip = if coarse { AVDISCARD_NONREF } else { AVDISCARD_DEFAULT };
        // SAFETY: the context is ours; both fields are the caller's to set before each packet.
        unsafe {
            let raw = self.decoder.as_mut_ptr();
            (*raw).skip_idct = skip;
            (*raw).skip_loop_filter = skip;
        }
    }

    fn drain(&mut self, gather: Option<&mut Gather>) -> anyhow::Result<()> {
        match self.decoder.send_eof() {
            Ok(()) | Err(Error::Eof) => self.receive(gather),
            Err(error) => {
                if let Some(gather) = gather {
                    gather.damaged(self.frames, &error);
                }
                Ok(())
            }
        }
    }

    /// Takes every frame that is ready.
    fn receive(&mut self, mut gather: Option<&mut Gather>) -> anyhow::Result<()> {
        let mut picture = frame::Video::empty();
        loop {
            match self.decoder.receive_frame(&mut picture) {
                Ok(()) => self.take(&picture, gather.as_deref_mut())?,
                Err(Error::Eof) | Err(Error::Other { errno: libc::EAGAIN }) => return Ok(()),
                Err(error) => {
                    if let Some(gather) = gather {
                        gather.damaged(self.frames, &error);
                    }
                    return Ok(());
                }
            }
        }
    }

    fn take(&mut self, picture: &frame::Video, gather: Option<&mut Gather>) -> anyhow::Result<()> {
        let index = self.frames;
        self.frames += 1;
        if self.next_wanted(gather.as_deref()).is_some_and(|next| next <= index) {
            self.thrift.check(index, picture.pts());
        }
        if let Some(gather) = gather {
            gather.see(index, picture, &mut self.converter);
        }
        while let Some((&target, rest)) = self.targets.split_first() {
            if target > index {
                break;
            }
            self.targets = rest;
            if target == index {
                match self.converter.rgb(picture) {
                    Ok(rgb) => self.plan.keep(index, rgb)?,
                    Err(error) => self.plan.lost(index, format!("{error:#}")),
                }
            }
        }
        Ok(())
    }
}

/// The version of the decoding library, `major << 16 | minor << 8 | micro`.
pub fn decoder_version() -> u32 {
    codec::version()
}
