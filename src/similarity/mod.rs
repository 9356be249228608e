//! Content, not names: which pictures and which clips show the same video.
//!
//! ```text
//! luma plane -> 32 x 32 cells -> 64-bit hash -> pairs at a small Hamming distance
//!     clips:  -> aligned signatures           -> groups, pairs across parts
//!     stills: -> cells compared, windows too  -> pairs across parts, runs, videos
//! ```
//!
//! Pure: pixels and hashes in, positions out, in an order that depends on the input alone.
//! Thresholds come from a small planted corpus of drawn clips; see `docs/measurements/audit.md` for what is
//! missed.
pub mod align;
pub mod clips;
pub mod distances;
pub mod features;
pub mod frames;
pub mod groups;
pub mod hash;
pub mod images;
pub mod leak;
pub mod near_duplicates;
pub mod owners;
pub mod pairs;
pub mod runs;
pub mod windows;

pub use align::{align, Alignment};
pub use groups::{groups, Grouping, Link, Member, Reason};
