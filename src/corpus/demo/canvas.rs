//! A picture to draw on: shapes are signed distances, edges are smoothed over one pixel.
use image::RgbImage;

/// A colour, each channel 0..=255; may leave the range until it is painted.
pub(super) type Color = [f32; 3];

/// A point in pixels or in a [`Pose`]'s own units; y points down.
pub(super) type Point = (f32, f32);

/// BT.601 luma of a colour.
pub(super) fn luma(c: Color) -> f32 {
    0.299 * c[0] + 0.587 * c[1] + 0.114 * c[2]
}

/// `a` at 0, `b` at 1.
pub(super) fn mix(a: Color, b: Color, t: f32) -> Color {
    [0, 1, 2].map(|i| a[i] + (b[i] - a[i]) * t)
}

/// Every channel times `gain`.
pub(super) fn scaled(c: Color, gain: f32) -> Color {
    c.map(|v| v * gain)
}

/// Pixels `left..right` x `top..bottom`, which may lie outside the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Area {
    pub left: f32,
    pub top: f32,
    pub right: f32,
    pub bottom: f32,
}

impl Area {
    /// The square around `center` that reaches `reach` pixels each way.
    pub fn around(center: Point, reach: f32) -> Self {
        let (x, y) = center;
        Area { left: x - reach, top: y - reach, right: x + reach, bottom: y + reach }
    }

    /// How far `p` is outside (negative inside), in pixels.
    pub fn distance(&self, p: Point) -> f32 {
        let center = ((self.left + self.right) / 2.0, (self.top + self.bottom) / 2.0);
        let half = ((self.right - self.left) / 2.0, (self.bottom - self.top) / 2.0);
        boxed(sub(p, center), half)
    }
}

/// The drawing surface.
pub(super) struct Canvas {
    pub image: RgbImage,
    /// Rows that are painted; what lies below will be hidden anyway.
    pub rows: u32,
}

impl Canvas {
    pub fn new(width: u32, height: u32) -> Self {
        Canvas::over(RgbImage::new(width, height), height)
    }

    /// A surface over what is there, of which the first `rows` rows are painted.
    pub fn over(image: RgbImage, rows: u32) -> Self {
        Canvas { image, rows }
    }

    /// The pixels, three bytes each, rows from the top.
    pub fn bytes(&self) -> &[u8] {
        &self.image
    }

    /// The pixels to write.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.image
    }

    /// Blends `ink(x, y)`, a colour and its opacity 0..=1, over every pixel of `area`; the
    /// coordinates are pixel centres.
    pub fn paint(&mut self, area: Area, ink: impl Fn(f32, f32, Color) -> (Color, f32)) {
        let ((x0, x1), (y0, y1)) = self.pixels(area);
        let stride = self.image.width() as usize * 3;
        for y in y0..y1 {
            let row = &mut self.bytes_mut()[y * stride + x0 * 3..y * stride + x1 * 3];
            for (i, pixel) in row.chunks_exact_mut(3).enumerate() {
                let below = [pixel[0], pixel[1], pixel[2]].map(f32::from);
                let (color, alpha) = ink((x0 + i) as f32 + 0.5, y as f32 + 0.5, below);
                if alpha > 0.0 {
                    blend(pixel, color, alpha);
                }
            }
        }
    }

    /// Fills where `distance` (pixels, negative inside) says so.
    pub fn fill(&mut self, area: Area, color: Color, distance: impl Fn(Point) -> f32) {
        self.shape(area, (1.0, 1.0), distance, |_| color);
    }

    /// Fills a shape in the colours of `ink`; its edge fades over `edge` pixels.
    ///
    /// A distance of `d` means that the next `d / 2` pixels of the row are on the same side of the
    /// edge (`distance` may be wrong by a factor of two), so that most are never asked about.
    pub fn shape(
        &mut self,
        area: Area,
        (opacity, edge): (f32, f32),
        distance: impl Fn(Point) -> f32,
        ink: impl Fn(Point) -> Color,
    ) {
        let ((x0, x1), (y0, y1)) = self.pixels(area);
        let stride = self.image.width() as usize * 3;
        for y in y0..y1 {
            let row = &mut self.bytes_mut()[y * stride..(y + 1) * stride];
            let mut x = x0;
            while x < x1 {
                let at = |x: usize| (x as f32 + 0.5, y as f32 + 0.5);
                let d = distance(at(x));
                let same = ((d.abs() - edge / 2.0) / 2.0).max(1.0) as usize;
                let next = (x + same).min(x1);
                let alpha = opacity * coverage(d / edge);
                if alpha > 0.0 {
                    for (x, pixel) in (x..next).zip(row[x * 3..next * 3].chunks_exact_mut(3)) {
                        blend(pixel, ink(at(x)), alpha);
                    }
                }
                x = next;
            }
        }
    }

    /// The columns and rows that an area takes of what is painted.
    fn pixels(&self, area: Area) -> ((usize, usize), (usize, usize)) {
        let span = |lo: f32, hi: f32, n: u32| {
            let lo = lo.floor().clamp(0.0, n as f32) as usize;
            (lo, (hi.ceil().clamp(0.0, n as f32) as usize).max(lo))
        };
        let (columns, rows) = (self.image.width(), self.rows);
        (span(area.left, area.right, columns), span(area.top, area.bottom, rows))
    }

    /// An upright rectangle with corners rounded by `radius` pixels.
    pub fn rectangle(&mut self, area: Area, radius: f32, color: Color) {
        self.fill(area, color, |p| {
            let inner = Area {
                left: area.left + radius,
                top: area.top + radius,
                right: area.right - radius,
                bottom: area.bottom - radius,
            };
            inner.distance(p) - radius
        });
    }
}

/// Puts `color` over a pixel.
fn blend(pixel: &mut [u8], color: Color, alpha: f32) {
    for (byte, value) in pixel.iter_mut().zip(color) {
        let below = f32::from(*byte);
        // `as` saturates, so colours out of range are clipped here.
        *byte = (below + (value - below) * alpha + 0.5) as u8;
    }
}

/// Share of a pixel that a shape covers whose edge is `distance` pixels away.
pub(super) fn coverage(distance: f32) -> f32 {
    (0.5 - distance).clamp(0.0, 1.0)
}

/// Where a drawing's own coordinates lie in the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pose {
    /// Its origin in pixels.
    pub origin: Point,
    /// Pixels per own unit.
    pub unit: f32,
    cos: f32,
    sin: f32,
}

impl Pose {
    /// Own axes turned clockwise by `angle` radians.
    pub fn new(origin: Point, unit: f32, angle: f32) -> Self {
        Pose { origin, unit, cos: angle.cos(), sin: angle.sin() }
    }

    /// A pixel position in own units.
    pub fn own(&self, p: Point) -> Point {
        let (x, y) = sub(p, self.origin);
        let scale = 1.0 / self.unit;
        ((x * self.cos + y * self.sin) * scale, (y * self.cos - x * self.sin) * scale)
    }

    /// An own position in pixels.
    pub fn pixel(&self, p: Point) -> Point {
        let (x, y) = (p.0 * self.unit, p.1 * self.unit);
        (self.origin.0 + x * self.cos - y * self.sin, self.origin.1 + x * self.sin + y * self.cos)
    }

    /// The pixels within `reach` own units of `center`, and one more for the smooth edge.
    pub fn area(&self, center: Point, reach: f32) -> Area {
        Area::around(self.pixel(center), reach * self.unit + 1.0)
    }

    /// Fills a shape given in own units within `reach` of `center`; its edge fades over `soft`
    /// own units, at least over a pixel.
    pub fn fill(
        &self,
        canvas: &mut Canvas,
        (center, reach): (Point, f32),
        (color, opacity, soft): (Color, f32, f32),
        distance: impl Fn(Point) -> f32,
    ) {
        let area = self.area(center, reach + soft);
        let edge = (soft * self.unit).max(1.0);
        let pixels = |p| distance(self.own(p)) * self.unit;
        canvas.shape(area, (opacity, edge), pixels, |_| color);
    }
}

fn sub(a: Point, b: Point) -> Point {
    (a.0 - b.0, a.1 - b.1)
}

/// Length of a vector.
pub(super) fn length(p: Point) -> f32 {
    (p.0 * p.0 + p.1 * p.1).sqrt()
}

/// Distance to an upright ellipse around `center` with half axes `radii` (Quilez's first-order
/// bound: exact on the edge, which is all that filling needs).
pub(super) fn ellipse(p: Point, center: Point, radii: Point) -> f32 {
    let (x, y) = sub(p, center);
    let to_edge = length((x / radii.0, y / radii.1));
    let gradient = length((x / (radii.0 * radii.0), y / (radii.1 * radii.1)));
    if gradient == 0.0 {
        -radii.0.min(radii.1)
    } else {
        to_edge * (to_edge - 1.0) / gradient
    }
}

/// Distance to a box around the origin with half sides `half`.
pub(super) fn boxed(p: Point, half: Point) -> f32 {
    let (x, y) = (p.0.abs() - half.0, p.1.abs() - half.1);
    length((x.max(0.0), y.max(0.0))) + x.max(y).min(0.0)
}

/// Distance to the segment from `a` to `b`.
pub(super) fn segment(p: Point, a: Point, b: Point) -> f32 {
    square_to_segment(p, a, b).sqrt()
}

fn square_to_segment(p: Point, a: Point, b: Point) -> f32 {
    let (ap, ab) = (sub(p, a), sub(b, a));
    let along = (ap.0 * ab.0 + ap.1 * ab.1) / (ab.0 * ab.0 + ab.1 * ab.1).max(1e-9);
    let t = along.clamp(0.0, 1.0);
    let (x, y) = (ap.0 - ab.0 * t, ap.1 - ab.1 * t);
    x * x + y * y
}

/// A curve in eight straight pieces.
pub(super) struct Arc([Point; 9]);

impl Arc {
    /// From `a` to `b`, passing `middle` half-way (a quadratic Bezier).
    pub fn new(a: Point, middle: Point, b: Point) -> Self {
        let control = (2.0 * middle.0 - (a.0 + b.0) / 2.0, 2.0 * middle.1 - (a.1 + b.1) / 2.0);
        Arc(std::array::from_fn(|i| {
            let t = i as f32 / 8.0;
            let weigh = |a: f32, c: f32, b: f32| {
                (1.0 - t) * (1.0 - t) * a + 2.0 * t * (1.0 - t) * c + t * t * b
            };
            (weigh(a.0, control.0, b.0), weigh(a.1, control.1, b.1))
        }))
    }

    /// Distance to it.
    pub fn distance(&self, p: Point) -> f32 {
        let squares = self.0.windows(2).map(|ends| square_to_segment(p, ends[0], ends[1]));
        squares.fold(f32::MAX, f32::min).sqrt()
    }
}

/// The union of two shapes with the seam rounded over `k`.
pub(super) fn union(a: f32, b: f32, k: f32) -> f32 {
    let h = (k - (a - b).abs()).max(0.0) / k;
    a.min(b) - h * h * k / 4.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filled_rectangle_covers_its_area() {
        let mut canvas = Canvas::new(20, 10);
        let area = Area { left: 2.0, top: 3.0, right: 12.0, bottom: 7.0 };
        canvas.rectangle(area, 0.0, [255.0, 300.0, -5.0]);
        let lit = canvas.image.pixels().filter(|p| p.0 == [255, 255, 0]).count();
        assert_eq!(lit, 40);
        // Outside the picture is no error.
        canvas.rectangle(Area { left: -50.0, top: -9.0, right: -3.0, bottom: 99.0 }, 4.0, [9.0; 3]);
        canvas.rectangle(Area { left: 90.0, top: 90.0, right: 99.0, bottom: 99.0 }, 1.0, [9.0; 3]);
        assert_eq!(canvas.image.pixels().filter(|p| p.0 == [255, 255, 0]).count(), lit);
    }

    #[test]
    fn distances_of_known_points() {
        let near = |a: f32, b: f32| assert!((a - b).abs() < 1e-4, "{a} is not {b}");
        near(ellipse((5.0, 2.0), (2.0, 2.0), (1.0, 1.0)), 2.0);
        near(ellipse((3.0, 2.0), (2.0, 2.0), (1.0, 4.0)), 0.0);
        near(boxed((4.0, 0.0), (1.0, 1.0)), 3.0);
        near(boxed((0.0, 0.0), (1.0, 2.0)), -1.0);
        near(segment((0.0, 2.0), (-1.0, 0.0), (1.0, 0.0)), 2.0);
        near(Arc::new((-1.0, 0.0), (0.0, 1.0), (1.0, 0.0)).distance((0.0, 1.0)), 0.0);
        near(union(3.0, 9.0, 1.0), 3.0);
    }

    #[test]
    fn a_pose_turns_there_and_back() {
        let pose = Pose::new((30.0, 40.0), 12.0, 0.3);
        let (x, y) = pose.own(pose.pixel((0.7, -1.1)));
        assert!((x - 0.7).abs() < 1e-5 && (y + 1.1).abs() < 1e-5);
    }
}
