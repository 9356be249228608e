//! Figures as SVG, PNG and PDF: colour-blind safe, readable in grey, with the font inside the program.
mod accuracy;
mod axes;
mod canvas;
mod confusion;
mod curves;
mod distances;
mod fusion;
mod growth;
mod leak;
mod parts;
mod pdf;
mod pictures;
mod reliability;
mod shares;

pub use accuracy::{accuracy, AccuracyRow};
pub use canvas::{stamp, text_width, Canvas};
pub use confusion::{confusion, shade};
pub use curves::{learning_curves, Curve};
pub use distances::{distances, DistanceCounts};
pub use fusion::{fusion, fusion_course, FusionWeight};
pub use growth::{growth, Growth};
pub use leak::{leak, LeakShares};
pub use parts::{parts, PartsRow};
pub use pictures::{picture_grid, Answer, CaptionedPicture, PictureColumn, RowHead};
pub use reliability::{reliability, Bin, Panel, FEW};
pub use shares::{shares, Shares};

use plotters::style::RGBColor;

/// Size of ordinary text in units (half CSS pixels).
const EM: f64 = 26.0;
/// Width of a full-width figure in units.
const WIDTH: f64 = 1440.0;
const INK: RGBColor = RGBColor(28, 28, 30);
const MUTED: RGBColor = RGBColor(90, 90, 95);
const GRID: RGBColor = RGBColor(226, 226, 230);

/// A finished figure.
#[derive(Clone, Debug)]
pub struct Figure {
    /// File name without extension.
    pub name: String,
    /// What stands under it.
    pub caption: String,
    /// What it shows, for those who cannot see it.
    pub alt: String,
    /// The drawing.
    pub canvas: Canvas,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails when a text of the drawing is cut by the edge or lies on another.
    pub(super) fn assert_legible(canvas: &Canvas) {
        let (w, h) = canvas.size();
        let boxes: Vec<_> = canvas.texts().map(|t| (t.text.clone(), t.bounds())).collect();
        assert!(!boxes.is_empty());
        for (i, (text, [l, t, r, b])) in boxes.iter().enumerate() {
            let inside = *l >= 0.0 && *t >= 0.0 && *r <= f64::from(w) && *b <= f64::from(h);
            assert!(inside, "`{text}` is cut: {l} {t} {r} {b} in {w} x {h}");
            for (other, [l2, t2, r2, b2]) in &boxes[i + 1..] {
                let apart = r <= l2 || r2 <= l || b <= t2 || b2 <= t;
                assert!(apart, "`{text}` lies on `{other}`");
            }
        }
    }

    /// Writes a PNG for looking at when `FIGURES_OUT` names a folder.
    pub(super) fn show(name: &str, canvas: &Canvas) {
        assert_legible(canvas);
        if let Some(folder) = std::env::var_os("FIGURES_OUT") {
            let path = std::path::Path::new(&folder).join(format!("{name}.png"));
            crate::atomic::write(&path, &canvas.png().expect("png")).expect("write");
        }
    }

    #[test]
    fn drawing_twice_gives_the_same_bytes() {
        let rows = [[3, 1, 0, 0, 0, 0, 0]; 7];
        let draw = || confusion("model", &rows);
        assert_eq!(draw().svg().expect("svg"), draw().svg().expect("svg"));
        assert_eq!(draw().png().expect("png"), draw().png().expect("png"));
    }
}
