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

/// The cells that the network's first three convolutions make of a line of pixels.
fn cells_by_convolutions(pixels: i64) -> i64 {
    (0..3).fold(pixels, |size, _| (size - 5) / 2 + 1)
}

#[test]
fn cells_are_counted_as_the_network_counts_them() {
    for pixels in MIN_CANVAS..3000 {
        assert_eq!(cells(pixels), cells_by_convolutions(pixels), "{pixels}");
    }
}

#[test]
fn a_large_smallest_face_leaves_little_of_the_canvas() {
    // A frame of CAER, enlarged once; faces of 80 pixels are on the fifth level.
    let layout = Layout::of(1426, 801).expect("large");
    let share = |first: usize| {
        let pixels = layout.parts(first).iter().map(|part| part.pixels.area()).sum::<i64>();
        pixels as f64 / (layout.width * layout.height) as f64
    };
    assert_eq!(share(0), 1.0);
    assert_eq!(layout.parts(4).len(), 2, "a piece for each column");
    let shares: Vec<_> = (0..7).map(share).collect();
    assert!(shares.windows(2).all(|pair| pair[1] <= pair[0]), "{shares:?}");
    assert!(shares[1] < 0.77 && shares[4] < 0.47 && shares[6] < 0.3, "{shares:?}");
    assert_eq!(share(layout.levels.len()), 0.0);
}

fn inside(inner: Rect, outer: Rect) -> bool {
    inner.width() > 0 && inner.height() > 0 && inner.intersection(outer) == inner
}

proptest! {
    #[test]
    fn levels_lie_on_the_canvas_and_but_in_tiny_pictures_apart(w in 1u32..700, h in 1u32..700) {
        let Some(layout) = Layout::of(w, h) else {
            prop_assert!(w < 10 || h < 7);
            return Ok(());
        };
        let canvas = Rect::at(0, 0, layout.width as i64, layout.height as i64);
        for (i, level) in layout.levels.iter().enumerate() {
            prop_assert!(inside(*level, canvas));
            let under = layout.levels[..i].iter().any(|other| other.overlaps(*level));
            prop_assert!(!under || w < 30 || h < 22, "dlib keeps them apart");
        }
    }

    #[test]
    fn parts_hold_every_level_once_and_all_that_its_scores_depend_on(
        w in 10u32..900, h in 7u32..900, first in 0usize..30
    ) {
        let layout = Layout::of(w, h).expect("large enough");
        let whole = layout.whole();
        let parts = layout.parts(first);
        let levels: Vec<usize> = parts.iter().flat_map(|part| part.levels.clone()).collect();
        prop_assert_eq!(levels, (first..layout.levels.len()).collect::<Vec<_>>());
        for part in parts {
            prop_assert!(inside(part.pixels, whole.pixels));
            prop_assert!(inside(part.cells, part.map) && inside(part.map, whole.map));
            prop_assert_eq!(cells(part.pixels.width()), part.map.width());
            prop_assert_eq!(cells(part.pixels.height()), part.map.height());
            // Ten cells around, or the canvas ends.
            let needed = part.cells.grown(AROUND).intersection(whole.map);
            prop_assert!(inside(needed, part.map));
            for level in &layout.levels[part.levels.clone()] {
                let middle = [level.left, level.top].map(|at| (at - ORIGIN) / STRIDE);
                let here = Rect::at(middle[0], middle[1], 1, 1).intersection(whole.map);
                prop_assert!(here.area() == 0 || inside(here, part.cells));
            }
        }
    }
}
