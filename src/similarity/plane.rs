//! Grey pictures: cut, made smaller, and averaged to cells.
use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

/// A brightness plane, 8 bits a pixel, in row order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plane {
    /// Pixels per row; never 0.
    pub width: usize,
    /// Rows; never 0.
    pub height: usize,
    /// `width * height` levels.
    pub pixels: Vec<u8>,
}

/// A part of a picture in whole pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// First column.
    pub x: usize,
    /// First row.
    pub y: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// Fractional bits of the weights of one output pixel, which sum up to 1.
const WEIGHT_BITS: u32 = 12;

impl Plane {
    /// The plane of these levels; `None` when a side is 0 or there are not `width * height` of them.
    pub fn new(width: usize, height: usize, pixels: Vec<u8>) -> Option<Self> {
        let fits = width > 0 && height > 0 && width.checked_mul(height) == Some(pixels.len());
        fits.then_some(Plane { width, height, pixels })
    }

    /// Row `y`.
    pub fn row(&self, y: usize) -> &[u8] {
        &self.pixels[y * self.width..][..self.width]
    }

    /// The whole picture as an area.
    pub fn area(&self) -> Area {
        Area { x: 0, y: 0, width: self.width, height: self.height }
    }

    /// A part of the picture, which must lie inside.
    pub fn cut(&self, area: Area) -> Plane {
        let rows = area.y..area.y + area.height;
        let pixels = rows.flat_map(|y| &self.row(y)[area.x..area.x + area.width]).copied();
        Plane { width: area.width, height: area.height, pixels: pixels.collect() }
    }

    /// The picture at another size: every pixel is a mean with weights that fall off like a tent
    /// over its neighbourhood, so that nothing is lost when it gets smaller.
    pub fn scaled(&self, width: usize, height: usize) -> Plane {
        let (across, down) = (Taps::of(self.width, width), Taps::of(self.height, height));
        let mut narrow = vec![0u16; width * self.height];
        let rows = self.pixels.chunks_exact(self.width).zip(narrow.chunks_exact_mut(width));
        rows.for_each(|(row, out)| across.along(row, out));
        let mut pixels = vec![0; width * height];
        for (tap, out) in down.taps.iter().zip(pixels.chunks_exact_mut(width)) {
            let rows = &narrow[tap.first * width..][..tap.weights.len() * width];
            lanes::down(rows, &tap.weights, out);
        }
        Plane { width, height, pixels }
    }

    /// The picture with its longer side at most `longest` pixels; as it is when it is smaller.
    pub fn at_most(&self, longest: usize) -> Plane {
        let longer = self.width.max(self.height);
        if longer <= longest {
            return self.clone();
        }
        let side = |n: usize| ((2 * n * longest + longer) / (2 * longer)).max(1);
        self.scaled(side(self.width), side(self.height))
    }

    /// Left becomes right.
    pub fn mirrored(&self) -> Plane {
        let rows = self.pixels.chunks_exact(self.width);
        let pixels = rows.flat_map(|row| row.iter().rev().copied()).collect();
        Plane { pixels, ..*self }
    }
}

/// Sums of a row's levels; four fractional bits are kept for the second pass. Weights sum up to 1, so
/// that nothing overflows; a check would cost a third.
fn along(row: &[u8], across: &[Tap], out: &mut [u16]) {
    for (cell, tap) in out.iter_mut().zip(across) {
        let weighted = row[tap.first..].iter().zip(&tap.weights);
        let sum =
            weighted.fold(0u32, |sum, (l, w)| sum.wrapping_add(u32::from(*l).wrapping_mul(*w)));
        *cell = (sum >> (WEIGHT_BITS - 4)) as u16;
    }
}

/// As [`along`] for taps of four pixels.
fn along_fours(row: &[u8], across: &[(usize, [u32; 4])], out: &mut [u16]) {
    let (mut fours, mut cells) = (across.chunks_exact(4), out.chunks_exact_mut(4));
    for (taps, cells) in fours.by_ref().zip(cells.by_ref()) {
        lanes::four(row, taps, cells);
    }
    for (cell, tap) in cells.into_remainder().iter_mut().zip(fours.remainder()) {
        *cell = one(row, tap);
    }
}

fn one(row: &[u8], (first, weights): &(usize, [u32; 4])) -> u16 {
    let four: &[u8; 4] = row[*first..].first_chunk().expect("taps end with the row");
    let part = |k: usize| u32::from(four[k]).wrapping_mul(weights[k]);
    let sum = part(0).wrapping_add(part(1)).wrapping_add(part(2)).wrapping_add(part(3));
    (sum >> (WEIGHT_BITS - 4)) as u16
}

/// Half of the last bit that goes, in the second pass.
const HALF: u32 = 1 << (WEIGHT_BITS + 3);

/// Several pixels at once; weights and sums of the first pass fit 16 bits with a sign.
#[cfg(target_arch = "x86_64")]
mod lanes {
    use std::arch::x86_64::*;

    use super::{Eight, HALF, WEIGHT_BITS};

    /// Four cells of the first pass.
    pub(super) fn four(row: &[u8], taps: &[(usize, [u32; 4])], out: &mut [u16]) {
        let bytes = |k: usize| {
            let four: &[u8; 4] = row[taps[k].0..].first_chunk().expect("taps end with the row");
            i32::from_le_bytes(*four)
        };
        let out: &mut [u16; 4] = out.first_chunk_mut().expect("four cells");
        // SAFETY: every x86-64 has SSE2; weights have 16 bytes a tap, and eight bytes are written.
        unsafe {
            let zero = _mm_setzero_si128();
            let two = |k: usize| {
                let both = _mm_unpacklo_epi32(
                    _mm_cvtsi32_si128(bytes(k)),
                    _mm_cvtsi32_si128(bytes(k + 1)),
                );
                let weights = |k: usize| _mm_loadu_si128(taps[k].1.as_ptr().cast());
                let weights = _mm_packs_epi32(weights(k), weights(k + 1));
                _mm_madd_epi16(_mm_unpacklo_epi8(both, zero), weights)
            };
            let (a, b) = (_mm_castsi128_ps(two(0)), _mm_castsi128_ps(two(2)));
            let even = _mm_castps_si128(_mm_shuffle_ps(a, b, 0b10_00_10_00));
            let odd = _mm_castps_si128(_mm_shuffle_ps(a, b, 0b11_01_11_01));
            let sums = _mm_srli_epi32(_mm_add_epi32(even, odd), WEIGHT_BITS as i32 - 4);
            _mm_storel_epi64(out.as_mut_ptr().cast(), _mm_packs_epi32(sums, zero));
        }
    }

    /// A row of the second pass, of as many rows of the first as there are weights.
    pub(super) fn down(rows: &[u16], weights: &[u32], out: &mut [u8]) {
        if out.len() >= 16 && is_x86_feature_detected!("avx2") {
            // SAFETY: the machine has the instructions.
            return unsafe { sixteens_down(rows, weights, out) };
        }
        eights_down(rows, weights, out);
    }

    /// Sixteen pixels of `out` at once, of which there are as many at least.
    #[target_feature(enable = "avx2")]
    fn sixteens_down(rows: &[u16], weights: &[u32], out: &mut [u8]) {
        let width = out.len();
        // What is left over at the end is done once more with those in front of it.
        let last = width - 16;
        for x in (0..last).step_by(16).chain(std::iter::once(last)) {
            // SAFETY: sixteen cells of each row and of `out` lie behind `x`.
            unsafe {
                let row =
                    |k: usize| _mm256_loadu_si256(rows[k * width + x..][..16].as_ptr().cast());
                let bias = _mm256_set1_epi32(HALF as i32);
                let (mut low, mut high) = (bias, bias);
                for (k, pair) in weights.chunks(2).enumerate() {
                    let (next, second) = match pair {
                        [_, second] => (row(2 * k + 1), *second),
                        _ => (_mm256_setzero_si256(), 0),
                    };
                    let own = row(2 * k);
                    let both = _mm256_set1_epi32((second << 16 | pair[0]) as i32);
                    let madd = |cells| _mm256_madd_epi16(cells, both);
                    low = _mm256_add_epi32(low, madd(_mm256_unpacklo_epi16(own, next)));
                    high = _mm256_add_epi32(high, madd(_mm256_unpackhi_epi16(own, next)));
                }
                let levels = |sums| _mm256_srli_epi32(sums, WEIGHT_BITS as i32 + 4);
                let words = _mm256_packs_epi32(levels(low), levels(high));
                let bytes = _mm256_packus_epi16(words, words);
                let bytes = _mm256_castsi256_si128(_mm256_permute4x64_epi64(bytes, 0b1000));
                _mm_storeu_si128(out[x..][..16].as_mut_ptr().cast(), bytes);
            }
        }
    }

    /// Eight pixels at once.
    pub(super) fn eights_down(rows: &[u16], weights: &[u32], out: &mut [u8]) {
        let width = out.len();
        // What is left over at the end is done once more with those in front of it.
        let last = width.checked_sub(8);
        let starts = (0..width / 8).map(|k| 8 * k).chain(last.filter(|_| !width.is_multiple_of(8)));
        for x in starts {
            // SAFETY: every x86-64 has SSE2; eight cells of each row and of `out` lie behind `x`.
            unsafe {
                let row = |k: usize| _mm_loadu_si128(rows[k * width + x..][..8].as_ptr().cast());
                let bias = _mm_set1_epi32(HALF as i32);
                let (mut low, mut high) = (bias, bias);
                let mut k = 0;
                while k < weights.len() {
                    let is_last = k + 1 == weights.len();
                    let (own, next) =
                        (row(k), if is_last { _mm_setzero_si128() } else { row(k + 1) });
                    let second = if is_last { 0 } else { weights[k + 1] };
                    let both = _mm_set1_epi32((second << 16 | weights[k]) as i32);
                    low = _mm_add_epi32(low, _mm_madd_epi16(_mm_unpacklo_epi16(own, next), both));
                    high = _mm_add_epi32(high, _mm_madd_epi16(_mm_unpackhi_epi16(own, next), both));
                    k += 2;
                }
                let levels = |sums| _mm_srli_epi32(sums, WEIGHT_BITS as i32 + 4);
                let words = _mm_packs_epi32(levels(low), levels(high));
                let bytes = _mm_packus_epi16(words, words);
                _mm_storel_epi64(out[x..][..8].as_mut_ptr().cast(), bytes);
            }
        }
        if last.is_none() {
            for (x, level) in out.iter_mut().enumerate() {
                *level = super::level(rows[x..].iter().step_by(width), weights);
            }
        }
    }

    /// Eight cells of the first pass.
    #[target_feature(enable = "ssse3")]
    pub(super) fn eight(row: &[u8], taps: &Eight, out: &mut [u16; 8]) {
        let bytes: &[u8; 16] = row[taps.start..].first_chunk().expect("taps end with the row");
        // SAFETY: all that is read and written are these sixteen bytes, places and weights of sixteen
        // bytes each, and the eight cells.
        unsafe {
            let bytes = _mm_loadu_si128(bytes.as_ptr().cast());
            let zero = _mm_setzero_si128();
            let half = |k: usize| {
                let four = _mm_shuffle_epi8(bytes, _mm_loadu_si128(taps.places[k].as_ptr().cast()));
                let weights = |j: usize| _mm_loadu_si128(taps.weights[2 * k + j].as_ptr().cast());
                let low = _mm_madd_epi16(_mm_unpacklo_epi8(four, zero), weights(0));
                let high = _mm_madd_epi16(_mm_unpackhi_epi8(four, zero), weights(1));
                _mm_srli_epi32(_mm_hadd_epi32(low, high), WEIGHT_BITS as i32 - 4)
            };
            _mm_storeu_si128(out.as_mut_ptr().cast(), _mm_packs_epi32(half(0), half(1)));
        }
    }
}

/// Pixels one by one.
#[cfg(not(target_arch = "x86_64"))]
mod lanes {
    /// Four cells of the first pass.
    pub(super) fn four(row: &[u8], taps: &[(usize, [u32; 4])], out: &mut [u16]) {
        out.iter_mut().zip(taps).for_each(|(cell, tap)| *cell = super::one(row, tap));
    }

    /// A row of the second pass, of as many rows of the first as there are weights.
    pub(super) fn down(rows: &[u16], weights: &[u32], out: &mut [u8]) {
        let width = out.len();
        for (x, level) in out.iter_mut().enumerate() {
            *level = super::level(rows[x..].iter().step_by(width), weights);
        }
    }
}

/// A pixel of the second pass.
fn level<'a>(column: impl Iterator<Item = &'a u16>, weights: &[u32]) -> u8 {
    let sum = column
        .zip(weights)
        .fold(HALF, |sum, (l, w)| sum.wrapping_add(u32::from(*l).wrapping_mul(*w)));
    (sum >> (WEIGHT_BITS + 4)).min(255) as u8
}

/// Taps of a row of `from` pixels filled up to four pixels with weights of 0; `None` where some
/// take more, or the row has fewer.
fn fours(taps: &[Tap], from: usize) -> Option<Vec<(usize, [u32; 4])>> {
    let last = from.checked_sub(4)?;
    let four = |tap: &Tap| {
        let first = tap.first.min(last);
        let mut weights = [0; 4];
        weights
            .get_mut(tap.first - first..)?
            .get_mut(..tap.weights.len())?
            .copy_from_slice(&tap.weights);
        Some((first, weights))
    };
    taps.iter().map(four).collect()
}

/// Taps of eight cells of the first pass, made of sixteen pixels at most.
#[cfg(target_arch = "x86_64")]
struct Eight {
    /// The first of the sixteen.
    start: usize,
    /// Which of them each of the cells takes, four a cell.
    places: [[u8; 16]; 2],
    /// Their weights, two cells in a row.
    weights: [[i16; 8]; 4],
}

#[cfg(target_arch = "x86_64")]
impl Eight {
    /// `None` where the cells take pixels that are farther apart.
    fn of(taps: &[(usize, [u32; 4])], from: usize) -> Option<Self> {
        let start = taps.first()?.0.min(from.checked_sub(16)?);
        let mut eight = Eight { start, places: [[0; 16]; 2], weights: [[0; 8]; 4] };
        for (i, (first, weights)) in taps.iter().enumerate() {
            let place = first.checked_sub(start).filter(|place| *place <= 12)?;
            for (k, weight) in weights.iter().enumerate() {
                eight.places[i / 4][i % 4 * 4 + k] = (place + k) as u8;
                eight.weights[i / 2][i % 2 * 4 + k] = *weight as i16;
            }
        }
        Some(eight)
    }
}

/// How a row of pixels becomes one of another length.
struct Taps {
    taps: Vec<Tap>,
    /// The same of four pixels each, where no cell takes more.
    fours: Option<Vec<(usize, [u32; 4])>>,
    /// The same of eight cells each but for the last few, where the machine can.
    #[cfg(target_arch = "x86_64")]
    eights: Option<Vec<Eight>>,
}

/// Pairs of lengths whose taps a thread keeps: a clip's pictures need two dozen.
const KEPT_TAPS: usize = 128;

impl Taps {
    /// The taps from one length to another; those that were used before are kept.
    fn of(from: usize, to: usize) -> Rc<Taps> {
        thread_local! {
            static KEPT: RefCell<BTreeMap<(usize, usize), Rc<Taps>>> = RefCell::default();
        }
        KEPT.with_borrow_mut(|kept| {
            if kept.len() >= KEPT_TAPS && !kept.contains_key(&(from, to)) {
                kept.clear();
            }
            Rc::clone(kept.entry((from, to)).or_insert_with(|| Rc::new(Taps::new(from, to))))
        })
    }

    fn new(from: usize, to: usize) -> Self {
        let taps = taps(from, to);
        let fours = fours(&taps, from);
        #[cfg(target_arch = "x86_64")]
        let eights = fours
            .as_ref()
            .filter(|_| is_x86_feature_detected!("ssse3"))
            .and_then(|fours| fours.chunks_exact(8).map(|taps| Eight::of(taps, from)).collect());
        Taps {
            taps,
            fours,
            #[cfg(target_arch = "x86_64")]
            eights,
        }
    }

    /// The first pass over a row.
    fn along(&self, row: &[u8], out: &mut [u16]) {
        let Some(fours) = &self.fours else { return along(row, &self.taps, out) };
        #[cfg(target_arch = "x86_64")]
        if let Some(eights) = &self.eights {
            let (cells, rest) = out.as_chunks_mut();
            for (taps, cells) in eights.iter().zip(cells) {
                // SAFETY: there are eights only where the machine has the instructions.
                unsafe { lanes::eight(row, taps, cells) };
            }
            return along_fours(row, &fours[fours.len() - rest.len()..], rest);
        }
        along_fours(row, fours, out);
    }
}

/// What one output pixel is made of.
struct Tap {
    first: usize,
    weights: Vec<u32>,
}

fn taps(from: usize, to: usize) -> Vec<Tap> {
    let ratio = from as f64 / to as f64;
    let reach = ratio.max(1.0);
    (0..to)
        .map(|i| {
            let centre = (i as f64 + 0.5) * ratio - 0.5;
            let first = ((centre - reach).ceil().max(0.0) as usize).min(from - 1);
            let last = ((centre + reach).floor() as usize).min(from - 1);
            let tent = |k: usize| (1.0 - (k as f64 - centre).abs() / reach).max(0.0);
            let total: f64 = (first..=last).map(tent).sum();
            let one = f64::from(1u32 << WEIGHT_BITS);
            let mut weights: Vec<u32> =
                (first..=last).map(|k| (one * tent(k) / total).round() as u32).collect();
            // What rounding left over goes to the middle.
            let middle = weights.len() / 2;
            let rest = (1i64 << WEIGHT_BITS) - weights.iter().map(|w| i64::from(*w)).sum::<i64>();
            weights[middle] = (i64::from(weights[middle]) + rest).max(0) as u32;
            Tap { first, weights }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flat_picture_stays_flat_and_a_ramp_a_ramp() {
        let flat = Plane::new(37, 23, vec![201; 37 * 23]).expect("fits");
        for (w, h) in [(37, 23), (10, 7), (80, 50), (1, 1)] {
            assert!(flat.scaled(w, h).pixels.iter().all(|l| *l == 201), "{w} {h}");
        }
        let ramp = Plane::new(240, 2, (0..480).map(|i| (i % 240) as u8).collect()).expect("fits");
        let small = ramp.scaled(60, 1);
        for (i, level) in small.pixels.iter().enumerate().skip(2).take(56) {
            assert!((f64::from(*level) - (4.0 * i as f64 + 1.5)).abs() <= 1.0, "{i} {level}");
        }
    }

    #[test]
    fn many_pixels_at_once_are_as_many_one_by_one() {
        let mut draws = crate::seed::Draws::new(1, "plane", "");
        for ([width, height], [to_width, to_height]) in [
            ([53, 31], [41, 24]),
            ([61, 40], [17, 9]),
            ([9, 7], [4, 30]),
            ([4, 4], [3, 3]),
            ([3, 3], [2, 2]),
            ([90, 33], [11, 1]),
            ([712, 4], [480, 3]),
            ([480, 5], [384, 4]),
            ([157, 6], [126, 5]),
            ([16, 3], [15, 9]),
            ([20, 3], [160, 2]),
        ] {
            let levels = |_| if draws.chance(0.5) { 255 } else { draws.below(256) as u8 };
            let plane =
                Plane::new(width, height, (0..width * height).map(levels).collect()).expect("fits");
            let (across, down) = (taps(width, to_width), taps(height, to_height));
            let mut narrow = vec![0u16; to_width * height];
            for (y, row) in narrow.chunks_exact_mut(to_width).enumerate() {
                along(plane.row(y), &across, row);
            }
            let wanted = down.iter().flat_map(|tap| {
                let rows = &narrow[tap.first * to_width..];
                (0..to_width).map(|x| level(rows[x..].iter().step_by(to_width), &tap.weights))
            });
            let wanted: Vec<u8> = wanted.collect();
            assert_eq!(plane.scaled(to_width, to_height).pixels, wanted, "{width} {to_width}");
            #[cfg(target_arch = "x86_64")]
            {
                let mut eights = vec![0; wanted.len()];
                for (tap, out) in down.iter().zip(eights.chunks_exact_mut(to_width)) {
                    lanes::eights_down(
                        &narrow[tap.first * to_width..][..tap.weights.len() * to_width],
                        &tap.weights,
                        out,
                    );
                }
                assert_eq!(eights, wanted, "without AVX2");
            }
            if let Some(fours) = fours(&across, width) {
                let mut one = vec![0u16; to_width];
                along_fours(plane.row(0), &fours, &mut one);
                assert_eq!(one, narrow[..to_width], "without eights");
            }
        }
    }

    #[test]
    fn sides_and_areas_are_checked() {
        assert_eq!(Plane::new(0, 2, vec![]), None);
        assert_eq!(Plane::new(2, 2, vec![1; 3]), None);
        assert_eq!(Plane::new(usize::MAX, 2, vec![1]), None);
        let plane = Plane::new(3, 2, vec![1, 2, 3, 4, 5, 6]).expect("fits");
        let cut = plane.cut(Area { x: 1, y: 1, width: 2, height: 1 });
        assert_eq!((cut.width, cut.height, cut.pixels), (2, 1, vec![5, 6]));
        assert_eq!(plane.mirrored().pixels, [3, 2, 1, 6, 5, 4]);
        let small = Plane::new(1000, 500, vec![9; 500_000]).expect("fits").at_most(480);
        assert_eq!((small.width, small.height), (480, 240));
        assert_eq!(plane.at_most(480), plane);
    }
}
