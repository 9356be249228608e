//! A still's pixels at every level of detail that a comparison asks for.
use super::plane::Plane;
use crate::similarity::hash;

/// Levels that are kept, the whole picture among them.
const LEVELS: usize = 4;

/// A still with its pixels.
#[derive(Clone, Debug)]
pub struct StillPicture {
    /// Level 0 to 3; fewer for small pictures.
    levels: Vec<Plane>,
    /// The same levels of a plane that is above 0 where a colour is black or white at its limit, and
    /// may have been cut off there; `None` where that is nowhere, or almost everywhere.
    cut: Option<Vec<Plane>>,
}

/// A channel's values at its limits.
const LOWEST: u8 = 1;
const HIGHEST: u8 = 254;
/// The same of a colour whose channels differ by at least so much: scaling and JPEG mix what was cut off
/// with its neighbours.
const SATURATED: u8 = 64;
const NEAR_LOWEST: u8 = 12;
const NEAR_HIGHEST: u8 = 243;
/// Share of pixels that have to be inside the limits for the others to be passed over.
const LEAST_INSIDE: f64 = 0.3;

impl StillPicture {
    /// Of interleaved RGB, three bytes for each of `width` x `height` pixels.
    pub fn new(width: usize, height: usize, rgb: &[u8]) -> Self {
        let luma = hash::luma(rgb);
        let whole = Plane::whole(width, height, |y| &luma[y * width..(y + 1) * width]);
        let cut: Vec<i16> = rgb.chunks_exact(3).map(|p| i16::from(at_limit(p)) * OUTSIDE).collect();
        let outside = cut.iter().filter(|v| **v > 0).count() as f64;
        let tells = outside > 0.0 && outside <= (1.0 - LEAST_INSIDE) * cut.len() as f64;
        let cut = tells.then(|| levels(Plane { width, height, values: cut }));
        StillPicture { levels: levels(whole), cut }
    }

    /// The mirror image.
    pub fn mirrored(&self) -> Self {
        let turned = |planes: &[Plane]| planes.iter().map(Plane::mirrored).collect();
        if self.levels[0].width.is_multiple_of(8) {
            return StillPicture {
                levels: turned(&self.levels),
                cut: self.cut.as_deref().map(turned),
            };
        }
        // Odd sides: a level's pixels begin at the left edge.
        StillPicture {
            levels: levels(self.levels[0].mirrored()),
            cut: self.cut.as_ref().map(|cut| levels(cut[0].mirrored())),
        }
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (usize, usize) {
        (self.levels[0].width, self.levels[0].height)
    }

    /// Which pixels of [`Self::part`] are made of none at the limit; `None` where all are.
    pub(super) fn inside(&self, rect: [f64; 4], width: usize, height: usize) -> Option<Vec<bool>> {
        let cut = self.cut.as_ref()?;
        let part = part(cut, rect, width, height, Detail::Coarse);
        Some(part.values.iter().map(|v| *v <= OUTSIDE / 16).collect())
    }

    /// The averages over a rectangle of the still's pixels, as `width` x `height` pixels.
    pub(super) fn part(
        &self,
        rect: [f64; 4],
        width: usize,
        height: usize,
        detail: Detail,
    ) -> Plane {
        part(&self.levels, rect, width, height, detail)
    }

    /// The level whose pixels are nearest to `width` in number, and how much of the still's sides it
    /// covers, since an odd last line or column is left out.
    pub(super) fn near(&self, width: f64) -> (&Plane, [f64; 2]) {
        let off = |plane: &&Plane| {
            let ratio = plane.width as f64 / width;
            ratio.max(1.0 / ratio)
        };
        let nearest = (0..self.levels.len())
            .min_by(|a, b| off(&&self.levels[*a]).total_cmp(&off(&&self.levels[*b])))
            .unwrap_or(0);
        let plane = &self.levels[nearest];
        let covers = |own: usize, whole: usize| (own << nearest) as f64 / whole as f64;
        let (width, height) = self.size();
        (plane, [covers(plane.width, width), covers(plane.height, height)])
    }
}

/// What marks a pixel at the limit.
const OUTSIDE: i16 = 1020;

/// Whether a colour may have been cut off: black or white, or what RGB has no room for.
fn at_limit(pixel: &[u8]) -> bool {
    let least = pixel.iter().copied().min().unwrap_or(0);
    let most = pixel.iter().copied().max().unwrap_or(0);
    let is_saturated = most - least >= SATURATED;
    least < LOWEST
        || most > HIGHEST
        || is_saturated && (least <= NEAR_LOWEST || most >= NEAR_HIGHEST)
}

fn levels(whole: Plane) -> Vec<Plane> {
    let mut levels = vec![whole];
    while levels.len() < LEVELS {
        let next = levels[levels.len() - 1].half();
        if next.width == 0 || next.height == 0 {
            break;
        }
        levels.push(next);
    }
    levels
}

/// How exact averages have to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    /// From pixels half as large at least: good enough to rank frames.
    Coarse,
    /// From pixels a quarter as large.
    Fine,
}

/// Made from the coarsest level that is fine enough, or whose pixels these are.
fn part(levels: &[Plane], rect: [f64; 4], width: usize, height: usize, detail: Detail) -> Plane {
    let finer = match detail {
        Detail::Coarse => 2.0,
        Detail::Fine => 4.0,
    };
    let ratios = [rect[2] / width as f64, rect[3] / height as f64];
    let fits = |level: &usize| {
        let scale = f64::from(1u32 << level);
        let same = |v: f64| (v / scale - (v / scale).round()).abs() < 1e-9;
        let on_grid = ratios.iter().all(|r| *r == scale) && same(rect[0]) && same(rect[1]);
        on_grid || ratios.iter().all(|r| finer * scale <= *r)
    };
    let level = (1..levels.len()).rev().find(fits).unwrap_or(0);
    let scale = f64::from(1u32 << level);
    levels[level].resized(rect.map(|v| v / scale), width, height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coarse_parts_come_from_coarse_levels_and_are_the_same() {
        let grey: Vec<u8> = (0..64 * 32).map(|i| ((i * 31) % 200 + 20) as u8).collect();
        let rgb: Vec<u8> = grey.iter().flat_map(|v| [*v; 3]).collect();
        let still = StillPicture::new(64, 32, &rgb);
        let whole = Plane::whole(64, 32, |y| &grey[y * 64..]);
        let all = [0.0, 0.0, 64.0, 32.0];
        assert_eq!(still.part(all, 64, 32, Detail::Fine), whole);
        assert_eq!(still.part(all, 32, 16, Detail::Fine), whole.half());
        assert_eq!(still.near(30.0), (&whole.half(), [1.0, 1.0]));
        let back = still.mirrored().mirrored();
        assert_eq!((back.size(), back.part(all, 32, 16, Detail::Fine)), ((64, 32), whole.half()));
        assert!(still.inside([0.0, 0.0, 64.0, 32.0], 64, 32).is_none());
    }

    #[test]
    fn what_may_have_been_cut_off_is_told() {
        let mut rgb = vec![90u8; 16 * 16 * 3];
        rgb[3 * 17 + 1] = 255;
        let still = StillPicture::new(16, 16, &rgb);
        let inside = still.inside([0.0, 0.0, 16.0, 16.0], 8, 8).expect("one is at the limit");
        assert_eq!(inside.iter().filter(|i| !**i).count(), 1);
        assert!(!inside[0]);
        let black = StillPicture::new(16, 16, &[0; 768]);
        assert!(black.inside([0.0, 0.0, 16.0, 16.0], 8, 8).is_none(), "all of it is no limit");
    }
}
