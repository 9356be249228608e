//! FAST-9: which pixels have nine neighbours in a row on a circle that are all brighter, or all darker
//! (Rosten and Drummond, 2006), many pixels at once.
use super::plane::Plane;

/// Levels by which nine neighbours on the circle must differ from the middle.
const CONTRAST: u8 = 8;

/// Which of `N` pixels are corners, a bit each, by the pixels and those around them.
pub(super) trait Test<const N: usize>: Fn(&[u8; N], [&[u8; N]; 16]) -> u32 + Copy {}
impl<const N: usize, F: Fn(&[u8; N], [&[u8; N]; 16]) -> u32 + Copy> Test<N> for F {}

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

/// Adds the columns of a row whose pixels have nine neighbours in a row on their circle that are all
/// brighter, or all darker; `margin`, of ten at least, are the pixels at the sides that are none.
#[inline(always)]
pub(super) fn fast<const N: usize>(
    level: &Plane,
    (y, margin): (usize, usize),
    test: impl Test<N>,
    found: &mut Vec<usize>,
) {
    let width = level.width;
    let circle = CIRCLE.map(|(dx, dy)| (dy + 3) as usize * width + (dx + 3) as usize);
    let end = width - margin;
    for first in (margin..end).step_by(N) {
        let square = &level.pixels[(y - 3) * width + first - 3..];
        // Below the row lies a margin, so that a few pixels beyond its end can be read.
        let at = |place: usize| -> &[u8; N] {
            square[place..].first_chunk().expect("a margin lies below")
        };
        let own = at(3 * width + 3);
        let mut around = [own; 16];
        for (around, place) in around.iter_mut().zip(circle) {
            *around = at(place);
        }
        let mut bits = test(own, around);
        while bits != 0 {
            let x = first + bits.trailing_zeros() as usize;
            if x < end {
                found.push(x);
            }
            bits &= bits - 1;
        }
    }
}

/// Many pixels at once; the same with registers of 16 bytes, which every x86-64 has, and of 32.
#[cfg(target_arch = "x86_64")]
macro_rules! lanes {
    ($size:literal, $register:ty, $load:ident, $splat:ident, $zero:ident, $add:ident, $sub:ident,
     $min:ident, $max:ident, $equal:ident, $mask:ident) => {
        /// A bit for each pixel that is a corner.
        #[allow(clippy::needless_range_loop, reason = "several lists are gone through at once")]
        #[inline(always)]
        pub fn corners(own: &[u8; $size], circle: [&[u8; $size]; 16]) -> u32 {
            // SAFETY: the caller's machine has the instructions, and all that is read has this size.
            unsafe {
                let (middle, contrast) = ($load(own.as_ptr().cast()), $splat(CONTRAST as i8));
                let (high, low) = ($add(middle, contrast), $sub(middle, contrast));
                // By how much the circle is brighter, and darker.
                let (mut above, mut below) = ([$zero(); 16], [$zero(); 16]);
                // Nine in a row hold one of the top and bottom, and one of the left and right.
                for i in [0, 4, 8, 12] {
                    let level = $load(circle[i].as_ptr().cast());
                    (above[i], below[i]) = ($sub(level, high), $sub(low, level));
                }
                let brighter = $min($max(above[0], above[8]), $max(above[4], above[12]));
                let darker = $min($max(below[0], below[8]), $max(below[4], below[12]));
                let maybe = $max(brighter, darker);
                let all = $mask($equal($zero(), $zero())) as u32;
                if $mask($equal(maybe, $zero())) as u32 == all {
                    return 0;
                }
                for i in 0..16 {
                    let level = $load(circle[i].as_ptr().cast());
                    (above[i], below[i]) = ($sub(level, high), $sub(low, level));
                }
                let clear = $max(nine(above), nine(below));
                all & !($mask($equal(clear, $zero())) as u32)
            }
        }

        /// Not 0 where nine neighbours in a row are not.
        #[allow(clippy::needless_range_loop, reason = "several lists are gone through at once")]
        #[inline(always)]
        fn nine(ring: [$register; 16]) -> $register {
            // SAFETY: as above.
            unsafe {
                // Runs of two, four and eight that begin at odd places.
                let mut runs = [$zero(); 8];
                for k in 0..8 {
                    runs[k] = $min(ring[2 * k + 1], ring[(2 * k + 2) % 16]);
                }
                for step in [1, 2] {
                    let shorter = runs;
                    for k in 0..8 {
                        runs[k] = $min(shorter[k], shorter[(k + step) % 8]);
                    }
                }
                // With the one before or the one behind they are nine.
                let mut clear = $zero();
                for k in 0..8 {
                    let either = $max(ring[2 * k], ring[(2 * k + 9) % 16]);
                    clear = $max(clear, $min(runs[k], either));
                }
                clear
            }
        }
    };
}

/// Sixteen pixels at once.
#[cfg(target_arch = "x86_64")]
pub(super) mod lanes {
    use super::CONTRAST;
    use std::arch::x86_64::*;

    lanes! {16, __m128i, _mm_loadu_si128, _mm_set1_epi8, _mm_setzero_si128, _mm_adds_epu8,
    _mm_subs_epu8, _mm_min_epu8, _mm_max_epu8, _mm_cmpeq_epi8, _mm_movemask_epi8}

    /// Thirty-two pixels at once, with AVX2.
    pub mod wide {
        use super::super::CONTRAST;
        use std::arch::x86_64::*;

        lanes! {32, __m256i, _mm256_loadu_si256, _mm256_set1_epi8, _mm256_setzero_si256,
        _mm256_adds_epu8, _mm256_subs_epu8, _mm256_min_epu8, _mm256_max_epu8, _mm256_cmpeq_epi8,
        _mm256_movemask_epi8}
    }
}

/// Pixels one by one.
#[cfg(any(test, not(target_arch = "x86_64")))]
mod plain {
    use super::CONTRAST;

    /// A bit for each pixel that is a corner.
    pub fn corners<const N: usize>(own: &[u8; N], circle: [&[u8; N]; 16]) -> u32 {
        let bit = |k: &usize| {
            let ring = |is: &dyn Fn(u8) -> bool| {
                (0..16).fold(0, |ring, i| ring | u32::from(is(circle[i][*k])) << i)
            };
            let brighter = ring(&|level| level > own[*k].saturating_add(CONTRAST));
            let darker = ring(&|level| level < own[*k].saturating_sub(CONTRAST));
            nine_in_a_row(brighter) || nine_in_a_row(darker)
        };
        (0..N).filter(bit).fold(0, |bits, k| bits | 1 << k)
    }

    /// Whether nine neighbours of a ring are set.
    pub fn nine_in_a_row(ring: u32) -> bool {
        let mut runs = ring | ring << 16;
        // After shifts by 1, 2, 4 and 1 a bit stands for nine.
        for shift in [1, 2, 4, 1] {
            runs &= runs >> shift;
        }
        runs & 0xffff != 0
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) use plain as lanes;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Draws;

    #[test]
    fn nine_neighbours_in_a_row_make_a_corner_also_across_the_start() {
        let nine_in_a_row = plain::nine_in_a_row;
        assert!(nine_in_a_row(0b1_1111_1111) && nine_in_a_row(0b1111_1000_0000_1111));
        assert!(!nine_in_a_row(0b1111_1111) && !nine_in_a_row(0b0111_1011_1101_1110));
    }

    #[test]
    fn many_circles_at_once_are_as_many_one_by_one() {
        const N: usize = 32;
        let mut draws = Draws::new(7, "circles", "");
        let mut seen = [0; 2];
        for _ in 0..1000 {
            let own: [u8; N] = std::array::from_fn(|_| draws.below(256) as u8);
            // Runs of about nine that are brighter, darker, or just not.
            let mut circle = [own; 16];
            (0..N).for_each(|k| {
                let (start, length) = (draws.below(16) as usize, 7 + draws.below(5) as usize);
                let (step, up) = (CONTRAST + draws.below(3) as u8, draws.chance(0.5));
                for i in 0..length {
                    let level = &mut circle[(start + i) % 16][k];
                    *level =
                        if up { level.saturating_add(step) } else { level.saturating_sub(step) };
                }
            });
            let one = plain::corners(&own, circle.each_ref());
            let first = |v: &'_ [u8; N]| -> [u8; 16] { std::array::from_fn(|k| v[k]) };
            let sixteen = circle.each_ref().map(first);
            assert_eq!(lanes::corners(&first(&own), sixteen.each_ref()), one & 0xffff);
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") {
                // SAFETY: the machine has the instructions.
                assert_eq!(unsafe { wide(&own, circle.each_ref()) }, one);
            }
            seen[0] += one.count_ones();
            seen[1] += one.count_zeros();
        }
        assert!(seen[0] > 1000 && seen[1] > 1000, "{seen:?}");
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn wide(own: &[u8; 32], circle: [&[u8; 32]; 16]) -> u32 {
        lanes::wide::corners(own, circle)
    }
}
