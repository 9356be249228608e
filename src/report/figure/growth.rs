//! How time or memory grows with size: lines over two logarithmic axes.
use super::{
    axes::{legend, legend_height, mark, plain, series, Axes, Key},
    canvas::{Canvas, Point},
    WIDTH,
};

/// One measured quantity.
#[derive(Clone, Debug)]
pub struct Growth {
    /// What was measured.
    pub label: String,
    /// Size and value, both above 0.
    pub points: Vec<Point>,
}

/// Draws the lines; titles name the units.
pub fn growth(lines: &[Growth], x: &str, y: &str) -> Canvas {
    let keys: Vec<Key> = lines.iter().enumerate().map(|(i, l)| key(i, &l.label)).collect();
    let labels: Vec<_> = keys.iter().map(|k| k.label.clone()).collect();
    let top = legend_height(&labels, WIDTH - 60.0) + 80.0;
    let mut canvas = Canvas::new(WIDTH, top + 610.0);
    legend(&mut canvas, &keys, (30.0, 10.0), WIDTH - 60.0);
    let decades = |of: fn(&Point) -> f64| {
        let values = lines.iter().flat_map(|l| &l.points).map(of).filter(|v| *v > 0.0);
        let (lo, hi) =
            values.fold((f64::MAX, f64::MIN), |(lo, hi), v| (lo.min(v.log10()), hi.max(v.log10())));
        if lo > hi {
            (0.0, 1.0)
        } else {
            (lo.floor(), hi.ceil().max(lo.floor() + 1.0))
        }
    };
    let axes = Axes {
        frame: [140.0, top, WIDTH - 60.0, top + 500.0],
        x: decades(|p| p.0),
        y: decades(|p| p.1),
    };
    let powers = |(lo, hi): (f64, f64)| (lo as i32..=hi as i32).map(f64::from).collect::<Vec<_>>();
    let label = |power: f64| match power as i32 {
        p @ 6.. => format!("{} million", plain(10f64.powi(p - 6))),
        p => plain(10f64.powi(p)),
    };
    axes.x_ticks(&mut canvas, &powers(axes.x), &label);
    axes.y_ticks(&mut canvas, &powers(axes.y), &label);
    for (i, line) in lines.iter().enumerate() {
        let (color, kind) = series(i);
        let at = |p: &Point| axes.at((p.0.log10(), p.1.log10()));
        let points: Vec<Point> =
            line.points.iter().filter(|p| p.0 > 0.0 && p.1 > 0.0).map(at).collect();
        canvas.line(points.clone(), color, 4.0);
        points.into_iter().for_each(|p| mark(&mut canvas, kind, p, 11.0, color));
    }
    axes.titles(&mut canvas, x, y);
    canvas
}

fn key(index: usize, label: &str) -> Key {
    let (color, kind) = series(index);
    let sample = Box::new(move |canvas: &mut Canvas, (x, y): Point| {
        canvas.line(vec![(x - 20.0, y), (x + 20.0, y)], color, 4.0);
        mark(canvas, kind, (x, y), 11.0, color);
    });
    Key { label: label.into(), sample }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decades_are_labelled_and_empty_lines_draw() {
        let line =
            |label: &str, points: &[Point]| Growth { label: label.into(), points: points.into() };
        let lines = [
            line("all pairs", &[(1e4, 0.02), (1e5, 0.4), (1e6, 9.0)]),
            line("groups", &[(1e4, 0.05), (1e6, 30.0), (0.0, 1.0)]),
        ];
        super::super::tests::show("growth", &growth(&lines, "hashes", "seconds"));
        super::super::tests::show("growth-empty", &growth(&[], "hashes", "seconds"));
    }
}
