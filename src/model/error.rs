//! The ways in which input can fail to fit a network.

/// Input that a network cannot take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// A picture that the network needs was not given.
    #[error(
        "tensor `{name}` is missing; the model needs it as {expected:?} [N, 3, height, width]"
    )]
    Missing {
        /// `face`, `context` or `image`.
        name: &'static str,
        /// The shape without N: channels, height, width.
        expected: Vec<i64>,
    },
    /// A picture has another shape.
    #[error("tensor `{name}` has shape {found:?}; the model needs [N, {}]", join(expected))]
    Shape {
        /// `face`, `context` or `image`.
        name: &'static str,
        /// The shape needed, without N.
        expected: Vec<i64>,
        /// The shape found.
        found: Vec<i64>,
    },
    /// The pictures of one batch differ in number.
    #[error("tensor `{name}` has shape {found:?}, but the batch holds {batch} samples")]
    Batch {
        /// The picture that differs from the first one.
        name: &'static str,
        /// Its shape.
        found: Vec<i64>,
        /// N of the first picture.
        batch: i64,
    },
    /// A picture is not of 32-bit floats.
    #[error("tensor `{name}` holds {found} of shape {shape:?}; the model needs Float")]
    Kind {
        /// `face`, `context` or `image`.
        name: &'static str,
        /// The element type found.
        found: String,
        /// Its shape.
        shape: Vec<i64>,
    },
    /// A picture holds NaN or infinity.
    #[error("tensor `{name}` of shape {shape:?} holds {count} values that are not finite")]
    NotFinite {
        /// `face`, `context` or `image`.
        name: &'static str,
        /// Its shape.
        shape: Vec<i64>,
        /// How many values.
        count: i64,
    },
    /// A branch that this variant does not have.
    #[error("the model has no {0} encoder")]
    NoBranch(&'static str),
}

fn join(shape: &[i64]) -> String {
    shape.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
}
