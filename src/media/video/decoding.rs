//! One way through a clip's packets: a decoder at work, its frames counted and the wanted ones
//! passed on, with no more care than somebody sees.
use ffmpeg_next::{
    codec::{self, decoder},
    ffi::{
        self,
        AVDiscard::{self, AVDISCARD_ALL, AVDISCARD_DEFAULT, AVDISCARD_NONREF},
    },
    frame, Error, Packet,
};

use super::{
    complaints,
    container::Packets,
    convert::Converter,
    damage,
    facts_collector::FactsCollector,
    route::Route,
    skip_mode::{self, SkipMode},
    DecodedFrame, Failure, FrameSink, RawFrame, Rejected,
};
use crate::record::Damage;

/// How much of a clip to decode.
#[derive(Clone, Copy)]
pub(super) struct Effort {
    /// Do not decode more than the targets need, where that is certain.
    pub fast: bool,
    /// Do less for frames that nobody sees; nothing at all where it is fast.
    pub thrifty: bool,
}

/// How far a pass came.
pub(super) struct Reached {
    pub frames: u64,
    pub at_end: bool,
    /// Whether thrift went wrong, and nothing of this pass holds.
    pub misjudged: bool,
}

/// Decodes from the first packet to the end. It ends earlier, with the last target, where nobody
/// gathers facts, and under `fast` where the headers prove that every packet is a frame.
pub(super) fn pass(
    packets: &mut Packets,
    targets: &[u64],
    effort: Effort,
    plan: &mut dyn FrameSink,
    mut gather: Option<&mut FactsCollector>,
) -> Result<Reached, Failure> {
    let grid = gather.as_deref().map(|gather| gather.grid(packets.frames)).unwrap_or_default();
    // Where nobody wants a frame, one tells what all look like.
    let any = targets.is_empty().then_some(0);
    let wanted = targets.iter().chain(&grid).copied().chain(any);
    let route = if effort.thrifty { packets.route(wanted, effort.fast) } else { None };
    let leaves_out = effort.fast && route.is_some();
    let ends_early = effort.fast && (leaves_out || gather.is_none());
    if let (Some(gather), Some(true)) = (gather.as_deref_mut(), route.as_ref().map(|r| r.b_frames))
    {
        gather.has_b_frames();
    }
    let decoder = open_decoder(packets.parameters())?;
    let foreseen = route.as_ref().map(|route| SkipMode::foreseeing(route.frames(leaves_out)));
    let mut decoding = Decoding {
        codec: decoder.id(),
        decoder,
        frames: 0,
        counted: packets.frames,
        targets,
        converter: Converter::new(packets.orientation()),
        plan,
        thrift: foreseen.unwrap_or_default(),
        thrifty: effort.thrifty,
        route,
        leaves_out,
    };
    let mut failed = None;
    packets.each(|packet| {
        let step = decoding.send(packet, gather.as_deref_mut());
        let done = ends_early && decoding.has_all() || decoding.thrift.misjudged;
        failed = step.err();
        failed.is_none() && !done
    })?;
    if let Some(error) = failed {
        return Err(Failure::Keep(error));
    }
    let at_end = !(ends_early && decoding.has_all());
    if at_end && !decoding.thrift.misjudged {
        decoding.drain(gather).map_err(Failure::Keep)?;
    }
    let misjudged = decoding.thrift.misjudged || leaves_out && !decoding.has_all();
    Ok(Reached { frames: decoding.frames, at_end: at_end && !leaves_out, misjudged })
}

/// A bit-exact decoder on one thread.
fn open_decoder(parameters: codec::Parameters) -> Result<decoder::Video, Rejected> {
    let id = parameters.id();
    let name = id.name();
    let missing = |_| Rejected::NoDecoder(name.to_owned());
    let mut context = codec::Context::from_parameters(parameters).map_err(missing)?;
    // SAFETY: the context is ours and not yet open, when these fields may be set.
    unsafe {
        let raw = context.as_mut_ptr();
        (*raw).flags |= ffi::AV_CODEC_FLAG_BITEXACT as i32;
        (*raw).thread_count = 1;
        // Frames of H.264 come out in order although nothing was probed.
        (*raw).strict_std_compliance = ffi::FF_COMPLIANCE_STRICT;
        if damage::reads_on_behind_errors(id) {
            (*raw).err_recognition = ffi::AV_EF_BITSTREAM | ffi::AV_EF_BUFFER;
        }
    }
    context.decoder().video().map_err(missing)
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Care {
    Whole,
    /// Coarse where no other picture depends on it.
    Alone,
    /// Coarse in any case: no wanted frame depends on it.
    Unseen,
    LeftOut,
}

struct Decoding<'a> {
    codec: codec::Id,
    decoder: decoder::Video,
    /// Frames that came out so far.
    frames: u64,
    /// Frames to expect.
    counted: u64,
    /// Wanted frames that have not come yet, ascending.
    targets: &'a [u64],
    converter: Converter,
    plan: &'a mut dyn FrameSink,
    thrift: SkipMode,
    thrifty: bool,
    route: Option<Route>,
    /// Whether what the route does not need is left out altogether.
    leaves_out: bool,
}

impl Decoding<'_> {
    /// Whether every wanted frame came, and one in any case.
    fn has_all(&self) -> bool {
        self.targets.is_empty() && self.frames > 0
    }

    fn send(
        &mut self,
        packet: &Packet,
        mut gather: Option<&mut FactsCollector>,
    ) -> anyhow::Result<()> {
        self.plan.alive();
        let arrival = packet.pts().unwrap_or_default();
        let care = self.care(arrival, packet, gather.as_deref());
        match care {
            Care::LeftOut => return Ok(()),
            Care::Whole => {}
            Care::Alone | Care::Unseen => self.thrift.finish_coarsely(arrival),
        }
        if self.leaves_out && self.route.as_ref().is_some_and(|r| r.begins_anew(arrival as usize)) {
            self.drain(gather.as_deref_mut())?;
            self.decoder.flush();
        }
        self.skip(match care {
            Care::Alone => AVDISCARD_NONREF,
            Care::Unseen => AVDISCARD_ALL,
            _ => AVDISCARD_DEFAULT,
        });
        let errors = complaints::errors();
        if let Err(error) = self.decoder.send_packet(packet) {
            self.damaged(&error, gather.as_deref_mut());
        }
        self.receive(gather.as_deref_mut())?;
        if complaints::errors() > errors || packet.is_corrupt() {
            self.complained(arrival, packet, gather);
        }
        Ok(())
    }

    /// The decoder said that something is wrong with the packet, or the demuxer did.
    fn complained(&mut self, arrival: i64, packet: &Packet, gather: Option<&mut FactsCollector>) {
        self.thrift.misjudged |= self.route.is_some();
        if let Some(gather) = gather {
            let bytes = packet.data().unwrap_or_default();
            gather.complained(arrival, skip_mode::is_disposable(self.codec, bytes));
        }
    }

    /// What is damaged is filled up from the picture before, whatever the headers say it needs.
    fn damaged(&mut self, error: &Error, gather: Option<&mut FactsCollector>) {
        self.thrift.misjudged |= self.route.is_some();
        if let Some(gather) = gather {
            gather.damaged(self.thrift.index(self.frames), error);
        }
    }

    fn care(&self, arrival: i64, packet: &Packet, gather: Option<&FactsCollector>) -> Care {
        let next = self.next_wanted(gather);
        match &self.route {
            _ if !self.thrifty => Care::Whole,
            Some(route) if route.needs(arrival as usize) => Care::Whole,
            Some(_) if self.leaves_out => Care::LeftOut,
            Some(_) => Care::Unseen,
            None if next.is_none_or(|next| next >= self.counted) => Care::Unseen,
            None if self.is_alone(packet, next) => Care::Alone,
            None => Care::Whole,
        }
    }

    /// Whether nothing depends on the packet's frame and nobody wants it.
    fn is_alone(&self, packet: &Packet, next_wanted: Option<u64>) -> bool {
        // SAFETY: reading a field of our open context.
        let waiting = unsafe { (*self.decoder.as_ptr()).has_b_frames };
        // MPEG-4 gives such a frame at once; H.264 may hold it back behind as many as it reorders.
        let latest = match self.codec {
            codec::Id::MPEG4 => self.frames,
            _ => self.frames + waiting.max(0) as u64 + 1,
        };
        next_wanted.is_none_or(|next| next > latest)
            && packet.data().is_some_and(|bytes| skip_mode::is_disposable(self.codec, bytes))
    }

    /// The next frame that anybody looks at.
    fn next_wanted(&self, gather: Option<&FactsCollector>) -> Option<u64> {
        let wanted = [self.targets.first().copied(), gather.and_then(FactsCollector::next_wanted)];
        wanted.into_iter().flatten().min()
    }

    /// Which pictures go without residuals or smoothing; headers and coefficients are read and
    /// checked as ever.
    fn skip(&mut self, pictures: AVDiscard) {
        // SAFETY: the context is ours; both fields are the caller's to set before each packet.
        unsafe {
            let raw = self.decoder.as_mut_ptr();
            (*raw).skip_idct = pictures;
            (*raw).skip_loop_filter = pictures;
        }
    }

    fn drain(&mut self, gather: Option<&mut FactsCollector>) -> anyhow::Result<()> {
        match self.decoder.send_eof() {
            Ok(()) | Err(Error::Eof) => self.receive(gather),
            Err(error) => {
                self.damaged(&error, gather);
                Ok(())
            }
        }
    }

    /// Takes every frame that is ready.
    fn receive(&mut self, mut gather: Option<&mut FactsCollector>) -> anyhow::Result<()> {
        let mut picture = frame::Video::empty();
        loop {
            match self.decoder.receive_frame(&mut picture) {
                Ok(()) => self.take(&picture, gather.as_deref_mut())?,
                Err(Error::Eof) | Err(Error::Other { errno: libc::EAGAIN }) => return Ok(()),
                Err(error) => {
                    self.damaged(&error, gather);
                    return Ok(());
                }
            }
        }
    }

    fn take(
        &mut self,
        picture: &frame::Video,
        gather: Option<&mut FactsCollector>,
    ) -> anyhow::Result<()> {
        let index = self.thrift.index(self.frames);
        let wanted = self.next_wanted(gather.as_deref()).is_some_and(|next| next <= index);
        self.thrift.check(self.frames, picture.pts(), wanted);
        if let Some(route) = &self.route {
            // SAFETY: reading a field of our open context.
            let held_back = unsafe { (*self.decoder.as_ptr()).has_b_frames };
            self.thrift.misjudged |= damage::flagged(picture) != Damage::None
                || route.held_back > held_back.max(0) as usize;
        }
        self.frames += 1;
        if self.thrift.misjudged {
            return Ok(());
        }
        if let Some(gather) = gather {
            gather.see(index, picture, &mut self.converter);
            if self.plan.sees_all() {
                self.plan.see(index, RawFrame::new(picture, &mut self.converter))?;
            }
        }
        while let Some((&target, rest)) = self.targets.split_first() {
            if target > index {
                break;
            }
            self.targets = rest;
            if target == index {
                match DecodedFrame::new(picture, &mut self.converter) {
                    Ok(shot) => self.plan.keep(index, shot)?,
                    Err(error) => self.plan.lost(index, format!("{error:#}")),
                }
            }
        }
        Ok(())
    }
}
