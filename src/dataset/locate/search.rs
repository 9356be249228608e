//! Which stills some frames of a clip hold, and which frame each of them is.
//!
//! ```text
//! frame -> hash, and hashes of windows where the picture changes -> stills with a near hash
//!       -> cells correlate -> laid on the whole frame, or on the part that least squares finds
//!       -> every frame compared -> the best, the frames that cannot be told from it
//! ```
//!
//! Pure: frames and stills in, finds out, in the order of the stills.
use std::{collections::BTreeMap, rc::Rc};

use super::{
    frame::{Grey, SeenFrame},
    index::{self, cells_of_plane, StillIndex, CELLS},
    laying::{Find, Guess, Laying},
    plane::{Shares, Turned},
    still::StillPicture,
};
use crate::similarity::hash::distance;

/// Correlation of cells from which a still is looked at in its pixels.
const NEAR_CELLS: f64 = 0.8;
/// The same for a window, which is not quite the part that the still shows.
const NEAR_WINDOW: f64 = 0.6;
/// Bits by which the picture has to change for windows to be hashed anew.
const CHANGE: u32 = 6;
/// Windows that are tried of a still.
const TRIED: usize = 4;

/// Where a part of the frame may have been cut out: (start, length) as shares of a side. Cuts of up to a
/// tenth are never further than 2.5 % from one of them, which leaves hashes 8 bits apart at most where
/// 8 % steps left 11.
const SPANS: [(f64, f64); 9] = [
    (0.0, 1.0),
    (0.0, 0.95),
    (0.05, 0.95),
    (0.0, 0.9),
    (0.05, 0.9),
    (0.1, 0.9),
    (0.0, 0.84),
    (0.08, 0.84),
    (0.16, 0.84),
];
/// Share of a side below which the other side is as short, or whole.
const SHORT: f64 = 0.9;

/// What speaks for a still.
#[derive(Default)]
struct Seed {
    whole: bool,
    windows: Vec<Guess>,
}

/// A still and whether it is the mirror image.
type Sought = (u32, bool);

/// The finds among frames of one size, in the order of the stills.
pub fn search<P: Grey, C: AsRef<[u8]>>(
    frames: &[SeenFrame<P>],
    stills: &StillIndex<C>,
    mut load: impl FnMut(u32) -> Option<Rc<StillPicture>>,
) -> Vec<Find> {
    let mut finds: BTreeMap<u32, Find> = BTreeMap::new();
    for ((still, mirrored), seed) in seeds(frames, stills) {
        let cells = stills.cells(still, mirrored);
        let alike: Vec<f64> = frames.iter().map(|f| index::correlation(&f.cells, &cells)).collect();
        let near = alike.iter().copied().fold(-1.0, f64::max);
        let whole = seed.whole && near >= NEAR_CELLS;
        if !whole && seed.windows.is_empty() {
            continue;
        }
        let Some(mut picture) = load(still) else { continue };
        if mirrored {
            picture = Rc::new(picture.mirrored());
        }
        let laying = Laying { frames, still, mirrored, cells, picture: &picture, alike };
        if let Some(find) = laying.best(whole, &seed.windows) {
            let better = |old: &Find| find.fit.square < old.fit.square;
            if finds.get(&still).is_none_or(better) {
                finds.insert(still, find);
            }
        }
    }
    finds.into_values().collect()
}

/// The stills that any frame, or any window of it where the picture has changed, is near to.
fn seeds<P: Grey, C: AsRef<[u8]>>(
    frames: &[SeenFrame<P>],
    stills: &StillIndex<C>,
) -> BTreeMap<Sought, Seed> {
    let mut seeds: BTreeMap<Sought, Seed> = BTreeMap::new();
    let mut last = None;
    for (at, frame) in frames.iter().enumerate() {
        stills.near(frame.hash, |still, mirrored| {
            seeds.entry((still, mirrored)).or_default().whole = true;
        });
        if last.is_none_or(|hash| distance(hash, frame.hash) > CHANGE) {
            last = Some(frame.hash);
            look_into(at, frame, stills, &mut seeds);
        }
    }
    for seed in seeds.values_mut() {
        seed.windows.sort_by(|a, b| b.likeness.total_cmp(&a.likeness).then(a.at.cmp(&b.at)));
        seed.windows.truncate(TRIED);
    }
    seeds
}

/// Hashes the windows of a frame.
fn look_into<P: Grey, C: AsRef<[u8]>>(
    at: usize,
    frame: &SeenFrame<P>,
    stills: &StillIndex<C>,
    seeds: &mut BTreeMap<Sought, Seed>,
) {
    let eighth = frame.level(3);
    let shares = |side: usize| {
        SPANS.map(|(from, length)| {
            Shares::new(from * side as f64, length * side as f64, CELLS, side)
        })
    };
    let (turned, rows) = (Turned::new(eighth), shares(eighth.height));
    for (columns, (x, w)) in shares(eighth.width).iter().zip(SPANS) {
        let narrow = turned.narrowed(columns);
        for (rows, (y, h)) in rows.iter().zip(SPANS) {
            let is_tried = w == 1.0 || h == 1.0 || (w < SHORT) == (h < SHORT);
            if !is_tried || w == 1.0 && h == 1.0 {
                continue;
            }
            let (hash, cells) = cells_of_plane(&narrow.shortened(rows));
            stills.near(hash, |still, mirrored| {
                let likeness = index::correlation(&cells, &stills.cells(still, mirrored));
                if likeness >= NEAR_WINDOW {
                    let seed = seeds.entry((still, mirrored)).or_default();
                    seed.windows.push(Guess { likeness, at, part: [x, y, w, h] });
                }
            });
        }
    }
}
