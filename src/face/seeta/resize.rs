//! Pictures made smaller or larger by linear interpolation, to the bit as rustface does it.
//!
//! It computes in f64 and cuts off; flat areas then come out a level darker now and then, so that no
//! cheaper arithmetic gives the same. What is saved is work: a source row is interpolated along its
//! length once for all target rows that need it.
use super::lanes::{for_all_lanes, Lanes};

/// Grey pixels, `stride` from row to row.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub pixels: &'a [u8],
    pub stride: usize,
    pub width: usize,
    pub height: usize,
}

impl<'a> View<'a> {
    /// Rows without anything between them.
    pub(super) fn whole(pixels: &'a [u8], width: usize, height: usize) -> Self {
        View { pixels, stride: width, width, height }
    }

    /// The part of `size` pixels a side that begins at `left`, `top`; it must lie inside.
    pub(super) fn part(&self, left: usize, top: usize, size: usize) -> Self {
        let pixels = &self.pixels[top * self.stride + left..];
        View { pixels, stride: self.stride, width: size, height: size }
    }

    pub(super) fn row(&self, y: usize) -> &'a [u8] {
        &self.pixels[y * self.stride..][..self.width]
    }
}

/// Where the target's columns (or rows) lie among the source's.
#[derive(Debug, Default)]
struct Axis {
    from: usize,
    /// The pixel at or before; the one behind it exists too.
    at: Vec<u32>,
    /// The share of the one behind.
    share: Vec<f64>,
}

impl Axis {
    /// Of `to` pixels from `from`, at least two.
    fn set(&mut self, from: usize, to: usize) {
        assert!(from >= 2, "nothing lies between fewer than two pixels");
        if self.from == from && self.at.len() == to {
            return;
        }
        self.from = from;
        self.at.clear();
        self.share.clear();
        let step = from as f64 / to as f64;
        for i in 0..to {
            let place = step * i as f64;
            let before = (place as u32).min(from as u32 - 2);
            self.at.push(before);
            self.share.push(place - f64::from(before));
        }
    }
}

/// Interpolates; keeps its buffers.
#[derive(Debug, Default)]
pub(super) struct Resizer {
    columns: Axis,
    rows: Axis,
    /// The two pixels that each target column lies between, the left one in the low byte.
    pairs: Vec<u16>,
    upper: Line,
    lower: Line,
}

/// A source row at the target's columns.
#[derive(Debug, Default)]
struct Line {
    row: Option<usize>,
    levels: Vec<f64>,
}

impl Resizer {
    /// `source`, at least 2 x 2 pixels, in `width` x `height` pixels, rows without anything between
    /// them.
    pub(super) fn resize(
        &mut self,
        lanes: Lanes,
        source: View,
        (width, height): (usize, usize),
        target: &mut Vec<u8>,
    ) {
        target.clear();
        if (source.width, source.height) == (width, height) {
            (0..height).for_each(|y| target.extend_from_slice(source.row(y)));
            return;
        }
        target.resize(width * height, 0);
        self.columns.set(source.width, width);
        self.rows.set(source.height, height);
        self.pairs.resize(width, 0);
        for line in [&mut self.upper, &mut self.lower] {
            line.row = None;
            line.levels.resize(width, 0.0);
        }
        for (y, target) in target.chunks_exact_mut(width).enumerate() {
            let row = self.rows.at[y] as usize;
            if self.lower.row == Some(row) {
                std::mem::swap(&mut self.upper, &mut self.lower);
            }
            self.upper.set(lanes, row, source, &self.columns, &mut self.pairs);
            self.lower.set(lanes, row + 1, source, &self.columns, &mut self.pairs);
            across(lanes, self.rows.share[y], &self.upper.levels, &self.lower.levels, target);
        }
    }
}

impl Line {
    fn set(&mut self, lanes: Lanes, row: usize, source: View, columns: &Axis, pairs: &mut [u16]) {
        if self.row == Some(row) {
            return;
        }
        self.row = Some(row);
        let pixels = source.row(row);
        assert_eq!(pixels.len(), columns.from);
        for (pair, &at) in pairs.iter_mut().zip(&columns.at) {
            let at = at as usize;
            // SAFETY: an axis has no place behind the last pixel but one of `from`.
            *pair = unsafe {
                u16::from_le_bytes([*pixels.get_unchecked(at), *pixels.get_unchecked(at + 1)])
            };
        }
        along(lanes, pairs, &columns.share, &mut self.levels);
    }
}

for_all_lanes! {
    /// Levels between the two pixels of each pair.
    fn along(pairs: &[u16], share: &[f64], levels: &mut [f64]) {
        for ((level, &pair), &share) in levels.iter_mut().zip(pairs).zip(share) {
            let (left, right) = (f64::from(i32::from(pair & 0xff)), f64::from(i32::from(pair >> 8)));
            *level = (1.0 - share) * left + share * right;
        }
    }

    /// Pixels between two rows of levels.
    fn across(share: f64, upper: &[f64], lower: &[f64], target: &mut [u8]) {
        let rest = 1.0 - share;
        for ((pixel, &upper), &lower) in target.iter_mut().zip(upper).zip(lower) {
            let level = rest * upper + share * lower;
            // SAFETY: shares lie within 0 and 2, so that levels are finite and below 1100.
            let whole = unsafe { level.to_int_unchecked::<i32>() };
            *pixel = whole.clamp(0, 255) as u8;
        }
    }
}
