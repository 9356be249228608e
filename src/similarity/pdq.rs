//! PDQ, the 256-bit picture hash that photo libraries and hash lists exchange.
//!
//! The definition is that of "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing
//! Algorithm" (Facebook, 2019): luma is smoothed twice by a box along rows and columns, sampled at
//! 64 x 64 places, and the 16 x 16 lowest cosine coefficients but the constant ones are held
//! against their median. All sums are taken in single precision in the order of the definition, so
//! that bits agree with those of other programs (the tests hold vectors of the `pdqhash` package).
use std::sync::LazyLock;

use super::wide::widened;

/// Samples along a side.
const SAMPLES: usize = 64;
/// Coefficients along a side.
const KEPT: usize = 16;
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
    let plane: Vec<f32> = rgb.chunks_exact(3).map(luma).collect();
    if plane.len() != width * height {
        return Hashed::default();
    }
    of_rows(width, height, |y, row| row.copy_from_slice(&plane[y * width..][..width]))
}

/// The same of grey levels, each of which stands for a pixel of three equal colours, whose weighted
/// sum is the level itself in single precision.
pub fn of_grey(levels: &[u8], width: usize, height: usize) -> Hashed {
    if levels.len() != width * height {
        return Hashed::default();
    }
    of_rows(width, height, |y, row| numbers(&levels[y * width..][..width], row))
}

/// The same of a picture whose row `y` is what `fill(y, row)` writes.
fn of_rows(width: usize, height: usize, fill: impl Fn(usize, &mut [f32])) -> Hashed {
    if width < LEAST_SIDE || height < LEAST_SIDE {
        return Hashed::default();
    }
    let samples = if (width, height) == (SAMPLES, SAMPLES) {
        let mut samples = vec![0.0; SAMPLES * SAMPLES];
        samples.chunks_exact_mut(SAMPLES).enumerate().for_each(|(y, row)| fill(y, row));
        samples
    } else {
        smoothed(width, height, fill)
    };
    let own = cosines(&samples);
    // A mirrored picture's odd waves along the rows have the other sign; coefficients begin with
    // the first wave, not with the constant.
    let mirrored = std::array::from_fn(|i| if i % 2 == 0 { -own[i] } else { own[i] });
    Hashed { own: Pdq::of(&own), mirrored: Pdq::of(&mirrored), quality: quality(&samples) }
}

/// The place of the `i`-th sample of a side of `n` pixels.
fn place(i: usize, n: usize) -> usize {
    ((i as f64 + 0.5) * n as f64 / SAMPLES as f64) as usize
}

/// The samples of a picture that a box went over twice. Rows go through all of it one after the other,
/// so that what is worked on stays in the nearest cache.
fn smoothed(width: usize, height: usize, fill: impl Fn(usize, &mut [f32])) -> Vec<f32> {
    let mut once = RowGroup::new(width);
    let mut first = ColumnBox::new(width, height);
    let mut sampler = Sampler {
        again: RowGroup::new(width),
        second: ColumnBox::new(SAMPLES, height),
        columns: (0..SAMPLES).map(|i| place(i, width)).collect(),
        rows: (0..SAMPLES).map(|i| place(i, height)).collect(),
        samples: Vec::with_capacity(SAMPLES * SAMPLES),
    };
    for y in 0..height {
        fill(y, once.next());
        if once.is_full() || y + 1 == height {
            for row in once.boxed().chunks_exact(width) {
                first.enter(row, |row| sampler.take(row));
            }
        }
    }
    first.end(|row| sampler.take(row));
    sampler.end()
}

/// Rows that a box goes along together.
struct RowGroup {
    width: usize,
    rows: Vec<f32>,
    boxed: Vec<f32>,
    count: usize,
}

impl RowGroup {
    fn new(width: usize) -> Self {
        let rows = || vec![0.0; SIDE_BY_SIDE * width];
        RowGroup { width, rows: rows(), boxed: rows(), count: 0 }
    }

    /// Room for the next row.
    fn next(&mut self) -> &mut [f32] {
        self.count += 1;
        &mut self.rows[(self.count - 1) * self.width..][..self.width]
    }

    fn is_full(&self) -> bool {
        self.count == SIDE_BY_SIDE
    }

    /// The means along the rows, of which none are left.
    fn boxed(&mut self) -> &[f32] {
        let length = std::mem::take(&mut self.count) * self.width;
        let boxed = &mut self.boxed[..length];
        along_rows(&self.rows[..length], boxed, self.width, window(self.width));
        boxed
    }
}

/// A box that goes down all columns at once, which is the same sum for every one of them.
struct ColumnBox {
    height: usize,
    window: usize,
    /// Rows that come before the first goes out.
    before: usize,
    came: usize,
    sums: Vec<f32>,
    /// The last rows; row `y` is at `y % window`.
    held: Vec<f32>,
    means: Vec<f32>,
}

impl ColumnBox {
    fn new(width: usize, height: usize) -> Self {
        let window = window(height);
        ColumnBox {
            height,
            window,
            before: before(window),
            came: 0,
            sums: vec![0.0; width],
            held: vec![0.0; window * width],
            means: vec![0.0; width],
        }
    }

    fn held(&mut self, y: usize) -> (&mut [f32], &mut [f32]) {
        let width = self.sums.len();
        (&mut self.sums, &mut self.held[y % self.window * width..][..width])
    }

    /// Takes the next row, and gives the one out whose box it ends.
    fn enter(&mut self, row: &[f32], mut out: impl FnMut(&[f32])) {
        let (y, leaves) = (self.came, self.came >= self.window);
        let (sums, held) = self.held(y);
        match leaves {
            true => exchange(sums, held, row),
            false => {
                sums.iter_mut().zip(row).for_each(|(sum, new)| *sum += new);
                held.copy_from_slice(row);
            }
        }
        self.came += 1;
        if y >= self.before {
            out(self.means(if leaves { self.window } else { self.came }));
        }
    }

    /// Gives the rows out whose boxes reach beyond the last.
    fn end(mut self, mut out: impl FnMut(&[f32])) {
        for y in self.height..self.height + self.before {
            let leaving = y - self.window;
            let (sums, held) = self.held(leaving);
            sums.iter_mut().zip(held).for_each(|(sum, held)| *sum -= *held);
            out(self.means(self.height - 1 - leaving));
        }
    }

    fn means(&mut self, count: usize) -> &[f32] {
        if count.is_power_of_two() {
            // As exact as the division, and several times as fast.
            products(&self.sums, 1.0 / count as f32, &mut self.means);
        } else {
            quotients(&self.sums, count as f32, &mut self.means);
        }
        &self.means
    }
}

widened! {
    /// Levels as numbers.
    fn numbers(levels: &[u8], to: &mut [f32]) {
        to.iter_mut().zip(levels).for_each(|(to, level)| *to = f32::from(*level));
    }

    /// Lets a row enter the sums in place of one that was held.
    fn exchange(sums: &mut [f32], held: &mut [f32], row: &[f32]) {
        for ((sum, held), new) in sums.iter_mut().zip(held).zip(row) {
            *sum = (*sum + new) - *held;
            *held = *new;
        }
    }

    fn products(sums: &[f32], factor: f32, to: &mut [f32]) {
        to.iter_mut().zip(sums).for_each(|(to, sum)| *to = sum * factor);
    }

    fn quotients(sums: &[f32], divisor: f32, to: &mut [f32]) {
        to.iter_mut().zip(sums).for_each(|(to, sum)| *to = sum / divisor);
    }
}

/// The second box, of which only the samples are looked at.
struct Sampler {
    again: RowGroup,
    second: ColumnBox,
    columns: Vec<usize>,
    /// The sampled rows.
    rows: Vec<usize>,
    samples: Vec<f32>,
}

impl Sampler {
    fn take(&mut self, row: &[f32]) {
        self.again.next().copy_from_slice(row);
        if self.again.is_full() {
            self.boxed();
        }
    }

    fn boxed(&mut self) {
        let width = self.again.width;
        let mut narrow = [0.0; SAMPLES];
        for row in self.again.boxed().chunks_exact(width) {
            narrow.iter_mut().zip(&self.columns).for_each(|(to, &x)| *to = row[x]);
            let y = self.second.came.checked_sub(self.second.before);
            let times = self.rows.iter().filter(|row| Some(**row) == y).count();
            let samples = &mut self.samples;
            self.second.enter(&narrow, |row| (0..times).for_each(|_| samples.extend(row)));
        }
    }

    fn end(mut self) -> Vec<f32> {
        self.boxed();
        let (mut y, rows) = (self.second.height - self.second.before, &self.rows);
        let samples = &mut self.samples;
        self.second.end(|row| {
            let times = rows.iter().filter(|row| **row == y).count();
            (0..times).for_each(|_| samples.extend(row));
            y += 1;
        });
        self.samples
    }
}

/// Pixels of the box along a side of `n` pixels.
fn window(n: usize) -> usize {
    n.div_ceil(2 * SAMPLES)
}

/// Pixels of a box of `window` pixels behind the one that it is for.
fn before(window: usize) -> usize {
    (window + 2) / 2 - 1
}

/// What enters and leaves the box at some places of a side of `n` pixels: the indices of the
/// pixels to add and to subtract before the mean of `count` is written.
fn steps(
    n: usize,
    window: usize,
    places: std::ops::Range<usize>,
) -> (usize, impl Iterator<Item = (Option<usize>, Option<usize>, usize)>) {
    let before = before(window);
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

    /// All columns of a whole plane, as the definition has it.
    fn along_columns(from: &[f32], width: usize, window: usize) -> Vec<f32> {
        let (height, before) = (from.len() / width, before(window));
        let (_, places) = steps(height, window, 0..height);
        let places: Vec<_> = places.collect();
        let mut to = vec![0.0; from.len()];
        for x in 0..width {
            let level = |y: usize| from[y * width + x];
            let mut sum = (0..before).fold(0.0, |sum, y| sum + level(y));
            for (y, (enters, leaves, count)) in places.iter().enumerate() {
                sum += enters.map_or(0.0, level);
                sum -= leaves.map_or(0.0, level);
                to[y * width + x] = sum / *count as f32;
            }
        }
        to
    }

    #[test]
    fn rows_one_after_the_other_give_the_samples_of_the_whole_plane() {
        let mut draws = crate::seed::Draws::new(1, "pdq", "");
        for (width, height) in [
            (5, 5),
            (6, 9),
            (64, 65),
            (63, 200),
            (129, 128),
            (257, 70),
            (700, 7),
            (7, 700),
            (40, 519),
        ] {
            let levels: Vec<f32> = (0..width * height).map(|_| draws.below(256) as f32).collect();
            let mut plane = levels.clone();
            for _ in 0..2 {
                let mut rows = vec![0.0; plane.len()];
                along_rows(&plane, &mut rows, width, window(width));
                plane = along_columns(&rows, width, window(height));
            }
            let at =
                |i: usize| plane[place(i / SAMPLES, height) * width + place(i % SAMPLES, width)];
            let wanted: Vec<f32> = (0..SAMPLES * SAMPLES).map(at).collect();
            let row =
                |y: usize, row: &mut [f32]| row.copy_from_slice(&levels[y * width..][..width]);
            assert!(smoothed(width, height, row) == wanted, "{width} x {height}");
        }
    }
}
