//! Fusion weights per class: how much a model listens to the face rather than to the context.
use super::{
    axes::{mark, percent, series, Axes},
    canvas::{fitted, Anchor, Canvas, Text},
    EM, MUTED, WIDTH,
};
use crate::record::{Emotion, NUM_CLASSES};

/// Weights of the face branch over the samples of one true class.
#[derive(Clone, Copy, Debug)]
pub struct ClassWeights {
    /// Mean, 0..=1.
    pub mean: f64,
    /// 10th percentile.
    pub low: f64,
    /// 90th percentile.
    pub high: f64,
    /// Number of samples.
    pub n: u64,
}

const ROW: f64 = 34.0;

/// Draws, per class, each model's mean face weight and the range of the middle 80 % of samples.
/// `models` holds a name and a row per class (`None` where the class has no samples).
pub fn fusion(models: &[(String, [Option<ClassWeights>; NUM_CLASSES])]) -> Canvas {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_without_samples_stay_empty() {
        let weights = |mean: f64| {
            let w = ClassWeights { mean, low: mean - 0.2, high: mean + 0.1, n: 40 };
            let mut all = [Some(w); NUM_CLASSES];
            all[2] = None;
            all
        };
        let models = [("GLA".to_owned(), weights(0.4)), ("CA".to_owned(), weights(0.7))];
        super::super::tests::show("fusion", &fusion(&models));
        super::super::tests::show("fusion-none", &fusion(&[]));
    }
}
