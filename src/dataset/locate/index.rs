//! The stills that are sought, as far as a frame needs them to know which to look at: a hash and
//! 32 x 32 cells each.
use anyhow::{ensure, Result};

use crate::similarity::{
    hash::{self, mirrored, Thumbnail, UNINFORMATIVE},
    pairs::Index,
};

use super::plane::Plane;

/// Cells of a still or frame.
pub(super) const CELLS: usize = 32;
/// Bytes of cells per still.
pub(super) const CELL_BYTES: usize = CELLS * CELLS;
/// Bits in which a still's hash may differ from that of its frame or window.
const RADIUS: u32 = 10;

/// Whole luma levels, `[32, 32]` in row order.
pub type Cells = [u8; CELL_BYTES];

/// The hash and the cells of a picture.
pub fn cells_of(thumbnail: &Thumbnail) -> (u64, Cells) {
    let mut cells = [0; CELL_BYTES];
    cells.iter_mut().zip(thumbnail.cells()).for_each(|(cell, level)| *cell = (level >> 8) as u8);
    (hash::hash(thumbnail), cells)
}

/// The same of a plane of 32 x 32 pixels.
pub(super) fn cells_of_plane(plane: &Plane) -> (u64, Cells) {
    let mut cells = [0; CELL_BYTES];
    cells.iter_mut().zip(&plane.values).for_each(|(cell, v)| *cell = (v >> 2) as u8);
    (hash::hash(&Thumbnail::of_levels(&cells)), cells)
}

/// The cells of the mirror image.
pub(super) fn turned(cells: &Cells) -> Cells {
    let mut turned = *cells;
    turned.chunks_exact_mut(CELLS).for_each(<[u8]>::reverse);
    turned
}

/// Cells as a plane.
pub(super) fn plane_of(cells: &Cells) -> Plane {
    Plane {
        width: CELLS,
        height: CELLS,
        values: cells.iter().map(|&v| i16::from(v) << 2).collect(),
    }
}

/// Correlation of cells, -1..=1; 0 where either is plain.
pub(super) fn correlation(a: &Cells, b: &Cells) -> f64 {
    // No sum exceeds 1024 * 255 * 255; without checks the loop takes several cells at once.
    let add = |sum: i32, x: i32, y: i32| sum.wrapping_add(x.wrapping_mul(y));
    let [mut sa, mut sb, mut aa, mut bb, mut ab] = [0i32; 5];
    for (&x, &y) in a.iter().zip(b) {
        let (x, y) = (i32::from(x), i32::from(y));
        sa = add(sa, x, 1);
        sb = add(sb, y, 1);
        aa = add(aa, x, x);
        bb = add(bb, y, y);
        ab = add(ab, x, y);
    }
    let n = CELL_BYTES as f64;
    let [sa, sb, aa, bb, ab] = [sa, sb, aa, bb, ab].map(f64::from);
    let (own, other) = (aa - sa * sa / n, bb - sb * sb / n);
    if own < n || other < n {
        return 0.0;
    }
    (ab - sa * sb / n) / (own * other).sqrt()
}

/// All stills that are sought.
#[derive(Debug)]
pub struct StillIndex<C> {
    hashes: Index,
    cells: C,
}

impl<C: AsRef<[u8]>> StillIndex<C> {
    /// `hashes` and 1024 bytes of cells each, by position.
    ///
    /// # Errors
    /// When there are not as many of them.
    pub fn new(hashes: Vec<u64>, cells: C) -> Result<Self> {
        let (stills, bytes) = (hashes.len(), cells.as_ref().len());
        ensure!(stills * CELL_BYTES == bytes, "{bytes} bytes are not the cells of {stills} stills");
        Ok(StillIndex { hashes: Index::new(hashes, RADIUS), cells })
    }

    /// Calls `found(still, mirrored)` for every still whose hash, or whose mirror image's, is near.
    pub fn near(&self, hash: u64, mut found: impl FnMut(u32, bool)) {
        if hash == UNINFORMATIVE {
            return;
        }
        self.hashes.near(hash, 0, |still, _| found(still, false));
        self.hashes.near(mirrored(hash), 0, |still, _| found(still, true));
    }

    /// The cells of a still, the right way round.
    pub(super) fn cells(&self, still: u32, mirrored: bool) -> Cells {
        let start = still as usize * CELL_BYTES;
        let mut cells = [0; CELL_BYTES];
        cells.copy_from_slice(&self.cells.as_ref()[start..start + CELL_BYTES]);
        if mirrored {
            turned(&cells)
        } else {
            cells
        }
    }
}
