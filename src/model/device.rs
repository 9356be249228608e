//! Where tensors live and how exactly a device counts.
use std::ffi::{c_char, CStr};

use anyhow::{bail, ensure, Context, Result};
use tch::Device;

use crate::libtorch;

extern "C" {
    fn ncaers_allow_tf32(on: bool) -> *mut c_char;
}

/// The device that a name means: `cpu`, `cuda`, `cuda:N`, or `auto`, which is CUDA where it works.
///
/// # Errors
/// When CUDA is asked for and not there, or the name is unknown.
pub fn device(name: &str) -> Result<Device> {
    if name == "cpu" {
        return Ok(Device::Cpu);
    }
    let number = match name {
        "auto" | "cuda" => Some(0),
        _ => name.strip_prefix("cuda:").and_then(|n| n.parse::<usize>().ok()),
    };
    let number =
        number.with_context(|| format!("device `{name}` must be auto, cpu, cuda or cuda:N"))?;
    libtorch::load()?;
    open_cuda();
    let found = if tch::Cuda::is_available() { tch::Cuda::device_count() } else { 0 };
    let is_there = i64::try_from(number).is_ok_and(|number| number < found);
    ensure!(
        is_there || name == "auto",
        "device `{name}` is not usable here ({found} CUDA devices found); cpu always is"
    );
    Ok(if is_there { Device::Cuda(number) } else { Device::Cpu })
}

/// Opens LibTorch's CUDA part where it is installed; without it the program runs on the CPU.
fn open_cuda() {
    // SAFETY: the name is a C string; the library registers itself and is never closed.
    unsafe {
        libc::dlopen(c"libtorch_cuda.so".as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL);
    }
}

/// `cpu` or `cuda:N`.
pub fn device_name(device: Device) -> String {
    match device {
        Device::Cuda(number) => format!("cuda:{number}"),
        _ => "cpu".to_owned(),
    }
}

/// Allows or forbids CUDA's products of f32 with ten bits of fraction, in this whole process.
/// LibTorch's own default allows them in convolutions.
///
/// # Errors
/// When LibTorch refuses.
pub fn allow_tf32(on: bool) -> Result<()> {
    // SAFETY: sets a flag of LibTorch's global context.
    checked(unsafe { ncaers_allow_tf32(on) })
}

/// Turns the answer of a native call into a result, taking over the string.
pub(crate) fn checked(message: *mut c_char) -> Result<()> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: native functions return null or a string from strdup that is ours to free.
    let text = unsafe {
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        libc::free(message.cast());
        text
    };
    bail!("{}", text.lines().next().unwrap_or("LibTorch failed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_known_by_name_and_the_others_are_refused() {
        assert_eq!(device("cpu").expect("always there"), Device::Cpu);
        assert!(device("auto").is_ok());
        for odd in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "CUDA"] {
            let error = device(odd).expect_err("unknown").to_string();
            assert_eq!(error, format!("device `{odd}` must be auto, cpu, cuda or cuda:N"));
        }
        let far = device("cuda:18446744073709551615").expect_err("no machine has so many");
        assert!(far.to_string().contains("is not usable here"), "{far}");
        assert_eq!(device_name(Device::Cuda(3)), "cuda:3");
        assert_eq!(device_name(Device::Cpu), "cpu");
    }

    #[test]
    fn what_a_native_call_says_is_the_error() {
        assert!(checked(std::ptr::null_mut()).is_ok());
        // SAFETY: strdup's string is what `checked` takes over.
        let message = unsafe { libc::strdup(c"first line\nsecond".as_ptr()) };
        assert_eq!(checked(message).expect_err("says so").to_string(), "first line");
        assert!(allow_tf32(false).is_ok());
    }
}
