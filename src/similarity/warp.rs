//! Whether two clips are one video of which one was trimmed, sped up or slowed down, by hashes
//! every 0.125 s.
//!
//! However one is laid over the other, each of its moments falls between two of the other's. A bit
//! on which these two agree holds between them too, so the moment is judged by such bits alone. A
//! copy agrees far better where it belongs than anywhere else: the mean of differing bits along the
//! best line is held against the mean over all pairs of moments. Two takes of one scene agree
//! everywhere alike, and a clip in which nothing moves says nothing here: it is left to the
//! coarser grid, on which any shift fits it.
use super::hash::{distance, mirrored, UNINFORMATIVE};

/// Seconds from one hash to the next.
pub const FINE_SECONDS: f64 = 0.125;
/// Changes of speed that are tried, and their inverses: from film to PAL (1.04) up to what people do to
/// escape recognition.
const SPEEDS: [f64; 5] = [1.04, 1.1, 1.15, 1.2, 1.25];
/// Mean differing bits at most, of 64 that can tell.
const MOST_MEAN: f64 = 6.0;
/// The same as a share of the mean over all pairs of moments. On half 0 of planted clips (see
/// `docs/measurements/audit.md`) trimmed and sped-up copies reach 0.16, other takes start at 0.43.
const MOST_CONTRAST: f64 = 0.3;
/// Moments of an overlap, at least.
const LEAST_MOMENTS: usize = 8;
/// Share of the shorter clip that must be overlaid.
const LEAST_OVERLAP: f64 = 0.7;
/// Bits on which two neighbouring moments must agree for the time between them to be judged:
/// beyond it there is a cut.
const LEAST_STABLE: u32 = 40;
/// Pairs of moments at most (two clips of two minutes): longer clips are left to the coarser grid.
const MOST_PAIRS: usize = 1_000_000;

/// How one clip lies in another in time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TemporalAlignment {
    /// Mean differing bits, of 64 that can tell.
    pub mean_distance: f64,
    /// Whether one is the mirror image of the other.
    pub mirrored: bool,
    /// Seconds of the first that pass in a second of the other.
    pub speed: f64,
    /// Seconds by which the second starts later in the first; negative the other way round.
    pub shift_s: f64,
}

/// An alignment and how much better it is than the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Warp {
    /// The alignment.
    pub alignment: TemporalAlignment,
    /// Its mean differing bits as a share of their mean over all pairs of moments.
    pub contrast: f64,
}

/// The best way to lay one clip over the other when it counts as the same video, else `None`; the
/// same for either order but for what is told of it.
pub fn warp(a: &[u64], b: &[u64]) -> Option<Warp> {
    if a.len() * b.len() > MOST_PAIRS {
        return None;
    }
    let flipped: Vec<u64> = b.iter().map(|h| mirrored(*h)).collect();
    // Each with the interval of either clip in which a moment of the other lies.
    let ways = [(b, false), (&flipped[..], true)]
        .map(|(b, mirrored)| (Pairs::of(a, b), Pairs::of(b, a), mirrored));
    // Another speed is said only of what does not fit at its own.
    let unchanged = std::iter::once(1.0);
    let changed = SPEEDS.into_iter().chain(SPEEDS.map(|s| 1.0 / s));
    best_of(&ways, unchanged).or_else(|| best_of(&ways, changed))
}

/// The best of what counts as the same video at these speeds.
fn best_of(
    ways: &[(Option<Pairs>, Option<Pairs>, bool)],
    speeds: impl Iterator<Item = f64> + Clone,
) -> Option<Warp> {
    let laid = ways.iter().flat_map(|(own, other, mirrored)| {
        let own = own.as_ref().and_then(|p| p.best(speeds.clone()));
        let other = other.as_ref().and_then(|p| p.best(speeds.clone())).map(reversed);
        let mirrored = *mirrored;
        own.into_iter().chain(other).map(move |found| Warp {
            alignment: TemporalAlignment { mirrored, ..found.alignment },
            ..found
        })
    });
    let best = laid.min_by(|x, y| x.contrast.total_cmp(&y.contrast))?;
    let is_same = best.alignment.mean_distance <= MOST_MEAN && best.contrast <= MOST_CONTRAST;
    is_same.then_some(best)
}

/// The same as seen from the other clip.
fn reversed(warp: Warp) -> Warp {
    let TemporalAlignment { speed, shift_s, .. } = warp.alignment;
    // No zero is negative.
    let shift_s = 0.0 - shift_s / speed;
    Warp { alignment: TemporalAlignment { speed: 1.0 / speed, shift_s, ..warp.alignment }, ..warp }
}

/// Pairs of an interval of one clip and a moment of the other.
struct Pairs {
    /// Stable bits of each interval; 0 for one that says nothing.
    stable: Vec<u32>,
    /// Stable bits in which the moment differs, by interval and moment.
    differing: Vec<u8>,
    /// Which moments say anything.
    telling: Vec<bool>,
    /// Mean differing bits, of 64, over all pairs.
    level: f64,
}

impl Pairs {
    fn of(a: &[u64], b: &[u64]) -> Option<Self> {
        let is_telling = |h: &u64| *h != UNINFORMATIVE;
        let stable_of = |pair: &[u64]| {
            let stable = 64 - distance(pair[0], pair[1]);
            if pair.iter().all(is_telling) && stable >= LEAST_STABLE {
                stable
            } else {
                0
            }
        };
        let stable: Vec<u32> = a.windows(2).map(stable_of).collect();
        let differing: Vec<u8> = a
            .windows(2)
            .flat_map(|pair| {
                let mask = !(pair[0] ^ pair[1]);
                b.iter().map(move |h| ((h ^ pair[0]) & mask).count_ones() as u8)
            })
            .collect();
        let (mut bits, mut of) = (0u64, 0u64);
        let telling: Vec<bool> = b.iter().map(is_telling).collect();
        let used = stable.iter().zip(differing.chunks_exact(b.len().max(1)));
        for (stable, row) in used.filter(|(stable, _)| **stable > 0) {
            for (differs, _) in row.iter().zip(&telling).filter(|(_, telling)| **telling) {
                bits += u64::from(*differs);
                of += u64::from(*stable);
            }
        }
        let level = 64.0 * bits as f64 / of as f64;
        (of > 0).then_some(Pairs { stable, differing, telling, level })
    }

    /// Where the moments fit best on the intervals.
    fn best(&self, speeds: impl Iterator<Item = f64>) -> Option<Warp> {
        let (length, moments) = (self.stable.len() + 1, self.telling.len());
        let mut best: Option<Warp> = None;
        for speed in speeds {
            // In half steps, from where the last moment meets the start to where the first meets the end.
            let (from, to) = (-(2.0 * moments as f64 * speed).ceil() as i64, 2 * length as i64);
            let shorter = (moments as f64).min(length as f64 / speed);
            let least = ((LEAST_OVERLAP * shorter).ceil() as usize).max(LEAST_MOMENTS);
            for shift in (from..to).map(|half| half as f64 / 2.0) {
                let Some(mean_distance) = self.along(speed, shift, least) else { continue };
                if best.is_none_or(|b| mean_distance < b.alignment.mean_distance) {
                    let contrast = mean_distance / self.level.max(f64::MIN_POSITIVE);
                    let shift_s = shift * FINE_SECONDS;
                    let alignment =
                        TemporalAlignment { mean_distance, mirrored: false, speed, shift_s };
                    best = Some(Warp { alignment, contrast });
                }
            }
        }
        best
    }

    /// Mean differing bits where moment j lies at interval `shift + speed * j`; `None` when less than
    /// `least` moments lie on intervals, or half of these on such that say nothing.
    fn along(&self, speed: f64, shift: f64, least: usize) -> Option<f64> {
        let (mut overlap, mut used, mut bits, mut of) = (0, 0, 0u32, 0u32);
        // The first moment that is not before the start, or the one before it.
        let first = (-shift / speed).floor().max(0.0) as usize;
        let moments = self.telling.len();
        for j in first..moments {
            let at = (shift + speed * j as f64 + 1e-9).floor();
            if at < 0.0 {
                continue;
            }
            let Some(&stable) = self.stable.get(at as usize) else { break };
            overlap += 1;
            if stable > 0 && self.telling[j] {
                used += 1;
                bits += u32::from(self.differing[at as usize * moments + j]);
                of += stable;
            }
        }
        (overlap >= least && 2 * used >= overlap).then(|| 64.0 * f64::from(bits) / f64::from(of))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Draws;

    /// Amplitudes of 64 slow waves, as those of a clip in which much moves; their signs at a time.
    struct DrawnVideo(Vec<[f64; 3]>);

    impl DrawnVideo {
        fn new(seed: u64) -> Self {
            let mut draws = Draws::new(seed, "film", "");
            let mut share = || draws.below(1000) as f64 / 1000.0;
            DrawnVideo(
                (0..64).map(|_| [0.2 + 0.5 * share(), share(), 0.6 * share() - 0.3]).collect(),
            )
        }

        /// Hashes of `moments` moments from `start` seconds on, `speed` seconds for one.
        fn hashes(&self, moments: usize, start: f64, speed: f64) -> Vec<u64> {
            let at = |k: usize| start + speed * FINE_SECONDS * k as f64;
            let sign = |[rate, phase, level]: &[f64; 3], t: f64| {
                (std::f64::consts::TAU * (rate * t + phase)).sin() > *level
            };
            let hash = |t: f64| {
                self.0.iter().enumerate().fold(0, |h, (b, w)| h | u64::from(sign(w, t)) << b)
            };
            (0..moments).map(|k| hash(at(k))).collect()
        }
    }

    #[test]
    fn a_trimmed_or_faster_copy_is_found_where_it_belongs() {
        let video = DrawnVideo::new(1);
        let whole = video.hashes(40, 0.0, 1.0);
        for (start, speed) in [(0.0, 1.0), (0.3, 1.0), (0.07, 1.25), (0.5, 0.8), (0.2, 1.2)] {
            let copy = video.hashes(28, start, speed);
            let there = warp(&whole, &copy).expect("a copy");
            let found = there.alignment;
            assert!((found.speed - speed).abs() < 0.06, "{start} {speed}: {found:?}");
            assert!((found.shift_s - start).abs() < 0.15, "{start} {speed}: {found:?}");
            let again = warp(&copy, &whole).expect("a copy");
            let back = again.alignment;
            assert_eq!((back.mean_distance, again.contrast), (found.mean_distance, there.contrast));
            assert!((back.speed * found.speed - 1.0).abs() < 1e-9);
            let turned: Vec<u64> = copy.iter().map(|h| mirrored(*h)).collect();
            let found = warp(&whole, &turned).expect("a mirrored copy").alignment;
            assert!(found.mirrored && found.mean_distance == back.mean_distance);
        }
    }

    #[test]
    fn other_clips_clips_of_one_moment_and_black_are_no_copies() {
        let video = DrawnVideo::new(1);
        let whole = video.hashes(40, 0.0, 1.0);
        for seed in 2..30 {
            assert_eq!(
                warp(&whole, &DrawnVideo::new(seed).hashes(36, 0.0, 1.0)),
                None,
                "video {seed}"
            );
        }
        // Another time of the same video, and nothing that moves.
        assert_eq!(warp(&whole, &video.hashes(36, 60.0, 1.0)), None);
        assert_eq!(warp(&whole, &[whole[3]; 30]), None);
        // Two takes: the room is the same, a few bits come and go, each time others.
        let take = |seed| {
            let mut draws = Draws::new(seed, "take", "");
            let moment = |_| whole[0] ^ 1 << draws.below(12) ^ 1 << draws.below(12);
            (0..36).map(moment).collect::<Vec<u64>>()
        };
        (0..30).for_each(|seed| assert_eq!(warp(&take(seed), &take(seed + 100)), None));
        let black = [UNINFORMATIVE; 36];
        for nothing in [&[][..], &whole[..1], &whole[..5], &black] {
            assert_eq!(warp(&whole, nothing), None);
            assert_eq!(warp(nothing, &whole), None);
        }
    }

    #[test]
    fn a_cut_says_nothing_and_long_clips_are_left_alone() {
        let (video, other) = (DrawnVideo::new(1), DrawnVideo::new(2));
        let two = |from: f64| {
            let mut both = video.hashes(20, from, 1.0);
            both.extend(other.hashes(20, from, 1.0));
            both
        };
        let found = warp(&two(0.0), &two(0.06)).expect("cuts do not matter");
        assert!(found.alignment.mean_distance < 2.0);
        let long = video.hashes(1001, 0.0, 1.0);
        assert_eq!(warp(&long, &long), None);
        assert!(warp(&long[..1000], &long[..1000]).is_some());
    }
}
