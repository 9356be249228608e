//! Still pictures: loading, cropping, masking, and the one resize rule of the whole crate.
//!
//! Resize: bilinear with half-pixel centres and no antialiasing, as the paper's released code
//! does; interpolated in f32, rounded half up to u8.
use std::{io::Cursor, path::Path};

use anyhow::{bail, ensure, Context, Result};
use image::{GrayImage, ImageFormat, ImageReader, RgbImage};
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp, YuvImage};

use super::{jpeg, orientation};
use crate::record::FaceBox;

/// Pictures with more pixels than this are refused before they are decoded.
const MAX_PIXELS: u64 = 1 << 28;

/// Loads a JPEG or PNG file as RGB, upright; the format is read from the bytes, not from the name.
///
/// # Errors
/// When the file cannot be read, or as [`decode_rgb`].
pub fn load_rgb(path: &Path) -> Result<RgbImage> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    decode_rgb(&bytes).with_context(|| format!("cannot decode {}", path.display()))
}

/// Decodes the bytes of a JPEG or PNG file as RGB, turned upright as its EXIF data ask for.
///
/// # Errors
/// When the bytes are no such picture, a part of it is missing or broken, or it is larger than 2^28
/// pixels.
pub fn decode_rgb(bytes: &[u8]) -> Result<RgbImage> {
    let picture = decode_known(bytes)?;
    if bytes.starts_with(b"\xff\xd8") {
        if let Some(damage) = jpeg::damage(bytes) {
            bail!("the picture is not whole: {damage}");
        }
    }
    Ok(picture)
}

/// As [`decode_rgb`], without looking for missing parts: for bytes that are known to be whole, such
/// as those of a manifest's picture whose digest was checked.
///
/// # Errors
/// When the bytes are no such picture, or it is larger than 2^28 pixels.
pub fn decode_known(bytes: &[u8]) -> Result<RgbImage> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    let (width, height) = reader.into_dimensions()?;
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        bail!("{width}x{height} pixels are too many");
    }
    let picture = image::load_from_memory(bytes)?.into_rgb8();
    Ok(orientation::upright(picture, orientation::of_file(bytes)))
}

/// The brightness of a whole JPEG file that stands upright as it is stored, at a third of the cost of its
/// colours; `None` of everything else, for [`decode_rgb`] to read or to refuse.
pub fn stored_grey(bytes: &[u8]) -> Option<GrayImage> {
    let upright = || orientation::of_file(bytes) == orientation::UPRIGHT;
    (bytes.starts_with(b"\xff\xd8") && upright()).then(|| jpeg::grey(bytes, MAX_PIXELS))?
}

/// JPEG at `quality` (1..=100) without chroma subsampling.
///
/// # Errors
/// When the picture is larger than 65,500 pixels a side, or empty.
pub fn encode_jpeg(picture: &RgbImage, quality: u8) -> Result<Vec<u8>> {
    jpeg(picture, quality, Subsamp::None)
}

/// JPEG at `quality` (1..=100) for looking at only: half the colour resolution, half the bytes.
///
/// # Errors
/// As [`encode_jpeg`].
pub fn encode_thumbnail(picture: &RgbImage, quality: u8) -> Result<Vec<u8>> {
    jpeg(picture, quality, Subsamp::Sub2x2)
}

/// A picture in JPEG's own colours: BT.601, full range, chroma for every pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ycc {
    /// Pixels in a line.
    pub width: usize,
    /// Lines.
    pub height: usize,
    /// All of Y, then all of Cb, then all of Cr, line by line without gaps.
    pub planes: Vec<u8>,
}

/// As [`encode_jpeg`], of a picture that needs no conversion.
///
/// # Errors
/// As [`encode_jpeg`].
///
/// # Panics
/// When there are fewer bytes than pixels: that is the caller's arithmetic.
pub fn encode_ycc(picture: &Ycc, quality: u8) -> Result<Vec<u8>> {
    let Ycc { width, height, .. } = *picture;
    let pixels = picture.planes.as_slice();
    let image = YuvImage { pixels, width, align: 1, height, subsamp: Subsamp::None };
    Ok(compressor((width, height), quality)?.compress_yuv_to_vec(image)?)
}

fn jpeg(picture: &RgbImage, quality: u8, sampling: Subsamp) -> Result<Vec<u8>> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let pixels = picture.as_raw().as_slice();
    let image = Image { pixels, width, pitch: 3 * width, height, format: PixelFormat::RGB };
    let mut compressor = compressor((width, height), quality)?;
    compressor.set_subsamp(sampling)?;
    Ok(compressor.compress_to_vec(image)?)
}

/// libjpeg-turbo with its exact integer transform, whose bytes are those of its plain C code
/// whatever the processor can do; compiled from the source that `Cargo.lock` pins, so that a
/// distribution's own version changes nothing.
fn compressor((width, height): (usize, usize), quality: u8) -> Result<Compressor> {
    ensure!(width > 0 && height > 0, "an empty picture cannot be a JPEG");
    let mut compressor = Compressor::new()?;
    compressor.set_quality(quality.into())?;
    Ok(compressor)
}

/// PNG bytes.
///
/// # Errors
/// When the picture is empty.
pub fn encode_png(picture: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    picture.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)?;
    Ok(bytes)
}

/// Sets the pixels of `face` (half-open, clipped to the picture) to `value` in all channels.
pub fn mask(picture: &mut RgbImage, face: FaceBox, value: u8) {
    let Some(b) = face.clipped(picture.width(), picture.height()) else { return };
    let stride = picture.width() as usize * 3;
    for row in picture.chunks_exact_mut(stride).take(b.y2 as usize).skip(b.y1 as usize) {
        row[b.x1 as usize * 3..b.x2 as usize * 3].fill(value);
    }
}

/// `face` widened on every side by `margin` times its width and height, clipped to the picture.
pub fn widen(face: FaceBox, margin: f64, width: u32, height: u32) -> Option<FaceBox> {
    // Other people's boxes may reach far out of the picture, so that sums stop at the last number.
    let grown = |low: i32, high: i32| {
        let by = ((f64::from(high) - f64::from(low)) * margin).round() as i32;
        (low.saturating_sub(by), high.saturating_add(by))
    };
    let ((x1, x2), (y1, y2)) = (grown(face.x1, face.x2), grown(face.y1, face.y2));
    FaceBox { x1, y1, x2, y2, ..face }.clipped(width, height)
}

/// The whole of a `width` x `height` picture as a box.
pub fn whole(width: u32, height: u32) -> FaceBox {
    FaceBox { x1: 0, y1: 0, x2: width as i32, y2: height as i32, score: 0.0 }
}

/// Where an output coordinate falls in the input: two neighbours and the second one's weight.
#[derive(Clone, Copy)]
struct Tap {
    lower: usize,
    upper: usize,
    weight: f32,
}

/// Taps of `count` outputs over the inputs `start..start + length`.
fn taps(start: usize, length: usize, count: usize) -> Vec<Tap> {
    let scale = length as f32 / count as f32;
    let last = length as f32 - 1.0;
    (0..count)
        .map(|i| {
            let at = ((i as f32 + 0.5) * scale - 0.5).clamp(0.0, last);
            let lower = at.floor();
            let upper = (lower + 1.0).min(last);
            Tap { lower: start + lower as usize, upper: start + upper as usize, weight: at - lower }
        })
        .collect()
}

/// Resizes the part `from` (inside the picture) to `width` x `height` and writes it channel by
/// channel into `out`, `[3, height, width]`.
///
/// # Panics
/// When `from` leaves the picture or `out` is not `3 * height * width` long: both are the
/// caller's arithmetic, never data from outside.
pub fn resize_chw(picture: &RgbImage, from: FaceBox, width: usize, height: usize, out: &mut [u8]) {
    assert_eq!(out.len(), 3 * width * height, "output length");
    let columns = taps(from.x1 as usize, (from.x2 - from.x1) as usize, width);
    let rows = taps(from.y1 as usize, (from.y2 - from.y1) as usize, height);
    let (pixels, stride) = (picture.as_raw(), picture.width() as usize * 3);
    for (y, row) in rows.iter().enumerate() {
        let line = |at: usize| &pixels[at * stride..][..stride];
        let (above, below) = (line(row.lower), line(row.upper));
        for (x, column) in columns.iter().enumerate() {
            for channel in 0..3 {
                let mix = |line: &[u8]| {
                    let a = f32::from(line[column.lower * 3 + channel]);
                    let b = f32::from(line[column.upper * 3 + channel]);
                    a + (b - a) * column.weight
                };
                let (a, b) = (mix(above), mix(below));
                out[(channel * height + y) * width + x] = (a + (b - a) * row.weight + 0.5) as u8;
            }
        }
    }
}

/// The whole picture resized to `width` x `height`; see the module's rule.
pub fn resize_bilinear(picture: &RgbImage, width: u32, height: u32) -> RgbImage {
    let (w, h) = (width as usize, height as usize);
    let mut planes = vec![0; 3 * w * h];
    resize_chw(picture, whole(picture.width(), picture.height()), w, h, &mut planes);
    RgbImage::from_fn(width, height, |x, y| {
        let at = y as usize * w + x as usize;
        image::Rgb([planes[at], planes[w * h + at], planes[2 * w * h + at]])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    fn ramp(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| Rgb([(x * 10) as u8, (y * 20) as u8, 7]))
    }

    #[test]
    fn same_size_is_the_same_picture() {
        assert_eq!(resize_bilinear(&ramp(9, 5), 9, 5), ramp(9, 5));
    }

    #[test]
    fn halving_takes_the_mean_of_the_middle_two() {
        // width 4 -> 2: output 0 sits at input 0.5, between 0 and 10 -> 5; output 1 at 2.5 -> 25.
        let half = resize_bilinear(&ramp(4, 2), 2, 1);
        assert_eq!(half.get_pixel(0, 0), &Rgb([5, 10, 7]));
        assert_eq!(half.get_pixel(1, 0), &Rgb([25, 10, 7]));
    }

    #[test]
    fn thirds_take_no_antialias() {
        // width 9 -> 3: outputs sit exactly on inputs 1, 4, 7; a filter would average nine.
        let third = resize_bilinear(&ramp(9, 3), 3, 1);
        let reds: Vec<_> = third.pixels().map(|p| p[0]).collect();
        assert_eq!(reds, [10, 40, 70]);
    }

    #[test]
    fn enlarging_repeats_the_edge() {
        // width 2 -> 4: inputs 0 and 10 at -0.25, 0.25, 0.75, 1.25 -> 0, 2.5, 7.5, 10.
        let wide = resize_bilinear(&ramp(2, 1), 4, 1);
        let reds: Vec<_> = wide.pixels().map(|p| p[0]).collect();
        assert_eq!(reds, [0, 3, 8, 10]);
    }

    #[test]
    fn the_mask_is_half_open() {
        let mut picture = RgbImage::from_pixel(4, 4, Rgb([9, 9, 9]));
        mask(&mut picture, FaceBox { x1: 1, y1: -3, x2: 3, y2: 2, score: 0.0 }, 0);
        let black = picture.enumerate_pixels().filter(|(_, _, p)| p[0] == 0);
        let at: Vec<_> = black.map(|(x, y, _)| (x, y)).collect();
        assert_eq!(at, [(1, 0), (2, 0), (1, 1), (2, 1)]);
    }

    #[test]
    fn jpeg_keeps_colour_per_pixel() {
        let red_left =
            RgbImage::from_fn(
                16,
                16,
                |x, _| {
                    if x < 8 {
                        Rgb([200, 0, 0])
                    } else {
                        Rgb([0, 0, 200])
                    }
                },
            );
        let back = decode_rgb(&encode_jpeg(&red_left, 95).expect("encode")).expect("decode");
        let near = |a: u8, b: i32| (i32::from(a) - b).abs() < 12;
        assert!(near(back.get_pixel(7, 8)[0], 200) && near(back.get_pixel(8, 8)[2], 200));
    }

    /// Noise over a slope, so that every coefficient is in use.
    fn rough(width: u32, height: u32, seed: u64) -> RgbImage {
        let mut draws = crate::seed::Draws::new(seed, "rough picture", "");
        let span = 1 + 40 * (seed % 7);
        RgbImage::from_fn(width, height, |x, y| {
            let mut level = |v: u32| (u64::from(v % 216) + draws.below(span)).min(255) as u8;
            Rgb([level(x), level(y), level(x + y)])
        })
    }

    /// Variables that take processor features away from the encoder.
    const WITHOUT: [&str; 3] = ["JSIMD_FORCESSE2", "JSIMD_FORCENONE", "JSIMD_NOHUFFENC"];

    /// The test runs itself again as on an older processor, and with plain C.
    #[test]
    fn jpeg_bytes_are_the_same_on_every_processor() {
        let mut bytes = Vec::new();
        for (seed, quality) in (0..60).zip([95, 30, 75, 100].into_iter().cycle()) {
            let (width, height) = (1 + seed as u32 * 7 % 61, 1 + seed as u32 * 11 % 53);
            bytes.extend(encode_jpeg(&rough(width, height, seed), quality).expect("encode"));
        }
        bytes.extend(encode_jpeg(&rough(720, 404, 6), 95).expect("encode"));
        bytes.extend(encode_thumbnail(&rough(263, 141, 5), 80).expect("encode"));
        let hash = crate::digest::sha256_hex(&bytes);
        assert_eq!(hash, "44d1593c71f67a3e5baa4f2697c0edb7981542807144f5ced3e1356f5d745b4a");
        if WITHOUT.iter().any(|variable| std::env::var_os(variable).is_some()) {
            return;
        }
        let name = "media::image::tests::jpeg_bytes_are_the_same_on_every_processor";
        for variable in WITHOUT {
            let mut again = std::process::Command::new(std::env::current_exe().expect("a program"));
            let out = again.args(["--exact", name]).env(variable, "1").output().expect("starts");
            let text = String::from_utf8_lossy(&out.stdout);
            assert!(out.status.success() && text.contains("1 passed"), "{variable}: {text}");
        }
    }

    #[test]
    fn a_thumbnail_looks_like_its_picture() {
        let picture = ramp(24, 12);
        let back = decode_rgb(&encode_thumbnail(&picture, 80).expect("encode")).expect("decode");
        let far = |(a, b): (&u8, &u8)| a.abs_diff(*b) > 24;
        assert!(!picture.iter().zip(back.iter()).any(far), "colours are off");
    }

    #[test]
    fn what_jpeg_cannot_hold_is_refused() {
        assert!(encode_jpeg(&RgbImage::new(0, 3), 95).is_err());
        assert!(encode_jpeg(&RgbImage::new(65_501, 1), 95).is_err());
        assert!(encode_jpeg(&RgbImage::new(65_500, 1), 95).is_ok());
    }

    /// A PNG of that size as far as its header goes: pixels are announced and missing.
    fn header_of_png(width: u32, height: u32) -> Vec<u8> {
        let mut chunk = b"IHDR".to_vec();
        chunk.extend(width.to_be_bytes().into_iter().chain(height.to_be_bytes()));
        chunk.extend([8, 2, 0, 0, 0]);
        let crc = chunk.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |c, _| c >> 1 ^ (c & 1).wrapping_mul(0xedb8_8320))
        });
        let length = (chunk.len() as u32 - 4).to_be_bytes();
        let pixels = b"\0\0\x01\0IDAT";
        [&b"\x89PNG\r\n\x1a\n"[..], &length, &chunk, &(!crc).to_be_bytes(), pixels].concat()
    }

    #[test]
    fn pictures_of_more_than_2_to_the_28_pixels_are_refused_by_their_header() {
        let refusal = |width, height| {
            decode_known(&header_of_png(width, height)).expect_err("has no pixels").to_string()
        };
        assert_eq!(refusal(16_385, 16_384), "16385x16384 pixels are too many");
        assert_eq!(refusal(1 << 20, 257), "1048576x257 pixels are too many");
        for (width, height) in [(16_384, 16_384), (3, 5)] {
            let other = refusal(width, height);
            assert!(!other.contains("too many"), "{other}");
        }
    }

    #[test]
    fn rubbish_is_refused() {
        assert!(decode_rgb(b"not a picture").is_err());
        assert!(decode_rgb(&[]).is_err());
    }

    #[test]
    fn widening_stops_at_the_edge() {
        let face = FaceBox { x1: 10, y1: 10, x2: 20, y2: 30, score: 1.0 };
        let wide = widen(face, 0.5, 22, 100).expect("inside");
        assert_eq!((wide.x1, wide.y1, wide.x2, wide.y2), (5, 0, 22, 40));
    }

    #[test]
    fn boxes_as_wide_as_numbers_go_are_widened() {
        let all = FaceBox { x1: i32::MIN, y1: 3, x2: i32::MAX, y2: 5, score: 1.0 };
        for margin in [0.0, 0.5, 1e9] {
            let wide = widen(all, margin, 22, 100).expect("inside");
            assert_eq!((wide.x1, wide.x2), (0, 22));
        }
        let far = FaceBox { x1: i32::MAX - 4, x2: i32::MAX, ..all };
        assert_eq!(widen(far, 1.0, 22, 100), None);
    }
}
