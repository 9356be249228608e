//! The pyramid of a picture on one canvas, laid out and resized as dlib does it, to the bit.
//!
//! dlib runs its network once over a tall canvas that holds every level of the pyramid. Levels are
//! 10 pixels apart, less than the network sees around a point, so that neighbours colour each
//! other's scores: the same boxes need the same places. The same bits need the same arithmetic:
//! dlib steps through a row in `f32`, four columns at a time, and through the rest of it in `f64`.
use super::boxes::Rect;

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
/// Red, green and blue.
const CHANNELS: usize = 3;

/// Where the levels are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Canvas width in pixels.
    pub width: usize,
    /// Canvas height in pixels.
    pub height: usize,
    /// Largest first; never empty.
    pub levels: Vec<Rect>,
}

impl Layout {
    /// The canvas of a picture of `width` x `height`; `None` when the network has no room on it
    /// (dlib fails then, or reads beyond its memory).
    pub fn of(width: u32, height: u32) -> Option<Layout> {
        if i64::from(width) < MIN_WIDTH || height == 0 {
            return None;
        }
        let sizes = level_sizes(i64::from(width), i64::from(height));
        let column = first_column(&sizes);
        let levels = placed(&sizes, column);
        let (width, height) = (sizes[0].0 + 2 * OUTER_PADDING, column + 2 * OUTER_PADDING);
        (width.min(height) >= MIN_CANVAS).then_some(Layout {
            width: width as usize,
            height: height as usize,
            levels,
        })
    }

    /// Where a row of a level starts on the canvas `[height, width, 3]`.
    fn start(&self, level: Rect, row: usize) -> usize {
        CHANNELS * ((level.top as usize + row) * self.width + level.left as usize)
    }
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
/// the way; later levels are left out.
fn placed(sizes: &[(i64, i64)], column: i64) -> Vec<Rect> {
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
    levels
}

/// The canvas of a picture, `[height, width, 3]`: zeros, and every level in its place.
///
/// `pixels` is RGB or BGR, rows of the size of the first level; the first channel meets the first
/// of `means`. Values are (pixel - mean) / 256.
pub(super) fn paint(layout: &Layout, pixels: &[u8], means: [f32; 3]) -> Vec<f32> {
    let mut canvas = vec![0f32; CHANNELS * layout.width * layout.height];
    let first = layout.levels[0];
    let line = CHANNELS * first.width() as usize;
    for (row, from) in pixels.chunks_exact(line).enumerate() {
        let to = &mut canvas[layout.start(first, row)..][..line];
        for (to, from) in to.chunks_exact_mut(CHANNELS).zip(from.chunks_exact(CHANNELS)) {
            for c in 0..CHANNELS {
                to[c] = (f32::from(from[c]) - means[c]) / 256.0;
            }
        }
    }
    for pair in layout.levels.windows(2) {
        shrink(&mut canvas, layout, pair[0], pair[1]);
    }
    canvas
}

/// Resizes level `from` into level `to`.
fn shrink(canvas: &mut [f32], layout: &Layout, from: Rect, to: Rect) {
    let columns = Columns::new(from.width() as usize, to.width() as usize);
    let width = CHANNELS * from.width() as usize;
    let mut line = vec![0f32; CHANNELS * to.width() as usize];
    for (row, at) in Rows::new(from.height() as usize, to.height() as usize).enumerate() {
        let top = &canvas[layout.start(from, at.first)..][..width];
        let bottom = &canvas[layout.start(from, at.second)..][..width];
        let (fast, rest) = line.split_at_mut(CHANNELS * columns.fast.len());
        shrink_fast(top, bottom, at.fraction, &columns.fast, fast);
        shrink_rest(top, bottom, at.fraction, &columns.rest, rest);
        canvas[layout.start(to, row)..][..line.len()].copy_from_slice(&line);
    }
}

/// The columns that dlib interpolates in `f32`.
fn shrink_fast(top: &[f32], bottom: &[f32], down: f64, columns: &[(u32, f32)], out: &mut [f32]) {
    let (lower, upper) = (down as f32, (1.0 - down) as f32);
    for (out, &(left, right_part)) in out.chunks_exact_mut(CHANNELS).zip(columns) {
        let at = CHANNELS * left as usize;
        let left_part = 1.0 - right_part;
        let (top, bottom) = (&top[at..at + 2 * CHANNELS], &bottom[at..at + 2 * CHANNELS]);
        for c in 0..CHANNELS {
            out[c] = (upper * left_part) * top[c]
                + (upper * right_part) * top[c + CHANNELS]
                + (lower * left_part) * bottom[c]
                + (lower * right_part) * bottom[c + CHANNELS];
        }
    }
}

/// The columns that dlib interpolates in `f64` between sums in `f32`.
fn shrink_rest(top: &[f32], bottom: &[f32], down: f64, columns: &[Between], out: &mut [f32]) {
    for (out, column) in out.chunks_exact_mut(CHANNELS).zip(columns) {
        let right_part = column.fraction as f32;
        for (c, out) in out.iter_mut().enumerate() {
            let between = |row: &[f32]| {
                let [left, right] = [column.first, column.second].map(|x| row[CHANNELS * x + c]);
                f64::from((1.0 - right_part) * left + right_part * right)
            };
            *out = ((1.0 - down) * between(top) + down * between(bottom)) as f32;
        }
    }
}

/// A picture of twice the size and a little more, as dlib's `pyramid_up` with `pyramid_down<2>`:
/// `2 width + 2` x `2 height + 1`, bilinear with aligned corners, fractions cut off.
///
/// `pixels` and the result are three bytes per pixel.
pub(super) fn enlarge(pixels: &[u8], width: u32, height: u32) -> (Vec<u8>, u32, u32) {
    let (to_width, to_height) = (2 * width + 2, 2 * height + 1);
    let columns = Columns::new(width as usize, to_width as usize);
    let stride = CHANNELS * width as usize;
    let mut enlarged = vec![0; CHANNELS * to_width as usize * to_height as usize];
    let lines = enlarged.chunks_exact_mut(CHANNELS * to_width as usize);
    for (line, at) in lines.zip(Rows::new(height as usize, to_height as usize)) {
        let top = &pixels[at.first * stride..][..stride];
        let bottom = &pixels[at.second * stride..][..stride];
        let (fast, rest) = line.split_at_mut(CHANNELS * columns.fast.len());
        enlarge_fast(top, bottom, at.fraction, &columns.fast, fast);
        enlarge_rest(top, bottom, at.fraction, &columns.rest, rest);
    }
    (enlarged, to_width, to_height)
}

/// The columns that dlib interpolates in `f32`.
fn enlarge_fast(top: &[u8], bottom: &[u8], down: f64, columns: &[(u32, f32)], out: &mut [u8]) {
    let (lower, upper) = (down as f32, (1.0 - down) as f32);
    for (out, &(left, right_part)) in out.chunks_exact_mut(CHANNELS).zip(columns) {
        let at = CHANNELS * left as usize;
        let left_part = 1.0 - right_part;
        let (top, bottom) = (&top[at..at + 2 * CHANNELS], &bottom[at..at + 2 * CHANNELS]);
        for c in 0..CHANNELS {
            let value = (upper * left_part) * f32::from(top[c])
                + (upper * right_part) * f32::from(top[c + CHANNELS])
                + (lower * left_part) * f32::from(bottom[c])
                + (lower * right_part) * f32::from(bottom[c + CHANNELS]);
            out[c] = value as u8;
        }
    }
}

/// The columns that dlib interpolates in `f64`.
fn enlarge_rest(top: &[u8], bottom: &[u8], down: f64, columns: &[Between], out: &mut [u8]) {
    for (out, column) in out.chunks_exact_mut(CHANNELS).zip(columns) {
        for (c, out) in out.iter_mut().enumerate() {
            let between = |row: &[u8]| {
                let [left, right] = [column.first, column.second].map(|x| row[CHANNELS * x + c]);
                (1.0 - column.fraction) * f64::from(left) + column.fraction * f64::from(right)
            };
            *out = ((1.0 - down) * between(top) + down * between(bottom)) as u8;
        }
    }
}

/// Two neighbours in a line and how far a point is from the first to the second.
#[derive(Clone, Copy, Debug)]
struct Between {
    first: usize,
    second: usize,
    fraction: f64,
}

impl Between {
    fn new(at: f64, size: usize) -> Self {
        let first = at.floor() as usize;
        Between { first, second: (first + 1).min(size - 1), fraction: at - first as f64 }
    }
}

/// Step between two points of the new size in points of the old one.
fn step(from: usize, to: usize) -> f64 {
    (from - 1) as f64 / (to - 1).max(1) as f64
}

/// Source rows of every row; positions are summed up in `f64`, never multiplied.
struct Rows {
    from: usize,
    left: usize,
    step: f64,
    at: f64,
}

impl Rows {
    fn new(from: usize, to: usize) -> Self {
        let step = step(from, to);
        Rows { from, left: to, step, at: -step }
    }
}

impl Iterator for Rows {
    type Item = Between;

    fn next(&mut self) -> Option<Between> {
        self.left = self.left.checked_sub(1)?;
        self.at += self.step;
        Some(Between::new(self.at, self.from))
    }
}

/// Source columns of every column.
struct Columns {
    /// Left column and fraction; positions are summed up in `f32`, four columns abreast.
    fast: Vec<(u32, f32)>,
    /// The columns after the first four that would reach beyond the right edge.
    rest: Vec<Between>,
}

impl Columns {
    fn new(from: usize, to: usize) -> Self {
        let step = step(from, to);
        let start = -4.0 * step;
        let mut at = [0.0, 1.0, 2.0, 3.0].map(|lane: f64| (start + lane * step) as f32);
        let mut fast: Vec<(u32, f32)> = Vec::with_capacity(to);
        loop {
            at = at.map(|x| x + (4.0 * step) as f32);
            if at[3] as usize + 1 >= from {
                break;
            }
            fast.extend(at.map(|x| (x as u32, x - x.trunc())));
        }
        let mut x = -step + fast.len() as f64 * step;
        let rest = (fast.len()..to).map(|_| {
            x += step;
            Between::new(x, from)
        });
        let rest = rest.collect();
        Columns { fast, rest }
    }
}

#[cfg(test)]
#[path = "canvas_tests.rs"]
mod tests;
