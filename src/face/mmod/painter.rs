//! The same canvases painted by tensor operations, for a GPU: only the pictures' bytes travel to it,
//! and several pictures of one size are painted at once.
//!
//! Every product and sum is an operation of its own and so is rounded as in [`super::canvas`]; the
//! values are the same to the bit.
use tch::{Device, Kind, TchError, Tensor};

use super::{
    layout::Layout,
    resize::{enlarged, shares, Between, Columns, Rows},
};

/// How pictures of one size become canvases.
#[derive(Debug)]
pub(super) struct Painter {
    /// Width and height of the pictures.
    size: (u32, u32),
    layout: Layout,
    enlargings: Vec<Resize>,
    /// From each level to the next.
    shrinkings: Vec<Resize>,
    /// `[1, 3, 1, 1]`.
    means: Tensor,
    device: Device,
}

/// Bilinear interpolation from one size to another, as dlib does it.
#[derive(Debug)]
struct Resize {
    /// Source rows above and below, `[rows]`.
    rows: [Tensor; 2],
    /// Share of the row below, `[rows, 1]`, f64.
    down: Tensor,
    /// Source columns left and right of the columns that dlib interpolates in `f32`, `[columns]`.
    fast: [Tensor; 2],
    /// Shares of the four neighbours there: upper left, upper right, lower left, lower right,
    /// `[rows, columns]`, f32.
    shares: [Tensor; 4],
    /// The same columns for the rest of a row.
    rest: [Tensor; 2],
    /// Share of the right column there, `[columns]`, f64.
    right: Tensor,
}

impl Painter {
    /// Plans for pictures of `size` that become `layout` after they were enlarged `times` times.
    ///
    /// # Errors
    /// When the device lacks memory.
    pub fn new(
        size: (u32, u32),
        times: u32,
        layout: &Layout,
        means: [f32; 3],
        device: Device,
    ) -> Result<Self, TchError> {
        let sizes = std::iter::successors(Some((size.0.into(), size.1.into())), |&size| {
            Some(enlarged(size))
        });
        let sizes: Vec<(u64, u64)> = sizes.take(times as usize + 1).collect();
        let levels: Vec<(u64, u64)> =
            layout.levels.iter().map(|l| (l.width() as u64, l.height() as u64)).collect();
        let from_each_to_the_next = |sizes: &[(u64, u64)]| -> Result<Vec<_>, TchError> {
            sizes.windows(2).map(|pair| Resize::new(pair[0], pair[1], device)).collect()
        };
        let enlargings = from_each_to_the_next(&sizes)?;
        let shrinkings = from_each_to_the_next(&levels)?;
        let means = Tensor::f_from_slice(&means)?.f_view([1, 3, 1, 1])?.f_to_device(device)?;
        Ok(Painter { size, layout: layout.clone(), enlargings, shrinkings, means, device })
    }

    /// Whether the plan is for such pictures.
    pub fn is_for(&self, size: (u32, u32)) -> bool {
        self.size == size
    }

    /// Canvases `[N, 3, height, width]` of pictures, which lie one after the other in `pixels`,
    /// three bytes per pixel.
    ///
    /// # Errors
    /// When the device lacks memory.
    pub fn paint(&self, pixels: &[u8]) -> Result<Tensor, TchError> {
        let (width, height) = (i64::from(self.size.0), i64::from(self.size.1));
        let bytes = Tensor::f_from_slice(pixels)?.f_view([-1, height, width, 3])?;
        let picture = bytes.f_to_device(self.device)?.f_permute([0, 3, 1, 2])?.f_contiguous()?;
        let mut picture = picture.f_to_kind(Kind::Float)?;
        for enlarging in &self.enlargings {
            picture = enlarging.of_bytes(&picture)?;
        }
        let mut level = picture.f_sub(&self.means)?.f_div_scalar(256.0)?;
        let (rows, columns) = (self.layout.height as i64, self.layout.width as i64);
        let canvas =
            Tensor::f_zeros([level.size()[0], 3, rows, columns], (Kind::Float, self.device))?;
        self.put(&canvas, &level, 0)?;
        for (i, shrinking) in self.shrinkings.iter().enumerate() {
            level = shrinking.of_levels(&level)?;
            self.put(&canvas, &level, i + 1)?;
        }
        Ok(canvas)
    }

    fn put(&self, canvas: &Tensor, level: &Tensor, index: usize) -> Result<(), TchError> {
        let place = self.layout.levels[index];
        canvas
            .f_narrow(2, place.top, place.height())?
            .f_narrow(3, place.left, place.width())?
            .f_copy_(level)
            .map(drop)
    }
}

impl Resize {
    fn new(
        (from_width, from_height): (u64, u64),
        (to_width, to_height): (u64, u64),
        device: Device,
    ) -> Result<Self, TchError> {
        let rows: Vec<Between> = Rows::new(from_height as usize, to_height as usize).collect();
        let columns = Columns::new(from_width as usize, to_width as usize);
        let lefts: Vec<i64> = columns.fast.iter().map(|&(left, _)| i64::from(left)).collect();
        let rights: Vec<i64> = lefts.iter().map(|left| left + 1).collect();
        let there = |values: &[i64]| Tensor::f_from_slice(values)?.f_to_device(device);
        Ok(Resize {
            rows: neighbours(&rows, device)?,
            down: fractions(&rows, device)?.f_unsqueeze(1)?,
            fast: [there(&lefts)?, there(&rights)?],
            shares: all_shares(&rows, &columns.fast, device)?,
            rest: neighbours(&columns.rest, device)?,
            right: fractions(&columns.rest, device)?,
        })
    }

    /// Whole numbers 0 to 255 to such numbers, fractions cut off.
    fn of_bytes(&self, from: &Tensor) -> Result<Tensor, TchError> {
        let rows @ [top, bottom] = &self.two_rows(from)?;
        let fast = self.fast_columns(rows)?;
        let between = |row| {
            let [left, right] = pick(row, &self.rest, Kind::Double)?;
            mix(&left, &right, &self.right)
        };
        let rest = mix(&between(top)?, &between(bottom)?, &self.down)?;
        // Rounding to f32 first could lift 26.99999999 to 27.
        let rest = rest.f_trunc()?.f_to_kind(Kind::Float)?;
        Tensor::f_cat(&[fast.f_trunc()?, rest], 3)
    }

    /// Values of a level to those of the next.
    fn of_levels(&self, from: &Tensor) -> Result<Tensor, TchError> {
        let rows @ [top, bottom] = &self.two_rows(from)?;
        let fast = self.fast_columns(rows)?;
        let share = self.right.f_to_kind(Kind::Float)?;
        let between = |row| {
            let [left, right] = pick(row, &self.rest, Kind::Float)?;
            mix(&left, &right, &share)?.f_to_kind(Kind::Double)
        };
        let rest = mix(&between(top)?, &between(bottom)?, &self.down)?;
        Tensor::f_cat(&[fast, rest.f_to_kind(Kind::Float)?], 3)
    }

    fn two_rows(&self, from: &Tensor) -> Result<[Tensor; 2], TchError> {
        Ok([from.f_index_select(2, &self.rows[0])?, from.f_index_select(2, &self.rows[1])?])
    }

    /// Columns in `f32`, of the rows above and below.
    fn fast_columns(&self, [top, bottom]: &[Tensor; 2]) -> Result<Tensor, TchError> {
        let [upper_left, upper_right] = pick(top, &self.fast, Kind::Float)?;
        let [lower_left, lower_right] = pick(bottom, &self.fast, Kind::Float)?;
        let mut sum = upper_left.f_mul(&self.shares[0])?;
        for (value, share) in [upper_right, lower_left, lower_right].iter().zip(&self.shares[1..]) {
            sum = sum.f_add(&value.f_mul(share)?)?;
        }
        Ok(sum)
    }
}

/// `(1 - share) a + share b`.
fn mix(a: &Tensor, b: &Tensor, share: &Tensor) -> Result<Tensor, TchError> {
    let other = share.f_neg()?.f_add_scalar(1.0)?;
    a.f_mul(&other)?.f_add(&b.f_mul(share)?)
}

/// Two choices of columns.
fn pick(rows: &Tensor, columns: &[Tensor; 2], kind: Kind) -> Result<[Tensor; 2], TchError> {
    let pick = |columns| rows.f_index_select(3, columns)?.f_to_kind(kind);
    Ok([pick(&columns[0])?, pick(&columns[1])?])
}

fn neighbours(points: &[Between], device: Device) -> Result<[Tensor; 2], TchError> {
    let there = |values: Vec<i64>| Tensor::f_from_slice(&values)?.f_to_device(device);
    Ok([
        there(points.iter().map(|p| p.first as i64).collect())?,
        there(points.iter().map(|p| p.second as i64).collect())?,
    ])
}

fn fractions(points: &[Between], device: Device) -> Result<Tensor, TchError> {
    let values: Vec<f64> = points.iter().map(|p| p.fraction).collect();
    Tensor::f_from_slice(&values)?.f_to_device(device)
}

/// What each neighbour counts, `[rows, columns]` each.
fn all_shares(
    rows: &[Between],
    columns: &[(u32, f32)],
    device: Device,
) -> Result<[Tensor; 4], TchError> {
    let mut all: [Vec<f32>; 4] = Default::default();
    for row in rows {
        for &(_, right) in columns {
            let four = shares(row.fraction, right);
            all.iter_mut().zip(four).for_each(|(to, share)| to.push(share));
        }
    }
    let size = [rows.len() as i64, columns.len() as i64];
    let there = |values: &[f32]| Tensor::f_from_slice(values)?.f_view(size)?.f_to_device(device);
    let [a, b, c, d] = &all;
    Ok([there(a)?, there(b)?, there(c)?, there(d)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::mmod::canvas::{enlarge, Canvas};

    const MEANS: [f32; 3] = [122.782, 117.001, 104.298];

    fn picture(width: u32, height: u32, seed: u32) -> Vec<u8> {
        let value = |i: u32| (i.wrapping_mul(2_654_435_761 + 2 * seed) >> 21) as u8;
        (0..3 * width * height).map(value).collect()
    }

    /// Rows from the top, channels last.
    fn flat(canvases: &Tensor) -> anyhow::Result<Vec<f32>> {
        Ok(Vec::try_from(&canvases.permute([0, 2, 3, 1]).contiguous().view([-1]))?)
    }

    #[test]
    fn canvases_are_those_of_the_processor_to_the_bit() {
        for (width, height, times) in
            [(60, 50, 0), (61, 47, 1), (33, 29, 2), (100, 8, 1), (97, 131, 0), (31, 90, 1)]
        {
            let pictures: Vec<_> = (0..2).map(|seed| picture(width, height, seed)).collect();
            let mut layout = None;
            let right = pictures.iter().flat_map(|pixels| {
                let mut large = (pixels.clone(), width, height);
                for _ in 0..times {
                    large = enlarge(&large.0, large.1, large.2);
                }
                let here = Layout::of(large.1, large.2).expect("large enough");
                let mut canvas = Canvas::new(here.clone());
                canvas.paint(&large.0, MEANS);
                layout = Some(here);
                let values = canvas.with_tensor(flat);
                values.expect("lent")
            });
            let right: Vec<f32> = right.collect();
            let layout = layout.expect("painted");
            assert!(!layout.overlaps_itself());
            let painter = Painter::new((width, height), times, &layout, MEANS, Device::Cpu);
            let canvas = painter.and_then(|p| p.paint(&pictures.concat())).expect("paints");
            let found = flat(&canvas).expect("on the processor");
            assert_eq!(found.len(), right.len());
            let differs = found.iter().zip(&right).position(|(a, b)| a.to_bits() != b.to_bits());
            assert_eq!(differs, None, "{width}x{height} enlarged {times} times");
        }
    }
}
