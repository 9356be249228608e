//! What the built programs carry in themselves: in their run-time search path the folder of
//! LibTorch that they were made for, so that they find it without a hand-set `LD_LIBRARY_PATH`, and
//! beside it the folder from which CUDA's part is opened when it is there (the wheel's program looks
//! beside itself instead); the bindings of LibTorch as a library that is opened when it is needed;
//! SeetaFace's model, which comes inside the rustface crate; and the experiment files.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what it prints is its result")]
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

#[path = "build/torch.rs"]
mod torch;

/// Where the rustface crate keeps its model.
const SEETA_MODEL: &str = "model/seeta_fd_frontal_v1.0.bin";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=Cargo.lock");
    libtorch_search_path();
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let rustface = crate_folder("rustface");
    // Its test picture serves ours.
    println!("cargo:rustc-env=RUSTFACE_FOLDER={}", rustface.display());
    let model = rustface.join(SEETA_MODEL);
    fs::copy(&model, out.join("seeta.bin"))
        .unwrap_or_else(|e| panic!("cannot copy {}: {e}", model.display()));
    fs::write(out.join("experiments.rs"), experiments())
        .unwrap_or_else(|e| panic!("cannot list the experiments: {e}"));
}

/// Every file of the folder `experiments` as an array of its path below it and its text.
fn experiments() -> String {
    println!("cargo:rerun-if-changed=experiments");
    println!("cargo:rerun-if-changed=experiments/recipes");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let root = root.join("experiments");
    let (mut open, mut files) = (vec![root.clone()], Vec::new());
    while let Some(folder) = open.pop() {
        let entries = fs::read_dir(&folder)
            .unwrap_or_else(|e| panic!("cannot list {}: {e}", folder.display()));
        for path in entries.map(|entry| entry.expect("an entry of the folder").path()) {
            match path.extension() {
                _ if path.is_dir() => open.push(path),
                Some(extension) if extension == "toml" => files.push(path),
                _ => {}
            }
        }
    }
    files.sort();
    let line = |path: &PathBuf| {
        let name = path.strip_prefix(&root).expect("below the root");
        format!("({:?}, include_str!({:?})),\n", name.display().to_string(), path)
    };
    format!("&[{}]", files.iter().map(line).collect::<String>())
}

fn libtorch_search_path() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    if env::var_os("CARGO_FEATURE_TORCH").is_none() {
        return;
    }
    let libtorch =
        env::var_os("LIBTORCH").expect("LIBTORCH names LibTorch's folder; ./justw sets it");
    torch::build(Path::new(&libtorch));
    if env::var_os("CARGO_FEATURE_WHEEL").is_some() {
        return link_for_wheel();
    }
    for part in ["lib", "cuda"] {
        let folder = Path::new(&libtorch).join(part);
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", folder.display());
    }
}

/// The program of the wheel lies in `site-packages/ncaers/bin` and finds LibTorch in
/// `site-packages/torch/lib`, whatever `LD_LIBRARY_PATH` says; FFmpeg comes from a folder that
/// `packaging/wheel/ffmpeg.sh` made, with the two libraries that it needs itself; and `hypot` is
/// bound to the one of glibc 2.2.5, since glibc 2.35's is the only symbol that would ask for more
/// than glibc 2.34.
fn link_for_wheel() {
    println!("cargo:rerun-if-env-changed=FFMPEG_DIR");
    println!("cargo:rerun-if-changed=packaging/wheel/hypot.c");
    let ffmpeg = env::var("FFMPEG_DIR").expect("the feature `wheel` needs FFMPEG_DIR");
    let hypot = cc::Build::new().pic(true).file("packaging/wheel/hypot.c").compile_intermediates();
    for word in [
        "-Wl,--disable-new-dtags,-rpath,$ORIGIN/../../torch/lib".to_owned(),
        "-Wl,--wrap=hypot,--wrap=hypotf".to_owned(),
        format!("-L{ffmpeg}/lib"),
        "-ldav1d".to_owned(),
        "-lmp3lame".to_owned(),
        "-lz".to_owned(),
    ]
    .into_iter()
    .chain(hypot.iter().map(|object| object.display().to_string()))
    {
        println!("cargo:rustc-link-arg-bins={word}");
    }
}

/// The source folder of a dependency, registry or vendored, as cargo tells it.
fn crate_folder(name: &str) -> PathBuf {
    // Off line first; cargo may have left out packages that only other targets need.
    let text = metadata(&["--offline"]).or_else(|_| metadata(&[])).expect("cargo metadata");
    let manifest = text
        .split("\"manifest_path\":\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .find(|path| is_crate(path, name))
        .unwrap_or_else(|| panic!("cargo metadata names no {name}"));
    Path::new(manifest).parent().expect("a manifest lies in a folder").to_owned()
}

/// What `cargo metadata` prints, or what it complains about.
fn metadata(more: &[&str]) -> Result<String, String> {
    let variable = |name| env::var_os(name).unwrap_or_else(|| panic!("cargo sets {name}"));
    let out = Command::new(variable("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform"])
        .arg(variable("TARGET"))
        .args(more)
        .output()
        .map_err(|e| e.to_string())?;
    let text = |bytes| String::from_utf8(bytes).map_err(|e| e.to_string());
    if out.status.success() {
        text(out.stdout)
    } else {
        Err(text(out.stderr)?)
    }
}

/// Whether the manifest lies in a folder called `name` or `name-VERSION`.
fn is_crate(manifest: &str, name: &str) -> bool {
    let folder = Path::new(manifest).parent().and_then(Path::file_name).and_then(|n| n.to_str());
    folder.is_some_and(|f| {
        f.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    })
}
