//! SURF features (Li and Zhang: "Learning SURF cascade for fast and accurate object detection", CVPR
//! 2013) of a window: sums of its gradients over the four cells of a patch.
//!
//! Eight numbers are summed for every pixel: the slope along x and its size where the slope along y
//! is not negative, both where it is, and the same with x and y exchanged. A column of them fits 16
//! bits, so sums run down the columns only; a cell is then as many differences as it has columns. They
//! are kept for the rows where a cell begins or ends.
use super::{
    lanes::{for_all_lanes, Lanes},
    WINDOW,
};

const EDGE: usize = WINDOW as usize;
/// Sums for every pixel.
const CHANNELS: usize = 8;
/// Columns of sums: those of the window, filled up to whole registers.
const COLUMNS: usize = 48;
/// Columns that are summed together.
const BLOCK: usize = 16;
/// Numbers of a row of sums.
const ROW: usize = CHANNELS * COLUMNS;
/// Columns of a cell, at most, filled up to whole registers.
const WIDEST: usize = 32;
/// Least edge of a patch, and the distance between neighbouring ones.
const LEAST: usize = 16;
/// Widths and heights of patches, up to a factor.
const SHAPES: [(usize, usize); 5] = [(1, 1), (1, 2), (2, 1), (2, 3), (3, 2)];
/// Numbers of a feature: eight sums in each of four cells.
pub(super) const NUMBERS: usize = 4 * CHANNELS;
/// Patches that there are.
pub(super) const POOL: usize = 56;

/// A patch of 2 x 2 cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patch {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

/// All patches, in the order in which networks count them.
pub(super) fn pool() -> Vec<Patch> {
    let mut pool = Vec::new();
    for (across, down) in SHAPES {
        for height in LEAST..=EDGE {
            let width = height / down * across;
            let cells = height % 2 == 0 && height % down == 0 && width % 2 == 0;
            if !cells || !(LEAST..=EDGE).contains(&width) {
                continue;
            }
            for top in (0..=EDGE - height).step_by(LEAST) {
                let lefts = (0..=EDGE - width).step_by(LEAST);
                pool.extend(lefts.map(|left| Patch { left, top, width, height }));
            }
        }
    }
    pool
}

impl Patch {
    /// The rows where its cells begin or end, a bit each.
    pub(super) fn rows(&self) -> u64 {
        [0, self.height / 2, self.height].iter().fold(0, |rows, row| rows | 1 << (self.top + row))
    }
}

/// A window's pixels with a border, which is such that slopes at the edge, where there is one
/// neighbour only, count twice.
type Bordered = [[i16; COLUMNS + 2]; EDGE + 2];

/// A window's sums; kept for the next window.
#[derive(Debug)]
pub(super) struct Gradients {
    pixels: Box<Bordered>,
    /// `[row][channel][column]`: the sums over all rows before.
    sums: Vec<i16>,
}

impl Default for Gradients {
    fn default() -> Self {
        let pixels = Box::new([[0; COLUMNS + 2]; EDGE + 2]);
        Gradients { pixels, sums: vec![0; (EDGE + 1) * ROW + WIDEST] }
    }
}

impl Gradients {
    /// Takes a window's pixels; its sums are right in `rows`, a bit each, and in row 0.
    pub(super) fn compute(&mut self, lanes: Lanes, window: &[u8], rows: u64) {
        assert_eq!(window.len(), EDGE * EDGE);
        border(lanes, window, &mut self.pixels);
        for first in (0..COLUMNS).step_by(BLOCK) {
            add_block(lanes, &self.pixels, first, rows, &mut self.sums);
        }
    }

    /// Adds the numbers of a patch, brought to length 1, to `numbers`.
    pub(super) fn feature(&self, lanes: Lanes, patch: Patch, numbers: &mut Vec<f32>) {
        let (width, height) = (patch.width / 2, patch.height / 2);
        let mut cells = [[0i32; CHANNELS]; 4];
        for (i, cell) in cells.iter_mut().enumerate() {
            let (left, top) = (patch.left + i % 2 * width, patch.top + i / 2 * height);
            let above = &self.sums[top * ROW + left..];
            let below = &self.sums[(top + height) * ROW + left..];
            *cell = differences(lanes, above, below, width);
        }
        let mut feature = [0.0; NUMBERS];
        to_length_one(lanes, &cells, &mut feature);
        numbers.extend(feature);
    }
}

for_all_lanes! {
    fn border(window: &[u8], pixels: &mut Bordered) {
        let outside = |edge: i16, inner: i16| edge.wrapping_mul(2).wrapping_sub(inner);
        for (row, line) in window.chunks_exact(EDGE).zip(&mut pixels[1..]) {
            for (pixel, &level) in line[1..].iter_mut().zip(row) {
                *pixel = i16::from(level);
            }
            line[0] = outside(line[1], line[2]);
            line[EDGE + 1] = outside(line[EDGE], line[EDGE - 1]);
        }
        for (border, edge, inner) in [(0, 1, 2), (EDGE + 1, EDGE, EDGE - 1)] {
            pixels[border] = std::array::from_fn(|x| outside(pixels[edge][x], pixels[inner][x]));
        }
    }

    fn to_length_one(cells: &[[i32; CHANNELS]; 4], numbers: &mut [f32; NUMBERS]) {
        // Squares are of 32 bits, as rustface has them, and begin anew where they do not fit; their
        // sum is exact in f64 in any order.
        let square = |v: &i32| i64::from(v.wrapping_mul(*v));
        let total: i64 = cells.as_flattened().iter().map(square).fold(0, i64::wrapping_add);
        if total == 0 {
            *numbers = [0.0; NUMBERS];
            return;
        }
        let length = (total as f64).sqrt() as f32;
        for (number, &sum) in numbers.iter_mut().zip(cells.as_flattened()) {
            *number = sum as f32 / length;
        }
    }
}

/// Sums down [`BLOCK`] columns from `first` on, kept in `rows`.
fn add_block(lanes: Lanes, pixels: &Bordered, first: usize, rows: u64, sums: &mut [i16]) {
    match lanes {
        Lanes::Plain => add_block_plain(pixels, first, rows, sums),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the value proves that the machine has AVX2.
        Lanes::Avx2(_) => unsafe { add_block_avx2(pixels, first, rows, sums) },
    }
}

fn add_block_plain(pixels: &Bordered, first: usize, rows: u64, sums: &mut [i16]) {
    let mut channels = [[0i16; BLOCK]; CHANNELS];
    for (y, lines) in pixels.windows(3).enumerate() {
        let [above, row, below] = [0, 1, 2].map(|k| &lines[k][first..first + BLOCK + 2]);
        for x in 0..BLOCK {
            let along = row[x + 2].wrapping_sub(row[x]);
            let down = below[x + 1].wrapping_sub(above[x + 1]);
            let split = |slope: i16, other: i16| {
                let is_less = other >> 15;
                let size = slope.wrapping_abs();
                [slope & !is_less, size & !is_less, slope & is_less, size & is_less]
            };
            let added = [split(along, down), split(down, along)];
            for (channel, &added) in channels.iter_mut().zip(added.as_flattened()) {
                channel[x] = channel[x].wrapping_add(added);
            }
        }
        if rows >> (y + 1) & 1 == 1 {
            let row = sums[(y + 1) * ROW..][..ROW].chunks_exact_mut(COLUMNS);
            for (target, channel) in row.zip(&channels) {
                target[first..first + BLOCK].copy_from_slice(channel);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn add_block_avx2(pixels: &Bordered, first: usize, rows: u64, sums: &mut [i16]) {
    use std::arch::x86_64::*;
    let mut channels = [_mm256_setzero_si256(); CHANNELS];
    for (y, lines) in pixels.windows(3).enumerate() {
        let load = |k: usize, right: usize| {
            let sixteen: &[i16; BLOCK] =
                lines[k][first + right..].first_chunk().expect("two more than whole registers");
            // SAFETY: an array of 32 bytes.
            unsafe { _mm256_loadu_si256(sixteen.as_ptr().cast()) }
        };
        let along = _mm256_sub_epi16(load(1, 2), load(1, 0));
        let down = _mm256_sub_epi16(load(2, 1), load(0, 1));
        for (at, slope, other) in [(0, along, down), (4, down, along)] {
            let (is_less, size) = (_mm256_srai_epi16::<15>(other), _mm256_abs_epi16(slope));
            let added = [
                _mm256_andnot_si256(is_less, slope),
                _mm256_andnot_si256(is_less, size),
                _mm256_and_si256(is_less, slope),
                _mm256_and_si256(is_less, size),
            ];
            for (channel, added) in channels[at..].iter_mut().zip(added) {
                *channel = _mm256_add_epi16(*channel, added);
            }
        }
        if rows >> (y + 1) & 1 == 1 {
            let row = sums[(y + 1) * ROW..][..ROW].chunks_exact_mut(COLUMNS);
            for (target, channel) in row.zip(channels) {
                let target = &mut target[first..first + BLOCK];
                // SAFETY: the target has 32 bytes.
                unsafe { _mm256_storeu_si256(target.as_mut_ptr().cast(), channel) };
            }
        }
    }
}

/// Each channel's sum over a cell `width` wide, of the sums at its upper and its lower end.
fn differences(lanes: Lanes, above: &[i16], below: &[i16], width: usize) -> [i32; CHANNELS] {
    match lanes {
        Lanes::Plain => std::array::from_fn(|channel| {
            let part = |sums: &[i16]| -> i32 {
                sums[channel * COLUMNS..][..width].iter().map(|&sum| i32::from(sum)).sum()
            };
            part(below).wrapping_sub(part(above))
        }),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the value proves that the machine has AVX2.
        Lanes::Avx2(_) => unsafe { differences_avx2(above, below, width) },
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn differences_avx2(above: &[i16], below: &[i16], width: usize) -> [i32; CHANNELS] {
    use std::arch::x86_64::*;
    // As many ones as the cell has columns, and zeros.
    const ONES: [i16; 2 * WIDEST] = {
        let mut ones = [0; 2 * WIDEST];
        let mut i = 0;
        while i < WIDEST {
            ones[i] = 1;
            i += 1;
        }
        ones
    };
    let load = |numbers: &[i16], at: usize| {
        let sixteen: &[i16; BLOCK] = numbers[at..].first_chunk().expect("the sums have a border");
        // SAFETY: an array of 32 bytes.
        unsafe { _mm256_loadu_si256(sixteen.as_ptr().cast()) }
    };
    let ones = [load(&ONES, WIDEST - width), load(&ONES, WIDEST - width + BLOCK)];
    let mut whole = [_mm256_setzero_si256(); CHANNELS];
    for (channel, whole) in whole.iter_mut().enumerate() {
        let at = channel * COLUMNS;
        let part = _mm256_sub_epi16(load(below, at), load(above, at));
        *whole = _mm256_madd_epi16(part, ones[0]);
    }
    if width > BLOCK {
        for (channel, whole) in whole.iter_mut().enumerate() {
            let at = channel * COLUMNS + BLOCK;
            let part = _mm256_sub_epi16(load(below, at), load(above, at));
            *whole = _mm256_add_epi32(*whole, _mm256_madd_epi16(part, ones[1]));
        }
    }
    // Neighbouring numbers are added until one of each channel is left.
    let [a, b, c, d, e, f, g, h] = whole;
    let first = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    let second = _mm256_hadd_epi32(_mm256_hadd_epi32(e, f), _mm256_hadd_epi32(g, h));
    let low = _mm256_permute2x128_si256::<0x20>(first, second);
    let high = _mm256_permute2x128_si256::<0x31>(first, second);
    let mut sums = [0; CHANNELS];
    // SAFETY: the target has 32 bytes.
    unsafe { _mm256_storeu_si256(sums.as_mut_ptr().cast(), _mm256_add_epi32(low, high)) };
    sums
}
