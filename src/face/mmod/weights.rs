//! Reader of `mmod_human_face_detector.dat`, the network that dlib serialised in 2016.
//!
//! Integers are packed (a control byte with the sign and the number of bytes, then the bytes from
//! the low end), texts and tensors carry their lengths, floats are mantissa and exponent. The
//! reader knows which network it expects, so that every count is compared before anything is
//! allocated, and every byte of the file is read as something that has a name.
use std::fmt;

/// One convolution of the network; all kernels are square.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Channels in.
    pub channels: usize,
    /// Channels out.
    pub filters: usize,
    /// Edge of the kernel.
    pub kernel: usize,
    /// Step in both directions.
    pub stride: usize,
    /// Zeros on every side of the input.
    pub padding: usize,
}

impl Shape {
    const fn new(channels: usize, filters: usize, kernel: usize, stride: usize) -> Self {
        // dlib pads only where the step is 1, by half the kernel.
        let padding = if stride == 1 { kernel / 2 } else { 0 };
        Shape { channels, filters, kernel, stride, padding }
    }

    fn weights(&self) -> usize {
        self.filters * self.channels * self.kernel * self.kernel
    }
}

/// The convolutions of dlib's face detector from the picture outwards; all but the last are
/// followed by an affine map per channel and a ReLU.
pub const DETECTOR: [Shape; 7] = [
    Shape::new(3, 16, 5, 2),
    Shape::new(16, 32, 5, 2),
    Shape::new(32, 32, 5, 2),
    Shape::new(32, 45, 5, 1),
    Shape::new(45, 45, 5, 1),
    Shape::new(45, 45, 5, 1),
    Shape::new(45, 1, 9, 1),
];

/// What the file says, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// Width and height of the sliding window in pixels of a pyramid level.
    pub window: (u32, u32),
    /// Two boxes whose intersection covers more than this share of their common bounding box are
    /// one face.
    pub overlap: f64,
    /// Two boxes are one face too when this share of either is covered.
    pub covered: f64,
    /// Mean red, green and blue that are subtracted from a picture.
    pub means: [f32; 3],
    /// The convolutions from the picture outwards.
    pub convolutions: Vec<Convolution>,
}

/// Weights of one convolution and of the affine map behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Convolution {
    /// Sizes.
    pub shape: Shape,
    /// `[filters, channels, kernel, kernel]`, rows before columns.
    pub filters: Vec<f32>,
    /// `[filters]`.
    pub biases: Vec<f32>,
    /// Gain and bias per filter; `None` after the last convolution.
    pub affine: Option<Affine>,
}

/// Batch normalisation with its statistics folded in: `gain * x + bias`.
#[derive(Clone, Debug, PartialEq)]
pub struct Affine {
    /// `[filters]`, gamma / sqrt(variance + eps).
    pub gain: Vec<f32>,
    /// `[filters]`, beta - gain * mean.
    pub bias: Vec<f32>,
}

/// What is wrong with a weights file, and where.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("byte {offset}: {problem}")]
pub struct Error {
    /// Bytes before the thing that is wrong.
    pub offset: usize,
    /// What it is.
    pub problem: Problem,
}

/// The ways in which a weights file can be wrong.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Problem {
    /// The file stops too early.
    #[error("the file ends where {0} should be")]
    Truncated(&'static str),
    /// A control byte with reserved bits, or an integer of 0 or more than 8 bytes.
    #[error("{what} starts with {byte:#04x}, which is no length of a packed integer")]
    Integer {
        /// What should stand here.
        what: &'static str,
        /// The control byte.
        byte: u8,
    },
    /// An integer beyond 64 bits with sign.
    #[error("{0} does not fit into 64 bits")]
    Overflow(&'static str),
    /// Something else than this network has here.
    #[error("{what} is {found}, expected {expected}")]
    Unexpected {
        /// What stands here.
        what: &'static str,
        /// What the file says.
        found: String,
        /// What dlib's face detector has.
        expected: String,
    },
    /// A number that no computation can use.
    #[error("{what} is {found}, which is not {expected}")]
    Number {
        /// What stands here.
        what: &'static str,
        /// The number in the file.
        found: f64,
        /// The range it must be in.
        expected: &'static str,
    },
    /// Bytes after the network.
    #[error("{0} bytes follow the network")]
    Trailing(usize),
}

impl Weights {
    /// Reads dlib's face detector.
    ///
    /// # Errors
    /// At the first byte that is not as in a file of this network; nothing larger than the file
    /// itself is ever allocated.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        Self::parse_as(bytes, &DETECTOR)
    }

    /// Reads a network of the same kind with other convolutions.
    pub(super) fn parse_as(bytes: &[u8], shapes: &[Shape]) -> Result<Self, Error> {
        let mut reader = Reader { bytes, at: 0 };
        let mut weights = reader.header()?;
        reader.nesting(3 * shapes.len() - 2)?;
        weights.means = reader.input_layer()?;
        for (i, &shape) in shapes.iter().enumerate() {
            let (first, last) = (i == 0, i + 1 == shapes.len());
            weights.convolutions.push(reader.block(shape, first, last)?);
        }
        match bytes.len() - reader.at {
            0 => Ok(weights),
            left => Err(reader.error(reader.at, Problem::Trailing(left))),
        }
    }
}

/// A place in the file.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn error(&self, offset: usize, problem: Problem) -> Error {
        Error { offset, problem }
    }

    fn take(&mut self, what: &'static str, count: usize) -> Result<&'a [u8], Error> {
        let end = self.at.checked_add(count).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or_else(|| self.error(self.at, Problem::Truncated(what)))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// A packed integer.
    fn integer(&mut self, what: &'static str) -> Result<i64, Error> {
        let start = self.at;
        let control = self.take(what, 1)?[0];
        let count = usize::from(control & 0x0f);
        if control & 0x70 != 0 || !(1..=8).contains(&count) {
            return Err(self.error(start, Problem::Integer { what, byte: control }));
        }
        let mut magnitude = [0; 8];
        magnitude[..count].copy_from_slice(self.take(what, count)?);
        let magnitude = i64::try_from(u64::from_le_bytes(magnitude))
            .map_err(|_| self.error(start, Problem::Overflow(what)))?;
        Ok(if control & 0x80 == 0 { magnitude } else { -magnitude })
    }

    /// An integer that has one right value.
    fn exactly(&mut self, what: &'static str, expected: usize) -> Result<(), Error> {
        let start = self.at;
        let found = self.integer(what)?;
        self.same(start, what, &found, &(expected as i64))
    }

    fn same<T>(&self, at: usize, what: &'static str, found: &T, right: &T) -> Result<(), Error>
    where
        T: PartialEq + fmt::Debug,
    {
        if found == right {
            return Ok(());
        }
        let (found, expected) = (format!("{found:?}"), format!("{right:?}"));
        Err(self.error(at, Problem::Unexpected { what, found, expected }))
    }

    /// A text that has one right value.
    fn text(&mut self, what: &'static str, expected: &str) -> Result<(), Error> {
        let start = self.at;
        // The length is compared first: a wrong one is never waited for.
        self.exactly(what, expected.len())?;
        let found = String::from_utf8_lossy(self.take(what, expected.len())?);
        self.same(start, what, &found.as_ref(), &expected)
    }

    /// A float as mantissa and exponent; finite and inside `range`.
    fn real(&mut self, what: &'static str, range: Range) -> Result<f64, Error> {
        let start = self.at;
        let mantissa = self.integer(what)?;
        let exponent = self.integer(what)?;
        let power = i32::try_from(exponent.clamp(-4096, 4096)).expect("clamped");
        // In two steps, since 2^-1074 alone is already 0 with most mantissas; 32000 and above is
        // dlib's code for infinities.
        let found = mantissa as f64 * 2f64.powi(power / 2) * 2f64.powi(power - power / 2);
        if found.is_finite() && range.holds(found) {
            Ok(found)
        } else {
            let range = if found.is_finite() { range } else { Range::Finite };
            let expected = range.words();
            Err(self.error(start, Problem::Number { what, found, expected }))
        }
    }

    /// A boolean, `0` or `1`.
    fn flag(&mut self, what: &'static str) -> Result<bool, Error> {
        let start = self.at;
        match self.take(what, 1)?[0] {
            b'0' => Ok(false),
            b'1' => Ok(true),
            other => {
                let found = format!("{other:#04x}");
                let expected = "`0` or `1`".to_owned();
                Err(self.error(start, Problem::Unexpected { what, found, expected }))
            }
        }
    }

    fn dimensions(&mut self, what: &'static str, right: [usize; 4]) -> Result<(), Error> {
        let start = self.at;
        let mut found = [0; 4];
        for size in &mut found {
            *size = self.integer(what)?;
        }
        self.same(start, what, &found, &right.map(|n| n as i64))
    }

    /// A tensor of known size.
    fn tensor(&mut self, what: &'static str, right: [usize; 4]) -> Result<Vec<f32>, Error> {
        self.exactly(what, 2)?;
        self.dimensions(what, right)?;
        let start = self.at;
        let raw = self.take(what, 4 * right.iter().product::<usize>())?;
        let values = raw.chunks_exact(4);
        let values: Vec<f32> =
            values.map(|b| f32::from_le_bytes(b.try_into().expect("four bytes"))).collect();
        match values.iter().position(|v| !v.is_finite()) {
            None => Ok(values),
            Some(i) => {
                let found = f64::from(values[i]);
                let expected = Range::Finite.words();
                Err(self.error(start + 4 * i, Problem::Number { what, found, expected }))
            }
        }
    }

    /// A tensor that only training fills.
    fn nothing(&mut self, what: &'static str) -> Result<(), Error> {
        self.tensor(what, [0; 4]).map(drop)
    }

    /// The shape of a view into a tensor.
    fn alias(&mut self, what: &'static str, right: [usize; 4]) -> Result<(), Error> {
        self.exactly(what, 1)?;
        self.dimensions(what, right)
    }

    /// Learning rates, weight decays: of no use here.
    fn reals(&mut self, what: &'static str, count: usize) -> Result<(), Error> {
        (0..count).try_for_each(|_| self.real(what, Range::Finite).map(drop))
    }

    /// The loss layer's options, which hold the window and the overlap thresholds.
    fn header(&mut self) -> Result<Weights, Error> {
        self.exactly("version of the loss layer", 1)?;
        self.text("kind of the loss layer", "loss_mmod_")?;
        self.exactly("version of the detector's options", 1)?;
        let window = (self.pixels("window width")?, self.pixels("window height")?);
        self.reals("loss weight", 2)?;
        self.real("overlap with the truth", Range::Share)?;
        let overlap = self.real("overlap of two boxes", Range::Share)?;
        let covered = self.real("covered share of a box", Range::Share)?;
        self.real("overlap with an ignored box", Range::Share)?;
        self.real("covered share of an ignored box", Range::Share)?;
        Ok(Weights { window, overlap, covered, means: [0.0; 3], convolutions: Vec::new() })
    }

    /// An edge of the window.
    fn pixels(&mut self, what: &'static str) -> Result<u32, Error> {
        let start = self.at;
        let found = self.integer(what)?;
        u32::try_from(found).ok().filter(|n| (1..=1024).contains(n)).ok_or_else(|| {
            let expected = "1 to 1024".to_owned();
            self.error(start, Problem::Unexpected { what, found: found.to_string(), expected })
        })
    }

    /// The versions of the nested layers from the outside in.
    fn nesting(&mut self, layers: usize) -> Result<(), Error> {
        (1..layers).try_for_each(|_| self.exactly("version of a layer", 2))?;
        self.exactly("version of the innermost layer", 3)
    }

    fn input_layer(&mut self) -> Result<[f32; 3], Error> {
        // This version has no paddings of its own: dlib then takes 10 and 11.
        self.text("kind of the input layer", "input_rgb_image_pyramid")?;
        let mut means = [0.0; 3];
        for mean in &mut means {
            *mean = self.real("mean colour", Range::Single)? as f32;
        }
        Ok(means)
    }

    /// A convolution and, but for the last, its affine map and its ReLU.
    fn block(&mut self, shape: Shape, first: bool, last: bool) -> Result<Convolution, Error> {
        let (filters, biases) = self.convolution(shape)?;
        self.layer_end(first)?;
        if last {
            return Ok(Convolution { shape, filters, biases, affine: None });
        }
        let affine = Some(self.affine(shape.filters)?);
        self.layer_end(false)?;
        self.text("kind of a layer", "relu_")?;
        self.layer_end(false)?;
        Ok(Convolution { shape, filters, biases, affine })
    }

    fn convolution(&mut self, shape: Shape) -> Result<(Vec<f32>, Vec<f32>), Error> {
        let Shape { channels, filters, kernel, stride, padding } = shape;
        self.text("kind of a layer", "con_4")?;
        let count = shape.weights();
        let mut values = self.tensor("weights of a convolution", [count + filters, 1, 1, 1])?;
        self.exactly("number of filters", filters)?;
        for (what, right) in [("kernel", kernel), ("stride", stride), ("padding", padding)] {
            self.exactly(what, right)?;
            self.exactly(what, right)?;
        }
        self.alias("shape of the filters", [filters, channels, kernel, kernel])?;
        self.alias("shape of the biases", [1, filters, 1, 1])?;
        self.reals("learning rate of a convolution", 4)?;
        let biases = values.split_off(count);
        Ok((values, biases))
    }

    fn affine(&mut self, n: usize) -> Result<Affine, Error> {
        self.text("kind of a layer", "bn_con2")?;
        let values = self.tensor("gammas and betas", [2 * n, 1, 1, 1])?;
        self.alias("shape of the gammas", [1, n, 1, 1])?;
        self.alias("shape of the betas", [1, n, 1, 1])?;
        self.tensor("means of the last batch", [1, n, 1, 1])?;
        self.tensor("inverse deviations of the last batch", [1, n, 1, 1])?;
        let means = self.tensor("running means", [1, n, 1, 1])?;
        let start = self.at;
        let variances = self.tensor("running variances", [1, n, 1, 1])?;
        self.integer("number of updates")?;
        self.integer("window of the running statistics")?;
        self.reals("learning rate of a normalisation", 4)?;
        let end = self.at;
        let eps = self.real("eps of a normalisation", Range::Positive)?;
        if let Some(&v) = variances.iter().find(|&&v| v < 0.0) {
            let (what, found, expected) = ("running variance", f64::from(v), "0 or more");
            return Err(self.error(start, Problem::Number { what, found, expected }));
        }
        let affine = folded(&values, &means, &variances, eps as f32);
        // A tiny variance with a tiny eps divides by nearly nothing.
        match affine.gain.iter().chain(&affine.bias).find(|v| !v.is_finite()) {
            None => Ok(affine),
            Some(&v) => {
                let (what, found) = ("gain or bias of a normalisation", f64::from(v));
                let expected = Range::Finite.words();
                Err(self.error(end, Problem::Number { what, found, expected }))
            }
        }
    }

    /// What every layer ends with: three flags and what only training fills.
    fn layer_end(&mut self, innermost: bool) -> Result<(), Error> {
        for what in ["flag `set up`", "flag `gradient is stale`", "flag `runs in place`"] {
            self.flag(what)?;
        }
        self.nothing("gradient of a layer's input")?;
        self.nothing("kept output of a layer")?;
        self.nothing("gradient of a layer's weights")?;
        if innermost {
            self.exactly("sample expansion factor", 1)?;
        }
        Ok(())
    }
}

/// A normalisation as gain and bias; `values` are its gammas and then its betas.
fn folded(values: &[f32], means: &[f32], variances: &[f32], eps: f32) -> Affine {
    let (gamma, beta) = values.split_at(means.len());
    let gain: Vec<f32> = gamma.iter().zip(variances).map(|(g, v)| g / (v + eps).sqrt()).collect();
    let bias = (0..means.len()).map(|i| beta[i] - gain[i] * means[i]).collect();
    Affine { gain, bias }
}

/// The numbers that are allowed somewhere.
#[derive(Clone, Copy)]
enum Range {
    Finite,
    /// Finite in 32 bits too.
    Single,
    Positive,
    Share,
}

impl Range {
    fn holds(self, number: f64) -> bool {
        match self {
            Range::Finite => true,
            Range::Single => (number as f32).is_finite(),
            Range::Positive => number > 0.0,
            Range::Share => (0.0..=1.0).contains(&number),
        }
    }

    fn words(self) -> &'static str {
        match self {
            Range::Finite => "a finite number",
            Range::Single => "a finite number of 32 bits",
            Range::Positive => "a finite number above 0",
            Range::Share => "between 0 and 1",
        }
    }
}

#[cfg(test)]
#[path = "weights_tests.rs"]
mod tests;
