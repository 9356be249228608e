//! The funnel: every window of every level of the picture's pyramid past the boosted classifiers,
//! what they let through past one network after another.
use std::collections::BTreeMap;

use anyhow::Result;

use super::{
    boosted::WindowRow,
    lab::FeatureMap,
    lanes::{for_all_lanes, Lanes},
    merge::{merge, Found},
    model::{Boosted, Model, Network},
    network::Signals,
    resize::{Resizer, View},
    surf::{self, Gradients, Patch},
    WINDOW,
};

const EDGE: usize = WINDOW as usize;
/// Overlap from which windows of one stage are one.
const SAME_WINDOW: f32 = 0.8;
/// Overlap from which what the last stage found is one face.
const SAME_FACE: f32 = 0.3;

/// What to look for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    /// Distance of neighbouring windows in pixels.
    pub step: usize,
    /// Ratio of neighbouring levels' sizes, below 1.
    pub pyramid: f32,
    /// Least score of a face.
    pub threshold: f64,
}

/// The cascade with its buffers.
#[derive(Debug)]
pub(super) struct Cascade {
    model: Model,
    pool: Vec<Patch>,
    lanes: Lanes,
    pyramid: Resizer,
    level: Vec<u8>,
    map: FeatureMap,
    windows: Resizer,
    /// A window that reaches over the picture's edge, with zeros there.
    padded: Vec<u8>,
    window: Vec<u8>,
    gradients: Gradients,
    signals: Signals,
}

impl Cascade {
    /// # Errors
    /// When `model` is no such cascade.
    pub(super) fn new(model: &[u8], lanes: Lanes) -> Result<Self> {
        Ok(Cascade {
            model: Model::read(model)?,
            pool: surf::pool(),
            lanes,
            pyramid: Resizer::default(),
            level: Vec::new(),
            map: FeatureMap::default(),
            windows: Resizer::default(),
            padded: Vec::new(),
            window: Vec::new(),
            gradients: Gradients::default(),
            signals: Signals::default(),
        })
    }

    /// The faces of a picture, best first.
    pub(super) fn detect(&mut self, picture: View, search: Search) -> Vec<Found> {
        let mut passed: Vec<Found> = Vec::new();
        for mut windows in self.first(picture, search) {
            passed.extend(merge(self.lanes, &mut windows, SAME_WINDOW));
        }
        let stages: Vec<(usize, usize)> = (0..self.model.levels.len())
            .flat_map(|level| (0..self.model.levels[level].len()).map(move |k| (level, k)))
            .collect();
        for (level, k) in stages {
            passed = self.stage(picture, (level, k), passed);
            if k + 1 < self.model.levels[level].len() {
                passed = merge(self.lanes, &mut passed, SAME_WINDOW);
            } else if level + 1 == self.model.levels.len() {
                passed = merge(self.lanes, &mut passed, SAME_FACE);
            }
        }
        passed.retain(|found| found.score >= search.threshold);
        passed
    }

    /// The windows that each boosted classifier lets through, in pixels of the picture.
    fn first(&mut self, picture: View, search: Search) -> Vec<Vec<Found>> {
        let mut found = vec![Vec::new(); self.model.boosted.len()];
        let smallest = WINDOW as f32 / picture.width.min(picture.height) as f32;
        let mut scale = 1.0f32;
        while scale >= smallest {
            let size = |n: usize| (n as f32 * scale) as usize;
            let (width, height) = (size(picture.width), size(picture.height));
            if width.min(height) < EDGE {
                break;
            }
            self.pyramid.resize(self.lanes, picture, (width, height), &mut self.level);
            let level = View::whole(&self.level, width, height);
            self.map.compute(self.lanes, level);
            for (boosted, found) in self.model.boosted.iter().zip(&mut found) {
                slide(self.lanes, boosted, &self.map, level, scale, search.step, found);
            }
            scale *= search.pyramid;
        }
        found
    }

    /// The windows that a network lets through, moved to where it sees their faces. The first
    /// classifiers often let the same window through: it is looked at once.
    fn stage(&mut self, picture: View, at: (usize, usize), windows: Vec<Found>) -> Vec<Found> {
        let mut seen = BTreeMap::new();
        let look = |found: Found| {
            let place = (found.x, found.y, found.size);
            *seen.entry(place).or_insert_with(|| self.look(picture, at, found))
        };
        windows.into_iter().filter_map(look).collect()
    }

    fn look(&mut self, picture: View, at: (usize, usize), found: Found) -> Option<Found> {
        let size = found.size as i32;
        if size < 2 || found.x + size <= 0 || found.y + size <= 0 {
            return None;
        }
        self.cut(picture, found);
        // A window is judged with what lies outside as black, and moved as if it began inside.
        let found = Found { x: found.x.max(0), y: found.y.max(0), ..found };
        self.gradients.compute(self.lanes, &self.window);
        let network = &self.model.levels[at.0][at.1];
        self.signals.inputs.clear();
        for &feature in &network.features {
            self.gradients.feature(self.lanes, self.pool[feature], &mut self.signals.inputs);
        }
        judged(network, self.lanes, &mut self.signals, found)
    }

    /// Brings a window to the size that networks look at.
    fn cut(&mut self, picture: View, found: Found) {
        let size = found.size as usize;
        let (left, top) = (found.x.max(0) as usize, found.y.max(0) as usize);
        let (before, above) = ((-found.x).max(0) as usize, (-found.y).max(0) as usize);
        let inside = |from: usize, end: usize| end.saturating_sub(from);
        let width = inside(left, picture.width).min(size - before);
        let height = inside(top, picture.height).min(size - above);
        let source = if (width, height) == (size, size) {
            picture.part(left, top, size)
        } else {
            self.padded.clear();
            self.padded.resize(size * size, 0);
            for y in 0..height {
                let row = &picture.row(top + y)[left.min(picture.width)..][..width];
                self.padded[(above + y) * size + before..][..width].copy_from_slice(row);
            }
            View::whole(&self.padded, size, size)
        };
        self.windows.resize(self.lanes, source, (EDGE, EDGE), &mut self.window);
    }
}

/// Adds the windows of a level that a boosted classifier lets through to `found`.
fn slide(
    lanes: Lanes,
    boosted: &Boosted,
    map: &FeatureMap,
    level: View,
    scale: f32,
    step: usize,
    found: &mut Vec<Found>,
) {
    let placed = boosted.placed(map.stride());
    let count = (level.width - EDGE) / step + 1;
    let mut passing = Vec::new();
    for y in (0..=level.height - EDGE).step_by(step) {
        placed.passing(lanes, map, WindowRow { y, step, count }, &mut passing);
        for &(x, score) in &passing {
            if deviation(lanes, &level.part(x, y, EDGE)) > LEAST_DEVIATION {
                let place = |at: usize| (at as f32 / scale + 0.5) as i32;
                let size = (WINDOW as f32 / scale + 0.5) as u32;
                found.push(Found { x: place(x), y: place(y), size, score: f64::from(score) });
            }
        }
    }
}

/// Below, a window is too flat for a face.
const LEAST_DEVIATION: f64 = 10.0;

/// Standard deviation of a window's pixels.
fn deviation(lanes: Lanes, window: &View) -> f64 {
    let mut sums = [0, 0];
    (0..window.height).for_each(|y| add_powers(lanes, window.row(y), &mut sums));
    let count = (window.width * window.height) as f64;
    let [mean, square] = sums.map(|sum| f64::from(sum) / count);
    (square - mean * mean).sqrt()
}

for_all_lanes! {
    /// Adds pixels and their squares; those of a window fit 32 bits.
    fn add_powers(pixels: &[u8], sums: &mut [u32; 2]) {
        for &pixel in pixels {
            let pixel = u32::from(pixel);
            sums[0] = sums[0].wrapping_add(pixel);
            sums[1] = sums[1].wrapping_add(pixel.wrapping_mul(pixel));
        }
    }
}

/// The window where the network sees a face in it, if it does.
fn judged(network: &Network, lanes: Lanes, signals: &mut Signals, found: Found) -> Option<Found> {
    let [score, right, down, wider] = network.answer(lanes, signals);
    if score <= network.threshold {
        return None;
    }
    let old = found.size as f32;
    let size = ((wider * 2.0 - 1.0) * old + old + 0.5).floor();
    let place = |share: f32, at: i32| {
        ((share * 2.0 - 1.0) * old + at as f32 + (old - size) * 0.5 + 0.5).floor() as i32
    };
    Some(Found {
        x: place(right, found.x),
        y: place(down, found.y),
        size: size as u32,
        score: f64::from(score),
    })
}
