//! Whether two signatures (hashes on the 0.5 s grid) are the same video, perhaps trimmed.
use super::hash::{distance, mirrored, UNINFORMATIVE};

/// The best way to lay one signature over another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alignment {
    /// Grid steps by which the second starts later in the first; negative the other way round.
    pub shift: i64,
    /// Grid positions where both are informative.
    pub overlap: usize,
    /// Mean differing bits over these.
    pub mean_distance: f64,
    /// Whether the second is mirrored.
    pub mirrored: bool,
}

/// Least share of the shorter signature's informative positions that must be overlaid.
const LEAST_OVERLAP: f64 = 0.75;
/// Mean differing bits at most. Half-way between the worst copy (1.33) and the nearest other take
/// of the same scene (4.33) on one half of a planted corpus; see `docs/audit.md`.
pub const MOST_MEAN: f64 = 2.8;

/// The alignment with the smallest mean distance when it counts as the same video, else `None`.
pub fn align(a: &[u64], b: &[u64]) -> Option<Alignment> {
    best(a, b).filter(|x| x.mean_distance <= MOST_MEAN)
}

/// The alignment with the smallest mean distance, whatever that is. Every shift is tried, so that
/// a clip is also found inside a longer one. `None` when nothing informative can be overlaid.
pub fn best(a: &[u64], b: &[u64]) -> Option<Alignment> {
    let informative = |s: &[u64]| s.iter().filter(|h| **h != UNINFORMATIVE).count();
    let shorter = informative(a).min(informative(b));
    let least = ((shorter as f64 * LEAST_OVERLAP).ceil() as usize).max(1);
    let shifts = 1 - b.len() as i64..a.len() as i64;
    let tries = [false, true].into_iter().flat_map(|m| shifts.clone().map(move |s| (m, s)));
    let laid = tries.filter_map(|(mirror, shift)| lay(a, b, shift, mirror));
    laid.filter(|x| x.overlap >= least).min_by(|x, y| x.mean_distance.total_cmp(&y.mean_distance))
}

/// One shift; `None` when nothing informative is laid over anything informative.
fn lay(a: &[u64], b: &[u64], shift: i64, mirror: bool) -> Option<Alignment> {
    let (skip_a, skip_b) = (shift.max(0) as usize, (-shift).max(0) as usize);
    let both = a.iter().skip(skip_a).zip(b.iter().skip(skip_b));
    let (mut overlap, mut sum) = (0usize, 0u32);
    for (&x, &y) in both.filter(|(x, y)| **x != UNINFORMATIVE && **y != UNINFORMATIVE) {
        overlap += 1;
        sum += distance(x, if mirror { mirrored(y) } else { y });
    }
    let mean_distance = f64::from(sum) / overlap as f64;
    (overlap > 0).then_some(Alignment { shift, overlap, mean_distance, mirrored: mirror })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Draws;

    fn signature(seed: u64, n: usize) -> Vec<u64> {
        let mut draws = Draws::new(seed, "signature", "");
        (0..n).map(|_| draws.bits()).collect()
    }

    #[test]
    fn trimmed_and_mirrored_copies_align() {
        let a = signature(1, 8);
        let copy: Vec<u64> = a[1..].iter().map(|h| h ^ 0b101).collect();
        let found = align(&a, &copy).expect("a copy");
        assert_eq!((found.shift, found.overlap, found.mirrored), (1, 7, false));
        assert_eq!(found.mean_distance, 2.0);
        assert_eq!(align(&copy, &a).expect("symmetric").shift, -1);
        let flipped: Vec<u64> = a.iter().map(|h| mirrored(*h)).collect();
        assert!(align(&a, &flipped).expect("a copy").mirrored);
        assert_eq!(align(&a, &signature(2, 8)), None);
    }

    #[test]
    fn one_common_frame_or_black_is_not_the_same_video() {
        let (a, mut b) = (signature(1, 8), signature(2, 8));
        b[0] = a[0];
        assert_eq!(align(&a, &b), None);
        assert_eq!(align(&[UNINFORMATIVE; 4], &[UNINFORMATIVE; 4]), None);
        assert_eq!(align(&[], &a), None);
        // black around the same picture leaves the picture
        let framed = [UNINFORMATIVE, a[0], UNINFORMATIVE];
        assert_eq!(align(&framed, &a[..1]).expect("a copy").shift, 1);
    }
}
