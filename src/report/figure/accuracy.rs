//! Accuracy with intervals, one row per configuration, seeds as dots, cited numbers hollow.
use super::{
    axes::{legend, legend_height, mark, percent, series, ticks, Axes, Key, Mark},
    canvas::{fitted, Anchor, Canvas, Text},
    curves::range_of,
    EM, MUTED, WIDTH,
};
use crate::record::Estimate;

/// What is known about one configuration.
#[derive(Clone, Debug)]
pub struct AccuracyRow {
    /// Its name.
    pub label: String,
    /// Mean over the runs with its interval; `None` when nothing was measured.
    pub measured: Option<Estimate>,
    /// Accuracy of every run, 0..=1.
    pub runs: Vec<f64>,
    /// The paper's number, 0..=1: other data, cited.
    pub cited: Option<f64>,
}

const LABEL_ROOM: f64 = 420.0;
const ROW: f64 = 68.0;

/// Draws the rows from top to bottom over one axis; `majority` is the accuracy of always naming
/// the most frequent class.
pub fn accuracy(rows: &[AccuracyRow], majority: Option<f64>) -> Canvas {
    let keys = keys(rows, majority);
    let labels: Vec<_> = keys.iter().map(|k| k.label.clone()).collect();
    let top = legend_height(&labels, WIDTH - 60.0) + 40.0;
    let height = rows.len().max(1) as f64 * ROW;
    let mut canvas = Canvas::new(WIDTH, top + height + 3.4 * EM);
    legend(&mut canvas, &keys, (30.0, 10.0), WIDTH - 60.0);
    let values = rows.iter().flat_map(|r| {
        let ends = r.measured.map(|m| [m.lo, m.hi]).into_iter().flatten();
        ends.chain(r.runs.iter().copied()).chain(r.cited)
    });
    let x = range_of(values.chain(majority), (0.0, 1.0));
    let frame = [LABEL_ROOM, top, WIDTH - 60.0, top + height];
    let axes = Axes { frame, x, y: (rows.len().max(1) as f64, 0.0) };
    axes.x_ticks(&mut canvas, &ticks(x, 8), &percent);
    if let Some(share) = majority {
        let line = [axes.at((share, 0.0)), axes.at((share, rows.len().max(1) as f64))];
        canvas.dashed(&line, MUTED, 3.0, 7.0);
    }
    for (i, row) in rows.iter().enumerate() {
        // `y` grows downwards here: row i lies around i + 0.5.
        draw(&mut canvas, &axes, row, i as f64 + 0.5);
    }
    axes.titles(&mut canvas, "accuracy", "");
    canvas
}

fn draw(canvas: &mut Canvas, axes: &Axes, row: &AccuracyRow, y: f64) {
    let (_, middle) = axes.at((0.0, y));
    let label = fitted(&row.label, EM, LABEL_ROOM - 40.0);
    let text = Text::new(label, (LABEL_ROOM - 20.0, middle + 0.36 * EM));
    canvas.text(text.anchor(Anchor::End));
    let (color, _) = series(0);
    if let Some(m) = row.measured {
        canvas.line(vec![axes.at((m.lo, y)), axes.at((m.hi, y))], color, 6.0);
        mark(canvas, Mark::Square, axes.at((m.value, y)), 13.0, color);
    }
    if row.runs.len() > 1 {
        for &run in &row.runs {
            let (x, y) = axes.at((run, y));
            mark(canvas, Mark::Disc, (x, y + 22.0), 6.0, color);
        }
    }
    if let Some(cited) = row.cited {
        mark(canvas, Mark::Ring, axes.at((cited, y)), 12.0, MUTED);
    }
}

fn keys(rows: &[AccuracyRow], majority: Option<f64>) -> Vec<Key> {
    let (color, _) = series(0);
    let mut keys = vec![Key {
        label: "measured here, 95 % interval".into(),
        sample: Box::new(move |canvas, (x, y)| {
            canvas.line(vec![(x - 20.0, y), (x + 20.0, y)], color, 6.0);
            mark(canvas, Mark::Square, (x, y), 11.0, color);
        }),
    }];
    let mut one = |label: &str, kind: Mark, r: f64, ink| {
        let sample = Box::new(move |c: &mut Canvas, at| mark(c, kind, at, r, ink));
        keys.push(Key { label: label.into(), sample });
    };
    if rows.iter().any(|r| r.runs.len() > 1) {
        one("single seeds", Mark::Disc, 6.0, color);
    }
    if rows.iter().any(|r| r.cited.is_some()) {
        one("paper (other data, cited)", Mark::Ring, 12.0, MUTED);
    }
    if majority.is_some() {
        keys.push(Key {
            label: "most frequent class".into(),
            sample: Box::new(|canvas, (x, y)| {
                canvas.dashed(&[(x, y - 18.0), (x, y + 18.0)], MUTED, 3.0, 7.0);
            }),
        });
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(label: &str, value: f64, runs: &[f64], cited: Option<f64>) -> AccuracyRow {
        let measured =
            Some(Estimate { value, lo: value - 0.06, hi: value + 0.05, n: 308, clusters: 154 });
        AccuracyRow { label: label.into(), measured, runs: runs.to_vec(), cited }
    }

    #[test]
    fn rows_with_seeds_and_cited_numbers() {
        let rows = [
            row("F + mC, GLA", 0.81, &[0.79, 0.84, 0.80], Some(0.4691)),
            row("F + mC, CA", 0.64, &[0.64], Some(0.4414)),
            AccuracyRow { measured: None, ..row("fC, GLA (failed)", 0.0, &[], Some(0.4266)) },
            row("a configuration with a name beyond all measure", 0.5, &[], None),
        ];
        super::super::tests::show("accuracy", &accuracy(&rows, Some(0.16)));
        super::super::tests::show("accuracy-empty", &accuracy(&[], None));
    }
}
