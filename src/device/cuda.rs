//! CUDA without linking it: what the driver says, LibTorch's CUDA part, and the library that
//! records graphs, each opened at run time where it is there.
use std::{
    ffi::{c_char, c_int, c_void, CStr},
    fmt,
    io::Write,
    os::fd::{AsRawFd, FromRawFd},
    sync::OnceLock,
};

use anyhow::{anyhow, ensure, Context, Result};
use tch::Device;

use super::native::checked;

/// CUDA's version as the driver counts it, which LibTorch 2.11's CUDA part was built for.
const NEEDED: i32 = 13_000;

/// What brings LibTorch's CUDA part.
const FETCH: &str = match cfg!(feature = "wheel") {
    true => "PyTorch was installed without CUDA; pip install --force-reinstall 'torch==2.11.*'",
    false => "LIBTORCH_PARTS=cuda ./justw build fetches it",
};

/// What keeps CUDA from being used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The driver's library cannot be opened.
    #[error("no NVIDIA driver ({0})")]
    NoDriver(String),
    /// The driver does not start.
    #[error("the NVIDIA driver does not start ({0})")]
    Broken(String),
    /// The driver is for an older CUDA.
    #[error("the NVIDIA driver is too old: it supports CUDA {}, LibTorch needs {}; update it", version(.0), version(&NEEDED))]
    OldDriver(i32),
    /// No GPU is visible.
    #[error("the NVIDIA driver finds no GPU{0}")]
    NoDevice(String),
    /// A GPU of that number is not there.
    #[error("there is no GPU {number}, the last is {}", .count - 1)]
    NoSuchDevice {
        /// The number that was asked for.
        number: usize,
        /// GPUs that are visible.
        count: usize,
    },
    /// LibTorch's CUDA part cannot be opened.
    #[error("LibTorch's CUDA part cannot be opened ({0}); {fetch}", fetch = FETCH)]
    NoLibrary(String),
    /// LibTorch does not see what the driver sees.
    #[error("LibTorch finds {0} usable GPUs")]
    Unusable(i64),
}

/// `13.0` of 13000.
fn version(number: &i32) -> String {
    format!("{}.{}", number / 1000, number % 1000 / 10)
}

/// Why CUDA is not used: one problem, or all that were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoCuda(pub Vec<Problem>);

impl NoCuda {
    /// Whether there is something to mend: a driver is there, and not only a machine without a GPU.
    pub fn is_a_fault(&self) -> bool {
        !self.0.iter().any(|problem| matches!(problem, Problem::NoDriver(_) | Problem::NoDevice(_)))
    }
}

impl fmt::Display for NoCuda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.0.iter().map(Problem::to_string).collect();
        f.write_str(&all.join("; "))
    }
}

/// The GPUs that the driver shows this process, by name.
///
/// # Errors
/// What is wrong with the driver.
pub fn gpus() -> Result<Vec<String>, Problem> {
    let library = open(c"libcuda.so.1", libc::RTLD_NOW).map_err(Problem::NoDriver)?;
    let functions = Driver::of(library).ok_or_else(|| {
        Problem::Broken("libcuda.so.1 lacks a function that every driver has".into())
    })?;
    functions.gpus()
}

/// Opens a library for good.
fn open(name: &CStr, mode: c_int) -> Result<*mut c_void, String> {
    // SAFETY: the name is a C string; a library is never closed again.
    let library = unsafe { libc::dlopen(name.as_ptr(), mode) };
    match library.is_null() {
        false => Ok(library),
        // SAFETY: dlerror returns null or a string that lives until the next call on this thread.
        true => Err(unsafe {
            let text = libc::dlerror();
            match text.is_null() {
                true => "no reason given".to_owned(),
                false => CStr::from_ptr(text).to_string_lossy().into_owned(),
            }
        }),
    }
}

/// A function of a library, or `None` where it has none of that name.
///
/// # Safety
/// `F` is the type of the function.
unsafe fn function<F: Copy>(library: *mut c_void, name: &CStr) -> Option<F> {
    // SAFETY: a library that is open, and a text with its end.
    let place = unsafe { libc::dlsym(library, name.as_ptr()) };
    // SAFETY: a pointer to a function is as large as one to data; the type is the caller's promise.
    (!place.is_null()).then(|| unsafe { std::mem::transmute_copy::<*mut c_void, F>(&place) })
}

/// The functions of CUDA's driver that are asked, with the types that they have in every version.
struct Driver {
    init: unsafe extern "C" fn(u32) -> c_int,
    version: unsafe extern "C" fn(*mut c_int) -> c_int,
    count: unsafe extern "C" fn(*mut c_int) -> c_int,
    get: unsafe extern "C" fn(*mut c_int, c_int) -> c_int,
    name: unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int,
    error: unsafe extern "C" fn(c_int, *mut *const c_char) -> c_int,
}

/// CUDA's number for "no device".
const NO_DEVICE: c_int = 100;

impl Driver {
    fn of(library: *mut c_void) -> Option<Self> {
        // SAFETY: functions of these names have these types.
        unsafe {
            Some(Driver {
                init: function(library, c"cuInit")?,
                version: function(library, c"cuDriverGetVersion")?,
                count: function(library, c"cuDeviceGetCount")?,
                get: function(library, c"cuDeviceGet")?,
                name: function(library, c"cuDeviceGetName")?,
                error: function(library, c"cuGetErrorString")?,
            })
        }
    }

    fn gpus(&self) -> Result<Vec<String>, Problem> {
        let no_device = || {
            let visible = std::env::var("CUDA_VISIBLE_DEVICES");
            Problem::NoDevice(match visible {
                Ok(list) => format!(" (CUDA_VISIBLE_DEVICES={list})"),
                Err(_) => String::new(),
            })
        };
        let mut version = 0;
        // SAFETY: the driver's own functions, with room for what they write; the version is known
        // before the driver is started.
        unsafe {
            self.good((self.version)(&mut version))?;
            if version / 1000 < NEEDED / 1000 {
                return Err(Problem::OldDriver(version));
            }
            match (self.init)(0) {
                NO_DEVICE => return Err(no_device()),
                code => self.good(code)?,
            }
            let mut count = 0;
            match (self.count)(&mut count) {
                NO_DEVICE => return Err(no_device()),
                code => self.good(code)?,
            }
            if count < 1 {
                return Err(no_device());
            }
            (0..count).map(|number| self.name_of(number)).collect()
        }
    }

    /// # Safety
    /// After the driver was started.
    unsafe fn name_of(&self, number: c_int) -> Result<String, Problem> {
        let (mut device, mut name) = (0, [0 as c_char; 256]);
        // SAFETY: the driver was started, and writes one number.
        self.good(unsafe { (self.get)(&mut device, number) })?;
        // SAFETY: as above; it writes a text with its end into at most as many bytes as it is told.
        let code = unsafe { (self.name)(name.as_mut_ptr(), name.len() as c_int - 1, device) };
        self.good(code)?;
        // SAFETY: the last byte is zero, whatever was written before it.
        Ok(unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned())
    }

    fn good(&self, code: c_int) -> Result<(), Problem> {
        if code == 0 {
            return Ok(());
        }
        let mut text = std::ptr::null();
        // SAFETY: the driver writes a pointer to a constant string, or leaves null.
        let text = unsafe {
            (self.error)(code, &mut text);
            match text.is_null() {
                true => "unknown".into(),
                false => CStr::from_ptr(text).to_string_lossy(),
            }
        };
        Err(Problem::Broken(format!("CUDA error {code}: {text}")))
    }
}

/// Opens LibTorch's CUDA part; it registers itself.
///
/// # Errors
/// When it is not there, or a library that it needs.
pub(super) fn open_libtorch() -> Result<(), Problem> {
    let mode = libc::RTLD_NOW | libc::RTLD_GLOBAL;
    open(c"libtorch_cuda.so", mode).map(drop).map_err(Problem::NoLibrary)
}

/// Bytes that are free on a GPU; `None` where CUDA's run time does not say.
pub(crate) fn free_memory(device: Device) -> Option<usize> {
    let Device::Cuda(number) = device else { return None };
    let number = c_int::try_from(number).ok()?;
    let (mut before, mut free, mut total) = (0, 0usize, 0usize);
    // SAFETY: functions of these names have these types in every version of CUDA's run time; the
    // present device is set back.
    let failed = unsafe {
        type Get = unsafe extern "C" fn(*mut c_int) -> c_int;
        type Set = unsafe extern "C" fn(c_int) -> c_int;
        type Info = unsafe extern "C" fn(*mut usize, *mut usize) -> c_int;
        let get: Get = function(libc::RTLD_DEFAULT, c"cudaGetDevice")?;
        let set: Set = function(libc::RTLD_DEFAULT, c"cudaSetDevice")?;
        let info: Info = function(libc::RTLD_DEFAULT, c"cudaMemGetInfo")?;
        if get(&mut before) != 0 || set(number) != 0 {
            return None;
        }
        let failed = info(&mut free, &mut total);
        set(before);
        failed
    };
    (failed == 0).then_some(free)
}

/// The library that records graphs, as the program carries it; empty where it was built without
/// CUDA's headers.
static RECORDER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/libncaers_graph.so"));

type Message = *mut c_char;

/// The functions of `graph.cpp`.
struct Shim {
    stream: unsafe extern "C" fn(c_int) -> Message,
    begin: unsafe extern "C" fn(*mut *mut c_void) -> Message,
    end: unsafe extern "C" fn(*mut c_void) -> Message,
    replay: unsafe extern "C" fn(*mut c_void) -> Message,
    free: unsafe extern "C" fn(*mut c_void) -> Message,
}

impl Shim {
    /// Opens it once; LibTorch's CUDA part comes first, since its symbols are found there.
    fn get() -> Result<&'static Shim> {
        static SHIM: OnceLock<Result<Shim, String>> = OnceLock::new();
        let shim = SHIM.get_or_init(|| Shim::open().map_err(|error| format!("{error:#}")));
        shim.as_ref().map_err(|reason| anyhow!("{reason}"))
    }

    fn open() -> Result<Shim> {
        ensure!(!RECORDER.is_empty(), "this program was built without CUDA's headers");
        // SAFETY: the name is a C string; the descriptor is a new one and ours.
        let mut file = unsafe {
            let descriptor = libc::memfd_create(c"ncaers-graph".as_ptr(), libc::MFD_CLOEXEC);
            ensure!(descriptor >= 0, "no memory file: {}", std::io::Error::last_os_error());
            std::fs::File::from_raw_fd(descriptor)
        };
        file.write_all(RECORDER).context("cannot write a memory file")?;
        let path = std::ffi::CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        let library = open(&path, libc::RTLD_NOW | libc::RTLD_LOCAL).map_err(|e| anyhow!("{e}"))?;
        let lacking = "the library that records graphs lacks a function";
        // SAFETY: the functions are ours and have these types.
        unsafe {
            let shim = || {
                Some(Shim {
                    stream: function(library, c"ncaers_cuda_stream")?,
                    begin: function(library, c"ncaers_graph_begin")?,
                    end: function(library, c"ncaers_graph_end")?,
                    replay: function(library, c"ncaers_graph_replay")?,
                    free: function(library, c"ncaers_graph_free")?,
                })
            };
            shim().context(lacking)
        }
    }
}

/// Gives this thread a stream of its own on a GPU, without which nothing can be recorded. To be
/// called before the first tensor is made there.
///
/// # Errors
/// When the library that records graphs does not open, or CUDA refuses.
pub(super) fn own_stream(number: usize) -> Result<()> {
    let shim = Shim::get()?;
    // SAFETY: the function takes any number and says what is wrong with it.
    checked(unsafe { (shim.stream)(c_int::try_from(number)?) })
}

/// What was launched between two calls, to be launched again as one.
#[derive(Debug)]
pub(crate) struct Graph(*mut c_void);

impl Graph {
    /// Records what `step` launches on this thread's stream; nothing of it runs.
    ///
    /// # Errors
    /// What `step` or CUDA says; nothing is recorded then.
    pub fn record(step: &mut dyn FnMut() -> Result<()>) -> Result<Self> {
        let shim = Shim::get()?;
        let mut graph = std::ptr::null_mut();
        // SAFETY: `graph` is ours on success.
        checked(unsafe { (shim.begin)(&mut graph) })?;
        let graph = Graph(graph);
        let stepped = step();
        // SAFETY: the graph is the one that was begun; ended even where the step failed.
        let ended = checked(unsafe { (shim.end)(graph.0) });
        stepped?;
        ended?;
        Ok(graph)
    }

    /// Queues what was recorded.
    ///
    /// # Errors
    /// What CUDA says.
    pub fn replay(&self) -> Result<()> {
        let shim = Shim::get()?;
        // SAFETY: the graph was recorded and lives.
        checked(unsafe { (shim.replay)(self.0) })
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        if let Ok(shim) = Shim::get() {
            // SAFETY: the graph is ours, and this is its end. What CUDA says then helps nobody.
            let _ = checked(unsafe { (shim.free)(self.0) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_told_in_one_line() {
        let none = Problem::NoDriver("libcuda.so.1: cannot open shared object file".into());
        let both = NoCuda(vec![none, Problem::NoLibrary("libtorch_cuda.so: no".into())]);
        assert_eq!(
            both.to_string(),
            "no NVIDIA driver (libcuda.so.1: cannot open shared object file); LibTorch's CUDA part \
             cannot be opened (libtorch_cuda.so: no); LIBTORCH_PARTS=cuda ./justw build fetches it"
        );
        assert!(!both.is_a_fault(), "a machine without a GPU has nothing to mend");
        assert!(NoCuda(vec![Problem::NoLibrary("libtorch_cuda.so: no".into())]).is_a_fault());
        let old = Problem::OldDriver(12_040).to_string();
        assert!(old.contains("supports CUDA 12.4, LibTorch needs 13.0"), "{old}");
        let far = Problem::NoSuchDevice { number: 9, count: 2 }.to_string();
        assert_eq!(far, "there is no GPU 9, the last is 1");
    }

    #[test]
    fn a_library_that_is_not_there_says_so() {
        let error = open(c"libncaers_nowhere.so", libc::RTLD_NOW).expect_err("not there");
        assert!(error.contains("libncaers_nowhere.so"), "{error}");
    }

    #[test]
    fn recording_is_refused_with_a_reason_where_there_is_no_device() {
        if gpus().is_ok() {
            return;
        }
        let mut ran = false;
        let error = Graph::record(&mut || {
            ran = true;
            Ok(())
        })
        .expect_err("no device")
        .to_string();
        assert!(!ran && !error.is_empty(), "{error}");
        assert!(own_stream(0).is_err());
    }
}
