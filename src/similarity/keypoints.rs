//! Corners of a picture with what surrounds them: what is left of it after cropping, turning,
//! scaling or covering a part.
//!
//! Corners are FAST-9 (Rosten and Drummond, "Machine learning for high-speed corner detection",
//! 2006) on a pyramid, ranked by Harris' response and spread over the picture; each is turned by
//! its intensity centroid and described by 256 comparisons of smoothed levels, as in ORB (Rublee
//! et al., 2011). The comparisons come in pairs that are each other's reflection, so that the
//! descriptor of the mirrored picture is the descriptor with its halves swapped.
//!
//! Whole numbers but for the direction, which is one division and root: same picture, same
//! keypoints, on every machine.
use std::sync::LazyLock;

use super::{
    fast::{fast, lanes, Test},
    plane::Plane,
};
use crate::seed::Draws;

/// Longer side of the picture in which corners are looked for, in pixels; larger ones are made
/// smaller.
pub const LONGEST: usize = 480;
/// Levels of the pyramid, and from one to the next.
const LEVELS: usize = 7;
const STEP: f64 = 1.25;
/// Pixels around a corner that are looked at.
const RADIUS: usize = 15;
/// Pixels from a corner to the farthest that is compared, and those of the patch around it.
const REACH: usize = RADIUS - 1;
const PATCH: usize = 2 * REACH + 1;
/// Pixels of a side that hold no corner.
const MARGIN: usize = RADIUS + 1;
/// Cells along the longer side over which the corners of a level are spread.
const SPREAD: usize = 8;
/// Fractional bits of a position.
const PLACE_BITS: u32 = 4;

/// 256 comparisons.
pub type Descriptor = [u64; 4];

/// A corner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keypoint {
    /// Column in 1/16 pixels of the picture with the longer side of at most [`LONGEST`].
    pub x: u16,
    /// Row, likewise.
    pub y: u16,
    /// What surrounds it.
    pub descriptor: Descriptor,
}

impl Keypoint {
    /// Its place in pixels of the picture in which it was found.
    pub fn place(&self) -> [f64; 2] {
        [self.x, self.y].map(|v| f64::from(v) / f64::from(1u32 << PLACE_BITS))
    }
}

/// The descriptor in the mirrored picture.
pub fn mirrored(descriptor: Descriptor) -> Descriptor {
    let [a, b, c, d] = descriptor;
    [c, d, a, b]
}

/// At most `most` keypoints of a picture, those of the finest level first.
pub fn keypoints(picture: &Plane, most: usize) -> Vec<Keypoint> {
    let mut level = picture.at_most(LONGEST);
    let base = [level.width, level.height];
    let mut found = Vec::with_capacity(most);
    let shares: Vec<f64> = (0..LEVELS).map(|l| STEP.powi(-(l as i32))).collect();
    let total: f64 = shares.iter().sum();
    for (l, share) in shares.iter().enumerate() {
        if l > 0 {
            let side = |n: usize| (n as f64 / STEP.powi(l as i32)).round() as usize;
            let [width, height] = base.map(side);
            if width.min(height) <= 2 * MARGIN {
                break;
            }
            level = level.scaled(width, height);
        }
        let quota = (most as f64 * share / total).round() as usize;
        let scale = [0, 1].map(|i| base[i] as f64 / [level.width, level.height][i] as f64);
        found.extend(of_level(&level, quota.min(most - found.len()), scale));
    }
    found
}

fn of_level(level: &Plane, quota: usize, scale: [f64; 2]) -> Vec<Keypoint> {
    if level.width <= 2 * MARGIN || level.height <= 2 * MARGIN || quota == 0 {
        return Vec::new();
    }
    let corners = spread(&corners(level), level, quota);
    let keypoint = |(x, y): (usize, usize)| {
        let place = |at: usize, scale: f64| {
            ((at as f64 + 0.5) * scale * f64::from(1u32 << PLACE_BITS)).round() as u16
        };
        let descriptor = describe(&smoothed(level, (x, y)), direction(level, (x, y)));
        Keypoint { x: place(x, scale[0]), y: place(y, scale[1]), descriptor }
    };
    corners.into_iter().map(keypoint).collect()
}

/// A corner and how clear it is.
struct Corner {
    x: usize,
    y: usize,
    clear: i64,
}

/// The corners of a row, with their responses by column; 0 elsewhere.
#[derive(Clone)]
struct CornerRow {
    corners: Vec<usize>,
    clear: Vec<i64>,
}

impl CornerRow {
    fn new(width: usize) -> Self {
        CornerRow { corners: Vec::new(), clear: vec![0; width] }
    }

    #[inline(always)]
    fn fill<const N: usize>(
        &mut self,
        level: &Plane,
        y: usize,
        slopes: &Slopes,
        test: impl Test<N>,
    ) {
        self.empty();
        fast(level, (y, MARGIN), test, &mut self.corners);
        self.corners.retain(|&x| {
            let response = slopes.response(x);
            self.clear[x] = response.max(0);
            response > 0
        });
    }

    #[inline(always)]
    fn empty(&mut self) {
        self.corners.drain(..).for_each(|x| self.clear[x] = 0);
    }

    #[inline(always)]
    fn three(&self, x: usize) -> [i64; 3] {
        [self.clear[x - 1], self.clear[x], self.clear[x + 1]]
    }
}

/// The corners that are the clearest among their eight neighbours, in row order.
fn corners(level: &Plane) -> Vec<Corner> {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the machine has the instructions.
            return unsafe { corners_with_avx2(level) };
        }
    }
    corners_by::<16>(level, lanes::corners)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn corners_with_avx2(level: &Plane) -> Vec<Corner> {
    corners_by::<32>(level, lanes::wide::corners)
}

#[inline(always)]
fn corners_by<const N: usize>(level: &Plane, test: impl Test<N>) -> Vec<Corner> {
    let mut found = Vec::new();
    let mut slopes = Slopes::new(level);
    let [mut above, mut own, mut below] = [0; 3].map(|_: u8| CornerRow::new(level.width));
    let end = level.height - MARGIN;
    for y in MARGIN..=end {
        if y < end {
            slopes.move_to(y);
            below.fill(level, y, &slopes, test);
        } else {
            below.empty();
        }
        for &x in &own.corners {
            let ([left, clear, right], above, below) =
                (own.three(x), above.three(x), below.three(x));
            // Of equals the first in row order stays.
            let before = above.iter().all(|other| *other < clear) && left < clear;
            if before && right <= clear && below.iter().all(|other| *other <= clear) {
                found.push(Corner { x, y: y - 1, clear });
            }
        }
        std::mem::swap(&mut above, &mut own);
        std::mem::swap(&mut own, &mut below);
    }
    found
}

/// Products of slopes, summed over seven rows: along x, along y, and of both. All of them fit 32 bits
/// by far.
struct Slopes<'a> {
    level: &'a Plane,
    /// The row in the middle.
    y: usize,
    sums: [Vec<i32>; 3],
    /// The products of the rows in the sums; row `y` is at `y % ROWS`.
    rows: [[Vec<i32>; 3]; ROWS],
}

/// Rows of slopes that are summed.
const ROWS: usize = 7;

impl<'a> Slopes<'a> {
    /// In front of the first row inside the margin.
    fn new(level: &'a Plane) -> Self {
        let none = || [0; 3].map(|_: u8| vec![0; level.width]);
        let rows = [0; ROWS].map(|_: u8| none());
        let mut slopes = Slopes { level, y: MARGIN - 1, sums: none(), rows };
        (MARGIN - 4..MARGIN + 3).for_each(|y| slopes.enter(y));
        slopes
    }

    /// Goes on to the next row, which is `y`.
    #[inline(always)]
    fn move_to(&mut self, y: usize) {
        debug_assert_eq!(y, self.y + 1);
        self.enter(y + 3);
        self.y = y;
    }

    /// Lets a row enter the sums in place of the one seven rows above it.
    #[allow(clippy::needless_range_loop, reason = "several rows are gone through at once")]
    #[inline(always)]
    fn enter(&mut self, y: usize) {
        let n = self.level.width - 2;
        let (own, up, down) = (self.level.row(y), self.level.row(y - 1), self.level.row(y + 1));
        let (left, right, up, down) = (&own[..n], &own[2..][..n], &up[1..][..n], &down[1..][..n]);
        let [xx, yy, xy] = self.sums.each_mut().map(|sums| &mut sums[1..][..n]);
        let [old_xx, old_yy, old_xy] =
            self.rows[y % ROWS].each_mut().map(|products| &mut products[1..][..n]);
        // Levels are small, so nothing wraps; a check would keep many from being made at once.
        let slope = |a: u8, b: u8| i16::from(a).wrapping_sub(i16::from(b));
        let product = |a: i16, b: i16| i32::from(a).wrapping_mul(i32::from(b));
        let exchange = |sum: &mut i32, old: &mut i32, new: i32| {
            *sum = sum.wrapping_add(new).wrapping_sub(*old);
            *old = new;
        };
        for x in 0..n {
            let (gx, gy) = (slope(right[x], left[x]), slope(down[x], up[x]));
            exchange(&mut xx[x], &mut old_xx[x], product(gx, gx));
            exchange(&mut xy[x], &mut old_xy[x], product(gx, gy));
            exchange(&mut yy[x], &mut old_yy[x], product(gy, gy));
        }
    }

    /// Harris' response over 7 x 7 pixels, with 0.04 as weight of the squared trace.
    #[inline(always)]
    fn response(&self, x: usize) -> i64 {
        let around = |k: usize| -> &[i32; 8] {
            self.sums[k][x - 3..].first_chunk().expect("a margin lies behind")
        };
        let [xx, yy, xy] = sevens([around(0), around(1), around(2)]).map(i64::from);
        // Below 2^22 each, so nothing wraps.
        let trace = xx.wrapping_add(yy);
        let squares = xx.wrapping_mul(yy).wrapping_sub(xy.wrapping_mul(xy));
        squares.wrapping_mul(25).wrapping_sub(trace.wrapping_mul(trace)) / 25
    }
}

/// The sums of the first seven of eight numbers each.
#[inline(always)]
fn sevens(eights: [&[i32; 8]; 3]) -> [i32; 3] {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::*;
        // SAFETY: every x86-64 has SSE2; all that is read are eight numbers and written four.
        unsafe {
            let mask = _mm_set_epi32(0, -1, -1, -1);
            let fours = |eight: &[i32; 8]| {
                let low = _mm_loadu_si128(eight.as_ptr().cast());
                let high = _mm_loadu_si128(eight[4..].as_ptr().cast());
                _mm_add_epi32(low, _mm_and_si128(high, mask))
            };
            let pairs = |a, b| _mm_add_epi32(_mm_unpacklo_epi32(a, b), _mm_unpackhi_epi32(a, b));
            let [a, b, c] = eights.map(fours);
            let (ab, c) = (pairs(a, b), pairs(c, c));
            let sums = _mm_add_epi32(_mm_unpacklo_epi64(ab, c), _mm_unpackhi_epi64(ab, c));
            let mut out = [0; 4];
            _mm_storeu_si128(out.as_mut_ptr().cast(), sums);
            [out[0], out[1], out[2]]
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    eights.map(|eight| eight[..7].iter().fold(0i32, |sum, v| sum.wrapping_add(*v)))
}

/// The clearest `quota` of the corners, as evenly over the picture as they allow: first the best
/// of every cell, then the second best, and so on.
fn spread(corners: &[Corner], level: &Plane, quota: usize) -> Vec<(usize, usize)> {
    let cell = level.width.max(level.height).div_ceil(SPREAD);
    let columns = level.width.div_ceil(cell);
    let of = |c: &Corner| c.y / cell * columns + c.x / cell;
    let mut cells = vec![Vec::new(); columns * level.height.div_ceil(cell)];
    corners.iter().for_each(|c| cells[of(c)].push((-c.clear, c.y, c.x)));
    let mut ranked: Vec<(usize, i64, usize, usize)> = Vec::new();
    for cell in &mut cells {
        // Whatever comes behind the quota in its own cell does so among all.
        if cell.len() > quota {
            cell.select_nth_unstable(quota);
            cell.truncate(quota);
        }
        cell.sort_unstable();
        ranked.extend(cell.iter().enumerate().map(|(rank, &(clear, y, x))| (rank, clear, y, x)));
    }
    ranked.sort_unstable();
    ranked.into_iter().take(quota).map(|(.., y, x)| (x, y)).collect()
}

/// Half the width of each row of the disc.
static DISC: LazyLock<[usize; 2 * RADIUS + 1]> = LazyLock::new(|| {
    let radius = RADIUS as f64 + 0.5;
    std::array::from_fn(|i| (radius * radius - (i as f64 - RADIUS as f64).powi(2)).sqrt() as usize)
});

/// Cosine and sine of the direction from the corner to the brightness around it.
fn direction(level: &Plane, (x, y): (usize, usize)) -> (f32, f32) {
    // Sums of a disc stay far below what wraps; a check would keep many from being made at once.
    let (mut across, mut down) = (0i32, 0i32);
    for (i, &half) in DISC.iter().enumerate() {
        let row = &level.row(y + i - RADIUS)[x - half..=x + half];
        let (mut sum, mut first, mut k) = (0i32, 0i32, -(half as i32));
        for l in row {
            sum = sum.wrapping_add(i32::from(*l));
            first = first.wrapping_add(k.wrapping_mul(i32::from(*l)));
            k = k.wrapping_add(1);
        }
        across = across.wrapping_add(first);
        down = down.wrapping_add((i as i32 - RADIUS as i32).wrapping_mul(sum));
    }
    let (across, down) = (i64::from(across), i64::from(down));
    let length = ((across * across + down * down) as f64).sqrt();
    if length == 0.0 {
        return (1.0, 0.0);
    }
    ((across as f64 / length) as f32, (down as f64 / length) as f32)
}

/// Comparisons as two points each, in pixels along and across the direction: the first half, and
/// then the reflection of each.
static PATTERN: LazyLock<Vec<[(f32, f32); 2]>> = LazyLock::new(|| {
    let mut draws = Draws::new(1, "keypoint-pattern", "");
    let mut point = || loop {
        let (x, y) = (draws.normal() * 6.2, draws.normal() * 6.2);
        if x.hypot(y) <= RADIUS as f64 - 1.5 {
            return (x as f32, y as f32);
        }
    };
    let mut pairs: Vec<[(f32, f32); 2]> = Vec::new();
    while pairs.len() < 128 {
        let (a, b) = (point(), point());
        // Neighbours mostly say the same.
        if (a.0 - b.0).hypot(a.1 - b.1) >= 4.0 {
            pairs.push([a, b]);
        }
    }
    let reflected: Vec<_> = pairs.iter().map(|pair| pair.map(|(x, y)| (x, -y))).collect();
    pairs.into_iter().chain(reflected).collect()
});

/// The nearest whole number, halves away from 0, of a number of pixels.
fn rounded(v: f32) -> i32 {
    let whole = v as i32;
    // Exact: both lie within a factor of two, or the whole is 0.
    let rest = v - whole as f32;
    whole + i32::from(rest >= 0.5) - i32::from(rest <= -0.5)
}

fn describe(smooth: &[[u8; PATCH]; PATCH], (cos, sin): (f32, f32)) -> Descriptor {
    let middle = REACH as i32;
    let level = |(along, across): (f32, f32)| {
        let right = rounded(cos * along - sin * across) + middle;
        let down = rounded(sin * along + cos * across) + middle;
        smooth[down as usize][right as usize]
    };
    let mut words = [0; 4];
    for (i, [a, b]) in PATTERN.iter().enumerate() {
        words[i / 64] |= u64::from(level(*a) < level(*b)) << (i % 64);
    }
    words
}

/// The smoothed levels around a corner: weights 1 4 6 4 1 along both sides.
fn smoothed(level: &Plane, (x, y): (usize, usize)) -> [[u8; PATCH]; PATCH] {
    // Sums of weights stay far below what wraps; a check would keep many from being made at once.
    let weighted = |levels: [u16; 5]| {
        let [a, b, c, d, e] = levels;
        let (outer, inner) = (a.wrapping_add(e), b.wrapping_add(d).wrapping_mul(4));
        outer.wrapping_add(inner).wrapping_add(c.wrapping_mul(6))
    };
    let mut rows = [[0u16; PATCH]; PATCH + 4];
    for (k, out) in rows.iter_mut().enumerate() {
        let row = &level.row(y + k - REACH - 2)[x - REACH - 2..][..PATCH + 4];
        for (i, cell) in out.iter_mut().enumerate() {
            *cell = weighted(std::array::from_fn(|j| u16::from(row[i + j])));
        }
    }
    let mut patch = [[0; PATCH]; PATCH];
    for (out, rows) in patch.iter_mut().zip(rows.windows(5)) {
        for (i, level) in out.iter_mut().enumerate() {
            let sum = weighted(std::array::from_fn(|j| rows[j][i]));
            *level = (sum.wrapping_add(128) >> 8) as u8;
        }
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::{super::view::tests::scene, *};

    fn bits(a: Descriptor, b: Descriptor) -> u32 {
        a.iter().zip(b).map(|(x, y)| (x ^ y).count_ones()).sum()
    }

    #[test]
    fn a_mirrored_picture_has_the_mirrored_keypoints() {
        let picture = scene(3, 480, 300);
        let (own, turned) = (keypoints(&picture, 160), keypoints(&picture.mirrored(), 160));
        assert!(own.len() > 100, "{}", own.len());
        let found = own.iter().filter(|k| {
            let [x, y] = k.place();
            turned.iter().any(|t| {
                let [u, v] = t.place();
                (x - (480.0 - u)).hypot(y - v) < 1.0
                    && bits(t.descriptor, mirrored(k.descriptor)) <= 8
            })
        });
        let found = found.count();
        assert!(5 * found > 3 * own.len(), "{found} of {}", own.len());
    }

    #[test]
    fn plain_and_tiny_pictures_have_none_and_no_more_come_than_are_asked_for() {
        for (width, height) in [(1, 1), (32, 32), (33, 400), (480, 20), (2000, 3)] {
            let noise: Vec<u8> = (0..width * height).map(|i| (i * 7919 % 251) as u8).collect();
            let plane = Plane::new(width, height, noise).expect("fits");
            assert!(keypoints(&plane, 40).len() <= 40, "{width} {height}");
        }
        let flat = Plane::new(300, 200, vec![90; 60_000]).expect("fits");
        assert!(keypoints(&flat, 100).is_empty());
        assert!(keypoints(&scene(1, 300, 200), 0).is_empty());
    }
}
