//! Opening a file by its content and reading the packets of its video stream.
use std::{
    ffi::CString,
    fs::{self, File},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    ptr,
};

use ffmpeg_next::{
    codec, ffi,
    format::{context::Input, stream::Disposition},
    media,
    packet::Ref as _,
    Dictionary, Discard, Error, Packet, Rational, Stream,
};

use super::{
    complaints, facts_collector::aspect_words, h264, hidden::is_hidden, mpeg4, route::Route,
    timing::Timing, FrameSink, Rejected,
};
use crate::media::orientation::{self, Orientation, Slant};

/// What a clip may be inside. Playlists, image sequences and scripts are left out on purpose: they
/// would open other files.
const FORMATS: &str =
    "avi,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mpegts,mpeg,asf,flv,ogg,mp3,wav,aac,flac";

/// Bytes of packets that are kept in memory between counting and decoding; what is beyond is read
/// from the file again.
const KEPT_BYTES: usize = 48 << 20;

/// What the header says of the video stream.
pub(super) struct Header {
    pub codec: String,
    pub fps: Option<f64>,
    pub frames: Option<u64>,
    /// How pictures have to be turned, and what cannot be done of what is asked for.
    pub orientation: Orientation,
    pub slant: Option<Slant>,
    pub sample_aspect_ratio: Option<String>,
    /// Whether the stream is one that the file marks as default.
    pub is_default: bool,
    /// Video streams that are no cover pictures.
    pub streams: usize,
}

impl Header {
    /// What is odd, in words.
    pub(super) fn remarks(&self) -> impl Iterator<Item = String> {
        let slant = self.slant.map(|slant| format!("{slant}, which was not done"));
        let streams = (self.streams > 1).then(|| {
            let which = if self.is_default { "the first marked as default" } else { "the first" };
            format!("{} video streams, {which} was read", self.streams)
        });
        [slant, streams].into_iter().flatten()
    }
}

/// An open file with its video stream chosen and all others discarded.
pub(super) struct Container {
    input: Input,
    stream: usize,
    path: PathBuf,
    /// Packets that were given out.
    arrived: i64,
    /// Packets of the stream, empty ones too.
    delivered: u64,
}

/// Refuses what is no regular, readable file with bytes in it before FFmpeg sees it.
pub(super) fn check_file(path: &Path) -> Result<(), Rejected> {
    let unreadable = |e: std::io::Error| Rejected::Unreadable(e.to_string());
    let found = fs::metadata(path).map_err(unreadable)?;
    if !found.is_file() {
        return Err(Rejected::Unreadable("not a regular file".into()));
    }
    if found.len() == 0 {
        return Err(Rejected::Empty);
    }
    File::open(path).map(drop).map_err(unreadable)
}

impl Container {
    pub(super) fn open(path: &Path) -> Result<Self, Rejected> {
        let unreadable = |e: Error| Rejected::Unreadable(complaints::words(e));
        let mut input = open_input(path).map_err(unreadable)?;
        if !header_suffices(&input) {
            // SAFETY: the context is open and ours.
            let code =
                unsafe { ffi::avformat_find_stream_info(input.as_mut_ptr(), ptr::null_mut()) };
            if code < 0 {
                return Err(unreadable(Error::from(code)));
            }
        }
        let stream = video_stream(&input).ok_or(Rejected::NoVideo)?;
        for mut other in input.streams_mut() {
            let keep = other.index() == stream;
            // SAFETY: the stream belongs to our open context; `discard` is the caller's to set.
            unsafe {
                (*other.as_mut_ptr()).discard =
                    if keep { Discard::Default } else { Discard::All }.into();
            }
        }
        Ok(Container { input, stream, path: path.to_owned(), arrived: 0, delivered: 0 })
    }

    pub(super) fn header(&self) -> Header {
        let stream = self.stream();
        let parameters = stream.parameters();
        let rate = |r: Rational| (r.numerator() > 0 && r.denominator() > 0).then(|| f64::from(r));
        // SAFETY: the stream is alive as long as the input.
        let aspect = unsafe {
            let own = (*stream.as_ptr()).sample_aspect_ratio;
            if own.num > 0 {
                own
            } else {
                (*parameters.as_ptr()).sample_aspect_ratio
            }
        };
        let (orientation, slant) = match self.orientation() {
            Ok(orientation) => (orientation, None),
            Err(slant) => (orientation::UPRIGHT, Some(slant)),
        };
        Header {
            codec: parameters.id().name().to_owned(),
            fps: rate(stream.avg_frame_rate()).or_else(|| rate(stream.rate())),
            frames: u64::try_from(stream.frames()).ok().filter(|&n| n > 0),
            orientation,
            slant,
            sample_aspect_ratio: aspect_words(aspect.into()),
            is_default: stream.disposition().contains(Disposition::DEFAULT),
            streams: videos(&self.input).count(),
        }
    }

    fn stream(&self) -> ffmpeg_next::Stream<'_> {
        self.input.stream(self.stream).expect("the stream was chosen from this input")
    }

    /// What the display matrix asks for.
    fn orientation(&self) -> Result<Orientation, Slant> {
        let stream = self.stream();
        let kind = ffi::AVPacketSideDataType::AV_PKT_DATA_DISPLAYMATRIX;
        // SAFETY: the side data, when it is there, holds nine 32-bit numbers and lives as long as
        // the stream.
        let matrix = unsafe {
            let matrix = ffi::av_stream_get_side_data(stream.as_ptr(), kind, ptr::null_mut());
            if matrix.is_null() {
                return Ok(orientation::UPRIGHT);
            }
            matrix.cast::<[i32; 9]>().read_unaligned()
        };
        orientation::of_matrix(matrix)
    }

    /// Seconds that a unit of the stream's time stamps lasts.
    fn time_unit(&self) -> (i32, i32) {
        let base = self.stream().time_base();
        (base.numerator(), base.denominator())
    }

    /// How many pictures an MP4's index lists and the file does not give; its edit list has been
    /// applied to the index.
    fn missing_by_index(&self) -> Option<(u64, u64)> {
        if !self.input.format().name().split(',').any(|name| name == "mp4") {
            return None;
        }
        // SAFETY: the stream is alive as long as the input.
        let listed = unsafe { ffi::avformat_index_get_entries_count(self.stream().as_ptr()) };
        let listed = u64::try_from(listed).ok()?;
        (listed > self.delivered).then_some((listed, self.delivered))
    }

    /// The next packet of the video stream that holds anything, its time stamp replaced by its
    /// number from 0 and given beside it; `None` at the end, `Err` where reading breaks off. AVI marks a repeated frame
    /// by an empty chunk, for which no frame comes out.
    fn next(&mut self) -> Result<Option<(Packet, Option<i64>)>, Error> {
        loop {
            let mut packet = Packet::empty();
            match packet.read(&mut self.input) {
                Ok(()) if packet.stream() == self.stream => {
                    self.delivered += 1;
                    if packet.size() == 0 {
                        continue;
                    }
                    let time = packet.pts().or(packet.dts());
                    packet.set_pts(Some(self.arrived));
                    self.arrived += 1;
                    return Ok(Some((packet, time)));
                }
                Ok(()) => {}
                Err(Error::Eof) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Opens a file by its bytes alone: the name never selects a protocol, pattern or format.
fn open_input(path: &Path) -> Result<Input, Error> {
    let mut url = b"file:".to_vec();
    url.extend_from_slice(path.as_os_str().as_bytes());
    let url = CString::new(url).map_err(|_| Error::InvalidData)?;
    let mut options = Dictionary::new();
    options.set("format_whitelist", FORMATS);
    options.set("protocol_whitelist", "file");
    // SAFETY: on success `context` is a fresh open context that `Input` takes over; on failure
    // FFmpeg frees it. The dictionary is handed over and taken back whatever happens.
    unsafe {
        let mut context = ptr::null_mut();
        let mut raw = options.disown();
        let code = ffi::avformat_open_input(&mut context, url.as_ptr(), ptr::null_mut(), &mut raw);
        drop(Dictionary::own(raw));
        if code < 0 {
            return Err(Error::from(code));
        }
        Ok(Input::wrap(context))
    }
}

/// Whether decoding can start without FFmpeg's probing, which decodes frames itself: AVI states
/// codec, size and rate. What probing finds out beyond that is how many frames H.264 has out of
/// order; a decoder in strict mode takes that from the stream, or waits as long as its level allows.
fn header_suffices(input: &Input) -> bool {
    use codec::Id;
    let known = |id| matches!(id, Id::MPEG4 | Id::H264 | Id::MJPEG | Id::RAWVIDEO | Id::FFV1);
    let mut videos =
        input.streams().filter(|s| s.parameters().medium() == media::Type::Video).peekable();
    input.format().name() == "avi"
        && videos.peek().is_some()
        && videos.all(|s| {
            let parameters = s.parameters();
            // SAFETY: the parameters live as long as the stream.
            let (width, height) =
                unsafe { ((*parameters.as_ptr()).width, (*parameters.as_ptr()).height) };
            let rate = s.avg_frame_rate();
            known(parameters.id()) && width > 0 && height > 0 && rate.numerator() > 0
        })
}

/// The first video stream that the file marks as default, or the first at all; cover pictures and
/// thumbnails are none.
fn video_stream(input: &Input) -> Option<usize> {
    let is_default = |s: &Stream<'_>| s.disposition().contains(Disposition::DEFAULT);
    videos(input).find(is_default).or_else(|| videos(input).next()).map(|s| s.index())
}

fn videos(input: &Input) -> impl Iterator<Item = Stream<'_>> {
    input.streams().filter(|s| {
        s.parameters().medium() == media::Type::Video
            && !s.disposition().contains(Disposition::ATTACHED_PIC)
    })
}

/// The packets of a clip, counted, and as many as are reasonable in memory.
pub(super) struct Packets {
    container: Container,
    kept: Vec<Packet>,
    /// Whether the file holds more packets than `kept`.
    more: bool,
    /// Packets with content: the frames to expect.
    pub frames: u64,
    /// Those of them that an edit list takes away.
    pub discarded: u64,
    /// Those that are for the decoder alone.
    pub hidden: u64,
    timing: Timing,
    /// What went wrong while reading.
    pub damage: Vec<String>,
}

impl Packets {
    /// Reads the file to its end.
    pub(super) fn read(container: Container, plan: &mut dyn FrameSink) -> Self {
        let mut packets = Packets {
            container,
            kept: Vec::new(),
            more: false,
            frames: 0,
            discarded: 0,
            hidden: 0,
            timing: Timing::default(),
            damage: Vec::new(),
        };
        let codec = packets.parameters().id();
        let (mut bytes, mut corrupt) = (0, 0u64);
        loop {
            plan.alive();
            match packets.container.next() {
                Ok(None) => break,
                Err(error) => {
                    let words = complaints::words(error);
                    packets.damage.push(format!("reading broke off: {words}"));
                    break;
                }
                Ok(Some((packet, time))) => {
                    corrupt += u64::from(packet.is_corrupt());
                    packets.count(codec, &packet, time);
                    bytes += packet.size();
                    packets.more |= bytes > KEPT_BYTES;
                    if !packets.more {
                        packets.kept.push(packet);
                    }
                }
            }
        }
        if corrupt > 0 {
            packets.damage.push(format!("{corrupt} packets cut short"));
        }
        if let Some((listed, found)) = packets.container.missing_by_index() {
            packets
                .damage
                .push(format!("the index lists {listed} pictures, the file holds {found}"));
        }
        packets
    }

    fn count(&mut self, codec: codec::Id, packet: &Packet, time: Option<i64>) {
        self.frames += 1;
        self.timing.note(time);
        // SAFETY: reading a field of our packet.
        let flags = unsafe { (*packet.as_ptr()).flags };
        self.discarded += u64::from(flags & ffi::AV_PKT_FLAG_DISCARD != 0);
        self.hidden += u64::from(packet.data().is_some_and(|bytes| is_hidden(codec, bytes)));
    }

    /// Frames per second by the packets' time stamps.
    pub(super) fn rate(&self) -> Option<f64> {
        self.timing.rate(self.container.time_unit())
    }

    pub(super) fn parameters(&self) -> codec::Parameters {
        self.container.stream().parameters()
    }

    pub(super) fn orientation(&self) -> Orientation {
        self.container.orientation().unwrap_or(orientation::UPRIGHT)
    }

    /// How to reach the `wanted` frames of an MPEG-4 clip or, where packets may be left out, one of
    /// H.264; `None` for other codecs, for clips that are damaged or not wholly in memory, where an
    /// edit list takes packets away, and where the headers leave anything open.
    pub(super) fn route(
        &self,
        wanted: impl Iterator<Item = u64>,
        leaves_out: bool,
    ) -> Option<Route> {
        let whole =
            self.kept.len() as u64 == self.frames && self.damage.is_empty() && self.discarded == 0;
        let parameters = self.parameters();
        let is_h264 = match parameters.id() {
            codec::Id::MPEG4 => false,
            codec::Id::H264 if leaves_out => true,
            _ => return None,
        };
        if !whole {
            return None;
        }
        // SAFETY: extradata has as many bytes as it says, and lives as long as the parameters.
        let extradata = unsafe {
            let raw = parameters.as_ptr();
            let (start, length) = ((*raw).extradata, (*raw).extradata_size);
            match usize::try_from(length) {
                Ok(length) if !start.is_null() => std::slice::from_raw_parts(start, length),
                _ => &[],
            }
        };
        let packets = self.kept.iter().map(|packet| packet.data().unwrap_or_default());
        Some(match is_h264 {
            true => Route::of_h264(h264::pictures(extradata, packets)?, wanted),
            false => Route::new(&mpeg4::pictures(extradata, packets)?, wanted),
        })
    }

    /// Gives every packet in order to `step` until it returns false.
    pub(super) fn each(&mut self, mut step: impl FnMut(&Packet) -> bool) -> Result<(), Rejected> {
        for packet in &self.kept {
            if !step(packet) {
                return Ok(());
            }
        }
        if !self.more {
            return Ok(());
        }
        let mut rest = Container::open(&self.container.path)?;
        let mut skip = self.kept.len();
        // Where reading breaks off is known from the first time.
        while let Ok(Some((packet, _))) = rest.next() {
            if skip > 0 {
                skip -= 1;
            } else if !step(&packet) {
                break;
            }
        }
        Ok(())
    }
}
