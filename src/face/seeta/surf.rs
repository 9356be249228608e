//! SURF features (Li and Zhang: "Learning SURF cascade for fast and accurate object detection", CVPR
//! 2013) of a window: sums of its gradients over the four cells of a patch.
//!
//! Eight numbers are summed for every pixel: the slope along x and its size where the slope along y
//! is not negative, both where it is, and the same with x and y exchanged. A column of them fits 16
//! bits, so sums run down the columns only; a cell is then as many differences as it has columns.
use super::{
    lanes::{for_all_lanes, Lanes},
    WINDOW,
};

const EDGE: usize = WINDOW as usize;
/// Sums for every pixel.
const CHANNELS: usize = 8;
/// Numbers of a row of sums.
const ROW: usize = EDGE * CHANNELS;
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

/// A window's sums; kept for the next window.
#[derive(Debug)]
pub(super) struct Gradients {
    /// `[row][column][channel]`: the sums over all rows before.
    sums: Vec<i16>,
}

impl Default for Gradients {
    fn default() -> Self {
        Gradients { sums: vec![0; (EDGE + 1) * ROW] }
    }
}

impl Gradients {
    /// Takes a window's pixels.
    pub(super) fn compute(&mut self, lanes: Lanes, window: &[u8]) {
        assert_eq!(window.len(), EDGE * EDGE);
        let row = |y: usize| &window[y * EDGE..][..EDGE];
        let mut slopes = [[0; 2]; EDGE];
        for y in 0..EDGE {
            // At the edge there is one neighbour only, which counts twice.
            let (above, below) = (y.saturating_sub(1), (y + 1).min(EDGE - 1));
            let factor = if below - above == 1 { 2 } else { 1 };
            row_slopes(lanes, row(above), row(y), row(below), factor, &mut slopes);
            let (before, after) = self.sums[y * ROW..][..2 * ROW].split_at_mut(ROW);
            add_channels(lanes, &slopes, before, after);
        }
    }

    /// Adds the numbers of a patch, brought to length 1, to `numbers`.
    pub(super) fn feature(&self, lanes: Lanes, patch: Patch, numbers: &mut Vec<f32>) {
        let mut feature = [0.0; NUMBERS];
        patch_numbers(lanes, &self.sums, patch, &mut feature);
        numbers.extend(feature);
    }
}

for_all_lanes! {
    /// The slopes along x and y of a row's pixels; those along y by `factor`.
    fn row_slopes(above: &[u8], row: &[u8], below: &[u8], factor: i16, slopes: &mut [[i16; 2]; EDGE]) {
        let mut along = [0i16; EDGE];
        for ((slope, &left), &right) in along[1..].iter_mut().zip(row).zip(&row[2..]) {
            *slope = i16::from(right).wrapping_sub(i16::from(left));
        }
        along[0] = (i16::from(row[1]) - i16::from(row[0])) * 2;
        along[EDGE - 1] = (i16::from(row[EDGE - 1]) - i16::from(row[EDGE - 2])) * 2;
        for (((slope, along), &above), &below) in
            slopes.iter_mut().zip(along).zip(above).zip(below)
        {
            let down = i16::from(below).wrapping_sub(i16::from(above)).wrapping_mul(factor);
            *slope = [along, down];
        }
    }

    /// The numbers of a patch: its cells' sums, brought to length 1.
    fn patch_numbers(sums: &[i16], patch: Patch, numbers: &mut [f32; NUMBERS]) {
        let (width, height) = (patch.width / 2, patch.height / 2);
        let mut cells = [[0i32; CHANNELS]; 4];
        for (i, cell) in cells.iter_mut().enumerate() {
            let (left, top) = (patch.left + i % 2 * width, patch.top + i / 2 * height);
            let columns = |y: usize| {
                let row = &sums[y * ROW + left * CHANNELS..][..width * CHANNELS];
                row.chunks_exact(CHANNELS)
            };
            for (before, after) in columns(top).zip(columns(top + height)) {
                for ((sum, &before), &after) in cell.iter_mut().zip(before).zip(after) {
                    *sum = sum.wrapping_add(i32::from(after).wrapping_sub(i32::from(before)));
                }
            }
        }
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

/// The channels of a row's slopes, added to the sums before.
fn add_channels(lanes: Lanes, slopes: &[[i16; 2]; EDGE], before: &[i16], after: &mut [i16]) {
    match lanes {
        Lanes::Plain => add_channels_plain(slopes, before, after),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the value proves that the machine has AVX2.
        Lanes::Avx2(_) => unsafe { add_channels_avx2(slopes, before, after) },
    }
}

fn add_channels_plain(slopes: &[[i16; 2]; EDGE], before: &[i16], after: &mut [i16]) {
    let rows = before.chunks_exact(CHANNELS).zip(after.chunks_exact_mut(CHANNELS));
    for (&[x, y], (before, after)) in slopes.iter().zip(rows) {
        let split = |slope: i16, other: i16| {
            let (up, down) = if other >= 0 { (slope, 0) } else { (0, slope) };
            [up, up.abs(), down, down.abs()]
        };
        let channels = [split(x, y), split(y, x)];
        for ((after, before), channel) in after.iter_mut().zip(before).zip(channels.as_flattened())
        {
            *after = before.wrapping_add(*channel);
        }
    }
}

/// Two pixels at a time, eight channels of 16 bits each.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn add_channels_avx2(slopes: &[[i16; 2]; EDGE], before: &[i16], after: &mut [i16]) {
    use std::arch::x86_64::*;
    // Bytes of x (or y) of the lane's pixel.
    let (x0, x1, y0, y1) = (0x0100, 0x0504, 0x0302, 0x0706);
    let slope = _mm256_setr_epi16(x0, x0, x0, x0, y0, y0, y0, y0, x1, x1, x1, x1, y1, y1, y1, y1);
    let other = _mm256_setr_epi16(y0, y0, y0, y0, x0, x0, x0, x0, y1, y1, y1, y1, x1, x1, x1, x1);
    let not_negative = _mm256_setr_epi16(-1, -1, 0, 0, -1, -1, 0, 0, -1, -1, 0, 0, -1, -1, 0, 0);
    let pairs = slopes.as_flattened().chunks_exact(4);
    let rows = before.chunks_exact(2 * CHANNELS).zip(after.chunks_exact_mut(2 * CHANNELS));
    for (pair, (before, after)) in pairs.zip(rows) {
        // SAFETY: all three are as long as what is read or written: 8, 32 and 32 bytes.
        unsafe {
            let pair = _mm256_set1_epi64x(pair.as_ptr().cast::<i64>().read_unaligned());
            let value = _mm256_shuffle_epi8(pair, slope);
            let sign = _mm256_srai_epi16::<15>(_mm256_shuffle_epi8(pair, other));
            let value = _mm256_blend_epi16::<0b1010_1010>(value, _mm256_abs_epi16(value));
            let value = _mm256_and_si256(value, _mm256_xor_si256(sign, not_negative));
            let sum = _mm256_add_epi16(_mm256_loadu_si256(before.as_ptr().cast()), value);
            _mm256_storeu_si256(after.as_mut_ptr().cast(), sum);
        }
    }
}
