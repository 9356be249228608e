//! From a number of frames to the frames that are kept: a clip is cut into parts of about equal
//! length, and one frame is drawn from each (the construction rule of NCAER-S).
//!
//! Pure: a frame depends on seed, clip, number of frames and frame rate, and on no other clip.
use crate::{record::Segment, seed::Draws};

/// The frame rate assumed where a stream's own is implausible, in frames per second.
pub const ASSUMED_FPS: f64 = 25.0;

/// The plausible rates, in frames per second.
pub const PLAUSIBLE_FPS: std::ops::RangeInclusive<f64> = 1.0..=240.0;

/// The rate to reckon with, and whether it had to be assumed.
pub fn usable_fps(fps: Option<f64>) -> (f64, bool) {
    match fps {
        Some(rate) if PLAUSIBLE_FPS.contains(&rate) => (rate, false),
        _ => (ASSUMED_FPS, true),
    }
}

/// Cuts `frames` frames at `fps` into n = max(1, round half up(duration / `segment_seconds`))
/// parts; part k is `floor(kN/n)..floor((k+1)N/n)`. Never more parts than frames, so that no part
/// is empty; none at all for a clip of no frames.
pub fn segments(frames: u64, fps: f64, segment_seconds: f64) -> Vec<Segment> {
    let wanted = (frames as f64 / fps / segment_seconds + 0.5).floor() as u64;
    let parts = wanted.max(1).min(frames);
    let edge = |k: u64| (u128::from(k) * u128::from(frames) / u128::from(parts)) as u64;
    (0..parts)
        .map(|k| Segment { index: k as u32, start_frame: edge(k), end_frame: edge(k + 1) })
        .collect()
}

/// `clip_id/NNN`, NNN the segment with three digits.
pub fn sample_id(clip_id: &str, segment: u32) -> String {
    use std::fmt::Write;
    // A million of them are kept at once, so none holds more than its text.
    let mut id = String::with_capacity(clip_id.len() + 4);
    write!(id, "{clip_id}/{segment:03}").expect("a String takes all");
    id
}

/// The frame drawn from a segment, uniform over it.
pub fn frame(seed: u64, sample_id: &str, segment: &Segment) -> u64 {
    let length = segment.end_frame - segment.start_frame;
    segment.start_frame + Draws::new(seed, "frame", sample_id).below(length)
}

/// The frame of a later draw from a segment, `draw` 1 and above; 0 is [`frame`]. Draws follow each
/// other until one gives a frame that is not damaged.
pub fn redrawn(seed: u64, sample_id: &str, segment: &Segment, draw: u32) -> u64 {
    match draw {
        0 => frame(seed, sample_id, segment),
        _ => frame(seed, &format!("{sample_id}#{draw}"), segment),
    }
}

/// As [`segments`], of the part `frames` of a file; the indexes of frames are those of the file.
pub fn segments_of(frames: std::ops::Range<u64>, fps: f64, segment_seconds: f64) -> Vec<Segment> {
    let mut cut = segments(frames.end.saturating_sub(frames.start), fps, segment_seconds);
    for segment in &mut cut {
        segment.start_frame += frames.start;
        segment.end_frame += frames.start;
    }
    cut
}

/// Every segment of a clip with the frame drawn from it, in order.
pub fn targets(seed: u64, clip_id: &str, segments: &[Segment]) -> Vec<u64> {
    segments.iter().map(|s| frame(seed, &sample_id(clip_id, s.index), s)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn edges(frames: u64, fps: f64) -> Vec<(u64, u64)> {
        segments(frames, fps, 2.0).iter().map(|s| (s.start_frame, s.end_frame)).collect()
    }

    #[test]
    fn known_cuts() {
        assert!(edges(0, 25.0).is_empty());
        assert_eq!(edges(1, 25.0), [(0, 1)]);
        assert_eq!(edges(74, 25.0), [(0, 74)]); // 1.48 parts
        assert_eq!(edges(75, 25.0), [(0, 37), (37, 75)]); // 1.5 parts: half goes up
        assert_eq!(edges(125, 25.0), [(0, 41), (41, 83), (83, 125)]); // 2.5 parts
        assert_eq!(edges(96, 24000.0 / 1001.0), [(0, 48), (48, 96)]);
    }

    #[test]
    fn implausible_rates_become_25() {
        for bad in [None, Some(0.0), Some(1000.0), Some(f64::NAN), Some(f64::INFINITY)] {
            assert_eq!(usable_fps(bad), (25.0, true), "{bad:?}");
        }
        assert_eq!(usable_fps(Some(240.0)), (240.0, false));
    }

    /// From an independent ChaCha8 written in another language; other values break every manifest.
    #[test]
    fn golden_frames() {
        let drawn = targets(1, "train/Anger/0001", &segments(240, 24.0, 2.0));
        assert_eq!(drawn, GOLDEN);
    }

    #[test]
    fn later_draws_are_their_own() {
        let segment = Segment { index: 3, start_frame: 10, end_frame: 60 };
        let draws: Vec<u64> = (0..40).map(|draw| redrawn(1, "a/003", &segment, draw)).collect();
        assert_eq!(draws[0], frame(1, "a/003", &segment));
        assert!(draws.iter().all(|at| (10..60).contains(at)));
        let different: std::collections::BTreeSet<_> = draws.iter().collect();
        assert!(different.len() > 20, "{draws:?}");
    }

    #[test]
    fn parts_of_a_file_are_cut_like_files() {
        let part = segments_of(100..350, 25.0, 2.0);
        let edges: Vec<_> = part.iter().map(|s| (s.start_frame, s.end_frame)).collect();
        assert_eq!(edges, [(100, 150), (150, 200), (200, 250), (250, 300), (300, 350)]);
        assert_eq!(segments_of(0..96, 24.0, 2.0), segments(96, 24.0, 2.0));
        assert!(segments_of(7..7, 25.0, 2.0).is_empty());
    }

    const GOLDEN: [u64; 5] = [24, 95, 96, 184, 209];

    proptest! {
        #[test]
        fn parts_tile_the_clip_and_frames_lie_inside(
            frames in 1u64..200_000, fps in 1.0f64..240.0, seconds in 0.01f64..60.0, seed: u64,
        ) {
            let parts = segments(frames, fps, seconds);
            prop_assert_eq!(parts[0].start_frame, 0);
            prop_assert_eq!(parts[parts.len() - 1].end_frame, frames);
            for pair in parts.windows(2) {
                prop_assert_eq!(pair[0].end_frame, pair[1].start_frame);
            }
            for (part, frame) in parts.iter().zip(targets(seed, "a", &parts)) {
                prop_assert!((part.start_frame..part.end_frame).contains(&frame));
            }
        }
    }
}
