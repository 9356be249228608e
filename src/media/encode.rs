//! Writes clips: pictures in, a container with a video track and, if wanted, an mp3 track out.
//!
//! For the demo corpus and for tests that need real encoded video. The bytes depend on the
//! pictures and the [`ClipFormat`] only: bit-exact flags, one encoder thread, no clock and no
//! program version in the headers. Whole clips are muxed in memory (a clip of a few seconds is
//! some hundred KB) and reach the disk in one atomic write.
use std::{
    io::{Cursor, Seek, SeekFrom, Write},
    path::Path,
    sync::{Arc, Mutex},
};

use anyhow::{bail, ensure, Context, Result};
use ffmpeg_next::{
    self as ffmpeg, codec, encoder,
    format::{self, Pixel, Sample},
    frame,
    software::scaling,
    ChannelLayout, Dictionary, Packet, Rational,
};
use image::RgbImage;

use crate::atomic;

/// Samples per second of the sound track.
const SOUND_RATE: i32 = 44_100;
/// Bits per second of the sound track.
const SOUND_BIT_RATE: usize = 64_000;
/// Peak of the sound track, full scale being 1.
const SOUND_LEVEL: f64 = 0.05;
/// FFmpeg's `FF_QP2LAMBDA`: a quantiser in the unit of an encoder's `global_quality`.
const LAMBDA_PER_QUANTISER: u32 = 118;

/// How the pictures are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// MPEG-4 part 2 (the `DivX` family of TV clips), 4:2:0; quality is its quantiser, 1..=31, or 0 for the
    /// finest.
    Mpeg4,
    /// H.264 through libx264, 4:2:0; quality is its CRF, 0..=51.
    H264,
    /// FFV1, lossless in RGB: what comes out of a decoder is what went in; quality is ignored.
    Ffv1,
}

impl Codec {
    /// Its short name.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Mpeg4 => "mpeg4",
            Codec::H264 => "h264",
            Codec::Ffv1 => "ffv1",
        }
    }

    /// Its name for people, with what matters to them.
    pub fn summary(self) -> &'static str {
        match self {
            Codec::Mpeg4 => "MPEG-4, which players show and browsers do not (`ncaers doctor`)",
            Codec::H264 => "H.264, which browsers play",
            Codec::Ffv1 => "FFV1",
        }
    }

    /// The encoder's name in FFmpeg.
    pub fn encoder(self) -> &'static str {
        match self {
            Codec::Mpeg4 => "mpeg4",
            Codec::H264 => "libx264",
            Codec::Ffv1 => "ffv1",
        }
    }

    fn pixel(self) -> Pixel {
        match self {
            Codec::Mpeg4 | Codec::H264 => Pixel::YUV420P,
            Codec::Ffv1 => Pixel::BGRZ,
        }
    }
}

/// Everything about a clip but its pictures; the container follows the file name.
#[derive(Clone, Debug, PartialEq)]
pub struct ClipFormat {
    /// Compression of the pictures.
    pub codec: Codec,
    /// Width in pixels; even for 4:2:0.
    pub width: u32,
    /// Height in pixels; even for 4:2:0.
    pub height: u32,
    /// Frames per second as a fraction, such as `(30000, 1001)`.
    pub fps: (i32, i32),
    /// Most frames from one key frame to the next.
    pub gop: u32,
    /// Most B-frames in a row; with any, packets are not in the order of presentation.
    pub b_frames: usize,
    /// The codec's own measure of loss; lower is better and larger.
    pub quality: u32,
    /// A soft tone of this many hertz as mono mp3; `None` leaves the clip without sound.
    pub tone_hz: Option<f64>,
}

impl Default for ClipFormat {
    /// MPEG-4, 400x300, 25 fps, key frames every 12, no B-frames, finest quantiser, no sound.
    fn default() -> Self {
        ClipFormat {
            codec: Codec::Mpeg4,
            width: 400,
            height: 300,
            fps: (25, 1),
            gop: 12,
            b_frames: 0,
            quality: 0,
            tone_hz: None,
        }
    }
}

/// Encodes `frames` into `path` and returns how many there were; `.avi`, `.mkv`, `.mp4`, `.mov`
/// and `.ts` name the container. `path` is either untouched or the whole clip.
///
/// # Errors
/// When the container is unknown, FFmpeg lacks an encoder, a picture has another size than
/// `format`, there is no picture at all, or the file cannot be written.
pub fn write_clip<I>(path: &Path, format: &ClipFormat, frames: I) -> Result<u64>
where
    I: IntoIterator<Item = RgbImage>,
{
    let (bytes, count) = encode(container(path)?, format, frames)
        .with_context(|| format!("cannot encode {}", path.display()))?;
    atomic::write(path, &bytes)?;
    Ok(count)
}

/// FFmpeg's name of the container that the file name asks for.
fn container(path: &Path) -> Result<&'static str> {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    Ok(match extension.to_ascii_lowercase().as_str() {
        "avi" => "avi",
        "mkv" => "matroska",
        "mov" => "mov",
        "mp4" => "mp4",
        "ts" => "mpegts",
        _ => bail!("no container known for {} (avi, mkv, mov, mp4, ts)", path.display()),
    })
}

fn encode<I>(container: &str, format: &ClipFormat, frames: I) -> Result<(Vec<u8>, u64)>
where
    I: IntoIterator<Item = RgbImage>,
{
    ffmpeg::init()?;
    // libx264 and the muxers chat on stderr otherwise.
    ffmpeg::log::set_level(ffmpeg::log::Level::Error);
    let buffer = Buffer::default();
    let mut clip = ClipWriter::open(&buffer, container, format)?;
    for picture in frames {
        clip.push(&picture)?;
    }
    ensure!(clip.pictures.count() > 0, "a clip needs at least one picture");
    let count = clip.finish()?;
    Ok((buffer.into_bytes(), count as u64))
}

/// A growing file in memory that the muxer writes and the caller takes back.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Cursor<Vec<u8>>>>);

impl Buffer {
    fn with<T>(&self, act: impl FnOnce(&mut Cursor<Vec<u8>>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    fn into_bytes(self) -> Vec<u8> {
        self.with(|cursor| std::mem::take(cursor.get_mut()))
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.with(|cursor| cursor.write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Seek for Buffer {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.with(|cursor| cursor.seek(to))
    }
}

/// The pictures of a file under construction: one after the other at a constant rate, as its
/// first track.
pub(super) struct Pictures {
    encoder: encoder::Video,
    scaler: scaling::Context,
    frame_time: Rational,
    /// In the unit of `LAMBDA_PER_QUANTISER`; 0 where the encoder decides.
    quantiser: i32,
    count: i64,
}

impl Pictures {
    /// Opens the encoder and adds its track to `output`, which has none yet.
    pub(super) fn open(format: &ClipFormat, output: &mut format::context::Output) -> Result<Self> {
        let encoder = open_video(format, wants_global_header(output))?;
        let frame_time = Rational(format.fps.1, format.fps.0);
        let mut track = output.add_stream_with(&encoder)?;
        track.set_time_base(frame_time);
        track.set_avg_frame_rate(frame_time.invert());
        let quantiser = match format.codec {
            Codec::Mpeg4 => (format.quality * LAMBDA_PER_QUANTISER) as i32,
            Codec::H264 | Codec::Ffv1 => 0,
        };
        Ok(Pictures { encoder, scaler: scaler(format)?, frame_time, quantiser, count: 0 })
    }

    /// Encodes the next picture, which has the format's size.
    pub(super) fn push(
        &mut self,
        picture: &RgbImage,
        output: &mut format::context::Output,
    ) -> Result<()> {
        let mut converted = frame::Video::empty();
        self.scaler.run(&rgb_frame(picture), &mut converted)?;
        converted.set_pts(Some(self.count));
        // SAFETY: a field of a frame of ours. An encoder of a fixed quantiser takes it from here.
        unsafe { (*converted.as_mut_ptr()).quality = self.quantiser };
        self.encoder.send_frame(&converted)?;
        self.count += 1;
        self.write_ready(output)
    }

    /// Writes what the encoder still holds.
    pub(super) fn finish(&mut self, output: &mut format::context::Output) -> Result<()> {
        self.encoder.send_eof()?;
        self.write_ready(output)
    }

    fn write_ready(&mut self, output: &mut format::context::Output) -> Result<()> {
        let mut packet = Packet::empty();
        while self.encoder.receive_packet(&mut packet).is_ok() {
            packet.set_stream(0);
            packet.set_duration(1);
            write_packet(&mut packet, self.frame_time, output)?;
        }
        Ok(())
    }

    /// Pictures so far.
    pub(super) fn count(&self) -> i64 {
        self.count
    }

    /// Seconds that they last.
    pub(super) fn seconds(&self) -> f64 {
        self.count as f64 * f64::from(self.frame_time)
    }

    /// Width and height in pixels.
    pub(super) fn size(&self) -> (u32, u32) {
        (self.encoder.width(), self.encoder.height())
    }
}

fn wants_global_header(output: &format::context::Output) -> bool {
    output.format().flags().contains(format::Flags::GLOBAL_HEADER)
}

/// A muxer with its encoders, fed one picture at a time.
struct ClipWriter {
    output: format::context::Output,
    pictures: Pictures,
    sound: Option<Sound>,
}

impl ClipWriter {
    fn open(buffer: &Buffer, container: &str, format: &ClipFormat) -> Result<Self> {
        let stream = format::context::StreamIo::from_write_seek(buffer.clone())?;
        let mut output = format::output_to_stream(stream, None, Some(container))?;
        let global = wants_global_header(&output);
        let pictures = Pictures::open(format, &mut output)?;
        let sound = format.tone_hz.map(|hz| Sound::open(hz, global)).transpose()?;
        if let Some(sound) = &sound {
            output.add_stream_with(&sound.encoder)?.set_time_base((1, SOUND_RATE));
        }
        write_header(&mut output)?;
        Ok(ClipWriter { output, pictures, sound })
    }

    fn push(&mut self, picture: &RgbImage) -> Result<()> {
        let (width, height) = self.pictures.size();
        ensure!(
            picture.dimensions() == (width, height),
            "picture {} is {}x{}, not {width}x{height}",
            self.pictures.count(),
            picture.width(),
            picture.height()
        );
        self.pictures.push(picture, &mut self.output)?;
        let seconds = self.pictures.seconds();
        self.sound.as_mut().map_or(Ok(()), |sound| sound.write_until(seconds, &mut self.output))
    }

    fn finish(mut self) -> Result<i64> {
        self.pictures.finish(&mut self.output)?;
        if let Some(sound) = &mut self.sound {
            sound.finish(&mut self.output)?;
        }
        self.output.write_trailer()?;
        Ok(self.pictures.count())
    }
}

/// Writes a header that names no program and no time.
pub(super) fn write_header(output: &mut format::context::Output) -> Result<()> {
    let mut options = Dictionary::new();
    options.set("fflags", "+bitexact");
    output.write_header_with(options)?;
    Ok(())
}

/// Hands a packet, timed in units of `time_base`, to the muxer.
pub(super) fn write_packet(
    packet: &mut Packet,
    time_base: Rational,
    output: &mut format::context::Output,
) -> Result<()> {
    let track = output.stream(packet.stream()).context("the muxer lost a track")?.time_base();
    packet.rescale_ts(time_base, track);
    packet.set_position(-1);
    Ok(packet.write_interleaved(output)?)
}

fn open_video(format: &ClipFormat, global_header: bool) -> Result<encoder::Video> {
    let ClipFormat { codec, width, height, fps, .. } = *format;
    ensure!(
        width >= 16 && height >= 16 && width % 2 == 0 && height % 2 == 0,
        "{width}x{height} is no size for video: both sides must be even and at least 16"
    );
    ensure!(fps.0 > 0 && fps.1 > 0, "{}/{} is no frame rate", fps.0, fps.1);
    let context = context_for(codec.encoder(), global_header, codec == Codec::Mpeg4)?;
    let mut video = context.encoder().video()?;
    video.set_width(width);
    video.set_height(height);
    video.set_format(codec.pixel());
    video.set_time_base((fps.1, fps.0));
    video.set_frame_rate(Some(fps));
    video.set_gop(format.gop);
    video.set_max_b_frames(if codec == Codec::Ffv1 { 0 } else { format.b_frames });
    let mut options = Dictionary::new();
    if codec == Codec::H264 {
        options.set("preset", "superfast");
        options.set("crf", &format.quality.to_string());
    }
    video.open_with(options).with_context(|| format!("encoder `{}` refused", codec.encoder()))
}

/// A bit-exact, single-threaded encoder context.
fn context_for(name: &str, global_header: bool, fixed_quality: bool) -> Result<codec::Context> {
    let codec = encoder::find_by_name(name).with_context(|| {
        format!("this FFmpeg has no encoder `{name}`; install one that has (`ffmpeg -encoders`)")
    })?;
    let mut context = codec::Context::new_with_codec(codec);
    let mut flags = codec::Flags::BITEXACT;
    flags.set(codec::Flags::GLOBAL_HEADER, global_header);
    flags.set(codec::Flags::QSCALE, fixed_quality);
    context.set_flags(flags);
    context.set_threading(codec::threading::Config::count(1));
    Ok(context)
}

fn scaler(format: &ClipFormat) -> Result<scaling::Context> {
    let (width, height) = (format.width, format.height);
    let flags = scaling::Flags::BILINEAR | scaling::Flags::ACCURATE_RND | scaling::Flags::BITEXACT;
    let to = format.codec.pixel();
    Ok(scaling::Context::get(Pixel::RGB24, width, height, to, width, height, flags)?)
}

fn rgb_frame(picture: &RgbImage) -> frame::Video {
    let mut rgb = frame::Video::new(Pixel::RGB24, picture.width(), picture.height());
    let (stride, row) = (rgb.stride(0), picture.width() as usize * 3);
    for (to, from) in rgb.data_mut(0).chunks_mut(stride).zip(picture.as_raw().chunks(row)) {
        to[..row].copy_from_slice(from);
    }
    rgb
}

/// A soft tone, encoded as mp3 a little ahead of the pictures.
struct Sound {
    encoder: encoder::Audio,
    hz: f64,
    /// Samples encoded so far.
    position: i64,
    /// Encoder delay that is taken off the timestamps, known from the first packet on.
    delay: Option<i64>,
}

impl Sound {
    fn open(hz: f64, global_header: bool) -> Result<Self> {
        let mut audio = context_for("libmp3lame", global_header, false)?.encoder().audio()?;
        audio.set_rate(SOUND_RATE);
        audio.set_format(Sample::F32(format::sample::Type::Planar));
        audio.set_channel_layout(ChannelLayout::MONO);
        audio.set_bit_rate(SOUND_BIT_RATE);
        audio.set_time_base((1, SOUND_RATE));
        let encoder = audio.open().context("encoder `libmp3lame` refused")?;
        Ok(Sound { encoder, hz, position: 0, delay: None })
    }

    fn write_until(&mut self, seconds: f64, output: &mut format::context::Output) -> Result<()> {
        while (self.position as f64) < seconds * f64::from(SOUND_RATE) {
            let block = self.block();
            self.encoder.send_frame(&block)?;
            self.write_packets(output)?;
        }
        Ok(())
    }

    /// The next samples, swelling twice a second so that the tone is not a mere hum.
    fn block(&mut self) -> frame::Audio {
        let size = self.encoder.frame_size() as usize;
        let layout = ChannelLayout::MONO;
        let mut block = frame::Audio::new(self.encoder.format(), size, layout);
        block.set_rate(SOUND_RATE as u32);
        block.set_pts(Some(self.position));
        for (i, sample) in block.plane_mut::<f32>(0).iter_mut().enumerate() {
            let turns = (self.position + i as i64) as f64 / f64::from(SOUND_RATE);
            let angle = std::f64::consts::TAU * turns;
            *sample = (SOUND_LEVEL * (angle * self.hz).sin() * (angle * 2.0).cos()) as f32;
        }
        self.position += size as i64;
        block
    }

    fn write_packets(&mut self, output: &mut format::context::Output) -> Result<()> {
        let mut packet = Packet::empty();
        while self.encoder.receive_packet(&mut packet).is_ok() {
            let pts = packet.pts().unwrap_or_default();
            // Left negative, it would make the muxer delay the pictures and AVI repeat the first.
            let pts = pts - *self.delay.get_or_insert(pts);
            packet.set_pts(Some(pts));
            packet.set_dts(Some(pts));
            packet.set_stream(1);
            write_packet(&mut packet, Rational(1, SOUND_RATE), output)?;
        }
        Ok(())
    }

    fn finish(&mut self, output: &mut format::context::Output) -> Result<()> {
        self.encoder.send_eof()?;
        self.write_packets(output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ffmpeg_next::media::Type;

    /// Eight vertical bars that spell `index` in binary, white for one.
    fn barcode(index: u64, format: &ClipFormat) -> RgbImage {
        RgbImage::from_fn(format.width, format.height, |x, _| {
            let bit = u64::from(x) * 8 / u64::from(format.width);
            image::Rgb([if index >> bit & 1 == 1 { 235 } else { 20 }; 3])
        })
    }

    fn barcodes(n: u64, format: &ClipFormat) -> Vec<RgbImage> {
        (0..n).map(|i| barcode(i, format)).collect()
    }

    /// What the decoder gives: the number spelled by each picture, in output order.
    fn read_back(path: &Path) -> Vec<u64> {
        let mut input = format::input(path).expect("opens");
        let track = input.streams().best(Type::Video).expect("a video track");
        let index = track.index();
        let context = codec::Context::from_parameters(track.parameters()).expect("parameters");
        let mut decoder = context.decoder().video().expect("decoder");
        let mut numbers = Vec::new();
        let mut picture = frame::Video::empty();
        for (stream, packet) in input.packets() {
            if stream.index() == index {
                decoder.send_packet(&packet).expect("decodes");
                while decoder.receive_frame(&mut picture).is_ok() {
                    numbers.push(number(&picture));
                }
            }
        }
        decoder.send_eof().expect("eof");
        while decoder.receive_frame(&mut picture).is_ok() {
            numbers.push(number(&picture));
        }
        numbers
    }

    fn number(picture: &frame::Video) -> u64 {
        let bytes = if picture.format() == Pixel::YUV420P { 1 } else { 4 };
        let row = &picture.data(0)[..picture.width() as usize * bytes];
        (0..8).filter(|bit| row[(2 * bit + 1) * row.len() / 16] > 128).map(|bit| 1 << bit).sum()
    }

    #[test]
    fn every_picture_comes_back_once_and_in_order() {
        let dir = tempfile::tempdir().expect("temp dir");
        for (name, codec, b_frames, fps, tone_hz) in [
            ("a.avi", Codec::Mpeg4, 0, (25, 1), Some(220.0)),
            ("b.avi", Codec::Mpeg4, 2, (30000, 1001), Some(330.0)),
            ("c.avi", Codec::H264, 0, (24, 1), Some(220.0)),
            ("d.avi", Codec::H264, 2, (25, 1), None),
            ("e.mp4", Codec::H264, 3, (25, 1), Some(220.0)),
            ("f.mkv", Codec::Ffv1, 0, (12, 1), None),
            ("g.ts", Codec::H264, 2, (25, 1), Some(220.0)),
            ("h.mov", Codec::Mpeg4, 1, (25, 1), None),
            ("i.mkv", Codec::Mpeg4, 2, (24000, 1001), Some(220.0)),
            ("j.mp4", Codec::Mpeg4, 2, (12, 1), Some(220.0)),
        ] {
            let format = ClipFormat { codec, b_frames, fps, tone_hz, ..ClipFormat::default() };
            let path = dir.path().join(name);
            assert_eq!(write_clip(&path, &format, barcodes(53, &format)).expect(name), 53);
            assert_eq!(read_back(&path), (0..53).collect::<Vec<_>>(), "{name}");
            let sound = format::input(&path).expect("opens").streams().best(Type::Audio).is_some();
            assert_eq!(sound, tone_hz.is_some(), "{name}");
        }
    }

    #[test]
    fn same_pictures_same_bytes() {
        let dir = tempfile::tempdir().expect("temp dir");
        for codec in [Codec::Mpeg4, Codec::H264] {
            let format =
                ClipFormat { codec, b_frames: 2, tone_hz: Some(200.0), ..ClipFormat::default() };
            let bytes = ["1.avi", "2.avi"].map(|name| {
                let path = dir.path().join(name);
                write_clip(&path, &format, barcodes(30, &format)).expect("encodes");
                std::fs::read(path).expect("reads")
            });
            assert_eq!(bytes[0], bytes[1], "{codec:?}");
            let program = b"Lavf";
            assert!(!bytes[0].windows(4).any(|w| w == program), "{codec:?} names its muxer");
        }
    }

    #[test]
    fn what_cannot_be_encoded_is_refused_and_leaves_nothing() {
        let dir = tempfile::tempdir().expect("temp dir");
        let good = ClipFormat::default();
        let odd = ClipFormat { width: 401, ..good.clone() };
        let still = ClipFormat { fps: (0, 1), ..good.clone() };
        for (name, format, frames, says) in [
            ("a.gif", &good, barcodes(2, &good), "no container known"),
            ("a.avi", &odd, barcodes(2, &odd), "401x300"),
            ("a.avi", &still, barcodes(2, &good), "no frame rate"),
            ("a.avi", &good, barcodes(2, &odd), "picture 0 is 401x300, not 400x300"),
            ("a.avi", &good, Vec::new(), "at least one picture"),
        ] {
            let error = write_clip(&dir.path().join(name), format, frames).expect_err(says);
            assert!(format!("{error:#}").contains(says), "{error:#}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).expect("list").count(), 0);
        let missing = context_for("no-such-encoder", false, false).err().expect("missing");
        assert!(missing.to_string().contains("no encoder `no-such-encoder`"), "{missing}");
    }
}
