//! Number formats of the networks' arithmetic. Free of LibTorch, so that experiments can be read
//! and checked without it.
use serde::{Deserialize, Serialize};

/// Number formats of convolutions and products; weights, statistics, softmaxes and logits are f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// IEEE single precision throughout.
    Fp32,
    /// IEEE single precision, but convolutions on CUDA may round what they multiply to ten bits of
    /// fraction: what PyTorch does where nobody says otherwise. On the CPU the same as `fp32`.
    Tf32,
    /// bfloat16 where LibTorch's autocast holds it safe in training; what stays in f32, evaluation
    /// too, as `tf32`.
    Bf16,
}

impl Precision {
    /// The name in experiments.
    pub fn name(self) -> &'static str {
        match self {
            Precision::Fp32 => "fp32",
            Precision::Tf32 => "tf32",
            Precision::Bf16 => "bf16",
        }
    }

    /// Whether convolutions on CUDA may use ten bits of fraction.
    pub fn allows_tf32(self) -> bool {
        self != Precision::Fp32
    }
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_what_experiments_say() {
        for precision in [Precision::Fp32, Precision::Tf32, Precision::Bf16] {
            let read: Precision =
                serde_json::from_value(precision.to_string().into()).expect("reads");
            assert_eq!(read, precision);
        }
        assert!(!Precision::Fp32.allows_tf32() && Precision::Tf32.allows_tf32());
    }
}
