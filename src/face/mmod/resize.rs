//! Between which pixels dlib interpolates and what each of them counts, to the bit.
//!
//! dlib steps through a row in `f32`, four columns at a time, and through the rest of it in `f64`.

/// Width and height of a picture of twice the size and a little more, dlib's `pyramid_up` with
/// `pyramid_down<2>`.
pub(super) fn enlarged((width, height): (u64, u64)) -> (u64, u64) {
    (2 * width + 2, 2 * height + 1)
}

/// What the neighbours of a point count that dlib interpolates in `f32`: upper left, upper right,
/// lower left, lower right. The point is `down` below the upper row and `right` of the left column.
pub(super) fn shares(down: f64, right: f32) -> [f32; 4] {
    let (lower, upper) = (down as f32, (1.0 - down) as f32);
    let left = 1.0 - right;
    [upper * left, upper * right, lower * left, lower * right]
}

/// Two neighbours in a line and how far a point is from the first to the second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Between {
    pub first: usize,
    pub second: usize,
    pub fraction: f64,
}

impl Between {
    fn new(at: f64, size: usize) -> Self {
        let first = at.floor() as usize;
        Between { first, second: (first + 1).min(size - 1), fraction: at - first as f64 }
    }
}

/// Step between two points of the new size in points of the old one.
fn step(from: usize, to: usize) -> f64 {
    (from - 1) as f64 / (to - 1).max(1) as f64
}

/// Source rows of every row; positions are summed up in `f64`, never multiplied.
pub(super) struct Rows {
    from: usize,
    left: usize,
    step: f64,
    at: f64,
}

impl Rows {
    pub fn new(from: usize, to: usize) -> Self {
        let step = step(from, to);
        Rows { from, left: to, step, at: -step }
    }
}

impl Iterator for Rows {
    type Item = Between;

    fn next(&mut self) -> Option<Between> {
        self.left = self.left.checked_sub(1)?;
        self.at += self.step;
        Some(Between::new(self.at, self.from))
    }
}

/// Source columns of every column.
pub(super) struct Columns {
    /// Left column and fraction; positions are summed up in `f32`, four columns abreast.
    pub fast: Vec<(u32, f32)>,
    /// The columns after the first four that would reach beyond the right edge.
    pub rest: Vec<Between>,
}

impl Columns {
    pub fn new(from: usize, to: usize) -> Self {
        let step = step(from, to);
        let start = -4.0 * step;
        let mut at = [0.0, 1.0, 2.0, 3.0].map(|lane: f64| (start + lane * step) as f32);
        let mut fast: Vec<(u32, f32)> = Vec::with_capacity(to);
        loop {
            at = at.map(|x| x + (4.0 * step) as f32);
            if at[3] as usize + 1 >= from {
                break;
            }
            fast.extend(at.map(|x| (x as u32, x - x.trunc())));
        }
        let mut x = -step + fast.len() as f64 * step;
        let rest = (fast.len()..to).map(|_| {
            x += step;
            Between::new(x, from)
        });
        let rest = rest.collect();
        Columns { fast, rest }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_column_lies_between_its_neighbours(from in 1usize..3000, to in 1usize..3000) {
            let columns = Columns::new(from, to);
            prop_assert_eq!(columns.fast.len() + columns.rest.len(), to);
            for &(left, fraction) in &columns.fast {
                prop_assert!(left as usize + 1 < from && (0.0..1.0).contains(&fraction));
            }
            for column in &columns.rest {
                prop_assert!(column.first < from && column.second < from);
            }
        }
    }
}
