//! Commands on machines whose GPU cannot be used, and how they say so: a stand-in for NVIDIA's
//! driver, compiled here, plays each of them.
#![cfg(feature = "torch")]

use std::{path::Path, process::Command as System};

use crate::common::ncaers;

/// A driver of a version that answers `cuInit` with a code and shows a number of GPUs.
fn driver(folder: &Path, version: u32, init: u32, gpus: u32) {
    let source = format!(
        r#"
#include <stdio.h>
#include <stdlib.h>
static char said[256];
int cuInit(unsigned flags) {{ return {init}; }}
int cuDriverGetVersion(int *version) {{ *version = {version}; return 0; }}
int cuDeviceGetCount(int *count) {{ *count = {gpus}; return 0; }}
int cuDeviceGet(int *device, int number) {{ *device = number; return 0; }}
int cuDeviceGetName(char *name, int length, int device) {{
  const char *text = "Stand-in 9000";
  for (int i = 0; i < length; ++i) if (!(name[i] = text[i])) break;
  return 0;
}}
int cuGetErrorString(int code, const char **text) {{
  const char *workspace = getenv("CUBLAS_WORKSPACE_CONFIG");
  snprintf(said, sizeof said, "forward compatibility was tried, workspace %s", workspace ? workspace : "unset");
  *text = said;
  return 0;
}}
"#
    );
    let file = folder.join("driver.c");
    std::fs::write(&file, source).unwrap();
    let library = folder.join("libcuda.so.1");
    let mut compiler = System::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&file);
    assert!(compiler.status().unwrap().success());
}

/// What a step of training on `device` says where that driver is.
fn said(driver: &Path, device: &str) -> (bool, String) {
    told(driver, &["--device", device])
}

/// The same with these words.
fn told(driver: &Path, more: &[&str]) -> (bool, String) {
    let words = ["bench", "train", "--batch", "2", "--steps", "1", "--threads", "1"];
    let small = ["--set", "model.widths=[4, 4, 4, 4, 8]"];
    let mut command = ncaers();
    command.args(words).args(small).args(more).env("LD_LIBRARY_PATH", driver);
    command.env_remove("CUDA_VISIBLE_DEVICES").env_remove("CUBLAS_WORKSPACE_CONFIG");
    let out = command.output().unwrap();
    let text = [&out.stdout[..], &out.stderr].map(String::from_utf8_lossy).concat();
    (out.status.success(), text)
}

/// The machine's own driver, if it has one, would be asked instead.
fn has_gpu() -> bool {
    Path::new("/proc/driver/nvidia/version").exists()
}

#[test]
fn what_keeps_cuda_from_being_used_is_said() {
    if has_gpu() {
        return;
    }
    let none = tempfile::tempdir().unwrap();
    let (ok, text) = said(none.path(), "cuda");
    assert!(!ok && text.contains("device `cuda` is not usable here"), "{text}");
    assert!(text.contains("no NVIDIA driver (libcuda.so.1"), "{text}");
    assert!(text.trim().lines().count() == 1, "{text}");
    let cases = [
        (12_040, 0, 1, "too old: it supports CUDA 12.4, LibTorch needs 13.0"),
        (13_000, 100, 0, "the NVIDIA driver finds no GPU"),
        (13_000, 0, 0, "the NVIDIA driver finds no GPU"),
        (13_000, 804, 1, "CUDA error 804: forward compatibility was tried"),
        (13_000, 0, 1, "LibTorch"),
    ];
    for (version, init, gpus, wanted) in cases {
        let folder = tempfile::tempdir().unwrap();
        driver(folder.path(), version, init, gpus);
        let (ok, text) = said(folder.path(), "cuda");
        assert!(!ok && text.contains(wanted), "{wanted}: {text}");
        // Nobody who says nothing is refused; the line names the processor.
        let (ok, text) = said(folder.path(), "auto");
        assert!(ok && text.contains("cpu ("), "{text}");
    }
    let folder = tempfile::tempdir().unwrap();
    driver(folder.path(), 13_000, 0, 2);
    let (_, text) = said(folder.path(), "cuda:5");
    assert!(text.contains("there is no GPU 5, the last is 1"), "{text}");
}

#[test]
fn a_run_that_must_repeat_on_a_gpu_starts_with_what_cuda_reads() {
    if has_gpu() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    driver(folder.path(), 13_000, 804, 1);
    let repeats = ["--set", "train.deterministic=true"];
    let (ok, text) = told(folder.path(), &[&repeats[..], &["--device", "cuda"]].concat());
    assert!(!ok && text.contains("workspace :4096:8"), "{text}");
    let (ok, text) = told(folder.path(), &["--device", "cuda"]);
    assert!(!ok && text.contains("workspace unset"), "{text}");
    // On the CPU nothing is needed, and what may be either goes on there.
    for device in ["cpu", "auto"] {
        let (ok, text) = told(folder.path(), &[&repeats[..], &["--device", device]].concat());
        assert!(ok && text.contains("images/s"), "{text}");
    }
}

#[test]
fn what_is_visible_is_named_where_nothing_is() {
    if has_gpu() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    driver(folder.path(), 13_010, 100, 0);
    let words = ["bench", "train", "--batch", "2", "--steps", "1", "--device", "cuda"];
    let mut command = ncaers();
    command.args(words).env("LD_LIBRARY_PATH", folder.path()).env("CUDA_VISIBLE_DEVICES", "7");
    let out = command.output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(text.contains("finds no GPU (CUDA_VISIBLE_DEVICES=7)"), "{text}");
}
