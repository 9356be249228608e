//! Calls into `native.cpp`: the few operations of LibTorch that tch has no binding for.
use std::ffi::c_char;

use anyhow::Result;
use tch::Tensor;
use torch_sys::C_tensor;

use crate::model::checked;

type List = *const *const C_tensor;

extern "C" {
    fn ncaers_clear_gradients(parameters: List, n: i64) -> *mut c_char;
    fn ncaers_clip_gradients(parameters: List, n: i64, limit: f64) -> *mut c_char;
    fn ncaers_sgd(
        parameters: List,
        momenta: List,
        n: i64,
        rate: f64,
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
        decay: f64,
        amsgrad: bool,
        decoupled: bool,
    ) -> *mut c_char;
    fn ncaers_deterministic(on: bool) -> *mut c_char;
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

/// One step of SGD in PyTorch's form: v = momentum v + (g + decay p), p -= rate v.
pub(super) fn sgd(
    parameters: &[Tensor],
    momenta: &[Tensor],
    rate: f64,
    momentum: f64,
    decay: f64,
    nesterov: bool,
) -> Result<()> {
    let (list, buffers) = (pointers(parameters), pointers(momenta));
    // SAFETY: as above; both lists have the same length (`optimizer` makes them so).
    checked(unsafe {
        let n = list.len() as i64;
        ncaers_sgd(list.as_ptr(), buffers.as_ptr(), n, rate, momentum, decay, nesterov)
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
    rate: f64,
    decay: f64,
    decoupled: bool,
) -> Result<()> {
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
            decay,
            largest.is_some(),
            decoupled,
        )
    })
}

/// Bytes that are free on the present CUDA device; `None` where CUDA's run time is not loaded.
pub(super) fn free_device_memory() -> Option<usize> {
    type MemGetInfo = unsafe extern "C" fn(*mut usize, *mut usize) -> i32;
    let (mut free, mut total) = (0, 0);
    // SAFETY: a function of that name has that type in every version of CUDA's run time.
    let failed = unsafe {
        let found = libc::dlsym(libc::RTLD_DEFAULT, c"cudaMemGetInfo".as_ptr());
        let ask: Option<MemGetInfo> = std::mem::transmute(found);
        ask?(&mut free, &mut total)
    };
    (failed == 0).then_some(free)
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

/// Refuses operations whose result depends on timing.
pub(super) fn set_deterministic(on: bool) -> Result<()> {
    // SAFETY: sets a flag of LibTorch's global context.
    checked(unsafe { ncaers_deterministic(on) })
}
