//! A still laid on the pixels of a level of the frame, so that each of many frames costs no more
//! than sums of products.
use super::{
    placement::Placement,
    plane::{Plane, UNIT},
    still::{Detail, StillPicture},
};

/// Blocks per side in which a still and a frame have to agree.
const BLOCKS: usize = 12;

/// The part of a level that a still covers, with the still's values there.
#[derive(Clone, Debug)]
pub(super) struct Patch {
    /// First column and line of the level.
    left: usize,
    top: usize,
    still: Plane,
    /// -1 where the still's brightness counts, 0 where it was cut off at black or white; `None`
    /// where all counts.
    mask: Option<Vec<i16>>,
    /// Pixels that count, and the sums over them.
    pixels: f64,
    sum: i64,
    squares: i64,
}

/// How well a frame fits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// Mean square of what contrast and brightness leave, in luma levels of the still.
    pub square: f64,
    /// Correlation of both, -1..=1.
    pub correlation: f64,
    /// still = gain * frame + lift, in levels.
    pub gain: f64,
    /// See `gain`.
    pub lift: f64,
}

impl Patch {
    /// Lays `still` (all of it, turned the right way round) at `place` on level `level` of frames of
    /// `size` pixels. `None` where nothing is covered.
    pub fn new(
        still: &StillPicture,
        place: &Placement,
        level: u32,
        size: (usize, usize),
        detail: Detail,
    ) -> Option<Self> {
        let scale = f64::from(1u32 << level);
        let span = |from: f64, length: f64, whole: usize| {
            let first = (from / scale - 1e-3).ceil().max(0.0) as usize;
            let last = ((from + length) / scale + 1e-3).floor().min((whole >> level) as f64);
            (first, (last.max(0.0) as usize).saturating_sub(first))
        };
        let (left, width) = span(place.x, place.width, size.0);
        let (top, height) = span(place.y, place.height, size.1);
        if width < 8 || height < 8 {
            return None;
        }
        // The level's pixels in pixels of the still.
        let (still_width, still_height) = still.size();
        let to_x = still_width as f64 / place.width;
        let to_y = still_height as f64 / place.height;
        let rect = [
            (left as f64 * scale - place.x) * to_x,
            (top as f64 * scale - place.y) * to_y,
            width as f64 * scale * to_x,
            height as f64 * scale * to_y,
        ];
        let inside = still.inside(rect, width, height);
        let mut still = still.part(rect, width, height, detail);
        let mask: Option<Vec<i16>> =
            inside.map(|inside| inside.into_iter().map(|i| -i16::from(i)).collect());
        let mut pixels = still.values.len();
        if let Some(mask) = &mask {
            still.values.iter_mut().zip(mask).for_each(|(v, m)| *v &= m);
            pixels = mask.iter().filter(|m| **m != 0).count();
        }
        let (sum, squares) = still.values.iter().fold((0, 0), |(sum, squares), &v| {
            (sum + i64::from(v), squares + i64::from(v) * i64::from(v))
        });
        let pixels = pixels as f64;
        (pixels >= LEAST_PIXELS).then_some(Patch { left, top, still, mask, pixels, sum, squares })
    }

    /// How many pixels are compared.
    pub fn pixels(&self) -> f64 {
        self.pixels
    }

    /// The frame's pixels under line `y` of the still.
    fn under<'a>(&self, frame: &'a Plane, y: usize) -> &'a [i16] {
        &frame.row(self.top + y)[self.left..self.left + self.still.width]
    }

    /// The fit of a frame's level; `None` where either is plain.
    pub fn fit(&self, frame: &Plane) -> Option<Fit> {
        let (mut sum, mut squares, mut products) = (0i64, 0i64, 0i64);
        let width = self.still.width;
        for y in 0..self.still.height {
            let (line, still) = (self.under(frame, y), self.still.row(y));
            let [s, ss, sp] = match &self.mask {
                Some(mask) => masked_sums(line, still, &mask[y * width..(y + 1) * width]),
                None => line_sums(line, still),
            };
            sum += s;
            squares += ss;
            products += sp;
        }
        let n = self.pixels;
        let (sum, squares, products) = (sum as f64, squares as f64, products as f64);
        let own = self.squares as f64 - (self.sum as f64).powi(2) / n;
        let other = squares - sum * sum / n;
        let both = products - sum * self.sum as f64 / n;
        // Less than a level of spread is no picture.
        if own < n * UNIT * UNIT || other < n * UNIT * UNIT {
            return None;
        }
        let gain = both / other;
        Some(Fit {
            square: ((own - both * gain) / n).max(0.0) / (UNIT * UNIT),
            correlation: both / (own * other).sqrt(),
            gain,
            lift: (self.sum as f64 - gain * sum) / n / UNIT,
        })
    }

    /// How much more than recompression the pictures differ where they differ most: the second worst
    /// of 144 blocks, 1 at the limit. A frame of the same scene in which somebody else stands, or
    /// stands elsewhere, is far beyond.
    pub fn disagreement(&self, frame: &Plane, fit: &Fit) -> f64 {
        let (width, height) = (self.still.width, self.still.height);
        let mut left = vec![[0f64; 4]; BLOCKS * BLOCKS];
        let lift = fit.lift * UNIT;
        for y in 0..height {
            let line = self.under(frame, y);
            for (x, (&f, &s)) in line.iter().zip(self.still.row(y)).enumerate() {
                if self.mask.as_ref().is_some_and(|mask| mask[y * width + x] == 0) {
                    continue;
                }
                let block = &mut left[y * BLOCKS / height * BLOCKS + x * BLOCKS / width];
                let s = f64::from(s);
                let d = s - fit.gain * f64::from(f) - lift;
                block[0] += 1.0;
                block[1] += d * d;
                block[2] += s;
                block[3] += s * s;
            }
        }
        let least = (width * height / (BLOCKS * BLOCKS)) as f64 / 4.0;
        let excess = |[n, squares, sum, own]: &[f64; 4]| {
            if *n < least {
                return 0.0;
            }
            let (square, spread) = (squares / n, own / n - (sum / n).powi(2));
            square.sqrt() / ((LEVELS * UNIT) + SHARE * spread.max(0.0).sqrt())
        };
        let mut excesses: Vec<f64> = left.iter().map(excess).collect();
        excesses.sort_by(|a, b| b.total_cmp(a));
        excesses[1]
    }
}

/// Pixels that have to count for a comparison.
const LEAST_PIXELS: f64 = 64.0;
/// Luma levels, root mean square, by which a block may differ...
const LEVELS: f64 = 4.0;
/// ...and this share of its own spread.
const SHARE: f64 = 0.25;

/// The same of the pixels that count.
fn masked_sums(frame: &[i16], still: &[i16], mask: &[i16]) -> [i64; 3] {
    let masked: Vec<i16> = frame.iter().zip(mask).map(|(f, m)| f & m).collect();
    line_sums(&masked, still)
}

/// Sum of the frame, of its squares, and of the products.
fn line_sums(frame: &[i16], still: &[i16]) -> [i64; 3] {
    let mut total = [0i64; 3];
    for (frame, still) in frame.chunks(1024).zip(still.chunks(1024)) {
        let [mut sum, mut squares, mut products] = [0i32; 3];
        for (&f, &s) in frame.iter().zip(still) {
            let (f, s) = (i32::from(f), i32::from(s));
            sum = sum.wrapping_add(f);
            squares = squares.wrapping_add(f.wrapping_mul(f));
            products = products.wrapping_add(f.wrapping_mul(s));
        }
        total[0] += i64::from(sum);
        total[1] += i64::from(squares);
        total[2] += i64::from(products);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(seed: usize) -> Plane {
        let value = |i: usize| ((i * 37 + i * i % 91 * seed) % 225) as i16 * 4;
        Plane { width: 80, height: 60, values: (0..4800).map(value).collect() }
    }

    fn still(plane: &Plane) -> StillPicture {
        let rgb: Vec<u8> = plane.values.iter().flat_map(|v| [(v / 4 + 10) as u8; 3]).collect();
        StillPicture::new(plane.width, plane.height, &rgb)
    }

    #[test]
    fn a_picture_fits_itself_whatever_its_brightness() {
        let frame = picture(3);
        let dull =
            Plane { values: frame.values.iter().map(|v| v / 2 + 100).collect(), ..frame.clone() };
        let whole = Placement::whole((80, 60), false);
        let patch = Patch::new(&still(&dull), &whole, 0, (80, 60), Detail::Fine).expect("covered");
        let fit = patch.fit(&frame).expect("not plain");
        assert!(fit.square < 0.3 && fit.correlation > 0.9999, "{fit:?}");
        assert!((fit.gain - 0.5).abs() < 0.01 && (fit.lift - 35.0).abs() < 0.5, "{fit:?}");
        assert!(patch.disagreement(&frame, &fit) < 0.1);
        let other = patch.fit(&picture(5)).expect("not plain");
        assert!(other.correlation < 0.9 && patch.disagreement(&picture(5), &other) > 1.5);
    }

    #[test]
    fn a_crop_covers_its_part_only() {
        let frame = picture(3);
        let cut = frame.resized([10.0, 6.0, 60.0, 50.0], 60, 50);
        let place = Placement { x: 10.0, y: 6.0, width: 60.0, height: 50.0, mirrored: false };
        let patch = Patch::new(&still(&cut), &place, 0, (80, 60), Detail::Fine).expect("covered");
        assert_eq!((patch.left, patch.top), (10, 6));
        assert!(patch.fit(&frame).expect("fits").square < 0.01);
        let nowhere = Placement { x: 90.0, ..place };
        assert!(Patch::new(&still(&cut), &nowhere, 0, (80, 60), Detail::Fine).is_none());
    }
}
