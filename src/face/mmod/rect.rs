//! Boxes with inclusive edges, as dlib has them.
use crate::record::FaceBox;

/// Whole pixels from `left` to `right` and `top` to `bottom`, both ends inclusive, as dlib counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rect {
    pub left: i64,
    pub top: i64,
    pub right: i64,
    pub bottom: i64,
}

impl Rect {
    /// `width` x `height` pixels from (`left`, `top`).
    pub fn at(left: i64, top: i64, width: i64, height: i64) -> Self {
        Rect { left, top, right: left + width - 1, bottom: top + height - 1 }
    }

    pub fn width(self) -> i64 {
        self.right - self.left + 1
    }

    pub fn height(self) -> i64 {
        self.bottom - self.top + 1
    }

    /// Pixels inside; 0 when the ends are crossed.
    pub fn area(self) -> i64 {
        self.width().max(0) * self.height().max(0)
    }

    pub fn intersection(self, other: Rect) -> Rect {
        Rect {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        }
    }

    /// The smallest box around both.
    pub fn hull(self, other: Rect) -> Rect {
        Rect {
            left: self.left.min(other.left),
            top: self.top.min(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
    }

    /// `by` pixels more on every side.
    pub fn grown(self, by: i64) -> Rect {
        Rect {
            left: self.left - by,
            top: self.top - by,
            right: self.right + by,
            bottom: self.bottom + by,
        }
    }

    pub fn contains(self, x: i64, y: i64) -> bool {
        (self.left..=self.right).contains(&x) && (self.top..=self.bottom).contains(&y)
    }

    pub fn overlaps(self, other: Rect) -> bool {
        self.intersection(other).area() > 0
    }

    /// Square of the distance to a point, 0 inside.
    pub fn distance(self, x: i64, y: i64) -> i64 {
        let dx = x - x.clamp(self.left, self.right);
        let dy = y - y.clamp(self.top, self.bottom);
        dx * dx + dy * dy
    }

    /// The same pixels, half-open.
    pub fn half_open(self, score: f32) -> FaceBox {
        let edge = |at: i64| at.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
        let (x1, y1) = (edge(self.left), edge(self.top));
        let (x2, y2) = (edge(self.right + 1), edge(self.bottom + 1));
        FaceBox { x1, y1, x2, y2, score }
    }
}
