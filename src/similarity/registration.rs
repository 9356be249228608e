//! How one picture lies in another: keypoints matched under one transform.
//!
//! Every two of the best matches propose a similarity (turn, scale and shift); the one that most
//! matches follow is refined to an affine map by least squares. Proposals are tried in order, all
//! of them, so nothing is drawn: same keypoints, same transform. It is RANSAC (Fischler and Bolles,
//! 1981) with the sample replaced by all pairs of few.
use super::keypoints::{mirrored, Descriptor, Keypoint};

/// Bits of 256 in which the descriptors of one place may differ.
const MOST_BITS: u32 = 72;
/// Best matches that propose transforms.
const PROPOSING: usize = 40;
/// Distance in pixels up to which a match follows a proposal, and each of the refinements.
const FOLLOWS: [f64; 3] = [6.0, 4.0, 3.0];
/// Least and largest scale of a proposal.
const SCALES: [f64; 2] = [0.2, 5.0];
/// Pixels between two matches that propose a transform, at least.
const APART: f64 = 24.0;
/// Matches from which on an affine map is fitted, not a similarity.
const ENOUGH_FOR_AFFINE: usize = 8;

/// `x' = m[0] x + m[1] y + m[2]`, `y' = m[3] x + m[4] y + m[5]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine(pub [f64; 6]);

impl Affine {
    /// Leaves everything where it is.
    pub const IDENTITY: Affine = Affine([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);

    /// Where a point goes.
    pub fn apply(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let m = &self.0;
        [m[0] * x + m[1] * y + m[2], m[3] * x + m[4] * y + m[5]]
    }

    /// By how much areas grow; negative for a reflection.
    pub fn determinant(&self) -> f64 {
        let m = &self.0;
        m[0] * m[4] - m[1] * m[3]
    }

    /// `self` after `first`.
    pub fn after(&self, first: &Affine) -> Affine {
        let (a, b) = (&self.0, &first.0);
        Affine([
            a[0] * b[0] + a[1] * b[3],
            a[0] * b[1] + a[1] * b[4],
            a[0] * b[2] + a[1] * b[5] + a[2],
            a[3] * b[0] + a[4] * b[3],
            a[3] * b[1] + a[4] * b[4],
            a[3] * b[2] + a[4] * b[5] + a[5],
        ])
    }

    /// The way back; `None` when areas vanish.
    pub fn inverse(&self) -> Option<Affine> {
        let (m, d) = (&self.0, self.determinant());
        if d.abs() < 1e-9 || !d.is_finite() {
            return None;
        }
        let [a, b, c, e] = [m[4] / d, -m[1] / d, -m[3] / d, m[0] / d];
        Some(Affine([a, b, -(a * m[2] + b * m[5]), c, e, -(c * m[2] + e * m[5])]))
    }

    /// The map that stretches by `across` and `down`.
    pub fn stretch(across: f64, down: f64) -> Affine {
        Affine([across, 0.0, 0.0, 0.0, down, 0.0])
    }

    /// Degrees by which it turns, clockwise in a picture.
    pub fn degrees(&self) -> f64 {
        (self.0[3] - self.0[1]).atan2(self.0[0] + self.0[4]).to_degrees()
    }

    /// How unlike a similarity it is: 1 for one, else the larger by the smaller stretch.
    pub fn stretched(&self) -> f64 {
        let m = &self.0;
        let square: f64 = [m[0], m[1], m[3], m[4]].iter().map(|v| v * v).sum();
        let area = self.determinant().abs();
        if area <= 0.0 {
            return f64::INFINITY;
        }
        let ratio = square / (2.0 * area);
        ratio + (ratio * ratio - 1.0).max(0.0).sqrt()
    }
}

/// How the first picture lies in the second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Registration {
    /// From pixels of the first to those of the second, or of its mirror image.
    pub transform: Affine,
    /// Whether the second was mirrored first.
    pub mirrored: bool,
    /// Matches that follow.
    pub inliers: usize,
}

/// A match: places in both.
type Match = ([f64; 2], [f64; 2]);

/// The transforms, plain and mirrored, that at least `least` matches follow; the one with more
/// matches first. `width` is that of the second picture.
pub fn registrations(
    a: &[Keypoint],
    b: &[Keypoint],
    width: f64,
    least: usize,
) -> Vec<Registration> {
    let of = |mirror: bool| {
        let matches = matches(a, b, mirror.then_some(width));
        let (transform, inliers) = fitted(&matches, least)?;
        (inliers >= least).then_some(Registration { transform, mirrored: mirror, inliers })
    };
    let mut found: Vec<Registration> = [false, true].into_iter().filter_map(of).collect();
    found.sort_by_key(|r| std::cmp::Reverse(r.inliers));
    found
}

/// Keypoints that are each other's nearest, nearest first; of the mirror image of the second
/// picture where its width is given.
fn matches(a: &[Keypoint], b: &[Keypoint], mirror: Option<f64>) -> Vec<Match> {
    let own: Vec<Descriptor> = a.iter().map(|k| k.descriptor).collect();
    let turned = |k: &Keypoint| mirror.map_or(k.descriptor, |_| mirrored(k.descriptor));
    let other: Vec<Descriptor> = b.iter().map(turned).collect();
    let mut nearest = mutual(&own, &other);
    nearest.sort_unstable();
    let place = |k: &Keypoint| {
        let [x, y] = k.place();
        [mirror.map_or(x, |width| width - x), y]
    };
    nearest.into_iter().map(|(_, i, j)| (a[i].place(), place(&b[j]))).collect()
}

/// (bits, position, position) of those that are each other's nearest.
fn mutual(a: &[Descriptor], b: &[Descriptor]) -> Vec<(u32, usize, usize)> {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512vpopcntdq") && is_x86_feature_detected!("avx512vl") {
            // SAFETY: the machine has the instructions.
            return unsafe { mutual_with_avx512(a, b) };
        }
        if is_x86_feature_detected!("popcnt") {
            // SAFETY: the machine has the instruction.
            return unsafe { mutual_with_popcnt(a, b) };
        }
    }
    mutual_as_it_is(a, b)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512vpopcntdq")]
fn mutual_with_avx512(a: &[Descriptor], b: &[Descriptor]) -> Vec<(u32, usize, usize)> {
    mutual_as_it_is(a, b)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "popcnt")]
fn mutual_with_popcnt(a: &[Descriptor], b: &[Descriptor]) -> Vec<(u32, usize, usize)> {
    mutual_as_it_is(a, b)
}

/// Descriptors of the second picture that are compared at once, word by word.
const LANES: usize = 8;
/// Bits and position in one number, so that the smallest is the nearest, and the first of these.
const POSITION_BITS: u32 = 16;

#[inline(always)]
fn mutual_as_it_is(a: &[Descriptor], b: &[Descriptor]) -> Vec<(u32, usize, usize)> {
    // What fills the last lanes is nobody's nearest: it lies behind all others, and is left out below.
    let lane =
        |chunk: &[Descriptor], word: usize, lane: usize| chunk.get(lane).map_or(0, |d| d[word]);
    let turned = b
        .chunks(LANES)
        .map(|chunk| std::array::from_fn(|word| std::array::from_fn(|own| lane(chunk, word, own))));
    let turned: Vec<[[u64; LANES]; 4]> = turned.collect();
    let mut of_b = vec![[u64::MAX; LANES]; turned.len()];
    let mut of_a = Vec::with_capacity(a.len());
    for (i, x) in a.iter().enumerate() {
        let mut best = [u64::MAX; LANES];
        for (k, (block, of_b)) in turned.iter().zip(&mut of_b).enumerate() {
            let left = b.len() - k * LANES;
            for own in 0..LANES {
                let mut bits = 0;
                for word in 0..4 {
                    bits += u64::from((x[word] ^ block[word][own]).count_ones());
                }
                let bits = bits << POSITION_BITS;
                of_b[own] = of_b[own].min(bits | i as u64);
                let there = if own < left { bits | (k * LANES + own) as u64 } else { u64::MAX };
                best[own] = best[own].min(there);
            }
        }
        of_a.push(best.into_iter().fold(u64::MAX, u64::min));
    }
    let position = |nearest: u64| (nearest & ((1 << POSITION_BITS) - 1)) as usize;
    let mut found = Vec::new();
    for (i, nearest) in of_a.into_iter().enumerate() {
        let (bits, j) = ((nearest >> POSITION_BITS) as u32, position(nearest));
        if nearest != u64::MAX && bits <= MOST_BITS && position(of_b[j / LANES][j % LANES]) == i {
            found.push((bits, i, j));
        }
    }
    found
}

/// The transform that most matches follow, and how many do; `None` where there are fewer than `least`.
fn fitted(matches: &[Match], least: usize) -> Option<(Affine, usize)> {
    if matches.len() < least {
        return None;
    }
    let proposing = &matches[..matches.len().min(PROPOSING)];
    let columns = Columns::of(matches);
    let mut best: Option<(usize, Affine)> = None;
    for (k, second) in proposing.iter().enumerate() {
        for first in &proposing[..k] {
            let Some(proposal) = similarity(first, second) else { continue };
            let followers = columns.followers(&proposal, FOLLOWS[0]);
            if best.is_none_or(|(most, _)| followers > most) {
                best = Some((followers, proposal));
            }
        }
    }
    let mut transform = best?.1;
    for (step, reach) in FOLLOWS.iter().enumerate() {
        let inliers: Vec<Match> = followers(matches, &transform, *reach).copied().collect();
        let affine = step > 0 && inliers.len() >= ENOUGH_FOR_AFFINE;
        let refined = if affine { affine_of(&inliers) } else { similarity_of(&inliers) };
        transform = refined?;
    }
    Some((transform, columns.followers(&transform, FOLLOWS[2])))
}

/// Squared distance between where a transform takes a place and where its match lies.
#[inline(always)]
fn beside(transform: &Affine, from: [f64; 2], to: [f64; 2]) -> f64 {
    let [x, y] = transform.apply(from);
    let (across, down) = (x - to[0], y - to[1]);
    across * across + down * down
}

fn followers<'a>(
    matches: &'a [Match],
    transform: &'a Affine,
    reach: f64,
) -> impl Iterator<Item = &'a Match> {
    matches.iter().filter(move |(a, b)| beside(transform, *a, *b) <= reach * reach)
}

/// The matches coordinate by coordinate, so that several are tried at once.
struct Columns([Vec<f64>; 4]);

impl Columns {
    fn of(matches: &[Match]) -> Self {
        let column = |of: fn(&Match) -> f64| matches.iter().map(of).collect();
        Columns([column(|m| m.0[0]), column(|m| m.0[1]), column(|m| m.1[0]), column(|m| m.1[1])])
    }

    /// How many follow a transform.
    fn followers(&self, transform: &Affine, reach: f64) -> usize {
        let [x, y, u, v] = &self.0;
        let n = x.len();
        let (y, u, v) = (&y[..n], &u[..n], &v[..n]);
        let mut count = 0u64;
        for i in 0..n {
            let near = beside(transform, [x[i], y[i]], [u[i], v[i]]) <= reach * reach;
            count += u64::from(near);
        }
        count as usize
    }
}

/// The similarity of two matches; `None` when they are too close or too far apart in scale.
fn similarity((a, p): &Match, (b, q): &Match) -> Option<Affine> {
    let (from, to) = ([b[0] - a[0], b[1] - a[1]], [q[0] - p[0], q[1] - p[1]]);
    let square = from[0] * from[0] + from[1] * from[1];
    if square < APART * APART {
        return None;
    }
    let cos = (from[0] * to[0] + from[1] * to[1]) / square;
    let sin = (from[0] * to[1] - from[1] * to[0]) / square;
    let scale = cos * cos + sin * sin;
    let shift = [p[0] - cos * a[0] + sin * a[1], p[1] - sin * a[0] - cos * a[1]];
    (SCALES[0] * SCALES[0]..=SCALES[1] * SCALES[1])
        .contains(&scale)
        .then_some(Affine([cos, -sin, shift[0], sin, cos, shift[1]]))
}

fn means(matches: &[Match]) -> ([f64; 2], [f64; 2]) {
    let n = matches.len() as f64;
    let mut sums = ([0.0; 2], [0.0; 2]);
    for (a, b) in matches {
        (0..2).for_each(|i| {
            sums.0[i] += a[i] / n;
            sums.1[i] += b[i] / n;
        });
    }
    sums
}

/// Least squares over all similarities.
fn similarity_of(matches: &[Match]) -> Option<Affine> {
    let (from, to) = means(matches);
    let (mut square, mut cos, mut sin) = (0.0, 0.0, 0.0);
    for (a, b) in matches {
        let (x, y) = (a[0] - from[0], a[1] - from[1]);
        let (u, v) = (b[0] - to[0], b[1] - to[1]);
        square += x * x + y * y;
        cos += x * u + y * v;
        sin += x * v - y * u;
    }
    if matches.len() < 2 || square <= 0.0 {
        return None;
    }
    let (cos, sin) = (cos / square, sin / square);
    let shift = [to[0] - cos * from[0] + sin * from[1], to[1] - sin * from[0] - cos * from[1]];
    Some(Affine([cos, -sin, shift[0], sin, cos, shift[1]]))
}

/// Least squares over all affine maps; the similarity where the matches lie on a line.
fn affine_of(matches: &[Match]) -> Option<Affine> {
    let (from, to) = means(matches);
    let [mut xx, mut xy, mut yy] = [0.0; 3];
    let mut rows = [[0.0; 2]; 2];
    for (a, b) in matches {
        let (x, y) = (a[0] - from[0], a[1] - from[1]);
        xx += x * x;
        xy += x * y;
        yy += y * y;
        for (row, out) in rows.iter_mut().zip([b[0] - to[0], b[1] - to[1]]) {
            row[0] += x * out;
            row[1] += y * out;
        }
    }
    let determinant = xx * yy - xy * xy;
    if determinant <= 1e-3 * (xx + yy).powi(2) {
        return similarity_of(matches);
    }
    let solved =
        rows.map(|[x, y]| [(x * yy - y * xy) / determinant, (y * xx - x * xy) / determinant]);
    let shift = [0, 1].map(|i: usize| to[i] - solved[i][0] * from[0] - solved[i][1] * from[1]);
    Some(Affine([solved[0][0], solved[0][1], shift[0], solved[1][0], solved[1][1], shift[1]]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Draws;

    /// Sixty corners, their places under a map with 1/4 pixel of noise, and forty others on each
    /// side; in the mirror image of a picture 480 pixels wide if that is said.
    fn planted(map: Affine, mirror: bool) -> (Vec<Keypoint>, Vec<Keypoint>) {
        let mut draws = Draws::new(5, "registration", "");
        let mut descriptor = || [0; 4].map(|_: u64| draws.bits());
        let descriptors: Vec<Descriptor> = (0..140).map(|_| descriptor()).collect();
        let mut places = Draws::new(6, "registration", "");
        let mut place = || [places.between(100.0, 380.0), places.between(60.0, 220.0)];
        let keypoint = |[x, y]: [f64; 2], descriptor| {
            let [x, y] = [x, y].map(|v| (16.0 * v).round().clamp(0.0, 65_535.0) as u16);
            Keypoint { x, y, descriptor }
        };
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for (i, own) in descriptors.iter().enumerate() {
            let at = place();
            let mut there = map.apply(at).map(|v| v + 0.25 * ((i % 3) as f64 - 1.0));
            if mirror {
                there[0] = 480.0 - there[0];
            }
            let flipped = if mirror { mirrored(*own) } else { *own };
            match i {
                0..60 => {
                    a.push(keypoint(at, *own));
                    b.push(keypoint(
                        there,
                        [flipped[0] ^ 0xFFF, flipped[1], flipped[2], flipped[3]],
                    ));
                }
                60..100 => a.push(keypoint(at, *own)),
                _ => b.push(keypoint(at, *own)),
            }
        }
        (a, b)
    }

    #[test]
    fn nearest_are_the_same_by_whatever_instructions() {
        let mut draws = Draws::new(9, "registration", "");
        let mut crowd = |n: usize| -> Vec<Descriptor> {
            // Few bits, so that many are equally near and the first has to win.
            (0..n)
                .map(|_| [draws.bits() & 0x0F0F, draws.bits() & 0xFF, 0, draws.bits() & 3])
                .collect()
        };
        for (n, m) in [(0, 3), (3, 0), (1, 1), (7, 9), (16, 8), (37, 61), (160, 160)] {
            let (a, b) = (crowd(n), crowd(m));
            let bits =
                |i: usize, j: usize| (0..4).map(|w| (a[i][w] ^ b[j][w]).count_ones()).sum::<u32>();
            let of_a = |i: usize| (0..m).min_by_key(|&j| (bits(i, j), j));
            let of_b = |j: usize| (0..n).min_by_key(|&i| (bits(i, j), i));
            let pair =
                |i: usize| of_a(i).filter(|&j| of_b(j) == Some(i)).map(|j| (bits(i, j), i, j));
            let want: Vec<_> = (0..n).filter_map(pair).collect();
            assert_eq!(mutual(&a, &b), want, "{n} and {m}");
            assert_eq!(mutual_as_it_is(&a, &b), want, "{n} and {m}");
        }
    }

    #[test]
    fn two_matches_tell_turn_scale_and_shift() {
        let map = Affine([1.2, -0.2, 20.0, 0.2, 1.2, -30.0]);
        let match_of = |at: [f64; 2]| (at, map.apply(at));
        let found = similarity(&match_of([30.0, 50.0]), &match_of([110.0, 20.0])).expect("apart");
        for at in [[0.0, 0.0], [300.0, 40.0], [20.0, 250.0]] {
            let (got, want) = (found.apply(at), map.apply(at));
            assert!((got[0] - want[0]).hypot(got[1] - want[1]) < 1e-9, "{got:?} {want:?}");
        }
        assert!(similarity(&match_of([30.0, 50.0]), &match_of([40.0, 50.0])).is_none());
    }

    #[test]
    fn a_transform_is_found_among_as_many_strangers() {
        let turned = Affine([1.2, -0.2, 20.0, 0.2, 1.2, -30.0]);
        for (map, mirror) in [(Affine::IDENTITY, false), (turned, false), (turned, true)] {
            let (a, b) = planted(map, mirror);
            let found = registrations(&a, &b, 480.0, 20);
            assert_eq!((found.len(), found[0].mirrored), (1, mirror));
            assert!(found[0].inliers >= 58, "{found:?}");
            for corner in [[0.0, 0.0], [480.0, 0.0], [0.0, 270.0]] {
                let (got, want) = (found[0].transform.apply(corner), map.apply(corner));
                assert!((got[0] - want[0]).hypot(got[1] - want[1]) < 1.0, "{got:?} {want:?}");
            }
        }
        let (a, _) = planted(Affine::IDENTITY, false);
        assert!(registrations(&a, &[], 480.0, 2).is_empty());
        assert!(registrations(&[], &a, 480.0, 2).is_empty());
    }

    #[test]
    fn maps_compose_and_invert() {
        let map = Affine([0.9, -0.3, 12.0, 0.3, 1.1, -7.0]);
        let back = map.inverse().expect("has one");
        let [x, y] = back.after(&map).apply([31.0, -17.0]);
        assert!((x - 31.0).abs() < 1e-9 && (y + 17.0).abs() < 1e-9);
        assert_eq!(Affine::stretch(0.0, 1.0).inverse(), None);
        let quarter = Affine([0.0, -1.0, 0.0, 1.0, 0.0, 0.0]);
        assert!((quarter.degrees() - 90.0).abs() < 1e-9);
        assert!((Affine::stretch(3.0, 2.0).stretched() - 1.5).abs() < 1e-9);
    }
}
