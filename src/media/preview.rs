//! JPEG decoded by libjpeg-turbo, half the time of the portable decoder: for looking at, not for
//! bytes that are promised.
use anyhow::{bail, ensure, Context, Result};
use image::RgbImage;
use turbojpeg::{Decompressor, Image, PixelFormat};

/// Pictures with more pixels than this are refused before they are decoded.
const MAX_PIXELS: usize = 1 << 28;

/// The pixels of a JPEG, as they are stored.
///
/// # Errors
/// When the bytes are damaged or another format, the picture is larger than 2^28 pixels, or its
/// metadata says that it is turned.
pub fn decode(bytes: &[u8]) -> Result<RgbImage> {
    // Only the portable path reads orientation.
    if bytes.windows(6).take(1 << 12).any(|w| w == b"Exif\0\0") {
        bail!("it may be turned");
    }
    let mut decompressor = Decompressor::new()?;
    let header = decompressor.read_header(bytes)?;
    let (width, height) = (header.width, header.height);
    let fits = width.checked_mul(height).is_some_and(|n| n > 0 && n <= MAX_PIXELS);
    ensure!(fits, "{width}x{height} pixels are too many or none");
    let mut pixels = vec![0; 3 * width * height];
    let format = PixelFormat::RGB;
    let output = Image { pixels: &mut pixels[..], width, pitch: 3 * width, height, format };
    decompressor.decompress(bytes, output)?;
    RgbImage::from_raw(width as u32, height as u32, pixels).context("the picture is incomplete")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::image::{decode_rgb, encode_jpeg, encode_png};

    #[test]
    fn both_decoders_show_the_same() {
        let wave = |x: u32, y: u32| ((x * 3 + y * 5) % 200) as u8 + 20;
        let picture =
            RgbImage::from_fn(61, 43, |x, y| image::Rgb([wave(x, y), wave(y, x), wave(x / 2, y)]));
        let bytes = encode_jpeg(&picture, 90).expect("encodes");
        let (fast, portable) = (decode(&bytes).expect("ours"), decode_rgb(&bytes).expect("image"));
        assert!(fast.iter().zip(portable.iter()).all(|(a, b)| a.abs_diff(*b) <= 2));
        assert!(decode(&encode_png(&picture).expect("encodes")).is_err());
        assert!(decode(&bytes[..40]).is_err() && decode(b"").is_err());
    }
}
