//! Two pictures laid over each other under a transform: where they agree, and whether what does
//! not agree is something put on top.
//!
//! The finer picture is averaged to the cells of the coarser, and both are compared in windows by
//! normalised correlation, which brightness, contrast and gamma leave alone. A logo, a line of
//! subtitles or an inset hides a compact rectangle and nothing else; somebody who moved changes
//! his outline wherever that is, and all that he did.
use super::{plane::Plane, registration::Affine};

/// Cells along each side.
pub const SIDE: usize = 64;
/// Cells along a window, and from one to the next.
const WINDOW: usize = 8;
const STRIDE: usize = 4;
/// Windows along a side.
pub const WINDOWS: usize = (SIDE - WINDOW) / STRIDE + 1;
/// Standard deviation in levels below which a window is too plain to tell.
const PLAIN: f64 = 4.0;
/// Correlation from which on two windows show the same.
pub const SAME: f64 = 0.94;
/// Steps by which the transform is refined on the cells at most, and what the last must have gained
/// for another.
const REFINEMENTS: usize = 10;
const LEAST_GAIN: f64 = 0.98;

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

    /// Levels `[side, side]` of a smaller grid.
    pub fn smaller(&self, side: usize) -> Vec<u8> {
        let whole = Plane { width: SIDE, height: SIDE, pixels: self.levels.clone() };
        whole.scaled(side, side).pixels
    }

    fn mirrored(&self) -> Cells {
        let rows = self.levels.chunks_exact(SIDE);
        Cells { levels: rows.flat_map(|r| r.iter().rev().copied()).collect(), size: self.size }
    }

    /// From cells to pixels.
    fn grid(&self) -> Affine {
        Affine::stretch(self.size[0] / SIDE as f64, self.size[1] / SIDE as f64)
    }
}

/// What came of laying two pictures over each other.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Agreement {
    /// Windows that show the same.
    pub same: usize,
    /// Windows that differ outside of what was put on top.
    pub differing: usize,
    /// Share of the common area that compact rectangles hide.
    pub hidden: f64,
    /// Rectangles.
    pub overlays: usize,
    /// Share of the first picture that the second shows, and the other way round.
    pub covered: [f64; 2],
}

/// The transform of the first to the second picture (mirrored if that is said), refined on the
/// cells, and how well they then agree; `None` when they hardly meet.
pub fn agreement(
    a: &Cells,
    b: &Cells,
    transform: Affine,
    mirrored: bool,
) -> Option<(Affine, Agreement)> {
    let turned;
    let b = if mirrored {
        turned = b.mirrored();
        &turned
    } else {
        b
    };
    // From cells of the first to cells of the second.
    let map = b.grid().inverse()?.after(&transform).after(&a.grid());
    let swap = map.determinant().abs() < 1.0;
    let (coarse, fine) = if swap { (b, a) } else { (a, b) };
    let mut map = if swap { map.inverse()? } else { map };
    let own = blurred(&coarse.levels.iter().map(|l| f32::from(*l)).collect::<Vec<_>>());
    let mut laid = Laid::new(fine, &map);
    for _ in 0..REFINEMENTS {
        let Some(step) = refinement(&own, &laid) else { break };
        let next = map.after(&step);
        let better = Laid::new(fine, &next);
        let (before, after) = (laid.error(&own), better.error(&own));
        if after >= before {
            break;
        }
        (map, laid) = (next, better);
        if after > LEAST_GAIN * before {
            break;
        }
    }
    let mut found = judged(&own, &laid)?;
    let share = laid.inside.iter().filter(|i| **i).count() as f64 / (SIDE * SIDE) as f64;
    found.covered = [share, (share * map.determinant().abs()).min(1.0)];
    let map = if swap {
        found.covered.reverse();
        map.inverse()?
    } else {
        map
    };
    Some((b.grid().after(&map).after(&a.grid().inverse()?), found))
}

/// The finer picture on the coarser one's cells.
struct Laid {
    levels: Vec<f32>,
    /// Whether the finer picture has that cell.
    inside: Vec<bool>,
}

impl Laid {
    fn new(fine: &Cells, map: &Affine) -> Self {
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
    fn error(&self, own: &[f32]) -> f64 {
        let Some((gain, offset)) = self.fit(own) else { return f64::INFINITY };
        let cells = self.cells(own);
        let (n, sum) = cells.fold((0.0, 0.0), |(n, sum), (own, other)| {
            // Something on top must not lead the rest astray.
            (n + 1.0, sum + (own - gain * other - offset).powi(2).min(900.0))
        });
        sum / n
    }

    fn cells<'a>(&'a self, own: &'a [f32]) -> impl Iterator<Item = (f64, f64)> + 'a {
        let pairs = own.iter().zip(&self.levels).zip(&self.inside);
        pairs.filter(|(_, inside)| **inside).map(|((a, b), _)| (f64::from(*a), f64::from(*b)))
    }

    /// Gain and offset that make the levels like `own`.
    fn fit(&self, own: &[f32]) -> Option<(f64, f64)> {
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
fn blurred(cells: &[f32]) -> Vec<f32> {
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

/// The small affine change of the cells that brings the finer picture nearer (Lucas and Kanade,
/// 1981, on all cells that roughly agree).
fn refinement(own: &[f32], laid: &Laid) -> Option<Affine> {
    let (gain, offset) = laid.fit(own)?;
    let mut normal = [[0.0; 7]; 6];
    for y in 1..SIDE - 1 {
        for x in 1..SIDE - 1 {
            let i = y * SIDE + x;
            let all = laid.inside[i] && laid.inside[i - 1] && laid.inside[i + 1];
            if !(all && laid.inside[i - SIDE] && laid.inside[i + SIDE]) {
                continue;
            }
            let level = |i: usize| gain * f64::from(laid.levels[i]);
            let rest = f64::from(own[i]) - level(i) - offset;
            if rest.abs() > 30.0 {
                continue;
            }
            let across = (level(i + 1) - level(i - 1)) / 2.0;
            let down = (level(i + SIDE) - level(i - SIDE)) / 2.0;
            let (u, v) = (x as f64 + 0.5 - CENTRE, y as f64 + 0.5 - CENTRE);
            let row = [across * u, across * v, across, down * u, down * v, down];
            for (line, a) in normal.iter_mut().zip(row) {
                line.iter_mut().zip(row).for_each(|(cell, b)| *cell += a * b);
                line[6] += a * rest;
            }
        }
    }
    let m = solved(normal)?;
    if m[2].hypot(m[5]) > 4.0 {
        return None;
    }
    let shift = |a: f64, b: f64, c: f64| c - (a + b) * CENTRE;
    Some(Affine([
        1.0 + m[0],
        m[1],
        shift(m[0], m[1], m[2]),
        m[3],
        1.0 + m[4],
        shift(m[3], m[4], m[5]),
    ]))
}

const CENTRE: f64 = SIDE as f64 / 2.0;

/// Gauss' elimination of six equations; `None` where they do not tell.
fn solved(mut lines: [[f64; 7]; 6]) -> Option<[f64; 6]> {
    for k in 0..6 {
        let pivot = (k..6).max_by(|a, b| lines[*a][k].abs().total_cmp(&lines[*b][k].abs()))?;
        lines.swap(k, pivot);
        if lines[k][k].abs() < 1e-6 {
            return None;
        }
        let own = lines[k];
        for (_, line) in lines.iter_mut().enumerate().filter(|(i, _)| *i != k) {
            let factor = line[k] / own[k];
            line.iter_mut().zip(own).for_each(|(cell, v)| *cell -= factor * v);
        }
    }
    Some(std::array::from_fn(|k| lines[k][6] / lines[k][k]))
}

/// What a window says, beside how its cells correlate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Says {
    Nothing,
    Same,
    Differs,
}

fn judged(own: &[f32], laid: &Laid) -> Option<Agreement> {
    let mut says = [Says::Nothing; WINDOWS * WINDOWS];
    let mut alike = [0.0; WINDOWS * WINDOWS];
    let mut seen = 0;
    let mut frame = Blob::at(WINDOWS, WINDOWS);
    (frame.across.1, frame.down.1) = (0, 0);
    for (w, say) in says.iter_mut().enumerate() {
        let (x, y) = (w % WINDOWS * STRIDE, w / WINDOWS * STRIDE);
        let rows = || (y..y + WINDOW).map(|row| row * SIDE + x..row * SIDE + x + WINDOW);
        if rows().any(|row| laid.inside[row].contains(&false)) {
            continue;
        }
        seen += 1;
        frame.include(w % WINDOWS, w / WINDOWS);
        (*say, alike[w]) =
            window(rows().flat_map(|row| own[row.clone()].iter().zip(&laid.levels[row])));
    }
    if seen < WINDOWS {
        return None;
    }
    let same = says.iter().filter(|s| **s == Says::Same).count();
    let mut found = Agreement { same, ..Agreement::default() };
    for blob in blobs(&says, &alike) {
        // Windows are wider than what they hide: a rectangle reaches about half a window into them.
        let side = |(from, to): (usize, usize)| ((to - from) * STRIDE) as f64 + 1.5;
        let area = side(blob.across) * side(blob.down);
        if blob.is_overlay(&frame) {
            found.overlays += 1;
            found.hidden += area / (SIDE * SIDE) as f64;
        } else {
            found.differing += blob.windows;
        }
    }
    found.hidden *= (WINDOWS * WINDOWS) as f64 / seen as f64;
    Some(found)
}

/// Windows of an overlay at least; fewer are counted one by one.
const LEAST_OVERLAY: usize = 4;
/// Share of a side, from an edge, within which something in a corner lies, and something along the
/// upper or lower edge; both with the half window that it seems to be larger.
const CORNER: f64 = 0.5;
const BAND: f64 = 0.36;
/// Mean correlation of the windows of an overlay at most.
const MOST_ALIKE: f64 = 0.9;

/// Windows that differ and touch.
struct Blob {
    windows: usize,
    across: (usize, usize),
    down: (usize, usize),
    /// Sum of the windows' correlations.
    alike: f64,
}

impl Blob {
    fn at(x: usize, y: usize) -> Self {
        Blob { windows: 0, across: (x, x), down: (y, y), alike: 0.0 }
    }

    /// Whether something was put on top there: compact, where such things are put, and nothing of
    /// what it hides. Of somebody who moved a little much is still there.
    fn is_overlay(&self, frame: &Blob) -> bool {
        self.windows >= LEAST_OVERLAY
            && self.compact()
            && self.at_the_edge_of(frame)
            && self.alike <= MOST_ALIKE * self.windows as f64
    }

    fn include(&mut self, x: usize, y: usize) {
        self.windows += 1;
        self.across = (self.across.0.min(x), self.across.1.max(x));
        self.down = (self.down.0.min(y), self.down.1.max(y));
    }

    /// Whether it lies where things are put on a picture: in a corner of `frame`, or along its
    /// upper or lower edge. People stand elsewhere.
    fn at_the_edge_of(&self, frame: &Blob) -> bool {
        let reach = |(from, to): (usize, usize), (first, last): (usize, usize)| {
            let length = (last - first + 1) as f64;
            let (before, after) =
                ((to + 1 - first) as f64 / length, (last + 1 - from) as f64 / length);
            before.min(after)
        };
        let (across, down) = (reach(self.across, frame.across), reach(self.down, frame.down));
        down <= BAND || across <= CORNER && down <= CORNER
    }

    /// Whether it fills its rectangle.
    fn compact(&self) -> bool {
        let side = |(from, to): (usize, usize)| to - from + 1;
        self.windows as f64 >= 0.6 * (side(self.across) * side(self.down)) as f64
    }
}

fn blobs(says: &[Says; WINDOWS * WINDOWS], alike: &[f64; WINDOWS * WINDOWS]) -> Vec<Blob> {
    let mut open: Vec<bool> = says.iter().map(|s| *s == Says::Differs).collect();
    let mut blobs = Vec::new();
    for start in 0..open.len() {
        if !std::mem::take(&mut open[start]) {
            continue;
        }
        let (x, y) = (start % WINDOWS, start / WINDOWS);
        let mut blob = Blob::at(x, y);
        let mut todo = vec![(x, y)];
        while let Some((x, y)) = todo.pop() {
            blob.include(x, y);
            blob.alike += alike[y * WINDOWS + x];
            for v in y.saturating_sub(1)..=(y + 1).min(WINDOWS - 1) {
                for u in x.saturating_sub(1)..=(x + 1).min(WINDOWS - 1) {
                    if std::mem::take(&mut open[v * WINDOWS + u]) {
                        todo.push((u, v));
                    }
                }
            }
        }
        blobs.push(blob);
    }
    blobs
}

fn window<'a>(cells: impl Iterator<Item = (&'a f32, &'a f32)>) -> (Says, f64) {
    let [mut a, mut b, mut aa, mut bb, mut ab] = [0.0; 5];
    for (x, y) in cells {
        let (x, y) = (f64::from(*x), f64::from(*y));
        a += x;
        b += y;
        aa += x * x;
        bb += y * y;
        ab += x * y;
    }
    let n = (WINDOW * WINDOW) as f64;
    let spread = |sum: f64, square: f64| (square / n - (sum / n).powi(2)).max(0.0).sqrt();
    let (own, other) = (spread(a, aa), spread(b, bb));
    if own < PLAIN && other < PLAIN {
        return (Says::Nothing, 0.0);
    }
    let both = ab / n - a * b / (n * n);
    let alike = both / (own * other).max(f64::MIN_POSITIVE);
    (if alike >= SAME { Says::Same } else { Says::Differs }, alike)
}
