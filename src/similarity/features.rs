//! What a picture looks like at 32 x 32 cells: enough to tell a copy from another take of the same
//! scene, and a place whoever stands in it.
use super::hash::{Thumbnail, CELLS};

/// Rows at the top and columns at either side that make a picture's background: where actors
/// rarely are. The lowest rows are left to bodies and tables.
const TOP: usize = 9;
const SIDE: usize = 6;
const BOTTOM: usize = 24;
/// Correlation of two backgrounds from which on they are one place seen by one camera.
const SAME_PLACE: f64 = 0.98;
/// The same where one of them is shifted: just below the least under a swinging camera (0.957) on
/// one half of a planted folder, far above other takes of the same set (0.85).
const SAME_PANNED: f64 = 0.95;
/// Cells by which a picture may be shifted to a side, and up or down.
const SWING: isize = 4;
const RISE: isize = 1;
/// Standard deviation, in luma levels, below which cells are too plain to tell.
const PLAIN: f64 = 4.0;

/// Cells per side of a block, and blocks per side.
const BLOCK: usize = 4;
const BLOCKS: usize = CELLS / BLOCK;
/// Blocks of 64 that may differ at will: a logo of a fifth of the width covers up to six.
const FREE: usize = 8;
/// Times that brightness and contrast are fitted to what the worst blocks leave.
const FITS: usize = 3;

/// A picture's cells in whole luma levels.
#[derive(Clone, Debug, PartialEq)]
pub struct ThumbnailFeatures {
    cells: Vec<u8>,
    /// Mean and standard deviation of the background.
    border: (f64, f64),
}

impl ThumbnailFeatures {
    /// The look of a picture.
    pub fn new(thumbnail: &Thumbnail) -> Self {
        Self::of_cells(thumbnail.cells().iter().map(|level| (level >> 8) as u8).collect())
    }

    /// The look of these cells, `[32, 32]` in row order.
    ///
    /// # Panics
    /// When there are not 1024 of them.
    pub fn of_cells(cells: Vec<u8>) -> Self {
        assert_eq!(cells.len(), CELLS * CELLS);
        let border = spread(border(&cells));
        ThumbnailFeatures { cells, border }
    }

    /// The cells, `[32, 32]` in row order.
    pub fn cells(&self) -> &[u8] {
        &self.cells
    }

    /// Whether both show one place from one camera, which may have swung a little: their
    /// backgrounds correlate.
    pub fn same_place(&self, other: &ThumbnailFeatures) -> bool {
        self.background(other) >= SAME_PLACE || self.panned(other) >= SAME_PANNED
    }

    /// Correlation of the backgrounds, -1..=1; 0 when either is plain.
    pub fn background(&self, other: &ThumbnailFeatures) -> f64 {
        let ((mean, deviation), (other_mean, other_deviation)) = (self.border, other.border);
        if deviation < PLAIN || other_deviation < PLAIN {
            return 0.0;
        }
        let product = |(a, b): (f64, f64)| (a - mean) * (b - other_mean);
        let pairs = border(&self.cells).zip(border(&other.cells));
        let (n, sum) = pairs.fold((0.0, 0.0), |(n, sum), pair| (n + 1.0, sum + product(pair)));
        sum / n / (deviation * other_deviation)
    }

    /// The same of what both show when one is laid over the other with a shift, the best of all
    /// shifts of up to four cells to a side and one up or down; both are blurred, since a camera
    /// does not swing by whole cells.
    pub fn panned(&self, other: &ThumbnailFeatures) -> f64 {
        let (own, other) = (blurred(&self.cells), blurred(&other.cells));
        let shifts =
            (-RISE..=RISE).flat_map(|down| (-SWING..=SWING).map(move |right| (right, down)));
        shifts.map(|shift| overlaid(&own, &other, shift)).fold(0.0, f64::max)
    }

    /// How much `other`, mirrored if that is said, differs from this picture; see the function of this name.
    pub fn difference(&self, other: &ThumbnailFeatures, mirrored: bool) -> f64 {
        difference(&self.levels(false), &other.levels(mirrored))
    }

    /// The cells in 1/16 levels, mirrored if that is said.
    pub(super) fn levels(&self, mirrored: bool) -> Levels {
        let mut levels = [0; CELLS * CELLS];
        for (own, row) in levels.chunks_exact_mut(CELLS).zip(self.cells.chunks_exact(CELLS)) {
            own.iter_mut().zip(row).for_each(|(level, cell)| *level = u16::from(*cell) << FRACTION);
            if mirrored {
                own.reverse();
            }
        }
        levels
    }
}

/// Cells in 1/16 levels, `[32, 32]` in row order: the sum of products over a row fits 32 bits.
pub(super) type Levels = [u16; CELLS * CELLS];
/// Fractional bits of [`Levels`].
const FRACTION: u32 = 4;

/// Sums over some of two pictures' cells, their squares and their products.
#[derive(Clone, Copy, Default)]
struct Sums {
    a: u64,
    b: u64,
    aa: u64,
    bb: u64,
    ab: u64,
}

impl Sums {
    /// Adds at most 32 cells.
    fn add(&mut self, own: &[u16], other: &[u16]) {
        let [mut a, mut b, mut aa, mut bb, mut ab] = [0u32; 5];
        for (x, y) in own.iter().zip(other) {
            let (x, y) = (u32::from(*x), u32::from(*y));
            a += x;
            b += y;
            aa += x * x;
            bb += y * y;
            ab += x * y;
        }
        self.a += u64::from(a);
        self.b += u64::from(b);
        self.aa += u64::from(aa);
        self.bb += u64::from(bb);
        self.ab += u64::from(ab);
    }

    /// Of `n` cells; 0 when either is plain.
    fn correlation(&self, n: f64) -> f64 {
        let [a, b, aa, bb, ab] =
            [self.a, self.b, self.aa, self.bb, self.ab].map(|sum| sum as f64 / n);
        let [own, other] = [aa - a * a, bb - b * b].map(|square| square.max(0.0).sqrt());
        let plain = PLAIN * f64::from(1 << FRACTION);
        if own < plain || other < plain {
            return 0.0;
        }
        (ab - a * b) / (own * other)
    }
}

/// The root mean square difference, in standard deviations, in the worst of 8 x 8 blocks but
/// eight, once brightness and contrast of the others are made the same; infinite when either is
/// plain.
///
/// Whatever covers few blocks (a logo) is let be, and what changes all of them alike cancels:
/// another person in the same room changes some blocks a lot and is neither. Dropping the worst
/// and fitting again is least trimmed squares by concentration steps (Rousseeuw and Van Driessen,
/// "Computing LTS regression for large data sets", 2006) on blocks.
pub(super) fn difference(own: &Levels, other: &Levels) -> f64 {
    let sums = sums(own, other);
    let mut kept = [true; BLOCKS * BLOCKS];
    let mut worst = f64::INFINITY;
    for _ in 0..FITS {
        let Some(fit) = Fit::of(&sums, &kept) else { return f64::INFINITY };
        let squares = sums.map(|block| fit.square(block));
        let mut order: [usize; BLOCKS * BLOCKS] = std::array::from_fn(|i| i);
        let worse = |a: &usize, b: &usize| squares[*b].total_cmp(&squares[*a]).then(a.cmp(b));
        order.select_nth_unstable_by(FREE, worse);
        worst = squares[order[FREE]].sqrt();
        kept = [true; BLOCKS * BLOCKS];
        order[..FREE].iter().for_each(|i| kept[*i] = false);
    }
    worst
}

fn sums(own: &Levels, other: &Levels) -> [Sums; BLOCKS * BLOCKS] {
    let mut sums = [Sums::default(); BLOCKS * BLOCKS];
    let rows = own.chunks_exact(CELLS).zip(other.chunks_exact(CELLS));
    for (y, (own, other)) in rows.enumerate() {
        let blocks = own.chunks_exact(BLOCK).zip(other.chunks_exact(BLOCK));
        for (sum, (own, other)) in sums[y / BLOCK * BLOCKS..].iter_mut().zip(blocks) {
            sum.add(own, other);
        }
    }
    sums
}

/// Mean and standard deviation of both pictures in the blocks that are kept.
struct Fit {
    a: (f64, f64),
    b: (f64, f64),
}

impl Fit {
    /// `None` when either is plain.
    fn of(sums: &[Sums; BLOCKS * BLOCKS], kept: &[bool; BLOCKS * BLOCKS]) -> Option<Self> {
        let kept = || sums.iter().zip(kept).filter(|(_, kept)| **kept).map(|(sums, _)| sums);
        let n = (kept().count() * BLOCK * BLOCK) as f64;
        let moments = |sum: fn(&Sums) -> u64, square: fn(&Sums) -> u64| {
            let total = |of: fn(&Sums) -> u64| kept().map(of).sum::<u64>() as f64;
            let mean = total(sum) / n;
            let deviation = (total(square) / n - mean * mean).max(0.0).sqrt();
            (deviation >= PLAIN * f64::from(1 << FRACTION)).then_some((mean, deviation))
        };
        Some(Fit { a: moments(|s| s.a, |s| s.aa)?, b: moments(|s| s.b, |s| s.bb)? })
    }

    /// The mean square difference in a block.
    fn square(&self, sums: Sums) -> f64 {
        let n = (BLOCK * BLOCK) as f64;
        let ((mean, deviation), (its_mean, its_deviation)) = (self.a, self.b);
        let [a, b, aa, bb, ab] =
            [sums.a, sums.b, sums.aa, sums.bb, sums.ab].map(|sum| sum as f64 / n);
        let own = (aa - 2.0 * mean * a + mean * mean) / (deviation * deviation);
        let other = (bb - 2.0 * its_mean * b + its_mean * its_mean) / its_deviation.powi(2);
        let both = (ab - mean * b - its_mean * a + mean * its_mean) / (deviation * its_deviation);
        // Rounding may leave a little less than nothing.
        (own + other - 2.0 * both).max(0.0)
    }
}

/// The background's cells.
fn border(cells: &[u8]) -> impl Iterator<Item = f64> + Clone + '_ {
    let inside = |i: &usize| {
        let (y, x) = (i / CELLS, i % CELLS);
        y < TOP || y < BOTTOM && !(SIDE..CELLS - SIDE).contains(&x)
    };
    (0..cells.len()).filter(inside).map(|i| f64::from(cells[i]))
}

/// Weights 1 2 1 along both sides, in 1/16 levels; the border counts on beyond itself.
fn blurred(cells: &[u8]) -> Levels {
    let at = |y: usize, x: usize| u16::from(cells[y * CELLS + x]);
    let both = |i: usize| [i.saturating_sub(1), i, (i + 1).min(CELLS - 1)];
    std::array::from_fn(|i| {
        let (rows, columns) = (both(i / CELLS), both(i % CELLS));
        let across = rows.map(|y| {
            let [left, own, right] = columns.map(|x| at(y, x));
            left + 2 * own + right
        });
        across[0] + 2 * across[1] + across[2]
    })
}

/// Correlation of the backgrounds where both have one when `other` is shifted; 0 when plain.
fn overlaid(own: &Levels, other: &Levels, (right, down): (isize, isize)) -> f64 {
    let mut total = Sums::default();
    let mut n = 0.0;
    for y in 0..BOTTOM {
        let Some(its_y) = y.checked_add_signed(down).filter(|y| *y < BOTTOM) else { continue };
        // Columns that are background in both, each row a run or two of them.
        let runs =
            if y < TOP && its_y < TOP { [0..CELLS, 0..0] } else { [0..SIDE, CELLS - SIDE..CELLS] };
        for run in runs {
            let wide = run.len() as isize - right.abs();
            if wide <= 0 {
                continue;
            }
            let start = run.start + (-right).max(0) as usize;
            let its_start = (start as isize + right) as usize;
            let a = &own[y * CELLS + start..][..wide as usize];
            let b = &other[its_y * CELLS + its_start..][..wide as usize];
            total.add(a, b);
            n += wide as f64;
        }
    }
    total.correlation(n)
}

/// Mean and standard deviation.
fn spread(levels: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let (n, sum) = levels.clone().fold((0.0, 0.0), |(n, sum), level| (n + 1.0, sum + level));
    let mean = sum / n;
    let square: f64 = levels.map(|level| (level - mean).powi(2)).sum();
    (mean, (square / n).sqrt())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The look of a drawn picture, 320 x 320 pixels.
    pub(in crate::similarity) fn look(levels: impl Fn(usize, usize) -> u8) -> ThumbnailFeatures {
        ThumbnailFeatures::new(&thumbnail(levels))
    }

    pub(in crate::similarity) fn thumbnail(levels: impl Fn(usize, usize) -> u8) -> Thumbnail {
        let pixels: Vec<u8> = (0..320 * 320).map(|i| levels(i % 320, i / 320)).collect();
        Thumbnail::of_pixels(&pixels, 320, 320).expect("fits")
    }

    /// A room of stripes that bend.
    pub(in crate::similarity) fn room(x: f64, y: f64) -> u8 {
        (110.0 + 50.0 * (x / 31.0 + y / 57.0).sin() + 40.0 * (x * y / 9000.0).cos()) as u8
    }

    fn at(x: usize, y: usize) -> u8 {
        room(x as f64, y as f64)
    }

    fn with_person(x: usize, y: usize) -> u8 {
        if (100..220).contains(&x) && y > 100 {
            250
        } else {
            at(x, y)
        }
    }

    #[test]
    fn a_place_is_known_whoever_stands_in_it() {
        let (own, brighter) = (look(at), look(|x, y| at(x, y) + 20));
        assert!(own.same_place(&look(with_person)) && own.same_place(&brighter));
        assert!(!own.same_place(&look(|x, y| at(320 - x, y))));
        assert!(!look(|_, _| 90).same_place(&look(|_, _| 90)), "plain walls tell nothing");
        for (right, down) in [(-35, 0), (17, 8), (40, -10)] {
            let swung = look(|x, y| room(x as f64 + f64::from(right), y as f64 + f64::from(down)));
            assert!(own.same_place(&swung) && swung.same_place(&own), "{right} {down}");
        }
        let gone = look(|x, y| room(x as f64 + 130.0, y as f64));
        assert!(!own.same_place(&gone), "{}", own.panned(&gone));
    }

    #[test]
    fn backgrounds_are_compared_by_their_correlation() {
        let cells: Vec<u8> = look(at).cells().to_vec();
        let of = |level: fn(u8) -> u8| {
            ThumbnailFeatures::of_cells(cells.iter().copied().map(level).collect())
        };
        let own = of(|level| level);
        assert!((own.background(&own) - 1.0).abs() < 1e-9);
        assert!((own.background(&of(|level| 255 - level)) + 1.0).abs() < 1e-9);
        // Levels 0 and 100 by the row's parity; half of the rows the other way round is no
        // relation at all.
        let rows = |turned: usize| {
            let level = |i: usize| 100 * u8::from(i / CELLS % 2 == usize::from(i % CELLS < turned));
            ThumbnailFeatures::of_cells((0..CELLS * CELLS).map(level).collect())
        };
        assert!(rows(0).background(&rows(CELLS / 2)).abs() < 1e-9);
    }

    #[test]
    fn contrast_mirrors_and_logos_cancel_but_not_another_person() {
        let own = look(at);
        let duller = look(|x, y| (f64::from(at(x, y)) * 0.8 + 30.0) as u8);
        assert!(own.difference(&duller, false) < 0.05);
        let turned = look(|x, y| at(319 - x, y));
        assert!(own.difference(&turned, true) < 0.05 && own.difference(&turned, false) > 0.5);
        let logo = look(|x, y| if x > 250 && y < 60 { 255 } else { at(x, y) });
        assert!(own.difference(&logo, false) < 0.05 && logo.difference(&own, false) < 0.05);
        assert!(own.difference(&look(with_person), false) > 0.5);
    }

    #[test]
    fn plain_pictures_say_nothing() {
        let flat = look(|_, _| 90);
        assert_eq!(flat.difference(&flat, false), f64::INFINITY);
        assert_eq!(flat.difference(&look(at), false), f64::INFINITY);
    }
}
