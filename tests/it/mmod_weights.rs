//! Sizes in a weights file are compared before anything is allocated for them: the allocator
//! itself tells how much was asked for. `fuzz/` does the same with far more files.

use crate::common::allocations;
use std::io::{self, Write as _};

use allocations::most_during;
use ncaers::internals::face::mmod::{default_weights, Error, Weights};

/// What a message may need beside the numbers of the file.
const MESSAGE: usize = 4096;
/// A packed integer of 2^63 - 1.
const HUGE: [u8; 9] = [8, 255, 255, 255, 255, 255, 255, 255, 127];

/// Reads a file and asserts that no more memory was held than the file is long.
fn read(file: &[u8]) -> Result<Weights, Error> {
    let (most, read) = most_during(|| Weights::parse(file));
    assert!(most <= file.len() + MESSAGE, "{most} bytes for a file of {}", file.len());
    read
}

/// `file` with a huge number in place of the `length` bytes at `at`.
fn with_huge(file: &[u8], at: usize, length: usize) -> Vec<u8> {
    [&file[..at], &HUGE, &file[at + length..]].concat()
}

/// A file up to the sizes of its first tensor, and where each number starts that is a size.
fn beginning() -> (Vec<u8>, Vec<usize>) {
    let mut file = vec![1, 1];
    let mut sizes = vec![file.len()];
    file.extend([1, 10]);
    file.extend(b"loss_mmod_");
    file.extend([1, 1]);
    sizes.extend([file.len(), file.len() + 2]);
    file.extend([1, 80, 1, 80]);
    // Loss weights and overlaps: 1, 1, 0.5, 0.5, 1, 0.5, 1
    for exponent in [0, 0, 1, 1, 0, 1, 0] {
        file.extend([1, 1, 0x81, exponent]);
    }
    file.extend([1, 2].repeat(18));
    file.extend([1, 3]);
    sizes.push(file.len());
    file.extend([1, 23]);
    file.extend(b"input_rgb_image_pyramid");
    file.extend([1, 1, 1, 0].repeat(3));
    sizes.push(file.len());
    file.extend([1, 5]);
    file.extend(b"con_4");
    // Version 2, then 1216 x 1 x 1 x 1.
    file.extend([1, 2]);
    sizes.extend([file.len(), file.len() + 3, file.len() + 5, file.len() + 7]);
    file.extend([2, 0xc0, 0x04, 1, 1, 1, 1, 1, 1]);
    (file, sizes)
}

#[test]
fn hostile_sizes_at_the_beginning_ask_for_no_memory() {
    let (file, sizes) = beginning();
    let error = read(&file).expect_err("has no values").to_string();
    assert_eq!(
        error,
        format!("byte {}: the file ends where weights of a convolution should be", file.len())
    );
    for at in sizes {
        let length = usize::from(file[at]) + 1;
        let error = read(&with_huge(&file, at, length)).expect_err("must be refused").to_string();
        assert!(error.contains("9223372036854775807"), "{at}: {error}");
    }
}

#[test]
fn hostile_sizes_anywhere_in_the_published_file_ask_for_no_memory() {
    let Some(path) = default_weights().filter(|path| path.exists()) else {
        // Not eprintln, which the test harness swallows.
        let _ = writeln!(
            io::stderr(),
            "SKIPPED: no published weights, run `ncaers fetch-mmod`; not tested: hostile sizes in them"
        );
        return;
    };
    let file = std::fs::read(path).expect("readable");
    assert!(read(&file).is_ok(), "the published file");
    let starts = |name: &[u8]| {
        let at = file.windows(name.len()).enumerate().filter(|(_, found)| *found == name);
        at.map(|(at, _)| at).collect::<Vec<_>>()
    };
    let mut layers = [starts(b"con_4"), starts(b"bn_con2"), starts(b"relu_")].concat();
    assert_eq!(layers.len(), 7 + 6 + 6);
    layers.push(100);
    let mut refused = 0;
    // Everything that is no value of a large tensor is near the name of a layer.
    for at in layers.iter().flat_map(|&layer| layer - 100..layer + 60) {
        // Counters of the training may be as large as they like.
        if let Err(error) = read(&with_huge(&file, at, 2)) {
            assert!(error.offset <= file.len() + HUGE.len(), "{at}: {error}");
            refused += 1;
        }
    }
    assert!(refused > 2800, "{refused} of {}", 160 * layers.len());
}
