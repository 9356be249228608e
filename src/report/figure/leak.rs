//! Shares of pictures or clips with their like elsewhere, by class, with intervals and the control.
use super::{
    axes::{legend, legend_height, mark, percent, series, ticks, Axes, Key, Mark},
    canvas::{fitted, Anchor, Canvas, Text},
    curves::range_of,
    EM, MUTED, WIDTH,
};
use crate::record::Estimate;

/// What leaks of one class.
#[derive(Clone, Debug)]
pub struct LeakShares {
    /// The class.
    pub label: String,
    /// Share with a near-duplicate, 0..=1.
    pub near: Option<Estimate>,
    /// Share whose video is elsewhere too, 0..=1.
    pub same_video: Option<Estimate>,
}

const LABEL_ROOM: f64 = 260.0;
const ROW: f64 = 60.0;

/// Draws the classes from top to bottom over one axis; `chance` is the share of random pairs that
/// would count.
pub fn leak(rows: &[LeakShares], chance: Option<f64>) -> Canvas {
    let videos = rows.iter().any(|r| r.same_video.is_some());
    let keys = keys(videos, chance.is_some());
    let labels: Vec<_> = keys.iter().map(|k| k.label.clone()).collect();
    let top = legend_height(&labels, WIDTH - 60.0) + 40.0;
    let height = rows.len().max(1) as f64 * ROW;
    let mut canvas = Canvas::new(WIDTH, top + height + 3.4 * EM);
    legend(&mut canvas, &keys, (30.0, 10.0), WIDTH - 60.0);
    let ends = |e: Option<Estimate>| e.map(|e| [e.lo, e.hi]).into_iter().flatten();
    let values = rows.iter().flat_map(|r| ends(r.near).chain(ends(r.same_video)));
    let (_, most) = range_of(values.chain([0.0]).chain(chance), (0.0, 1.0));
    let frame = [LABEL_ROOM, top, WIDTH - 60.0, top + height];
    let axes = Axes { frame, x: (0.0, most), y: (rows.len().max(1) as f64, 0.0) };
    axes.x_ticks(&mut canvas, &ticks(axes.x, 8), &tenth(most));
    if let Some(share) = chance {
        let line = [axes.at((share, 0.0)), axes.at((share, axes.y.0))];
        canvas.dashed(&line, MUTED, 3.0, 7.0);
    }
    for (i, row) in rows.iter().enumerate() {
        draw(&mut canvas, &axes, row, i as f64 + 0.5);
    }
    axes.titles(&mut canvas, "share of the part", "");
    canvas
}

/// Percent, with a decimal where the axis is short.
fn tenth(most: f64) -> impl Fn(f64) -> String {
    move |share| if most > 0.08 { percent(share) } else { format!("{:.1} %", 100.0 * share) }
}

fn draw(canvas: &mut Canvas, axes: &Axes, row: &LeakShares, y: f64) {
    let (_, middle) = axes.at((0.0, y));
    let label = fitted(&row.label, EM, LABEL_ROOM - 30.0);
    canvas.text(Text::new(label, (LABEL_ROOM - 20.0, middle + 0.36 * EM)).anchor(Anchor::End));
    // One above the other where there are two.
    let apart = if row.same_video.is_some() { 0.16 } else { 0.0 };
    let both = [(row.near, -apart), (row.same_video, apart)];
    for (index, (estimate, offset)) in both.into_iter().enumerate() {
        let Some(e) = estimate else { continue };
        let ((color, kind), y) = (series(index), y + offset);
        canvas.line(vec![axes.at((e.lo, y)), axes.at((e.hi, y))], color, 5.0);
        mark(canvas, kind, axes.at((e.value, y)), 10.0, color);
    }
}

fn keys(videos: bool, chance: bool) -> Vec<Key> {
    let one = |label: &str, index: usize| {
        let (color, kind): (_, Mark) = series(index);
        let sample = Box::new(move |canvas: &mut Canvas, (x, y)| {
            canvas.line(vec![(x - 20.0, y), (x + 20.0, y)], color, 5.0);
            mark(canvas, kind, (x, y), 10.0, color);
        });
        Key { label: label.into(), sample }
    };
    let mut keys = vec![one("near-duplicate", 0)];
    if videos {
        keys.push(one("same video", 1));
    }
    if chance {
        let sample = Box::new(|canvas: &mut Canvas, (x, y)| {
            canvas.dashed(&[(x, y - 18.0), (x, y + 18.0)], MUTED, 3.0, 7.0);
        });
        keys.push(Key { label: "random pairs".into(), sample });
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn much_little_and_nothing() {
        let at = |value: f64| {
            let (lo, hi) = ((value - 0.05).max(0.0), (value + 0.05).min(1.0));
            Some(Estimate { value, lo, hi, n: 100, clusters: 100 })
        };
        let row =
            |label: &str, near, same_video| LeakShares { label: label.into(), near, same_video };
        let rows = [row("all classes", at(0.4), at(0.7)), row("Surprise", at(0.0), None)];
        super::super::tests::show("leak", &leak(&rows, Some(0.01)));
        super::super::tests::show("leak-little", &leak(&[row("Sad", at(0.001), at(0.002))], None));
        super::super::tests::show("leak-empty", &leak(&[], None));
    }
}
