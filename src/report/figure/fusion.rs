//! Fusion weights per class: how much a model listens to the face rather than to the context.
use super::{
    axes::{legend, legend_height, mark, percent, plain, series, ticks, whole, Axes, Key},
    canvas::{fitted, Anchor, Canvas, Point, Text},
    EM, MUTED, WIDTH,
};
use crate::record::{Emotion, NUM_CLASSES};

/// Weights of the face branch over the samples of one true class.
#[derive(Clone, Copy, Debug)]
pub struct FusionWeight {
    /// Mean, 0..=1.
    pub mean: f64,
    /// 10th percentile.
    pub low: f64,
    /// 90th percentile.
    pub high: f64,
}

const ROW: f64 = 34.0;

/// Draws, per class, each model's mean face weight and the range of the middle 80 % of samples.
/// `models` holds a name and a row per class (`None` where the class has no samples).
pub fn fusion(models: &[(String, [Option<FusionWeight>; NUM_CLASSES])]) -> Canvas {
    if models.is_empty() {
        return super::curves::nothing("no model has fusion weights");
    }
    let group = models.len() as f64 * ROW + 26.0;
    let top = models.len() as f64 * 1.5 * EM + 60.0;
    let height = group * NUM_CLASSES as f64;
    let mut canvas = Canvas::new(WIDTH, top + height + 3.4 * EM);
    for (i, (name, _)) in models.iter().enumerate() {
        let (color, kind) = series(i);
        let y = 44.0 + i as f64 * 1.5 * EM;
        mark(&mut canvas, kind, (46.0, y - 0.36 * EM), 11.0, color);
        canvas.text(Text::new(fitted(name, EM, WIDTH - 120.0), (74.0, y)));
    }
    let frame = [190.0, top, WIDTH - 70.0, top + height];
    let axes = Axes { frame, x: (0.0, 1.0), y: (0.0, 1.0) };
    axes.x_ticks(&mut canvas, &[0.0, 0.25, 0.5, 0.75, 1.0], &percent);
    for (class, emotion) in Emotion::ALL.into_iter().enumerate() {
        let start = top + class as f64 * group;
        let at = (170.0, start + group / 2.0 + 0.36 * EM);
        canvas.text(Text::new(emotion.name(), at).anchor(Anchor::End));
        for (i, (_, weights)) in models.iter().enumerate() {
            let y = start + 13.0 + (i as f64 + 0.5) * ROW;
            if let Some(w) = weights[class] {
                let (color, kind) = series(i);
                let x = |v: f64| axes.at((v, 0.0)).0;
                canvas.line(vec![(x(w.low), y), (x(w.high), y)], color, 4.0);
                mark(&mut canvas, kind, (x(w.mean), y), 11.0, color);
            }
        }
    }
    axes.titles(&mut canvas, "weight of the face (the rest is the context's)", "");
    let separators = (1..NUM_CLASSES).map(|c| top + c as f64 * group);
    for y in separators {
        canvas.line(vec![(190.0, y), (WIDTH - 70.0, y)], MUTED, 1.0);
    }
    canvas
}

/// Below this mean weight a branch counts as ignored, as in training's own warning.
const IGNORED: f64 = 0.02;

/// Draws each model's mean face weight on validation over the epochs of joint training, with the
/// weights at which one branch is ignored.
pub fn fusion_course(models: &[(String, Vec<Point>)]) -> Canvas {
    let finite = |points: &[Point]| points.iter().copied().filter(|p| p.1.is_finite()).collect();
    let lines: Vec<Vec<Point>> = models.iter().map(|(_, points)| finite(points)).collect();
    if lines.iter().all(Vec::is_empty) {
        return super::curves::nothing("no model has fusion weights");
    }
    let labels: Vec<_> = models.iter().map(|(name, _)| name.clone()).collect();
    let top = legend_height(&labels, WIDTH - 60.0) + 90.0;
    let mut canvas = Canvas::new(WIDTH, top + 520.0);
    legend(&mut canvas, &keys(&labels), (30.0, 10.0), WIDTH - 60.0);
    let last = lines.iter().flatten().map(|p| p.0).fold(1.0, f64::max);
    let frame = [120.0, top, WIDTH - 40.0, top + 400.0];
    let axes = Axes { frame, x: (0.0, last), y: (0.0, 1.0) };
    axes.y_ticks(&mut canvas, &[0.0, 0.25, 0.5, 0.75, 1.0], &percent);
    axes.x_ticks(&mut canvas, &whole(ticks(axes.x, 8)), &plain);
    axes.titles(&mut canvas, "epoch of joint training", "mean weight of the face");
    for limit in [IGNORED, 1.0 - IGNORED] {
        canvas.dashed(&[axes.at((0.0, limit)), axes.at((last, limit))], MUTED, 2.0, 9.0);
    }
    for (i, points) in lines.iter().enumerate() {
        let (color, kind) = series(i);
        let points: Vec<Point> = points.iter().map(|p| axes.at(*p)).collect();
        if let Some(end) = points.last() {
            mark(&mut canvas, kind, *end, 11.0, color);
        }
        canvas.line(points, color, 4.0);
    }
    canvas
}

fn keys(labels: &[String]) -> Vec<Key> {
    let key = |(i, label): (usize, &String)| {
        let (color, kind) = series(i);
        Key {
            label: label.clone(),
            sample: Box::new(move |canvas: &mut Canvas, (x, y): Point| {
                canvas.line(vec![(x - 20.0, y), (x + 20.0, y)], color, 4.0);
                mark(canvas, kind, (x, y), 11.0, color);
            }),
        }
    };
    labels.iter().enumerate().map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_without_samples_stay_empty() {
        let weights = |mean: f64| {
            let w = FusionWeight { mean, low: mean - 0.2, high: mean + 0.1 };
            let mut all = [Some(w); NUM_CLASSES];
            all[2] = None;
            all
        };
        let models = [("GLA".to_owned(), weights(0.4)), ("CA".to_owned(), weights(0.7))];
        super::super::tests::show("fusion", &fusion(&models));
        super::super::tests::show("fusion-none", &fusion(&[]));
    }

    #[test]
    fn the_course_of_a_collapse_reaches_the_line() {
        let fall =
            |rate: f64| (1..=30).map(move |e| (f64::from(e), 0.5 * (-f64::from(e) * rate).exp()));
        let models = [
            ("GLA, seed 1".to_owned(), fall(0.15).collect()),
            ("CA, seed 1".to_owned(), fall(0.01).collect::<Vec<_>>()),
            ("diverged".to_owned(), vec![(1.0, 0.5), (2.0, f64::NAN)]),
        ];
        super::super::tests::show("fusion-course", &fusion_course(&models));
        super::super::tests::show("fusion-course-none", &fusion_course(&[]));
    }
}
