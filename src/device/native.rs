//! What the C++ parts of this program answer.
use std::ffi::{c_char, CStr};

use anyhow::{bail, Result};

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
    fn what_a_native_call_says_is_the_error() {
        assert!(checked(std::ptr::null_mut()).is_ok());
        // SAFETY: strdup's string is what `checked` takes over.
        let message = unsafe { libc::strdup(c"first line\nsecond".as_ptr()) };
        assert_eq!(checked(message).expect_err("says so").to_string(), "first line");
    }
}
