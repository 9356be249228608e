//! From a map of scores to boxes in the picture: mapping back through the pyramid, and the best
//! box of every heap.
use super::{
    layout::{Layout, Tile, ORIGIN, STRIDE},
    rect::Rect,
};

/// Edge of a face on a level in edges on the level before.
const GROWTH: f64 = 6.0 / 5.0;

/// A place that scored above 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Candidate {
    pub rect: Rect,
    pub score: f32,
}

/// When two boxes are one face.
#[derive(Clone, Copy, Debug)]
pub(super) struct Overlap {
    /// Above this share of their common bounding box.
    pub shared: f64,
    /// Above this share of either of them.
    pub covered: f64,
}

impl Overlap {
    fn same_face(self, a: Rect, b: Rect) -> bool {
        let inner = a.intersection(b).area() as f64;
        inner > 0.0
            && (inner / a.hull(b).area() as f64 > self.shared
                || inner / a.area() as f64 > self.covered
                || inner / b.area() as f64 > self.covered)
    }
}

/// Every place above 0 on the score map of one part of the canvas, rows from the top; boxes in
/// pixels of the first level.
///
/// `scores` is `[rows, columns]` of the part's map, row by row.
pub(super) fn candidates(
    scores: &[f32],
    layout: &Layout,
    part: &Tile,
    window: (u32, u32),
) -> Vec<Candidate> {
    let columns = part.map.width() as usize;
    let positive = scores.iter().enumerate().filter(|(_, &score)| score > 0.0);
    positive
        .filter_map(|(cell, &score)| {
            let column = part.map.left + (cell % columns) as i64;
            let row = part.map.top + (cell / columns) as i64;
            let counts = part.cells.contains(column, row);
            let point = (STRIDE * column + ORIGIN, STRIDE * row + ORIGIN);
            let level = nearest_level(layout, point.0, point.1);
            (counts && part.levels.contains(&level))
                .then(|| Candidate { rect: in_picture(point, layout, level, window), score })
        })
        .collect()
}

/// The window around a point of the canvas, which belongs to `level`, in pixels of the picture.
fn in_picture(point: (i64, i64), layout: &Layout, level: usize, window: (u32, u32)) -> Rect {
    let half = |size: u32| f64::from(size - 1) / 2.0;
    let (half_width, half_height) = (half(window.0), half(window.1));
    let (x, y) = (point.0 as f64, point.1 as f64);
    let place = layout.levels[level];
    let up = |at: f64, origin: i64| {
        let point = (0..level).fold(at - origin as f64, |p, _| p * GROWTH + 0.3);
        point.round() as i64
    };
    Rect {
        left: up(x - half_width, place.left),
        top: up(y - half_height, place.top),
        right: up(x + half_width, place.left),
        bottom: up(y + half_height, place.top),
    }
}

/// The first level whose windows are at least `min_face` pixels wide in a picture that was
/// enlarged `times` times; 0 lets every level count.
pub(super) fn first_level(min_face: u32, window: (u32, u32), times: u32) -> usize {
    let smallest = f64::from(window.0) / f64::from(1u32 << times);
    // A window of 40 pixels counts as 40 whatever the rounding of the product.
    let wanted = f64::from(min_face) * (1.0 - 1e-9);
    let mut windows = std::iter::successors(Some(smallest), |width| Some(width * GROWTH));
    windows.position(|width| width >= wanted).expect("windows grow without end")
}

/// The level that a point of the canvas is on or nearest to; the larger one of two.
fn nearest_level(layout: &Layout, x: i64, y: i64) -> usize {
    let level = (0..layout.levels.len()).min_by_key(|&i| layout.levels[i].distance(x, y));
    level.expect("a layout has a level")
}

/// The best of every heap of boxes, best first; equal scores in the order given.
pub(super) fn best_of_heaps(mut candidates: Vec<Candidate>, overlap: Overlap) -> Vec<Candidate> {
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut best: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        if !best.iter().any(|b| overlap.same_face(b.rect, candidate.rect)) {
            best.push(candidate);
        }
    }
    best
}

/// A box of an enlarged picture in pixels of the picture before it was enlarged `times` times.
pub(super) fn before_enlarging(rect: Rect, times: u32) -> Rect {
    let down = |at: i64, shift: f64| {
        let point = (0..times).fold(at as f64, |p, _| p / 2.0 - shift);
        point.round() as i64
    };
    Rect {
        left: down(rect.left, 1.25),
        top: down(rect.top, 0.75),
        right: down(rect.right, 1.25),
        bottom: down(rect.bottom, 0.75),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(left: i64, top: i64, size: i64, score: f32) -> Candidate {
        Candidate { rect: Rect::at(left, top, size, size), score }
    }

    fn layout() -> Layout {
        let levels = vec![Rect::at(11, 11, 100, 100), Rect::at(11, 121, 83, 83)];
        Layout::by_hand(122, 341, levels)
    }

    /// Candidates of the whole map, 12 x 40 cells.
    fn found(scores: &[f32], first: usize) -> Vec<Candidate> {
        let [part] = &layout().parts(0)[..] else { panic!("the whole canvas") };
        let part = Tile { levels: first..2, ..part.clone() };
        assert_eq!((part.map.width(), part.map.height()), (12, 40));
        candidates(scores, &layout(), &part, (80, 80))
    }

    #[test]
    fn the_best_box_of_every_heap_stays() {
        let overlap = Overlap { shared: 0.338, covered: 1.0 };
        let found = vec![
            candidate(0, 0, 80, 0.5),
            candidate(8, 8, 80, 0.9),
            candidate(200, 0, 80, 0.7),
            // Inside the second: 58 x 58 of 80 x 80 is 0.53, 40 x 40 is 0.25.
            candidate(10, 10, 58, 0.3),
            candidate(10, 10, 40, 0.2),
        ];
        let best: Vec<f32> = best_of_heaps(found, overlap).iter().map(|c| c.score).collect();
        assert_eq!(best, [0.9, 0.7, 0.2]);
    }

    #[test]
    fn the_share_is_of_the_common_bounding_box() {
        // 10 x 10 boxes shifted by 3 both ways: 49 shared of 13 x 13; of the union it were 0.325.
        let same = |shared| {
            let overlap = Overlap { shared, covered: 1.0 };
            overlap.same_face(Rect::at(0, 0, 10, 10), Rect::at(3, 3, 10, 10))
        };
        assert!(same(0.289) && !same(0.290));
        let inside = Overlap { shared: 0.9, covered: 0.6 };
        assert!(inside.same_face(Rect::at(0, 0, 50, 50), Rect::at(40, 0, 15, 10)));
        assert!(!inside.same_face(Rect::at(0, 0, 50, 50), Rect::at(50, 0, 15, 10)));
    }

    #[test]
    fn cells_become_boxes_around_their_pixels() {
        // Cell (5, 4) is canvas (54, 46), picture (43, 35) less 39.5 each way, rounded away from 0.
        let mut scores = vec![0.0; 12 * 40];
        scores[4 * 12 + 5] = 0.25;
        scores[3] = -1.0;
        scores[7] = f32::NAN;
        let found = found(&scores, 0);
        let rect = Rect { left: 4, top: -5, right: 83, bottom: 75 };
        assert_eq!(found, [Candidate { rect, score: 0.25 }]);
    }

    #[test]
    fn boxes_of_deeper_levels_are_scaled_back() {
        // Canvas (54, 166), second level (43, 45): (3.5, 5.5) * 1.2 + 0.3 and (82.5, 84.5) * 1.2 + 0.3.
        let mut scores = vec![0.0; 12 * 40];
        scores[19 * 12 + 5] = 1.0;
        assert_eq!(found(&scores, 1).len(), 1);
        scores[4 * 12 + 5] = 1.0;
        assert_eq!(found(&scores, 1).len(), 1, "the first level does not count");
        let found = &found(&scores, 0)[1..];
        assert_eq!(found[0].rect, Rect { left: 5, top: 7, right: 99, bottom: 102 });
        // Between two levels, nearer to the second.
        assert_eq!(nearest_level(&layout(), 50, 117), 1);
        assert_eq!(nearest_level(&layout(), 50, 113), 0);
    }

    #[test]
    fn levels_with_smaller_windows_than_the_smallest_face_do_not_count() {
        let first = |min_face, times| first_level(min_face, (80, 80), times);
        assert_eq!(
            [first(0, 1), first(40, 1), first(41, 1), first(48, 1), first(49, 1)],
            [0, 0, 1, 1, 2]
        );
        // 80, 96, 115.2, 138.2, 165.9
        assert_eq!([first(80, 0), first(81, 0), first(115, 0), first(116, 0)], [0, 1, 2, 3]);
        assert_eq!([first(20, 2), first(24, 2), first(80, 2)], [0, 1, 8]);
        assert!(first(u32::MAX, 2) > 90);
    }

    #[test]
    fn boxes_of_enlarged_pictures_shrink_again() {
        let rect = Rect { left: -3, top: 8, right: 100, bottom: 111 };
        // -2.75, 3.25, 48.75, 54.75
        assert_eq!(before_enlarging(rect, 1), Rect { left: -3, top: 3, right: 49, bottom: 55 });
        // -2.625, 0.875, 23.125, 26.625
        assert_eq!(before_enlarging(rect, 2), Rect { left: -3, top: 1, right: 23, bottom: 27 });
        assert_eq!(before_enlarging(rect, 0), rect);
        let half_open = rect.half_open(0.5);
        assert_eq!((half_open.x1, half_open.y1, half_open.x2, half_open.y2), (-3, 8, 101, 112));
    }
}
