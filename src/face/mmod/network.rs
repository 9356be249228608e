//! The network itself on LibTorch: seven convolutions over a canvas.
use anyhow::{Context, Result};
use tch::{Device, Kind, Tensor};

use super::weights::{Convolution, Weights};

/// The convolutions with their affine maps folded in, on one device.
#[derive(Debug)]
pub(super) struct Network {
    layers: Vec<Layer>,
    device: Device,
}

#[derive(Debug)]
struct Layer {
    /// `[filters, channels, kernel, kernel]`.
    filters: Tensor,
    /// `[filters]`.
    biases: Tensor,
    stride: i64,
    padding: i64,
    rectified: bool,
}

/// Scores of a batch of canvases.
#[derive(Debug)]
pub(super) struct ScoreMaps {
    /// Cells per row.
    pub columns: usize,
    /// One map per canvas, row by row.
    pub maps: Vec<Vec<f32>>,
}

impl Network {
    pub fn new(weights: &Weights, device: Device) -> Result<Self> {
        let layers: Result<_> = weights.convolutions.iter().map(|c| layer(c, device)).collect();
        Ok(Network { layers: layers.context("cannot place the face detector's weights")?, device })
    }

    /// Scores of `count` canvases `[count, 3, height, width]`.
    pub fn scores(&self, canvases: &[f32], count: usize, size: [usize; 2]) -> Result<ScoreMaps> {
        let [height, width] = size.map(|n| n as i64);
        tch::no_grad(|| -> Result<ScoreMaps> {
            let canvases =
                Tensor::f_from_slice(canvases)?.f_view([count as i64, 3, height, width])?;
            let canvases = canvases.f_to_device(self.device)?;
            let scores = self.layers.iter().try_fold(canvases, |x, layer| layer.forward(&x))?;
            let cells = scores.size()[2] * scores.size()[3];
            let columns = scores.size()[3] as usize;
            let scores = scores.f_to_device(Device::Cpu)?.f_reshape([count as i64, cells])?;
            let maps = Vec::<Vec<f32>>::try_from(&scores.f_to_kind(Kind::Float)?)?;
            Ok(ScoreMaps { columns, maps })
        })
        .context("the face detector's network failed")
    }
}

impl Layer {
    fn forward(&self, x: &Tensor) -> Result<Tensor, tch::TchError> {
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        let mut y = x.f_conv2d(&self.filters, Some(&self.biases), stride, padding, [1, 1], 1)?;
        if self.rectified {
            let _ = y.f_relu_()?;
        }
        Ok(y)
    }
}

/// A layer with its affine map folded into filters and biases.
fn layer(convolution: &Convolution, device: Device) -> Result<Layer> {
    let shape = convolution.shape;
    let size = [shape.filters, shape.channels, shape.kernel, shape.kernel].map(|n| n as i64);
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
    Ok(Layer {
        filters: Tensor::f_from_slice(&filters)?.f_view(size)?.f_to_device(device)?,
        biases: Tensor::f_from_slice(&biases)?.f_to_device(device)?,
        stride: shape.stride as i64,
        padding: shape.padding as i64,
        rectified: convolution.affine.is_some(),
    })
}
