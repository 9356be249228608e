//! The device that a command computes on and its arithmetic: one place decides for every command.
use std::{ffi::c_char, fmt};

use anyhow::{bail, Context, Result};
use tch::Device;

use super::{
    cuda::{self, NoCuda, Problem},
    native::checked,
    precision::Precision,
};
use crate::libtorch;

extern "C" {
    fn ncaers_allow_tf32(convolutions: bool, products: bool) -> *mut c_char;
    fn ncaers_tf32_allowed(convolutions: *mut bool, products: *mut bool) -> *mut c_char;
}

/// A device that is ready to compute on.
#[derive(Clone, Debug, PartialEq)]
pub struct ComputeDevice {
    device: Device,
    name: String,
    precision: Precision,
    why_not_cuda: Option<NoCuda>,
}

impl ComputeDevice {
    /// Opens the device that a name means (`cpu`, `cuda`, `cuda:N`, or `auto`, which is CUDA where
    /// it works) and sets the arithmetic of this whole process.
    ///
    /// # Errors
    /// When CUDA is asked for and cannot be used, with what is wrong; or the name is unknown.
    pub fn open(name: &str, precision: Precision) -> Result<Self> {
        let asked = Asked::of(name)?;
        libtorch::load()?;
        let found = match asked {
            Asked::Cpu => None,
            Asked::Auto => Some(find(0, false)),
            Asked::Cuda(number) => Some(find(number, true)),
        };
        allow_tf32(precision)?;
        let cpu = |why_not_cuda| ComputeDevice {
            device: Device::Cpu,
            name: processor(),
            precision,
            why_not_cuda,
        };
        match (found, asked) {
            (Some(Ok(name)), _) => {
                let number = if let Asked::Cuda(number) = asked { number } else { 0 };
                let device = Device::Cuda(number);
                Ok(ComputeDevice { device, name, precision, why_not_cuda: None })
            }
            (None, _) => Ok(cpu(None)),
            (Some(Err(why)), Asked::Auto) => Ok(cpu(Some(why))),
            (Some(Err(why)), _) => {
                bail!("device `{name}` is not usable here: {why}; cpu always is")
            }
        }
    }

    /// The device as LibTorch knows it.
    pub fn device(&self) -> Device {
        self.device
    }

    /// The number format that was asked for.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// What `auto` found wrong with CUDA when it chose the CPU.
    pub fn why_not_cuda(&self) -> Option<&NoCuda> {
        self.why_not_cuda.as_ref()
    }

    /// What to tell whoever has a GPU that `auto` could not use; `None` where none is there.
    pub fn warning(&self) -> Option<String> {
        let why = self.why_not_cuda.as_ref().filter(|why| why.is_a_fault())?;
        Some(format!("warning: the GPU is not used: {why}"))
    }

    /// What results are recorded with: `cpu`, whose answers differ little between processors, or
    /// the name of the GPU, whichever number it has.
    pub fn kind(&self) -> &str {
        match self.device {
            Device::Cpu => "cpu",
            _ => &self.name,
        }
    }

    /// `cpu` or `cuda:0`.
    pub fn short(&self) -> String {
        device_name(self.device)
    }
}

impl fmt::Display for ComputeDevice {
    /// `cuda:0 (NVIDIA H100 80GB HBM3)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", device_name(self.device), self.name)
    }
}

/// What a name asks for.
#[derive(Clone, Copy)]
enum Asked {
    Auto,
    Cpu,
    Cuda(usize),
}

impl Asked {
    fn of(name: &str) -> Result<Self> {
        Ok(match name {
            "cpu" => Asked::Cpu,
            "auto" => Asked::Auto,
            "cuda" => Asked::Cuda(0),
            _ => {
                let number = name.strip_prefix("cuda:").and_then(|n| n.parse().ok());
                Asked::Cuda(number.with_context(|| {
                    format!("device `{name}` must be auto, cpu, cuda or cuda:N")
                })?)
            }
        })
    }
}

/// Makes a GPU ready; its name. With `thoroughly` everything that is wrong is found, not the first
/// thing only.
fn find(number: usize, thoroughly: bool) -> Result<String, NoCuda> {
    let mut problems = Vec::new();
    let mut name = String::new();
    match cuda::gpus() {
        Ok(gpus) => match gpus.get(number) {
            Some(found) => name.clone_from(found),
            None => problems.push(Problem::NoSuchDevice { number, count: gpus.len() }),
        },
        Err(problem) => problems.push(problem),
    }
    if problems.is_empty() || thoroughly {
        problems.extend(cuda::open_libtorch().err());
    }
    if problems.is_empty() {
        let usable = if tch::Cuda::is_available() { tch::Cuda::device_count() } else { 0 };
        if i64::try_from(number).is_ok_and(|number| number < usable) {
            // Before the first tensor. Where it fails, steps are not recorded, which is told then.
            let _ = cuda::own_stream(number);
            return Ok(name);
        }
        problems.push(Problem::Unusable(usable));
    }
    Err(NoCuda(problems))
}

/// The processor's model as Linux tells it.
pub fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name"));
    let name = line.and_then(|line| line.split_once(':')).map(|(_, name)| name.trim());
    name.filter(|name| !name.is_empty()).unwrap_or(std::env::consts::ARCH).to_owned()
}

/// `cpu` or `cuda:N`.
pub fn device_name(device: Device) -> String {
    match device {
        Device::Cuda(number) => format!("cuda:{number}"),
        _ => "cpu".to_owned(),
    }
}

/// Sets how exactly CUDA multiplies f32 in this whole process. Matrix products are IEEE's always,
/// convolutions where the precision asks for it: LibTorch's own default, and PyTorch's, lets them
/// round to ten bits of fraction.
fn allow_tf32(precision: Precision) -> Result<()> {
    // SAFETY: sets flags of LibTorch's global context.
    checked(unsafe { ncaers_allow_tf32(precision.allows_tf32(), false) })
}

/// Runs `work` in IEEE single precision; what was set before holds again behind it, whatever came
/// of the work.
///
/// # Errors
/// What `work` says.
pub(crate) fn exactly<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let (mut convolutions, mut products) = (false, false);
    // SAFETY: the calls read and set flags of LibTorch's global context.
    unsafe {
        checked(ncaers_tf32_allowed(&mut convolutions, &mut products))?;
        checked(ncaers_allow_tf32(false, false))?;
        let done = work();
        checked(ncaers_allow_tf32(convolutions, products))?;
        done
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use super::*;

    /// The arithmetic is the whole process's: one test at a time.
    fn alone() -> MutexGuard<'static, ()> {
        static ONE: Mutex<()> = Mutex::new(());
        ONE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[test]
    fn devices_are_known_by_name_and_the_others_are_refused() {
        let _alone = alone();
        let open = |name: &str| ComputeDevice::open(name, Precision::Fp32);
        let cpu = open("cpu").expect("always there");
        assert_eq!((cpu.device(), cpu.kind()), (Device::Cpu, "cpu"));
        assert!(cpu.to_string().starts_with("cpu (") && cpu.why_not_cuda().is_none(), "{cpu}");
        let auto = open("auto").expect("always something");
        assert_eq!(auto.device() == Device::Cpu, auto.why_not_cuda().is_some());
        for odd in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "CUDA"] {
            let error = open(odd).expect_err("unknown").to_string();
            assert_eq!(error, format!("device `{odd}` must be auto, cpu, cuda or cuda:N"));
        }
        let far = open("cuda:18446744073709551615").expect_err("no machine has so many");
        assert!(far.to_string().contains("is not usable here: "), "{far}");
        assert_eq!(device_name(Device::Cuda(3)), "cuda:3");
        assert_eq!(device_name(Device::Cpu), "cpu");
    }

    #[test]
    fn a_gpu_is_recorded_by_its_name_whichever_number_it_has() {
        let gpu = |number| ComputeDevice {
            device: Device::Cuda(number),
            name: "NVIDIA H100".into(),
            precision: Precision::Tf32,
            why_not_cuda: None,
        };
        assert_eq!(gpu(1).to_string(), "cuda:1 (NVIDIA H100)");
        assert_eq!(gpu(1).kind(), gpu(0).kind());
    }

    #[test]
    fn exact_work_leaves_the_arithmetic_as_it_was() {
        let _alone = alone();
        let allowed = || {
            let (mut convolutions, mut products) = (false, false);
            // SAFETY: reads two flags.
            checked(unsafe { ncaers_tf32_allowed(&mut convolutions, &mut products) })
                .expect("flags");
            (convolutions, products)
        };
        for precision in [Precision::Tf32, Precision::Fp32] {
            allow_tf32(precision).expect("sets");
            assert_eq!(allowed(), (precision.allows_tf32(), false));
            assert_eq!(exactly(|| Ok(allowed())).expect("runs"), (false, false));
            assert!(exactly(|| -> Result<()> { bail!("no") }).is_err());
            assert_eq!(allowed(), (precision.allows_tf32(), false));
        }
    }
}
