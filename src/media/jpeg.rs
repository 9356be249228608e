//! Whether a JPEG file is whole.
//!
//! Decoders fill up what is missing with grey and say nothing. libjpeg-turbo's warnings tell; a
//! progressive file that ends between two of its scans gives no warning and is found by its headers.
use std::{cell::RefCell, collections::BTreeMap};

use image::GrayImage;
use turbojpeg::{Colorspace, Decompressor, Error, Image, PixelFormat};

/// The marker that ends a JPEG file.
const END: [u8; 2] = [0xff, 0xd9];

/// What libjpeg says of data that are not whole; its other warnings speak of oddities.
const DAMAGE: [&str; 5] = [
    "premature end",
    "bad Huffman code",
    "bad arithmetic code",
    "instead of RST",
    "inconsistent progression",
];

thread_local! {
    static DECODER: RefCell<Option<Decompressor>> = const { RefCell::new(None) };
}

/// What is missing from or broken in a JPEG file, in words; `None` for a whole one, even without
/// the marker at its end, and for files that libjpeg cannot judge.
pub fn damage(bytes: &[u8]) -> Option<String> {
    let bare = bytes.strip_suffix(&END);
    if bare.is_none() {
        if let Some(words) = missing_scans(bytes) {
            return Some(words);
        }
    }
    // With the marker only missing pixels are complained about, not the missing marker.
    let marked = bare.is_none().then(|| [bytes, &END].concat());
    let words = with_decoder(|decoder| complaint(decoder, marked.as_deref().unwrap_or(bytes)))?;
    let is_damage = DAMAGE.iter().any(|known| words.to_lowercase().contains(&known.to_lowercase()));
    (is_damage || is_left_over(&words, bytes)).then_some(words)
}

/// The brightness of a JPEG file as it is stored, which is what its colours would be made of; `None`
/// where libjpeg has anything against it, it breaks off, is larger than `most` pixels, or is stored
/// in other colours.
pub fn grey(bytes: &[u8], most: u64) -> Option<GrayImage> {
    if !bytes.ends_with(&END) {
        return None;
    }
    with_decoder(|decoder| {
        let header = decoder.read_header(bytes).ok()?;
        let known = matches!(header.colorspace, Colorspace::YCbCr | Colorspace::Gray);
        let (width, height) = (header.width, header.height);
        let size = width.checked_mul(height).filter(|n| *n as u64 <= most && known)?;
        let mut pixels = vec![0; size];
        let format = PixelFormat::GRAY;
        let image = Image { pixels: &mut *pixels, width, pitch: width, height, format };
        decoder.decompress(bytes, image).ok()?;
        GrayImage::from_raw(u32::try_from(width).ok()?, u32::try_from(height).ok()?, pixels)
    })
}

/// The thread's decoder, when libjpeg has one.
fn with_decoder<T>(work: impl FnOnce(&mut Decompressor) -> Option<T>) -> Option<T> {
    DECODER.with_borrow_mut(|decoder| {
        if decoder.is_none() {
            *decoder = Decompressor::new().ok();
        }
        decoder.as_mut().and_then(work)
    })
}

/// Whether the complaint is that picture data remain when all pixels are made, which is so where
/// data before them are broken. What cameras fill the end with says nothing.
fn is_left_over(words: &str, bytes: &[u8]) -> bool {
    let Some((before, marker)) = words.split_once(" extraneous bytes before marker ") else {
        return false;
    };
    if !marker.starts_with("0xd9") {
        return true;
    }
    let count = before.rsplit(' ').next().and_then(|count| count.parse::<usize>().ok());
    let end = bytes.windows(2).rposition(|pair| pair == END).unwrap_or(bytes.len());
    let rest = count.and_then(|count| bytes.get(end.checked_sub(count)?..end));
    rest.is_some_and(|rest| rest.iter().any(|byte| !matches!(byte, 0 | 0xff)))
}

/// What libjpeg has against the data; the first complaint of a picture.
fn complaint(decoder: &mut Decompressor, bytes: &[u8]) -> Option<String> {
    let told = |error: Error| match error {
        Error::TurboJpegError(words) => Some(words),
        _ => None,
    };
    let header = match decoder.read_header(bytes) {
        Ok(header) => header,
        Err(error) => return told(error),
    };
    let (width, height) = (header.width, header.height);
    // Grey alone is the cheapest to make; the colours' data are read and checked all the same. Of ink
    // no grey is made.
    let format = match header.colorspace {
        Colorspace::CMYK | Colorspace::YCCK => PixelFormat::CMYK,
        _ => PixelFormat::GRAY,
    };
    let pitch = width.checked_mul(format.size())?;
    let mut pixels = vec![0; pitch.checked_mul(height)?];
    let image = Image { pixels: &mut *pixels, width, pitch, height, format };
    decoder.decompress(bytes, image).err().and_then(told)
}

/// Which components of a progressive or a several-scan file have coefficients that no scan brings
/// to their full precision, in words.
fn missing_scans(bytes: &[u8]) -> Option<String> {
    let mut components: BTreeMap<u8, [Option<u8>; 64]> = BTreeMap::new();
    let mut progressive = false;
    for (marker, content) in segments(bytes) {
        match marker {
            0xc0..=0xc2 => {
                progressive = marker == 0xc2;
                let named = content.get(6..).unwrap_or_default().chunks_exact(3);
                components = named.map(|component| (component[0], [None; 64])).collect();
            }
            0xda => note_scan(content, progressive, &mut components),
            _ => {}
        }
    }
    let is_coarse = |levels: &&[Option<u8>; 64]| levels.iter().any(|level| *level != Some(0));
    let coarse = components.values().filter(is_coarse).count();
    (coarse > 0)
        .then(|| format!("scans of {coarse} of {} components are missing", components.len()))
}

/// Notes to which bit the scan brings which coefficients.
fn note_scan(content: &[u8], progressive: bool, components: &mut BTreeMap<u8, [Option<u8>; 64]>) {
    let Some((&count, rest)) = content.split_first() else { return };
    let Some((named, rest)) = rest.split_at_checked(2 * usize::from(count)) else { return };
    let &[first, last, precision, ..] = rest else { return };
    let (first, last, low) =
        if progressive { (first, last.min(63), precision & 15) } else { (0, 63, 0) };
    for component in named.chunks_exact(2) {
        let Some(levels) = components.get_mut(&component[0]) else { continue };
        let Some(range) = levels.get_mut(usize::from(first)..=usize::from(last)) else { continue };
        range.iter_mut().for_each(|level| *level = Some(level.map_or(low, |old| old.min(low))));
    }
}

/// The marker segments of a JPEG file with what they hold, up to its end or where it breaks off.
fn segments(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || loop {
        // What is between segments is entropy-coded, where a 0 follows every 0xff that is no marker.
        let at =
            rest.windows(2).position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff))?;
        let marker = rest[at + 1];
        rest = &rest[at + 2..];
        if matches!(marker, 1 | 0xd0..=0xd9) {
            continue;
        }
        let length = usize::from(u16::from_be_bytes(*rest.first_chunk()?));
        let content = rest.get(2..length)?;
        rest = &rest[length..];
        return Some((marker, content));
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::image::{encode_jpeg, encode_thumbnail};
    use image::{Rgb, RgbImage};
    use turbojpeg::{Compressor, Subsamp};

    fn picture(seed: u64) -> RgbImage {
        let mut draws = crate::seed::Draws::new(seed, "jpeg", "");
        RgbImage::from_fn(131, 77, |x, y| {
            let noise = draws.below(40) as u32;
            Rgb([x + noise, y + noise, x / 2 + y + noise].map(|level| level.min(255) as u8))
        })
    }

    fn progressive(picture: &RgbImage) -> Vec<u8> {
        let mut compressor = Compressor::new().expect("libjpeg");
        compressor.set_subsamp(Subsamp::Sub2x2).expect("known");
        compressor.set_progressive(true).expect("known");
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let pixels = picture.as_raw().as_slice();
        let image = Image { pixels, width, pitch: 3 * width, height, format: PixelFormat::RGB };
        compressor.compress_to_vec(image).expect("encodes")
    }

    /// Four inks.
    fn ink(picture: &RgbImage) -> Vec<u8> {
        let mut compressor = Compressor::new().expect("libjpeg");
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let pixels: Vec<u8> =
            picture.pixels().flat_map(|p| [p.0[0], p.0[1], p.0[2], 200]).collect();
        let format = PixelFormat::CMYK;
        let image = Image { pixels: &*pixels, width, pitch: 4 * width, height, format };
        compressor.compress_to_vec(image).expect("encodes")
    }

    fn kinds() -> [(&'static str, Vec<u8>); 4] {
        let picture = picture(3);
        [
            ("baseline", encode_jpeg(&picture, 92).expect("encodes")),
            ("subsampled", encode_thumbnail(&picture, 70).expect("encodes")),
            ("progressive", progressive(&picture)),
            ("ink", ink(&picture)),
        ]
    }

    #[test]
    fn whole_files_are_whole_with_and_without_their_last_marker() {
        for (kind, whole) in kinds() {
            assert_eq!(damage(&whole), None, "{kind}");
            assert_eq!(damage(&whole[..whole.len() - 2]), None, "{kind} without its end");
            assert_eq!(damage(&whole[..whole.len() - 1]), None, "{kind} with half its end");
            assert_eq!(damage(&[&whole[..], b"rest of a card"].concat()), None, "{kind} and more");
        }
    }

    #[test]
    fn grey_is_the_brightness_of_the_colours_and_only_of_whole_files() {
        for (kind, whole) in kinds() {
            let Some(grey) = grey(&whole, 1 << 20) else {
                assert_eq!(kind, "ink");
                continue;
            };
            let colours = image::load_from_memory(&whole).expect("a picture").into_rgb8();
            let luma = crate::similarity::hash::luma(colours.as_raw());
            assert_eq!((grey.width(), grey.height()), (131, 77), "{kind}");
            // Where no colour was cut off at black or white, all there is is rounding to colours and back.
            let inside = colours.pixels().map(|p| p.0.iter().all(|c| (1..255).contains(c)));
            let each = grey.as_raw().iter().zip(&luma).zip(inside);
            let apart: Vec<u8> =
                each.filter(|(_, inside)| *inside).map(|((a, b), _)| a.abs_diff(*b)).collect();
            assert!(2 * apart.len() > luma.len(), "{kind}: {}", apart.len());
            assert!(apart.iter().all(|levels| *levels <= 3), "{kind}: {:?}", apart.iter().max());
            assert_eq!(super::grey(&whole, 131 * 77 - 1), None, "{kind}: too large");
            let middle = whole.len() / 2;
            assert_eq!(super::grey(&whole[..middle], 1 << 20), None, "{kind}");
            let ended = [&whole[..middle], &END].concat();
            assert_eq!(super::grey(&ended, 1 << 20), None, "{kind}: cut out");
        }
    }

    /// Everywhere behind the header, also between two scans.
    #[test]
    fn files_cut_anywhere_are_told() {
        for (kind, whole) in kinds() {
            let head = whole.windows(2).position(|pair| pair == [0xff, 0xda]).expect("a scan");
            for end in (head..whole.len() - 8).step_by(7).chain(scans(&whole)) {
                assert!(damage(&whole[..end]).is_some(), "{kind} cut at {end} of {}", whole.len());
            }
        }
    }

    /// Where scans begin, but for the first.
    fn scans(bytes: &[u8]) -> Vec<usize> {
        let marks = (0..bytes.len() - 1).filter(|&at| bytes[at..at + 2] == [0xff, 0xda]);
        marks.skip(1).collect()
    }

    #[test]
    fn broken_data_inside_are_told() {
        for (kind, whole) in kinds() {
            let mut zeroed = whole.clone();
            let middle = whole.len() / 2;
            zeroed[middle..middle + 300].fill(0);
            let mut cut_out = whole.clone();
            cut_out.drain(middle..middle + 500);
            let told = [&zeroed, &cut_out].map(|bytes| damage(bytes).is_some());
            assert!(told.contains(&true), "{kind}: {told:?}");
            let mut filled = whole[..whole.len() - 2].to_vec();
            filled.extend([0; 9]);
            filled.extend(END);
            assert_eq!(damage(&filled), None, "{kind} with zeros at its end");
        }
        for rubbish in [&b""[..], b"\xff\xd8", b"\xff\xd8\xff\xda\0\x08\x01", b"not a picture"] {
            // Whoever decodes them says so.
            damage(rubbish);
        }
    }
}
