//! PDQ, the 256-bit picture hash that photo libraries and hash lists exchange.
//!
//! The definition is that of "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing
//! Algorithm" (Facebook, 2019): luma is smoothed twice by a box along rows and columns, sampled at
//! 64 x 64 places, and the 16 x 16 lowest cosine coefficients but the constant ones are held
//! against their median. All sums are taken in single precision in the order of the definition, so
//! that bits agree with those of other programs (the tests hold vectors of the `pdqhash` package).
use std::sync::LazyLock;

/// Samples along a side.
const SAMPLES: usize = 64;
/// Coefficients along a side.
const KEPT: usize = 16;
/// Passes of the box along rows and columns.
const PASSES: usize = 2;
/// Least side of a picture in pixels; smaller ones have no hash.
const LEAST_SIDE: usize = 5;
/// Quality from which on a hash says enough to be compared; the definition's own advice.
pub const LEAST_QUALITY: u32 = 50;

/// 256 bits; bit 0 is the lowest of the last word, as hash lists print them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pdq(pub [u64; 4]);

/// A picture's hash with what belongs to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hashed {
    /// The hash.
    pub own: Pdq,
    /// The hash of the left-right mirrored picture.
    pub mirrored: Pdq,
    /// How much there is to see, 0..=100.
    pub quality: u32,
}

impl Pdq {
    /// Differing bits, 0..=256.
    pub fn distance(self, other: Pdq) -> u32 {
        self.0.iter().zip(other.0).map(|(a, b)| (a ^ b).count_ones()).sum()
    }

    /// 64 hexadecimal digits as in hash lists.
    #[cfg(test)]
    pub fn hex(self) -> String {
        self.0.iter().map(|word| format!("{word:016x}")).collect()
    }

    /// Reads [`Self::hex`].
    #[cfg(test)]
    pub fn of_hex(text: &str) -> Option<Pdq> {
        let word = |i: usize| u64::from_str_radix(text.get(16 * i..16 * (i + 1))?, 16).ok();
        let plain = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        plain.then_some(Pdq([word(0)?, word(1)?, word(2)?, word(3)?]))
    }

    /// The bytes, most significant first.
    #[cfg(test)]
    pub fn bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let words = bytes.chunks_exact_mut(8).zip(self.0);
        words.for_each(|(to, word)| to.copy_from_slice(&word.to_be_bytes()));
        bytes
    }

    /// Bits are true where a coefficient is above the lower median.
    fn of(coefficients: &[f32; KEPT * KEPT]) -> Pdq {
        let mut sorted = *coefficients;
        let middle = sorted.len() / 2 - 1;
        let median = *sorted.select_nth_unstable_by(middle, f32::total_cmp).1;
        let mut words = [0; 4];
        for (i, _) in coefficients.iter().enumerate().filter(|(_, c)| **c > median) {
            words[3 - i / 64] |= 1 << (i % 64);
        }
        Pdq(words)
    }
}

/// The hash of interleaved RGB bytes; nothing and quality 0 where a side is below 5 pixels.
#[cfg(test)]
pub fn of_rgb(rgb: &[u8], width: usize, height: usize) -> Hashed {
    let luma = |p: &[u8]| {
        let [r, g, b] = [p[0], p[1], p[2]].map(f64::from);
        (r * 0.299 + g * 0.587 + b * 0.114) as f32
    };
    of_luma(rgb.chunks_exact(3).map(luma).collect(), width, height)
}

/// The same of grey levels, each of which stands for a pixel of three equal colours, whose weighted
/// sum is the level itself in single precision.
pub fn of_grey(levels: &[u8], width: usize, height: usize) -> Hashed {
    of_luma(levels.iter().map(|l| f32::from(*l)).collect(), width, height)
}

fn of_luma(mut plane: Vec<f32>, width: usize, height: usize) -> Hashed {
    if width < LEAST_SIDE || height < LEAST_SIDE || plane.len() != width * height {
        return Hashed::default();
    }
    let at = |i: usize, n: usize| ((i as f64 + 0.5) * n as f64 / SAMPLES as f64) as usize;
    if (width, height) != (SAMPLES, SAMPLES) {
        let mut other = vec![0.0; plane.len()];
        for _ in 1..PASSES {
            along_rows(&plane, &mut other, width, window(width));
            along_columns(&other, &mut plane, width, window(height));
        }
        // Of the last pass only the sampled columns are looked at.
        along_rows(&plane, &mut other, width, window(width));
        let columns: Vec<usize> = (0..SAMPLES).map(|i| at(i, width)).collect();
        let rows = other.chunks_exact(width);
        let narrow: Vec<f32> = rows.flat_map(|row| columns.iter().map(|&x| row[x])).collect();
        plane.resize(narrow.len(), 0.0);
        along_columns(&narrow, &mut plane, SAMPLES, window(height));
    }
    let sample = |i: usize| plane[at(i / SAMPLES, height) * SAMPLES + i % SAMPLES];
    let samples: Vec<f32> = (0..SAMPLES * SAMPLES).map(sample).collect();
    let own = cosines(&samples);
    // A mirrored picture's odd waves along the rows have the other sign; coefficients begin with
    // the first wave, not with the constant.
    let mirrored = std::array::from_fn(|i| if i % 2 == 0 { -own[i] } else { own[i] });
    Hashed { own: Pdq::of(&own), mirrored: Pdq::of(&mirrored), quality: quality(&samples) }
}

/// Pixels of the box along a side of `n` pixels.
fn window(n: usize) -> usize {
    n.div_ceil(2 * SAMPLES)
}

/// What enters and leaves the box at some places of a side of `n` pixels: the indices of the
/// pixels to add and to subtract before the mean of `count` is written.
fn steps(
    n: usize,
    window: usize,
    places: std::ops::Range<usize>,
) -> (usize, impl Iterator<Item = (Option<usize>, Option<usize>, usize)>) {
    let half = (window + 2) / 2;
    let before = half - 1;
    let step = move |out: usize| {
        let right = out + before;
        let left = (right + 1).checked_sub(window + 1);
        let first = left.map_or(0, |l| l + 1);
        (Some(right).filter(|r| *r < n), left, right.min(n - 1) + 1 - first)
    };
    (before, places.map(step))
}

/// Rows whose sums go along side by side: each waits for its own additions only.
const SIDE_BY_SIDE: usize = 4;

fn along_rows(from: &[f32], to: &mut [f32], width: usize, window: usize) {
    let together = SIDE_BY_SIDE * width;
    let (mut many, mut out) = (from.chunks_exact(together), to.chunks_exact_mut(together));
    many.by_ref().zip(&mut out).for_each(|(from, to)| box_along::<SIDE_BY_SIDE>(from, to, window));
    let rest = many.remainder().chunks_exact(width);
    let out = out.into_remainder().chunks_exact_mut(width);
    rest.zip(out).for_each(|(from, to)| box_along::<1>(from, to, window));
}

/// The box along `N` rows.
fn box_along<const N: usize>(from: &[f32], to: &mut [f32], window: usize) {
    let width = from.len() / N;
    let rows: [&[f32]; N] = std::array::from_fn(|k| &from[k * width..][..width]);
    let mut out = to.chunks_exact_mut(width);
    let mut out: [&mut [f32]; N] =
        std::array::from_fn(|_| out.next().expect("as many rows come out as go in"));
    let (before, mut at_places) = steps(width, window, 0..width);
    let mut sums = rows.map(|row| row[..before.min(width)].iter().fold(0.0, |sum, v| sum + v));
    // In the middle something enters and something leaves at every place.
    let middle = window - before..width.saturating_sub(before).max(window - before);
    let mut x = 0;
    while x < width {
        #[cfg(target_arch = "x86_64")]
        if N == SIDE_BY_SIDE && x == middle.start && middle.len() >= 4 {
            let whole = middle.len() / 4 * 4;
            in_the_middle(from, &mut sums, &mut out, (before, window), x..x + whole);
            x += whole;
            at_places = steps(width, window, x..width).1;
            continue;
        }
        let Some((enters, leaves, count)) = at_places.next() else { break };
        for (sum, row) in sums.iter_mut().zip(&rows) {
            *sum += enters.map_or(0.0, |i| row[i]);
            *sum -= leaves.map_or(0.0, |i| row[i]);
        }
        let means = sums.map(|sum| sum / count as f32);
        out.iter_mut().zip(means).for_each(|(out, mean)| out[x] = mean);
        x += 1;
    }
}

/// What [`box_along`] does at `places` in the middle, a multiple of four, of four rows at once.
#[cfg(target_arch = "x86_64")]
#[allow(clippy::needless_range_loop, reason = "several lists are gone through at once")]
fn in_the_middle(
    rows: &[f32],
    sums: &mut [f32],
    out: &mut [&mut [f32]],
    (before, window): (usize, usize),
    places: std::ops::Range<usize>,
) {
    use std::arch::x86_64::*;
    let width = out[0].len();
    let [p, q, r, s] = out else { return };
    let sums: &mut [f32; 4] = sums.first_chunk_mut().expect("a sum for each row");
    /// Four places of four rows, a register for each place.
    #[inline(always)]
    fn columns(rows: &[f32], width: usize, x: usize) -> [__m128; 4] {
        let row = |k: usize| -> &[f32; 4] { rows[k * width + x..].first_chunk().expect("inside") };
        // SAFETY: every x86-64 has SSE, and all that is read are four numbers.
        unsafe {
            let mut a = _mm_loadu_ps(row(0).as_ptr());
            let mut b = _mm_loadu_ps(row(1).as_ptr());
            let mut c = _mm_loadu_ps(row(2).as_ptr());
            let mut d = _mm_loadu_ps(row(3).as_ptr());
            _MM_TRANSPOSE4_PS(&mut a, &mut b, &mut c, &mut d);
            [a, b, c, d]
        }
    }
    // SAFETY: every x86-64 has SSE; all that is written are slices of four numbers.
    unsafe {
        let count = _mm_set1_ps(window as f32);
        let mut sum = _mm_loadu_ps(sums.as_ptr());
        for x in places.step_by(4) {
            let enters = columns(rows, width, x + before);
            let leaves = columns(rows, width, x + before - window);
            let mut means = [sum; 4];
            for k in 0..4 {
                sum = _mm_sub_ps(_mm_add_ps(sum, enters[k]), leaves[k]);
                means[k] = _mm_div_ps(sum, count);
            }
            let [mut a, mut b, mut c, mut d] = means;
            _MM_TRANSPOSE4_PS(&mut a, &mut b, &mut c, &mut d);
            _mm_storeu_ps(p[x..][..4].as_mut_ptr(), a);
            _mm_storeu_ps(q[x..][..4].as_mut_ptr(), b);
            _mm_storeu_ps(r[x..][..4].as_mut_ptr(), c);
            _mm_storeu_ps(s[x..][..4].as_mut_ptr(), d);
        }
        _mm_storeu_ps(sums.as_mut_ptr(), sum);
    }
}

/// All columns at once, which is the same sum for every one of them.
fn along_columns(from: &[f32], to: &mut [f32], width: usize, window: usize) {
    let height = from.len() / width;
    let row = |y: usize| &from[y * width..][..width];
    let (before, steps) = steps(height, window, 0..height);
    let mut sums = vec![0.0f32; width];
    let add = |sums: &mut [f32], y: usize| sums.iter_mut().zip(row(y)).for_each(|(s, v)| *s += v);
    (0..before.min(height)).for_each(|y| add(&mut sums, y));
    for (out, (enters, leaves, count)) in to.chunks_exact_mut(width).zip(steps) {
        enters.into_iter().for_each(|y| add(&mut sums, y));
        if let Some(y) = leaves {
            sums.iter_mut().zip(row(y)).for_each(|(s, v)| *s -= v);
        }
        out.iter_mut().zip(&sums).for_each(|(cell, s)| *cell = s / count as f32);
    }
}

/// Waves 1 to 16 at the 64 samples.
static WAVES: LazyLock<Vec<[f32; SAMPLES]>> = LazyLock::new(|| {
    let scale = f64::from((2.0 / SAMPLES as f64).sqrt() as f32);
    let unit = std::f64::consts::PI / 2.0 / SAMPLES as f64;
    let at =
        |i: usize, j: usize| (scale * (unit * (i + 1) as f64 * (2 * j + 1) as f64).cos()) as f32;
    (0..KEPT).map(|i| std::array::from_fn(|j| at(i, j))).collect()
});

/// `[16, 16]`, vertical frequency first.
fn cosines(samples: &[f32]) -> [f32; KEPT * KEPT] {
    let mut down = [[0.0f32; SAMPLES]; KEPT];
    for (sums, wave) in down.iter_mut().zip(WAVES.iter()) {
        for (row, weight) in samples.chunks_exact(SAMPLES).zip(wave) {
            sums.iter_mut().zip(row).for_each(|(sum, v)| *sum += weight * v);
        }
    }
    std::array::from_fn(|i| {
        let (row, wave) = (&down[i / KEPT], &WAVES[i % KEPT]);
        row.iter().zip(wave).fold(0.0, |sum, (v, w)| sum + v * w)
    })
}

/// The sum of clear steps between neighbouring samples.
fn quality(samples: &[f32]) -> u32 {
    let step = |a: f32, b: f32| (((a - b) * 100.0) / 255.0) as i32;
    let down = samples.iter().zip(&samples[SAMPLES..]).map(|(a, b)| step(*a, *b).abs());
    let rows = samples.chunks_exact(SAMPLES);
    let across = rows.flat_map(|row| row.windows(2).map(|w| step(w[0], w[1]).abs()));
    ((down.sum::<i32>() + across.sum::<i32>()) / 90).clamp(0, 100) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The picture of a vector in `tests/fixtures/pdq.csv`, as the script drew it that asked the
    /// package: whole numbers, rounded down.
    fn drawn(width: i64, height: i64, seed: i64) -> Vec<u8> {
        let level = |x: i64, y: i64, c: i64| {
            let waves = ((x * (seed + c)).div_euclid(3) + y * (7 - c)).div_euclid(2);
            let bend = ((x - width / 2) * (y - height / 3)).div_euclid(40 + 10 * seed + c);
            (waves + bend).rem_euclid(256) as u8
        };
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        places.flat_map(|(x, y)| [0, 1, 2].map(|c| level(x, y, c))).collect()
    }

    /// Made with version 0.2.8 of the Python package `pdqhash` (`compute`, and the sixth of
    /// `compute_dihedral`).
    #[test]
    fn bits_are_those_of_the_pdqhash_package() {
        let rows = include_str!("../../tests/fixtures/pdq.csv").lines().skip(1);
        let mut seen = 0;
        for row in rows {
            let cells: Vec<&str> = row.split(',').collect();
            let [width, height, seed, quality] =
                [0, 1, 2, 3].map(|i| cells[i].parse::<i64>().expect("a number"));
            let rgb = drawn(width, height, seed);
            let found = of_rgb(&rgb, width as usize, height as usize);
            assert_eq!(found.own.hex(), cells[4], "{row}");
            assert_eq!(found.mirrored.hex(), cells[5], "{row}");
            assert_eq!(i64::from(found.quality), quality, "{row}");
            assert_eq!(Pdq::of_hex(cells[4]), Some(found.own));
            seen += 1;
        }
        assert_eq!(seen, 12);
    }

    #[test]
    fn a_grey_picture_is_one_of_three_equal_colours() {
        for level in 0..=255u8 {
            let l = f64::from(level);
            assert_eq!((l * 0.299 + l * 0.587 + l * 0.114) as f32, f32::from(level));
        }
        let rgb = drawn(90, 70, 3);
        let grey: Vec<u8> = rgb.iter().step_by(3).copied().collect();
        let three: Vec<u8> = grey.iter().flat_map(|l| [*l; 3]).collect();
        assert_eq!(of_grey(&grey, 90, 70), of_rgb(&three, 90, 70));
        let turned: Vec<u8> = grey.chunks(90).flat_map(|r| r.iter().rev().copied()).collect();
        let (own, turned) = (of_grey(&grey, 90, 70), of_grey(&turned, 90, 70));
        assert!(own.mirrored.distance(turned.own) <= 8, "the samples lie half a pixel off");
    }

    #[test]
    fn distances_count_bits_and_text_is_checked() {
        let a = Pdq([1, 2, 3, u64::MAX]);
        assert_eq!((a.distance(a), a.distance(Pdq([0, 2, 3, 0]))), (0, 65));
        assert_eq!(Pdq::of_hex(&a.hex()), Some(a));
        for wrong in ["", "12", &"+".repeat(64), &"é".repeat(32)] {
            assert_eq!(Pdq::of_hex(wrong), None);
        }
        assert_eq!(a.bytes()[7], 1);
    }
}
