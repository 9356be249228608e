//! What a clip offers for a still.
use serde::{Deserialize, Serialize};

use super::{laying::Find, placement::Placement};

/// What a clip offers for a still; numbers as bits, since JSON may round them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::dataset) struct Origin {
    pub still: u32,
    pub frame: u64,
    pub run: (u64, u64),
    pub sure: bool,
    /// Left, top, width, height in pixels of the frame.
    part: [u64; 4],
    mirrored: bool,
    pub size: (usize, usize),
    square: u64,
    gain: u64,
    lift: u64,
    pub pixel_sha256: String,
}

impl Origin {
    pub(super) fn new(find: &Find, pixel_sha256: String) -> Self {
        let p = find.placement;
        Origin {
            still: find.still,
            frame: find.frame,
            run: find.run,
            sure: find.is_sure(),
            part: [p.x, p.y, p.width, p.height].map(f64::to_bits),
            mirrored: p.mirrored,
            size: find.size,
            square: find.fit.square.to_bits(),
            gain: find.fit.gain.to_bits(),
            lift: find.fit.lift.to_bits(),
            pixel_sha256,
        }
    }

    /// Root mean square difference in luma levels.
    pub(super) fn score(&self) -> f64 {
        f64::from_bits(self.square).sqrt()
    }

    pub(super) fn placement(&self) -> Placement {
        let [x, y, width, height] = self.part.map(f64::from_bits);
        Placement { x, y, width, height, mirrored: self.mirrored }
    }

    /// still = gain * frame + lift, in luma levels.
    pub(super) fn tone(&self) -> (f64, f64) {
        (f64::from_bits(self.gain), f64::from_bits(self.lift))
    }

    pub(super) fn is_worse_than(&self, find: &Find) -> bool {
        let own = (!self.sure, f64::from_bits(self.square));
        let other = (!find.is_sure(), find.fit.square);
        other < own
    }
}
