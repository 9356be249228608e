//! `ncaers` rebuilds the NCAER-S emotion data set from CAER's video clips, trains GLAMOR-Net and
//! the baselines of "Global-local attention for emotion recognition" (Le et al., Neural Computing
//! and Applications, 2021) on LibTorch, and evaluates them with tests one can defend.
//!
//! The program `ncaers` is a thin layer over this library: a command takes its arguments, makes one
//! call of those below, and prints. Whatever a command writes, a program of yours can write too.
//!
//! # Scoring predictions
//!
//! ```
//! use ncaers::{read_predictions, Reading, Scores, Split};
//!
//! # fn main() -> anyhow::Result<()> {
//! let folder = tempfile::tempdir()?;
//! let table = folder.path().join("answers.csv");
//! std::fs::write(&table, "id,group,target,predicted\n\
//!     a/0,a,Happy,Happy\na/1,a,Happy,Sad\nb/0,b,Sad,Sad\nc/0,c,Sad,Sad\n")?;
//!
//! let answers = read_predictions(&table, Split::Test, &Reading::default())?;
//! let scores = Scores::of(&answers, None, None)?;
//! assert_eq!(scores.evaluation.metric("accuracy").and_then(|m| m.value), Some(0.75));
//! # Ok(())
//! # }
//! ```
//!
//! `examples/library.rs` goes the whole way from pictures to a comparison of two models.
//!
//! # What is where
//!
//! | stage | call | settings | result |
//! |---|---|---|---|
//! | list and decode clips | [`build`], [`merge_shards`] | [`BuildConfig`], [`BuildOptions`] | [`BuildOutcome`] |
//! | take stills that exist | [`import`] | [`ImportConfig`], [`Faces`] | [`BuildOutcome`] |
//! | check, compare, hand on | [`verify`], [`diff`], [`export`] | | [`VerifyReport`], [`DataSetDiff`], [`Exported`] |
//! | find what splits share | [`audit`] | [`AuditRequest`], [`AuditRule`] | [`AuditSummary`] |
//! | train and predict | [`pack`](pack()), [`train`](train()), [`predict`] | [`Preprocessing`], [`Experiment`] | [`Packed`], [`Trained`], [`Predicted`] |
//! | score, compare | [`read_predictions`], [`Scores::of`], [`ModelComparison::of`] | [`Reading`], [`ComparisonOptions`] | [`Scores`], [`ModelComparison`] |
//! | draw faces in | [`annotate`](annotate()) | [`AnnotateRequest`] | [`Annotated`] |
//! | make things to try | [`draw_demo_corpus`], [`draw_demo_stills`] | [`DemoCorpusSettings`] | [`Drawn`] |
//! | know machine, network and cost | [`check_machine`], [`ModelSummary::of`], [`convert_weights`], [`forecast_training`] | [`ModelConfig`], [`Weights`], [`Experiment`] | [`MachineCheck`], [`ModelSummary`], [`ConvertedWeights`], [`TrainForecast`] |
//! | report | [`write_report`], [`write_report_of_several`] | [`ReportRequest`] | [`ReportSummary`] |
//!
//! [`record`] defines the words, [`manifest`] the tables of a data set, [`runs`] the folder of a run.
//! [`internals`] is for this project's own tests and measurements and may change at any time.
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
//! 5b  annotate                                     faces drawn into pictures and videos
//! 5a  experiment                                   grids, executors
//! 4b  leak_audit  evaluation                       a data set audited; predictions of anyone scored
//! 4a  dataset  train  report                       build, import, export, verify; loops; renderers
//! 3b  corpus   pack   runs   leak_verdicts   machine   folders -> clips, samples -> tensors, run folders
//! 3a  media    face   manifest   weights           disk, child processes, Parquet, weight files
//! 2b  metric                                       pure, on top of stats
//! 2a  sampling  split  similarity  model  stats    pure: same input, same seed, same output
//! 1   record   seed   folder   atomic   digest   table   words   progress   escape   html   libtorch   device
//!     allocator
//!                                                  words, draws, output folders, files, messages
//! ```
#![cfg_attr(
    not(feature = "torch"),
    allow(
        dead_code,
        unused_imports,
        reason = "some of what training and drawing share is then called by nobody; with torch all is judged"
    )
)]

mod allocator;
#[cfg(feature = "torch")]
mod annotate;
mod atomic;
mod cli;
mod corpus;
mod dataset;
mod device;
mod digest;
mod escape;
mod evaluation;
mod experiment;
mod face;
mod folder;
mod html;
pub mod internals;
mod leak_audit;
mod leak_verdicts;
#[cfg(feature = "torch")]
mod libtorch;
mod machine;
pub mod manifest;
mod media;
mod metric;
mod model;
mod pack;
mod progress;
pub mod record;
mod report;
pub mod runs;
mod sampling;
mod seed;
mod similarity;
mod split;
mod stats;
mod table;
mod text;
mod train;
#[cfg(feature = "torch")]
mod weights;
mod words;

#[cfg(feature = "torch")]
pub use annotate::{annotate, AnnotateRequest, Annotated};
/// Runs the program with the arguments of this process; `ncaers` is nothing else.
pub use cli::main as command_line;

pub use corpus::{
    demo::{
        draw as draw_demo_corpus, draw_stills as draw_demo_stills, DemoCorpusSettings,
        DemoCorpusSummary, Drawn, StillsSummary,
    },
    Choices, Listing,
};
pub use dataset::{
    become_worker, diff, export, import, merge_shards, run as build, verify::verify,
    verify::Report as VerifyReport, Asked, BuildOptions, BuildOutcome, BuildSummary, Clips,
    Comparison as DataSetDiff, Config as BuildConfig, Exported, Faces, ImageFormat, ImportConfig,
    Shard, LAYOUTS,
};
pub use evaluation::{
    read as read_predictions, read_all as read_all_predictions, read_for_report, CleanAccuracy,
    Leaderboard, ModelComparison, Named, Predictions, Reading, Saved, Scores, Targets, Units,
};
#[cfg(feature = "torch")]
pub use experiment::{
    predict_run::{predict, PredictRequest, Predicted},
    train_run::{forecast as forecast_training, train, TrainForecast, TrainOptions, Trained},
    Experiment,
};
pub use face::{boxes::Format as BoxFormat, Choice as FaceChoice, DetectorRequest as FaceRequest};
pub use leak_audit::{run as audit, AuditRequest, AuditSource, AuditSummary, Saved as AuditSaved};
pub use machine::{check_machine, CheckState, MachineCheck};
pub use manifest::Manifest;
pub use metric::{Evaluation, Measured, Metric, METRICS};
#[cfg(feature = "torch")]
pub use model::ModelSummary;
pub use model::{
    Attention, Backbone, Branches, Context, Freeze, Fusion, ModelConfig, ModelName, Normalization,
    Picture, Preset, Weights,
};
pub use pack::{pack, Pack, PackInput, Packed, Preprocessing};
pub use record::{
    Clip, ClipStatus, Damage, Emotion, FaceBox, LedgerEntry, LedgerKind, Prediction, Sample,
    Segment, Split,
};
pub use report::{
    several::{write as write_report_of_several, ReportPart, Several as ReportOfSeveral},
    write as write_report, ImportedRun, ReportRequest, ReportSummary, Rules as ReportRules,
};
pub use similarity::images::Rule as AuditRule;
pub use split::{holdout::ValShare, Balance, OnLeak, Shares};
pub use stats::{
    answers::{Answer, Answers, ClassScores, ScoreKind},
    comparison::ComparisonOptions,
    interval::Interval,
};
#[cfg(feature = "torch")]
pub use train::Interrupted;
pub use train::{
    Augment, ClassWeights, Flip, LossKind, MissingClasses, OptimizerKind, Precision, Schedule,
    Selection, StageEpochs, TrainConfig,
};
#[cfg(feature = "torch")]
pub use weights::{convert as convert_weights, forward as forward_file, ConvertedWeights};
pub use words::Words;
