//! The perceptual hash of a picture: 64 signs of its lowest spatial frequencies.
//!
//! The luma plane is averaged to 32 x 32 cells whatever its size, and the signs of 64 cosine
//! coefficients (horizontal + vertical frequency at most 10, without the mean) are the bits, as in
//! the robust hashes of Zauner ("Implementation and benchmarking of perceptual image hash
//! functions", 2010) but with zero instead of the median as threshold. Hence
//!
//! - brightness and contrast cancel: they scale coefficients or move the mean only;
//! - compression, scaling and small marks move few coefficients across zero;
//! - the hash of the mirrored picture is the hash with the odd horizontal bits flipped
//!   ([`mirrored`]), so mirrored copies are found without a second hash.
//!
//! All arithmetic is on integers: same pixels, same bits, on every machine.
use std::sync::LazyLock;

use super::wide::widened;

/// Cells per side of the averaged picture.
pub(super) const CELLS: usize = 32;
/// Highest horizontal + vertical frequency that is used.
pub(super) const HIGHEST: usize = 10;
/// Fractional bits of a cell's value.
const CELL_BITS: u32 = 8;
/// Fractional bits of the cosine table.
pub(super) const COSINE_BITS: u32 = 12;
/// A coefficient counts as information from this amplitude on, in luma levels. Codec and sensor
/// noise stay far below: white noise of 5 levels on 712 x 400 pixels has amplitude 0.02.
const LEAST_AMPLITUDE: f64 = 0.5;
/// Coefficients that must carry information, of 64; black and flat frames, fades to one colour
/// and colour bars (which vary in one direction only) have fewer.
const LEAST_COEFFICIENTS: usize = 24;

/// What stands for the hash of a picture that shows too little to be recognised: it is near to
/// nothing, not even to itself.
pub const UNINFORMATIVE: u64 = 0;

/// Everything a hash depends on; hashes of different settings must not be compared.
pub const SETTINGS: &str = "dct-sign/1 cells=32 frequencies=10 bits=64 gate=24x0.5 grid_ms=500";

/// The brightness (BT.601 weights, full range) of interleaved RGB bytes.
pub fn luma(rgb: &[u8]) -> Vec<u8> {
    let grey = |p: &[u8]| {
        ((77 * u32::from(p[0]) + 150 * u32::from(p[1]) + 29 * u32::from(p[2]) + 128) >> 8) as u8
    };
    rgb.chunks_exact(3).map(grey).collect()
}

/// A picture averaged to 32 x 32 cells: all that the hash sees of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thumbnail(Vec<u16>);

impl Thumbnail {
    /// The averages of a brightness plane (any range, any offset) of which `row(y)` is line `y`,
    /// `width` pixels long; `None` when a side is 0.
    pub fn new<'a>(width: usize, height: usize, row: impl Fn(usize) -> &'a [u8]) -> Option<Self> {
        (width > 0 && height > 0).then(|| Thumbnail(cells(width, height, CELLS, row)))
    }

    /// The same of `height` rows of `width` bytes; `None` also when there are fewer bytes.
    pub fn of_pixels(pixels: &[u8], width: usize, height: usize) -> Option<Self> {
        let enough = width.checked_mul(height).is_some_and(|n| n <= pixels.len());
        if !enough {
            return None;
        }
        Self::new(width, height, |y| &pixels[y * width..(y + 1) * width])
    }

    /// Of cells that are whole luma levels, `[32, 32]` in row order.
    pub fn of_levels(levels: &[u8; CELLS * CELLS]) -> Self {
        Thumbnail(levels.iter().map(|&level| u16::from(level) << CELL_BITS).collect())
    }

    /// Cell averages in 1/256 levels, `[32, 32]` in row order.
    pub fn cells(&self) -> &[u16] {
        &self.0
    }
}

/// The hash, or [`UNINFORMATIVE`] when the picture is too plain.
pub fn hash(thumbnail: &Thumbnail) -> u64 {
    signs(&transform(&thumbnail.0))
}

/// The signs of 64 coefficients in order of frequency as bits.
pub(super) fn signs(coefficients: &[Coefficient]) -> u64 {
    let informative = coefficients.iter().filter(|c| c.amplitude >= LEAST_AMPLITUDE).count();
    if informative < LEAST_COEFFICIENTS {
        return UNINFORMATIVE;
    }
    let set = coefficients.iter().enumerate().filter(|(_, c)| c.positive);
    let bits = set.fold(0, |bits, (rank, _)| bits | 1 << place(rank));
    if bits == UNINFORMATIVE {
        1
    } else {
        bits
    }
}

/// Differing bits, 0..=64. Inlined, so that searches count them by the instruction that they ask for.
#[inline]
pub fn distance(a: u64, b: u64) -> u32 {
    (a ^ b).count_ones()
}

/// The hash of the left-right mirrored picture; twice gives the hash back.
pub fn mirrored(hash: u64) -> u64 {
    if hash == UNINFORMATIVE {
        UNINFORMATIVE
    } else {
        hash ^ *ODD_COLUMNS
    }
}

/// The plane averaged to `n` x `n` cells in row order, with exact shares of cut pixels, in
/// 1/256 levels.
fn cells<'a>(width: usize, height: usize, n: usize, row: impl Fn(usize) -> &'a [u8]) -> Vec<u16> {
    let area = (width * height) as u64;
    let mut cells = Vec::with_capacity(n * n);
    let (mut whole, mut few, mut cut) = (vec![0u32; width], vec![0u16; width], vec![0u32; width]);
    let mut columns = vec![0u64; width];
    for cell in 0..n {
        whole.fill(0);
        cut.fill(0);
        let (start, end) = (cell * height, (cell + 1) * height);
        // Most rows lie in one row of cells; the others weigh as much as lies in this one.
        let inside = start.div_ceil(n)..(end / n).max(start.div_ceil(n));
        for y in (start / n..=(end - 1) / n).filter(|y| !inside.contains(y)) {
            add(&mut cut, row(y), overlap(start, end, y * n, (y + 1) * n) as u32);
        }
        for first in inside.clone().step_by(MOST_ROWS) {
            few.fill(0);
            let end = inside.end.min(first + MOST_ROWS);
            for y in (first..end).step_by(4) {
                let row = |k: usize| row(y + k);
                match end - y {
                    1 => add_rows(&mut few, [row(0)]),
                    2 => add_rows(&mut few, [row(0), row(1)]),
                    3 => add_rows(&mut few, [row(0), row(1), row(2)]),
                    _ => add_rows(&mut few, [row(0), row(1), row(2), row(3)]),
                }
            }
            gather(&mut whole, &few);
        }
        weigh(&whole, n as u32, &cut, &mut columns);
        cells.extend((0..n).map(|x| ((share(&columns, x, n) << CELL_BITS) / area) as u16));
    }
    cells
}

/// Rows whose sums fit 16 bits.
const MOST_ROWS: usize = 256;

widened! {
    /// Adds rows to sums of columns, of not more than [`MOST_ROWS`]; without checks the loop takes many pixels
    /// at once.
    fn add_rows<const K: usize>(sums: &mut [u16], rows: [&[u8]; K]) {
        let rows = rows.map(|row| &row[..sums.len()]);
        for (x, sum) in sums.iter_mut().enumerate() {
            *sum = rows.iter().fold(*sum, |sum, row| sum.wrapping_add(u16::from(row[x])));
        }
    }

    /// Adds sums of [`MOST_ROWS`] at most to those of all rows, which end within 32 bits.
    fn gather(whole: &mut [u32], few: &[u16]) {
        whole.iter_mut().zip(few).for_each(|(sum, few)| *sum = sum.wrapping_add(u32::from(*few)));
    }

    /// Adds a row to sums of columns. A picture of 2^28 pixels does not reach the end of 32 bits; without
    /// checks the loop takes many pixels at once.
    fn add(sums: &mut [u32], row: &[u8], weight: u32) {
        for (sum, &v) in sums.iter_mut().zip(row) {
            *sum = sum.wrapping_add(u32::from(v).wrapping_mul(weight));
        }
    }

    /// Whole rows `n` times and what is cut once; nothing of 32 bits wraps in 64.
    fn weigh(whole: &[u32], n: u32, cut: &[u32], columns: &mut [u64]) {
        for ((column, &whole), &cut) in columns.iter_mut().zip(whole).zip(cut) {
            *column = u64::from(whole).wrapping_mul(u64::from(n)).wrapping_add(u64::from(cut));
        }
    }
}

/// The columns of cell `x` of `n`, each weighted by n times the share that lies in the cell.
fn share(columns: &[u64], x: usize, n: usize) -> u64 {
    let (start, end) = (x * columns.len(), (x + 1) * columns.len());
    let (first, last) = (start / n, (end - 1) / n);
    let weighted = |i: usize| overlap(start, end, i * n, (i + 1) * n) as u64 * columns[i];
    if first == last {
        return weighted(first);
    }
    let whole = columns[first + 1..last].iter().fold(0u64, |sum, v| sum.wrapping_add(*v));
    weighted(first) + n as u64 * whole + weighted(last)
}

fn overlap(a: usize, b: usize, c: usize, d: usize) -> usize {
    b.min(d).saturating_sub(a.max(c))
}

/// One cosine coefficient.
pub(super) struct Coefficient {
    /// Its sign.
    pub positive: bool,
    /// Its size in luma levels.
    pub amplitude: f64,
}

impl Coefficient {
    /// A frequency's sum over all cells, each of which was counted `unit` times.
    pub fn new((u, v): (usize, usize), sum: i64, unit: f64) -> Self {
        let norm = if u == 0 || v == 0 { 2.0 } else { 4.0 } / (CELLS * CELLS) as f64;
        Coefficient { positive: sum > 0, amplitude: (sum as f64 / unit * norm).abs() }
    }
}

/// (horizontal, vertical) frequency of every coefficient, lowest first.
pub(super) static FREQUENCIES: LazyLock<Vec<(usize, usize)>> = LazyLock::new(|| {
    let all = (1..=HIGHEST).flat_map(|sum| (0..=sum).map(move |u| (u, sum - u)));
    // 65 fit below the diagonal; the last vertical one goes.
    all.filter(|&f| f != (0, HIGHEST)).collect()
});

/// `round(2^12 cos((2x + 1) u pi / 64))`, by u and x.
pub(super) static COSINES: LazyLock<Vec<[i64; CELLS]>> = LazyLock::new(|| {
    let one = f64::from(1u32 << COSINE_BITS);
    let cosine = |u: usize, x: usize| {
        let angle = ((2 * x + 1) * u) as f64 * std::f64::consts::PI / (2 * CELLS) as f64;
        (one * angle.cos()).round() as i64
    };
    (0..=HIGHEST).map(|u| std::array::from_fn(|x| cosine(u, x))).collect()
});

static ODD_COLUMNS: LazyLock<u64> = LazyLock::new(|| {
    let odd = FREQUENCIES.iter().enumerate().filter(|(_, (u, _))| u % 2 == 1);
    odd.fold(0, |mask, (rank, _)| mask | 1 << place(rank))
});

/// The bit of the coefficient of a rank: neighbours go to different 16-bit bands, so that every
/// band of the search index sees low and high frequencies alike.
fn place(rank: usize) -> usize {
    rank % 4 * 16 + rank / 4
}

/// The cosine transform at [`FREQUENCIES`].
///
/// Cosines of even frequencies are symmetric about the middle, of odd ones antisymmetric, so opposite cells
/// are added or subtracted first. Sums are whole numbers below 2^51, which `f64` holds exactly in any order,
/// and of which processors multiply several at once.
fn transform(cells: &[u16]) -> Vec<Coefficient> {
    let columns = columns(cells);
    let folded: Vec<[f64; CELLS]> = columns.iter().map(folded).collect();
    let scale = f64::from(1u32 << CELL_BITS) * f64::from(1u32 << (2 * COSINE_BITS));
    let coefficient = |&(u, v): &(usize, usize)| {
        let half = &folded[v][u % 2 * HALF..][..HALF];
        let sum: f64 = half.iter().zip(&HALF_COSINES[u]).map(|(value, c)| value * c).sum();
        Coefficient::new((u, v), sum as i64, scale)
    };
    FREQUENCIES.iter().map(coefficient).collect()
}

/// Half a side: opposite cells are taken together.
const HALF: usize = CELLS / 2;

/// [`COSINES`] of the first half of a side.
static HALF_COSINES: LazyLock<Vec<[f64; HALF]>> =
    LazyLock::new(|| COSINES.iter().map(|row| std::array::from_fn(|x| row[x] as f64)).collect());

/// Sums along every column, `[11, 32]` by vertical frequency and x.
fn columns(cells: &[u16]) -> [[f64; CELLS]; HIGHEST + 1] {
    let mut columns = [[0.0; CELLS]; HIGHEST + 1];
    let rows = cells.chunks_exact(CELLS).zip(cells.chunks_exact(CELLS).rev());
    for (y, (upper, lower)) in rows.take(HALF).enumerate() {
        let mut folded = [[0.0; CELLS]; 2];
        for (x, (&upper, &lower)) in upper.iter().zip(lower).enumerate() {
            let (upper, lower) = (f64::from(upper), f64::from(lower));
            (folded[0][x], folded[1][x]) = (upper + lower, upper - lower);
        }
        for (v, sums) in columns.iter_mut().enumerate() {
            let cosine = HALF_COSINES[v][y];
            sums.iter_mut().zip(&folded[v % 2]).for_each(|(sum, value)| *sum += cosine * value);
        }
    }
    columns
}

/// Sums of opposite values, then their differences.
fn folded(line: &[f64; CELLS]) -> [f64; CELLS] {
    std::array::from_fn(|x| {
        let (left, right) = (line[x % HALF], line[CELLS - 1 - x % HALF]);
        if x < HALF {
            left + right
        } else {
            left - right
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Draws;

    /// A picture of 25 grey rectangles.
    fn picture(seed: u64, width: usize, height: usize) -> Vec<u8> {
        let mut draws = Draws::new(seed, "rectangles", "");
        let mut pixels = vec![120u8; width * height];
        for _ in 0..25 {
            let (x, y) = (draws.uniform(), draws.uniform());
            let (w, h) = (draws.between(0.05, 0.5), draws.between(0.05, 0.5));
            let grey = draws.below(256) as u8;
            let columns =
                (x * width as f64) as usize..(((x + w) * width as f64) as usize).min(width);
            for row in
                ((y * height as f64) as usize)..(((y + h) * height as f64) as usize).min(height)
            {
                pixels[row * width..][columns.clone()].fill(grey);
            }
        }
        pixels
    }

    fn of(pixels: &[u8], width: usize, height: usize) -> u64 {
        hash(&Thumbnail::of_pixels(pixels, width, height).expect("fits"))
    }

    #[test]
    fn cells_are_exact_averages() {
        // 3 x 1 pixels into 2 x 2 cells: each cell holds one and a half pixels.
        let [left, right] = [30 * 256, 190 * 256]; // (0 + 45) / 1.5 and (45 + 240) / 1.5
        assert_eq!(cells(3, 1, 2, |_| &[0, 90, 240]), [left, right, left, right]);
        assert_eq!(cells(1, 2, 1, |y| [&[8], &[9]][y]), [8 * 256 + 128]);
        assert_eq!(Thumbnail::of_pixels(&[1, 2, 3], 2, 2), None);
        assert_eq!(Thumbnail::of_pixels(&[], 0, 2), None);
        assert_eq!(Thumbnail::of_pixels(&[], usize::MAX, 2), None);
    }

    /// Every row with its share, one after the other.
    #[test]
    fn many_rows_at_once_are_as_many_one_by_one() {
        let mut draws = Draws::new(1, "cells", "");
        let sizes = [(712, 400), (64, 64), (33, 31), (5, 97), (7, 1), (3, 20_000), (40, 3 * 32)];
        for ((width, height), n) in sizes.into_iter().flat_map(|size| [(size, CELLS), (size, 2)]) {
            let level =
                |i: usize| if height > 9000 { 255 } else { (draws.below(256) + i as u64) as u8 };
            let pixels: Vec<u8> = (0..width * height).map(level).collect();
            let row = |y: usize| &pixels[y * width..][..width];
            let area = (width * height) as u64;
            let wanted = (0..n * n).map(|i| {
                let (start, end) = (i / n * height, (i / n + 1) * height);
                let mut columns = vec![0u64; width];
                for y in 0..height {
                    let weight = overlap(start, end, y * n, (y + 1) * n) as u64;
                    columns.iter_mut().zip(row(y)).for_each(|(c, v)| *c += weight * u64::from(*v));
                }
                ((share(&columns, i % n, n) << CELL_BITS) / area) as u16
            });
            let found = cells(width, height, n, row);
            let wanted: Vec<u16> =
                if height > 9000 { vec![255 << CELL_BITS; n * n] } else { wanted.collect() };
            assert_eq!(found, wanted, "{width} {height} {n}");
        }
    }

    #[test]
    fn a_cosine_sets_the_bit_of_its_frequency() {
        let (u, v) = (3, 2);
        let rank = FREQUENCIES.iter().position(|&f| f == (u, v)).expect("used");
        let wave = |x: usize, u: usize| ((2 * x + 1) * u) as f64 * std::f64::consts::PI / 512.0;
        let cells: Vec<u16> = (0..256 * 256)
            .map(|i| (100.0 + 50.0 * wave(i % 256, u).cos() * wave(i / 256, v).cos()) as u16)
            .collect();
        let pixels: Vec<u8> = cells.iter().map(|&c| c as u8).collect();
        let thumbnail = Thumbnail::of_pixels(&pixels, 256, 256).expect("fits");
        let found = transform(&thumbnail.0);
        assert!((found[rank].amplitude - 50.0).abs() < 0.5 && found[rank].positive);
        assert_eq!(found.iter().filter(|c| c.amplitude > 0.3).count(), 1);
        // one frequency alone is no picture
        assert_eq!(hash(&thumbnail), UNINFORMATIVE);
    }

    #[test]
    fn folded_sums_are_those_of_the_definition() {
        let mut draws = Draws::new(4, "cells", "");
        for most in [65281, 256, 2] {
            let cells: Vec<u16> = (0..CELLS * CELLS).map(|_| draws.below(most) as u16).collect();
            let sum = |(u, v): (usize, usize)| -> i64 {
                let term =
                    |i: usize| i64::from(cells[i]) * COSINES[u][i % CELLS] * COSINES[v][i / CELLS];
                (0..CELLS * CELLS).map(term).sum()
            };
            let scale = f64::from(1u32 << CELL_BITS) * f64::from(1u32 << (2 * COSINE_BITS));
            for (found, &frequency) in transform(&cells).iter().zip(FREQUENCIES.iter()) {
                let expected = Coefficient::new(frequency, sum(frequency), scale);
                assert_eq!(found.positive, expected.positive, "{frequency:?}");
                assert_eq!(found.amplitude, expected.amplitude, "{frequency:?}");
            }
        }
    }

    #[test]
    fn whole_levels_are_cells() {
        let levels: [u8; CELLS * CELLS] = std::array::from_fn(|i| (i * 7 % 256) as u8);
        let averaged = Thumbnail::of_pixels(&levels, CELLS, CELLS);
        assert_eq!(averaged, Some(Thumbnail::of_levels(&levels)));
    }

    #[test]
    fn there_are_64_bits_and_mirroring_is_its_own_inverse() {
        assert_eq!(FREQUENCIES.len(), 64);
        let places: std::collections::BTreeSet<_> = (0..64).map(place).collect();
        assert_eq!(places.len(), 64);
        assert_eq!(mirrored(mirrored(77)), 77);
        assert_eq!(mirrored(UNINFORMATIVE), UNINFORMATIVE);
    }

    #[test]
    fn copies_are_near_and_others_far() {
        let (width, height) = (356, 200);
        for seed in 0..20 {
            let pixels = picture(seed, width, height);
            let original = of(&pixels, width, height);
            let near = |name: &str, other: u64, most: u32| {
                let d = distance(original, other);
                assert!(d <= most, "{name} of {seed}: {d}");
            };
            let brighter: Vec<u8> = pixels.iter().map(|&v| (f64::from(v) * 0.9) as u8).collect();
            near("brightness", of(&brighter, width, height), 4);
            near("scaling", of(&picture(seed, 712, 400), 712, 400), 4);
            let mut noise = Draws::new(seed, "noise", "");
            let noisy: Vec<u8> =
                pixels.iter().map(|&v| (f64::from(v) + 8.0 * noise.normal()) as u8).collect();
            near("noise", of(&noisy, width, height), 4);
            let flipped: Vec<u8> =
                pixels.chunks(width).flat_map(|row| row.iter().rev().copied()).collect();
            near("mirrored", mirrored(of(&flipped, width, height)), 1);
            let other = of(&picture(seed + 100, width, height), width, height);
            assert!(distance(original, other) >= 14, "{seed}: {}", distance(original, other));
        }
    }

    #[test]
    fn plain_pictures_have_no_hash() {
        let (width, height) = (356, 200);
        let mut noise = Draws::new(1, "noise", "");
        let black = vec![16u8; width * height];
        let grainy: Vec<u8> =
            black.iter().map(|&v| (f64::from(v) + 6.0 * noise.normal()) as u8).collect();
        let bars: Vec<u8> =
            (0..width * height).map(|i| (i % width * 8 / width * 30) as u8).collect();
        let fade: Vec<u8> = (0..width * height).map(|i| (i / width) as u8).collect();
        for (name, pixels) in [("black", black), ("grainy", grainy), ("bars", bars), ("fade", fade)]
        {
            assert_eq!(of(&pixels, width, height), UNINFORMATIVE, "{name}");
        }
    }

    #[test]
    fn luma_weighs_the_channels() {
        assert_eq!(luma(&[255, 255, 255, 255, 0, 0, 0, 255, 0, 0, 0, 255]), [255, 77, 149, 29]);
    }
}
