//! Content, not names: which pictures and which clips show the same video.
//!
//! ```text
//! luma plane -> 32 x 32 cells -> 64-bit hash -> pairs at a small Hamming distance
//!     clips:  -> aligned signatures           -> groups, pairs across parts
//!     stills: -> cells compared               -> pairs across parts, runs, videos
//! bars cut away -> PDQ hash, corners, cells (a view) -> pictures laid over each other
//!     stills and moments of clips: altered copies    -> pairs, groups, videos
//! ```
//!
//! Pure: pixels and hashes in, positions out, in an order that depends on the input alone.
//! Thresholds come from small planted corpora of drawn clips and photographs; see `docs/measurements/audit.md` for what is
//! missed.
pub mod align;
pub mod borders;
pub mod candidates;
pub mod cells;
pub mod clip_views;
pub mod clips;
pub mod crowds;
pub mod distances;
pub mod fast;
pub mod features;
pub mod frames;
pub mod groups;
pub mod hash;
pub mod images;
pub mod keypoints;
pub mod leak;
pub mod near_duplicates;
pub mod overlay;
pub mod owners;
pub mod pairs;
pub mod pdq;
pub mod plane;
pub mod refine;
pub mod registration;
pub mod runs;
pub mod union_find;
pub mod view;
pub mod warp;
mod wide;
pub mod windows;
pub mod words;

pub use groups::{groups, Member};

/// Told of every two pictures that were laid over each other, with how many pairs there are: by far the longest
/// part of a comparison.
pub type Watch<'a> = &'a (dyn Fn(usize) + Sync);
