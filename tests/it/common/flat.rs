//! Clips of one flat colour whose headers say how it is meant.
use std::path::Path;

use ffmpeg_next::{
    self as ffmpeg, codec, color, encoder,
    format::{self, Pixel},
    frame, Dictionary, Packet, Rational,
};

/// Writes a second of a colour, given as luma and two colour differences, lossless, with this
/// matrix (`bt601` or `bt709`) and range in its headers.
pub fn write(path: &Path, planes: [u8; 3], matrix: &str, is_full: bool) {
    const TICK: Rational = Rational(1, 25);
    ffmpeg::init().expect("ffmpeg");
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
    let space = if matrix == "bt709" { color::Space::BT709 } else { color::Space::SMPTE170M };
    let range = if is_full { color::Range::JPEG } else { color::Range::MPEG };
    let mut output = format::output(path).expect("container");
    let found = encoder::find_by_name("ffv1").expect("encoder is there");
    let mut video = codec::Context::new_with_codec(found).encoder().video().expect("video");
    video.set_width(160);
    video.set_height(96);
    video.set_format(Pixel::YUV420P);
    video.set_time_base(TICK);
    video.set_frame_rate(Some(Rational(25, 1)));
    video.set_colorspace(space);
    video.set_color_range(range);
    let mut video = video.open_with(Dictionary::new()).expect("encoder opens");
    output.add_stream_with(&video).expect("track").set_time_base(TICK);
    output.write_header().expect("header");
    for n in 0..=25 {
        if n < 25 {
            video.send_frame(&picture(planes, space, range, n)).expect("encodes");
        } else {
            video.send_eof().expect("eof");
        }
        let mut packet = Packet::empty();
        while video.receive_packet(&mut packet).is_ok() {
            packet.set_stream(0);
            packet.rescale_ts(TICK, output.stream(0).expect("track").time_base());
            packet.write_interleaved(&mut output).expect("writes");
        }
    }
    output.write_trailer().expect("trailer");
}

fn picture(planes: [u8; 3], space: color::Space, range: color::Range, n: i64) -> frame::Video {
    let mut picture = frame::Video::new(Pixel::YUV420P, 160, 96);
    for (plane, value) in planes.into_iter().enumerate() {
        picture.data_mut(plane).fill(value);
    }
    picture.set_pts(Some(n));
    picture.set_color_space(space);
    picture.set_color_range(range);
    picture
}
