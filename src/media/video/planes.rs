//! YUV 4:2:0 to what JPEG stores, full-range YCbCr 4:4:4, without the detour over RGB.
//!
//! Chroma is interpolated linearly from where swscale's conversion to RGB has it, so that both show
//! one picture: between two columns, and on the second of two lines. All arithmetic is on integers:
//! same pixels, same bytes, on every machine.
use crate::media::image::Ycc;

/// What black, white and full colour are in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Range {
    /// Luma 16..=235, chroma 16..=240.
    Limited,
    /// All of 0..=255.
    Full,
}

/// A picture of `width` x `height` pixels; `row(plane, y)` is line `y` of plane 0, 1 or 2, chroma
/// lines half as long, rounded up.
pub(super) fn ycc<'a>(
    (width, height): (usize, usize),
    range: Range,
    row: impl Fn(usize, usize) -> &'a [u8],
) -> Ycc {
    let mut planes = vec![0; 3 * width * height];
    let (brightness, chroma) = planes.split_at_mut(width * height);
    luma(width, range, |y| row(0, y), brightness);
    let mut blend = vec![0; width.div_ceil(2) + 2];
    for (plane, lines) in chroma.chunks_exact_mut(width * height).enumerate() {
        for (y, line) in lines.chunks_exact_mut(width).enumerate() {
            let (above, below) = (y.saturating_sub(1) / 2, y / 2);
            blend_lines(row(plane + 1, above), row(plane + 1, below), &mut blend);
            match range {
                Range::Limited => widen(&blend, line, stretched_chroma),
                Range::Full => widen(&blend, line, whole_chroma),
            }
        }
    }
    Ycc { width, height, planes }
}

/// The brightness of a picture of `width` pixels in full range; `row(y)` is its line `y` as it comes.
pub(super) fn luma<'a>(
    width: usize,
    range: Range,
    row: impl Fn(usize) -> &'a [u8],
    luma: &mut [u8],
) {
    for (y, line) in luma.chunks_exact_mut(width).enumerate() {
        match range {
            Range::Limited => line.iter_mut().zip(row(y)).for_each(|(to, &v)| *to = stretched(v)),
            Range::Full => line.copy_from_slice(row(y)),
        }
    }
}

/// Limited to full range, rounded to the nearest: (v - 16) * 255 / 219.
fn stretched(v: u8) -> u8 {
    const SCALE: i32 = 19_077; // 255 / 219 * 2^14
    (((i32::from(v) - 16) * SCALE + (1 << 13)) >> 14).clamp(0, 255) as u8
}

/// Sixteen times a chroma level about 0 from limited to full range: v / 16 * 255 / 224 + 128.
fn stretched_chroma(v: i16) -> u8 {
    const SCALE: i32 = 18_651; // 255 / 224 / 16 * 2^18
    let scaled = i32::from(v).wrapping_mul(SCALE).wrapping_add(1 << 17) >> 18;
    (scaled + 128).clamp(0, 255) as u8
}

/// Sixteen times a chroma level about 0 to the level.
fn whole_chroma(v: i16) -> u8 {
    (v.wrapping_add(8) >> 4).wrapping_add(128) as u8
}

/// Four times the line between two, about 0, with its ends repeated.
fn blend_lines(above: &[u8], below: &[u8], blend: &mut [i16]) {
    let end = blend.len() - 1;
    let level = |v: u8| i16::from(v) - 128;
    for (to, (&a, &b)) in blend[1..end].iter_mut().zip(above.iter().zip(below)) {
        *to = 2 * (level(a) + level(b));
    }
    blend[0] = blend[1];
    blend[end] = blend[end - 1];
}

/// Three parts of a sample and one of its neighbour; at most 2048, so that no check is needed, which
/// would keep the loop from taking many at once.
fn mix(near: i16, other: i16) -> i16 {
    near.wrapping_mul(3).wrapping_add(other)
}

/// Two pixels for each sample, one towards either neighbour.
fn widen(blend: &[i16], line: &mut [u8], level: impl Fn(i16) -> u8) {
    let samples = blend.len() - 2;
    let (before, near, behind) = (&blend[..samples], &blend[1..], &blend[2..]);
    let mut pairs = line.chunks_exact_mut(2);
    let sides = before.iter().zip(near).zip(behind);
    for (pair, ((&before, &near), &behind)) in pairs.by_ref().zip(sides) {
        pair[0] = level(mix(near, before));
        pair[1] = level(mix(near, behind));
    }
    if let [last] = pairs.into_remainder() {
        *last = level(mix(near[samples - 1], before[samples - 1]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Draws;

    #[test]
    fn levels_are_stretched_to_the_nearest() {
        for v in 0..=255u8 {
            let want = ((f64::from(v) - 16.0) * 255.0 / 219.0).round().clamp(0.0, 255.0);
            assert_eq!(f64::from(stretched(v)), want, "{v}");
        }
        assert_eq!([stretched(16), stretched(235)], [0, 255]);
        for v in -2048..=2032i16 {
            let want = f64::from(v) / 16.0 * 255.0 / 224.0 + 128.0;
            let off = (f64::from(stretched_chroma(v)) - want.clamp(0.0, 255.0)).abs();
            assert!(off <= 0.505, "{v}: {off}");
        }
        assert_eq!([-112 * 16, 0, 112 * 16].map(stretched_chroma), [1, 128, 255]);
        assert_eq!([-2048, -8, 0, 7, 8, 2032].map(whole_chroma), [0, 128, 128, 128, 129, 255]);
    }

    /// Every sample by its definition in real numbers.
    #[test]
    fn chroma_is_interpolated_from_where_it_lies() {
        let mut draws = Draws::new(1, "planes", "");
        for (width, height) in
            [(1usize, 1usize), (2, 1), (1, 2), (5, 4), (16, 9), (33, 18), (64, 2)]
        {
            let (cw, ch) = (width.div_ceil(2), height.div_ceil(2));
            let mut plane = |n: usize| (0..n).map(|_| draws.below(256) as u8).collect::<Vec<_>>();
            let source = [plane(width * height), plane(cw * ch), plane(cw * ch)];
            let row = |p: usize, y: usize| {
                let length = if p == 0 { width } else { cw };
                &source[p][y * length..][..length]
            };
            let got = ycc((width, height), Range::Full, row);
            assert_eq!(got.planes[..width * height], source[0]);
            let at = |p: usize, x: f64, y: f64| {
                let (x, y) = (x.clamp(0.0, cw as f64 - 1.0), y.clamp(0.0, ch as f64 - 1.0));
                let (l, t) = (x.floor(), y.floor());
                let v = |x: f64, y: f64| {
                    let (x, y) = ((x as usize).min(cw - 1), (y as usize).min(ch - 1));
                    f64::from(source[p][y * cw + x])
                };
                let mix = |y| v(l, y) * (l + 1.0 - x) + v(l + 1.0, y) * (x - l);
                mix(t) * (t + 1.0 - y) + mix(t + 1.0) * (y - t)
            };
            for p in [1, 2] {
                for (i, &v) in got.planes[p * width * height..][..width * height].iter().enumerate()
                {
                    let (x, y) = ((i % width) as f64, (i / width) as f64);
                    let want = at(p, (x - 0.5) / 2.0, (y - 1.0) / 2.0);
                    assert!((f64::from(v) - want).abs() <= 0.5, "{width}x{height} {p} {x},{y}");
                }
            }
        }
    }

    #[test]
    fn grey_stays_grey() {
        let row = |plane: usize, _: usize| if plane == 0 { &[126; 6][..] } else { &[128; 3] };
        let grey = ycc((6, 2), Range::Limited, row);
        assert_eq!(grey.planes[..12], [128; 12]);
        assert_eq!(grey.planes[12..], [128; 24]);
    }
}
