//! A drawing as a list of shapes, replayed by plotters into SVG and PNG.
//!
//! Figures are laid out once in units of half a CSS pixel; because the list can be inspected,
//! tests prove that no label is cut or lies on another one.
use std::sync::OnceLock;

use anyhow::{anyhow, Result};
use base64::prelude::{Engine as _, BASE64_STANDARD};
use image::{
    codecs::png::{CompressionType, FilterType, PngEncoder},
    imageops, ImageEncoder, RgbImage,
};
use plotters::{
    coord::Shift,
    prelude::*,
    style::{
        register_font,
        text_anchor::{HPos, Pos, VPos},
        FontTransform,
    },
};

use crate::media::image::encode_thumbnail;

/// A point in units, origin at the top left.
pub type Point = (f64, f64);

/// The font stack named in SVG files; the embedded DejaVu Sans is registered under it, so that
/// both outputs are measured with the same glyphs.
const FAMILY: &str = "DejaVu Sans, Verdana, sans-serif";
/// Font size that plotters' rasteriser needs per em: DejaVu's ascent plus descent.
const RASTER_SIZE: f64 = 1.164;
/// Font size that plotters' SVG writer divides by.
const SVG_SIZE: f64 = 1.24;
/// Where the SVG writer puts the baseline below its `Top` anchor, in em.
const SVG_BASELINE: f64 = 0.76;
/// PNGs are drawn this many times larger and averaged down: plotters draws hard edges.
const SUPERSAMPLE: u32 = 2;

/// Which point of a text its position names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// The beginning of the baseline.
    Start,
    /// Its middle.
    Middle,
    /// Its end.
    End,
}

/// A line of text.
#[derive(Clone, Debug)]
pub struct Text {
    /// What it says.
    pub text: String,
    /// Anchor point on the baseline.
    pub at: Point,
    /// Em in units.
    pub em: f64,
    /// Which point `at` is.
    pub anchor: Anchor,
    /// Bold face.
    pub bold: bool,
    /// Reads from bottom to top.
    pub upwards: bool,
    /// Ink.
    pub color: RGBColor,
}

impl Text {
    /// A plain text of normal size, beginning at `at`.
    pub fn new(text: impl Into<String>, at: Point) -> Self {
        Text {
            text: text.into(),
            at,
            em: super::EM,
            anchor: Anchor::Start,
            bold: false,
            upwards: false,
            color: super::INK,
        }
    }

    /// With another em.
    pub fn em(self, em: f64) -> Self {
        Text { em, ..self }
    }

    /// With another anchor.
    pub fn anchor(self, anchor: Anchor) -> Self {
        Text { anchor, ..self }
    }

    /// In bold.
    pub fn bold(self) -> Self {
        Text { bold: true, ..self }
    }

    /// In another colour.
    pub fn color(self, color: RGBColor) -> Self {
        Text { color, ..self }
    }

    /// Reading upwards.
    pub fn upwards(self) -> Self {
        Text { upwards: true, ..self }
    }

    /// The box it covers: left, top, right, bottom in units.
    pub fn bounds(&self) -> [f64; 4] {
        let width = text_width(&self.text, self.em, self.bold);
        let shift = match self.anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => width / 2.0,
            Anchor::End => width,
        };
        let (up, down) = (0.76 * self.em, 0.24 * self.em);
        let (x, y) = self.at;
        if self.upwards {
            [x - up, y + shift - width, x + down, y + shift]
        } else {
            [x - shift, y - up, x - shift + width, y + down]
        }
    }
}

/// What a drawing consists of.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    Area(Vec<Point>, RGBColor),
    Line(Vec<Point>, RGBColor, f64),
    Disc(Point, f64, RGBColor),
    Text(Text),
}

/// A drawing under construction.
#[derive(Clone, Debug)]
pub struct Canvas {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) shapes: Vec<Shape>,
    pub(super) pictures: Vec<(Point, RgbImage)>,
}

impl Canvas {
    /// A white drawing of `width` x `height` units.
    pub fn new(width: f64, height: f64) -> Self {
        let (width, height) = (width.ceil() as u32, height.ceil() as u32);
        Canvas { width, height, shapes: Vec::new(), pictures: Vec::new() }
    }

    /// Width and height in units.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// A filled rectangle from `(x1, y1)` to `(x2, y2)`.
    pub fn rect(&mut self, (x1, y1): Point, (x2, y2): Point, color: RGBColor) {
        self.area(vec![(x1, y1), (x2, y1), (x2, y2), (x1, y2)], color);
    }

    /// A filled polygon.
    pub fn area(&mut self, corners: Vec<Point>, color: RGBColor) {
        self.shapes.push(Shape::Area(corners, color));
    }

    /// A line through `points`, `width` units wide.
    pub fn line(&mut self, points: Vec<Point>, color: RGBColor, width: f64) {
        self.shapes.push(Shape::Line(points, color, width));
    }

    /// A dashed line: `dash` units of ink, as many of gap.
    pub fn dashed(&mut self, points: &[Point], color: RGBColor, width: f64, dash: f64) {
        for piece in dashes(points, dash) {
            self.line(piece, color, width);
        }
    }

    /// A filled disc.
    pub fn disc(&mut self, center: Point, radius: f64, color: RGBColor) {
        self.shapes.push(Shape::Disc(center, radius, color));
    }

    /// A text; an empty one is left out.
    pub fn text(&mut self, text: Text) {
        if !text.text.is_empty() {
            self.shapes.push(Shape::Text(text));
        }
    }

    /// A picture, one pixel per unit, above everything else.
    pub fn picture(&mut self, at: Point, picture: RgbImage) {
        self.pictures.push((at, picture));
    }

    /// All texts, in the order drawn.
    pub fn texts(&self) -> impl Iterator<Item = &Text> {
        self.shapes.iter().filter_map(|s| match s {
            Shape::Text(t) => Some(t),
            _ => None,
        })
    }

    /// The drawing as an SVG document.
    ///
    /// # Errors
    /// When plotters fails.
    pub fn svg(&self) -> Result<String> {
        register_fonts()?;
        let mut out = String::new();
        {
            let root = SVGBackend::with_string(&mut out, (self.width, self.height));
            self.replay(&root.into_drawing_area(), 1.0, true)?;
        }
        let mut pictures = String::new();
        for ((x, y), picture) in &self.pictures {
            let (w, h) = picture.dimensions();
            let jpeg = BASE64_STANDARD.encode(&encode_thumbnail(picture, 80)?);
            let source = format!("data:image/jpeg;base64,{jpeg}");
            pictures += &format!(
                "<image x=\"{x:.0}\" y=\"{y:.0}\" width=\"{w}\" height=\"{h}\" href=\"{source}\"/>\n"
            );
        }
        Ok(out.replace("</svg>", &format!("{pictures}</svg>")))
    }

    /// The drawing as a PNG file, one pixel per unit.
    ///
    /// # Errors
    /// When plotters or the encoder fails.
    pub fn png(&self) -> Result<Vec<u8>> {
        register_fonts()?;
        let (w, h) = (self.width * SUPERSAMPLE, self.height * SUPERSAMPLE);
        let mut buffer = vec![255; w as usize * h as usize * 3];
        {
            let root = BitMapBackend::with_buffer(&mut buffer, (w, h)).into_drawing_area();
            self.replay(&root, f64::from(SUPERSAMPLE), false)?;
        }
        let large = RgbImage::from_raw(w, h, buffer).expect("the buffer has w * h pixels");
        let mut small = imageops::thumbnail(&large, self.width, self.height);
        for ((x, y), picture) in &self.pictures {
            imageops::replace(&mut small, picture, x.round() as i64, y.round() as i64);
        }
        coarse(&mut small);
        let mut png = Vec::new();
        PngEncoder::new_with_quality(&mut png, CompressionType::Best, FilterType::Adaptive)
            .write_image(&small, self.width, self.height, image::ExtendedColorType::Rgb8)?;
        Ok(png)
    }

    fn replay<DB: DrawingBackend>(
        &self,
        root: &DrawingArea<DB, Shift>,
        scale: f64,
        svg: bool,
    ) -> Result<()> {
        let failed = |e: DrawingAreaErrorKind<DB::ErrorType>| anyhow!("cannot draw: {e}");
        let at = |&(x, y): &Point| ((x * scale).round() as i32, (y * scale).round() as i32);
        root.fill(&WHITE).map_err(failed)?;
        for shape in &self.shapes {
            match shape {
                Shape::Area(corners, color) => {
                    let corners: Vec<_> = corners.iter().map(at).collect();
                    root.draw(&Polygon::new(corners, color.filled())).map_err(failed)?;
                }
                Shape::Line(points, color, width) => {
                    let style = color.stroke_width((width * scale).round().max(1.0) as u32);
                    let points: Vec<_> = points.iter().map(at).collect();
                    root.draw(&PathElement::new(points, style)).map_err(failed)?;
                }
                Shape::Disc(center, radius, color) => {
                    let radius = (radius * scale).round() as i32;
                    root.draw(&Circle::new(at(center), radius, color.filled())).map_err(failed)?;
                }
                Shape::Text(text) => {
                    let (style, position) = placed(text, scale, svg);
                    root.draw_text(&text.text, &style, position).map_err(failed)?;
                }
            }
        }
        root.present().map_err(failed)
    }
}

/// The style and position with which a plotters backend puts `text` on its baseline.
fn placed(text: &Text, scale: f64, svg: bool) -> (TextStyle<'static>, (i32, i32)) {
    let em = text.em * scale;
    let size = em * if svg { SVG_SIZE } else { RASTER_SIZE };
    // The rasteriser draws the baseline half a font size below its top.
    let drop = if svg { em * SVG_BASELINE } else { size / 2.0 };
    let weight = if text.bold { FontStyle::Bold } else { FontStyle::Normal };
    let mut font = FontDesc::new(FontFamily::Name(FAMILY), size, weight);
    let (mut x, mut y) = (text.at.0 * scale, text.at.1 * scale);
    if text.upwards {
        font = font.transform(FontTransform::Rotate270);
        x -= drop;
    } else {
        y -= drop;
    }
    let h_pos = match text.anchor {
        Anchor::Start => HPos::Left,
        Anchor::Middle => HPos::Center,
        Anchor::End => HPos::Right,
    };
    let color = text.color.to_backend_color();
    let style = TextStyle { font, color, pos: Pos::new(h_pos, VPos::Top) };
    (style, (x.round() as i32, y.round() as i32))
}

fn register_fonts() -> Result<()> {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    let register = || {
        let put = |style, bytes| register_font(FAMILY, style, bytes).is_ok();
        put(FontStyle::Normal, include_bytes!("../fonts/DejaVuSans.ttf"))
            && put(FontStyle::Bold, include_bytes!("../fonts/DejaVuSans-Bold.ttf"))
    };
    anyhow::ensure!(*REGISTERED.get_or_init(register), "the embedded font is damaged");
    Ok(())
}

/// 64 levels a channel, black and white among them: what nobody sees fills a third of a file.
fn coarse(picture: &mut RgbImage) {
    picture.iter_mut().for_each(|v| {
        let level = (u16::from(*v) * 63 + 127) / 255;
        *v = ((level * 255 + 31) / 63) as u8;
    });
}

/// Width of a text in units.
pub fn text_width(text: &str, em: f64, bold: bool) -> f64 {
    // Measured large, since plotters rounds widths down to whole pixels.
    const MEASURE: f64 = 1000.0;
    let weight = if bold { FontStyle::Bold } else { FontStyle::Normal };
    let measured = register_fonts()
        .ok()
        .and_then(|()| (FAMILY, MEASURE * RASTER_SIZE, weight).into_font().layout_box(text).ok());
    let ((left, _), (right, _)) = measured.unwrap_or_default();
    f64::from(right - left) / MEASURE * em
}

/// Writes `text` onto a picture, black or white on a plate of colour `ground` whose left top
/// corner is `at`; the plate is 1.3 em high and 0.6 em wider than the text. What lies outside the
/// picture is cut.
pub fn stamp(picture: &mut RgbImage, text: &str, at: Point, em: f64, ground: [u8; 3]) {
    let [r, g, b] = ground.map(f64::from);
    let dark = 0.299 * r + 0.587 * g + 0.114 * b < 140.0;
    let ink = if dark { WHITE } else { BLACK };
    let mut mark = Canvas::new(text_width(text, em, false) + 0.6 * em, 1.3 * em);
    let [r, g, b] = ground;
    let (w, h) = mark.size();
    mark.rect((0.0, 0.0), (f64::from(w), f64::from(h)), RGBColor(r, g, b));
    mark.text(Text::new(text, (0.3 * em, 0.98 * em)).em(em).color(ink));
    let mut buffer = vec![255; w as usize * h as usize * 3];
    let drawn = {
        let root = BitMapBackend::with_buffer(&mut buffer, (w, h)).into_drawing_area();
        register_fonts().and_then(|()| mark.replay(&root, 1.0, false))
    };
    // A font that is part of the program does not fail; a label is not worth a lost picture.
    if let (Ok(()), Some(plate)) = (drawn, RgbImage::from_raw(w, h, buffer)) {
        imageops::replace(picture, &plate, at.0.round() as i64, at.1.round() as i64);
    }
}

/// `text` cut to `room` units, with an ellipsis where something is missing.
pub fn fitted(text: &str, em: f64, room: f64) -> String {
    if text_width(text, em, false) <= room {
        return text.to_owned();
    }
    let mut kept: Vec<char> = text.chars().collect();
    while !kept.is_empty() {
        kept.pop();
        let shorter = format!("{}…", kept.iter().collect::<String>().trim_end());
        if text_width(&shorter, em, false) <= room {
            return shorter;
        }
    }
    String::new()
}

/// The inked pieces of a dashed line.
fn dashes(points: &[Point], dash: f64) -> Vec<Vec<Point>> {
    let (mut pieces, mut piece) = (Vec::new(), Vec::new());
    let mut walked = 0.0;
    for pair in points.windows(2) {
        let ((x1, y1), (x2, y2)) = (pair[0], pair[1]);
        let length = (x2 - x1).hypot(y2 - y1);
        let mut done = 0.0;
        while done < length {
            let inked = ((walked / dash) as u64).is_multiple_of(2);
            let step = (dash - walked % dash).max(1e-6).min(length - done);
            let along = |d: f64| (x1 + (x2 - x1) * d / length, y1 + (y2 - y1) * d / length);
            if inked {
                if piece.is_empty() {
                    piece.push(along(done));
                }
                piece.push(along(done + step));
            } else if !piece.is_empty() {
                pieces.push(std::mem::take(&mut piece));
            }
            done += step;
            walked += step;
        }
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_measured_with_the_embedded_font() {
        // Advance widths of DejaVu Sans: i = 569, M = 1767 of 2048 units.
        assert!((text_width("i", 2048.0, false) - 569.0).abs() < 4.0);
        assert!((text_width("M", 2048.0, false) - 1767.0).abs() < 4.0);
        assert!(text_width("MM", 10.0, true) > text_width("MM", 10.0, false));
    }

    #[test]
    fn long_text_is_cut_to_the_room() {
        assert_eq!(fitted("short", 20.0, 500.0), "short");
        let cut = fitted("a label that is far too long", 20.0, 100.0);
        assert!(cut.ends_with('…') && text_width(&cut, 20.0, false) <= 100.0, "{cut}");
        assert_eq!(fitted("x", 20.0, 1.0), "");
    }

    #[test]
    fn dashes_alternate_around_corners() {
        let pieces = dashes(&[(0.0, 0.0), (15.0, 0.0), (15.0, 15.0)], 10.0);
        assert_eq!(pieces.len(), 2);
        assert_eq!(pieces[0], [(0.0, 0.0), (10.0, 0.0)]);
        assert_eq!(pieces[1], [(15.0, 5.0), (15.0, 15.0)]);
    }

    #[test]
    fn ink_lands_where_the_bounds_say() {
        let mut canvas = Canvas::new(400.0, 120.0);
        let text = Text::new("Hxg", (50.0, 80.0)).em(40.0);
        let [left, top, right, bottom] = text.bounds();
        canvas.text(text);
        let png = image::load_from_memory(&canvas.png().expect("png")).expect("decode").to_rgb8();
        let inked: Vec<_> = png.enumerate_pixels().filter(|(_, _, p)| p[0] < 128).collect();
        // The rasteriser leaves out side bearings, up to a tenth of an em on either side.
        let (xs, ys) = (inked.iter().map(|p| p.0), inked.iter().map(|p| p.1));
        let near = |a: u32, b: f64, by: f64| (f64::from(a) - b).abs() <= by;
        assert!(near(xs.clone().min().expect("ink"), left, 4.0));
        assert!(near(xs.max().expect("ink"), right, 8.0));
        assert!(near(ys.clone().min().expect("ink"), top, 4.0));
        assert!(near(ys.max().expect("ink"), bottom, 4.0));
    }
}
