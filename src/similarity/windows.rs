//! Windows of two pictures laid over each other: their means, contrast and how they correlate.
//!
//! Windows overlap by half, so their sums are made of those of blocks, each of which is gone through once.
use super::cells::{Laid, PLAIN, SIDE, STRIDE, WINDOW, WINDOWS};

/// Cells along a block, and blocks along a side.
pub const BLOCK: usize = STRIDE;
pub const BLOCKS: usize = SIDE / BLOCK;
const _: () = assert!(WINDOW == 2 * BLOCK, "a window is two blocks by two");

/// A window that the finer picture has all of.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Mean levels of the coarser picture and of the finer.
    pub means: [f64; 2],
    /// Their variances.
    pub variances: [f64; 2],
    /// Their covariance.
    pub both: f64,
}

/// How a window of the finer picture is made like that of the coarser.
#[derive(Clone, Copy, Debug)]
pub struct Fit {
    /// Contrast of the finer in terms of the coarser's.
    pub gain: f64,
    /// Mean levels.
    pub means: [f64; 2],
    /// Correlation.
    pub alike: f64,
}

impl Window {
    /// `None` where either is too plain.
    pub fn fit(&self) -> Option<Fit> {
        let [own, other] = self.variances;
        (own > PLAIN * PLAIN && other > PLAIN * PLAIN).then(|| Fit {
            gain: self.both / other,
            means: self.means,
            alike: self.both / (own * other).sqrt(),
        })
    }

    /// Correlation; `None` where both are too plain to tell.
    pub fn alike(&self) -> Option<f64> {
        let [own, other] = self.variances.map(|variance| variance.max(0.0).sqrt());
        let told = own >= PLAIN || other >= PLAIN;
        told.then(|| self.both / (own * other).max(f64::MIN_POSITIVE))
    }
}

/// Sums over the cells of a block: of either picture, of their squares and of their products.
#[derive(Clone, Copy, Default)]
struct Sums {
    inside: bool,
    sums: [f64; 5],
}

/// The windows in row order; `None` where the finer picture has not all of one.
pub fn windows(own: &[f32], laid: &Laid) -> Vec<Option<Window>> {
    let blocks: Vec<Sums> = (0..BLOCKS * BLOCKS).map(|block| summed(own, laid, block)).collect();
    let window = |w: usize| {
        let four = blocks_of(w).map(|block| blocks[block]);
        let n = (WINDOW * WINDOW) as f64;
        let mean = |k: usize| four.iter().map(|block| block.sums[k]).sum::<f64>() / n;
        let means = [mean(0), mean(1)];
        four.iter().all(|block| block.inside).then(|| Window {
            means,
            variances: [mean(2) - means[0] * means[0], mean(3) - means[1] * means[1]],
            both: mean(4) - means[0] * means[1],
        })
    };
    (0..WINDOWS * WINDOWS).map(window).collect()
}

fn summed(own: &[f32], laid: &Laid, block: usize) -> Sums {
    let start = block / BLOCKS * BLOCK * SIDE + block % BLOCKS * BLOCK;
    let mut found = Sums { inside: true, sums: [0.0; 5] };
    // A column of its own for each cell of a row, so that a row is gone through at once.
    let mut columns = [[0.0; BLOCK]; 5];
    for row in (0..BLOCK).map(|y| start + y * SIDE) {
        let (own, other) = (&own[row..row + BLOCK], &laid.levels[row..row + BLOCK]);
        found.inside &= laid.inside[row..row + BLOCK].iter().all(|inside| *inside);
        for x in 0..BLOCK {
            let (a, b) = (f64::from(own[x]), f64::from(other[x]));
            columns[0][x] += a;
            columns[1][x] += b;
            columns[2][x] += a * a;
            columns[3][x] += b * b;
            columns[4][x] += a * b;
        }
    }
    found.sums = columns.map(|column| column.iter().sum());
    found
}

/// The four blocks of a window.
pub fn blocks_of(window: usize) -> [usize; 4] {
    let first = window / WINDOWS * BLOCKS + window % WINDOWS;
    [first, first + 1, first + BLOCKS, first + BLOCKS + 1]
}

/// The cells of a window as column and row.
pub fn cells_of(window: usize) -> impl Iterator<Item = (usize, usize)> {
    let (left, top) = (window % WINDOWS * STRIDE, window / WINDOWS * STRIDE);
    (top..top + WINDOW).flat_map(move |y| (left..left + WINDOW).map(move |x| (x, y)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Draws;

    #[test]
    fn windows_are_told_as_by_going_through_their_cells() {
        let mut draws = Draws::new(4, "windows", "");
        let mut levels = || (0..SIDE * SIDE).map(|_| draws.below(256) as f32).collect::<Vec<_>>();
        let (own, levels) = (levels(), levels());
        let inside: Vec<bool> = (0..SIDE * SIDE).map(|i| i != 5 * SIDE + 9).collect();
        let laid = Laid { levels, inside };
        let found = windows(&own, &laid);
        assert_eq!(found.len(), WINDOWS * WINDOWS);
        for (w, window) in found.iter().enumerate() {
            let cells: Vec<usize> = cells_of(w).map(|(x, y)| y * SIDE + x).collect();
            assert_eq!(cells.len(), WINDOW * WINDOW);
            let Some(window) = window else {
                assert!(cells.contains(&(5 * SIDE + 9)));
                continue;
            };
            assert!(!cells.contains(&(5 * SIDE + 9)));
            let mean = |of: &dyn Fn(usize) -> f64| cells.iter().map(|i| of(*i)).sum::<f64>() / 64.0;
            let (a, b) = (|i: usize| f64::from(own[i]), |i: usize| f64::from(laid.levels[i]));
            let means = [mean(&a), mean(&b)];
            let spread =
                [mean(&|i| (a(i) - means[0]).powi(2)), mean(&|i| (b(i) - means[1]).powi(2))];
            let both = mean(&|i| (a(i) - means[0]) * (b(i) - means[1]));
            let close = |x: f64, y: f64| assert!((x - y).abs() < 1e-6 * (1.0 + y.abs()), "{x} {y}");
            (0..2).for_each(|k| close(window.means[k], means[k]));
            (0..2).for_each(|k| close(window.variances[k], spread[k]));
            close(window.both, both);
            close(window.alike().expect("noise tells"), both / (spread[0] * spread[1]).sqrt());
            close(window.fit().expect("noise tells").gain, both / spread[1]);
        }
    }

    #[test]
    fn a_plain_window_says_nothing() {
        let flat = Window { means: [9.0, 9.0], variances: [1.0, 15.0], both: 0.5 };
        assert!(flat.fit().is_none() && flat.alike().is_none());
        let one = Window { variances: [1.0, 400.0], ..flat };
        assert!(one.fit().is_none() && one.alike().is_some_and(|alike| alike < 0.1));
    }
}
