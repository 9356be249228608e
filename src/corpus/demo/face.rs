//! A person: head, hair, features that follow an expression, shirt, and the glow of a key.
//!
//! The head's own coordinates: origin at the bridge of the nose, one unit is half its width, y
//! points down; the chin is near 1.3.
use crate::{record::FaceBox, seed::Draws};

use super::{
    canvas::{ellipse, luma, mix, scaled, segment, union, Arc, Canvas, Color, Point, Pose},
    plan::{Expression, Key},
};

/// Centre of the face box in head units: where SeetaFace puts its boxes on these heads.
const BOX_CENTER: Point = (0.0, 0.16);
/// Half its side in head units.
const BOX_HALF: f32 = 1.06;

/// The glow's opacity in the middle of the face.
const GLOW: f32 = 0.8;
/// Where the glow ends, in half sides of the face box: short of 1, so that a detector's box that
/// is a little off still holds all of it.
const GLOW_REACH: f32 = 0.86;

const SKINS: [Color; 6] = [
    [241.0, 208.0, 184.0],
    [228.0, 188.0, 158.0],
    [212.0, 166.0, 132.0],
    [190.0, 140.0, 106.0],
    [160.0, 114.0, 84.0],
    [134.0, 94.0, 70.0],
];
const HAIRS: [Color; 6] = [
    [34.0, 28.0, 26.0],
    [62.0, 42.0, 30.0],
    [96.0, 64.0, 40.0],
    [150.0, 112.0, 62.0],
    [120.0, 66.0, 36.0],
    [140.0, 138.0, 134.0],
];
const SHIRTS: [Color; 8] = [
    [86.0, 100.0, 92.0],
    [112.0, 104.0, 124.0],
    [70.0, 78.0, 88.0],
    [146.0, 132.0, 110.0],
    [104.0, 88.0, 78.0],
    [168.0, 164.0, 156.0],
    [58.0, 84.0, 80.0],
    [124.0, 116.0, 84.0],
];
const EYES: [Color; 4] =
    [[70.0, 48.0, 34.0], [52.0, 74.0, 60.0], [64.0, 84.0, 104.0], [46.0, 36.0, 30.0]];

/// How the hair is worn.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cut {
    Short,
    Parted,
    Long,
    Bob,
    Bun,
}

/// How a person looks in every clip.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Person {
    skin: Color,
    hair: Color,
    shirt: Color,
    iris: Color,
    cut: Cut,
    beard: bool,
    /// Half width of the jaw.
    jaw: f32,
    /// Distance of the eyes from the middle.
    eye_gap: f32,
    /// Thickness of the brows.
    brow: f32,
    /// Width of the mouth from its middle.
    mouth: f32,
    /// Size of the head relative to others.
    pub size: f32,
}

impl Person {
    /// The look of `id` under the light of a show (`gain` of every colour).
    pub fn draw(seed: u64, id: &str, gain: f32) -> Self {
        let mut draws = Draws::new(seed, "demo-person", id);
        let mut pick =
            |colors: &[Color]| scaled(colors[draws.below(colors.len() as u64) as usize], gain);
        let (skin, hair, shirt, iris) = (pick(&SKINS), pick(&HAIRS), pick(&SHIRTS), pick(&EYES));
        let cut = [Cut::Short, Cut::Parted, Cut::Long, Cut::Bob, Cut::Bun][draws.below(5) as usize];
        let short = matches!(cut, Cut::Short | Cut::Parted);
        Person {
            skin,
            hair,
            shirt,
            iris,
            cut,
            beard: short && draws.chance(0.3),
            jaw: draws.between(0.80, 0.92) as f32,
            eye_gap: draws.between(0.40, 0.45) as f32,
            brow: draws.between(0.06, 0.085) as f32,
            mouth: draws.between(0.33, 0.41) as f32,
            size: draws.between(0.95, 1.05) as f32,
        }
    }
}

/// Where a person is in a frame and what the face does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moment {
    pub head: Pose,
    pub expression: Expression,
    /// 0 shut, 1 as open as the expression wants.
    pub lids: f32,
    /// Where the eyes look, -1..=1 from right to left of the eye.
    pub gaze: f32,
}

/// The box that a face detector should find.
pub(super) fn face_box(head: &Pose) -> FaceBox {
    let (x, y) = head.pixel(BOX_CENTER);
    let half = BOX_HALF * head.unit;
    FaceBox {
        x1: (x - half).round() as i32,
        y1: (y - half).round() as i32,
        x2: (x + half).round() as i32,
        y2: (y + half).round() as i32,
        score: 1.0,
    }
}

/// Draws what moves of the person over the [`body`], then the key's glow on the face.
pub(super) fn draw(canvas: &mut Canvas, person: &Person, moment: &Moment, key: Key) {
    long_hair(canvas, person, &moment.head);
    neck(canvas, person, &moment.head);
    head(canvas, person, &moment.head);
    for side in [-1.0, 1.0] {
        eye(canvas, person, moment, side);
        brow(canvas, person, moment, side);
    }
    nose(canvas, person, &moment.head);
    if person.beard {
        beard(canvas, person, &moment.head);
    }
    mouth(canvas, person, moment);
    front_hair(canvas, person, &moment.head);
    glow(canvas, &moment.head, key);
}

/// Hair behind the head, before the shoulders.
fn long_hair(canvas: &mut Canvas, person: &Person, pose: &Pose) {
    let dark = scaled(person.hair, 0.82);
    match person.cut {
        Cut::Long => pose.fill(canvas, ((0.0, 0.6), 2.1), (dark, 1.0, 0.05), |p| {
            let fall = segment(p, (0.0, -0.1), (0.0, 1.3)) - 1.22;
            fall.max(p.1 - 2.0)
        }),
        Cut::Bob => pose.fill(canvas, ((0.0, 0.1), 1.8), (dark, 1.0, 0.05), |p| {
            segment(p, (0.0, -0.1), (0.0, 0.35)) - 1.24
        }),
        Cut::Bun => pose.fill(canvas, ((0.0, -1.5), 0.6), (dark, 1.0, 0.03), |p| {
            ellipse(p, (0.0, -1.45), (0.46, 0.4))
        }),
        Cut::Short | Cut::Parted => {}
    }
}

/// Shirt and collar, which keep still for a whole clip.
pub(super) fn body(canvas: &mut Canvas, person: &Person, pose: &Pose) {
    let shirt = person.shirt;
    pose.fill(canvas, ((0.0, 3.4), 2.4), (shirt, 1.0, 0.0), |p| {
        union(ellipse(p, (0.0, 3.3), (1.62, 1.42)), ellipse(p, (0.0, 4.4), (1.72, 2.0)), 0.3)
    });
    pose.fill(canvas, ((0.0, 3.4), 2.4), (scaled(shirt, 0.72), 0.7, 0.5), |p| {
        let chest = ellipse(p, (0.0, 3.3), (1.62, 1.42));
        chest.max(0.95 - p.0.abs()).max(-p.1 + 2.2)
    });
    pose.fill(canvas, ((0.0, 1.9), 0.8), (scaled(person.skin, 0.86), 1.0, 0.0), |p| {
        ellipse(p, (0.0, 1.95), (0.62, 0.32))
    });
    for side in [-1.0, 1.0] {
        pose.fill(canvas, ((0.4 * side, 2.1), 0.8), (scaled(shirt, 1.16), 1.0, 0.02), |p| {
            segment(p, (0.56 * side, 1.78), (0.06 * side, 2.42)) - 0.11
        });
    }
}

/// The neck in the shade of the chin.
fn neck(canvas: &mut Canvas, person: &Person, pose: &Pose) {
    pose.fill(canvas, ((0.0, 1.3), 0.9), (scaled(person.skin, 0.86), 1.0, 0.0), |p| {
        segment(p, (0.0, 0.9), (0.0, 1.6)) - 0.46
    });
    pose.fill(canvas, ((0.0, 1.3), 0.5), (scaled(person.skin, 0.62), 0.55, 0.3), |p| {
        ellipse(p, (0.0, 1.24), (0.44, 0.2))
    });
}

/// Skull and jaw, ears, and light from the upper left.
fn head(canvas: &mut Canvas, person: &Person, pose: &Pose) {
    let skin = person.skin;
    for side in [-1.0, 1.0] {
        pose.fill(canvas, ((side, 0.08), 0.35), (scaled(skin, 0.88), 1.0, 0.0), |p| {
            ellipse(p, (0.97 * side, 0.08), (0.15, 0.25))
        });
    }
    let edge = |p| outline(person, pose.own(p)) * pose.unit;
    canvas.shape(pose.area((0.0, 0.0), 1.38), (1.0, 1.0), edge, |p| {
        let (x, y) = pose.own(p);
        let (x, y) = (x + 0.25, (y + 0.1) * 0.8);
        scaled(skin, 1.05 - 0.13 * (x * x + y * y))
    });
    for side in [-1.0, 1.0] {
        let flush = mix(skin, [222.0, 96.0, 84.0], 0.25);
        pose.fill(canvas, ((0.52 * side, 0.45), 0.3), (flush, 0.5, 0.3), |p| {
            ellipse(p, (0.52 * side, 0.45), (0.2, 0.14))
        });
    }
}

/// Distance to the outline of the head.
fn outline(person: &Person, p: Point) -> f32 {
    let skull = ellipse(p, (0.0, -0.22), (1.0, 1.12));
    let jaw = ellipse(p, (0.0, 0.42), (person.jaw, 0.92));
    union(skull, jaw, 0.3)
}

fn eye(canvas: &mut Canvas, person: &Person, moment: &Moment, side: f32) {
    let pose = &moment.head;
    let at = (person.eye_gap * side, -0.08);
    let open = ((0.66 + 0.34 * moment.expression.eye_open) * moment.lids).clamp(0.06, 1.15);
    let (half_width, half_height) = (0.215, 0.155 * open);
    pose.fill(canvas, (at, 0.5), (scaled(person.skin, 0.68), 0.55, 0.22), |p| {
        ellipse(p, (at.0, at.1 - 0.06), (0.26, 0.15))
    });
    let white = move |p| ellipse(p, at, (half_width, half_height));
    pose.fill(canvas, (at, 0.3), ([236.0, 234.0, 230.0], 1.0, 0.0), white);
    let look = (at.0 + 0.06 * moment.gaze, at.1);
    let disc = |p, radius| white(p).max(ellipse(p, look, (radius, radius)));
    pose.fill(canvas, (at, 0.3), (person.iris, 1.0, 0.0), |p| disc(p, 0.115));
    pose.fill(canvas, (at, 0.3), ([16.0, 14.0, 14.0], 1.0, 0.0), |p| disc(p, 0.06));
    pose.fill(canvas, (at, 0.3), ([250.0; 3], 0.9, 0.0), |p| {
        white(p).max(ellipse(p, (look.0 - 0.04, look.1 - 0.05), (0.025, 0.025)))
    });
    let dark = scaled(mix(person.skin, person.hair, 0.6), 0.4);
    let (inner, outer) = ((at.0 - 0.22 * side, at.1 + 0.02), (at.0 + 0.24 * side, at.1));
    let upper = Arc::new(inner, (at.0, at.1 - half_height - 0.01), outer);
    let lower = Arc::new(inner, (at.0, at.1 + half_height + 0.01), outer);
    pose.fill(canvas, (at, 0.3), (dark, 0.95, 0.01), |p| upper.distance(p) - 0.026);
    pose.fill(canvas, (at, 0.3), (dark, 0.35, 0.02), |p| lower.distance(p) - 0.012);
}

fn brow(canvas: &mut Canvas, person: &Person, moment: &Moment, side: f32) {
    let e = moment.expression;
    let inner = (0.19 * side, -0.42 - 0.13 * e.inner_brow);
    let outer = (0.72 * side, -0.40 - 0.12 * e.outer_brow);
    let middle = (0.45 * side, -0.47 - 0.065 * (e.inner_brow + e.outer_brow));
    let color = scaled(mix(person.hair, [40.0, 32.0, 28.0], 0.55), 0.8);
    let center = (0.45 * side, middle.1);
    let curve = Arc::new(inner, middle, outer);
    moment.head.fill(canvas, (center, 0.42), (color, 0.95, 0.02), |p| {
        let along = ((p.0.abs() - 0.19) / 0.53).clamp(0.0, 1.0);
        curve.distance(p) - person.brow * (1.0 - 0.55 * along)
    });
}

fn nose(canvas: &mut Canvas, person: &Person, pose: &Pose) {
    let (shade, light) = (scaled(person.skin, 0.66), scaled(person.skin, 1.12));
    pose.fill(canvas, ((0.12, 0.1), 0.4), (shade, 0.35, 0.12), |p| {
        segment(p, (0.1, -0.2), (0.18, 0.34)) - 0.04
    });
    pose.fill(canvas, ((-0.02, 0.05), 0.3), (light, 0.5, 0.12), |p| {
        segment(p, (-0.02, -0.15), (-0.02, 0.26)) - 0.035
    });
    let tip = Arc::new((-0.2, 0.36), (0.0, 0.44), (0.2, 0.36));
    pose.fill(canvas, ((0.0, 0.4), 0.28), (shade, 0.75, 0.06), |p| tip.distance(p) - 0.03);
    for side in [-1.0, 1.0] {
        let dark = scaled(person.skin, 0.34);
        pose.fill(canvas, ((0.1 * side, 0.385), 0.1), (dark, 0.8, 0.02), |p| {
            ellipse(p, (0.095 * side, 0.385), (0.05, 0.028))
        });
    }
}

fn beard(canvas: &mut Canvas, person: &Person, pose: &Pose) {
    let color = mix(person.skin, person.hair, 0.6);
    pose.fill(canvas, ((0.0, 0.75), 1.1), (color, 0.75, 0.08), |p| {
        let cheek = 0.42 + 0.25 * (1.0 - p.0.abs()) - p.1;
        let chin = -ellipse(p, (0.0, 0.5), (0.62, 0.42));
        (outline(person, p) + 0.03).max(cheek).max(chin)
    });
}

fn mouth(canvas: &mut Canvas, person: &Person, moment: &Moment) {
    let (pose, e, half) = (&moment.head, moment.expression, person.mouth);
    let open = (e.mouth_open * 0.3).max(0.0);
    let (corner, middle) = (0.76 - 0.15 * e.mouth_curve, 0.76 + 0.09 * e.mouth_curve);
    let (left, right) = ((-half, corner - open * 0.2), (half, corner - open * 0.2));
    // Height of the upper lip's edge at x, and how open the mouth is there.
    let edge = |x: f32| {
        let bulge = (1.0 - (x / half) * (x / half)).max(0.0);
        (left.1 + (middle - open * 0.45 - left.1) * bulge, open * bulge)
    };
    let gap = |p: Point, grow: f32| {
        let (top, height) = edge(p.0);
        (top - grow - p.1).max(p.1 - top - height - grow).max(p.0.abs() - half)
    };
    let lips = mix(scaled(person.skin, 0.7), [168.0, 62.0, 66.0], 0.45);
    let around = ((0.0, 0.8), 0.45);
    pose.fill(canvas, around, (scaled(person.skin, 0.7), 0.4, 0.1), |p| {
        ellipse(p, (0.0, middle + open * 0.6 + 0.2), (0.2, 0.04))
    });
    pose.fill(canvas, around, (lips, 1.0, 0.02), |p| gap(p, 0.065 * (1.0 - (p.0 / half).powi(2))));
    pose.fill(canvas, around, ([58.0, 22.0, 24.0], 1.0, 0.01), |p| gap(p, 0.008));
    if open > 0.05 {
        pose.fill(canvas, around, ([238.0, 234.0, 226.0], 1.0, 0.01), |p| {
            let (top, height) = edge(p.0);
            gap(p, -0.012).max(p.1 - top - 0.085_f32.min(0.5 * height))
        });
    }
    let line = scaled(person.skin, 0.34);
    let seam = Arc::new(left, (0.0, middle - open * 0.45), right);
    pose.fill(canvas, around, (line, 0.85, 0.02), |p| seam.distance(p) - 0.018);
}

/// Hair over the forehead and at the sides.
fn front_hair(canvas: &mut Canvas, person: &Person, pose: &Pose) {
    let lift = match person.cut {
        Cut::Short => 0.10,
        Cut::Parted => 0.13,
        Cut::Long | Cut::Bob => 0.16,
        Cut::Bun => 0.07,
    };
    let hairline = |p: Point| match person.cut {
        Cut::Parted => -0.74 - 0.22 * p.0 + 0.25 * p.0 * p.0,
        Cut::Bob => -0.66 + 0.9 * (p.0.abs() - 0.62).max(0.0) * 2.2,
        Cut::Long => -0.82 + 0.9 * (p.0.abs() - 0.25).max(0.0) * 1.5,
        Cut::Short | Cut::Bun => -0.76 + 0.42 * p.0 * p.0,
    };
    let color = person.hair;
    let edge = |p| {
        let p = pose.own(p);
        let cap = ellipse(p, (0.0, -0.24), (1.0 + lift, 1.12 + lift));
        cap.max((p.1 - hairline(p)) * 0.7) * pose.unit
    };
    canvas.shape(pose.area((0.0, -0.3), 1.3), (1.0, 1.0), edge, |p| {
        let (x, y) = pose.own(p);
        let strand = 1.0 + 0.10 * (x * 17.0 + y * 4.0).sin();
        scaled(color, strand + 0.22 * (0.5 - (x + 0.35).abs()).max(0.0))
    });
}

/// Tints the face, keeping its brightness; strongest in the middle, gone inside the face box.
fn glow(canvas: &mut Canvas, pose: &Pose, key: Key) {
    let reach = BOX_HALF * GLOW_REACH;
    let (color, center) = (key.color(), pose.pixel(BOX_CENTER));
    let radius = reach * pose.unit;
    canvas.paint(pose.area(BOX_CENTER, reach), |x, y, below| {
        let (dx, dy) = ((x - center.0) / radius, (y - center.1) / radius);
        let strength = GLOW * (1.0 - dx * dx - dy * dy).max(0.0).sqrt();
        let offset = luma(below) - luma(color);
        (color.map(|v| v + offset), strength)
    });
}
