//! `justw` and the folder that LIBTORCH names: what it did not make is never changed, whatever is
//! asked for. Stand-ins on the PATH take the place of pip, just and the package lists.
use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Copies the wheels that it is asked for and notes their names.
const PYTHON: &str = r#"#!/bin/bash
here=$(dirname "$0")
[ "$3" != --version ] || exit 0
while [ $# -gt 0 ]; do
  case $1 in
    -d) into=$2; shift ;;
    torch==* | nvidia-*) echo "${1%%==*}" >> "$here/fetched"; wanted+=("$(tr - _ <<< "${1%%==*}")") ;;
    --no-deps) alone=1 ;;
  esac
  shift
done
mkdir -p "$into"
for name in "${wanted[@]}"; do cp "$here"/wheels/"$name"-*.whl "$into/"; done
[ "${alone:-0}" = 1 ] || cp "$here"/wheels/nvidia_*.whl "$into/"
"#;

/// Says what it was called with.
const JUST: &str = "#!/bin/bash\necho \"just $* LIBTORCH=$LIBTORCH\"\n";

/// A machine on which everything is installed but LibTorch.
struct Machine {
    dir: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Machine { dir: tempfile::tempdir().expect("temp dir") };
        for (name, text) in [
            ("python3", PYTHON),
            ("just", JUST),
            ("cargo", "#!/bin/sh\n"),
            ("apt-get", "#!/bin/sh\nexit 1\n"),
            ("dpkg-query", "#!/bin/sh\nprintf 'install ok installed'\n"),
        ] {
            let path = machine.path(&format!("bin/{name}"));
            fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
            fs::write(&path, text).expect("writes");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
        }
        let library = |name: &str| format!("torch/lib/{name}");
        let cuda = ["torch_cuda", "torch_cuda_linalg", "c10_cuda", "caffe2_nvrtc", "torch_nvshmem"];
        let mut torch = vec!["torch/include/torch.h".to_owned()];
        torch.extend(["libtorch_cpu.so", "libc10.so", "libgomp.so.1"].map(library));
        torch.extend(cuda.map(|name| library(&format!("lib{name}.so"))));
        machine.wheel("torch-2.11.0", &torch);
        let files = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| format!("nvidia/cu13/{name}")).collect()
        };
        let runtime = ["lib/libcudart.so.13", "include/cuda_runtime_api.h"];
        // A list longer than a pipe holds: whoever reads only its beginning breaks it off.
        let licence =
            |i| format!("nvidia_cuda_runtime-13.0.dist-info/licenses/of_part_{i:030}.txt");
        let runtime = [files(&runtime), (0..1_500).map(licence).collect()].concat();
        machine.wheel("nvidia_cuda_runtime-13.0", &runtime);
        machine.wheel("nvidia_cuda_cupti-13.0", &files(&["lib/libcupti.so.13"]));
        machine.wheel("nvidia_cuda_crt-13.0", &files(&["include/crt/host_config.h"]));
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn wheel(&self, name: &str, files: &[String]) {
        let path = self.path(&format!("bin/wheels/{name}-py3-none-any.whl"));
        fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
        let mut archive = zip::ZipWriter::new(File::create(path).expect("creates"));
        for file in files {
            let options = zip::write::SimpleFileOptions::default();
            archive.start_file(file.as_str(), options).expect("starts");
            archive.write_all(file.as_bytes()).expect("writes");
        }
        archive.finish().expect("finishes");
    }

    fn justw(&self, variables: &[(&str, &str)]) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("justw");
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        Command::new("bash")
            .arg(script)
            .arg("build")
            .env_clear()
            .env("HOME", self.path("home"))
            .env("NCAERS_CACHE", self.path("cache"))
            .env("PATH", path)
            .envs(variables.iter().copied())
            .output()
            .expect("bash runs")
    }

    /// What pip was asked for since the last question.
    fn fetched(&self) -> Vec<String> {
        let file = self.path("bin/fetched");
        let text = fs::read_to_string(&file).unwrap_or_default();
        let _ = fs::remove_file(file);
        text.lines().map(str::to_owned).collect()
    }
}

fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat()
}

/// Every file below a folder with its text.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).expect("lists") {
            let path = entry.expect("an entry").path();
            match path.is_dir() && !path.is_symlink() {
                true => open.push(path),
                false => all.push((path.clone(), fs::read(&path).unwrap_or_default())),
            }
        }
    }
    all.sort();
    all
}

#[test]
fn a_folder_that_is_no_libtorch_is_left_as_it_is() {
    let machine = Machine::new();
    let own = machine.path("conda");
    fs::create_dir_all(own.join("lib")).expect("folder");
    fs::write(own.join("lib/libpython.so"), "mine").expect("writes");
    fs::write(own.join("thesis.tex"), "mine").expect("writes");
    std::os::unix::fs::symlink(&own, machine.path("link")).expect("links");
    let before = contents(&own);
    for named in ["conda", "link"] {
        for parts in ["auto", "cpu", "cuda"] {
            let named = machine.path(named);
            let libtorch = named.to_str().expect("text");
            let out = machine.justw(&[("LIBTORCH", libtorch), ("LIBTORCH_PARTS", parts)]);
            assert_eq!(out.status.code(), Some(1), "{}", said(&out));
            assert!(said(&out).contains("was not made by justw"), "{}", said(&out));
            assert!(said(&out).contains(libtorch), "{}", said(&out));
            assert_eq!(contents(&own), before);
        }
    }
    assert!(machine.fetched().is_empty());
}

#[test]
fn somebodys_own_libtorch_is_used_and_not_changed() {
    let machine = Machine::new();
    let own = machine.path("own");
    fs::create_dir_all(own.join("lib")).expect("folder");
    fs::write(own.join("lib/libtorch_cpu.so"), "mine").expect("writes");
    let before = contents(&own);
    let libtorch = own.to_str().expect("text");
    let out = machine.justw(&[("LIBTORCH", libtorch)]);
    assert!(out.status.success(), "{}", said(&out));
    assert!(said(&out).contains(&format!("just build LIBTORCH={libtorch}")), "{}", said(&out));
    let out = machine.justw(&[("LIBTORCH", libtorch), ("LIBTORCH_PARTS", "cuda")]);
    assert!(said(&out).contains("has no libtorch_cuda.so"), "{}", said(&out));
    assert_eq!(contents(&own), before);
    assert!(machine.fetched().is_empty());
}

#[test]
fn parts_are_added_to_a_folder_of_its_own_and_nothing_there_is_replaced() {
    let machine = Machine::new();
    let folder = machine.path("cache/libtorch-2.11.0");
    let out = machine.justw(&[("LIBTORCH_PARTS", "cpu")]);
    assert!(out.status.success(), "{}", said(&out));
    let expected =
        ["torch", "nvidia-cuda-runtime", "nvidia-cuda-cupti", "nvidia-cuda-crt"].map(str::to_owned);
    assert_eq!(machine.fetched(), expected);
    for file in ["lib/libtorch_cpu.so", "lib/libcudart.so.13", "include/torch.h"] {
        assert!(folder.join(file).is_file(), "{file}");
    }
    assert!(folder.join("cuda-include/crt/host_config.h").is_file());
    assert!(!folder.join("cuda").exists());
    // Somebody's note, and a library that differs from what would be fetched.
    fs::write(folder.join("note.txt"), "mine").expect("writes");
    fs::write(folder.join("lib/libc10.so"), "patched").expect("writes");
    let before = contents(&folder);
    let out = machine.justw(&[("LIBTORCH_PARTS", "cuda")]);
    assert!(out.status.success(), "{}", said(&out));
    assert!(folder.join("cuda/libtorch_cuda.so").is_file());
    let after = contents(&folder);
    assert!(before.iter().all(|file| after.contains(file)), "{after:?}");
    machine.fetched();
    // Once more costs nothing.
    let out = machine.justw(&[("LIBTORCH_PARTS", "cuda")]);
    assert!(out.status.success() && machine.fetched().is_empty(), "{}", said(&out));
    assert_eq!(contents(&folder), after);
    let left = fs::read_dir(machine.path("cache")).expect("lists").count();
    assert_eq!(left, 1, "nothing temporary stays");
}

#[test]
fn an_empty_folder_is_filled_and_an_older_one_gets_the_headers() {
    let machine = Machine::new();
    let empty = machine.path("empty");
    fs::create_dir_all(&empty).expect("folder");
    let libtorch = empty.to_str().expect("text");
    let out = machine.justw(&[("LIBTORCH", libtorch), ("LIBTORCH_PARTS", "cpu")]);
    assert!(out.status.success(), "{}", said(&out));
    assert!(empty.join("lib/libtorch_cpu.so").is_file());
    machine.fetched();
    fs::remove_dir_all(empty.join("cuda-include")).expect("removes");
    fs::remove_file(empty.join(".complete-headers")).expect("removes");
    let out = machine.justw(&[("LIBTORCH", libtorch), ("LIBTORCH_PARTS", "cpu")]);
    assert!(out.status.success(), "{}", said(&out));
    assert_eq!(machine.fetched(), ["nvidia-cuda-runtime", "nvidia-cuda-crt"]);
    assert!(empty.join("cuda-include/cuda_runtime_api.h").is_file());
}

#[test]
fn an_unknown_part_is_refused_before_anything_is_fetched() {
    let machine = Machine::new();
    let out = machine.justw(&[("LIBTORCH_PARTS", "gpu")]);
    assert_eq!(out.status.code(), Some(1));
    assert!(said(&out).contains("use auto, cpu or cuda"), "{}", said(&out));
    assert!(machine.fetched().is_empty() && !machine.path("cache/libtorch-2.11.0").exists());
}
