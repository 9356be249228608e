//! The pyramid of a picture painted on one canvas, with dlib's own arithmetic.
use super::{
    boxes::Rect,
    layout::Layout,
    resize::{Between, Columns, Rows},
};

/// Red, green and blue.
const CHANNELS: usize = 3;
/// Columns that dlib interpolates abreast.
const LANES: usize = 4;

/// Where a row of a level starts on the canvas `[height, width, 3]`.
fn start(layout: &Layout, level: Rect, row: usize) -> usize {
    CHANNELS * ((level.top as usize + row) * layout.width + level.left as usize)
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
        let to = &mut canvas[start(layout, first, row)..][..line];
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

/// Resizes level `from` into level `to`. Pixels are written as soon as dlib writes them, four at a
/// time and then one by one: in tiny pictures a level lies over the one that it is made of.
fn shrink(canvas: &mut [f32], layout: &Layout, from: Rect, to: Rect) {
    let columns = Columns::new(from.width() as usize, to.width() as usize);
    let width = CHANNELS * from.width() as usize;
    for (row, at) in Rows::new(from.height() as usize, to.height() as usize).enumerate() {
        let [top, bottom] = [at.first, at.second].map(|row| start(layout, from, row));
        let mut place = start(layout, to, row);
        for four in columns.fast.chunks_exact(LANES) {
            let mut values = [0f32; CHANNELS * LANES];
            let rows = (&canvas[top..][..width], &canvas[bottom..][..width]);
            shrink_fast(rows.0, rows.1, at.fraction, four, &mut values);
            canvas[place..][..values.len()].copy_from_slice(&values);
            place += values.len();
        }
        for column in &columns.rest {
            let mut values = [0f32; CHANNELS];
            let rows = (&canvas[top..][..width], &canvas[bottom..][..width]);
            shrink_rest(rows.0, rows.1, at.fraction, column, &mut values);
            canvas[place..][..values.len()].copy_from_slice(&values);
            place += values.len();
        }
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

/// A column that dlib interpolates in `f64` between sums in `f32`.
fn shrink_rest(top: &[f32], bottom: &[f32], down: f64, column: &Between, out: &mut [f32]) {
    let right_part = column.fraction as f32;
    for (c, out) in out.iter_mut().enumerate() {
        let between = |row: &[f32]| {
            let [left, right] = [column.first, column.second].map(|x| row[CHANNELS * x + c]);
            f64::from((1.0 - right_part) * left + right_part * right)
        };
        *out = ((1.0 - down) * between(top) + down * between(bottom)) as f32;
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

#[cfg(test)]
#[path = "canvas_tests.rs"]
mod tests;
