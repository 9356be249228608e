//! A picture's brightness, and the picture made smaller so that its smallest faces fill the
//! cascade's window.
use std::borrow::Cow;

use image::RgbImage;

/// A grey picture, rows from the top.
pub(super) struct Gray<'a> {
    pub pixels: Cow<'a, [u8]>,
    pub width: u32,
    pub height: u32,
}

impl<'a> Gray<'a> {
    /// Luma of ITU-R BT.601 in 16-bit fixed point, rounded half up.
    pub(super) fn of(image: &RgbImage) -> Self {
        let luma = |p: &[u8]| {
            let [r, g, b] = [p[0], p[1], p[2]].map(u32::from);
            // At most 255 * 65536 + 32768, without the check that would slow this down.
            let sum = r.wrapping_mul(19595).wrapping_add(g.wrapping_mul(38470));
            (sum.wrapping_add(b.wrapping_mul(7471)).wrapping_add(32768) >> 16) as u8
        };
        let pixels = image.as_raw().chunks_exact(3).map(luma).collect();
        Gray { pixels, width: image.width(), height: image.height() }
    }

    /// Shrunk by `to / from` (at most 1) with the mean over each pixel's footprint, so that fine
    /// texture does not alias into the cascade.
    pub(super) fn shrunk(self, to: u32, from: u32) -> Self {
        if to >= from {
            return self;
        }
        let size = |n: u32| (u64::from(n) * u64::from(to) / u64::from(from)) as u32;
        let (width, height) = (size(self.width), size(self.height));
        if width == 0 || height == 0 {
            return Gray { pixels: Cow::default(), width, height };
        }
        let columns = footprints(self.width, width);
        let rows = footprints(self.height, height);
        let mut pixels = Vec::with_capacity((width * height) as usize);
        let mut sums = vec![0u32; self.width as usize];
        for row in &rows {
            self.sum_rows(row, &mut sums);
            pixels.extend(columns.iter().map(|column| mean(column, &sums)));
        }
        Gray { pixels: pixels.into(), width, height }
    }

    /// Weighted sum of the rows under one row of the shrunk picture, in 1/256.
    fn sum_rows(&self, row: &Footprint, sums: &mut [u32]) {
        sums.fill(0);
        let width = self.width as usize;
        for (k, &weight) in row.weights.iter().enumerate() {
            let line = &self.pixels[(row.start + k) * width..][..width];
            for (sum, &pixel) in sums.iter_mut().zip(line) {
                *sum += weight * u32::from(pixel);
            }
        }
    }
}

/// The source pixels under one pixel of the shrunk picture, with weights that sum to 256.
struct Footprint {
    start: usize,
    weights: Vec<u32>,
}

/// Footprints of `to` pixels over `from` pixels, in whole 1/256 of a footprint.
fn footprints(from: u32, to: u32) -> Vec<Footprint> {
    let (from, to) = (u64::from(from), u64::from(to));
    // One source pixel is `to` units wide, one target pixel `from` units.
    let footprint = |i: u64| {
        let (begin, end) = (i * from, (i + 1) * from);
        let start = begin / to;
        let stop = end.div_ceil(to);
        let upto = |edge: u64| ((edge.clamp(begin, end) - begin) * 256 + from / 2) / from;
        let weights = (start..stop).map(|p| (upto((p + 1) * to) - upto(p * to)) as u32).collect();
        Footprint { start: start as usize, weights }
    };
    (0..to).map(footprint).collect()
}

fn mean(column: &Footprint, sums: &[u32]) -> u8 {
    let under = &sums[column.start..][..column.weights.len()];
    let total: u32 = under.iter().zip(&column.weights).map(|(s, w)| s * w).sum();
    ((total + 32768) >> 16) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shrinking_keeps_the_mean_and_flat_areas_exactly() {
        let gray = |pixels: Vec<u8>, width, height| Gray { pixels: pixels.into(), width, height };
        let flat = gray(vec![201; 70 * 30], 70, 30).shrunk(4, 7);
        assert_eq!((flat.width, flat.height), (40, 17));
        assert!(flat.pixels.iter().all(|&p| p == 201));
        // Four source pixels per target pixel: the plain mean, 1/2 rounded up.
        let half = gray(vec![0, 10, 20, 40, 1, 11, 21, 40], 4, 2).shrunk(1, 2);
        assert_eq!((half.width, half.height, &*half.pixels), (2, 1, &[6, 30][..]));
    }

    #[test]
    fn every_footprint_weighs_the_same() {
        for (from, to) in [(712, 593), (400, 333), (7, 4), (5, 5), (9, 1)] {
            let all = footprints(from, to);
            assert_eq!(all.len(), to as usize);
            for f in &all {
                assert_eq!(f.weights.iter().sum::<u32>(), 256, "{from} to {to}");
                assert!(f.start + f.weights.len() <= from as usize);
            }
        }
    }
}
