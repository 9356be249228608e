//! The room: wall, furniture, two pictures on the wall and two on the table before the person.
use crate::{record::Emotion, seed::Draws};

use super::{
    canvas::{boxed, coverage, length, luma, mix, scaled, segment, Area, Canvas, Color, Point},
    plan::{Card, ClipPlan},
};

/// How far the tint of an emotion takes a channel of the paper down.
const TINT: f32 = 75.0;
/// Share of a card's side that its coloured frame takes on each side.
const BORDER: f32 = 0.15;
/// Height of the table's far edge in scene units.
const TABLE: f32 = 122.0;
/// Strength of the still grain over the room, in grey levels.
const GRAIN: f64 = 3.0;

/// A frame's geometry: 360 scene units from top to bottom, the origin in the middle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stage {
    pub width: u32,
    pub height: u32,
}

impl Stage {
    /// Pixels per scene unit.
    pub fn unit(&self) -> f32 {
        self.height as f32 / 360.0
    }

    /// Half the width in scene units.
    fn half_width(&self) -> f32 {
        self.width as f32 / 2.0 / self.unit()
    }

    /// A position in pixels.
    pub fn pixel(&self, (x, y): Point) -> Point {
        let unit = self.unit();
        (self.width as f32 / 2.0 + x * unit, self.height as f32 / 2.0 + y * unit)
    }

    fn area(&self, (left, top): Point, (right, bottom): Point) -> Area {
        let (a, b) = (self.pixel((left, top)), self.pixel((right, bottom)));
        Area { left: a.0, top: a.1, right: b.0, bottom: b.1 }
    }

    /// The square that a card fills, in pixels. Wide frames spread the cards a little.
    pub fn card(&self, card: &Card) -> Area {
        let spread = (self.half_width() / 240.0).sqrt();
        let center = self.pixel((card.center.0 * spread, card.center.1));
        Area::around(center, card.side / 2.0 * self.unit())
    }
}

/// What stands still in a clip.
pub(super) struct Room {
    /// Behind the person.
    back: Canvas,
    /// The whole room, with what stands before the person.
    front: Canvas,
    /// Runs of pixels that hide the person: first pixel and length.
    hidden: Vec<(usize, usize)>,
}

impl Room {
    /// `seated` draws what stands still before the wall and behind the table.
    pub fn draw(seed: u64, plan: &ClipPlan, seated: impl FnOnce(&mut Canvas)) -> Self {
        let stage = Stage { width: plan.show.size.0, height: plan.show.size.1 };
        let mut look = Look::draw(seed, &plan.show.id);
        look.pan = plan.draws(seed, "demo-camera").between(-16.0, 16.0) as f32;
        let mut back = Canvas::new(stage.width, stage.height);
        look.wall(&mut back, stage);
        look.furniture(&mut back, stage);
        for card in &plan.cards[..2] {
            look.card(&mut back, stage, card);
        }
        seated(&mut back);
        let mut front = Canvas::over(back.image.clone(), stage.height);
        look.table(&mut front, stage);
        for card in &plan.cards[2..] {
            look.card(&mut front, stage, card);
        }
        let hidden = runs(&back, &front);
        let mut room = Room { back, front, hidden };
        room.add_grain(&mut plan.draws(seed, "demo-grain"));
        room
    }

    /// A surface to draw the person on, down to the table.
    pub fn canvas(&self) -> Canvas {
        let (width, height) = self.back.image.dimensions();
        let table = Stage { width, height }.pixel((0.0, TABLE)).1;
        Canvas::over(self.back.image.clone(), (table.ceil() as u32).min(height))
    }

    /// Puts the table and what stands on it before whatever was drawn.
    pub fn cover(&self, canvas: &mut Canvas) {
        for &(first, count) in &self.hidden {
            let bytes = first * 3..(first + count) * 3;
            canvas.bytes_mut()[bytes.clone()].copy_from_slice(&self.front.bytes()[bytes]);
        }
    }

    /// The same grain on both layers.
    fn add_grain(&mut self, draws: &mut Draws) {
        let tile: Vec<i16> = (0..4099).map(|_| (GRAIN * draws.normal()).round() as i16).collect();
        for layer in [&mut self.back, &mut self.front] {
            for (i, pixel) in layer.bytes_mut().chunks_exact_mut(3).enumerate() {
                let noise = tile[i % tile.len()];
                pixel.iter_mut().for_each(|c| *c = (i16::from(*c) + noise).clamp(0, 255) as u8);
            }
        }
    }
}

/// Runs of pixels in which two pictures of the same size differ.
fn runs(a: &Canvas, b: &Canvas) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    let pixels = a.bytes().chunks_exact(3).zip(b.bytes().chunks_exact(3));
    for (i, _) in pixels.enumerate().filter(|(_, (a, b))| a != b) {
        match runs.last_mut() {
            Some((first, count)) if *first + *count == i => *count += 1,
            _ => runs.push((i, 1)),
        }
    }
    runs
}

/// A piece of furniture.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Piece {
    Window,
    Shelf,
    Sofa,
    Lamp,
    Plant,
}

/// What all clips of a show share, and where the camera looks.
#[derive(Clone, Debug)]
pub(super) struct Look {
    /// Brightness of everything.
    pub gain: f32,
    wall: Color,
    /// Width of a stripe in scene units; `None` is plain.
    stripe: Option<f32>,
    floor: Color,
    floor_top: f32,
    wood: Color,
    paper: f32,
    ink: Color,
    /// The five pieces from the back to the front, each with its place from the middle outwards.
    pieces: [(Piece, f32); 5],
    /// How far the camera of a clip looks to the left of the middle, in scene units.
    pan: f32,
    cloth: Color,
}

impl Look {
    /// The look of a show.
    pub fn draw(seed: u64, show: &str) -> Self {
        let mut draws = Draws::new(seed, "demo-look", show);
        let gain = draws.between(0.88, 1.08) as f32;
        let mut between = |lo: f64, hi: f64| draws.between(lo, hi) as f32;
        let (grey, warm, green) = (between(112.0, 188.0), between(-12.0, 14.0), between(-7.0, 7.0));
        let wall = scaled([grey + warm, grey + green, grey - warm], gain);
        let stripe = Some(between(18.0, 50.0)).filter(|_| between(0.0, 1.0) < 0.5);
        let brown = between(0.75, 1.15) * gain;
        let ink = between(20.0, 55.0);
        let cloth = [between(80.0, 135.0), between(85.0, 130.0), between(80.0, 130.0)];
        let mut pieces = [Piece::Window, Piece::Shelf, Piece::Sofa, Piece::Lamp, Piece::Plant]
            .map(|piece| (piece, between(0.0, 1.0)));
        Draws::new(seed, "demo-pieces", show).shuffle(&mut pieces);
        Look {
            gain,
            wall,
            stripe,
            floor: scaled([118.0, 104.0, 92.0], between(0.7, 1.1) * gain),
            floor_top: between(56.0, 96.0),
            wood: scaled([134.0, 102.0, 74.0], brown),
            paper: between(214.0, 240.0),
            ink: [ink; 3],
            pieces,
            pan: 0.0,
            cloth: scaled(mix(cloth, [luma(cloth); 3], 0.4), gain),
        }
    }

    fn wall(&self, canvas: &mut Canvas, stage: Stage) {
        let (unit, middle) = (stage.unit(), stage.pixel((0.0, 0.0)));
        let all = stage.area((-stage.half_width(), -180.0), (stage.half_width(), 180.0));
        canvas.paint(all, |x, y, _| {
            let (u, v) = ((x - middle.0) / unit, (y - middle.1) / unit);
            let far = (u / 300.0).hypot(v / 260.0);
            let light = 1.04 - 0.16 * far * far;
            let stripe = self.stripe.map_or(0.0, |w| {
                if ((u - self.pan) / w).rem_euclid(2.0) < 1.0 {
                    8.0
                } else {
                    -8.0
                }
            });
            let wall = self.wall.map(|c| c + stripe);
            let under = coverage((self.floor_top - v) * unit);
            let board = coverage((self.floor_top - 9.0 - v) * unit);
            let base = mix(wall, self.wall.map(|c| c * 0.5 + 105.0 * self.gain), board);
            (scaled(mix(base, self.floor, under), light), 1.0)
        });
    }

    /// The pieces, left and right in turn.
    fn furniture(&self, canvas: &mut Canvas, stage: Stage) {
        let half = stage.half_width();
        for (i, (piece, along)) in self.pieces.into_iter().enumerate() {
            let side = if i % 2 == 0 { -1.0 } else { 1.0 };
            let x = side * (half - 78.0 + 70.0 * along) + self.pan;
            match piece {
                Piece::Window => self.window(canvas, stage, x * 0.9),
                Piece::Shelf => self.shelf(canvas, stage, x),
                Piece::Sofa => self.sofa(canvas, stage, x * 0.85),
                Piece::Lamp => self.lamp(canvas, stage, x),
                Piece::Plant => self.plant(canvas, stage, x),
            }
        }
    }

    fn sofa(&self, canvas: &mut Canvas, stage: Stage, x: f32) {
        let unit = stage.unit();
        let mut part = |left: f32, top: f32, right: f32, light: f32| {
            let area = stage.area((x + left, top), (x + right, 175.0));
            canvas.rectangle(area, 10.0 * unit, scaled(self.cloth, light));
        };
        part(-80.0, 28.0, 80.0, 0.92);
        part(-72.0, 36.0, -2.0, 1.05);
        part(2.0, 36.0, 72.0, 1.05);
        part(-92.0, 56.0, -66.0, 0.84);
        part(66.0, 56.0, 92.0, 0.84);
    }

    fn window(&self, canvas: &mut Canvas, stage: Stage, x: f32) {
        let frame = scaled([205.0, 200.0, 192.0], self.gain);
        canvas.rectangle(stage.area((x - 44.0, -172.0), (x + 44.0, -58.0)), 1.0, frame);
        let (top, bottom) = (stage.pixel((0.0, -166.0)).1, stage.pixel((0.0, -64.0)).1);
        for (left, right) in [(-39.0, -2.0), (2.0, 39.0)] {
            let pane = stage.area((x + left, -166.0), (x + right, -64.0));
            let (sky, haze) = ([176.0, 192.0, 204.0], [214.0, 212.0, 200.0]);
            canvas.paint(pane, |px, py, _| {
                let color = mix(sky, haze, (py - top) / (bottom - top));
                (scaled(color, self.gain), coverage(pane.distance((px, py))))
            });
        }
        for side in [-1.0, 1.0] {
            let edge = x + side * 46.0;
            let drape = stage.area((edge - 11.0, -176.0), (edge + 11.0, -44.0));
            canvas.rectangle(drape, 2.0, scaled(self.cloth, 1.1));
        }
    }

    fn shelf(&self, canvas: &mut Canvas, stage: Stage, x: f32) {
        canvas.rectangle(stage.area((x - 36.0, -110.0), (x + 36.0, 150.0)), 2.0, self.wood);
        for row in 0..5 {
            let top = -104.0 + 50.0 * row as f32;
            let inside = stage.area((x - 31.0, top), (x + 31.0, top + 43.0));
            canvas.rectangle(inside, 1.0, scaled(self.wood, 0.55));
            for book in 0..8 {
                let turn = (row * 8 + book) as f32 * 2.4;
                if turn.sin() > 0.75 {
                    continue;
                }
                let (left, height) = (x - 30.0 + 7.4 * book as f32, 30.0 + 8.0 * turn.cos());
                let color = [112.0 + 34.0 * turn.sin(), 108.0 + 24.0 * (turn * 1.7).sin(), 104.0];
                let spine = stage.area((left, top + 43.0 - height), (left + 6.2, top + 43.0));
                canvas.rectangle(spine, 0.5, scaled(color, self.gain));
            }
        }
    }

    fn lamp(&self, canvas: &mut Canvas, stage: Stage, x: f32) {
        canvas.rectangle(stage.area((x - 2.0, -70.0), (x + 2.0, 160.0)), 1.0, [62.0, 58.0, 56.0]);
        let (center, unit) = (stage.pixel((x, -84.0)), stage.unit());
        canvas.paint(Area::around(center, 110.0 * unit), |px, py, below| {
            let far = length((px - center.0, py - center.1)) / (110.0 * unit);
            (scaled(below, 1.28), (1.0 - far).max(0.0).powi(2))
        });
        canvas.fill(Area::around(center, 40.0 * unit), [236.0, 222.0, 190.0], |p| {
            let (u, v) = ((p.0 - center.0) / unit, (p.1 - center.1) / unit);
            boxed((u.abs() - 0.4 * v, v), (22.0, 24.0)) * unit
        });
    }

    fn plant(&self, canvas: &mut Canvas, stage: Stage, x: f32) {
        let unit = stage.unit();
        for leaf in 0..9 {
            let angle = -2.6 + 0.26 * leaf as f32;
            let reach = 74.0 + 16.0 * (leaf as f32 * 2.1).sin();
            let root = stage.pixel((x, 76.0));
            let tip =
                stage.pixel((x + 0.75 * reach * angle.cos(), 76.0 + 1.5 * reach * angle.sin()));
            let green = [74.0 + 4.0 * leaf as f32, 106.0 + 5.0 * (leaf % 3) as f32, 76.0];
            let area = Area::around(((root.0 + tip.0) / 2.0, (root.1 + tip.1) / 2.0), 90.0 * unit);
            canvas.fill(area, scaled(green, self.gain), |p| {
                let along = length((p.0 - tip.0, p.1 - tip.1)) / unit;
                segment(p, root, tip) - (1.0 + 0.12 * along.min(110.0 - along).max(0.0)) * unit
            });
        }
        let pot = scaled([138.0, 112.0, 96.0], self.gain);
        canvas.rectangle(stage.area((x - 20.0, 74.0), (x + 20.0, 160.0)), 5.0 * unit, pot);
    }

    /// The table before the person.
    fn table(&self, canvas: &mut Canvas, stage: Stage) {
        let (half, unit) = (stage.half_width(), stage.unit());
        let top = stage.pixel((0.0, TABLE)).1;
        canvas.paint(stage.area((-half, TABLE), (half, 181.0)), |x, y, _| {
            let depth = (y - top) / unit;
            let grain = 3.0 * ((depth * 1.1).sin() + (depth * 2.3 + x / unit * 0.02).sin());
            let edge = if depth < 2.5 { 1.22 } else { 1.0 };
            (scaled(self.wood, edge).map(|c| c + grain), 1.0)
        });
    }

    /// A framed picture with its shadow.
    fn card(&self, canvas: &mut Canvas, stage: Stage, card: &Card) {
        let area = stage.card(card);
        let side = area.right - area.left;
        let (cx, cy) = ((area.left + area.right) / 2.0, (area.top + area.bottom) / 2.0);
        let shadow = Area {
            left: area.left + side * 0.03,
            top: area.top + side * 0.05,
            right: area.right + side * 0.05,
            bottom: area.bottom + side * 0.05,
        };
        canvas.paint(Area::around((cx, cy), side * 0.75), |x, y, _| {
            let fade = (0.5 - shadow.distance((x, y)) / (side * 0.06)).clamp(0.0, 1.0);
            ([20.0, 18.0, 18.0], 0.4 * fade)
        });
        let border = card.frame.map_or([128.0; 3], |key| key.color());
        canvas.paint(area, |x, y, _| {
            let diagonal = ((cx - x) + (cy - y)) / side;
            (scaled(border, self.gain * (1.0 + 0.16 * diagonal)), coverage(area.distance((x, y))))
        });
        let half = side * (0.5 - BORDER);
        let (paper, inner) = (self.paper_of(card.emotion), Area::around((cx, cy), half));
        canvas.rectangle(inner, 0.0, scaled(paper, self.gain));
        canvas.fill(inner, self.ink, |p| {
            let own = ((p.0 - cx) / half, (p.1 - cy) / half);
            glyph(card.emotion, own) * half
        });
    }

    /// Paper in the emotion's tint.
    fn paper_of(&self, emotion: Emotion) -> Color {
        let taken = match emotion {
            Emotion::Anger => [0.0, 0.7, 1.0],
            Emotion::Disgust => [0.9, 0.0, 0.9],
            Emotion::Fear => [0.45, 1.0, 0.0],
            Emotion::Happy => [0.0, 0.1, 1.0],
            Emotion::Neutral => [0.0, 0.0, 0.0],
            Emotion::Sad => [1.0, 0.35, 0.0],
            Emotion::Surprise => [0.0, 0.9, 0.25],
        };
        taken.map(|t| self.paper - TINT * t)
    }
}

/// Distance to an emotion's sign; the paper reaches from -1 to 1.
fn glyph(emotion: Emotion, p: Point) -> f32 {
    let (x, y) = p;
    match emotion {
        Emotion::Anger => length(p) - 0.58 - 0.22 * (8.0 * y.atan2(x)).cos(),
        Emotion::Disgust => {
            let wave = 0.13 * (x * 6.5).sin();
            let line = [-0.5, 0.0, 0.5].map(|row| (y - row - wave).abs());
            (line[0].min(line[1]).min(line[2]) - 0.11).max(x.abs() - 0.76)
        }
        Emotion::Fear => {
            let stroke = |s: f32| segment(p, (-0.58, -0.58 * s), (0.58, 0.58 * s));
            stroke(1.0).min(stroke(-1.0)) - 0.15
        }
        Emotion::Happy => length(p) - 0.62,
        Emotion::Neutral => boxed(p, (0.72, 0.17)),
        Emotion::Sad => {
            let bars = [-0.5, 0.0, 0.5].map(|column| boxed((x - column, y), (0.13, 0.66)));
            bars[0].min(bars[1]).min(bars[2])
        }
        Emotion::Surprise => (length(p) - 0.56).abs() - 0.15,
    }
}
