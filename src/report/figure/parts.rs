//! Accuracy of several configurations on the same parts of a test set: a row per configuration, in
//! it a mark with its interval per part.
use super::{
    axes::{legend, legend_height, mark, percent, series, ticks, Axes, Key},
    canvas::{fitted, Anchor, Canvas, Text},
    curves::range_of,
    EM, GRID, WIDTH,
};
use crate::record::Estimate;

/// One configuration.
#[derive(Clone, Debug)]
pub struct PartsRow {
    /// Its name.
    pub label: String,
    /// Accuracy on every part, 0..=1, in the order of the parts' names; `None` where none of the
    /// samples is in it.
    pub accuracy: Vec<Option<Estimate>>,
}

const LABEL_ROOM: f64 = 260.0;
/// Height of one mark's line in units.
const LINE: f64 = 42.0;
/// Space between two configurations.
const GAP: f64 = 34.0;

/// Draws the configurations from top to bottom over one axis; `parts` names the marks.
pub fn parts(parts: &[String], rows: &[PartsRow]) -> Canvas {
    let keys: Vec<Key> = parts.iter().enumerate().map(|(k, name)| key(k, name)).collect();
    let top = legend_height(parts, WIDTH - 60.0) + 40.0;
    let block = parts.len().max(1) as f64 * LINE + GAP;
    let height = rows.len().max(1) as f64 * block;
    let mut canvas = Canvas::new(WIDTH, top + height + 3.4 * EM);
    legend(&mut canvas, &keys, (30.0, 10.0), WIDTH - 60.0);
    let known = rows.iter().flat_map(|row| row.accuracy.iter().flatten());
    let x = range_of(known.flat_map(|e| [e.lo, e.hi]), (0.0, 1.0));
    let frame = [LABEL_ROOM, top, WIDTH - 60.0, top + height];
    let axes = Axes { frame, x, y: (height, 0.0) };
    axes.x_ticks(&mut canvas, &ticks(x, 8), &percent);
    for (i, row) in rows.iter().enumerate() {
        let above = i as f64 * block;
        if i > 0 {
            let (_, y) = axes.at((x.0, above));
            canvas.line(vec![(30.0, y), (WIDTH - 60.0, y)], GRID, 2.0);
        }
        let (_, middle) = axes.at((x.0, above + block / 2.0));
        let label = fitted(&row.label, EM, LABEL_ROOM - 40.0);
        let at = (LABEL_ROOM - 20.0, middle + 0.36 * EM);
        canvas.text(Text::new(label, at).anchor(Anchor::End));
        for (k, estimate) in row.accuracy.iter().enumerate() {
            let Some(e) = estimate else { continue };
            let ((color, kind), y) = (series(k), above + (GAP + LINE) / 2.0 + k as f64 * LINE);
            canvas.line(vec![axes.at((e.lo, y)), axes.at((e.hi, y))], color, 5.0);
            mark(&mut canvas, kind, axes.at((e.value, y)), 12.0, color);
        }
    }
    axes.titles(&mut canvas, "accuracy, with 95 % interval", "");
    canvas
}

fn key(index: usize, label: &str) -> Key {
    let (color, kind) = series(index);
    let sample = Box::new(move |canvas: &mut Canvas, (x, y)| {
        canvas.line(vec![(x - 20.0, y), (x + 20.0, y)], color, 5.0);
        mark(canvas, kind, (x, y), 12.0, color);
    });
    Key { label: label.into(), sample }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_parts_one_and_none() {
        let at = |value: f64| {
            Some(Estimate { value, lo: value - 0.05, hi: value + 0.02, n: 100, clusters: 100 })
        };
        let names = ["video also in train", "kept by --clean", "video not in train", "clean set"];
        let names = names.map(str::to_owned);
        let row = |label: &str, accuracy: &[Option<Estimate>]| PartsRow {
            label: label.into(),
            accuracy: accuracy.to_vec(),
        };
        let rows = [
            row("none", &[at(0.971), at(0.43), at(0.43), at(0.553)]),
            row("a configuration with a name beyond all measure", &[at(0.9), None, at(0.8), None]),
        ];
        super::super::tests::show("parts", &parts(&names, &rows));
        super::super::tests::show("parts-one", &parts(&names[..1], &rows[..1]));
        super::super::tests::show("parts-empty", &parts(&names, &[]));
    }
}
