//! Data sets: built from clips, imported from stills, merged, checked, and written for others.
//!
//! ```text
//! corpus -> clips -> [worker processes: decode, draw, detect, encode] -> journal
//!        -> [merge: group, split, leaks, balance] -> Parquet + pictures + card
//! ```
mod build;
mod card;
mod clip;
mod croissant;
mod export;
mod import;
mod inputs;
mod journal;
mod merge;
mod patience;
mod pool;
mod publication;
mod rows;
mod rules;
mod tables;
pub mod verify;

pub use build::{
    identity, plan, run, shard_identity, Config, ImageFormat, Options, Outcome, Shard, Summary,
};
pub use clip::{serve, ClipResult, DecodedFacts, Lost, SavedFrame, Still};
pub use export::{export, Exported, LAYOUTS};
pub use import::{import, Asked, Faces, ImportConfig};
pub use inputs::Clips;
pub use merge::{merge_shards, tables, Parts};
pub use publication::Publication;
pub use rules::{Configuration, Rules};
pub use tables::Tables;
