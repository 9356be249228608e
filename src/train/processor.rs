//! What this machine computes with: the same program, seed and data give other last bits elsewhere,
//! above all in bf16, and a trained network may be another by a few points.
use std::fs;

/// Instruction sets that choose between LibTorch's kernels, the widest first.
const KERNELS: [&str; 5] = ["amx_bf16", "avx512_bf16", "avx512f", "avx2", "asimd"];

/// The processor's name and the instructions that decide its kernels: `AMD EPYC 9B45, avx512_bf16
/// avx512f avx2`; `None` where the system does not tell.
pub fn name() -> Option<String> {
    described(&fs::read_to_string("/proc/cpuinfo").ok()?)
}

fn described(cpuinfo: &str) -> Option<String> {
    let value = |keys: &[&str]| {
        let mut pairs = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        pairs.find(|(key, _)| keys.contains(&key.trim())).map(|(_, value)| value.trim())
    };
    let name = value(&["model name", "Processor", "CPU part"])?;
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
    let flags: Vec<&str> = value(&["flags", "Features"])?.split_whitespace().collect();
    let known: Vec<&str> = KERNELS.into_iter().filter(|kernel| flags.contains(kernel)).collect();
    Some(if known.is_empty() { name } else { format!("{name}, {}", known.join(" ")) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_comes_with_what_decides_the_kernels() {
        let text = "processor\t: 0\nmodel name\t: AMD EPYC  9B45\nflags\t\t: fpu avx2 avx512f avx512_bf16\n\n\
                    processor\t: 1\nmodel name\t: other\n";
        assert_eq!(described(text).as_deref(), Some("AMD EPYC 9B45, avx512_bf16 avx512f avx2"));
        assert_eq!(described("model name: x\nflags: fpu\n").as_deref(), Some("x"));
        assert_eq!(described("nothing"), None);
    }
}
