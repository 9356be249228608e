//! Calls into `native.cpp`: the few operations of LibTorch that tch has no binding for.
use std::ffi::c_char;

use anyhow::Result;
use tch::Tensor;
use torch_sys::C_tensor;

use crate::device::checked;

type List = *const *const C_tensor;

extern "C" {
    fn ncaers_clear_gradients(parameters: List, n: i64) -> *mut c_char;
    fn ncaers_clip_gradients(parameters: List, n: i64, limit: f64) -> *mut c_char;
    fn ncaers_sgd(
        parameters: List,
        momenta: List,
        n: i64,
        rate: f64,
        rate_on_device: *const C_tensor,
        momentum: f64,
        decay: f64,
        nesterov: bool,
    ) -> *mut c_char;
    fn ncaers_adam(
        parameters: List,
        firsts: List,
        seconds: List,
        seconds_max: List,
        n: i64,
        step: *const C_tensor,
        rate: f64,
        rate_on_device: *const C_tensor,
        decay: f64,
        amsgrad: bool,
        decoupled: bool,
    ) -> *mut c_char;
    fn ncaers_add_all(to: List, from: List, n: i64, factor: f64) -> *mut c_char;
    fn ncaers_copy_all(to: List, from: List, n: i64) -> *mut c_char;
    fn ncaers_average_all(averages: List, values: List, n: i64, share: f64) -> *mut c_char;
    fn ncaers_zero_gradients(parameters: List, n: i64) -> *mut c_char;
    fn ncaers_take_gradients(originals: List, copies: List, n: i64) -> *mut c_char;
    fn ncaers_deterministic(on: bool) -> *mut c_char;
    fn ncaers_huge_pages() -> *mut c_char;
    fn ncaers_pinned(out: *mut *mut C_tensor, x: *const C_tensor) -> *mut c_char;
}

fn pointers(tensors: &[Tensor]) -> Vec<*const C_tensor> {
    tensors.iter().map(Tensor::as_ptr).collect()
}

/// Forgets the gradients, so that the next backward pass stores instead of adding.
pub(super) fn clear_gradients(parameters: &[Tensor]) -> Result<()> {
    let list = pointers(parameters);
    // SAFETY: the pointers live as long as the tensors that are borrowed here.
    checked(unsafe { ncaers_clear_gradients(list.as_ptr(), list.len() as i64) })
}

/// Scales the gradients so that their common L2 norm is at most `limit`.
pub(super) fn clip_gradients(parameters: &[Tensor], limit: f64) -> Result<()> {
    let list = pointers(parameters);
    // SAFETY: as above.
    checked(unsafe { ncaers_clip_gradients(list.as_ptr(), list.len() as i64, limit) })
}

/// A learning rate.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rate<'a> {
    /// As a number of the host's.
    Number(f64),
    /// As a 0-dim f32 tensor beside the parameters, which a recorded step reads anew every time.
    OnDevice(&'a Tensor),
}

impl Rate<'_> {
    /// The number and the tensor, of which one means nothing.
    fn parts(self) -> (f64, *const C_tensor) {
        match self {
            Rate::Number(rate) => (rate, std::ptr::null()),
            Rate::OnDevice(tensor) => (0.0, tensor.as_ptr()),
        }
    }
}

/// One step of SGD in PyTorch's form: v = momentum v + (g + decay p), p -= rate v.
pub(super) fn sgd(
    parameters: &[Tensor],
    momenta: &[Tensor],
    rate: Rate,
    momentum: f64,
    decay: f64,
    nesterov: bool,
) -> Result<()> {
    let (list, buffers) = (pointers(parameters), pointers(momenta));
    let (rate, on_device) = rate.parts();
    // SAFETY: as above; both lists have the same length (`optimizer` makes them so).
    checked(unsafe {
        let n = list.len() as i64;
        ncaers_sgd(list.as_ptr(), buffers.as_ptr(), n, rate, on_device, momentum, decay, nesterov)
    })
}

/// The running averages of Adam, one tensor per parameter each.
pub(super) struct Moments<'a> {
    pub firsts: &'a [Tensor],
    pub seconds: &'a [Tensor],
    /// Largest second moments so far; `None` without amsgrad.
    pub seconds_max: Option<&'a [Tensor]>,
}

/// One step of Adam, or of AdamW when the decay is `decoupled`; `step` counts from 1.
pub(super) fn adam(
    parameters: &[Tensor],
    moments: &Moments,
    step: &Tensor,
    rate: Rate,
    decay: f64,
    decoupled: bool,
) -> Result<()> {
    let (rate, on_device) = rate.parts();
    let list = pointers(parameters);
    let (m, v) = (pointers(moments.firsts), pointers(moments.seconds));
    let largest = moments.seconds_max.map(pointers);
    let largest_list = largest.as_ref().map_or(std::ptr::null(), |l| l.as_ptr());
    // SAFETY: as above; the list of maxima is only read with amsgrad.
    checked(unsafe {
        ncaers_adam(
            list.as_ptr(),
            m.as_ptr(),
            v.as_ptr(),
            largest_list,
            list.len() as i64,
            step.as_ptr(),
            rate,
            on_device,
            decay,
            largest.is_some(),
            decoupled,
        )
    })
}

/// `to[i] += factor * from[i]` for all at once.
pub(super) fn add_all(to: &[Tensor], from: &[Tensor], factor: f64) -> Result<()> {
    assert_eq!(to.len(), from.len());
    let (to, from) = (pointers(to), pointers(from));
    // SAFETY: as above; the lengths are equal.
    checked(unsafe { ncaers_add_all(to.as_ptr(), from.as_ptr(), to.len() as i64, factor) })
}

/// `to[i] = from[i]`, in the format of `to[i]`, for all at once.
pub(super) fn copy_all(to: &[Tensor], from: &[Tensor]) -> Result<()> {
    assert_eq!(to.len(), from.len());
    let (to, from) = (pointers(to), pointers(from));
    // SAFETY: as above; the lengths are equal.
    checked(unsafe { ncaers_copy_all(to.as_ptr(), from.as_ptr(), to.len() as i64) })
}

/// `averages[i] += share * (values[i] - averages[i])` for all at once.
pub(super) fn average_all(averages: &[Tensor], values: &[Tensor], share: f64) -> Result<()> {
    assert_eq!(averages.len(), values.len());
    let (averages, values) = (pointers(averages), pointers(values));
    let n = averages.len() as i64;
    // SAFETY: as above; the lengths are equal.
    checked(unsafe { ncaers_average_all(averages.as_ptr(), values.as_ptr(), n, share) })
}

/// Gives every parameter a gradient of zeros.
pub(super) fn zero_gradients(parameters: &[Tensor]) -> Result<()> {
    let list = pointers(parameters);
    // SAFETY: as above.
    checked(unsafe { ncaers_zero_gradients(list.as_ptr(), list.len() as i64) })
}

/// Copies the gradients of copies into those of their originals, then forgets the former.
pub(super) fn take_gradients(originals: &[Tensor], copies: &[Tensor]) -> Result<()> {
    assert_eq!(originals.len(), copies.len());
    let (originals, copies) = (pointers(originals), pointers(copies));
    let n = originals.len() as i64;
    // SAFETY: as above; the lengths are equal.
    checked(unsafe { ncaers_take_gradients(originals.as_ptr(), copies.as_ptr(), n) })
}

/// A CPU tensor in memory that CUDA reads by itself.
pub(super) fn pinned(tensor: &Tensor) -> Result<Tensor> {
    let mut out = std::ptr::null_mut();
    // SAFETY: the tensor lives through the call, and `out` is ours on success.
    unsafe {
        checked(ncaers_pinned(&mut out, tensor.as_ptr()))?;
        Ok(Tensor::from_ptr(out))
    }
}

/// Has LibTorch ask the kernel for huge pages in its large tensors on the CPU from now on.
pub(super) fn huge_pages() -> Result<()> {
    // SAFETY: sets LibTorch's allocator, a pointer that other threads read as it is or was; both
    // allocators give memory that either frees.
    checked(unsafe { ncaers_huge_pages() })
}

/// Refuses operations whose result depends on timing.
pub(super) fn set_deterministic(on: bool) -> Result<()> {
    // SAFETY: sets a flag of LibTorch's global context.
    checked(unsafe { ncaers_deterministic(on) })
}
