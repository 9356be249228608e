//! `ncaers demo`
use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use anyhow::{Context, Result};
use serde_json::json;

use super::Done;
use crate::{
    experiment::demo::{self, DemoSettings, Places, Step},
    progress,
    record::Emotion,
    table::terminal,
};

/// Run the whole pipeline on synthetic clips: data set, models, report, and the same on stills that
/// leak between train and test, to show what a leak adds to a score
///
/// Runs this program's own commands one after the other and prints each. What is finished is
/// recognised, so that the same command goes on where it was stopped.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: ncaers demo\n\n\
    The clips are drawn so that attention matters; results on them prove nothing about real data.")]
pub struct Args {
    /// Folder below which everything is written
    #[arg(long, value_name = "DIR", default_value = "data/demo")]
    out: PathBuf,
    /// Seed of the clips and of the draws from them
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Runs that train at a time; each uses one core
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// A tenth of the clips and two epochs: shows in a minute that everything works, learns nothing
    #[arg(long)]
    quick: bool,
}

/// Set by Ctrl-C, which the running step hears as well.
static STOP: AtomicBool = AtomicBool::new(false);

pub(super) fn run(args: &Args) -> Result<Done> {
    let settings =
        DemoSettings { out: args.out.clone(), seed: args.seed, jobs: args.jobs, quick: args.quick };
    ctrlc::set_handler(|| STOP.store(true, Ordering::SeqCst)).context("cannot watch Ctrl-C")?;
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let start = Instant::now();
    let places = demo::run(&settings, &program, &STOP, &tell)?;
    let seconds = start.elapsed().as_secs_f64();
    // The table that it ends in; a page without it is still a page.
    let table = std::fs::read_to_string(places.report.join("tables/leak.md")).unwrap_or_default();
    let table = terminal::of_markdown(&table, terminal::WIDTH);
    let text = format!(
        "\n{table}\nthe report is {} ({seconds:.0} s in all)\n\n{}",
        page(&places),
        next(args, &places)
    );
    Ok(Done { text, json: json!({"report": page(&places), "seconds": seconds}), exit: 0 })
}

fn page(places: &Places) -> String {
    places.report.join("index.html").display().to_string()
}

/// A step before it runs, as one would type it.
fn tell(step: &Step, seconds: f64) {
    let words: Vec<_> = step.words.iter().map(|word| quoted(&word.to_string_lossy())).collect();
    progress::message(&format!("[{seconds:4.0} s] ncaers {}", words.join(" ")));
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+%@".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Three commands that work as they stand.
fn next(args: &Args, places: &Places) -> String {
    let show = |path: PathBuf| quoted(&path.display().to_string());
    let run = show(places.runs.join("GLA-1"));
    let clips = show(places.corpus.join("test").join(Emotion::Happy.name()));
    let manifest = show(places.manifest.clone());
    let below = |name: &str| show(args.out.join(name));
    format!(
        "next:\n  ncaers annotate {clips} --run {run} --out {} --attention\n  \
         ncaers audit {manifest} --out {}\n  \
         ncaers train {} --run GLA --seed 2 --out {} --set data.manifest={manifest} --set data.pack={}\n",
        below("annotated"),
        below("audit"),
        show(places.experiments.join("demo.toml")),
        below("gla-seed-2"),
        show(places.pack.clone()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_split_them() {
        assert_eq!(quoted("--set"), "--set");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
