//! Makes the built programs start without a hand-set `LD_LIBRARY_PATH`: the folder of LibTorch
//! that they were linked against goes into their run-time search path, and beside it the folder
//! from which CUDA's part of LibTorch is opened when it is there.
use std::{env, path::Path};

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_TORCH").is_none() {
        return;
    }
    if let Some(libtorch) = env::var_os("LIBTORCH") {
        for part in ["lib", "cuda"] {
            let folder = Path::new(&libtorch).join(part);
            println!("cargo:rustc-link-arg=-Wl,-rpath,{}", folder.display());
        }
    }
}
