//! The bindings' functions, found when they are first called.
use std::{
    ffi::{c_char, c_void, CStr, CString},
    io::{self, Write},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    sync::{
        atomic::{AtomicPtr, Ordering},
        OnceLock,
    },
};

use anyhow::{anyhow, bail, Context, Result};

use crate::progress;

/// tch's bindings and ours, linked against LibTorch.
const LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/libncaers_torch.so"));

/// The bindings' functions in the order of their slots.
static NAMES: &[&CStr] = &include!(concat!(env!("OUT_DIR"), "/torch_names.rs"));

/// What the library needs of LibTorch. Opened by the program itself, they are found where the
/// program looks for libraries, wherever it was moved to.
const PARTS: [&CStr; 2] = [c"libc10.so", c"libtorch_cpu.so"];

extern "C" {
    /// The first of [`NAMES`]`.len()` pointers to functions.
    static ncaers_torch_slots: AtomicPtr<c_void>;

    fn tch_write_stream_destructor();
    fn tch_write_stream_write();
    fn tch_read_stream_destructor();
    fn tch_read_stream_stream_position();
    fn tch_read_stream_seek_start();
    fn tch_read_stream_seek_end();
    fn tch_read_stream_read();
}

/// Where tch's functions are that the bindings call back, in the order of `calls.cpp`.
static CALLS: [unsafe extern "C" fn(); 7] = [
    tch_write_stream_destructor,
    tch_write_stream_write,
    tch_read_stream_destructor,
    tch_read_stream_stream_position,
    tch_read_stream_seek_start,
    tch_read_stream_seek_end,
    tch_read_stream_read,
];

/// An open library, for `dlsym`.
struct Handle(*mut c_void);

// SAFETY: the dynamic linker's functions may be called from any thread.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

static OPEN: OnceLock<Result<Handle, String>> = OnceLock::new();

/// The bindings, opened with LibTorch the first time.
///
/// # Errors
/// When a part is missing or of another version.
pub(super) fn handle() -> Result<*mut c_void> {
    let opened = OPEN.get_or_init(|| open().map(Handle).map_err(|e| format!("{e:#}")));
    opened.as_ref().map(|handle| handle.0).map_err(|why| anyhow!("{why}"))
}

fn open() -> Result<*mut c_void> {
    for part in PARTS {
        dlopen(part).with_context(|| {
            format!("cannot open LibTorch's {}; install LibTorch 2.11.0", part.to_string_lossy())
        })?;
    }
    // Where memory cannot be opened like a file, a file it is, gone as soon as it is open.
    let library = from_memory().or_else(|_| from_file());
    let library = library.context("cannot open LibTorch's bindings")?;
    let calls = symbol(library, c"ncaers_torch_calls")?;
    // SAFETY: calls.cpp defines it with this type; the table lives as long as the program.
    unsafe {
        let calls: unsafe extern "C" fn(*const unsafe extern "C" fn()) = std::mem::transmute(calls);
        calls(CALLS.as_ptr());
    }
    Ok(library)
}

/// Opens a library for good; later ones see its symbols.
fn dlopen(name: &CStr) -> Result<*mut c_void> {
    // SAFETY: the name is a C string; the libraries register themselves and are never closed.
    let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_LAZY | libc::RTLD_GLOBAL) };
    if library.is_null() {
        bail!("{}", last_error());
    }
    Ok(library)
}

fn symbol(library: *mut c_void, name: &CStr) -> Result<*mut c_void> {
    // SAFETY: the library is open and the name is a C string.
    let found = unsafe { libc::dlsym(library, name.as_ptr()) };
    if found.is_null() {
        bail!("{}", last_error());
    }
    Ok(found)
}

/// What the dynamic linker complained about last.
fn last_error() -> String {
    // SAFETY: null, or a string that is valid until this thread's next call.
    unsafe {
        let text: *mut c_char = libc::dlerror();
        if text.is_null() {
            return "the dynamic linker gives no reason".into();
        }
        CStr::from_ptr(text).to_string_lossy().into_owned()
    }
}

/// The bindings from a file without a name.
fn from_memory() -> Result<*mut c_void> {
    let file = in_memory(LIBRARY)?;
    dlopen(&CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?)
}

/// The bindings from a temporary file.
fn from_file() -> Result<*mut c_void> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(LIBRARY)?;
    dlopen(&CString::new(file.path().as_os_str().as_bytes())?)
}

/// A file of `bytes` without a name.
fn in_memory(bytes: &[u8]) -> io::Result<std::fs::File> {
    // SAFETY: the name is a C string, and the descriptor is ours when there is one.
    let file = unsafe {
        let file = libc::memfd_create(c"libncaers_torch.so".as_ptr(), libc::MFD_CLOEXEC);
        if file < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(file)
    };
    let mut file = std::fs::File::from(file);
    file.write_all(bytes)?;
    Ok(file)
}

/// Where the function of a slot is; the stubs ask the first time that they are called. Who wants an
/// error instead of the end of the program calls [`super::load`] first.
#[no_mangle]
extern "C" fn ncaers_torch_find(index: usize) -> *mut c_void {
    match handle().and_then(|library| symbol(library, NAMES[index])) {
        Ok(function) => {
            // SAFETY: there are as many slots as names.
            let slot = unsafe { &*(&raw const ncaers_torch_slots).add(index) };
            slot.store(function, Ordering::Release);
            function
        }
        Err(why) => {
            // Nobody can be told in another way: the caller expects an answer of LibTorch.
            progress::message(&format!("error: {why:#}"));
            std::process::exit(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_serves_where_memory_does_not() {
        handle().expect("LibTorch is there");
        let library = from_file().expect("opens");
        assert!(symbol(library, NAMES[0]).is_ok());
        let missing = symbol(library, c"ncaers_no_such_function").expect_err("is missing");
        assert!(missing.to_string().contains("ncaers_no_such_function"), "{missing}");
    }
}
