//! Whether two signatures (hashes on the 0.5 s grid) are the same video, perhaps trimmed.
//!
//! A copy that lost 0.25 s at its start was hashed half-way between the moments of the original.
//! Bits are signs of amplitudes that change steadily, so a bit on which two neighbouring moments
//! agree holds between them too: such a copy is recognised by the bits in which it differs from
//! both neighbours, out of those on which they agree.
use super::{
    hash::{distance, mirrored, UNINFORMATIVE},
    warp::{warp, TemporalAlignment},
};

/// Seconds from one hash of a signature to the next.
pub const GRID_SECONDS: f64 = 0.5;

/// What is known of when a clip shows what.
#[derive(Clone, Copy, Debug)]
pub struct Hashes<'a> {
    /// Hashes on the 0.5 s grid.
    pub signature: &'a [u64],
    /// Hashes every 0.125 s; empty when they are not known.
    pub fine: &'a [u64],
}

/// The same video, perhaps trimmed, sped up or slowed down, else `None`: by moments that lie on each
/// other and, where they do not, by finer hashes; by moments between each other where a clip has no
/// finer hashes, as in manifests of version 1.
pub fn same_video(a: Hashes<'_>, b: Hashes<'_>) -> Option<TemporalAlignment> {
    let on_grid = |x: Alignment| {
        let half = if x.phase == Phase::Between { 0.5 } else { 0.0 };
        let shift_s = (x.shift as f64 + half) * GRID_SECONDS;
        TemporalAlignment {
            mean_distance: x.mean_distance,
            mirrored: x.mirrored,
            speed: 1.0,
            shift_s,
        }
    };
    let (own, other) = (a.signature, b.signature);
    if let Some(found) = best(own, other, Phase::On).filter(|x| x.mean_distance <= MOST_MEAN) {
        return Some(on_grid(found));
    }
    if a.fine.is_empty() || b.fine.is_empty() {
        let found = best(own, other, Phase::Between);
        return found.filter(|x| x.mean_distance <= MOST_MEAN_BETWEEN).map(on_grid);
    }
    warp(a.fine, b.fine).map(|found| found.alignment)
}

/// How the moments of two signatures lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// On each other.
    On,
    /// Each between two of the other's.
    Between,
}

/// The best way to lay one signature over another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alignment {
    /// Grid steps by which the second starts later in the first; negative the other way round.
    /// Half a step is to be added when the moments lie between each other.
    pub shift: i64,
    /// How the moments lie.
    pub phase: Phase,
    /// Grid positions where both are informative.
    pub overlap: usize,
    /// Mean differing bits over these, of 64 that can tell.
    pub mean_distance: f64,
    /// Whether the second is mirrored.
    pub mirrored: bool,
}

/// Least share of the shorter signature's informative positions that must be overlaid.
const LEAST_OVERLAP: f64 = 0.75;
/// Mean differing bits at most. On one half of a planted corpus the worst copy, brightened until
/// it saturates, has 2.75 and the nearest other take of the same scene 3.75; see
/// `docs/measurements/audit.md` for what 2.5 misses.
pub const MOST_MEAN: f64 = 2.5;
/// The same for moments that lie between each other.
pub const MOST_MEAN_BETWEEN: f64 = 1.5;
/// Bits that may change from one moment to the next, at most, for the time between them to be
/// judged: beyond it there is a cut or a swing of the camera.
const MOST_CHANGE: u32 = 24;

/// The alignment of a phase with the smallest mean distance, whatever that is. Every shift is
/// tried, so that a clip is also found inside a longer one. `None` when nothing informative can be
/// overlaid.
pub fn best(a: &[u64], b: &[u64], phase: Phase) -> Option<Alignment> {
    let informative = |s: &[u64]| s.iter().filter(|h| **h != UNINFORMATIVE).count();
    let shorter = informative(a).min(informative(b));
    let whole = (shorter as f64 * LEAST_OVERLAP).ceil() as usize;
    // Between the moments of n there are n - 1 intervals.
    let least = whole.saturating_sub(usize::from(phase == Phase::Between)).max(1);
    let shifts = 1 - b.len() as i64..a.len() as i64;
    let tries = [false, true].into_iter().flat_map(|m| shifts.clone().map(move |s| (m, s)));
    let laid = tries.filter_map(|(mirrored, shift)| {
        let sums = match phase {
            Phase::On => on(a, b, shift, mirrored),
            Phase::Between => between(a, b, shift, mirrored),
        };
        let mean_distance = 64.0 * f64::from(sums.differing) / f64::from(sums.telling);
        (sums.positions >= least).then_some(Alignment {
            shift,
            phase,
            overlap: sums.positions,
            mean_distance,
            mirrored,
        })
    });
    laid.min_by(|x, y| x.mean_distance.total_cmp(&y.mean_distance))
}

/// What is counted under one shift.
#[derive(Default)]
struct Sums {
    positions: usize,
    /// Bits that differ.
    differing: u32,
    /// Bits that can tell.
    telling: u32,
}

/// Moments on each other.
fn on(a: &[u64], b: &[u64], shift: i64, mirror: bool) -> Sums {
    let mut sums = Sums::default();
    for (i, &y) in b.iter().enumerate() {
        let (x, y) = (at(a, i as i64 + shift), turned(y, mirror));
        if x != UNINFORMATIVE && y != UNINFORMATIVE {
            sums.positions += 1;
            sums.differing += distance(x, y);
            sums.telling += 64;
        }
    }
    sums
}

/// The second's moments half a step later than the first's: each of either between two.
fn between(a: &[u64], b: &[u64], shift: i64, mirror: bool) -> Sums {
    let (mut sums, mut terms) = (Sums::default(), 0);
    let mut judge = |middle: u64, before: u64, after: u64| {
        if [middle, before, after].contains(&UNINFORMATIVE) {
            return;
        }
        let change = distance(before, after);
        if change <= MOST_CHANGE {
            terms += 1;
            sums.differing += ((middle ^ before) & (middle ^ after)).count_ones();
            sums.telling += 64 - change;
        }
    };
    for (j, &y) in b.iter().enumerate() {
        let (i, y) = (j as i64 + shift, turned(y, mirror));
        let (x, after_x) = (at(a, i), at(a, i + 1));
        judge(y, x, after_x);
        judge(after_x, y, turned(at(b, j as i64 + 1), mirror));
    }
    sums.positions = usize::div_ceil(terms, 2);
    sums
}

/// The hash at a position, [`UNINFORMATIVE`] beyond the ends.
fn at(signature: &[u64], position: i64) -> u64 {
    let found = usize::try_from(position).ok().and_then(|i| signature.get(i));
    found.copied().unwrap_or(UNINFORMATIVE)
}

fn turned(hash: u64, mirror: bool) -> u64 {
    if mirror {
        mirrored(hash)
    } else {
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Draws;

    fn signature(seed: u64, n: usize) -> Vec<u64> {
        let mut draws = Draws::new(seed, "signature", "");
        (0..n).map(|_| draws.bits()).collect()
    }

    fn align(a: &[u64], b: &[u64], fine_a: &[u64], fine_b: &[u64]) -> Option<TemporalAlignment> {
        let [a, b] = [(a, fine_a), (b, fine_b)].map(|(signature, fine)| Hashes { signature, fine });
        same_video(a, b)
    }

    #[test]
    fn finer_hashes_are_asked_where_both_have_them_and_the_grid_does_not_tell() {
        // Bits turn one after the other, four at a time, so that the moments between are known.
        let at = |eighth: u32| ((1u64 << (4 * eighth % 64)) - 1) ^ 0x9E37_79B9_7F4A_7C15;
        let fine = |from: u32| (from..from + 33).map(at).collect::<Vec<u64>>();
        let grid = |fine: &[u64]| fine.iter().step_by(4).copied().collect::<Vec<u64>>();
        let (whole, later) = (fine(0), fine(2));
        let found = align(&grid(&whole), &grid(&later), &whole, &later).expect("a copy");
        assert!((found.shift_s - 0.25).abs() <= 0.125 && found.mean_distance == 0.0, "{found:?}");
        // The rule for moments between each other holds for clips without.
        let old = align(&grid(&whole), &grid(&later), &[], &later).expect("a copy");
        assert_eq!((old.shift_s, old.speed), (0.25, 1.0));
        // Finer hashes that say no are believed.
        let other: Vec<u64> = whole.iter().rev().map(|h| h ^ 0xFFFF_0000_FFFF).collect();
        assert_eq!(align(&grid(&whole), &grid(&later), &whole, &other), None);
    }

    #[test]
    fn trimmed_and_mirrored_copies_align() {
        let align = |a, b| align(a, b, &[], &[]);
        let a = signature(1, 8);
        let copy: Vec<u64> = a[1..].iter().map(|h| h ^ 0b101).collect();
        let found = align(&a, &copy).expect("a copy");
        assert_eq!((found.shift_s, found.speed, found.mirrored), (0.5, 1.0, false));
        assert_eq!(found.mean_distance, 2.0);
        assert_eq!(align(&copy, &a).expect("symmetric").shift_s, -0.5);
        let flipped: Vec<u64> = a.iter().map(|h| mirrored(*h)).collect();
        assert!(align(&a, &flipped).expect("a copy").mirrored);
        assert_eq!(align(&a, &signature(2, 8)), None);
    }

    #[test]
    fn one_common_frame_or_black_is_not_the_same_video() {
        let align = |a, b| align(a, b, &[], &[]);
        let (a, mut b) = (signature(1, 8), signature(2, 8));
        b[0] = a[0];
        assert_eq!(align(&a, &b), None);
        assert_eq!(align(&[UNINFORMATIVE; 4], &[UNINFORMATIVE; 4]), None);
        assert_eq!(align(&[], &a), None);
        // black around the same picture leaves the picture
        let framed = [UNINFORMATIVE, a[0], UNINFORMATIVE];
        assert_eq!(align(&framed, &a[..1]).expect("a copy").shift_s, 0.5);
    }
}
