//! Pictures at 64 x 64 cells, and one of them laid over the other under a transform.
use super::{plane::Plane, registration::Affine};

/// Cells along each side.
pub const SIDE: usize = 64;
/// Cells along a window.
pub const WINDOW: usize = 8;
/// Cells from one window to the next.
pub const STRIDE: usize = 4;
/// Windows along a side.
pub const WINDOWS: usize = (SIDE - WINDOW) / STRIDE + 1;
/// Standard deviation in levels below which a window is too plain to tell.
pub const PLAIN: f64 = 4.0;

/// A picture at 64 x 64 cells, with the size of the picture in which its keypoints lie.
#[derive(Clone, Debug, PartialEq)]
pub struct Cells {
    levels: Vec<u8>,
    size: [f64; 2],
}

impl Cells {
    /// The cells of a picture whose keypoints lie in one of `width` x `height` pixels.
    pub fn of(picture: &Plane, (width, height): (usize, usize)) -> Self {
        Cells { levels: picture.scaled(SIDE, SIDE).pixels, size: [width as f64, height as f64] }
    }

    /// Pixels of the picture in which keypoints lie.
    pub fn size(&self) -> [f64; 2] {
        self.size
    }

    /// Levels `[64, 64]`.
    pub fn levels(&self) -> &[u8] {
        &self.levels
    }

    /// Levels `[side, side]` of a smaller grid.
    pub fn smaller(&self, side: usize) -> Vec<u8> {
        let whole = Plane { width: SIDE, height: SIDE, pixels: self.levels.clone() };
        whole.scaled(side, side).pixels
    }

    /// The mirror image.
    pub fn mirrored(&self) -> Cells {
        let rows = self.levels.chunks_exact(SIDE);
        Cells { levels: rows.flat_map(|r| r.iter().rev().copied()).collect(), size: self.size }
    }

    /// From cells to pixels.
    pub fn grid(&self) -> Affine {
        Affine::stretch(self.size[0] / SIDE as f64, self.size[1] / SIDE as f64)
    }
}

/// The finer picture on the coarser one's cells.
pub struct Laid {
    /// Levels, blurred.
    pub levels: Vec<f32>,
    /// Whether the finer picture has that cell.
    pub inside: Vec<bool>,
}

impl Laid {
    /// Lays it where `map`, from cells of the coarser to cells of the finer, says.
    pub fn new(fine: &Cells, map: &Affine) -> Self {
        // As many points of a cell as it is fine cells long.
        let points = (map.determinant().abs().sqrt().round() as usize).clamp(1, 6);
        let mut levels = Vec::with_capacity(SIDE * SIDE);
        let mut inside = Vec::with_capacity(SIDE * SIDE);
        for i in 0..SIDE * SIDE {
            let (x, y) = ((i % SIDE) as f64, (i / SIDE) as f64);
            let (mut sum, mut all) = (0.0, true);
            for k in 0..points * points {
                let at = |k: usize| (k as f64 + 0.5) / points as f64;
                let [u, v] = map.apply([x + at(k % points), y + at(k / points)]);
                let side = SIDE as f64;
                all &= u >= 0.0 && v >= 0.0 && u <= side && v <= side;
                sum += bilinear(&fine.levels, u, v);
            }
            levels.push(sum / (points * points) as f32);
            inside.push(all);
        }
        Laid { levels: blurred(&levels), inside }
    }

    /// Mean square difference where both are, once brightness and contrast are the same.
    pub fn error(&self, own: &[f32]) -> f64 {
        let Some((gain, offset)) = self.fit(own) else { return f64::INFINITY };
        let cells = self.cells(own);
        let (n, sum) = cells.fold((0.0, 0.0), |(n, sum), (own, other)| {
            // Something on top must not lead the rest astray.
            (n + 1.0, sum + (own - gain * other - offset).powi(2).min(900.0))
        });
        sum / n
    }

    /// Whether the finer picture has a cell and the four beside it.
    pub fn surrounded(&self, i: usize) -> bool {
        [i, i - 1, i + 1, i - SIDE, i + SIDE].iter().all(|i| self.inside[*i])
    }

    fn cells<'a>(&'a self, own: &'a [f32]) -> impl Iterator<Item = (f64, f64)> + 'a {
        let pairs = own.iter().zip(&self.levels).zip(&self.inside);
        pairs.filter(|(_, inside)| **inside).map(|((a, b), _)| (f64::from(*a), f64::from(*b)))
    }

    /// Gain and offset that make the levels like `own`.
    pub fn fit(&self, own: &[f32]) -> Option<(f64, f64)> {
        let [mut n, mut a, mut b, mut ab, mut bb] = [0.0; 5];
        for (x, y) in self.cells(own) {
            n += 1.0;
            a += x;
            b += y;
            ab += x * y;
            bb += y * y;
        }
        let spread = bb - b * b / n;
        (n >= 64.0 && spread > n).then(|| {
            let gain = (ab - a * b / n) / spread;
            (gain, (a - gain * b) / n)
        })
    }
}

fn bilinear(levels: &[u8], x: f64, y: f64) -> f32 {
    let most = (SIDE - 1) as f64;
    let (x, y) = ((x - 0.5).clamp(0.0, most), (y - 0.5).clamp(0.0, most));
    let (left, top) = (x as usize, y as usize);
    let (right, low) = ((left + 1).min(SIDE - 1), (top + 1).min(SIDE - 1));
    let (u, v) = ((x - left as f64) as f32, (y - top as f64) as f32);
    let at = |x: usize, y: usize| f32::from(levels[y * SIDE + x]);
    let upper = at(left, top) * (1.0 - u) + at(right, top) * u;
    let lower = at(left, low) * (1.0 - u) + at(right, low) * u;
    upper * (1.0 - v) + lower * v
}

/// Weights 1 2 1 along both sides; the border counts on beyond itself.
pub fn blurred(cells: &[f32]) -> Vec<f32> {
    let mut rows = vec![0.0; SIDE * SIDE];
    for (row, out) in cells.chunks_exact(SIDE).zip(rows.chunks_exact_mut(SIDE)) {
        for (x, cell) in out.iter_mut().enumerate() {
            let (left, right) = (row[x.saturating_sub(1)], row[(x + 1).min(SIDE - 1)]);
            *cell = (left + 2.0 * row[x] + right) / 4.0;
        }
    }
    let row = |y: usize| &rows[y * SIDE..][..SIDE];
    let mut out = Vec::with_capacity(SIDE * SIDE);
    for y in 0..SIDE {
        let (up, own, down) = (row(y.saturating_sub(1)), row(y), row((y + 1).min(SIDE - 1)));
        out.extend((0..SIDE).map(|x| (up[x] + 2.0 * own[x] + down[x]) / 4.0));
    }
    out
}
