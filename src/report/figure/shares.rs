//! Class shares before and after balancing, as Fig. 6, with the paper's Table 1 beside them.
use plotters::style::{RGBColor, WHITE};

use super::{
    axes::{legend, legend_height, percent, series, ticks, Axes, Key},
    canvas::{Anchor, Canvas, Point, Text},
    EM, MUTED, WIDTH,
};
use crate::record::{Emotion, NUM_CLASSES};

/// A set of counts per class.
#[derive(Clone, Debug)]
pub struct Shares {
    /// What was counted.
    pub label: String,
    /// Counts in label order.
    pub counts: [u64; NUM_CLASSES],
    /// Quoted from the paper rather than counted here: drawn hollow and hatched.
    pub cited: bool,
}

impl Shares {
    /// Share of a class, 0 when nothing was counted.
    fn share(&self, class: usize) -> f64 {
        let total: u64 = self.counts.iter().sum();
        if total == 0 {
            0.0
        } else {
            self.counts[class] as f64 / total as f64
        }
    }
}

/// Draws grouped bars, a group per class, with the count above every bar.
pub fn shares(sets: &[Shares]) -> Canvas {
    let labels: Vec<_> = sets.iter().map(|s| s.label.clone()).collect();
    let head = legend_height(&labels, WIDTH - 60.0);
    let top = head + 90.0;
    let mut canvas = Canvas::new(WIDTH, top + 540.0);
    legend(&mut canvas, &keys(sets), (30.0, 10.0), WIDTH - 60.0);
    let highest = sets.iter().flat_map(|s| (0..NUM_CLASSES).map(|c| s.share(c)));
    let highest = highest.fold(0.1, f64::max) * 1.22;
    let axes = Axes {
        frame: [110.0, top, WIDTH - 20.0, top + 450.0],
        x: (0.0, NUM_CLASSES as f64),
        y: (0.0, highest),
    };
    axes.y_ticks(&mut canvas, &ticks((0.0, highest), 5), &percent);
    axes.titles(&mut canvas, "", "share of the samples (counts on the bars)");
    for (class, emotion) in Emotion::ALL.into_iter().enumerate() {
        let (x, y) = axes.at((class as f64 + 0.5, 0.0));
        canvas.text(Text::new(emotion.name(), (x, y + 1.4 * EM)).anchor(Anchor::Middle));
        group(&mut canvas, &axes, sets, class);
    }
    canvas
}

fn group(canvas: &mut Canvas, axes: &Axes, sets: &[Shares], class: usize) {
    let width = 0.84 / sets.len().max(1) as f64;
    for (i, set) in sets.iter().enumerate() {
        let left = class as f64 + 0.08 + i as f64 * width;
        let (x1, y1) = axes.at((left, set.share(class)));
        let (x2, y2) = axes.at((left + width * 0.92, 0.0));
        bar(canvas, (x1, y1), (x2, y2), i, set.cited);
        let at = ((x1 + x2) / 2.0 + 0.28 * EM, y1 - 8.0);
        let count = Text::new(set.counts[class].to_string(), at).em(0.78 * EM).upwards();
        canvas.text(count.color(MUTED));
    }
}

fn bar(canvas: &mut Canvas, from: Point, to: Point, index: usize, cited: bool) {
    let (color, _) = series(index);
    let color = if cited { MUTED } else { color };
    canvas.rect(from, to, color);
    if cited {
        hatch(canvas, (from.0 + 3.0, from.1 + 3.0), (to.0 - 3.0, to.1), color);
    }
}

/// White with slanted lines: what is quoted must not look measured, in grey neither.
fn hatch(canvas: &mut Canvas, (x1, y1): Point, (x2, y2): Point, color: RGBColor) {
    canvas.rect((x1, y1.min(y2)), (x2, y2), WHITE);
    let mut c = x1 + y1;
    while c < x2 + y2 {
        // The line x + y = c inside the rectangle.
        let (xa, xb) = ((c - y2).max(x1), (c - y1).min(x2));
        if xa < xb {
            canvas.line(vec![(xa, c - xa), (xb, c - xb)], color, 2.0);
        }
        c += 12.0;
    }
}

fn keys(sets: &[Shares]) -> Vec<Key> {
    sets.iter()
        .enumerate()
        .map(|(i, set)| {
            let cited = set.cited;
            Key {
                label: set.label.clone(),
                sample: Box::new(move |canvas, (x, y)| {
                    bar(canvas, (x - 16.0, y - 14.0), (x + 16.0, y + 14.0), i, cited);
                }),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stand_on_their_bars() {
        let set = |label: &str, counts, cited| Shares { label: label.into(), counts, cited };
        let canvas = shares(&[
            set("clips of the corpus", [120, 90, 60, 300, 410, 200, 80], false),
            set("frames drawn", [360, 270, 170, 900, 1300, 600, 240], false),
            set("training samples", [170, 170, 170, 289, 289, 289, 240], false),
            set("NCAER-S, Table 1 (cited)", [2272, 3004, 2902, 1905, 3202, 3084, 2186], true),
        ]);
        super::super::tests::show("shares", &canvas);
        assert!(canvas.texts().any(|t| t.text == "1905"));
    }

    #[test]
    fn an_empty_set_has_no_share() {
        let empty = Shares { label: "none".into(), counts: [0; 7], cited: false };
        super::super::tests::show("shares-empty", &shares(&[empty]));
    }
}
