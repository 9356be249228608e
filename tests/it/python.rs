//! The blocks of docs/python.md, run by the libraries that they name; needs a Python that has
//! them (`just test-python`).
use std::process::Command;

use crate::common::ncaers;

/// The interpreter; `just test-python` names one with every library.
fn python() -> String {
    std::env::var("NCAERS_PYTHON").unwrap_or_else(|_| "python3".into())
}

fn has(module: &str) -> bool {
    Command::new(python())
        .args(["-c", &format!("import {module}")])
        .output()
        .is_ok_and(|out| out.status.success())
}

#[test]
#[ignore = "needs pandas, polars and datasets; run by `just test-python`"]
fn every_block_of_the_python_page_runs() {
    let dir = tempfile::tempdir().expect("temp dir");
    ncaers().current_dir(dir.path()).args(["demo", "--quick"]).assert().success();
    let root = env!("CARGO_MANIFEST_DIR");
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_ncaers"));
    let folder = program.parent().expect("a folder").display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut run = Command::new(python());
    run.current_dir(dir.path())
        .env("PATH", format!("{folder}:{path}"))
        .env("HF_HOME", dir.path().join("hf"))
        .env("HF_HUB_OFFLINE", "1")
        .args([format!("{root}/tests/tools/run_blocks.py"), format!("{root}/docs/python.md")]);
    // 2.7 GB with CUDA's libraries: without it the blocks that train are left out, and said so.
    if !has("torch") {
        run.arg("torch");
    }
    let out = run.output().expect("python starts");
    let said = String::from_utf8_lossy(&out.stdout);
    println!("{said}");
    assert!(out.status.success(), "{said}\n{}", String::from_utf8_lossy(&out.stderr));
    assert!(said.contains(" blocks ran"), "{said}");
}
