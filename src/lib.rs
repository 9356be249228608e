//! `ncaers` rebuilds the NCAER-S emotion data set from CAER's video clips, trains GLAMOR-Net and
//! the baselines of "Global-local attention for emotion recognition" (Le et al., Neural Computing
//! and Applications, 2021) on LibTorch, and evaluates them with tests one can defend.
//!
//! # The data path
//!
//! One type per arrow; every stage reads a file and writes a new one.
//!
//! ```text
//! clip -> segments -> frame -> faces -> sample -> split -> pack -> batch -> model
//!      -> prediction -> metric -> table
//! ```
//!
//! Dependencies point downwards only (`tests/it/layering.rs`):
//!
//! ```text
//! 6   cli                                          arguments -> one call -> print
//! 5   experiment  annotate                         grids, executors; faces drawn in
//! 4b  leak_audit  evaluation                       a data set audited; predictions of anyone scored
//! 4a  dataset  train  report                       build, import, export, verify; loops; renderers
//! 3b  corpus   pack   runs   leak_verdicts         folders -> clips, samples -> tensors, run folders
//! 3a  media    face   manifest   weights           disk, child processes, Parquet, weight files
//! 2b  metric                                       pure, on top of stats
//! 2a  sampling  split  similarity  model  stats    pure: same input, same seed, same output
//! 1   record   seed   folder   atomic   digest   table   progress   escape   libtorch
//!                                                  words, draws, output folders, files, messages
//! ```
#![warn(missing_docs)]
// A closed stream would end the work: `progress::message` speaks, `cli` answers.
#![deny(clippy::print_stdout, clippy::print_stderr)]

#[cfg(feature = "torch")]
pub mod annotate;
pub mod atomic;
pub mod cli;
pub mod corpus;
pub mod dataset;
pub mod digest;
pub mod escape;
pub mod evaluation;
pub mod experiment;
pub mod face;
pub mod folder;
pub mod leak_audit;
pub mod leak_verdicts;
#[cfg(feature = "torch")]
pub mod libtorch;
pub mod manifest;
pub mod media;
pub mod metric;
pub mod model;
pub mod pack;
pub mod progress;
pub mod record;
pub mod report;
pub mod runs;
pub mod sampling;
pub mod seed;
pub mod similarity;
pub mod split;
pub mod stats;
pub mod table;
pub mod train;
#[cfg(feature = "torch")]
pub mod weights;
