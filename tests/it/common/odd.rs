//! Real clips of kinds that the product's own writer does not make: any encoder, pixel format,
//! flag and time stamp.
use std::path::Path;

use ffmpeg_next::{
    self as ffmpeg, codec, encoder,
    format::{self, Pixel},
    frame,
    software::scaling,
    Dictionary, Packet, Rational,
};
use image::RgbImage;

/// How an odd clip is encoded; time stamps are in units of `tick`.
pub struct Odd {
    pub encoder: &'static str,
    pub pixel: Pixel,
    pub tick: (i32, i32),
    /// Time stamp of frame n, ascending.
    pub time: fn(u32) -> i64,
    pub flags: codec::Flags,
    pub aspect: (i32, i32),
    pub b_frames: usize,
    /// The encoder's own settings.
    pub options: &'static [(&'static str, &'static str)],
    /// Number of the transfer characteristics; 2 for none.
    pub transfer: u8,
}

impl Odd {
    pub fn new(encoder: &'static str, pixel: Pixel) -> Self {
        Odd {
            encoder,
            pixel,
            tick: (1, 25),
            time: i64::from,
            flags: codec::Flags::empty(),
            aspect: (1, 1),
            b_frames: 0,
            options: &[],
            transfer: 2,
        }
    }

    fn open(&self, width: u32, height: u32, global: bool) -> encoder::Video {
        let found = encoder::find_by_name(self.encoder).expect("encoder is there");
        let mut context = codec::Context::new_with_codec(found);
        let mut flags = self.flags | codec::Flags::BITEXACT;
        flags.set(codec::Flags::GLOBAL_HEADER, global);
        context.set_flags(flags);
        context.set_threading(codec::threading::Config::count(1));
        let mut video = context.encoder().video().expect("video");
        video.set_width(width);
        video.set_height(height);
        video.set_format(self.pixel);
        video.set_time_base(self.tick);
        video.set_frame_rate(Some(Rational(self.tick.1, self.tick.0)));
        video.set_aspect_ratio(self.aspect);
        video.set_gop(12);
        video.set_max_b_frames(self.b_frames);
        video.set_bit_rate(4_000_000);
        let mut options = Dictionary::new();
        self.options.iter().for_each(|(key, value)| options.set(key, value));
        // SAFETY: a field of our encoder that is not yet open; 16 and 18 are the two values used.
        unsafe {
            use ffmpeg::ffi::AVColorTransferCharacteristic as Transfer;
            (*video.as_mut_ptr()).color_trc = match self.transfer {
                16 => Transfer::AVCOL_TRC_SMPTE2084,
                18 => Transfer::AVCOL_TRC_ARIB_STD_B67,
                _ => Transfer::AVCOL_TRC_UNSPECIFIED,
            };
        }
        video.open_with(options).expect("encoder opens")
    }

    /// Writes `pictures`, all of one size, to `path`; the name's ending is the container.
    pub fn write(&self, path: &Path, pictures: &[RgbImage]) {
        ffmpeg::init().expect("ffmpeg");
        ffmpeg::log::set_level(ffmpeg::log::Level::Quiet);
        let (width, height) = pictures[0].dimensions();
        let mut output = format::output(path).expect("container");
        let global = output.format().flags().contains(format::Flags::GLOBAL_HEADER);
        let mut video = self.open(width, height, global);
        let mut track = output.add_stream_with(&video).expect("track");
        track.set_time_base(self.tick);
        track.set_avg_frame_rate(Rational(self.tick.1, self.tick.0));
        output.write_header().expect("header");
        let mut scaler = scaling::Context::get(
            Pixel::RGB24,
            width,
            height,
            self.pixel,
            width,
            height,
            scaling::Flags::BILINEAR | scaling::Flags::ACCURATE_RND | scaling::Flags::BITEXACT,
        )
        .expect("scaler");
        for (i, picture) in pictures.iter().enumerate() {
            let mut converted = frame::Video::empty();
            scaler.run(&rgb(picture), &mut converted).expect("converts");
            converted.set_pts(Some((self.time)(i as u32)));
            if self.flags.contains(codec::Flags::INTERLACED_DCT) {
                mark_interlaced(&mut converted);
            }
            video.send_frame(&converted).expect("encodes");
            self.drain(&mut video, &mut output);
        }
        video.send_eof().expect("eof");
        self.drain(&mut video, &mut output);
        output.write_trailer().expect("trailer");
    }

    fn drain(&self, video: &mut encoder::Video, output: &mut format::context::Output) {
        let mut packet = Packet::empty();
        while video.receive_packet(&mut packet).is_ok() {
            packet.set_stream(0);
            let track = output.stream(0).expect("track").time_base();
            packet.rescale_ts(Rational(self.tick.0, self.tick.1), track);
            packet.write_interleaved(output).expect("writes");
        }
    }
}

fn rgb(picture: &RgbImage) -> frame::Video {
    let mut rgb = frame::Video::new(Pixel::RGB24, picture.width(), picture.height());
    let (stride, row) = (rgb.stride(0), picture.width() as usize * 3);
    for (to, from) in rgb.data_mut(0).chunks_mut(stride).zip(picture.as_raw().chunks(row)) {
        to[..row].copy_from_slice(from);
    }
    rgb
}

fn mark_interlaced(picture: &mut frame::Video) {
    // SAFETY: a field of a live frame that encoders read.
    unsafe { (*picture.as_mut_ptr()).interlaced_frame = 1 }
}

/// A song with its cover: an ID3 tag with a picture, then frames of silence (MPEG-1 layer 3,
/// 128 kbit/s, 44.1 kHz, mono).
pub fn song(cover: &RgbImage) -> Vec<u8> {
    let mut body = b"\0image/jpeg\0\x03\0".to_vec();
    body.extend(ncaers::internals::media::image::encode_jpeg(cover, 90).expect("encodes"));
    let mut frame = b"APIC".to_vec();
    frame.extend((body.len() as u32).to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(body);
    let length = frame.len() as u32;
    let mut file = b"ID3\x03\0\0".to_vec();
    file.extend([21, 14, 7, 0].map(|shift| (length >> shift & 0x7f) as u8));
    file.extend(frame);
    for _ in 0..50 {
        file.extend([0xff, 0xfb, 0x90, 0xc4]);
        file.resize(file.len() + 413, 0);
    }
    file
}
