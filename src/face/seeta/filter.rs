//! Windows that a boosted classifier cannot let through, told 64 at a time.
//!
//! The sum of a window's weights is bounded from above in whole numbers: a weight is what it exceeds
//! the least of its feature by, in units small enough for a byte, rounded up. A window whose bound falls
//! short is shut out; whatever is left, little more than what the classifier lets through, is looked at
//! exactly, so that the answers are the same.
//!
//! A weight is looked up by its feature's eight bits in four registers of 64 bytes (AVX-512 VBMI).
use std::arch::x86_64::*;

use super::{
    model::{Boosted, GROUP, LEVELS},
    phases::Phases,
};

/// Twice the relative error of an addition in f32.
const ROUNDING: f64 = f32::EPSILON as f64;

/// The bounds of a classifier.
#[derive(Debug)]
pub(super) struct Bounds {
    /// A byte for each level of each feature.
    tables: Vec<[u8; LEVELS]>,
    /// What the bytes' sum reaches after each group if the window may pass.
    least: Vec<u16>,
}

impl Bounds {
    pub(super) fn new(boosted: &Boosted) -> Self {
        let weights: Vec<&[f32]> = boosted.weights.chunks_exact(LEVELS).collect();
        let fold = |weights: &[f32], of: fn(f64, f64) -> f64, from: f64| {
            weights.iter().map(|&w| f64::from(w)).fold(from, of)
        };
        let lowest: Vec<f64> = weights.iter().map(|w| fold(w, f64::min, f64::INFINITY)).collect();
        let highest = weights.iter().map(|w| fold(w, f64::max, f64::NEG_INFINITY));
        let widest =
            highest.zip(&lowest).map(|(high, low)| high - low).fold(f64::EPSILON, f64::max);
        // The sum of all stays within 16 bits.
        let most = f64::from(u8::MAX).min((f64::from(u16::MAX) / weights.len() as f64).floor());
        let unit = widest / (most - 1.0);
        let bytes = |(weights, lowest): (&&[f32], &f64)| {
            let units = |level: usize| ((f64::from(weights[level]) - lowest) / unit).ceil() as u8;
            std::array::from_fn(units)
        };
        let tables = weights.iter().zip(&lowest).map(bytes).collect();
        let size: f64 = weights.iter().map(|w| fold(w, |most, w| most.max(w.abs()), 0.0)).sum();
        let least = boosted.least.iter().zip(1..).map(|(&least, groups)| {
            let features = groups * GROUP;
            // However the sum was rounded on its way, the real one has reached this.
            let real = f64::from(least) - ROUNDING * features as f64 * size;
            let units = (real - lowest[..features].iter().sum::<f64>()) / unit;
            (units - 0.01).floor().clamp(0.0, f64::from(u16::MAX)) as u16
        });
        Bounds { tables, least: least.collect() }
    }

    /// The windows, a bit each, that may pass out of those `among` 64 in row `y` from number `first`
    /// on; `places` are the classifier's.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    pub(super) fn open(
        &self,
        map: &Phases,
        (y, first): (usize, usize),
        places: &[(u32, u32)],
        among: u64,
    ) -> u64 {
        let mut open = among;
        let zero = _mm512_setzero_si512();
        let (mut low, mut high) = (zero, zero);
        let groups = self.tables.chunks_exact(GROUP).zip(places.chunks_exact(GROUP));
        for ((tables, places), &least) in groups.zip(&self.least) {
            for (table, &(right, down)) in tables.iter().zip(places) {
                let units = look_up(table, map.at(right as usize, y + down as usize, first));
                low = _mm512_add_epi16(low, _mm512_unpacklo_epi8(units, zero));
                high = _mm512_add_epi16(high, _mm512_unpackhi_epi8(units, zero));
            }
            let least = _mm512_set1_epi16(least as i16);
            let reached = |sums| _mm512_movm_epi16(_mm512_cmpge_epu16_mask(sums, least));
            open &= _mm512_movepi8_mask(_mm512_packs_epi16(reached(low), reached(high)));
            if open == 0 {
                break;
            }
        }
        open
    }
}

/// The bytes of a table at 64 places.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn look_up(table: &[u8; LEVELS], places: &[u8; 64]) -> __m512i {
    // SAFETY: there are 64 places, and the table has four times as many bytes.
    let (places, part) = unsafe {
        let part = |at: usize| _mm512_loadu_si512(table.as_ptr().add(64 * at).cast());
        (_mm512_loadu_si512(places.as_ptr().cast()), [part(0), part(1), part(2), part(3)])
    };
    let low = _mm512_permutex2var_epi8(part[0], places, part[1]);
    let high = _mm512_permutex2var_epi8(part[2], places, part[3]);
    _mm512_mask_blend_epi8(_mm512_movepi8_mask(places), low, high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Draws;

    /// Whenever sums in f32 reach what they must after every group, the bytes' do too.
    #[test]
    fn no_window_that_passes_is_shut_out() {
        let mut draws = Draws::new(1, "bounds", "");
        for (groups, least) in [(1, -4.0f32), (1, 0.3), (2, 2.0), (3, 9.0), (15, -30.0)] {
            let features = groups * GROUP;
            let weights: Vec<f32> =
                (0..features * LEVELS).map(|_| draws.below(2001) as f32 / 500.0 - 2.0).collect();
            let boosted = Boosted { places: Vec::new(), weights, least: vec![least; groups] };
            let bounds = Bounds::new(&boosted);
            let (mut passing, mut open) = (0, 0);
            for _ in 0..4000 {
                let levels: Vec<usize> =
                    (0..features).map(|_| draws.below(LEVELS as u64) as usize).collect();
                let tables = boosted.weights.chunks_exact(LEVELS).zip(&levels);
                let sum = tables.fold(0.0f32, |sum, (table, &level)| sum + table[level]);
                let tables = bounds.tables.iter().zip(&levels);
                let bound: u16 = tables.map(|(table, &level)| u16::from(table[level])).sum();
                let is_open = bound >= bounds.least[groups - 1];
                assert!(sum < least || is_open, "{sum} reaches {least}, {bound}");
                passing += usize::from(sum >= least);
                open += usize::from(is_open);
            }
            assert!((passing..passing + 400).contains(&open), "{open} open, {passing} passing");
        }
    }
}
