//! Learning curves: loss and accuracy over epochs, the selected epoch marked.
use super::{
    axes::{
        legend, legend_height, mark, percent, plain, series, ticks, whole, Axes, Key, Mark, Range,
        Sample,
    },
    canvas::{Canvas, Point, Text},
    EM, WIDTH,
};

/// The course of one run's joint training.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Name of the run.
    pub label: String,
    /// Training loss per epoch: (epoch, nats).
    pub train_loss: Vec<Point>,
    /// Validation loss per epoch: (epoch, nats).
    pub val_loss: Vec<Point>,
    /// Training accuracy per epoch: (epoch, share).
    pub train_accuracy: Vec<Point>,
    /// Validation accuracy per epoch: (epoch, share).
    pub val_accuracy: Vec<Point>,
    /// The epoch whose weights were kept, with its validation accuracy.
    pub selected: Option<Point>,
}

/// Marks along a line.
const MARKS: usize = 6;

/// Draws loss and accuracy side by side; validation solid, training dashed.
pub fn learning_curves(curves: &[Curve]) -> Canvas {
    let mut labels: Vec<_> = curves.iter().map(|c| c.label.clone()).collect();
    labels.extend(["validation".into(), "training".into(), "epoch kept".into()]);
    let top = legend_height(&labels, WIDTH - 60.0) + 90.0;
    let mut canvas = Canvas::new(WIDTH, top + 570.0);
    legend(&mut canvas, &keys(curves), (30.0, 10.0), WIDTH - 60.0);
    let half = WIDTH / 2.0;
    let finite = |points: Vec<Point>| points.into_iter().filter(|p| p.1.is_finite());
    let epochs: Vec<Point> =
        curves.iter().flat_map(|c| c.val_accuracy.iter().chain(&c.train_loss).copied()).collect();
    let x = (0.0, finite(epochs).map(|p| p.0).fold(1.0, f64::max));
    let losses: Vec<Point> =
        curves.iter().flat_map(|c| c.val_loss.iter().chain(&c.train_loss).copied()).collect();
    let highest = finite(losses).map(|p| p.1).fold(0.1, f64::max) * 1.05;
    let frame = |left: f64| [left + 100.0, top, left + half - 30.0, top + 450.0];
    let loss = Axes { frame: frame(0.0), x, y: (0.0, highest) };
    let accuracy = Axes { frame: frame(half), x, y: (0.0, 1.0) };
    furnish(&mut canvas, &loss, "cross-entropy (nats)", &plain);
    furnish(&mut canvas, &accuracy, "accuracy", &percent);
    for (i, curve) in curves.iter().enumerate() {
        let (color, kind) = series(i);
        let on = |axes: Axes, points: &[Point]| -> Vec<Point> {
            finite(points.to_vec()).map(|p| axes.at(p)).collect()
        };
        canvas.dashed(&on(loss, &curve.train_loss), color, 3.0, 9.0);
        canvas.dashed(&on(accuracy, &curve.train_accuracy), color, 3.0, 9.0);
        for points in [on(loss, &curve.val_loss), on(accuracy, &curve.val_accuracy)] {
            // Marks along the line tell it from the others where colours are grey.
            let every = points.len().div_ceil(MARKS).max(1);
            let marked = points.iter().skip(i * every / curves.len()).step_by(every);
            marked.for_each(|point| mark(&mut canvas, kind, *point, 8.0, color));
            canvas.line(points, color, 4.0);
        }
        for point in curve.selected.iter().filter(|p| p.1.is_finite()) {
            mark(&mut canvas, kind, accuracy.at(*point), 13.0, color);
        }
    }
    canvas
}

fn furnish(canvas: &mut Canvas, axes: &Axes, title: &str, label: &dyn Fn(f64) -> String) {
    axes.y_ticks(canvas, &ticks(axes.y, 6), label);
    axes.x_ticks(canvas, &whole(ticks(axes.x, 6)), &plain);
    axes.titles(canvas, "epoch", title);
}

fn keys(curves: &[Curve]) -> Vec<Key> {
    let mut keys: Vec<Key> = curves
        .iter()
        .enumerate()
        .map(|(i, curve)| {
            let (color, kind) = series(i);
            Key {
                label: curve.label.clone(),
                sample: Box::new(move |canvas, (x, y)| {
                    canvas.line(vec![(x - 20.0, y), (x + 20.0, y)], color, 4.0);
                    mark(canvas, kind, (x, y), 11.0, color);
                }),
            }
        })
        .collect();
    let line = |dashed: bool| -> Sample {
        Box::new(move |canvas, (x, y)| {
            let points = [(x - 20.0, y), (x + 20.0, y)];
            if dashed {
                canvas.dashed(&points, super::MUTED, 3.0, 9.0);
            } else {
                canvas.line(points.to_vec(), super::MUTED, 4.0);
            }
        })
    };
    keys.push(Key { label: "validation".into(), sample: line(false) });
    keys.push(Key { label: "training".into(), sample: line(true) });
    let kept = |canvas: &mut Canvas, at: Point| mark(canvas, Mark::Disc, at, 11.0, super::MUTED);
    keys.push(Key { label: "epoch kept".into(), sample: Box::new(kept) });
    keys
}

/// A drawing that says why there is nothing to draw.
pub(super) fn nothing(why: &str) -> Canvas {
    let mut canvas = Canvas::new(WIDTH, 4.0 * EM);
    canvas.text(Text::new(why, (30.0, 2.2 * EM)).color(super::MUTED));
    canvas
}

/// The range that holds `values` with a margin, inside `limits`.
pub(super) fn range_of(values: impl Iterator<Item = f64>, limits: Range) -> Range {
    let (lo, hi) = values
        .filter(|v| v.is_finite())
        .fold((f64::MAX, f64::MIN), |(lo, hi), v| (lo.min(v), hi.max(v)));
    if lo > hi {
        return limits;
    }
    let margin = 0.08 * (hi - lo).max(0.05);
    ((lo - margin).max(limits.0), (hi + margin).min(limits.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_runs_stay_legible() {
        let curve = |i: usize| {
            let at = |f: &dyn Fn(f64) -> f64| {
                (1..=36).map(|e| (f64::from(e), f(f64::from(e)))).collect::<Vec<_>>()
            };
            let k = 6.0 + i as f64 * 3.0;
            Curve {
                label: format!("GLAMOR-Net variant number {i}, seed {i}"),
                train_loss: at(&|e| 1.9 * (-e / k).exp()),
                val_loss: at(&|e| 0.7 + 1.2 * (-e / k).exp() + e * 0.01),
                train_accuracy: at(&|e| 1.0 - 0.86 * (-e / k).exp()),
                val_accuracy: at(&|e| 0.8 - 0.66 * (-e / k).exp()),
                selected: Some((30.0, 0.8 - 0.66 * (-30.0 / k).exp())),
            }
        };
        let curves: Vec<_> = (0..6).map(curve).collect();
        super::super::tests::show("curves", &learning_curves(&curves));
    }

    #[test]
    fn a_diverged_run_is_drawn_as_far_as_it_is_finite() {
        let mut curve = Curve {
            label: "diverged".into(),
            train_loss: vec![(1.0, 2.0), (2.0, f64::NAN)],
            val_loss: vec![(1.0, f64::INFINITY)],
            train_accuracy: vec![],
            val_accuracy: vec![],
            selected: Some((1.0, f64::NAN)),
        };
        super::super::tests::show("curves-diverged", &learning_curves(&[curve.clone()]));
        curve.train_loss.clear();
        super::super::tests::show("curves-empty", &learning_curves(&[curve]));
    }
}
