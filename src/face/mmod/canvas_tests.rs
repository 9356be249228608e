use proptest::prelude::*;

use super::*;

/// Made by dlib itself, see `tests/tools/mmod_layout.cpp`.
const LAYOUTS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/mmod/layouts.json"));

#[derive(serde::Deserialize)]
struct Golden {
    picture: [u32; 2],
    canvas: [usize; 2],
    levels: Vec<[i64; 4]>,
}

#[test]
fn levels_are_where_dlib_puts_them() {
    let golden: Vec<Golden> = serde_json::from_str(LAYOUTS).expect("well-formed");
    assert_eq!(golden.len(), 25);
    for Golden { picture: [w, h], canvas, levels } in golden {
        let layout = Layout::of(w, h).expect("large enough");
        assert_eq!([layout.width, layout.height], canvas, "{w}x{h}");
        let found: Vec<_> =
            layout.levels.iter().map(|l| [l.left, l.top, l.right, l.bottom]).collect();
        assert_eq!(found, levels, "{w}x{h}");
    }
}

#[test]
fn pictures_without_room_for_the_network_have_no_canvas() {
    for (w, h) in [(0, 0), (0, 90), (90, 0), (9, 500), (500, 6), (1, 1)] {
        assert_eq!(Layout::of(w, h), None, "{w}x{h}");
    }
    assert!(Layout::of(10, 7).is_some());
}

#[test]
fn a_flat_picture_stays_flat_on_every_level_and_zero_between() {
    let layout = Layout::of(120, 90).expect("large enough");
    let canvas = paint(&layout, &[50; 3 * 120 * 90], [122.0, 50.0, -14.0]);
    for (i, value) in canvas.iter().enumerate() {
        let (x, y) = ((i / 3 % layout.width) as i64, (i / 3 / layout.width) as i64);
        let inside = layout.levels.iter().any(|l| l.overlaps(Rect::at(x, y, 1, 1)));
        let expected = [-72.0, 0.0, 64.0][i % 3] / 256.0 * f32::from(inside);
        assert!((value - expected).abs() < 1e-7, "{x} {y}: {value} for {expected}");
    }
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

proptest! {
    #[test]
    fn every_column_lies_between_its_neighbours(from in 1usize..3000, to in 1usize..3000) {
        let columns = Columns::new(from, to);
        prop_assert_eq!(columns.fast.len() + columns.rest.len(), to);
        for &(left, fraction) in &columns.fast {
            prop_assert!(left as usize + 1 < from && (0.0..1.0).contains(&fraction));
        }
        for column in &columns.rest {
            prop_assert!(column.first < from && column.second < from);
        }
    }

    // Of tiny pictures dlib lets some overlap.
    #[test]
    fn levels_lie_on_the_canvas_apart_from_each_other(w in 40u32..700, h in 40u32..700) {
        let Some(layout) = Layout::of(w, h) else { return Ok(()) };
        let canvas = Rect::at(0, 0, layout.width as i64, layout.height as i64);
        for (i, level) in layout.levels.iter().enumerate() {
            prop_assert!(canvas.left <= level.left && level.right <= canvas.right);
            prop_assert!(canvas.top <= level.top && level.bottom <= canvas.bottom);
            prop_assert!(!layout.levels[..i].iter().any(|other| other.overlaps(*level)));
        }
    }
}
