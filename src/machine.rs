//! What this machine has and lacks for the program's work, each absence with what would mend it.
use std::fs;

use serde::Serialize;

use crate::{face::mmod, media::library};

/// How one thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// As it should be.
    Ok,
    /// Absent, and some commands or some speed with it.
    Absent,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MachineCheck {
    /// Its name, such as `FFmpeg`.
    pub what: &'static str,
    /// How it stands.
    pub state: CheckState,
    /// What was found, or what its absence means.
    pub found: String,
    /// What would mend an absence.
    pub fix: Option<String>,
}

impl MachineCheck {
    /// Something that is as it should be.
    pub fn ok(what: &'static str, found: impl Into<String>) -> Self {
        MachineCheck { what, state: CheckState::Ok, found: found.into(), fix: None }
    }

    fn absent(what: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        let fix = Some(fix.into());
        MachineCheck { what, state: CheckState::Absent, found: found.into(), fix }
    }
}

/// Looks at FFmpeg and its H.264 encoder, LibTorch and CUDA, the processor, the memory, the weights of
/// `--detector mmod` and Slurm, in this order. Writes nothing and fails at nothing.
pub fn check_machine() -> Vec<MachineCheck> {
    let mut all = vec![ffmpeg(), h264()];
    all.extend(torch());
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    all.extend([cores(&cpu), bf16(&cpu), available(&memory), weights(), slurm()]);
    all
}

fn ffmpeg() -> MachineCheck {
    let found = library::library();
    let inside = if cfg!(feature = "wheel") { ", inside the program" } else { "" };
    MachineCheck::ok(
        "FFmpeg",
        format!("{} (libavcodec {}), {}{inside}", found.version, found.libavcodec, found.licence),
    )
}

/// What `annotate` writes follows from it.
fn h264() -> MachineCheck {
    if library::has_encoder("libx264") {
        return MachineCheck::ok(
            "H.264 encoder",
            "libx264: `annotate` writes videos that browsers play",
        );
    }
    MachineCheck::absent(
        "H.264 encoder",
        "none: `annotate` writes MPEG-4 videos, which players show and browsers do not",
        "ffmpeg -i annotated.mp4 -c:v libx264 -c:a copy for-browsers.mp4, or a build with an FFmpeg that has libx264",
    )
}

#[cfg(not(feature = "torch"))]
fn torch() -> Vec<MachineCheck> {
    let what = "built without: no training and prediction";
    vec![MachineCheck::absent(
        "LibTorch",
        what,
        "cargo build --release (its default features have it)",
    )]
}

#[cfg(feature = "torch")]
fn torch() -> Vec<MachineCheck> {
    if let Err(why) = crate::libtorch::load() {
        return vec![MachineCheck::absent("LibTorch", format!("{why:#}"), torch_fix())];
    }
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let place = loaded(&maps, "libtorch_cpu.so").unwrap_or("loaded");
    let cuda = match crate::device::ComputeDevice::open("cuda", crate::device::Precision::Fp32) {
        Ok(first) => MachineCheck::ok(
            "CUDA",
            format!("{} devices, the first {first}", tch::Cuda::device_count()),
        ),
        Err(why) => MachineCheck::absent("CUDA", format!("{why:#}"), cuda_fix()),
    };
    vec![MachineCheck::ok("LibTorch", format!("2.11 ({place})")), cuda]
}

/// Where a library of this process lies.
#[cfg(feature = "torch")]
fn loaded<'a>(maps: &'a str, name: &str) -> Option<&'a str> {
    maps.lines().filter_map(|line| line.find('/').map(|at| &line[at..])).find(|p| p.ends_with(name))
}

#[cfg(feature = "torch")]
fn torch_fix() -> &'static str {
    if cfg!(feature = "wheel") {
        "pip install 'torch==2.11.*'"
    } else {
        "./justw build fetches LibTorch 2.11.0"
    }
}

#[cfg(feature = "torch")]
fn cuda_fix() -> &'static str {
    if !crate::device::gpus().is_ok_and(|names| !names.is_empty()) {
        "an NVIDIA GPU with its driver; everything runs on the CPU without"
    } else if cfg!(feature = "wheel") {
        "pip install 'torch==2.11.*' with its dependencies (not --no-deps)"
    } else {
        "./justw build on this machine fetches LibTorch's CUDA part"
    }
}

fn cores(cpu: &str) -> MachineCheck {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    MachineCheck::ok(
        "processor",
        format!("{cores} cores, {}", field(cpu, "model name").unwrap_or("?")),
    )
}

/// Processors with instructions for products of bf16 train in it about twice as fast as in f32.
fn bf16(cpu: &str) -> MachineCheck {
    let flags: Vec<&str> = field(cpu, "flags").unwrap_or_default().split(' ').collect();
    let found = ["amx_bf16", "avx512_bf16"].into_iter().filter(|f| flags.contains(f));
    let found: Vec<_> = found.collect();
    if found.is_empty() {
        return MachineCheck::absent(
            "bf16",
            "the processor has no instructions for it: train.precision = \"bf16\" is slower here",
            "train.precision = \"fp32\"",
        );
    }
    MachineCheck::ok("bf16", found.join(", "))
}

fn available(memory: &str) -> MachineCheck {
    let gib = |name| {
        let kib = field(memory, name)?.split(' ').next()?.parse::<f64>().ok()?;
        Some(format!("{:.1}", kib / (1024.0 * 1024.0)))
    };
    let unknown = || "?".to_owned();
    let [free, all] = ["MemAvailable", "MemTotal"].map(|name| gib(name).unwrap_or_else(unknown));
    MachineCheck::ok("memory", format!("{free} of {all} GiB available"))
}

/// The value of `name: value` in a file of the kernel.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let pair = |line: &'a str| line.split_once(':').map(|(key, value)| (key.trim(), value.trim()));
    text.lines().filter_map(pair).find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn weights() -> MachineCheck {
    match mmod::default_weights() {
        Some(path) if path.is_file() => {
            MachineCheck::ok("mmod weights", path.display().to_string())
        }
        _ => MachineCheck::absent(
            "mmod weights",
            "not fetched: `--detector mmod` is unavailable (the default, seeta, is built in)",
            "ncaers fetch-mmod",
        ),
    }
}

fn slurm() -> MachineCheck {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    match std::env::split_paths(&folders).map(|f| f.join("sbatch")).find(|p| p.is_file()) {
        Some(path) => MachineCheck::ok("Slurm", path.display().to_string()),
        None => MachineCheck::absent(
            "Slurm",
            "no sbatch on PATH: --executor slurm is unavailable",
            "run on a login node of the cluster; other schedulers: `build --shard auto`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_kernels_files_are_found() {
        let text = "processor\t: 0\nmodel name\t: Fast 9000\nflags\t\t: fpu avx512_bf16 amx_bf16\n";
        assert_eq!(field(text, "model name"), Some("Fast 9000"));
        assert_eq!(field(text, "nothing"), None);
        assert_eq!(bf16(text).found, "amx_bf16, avx512_bf16");
        assert_eq!(bf16("flags : fpu sse2").state, CheckState::Absent);
        let memory = "MemTotal:       25165824 kB\nMemAvailable:   12582912 kB\n";
        assert_eq!(available(memory).found, "12.0 of 24.0 GiB available");
    }

    #[test]
    fn every_absence_has_a_fix() {
        for check in check_machine() {
            assert_eq!(check.fix.is_some(), check.state == CheckState::Absent, "{check:?}");
            assert!(!check.found.is_empty() && !check.found.contains('\n'), "{check:?}");
        }
    }
}
