//! Grey pictures: cut, made smaller, and averaged to cells.

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
        let (across, down) = (taps(self.width, width), taps(self.height, height));
        let mut narrow = vec![0u16; width * self.height];
        let rows = self.pixels.chunks_exact(self.width).zip(narrow.chunks_exact_mut(width));
        match fours(&across, self.width) {
            Some(across) => rows.for_each(|(row, out)| along_fours(row, &across, out)),
            None => rows.for_each(|(row, out)| along(row, &across, out)),
        }
        let mut pixels = Vec::with_capacity(width * height);
        let mut sums = vec![0u32; width];
        for tap in &down {
            sums.fill(1 << (WEIGHT_BITS + 3));
            for (k, weight) in tap.weights.iter().enumerate() {
                let row = &narrow[(tap.first + k) * width..][..width];
                let weighted = |l: &u16| u32::from(*l).wrapping_mul(*weight);
                sums.iter_mut().zip(row).for_each(|(s, l)| *s = s.wrapping_add(weighted(l)));
            }
            pixels.extend(sums.iter().map(|s| (s >> (WEIGHT_BITS + 4)).min(255) as u8));
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
    for (cell, (first, weights)) in out.iter_mut().zip(across) {
        let four: &[u8; 4] = row[*first..].first_chunk().expect("taps end with the row");
        let part = |k: usize| u32::from(four[k]).wrapping_mul(weights[k]);
        let sum = part(0).wrapping_add(part(1)).wrapping_add(part(2)).wrapping_add(part(3));
        *cell = (sum >> (WEIGHT_BITS - 4)) as u16;
    }
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
