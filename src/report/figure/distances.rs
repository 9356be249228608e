//! How far pictures are from the nearest of another part, beside random pairs.
use super::{
    axes::{legend, legend_height, percent, plain, series, ticks, Axes, Key},
    canvas::{Anchor, Canvas, Point, Text},
    EM, MUTED, WIDTH,
};

/// Numbers of pictures by distance from 0 on; the last stand for all that are farther.
#[derive(Clone, Debug)]
pub struct DistanceCounts {
    /// What was measured.
    pub label: String,
    /// By differing bits.
    pub counts: Vec<usize>,
}

/// Draws the shares as bars side by side; `radius` is marked as the farthest that is looked at.
pub fn distances(sets: &[DistanceCounts], radius: f64) -> Canvas {
    let labels: Vec<_> = sets.iter().map(|s| s.label.clone()).collect();
    let top = legend_height(&labels, WIDTH - 60.0) + 90.0;
    let mut canvas = Canvas::new(WIDTH, top + 500.0);
    legend(&mut canvas, &keys(sets), (30.0, 10.0), WIDTH - 60.0);
    let bins = sets.iter().map(|s| s.counts.len()).max().unwrap_or(0).max(1);
    let highest = sets.iter().flat_map(|s| (0..bins).map(|bin| share(s, bin))).fold(0.02, f64::max);
    let axes = Axes {
        frame: [110.0, top, WIDTH - 30.0, top + 400.0],
        x: (-0.5, bins as f64 - 0.5),
        y: (0.0, 1.08 * highest),
    };
    axes.y_ticks(&mut canvas, &ticks(axes.y, 5), &percent);
    for (i, set) in sets.iter().enumerate() {
        let width = 0.86 / sets.len() as f64;
        for bin in (0..bins).filter(|bin| share(set, *bin) > 0.0) {
            let left = bin as f64 - 0.43 + i as f64 * width;
            let from = axes.at((left, share(set, bin)));
            canvas.rect(from, axes.at((left + 0.94 * width, 0.0)), series(i).0);
        }
    }
    let edge = radius + 0.5;
    canvas.dashed(&[axes.at((edge, 0.0)), axes.at((edge, axes.y.1))], MUTED, 3.0, 7.0);
    let (x, y) = axes.at((edge, axes.y.1));
    canvas.text(
        Text::new("compared cell by cell", (x - 14.0, y + 0.9 * EM))
            .anchor(Anchor::End)
            .color(MUTED)
            .em(0.85 * EM),
    );
    let last = bins - 1;
    let label = |bits: f64| {
        let more = if bits as usize == last { "+" } else { "" };
        format!("{}{more}", plain(bits))
    };
    let labelled: Vec<f64> = (0..bins).step_by(4).map(|bits| bits as f64).collect();
    axes.x_ticks(&mut canvas, &labelled, &label);
    axes.titles(&mut canvas, "differing bits of 64", "share of pictures");
    canvas
}

fn share(set: &DistanceCounts, bin: usize) -> f64 {
    let total: usize = set.counts.iter().sum();
    set.counts.get(bin).map_or(0.0, |n| *n as f64 / total.max(1) as f64)
}

fn keys(sets: &[DistanceCounts]) -> Vec<Key> {
    let key = |(i, set): (usize, &DistanceCounts)| Key {
        label: set.label.clone(),
        sample: Box::new(move |canvas: &mut Canvas, (x, y): Point| {
            canvas.rect((x - 16.0, y - 14.0), (x + 16.0, y + 14.0), series(i).0);
        }),
    };
    sets.iter().enumerate().map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_pairs_stand_left_of_the_mark() {
        let counts = |label: &str, at: &[(usize, usize)]| {
            let mut counts = vec![0; 33];
            at.iter().for_each(|(bits, n)| counts[*bits] = *n);
            DistanceCounts { label: label.into(), counts }
        };
        let sets = [
            counts("nearest in train", &[(0, 30), (1, 12), (9, 3), (14, 40), (15, 60)]),
            counts("random in train", &[(24, 30), (28, 50), (32, 70)]),
        ];
        super::super::tests::show("distances", &distances(&sets, 10.0));
        super::super::tests::show("distances-empty", &distances(&[counts("none", &[])], 10.0));
    }
}
