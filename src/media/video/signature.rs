//! A clip's signature: the perceptual hash of a frame every 0.5 s; and the finer hashes by which retimed
//! copies are recognised.
use crate::similarity::{align::GRID_SECONDS, clip_views, warp::FINE_SECONDS};

/// Finer hashes to one of the signature.
const FINE: usize = (GRID_SECONDS / FINE_SECONDS) as usize;
/// The same to a view.
const TO_A_VIEW: usize = (clip_views::SECONDS / FINE_SECONDS) as usize;

/// Collects hashes on the finer grid: frame round half up(k * 0.125 s * fps) for k = 0, 1, ...
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
        self.hashes.len().is_multiple_of(TO_A_VIEW)
    }

    /// Takes the hash of the frame that was wanted; of a clip with few frames a second it stands for
    /// several places on the grid.
    pub(super) fn push(&mut self, index: u64, hash: u64) {
        while self.wants(index) {
            self.hashes.push(hash);
        }
    }

    /// The signature and all hashes.
    pub(super) fn hashes(self) -> (Vec<u64>, Vec<u64>) {
        (self.hashes.iter().step_by(FINE).copied().collect(), self.hashes)
    }
}

/// The hashes of a whole file's grid that lie on frames of a part of it.
pub(super) fn of_part(hashes: &[u64], fps: f64, part: &std::ops::Range<u64>) -> Vec<u64> {
    let inside = |k: &usize| part.contains(&on_grid(fps, k * FINE));
    (0..hashes.len()).filter(inside).map(|k| hashes[k]).collect()
}

/// The `k`-th frame on the grid.
fn on_grid(fps: f64, k: usize) -> u64 {
    (k as f64 * FINE_SECONDS * fps + 0.5).floor() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_is_half_a_second_and_the_finer_one_a_quarter_of_that() {
        let mut signature = Signature::new(24000.0 / 1001.0);
        let on_grid: Vec<u64> = (0..60)
            .filter(|&i| {
                let wanted = signature.wants(i);
                if wanted {
                    signature.push(i, i);
                }
                wanted
            })
            .collect();
        let fine = [0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33, 36, 39, 42, 45, 48, 51, 54, 57];
        assert_eq!(on_grid, fine);
        assert_eq!(signature.grid(60), fine);
        assert_eq!(signature.hashes(), (vec![0, 12, 24, 36, 48], fine.to_vec()));
        assert_eq!(of_part(&[1, 2, 3, 4, 5], 24000.0 / 1001.0, &(12..48)), [2, 3, 4]);
        // Four frames a second: every frame stands for two places.
        let mut slow = Signature::new(4.0);
        (0..4).for_each(|i| slow.push(i, i));
        assert_eq!(slow.hashes(), (vec![0, 2], vec![0, 1, 1, 2, 2, 3, 3]));
    }
}
