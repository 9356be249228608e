use image::Rgb;

use super::*;
use crate::face::mmod::test_weights;

/// Noise with the portrait that the golden tests use; large enough for several levels of faces.
fn portrait() -> RgbImage {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mmod/astronaut.png");
    image::open(path).expect("fixture").to_rgb8()
}

fn open(settings: MmodSettings) -> Option<Mmod> {
    Some(Mmod::open(&test_weights()?, settings, Device::Cpu).expect("published weights"))
}

/// Three pictures of one size and one of another.
fn pictures() -> [RgbImage; 4] {
    let one = portrait();
    let flipped = image::imageops::flip_horizontal(&one);
    let cut = image::imageops::crop_imm(&one, 30, 20, 150, 130).to_image();
    [one.clone(), RgbImage::from_pixel(one.width(), one.height(), Rgb([90, 70, 50])), flipped, cut]
}

fn close(a: &[FaceBox], b: &[FaceBox]) -> bool {
    let same = |(a, b): (&FaceBox, &FaceBox)| {
        (a.x1, a.y1, a.x2, a.y2) == (b.x1, b.y1, b.x2, b.y2) && (a.score - b.score).abs() < 1e-5
    };
    a.len() == b.len() && a.iter().zip(b).all(same)
}

#[test]
fn a_batch_finds_what_single_pictures_find() {
    for upsample in [0, 1] {
        let Some(mut mmod) = open(MmodSettings { upsample, ..Default::default() }) else { return };
        let pictures = pictures();
        let single: Vec<_> = pictures.iter().map(|p| mmod.detect(p).expect("runs")).collect();
        let counts: Vec<usize> = single.iter().map(Vec::len).collect();
        assert_eq!(counts, [1, 0, 1, 1], "the portrait has a face");
        for paints_there in [false, true] {
            mmod.paints_there = paints_there;
            let batch = mmod.detect_batch(&pictures).expect("runs");
            assert!(batch.len() == 4 && batch.iter().zip(&single).all(|(a, b)| close(a, b)));
        }
        assert_eq!(mmod.detect_batch(&[]).expect("nothing to do"), Vec::<Vec<FaceBox>>::new());
    }
}

/// With a smallest face, the same places score the same; only smaller faces are gone, and with them
/// what they had suppressed.
#[test]
fn a_smallest_face_leaves_the_larger_levels_as_they_are() {
    let Some(mut all) = open(MmodSettings { upsample: 1, ..Default::default() }) else { return };
    // Places that are no faces are compared too.
    let picture = portrait();
    let layout = Layout::of(418, 417).expect("large enough");
    let canvas = all.painted_here(&picture, &layout);
    let [whole] = &layout.parts(0)[..] else { panic!("one piece") };
    let scores = |part: &Tile| {
        let scores = canvas.with_tensor(|canvas| all.network.scores(&piece(canvas, part)?));
        scores.expect("runs")
    };
    let right = scores(whole);
    for first in 1..layout.levels.len() {
        for part in layout.parts(first) {
            let found = scores(&part);
            assert_eq!(found.len() as i64, part.map.area());
            for row in part.cells.top..=part.cells.bottom {
                for column in part.cells.left..=part.cells.right {
                    let at = (row - part.map.top) * part.map.width() + column - part.map.left;
                    let off =
                        found[at as usize] - right[(row * whole.map.width() + column) as usize];
                    assert!(off.abs() < 1e-5, "{first}: {column} {row} is off by {off}");
                }
            }
        }
    }
}

#[test]
fn faces_below_the_smallest_are_not_found_and_those_above_are_the_same() {
    let faces = |min_face, upsample| {
        let settings = MmodSettings { min_face, upsample, ..Default::default() };
        let mut mmod = open(settings)?;
        Some((mmod.detect(&portrait()).expect("runs"), mmod.name()))
    };
    let Some((all, name)) = faces(0, 1) else { return };
    assert!(!name.contains("min_face"), "{name}");
    let [face] = all[..] else { panic!("one face, {all:?}") };
    let width = (face.x2 - face.x1) as u32;
    for min_face in [1, 30, 41, width - 2] {
        let (found, name) = faces(min_face, 1).expect("has weights");
        assert!(close(&found, &all), "{min_face}: {found:?}");
        assert!(name.contains(&format!(", min_face {min_face})")), "{name}");
    }
    for min_face in [2 * width, 10_000, u32::MAX] {
        for upsample in [0, 1, 2] {
            let (found, _) = faces(min_face, upsample).expect("has weights");
            assert!(found.iter().all(|f| f.x2 - f.x1 > width as i32), "{min_face}: {found:?}");
        }
    }
}

/// All sizes are painted in the tests of the canvas; here some of each kind are searched too.
#[test]
fn tiny_pictures_go_through_the_network() {
    let Some(mut mmod) = open(MmodSettings { upsample: 0, ..Default::default() }) else { return };
    for width in [1, 9, 10, 11, 18, 29, 40, 64] {
        for height in [1, 6, 7, 8, 15, 21, 40, 64] {
            let picture = RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 99]));
            let faces = mmod.detect(&picture).expect("no failure");
            assert_eq!(faces, [], "{width} x {height}");
        }
    }
    for (upsample, sizes) in [(1, [1, 3, 4, 18]), (2, [1, 2, 8, 13])] {
        let mut mmod = open(MmodSettings { upsample, ..Default::default() }).expect("has weights");
        mmod.paints_there = true;
        for width in sizes {
            for height in sizes {
                let picture = RgbImage::from_pixel(width, height, Rgb([200, 10, 99]));
                assert_eq!(mmod.detect(&picture).expect("no failure"), [], "{width} x {height}");
            }
        }
    }
}

#[test]
fn pictures_that_no_memory_holds_are_refused_before_any_is_taken() {
    for (size, upsample) in [((30_000, 30_000), 0), ((9_000, 9_000), 1), ((u32::MAX, 7), 2)] {
        let Some(mmod) = open(MmodSettings { upsample, ..Default::default() }) else { return };
        let error = mmod.search_of(size).err().expect("too large").to_string();
        assert!(error.contains("is too large for mmod"), "{error}");
        assert!(error.contains(&format!("{} x {}", size.0, size.1)), "{error}");
    }
}
