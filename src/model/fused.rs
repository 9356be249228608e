//! Batch normalisation, maximum of 2x2 windows and ReLU as one operation (`fused.cpp`).
use std::ffi::{c_char, CStr};

use anyhow::{bail, Result};
use tch::{Device, Kind, Tensor};
use torch_sys::C_tensor;

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
        if message.is_null() {
            return Ok(Tensor::from_ptr(out));
        }
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        libc::free(message.cast());
        bail!("{}", text.lines().next().unwrap_or("LibTorch failed"))
    }
}
