//! Batch normalisation, maximum of 2x2 windows and ReLU as one operation (`fused.cpp`).
use std::ffi::c_char;

use anyhow::Result;
use tch::{Device, Kind, Tensor};
use torch_sys::C_tensor;

use crate::device::checked;

extern "C" {
    fn ncaers_norm_relu(
        out: *mut *mut C_tensor,
        x: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
        ahead: *const C_tensor,
        mean: *const C_tensor,
        variance: *const C_tensor,
        momentum: f64,
        eps: f64,
        pool: bool,
    ) -> *mut c_char;
}

/// Fewest channels for which the operation is worth its while.
const FEWEST: i64 = 4;

/// What a normalisation by the batch's own statistics needs beside the map.
pub(super) struct Batch<'a> {
    /// Scale and offset per channel.
    pub weight: &'a Tensor,
    pub bias: &'a Tensor,
    /// A bias that was left out ahead: it enters the running mean only, its gradient is zero.
    pub ahead: Option<&'a Tensor>,
    /// Running statistics, which are updated.
    pub mean: &'a Tensor,
    pub variance: &'a Tensor,
    pub momentum: f64,
    pub eps: f64,
}

/// Whether [`norm_relu`] can take this map: on the CPU, channels last, f32 or bf16, with whole
/// windows.
pub(super) fn fits(x: &Tensor, pool: bool) -> bool {
    let (size, strides) = (x.size(), x.stride());
    let [n, c, height, width] = size[..] else { return false };
    let last = strides == [height * width * c, 1, width * c, c];
    let whole = !pool || (height % 2 == 0 && width % 2 == 0);
    x.device() == Device::Cpu
        && matches!(x.kind(), Kind::Float | Kind::BFloat16)
        && (c >= FEWEST && n * height * width > 1)
        && last
        && whole
}

/// `[N, C, H, W]` to `[N, C, H, W]`, or `[N, C, H/2, W/2]` with `pool`, in the kind of `x`.
///
/// # Errors
/// When memory is short.
pub(super) fn norm_relu(x: &Tensor, batch: &Batch, pool: bool) -> Result<Tensor> {
    let mut out = std::ptr::null_mut();
    // SAFETY: all tensors live through the call, `fits` holds, and `out` is ours on success.
    unsafe {
        let message = ncaers_norm_relu(
            &mut out,
            x.as_ptr(),
            batch.weight.as_ptr(),
            batch.bias.as_ptr(),
            batch.ahead.map_or(std::ptr::null(), Tensor::as_ptr),
            batch.mean.as_ptr(),
            batch.variance.as_ptr(),
            batch.momentum,
            batch.eps,
            pool,
        );
        checked(message)?;
        Ok(Tensor::from_ptr(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Draws;

    /// Normal numbers of a source of their own: tests beside this one use LibTorch's.
    fn normal(name: &str, shape: &[i64]) -> Tensor {
        let mut draws = Draws::new(5, "fused", name);
        let n: i64 = shape.iter().product();
        let values: Vec<f32> = (0..n).map(|_| draws.normal() as f32).collect();
        Tensor::from_slice(&values).view(shape)
    }

    /// What goes into a normalisation, and what came out of it.
    struct Trial {
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        ahead: Tensor,
        mean: Tensor,
        variance: Tensor,
    }

    impl Trial {
        fn new(kind: Kind) -> Self {
            let leaf = |tensor: Tensor| tensor.detach().set_requires_grad(true);
            let x = normal("x", &[3, 6, 8, 12]).to_kind(kind).permute([0, 3, 1, 2]) * 3.0 + 1.0;
            Trial {
                x: leaf(x),
                weight: leaf(normal("weight", &[12])),
                bias: leaf(normal("bias", &[12])),
                ahead: leaf(normal("ahead", &[12])),
                mean: normal("mean", &[12]),
                variance: normal("variance", &[12]).abs(),
            }
        }

        /// By this operation.
        fn fused(&self, pool: bool) -> Tensor {
            assert!(fits(&self.x, pool));
            let batch = Batch {
                weight: &self.weight,
                bias: &self.bias,
                ahead: Some(&self.ahead),
                mean: &self.mean,
                variance: &self.variance,
                momentum: 0.1,
                eps: 1e-5,
            };
            norm_relu(&self.x, &batch, pool).expect("evaluates")
        }

        /// By LibTorch's three, in f32.
        fn separate(&self, pool: bool) -> Tensor {
            let x = self.x.to_kind(Kind::Float) + self.ahead.view([1, 12, 1, 1]);
            let (mean, variance) = (Some(&self.mean), Some(&self.variance));
            let (weight, bias) = (Some(&self.weight), Some(&self.bias));
            let y = x.batch_norm(weight, bias, mean, variance, true, 0.1, 1e-5, false);
            let y = if pool { y.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false) } else { y };
            y.relu()
        }
    }

    fn apart(a: &Tensor, b: &Tensor) -> f64 {
        assert_eq!(a.size(), b.size());
        (a.to_kind(Kind::Double) - b.to_kind(Kind::Double)).abs().max().double_value(&[])
    }

    #[test]
    fn values_gradients_and_statistics_are_those_of_the_separate_operations() {
        // bfloat16 keeps 8 bits: outputs up to 10 are off by 0.03, gradients likewise.
        for (kind, tolerance) in [(Kind::Float, 2e-5), (Kind::BFloat16, 0.05)] {
            for pool in [false, true] {
                let (ours, theirs) = (Trial::new(kind), Trial::new(kind));
                let (y, wanted) = (ours.fused(pool), theirs.separate(pool));
                assert_eq!(y.kind(), kind);
                assert!(apart(&y, &wanted) < tolerance, "{kind:?} {pool}: {}", apart(&y, &wanted));
                let pull = normal("pull", &wanted.size()).to_kind(kind).to_kind(Kind::Float);
                (y.to_kind(Kind::Float) * &pull).sum(Kind::Float).backward();
                (wanted * &pull).sum(Kind::Float).backward();
                let pairs = [(&ours.x, &theirs.x), (&ours.bias, &theirs.bias)];
                for (ours, theirs) in pairs.into_iter().chain([(&ours.weight, &theirs.weight)]) {
                    let error = apart(&ours.grad(), &theirs.grad());
                    assert!(error < 4.0 * tolerance, "{kind:?} {pool}: {error}");
                }
                assert!(apart(&ours.mean, &theirs.mean) < 1e-5);
                assert!(apart(&ours.variance, &theirs.variance) < 1e-5);
                assert_eq!(ours.ahead.grad().abs().max().double_value(&[]), 0.0);
            }
        }
    }

    #[test]
    fn a_value_that_is_no_number_stays_none() {
        for pool in [false, true] {
            let trial = Trial::new(Kind::Float);
            let _ = tch::no_grad(|| trial.x.narrow(0, 0, 1).fill_(f64::NAN));
            assert!(bool::try_from(trial.fused(pool).isnan().any()).expect("a truth"));
        }
    }

    #[test]
    fn maps_that_do_not_fit_are_left_to_the_separate_operations() {
        let trial = Trial::new(Kind::Float);
        assert!(!fits(&trial.x.contiguous(), false), "not channels last");
        assert!(!fits(&trial.x.narrow(2, 0, 5).contiguous(), true), "half a window");
        assert!(!fits(&trial.x.to_kind(Kind::Double), false));
        assert!(!fits(&trial.weight, false));
    }
}
