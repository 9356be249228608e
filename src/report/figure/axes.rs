//! Axes, ticks, legends and marks shared by the charts.
use plotters::style::RGBColor;

use super::{
    canvas::{text_width, Anchor, Canvas, Point, Text},
    EM, GRID, INK, MUTED,
};

/// A range of values.
pub type Range = (f64, f64);

/// A rectangle of the canvas with a linear value axis on either side.
#[derive(Clone, Copy, Debug)]
pub struct Axes {
    /// Left, top, right, bottom of the plotting area in units.
    pub frame: [f64; 4],
    /// Values at the left and right edge.
    pub x: Range,
    /// Values at the bottom and top edge.
    pub y: Range,
}

impl Axes {
    /// Where a value lies on the canvas.
    pub fn at(&self, (x, y): Point) -> Point {
        let [left, top, right, bottom] = self.frame;
        let part = |v: f64, (lo, hi): Range| if hi == lo { 0.5 } else { (v - lo) / (hi - lo) };
        (left + part(x, self.x) * (right - left), bottom - part(y, self.y) * (bottom - top))
    }

    /// Draws horizontal grid lines with their labels.
    pub fn y_ticks(&self, canvas: &mut Canvas, ticks: &[f64], label: &dyn Fn(f64) -> String) {
        let [left, _, right, _] = self.frame;
        for &tick in ticks {
            let (_, y) = self.at((0.0, tick));
            canvas.line(vec![(left, y), (right, y)], GRID, 2.0);
            let text = Text::new(label(tick), (left - 12.0, y + 0.36 * EM)).anchor(Anchor::End);
            canvas.text(text);
        }
    }

    /// Draws vertical grid lines with their labels below.
    pub fn x_ticks(&self, canvas: &mut Canvas, ticks: &[f64], label: &dyn Fn(f64) -> String) {
        let [_, top, _, bottom] = self.frame;
        for &tick in ticks {
            let (x, _) = self.at((tick, 0.0));
            canvas.line(vec![(x, top), (x, bottom)], GRID, 2.0);
            let at = (x, bottom + 1.45 * EM);
            canvas.text(Text::new(label(tick), at).anchor(Anchor::Middle));
        }
    }

    /// Draws the axis lines and the two titles; the y title stands upright above the axis.
    pub fn titles(&self, canvas: &mut Canvas, x: &str, y: &str) {
        let [left, top, right, bottom] = self.frame;
        canvas.line(vec![(left, top), (left, bottom), (right, bottom)], INK, 2.0);
        let below = ((left + right) / 2.0, bottom + 2.85 * EM);
        canvas.text(Text::new(x, below).anchor(Anchor::Middle).color(MUTED));
        canvas.text(Text::new(y, (left, top - 0.7 * EM)).color(MUTED));
    }
}

/// At most `most` round numbers inside `range`, evenly spaced by 1, 2 or 5 times a power of ten.
pub fn ticks((lo, hi): Range, most: usize) -> Vec<f64> {
    let raw = (hi - lo) / most.max(1) as f64;
    if !(raw.is_finite() && raw > 0.0) {
        return vec![lo];
    }
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| *s >= raw * 0.999);
    let step = step.unwrap_or(10.0 * power);
    let (first, last) = ((lo / step - 1e-9).ceil() as i64, (hi / step + 1e-9).floor() as i64);
    (first..=last).map(|i| i as f64 * step).collect()
}

/// Epochs are counted; there is no half one.
pub fn whole(ticks: Vec<f64>) -> Vec<f64> {
    ticks.into_iter().filter(|t| (t - t.round()).abs() < 1e-9).collect()
}

/// A number without needless zeros.
pub fn plain(value: f64) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" {
        "0".into()
    } else {
        text.into()
    }
}

/// A share as a whole percentage.
pub fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// The shape that tells series apart where colour does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Filled circle.
    Disc,
    /// Filled square.
    Square,
    /// Triangle, tip up.
    Triangle,
    /// Diamond.
    Diamond,
    /// Triangle, tip down.
    Down,
    /// Hollow circle.
    Ring,
}

/// Draws a mark of radius `r`.
pub fn mark(canvas: &mut Canvas, kind: Mark, (x, y): Point, r: f64, color: RGBColor) {
    let corners = |c: &[(f64, f64)]| c.iter().map(|(dx, dy)| (x + dx * r, y + dy * r)).collect();
    match kind {
        Mark::Disc => canvas.disc((x, y), r, color),
        Mark::Ring => {
            canvas.disc((x, y), r, color);
            canvas.disc((x, y), r - 3.5, plotters::style::WHITE);
        }
        Mark::Square => {
            canvas.rect((x - 0.85 * r, y - 0.85 * r), (x + 0.85 * r, y + 0.85 * r), color)
        }
        Mark::Triangle => canvas.area(corners(&[(0.0, -1.2), (1.1, 0.8), (-1.1, 0.8)]), color),
        Mark::Down => canvas.area(corners(&[(0.0, 1.2), (1.1, -0.8), (-1.1, -0.8)]), color),
        Mark::Diamond => {
            canvas.area(corners(&[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)]), color);
        }
    }
}

/// Colours told apart by people with any kind of colour vision (Okabe and Ito, 2008), ordered
/// so that neighbours differ in lightness, each with its own mark.
const SERIES: [(RGBColor, Mark); 6] = [
    (RGBColor(0, 114, 178), Mark::Disc),
    (RGBColor(230, 159, 0), Mark::Square),
    (RGBColor(0, 0, 0), Mark::Triangle),
    (RGBColor(86, 180, 233), Mark::Diamond),
    (RGBColor(213, 94, 0), Mark::Down),
    (RGBColor(0, 158, 115), Mark::Ring),
];

/// Colour and mark of the n-th series; they repeat after six.
pub fn series(index: usize) -> (RGBColor, Mark) {
    SERIES[index % SERIES.len()]
}

/// Draws a legend's sample around a centre.
pub type Sample = Box<dyn Fn(&mut Canvas, Point)>;

/// One entry of a legend.
pub struct Key {
    /// What it says.
    pub label: String,
    /// Draws the sample around a centre.
    pub sample: Sample,
}

/// Height in units of a legend of these labels set in `room` units.
pub fn legend_height(labels: &[String], room: f64) -> f64 {
    let rows = legend_places(labels, room).last().map_or(0, |p| p.1 + 1);
    rows as f64 * 1.5 * EM
}

/// Draws a legend from `(left, top)` to the right, breaking lines at `room` units.
pub fn legend(canvas: &mut Canvas, keys: &[Key], (left, top): Point, room: f64) {
    let labels: Vec<_> = keys.iter().map(|k| k.label.clone()).collect();
    for (key, (x, row)) in keys.iter().zip(legend_places(&labels, room)) {
        let y = top + (row as f64 + 0.75) * 1.5 * EM;
        (key.sample)(canvas, (left + x + 22.0, y - 0.36 * EM));
        let fitted = super::canvas::fitted(&key.label, EM, room - 52.0);
        canvas.text(Text::new(fitted, (left + x + 52.0, y)));
    }
}

/// Offset and row of every entry.
fn legend_places(labels: &[String], room: f64) -> Vec<(f64, usize)> {
    let (mut x, mut row) = (0.0, 0);
    let mut places = Vec::new();
    for label in labels {
        let width = 52.0 + text_width(label, EM, false).min(room - 52.0);
        if x > 0.0 && x + width > room {
            (x, row) = (0.0, row + 1);
        }
        places.push((x, row));
        x += width + 1.4 * EM;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks((0.0, 1.0), 5), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(ticks((0.0, 97.0), 5), [0.0, 20.0, 40.0, 60.0, 80.0]);
        assert_eq!(ticks((3.0, 3.0), 5), [3.0]);
        assert_eq!(plain(0.6000000000000001), "0.6");
    }

    #[test]
    fn values_map_to_the_frame() {
        let axes = Axes { frame: [10.0, 20.0, 110.0, 220.0], x: (0.0, 1.0), y: (0.0, 2.0) };
        assert_eq!(axes.at((0.0, 0.0)), (10.0, 220.0));
        assert_eq!(axes.at((1.0, 2.0)), (110.0, 20.0));
    }
}
