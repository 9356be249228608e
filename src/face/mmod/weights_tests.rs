use proptest::prelude::*;

use super::*;
use crate::face::mmod::test_weights;

/// A network small enough to flip every bit of.
const SMALL: [Shape; 2] = [Shape::new(3, 2, 5, 2), Shape::new(2, 1, 9, 1)];

/// Writes files of the format, as dlib does.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn integer(&mut self, value: i64) {
        let bytes = value.unsigned_abs().to_le_bytes();
        let count = 8 - value.unsigned_abs().leading_zeros() as usize / 8;
        let count = count.max(1);
        self.0.push(count as u8 | if value < 0 { 0x80 } else { 0 });
        self.0.extend(&bytes[..count]);
    }

    fn text(&mut self, text: &str) {
        self.integer(text.len() as i64);
        self.0.extend(text.as_bytes());
    }

    /// `mantissa * 2^exponent`.
    fn reals(&mut self, values: &[(i64, i64)]) {
        for &(mantissa, exponent) in values {
            self.integer(mantissa);
            self.integer(exponent);
        }
    }

    fn dimensions(&mut self, version: i64, sizes: [usize; 4]) {
        self.integer(version);
        sizes.iter().for_each(|&n| self.integer(n as i64));
    }

    fn tensor(&mut self, sizes: [usize; 4], value: impl Fn(usize) -> f32) {
        self.dimensions(2, sizes);
        for i in 0..sizes.iter().product() {
            self.0.extend(value(i).to_le_bytes());
        }
    }

    fn layer_end(&mut self, innermost: bool) {
        self.0.extend(b"110");
        (0..3).for_each(|_| self.tensor([0; 4], |_| 0.0));
        if innermost {
            self.integer(1);
        }
    }

    fn convolution(&mut self, shape: Shape) {
        let Shape { channels, filters, kernel, stride, padding } = shape;
        self.text("con_4");
        self.tensor([shape.weights() + filters, 1, 1, 1], |i| i as f32 / 64.0);
        for n in [filters, kernel, kernel, stride, stride, padding, padding] {
            self.integer(n as i64);
        }
        self.dimensions(1, [filters, channels, kernel, kernel]);
        self.dimensions(1, [1, filters, 1, 1]);
        self.reals(&[(1, 0), (1, 0), (1, 0), (0, 0)]);
    }

    fn normalisation(&mut self, n: usize) {
        self.text("bn_con2");
        self.tensor([2 * n, 1, 1, 1], |i| i as f32 + 1.0);
        self.dimensions(1, [1, n, 1, 1]);
        self.dimensions(1, [1, n, 1, 1]);
        for statistic in [9.0, 9.0, 2.0, 3.0] {
            self.tensor([1, n, 1, 1], |_| statistic);
        }
        self.integer(100);
        self.integer(100);
        self.reals(&[(1, 0), (0, 0), (1, 0), (1, 0), (1, 0)]);
    }
}

/// A whole file of the small network; its normalisation has variance 3, mean 2 and eps 1.
fn small_file() -> Vec<u8> {
    let mut w = Writer::default();
    w.integer(1);
    w.text("loss_mmod_");
    [1, 80, 80].iter().for_each(|&n| w.integer(n));
    w.reals(&[(1, 0), (1, 0), (1, -1), (3, -3), (1, 0), (1, -1), (1, 0)]);
    [2, 2, 2, 3].iter().for_each(|&version| w.integer(version));
    w.text("input_rgb_image_pyramid");
    w.reals(&[(245, -1), (117, 0), (-104, 0)]);
    w.convolution(SMALL[0]);
    w.layer_end(true);
    w.normalisation(2);
    w.layer_end(false);
    w.text("relu_");
    w.layer_end(false);
    w.convolution(SMALL[1]);
    w.layer_end(false);
    w.0
}

fn parse_small(bytes: &[u8]) -> Result<Weights, Error> {
    Weights::parse_as(bytes, &SMALL)
}

#[test]
fn a_file_is_read_to_its_last_byte() {
    let weights = parse_small(&small_file()).expect("well-formed");
    assert_eq!(weights.window, (80, 80));
    assert_eq!((weights.overlap, weights.covered), (0.375, 1.0));
    assert_eq!(weights.means, [122.5, 117.0, -104.0]);
    let first = &weights.convolutions[0];
    assert_eq!((first.filters.len(), first.biases.len()), (150, 2));
    assert_eq!((first.filters[149], first.biases[0]), (149.0 / 64.0, 150.0 / 64.0));
    // gamma 1 and 2 over sqrt(3 + 1); beta 3 and 4 less gain times mean 2
    let affine = first.affine.as_ref().expect("has one");
    assert_eq!(
        (affine.gain.as_slice(), affine.bias.as_slice()),
        (&[0.5, 1.0][..], &[2.0, 2.0][..])
    );
    assert_eq!(weights.convolutions[1].affine, None);
}

#[test]
fn every_truncation_and_every_tail_is_refused() {
    let file = small_file();
    for end in 0..file.len() {
        let error = parse_small(&file[..end]).expect_err("truncated");
        assert!(matches!(error.problem, Problem::Truncated(_)), "{end}: {error}");
        assert!(error.offset <= end);
    }
    let longer = [&file[..], b"x"].concat();
    let error = parse_small(&longer).expect_err("a byte too many");
    assert_eq!(error, Error { offset: file.len(), problem: Problem::Trailing(1) });
}

#[test]
fn flipped_bits_are_refused_or_change_a_value() {
    let file = small_file();
    let right = parse_small(&file).expect("well-formed");
    // Rates, decays and batch statistics are read and checked but not kept.
    let mut unkept = 0;
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut damaged = file.clone();
            damaged[at] ^= 1 << bit;
            match parse_small(&damaged) {
                Err(error) => assert!(error.offset <= damaged.len(), "{at}: {error}"),
                Ok(weights) => unkept += usize::from(weights == right),
            }
        }
    }
    assert!(unkept < 900, "{unkept} of {} flips went unnoticed", 8 * file.len());
}

/// Replaces the first place of `from` behind `after`.
fn replaced(after: &str, from: &[u8], to: &[u8]) -> Vec<u8> {
    let file = small_file();
    let find = |part: &[u8], start: usize| {
        start + (0..).position(|i| file[start + i..].starts_with(part)).expect("is there")
    };
    let at = find(from, find(after.as_bytes(), 0) + after.len());
    [&file[..at], to, &file[at + from.len()..]].concat()
}

fn refusal(file: &[u8]) -> String {
    parse_small(file).expect_err("must be refused").to_string()
}

#[test]
fn hostile_sizes_are_refused_before_anything_is_allocated() {
    // 152 values -> 2^62 values, and a negative count.
    let huge = replaced("con_4", &[1, 152], &[8, 0, 0, 0, 0, 0, 0, 0, 0x40]);
    assert_eq!(
        refusal(&huge),
        "byte 102: weights of a convolution is [4611686018427387904, 1, 1, 1], \
         expected [152, 1, 1, 1]"
    );
    let negative = replaced("con_4", &[1, 152], &[0x81, 152]);
    assert!(refusal(&negative).contains("is [-152, 1, 1, 1], expected [152, 1, 1, 1]"));
    let beyond = replaced("con_4", &[1, 152], &[8, 255, 255, 255, 255, 255, 255, 255, 255]);
    assert!(refusal(&beyond).ends_with("weights of a convolution does not fit into 64 bits"));
    let name = replaced("", &[1, 10], &[4, 255, 255, 255, 127]);
    assert_eq!(refusal(&name), "byte 2: kind of the loss layer is 2147483647, expected 10");
}

#[test]
fn numbers_that_cannot_be_computed_with_are_refused() {
    let nan = replaced("con_4", &(1f32 / 64.0).to_le_bytes(), &f32::NAN.to_le_bytes());
    assert!(
        refusal(&nan).ends_with("weights of a convolution is NaN, which is not a finite number")
    );
    // dlib's code for infinity is the exponent 32000
    let infinite = replaced("pyramid", &[1, 117, 1, 0], &[1, 117, 2, 0, 0x7d]);
    assert!(refusal(&infinite).ends_with("mean colour is inf, which is not a finite number"));
    let share = replaced("loss_mmod_", &[1, 3, 0x81, 3], &[1, 3, 0x81, 1]);
    assert!(refusal(&share).ends_with("overlap of two boxes is 1.5, which is not between 0 and 1"));
    let pair = |a: f32, b: f32| [a.to_le_bytes(), b.to_le_bytes()].concat();
    let variance = replaced("bn_con2", &pair(3.0, 3.0), &pair(3.0, -3.0));
    assert!(
        refusal(&variance).ends_with("is -3, which is not 0 or more"),
        "{}",
        refusal(&variance)
    );
}

#[test]
fn other_networks_are_named() {
    assert!(refusal(&replaced("", b"loss_mmod_", b"loss_ranki")).contains("\"loss_ranki\""));
    assert!(refusal(&replaced("bn_con2", b"relu_", b"prelu"))
        .ends_with("kind of a layer is \"prelu\", expected \"relu_\""));
    assert!(refusal(&replaced("", &[1, 80], &[1, 0]))
        .ends_with("window width is 0, expected 1 to 1024"));
    assert!(refusal(&replaced("", &[1, 1], &[0x11, 1])).ends_with("no length of a packed integer"));
    assert!(refusal(&replaced("con_4", b"110", b"1x0")).ends_with("is 0x78, expected `0` or `1`"));
}

#[test]
fn small_and_large_floats_survive() {
    let real = |mantissa: i64, exponent: i64| {
        let mut w = Writer::default();
        w.reals(&[(mantissa, exponent)]);
        Reader { bytes: &w.0, at: 0 }.real("number", Range::Finite)
    };
    assert_eq!(real(0xf5_9062, -17).expect("finite"), f64::from(122.782f32));
    assert_eq!(real(-1, -1074).expect("finite"), -f64::from_bits(1));
    assert_eq!(real(1 << 52, -1126).expect("finite"), f64::from_bits(1));
    assert_eq!(real(5, i64::MIN + 1).expect("finite"), 0.0);
    assert!(real(1, 1024).is_err() && real(1, i64::MAX).is_err());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(parse_small(&bytes).is_err());
    }

    #[test]
    fn spliced_files_never_panic(cut in 0usize..1500, skip in 0usize..1500, byte: u8) {
        let file = small_file();
        let (cut, skip) = (cut % file.len(), skip % file.len());
        let mut spliced = [&file[..cut], &[byte], &file[skip..]].concat();
        let _ = parse_small(&spliced);
        spliced.truncate(cut + 1);
        prop_assert!(parse_small(&spliced).is_err());
    }
}

#[test]
fn the_published_file_is_read_and_its_damage_is_noticed() {
    let Some(path) = test_weights() else { return };
    let file = std::fs::read(path).expect("readable");
    let weights = Weights::parse(&file).expect("published file");
    let values = |c: &Convolution| c.filters.len() + c.biases.len();
    let scaled = |c: &Convolution| c.affine.as_ref().map_or(0, |a| a.gain.len() + a.bias.len());
    let total: usize = weights.convolutions.iter().map(|c| values(c) + scaled(c)).sum();
    assert_eq!(total, 181_141);
    for end in (0..file.len()).step_by(4999) {
        assert!(Weights::parse(&file[..end]).is_err(), "{end}");
    }
    let mut damaged = file.clone();
    for at in (0..file.len()).step_by(997).chain(0..140).chain(5000..5700) {
        damaged[at] ^= 0xff;
        if let Err(error) = Weights::parse(&damaged) {
            assert!(error.offset <= file.len(), "{at}: {error}");
        }
        damaged[at] = file[at];
    }
}

#[test]
fn numbers_that_overflow_only_when_they_are_used_are_refused() {
    // Finite in 64 bits, not in the 32 that a colour has: 117 x 2^200.
    let colour = replaced("pyramid", &[1, 117, 1, 0], &[1, 117, 1, 200]);
    assert!(refusal(&colour).ends_with("which is not a finite number of 32 bits"), "{colour:?}");
    // A variance of 0 and an eps of 2^-200: gamma would be divided by nothing.
    let mut file = small_file();
    let three = [3f32.to_le_bytes(), 3f32.to_le_bytes()].concat();
    let variances = file.windows(8).rposition(|w| w == three).expect("is there");
    file[variances..variances + 8].fill(0);
    // Behind them two integers and four reals.
    let eps = variances + 8 + 4 + 16;
    assert_eq!(file[eps..eps + 4], [1, 1, 1, 0]);
    assert!(parse_small(&file).is_ok(), "eps is 1");
    file[eps + 2..eps + 4].copy_from_slice(&[0x81, 200]);
    let error = parse_small(&file).expect_err("gamma over nothing");
    assert_eq!(error.offset, eps);
    assert!(error.to_string().ends_with("normalisation is inf, which is not a finite number"));
}

/// The fuzzer starts from this file too.
#[test]
fn the_fuzzers_small_file_is_the_one_above() {
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/mmod/small.dat");
    assert!(std::fs::read(kept).expect("fixture") == small_file(), "run write_small_file");
}

/// Not a test: writes that file into `$MMOD_SMALL`.
#[test]
#[ignore = "writes the fuzzer's small file"]
fn write_small_file() {
    let path = std::env::var_os("MMOD_SMALL").expect("MMOD_SMALL is set");
    std::fs::write(path, small_file()).expect("writable");
}
