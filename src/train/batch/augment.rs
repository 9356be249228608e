//! How a picture is cut, turned and coloured: one draw per sample and picture.
use super::super::config::{Augment, Flip};
use crate::{
    model::{Input, Slot},
    seed::Draws,
};

/// Edge of the window of a context picture that a network sees, in pixels.
pub(in crate::train) const WINDOW: i64 = 112;
/// Upper left corner (row, column) of that window when it is central in 128 x 171: the released
/// code's choice.
pub(in crate::train) const CENTRE: (i64, i64) = (8, 29);
/// The last corner at which it lies inside.
const LAST: (i64, i64) = (128 - WINDOW, 171 - WINDOW);

/// Narrowest and widest rectangle of a random resized crop, width over height: torchvision's.
const ASPECT: (f64, f64) = (3.0 / 4.0, 4.0 / 3.0);
/// Rectangles that are drawn until one lies inside the window.
const TRIES: u32 = 10;

/// A rectangle of a window, in shares of its sides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::train) struct Crop {
    pub top: f64,
    pub left: f64,
    pub height: f64,
    pub width: f64,
}

impl Crop {
    /// All of the window.
    pub const WHOLE: Crop = Crop { top: 0.0, left: 0.0, height: 1.0, width: 1.0 };

    /// A rectangle of at least the share `least` of a square window's area, as torchvision's
    /// `RandomResizedCrop` draws it; the whole window where none fits.
    fn drawn(least: f64, mut draws: Draws) -> Self {
        for _ in 0..TRIES {
            let area = draws.between(least, 1.0);
            let aspect = draws.between(ASPECT.0.ln(), ASPECT.1.ln()).exp();
            let (width, height) = ((area * aspect).sqrt(), (area / aspect).sqrt());
            if width <= 1.0 && height <= 1.0 {
                let top = draws.between(0.0, 1.0 - height);
                return Crop { top, left: draws.between(0.0, 1.0 - width), height, width };
            }
        }
        Crop::WHOLE
    }
}

/// How one picture is cut and coloured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::train) struct AugmentParams {
    pub top: i64,
    pub left: i64,
    /// What is kept of the window.
    pub crop: Crop,
    pub flip: bool,
    pub brightness: f64,
    pub contrast: f64,
    pub saturation: f64,
    /// Share of the colour circle.
    pub hue: f64,
    /// Radians.
    pub rotation: f64,
}

impl AugmentParams {
    pub fn central(slot: Slot) -> Self {
        let (top, left) = if slot.input == Input::Context { CENTRE } else { (0, 0) };
        AugmentParams {
            top,
            left,
            crop: Crop::WHOLE,
            flip: false,
            brightness: 1.0,
            contrast: 1.0,
            saturation: 1.0,
            hue: 0.0,
            rotation: 0.0,
        }
    }

    /// Everything is drawn whatever is switched on, so that one option never changes another's
    /// draws. Face and context share the first coin; the rest is each picture's own.
    pub fn drawn(slot: Slot, augment: &Augment, seed: u64, id: &str) -> Self {
        let common = Draws::new(seed, "augment", id).chance(0.5);
        let mut draws = Draws::new(seed, &format!("augment {}", slot.input.name()), id);
        let (own, is_context) = (draws.chance(0.5), slot.input == Input::Context);
        let flip = match augment.flip {
            Flip::None => false,
            Flip::Face => common && !is_context,
            Flip::Context => common && is_context,
            Flip::Each if is_context => own,
            Flip::Each | Flip::Both => common,
        };
        let reach = i64::from(if is_context { augment.context_shift } else { augment.shift });
        let mut place = |centre: i64, last: i64| {
            let (lo, hi) = match is_context {
                true => ((centre - reach).max(0), (centre + reach).min(last)),
                false => (-reach, reach),
            };
            lo + draws.below((hi - lo + 1) as u64) as i64
        };
        let (top, left) = (place(CENTRE.0, LAST.0), place(CENTRE.1, LAST.1));
        let crop = match augment.crop_scale {
            least if least < 1.0 => {
                Crop::drawn(least, Draws::new(seed, &format!("crop {}", slot.input.name()), id))
            }
            _ => Crop::WHOLE,
        };
        let turn = if is_context { augment.context_rotation } else { augment.rotation };
        let mut around = |width: f64, middle: f64| draws.between(middle - width, middle + width);
        AugmentParams {
            top,
            left,
            crop,
            flip,
            brightness: around(augment.brightness, 1.0),
            contrast: around(augment.contrast, 1.0),
            saturation: around(augment.saturation, 1.0),
            rotation: around(turn, 0.0).to_radians(),
            hue: around(augment.hue, 0.0),
        }
    }

    pub fn recolours(&self) -> bool {
        [self.brightness, self.contrast, self.saturation] != [1.0; 3] || self.hue != 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(input: Input, side: i64) -> Slot {
        Slot { input, height: side, width: side }
    }

    #[test]
    fn every_place_of_the_context_is_reached_and_none_outside() {
        let slot = slot(Input::Context, 112);
        let looks: Vec<AugmentParams> = (0..4000)
            .map(|i| AugmentParams::drawn(slot, &Augment::default(), 1, &i.to_string()))
            .collect();
        let of = |get: fn(&AugmentParams) -> i64| {
            looks.iter().map(get).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(of(|l| l.top), (0..=16).collect());
        assert_eq!(of(|l| l.left), (0..=59).collect());
        let near = Augment { context_shift: 8, ..Augment::default() };
        assert!((0..500)
            .map(|i| AugmentParams::drawn(slot, &near, 1, &i.to_string()))
            .all(|l| (0..=16).contains(&l.top) && (21..=37).contains(&l.left)));
    }

    #[test]
    fn flips_mirror_what_they_name() {
        let flips = |flip, input, side| -> Vec<bool> {
            let augment = Augment { flip, ..Augment::default() };
            let look =
                |i: i32| AugmentParams::drawn(slot(input, side), &augment, 3, &i.to_string());
            (0..200).map(|i| look(i).flip).collect()
        };
        let (face, context) = ((Input::Face, 96), (Input::Context, 112));
        let of = |flip, (input, side)| flips(flip, input, side);
        let (never, coin) = (vec![false; 200], of(Flip::Both, face));
        let heads = coin.iter().filter(|&&heads| heads).count();
        assert!((70..130).contains(&heads), "{heads} of 200");
        assert_eq!((of(Flip::None, face), of(Flip::None, context)), (never.clone(), never.clone()));
        assert_eq!((of(Flip::Face, face), of(Flip::Face, context)), (coin.clone(), never.clone()));
        assert_eq!((of(Flip::Context, face), of(Flip::Context, context)), (never, coin.clone()));
        assert_eq!(of(Flip::Both, context), coin);
        assert_eq!(of(Flip::Each, face), coin);
        assert_ne!(of(Flip::Each, context), coin);
    }

    #[test]
    fn options_do_not_change_each_others_draws() {
        let drawn = |augment: &Augment| {
            AugmentParams::drawn(slot(Input::Face, 96), augment, 9, "joint 3/train/Sad/0001/000")
        };
        let plain = drawn(&Augment::default());
        let more = drawn(&Augment { brightness: 0.3, rotation: 10.0, ..Augment::default() });
        assert_eq!((plain.flip, plain.top, plain.left), (more.flip, more.top, more.left));
        assert_eq!((plain.crop, more.crop), (Crop::WHOLE, Crop::WHOLE));
        let cropped = drawn(&Augment { crop_scale: 0.08, ..Augment::default() });
        assert_eq!(AugmentParams { crop: Crop::WHOLE, ..cropped }, plain);
        assert_ne!(cropped.crop, Crop::WHOLE);
        assert!(!plain.recolours() && more.recolours());
        assert!((0.7..=1.3).contains(&more.brightness));
        let context = Augment { context_rotation: 20.0, ..Augment::default() };
        let turned =
            |input, side| AugmentParams::drawn(slot(input, side), &context, 9, "a").rotation;
        assert_eq!(turned(Input::Face, 96), 0.0);
        assert!(turned(Input::Context, 112) != 0.0, "each picture has its own angle");
    }

    #[test]
    fn crops_lie_inside_and_have_the_size_and_shape_that_was_asked_for() {
        let draw = |least, i: u32| Crop::drawn(least, Draws::new(1, "crop face", &i.to_string()));
        let mut areas = Vec::new();
        for i in 0..2000 {
            let Crop { top, left, height, width } = draw(0.08, i);
            assert!(top >= 0.0 && left >= 0.0 && top + height <= 1.0 && left + width <= 1.0);
            let (area, aspect) = (height * width, width / height);
            assert!(area > 0.08 - 1e-9 && (0.7499..1.3334).contains(&aspect), "{area} {aspect}");
            areas.push(area);
        }
        // Large wide rectangles do not fit and are drawn again: a little less than the middle.
        let mean = areas.iter().sum::<f64>() / 2000.0;
        assert!((0.45..0.54).contains(&mean), "{mean}");
        assert_eq!(draw(1.0, 0), Crop::WHOLE, "nothing but the square itself has all of the area");
    }
}
