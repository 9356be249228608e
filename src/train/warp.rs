//! Random resized crops and rotations of pictures on the device, one draw per sample.
use anyhow::Result;
use tch::Tensor;

use super::batch::{to_device, AugmentParams};

/// Enlarges a rectangle of every picture `[N, 3, H, W]` to `size` (rows, columns), bilinear with
/// half-pixel centres; what a rectangle lacks beyond its edge repeats the edge, as if it had been
/// cut out first.
pub(super) fn cropped(x: &Tensor, looks: &[AugmentParams], size: (i64, i64)) -> Result<Tensor> {
    let (n, given) = (looks.len() as i64, x.size());
    let side = |wanted: i64, found: i64, get: fn(&AugmentParams) -> (f64, f64)| -> Result<Tensor> {
        let places = looks.iter().flat_map(|look| places(get(look), wanted, found));
        to_device(&Tensor::f_from_slice(&places.collect::<Vec<f32>>())?, x.device())
    };
    let lines = side(size.0, given[2], |look| (look.crop.top, look.crop.height))?;
    let columns = side(size.1, given[3], |look| (look.crop.left, look.crop.width))?;
    let spread = |places: Tensor, shape: [i64; 3]| -> Result<Tensor> {
        Ok(places.f_view(shape)?.f_expand([n, size.0, size.1], false)?)
    };
    let grid = [spread(columns, [n, 1, size.1])?, spread(lines, [n, size.0, 1])?];
    sampled(x, &Tensor::f_stack(&grid, -1)?)
}

/// Where `wanted` places lie in a part (start and length as shares) of a line of `found` pixels,
/// on the scale where the line reaches from -1 to 1.
fn places(part: (f64, f64), wanted: i64, found: i64) -> impl Iterator<Item = f32> {
    let found = found as f64;
    let (start, length) = (part.0 * found, part.1 * found);
    let last = (start + length - 1.0).max(start);
    (0..wanted).map(move |i| {
        let place = start + (i as f64 + 0.5) * length / wanted as f64 - 0.5;
        ((2.0 * place.clamp(start, last) + 1.0) / found - 1.0) as f32
    })
}

/// Turns every picture around its centre, bilinear; corners that come from outside repeat the
/// edge.
pub(super) fn rotated(x: &Tensor, looks: &[AugmentParams]) -> Result<Tensor> {
    let size = x.size();
    let aspect = size[2] as f64 / size[3] as f64;
    let rows: Vec<f32> = looks
        .iter()
        .flat_map(|look| {
            let (sin, cos) = look.rotation.sin_cos();
            [cos, -sin * aspect, 0.0, sin / aspect, cos, 0.0].map(|v| v as f32)
        })
        .collect();
    let theta = to_device(&Tensor::f_from_slice(&rows)?, x.device())?.f_view([-1, 2, 3])?;
    let grid = Tensor::f_affine_grid_generator(&theta, size.as_slice(), false)?;
    sampled(x, &grid)
}

/// The pictures at the places of `grid` `[N, H, W, 2]`, channels last.
fn sampled(x: &Tensor, grid: &Tensor) -> Result<Tensor> {
    const BILINEAR: i64 = 0;
    const EDGE: i64 = 1;
    let y = x.f_grid_sampler(grid, BILINEAR, EDGE, false)?;
    Ok(y.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])?)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::{super::batch::Crop, *};
    use crate::model::{Input, Slot};

    fn plain() -> AugmentParams {
        AugmentParams::central(Slot { input: Input::Face, height: 4, width: 4 })
    }

    /// A look that keeps this rectangle of a picture of 8 x 8 pixels.
    fn keeping(top: i64, left: i64, height: i64, width: i64) -> AugmentParams {
        let [top, left, height, width] = [top, left, height, width].map(|v| v as f64 / 8.0);
        AugmentParams { crop: Crop { top, left, height, width }, ..plain() }
    }

    fn apart(a: &Tensor, b: &Tensor) -> f64 {
        assert_eq!(a.size(), b.size());
        (a - b).abs().max().double_value(&[])
    }

    #[test]
    fn crops_are_cut_out_and_enlarged() {
        let x = Tensor::rand([3, 3, 8, 8], (Kind::Float, Device::Cpu));
        let looks = [keeping(2, 3, 4, 4), keeping(0, 0, 8, 6), keeping(5, 1, 3, 7)];
        let ours = cropped(&x, &looks, (12, 12)).expect("crops");
        for (i, (top, left, height, width)) in
            [(2, 3, 4, 4), (0, 0, 8, 6), (5, 1, 3, 7)].into_iter().enumerate()
        {
            let part = x.narrow(0, i as i64, 1).narrow(2, top, height).narrow(3, left, width);
            let theirs = part.contiguous().upsample_bilinear2d([12, 12], false, None, None);
            assert!(apart(&ours.narrow(0, i as i64, 1), &theirs) < 1e-5, "{i}");
        }
    }

    #[test]
    fn a_ramp_keeps_its_slope_inside_a_crop() {
        // Column j holds j; columns 2 to 5 on twice as many places: every half pixel from 1.75 on,
        // held at the rectangle's own first and last value.
        let ramp = Tensor::arange(8, (Kind::Float, Device::Cpu)).view([1, 1, 1, 8]);
        let x = ramp.expand([1, 3, 8, 8], false).contiguous();
        let ours = cropped(&x, &[keeping(0, 2, 8, 4)], (8, 8)).expect("crops");
        let row = Vec::<f32>::try_from(ours.get(0).get(1).get(5)).expect("values");
        let wanted = [2.0, 2.25, 2.75, 3.25, 3.75, 4.25, 4.75, 5.0];
        for (ours, wanted) in row.iter().zip(wanted) {
            assert!((ours - wanted).abs() < 1e-5, "{row:?}");
        }
    }

    #[test]
    fn the_whole_picture_comes_back_as_it_is() {
        let x = Tensor::rand([2, 3, 8, 8], (Kind::Float, Device::Cpu));
        assert!(apart(&cropped(&x, &[plain(); 2], (8, 8)).expect("crops"), &x) < 1e-6);
    }

    #[test]
    fn a_quarter_turn_of_a_square_is_exact() {
        let x = Tensor::arange(9, (Kind::Float, Device::Cpu)).view([1, 1, 3, 3]);
        let look = AugmentParams { rotation: std::f64::consts::FRAC_PI_2, ..plain() };
        let turned = rotated(&x, &[look]).expect("turns");
        let expected = x.rot90(1, [2, 3]);
        let back = x.rot90(-1, [2, 3]);
        let close = |other: &Tensor| (&turned - other).abs().max().double_value(&[]) < 1e-5;
        assert!(close(&expected) || close(&back));
    }
}
