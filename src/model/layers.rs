//! The layers all networks are made of, over LibTorch's fallible operations.
use std::borrow::Borrow;

use anyhow::Result;
use tch::{nn, Device, Kind, Tensor};

pub(super) use super::pass::{Layer, Pass};
use super::{fused, pass::Shift};

/// Epsilon and momentum of batch normalisation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Norm {
    pub eps: f64,
    pub momentum: f64,
}

impl Norm {
    /// PyTorch's defaults, which all public baselines use.
    pub const TORCH: Norm = Norm { eps: 1e-5, momentum: 0.1 };
}

/// How fresh weights are drawn.
#[derive(Clone, Copy, Debug)]
pub(super) enum Start {
    /// Uniform after Glorot and Bengio 2010, biases zero: Keras's default.
    Glorot,
    /// Uniform within one over the root of fan-in, biases too: PyTorch's default.
    Torch,
    /// Convolutions normal after He et al. 2015 by fan-out, biases zero; linear layers as `Torch`.
    FanOut,
    /// As `FanOut`, but linear layers normal with deviation 0.01 and biases zero: VGG.
    Vgg,
}

impl Start {
    fn weight(self, shape: &[i64]) -> nn::Init {
        let cells: i64 = shape[2..].iter().product();
        let (fan_in, fan_out) = ((shape[1] * cells) as f64, (shape[0] * cells) as f64);
        let uniform = |bound: f64| nn::Init::Uniform { lo: -bound, up: bound };
        match self {
            Start::Glorot => uniform((6.0 / (fan_in + fan_out)).sqrt()),
            Start::FanOut | Start::Vgg if shape.len() > 2 => {
                nn::Init::Randn { mean: 0.0, stdev: (2.0 / fan_out).sqrt() }
            }
            Start::Vgg => nn::Init::Randn { mean: 0.0, stdev: 0.01 },
            Start::Torch | Start::FanOut => uniform(1.0 / fan_in.sqrt()),
        }
    }

    fn bias(self, shape: &[i64]) -> nn::Init {
        let bound = 1.0 / (shape[1..].iter().product::<i64>() as f64).sqrt();
        match self {
            Start::Torch => nn::Init::Uniform { lo: -bound, up: bound },
            Start::FanOut if shape.len() == 2 => nn::Init::Uniform { lo: -bound, up: bound },
            _ => nn::Init::Const(0.0),
        }
    }
}

/// A place in the tree of names, and how tensors are made there.
#[derive(Clone, Debug)]
pub(super) struct Scope<'a> {
    path: nn::Path<'a>,
    norm: Norm,
    start: Start,
    /// `Some`: frozen but for the layers of these names.
    head: Option<&'static [&'static str]>,
    /// Length of the name of the network's own root, which head names do not include.
    root: usize,
}

impl<'a> Scope<'a> {
    pub fn new(path: &nn::Path<'a>, norm: Norm, head: Option<&'static [&'static str]>) -> Self {
        let root = path.components().map(|part| part.len() + 1).sum();
        Scope { path: path.clone(), norm, start: Start::Torch, head, root }
    }

    /// The place `name` below this one; dots in `name` separate places.
    pub fn sub(&self, name: &str) -> Scope<'a> {
        let path = name.split('.').fold(self.path.clone(), |path, part| path.sub(part));
        Scope { path, ..*self }
    }

    pub fn with_norm(self, norm: Norm) -> Self {
        Scope { norm, ..self }
    }

    pub fn with_start(self, start: Start) -> Self {
        Scope { start, ..self }
    }

    fn name(&self) -> String {
        self.path.components().collect::<Vec<_>>().join(".")
    }

    fn is_frozen(&self) -> bool {
        let name = self.name();
        let own = name.get(self.root..).unwrap_or_default();
        self.head.is_some_and(|head| {
            !head.iter().any(|h| own == *h || own.starts_with(&format!("{h}.")))
        })
    }

    /// A trainable tensor unless this place is frozen. Drawn on the CPU, so that the values do not
    /// depend on the device.
    pub fn weight(&self, name: &str, shape: &[i64], init: nn::Init) -> Result<Tensor> {
        let fresh = nn::f_init(init, shape, Device::Cpu, Kind::Float)?;
        let fresh = fresh.f_to_device(self.path.device())?.f_detach()?;
        Ok(self.path.add(name, fresh, !self.is_frozen()))
    }

    fn statistic(&self, name: &str, length: i64, value: f64) -> Result<Tensor> {
        let place = (Kind::Float, self.path.device());
        Ok(self.path.add(name, Tensor::f_full([length], value, place)?, false))
    }

    pub fn conv(&self, inputs: i64, outputs: i64, shape: ConvShape) -> Result<Conv> {
        let sizes = [outputs, inputs / shape.groups, shape.kernel, shape.kernel];
        let weight = self.weight("weight", &sizes, self.start.weight(&sizes))?;
        let bias = match shape.bias {
            true => Some(self.weight("bias", &[outputs], self.start.bias(&sizes))?),
            false => None,
        };
        Ok(Conv { name: self.name(), weight, bias, shape })
    }

    pub fn linear(&self, inputs: i64, outputs: i64) -> Result<Linear> {
        let sizes = [outputs, inputs];
        let weight = self.weight("weight", &sizes, self.start.weight(&sizes))?;
        let bias = self.weight("bias", &[outputs], self.start.bias(&sizes))?;
        Ok(Linear { name: self.name(), weight, bias })
    }

    /// A convolution and its batch normalisation, at the places `names`.
    pub fn conv_norm(
        &self,
        [conv, norm]: [&str; 2],
        inputs: i64,
        outputs: i64,
        shape: ConvShape,
    ) -> Result<ConvNorm> {
        Ok(ConvNorm {
            conv: self.sub(conv).conv(inputs, outputs, shape)?,
            norm: self.sub(norm).batch_norm(outputs)?,
        })
    }

    pub fn batch_norm(&self, width: i64) -> Result<BatchNorm> {
        Ok(BatchNorm {
            name: self.name(),
            weight: self.weight("weight", &[width], nn::Init::Const(1.0))?,
            bias: self.weight("bias", &[width], nn::Init::Const(0.0))?,
            mean: self.statistic("running_mean", width, 0.0)?,
            variance: self.statistic("running_var", width, 1.0)?,
            norm: self.norm,
            frozen: self.is_frozen(),
        })
    }
}

/// Geometry of a square convolution.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConvShape {
    pub kernel: i64,
    pub stride: i64,
    pub padding: i64,
    pub dilation: i64,
    pub groups: i64,
    pub bias: bool,
}

impl ConvShape {
    /// `kernel` x `kernel`, stride 1, size kept, no bias.
    pub const fn new(kernel: i64) -> Self {
        ConvShape { kernel, stride: 1, padding: kernel / 2, dilation: 1, groups: 1, bias: false }
    }

    pub const fn stride(self, stride: i64) -> Self {
        ConvShape { stride, ..self }
    }

    pub const fn groups(self, groups: i64) -> Self {
        ConvShape { groups, ..self }
    }

    pub const fn biased(self) -> Self {
        ConvShape { bias: true, ..self }
    }
}

/// A two-dimensional convolution.
#[derive(Debug)]
pub(super) struct Conv {
    name: String,
    weight: Tensor,
    bias: Option<Tensor>,
    shape: ConvShape,
}

impl Conv {
    /// `[N, inputs, H, W]` to `[N, outputs, H', W']`.
    pub fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let bias = self.bias.as_ref().map(|bias| pass.cast(bias)).transpose()?;
        self.convolve(x, bias, pass)
    }

    fn convolve(&self, x: &Tensor, bias: Option<Tensor>, pass: &Pass) -> Result<Tensor> {
        let ConvShape { stride, padding, dilation, groups, .. } = self.shape;
        let y = pass.cast(x)?.f_conv2d(
            &pass.cast(&self.weight)?,
            bias,
            [stride; 2],
            [padding; 2],
            [dilation; 2],
            groups,
        )?;
        pass.record(|| Layer {
            name: self.name.clone(),
            kind: "conv",
            input: x.size(),
            output: y.size(),
            parameters: count(&[Some(&self.weight), self.bias.as_ref()]),
            multiply_adds: (y.numel() * self.weight.numel()) as u64 / y.size()[1] as u64,
        });
        Ok(y)
    }
}

/// A fully connected layer.
#[derive(Debug)]
pub(super) struct Linear {
    name: String,
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// `[N, inputs]` to `[N, outputs]`.
    pub fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let y = pass.cast(x)?.f_linear(&pass.cast(&self.weight)?, Some(pass.cast(&self.bias)?))?;
        self.record("", x, &y, &[Some(&self.weight), Some(&self.bias)], pass);
        Ok(y)
    }

    /// Applies the first columns of this layer, and its bias, to a vector `[N, inputs]`, and the
    /// columns behind those to every cell of a map `[N, inputs', H, W]`: `[N, outputs]` and
    /// `[N, outputs, H, W]`.
    pub fn halves(&self, vector: &Tensor, map: &Tensor, pass: &Pass) -> Result<(Tensor, Tensor)> {
        // One split, whose way back is one operation; two cuts have five.
        let sizes = [vector.size()[1], map.size()[1]];
        let parts = pass.cast(&self.weight)?.f_split_with_sizes(sizes, 1)?;
        let of_vector = pass.cast(vector)?.f_linear(&parts[0], Some(pass.cast(&self.bias)?))?;
        let tensors = [Some(&parts[0]), Some(&self.bias)];
        self.record("vector half", vector, &of_vector, &tensors, pass);
        let of_cells = per_cell(map, &parts[1], None, pass)?;
        self.record("cell half", map, &of_cells, &[Some(&parts[1])], pass);
        Ok((of_vector, of_cells))
    }

    /// Applies the whole layer to every cell of a map.
    pub fn on_map(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let y = per_cell(x, &self.weight, Some(&self.bias), pass)?;
        self.record("", x, &y, &[Some(&self.weight), Some(&self.bias)], pass);
        Ok(y)
    }

    fn record(&self, part: &str, x: &Tensor, y: &Tensor, tensors: &[Option<&Tensor>], pass: &Pass) {
        pass.record(|| Layer {
            name: format!("{} {part}", self.name).trim_end().to_owned(),
            kind: "linear",
            input: x.size(),
            output: y.size(),
            parameters: count(tensors),
            multiply_adds: y.numel() as u64
                * tensors[0].map_or(0, |weight| weight.size()[1] as u64),
        });
    }
}

/// A linear layer on every cell of a map, as a convolution 1x1.
fn per_cell(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, pass: &Pass) -> Result<Tensor> {
    let weight = pass.cast(weight)?.f_unsqueeze(-1)?.f_unsqueeze(-1)?;
    let bias = bias.map(|bias| pass.cast(bias)).transpose()?;
    Ok(pass.cast(x)?.f_conv2d(&weight, bias, 1, 0, 1, 1)?)
}

/// Batch normalisation over all axes but the second.
#[derive(Debug)]
pub(super) struct BatchNorm {
    name: String,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
    norm: Norm,
    frozen: bool,
}

impl BatchNorm {
    /// Same shape out as in.
    pub fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        self.normalise(x, &self.bias, pass)
    }

    /// Normalises and takes the ReLU.
    pub fn relu(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        self.activate(x, None, false, pass)
    }

    /// Normalises `x + ahead`, takes the maximum of 2x2 windows with `pool`, and the ReLU.
    ///
    /// The maximum is taken before the ReLU: both orders give the same values and the same
    /// gradients, this one a quarter of the work.
    fn activate(
        &self,
        x: &Tensor,
        ahead: Option<&Tensor>,
        pool: bool,
        pass: &Pass,
    ) -> Result<Tensor> {
        if pass.is_separate() || !self.uses_batch(pass) || !fused::fits(x, pool) {
            let y = match ahead {
                Some(shift) => self.forward_shifted(x, shift, pass)?,
                None => self.forward(x, pass)?,
            };
            return relu(if pool { max_pool(&y, 2, 2, 0)? } else { y });
        }
        self.record(x, pass);
        let batch = fused::Batch {
            weight: &self.weight,
            bias: &self.bias,
            ahead,
            mean: &self.mean,
            variance: &self.variance,
            momentum: self.norm.momentum,
            eps: self.norm.eps,
        };
        fused::norm_relu(x, &batch, pool)
    }

    fn normalise(&self, x: &Tensor, bias: &Tensor, pass: &Pass) -> Result<Tensor> {
        self.record(x, pass);
        Ok(x.f_batch_norm(
            Some(&self.weight),
            Some(bias),
            Some(&self.mean),
            Some(&self.variance),
            self.uses_batch(pass),
            self.norm.momentum,
            self.norm.eps,
            true,
        )?)
    }

    fn record(&self, x: &Tensor, pass: &Pass) {
        let tensors = [&self.weight, &self.bias, &self.mean, &self.variance].map(Some);
        pass.record(|| Layer {
            name: self.name.clone(),
            kind: "batch norm",
            input: x.size(),
            output: x.size(),
            parameters: count(&tensors),
            multiply_adds: 0,
        });
    }

    /// Whether the batch's own mean and variance are used.
    fn uses_batch(&self, pass: &Pass) -> bool {
        pass.is_train() && !self.frozen
    }

    /// Normalises `x + shift` by the batch's own statistics without adding `shift`: the mean takes
    /// it away again, so it reaches the running mean only and its gradient is exactly zero.
    fn forward_shifted(&self, x: &Tensor, shift: &Tensor, pass: &Pass) -> Result<Tensor> {
        if pass.has_moved(&self.mean) {
            return self.normalise(x, &self.bias, pass);
        }
        let bias = self.bias.f_add(&shift.f_mul_scalar(0.0)?)?;
        // Ahead of the update, which keeps 1 - momentum of it: autograd forbids a change after it.
        let momentum = self.norm.momentum;
        let moved = shift.f_detach()?.f_mul_scalar(momentum / (1.0 - momentum))?;
        drop(self.mean.shallow_clone().f_add_(&moved)?);
        self.normalise(x, &bias, pass)
    }
}

fn count(tensors: &[Option<&Tensor>]) -> u64 {
    tensors.iter().flatten().map(|tensor| tensor.numel() as u64).sum()
}

/// A convolution and its batch normalisation.
#[derive(Debug)]
pub(super) struct ConvNorm {
    conv: Conv,
    norm: BatchNorm,
}

impl ConvNorm {
    pub fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        match self.convolve(x, pass)? {
            (y, Some(bias)) => self.norm.forward_shifted(&y, bias, pass),
            (y, None) => self.norm.forward(&y, pass),
        }
    }

    /// With a ReLU behind.
    pub fn relu(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let (y, bias) = self.convolve(x, pass)?;
        self.norm.activate(&y, bias, false, pass)
    }

    /// With the maximum of 2x2 windows and a ReLU behind.
    pub fn relu_pool(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let (y, bias) = self.convolve(x, pass)?;
        self.norm.activate(&y, bias, true, pass)
    }

    /// The convolution, and its bias where the normalisation will take it away again.
    fn convolve(&self, x: &Tensor, pass: &Pass) -> Result<(Tensor, Option<&Tensor>)> {
        if let Some(bias) = self.conv.bias.as_ref().filter(|_| !self.norm.frozen) {
            pass.note_shift(|| Shift {
                mean: self.norm.mean.shallow_clone(),
                bias: bias.shallow_clone(),
                momentum: self.norm.norm.momentum,
            });
        }
        match &self.conv.bias {
            Some(bias) if self.norm.uses_batch(pass) => {
                Ok((self.conv.convolve(x, None, pass)?, Some(bias)))
            }
            _ => Ok((self.conv.forward(x, pass)?, None)),
        }
    }
}

/// fc1, ReLU, dropout, fc2.
#[derive(Debug)]
pub(super) struct Mlp {
    fc1: Linear,
    fc2: Linear,
    dropout: f64,
}

impl Mlp {
    pub fn new(scope: &Scope, [inputs, hidden, outputs]: [i64; 3], dropout: f64) -> Result<Self> {
        let fc1 = scope.sub("fc1").linear(inputs, hidden)?;
        Ok(Mlp { fc1, fc2: scope.sub("fc2").linear(hidden, outputs)?, dropout })
    }

    /// `[N, inputs]` to `[N, outputs]`, f32.
    pub fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let hidden = relu(self.fc1.forward(x, pass)?)?;
        float(&self.fc2.forward(&dropout(hidden, self.dropout, pass)?, pass)?)
    }
}

/// In place: every caller hands over a tensor that no one needs any more.
pub(super) fn relu(mut x: Tensor) -> Result<Tensor> {
    Ok(x.f_relu_()?)
}

/// Dropout in training, nothing in evaluation.
pub(super) fn dropout(x: Tensor, p: f64, pass: &Pass) -> Result<Tensor> {
    match pass.is_train() && p > 0.0 {
        true => Ok(x.f_dropout(p, true)?),
        false => Ok(x),
    }
}

/// Back to f32 where a product left another format.
pub(super) fn float(x: &Tensor) -> Result<Tensor> {
    match x.kind() {
        Kind::Float => Ok(x.shallow_clone()),
        _ => Ok(x.f_to_kind(Kind::Float)?),
    }
}

/// Largest value of every window.
pub(super) fn max_pool(x: &Tensor, window: i64, stride: i64, padding: i64) -> Result<Tensor> {
    Ok(x.f_max_pool2d([window; 2], [stride; 2], [padding; 2], [1; 2], false)?)
}

/// Global average pooling: `[N, D, H, W]` to `[N, D]`, f32.
pub(super) fn average<T: Borrow<Tensor>>(map: T) -> Result<Tensor> {
    Ok(map.borrow().f_mean_dim([2, 3].as_slice(), false, Kind::Float)?)
}
