//! Small real clips whose every frame carries its own index, burned into the picture.
use std::{ops::Range, path::Path};

use image::{Rgb, RgbImage};
use ncaers::internals::media::encode::{write_clip, ClipFormat};

/// Edge of one burned bit in pixels; two macroblocks would be 32, one survives any quantiser here.
const BIT: u32 = 16;
/// Bits of the index.
const BITS: u32 = 8;

/// Frame `index` of a moving scene that depends on `scene`, with the index burned in at the top.
pub fn picture(width: u32, height: u32, index: u32, scene: u32) -> RgbImage {
    let phase = f64::from(index) * 0.15 + f64::from(scene) * 1.7;
    let (a, b) = (0.02 + 0.011 * f64::from(scene % 7), 0.03 + 0.007 * f64::from(scene % 5));
    let wave = |v: f64| (128.0 + 100.0 * v.sin()) as u8;
    let mut picture = RgbImage::from_fn(width, height, |x, y| {
        let (x, y) = (f64::from(x), f64::from(y));
        Rgb([wave(a * x + phase), wave(b * y - phase), wave(a * x + b * y + f64::from(scene))])
    });
    for bit in 0..BITS {
        let level = if index >> bit & 1 == 1 { 235 } else { 20 };
        for (x, y) in (0..BIT * BIT).map(|i| (bit * BIT + i % BIT, i / BIT)) {
            picture.put_pixel(x, y, Rgb([level; 3]));
        }
    }
    picture
}

/// The index burned into a decoded picture.
pub fn burned_index(picture: &RgbImage) -> u32 {
    (0..BITS).fold(0, |index, bit| {
        let level = picture.get_pixel(bit * BIT + BIT / 2, BIT / 2)[1];
        index | u32::from(level > 128) << bit
    })
}

/// Writes a clip of `frames` frames (at most 256) of `scene`.
pub fn write(path: &Path, format: &ClipFormat, frames: u32, scene: u32) {
    let pictures = (0..frames).map(|i| picture(format.width, format.height, i, scene));
    write_clip(path, format, pictures).expect("clip is written");
}

/// Where the contents of an AVI's chunks lie.
pub fn chunks(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut at = bytes.windows(4).position(|w| w == b"movi").expect("chunk") + 4;
    let mut found = Vec::new();
    while bytes[at..].starts_with(b"00dc") {
        let size = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().expect("four")) as usize;
        found.push(at + 8..at + 8 + size);
        at += 8 + size.next_multiple_of(2);
    }
    found
}
