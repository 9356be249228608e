//! What FFmpeg says of a file that it does not return: demuxers end where a file breaks off as if it
//! ended there, and only their messages tell.
use std::{
    cell::{Cell, RefCell},
    ffi::{c_char, c_int, c_void, CStr},
    sync::Once,
};

use ffmpeg_next::{ffi, Error};

/// Beginnings of messages that speak of a part that is missing, and what we say of them.
const MISSING: [(&str, &str); 4] = [
    ("File ended prematurely", "the file ended prematurely"),
    ("stream %d, offset 0x%\0: partial file", "partial file"),
    ("Truncating packet of size", "a packet was truncated"),
    ("PES packet size mismatch", "the size of a stream's packet is wrong"),
];

/// Beginnings of errors that tell nothing of a picture.
const HARMLESS: [&str; 3] =
    ["unable to decode APP fields", "mmco: unref short failure", "co located POCs unavailable"];

thread_local! {
    static ERRORS: Cell<u64> = const { Cell::new(0) };
    static HEARD: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
}

/// Nothing of FFmpeg's own goes to stderr from now on; what speaks of missing parts is kept for the
/// thread that it is said on.
pub(super) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        type Callback = unsafe extern "C" fn(*mut c_void, c_int, *const c_char, *mut c_void);
        // SAFETY: the last argument is a C argument list, a pointer on every platform that FFmpeg
        // runs on; it is not looked at. The callback is plain code that never unwinds.
        unsafe {
            #[allow(clippy::missing_transmute_annotations, reason = "the type differs by platform")]
            let callback = std::mem::transmute::<Option<Callback>, _>(Some(hear as Callback));
            ffi::av_log_set_callback(callback);
        }
    });
    HEARD.with_borrow_mut(Vec::clear);
}

/// How many errors were logged on this thread so far, harmless ones not counted.
pub(super) fn errors() -> u64 {
    ERRORS.get()
}

/// What was heard since, each once.
pub(super) fn heard() -> Vec<&'static str> {
    HEARD.with_borrow(Vec::clone)
}

unsafe extern "C" fn hear(_: *mut c_void, level: c_int, format: *const c_char, _: *mut c_void) {
    if level > ffi::AV_LOG_WARNING || format.is_null() {
        return;
    }
    // SAFETY: FFmpeg's formats are strings of the program.
    let format = unsafe { CStr::from_ptr(format) }.to_bytes();
    if level <= ffi::AV_LOG_ERROR && !HARMLESS.iter().any(|h| format.starts_with(h.as_bytes())) {
        // A message during the thread's end is lost.
        let _ = ERRORS.try_with(|errors| errors.set(errors.get() + 1));
    }
    let Some(words) = missing(format) else { return };
    let _ = HEARD.try_with(|heard| {
        if let Ok(mut heard) = heard.try_borrow_mut() {
            if !heard.contains(&words) {
                heard.push(words);
            }
        }
    });
}

/// What a format of a message says of missing parts; numbers in it are printed differently from
/// platform to platform and may be anything.
fn missing(format: &[u8]) -> Option<&'static str> {
    let known = |(pattern, words): &(&str, &'static str)| {
        let mut rest = format;
        for (at, part) in pattern.split('\0').enumerate() {
            let found = rest.windows(part.len()).position(|window| window == part.as_bytes());
            match found {
                Some(place) if place == 0 || at > 0 => rest = &rest[place + part.len()..],
                _ => return None,
            }
        }
        Some(*words)
    };
    MISSING.iter().find_map(known)
}

/// FFmpeg's own words for an error.
pub(super) fn words(error: Error) -> String {
    if let Error::Other { errno } = error {
        return std::io::Error::from_raw_os_error(errno).to_string();
    }
    let mut text = [0 as c_char; ffi::AV_ERROR_MAX_STRING_SIZE];
    // SAFETY: the buffer has the length that is said, and ends in a zero whatever happens.
    let text = unsafe {
        ffi::av_strerror(error.into(), text.as_mut_ptr(), text.len());
        CStr::from_ptr(text.as_ptr())
    };
    text.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_missing_parts_are_known_by_their_beginnings() {
        let known = |format: &str| missing(format.as_bytes());
        assert_eq!(
            known("File ended prematurely at pos. %lu\n"),
            Some("the file ended prematurely")
        );
        assert_eq!(known("stream %d, offset 0x%lx: partial file\n"), Some("partial file"));
        assert_eq!(known("stream %d, offset 0x%llx: partial file"), Some("partial file"));
        for other in ["", "stream %d, offset", "Invalid data", "no File ended prematurely"] {
            assert_eq!(known(other), None, "{other}");
        }
    }

    #[test]
    fn every_error_has_words() {
        assert_eq!(words(Error::InvalidData), "Invalid data found when processing input");
        assert!(words(Error::Other { errno: libc::ENOENT }).contains("No such file"));
        assert!(!words(Error::DecoderNotFound).is_empty());
    }
}
