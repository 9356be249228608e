//! The boosted classifiers that look at every window of a picture.
#[cfg(target_arch = "x86_64")]
use super::{
    filter::Bounds,
    phases::{self, Phases},
};
use super::{
    lab::FeatureMap,
    lanes::Lanes,
    model::{Boosted, GROUP, LEVELS},
};

/// A row of windows: `count` of them, `step` pixels apart, the first at the left edge.
#[derive(Clone, Copy, Debug)]
pub(super) struct WindowRow {
    pub y: usize,
    pub step: usize,
    pub count: usize,
}

/// A classifier, ready to work.
#[derive(Debug)]
pub(super) struct Classifier {
    boosted: Boosted,
    #[cfg(target_arch = "x86_64")]
    bounds: Bounds,
}

/// A classifier with its features' places in the map of one width.
#[derive(Debug)]
pub(super) struct Placed<'a> {
    classifier: &'a Classifier,
    offsets: Vec<usize>,
}

impl Classifier {
    pub(super) fn new(boosted: Boosted) -> Self {
        Classifier {
            #[cfg(target_arch = "x86_64")]
            bounds: Bounds::new(&boosted),
            boosted,
        }
    }

    /// For maps with `stride` features from row to row.
    pub(super) fn placed(&self, stride: usize) -> Placed<'_> {
        let offset = |&(x, y): &(u32, u32)| y as usize * stride + x as usize;
        Placed { classifier: self, offsets: self.boosted.places.iter().map(offset).collect() }
    }
}

impl Placed<'_> {
    /// The windows of a row whose sum never falls short: left edge and sum, from the left.
    pub(super) fn passing(
        &self,
        lanes: Lanes,
        map: &FeatureMap,
        row: WindowRow,
        found: &mut Vec<(usize, f32)>,
    ) {
        found.clear();
        let features = &map.features()[row.y * map.stride()..];
        #[cfg(target_arch = "x86_64")]
        if lanes.vbmi().is_some() && row.step == phases::STEP {
            // SAFETY: the machine has what the filter needs.
            return unsafe { self.filtered(features, map.phases(), row, found) };
        }
        match lanes {
            Lanes::Plain => self.one_by_one(features, row, found),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the value proves that the machine has AVX2.
            Lanes::Avx2(_) => unsafe { self.eight_at_once(features, row, found) },
        }
    }

    /// As [`Self::one_by_one`], but for windows that cannot pass.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn filtered(
        &self,
        features: &[u8],
        map: &Phases,
        row: WindowRow,
        found: &mut Vec<(usize, f32)>,
    ) {
        let Classifier { bounds, boosted: Boosted { places, .. } } = self.classifier;
        for first in (0..row.count).step_by(phases::TOGETHER) {
            let among = u64::MAX >> (phases::TOGETHER - (row.count - first).min(phases::TOGETHER));
            let mut open = bounds.open(map, (row.y, first), places, among);
            while open != 0 {
                let x = (first + open.trailing_zeros() as usize) * row.step;
                open &= open - 1;
                if let Some(sum) = self.sum(&features[x..], 0.0, 0) {
                    found.push((x, sum));
                }
            }
        }
    }

    fn one_by_one(&self, features: &[u8], row: WindowRow, found: &mut Vec<(usize, f32)>) {
        for x in (0..row.count).map(|at| at * row.step) {
            if let Some(sum) = self.sum(&features[x..], 0.0, 0) {
                found.push((x, sum));
            }
        }
    }

    /// The groups of features from one on: offsets, weights, least sum.
    fn groups(&self, from: usize) -> impl Iterator<Item = (&[usize], &[f32], f32)> {
        let offsets = self.offsets.chunks_exact(GROUP).skip(from);
        let weights = self.classifier.boosted.weights.chunks_exact(GROUP * LEVELS).skip(from);
        let least = self.classifier.boosted.least.iter().skip(from);
        offsets
            .zip(weights)
            .zip(least)
            .map(|((offsets, weights), &least)| (offsets, weights, least))
    }

    /// The sum over all features of a window, unless it falls short on the way; `sum` is that of
    /// the groups before `from`.
    fn sum(&self, features: &[u8], mut sum: f32, from: usize) -> Option<f32> {
        for (offsets, weights, least) in self.groups(from) {
            for (&offset, weights) in offsets.iter().zip(weights.chunks_exact(LEVELS)) {
                sum += weights[usize::from(features[offset])];
            }
            if sum < least {
                return None;
            }
        }
        Some(sum)
    }

    /// As [`Self::one_by_one`]; a lane whose sum falls short goes on with the others and is not
    /// looked at again.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn eight_at_once(&self, features: &[u8], row: WindowRow, found: &mut Vec<(usize, f32)>) {
        use std::arch::x86_64::*;
        let farthest = self.offsets.iter().max().copied().unwrap_or_default();
        let last = row.count.next_multiple_of(LANES) * row.step;
        let Ok(step) = i32::try_from(row.step) else { return };
        if features.len() < farthest + last + 32 {
            return self.one_by_one(features, row, found);
        }
        let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        let lefts = _mm256_mullo_epi32(lanes, _mm256_set1_epi32(step));
        let low_byte = _mm256_set1_epi32(0xff);
        for first in (0..row.count).step_by(LANES) {
            let features = &features[first * row.step..];
            let mut alive = (1u32 << (row.count - first).min(LANES)) - 1;
            let mut sums = _mm256_setzero_ps();
            let mut done = 0;
            for (offsets, weights, least) in self.groups(0) {
                for (&offset, weights) in offsets.iter().zip(weights.chunks_exact(LEVELS)) {
                    // SAFETY: every lane begins within `last` of an offset and reads four bytes of
                    // the features, whose length is checked above; a byte's weight exists.
                    let found = unsafe {
                        let places = features.as_ptr().add(offset);
                        let bytes = match step {
                            4 => _mm256_loadu_si256(places.cast()),
                            _ => _mm256_i32gather_epi32::<1>(places.cast(), lefts),
                        };
                        let levels = _mm256_and_si256(bytes, low_byte);
                        _mm256_i32gather_ps::<4>(weights.as_ptr(), levels)
                    };
                    sums = _mm256_add_ps(sums, found);
                }
                let reached = _mm256_cmp_ps::<_CMP_GE_OQ>(sums, _mm256_set1_ps(least));
                alive &= _mm256_movemask_ps(reached) as u32;
                done += 1;
                if alive.count_ones() <= FEW {
                    break;
                }
            }
            let mut each = [0.0; LANES];
            // SAFETY: the array has room for eight numbers.
            unsafe { _mm256_storeu_ps(each.as_mut_ptr(), sums) };
            while alive != 0 {
                let left = alive.trailing_zeros() as usize;
                alive &= alive - 1;
                if let Some(sum) = self.sum(&features[left * row.step..], each[left], done) {
                    found.push(((first + left) * row.step, sum));
                }
            }
        }
    }
}

/// Windows that are looked at together.
#[cfg(target_arch = "x86_64")]
const LANES: usize = 8;
/// Windows that go on one by one when no more of them are left.
#[cfg(target_arch = "x86_64")]
const FEW: u32 = 2;
