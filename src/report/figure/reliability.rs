//! Reliability: how often a model is right at the confidence it claims.
use super::{
    axes::{mark, percent, series, ticks, Axes, Mark},
    canvas::{fitted, Anchor, Canvas, Text},
    EM, GRID, INK, MUTED, WIDTH,
};

/// The samples whose confidence falls into one bin.
#[derive(Clone, Copy, Debug)]
pub struct Bin {
    /// Mean confidence of the samples, 0..=1.
    pub confidence: f64,
    /// Share of them that is right, 0..=1.
    pub accuracy: f64,
    /// Number of samples.
    pub n: u64,
}

impl Bin {
    /// Whether there are enough samples to say something: ten leave a share 30 points either way.
    fn is_firm(&self) -> bool {
        self.n >= FEW
    }
}

/// One model's curve.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Name of the model.
    pub label: String,
    /// Summary under the name, such as its calibration error.
    pub summary: String,
    /// Non-empty bins in order of confidence.
    pub bins: Vec<Bin>,
}

/// Bins with fewer samples are drawn hollow and join no line.
pub const FEW: u64 = 10;
const COLUMNS: usize = 3;
const SIDE: f64 = 310.0;
const PITCH: (f64, f64) = (WIDTH / COLUMNS as f64, 640.0);

/// Draws one panel per model: accuracy over confidence, with the share of samples per bin below.
pub fn reliability(panels: &[Panel]) -> Canvas {
    if panels.is_empty() {
        return super::curves::nothing("no model has confidences");
    }
    let rows = panels.len().div_ceil(COLUMNS);
    let mut canvas = Canvas::new(WIDTH, rows as f64 * PITCH.1);
    for (i, panel) in panels.iter().enumerate() {
        let corner = ((i % COLUMNS) as f64 * PITCH.0, (i / COLUMNS) as f64 * PITCH.1);
        draw(&mut canvas, panel, corner);
    }
    canvas
}

fn draw(canvas: &mut Canvas, panel: &Panel, (left, top): (f64, f64)) {
    let room = PITCH.0 - 40.0;
    canvas.text(Text::new(fitted(&panel.label, EM, room * 0.92), (left + 24.0, top + 40.0)).bold());
    let summary = fitted(&panel.summary, 0.85 * EM, room);
    canvas.text(Text::new(summary, (left + 24.0, top + 76.0)).em(0.85 * EM).color(MUTED));
    let (x, y) = (left + 112.0, top + 140.0);
    let axes = Axes { frame: [x, y, x + SIDE, y + SIDE], x: (0.0, 1.0), y: (0.0, 1.0) };
    axes.y_ticks(canvas, &ticks((0.0, 1.0), 4), &percent);
    axes.x_ticks(canvas, &[0.0, 0.5, 1.0], &percent);
    axes.titles(canvas, "", "share that is right");
    let ideal = [axes.at((0.0, 0.0)), axes.at((1.0, 1.0))];
    canvas.dashed(&ideal, MUTED, 2.0, 8.0);
    let (color, _) = series(0);
    let points: Vec<_> = panel.bins.iter().map(|b| axes.at((b.confidence, b.accuracy))).collect();
    for (bins, points) in panel.bins.windows(2).zip(points.windows(2)) {
        if bins.iter().all(Bin::is_firm) {
            canvas.line(points.to_vec(), color, 3.0);
        }
    }
    for (bin, point) in panel.bins.iter().zip(points) {
        mark(canvas, if bin.is_firm() { Mark::Disc } else { Mark::Ring }, point, 10.0, color);
    }
    histogram(canvas, &panel.bins, (x, y + SIDE + 2.0 * EM));
}

/// Where the samples are: a bar per bin, the highest at full height.
fn histogram(canvas: &mut Canvas, bins: &[Bin], (left, top): (f64, f64)) {
    let height = 66.0;
    let most = bins.iter().map(|b| b.n).max().unwrap_or(0).max(1) as f64;
    for bin in bins {
        let x = left + bin.confidence * SIDE;
        let tall = height * bin.n as f64 / most;
        canvas.rect((x - 9.0, top + height - tall), (x + 9.0, top + height), GRID);
        canvas.rect((x - 9.0, top + height - tall), (x + 9.0, top + height - tall + 3.0), MUTED);
    }
    canvas.line(vec![(left, top + height), (left + SIDE, top + height)], INK, 2.0);
    let below = (left + SIDE / 2.0, top + height + 1.2 * EM);
    let text = Text::new("claimed confidence; bars: samples", below).anchor(Anchor::Middle);
    canvas.text(text.em(0.85 * EM).color(MUTED));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_models_break_into_two_rows() {
        let bins = (0..10).map(|i| Bin {
            confidence: 0.05 + 0.1 * f64::from(i),
            accuracy: (0.08 * f64::from(i) + 0.1).min(1.0),
            n: 10 + (i as u64) * 7,
        });
        let panel = |label: &str| Panel {
            label: label.into(),
            summary: "expected calibration error 0.083".into(),
            bins: bins.clone().collect(),
        };
        let panels = ["GLA", "CA", "none", "a model with a name that is far too long to fit"];
        super::super::tests::show("reliability", &reliability(&panels.map(panel)));
        super::super::tests::show("reliability-none", &reliability(&[]));
    }
}
