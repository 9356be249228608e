use super::*;

/// Made by dlib itself, see `tests/tools/mmod_canvas.cpp`.
const TINY: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/mmod/tiny.json"));

fn painted(layout: &Layout, pixels: &[u8], means: [f32; 3]) -> Vec<f32> {
    let mut canvas = Canvas::new(layout.clone());
    canvas.paint(pixels, means);
    canvas.values
}

/// FNV-1a over words, as in the tool.
fn add(hash: &mut u64, word: u32) {
    *hash = (*hash ^ u64::from(word)).wrapping_mul(0x100_0000_01b3);
}

/// The tool's picture, enlarged.
fn tiny_picture(width: u32, height: u32, upsample: u32) -> (Vec<u8>, u32, u32) {
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let pixels = places.flat_map(|(x, y)| {
        [x * 37 + y * 11, x * x + 3 * y, x * 5 + y * y * 7].map(|value| value as u8)
    });
    (0..upsample).fold((pixels.collect(), width, height), |(pixels, width, height), _| {
        enlarge(&pixels, width, height)
    })
}

/// Every size up to 64 x 64 at every upsample: nothing out of bounds, and dlib's bits wherever dlib
/// has room, also where a level lies over the one that it is made of.
#[test]
fn tiny_pictures_are_painted_as_dlib_paints_them() {
    let golden: Vec<(u32, u32, usize, String)> = serde_json::from_str(TINY).expect("well-formed");
    assert_eq!(golden.len(), 3 * 64);
    let mut overlapping = 0;
    for (upsample, width, count, right) in golden {
        let (mut hash, mut canvases) = (0xcbf2_9ce4_8422_2325, 0);
        for height in 1..=64 {
            let (pixels, wide, high) = tiny_picture(width, height, upsample);
            let Some(layout) = Layout::of(wide, high) else { continue };
            canvases += 1;
            overlapping += usize::from(layout.overlaps_itself());
            add(&mut hash, layout.width as u32);
            add(&mut hash, layout.height as u32);
            for value in painted(&layout, &pixels, [122.782, 117.001, 104.298]) {
                add(&mut hash, value.to_bits());
            }
        }
        assert_eq!(canvases, count, "width {width}, upsample {upsample}");
        assert_eq!(format!("{hash:016x}"), right, "width {width}, upsample {upsample}");
    }
    assert!(overlapping > 400, "only {overlapping} canvases with levels over each other");
}

#[test]
fn a_flat_picture_stays_flat_on_every_level_and_zero_between() {
    let layout = Layout::of(120, 90).expect("large enough");
    let canvas = painted(&layout, &[50; 3 * 120 * 90], [122.0, 50.0, -14.0]);
    for (i, value) in canvas.iter().enumerate() {
        let (x, y) = ((i / 3 % layout.width) as i64, (i / 3 / layout.width) as i64);
        let inside = layout.levels.iter().any(|l| l.overlaps(Rect::at(x, y, 1, 1)));
        let expected = [-72.0, 0.0, 64.0][i % 3] / 256.0 * f32::from(inside);
        assert!((value - expected).abs() < 1e-7, "{x} {y}: {value} for {expected}");
    }
}

/// Nothing of the picture before is left, also where levels lie over each other.
#[test]
fn a_canvas_is_painted_anew() {
    let mut overlapping = 0;
    let tiny = (10..40).flat_map(|width| (7..30).map(move |height| (width, height)));
    for (width, height) in tiny.chain([(120, 90)]) {
        let layout = Layout::of(width, height).expect("large enough");
        overlapping += usize::from(layout.overlaps_itself());
        let means = [122.782, 117.001, 104.298];
        let (pixels, ..) = tiny_picture(width, height, 0);
        let mut canvas = Canvas::new(layout.clone());
        canvas.paint(&vec![255; pixels.len()], means);
        canvas.paint(&pixels, means);
        assert_eq!(canvas.values, painted(&layout, &pixels, means), "{width} x {height}");
    }
    assert!(overlapping > 0, "no canvas with levels over each other");
}

#[test]
fn enlarging_keeps_corners_and_cuts_fractions_off() {
    // Rows and columns 0, 1/3 and so on of a 2 x 2 picture; dlib makes 6 x 5 of it.
    let pixels: Vec<u8> = [10u8, 20, 30, 41].iter().flat_map(|&v| [v; 3]).collect();
    let (large, width, height) = enlarge(&pixels, 2, 2);
    assert_eq!((width, height, large.len()), (6, 5, 90));
    let at = |x: usize, y: usize| large[3 * (6 * y + x)];
    assert_eq!([at(0, 0), at(5, 0), at(0, 4), at(5, 4)], [10, 20, 30, 41]);
    assert_eq!((0..6).map(|x| at(x, 0)).collect::<Vec<_>>(), [10, 12, 14, 16, 18, 20]);
    // (1/4 of 10 and 3/4 of 30) + 1/5 of the way to (1/4 of 20 and 3/4 of 41), 27.15
    assert_eq!(at(1, 3), 27);
}

#[test]
fn a_pixel_alone_can_be_enlarged() {
    assert_eq!(enlarge(&[7, 8, 9], 1, 1), ([7, 8, 9].repeat(12), 4, 3));
}
