//! The commands: one file each with its arguments and `run`, the only place where input, output
//! and logic meet.
use std::{io::Write, panic, process::ExitCode, time::Instant};

use clap::{Parser, Subcommand};
use serde_json::Value;

use crate::{
    escape::visible,
    manifest::panic_is_answered,
    progress::{self, Level},
};

#[cfg(feature = "torch")]
mod ablation;
#[cfg(feature = "torch")]
mod annotate;
mod audit;
mod bench;
mod build;
mod card;
mod compare;
mod completions;
#[cfg(feature = "torch")]
mod demo;
mod demo_corpus;
mod diff;
mod doctor;
#[cfg(feature = "torch")]
mod environment;
mod evaluate;
#[cfg(feature = "torch")]
mod experiments;
mod export;
mod face;
mod fetch_mmod;
mod glossary;
mod import;
mod locate;
mod man;
mod manifest_arg;
mod merge;
#[cfg(feature = "torch")]
mod model;
mod pack;
#[cfg(feature = "torch")]
mod paper;
mod plan;
#[cfg(feature = "torch")]
mod predict;
mod reading;
mod rebuild;
mod recipe;
mod report;
mod shards;
mod slurm;
#[cfg(feature = "torch")]
mod train;
mod verify;
mod version;
mod withdraw;
mod worker;

/// Heading of the flags that every command has.
const EVERYWHERE: &str = "Everywhere";

/// Exit status of a command that failed.
const FAILED: u8 = 1;
/// Exit status of a command that was used wrongly.
const WRONG_USAGE: u8 = 2;

/// Rebuild NCAER-S from CAER clips, train GLAMOR-Net and its baselines, evaluate them.
#[derive(Debug, Parser)]
#[command(name = "ncaers", version = version::long(), max_term_width = 100, subcommand_required = true)]
#[command(
    after_help = "Examples: ncaers demo\n          ncaers demo-corpus --out corpus && ncaers build --corpus corpus --out manifest --seed 1\n\n\
        Terms (ledger, pack, mC ...): ncaers glossary"
)]
struct Cli {
    /// Print one JSON object on stdout at the end instead of text
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    json: bool,
    /// Print errors only on stderr
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = EVERYWHERE)]
    quiet: bool,
    /// Also print versions and timings on stderr
    #[arg(short, long, global = true, help_heading = EVERYWHERE)]
    verbose: bool,
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
    Card(card),
    Compare(compare),
    Completions(completions),
    #[cfg(feature = "torch")]
    Demo(demo),
    DemoCorpus(demo_corpus),
    Diff(diff),
    Doctor(doctor),
    Evaluate(evaluate),
    #[cfg(feature = "torch")]
    Experiments(experiments),
    Export(export),
    FetchMmod(fetch_mmod),
    Glossary(glossary),
    Import(import),
    Locate(locate),
    Man(man),
    Merge(merge),
    #[cfg(feature = "torch")]
    Model(model),
    Pack(pack),
    Plan(plan),
    #[cfg(feature = "torch")]
    Paper(paper),
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
    progress::set_level(match (cli.quiet, cli.verbose) {
        (true, _) => Level::Quiet,
        (_, true) => Level::Verbose,
        _ => Level::Normal,
    });
    hide_answered_panics();
    progress::detail(&format!("ncaers {}", version::long()));
    let start = Instant::now();
    let result = cli.command.run();
    progress::detail(&format!("took {:.1} s", start.elapsed().as_secs_f64()));
    match result {
        Ok(done) => {
            let text =
                if cli.json { done.json.to_string() } else { visible(&done.text).into_owned() };
            if !text.is_empty() {
                // A reader that closed the pipe has what it wants.
                let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
            }
            ExitCode::from(done.exit)
        }
        Err(error) => {
            progress::error(&format!("error: {}", one_line(&format!("{error:#}"))));
            let usage = error.downcast_ref::<Usage>().is_some();
            ExitCode::from(if usage { WRONG_USAGE } else { FAILED })
        }
    }
}

/// A panic that becomes an error is said by that error alone.
fn hide_answered_panics() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !panic_is_answered() {
            usual(info);
        }
    }));
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// Examples of a command and of those below it: what follows the word "Example".
    fn examples(command: &clap::Command, into: &mut Vec<String>) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let mut is_example = false;
        for line in help.lines() {
            is_example = line.starts_with("Example") || (is_example && line.starts_with("  "));
            let from = line.find("ncaers ").filter(|_| is_example);
            // "Example, after `ncaers demo`: ncaers train ..."
            let from = line.find(": ncaers ").filter(|_| is_example).map(|at| at + 2).or(from);
            into.extend(
                from.into_iter().flat_map(|at| line[at..].split(" && ")).map(str::to_owned),
            );
        }
        command.get_subcommands().for_each(|below| examples(below, into));
    }

    #[test]
    fn options_of_a_command_do_not_stand_below_the_heading_of_a_group() {
        let groups = ["Faces", "On a cluster", "Tables of other programs"];
        let own =
            ["out", "seed", "workers", "dry_run", "split", "balance", "manifest", "margin_points"];
        for command in Cli::command().get_subcommands() {
            for arg in command.get_arguments().filter(|arg| own.contains(&arg.get_id().as_str())) {
                let heading = arg.get_help_heading().unwrap_or_default();
                let is_below = groups.iter().any(|group| heading.starts_with(group));
                assert!(!is_below, "{} {arg} below {heading}", command.get_name());
            }
        }
    }

    #[test]
    fn every_command_has_an_example_and_every_example_is_understood() {
        let mut all = Vec::new();
        examples(&Cli::command(), &mut all);
        assert!(all.len() > 25, "{all:#?}");
        for example in &all {
            let words = example.split(" > ").next().unwrap_or_default().split_whitespace();
            let parsed = Cli::try_parse_from(words.map(|word| word.trim_matches('\'')));
            assert!(
                parsed.is_ok(),
                "{example}: {}",
                parsed.err().map_or(String::new(), |e| e.to_string())
            );
        }
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example"), "{} has no example", command.get_name());
        }
    }
}
