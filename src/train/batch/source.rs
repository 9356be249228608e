//! The pixels that an input is cut from, and the windows cut out of them, on the host or by a
//! gather on the device.
use anyhow::{Context, Result};
use tch::{Device, Kind, Tensor};

use super::{
    super::{
        colour::{grey_weights, recoloured},
        warp::{cropped, rotated},
    },
    AugmentParams, Crop,
};
use crate::{
    model::{ModelConfig, Slot},
    pack::{self, Pack, PackInput},
};

/// One input of the network and the pixels that it is cut from.
#[derive(Debug)]
pub(super) struct InputSource {
    pub slot: Slot,
    /// u8 `[N, 3, H, W]`: the map itself, or a copy on the device.
    pub pixels: Tensor,
    pub geometry: Geometry,
}

/// The pictures of a source and the windows that are cut out of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    pub input: PackInput,
    /// Rows and columns of a picture.
    pub height: i64,
    pub width: i64,
    /// Rows and columns of the window: the network's size, or the whole picture when that is
    /// smaller and will be enlarged.
    pub window: (i64, i64),
}

/// Per-channel `(x - mean) / std` on the 0..=1 scale, `[1, 3, 1, 1]` each.
#[derive(Debug)]
pub(super) struct Scale {
    mean: Tensor,
    inverse_std: Tensor,
    /// Weights of the channels in grey.
    grey: Tensor,
}

impl InputSource {
    pub fn new(pack: &Pack, input: PackInput, slot: Slot, device: Device) -> Result<Self> {
        let bytes = pack.view(input).with_context(|| pack::lacks(pack, &[input.name()]))?;
        let shape = pack.shape(input).map(|side| side as i64);
        let geometry = Geometry::of(slot, input);
        // SAFETY: the map is read-only, outlives the tensor (`Pictures` holds both and drops the
        // tensor first) and holds exactly these bytes (checked when the pack was opened).
        let mapped =
            unsafe { Tensor::f_from_blob(bytes.as_ptr(), &shape, &[], Kind::Uint8, Device::Cpu)? };
        let pixels = match device {
            Device::Cpu => mapped,
            _ => mapped.f_to_device(device)?,
        };
        Ok(InputSource { slot, pixels, geometry })
    }

    /// Cuts the windows of `rows` on the CPU, u8 `[N, H, W, 3]`.
    pub fn cut_on_host(&self, rows: &[usize], looks: &[AugmentParams]) -> Result<Tensor> {
        // SAFETY: the tensor is contiguous u8 `[N, 3, H, W]` on the CPU, made by `new`.
        let pixels = unsafe {
            std::slice::from_raw_parts(self.pixels.data_ptr().cast::<u8>(), self.pixels.numel())
        };
        self.geometry.cut(pixels, rows, looks)
    }

    /// The same by one gather on the device, by i64 numbers there: the channels `[3]`, the rows
    /// `[N]`, and of every window what [`Geometry::places`] says, lines `[N * height]` and columns
    /// `[N * width]`.
    pub fn cut_on_device(
        &self,
        channels: &Tensor,
        rows: &Tensor,
        lines: &Tensor,
        columns: &Tensor,
    ) -> Result<Tensor> {
        let (height, width) = self.geometry.window;
        let at = [
            Some(rows.f_view([-1, 1, 1, 1])?),
            Some(channels.f_view([1, 1, 1, 3])?),
            Some(lines.f_view([-1, height, 1, 1])?),
            Some(columns.f_view([-1, 1, width, 1])?),
        ];
        Ok(self.pixels.f_index(&at)?)
    }

    /// Enlarges a picture that is smaller than the network wants it.
    pub fn enlarged(&self, picture: Tensor) -> Result<Tensor> {
        let wanted = [self.slot.height, self.slot.width];
        if picture.size()[2..] == wanted {
            return Ok(picture);
        }
        Ok(picture.f_upsample_bilinear2d(wanted, false, None, None)?)
    }
}

impl Geometry {
    pub fn of(slot: Slot, input: PackInput) -> Self {
        let (height, width) = input.size();
        let (height, width) = (height as i64, width as i64);
        Geometry { input, height, width, window: (slot.height.min(height), slot.width.min(width)) }
    }

    /// The lines of every window, then its columns, window after window.
    pub fn places(&self, looks: &[AugmentParams]) -> [Vec<i64>; 2] {
        let (height, width) = self.window;
        let lines = looks.iter().flat_map(|l| places(l.top, height, self.height, false));
        let columns = looks.iter().flat_map(|l| places(l.left, width, self.width, l.flip));
        [lines.map(|i| i as i64).collect(), columns.map(|i| i as i64).collect()]
    }

    /// Cuts the windows of `rows` out of pictures u8 `[N, 3, H, W]`: u8 `[N, H, W, 3]`. What lies
    /// outside a picture repeats its edge.
    pub fn cut(&self, pixels: &[u8], rows: &[usize], looks: &[AugmentParams]) -> Result<Tensor> {
        let (height, width) = self.window;
        let plane = (self.height * self.width) as usize;
        let shape = [rows.len() as i64, height, width, 3];
        let cut = Tensor::f_zeros(shape, (Kind::Uint8, Device::Cpu))?;
        // SAFETY: the tensor is ours alone, contiguous and of this many bytes.
        let bytes =
            unsafe { std::slice::from_raw_parts_mut(cut.data_ptr().cast::<u8>(), cut.numel()) };
        let windows = bytes.chunks_exact_mut((height * width * 3) as usize);
        for ((&row, look), window) in rows.iter().zip(looks).zip(windows) {
            let picture = &pixels[row * 3 * plane..(row + 1) * 3 * plane];
            let columns = places(look.left, width, self.width, look.flip);
            let lines = places(look.top, height, self.height, false);
            for (line, out) in lines.iter().zip(window.chunks_exact_mut(3 * width as usize)) {
                let start = line * self.width as usize;
                let line =
                    |channel: usize| &picture[channel * plane + start..][..self.width as usize];
                let (red, green, blue) = (line(0), line(1), line(2));
                for (out, &column) in out.chunks_exact_mut(3).zip(&columns) {
                    out.copy_from_slice(&[red[column], green[column], blue[column]]);
                }
            }
        }
        Ok(cut)
    }
}

/// `length` places from `start` on in a line of `size`, kept inside it, backwards when `flip`.
fn places(start: i64, length: i64, size: i64, flip: bool) -> Vec<usize> {
    let inside = |i: i64| (start + i).clamp(0, size - 1) as usize;
    match flip {
        true => (0..length).rev().map(inside).collect(),
        false => (0..length).map(inside).collect(),
    }
}

impl Scale {
    pub fn new(config: &ModelConfig, device: Device) -> Result<Self> {
        let (mean, std) = config.normalization.mean_std();
        let row = |values: [f64; 3]| -> Result<Tensor> {
            let values = values.map(|v| v as f32);
            Ok(Tensor::f_from_slice(&values)?.f_to_device(device)?.f_view([1, 3, 1, 1])?)
        };
        let inverse_std = row(std.map(|s| 1.0 / s))?;
        Ok(Scale { mean: row(mean)?, inverse_std, grey: grey_weights(device)? })
    }

    /// u8 `[N, H, W, 3]` to normalised f32 `[N, 3, H, W]` in channels-last layout; crops come in
    /// the size of `slot`.
    pub fn apply(&self, cut: &Tensor, looks: &[AugmentParams], slot: Slot) -> Result<Tensor> {
        let mut x = cut.f_to_kind(Kind::Float)?.f_mul_scalar_(1.0 / 255.0)?;
        x = x.f_permute([0, 3, 1, 2])?;
        if looks.iter().any(|look| look.crop != Crop::WHOLE) {
            x = cropped(&x, looks, (slot.height, slot.width))?;
        }
        if looks.iter().any(AugmentParams::recolours) {
            x = recoloured(x, looks, &self.grey)?;
        }
        if looks.iter().any(|look| look.rotation != 0.0) {
            x = rotated(&x, looks)?;
        }
        Ok(x.f_sub_(&self.mean)?.f_mul_(&self.inverse_std)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::Input,
        train::{Augment, Flip},
    };

    fn slot(input: Input, side: i64) -> Slot {
        Slot { input, height: side, width: side }
    }

    fn source(input: Input, side: i64, height: i64, width: i64) -> InputSource {
        let values: Vec<u8> = (0..4 * 3 * height * width).map(|i| (i * 7919 % 251) as u8).collect();
        let pixels = Tensor::from_slice(&values).view([4, 3, height, width]);
        let (slot, input) = (slot(input, side), PackInput::ContextMasked);
        let window = (side.min(height), side.min(width));
        InputSource { slot, pixels, geometry: Geometry { input, height, width, window } }
    }

    #[test]
    fn host_and_device_cut_the_same_bytes() {
        let source = source(Input::Context, 112, 128, 171);
        let augment = Augment { flip: Flip::Each, ..Augment::default() };
        let rows = [2usize, 0, 3, 2];
        let looks: Vec<AugmentParams> = (0..4)
            .map(|i| AugmentParams::drawn(source.slot, &augment, 5, &i.to_string()))
            .collect();
        assert!(looks.iter().any(|l| l.flip) && looks.iter().any(|l| !l.flip));
        let numbers = |of: &[i64]| Tensor::from_slice(of);
        let [lines, columns] = source.geometry.places(&looks).map(|of| numbers(&of));
        let (channels, index) = (numbers(&[0, 1, 2]), numbers(&rows.map(|r| r as i64)));
        let host = source.cut_on_host(&rows, &looks).expect("host");
        let device = source.cut_on_device(&channels, &index, &lines, &columns).expect("device");
        assert_eq!(host, device);
        let (top, left) = (looks[1].top, looks[1].left);
        let by_hand = source.pixels.get(0).narrow(1, top, 112).narrow(2, left, 112);
        let by_hand = if looks[1].flip { by_hand.flip([2]) } else { by_hand };
        assert_eq!(host.get(1).permute([2, 0, 1]), by_hand);
    }

    #[test]
    fn central_windows_are_the_released_ones() {
        let source = source(Input::Context, 112, 128, 171);
        let look = AugmentParams::central(source.slot);
        let cut = source.cut_on_host(&[1], &[look]).expect("cuts");
        let expected = source.pixels.get(1).narrow(1, 8, 112).narrow(2, 29, 112);
        assert_eq!(cut.get(0).permute([2, 0, 1]), expected);
    }

    #[test]
    fn moved_faces_repeat_their_edge() {
        let source = source(Input::Face, 96, 96, 96);
        let look = AugmentParams { top: -3, left: 2, ..AugmentParams::central(source.slot) };
        let cut = source.cut_on_host(&[0], &[look]).expect("cuts").permute([0, 3, 1, 2]);
        let picture = source.pixels.get(0);
        for (y, x, from_y, from_x) in [(0, 0, 0, 2), (2, 5, 0, 7), (10, 95, 7, 95)] {
            for channel in 0..3 {
                assert_eq!(
                    cut.int64_value(&[0, channel, y, x]),
                    picture.int64_value(&[channel, from_y, from_x])
                );
            }
        }
    }
}
