//! A drawing as a PDF page: lines and areas as such, texts as outlines of the embedded font, so
//! that nothing depends on the fonts of the reader; pictures as JPEG. One unit is half a point.
use std::fmt::Write as _;

use ab_glyph::{Font as _, FontRef, OutlineCurve, ScaleFont as _};
use anyhow::{Context, Result};
use image::RgbImage;
use plotters::style::RGBColor;

use super::canvas::{Anchor, Canvas, Point, Shape, Text};
use crate::media::image::encode_thumbnail;

/// Points per unit.
const SCALE: f64 = 0.5;
/// JPEG quality of pictures.
const QUALITY: u8 = 90;

impl Canvas {
    /// The drawing as a PDF page.
    ///
    /// # Errors
    /// When the font or a picture fails.
    pub fn pdf(&self) -> Result<Vec<u8>> {
        write((self.width, self.height), &self.shapes, &self.pictures)
    }
}

/// The drawing as a PDF file of one page; the same drawing gives the same bytes.
///
/// # Errors
/// When the embedded font is damaged or a picture cannot be encoded.
fn write(
    (width, height): (u32, u32),
    shapes: &[Shape],
    pictures: &[(Point, RgbImage)],
) -> Result<Vec<u8>> {
    let height_f = f64::from(height);
    let fonts = Fonts::new()?;
    // Units with the origin at the top, as everywhere else.
    let mut page =
        format!("{SCALE} 0 0 {SCALE} 0 {:.1} cm\n1 0 0 -1 0 0 cm\n1 J 1 j\n", SCALE * height_f);
    for shape in shapes {
        match shape {
            Shape::Area(corners, color) => {
                fill(&mut page, *color);
                path(&mut page, corners);
                page += "f\n";
            }
            Shape::Line(points, color, width) => {
                stroke(&mut page, *color);
                let _ = writeln!(page, "{width:.2} w");
                path(&mut page, points);
                page += "S\n";
            }
            Shape::Disc(center, radius, color) => disc(&mut page, *center, *radius, *color),
            Shape::Text(text) => fonts.text(&mut page, text),
        }
    }
    let mut resources = String::new();
    for (i, ((x, y), picture)) in pictures.iter().enumerate() {
        let (w, h) = picture.dimensions();
        let bottom = y + f64::from(h);
        let _ = writeln!(page, "q {w} 0 0 -{h} {x:.2} {bottom:.2} cm /P{i} Do Q");
        let _ = write!(resources, "/P{i} {} 0 R ", 5 + i);
    }
    let mut file = File::default();
    file.object("<< /Type /Catalog /Pages 2 0 R >>");
    file.object("<< /Type /Pages /Kids [3 0 R] /Count 1 >>");
    file.object(&format!(
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {:.1} {:.1}] /Contents 4 0 R /Resources << /XObject << {resources}>> >> >>",
        SCALE * f64::from(width),
        SCALE * height_f
    ));
    file.stream("", page.as_bytes());
    for (_, picture) in pictures {
        let (w, h) = picture.dimensions();
        let words = format!("/Type /XObject /Subtype /Image /Width {w} /Height {h} /ColorSpace /DeviceRGB /BitsPerComponent 8 /Filter /DCTDecode ");
        file.stream(&words, &encode_thumbnail(picture, QUALITY)?);
    }
    Ok(file.finish())
}

fn color(page: &mut String, RGBColor(r, g, b): RGBColor, operator: &str) {
    let [r, g, b] = [r, g, b].map(|c| f64::from(c) / 255.0);
    let _ = writeln!(page, "{r:.3} {g:.3} {b:.3} {operator}");
}

fn fill(page: &mut String, of: RGBColor) {
    color(page, of, "rg");
}

fn stroke(page: &mut String, of: RGBColor) {
    color(page, of, "RG");
}

fn path(page: &mut String, points: &[Point]) {
    for (i, (x, y)) in points.iter().enumerate() {
        let _ = writeln!(page, "{x:.2} {y:.2} {}", if i == 0 { 'm' } else { 'l' });
    }
}

/// Four arcs as Bézier curves.
fn disc(page: &mut String, (x, y): Point, r: f64, color: RGBColor) {
    // The control points' distance with which an arc of 90 degrees errs least.
    let k = 0.5523 * r;
    fill(page, color);
    let _ = writeln!(page, "{:.2} {y:.2} m", x + r);
    let turns = [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0), (1.0, 0.0)];
    for pair in turns.windows(2) {
        let ((ax, ay), (bx, by)) = (pair[0], pair[1]);
        let _ = writeln!(
            page,
            "{:.2} {:.2} {:.2} {:.2} {:.2} {:.2} c",
            x + r * ax + k * bx,
            y + r * ay + k * by,
            x + r * bx + k * ax,
            y + r * by + k * ay,
            x + r * bx,
            y + r * by
        );
    }
    page.push_str("f\n");
}

struct Fonts {
    plain: FontRef<'static>,
    bold: FontRef<'static>,
}

impl Fonts {
    fn new() -> Result<Self> {
        let of = |bytes: &'static [u8]| {
            FontRef::try_from_slice(bytes).context("the embedded font is damaged")
        };
        Ok(Fonts {
            plain: of(include_bytes!("../fonts/DejaVuSans.ttf"))?,
            bold: of(include_bytes!("../fonts/DejaVuSans-Bold.ttf"))?,
        })
    }

    /// A text as filled outlines.
    fn text(&self, page: &mut String, text: &Text) {
        let font = if text.bold { &self.bold } else { &self.plain };
        let em = f64::from(font.units_per_em().unwrap_or(2048.0));
        let factor = text.em / em;
        let glyphs: Vec<_> = text.text.chars().map(|c| font.glyph_id(c)).collect();
        let advance = |id| f64::from(font.as_scaled(font.height_unscaled()).h_advance(id));
        let width: f64 = glyphs.iter().map(|&id| advance(id)).sum();
        let shift = match text.anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => width / 2.0,
            Anchor::End => width,
        };
        let (x, y) = text.at;
        // Glyphs have their y upwards, the page's is downwards; upwards texts are turned left.
        let matrix =
            if text.upwards { [0.0, -factor, -factor, 0.0] } else { [factor, 0.0, 0.0, -factor] };
        let [a, b, c, d] = matrix;
        fill(page, text.color);
        let _ = writeln!(page, "q {a:.6} {b:.6} {c:.6} {d:.6} {x:.2} {y:.2} cm");
        let mut pen = -shift;
        for id in glyphs {
            if let Some(outline) = font.outline(id) {
                contours(page, &outline.curves, pen);
            }
            pen += advance(id);
        }
        page.push_str("Q\n");
    }
}

/// The closed curves of a glyph, `pen` units to the right, filled by the non-zero rule.
fn contours(page: &mut String, curves: &[OutlineCurve], pen: f64) {
    let at = |p: &ab_glyph::Point| (f64::from(p.x) + pen, f64::from(p.y));
    let mut last = None;
    for curve in curves {
        let (from, to) = match curve {
            OutlineCurve::Line(a, b) => (a, b),
            OutlineCurve::Quad(a, _, b) => (a, b),
            OutlineCurve::Cubic(a, _, _, b) => (a, b),
        };
        if last != Some(*from) {
            let (x, y) = at(from);
            let _ = writeln!(page, "{x:.1} {y:.1} m");
        }
        last = Some(*to);
        let (x, y) = at(to);
        let _ = match curve {
            OutlineCurve::Line(..) => writeln!(page, "{x:.1} {y:.1} l"),
            OutlineCurve::Quad(a, control, b) => {
                let third = |end: &ab_glyph::Point| {
                    let ((cx, cy), (ex, ey)) = (at(control), at(end));
                    (ex + 2.0 / 3.0 * (cx - ex), ey + 2.0 / 3.0 * (cy - ey))
                };
                let ((x1, y1), (x2, y2)) = (third(a), third(b));
                writeln!(page, "{x1:.1} {y1:.1} {x2:.1} {y2:.1} {x:.1} {y:.1} c")
            }
            OutlineCurve::Cubic(_, c1, c2, _) => {
                let ((x1, y1), (x2, y2)) = (at(c1), at(c2));
                writeln!(page, "{x1:.1} {y1:.1} {x2:.1} {y2:.1} {x:.1} {y:.1} c")
            }
        };
    }
    page.push_str("f\n");
}

/// A PDF file under construction: numbered objects and where each begins.
#[derive(Default)]
struct File {
    bytes: Vec<u8>,
    places: Vec<usize>,
}

impl File {
    fn begin(&mut self) {
        if self.bytes.is_empty() {
            // The bytes above 127 tell transfer programs that the file is not text.
            self.bytes.extend_from_slice(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n");
        }
        self.places.push(self.bytes.len());
        let head = format!("{} 0 obj\n", self.places.len());
        self.bytes.extend_from_slice(head.as_bytes());
    }

    fn object(&mut self, text: &str) {
        self.begin();
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.extend_from_slice(b"\nendobj\n");
    }

    fn stream(&mut self, words: &str, content: &[u8]) {
        self.begin();
        let head = format!("<< {words}/Length {} >>\nstream\n", content.len());
        self.bytes.extend_from_slice(head.as_bytes());
        self.bytes.extend_from_slice(content);
        self.bytes.extend_from_slice(b"\nendstream\nendobj\n");
    }

    fn finish(mut self) -> Vec<u8> {
        let table = self.bytes.len();
        let mut tail = format!("xref\n0 {}\n0000000000 65535 f \n", self.places.len() + 1);
        for place in &self.places {
            let _ = writeln!(tail, "{place:010} 00000 n ");
        }
        let _ = write!(
            tail,
            "trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n",
            self.places.len() + 1
        );
        self.bytes.extend_from_slice(tail.as_bytes());
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::super::canvas::Canvas;
    use super::*;

    fn drawing() -> Canvas {
        let mut canvas = Canvas::new(400.0, 200.0);
        canvas.rect((10.0, 10.0), (60.0, 60.0), RGBColor(0, 114, 178));
        canvas.line(vec![(10.0, 100.0), (390.0, 120.0)], RGBColor(0, 0, 0), 3.0);
        canvas.disc((200.0, 60.0), 20.0, RGBColor(213, 94, 0));
        canvas.text(Text::new("Surprise 100 %", (100.0, 180.0)).bold());
        canvas.text(Text::new("up", (380.0, 180.0)).upwards());
        canvas.picture((300.0, 10.0), RgbImage::from_pixel(40, 30, image::Rgb([200, 30, 30])));
        canvas
    }

    #[test]
    fn every_object_is_where_the_table_says() {
        let file = drawing().pdf().expect("pdf");
        assert!(file.starts_with(b"%PDF-1.4") && file.ends_with(b"%%EOF\n"));
        let text = String::from_utf8_lossy(&file);
        let start = text.rfind("startxref\n").expect("a start") + "startxref\n".len();
        let table: usize = text[start..].lines().next().expect("a line").parse().expect("a number");
        let rows = String::from_utf8_lossy(&file[table..]).into_owned();
        let places: Vec<usize> =
            rows.lines().filter_map(|line| line.strip_suffix(" 00000 n ")?.parse().ok()).collect();
        assert_eq!(places.len(), 5, "catalogue, pages, page, content, picture");
        for (i, place) in places.iter().enumerate() {
            assert!(file[*place..].starts_with(format!("{} 0 obj", i + 1).as_bytes()));
        }
    }

    #[test]
    fn the_same_drawing_gives_the_same_bytes_and_every_shape_is_there() {
        let file = drawing().pdf().expect("pdf");
        assert_eq!(file, drawing().pdf().expect("pdf"));
        let text = String::from_utf8_lossy(&file);
        assert!(text.contains("0.000 0.447 0.698 rg") && text.contains("/P0 Do"));
        // A letter is curves: many of them.
        assert!(text.matches(" c\n").count() > 50);
    }
}
