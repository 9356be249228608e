//! Two pictures laid over each other under a transform: where they agree, and whether what does
//! not agree is something put on top.
//!
//! The finer picture is averaged to the cells of the coarser, and both are compared in windows by
//! normalised correlation, which brightness, contrast and gamma leave alone. A logo, a line of
//! subtitles or an inset hides a compact rectangle and nothing else; somebody who moved changes
//! his outline wherever that is, and all that he did.
use super::{
    cells::{blurred, Cells, Laid, SIDE, STRIDE, WINDOWS},
    refine::{drifted, refined},
    registration::Affine,
    windows::windows,
};

/// Correlation from which on two windows show the same.
pub const SAME: f64 = 0.94;
/// Cells by which a window lies beside its place at least for having moved.
const MOVED: f64 = 0.2;

/// What came of laying two pictures over each other.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Agreement {
    /// Windows that show the same.
    pub same: usize,
    /// Windows out of these that lie beside their place all the same.
    pub drifted: usize,
    /// Windows that differ outside of what was put on top.
    pub differing: usize,
    /// Share of the common area that compact rectangles hide.
    pub hidden: f64,
    /// Rectangles.
    pub overlays: usize,
    /// Share of the first picture that the second shows, and the other way round.
    pub covered: [f64; 2],
}

/// The transform of the first to the second picture (mirrored if that is said), refined on the
/// cells, and how well they then agree; `None` when they hardly meet or are other pictures.
pub fn agreement(
    a: &Cells,
    b: &Cells,
    transform: Affine,
    mirrored: bool,
) -> Option<(Affine, Agreement)> {
    let turned;
    let b = if mirrored {
        turned = b.mirrored();
        &turned
    } else {
        b
    };
    // From cells of the first to cells of the second.
    let map = b.grid().inverse()?.after(&transform).after(&a.grid());
    let swap = map.determinant().abs() < 1.0;
    let (coarse, fine) = if swap { (b, a) } else { (a, b) };
    let map = if swap { map.inverse()? } else { map };
    let own = blurred(&coarse.levels().iter().map(|l| f32::from(*l)).collect::<Vec<_>>());
    let (map, laid) = refined(&own, fine, map)?;
    let mut found = judged(&own, &laid)?;
    let share = laid.inside.iter().filter(|i| **i).count() as f64 / (SIDE * SIDE) as f64;
    found.covered = [share, (share * map.determinant().abs()).min(1.0)];
    let map = if swap {
        found.covered.reverse();
        map.inverse()?
    } else {
        map
    };
    Some((b.grid().after(&map).after(&a.grid().inverse()?), found))
}

/// What a window says, beside how its cells correlate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Says {
    Nothing,
    Same,
    Differs,
}

fn judged(own: &[f32], laid: &Laid) -> Option<Agreement> {
    let mut says = [Says::Nothing; WINDOWS * WINDOWS];
    let mut alike = [0.0; WINDOWS * WINDOWS];
    let mut seen = 0;
    let mut frame = Blob::at(WINDOWS, WINDOWS);
    (frame.across.1, frame.down.1) = (0, 0);
    let windows = windows(own, laid);
    for (w, window) in windows.iter().enumerate() {
        let Some(window) = window else { continue };
        seen += 1;
        frame.include(w % WINDOWS, w / WINDOWS);
        if let Some(own) = window.alike() {
            alike[w] = own;
            says[w] = if own >= SAME { Says::Same } else { Says::Differs };
        }
    }
    if seen < WINDOWS {
        return None;
    }
    let same = says.iter().filter(|s| **s == Says::Same).count();
    let moved = |(w, window): (usize, &Option<_>)| match window {
        Some(window) if says[w] == Says::Same => drifted(own, laid, (w, window), MOVED),
        _ => false,
    };
    let beside = windows.iter().enumerate().filter(|window| moved(*window)).count();
    let mut found = Agreement { same, drifted: beside, ..Agreement::default() };
    for blob in blobs(&says, &alike) {
        // Windows are wider than what they hide: a rectangle reaches about half a window into them.
        let side = |(from, to): (usize, usize)| ((to - from) * STRIDE) as f64 + 1.5;
        let area = side(blob.across) * side(blob.down);
        if blob.is_overlay(&frame) {
            found.overlays += 1;
            found.hidden += area / (SIDE * SIDE) as f64;
        } else {
            found.differing += blob.windows;
        }
    }
    found.hidden *= (WINDOWS * WINDOWS) as f64 / seen as f64;
    Some(found)
}

/// Windows of an overlay at least; fewer are counted one by one.
const LEAST_OVERLAY: usize = 4;
/// Share of a side, from an edge, within which something in a corner lies, and something along the
/// upper or lower edge; both with the half window that it seems to be larger. A logo of a fifth of the width
/// reaches beyond the middle of what is left of a wide picture once its bars are cut away.
const CORNER: f64 = 0.6;
const BAND: f64 = 0.36;
/// Mean correlation of the windows of an overlay at most.
const MOST_ALIKE: f64 = 0.9;

/// Windows that differ and touch.
struct Blob {
    windows: usize,
    across: (usize, usize),
    down: (usize, usize),
    /// Sum of the windows' correlations.
    alike: f64,
}

impl Blob {
    fn at(x: usize, y: usize) -> Self {
        Blob { windows: 0, across: (x, x), down: (y, y), alike: 0.0 }
    }

    /// Whether something was put on top there: compact, where such things are put, and nothing of
    /// what it hides. Of somebody who moved a little much is still there.
    fn is_overlay(&self, frame: &Blob) -> bool {
        self.windows >= LEAST_OVERLAY
            && self.compact()
            && self.at_the_edge_of(frame)
            && self.alike <= MOST_ALIKE * self.windows as f64
    }

    fn include(&mut self, x: usize, y: usize) {
        self.windows += 1;
        self.across = (self.across.0.min(x), self.across.1.max(x));
        self.down = (self.down.0.min(y), self.down.1.max(y));
    }

    /// Whether it lies where things are put on a picture: in a corner of `frame`, or along its
    /// upper or lower edge as a line of writing. People stand elsewhere, and upright.
    fn at_the_edge_of(&self, frame: &Blob) -> bool {
        let reach = |(from, to): (usize, usize), (first, last): (usize, usize)| {
            let length = (last - first + 1) as f64;
            let (before, after) =
                ((to + 1 - first) as f64 / length, (last + 1 - from) as f64 / length);
            before.min(after)
        };
        let (across, down) = (reach(self.across, frame.across), reach(self.down, frame.down));
        down <= BAND && self.long() || across <= CORNER && down <= CORNER
    }

    /// Whether it is wider than high by half, as a line of writing is.
    fn long(&self) -> bool {
        let side = |(from, to): (usize, usize)| to - from + 1;
        side(self.across) >= side(self.down) * 3 / 2
    }

    /// Whether it fills its rectangle.
    fn compact(&self) -> bool {
        let side = |(from, to): (usize, usize)| to - from + 1;
        self.windows as f64 >= 0.6 * (side(self.across) * side(self.down)) as f64
    }
}

fn blobs(says: &[Says; WINDOWS * WINDOWS], alike: &[f64; WINDOWS * WINDOWS]) -> Vec<Blob> {
    let mut open: Vec<bool> = says.iter().map(|s| *s == Says::Differs).collect();
    let mut blobs = Vec::new();
    for start in 0..open.len() {
        if !std::mem::take(&mut open[start]) {
            continue;
        }
        let (x, y) = (start % WINDOWS, start / WINDOWS);
        let mut blob = Blob::at(x, y);
        let mut todo = vec![(x, y)];
        while let Some((x, y)) = todo.pop() {
            blob.include(x, y);
            blob.alike += alike[y * WINDOWS + x];
            for v in y.saturating_sub(1)..=(y + 1).min(WINDOWS - 1) {
                for u in x.saturating_sub(1)..=(x + 1).min(WINDOWS - 1) {
                    if std::mem::take(&mut open[v * WINDOWS + u]) {
                        todo.push((u, v));
                    }
                }
            }
        }
        blobs.push(blob);
    }
    blobs
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All windows of a rectangle, ends included.
    fn blob(across: (usize, usize), down: (usize, usize)) -> Blob {
        let mut blob = Blob::at(across.0, down.0);
        for y in down.0..=down.1 {
            (across.0..=across.1).for_each(|x| blob.include(x, y));
        }
        blob
    }

    /// Levels without any pattern, the same for the same `salt`.
    fn texture(x: usize, y: usize, salt: usize) -> f32 {
        ((x * 7919 + y * 104_729 + salt * 1_299_709).wrapping_mul(2_654_435_761) >> 7) as u8 as f32
    }

    #[test]
    fn a_line_of_writing_hides_about_what_it_covers() {
        let own: Vec<f32> = (0..SIDE * SIDE).map(|i| texture(i % SIDE, i / SIDE, 1)).collect();
        let (across, down) = (8..56, 52..64);
        let mut levels = own.clone();
        for y in down.clone() {
            across.clone().for_each(|x| levels[y * SIDE + x] = texture(x, y, 2));
        }
        let laid = Laid { levels, inside: vec![true; SIDE * SIDE] };
        let found = judged(&own, &laid).expect("all of it is seen");
        assert_eq!((found.overlays, found.differing, found.drifted), (1, 0, 0), "{found:?}");
        let covered = (across.len() * down.len()) as f64 / (SIDE * SIDE) as f64;
        // Windows start every four cells, so a side is known to about three.
        assert!((found.hidden - covered).abs() < covered / 4.0, "{found:?}, not {covered}");
        let same = judged(&own, &Laid { levels: own.clone(), inside: vec![true; SIDE * SIDE] });
        let same = same.expect("likewise");
        assert_eq!((same.same, same.overlays, same.hidden), (WINDOWS * WINDOWS, 0, 0.0));
    }

    #[test]
    fn a_logo_and_a_line_of_writing_are_overlays_and_a_person_is_none() {
        let frame = blob((0, WINDOWS - 1), (0, WINDOWS - 1));
        let last = WINDOWS - 1;
        let logo = blob((last - 1, last), (last - 1, last));
        assert!(logo.is_overlay(&frame) && !logo.long());
        let large = blob((last - 4, last), (1, 8));
        assert!(large.is_overlay(&frame) && !blob((last - 4, last), (1, 9)).is_overlay(&frame));
        let line = blob((2, last - 2), (last - 1, last));
        assert!(line.is_overlay(&frame) && line.long());
        let person = blob((last / 2, last / 2 + 1), (2, last));
        assert!(!person.is_overlay(&frame) && !person.long());
        // Three windows by two are half as wide again as high, wherever they lie.
        assert!(blob((last - 2, last), (last - 1, last)).long());
        // A ring fills no rectangle, and windows that are nearly alike hide nothing.
        let ring = Blob { windows: 5, ..blob((0, 2), (0, 2)) };
        assert!(!ring.compact());
        assert!(!Blob { alike: 4.0, ..logo }.is_overlay(&frame));
    }
}
