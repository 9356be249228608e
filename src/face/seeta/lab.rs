//! Locally assembled binary features (Yan, Shan, Chen, Gao: "Locally assembled binary (LAB) feature
//! with feature-centric cascade for fast and accurate face detection", CVPR 2008): which of the
//! eight 3 x 3 squares around one are not brighter than it.
//!
//! A square's sum is at most 2295, so that 16 bits hold it and no integral image is needed.
#[cfg(target_arch = "x86_64")]
use super::phases::Phases;
use super::{
    lanes::{for_all_lanes, Lanes},
    resize::View,
};

/// Pixels that a feature looks at, along one side.
pub(super) const SPAN: usize = 9;
/// Pixels of a square, along one side.
const SQUARE: usize = 3;
/// Bytes behind the last feature, so that whole registers can be read there.
const SLACK: usize = 64;

/// The features of a picture at every place; keeps its buffers.
#[derive(Debug, Default)]
pub(super) struct FeatureMap {
    width: usize,
    /// `[row][column]`, as wide as the picture; what lies closer than [`SPAN`] to the right or
    /// lower edge means nothing.
    features: Vec<u8>,
    /// Sums of the squares that begin at every place.
    squares: Vec<u16>,
    columns: Vec<u16>,
    #[cfg(target_arch = "x86_64")]
    phases: Phases,
}

impl FeatureMap {
    /// Of a picture of at least [`SPAN`] pixels a side.
    pub(super) fn compute(&mut self, lanes: Lanes, picture: View) {
        let (width, height) = (picture.width, picture.height);
        self.width = width;
        self.features.resize(width * height + SLACK, 0);
        self.squares.resize(width * height, 0);
        self.columns.resize(width, 0);
        let rows = height + 1 - SQUARE;
        for (y, squares) in self.squares.chunks_exact_mut(width).take(rows).enumerate() {
            let [above, middle, below] = [0, 1, 2].map(|k| picture.row(y + k));
            column_sums(lanes, above, middle, below, &mut self.columns);
            square_sums(lanes, &self.columns, squares);
        }
        let rows = height + 1 - SPAN;
        for (y, features) in self.features.chunks_exact_mut(width).take(rows).enumerate() {
            let [above, middle, below] =
                [0, 1, 2].map(|k| &self.squares[(y + SQUARE * k) * width..][..width]);
            compare(lanes, above, middle, below, features);
        }
        #[cfg(target_arch = "x86_64")]
        if let Some(vbmi) = lanes.vbmi() {
            self.phases.compute(vbmi, &self.features, width, rows);
        }
    }

    /// The features sorted for `filter`, on machines that have what it needs.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn phases(&self) -> &Phases {
        &self.phases
    }

    /// Features from one row to the next.
    pub(super) fn stride(&self) -> usize {
        self.width
    }

    /// The features, with [`SLACK`] behind them.
    pub(super) fn features(&self) -> &[u8] {
        &self.features
    }
}

for_all_lanes! {
    /// Sums of three pixels below each other.
    fn column_sums(above: &[u8], middle: &[u8], below: &[u8], sums: &mut [u16]) {
        for (((sum, &a), &m), &b) in sums.iter_mut().zip(above).zip(middle).zip(below) {
            *sum = u16::from(a).wrapping_add(u16::from(m)).wrapping_add(u16::from(b));
        }
    }

    /// Sums of three columns beside each other.
    fn square_sums(columns: &[u16], sums: &mut [u16]) {
        let count = columns.len() + 1 - SQUARE;
        let [left, middle, right] = [0, 1, 2].map(|k| &columns[k..][..count]);
        for (((sum, &l), &m), &r) in sums.iter_mut().zip(left).zip(middle).zip(right) {
            *sum = l.wrapping_add(m).wrapping_add(r);
        }
    }

    /// Features of three rows of squares.
    fn compare(above: &[u16], middle: &[u16], below: &[u16], features: &mut [u8]) {
        let count = above.len() + 1 - SPAN;
        let [a0, a1, a2] = [0, 1, 2].map(|k| &above[SQUARE * k..][..count]);
        let [m0, m1, m2] = [0, 1, 2].map(|k| &middle[SQUARE * k..][..count]);
        let [b0, b1, b2] = [0, 1, 2].map(|k| &below[SQUARE * k..][..count]);
        let features = &mut features[..count];
        for x in 0..count {
            let centre = m1[x];
            let bit = |other: u16, bit: u8| if centre >= other { bit } else { 0 };
            features[x] = bit(a0[x], 0x80)
                | bit(a1[x], 0x40)
                | bit(a2[x], 0x20)
                | bit(m0[x], 0x10)
                | bit(m2[x], 0x08)
                | bit(b0[x], 0x04)
                | bit(b1[x], 0x02)
                | bit(b2[x], 0x01);
        }
    }
}
