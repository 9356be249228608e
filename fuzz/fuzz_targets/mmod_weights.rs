//! The reader of `mmod_human_face_detector.dat` on whatever bytes.
//!
//! The reader's file is compiled in by itself: the whole library would cost minutes and FFmpeg.
#![no_main]
#[path = "../../tests/it/common/allocations.rs"]
mod allocations;
#[path = "../../src/face/mmod/weights.rs"]
#[allow(dead_code)]
mod weights;

use libfuzzer_sys::fuzz_target;
use weights::{Shape, Weights, DETECTOR};

/// The network of the reader's own tests: files of 1.4 KB, of which the fuzzer tries very many.
const SMALL: [Shape; 2] = [
    Shape { channels: 3, filters: 2, kernel: 5, stride: 2, padding: 0 },
    Shape { channels: 2, filters: 1, kernel: 9, stride: 1, padding: 4 },
];

/// What a message may need beside the numbers of the file.
const MESSAGE: usize = 4096;

fuzz_target!(|bytes: &[u8]| {
    for shapes in [&SMALL[..], &DETECTOR] {
        let (most, read) = allocations::most_during(|| Weights::parse_as(bytes, shapes));
        assert!(most <= bytes.len() + MESSAGE, "{most} bytes allocated for {}", bytes.len());
        match read {
            Ok(weights) => assert_usable(&weights, shapes),
            Err(error) => assert!(error.offset <= bytes.len() && !error.to_string().is_empty()),
        }
    }
});

/// A file that is accepted can be computed with.
fn assert_usable(weights: &Weights, shapes: &[Shape]) {
    let finite = |values: &[f32]| values.iter().all(|v| v.is_finite());
    assert!((1..=1024).contains(&weights.window.0) && (1..=1024).contains(&weights.window.1));
    assert!((0.0..=1.0).contains(&weights.overlap) && (0.0..=1.0).contains(&weights.covered));
    assert!(finite(&weights.means));
    assert_eq!(weights.convolutions.len(), shapes.len());
    for (i, (convolution, shape)) in weights.convolutions.iter().zip(shapes).enumerate() {
        let count = shape.filters * shape.channels * shape.kernel * shape.kernel;
        assert_eq!(convolution.shape, *shape);
        assert_eq!((convolution.filters.len(), convolution.biases.len()), (count, shape.filters));
        assert!(finite(&convolution.filters) && finite(&convolution.biases));
        assert_eq!(convolution.affine.is_none(), i + 1 == shapes.len());
        if let Some(affine) = &convolution.affine {
            assert_eq!((affine.gain.len(), affine.bias.len()), (shape.filters, shape.filters));
            assert!(finite(&affine.gain) && finite(&affine.bias));
        }
    }
}
