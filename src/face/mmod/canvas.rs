//! The pyramid of a picture painted on one canvas, with dlib's own arithmetic.
use anyhow::{Context, Result};
use tch::{Device, Kind, Tensor};

use super::{
    layout::Layout,
    rect::Rect,
    resize::{enlarged, shares, Between, Columns, Rows},
};

/// Red, green and blue.
const CHANNELS: usize = 3;
/// Columns that dlib interpolates abreast.
const LANES: usize = 4;

/// A canvas `[height, width, 3]`: zeros, and every level in its place. It is painted anew for
/// every picture of its size.
#[derive(Debug)]
pub(super) struct Canvas {
    layout: Layout,
    values: Vec<f32>,
}

impl Canvas {
    /// All zeros.
    pub fn new(layout: Layout) -> Self {
        let values = vec![0f32; CHANNELS * layout.width * layout.height];
        Canvas { layout, values }
    }

    /// Where the levels are.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Hands the canvas out as `[1, 3, height, width]`, without a copy.
    ///
    /// # Errors
    /// When LibTorch fails, or with what `with` answers.
    pub fn with_tensor<R>(&self, with: impl FnOnce(&Tensor) -> Result<R>) -> Result<R> {
        let [height, width, channels] =
            [self.layout.height, self.layout.width, CHANNELS].map(|n| n as i64);
        let size = [1, channels, height, width];
        let strides = [height * width * channels, 1, width * channels, channels];
        let values = self.values.as_ptr().cast();
        // SAFETY: size and strides stay inside `values`, which outlives the tensor: it is lent for
        // one call, and nobody writes to it.
        let tensor =
            unsafe { Tensor::f_from_blob(values, &size, &strides, Kind::Float, Device::Cpu) };
        with(&tensor.context("cannot place a picture before the face detector")?)
    }

    /// Paints a picture: (pixel - mean) / 256. What is between the levels is never touched.
    ///
    /// `pixels` is RGB or BGR, rows of the size of the first level; the first channel meets the
    /// first of `means`.
    pub fn paint(&mut self, pixels: &[u8], means: [f32; 3]) {
        let Canvas { layout, values } = self;
        let first = layout.levels[0];
        let line = CHANNELS * first.width() as usize;
        for (row, from) in pixels.chunks_exact(line).enumerate() {
            let to = &mut values[start(layout, first, row)..][..line];
            for (to, from) in to.chunks_exact_mut(CHANNELS).zip(from.chunks_exact(CHANNELS)) {
                for c in 0..CHANNELS {
                    to[c] = (f32::from(from[c]) - means[c]) / 256.0;
                }
            }
        }
        for pair in layout.levels.windows(2) {
            shrink(values, layout, pair[0], pair[1]);
        }
    }
}

/// Where a row of a level starts on the canvas.
fn start(layout: &Layout, level: Rect, row: usize) -> usize {
    CHANNELS * ((level.top as usize + row) * layout.width + level.left as usize)
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
            let rows = [top, bottom].map(|row| &canvas[row..][..width]);
            fast(rows, at.fraction, four, &mut values, |value| value);
            canvas[place..][..values.len()].copy_from_slice(&values);
            place += values.len();
        }
        for column in &columns.rest {
            let mut values = [0f32; CHANNELS];
            let rows = [top, bottom].map(|row| &canvas[row..][..width]);
            shrink_rest(rows, at.fraction, column, &mut values);
            canvas[place..][..values.len()].copy_from_slice(&values);
            place += values.len();
        }
    }
}

/// A column that dlib interpolates in `f64` between sums in `f32`.
fn shrink_rest([top, bottom]: [&[f32]; 2], down: f64, column: &Between, out: &mut [f32]) {
    let right_part = column.fraction as f32;
    for (c, out) in out.iter_mut().enumerate() {
        let between = |row: &[f32]| {
            let [left, right] = [column.first, column.second].map(|x| row[CHANNELS * x + c]);
            f64::from((1.0 - right_part) * left + right_part * right)
        };
        *out = ((1.0 - down) * between(top) + down * between(bottom)) as f32;
    }
}

/// A picture of the size [`enlarged`] as dlib makes it: bilinear with aligned corners, fractions cut
/// off.
///
/// `pixels` and the result are three bytes per pixel; the result comes with its width and height.
pub(super) fn enlarge(pixels: &[u8], width: u32, height: u32) -> (Vec<u8>, u32, u32) {
    let (to_width, to_height) = enlarged((width.into(), height.into()));
    let columns = Columns::new(width as usize, to_width as usize);
    let stride = CHANNELS * width as usize;
    let mut large = vec![0; CHANNELS * to_width as usize * to_height as usize];
    let lines = large.chunks_exact_mut(CHANNELS * to_width as usize);
    for (line, at) in lines.zip(Rows::new(height as usize, to_height as usize)) {
        let rows = [at.first, at.second].map(|row| &pixels[row * stride..][..stride]);
        let (first, rest) = line.split_at_mut(CHANNELS * columns.fast.len());
        fast(rows, at.fraction, &columns.fast, first, |value| value as u8);
        enlarge_rest(rows, at.fraction, &columns.rest, rest);
    }
    (large, to_width as u32, to_height as u32)
}

/// The columns that dlib interpolates in `f32`, of the rows above and below; `of` makes a pixel's
/// value of the sum.
fn fast<T, U>(
    [top, bottom]: [&[T]; 2],
    down: f64,
    columns: &[(u32, f32)],
    out: &mut [U],
    of: impl Fn(f32) -> U,
) where
    T: Copy,
    f32: From<T>,
{
    for (out, &(left, right)) in out.chunks_exact_mut(CHANNELS).zip(columns) {
        let at = CHANNELS * left as usize;
        let (top, bottom) = (&top[at..at + 2 * CHANNELS], &bottom[at..at + 2 * CHANNELS]);
        let [upper_left, upper_right, lower_left, lower_right] = shares(down, right);
        for c in 0..CHANNELS {
            out[c] = of(upper_left * f32::from(top[c])
                + upper_right * f32::from(top[c + CHANNELS])
                + lower_left * f32::from(bottom[c])
                + lower_right * f32::from(bottom[c + CHANNELS]));
        }
    }
}

/// The columns that dlib interpolates in `f64`.
fn enlarge_rest([top, bottom]: [&[u8]; 2], down: f64, columns: &[Between], out: &mut [u8]) {
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
