//! The commands: one file each with its arguments and `run`, the only place where input, output
//! and logic meet.
use std::{io::Write, process::ExitCode};

use clap::{Parser, Subcommand};
use serde_json::Value;

#[cfg(feature = "torch")]
mod ablation;
#[cfg(feature = "torch")]
mod annotate;
mod audit;
mod bench;
mod build;
mod compare;
mod completions;
mod demo_corpus;
mod diff;
mod evaluate;
mod export;
mod face;
mod import;
mod locate;
mod merge;
#[cfg(feature = "torch")]
mod model;
mod pack;
#[cfg(feature = "torch")]
mod predict;
mod rebuild;
mod recipe;
mod report;
mod shards;
mod slurm;
#[cfg(feature = "torch")]
mod train;
mod verify;
mod withdraw;
mod worker;

/// Exit status of a command that failed.
const FAILED: u8 = 1;
/// Exit status of a command that was used wrongly.
const WRONG_USAGE: u8 = 2;

/// Rebuild NCAER-S from CAER clips, train GLAMOR-Net and its baselines, evaluate them.
#[derive(Debug, Parser)]
#[command(name = "ncaers", version, max_term_width = 100, subcommand_required = true)]
#[command(
    after_help = "Example: ncaers demo-corpus --out corpus && ncaers build --corpus corpus --out manifest --seed 1"
)]
struct Cli {
    /// Print one JSON object on stdout at the end instead of text
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

/// Declares the commands: a line each, `Variant(module)`.
macro_rules! commands {
    ($($(#[$meta:meta])* $variant:ident($module:ident),)*) => {
        #[derive(Debug, Subcommand)]
        enum Command { $($(#[$meta])* $variant(Box<$module::Args>),)* }

        impl Command {
            fn run(&self) -> anyhow::Result<Done> {
                match self { $($(#[$meta])* Command::$variant(args) => $module::run(args),)* }
            }
        }
    };
}

commands! {
    #[cfg(feature = "torch")]
    Ablation(ablation),
    #[cfg(feature = "torch")]
    Annotate(annotate),
    Audit(audit),
    Bench(bench),
    Build(build),
    Compare(compare),
    Completions(completions),
    DemoCorpus(demo_corpus),
    Diff(diff),
    Evaluate(evaluate),
    Export(export),
    Import(import),
    Locate(locate),
    Merge(merge),
    #[cfg(feature = "torch")]
    Model(model),
    Pack(pack),
    #[cfg(feature = "torch")]
    Predict(predict),
    Rebuild(rebuild),
    Recipe(recipe),
    Report(report),
    #[cfg(feature = "torch")]
    Train(train),
    Verify(verify),
    Withdraw(withdraw),
    Worker(worker),
}

/// What a command has to say when it is done.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// For a person, printed on stdout; may be empty.
    pub text: String,
    /// For a program, printed instead of the text under `--json`.
    pub json: Value,
    /// Exit status: 0, or 3 when a threshold that the caller set is exceeded.
    pub exit: u8,
}

/// Worker processes: as many as asked for, or as there are cores.
pub(crate) fn workers(asked: Option<u32>) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    asked.map_or_else(cores, |n| n as usize)
}

/// Arguments that parse but make no sense together; exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub String);

/// Runs the program on the process's arguments.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command.run() {
        Ok(done) => {
            let text = if cli.json { done.json.to_string() } else { done.text };
            if !text.is_empty() {
                // A reader that closed the pipe has what it wants.
                let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
            }
            ExitCode::from(done.exit)
        }
        Err(error) => {
            crate::progress::message(&format!("error: {}", one_line(&format!("{error:#}"))));
            let usage = error.downcast_ref::<Usage>().is_some();
            ExitCode::from(if usage { WRONG_USAGE } else { FAILED })
        }
    }
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
