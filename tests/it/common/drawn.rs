//! Drawn faces that detectors take for faces.
use image::{Rgb, RgbImage};

/// Faces of ellipses on a gradient, drawn in integers.
pub fn drawn(width: u32, height: u32) -> RgbImage {
    let mut image = RgbImage::from_fn(width, height, |x, y| {
        Rgb([(40 + x % 90) as u8, (90 + y % 60) as u8, ((x + y) % 140) as u8])
    });
    for (i, size) in [100, 64, 44].into_iter().enumerate() {
        draw_face(&mut image, 10 + 105 * i as i32, 12 + 9 * i as i32, size);
    }
    image
}

/// A face in a square of `size` pixels: hair, skin with a shade, eyes, brows, nose and mouth.
fn draw_face(image: &mut RgbImage, left: i32, top: i32, size: i32) {
    // Centre and half axes in percent of the square, colour.
    let parts = [
        (50, 44, 46, 46, [45, 30, 22]),
        (50, 54, 37, 45, [214, 166, 138]),
        (58, 56, 27, 37, [228, 184, 158]),
        (33, 41, 10, 2, [60, 40, 30]),
        (67, 41, 10, 2, [60, 40, 30]),
        (33, 48, 8, 4, [240, 240, 240]),
        (67, 48, 8, 4, [240, 240, 240]),
        (33, 48, 4, 4, [40, 30, 30]),
        (67, 48, 4, 4, [40, 30, 30]),
        (50, 60, 4, 10, [190, 138, 112]),
        (50, 68, 8, 3, [170, 116, 96]),
        (50, 80, 15, 4, [150, 60, 60]),
        (50, 79, 14, 1, [90, 30, 30]),
    ];
    for (x, y, rx, ry, colour) in parts {
        let at = |percent: i32| percent * size;
        let (cx, cy, rx, ry) = (100 * left + at(x), 100 * top + at(y), at(rx), at(ry));
        for (px, py, pixel) in image.enumerate_pixels_mut() {
            let (dx, dy) = (i64::from(100 * px as i32 - cx), i64::from(100 * py as i32 - cy));
            let (rx, ry) = (i64::from(rx), i64::from(ry));
            if dx * dx * ry * ry + dy * dy * rx * rx <= rx * rx * ry * ry {
                *pixel = Rgb(colour);
            }
        }
    }
}
