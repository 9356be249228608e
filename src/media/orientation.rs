//! How a stored picture has to be turned to stand upright: the eight right-angled ways, which EXIF
//! numbers 1 to 8, as cameras write them into stills and as MP4's display matrix asks for them.
pub use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};

/// What a picture that stands upright as it is stored has.
pub const UPRIGHT: Orientation = Orientation::NoTransforms;

/// Directions that differ by less than this are one, as a share of the length (one degree).
const SLACK: f64 = 0.017_455;

/// The picture upright.
pub fn upright(picture: RgbImage, orientation: Orientation) -> RgbImage {
    let mut picture = DynamicImage::ImageRgb8(picture);
    picture.apply_orientation(orientation);
    picture.into_rgb8()
}

/// Whether width and height change places.
pub fn is_sideways(orientation: Orientation) -> bool {
    orientation.to_exif() >= 5
}

/// Clockwise degrees of the turn, 0, 90, 180 or 270; the mirrored ones are mirrored left to right
/// after it, and count what is turned then.
pub fn degrees(orientation: Orientation) -> i32 {
    use Orientation::{
        FlipHorizontal, FlipVertical, NoTransforms, Rotate180, Rotate270, Rotate270FlipH, Rotate90,
        Rotate90FlipH,
    };
    match orientation {
        NoTransforms | FlipHorizontal => 0,
        Rotate90 | Rotate90FlipH => 90,
        Rotate180 | FlipVertical => 180,
        Rotate270 | Rotate270FlipH => 270,
    }
}

/// What the nine numbers of a display matrix ask for; `Err` with the clockwise degrees (and whether
/// the picture is mirrored) where that is no right angle.
///
/// # Errors
/// When no orientation does what the matrix asks for.
pub fn of_matrix(matrix: [i32; 9]) -> Result<Orientation, Slant> {
    // (p, q) goes to (a p + c q, b p + d q), q pointing down (ISO/IEC 14496-12, 6.2.2).
    let [a, b, _, c, d, ..] = matrix.map(f64::from);
    let (first, second) = (a.hypot(b), c.hypot(d));
    if first == 0.0 || second == 0.0 {
        return Ok(UPRIGHT);
    }
    let ([a, b], [c, d]) = ([a / first, b / first], [c / second, d / second]);
    let small = |value: f64| value.abs() < SLACK;
    if small(b) && small(c) {
        return Ok(match (a > 0.0, d > 0.0) {
            (true, true) => UPRIGHT,
            (false, true) => Orientation::FlipHorizontal,
            (true, false) => Orientation::FlipVertical,
            (false, false) => Orientation::Rotate180,
        });
    }
    if small(a) && small(d) {
        return Ok(match (b > 0.0, c > 0.0) {
            (true, false) => Orientation::Rotate90,
            (false, true) => Orientation::Rotate270,
            (true, true) => Orientation::Rotate90FlipH,
            (false, false) => Orientation::Rotate270FlipH,
        });
    }
    Err(Slant { degrees: b.atan2(a).to_degrees(), mirrored: a * d - b * c < 0.0 })
}

/// What a display matrix asks for that is no right-angled turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slant {
    /// Clockwise, -180 to 180.
    pub degrees: f64,
    /// Whether the picture is mirrored besides.
    pub mirrored: bool,
}

impl std::fmt::Display for Slant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mirrored = if self.mirrored { " and mirrored" } else { "" };
        write!(f, "its display matrix asks for a turn of {:.1} degrees{mirrored}", self.degrees)
    }
}

/// The orientation that a JPEG or PNG file states in its EXIF data; [`UPRIGHT`] where it states
/// none or one that does not exist.
pub fn of_file(bytes: &[u8]) -> Orientation {
    let exif = if bytes.starts_with(&PNG) { exif_of_png(bytes) } else { exif_of_jpeg(bytes) };
    exif.and_then(Orientation::from_exif_chunk).unwrap_or(UPRIGHT)
}

const PNG: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// The content of a PNG's `eXIf` chunk, which may stand before or behind the pixels.
fn exif_of_png(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes.get(PNG.len()..)?;
    loop {
        let (head, behind) = rest.split_first_chunk::<8>()?;
        let length = u32::from_be_bytes(*head.first_chunk()?) as usize;
        if &head[4..] == b"eXIf" {
            return behind.get(..length);
        }
        // Content and check sum.
        rest = behind.get(length.checked_add(4)?..)?;
    }
}

/// The EXIF block of a JPEG's APP1 segment.
fn exif_of_jpeg(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes.strip_prefix(b"\xff\xd8")?;
    loop {
        // Any number of fill bytes may stand before a marker.
        rest = rest.strip_prefix(b"\xff")?;
        let (&marker, behind) = rest.split_first()?;
        if marker == 0xff {
            continue;
        }
        // Pixels, the end, or what stands alone and is in no head.
        if matches!(marker, 0 | 1 | 0xd0..=0xda) {
            return None;
        }
        let length = usize::from(u16::from_be_bytes(*behind.first_chunk()?));
        let content = behind.get(2..length)?;
        match content.strip_prefix(b"Exif\0\0") {
            Some(exif) if marker == 0xe1 => return Some(exif),
            _ => rest = behind.get(length..)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::image::{encode_jpeg, encode_png, stored_grey};
    use image::Rgb;

    const ONE: i32 = 1 << 16;

    fn matrix([a, b, c, d]: [i32; 4]) -> [i32; 9] {
        [a, b, 0, c, d, 0, 0, 0, 1 << 30]
    }

    /// Every way on a picture of six pixels that are all different, by hand from EXIF 2.3's table:
    /// what row 0 and column 0 of the stored picture are.
    #[test]
    fn the_eight_ways_are_those_of_exif() {
        // Upright: 1 2 3 / 4 5 6.
        let stored: [(u8, u32, &[u8]); 8] = [
            (1, 3, &[1, 2, 3, 4, 5, 6]),
            (2, 3, &[3, 2, 1, 6, 5, 4]), // row 0 top, column 0 right
            (3, 3, &[6, 5, 4, 3, 2, 1]), // bottom, right
            (4, 3, &[4, 5, 6, 1, 2, 3]), // bottom, left
            (5, 2, &[1, 4, 2, 5, 3, 6]), // row 0 is the left side, column 0 the top
            (6, 2, &[3, 6, 2, 5, 1, 4]), // right side, top
            (7, 2, &[6, 3, 5, 2, 4, 1]), // right side, bottom
            (8, 2, &[4, 1, 5, 2, 6, 3]), // left side, bottom
        ];
        for (exif, width, pixels) in stored {
            let orientation = Orientation::from_exif(exif).expect("1 to 8");
            let raw = pixels.iter().flat_map(|&v| [v; 3]).collect();
            let picture = RgbImage::from_raw(width, 6 / width, raw).expect("six pixels");
            let turned = upright(picture, orientation);
            let seen: Vec<u8> = turned.pixels().map(|p| p[0]).collect();
            assert_eq!((turned.width(), &*seen), (3, &[1, 2, 3, 4, 5, 6][..]), "{exif}");
            assert_eq!(is_sideways(orientation), width == 2, "{exif}");
        }
    }

    #[test]
    fn matrices_of_right_angles_are_understood_and_others_told() {
        let ways = [
            ([ONE, 0, 0, ONE], 1),
            ([-ONE, 0, 0, ONE], 2),
            ([-ONE, 0, 0, -ONE], 3),
            ([ONE, 0, 0, -ONE], 4),
            ([0, ONE, ONE, 0], 5),
            ([0, ONE, -ONE, 0], 6),
            ([0, -ONE, -ONE, 0], 7),
            ([0, -ONE, ONE, 0], 8),
            ([2 * ONE, 0, 0, 3 * ONE], 1),
            ([ONE, 900, -900, ONE], 1),
            ([0; 4], 1),
        ];
        for (corners, exif) in ways {
            assert_eq!(of_matrix(matrix(corners)).map(Orientation::to_exif), Ok(exif));
        }
        let slant = of_matrix(matrix([ONE, ONE, -ONE, ONE])).expect_err("45 degrees");
        assert_eq!((slant.degrees.round(), slant.mirrored), (45.0, false));
        let slant = of_matrix(matrix([-ONE, ONE, ONE, ONE])).expect_err("mirrored");
        assert!(slant.mirrored && slant.to_string().contains("degrees and mirrored"));
        assert!(of_matrix(matrix([ONE, 0, ONE, ONE])).is_err(), "sheared");
    }

    /// `bytes` with an EXIF block that holds one entry.
    fn exif(orientation: u16) -> Vec<u8> {
        let mut block = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01".to_vec();
        block.extend(orientation.to_be_bytes());
        block.extend([0; 6]);
        block
    }

    /// A JPEG file that is to be turned by a right angle, as its EXIF block behind JFIF's own says.
    fn turned_jpeg(jpeg: &[u8]) -> Vec<u8> {
        let block = [b"Exif\0\0", &*exif(6)].concat();
        let length = (block.len() as u16 + 2).to_be_bytes();
        let segment = [&b"\xff\xff\xe1"[..], &length, &block].concat();
        [&jpeg[..20], &segment, &jpeg[20..]].concat()
    }

    #[test]
    fn only_jpeg_files_that_are_stored_upright_are_read_as_grey() {
        let picture = RgbImage::from_pixel(8, 4, Rgb([9, 90, 200]));
        let jpeg = encode_jpeg(&picture, 90).expect("encodes");
        let grey = stored_grey(&jpeg).expect("upright");
        assert_eq!((grey.width(), grey.height()), (8, 4));
        assert_eq!(stored_grey(&turned_jpeg(&jpeg)), None);
        assert_eq!(stored_grey(&encode_png(&picture).expect("encodes")), None);
        assert_eq!(stored_grey(b""), None);
    }

    #[test]
    fn files_tell_their_orientation_wherever_they_keep_it() {
        let picture = RgbImage::from_pixel(8, 8, Rgb([9, 90, 200]));
        let jpeg = encode_jpeg(&picture, 90).expect("encodes");
        let png = encode_png(&picture).expect("encodes");
        assert_eq!([of_file(&jpeg), of_file(&png), of_file(b"")], [UPRIGHT; 3]);
        let turned = turned_jpeg(&jpeg);
        assert_eq!(of_file(&turned), Orientation::Rotate90, "behind JFIF's own segment");
        for end in 0..turned.len() {
            of_file(&turned[..end]);
        }
        let block = exif(3);
        let chunk = [&(block.len() as u32).to_be_bytes()[..], b"eXIf", &block, &[0; 4]].concat();
        let ends = [33, png.len() - 12];
        for at in ends {
            let turned = [&png[..at], &chunk, &png[at..]].concat();
            assert_eq!(of_file(&turned), Orientation::Rotate180, "at {at}");
        }
        let block = exif(9);
        let chunk = [&(block.len() as u32).to_be_bytes()[..], b"eXIf", &block, &[0; 4]].concat();
        assert_eq!(of_file(&[&png[..33], &chunk, &png[33..]].concat()), UPRIGHT, "no such way");
    }
}
