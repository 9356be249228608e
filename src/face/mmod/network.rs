//! The network itself on LibTorch: seven convolutions over a canvas.
//!
//! On the processor tensors are laid out `[N, height, width, channels]` in memory, in which
//! oneDNN's kernels are fastest and from which the canvas needs no copy, and the layers that step
//! by two are run strip by strip: their outputs are large, and memory that is used again is cheaper
//! than memory that the system must zero. Two rewritings change no result but the order of sums:
//! channels are filled up with zeros to whole vector registers, and the last convolution, whose
//! single filter would leave fifteen of sixteen lanes idle, is run as nine filters of one column
//! each, added up afterwards.
use anyhow::{Context, Result};
use tch::{Device, TchError, Tensor};

use super::{
    layout::{cells, FIELD, STRIDE},
    weights::{Convolution, Weights},
};

/// Channels of inner layers are filled up to a multiple of this, the floats of a register.
const LANES: usize = 16;
/// Rows of a strip in cells of the map behind the layers that step by two. Neighbours have 21 rows
/// of pixels in common, which are computed twice.
const STRIP: i64 = 32;

/// The convolutions with their affine maps folded in, on one device.
#[derive(Debug)]
pub(super) struct Network {
    /// Those that step by two, without padding.
    strided: Vec<Layer>,
    /// Those after them, which keep the size of the map.
    padded: Vec<Layer>,
    /// Bias of the last convolution.
    bias: f32,
    /// Columns of the last kernel, the filters of the last layer here.
    taps: i64,
    device: Device,
}

#[derive(Debug)]
struct Layer {
    /// `[filters, channels, rows, columns]`.
    filters: Tensor,
    /// `[filters]`.
    biases: Tensor,
    stride: i64,
    /// Zeros above and below, left and right.
    padding: [i64; 2],
    rectified: bool,
}

impl Network {
    /// Places the weights on `device`.
    pub fn new(weights: &Weights, device: Device) -> Result<Self> {
        let (last, inner) =
            weights.convolutions.split_last().expect("the reader checks the layers");
        let (strided, padded) = inner.split_at(inner.partition_point(|c| c.shape.stride > 1));
        let placed = |layers: &[Convolution]| -> Result<Vec<_>, TchError> {
            layers.iter().map(|c| inner_layer(c, device)).collect()
        };
        let layers = placed(strided).and_then(|strided| {
            let mut padded = placed(padded)?;
            padded.push(last_layer(last, device)?);
            Ok((strided, padded))
        });
        let (strided, padded) = layers.context("cannot place the face detector's weights")?;
        let taps = last.shape.kernel as i64;
        Ok(Network { strided, padded, bias: last.biases[0], taps, device })
    }

    /// Scores of canvases `[N, 3, height, width]`: the maps `[N, rows, columns]`, one after the
    /// other, row by row.
    ///
    /// # Errors
    /// When LibTorch fails, for want of memory for example.
    pub fn scores(&self, canvases: &Tensor) -> Result<Vec<f32>> {
        let scores = tch::no_grad(|| {
            let canvases = canvases.f_to_device(self.device)?;
            let cells = match self.device {
                Device::Cpu => self.strip_by_strip(&canvases)?,
                _ => through(&self.strided, canvases)?,
            };
            let parts = through(&self.padded, cells)?;
            let scores = self.summed(&parts)?.f_to_device(Device::Cpu)?;
            Vec::try_from(&scores.f_contiguous()?.f_view([-1])?)
        });
        scores.context("the face detector's network failed")
    }

    fn strip_by_strip(&self, canvases: &Tensor) -> Result<Tensor, TchError> {
        let (_, _, height, _) = canvases.size4()?;
        let rows = cells(height);
        let strips = (0..rows).step_by(STRIP as usize).map(|row| {
            let pixels = STRIDE * (STRIP.min(rows - row) - 1) + FIELD;
            through(&self.strided, canvases.f_narrow(2, STRIDE * row, pixels)?)
        });
        Tensor::f_cat(&strips.collect::<Result<Vec<_>, _>>()?, 2)
    }

    /// Sums over the columns of the last kernel: `[N, taps, rows, columns]` to
    /// `[N, rows, columns]`.
    fn summed(&self, parts: &Tensor) -> Result<Tensor, TchError> {
        let half = self.taps / 2;
        let (_, _, _, columns) = parts.size4()?;
        // Beyond the edges lie zeros.
        let parts = parts.f_constant_pad_nd([half, half])?;
        let tap = |t: i64| parts.f_select(1, t)?.f_narrow(2, t, columns);
        let sum = (1..self.taps).try_fold(tap(0)?, |sum, t| sum.f_add(&tap(t)?))?;
        sum.f_add_scalar(f64::from(self.bias))
    }
}

fn through(layers: &[Layer], x: Tensor) -> Result<Tensor, TchError> {
    layers.iter().try_fold(x, |x, layer| layer.forward(&x))
}

impl Layer {
    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let stride = [self.stride; 2];
        let mut y =
            x.f_conv2d(&self.filters, Some(&self.biases), stride, self.padding, [1, 1], 1)?;
        if self.rectified {
            let _ = y.f_relu_()?;
        }
        Ok(y)
    }
}

/// The number of channels that a layer is given for `n`: a whole number of registers, but for the
/// three of a picture.
fn filled(n: usize) -> usize {
    if n <= 3 {
        n
    } else {
        n.next_multiple_of(LANES)
    }
}

/// A layer with its affine map folded into filters and biases.
fn inner_layer(convolution: &Convolution, device: Device) -> Result<Layer, TchError> {
    let shape = convolution.shape;
    let mut filters = convolution.filters.clone();
    let mut biases = convolution.biases.clone();
    if let Some(affine) = &convolution.affine {
        let per_filter = filters.len() / shape.filters;
        for (filter, gain) in filters.chunks_exact_mut(per_filter).zip(&affine.gain) {
            filter.iter_mut().for_each(|w| *w *= gain);
        }
        for ((b, gain), bias) in biases.iter_mut().zip(&affine.gain).zip(&affine.bias) {
            *b = *b * gain + bias;
        }
    }
    biases.resize(filled(shape.filters), 0.0);
    let size = [shape.filters, shape.channels, shape.kernel, shape.kernel];
    let filters = Tensor::f_from_slice(&filters)?.f_view(size.map(|n| n as i64))?;
    Ok(Layer {
        filters: placed(&filters, filled(shape.filters), filled(shape.channels), device)?,
        biases: Tensor::f_from_slice(&biases)?.f_to_device(device)?,
        stride: shape.stride as i64,
        padding: [shape.padding as i64; 2],
        rectified: convolution.affine.is_some(),
    })
}

/// The last convolution `[1, channels, kernel, kernel]` as one filter per column of its kernel.
fn last_layer(convolution: &Convolution, device: Device) -> Result<Layer, TchError> {
    let shape = convolution.shape;
    let [channels, kernel] = [shape.channels, shape.kernel].map(|n| n as i64);
    let filters = Tensor::f_from_slice(&convolution.filters)?
        .f_view([channels, kernel, kernel])?
        .f_permute([2, 0, 1])?
        .f_unsqueeze(3)?;
    Ok(Layer {
        filters: placed(&filters, shape.kernel, filled(shape.channels), device)?,
        biases: Tensor::f_zeros([kernel], (tch::Kind::Float, device))?,
        stride: shape.stride as i64,
        padding: [shape.padding as i64, 0],
        rectified: false,
    })
}

/// Filters filled up with zeros to `filters` x `channels`; channels last in the processor's memory,
/// and as they come on a GPU, whose kernels for f32 are made for that.
fn placed(
    tensor: &Tensor,
    filters: usize,
    channels: usize,
    device: Device,
) -> Result<Tensor, TchError> {
    let size = tensor.size();
    let more = [filters as i64 - size[0], channels as i64 - size[1]];
    let filled = tensor.f_constant_pad_nd([0, 0, 0, 0, 0, more[1], 0, more[0]])?;
    if device != Device::Cpu {
        return filled.f_to_device(device);
    }
    filled.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])
}
