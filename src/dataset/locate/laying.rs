//! One still laid on some frames: as the whole frame, or as the part that least squares finds.
use std::collections::BTreeMap;

use super::{
    frame::{Grey, SeenFrame, LEVELS},
    index::{self, cells_of_plane, plane_of, Cells, CELLS},
    patch::{Fit, Patch},
    placement::{refine, Effort, Placement},
    plane::UNIT,
    still::{Detail, StillPicture},
};

/// The best of some frames for a still.
#[derive(Clone, Debug, PartialEq)]
pub struct Find {
    /// Position of the still.
    pub still: u32,
    /// The frame.
    pub frame: u64,
    /// First and last frame that cannot be told from it.
    pub run: (u64, u64),
    /// Where it lies in the frame.
    pub placement: Placement,
    /// Size of the frame.
    pub size: (usize, usize),
    /// How well it fits.
    pub fit: Fit,
    /// How much the pictures differ in their second worst block, 1 at the limit.
    pub disagreement: f64,
}

impl Find {
    /// Whether this is the picture, and not one that looks like it.
    pub fn is_sure(&self) -> bool {
        self.fit.correlation >= SURE_CORRELATION && self.disagreement <= SURE_DISAGREEMENT
    }
}

/// Correlation from which a still can be the frame.
const SURE_CORRELATION: f64 = 0.97;
/// Excess of the second worst block up to which it is the right frame.
const SURE_DISAGREEMENT: f64 = 1.25;
/// Share of the frame's sides that a still shows at least.
const LEAST_PART: f64 = 0.75;
/// Share of the frame by which least squares may want to move a still that shows all of it.
const STILL_WHOLE: f64 = 0.002;
/// How much better a part has to fit than the whole, which has nothing to choose.
const PART_GAIN: f64 = 0.8;
/// Share of a still's spread that may be left where it is laid first; beyond it is another picture.
const FAR: f64 = 0.6;
/// Correlation of cells by which a part has to be behind the whole not to be looked at.
const LESS: f64 = 0.05;
/// Frames before and behind that of a guess where it may lie better.
const AROUND: usize = 12;
/// Starts from which a part is sought.
const STARTS: usize = 3;
/// Frames that are compared at level 1, the best of level 2.
const COMPARED: usize = 24;
/// Frames that are aligned at level 1 where the camera moves.
const ALIGNED: usize = 5;

/// A first guess at a part: how alike its cells are, on which frame, and where as shares of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guess {
    pub likeness: f64,
    pub at: usize,
    /// Left, top, width, height.
    pub part: [f64; 4],
}

/// A still that some frames may hold.
pub(super) struct Laying<'a, P> {
    pub frames: &'a [SeenFrame<P>],
    pub still: u32,
    pub mirrored: bool,
    /// The right way round, as is the picture.
    pub cells: Cells,
    pub picture: &'a StillPicture,
    /// Correlation of cells with the whole of every frame.
    pub alike: Vec<f64>,
}

/// The fit of some frames at one placement, by position.
struct Scored {
    placement: Placement,
    patch: Patch,
    level: u32,
    fits: Vec<(usize, Fit)>,
}

impl Scored {
    fn best(&self) -> Option<(usize, Fit)> {
        self.fits.iter().copied().min_by(|a, b| a.1.square.total_cmp(&b.1.square))
    }

    /// The positions with the best fits, at most `count`, and none that is far behind.
    fn leading(&self, count: usize) -> Vec<usize> {
        let mut fits = self.fits.clone();
        fits.sort_by(|a, b| a.1.square.total_cmp(&b.1.square).then(a.0.cmp(&b.0)));
        let limit = fits.first().map_or(0.0, |f| 3.0 * f.1.square + 1.0);
        let near = fits.iter().take_while(|f| f.1.square <= limit).take(count);
        near.map(|f| f.0).collect()
    }
}

impl<P: Grey> Laying<'_, P> {
    fn size(&self) -> (usize, usize) {
        self.frames[0].size()
    }

    /// The best frame, whatever it is worth.
    pub fn best(&self, whole: bool, guesses: &[Guess]) -> Option<Find> {
        let found = whole.then(|| self.whole()).flatten();
        let (mut best, exact) = match found {
            Some((find, true)) if find.is_sure() => return Some(find),
            Some((find, exact)) => (Some(find), exact),
            None => (None, false),
        };
        let near = self.alike.iter().copied().fold(-1.0, f64::max);
        if exact && guesses.iter().all(|guess| guess.likeness < near - LESS) {
            // It lies as the whole does, and is another picture.
            return best;
        }
        let gain = if exact { PART_GAIN } else { 1.0 };
        let limit = best.as_ref().map_or(f64::INFINITY, |find| gain * find.fit.square);
        if let Some(part) = self.part(whole, guesses).filter(|part| part.fit.square < limit) {
            best = Some(part);
        }
        best
    }

    /// The still as the whole frame, and whether least squares does not want it moved.
    fn whole(&self) -> Option<(Find, bool)> {
        let place = Placement::whole(self.size(), self.mirrored);
        let most = self.alike.iter().copied().fold(-1.0, f64::max);
        let limit = 1.0 - (4.0 * (1.0 - most) + 0.01);
        let near: Vec<usize> =
            (0..self.frames.len()).filter(|at| self.alike[*at] >= limit).collect();
        let fine = self.level(&place);
        let mut scored = self.scored(place, fine.max(2), near.iter().copied())?;
        if fine < 2 {
            let leading = self.with_neighbours(scored.leading(COMPARED), &near);
            scored = self.scored(place, fine, leading.into_iter())?;
        }
        let find = self.find(&scored)?;
        let at = scored.best()?.0;
        let moved = self.refined(at, place, 2, Effort { steps: 3, stride: 3 });
        let exact = moved.is_some_and(|(m, _)| m.apart(&place, self.size()) < STILL_WHOLE);
        Some((find, exact))
    }

    /// The positions and, where they are all there may be of a long run, every other that is near.
    fn with_neighbours(&self, leading: Vec<usize>, near: &[usize]) -> Vec<usize> {
        // As many as may be compared: others may be as good, and a run must not be cut short.
        if leading.len() < COMPARED {
            leading
        } else {
            near.to_vec()
        }
    }

    /// The finest level at which the still is no smaller than the frame.
    fn level(&self, place: &Placement) -> u32 {
        let (width, height) = self.picture.size();
        let ratio = (place.width / width as f64).min(place.height / height as f64);
        (1..LEVELS).find(|l| ratio <= 1.1 * f64::from(1u32 << l)).unwrap_or(LEVELS)
    }

    fn scored(
        &self,
        placement: Placement,
        level: u32,
        at: impl Iterator<Item = usize>,
    ) -> Option<Scored> {
        let patch = Patch::new(self.picture, &placement, level, self.size(), Detail::Fine)?;
        let fit = |at: usize| Some((at, patch.fit(self.frames[at].level(level))?));
        let fits = at.filter_map(fit).collect();
        Some(Scored { placement, level, fits, patch })
    }

    /// The placement on one frame, on a level of it and the level of the still that is as fine, and
    /// the mean square left, in levels.
    fn refined(
        &self,
        at: usize,
        start: Placement,
        level: u32,
        effort: Effort,
    ) -> Option<(Placement, f64)> {
        let (still, [across, down]) = self.picture.near(start.width / f64::from(1u32 << level));
        let start = Placement { width: across * start.width, height: down * start.height, ..start };
        let (mut place, square) =
            refine(still, self.frames[at].level(level), level, start, effort)?;
        place.width /= across;
        place.height /= down;
        let inside = place.is_plausible(self.size(), LEAST_PART);
        inside.then_some((place, square / (UNIT * UNIT)))
    }

    /// The still as a part of the frame: from the best start, and from the next as long as none is sure.
    fn part(&self, whole: bool, guesses: &[Guess]) -> Option<Find> {
        let limit = FAR * self.spread();
        let mut best: Option<Find> = None;
        for (at, place, square) in self.starts(whole, guesses).into_iter().take(STARTS) {
            if square > limit || best.as_ref().is_some_and(Find::is_sure) {
                break;
            }
            if let Some(find) = self.followed(at, place) {
                let is_better = |old: &Find| find.fit.square < old.fit.square;
                if best.as_ref().is_none_or(is_better) {
                    best = Some(find);
                }
            }
        }
        best
    }

    /// The still as a part of the best frame that is reached from a start.
    fn followed(&self, at: usize, place: Placement) -> Option<Find> {
        let fine = self.level(&place);
        let moves = self.moves(at, place);
        let (at, place) =
            if moves { self.tracked(at, place, fine)? } else { self.fixed(at, place, fine)? };
        // Where the camera moves only neighbours can be mistaken for the frame.
        let reach = if moves {
            at.saturating_sub(2)..(at + 3).min(self.frames.len())
        } else {
            0..self.frames.len()
        };
        let scored = self.scored(place, fine, reach)?;
        self.find(&scored)
    }

    /// Mean square of the still's own cells about their mean, in levels.
    fn spread(&self) -> f64 {
        let n = self.cells.len() as f64;
        let (sum, squares) = self.cells.iter().fold((0.0, 0.0), |(sum, squares), &v| {
            (sum + f64::from(v), squares + f64::from(v) * f64::from(v))
        });
        squares / n - (sum / n).powi(2)
    }

    /// The guesses moved to where they fit their own frames, the best first.
    fn starts(&self, whole: bool, guesses: &[Guess]) -> Vec<(usize, Placement, f64)> {
        let (width, height) = (self.size().0 as f64, self.size().1 as f64);
        let all = whole.then(|| (self.nearest(), Placement::whole(self.size(), self.mirrored)));
        let parts = guesses.iter().flat_map(|guess| {
            let [x, y, w, h] = guess.part;
            let (x, y, w, h) = (x * width, y * height, w * width, h * height);
            let place = Placement { x, y, width: w, height: h, mirrored: self.mirrored };
            let around = Some(self.nearest_around(guess)).filter(|at| *at != guess.at);
            [Some(guess.at), around].into_iter().flatten().map(move |at| (at, place))
        });
        let cells = plane_of(&self.cells);
        let moved = |(at, start): (usize, Placement)| {
            let coarse = Effort { steps: 10, stride: 1 };
            let (near, _) = refine(&cells, self.frames[at].level(3), 3, start, coarse)?;
            let (place, square) = self.refined(at, near, 2, Effort { steps: 5, stride: 2 })?;
            Some((at, place, square))
        };
        let mut starts: Vec<_> = all.into_iter().chain(parts).filter_map(moved).collect();
        starts.sort_by(|a, b| a.2.total_cmp(&b.2));
        starts
    }

    /// The frame whose cells are nearest.
    fn nearest(&self) -> usize {
        let near = |a: &usize, b: &usize| self.alike[*a].total_cmp(&self.alike[*b]).then(b.cmp(a));
        (0..self.frames.len()).max_by(near).unwrap_or(0)
    }

    /// The frame around a guess's whose cells there are most alike: windows are looked up on some frames
    /// only, and where the picture moves fast the still lies elsewhere on them.
    fn nearest_around(&self, guess: &Guess) -> usize {
        let around = guess.at.saturating_sub(AROUND)..=(guess.at + AROUND);
        let likeness = |at: usize| {
            let eighth = self.frames.get(at)?.level(3);
            let (width, height) = (eighth.width as f64, eighth.height as f64);
            let [x, y, w, h] = guess.part;
            let part = [x * width, y * height, w * width, h * height];
            let (_, cells) = cells_of_plane(&eighth.resized(part, CELLS, CELLS));
            Some((at, index::correlation(&cells, &self.cells)))
        };
        let better = |best: (usize, f64), other: (usize, f64)| {
            if other.1 > best.1 {
                other
            } else {
                best
            }
        };
        around.filter_map(likeness).fold((guess.at, guess.likeness), better).0
    }

    /// Whether the still's place on the next frames is another.
    fn moves(&self, at: usize, place: Placement) -> bool {
        let most = 0.5 / self.size().0.max(1) as f64;
        [at.checked_sub(1), at.checked_add(1)]
            .into_iter()
            .flatten()
            .filter(|next| *next < self.frames.len())
            .filter_map(|next| self.refined(next, place, 2, Effort { steps: 3, stride: 2 }))
            .any(|(next, _)| next.apart(&place, self.size()) > most)
    }

    /// The best frame and the placement there, where the camera stands.
    fn fixed(&self, at: usize, start: Placement, fine: u32) -> Option<(usize, Placement)> {
        let (mut at, mut place) = (at, start);
        let coarse = fine.max(2);
        let mut leading = Vec::new();
        for _ in 0..3 {
            let patch = Patch::new(self.picture, &place, coarse, self.size(), Detail::Coarse)?;
            let fit = |at: usize| Some((at, patch.fit(self.frames[at].level(coarse))?));
            let fits = (0..self.frames.len()).filter_map(fit).collect();
            let scored = Scored { placement: place, level: coarse, fits, patch };
            leading = scored.leading(COMPARED);
            let best = scored.best()?.0;
            let (moved, _) = self.refined(best, place, coarse, Effort { steps: 2, stride: 2 })?;
            let settled = best == at || moved.apart(&place, self.size()) < 2e-4;
            (at, place) = (best, moved);
            if settled {
                break;
            }
        }
        let effort = Effort { steps: 3, stride: 3 };
        (place, _) = self.refined(at, place, fine, effort)?;
        place = self.snapped(at, place, fine);
        let best = self.scored(place, fine, leading.into_iter())?.best()?.0;
        if best != at {
            let (moved, _) = self.refined(best, place, fine, effort)?;
            (at, place) = (best, self.snapped(best, moved, fine));
        }
        Some((at, place))
    }

    /// The same where it moves: every frame has its own placement.
    fn tracked(&self, at: usize, start: Placement, fine: u32) -> Option<(usize, Placement)> {
        let mut along: Vec<(usize, Placement, f64)> = Vec::new();
        let forth = self.follow((at..self.frames.len()).collect(), start);
        let back = self.follow((0..at).rev().collect(), start);
        along.extend(forth);
        along.extend(back);
        along.sort_by(|a, b| a.2.total_cmp(&b.2).then(a.0.cmp(&b.0)));
        let aligned = |&(at, place, _): &(usize, Placement, f64)| {
            let (place, _) = self.refined(at, place, fine, Effort { steps: 4, stride: 3 })?;
            let place = self.snapped(at, place, fine);
            let fit = self.scored(place, fine, [at].into_iter())?.best()?.1;
            Some((at, place, fit.square))
        };
        let best = along.iter().take(ALIGNED).filter_map(aligned);
        best.min_by(|a, b| a.2.total_cmp(&b.2)).map(|(at, place, _)| (at, place))
    }

    /// The placements on frames one after the other, as far as the still fits.
    fn follow(&self, frames: Vec<usize>, start: Placement) -> Vec<(usize, Placement, f64)> {
        let (mut place, mut least, mut found) = (start, f64::INFINITY, Vec::new());
        for at in frames {
            let effort = Effort { steps: 3, stride: 3 };
            let Some((next, square)) = self.refined(at, place, 2, effort) else { break };
            if square > 8.0 * least + 100.0 {
                break;
            }
            least = least.min(square);
            place = next;
            found.push((at, next, square));
        }
        found
    }

    /// The placement on whole pixels where the still was cut out but not scaled, if that fits.
    fn snapped(&self, at: usize, place: Placement, fine: u32) -> Placement {
        let (width, height) = self.picture.size();
        let (width, height) = (width as f64, height as f64);
        if (place.width - width).abs() > 1.0 || (place.height - height).abs() > 1.0 {
            return place;
        }
        let middle = |from: f64, length: f64, own: f64| (from + (length - own) / 2.0).round();
        let whole = Placement {
            x: middle(place.x, place.width, width),
            y: middle(place.y, place.height, height),
            width,
            height,
            ..place
        };
        let square = |place| {
            let scored = self.scored(place, fine, [at].into_iter())?;
            scored.best().map(|(_, fit)| fit.square)
        };
        match (square(whole), square(place)) {
            (Some(snapped), Some(free)) if snapped <= 1.1 * free + 0.05 => whole,
            _ => place,
        }
    }

    fn find(&self, scored: &Scored) -> Option<Find> {
        let (mut at, mut fit) = scored.best()?;
        let mut run = self.run(scored, at, fit);
        if (2..=FINEST).contains(&run.clone().count()) && scored.level == 1 {
            // Half the size does not tell them apart; the whole may.
            if let Some((best, best_fit, best_run)) = self.finest(scored.placement, run.clone()) {
                (at, fit, run) = (best, best_fit, best_run);
            }
        }
        let index = |at: usize| self.frames[at].index;
        Some(Find {
            still: self.still,
            frame: index(at),
            run: (index(*run.start()), index(*run.end())),
            placement: scored.placement,
            size: self.size(),
            fit,
            disagreement: self.disagreement(at, scored)?,
        })
    }

    /// On a coarser level than the fit's, where it does not matter how somebody scaled.
    fn disagreement(&self, at: usize, scored: &Scored) -> Option<f64> {
        let level = (scored.level + 1).min(LEVELS);
        let place = &scored.placement;
        let patch = Patch::new(self.picture, place, level, self.size(), Detail::Fine)?;
        let frame = self.frames[at].level(level);
        Some(patch.disagreement(frame, &patch.fit(frame)?))
    }

    /// The best of these frames by every pixel.
    fn finest(&self, placement: Placement, run: Run) -> Option<(usize, Fit, Run)> {
        let patch = Patch::new(self.picture, &placement, 0, self.size(), Detail::Fine)?;
        let fit = |at: usize| Some((at, patch.fit(&self.frames[at].whole())?));
        let fits = run.filter_map(fit).collect();
        let scored = Scored { placement, level: 0, fits, patch };
        let (at, fit) = scored.best()?;
        let run = self.run(&scored, at, fit);
        Some((at, fit, run))
    }

    /// The frames around the best that fit as well, within what noise does.
    fn run(&self, scored: &Scored, at: usize, best: Fit) -> Run {
        let n = scored.patch.pixels();
        let limit = best.square + NOISE * best.square.max(LEAST_NOISE) / n;
        let fits: BTreeMap<usize, f64> =
            scored.fits.iter().map(|(at, f)| (*at, f.square)).collect();
        let same = |at: &usize| fits.get(at).is_some_and(|square| *square <= limit);
        let first = (0..at).rev().take_while(same).last().unwrap_or(at);
        let last = (at + 1..self.frames.len()).take_while(same).last().unwrap_or(at);
        first..=last
    }
}

/// Positions of frames that cannot be told apart.
type Run = std::ops::RangeInclusive<usize>;

/// Frames of a run that are compared in their full size, at most.
const FINEST: usize = 40;
/// Times the noise of one pixel by which the sum of squares may grow from noise alone.
const NOISE: f64 = 40.0;
/// Mean square that even a lossless still differs by: another conversion to RGB and back.
const LEAST_NOISE: f64 = 0.05;
