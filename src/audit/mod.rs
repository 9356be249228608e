//! Content, not names: which pictures and which clips show the same video.
//!
//! ```text
//! luma plane -> 64-bit hash -> pairs at a small Hamming distance -> aligned signatures -> groups
//! ```
//!
//! Pure: pixels and hashes in, positions out, in an order that depends on the input alone.
//! Thresholds come from a small planted corpus of drawn clips; cropped copies and large logos are
//! not reliably found.
pub mod align;
pub mod groups;
pub mod hash;
pub mod pairs;
pub mod stills;

pub use align::{align, Alignment};
pub use groups::{groups, Grouping, Link, Member, Reason};
