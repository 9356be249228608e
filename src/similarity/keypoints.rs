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

use super::plane::Plane;
use crate::seed::Draws;

/// Longer side of the picture in which corners are looked for, in pixels; larger ones are made
/// smaller.
pub const LONGEST: usize = 480;
/// Levels of the pyramid, and from one to the next.
const LEVELS: usize = 7;
const STEP: f64 = 1.25;
/// Levels by which nine neighbours on the circle must differ from the middle.
const CONTRAST: u8 = 8;
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

/// The corners that are the clearest among their eight neighbours, in row order.
fn corners(level: &Plane) -> Vec<Corner> {
    let width = level.width;
    let mut clear = vec![0i64; level.pixels.len()];
    let mut hits = Vec::new();
    let mut maybe = vec![false; width];
    let circle = CIRCLE.map(|(dx, dy)| (dy + 3) as usize * width + (dx + 3) as usize);
    for y in MARGIN..level.height - MARGIN {
        promising(level, y, &mut maybe);
        for first in (MARGIN..width - MARGIN).step_by(TOGETHER) {
            let maybe = &maybe[first..(first + TOGETHER).min(width - MARGIN)];
            if !maybe.contains(&true) {
                continue;
            }
            let rings = rings(level, &circle, first, y);
            let is_corner =
                |[brighter, darker]: [u16; 2]| nine_in_a_row(brighter) || nine_in_a_row(darker);
            for (k, _) in maybe.iter().enumerate().filter(|(_, maybe)| **maybe) {
                let x = first + k;
                let response = if is_corner(rings[k]) { harris(level, x, y) } else { 0 };
                if response > 0 {
                    clear[y * width + x] = response;
                    hits.push((x, y));
                }
            }
        }
    }
    let best = |&(x, y): &(usize, usize)| {
        let three = |y: usize| [0, 1, 2].map(|k| clear[y * width + x - 1 + k]);
        let (above, [left, own, right], below) = (three(y - 1), three(y), three(y + 1));
        // Of equals the first in row order stays.
        let before = above.iter().all(|other| *other < own) && left < own;
        before && right <= own && below.iter().all(|other| *other <= own)
    };
    let clearest = hits.iter().filter(|at| best(at));
    clearest.map(|&(x, y)| Corner { x, y, clear: clear[y * width + x] }).collect()
}

/// The circle of radius 3, clockwise from the top.
const CIRCLE: [(isize, isize); 16] = [
    (0, -3),
    (1, -3),
    (2, -2),
    (3, -1),
    (3, 0),
    (3, 1),
    (2, 2),
    (1, 3),
    (0, 3),
    (-1, 3),
    (-2, 2),
    (-3, 1),
    (-3, 0),
    (-3, -1),
    (-2, -2),
    (-1, -3),
];

/// Nine neighbours in a row hold one of the top and bottom, and one of the left and right.
fn promising(level: &Plane, y: usize, maybe: &mut [bool]) {
    let width = level.width;
    let inside = MARGIN..width - MARGIN;
    let n = inside.len();
    let row = |dy: isize, dx: isize| {
        let start = (inside.start as isize + dx) as usize;
        &level.row((y as isize + dy) as usize)[start..start + n]
    };
    let (own, up, down) = (row(0, 0), row(-3, 0), row(3, 0));
    let (left, right) = (row(0, -3), row(0, 3));
    let flags = &mut maybe[inside.clone()];
    let around = up.iter().zip(down).zip(left.iter().zip(right));
    for ((flag, c), ((u, d), (l, r))) in flags.iter_mut().zip(own).zip(around) {
        let vertical = u.abs_diff(*c).max(d.abs_diff(*c));
        let horizontal = l.abs_diff(*c).max(r.abs_diff(*c));
        *flag = vertical.min(horizontal) > CONTRAST;
    }
}

/// Pixels whose circles are looked at together.
const TOGETHER: usize = 16;

/// Which pixels of a circle are brighter, and which darker, than its middle, a bit each.
type Rings = [[u16; 2]; TOGETHER];

/// The rings of [`TOGETHER`] pixels from `x` on; `circle` are the places of a ring's pixels behind
/// the upper left corner of the square around it, which is 3 pixels away.
fn rings(level: &Plane, circle: &[usize; 16], x: usize, y: usize) -> Rings {
    let square = &level.pixels[(y - 3) * level.width + x - 3..];
    // Below the row lies a margin, so that a few pixels beyond its end can be read.
    let at = |place: usize| -> &[u8; TOGETHER] {
        square[place..].first_chunk().expect("a margin lies below")
    };
    let own = at(3 * level.width + 3);
    let (mut brighter, mut darker) = ([[0u8; TOGETHER]; 2], [[0u8; TOGETHER]; 2]);
    for half in [0, 1] {
        let eight = std::array::from_fn(|i| at(circle[8 * half + i]));
        (brighter[half], darker[half]) = differing(own, eight);
    }
    let word =
        |halves: &[[u8; TOGETHER]; 2], k: usize| u16::from_le_bytes([halves[0][k], halves[1][k]]);
    std::array::from_fn(|k| [word(&brighter, k), word(&darker, k)])
}

/// For each pixel, which of its eight others are brighter and which darker, a bit each.
#[cfg(target_arch = "x86_64")]
fn differing(
    own: &[u8; TOGETHER],
    others: [&[u8; TOGETHER]; 8],
) -> ([u8; TOGETHER], [u8; TOGETHER]) {
    use std::arch::x86_64::*;
    // SAFETY: every x86-64 has SSE2, and all that is read or written has 16 bytes.
    unsafe {
        let load = |bytes: &[u8; TOGETHER]| _mm_loadu_si128(bytes.as_ptr().cast());
        let (own, contrast, zero) = (load(own), _mm_set1_epi8(CONTRAST as i8), _mm_setzero_si128());
        let (high, low) = (_mm_adds_epu8(own, contrast), _mm_subs_epu8(own, contrast));
        let (mut brighter, mut darker) = (zero, zero);
        for (i, other) in others.into_iter().enumerate() {
            let (other, bit) = (load(other), _mm_set1_epi8((1u8 << i) as i8));
            // What a byte exceeds another by is 0 where it does not.
            let is_not_above = |a, b| _mm_cmpeq_epi8(_mm_subs_epu8(a, b), zero);
            brighter = _mm_or_si128(brighter, _mm_andnot_si128(is_not_above(other, high), bit));
            darker = _mm_or_si128(darker, _mm_andnot_si128(is_not_above(low, other), bit));
        }
        let mut bytes = ([0; TOGETHER], [0; TOGETHER]);
        _mm_storeu_si128(bytes.0.as_mut_ptr().cast(), brighter);
        _mm_storeu_si128(bytes.1.as_mut_ptr().cast(), darker);
        bytes
    }
}

/// For each pixel, which of its eight others are brighter and which darker, a bit each.
#[cfg(not(target_arch = "x86_64"))]
fn differing(
    own: &[u8; TOGETHER],
    others: [&[u8; TOGETHER]; 8],
) -> ([u8; TOGETHER], [u8; TOGETHER]) {
    let mut bytes = ([0; TOGETHER], [0; TOGETHER]);
    for (i, other) in others.into_iter().enumerate() {
        for k in 0..TOGETHER {
            bytes.0[k] |= u8::from(other[k] > own[k].saturating_add(CONTRAST)) << i;
            bytes.1[k] |= u8::from(other[k] < own[k].saturating_sub(CONTRAST)) << i;
        }
    }
    bytes
}

/// Whether nine neighbours of a ring are set.
fn nine_in_a_row(ring: u16) -> bool {
    let ring = u32::from(ring);
    let mut runs = ring | ring << 16;
    // After shifts by 1, 2, 4 and 1 a bit stands for nine.
    for shift in [1, 2, 4, 1] {
        runs &= runs >> shift;
    }
    runs & 0xffff != 0
}

/// Harris' response over 7 x 7 pixels, with 0.04 as weight of the squared trace.
fn harris(level: &Plane, x: usize, y: usize) -> i64 {
    let mut sums = Products::default();
    for v in y - 3..=y + 3 {
        let at = |row: usize, x: usize| -> &[u8; 8] {
            level.pixels[row * level.width + x..].first_chunk().expect("a margin lies around")
        };
        sums.add([at(v, x - 4), at(v, x - 2)], [at(v - 1, x - 3), at(v + 1, x - 3)]);
    }
    let [xx, yy, xy] = sums.totals();
    let trace = xx + yy;
    (25 * (xx * yy - xy * xy) - trace * trace) / 25
}

/// Sums of products of slopes over rows of seven pixels: along x, along y, and of both. All of them
/// fit 32 bits by far.
#[cfg(target_arch = "x86_64")]
struct Products([std::arch::x86_64::__m128i; 3]);

#[cfg(target_arch = "x86_64")]
impl Default for Products {
    fn default() -> Self {
        // SAFETY: every x86-64 has SSE2.
        Products([unsafe { std::arch::x86_64::_mm_setzero_si128() }; 3])
    }
}

#[cfg(target_arch = "x86_64")]
impl Products {
    /// A row: left and right neighbours, upper and lower ones. Eight fill a register; the last is
    /// not counted.
    fn add(&mut self, [left, right]: [&[u8; 8]; 2], [up, down]: [&[u8; 8]; 2]) {
        use std::arch::x86_64::*;
        // SAFETY: every x86-64 has SSE2, and all that is read has eight bytes.
        unsafe {
            let load = |bytes: &[u8; 8]| {
                _mm_unpacklo_epi8(_mm_loadl_epi64(bytes.as_ptr().cast()), _mm_setzero_si128())
            };
            let seven = _mm_setr_epi16(-1, -1, -1, -1, -1, -1, -1, 0);
            let gx = _mm_and_si128(_mm_sub_epi16(load(right), load(left)), seven);
            let gy = _mm_and_si128(_mm_sub_epi16(load(down), load(up)), seven);
            for (sum, (a, b)) in self.0.iter_mut().zip([(gx, gx), (gy, gy), (gx, gy)]) {
                *sum = _mm_add_epi32(*sum, _mm_madd_epi16(a, b));
            }
        }
    }

    fn totals(self) -> [i64; 3] {
        self.0.map(|sums| {
            // SAFETY: a register is four numbers of 32 bits.
            let four: [i32; 4] = unsafe { std::mem::transmute(sums) };
            four.iter().map(|&sum| i64::from(sum)).sum()
        })
    }
}

/// Sums of products of slopes over rows of seven pixels: along x, along y, and of both.
#[cfg(not(target_arch = "x86_64"))]
#[derive(Default)]
struct Products([i64; 3]);

#[cfg(not(target_arch = "x86_64"))]
impl Products {
    /// A row: left and right neighbours, upper and lower ones; the last of eight is not counted.
    fn add(&mut self, [left, right]: [&[u8; 8]; 2], [up, down]: [&[u8; 8]; 2]) {
        for k in 0..7 {
            let gx = i64::from(right[k]) - i64::from(left[k]);
            let gy = i64::from(down[k]) - i64::from(up[k]);
            let added = [gx * gx, gy * gy, gx * gy];
            self.0.iter_mut().zip(added).for_each(|(sum, product)| *sum += product);
        }
    }

    fn totals(self) -> [i64; 3] {
        self.0
    }
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
    let (mut across, mut down) = (0i64, 0i64);
    for (i, &half) in DISC.iter().enumerate() {
        let row = &level.row(y + i - RADIUS)[x - half..=x + half];
        let sum: i64 = row.iter().map(|l| i64::from(*l)).sum();
        let first: i64 =
            row.iter().enumerate().map(|(k, l)| (k as i64 - half as i64) * i64::from(*l)).sum();
        across += first;
        down += (i as i64 - RADIUS as i64) * sum;
    }
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

fn describe(smooth: &[[u8; PATCH]; PATCH], (cos, sin): (f32, f32)) -> Descriptor {
    let middle = REACH as f32;
    let level = |(along, across): (f32, f32)| {
        let right = (cos * along - sin * across).round() + middle;
        let down = (sin * along + cos * across).round() + middle;
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
    fn nine_neighbours_in_a_row_make_a_corner_also_across_the_start() {
        assert!(nine_in_a_row(0b1_1111_1111) && nine_in_a_row(0b1111_1000_0000_1111));
        assert!(!nine_in_a_row(0b1111_1111) && !nine_in_a_row(0b0111_1011_1101_1110));
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
