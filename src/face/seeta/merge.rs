//! Windows that overlap become one, the surest of them, with the sum of their scores.
use std::cmp::Ordering;

use super::lanes::{for_all_lanes, Lanes};

/// A window with a face, perhaps: `size` pixels a side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct FaceWindow {
    pub x: i32,
    pub y: i32,
    pub size: u32,
    pub score: f64,
}

/// Sorts `windows` best first and merges those that overlap a better one by more than `least` of
/// the pixels of either. Equal scores keep their order.
pub(super) fn merge(lanes: Lanes, windows: &mut [FaceWindow], least: f32) -> Vec<FaceWindow> {
    windows.sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal));
    let xs: Vec<i32> = windows.iter().map(|w| w.x).collect();
    let ys: Vec<i32> = windows.iter().map(|w| w.y).collect();
    let sizes: Vec<i32> = windows.iter().map(|w| w.size as i32).collect();
    let mut merged = vec![false; windows.len()];
    let mut overlaps = vec![0.0f32; windows.len()];
    let mut kept: Vec<FaceWindow> = Vec::new();
    for (at, best) in windows.iter().enumerate() {
        if merged[at] {
            continue;
        }
        let (xs, ys, sizes) = (&xs[at + 1..], &ys[at + 1..], &sizes[at + 1..]);
        measure(lanes, (best.x, best.y, best.size as i32), xs, ys, sizes, &mut overlaps);
        let mut score = best.score;
        let others = windows[at + 1..].iter().zip(&mut merged[at + 1..]).zip(&overlaps);
        for ((other, merged), &overlap) in others {
            if overlap > least && !*merged {
                *merged = true;
                score += other.score;
            }
        }
        kept.push(FaceWindow { score, ..*best });
    }
    kept
}

for_all_lanes! {
    /// The share of the pixels of either that a window and each of the others have both; 0 where
    /// they do not touch.
    fn measure(
        (x, y, size): (i32, i32, i32),
        xs: &[i32],
        ys: &[i32],
        sizes: &[i32],
        overlaps: &mut [f32],
    ) {
        let along = |a: i32, a_size: i32, b: i32, b_size: i32| {
            a.wrapping_add(a_size).min(b.wrapping_add(b_size)).wrapping_sub(a.max(b))
        };
        let area = |size: i32| size.wrapping_mul(size) as f32;
        for (((overlap, &x2), &y2), &size2) in overlaps.iter_mut().zip(xs).zip(ys).zip(sizes) {
            let width = along(x, size, x2, size2).max(0);
            let height = along(y, size, y2, size2).max(0);
            let both = width.wrapping_mul(height) as f32;
            *overlap = both / (area(size) + area(size2) - both);
        }
    }
}
