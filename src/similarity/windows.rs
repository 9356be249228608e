//! The parts of a picture that a cropped copy may show, and whether it does.
//!
//! A copy that was cut by some percent has another hash, but it has nearly the hash that the
//! picture has inside the same window. A window's hash needs no pixels: its coefficients are sums
//! of the picture's cells with other weights, which are the same for all pictures.
use std::sync::LazyLock;

use super::{
    features::{difference, Levels, ThumbnailFeatures},
    hash::{signs, Coefficient, CELLS, COSINES, COSINE_BITS, FREQUENCIES, HIGHEST},
};

/// Steps along a side by which windows move and shrink; 2.5 %.
const STEPS: usize = 40;
/// Steps that are removed at most: 10 %.
const MOST_REMOVED: usize = 4;
/// Times that both pictures are smoothed before they are compared: cells of a window are blurred,
/// those of a copy are not, and a crop rarely lies on the steps.
const SMOOTHED: usize = 4;

/// A window of the picture's own proportions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    /// Steps that width and height lack, 1..=4.
    pub removed: usize,
    /// Steps removed at the left and at the top, each at most `removed`.
    pub left: usize,
    /// See `left`.
    pub top: usize,
}

/// All windows: 97.5, 95, 92.5 and 90 % of either side, in steps of 2.5 %.
pub static WINDOWS: LazyLock<Vec<Window>> = LazyLock::new(|| {
    let places = |removed: usize| {
        (0..=removed)
            .flat_map(move |top| (0..=removed).map(move |left| Window { removed, left, top }))
    };
    (1..=MOST_REMOVED).flat_map(places).collect()
});

/// Weights of the own cells along one side in the cosine sums of a window, by frequency.
struct Side([[i32; CELLS]; HIGHEST + 1]);

/// The sides of the windows: by steps removed in all, then by those removed in front.
static SIDES: LazyLock<Vec<Vec<Side>>> = LazyLock::new(|| {
    (0..=MOST_REMOVED)
        .map(|removed| (0..=removed).map(|front| side(removed, front)).collect())
        .collect()
});

fn side(removed: usize, front: usize) -> Side {
    let mut weights = [[0; CELLS]; HIGHEST + 1];
    for (cell, own, overlap) in shares(removed, front) {
        for (row, cosines) in weights.iter_mut().zip(COSINES.iter()) {
            row[own] += (cosines[cell] * overlap as i64) as i32;
        }
    }
    Side(weights)
}

/// Which own cells a window's cells are made of: (window's cell, own cell, overlap in units), a
/// cell of the picture being [`STEPS`] units long.
fn shares(removed: usize, front: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let length = STEPS - removed;
    (0..CELLS).flat_map(move |cell| {
        let start = front * CELLS + cell * length;
        let end = start + length;
        (start / STEPS..end.div_ceil(STEPS))
            .map(move |own| (cell, own, end.min((own + 1) * STEPS) - start.max(own * STEPS)))
    })
}

/// The hash of every window, in the order of [`WINDOWS`].
pub fn hashes(look: &ThumbnailFeatures) -> Vec<u64> {
    let mut found = Vec::with_capacity(WINDOWS.len());
    for (removed, sides) in SIDES.iter().enumerate().skip(1) {
        let across: Vec<Vec<[i32; HIGHEST + 1]>> = sides
            .iter()
            .map(|side| look.cells().chunks(CELLS).map(|row| sums(row, side)).collect())
            .collect();
        for down in sides {
            found.extend(across.iter().map(|rows| hash(rows, down, STEPS - removed)));
        }
    }
    found
}

/// A row's cosine sums inside a window.
fn sums(row: &[u8], side: &Side) -> [i32; HIGHEST + 1] {
    // At most 32 cells x 40 units x 2^12 x 255 levels: fits.
    std::array::from_fn(|u| row.iter().zip(&side.0[u]).map(|(&c, w)| i32::from(c) * w).sum())
}

fn hash(rows: &[[i32; HIGHEST + 1]], down: &Side, length: usize) -> u64 {
    let unit = f64::from(1u32 << (2 * COSINE_BITS)) * (length * length) as f64;
    let coefficient = |&(u, v): &(usize, usize)| {
        let sum =
            rows.iter().zip(&down.0[v]).map(|(row, w)| i64::from(row[u]) * i64::from(*w)).sum();
        Coefficient::new((u, v), sum, unit)
    };
    signs(&FREQUENCIES.iter().map(coefficient).collect::<Vec<_>>())
}

/// A picture, or its mirror image, that may be part of another: smoothed once for all windows.
pub struct Sought(Levels);

impl Sought {
    /// `look`, mirrored if that is said.
    pub fn new(look: &ThumbnailFeatures, mirrored: bool) -> Self {
        Sought(smoothed(&look.levels(mirrored)))
    }
}

/// How much `part` differs from the part of `whole` near the window that it resembles most; in
/// standard deviations as between whole pictures, after both are smoothed.
///
/// A crop seldom lies on the steps, nor need it keep the proportions: the window's edges move one
/// by one, by ever smaller steps, as long as that helps and until the difference is at most
/// `enough`.
pub fn window_difference(
    whole: &ThumbnailFeatures,
    window: Window,
    part: &Sought,
    enough: f64,
) -> f64 {
    let whole = whole.levels(false).map(f32::from);
    let differs = |edges: &Edges| difference(&smoothed(&cut(&whole, edges)), &part.0);
    let mut edges = window.edges();
    let mut best = differs(&edges);
    if best > HOPELESS {
        return best;
    }
    for step in MOVES {
        let mut helped = true;
        while helped && best > enough {
            helped = false;
            for (edge, by) in (0..4).flat_map(|edge| [(edge, step), (edge, -step)]) {
                let mut moved = edges;
                moved[edge] = (moved[edge] + by).clamp(BOUNDS[edge].0, BOUNDS[edge].1);
                if moved == edges {
                    continue;
                }
                let found = differs(&moved);
                if found < best - LEAST_GAIN {
                    (edges, best, helped) = (moved, found, true);
                }
            }
        }
    }
    best
}

/// Left, top, right and bottom edge of a part of a picture, in cells.
type Edges = [f32; 4];

/// Cells by which edges are moved: 1.25, 0.6 and 0.3 % of a side.
const MOVES: [f32; 3] = [0.4, 0.2, 0.1];
/// Where the edges may lie.
const BOUNDS: [(f32, f32); 4] = [(0.0, 4.0), (0.0, 4.0), (28.0, 32.0), (28.0, 32.0)];
/// Difference above which no move of the edges makes a copy.
const HOPELESS: f64 = 0.45;
/// What a move must gain.
const LEAST_GAIN: f64 = 1e-4;

impl Window {
    fn edges(self) -> Edges {
        let cells = |steps: usize| (steps * CELLS) as f32 / STEPS as f32;
        let length = STEPS - self.removed;
        [self.left, self.top, self.left + length, self.top + length].map(cells)
    }
}

/// The cells of a part, `[32, 32]`.
fn cut(whole: &[f32; CELLS * CELLS], [left, top, right, bottom]: &Edges) -> Levels {
    let (across, down) = (spans(*left, *right), spans(*top, *bottom));
    let mut rows = [0.0; CELLS * CELLS];
    for (row, own) in rows.chunks_exact_mut(CELLS).zip(whole.chunks_exact(CELLS)) {
        for (cell, (first, weights)) in row.iter_mut().zip(&across) {
            *cell = weights.iter().zip(&own[*first..]).map(|(w, c)| w * c).sum();
        }
    }
    let mut levels = [0; CELLS * CELLS];
    for (levels, (first, [upper, lower])) in levels.chunks_exact_mut(CELLS).zip(&down) {
        // The lowest row has none below it, and its second share is nothing.
        let line = |y: usize| &rows[y.min(CELLS - 1) * CELLS..][..CELLS];
        let pairs = line(*first).iter().zip(line(first + 1));
        for (level, (above, below)) in levels.iter_mut().zip(pairs) {
            *level = rounded(upper * above + lower * below);
        }
    }
    levels
}

/// The nearest whole number to a level, which is never negative.
fn rounded(level: f32) -> u16 {
    (level + 0.5) as u16
}

/// For every cell of a part of a side: the first own cell in it, and the shares of that and the
/// next. A part is no longer than the whole, so a cell of it meets two at most.
fn spans(start: f32, end: f32) -> [(usize, [f32; 2]); CELLS] {
    let length = (end - start) / CELLS as f32;
    std::array::from_fn(|cell| {
        let from = start + cell as f32 * length;
        let first = (from as usize).min(CELLS - 1);
        let own = ((first + 1) as f32 - from).min(length) / length;
        (first, [own, 1.0 - own])
    })
}

/// Weights 1 2 1 along both sides, several times; the border counts on beyond itself.
fn smoothed(levels: &Levels) -> Levels {
    let mut cells = levels.map(f32::from);
    for _ in 0..SMOOTHED {
        cells.chunks_exact_mut(CELLS).for_each(smooth_row);
        smooth_columns(&mut cells);
    }
    cells.map(rounded)
}

/// Weights 1 2 1 over 4.
fn mean(low: f32, own: f32, high: f32) -> f32 {
    (low + 2.0 * own + high) / 4.0
}

fn smooth_row(row: &mut [f32]) {
    // With the border's cells twice.
    let mut before = [0.0; CELLS + 2];
    before[1..=CELLS].copy_from_slice(row);
    (before[0], before[CELLS + 1]) = (row[0], row[CELLS - 1]);
    row.iter_mut().zip(before.windows(3)).for_each(|(cell, b)| *cell = mean(b[0], b[1], b[2]));
}

fn smooth_columns(cells: &mut [f32; CELLS * CELLS]) {
    let row = |cells: &[f32; CELLS * CELLS], y: usize| -> [f32; CELLS] {
        std::array::from_fn(|x| cells[y * CELLS + x])
    };
    let mut above = row(cells, 0);
    for y in 0..CELLS {
        let own = row(cells, y);
        let below = row(cells, (y + 1).min(CELLS - 1));
        for (x, cell) in cells[y * CELLS..][..CELLS].iter_mut().enumerate() {
            *cell = mean(above[x], own[x], below[x]);
        }
        above = own;
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            features::tests::{look, room, thumbnail},
            hash::{distance, hash as whole_hash},
        },
        *,
    };

    #[test]
    fn windows_are_what_a_crop_shows() {
        let own = look(|x, y| room(x as f64, y as f64));
        let hashes = hashes(&own);
        assert_eq!((hashes.len(), WINDOWS.len()), (54, 54));
        for (window, hash) in WINDOWS.iter().zip(hashes) {
            let scale = 1.0 - window.removed as f64 / STEPS as f64;
            let start = |steps: usize| steps as f64 / STEPS as f64 * 320.0;
            let crop = |x: usize, y: usize| {
                room(start(window.left) + scale * x as f64, start(window.top) + scale * y as f64)
            };
            let bits = distance(hash, whole_hash(&thumbnail(crop)));
            assert!(bits <= 3, "{window:?}: {bits} bits");
            let differs = |look: &ThumbnailFeatures, mirrored: bool| {
                window_difference(&own, *window, &Sought::new(look, mirrored), 0.0)
            };
            assert!(differs(&look(crop), false) < 0.05, "{window:?}");
            let turned = look(|x, y| crop(319 - x, y));
            assert!(differs(&turned, true) < 0.05, "{window:?}");
            assert!(differs(&turned, false) > 0.3, "{window:?}");
        }
    }

    #[test]
    fn edges_are_found_between_the_steps_and_on_one_side_alone() {
        let own = look(|x, y| room(x as f64, y as f64));
        for [left, top, right, bottom] in
            [[0.013, 0.022, 0.03, 0.021], [0.06, 0.0, 0.0, 0.0], [0.0, 0.031, 0.0, 0.044]]
        {
            let at = |from: f64, until: f64, pixel: usize| {
                320.0 * (from + (1.0 - from - until) * (pixel as f64 + 0.5) / 320.0) - 0.5
            };
            let crop = look(|x, y| room(at(left, right, x), at(top, bottom, y)));
            let crop = Sought::new(&crop, false);
            let found: Vec<f64> =
                WINDOWS.iter().map(|w| window_difference(&own, *w, &crop, 0.0)).collect();
            let best = found.iter().copied().fold(f64::INFINITY, f64::min);
            assert!(best < 0.05, "{left} {top} {right} {bottom}: {best}");
        }
        let mut cells = [0.0; CELLS * CELLS];
        cells.iter_mut().enumerate().for_each(|(i, c)| *c = (i % CELLS) as f32 * 16.0);
        let same = cut(&cells, &[0.0, 0.0, 32.0, 32.0]);
        assert_eq!(same, cells.map(|c| c as u16));
        // From 2 on, 30 of 32 cells long: the first is 15/16 of a cell, all in cell 2.
        let part = cut(&cells, &[2.0, 0.0, 32.0, 32.0]);
        assert_eq!((part[0], part[CELLS - 1]), (32, 496));
        // The second: 1/16 of cell 2 and 14/16 of cell 3, out of 15.
        assert_eq!(part[1], ((2.0 + 14.0 * 3.0) / 15.0 * 16.0_f64).round() as u16);
    }

    #[test]
    fn smoothing_keeps_the_mean_of_a_wave_and_flattens_a_point() {
        let mut point = [0; CELLS * CELLS];
        point[5 * CELLS + 7] = 1 << 15;
        let after = smoothed(&point);
        let sum: i64 = after.iter().map(|level| i64::from(*level)).sum();
        assert!((sum - (1 << 15)).abs() <= 40, "81 cells are rounded: {sum}");
        // 1 2 1 four times is the eighth row of Pascal's triangle over 256: 70 in the middle.
        let at = |across: f64, down: f64| (across * down / 2.0).round() as u16;
        assert_eq!(after[5 * CELLS + 7], at(70.0, 70.0));
        assert_eq!(after[5 * CELLS + 8], at(70.0, 56.0));
        assert_eq!(after[7 * CELLS + 8], at(28.0, 56.0));
        assert_eq!(smoothed(&[77; CELLS * CELLS]), [77; CELLS * CELLS]);
    }
}
