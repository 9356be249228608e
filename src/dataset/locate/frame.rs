//! A frame with what every comparison needs of it.
use super::{
    index::{cells_of, Cells, CELLS},
    plane::Plane,
};
use crate::similarity::hash::Thumbnail;

/// Rows of brightness.
pub trait Grey {
    /// Width and height in pixels.
    fn size(&self) -> (usize, usize);
    /// Line `y`, at least as many bytes as the width.
    fn row(&self, y: usize) -> &[u8];
}

/// Levels of detail that are kept of a frame, from level 1 on.
pub(super) const LEVELS: u32 = 3;

/// A decoded frame, hashed.
pub struct SeenFrame<P> {
    /// The n-th frame out of the decoder.
    pub index: u64,
    /// The picture itself.
    pub picture: P,
    pub(super) hash: u64,
    pub(super) cells: Cells,
    levels: [Plane; LEVELS as usize],
}

impl<P: Grey> SeenFrame<P> {
    /// `None` for pictures of fewer than 8 pixels a side.
    pub fn new(index: u64, picture: P) -> Option<Self> {
        let (width, height) = picture.size();
        if width < 8 || height < 8 {
            return None;
        }
        let half = Plane::halved(width, height, |y| picture.row(y));
        let quarter = half.half();
        let eighth = quarter.half();
        let (hash, cells) = if quarter.width >= 2 * CELLS && quarter.height >= 2 * CELLS {
            let levels: Vec<u8> = quarter.values.iter().map(|v| (v >> 2) as u8).collect();
            cells_of(&Thumbnail::of_pixels(&levels, quarter.width, quarter.height)?)
        } else {
            cells_of(&Thumbnail::new(width, height, |y| picture.row(y))?)
        };
        Some(SeenFrame { index, picture, hash, cells, levels: [half, quarter, eighth] })
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (usize, usize) {
        self.picture.size()
    }

    /// Level 0, made anew.
    pub(super) fn whole(&self) -> Plane {
        let (width, height) = self.size();
        Plane::whole(width, height, |y| self.picture.row(y))
    }

    /// Level 1, 2 or 3: half, a quarter or an eighth of the size.
    pub(super) fn level(&self, level: u32) -> &Plane {
        &self.levels[level as usize - 1]
    }
}
