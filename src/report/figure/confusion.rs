//! Row-normalised confusion matrix with counts, as Figures 7 and 8 of the paper.
use plotters::style::{RGBColor, WHITE};

use super::{
    canvas::{fitted, Anchor, Canvas, Text},
    EM, INK, MUTED, WIDTH,
};
use crate::record::{Emotion, NUM_CLASSES};

/// Side of a cell in units.
const CELL: f64 = 142.0;
/// Left and top edge of the matrix.
const ORIGIN: (f64, f64) = (250.0, 176.0);

/// Draws `counts[target][predicted]`; every row is shaded by its own shares and a row without
/// samples stays empty.
pub fn confusion(title: &str, counts: &[[u64; NUM_CLASSES]; NUM_CLASSES]) -> Canvas {
    let side = CELL * NUM_CLASSES as f64;
    let mut canvas = Canvas::new(WIDTH.max(ORIGIN.0 + side + 40.0), ORIGIN.1 + side + 40.0);
    let title = fitted(title, EM * 1.2, WIDTH - 60.0);
    canvas.text(Text::new(title, (ORIGIN.0 - 214.0, 48.0)).em(EM * 1.2).bold());
    let middle = ORIGIN.0 + side / 2.0;
    canvas.text(Text::new("predicted", (middle, 104.0)).anchor(Anchor::Middle).color(MUTED));
    let axis = Text::new("true class", (46.0, ORIGIN.1 + side / 2.0));
    canvas.text(axis.anchor(Anchor::Middle).upwards().color(MUTED));
    for (i, emotion) in Emotion::ALL.into_iter().enumerate() {
        let along = (i as f64 + 0.5) * CELL;
        let top = Text::new(emotion.name(), (ORIGIN.0 + along, ORIGIN.1 - 18.0));
        canvas.text(top.anchor(Anchor::Middle));
        let left = Text::new(emotion.name(), (ORIGIN.0 - 20.0, ORIGIN.1 + along));
        canvas.text(left.anchor(Anchor::End));
        let n = counts[i].iter().sum::<u64>();
        let below = (ORIGIN.0 - 20.0, ORIGIN.1 + along + 1.15 * EM);
        let n = Text::new(format!("n = {n}"), below).anchor(Anchor::End);
        canvas.text(n.em(0.8 * EM).color(MUTED));
        row(&mut canvas, i, &counts[i]);
    }
    scale_bar(&mut canvas, ORIGIN.0 + side + 36.0);
    canvas
}

fn row(canvas: &mut Canvas, i: usize, counts: &[u64; NUM_CLASSES]) {
    let total: u64 = counts.iter().sum();
    for (j, &count) in counts.iter().enumerate() {
        let share = if total == 0 { 0.0 } else { count as f64 / total as f64 };
        let (x, y) = (ORIGIN.0 + j as f64 * CELL, ORIGIN.1 + i as f64 * CELL);
        canvas.rect((x, y), (x + CELL, y + CELL), WHITE);
        canvas.rect((x + 2.0, y + 2.0), (x + CELL - 2.0, y + CELL - 2.0), color(share));
        if total == 0 {
            continue;
        }
        let ink = if share > 0.5 { WHITE } else { INK };
        let middle = x + CELL / 2.0;
        let value = Text::new(format!("{share:.2}"), (middle, y + CELL / 2.0 + 2.0));
        canvas.text(value.anchor(Anchor::Middle).em(1.15 * EM).bold_if(i == j).color(ink));
        let count = Text::new(count.to_string(), (middle, y + CELL / 2.0 + 1.3 * EM));
        canvas.text(count.anchor(Anchor::Middle).em(0.8 * EM).color(ink));
    }
}

impl Text {
    fn bold_if(self, yes: bool) -> Self {
        if yes {
            self.bold()
        } else {
            self
        }
    }
}

/// The scale beside the matrix.
fn scale_bar(canvas: &mut Canvas, left: f64) {
    let (top, height, steps) = (ORIGIN.1, CELL * NUM_CLASSES as f64, 100);
    for step in 0..steps {
        let share = 1.0 - (f64::from(step) + 0.5) / f64::from(steps);
        let y = top + height * f64::from(step) / f64::from(steps);
        canvas.rect((left, y), (left + 34.0, y + height / f64::from(steps)), color(share));
    }
    for tick in 0..=4 {
        let share = f64::from(tick) / 4.0;
        let y = top + height * (1.0 - share) + 0.36 * EM;
        canvas.text(Text::new(format!("{share:.2}"), (left + 48.0, y)).color(MUTED));
    }
}

/// Background and ink of a cell as CSS colours.
pub fn shade(share: f64) -> (String, &'static str) {
    let RGBColor(r, g, b) = color(share);
    let [paper, dark] = [[r, g, b], [0; 3]].map(luminance);
    // Contrast as WCAG 2 defines it: whichever ink stands out more.
    let is_light = (1.0 + 0.05) / (paper + 0.05) > (paper + 0.05) / (dark + 0.05);
    (format!("#{r:02x}{g:02x}{b:02x}"), if is_light { "#fff" } else { "#000" })
}

/// Relative luminance of an sRGB colour, 0 to 1 (WCAG 2).
fn luminance(rgb: [u8; 3]) -> f64 {
    let linear = rgb.map(|c| {
        let c = f64::from(c) / 255.0;
        if c <= 0.04045 {
            c / 12.92
        } else {
            ((c + 0.055) / 1.055).powf(2.4)
        }
    });
    0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
}

/// White to dark blue with falling lightness, so that grey print keeps the order.
fn color(share: f64) -> RGBColor {
    const STOPS: [(f64, f64, f64); 4] =
        [(246.0, 248.0, 251.0), (158.0, 202.0, 225.0), (33.0, 113.0, 181.0), (8.0, 32.0, 80.0)];
    let place = share.clamp(0.0, 1.0) * (STOPS.len() - 1) as f64;
    let i = (place as usize).min(STOPS.len() - 2);
    let part = place - i as f64;
    let mix = |a: f64, b: f64| (a + (b - a) * part).round() as u8;
    let (a, b) = (STOPS[i], STOPS[i + 1]);
    RGBColor(mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_can_be_read() {
        for thousandths in 0..=1000 {
            let (paper, ink) = shade(f64::from(thousandths) / 1000.0);
            let part = |at: usize| u8::from_str_radix(&paper[at..at + 2], 16).expect("hex");
            let paper = luminance([part(1), part(3), part(5)]);
            let ink = luminance(if ink == "#fff" { [255; 3] } else { [0; 3] });
            let contrast = (paper.max(ink) + 0.05) / (paper.min(ink) + 0.05);
            assert!(contrast >= 4.5, "{thousandths}: {contrast}");
        }
    }

    #[test]
    fn shades_darken_with_the_share() {
        let luma = |s: f64| {
            let RGBColor(r, g, b) = color(s);
            0.2126 * f64::from(r) + 0.7152 * f64::from(g) + 0.0722 * f64::from(b)
        };
        assert!((0..100).all(|i| luma(f64::from(i) / 100.0) > luma(f64::from(i + 1) / 100.0)));
    }

    #[test]
    fn rows_are_normalised_and_empty_rows_stay_blank() {
        let mut counts = [[0; 7]; 7];
        counts[0] = [3, 1, 0, 0, 0, 0, 0];
        counts[6] = [0, 0, 0, 0, 0, 12345, 99999];
        let canvas = confusion("GLAMOR-Net with global-local attention, seed 1", &counts);
        super::super::tests::show("confusion", &canvas);
        let texts: Vec<_> = canvas.texts().map(|t| t.text.as_str()).collect();
        assert!(texts.contains(&"0.75") && texts.contains(&"0.25"), "{texts:?}");
        assert!(texts.contains(&"n = 0"));
        // 4 ticks of the scale contain "0.00" once; the two filled rows have 5 + 5 zero shares.
        assert_eq!(texts.iter().filter(|t| **t == "0.00").count(), 1 + 5 + 5);
    }
}
