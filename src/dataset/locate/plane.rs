//! Grey pictures at several levels of detail, in quarter levels so that halving loses nothing that a
//! comparison can see.
//!
//! Positions are in pixels of the whole picture, counted from its upper left corner: pixel `i` of
//! level `n` covers `i * 2^n .. (i + 1) * 2^n`.

use std::ops::Range;

/// Steps of a plane's values per luma level.
pub(super) const UNIT: f64 = 4.0;

/// A grey picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plane {
    /// Pixels in a line.
    pub width: usize,
    /// Lines.
    pub height: usize,
    /// Quarter levels, 0..=1020, line by line.
    pub values: Vec<i16>,
}

impl Plane {
    /// The brightness of a picture as it is; `row(y)` has at least `width` bytes.
    pub fn whole<'a>(width: usize, height: usize, row: impl Fn(usize) -> &'a [u8]) -> Self {
        let mut values = Vec::with_capacity(width * height);
        for y in 0..height {
            values.extend(row(y)[..width].iter().map(|&v| i16::from(v) << 2));
        }
        Plane { width, height, values }
    }

    /// Level 1 of a picture: averages of two by two pixels; an odd last line or column is left out.
    pub fn halved<'a>(width: usize, height: usize, row: impl Fn(usize) -> &'a [u8]) -> Self {
        let (half_width, half_height) = (width / 2, height / 2);
        let mut values = Vec::with_capacity(half_width * half_height);
        for y in 0..half_height {
            let (above, below) = (&row(2 * y)[..2 * half_width], &row(2 * y + 1)[..2 * half_width]);
            // Pairs of a size that the compiler knows and no checks: so it takes many at once.
            let sum = |pair: &[u8; 2]| u16::from(pair[0]).wrapping_add(u16::from(pair[1]));
            let pairs = above.as_chunks().0.iter().zip(below.as_chunks().0);
            values.extend(pairs.map(|(a, b)| sum(a).wrapping_add(sum(b)) as i16));
        }
        Plane { width: half_width, height: half_height, values }
    }

    /// The next level.
    pub fn half(&self) -> Self {
        let (width, height) = (self.width / 2, self.height / 2);
        let mut values = Vec::with_capacity(width * height);
        for y in 0..height {
            let (above, below) = (&self.row(2 * y)[..2 * width], &self.row(2 * y + 1)[..2 * width]);
            // Four values of at most 1020 each.
            let sum = |pair: &[i16; 2]| pair[0].wrapping_add(pair[1]);
            let pairs = above.as_chunks().0.iter().zip(below.as_chunks().0);
            values.extend(pairs.map(|(a, b)| sum(a).wrapping_add(sum(b)).wrapping_add(2) >> 2));
        }
        Plane { width, height, values }
    }

    /// Line `y`.
    pub fn row(&self, y: usize) -> &[i16] {
        &self.values[y * self.width..(y + 1) * self.width]
    }

    /// The picture mirrored left to right.
    pub fn mirrored(&self) -> Self {
        let mut mirrored = self.clone();
        mirrored.values.chunks_exact_mut(self.width.max(1)).for_each(<[i16]>::reverse);
        mirrored
    }

    /// Value and slopes at a position in the plane's own pixels, edges repeated: the value between
    /// the four nearest centres, and how it changes per pixel to the right and down.
    pub fn sample(&self, x: f32, y: f32) -> [f32; 3] {
        let (x0, fx) = tap(x, self.width);
        let (y0, fy) = tap(y, self.height);
        let at = |x: usize, y: usize| f32::from(self.values[y * self.width + x]);
        let (x1, y1) = ((x0 + 1).min(self.width - 1), (y0 + 1).min(self.height - 1));
        let (a, b, c, d) = (at(x0, y0), at(x1, y0), at(x0, y1), at(x1, y1));
        let (top, low) = (a + (b - a) * fx, c + (d - c) * fx);
        [top + (low - top) * fy, (b - a) * (1.0 - fy) + (d - c) * fy, low - top]
    }

    /// The average over a rectangle in the plane's own pixels, cut to the plane.
    pub fn resized(&self, [x, y, w, h]: [f64; 4], width: usize, height: usize) -> Self {
        let rows = Shares::new(y, h, height, self.height);
        let lines = rows.lines();
        let narrow = self.narrowed(&Shares::new(x, w, width, self.width), lines);
        narrow.shortened(&rows)
    }

    /// Its lines averaged along themselves; lines that nobody asks for stay 0.
    pub fn narrowed(&self, columns: &Shares, lines: Range<usize>) -> Narrow {
        let width = columns.0.len();
        let mut values = vec![0f32; width * self.height];
        for y in lines {
            let line = self.row(y);
            let to = &mut values[y * width..(y + 1) * width];
            to.iter_mut().zip(&columns.0).for_each(|(to, share)| *to = share.of(line));
        }
        Narrow { width, values }
    }
}

/// A plane with columns as lines, of which several pixels are averaged at once.
pub(super) struct Turned {
    /// Lines of the plane.
    height: usize,
    values: Vec<f32>,
}

impl Turned {
    /// Of a plane.
    pub fn new(plane: &Plane) -> Self {
        let mut values = vec![0f32; plane.width * plane.height];
        for (y, line) in plane.values.chunks_exact(plane.width.max(1)).enumerate() {
            line.iter().enumerate().for_each(|(x, v)| values[x * plane.height + y] = f32::from(*v));
        }
        Turned { height: plane.height, values }
    }

    /// What [`Plane::narrowed`] makes of all lines.
    pub fn narrowed(&self, columns: &Shares) -> Narrow {
        let width = columns.0.len();
        let mut values = vec![0f32; width * self.height];
        let mut sums = vec![0f32; self.height];
        for (x, share) in columns.0.iter().enumerate() {
            sums.fill(0.0);
            for (column, weight) in (share.first..).zip(&share.weights) {
                let line = &self.values[column * self.height..][..self.height];
                sums.iter_mut().zip(line).for_each(|(sum, v)| *sum += v * weight);
            }
            values[x..].iter_mut().step_by(width).zip(&sums).for_each(|(to, sum)| *to = *sum);
        }
        Narrow { width, values }
    }
}

/// A plane's lines, averaged along themselves.
#[derive(Debug, PartialEq)]
pub(super) struct Narrow {
    width: usize,
    values: Vec<f32>,
}

impl Narrow {
    /// The lines averaged.
    pub fn shortened(&self, rows: &Shares) -> Plane {
        let mut values = Vec::with_capacity(self.width * rows.0.len());
        let mut sums = vec![0f32; self.width];
        for row in &rows.0 {
            sums.fill(0.5);
            for (k, weight) in row.weights.iter().enumerate() {
                let line = &self.values[(row.first + k) * self.width..][..self.width];
                sums.iter_mut().zip(line).for_each(|(sum, v)| *sum += weight * v);
            }
            values.extend(sums.iter().map(|v| *v as i16));
        }
        Plane { width: self.width, height: rows.0.len(), values }
    }
}

/// The shares of equal parts of an interval.
pub(super) struct Shares(Vec<Share>);

/// The pixels under an interval and the share that each has in its average.
struct Share {
    first: usize,
    weights: Vec<f32>,
}

impl Share {
    fn new(from: f64, to: f64, end: usize) -> Self {
        let first = (from.floor() as usize).min(end - 1);
        let beyond = (to.ceil() as usize).clamp(first + 1, end);
        let inside = |p: usize| (to.min(p as f64 + 1.0) - from.max(p as f64)).max(0.0) as f32;
        let mut weights: Vec<f32> = (first..beyond).map(inside).collect();
        let sum: f32 = weights.iter().sum();
        let even = 1.0 / weights.len() as f32;
        weights.iter_mut().for_each(|w| *w = if sum > 1e-6 { *w / sum } else { even });
        Share { first, weights }
    }

    fn of(&self, line: &[i16]) -> f32 {
        line[self.first..].iter().zip(&self.weights).map(|(&v, w)| f32::from(v) * w).sum()
    }
}

impl Shares {
    /// Of `count` equal parts of `start..start + length`, cut to `0..end`.
    pub fn new(start: f64, length: f64, count: usize, end: usize) -> Self {
        let last = end as f64;
        let edge = |k: usize| (start + length * k as f64 / count as f64).clamp(0.0, last);
        Shares((0..count).map(|i| Share::new(edge(i), edge(i + 1), end)).collect())
    }

    /// The pixels that any of them has a share of.
    fn lines(&self) -> Range<usize> {
        let beyond = self.0.iter().map(|s| s.first + s.weights.len()).max().unwrap_or(0);
        self.0.iter().map(|s| s.first).min().unwrap_or(0)..beyond
    }
}

/// The lower of two neighbouring centres and the weight of the upper.
fn tap(position: f32, count: usize) -> (usize, f32) {
    let at = (position - 0.5).clamp(0.0, count as f32 - 1.0);
    let lower = at as usize;
    (lower, at - lower as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halving_averages_and_keeps_quarters() {
        let pixels: [&[u8]; 3] = [&[1, 2, 9], &[3, 4, 9], &[9, 9, 9]];
        let half = Plane::halved(3, 3, |y| pixels[y]);
        assert_eq!((half.width, half.height, half.values), (1, 1, vec![10]));
        let whole = Plane::whole(2, 2, |y| pixels[y]);
        assert_eq!(whole.values, [4, 8, 12, 16]);
        assert_eq!(whole.half().values, [10]);
        assert_eq!(whole.mirrored().values, [8, 4, 16, 12]);
    }

    #[test]
    fn a_rectangle_is_averaged_with_exact_shares() {
        let ramp = Plane { width: 4, height: 1, values: vec![0, 100, 200, 300] };
        assert_eq!(ramp.resized([0.0, 0.0, 4.0, 1.0], 2, 1).values, [50, 250]);
        assert_eq!(ramp.resized([0.5, 0.0, 2.0, 1.0], 2, 1).values, [50, 150]);
        assert_eq!(
            ramp.resized([-9.0, 0.0, 2.0, 1.0], 1, 1).values,
            [0],
            "outside the edge counts"
        );
    }

    #[test]
    fn a_turned_plane_is_narrowed_the_same() {
        let values = (0..23 * 17).map(|i| (i * 37 % 1021) as i16).collect();
        let plane = Plane { width: 23, height: 17, values };
        for (start, length, count) in [(0.0, 23.0, 8), (1.3, 19.7, 11), (20.0, 9.0, 32)] {
            let shares = Shares::new(start, length, count, 23);
            assert_eq!(Turned::new(&plane).narrowed(&shares), plane.narrowed(&shares, 0..17));
        }
    }

    #[test]
    fn samples_lie_between_centres() {
        let ramp = Plane { width: 3, height: 1, values: vec![0, 10, 30] };
        assert_eq!(ramp.sample(1.0, 0.5), [5.0, 10.0, 0.0]);
        assert_eq!(ramp.sample(9.0, 9.0)[0], 30.0);
    }
}
