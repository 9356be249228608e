//! Data sets: built from clips, imported from stills, merged, checked, and written for others.
//!
//! ```text
//! corpus -> clips -> [worker processes: decode, draw, detect, encode] -> journal
//!        -> [merge: group, split, leaks, balance] -> Parquet + pictures + card
//! ```
mod build;
mod card;
mod clip;
mod clip_result;
mod croissant;
mod describe;
mod diff;
mod export;
mod import;
mod inputs;
mod job;
mod journal;
mod lines;
pub mod locate;
mod merge;
mod patience;
mod pool;
mod process;
mod publication;
pub mod rebuild;
pub mod recipe;
mod results;
mod rows;
mod rules;
mod settings;
mod tables;
pub mod verify;
pub mod withdraw;
mod worker;

pub use build::{identity, plan, run, shard_identity};
pub use clip_result::{ClipResult, DecodedFacts, SavedFrame};
pub use diff::{diff, Comparison, KINDS as DIFFERENCES};
pub use export::{export, Exported, LAYOUTS};
pub use import::{import, Asked, Faces};
pub use inputs::Clips;
pub use merge::{merge_shards, tables};
pub use process::ready as ready_workers;
pub use publication::Publication;
pub use results::ClipResults;
pub use rows::Parts;
pub use rules::Configuration;
pub use settings::{
    BuildOptions, BuildOutcome, BuildSummary, Config, ImageFormat, ImportConfig, Shard,
};
pub use worker::{become_worker, serve};
