//! Where in a frame a still lies: a rectangle of the frame, the still perhaps mirrored, found by
//! least squares on pixels.
//!
//! Gauss and Newton's method on position, size, contrast and brightness (Lucas and Kanade 1981;
//! Baker and Matthews, "Lucas-Kanade 20 years on", 2004), with weights that fall where the pictures
//! differ, so that what moves in front does not pull at the background.
use super::plane::Plane;

/// A rectangle of the frame, in its pixels from the upper left corner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// Left edge.
    pub x: f64,
    /// Upper edge.
    pub y: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
    /// Whether the still is the mirror image.
    pub mirrored: bool,
}

impl Placement {
    /// The whole frame.
    pub fn whole((width, height): (usize, usize), mirrored: bool) -> Self {
        Placement { x: 0.0, y: 0.0, width: width as f64, height: height as f64, mirrored }
    }

    /// The largest distance of an edge from the same edge of `other`, as a share of the frame.
    pub fn apart(&self, other: &Placement, (width, height): (usize, usize)) -> f64 {
        let horizontal = (self.x - other.x).abs().max((self.right() - other.right()).abs());
        let vertical = (self.y - other.y).abs().max((self.lower() - other.lower()).abs());
        (horizontal / width as f64).max(vertical / height as f64)
    }

    /// Right edge.
    pub fn right(&self) -> f64 {
        self.x + self.width
    }

    /// Lower edge.
    pub fn lower(&self) -> f64 {
        self.y + self.height
    }

    /// Whether it is inside the frame but for `slack` of its size, and shows at least `least` of
    /// either side.
    pub(super) fn is_plausible(&self, (width, height): (usize, usize), least: f64) -> bool {
        let slack = 0.01;
        let fits = |from: f64, length: f64, whole: usize| {
            let whole = whole as f64;
            from >= -slack * whole
                && from + length <= (1.0 + slack) * whole
                && length >= least * whole
        };
        fits(self.x, self.width, width) && fits(self.y, self.height, height)
    }
}

/// What to refine with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    /// Steps of Gauss and Newton at most.
    pub steps: usize,
    /// Every how many-th pixel of the still, in both directions.
    pub stride: usize,
}

/// Moves `start` to where `still` (turned the right way round already) fits `frame` best, a plane of
/// `level`; the still's size is about that of its place. With it comes the mean square, in quarter
/// levels, that was left before the last step. `None` where it fits nowhere near.
pub(super) fn refine(
    still: &Plane,
    frame: &Plane,
    level: u32,
    start: Placement,
    effort: Effort,
) -> Option<(Placement, f64)> {
    let scale = f64::from(1u32 << level);
    let mut place = [start.x, start.y, start.width, start.height].map(|v| v / scale);
    let mut square = f64::INFINITY;
    for _ in 0..effort.steps {
        let (step, left) = step(still, frame, place, effort.stride)?;
        square = left;
        place.iter_mut().zip(step).for_each(|(p, s)| *p += s);
        let [_, _, w, h] = place;
        if !(w > 4.0 && h > 4.0 && w < 4.0 * frame.width as f64 && h < 4.0 * frame.height as f64) {
            return None;
        }
        if step.iter().all(|s| s.abs() < 0.01) {
            break;
        }
    }
    let [x, y, width, height] = place.map(|v| v * scale);
    Some((Placement { x, y, width, height, mirrored: start.mirrored }, square))
}

/// Sums of one step: unknowns are position, size, contrast and brightness.
const UNKNOWNS: usize = 6;

/// The change of (x, y, width, height) that least squares asks for, and the mean square before it.
fn step(still: &Plane, frame: &Plane, place: [f64; 4], stride: usize) -> Option<([f64; 4], f64)> {
    let pairs = sampled(still, frame, place, stride);
    if pairs.len() < 64 {
        return None;
    }
    let fit = Line::of(pairs.iter().map(|p| (p.value, p.still)))?;
    let square = pairs.iter().map(|p| fit.left(p).powi(2)).sum::<f32>() / pairs.len() as f32;
    let spread = square.max(1.0);
    let mut normal = [[0f64; UNKNOWNS + 1]; UNKNOWNS];
    for pair in &pairs {
        let left = fit.left(pair);
        // Cauchy's weights.
        let weight = f64::from(1.0 / (1.0 + left * left / spread));
        let a = fit.slope;
        let row = [
            a * pair.right,
            a * pair.down,
            a * pair.right * pair.u,
            a * pair.down * pair.v,
            pair.value,
            1.0,
        ]
        .map(f64::from);
        for (i, sums) in normal.iter_mut().enumerate() {
            for (j, value) in row.iter().enumerate() {
                sums[j] += weight * row[i] * value;
            }
            sums[UNKNOWNS] += weight * row[i] * f64::from(left);
        }
    }
    let [x, y, w, h, ..] = solve(normal)?;
    let most = 0.06 * place[2].max(place[3]);
    Some(([x, y, w, h].map(|s| s.clamp(-most, most)), f64::from(square)))
}

/// A pixel of the still and what the frame shows there.
struct PixelPair {
    still: f32,
    value: f32,
    /// Change of the frame's value per pixel to the right and down.
    right: f32,
    down: f32,
    /// Place in the still, 0..1.
    u: f32,
    v: f32,
}

fn sampled(still: &Plane, frame: &Plane, [x, y, w, h]: [f64; 4], stride: usize) -> Vec<PixelPair> {
    let mut pairs = Vec::with_capacity(still.values.len() / (stride * stride) + 1);
    let (dx, dy) = (w as f32 / still.width as f32, h as f32 / still.height as f32);
    for row in (stride / 2..still.height).step_by(stride) {
        let at_y = y as f32 + (row as f32 + 0.5) * dy;
        if at_y < 0.0 || at_y > frame.height as f32 {
            continue;
        }
        for column in (stride / 2..still.width).step_by(stride) {
            let at_x = x as f32 + (column as f32 + 0.5) * dx;
            if at_x < 0.0 || at_x > frame.width as f32 {
                continue;
            }
            let [value, right, down] = frame.sample(at_x, at_y);
            let u = (column as f32 + 0.5) / still.width as f32;
            let v = (row as f32 + 0.5) / still.height as f32;
            let still = f32::from(still.values[row * still.width + column]);
            pairs.push(PixelPair { still, value, right, down, u, v });
        }
    }
    pairs
}

/// still = slope * frame + lift.
struct Line {
    slope: f32,
    lift: f32,
}

impl Line {
    /// Of (frame, still) pairs; `None` where the frame is plain or shows the opposite.
    fn of(pairs: impl Iterator<Item = (f32, f32)>) -> Option<Self> {
        let [mut n, mut f, mut s, mut ff, mut fs] = [0f64; 5];
        for (frame, still) in pairs {
            let (frame, still) = (f64::from(frame), f64::from(still));
            n += 1.0;
            f += frame;
            s += still;
            ff += frame * frame;
            fs += frame * still;
        }
        let (variance, covariance) = (ff - f * f / n, fs - f * s / n);
        if variance <= n || covariance <= 0.0 {
            return None;
        }
        let slope = covariance / variance;
        Some(Line { slope: slope as f32, lift: ((s - slope * f) / n) as f32 })
    }

    fn left(&self, pair: &PixelPair) -> f32 {
        pair.still - self.slope * pair.value - self.lift
    }
}

/// Gauss's elimination with pivots.
fn solve(mut m: [[f64; UNKNOWNS + 1]; UNKNOWNS]) -> Option<[f64; UNKNOWNS]> {
    for i in 0..UNKNOWNS {
        let pivot = (i..UNKNOWNS).max_by(|&a, &b| m[a][i].abs().total_cmp(&m[b][i].abs()))?;
        m.swap(i, pivot);
        if m[i][i].abs() < 1e-9 {
            return None;
        }
        for row in i + 1..UNKNOWNS {
            let factor = m[row][i] / m[i][i];
            let above = m[i];
            for (value, above) in m[row].iter_mut().zip(above).skip(i) {
                *value -= factor * above;
            }
        }
    }
    let mut x = [0.0; UNKNOWNS];
    for i in (0..UNKNOWNS).rev() {
        let known: f64 = (i + 1..UNKNOWNS).map(|j| m[i][j] * x[j]).sum();
        x[i] = (m[i][UNKNOWNS] - known) / m[i][i];
    }
    Some(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture with waves of several lengths, at any position.
    fn wave(x: f64, y: f64) -> f64 {
        500.0
            + 150.0 * (x / 17.0 + y / 31.0).sin()
            + 120.0 * (y / 11.0 - x / 43.0).cos()
            + 60.0 * (x * y / 2000.0).sin()
    }

    fn plane(width: usize, height: usize, at: impl Fn(f64, f64) -> f64) -> Plane {
        let value = |i: usize| at((i % width) as f64 + 0.5, (i / width) as f64 + 0.5) as i16;
        Plane { width, height, values: (0..width * height).map(value).collect() }
    }

    #[test]
    fn a_crop_is_found_to_a_tenth_of_a_pixel() {
        let frame = plane(160, 90, wave);
        let (x, y, w, h) = (7.3, 4.6, 146.0, 83.5);
        let still = plane(140, 80, |u, v| 0.8 * wave(x + u / 140.0 * w, y + v / 80.0 * h) + 40.0);
        let start = Placement { x: 4.0, y: 2.0, width: 150.0, height: 86.0, mirrored: false };
        let effort = Effort { steps: 12, stride: 1 };
        let (found, square) = refine(&still, &frame, 0, start, effort).expect("near enough");
        assert!(square < 2.0, "{square}");
        for (got, want) in [(found.x, x), (found.y, y), (found.width, w), (found.height, h)] {
            assert!((got - want).abs() < 0.1, "{found:?}");
        }
        assert!(found.is_plausible((160, 90), 0.8) && !found.is_plausible((160, 90), 0.95));
    }

    #[test]
    fn plain_pictures_have_no_place() {
        let flat = plane(60, 60, |_, _| 90.0);
        let effort = Effort { steps: 5, stride: 1 };
        let whole = Placement::whole((60, 60), false);
        assert_eq!(refine(&flat, &flat, 0, whole, effort), None);
        assert_eq!(whole.apart(&Placement { x: 3.0, ..whole }, (60, 60)), 0.05);
    }
}
