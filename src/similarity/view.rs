//! All that is kept of a picture to recognise altered copies of it, and when one is a copy.
//!
//! A cascade, from cheap to expensive: bars are cut away; PDQ hashes of the rest and of its mirror image
//! that are near, or keypoints that lie alike, propose how one picture lies in the other; and the
//! cells of both decide under that transform. Stills and moments of clips pass the same cascade.
use super::{
    borders,
    cells::{Cells, SIDE},
    keypoints::{keypoints, Keypoint, LONGEST},
    overlay::{agreement, Agreement},
    pdq::{self, Hashed},
    plane::{Area, Plane},
    registration::{registrations, Affine, Registration},
};

/// Keypoints of a picture.
pub const KEYPOINTS: usize = 160;
/// Bits of 256 in which hashes may differ for the pictures to be laid over each other as they are.
pub const WIDE_RADIUS: u32 = 90;
/// Keypoints that must lie alike to propose a transform.
const LEAST_INLIERS: usize = 6;
/// Windows of 225 that must show the same.
const LEAST_SAME: usize = 24;
/// Windows that may differ outside of what was put on top, as a share of those that are the same.
pub const MOST_DIFFERING: f64 = 0.03;
/// Windows that may lie beside their place, as a share of those that are the same: of a person who
/// moved a little most do, of a copy those beside something put on top. Chosen on half 0 of the
/// planted pictures: 95 of 100 copies have at most 0.06, 95 of 100 other takes at least 0.2.
const MOST_DRIFTED: f64 = 0.2;
/// Share of the common area that may be hidden by something put on top.
pub const MOST_HIDDEN: f64 = 0.2;
/// Share that each must show of the other, and that one of them must.
const COVERED: [f64; 2] = [0.15, 0.5];
/// Stretch of one side against the other up to which a transform is a copy's.
const MOST_STRETCHED: f64 = 1.35;
/// Cells by which the corners of a picture may lie apart for two transforms to be one.
const ABOUT: f64 = 1.0;
/// Share shown from which on a picture counts as the whole.
const WHOLE: f64 = 0.97;

/// What is kept of a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// The part that is not bars, as shares of the picture: left, top, width and height.
    pub area: [f32; 4],
    /// PDQ of that part and of its mirror image.
    pub hash: Hashed,
    /// Its cells.
    pub cells: Cells,
    /// Its corners.
    pub keypoints: Vec<Keypoint>,
}

/// What was done to the first picture, or to both, to make the second of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Whether it was mirrored.
    pub mirrored: bool,
    /// Turned by this many tenths of a degree, clockwise.
    pub turned: i32,
    /// How large it is in the second, in 1/1000 of the side that it would have there uncropped;
    /// bars count for neither.
    pub scale: i32,
    /// Its upper left, upper right and lower left corner in the second, in 1/1000 of that one's sides.
    pub corners: [[i32; 2]; 3],
    /// 1/1000 of the first that the second shows, and the other way round; bars count for neither.
    pub shown: [i32; 2],
    /// 1/1000 of what both show that is hidden by something put on top.
    pub hidden: i32,
}

impl View {
    /// The view of a grey picture with at most `most` keypoints.
    pub fn of(picture: &Plane, most: usize) -> Self {
        let area = borders::content(picture);
        let cut;
        let inside = if area == picture.area() {
            picture
        } else {
            cut = picture.cut(area);
            &cut
        };
        let small = inside.at_most(LONGEST);
        View {
            area: shares(area, picture),
            hash: pdq::of_grey(&inside.pixels, inside.width, inside.height),
            cells: Cells::of(&small, (small.width, small.height)),
            keypoints: keypoints(&small, most),
        }
    }

    /// Differing bits of the hashes, and whether the second had to be mirrored for that.
    pub fn distance(&self, other: &View) -> (u32, bool) {
        let own = self.hash.own;
        (own.distance(other.hash.own), false).min((own.distance(other.hash.mirrored), true))
    }

    /// How the other is a copy of this picture, and the share of windows that differ nevertheless;
    /// `None` when it is none.
    pub fn copy(&self, other: &View) -> Option<(Change, f64)> {
        self.copy_as_it_lies(other).or_else(|| {
            let width = other.cells.size()[0];
            let found = registrations(&self.keypoints, &other.keypoints, width, LEAST_INLIERS);
            let tried = self.whole(other);
            let known = |r: &Registration| {
                tried.is_some_and(|(whole, mirrored)| {
                    mirrored == r.mirrored && self.is_about(&whole, &r.transform)
                })
            };
            let mut others = found.into_iter().filter(|r| !known(r));
            others.find_map(|r| self.laid(other, r.transform, r.mirrored))
        })
    }

    /// The same where the whole of the one is at first laid over the whole of the other, as their hashes
    /// propose; corners are not asked.
    pub fn copy_as_it_lies(&self, other: &View) -> Option<(Change, f64)> {
        let (whole, mirrored) = self.whole(other)?;
        self.laid(other, whole, mirrored)
    }

    /// The whole of this picture laid over the whole of the other, mirrored or not, when their hashes are near.
    fn whole(&self, other: &View) -> Option<(Affine, bool)> {
        let ([width, height], [its_width, its_height]) = (self.cells.size(), other.cells.size());
        let (bits, mirrored) = self.distance(other);
        let whole = Affine::stretch(its_width / width, its_height / height);
        (bits <= WIDE_RADIUS).then_some((whole, mirrored))
    }

    /// Whether two transforms take this picture's corners to about the same places: from either the
    /// cells lead to one and the same.
    fn is_about(&self, a: &Affine, b: &Affine) -> bool {
        let [width, height] = self.cells.size();
        let scale = b.determinant().abs().sqrt();
        let cell = ABOUT * scale * width.max(height) / SIDE as f64;
        let beside = |corner: [f64; 2]| {
            let ([x, y], [u, v]) = (a.apply(corner), b.apply(corner));
            (x - u) * (x - u) + (y - v) * (y - v) <= cell * cell
        };
        [[0.0, 0.0], [width, 0.0], [0.0, height], [width, height]].into_iter().all(beside)
    }

    /// The copy that the other is under about this transform.
    fn laid(&self, other: &View, transform: Affine, mirrored: bool) -> Option<(Change, f64)> {
        let (transform, found) = agreement(&self.cells, &other.cells, transform, mirrored)?;
        let apart = found.differing as f64 / (found.same + found.differing).max(1) as f64;
        is_copy(&transform, &found)
            .then(|| (self.change(other, transform, mirrored, &found), apart))
    }

    fn change(&self, other: &View, transform: Affine, mirrored: bool, found: &Agreement) -> Change {
        let ([width, height], [its_width, its_height]) = (self.cells.size(), other.cells.size());
        let thousandths = |v: f64| (1000.0 * v).round().clamp(-1e8, 1e8) as i32;
        let [[left, top, across, down], its] = [self, other].map(|v| v.area.map(f64::from));
        // Bars belong to the pictures that people look at, though not to what is compared.
        let corner = |x: f64, y: f64| {
            let inside = [(x - left) / across * width, (y - top) / down * height];
            let [u, v] = transform.apply(inside);
            let u = if mirrored { its_width - u } else { u };
            let shares = [its[0] + its[2] * u / its_width, its[1] + its[3] * v / its_height];
            shares.map(thousandths)
        };
        let uncropped = (its_width * its_height / (width * height)).sqrt();
        Change {
            mirrored,
            turned: (10.0 * transform.degrees()).round() as i32,
            scale: thousandths(transform.determinant().abs().sqrt() / uncropped),
            corners: [corner(0.0, 0.0), corner(1.0, 0.0), corner(0.0, 1.0)],
            shown: found.covered.map(thousandths),
            hidden: thousandths(found.hidden),
        }
    }
}

/// Whether pictures that agree like that are copies.
fn is_copy(transform: &Affine, found: &Agreement) -> bool {
    let [least, most] =
        [found.covered[0].min(found.covered[1]), found.covered[0].max(found.covered[1])];
    found.same >= LEAST_SAME
        && found.differing as f64 <= 1.0 + MOST_DIFFERING * found.same as f64
        && found.drifted as f64 <= 1.0 + MOST_DRIFTED * found.same as f64
        && found.hidden <= MOST_HIDDEN
        && least >= COVERED[0]
        && most >= COVERED[1]
        && transform.stretched() <= MOST_STRETCHED
}

impl Change {
    /// The way back: what was done to the second to make the first of it.
    pub fn reversed(self) -> Change {
        let [a, b, c] = self.corners.map(|corner| corner.map(|v| f64::from(v) / 1000.0));
        let map = Affine([b[0] - a[0], c[0] - a[0], a[0], b[1] - a[1], c[1] - a[1], a[1]]);
        let back = map.inverse().unwrap_or(Affine::IDENTITY);
        let thousandths = |v: f64| (1000.0 * v).round().clamp(-1e8, 1e8) as i32;
        let corner = |x: f64, y: f64| back.apply([x, y]).map(thousandths);
        Change {
            mirrored: self.mirrored,
            // A mirrored picture turns the other way.
            turned: if self.mirrored { self.turned } else { -self.turned },
            scale: thousandths(1000.0 / f64::from(self.scale.max(1))),
            corners: [corner(0.0, 0.0), corner(1.0, 0.0), corner(0.0, 1.0)],
            shown: [self.shown[1], self.shown[0]],
            hidden: self.hidden,
        }
    }

    /// Whether one picture shows a part of the other.
    pub fn cropped(&self) -> bool {
        self.shown.iter().any(|shown| f64::from(*shown) < 1000.0 * WHOLE)
    }
}

fn shares(area: Area, picture: &Plane) -> [f32; 4] {
    let across = |v: usize| v as f32 / picture.width as f32;
    let down = |v: usize| v as f32 / picture.height as f32;
    [across(area.x), down(area.y), across(area.width), down(area.height)]
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::seed::Draws;

    /// A wall with sixty patches of other grey, each with a grain of its own.
    pub(in crate::similarity) fn scene(seed: u64, width: usize, height: usize) -> Plane {
        let mut draws = Draws::new(seed, "scene", "");
        let mut picture = vec![110u8; width * height];
        for _ in 0..60 {
            let [x, y] = [width, height].map(|n| draws.below(n as u64) as usize);
            let [w, h] = [0; 2].map(|_| 8 + draws.below(width as u64 / 6) as usize);
            let (grey, grain) = (draws.below(200) as u8, 1 + draws.below(3) as usize);
            for row in picture.chunks_exact_mut(width).skip(y).take(h) {
                for (k, level) in row[x..].iter_mut().take(w).enumerate() {
                    *level = grey + (k / grain % 3 * 9) as u8;
                }
            }
        }
        Plane::new(width, height, picture).expect("fits")
    }

    /// A copy whose pixel is the picture at `map` of it.
    fn warped(picture: &Plane, (width, height): (usize, usize), map: Affine) -> Plane {
        let at = |i: usize| {
            let [x, y] = map.apply([(i % width) as f64 + 0.5, (i / width) as f64 + 0.5]);
            let side = |v: f64, n: usize| (v.max(0.0) as usize).min(n - 1);
            picture.row(side(y, picture.height))[side(x, picture.width)]
        };
        Plane::new(width, height, (0..width * height).map(at).collect()).expect("fits")
    }

    /// `with` in front of a picture.
    fn put(picture: &Plane, with: &Plane, (x, y): (usize, usize)) -> Plane {
        let mut out = picture.clone();
        for (v, row) in with.pixels.chunks_exact(with.width).enumerate() {
            out.pixels[(y + v) * picture.width + x..][..with.width].copy_from_slice(row);
        }
        out
    }

    fn view(picture: &Plane) -> View {
        View::of(picture, KEYPOINTS)
    }

    #[test]
    fn what_was_done_to_a_copy_is_told() {
        let picture = scene(1, 480, 270);
        let own = view(&picture);
        let told = |copy: &Plane| {
            let its = view(copy);
            let (there, _) = own.copy(&its).expect("a copy");
            let (back, _) = its.copy(&own).expect("a copy the other way round");
            let near = |a: i32, b: i32, by: i32| assert!((a - b).abs() <= by, "{there:?} {back:?}");
            let turned = there.reversed();
            near(turned.scale, back.scale, 20);
            near(turned.turned, back.turned, 8);
            for (a, b) in turned.corners.iter().flatten().zip(back.corners.iter().flatten()) {
                near(*a, *b, 20);
            }
            there
        };
        let same = told(&picture);
        assert_eq!((same.mirrored, same.turned, same.hidden), (false, 0, 0));
        assert!(!same.cropped() && (same.scale - 1000).abs() <= 3, "{same:?}");
        assert!(told(&picture.mirrored()).mirrored);
        let part = picture.cut(Area { x: 60, y: 30, width: 360, height: 210 });
        let cropped = told(&part);
        let outline = [[-167, -143], [1167, -143], [-167, 1143]];
        for (told, is) in cropped.corners.iter().flatten().zip(outline.iter().flatten()) {
            assert!((told - is).abs() <= 6, "{cropped:?}");
        }
        // The plain wall at the scene's edge counts as a bar, so it is no part of what is shown.
        let whole = f64::from(own.area[2] * own.area[3]) * 480.0 * 270.0;
        let [scale, shown] = [(whole / (360.0 * 210.0)).sqrt(), 360.0 * 210.0 / whole];
        assert!((f64::from(cropped.scale) - 1000.0 * scale).abs() <= 6.0, "{cropped:?}");
        assert!((f64::from(cropped.shown[0]) - 1000.0 * shown).abs() <= 6.0, "{cropped:?}");
        assert!(cropped.cropped() && cropped.shown[1] >= 990, "{cropped:?}");
        let (cos, sin) = (8f64.to_radians().cos(), 8f64.to_radians().sin());
        let turn = Affine([cos, -sin, 60.0, sin, cos, 5.0]);
        let rotated = told(&warped(&picture, (400, 210), turn));
        assert!((rotated.turned + 80).abs() <= 6, "{rotated:?}");
        let framed =
            put(&Plane::new(480, 400, vec![0; 480 * 400]).expect("fits"), &picture, (0, 65));
        let framed = told(&framed);
        assert!(!framed.cropped() && (framed.scale - 1000).abs() <= 6, "{framed:?}");
        // 65 of 400 rows are bar on either side.
        assert!((framed.corners[0][1] - 163).abs() <= 6, "{framed:?}");
        assert!((framed.corners[2][1] - 838).abs() <= 6, "{framed:?}");
        let logo = told(&put(&picture, &scene(9, 90, 90), (380, 10)));
        assert!((20..=120).contains(&logo.hidden), "{logo:?}");
    }

    #[test]
    fn another_person_in_the_room_is_no_copy_nor_is_another_room() {
        let room = scene(1, 480, 270);
        let person = |seed: u64, x: usize| put(&room, &scene(seed, 130, 190), (x, 80));
        let (own, moved, other) = (person(5, 170), person(5, 195), person(6, 170));
        assert_eq!(view(&own).copy(&view(&moved)), None);
        assert_eq!(view(&own).copy(&view(&other)), None);
        // So little that all windows still show the same: less than half a cell.
        let close = |x: usize| put(&room, &scene(5, 260, 200), (x, 60));
        assert_eq!(view(&close(110)).copy(&view(&close(114))), None);
        assert_eq!(view(&own).copy(&view(&scene(2, 480, 270))), None);
        let black = Plane::new(480, 270, vec![0; 480 * 270]).expect("fits");
        assert_eq!(view(&black).copy(&view(&black)), None);
    }
}
