//! A clip's signature: the perceptual hash of a frame every 0.5 s.

/// Seconds between two hashes.
const GRID_SECONDS: f64 = 0.5;

/// Collects hashes on the grid: frame round half up(k * 0.5 s * fps) for k = 0, 1, ...
pub(super) struct Signature {
    fps: f64,
    hashes: Vec<u64>,
}

impl Signature {
    pub(super) fn new(fps: f64) -> Self {
        Signature { fps, hashes: Vec::new() }
    }

    /// The next frame on the grid.
    pub(super) fn next(&self) -> u64 {
        on_grid(self.fps, self.hashes.len())
    }

    /// The whole grid of a clip of `frames` frames.
    pub(super) fn grid(&self, frames: u64) -> Vec<u64> {
        (0..).map(|k| on_grid(self.fps, k)).take_while(|&index| index < frames).collect()
    }

    /// Whether frame `index` is the next on the grid.
    pub(super) fn wants(&self, index: u64) -> bool {
        index >= self.next()
    }

    /// Whether the next frame on the grid lies on a whole second.
    pub(super) fn on_the_second(&self) -> bool {
        self.hashes.len().is_multiple_of(2)
    }

    pub(super) fn push(&mut self, hash: u64) {
        self.hashes.push(hash);
    }

    pub(super) fn hashes(self) -> Vec<u64> {
        self.hashes
    }
}

/// The hashes of a whole file's grid that lie on frames of a part of it.
pub(super) fn of_part(hashes: &[u64], fps: f64, part: &std::ops::Range<u64>) -> Vec<u64> {
    let inside = |k: &usize| part.contains(&on_grid(fps, *k));
    (0..hashes.len()).filter(inside).map(|k| hashes[k]).collect()
}

/// The `k`-th frame on the grid.
fn on_grid(fps: f64, k: usize) -> u64 {
    (k as f64 * GRID_SECONDS * fps + 0.5).floor() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_is_half_a_second() {
        let mut signature = Signature::new(24000.0 / 1001.0);
        let on_grid: Vec<u64> = (0..60)
            .filter(|&i| {
                let wanted = signature.wants(i);
                if wanted {
                    signature.push(1);
                }
                wanted
            })
            .collect();
        assert_eq!(on_grid, [0, 12, 24, 36, 48]);
        assert_eq!(signature.grid(60), on_grid);
        assert_eq!(of_part(&[1, 2, 3, 4, 5], 24000.0 / 1001.0, &(12..48)), [2, 3, 4]);
    }
}
