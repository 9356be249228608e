//! Where dlib puts the levels of its pyramid, and which parts of that canvas a search needs.
//!
//! dlib runs its network once over a tall canvas that holds every level. Levels are 10 pixels
//! apart, less than the network sees around a point, so that neighbours colour each other's scores:
//! the same boxes need the same places.
use std::ops::Range;

use super::rect::Rect;

/// Zeros between two levels.
const PADDING: i64 = 10;
/// Zeros around all of them.
const OUTER_PADDING: i64 = 11;
/// Levels end below this height.
const MIN_HEIGHT: i64 = 5;
/// Each level is this much of the one before.
const RATE: f64 = (6.0 - 1.0) / 6.0;
/// Below this width dlib's placement leaves the canvas.
const MIN_WIDTH: i64 = PADDING;
/// Below this edge the network's first three convolutions have nothing to stand on.
const MIN_CANVAS: i64 = 29;
/// Steps of the score map in pixels of the canvas.
pub(super) const STRIDE: i64 = 8;
/// The canvas pixel under the score map's first cell.
pub(super) const ORIGIN: i64 = 14;
/// Pixels under one cell of the map that the first three convolutions make.
pub(super) const FIELD: i64 = 29;
/// Cells on every side that the four convolutions after them add up.
const AROUND: i64 = 2 + 2 + 2 + 4;
/// Half a window: from farther outside a level its boxes do not reach into the picture.
const REACH: i64 = 40;

/// Where the levels are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Canvas width in pixels.
    pub width: usize,
    /// Canvas height in pixels.
    pub height: usize,
    /// Largest first; never empty.
    pub levels: Vec<Rect>,
    /// How many of them stand in the first column.
    column: usize,
}

/// A piece of the canvas that the network is run on by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    /// The pixels that the network sees.
    pub pixels: Rect,
    /// The cells of the score map that come of them; those near an inner edge are not exact.
    pub map: Rect,
    /// The cells that are.
    pub cells: Rect,
    /// The levels whose faces are looked for here.
    pub levels: Range<usize>,
}

impl Layout {
    /// The canvas of a picture of `width` x `height`; `None` when the network has no room on it
    /// (dlib fails then, or reads beyond its memory).
    pub fn of(width: u32, height: u32) -> Option<Layout> {
        if i64::from(width) < MIN_WIDTH || height == 0 {
            return None;
        }
        let sizes = level_sizes(i64::from(width), i64::from(height));
        let tall = first_column(&sizes);
        let (levels, column) = placed(&sizes, tall);
        let (width, height) = (sizes[0].0 + 2 * OUTER_PADDING, tall + 2 * OUTER_PADDING);
        (width.min(height) >= MIN_CANVAS).then_some(Layout {
            width: width as usize,
            height: height as usize,
            levels,
            column,
        })
    }

    /// Whether a level is painted over the one that it is made of; so it is in tiny pictures.
    pub fn overlaps_itself(&self) -> bool {
        self.levels.windows(2).any(|pair| pair[0].overlaps(pair[1]))
    }

    /// What of the canvas is needed to score the levels from `first` on, their neighbours' colours
    /// included: everything, or one piece, or one for each column of levels, whichever is less.
    pub fn parts(&self, first: usize) -> Vec<Tile> {
        if first >= self.levels.len() {
            return Vec::new();
        }
        if first == 0 {
            return vec![self.whole()];
        }
        let one = vec![self.part(first..self.levels.len())];
        if first >= self.column || self.column == self.levels.len() {
            return one;
        }
        let two = vec![self.part(first..self.column), self.part(self.column..self.levels.len())];
        let pixels = |parts: &[Tile]| parts.iter().map(|p| p.pixels.area()).sum::<i64>();
        if pixels(&two) < pixels(&one) {
            two
        } else {
            one
        }
    }

    fn whole(&self) -> Tile {
        let pixels = Rect::at(0, 0, self.width as i64, self.height as i64);
        let map = Rect::at(0, 0, cells(pixels.width()), cells(pixels.height()));
        Tile { pixels, map, cells: map, levels: 0..self.levels.len() }
    }

    fn part(&self, levels: Range<usize>) -> Tile {
        let whole = self.whole();
        let level = self.levels[levels.clone()].iter().copied();
        let hull = level.reduce(Rect::hull).expect("a part has a level").grown(REACH);
        let first_cell = |at: i64| (at - ORIGIN + STRIDE - 1).div_euclid(STRIDE);
        let last_cell = |at: i64| (at - ORIGIN).div_euclid(STRIDE);
        let cells = Rect {
            left: first_cell(hull.left),
            top: first_cell(hull.top),
            right: last_cell(hull.right),
            bottom: last_cell(hull.bottom),
        };
        let map = cells.grown(AROUND).intersection(whole.map);
        let pixels = Rect {
            left: STRIDE * map.left,
            top: STRIDE * map.top,
            right: STRIDE * map.right + FIELD - 1,
            bottom: STRIDE * map.bottom + FIELD - 1,
        };
        Tile { pixels, map, cells: cells.intersection(whole.map), levels }
    }
}

/// Cells of the score map along `pixels` of the canvas.
pub(super) fn cells(pixels: i64) -> i64 {
    (pixels - FIELD) / STRIDE + 1
}

/// Width and height of every level.
fn level_sizes(mut width: i64, mut height: i64) -> Vec<(i64, i64)> {
    let mut sizes = Vec::new();
    loop {
        sizes.push((width, height));
        width = (RATE * width as f64).floor() as i64;
        height = (RATE * height as f64).floor() as i64;
        if width == 0 || height < MIN_HEIGHT {
            return sizes;
        }
    }
}

/// Height of the first column: it ends once the next level fits beside the last one and half of
/// what is below the first level is placed.
///
/// dlib compares unsigned numbers here, and a negative one is then very large: the second level is
/// always said to fit beside the first. That is kept.
fn first_column(sizes: &[(i64, i64)]) -> i64 {
    let (first_width, first_height) = sizes[0];
    let total = sizes.iter().map(|(_, h)| h + PADDING).sum::<i64>() - 2 * PADDING;
    let below = (total - first_height) as u64;
    let (mut height, mut last_width) = (0, 0);
    for &(w, h) in sizes {
        let room = (first_width - last_width - PADDING) as u64;
        let used = ((height - first_height) as u64).wrapping_mul(2);
        if w as u64 <= room && used >= below {
            break;
        }
        height += h + PADDING;
        last_width = w;
    }
    height - PADDING
}

/// Places of the levels: down the left edge, then up the right edge until the first level is in
/// the way; later levels are left out. Also returns how many are in the first column.
fn placed(sizes: &[(i64, i64)], column: i64) -> (Vec<Rect>, usize) {
    let mut levels: Vec<Rect> = Vec::with_capacity(sizes.len());
    let mut y = OUTER_PADDING;
    let mut rest = sizes.iter();
    for &(w, h) in rest.by_ref() {
        levels.push(Rect::at(OUTER_PADDING, y, w, h));
        y += h + PADDING;
        if y >= column + OUTER_PADDING {
            break;
        }
    }
    let in_column = levels.len();
    y -= PADDING;
    let right = OUTER_PADDING + sizes[0].0;
    for &(w, h) in rest {
        let level = Rect::at(right - w, y - h, w, h);
        if levels[0].overlaps(level) {
            break;
        }
        levels.push(level);
        y -= h + PADDING;
    }
    (levels, in_column)
}

#[cfg(test)]
impl Layout {
    /// A layout made by hand.
    pub fn by_hand(width: usize, height: usize, levels: Vec<Rect>) -> Layout {
        let column = levels.len();
        Layout { width, height, levels, column }
    }
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
