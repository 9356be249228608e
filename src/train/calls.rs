//! Which operations of LibTorch a step calls, and how many of them launch work on a GPU.
use std::{
    collections::BTreeMap,
    ffi::{c_char, CStr, CString},
};

use anyhow::{Context, Result};

use crate::device::checked;

extern "C" {
    fn ncaers_calls_start(outermost: *const c_char) -> *mut c_char;
    fn ncaers_calls_stop(out: *mut *mut c_char) -> *mut c_char;
}

/// Operations that launch at least one kernel on CUDA, each counted once whatever it calls inside;
/// CUDA runs the `_foreach_` and `_fused_` ones in one or two launches, and the way back of a
/// convolution in two.
const LAUNCHING: &[&str] = &[
    "_cudnn_rnn",
    "_convolution",
    "_batch_norm_with_update",
    "_foreach_add_",
    "_foreach_copy_",
    "_foreach_lerp_",
    "_foreach_mul_",
    "_foreach_norm",
    "_fused_adam_",
    "_fused_adamw_",
    "_fused_sgd_",
    "_log_softmax",
    "_native_batch_norm_legit",
    "_log_softmax_backward_data",
    "_softmax",
    "_softmax_backward_data",
    "adaptive_avg_pool2d",
    "add",
    "add_",
    "addmm",
    "argmax",
    "baddbmm",
    "batch_norm_backward",
    "bernoulli_",
    "bmm",
    "cat",
    "clamp_",
    "clamp_max",
    "clamp_min_",
    "convolution_backward",
    "copy_",
    "cudnn_convolution",
    "div",
    "div_",
    "eq",
    "fill_",
    "index",
    "index_select",
    "linalg_vector_norm",
    "max_pool2d_with_indices",
    "max_pool2d_with_indices_backward",
    "maximum",
    "mean",
    "mkldnn_convolution",
    "mm",
    "mul",
    "mul_",
    "native_batch_norm",
    "native_batch_norm_backward",
    "native_dropout",
    "native_dropout_backward",
    "neg",
    "nll_loss_backward",
    "nll_loss_forward",
    "relu",
    "relu_",
    "sigmoid",
    "sigmoid_backward",
    "sub",
    "sub_",
    "sum",
    "tanh",
    "tanh_backward",
    "threshold_backward",
    "where",
    "zero_",
];

/// Operations that only describe memory, reserve it, or hand on to others.
#[cfg(test)]
const QUIET: &[&str] = &[
    "_batch_norm_impl_index",
    "_reshape_alias",
    "_to_copy",
    "_unsafe_view",
    "alias",
    "as_strided",
    "batch_norm",
    "chunk",
    "clone",
    "contiguous",
    "conv2d",
    "convolution",
    "cross_entropy_loss",
    "detach",
    "dropout",
    "empty",
    "empty_like",
    "empty_strided",
    "cudnn_is_acceptable",
    "expand",
    "expand_as",
    "flatten",
    "is_nonzero",
    "linear",
    "log_softmax",
    "max_pool2d",
    "narrow",
    "new_empty",
    "new_empty_strided",
    "new_zeros",
    "nll_loss",
    "nll_loss_nd",
    "ones_like",
    "permute",
    "reshape",
    "resize_",
    "resolve_conj",
    "resolve_neg",
    "result_type",
    "select",
    "slice",
    "slice_backward",
    "softmax",
    "split",
    "split_with_sizes",
    "squeeze",
    "sum_to_size",
    "t",
    "to",
    "transpose",
    "unbind",
    "unflatten",
    "unsqueeze",
    "unsqueeze_",
    "value_selecting_reduction_backward",
    "view",
    "view_as",
    "zeros",
    "zeros_like",
];

/// Calls of a piece of work by the operation's name; numbers that the CPU wraps into tensors stand
/// under `number:`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls(pub BTreeMap<String, u64>);

impl Calls {
    /// Operations that launch work on a GPU.
    pub fn launching(&self) -> u64 {
        LAUNCHING.iter().filter_map(|name| self.0.get(*name)).sum()
    }

    /// All of them.
    pub fn all(&self) -> u64 {
        self.0.values().sum()
    }

    /// Names that nobody has sorted into launching and others yet.
    #[cfg(test)]
    pub fn unknown(&self) -> Vec<&str> {
        let is_known =
            |name: &str| name.starts_with("number:") || [LAUNCHING, QUIET].concat().contains(&name);
        self.0.keys().map(String::as_str).filter(|name| !is_known(name)).collect()
    }
}

/// Counts what `work` calls on this thread and, on the way back, on the device's.
///
/// # Errors
/// What `work` says; or when calls are being counted already.
pub fn counted<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Calls)> {
    let names = CString::new(LAUNCHING.join(" ")).context("names hold no zero byte")?;
    // SAFETY: the string lives through the call.
    checked(unsafe { ncaers_calls_start(names.as_ptr()) })?;
    let done = work();
    let mut lines = std::ptr::null_mut();
    // SAFETY: on success `lines` is a string of strdup's that is ours to free.
    let text = unsafe {
        checked(ncaers_calls_stop(&mut lines))?;
        let text = CStr::from_ptr(lines).to_string_lossy().into_owned();
        libc::free(lines.cast());
        text
    };
    let line = |line: &str| -> Option<(String, u64)> {
        let (name, count) = line.rsplit_once(' ')?;
        Some((name.to_owned(), count.parse().ok()?))
    };
    Ok((done?, Calls(text.lines().filter_map(line).collect())))
}
