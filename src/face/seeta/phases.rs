//! Features of neighbouring windows beside each other, so that a register takes 64 windows.
use std::arch::x86_64::*;

use super::lanes::Vbmi;

/// Windows that are looked at together.
pub(super) const TOGETHER: usize = 64;
/// Distance of neighbouring windows, in pixels.
pub(super) const STEP: usize = 4;

/// A map of features in which those of every [`STEP`]th place lie together; keeps its buffer.
#[derive(Debug, Default)]
pub(super) struct Phases {
    /// `[row][phase][place]`.
    features: Vec<u8>,
    /// Places of a phase, a multiple of [`TOGETHER`].
    places: usize,
}

impl Phases {
    /// Of `rows` rows of features, `stride` from one to the next.
    pub(super) fn compute(&mut self, _: Vbmi, features: &[u8], stride: usize, rows: usize) {
        self.places = stride.div_ceil(STEP).next_multiple_of(TOGETHER);
        self.features.resize(rows * STEP * self.places + TOGETHER + STEP * TOGETHER, 0);
        for (y, row) in self.features.chunks_exact_mut(STEP * self.places).take(rows).enumerate() {
            let source = &features[y * stride..];
            // SAFETY: the value proves that the machine has what is needed.
            unsafe { part(source, self.places, row) };
        }
    }

    /// [`TOGETHER`] features of row `y`, `right` pixels to the right of the windows from number
    /// `first` on.
    pub(super) fn at(&self, right: usize, y: usize, first: usize) -> &[u8; TOGETHER] {
        let at = (y * STEP + right % STEP) * self.places + right / STEP + first;
        self.features[at..].first_chunk().expect("a register's worth lies behind the last row")
    }
}

/// Sorts a row's features by what is left of their place.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn part(row: &[u8], places: usize, phases: &mut [u8]) {
    let every_fourth: [u8; TOGETHER] = std::array::from_fn(|i| (STEP * i % 128) as u8);
    // SAFETY: an array of 64 bytes.
    let every_fourth = unsafe { _mm512_loadu_si512(every_fourth.as_ptr().cast()) };
    for at in (0..places).step_by(TOGETHER) {
        let mut block = [0u8; STEP * TOGETHER];
        let rest = row.get(STEP * at..).unwrap_or_default();
        let source = rest.first_chunk().unwrap_or_else(|| {
            block[..rest.len()].copy_from_slice(rest);
            &block
        });
        // SAFETY: the block has four times 64 bytes.
        let [a, b, c, d] = std::array::from_fn(|i| unsafe {
            _mm512_loadu_si512(source.as_ptr().add(TOGETHER * i).cast())
        });
        for (phase, target) in phases.chunks_exact_mut(places).enumerate() {
            let places = _mm512_add_epi8(every_fourth, _mm512_set1_epi8(phase as i8));
            let left = _mm512_permutex2var_epi8(a, places, b);
            let right = _mm512_permutex2var_epi8(c, places, d);
            let whole = _mm512_inserti64x4::<1>(left, _mm512_castsi512_si256(right));
            let target: &mut [u8; TOGETHER] =
                target[at..].first_chunk_mut().expect("places are a multiple");
            // SAFETY: the target has 64 bytes.
            unsafe { _mm512_storeu_si512(target.as_mut_ptr().cast(), whole) };
        }
    }
}
