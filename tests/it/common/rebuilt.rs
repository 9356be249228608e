//! Weights and pictures rebuilt from names, as in `tests/fixtures/models/README.md`.
#![allow(dead_code, reason = "each test file uses its part")]
use std::collections::BTreeMap;

use tch::{nn::VarStore, Tensor};

/// CRC-32 of zlib, bit by bit.
pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

/// Element `i` of the stream called `name`, in `[0, 1)`, exact in f32.
pub fn unit(crc: u32, i: u32) -> f32 {
    let mut h = i.wrapping_mul(0x9E37_79B1).wrapping_add(crc);
    h = (h ^ (h >> 16)).wrapping_mul(0x85EB_CA6B);
    h = (h ^ (h >> 13)).wrapping_mul(0xC2B2_AE35);
    h ^= h >> 16;
    (h >> 8) as f32 / (1 << 24) as f32
}

/// The values of the weight `name`.
pub fn weight(name: &str, shape: &[i64], gain: f64) -> Tensor {
    let last = name.rsplit('.').next().expect("a name");
    let (offset, scale) = match last {
        "running_var" => (1.0, 0.5),
        "running_mean" | "bias" => (0.0, 0.1),
        _ if shape.len() == 1 => (1.0, 0.2),
        _ => {
            let fan_in: i64 = shape[1..].iter().product();
            (0.0, (gain * (6.0 / fan_in as f64).sqrt()) as f32)
        }
    };
    let crc = crc32(name.as_bytes());
    let count = shape.iter().product::<i64>() as u32;
    let values: Vec<f32> =
        (0..count).map(|i| offset + scale * (2.0 * unit(crc, i) - 1.0)).collect();
    Tensor::from_slice(&values).view(shape)
}

/// Overwrites every tensor of `store`.
pub fn fill(store: &VarStore, gain: f64) {
    for (name, mut tensor) in store.variables() {
        tch::no_grad(|| tensor.copy_(&weight(&name, &tensor.size(), gain)));
    }
}

/// The picture batch `[N, C, H, W]` called `tag`: blocks of 16 x 16 pixels with noise on top.
pub fn picture(tag: &str, shape: [i64; 4]) -> Tensor {
    let stream = |part: &str| crc32(format!("input:{tag}:{part}").as_bytes());
    let (pixel, block) = (stream("pixel"), stream("block"));
    let [n, c, h, w] = shape.map(|side| side as u32);
    let (rows, columns) = (h.div_ceil(16), w.div_ceil(16));
    let mut values = Vec::with_capacity((n * c * h * w) as usize);
    for plane in 0..n * c {
        for y in 0..h {
            for x in 0..w {
                let noise = unit(pixel, (plane * h + y) * w + x);
                let flat = unit(block, (plane * rows + y / 16) * columns + x / 16);
                values.push(4.0 * (0.75 * flat + 0.25 * noise) - 2.0);
            }
        }
    }
    Tensor::from_slice(&values).view(shape)
}

/// Names and shapes of every tensor of a store.
pub fn shapes(store: &VarStore) -> BTreeMap<String, Vec<i64>> {
    store.variables().into_iter().map(|(name, tensor)| (name, tensor.size())).collect()
}
