//! The funnel: every window of every level of the picture's pyramid past the boosted classifiers,
//! what they let through past one network after another.
use std::collections::BTreeMap;

use anyhow::Result;

use super::{
    boosted::{Classifier, WindowRow},
    lab::FeatureMap,
    lanes::{for_all_lanes, Lanes},
    merge::{merge, FaceWindow},
    model::{Model, Network},
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

/// A network with what it looks at.
#[derive(Debug)]
struct Stage {
    network: Network,
    patches: Vec<Patch>,
    /// The rows where their cells begin or end, a bit each.
    rows: u64,
}

fn stages(networks: Vec<Network>) -> Vec<Stage> {
    let pool = surf::pool();
    let stage = |network: Network| {
        let patches: Vec<Patch> = network.features.iter().map(|&feature| pool[feature]).collect();
        let rows = patches.iter().fold(0, |rows, patch| rows | patch.rows());
        Stage { network, patches, rows }
    };
    networks.into_iter().map(stage).collect()
}

/// The cascade with its buffers.
#[derive(Debug)]
pub(super) struct Cascade {
    classifiers: Vec<Classifier>,
    /// Networks one after another, those of a level of the hierarchy together.
    levels: Vec<Vec<Stage>>,
    lanes: Lanes,
    pyramid: Resizer,
    level: Vec<u8>,
    map: FeatureMap,
    roughness: Roughness,
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
        let Model { boosted, levels } = Model::read(model)?;
        Ok(Cascade {
            classifiers: boosted.into_iter().map(Classifier::new).collect(),
            levels: levels.into_iter().map(stages).collect(),
            lanes,
            pyramid: Resizer::default(),
            level: Vec::new(),
            map: FeatureMap::default(),
            roughness: Roughness::default(),
            windows: Resizer::default(),
            padded: Vec::new(),
            window: Vec::new(),
            gradients: Gradients::default(),
            signals: Signals::default(),
        })
    }

    /// The faces of a picture, best first.
    pub(super) fn detect(&mut self, picture: View, search: Search) -> Vec<FaceWindow> {
        let mut passed: Vec<FaceWindow> = Vec::new();
        for mut windows in self.first(picture, search) {
            passed.extend(merge(self.lanes, &mut windows, SAME_WINDOW));
        }
        let stages: Vec<(usize, usize)> = (0..self.levels.len())
            .flat_map(|level| (0..self.levels[level].len()).map(move |k| (level, k)))
            .collect();
        for (level, k) in stages {
            passed = self.stage(picture, (level, k), passed);
            if k + 1 < self.levels[level].len() {
                passed = merge(self.lanes, &mut passed, SAME_WINDOW);
            } else if level + 1 == self.levels.len() {
                passed = merge(self.lanes, &mut passed, SAME_FACE);
            }
        }
        passed.retain(|found| found.score >= search.threshold);
        passed
    }

    /// The windows that each boosted classifier lets through, in pixels of the picture.
    fn first(&mut self, picture: View, search: Search) -> Vec<Vec<FaceWindow>> {
        let mut found = vec![Vec::new(); self.classifiers.len()];
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
            self.roughness.forget(level);
            for (classifier, found) in self.classifiers.iter().zip(&mut found) {
                let at = (self.lanes, &self.map, level);
                slide(at, classifier, &mut self.roughness, (scale, search.step), found);
            }
            scale *= search.pyramid;
        }
        found
    }

    /// The windows that a network lets through, moved to where it sees their faces. The first
    /// classifiers often let the same window through: it is looked at once.
    fn stage(
        &mut self,
        picture: View,
        at: (usize, usize),
        windows: Vec<FaceWindow>,
    ) -> Vec<FaceWindow> {
        let mut seen = BTreeMap::new();
        let look = |found: FaceWindow| {
            let place = (found.x, found.y, found.size);
            *seen.entry(place).or_insert_with(|| self.look(picture, at, found))
        };
        windows.into_iter().filter_map(look).collect()
    }

    fn look(&mut self, picture: View, at: (usize, usize), found: FaceWindow) -> Option<FaceWindow> {
        let size = found.size as i32;
        if size < 2 || found.x + size <= 0 || found.y + size <= 0 {
            return None;
        }
        self.cut(picture, found);
        // A window is judged with what lies outside as black, and moved as if it began inside.
        let found = FaceWindow { x: found.x.max(0), y: found.y.max(0), ..found };
        let stage = &self.levels[at.0][at.1];
        self.gradients.compute(self.lanes, &self.window, stage.rows);
        self.signals.inputs.clear();
        for &patch in &stage.patches {
            self.gradients.feature(self.lanes, patch, &mut self.signals.inputs);
        }
        judged(&stage.network, self.lanes, &mut self.signals, found)
    }

    /// Brings a window to the size that networks look at.
    fn cut(&mut self, picture: View, found: FaceWindow) {
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
    (lanes, map, level): (Lanes, &FeatureMap, View),
    classifier: &Classifier,
    roughness: &mut Roughness,
    (scale, step): (f32, usize),
    found: &mut Vec<FaceWindow>,
) {
    let placed = classifier.placed(map.stride());
    let count = (level.width - EDGE) / step + 1;
    let mut passing = Vec::new();
    for y in (0..=level.height - EDGE).step_by(step) {
        placed.passing(lanes, map, WindowRow { y, step, count }, &mut passing);
        for &(x, score) in &passing {
            if roughness.suffices(lanes, level, x, y) {
                let place = |at: usize| (at as f32 / scale + 0.5) as i32;
                let size = (WINDOW as f32 / scale + 0.5) as u32;
                found.push(FaceWindow { x: place(x), y: place(y), size, score: f64::from(score) });
            }
        }
    }
}

/// Below, a window is too flat for a face.
const LEAST_DEVIATION: f64 = 10.0;

/// Which windows of a level are not too flat, as far as somebody asked.
#[derive(Debug, Default)]
struct Roughness {
    known: Vec<Option<bool>>,
}

impl Roughness {
    /// For another level.
    fn forget(&mut self, level: View) {
        self.known.clear();
        self.known.resize(level.width * level.height, None);
    }

    /// Whether the window at that place is rough enough for a face.
    fn suffices(&mut self, lanes: Lanes, level: View, x: usize, y: usize) -> bool {
        let known = &mut self.known[y * level.width + x];
        *known.get_or_insert_with(|| deviation(lanes, &level.part(x, y, EDGE)) > LEAST_DEVIATION)
    }
}

/// Standard deviation of a window's pixels.
fn deviation(lanes: Lanes, window: &View) -> f64 {
    let mut sums = [0, 0];
    add_powers(lanes, window.pixels, window.stride, &mut sums);
    let [mean, square] = sums.map(|sum| f64::from(sum) / (EDGE * EDGE) as f64);
    (square - mean * mean).sqrt()
}

for_all_lanes! {
    /// Adds a window's pixels and their squares.
    fn add_powers(pixels: &[u8], stride: usize, sums: &mut [i32; 2]) {
        for row in pixels.chunks(stride).take(EDGE) {
            for &pixel in &row[..EDGE] {
                let pixel = i32::from(pixel);
                sums[0] = sums[0].wrapping_add(pixel);
                sums[1] = sums[1].wrapping_add(pixel.wrapping_mul(pixel));
            }
        }
    }
}

/// The window where the network sees a face in it, if it does.
fn judged(
    network: &Network,
    lanes: Lanes,
    signals: &mut Signals,
    found: FaceWindow,
) -> Option<FaceWindow> {
    let [score, right, down, wider] = network.answer(lanes, signals);
    if score <= network.threshold {
        return None;
    }
    let old = found.size as f32;
    let size = ((wider * 2.0 - 1.0) * old + old + 0.5).floor();
    let place = |share: f32, at: i32| {
        ((share * 2.0 - 1.0) * old + at as f32 + (old - size) * 0.5 + 0.5).floor() as i32
    };
    Some(FaceWindow {
        x: place(right, found.x),
        y: place(down, found.y),
        size: size as u32,
        score: f64::from(score),
    })
}
