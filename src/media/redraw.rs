//! A video drawn anew: its pictures encoded again, its first sound track copied packet by packet.
//!
//! Pictures come at a constant rate, the n-th at n / fps; where the original's rate varies, the
//! sound drifts against them by as much.
use std::{
    fs::File,
    path::Path,
    sync::mpsc::{sync_channel, SyncSender},
    thread::{self, JoinHandle},
};

use anyhow::{anyhow, ensure, Context, Result};
use ffmpeg_next::{
    self as ffmpeg, codec, encoder,
    format::{self, context::Input},
    media, Packet, Rational,
};
use image::{imageops, RgbImage};
use tempfile::NamedTempFile;

use super::encode::{write_header, write_packet, ClipFormat, Codec, Pictures};
use crate::atomic::part_path;

/// Quality of H.264 (CRF): near to invisible loss.
const CRF: u32 = 20;
/// Quality of MPEG-4 (quantiser) where H.264 cannot be written.
const QUANTISER: u32 = 3;

/// The file ending for a copy of the video: `mp4` where its sound fits into MP4, else `mkv`.
pub fn extension(original: &Path) -> &'static str {
    use codec::Id;
    let Ok(input) = format::input(original) else { return "mp4" };
    let sound = input.streams().best(media::Type::Audio).map(|s| s.parameters().id());
    let fits = |id| matches!(id, Id::AAC | Id::MP3 | Id::AC3 | Id::EAC3 | Id::ALAC | Id::OPUS);
    if sound.is_none_or(fits) {
        "mp4"
    } else {
        "mkv"
    }
}

/// Pictures that wait to be encoded, at most: enough for one that takes long, few in memory.
const WAITING: usize = 4;

/// What the thread of a [`Redrawing`] is told.
enum Step {
    /// A picture, to be shown so many times.
    Show(RgbImage, u64),
    Finish,
}

/// A [`Redrawn`] on a thread of its own, since encoding costs as much as all that is done to a picture
/// before. The file is whole or absent here, too: what is dropped before [`Redrawing::finish`] leaves nothing.
pub struct Redrawing {
    to: Option<SyncSender<Step>>,
    thread: Option<JoinHandle<Result<(u64, bool)>>>,
}

impl Redrawing {
    /// As [`Redrawn::begin`].
    ///
    /// # Errors
    /// As there, or when no thread can be started.
    pub fn begin(path: &Path, original: &Path, size: (u32, u32), fps: f64) -> Result<Self> {
        let (to, steps) = sync_channel(WAITING);
        let (begun, begins) = sync_channel(1);
        let (path, original) = (path.to_owned(), original.to_owned());
        let work = move || {
            let mut redrawn = Redrawn::begin(&path, &original, size, fps)?;
            let _ = begun.send(());
            for step in steps {
                match step {
                    Step::Show(picture, times) => {
                        (0..times).try_for_each(|_| redrawn.push(&picture))?;
                    }
                    Step::Finish => return redrawn.finish(&path),
                }
            }
            Err(anyhow!("given up"))
        };
        let thread = thread::Builder::new().name("encode".into()).spawn(work)?;
        let mut redrawing = Redrawing { to: Some(to), thread: Some(thread) };
        match begins.recv() {
            Ok(()) => Ok(redrawing),
            // What it ended with.
            Err(_) => redrawing.ended().and_then(|_| Err(anyhow!("the encoder broke off"))),
        }
    }

    /// Adds the next picture, `times` times; waits where encoding lags behind.
    ///
    /// # Errors
    /// When an earlier picture could not be encoded or written.
    pub fn push(&mut self, picture: RgbImage, times: u64) -> Result<()> {
        self.tell(Step::Show(picture, times))
    }

    /// As [`Redrawn::finish`].
    ///
    /// # Errors
    /// As there, and when an earlier picture could not be encoded or written.
    pub fn finish(mut self) -> Result<(u64, bool)> {
        self.tell(Step::Finish)?;
        self.ended()
    }

    fn tell(&mut self, step: Step) -> Result<()> {
        if self.to.as_ref().is_some_and(|to| to.send(step).is_ok()) {
            return Ok(());
        }
        // Only a thread that ended takes no more.
        self.ended().and_then(|_| Err(anyhow!("the video is finished")))
    }

    /// Lets the thread end, and what came of it.
    fn ended(&mut self) -> Result<(u64, bool)> {
        self.to = None;
        let ended = self.thread.take().map(JoinHandle::join);
        ended.and_then(Result::ok).unwrap_or_else(|| Err(anyhow!("the encoder broke off")))
    }
}

impl Drop for Redrawing {
    fn drop(&mut self) {
        // The part of a video that is given up is gone before anybody looks.
        let _ = self.ended();
    }
}

/// A video under construction, beside its place until [`Redrawn::finish`].
struct Redrawn {
    file: NamedTempFile,
    output: format::context::Output,
    pictures: Pictures,
    sound: Option<Sound>,
}

impl Redrawn {
    /// Begins `path` (`.mp4` or `.mkv`) with pictures of `size` and the sound of `original`.
    /// H.264 where this FFmpeg has libx264, else MPEG-4; an odd side grows by one pixel.
    ///
    /// # Errors
    /// When FFmpeg lacks both encoders or the folder cannot be written.
    fn begin(path: &Path, original: &Path, size: (u32, u32), fps: f64) -> Result<Self> {
        ffmpeg::init()?;
        ffmpeg::log::set_level(ffmpeg::log::Level::Error);
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let part = part_path(path);
        // What a killed process left; the name is made of ours.
        let _ = std::fs::remove_file(&part);
        let file = tempfile::Builder::new()
            .prefix(part.file_name().unwrap_or_default())
            .rand_bytes(0)
            .tempfile_in(folder)
            .with_context(|| format!("cannot write into {}", folder.display()))?;
        let container =
            if path.extension().is_some_and(|e| e == "mkv") { "matroska" } else { "mp4" };
        let stream: File = file.reopen()?;
        let stream = format::context::StreamIo::from_write_seek(stream)?;
        let mut output = format::output_to_stream(stream, None, Some(container))?;
        let pictures = Pictures::open(&clip_format(size, fps), &mut output)?;
        let sound = Sound::open(original, &mut output)?;
        write_header(&mut output)?;
        Ok(Redrawn { file, output, pictures, sound })
    }

    /// Adds the next picture; one of another size is resized.
    ///
    /// # Errors
    /// When encoding or writing fails.
    fn push(&mut self, picture: &RgbImage) -> Result<()> {
        let (width, height) = self.pictures.size();
        let fitted;
        let picture = if picture.dimensions() == (width, height) {
            picture
        } else {
            fitted = fit(picture, width, height);
            &fitted
        };
        self.pictures.push(picture, &mut self.output)?;
        let seconds = self.pictures.seconds();
        match &mut self.sound {
            Some(sound) => sound.copy_until(seconds, &mut self.output),
            None => Ok(()),
        }
    }

    /// Writes the end and puts the file at `path`; returns the number of pictures and whether
    /// there is sound.
    ///
    /// # Errors
    /// When there was no picture, or writing fails.
    fn finish(mut self, path: &Path) -> Result<(u64, bool)> {
        ensure!(self.pictures.count() > 0, "a video needs at least one picture");
        self.pictures.finish(&mut self.output)?;
        let end = self.pictures.seconds();
        if let Some(sound) = &mut self.sound {
            sound.copy_until(end, &mut self.output)?;
        }
        self.output.write_trailer()?;
        // The muxer's own handle closes before the file takes its name.
        drop(self.output);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        self.file.as_file().set_permissions(mode)?;
        self.file.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok((self.pictures.count() as u64, self.sound.is_some()))
    }
}

/// What videos are written with: H.264 where this FFmpeg has an encoder for it, else MPEG-4.
pub fn codec() -> Codec {
    match encoder::find_by_name(Codec::H264.encoder()) {
        Some(_) => Codec::H264,
        None => Codec::Mpeg4,
    }
}

fn clip_format((width, height): (u32, u32), fps: f64) -> ClipFormat {
    let codec = codec();
    let quality = if codec == Codec::H264 { CRF } else { QUANTISER };
    let even = |side: u32| side.max(16).next_multiple_of(2);
    let (width, height) = (even(width), even(height));
    ClipFormat {
        codec,
        width,
        height,
        fps: fraction(fps),
        gop: 48,
        b_frames: 0,
        quality,
        tone_hz: None,
    }
}

/// A frame rate as a fraction: NTSC's where it is one, else thousandths.
fn fraction(fps: f64) -> (i32, i32) {
    let ntsc = (fps * 1.001).round();
    if (fps * 1.001 - ntsc).abs() < 1e-3 && (fps - fps.round()).abs() > 1e-3 {
        return (ntsc as i32 * 1000, 1001);
    }
    ((fps * 1000.0).round() as i32, 1000)
}

/// One more row or column repeats the edge; any other size is resized.
fn fit(picture: &RgbImage, width: u32, height: u32) -> RgbImage {
    let (w, h) = picture.dimensions();
    if width.wrapping_sub(w) > 1 || height.wrapping_sub(h) > 1 {
        return imageops::resize(picture, width, height, imageops::FilterType::Triangle);
    }
    RgbImage::from_fn(width, height, |x, y| *picture.get_pixel(x.min(w - 1), y.min(h - 1)))
}

/// The sound track of the original, copied as it is.
struct Sound {
    input: Input,
    stream: usize,
    time_base: Rational,
    /// Where the original's clock starts, in units of `time_base`.
    start: i64,
    /// A packet that comes later than what was asked for.
    ahead: Option<Packet>,
    track: usize,
}

impl Sound {
    fn open(original: &Path, output: &mut format::context::Output) -> Result<Option<Self>> {
        let Ok(input) = format::input(original) else { return Ok(None) };
        let Some(source) = input.streams().best(media::Type::Audio) else { return Ok(None) };
        let (stream, time_base) = (source.index(), source.time_base());
        let micro = Rational(1, 1_000_000);
        // SAFETY: a plain number of an open input.
        let start = unsafe { (*input.as_ptr()).start_time };
        let start = if start == ffmpeg::ffi::AV_NOPTS_VALUE { 0 } else { start };
        let start = ffmpeg::Rescale::rescale(&start, micro, time_base);
        let parameters = source.parameters();
        let mut track = output.add_stream(encoder::find(codec::Id::None))?;
        track.set_parameters(parameters);
        track.set_time_base(time_base);
        // SAFETY: the track is ours and not yet written; the tag of another container would be
        // refused by this one.
        unsafe { (*track.parameters().as_mut_ptr()).codec_tag = 0 };
        let track = track.index();
        Ok(Some(Sound { input, stream, time_base, start, ahead: None, track }))
    }

    /// Copies the packets that begin before `seconds`.
    fn copy_until(&mut self, seconds: f64, output: &mut format::context::Output) -> Result<()> {
        while let Some(mut packet) = self.ahead.take().or_else(|| self.next()) {
            let at = packet.dts().or(packet.pts()).unwrap_or_default() - self.start;
            if at as f64 * f64::from(self.time_base) >= seconds {
                self.ahead = Some(packet);
                return Ok(());
            }
            packet.set_pts(packet.pts().map(|t| t - self.start));
            packet.set_dts(packet.dts().map(|t| t - self.start));
            packet.set_stream(self.track);
            write_packet(&mut packet, self.time_base, output)?;
        }
        Ok(())
    }

    /// The next packet of the track; `None` at the end and where reading breaks off.
    fn next(&mut self) -> Option<Packet> {
        loop {
            let mut packet = Packet::empty();
            packet.read(&mut self.input).ok()?;
            if packet.stream() == self.stream {
                return Some(packet);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::encode::write_clip;

    fn plain(w: u32, h: u32) -> RgbImage {
        RgbImage::from_pixel(w, h, image::Rgb([200, 40, 40]))
    }

    #[test]
    fn on_a_thread_of_its_own_it_is_the_same_video() {
        let dir = tempfile::tempdir().expect("temp dir");
        let original = dir.path().join("a.avi");
        write_clip(&original, &ClipFormat::default(), (0..9).map(|_| plain(400, 300)))
            .expect("clip");
        let [here, there, given_up] =
            ["a", "b", "c"].map(|n| dir.path().join(n).with_extension("mp4"));
        let shade = |n: u8| RgbImage::from_pixel(64, 48, image::Rgb([20 * n, 90, 9]));
        let mut redrawn = Redrawn::begin(&here, &original, (64, 48), 25.0).expect("begin");
        (0..12).for_each(|n| redrawn.push(&shade(n)).expect("push"));
        redrawn.push(&shade(11)).expect("push");
        assert_eq!(redrawn.finish(&here).expect("finish"), (13, false));
        let mut redrawing = Redrawing::begin(&there, &original, (64, 48), 25.0).expect("begin");
        (0..12).for_each(|n| redrawing.push(shade(n), 1 + u64::from(n == 11)).expect("push"));
        assert_eq!(redrawing.finish().expect("finish"), (13, false));
        assert_eq!(std::fs::read(&here).expect("reads"), std::fs::read(&there).expect("reads"));
        let mut redrawing = Redrawing::begin(&given_up, &original, (64, 48), 25.0).expect("begin");
        redrawing.push(shade(1), 1).expect("push");
        drop(redrawing);
        assert_eq!(std::fs::read_dir(dir.path()).expect("folder").count(), 3, "nothing is left");
        let nowhere = dir.path().join("none/d.mp4");
        assert!(Redrawing::begin(&nowhere, &original, (64, 48), 25.0).is_err());
    }

    #[test]
    fn rates_are_fractions() {
        assert_eq!(fraction(25.0), (25_000, 1000));
        assert_eq!(fraction(30_000.0 / 1001.0), (30_000, 1001));
        assert_eq!(fraction(24_000.0 / 1001.0), (24_000, 1001));
        assert_eq!(fraction(12.5), (12_500, 1000));
    }

    #[test]
    fn pictures_and_sound_are_kept() {
        let dir = tempfile::tempdir().expect("temp dir");
        let original = dir.path().join("a.avi");
        let format = ClipFormat { tone_hz: Some(440.0), ..ClipFormat::default() };
        write_clip(&original, &format, (0..50).map(|_| plain(400, 300))).expect("clip");
        assert_eq!(extension(&original), "mp4");
        let path = dir.path().join("out.mp4");
        // An odd size, as a crop may have.
        let mut redrawn = Redrawn::begin(&path, &original, (399, 299), 25.0).expect("begin");
        (0..50).for_each(|_| redrawn.push(&plain(399, 299)).expect("push"));
        assert_eq!(redrawn.finish(&path).expect("finish"), (50, true));
        let mut input = format::input(&path).expect("opens");
        let kinds: Vec<_> = input.streams().map(|s| s.parameters().medium()).collect();
        assert_eq!(kinds, [media::Type::Video, media::Type::Audio]);
        let mut counts = [0; 2];
        input.packets().for_each(|(stream, _)| counts[stream.index()] += 1);
        // Two seconds of mp3 at 44,100 Hz: 1152 samples a packet.
        assert!(counts[0] == 50 && (75..=80).contains(&counts[1]), "{counts:?}");
        assert_eq!(std::fs::read_dir(dir.path()).expect("folder").count(), 2, "nothing beside");
    }
}
