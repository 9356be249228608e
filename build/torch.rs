//! LibTorch behind a door: its C++ bindings, tch's and ours, become a shared library that is kept in
//! the program as bytes and opened when one of its functions is called for the first time. What
//! needs no network then starts without LibTorch, and the program stays one file.
//!
//! Every function of the bindings gets a stub that jumps to where its slot points: first to code
//! that finds the function (`src/libtorch/on_demand.rs`), from then on to the function itself.
use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Our own functions.
const SOURCES: [&str; 2] = ["src/train/native.cpp", "src/model/fused.cpp"];
/// The way back into Rust.
const CALLS: &str = "src/libtorch/calls.cpp";
/// Where the code that finds a function saves eight registers of 16 bytes and six of 8.
const SAVED_VECTORS: usize = 8 * 16;
const SAVED: usize = SAVED_VECTORS + 6 * 8;

/// Compiles everything; `libtorch` is its folder.
pub fn build(libtorch: &Path) {
    println!("cargo:rerun-if-changed=build/torch.rs");
    println!("cargo:rerun-if-env-changed=NCAERS_TORCH_LINK_ARGS");
    println!("cargo:rustc-check-cfg=cfg(libtorch_at_start)");
    SOURCES.iter().chain([&CALLS]).for_each(|file| println!("cargo:rerun-if-changed={file}"));
    if !has_stubs() {
        println!("cargo:rustc-cfg=libtorch_at_start");
        compiler(libtorch).compile("ncaers_native");
        println!("cargo:rustc-link-lib=gomp");
        return;
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    compiler(libtorch).file(CALLS).cargo_metadata(false).compile("ncaers_native");
    let native = out.join("libncaers_native.a");
    let bindings = tch_bindings(&out);
    let archives = [native, bindings];
    link(libtorch, &archives, &out.join("libncaers_torch.so"));
    let names: BTreeSet<String> = archives.iter().flat_map(|archive| functions(archive)).collect();
    let names: Vec<String> = names.into_iter().collect();
    write(&out.join("torch_names.rs"), &rust_names(&names));
    let stubs = out.join("torch_stubs.s");
    write(&stubs, &assembly(&names));
    cc::Build::new().file(stubs).compile("ncaers_torch_stubs");
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
}

/// Whether there are stubs for the target; without, LibTorch is opened when the program starts.
fn has_stubs() -> bool {
    let is = |key: &str, value: &str| env::var(key).is_ok_and(|v| v == value);
    is("CARGO_CFG_TARGET_ARCH", "x86_64") && is("CARGO_CFG_TARGET_OS", "linux")
}

fn compiler(libtorch: &Path) -> cc::Build {
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .pic(true)
        .warnings(false)
        .include(libtorch.join("include"))
        .flag("-std=c++17")
        // LibTorch's own threads; a product and a sum may become one instruction.
        .flags(["-fopenmp", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"])
        .opt_level(3)
        .files(SOURCES);
    build
}

/// The archive that torch-sys compiled last: cargo builds it before us, in a folder beside ours.
fn tch_bindings(out: &Path) -> PathBuf {
    let builds = out.ancestors().nth(2).expect("OUT_DIR is build/ncaers-HASH/out");
    let folders = fs::read_dir(builds).expect("cargo's build folder");
    let archives = folders.filter_map(|folder| {
        let folder = folder.ok()?;
        folder.file_name().to_str()?.starts_with("torch-sys-").then_some(())?;
        let archive = folder.path().join("out/libtch.a");
        Some((archive.metadata().ok()?.modified().ok()?, archive))
    });
    let newest = archives.max().expect("torch-sys has compiled libtch.a");
    println!("cargo:rerun-if-changed={}", newest.1.display());
    newest.1
}

fn link(libtorch: &Path, archives: &[PathBuf], library: &Path) {
    let compiler = cc::Build::new().cpp(true).get_compiler();
    let mut command = Command::new(compiler.path());
    command.args(["-shared", "-s", "-o"]).arg(library).arg("-Wl,--whole-archive").args(archives);
    command.args(["-Wl,--no-whole-archive", "-Wl,--as-needed"]);
    // For who links against the libraries of another machine.
    let more = env::var("NCAERS_TORCH_LINK_ARGS").unwrap_or_default();
    command.args(more.split_whitespace());
    // No search path of its own: the program opens LibTorch first.
    command.arg(format!("-L{}", libtorch.join("lib").display()));
    command.args(["-ltorch_cpu", "-lc10", "-lgomp", "-Wl,--no-undefined"]);
    let status = command.status().unwrap_or_else(|e| panic!("cannot run {command:?}: {e}"));
    assert!(status.success(), "{command:?} failed");
}

/// The C functions that an archive defines.
fn functions(archive: &Path) -> Vec<String> {
    let nm = env::var_os("NM").unwrap_or_else(|| "nm".into());
    let out = Command::new(&nm).args(["-g", "--defined-only"]).arg(archive).output();
    let out = out.unwrap_or_else(|e| panic!("cannot run {}: {e}", nm.display()));
    assert!(out.status.success(), "{}: {}", nm.display(), String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8_lossy(&out.stdout);
    let function = |line: &str| {
        let (_, name) = line.split_once(" T ")?;
        let own = name.starts_with("_Z") || name.starts_with("tch_");
        (!own).then(|| name.to_owned())
    };
    text.lines().filter_map(function).collect()
}

/// The names in the order of their slots.
fn rust_names(names: &[String]) -> String {
    let lines: String = names.iter().map(|name| format!("    c\"{name}\",\n")).collect();
    format!("[\n{lines}]\n")
}

/// The stubs, the slots and the way to `ncaers_torch_find(index)`, for x86-64 and its calling
/// convention on Linux.
fn assembly(names: &[String]) -> String {
    let mut text = String::from("    .text\n");
    for (i, name) in names.iter().enumerate() {
        text += &format!(
            "    .globl {name}\n    .hidden {name}\n    .type {name},@function\n{name}:\n    \
             jmp *ncaers_torch_slots+{}(%rip)\n    .size {name},.-{name}\n",
            8 * i
        );
    }
    for i in 0..names.len() {
        text += &format!(".Lfirst{i}:\n    pushq ${i}\n    jmp .Lfind\n");
    }
    text += &find();
    text += "    .section .data.rel.local,\"aw\",@progbits\n    .p2align 3\n    \
             .globl ncaers_torch_slots\n    .hidden ncaers_torch_slots\nncaers_torch_slots:\n";
    (0..names.len()).for_each(|i| text += &format!("    .quad .Lfirst{i}\n"));
    text + "    .section .note.GNU-stack,\"\",@progbits\n"
}

/// Saves what holds arguments, asks for the function whose index lies on the stack, goes there. The
/// stack is aligned: a call and the index took 16 bytes.
fn find() -> String {
    let registers = ["rdi", "rsi", "rdx", "rcx", "r8", "r9"];
    let mut text = String::from(".Lfind:\n");
    registers.iter().for_each(|r| text += &format!("    pushq %{r}\n"));
    text += &format!("    subq ${SAVED_VECTORS}, %rsp\n");
    (0..8).for_each(|i| text += &format!("    movups %xmm{i}, {}(%rsp)\n", 16 * i));
    text += &format!("    movq {SAVED}(%rsp), %rdi\n    call ncaers_torch_find\n");
    text += "    movq %rax, %r11\n";
    (0..8).for_each(|i| text += &format!("    movups {}(%rsp), %xmm{i}\n", 16 * i));
    text += &format!("    addq ${SAVED_VECTORS}, %rsp\n");
    registers.iter().rev().for_each(|r| text += &format!("    popq %{r}\n"));
    text + "    addq $8, %rsp\n    jmp *%r11\n"
}
