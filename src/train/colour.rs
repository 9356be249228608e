//! Colour jitter of pictures on the device, one draw per sample.
use anyhow::Result;
use tch::{Device, Kind, Tensor};

use super::batch::{to_device, AugmentParams};

/// Weights of red, green and blue in grey, `[1, 3, 1, 1]`.
pub(super) fn grey_weights(device: Device) -> Result<Tensor> {
    let weights = Tensor::f_from_slice(&[0.299f32, 0.587, 0.114])?;
    Ok(weights.f_to_device(device)?.f_view([1, 3, 1, 1])?)
}

/// Brightness, contrast, saturation and hue of every sample as `[N, 1, 1, 1]` each, in one copy.
fn factors(looks: &[AugmentParams], device: Device) -> Result<[Tensor; 4]> {
    let of = |get: fn(&AugmentParams) -> f64| looks.iter().map(move |look| get(look) as f32);
    let values: Vec<f32> = of(|look| look.brightness)
        .chain(of(|look| look.contrast))
        .chain(of(|look| look.saturation))
        .chain(of(|look| look.hue))
        .collect();
    let all = to_device(&Tensor::f_from_slice(&values)?, device)?.f_view([4, -1, 1, 1, 1])?;
    let part = |i: i64| -> Result<Tensor> { Ok(all.f_select(0, i)?) };
    Ok([part(0)?, part(1)?, part(2)?, part(3)?])
}

/// Brightness, contrast around the mean grey, saturation around the grey picture, hue, in this
/// order and clipped to 0..=1, as torchvision's transforms (grey = .299 R + .587 G + .114 B).
pub(super) fn recoloured(
    mut x: Tensor,
    looks: &[AugmentParams],
    grey_weights: &Tensor,
) -> Result<Tensor> {
    let grey = |x: &Tensor| -> Result<Tensor> {
        let weighted = x.f_mul(grey_weights)?;
        Ok(weighted.f_sum_dim_intlist([1].as_slice(), true, Kind::Float)?)
    };
    let [brightness, contrast, saturation, hue] = factors(looks, x.device())?;
    x = x.f_mul_(&brightness)?.f_clamp_(0.0, 1.0)?;
    let middle = grey(&x)?.f_mean_dim([1, 2, 3].as_slice(), true, Kind::Float)?;
    x = x.f_sub_(&middle)?.f_mul_(&contrast)?.f_add_(&middle)?;
    x = x.f_clamp_(0.0, 1.0)?;
    if looks.iter().any(|look| look.saturation != 1.0) {
        let grey = grey(&x)?;
        x = x.f_sub_(&grey)?.f_mul_(&saturation)?.f_add_(&grey)?;
        x = x.f_clamp_(0.0, 1.0)?;
    }
    match looks.iter().any(|look| look.hue != 0.0) {
        true => shift_hue(&x, &hue),
        false => Ok(x),
    }
}

/// Adds `turn` (`[N, 1, 1, 1]`, shares of the colour circle) to the hue of every pixel, value and
/// saturation kept: Smith 1978, in the closed form by channel.
fn shift_hue(x: &Tensor, turn: &Tensor) -> Result<Tensor> {
    let channel = |c: i64| x.f_narrow(1, c, 1);
    let (red, green, blue) = (channel(0)?, channel(1)?, channel(2)?);
    let value = x.f_amax([1].as_slice(), true)?;
    let chroma = value.f_sub(&x.f_amin([1].as_slice(), true)?)?;
    let span = chroma.f_clamp_min(1e-12)?;
    // Sixths of the circle: from red, from green, from blue, whichever is largest, in this order.
    let side = |a: &Tensor, b: &Tensor, from: f64| -> Result<Tensor> {
        Ok(a.f_sub(b)?.f_div(&span)?.f_add_scalar(from)?)
    };
    let hue = side(&green, &blue, 0.0)?.f_where_self(
        &red.f_eq_tensor(&value)?,
        &side(&blue, &red, 2.0)?
            .f_where_self(&green.f_eq_tensor(&value)?, &side(&red, &green, 4.0)?)?,
    )?;
    let hue = hue.f_add(&turn.f_mul_scalar(6.0)?)?;
    let channels = [5.0, 3.0, 1.0].map(|offset| -> Result<Tensor> {
        let k = hue.f_add_scalar(offset)?.f_remainder(6.0)?;
        let near = k.f_minimum(&k.f_neg()?.f_add_scalar(4.0)?)?.f_clamp(0.0, 1.0)?;
        Ok(value.f_sub(&chroma.f_mul(&near)?)?)
    });
    let [red, green, blue] = channels;
    let turned = Tensor::f_cat(&[red?, green?, blue?], 1)?;
    // Channels last again, as it came.
    Ok(turned.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Input, Slot};

    fn plain() -> AugmentParams {
        AugmentParams::central(Slot { input: Input::Face, height: 4, width: 4 })
    }

    #[test]
    fn hues_move_around_the_circle() {
        let colours = [[1.0f32, 0.0, 0.0], [0.2, 0.8, 0.2], [0.5, 0.5, 0.5], [0.9, 0.6, 0.3]];
        let x = Tensor::from_slice(&colours.concat()).view([4, 3, 1, 1]);
        let turned = |share: f32| {
            let turns = Tensor::from_slice(&[share; 4]).view([4, 1, 1, 1]);
            Vec::<f32>::try_from(shift_hue(&x, &turns).expect("turns").flatten(0, -1))
                .expect("values")
        };
        // A third of the circle moves every channel on by one place, half of it mirrors.
        let third = [[0.0, 1.0, 0.0], [0.2, 0.2, 0.8], [0.5, 0.5, 0.5], [0.3, 0.9, 0.6]];
        let half = [[0.0, 1.0, 1.0], [0.8, 0.2, 0.8], [0.5, 0.5, 0.5], [0.3, 0.6, 0.9]];
        for (share, expected) in [(1.0 / 3.0, third), (-2.0 / 3.0, third), (0.5, half)] {
            for (ours, wanted) in turned(share).into_iter().zip(expected.concat()) {
                assert!((ours - wanted).abs() < 1e-6, "{share}: {ours} is not {wanted}");
            }
        }
    }

    #[test]
    fn neutral_colour_factors_change_nothing() {
        let x = Tensor::rand([2, 3, 4, 4], (Kind::Float, Device::Cpu));
        let looks = [plain(); 2];
        let weights = grey_weights(Device::Cpu).expect("weights");
        let same = recoloured(x.copy(), &looks, &weights).expect("recolours");
        assert!((same - x).abs().max().double_value(&[]) < 1e-6);
    }
}
