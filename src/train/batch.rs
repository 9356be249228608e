//! Batches: u8 pictures of a pack become normalised f32 tensors in channels-last layout, with the
//! augmentation drawn per sample from the seed.
//!
//! On the CPU the pack stays memory-mapped and only windows are copied; on CUDA it lies on the
//! device when it fits and is gathered there. Both give the same bits.
use std::{collections::BTreeMap, sync::Arc};

use anyhow::{ensure, Context, Result};
use tch::{Device, Kind, Tensor};

use super::config::{Augment, Flip};
use crate::{
    model::{self, Input, Inputs, ModelConfig, Picture, Slot},
    pack::{Pack, PackInput},
    record::NUM_CLASSES,
    seed::Draws,
};

/// Where a window of 112 x 112 stands when it is central in 128 x 171: the released code's choice.
const CENTRE: (i64, i64) = (8, 29);
/// The last place of that window.
const LAST: (i64, i64) = (16, 59);

/// One split of a pack, as one network wants to see it.
#[derive(Debug)]
pub(crate) struct Pictures {
    sources: Vec<Source>,
    /// i64 `[N]` on the device.
    targets: Tensor,
    labels: Vec<u8>,
    ids: Vec<String>,
    device: Device,
    scale: Scale,
    // Last, so that the tensors that point into it go first.
    _pack: Option<Arc<Pack>>,
}

/// One input of the network and the pixels that it is cut from.
#[derive(Debug)]
struct Source {
    slot: Slot,
    /// u8 `[N, 3, H, W]`: the map itself on the CPU, a copy on CUDA.
    pixels: Tensor,
    height: i64,
    width: i64,
}

/// Per-channel `(x - mean) / std` on the 0..=1 scale, `[1, 3, 1, 1]` each.
#[derive(Debug)]
struct Scale {
    mean: Tensor,
    inverse_std: Tensor,
}

/// A batch on the device.
#[derive(Debug)]
pub(crate) struct Batch {
    pictures: BTreeMap<Input, Tensor>,
    /// i64 `[N]`.
    pub labels: Tensor,
}

impl Batch {
    /// The batch as a network takes it.
    pub fn inputs(&self) -> Inputs<'_> {
        Inputs {
            face: self.pictures.get(&Input::Face),
            context: self.pictures.get(&Input::Context),
            image: self.pictures.get(&Input::Image),
        }
    }
}

/// How one picture is cut and coloured.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Look {
    top: i64,
    left: i64,
    flip: bool,
    brightness: f64,
    contrast: f64,
    saturation: f64,
    /// Share of the colour circle.
    hue: f64,
    /// Radians.
    rotation: f64,
}

impl Pictures {
    /// The pictures of an opened pack, as a network wants them.
    ///
    /// # Errors
    /// When the pack is empty or lacks a tensor that the network needs, or the device lacks memory.
    pub fn of(
        pack: Arc<Pack>,
        config: &ModelConfig,
        slots: &[Slot],
        device: Device,
    ) -> Result<Self> {
        ensure!(!pack.is_empty(), "the pack holds no samples of this split");
        let source = |&slot| Source::new(&pack, pack_input(slot, config), slot, device);
        let sources = slots.iter().map(source).collect::<Result<_>>()?;
        let (labels, ids) = (pack.labels().to_vec(), pack.sample_ids().to_vec());
        Self::new(sources, labels, ids, config, device, Some(pack))
    }

    /// `n` pictures of noise, to measure speed with.
    pub fn of_noise(
        n: usize,
        config: &ModelConfig,
        slots: &[Slot],
        device: Device,
    ) -> Result<Self> {
        let source = |&slot| -> Result<Source> {
            let (height, width) = pack_input(slot, config).size();
            let (height, width) = (height as i64, width as i64);
            let shape = [n as i64, 3, height, width];
            let pixels = Tensor::f_randint(256, shape, (Kind::Uint8, device))?;
            Ok(Source { slot, pixels, height, width })
        };
        let sources = slots.iter().map(source).collect::<Result<_>>()?;
        let labels = (0..n).map(|i| (i % NUM_CLASSES) as u8).collect();
        let ids = (0..n).map(|i| i.to_string()).collect();
        Self::new(sources, labels, ids, config, device, None)
    }

    fn new(
        sources: Vec<Source>,
        labels: Vec<u8>,
        ids: Vec<String>,
        config: &ModelConfig,
        device: Device,
        pack: Option<Arc<Pack>>,
    ) -> Result<Self> {
        let targets: Vec<i64> = labels.iter().map(|&label| i64::from(label)).collect();
        let targets = Tensor::f_from_slice(&targets)?.f_to_device(device)?;
        let scale = Scale::new(config, device)?;
        Ok(Pictures { sources, targets, labels, ids, device, scale, _pack: pack })
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Label of every sample, 0..=6.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// Samples per class.
    pub fn class_counts(&self) -> [usize; NUM_CLASSES] {
        let mut counts = [0; NUM_CLASSES];
        self.labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
        counts
    }

    /// The samples `rows` as they are evaluated: central windows, nothing changed.
    pub fn plain(&self, rows: &[usize]) -> Result<Batch> {
        self.batch(rows, |slot, _| Look::central(slot))
    }

    /// The samples `rows` as they are trained on. Every draw depends on the seed, on `occasion`
    /// (such as stage and epoch) and on the sample, never on its neighbours in the batch.
    pub fn augmented(
        &self,
        rows: &[usize],
        augment: &Augment,
        seed: u64,
        occasion: &str,
    ) -> Result<Batch> {
        self.batch(rows, |slot, row| {
            Look::drawn(slot, augment, seed, &format!("{occasion}/{}", self.ids[row]))
        })
    }

    fn batch(&self, rows: &[usize], look: impl Fn(Slot, usize) -> Look) -> Result<Batch> {
        let index: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
        let index = Tensor::f_from_slice(&index)?.f_to_device(self.device)?;
        let mut pictures = BTreeMap::new();
        for source in &self.sources {
            let looks: Vec<Look> = rows.iter().map(|&row| look(source.slot, row)).collect();
            let cut = match self.device {
                Device::Cpu => source.cut_on_host(rows, &looks)?,
                _ => source.cut_on_device(&index, &looks, self.device)?,
            };
            let picture = self.scale.apply(&cut, &looks)?;
            pictures.insert(source.slot.input, source.enlarged(picture)?);
        }
        Ok(Batch { pictures, labels: self.targets.f_index_select(0, &index)? })
    }
}

/// The packed tensor that a network's input is cut from.
pub(crate) fn pack_input(slot: Slot, config: &ModelConfig) -> PackInput {
    match (slot.input, config.context, config.picture) {
        (Input::Face, ..) | (Input::Image, _, Picture::Face) => PackInput::Face,
        (Input::Image, _, Picture::Frame) => PackInput::Image,
        (Input::Context, model::Context::Masked, _) => PackInput::ContextMasked,
        (Input::Context, model::Context::Visible, _) => PackInput::ContextVisible,
    }
}

impl Look {
    fn central(slot: Slot) -> Self {
        let (top, left) = if slot.input == Input::Context { CENTRE } else { (0, 0) };
        Look {
            top,
            left,
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
    fn drawn(slot: Slot, augment: &Augment, seed: u64, id: &str) -> Self {
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
        let mut around = |width: f64, middle: f64| draws.between(middle - width, middle + width);
        Look {
            top,
            left,
            flip,
            brightness: around(augment.brightness, 1.0),
            contrast: around(augment.contrast, 1.0),
            saturation: around(augment.saturation, 1.0),
            rotation: around(augment.rotation, 0.0).to_radians(),
            hue: around(augment.hue, 0.0),
        }
    }

    fn recolours(&self) -> bool {
        [self.brightness, self.contrast, self.saturation] != [1.0; 3] || self.hue != 0.0
    }
}

impl Source {
    fn new(pack: &Pack, input: PackInput, slot: Slot, device: Device) -> Result<Self> {
        let bytes = pack.view(input).with_context(|| {
            format!("the pack has no `{0}`; run `ncaers pack` with --inputs {0}", input.name())
        })?;
        let shape = pack.shape(input).map(|side| side as i64);
        // SAFETY: the map is read-only, outlives the tensor (`Pictures` holds both and drops the
        // tensor first) and holds exactly these bytes (checked when the pack was opened).
        let mapped =
            unsafe { Tensor::f_from_blob(bytes.as_ptr(), &shape, &[], Kind::Uint8, Device::Cpu)? };
        let pixels = match device {
            Device::Cpu => mapped,
            _ => mapped.f_to_device(device)?,
        };
        Ok(Source { slot, pixels, height: shape[2], width: shape[3] })
    }

    /// Rows and columns of the window: the network's size, or the whole picture when that is
    /// smaller and will be enlarged.
    fn window(&self) -> (i64, i64) {
        (self.slot.height.min(self.height), self.slot.width.min(self.width))
    }

    /// Cuts the windows of `rows` out of the map, u8 `[N, H, W, 3]`. What lies outside the picture
    /// repeats its edge.
    fn cut_on_host(&self, rows: &[usize], looks: &[Look]) -> Result<Tensor> {
        let (height, width) = self.window();
        let plane = (self.height * self.width) as usize;
        // SAFETY: the tensor is contiguous u8 `[N, 3, H, W]` on the CPU, made by `new`.
        let pixels = unsafe {
            std::slice::from_raw_parts(self.pixels.data_ptr().cast::<u8>(), self.pixels.numel())
        };
        let mut cut = vec![0u8; rows.len() * (height * width * 3) as usize];
        let windows = cut.chunks_exact_mut((height * width * 3) as usize);
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
        Ok(Tensor::f_from_slice(&cut)?.f_view([rows.len() as i64, height, width, 3])?)
    }

    /// The same by one gather on the device; `index` is i64 `[N]`.
    fn cut_on_device(&self, index: &Tensor, looks: &[Look], device: Device) -> Result<Tensor> {
        let (height, width) = self.window();
        let n = looks.len() as i64;
        let spread = |values: Vec<usize>, shape: [i64; 4]| -> Result<Tensor> {
            let values: Vec<i64> = values.into_iter().map(|v| v as i64).collect();
            Ok(Tensor::f_from_slice(&values)?.f_to_device(device)?.f_view(shape)?)
        };
        let lines = looks.iter().flat_map(|l| places(l.top, height, self.height, false));
        let columns = looks.iter().flat_map(|l| places(l.left, width, self.width, l.flip));
        let channels = Tensor::f_arange(3, (Kind::Int64, device))?.f_view([1, 1, 1, 3])?;
        let at = [
            Some(index.f_view([n, 1, 1, 1])?),
            Some(channels),
            Some(spread(lines.collect(), [n, height, 1, 1])?),
            Some(spread(columns.collect(), [n, 1, width, 1])?),
        ];
        Ok(self.pixels.f_index(&at)?)
    }

    /// Enlarges a picture that is smaller than the network wants it.
    fn enlarged(&self, picture: Tensor) -> Result<Tensor> {
        let wanted = [self.slot.height, self.slot.width];
        if picture.size()[2..] == wanted {
            return Ok(picture);
        }
        Ok(picture.f_upsample_bilinear2d(wanted, false, None, None)?)
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
    fn new(config: &ModelConfig, device: Device) -> Result<Self> {
        let (mean, std) = config.normalization.mean_std();
        let row = |values: [f64; 3]| -> Result<Tensor> {
            let values = values.map(|v| v as f32);
            Ok(Tensor::f_from_slice(&values)?.f_to_device(device)?.f_view([1, 3, 1, 1])?)
        };
        Ok(Scale { mean: row(mean)?, inverse_std: row(std.map(|s| 1.0 / s))? })
    }

    /// u8 `[N, H, W, 3]` to normalised f32 `[N, 3, H, W]` in channels-last layout.
    fn apply(&self, cut: &Tensor, looks: &[Look]) -> Result<Tensor> {
        let mut x = cut.f_to_kind(Kind::Float)?.f_mul_scalar_(1.0 / 255.0)?;
        x = x.f_permute([0, 3, 1, 2])?;
        if looks.iter().any(Look::recolours) {
            x = recoloured(x, looks)?;
        }
        if looks.iter().any(|look| look.rotation != 0.0) {
            x = rotated(&x, looks)?;
        }
        Ok(x.f_sub_(&self.mean)?.f_mul_(&self.inverse_std)?)
    }
}

/// One number per sample as `[N, 1, 1, 1]`.
fn per_sample(looks: &[Look], device: Device, get: impl Fn(&Look) -> f64) -> Result<Tensor> {
    let values: Vec<f32> = looks.iter().map(|look| get(look) as f32).collect();
    Ok(Tensor::f_from_slice(&values)?.f_to_device(device)?.f_view([-1, 1, 1, 1])?)
}

/// Brightness, contrast around the mean grey, saturation around the grey picture, hue, in this
/// order and clipped to 0..=1, as torchvision's transforms (grey = .299 R + .587 G + .114 B).
fn recoloured(mut x: Tensor, looks: &[Look]) -> Result<Tensor> {
    let device = x.device();
    let grey = |x: &Tensor| -> Result<Tensor> {
        let weights = Tensor::f_from_slice(&[0.299f32, 0.587, 0.114])?.f_to_device(device)?;
        let weighted = x.f_mul(&weights.f_view([1, 3, 1, 1])?)?;
        Ok(weighted.f_sum_dim_intlist([1].as_slice(), true, Kind::Float)?)
    };
    let factor = |get: fn(&Look) -> f64| per_sample(looks, device, get);
    x = x.f_mul_(&factor(|l| l.brightness)?)?.f_clamp_(0.0, 1.0)?;
    let middle = grey(&x)?.f_mean_dim([1, 2, 3].as_slice(), true, Kind::Float)?;
    x = x.f_sub_(&middle)?.f_mul_(&factor(|l| l.contrast)?)?.f_add_(&middle)?;
    x = x.f_clamp_(0.0, 1.0)?;
    if looks.iter().any(|look| look.saturation != 1.0) {
        let grey = grey(&x)?;
        x = x.f_sub_(&grey)?.f_mul_(&factor(|l| l.saturation)?)?.f_add_(&grey)?;
        x = x.f_clamp_(0.0, 1.0)?;
    }
    match looks.iter().any(|look| look.hue != 0.0) {
        true => turned_in_hue(&x, &factor(|l| l.hue)?),
        false => Ok(x),
    }
}

/// Adds `turn` (`[N, 1, 1, 1]`, shares of the colour circle) to the hue of every pixel, value and
/// saturation kept: Smith 1978, in the closed form by channel.
fn turned_in_hue(x: &Tensor, turn: &Tensor) -> Result<Tensor> {
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

/// Turns every picture around its centre, bilinear; corners that come from outside repeat the
/// edge.
fn rotated(x: &Tensor, looks: &[Look]) -> Result<Tensor> {
    let size = x.size();
    let aspect = size[2] as f64 / size[3] as f64;
    let rows: Vec<f32> = looks
        .iter()
        .flat_map(|look| {
            let (sin, cos) = look.rotation.sin_cos();
            [cos, -sin * aspect, 0.0, sin / aspect, cos, 0.0].map(|v| v as f32)
        })
        .collect();
    let theta = Tensor::f_from_slice(&rows)?.f_to_device(x.device())?.f_view([-1, 2, 3])?;
    let grid = Tensor::f_affine_grid_generator(&theta, size.as_slice(), false)?;
    const BILINEAR: i64 = 0;
    const EDGE: i64 = 1;
    Ok(x.f_grid_sampler(&grid, BILINEAR, EDGE, false)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(input: Input, side: i64) -> Slot {
        Slot { input, height: side, width: side }
    }

    fn source(input: Input, side: i64, height: i64, width: i64) -> Source {
        let values: Vec<u8> = (0..4 * 3 * height * width).map(|i| (i * 7919 % 251) as u8).collect();
        let pixels = Tensor::from_slice(&values).view([4, 3, height, width]);
        Source { slot: slot(input, side), pixels, height, width }
    }

    #[test]
    fn host_and_device_cut_the_same_bytes() {
        let source = source(Input::Context, 112, 128, 171);
        let augment = Augment { flip: Flip::Each, ..Augment::default() };
        let rows = [2usize, 0, 3, 2];
        let looks: Vec<Look> =
            (0..4).map(|i| Look::drawn(source.slot, &augment, 5, &i.to_string())).collect();
        assert!(looks.iter().any(|l| l.flip) && looks.iter().any(|l| !l.flip));
        let index = Tensor::from_slice(&rows.map(|r| r as i64));
        let host = source.cut_on_host(&rows, &looks).expect("host");
        let device = source.cut_on_device(&index, &looks, Device::Cpu).expect("device");
        assert_eq!(host, device);
        let (top, left) = (looks[1].top, looks[1].left);
        let by_hand = source.pixels.get(0).narrow(1, top, 112).narrow(2, left, 112);
        let by_hand = if looks[1].flip { by_hand.flip([2]) } else { by_hand };
        assert_eq!(host.get(1).permute([2, 0, 1]), by_hand);
    }

    #[test]
    fn central_windows_are_the_released_ones() {
        let source = source(Input::Context, 112, 128, 171);
        let look = Look::central(source.slot);
        let cut = source.cut_on_host(&[1], &[look]).expect("cuts");
        let expected = source.pixels.get(1).narrow(1, 8, 112).narrow(2, 29, 112);
        assert_eq!(cut.get(0).permute([2, 0, 1]), expected);
    }

    #[test]
    fn every_place_of_the_context_is_reached_and_none_outside() {
        let slot = slot(Input::Context, 112);
        let looks: Vec<Look> =
            (0..4000).map(|i| Look::drawn(slot, &Augment::default(), 1, &i.to_string())).collect();
        let of = |get: fn(&Look) -> i64| {
            looks.iter().map(get).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(of(|l| l.top), (0..=16).collect());
        assert_eq!(of(|l| l.left), (0..=59).collect());
        let near = Augment { context_shift: 8, ..Augment::default() };
        assert!((0..500)
            .map(|i| Look::drawn(slot, &near, 1, &i.to_string()))
            .all(|l| (0..=16).contains(&l.top) && (21..=37).contains(&l.left)));
    }

    #[test]
    fn moved_faces_repeat_their_edge() {
        let source = source(Input::Face, 96, 96, 96);
        let look = Look { top: -3, left: 2, ..Look::central(source.slot) };
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

    #[test]
    fn options_do_not_change_each_others_draws() {
        let drawn = |augment: &Augment| {
            Look::drawn(slot(Input::Face, 96), augment, 9, "joint 3/train/Sad/0001/000")
        };
        let plain = drawn(&Augment::default());
        let more = drawn(&Augment { brightness: 0.3, rotation: 10.0, ..Augment::default() });
        assert_eq!((plain.flip, plain.top, plain.left), (more.flip, more.top, more.left));
        assert!(!plain.recolours() && more.recolours());
        assert!((0.7..=1.3).contains(&more.brightness));
    }

    #[test]
    fn a_quarter_turn_of_a_square_is_exact() {
        let x = Tensor::arange(9, (Kind::Float, Device::Cpu)).view([1, 1, 3, 3]);
        let look =
            Look { rotation: std::f64::consts::FRAC_PI_2, ..Look::central(slot(Input::Face, 3)) };
        let turned = rotated(&x, &[look]).expect("turns");
        let expected = x.rot90(1, [2, 3]);
        let back = x.rot90(-1, [2, 3]);
        let close = |other: &Tensor| (&turned - other).abs().max().double_value(&[]) < 1e-5;
        assert!(close(&expected) || close(&back));
    }

    #[test]
    fn hues_move_around_the_circle() {
        let colours = [[1.0f32, 0.0, 0.0], [0.2, 0.8, 0.2], [0.5, 0.5, 0.5], [0.9, 0.6, 0.3]];
        let x = Tensor::from_slice(&colours.concat()).view([4, 3, 1, 1]);
        let turned = |share: f32| {
            let turns = Tensor::from_slice(&[share; 4]).view([4, 1, 1, 1]);
            Vec::<f32>::try_from(turned_in_hue(&x, &turns).expect("turns").flatten(0, -1))
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
        let looks = [Look::central(slot(Input::Face, 4)); 2];
        let same = recoloured(x.copy(), &looks).expect("recolours");
        assert!((same - x).abs().max().double_value(&[]) < 1e-6);
    }
}
